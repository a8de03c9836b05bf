"""What happens to a vault's coins while its loan runs: gathered, made young again, funded together.

A sweep takes coins out of a vault and gives it back exactly as much, so no token loses what it
stands on. Whoever asks for it pays the miner with coins of its own, and signs for those first;
then the quorum reviews and signs, as for a payout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from escrow.actors.party import Party
from escrow.actors.payer import paths_of
from escrow.adapters.bitcoin import psbt as bip174
from escrow.adapters.bitcoin.psbt import Psbt
from escrow.adapters.bitcoin.vault import Vault, dust
from escrow.core.errors import EscrowError, Refused
from escrow.core.phases import backing, terms_of
from escrow.core.state import Escrow
from escrow.core.units import Sats, Seconds
from escrow.custody.policy import Older, Path, Policy
from escrow.ports import Coin, OutPoint
from escrow.wiring import Wires

_INPUT: Final = 69
"""Virtual bytes of a P2WPKH input at most, rounded up (BIP-141)."""


@dataclass(frozen=True, slots=True)
class Refresh:
    """A coin that is to move before a path opens for which less is asked."""

    outpoint: str
    """``txid:vout``."""
    by: Seconds
    """World time from which somebody could take that path."""
    path: str
    """Which."""


def opens_by_waiting(policy: Policy) -> tuple[Path, ...]:
    """Paths that open to a coin because it rests, soonest first."""
    paths = [path for path in policy.paths if isinstance(path.lock, Older)]
    return tuple(sorted(paths, key=_rest))


def refreshes(wires: Wires, vault: Vault, escrow: Escrow, *, offset: int) -> tuple[Refresh, ...]:
    """Which coins of the vault must move by when, the most urgent first. ``offset`` is world time
    − block time. Empty if no path opens by waiting."""
    waiting = opens_by_waiting(vault.policy)
    found: list[Refresh] = []
    for coin in found_coins(wires, escrow) if waiting else ():
        born = wires.bitcoin.median_time_at(coin.height - 1)
        at = Seconds(born + _rest(waiting[0]) + offset)
        found.append(Refresh(str(coin.outpoint), at, waiting[0].name))
    return tuple(sorted(found, key=lambda each: (each.by, each.outpoint)))


def found_coins(wires: Wires, escrow: Escrow) -> list[Coin]:
    """Coins of the vault that tokens stand on and that nothing spends."""
    places = [OutPoint.parse(coin.outpoint) for coin in backing(escrow)]
    return [coin for each in places if (coin := wires.bitcoin.coin(each)) is not None]


def sweep(
    wires: Wires,
    escrow: Escrow,
    coins: Sequence[Coin],
    *,
    old: Vault,
    new: Vault,
    payer: Party,
    feerate: int,
) -> str:
    """Move ``coins`` of ``old`` into one of ``new``, by the cheapest path that is open and whose
    signers agree; ``payer`` pays ``feerate`` sat/vB. The txid.

    Raises Refused: "bitcoin/funds" if the payer cannot, "cosigner/…" why nobody would sign,
    "bitcoin/…".
    """
    refused: EscrowError = Refused("cosigner/absent", asked="sweep", open=0)
    for path in paths_of(old):
        if not all(wires.operator.payer.is_open(path, coin.outpoint) for coin in coins):
            continue
        draft = _draft(wires, coins, old=old, new=new, path=path, payer=payer, feerate=feerate)
        try:
            signed = wires.operator.payer.collect(
                draft, path=path, terms=terms_of(escrow.loan), script=old.script_pubkey
            )
        except EscrowError as refusal:
            refused = refusal
        else:
            return wires.bitcoin.broadcast(bip174.extract(bip174.finalize(signed)))
    raise refused


def _draft(
    wires: Wires,
    coins: Sequence[Coin],
    *,
    old: Vault,
    new: Vault,
    path: Path,
    payer: Party,
    feerate: int,
) -> Psbt:
    """The sweep, signed by who pays for it and described for the quorum."""
    total = Sats(sum(coin.sats for coin in coins))
    vsize = old.vsize(path.name, len(coins), [new.script_pubkey, payer.script])
    brought: list[Coin] = []
    left = -feerate * vsize
    for coin in wires.wallet(payer).coins():
        if left >= 0:
            break
        brought.append(coin)
        left += coin.sats - feerate * _INPUT
    if left < 0 or not brought:
        wanted = feerate * (vsize + _INPUT * len(brought))
        raise Refused("bitcoin/funds", wanted=wanted, balance=wires.wallet(payer).balance())
    outputs = [(new.script_pubkey, total)]
    if left >= dust(payer.script):
        outputs.append((payer.script, Sats(left)))
    spent = [*coins, *brought]
    raws = [wires.bitcoin.transaction(coin.outpoint.txid) for coin in spent]
    prev_txs = [raw for raw in raws if raw is not None]
    # The payer's coins need not have rested, whatever the vault's must.
    plain = 0xFFFFFFFD
    bare = bip174.create(
        [coin.outpoint for coin in spent],
        outputs=outputs,
        sequence=[old.sequence(path.name)] * len(coins) + [plain] * len(brought),
    )
    own = bip174.update(bare, owner=payer.keys.wallet_key(), prev_txs=prev_txs)
    paid = bip174.sign(own, keys=payer.keys)
    return bip174.update(paid, owner=old, prev_txs=prev_txs, path=path.name)


def _rest(path: Path) -> Seconds:
    assert isinstance(path.lock, Older)
    return path.lock.seconds
