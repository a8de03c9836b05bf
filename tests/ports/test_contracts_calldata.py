"""EscrowBook: calldata that nobody's library would send, and arguments at every boundary."""

from __future__ import annotations

from itertools import product

import pytest
from book_lab import ARBITER, VERBS, arguments, at_level, called, expired
from contracts_lab import AUCTION, OPENED, PARTIAL, Lab, raw, refuses

from escrow.adapters.evm import typed
from escrow.adapters.evm.abi import artifact
from escrow.adapters.evm.revert import Reverted
from escrow.core.errors import Rejected
from escrow.core.units import COIN

ABI = artifact("EscrowBook")
FUNCTIONS = sorted(ABI.functions)
EDGES = (0, 1, 2**64, 2**256 - 1)
SIZES = {"cash": 0, "owed": 31, "loan": 1, "liquidate": 33, "open": 37, "refinance": 68}
"""Words that some functions take."""


@pytest.fixture(scope="module")
def ready(base: Lab) -> tuple[Lab, dict[str, object]]:
    """A loan called and disputed, which nothing below changes."""
    base.back()
    terms = called(base, **ARBITER)
    base.do(base.borrower, "dispute", terms)
    return base, terms


def answer(lab: Lab, data: bytes) -> bytes:
    """What a call returns, or the data with which it reverts."""
    try:
        return lab.chain.call(to=lab.book.address, data=data, sender=raw(lab.borrower))
    except Reverted as error:
        return error.data


def refused_without_a_word(lab: Lab, data: bytes) -> None:
    """Not by a rule: by the shape of the call."""
    with pytest.raises(Reverted) as caught:
        lab.chain.call(to=lab.book.address, data=data, sender=raw(lab.borrower))
    assert caught.value.data == b""


def test_what_functions_take(ready):
    lab, terms = ready
    for function, words in SIZES.items():
        assert len(lab.book.encode(function, *arguments(lab, terms, function))) == 4 + 32 * words
    assert {name for name, *_ in VERBS} < set(FUNCTIONS)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_short_and_long_calldata(ready, function: str):
    lab, terms = ready
    whole = lab.book.encode(function, *arguments(lab, terms, function))
    for size in {0, 3, *range(4, len(whole), 32), len(whole) - 32, len(whole) - 1} - {len(whole)}:
        if size >= 0:
            refused_without_a_word(lab, whole[:size])
    # More than is asked for changes nothing.
    for more in (b"\x00", b"\xff" * 32):
        assert answer(lab, whole + more) == answer(lab, whole)


@pytest.mark.parametrize("function", [f for f in FUNCTIONS if ABI.functions[f].inputs])
def test_dirty_bits_are_no_second_spelling(ready, function: str):
    lab, terms = ready
    whole = lab.book.encode(function, *arguments(lab, terms, function))
    narrow, at = [], 4
    for kind in ABI.functions[function].inputs:
        members = kind.strip("()").split(",")
        for member in members:
            narrow += [at] if member in ("address", "bool", "uint8") else []
            at += 32
    assert at == len(whole)
    assert narrow or function in ("loan", "dispute_of")
    for place in narrow:
        dirty = bytearray(whole)
        dirty[place] |= 1
        refused_without_a_word(lab, bytes(dirty))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_nothing_takes_value(ready, function: str):
    lab, terms = ready
    data = lab.book.encode(function, *arguments(lab, terms, function))
    with pytest.raises(Reverted) as caught:
        lab.chain.call(to=lab.book.address, data=data, sender=raw(lab.borrower), value=1)
    assert caught.value.data == b""


def test_no_other_selector_is_answered(ready):
    lab, terms = ready
    known = {entry.selector for entry in ABI.functions.values()}
    tail = b"".join(
        value if len(value) == 32 else bytes(12) + value
        for value in (v if isinstance(v, bytes) else v.to_bytes(32, "big") for v in terms.values())
    )
    near = {bytes([s[0], s[1], s[2], s[3] ^ bit]) for s in known for bit in (1, 128)} - known
    for selector in (*near, b"\x00" * 4, b"\xff" * 4):
        refused_without_a_word(lab, selector + tail + bytes(320))


# Boundaries

GOES = "goes"


def said(lab: Lab, sender: bytes, verb: str, *args: object) -> str:
    """By which rule a call is refused, if it is. Without a rule it may not be."""
    try:
        lab.book.call(verb, *args, sender=sender)
    except Rejected as refusal:
        return refusal.code
    return GOES


def said_of(lab: Lab, terms) -> str:
    """Of opening a loan with these terms."""
    return said(lab, bytes(20), "open", typed.encode_terms(terms), *lab.sign_terms(terms))


def opened(lab: Lab, **changes: object) -> dict[str, object]:
    terms = lab.opened(sats=COIN, **changes)
    lab.post()
    return terms


STANDS = {
    "opened": opened,
    "active": lambda lab, **c: at_level(lab, 5_000, **c),
    "called": called,
    "expired": expired,
    "in auction": lambda lab, **c: expired(lab, **AUCTION | c),
    "sold to a target": lambda lab, **c: expired(lab, **PARTIAL | c),
    "sold to a third party": lambda lab, **c: expired(lab, liquidation=1, **c),
}


@pytest.mark.parametrize("stand", STANDS.values(), ids=STANDS)
def test_every_argument_at_every_boundary(fast: Lab, stand):
    """Whoever asks: it goes, or a rule says why not. Nothing overflows, nothing panics."""
    lab = fast
    terms = stand(lab)
    for who in (lab.borrower, lab.lender, lab.buyer):
        lab.fund(who, 10**9)
    values, answers = typed.encode_terms(terms), {}
    for verb, *some in VERBS:
        kinds = ABI.functions[verb].inputs[1:]
        choices = [(False, True) if kind == "bool" else EDGES for kind in kinds]
        assert len(some) == len(kinds)
        for who in (lab.borrower, lab.lender, lab.buyer, lab.stranger):
            for args in product(*choices):
                answers.setdefault(said(lab, raw(who), verb, values, *args), set()).add(verb)
    assert GOES in answers
    assert len(answers) > 5


@pytest.mark.parametrize(
    "member", [name for name, kind in typed.TERMS.fields if kind.startswith("uint")]
)
def test_every_member_of_terms_at_every_boundary(fast: Lab, member: str):
    """Terms are sound, or a rule says why not. No sum of theirs overflows."""
    lab = fast
    for kind in ({}, PARTIAL, AUCTION, ARBITER):
        for value in (*EDGES, 2**40 - 1, 2**40, 2**63 - 1, 2**63, 2**255):
            terms = lab.terms(**kind | {member: value})
            code = said_of(lab, terms)
            assert code.split("/")[0] in (GOES, "terms", "open"), (member, value)


def test_two_members_at_their_limits_at_once(fast: Lab):
    lab = fast
    times = ("expires_at", "draw_by", "maturity", "grace", "recover_at", "cure")
    for first, second, value in product(times, times, EDGES[2:]):
        code = said_of(lab, lab.terms(**{first: value, second: 2**256 - 1}))
        assert code in ("terms/time-order", "terms/size"), (first, second, value)


def test_amounts_of_tokens_at_every_boundary(lab: Lab):
    terms = lab.opened()
    lab.mint(typed.loan_id(terms), COIN)
    for sats, code in (
        (0, "loan/amount"),
        *((n, "top-up/no-tokens") for n in (*EDGES[2:], 2**128)),
    ):
        with refuses(code):
            lab.do(lab.borrower, "top_up", terms, sats)
    lab.do(lab.borrower, "top_up", terms, 1)
    assert (lab.phase(terms), lab.held(terms)) == (OPENED, 1)
