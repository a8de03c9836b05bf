"""A user's own ``bitcoind -regtest`` as the Bitcoin of a world's parties, over JSON-RPC.

Core judges blocks and transactions; what it cannot be asked (a script's history, who spent an
output) an index beside it answers, which follows Core's chain block by block as ``Node``'s follows
the kernel's. So neither ``-txindex`` nor a wallet is needed, only a node that is not pruned.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Final, Self

from btclib.tx import Tx, TxIn

from escrow.adapters.bitcoin.fees import MAX_TARGET
from escrow.adapters.bitcoin.kernel import verify_scripts
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.adapters.bitcoin.rpc_client import RpcClient, RpcError, refused, words
from escrow.adapters.bitcoin.rpc_follow import Follower, member, outpoint_of
from escrow.adapters.bitcoin.types import Coin, OutPoint
from escrow.core.errors import BadInput, Refused
from escrow.core.units import COIN, Sats

URL: Final = "http://127.0.0.1:18443"
"""Where ``bitcoind -regtest`` listens unless told otherwise."""

_DECODE: Final = -22  # RPC_DESERIALIZATION_ERROR
_VERIFY: Final = (-25, -26)  # RPC_VERIFY_ERROR, RPC_VERIFY_REJECTED
_IN_CHAIN: Final = -27  # RPC_VERIFY_ALREADY_IN_UTXO_SET
_SCRIPT: Final = "mempool-script-verify-flag-failed"

# Core's words for a refused transaction, by how they start (validation.cpp, policy.cpp,
# tx_verify.cpp); the first that fits counts.
_REASONS: Final = (
    ("bad-txns-inputs-missingorspent", "bitcoin/missing-input"),
    ("missing-inputs", "bitcoin/missing-input"),
    ("min relay fee not met", "bitcoin/fee"),
    ("mempool min fee not met", "bitcoin/fee"),
    ("max-fee-exceeded", "bitcoin/fee"),
    ("Fee exceeds maximum", "bitcoin/fee"),
    ("dust", "bitcoin/dust"),
    ("non-final", "bitcoin/non-final"),
    ("non-BIP68-final", "bitcoin/non-final"),
    ("bad-txns-premature-spend-of-coinbase", "bitcoin/immature"),
    ("bad-txns-in-belowout", "bitcoin/amount"),
    ("bad-txns-inputvalues-outofrange", "bitcoin/amount"),
    ("mandatory-script-verify-flag-failed", "bitcoin/script"),
)
# Core's words where another transaction that waits spends the same coin (BIP-125, v31's diagrams).
_RIVALS: Final = (
    "bad-txns-spends-conflicting-tx",
    "txn-mempool-conflict",
    "insufficient fee",
    "replacement-",
    "too many potential replacements",
)


class RpcNode:
    """``BitcoinPort`` on a running node. Every query looks at Core first; nothing is written.

    Every method raises Refused: "rpc/unreachable" if the node does not answer, "rpc/refused" if it
    answers otherwise than a regtest node does.
    """

    def __init__(
        self,
        url: str = URL,
        *,
        cookie: Path | None = None,
        user: str | None = None,
        password: str | None = None,
    ) -> None:
        """Connect to ``url`` with Core's cookie file, or a user and a password.

        Raises BadInput("http/address") if the URL is malformed or the credentials are half there,
        Refused("rpc/refused") if the node is of another network or pruned.
        """
        self._rpc = RpcClient(url, cookie=cookie, user=user, password=password)
        self._follower = Follower(self._rpc)
        about = self._rpc.call("getblockchaininfo")
        chain = about.get("chain") if isinstance(about, dict) else None
        if not isinstance(about, dict) or chain != "regtest":
            raise Refused("rpc/refused", chain=str(chain)[:20], wanted="regtest")
        if about.get("pruned"):
            raise Refused("rpc/refused", reason="the node is pruned")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The node that ``ESCROW_BITCOIND_URL`` names.

        Credentials are ``ESCROW_BITCOIND_COOKIE`` (a path), or ``ESCROW_BITCOIND_USER`` and
        ``ESCROW_BITCOIND_PASSWORD``. Raises as the constructor does.
        """
        cookie = environment.get("ESCROW_BITCOIND_COOKIE")
        return cls(
            environment.get("ESCROW_BITCOIND_URL", URL),
            cookie=Path(cookie) if cookie else None,
            user=environment.get("ESCROW_BITCOIND_USER"),
            password=environment.get("ESCROW_BITCOIND_PASSWORD"),
        )

    def __repr__(self) -> str:
        return f"RpcNode({self._rpc.url})"

    @property
    def height(self) -> int:
        """Height of the tip; 0 is the genesis block."""
        return self._follower.look().height

    @property
    def tip_hash(self) -> str:
        """Hash of the tip."""
        return self._follower.look().hashes[-1]

    def coin(self, outpoint: OutPoint) -> Coin | None:
        """The confirmed, unspent output there, or None."""
        return self._follower.look().coins.get(outpoint)

    def coins(self, script_pubkey: bytes) -> tuple[Coin, ...]:
        """Confirmed, unspent outputs to a script, oldest first, spent in the mempool or not."""
        return tuple(self._follower.look().paying(script_pubkey))

    def pending(self, script_pubkey: bytes) -> tuple[Coin, ...]:
        """Unconfirmed, unspent outputs to a script, in the order in which this object saw them."""
        self._follower.look()
        spent = self._follower.spenders()
        return tuple(
            Coin(each, self._value(each), script_pubkey, 0, False)
            for each in self._received(script_pubkey)
            if each not in spent
        )

    def history(self, script_pubkey: bytes) -> tuple[OutPoint, ...]:
        """Every output that ever paid a script: the chain's in order, then the mempool's."""
        confirmed = self._follower.look().history.get(script_pubkey, ())
        return (*confirmed, *self._received(script_pubkey))

    def depth(self, txid: str) -> int | None:
        """Confirmations of a transaction; 0 in the mempool, None if unknown."""
        index = self._follower.look()
        if (confirmed := index.transactions.get(txid)) is not None:
            return index.height - confirmed.height + 1
        return 0 if txid in self._follower.mempool else None

    def waited(self, txid: str) -> int | None:
        """Blocks found while a transaction waited in the mempool; None if it is not there."""
        index = self._follower.look()
        waiting = self._follower.mempool.get(txid)
        return None if waiting is None else max(0, index.height - waiting.height)

    def estimate_feerate(self, blocks: int) -> int:
        """Sat/vB that should bring a transaction into one of the next ``blocks`` blocks.

        What Core's ``estimatesmartfee`` says, and one more than its floor at least: on a young
        chain it says nothing. Raises BadInput("input/amount") outside 1 to ``MAX_TARGET``.
        """
        if type(blocks) is not int or not 1 <= blocks <= MAX_TARGET:
            raise BadInput("input/amount", blocks=str(blocks)[:40], most=MAX_TARGET)
        smart = member(self._rpc.call("estimatesmartfee", blocks), "feerate")
        about = self._rpc.call("getmempoolinfo")
        floors = (member(about, "mempoolminfee"), member(about, "minrelaytxfee"))
        return max(_per_vbyte(smart), 1 + max(_per_vbyte(each) for each in floors))

    def transaction(self, txid: str) -> bytes | None:
        """A transaction of the chain or the mempool as it travels."""
        if (confirmed := self._follower.look().transactions.get(txid)) is not None:
            return confirmed.raw
        waiting = self._follower.mempool.get(txid)
        return waiting.raw if waiting else None

    def spender(self, outpoint: OutPoint) -> str | None:
        """Id of the transaction, confirmed or waiting, that spends this output."""
        return self._follower.look().spenders.get(outpoint) or self._follower.spenders().get(
            outpoint
        )

    def broadcast(self, raw: bytes) -> str:
        """Offer a transaction to Core's mempool; its txid. One that is known already is welcome.

        Raises BadInput("bitcoin/transaction") if it cannot be read, else Refused with the code that
        ``Node`` gives for the same rule, and Core's own words as ``reason``.
        """
        tx = read_transaction(raw)
        txid = tx.id.hex()
        if self.depth(txid) is not None:
            return txid
        try:
            self._rpc.ask("sendrawtransaction", raw.hex())
        except RpcError as error:
            if error.code == _IN_CHAIN:
                return txid
            if error.code == _DECODE:
                raise BadInput("bitcoin/transaction", reason=words(error)) from None
            if error.code in _VERIFY:
                code = self._code_for(words(error), tx, raw)
                raise Refused(code, reason=words(error)) from None
            raise refused(error, method="sendrawtransaction") from None
        return txid

    def _code_for(self, reason: str, tx: Tx, raw: bytes) -> str:
        for start, code in _REASONS:
            if reason.startswith(start):
                return code
        if reason.startswith(_RIVALS):
            pays_more = self._fee(tx) > sum(self._fee(each) for each in self._pushed_out(tx))
            return "bitcoin/replace" if pays_more else "bitcoin/conflict"
        if reason.startswith(_SCRIPT):
            # Since v30 Core says so of what no block may carry and of what it does not relay.
            spent = [self._spent(each) for each in tx.vin]
            known = [each for each in spent if each is not None]
            if len(known) == len(spent) and verify_scripts(raw, known) is not None:
                return "bitcoin/script"
        return "bitcoin/policy"

    def _fee(self, tx: Tx) -> int:
        taken = sum(found[1] for each in tx.vin if (found := self._spent(each)) is not None)
        return taken - sum(each.value for each in tx.vout)

    def _pushed_out(self, tx: Tx) -> list[Tx]:
        """Those that wait and spend a coin of ``tx``, and all that spend from them."""
        spenders = self._follower.spenders()
        unread = [outpoint_of(each) for each in tx.vin]
        found: dict[str, Tx] = {}
        while unread:
            txid = spenders.get(unread.pop())
            if txid is not None and txid not in found:
                found[txid] = self._follower.mempool[txid].tx
                unread += [OutPoint(txid, vout) for vout in range(len(found[txid].vout))]
        return list(found.values())

    def _spent(self, tx_in: TxIn) -> tuple[bytes, int] | None:
        outpoint = outpoint_of(tx_in)
        if (coin := self._follower.index.coins.get(outpoint)) is not None:
            return coin.script_pubkey, coin.sats
        parent = self._follower.mempool.get(outpoint.txid)
        if parent is None or outpoint.vout >= len(parent.tx.vout):
            return None
        output = parent.tx.vout[outpoint.vout]
        return output.script_pub_key.script, output.value

    def _received(self, script_pubkey: bytes) -> list[OutPoint]:
        return [
            OutPoint(txid, vout)
            for txid, waiting in self._follower.mempool.items()
            for vout, output in enumerate(waiting.tx.vout)
            if output.script_pub_key.script == script_pubkey
        ]

    def _value(self, outpoint: OutPoint) -> Sats:
        return Sats(self._follower.mempool[outpoint.txid].tx.vout[outpoint.vout].value)


def _per_vbyte(rate: object) -> int:
    """Core's BTC a thousand vbytes as sat/vB, rounded up; 0 for none."""
    if rate is None:
        return 0
    if not isinstance(rate, int | Decimal) or not 0 <= rate <= 1:
        raise Refused("rpc/refused", reason="not a feerate")
    return int((Decimal(rate) * (COIN // 1_000)).to_integral_value(ROUND_CEILING))
