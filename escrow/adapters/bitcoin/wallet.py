"""A party's own coins: one P2WPKH address, spent through the same PSBT roles as the vault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from escrow.adapters.bitcoin import psbt
from escrow.adapters.bitcoin.keys import Keys
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.policy import MIN_FEERATE
from escrow.adapters.bitcoin.types import COINBASE_MATURITY, Coin, OutPoint
from escrow.adapters.bitcoin.vault import address_of, dust
from escrow.core.errors import Refused
from escrow.core.units import Sats

_OVERHEAD: Final = 4 * (4 + 4 + 1 + 1) + 2  # weight: version, locktime, two counts; segwit marker
_INPUT: Final = 4 * (36 + 1 + 4) + 1 + 1 + 71 + 1 + 33  # outpoint, script, sequence; low-R witness
_LONG_COUNT: Final = 4 * 2  # a count from 253 on takes three bytes


class Wallet:
    """Spends what a node says belongs to one key. Holds no state: the chain is the ledger."""

    __slots__ = ("_key", "_keys", "_node", "script_pubkey")

    def __init__(self, keys: Keys, *, node: Node, index: int = 0) -> None:
        """The wallet of key ``m/84h/1h/0h/0/index``."""
        self._keys = keys
        self._node = node
        self._key = keys.wallet_key(index)
        self.script_pubkey = self._key.script_pubkey
        """The script of its address."""

    def __repr__(self) -> str:
        return f"Wallet({self.address})"

    @property
    def address(self) -> str:
        """Where to pay it, ``bcrt1q…``."""
        return address_of(self.script_pubkey)

    def balance(self) -> Sats:
        """Sats it can spend now: confirmed, mature, and not on their way out."""
        return Sats(sum(coin.sats for coin in self.coins()))

    def coins(self) -> list[Coin]:
        """The coins behind ``balance``, largest first; ties by age and outpoint."""
        mature = self._node.height + 1 - COINBASE_MATURITY
        free = [
            coin
            for coin in self._node.coins(self.script_pubkey)
            if (not coin.coinbase or coin.height <= mature)
            and self._node.spender(coin.outpoint) is None
        ]
        return sorted(free, key=lambda coin: (-coin.sats, coin.height, coin.outpoint))

    def pay(self, outputs: Sequence[tuple[bytes, Sats]], *, feerate: int = MIN_FEERATE) -> bytes:
        """A signed transaction that pays ``outputs``, to be broadcast.

        ``feerate`` is sat/vB. Largest coins first, so few inputs; change comes back as the last
        output unless it would be dust, which goes to the miner. Raises Refused("bitcoin/funds").
        """
        wanted = sum(sats for _, sats in outputs)
        chosen: list[Coin] = []
        for coin in self.coins():
            chosen.append(coin)
            left = sum(each.sats for each in chosen) - wanted
            if left >= feerate * self._vsize(len(chosen), [script for script, _ in outputs]):
                break
        else:
            raise Refused("bitcoin/funds", wanted=wanted, balance=self.balance())
        scripts = [*(script for script, _ in outputs), self.script_pubkey]
        change = Sats(left - feerate * self._vsize(len(chosen), scripts))
        paid = list(outputs)
        if change >= dust(self.script_pubkey):
            paid.append((self.script_pubkey, change))
        return self._signed([coin.outpoint for coin in chosen], paid)

    def _signed(self, inputs: list[OutPoint], outputs: Sequence[tuple[bytes, Sats]]) -> bytes:
        prev_txs = [self._node.transaction(txid) for txid in sorted({each.txid for each in inputs})]
        draft = psbt.update(
            psbt.create(inputs, outputs=outputs),
            owner=self._key,
            prev_txs=[raw for raw in prev_txs if raw is not None],
        )
        return psbt.extract(psbt.finalize(psbt.sign(draft, keys=self._keys)))

    @staticmethod
    def _vsize(inputs: int, scripts: Sequence[bytes]) -> int:
        weight = _OVERHEAD + inputs * _INPUT + _LONG_COUNT * (inputs > 252)
        weight += sum(4 * (8 + 1 + len(script)) for script in scripts)
        return -(-weight // 4)
