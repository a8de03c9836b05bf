"""The laboratory's chain: a node, money to fund vaults from, and a clock made of blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from escrow.adapters.bitcoin import block, psbt
from escrow.adapters.bitcoin.keys import Keys, derive_seed
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.adapters.bitcoin.types import COINBASE_MATURITY, Coin
from escrow.adapters.bitcoin.vault import compile_vault
from escrow.config import FIRST_BLOCK_TIME
from escrow.core.errors import Refused
from escrow.core.units import Sats
from escrow.custody.policy import KeyKind, Path, Policy, Role, ScriptKind

SINGLE: Final = Policy(
    name="single-signature",
    title="One key",
    about="What everything else is measured by: nothing on Bitcoin is spent in fewer bytes.",
    source="BIP-86",
    script=ScriptKind.TR,
    roles=(Role("owner", "owner", KeyKind.SOFTWARE),),
    paths=(Path("close", 1, ("owner",)),),
)
"""A taproot key path. The lab's own money is kept so."""
FEERATE: Final = 2
"""Sat/vB of everything that is sent."""

_STEP: Final = 10
"""Seconds between blocks: even the shortest relative lock, 512 s, is shut while a coin is fresh."""


class LabChain:
    """A ripe chain that starts on 2012-01-01. Close it."""

    def __init__(self, *, seed: int) -> None:
        """Keys and everything that follows from them depend on ``seed``."""
        self.seed = derive_seed(b"escrow/vault-lab", name=str(seed))
        """Root of all keys."""
        self.node = Node()
        """Bitcoin."""
        self._forced = 0
        self._keys = self.role_keys("the lab")
        self._bank = compile_vault(SINGLE, keys={"owner": self._keys.vault_key()}, moments={})
        for _ in range(COINBASE_MATURITY + 1):
            self.mine(script=self._bank.script_pubkey)

    def __repr__(self) -> str:
        return f"LabChain(height={self.node.height})"

    def role_keys(self, role: str) -> Keys:
        """The wallet of a role: one of its own each, whoever holds it.

        What is no role has a name with a blank in it, which no role can have.
        """
        return Keys(derive_seed(self.seed, name=role))

    def advance(self, to: int) -> None:
        """Mine until Bitcoin's own clock, the median of eleven blocks, has passed ``to``."""
        while self.node.median_time <= to:
            self.mine(time=max(to + 1, self.node.median_time + 1))

    def pay(self, outputs: Sequence[tuple[bytes, Sats]]) -> bytes:
        """From the lab's own money: one taproot input, change back to it last."""
        ripe = self.node.height + 1 - COINBASE_MATURITY
        mine = self.node.coins(self._bank.script_pubkey)
        coin = max(
            (each for each in mine if not each.coinbase or each.height <= ripe),
            key=lambda each: (each.sats, each.outpoint),
        )
        scripts = [script for script, _ in outputs]
        fee = FEERATE * self._bank.vsize("close", 1, [*scripts, self._bank.script_pubkey])
        change = Sats(coin.sats - sum(sats for _, sats in outputs) - fee)
        bare = psbt.create([coin.outpoint], outputs=[*outputs, (self._bank.script_pubkey, change)])
        draft = psbt.update(bare, owner=self._bank, prev_txs=self.prev(coin))
        return psbt.extract(psbt.finalize(psbt.sign(draft, keys=self._keys)))

    def confirm(self, raw: bytes) -> str:
        """Send a transaction and mine it; its id. Raises as ``Node.broadcast``."""
        txid = self.node.broadcast(raw)
        self.mine()
        assert self.node.depth(txid) == 1
        return txid

    def force(self, raw: bytes) -> str:
        """Put it into a block, as a miner could who keeps no policy: the kernel's reason, if any.

        What a node does not relay is not yet forbidden; only the kernel's word decides.
        """
        self._forced += 1
        found = block.build(
            self.node.tip_hash,
            height=self.node.height + 1,
            time=self.node.tip_time + _STEP,
            transactions=[read_transaction(raw)],
            fees=0,
            script_pubkey=block.MINER_SCRIPT,
            # Two attempts must not end in one block: the kernel judges a block once.
            extra_nonce=self._forced.to_bytes(8, "big"),
        )
        try:
            self.node.submit_block(found.raw)
        except Refused as refusal:
            # The kernel goes on to say which input of which transaction.
            said = str(refusal.facts["reason"]).partition(", input ")[0]
            return said.partition(f" {read_transaction(raw).id.hex()}")[0]
        return ""

    def prev(self, coin: Coin) -> list[bytes]:
        """The transaction that created a coin."""
        raw = self.node.transaction(coin.outpoint.txid)
        return [] if raw is None else [raw]

    def mine(self, *, time: int = 0, script: bytes | None = None) -> None:
        """One block, soon after the last or at ``time`` if that is later."""
        start = max(self.node.tip_time, FIRST_BLOCK_TIME)
        self.node.mine(time=max(time, start + _STEP), script_pubkey=script)
