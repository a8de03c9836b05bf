"""Why the platform changed: its clock, its price, its pauses."""

from __future__ import annotations

from typing import assert_never

from escrow.core.regions.system import (
    MAX_PAUSE,
    RESUME_GRACE,
    ClockTicked,
    OraclesRotated,
    OracleStale,
    Paused,
    PriceMarked,
    Resumed,
    SystemEvent,
)
from escrow.core.state import Escrow
from escrow.core.units import Seconds
from escrow.view.explain import platform
from escrow.view.explain import rulebook as rb
from escrow.view.explain.measure import (
    PLATFORM,
    bound,
    by_time,
    constant,
    from_time,
    number,
)
from escrow.view.explain.parts import (
    SHOWN,
    Explanation,
    Finding,
    Input,
    Subject,
    explained,
)
from escrow.words import price


def of_system(event: SystemEvent, before: Escrow) -> Explanation:
    """Why the platform changed."""
    what, at, system, show = type(event).__name__, event.at, before.system, SHOWN["seconds"]
    match event:
        case ClockTicked():
            return explained(what, at, rb.CLOCK, Finding(f"it is {SHOWN['moment'](at)}"))
        case OracleStale(since=since):
            far = bound(
                Subject.MOMENT, at, since, most=True, unit="moment", code="",
                other="the price may be used",
            )  # fmt: skip
            inputs = (
                number("price stale after", since, unit="moment", source="its round and heartbeat"),
                number("heartbeat", system.heartbeat, unit="seconds", source=PLATFORM),
            )
            verdict = f"no price for {show(at - since)} beyond the heartbeat: cure clocks stand"
            return explained(what, at, rb.FRESH, Finding(verdict, inputs, (), far))
        case PriceMarked():
            return _priced(event, before)
        case Paused(until=until):
            length = Seconds(until - at)
            far = bound(
                Subject.SPAN, length, MAX_PAUSE, most=True, unit="seconds", code="pause/length"
            )
            asked = (
                number("length", length, unit="seconds", source="asked by the guardian"),
                constant("longest pause", MAX_PAUSE, unit="seconds", where="PriceRounds"),
            )
            verdict = f"paused for {show(length)}: cure clocks stand"
            findings = [Finding(verdict, asked, (), far)]
            if system.pause is not None:
                rested = Seconds(2 * system.pause.until - system.pause.since)
                last = number(
                    "rest over", rested, unit="moment", source="PriceRounds: the last pause"
                )
                findings.append(
                    from_time(at, rested, what="rested", source=(last,), code="pause/too-soon")
                )
            return explained(what, at, rb.PAUSE, *findings)
        case Resumed(ended=ended):
            assert system.pause is not None
            until = system.pause.until
            end = number("paused until", until, unit="moment", source="PriceRounds: the guardian")
            if ended < until:
                found = by_time(
                    at, Seconds(until - RESUME_GRACE - 1), what="the guardian ends its pause",
                    source=end, code="pause/ends-soon",
                )  # fmt: skip
                return explained(what, at, rb.PAUSE, found)
            found = from_time(
                at, until, what="the pause is over", source=(end,), code="",
                other="it is still paused",
            )  # fmt: skip
            return explained(what, at, rb.PAUSE, found)
        case OraclesRotated(quorum=quorum):
            new = number("quorum", quorum, unit="", source="PriceRounds.rotate_set")
            said = f"from now on {quorum} oracles of another set make a price"
            return explained(what, at, rb.ROTATION, Finding(said, (new,)))
        case _:
            assert_never(event)


def _priced(event: PriceMarked, before: Escrow) -> Explanation:
    system, new, at = before.system, event.price, event.at
    signers = len(event.reports)
    jumped = platform.jump(before, new.price, at=at, signers=signers)
    reports = " ".join(price(each) for each in event.reports)
    asked = (
        Input("reports", reports, "", reports, "signed by the oracles, ascending"),
        number("quorum", system.quorum, unit="", source=PLATFORM),
    )
    few = bound(
        Subject.SIGNERS, signers, system.quorum, most=False, unit="", code="price/too-few-signers"
    )
    old = by_time(
        at,
        Seconds(new.at + system.heartbeat),
        what="recent",
        source=number("heartbeat", system.heartbeat, unit="seconds", source=PLATFORM),
        code="price/too-old",
    )
    head = Finding(
        f"round {new.round}: 1 BTC costs {price(new.price)}, the median of {signers}", asked
    )
    return explained(
        "PriceMarked", at, rb.PRICE, head, jumped, Finding("", (), (), few), old
    )  # fmt: skip
