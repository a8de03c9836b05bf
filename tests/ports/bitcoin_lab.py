"""Short words for Bitcoin tests: a ripe chain, coins that anyone may spend, three parties."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from btclib.script.witness import Witness
from btclib.tx import OutPoint as TxOutPoint
from btclib.tx import Tx, TxIn, TxOut

from escrow.adapters.bitcoin import psbt
from escrow.adapters.bitcoin.block import MINER_SCRIPT
from escrow.adapters.bitcoin.keys import Keys
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.psbt import Psbt
from escrow.adapters.bitcoin.types import Coin, OutPoint
from escrow.adapters.bitcoin.vault import Vault
from escrow.core.units import COIN, DAY, Sats, Seconds

START = 1_700_000_000
"""Block time of height 1; every block is ten minutes after the one before."""
STEP = 600
SUBSIDY = 50 * COIN
P2WPKH = b"\x00\x14" + bytes(range(20))
P2WSH = b"\x00\x20" + bytes(range(32))
N = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
"""Order of secp256k1 (SEC 2)."""


def grow(node: Node, blocks: int = 1, *, script: bytes | None = None) -> None:
    for _ in range(blocks):
        node.mine(time=max(START, node.tip_time) + STEP, script_pubkey=script)


def ripe() -> Node:
    """A chain whose first reward can be spent in the next block."""
    node = Node()
    grow(node, 100)
    return node


def free_coins(node: Node) -> list[Coin]:
    """Mature rewards that anyone may spend and nobody does, oldest first."""
    return [
        coin
        for coin in node.coins(MINER_SCRIPT)
        if (not coin.coinbase or node.height + 1 - coin.height >= 100)
        and node.spender(coin.outpoint) is None
    ]


def spend(
    inputs: Sequence[OutPoint],
    outputs: Sequence[tuple[bytes, int]],
    *,
    version: int = 2,
    locktime: int = 0,
    sequence: int = 0xFFFFFFFF,
    witness: Sequence[bytes] = (b"\x51",),
) -> bytes:
    """A transaction that spends miners' coins: their witness is the script OP_TRUE itself."""
    tx = Tx(
        version,
        locktime,
        [
            TxIn(TxOutPoint(each.txid, each.vout), b"", sequence, Witness(list(witness)))
            for each in inputs
        ],
        [TxOut(sats, script, check_validity=False) for script, sats in outputs],
        check_validity=False,
    )
    return tx.serialize(include_witness=True, check_validity=False)


def pay(node: Node, script: bytes = P2WPKH, *, sats: int = COIN, fee: int = 1_000) -> bytes:
    """Spend the oldest free coin: ``sats`` to ``script``, the rest back to anyone."""
    coin = free_coins(node)[0]
    return spend([coin.outpoint], [(script, sats), (MINER_SCRIPT, coin.sats - sats - fee)])


def txid_of(raw: bytes) -> str:
    return Tx.parse(raw).id.hex()


def high_s(signature: bytes) -> bytes:
    """The same signature with the other ``s``; ``signature`` is DER and a sighash byte."""
    length = signature[3]
    r, s = signature[4 : 4 + length], signature[4 + length + 2 : -1]
    other = (N - int.from_bytes(s, "big")).to_bytes(33, "big")
    other = other.lstrip(b"\x00")
    if other[0] & 0x80:
        other = b"\x00" + other
    body = b"\x02" + bytes([len(r)]) + r + b"\x02" + bytes([len(other)]) + other
    return b"\x30" + bytes([len(body)]) + body + signature[-1:]


def with_witness(raw: bytes, index: int, stack: Sequence[bytes]) -> bytes:
    tx = Tx.parse(raw)
    tx.vin[index].script_witness = Witness(list(stack))
    return tx.serialize(include_witness=True)


def party(name: str) -> Keys:
    return Keys(sha256(name.encode()).digest())


BORROWER, LENDER, CUSTODIAN, STRANGER = map(party, ("borrower", "lender", "custodian", "stranger"))


def make_vault(index: int = 0, *, recover_after: int = START + 365 * DAY) -> Vault:
    return Vault.create(
        borrower=BORROWER.vault_key(index),
        lender=LENDER.vault_key(index),
        custodian=CUSTODIAN.vault_key(index),
        recovery=BORROWER.recovery_key(index),
        recover_after=Seconds(recover_after),
    )


def deposit(node: Node, vault: Vault, *, sats: int = COIN) -> Coin:
    """A confirmed coin in the vault."""
    txid = node.broadcast(pay(node, vault.script_pubkey, sats=sats))
    grow(node)
    return next(coin for coin in node.coins(vault.script_pubkey) if coin.outpoint.txid == txid)


def draft(
    node: Node,
    vault: Vault,
    coins: Sequence[Coin],
    *,
    to: bytes = P2WPKH,
    fee: int = 400,
    locktime: int = 0,
) -> Psbt:
    """An unsigned, described PSBT that pays everything to ``to``."""
    sats = Sats(sum(coin.sats for coin in coins) - fee)
    bare = psbt.create([coin.outpoint for coin in coins], outputs=[(to, sats)], locktime=locktime)
    return psbt.update(bare, owner=vault, prev_txs=prev_txs(node, coins))


def prev_txs(node: Node, coins: Sequence[Coin]) -> list[bytes]:
    found = [node.transaction(coin.outpoint.txid) for coin in coins]
    return [raw for raw in found if raw is not None]


def close(unsigned: Psbt, *signers: Keys) -> bytes:
    """Let parties sign apart, and build the transaction."""
    copies = [psbt.sign(unsigned, keys=keys) for keys in signers]
    return psbt.extract(psbt.finalize(psbt.combine(copies)))
