# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title EIP-712 domain and signature recovery
@license Apache-2.0
@notice A library: the domain separator of the contract that initialises it, and the signer of a
    typed-data digest. The separator is an immutable, rebuilt when the chain id is no longer the
    one it was made for, so that a signature never counts on both sides of a chain split.
"""


struct Sig:
    v: uint8
    r: bytes32
    s: bytes32


DOMAIN_TYPE: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
VERSION: constant(String[1]) = "1"
VERSION_HASH: constant(bytes32) = keccak256("1")
# Half of the order of secp256k1 (EIP-2): the greater s of the two that verify is refused.
HALF_ORDER: constant(
    uint256
) = 57896044618658097711785492504343953926418782139537452191302581570759080747168

NAME: immutable(String[16])
CHAIN: immutable(uint256)
SEPARATOR: immutable(bytes32)


@deploy
def __init__(name: String[16]):
    NAME = name
    CHAIN = chain.id
    SEPARATOR = self._separator_of(name)


@view
@external
def DOMAIN_SEPARATOR() -> bytes32:
    """
    @notice Anyone may read. The EIP-712 domain separator of this contract on this chain.
    """
    return self._separator()


@view
@internal
def _separator_of(name: String[16]) -> bytes32:
    return keccak256(abi_encode(DOMAIN_TYPE, keccak256(name), VERSION_HASH, chain.id, self))


@view
@internal
def _separator() -> bytes32:
    if chain.id == CHAIN:
        return SEPARATOR
    return self._separator_of(NAME)


@view
@internal
def _digest(struct_hash: bytes32) -> bytes32:
    # EIP-712: 0x19 0x01 || domain separator || hashStruct(message)
    return keccak256(concat(x"1901", self._separator(), struct_hash))


@view
@internal
def _signer(digest: bytes32, sig: Sig) -> address:
    # One message, one signature per key: the second s and other values of v are refused.
    assert convert(sig.s, uint256) <= HALF_ORDER, "token/signature"
    assert sig.v == 27 or sig.v == 28, "token/signature"
    who: address = ecrecover(digest, sig.v, sig.r, sig.s)
    assert who != empty(address), "token/signature"
    return who
