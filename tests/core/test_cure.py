"""The call is answered."""

import pytest
from deals import (
    AT_RESTORE,
    NOW,
    ONE,
    STAGES,
    TERMS,
    called,
    code_of,
    final,
    kept_fresh,
    play,
    priced,
    refuses,
)

from escrow.core.decide import decide
from escrow.core.phases import loan_phase
from escrow.core.regions.loan import CallCured
from escrow.core.roles import Role
from escrow.core.units import HOUR, Cents, PriceE8, Sats, Seconds
from escrow.core.verbs.cure import Cure
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.top_up import TopUp

AT = Seconds(NOW + 120)


@pytest.mark.parametrize("by", Role)
def test_anyone_may_say_that_it_is_cured(by: Role) -> None:
    assert code_of(priced(called(), AT_RESTORE, at=AT), Cure(by, AT)) == ""


@pytest.mark.parametrize("stage", STAGES)
def test_only_a_called_loan_is_cured(stage: str) -> None:
    escrow = STAGES[stage]()
    escrow = priced(escrow, AT_RESTORE, at=Seconds(escrow.system.clock + 1))
    if stage in ("DRAFT", "OFFERED", "ACCEPTED"):
        expected = "loan/unknown"
    else:
        expected = "" if stage == "MARGIN_CALL" else "cure/not-called"
    assert code_of(escrow, Cure(Role.BORROWER, escrow.system.clock)) == expected


@pytest.mark.parametrize(
    ("price", "code"),
    [(AT_RESTORE - 1, "cure/not-restored"), (AT_RESTORE, ""), (AT_RESTORE + 1, "")],
)
def test_the_restore_level_is_exact(price: int, code: str) -> None:
    assert code_of(priced(called(), PriceE8(price), at=AT), Cure(Role.BORROWER, AT)) == code


# At 32,000 a coin the restore level allows 19,200.00 against one coin, and asks 1.25 for 24,000.00.
@pytest.mark.parametrize(("amount", "code"), [(479_999, "cure/not-restored"), (480_000, "")])
def test_a_repayment_cures_to_the_cent(amount: int, code: str) -> None:
    paid = play(called(), Repay(Role.BORROWER, AT, Cents(amount)))
    assert code_of(paid, Cure(Role.BORROWER, AT)) == code


@pytest.mark.parametrize(
    ("sats", "code"), [(ONE // 4 - 1, "cure/not-restored"), (ONE // 4, ""), (ONE // 4 + 1, "")]
)
def test_a_top_up_cures_to_the_sat(sats: int, code: str) -> None:
    topped = play(
        called(),
        final("cc:0", sats=sats, at=AT),
        Mint(Role.ATTESTOR, AT, "cc:0", Sats(sats)),
        TopUp(Role.BORROWER, AT, Sats(sats)),
    )
    assert code_of(topped, Cure(Role.BORROWER, AT)) == code


def test_the_refusal_shows_the_ratio() -> None:
    refuses(
        called(), Cure(Role.BORROWER, AT), "cure/not-restored", ltv_bps=7_500, restore_ltv=6_000
    )


@pytest.mark.parametrize(("age", "code"), [(HOUR, ""), (HOUR + 1, "price/stale")])
def test_a_stale_price_cures_nobody(age: int, code: str) -> None:
    fresh = priced(called(), AT_RESTORE, at=AT)
    assert code_of(fresh, Cure(Role.BORROWER, Seconds(AT + age))) == code


def test_a_late_borrower_is_cured_until_the_call_has_expired() -> None:
    late = Seconds(NOW + 60 + TERMS.cure + HOUR)
    escrow = kept_fresh(called(), until=late, price=AT_RESTORE)
    assert code_of(escrow, Cure(Role.BORROWER, late)) == ""


def test_a_cured_loan_is_active_again() -> None:
    escrow = priced(called(), AT_RESTORE, at=AT)
    assert decide(escrow, Cure(Role.BORROWER, AT, "0xcc")) == (CallCured(AT, 3, "0xcc"),)
    assert loan_phase(play(escrow, Cure(Role.BORROWER, AT))) == "ACTIVE"
