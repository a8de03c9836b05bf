"""What may be asked of a deal: small words that seek the boundaries, and stories made of them.

An ask is a verb with words, numbers and names only, so a story is written down as JSON. What the
words mean depends on where the deal stands: ``["price", "call_ltv", -1]`` is one unit below the
price at which the loan stands at its call level.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from both_lab import AUCTION, HEARTBEAT, MAX, PARTIAL, PEOPLE, SCRIPT, Both, Lab
from hypothesis import strategies as st
from outside import attempt, freeze, suspend

from escrow.core.errors import Rejected
from escrow.core.phases import debt_now
from escrow.core.realise import auction_start, breached
from escrow.core.regions.loan import Accepted, Called, Indebted
from escrow.core.regions.system import MAX_PAUSE, active_seconds, stale_from
from escrow.core.sales import auction_price, gross_up, is_stale_auction
from escrow.core.terms import MIN_DEPOSIT, RESERVE_LIFE, Liquidation
from escrow.core.units import BPS, CENTS_SCALE, COIN, DAY, HOUR, MAX_PRICE, muldiv_up

CORPUS = Path(__file__).parents[1] / "corpus" / "conformance"
Ask = list[Any]
HIGH = 120_000 * 10**8
KINDS = {"third": {"liquidation": 1}, "partial": PARTIAL, "auction": AUCTION, "take": {}}
SHIFT = ("rate_bps", "bonus_bps", "principal", "initial_ltv", "min_left", "fee_bps", "nonce")
"""Terms that a refinancing may change."""

# --- strategies ---

WHO = st.sampled_from(PEOPLE)
RIGHT = st.sampled_from(("", "", "", *PEOPLE))
"""Who asks: mostly whoever may."""
NEAR = st.integers(-1, 1)
CENTS = st.sampled_from(
    ("zero", "one", "owed", "principal", "some", "allowed", "left", "gross", "half", "max")
)
SATS = st.sampled_from(
    ("zero", "one", "free", "least", "held", "excess", "half", "enough", "dust", "max")
)
LEVEL = st.sampled_from(
    (
        *("initial_ltv", "restore_ltv", "call_ltv", "liquidation_ltv", "target_ltv", "breakeven"),
        *("bad", "tiny", "huge", "zero", "jump", "drop", "same"),
    )
)
MOMENT = st.sampled_from(
    (
        *("stale", "deadline", "expires_at", "draw_by", "maturity", "default", "recover_at"),
        *("tail", "step", "cusp", "dispute", "pause", "rested"),
    )
)
BACK = st.sampled_from((0, 1, HEARTBEAT, HEARTBEAT + 1, -1))
"""Seconds by which a price is dated before the present."""
SPARE = st.sampled_from((0, 1, -1, COIN))
"""Sats that the quorum saw in the vault beyond what the tokens will be."""
AGE = st.sampled_from((0, 1, RESERVE_LIFE, RESERVE_LIFE + 1, -1))
"""Seconds since the quorum saw them."""
SPAN = st.sampled_from((0, 1, HOUR, MAX_PAUSE, MAX_PAUSE + 1))


def _ask(verb: str, *args: st.SearchStrategy[Any]) -> st.SearchStrategy[Ask]:
    return st.tuples(st.just(verb), *args).map(list)


BAD = st.sampled_from(("late", "vault", "max_fee", "small", "late and small"))
LENDER = st.sampled_from(("lender", "other lender"))

TIME = (
    _ask("wait", st.sampled_from((0, 1, 60, HOUR, DAY))),
    _ask("until", MOMENT, NEAR),
    _ask("fresh at", MOMENT, NEAR),
    _ask("price", LEVEL, NEAR),
    _ask("price", LEVEL, NEAR),
    _ask("post", st.integers(0, 3), LEVEL, st.sampled_from((0, 1, 10**9)), BACK, NEAR),
    _ask("twisted"),
    _ask("pause", st.sampled_from(("guardian", "guardian", *PEOPLE)), SPAN),
    _ask("resume", st.sampled_from(("guardian", "guardian", *PEOPLE))),
)
TOKENS = (
    _ask("deposit", st.sampled_from((COIN, COIN // 3, MIN_DEPOSIT)), NEAR),
    _ask("deposit seen", SPARE, AGE),
    _ask("mint again"),
    _ask("lose", st.integers(0, 3)),
    _ask("burn", WHO, SATS, NEAR, st.booleans()),
)
BORROWING = (
    _ask("open", WHO),
    _ask("open_and_draw", RIGHT, SATS, CENTS, NEAR),
    _ask("top_up", RIGHT, SATS, NEAR),
    _ask("withdraw", RIGHT, SATS, NEAR),
    _ask("draw", RIGHT, CENTS, NEAR),
    _ask("draw", RIGHT, CENTS, NEAR),
    _ask("repay", WHO, CENTS, NEAR),
    _ask("close", WHO),
    _ask("cancel", WHO),
    _ask("recovered", WHO),
    _ask("refinance", WHO, st.sampled_from(SHIFT), NEAR, LENDER),
    _ask("refinance to", WHO, st.sampled_from(tuple(KINDS))),
    _ask(
        "refinance badly",
        WHO,
        BAD,
    ),
)
MARGIN = (
    _ask("margin_call", WHO),
    _ask("dispute", RIGHT),
    _ask("resolve", st.sampled_from(("arbiter", "arbiter", *PEOPLE)), st.booleans()),
    _ask("cure", WHO),
    _ask("expire_call", WHO),
)
SELLING = (
    _ask("take_over", st.sampled_from(("lender", *PEOPLE))),
    _ask("liquidate", WHO, CENTS, NEAR, SATS),
    _ask("liquidate", st.just("buyer"), CENTS, NEAR, st.just("zero")),
    _ask("take", WHO, SATS, NEAR, st.sampled_from(("max", "asked", "zero")), NEAR),
    _ask("take", st.just("buyer"), SATS, NEAR, st.just("max"), st.just(0)),
    _ask("redo", WHO),
)
ASKS = st.one_of(*TIME, *TOKENS, *BORROWING, *MARGIN, *MARGIN, *SELLING, *SELLING)
STAGES = ("accepted", "opened", "secured", "active", "called", "disputed", "breached", "expired")

_COMMON = {
    "rate_bps": st.sampled_from((1_200, 0, 100_000)),
    "fee_bps": st.sampled_from((0, 99, 5_000)),
    "cure": st.sampled_from((2 * HOUR, 1, 30 * DAY)),
    "grace": st.sampled_from((DAY, 0)),
    "principal": st.sampled_from((5_000_000, 1, 5_000_001, 2**63 - 1)),
    "heard": st.booleans(),
}
_MIN_LEFT = st.sampled_from((0, 0, 1_000_000, "principal"))


@st.composite
def odd_terms(draw: st.DrawFn) -> dict[str, Any]:
    """Sound terms of any kind, and odd ones among them."""
    made = {name: draw(strategy) for name, strategy in _COMMON.items()}
    kind = draw(st.sampled_from(Liquidation))
    made["liquidation"] = int(kind)
    made["min_left"] = draw(_MIN_LEFT)
    if made["min_left"] == "principal" or made["min_left"] > made["principal"]:
        made["min_left"] = made["principal"]
    if kind is Liquidation.AUCTION:
        made |= AUCTION | {
            "liquidation": 3,
            "cut_bps": draw(st.sampled_from((9_900, 1, 9_999))),
            "step": draw(st.sampled_from((90, 7_200, 8))),
            "cusp_bps": draw(st.sampled_from((4_000, 1, 10_000))),
            "buf_bps": draw(st.sampled_from((12_000, 10_000, 20_000))),
        }
    else:
        made["bonus_bps"] = draw(st.sampled_from((500, 0, 5_000)))
    if kind is Liquidation.PARTIAL:
        reach = (BPS - made["fee_bps"]) * BPS - 1
        most = min(6_000, reach // (BPS + made["bonus_bps"]))
        made["target_ltv"] = draw(st.sampled_from((most, 1)))
    return made


TERMS = st.one_of(st.just({}), odd_terms())
STORIES = st.fixed_dictionaries(
    {
        "terms": TERMS,
        "stage": st.sampled_from((*STAGES, *STAGES[3:])),
        "asks": st.lists(ASKS, min_size=6, max_size=20),
    }
)


# --- what the words mean ---


def cents(both: Both, kind: str, near: int) -> int:
    debt, now = debt_now(both.state, at=both.now), both.terms
    price = both.state.system.price
    worth = both.state.token.held * (price.price if price else 0)
    base = {
        "zero": 0,
        "one": 1,
        "owed": debt,
        "half": debt // 2,
        # What leaves just the least debt that a sale may leave, and what pays for all of it.
        "left": gross_up(max(0, debt - now.min_left), fee=now.fee_bps),
        "gross": gross_up(debt, fee=now.fee_bps),
        "principal": now.principal - debt,
        "some": 777_777,
        "allowed": worth * now.initial_ltv // (CENTS_SCALE * BPS) - debt,
        "max": MAX,
    }[kind]
    return min(MAX, max(0, base + near))


def sats(both: Both, kind: str, near: int) -> int:
    held, debt = both.state.token.held, debt_now(both.state, at=both.now)
    last = both.state.system.price
    price = last.price if last else HIGH
    # What leaves just the least debt that a sale may leave.
    covered = gross_up(max(0, debt - both.terms.min_left), fee=both.terms.fee_bps)
    needed = muldiv_up(debt * CENTS_SCALE, BPS, both.terms.initial_ltv * price)
    base = {
        "zero": 0,
        "one": 1,
        "free": both.tokens["borrower"],
        "held": held,
        "half": held // 2,
        "excess": held - needed,
        "dust": covered * CENTS_SCALE // (asked(both) or price),
        "enough": gross_up(debt, fee=both.terms.fee_bps) * CENTS_SCALE // price,
        "least": MIN_DEPOSIT,
        "max": MAX,
    }[kind]
    return min(MAX, max(0, base + near))


def price(both: Both, level: str, near: int) -> int:
    """The highest price at which the loan stands at a level, or beside it."""
    debt = debt_now(both.state, at=both.now) or both.terms.principal
    held, last = both.state.token.held or COIN, both.state.system.price
    before = last.price if last else HIGH
    fixed = {
        "tiny": 1,
        "huge": MAX_PRICE,
        "zero": 0,
        "same": before,
        # As far as a single oracle may move it.
        "jump": before + before * 2_000 // BPS,
        "drop": before - before * 2_000 // BPS,
    }
    if level in fixed:
        return max(0, fixed[level] + near)
    terms = both.terms
    if level == "breakeven":
        claim = gross_up(debt, fee=terms.fee_bps) * (BPS + terms.bonus_bps)
        return max(1, claim * CENTS_SCALE // (held * BPS) + near)
    bps = 10_000 if level == "bad" else getattr(terms, level) or terms.restore_ltv
    return max(1, debt * CENTS_SCALE * BPS // (bps * held) + near)


def asked(both: Both) -> int:
    """The price of an auction at this second, 0 if there is none."""
    if both.terms.liquidation is not Liquidation.AUCTION:
        return 0
    try:
        loan, last, reason = breached(both.state, at=both.now)
    except Rejected:
        return 0
    elapsed = both.now - auction_start(loan, last, reason)
    if is_stale_auction(both.terms, elapsed=elapsed):
        return 0
    return auction_price(both.terms, price=last.price, elapsed=elapsed)


def moment(both: Both, name: str, near: int) -> int:
    state, at, terms = both.state, both.now, both.terms
    loan, pause = state.loan, state.system.pause
    called = loan if isinstance(loan, Called) else None
    match name:
        case "stale":
            return stale_from(state.system) + near
        case "deadline":
            left = called.deadline - active_seconds(state.system, at=at) if called else 0
            return at + left + near
        case "dispute":
            begun = called.dispute.at if called and called.dispute else at
            return begun + terms.dispute + near
        case "default":
            return terms.maturity + terms.grace + near
        case "pause":
            return (pause.until if pause else at) + near
        case "rested":
            return (2 * pause.until - pause.since if pause else at) + near
        case "tail" | "step" | "cusp":
            return _of_auction(both, name) + near
        case _:
            return getattr(terms, name) + near


def _of_auction(both: Both, name: str) -> int:
    loan, last, terms = both.state.loan, both.state.system.price, both.terms
    since = getattr(loan, "since", last.at if last else both.now)
    if terms.liquidation is not Liquidation.AUCTION or not isinstance(loan, Indebted):
        return both.now
    if name == "tail":
        return since + terms.tail
    steps = (both.now - since) // terms.step + 1
    while name == "cusp" and not is_stale_auction(terms, elapsed=steps * terms.step):
        steps += 1
    return since + steps * terms.step


def ask(both: Both, verb: str, *args: Any) -> str:
    """Ask it, and answer the code."""
    match verb, args:
        case "until", (name, near):
            both.until(moment(both, name, near))
        case "fresh at", (name, near):
            # A price a second before, so that it is not the price that is late.
            there, last = moment(both, name, near), both.state.system.price
            both.until(there - 1)
            both.price(last.price if last else HIGH)
            both.until(there)
        case "price", (level, near):
            return both.price(price(both, level, near))
        case "post", (signers, level, spread, back, skip):
            near = price(both, level, 0)
            return both.price(near, signers=signers, spread=spread, back=back, skip=skip)
        case "attempt", (name,):
            attempt(both, name)
        case "suspend", (name,):
            suspend(both, name)
        case "freeze", (name,):
            freeze(both, name)
        case "twisted", ():
            return both.price(price(both, "same", 0), signers=3, spread=1, twisted=True)
        case "pause", (who, seconds):
            return both.pause(seconds, who)
        case "deposit", (size, near):
            if size + near >= MIN_DEPOSIT:
                return both.deposit(size + near)
        case "deposit seen", (spare, back):
            # A coin that is never minted looks like change to the contract, and to the core not.
            code = both.deposit(COIN, spare=spare, back=back)
            if code:
                both.mint(both.coins[-1], COIN)
            return code
        case "mint again", ():
            if both.coins:
                coin = both.state.vault.coins[-1]
                return both.mint(coin.outpoint, coin.sats)
        case "open_and_draw", (who, kind, most, near):
            got = sats(both, kind, 0), cents(both, most, near)
            return both.open_and_draw(who or "borrower", *got)
        case (("top_up" | "withdraw"), (who, kind, near)):
            return getattr(both, verb)(who or "borrower", sats(both, kind, near))
        case "draw", (who, kind, near):
            return both.draw(who or "borrower", cents(both, kind, near))
        case "dispute", (who,):
            return both.dispute(who or "borrower")
        case "repay", (who, kind, near):
            return both.repay(who, cents(both, kind, near))
        case "cancel", (who,):
            # Before the book knows the loan, an offer is withdrawn in the engine alone.
            if not isinstance(both.state.loan, Accepted):
                return both.cancel(who)
        case "liquidate", (who, kind, near, least):
            return both.liquidate(who, cents(both, kind, near), sats(both, least, 0))
        case "take", (who, kind, near, most, beside):
            limit = {"max": MAX, "zero": 0, "asked": asked(both)}[most]
            limit = min(MAX, max(0, limit + beside))
            return both.take(who, sats(both, kind, near), limit)
        case "burn", (who, kind, near, good):
            return both.burn(who, sats(both, kind, near), SCRIPT if good else b"\x6a" + bytes(21))
        case (("refinance" | "refinance to" | "refinance badly"), (who, *rest)):
            return both.refinance(who, **new_terms(both, *rest))
        case _:
            return getattr(both, verb)(*args) or ""
    return ""


def new_terms(both: Both, word: str, near: int = 0, lender: str = "lender") -> dict[str, Any]:
    debt, terms = debt_now(both.state, at=both.now), both.terms
    if word in KINDS:
        bare = dict.fromkeys(("target_ltv", *(name for name in AUCTION if "_" in name)), 0)
        bare |= {"step": 0, "tail": 0, "liquidation": Liquidation.TAKE_OVER}
        made = bare | KINDS[word]
        made["liquidation"] = Liquidation(made["liquidation"])
        return made | {"fee_bps": 0}
    if word == "late":
        return {"expires_at": both.now - 1}
    if word == "small":
        return {"principal": 0}
    if word == "late and small":
        return {"expires_at": both.now - 1, "principal": 0}
    wrong = {"vault": "0x" + "08" * 32, "max_fee": terms.max_fee + 1, "origin": "0x" + "09" * 32}
    if word in wrong:
        return {word: wrong[word]}
    made = {"lender": both.lab.people[lender].address}
    if word == "principal":
        return made | {"principal": max(1, debt + near), "min_left": 0}
    if word == "min_left":
        return made | {"min_left": terms.principal}
    if word == "bonus_bps" and terms.liquidation is Liquidation.AUCTION:
        return made
    return made | {word: max(0, getattr(terms, word) + near)}


# --- stories ---


def begin(lab: Lab, terms: dict[str, Any], stage: str) -> Both:
    """A deal at a stage of its life."""
    both = Both(lab, **terms)
    if stage != "accepted":
        both.open("operator")
    if stage not in ("accepted", "opened"):
        both.deposit(COIN)
        both.top_up("borrower", COIN)
        both.price(HIGH)
    if stage not in ("accepted", "opened", "secured"):
        both.draw("borrower", min(both.terms.principal, cents(both, "allowed", 0)))
    if stage in ("called", "disputed", "expired"):
        both.price(price(both, "call_ltv", -1))
        both.margin_call("stranger")
    if stage == "disputed":
        both.dispute("borrower")
    if stage == "breached":
        both.price(price(both, "liquidation_ltv", -1))
    if stage == "expired":
        both.until(min(moment(both, "deadline", 1), both.now + HEARTBEAT))
        both.expire_call("operator")
    return both


def tell(lab: Lab, story: dict[str, Any]) -> Iterator[Both]:
    """The whole story, and where it stands after each ask. At the end the views are asked; where
    many stories are told, of one in ten."""
    both = begin(lab, story["terms"], story["stage"])
    yield both
    for each in story["asks"]:
        ask(both, *each)
        yield both
    lab.told += 1
    if lab.by_hand or lab.told % 10 == 1:
        both.ask_views()


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def write(story: dict[str, Any]) -> str:
    """One ask a line."""
    asks = ",\n".join(json.dumps(each) for each in story["asks"])
    return (
        f'{{"terms": {json.dumps(story["terms"])},\n'
        f'"stage": {json.dumps(story["stage"])},\n"asks": [\n{asks}\n]}}\n'
    )
