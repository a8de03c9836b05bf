"""Pre-signed exits: what was signed up front is the only way out, for whom and when it was agreed.

Each exit is taken on a chain of its own.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from types import MappingProxyType

import pytest
from bitcoin_lab import (
    BORROWER,
    COIN,
    P2WPKH,
    START,
    STRANGER,
    deposit,
    grow,
    party,
    prev_txs,
    ripe,
    txid_of,
    with_witness,
)
from btclib.tx import Tx, TxOut
from hypothesis import given, settings
from hypothesis import strategies as st

from escrow.adapters.bitcoin import presigned, psbt
from escrow.adapters.bitcoin.ephemeral import EphemeralKey
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.presigned import PresignedSet, complete, cosign, exits, presign
from escrow.adapters.bitcoin.presigned_file import from_json, to_json
from escrow.adapters.bitcoin.psbt import Psbt, SigningKeys
from escrow.adapters.bitcoin.types import Coin, OutPoint
from escrow.adapters.bitcoin.vault import Vault, compile_vault
from escrow.core.errors import BadInput, EscrowError, Refused
from escrow.core.units import DAY, Sats, Seconds
from escrow.custody.policy import Moment, Policy
from escrow.custody.read import load_policy, read_policy

DEFAULT, RECOVERY = START + 180 * DAY, START + 365 * DAY
MOMENTS = {Moment.DEFAULT: Seconds(DEFAULT), Moment.RECOVERY: Seconds(RECOVERY)}
PRICES, PAYMENTS = party("price-oracle"), party("payment-oracle")
ORACLES = {"price-oracle": PRICES, "payment-oracle": PAYMENTS}
PAYEES = {"borrower": b"\x00\x14" + b"b" * 20, "lender": b"\x00\x14" + b"l" * 20}
SECRET = sha256(b"ephemeral").digest()
FEERATE = 3
VSIZE = 166
"""Of every exit of one coin, as the kernel's chain measured it."""

WITH_TOKENS = """
[policy]
name = "presigned-wsh"
title = "Two of two, with a way out for the borrower"
about = "A refund that both signed up front."
source = "a test"
script = "wsh"

[[role]]
name = "borrower"

[[role]]
name = "lender"

[[path]]
name = "close"
threshold = 2
roles = ["borrower", "lender"]

[[path]]
name = "payback"
threshold = 1
roles = ["lender"]
form = "presigned"
via = "close"
to = "borrower"
held_by = ["borrower"]

[[path]]
name = "refund"
threshold = 0
roles = []
older = "90d"
form = "presigned"
via = "close"
to = "borrower"
held_by = ["borrower"]
"""


def make_vault(
    *, ephemeral: EphemeralKey | None = None, policy: Policy | None = None, index: int = 0
) -> Vault:
    return compile_vault(
        policy or load_policy("presigned"),
        keys={
            "borrower-ephemeral": (ephemeral or EphemeralKey(SECRET)).vault_key,
            **{role: keys.vault_key(index) for role, keys in ORACLES.items()},
        },
        moments=MOMENTS,
    )


VAULT = make_vault()


def funded(vault: Vault = VAULT, *, sats: int = COIN) -> tuple[Node, Coin]:
    node = ripe()
    return node, deposit(node, vault, sats=sats)


def signed(
    node: Node, *coins: Coin, vault: Vault = VAULT, borrower: SigningKeys | None = None
) -> PresignedSet:
    return presign(
        vault,
        coins=[coin.outpoint for coin in coins],
        prev_txs=prev_txs(node, coins),
        payees=PAYEES,
        feerate=FEERATE,
        signers={"borrower-ephemeral": borrower or EphemeralKey(SECRET), **ORACLES},
    )


def wait(node: Node, until: int) -> None:
    """Blocks until time locks up to ``until`` are open: they read the median of eleven."""
    node.mine(time=until + 1)
    grow(node, 10)


def taken(exits_of: PresignedSet, name: str, *signers: str) -> bytes:
    copies = [cosign(exits_of, name, role=role, keys=ORACLES[role]) for role in signers]
    return complete(exits_of, name, copies=copies)


@pytest.fixture(scope="module")
def world() -> tuple[Node, Coin, PresignedSet]:
    node, coin = funded()
    return node, coin, signed(node, coin)


class TestExits:
    """Every way out of the shipped policy, each on its own chain."""

    @pytest.mark.parametrize(
        ("name", "signers", "payee", "opens"),
        [
            ("repayment", ["payment-oracle"], "borrower", 0),
            ("default", ["payment-oracle"], "lender", DEFAULT),
            ("liquidation", ["price-oracle", "payment-oracle"], "lender", 0),
            ("recover", [], "borrower", RECOVERY),
        ],
    )
    def test_is_taken_when_it_opens(self, name: str, signers: list[str], payee: str, opens: int):
        node, coin = funded()
        exits_of = signed(node, coin)
        raw = taken(exits_of, name, *signers)
        if opens:
            node.mine(time=opens)
            grow(node, 5)  # the median is still before the lock
            with pytest.raises(Refused, match="bitcoin/non-final"):
                node.broadcast(raw)
            wait(node, opens)
        txid = node.broadcast(raw)
        grow(node)
        paid = node.coins(PAYEES[payee])
        assert [each.outpoint.txid for each in paid] == [txid]
        assert paid[0].sats == COIN - FEERATE * VSIZE
        assert Tx.parse(raw).vsize == VSIZE

    def test_says_what_each_is(self, world: tuple[Node, Coin, PresignedSet]):
        _, _, exits_of = world
        rows = [(e.name, *e.to, e.locktime, e.signers, e.held_by) for e in exits(exits_of)]
        assert rows == [
            ("repayment", "borrower", 0, ("payment-oracle",), ("borrower",)),
            ("default", "lender", DEFAULT, ("payment-oracle",), ("lender",)),
            ("liquidation", "lender", 0, ("price-oracle", "payment-oracle"), ("lender",)),
            ("recover", "borrower", RECOVERY, (), ("borrower",)),
        ]
        for each in exits(exits_of):
            assert (each.vsize, each.fee) == (VSIZE, FEERATE * VSIZE)
            assert each.outputs == ((PAYEES[each.to[0]], COIN - FEERATE * VSIZE),)
            assert each.txid == exits_of.exits[each.name].txid

    def test_spends_all_coins_of_the_set(self):
        node = ripe()
        coins = [deposit(node, VAULT, sats=COIN), deposit(node, VAULT, sats=COIN // 2)]
        exits_of = signed(node, *coins)
        raw = taken(exits_of, "repayment", "payment-oracle")
        node.broadcast(raw)
        grow(node)
        (row,) = [each for each in exits(exits_of) if each.name == "repayment"]
        assert Tx.parse(raw).vsize == row.vsize
        assert node.coins(PAYEES["borrower"])[0].sats == COIN * 3 // 2 - row.fee

    def test_can_be_signed_before_the_coin_is_on_the_chain(self):
        with ripe() as node:
            ahead = deposit(node, VAULT)  # a chain where it was paid
            raw = node.transaction(ahead.outpoint.txid)
            assert raw is not None
            with ripe() as other:
                exits_of = presign(
                    VAULT,
                    coins=[ahead.outpoint],
                    prev_txs=[raw],
                    payees=PAYEES,
                    feerate=FEERATE,
                    signers={"borrower-ephemeral": EphemeralKey(SECRET), **ORACLES},
                )
                repayment = taken(exits_of, "repayment", "payment-oracle")
                with pytest.raises(Refused, match="bitcoin/missing-input"):
                    other.broadcast(repayment)
                other.broadcast(raw)
                other.broadcast(repayment)

    def test_a_payee_in_a_hurry_pays_for_both(self):
        node, coin = funded()
        keys = BORROWER.wallet_key(0)
        exits_of = presign(
            VAULT,
            coins=[coin.outpoint],
            prev_txs=prev_txs(node, [coin]),
            payees={**PAYEES, "borrower": keys.script_pubkey},
            feerate=1,
            signers={"borrower-ephemeral": EphemeralKey(SECRET), **ORACLES},
        )
        raw = taken(exits_of, "repayment", "payment-oracle")
        parent = node.broadcast(raw)
        sats = Tx.parse(raw).vout[0].value
        child = psbt.update(
            psbt.create([OutPoint(parent, 0)], outputs=[(P2WPKH, Sats(sats - 20_000))]),
            owner=keys,
            prev_txs=[raw],
        )
        whole = psbt.extract(psbt.finalize(psbt.sign(child, keys=BORROWER)))
        node.broadcast(whole)
        grow(node)
        assert node.depth(parent) == 1
        assert 20_000 / (VSIZE + Tx.parse(whole).vsize) > 50  # sat/vB of the two together


class TestRefusals:
    def test_no_such_exit(self, world: tuple[Node, Coin, PresignedSet]):
        _, _, exits_of = world
        for act in (
            lambda: complete(exits_of, "joint"),
            lambda: cosign(exits_of, "sell", role="price-oracle", keys=PRICES),
        ):
            with pytest.raises(Refused, match="psbt/path"):
                act()

    def test_an_absent_signer(self, world: tuple[Node, Coin, PresignedSet]):
        _, _, exits_of = world
        with pytest.raises(Refused, match="psbt/incomplete"):
            complete(exits_of, "repayment")
        with pytest.raises(Refused, match="psbt/incomplete"):
            taken(exits_of, "liquidation", "payment-oracle")

    def test_a_role_without_a_say(self, world: tuple[Node, Coin, PresignedSet]):
        _, _, exits_of = world
        with pytest.raises(Refused, match="psbt/foreign-signature"):
            cosign(exits_of, "repayment", role="price-oracle", keys=PRICES)
        with pytest.raises(Refused, match="psbt/no-key"):
            cosign(exits_of, "repayment", role="payment-oracle", keys=STRANGER)

    def test_another_exits_signature(self, world: tuple[Node, Coin, PresignedSet]):
        _, _, exits_of = world
        other = cosign(exits_of, "default", role="payment-oracle", keys=PAYMENTS)
        with pytest.raises(Refused, match="psbt/altered"):
            complete(exits_of, "repayment", copies=[other])

    def test_altered_outputs(self, world: tuple[Node, Coin, PresignedSet]):
        node, _, exits_of = world
        thief = replace(exits_of, payees=MappingProxyType({**PAYEES, "lender": P2WPKH}))
        with pytest.raises(Refused, match="psbt/altered"):
            taken(thief, "liquidation", "price-oracle", "payment-oracle")
        whole = Tx.parse(taken(exits_of, "liquidation", "price-oracle", "payment-oracle"))
        forced = Tx(2, 0, whole.vin, [TxOut(whole.vout[0].value, P2WPKH)])
        with pytest.raises(Refused, match="bitcoin/script"):
            node.broadcast(forced.serialize(include_witness=True))

    def test_an_earlier_lock(self, world: tuple[Node, Coin, PresignedSet]):
        node, _, exits_of = world
        whole = Tx.parse(complete(exits_of, "recover"))
        forced = Tx(2, 0, whole.vin, whole.vout)
        with pytest.raises(Refused, match="bitcoin/script"):
            node.broadcast(forced.serialize(include_witness=True))

    def test_a_signature_in_anothers_place(self, world: tuple[Node, Coin, PresignedSet]):
        node, _, exits_of = world
        raw = taken(exits_of, "repayment", "payment-oracle")
        first, second, *rest = Tx.parse(raw).vin[0].script_witness.stack
        with pytest.raises(Refused, match="bitcoin/script"):
            node.broadcast(with_witness(raw, 0, [second, first, *rest]))

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"feerate": 0}, "bitcoin/fee"),
            ({"feerate": 10_001}, "bitcoin/fee"),
            ({"feerate": 10_000, "sats": 100_000}, "bitcoin/dust"),
            ({"payees": {"borrower": PAYEES["borrower"]}}, "input/unknown-party"),
            ({"payees": {**PAYEES, "lender": b"\x51"}}, "bitcoin/address"),
            ({"coins": []}, "cosigner/input"),
            ({"prev_txs": []}, "bitcoin/missing-input"),
            ({"signers": ORACLES}, "psbt/incomplete"),
            ({"signers": {"borrower-ephemeral": STRANGER, **ORACLES}}, "psbt/no-key"),
            ({"vault": make_vault(index=1)}, "cosigner/input"),
        ],
    )
    def test_terms_that_cannot_be_signed(self, changes: dict[str, object], code: str):
        node, coin = funded(sats=int(changes.pop("sats", COIN)))  # type: ignore[call-overload]
        key = EphemeralKey(SECRET)
        asked: dict[str, object] = {
            "vault": VAULT,
            "coins": [coin.outpoint],
            "prev_txs": prev_txs(node, [coin]),
            "payees": PAYEES,
            "feerate": FEERATE,
            "signers": {"borrower-ephemeral": key, **ORACLES},
        }
        asked |= changes
        with pytest.raises(EscrowError, match=code):
            presign(asked.pop("vault"), **asked)  # type: ignore[arg-type]
        assert not key.destroyed

    def test_the_same_coin_twice(self, world: tuple[Node, Coin, PresignedSet]):
        node, coin, _ = world
        with pytest.raises(Refused, match="cosigner/input"):
            signed(node, coin, coin)

    def test_a_default_that_opens_no_earlier_than_the_recovery(self):
        vault = replace(VAULT, moments={**MOMENTS, Moment.DEFAULT: Seconds(RECOVERY)})
        node, coin = funded()
        with pytest.raises(BadInput, match="terms/time-order"):
            signed(node, coin, vault=vault)

    def test_a_default_without_a_recovery(self):
        """A policy may have no recovery: then there is no order to keep."""
        paths = tuple(each for each in VAULT.policy.paths if each.name != "recover")
        policy = replace(VAULT.policy, paths=paths)
        vault = replace(
            make_vault(policy=policy), moments={Moment.DEFAULT: MOMENTS[Moment.DEFAULT]}
        )
        node, coin = funded()
        assert len(exits(signed(node, coin, vault=vault))) == 3

    def test_policies_of_another_kind(self):
        node, coin = funded()
        with pytest.raises(BadInput, match="policy/value"):
            signed(node, coin, vault=replace(VAULT, policy=load_policy("two-of-three")))
        two = replace(VAULT.policy.path("joint"), threshold=2)
        paths = tuple(two if each.name == "joint" else each for each in VAULT.policy.paths)
        with pytest.raises(BadInput, match="policy/value"):
            signed(node, coin, vault=replace(VAULT, policy=replace(VAULT.policy, paths=paths)))
        with pytest.raises(BadInput, match="policy/value"):
            presigned.signed_up_front(VAULT.policy, "joint")


class TestEphemeralKey:
    def test_is_destroyed_by_signing(self):
        node, coin = funded()
        key = EphemeralKey(SECRET)
        exits_of = signed(node, coin, borrower=key)
        assert key.destroyed
        assert repr(key).endswith(", destroyed)")
        with pytest.raises(Refused, match="signer/destroyed"):
            signed(node, coin, borrower=key)
        # Both oracles together can now move the coins by the agreed exits and by no other.
        joint = sweep(node, coin)
        for keys in ORACLES.values():
            joint = psbt.sign(joint, keys=keys)
        with pytest.raises(Refused, match="signer/destroyed"):
            psbt.sign(joint, keys=key)
        with pytest.raises(Refused, match="psbt/incomplete"):
            psbt.finalize(joint)
        node.broadcast(taken(exits_of, "repayment", "payment-oracle"))

    def test_shows_nothing(self):
        key = EphemeralKey(SECRET)
        assert SECRET.hex() not in repr(key) + str(key.vault_key)
        with pytest.raises(TypeError):
            pickle.dumps(key)
        with pytest.raises(BadInput, match="bitcoin/key") as caught:
            EphemeralKey(SECRET + b"\x00")
        assert SECRET.hex() not in str(caught.value)

    @pytest.mark.parametrize("secret", [b"", bytes(32), b"\xff" * 32])
    def test_is_a_private_key(self, secret: bytes):
        with pytest.raises(BadInput, match="bitcoin/key"):
            EphemeralKey(secret)

    def test_signs_for_its_own_leaf_only(self):
        key = EphemeralKey(SECRET)
        own, origin = key.pubkey[1:], key.vault_key.origin

        def ask(pubkey: bytes, merkle_root: bytes | None) -> bytes | None:
            return key.schnorr(
                pubkey, origin=origin, digest=bytes(32), recovery=False, merkle_root=merkle_root
            )

        assert ask(own, None)
        assert ask(own, b"") is None
        assert ask(bytes(32), None) is None
        assert key.ecdsa(key.pubkey, origin=origin, digest=bytes(32), recovery=False) is None

    def test_a_holder_of_two_keys_signs_with_one(self):
        """Who holds both oracles' keys signs up front for one of them."""
        node = ripe()
        keys = {role: PRICES.vault_key(index) for index, role in enumerate(sorted(ORACLES))}
        vault = compile_vault(
            load_policy("presigned"),
            keys={"borrower-ephemeral": EphemeralKey(SECRET).vault_key, **keys},
            moments=MOMENTS,
        )
        coin = deposit(node, vault)
        exits_of = presign(
            vault,
            coins=[coin.outpoint],
            prev_txs=prev_txs(node, [coin]),
            payees=PAYEES,
            feerate=FEERATE,
            signers={
                "borrower-ephemeral": EphemeralKey(SECRET),
                **dict.fromkeys(ORACLES, PRICES),
            },
        )
        with pytest.raises(Refused, match="psbt/incomplete"):
            complete(exits_of, "repayment")
        late = cosign(exits_of, "repayment", role="payment-oracle", keys=PRICES)
        node.broadcast(complete(exits_of, "repayment", copies=[late]))


def sweep(node: Node, coin: Coin, *, to: bytes = P2WPKH) -> Psbt:
    """All three keys together to anywhere, as long as they are there."""
    bare = psbt.create([coin.outpoint], outputs=[(to, Sats(coin.sats - 500))])
    return psbt.update(bare, owner=VAULT, prev_txs=prev_txs(node, [coin]), path="joint")


class TestReplacement:
    """A re-key moves the coins to another vault; the old set is void from then on."""

    @pytest.fixture
    def moved(self) -> tuple[Node, PresignedSet, Vault, Coin, bytes]:
        node, coin = funded()
        old = signed(node, coin)
        key = EphemeralKey(sha256(b"another").digest())
        vault = make_vault(ephemeral=key)
        joint = sweep(node, coin, to=vault.script_pubkey)
        for keys in (EphemeralKey(SECRET), *ORACLES.values()):  # one that was kept for this
            joint = psbt.sign(joint, keys=keys)
        raw = psbt.extract(psbt.finalize(joint))
        sats = Tx.parse(raw).vout[0].value
        new = Coin(OutPoint(txid_of(raw), 0), Sats(sats), vault.script_pubkey, 0, False)
        return node, old, vault, new, raw

    def test_an_old_exit_is_refused_after_the_sweep(
        self, moved: tuple[Node, PresignedSet, Vault, Coin, bytes]
    ):
        node, old, vault, coin, raw = moved
        new = presigned.supersede(
            old,
            vault=vault,
            coins=[coin.outpoint],
            prev_txs=[raw],
            payees=PAYEES,
            feerate=FEERATE,
            signers={
                "borrower-ephemeral": EphemeralKey(sha256(b"another").digest()),
                **ORACLES,
            },
        )
        assert (new.replaces, presigned.voided_by(old, view=node)) == (old.id, "")
        assert new.id != old.id
        node.broadcast(raw)
        assert presigned.voided_by(old, view=node) == ""  # not before a block has it
        grow(node)
        assert presigned.voided_by(old, view=node) == coin.outpoint.txid
        wait(node, RECOVERY)
        with pytest.raises(Refused, match="bitcoin/missing-input"):
            node.broadcast(complete(old, "recover"))
        node.broadcast(complete(new, "recover"))

    def test_a_set_that_shares_a_coin_would_leave_the_old_exits_valid(
        self, world: tuple[Node, Coin, PresignedSet]
    ):
        node, coin, old = world
        with pytest.raises(Refused, match="psbt/stale"):
            presigned.supersede(
                old,
                vault=VAULT,
                coins=[coin.outpoint],
                prev_txs=prev_txs(node, [coin]),
                payees=PAYEES,
                feerate=FEERATE,
                signers={"borrower-ephemeral": EphemeralKey(SECRET), **ORACLES},
            )

    def test_one_exit_voids_the_others(self):
        node, coin = funded()
        exits_of = signed(node, coin)
        node.broadcast(taken(exits_of, "repayment", "payment-oracle"))
        grow(node)
        with pytest.raises(Refused, match="bitcoin/missing-input"):
            node.broadcast(taken(exits_of, "liquidation", "price-oracle", "payment-oracle"))


class TestOtherScripts:
    """Not only Firefish: any script path that all its keys must sign can have such exits."""

    def test_two_of_two_in_wsh(self):
        vault = compile_vault(
            read_policy(WITH_TOKENS),
            keys={"borrower": BORROWER.vault_key(), "lender": PAYMENTS.vault_key()},
            moments={},
        )
        node = ripe()
        coin = deposit(node, vault)
        exits_of = presign(
            vault,
            coins=[coin.outpoint],
            prev_txs=prev_txs(node, [coin]),
            payees=PAYEES,
            feerate=FEERATE,
            signers={"borrower": BORROWER, "lender": PAYMENTS},
        )
        presigned.check(exits_of)
        refund = complete(exits_of, "refund")
        with pytest.raises(Refused, match="bitcoin/non-final"):
            node.broadcast(refund)
        copy = cosign(exits_of, "payback", role="lender", keys=PAYMENTS)
        payback = complete(exits_of, "payback", copies=[copy])
        wait(node, node.tip_time + 91 * DAY)
        node.broadcast(refund)
        for row, raw in zip(exits(exits_of), (payback, refund), strict=True):
            assert Tx.parse(raw).vsize <= row.vsize <= Tx.parse(raw).vsize + 1


class TestFile:
    def read(self, text: str, world: tuple[Node, Coin, PresignedSet]) -> PresignedSet:
        _, coin, _ = world
        return from_json(text, vault=VAULT, coins=[coin.outpoint], payees=PAYEES)

    def test_there_and_back(self, world: tuple[Node, Coin, PresignedSet]):
        _, _, exits_of = world
        again = self.read(to_json(exits_of), world)
        assert (again, again.id) == (exits_of, exits_of.id)
        assert taken(again, "repayment", "payment-oracle") == taken(
            exits_of, "repayment", "payment-oracle"
        )
        assert SECRET.hex() not in to_json(exits_of)

    def test_another_vault_other_coins_other_payees(self, world: tuple[Node, Coin, PresignedSet]):
        _, coin, exits_of = world
        text = to_json(exits_of)
        for vault, coins in (
            (make_vault(index=1), [coin.outpoint]),
            (VAULT, [OutPoint("11" * 32, 0)]),
            (VAULT, []),
        ):
            with pytest.raises(Refused, match="psbt/stale"):
                from_json(text, vault=vault, coins=coins, payees=PAYEES)
        with pytest.raises(Refused, match="psbt/altered"):
            from_json(text, vault=VAULT, coins=[coin.outpoint], payees={**PAYEES, "lender": P2WPKH})

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            (lambda read: read.update(feerate=FEERATE + 1), "psbt/stale"),
            (lambda read: read.update(feerate=True), "psbt/format"),
            (lambda read: read.update(feerate=1.5), "psbt/format"),
            (lambda read: read.update(replaces="x"), "psbt/format"),
            (lambda read: read.update(extra=1), "psbt/format"),
            (lambda read: read.update(kind="escrow-presigned-set-2"), "psbt/format"),
            (lambda read: read.pop("coins"), "psbt/format"),
            (lambda read: read.update(coins="x" * 20), "psbt/format"),
            (lambda read: read.update(coins=["x"]), "bitcoin/transaction"),
            (lambda read: read.update(coins=["x"] * 101), "psbt/format"),
            (lambda read: read.update(transactions=["zz"]), "psbt/format"),
            (lambda read: read.update(transactions=["00"]), "bitcoin/transaction"),
            (lambda read: read.update(transactions=[]), "bitcoin/missing-input"),
            (lambda read: read.update(exits=[]), "psbt/format"),
            (lambda read: read["exits"].update(default=1), "psbt/format"),
            (lambda read: read["exits"].update(default="x"), "psbt/format"),
            (lambda read: read["exits"].pop("default"), "psbt/altered"),
            (lambda read: read["exits"].update(more=read["exits"]["default"]), "psbt/altered"),
            (lambda read: read["exits"].update(default=read["exits"]["recover"]), "psbt/"),
        ],
    )
    def test_a_file_that_was_changed(
        self,
        change: Callable[[dict[str, object]], None],
        code: str,
        world: tuple[Node, Coin, PresignedSet],
    ):
        read = json.loads(to_json(world[2]))
        change(read)
        with pytest.raises(EscrowError, match=code):
            self.read(json.dumps(read), world)

    def test_a_signature_taken_away_or_altered(self, world: tuple[Node, Coin, PresignedSet]):
        _, _, exits_of = world
        bare = sweepless(exits_of, "repayment")
        with pytest.raises(Refused, match="psbt/incomplete"):
            self.read(to_json(bare), world)
        inner = Psbt.parse(str(exits_of.exits["repayment"]))._inner
        signatures = inner.inputs[0].taproot_script_spend_signatures
        key = min(signatures)
        signatures[key] = signatures[key][:-1] + bytes([signatures[key][-1] ^ 1])
        wrong = {**exits_of.exits, "repayment": Psbt(inner)}
        with pytest.raises(Refused, match="psbt/bad-signature"):
            self.read(to_json(replace(exits_of, exits=wrong)), world)

    def test_a_name_that_stands_twice(self, world: tuple[Node, Coin, PresignedSet]):
        text = to_json(world[2]).replace('"feerate": 3', '"feerate": 3, "feerate": 3')
        with pytest.raises(BadInput, match="psbt/format"):
            self.read(text, world)

    @pytest.mark.parametrize(
        "text", ["", "null", "[]", "{}", "[" * 100_000, '{"kind": NaN}', "1" * 5_000]
    )
    def test_garbage(self, text: str, world: tuple[Node, Coin, PresignedSet]):
        with pytest.raises(BadInput, match="psbt/format"):
            self.read(text, world)

    def test_too_large(self, world: tuple[Node, Coin, PresignedSet]):
        with pytest.raises(BadInput, match="psbt/too-large"):
            self.read(" " * 4_000_001, world)
        with pytest.raises(BadInput, match="psbt/too-large"):
            to_json(replace(world[2], prev_txs=(bytes(2_000_000),)))

    @settings(max_examples=50)
    @given(st.text())
    def test_any_text(self, world: tuple[Node, Coin, PresignedSet], text: str):
        with pytest.raises(BadInput):
            self.read(text, world)

    @settings(max_examples=30)
    @given(data=st.data())
    def test_any_change_is_refused_by_name_or_harmless(
        self, world: tuple[Node, Coin, PresignedSet], data: st.DataObject
    ):
        text = to_json(world[2])
        at = data.draw(st.integers(0, len(text) - 1))
        changed = text[:at] + data.draw(st.characters(codec="ascii")) + text[at + 1 :]
        try:
            again = self.read(changed, world)
        except EscrowError:
            return
        assert again.id == world[2].id


def sweepless(exits_of: PresignedSet, name: str) -> PresignedSet:
    """A set of which one exit lost its signatures."""
    inner = Psbt.parse(str(exits_of.exits[name]))._inner
    inner.inputs[0].taproot_script_spend_signatures = {}
    exits_by_name: Mapping[str, Psbt] = {**exits_of.exits, name: Psbt(inner)}
    return replace(exits_of, exits=exits_by_name)
