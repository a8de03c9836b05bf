"""PledgeToken: minted once for a coin seen, burned for a payout, retired when a coin is lost."""

from __future__ import annotations

import pytest
from contracts_lab import GENESIS, P2TR, P2WPKH, Lab, raw, refuses

from escrow.adapters.evm import typed
from escrow.core.terms import RESERVE_LIFE
from escrow.core.units import COIN, MAX_MONEY

ZERO = bytes(20)
DUST = 10_000
LOAN = b"\x11" * 32
OTHER = b"\x22" * 32


@pytest.fixture(scope="module")
def base() -> Lab:
    return Lab()


@pytest.fixture
def lab(base: Lab) -> Lab:
    base.back()
    return base


def send(lab: Lab, att, sigs) -> object:
    return lab.pledge.send(lab.stranger, "mint", typed.ATTESTATION.values(att), sigs)


def counts(lab: Lab, loan: bytes) -> tuple[int, int, int]:
    return tuple(lab.pledge.call(name, loan) for name in ("outstanding", "held", "free"))


# Mint


def test_what_it_is(lab: Lab):
    asked = ("name", "symbol", "decimals", "totalSupply", "burn_count", "MIN_DEPOSIT", "quorum")
    assert [lab.pledge.call(name) for name in asked] == [
        "Pledged bitcoin",
        "pBTC",
        8,
        0,
        0,
        10_000,
        3,
    ]
    assert lab.pledge.call("book") == lab.book.address
    assert lab.pledge.call("signers") == tuple(map(raw, lab.attestors))
    assert lab.pledge.call("DOMAIN_SEPARATOR") == lab.pledge.domain.separator


def test_anyone_carries_what_the_quorum_saw(lab: Lab):
    att = lab.attestation(LOAN, COIN, vout=3)
    receipt = send(lab, att, lab.sign_attestation(att))
    assert lab.said(receipt) == [
        ("Transfer", {"sender": ZERO, "receiver": raw(lab.borrower), "value": COIN}),
        (
            "Minted",
            {
                "loan": LOAN,
                "holder": raw(lab.borrower),
                "txid": att["txid"],
                "vout": 3,
                "sats": COIN,
                "reserves": MAX_MONEY,
                "seen_at": receipt.timestamp,
                "bitcoin_block": b"\xb1" * 32,
            },
        ),
    ]
    assert lab.tokens(lab.borrower) == COIN
    assert counts(lab, LOAN) == (COIN, 0, COIN)
    assert lab.pledge.call("totalSupply") == COIN
    assert lab.pledge.call("minted", att["txid"], 3) == COIN
    assert lab.pledge.call("minted", att["txid"], 2) == 0
    assert lab.pledge.call("retired", att["txid"], 3) is False


def test_too_few_signers(lab: Lab):
    att = lab.attestation(LOAN, COIN)
    with refuses("mint/too-few-signers"):
        send(lab, att, lab.sign_attestation(att, count=2))


def test_a_stranger_among_the_signers(lab: Lab):
    att = lab.attestation(LOAN, COIN)
    foreign = typed.sign_attestation(lab.stranger, attestation=att, domain=lab.pledge.domain)
    with refuses("mint/stranger"):
        send(lab, att, [*lab.sign_attestation(att), foreign])


def test_one_attestor_twice(lab: Lab):
    att = lab.attestation(LOAN, COIN)
    sigs = lab.sign_attestation(att)
    with refuses("mint/duplicate-signer"):
        send(lab, att, [*sigs, sigs[2]])


@pytest.mark.parametrize(
    "change",
    [
        {"loan": OTHER},
        {"holder": b"\x09" * 20},
        {"txid": b"\x09" * 32},
        {"vout": 1},
        {"sats": COIN + 1},
        {"reserves": MAX_MONEY - 1},
        {"seen_at": GENESIS},
        {"bitcoin_block": b"\x09" * 32},
    ],
)
def test_every_member_is_signed(lab: Lab, change):
    att = lab.attestation(LOAN, COIN)
    with refuses("mint/stranger"):
        send(lab, att | change, lab.sign_attestation(att))


def test_signatures_for_the_price_contract_do_not_mint(lab: Lab):
    att = lab.attestation(LOAN, COIN)
    sigs = [
        typed.sign_attestation(one, attestation=att, domain=lab.prices.domain)
        for one in lab.attestors
    ]
    with refuses("mint/stranger"):
        send(lab, att, sigs)


def test_a_retirement_does_not_mint(lab: Lab):
    att = lab.attestation(LOAN, COIN)
    with refuses("mint/stranger"):
        send(lab, att, lab.sign_retirement(att))


def test_an_outpoint_is_minted_once(lab: Lab):
    att = lab.mint(LOAN, COIN)
    with refuses("mint/replayed"):
        send(lab, att, lab.sign_attestation(att))
    again = att | {"loan": OTHER, "sats": 2 * COIN, "holder": raw(lab.lender)}
    with refuses("mint/replayed"):
        send(lab, again, lab.sign_attestation(again))
    lab.mint(LOAN, COIN, txid=att["txid"], vout=1)


def test_only_on_a_fresh_look_at_the_reserves(lab: Lab):
    early, late = (lab.attestation(LOAN, COIN) for _ in range(2))
    lab.wait(RESERVE_LIFE)
    send(lab, early, lab.sign_attestation(early))
    lab.wait(1)
    with refuses("mint/expired"):
        send(lab, late, lab.sign_attestation(late))


@pytest.mark.parametrize("seen_at", [0, 2**256 - 1])
def test_a_look_of_another_age_of_the_world(lab: Lab, seen_at: int):
    with refuses("mint/expired" if seen_at == 0 else "mint/from-future"):
        lab.mint(LOAN, COIN, seen_at=seen_at)


def test_no_look_at_the_reserves_is_dated_ahead(lab: Lab):
    with refuses("mint/from-future"):
        lab.mint(LOAN, COIN, seen_at=lab.now + 1)
    lab.mint(LOAN, COIN, seen_at=lab.now)


def test_within_the_reserves_that_the_quorum_saw(lab: Lab):
    with refuses("mint/reserves"):
        lab.mint(LOAN, COIN, reserves=COIN - 1)
    lab.mint(LOAN, COIN, reserves=COIN)
    with refuses("mint/reserves"):
        lab.mint(LOAN, COIN, reserves=2 * COIN - 1)
    # Each vault backs its own loan's tokens and no others.
    lab.mint(OTHER, COIN, reserves=COIN)
    lab.pledge.send(lab.borrower, "burn", LOAN, DUST, P2TR)
    with refuses("mint/reserves"):
        lab.mint(LOAN, COIN, reserves=2 * COIN - DUST - 1)
    lab.mint(LOAN, COIN, reserves=2 * COIN - DUST)


def test_an_attestation_refused_for_reserves_can_be_used_later(lab: Lab):
    lab.mint(LOAN, COIN)
    att = lab.attestation(LOAN, COIN, reserves=COIN)
    with refuses("mint/reserves"):
        send(lab, att, lab.sign_attestation(att))
    lab.pledge.send(lab.borrower, "burn", LOAN, COIN, P2TR)
    send(lab, att, lab.sign_attestation(att))


def test_the_first_rule_broken_is_named(lab: Lab):
    """Later checks are broken too in each case: the order is the core's."""
    minted = lab.mint(LOAN, COIN)
    bad = minted | {"seen_at": lab.now + 1, "sats": 0, "reserves": 0}
    mended = {"seen_at": lab.now - RESERVE_LIFE - 1}, {"seen_at": lab.now}, {"sats": COIN}
    fresh = {"txid": b"\x77" * 32}
    codes = "mint/from-future", "mint/expired", "mint/amount", "mint/replayed", "mint/reserves"
    for code, change in zip(codes, ({}, *mended, fresh), strict=True):
        bad |= change
        with refuses(code):
            send(lab, bad, lab.sign_attestation(bad))
    bad["reserves"] = 2 * COIN
    send(lab, bad, lab.sign_attestation(bad))


@pytest.mark.parametrize("sats", [0, DUST - 1, MAX_MONEY + 1, 2**255])
def test_amounts_out_of_bounds(lab: Lab, sats: int):
    with refuses("mint/amount"):
        lab.mint(LOAN, sats)


@pytest.mark.parametrize("sats", [DUST, MAX_MONEY])
def test_amounts_at_the_bounds(lab: Lab, sats: int):
    lab.mint(LOAN, sats)
    assert lab.tokens(lab.borrower) == sats


def test_there_are_never_more_tokens_than_bitcoin(lab: Lab):
    lab.mint(LOAN, MAX_MONEY - DUST)
    with refuses("mint/amount"):
        lab.mint(OTHER, DUST + 1)
    lab.mint(OTHER, DUST)


@pytest.mark.parametrize("where", ["zero", "token", "book"])
def test_who_cannot_be_minted_to(lab: Lab, where: str):
    holder = {"zero": ZERO, "token": lab.pledge.address, "book": lab.book.address}[where]
    with refuses("token/receiver"):
        lab.mint(LOAN, COIN, holder=holder)


# Transfer


def test_free_tokens_move(lab: Lab):
    lab.mint(LOAN, COIN)
    lab.pledge.send(lab.borrower, "transfer", raw(lab.buyer), COIN)
    lab.pledge.send(lab.buyer, "approve", raw(lab.keeper), 5)
    lab.pledge.send(lab.keeper, "transferFrom", raw(lab.buyer), raw(lab.lender), 5)
    assert [lab.tokens(who) for who in (lab.borrower, lab.buyer, lab.lender)] == [0, COIN - 5, 5]
    assert counts(lab, LOAN) == (COIN, 0, COIN)


def test_more_than_the_balance_or_the_allowance(lab: Lab):
    lab.mint(LOAN, COIN)
    with refuses("token/balance"):
        lab.pledge.send(lab.borrower, "transfer", raw(lab.buyer), COIN + 1)
    with refuses("token/allowance"):
        lab.pledge.send(lab.keeper, "transferFrom", raw(lab.borrower), raw(lab.buyer), 1)


@pytest.mark.parametrize("where", ["zero", "token", "book"])
@pytest.mark.parametrize("verb", ["transfer", "transferFrom"])
def test_who_cannot_hold_it(lab: Lab, verb: str, where: str):
    to = {"zero": ZERO, "token": lab.pledge.address, "book": lab.book.address}[where]
    lab.mint(LOAN, COIN)
    args = (to, 1) if verb == "transfer" else (raw(lab.borrower), to, 1)
    with refuses("token/receiver"):
        lab.pledge.send(lab.borrower, verb, *args)


# Burn


SCRIPTS = {
    "P2WPKH": P2WPKH,
    "P2WSH": bytes.fromhex("0020") + bytes(range(32)),
    "P2TR": P2TR,
    "P2PKH": bytes.fromhex("76a914") + bytes(range(20)) + bytes.fromhex("88ac"),
    "P2SH": bytes.fromhex("a914") + bytes(range(20)) + bytes.fromhex("87"),
}
NO_SCRIPTS = {
    "nothing": b"",
    "version 0 of 33 bytes": bytes.fromhex("0021") + bytes(33),
    "version 0 with the length of the other": bytes.fromhex("0020") + bytes(20),
    "version 2": bytes.fromhex("5220") + bytes(32),
    "taproot of 20 bytes": bytes.fromhex("5114") + bytes(20),
    "P2PKH without its end": bytes.fromhex("76a914") + bytes(22),
    "P2PKH without its head": bytes(23) + bytes.fromhex("88ac"),
    "P2SH without its end": bytes.fromhex("a914") + bytes(21),
    "P2SH without its head": bytes(22) + bytes.fromhex("87"),
    "a public key": bytes.fromhex("21") + bytes(33) + bytes.fromhex("ac"),
    "OP_RETURN": bytes.fromhex("6a20") + bytes(32),
    "42 bytes": bytes.fromhex("5128") + bytes(40),
}


def burn(lab: Lab, sats: int, *, who=None, loan: bytes = LOAN, script: bytes = P2TR) -> object:
    return lab.pledge.send(who or lab.borrower, "burn", loan, sats, script)


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_burning_asks_for_a_payout(lab: Lab, script: bytes):
    lab.mint(LOAN, COIN)
    receipt = burn(lab, DUST, script=script)
    assert lab.said(receipt) == [
        ("Transfer", {"sender": raw(lab.borrower), "receiver": ZERO, "value": DUST}),
        (
            "Burned",
            {
                "burn_id": 0,
                "loan": LOAN,
                "holder": raw(lab.borrower),
                "sats": DUST,
                "destination": script,
            },
        ),
    ]
    assert counts(lab, LOAN) == (COIN - DUST, 0, COIN - DUST)
    assert lab.pledge.call("totalSupply") == lab.tokens(lab.borrower) == COIN - DUST


@pytest.mark.parametrize("script", NO_SCRIPTS.values(), ids=NO_SCRIPTS)
def test_destinations_that_are_not_standard(lab: Lab, script: bytes):
    lab.mint(LOAN, COIN)
    with refuses("burn/destination"):
        burn(lab, DUST, script=script)


def test_burns_are_numbered(lab: Lab):
    lab.mint(LOAN, COIN)
    numbers = [lab.said(burn(lab, DUST))[1][1]["burn_id"] for _ in range(3)]
    assert numbers == [0, 1, 2]
    assert lab.pledge.call("burn_count") == 3
    assert lab.pledge.call("totalSupply") == COIN - 3 * DUST


def test_burning_dust(lab: Lab):
    lab.mint(LOAN, COIN)
    for sats in (0, DUST - 1):
        with refuses("burn/dust"):
            burn(lab, sats)


def test_burning_all_but_no_more(lab: Lab):
    lab.mint(LOAN, COIN)
    with refuses("burn/no-tokens"):
        burn(lab, COIN + 1)
    burn(lab, COIN)
    assert counts(lab, LOAN) == (0, 0, 0)


def test_whoever_holds_the_tokens_burns_them(lab: Lab):
    lab.mint(LOAN, COIN)
    with refuses("burn/no-tokens"):
        burn(lab, DUST, who=lab.buyer)
    lab.pledge.send(lab.borrower, "transfer", raw(lab.buyer), COIN)
    burn(lab, COIN, who=lab.buyer)


def test_a_vault_pays_only_for_its_own_loan(lab: Lab):
    lab.mint(LOAN, COIN)
    lab.mint(OTHER, DUST)
    with refuses("burn/no-tokens"):
        burn(lab, DUST + 1, loan=OTHER)
    burn(lab, DUST, loan=OTHER)


def test_pledged_tokens_cannot_be_burned(lab: Lab):
    terms = lab.opened(sats=COIN)
    loan = typed.loan_id(terms)
    lab.mint(OTHER, COIN)
    with refuses("burn/no-tokens"):
        burn(lab, DUST, loan=loan)
    lab.mint(loan, DUST)
    burn(lab, DUST, loan=loan)
    assert counts(lab, loan) == (COIN, COIN, 0)


# Hold and release


@pytest.mark.parametrize("verb", ["hold", "release"])
def test_only_the_book_moves_what_is_pledged(lab: Lab, verb: str):
    lab.mint(LOAN, COIN)
    who = raw(lab.borrower)
    args = (LOAN, who, 1) if verb == "hold" else (LOAN, 1, who)
    for person in (lab.borrower, lab.issuer, lab.attestors[0]):
        with refuses("token/not-book"):
            lab.pledge.call(verb, *args, sender=raw(person))
    lab.pledge.call("hold", LOAN, who, 1, sender=lab.book.address)


def test_the_book_releases_no_more_than_is_held(lab: Lab):
    terms = lab.opened(sats=COIN)
    book, loan, who = lab.book.address, typed.loan_id(terms), raw(lab.borrower)
    lab.pledge.call("release", loan, COIN, who, sender=book)
    with refuses("token/balance"):
        lab.pledge.call("release", loan, COIN + 1, who, sender=book)
    with refuses("token/balance"):
        lab.pledge.call("release", LOAN, 1, who, sender=book)


# Retire


def retired(lab: Lab, att) -> bool:
    return lab.pledge.call("retired", att["txid"], att["vout"])


def test_a_lost_coin_takes_its_tokens_with_it(lab: Lab):
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


def test_pledged_tokens_go_first(lab: Lab):
    terms = lab.opened(sats=0)
    loan = typed.loan_id(terms)
    att = lab.mint(loan, COIN)
    lab.do(lab.borrower, "top_up", terms, COIN - DUST)
    receipt = lab.retire(att)
    assert [args.get("sender") for _, args in lab.said(receipt)] == [
        lab.book.address,
        raw(lab.borrower),
        None,
    ]
    assert counts(lab, loan) == (0, 0, 0)
    assert lab.tokens(lab.borrower) == lab.pledge.call("totalSupply") == 0


def test_what_stays_pledged_when_one_of_two_coins_is_lost(lab: Lab):
    terms = lab.opened(sats=COIN)
    loan = typed.loan_id(terms)
    att = lab.mint(loan, 3 * DUST)
    receipt = lab.retire(att)
    assert [name for name, _ in lab.said(receipt)] == ["Transfer", "Retired"]
    assert counts(lab, loan) == (COIN, COIN - 3 * DUST, 3 * DUST)
    assert lab.tokens(lab.borrower) == 3 * DUST


def test_a_coin_of_another_loan(lab: Lab):
    att = lab.mint(LOAN, COIN)
    lab.mint(OTHER, COIN)
    with refuses("retire/not-lost"):
        lab.retire(att, loan=OTHER)


def test_change_of_a_payout_was_never_minted_and_is_retired_once(lab: Lab):
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


def test_a_coin_is_retired_once(lab: Lab):
    att = lab.mint(LOAN, COIN)
    lab.mint(LOAN, COIN)
    lab.retire(att)
    with refuses("retire/replayed"):
        lab.retire(att)
    with refuses("mint/replayed"):
        send(lab, att, lab.sign_attestation(att))


def test_no_more_than_the_coin_and_not_nothing(lab: Lab):
    att = lab.mint(LOAN, COIN)
    lab.mint(LOAN, COIN)
    for sats in (0, COIN + 1):
        with refuses("mint/amount"):
            lab.retire(att, sats=sats)


def test_what_is_left_of_a_coin_after_a_burn(lab: Lab):
    att = lab.mint(LOAN, COIN)
    burn(lab, DUST)
    lab.retire(att, sats=COIN - DUST)
    assert counts(lab, LOAN) == (0, 0, 0)


def test_tokens_that_are_no_longer_there(lab: Lab):
    att = lab.mint(LOAN, COIN)
    burn(lab, DUST)
    with refuses("retire/insufficient"):
        lab.retire(att)


def test_tokens_that_somebody_else_holds(lab: Lab):
    att = lab.mint(LOAN, COIN)
    lab.pledge.send(lab.borrower, "transfer", raw(lab.buyer), 1)
    with refuses("retire/insufficient"):
        lab.retire(att)
    lab.pledge.send(lab.buyer, "transfer", raw(lab.borrower), 1)
    lab.retire(att)


def test_a_retirement_until_its_deadline(lab: Lab):
    att = lab.mint(LOAN, COIN)
    deadline = lab.now + 50
    lab.wait(51)
    with refuses("mint/expired"):
        lab.retire(att, deadline=deadline)
    lab.retire(att, deadline=deadline + 1)


def test_a_retirement_needs_the_quorum(lab: Lab):
    att = lab.mint(LOAN, COIN)
    values = typed.RETIREMENT.values(att)
    sigs = lab.sign_retirement(att)
    with refuses("mint/too-few-signers"):
        lab.pledge.send(lab.stranger, "retire", values, sigs[:2])
    with refuses("mint/duplicate-signer"):
        lab.pledge.send(lab.stranger, "retire", values, [*sigs, sigs[0]])
    with refuses("mint/stranger"):
        lab.pledge.send(lab.stranger, "retire", values, lab.sign_attestation(att))
