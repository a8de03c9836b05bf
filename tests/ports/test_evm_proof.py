"""State proofs: what a header shows of an account and its storage, to whoever has only the file."""

from __future__ import annotations

import json

import pytest
import rlp
from contracts_lab import Lab
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from escrow.adapters.evm.abi import files
from escrow.adapters.evm.proof import (
    LOANS_SLOT,
    MASK_64,
    SUPPLY_SLOT,
    Account,
    check_account,
    check_storage,
    find_account,
    loan_slot,
    read_header,
)
from escrow.core.errors import BadInput, EscrowError, Refused
from escrow.core.units import COIN

LOANS = [bytes([n]) * 32 for n in range(1, 40)]
NEVER = b"\xee" * 32


@pytest.fixture(scope="module")
def lab() -> Lab:
    lab = Lab()
    for n, loan in enumerate(LOANS, start=1):
        lab.mint(loan, n * COIN)
        lab.wait(1)
    lab.burn(lab.borrower, LOANS[3], COIN)
    lab.chain.seal()
    return lab


def proof(lab: Lab, slot: int):
    """Header, account path, slot path."""
    head = lab.chain.head
    account, path = lab.chain.prove(lab.pledge.address, [slot], block=head.number)
    return read_header(head.header), account, path


def proven(lab: Lab, slot: int) -> int:
    header, account, path = proof(lab, slot)
    root = check_account(account, state_root=header.state_root, address=lab.pledge.address)
    return check_storage(path, storage_root=root, slot=slot)


def test_the_slots_are_the_compilers():
    text = files("escrow.adapters.evm").joinpath("artifacts", "PledgeToken.json").read_text()
    storage = json.loads(text)["storage"]
    assert storage["supply_and_burns"]["slot"] == SUPPLY_SLOT
    assert storage["loans"]["slot"] == LOANS_SLOT


def test_a_header_says_what_its_block_does(lab: Lab):
    head = lab.chain.head
    header = read_header(head.header)
    assert (header.number, header.hash, header.state_root, header.timestamp) == (
        head.number,
        head.hash,
        head.state_root,
        head.timestamp,
    )


def test_supply_and_burns_are_proven(lab: Lab):
    word = proven(lab, SUPPLY_SLOT)
    assert word & MASK_64 == lab.pledge.call("totalSupply") == sum(range(1, 40)) * COIN - COIN
    assert word >> 64 == lab.pledge.call("burn_count") == 1


def test_every_loans_tokens_are_proven(lab: Lab):
    for n, loan in enumerate(LOANS, start=1):
        assert proven(lab, loan_slot(loan)) & MASK_64 == (n - (n == 4)) * COIN


def test_that_there_is_nothing_is_proven_too(lab: Lab):
    assert proven(lab, loan_slot(NEVER)) == 0
    fresh = Lab()
    fresh.chain.seal()
    assert proven(fresh, SUPPLY_SLOT) == 0


def test_a_block_of_the_past(lab: Lab):
    first = lab.chain.transactions()[-40].block_number
    account, path = lab.chain.prove(lab.pledge.address, [SUPPLY_SLOT], block=first)
    header = read_header(lab.chain.block(first).header)
    root = check_account(account, state_root=header.state_root, address=lab.pledge.address)
    supply = check_storage(path, storage_root=root, slot=SUPPLY_SLOT) & MASK_64
    assert supply == lab.chain.storage(lab.pledge.address, SUPPLY_SLOT, block=first) & MASK_64
    assert supply < lab.pledge.call("totalSupply")


def test_only_sealed_blocks_are_proven(lab: Lab):
    head = lab.chain.head.number
    with pytest.raises(BadInput, match="evm/block"):
        lab.chain.prove(lab.pledge.address, [], block=head + 1)


def test_that_there_is_no_account_is_proven_too(lab: Lab):
    head, nobody = lab.chain.head, b"\x99" * 20
    account, path = lab.chain.prove(nobody, [0], block=head.number)
    assert find_account(account, state_root=head.state_root, address=nobody) is None
    assert check_storage(path, storage_root=Account().storage_root, slot=0) == 0
    with pytest.raises(Refused, match="reserves/altered"):
        check_account(account, state_root=head.state_root, address=nobody)
    with pytest.raises(Refused, match="reserves/altered"):  # nodes that end too early
        find_account(account[:-1], state_root=head.state_root, address=nobody)


def test_a_path_is_for_one_slot_of_one_account_in_one_state(lab: Lab):
    header, account, path = proof(lab, loan_slot(LOANS[0]))
    address = lab.pledge.address
    with pytest.raises(Refused, match="reserves/altered"):
        check_account(account, state_root=b"\x01" * 32, address=address)
    with pytest.raises(EscrowError, match="reserves/"):
        check_account(account, state_root=header.state_root, address=lab.cash.address)
    root = check_account(account, state_root=header.state_root, address=address)
    # A path to one loan cannot be shown as another's, nor as proof that another has nothing.
    for other in LOANS[1:]:
        with pytest.raises(EscrowError, match=r"reserves/(altered|format)"):
            check_storage(path, storage_root=root, slot=loan_slot(other))


def test_a_path_has_no_node_too_few_and_none_too_many(lab: Lab):
    slot = loan_slot(LOANS[0])
    header, account, path = proof(lab, slot)
    root = check_account(account, state_root=header.state_root, address=lab.pledge.address)
    with pytest.raises(Refused, match="reserves/altered"):
        check_storage(path[:-1], storage_root=root, slot=slot)
    with pytest.raises(Refused, match="reserves/altered"):
        check_storage((), storage_root=root, slot=slot)
    with pytest.raises(BadInput, match="reserves/format"):
        check_storage((*path, path[-1]), storage_root=root, slot=slot)
    with pytest.raises(BadInput, match="reserves/format"):
        check_storage((path[0],) * 65, storage_root=root, slot=slot)


@given(data=st.data())
def test_a_changed_byte_never_proves_anything_else(lab: Lab, data):
    slot = loan_slot(LOANS[data.draw(st.integers(0, 38))])
    _, account, path = proof(lab, slot)
    root = check_account(account, state_root=lab.chain.head.state_root, address=lab.pledge.address)
    nodes = list(path)
    which = data.draw(st.integers(0, len(nodes) - 1))
    at = data.draw(st.integers(0, len(nodes[which]) - 1))
    flip = data.draw(st.integers(1, 255))
    raw = bytearray(nodes[which])
    raw[at] ^= flip
    nodes[which] = bytes(raw)
    with pytest.raises(EscrowError, match="reserves/altered"):
        check_storage(nodes, storage_root=root, slot=slot)


NODE = st.recursive(
    st.binary(max_size=40), lambda inner: st.lists(inner, max_size=17), max_leaves=30
)


@given(
    node=st.one_of(NODE.map(rlp.encode), st.binary(max_size=300)), slot=st.integers(0, 2**256 - 1)
)
def test_nodes_of_ones_own_making_are_refused_by_name(node, slot):
    """Whoever makes the root as well can put anything there: it must still be read by name."""
    code = ""
    try:
        check_storage((node,), storage_root=keccak(node), slot=slot)
    except EscrowError as refusal:
        code = refusal.code
    assert code in ("", "reserves/format", "reserves/altered")


@given(st.binary(max_size=700))
def test_headers_of_garbage(raw):
    with pytest.raises(BadInput, match="reserves/format"):
        read_header(raw)
