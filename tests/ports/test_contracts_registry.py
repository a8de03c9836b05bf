"""Registry: a registrar records who takes part, rules say what they may, tokens are told."""

from __future__ import annotations

import pytest
from contracts_lab import (
    ALL_RIGHTS,
    BATCH_GAS,
    BORROW,
    FOR_EVER,
    HOLD_CASH,
    HOLD_PLEDGE,
    JURISDICTION,
    KIND,
    LEND,
    Lab,
    raw,
    refuses,
)

from escrow.adapters.evm.revert import Reverted
from escrow.core.units import DAY

FUND, SPAIN = 2, 724
MANY = [n.to_bytes(20, "big") for n in range(1_000, 1_033)]


@pytest.fixture(scope="module")
def base() -> Lab:
    return Lab()


@pytest.fixture
def lab(base: Lab) -> Lab:
    base.back()
    return base


def eligible(lab: Lab, account: bytes) -> tuple[int, int]:
    """Until when, for cash and for pledged bitcoin."""
    cash, pledge = (part.call("eligible_until", account) for part in (lab.cash, lab.pledge))
    return cash, pledge


def may(lab: Lab, account: bytes) -> int:
    """All rights of an account, one by one."""
    rights = (1 << bit for bit in range(8))
    return sum(right for right in rights if lab.registry.call("may", account, right))


def admit(lab: Lab, *entries: tuple[bytes, int, int, int], by=None):
    return lab.registry.send(by or lab.registrar, "admit", list(entries), gas=BATCH_GAS)


def review(lab: Lab, *accounts: bytes):
    return lab.registry.send(lab.stranger, "review", accounts, gas=BATCH_GAS)


def test_what_it_is(lab: Lab):
    assert lab.registry.call("registrar") == raw(lab.registrar)
    assert lab.registry.call("cash") == lab.cash.address
    assert lab.registry.call("pledge") == lab.pledge.address


def test_a_record_gives_the_rights_of_its_class_and_jurisdiction(lab: Lab):
    who, until = raw(lab.stranger), lab.now + DAY
    receipt = lab.rule(HOLD_CASH | LEND, kind=FUND, jurisdiction=SPAIN)
    rule = {"kind": FUND, "jurisdiction": SPAIN, "rights": HOLD_CASH | LEND}
    assert lab.said(receipt) == [("RuleSet", rule)]
    assert lab.registry.call("rights_of", FUND, SPAIN) == HOLD_CASH | LEND
    receipt = admit(lab, (who, FUND, SPAIN, until))
    recorded = {"account": who, "until": until, "suspended": False, **rule}
    assert lab.said(receipt) == [("Recorded", recorded)]
    assert lab.registry.call("record", who) == (FUND, SPAIN, until, HOLD_CASH | LEND, False)
    assert may(lab, who) == HOLD_CASH | LEND
    assert eligible(lab, who) == (until, 0)


def test_nobody_has_a_right_without_a_record_or_a_rule(lab: Lab):
    who = raw(lab.stranger)
    assert lab.registry.call("record", who) == (0, 0, 0, 0, False)
    assert may(lab, who) == 0
    admit(lab, (who, FUND, SPAIN, FOR_EVER))
    assert may(lab, who) == 0
    assert eligible(lab, who) == (0, 0)


@pytest.mark.parametrize("rights", [HOLD_PLEDGE, HOLD_CASH, BORROW | LEND, ALL_RIGHTS, 0])
def test_each_token_is_told_of_its_own_right(lab: Lab, rights: int):
    who = raw(lab.buyer)
    lab.rule(rights)
    review(lab, who)
    assert may(lab, who) == rights
    told = (FOR_EVER if rights & right else 0 for right in (HOLD_CASH, HOLD_PLEDGE))
    assert eligible(lab, who) == tuple(told)


def test_all_the_rights_asked_for_or_none(lab: Lab):
    who = raw(lab.buyer)
    lab.rule(HOLD_CASH | LEND)
    review(lab, who)
    for asked, answer in (
        (HOLD_CASH | LEND, True),
        (HOLD_CASH | BORROW, False),
        (0, False),
        (ALL_RIGHTS + 1, False),
        (2**255, False),
        (2**256 - 1, False),
    ):
        assert lab.registry.call("may", who, asked) is answer


def test_to_the_last_second(lab: Lab):
    who, until = raw(lab.buyer), lab.now + DAY
    lab.admit(who, until=until)
    lab.at(until)
    assert may(lab, who) == ALL_RIGHTS
    # It can be renewed for a second that is not over, but not for one that is.
    lab.admit(who, until=until)
    lab.at(until + 1)
    lab.chain.seal(empty=True)
    assert may(lab, who) == 0
    with refuses("registry/until"):
        lab.admit(who, until=until)


def test_only_the_registrar_records_and_sets_rules(lab: Lab):
    who = raw(lab.buyer)
    for account in (lab.stranger, lab.authority, lab.issuer, lab.guardian):
        with refuses("registry/not-registrar"):
            admit(lab, (who, 0, 0, 0), by=account)
        with refuses("registry/not-registrar"):
            lab.registry.send(account, "set_rule", 0, 0, 2**255)
        for verb in ("suspend", "reinstate"):
            with refuses("registry/not-registrar"):
                lab.registry.send(account, verb, [who])


@pytest.mark.parametrize("place", [(0, 643), (256, 643), (1, 0), (1, 1_000), (2**255, 1)])
def test_classes_and_jurisdictions_that_are_none(lab: Lab, place: tuple[int, int]):
    with refuses("registry/place"):
        lab.rule(2**255, kind=place[0], jurisdiction=place[1])
    with refuses("registry/place"):
        admit(lab, (raw(lab.buyer), *place, 0))


def test_the_bounds_of_a_record(lab: Lab):
    who = raw(lab.buyer)
    for until in (0, lab.now - 1, 2**40, 2**255):
        with refuses("registry/until"):
            admit(lab, (who, KIND, JURISDICTION, until))
    for rights in (ALL_RIGHTS + 1, 2**256 - 1):
        with refuses("registry/rights"):
            lab.rule(rights)
    lab.rule(ALL_RIGHTS, kind=255, jurisdiction=999)
    admit(lab, (who, 255, 999, FOR_EVER))
    assert lab.registry.call("record", who) == (255, 999, FOR_EVER, ALL_RIGHTS, False)


def test_zero_the_tokens_and_the_book_are_not_recorded(lab: Lab):
    places = (bytes(20), lab.cash.address, lab.pledge.address, lab.book.address)
    for where in places:
        with refuses("token/receiver"):
            lab.admit(raw(lab.stranger), where)
    assert may(lab, raw(lab.stranger)) == 0


# Suspension


def test_a_suspended_account_has_no_right_until_it_is_reinstated(lab: Lab):
    who = raw(lab.buyer)
    receipt = lab.suspend(who)
    assert lab.said(receipt)[0][1]["suspended"] is True
    assert may(lab, who) == 0
    assert eligible(lab, who) == (0, 0)
    record = (KIND, JURISDICTION, FOR_EVER, ALL_RIGHTS, True)
    assert lab.registry.call("record", who) == record
    # Neither a review nor a new record ends it.
    review(lab, who)
    lab.admit(who, until=FOR_EVER - 1)
    assert lab.registry.call("record", who) == (*record[:2], FOR_EVER - 1, *record[3:])
    assert may(lab, who) == 0
    assert eligible(lab, who) == (0, 0)
    lab.registry.send(lab.registrar, "reinstate", [who])
    assert may(lab, who) == ALL_RIGHTS
    assert eligible(lab, who) == (FOR_EVER - 1, FOR_EVER - 1)


def test_suspending_twice_and_reinstating_who_is_not_suspended(lab: Lab):
    who = raw(lab.buyer)
    before = lab.registry.call("record", who)
    lab.registry.send(lab.registrar, "reinstate", [who])
    assert lab.registry.call("record", who) == before
    lab.suspend(who, who)
    lab.suspend(who)
    assert lab.registry.call("record", who) == (*before[:4], True)


@pytest.mark.parametrize("verb", ["suspend", "reinstate", "review"])
def test_who_was_never_recorded(lab: Lab, verb: str):
    by = lab.stranger if verb == "review" else lab.registrar
    known, unknown = raw(lab.buyer), raw(lab.stranger)
    before = lab.registry.call("record", known)
    with refuses("registry/unknown"):
        lab.registry.send(by, verb, [known, unknown])
    assert lab.registry.call("record", known) == before


# Rules that change


def test_a_rule_counts_from_the_next_review_on_and_anyone_may_review(lab: Lab):
    who = raw(lab.buyer)
    lab.rule(HOLD_CASH)
    assert may(lab, who) == ALL_RIGHTS
    assert eligible(lab, who) == (FOR_EVER, FOR_EVER)
    receipt = review(lab, who)
    assert lab.said(receipt)[0][1]["rights"] == HOLD_CASH
    assert may(lab, who) == HOLD_CASH
    assert eligible(lab, who) == (FOR_EVER, 0)
    # Of those that nobody reviewed it says nothing yet.
    assert may(lab, raw(lab.keeper)) == ALL_RIGHTS


def test_an_account_moves_to_another_class(lab: Lab):
    who = raw(lab.buyer)
    lab.rule(BORROW, kind=FUND, jurisdiction=JURISDICTION)
    lab.admit(who, kind=FUND)
    assert may(lab, who) == BORROW
    assert eligible(lab, who) == (0, 0)


# Batches


def test_as_many_as_a_batch_holds_and_no_more(lab: Lab):
    receipt = lab.admit(*MANY[:32])
    assert len(lab.said(receipt)) == 32
    assert receipt.gas_used < BATCH_GAS
    assert all(may(lab, who) == ALL_RIGHTS for who in (MANY[0], MANY[31]))
    receipt = review(lab, *MANY[:32])
    assert len(lab.said(receipt)) == 32
    entries = [(who, KIND, JURISDICTION, FOR_EVER) for who in MANY]
    for verb, arguments in (("admit", entries), ("suspend", MANY), ("review", MANY)):
        with pytest.raises(Reverted):
            lab.registry.send(lab.registrar, verb, arguments, gas=10_000_000)


def test_a_batch_is_all_or_nothing(lab: Lab):
    entries = [(MANY[0], KIND, JURISDICTION, FOR_EVER), (MANY[1], KIND, JURISDICTION, 0)]
    with refuses("registry/until"):
        admit(lab, *entries)
    assert lab.registry.call("record", MANY[0])[0] == 0
    admit(lab)
