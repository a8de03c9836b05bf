"""What the machine draws from: sound and unsound terms, who asks, when, and how near."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from escrow.core.regions.servicing import Instalment, ServicingPlan
from escrow.core.regions.system import System, new_system
from escrow.core.roles import Role
from escrow.core.terms import Liquidation, Terms
from escrow.core.units import (
    BPS,
    CENTS_SCALE,
    DAY,
    HOUR,
    Bps,
    Cents,
    PriceE8,
    Sats,
    Seconds,
    muldiv_down,
)

START: Final = Seconds(1_700_000_000)
"""When a machine's platform was set up."""
PAR: Final = PriceE8(48_000 * 10**8)
"""Price that a machine starts from: 48,000.00 a coin."""
SCRIPTS: Final = ("0014" + "11" * 20, "5120" + "22" * 32, "6a04deadbeef")
"""Where burns ask their coins to go: two standard outputs, and one that nobody may name."""


def platform() -> System:
    """The platform that machines and the corpus run on."""
    return new_system(origin=START, heartbeat=HOUR, quorum=3, wide_quorum=5, deviation=Bps(2_000))


def price_at(debt: Cents, *, sats: Sats, level: Bps) -> PriceE8:
    """Highest price at which the loan-to-value is still ``level`` or above; 1 if there is none."""
    if sats <= 0:
        return PriceE8(1)
    return PriceE8(max(1, muldiv_down(debt * CENTS_SCALE, BPS, level * sats)))


def some_terms() -> st.SearchStrategy[Terms]:
    """Sound terms, at their extremes too, on the clock of ``platform``."""
    ladders = ((5_000, 6_000, 7_500, 8_000), (1, 1, 2, 3), (7_000, 7_000, 9_998, 9_999))
    return st.builds(
        _terms,
        ladder=st.sampled_from(ladders),
        rate=st.sampled_from((0, 2_300, 100_000)),
        cure=st.sampled_from((HOUR, 1, 30 * DAY)),
        grace=st.sampled_from((DAY, 0)),
        confirmations=st.sampled_from((2, 1, 6)),
        liquidation=st.sampled_from(Liquidation),
        bonus=st.sampled_from((500, 0, 5_000)),
        max_fee=st.sampled_from((5_000, 1, 10_000_000)),
        fee=st.sampled_from((0, 99, 5_000)),
        min_left=st.sampled_from((0, 1_000_000)),
        dispute=st.sampled_from((0, HOUR, 2 * DAY)),
    )


def _terms(
    *,
    ladder: tuple[int, int, int, int],
    rate: int,
    cure: int,
    grace: int,
    confirmations: int,
    liquidation: Liquidation,
    bonus: int,
    max_fee: int,
    fee: int,
    min_left: int,
    dispute: int,
) -> Terms:
    initial, restore, call, liquidate = (Bps(level) for level in ladder)
    own: dict[str, Any] = {"bonus_bps": Bps(bonus)}
    if liquidation is Liquidation.PARTIAL:
        # A target that the sale can reach, however dear it is.
        most = muldiv_down((BPS - fee) * BPS - 1, 1, BPS + bonus)
        own["target_ltv"] = Bps(min(initial, most))
    if liquidation is Liquidation.AUCTION:
        own = {
            "buf_bps": Bps(12_000),
            "cut_bps": Bps(9_000),
            "step": Seconds(600),
            "tail": Seconds(HOUR),
            "cusp_bps": Bps(6_000),
        } | {"bonus_bps": Bps(0)}
    if dispute:
        own |= {"arbiter": "0x" + "ab" * 20, "dispute": Seconds(dispute)}
    return Terms(
        borrower="0x" + "b0" * 20,
        lender="0x" + "1e" * 20,
        vault="0x" + "00" * 32,
        principal=Cents(2_400_000),
        rate_bps=Bps(rate),
        initial_ltv=initial,
        restore_ltv=restore,
        call_ltv=call,
        liquidation_ltv=liquidate,
        cure=Seconds(cure),
        expires_at=Seconds(START + DAY),
        draw_by=Seconds(START + 3 * DAY),
        maturity=Seconds(START + 30 * DAY),
        grace=Seconds(grace),
        recover_at=Seconds(START + 30 * DAY + grace + DAY),
        confirmations=confirmations,
        liquidation=liquidation,
        max_fee=Sats(max_fee),
        nonce=0,
        fee_bps=Bps(fee),
        min_left=Cents(min_left),
        **own,
    )


def some_plans(terms: Terms) -> st.SearchStrategy[ServicingPlan]:
    """Plans that make sense beside these terms: none, one or two notices and payments."""
    between = (terms.restore_ltv, Bps(terms.call_ltv - 1))
    notices = tuple(level for level in dict.fromkeys(between) if 0 < level < terms.call_ltv)
    half = Seconds((terms.draw_by + terms.maturity) >> 1)
    payments = tuple(Instalment(at, Cents(1_000_000)) for at in (half, terms.maturity))
    return st.builds(
        ServicingPlan,
        notices=st.sampled_from((notices, notices[:1], ())),
        instalments=st.sampled_from((payments, payments[:1], payments[1:], ())),
        grace=st.sampled_from((Seconds(0), Seconds(DAY), Seconds(10 * DAY))),
        delinquency=st.sampled_from((Seconds(0), Seconds(HOUR), Seconds(30 * DAY))),
    )


UNSOUND: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"lender": "0x" + "B0" * 20},
    {"initial_ltv": 0},
    {"liquidation_ltv": BPS},
    {"draw_by": START - 1},
    {"recover_at": START},
    {"confirmations": 0},
    {"rate_bps": -1},
)
"""Changes that make terms contradict themselves; the first changes nothing."""

BY: Final = st.sampled_from((None,) * 12 + tuple(Role))
"""Who asks; ``None``: whoever is entitled."""
AGREED: Final = st.sampled_from(
    ((Role.BORROWER, Role.LENDER),) * 5
    + ((), (Role.BORROWER,), (Role.LENDER,), (Role.BORROWER, Role.CUSTODIAN), tuple(Role))
)
"""Whose signatures stand under a re-key."""
SEES: Final = st.sampled_from((None,) * 20 + (Role.BORROWER, Role.STRANGER))
"""Who reports a fact; ``None``: the watcher, and then it is a fact."""
WAIT: Final = st.sampled_from((*(0,) * 8, 1, 1, 60, HOUR - 1, HOUR, HOUR + 1, DAY))
"""Seconds that pass before a command."""
NEAR: Final = st.integers(-1, 1)
"""Units beside a boundary."""
PICK: Final = st.integers(0, 7)
"""Which of several, counted from the newest, modulo how many there are."""
DEPTH: Final = st.sampled_from((100, 0, 1, 2, 3, 5, 6, 7))
"""Confirmations, around those that terms ask for."""
