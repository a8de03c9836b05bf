# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title HashLock
@license Apache-2.0
@notice One leg of an atomic swap with another chain: tokens that the payee may take by showing a
    preimage until a deadline, and that go back to the payer after it. Whoever carries the call
    changes nothing. It has no owner and knows no other way out. It must be admitted by the token
    that it holds; whether payer and payee are, the token says when they are paid.
"""
from ethereum.ercs import IERC20
from interfaces import IHashLock

implements: IHashLock


event Locked:
    id: indexed(bytes32)
    payer: indexed(address)
    payee: indexed(address)
    token: address
    amount: uint256
    digest: bytes32
    deadline: uint256


# Shows the preimage to all: that is the point.
event Claimed:
    id: indexed(bytes32)
    digest: indexed(bytes32)
    preimage: bytes32


event Refunded:
    id: indexed(bytes32)


LOCK_TYPE: constant(bytes32) = keccak256(
    "Lock(address token,address payer,address payee,uint256 amount,bytes32 digest,uint256 deadline)"
)
LOCKED: constant(uint256) = 1
CLAIMED: constant(uint256) = 2
REFUNDED: constant(uint256) = 3
# Seconds. Longer is a mistake in the unit.
MAX_WAIT: constant(uint256) = 366 * 86_400

# lock -> 0 none, 1 locked, 2 claimed, 3 refunded.
status: public(HashMap[bytes32, uint256])


@external
def lock(terms: IHashLock.Lock) -> bytes32:
    """
    @notice The payer only, which approved this contract: the amount is held here until one of the
        two ends. A digest is locked once on the same terms.
    """
    # WHO
    assert msg.sender == terms.payer, "hashlock/not-payer"
    # WHEN
    id: bytes32 = self._id(terms)
    assert self.status[id] == 0, "hashlock/exists"
    assert (
        terms.payee != terms.payer and terms.payee != self and terms.payee != empty(address)
    ), "hashlock/payee"
    assert terms.amount > 0, "hashlock/amount"
    assert (
        terms.deadline >= block.timestamp and terms.deadline <= block.timestamp + MAX_WAIT
    ), "hashlock/deadline"
    # THEN
    self.status[id] = LOCKED
    log Locked(
        id=id,
        payer=terms.payer,
        payee=terms.payee,
        token=terms.token,
        amount=terms.amount,
        digest=terms.digest,
        deadline=terms.deadline,
    )
    assert extcall IERC20(terms.token).transferFrom(
        msg.sender, self, terms.amount
    ), "settle/not-moved"
    return id


@external
def claim(terms: IHashLock.Lock, preimage: bytes32):
    """
    @notice Anyone who shows the preimage, up to the deadline: the payee gets the amount.
    """
    # WHO: whoever knows the preimage
    id: bytes32 = self._locked(terms)
    assert sha256(preimage) == terms.digest, "hashlock/preimage"
    # WHEN
    assert block.timestamp <= terms.deadline, "hashlock/too-late"
    # THEN
    self.status[id] = CLAIMED
    log Claimed(id=id, digest=terms.digest, preimage=preimage)
    self._pay(terms.token, terms.payee, terms.amount)


@external
def refund(terms: IHashLock.Lock):
    """
    @notice Anyone after the deadline: the payer gets the amount back.
    """
    # WHO: anyone
    id: bytes32 = self._locked(terms)
    # WHEN
    assert block.timestamp > terms.deadline, "hashlock/too-early"
    # THEN
    self.status[id] = REFUNDED
    log Refunded(id=id)
    self._pay(terms.token, terms.payer, terms.amount)


@view
@external
def lock_id(terms: IHashLock.Lock) -> bytes32:
    """
    @notice Anyone may read. The name of the lock: the EIP-712 hash of its members.
    """
    return self._id(terms)


# Parts


@pure
@internal
def _id(terms: IHashLock.Lock) -> bytes32:
    return keccak256(abi_encode(LOCK_TYPE, terms))


@view
@internal
def _locked(terms: IHashLock.Lock) -> bytes32:
    id: bytes32 = self._id(terms)
    status: uint256 = self.status[id]
    assert status != 0, "hashlock/unknown"
    assert status == LOCKED, "hashlock/over"
    return id


@internal
def _pay(token: address, payee: address, amount: uint256):
    assert extcall IERC20(token).transfer(payee, amount), "settle/not-moved"
