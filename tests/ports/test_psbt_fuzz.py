"""Whatever is in the file, a PSBT is read or refused by name, and no role falls over it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from io import BytesIO

import pytest
from bitcoin_lab import (
    BORROWER,
    COIN,
    CUSTODIAN,
    DAY,
    LENDER,
    P2WPKH,
    START,
    deposit,
    draft,
    grow,
    make_vault,
    prev_txs,
    ripe,
)
from hypothesis import example, given
from hypothesis import strategies as st

from escrow.adapters.bitcoin import psbt
from escrow.adapters.bitcoin.musig import MusigSigner, aggregate
from escrow.adapters.bitcoin.psbt import Psbt
from escrow.adapters.bitcoin.vault import compile_vault
from escrow.commands.psbt import described, in_words
from escrow.core.errors import BadInput, EscrowError
from escrow.core.units import Sats, Seconds
from escrow.custody.policy import Moment
from escrow.custody.read import load_policy

KEYS = {"borrower": BORROWER, "lender": LENDER, "custodian": CUSTODIAN}


@cache
def corpus() -> tuple[Psbt, ...]:
    """PSBTs of every kind and at every stage, all of them good."""
    wsh = make_vault()
    keys = {role: each.vault_key() for role, each in KEYS.items()}
    keys["recovery"] = BORROWER.recovery_key()
    moments = {Moment.RECOVERY: Seconds(START + 365 * DAY)}
    tr = compile_vault(load_policy("musig"), keys=keys, moments=moments)
    with ripe() as node:
        grow(node, 3)
        plain = draft(node, wsh, [deposit(node, wsh)])
        coin = deposit(node, tr)
        bare = psbt.create([coin.outpoint], outputs=[(P2WPKH, Sats(COIN - 400))])
        groups = [
            psbt.update(bare, owner=tr, prev_txs=prev_txs(node, [coin]), path=path)
            for path in ("close", "release")
        ]
        locked = psbt.create(
            [coin.outpoint],
            outputs=[(P2WPKH, Sats(COIN - 400))],
            locktime=tr.locktime("recovery"),
        )
        leaf = psbt.update(locked, owner=tr, prev_txs=prev_txs(node, [coin]))
    signed = [psbt.sign(plain, keys=each) for each in (LENDER, BORROWER)]
    found = [plain, *signed, psbt.combine(signed), psbt.finalize(psbt.combine(signed))]
    found += [leaf, psbt.sign(leaf, keys=BORROWER)]
    for group, parties in zip(groups, ((BORROWER, LENDER), (BORROWER, CUSTODIAN)), strict=True):
        signers = [MusigSigner(each) for each in parties]
        nonces = psbt.combine(
            [s.nonces(group, session=bytes([n]) * 32) for n, s in enumerate(signers)]
        )
        partials = [each.partial(nonces) for each in signers]
        whole = aggregate(psbt.combine(partials))
        found += [nonces, partials[0], psbt.combine(partials), whole, psbt.finalize(whole)]
    return tuple(found + [psbt.as_version(each, 2) for each in found])


def use(read: Psbt, *, others: Sequence[Psbt] = ()) -> None:
    """Every role and every view, as somebody would who was handed the file."""
    signer = MusigSigner(LENDER)
    for step in (
        lambda: psbt.inspect(read),
        lambda: psbt.asked(read),
        lambda: psbt.missing(read),
        lambda: psbt.estimated_vsize(read),
        lambda: psbt.as_version(read, 2 - read.version),
        lambda: "\n".join(in_words(described(read))),
        lambda: psbt.sign(read, keys=LENDER),
        lambda: psbt.sign(read, keys=BORROWER),
        lambda: signer.nonces(read, session=bytes(32)),
        lambda: signer.partial(read),
        lambda: aggregate(read),
        lambda: psbt.combine([read, *others]),
        lambda: psbt.combine([*others, read]),
        lambda: psbt.accept(read, answer=(*others, read)[0]),
        lambda: psbt.finalize(read),
        lambda: psbt.extract(read),
    ):
        try:
            step()
        except EscrowError:
            continue


def read_or_refused(data: str | bytes) -> Psbt | None:
    try:
        read = Psbt.parse(data)
    except BadInput:
        return None
    assert Psbt.parse(str(read)) == read
    assert Psbt.parse(bytes(read)) == read
    return read


@given(st.binary(max_size=400) | st.binary(max_size=400).map(lambda tail: b"psbt\xff" + tail))
def test_any_bytes(data: bytes):
    read = read_or_refused(data)
    if read is not None:
        use(read)


@given(st.text(max_size=400))
@example("\ud800")
@example("cHNidP8=")
def test_any_text(text: str):
    assert read_or_refused(text) is None


def test_the_corpus_is_good():
    for each in corpus():
        assert read_or_refused(bytes(each)) == each
        assert psbt.inspect(each)
        use(each)


MUTATION = st.tuples(
    st.integers(0, 10**6),
    st.sampled_from(["set", "cut", "insert", "repeat"]),
    st.binary(max_size=4),
)


def mutated(raw: bytes, changes: Sequence[tuple[int, str, bytes]]) -> bytes:
    for at, how, data in changes:
        point = at % (len(raw) + 1)
        tail = {
            "set": raw[point + len(data) :],
            "cut": raw[point + 1 + at % 40 :],
            "insert": raw[point:],
            "repeat": raw[max(0, point - at % 90) :],
        }[how]
        raw = raw[:point] + (data if how in ("set", "insert") else b"") + tail
    return raw


@given(st.integers(0, 10**6), st.lists(MUTATION, min_size=1, max_size=3), st.booleans())
def test_good_ones_damaged(which: int, changes: list[tuple[int, str, bytes]], text: bool):
    original = corpus()[which % len(corpus())]
    raw = mutated(bytes(original), changes)
    read = read_or_refused(b64encode(raw).decode() if text else raw)
    if read is not None:
        use(read, others=[original])


Fields = list[list[tuple[bytes, bytes]]]
"""A PSBT as maps of keys to values (BIP-174)."""


def fields_of(raw: bytes) -> Fields:
    stream, maps = BytesIO(raw[5:]), [[]]
    while head := stream.read(1):
        size = _size(head, stream)
        if not size:
            maps.append([])
            continue
        key = stream.read(size)
        maps[-1].append((key, stream.read(_size(stream.read(1), stream))))
    return maps[:-1]


def sewn(maps: Fields) -> bytes:
    pieces = [b"psbt\xff"]
    for each in maps:
        for field in each:
            pieces += [_compact(len(part)) + part for part in field]
        pieces.append(b"\x00")
    return b"".join(pieces)


def _size(head: bytes, stream: BytesIO) -> int:
    width = {0xFD: 2, 0xFE: 4}.get(head[0])
    return head[0] if width is None else int.from_bytes(stream.read(width), "little")


def _compact(size: int) -> bytes:
    return bytes([size]) if size < 0xFD else b"\xfd" + size.to_bytes(2, "little")


CHANGE = st.tuples(
    st.integers(0, 10**6),
    st.sampled_from(["key", "value", "drop", "copy", "retype", "move"]),
    st.integers(0, 10**6),
    st.binary(min_size=1, max_size=4),
)


@given(st.integers(0, 10**6), st.lists(CHANGE, min_size=1, max_size=3))
def test_good_ones_with_other_fields(which: int, changes: list[tuple[int, str, int, bytes]]):
    """The framing holds, so that what is damaged is what the roles work on."""
    original = corpus()[which % len(corpus())]
    maps = fields_of(bytes(original))
    assert sewn(maps) == bytes(original)
    for at, how, number, data in changes:
        each = maps[at % len(maps)]
        if not each:
            continue
        place = number % len(each)
        key, value = each[place]
        inside = number % (len(value if how == "value" else key) or 1)
        if how == "value":
            each[place] = key, value[:inside] + data + value[inside + len(data) :]
        elif how == "key":
            each[place] = key[:inside] + data + key[inside + len(data) :], value
        elif how == "retype":
            each[place] = data[:1] + key[1:], value
        elif how == "copy":
            maps[number % len(maps)].append((key, value))
        else:
            del each[place]
            if how == "move":
                maps[number % len(maps)].append((key, value))
    read = read_or_refused(sewn(maps))
    if read is not None:
        use(read, others=[original])


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_any_two_combined(one: int, other: int):
    first, second = (corpus()[each % len(corpus())] for each in (one, other))
    use(first, others=[second])


@given(which=st.integers(0, 10**6), at=st.integers(0, 10**6), byte=st.integers(1, 255))
def test_a_flipped_byte_is_always_noticed(which: int, at: int, byte: int):
    """Nothing in a signed copy can change unseen, whatever it is."""
    signed = corpus()[1:4][which % 3]
    raw = bytearray(bytes(signed))
    raw[at % len(raw)] ^= byte
    with pytest.raises(EscrowError):
        psbt.combine([psbt.sign(corpus()[0], keys=CUSTODIAN), Psbt.parse(bytes(raw))])
