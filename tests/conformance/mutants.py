"""Bugs that somebody could plausibly write into the contracts, and the story that shows each.

A mutant is one change of one source, compiled as the real one is and deployed in its place.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "contracts"


@dataclass(frozen=True)
class Mutant:
    name: str
    """What went wrong, in a few words."""
    contract: str
    old: str
    """Stands in the source exactly once."""
    new: str
    check: str
    """Which comparison catches it."""
    story: str
    """Of ``tests/corpus/conformance``."""
    night: bool = False
    """Of a kind that another one shows as well: only the long run builds it."""

    def source(self) -> str:
        text = (SOURCES / f"{self.contract}.vy").read_text()
        assert text.count(self.old) == 1, f"{self.name}: found {text.count(self.old)} times"
        return text.replace(self.old, self.new)


def compiled(mutants: list[Mutant], *, cache: Path) -> dict[str, bytes]:
    """Bytecode by name. What was compiled from the very same sources before is not again."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = pool.map(lambda each: _compile(each, cache=cache), mutants)
        return dict(zip((each.name for each in mutants), made, strict=True))


def _compile(mutant: Mutant, *, cache: Path) -> bytes:
    text = mutant.source()
    others = sorted(path for path in SOURCES.rglob("*.vy*") if path.stem != mutant.contract)
    told = hashlib.sha256(b"".join([text.encode(), *(path.read_bytes() for path in others)]))
    kept = cache / f"{told.hexdigest()}.hex"
    if not kept.exists():
        folder = cache / f"{told.hexdigest()}.{os.getpid()}"
        shutil.copytree(SOURCES, folder)
        (folder / f"{mutant.contract}.vy").write_text(text)
        vyper = Path(sys.executable).with_name("vyper")
        done = subprocess.run(
            [vyper, "--no-bytecode-metadata", "-p", ".", "-f", "bytecode", f"{mutant.contract}.vy"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        shutil.rmtree(folder)
        assert done.returncode == 0, f"{mutant.name}: {done.stderr}"
        kept.write_text(done.stdout.strip())
    return bytes.fromhex(kept.read_text()[2:])


def _unless(condition: str, code: str, *, indent: int = 4) -> str:
    """A check as the book writes it."""
    pad = " " * indent
    return f'{pad}if {condition}:\n{pad}    self._refuse("{code}")\n'


VERDICT, WORDS, WATCH = "verdict", "words", "watch"
MUTANTS = [
    # --- a boundary, one off ---
    Mutant(
        "no call at the level itself",
        "EscrowBook",
        _unless("not self._at_least(sight, terms.call_ltv)", "call/healthy"),
        _unless("not self._above(sight, terms.call_ltv)", "call/healthy"),
        VERDICT,
        "levels_are_hit_exactly",
    ),
    Mutant(
        "no cure at the level itself",
        "EscrowBook",
        _unless("self._above(sight, terms.restore_ltv)", "cure/not-restored"),
        _unless("self._at_least(sight, terms.restore_ltv)", "cure/not-restored"),
        VERDICT,
        "levels_are_hit_exactly",
        night=True,
    ),
    Mutant(
        "a call expires at its deadline",
        "EscrowBook",
        "if sight.active_seconds <= l.deadline:",
        "if sight.active_seconds < l.deadline:",
        VERDICT,
        "a_call_runs_out_at_its_deadline",
    ),
    Mutant(
        "no draw in the window's last second",
        "EscrowBook",
        _unless("block.timestamp > terms.draw_by", "draw/window-closed"),
        _unless("block.timestamp >= terms.draw_by", "draw/window-closed"),
        VERDICT,
        "the_draw_window_ends",
        night=True,
    ),
    Mutant(
        "default within the grace's last second",
        "EscrowBook",
        "if block.timestamp <= terms.maturity + terms.grace:",
        "if block.timestamp < terms.maturity + terms.grace:",
        VERDICT,
        "a_default_is_sold_in_parts",
        night=True,
    ),
    Mutant(
        "an auction's last cent does not fit",
        "EscrowBook",
        "rest + after <= auction_cap",
        "rest + after < auction_cap",
        VERDICT,
        "an_auction_just_fits_its_cap",
        night=True,
    ),
    Mutant(
        "an auction is stale in its last second",
        "EscrowBook",
        "    if elapsed > terms.tail:",
        "    if elapsed >= terms.tail:",
        VERDICT,
        "an_auction_falls_and_is_taken",
        night=True,
    ),
    Mutant(
        "the arbiter is late in its last second",
        "EscrowBook",
        "late: bool = disputed and block.timestamp > (begun & MASK_40) + terms.dispute",
        "late: bool = disputed and block.timestamp >= (begun & MASK_40) + terms.dispute",
        VERDICT,
        "a_dispute_is_decided_once",
        night=True,
    ),
    Mutant(
        "just enough debt left counts as too little",
        "EscrowBook",
        "            if left < terms.min_left:\n"
        '                self._refuse("liquidate/dust")\n    # THEN\n',
        "            if left <= terms.min_left:\n"
        '                self._refuse("liquidate/dust")\n    # THEN\n',
        VERDICT,
        "an_auction_leaves_enough",
        night=True,
    ),
    Mutant(
        "reserves must be more than the tokens",
        "PledgeToken",
        "assert (word & MASK_64) + att.sats <= att.reserves",
        "assert (word & MASK_64) + att.sats < att.reserves",
        VERDICT,
        "tokens_are_minted_once",
    ),
    Mutant(
        "a jump just within the bound is one",
        "PriceRounds",
        "assert gap * BPS <= DEVIATION * last, ",
        "assert gap * BPS < DEVIATION * last, ",
        VERDICT,
        "prices_are_medians_and_jumps_need_more",
    ),
    Mutant(
        "a pause lasts a second longer",
        "PriceRounds",
        "    if block.timestamp < word >> 212:\n        return PAUSED",
        "    if block.timestamp <= word >> 212:\n        return PAUSED",
        VERDICT,
        "the_guardian_pauses",
    ),
    # --- rounding the wrong way ---
    Mutant(
        "interest is rounded down",
        "EscrowBook",
        "return self._ceil(interest_acc, INTEREST_DEN)",
        "return interest_acc // INTEREST_DEN",
        WORDS,
        "interest_is_paid_first",
    ),
    Mutant(
        "coins sold are rounded up",
        "EscrowBook",
        "seized = paid * full // (BPS * sight.price)",
        "seized = self._ceil(paid * full, BPS * sight.price)",
        WORDS,
        "a_default_is_sold_in_parts",
    ),
    Mutant(
        "an auction's price is rounded down",
        "EscrowBook",
        "return self._ceil(sight.price * terms.buf_bps * part, BPS * WAD)",
        "return sight.price * terms.buf_bps * part // (BPS * WAD)",
        VERDICT,
        "an_auction_falls_and_is_taken",
    ),
    Mutant(
        "a sale to the target falls short of it",
        "EscrowBook",
        "self._ceil((debt - target) * keep, CENTS_SCALE * share)",
        "(debt - target) * keep // (CENTS_SCALE * share)",
        WATCH,
        "a_sale_stops_at_its_target",
    ),
    # --- missing authority ---
    Mutant(
        "anybody takes the coins over",
        "EscrowBook",
        _unless("msg.sender != terms.lender", "liquidate/not-lender"),
        "",
        VERDICT,
        "levels_are_hit_exactly",
    ),
    Mutant(
        "the lender's signature is not looked at",
        "EscrowBook",
        _unless("typed_data._signer(digest, lender_sig) != terms.lender", "open/bad-signature"),
        "",
        VERDICT,
        "signatures_are_the_parties",
    ),
    Mutant(
        "anybody resumes",
        "PriceRounds",
        "    # WHO\n"
        '    assert msg.sender == GUARDIAN, "pause/not-guardian"\n'
        "    # WHEN\n    word: uint256 = self.packed\n    assert block.timestamp < word >> 212",
        "    # WHEN\n    word: uint256 = self.packed\n    assert block.timestamp < word >> 212",
        VERDICT,
        "the_guardian_pauses",
    ),
    Mutant(
        "a pause that is ended leaves no grace",
        "PriceRounds",
        "    until: uint256 = block.timestamp + RESUME_GRACE\n",
        "    until: uint256 = block.timestamp\n",
        WORDS,
        "the_guardian_pauses",
    ),
    Mutant(
        "anybody settles with another's allowance",
        "CashToken",
        '    assert msg.sender == regulated.book, "token/not-book"\n',
        "",
        VERDICT,
        "signatures_are_the_parties",
    ),
    # --- missing replay guard ---
    Mutant(
        "an outpoint is minted twice",
        "PledgeToken",
        '    assert self.deposits[key] == 0, "mint/replayed"\n',
        "",
        VERDICT,
        "tokens_are_minted_once",
    ),
    Mutant(
        "a burn is sent twice",
        "PledgeToken",
        '    assert request == account >> regulated.BURNS_AT, "burn/replayed"\n',
        "",
        VERDICT,
        "interest_is_paid_first",
    ),
    Mutant(
        "terms refinance twice",
        "EscrowBook",
        "    self.loans[hashed] = USED\n",
        "",
        VERDICT,
        "a_loan_changes_hands",
    ),
    Mutant(
        "one oracle counts for three",
        "PriceRounds",
        '        assert seen & bit == 0, "price/duplicate-signer"\n',
        "",
        VERDICT,
        "prices_are_medians_and_jumps_need_more",
    ),
    # --- a rule forgotten ---
    Mutant(
        "a stale price decides",
        "EscrowBook",
        _unless("not fresh", "price/stale"),
        "",
        VERDICT,
        "a_stale_price_decides_nothing",
    ),
    Mutant(
        "principal is paid before interest",
        "EscrowBook",
        "    interest: uint256 = min(paid, due)\n    principal: uint256 = paid - interest\n",
        "    principal: uint256 = min(paid, l.principal)\n"
        "    interest: uint256 = paid - principal\n",
        WORDS,
        "interest_is_paid_first",
    ),
    Mutant(
        "a disputed call expires",
        "EscrowBook",
        _unless("l.flags & DISPUTED != 0", "expire/disputed"),
        "",
        VERDICT,
        "a_dispute_is_decided_once",
    ),
    Mutant(
        "a dispute eats the cure time",
        "EscrowBook",
        "l.deadline = min(l.deadline + passed, MAX_TIME)",
        "l.deadline = min(l.deadline, MAX_TIME + 0 * passed)",
        WORDS,
        "a_dispute_is_decided_once",
    ),
    Mutant(
        "a call is disputed again and again",
        "EscrowBook",
        "self.loans[loan] |= DISPUTED | HEARD",
        "self.loans[loan] |= DISPUTED",
        WORDS,
        "a_dispute_is_decided_once",
        night=True,
    ),
    Mutant(
        "a dispute outlives a recovered loan",
        "EscrowBook",
        "    l.phase = RECOVERED\n    l.flags &= AMENDED\n",
        "    l.phase = RECOVERED\n",
        WORDS,
        "a_dispute_outlives_a_recovered_loan",
    ),
    Mutant(
        "an expired call is in no auction's sum",
        "EscrowBook",
        "    self._move_auctions(0, self._in_auction(l, terms.liquidation))\n",
        "",
        WORDS,
        "an_auction_just_fits_its_cap",
    ),
    Mutant(
        "a new lender is owed the old interest too",
        "EscrowBook",
        "    l.interest_acc = 0\n    self._store(loan, l)\n    log Refinanced",
        "    self._store(loan, l)\n    log Refinanced",
        WORDS,
        "a_loan_changes_hands",
    ),
    Mutant(
        "a buyer's least is not looked at",
        "EscrowBook",
        _unless("seized < min_sats", "liquidate/slippage"),
        "",
        VERDICT,
        "a_default_is_sold_in_parts",
        night=True,
    ),
    Mutant(
        "the highest report is the price",
        "PriceRounds",
        "price: uint256 = prices[len(prices) // 2]",
        "price: uint256 = prices[len(prices) - 1]",
        WORDS,
        "prices_are_medians_and_jumps_need_more",
    ),
    Mutant(
        "the active clock forgets an outage",
        "PriceRounds",
        "    lost: uint256 = ((word >> 132) & MASK_40) + self._gone(word)\n",
        "    lost: uint256 = ((word >> 132) & MASK_40)\n",
        WORDS,
        "cure_time_stands_while_no_price_is_fresh",
    ),
    Mutant(
        "a suspended lender cannot be paid",
        "CashToken",
        "    regulated._credit(payee, amount)\n",
        "    regulated.accounts[payee] = regulated._receiver(payee) + amount\n",
        VERDICT,
        "a_suspended_lender_is_still_paid",
    ),
]
