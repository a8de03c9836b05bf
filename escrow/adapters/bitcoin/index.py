"""What the active chain holds: coins, transactions, who spent what.

The kernel answers no question about its UTXO set, so this index follows the chain block by
block, forwards and backwards. It never judges: every block given to it was accepted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from btclib.script.spendability import is_unspendable

from escrow.adapters.bitcoin.block import GENESIS_HASH, GENESIS_TIME, ParsedBlock, median_time
from escrow.adapters.bitcoin.types import Coin, OutPoint
from escrow.core.units import Sats


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A transaction of the active chain."""

    height: int
    """Height of its block."""
    raw: bytes
    """The transaction as it travels."""
    fee: Sats
    """What it pays the miner; 0 for a coinbase."""
    position: int
    """Its place in the block; the coinbase has 0."""


@dataclass(slots=True)
class Index:
    """The active chain, indexed. ``connect`` and ``disconnect`` are exact opposites."""

    hashes: list[str] = field(default_factory=lambda: [GENESIS_HASH])
    """Block hashes by height."""
    times: list[int] = field(default_factory=lambda: [GENESIS_TIME])
    """Block times by height."""
    coins: dict[OutPoint, Coin] = field(default_factory=dict)
    """Every unspent output, except those that nobody can ever spend."""
    by_script: dict[bytes, set[OutPoint]] = field(default_factory=dict)
    """The same coins by the script that locks them."""
    history: dict[bytes, list[OutPoint]] = field(default_factory=dict)
    """Script → every output that ever paid it, spent or not, in the order of the chain."""
    scripts: dict[bytes, bytes] = field(default_factory=dict)
    """SHA-256 of each script in ``history`` → the script: how light wallets ask."""
    transactions: dict[str, Confirmed] = field(default_factory=dict)
    """Every confirmed transaction."""
    spenders: dict[OutPoint, str] = field(default_factory=dict)
    """Spent output → the confirmed transaction that spends it."""
    _undo: list[tuple[Coin, ...]] = field(default_factory=lambda: [()])
    """By height, the coins the block spent, in the order it spent them."""

    @property
    def height(self) -> int:
        """Height of the tip."""
        return len(self.hashes) - 1

    def median_time(self, height: int) -> int:
        """Median time past of the block at ``height``: the clock that time locks read (BIP113)."""
        return median_time(self.times[max(0, height - 10) : height + 1])

    def connect(self, block: ParsedBlock) -> None:
        """Add the block on top of the tip."""
        assert block.previous == self.hashes[-1], "blocks connect in order"
        height = len(self.hashes)
        spent: list[Coin] = []
        for position, (tx, txid) in enumerate(zip(block.transactions, block.txids, strict=True)):
            taken = 0
            if position:
                for tx_in in tx.vin:
                    outpoint = OutPoint(tx_in.prev_out.tx_id.hex(), tx_in.prev_out.vout)
                    coin = self._remove(outpoint)
                    taken += coin.sats
                    spent.append(coin)
                    self.spenders[outpoint] = txid
            given = 0
            for vout, tx_out in enumerate(tx.vout):
                given += tx_out.value
                script = tx_out.script_pub_key.script
                if not is_unspendable(script):
                    outpoint = OutPoint(txid, vout)
                    self._add(Coin(outpoint, Sats(tx_out.value), script, height, position == 0))
                    if script not in self.history:
                        self.history[script] = []
                        self.scripts[sha256(script).digest()] = script
                    self.history[script].append(outpoint)
            fee = Sats(taken - given if position else 0)
            raw = tx.serialize(include_witness=True)
            self.transactions[txid] = Confirmed(height, raw, fee, position)
        self.hashes.append(block.hash)
        self.times.append(block.time)
        self._undo.append(tuple(spent))

    def disconnect(self, block: ParsedBlock) -> None:
        """Take the tip off again."""
        assert block.hash == self.hashes[-1], "blocks disconnect from the tip"
        spent = self._undo.pop()
        self.hashes.pop()
        self.times.pop()
        unread = len(spent)
        for position in reversed(range(len(block.transactions))):
            tx, txid = block.transactions[position], block.txids[position]
            for vout, tx_out in enumerate(tx.vout):
                script = tx_out.script_pub_key.script
                if not is_unspendable(script):
                    self._remove(OutPoint(txid, vout))
                    self.history[script].pop()  # one of the newest: blocks leave from the tip
                    if not self.history[script]:
                        del self.history[script]
                        del self.scripts[sha256(script).digest()]
            if position:
                unread -= len(tx.vin)
                for coin in spent[unread : unread + len(tx.vin)]:
                    self._add(coin)
                    del self.spenders[coin.outpoint]
            del self.transactions[txid]

    def paying(self, script_pubkey: bytes) -> Iterator[Coin]:
        """Coins locked by one script, oldest first; ties by outpoint, whatever the history."""
        coins = [self.coins[each] for each in self.by_script.get(script_pubkey, ())]
        return iter(sorted(coins, key=lambda coin: (coin.height, coin.outpoint)))

    def _add(self, coin: Coin) -> None:
        self.coins[coin.outpoint] = coin
        self.by_script.setdefault(coin.script_pubkey, set()).add(coin.outpoint)

    def _remove(self, outpoint: OutPoint) -> Coin:
        coin = self.coins.pop(outpoint)
        peers = self.by_script[coin.script_pubkey]
        peers.remove(outpoint)
        if not peers:
            del self.by_script[coin.script_pubkey]
        return coin
