# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Settlement
@license Apache-2.0
@notice Two parties exchange one token for another in one transaction: delivery versus payment, or
    payment versus payment. Both sign the same order; anyone carries it. It holds nothing, decides
    nothing that was not signed, and has no owner. Who may have a token, and what is frozen, each
    token says itself; if either says no, neither leg has moved.
"""
from ethereum.ercs import IERC20
from interfaces import IPrices
from interfaces import ISettlement
import typed_data

implements: ISettlement
initializes: typed_data
exports: typed_data.DOMAIN_SEPARATOR


event Settled:
    id: indexed(bytes32)
    first: indexed(address)
    second: indexed(address)
    first_token: address
    first_amount: uint256
    second_token: address
    second_amount: uint256


event Cancelled:
    id: indexed(bytes32)
    by: indexed(address)


ORDER_TYPE: constant(bytes32) = keccak256(
    "Order(address first,address second,address first_token,uint256 first_amount,address second_token,uint256 second_amount,address feed,uint256 scale,uint256 tolerance_bps,uint256 nonce,uint256 expires_at)"
)
BPS: constant(uint256) = 10_000
# Amounts of every token here fit 64 bits, and so do prices (PriceRounds) and scales: no product
# of the check below comes near 256 bits.
MAX_AMOUNT: constant(uint256) = 2**64 - 1

# order -> it was settled or cancelled.
is_used: public(HashMap[bytes32, bool])


@deploy
def __init__():
    typed_data.__init__("Settlement")


@external
def settle(order: ISettlement.Order, first_sig: typed_data.Sig, second_sig: typed_data.Sig):
    """
    @notice Anyone may carry what both parties signed, once: both legs move, or neither.
    """
    # WHO
    assert order.first != order.second and order.first_token != order.second_token, "settle/parties"
    id: bytes32 = self._order_id(order)
    digest: bytes32 = typed_data._digest(id)
    assert typed_data._signer(digest, first_sig) == order.first, "settle/bad-signature"
    assert typed_data._signer(digest, second_sig) == order.second, "settle/bad-signature"
    # WHEN
    assert not self.is_used[id], "settle/used"
    assert block.timestamp <= order.expires_at, "settle/expired"
    self._check_amount(order.first_amount)
    self._check_amount(order.second_amount)
    if order.feed != empty(address):
        self._check_rate(order)
    # THEN
    self.is_used[id] = True
    log Settled(
        id=id,
        first=order.first,
        second=order.second,
        first_token=order.first_token,
        first_amount=order.first_amount,
        second_token=order.second_token,
        second_amount=order.second_amount,
    )
    self._move(order.first_token, order.first, order.second, order.first_amount)
    self._move(order.second_token, order.second, order.first, order.second_amount)


@external
def cancel(order: ISettlement.Order):
    """
    @notice Either party, before it is settled: the order counts no more.
    """
    # WHO
    assert msg.sender == order.first or msg.sender == order.second, "settle/not-party"
    # WHEN
    id: bytes32 = self._order_id(order)
    assert not self.is_used[id], "settle/used"
    # THEN
    self.is_used[id] = True
    log Cancelled(id=id, by=msg.sender)


@view
@external
def order_id(order: ISettlement.Order) -> bytes32:
    """
    @notice Anyone may read. The order's name: the EIP-712 hash of its members.
    """
    return self._order_id(order)


# Parts


@pure
@internal
def _order_id(order: ISettlement.Order) -> bytes32:
    return keccak256(abi_encode(ORDER_TYPE, order))


@pure
@internal
def _check_amount(amount: uint256):
    assert amount > 0 and amount <= MAX_AMOUNT, "settle/amount"


@view
@internal
def _check_rate(order: ISettlement.Order):
    # Cross-multiplied, never divided: |second × scale − first × price| ≤ tolerance of the latter.
    price: uint256 = 0
    at: uint256 = 0
    fresh: bool = False
    active: uint256 = 0
    price, at, fresh, active = staticcall IPrices(order.feed).latest()
    assert fresh, "price/stale"
    assert order.scale > 0 and order.scale <= MAX_AMOUNT, "settle/rate"
    assert order.tolerance_bps < BPS and price <= MAX_AMOUNT, "settle/rate"
    fair: uint256 = order.first_amount * price
    agreed: uint256 = order.second_amount * order.scale
    gap: uint256 = max(fair, agreed) - min(fair, agreed)
    assert gap * BPS <= fair * order.tolerance_bps, "settle/rate"


@internal
def _move(token: address, giver: address, taker: address, amount: uint256):
    assert extcall IERC20(token).transferFrom(giver, taker, amount), "settle/not-moved"
