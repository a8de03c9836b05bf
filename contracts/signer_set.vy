# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title A fixed set of signers and the number of them that counts
@license Apache-2.0
@notice A library: the set is immutable, so nobody can vote a key in or out. A changed set is a new
    contract. Membership is a scan of the code, not of storage: up to 15 members it is cheaper than
    one cold storage read (2,100 gas) per signature.
"""
import typed_data

MAX_SIGNERS: constant(uint256) = 15

# What _fault answers; each contract turns it into its own revert code.
TOO_FEW: constant(uint256) = 1
STRANGER: constant(uint256) = 2
DUPLICATE: constant(uint256) = 3

SIGNERS: immutable(address[MAX_SIGNERS])
COUNT: immutable(uint256)
QUORUM: immutable(uint256)


@deploy
def __init__(signers: DynArray[address, MAX_SIGNERS], quorum: uint256):
    assert quorum > 0 and quorum <= len(signers), "token/signers"
    members: address[MAX_SIGNERS] = empty(address[MAX_SIGNERS])
    for i: uint256 in range(len(signers), bound=MAX_SIGNERS):
        assert signers[i] != empty(address), "token/signers"
        for j: uint256 in range(i, bound=MAX_SIGNERS):
            assert signers[j] != signers[i], "token/signers"
        members[i] = signers[i]
    SIGNERS = members
    COUNT = len(signers)
    QUORUM = quorum


@view
@external
def signers() -> DynArray[address, MAX_SIGNERS]:
    """
    @notice Anyone may read. The set, in the order it was deployed with.
    """
    members: DynArray[address, MAX_SIGNERS] = []
    for i: uint256 in range(COUNT, bound=MAX_SIGNERS):
        members.append(SIGNERS[i])
    return members


@view
@external
def quorum() -> uint256:
    """
    @notice Anyone may read. How many distinct members must sign.
    """
    return QUORUM


@view
@internal
def _fault(digest: bytes32, sigs: DynArray[typed_data.Sig, MAX_SIGNERS]) -> uint256:
    """
    @notice 0 if at least QUORUM distinct members, and nobody else, signed the digest.
    """
    if len(sigs) < QUORUM:
        return TOO_FEW
    seen: uint256 = 0
    for sig: typed_data.Sig in sigs:
        who: address = typed_data._signer(digest, sig)
        bit: uint256 = 0
        for i: uint256 in range(COUNT, bound=MAX_SIGNERS):
            if SIGNERS[i] == who:
                bit = 1 << i
                break
        if bit == 0:
            return STRANGER
        if seen & bit != 0:
            return DUPLICATE
        seen |= bit
    return 0
