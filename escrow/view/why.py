"""Why an event happened: one sentence each, with the numbers that were compared."""

from __future__ import annotations

from typing import assert_never

from escrow.core.laws import Step
from escrow.core.phases import debt_now, terms_of
from escrow.core.regions import loan as ln
from escrow.core.regions import register as rg
from escrow.core.regions import servicing as sv
from escrow.core.regions import token as tk
from escrow.core.regions import vault as vt
from escrow.core.regions.system import (
    ClockTicked,
    OraclesRotated,
    OracleStale,
    Paused,
    PriceMarked,
    Resumed,
    active_seconds,
)
from escrow.core.rules import ltv_up
from escrow.core.state import Escrow, Incident
from escrow.core.terms import Liquidation
from escrow.core.units import Cents, Seconds
from escrow.words import coins, moment, money, percent, price, short, span


def _ltv(escrow: Escrow, *, at: Seconds) -> str:
    last = escrow.system.price
    if last is None:
        return "no price"
    debt = debt_now(escrow, at=at)
    return percent(ltv_up(debt, sats=escrow.token.held, price=last.price))


def why(step: Step) -> str:
    """The rule and its numbers, in one sentence; empty where the event says it all."""
    event, before, after = step.event, step.before, step.after
    at = event.at
    match event:
        case ClockTicked() | vt.CoinMined() | tk.TokensFreed():
            return ""
        case OracleStale():
            return f"no price since {moment(event.since)}: cure clocks stand still"
        case PriceMarked(price=new, reports=reports):
            return (
                f"round {new.round}: 1 BTC costs {price(new.price)}, "
                f"the median of {len(reports)} oracles"
            )
        case Paused(until=until):
            return f"the guardian paused until {moment(until)}: cure clocks stand still"
        case Resumed(at=at, ended=ended):
            return f"the pause {'ends' if ended > at else 'was over'} at {moment(ended)}"
        case OraclesRotated(quorum=quorum):
            return f"another set of oracles counts: {quorum} of them make a price"
        case ln.OfferMade(terms=t):
            kind = _KINDS[t.liquidation]
            return (
                f"up to {money(t.principal)} at {percent(t.rate_bps)} a year; levels "
                f"{percent(t.initial_ltv)} / {percent(t.call_ltv)} / "
                f"{percent(t.liquidation_ltv)}, cure {span(t.cure)}; on liquidation: {kind}"
            )
        case ln.OfferAccepted():
            return f"within time: the offer stands until {moment(terms_of(after.loan).expires_at)}"
        case ln.OfferEnded(expired=expired):
            return "the offer expired" if expired else "a party stepped back before opening"
        case ln.LoanOpened():
            return "EscrowBook found both parties' signatures over the terms"
        case ln.LoanCancelled():
            return "nothing was drawn"
        case ln.Drawn(amount=amount):
            level = percent(terms_of(after.loan).initial_ltv)
            return f"{money(amount)} drawn: loan-to-value {_ltv(after, at=at)}, at most {level}"
        case ln.Repayment(interest=interest, principal=principal):
            left = money(debt_now(after, at=at))
            return f"{money(interest)} interest, {money(principal)} principal; {left} left"
        case ln.MarginCalled():
            t = terms_of(before.loan)
            return (
                f"loan-to-value {_ltv(before, at=at)} ≥ call level {percent(t.call_ltv)}: "
                f"restore {percent(t.restore_ltv)} within {span(t.cure)} of active time"
            )
        case ln.CallCured():
            level = percent(terms_of(before.loan).restore_ltv)
            return f"loan-to-value {_ltv(before, at=at)} ≤ restore level {level}"
        case ln.CallExpired():
            late = active_seconds(before.system, at=at) - getattr(before.loan, "deadline", 0)
            level = percent(terms_of(before.loan).call_ltv)
            return f"{span(late)} past the deadline; loan-to-value {_ltv(before, at=at)} ≥ {level}"
        case ln.Withdrawn(sats=sats):
            t = terms_of(before.loan)
            return f"{coins(sats)} freed: what stays is within {percent(t.initial_ltv)}"
        case ln.Refinanced(terms=t, settled=settled):
            return f"{money(settled)} settled; new terms: {percent(t.rate_bps)} a year, until " + (
                moment(t.maturity)
            )
        case ln.Disputed():
            t = terms_of(before.loan)
            return f"the call does not expire until the arbiter decides, at most {span(t.dispute)}"
        case ln.Resolved(upheld=upheld):
            return "the call was wrong and is void" if upheld else "the call stands; time is back"
        case ln.AuctionBegun(reason=reason):
            return f"{_reason(reason, before, at=at)}: the price of the coins falls from here"
        case ln.Liquidated():
            return _liquidated(event, before)
        case ln.LoanRecovered():
            return f"tokens retired; {money(debt_now(before, at=at))} stays owed, unsecured"
        case ln.LoanEnded(outcome=outcome):
            return f"no claim, no coin and no payout is open: {outcome.value}"
        case vt.CoinSeen(outpoint=outpoint, sats=sats):
            return f"{coins(sats)} to the vault in the mempool ({short(outpoint)})"
        case vt.CoinLocked(height=height):
            depth = terms_of(before.loan).confirmations
            return f"{depth} confirmations on the block at height {height}"
        case vt.CoinReorged(outpoint=outpoint):
            return f"a reorganisation dug out {short(outpoint)}"
        case vt.CoinLost(outpoint=outpoint, by=by):
            return f"{short(outpoint)} is gone" + (f", spent by {short(by)}" if by else "")
        case vt.PayoutSent(payout=payout) if not payout.paid:
            return f"the quorum signed: {coins(payout.change)} moves within the vault"
        case vt.PayoutSent(payout=payout):
            total = sum(sats for _, sats in payout.paid)
            return (
                f"the quorum signed: {coins(total)} to {len(payout.paid)} burned "
                f"destination(s), fee {payout.fee} sats"
                + (f", {coins(payout.change)} stays in the vault" if payout.change else "")
            )
        case vt.PayoutFinal():
            return f"{terms_of(before.loan).confirmations} confirmations on the payout"
        case vt.PayoutStuck(blocks=blocks):
            return (
                f"{blocks} blocks passed the payout by: within the bound of the terms the quorum "
                "signs a higher fee, or a payee pays for it with a child"
            )
        case vt.PayoutMined():
            return "the payout that was stuck is in a block"
        case vt.PayoutReplaced(old=old, payout=payout):
            return f"{short(payout.txid)} stands for {short(old)}: fee {payout.fee} sats"
        case vt.Rekeyed(generation=generation):
            return (
                f"borrower and lender signed for a new vault: {generation.role} has a new key, "
                "and the quorum moves the coins there"
            )
        case vt.CoinPlaced(outpoint=outpoint, generation=number):
            return f"{short(outpoint)} pays the vault's address of generation {number}"
        case vt.PayoutVoid(txid=txid, by=by):
            return f"{short(txid)} can confirm no more, its burns are owed again" + (
                f": {short(by)} took a coin of it" if by else ""
            )
        case vt.PayoutReorged():
            return "a reorganisation dug out the payout; it is sent again"
        case vt.CoinsRecovered(outpoints=outpoints):
            t = terms_of(before.loan)
            return (
                f"the timelock opened on {moment(t.recover_at)}: the borrower alone took "
                f"{len(outpoints)} coin(s)"
            )
        case tk.Minted(sats=sats):
            return f"attestors signed for the final coin: {coins(sats)} in tokens"
        case tk.TokensHeld(sats=sats):
            return f"{coins(sats)} in tokens pledged to the loan"
        case tk.Burned(burn=burn):
            return f"{coins(burn.sats)} in tokens burned for script {short(burn.script)}"
        case tk.Retired(sats=sats):
            return f"attestors signed for the loss: {coins(sats)} in tokens destroyed"
        case sv.MarginNoticed(noticed=count) | sv.NoticeLifted(noticed=count):
            plan = after.servicing.plan
            levels = plan.notices[:count] if plan else ()
            if not levels:
                return f"loan-to-value {_ltv(before, at=at)}: below every notice level"
            return f"loan-to-value {_ltv(before, at=at)} ≥ notice level {percent(levels[-1])}"
        case sv.StandingNoted(standing=standing, since=late):
            said = "nothing is overdue" if late is None else f"unpaid since {moment(late)}"
            return f"{said}: {standing.name.lower().replace('_', ' ')} ({standing.value})"
        case sv.Impaired():
            return "the lender holds the loan for impaired: all of the debt is due"
        case sv.ImpairmentLifted():
            return "the lender took the impairment back: the plan counts again"
        case sv.DefaultDeclared(since=overdue):
            return f"unpaid since {moment(overdue)}, through grace and delinquency"
        case rg.Attested(facts=facts, until=until):
            names = ", ".join(fact.name for fact in facts)
            return f"the registrar saw evidence, good until {moment(until)}: {names}"
        case rg.ProfileSwitched(book=book, what_if=what_if):
            said = f"new offers are under {book.profile} version {book.version}"
            return f"{said}, as a what-if" if what_if else said
        case rg.TransferCleared(sats=sats, purpose=purpose):
            return f"the rules let {coins(sats)} in tokens pass, as a {purpose.value}"
        case rg.OfferedUnder(book=book):
            return f"the loan is under {book.profile} version {book.version} for good"
        case Incident(code=code):
            return f"noted, not refused: {code}"


_KINDS = {
    Liquidation.TAKE_OVER: "lender takes over",
    Liquidation.THIRD_PARTY: "sale",
    Liquidation.PARTIAL: "sale back to a target",
    Liquidation.AUCTION: "auction",
}


def _reason(reason: ln.Reason, before: Escrow, *, at: Seconds) -> str:
    match reason:
        case ln.Reason.CALL_EXPIRED:
            return "the margin call expired"
        case ln.Reason.LEVEL:
            level = percent(terms_of(before.loan).liquidation_ltv)
            return f"loan-to-value {_ltv(before, at=at)} ≥ liquidation level {level}"
        case ln.Reason.DEFAULT:
            return "unpaid after maturity and grace"
        case _:
            assert_never(reason)


def _liquidated(event: ln.Liquidated, before: Escrow) -> str:
    split = event.split
    said = (
        f"{_reason(event.reason, before, at=event.at)}; owed {money(event.debt)} at "
        f"{price(event.price)}: {coins(split.seized)} "
    )
    if event.kind is Liquidation.TAKE_OVER:
        said += "seized"
    else:
        said += f"sold for {money(Cents(split.repaid + split.fee))}"
    if split.left:
        return f"{said}; {money(split.left)} stays owed"
    rest = f"; bad debt {money(split.bad_debt)}" if split.bad_debt else ""
    return f"{said}, {coins(split.surplus)} back to the borrower{rest}"
