"""A party's own coins: one P2WPKH address, spent through the same PSBT roles as the vault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from btclib.tx import Tx

from escrow.adapters.bitcoin import psbt
from escrow.adapters.bitcoin.exits import LOW_R_SIGNATURE, vsize_of, witness_size
from escrow.adapters.bitcoin.keys import Keys
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.policy import MIN_FEERATE, read_transaction
from escrow.adapters.bitcoin.types import COINBASE_MATURITY, Coin, OutPoint
from escrow.adapters.bitcoin.vault import address_of, dust
from escrow.core.errors import Refused, Rejected
from escrow.core.units import Sats

_WITNESS: Final = witness_size([LOW_R_SIGNATURE, 33])
"""Bytes of a P2WPKH input's witness: signature and key (BIP-141)."""


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

    def sign(self, bare: psbt.Psbt, *, prev_txs: Sequence[bytes]) -> psbt.Psbt:
        """Describe and sign this wallet's own coins in a transaction that others take part in.

        ``prev_txs`` are the transactions that created all the coins it spends. Raises as
        ``psbt.update`` and ``psbt.sign``.
        """
        return psbt.sign(psbt.update(bare, owner=self._key, prev_txs=prev_txs), keys=self._keys)

    def is_paid_by(self, raw: bytes) -> bool:
        """Does a transaction pay this wallet?"""
        outputs = read_transaction(raw).vout
        return any(each.script_pub_key.script == self.script_pubkey for each in outputs)

    def child(self, parent: bytes, *, feerate: int, most: Sats | None = None) -> bytes:
        """A signed transaction that spends what ``parent`` pays this wallet, back to it, at a fee
        that brings the two together to ``feerate`` sat/vB (CPFP). The parent need not be known to
        the node, but what it spends must be.

        Raises Refused("bitcoin/funds") if the parent pays too little for that, or nothing;
        Rejected("payout/fee") above ``most`` sats.
        """
        tx = read_transaction(parent)
        txid, mine = tx.id.hex(), self.script_pubkey
        found = [n for n, each in enumerate(tx.vout) if each.script_pub_key.script == mine]
        paid = sum(tx.vout[n].value for n in found)
        vsize = self._vsize(len(found), [mine])
        fee = max(vsize * MIN_FEERATE, feerate * (tx.vsize + vsize) - self._fee_of(tx))
        if most is not None and fee > most:
            raise Rejected("payout/fee", fee=fee, bound=most)
        if paid - fee < dust(mine):
            raise Refused("bitcoin/funds", wanted=fee, balance=paid)
        inputs = [OutPoint(txid, n) for n in found]
        return self._signed(inputs, [(mine, Sats(paid - fee))], known={txid: parent})

    def _fee_of(self, tx: Tx) -> Sats:
        raws = [self._node.transaction(each.prev_out.tx_id.hex()) for each in tx.vin]
        if None in raws:
            raise Refused("bitcoin/missing-input", txid=tx.id.hex())
        spent = zip(tx.vin, (read_transaction(raw) for raw in raws if raw), strict=True)
        taken = sum(prev.vout[each.prev_out.vout].value for each, prev in spent)
        return Sats(taken - sum(each.value for each in tx.vout))

    def _signed(
        self,
        inputs: list[OutPoint],
        outputs: Sequence[tuple[bytes, Sats]],
        *,
        known: Mapping[str, bytes] = MappingProxyType({}),
    ) -> bytes:
        txids = sorted({each.txid for each in inputs})
        prev_txs = [known.get(txid) or self._node.transaction(txid) for txid in txids]
        draft = psbt.update(
            psbt.create(inputs, outputs=outputs),
            owner=self._key,
            prev_txs=[raw for raw in prev_txs if raw is not None],
        )
        return psbt.extract(psbt.finalize(psbt.sign(draft, keys=self._keys)))

    @staticmethod
    def _vsize(inputs: int, scripts: Sequence[bytes]) -> int:
        return vsize_of(inputs, outputs=scripts, witness=_WITNESS)
