"""Signer sets that rotate: by their own quorum, after a delay, once for each signature."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from contracts_lab import COIN, DELAY, PRICE, Lab, person, raw, refuses
from eth_abi.abi import decode

from escrow.adapters.evm import typed
from escrow.adapters.evm.contracts import Contract, creation_code
from escrow.adapters.evm.revert import Reverted

NEXT = [person(number) for number in range(31, 36)]
"""Who comes after the first set."""
LOAN = b"\x07" * 32


@pytest.fixture(scope="module")
def base() -> Lab:
    lab = Lab()
    lab.wait(100)
    lab.save()
    return lab


@pytest.fixture
def lab(base: Lab) -> Lab:
    base.back()
    return base


@pytest.fixture(params=["prices", "pledge"])
def contract(lab: Lab, request) -> Contract:
    """Each contract that has a set. Both are tried: they could export the library otherwise."""
    return getattr(lab, request.param)


def first(lab: Lab, contract: Contract):
    return lab.oracles if contract is lab.prices else lab.attestors


def rotate(lab: Lab, contract: Contract, members=NEXT, *, signers=(), **changes) -> None:
    lab.propose(contract, lab.set_change(contract, members, **changes), signers)
    lab.wait(DELAY)
    contract.send(lab.stranger, "rotate_set")


# What anyone reads


def test_who_the_members_are(lab: Lab, contract: Contract):
    assert contract.call("signers") == tuple(map(raw, first(lab, contract)))
    assert contract.call("quorum") == 3
    assert contract.call("rotation_delay") == DELAY
    assert contract.call("pending") == ((), 0, 0)
    assert contract.call("change_number") == 0


def test_the_members_are_the_code_of_a_contract_that_answers_any_call_with_them(lab: Lab):
    word = lab.chain.storage(lab.prices.address, slot(lab.prices))
    answer = lab.chain.call(to=(word & (2**160 - 1)).to_bytes(20, "big"), data=b"\1\2")
    [members] = decode(["address[]"], answer)
    assert [bytes.fromhex(member[2:]) for member in members] == [*map(raw, lab.oracles)]


# Proposing


def test_anyone_carries_what_the_present_quorum_signed(lab: Lab, contract: Contract):
    change = lab.set_change(contract, NEXT)
    receipt = lab.propose(contract, change)
    members = tuple(map(raw, NEXT))
    said = {"number": 0, "members": members, "quorum": 3, "ready_at": lab.now + DELAY}
    assert lab.said(receipt) == [("SetProposed", said)]
    assert contract.call("pending") == (members, 3, lab.now + DELAY)
    assert contract.call("change_number") == 1
    assert contract.call("signers") == tuple(map(raw, first(lab, contract)))


@pytest.mark.parametrize(
    ("who", "code"),
    [
        ([], "signers/too-few"),
        ([0, 1], "signers/too-few"),
        ([0, 1, 2], ""),
        ([4, 2, 0, 1, 3], ""),
        ([0, 1, 1], "signers/duplicate"),
        ([0, 1, 9], "signers/stranger"),
        ([0, 1, 2, 9], "signers/stranger"),
    ],
)
def test_who_must_sign(lab: Lab, contract: Contract, who: list[int], code: str):
    people = [*first(lab, contract), *NEXT]
    change = lab.set_change(contract, NEXT)
    sigs = [
        typed.sign_set_change(people[place], change=change, domain=contract.domain) for place in who
    ]
    args = (change["members"], change["quorum"], sigs)
    if code:
        with refuses(code):
            contract.send(lab.stranger, "propose_set", *args)
    else:
        contract.send(lab.stranger, "propose_set", *args)


def test_the_set_that_comes_has_no_say_yet(lab: Lab, contract: Contract):
    with refuses("signers/stranger"):
        lab.propose(contract, lab.set_change(contract, NEXT), NEXT[:3])
    lab.propose(contract, lab.set_change(contract, NEXT))
    with refuses("signers/stranger"):
        lab.propose(contract, lab.set_change(contract, NEXT), NEXT[:3])


@pytest.mark.parametrize("number", [1, 2, 2**40])
def test_a_change_carries_its_number(lab: Lab, contract: Contract, number: int):
    with refuses("signers/stranger"):
        lab.propose(contract, lab.set_change(contract, NEXT, number=number))


@pytest.mark.parametrize("change", [{"quorum": 5}, {"members": tuple(map(raw, NEXT[::-1]))}])
def test_what_was_signed_is_what_counts(lab: Lab, contract: Contract, change):
    signed = lab.set_change(contract, NEXT)
    sigs = [
        typed.sign_set_change(who, change=signed, domain=contract.domain)
        for who in first(lab, contract)[:3]
    ]
    sent = signed | change
    with refuses("signers/stranger"):
        contract.send(lab.stranger, "propose_set", sent["members"], sent["quorum"], sigs)


def test_a_set_of_one_contract_is_not_another_s(lab: Lab):
    """The same people, the same number: the domain tells the contracts apart."""
    change = lab.set_change(lab.prices, NEXT)
    sigs = [
        typed.sign_set_change(who, change=change, domain=lab.pledge.domain)
        for who in lab.oracles[:3]
    ]
    with refuses("signers/stranger"):
        lab.prices.send(lab.stranger, "propose_set", change["members"], 3, sigs)


def creation(name: str, members, quorum: int, *, delay: int = 60) -> bytes:
    """What deploys a contract with a set, sound in all else."""
    if name == "PriceRounds":
        return creation_code(name, members, quorum, quorum, 60, 2_000, b"\1" * 20, delay)
    people = [bytes([n]) * 20 for n in (1, 2, 3)]
    return creation_code(name, members, quorum, delay, *people, COIN)


UNSOUND = [([], 0), ([], 1), ([1], 0), ([1], 2), ([1, 1], 1), ([1, 2, 1], 2), ([0], 1), ([1, 0], 1)]


@pytest.mark.parametrize(("members", "quorum"), UNSOUND)
def test_sets_that_make_no_sense_are_neither_deployed_nor_proposed(
    lab: Lab, contract: Contract, members: list[int], quorum: int
):
    listed = tuple(bytes(19) + bytes([n]) for n in members)
    with refuses("token/signers"):
        lab.propose(contract, lab.set_change(contract, ()) | {"members": listed, "quorum": quorum})
    code = creation(contract.name, listed, quorum)
    with pytest.raises(Reverted) as caught:
        lab.chain.call(to=None, data=code)
    assert caught.value.code == "token/signers"


@pytest.mark.parametrize(("delay", "code"), [(0, "signers/delay"), (366 * 86_400, "signers/delay")])
def test_a_delay_that_makes_no_sense(lab: Lab, delay: int, code: str):
    with pytest.raises(Reverted) as caught:
        lab.chain.call(to=None, data=creation("PledgeToken", [b"\1" * 20], 1, delay=delay))
    assert caught.value.code == code


# Rotating


def test_anyone_rotates_from_the_last_second_of_the_delay_on(lab: Lab, contract: Contract):
    with refuses("signers/not-proposed"):
        contract.send(lab.stranger, "rotate_set")
    lab.propose(contract, lab.set_change(contract, NEXT))
    lab.wait(DELAY - 1)
    with refuses("signers/too-early"):
        contract.send(lab.stranger, "rotate_set")
    lab.wait(1)
    receipt = contract.send(lab.stranger, "rotate_set")
    members = tuple(map(raw, NEXT))
    assert lab.said(receipt) == [("SetRotated", {"number": 1, "members": members, "quorum": 3})]
    assert contract.call("signers") == members
    assert contract.call("pending") == ((), 0, 0)
    assert contract.call("change_number") == 2
    with refuses("signers/not-proposed"):
        contract.send(lab.stranger, "rotate_set")


def test_a_later_proposal_replaces_the_one_that_waits(lab: Lab, contract: Contract):
    lab.propose(contract, lab.set_change(contract, NEXT))
    lab.wait(DELAY - 1)
    other = [*NEXT[1:], person(36)]
    lab.propose(contract, lab.set_change(contract, other))
    lab.wait(1)
    with refuses("signers/too-early"):
        contract.send(lab.stranger, "rotate_set")
    lab.wait(DELAY - 1)
    contract.send(lab.stranger, "rotate_set")
    assert contract.call("signers") == tuple(map(raw, other))


def test_a_change_is_called_off_by_proposing_the_present_set(lab: Lab, contract: Contract):
    present = first(lab, contract)
    lab.propose(contract, lab.set_change(contract, NEXT))
    rotate(lab, contract, present)
    assert contract.call("signers") == tuple(map(raw, present))


def test_a_proposal_counts_once(lab: Lab, contract: Contract):
    """Or anyone could carry it again and again, and begin the delay anew each time."""
    change = lab.set_change(contract, NEXT)
    lab.propose(contract, change)
    with refuses("signers/stranger"):
        lab.propose(contract, change)
    lab.propose(contract, lab.set_change(contract, [*NEXT[1:], person(36)]))
    with refuses("signers/stranger"):
        lab.propose(contract, change)


def test_what_was_signed_and_kept_does_not_outlive_a_rotation(lab: Lab, contract: Contract):
    """Even where those who signed it are in the new set too."""
    same, old = first(lab, contract)[::-1], first(lab, contract)[:3]
    lab.propose(contract, lab.set_change(contract, same))
    kept = lab.set_change(contract, NEXT)
    lab.wait(DELAY)
    contract.send(lab.stranger, "rotate_set")
    with refuses("signers/stranger"):
        lab.propose(contract, kept, old)
    lab.propose(contract, lab.set_change(contract, NEXT), old)


def test_the_quorum_of_the_new_set_counts(lab: Lab, contract: Contract):
    rotate(lab, contract, quorum=5)
    assert contract.call("quorum") == 5
    with refuses("signers/too-few"):
        lab.propose(contract, lab.set_change(contract, NEXT), NEXT[:4])
    rotate(lab, contract, first(lab, contract), signers=NEXT)
    assert contract.call("quorum") == 3


def test_old_oracles_are_strangers_after_a_rotation(lab: Lab):
    lab.post()
    lab.wait(60)
    kept = lab.reports([PRICE] * 3)
    rotate(lab, lab.prices)
    with refuses("price/stranger"):
        lab.prices.send(lab.keeper, "post", *kept)
    with refuses("price/stranger"):
        lab.post()
    lab.post(oracles=NEXT)
    assert lab.prices.call("last_round") == 2


def test_old_attestors_are_strangers_after_a_rotation(lab: Lab):
    lab.mint(LOAN, COIN)
    rotate(lab, lab.pledge)
    with refuses("mint/stranger"):
        lab.mint(LOAN, COIN)
    att = lab.attestation(LOAN, COIN)
    sigs = [
        typed.sign_attestation(who, attestation=att, domain=lab.pledge.domain) for who in NEXT[:3]
    ]
    lab.pledge.send(lab.keeper, "mint", typed.ATTESTATION.values(att), sigs)


# Of PriceRounds alone: its rounds need an odd quorum, and enough oracles for a jump.


@pytest.mark.parametrize(
    ("members", "quorum", "code"),
    [
        (NEXT, 1, ""),
        (NEXT, 3, ""),
        (NEXT, 5, ""),
        (NEXT, 2, "price/quorum"),
        (NEXT, 4, "price/quorum"),
        (NEXT[:4], 3, "price/quorum"),
        ([*NEXT, person(36), person(37)], 5, ""),
        ([*NEXT, person(36), person(37)], 7, "price/quorum"),
    ],
)
def test_a_set_of_oracles_can_make_prices_and_jumps(lab: Lab, members, quorum: int, code: str):
    change = lab.set_change(lab.prices, members, quorum=quorum)
    if code:
        with refuses(code):
            lab.propose(lab.prices, change)
    else:
        lab.propose(lab.prices, change)


def test_attestors_may_be_as_many_as_they_like(lab: Lab):
    rotate(lab, lab.pledge, NEXT[:2], quorum=2)
    assert lab.pledge.call("signers") == tuple(map(raw, NEXT[:2]))


def slot(contract: Contract) -> int:
    """Where the pointer to the members is."""
    folder = files("escrow.adapters.evm") / "artifacts"
    layout = json.loads((folder / f"{contract.name}.json").read_text())["storage"]
    return int(layout["signer_set"]["current"]["slot"])
