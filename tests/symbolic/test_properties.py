"""What halmos proves of our bytecode for all arguments, planted bugs that the proofs see, and
forge's random arguments for the same properties.

A property's sentence is the ``@notice`` above it in ``properties/``. Its words "exactly when" are
meant: both directions are asserted. Who may call what is proved on every run. Proofs of what
happens to tokens and at levels take the solver minutes each: they are asked for at night
(``HYPOTHESIS_PROFILE=night``). Those in ``TRIED`` it has not decided in the time it was given.
forge tries every property on every run, and ``tests/conformance`` all of it against the core.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from symbolic_lab import Patch, Project

BOOK, TOKEN, CASH = "EscrowBook.vy", "PledgeToken.vy", "CashToken.vy"
ACCOUNTS, PRICES, REGISTRY = "regulated.vy", "PriceRounds.vy", "Registry.vy"
NIGHT = os.environ.get("HYPOTHESIS_PROFILE") == "night"
RUNS = {"dev": 256, "ci": 2_000, "night": 50_000}[os.environ.get("HYPOTHESIS_PROFILE", "dev")]

PROVED = {
    "Authority": (
        "test_only_borrower_tops_up",
        "test_only_borrower_draws",
        "test_only_borrower_withdraws",
        "test_only_borrower_disputes",
        "test_only_borrower_cancels",
        "test_only_arbiter_resolves",
        "test_only_lender_takes_over",
        "test_borrower_never_buys",
        "test_only_issuer_mints",
        "test_only_authority_freezes",
        "test_only_authority_forces",
        "test_only_registry_admits",
        "test_only_book_settles",
        "test_only_book_holds",
        "test_only_book_releases",
        "test_only_book_executes",
        "test_only_registrar_sets_rules",
        "test_only_registrar_records",
        "test_only_guardian_pauses",
    ),
    "Tokens": (
        "test_transfer",
        "test_transfer_to_oneself",
        "test_transfer_by_allowance",
        "test_settle",
        "test_mint_cash",
        "test_freeze_and_admit",
        "test_hold",
        "test_release",
        "test_burn",
    ),
    "Levels": (
        "test_call_level",
        "test_restore_level",
        "test_cure_deadline",
        "test_disputed_call",
        "test_liquidation_level",
        "test_recover_at",
        "test_cancel",
        "test_dispute_time",
    ),
    "Prices": ("test_fresh", "test_active_clock"),
    "Sales": ("test_take_over_tokens",),
}
"""By file, what halmos decides; the first on every run, the others at night."""
TRIED = {
    "test_forced_transfer",
    "test_execute",
    "test_draw_level",
    "test_withdraw_level",
    "test_repay_is_never_blocked",
    "test_close_is_never_blocked",
    "test_third_party_tokens",
    "test_partial_tokens",
    "test_auction_tokens",
}
"""What only forge tries."""

BUGS = {
    "test_only_borrower_draws": Patch(
        BOOK,
        """\
    if msg.sender != terms.borrower:
        self._refuse("draw/not-borrower")
    # WHEN, THEN
    self._draw(loan, l, terms, amount)
""",
        """\
    self._draw(loan, l, terms, amount)
""",
    ),
    "test_only_lender_takes_over": Patch(
        BOOK,
        """\
    if terms.liquidation != TAKE_OVER:
        self._refuse("liquidate/kind")
    if msg.sender != terms.lender:
""",
        """\
    if msg.sender != terms.lender:
""",
    ),
    "test_only_book_releases": Patch(
        TOKEN,
        """\
    assert msg.sender == regulated.book, "token/not-book"
    assert word >> 128 == self._pledgor(holder), "token/not-pledgor"
    # WHEN
    assert sats <= self._held(word), "token/not-held"
""",
        """\
    assert word >> 128 == self._pledgor(holder), "token/not-pledgor"
    assert sats <= self._held(word), "token/not-held"
""",
    ),
    "test_transfer": Patch(
        ACCOUNTS,
        "((word >> FROZEN_AT) & MASK_64) + ((word >> HELD_AT) & MASK_64)",
        "(word >> HELD_AT) & MASK_64",
    ),
    "test_settle": Patch(CASH, "    regulated._check_spendable(word, amount)\n", ""),
    "test_mint_cash": Patch(
        CASH, 'assert amount <= unsafe_sub(MAX_SUPPLY, supply), "mint/cap"', "pass"
    ),
    "test_hold": Patch(
        TOKEN,
        'assert sats <= self._free(word), "top-up/no-tokens"',
        'assert sats <= word & MASK_64, "top-up/no-tokens"',
    ),
    "test_release": Patch(
        TOKEN,
        'assert sats <= self._held(word), "token/not-held"',
        'assert sats <= word & MASK_64, "token/not-held"',
    ),
    "test_burn": Patch(
        TOKEN, 'assert request == account >> regulated.BURNS_AT, "burn/replayed"', "pass"
    ),
    "test_call_level": Patch(
        BOOK,
        "return sight.debt * (CENTS_SCALE * BPS) >= level * sight.held * sight.price",
        "return sight.debt * (CENTS_SCALE * BPS) > level * sight.held * sight.price",
    ),
    "test_cure_deadline": Patch(
        BOOK, "if sight.active_seconds <= l.deadline:", "if sight.active_seconds < l.deadline:"
    ),
    "test_liquidation_level": Patch(
        BOOK,
        """\
    if block.timestamp <= terms.maturity + terms.grace:
        self._refuse("liquidate/healthy")
""",
        """\
    if block.timestamp < terms.maturity + terms.grace:
        self._refuse("liquidate/healthy")
""",
    ),
    "test_recover_at": Patch(
        BOOK, "if block.timestamp < terms.recover_at:", "if block.timestamp <= terms.recover_at:"
    ),
    "test_fresh": Patch(
        PRICES,
        "    if block.timestamp > at + HEARTBEAT:\n",
        "    if block.timestamp >= at + HEARTBEAT:\n",
    ),
    "test_take_over_tokens": Patch(
        BOOK, "surplus = sight.held - seized", "surplus = max(sight.held - seized, 1) - 1"
    ),
}
"""Property → a bug that it sees."""


@pytest.fixture(scope="session")
def project(tool, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("ours"), tool)


def test_each_property_is_proved_or_tried(project: Project) -> None:
    named = [name for names in PROVED.values() for name in names]
    assert sorted([*named, *TRIED]) == sorted(project.sentences)
    assert set(BUGS) <= set(named)


@pytest.mark.parametrize("file", PROVED if NIGHT else ["Authority"])
def test_halmos_proves(project: Project, file: str) -> None:
    found = project.prove(*(f"{name}\\(" for name in PROVED[file]), seconds=120)
    for name in PROVED[file]:
        assert found[name].proved, (name, found[name])
        print(f"{name}: {project.sentences[name]} proved, {found[name].paths} paths")


@pytest.mark.parametrize("name", [name for name in BUGS if NIGHT or name in PROVED["Authority"]])
def test_a_planted_bug_is_found(project: Project, name: str, tmp_path: Path) -> None:
    wrong = project.variant(tmp_path / "wrong", BUGS[name])
    verdict = wrong.prove(f"{name}\\(", seconds=120, first=True)[name]
    assert verdict.said == "refuted", verdict


def test_forge_finds_nothing_either(project: Project) -> None:
    found = project.fuzz(RUNS)
    assert found.keys() == project.sentences.keys()
    assert {name: said for name, said in found.items() if not said.startswith("Success")} == {}
