"""Why an ask was refused: the guard that said no, and how far it was from saying yes."""

from __future__ import annotations

from typing import Final

from escrow.core.decide import Command, decide
from escrow.core.errors import CODES, BadInput, Rejected
from escrow.core.phases import breach, terms_of
from escrow.core.regions import loan as ln
from escrow.core.regions.system import MAX_PAUSE
from escrow.core.regions.token import free, outstanding
from escrow.core.servicing import overdue_since
from escrow.core.state import Escrow
from escrow.core.terms import MIN_DEPOSIT, RESERVE_LIFE
from escrow.core.units import Seconds
from escrow.core.verbs.auction import Redo, Take
from escrow.core.verbs.burn import BurnTokens
from escrow.core.verbs.declare_default import DeclareDefault
from escrow.core.verbs.draw import Draw
from escrow.core.verbs.expire_call import ExpireCall
from escrow.core.verbs.liquidate import Liquidate
from escrow.core.verbs.mark import Mark
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.offer import Offer
from escrow.core.verbs.pause import Pause
from escrow.core.verbs.payout import SawPayout
from escrow.core.verbs.refinance import Refinance
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.top_up import TopUp
from escrow.core.verbs.withdraw import Withdraw
from escrow.view.explain import guards, platform, service
from escrow.view.explain import rulebook as rb
from escrow.view.explain.clocks import TIMES, until
from escrow.view.explain.later import beyond
from escrow.view.explain.measure import (
    BOOK,
    FREE,
    HELD,
    PLATFORM,
    amount,
    bound,
    by_time,
    constant,
    from_time,
    number,
    signed,
)
from escrow.view.explain.parts import (
    SHOWN,
    Explanation,
    Finding,
    Input,
    Rule,
    Subject,
    explained,
)

_AREAS: Final = {
    "accept": rb.ACCEPT, "attest": rb.ATTEST, "eligibility": rb.ELIGIBILITY,
    "profile": rb.PROFILE, "auction": rb.AUCTION, "burn": rb.BURN, "call": rb.CALL,
    "cancel": rb.CANCEL, "clock": rb.CLOCK, "cure": rb.CURE, "dispute": rb.DISPUTE, "draw": rb.DRAW,
    "expire": rb.EXPIRE, "liquidate": rb.SEIZURE, "assess": rb.STANDING, "default": rb.DEFAULT,
    "impair": rb.IMPAIR, "mint": rb.MINT, "notice": rb.NOTICE, "offer": rb.OFFER,
    "open": rb.OPEN, "pause": rb.PAUSE, "payout": rb.PAYOUT, "price": rb.PRICE,
    "recover": rb.RECOVER, "refinance": rb.REFINANCE, "rekey": rb.REKEY, "repay": rb.REPAY,
    "retire": rb.RETIRE, "terms": rb.OFFER, "top-up": rb.TOP_UP, "withdraw": rb.WITHDRAW,
}  # fmt: skip
"""Area of a code → the rule that it belongs to."""


def explain_refusal(escrow: Escrow, command: Command) -> Explanation:
    """Why the rules refuse ``command`` in this state, and how far it was from being allowed.

    Raises ``BadInput("why/allowed")`` for what they allow.
    """
    try:
        decide(escrow, command)
    except Rejected as refusal:
        code, what = refusal.code, type(command).__name__
        rule = rb.FRESH if code == "price/stale" else _AREAS.get(code.split("/", maxsplit=1)[0])
        rule = rule or Rule(code.split("/", maxsplit=1)[0], CODES[code])
        found = _measured(escrow, command, code, refusal)
        facts = tuple(
            Input(name.replace("_", " "), fact, "", str(fact), "the refusal")
            for name, fact in refusal.facts.items()
        )
        if found is None:
            said = Finding(f"refused, {code}: {CODES[code]}", facts)
            return explained(what, command.at, rule, said, code=code)
        verdict = f"refused, {code}: {found.verdict or CODES[code]}"
        return explained(what, command.at, rule, found, code=code, verdict=verdict)
    raise BadInput("why/allowed", command=type(command).__name__)


def _measured(escrow: Escrow, command: Command, code: str, refusal: Rejected) -> Finding | None:
    """The guard in numbers; ``None`` where a role or a phase decided, and no number."""
    if (timed := TIMES.get(code)) is not None:
        return timed(escrow, command.at)
    at = command.at
    match code, command:
        case "clock/backwards", _:
            now = number("clock", escrow.system.clock, unit="moment", source="the platform")
            return from_time(at, escrow.system.clock, what="allowed", source=(now,), code=code)
        case "default/too-early", DeclareDefault():
            since = overdue_since(escrow, at=at)
            assert since is not None
            return service.declared(escrow, since, at=at)
        case "call/healthy", _:
            return guards.call(escrow, at=at)
        case "cure/not-restored", _:
            return guards.restore(escrow, at=at)
        case "expire/healthy", _:
            return beyond(escrow, command, guards.still_called(escrow, at=at))
        case "liquidate/healthy", Redo() | Take() | Liquidate():
            found = _healthy(escrow, at=at)
            return None if found is None else beyond(escrow, command, found)
        case "offer/expired" | "open/expired", Offer(terms=t) | Refinance(terms=t):
            return until(t, "expires_at", at, code)
        case (
            ("draw/above-principal" | "draw/above-initial-ltv" | "withdraw/above-initial-ltv"),
            (Draw() | Withdraw() | Refinance()),
        ):
            return _beyond(escrow, command, code)
        case "loan/amount", Draw() | Repay() | TopUp() | Withdraw():
            asked = command.sats if isinstance(command, TopUp | Withdraw) else command.amount
            unit = "sats" if isinstance(command, TopUp | Withdraw) else "cents"
            return amount(asked, 1, most=False, unit=unit, what="the amount", source=(), code=code)
        case "loan/amount", Liquidate(pay=pay) if isinstance(refusal.facts.get("asked"), int):
            needed = int(refusal.facts["asked"])
            return guards.allowed(pay, needed, unit="cents", code=code, most=False, name="payment")
        case "liquidate/slippage", Liquidate(least=least):
            got = int(refusal.facts["seized"])
            return guards.allowed(
                least, got, unit="sats", code=code, most=True, name="fewest coins"
            )
        case "liquidate/slippage", Take(most=most):
            asks = int(refusal.facts["price"])
            return guards.allowed(
                most, asks, unit="e-8", code=code, most=False, name="highest price"
            )
        case "auction/cap", Redo(room=room) | Take(room=room) | ExpireCall(room=room):
            principal = int(refusal.facts["principal"])
            return guards.allowed(
                room, principal, unit="cents", code=code, most=False, name="room in auctions"
            )
        case _:
            return _token_guard(escrow, command, code)


def _token_guard(escrow: Escrow, command: Command, code: str) -> Finding | None:
    token, unit = escrow.token, "sats"
    source = (number("free tokens", free(token), unit=unit, source=FREE),)
    match code, command:
        case "top-up/no-tokens", TopUp(sats=sats):
            return amount(
                sats, free(token), most=True, unit=unit, what="pledge", source=source, code=code
            )
        case "burn/no-tokens", BurnTokens(sats=sats):
            return amount(
                sats, free(token), most=True, unit=unit, what="burn", source=source, code=code,
                least=MIN_DEPOSIT,
            )  # fmt: skip
        case "burn/dust", BurnTokens(sats=sats):
            least = constant("smallest", MIN_DEPOSIT, unit=unit, where="PledgeToken: MIN_DEPOSIT")
            return amount(
                sats, MIN_DEPOSIT, most=False, unit=unit, what="burn", source=(least,), code=code
            )
        case "token/balance", Withdraw(sats=sats):
            held = (number("pledged", token.held, unit=unit, source=HELD),)
            return amount(
                sats, token.held, most=True, unit=unit, what="withdrawal", source=held, code=code
            )
        case "mint/expired", Mint(age=age):
            life = constant("life", RESERVE_LIFE, unit="seconds", where="PledgeToken: RESERVE_LIFE")
            far = bound(Subject.SPAN, age, RESERVE_LIFE, most=True, unit="seconds", code=code)
            verdict = f"the attestors looked {SHOWN['seconds'](age)} ago"
            return Finding(verdict, (life,), (), far)
        case "mint/reserves", Mint(sats=sats, reserves=reserves):
            claims = outstanding(token) + sats
            return guards.allowed(
                reserves, claims, unit="sats", code=code, most=False, name="reserves stated"
            )
        case "payout/fee", SawPayout(payout=payout) if payout.fee >= 0:
            t = terms_of(escrow.loan)
            spends = {coin for each in escrow.vault.payouts for coin in each.inputs}
            bumped = not spends.isdisjoint(payout.inputs)
            total = sum(sats for _, sats in payout.paid)
            return platform.fee_room(t, payout.fee, paid=total if bumped else None)
        case "price/deviation", Mark(prices=prices):
            new = prices[len(prices) >> 1]
            return platform.jump(escrow, new, at=command.at, signers=len(prices))
        case "price/too-few-signers", Mark(prices=prices):
            few, need = len(prices), escrow.system.quorum
            far = bound(Subject.SIGNERS, few, need, most=False, unit="", code=code)
            quorum = number("quorum", need, unit="", source=PLATFORM)
            return Finding(f"{few} of {need} oracles signed", (quorum,), (), far)
        case "price/too-old", Mark(priced_at=priced_at):
            beat = escrow.system.heartbeat
            heart = number("heartbeat", beat, unit="seconds", source=PLATFORM)
            return by_time(
                command.at, Seconds(priced_at + beat), what="recent", source=heart, code=code
            )
        case "price/from-future", Mark(priced_at=priced_at):
            seen = number("priced at", priced_at, unit="moment", source="signed by the oracles")
            return from_time(command.at, priced_at, what="seen", source=(seen,), code=code)
        case "pause/length", Pause(seconds=seconds):
            most = constant("longest pause", MAX_PAUSE, unit="seconds", where="PriceRounds")
            limit, ceiling = (MAX_PAUSE, True) if seconds > 0 else (1, False)
            far = bound(Subject.SPAN, seconds, limit, most=ceiling, unit="seconds", code=code)
            return Finding("a pause lasts from a second to seven days", (most,), (), far)
        case _:
            return None


def _beyond(escrow: Escrow, command: Draw | Withdraw | Refinance, code: str) -> Finding | None:
    """More than the principal or the initial level allows."""
    loan, at = escrow.loan, command.at
    assert isinstance(loan, ln.Opened | ln.Active)
    match command:
        case Draw(amount=asked) if code == "draw/above-principal":
            t, drawn = loan.terms, loan.debt.principal
            source = (
                signed(t, "principal", unit="cents"),
                number("drawn and unpaid", drawn, unit="cents", source=BOOK),
            )
            return amount(
                asked, t.principal - drawn, most=True, unit="cents", what="the draw", source=source,
                code=code,
            )  # fmt: skip
        case Draw(amount=asked):
            stood = guards.position(escrow, at=at, field="initial_ltv", above=False, more=asked)
            assert stood is not None
            found = stood.finding(code=code, does="draws up to", other="drawn", debt="owed after")
            prices = tuple(far for far in found.distances if far.subject is Subject.PRICE)
            room = guards.draw_room(escrow, loan, at=at, asked=asked)
            return _joined(Finding(found.verdict, found.inputs, found.rounding, prices), room)
        case Withdraw(sats=sats):
            stood = guards.position(escrow, at=at, field="initial_ltv", above=False, less=sats)
            assert stood is not None
            assert isinstance(loan, ln.Active)
            found = stood.finding(
                code=code, does="frees down to", other="freed", held="left pledged"
            )
            return _joined(found, guards.withdraw_room(escrow, loan, at=at, asked=sats))
        case Refinance(terms=new):
            stood = guards.position(escrow, at=at, field="initial_ltv", above=False, terms=new)
            assert stood is not None
            if code == "draw/above-principal":
                far = bound(
                    Subject.DEBT, stood.debt, new.principal, most=True, unit="cents", code=code
                )
                lent = signed(new, "principal", unit="cents")
                said = f"owed {SHOWN['cents'](stood.debt)}, new principal {lent.shown}"
                return Finding(said, (lent,), (), far)
            return stood.finding(code=code, does="new terms lend up to", other="refinanced")


def _joined(found: Finding, room: Finding) -> Finding:
    """Both in one; what the room says of its own bound comes first."""
    return Finding(
        f"{found.verdict}; {room.verdict}",
        (*found.inputs, *room.inputs),
        found.rounding,
        (*room.distances, *found.distances),
    )


def _healthy(escrow: Escrow, *, at: Seconds) -> Finding | None:
    """Nothing lets the collateral be realised: how far the level and the default are."""
    if not isinstance(escrow.loan, ln.Indebted) or breach(escrow, at=at) is not None:
        return None  # a partial sale whose target is reached already
    level = guards.liquidation_level(escrow, at=at)
    default = guards.default_time(escrow.loan.terms, at=at)
    return Finding(
        f"{level.verdict}; {default.verdict}",
        (*level.inputs, *default.inputs),
        level.rounding,
        (*level.distances, *default.distances),
    )
