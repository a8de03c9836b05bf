"""Attacks on the contracts by those who use them. The first line of each docstring says who does
what, the rest what it gets; ``docs/attacks.md`` tells the same, and a test compares the two."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import test_contracts_attacks_assets
import test_contracts_attacks_cash
import test_contracts_attacks_cash_legs
import test_contracts_attacks_lending
import test_contracts_attacks_long
import test_contracts_attacks_market
from book_lab import (
    ARBITER,
    HALF,
    VERBS,
    at_level,
    called,
    refinance,
)
from contracts_lab import (
    ALL_RIGHTS,
    BATCH_GAS,
    FOR_EVER,
    JURISDICTION,
    KIND,
    PRICE,
    REPAID,
    Lab,
    raw,
    refuses,
)

from escrow.adapters.evm import typed
from escrow.adapters.evm.chain import Chain
from escrow.adapters.evm.contracts import deploy
from escrow.adapters.evm.revert import Reverted
from escrow.core.errors import CODES, Rejected
from escrow.core.units import COIN

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Of secp256k1."""

# Signatures


def test_signatures_of_another_loan(lab: Lab):
    """a lender: opens, with the borrower's signature of one loan, one at another rate.

    Gets: `open/bad-signature`; and what was opened is not opened again, `loan/exists`.
    """
    signed = lab.terms()
    sigs = lab.sign_terms(signed)
    for change in ({"rate_bps": 100_000}, {"nonce": 2}, {"bonus_bps": 5_000}, {"vault": bytes(32)}):
        dearer = lab.terms(**change)
        own = lab.sign_terms(dearer)
        with refuses("open/bad-signature"):
            lab.book.send(lab.lender, "open", typed.encode_terms(dearer), sigs[0], own[1])
    lab.open(signed)
    with refuses("loan/exists"):
        lab.open(signed)


def test_signatures_of_another_chain(lab: Lab):
    """whoever saw both sign: carries the terms to the same contracts, at the same addresses, of
    another chain.

    Gets: `open/bad-signature`; the domain names the chain, and permits are bound in the same way,
    `permit/not-owner`.
    """
    other = Lab(lambda **plan: Chain(**plan | {"chain_id": 1}))
    assert other.book.address == lab.book.address
    terms = lab.terms()
    with refuses("open/bad-signature"):
        other.book.send(other.keeper, "open", typed.encode_terms(terms), *lab.sign_terms(terms))
    permit = lab.permit(lab.cash, lab.lender, lab.book.address, 1)
    with refuses("permit/not-owner"):
        other.cash.send(other.keeper, "permit", *permit)
    other.open(terms)


def test_signatures_of_another_book(lab: Lab):
    """a borrower: carries terms signed for one book to another of the same chain.

    Gets: `open/bad-signature`; the domain names the contract. A loan of one book is nothing in the
    other, `loan/unknown`.
    """
    second = deploy(lab.plan, account=lab.stranger, chain=lab.chain)
    everyone = [(raw(who), KIND, JURISDICTION, FOR_EVER) for who in (lab.borrower, lab.lender)]
    second.registry.send(lab.registrar, "set_rule", KIND, JURISDICTION, ALL_RIGHTS)
    second.registry.send(lab.registrar, "admit", everyone, gas=BATCH_GAS)
    terms = lab.opened(sats=COIN)
    values = typed.encode_terms(terms)
    with refuses("open/bad-signature"):
        second.book.send(lab.borrower, "open", values, *lab.sign_terms(terms))
    with refuses("loan/unknown"):
        second.book.send(lab.borrower, "cancel", values)
    # The other book cannot touch what is pledged here.
    with refuses("token/not-book"):
        lab.pledge.call(
            "release", typed.loan_id(terms), raw(lab.borrower), COIN, sender=second.book.address
        )
    assert second.book.address != lab.book.address


def test_a_signature_written_in_another_way(lab: Lab):
    """a third person: writes a valid signature with the other s, or another v, so that it would
    count as a second one.

    Gets: `token/signature`; of every key there is one signature for each message, in terms and in
    permits.
    """
    terms = lab.terms()
    good, other = lab.sign_terms(terms)
    high = (ORDER - int.from_bytes(good.s, "big")).to_bytes(32, "big")
    values = typed.encode_terms(terms)
    bad = [typed.Sig(55 - good.v, good.r, high), typed.Sig(good.v, good.r, high)]
    bad += [good._replace(v=v) for v in (0, 1, good.v - 27, 26, 29, 255)]
    bad += [good._replace(r=bytes(32)), good._replace(r=b"\xff" * 32)]
    for sig in bad:
        with refuses("token/signature"):
            lab.book.send(lab.keeper, "open", values, sig, other)
    with refuses("open/bad-signature"):
        lab.book.send(lab.keeper, "open", values, good._replace(v=55 - good.v), other)
    *front, v, r, s = lab.permit(lab.cash, lab.lender, lab.book.address, 1)
    flipped = (ORDER - int.from_bytes(s, "big")).to_bytes(32, "big")
    with refuses("token/signature"):
        lab.cash.send(lab.keeper, "permit", *front, 55 - v, r, flipped)
    lab.cash.send(lab.keeper, "permit", *front, v, r, s)


# What nobody asked for


def test_ether(lab: Lab):
    """whoever: sends ether to the contracts, alone or with a call, to have it locked there.

    Gets: its ether back; no contract takes any.
    """
    for part in lab.contracts.parts:
        with pytest.raises(Reverted):
            lab.chain.act(raw(lab.stranger), to=part.address, value=1)
        assert lab.chain.balance(part.address) == 0
    terms = at_level(lab, 5_000)
    lab.fund(lab.borrower, 10**9)
    data = lab.book.encode("close", typed.encode_terms(terms))
    with pytest.raises(Reverted):
        lab.chain.act(raw(lab.borrower), to=lab.book.address, data=data, value=1)


def test_ether_by_force(lab: Lab):
    """whoever: makes a contract that ends with its ether sent to the book.

    Gets: the ether is lost to it; the book never looks at what it has.
    """
    terms = at_level(lab, 5_000)
    lab.fund(lab.borrower, 10**9)
    # PUSH20 book SELFDESTRUCT, as creation code.
    code = b"\x73" + lab.book.address + b"\xff"
    lab.chain.act(raw(lab.stranger), to=None, data=code, value=10**9)
    assert lab.chain.balance(lab.book.address) == 10**9
    lab.do(lab.borrower, "close", terms)
    assert lab.phase(terms) == REPAID


def test_tokens_by_force(lab: Lab):
    """the authority, or a holder: moves pledged tokens, or sends tokens to the book to upset its
    count.

    Gets: `token/held` for what is pledged, `token/cannot-receive` for the book; the book counts
    what is held for each loan, not what it has.
    """
    terms = at_level(lab, 5_000)
    lab.mint(typed.loan_id(terms), COIN)
    with refuses("token/held"):
        lab.pledge.send(
            lab.authority, "forcedTransfer", raw(lab.borrower), raw(lab.buyer), COIN + 1
        )
    with refuses("token/held"):
        lab.pledge.send(lab.borrower, "transfer", raw(lab.buyer), COIN + 1)
    lab.pledge.send(lab.authority, "forcedTransfer", raw(lab.borrower), raw(lab.buyer), COIN)
    lab.cash.send(lab.issuer, "mint", raw(lab.buyer), 1)
    for token in (lab.cash, lab.pledge):
        with refuses("token/cannot-receive"):
            token.send(lab.buyer, "transfer", lab.book.address, 1)
        with refuses("token/cannot-receive"):
            token.send(lab.authority, "forcedTransfer", raw(lab.buyer), lab.book.address, 1)
    with refuses("token/receiver"):
        lab.admit(lab.book.address)
    assert lab.held(terms) == 2 * COIN


# Lies


@pytest.mark.parametrize("member", [name for name, _ in typed.TERMS.fields])
def test_a_coordinator_that_lies(lab: Lab, member: str):
    """a coordinator: carries other terms than were signed, to any function.

    Gets: `loan/unknown`, or `loan/terms` if it names the loan as their origin; the terms are the
    loan's name.
    """
    terms = called(lab, **ARBITER)
    lab.fund(lab.lender, 10**9)
    value = terms[member]
    if member == "origin":
        lie = terms | {"origin": typed.loan_id(terms), "rate_bps": 1}
    elif isinstance(value, bytes):
        lie = terms | {member: value[:-1] + bytes([value[-1] ^ 1])}
    else:
        lie = terms | {member: value + 1}
    for verb, *args in VERBS:
        for who in (lab.borrower, lab.lender, lab.keeper):
            with refuses("loan/terms" if member == "origin" else "loan/unknown"):
                lab.book.call(verb, typed.encode_terms(lie), *args, sender=raw(who))
    with pytest.raises(Rejected):
        refinance(lab, lie, lie | {"origin": typed.loan_id(terms)})


def test_a_silent_coordinator(lab: Lab):
    """a coordinator: does nothing any more, and keeps no promise.

    Gets: nothing; whoever has the terms does all of it: opens, calls, cures, pays and ends.
    """
    terms = lab.terms()
    lab.fund(lab.lender, 10**9)
    lab.fund(lab.borrower, 10**9)
    lab.book.send(lab.borrower, "open", typed.encode_terms(terms), *lab.sign_terms(terms))
    lab.mint(typed.loan_id(terms), 2 * COIN)
    lab.do(lab.borrower, "top_up", terms, 2 * COIN)
    lab.prices.send(lab.lender, "post", *lab.reports([PRICE] * 3))
    lab.do(lab.borrower, "draw", terms, 7_000_000)
    lab.wait(1)
    lab.prices.send(lab.lender, "post", *lab.reports([HALF] * 5))
    lab.do(lab.lender, "margin_call", terms)
    lab.do(lab.borrower, "repay", terms, 1_000_100)
    lab.do(lab.borrower, "cure", terms)
    lab.do(lab.borrower, "close", terms)
    assert lab.tokens(lab.borrower) == 2 * COIN


# The page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "attacks.md"
HEAD = """# What was tried on the contracts alone

Each row is a test in `tests/ports/test_contracts_attacks*.py`, with `test_` before the name, and
says what its docstring says. What is refused, the contract refuses by the code named. The last ones
run 10,000 times in CI.

| test | who | does | gets |
| --- | --- | --- | --- |
"""
GATES = ("test_the_page_tells_what_is_tested", "test_a_code_that_is_named_is_one_that_is_met")
SAYS = re.compile(r"(?P<who>[^:]+): (?P<does>.+?)\.\n\nGets: (?P<gets>.+)\.", re.DOTALL)


OTHERS = (
    test_contracts_attacks_market,
    test_contracts_attacks_cash,
    test_contracts_attacks_assets,
    test_contracts_attacks_lending,
    test_contracts_attacks_cash_legs,
    test_contracts_attacks_long,
)


def attacks():
    """Every test of these files but those of the page, by name: each name is one test's."""
    met: set[str] = set()
    for names in (globals(), *map(vars, OTHERS)):
        for name, value in names.items():
            if name.startswith("test_") and callable(value) and name not in GATES:
                assert name not in met, f"{name} is the name of two tests"
                met.add(name)
                yield name.removeprefix("test_"), value


def row(name: str, test) -> str:
    said = SAYS.fullmatch(inspect.getdoc(test) or "")
    assert said, f"{name} does not say who does what, and what it gets"
    cells = (" ".join(said[part].split()) for part in ("who", "does", "gets"))
    return f"| {name} | {' | '.join(cells)} |\n"


def test_the_page_tells_what_is_tested():
    section = HEAD + "".join(row(name, test) for name, test in attacks())
    text = PAGE.read_text()
    assert text[text.index(HEAD.splitlines()[0]) :] == section


def test_a_code_that_is_named_is_one_that_is_met():
    for name, test in attacks():
        named = set(re.findall(r"`([\w-]+/[\w-]+)`", inspect.getdoc(test) or ""))
        body = inspect.getsource(test).split('"""')[2]
        assert named <= set(CODES), name
        assert {code for code in named if f'"{code}"' not in body} == set(), name
