"""What both tokens are: ERC-20 between admitted accounts, permits, freezes, forced transfers."""

from __future__ import annotations

from functools import reduce

import pytest
from contracts_lab import FOR_EVER, GENESIS, raw, refuses
from token_lab import AMOUNT, LOAN, TokenLab

from escrow.adapters.evm.contracts import Contract
from escrow.core.units import DAY

ZERO = bytes(20)
NO_LIMIT = 2**256 - 1
ALL = 2**64 - 1
SECOND_HALF = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.fixture(scope="module")
def base() -> TokenLab:
    lab = TokenLab()
    for kind in AMOUNT:
        lab.give(getattr(lab, kind), lab.lender, AMOUNT[kind])
    lab.save()
    return lab


@pytest.fixture
def lab(base: TokenLab) -> TokenLab:
    base.back()
    return base


@pytest.fixture(params=list(AMOUNT))
def token(lab: TokenLab, request: pytest.FixtureRequest) -> Contract:
    return getattr(lab, request.param)


@pytest.fixture
def much(token: Contract, lab: TokenLab) -> int:
    """All that the lender has, and there is."""
    return AMOUNT["cash" if token is lab.cash else "pledge"]


# ERC-20


def test_transfer(lab: TokenLab, token: Contract, much: int):
    receipt = token.send(lab.lender, "transfer", raw(lab.buyer), much)
    assert lab.said(receipt) == [
        ("Transfer", {"sender": raw(lab.lender), "receiver": raw(lab.buyer), "value": much})
    ]
    assert lab.word(token, lab.lender) == (0, 0, 0, 0)
    assert lab.word(token, lab.buyer) == (much, 0, 0, much)
    assert token.call("totalSupply") == much


@pytest.mark.parametrize("part", [0, 1])
def test_transfer_to_oneself_and_of_nothing_changes_nothing(
    lab: TokenLab, token: Contract, much: int, part: int
):
    receipt = token.send(lab.lender, "transfer", raw(lab.lender), part * much)
    assert [name for name, _ in lab.said(receipt)] == ["Transfer"]
    assert lab.word(token, lab.lender) == (much, 0, 0, much)


def test_more_than_the_balance(lab: TokenLab, token: Contract, much: int):
    for amount in (much + 1, 2**64, 2**64 + 1, NO_LIMIT):
        with refuses("token/balance"):
            token.send(lab.lender, "transfer", raw(lab.buyer), amount)
        with refuses("token/balance"):
            token.send(lab.lender, "transfer", raw(lab.lender), amount)


def test_transfer_from_uses_the_allowance(lab: TokenLab, token: Contract):
    receipt = token.send(lab.lender, "approve", raw(lab.stranger), 10)
    assert lab.said(receipt) == [
        ("Approval", {"owner": raw(lab.lender), "spender": raw(lab.stranger), "value": 10})
    ]
    # Who carries another's tokens need not be admitted.
    token.send(lab.stranger, "transferFrom", raw(lab.lender), raw(lab.buyer), 7)
    assert token.call("allowance", raw(lab.lender), raw(lab.stranger)) == 3
    with refuses("token/allowance"):
        token.send(lab.stranger, "transferFrom", raw(lab.lender), raw(lab.buyer), 4)
    assert token.call("balanceOf", raw(lab.buyer)) == 7


def test_an_unlimited_allowance_stays_and_does_not_lift_the_balance(
    lab: TokenLab, token: Contract, much: int
):
    token.send(lab.lender, "approve", raw(lab.keeper), NO_LIMIT)
    token.send(lab.keeper, "transferFrom", raw(lab.lender), raw(lab.buyer), 7)
    assert token.call("allowance", raw(lab.lender), raw(lab.keeper)) == NO_LIMIT
    with refuses("token/balance"):
        token.send(lab.keeper, "transferFrom", raw(lab.lender), raw(lab.buyer), much)


# Eligibility


@pytest.mark.parametrize("verb", ["transfer", "transferFrom"])
def test_both_sides_are_admitted(lab: TokenLab, token: Contract, verb: str):
    """Refusals in their order: allowance, sender, receiver, amount."""
    lender = lab.lender if verb == "transfer" else lab.keeper
    args = () if verb == "transfer" else (raw(lab.lender),)
    lab.suspend(raw(lab.lender), raw(lab.buyer))
    if args:
        with refuses("token/allowance"):
            token.send(lender, verb, *args, raw(lab.buyer), NO_LIMIT)
        token.send(lab.lender, "approve", raw(lab.keeper), NO_LIMIT)
    with refuses("token/cannot-send"):
        token.send(lender, verb, *args, raw(lab.buyer), NO_LIMIT)
    lab.registry.send(lab.registrar, "reinstate", [raw(lab.lender)])
    with refuses("token/cannot-receive"):
        token.send(lender, verb, *args, raw(lab.buyer), NO_LIMIT)
    lab.registry.send(lab.registrar, "reinstate", [raw(lab.buyer)])
    with refuses("token/balance"):
        token.send(lender, verb, *args, raw(lab.buyer), NO_LIMIT)
    token.send(lender, verb, *args, raw(lab.buyer), 1)


@pytest.mark.parametrize("where", ["zero", "token", "book", "stranger"])
def test_who_was_never_admitted(lab: TokenLab, token: Contract, where: str):
    places = {"zero": ZERO, "token": token.address, "book": raw(lab.hand)}
    with refuses("token/cannot-receive"):
        token.send(lab.lender, "transfer", places.get(where, raw(lab.stranger)), 1)
    assert token.call("eligible_until", raw(lab.stranger)) == 0


def test_to_the_last_second(lab: TokenLab, token: Contract):
    until = lab.now + DAY
    lab.admit(raw(lab.buyer), until=until)
    assert token.call("eligible_until", raw(lab.buyer)) == until
    lab.at(until)
    token.send(lab.lender, "transfer", raw(lab.buyer), 2)
    lab.at(until + 1)
    with refuses("token/cannot-receive"):
        token.send(lab.lender, "transfer", raw(lab.buyer), 1)
    with refuses("token/cannot-send"):
        token.send(lab.buyer, "transfer", raw(lab.lender), 1)
    assert token.call("balanceOf", raw(lab.buyer)) == 2
    lab.admit(raw(lab.buyer))
    token.send(lab.buyer, "transfer", raw(lab.lender), 1)


def test_only_the_registry_admits(lab: TokenLab, token: Contract):
    for who in (lab.registrar, lab.authority, lab.issuer, lab.hand):
        with refuses("token/not-registry"):
            token.send(who, "admit", raw(lab.stranger), FOR_EVER)
    token.call("admit", raw(lab.stranger), FOR_EVER, sender=lab.registry.address)


def test_zero_the_token_and_the_book_are_never_admitted(lab: TokenLab, token: Contract):
    for where in (ZERO, token.address, raw(lab.hand)):
        with refuses("token/receiver"):
            token.call("admit", where, FOR_EVER, sender=lab.registry.address)


def test_admission_leaves_the_rest_of_the_word(lab: TokenLab, token: Contract, much: int):
    token.send(lab.authority, "setFrozenTokens", raw(lab.lender), NO_LIMIT)
    for until in (GENESIS + DAY, FOR_EVER):
        lab.admit(raw(lab.lender), until=until)
        assert lab.word(token, lab.lender) == (much, ALL, 0, 0)
        assert token.call("eligible_until", raw(lab.lender)) == until


# ERC-2612


def test_a_signed_approval_is_anyones_to_carry(lab: TokenLab, token: Contract):
    values = lab.permit(token, lab.lender, raw(lab.keeper), 10)
    receipt = token.send(lab.stranger, "permit", *values)
    assert lab.said(receipt) == [
        ("Approval", {"owner": raw(lab.lender), "spender": raw(lab.keeper), "value": 10})
    ]
    assert token.call("allowance", raw(lab.lender), raw(lab.keeper)) == 10
    assert token.call("nonces", raw(lab.lender)) == 1
    assert token.call("DOMAIN_SEPARATOR") == token.domain.separator


def test_a_permit_carried_before_by_another_did_its_work(lab: TokenLab, token: Contract):
    """Whoever meant to carry it finds it refused, and the allowance there."""
    values = lab.permit(token, lab.lender, raw(lab.keeper), 10, deadline=lab.now + DAY)
    token.send(lab.stranger, "permit", *values)
    token.send(lab.keeper, "transferFrom", raw(lab.lender), raw(lab.keeper), 10)
    with refuses("permit/not-owner"):
        token.send(lab.keeper, "permit", *values)
    assert token.call("allowance", raw(lab.lender), raw(lab.keeper)) == 0


def test_a_permit_until_its_deadline(lab: TokenLab, token: Contract):
    values = lab.permit(token, lab.lender, raw(lab.keeper), 10, deadline=lab.now + 50)
    late = lab.now + 51
    lab.at(late - 1)
    lab.save()
    token.send(lab.keeper, "permit", *values)
    lab.back()
    lab.forget()
    lab.at(late)
    with refuses("permit/expired"):
        token.send(lab.keeper, "permit", *values)


@pytest.mark.parametrize("member", range(4))
def test_every_member_of_a_permit_is_signed(lab: TokenLab, token: Contract, member: int):
    values = list(lab.permit(token, lab.lender, raw(lab.keeper), 10))
    values[member] = values[member] + 1 if member > 1 else raw(lab.buyer)
    with refuses("permit/not-owner"):
        token.send(lab.keeper, "permit", *values)


def test_a_permit_by_another_ahead_of_its_turn_or_for_the_other_token(
    lab: TokenLab, token: Contract
):
    other = lab.pledge if token is lab.cash else lab.cash
    spender = raw(lab.keeper)
    for values in (
        lab.permit(token, lab.lender, spender, 10, signer=lab.keeper),
        lab.permit(token, lab.lender, spender, 10, nonce=1),
        lab.permit(other, lab.lender, spender, 10),
    ):
        with refuses("permit/not-owner"):
            token.send(lab.keeper, "permit", *values)


def test_signatures_that_are_none(lab: TokenLab, token: Contract):
    """The second signature that anyone makes of one, and none that recovers to nobody."""
    *said, v, r, s = lab.permit(token, lab.lender, raw(lab.keeper), 10)
    mirrored = (SECOND_HALF - int.from_bytes(s, "big")).to_bytes(32, "big")
    for sig in ((55 - v, r, mirrored), (v - 27, r, s), (v, bytes(32), s)):
        with refuses("token/signature"):
            token.send(lab.keeper, "permit", *said, *sig)
    with refuses("token/signature"):
        token.send(lab.keeper, "permit", ZERO, *said[1:], 27, bytes(32), bytes(32))
    token.send(lab.keeper, "permit", *said, v, r, s)


# ERC-165 and ERC-7943


def test_interfaces_are_those_of_their_functions(lab: TokenLab, token: Contract):
    functions = token.artifact.functions

    def interface(*names: str) -> bytes:
        selectors = [int.from_bytes(functions[name].selector, "big") for name in names]
        return reduce(int.__xor__, selectors).to_bytes(4, "big")

    regulated = ("canSend", "canReceive", "canTransfer", "getFrozenTokens")
    known = {
        "01ffc9a7": interface("supportsInterface"),
        "36372b07": interface(
            *("totalSupply", "balanceOf", "transfer", "allowance", "approve", "transferFrom")
        ),
        "9d8ff7da": interface("permit", "nonces", "DOMAIN_SEPARATOR"),
        "3edbb4c4": interface(*regulated, "setFrozenTokens", "forcedTransfer"),
    }
    for number, found in known.items():
        assert found.hex() == number
        assert token.call("supportsInterface", found) is True
    for nothing in ("ffffffff", "00000000", "80ac58cd"):
        assert token.call("supportsInterface", bytes.fromhex(nothing)) is False


def test_who_can_send_and_receive(lab: TokenLab, token: Contract):
    lab.suspend(raw(lab.buyer))
    for account, can in ((lab.lender, True), (lab.buyer, False), (lab.stranger, False)):
        assert token.call("canSend", raw(account)) is can
        assert token.call("canReceive", raw(account)) is can
    lab.admit(raw(lab.keeper), until=lab.now)
    lab.wait(1)
    assert token.call("canSend", raw(lab.keeper)) is False


def test_what_can_be_transferred(lab: TokenLab, token: Contract, much: int):
    def can(sender: bytes, receiver: bytes, amount: int) -> bool:
        return token.call("canTransfer", sender, receiver, amount)

    lender, buyer, stranger = map(raw, (lab.lender, lab.buyer, lab.stranger))
    assert can(lender, buyer, much)
    # A balance that is too small is no rule's refusal.
    assert can(lender, buyer, NO_LIMIT)
    assert not can(stranger, buyer, 0)
    assert not can(lender, stranger, 0)
    token.send(lab.authority, "setFrozenTokens", lender, 1)
    assert can(lender, buyer, much - 1)
    assert not can(lender, buyer, much)
    if token is lab.pledge:
        lab.by_book("hold", LOAN, lender, 2)
        assert can(lender, buyer, much - 3)
        assert not can(lender, buyer, much - 2)


def test_what_is_frozen_does_not_move(lab: TokenLab, token: Contract, much: int):
    receipt = token.send(lab.authority, "setFrozenTokens", raw(lab.lender), much - 5)
    assert lab.said(receipt) == [("Frozen", {"account": raw(lab.lender), "amount": much - 5})]
    assert lab.word(token, lab.lender) == (much, much - 5, 0, 5)
    with refuses("token/frozen"):
        token.send(lab.lender, "transfer", raw(lab.buyer), 6)
    with refuses("token/balance"):
        token.send(lab.lender, "transfer", raw(lab.buyer), much + 1)
    token.send(lab.lender, "transfer", raw(lab.buyer), 5)
    token.send(lab.authority, "setFrozenTokens", raw(lab.lender), 0)
    token.send(lab.lender, "transfer", raw(lab.buyer), much - 5)


@pytest.mark.parametrize(("amount", "frozen"), [(ALL, ALL), (2**64, ALL), (NO_LIMIT, ALL), (9, 9)])
def test_what_is_yet_to_come_is_frozen_too(
    lab: TokenLab, token: Contract, amount: int, frozen: int
):
    receipt = token.send(lab.authority, "setFrozenTokens", raw(lab.buyer), amount)
    assert lab.said(receipt) == [("Frozen", {"account": raw(lab.buyer), "amount": frozen})]
    token.send(lab.lender, "transfer", raw(lab.buyer), 9)
    assert lab.word(token, lab.buyer) == (9, frozen, 0, 0)
    with refuses("token/frozen"):
        token.send(lab.buyer, "transfer", raw(lab.lender), 1)


def test_only_the_authority_freezes_and_forces(lab: TokenLab, token: Contract):
    lender, buyer = raw(lab.lender), raw(lab.buyer)
    for who in (lab.lender, lab.registrar, lab.issuer, lab.guardian, lab.hand):
        with refuses("token/not-authority"):
            token.send(who, "setFrozenTokens", lender, 0)
        with refuses("token/not-authority"):
            token.send(who, "forcedTransfer", lender, buyer, 0)


def test_a_forced_transfer_takes_what_is_frozen_last_and_unfreezes_it(
    lab: TokenLab, token: Contract, much: int
):
    lender, buyer = raw(lab.lender), raw(lab.buyer)
    token.send(lab.authority, "setFrozenTokens", lender, much - 5)
    lab.suspend(lender)
    receipt = token.send(lab.authority, "forcedTransfer", lender, buyer, 5)
    moved = {"sender": lender, "receiver": buyer}
    assert lab.said(receipt) == [
        ("Transfer", {**moved, "value": 5}),
        ("ForcedTransfer", {**moved, "amount": 5}),
    ]
    receipt = token.send(lab.authority, "forcedTransfer", lender, buyer, 7)
    assert lab.said(receipt) == [
        ("Frozen", {"account": lender, "amount": much - 12}),
        ("Transfer", {**moved, "value": 7}),
        ("ForcedTransfer", {**moved, "amount": 7}),
    ]
    assert lab.word(token, lab.lender) == (much - 12, much - 12, 0, 0)
    assert lab.word(token, lab.buyer) == (12, 0, 0, 12)
    assert token.call("totalSupply") == much


def test_what_is_frozen_beyond_the_balance_stays_frozen(lab: TokenLab, token: Contract, much: int):
    lender, buyer = raw(lab.lender), raw(lab.buyer)
    token.send(lab.authority, "setFrozenTokens", lender, much + 10)
    token.send(lab.authority, "forcedTransfer", lender, buyer, much)
    assert lab.word(token, lab.lender) == (0, 10, 0, 0)


def test_a_forced_transfer_to_oneself_moves_nothing(lab: TokenLab, token: Contract, much: int):
    lender = raw(lab.lender)
    token.send(lab.authority, "forcedTransfer", lender, lender, much)
    assert lab.word(token, lab.lender) == (much, 0, 0, much)


def test_forced_transfers_have_bounds(lab: TokenLab, token: Contract, much: int):
    """Refusals in their order: receiver, balance, what is held."""
    lender, buyer, stranger = map(raw, (lab.lender, lab.buyer, lab.stranger))
    with refuses("token/cannot-receive"):
        token.send(lab.authority, "forcedTransfer", lender, stranger, NO_LIMIT)
    for amount in (much + 1, 2**64, NO_LIMIT):
        with refuses("token/balance"):
            token.send(lab.authority, "forcedTransfer", lender, buyer, amount)
    if token is lab.pledge:
        lab.by_book("hold", LOAN, lender, 3)
        with refuses("token/held"):
            token.send(lab.authority, "forcedTransfer", lender, buyer, much - 2)
        token.send(lab.authority, "setFrozenTokens", lender, NO_LIMIT)
        with refuses("token/held"):
            token.send(lab.authority, "forcedTransfer", lender, buyer, much - 2)
        token.send(lab.authority, "forcedTransfer", lender, buyer, much - 3)
        assert lab.word(token, lab.lender) == (3, ALL - much + 3, 3, 0)
