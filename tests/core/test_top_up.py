"""The borrower pledges free tokens."""

import pytest
from deals import NOW, ONE, STAGES, called, code_of, final, minted, play, refuses, stale

from escrow.core.phases import loan_phase
from escrow.core.roles import Role
from escrow.core.units import Sats
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.top_up import TopUp


@pytest.mark.parametrize("by", Role)
def test_only_the_borrower_pledges(by: Role) -> None:
    expected = "" if by is Role.BORROWER else "top-up/not-borrower"
    assert code_of(minted(), TopUp(by, NOW, ONE)) == expected


@pytest.mark.parametrize("stage", STAGES)
def test_collateral_is_taken_until_the_seizure_is_on_its_way(stage: str) -> None:
    escrow = STAGES[stage]()
    at = escrow.system.clock
    if stage in ("DRAFT", "OFFERED", "ACCEPTED"):
        expected = "loan/unknown"
    elif stage in ("AWAITING_COLLATERAL", "SECURED", "ACTIVE", "MARGIN_CALL"):
        escrow = play(escrow, final("cc:0", at=at), Mint(Role.ATTESTOR, at, "cc:0", ONE))
        expected = ""
    else:
        expected = "top-up/not-live"
    assert code_of(escrow, TopUp(Role.BORROWER, at, Sats(1))) == expected


@pytest.mark.parametrize(
    ("sats", "code"),
    [
        (-1, "loan/amount"),
        (0, "loan/amount"),
        (1, ""),
        (ONE, ""),
        (ONE + 1, "top-up/no-tokens"),
    ],
)
def test_at_least_one_sat_and_at_most_what_is_free(sats: int, code: str) -> None:
    assert code_of(minted(), TopUp(Role.BORROWER, NOW, Sats(sats))) == code


def test_what_is_pledged_is_not_free_any_more() -> None:
    once = play(minted(), TopUp(Role.BORROWER, NOW, Sats(ONE - 10)))
    refuses(once, TopUp(Role.BORROWER, NOW, Sats(11)), "top-up/no-tokens", sats=11, free=10)
    twice = play(once, TopUp(Role.BORROWER, NOW, Sats(10)))
    assert twice.token.held == ONE
    assert loan_phase(twice) == "SECURED"


def test_a_top_up_needs_no_price() -> None:
    dark = stale(called())
    at = dark.system.clock
    dark = play(dark, final("cc:0", at=at), Mint(Role.ATTESTOR, at, "cc:0", ONE))
    assert play(dark, TopUp(Role.BORROWER, at, ONE)).token.held == 2 * ONE
