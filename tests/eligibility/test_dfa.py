"""An operator of digital financial assets: what it refuses changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from escrow.core.eligibility import Force, Gate, Op, Predicate, Rule, RuleBook, Status
from escrow.core.errors import EscrowError, Rejected
from escrow.core.units import MAX_CENTS, Cents, Seconds
from escrow.eligibility.days import first_second, last_second, parse_day
from escrow.eligibility.dfa import (
    MAX_UNITS,
    Decision,
    DfaOperator,
    InvestorClass,
)
from escrow.eligibility.read import load_profile

AT = first_second(parse_day("2025-06-01"))
ISSUE = Decision("mine-1", "miner", "a claim in roubles", 1_000_000, Cents(1))
"""A kopeck a unit: units are kopecks."""
LIMIT = 60_000_000
DEAR = Decision("mine-2", "miner", "a claim in roubles", 10, Cents(LIMIT))


def operator(book: RuleBook | None = None) -> DfaOperator:
    found = DfaOperator(book or load_profile("ru-2024").book, exchanges=("exchange",))
    found.enter("person", InvestorClass.NON_QUALIFIED)
    found.enter("fund", InvestorClass.QUALIFIED)
    found.enter("bank", InvestorClass.QUALIFIED)
    found.issue(replace(ISSUE, units=2 * LIMIT))
    found.issue(DEAR)
    return found


def picture(of: DfaOperator) -> Any:
    """All that can be seen of it."""
    names = ("person", "fund", "bank", "miner")
    return (
        [of.units_of(name, issue) for name in names for issue in ("mine-1", "mine-2")],
        [of.bought_in(name, 2025) for name in names],
        of.holds,
        of.orders,
    )


def refuses(of: DfaOperator, code: str, call, *args: object, **named: object) -> EscrowError:
    before = picture(of)
    with pytest.raises(Rejected) as refused:
        call(*args, **named)
    assert refused.value.code == code
    assert picture(of) == before
    return refused.value


@pytest.mark.parametrize(
    ("units", "allowed"), [(LIMIT - 1, True), (LIMIT, True), (LIMIT + 1, False)]
)
def test_the_limit_of_a_year_is_exact(units: int, allowed: bool) -> None:
    of = operator()
    if allowed:
        assert of.buy("person", "mine-1", units, at=AT) == units
        assert of.bought_in("person", 2025) == units
        return
    error = refuses(of, "dfa/limit", of.buy, "person", "mine-1", units, at=AT)
    assert error.facts["rule"] == "ru/dfa-limit"
    assert error.facts["asked"] == LIMIT + 1


def test_what_is_no_limit_is_not_called_one() -> None:
    """Two rules, in either order: who is not qualified buys nothing, and nobody above a sum."""
    whom = Rule(
        id="test/qualified",
        gates=(Gate.TRANSFER,),
        needs=Predicate(Op.IS, "qualified", value=True),
        reason="only who is qualified",
        status=Status.ASSUMED,
        source="of this test",
    )
    much = replace(
        whom, id="test/sum", needs=Predicate(Op.AT_MOST, "dfa_year_kopecks", 9), reason="a sum"
    )
    for rules in ((whom, much), (much, whom)):
        of = operator(RuleBook("test", 1, Force.IN_FORCE, rules))
        error = refuses(of, "dfa/denied", of.buy, "person", "mine-1", 9, at=AT)
        assert error.facts == {"rule": "test/qualified", "reason": "only who is qualified"}
        error = refuses(of, "dfa/limit", of.buy, "fund", "mine-1", 10, at=AT)
        facts = {"rule": "test/sum", "reason": "a sum", "bought": 0, "asked": 10}
        assert error.facts == facts
        of.buy("fund", "mine-1", 9, at=AT)
    # Both fail: the first is the answer, and here it is the sum.
    error = refuses(of, "dfa/limit", of.buy, "person", "mine-1", 10, at=AT)
    assert error.facts["rule"] == "test/sum"


def test_what_was_bought_before_counts_in_its_year_only() -> None:
    of, last = operator(), last_second(parse_day("2025-12-31"))
    of.buy("person", "mine-1", LIMIT - 1, at=AT)
    refuses(of, "dfa/limit", of.buy, "person", "mine-1", 2, at=last)
    of.buy("person", "mine-1", 1, at=last)
    of.buy("person", "mine-1", LIMIT - 1, at=Seconds(last + 1))
    assert (of.bought_in("person", 2025), of.bought_in("person", 2026)) == (LIMIT, LIMIT - 1)


def test_a_qualified_buyer_has_no_limit_and_a_class_that_is_lost_no_sale() -> None:
    of = operator()
    of.buy("fund", "mine-1", LIMIT + 1, at=AT)
    of.enter("fund", InvestorClass.NON_QUALIFIED)
    refuses(of, "dfa/limit", of.buy, "fund", "mine-1", 1, at=AT)
    assert of.units_of("fund", "mine-1") == LIMIT + 1


def test_before_the_law_there_was_no_limit() -> None:
    of, first = operator(), first_second(parse_day("2021-01-01"))
    of.buy("person", "mine-2", 2, at=Seconds(first - 1))
    refuses(of, "dfa/limit", of.buy, "person", "mine-2", 2, at=first)


@pytest.mark.parametrize("units", [-1, 0, 11])
def test_no_more_is_sold_than_there_is(units: int) -> None:
    of = operator()
    refuses(of, "dfa/units", of.buy, "fund", "mine-2", units, at=AT)


def test_nobody_and_nothing_unknown() -> None:
    of = operator()
    refuses(of, "dfa/unknown", of.buy, "nobody", "mine-1", 1, at=AT)
    refuses(of, "dfa/unknown", of.buy, "fund", "mine-9", 1, at=AT)
    refuses(of, "dfa/unknown", of.pledge, "miner", "mine-9", 1, creditor="bank")
    refuses(of, "dfa/unknown", of.pledge, "miner", "mine-1", 1, creditor="nobody")
    refuses(of, "dfa/unknown", of.freeze, "nobody", court="court", at=AT)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"id": "mine-1"}, "dfa/exists"),
        ({"id": ""}, "dfa/issue"),
        ({"issuer": "a\nb"}, "dfa/issue"),
        ({"claim": ""}, "dfa/issue"),
        ({"units": 0}, "dfa/issue"),
        ({"units": MAX_UNITS + 1}, "dfa/issue"),
        ({"price": 0}, "dfa/issue"),
        ({"price": MAX_CENTS + 1}, "dfa/issue"),
    ],
)
def test_a_decision_promises_something_once(changes: dict[str, Any], code: str) -> None:
    of = operator()
    refuses(of, code, of.issue, replace(ISSUE, **({"id": "mine-3"} | changes)))


def test_the_widest_decision_is_let_in() -> None:
    of = operator()
    of.issue(Decision("wide", "miner", "c", MAX_UNITS, Cents(MAX_CENTS)))
    assert of.units_of("miner", "wide") == MAX_UNITS


def test_the_operator_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    of = operator()
    refuses(of, "dfa/name", of.enter, "", InvestorClass.QUALIFIED)
    monkeypatch.setattr("escrow.eligibility.dfa.MAX_HOLDERS", 3)
    refuses(of, "dfa/full", of.enter, "one-more", InvestorClass.QUALIFIED)
    of.enter("person", InvestorClass.QUALIFIED)
    monkeypatch.setattr("escrow.eligibility.dfa.MAX_ISSUES", 2)
    refuses(of, "dfa/full", of.issue, replace(ISSUE, id="mine-3"))


def trade(of: DfaOperator, **changes: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    named = {"price": Cents(2), "through": "exchange", "at": AT} | changes
    return of.exchange, ("fund", "person", "mine-1", 10), named


def test_holders_trade_through_an_exchange_operator_and_the_limit_counts() -> None:
    of = operator()
    of.buy("fund", "mine-1", LIMIT, at=AT)
    call, args, named = trade(of)
    assert call(*args, **named) == 20
    assert (of.units_of("person", "mine-1"), of.bought_in("person", 2025)) == (10, 20)
    call, args, named = trade(of, through="a-friend")
    refuses(of, "dfa/exchange", call, *args, **named)
    for price in (0, MAX_CENTS + 1):
        call, args, named = trade(of, price=Cents(price))
        refuses(of, "dfa/units", call, *args, **named)
    call, args, named = trade(of, price=Cents(LIMIT))
    refuses(of, "dfa/limit", call, *args, **named)


def test_what_is_pledged_stays_until_the_creditor_lets_go() -> None:
    of = operator()
    of.buy("fund", "mine-1", 100, at=AT)
    hold = of.pledge("fund", "mine-1", 91, creditor="bank")
    assert (of.holds, of.free_of("fund", "mine-1")) == ((hold,), 9)
    assert of.units_of("fund", "mine-1") == 100
    call, args, named = trade(of)
    refuses(of, "dfa/units", call, *args, **named)
    refuses(of, "dfa/units", of.pledge, "fund", "mine-1", 10, creditor="bank")
    refuses(of, "dfa/hold", of.release, hold.id, by="fund")
    refuses(of, "dfa/hold", of.release, hold.id + 1, by="bank")
    of.release(hold.id, by="bank")
    call(*args, **named)
    refuses(of, "dfa/hold", of.release, hold.id, by="bank")


def test_what_is_pledged_passes_to_the_creditor_whatever_its_limit() -> None:
    of = operator()
    of.buy("fund", "mine-1", LIMIT + 1, at=AT)
    hold = of.pledge("fund", "mine-1", LIMIT + 1, creditor="person")
    refuses(of, "dfa/hold", of.realise, hold.id, by="bank")
    assert of.realise(hold.id, by="person") == hold
    assert of.units_of("person", "mine-1") == LIMIT + 1
    assert (of.units_of("fund", "mine-1"), of.holds) == (0, ())


def test_what_a_court_freezes_stays() -> None:
    of = operator()
    of.buy("fund", "mine-1", 100, at=AT)
    hold = of.pledge("fund", "mine-1", 1, creditor="bank")
    order = of.freeze("fund", court="court", at=AT)
    assert of.orders == (order,)
    call, args, named = trade(of)
    refuses(of, "dfa/frozen", call, *args, **named)
    refuses(of, "dfa/frozen", of.buy, "fund", "mine-1", 1, at=AT)
    refuses(of, "dfa/frozen", of.pledge, "fund", "mine-1", 1, creditor="bank")
    refuses(of, "dfa/frozen", of.realise, hold.id, by="bank")
    refuses(of, "dfa/frozen", of.freeze, "fund", court="court", at=AT)
    refuses(of, "dfa/order", of.unfreeze, "fund", court="another court")
    refuses(of, "dfa/order", of.unfreeze, "bank", court="court")
    of.unfreeze("fund", court="court")
    call(*args, **named)


def test_units_are_conserved() -> None:
    of = operator()
    of.buy("fund", "mine-1", 1_000, at=AT)
    call, args, named = trade(of)
    call(*args, **named)
    hold = of.pledge("fund", "mine-1", 500, creditor="bank")
    of.realise(hold.id, by="bank")
    names = ("person", "fund", "bank", "miner")
    assert sum(of.units_of(name, "mine-1") for name in names) == 2 * LIMIT
