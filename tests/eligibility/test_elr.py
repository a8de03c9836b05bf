"""The experimental regime: who may pay whom."""

from __future__ import annotations

import pytest

from escrow.core.errors import Rejected
from escrow.core.units import Seconds
from escrow.eligibility.days import first_second, last_second, parse_day
from escrow.eligibility.elr import NAMED, Regime, Trader
from escrow.eligibility.read import load_profile

AT = first_second(parse_day("2025-09-01"))
LAST = last_second(parse_day("2027-08-31"))


@pytest.fixture
def regime() -> Regime:
    found = Regime(load_profile("ru-elr").book)
    for trader in (
        Trader("importer", resident=True, listed=True),
        Trader("exporter", resident=True, listed=True),
        Trader("shop", resident=True),
        Trader("supplier", resident=False),
        Trader("buyer", resident=False),
    ):
        found.enter(trader)
    return found


@pytest.mark.parametrize(
    ("payer", "payee", "code"),
    [
        ("importer", "supplier", ""),
        ("buyer", "exporter", ""),
        ("buyer", "supplier", ""),
        ("importer", "exporter", "elr/residents"),
        ("shop", "importer", "elr/residents"),
        ("shop", "supplier", "elr/not-listed"),
        ("buyer", "shop", "elr/not-listed"),
        ("nobody", "supplier", "elr/unknown"),
        ("importer", "nobody", "elr/unknown"),
    ],
)
def test_who_may_pay_whom(regime: Regime, payer: str, payee: str, code: str) -> None:
    def pay() -> None:
        regime.check_payment(payer=payer, payee=payee, asset="pledge-token", at=AT)

    if not code:
        pay()
        return
    with pytest.raises(Rejected) as refused:
        pay()
    assert refused.value.code == code
    if code != "elr/unknown":
        assert NAMED[str(refused.value.facts["rule"])] == code


def test_it_is_over_after_its_last_second(regime: Regime) -> None:
    sides = {"payer": "importer", "payee": "supplier", "asset": "pledge-token"}
    regime.check_payment(**sides, at=LAST)
    with pytest.raises(Rejected) as refused:
        regime.check_payment(**sides, at=Seconds(LAST + 1))
    assert refused.value.code == "elr/over"


def test_who_is_struck_from_the_list_pays_nobody(regime: Regime) -> None:
    regime.enter(Trader("importer", resident=True))
    with pytest.raises(Rejected) as refused:
        regime.check_payment(payer="importer", payee="supplier", asset="pledge-token", at=AT)
    assert refused.value.code == "elr/not-listed"


@pytest.mark.parametrize(
    "trader",
    [Trader("", True), Trader("a\nb", True), Trader("a" * 201, True), Trader("a", False, True)],
)
def test_only_residents_are_listed_by_a_name(regime: Regime, trader: Trader) -> None:
    with pytest.raises(Rejected) as refused:
        regime.enter(trader)
    assert refused.value.code == "elr/trader"


def test_the_regime_has_an_end_of_names(regime: Regime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("escrow.eligibility.elr.MAX_PARTIES", 5)
    regime.enter(Trader("shop", resident=True, listed=True))
    with pytest.raises(Rejected):
        regime.enter(Trader("one more", resident=True))


def test_another_book_says_no_by_its_own_rule() -> None:
    strict = Regime(load_profile("ru-draft-2026").book)
    strict.enter(Trader("a", resident=True, listed=True))
    at = first_second(parse_day("2026-07-01"))
    with pytest.raises(Rejected) as refused:
        strict.check_payment(payer="a", payee="a", asset="pledge-token", at=at)
    assert refused.value.code == "eligibility/denied"
    assert refused.value.facts["rule"] == "draft/domestic-payment"
