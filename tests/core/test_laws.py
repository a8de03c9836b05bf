"""Every law is kept by an honest step and broken by a hand-made one, so that no law is asleep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from deals import (
    AT_CALL,
    AT_INITIAL,
    AT_LIQUIDATION,
    AUCTION,
    COIN_A,
    NOW,
    ONE,
    OWED,
    PLAN,
    SCRIPT,
    TERMS,
    active,
    burned,
    called,
    draft,
    final,
    kept_fresh,
    minted,
    offered,
    opened,
    paid_out,
    payout,
    play,
    posted,
    priced,
    released,
    repaid,
    secured,
    seized,
    serviced,
    stale,
)
from rulings import ALL_FACTS, BOOK, book, lent, lost, pledged, rule, ruled, seen, switched

from escrow.core import laws
from escrow.core.decide import Command, decide, witness
from escrow.core.errors import Rejected
from escrow.core.laws import LAWS, Law, Step, broken
from escrow.core.regions.loan import (
    AuctionBegun,
    CallExpired,
    Drawn,
    LoanEnded,
    MarginCalled,
    Outcome,
    Reason,
    Repayment,
    Withdrawn,
)
from escrow.core.regions.register import OfferedUnder
from escrow.core.regions.servicing import DefaultDeclared
from escrow.core.regions.system import RESUME_GRACE, Price, Resumed, Running
from escrow.core.regions.token import Burn, Minted, TokensFreed
from escrow.core.regions.vault import CoinsRecovered, PayoutReplaced, PayoutSent
from escrow.core.roles import Role
from escrow.core.rules import INTEREST_DEN, Debt
from escrow.core.state import Escrow, Event, Incident, evolve, fold
from escrow.core.terms import MIN_DEPOSIT, Liquidation
from escrow.core.units import DAY, HOUR, MAX_PRICE, Bps, Cents, PriceE8, Sats, Seconds
from escrow.core.verbs.accept import Accept
from escrow.core.verbs.auction import Redo, Take
from escrow.core.verbs.declare_default import DeclareDefault
from escrow.core.verbs.draw import Draw
from escrow.core.verbs.expire_call import ExpireCall
from escrow.core.verbs.liquidate import Liquidate
from escrow.core.verbs.margin_call import MarginCall
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.offer import Offer
from escrow.core.verbs.open import Open
from escrow.core.verbs.pause import Pause, Resume
from escrow.core.verbs.payout import SawPayout
from escrow.core.verbs.pledge import SawCoin, SawCoinGone
from escrow.core.verbs.recover import SawRecovery
from escrow.core.verbs.refinance import Refinance
from escrow.core.verbs.repay import Repay, repay
from escrow.core.verbs.retire import Retire
from escrow.core.verbs.tick import Tick
from escrow.core.verbs.top_up import TopUp
from escrow.core.verbs.withdraw import Withdraw

BY_ID = {law.id: law for law in LAWS}
NOTHING = Incident(NOW, "Tick", "tick/not-watcher")
"""An event that changes nothing."""
LATER = Seconds(NOW + 60)
DECLARED = DeclareDefault(Role.LENDER, Seconds(PLAN.instalments[0].due_at + 7 * DAY + 1))
TAKE = Liquidate(Role.LENDER, LATER, Liquidation.TAKE_OVER)


def steps(escrow: Escrow, *commands: Command) -> list[Step]:
    """The steps that the rules take."""
    found = []
    for command in commands:
        for event in decide(escrow, command):
            found.append(Step(escrow, event, evolve(escrow, event)))
            escrow = found[-1].after
    return found


def first(escrow: Escrow, command: Command) -> Step:
    """The first step that the rules take."""
    return steps(escrow, command)[0]


def shows(after: Escrow, event: Event = NOTHING) -> Step:
    """A step that comes to a state."""
    return Step(after, event, after)


def vault(escrow: Escrow, **changes: Any) -> Escrow:
    """The same deal with another vault."""
    return replace(escrow, vault=replace(escrow.vault, **changes))


def coin(escrow: Escrow, **changes: Any) -> Escrow:
    """The same deal with another first coin."""
    return vault(escrow, coins=(replace(escrow.vault.coins[0], **changes), *escrow.vault.coins[1:]))


def token(escrow: Escrow, **changes: Any) -> Escrow:
    """The same deal with other tokens."""
    return replace(escrow, token=replace(escrow.token, **changes))


def debt(escrow: Escrow, **changes: Any) -> Escrow:
    """The same deal with another debt."""
    return replace(escrow, loan=replace(escrow.loan, debt=replace(escrow.loan.debt, **changes)))


def system(escrow: Escrow, **changes: Any) -> Escrow:
    """The same deal on another platform."""
    return replace(escrow, system=replace(escrow.system, **changes))


def event(step: Step, **changes: Any) -> Step:
    """The same step with another story."""
    return replace(step, event=replace(step.event, **changes))


def underwater() -> Escrow:
    """At the liquidation level, a minute later."""
    return priced(active(), AT_LIQUIDATION, at=LATER)


def doubled() -> Escrow:
    """The price doubled."""
    return priced(active(), PriceE8(2 * AT_INITIAL), at=LATER)


OTHER_BOOK = book(rule("a"), profile="other")


def opening(*facts: str) -> Step:
    """A loan is opened under rules."""
    signed = play(ruled(*facts), Offer(Role.LENDER, NOW, TERMS), Accept(Role.BORROWER, NOW))
    return first(signed, Open(Role.OPERATOR, NOW))


def against(step: Step) -> Step:
    """The same step, and nothing is known of the borrower."""
    return replace(step, before=play(step.before, lost(*ALL_FACTS)))


def taken(escrow: Escrow, command: Command) -> Step:
    """The last step of what a chain did, whatever the rules say."""
    told = witness(escrow, command)
    escrow = fold(escrow, told[:-1])
    return Step(escrow, told[-1], evolve(escrow, told[-1]))


RENEWED = replace(TERMS, expires_at=LATER, maturity=Seconds(TERMS.maturity + 1))


def part(**terms: Any) -> Step:
    """A third party covers 10,000.00."""
    escrow = priced(active(liquidation=Liquidation.THIRD_PARTY, **terms), AT_LIQUIDATION, at=LATER)
    ask = Liquidate(Role.LIQUIDATOR, LATER, Liquidation.THIRD_PARTY, pay=Cents(1_000_000))
    return first(escrow, ask)


def target() -> Step:
    """So much is sold that the loan-to-value is 60 %."""
    kind = Liquidation.PARTIAL
    escrow = active(liquidation=kind, target_ltv=Bps(6_000), bonus_bps=Bps(0))
    escrow = priced(escrow, AT_LIQUIDATION, at=LATER)
    return first(escrow, Liquidate(Role.LIQUIDATOR, LATER, kind))


def target_left() -> int:
    """Cents."""
    return target().event.split.left


def took() -> Step:
    """A tenth of a coin is taken in an auction."""
    escrow = priced(active(**AUCTION), AT_LIQUIDATION, at=LATER)
    return first(escrow, Take(Role.LIQUIDATOR, LATER, Sats(ONE // 10)))


def auctioned() -> Step:
    """An auction is over and begun anew."""
    begun = priced(active(**AUCTION), AT_LIQUIDATION, at=LATER)
    running = play(begun, Redo(Role.OPERATOR, LATER))
    late = Seconds(LATER + AUCTION["tail"] + 1)
    over = kept_fresh(running, until=late, price=AT_LIQUIDATION)
    return first(over, Redo(Role.OPERATOR, late))


def worthless() -> Escrow:
    """The coin covers half the debt."""
    return priced(active(), PriceE8(12_600 * 10**8), at=LATER)


def seizure(escrow: Escrow | None = None, **split: int) -> Step:
    """A liquidation, with another split."""
    step = first(escrow or underwater(), TAKE)
    return event(step, split=replace(step.event.split, **split))


def paying() -> Step:
    """A payout of all that was burned."""
    return first(burned(repaid()), SawPayout(Role.WATCHER, NOW, payout()))


def sent(**changes: Any) -> Step:
    """A payout that the rules would not have let through."""
    before = burned(repaid())
    happened = PayoutSent(NOW, payout(**changes))
    return Step(before, happened, evolve(before, happened))


def moved(**changes: Any) -> Step:
    """A sweep, which the rules may not have let through."""
    facts = {"txid": "ss", "paid": (), "fee": Sats(0), "change": ONE, **changes}
    happened = PayoutSent(NOW, payout(**facts))
    return Step(active(), happened, evolve(active(), happened))


def bump(old: str = "pp", **changes: Any) -> Step:
    """A payout takes the place of another, which the rules may not have let through."""
    before = paid_out(burned(repaid()))
    happened = PayoutReplaced(NOW, old, payout(txid="qq", **changes))
    return Step(before, happened, before)


def bare() -> Escrow:
    """A debt whose coin was lost on Bitcoin, and retired."""
    return play(
        active(),
        SawCoinGone(Role.WATCHER, NOW, COIN_A, "ff"),
        Retire(Role.ATTESTOR, NOW, COIN_A, ONE),
    )


def mark(at: int = LATER, **price: int) -> Step:
    """A second round, with another price in it that five oracles saw."""
    step = first(active(), posted(Seconds(at), 2, AT_CALL))
    changed = replace(step.event.price, **price)
    return event(step, price=changed, reports=(changed.price,) * 5)


def reported(*reports: int, at: int = NOW + 60) -> Step:
    """A second round, a minute after the first one at 48,000, with other reports behind it."""
    return event(mark(at, price=reports[len(reports) // 2]), reports=reports)


def pausing(*then: int) -> list[Step]:
    """A pause from a minute on, two hours long, and the clock at some moments after it began."""
    pause = Pause(Role.GUARDIAN, Seconds(NOW + 60), Seconds(2 * HOUR))
    ticks = (Tick(Role.WATCHER, Seconds(NOW + 60 + after)) for after in then)
    return steps(active(), pause, *ticks)


def paused_for(seconds: int) -> Escrow:
    return play(active(), Pause(Role.GUARDIAN, NOW, Seconds(seconds)))


def repayment(**changes: int) -> Step:
    """A payment of interest and principal, with another story."""
    at = Seconds(NOW + 31 * DAY)
    step = first(active(rate_bps=Bps(2_300)), Repay(Role.BORROWER, at, Cents(50_000)))
    return event(step, **changes)


def expiry(late: int = 1) -> Step:
    """The call expires ``late`` seconds after its deadline."""
    at = Seconds(called().loan.deadline + 1)
    step = first(kept_fresh(called(), until=at), ExpireCall(Role.OPERATOR, at))
    return event(step, at=Seconds(at - 1 + late))


KEPT: dict[str, list[Step]] = {
    "INV-SAT-1": [paying(), *steps(opened(), final())],
    "INV-SAT-2": [paying()],
    "INV-SAT-3": [paying()],
    "INV-SAT-4": [
        paying(),
        shows(paid_out(burned(minted(), ONE // 2), paid=((0, ONE // 2 - 1_000),), change=ONE // 2)),
    ],
    "INV-SAT-5": [paying(), moved()],
    "INV-TOK-1": [
        paying(),
        shows(active()),
        # The coin is lost: not equal, but a retirement is due.
        shows(play(active(), SawCoinGone(Role.WATCHER, NOW, COIN_A, "ff"))),
        shows(bare()),
        # Retired and fetched back: it backs nothing.
        shows(play(bare(), final())),
    ],
    "INV-TOK-3": [shows(active()), shows(bare()), shows(burned(repaid()))],
    "INV-TOK-4": [
        first(minted(), TopUp(Role.BORROWER, NOW, ONE)),
        steps(active(), Repay(Role.BORROWER, NOW, OWED))[1],
        shows(active()),
    ],
    "INV-TOK-6": [
        paying(),
        first(play(opened(), final()), Mint(Role.ATTESTOR, NOW, COIN_A, ONE)),
        shows(active()),
    ],
    "INV-TOK-7": [
        shows(play(active(), SawCoin(Role.WATCHER, NOW, COIN_A, ONE, 0))),
        shows(play(active(), SawCoinGone(Role.WATCHER, NOW, COIN_A, "ff"))),
        shows(bare()),
    ],
    "INV-TOK-8": [
        first(
            play(opened(), final(sats=MIN_DEPOSIT)),
            Mint(Role.ATTESTOR, NOW, COIN_A, MIN_DEPOSIT),
        ),
        shows(active()),
    ],
    "INV-SRV-1": [first(serviced(), DECLARED), shows(active())],
    "INV-SRV-2": [first(serviced(), DECLARED), shows(active())],
    "INV-LED-1": [shows(active()), shows(draft()), shows(seized()), repayment()],
    "INV-LED-2": [repayment(), first(underwater(), TAKE), shows(active())],
    "INV-LED-3": [repayment(), shows(active())],
    "INV-LED-5": [
        repayment(),
        first(underwater(), TAKE),
        first(doubled(), Refinance(Role.OPERATOR, LATER, RENEWED)),
        shows(active()),
    ],
    "INV-AUTH-3": [paying()],
    "INV-AUTH-4": [shows(draft()), shows(offered()), shows(active())],
    "INV-AUTH-7": [shows(active()), paying(), shows(bare())],
    "INV-AUTH-8": [
        first(active(), SawRecovery(Role.WATCHER, TERMS.recover_at, "rr", (COIN_A,))),
        shows(active()),
    ],
    "INV-RISK-1": [shows(active()), shows(draft()), shows(repaid()), shows(bare())],
    "INV-RISK-2": [first(underwater(), TAKE), shows(active())],
    "INV-RISK-3": [
        first(underwater(), TAKE),
        first(priced(called(), AT_LIQUIDATION, at=Seconds(LATER + 1)), replace(TAKE, at=LATER + 1)),
        expiry(),
        shows(active()),
    ],
    "INV-RISK-4": [first(underwater(), TAKE), part(), target(), took(), shows(active())],
    "INV-RISK-5": [
        first(underwater(), TAKE),
        first(worthless(), TAKE),
        part(),
        took(),
        shows(active()),
    ],
    "INV-RISK-6": [target(), part(), first(underwater(), TAKE), shows(active())],
    "INV-RISK-7": [
        mark(),
        mark(price=MAX_PRICE),
        first(draft(), posted(NOW, 1, AT_CALL)),
        reported(*(AT_INITIAL,) * 3),
        reported(0, AT_INITIAL, 2 * MAX_PRICE),
        reported(*(AT_CALL,) * 5),
        reported(*(AT_CALL,) * 3, at=NOW + HOUR + 1),
        shows(active()),
    ],
    "INV-RISK-8": [first(priced(secured()), Draw(Role.BORROWER, NOW, OWED)), shows(active())],
    "INV-RISK-10": [
        mark(),
        shows(draft()),
        shows(opened()),
        repayment(),
        first(active(), Repay(Role.BORROWER, NOW, OWED)),
        # What is under water already cannot be hurt.
        shows(underwater()),
    ],
    "INV-RISK-11": [shows(active()), shows(repaid()), shows(bare()), shows(stale(active()))],
    "INV-RISK-12": [first(worthless(), TAKE), first(underwater(), TAKE), shows(active())],
    "INV-RISK-14": [auctioned(), took(), shows(active()), shows(draft())],
    "INV-RISK-15": [
        first(priced(secured()), Draw(Role.BORROWER, NOW, OWED)),
        first(doubled(), Withdraw(Role.BORROWER, LATER, Sats(ONE // 2))),
        first(doubled(), Refinance(Role.OPERATOR, LATER, RENEWED)),
        shows(active()),
    ],
    "INV-WF-1": [
        first(underwater(), TAKE),
        first(worthless(), TAKE),
        part(),
        target(),
        took(),
        shows(active()),
    ],
    "INV-WF-2": [repayment(), first(underwater(), TAKE), shows(active())],
    "INV-WF-3": [
        first(underwater(), TAKE),
        first(worthless(), TAKE),
        part(),
        took(),
        shows(active()),
    ],
    "INV-WF-4": [
        steps(active(), Repay(Role.BORROWER, NOW, OWED))[1],
        steps(doubled(), Withdraw(Role.BORROWER, LATER, Sats(ONE // 2)))[1],
        shows(released(), LoanEnded(NOW, Outcome.RELEASED)),
        shows(active()),
    ],
    "INV-CLK-1": [
        first(priced(active(), AT_CALL, at=LATER), MarginCall(Role.OPERATOR, LATER)),
        shows(active()),
    ],
    "INV-CLK-2": [
        *(step for step in pausing(2 * HOUR) if isinstance(step.event, Resumed)),
        first(paused_for(DAY), Resume(Role.GUARDIAN, LATER)),
        shows(active()),
    ],
    "INV-CLK-3": [shows(draft()), shows(released()), shows(active()), shows(offered())],
    "INV-CLK-4": [mark(), *steps(active(), Tick(Role.WATCHER, LATER)), shows(draft())],
    "INV-CLK-5": [
        *steps(active(), Tick(Role.WATCHER, Seconds(NOW + HOUR))),
        *steps(active(), Tick(Role.WATCHER, Seconds(NOW + HOUR + 1))),
        *pausing(1, 2 * HOUR - 1, 2 * HOUR),
    ],
    "INV-CLK-6": [
        *steps(active(), Tick(Role.WATCHER, LATER)),
        *steps(active(), Tick(Role.WATCHER, Seconds(NOW + DAY))),
        *steps(draft(), Tick(Role.WATCHER, Seconds(NOW + DAY))),
        *pausing(1, HOUR, 2 * HOUR, 3 * HOUR),
        *pausing(3 * HOUR),
    ],
    "INV-CH-4": [
        first(
            paid_out(burned(repaid())),
            SawPayout(
                Role.WATCHER, NOW, payout(txid="qq", fee=Sats(2_000), paid=((0, ONE - 2_000),))
            ),
        ),
        bump(fee=TERMS.max_fee),
        bump(fee=Sats(4_000), paid=((0, Sats(4_000)),)),
        shows(active()),
    ],
    "INV-META-3": [shows(active()), shows(active(), replace(NOTHING, code="price/stale"))],
    "INV-ELG-1": [
        steps(ruled("offer"), Offer(Role.LENDER, NOW, TERMS))[1],
        opening("offer"),
        first(lent("offer", "pledge"), TopUp(Role.BORROWER, NOW, ONE)),
        first(minted(), TopUp(Role.BORROWER, NOW, ONE)),
        taken(lent("offer"), TopUp(Role.BORROWER, NOW, ONE)),
        shows(active()),
    ],
    "INV-ELG-2": [
        steps(ruled("offer"), Offer(Role.LENDER, NOW, TERMS))[1],
        first(pledged(*ALL_FACTS), switched(OTHER_BOOK)),
        first(pledged(*ALL_FACTS), seen("a")),
    ],
}

TWICE = payout(txid="qq")
SMALL = Minted(NOW, COIN_A, Sats(MIN_DEPOSIT - 1), "")

BROKEN: dict[str, list[Step]] = {
    "INV-SAT-1": [shows(coin(active(), sats=Sats(ONE + 1), change=True)), sent(fee=Sats(999))],
    "INV-SAT-2": [
        shows(vault(active(), coins=active().vault.coins * 2)),
        shows(vault(paying().after, payouts=(payout(), TWICE))),
    ],
    "INV-SAT-3": [
        sent(fee=Sats(999)),
        sent(fee=Sats(TERMS.max_fee + 1), paid=((0, ONE - TERMS.max_fee - 1),)),
        sent(fee=Sats(-1), paid=((0, ONE + 1),)),
    ],
    "INV-SAT-4": [
        sent(paid=((0, 545),)),
        sent(paid=((0, ONE - 1_329),), change=Sats(329)),
    ],
    "INV-SAT-5": [moved(change=Sats(ONE - 1)), moved(fee=Sats(1)), moved(change=Sats(ONE + 1))],
    "INV-TOK-1": [
        shows(token(active(), minted=Sats(ONE + 1))),
        shows(token(active(), outpoints=())),
        # The loss of a coin explains no more than the coin.
        shows(token(bare(), minted=Sats(ONE + 1))),
    ],
    "INV-TOK-3": [
        shows(token(active(), held=Sats(ONE + 1))),
        shows(token(active(), held=Sats(-1))),
        shows(token(repaid(), burned=Sats(1))),
    ],
    "INV-TOK-4": [Step(active(), NOTHING, token(active(), held=Sats(0)))],
    "INV-TOK-6": [
        Step(repaid(), PayoutSent(NOW, payout()), repaid()),
        Step(repaid(), PayoutReplaced(NOW, "oo", payout()), repaid()),
        Step(opened(), Minted(NOW, COIN_A, ONE, ""), minted()),
        Step(
            play(opened(), SawCoin(Role.WATCHER, NOW, COIN_A, ONE, 1, 100)),
            Minted(NOW, COIN_A, ONE, ""),
            minted(),
        ),
    ],
    "INV-TOK-8": [shows(active(), SMALL)],
    "INV-SRV-1": [
        shows(active(), DefaultDeclared(NOW, NOW)),
        event(first(serviced(), DECLARED), at=Seconds(DECLARED.at - 1)),
    ],
    "INV-SRV-2": [
        replace(first(serviced(), DECLARED), after=repaid()),
        replace(first(serviced(), DECLARED), after=token(serviced(), held=Sats(ONE - 1))),
        replace(first(serviced(), DECLARED), after=vault(serviced(), coins=())),
    ],
    "INV-LED-1": [
        shows(debt(active(), principal=Cents(OWED + 1))),
        shows(debt(active(), principal=Cents(-1), drawn=Cents(-1))),
        shows(debt(active(), interest_acc=-1)),
    ],
    "INV-LED-2": [
        Step(active(), NOTHING, debt(active(), accrued_to=Seconds(NOW - 1))),
        Step(debt(active(), interest_acc=5), NOTHING, debt(active(), interest_acc=4)),
    ],
    "INV-LED-5": [
        Step(active(), NOTHING, debt(active(), paid_interest=Cents(1))),
        Step(active(), NOTHING, debt(active(), paid_principal=Cents(1))),
        repayment(interest=Cents(1)),
        repayment(principal=Cents(1)),
        shows(active(), Repayment(NOW, "", Cents(-1), Cents(0), "")),
        shows(active(), Repayment(NOW, "", Cents(0), Cents(-1), "")),
        event(first(underwater(), TAKE), principal=Cents(OWED + 1)),
    ],
    "INV-AUTH-3": [
        sent(paid=((9, ONE - 1_000),)),
        sent(paid=((0, ONE),)),
        shows(token(paying().after, burns=(Burn(0, ONE, "6a"),))),
    ],
    "INV-AUTH-4": [
        shows(replace(active(), loan=replace(active().loan, terms=replace(TERMS, **wrong))))
        for wrong in (
            {"expires_at": Seconds(TERMS.draw_by + 1)},
            {"draw_by": TERMS.maturity},
            {"recover_at": Seconds(TERMS.maturity + TERMS.grace)},
        )
    ],
    "INV-AUTH-7": [
        shows(token(active(), outpoints=(COIN_A, COIN_A))),
        shows(token(bare(), retired_outpoints=(COIN_A, COIN_A))),
        shows(token(active(), burns=(Burn(0, ONE, SCRIPT),) * 2)),
        shows(vault(paying().after, payouts=(payout(), TWICE))),
    ],
    "INV-AUTH-8": [shows(active(), CoinsRecovered(Seconds(TERMS.recover_at - 1), "rr", (COIN_A,)))],
    "INV-RISK-1": [shows(token(active(), minted=Sats(0), held=Sats(0)))],
    "INV-RISK-2": [
        replace(first(underwater(), TAKE), before=active()),
        event(first(underwater(), TAKE), reason=Reason.DEFAULT),
        event(replace(first(underwater(), TAKE), before=active()), reason=None),
    ],
    "INV-RISK-3": [
        event(first(underwater(), TAKE), at=Seconds(LATER + HOUR + 1)),
        event(
            first(
                priced(called(), AT_LIQUIDATION, at=Seconds(LATER + 1)),
                replace(TAKE, at=LATER + 1),
            ),
            reason=Reason.CALL_EXPIRED,
        ),
        expiry(late=0),
    ],
    "INV-RISK-4": [
        replace(first(underwater(), TAKE), after=underwater()),
        replace(first(underwater(), TAKE), after=debt(seized(), principal=Cents(1))),
        replace(part(), after=seized()),
        event(part(), split=replace(part().event.split, left=Cents(OWED))),
        event(part(min_left=Cents(1_000_000)), split=replace(part().event.split, left=Cents(999))),
        event(took(), split=replace(took().event.split, left=OWED)),
    ],
    "INV-RISK-5": [
        seizure(seized=84_000_101),
        seizure(worthless(), seized=ONE + 1),
        event(took(), split=replace(took().event.split, seized=ONE)),
        event(part(), split=replace(part().event.split, seized=ONE)),
    ],
    "INV-RISK-6": [
        event(target(), split=replace(target().event.split, left=Cents(target_left() + 10))),
        event(target(), split=replace(target().event.split, left=Cents(target_left() - 10))),
    ],
    "INV-RISK-7": [
        mark(price=0),
        mark(price=MAX_PRICE + 1),
        mark(at=LATER, round=1),
        mark(round=3),
        event(mark(), price=Price(2, AT_CALL, NOW)),
        event(mark(), price=Price(2, AT_CALL, Seconds(LATER + 1))),
        event(mark(), at=Seconds(LATER + HOUR + 1)),
        reported(AT_INITIAL),
        reported(*(AT_INITIAL,) * 4),
        reported(*(AT_CALL,) * 3),
        event(reported(AT_CALL, AT_INITIAL, MAX_PRICE), price=Price(2, AT_CALL, NOW + 60)),
    ],
    "INV-RISK-8": [
        shows(stale(active()), Drawn(Seconds(NOW + HOUR + 1), Cents(1), "")),
        shows(draft(), CallExpired(NOW, 1, "")),
    ],
    "INV-RISK-10": [
        Step(active(), NOTHING, token(active(), held=Sats(ONE // 2))),
        Step(active(), NOTHING, debt(active(), principal=Cents(2 * OWED))),
    ],
    "INV-RISK-12": [
        seizure(bad_debt=1),
        seizure(worthless(), surplus=1),
        seizure(worthless(), bad_debt=OWED + 1),
    ],
    "INV-RISK-14": [
        shows(repaid(), AuctionBegun(NOW, Reason.LEVEL, "")),
        event(auctioned(), at=Seconds(LATER + AUCTION["tail"])),
        event(took(), at=Seconds(LATER + AUCTION["tail"] + 1)),
    ],
    "INV-RISK-15": [
        Step(secured(), Drawn(NOW, OWED, ""), secured()),
        Step(secured(), Drawn(NOW, OWED, ""), system(active(), price=None)),
        Step(secured(), Drawn(NOW, OWED, ""), debt(active(), principal=Cents(OWED + 1))),
        Step(secured(), Drawn(NOW, OWED, ""), token(active(), held=Sats(ONE - 1))),
        Step(active(), Withdrawn(NOW, Sats(1), ""), active()),
        Step(active(), Withdrawn(NOW, Sats(1), ""), repaid()),
    ],
    "INV-WF-1": [
        seizure(repaid=OWED - 1),
        seizure(worthless(), bad_debt=0),
        event(first(underwater(), TAKE), interest=Cents(1)),
        seizure(fee=-1),
        seizure(repaid=OWED - 1, left=1, bad_debt=1),
    ],
    "INV-WF-2": [
        Step(active(), Repayment(NOW, "", Cents(0), Cents(1), ""), debt(active(), interest_acc=1))
    ],
    "INV-WF-3": [
        seizure(seized=83_999_999),
        seizure(surplus=15_999_999),
        seizure(repaid=OWED - 200),
        event(part(), split=replace(part().event.split, surplus=Sats(1))),
    ],
    "INV-WF-4": [
        shows(called(), TokensFreed(NOW, seized=Sats(0), released=Sats(1))),
        shows(system(active(), price=None), TokensFreed(NOW, seized=Sats(0), released=Sats(1))),
        shows(active(), TokensFreed(NOW, seized=Sats(0), released=ONE)),
        shows(active(), LoanEnded(NOW, Outcome.RELEASED)),
    ],
    "INV-CLK-1": [
        shows(active(), MarginCalled(NOW, Seconds(NOW + TERMS.cure - 1), 1, "")),
        shows(active(), MarginCalled(NOW, Seconds(NOW + TERMS.cure + 1), 1, "")),
    ],
    "INV-CLK-2": [
        shows(paused_for(DAY), Resumed(LATER, ended=Seconds(LATER + RESUME_GRACE - 1))),
        shows(paused_for(DAY), Resumed(LATER, ended=Seconds(LATER + RESUME_GRACE + 1))),
        shows(paused_for(2 * HOUR), Resumed(LATER, ended=Seconds(LATER + RESUME_GRACE))),
        shows(active(), Resumed(LATER, ended=Seconds(LATER + RESUME_GRACE))),
    ],
    "INV-CLK-3": [
        shows(replace(active(), loan=replace(active().loan, terms=replace(TERMS, **wrong))))
        for wrong in ({"expires_at": 0}, {"recover_at": TERMS.maturity})
    ],
    "INV-CLK-4": [
        Step(active(), NOTHING, system(active(), clock=Seconds(NOW - 1))),
        Step(system(active(), lost=Seconds(1)), NOTHING, active()),
        Step(active(), NOTHING, system(active(), price=None)),
        Step(underwater(), NOTHING, active()),
    ],
    "INV-CLK-5": [
        shows(system(active(), clock=Seconds(NOW + HOUR + 1))),
        shows(system(stale(active()), mode=Running())),
        shows(system(active(), mode=draft().system.mode)),
        shows(system(pausing(1)[-1].after, mode=Running())),
        shows(system(pausing(1)[-1].after, pause=None)),
    ],
    "INV-CLK-6": [
        Step(active(), NOTHING, system(active(), clock=LATER, lost=Seconds(1))),
        Step(draft(), NOTHING, system(draft(), clock=LATER, price=active().system.price)),
        *(
            Step(paused, NOTHING, system(paused, clock=Seconds(NOW + 90), pause=None))
            for paused in (pausing(1)[-1].after,)
        ),
    ],
    "INV-CH-4": [
        bump("oo"),
        bump(inputs=("ee:0",)),
        bump(fee=Sats(TERMS.max_fee + 1)),
        bump(fee=Sats(-1)),
        bump(fee=Sats(4_001), paid=((0, Sats(4_000)),)),
    ],
    "INV-META-3": [shows(active(), replace(NOTHING, code="loan/bribe"))],
    "INV-ELG-1": [
        against(step)
        for step in (
            steps(ruled("offer"), Offer(Role.LENDER, NOW, TERMS))[1],
            opening("offer"),
            first(lent("offer", "pledge"), TopUp(Role.BORROWER, NOW, ONE)),
        )
    ],
    "INV-ELG-2": [
        Step(lent("offer"), NOTHING, replace(lent("offer"), book=None)),
        Step(lent("offer"), OfferedUnder(NOW, OTHER_BOOK), replace(lent("offer"), book=OTHER_BOOK)),
        Step(lent("offer"), OfferedUnder(NOW, BOOK), replace(lent("offer"), book=OTHER_BOOK)),
    ],
}


def nothing_is_due(_escrow: Escrow) -> tuple[()]:
    """A world that owes nothing, whatever happened."""
    return ()


def rounded_down(owes: Debt) -> int:
    """Interest against the one who is owed."""
    return owes.interest_acc // INTEREST_DEN


def refused(_escrow: Escrow, _command: Repay) -> tuple[Event, ...]:
    """A lender that takes no money."""
    raise Rejected("repay/no-debt")


def one_cent(escrow: Escrow, command: Repay) -> tuple[Event, ...]:
    """A book that never lets the last cents in."""
    return repay(escrow, replace(command, amount=Cents(1)))


# These compare the state with what a rule says of it, so no state alone can break them: the rule is
# broken instead.
RULE_BROKEN: list[tuple[str, str, Callable[..., object], Step]] = [
    ("INV-TOK-7", "due", nothing_is_due, KEPT["INV-TOK-7"][0]),
    ("INV-TOK-7", "due", nothing_is_due, KEPT["INV-TOK-7"][1]),
    ("INV-LED-3", "interest_due", rounded_down, shows(debt(active(), interest_acc=1))),
    ("INV-RISK-11", "repay", refused, shows(active())),
    ("INV-RISK-11", "repay", one_cent, shows(active())),
]


def each(stories: dict[str, list[Step]]) -> list[Any]:
    """One case for every step, named by its law."""
    return [
        pytest.param(BY_ID[number], step, id=f"{number}-{index}")
        for number, told in stories.items()
        for index, step in enumerate(told)
    ]


@pytest.mark.parametrize(("law", "step"), each(KEPT))
def test_an_honest_step_keeps_the_law(law: Law, step: Step) -> None:
    assert law.check(step) is True


@pytest.mark.parametrize(("law", "step"), each(BROKEN))
def test_a_step_that_breaks_the_law_is_seen(law: Law, step: Step) -> None:
    assert law.check(step) is False
    assert law in broken(step)


@pytest.mark.parametrize(("number", "rule", "instead", "step"), RULE_BROKEN)
def test_a_rule_that_breaks_the_law_is_seen(number, rule, instead, step, monkeypatch) -> None:
    assert BY_ID[number].check(step) is True
    monkeypatch.setattr(laws, rule, instead)
    assert BY_ID[number].check(step) is False


def test_no_law_lacks_its_pair() -> None:
    ids = [law.id for law in LAWS]
    assert len(set(ids)) == len(ids)
    assert set(KEPT) == set(ids)
    assert set(BROKEN) | {number for number, *_ in RULE_BROKEN} == set(ids)
    assert all(KEPT.values())
    assert all(BROKEN.values())


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.id)
def test_a_law_is_one_sentence_and_says_who_enforces_it(law: Law) -> None:
    assert law.words[0].isupper()
    assert law.words.endswith(".")
    assert "\n" not in law.words
    assert law.enforced
    assert set(law.enforced) <= {"script", "contract", "engine"}


def test_no_law_is_broken_by_a_step_of_the_rules() -> None:
    """All laws at once, on every honest step of this page that the rules themselves took."""
    honest = [paying(), mark(), expiry(), seizure(), seizure(worthless()), repayment()]
    assert [broken(step) for step in honest] == [()] * len(honest)
