"""Attacks on AssetToken by those who keep the register, pledge, lend and notarise."""

from __future__ import annotations

import pytest
from asset_lab import CLAIM, GONE, LAG, LOAN, MACHINE, OTHER, UNITS, UNTIL, AssetLab
from contracts_lab import raw, refuses


@pytest.fixture(scope="session")
def asset_attack_base() -> AssetLab:
    return AssetLab()


@pytest.fixture
def lab(asset_attack_base: AssetLab) -> AssetLab:
    asset_attack_base.back()
    return asset_attack_base


def test_one_machine_pledged_to_two_lenders(lab: AssetLab):
    """a miner: pledges a machine to a second lender, sells it, or has it issued once more.

    Gets: `asset/encumbered`, `token/held`, `asset/exists`: one serial number, one token, one lien.
    """
    lab.hold(MACHINE, 1)
    with refuses("asset/encumbered"):
        lab.hold(MACHINE, 1, loan=OTHER, lender=lab.buyer)
    with refuses("token/held"):
        lab.move(MACHINE, 1, by=lab.borrower, to=lab.buyer)
    with refuses("asset/exists"):
        lab.issue(MACHINE, 1)
    with refuses("token/held"):
        lab.retire(MACHINE, 1)
    assert lab.lien(MACHINE)[:3] == (LOAN, raw(lab.lender), 1)


def test_a_lien_that_is_rewritten(lab: AssetLab):
    """a miner: pledges one more unit on easier terms, so that the lien of all is the easier one.

    Gets: `asset/encumbered`, whichever member of the lien is another.
    """
    lab.hold(CLAIM, 1)
    before = lab.lien(CLAIM)
    easier = (
        {"lag": 2**24 - 1},
        {"until": lab.now + 1},
        {"lender": lab.buyer},
        {"loan": OTHER},
    )
    for change in easier:
        with refuses("asset/encumbered"):
            lab.hold(CLAIM, 1, **change)
    assert lab.lien(CLAIM) == before


def test_a_lender_in_a_hurry(lab: AssetLab):
    """a lender: executes without a default, declares one itself, or does not wait for the lag.

    Gets: `asset/not-declared`, `token/not-book`, `asset/too-early`; what was released meanwhile is
    not its to execute any more, `asset/not-lender`.
    """
    lab.hold(MACHINE, 1)
    with refuses("asset/not-declared"):
        lab.execute(MACHINE, 1)
    with refuses("token/not-book"):
        lab.declare(MACHINE, by=lab.lender)
    moment = lab.now
    lab.declare(MACHINE)
    lab.at(moment + LAG - 1)
    with refuses("asset/too-early"):
        lab.execute(MACHINE, 1)
    lab.release(MACHINE, 1, by=lab.hand)
    with refuses("asset/not-lender"):
        lab.execute(MACHINE, 1)


def test_a_lien_that_is_over_comes_back(lab: AssetLab):
    """a former lender: uses a default of its last lien on units that are pledged anew.

    Gets: `asset/not-lender` where another lends now, and `asset/not-declared` where it does.
    """
    lab.hold(CLAIM, UNITS)
    lab.declare(CLAIM)
    lab.wait(LAG)
    lab.release(CLAIM, UNITS, by=lab.lender)
    lab.hold(CLAIM, UNITS, loan=OTHER, lender=lab.buyer)
    with refuses("asset/not-lender"):
        lab.execute(CLAIM, UNITS)
    lab.release(CLAIM, UNITS, by=lab.buyer)
    lab.hold(CLAIM, UNITS)
    with refuses("asset/not-declared"):
        lab.execute(CLAIM, UNITS)


def test_a_borrower_that_waits_the_lien_out(lab: AssetLab):
    """a miner in default: releases the machine itself once the time of the lien is over.

    Gets: `asset/not-notary`, because the default was declared in time; had nobody declared one,
    the machine would be its own again.
    """
    lab.hold(MACHINE, 1)
    lab.at(UNTIL)
    lab.declare(MACHINE)
    lab.at(UNTIL + 10 * LAG)
    with refuses("asset/not-notary"):
        lab.release(MACHINE, 1, by=lab.borrower)
    lab.execute(MACHINE, 1, taker=lab.lender)


def test_the_register_against_a_lien(lab: AssetLab):
    """the registrar: retires, moves or releases what is pledged, and shuts both parties out.

    Gets: `token/held`, `asset/not-notary`, `token/not-authority`; the lender executes all the same,
    to whoever is admitted.
    """
    lab.hold(MACHINE, 1)
    with refuses("token/held"):
        lab.retire(MACHINE, 1, gone=GONE)
    with refuses("asset/not-notary"):
        lab.release(MACHINE, 1, by=lab.registrar)
    people = raw(lab.borrower), raw(lab.buyer)
    with refuses("token/not-authority"):
        lab.register.send(lab.registrar, "forcedTransfer", *people, MACHINE, 1)
    lab.let_in(lab.borrower, until=0)
    lab.let_in(lab.lender, until=0)
    lab.declare(MACHINE)
    lab.wait(LAG)
    lab.execute(MACHINE, 1)
    assert lab.has(lab.buyer, MACHINE) == (1, 1)


def test_the_authority_against_a_lien(lab: AssetLab):
    """the authority: freezes all and takes the machine by force.

    Gets: `token/held`; freezing does not hold the lender up.
    """
    lab.hold(MACHINE, 1)
    lab.register.send(lab.authority, "setFrozenTokens", raw(lab.borrower), MACHINE, 2**256 - 1)
    people = raw(lab.borrower), raw(lab.buyer)
    with refuses("token/held"):
        lab.register.send(lab.authority, "forcedTransfer", *people, MACHINE, 1)
    lab.declare(MACHINE)
    lab.wait(LAG)
    lab.execute(MACHINE, 1)


def test_a_notary_and_a_lender_together(lab: AssetLab):
    """the book and the lender, who may lie together: declare a default that there is none of.

    Gets: the machine, but `asset/too-early` until the lag is over, which both parties agreed to:
    time in which the borrower sees it and goes to court.
    """
    lab.hold(MACHINE, 1)
    lab.declare(MACHINE)
    with refuses("asset/too-early"):
        lab.execute(MACHINE, 1, taker=lab.lender)
    lab.wait(LAG)
    lab.execute(MACHINE, 1, taker=lab.lender)
    assert lab.has(lab.lender, MACHINE) == (1, 1)
