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
    # P2WSH witness program of the vault.
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
    # 0: the lender takes over. 1: sale to a third party.
    liquidation: uint256
    # What the taker gets above the debt, basis points.
    bonus_bps: uint256
    # Sats: bound on the Bitcoin fee of a payout.
    max_fee: uint256
    nonce: uint256


struct Loan:
    phase: uint256
    # Cents.
    principal: uint256
    # Unix time up to which interest is in `interest_acc`.
    accrued_to: uint256
    # Active seconds; 0 while no call is open.
    deadline: uint256
    # Exact: sum of cents x bps x seconds. Interest in cents = interest_acc / INTEREST_DEN.
    interest_acc: uint256


event Opened:
    loan: indexed(bytes32)
    borrower: indexed(address)
    lender: indexed(address)


event Cancelled:
    loan: indexed(bytes32)


event ToppedUp:
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


event MarginCalled:
    loan: indexed(bytes32)
    deadline: uint256
    price: uint256


event Cured:
    loan: indexed(bytes32)


event CallExpired:
    loan: indexed(bytes32)


event Liquidated:
    loan: indexed(bytes32)
    by: indexed(address)
    kind: uint256
    repaid: uint256
    seized: uint256
    surplus: uint256
    bad_debt: uint256


event Recovered:
    loan: indexed(bytes32)


TERMS_TYPE: constant(bytes32) = keccak256(
    "Terms(address borrower,address lender,bytes32 vault,uint256 principal,uint256 rate_bps,uint256 initial_ltv,uint256 restore_ltv,uint256 call_ltv,uint256 liquidation_ltv,uint256 cure,uint256 expires_at,uint256 draw_by,uint256 maturity,uint256 grace,uint256 recover_at,uint256 confirmations,uint256 liquidation,uint256 bonus_bps,uint256 max_fee,uint256 nonce)"
)

OPENED: constant(uint256) = 1
ACTIVE: constant(uint256) = 2
MARGIN_CALL: constant(uint256) = 3
LIQUIDATING: constant(uint256) = 4
REPAID: constant(uint256) = 5
SEIZED: constant(uint256) = 6
CANCELLED: constant(uint256) = 7
RECOVERED: constant(uint256) = 8

TAKE_OVER: constant(uint256) = 0
SALE: constant(uint256) = 1

BPS: constant(uint256) = 10_000
# sats x price / CENTS_SCALE = cents: 10**8 sats a coin x 10**8 price scale / 10**2 cents.
CENTS_SCALE: constant(uint256) = 10**14
# Basis points x seconds of a year of 365 days.
INTEREST_DEN: constant(uint256) = 10_000 * 31_536_000
DAY: constant(uint256) = 86_400
MASK_8: constant(uint256) = 2**8 - 1
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

# loan -> phase 8 bits | principal 64 | accrued_to 40 | deadline 40 | interest_acc 104, low to high.
loans: HashMap[bytes32, uint256]


@deploy
def __init__(cash_: address, pledge_: address, prices_: address, registry_: address):
    """
    @notice Deployed last. Rule: both tokens name this contract as their book (the deployer computes
        its address before) and that registry, which names them.
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


# Opening and closing


@external
def open(terms: Terms, borrower_sig: typed_data.Sig, lender_sig: typed_data.Sig):
    """
    @notice Anyone may carry terms that both parties signed. Rules: the terms are sound, not
        expired, and were not opened before.
    """
    loan: bytes32 = self._id(terms)
    # WHEN
    self._check(terms)
    assert block.timestamp <= terms.expires_at, "open/expired"
    assert self.loans[loan] == 0, "loan/exists"
    # WHO
    digest: bytes32 = typed_data._digest(loan)
    assert typed_data._signer(digest, borrower_sig) == terms.borrower, "open/bad-signature"
    assert typed_data._signer(digest, lender_sig) == terms.lender, "open/bad-signature"
    # THEN
    self.loans[loan] = OPENED
    log Opened(loan=loan, borrower=terms.borrower, lender=terms.lender)


@external
def cancel(terms: Terms):
    """
    @notice The borrower at any time before the first draw; anyone once the draw window has ended.
        What was pledged goes back to the borrower.
    """
    loan: bytes32 = self._id(terms)
    l: Loan = self._load(loan)
    ended: bool = block.timestamp > terms.draw_by
    # WHO
    assert (
        ended or msg.sender == terms.borrower or msg.sender == terms.lender
    ), "cancel/not-party"
    # WHEN
    assert l.phase == OPENED, "cancel/too-late"
    assert ended or msg.sender == terms.borrower, "cancel/draw-window"
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
    loan: bytes32 = self._id(terms)
    l: Loan = self._load(loan)
    # WHEN
    assert l.phase >= OPENED and l.phase <= LIQUIDATING, "recover/not-live"
    assert block.timestamp >= terms.recover_at, "recover/too-early"
    assert staticcall IPledge(pledge).held(loan) == 0, "recover/held"
    # THEN
    l.interest_acc = self._accrue(l, terms.rate_bps)
    l.phase = RECOVERED
    l.deadline = 0
    self._store(loan, l)
    log Recovered(loan=loan)


# The borrower


@external
def top_up(terms: Terms, sats: uint256):
    """
    @notice The borrower pledges free tokens of this loan's vault. Needs no price.
    """
    loan: bytes32 = self._id(terms)
    l: Loan = self._load(loan)
    # WHO
    assert msg.sender == terms.borrower, "top-up/not-borrower"
    # WHEN
    assert l.phase >= OPENED and l.phase <= MARGIN_CALL, "top-up/not-live"
    assert sats > 0, "loan/amount"
    # THEN
    log ToppedUp(loan=loan, sats=sats)
    extcall IPledge(pledge).hold(loan, msg.sender, sats)


@external
def draw(terms: Terms, amount: uint256):
    """
    @notice The borrower takes cash from the lender, who approved the book. Rules: inside the draw
        window, within the principal, and at most the initial loan-to-value at a fresh price.
    @param amount Cents.
    """
    loan: bytes32 = self._id(terms)
    l: Loan = self._load(loan)
    # WHO
    assert msg.sender == terms.borrower, "draw/not-borrower"
    # WHEN
    assert l.phase == OPENED or l.phase == ACTIVE, "draw/not-open"
    assert block.timestamp <= terms.draw_by, "draw/window-closed"
    assert amount > 0, "loan/amount"
    assert amount <= terms.principal - l.principal, "draw/above-principal"
    price: uint256 = 0
    active_seconds: uint256 = 0
    price, active_seconds = self._fresh()
    l.interest_acc = self._accrue(l, terms.rate_bps)
    l.principal += amount
    held: uint256 = staticcall IPledge(pledge).held(loan)
    assert not self._above(l, held, price, terms.initial_ltv), "draw/above-initial-ltv"
    # THEN
    l.phase = ACTIVE
    self._store(loan, l)
    log Drawn(loan=loan, amount=amount)
    # This cash answers True or reverts.
    extcall ICash(cash).transferFrom(terms.lender, msg.sender, amount)


@external
def repay(terms: Terms, amount: uint256):
    """
    @notice Anyone pays, interest first, and needs no price. What exceeds the debt is not taken. When
        nothing is owed the loan ends and everything pledged goes back to the borrower.
    @param amount Cents; the caller approved the book.
    """
    self._repay(self._id(terms), terms.borrower, terms.lender, terms.rate_bps, amount)


@external
def close(terms: Terms):
    """
    @notice Anyone pays all that is owed at this second. Same rules as repay.
    """
    self._repay(
        self._id(terms), terms.borrower, terms.lender, terms.rate_bps, max_value(uint256)
    )


# Margin call


@external
def margin_call(terms: Terms):
    """
    @notice Anyone. Rule: an active loan at or above the call level, at a fresh price. The cure time
        runs on the active clock.
    """
    loan: bytes32 = self._id(terms)
    l: Loan = self._load(loan)
    # WHEN
    assert l.phase == ACTIVE, "call/not-active"
    price: uint256 = 0
    active_seconds: uint256 = 0
    price, active_seconds = self._fresh()
    l.interest_acc = self._accrue(l, terms.rate_bps)
    held: uint256 = staticcall IPledge(pledge).held(loan)
    assert self._at_least(l, held, price, terms.call_ltv), "call/healthy"
    # THEN
    l.phase = MARGIN_CALL
    l.deadline = min(active_seconds + terms.cure, MAX_TIME)
    self._store(loan, l)
    log MarginCalled(loan=loan, deadline=l.deadline, price=price)


@external
def cure(terms: Terms):
    """
    @notice Anyone. Rule: a called loan at or below the restore level, at a fresh price, is active.
    """
    loan: bytes32 = self._id(terms)
    l: Loan = self._load(loan)
    # WHEN
    assert l.phase == MARGIN_CALL, "cure/not-called"
    price: uint256 = 0
    active_seconds: uint256 = 0
    price, active_seconds = self._fresh()
    l.interest_acc = self._accrue(l, terms.rate_bps)
    held: uint256 = staticcall IPledge(pledge).held(loan)
    assert not self._above(l, held, price, terms.restore_ltv), "cure/not-restored"
    # THEN
    l.phase = ACTIVE
    l.deadline = 0
    self._store(loan, l)
    log Cured(loan=loan)


@external
def expire_call(terms: Terms):
    """
    @notice Anyone. Rule: after the deadline on the active clock (at the deadline is in time), at a
        fresh price still at or above the call level. There is no way back but repaying.
    """
    loan: bytes32 = self._id(terms)
    l: Loan = self._load(loan)
    # WHEN
    assert l.phase == MARGIN_CALL, "expire/not-called"
    price: uint256 = 0
    active_seconds: uint256 = 0
    price, active_seconds = self._fresh()
    assert active_seconds > l.deadline, "expire/cure-time"
    l.interest_acc = self._accrue(l, terms.rate_bps)
    held: uint256 = staticcall IPledge(pledge).held(loan)
    assert self._at_least(l, held, price, terms.call_ltv), "expire/healthy"
    # THEN
    l.phase = LIQUIDATING
    l.deadline = 0
    self._store(loan, l)
    log CallExpired(loan=loan)


# Liquidation


@external
def take_over(terms: Terms):
    """
    @notice The lender, when the terms chose take-over: it takes tokens worth the debt and the
        bonus and the debt is set off. What is left goes to the borrower.
    """
    loan: bytes32 = self._id(terms)
    l: Loan = self._load(loan)
    # WHO
    assert terms.liquidation == TAKE_OVER, "liquidate/kind"
    assert msg.sender == terms.lender, "liquidate/not-lender"
    # WHEN, THEN
    self._liquidate(loan, l, terms, max_value(uint256))


@external
def liquidate(terms: Terms, max_pay: uint256):
    """
    @notice Anyone but the borrower, when the terms chose sale: it pays the debt to the lender and
        takes tokens worth what it pays and the bonus. What is left goes to the borrower.
    @param max_pay Cents: the most that may be taken from the caller, who approved the book.
    """
    loan: bytes32 = self._id(terms)
    l: Loan = self._load(loan)
    # WHO
    assert terms.liquidation == SALE, "liquidate/kind"
    assert msg.sender != terms.borrower, "liquidate/self"
    # WHEN, THEN
    repaid: uint256 = self._liquidate(loan, l, terms, max_pay)
    self._pay(msg.sender, terms.lender, repaid)


# Reading


@view
@external
def loan_id(terms: Terms) -> bytes32:
    """
    @notice Anyone may read. EIP-712 hashStruct of the terms.
    """
    return self._id(terms)


@view
@external
def loan(id: bytes32) -> (uint256, uint256, uint256, uint256, uint256):
    """
    @notice Anyone may read: what is stored. Phases: 0 none, 1 opened, 2 active, 3 margin call,
        4 liquidating, 5 repaid, 6 seized, 7 cancelled, 8 recovered.
    @return phase, principal (cents), interest_acc (cents x bps x seconds, up to accrued_to),
        accrued_to (unix time), deadline (active seconds; 0 if none)
    """
    l: Loan = self._unpack(self.loans[id])
    return l.phase, l.principal, l.interest_acc, l.accrued_to, l.deadline


@view
@external
def owed(terms: Terms) -> uint256:
    """
    @notice Anyone may read. Cents owed at this second, interest rounded up.
    """
    l: Loan = self._unpack(self.loans[self._id(terms)])
    l.interest_acc = self._accrue(l, terms.rate_bps)
    return self._owed(l)


@view
@external
def ltv(terms: Terms) -> uint256:
    """
    @notice Anyone may read. Basis points at this second, rounded up, at the last price whether
        fresh or not. 2**256 - 1 if something is owed and the collateral is worth nothing.
    """
    loan: bytes32 = self._id(terms)
    l: Loan = self._unpack(self.loans[loan])
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
    return (debt + worth - 1) // worth


# Rules


@view
@internal
def _check(terms: Terms):
    assert (
        terms.initial_ltv > 0
        and terms.initial_ltv <= terms.restore_ltv
        and terms.restore_ltv < terms.call_ltv
        and terms.call_ltv < terms.liquidation_ltv
        and terms.liquidation_ltv < BPS
    ), "terms/ltv-order"
    # Written so that no sum can overflow before its parts are bounded.
    assert (
        terms.expires_at <= terms.draw_by
        and terms.draw_by < terms.maturity
        and terms.maturity < terms.recover_at
        and terms.grace < terms.recover_at - terms.maturity
        and terms.recover_at <= MAX_TIME
    ), "terms/time-order"
    assert (
        terms.principal > 0
        and terms.principal < 2**63
        and terms.confirmations >= 1
        and terms.confirmations <= 100
        and terms.bonus_bps <= 5_000
        and terms.liquidation <= SALE
        and terms.max_fee >= 1
        and terms.max_fee <= 10_000_000
        and terms.cure >= 1
        and terms.cure <= 30 * DAY
        and terms.grace <= 365 * DAY
    ), "terms/size"
    assert terms.rate_bps <= 100_000, "terms/rate"
    assert (
        terms.borrower != empty(address)
        and terms.lender != empty(address)
        and terms.borrower != terms.lender
    ), "terms/parties"


@internal
def _repay(
    loan: bytes32, borrower: address, lender: address, rate_bps: uint256, amount: uint256
):
    l: Loan = self._load(loan)
    # WHEN
    assert l.phase >= ACTIVE and l.phase <= LIQUIDATING, "repay/no-debt"
    assert amount > 0, "loan/amount"
    # THEN
    l.interest_acc = self._accrue(l, rate_bps)
    due: uint256 = self._interest(l.interest_acc)
    paid: uint256 = min(amount, l.principal + due)
    interest: uint256 = min(paid, due)
    principal: uint256 = paid - interest
    log Repaid(loan=loan, by=msg.sender, interest=interest, principal=principal)
    if principal == l.principal:
        # Interest comes first, so no principal means nothing owed.
        self.loans[loan] = REPAID
        released: uint256 = self._release_all(loan, borrower)
        log Closed(loan=loan, released=released)
    else:
        # What rounding up added to a cent is the lender's and is not carried over.
        l.interest_acc -= min(l.interest_acc, interest * INTEREST_DEN)
        l.principal -= principal
        self._store(loan, l)
    self._pay(msg.sender, lender, paid)


@internal
def _liquidate(loan: bytes32, l: Loan, terms: Terms, max_pay: uint256) -> uint256:
    # Ends the loan and hands out the tokens. Answers how many cents of the debt they paid for.
    # WHEN
    assert l.phase >= ACTIVE and l.phase <= LIQUIDATING, "liquidate/not-live"
    held: uint256 = staticcall IPledge(pledge).held(loan)
    # Without coins a sale would wipe out the debt for nothing: that is what recovered() is for.
    assert held > 0, "liquidate/not-live"
    price: uint256 = 0
    active_seconds: uint256 = 0
    price, active_seconds = self._fresh()
    l.interest_acc = self._accrue(l, terms.rate_bps)
    assert (
        l.phase == LIQUIDATING
        or block.timestamp > terms.maturity + terms.grace
        or self._at_least(l, held, price, terms.liquidation_ltv)
    ), "liquidate/healthy"
    debt: uint256 = self._owed(l)
    # Cents, scaled by CENTS_SCALE x BPS: what the coins are worth, and the debt with the bonus.
    worth: uint256 = held * price * BPS
    claim: uint256 = debt * (BPS + terms.bonus_bps) * CENTS_SCALE
    repaid: uint256 = debt
    seized: uint256 = held
    if worth >= claim:
        seized = claim // (BPS * price)
    else:
        repaid = min(debt, worth // (CENTS_SCALE * (BPS + terms.bonus_bps)))
    surplus: uint256 = held - seized
    assert repaid <= max_pay, "loan/amount"
    # THEN
    self.loans[loan] = SEIZED
    log Liquidated(
        loan=loan,
        by=msg.sender,
        kind=terms.liquidation,
        repaid=repaid,
        seized=seized,
        surplus=surplus,
        bad_debt=debt - repaid,
    )
    extcall IPledge(pledge).execute(loan, terms.borrower, msg.sender, seized, surplus)
    return repaid


@pure
@internal
def _at_least(l: Loan, held: uint256, price: uint256, level: uint256) -> bool:
    # ltv >= level, exactly: owed / (held x price / CENTS_SCALE) >= level / BPS, multiplied out.
    return self._owed(l) * (CENTS_SCALE * BPS) >= level * held * price


@pure
@internal
def _above(l: Loan, held: uint256, price: uint256, level: uint256) -> bool:
    # ltv > level, exactly.
    return self._owed(l) * (CENTS_SCALE * BPS) > level * held * price


# The debt


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
    return (interest_acc + INTEREST_DEN - 1) // INTEREST_DEN


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
def _id(terms: Terms) -> bytes32:
    # EIP-712 hashStruct(Terms): every member is one word.
    return keccak256(abi_encode(TERMS_TYPE, terms))


@view
@internal
def _fresh() -> (uint256, uint256):
    # The price and the active clock; refuses when no price is fresh.
    price: uint256 = 0
    at: uint256 = 0
    fresh: bool = False
    active_seconds: uint256 = 0
    price, at, fresh, active_seconds = staticcall IPrices(prices).latest()
    assert fresh, "price/stale"
    return price, active_seconds


@view
@internal
def _load(loan: bytes32) -> Loan:
    word: uint256 = self.loans[loan]
    assert word != 0, "loan/unknown"
    return self._unpack(word)


@pure
@internal
def _unpack(word: uint256) -> Loan:
    return Loan(
        phase=word & MASK_8,
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
        | (l.principal << 8)
        | (self._now() << 72)
        | (l.deadline << 112)
        | (l.interest_acc << 152)
    )


@internal
def _release_all(loan: bytes32, to: address) -> uint256:
    held: uint256 = staticcall IPledge(pledge).held(loan)
    if held > 0:
        extcall IPledge(pledge).release(loan, to, held)
    return held


@internal
def _pay(payer: address, payee: address, amount: uint256):
    if amount > 0:
        extcall ICash(cash).settle(payer, payee, amount)
