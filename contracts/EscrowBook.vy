# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title EscrowBook
@license Apache-2.0
@notice Every loan: who may do what, when, and where cash and pledged tokens go. Two parties sign
    Terms; the hash of the terms is the loan's id and every call carries the terms, so a loan's
    rules cannot change after signing and cost no storage. No owner, no fee, no pause: when the
    price is stale, only what needs a price stops; paying back and topping up never do.
    Checks come in this order everywhere: is there a loan, # WHO, # WHEN, # THEN.
"""
from interfaces import ICash
from interfaces import IPledge
from interfaces import IPrices
from interfaces import IRegistry
import typed_data

initializes: typed_data
exports: typed_data.DOMAIN_SEPARATOR


struct Terms:
    borrower: address
    lender: address
    # P2WSH or P2TR witness program of the vault.
    vault: bytes32
    # Cents: the most that may be outstanding.
    principal: uint256
    # Basis points a year, actual/365.
    rate_bps: uint256
    # Loan-to-value levels in basis points.
    initial_ltv: uint256
    restore_ltv: uint256
    call_ltv: uint256
    liquidation_ltv: uint256
    # Active seconds to answer a margin call.
    cure: uint256
    # Unix times and a span, seconds.
    expires_at: uint256
    draw_by: uint256
    maturity: uint256
    grace: uint256
    recover_at: uint256
    # Bitcoin confirmations before a coin counts.
    confirmations: uint256
    # 0: the lender takes over. 1: sale to a third party. 2: partial sale to a target. 3: auction.
    liquidation: uint256
    # What the taker gets above what it pays, basis points.
    bonus_bps: uint256
    # Sats: bound on the Bitcoin fee of a payout.
    max_fee: uint256
    nonce: uint256
    # Partial sale: where it stops, basis points.
    target_ltv: uint256
    # Part of what a buyer pays that is the lender's and covers no debt, basis points.
    fee_bps: uint256
    # Cents: a sale leaves no debt, or at least this.
    min_left: uint256
    # Auction: first price as a part of the oracle's and what each step leaves of it, basis points;
    # seconds a step and in all; part of the first price below which it is stale, basis points.
    buf_bps: uint256
    cut_bps: uint256
    step: uint256
    tail: uint256
    cusp_bps: uint256
    # Who decides on a disputed call, and how long it may take, seconds. Nobody, 0: no disputes.
    arbiter: address
    dispute: uint256
    # The loan that these terms refinance; it keeps its id. Zero in terms of a new loan.
    origin: bytes32


struct Loan:
    phase: uint256
    # AMENDED, DISPUTED, HEARD.
    flags: uint256
    # Cents.
    principal: uint256
    # Unix time up to which interest is in `interest_acc`.
    accrued_to: uint256
    # MARGIN_CALL: active seconds. LIQUIDATING: unix time from which an auction's price falls.
    deadline: uint256
    # Exact: sum of cents x bps x seconds. Interest in cents = interest_acc / INTEREST_DEN.
    interest_acc: uint256


# What a rule looks at, all of one second.
struct Sight:
    price: uint256
    at: uint256
    active_seconds: uint256
    # Sats pledged to the loan.
    held: uint256
    # Cents owed, interest rounded up.
    debt: uint256


event Opened:
    loan: indexed(bytes32)
    borrower: indexed(address)
    lender: indexed(address)


event Cancelled:
    loan: indexed(bytes32)


event ToppedUp:
    loan: indexed(bytes32)
    sats: uint256


event Withdrawn:
    loan: indexed(bytes32)
    sats: uint256


event Drawn:
    loan: indexed(bytes32)
    amount: uint256


event Repaid:
    loan: indexed(bytes32)
    by: indexed(address)
    interest: uint256
    principal: uint256


event Closed:
    loan: indexed(bytes32)
    released: uint256


event Refinanced:
    loan: indexed(bytes32)
    settled: uint256
    terms: Terms


event MarginCalled:
    loan: indexed(bytes32)
    deadline: uint256
    price: uint256


event Disputed:
    loan: indexed(bytes32)


event Resolved:
    loan: indexed(bytes32)
    by: indexed(address)
    upheld: bool
    deadline: uint256


event Cured:
    loan: indexed(bytes32)


event CallExpired:
    loan: indexed(bytes32)


event AuctionBegun:
    loan: indexed(bytes32)


# `left` is the debt that stays; 0: the loan is over.
event Liquidated:
    loan: indexed(bytes32)
    by: indexed(address)
    kind: uint256
    repaid: uint256
    fee: uint256
    seized: uint256
    surplus: uint256
    bad_debt: uint256
    left: uint256


event Recovered:
    loan: indexed(bytes32)


TERMS_TYPE: constant(bytes32) = keccak256(
    "Terms(address borrower,address lender,bytes32 vault,uint256 principal,uint256 rate_bps,uint256 initial_ltv,uint256 restore_ltv,uint256 call_ltv,uint256 liquidation_ltv,uint256 cure,uint256 expires_at,uint256 draw_by,uint256 maturity,uint256 grace,uint256 recover_at,uint256 confirmations,uint256 liquidation,uint256 bonus_bps,uint256 max_fee,uint256 nonce,uint256 target_ltv,uint256 fee_bps,uint256 min_left,uint256 buf_bps,uint256 cut_bps,uint256 step,uint256 tail,uint256 cusp_bps,address arbiter,uint256 dispute,bytes32 origin)"
)

OPENED: constant(uint256) = 1
ACTIVE: constant(uint256) = 2
MARGIN_CALL: constant(uint256) = 3
LIQUIDATING: constant(uint256) = 4
REPAID: constant(uint256) = 5
SEIZED: constant(uint256) = 6
CANCELLED: constant(uint256) = 7
RECOVERED: constant(uint256) = 8
# Under the hash of terms that refinanced a loan: they count once.
USED: constant(uint256) = 9
MASK_PHASE: constant(uint256) = 15
# Flags, in the loan's word above its phase.
AMENDED: constant(uint256) = 16
DISPUTED: constant(uint256) = 32
HEARD: constant(uint256) = 64
MASK_FLAGS: constant(uint256) = 240

TAKE_OVER: constant(uint256) = 0
THIRD_PARTY: constant(uint256) = 1
PARTIAL: constant(uint256) = 2
AUCTION: constant(uint256) = 3

# Why collateral may be realised.
EXPIRED: constant(uint256) = 1
LEVEL: constant(uint256) = 2
OVERDUE: constant(uint256) = 3

# Rights in the registry.
BORROW: constant(uint256) = 4
LEND: constant(uint256) = 8

BPS: constant(uint256) = 10_000
WAD: constant(uint256) = 10**18
# sats x price / CENTS_SCALE = cents: 10**8 sats a coin x 10**8 price scale / 10**2 cents.
CENTS_SCALE: constant(uint256) = 10**14
# Basis points x seconds of a year of 365 days.
INTEREST_DEN: constant(uint256) = 10_000 * 31_536_000
DAY: constant(uint256) = 86_400
MASK_40: constant(uint256) = 2**40 - 1
MASK_64: constant(uint256) = 2**64 - 1
MAX_TIME: constant(uint256) = 2**40 - 1
# The accumulator stops here rather than revert: repaying must never become impossible. It is
# 8.0 x 10**18 cents of interest, which with the largest principal stays below 2**64 cents, the most
# cash that there can be.
MAX_INTEREST_ACC: constant(uint256) = 2**101 - 1

cash: public(immutable(address))
pledge: public(immutable(address))
prices: public(immutable(address))
registry: public(immutable(address))
# Cents: the most principal that may be in auctions at once.
auction_cap: public(immutable(uint256))

# loan -> phase 4 bits | flags 4 | principal 64 | accrued_to 40 | deadline 40 | interest_acc 104.
loans: HashMap[bytes32, uint256]
# loan -> hash of the terms in force, where they are not those that it is named after.
amended: HashMap[bytes32, bytes32]
# loan -> unix time 40 bits | active seconds 40, when its open dispute began.
disputes: HashMap[bytes32, uint256]
# Cents: principal of the loans in auction.
auction_debt: public(uint256)


@deploy
def __init__(
    cash_: address, pledge_: address, prices_: address, registry_: address, auction_cap_: uint256
):
    """
    @notice Deployed last. Rule: both tokens name this contract as their book (the deployer computes
        its address before) and that registry, which names them.
    @param auction_cap_ Cents: the most principal that may be in auctions at once.
    """
    typed_data.__init__("EscrowBook")
    assert prices_ != empty(address), "token/receiver"
    assert (
        staticcall ICash(cash_).book() == self and staticcall IPledge(pledge_).book() == self
    ), "token/not-book"
    assert (
        staticcall ICash(cash_).registry() == registry_
        and staticcall IPledge(pledge_).registry() == registry_
        and staticcall IRegistry(registry_).cash() == cash_
        and staticcall IRegistry(registry_).pledge() == pledge_
    ), "token/not-registry"
    cash = cash_
    pledge = pledge_
    prices = prices_
    registry = registry_
    auction_cap = auction_cap_


# Opening and closing


@external
def open(terms: Terms, borrower_sig: typed_data.Sig, lender_sig: typed_data.Sig):
    """
    @notice Anyone may carry terms that both parties signed. Rules: the terms are sound, not
        expired, and were not opened before; the registry lets the one borrow and the other lend.
    """
    self._open(terms, borrower_sig, lender_sig)


@external
def open_and_draw(
    terms: Terms,
    borrower_sig: typed_data.Sig,
    lender_sig: typed_data.Sig,
    sats: uint256,
    amount: uint256,
):
    """
    @notice The borrower. Opens, pledges and draws at once, by the rules of each; all or nothing.
    @param sats Free tokens of this loan's vault to pledge.
    @param amount Cents.
    """
    # WHO
    if msg.sender != terms.borrower:
        self._refuse("draw/not-borrower")
    # WHEN, THEN
    loan: bytes32 = self._open(terms, borrower_sig, lender_sig)
    self._top_up(loan, sats)
    self._draw(loan, self._unpack(OPENED), terms, amount)


@external
def cancel(terms: Terms):
    """
    @notice The borrower at any time before the first draw; anyone once the draw window has ended.
        What was pledged goes back to the borrower.
    """
    loan: bytes32 = empty(bytes32)
    l: Loan = empty(Loan)
    loan, l = self._find(terms)
    ended: bool = block.timestamp > terms.draw_by
    # WHO
    if not (
        ended or msg.sender == terms.borrower or msg.sender == terms.lender
    ):
        self._refuse("cancel/not-party")
    # WHEN
    if l.phase != OPENED:
        self._refuse("cancel/too-late")
    if not (ended or msg.sender == terms.borrower):
        self._refuse("cancel/draw-window")
    # THEN
    self.loans[loan] = CANCELLED
    log Cancelled(loan=loan)
    self._release_all(loan, terms.borrower)


@external
def recovered(terms: Terms):
    """
    @notice Anyone. Rule: from the recovery time on, a live loan without collateral is over; what is
        owed stays recorded, and stops growing, as a claim without security.
    """
    loan: bytes32 = empty(bytes32)
    l: Loan = empty(Loan)
    loan, l = self._find(terms)
    # WHEN
    if not (l.phase >= OPENED and l.phase <= LIQUIDATING):
        self._refuse("recover/not-live")
    if block.timestamp < terms.recover_at:
        self._refuse("recover/too-early")
    if staticcall IPledge(pledge).held(loan) != 0:
        self._refuse("recover/held")
    # THEN
    self._move_auctions(self._in_auction(l, terms.liquidation), 0)
    l.interest_acc = self._accrue(l, terms.rate_bps)
    l.phase = RECOVERED
    l.flags &= AMENDED
    l.deadline = 0
    self._store(loan, l)
    log Recovered(loan=loan)


@external
def refinance(
    terms: Terms, new: Terms, borrower_sig: typed_data.Sig, lender_sig: typed_data.Sig
):
    """
    @notice Anyone may carry new terms that the borrower and the new lender signed. Rules: the loan
        is drawn, not called and not in liquidation; the new terms name it as their origin, are
        sound, not expired and were never used; what the vault was built on stays; what is owed now
        is within the new principal and, at a fresh price, the new initial level. The new lender
        pays the old one what is owed, which becomes the principal. The loan keeps its id.
    """
    loan: bytes32 = empty(bytes32)
    l: Loan = empty(Loan)
    loan, l = self._find(terms)
    # WHEN
    self._check(new)
    if block.timestamp > new.expires_at:
        self._refuse("open/expired")
    if new.origin != loan:
        self._refuse("loan/terms")
    hashed: bytes32 = self._hash(new)
    if self.loans[hashed] != 0:
        self._refuse("refinance/used")
    # WHO
    self._check_parties(hashed, new, borrower_sig, lender_sig)
    if l.phase != ACTIVE:
        self._refuse("refinance/not-active")
    if not (
        new.borrower == terms.borrower
        and new.vault == terms.vault
        and new.recover_at == terms.recover_at
        and new.confirmations == terms.confirmations
        and new.max_fee == terms.max_fee
    ):
        self._refuse("refinance/custody")
    sight: Sight = empty(Sight)
    l, sight = self._look(loan, l, terms.rate_bps)
    if sight.debt > new.principal:
        self._refuse("draw/above-principal")
    if self._above(sight, new.initial_ltv):
        self._refuse("draw/above-initial-ltv")
    # THEN
    self.loans[hashed] = USED
    self.amended[loan] = hashed
    l.flags = AMENDED
    l.principal = sight.debt
    l.interest_acc = 0
    self._store(loan, l)
    log Refinanced(loan=loan, settled=sight.debt, terms=new)
    if new.lender != terms.lender:
        extcall ICash(cash).settle(new.lender, terms.lender, sight.debt)


# The borrower


@external
def top_up(terms: Terms, sats: uint256):
    """
    @notice The borrower pledges free tokens of this loan's vault. Needs no price.
    """
    loan: bytes32 = empty(bytes32)
    l: Loan = empty(Loan)
    loan, l = self._find(terms)
    # WHO
    if msg.sender != terms.borrower:
        self._refuse("top-up/not-borrower")
    # WHEN
    if not (l.phase >= OPENED and l.phase <= MARGIN_CALL):
        self._refuse("top-up/not-live")
    # THEN
    self._top_up(loan, sats)


@external
def withdraw(terms: Terms, sats: uint256):
    """
    @notice The borrower takes pledged tokens back. Rules: drawn, not called, not due, and what
        stays carries the debt at the initial level at a fresh price.
    """
    loan: bytes32 = empty(bytes32)
    l: Loan = empty(Loan)
    loan, l = self._find(terms)
    # WHO
    if msg.sender != terms.borrower:
        self._refuse("withdraw/not-borrower")
    # WHEN
    if l.phase != ACTIVE:
        self._refuse("withdraw/not-active")
    if block.timestamp > terms.maturity:
        self._refuse("withdraw/matured")
    if sats == 0:
        self._refuse("loan/amount")
    sight: Sight = empty(Sight)
    l, sight = self._look(loan, l, terms.rate_bps)
    if sats > sight.held:
        self._refuse("token/balance")
    sight.held -= sats
    if self._above(sight, terms.initial_ltv):
        self._refuse("withdraw/above-initial-ltv")
    # THEN: the debt is as it was, so the loan's word is too.
    log Withdrawn(loan=loan, sats=sats)
    extcall IPledge(pledge).release(loan, msg.sender, sats)


@external
def draw(terms: Terms, amount: uint256):
    """
    @notice The borrower takes cash from the lender, who approved the book. Rules: inside the draw
        window, within the principal, and at most the initial loan-to-value at a fresh price.
    @param amount Cents.
    """
    loan: bytes32 = empty(bytes32)
    l: Loan = empty(Loan)
    loan, l = self._find(terms)
    # WHO
    if msg.sender != terms.borrower:
        self._refuse("draw/not-borrower")
    # WHEN, THEN
    self._draw(loan, l, terms, amount)


@external
def repay(terms: Terms, amount: uint256):
    """
    @notice Anyone pays, interest first, and needs no price. What exceeds the debt is not taken.
        When nothing is owed the loan ends and everything pledged goes back to the borrower.
    @param amount Cents; the caller approved the book.
    """
    loan: bytes32 = empty(bytes32)
    l: Loan = empty(Loan)
    loan, l = self._find(terms)
    self._repay(loan, l, terms.borrower, terms.lender, terms.rate_bps, terms.liquidation, amount)


@external
def close(terms: Terms):
    """
    @notice Anyone pays all that is owed at this second. Same rules as repay.
    """
    loan: bytes32 = empty(bytes32)
    l: Loan = empty(Loan)
    loan, l = self._find(terms)
    self._repay(
        loan,
        l,
        terms.borrower,
        terms.lender,
        terms.rate_bps,
        terms.liquidation,
        max_value(uint256),
    )


# Margin call


@external
def margin_call(terms: Terms):
    """
    @notice Anyone. Rule: an active loan at or above the call level, at a fresh price. The cure time
        runs on the active clock.
    """
    loan: bytes32 = empty(bytes32)
    l: Loan = empty(Loan)
    loan, l = self._find(terms)
    # WHEN
    if l.phase != ACTIVE:
        self._refuse("call/not-active")
    sight: Sight = empty(Sight)
    l, sight = self._look(loan, l, terms.rate_bps)
    if not self._at_least(sight, terms.call_ltv):
        self._refuse("call/healthy")
    # THEN
    l.phase = MARGIN_CALL
    l.deadline = min(sight.active_seconds + terms.cure, MAX_TIME)
    self._store(loan, l)
    log MarginCalled(loan=loan, deadline=l.deadline, price=sight.price)


@external
def dispute(terms: Terms):
    """
    @notice The borrower, once a call, if the terms name an arbiter. The call does not expire until
        it is decided on. The liquidation level is not held up.
    """
    loan: bytes32 = empty(bytes32)
    l: Loan = empty(Loan)
    loan, l = self._find(terms)
    # WHO
    if msg.sender != terms.borrower:
        self._refuse("dispute/not-borrower")
    # WHEN
    if l.phase != MARGIN_CALL:
        self._refuse("dispute/not-called")
    if terms.arbiter == empty(address):
        self._refuse("dispute/no-arbiter")
    if l.flags & HEARD != 0:
        self._refuse("dispute/heard")
    # THEN
    self.disputes[loan] = self._now() | (self._active_seconds() << 40)
    self.loans[loan] |= DISPUTED | HEARD
    log Disputed(loan=loan)


@external
def resolve(terms: Terms, upheld: bool):
    """
    @notice The arbiter; once its time is over anyone, and then the call stands. A call that stands
        gives back the active seconds that passed meanwhile; one that was wrong is void.
    @param upheld Whether the borrower was right.
    """
    loan: bytes32 = empty(bytes32)
    l: Loan = empty(Loan)
    loan, l = self._find(terms)
    disputed: bool = l.flags & DISPUTED != 0
    begun: uint256 = self.disputes[loan]
    late: bool = disputed and block.timestamp > (begun & MASK_40) + terms.dispute
    # WHO
    if not (late or msg.sender == terms.arbiter):
        self._refuse("dispute/not-arbiter")
    # WHEN
    if not disputed:
        self._refuse("dispute/none")
    # THEN
    void: bool = upheld and not late
    if void:
        l = self._uncalled(l)
    else:
        passed: uint256 = self._active_seconds() - (begun >> 40)
        l.deadline = min(l.deadline + passed, MAX_TIME)
        l.flags ^= DISPUTED
    l.interest_acc = self._accrue(l, terms.rate_bps)
    self._store(loan, l)
    log Resolved(loan=loan, by=msg.sender, upheld=void, deadline=l.deadline)


@external
def cure(terms: Terms):
    """
    @notice Anyone. Rule: a called loan at or below the restore level, at a fresh price, is active.
    """
    loan: bytes32 = empty(bytes32)
    l: Loan = empty(Loan)
    loan, l = self._find(terms)
    # WHEN
    if l.phase != MARGIN_CALL:
        self._refuse("cure/not-called")
    sight: Sight = empty(Sight)
    l, sight = self._look(loan, l, terms.rate_bps)
    if self._above(sight, terms.restore_ltv):
        self._refuse("cure/not-restored")
    # THEN
    self._store(loan, self._uncalled(l))
    log Cured(loan=loan)


@external
def expire_call(terms: Terms):
    """
    @notice Anyone. Rule: after the deadline on the active clock (at the deadline is in time), not
        disputed, at a fresh price still at or above the call level. An auction's price falls from
        here, if the book has room for one.
    """
    loan: bytes32 = empty(bytes32)
    l: Loan = empty(Loan)
    loan, l = self._find(terms)
    # WHEN
    if l.phase != MARGIN_CALL:
        self._refuse("expire/not-called")
    if l.flags & DISPUTED != 0:
        self._refuse("expire/disputed")
    sight: Sight = empty(Sight)
    l, sight = self._look(loan, l, terms.rate_bps)
    if sight.active_seconds <= l.deadline:
        self._refuse("expire/cure-time")
    if not self._at_least(sight, terms.call_ltv):
        self._refuse("expire/healthy")
    # THEN
    l = self._liquidating(l, self._now())
    self._move_auctions(0, self._in_auction(l, terms.liquidation))
    self._store(loan, l)
    log CallExpired(loan=loan)


# Liquidation


@external
def take_over(terms: Terms):
    """
    @notice The lender, when the terms chose take-over: it takes tokens worth the debt, fee and
        bonus, and the debt is set off. What is left goes to the borrower.
    """
    loan: bytes32 = empty(bytes32)
    l: Loan = empty(Loan)
    loan, l = self._find(terms)
    # WHO
    if terms.liquidation != TAKE_OVER:
        self._refuse("liquidate/kind")
    if msg.sender != terms.lender:
        self._refuse("liquidate/not-lender")
    # WHEN, THEN
    self._sell(loan, l, terms, max_value(uint256), 0)


@external
def liquidate(terms: Terms, max_pay: uint256, min_sats: uint256):
    """
    @notice Anyone but the borrower, when the terms chose sale: it pays the lender and takes tokens
        worth what it pays and the bonus. To a third party as much of the debt as it likes, or all
        that the coins are worth if they cannot cover it; to a target, just what brings the
        loan-to-value back there. No sale leaves less debt than the terms say.
    @param max_pay Cents: the most that may be taken from the caller, who approved the book.
    @param min_sats Sats: the fewest that the caller takes for it.
    """
    loan: bytes32 = empty(bytes32)
    l: Loan = empty(Loan)
    loan, l = self._find(terms)
    # WHO
    if not (
        terms.liquidation == THIRD_PARTY or terms.liquidation == PARTIAL
    ):
        self._refuse("liquidate/kind")
    if msg.sender == terms.borrower:
        self._refuse("liquidate/self")
    # WHEN, THEN
    self._sell(loan, l, terms, max_pay, min_sats)


@external
def take(terms: Terms, want: uint256, max_price: uint256):
    """
    @notice Anyone but the borrower, when the terms chose auction: it pays the lender for tokens at
        the price of this second. Nobody has to start an auction: it runs from the expired call,
        from the price that breached the level, or from the default. Never more than the debt and
        its fee need; the last token gone with debt left is bad debt.
    @param want Sats: the most that the caller takes.
    @param max_price Whole currency units of 1 BTC x 10**8: the most that it pays for them.
    """
    loan: bytes32 = empty(bytes32)
    l: Loan = empty(Loan)
    loan, l = self._find(terms)
    # WHO
    if terms.liquidation != AUCTION:
        self._refuse("liquidate/kind")
    if msg.sender == terms.borrower:
        self._refuse("liquidate/self")
    # WHEN
    sight: Sight = empty(Sight)
    reason: uint256 = 0
    l, sight, reason = self._breached(loan, l, terms)
    start: uint256 = self._start(l, sight, terms, reason)
    part: uint256 = self._decay(terms, block.timestamp - start)
    if part == 0:
        self._refuse("auction/stale")
    price: uint256 = self._price_of(sight, terms, part)
    if price > max_price:
        self._refuse("liquidate/slippage")
    keep: uint256 = BPS - terms.fee_bps
    sats: uint256 = min(want, sight.held)
    paid: uint256 = self._ceil(sats * price, CENTS_SCALE)
    claim: uint256 = self._ceil(sight.debt * BPS, keep)
    covered: uint256 = sight.debt
    left: uint256 = 0
    if paid >= claim:
        paid = claim
        sats = min(sats, claim * CENTS_SCALE // price)
    else:
        covered = paid * keep // BPS
        if sats < sight.held:
            left = sight.debt - covered
            if covered <= 0:
                self._refuse("loan/amount")
            if left < terms.min_left:
                self._refuse("liquidate/dust")
    # THEN
    self._realise(loan, l, terms, sight, covered, paid, sats, left, start)


@external
def redo(terms: Terms):
    """
    @notice Anyone, when the terms chose auction: its price falls from here. Rules: the collateral
        may be realised, and an auction that was marked before is stale (after its tail, or below
        its cusp); the book has room for one that was not.
    """
    loan: bytes32 = empty(bytes32)
    l: Loan = empty(Loan)
    loan, l = self._find(terms)
    # WHO
    if terms.liquidation != AUCTION:
        self._refuse("liquidate/kind")
    # WHEN
    sight: Sight = empty(Sight)
    reason: uint256 = 0
    l, sight, reason = self._breached(loan, l, terms)
    before: uint256 = self._in_auction(l, AUCTION)
    if l.phase == LIQUIDATING:
        if self._decay(terms, block.timestamp - l.deadline) != 0:
            self._refuse("auction/running")
    # THEN
    l = self._liquidating(l, self._now())
    self._move_auctions(before, l.principal)
    self._store(loan, l)
    log AuctionBegun(loan=loan)


# Reading


@view
@external
def loan_id(terms: Terms) -> bytes32:
    """
    @notice Anyone may read. EIP-712 hashStruct of the terms, or the loan that they refinance.
    """
    return self._id(terms, self._hash(terms))


@view
@external
def loan(id: bytes32) -> (uint256, uint256, uint256, uint256, uint256):
    """
    @notice Anyone may read: what is stored. Phases: 0 none, 1 opened, 2 active, 3 margin call,
        4 liquidating, 5 repaid, 6 seized, 7 cancelled, 8 recovered, 9 terms that refinanced.
    @return phase, principal (cents), interest_acc (cents x bps x seconds, up to accrued_to),
        accrued_to (unix time), deadline (active seconds of a call, unix time at which a
        liquidation began; 0 if none)
    """
    l: Loan = self._unpack(self.loans[id])
    return l.phase, l.principal, l.interest_acc, l.accrued_to, l.deadline


@view
@external
def dispute_of(id: bytes32) -> (bool, uint256):
    """
    @notice Anyone may read.
    @return Whether the loan's call was disputed; unix time of a dispute that is open, or 0.
    """
    l: Loan = self._unpack(self.loans[id])
    begun: uint256 = 0
    if l.flags & DISPUTED != 0:
        begun = self.disputes[id] & MASK_40
    return l.flags & HEARD != 0, begun


@view
@external
def owed(terms: Terms) -> uint256:
    """
    @notice Anyone may read. Cents owed at this second, interest rounded up. Reverts for terms that
        are not in force.
    """
    loan: bytes32 = empty(bytes32)
    l: Loan = empty(Loan)
    loan, l = self._find(terms)
    l.interest_acc = self._accrue(l, terms.rate_bps)
    return self._owed(l)


@view
@external
def ltv(terms: Terms) -> uint256:
    """
    @notice Anyone may read. Basis points at this second, rounded up, at the last price whether
        fresh or not. 2**256 - 1 if something is owed and the collateral is worth nothing. Reverts
        for terms that are not in force.
    """
    loan: bytes32 = empty(bytes32)
    l: Loan = empty(Loan)
    loan, l = self._find(terms)
    l.interest_acc = self._accrue(l, terms.rate_bps)
    debt: uint256 = self._owed(l) * (CENTS_SCALE * BPS)
    if debt == 0:
        return 0
    price: uint256 = 0
    at: uint256 = 0
    fresh: bool = False
    active_seconds: uint256 = 0
    price, at, fresh, active_seconds = staticcall IPrices(prices).latest()
    worth: uint256 = staticcall IPledge(pledge).held(loan) * price
    if worth == 0:
        return max_value(uint256)
    return self._ceil(debt, worth)


@view
@external
def auction_price(terms: Terms) -> uint256:
    """
    @notice Anyone may read. What a taker pays for 1 BTC at this second, x 10**8. Reverts as take.
    """
    loan: bytes32 = empty(bytes32)
    l: Loan = empty(Loan)
    loan, l = self._find(terms)
    if terms.liquidation != AUCTION:
        self._refuse("liquidate/kind")
    sight: Sight = empty(Sight)
    reason: uint256 = 0
    l, sight, reason = self._breached(loan, l, terms)
    start: uint256 = self._start(l, sight, terms, reason)
    part: uint256 = self._decay(terms, block.timestamp - start)
    if part == 0:
        self._refuse("auction/stale")
    return self._price_of(sight, terms, part)


# Rules


@view
@internal
def _check(terms: Terms):
    if not (
        terms.initial_ltv > 0
        and terms.initial_ltv <= terms.restore_ltv
        and terms.restore_ltv < terms.call_ltv
        and terms.call_ltv < terms.liquidation_ltv
        and terms.liquidation_ltv < BPS
    ):
        self._refuse("terms/ltv-order")
    # Written so that no sum can overflow before its parts are bounded.
    if not (
        terms.expires_at <= terms.draw_by
        and terms.draw_by < terms.maturity
        and terms.maturity < terms.recover_at
        and terms.grace < terms.recover_at - terms.maturity
        and terms.recover_at <= MAX_TIME
    ):
        self._refuse("terms/time-order")
    if not (
        terms.principal > 0
        and terms.principal < 2**63
        and terms.confirmations >= 1
        and terms.confirmations <= 100
        and terms.bonus_bps <= 5_000
        and terms.fee_bps <= 5_000
        and terms.min_left <= terms.principal
        and terms.liquidation <= AUCTION
        and terms.max_fee >= 1
        and terms.max_fee <= 10_000_000
        and terms.cure >= 1
        and terms.cure <= 30 * DAY
        and terms.grace <= 365 * DAY
    ):
        self._refuse("terms/size")
    if terms.rate_bps > 100_000:
        self._refuse("terms/rate")
    if not (
        terms.borrower != empty(address)
        and terms.lender != empty(address)
        and terms.borrower != terms.lender
    ):
        self._refuse("terms/parties")
    # What a kind of liquidation does not use is zero, so that nobody signs idle words.
    if terms.liquidation == PARTIAL:
        # A sale moves towards its target only while a coin sold covers more than its share.
        if not (
            terms.target_ltv > 0
            and terms.target_ltv <= terms.restore_ltv
            and terms.target_ltv * (BPS + terms.bonus_bps) < (BPS - terms.fee_bps) * BPS
        ):
            self._refuse("terms/target")
    else:
        if terms.target_ltv != 0:
            self._refuse("terms/target")
    if terms.liquidation == AUCTION:
        if not (
            terms.bonus_bps == 0
            and terms.buf_bps >= BPS
            and terms.buf_bps <= 2 * BPS
            and terms.cut_bps > 0
            and terms.cut_bps < BPS
            and terms.step > 0
            and terms.step <= terms.tail
            and terms.tail <= 30 * DAY
            and terms.tail <= 1_000 * terms.step
            and terms.cusp_bps > 0
            and terms.cusp_bps <= BPS
        ):
            self._refuse("terms/auction")
    else:
        if not (
            terms.buf_bps | terms.cut_bps | terms.step | terms.tail | terms.cusp_bps == 0
        ):
            self._refuse("terms/auction")
    # A third person with time to decide, or neither.
    if terms.arbiter == empty(address):
        if terms.dispute != 0:
            self._refuse("terms/arbiter")
    else:
        if not (
            terms.dispute > 0
            and terms.dispute <= 30 * DAY
            and terms.arbiter != terms.borrower
            and terms.arbiter != terms.lender
        ):
            self._refuse("terms/arbiter")


@internal
def _open(
    terms: Terms, borrower_sig: typed_data.Sig, lender_sig: typed_data.Sig
) -> bytes32:
    loan: bytes32 = self._hash(terms)
    # WHEN
    self._check(terms)
    if block.timestamp > terms.expires_at:
        self._refuse("open/expired")
    if terms.origin != empty(bytes32):
        self._refuse("loan/terms")
    if self.loans[loan] != 0:
        self._refuse("loan/exists")
    # WHO
    self._check_parties(loan, terms, borrower_sig, lender_sig)
    # THEN
    self.loans[loan] = OPENED
    log Opened(loan=loan, borrower=terms.borrower, lender=terms.lender)
    return loan


@view
@internal
def _check_parties(
    hashed: bytes32, terms: Terms, borrower_sig: typed_data.Sig, lender_sig: typed_data.Sig
):
    # Both signed, and the registry lets the one borrow and the other lend.
    digest: bytes32 = typed_data._digest(hashed)
    if typed_data._signer(digest, borrower_sig) != terms.borrower:
        self._refuse("open/bad-signature")
    if typed_data._signer(digest, lender_sig) != terms.lender:
        self._refuse("open/bad-signature")
    if not staticcall IRegistry(registry).may(terms.borrower, BORROW):
        self._refuse("open/not-eligible")
    if not staticcall IRegistry(registry).may(terms.lender, LEND):
        self._refuse("open/not-eligible")


@internal
def _top_up(loan: bytes32, sats: uint256):
    # WHEN
    if sats == 0:
        self._refuse("loan/amount")
    # THEN
    log ToppedUp(loan=loan, sats=sats)
    extcall IPledge(pledge).hold(loan, msg.sender, sats)


@internal
def _draw(loan: bytes32, l0: Loan, terms: Terms, amount: uint256):
    l: Loan = l0
    # WHEN
    if not (l.phase == OPENED or l.phase == ACTIVE):
        self._refuse("draw/not-open")
    if block.timestamp > terms.draw_by:
        self._refuse("draw/window-closed")
    if amount == 0:
        self._refuse("loan/amount")
    if amount > terms.principal - l.principal:
        self._refuse("draw/above-principal")
    sight: Sight = empty(Sight)
    l, sight = self._look(loan, l, terms.rate_bps)
    sight.debt += amount
    if self._above(sight, terms.initial_ltv):
        self._refuse("draw/above-initial-ltv")
    # THEN
    l.phase = ACTIVE
    l.principal += amount
    self._store(loan, l)
    log Drawn(loan=loan, amount=amount)
    # This cash answers True or reverts.
    extcall ICash(cash).transferFrom(terms.lender, msg.sender, amount)


@internal
def _repay(
    loan: bytes32,
    l0: Loan,
    borrower: address,
    lender: address,
    rate_bps: uint256,
    kind: uint256,
    amount: uint256,
):
    l: Loan = l0
    # WHEN
    if not (l.phase >= ACTIVE and l.phase <= LIQUIDATING):
        self._refuse("repay/no-debt")
    if amount == 0:
        self._refuse("loan/amount")
    # THEN
    l.interest_acc = self._accrue(l, rate_bps)
    due: uint256 = self._interest(l.interest_acc)
    paid: uint256 = min(amount, l.principal + due)
    interest: uint256 = min(paid, due)
    principal: uint256 = paid - interest
    before: uint256 = self._in_auction(l, kind)
    self._move_auctions(before, before - min(before, principal))
    log Repaid(loan=loan, by=msg.sender, interest=interest, principal=principal)
    if principal == l.principal:
        # Interest comes first, so no principal means nothing owed.
        self.loans[loan] = REPAID | (l.flags & AMENDED)
        released: uint256 = self._release_all(loan, borrower)
        log Closed(loan=loan, released=released)
    else:
        self._store(loan, self._covered(l, interest, principal))
    extcall ICash(cash).settle(msg.sender, lender, paid)


@internal
def _sell(loan: bytes32, l0: Loan, terms: Terms, max_pay: uint256, min_sats: uint256):
    # At the oracle's price: take-over, sale to a third party, sale to a target.
    # WHEN
    l: Loan = l0
    sight: Sight = empty(Sight)
    reason: uint256 = 0
    l, sight, reason = self._breached(loan, l, terms)
    full: uint256 = (BPS + terms.bonus_bps) * CENTS_SCALE
    keep: uint256 = BPS - terms.fee_bps
    worth: uint256 = sight.held * sight.price * BPS
    covered: uint256 = sight.debt
    seized: uint256 = sight.held
    left: uint256 = 0
    paid: uint256 = self._ceil(covered * BPS, keep)
    if worth >= paid * full:
        if terms.liquidation == THIRD_PARTY:
            covered = min(covered, min(max_pay, paid) * keep // BPS)
        elif terms.liquidation == PARTIAL and block.timestamp <= terms.maturity + terms.grace:
            covered = self._to_target(sight, terms)
            if covered <= 0:
                self._refuse("liquidate/healthy")
            # Where too little debt would be left, all of it is sold for (Unchained).
            if sight.debt - covered < terms.min_left:
                covered = sight.debt
        if covered < sight.debt:
            left = sight.debt - covered
            if covered <= 0:
                self._refuse("loan/amount")
            if left < terms.min_left:
                self._refuse("liquidate/dust")
            paid = self._ceil(covered * BPS, keep)
        seized = paid * full // (BPS * sight.price)
    else:
        # All or nothing: a part would leave the loan worse than before.
        paid = min(paid, worth // full)
        covered = min(covered, paid * keep // BPS)
    if paid > max_pay:
        self._refuse("loan/amount")
    if seized < min_sats:
        self._refuse("liquidate/slippage")
    # THEN
    self._realise(loan, l, terms, sight, covered, paid, seized, left, 0)


@internal
def _realise(
    loan: bytes32,
    l0: Loan,
    terms: Terms,
    sight: Sight,
    covered: uint256,
    paid: uint256,
    seized: uint256,
    left: uint256,
    start: uint256,
):
    # What a sale does to debt, tokens and cash. `left`: the debt that stays, with what coins stay.
    l: Loan = l0
    before: uint256 = self._in_auction(l, terms.liquidation)
    surplus: uint256 = 0
    bad_debt: uint256 = 0
    if left == 0:
        surplus = sight.held - seized
        bad_debt = sight.debt - covered
        self._move_auctions(before, 0)
        self.loans[loan] = SEIZED | (l.flags & AMENDED)
    else:
        interest: uint256 = min(covered, sight.debt - l.principal)
        l = self._covered(l, interest, covered - interest)
        after: Sight = sight
        after.held -= seized
        after.debt = left
        if terms.liquidation == PARTIAL or not self._above(after, terms.restore_ltv):
            l = self._uncalled(l)
        elif terms.liquidation == AUCTION:
            l = self._liquidating(l, start)
        self._move_auctions(before, self._in_auction(l, terms.liquidation))
        self._store(loan, l)
    log Liquidated(
        loan=loan,
        by=msg.sender,
        kind=terms.liquidation,
        repaid=covered,
        fee=paid - covered,
        seized=seized,
        surplus=surplus,
        bad_debt=bad_debt,
        left=left,
    )
    extcall IPledge(pledge).execute(loan, terms.borrower, msg.sender, seized, surplus)
    if terms.liquidation != TAKE_OVER and paid > 0:
        extcall ICash(cash).settle(msg.sender, terms.lender, paid)


@view
@internal
def _breached(loan: bytes32, l0: Loan, terms: Terms) -> (Loan, Sight, uint256):
    # The loan with interest up to now, what a rule looks at, and why the collateral may be
    # realised. Refuses if it may not.
    l: Loan = l0
    if not (l.phase >= ACTIVE and l.phase <= LIQUIDATING):
        self._refuse("liquidate/not-live")
    # Without coins a sale would wipe out the debt for nothing: that is what recovered() is for.
    held: uint256 = staticcall IPledge(pledge).held(loan)
    if held <= 0:
        self._refuse("liquidate/not-live")
    sight: Sight = empty(Sight)
    l, sight = self._see(l, terms.rate_bps, held)
    if l.phase == LIQUIDATING:
        return l, sight, EXPIRED
    if self._at_least(sight, terms.liquidation_ltv):
        return l, sight, LEVEL
    if block.timestamp <= terms.maturity + terms.grace:
        self._refuse("liquidate/healthy")
    return l, sight, OVERDUE


@pure
@internal
def _start(l: Loan, sight: Sight, terms: Terms, reason: uint256) -> uint256:
    # Since when an auction's price falls: what is marked on the loan, else the price that breached
    # the level, else the default.
    if reason == EXPIRED:
        return l.deadline
    if reason == LEVEL:
        return sight.at
    return terms.maturity + terms.grace


@pure
@internal
def _decay(terms: Terms, elapsed: uint256) -> uint256:
    # What is left of an auction's first price, of WAD: (cut / BPS) ** steps by squaring, rounded
    # down at each multiplication. 0 if the auction is stale.
    if elapsed > terms.tail:
        return 0
    steps: uint256 = elapsed // terms.step
    base: uint256 = terms.cut_bps * (WAD // BPS)
    power: uint256 = WAD
    # At most 1,000 steps.
    for i: uint256 in range(10):
        if steps == 0:
            break
        if steps & 1 != 0:
            power = power * base // WAD
        base = base * base // WAD
        steps >>= 1
    if power * BPS < terms.cusp_bps * WAD:
        return 0
    return power


@pure
@internal
def _price_of(sight: Sight, terms: Terms, part: uint256) -> uint256:
    # Rounded up: for the borrower and the lender.
    return self._ceil(sight.price * terms.buf_bps * part, BPS * WAD)


@pure
@internal
def _to_target(sight: Sight, terms: Terms) -> uint256:
    # Cents of debt to cover so that the loan-to-value is the target, rounded up. With debt D, coins
    # worth C, target t, fee f, bonus b the payment is (D - t C) / ((1 - f) - t (1 + b)), and 1 - f
    # of it covers debt.
    keep: uint256 = BPS - terms.fee_bps
    debt: uint256 = sight.debt * (CENTS_SCALE * BPS)
    target: uint256 = terms.target_ltv * sight.held * sight.price
    if debt <= target:
        return 0
    share: uint256 = keep * BPS - terms.target_ltv * (BPS + terms.bonus_bps)
    return min(sight.debt, self._ceil((debt - target) * keep, CENTS_SCALE * share))


@pure
@internal
def _at_least(sight: Sight, level: uint256) -> bool:
    # ltv >= level, exactly: debt / (held x price / CENTS_SCALE) >= level / BPS, multiplied out.
    return sight.debt * (CENTS_SCALE * BPS) >= level * sight.held * sight.price


@pure
@internal
def _above(sight: Sight, level: uint256) -> bool:
    # ltv > level, exactly.
    return sight.debt * (CENTS_SCALE * BPS) > level * sight.held * sight.price


# The loan's state


@pure
@internal
def _uncalled(l0: Loan) -> Loan:
    # Active, with no call open.
    l: Loan = l0
    l.phase = ACTIVE
    l.flags &= AMENDED
    l.deadline = 0
    return l


@pure
@internal
def _liquidating(l0: Loan, start: uint256) -> Loan:
    l: Loan = l0
    l.phase = LIQUIDATING
    l.flags &= AMENDED
    l.deadline = start
    return l


@pure
@internal
def _covered(l0: Loan, interest: uint256, principal: uint256) -> Loan:
    # What rounding up added to a cent is the lender's and is not carried over.
    l: Loan = l0
    l.interest_acc -= min(l.interest_acc, interest * INTEREST_DEN)
    l.principal -= principal
    return l


@pure
@internal
def _in_auction(l: Loan, kind: uint256) -> uint256:
    # Principal that this loan has in auction.
    if kind == AUCTION and l.phase == LIQUIDATING:
        return l.principal
    return 0


@internal
def _move_auctions(before: uint256, after: uint256):
    # One loan's part of what is in auction changes. Only more can be refused.
    if before == after:
        return
    rest: uint256 = self.auction_debt - before
    if not (after <= before or rest + after <= auction_cap):
        self._refuse("auction/cap")
    self.auction_debt = rest + after


@view
@internal
def _accrue(l: Loan, rate_bps: uint256) -> uint256:
    # interest_acc as of now. A recovered loan's claim is frozen.
    if l.principal == 0 or l.phase == RECOVERED:
        return l.interest_acc
    return min(
        l.interest_acc + l.principal * rate_bps * (self._now() - l.accrued_to), MAX_INTEREST_ACC
    )


@pure
@internal
def _interest(interest_acc: uint256) -> uint256:
    # Cents, rounded up: for the lender.
    return self._ceil(interest_acc, INTEREST_DEN)


@pure
@internal
def _owed(l: Loan) -> uint256:
    return l.principal + self._interest(l.interest_acc)


@view
@internal
def _now() -> uint256:
    return min(block.timestamp, MAX_TIME)


# Parts


@pure
@internal
def _refuse(code: String[32]):
    # A reason written out at each check takes 150 bytes of code; they would not fit in EIP-170's
    # 24,576. Nothing is paid where the check holds.
    raise code


@pure
@internal
def _ceil(a: uint256, b: uint256) -> uint256:
    return (a + b - 1) // b


@pure
@internal
def _hash(terms: Terms) -> bytes32:
    # EIP-712 hashStruct(Terms): every member is one word.
    return keccak256(abi_encode(TERMS_TYPE, terms))


@pure
@internal
def _id(terms: Terms, hashed: bytes32) -> bytes32:
    if terms.origin == empty(bytes32):
        return hashed
    return terms.origin


@view
@internal
def _find(terms: Terms) -> (bytes32, Loan):
    # The loan that these terms are in force for.
    hashed: bytes32 = self._hash(terms)
    loan: bytes32 = self._id(terms, hashed)
    word: uint256 = self.loans[loan]
    if word == 0:
        self._refuse("loan/unknown")
    if word & AMENDED == 0:
        if loan != hashed:
            self._refuse("loan/terms")
    else:
        if self.amended[loan] != hashed:
            self._refuse("loan/terms")
    return loan, self._unpack(word)


@view
@internal
def _look(loan: bytes32, l: Loan, rate_bps: uint256) -> (Loan, Sight):
    # The loan with interest up to now, and what a rule looks at. Refuses when no price is fresh.
    return self._see(l, rate_bps, staticcall IPledge(pledge).held(loan))


@view
@internal
def _see(l0: Loan, rate_bps: uint256, held: uint256) -> (Loan, Sight):
    l: Loan = l0
    price: uint256 = 0
    at: uint256 = 0
    fresh: bool = False
    active_seconds: uint256 = 0
    price, at, fresh, active_seconds = staticcall IPrices(prices).latest()
    if not fresh:
        self._refuse("price/stale")
    l.interest_acc = self._accrue(l, rate_bps)
    return l, Sight(
        price=price, at=at, active_seconds=active_seconds, held=held, debt=self._owed(l)
    )


@view
@internal
def _active_seconds() -> uint256:
    price: uint256 = 0
    at: uint256 = 0
    fresh: bool = False
    active_seconds: uint256 = 0
    price, at, fresh, active_seconds = staticcall IPrices(prices).latest()
    return active_seconds


@pure
@internal
def _unpack(word: uint256) -> Loan:
    return Loan(
        phase=word & MASK_PHASE,
        flags=word & MASK_FLAGS,
        principal=(word >> 8) & MASK_64,
        accrued_to=(word >> 72) & MASK_40,
        deadline=(word >> 112) & MASK_40,
        interest_acc=word >> 152,
    )


@internal
def _store(loan: bytes32, l: Loan):
    # Always with interest up to now.
    self.loans[loan] = (
        l.phase
        | l.flags
        | (l.principal << 8)
        | (self._now() << 72)
        | (l.deadline << 112)
        | (l.interest_acc << 152)
    )


@internal
def _release_all(loan: bytes32, holder: address) -> uint256:
    held: uint256 = staticcall IPledge(pledge).held(loan)
    if held > 0:
        extcall IPledge(pledge).release(loan, holder, held)
    return held
