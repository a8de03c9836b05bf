"""AssetToken: issued once, held for one loan at most, executed after a default and its lag."""

from __future__ import annotations

import pytest
from asset_lab import (
    CLAIM,
    EVIDENCE,
    GONE,
    LAG,
    LOAN,
    MACHINE,
    NO_LIEN,
    NOBODY,
    OTHER,
    THIRD,
    UNITS,
    UNTIL,
    AssetLab,
)
from contracts_lab import FOR_EVER, GENESIS, raw, refuses

from escrow.adapters.evm.contracts import deploy_one

MOST = 2**64 - 1


@pytest.fixture(scope="module")
def asset_base() -> AssetLab:
    return AssetLab()


@pytest.fixture
def lab(asset_base: AssetLab) -> AssetLab:
    asset_base.back()
    return asset_base


# The register


def test_a_register_names_four_accounts(lab: AssetLab):
    one = b"\1" * 20
    for place, code in enumerate(
        ("asset/not-registrar", "token/not-authority", "token/not-registry", "token/receiver")
    ):
        names = [one] * 4
        names[place] = NOBODY
        with refuses(code):
            deploy_one("AssetToken", *names, account=lab.issuer, chain=lab.chain)
    for name in ("registrar", "registry"):
        assert lab.register.call(name) == raw(lab.registrar)
    assert lab.register.call("authority") == raw(lab.authority)
    assert lab.register.call("book") == raw(lab.hand)


def test_an_asset_is_issued_once(lab: AssetLab):
    receipt = lab.issue(THIRD, 7)
    said = {"owner": raw(lab.borrower), "units": 7, "evidence": EVIDENCE}
    assert lab.told(receipt) == [("Issued", said)]
    assert lab.has(lab.borrower, THIRD) == (7, 7)
    assert lab.register.call("supply_of", THIRD) == 7
    assert lab.register.call("evidence_of", THIRD) == EVIDENCE
    with refuses("asset/exists"):
        lab.issue(THIRD, 1, owner=lab.buyer)
    lab.retire(THIRD, 7)
    with refuses("asset/exists"):
        lab.issue(THIRD, 7)


def test_the_first_rule_broken_by_an_issue_is_named(lab: AssetLab):
    with refuses("asset/not-registrar"):
        lab.issue(MACHINE, 0, by=lab.borrower, owner=lab.stranger)
    with refuses("token/cannot-receive"):
        lab.issue(MACHINE, 0, owner=lab.stranger)
    for units in (0, MOST + 1, 2**256 - 1):
        with refuses("asset/amount"):
            lab.issue(MACHINE, units, evidence=bytes(32))
    with refuses("asset/evidence"):
        lab.issue(MACHINE, 1, evidence=bytes(32))
    lab.issue(THIRD, MOST)
    assert lab.has(lab.borrower, THIRD) == (MOST, MOST)


def test_retiring_takes_what_is_free(lab: AssetLab):
    lab.hold(CLAIM, 400)
    with refuses("token/held"):
        lab.retire(CLAIM, 601)
    receipt = lab.retire(CLAIM, 600)
    said = {"owner": raw(lab.borrower), "units": 600, "evidence": GONE}
    assert lab.told(receipt) == [("Retired", said)]
    assert lab.register.call("supply_of", CLAIM) == 400
    assert lab.has(lab.borrower, CLAIM) == (400, 0)


def test_the_first_rule_broken_by_a_retirement_is_named(lab: AssetLab):
    with refuses("asset/not-registrar"):
        lab.retire(CLAIM, 0, by=lab.borrower)
    with refuses("asset/amount"):
        lab.retire(CLAIM, 0, gone=bytes(32))
    with refuses("asset/evidence"):
        lab.retire(CLAIM, UNITS + 1, gone=bytes(32))
    for units in (UNITS + 1, 2**64, 2**256 - 1):
        with refuses("token/balance"):
            lab.retire(CLAIM, units)
    lab.register.send(lab.authority, "setFrozenTokens", raw(lab.borrower), CLAIM, 1)
    with refuses("token/frozen"):
        lab.retire(CLAIM, UNITS)


# Transfers


def test_a_transfer_between_admitted_accounts(lab: AssetLab):
    receipt = lab.move(CLAIM, 300, by=lab.borrower, to=lab.buyer)
    said = {"sender": raw(lab.borrower), "receiver": raw(lab.buyer), "units": 300}
    assert lab.told(receipt) == [("Moved", said)]
    assert lab.has(lab.buyer, CLAIM) == (300, 300)
    assert lab.has(lab.borrower, CLAIM) == (700, 700)
    lab.move(CLAIM, 700, by=lab.borrower, to=lab.borrower)
    assert lab.has(lab.borrower, CLAIM) == (700, 700)


def test_the_first_rule_broken_by_a_transfer_is_named(lab: AssetLab):
    with refuses("token/cannot-send"):
        lab.move(CLAIM, 0, by=lab.stranger, to=lab.keeper)
    with refuses("token/cannot-receive"):
        lab.move(CLAIM, 0, by=lab.borrower, to=lab.stranger)
    with refuses("asset/amount"):
        lab.move(CLAIM, 0, by=lab.borrower, to=lab.buyer)
    with refuses("token/balance"):
        lab.move(CLAIM, UNITS + 1, by=lab.borrower, to=lab.buyer)
    with refuses("token/balance"):
        lab.move(MACHINE, 1, by=lab.buyer, to=lab.buyer)
    lab.hold(CLAIM, 1)
    with refuses("token/held"):
        lab.move(CLAIM, UNITS, by=lab.borrower, to=lab.buyer)
    lab.register.send(lab.authority, "setFrozenTokens", raw(lab.borrower), CLAIM, UNITS - 1)
    with refuses("token/frozen"):
        lab.move(CLAIM, 1, by=lab.borrower, to=lab.buyer)


def test_standing_ends_with_its_last_second(lab: AssetLab):
    lab.let_in(lab.borrower, until=lab.now + 10)
    last = lab.register.call("eligible_until", raw(lab.borrower))
    lab.at(last)
    lab.move(CLAIM, 1, by=lab.borrower, to=lab.buyer)
    lab.at(last + 1)
    with refuses("token/cannot-send"):
        lab.move(CLAIM, 1, by=lab.borrower, to=lab.buyer)
    assert not lab.register.call("canSend", raw(lab.borrower))
    assert lab.register.call("canReceive", raw(lab.buyer))


# Holds


def test_a_hold_moves_nothing_and_names_its_lien(lab: AssetLab):
    receipt = lab.hold(CLAIM, 400)
    said = {
        **{"owner": raw(lab.borrower), "loan": LOAN, "lender": raw(lab.lender)},
        **{"units": 400, "lag": LAG, "until": UNTIL},
    }
    assert lab.told(receipt) == [("Held", said)]
    assert lab.has(lab.borrower, CLAIM) == (UNITS, 600)
    assert lab.lien(CLAIM) == (LOAN, raw(lab.lender), 400, LAG, UNTIL, 0)
    lab.hold(CLAIM, 600)
    assert lab.lien(CLAIM) == (LOAN, raw(lab.lender), UNITS, LAG, UNTIL, 0)


def test_one_machine_has_one_lien(lab: AssetLab):
    lab.hold(MACHINE, 1)
    for changes in ({}, {"loan": OTHER}, {"lender": lab.buyer}, {"lag": 0}):
        with refuses("asset/encumbered" if changes else "token/held"):
            lab.hold(MACHINE, 1, **changes)
    assert lab.lien(MACHINE)[2] == 1


@pytest.mark.parametrize("change", ["loan", "lender", "lag", "until"])
def test_more_of_an_asset_goes_to_the_same_lien_on_the_same_terms(lab: AssetLab, change: str):
    lab.hold(CLAIM, 1)
    other = {"loan": OTHER, "lender": lab.buyer, "lag": LAG + 1, "until": UNTIL - 1}[change]
    with refuses("asset/encumbered"):
        lab.hold(CLAIM, 1, **{change: other})
    lab.hold(CLAIM, 1)


def test_two_owners_have_a_lien_each(lab: AssetLab):
    lab.move(CLAIM, 500, by=lab.borrower, to=lab.buyer)
    lab.hold(CLAIM, 500)
    lab.hold(CLAIM, 500, by=lab.buyer, loan=OTHER)
    assert [lab.lien(CLAIM, who)[0] for who in (lab.borrower, lab.buyer)] == [LOAN, OTHER]


def test_nothing_is_added_to_a_lien_in_default(lab: AssetLab):
    lab.hold(CLAIM, 1)
    lab.declare(CLAIM)
    with refuses("asset/encumbered"):
        lab.hold(CLAIM, 1)
    lab.declare(CLAIM, defaulted=False)
    lab.hold(CLAIM, 1)


def test_the_first_rule_broken_by_a_hold_is_named(lab: AssetLab):
    with refuses("token/cannot-send"):
        lab.hold(CLAIM, 0, by=lab.stranger, lender=lab.keeper)
    with refuses("token/cannot-receive"):
        lab.hold(CLAIM, 0, lender=lab.stranger)
    with refuses("asset/lender"):
        lab.hold(CLAIM, 0, lender=lab.borrower)
    with refuses("asset/amount"):
        lab.hold(CLAIM, 0, loan=bytes(32))
    for change in (
        {"loan": bytes(32)},
        {"lag": 2**24},
        {"until": lab.now},
        {"until": 2**40},
    ):
        with refuses("asset/terms"):
            lab.hold(CLAIM, UNITS + 1, **change)
    with refuses("token/balance"):
        lab.hold(CLAIM, UNITS + 1)
    lab.hold(CLAIM, UNITS, lag=2**24 - 1, until=lab.now + 1)


# Releases


def test_the_book_and_the_lender_release(lab: AssetLab):
    lab.hold(CLAIM, 400)
    receipt = lab.release(CLAIM, 100, by=lab.hand)
    said = {"owner": raw(lab.borrower), "loan": LOAN, "units": 100}
    assert lab.told(receipt) == [("Released", said)]
    assert lab.has(lab.borrower, CLAIM) == (UNITS, 700)
    lab.release(CLAIM, 300, by=lab.lender)
    assert (lab.has(lab.borrower, CLAIM), lab.lien(CLAIM)) == ((UNITS, UNITS), NO_LIEN)
    lab.hold(CLAIM, 5, loan=OTHER, lender=lab.buyer, lag=1)
    assert lab.lien(CLAIM) == (OTHER, raw(lab.buyer), 5, 1, UNTIL, 0)


def test_nobody_else_releases_before_the_lien_is_over(lab: AssetLab):
    lab.hold(CLAIM, 400)
    for who in (lab.borrower, lab.registrar, lab.authority, lab.stranger):
        with refuses("asset/not-notary"):
            lab.release(CLAIM, 400, by=who)
    lab.at(UNTIL)
    with refuses("asset/not-notary"):
        lab.release(CLAIM, 400, by=lab.borrower)
    lab.at(UNTIL + 1)
    lab.release(CLAIM, 400, by=lab.borrower)
    assert lab.lien(CLAIM) == NO_LIEN


def test_a_declared_default_outlives_the_time_of_the_lien(lab: AssetLab):
    lab.hold(CLAIM, 400)
    lab.at(UNTIL)
    lab.declare(CLAIM)
    lab.at(UNTIL + 1)
    with refuses("asset/not-notary"):
        lab.release(CLAIM, 400, by=lab.borrower)
    lab.at(UNTIL + LAG)
    lab.execute(CLAIM, 400)


def test_no_more_than_is_held_is_released(lab: AssetLab):
    for by in (lab.hand, lab.borrower):
        with refuses("token/not-held"):
            lab.release(CLAIM, 1, by=by)
    lab.hold(CLAIM, 400)
    with refuses("asset/amount"):
        lab.release(CLAIM, 0, by=lab.hand)
    for units in (401, 2**64 + 1, 2**256 - 1):
        with refuses("token/not-held"):
            lab.release(CLAIM, units, by=lab.hand)


# Defaults and execution


def test_only_the_book_declares_and_once(lab: AssetLab):
    with refuses("token/not-held"):
        lab.declare(CLAIM)
    lab.hold(CLAIM, 1)
    for who in (lab.borrower, lab.lender, lab.registrar, lab.authority):
        with refuses("token/not-book"):
            lab.declare(CLAIM, by=who)
    with refuses("asset/not-declared"):
        lab.declare(CLAIM, defaulted=False)
    lab.wait(100)
    moment = lab.now
    receipt = lab.declare(CLAIM)
    said = {"owner": raw(lab.borrower), "loan": LOAN, "executable": moment + LAG}
    assert lab.told(receipt) == [("Declared", said)]
    with refuses("asset/declared"):
        lab.declare(CLAIM)
    assert lab.lien(CLAIM)[-1] == moment + LAG


def test_no_default_is_declared_after_the_time_of_the_lien(lab: AssetLab):
    lab.hold(CLAIM, 1)
    lab.at(UNTIL + 1)
    with refuses("asset/terms"):
        lab.declare(CLAIM)


def test_the_lender_executes_after_the_lag_and_not_before(lab: AssetLab):
    lab.hold(CLAIM, 400)
    with refuses("asset/not-declared"):
        lab.execute(CLAIM, 400)
    moment = lab.now
    lab.declare(CLAIM)
    lab.at(moment + LAG - 1)
    with refuses("asset/too-early"):
        lab.execute(CLAIM, 400)
    lab.at(moment + LAG)
    receipt = lab.execute(CLAIM, 150)
    moved = {"sender": raw(lab.borrower), "receiver": raw(lab.buyer), "units": 150}
    done = {"owner": raw(lab.borrower), "loan": LOAN, "taker": raw(lab.buyer), "units": 150}
    assert lab.told(receipt) == [("Moved", moved), ("Executed", done)]
    assert lab.has(lab.borrower, CLAIM) == (850, 600)
    lab.execute(CLAIM, 250, taker=lab.lender)
    assert lab.lien(CLAIM) == NO_LIEN
    assert [lab.has(who, CLAIM)[0] for who in (lab.borrower, lab.buyer, lab.lender)] == [
        *(600, 150, 250)
    ]


def test_a_default_taken_back_is_none_and_the_lag_begins_anew(lab: AssetLab):
    lab.hold(CLAIM, 400)
    lab.declare(CLAIM)
    lab.wait(LAG)
    lab.declare(CLAIM, defaulted=False)
    with refuses("asset/not-declared"):
        lab.execute(CLAIM, 1)
    lab.declare(CLAIM)
    with refuses("asset/too-early"):
        lab.execute(CLAIM, 1)


def test_the_first_rule_broken_by_an_execution_is_named(lab: AssetLab):
    lab.hold(CLAIM, 400)
    for who in (lab.borrower, lab.buyer, lab.hand, lab.registrar, lab.authority):
        with refuses("asset/not-lender"):
            lab.execute(CLAIM, 0, by=who, taker=lab.stranger)
    with refuses("token/cannot-receive"):
        lab.execute(CLAIM, 0, taker=lab.stranger)
    lab.declare(CLAIM)
    lab.wait(LAG)
    with refuses("asset/amount"):
        lab.execute(CLAIM, 0)
    for units in (401, 2**64 + 1, 2**256 - 1):
        with refuses("token/not-held"):
            lab.execute(CLAIM, units)
    # Back to the owner is a release.
    lab.execute(CLAIM, 400, taker=lab.borrower)
    assert lab.has(lab.borrower, CLAIM) == (UNITS, UNITS)


def test_a_suspended_lender_still_executes_to_somebody_eligible(lab: AssetLab):
    lab.hold(CLAIM, 400)
    lab.declare(CLAIM)
    lab.let_in(lab.lender, until=0)
    lab.let_in(lab.borrower, until=0)
    lab.wait(LAG)
    with refuses("token/cannot-receive"):
        lab.execute(CLAIM, 1, taker=lab.lender)
    lab.execute(CLAIM, 400)


# The authority


def test_freezing_and_forced_transfers(lab: AssetLab):
    freeze = lab.register.send(lab.authority, "setFrozenTokens", raw(lab.borrower), CLAIM, 900)
    assert lab.told(freeze) == [("Frozen", {"account": raw(lab.borrower), "units": 900})]
    assert lab.has(lab.borrower, CLAIM) == (UNITS, 100)
    assert lab.has(lab.borrower, MACHINE) == (1, 1), "another asset is not frozen"
    people = raw(lab.borrower), raw(lab.buyer)
    receipt = lab.register.send(lab.authority, "forcedTransfer", *people, CLAIM, 300)
    assert [name for name, _ in lab.told(receipt)] == ["Frozen", "Moved", "ForcedTransfer"]
    assert lab.register.call("getFrozenTokens", raw(lab.borrower), CLAIM) == 700
    assert lab.has(lab.borrower, CLAIM) == (700, 0)
    lab.register.send(lab.authority, "setFrozenTokens", raw(lab.borrower), CLAIM, 2**256 - 1)
    assert lab.register.call("getFrozenTokens", raw(lab.borrower), CLAIM) == MOST
    again = lab.register.send(lab.authority, "forcedTransfer", people[0], people[0], CLAIM, 700)
    assert lab.told(again)[0][1]["units"] == MOST - 700
    assert lab.has(lab.borrower, CLAIM)[0] == 700


def test_what_is_frozen_before_it_is_issued_is_frozen_when_it_is(lab: AssetLab):
    """Frozen is what an account may not spend now or when it gets it: also from the registrar."""
    lab.register.send(lab.authority, "setFrozenTokens", raw(lab.borrower), THIRD, 900)
    lab.issue(THIRD, UNITS)
    assert lab.register.call("getFrozenTokens", raw(lab.borrower), THIRD) == 900
    assert lab.has(lab.borrower, THIRD) == (UNITS, UNITS - 900)
    for act in (
        lambda: lab.move(THIRD, UNITS - 899, by=lab.borrower, to=lab.buyer),
        lambda: lab.hold(THIRD, UNITS - 899),
        lambda: lab.retire(THIRD, UNITS - 899),
    ):
        with refuses("token/frozen"):
            act()
    lab.hold(THIRD, UNITS - 900)


def test_the_authority_never_takes_what_is_held(lab: AssetLab):
    people = raw(lab.borrower), raw(lab.buyer)
    lab.hold(CLAIM, 400)
    with refuses("token/not-authority"):
        lab.register.send(lab.registrar, "forcedTransfer", *people, CLAIM, 0)
    with refuses("token/not-authority"):
        lab.register.send(lab.registrar, "setFrozenTokens", people[0], CLAIM, 1)
    with refuses("token/cannot-receive"):
        lab.register.send(lab.authority, "forcedTransfer", people[0], raw(lab.stranger), CLAIM, 0)
    with refuses("asset/amount"):
        lab.register.send(lab.authority, "forcedTransfer", *people, CLAIM, 0)
    with refuses("token/balance"):
        lab.register.send(lab.authority, "forcedTransfer", *people, CLAIM, UNITS + 1)
    with refuses("token/held"):
        lab.register.send(lab.authority, "forcedTransfer", *people, CLAIM, 601)
    lab.register.send(lab.authority, "setFrozenTokens", people[0], CLAIM, MOST)
    assert lab.lien(CLAIM)[2] == 400
    lab.register.send(lab.authority, "forcedTransfer", *people, CLAIM, 600)
    lab.declare(CLAIM)
    lab.wait(LAG)
    lab.execute(CLAIM, 400)
    assert lab.has(lab.buyer, CLAIM) == (UNITS, UNITS)


def test_only_the_registry_admits(lab: AssetLab):
    with refuses("token/not-registry"):
        lab.register.send(lab.authority, "admit", raw(lab.stranger), GENESIS)
    with refuses("token/receiver"):
        lab.register.send(lab.registrar, "admit", raw(lab.hand), GENESIS)


def test_an_admission_is_on_record_and_its_last_second_is_a_time(lab: AssetLab):
    """A time in milliseconds is refused, and not cut to one that is centuries away."""
    for until in (FOR_EVER + 1, GENESIS * 1_000, 2**256 - 1):
        with refuses("registry/until"):
            lab.let_in(lab.stranger, until=until)
    assert not lab.register.call("canReceive", raw(lab.stranger))
    for until in (FOR_EVER, 0):
        said = {"account": raw(lab.stranger), "until": until}
        assert lab.told(lab.let_in(lab.stranger, until=until)) == [("Admitted", said)]
        assert lab.register.call("eligible_until", raw(lab.stranger)) == until
