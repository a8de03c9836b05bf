# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title LendingMarket
@license Apache-2.0
@notice An isolated market in the manner of Morpho Blue: many lend one currency into a pool, and
    whoever puts pledge tokens in borrows out of it. It is a holder of both tokens like any other,
    so the registry has to admit it, and whatever the tokens refuse it refuses: what is pledged to a
    loan, frozen, or not its holder's cannot be put in, and what was put in cannot be pledged. No
    owner, no fee, no pause. Nothing here hinders paying back or taking collateral that carries
    nothing; what needs a price needs a fresh one, which Morpho leaves to whoever makes the oracle.
    Checks come in this order everywhere: # WHO, # WHEN, # THEN, and tokens move last.
"""
from ethereum.ercs import IERC20
from interfaces import ILendingMarket
from interfaces import IPrices
from interfaces import IRegistry

implements: ILendingMarket


struct Pool:
    # Cents lent, interest included, and the shares of them.
    lent: uint256
    lent_shares: uint256
    # Cents borrowed, interest included, and the shares of them.
    debt: uint256
    debt_shares: uint256
    # Unix time up to which interest is in both.
    accrued_to: uint256
    # What is left of that interest below a cent: cents x bps x seconds.
    carry: uint256


struct Position:
    shares: uint256
    # Sats.
    collateral: uint256


event Supplied:
    account: indexed(address)
    assets: uint256
    shares: uint256


event Withdrawn:
    account: indexed(address)
    assets: uint256
    shares: uint256


event CollateralSupplied:
    account: indexed(address)
    sats: uint256


event CollateralWithdrawn:
    account: indexed(address)
    sats: uint256


event Borrowed:
    account: indexed(address)
    assets: uint256
    shares: uint256


event Repaid:
    account: indexed(address)
    by: indexed(address)
    assets: uint256
    shares: uint256


event Liquidated:
    account: indexed(address)
    by: indexed(address)
    repaid: uint256
    seized: uint256
    bad_debt: uint256


# Rights in the registry.
BORROW: constant(uint256) = 4
LEND: constant(uint256) = 8

# Value: cents x 10**14 = sats x price.
CENTS_SCALE: constant(uint256) = 10**14
BPS: constant(uint256) = 10_000
WAD: constant(uint256) = 10**18
# Basis points a year, actual/365, as the book has it.
INTEREST_DEN: constant(uint256) = BPS * 31_536_000
MAX_RATE: constant(uint256) = 100_000
# Shares and a cent that are nobody's (Morpho's SharesMathLib), so that the first to lend cannot
# make a share so dear that the next one's cents buy none.
VIRTUAL_SHARES: constant(uint256) = 10**6
VIRTUAL_ASSETS: constant(uint256) = 1
# Morpho's ConstantsLib: how far below par the collateral goes, as a part of what is left of 1 above
# the level, and at most: min(1.15, 1 / (1 - 0.3 x (1 - lltv))).
CURSOR_PER_TEN: constant(uint256) = 3
MAX_INCENTIVE: constant(uint256) = 115 * 10**16

MASK_64: constant(uint256) = 2**64 - 1
MASK_88: constant(uint256) = 2**88 - 1
MASK_128: constant(uint256) = 2**128 - 1
ALL: constant(uint256) = max_value(uint256)

registry: public(immutable(address))
cash: public(immutable(address))
pledge: public(immutable(address))
prices: public(immutable(address))
lltv_bps: public(immutable(uint256))
incentive: public(immutable(uint256))
base_bps: public(immutable(uint256))
slope_bps: public(immutable(uint256))

# Two slots for the pool: lent 88 bits | lent_shares 128 | accrued_to 40; debt 88 | debt_shares 128 |
# carry 40 (INTEREST_DEN is below 2**39).
lent_word: uint256
debt_word: uint256
# account -> debt's shares 128 bits | collateral 64.
positions: HashMap[address, uint256]
# account -> shares of what is lent.
shares_of: HashMap[address, uint256]


@deploy
def __init__(
    registry_: address, prices_: address, lltv_bps_: uint256, base_bps_: uint256, slope_bps_: uint256
):
    """
    @notice The tokens are those that the registry admits to. Nothing of this changes any more.
    @param lltv_bps_ Loan-to-value above which a position is liquidated, basis points: below 1.
    @param base_bps_ Interest of a pool of which nothing is borrowed, basis points a year.
    @param slope_bps_ What of it comes on top when all is borrowed; in between in proportion.
    """
    assert registry_ != empty(address) and prices_ != empty(address), "token/receiver"
    assert lltv_bps_ > 0 and lltv_bps_ < BPS, "market/level"
    assert base_bps_ <= MAX_RATE and slope_bps_ <= MAX_RATE, "terms/rate"
    registry = registry_
    cash = staticcall IRegistry(registry_).cash()
    pledge = staticcall IRegistry(registry_).pledge()
    prices = prices_
    lltv_bps = lltv_bps_
    base_bps = base_bps_
    slope_bps = slope_bps_
    par: uint256 = 10 * BPS - CURSOR_PER_TEN * (BPS - lltv_bps_)
    incentive = min(MAX_INCENTIVE, WAD * 10 * BPS // par)
    self.lent_word = block.timestamp << 216


# Lending


@external
def supply(assets: uint256) -> uint256:
    """
    @notice Whoever may lend. Needs no price.
    """
    # WHO
    assert staticcall IRegistry(registry).may(msg.sender, LEND), "market/not-eligible"
    # WHEN
    assert assets > 0 and assets <= MASK_64, "loan/amount"
    p: Pool = self._pool()
    shares: uint256 = self._down(assets, p.lent_shares + VIRTUAL_SHARES, p.lent + VIRTUAL_ASSETS)
    # THEN
    p.lent += assets
    p.lent_shares += shares
    assert p.lent <= MASK_88 and p.lent_shares <= MASK_128, "loan/amount"
    self._store(p)
    self.shares_of[msg.sender] += shares
    log Supplied(account=msg.sender, assets=assets, shares=shares)
    self._pull(cash, assets)
    return shares


@external
def withdraw(assets: uint256) -> uint256:
    """
    @notice Whoever lent, and is eligible for cash now. Rule: what others borrowed stays.
    """
    # WHO
    own: uint256 = self.shares_of[msg.sender]
    # WHEN
    p: Pool = self._pool()
    shares: uint256 = own
    paid: uint256 = assets
    if assets == ALL:
        paid = self._down(own, p.lent + VIRTUAL_ASSETS, p.lent_shares + VIRTUAL_SHARES)
    else:
        assert assets <= p.lent, "market/shares"
        shares = self._up(assets, p.lent_shares + VIRTUAL_SHARES, p.lent + VIRTUAL_ASSETS)
        assert shares <= own, "market/shares"
    assert paid > 0, "loan/amount"
    assert paid <= p.lent - p.debt, "market/liquidity"
    # THEN
    p.lent -= paid
    p.lent_shares -= shares
    self._store(p)
    self.shares_of[msg.sender] = own - shares
    log Withdrawn(account=msg.sender, assets=paid, shares=shares)
    extcall IERC20(cash).transfer(msg.sender, paid)
    return paid


# Borrowing


@external
def supply_collateral(sats: uint256):
    """
    @notice Any eligible holder, what it may spend. Needs no price.
    """
    # WHEN
    assert sats > 0 and sats <= MASK_64, "loan/amount"
    # THEN
    at: Position = self._position(msg.sender)
    at.collateral += sats
    self._put(msg.sender, at)
    log CollateralSupplied(account=msg.sender, sats=sats)
    self._pull(pledge, sats)


@external
def withdraw_collateral(sats: uint256):
    """
    @notice Whose collateral it is, if eligible for the token now. Rule: what stays carries the debt
        at a fresh price; without a debt no price is asked.
    """
    # WHO
    at: Position = self._position(msg.sender)
    # WHEN
    assert sats > 0, "loan/amount"
    assert sats <= at.collateral, "market/collateral"
    at.collateral -= sats
    if at.shares > 0:
        p: Pool = self._pool()
        assert self._carries(p, at, self._price()), "market/unhealthy"
        self._store(p)
    # THEN
    self._put(msg.sender, at)
    log CollateralWithdrawn(account=msg.sender, sats=sats)
    extcall IERC20(pledge).transfer(msg.sender, sats)


@external
def borrow(assets: uint256) -> uint256:
    """
    @notice Whoever may borrow. Rules: the pool has it, and the collateral carries it at a fresh
        price.
    """
    # WHO
    assert staticcall IRegistry(registry).may(msg.sender, BORROW), "market/not-eligible"
    # WHEN
    assert assets > 0, "loan/amount"
    p: Pool = self._pool()
    assert assets <= p.lent - p.debt, "market/liquidity"
    shares: uint256 = self._up(assets, p.debt_shares + VIRTUAL_SHARES, p.debt + VIRTUAL_ASSETS)
    at: Position = self._position(msg.sender)
    p.debt += assets
    p.debt_shares += shares
    at.shares += shares
    assert p.debt_shares <= MASK_128, "loan/amount"
    assert self._carries(p, at, self._price()), "market/unhealthy"
    # THEN
    self._store(p)
    self._put(msg.sender, at)
    log Borrowed(account=msg.sender, assets=assets, shares=shares)
    extcall IERC20(cash).transfer(msg.sender, assets)
    return shares


@external
def repay(borrower: address, assets: uint256) -> uint256:
    """
    @notice Anyone who may spend cash, for anyone. Needs no price.
    """
    # WHEN
    at: Position = self._position(borrower)
    assert at.shares > 0, "repay/no-debt"
    assert assets > 0, "loan/amount"
    p: Pool = self._pool()
    paid: uint256 = min(assets, self._owed(p, at.shares))
    # THEN
    shares: uint256 = 0
    p, at, shares = self._paid(p, at, paid)
    self._store(p)
    self._put(borrower, at)
    log Repaid(account=borrower, by=msg.sender, assets=paid, shares=shares)
    self._pull(cash, paid)
    return paid


@external
def liquidate(borrower: address, max_pay: uint256, min_sats: uint256) -> (uint256, uint256):
    """
    @notice Anyone who may spend cash and hold pledged bitcoin. Rules: above the level at a fresh
        price, and any part; what is taken is worth what is paid and the incentive, rounded down.
        With no collateral left the rest of the debt is written off against all that is lent, then
        and not before, as Morpho does.
    """
    # WHEN
    price: uint256 = self._price()
    p: Pool = self._pool()
    at: Position = self._position(borrower)
    assert not self._carries(p, at, price), "market/healthy"
    paid: uint256 = min(max_pay, self._owed(p, at.shares))
    par: uint256 = price * WAD
    sats: uint256 = paid * CENTS_SCALE * incentive // par
    if sats > at.collateral:
        sats = at.collateral
        paid = self._up(sats, par, CENTS_SCALE * incentive)
    assert paid > 0, "loan/amount"
    assert sats >= min_sats, "liquidate/slippage"
    # THEN
    shares: uint256 = 0
    p, at, shares = self._paid(p, at, paid)
    at.collateral -= sats
    lost: uint256 = 0
    if at.collateral == 0 and at.shares > 0:
        rest: uint256 = self._owed(p, at.shares)
        lost = min(p.debt, rest)
        p.lent -= lost
        p, at, shares = self._paid(p, at, rest)
    self._store(p)
    self._put(borrower, at)
    log Liquidated(account=borrower, by=msg.sender, repaid=paid, seized=sats, bad_debt=lost)
    self._pull(cash, paid)
    extcall IERC20(pledge).transfer(msg.sender, sats)
    return paid, sats


@external
def accrue():
    """
    @notice Anyone. Interest bears interest from then on.
    """
    self._store(self._pool())


# Reading


@view
@external
def totals() -> (uint256, uint256, uint256, uint256):
    """
    @notice Anyone may read.
    """
    p: Pool = self._pool()
    return p.lent, p.lent_shares, p.debt, p.debt_shares


@view
@external
def position(account: address) -> (uint256, uint256, uint256):
    """
    @notice Anyone may read.
    """
    at: Position = self._position(account)
    return self.shares_of[account], at.shares, at.collateral


@view
@external
def supplied(account: address) -> uint256:
    """
    @notice Anyone may read.
    """
    p: Pool = self._pool()
    shares: uint256 = self.shares_of[account]
    return self._down(shares, p.lent + VIRTUAL_ASSETS, p.lent_shares + VIRTUAL_SHARES)


@view
@external
def owed(account: address) -> uint256:
    """
    @notice Anyone may read.
    """
    return self._owed(self._pool(), self._position(account).shares)


@view
@external
def healthy(account: address) -> bool:
    """
    @notice Anyone may read.
    """
    at: Position = self._position(account)
    return at.shares == 0 or self._carries(self._pool(), at, self._price())


@view
@external
def rate_bps() -> uint256:
    """
    @notice Anyone may read.
    """
    return self._rate(self._pool())


# Parts: the pool


@view
@internal
def _pool() -> Pool:
    # As of this second. Interest is exact to the unit that `carry` keeps: rounded up it would grow
    # with every look, rounded down it would never come. It stops at what 88 bits hold instead of
    # reverting: paying back never becomes impossible.
    word: uint256 = self.lent_word
    debt: uint256 = self.debt_word
    p: Pool = Pool(
        lent=word & MASK_88,
        lent_shares=(word >> 88) & MASK_128,
        debt=debt & MASK_88,
        debt_shares=(debt >> 88) & MASK_128,
        accrued_to=word >> 216,
        carry=debt >> 216,
    )
    if block.timestamp > p.accrued_to and p.debt > 0:
        due: uint256 = p.debt * self._rate(p) * (block.timestamp - p.accrued_to) + p.carry
        interest: uint256 = min(due // INTEREST_DEN, MASK_88 - p.lent)
        p.carry = due % INTEREST_DEN
        p.lent += interest
        p.debt += interest
    p.accrued_to = block.timestamp
    return p


@view
@internal
def _rate(p: Pool) -> uint256:
    if p.lent == 0:
        return base_bps
    return base_bps + self._up(p.debt, slope_bps, p.lent)


@internal
def _store(p: Pool):
    self.lent_word = p.lent | (p.lent_shares << 88) | (p.accrued_to << 216)
    self.debt_word = p.debt | (p.debt_shares << 88) | (p.carry << 216)


@pure
@internal
def _paid(p0: Pool, at0: Position, assets: uint256) -> (Pool, Position, uint256):
    # Of a debt, `assets` are not owed any more; all of it if they are what it is, rounded up.
    p: Pool = p0
    at: Position = at0
    shares: uint256 = at.shares
    if assets < self._owed(p, shares):
        most: uint256 = self._down(assets, p.debt_shares + VIRTUAL_SHARES, p.debt + VIRTUAL_ASSETS)
        shares = min(shares, most)
    at.shares -= shares
    p.debt_shares -= shares
    p.debt -= min(p.debt, assets)
    if p.debt_shares == 0:
        # Interest on the virtual shares: what nobody owes is nobody's either.
        p.lent -= p.debt
        p.debt = 0
        p.carry = 0
    return p, at, shares


@pure
@internal
def _owed(p: Pool, shares: uint256) -> uint256:
    return self._up(shares, p.debt + VIRTUAL_ASSETS, p.debt_shares + VIRTUAL_SHARES)


@view
@internal
def _carries(p: Pool, at: Position, price: uint256) -> bool:
    # debt <= collateral x level, never divided: the level is hit exactly.
    worth: uint256 = at.collateral * price * lltv_bps
    return self._owed(p, at.shares) * CENTS_SCALE * BPS <= worth


@view
@internal
def _price() -> uint256:
    price: uint256 = 0
    at: uint256 = 0
    fresh: bool = False
    active: uint256 = 0
    price, at, fresh, active = staticcall IPrices(prices).latest()
    assert fresh, "price/stale"
    return price


# Parts: positions, tokens, numbers


@view
@internal
def _position(account: address) -> Position:
    word: uint256 = self.positions[account]
    return Position(shares=word & MASK_128, collateral=word >> 128)


@internal
def _put(account: address, at: Position):
    self.positions[account] = at.shares | (at.collateral << 128)


@internal
def _pull(token: address, amount: uint256):
    extcall IERC20(token).transferFrom(msg.sender, self, amount)


@pure
@internal
def _down(amount: uint256, times: uint256, over: uint256) -> uint256:
    return amount * times // over


@pure
@internal
def _up(amount: uint256, times: uint256, over: uint256) -> uint256:
    return (amount * times + over - 1) // over
