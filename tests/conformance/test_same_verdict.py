"""The contracts and the core are the same rules twice: any ask by anyone gets the same verdict, the
same code with the same numbers, and the same balances to the last unit. A difference is a defect in
one of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from asks import CORPUS, STORIES, read, tell, write
from both_lab import MAX, SCRIPT, Lab, sign, stories, terms
from eth_account import Account
from hypothesis import HealthCheck, given, note, settings
from words import calldata

from escrow.adapters.evm import typed
from escrow.adapters.evm.client import terms_mapping

ANY = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
"""Fixtures are made once; a lab forgets each story before the next."""
KNOWN = sorted(CORPUS.glob("*.json"))


def told(lab: Lab, story: dict) -> None:
    for _ in tell(lab, story):
        pass


@pytest.mark.parametrize("path", KNOWN, ids=lambda path: path.stem)
def test_what_once_differed_is_the_same_now(lab, path: Path):
    told(lab, read(path))


@pytest.mark.parametrize("path", KNOWN, ids=lambda path: path.stem)
def test_known_stories_are_written_as_write_writes(path: Path):
    assert path.read_text() == write(read(path))


@settings(max_examples=stories(dev=60, ci=300, night=20_000), suppress_health_check=ANY)
@given(story=STORIES)
def test_the_same_verdict(lab, story):
    note(write(story))
    told(lab, story)


@settings(max_examples=stories(dev=24, ci=60, night=600), suppress_health_check=ANY)
@given(story=STORIES)
def test_the_same_verdict_on_the_slow_machine(slow_lab, story):
    note(write(story))
    told(slow_lab, story)


@settings(max_examples=stories(dev=12, ci=24, night=240), suppress_health_check=ANY)
@given(story=STORIES)
def test_the_same_verdict_in_signed_transactions_and_sealed_blocks(hand_lab, story):
    """And what every view says at every step."""
    note(write(story))
    told(hand_lab, story)


# --- what the lab makes shorter is the same ---


def test_the_short_way_to_sign_signs_the_same(lab):
    account = Account.from_key(b"\x01" * 32)
    message, domain = {"round": 1, "price": 2, "at": 3}, lab.contracts.prices.domain
    short = sign(account, struct=typed.PRICE, message=message, domain=domain)
    assert short == typed.sign_price(account, price=message, domain=domain)


def test_the_short_way_to_calldata_is_the_abi(lab):
    book, pledge, prices = lab.contracts.book, lab.contracts.pledge, lab.contracts.prices
    sig = typed.Sig(27, b"\x01" * 32, b"\x02" * 32)
    words = typed.encode_terms(terms_mapping(terms(lab)))
    coin = (b"\x03" * 32, bytes(20), b"\x04" * 32, 1, 5, 6, 7, b"\x08" * 32)
    for contract, function, args in (
        (book, "draw", (words, 1)),
        (book, "open_and_draw", (words, sig, sig, 1, MAX)),
        (book, "refinance", (words, words, sig, sig)),
        (book, "resolve", (words, True)),
        (pledge, "mint", (coin, [sig, sig])),
        (pledge, "mint", (coin, [])),
        (pledge, "burn", (b"\x05" * 32, 1, SCRIPT, 2)),
        (prices, "post", (1, 2, [(3, sig), (4, sig), (5, sig)])),
    ):
        assert calldata(contract, function, args) == contract.encode(function, *args)
