"""PledgeToken: when a coin is lost, a quorum retires the tokens that stood on it."""

from __future__ import annotations

import pytest
from contracts_lab import raw, refuses
from token_lab import DUST, LOAN, OTHER, TokenLab

from escrow.adapters.evm import typed
from escrow.core.units import COIN

ZERO = bytes(20)


@pytest.fixture(scope="module")
def base() -> TokenLab:
    return TokenLab()


@pytest.fixture
def lab(base: TokenLab) -> TokenLab:
    base.back()
    return base


def send(lab: TokenLab, att, sigs) -> object:
    return lab.pledge.send(lab.stranger, "mint", typed.ATTESTATION.values(att), sigs)


def counts(lab: TokenLab, loan: bytes) -> tuple[int, int, int]:
    return tuple(lab.pledge.call(name, loan) for name in ("outstanding", "held", "free"))


def burn(lab: TokenLab, sats: int) -> object:
    return lab.burn(lab.borrower, LOAN, sats)


def retired(lab: TokenLab, att) -> bool:
    return lab.pledge.call("retired", att["txid"], att["vout"])


def test_a_lost_coin_takes_its_tokens_with_it(lab: TokenLab):
    att = lab.mint(LOAN, COIN)
    lab.mint(LOAN, DUST)
    receipt = lab.retire(att)
    assert lab.said(receipt) == [
        ("Transfer", {"sender": raw(lab.borrower), "receiver": ZERO, "value": COIN}),
        ("Retired", {"loan": LOAN, "txid": att["txid"], "vout": 0, "sats": COIN}),
    ]
    assert counts(lab, LOAN) == (DUST, 0, DUST)
    assert lab.tokens(lab.borrower) == lab.pledge.call("totalSupply") == DUST
    assert retired(lab, att) is True
    assert lab.pledge.call("minted", att["txid"], 0) == COIN


def test_pledged_tokens_go_first(lab: TokenLab):
    att = lab.mint(LOAN, COIN)
    lab.by_book("hold", LOAN, raw(lab.borrower), COIN - DUST)
    receipt = lab.retire(att)
    gone = {"sender": raw(lab.borrower), "receiver": ZERO}
    assert lab.said(receipt)[:2] == [
        ("Transfer", {**gone, "value": COIN - DUST}),
        ("Transfer", {**gone, "value": DUST}),
    ]
    assert counts(lab, LOAN) == (0, 0, 0)
    assert lab.word(lab.pledge, lab.borrower) == (0, 0, 0, 0)
    assert lab.pledge.call("totalSupply") == 0


def test_what_stays_pledged_when_one_of_two_coins_is_lost(lab: TokenLab):
    lab.mint(LOAN, COIN)
    att = lab.mint(LOAN, 3 * DUST)
    lab.by_book("hold", LOAN, raw(lab.borrower), COIN)
    receipt = lab.retire(att)
    assert [name for name, _ in lab.said(receipt)] == ["Transfer", "Retired"]
    assert counts(lab, LOAN) == (COIN, COIN - 3 * DUST, 3 * DUST)
    assert lab.word(lab.pledge, lab.borrower) == (COIN, 0, COIN - 3 * DUST, 3 * DUST)


def test_pledgor_and_holder_are_two(lab: TokenLab):
    att = lab.mint(LOAN, COIN)
    lab.pledge.send(lab.borrower, "transfer", raw(lab.buyer), DUST)
    lab.by_book("hold", LOAN, raw(lab.borrower), COIN - DUST)
    with refuses("token/not-pledgor"):
        lab.retire(att, pledgor=raw(lab.buyer))
    receipt = lab.retire(att, holder=raw(lab.buyer))
    senders = [args.get("sender") for _, args in lab.said(receipt)]
    assert senders == [raw(lab.borrower), raw(lab.buyer), None]
    assert lab.tokens(lab.buyer) == lab.pledge.call("totalSupply") == 0


def test_where_nothing_is_pledged_no_pledgor_is_asked(lab: TokenLab):
    att = lab.mint(LOAN, COIN)
    lab.retire(att, pledgor=raw(lab.stranger))
    assert counts(lab, LOAN) == (0, 0, 0)


def test_what_is_pledged_to_another_loan_answers_for_nothing(lab: TokenLab):
    att = lab.mint(LOAN, COIN)
    lab.mint(OTHER, COIN)
    lab.by_book("hold", OTHER, raw(lab.borrower), COIN)
    lab.pledge.send(lab.borrower, "transfer", raw(lab.buyer), 1)
    with refuses("retire/insufficient"):
        lab.retire(att)
    lab.pledge.send(lab.buyer, "transfer", raw(lab.borrower), 1)
    lab.retire(att)
    assert lab.word(lab.pledge, lab.borrower) == (COIN, 0, COIN, 0)


def test_what_is_frozen_goes_last_and_is_unfrozen(lab: TokenLab):
    att = lab.mint(LOAN, COIN)
    lab.mint(OTHER, COIN)
    who = raw(lab.borrower)
    lab.pledge.send(lab.authority, "setFrozenTokens", who, COIN + DUST)
    lab.suspend(who)
    receipt = lab.retire(att)
    assert lab.said(receipt)[:2] == [
        ("Frozen", {"account": who, "amount": COIN}),
        ("Transfer", {"sender": who, "receiver": ZERO, "value": COIN}),
    ]
    assert lab.word(lab.pledge, lab.borrower) == (COIN, COIN, 0, 0)


def test_a_coin_of_another_loan(lab: TokenLab):
    att = lab.mint(LOAN, COIN)
    lab.mint(OTHER, COIN)
    with refuses("retire/not-lost"):
        lab.retire(att, loan=OTHER)


def test_change_of_a_payout_was_never_minted_and_is_retired_once(lab: TokenLab):
    att = lab.mint(LOAN, COIN)
    change = {"txid": b"\x09" * 32, "vout": 1, "sats": DUST}
    lab.retire(att, **change)
    assert counts(lab, LOAN) == (COIN - DUST, 0, COIN - DUST)
    assert lab.pledge.call("retired", change["txid"], 1) is True
    assert lab.pledge.call("minted", change["txid"], 1) == 0
    with refuses("retire/replayed"):
        lab.retire(att, **change)
    with refuses("mint/replayed"):
        send(lab, att | change, lab.sign_attestation(att | change))


def test_a_coin_is_retired_once(lab: TokenLab):
    att = lab.mint(LOAN, COIN)
    lab.mint(LOAN, COIN)
    lab.retire(att)
    with refuses("retire/replayed"):
        lab.retire(att)
    with refuses("mint/replayed"):
        send(lab, att, lab.sign_attestation(att))


def test_no_more_than_the_coin_and_not_nothing(lab: TokenLab):
    att = lab.mint(LOAN, COIN)
    lab.mint(LOAN, COIN)
    for sats in (0, COIN + 1):
        with refuses("mint/amount"):
            lab.retire(att, sats=sats)


def test_what_is_left_of_a_coin_after_a_burn(lab: TokenLab):
    att = lab.mint(LOAN, COIN)
    burn(lab, DUST)
    lab.retire(att, sats=COIN - DUST)
    assert counts(lab, LOAN) == (0, 0, 0)


def test_tokens_that_are_no_longer_there(lab: TokenLab):
    att = lab.mint(LOAN, COIN)
    burn(lab, DUST)
    with refuses("retire/insufficient"):
        lab.retire(att)


def test_tokens_that_somebody_else_holds(lab: TokenLab):
    att = lab.mint(LOAN, COIN)
    lab.pledge.send(lab.borrower, "transfer", raw(lab.buyer), 1)
    with refuses("retire/insufficient"):
        lab.retire(att)
    lab.pledge.send(lab.buyer, "transfer", raw(lab.borrower), 1)
    lab.retire(att)


def test_a_retirement_until_its_deadline(lab: TokenLab):
    att = lab.mint(LOAN, COIN)
    deadline = lab.now + 50
    lab.wait(51)
    with refuses("mint/expired"):
        lab.retire(att, deadline=deadline)
    lab.retire(att, deadline=deadline + 1)


def test_a_retirement_needs_the_quorum(lab: TokenLab):
    att = lab.mint(LOAN, COIN)
    values = typed.RETIREMENT.values(att)
    sigs = lab.sign_retirement(att)
    with refuses("mint/too-few-signers"):
        lab.pledge.send(lab.stranger, "retire", values, sigs[:2])
    with refuses("mint/duplicate-signer"):
        lab.pledge.send(lab.stranger, "retire", values, [*sigs, sigs[0]])
    with refuses("mint/stranger"):
        lab.pledge.send(lab.stranger, "retire", values, lab.sign_attestation(att))


@pytest.mark.parametrize(
    "change",
    [
        {"loan": OTHER},
        {"holder": ZERO},
        {"pledgor": ZERO},
        {"txid": b"\x09" * 32},
        {"vout": 1},
        {"sats": COIN - 1},
        {"deadline": 2**40},
    ],
)
def test_every_member_of_a_retirement_is_signed(lab: TokenLab, change):
    att = lab.mint(LOAN, COIN)
    values = typed.RETIREMENT.values(att | change)
    with refuses("mint/stranger"):
        lab.pledge.send(lab.stranger, "retire", values, lab.sign_retirement(att))
