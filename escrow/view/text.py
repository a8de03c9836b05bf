"""A run for people: numbered steps, the end, the laws. Plain text; the terminal adds colour."""

from __future__ import annotations

from collections.abc import Iterator

from escrow.core.laws import LAWS
from escrow.view.trace import Line, balances, heading, lines
from escrow.words import coins, money
from escrow.world import World


def step_rows(line: Line) -> Iterator[tuple[str, str]]:
    """Label and text of each row of a step, its heading first."""
    yield "", heading(line)
    yield "decided", line.decision
    for number, reason in enumerate(r for r in line.why.split("; ") if r):
        yield ("why" if number == 0 else ""), reason
    yield "now", f"loan {line.loan} · vault {line.vault} · token {line.token}"
    for txid in line.bitcoin:
        yield "bitcoin", txid
    for number, tx in enumerate(line.evm):
        if number == 2 and len(line.evm) > 4:
            yield "", f"… and {len(line.evm) - 3} more"
        if number < 2 or number == len(line.evm) - 1 or len(line.evm) <= 4:
            yield ("evm" if number == 0 else ""), tx


def end_rows(world: World) -> Iterator[tuple[str, str]]:
    """How it ended: balances, laws, hashes."""
    for name, held in balances(world).items():
        yield (
            name,
            f"{coins(held['sats'])} · {held['pledge_tokens']} pledge tokens · "
            f"cash {money(held['cash'])}",
        )
    broken = world.engine.broken
    checked = world.engine.checked * len(LAWS)
    names = ", ".join(sorted({law.id for law, _, _ in broken}))
    yield (
        "laws",
        f"{len(LAWS)} laws, {checked:,} checks, "
        + (f"BROKEN: {names}" if broken else "none broken"),
    )
    yield "bitcoin", f"height {world.bitcoin.height}, tip {world.bitcoin.tip_hash}"
    yield "evm", f"block {world.evm.chain.block_number}, chain id {world.evm.chain.chain_id}"
    yield "state", world.state_hash


def transcript(world: World, *, scene: str) -> str:
    """The whole run as text, the same for the same seed."""
    rows = [f"{scene}, seed {world.config.seed}", ""]
    for line in lines(world):
        for label, text in step_rows(line):
            rows.append(
                f"      {label:<8} {text}".rstrip() if label or text != heading(line) else text
            )
    rows += ["", *(f"{label:<11} {text}" for label, text in end_rows(world))]
    return "\n".join(rows) + "\n"
