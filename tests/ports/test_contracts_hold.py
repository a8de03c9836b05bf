"""PledgeToken: what is pledged stays in its holder's balance, and only the book moves it."""

from __future__ import annotations

import pytest
from contracts_lab import raw, refuses
from token_lab import DUST, LOAN, OTHER, TokenLab

from escrow.core.units import COIN

MOST = 2**256 - 1


@pytest.fixture(scope="module")
def base() -> TokenLab:
    """The borrower has one coin of each of two vaults."""
    lab = TokenLab()
    for loan in (LOAN, OTHER):
        lab.mint(loan, COIN)
    lab.save()
    return lab


@pytest.fixture
def lab(base: TokenLab) -> TokenLab:
    base.back()
    return base


def word(lab: TokenLab, who=None) -> tuple[int, int, int, int]:
    return lab.word(lab.pledge, who or lab.borrower)


def counts(lab: TokenLab, loan: bytes = LOAN) -> tuple[int, int, int]:
    return tuple(lab.pledge.call(name, loan) for name in ("outstanding", "held", "free"))


def hold(lab: TokenLab, sats: int, *, who=None, loan: bytes = LOAN):
    return lab.by_book("hold", loan, raw(who or lab.borrower), sats)


def release(lab: TokenLab, sats: int, *, who=None, loan: bytes = LOAN):
    return lab.by_book("release", loan, raw(who or lab.borrower), sats)


def execute(lab: TokenLab, seized: int, released: int, *, who=None, taker=None):
    people = raw(who or lab.borrower), raw(taker or lab.buyer)
    return lab.by_book("execute", LOAN, *people, seized, released)


def test_only_the_book(lab: TokenLab):
    hold(lab, 1)
    who = raw(lab.borrower)
    people = (lab.borrower, lab.issuer, lab.authority, lab.registrar, lab.attestors[0])
    for person in people:
        for verb, args in (
            ("hold", (who, MOST)),
            ("release", (raw(lab.buyer), MOST)),
            ("execute", (who, raw(lab.stranger), 1, 0)),
        ):
            with refuses("token/not-book"):
                lab.pledge.call(verb, LOAN, *args, sender=raw(person))


# Hold


def test_holding_moves_nothing(lab: TokenLab):
    receipt = hold(lab, COIN)
    assert receipt.logs == ()
    assert word(lab) == (2 * COIN, 0, COIN, COIN)
    assert counts(lab) == (COIN, COIN, 0)
    assert counts(lab, OTHER) == (COIN, 0, COIN)
    assert lab.pledge.call("totalSupply") == 2 * COIN


def test_what_is_held_is_not_spent(lab: TokenLab):
    hold(lab, COIN)
    who, to = raw(lab.borrower), raw(lab.buyer)
    lab.pledge.send(lab.borrower, "approve", to, MOST)
    with refuses("token/held"):
        lab.pledge.send(lab.borrower, "transfer", to, COIN + 1)
    with refuses("token/held"):
        lab.pledge.send(lab.buyer, "transferFrom", who, to, COIN + 1)
    with refuses("token/held"):
        lab.pledge.send(lab.authority, "forcedTransfer", who, to, COIN + 1)
    lab.pledge.send(lab.authority, "setFrozenTokens", who, 1)
    with refuses("token/held"):
        lab.pledge.send(lab.borrower, "transfer", to, COIN + 1)
    with refuses("token/frozen"):
        lab.pledge.send(lab.borrower, "transfer", to, COIN)
    lab.pledge.send(lab.authority, "setFrozenTokens", who, 0)
    lab.pledge.send(lab.borrower, "transfer", to, COIN)
    assert word(lab) == (COIN, 0, COIN, 0)


def test_the_first_rule_broken_by_a_hold_is_named(lab: TokenLab):
    """Later checks are broken too in each case."""
    lab.pledge.send(lab.authority, "setFrozenTokens", raw(lab.buyer), 1)
    hold(lab, DUST)
    lab.pledge.send(lab.borrower, "transfer", raw(lab.buyer), DUST)
    lab.suspend(raw(lab.buyer))
    with refuses("token/cannot-send"):
        hold(lab, MOST, who=lab.buyer)
    lab.registry.send(lab.registrar, "reinstate", [raw(lab.buyer)])
    with refuses("token/not-pledgor"):
        hold(lab, MOST, who=lab.buyer)
    release(lab, DUST)
    for sats in (MOST, 2**64, COIN + 1, DUST + 1):
        with refuses("top-up/no-tokens"):
            hold(lab, sats, who=lab.buyer)
    with refuses("token/frozen"):
        hold(lab, DUST, who=lab.buyer)
    hold(lab, DUST - 1, who=lab.buyer)


def test_what_is_pledged_is_backed_by_the_loans_own_vault(lab: TokenLab):
    with refuses("top-up/no-tokens"):
        hold(lab, COIN + 1)
    hold(lab, COIN)
    with refuses("top-up/no-tokens"):
        hold(lab, 1)
    hold(lab, COIN, loan=OTHER)
    assert word(lab) == (2 * COIN, 0, 2 * COIN, 0)


def test_all_that_is_held_for_a_loan_is_one_holders(lab: TokenLab):
    """Until nothing is held any more."""
    lab.pledge.send(lab.borrower, "transfer", raw(lab.buyer), COIN)
    hold(lab, 5)
    hold(lab, 5)
    with refuses("token/not-pledgor"):
        hold(lab, 1, who=lab.buyer)
    hold(lab, 1, who=lab.buyer, loan=OTHER)
    release(lab, 10)
    hold(lab, 7, who=lab.buyer)
    with refuses("token/not-pledgor"):
        hold(lab, 1)
    assert word(lab, lab.buyer) == (COIN, 0, 8, COIN - 8)


# Release


def test_what_is_released_is_spendable_again(lab: TokenLab):
    hold(lab, COIN)
    assert release(lab, COIN - 1).logs == ()
    assert word(lab) == (2 * COIN, 0, 1, 2 * COIN - 1)
    assert counts(lab) == (COIN, 1, COIN - 1)
    release(lab, 1)
    assert word(lab) == (2 * COIN, 0, 0, 2 * COIN)


@pytest.mark.parametrize("why", ["suspended", "frozen"])
def test_release_asks_nobodys_standing(lab: TokenLab, why: str):
    hold(lab, COIN)
    if why == "suspended":
        lab.suspend(raw(lab.borrower))
    else:
        lab.pledge.send(lab.authority, "setFrozenTokens", raw(lab.borrower), MOST)
    release(lab, COIN)
    assert word(lab)[2] == 0
    with refuses("token/frozen" if why == "frozen" else "token/cannot-send"):
        lab.pledge.send(lab.borrower, "transfer", raw(lab.buyer), 1)


def test_no_more_than_is_held_and_to_whose_it_is(lab: TokenLab):
    hold(lab, COIN)
    hold(lab, COIN, loan=OTHER)
    for sats in (COIN + 1, 2**64, MOST):
        with refuses("token/not-held"):
            release(lab, sats)
    with refuses("token/not-pledgor"):
        release(lab, MOST, who=lab.buyer)
    with refuses("token/not-pledgor"):
        release(lab, 1, loan=b"\x33" * 32)


# Execute


def test_a_hold_is_executed_in_one_step(lab: TokenLab):
    hold(lab, COIN)
    receipt = execute(lab, COIN - DUST, DUST - 7)
    moved = {"sender": raw(lab.borrower), "receiver": raw(lab.buyer), "value": COIN - DUST}
    assert lab.said(receipt) == [("Transfer", moved)]
    assert word(lab) == (COIN + DUST, 0, 7, COIN + DUST - 7)
    assert word(lab, lab.buyer) == (COIN - DUST, 0, 0, COIN - DUST)
    # The vault owes them still, to whoever has them.
    assert counts(lab) == (COIN, 7, COIN - 7)
    assert lab.pledge.call("totalSupply") == 2 * COIN


@pytest.mark.parametrize("released", [0, COIN])
def test_when_nothing_is_seized_nobody_is_asked_to_take(lab: TokenLab, released: int):
    hold(lab, COIN)
    assert execute(lab, 0, released, taker=lab.stranger).logs == ()
    assert word(lab) == (2 * COIN, 0, COIN - released, COIN + released)


def test_what_a_pledgors_standing_does_not_hinder(lab: TokenLab):
    hold(lab, COIN)
    lab.suspend(raw(lab.borrower))
    lab.pledge.send(lab.authority, "setFrozenTokens", raw(lab.borrower), MOST)
    execute(lab, COIN, 0)
    assert word(lab, lab.buyer) == (COIN, 0, 0, COIN)
    assert word(lab) == (COIN, 2**64 - 1, 0, 0)


def test_the_taker_is_admitted(lab: TokenLab):
    hold(lab, COIN)
    for taker in (lab.stranger, lab.hand):
        with refuses("token/cannot-receive"):
            execute(lab, 1, 0, taker=taker)
    lab.suspend(raw(lab.buyer))
    with refuses("token/cannot-receive"):
        execute(lab, 1, 0)
    lab.registry.send(lab.registrar, "reinstate", [raw(lab.buyer)])
    execute(lab, 1, 0)


def test_whose_pledge_it_is_takes_its_own(lab: TokenLab):
    hold(lab, COIN)
    execute(lab, 3, 4, taker=lab.borrower)
    assert word(lab) == (2 * COIN, 0, COIN - 7, COIN + 7)


def test_no_more_is_executed_than_is_held(lab: TokenLab):
    hold(lab, COIN)
    hold(lab, COIN, loan=OTHER)
    with refuses("token/not-pledgor"):
        execute(lab, MOST, 0, who=lab.buyer, taker=lab.stranger)
    for seized, released in ((COIN + 1, 0), (0, COIN + 1), (COIN, 1), (2**64, 0), (0, MOST)):
        with refuses("token/not-held"):
            execute(lab, seized, released, taker=lab.stranger)


def test_the_next_pledgor_after_all_was_seized(lab: TokenLab):
    hold(lab, COIN)
    execute(lab, COIN, 0)
    hold(lab, COIN, who=lab.buyer)
    assert counts(lab) == (COIN, COIN, 0)
