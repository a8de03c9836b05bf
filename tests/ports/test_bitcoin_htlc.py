"""A hash time lock on the chain itself: who takes the coins, when, and for how many bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256

import pytest

from escrow.adapters.bitcoin import psbt as bip174
from escrow.adapters.bitcoin.htlc import HashTimeLock, Way, sats_of, shown_in
from escrow.adapters.bitcoin.keys import Keys
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.adapters.bitcoin.psbt_data import Psbt, unshared
from escrow.adapters.bitcoin.types import OutPoint
from escrow.adapters.bitcoin.wallet import Wallet
from escrow.core.errors import BadInput, Refused
from escrow.core.units import Sats, Seconds

BEGIN = 1_600_000_000
"""Block time, seconds."""
OPENS = Seconds(BEGIN + 200 * 600)
SECRET = b"\x5e" * 32
DIGEST = sha256(SECRET).digest()
CLAIMER, REFUNDER, THIEF = (Keys(bytes([number]) * 32) for number in (1, 2, 3))
SATS, FEERATE = Sats(1_000_000), 2
VBYTES = {"lock": 153, "claim": 139, "refund": 131}
"""One coin in; out: the script and change, or one P2WPKH output."""


class Chain:
    """A node on which the refunder, a miner, has locked coins."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.claimers, self.refunders = (Wallet(keys, node=node) for keys in (CLAIMER, REFUNDER))
        for i in range(102):
            script = self.refunders.script_pubkey if i < 2 else None
            node.mine(time=BEGIN + 600 * i, script_pubkey=script)
        self.lock = made()
        self.locking = self.refunders.pay([(self.lock.script_pubkey, SATS)], feerate=FEERATE)
        node.broadcast(self.locking)
        self.mine()
        [coin] = node.coins(self.lock.script_pubkey)
        self.coin = coin.outpoint

    def mine(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            self.node.mine(time=self.node.tip_time + 600)

    def claim(self, keys: Keys = CLAIMER, secret: bytes = SECRET) -> bytes:
        return self.lock.claim(
            self.coin,
            prev_tx=self.locking,
            to=self.claimers.script_pubkey,
            feerate=FEERATE,
            keys=keys,
            secret=secret,
        )

    def refund(self, keys: Keys = REFUNDER, lock: HashTimeLock | None = None) -> bytes:
        return (lock or self.lock).refund(
            self.coin,
            prev_tx=self.locking,
            to=self.refunders.script_pubkey,
            feerate=FEERATE,
            keys=keys,
        )


def made(**changes: object) -> HashTimeLock:
    parts = {
        "claimer": CLAIMER.vault_key(7),
        "refunder": REFUNDER.vault_key(7),
        "digest": DIGEST,
        "refund_after": OPENS,
    }
    return HashTimeLock.create(**parts | changes)  # type: ignore[arg-type]


@pytest.fixture
def chain() -> Iterator[Chain]:
    with Node() as node:
        yield Chain(node)


def refuses(code: str, act: Callable[[], object]) -> None:
    with pytest.raises((Refused, BadInput)) as caught:
        act()
    assert caught.value.code == code


def test_the_claimer_takes_the_coins_at_once_and_shows_the_secret(chain: Chain) -> None:
    raw = chain.claim()
    assert shown_in(raw, DIGEST) == SECRET
    assert shown_in(chain.locking, DIGEST) is None
    chain.node.broadcast(raw)
    chain.mine()
    assert chain.claimers.balance() == SATS - FEERATE * VBYTES["claim"]


def test_the_refunder_takes_them_back_when_the_time_has_come(chain: Chain) -> None:
    raw = chain.refund()
    refuses("bitcoin/non-final", lambda: chain.node.broadcast(raw))
    while chain.node.median_time <= OPENS:
        refuses("bitcoin/non-final", lambda: chain.node.broadcast(raw))
        chain.mine()
    chain.node.broadcast(raw)
    chain.mine()
    assert not chain.node.coins(chain.lock.script_pubkey)
    assert shown_in(raw, DIGEST) is None


def test_bitcoin_has_no_end_of_the_claim(chain: Chain) -> None:
    chain.mine(300)
    chain.node.broadcast(chain.claim())
    chain.mine()
    refuses("bitcoin/missing-input", lambda: chain.node.broadcast(chain.refund()))


def test_what_it_takes_in_bytes(chain: Chain) -> None:
    made = {"lock": chain.locking, "claim": chain.claim(), "refund": chain.refund()}
    assert {name: read_transaction(raw).vsize for name, raw in made.items()} == VBYTES
    script = chain.claimers.script_pubkey
    for way in Way:
        assert chain.lock.vsize(way, script) == VBYTES[way.value]


def test_nobody_else_signs(chain: Chain) -> None:
    for keys in (THIEF, REFUNDER):
        refuses("psbt/no-key", lambda keys=keys: chain.claim(keys))
    for keys in (THIEF, CLAIMER):
        refuses("psbt/no-key", lambda keys=keys: chain.refund(keys))


@pytest.mark.parametrize("wrong", [bytes(32), SECRET[:31], SECRET + b"\0", b"", DIGEST])
def test_another_secret_makes_no_claim_and_is_not_repeated(chain: Chain, wrong: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        chain.claim(secret=wrong)
    assert (caught.value.code, caught.value.facts) == (
        "swap/preimage",
        {"preimage_bytes": len(wrong)},
    )


def put(raw: bytes, items: list[bytes]) -> bytes:
    """The same transaction with another witness, its script left last."""
    tx = read_transaction(raw)
    stack = tx.vin[0].script_witness.stack
    witness = replace(tx.vin[0].script_witness, stack=[*items, stack[-1]])
    tx.vin[0] = replace(tx.vin[0], script_witness=witness)
    return bytes(tx.serialize(include_witness=True))


def test_the_chain_itself_refuses_another_witness(chain: Chain) -> None:
    """Past the adapter: the kernel judges what no tool of ours would make."""
    raw = chain.claim()
    signature = next(item for item in stack_of(raw) if len(item) > 60)
    back = chain.refund()
    refunds = next(item for item in stack_of(back) if len(item) > 60)
    for items in (
        [bytes(32), signature],
        [SECRET[:31], signature],
        [SECRET + b"\0", signature],
        [b"", signature],
        [SECRET, b""],
        [SECRET, refunds],
        [refunds, b""],
    ):
        refuses("bitcoin/script", lambda items=items: chain.node.broadcast(put(raw, items)))
    assert stack_of(put(raw, [SECRET, signature])) == stack_of(raw)
    chain.node.broadcast(put(raw, [SECRET, signature]))


def stack_of(raw: bytes) -> list[bytes]:
    return list(read_transaction(raw).vin[0].script_witness.stack)


def test_a_refund_that_names_an_earlier_time_is_refused_by_the_script(chain: Chain) -> None:
    """The lock is in the script, not only in the transaction that spends it."""
    early = bip174.create(
        [chain.coin],
        outputs=[(chain.refunders.script_pubkey, Sats(SATS - 1_000))],
        locktime=BEGIN,
    )
    asked = bip174.update(early, owner=chain.lock, prev_txs=[chain.locking])
    refuses("psbt/no-key", lambda: bip174.sign(asked, keys=REFUNDER))
    inner = unshared(asked._inner)
    signed = bip174.sign(Psbt(inner), keys=CLAIMER)
    refuses("psbt/incomplete", lambda: bip174.finalize(signed))


def test_the_same_words_for_the_same_lock() -> None:
    assert made() == made()
    for change in (
        {"digest": sha256(b"other").digest()},
        {"refund_after": Seconds(OPENS + 1)},
        {"claimer": CLAIMER.vault_key(8)},
        {"refunder": REFUNDER.vault_key(8)},
    ):
        assert made(**change).address != made().address


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"refunder": CLAIMER.vault_key(7)}, "bitcoin/key"),
        ({"digest": bytes(31)}, "swap/terms"),
        ({"refund_after": Seconds(499_999_999)}, "input/time"),
        ({"refund_after": Seconds(2**31)}, "input/time"),
    ],
)
def test_a_lock_that_makes_no_sense(change: dict[str, object], code: str) -> None:
    refuses(code, lambda: made(**change))


def test_dust_is_not_worth_a_claim(chain: Chain) -> None:
    refuses(
        "bitcoin/funds",
        lambda: chain.lock.claim(
            chain.coin,
            prev_tx=chain.locking,
            to=chain.claimers.script_pubkey,
            feerate=SATS // VBYTES["claim"],
            keys=CLAIMER,
            secret=SECRET,
        ),
    )


def test_an_output_that_is_not_there(chain: Chain) -> None:
    refuses("bitcoin/transaction", lambda: sats_of(OutPoint(chain.coin.txid, 9), chain.locking))
