"""One vault as both chains show it to anyone who looks: what was paid, and what is there.

Attestors and cosigners read it for themselves, so that none of them has to believe the operator
about which spend was a payout, which coin is change, and which burn is still open.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

from btclib.tx import Tx, TxOut

from escrow.adapters.bitcoin.policy import read_transaction
from escrow.core.errors import Rejected
from escrow.core.payouts import Output, recognise
from escrow.core.regions.token import Burn
from escrow.core.regions.vault import Payout
from escrow.core.units import Sats
from escrow.ports import BitcoinView, Coin, OutPoint


@dataclass(frozen=True, slots=True)
class Reserves:
    """What one look at a vault tells."""

    unpaid: tuple[Burn, ...]
    """Burns that no spend has paid, oldest first."""
    payouts: frozenset[str]
    """Spends that paid burns and nothing else."""
    change: frozenset[OutPoint]
    """What those gave back to the vault: the tokens for it exist already."""
    coins: tuple[Coin, ...]
    """Coins in the chain that nothing spends, and change that waits for a block. A deposit that
    waits is not counted: it may never come."""

    @property
    def sats(self) -> Sats:
        """All of them."""
        return Sats(sum(coin.sats for coin in self.coins))


def reserves(
    scripts: Sequence[bytes],
    *,
    burned: Sequence[Burn],
    bitcoin: BitcoinView,
    but: Collection[str] = (),
    waiting: bool = True,
) -> Reserves:
    """Follow every spend of every coin that ever paid the vault, in chain or mempool.

    ``scripts`` are the vault's, of each of its generations.

    ``but`` are transactions that are looked at as if they had not been sent; without ``waiting``,
    so is every one that is in no block.
    """

    def spender(outpoint: OutPoint) -> str | None:
        txid = bitcoin.spender(outpoint)
        if txid is None or txid in but or not (waiting or bitcoin.depth(txid)):
            return None
        return txid

    owed = list(burned)
    payouts: set[str] = set()
    change: set[OutPoint] = set()
    spenders = (spender(each) for script in scripts for each in bitcoin.history(script))
    for txid in dict.fromkeys(spenders):
        raw = bitcoin.transaction(txid) if txid is not None else None
        if txid is None or raw is None:
            continue
        tx = read_transaction(raw)
        payout = _recognised(tx, txid, scripts, owed=owed, bitcoin=bitcoin)
        if payout is None:
            # A recovery, or a spend by two others that nobody asked about: pays no burn.
            continue
        done = {burn_id for burn_id, _ in payout.paid}
        owed = [burn for burn in owed if burn.id not in done]
        payouts.add(txid)
        if payout.change:
            change.add(OutPoint(txid, len(payout.paid)))
    here: list[Coin] = []
    for script in scripts:
        here += [c for c in bitcoin.coins(script) if spender(c.outpoint) is None]
        here += [c for c in bitcoin.pending(script) if c.outpoint in change]
    return Reserves(tuple(owed), frozenset(payouts), frozenset(change), tuple(here))


def _recognised(
    tx: Tx, txid: str, scripts: Sequence[bytes], *, owed: Sequence[Burn], bitcoin: BitcoinView
) -> Payout | None:
    """The payout or sweep that a spend is, whichever generation it gives back to."""
    spent, others = _taken_from(scripts, tx, bitcoin)
    outputs = [Output(o.script_pub_key.script.hex(), Sats(o.value)) for o in tx.vout]
    for script in reversed(scripts):
        with suppress(Rejected):
            return recognise(
                outputs,
                txid=txid,
                inputs=[],
                spent=spent,
                owed=owed,
                vault_script=script.hex(),
                others=others,
            )
    return None


def fee_of(txid: str, *, bitcoin: BitcoinView) -> Sats:
    """What a known transaction pays the miner."""
    raw = bitcoin.transaction(txid)
    assert raw is not None
    tx = read_transaction(raw)
    return Sats(_taken(tx, bitcoin) - sum(each.value for each in tx.vout))


def _taken(tx: Tx, bitcoin: BitcoinView) -> Sats:
    return Sats(sum(each.value for each in _spent(tx, bitcoin)))


def _taken_from(scripts: Sequence[bytes], tx: Tx, bitcoin: BitcoinView) -> tuple[Sats, bool]:
    """What it takes from these scripts, and whether it spends other coins too."""
    spent = _spent(tx, bitcoin)
    ours = [each.value for each in spent if each.script_pub_key.script in scripts]
    return Sats(sum(ours)), len(ours) < len(tx.vin)


def _spent(tx: Tx, bitcoin: BitcoinView) -> list[TxOut]:
    raws = [(bitcoin.transaction(v.prev_out.tx_id.hex()), v.prev_out.vout) for v in tx.vin]
    return [read_transaction(raw).vout[vout] for raw, vout in raws if raw is not None]
