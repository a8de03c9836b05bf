"""Laws: what must hold after every event, numbered, pure, each with its sentence.

Two kinds, never mixed: a *promise of the rules* holds
whatever the world does; an *agreement with the world* can be broken by a reorganisation, and
is written as "holds, or a remedy is due".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from escrow.core.due import AttestLoss, AwaitReburial, MakeGood, due
from escrow.core.eligibility import DENIED, Gate
from escrow.core.errors import CODES, Rejected
from escrow.core.gates import collateral_gate, denial
from escrow.core.phases import (
    breach,
    carries_tokens,
    debt_now,
    missing,
    system_phase,
    terms_of,
)
from escrow.core.realise import auction_start
from escrow.core.regions import loan as ln
from escrow.core.regions import register as rg
from escrow.core.regions import servicing as sv
from escrow.core.regions import token as tk
from escrow.core.regions import vault as vt
from escrow.core.regions.system import (
    RESUME_GRACE,
    PriceMarked,
    Resumed,
    active_seconds,
    is_fresh,
    is_jump,
    median,
    stale_from,
)
from escrow.core.roles import Role
from escrow.core.rules import (
    INTEREST_DEN,
    Debt,
    at_or_above,
    at_or_below,
    fee_shares,
    interest_due,
    owed,
    value_down,
)
from escrow.core.sales import is_stale_auction
from escrow.core.scripts import DUST, DUST_CHANGE, is_standard_output
from escrow.core.servicing import default_from, overdue_since
from escrow.core.state import Escrow, Event, Incident, fold
from escrow.core.terms import MIN_DEPOSIT, Liquidation
from escrow.core.units import (
    BPS,
    CENTS_SCALE,
    MAX_PRICE,
    Cents,
    Sats,
    Seconds,
    muldiv_down,
    muldiv_up,
)
from escrow.core.verbs.repay import Repay, repay


@dataclass(frozen=True, slots=True)
class Step:
    """One event, and the deal before and after it."""

    before: Escrow
    event: Event
    after: Escrow


@dataclass(frozen=True, slots=True)
class Law:
    """A numbered sentence with its check."""

    id: str
    """Id of the property catalogue; numbers past the catalogue's last are our own."""
    enforced: tuple[str, ...]
    """Which parts make it true even against the others: script, contract, engine."""
    check: Callable[[Step], bool]
    """Does it hold at this step? Its docstring is the law in one sentence."""

    @property
    def words(self) -> str:
        return self.check.__doc__ or ""


S, C, E = "script", "contract", "engine"
_LAWS: list[Law] = []


def law(number: str, *enforced: str) -> Callable[[Callable[[Step], bool]], Callable[[Step], bool]]:
    def enter(check: Callable[[Step], bool]) -> Callable[[Step], bool]:
        _LAWS.append(Law(number, enforced, check))
        return check

    return enter


def _debt(loan: ln.Loan) -> Debt:
    return getattr(loan, "debt", Debt())


@law("INV-SAT-1", S, E)
def sats_are_conserved(step: Step) -> bool:
    """Deposits equal coins kept, paid out and burned as fees."""
    vault = step.after.vault
    deposits = sum(c.sats for c in vault.coins if not c.change)
    kept = sum(c.sats for c in vault.coins if not isinstance(c.status, vt.Spent))
    out = sum(s for p in vault.payouts for _, s in p.paid) + sum(p.fee for p in vault.payouts)
    return deposits == kept + out


@law("INV-SAT-2", S, E)
def no_coin_is_spent_twice(step: Step) -> bool:
    """No coin is spent twice and none is counted twice."""
    spent = [outpoint for payout in step.after.vault.payouts for outpoint in payout.inputs]
    coins = [coin.outpoint for coin in step.after.vault.coins]
    return len(set(spent)) == len(spent) and len(set(coins)) == len(coins)


@law("INV-SAT-3", S, E)
def payouts_balance_within_the_fee_bound(step: Step) -> bool:
    """Every payout's inputs equal outputs and fee, within the fee bound."""
    value = {coin.outpoint: coin.sats for coin in step.after.vault.coins}
    return all(
        sum(value[o] for o in p.inputs) == sum(s for _, s in p.paid) + p.change + p.fee
        and 0 <= p.fee <= terms_of(step.after.loan).max_fee
        for p in step.after.vault.payouts
    )


@law("INV-SAT-4", E)
def no_payout_is_dust(step: Step) -> bool:
    """No payout makes dust."""
    return all(
        sats >= DUST and (p.change == 0 or p.change >= DUST_CHANGE)
        for p in step.after.vault.payouts
        for _, sats in p.paid
    )


@law("INV-TOK-1", C, E)
def supply_equals_coins(step: Step) -> bool:
    """Tokens equal the coins they stand on less unpaid burns, or a remedy is due."""
    remedied = sum(
        effect.sats for effect in due(step.after) if isinstance(effect, AttestLoss | MakeGood)
    )
    return 0 <= missing(step.after) <= remedied


@law("INV-TOK-3", C, E)
def token_amounts_add_up(step: Step) -> bool:
    """Held, free, burned and retired tokens add up to those minted."""
    token = step.after.token
    return (
        token.held >= 0
        and tk.free(token) >= 0
        and token.held + tk.free(token) + token.burned + token.retired == token.minted
        and token.burned == sum(burn.sats for burn in token.burns)
    )


@law("INV-TOK-4", C, E)
def held_tokens_move_only_by_the_book(step: Step) -> bool:
    """Held tokens move only by pledge, release, seizure or retirement."""
    if step.before.token.held == step.after.token.held:
        return True
    return isinstance(step.event, tk.TokensHeld | tk.TokensFreed | tk.Retired)


@law("INV-TOK-6", C, E)
def burn_before_coins_and_coins_before_mint(step: Step) -> bool:
    """Burn before coins leave; final coins before mint."""
    match step.event:
        case vt.PayoutSent(payout=payout) | vt.PayoutReplaced(payout=payout):
            known = {burn.id for burn in step.before.token.burns}
            return all(burn_id in known for burn_id, _ in payout.paid)
        case tk.Minted(outpoint=outpoint):
            coin = vt.find(step.before.vault, outpoint)
            return coin is not None and isinstance(coin.status, vt.Locked)
        case _:
            return True


@law("INV-TOK-7", E)
def a_deep_reorg_is_never_silent(step: Step) -> bool:
    """A reorganisation below a mint is never silent: a remedy is due."""
    escrow = step.after
    named = {
        effect.outpoint for effect in due(escrow) if isinstance(effect, AttestLoss | AwaitReburial)
    }
    # With no token left there is none to retire; a burner's loss has a remedy of its own.
    return tk.outstanding(escrow.token) == 0 or all(
        coin.outpoint in named
        for coin in escrow.vault.coins
        if carries_tokens(escrow, coin) and isinstance(coin.status, vt.Reorged | vt.Lost)
    )


@law("INV-LED-1", C, E)
def debt_is_what_was_drawn_less_what_was_paid(step: Step) -> bool:
    """Principal is what was drawn less what was paid or lost, never negative."""
    debt = _debt(step.after.loan)
    left = debt.drawn - debt.paid_principal - debt.lost_principal
    return debt.principal == left >= 0 and debt.interest_acc >= 0


@law("INV-LED-2", C, E)
def interest_only_grows(step: Step) -> bool:
    """Interest only grows, except by payment or liquidation."""
    before, after = _debt(step.before.loan), _debt(step.after.loan)
    if after.accrued_to < before.accrued_to:
        return False
    return after.interest_acc >= before.interest_acc or isinstance(
        step.event, ln.Repayment | ln.Liquidated | ln.Refinanced
    )


@law("INV-LED-3", C, E)
def rounding_favours_the_lender_by_less_than_a_cent(step: Step) -> bool:
    """Rounding favours the lender, by less than a cent."""
    debt = _debt(step.after.loan)
    excess = interest_due(debt) * INTEREST_DEN - debt.interest_acc
    return 0 <= excess < INTEREST_DEN


@law("INV-LED-5", C, E)
def payments_are_principal_and_interest(step: Step) -> bool:
    """Every payment is interest and principal and nothing else."""
    before, after = _debt(step.before.loan), _debt(step.after.loan)
    match step.event:
        case ln.Repayment(interest=interest, principal=principal):
            pass
        case ln.Liquidated(interest=interest, principal=principal):
            pass
        case ln.Refinanced(settled=settled):
            # The old debt is paid in full, and becomes the new principal.
            interest = Cents(settled - before.principal)
            principal = before.principal
        case _:
            return (before.paid_interest, before.paid_principal) == (
                after.paid_interest,
                after.paid_principal,
            )
    return (
        interest >= 0
        and principal >= 0
        and after.paid_interest - before.paid_interest == interest
        and after.paid_principal - before.paid_principal == principal
    )


@law("INV-AUTH-3", S, E)
def payouts_pay_what_was_burned_for(step: Step) -> bool:
    """A payout pays exactly the burned amount, less its fee share, where the burn says."""
    burns = {burn.id: burn for burn in step.after.token.burns}
    return all(
        burn_id in burns
        and sats == burns[burn_id].sats - share
        and is_standard_output(burns[burn_id].script)
        for p in step.after.vault.payouts
        if p.paid
        for (burn_id, sats), share in zip(
            p.paid, fee_shares(p.fee, payees=len(p.paid)), strict=True
        )
    )


@law("INV-SAT-5", S, E)
def a_sweep_brings_everything_back(step: Step) -> bool:
    """A sweep pays nobody and brings back to the vault, to the sat, what it takes."""
    value = {coin.outpoint: coin.sats for coin in step.after.vault.coins}
    return all(
        p.fee == 0 and p.change == sum(value[o] for o in p.inputs)
        for p in step.after.vault.payouts
        if not p.paid
    )


@law("INV-AUTH-4", C, E)
def recovery_comes_last(step: Step) -> bool:
    """Times are ordered and recovery comes last."""
    if isinstance(step.after.loan, ln.Draft):
        return True
    terms = terms_of(step.after.loan)
    return (
        terms.expires_at <= terms.draw_by < terms.maturity
        and terms.maturity + terms.grace < terms.recover_at
    )


@law("INV-AUTH-8", S, C, E)
def recovery_waits_for_its_time(step: Step) -> bool:
    """Nobody recovers before the recovery time."""
    if not isinstance(step.event, vt.CoinsRecovered):
        return True
    return step.event.at >= terms_of(step.after.loan).recover_at


@law("INV-AUTH-7", C, E)
def ids_are_used_once(step: Step) -> bool:
    """Every outpoint, burn and payout counts once."""
    token = step.after.token
    lists = (
        token.outpoints,
        token.retired_outpoints,
        tuple(burn.id for burn in token.burns),
        tuple(b for p in step.after.vault.payouts for b, _ in p.paid),
    )
    return all(len(set(ids)) == len(ids) for ids in lists)


@law("INV-RISK-1", C, E)
def debt_is_collateralised(step: Step) -> bool:
    """A debt has collateral, unless Bitcoin itself lost it."""
    if debt_now(step.after, at=step.after.system.clock) == 0:
        return True
    if tk.outstanding(step.after.token) > 0:
        return True
    # Only a loss on Bitcoin itself, which no rule can stop, leaves a live debt bare.
    return bool(step.after.token.retired_outpoints)


@law("INV-RISK-2", C, E)
def no_seizure_while_healthy(step: Step) -> bool:
    """No liquidation while the loan is healthy."""
    if not isinstance(step.event, ln.Liquidated | ln.AuctionBegun):
        return True
    found = breach(step.before, at=step.event.at)
    return found is not None and found is step.event.reason


@law("INV-RISK-3", C, E)
def no_seizure_in_cure_time_or_on_a_stale_price(step: Step) -> bool:
    """No liquidation in cure time below the liquidation level, nor on a stale price."""
    if not isinstance(step.event, ln.Liquidated | ln.CallExpired | ln.AuctionBegun):
        return True
    escrow, event = step.before, step.event
    if not is_fresh(escrow.system, at=event.at):
        return False
    loan = escrow.loan
    if not isinstance(loan, ln.Called):
        return True
    if isinstance(event, ln.Liquidated | ln.AuctionBegun):
        return event.reason is not ln.Reason.CALL_EXPIRED
    return loan.dispute is None and active_seconds(escrow.system, at=event.at) > loan.deadline


@law("INV-RISK-4", C, E)
def a_liquidation_closes_or_improves(step: Step) -> bool:
    """A liquidation closes the loan, or leaves it with a lower loan-to-value and enough debt."""
    if not isinstance(step.event, ln.Liquidated):
        return True
    event, loan = step.event, step.after.loan
    if not event.split.left:
        return isinstance(loan, ln.Seized) and ln.is_debt_free(loan.debt)
    if not isinstance(loan, ln.Indebted) or event.split.left < loan.terms.min_left:
        return False
    kept = step.before.token.held - event.split.seized
    if event.kind is Liquidation.AUCTION:
        # It may sell below the oracle's price as it falls: there only the debt is sure to shrink.
        return event.split.left < event.debt
    # debt after ÷ coins after ≤ debt before ÷ coins before, but for what rounding to cents gives.
    slack = 2
    return (event.split.left - slack) * step.before.token.held <= event.debt * kept


@law("INV-RISK-5", C, E)
def seized_is_bounded(step: Step) -> bool:
    """Coins seized are worth at most what was paid and the bonus, and are at most those held."""
    if not isinstance(step.event, ln.Liquidated):
        return True
    event, terms = step.event, terms_of(step.before.loan)
    paid = event.split.repaid + event.split.fee
    bound = (paid + (event.split.left == 0)) * (BPS + terms.bonus_bps) * CENTS_SCALE
    if event.kind is Liquidation.AUCTION:
        # At least what is left of the oracle's price when the auction goes stale.
        floor = terms.buf_bps * terms.cusp_bps
        bound = muldiv_down((paid + 1) * CENTS_SCALE, BPS**3, floor)
    return (
        event.split.seized <= step.before.token.held
        and event.split.seized * event.price * BPS <= bound
    )


@law("INV-RISK-6", C, E)
def a_partial_sale_hits_its_target(step: Step) -> bool:
    """A partial sale that leaves debt stops at its target, to a few cents."""
    if not isinstance(step.event, ln.Liquidated) or not step.event.split.left:
        return True
    event, terms = step.event, terms_of(step.before.loan)
    if event.kind is not Liquidation.PARTIAL:
        return True
    # Rounding to whole cents and sats may move both sides by so much.
    left, slack = event.split.left, 3
    kept = Sats(step.before.token.held - event.split.seized)
    least, most = Cents(max(0, left - slack)), Cents(left + slack)
    return at_or_below(least, sats=kept, price=event.price, level=terms.target_ltv) and at_or_above(
        most, sats=kept, price=event.price, level=terms.target_ltv
    )


@law("INV-RISK-7", C, E)
def prices_are_fresh_ordered_and_sane(step: Step) -> bool:
    """A price is a fresh, newer and sane median of a quorum, and of a wide one if it jumps."""
    if not isinstance(step.event, PriceMarked):
        return True
    new, reports, before = step.event.price, step.event.reports, step.before.system
    last, enough = before.price, len(reports) >= before.quorum
    if is_jump(before, new.price, at=step.event.at):
        enough = len(reports) >= before.wide_quorum
    return (
        0 < new.price <= MAX_PRICE
        and enough
        and len(reports) % 2 == 1
        and new.price == median(tuple(sorted(reports)))
        and new.at <= step.event.at <= new.at + step.after.system.heartbeat
        and (last is None or (new.at > last.at and new.round == last.round + 1))
    )


_PRICED = (
    ln.Drawn
    | ln.Withdrawn
    | ln.Refinanced
    | ln.MarginCalled
    | ln.CallCured
    | ln.CallExpired
    | ln.AuctionBegun
    | ln.Liquidated
)


@law("INV-RISK-8", C, E)
def no_verdict_on_a_stale_price(step: Step) -> bool:
    """A price that is stale, or paused, decides nothing."""
    if not isinstance(step.event, _PRICED):
        return True
    return is_fresh(step.before.system, at=step.event.at)


@law("INV-RISK-14", C, E)
def an_auction_runs_until_it_is_stale(step: Step) -> bool:
    """An auction is begun anew only when it is stale, and nothing is taken from a stale one."""
    loan, price, event = step.before.loan, step.before.system.price, step.event
    if not isinstance(loan, ln.Indebted) or price is None:
        return not isinstance(event, ln.AuctionBegun)
    match event:
        case ln.AuctionBegun(at=at) if isinstance(loan, ln.Liquidating):
            return is_stale_auction(loan.terms, elapsed=Seconds(at - loan.since))
        case ln.Liquidated(at=at, kind=Liquidation.AUCTION, reason=reason):
            elapsed = Seconds(at - auction_start(loan, price, reason))
            return not is_stale_auction(loan.terms, elapsed=elapsed)
        case _:
            return True


@law("INV-RISK-15", C, E)
def what_the_borrower_takes_stays_within_the_initial_level(step: Step) -> bool:
    """A draw, a withdrawal or new terms leave the loan-to-value at or below the initial level."""
    match step.event, step.after.loan:
        case ((ln.Drawn() | ln.Refinanced()), ln.Active() as loan):
            held = step.after.token.held
        case ln.Withdrawn(sats=sats), ln.Active() as loan:
            held = Sats(step.after.token.held - sats)
        case ((ln.Drawn() | ln.Refinanced() | ln.Withdrawn()), _):
            return False
        case _:
            return True
    price = step.after.system.price
    debt = owed(loan.debt, rate_bps=loan.terms.rate_bps, at=step.event.at)
    return price is not None and at_or_below(
        debt, sats=held, price=price.price, level=loan.terms.initial_ltv
    )


@law("INV-RISK-10", C, E)
def only_price_time_and_loss_hurt(step: Step) -> bool:
    """Only price, interest and lost coins make a healthy loan unhealthy."""
    price = step.before.system.price
    if price is None or not isinstance(step.before.loan, ln.Indebted):
        return True
    if not isinstance(step.after.loan, ln.Indebted):
        return True
    if isinstance(step.event, PriceMarked | tk.Retired | ln.Drawn | ln.Refinanced):
        return True
    if isinstance(step.event, ln.Liquidated | tk.TokensFreed):
        # Between a sale's two events debt is down and coins are not: the pair is judged by
        # INV-RISK-4, and a withdrawal by INV-RISK-15.
        return True
    # The event's own moment: the clock may lag it, and interest up to it hurts nobody anew.
    at = step.event.at
    level = terms_of(step.before.loan).liquidation_ltv
    sides = tuple(
        at_or_above(debt_now(side, at=at), sats=side.token.held, price=price.price, level=level)
        for side in (step.before, step.after)
    )
    return sides[0] or not sides[1]


@law("INV-RISK-11", C, E)
def repayment_is_always_open(step: Step) -> bool:
    """Anyone can repay in full, at any time, whatever the oracle does."""
    if not isinstance(step.after.loan, ln.Indebted):
        return True
    all_of_it = Cents(max(1, debt_now(step.after, at=step.after.system.clock)))
    try:
        events = repay(step.after, Repay(Role.STRANGER, step.after.system.clock, all_of_it))
    except Rejected:
        return False
    return isinstance(fold(step.after, events).loan, ln.Repaid)


@law("INV-RISK-12", C, E)
def bad_debt_only_when_nothing_is_left(step: Step) -> bool:
    """Bad debt is booked only when no collateral is left, and at most the debt."""
    if not isinstance(step.event, ln.Liquidated):
        return True
    split = step.event.split
    if split.bad_debt == 0:
        return True
    gone = split.seized == step.before.token.held and split.surplus == 0
    return gone and split.left == 0 and split.bad_debt <= step.event.debt


@law("INV-WF-1", C, E)
def the_waterfall_pays_out_what_came_in(step: Step) -> bool:
    """A liquidation pays fee, interest, principal; the rest stays owed or is named bad debt."""
    match step.event:
        case ln.Liquidated(split=split, interest=interest, principal=principal):
            return (
                split.fee >= 0
                and split.repaid == interest + principal
                and split.repaid + split.bad_debt + split.left == step.event.debt
                and (split.left == 0 or split.bad_debt == 0)
            )
        case _:
            return True


@law("INV-WF-2", C, E)
def interest_ranks_before_principal(step: Step) -> bool:
    """No principal is paid while interest is unpaid."""
    if not isinstance(step.event, ln.Repayment | ln.Liquidated):
        return True
    return step.event.principal == 0 or interest_due(_debt(step.after.loan)) == 0


@law("INV-WF-3", C, E)
def the_four_sides_of_a_seizure_match(step: Step) -> bool:
    """Debt covered, coins seized, coins returned and loss match to the unit."""
    if not isinstance(step.event, ln.Liquidated):
        return True
    event, held = step.event, step.before.token.held
    split, over = event.split, event.split.left == 0
    if split.seized + split.surplus != (held if over else split.seized):
        return False
    if event.kind is Liquidation.AUCTION:
        return True
    # At the oracle's price a buyer gets what it pays and the bonus, to a cent; the lender who takes
    # coins over is such a buyer.
    paid = split.repaid + split.fee
    most = paid + muldiv_up(paid, terms_of(step.before.loan).bonus_bps, BPS)
    return value_down(split.seized, price=event.price) <= most + 1


@law("INV-WF-4", C, E)
def release_only_without_debt(step: Step) -> bool:
    """Coins go back only without debt, with all of it covered, or above what a draw would need."""
    match step.event:
        case ln.LoanEnded(outcome=ln.Outcome.RELEASED):
            return ln.is_debt_free(_debt(step.after.loan))
        case tk.TokensFreed(released=released) if released:
            loan, price = step.before.loan, step.before.system.price
            if not isinstance(loan, ln.Indebted):
                return True
            # Excess of a loan that is neither called nor sold for.
            return (
                isinstance(loan, ln.Active)
                and price is not None
                and at_or_below(
                    owed(loan.debt, rate_bps=loan.terms.rate_bps, at=step.event.at),
                    sats=Sats(step.before.token.held - released),
                    price=price.price,
                    level=loan.terms.initial_ltv,
                )
            )
        case _:
            return True


@law("INV-CLK-1", C, E)
def cure_time_is_whole(step: Step) -> bool:
    """Cure time is whole, measured in active seconds."""
    if not isinstance(step.event, ln.MarginCalled):
        return True
    started = active_seconds(step.before.system, at=step.event.at)
    return step.event.deadline - started == terms_of(step.before.loan).cure


@law("INV-CLK-2", C, E)
def a_pause_that_is_ended_leaves_grace(step: Step) -> bool:
    """A pause that is ended early lasts four hours more, and never longer than it would have."""
    event, pause = step.event, step.before.system.pause
    if not isinstance(event, Resumed) or (pause is not None and event.ended == pause.until):
        return True
    return pause is not None and event.ended == event.at + RESUME_GRACE < pause.until


@law("INV-CLK-6", C, E)
def the_active_clock_stands_while_degraded(step: Step) -> bool:
    """The active clock counts exactly the seconds in which rules could use the price."""
    before, after = step.before.system, step.after.system
    passed = active_seconds(after, at=after.clock) - active_seconds(before, at=before.clock)
    # Up to where the price was good, and of that what was before a pause and what after it.
    first, end = before.clock, min(after.clock, stale_from(before))
    if before.pause is None:
        return passed == max(0, end - first)
    early, late = min(end, before.pause.since), max(first, before.pause.until)
    return passed == max(0, early - first) + max(0, end - late)


@law("INV-CLK-3", S, E)
def every_open_state_has_an_exit(step: Step) -> bool:
    """Every open loan has an exit though everybody is silent."""
    loan = step.after.loan
    if isinstance(loan, ln.Draft | ln.Ended):
        return True
    # Silent parties: an offer lapses, an opened loan can be recovered by the borrower alone.
    return loan.terms.expires_at > 0 and loan.terms.recover_at > loan.terms.maturity


@law("INV-CLK-4", S, C, E)
def clocks_never_go_back(step: Step) -> bool:
    """Time never goes back on any clock."""
    before, after = step.before.system, step.after.system
    priced = before.price is None or (after.price is not None and after.price.at >= before.price.at)
    return after.clock >= before.clock and after.lost >= before.lost and priced


@law("INV-CLK-5", E)
def a_stale_platform_says_so(step: Step) -> bool:
    """The platform says that it is degraded when rules may not use its price."""
    system = step.after.system
    fresh = is_fresh(system, at=system.clock)
    return fresh == (system_phase(system) == "RUNNING")


@law("INV-CH-4", S, E)
def a_bump_stays_within_its_bounds(step: Step) -> bool:
    """A bump spends a coin of what it replaces; its fee is within the bound and what it pays."""
    if not isinstance(step.event, vt.PayoutReplaced):
        return True
    old, new = step.event.old, step.event.payout
    taken = {o for p in step.before.vault.payouts if p.txid == old for o in p.inputs}
    return not taken.isdisjoint(new.inputs) and (
        0 <= new.fee <= min(terms_of(step.after.loan).max_fee, sum(sats for _, sats in new.paid))
    )


@law("INV-META-3", C, E)
def every_refusal_is_in_the_catalogue(step: Step) -> bool:
    """Every refusal has a code of the catalogue."""
    return not isinstance(step.event, Incident) or step.event.code in CODES


@law("INV-TOK-8", C, E)
def small_coins_are_never_minted(step: Step) -> bool:
    """A coin too small to be paid out is never minted."""
    return not isinstance(step.event, tk.Minted) or step.event.sats >= MIN_DEPOSIT


@law("INV-SRV-1", E)
def a_default_is_overdue_through_grace_and_delinquency(step: Step) -> bool:
    """Default is declared only of money that stayed unpaid through grace and delinquency."""
    if not isinstance(step.event, sv.DefaultDeclared):
        return True
    since = overdue_since(step.before, at=step.event.at)
    return since is not None and step.event.at > default_from(step.before, since=since)


@law("INV-SRV-2", E)
def servicing_moves_nothing(step: Step) -> bool:
    """A notice, a standing or a declared default moves no coin, no token and no debt."""
    if not isinstance(step.event, sv.ServicingEvent):
        return True
    before, after = step.before, step.after
    return (before.loan, before.vault, before.token) == (after.loan, after.vault, after.token)


@law("INV-ELG-1", C, E)
def nobody_who_is_not_eligible_comes_in_unseen(step: Step) -> bool:
    """Nothing is offered, opened or pledged against the loan's rules unless an incident says so."""
    match step.event:
        case rg.OfferedUnder() | ln.LoanOpened():
            gate = Gate.OFFER
        case tk.TokensHeld():
            gate = collateral_gate(step.before)
        case _:
            return True
    denied = denial(replace(step.before, book=step.after.book), gate, at=step.event.at)
    return denied is None or any(
        each.code == DENIED and ("rule", denied.rule) in each.facts
        for each in step.before.incidents
    )


@law("INV-ELG-2", E)
def a_loan_keeps_its_rules(step: Step) -> bool:
    """A loan keeps the rules that it was offered under until new terms are signed."""
    if not isinstance(step.event, rg.OfferedUnder):
        return step.after.book == step.before.book
    return step.after.book == step.event.book == step.before.register.book


LAWS: Final = tuple(_LAWS)
"""Every law, in the order of this page."""


def broken(step: Step) -> tuple[Law, ...]:
    """The laws that do not hold at this step."""
    return tuple(law for law in LAWS if not law.check(step))
