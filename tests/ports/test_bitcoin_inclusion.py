"""Merkle branches and chains of headers, checked without a node."""

from __future__ import annotations

import pytest
from bitcoin_lab import P2WPKH, free_coins, grow, ripe, spend
from btclib.tx import Tx
from hypothesis import given
from hypothesis import strategies as st

from escrow.adapters.bitcoin.block import MINER_SCRIPT, parse
from escrow.adapters.bitcoin.inclusion import (
    HEADER_SIZE,
    Branch,
    branch_of,
    check_headers,
    check_paid,
    stripped,
)
from escrow.core.errors import BadInput, EscrowError, Refused


@pytest.fixture(scope="module")
def blocks() -> tuple[bytes, ...]:
    """A chain whose last nine blocks hold one transaction, two, … nine."""
    with ripe() as node:
        grow(node, 12)
        for count in range(9):
            for coin in free_coins(node)[:count]:
                outputs = [(P2WPKH, 10_000 + count), (MINER_SCRIPT, coin.sats - 20_000 - count)]
                node.broadcast(spend([coin.outpoint], outputs))
            grow(node)
            grow(node, 1 if count < 8 else 0)
        return node.blocks()


def full(blocks: tuple[bytes, ...]) -> list[bytes]:
    return sorted({len(parse(raw).txids): raw for raw in blocks}.values(), key=len)


def test_every_transaction_is_shown_in_its_block(blocks):
    sizes = set()
    for raw in full(blocks):
        block = parse(raw)
        sizes.add(len(block.txids))
        for position, (tx, txid) in enumerate(zip(block.transactions, block.txids, strict=True)):
            bare = stripped(tx.serialize(include_witness=True))
            branch = branch_of(raw, txid=txid)
            assert branch.position == position
            paid = check_paid(bare, vout=0, branch=branch, header=raw[:80])
            assert (paid.txid, paid.sats) == (txid, tx.vout[0].value)
            assert paid.script == tx.vout[0].script_pub_key.script
    assert sizes == set(range(1, 10))


def test_another_place_or_block_is_refused(blocks):
    *_, other, raw = full(blocks)
    block = parse(raw)
    bare = stripped(block.transactions[3].serialize(include_witness=True))
    branch = branch_of(raw, txid=block.txids[3])
    for bad, header in (
        (Branch(2, branch.siblings), raw),
        (Branch(3, branch.siblings[1:]), raw),
        (Branch(3, tuple(reversed(branch.siblings))), raw),
        (branch, other),
    ):
        with pytest.raises(Refused, match="reserves/altered"):
            check_paid(bare, vout=0, branch=bad, header=header[:80])
    with pytest.raises(BadInput, match="reserves/format"):
        check_paid(bare, vout=0, branch=Branch(3 + 2**40, branch.siblings), header=raw[:80])
    with pytest.raises(BadInput, match="bitcoin/block"):
        branch_of(raw, txid="ab" * 32)


def test_what_is_not_an_output_of_a_bare_transaction(blocks):
    raw = full(blocks)[-1]
    block = parse(raw)
    tx: Tx = block.transactions[3]
    branch = branch_of(raw, txid=block.txids[3])
    whole, bare = tx.serialize(include_witness=True), tx.serialize(include_witness=False)
    check_paid(bare, vout=1, branch=branch, header=raw[:80])
    for bad, vout in ((whole, 0), (bare + b"\0", 0), (bare[:-1], 0), (bare, 2), (bare, -1)):
        with pytest.raises(BadInput, match="reserves/format"):
            check_paid(bad, vout=vout, branch=branch, header=raw[:80])


def test_a_chain_of_headers_from_the_genesis_block(blocks):
    headers = [raw[:HEADER_SIZE] for raw in blocks]
    assert check_headers(headers) == tuple(parse(raw).hash for raw in blocks)
    assert check_headers([]) == ()
    for bad in (headers[1:], headers[:5] + headers[6:], headers[::-1], [*headers[:3], b""]):
        with pytest.raises(Refused, match="reserves/block"):
            check_headers(bad)


def test_headers_without_work_are_refused(blocks):
    *rest, last = [raw[:HEADER_SIZE] for raw in blocks]
    lazy = []
    for nonce in range(64):
        bent = last[:76] + nonce.to_bytes(4, "little")
        try:
            check_headers([*rest, bent])
        except Refused as refusal:
            lazy.append(refusal.facts["reason"])
    assert set(lazy) == {"no work"}
    assert 10 < len(lazy) < 54  # half of all nonces solve a regtest header
    for nonce in range(8):  # of another difficulty; half of them solve this one too
        easier = last[:72] + bytes.fromhex("ffff7f21") + nonce.to_bytes(4, "little")
        with pytest.raises(Refused, match="no work"):
            check_headers([*rest, easier])


@given(data=st.data())
def test_a_changed_byte_is_noticed(blocks, data):
    raw = full(blocks)[-1]
    block = parse(raw)
    bare = bytearray(block.transactions[3].serialize(include_witness=False))
    at = data.draw(st.integers(0, len(bare) - 1))
    bare[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(EscrowError) as refusal:
        check_paid(bytes(bare), vout=0, branch=branch_of(raw, txid=block.txids[3]), header=raw[:80])
    assert refusal.value.code in ("reserves/altered", "reserves/format")
