"""New terms settle the old debt and go on with it."""

from dataclasses import replace

import pytest
from deals import (
    AT_INITIAL,
    NOW,
    OWED,
    STAGES,
    TERMS,
    active,
    code_of,
    play,
    priced,
    refuses,
    stale,
)

from escrow.core.phases import agreed_terms, debt_now, terms_of
from escrow.core.roles import Role
from escrow.core.units import DAY, HOUR, Bps, Cents, PriceE8, Seconds
from escrow.core.verbs.refinance import Refinance
from escrow.core.verbs.repay import Repay

AT = Seconds(NOW + HOUR)
NEW = replace(
    TERMS,
    lender="0x" + "2e" * 20,
    rate_bps=Bps(900),
    expires_at=Seconds(AT + 60),
    draw_by=Seconds(AT + DAY),
    maturity=Seconds(TERMS.maturity + 10 * DAY),
    origin="0x" + "0f" * 32,
)


def ready(**terms: object):
    """Drawn, with a fresh price."""
    return priced(active(**terms), PriceE8(AT_INITIAL + 10**12), at=AT)


def asked(by: Role = Role.OPERATOR, *, at: Seconds = AT, **changes: object) -> Refinance:
    return Refinance(by, at, replace(NEW, **changes))


@pytest.mark.parametrize("by", Role)
def test_anyone_carries_both_signatures(by: Role) -> None:
    assert code_of(ready(), asked(by)) == ""


@pytest.mark.parametrize("stage", STAGES)
def test_only_a_loan_that_is_drawn_and_in_order(stage: str) -> None:
    escrow = STAGES[stage]()
    at = Seconds(escrow.system.clock + 1)
    escrow = priced(escrow, PriceE8(2 * AT_INITIAL), at=at)
    if stage in ("DRAFT", "OFFERED", "ACCEPTED"):
        expected = "loan/unknown"
    else:
        expected = "" if stage == "ACTIVE" else "refinance/not-active"
    times = {"expires_at": at, "draw_by": at, "maturity": TERMS.recover_at - 10 * DAY}
    if at > times["maturity"]:
        times |= {"maturity": at + DAY, "recover_at": at + 10 * DAY}
    assert code_of(escrow, asked(at=at, **times)) == expected


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"restore_ltv": Bps(7_500)}, "terms/ltv-order"),
        ({"principal": Cents(0)}, "terms/size"),
        ({"arbiter": NEW.lender, "dispute": Seconds(1)}, "terms/arbiter"),
        ({"expires_at": AT}, ""),
        ({"expires_at": Seconds(AT - 1)}, "open/expired"),
        ({"borrower": "0x" + "b1" * 20}, "refinance/custody"),
        ({"vault": "0x" + "5b" * 32}, "refinance/custody"),
        ({"recover_at": Seconds(TERMS.recover_at + 1)}, "refinance/custody"),
        ({"confirmations": 4}, "refinance/custody"),
        ({"max_fee": 4_999}, "refinance/custody"),
        ({"principal": Cents(OWED - 1)}, "draw/above-principal"),
        ({"initial_ltv": Bps(4_000)}, "draw/above-initial-ltv"),
    ],
)
def test_new_terms_are_sound_and_change_nothing_of_the_vault(changes, code: str) -> None:
    assert code_of(ready(), asked(**changes)) == code


def test_not_on_a_stale_price() -> None:
    dark = stale(ready())
    at = dark.system.clock
    assert code_of(dark, asked(at=at, expires_at=at, draw_by=at)) == "price/stale"


@pytest.mark.parametrize(("price", "code"), [(0, ""), (-1, "draw/above-initial-ltv")])
def test_the_initial_level_is_exact(price: int, code: str) -> None:
    escrow = priced(active(), PriceE8(AT_INITIAL + price), at=AT)
    assert code_of(escrow, asked()) == code


def test_what_was_owed_becomes_the_principal() -> None:
    before = ready(rate_bps=Bps(1_000))
    owed = debt_now(before, at=AT)
    assert owed > OWED
    after = play(before, asked(principal=owed))
    debt = after.loan.debt
    assert (debt.principal, debt.interest_acc, debt.accrued_to) == (owed, 0, AT)
    assert (debt.paid_principal, debt.paid_interest) == (OWED, owed - OWED)
    assert debt.drawn == OWED + owed
    assert terms_of(after.loan).rate_bps == 900
    assert agreed_terms(after).rate_bps == 1_000, "the vault was built on the first terms"


def test_interest_goes_on_at_the_new_rate() -> None:
    after = play(ready(), asked())
    year = Seconds(AT + 365 * DAY)
    assert debt_now(after, at=year) == OWED + OWED * 9 // 100
    assert play(after, Repay(Role.STRANGER, AT, OWED)).token.held == 0


def test_the_refusals_show_their_facts() -> None:
    refuses(
        ready(),
        asked(principal=Cents(OWED - 1)),
        "draw/above-principal",
        amount=OWED,
        principal=OWED - 1,
    )
    refuses(ready(), asked(max_fee=1), "refinance/custody", field="max_fee")
