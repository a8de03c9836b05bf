"""Every event has its explanation, and the texts of those that matter most."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import get_args

import pytest
from flip_lab import flips_event, flips_refusal

from escrow.core.decide import Command, decide
from escrow.core.eligibility import Fact, Force, RuleBook
from escrow.core.errors import CODES, BadInput
from escrow.core.laws import LAWS, Step
from escrow.core.regions import loan as ln
from escrow.core.regions import register as rg
from escrow.core.regions import servicing as sv
from escrow.core.regions import system as sy
from escrow.core.regions import token as tk
from escrow.core.regions import vault as vt
from escrow.core.regions.system import new_system
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event, Incident, evolve, fold
from escrow.core.terms import MIN_DEPOSIT, Liquidation, Terms
from escrow.core.units import COIN, DAY, HOUR, Bps, Cents, PriceE8, Sats, Seconds
from escrow.core.verbs.accept import Accept
from escrow.core.verbs.auction import Redo, Take
from escrow.core.verbs.burn import BurnTokens
from escrow.core.verbs.cure import Cure
from escrow.core.verbs.declare_default import DeclareDefault
from escrow.core.verbs.dispute import Dispute, Resolve
from escrow.core.verbs.draw import Draw
from escrow.core.verbs.expire_call import ExpireCall
from escrow.core.verbs.liquidate import Liquidate
from escrow.core.verbs.margin_call import MarginCall
from escrow.core.verbs.mark import Mark
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.notice import Notice
from escrow.core.verbs.offer import Offer
from escrow.core.verbs.open import Open
from escrow.core.verbs.payout import SawPayout, SawPayoutDepth, SawPayoutStuck
from escrow.core.verbs.pledge import SawCoin
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.tick import Tick
from escrow.core.verbs.top_up import TopUp
from escrow.core.verbs.withdraw import Withdraw
from escrow.view.explain import (
    SAYS_ALL,
    Distance,
    Explanation,
    Subject,
    explain,
    explain_refusal,
    outlook,
)
from escrow.view.explain.measure import ratio
from escrow.view.explain.rulebook import RULES
from escrow.words import coins, jsonable, moment, span

NOW = Seconds(1_700_000_000)
TERMS = Terms(
    borrower="0x" + "b0" * 20,
    lender="0x" + "1e" * 20,
    vault="0x" + "5a" * 32,
    principal=Cents(3_000_000),
    rate_bps=Bps(0),
    initial_ltv=Bps(5_000),
    restore_ltv=Bps(6_000),
    call_ltv=Bps(7_500),
    liquidation_ltv=Bps(8_500),
    cure=Seconds(DAY),
    expires_at=Seconds(NOW + HOUR),
    draw_by=Seconds(NOW + DAY),
    maturity=Seconds(NOW + 90 * DAY),
    grace=Seconds(3 * DAY),
    recover_at=Seconds(NOW + 120 * DAY),
    confirmations=3,
    liquidation=Liquidation.TAKE_OVER,
    bonus_bps=Bps(500),
    max_fee=Sats(5_000),
    nonce=7,
)
AUCTION = {
    "liquidation": Liquidation.AUCTION, "bonus_bps": Bps(0), "buf_bps": Bps(12_000),
    "cut_bps": Bps(9_900), "step": Seconds(90), "tail": Seconds(7_200), "cusp_bps": Bps(4_000),
}  # fmt: skip
PLAN = sv.ServicingPlan(
    notices=(Bps(5_000),),
    instalments=(sv.Instalment(Seconds(NOW + 60), Cents(100)),),
    grace=Seconds(HOUR),
    delinquency=Seconds(HOUR),
)
ARBITER = {"arbiter": "0x" + "ab" * 20, "dispute": Seconds(HOUR)}


def played(escrow: Escrow, *commands: Command) -> Escrow:
    for command in commands:
        escrow = fold(escrow, decide(escrow, command))
    return escrow


def price(escrow: Escrow, whole: int, *, at: Seconds) -> Escrow:
    last = escrow.system.price
    number = last.round + 1 if last else 1
    return played(escrow, Mark(Role.ORACLE, at, number, (PriceE8(whole * 10**8),) * 5, at))


def active(**terms: object) -> Escrow:
    """24,000.00 owed against one coin at 48,000."""
    platform = new_system(
        origin=NOW, heartbeat=Seconds(2 * DAY), quorum=3, wide_quorum=5, deviation=Bps(2_000)
    )
    escrow = played(
        Escrow(platform),
        Offer(Role.LENDER, NOW, replace(TERMS, **terms)),
        Accept(Role.BORROWER, NOW),
        Open(Role.OPERATOR, NOW),
        SawCoin(Role.WATCHER, NOW, "aa:0", Sats(COIN), 3, height=100),
        Mint(Role.ATTESTOR, NOW, "aa:0", Sats(COIN)),
        TopUp(Role.BORROWER, NOW, Sats(COIN)),
    )
    return played(price(escrow, 48_000, at=NOW), Draw(Role.BORROWER, NOW, Cents(2_400_000)))


def called(**terms: object) -> Escrow:
    """At 32,000 a coin the LTV is 75 %, exactly the call level."""
    at = Seconds(NOW + 60)
    return played(price(active(**terms), 32_000, at=at), MarginCall(Role.OPERATOR, at))


def why(escrow: Escrow, command: Command, kind: type[Event]) -> Explanation:
    """Explain the event of this kind that the command leads to, and try every distance."""
    for event in decide(escrow, command):
        step = Step(escrow, event, evolve(escrow, event))
        if isinstance(event, kind):
            found = explain(step)
            for far in found.distances:
                flips_event(escrow, command, far, kind)
            return found
        escrow = step.after
    raise AssertionError(f"no {kind.__name__}")


def why_not(escrow: Escrow, command: Command) -> Explanation:
    found = explain_refusal(escrow, command)
    for far in found.distances:
        flips_refusal(escrow, command, far)
    return found


def away(found: Explanation) -> list[str]:
    return [far.shown for far in found.distances]


# --- none is forgotten ---

SCRIPT = "0014" + "11" * 20
PAYOUT = vt.Payout("pp", ("aa:0",), ((0, Sats(99_999_000)),), Sats(1_000), Sats(0))
SPLIT = ln.Split(Cents(2_400_000), Sats(90_000_000), Sats(10_000_000), Cents(0))


RULES_OF_A_PLACE = RuleBook("a-place", 1, Force.NOT_IN_FORCE, ())


def samples() -> list[tuple[Escrow, Event]]:
    """A state and an event of each kind that may follow it."""
    lent, call = active(), called(**ARBITER)
    served = replace(lent, servicing=sv.Servicing(PLAN))
    at = Seconds(NOW + 60)
    late = Seconds(NOW + 2 * DAY)
    disputed = played(call, Dispute(Role.BORROWER, at))
    paused = replace(lent, system=replace(lent.system, pause=sy.Pause(NOW, late)))
    draft = Escrow(lent.system)
    offered = played(Escrow(replace(lent.system, clock=NOW)), Offer(Role.LENDER, NOW, TERMS))
    opened = replace(lent, loan=ln.Opened(TERMS, lent.loan.debt))
    last = lent.system.price
    assert last is not None
    new = sy.Price(2, last.price, at)
    seized = ln.Liquidated(
        at, "lender", Liquidation.TAKE_OVER, ln.Reason.LEVEL, last.price, Cents(2_400_000), SPLIT,
        Cents(0), Cents(2_400_000), "",
    )  # fmt: skip
    burn = tk.Burn(0, Sats(COIN), SCRIPT)
    return [
        (draft, sy.ClockTicked(at, sy.Tips())),
        (lent, sy.OracleStale(Seconds(late + 9), since=late)),
        (lent, sy.PriceMarked(at, new, (last.price,) * 3)),
        (paused, sy.Paused(Seconds(late * 2), Seconds(late * 2 + 5))),
        (paused, sy.Resumed(at, paused.system.pause.until)),
        (lent, sy.OraclesRotated(at, 3)),
        (draft, ln.OfferMade(NOW, TERMS)),
        (offered, ln.OfferAccepted(at)),
        (offered, ln.OfferEnded(at, expired=False)),
        (offered, ln.LoanOpened(at, "")),
        (opened, ln.LoanCancelled(at, "")),
        (opened, ln.Drawn(at, Cents(1), "")),
        (lent, ln.Repayment(at, "borrower", Cents(0), Cents(5), "")),
        (lent, ln.MarginCalled(at, late, 1, "")),
        (call, ln.CallCured(at, 1, "")),
        (call, ln.CallExpired(late, 1, "")),
        (call, ln.Disputed(at, at, "")),
        (disputed, ln.Resolved(at, True, Seconds(0), "")),
        (lent, ln.Withdrawn(at, Sats(1), "")),
        (lent, ln.AuctionBegun(at, ln.Reason.LEVEL, "")),
        (lent, ln.Refinanced(at, TERMS, Cents(2_400_000), "")),
        (lent, seized),
        (lent, ln.LoanRecovered(at, "")),
        (lent, ln.LoanEnded(at, ln.Outcome.RELEASED)),
        (lent, vt.CoinSeen(at, "bb:0", Sats(COIN))),
        (lent, vt.CoinMined(at, "bb:0", 9)),
        (lent, vt.CoinLocked(at, "bb:0", 9)),
        (lent, vt.CoinReorged(at, "aa:0")),
        (lent, vt.CoinLost(at, "aa:0", "")),
        (lent, vt.PayoutSent(at, PAYOUT)),
        (lent, vt.PayoutFinal(at, "pp")),
        (lent, vt.PayoutReorged(at, "pp")),
        (lent, vt.PayoutStuck(at, "pp", 6)),
        (lent, vt.PayoutMined(at, "pp")),
        (lent, vt.PayoutReplaced(at, "oo", PAYOUT)),
        (lent, vt.PayoutVoid(at, "pp", "")),
        (lent, vt.CoinsRecovered(late, "rr", ("aa:0",))),
        (lent, vt.Rekeyed(at, vt.Generation("0x", "lender"))),
        (lent, vt.CoinPlaced(at, "aa:0", 1)),
        (lent, tk.Minted(at, "bb:0", Sats(COIN), "")),
        (lent, tk.TokensHeld(at, Sats(0), "")),
        (lent, tk.TokensFreed(at, Sats(0), Sats(1))),
        (lent, tk.Burned(at, burn, "")),
        (lent, tk.Retired(at, "aa:0", Sats(COIN), "")),
        (served, sv.MarginNoticed(at, 1, 1)),
        (served, sv.NoticeLifted(at, 0, 1)),
        (served, sv.StandingNoted(late, sv.Standing.PAYMENT_GRACE, at)),
        (served, sv.Impaired(at)),
        (served, sv.ImpairmentLifted(at)),
        (served, sv.DefaultDeclared(late, at)),
        (lent, rg.Attested(at, "0x", (Fact("a", 1),), late)),
        (lent, rg.ProfileSwitched(at, RULES_OF_A_PLACE, True)),
        (lent, rg.OfferedUnder(at, RULES_OF_A_PLACE)),
        (lent, rg.TransferCleared(at, "0x", "0x", Sats(COIN), rg.Purpose.PAYMENT)),
        (lent, Incident(at, "SawCoin", "pledge/late", (("sats", 2**60),))),
    ]


def test_every_event_of_the_union_is_among_the_samples() -> None:
    assert {type(event) for _, event in samples()} == set(get_args(Event))


@pytest.mark.parametrize("event", get_args(Event), ids=lambda kind: kind.__name__)
def test_every_event_is_explained(event: type[Event]) -> None:
    before, sample = next((b, e) for b, e in samples() if type(e) is event)
    found = explain(Step(before, sample, before))
    assert found.what == event.__name__
    assert found.verdict
    assert found.rule in RULES
    assert all(each.source for each in found.inputs)
    assert next(iter(found.rows())) == (event.__name__, found.verdict)
    if event not in SAYS_ALL:
        assert found.rule.name != "consequence"


RULE_OF = {
    "OracleStale": "fresh price", "PriceMarked": "price", "Paused": "pause", "Resumed": "pause",
    "OraclesRotated": "oracle set", "OfferMade": "offer", "OfferAccepted": "acceptance",
    "OfferEnded": "end of an offer", "LoanOpened": "opening", "LoanCancelled": "cancellation",
    "Drawn": "draw", "Repayment": "repayment", "MarginCalled": "margin call", "CallCured": "cure",
    "CallExpired": "expiry of a call", "Disputed": "dispute", "Resolved": "decision on a dispute",
    "Withdrawn": "withdrawal", "AuctionBegun": "auction", "Refinanced": "refinancing",
    "Liquidated": "liquidation", "LoanRecovered": "recovery", "LoanEnded": "end",
    "CoinSeen": "coin on Bitcoin", "CoinMined": "finality", "CoinLocked": "finality",
    "CoinReorged": "finality", "CoinLost": "fact", "PayoutSent": "payout",
    "PayoutFinal": "finality", "PayoutReorged": "finality", "PayoutStuck": "stuck payout",
    "PayoutMined": "fact", "PayoutReplaced": "replacement", "PayoutVoid": "fact",
    "CoinsRecovered": "recovery", "Rekeyed": "new key", "CoinPlaced": "fact", "Minted": "mint",
    "TokensHeld": "pledge", "TokensFreed": "consequence", "Burned": "burn", "Retired": "retirement",
    "MarginNoticed": "notice", "NoticeLifted": "notice", "StandingNoted": "standing",
    "Impaired": "impairment", "ImpairmentLifted": "impairment",
    "DefaultDeclared": "declared default", "Incident": "incident", "ClockTicked": "clock",
    "Attested": "evidence", "ProfileSwitched": "profile", "OfferedUnder": "eligibility",
    "TransferCleared": "eligibility",
}  # fmt: skip


def test_each_event_has_the_rule_that_decided_it() -> None:
    told = {type(e).__name__: explain(Step(b, e, b)).rule.name for b, e in samples()}
    assert told == RULE_OF


def test_a_distance_knows_the_value_beside_its_flip() -> None:
    up = Distance(Subject.FEE, "payout/fee", 5, 9, "sats", "refused")
    down = Distance(Subject.FEE, "payout/fee", 9, 5, "sats", "not refused")
    assert (up.away, up.beside, up.shown) == (4, 8, "0.00000004 BTC more: refused")
    assert (down.away, down.beside, down.shown) == (4, 6, "0.00000004 BTC less: not refused")


def test_what_says_all_by_itself_is_a_short_list() -> None:
    assert {kind.__name__ for kind in SAYS_ALL} == {"ClockTicked", "TokensFreed"}


def test_rules_name_laws_that_exist_and_have_names_of_their_own() -> None:
    known = {law.id for law in LAWS}
    assert not {law for rule in RULES for law in rule.laws} - known
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert len(RULES) > 30


# --- golden texts ---


def test_a_margin_call_at_exactly_the_level() -> None:
    at = Seconds(NOW + 60)
    found = why(price(active(), 32_000, at=at), MarginCall(Role.OPERATOR, at), ln.MarginCalled)
    assert found.verdict == (
        "LTV 75.00 %; calls at 75.00 %; 0.01 away from no call; 1 d of active time to restore "
        "60.00 %"
    )
    assert away(found) == [
        "0.01 less owed: no call",
        "at 32,000.00000001 a coin or more (0.00000001 away): no call",
    ]
    assert ("call level", 7_500, "signed terms: call_ltv (EIP-712)") in [
        (each.name, each.value, each.source) for each in found.inputs
    ]
    assert "INV-CLK-1" in found.rule.laws


def test_no_call_a_cent_below_the_level() -> None:
    at = Seconds(NOW + 60)
    near = played(price(active(), 32_000, at=at), Repay(Role.BORROWER, at, Cents(1)))
    found = why_not(near, MarginCall(Role.OPERATOR, at))
    # Rounded up to two decimals it would read 75.00 %, and would be called.
    assert found.verdict == ("refused, call/healthy: LTV 74.99997 %; calls at 75.00 %; 0.01 away")
    assert away(found) == [
        "0.01 more owed: a call",
        "at 31,999.98666666 a coin or less (0.01333334 away): a call",
    ]


def test_a_liquidation_that_was_21_40_away() -> None:
    at, owed = Seconds(NOW + 60), Cents(6_060_060)
    rich = price(active(principal=owed), 130_000, at=at)
    lent = played(rich, Draw(Role.BORROWER, at, Cents(owed - 2_400_000)))
    escrow = price(lent, 71_320, at=Seconds(at + 1))
    found = why_not(escrow, Liquidate(Role.LENDER, Seconds(at + 1), Liquidation.TAKE_OVER))
    assert found.verdict.startswith(
        "refused, liquidate/healthy: LTV 84.97 %; sells at 85.00 %; 21.40 away; in default only in "
    )
    assert away(found)[:2] == [
        "21.40 more owed: a sale",
        "at 71,294.82352941 a coin or less (25.17647059 away): a sale",
    ]


DUSTY = {"liquidation": Liquidation.THIRD_PARTY, "min_left": Cents(100_000)}


@pytest.mark.parametrize(
    ("terms", "command", "wait", "then"),
    [
        (AUCTION, Take(Role.LIQUIDATOR, NOW, Sats(COIN)), 7_200, ""),
        (
            AUCTION,
            Take(Role.LIQUIDATOR, NOW, Sats(COIN)),
            7_201,
            "auction/stale: its price has fallen for 2 h 1 s, and may for 2 h",
        ),
        (
            AUCTION,
            Take(Role.LIQUIDATOR, NOW, Sats(COIN), most=PriceE8(30_000 * 10**8)),
            0,
            # A fifth above the price at the flip.
            "liquidate/slippage: 33,882.35294117 a coin, and at most 30,000.00 offered",
        ),
        (
            AUCTION,
            Take(Role.LIQUIDATOR, NOW, Sats(COIN), room=Cents(2_399_999)),
            0,
            "",  # All of it is taken: none is left in an auction.
        ),
        (
            DUSTY,
            Liquidate(Role.LIQUIDATOR, NOW, Liquidation.THIRD_PARTY, pay=Cents(2_300_000)),
            0,
            "",
        ),
        (
            DUSTY,
            Liquidate(Role.LIQUIDATOR, NOW, Liquidation.THIRD_PARTY, pay=Cents(2_300_001)),
            0,
            "liquidate/dust: 999.99 would be left, and at least 1,000.00 may",
        ),
        (
            DUSTY,
            Liquidate(Role.LIQUIDATOR, NOW, Liquidation.THIRD_PARTY, pay=Cents(0)),
            0,
            "loan/amount: the amount is zero or too large",
        ),
        (
            {"liquidation": Liquidation.PARTIAL, "target_ltv": Bps(6_000), "bonus_bps": Bps(0)},
            Liquidate(Role.LIQUIDATOR, NOW, Liquidation.PARTIAL, pay=Cents(1_000)),
            0,
            "loan/amount: 10.00 is offered, and 17,647.06 needed",
        ),
        (
            DUSTY,
            Liquidate(Role.LIQUIDATOR, NOW, Liquidation.THIRD_PARTY, least=Sats(COIN)),
            0,
            "liquidate/slippage: 0.89250000 BTC for it, and 1.00000000 BTC wanted",
        ),
    ],
)
def test_what_is_refused_past_the_level_all_the_same(
    terms: dict[str, object], command: Take | Liquidate, wait: int, then: str
) -> None:
    at = Seconds(NOW + 60)
    near = price(active(**terms), 29_000, at=at)
    found = why_not(near, replace(command, at=Seconds(at + wait)))
    [far] = [each for each in found.distances if each.subject is Subject.PRICE]
    said = f"refused, {then}" if then else "a sale"
    assert far.shown == f"at 28,235.29411764 a coin or less (764.70588236 away): {said}"
    assert far.then == then.partition(":")[0]


def test_an_expiry_for_which_there_is_no_room() -> None:
    at = Seconds(NOW + 60 + DAY + 1)
    escrow = price(called(**AUCTION), 33_000, at=at)
    found = why_not(escrow, ExpireCall(Role.OPERATOR, at, room=Cents(2_000_000)))
    [_, far] = found.distances
    assert far.shown == (
        "at 32,000.00 a coin or less (1,000.00 away): refused, auction/cap: 24,000.00 of "
        "principal, and room for 20,000.00"
    )


def test_the_outlook_says_when_a_level_would_not_sell() -> None:
    at = Seconds(NOW + 60)
    near = price(active(**AUCTION), 29_000, at=at)
    stale = Seconds(at + 7_201)
    late = played(near, Tick(Role.WATCHER, stale))
    [found] = [each.finding for each in outlook("0x", late).ahead if each.what == "liquidation"]
    refused = "refused, auction/stale: its price has fallen for 2 h 1 s, and may for 2 h"
    assert [far.other for far in found.distances] == [refused] * 2
    # And where the level is reached already.
    over = played(price(active(**AUCTION), 28_000, at=at), Tick(Role.WATCHER, stale))
    found = next(each.finding for each in outlook("0x", over).ahead if each.what == "liquidation")
    assert found.verdict.endswith(f"away from no sale; yet {refused}")
    fresh = price(active(**AUCTION), 28_000, at=at)
    found = next(each.finding for each in outlook("0x", fresh).ahead if each.what == "liquidation")
    assert found.verdict.endswith("away from no sale")


def test_a_liquidation() -> None:
    at = Seconds(NOW + 60)
    escrow = price(active(), 26_000, at=at)
    command = Liquidate(Role.LENDER, at, Liquidation.TAKE_OVER)
    found = why(escrow, command, ln.Liquidated)
    assert found.verdict == (
        "LTV 92.31 %; sells at 85.00 %; 1,900.01 away from no sale; owed 24,000.00, covered "
        "24,000.00"
    )
    assert away(found) == [
        "1,900.01 less owed: no sale",
        "at 28,235.29411765 a coin or more (2,235.29411765 away): no sale",
        "at 25,199.99999999 a coin or less (800.00000001 away): not all would be covered",
    ]
    assert [(turn.where, turn.way) for turn in found.rounding] == [
        ("accrued interest, to a cent", "up"),
        ("comparing with the level", "none"),
        ("payment, to a cent", "up"),
        ("coins sold, to a sat", "down"),
    ]


def test_a_cure_at_exactly_the_level() -> None:
    at = Seconds(NOW + 120)
    found = why(price(called(), 40_000, at=at), Cure(Role.BORROWER, at), ln.CallCured)
    assert found.verdict == "LTV 60.00 %; cured at 60.00 %; 0.01 away from no cure"
    assert away(found) == [
        "0.01 more owed: no cure",
        "at 39,999.99999999 a coin or less (0.00000001 away): no cure",
    ]


def test_an_expiry_one_second_after_the_deadline() -> None:
    at = Seconds(NOW + 60 + DAY + 1)
    found = why(called(), ExpireCall(Role.OPERATOR, at), ln.CallExpired)
    assert found.verdict == (
        "1 s past the deadline on the active clock; LTV 75.00 %; expires at 75.00 %; 0.01 away "
        "from no expiry"
    )
    assert away(found)[0] == "a deadline 1 s later on the active clock: no expiry"
    on_time = why_not(called(), ExpireCall(Role.OPERATOR, Seconds(at - 1)))
    assert on_time.verdict == (
        "refused, expire/cure-time: 0 s of cure time left on the active clock"
    )


def test_a_draw() -> None:
    at = Seconds(NOW + 60)
    found = why(price(active(), 60_000, at=at), Draw(Role.BORROWER, at, Cents(100_000)), ln.Drawn)
    assert found.verdict == (
        "LTV 41.67 %; draws up to 50.00 %; 5,000.01 away from a refusal; the draw: 5,000.00 of "
        "room left; the draw window: 23 h 59 min left on the wall clock"
    )
    assert away(found) == [
        "at 49,999.99999999 a coin or less (10,000.00000001 away): refused, draw/above-initial-ltv",
        "5,000.01 more: refused, draw/above-principal",
        "23 h 59 min 1 s later, at 2023-11-15 22:13:21: refused, draw/window-closed",
    ]


def test_a_draw_of_a_cent_too_much() -> None:
    at = Seconds(NOW + 60)
    found = why_not(active(), Draw(Role.BORROWER, at, Cents(1)))
    assert found.verdict == (
        "refused, draw/above-initial-ltv: LTV 50.01 %; draws up to 50.00 %; 0.01 away; the draw: "
        "0.01 too much"
    )
    assert away(found) == ["at 48,000.02 a coin or more (0.02 away): drawn"]


def test_a_withdrawal() -> None:
    at = Seconds(NOW + 60)
    escrow = price(active(), 60_000, at=at)
    found = why(escrow, Withdraw(Role.BORROWER, at, Sats(20_000_000)), ln.Withdrawn)
    assert found.verdict.startswith("LTV 50.00 %; frees down to 50.00 %; 0.01 away from a refusal")
    assert "0.00000001 BTC more: refused, withdraw/above-initial-ltv" in away(found)
    too_much = why_not(escrow, Withdraw(Role.BORROWER, at, Sats(20_000_001)))
    assert away(too_much)[0] == ("0.00000001 BTC less: not refused with withdraw/above-initial-ltv")


def test_a_repayment() -> None:
    part = why(active(), Repay(Role.BORROWER, NOW, Cents(1_000_000)), ln.Repayment)
    assert part.verdict == "0.00 interest, 10,000.00 principal; 14,000.00 left"
    assert away(part) == ["14,000.00 more: the loan is repaid"]
    whole = why(active(), Repay(Role.BORROWER, NOW, Cents(2_400_000)), ln.Repayment)
    assert whole.verdict == "0.00 interest, 24,000.00 principal; nothing left: repaid"
    assert away(whole) == ["0.01 less: the loan goes on"]


def test_an_auction_and_its_end() -> None:
    late = Seconds(NOW + 60 + DAY + 1)
    escrow = played(called(**AUCTION), ExpireCall(Role.OPERATOR, late))
    at = Seconds(late + 1_800)
    found = why(escrow, Take(Role.LIQUIDATOR, at, Sats(21 * 10**14)), ln.Liquidated)
    assert found.verdict.startswith("for sale since 30 min: no level and no time matters any more")
    assert "the auction asks 31,407.62640374 a coin; the auction: 1 h 30 min left" in found.verdict
    assert away(found) == ["1 h 30 min 1 s later, at 2023-11-16 00:14:22: refused, auction/stale"]
    early = why_not(escrow, Redo(Role.STRANGER, at))
    assert away(early) == [
        "1 h 30 min 1 s later, at 2023-11-16 00:14:22: not refused with auction/running"
    ]
    begun = why(escrow, Redo(Role.STRANGER, Seconds(late + 7_201)), ln.AuctionBegun)
    assert away(begun) == ["1 s earlier, at 2023-11-16 00:14:21: refused, auction/running"]


def test_a_dispute_and_its_end() -> None:
    at = Seconds(NOW + HOUR)
    disputed = why(called(**ARBITER), Dispute(Role.BORROWER, at), ln.Disputed)
    assert disputed.verdict == (
        "disputed with 23 h 1 min of cure time left on the active clock; the call waits for the "
        "arbiter"
    )
    escrow = played(called(**ARBITER), Dispute(Role.BORROWER, at))
    word = why(escrow, Resolve(Role.ARBITER, Seconds(at + 600), True), ln.Resolved)
    assert word.verdict == (
        "the call was wrong and is void; the arbiter's time: 50 min left on the wall clock"
    )
    assert away(word)[0].startswith("50 min 1 s later")
    late = why(escrow, Resolve(Role.STRANGER, Seconds(at + HOUR + 1), False), ln.Resolved)
    assert late.verdict.startswith("the call stands; 1 h 1 s of cure time given back")
    assert away(late)[0].startswith("1 s earlier")
    early = why_not(escrow, Resolve(Role.STRANGER, Seconds(at + HOUR), False))
    assert away(early)[0].startswith("1 s later")


def test_a_price_that_grew_old_and_the_clock_that_stands() -> None:
    at = Seconds(NOW + 2 * DAY + 61)
    found = why(called(), Tick(Role.WATCHER, at), sy.OracleStale)
    assert away(found) == ["1 s earlier, at 2023-11-16 22:14:20: the price may be used"]
    stale = played(called(), Tick(Role.WATCHER, at))
    refused = why_not(stale, Cure(Role.BORROWER, at))
    assert refused.verdict == "refused, price/stale: the price is too old by 1 s on the wall clock"
    assert away(refused) == ["1 s earlier, at 2023-11-16 22:14:20: the price may be used"]
    ahead = {each.what: each.finding.verdict for each in outlook("0x", stale).ahead}
    assert ahead["no price"].endswith("nothing is called, cured or sold until that is over")


def test_a_stuck_payout_and_a_final_coin() -> None:
    burned = played(
        active(),
        Repay(Role.BORROWER, NOW, Cents(2_400_000)),
        BurnTokens(Role.BORROWER, NOW, 0, Sats(COIN), SCRIPT),
        SawPayout(Role.WATCHER, NOW, PAYOUT),
    )
    found = why(burned, SawPayoutStuck(Role.WATCHER, NOW, "pp", 7), vt.PayoutStuck)
    assert found.verdict == "7 blocks passed it by"
    assert away(found) == ["2 blocks less: it is not stuck yet"]
    final = why(burned, SawPayoutDepth(Role.WATCHER, NOW, "pp", 3), vt.PayoutFinal)
    assert away(final) == ["1 block less: the payout is not final"]
    coin = why(active(), SawCoin(Role.WATCHER, NOW, "bb:0", Sats(COIN), 3, 7), vt.CoinLocked)
    assert coin.verdict == "the coin has 3 blocks or more of 3"


# --- refusals ---


def test_what_a_role_decides_has_no_distance() -> None:
    found = why_not(active(), Draw(Role.STRANGER, NOW, Cents(1)))
    assert (found.code, found.distances) == ("draw/not-borrower", ())
    assert found.verdict == f"refused, draw/not-borrower: {CODES['draw/not-borrower']}"


def test_what_is_allowed_is_no_refusal() -> None:
    with pytest.raises(BadInput) as refusal:
        explain_refusal(active(), Repay(Role.STRANGER, NOW, Cents(1)))
    assert (refusal.value.code, refusal.value.facts) == ("why/allowed", {"command": "Repay"})


def test_a_burn_too_small_and_one_too_large() -> None:
    escrow = played(active(), Repay(Role.BORROWER, NOW, Cents(2_400_000)))
    small = why_not(escrow, BurnTokens(Role.BORROWER, NOW, 0, Sats(MIN_DEPOSIT - 1), SCRIPT))
    assert away(small) == ["0.00000001 BTC more: not refused with burn/dust"]
    large = why_not(escrow, BurnTokens(Role.BORROWER, NOW, 0, Sats(COIN + 5), SCRIPT))
    assert away(large) == ["0.00000005 BTC less: not refused with burn/no-tokens"]


# --- words ---


def test_spans_moments_and_coins_at_their_ends() -> None:
    assert (span(93_784), span(93_784, units=4)) == ("1 d 2 h", "1 d 2 h 3 min 4 s")
    assert moment(253_402_300_799) == "9999-12-31 23:59:59"
    assert moment(253_402_300_800) == "second 253402300800"
    assert (coins(-1), coins(COIN + 1)) == ("-0.00000001 BTC", "1.00000001 BTC")


@pytest.mark.parametrize(
    ("debt", "shown"),
    [(0, "0.00 %"), (7_500, "75.00 %"), (7_499, "74.99 %"), (7_501, "75.01 %")],
)
def test_a_ratio_at_a_level_and_beside_it(debt: int, shown: str) -> None:
    # 100.00 of coins: a cent is a basis point.
    args = {"sats": Sats(COIN), "price": PriceE8(100 * 10**8), "level": Bps(7_500)}
    assert ratio(Cents(debt), **args) == shown


def test_a_ratio_never_reads_as_the_level_that_it_does_not_reach() -> None:
    huge = {"sats": Sats(21 * 10**14), "price": PriceE8(10**18), "level": Bps(7_500)}
    edge = 7_500 * 21 * 10**14 * 10**18 // (10_000 * 10**14)
    assert ratio(Cents(edge), **huge) == "75.00 %"
    assert ratio(Cents(edge - 1), **huge) == "74.999999999999999996 %"
    assert ratio(Cents(edge + 1), **huge) == "75.01 %"
    assert ratio(Cents(5), sats=Sats(0), price=PriceE8(1), level=Bps(1)) == "without coins"


# --- what comes next, and JSON ---


def test_the_outlook_of_an_active_loan() -> None:
    found = outlook("0xab", price(active(), 33_000, at=Seconds(NOW + 60)))
    assert [each.what for each in found.ahead] == [
        "call", "liquidation", "maturity", "default", "recovery",
    ]  # fmt: skip
    assert found.ahead[0].finding.verdict == "LTV 72.73 %; calls at 75.00 %; 750.00 away"
    assert found.ahead[1].finding.verdict == "LTV 72.73 %; sells at 85.00 %; 4,050.00 away"
    assert found.due == ()


def test_the_outlook_in_default_states_no_level_that_would_not_matter() -> None:
    at = Seconds(TERMS.maturity + TERMS.grace + 5)
    found = outlook("0xab", price(active(), 48_000, at=at))
    sale = [each.finding for each in found.ahead if each.what == "liquidation"]
    assert [each.verdict for each in sale] == [
        "in default for 4 s on the wall clock",
        "LTV 50.00 %; sells at 85.00 %; 16,800.00 away",
    ]
    assert [far.shown for each in sale for far in each.distances] == [
        "5 s earlier, at 2024-02-15 22:13:20: no sale"
    ]


def test_the_outlook_of_a_called_loan() -> None:
    found = {each.what: each.finding for each in outlook("0xab", called()).ahead}
    assert found["restore"].verdict == "LTV 75.00 %; cured at 60.00 %; 4,800.00 away"
    assert found["deadline"].verdict == (
        "1 d of cure time left on the active clock; on the wall clock in 1 d 1 s if the price "
        "stays fresh"
    )


def test_the_outlook_says_what_is_due_and_by_whom() -> None:
    at = Seconds(NOW + 60)
    assert outlook("0x", price(active(), 28_000, at=at)).due == (
        "CallMargin by the operator",
        "RealiseCollateral by the lender",
    )


def test_big_integers_are_text_in_json_and_small_ones_are_not() -> None:
    huge = next(e for _, e in samples() if isinstance(e, Incident))
    found = jsonable(explain(Step(active(), huge, active())).as_dict())
    told = json.loads(json.dumps(found))
    assert told["inputs"][0]["value"] == str(2**60)
    at = Seconds(NOW + 60)
    call = why(price(active(), 32_000, at=at), MarginCall(Role.OPERATOR, at), ln.MarginCalled)
    told = json.loads(json.dumps(jsonable(call.as_dict())))
    debt, flip = told["distances"]
    assert (debt["actual"], debt["flip"], debt["away"]) == (2_400_000, 2_399_999, 1)
    assert (flip["unit"], flip["flip"]) == ("e-8", 32_000 * 10**8 + 1)
    assert told["rule"]["laws"] == ["INV-RISK-8", "INV-CLK-1"]


# --- servicing ---


def test_a_default_is_declared_and_how_early_it_would_have_been() -> None:
    served = replace(active(), servicing=sv.Servicing(PLAN))
    due = PLAN.instalments[0].due_at
    at = Seconds(due + 2 * HOUR + 1)
    found = why(served, DeclareDefault(Role.LENDER, at), sv.DefaultDeclared)
    assert found.verdict == "may be declared for 0 s on the wall clock"
    early = why_not(served, DeclareDefault(Role.LENDER, Seconds(at - 1)))
    assert early.verdict == (
        "refused, default/too-early: may be declared only in 1 s on the wall clock"
    )
    assert away(early) == [f"1 s later, at {moment(at)}: not refused with default/too-early"]


def test_a_notice_names_the_level_and_the_count() -> None:
    served = replace(active(), servicing=sv.Servicing(PLAN))
    found = why(served, Notice(Role.OPERATOR, NOW), sv.MarginNoticed)
    assert found.verdict == "LTV 50.00 %: notice level 50.00 % is reached, 1 of 1"
