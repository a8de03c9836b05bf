"""PledgeToken: minted once for a coin seen, burned for a payout."""

from __future__ import annotations

import pytest
from contracts_lab import FOR_EVER, GENESIS, P2TR, P2WPKH, raw, refuses
from token_lab import DUST, LOAN, OTHER, TokenLab

from escrow.adapters.evm import typed
from escrow.core.terms import RESERVE_LIFE
from escrow.core.units import COIN, MAX_MONEY

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


# Mint


def test_what_it_is(lab: TokenLab):
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
    assert lab.pledge.call("book") == raw(lab.hand)
    assert lab.pledge.call("registry") == lab.registry.address
    assert lab.pledge.call("authority") == raw(lab.authority)
    assert lab.pledge.call("supply_cap") == MAX_MONEY
    assert lab.pledge.call("signers") == tuple(map(raw, lab.attestors))
    assert lab.pledge.call("DOMAIN_SEPARATOR") == lab.pledge.domain.separator


def test_anyone_carries_what_the_quorum_saw(lab: TokenLab):
    att = lab.attestation(LOAN, COIN, vout=3)
    receipt = send(lab, att, lab.sign_attestation(att))
    assert lab.said(receipt) == [
        ("Transfer", {"sender": ZERO, "receiver": raw(lab.borrower), "value": COIN}),
        (
            "Minted",
            {
                "loan": LOAN,
                "holder": raw(lab.borrower),
                "request": typed.ATTESTATION.hash(att),
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


def test_too_few_signers(lab: TokenLab):
    att = lab.attestation(LOAN, COIN)
    with refuses("mint/too-few-signers"):
        send(lab, att, lab.sign_attestation(att, count=2))


def test_a_stranger_among_the_signers(lab: TokenLab):
    att = lab.attestation(LOAN, COIN)
    foreign = typed.sign_attestation(lab.stranger, attestation=att, domain=lab.pledge.domain)
    with refuses("mint/stranger"):
        send(lab, att, [*lab.sign_attestation(att), foreign])


def test_one_attestor_twice(lab: TokenLab):
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
def test_every_member_is_signed(lab: TokenLab, change):
    att = lab.attestation(LOAN, COIN)
    with refuses("mint/stranger"):
        send(lab, att | change, lab.sign_attestation(att))


def test_signatures_for_the_price_contract_do_not_mint(lab: TokenLab):
    att = lab.attestation(LOAN, COIN)
    sigs = [
        typed.sign_attestation(one, attestation=att, domain=lab.prices.domain)
        for one in lab.attestors
    ]
    with refuses("mint/stranger"):
        send(lab, att, sigs)


def test_a_retirement_does_not_mint(lab: TokenLab):
    att = lab.attestation(LOAN, COIN)
    with refuses("mint/stranger"):
        send(lab, att, lab.sign_retirement(att))


def test_an_outpoint_is_minted_once(lab: TokenLab):
    att = lab.mint(LOAN, COIN)
    with refuses("mint/replayed"):
        send(lab, att, lab.sign_attestation(att))
    again = att | {"loan": OTHER, "sats": 2 * COIN, "holder": raw(lab.lender)}
    with refuses("mint/replayed"):
        send(lab, again, lab.sign_attestation(again))
    lab.mint(LOAN, COIN, txid=att["txid"], vout=1)


def test_only_on_a_fresh_look_at_the_reserves(lab: TokenLab):
    early, late = (lab.attestation(LOAN, COIN) for _ in range(2))
    lab.wait(RESERVE_LIFE)
    send(lab, early, lab.sign_attestation(early))
    lab.wait(1)
    with refuses("mint/expired"):
        send(lab, late, lab.sign_attestation(late))


@pytest.mark.parametrize("seen_at", [0, 2**256 - 1])
def test_a_look_of_another_age_of_the_world(lab: TokenLab, seen_at: int):
    with refuses("mint/expired" if seen_at == 0 else "mint/from-future"):
        lab.mint(LOAN, COIN, seen_at=seen_at)


def test_no_look_at_the_reserves_is_dated_ahead(lab: TokenLab):
    with refuses("mint/from-future"):
        lab.mint(LOAN, COIN, seen_at=lab.now + 1)
    lab.mint(LOAN, COIN, seen_at=lab.now)


def test_within_the_reserves_that_the_quorum_saw(lab: TokenLab):
    with refuses("mint/reserves"):
        lab.mint(LOAN, COIN, reserves=COIN - 1)
    lab.mint(LOAN, COIN, reserves=COIN)
    with refuses("mint/reserves"):
        lab.mint(LOAN, COIN, reserves=2 * COIN - 1)
    # Each vault backs its own loan's tokens and no others.
    lab.mint(OTHER, COIN, reserves=COIN)
    lab.burn(lab.borrower, LOAN, DUST)
    with refuses("mint/reserves"):
        lab.mint(LOAN, COIN, reserves=2 * COIN - DUST - 1)
    lab.mint(LOAN, COIN, reserves=2 * COIN - DUST)


def test_an_attestation_refused_for_reserves_can_be_used_later(lab: TokenLab):
    lab.mint(LOAN, COIN)
    att = lab.attestation(LOAN, COIN, reserves=COIN)
    with refuses("mint/reserves"):
        send(lab, att, lab.sign_attestation(att))
    lab.burn(lab.borrower, LOAN, COIN)
    send(lab, att, lab.sign_attestation(att))


def test_the_first_rule_broken_is_named(lab: TokenLab):
    """Later checks are broken too in each case: the order is the core's."""
    minted = lab.mint(LOAN, COIN)
    bad = minted | {"seen_at": lab.now + 1, "sats": 0, "reserves": 0, "holder": ZERO}
    more = MAX_MONEY - COIN + 1
    for code, change in (
        ("token/cannot-receive", {}),
        ("mint/from-future", {"holder": raw(lab.borrower)}),
        ("mint/expired", {"seen_at": lab.now - RESERVE_LIFE - 1}),
        ("mint/amount", {"seen_at": lab.now}),
        ("mint/replayed", {"sats": more}),
        ("mint/cap", {"txid": b"\x77" * 32}),
        ("mint/reserves", {"sats": more - 1}),
    ):
        bad |= change
        with refuses(code):
            send(lab, bad, lab.sign_attestation(bad))
    bad["reserves"] = MAX_MONEY
    send(lab, bad, lab.sign_attestation(bad))


@pytest.mark.parametrize("sats", [0, DUST - 1, MAX_MONEY + 1, 2**255])
def test_amounts_out_of_bounds(lab: TokenLab, sats: int):
    with refuses("mint/amount"):
        lab.mint(LOAN, sats)


@pytest.mark.parametrize("sats", [DUST, MAX_MONEY])
def test_amounts_at_the_bounds(lab: TokenLab, sats: int):
    lab.mint(LOAN, sats)
    assert lab.tokens(lab.borrower) == sats


def test_there_are_never_more_tokens_than_bitcoin(lab: TokenLab):
    lab.mint(LOAN, MAX_MONEY - DUST)
    with refuses("mint/cap"):
        lab.mint(OTHER, DUST + 1)
    lab.mint(OTHER, DUST)


def test_a_cap_below_that_and_what_is_burned_may_be_minted_again():
    lab = TokenLab(cap=COIN)
    lab.mint(LOAN, COIN - DUST)
    with refuses("mint/cap"):
        lab.mint(OTHER, DUST + 1)
    lab.mint(OTHER, DUST)
    with refuses("mint/cap"):
        lab.mint(LOAN, DUST)
    lab.burn(lab.borrower, LOAN, DUST)
    lab.mint(LOAN, DUST)
    assert lab.pledge.call("totalSupply") == COIN


def test_who_cannot_be_minted_to(lab: TokenLab):
    places = (ZERO, lab.pledge.address, raw(lab.hand), raw(lab.stranger))
    for holder in places:
        with refuses("token/cannot-receive"):
            lab.mint(LOAN, COIN, holder=holder)
    att = lab.attestation(LOAN, COIN)
    lab.suspend(raw(lab.borrower))
    with refuses("token/cannot-receive"):
        send(lab, att, lab.sign_attestation(att))
    lab.registry.send(lab.registrar, "reinstate", [raw(lab.borrower)])
    send(lab, att, lab.sign_attestation(att))


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


def burn(
    lab: TokenLab, sats: int, *, who=None, loan: bytes = LOAN, script: bytes = P2TR, **changes: int
) -> object:
    return lab.burn(who or lab.borrower, loan, sats, script, **changes)


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_burning_asks_for_a_payout(lab: TokenLab, script: bytes):
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
                "request": 0,
                "sats": DUST,
                "destination": script,
            },
        ),
    ]
    assert counts(lab, LOAN) == (COIN - DUST, 0, COIN - DUST)
    assert lab.pledge.call("totalSupply") == lab.tokens(lab.borrower) == COIN - DUST


@pytest.mark.parametrize("script", NO_SCRIPTS.values(), ids=NO_SCRIPTS)
def test_destinations_that_are_not_standard(lab: TokenLab, script: bytes):
    lab.mint(LOAN, COIN)
    with refuses("burn/destination"):
        burn(lab, DUST, script=script)


def test_burns_are_numbered_in_all_and_by_holder(lab: TokenLab):
    lab.mint(LOAN, COIN)
    lab.mint(LOAN, COIN, holder=raw(lab.buyer))
    order = (lab.borrower, lab.buyer, lab.buyer, lab.borrower)
    said = [lab.said(burn(lab, DUST, who=who))[1][1] for who in order]
    assert [(each["burn_id"], each["request"]) for each in said] == [(0, 0), (1, 0), (2, 1), (3, 1)]
    assert lab.pledge.call("burn_count") == 4
    assert [lab.pledge.call("burns_of", raw(who)) for who in order[:2]] == [2, 2]
    assert lab.pledge.call("totalSupply") == 2 * COIN - 4 * DUST


def test_a_burn_sent_again_burns_nothing(lab: TokenLab):
    lab.mint(LOAN, COIN)
    burn(lab, DUST, request=0)
    for request in (0, 2, 2**24, 2**256 - 1):
        with refuses("burn/replayed"):
            burn(lab, DUST, request=request)
    assert lab.tokens(lab.borrower) == COIN - DUST
    burn(lab, DUST, request=1)


def test_the_first_rule_broken_by_a_burn_is_named(lab: TokenLab):
    """Later checks are broken too in each case."""
    lab.mint(LOAN, COIN)
    lab.mint(OTHER, COIN)
    lab.by_book("hold", OTHER, raw(lab.borrower), COIN)
    lab.suspend(raw(lab.borrower))
    lab.pledge.send(lab.authority, "setFrozenTokens", raw(lab.borrower), 1)
    bad = {"sats": 0, "script": b"", "request": 1}
    for code, change in (
        ("token/cannot-send", {}),
        ("burn/replayed", {}),
        ("burn/dust", {"request": 0}),
        ("burn/destination", {"sats": COIN + 1}),
        ("burn/no-tokens", {"script": P2TR}),
        ("token/frozen", {"sats": COIN}),
    ):
        bad |= change
        with refuses(code):
            burn(lab, **bad)
        lab.registry.send(lab.registrar, "reinstate", [raw(lab.borrower)])
    burn(lab, COIN - 1)


def test_who_is_not_admitted_any_more_keeps_its_tokens(lab: TokenLab):
    lab.mint(LOAN, COIN)
    lab.admit(raw(lab.borrower), until=lab.now)
    lab.wait(1)
    with refuses("token/cannot-send"):
        burn(lab, DUST)
    assert lab.pledge.call("balanceOf", raw(lab.borrower)) == COIN
    lab.admit(raw(lab.borrower), until=FOR_EVER)
    burn(lab, DUST)


def test_burning_dust(lab: TokenLab):
    lab.mint(LOAN, COIN)
    for sats in (0, DUST - 1):
        with refuses("burn/dust"):
            burn(lab, sats)


def test_burning_all_but_no_more(lab: TokenLab):
    lab.mint(LOAN, COIN)
    with refuses("burn/no-tokens"):
        burn(lab, COIN + 1)
    burn(lab, COIN)
    assert counts(lab, LOAN) == (0, 0, 0)


def test_whoever_holds_the_tokens_burns_them(lab: TokenLab):
    lab.mint(LOAN, COIN)
    with refuses("burn/no-tokens"):
        burn(lab, DUST, who=lab.buyer)
    lab.pledge.send(lab.borrower, "transfer", raw(lab.buyer), COIN)
    burn(lab, COIN, who=lab.buyer)


def test_a_vault_pays_only_for_its_own_loan(lab: TokenLab):
    lab.mint(LOAN, COIN)
    lab.mint(OTHER, DUST)
    with refuses("burn/no-tokens"):
        burn(lab, DUST + 1, loan=OTHER)
    burn(lab, DUST, loan=OTHER)


def test_pledged_tokens_cannot_be_burned(lab: TokenLab):
    lab.mint(LOAN, COIN)
    lab.mint(OTHER, COIN)
    lab.by_book("hold", LOAN, raw(lab.borrower), COIN)
    with refuses("burn/no-tokens"):
        burn(lab, DUST)
    lab.mint(LOAN, DUST)
    burn(lab, DUST)
    assert counts(lab, LOAN) == (COIN, COIN, 0)
    # The vault would pay, but what the holder has is pledged to another loan.
    with refuses("burn/no-tokens"):
        burn(lab, COIN + 1, loan=OTHER)
    lab.by_book("hold", OTHER, raw(lab.borrower), COIN // 2)
    lab.pledge.send(lab.borrower, "transfer", raw(lab.buyer), COIN // 2)
    with refuses("burn/no-tokens"):
        burn(lab, DUST, loan=OTHER)
    burn(lab, COIN // 2, who=lab.buyer, loan=OTHER)
