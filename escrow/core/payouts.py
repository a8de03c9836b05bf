"""Which spend of a vault pays which burns. One rule for those who build, recognise and sign it.

A payout's outputs are the oldest unpaid burns it serves, in order, each less its share of the
miner's fee; then, last, what goes back to the vault. A *sweep* pays nobody: all that it takes from
the vault comes back to it in the first output, and who wants it brings coins of its own for the
miner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from escrow.core.errors import Rejected
from escrow.core.regions.token import Burn
from escrow.core.regions.vault import Payout
from escrow.core.rules import fee_shares
from escrow.core.scripts import DUST
from escrow.core.units import Sats, muldiv_down

STUCK_AFTER: Final = 6
"""Blocks that pass a waiting payout by before it counts as stuck: about an hour."""


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a transaction."""

    script: str
    """Output script, hex."""
    sats: Sats
    """Its value."""


def plan_outputs(
    burns: Sequence[Burn], *, spent: Sats, fee: Sats, vault_script: str, dust: Sats
) -> tuple[Output, ...]:
    """The outputs that pay ``burns`` out of ``spent`` sats.

    Raises ``payout/unbalanced`` if the coins do not cover the burns, or if what would go back to
    the vault is dust: then the payout waits for the burn of that remainder.
    """
    change = spent - sum(burn.sats for burn in burns)
    if change < 0:
        raise Rejected("payout/unbalanced", inputs=spent, fee=fee)
    outputs = [
        Output(burn.script, Sats(burn.sats - share))
        for burn, share in zip(burns, fee_shares(fee, payees=len(burns)), strict=True)
    ]
    if change == 0:
        return tuple(outputs)
    if change < dust:
        raise Rejected("payout/unbalanced", inputs=spent, change=change)
    return (*outputs, Output(vault_script, Sats(change)))


def fee_bound(burns: Sequence[Burn], *, max_fee: Sats) -> Sats:
    """Most that a payout of ``burns`` may offer the miner: within the bound of the terms, no more
    than it then pays out (dlcspecs: never bump more than the outcome's value), and so that no
    payee is left with dust."""
    half = muldiv_down(sum(burn.sats for burn in burns), 1, 2)
    # The first payee bears the remainder of the division, less than one sat for each.
    least = min(burn.sats for burn in burns) - DUST - len(burns) + 1
    return Sats(max(0, min(max_fee, half, least * len(burns))))


def recognise(
    outputs: Sequence[Output],
    *,
    txid: str,
    inputs: Sequence[str],
    spent: Sats,
    owed: Sequence[Burn],
    vault_script: str,
    others: bool = False,
) -> Payout:
    """Read a spend of the vault as a payout of burns that are owed, or as a sweep.

    ``inputs`` and ``spent`` are the vault's; ``others``: coins of somebody else are spent as well,
    and then it can only be a sweep. Raises ``payout/not-burned`` if an output is neither a burn's
    nor, last, the vault's own; ``payout/unbalanced`` if the outputs exceed the inputs.
    """
    if others:
        if outputs and outputs[0] == Output(vault_script, spent):
            return Payout(txid, tuple(inputs), (), Sats(0), spent)
        raise Rejected("payout/not-burned", burn=0, sats=spent)
    fee = Sats(spent - sum(output.sats for output in outputs))
    if fee < 0:
        raise Rejected("payout/unbalanced", inputs=spent, fee=fee)
    # A burn may name the vault itself, so its output is not change before that was tried.
    paid = _matched(outputs, fee=fee, owed=owed)
    change = Sats(0)
    if paid is None and outputs and outputs[-1].script == vault_script:
        paid = _matched(outputs[:-1], fee=fee, owed=owed)
        change = outputs[-1].sats
    if paid is None:
        raise Rejected("payout/not-burned", burn=0, sats=spent)
    return Payout(txid, tuple(inputs), paid, fee, change)


def _matched(
    outputs: Sequence[Output], *, fee: Sats, owed: Sequence[Burn]
) -> tuple[tuple[int, Sats], ...] | None:
    """Burn and sats of each output, if each pays a burn that is owed; there must be one."""
    if not outputs:
        return None
    left = list(owed)
    paid: list[tuple[int, Sats]] = []
    for output, share in zip(outputs, fee_shares(fee, payees=len(outputs)), strict=True):
        match = next(
            (b for b in left if b.script == output.script and b.sats - share == output.sats), None
        )
        if match is None:
            return None
        left.remove(match)
        paid.append((match.id, output.sats))
    return tuple(paid)
