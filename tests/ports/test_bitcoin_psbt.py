"""BIP-174's roles: each may be played by another party, and each distrusts the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass

import bdkpython as bdk
import pytest
from bitcoin_lab import (
    BORROWER,
    COIN,
    CUSTODIAN,
    DAY,
    LENDER,
    P2WPKH,
    START,
    STRANGER,
    close,
    deposit,
    draft,
    grow,
    high_s,
    make_vault,
    pay,
    prev_txs,
    ripe,
)
from btclib.hashes import hash160
from btclib.tx import Tx, TxOut
from btclib_secp256k1 import dsa
from btclib_secp256k1.keys import pubkey_from_prvkey
from btclib_wallet.bip32 import BIP32KeyOrigin
from btclib_wallet.psbt import psbt as bip174

from escrow.adapters.bitcoin import psbt
from escrow.adapters.bitcoin.keys import VaultKey
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.psbt import Psbt
from escrow.adapters.bitcoin.psbt_data import MAX_BYTES, MAX_TEXT
from escrow.adapters.bitcoin.types import OutPoint
from escrow.adapters.bitcoin.vault import Vault, compile_vault
from escrow.adapters.bitcoin.wallet import Wallet
from escrow.core.errors import BadInput, EscrowError, Refused
from escrow.core.units import MAX_MONEY, Sats, Seconds
from escrow.custody.policy import Moment
from escrow.custody.read import load_policy

VAULT = make_vault()


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Node, Psbt]]:
    """A chain with a coin in the vault, and the PSBT that would spend it."""
    with ripe() as node:
        coin = deposit(node, VAULT)
        yield node, draft(node, VAULT, [coin])


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with ripe() as it:
        grow(it, 20)
        yield it


@pytest.fixture
def unsigned(world: tuple[Node, Psbt]) -> Psbt:
    return world[1]


def changed(original: Psbt, change: Callable[[bip174.Psbt], None]) -> Psbt:
    """What a liar would send: the same PSBT, changed by hand."""
    inner = deepcopy(original._inner)
    change(inner)
    return Psbt(inner)


@dataclass(frozen=True)
class PlainKey:
    """A key without a path, as a hardware token has it; a liar if ``answer`` is given."""

    secret: bytes
    pubkey: bytes = b""
    answer: bytes = b""
    name: str = "token"

    def __post_init__(self) -> None:
        if not self.pubkey:
            object.__setattr__(self, "pubkey", pubkey_from_prvkey(self.secret))

    def owns(self, pubkey: bytes, _origin: object) -> bool:
        return pubkey == self.pubkey

    def ecdsa(self, pubkey: bytes, *, digest: bytes, **_: object):
        if pubkey != self.pubkey:
            return None
        return self.answer or dsa.sign(digest, self.secret)

    def schnorr(self, _pubkey: bytes, **_: object) -> None:
        return None


def ungrinded(inner: bip174.Psbt) -> bytes:
    """The lender's good signature with a high R, as a token makes it: one byte longer."""
    digest = bip174.ecdsa_sig_hash(inner, 0)
    secret = LENDER._child("48h/1h/0h/2h", 0).key[1:]
    attempts = (dsa.sign(digest, secret, bytes([salt]) * 32) for salt in range(256))
    return next(each for each in attempts if len(each) == 71) + b"\x01"


def _replace(inner: bip174.Psbt, signature: bytes) -> None:
    inner.inputs[0].partial_sigs = {LENDER.vault_key().pubkey: signature}


class TestText:
    def test_there_and_back(self, unsigned: Psbt):
        for each in (unsigned, psbt.sign(unsigned, keys=LENDER)):
            again = Psbt.parse(str(each))
            assert (again, hash(again), repr(again)) == (each, hash(each), repr(each))
        assert unsigned != psbt.sign(unsigned, keys=LENDER)
        assert unsigned != str(unsigned)

    def test_its_name_shows_how_far_it_is(self, unsigned: Psbt):
        signed = psbt.sign(unsigned, keys=LENDER)
        assert repr(signed) == f"Psbt({signed.txid[:8]}…, inputs=1, signatures=1)"

    @pytest.mark.parametrize("text", ["", "hello", "cHNidP8=", "cHNidP8BAAA=", "é"])
    def test_garbage(self, text: str):
        with pytest.raises(BadInput, match="psbt/format"):
            Psbt.parse(text)

    def test_binary_as_well(self, unsigned: Psbt):
        raw = bytes(unsigned)
        assert raw.startswith(b"psbt\xff")
        assert Psbt.parse(raw) == Psbt.parse(str(unsigned).encode() + b"\n") == unsigned
        with pytest.raises(BadInput, match="psbt/format"):
            Psbt.parse(raw[:-1])

    def test_size_has_a_bound(self):
        for most, filler in ((MAX_TEXT, "A"), (MAX_BYTES, b"A")):
            with pytest.raises(BadInput, match="psbt/format"):
                Psbt.parse(filler * most)
            with pytest.raises(BadInput, match="psbt/too-large"):
                Psbt.parse(filler * (most + 1))

    def test_nothing_to_spend_or_to_pay(self, unsigned: Psbt):
        for side in ("inputs", "outputs"):
            empty = changed(unsigned, lambda inner, side=side: setattr(inner, side, []))
            with pytest.raises(BadInput, match="no inputs or no outputs"):
                Psbt.parse(str(empty))


class TestVersions:
    """BIP-174 and BIP-370 say the same in other words, and every role speaks both."""

    def test_there_and_back(self, unsigned: Psbt):
        for each in (unsigned, psbt.sign(unsigned, keys=LENDER)):
            second = psbt.as_version(each, 2)
            assert (each.version, second.version, second.txid) == (0, 2, each.txid)
            assert Psbt.parse(str(second)) == second != each
            assert psbt.as_version(second, 0) == each
            assert psbt.as_version(second, 2) is second
            assert psbt.inspect(second) == psbt.inspect(each)

    def test_no_other_version(self, unsigned: Psbt):
        with pytest.raises(BadInput, match="psbt/version"):
            psbt.as_version(unsigned, 1)
        with pytest.raises(BadInput, match="psbt/version"):
            psbt.create([OutPoint("ab" * 32, 0)], outputs=[(P2WPKH, Sats(1))], version=3)

    def test_a_silent_payment_fits_version_two_only(self, unsigned: Psbt):
        def silent(inner: bip174.Psbt) -> None:
            key = LENDER.vault_key().pubkey
            inner.outputs[0].sp_v0_info = key + key

        second = Psbt.parse(str(changed(psbt.as_version(unsigned, 2), silent)))
        with pytest.raises(BadInput, match="psbt/version"):
            psbt.as_version(second, 0)

    def test_all_roles(self, world: tuple[Node, Psbt]):
        node, unsigned = world
        (coin,) = node.coins(VAULT.script_pubkey)
        bare = psbt.create([coin.outpoint], outputs=[(P2WPKH, Sats(COIN - 400))], version=2)
        assert bare.version == 2
        second = psbt.update(bare, owner=VAULT, prev_txs=prev_txs(node, [coin]))
        assert second == psbt.as_version(unsigned, 2)
        copies = [psbt.sign(second, keys=keys) for keys in (LENDER, CUSTODIAN)]
        final = psbt.finalize(Psbt.parse(str(psbt.combine(copies))))
        assert final.version == 2
        assert psbt.extract(final) == close(unsigned, LENDER, CUSTODIAN)

    def test_copies_may_differ_in_version(self, unsigned: Psbt):
        first = psbt.sign(unsigned, keys=LENDER)
        second = psbt.sign(psbt.as_version(unsigned, 2), keys=BORROWER)
        for copies, version in (([first, second], 0), ([second, first], 2)):
            whole = psbt.combine(copies)
            assert whole.version == version
            assert psbt.extract(psbt.finalize(whole)) == close(unsigned, LENDER, BORROWER)

    def test_what_was_signed_may_no_longer_change(self, unsigned: Psbt):
        """BIP-370: a signer forbids what would break its signature, and a combiner keeps that."""

        def open_(inner: bip174.Psbt) -> None:
            inner.tx_modifiable = 3

        second = changed(psbt.as_version(unsigned, 2), open_)
        signed = psbt.sign(second, keys=LENDER)
        assert (second._inner.tx_modifiable, signed._inner.tx_modifiable) == (3, 0)
        for copies in ([second, signed], [signed, second]):
            assert psbt.combine(copies)._inner.tx_modifiable == 0
        closed = psbt.as_version(unsigned, 2)
        assert psbt.combine([second, closed])._inner.tx_modifiable is None

    def test_a_relative_lock(self):
        bare = psbt.create([OutPoint("ab" * 32, 0)], outputs=[(P2WPKH, Sats(1))], sequence=7)
        assert bare._inner.inputs[0].sequence == 7


class TestInspect:
    def test_what_a_cosigner_sees(self, world: tuple[Node, Psbt]):
        node, unsigned = world
        (coin,) = node.coins(VAULT.script_pubkey)
        spend = psbt.inspect(psbt.sign(unsigned, keys=LENDER))
        assert spend.txid == unsigned.txid
        assert (spend.fee, spend.locktime) == (400, 0)
        (paid,) = spend.outputs
        assert (paid.script_pubkey, paid.sats) == (P2WPKH, COIN - 400)
        (spent,) = spend.inputs
        assert (spent.outpoint, spent.sats) == (coin.outpoint, coin.sats)
        assert (spent.script_pubkey, spent.sequence) == (VAULT.script_pubkey, 0xFFFFFFFD)
        assert spent.signed_by == {LENDER.vault_key().pubkey}

    def test_a_recovery_shows_its_lock(self, world: tuple[Node, Psbt]):
        node, _ = world
        coins = node.coins(VAULT.script_pubkey)
        spend = psbt.inspect(draft(node, VAULT, coins, locktime=VAULT.recover_after))
        assert (spend.locktime, spend.inputs[0].sequence) == (VAULT.recover_after, 0xFFFFFFFE)

    def test_undescribed_inputs_tell_nothing(self):
        bare = psbt.create([OutPoint("ab" * 32, 0)], outputs=[(P2WPKH, Sats(1_000))])
        with pytest.raises(BadInput, match="psbt/format"):
            psbt.inspect(bare)
        with pytest.raises(BadInput, match="psbt/format"):
            psbt.sign(bare, keys=LENDER)

    def test_amounts_cannot_be_lied_about(self, unsigned: Psbt):
        def lie(inner: bip174.Psbt) -> None:
            inner.inputs[0].witness_utxo = TxOut(5 * COIN, VAULT.script_pubkey)

        with pytest.raises(BadInput, match="psbt/format"):
            Psbt.parse(changed(unsigned, lie)._inner.b64encode(check_validity=False))
        lied = changed(unsigned, lie)
        assert psbt.inspect(lied).inputs[0].sats == COIN  # the previous transaction is believed
        with pytest.raises(BadInput, match="psbt/format"):
            psbt.sign(lied, keys=LENDER)

    def test_previous_transaction_must_be_the_one(self, unsigned: Psbt):
        def lie(inner: bip174.Psbt) -> None:
            tx = inner.inputs[0].non_witness_utxo
            tx.vout[0] = TxOut(5 * COIN, VAULT.script_pubkey)

        with pytest.raises(BadInput, match="psbt/format"):
            psbt.inspect(changed(unsigned, lie))

    def test_outputs_above_inputs(self, world: tuple[Node, Psbt]):
        node, _ = world
        (coin,) = node.coins(VAULT.script_pubkey)
        with pytest.raises(Refused, match="bitcoin/amount"):
            psbt.inspect(draft(node, VAULT, [coin], fee=-1))

    def test_a_stranger_cannot_bring_a_script(self, unsigned: Psbt):
        def lie(inner: bip174.Psbt) -> None:
            key = STRANGER.vault_key()
            inner.inputs[0].witness_script = b"\x21" + key.pubkey + b"\xac"
            inner.inputs[0].hd_key_paths = {key.pubkey: key.origin}
            digest = bytes(32)
            signature = STRANGER.ecdsa(key.pubkey, origin=key.origin, digest=digest, recovery=False)
            inner.inputs[0].partial_sigs = {key.pubkey: signature + b"\x01"}

        with pytest.raises(BadInput, match="not the coin's witness script"):
            psbt.inspect(changed(unsigned, lie))


class TestCreate:
    @pytest.mark.parametrize(
        ("inputs", "outputs", "locktime"),
        [
            ([], [(P2WPKH, 1)], 0),
            ([OutPoint("ab" * 32, 0)], [], 0),
            ([OutPoint("ab" * 32, 0)] * 2, [(P2WPKH, 1)], 0),
            ([OutPoint("zz" * 32, 0)], [(P2WPKH, 1)], 0),
            ([OutPoint("ab" * 32, -1)], [(P2WPKH, 1)], 0),
            ([OutPoint("ab" * 32, 0)], [(P2WPKH, -1)], 0),
            ([OutPoint("ab" * 32, 0)], [(P2WPKH, MAX_MONEY + 1)], 0),
            ([OutPoint("ab" * 32, 0)], [(P2WPKH, 1)], 2**32),
        ],
    )
    def test_nonsense(self, inputs: list, outputs: list, locktime: int):
        with pytest.raises(BadInput, match="bitcoin/transaction"):
            psbt.create(inputs, outputs=outputs, locktime=locktime)


class TestUpdate:
    def test_a_coin_nobody_brought(self, world: tuple[Node, Psbt]):
        node, _ = world
        (coin,) = node.coins(VAULT.script_pubkey)
        bare = psbt.create([coin.outpoint], outputs=[(P2WPKH, Sats(1_000))])
        with pytest.raises(Refused, match="bitcoin/missing-input"):
            psbt.update(bare, owner=VAULT, prev_txs=[])
        with pytest.raises(Refused, match="bitcoin/missing-input"):
            psbt.update(bare, owner=make_vault(5), prev_txs=prev_txs(node, [coin]))
        assert bare == psbt.create([coin.outpoint], outputs=[(P2WPKH, Sats(1_000))])

    def test_two_owners_in_one_transaction(self):
        """A lender who adds a coin of its own: wallet and vault inputs side by side."""
        with ripe() as node:
            grow(node, 3)
            wallet = Wallet(LENDER, node=node)
            coins = [deposit(node, VAULT)]
            node.broadcast(pay(node, wallet.script_pubkey, sats=COIN))
            grow(node)
            coins += wallet.coins()
            bare = psbt.create(
                [coin.outpoint for coin in coins], outputs=[(P2WPKH, Sats(2 * COIN - 1_000))]
            )
            known = prev_txs(node, coins)
            once = psbt.update(bare, owner=VAULT, prev_txs=known)
            raw = close(psbt.update(once, owner=LENDER.wallet_key(), prev_txs=[]), LENDER, BORROWER)
            assert node.broadcast(raw) == bare.txid


class TestSign:
    def test_signing_adds_and_changes_nothing_else(self, unsigned: Psbt):
        before = str(unsigned)
        signed = psbt.sign(unsigned, keys=LENDER)
        assert str(unsigned) == before
        bip174.assert_signatures_only(unsigned._inner, signed._inner)
        assert psbt.sign(unsigned, keys=LENDER) == signed == psbt.sign(signed, keys=LENDER)

    @pytest.mark.parametrize("hash_type", [0, 2, 3, 0x81, 0x82])
    def test_only_whole_transactions_are_signed(self, unsigned: Psbt, hash_type: int):
        def lie(inner: bip174.Psbt) -> None:
            inner.inputs[0].sig_hash_type = hash_type

        with pytest.raises(Refused, match="psbt/sighash"):
            psbt.sign(changed(unsigned, lie), keys=LENDER)

    def test_all_may_be_asked_for_by_name(self, unsigned: Psbt):
        explicit = changed(unsigned, lambda inner: setattr(inner.inputs[0], "sig_hash_type", 1))
        assert psbt.inspect(psbt.sign(explicit, keys=LENDER)).inputs[0].signed_by

    def test_a_claim_about_our_key_is_not_enough(self, unsigned: Psbt):
        """A fingerprint and a path say it is ours; the key at that path is another."""

        def lie(inner: bip174.Psbt) -> None:
            inner.inputs[0].hd_key_paths = {
                BORROWER.vault_key().pubkey: LENDER.vault_key().origin,
                LENDER.vault_key().pubkey: BIP32KeyOrigin(LENDER.fingerprint, [0, 0]),
            }

        with pytest.raises(Refused, match="psbt/no-key"):
            psbt.sign(changed(unsigned, lie), keys=LENDER)


class TestCombine:
    def test_order_makes_no_difference(self, unsigned: Psbt):
        copies = [psbt.sign(unsigned, keys=keys) for keys in (BORROWER, LENDER, CUSTODIAN)]
        whole = psbt.combine(copies)
        assert whole == psbt.combine(copies[::-1]) == psbt.combine([whole, *copies])
        assert len(psbt.inspect(whole).inputs[0].signed_by) == 3

    def test_nothing_to_combine(self):
        with pytest.raises(BadInput, match="psbt/format"):
            psbt.combine([])

    def test_an_altered_output(self, world: tuple[Node, Psbt]):
        node, unsigned = world
        thief = draft(node, VAULT, node.coins(VAULT.script_pubkey), to=b"\x00\x14" + bytes(20))
        copies = [psbt.sign(unsigned, keys=LENDER), psbt.sign(thief, keys=BORROWER)]
        with pytest.raises(Refused, match="psbt/altered"):
            psbt.combine(copies)

    def test_an_output_altered_after_signing(self, unsigned: Psbt):
        signed = [psbt.sign(unsigned, keys=keys) for keys in (BORROWER, LENDER)]

        def steal(inner: bip174.Psbt) -> None:
            inner.outputs[0].script_pub_key = b"\x00\x14" + bytes(20)

        stolen = [changed(each, steal) for each in signed]
        with pytest.raises(Refused, match="psbt/altered"):
            psbt.combine([signed[0], stolen[1]])
        for attempt in (psbt.combine, lambda them: psbt.inspect(them[0])):
            with pytest.raises(Refused, match="psbt/bad-signature"):
                attempt(stolen)

    @pytest.mark.parametrize(
        "change",
        [
            lambda inner: setattr(inner.inputs[0], "sequence", 0),
            lambda inner: setattr(inner, "fallback_lock_time", 5),
            lambda inner: setattr(inner.outputs[0], "amount", 5),
            lambda inner: setattr(inner.inputs[0], "hd_key_paths", {}),
            lambda inner: setattr(inner.inputs[0], "witness_script", b"\x51"),
            lambda inner: setattr(inner.inputs[0], "sig_hash_type", 1),
            lambda inner: setattr(inner, "unknown", {b"\xfc\x01": b"note"}),
        ],
        ids=["sequence", "locktime", "amount", "origins", "script", "sighash", "note"],
    )
    def test_copies_differ_in_signatures_only(self, unsigned: Psbt, change):
        copies = [psbt.sign(unsigned, keys=keys) for keys in (BORROWER, LENDER)]
        with pytest.raises(Refused, match="psbt/altered"):
            psbt.combine([copies[0], changed(copies[1], change)])

    def test_a_foreign_signature(self, unsigned: Psbt):
        key = STRANGER.vault_key()
        digest = bip174.ecdsa_sig_hash(unsigned._inner, 0)
        signature = STRANGER.ecdsa(key.pubkey, origin=key.origin, digest=digest, recovery=False)

        def lie(inner: bip174.Psbt) -> None:
            inner.inputs[0].partial_sigs = {key.pubkey: signature + b"\x01"}

        with pytest.raises(Refused, match="psbt/foreign-signature"):
            psbt.combine([unsigned, changed(unsigned, lie)])

    @pytest.mark.parametrize("how", ["moved", "high S", "damaged"])
    def test_a_wrong_signature(self, unsigned: Psbt, how: str):
        signed = psbt.sign(unsigned, keys=LENDER)
        mine, other = LENDER.vault_key().pubkey, BORROWER.vault_key().pubkey

        def lie(inner: bip174.Psbt) -> None:
            (signature,) = inner.inputs[0].partial_sigs.values()
            damaged = signature[:10] + bytes([signature[10] ^ 1]) + signature[11:]
            inner.inputs[0].partial_sigs = {
                "moved": {other: signature},
                "high S": {mine: high_s(signature)},
                "damaged": {mine: damaged},
            }[how]

        with pytest.raises(Refused, match="psbt/bad-signature"):
            psbt.combine([unsigned, changed(signed, lie)])

    @pytest.mark.parametrize("hash_type", [2, 3, 0x81])
    def test_a_signature_of_less_than_everything(self, unsigned: Psbt, hash_type: int):
        """It verifies, and would let others change the outputs."""
        key = LENDER.vault_key()
        digest = bip174.ecdsa_sig_hash(unsigned._inner, 0, hash_type=hash_type)
        signature = LENDER.ecdsa(key.pubkey, origin=key.origin, digest=digest, recovery=False)

        def add(inner: bip174.Psbt) -> None:
            inner.inputs[0].partial_sigs = {key.pubkey: signature + bytes([hash_type])}

        for attempt in (psbt.inspect, psbt.finalize, lambda it: psbt.combine([it])):
            with pytest.raises(Refused, match="psbt/sighash"):
                attempt(changed(unsigned, add))

    def test_two_signatures_by_one_key(self, unsigned: Psbt):
        """Both are good, so somebody signed twice: which one counts is not guessed."""
        signed = psbt.sign(unsigned, keys=LENDER)
        other = changed(signed, lambda inner: _replace(inner, ungrinded(inner)))
        assert psbt.inspect(other) == psbt.inspect(signed)
        with pytest.raises(Refused, match="psbt/duplicate"):
            psbt.combine([signed, other])
        damaged = changed(signed, lambda inner: _replace(inner, ungrinded(inner)[:-3] + b"\1\1\1"))
        for copies in ([signed, damaged], [damaged, signed]):
            with pytest.raises(Refused, match="psbt/bad-signature"):
                psbt.combine(copies)
        assert psbt.combine([signed, signed, unsigned]) == signed

    def test_a_copy_of_an_older_round(self, world: tuple[Node, Psbt]):
        """The fee went up; somebody sends what he signed before."""
        node, unsigned = world
        coins = node.coins(VAULT.script_pubkey)
        older = psbt.sign(draft(node, VAULT, coins, fee=300), keys=BORROWER)
        with pytest.raises(Refused, match="psbt/stale"):
            psbt.combine([psbt.sign(unsigned, keys=LENDER), older])
        unsigned_older = draft(node, VAULT, coins, fee=300)
        broken = changed(older, lambda inner: setattr(inner.outputs[0], "amount", 1))
        for copy in (unsigned_older, broken):
            with pytest.raises(Refused, match="psbt/altered"):
                psbt.combine([psbt.sign(unsigned, keys=LENDER), copy])
        assert psbt.combine([older, unsigned_older]) == older

    def test_a_token_that_does_not_grind_is_welcome(self, world: tuple[Node, Psbt]):
        """Hardware answers with any R: 72 bytes are as good as 71, and inside the size bound."""
        _, unsigned = world

        def add(inner: bip174.Psbt) -> None:
            inner.inputs[0].partial_sigs = {LENDER.vault_key().pubkey: ungrinded(inner)}

        both = psbt.combine([changed(unsigned, add), psbt.sign(unsigned, keys=BORROWER)])
        assert psbt.extract(psbt.finalize(both))


class TestAccept:
    """An answer from outside is the request with signatures, and nothing else."""

    def test_signatures_only(self, unsigned: Psbt):
        once = psbt.sign(unsigned, keys=LENDER)
        twice = psbt.sign(once, keys=BORROWER)
        assert psbt.accept(once, answer=twice) == twice
        assert psbt.accept(once, answer=psbt.as_version(twice, 2)) == twice
        assert psbt.accept(once, answer=once) == once

    def test_a_signature_that_went_missing(self, unsigned: Psbt):
        once = psbt.sign(unsigned, keys=LENDER)
        other = changed(once, lambda inner: _replace(inner, ungrinded(inner)))
        for answer in (unsigned, other, psbt.sign(unsigned, keys=BORROWER)):
            with pytest.raises(Refused, match="psbt/altered"):
                psbt.accept(once, answer=answer)

    def test_anything_else_that_changed(self, unsigned: Psbt):
        signed = psbt.sign(unsigned, keys=LENDER)
        noted = changed(signed, lambda inner: setattr(inner, "unknown", {b"\xfc\x01": b"note"}))
        with pytest.raises(Refused, match="psbt/altered"):
            psbt.accept(unsigned, answer=noted)


class TestSigningKeys:
    """Whatever holds keys can sign; what it answers is not believed."""

    def test_a_token_with_a_plain_key(self, node: Node):
        token = PlainKey(bytes([7]) * 32)
        key = VaultKey.parse(f"[{hash160(token.pubkey)[:4].hex()}]{token.pubkey.hex()}")
        assert key.origin.der_path == []
        vault = Vault.create(
            borrower=BORROWER.vault_key(),
            lender=key,
            custodian=CUSTODIAN.vault_key(),
            recovery=BORROWER.recovery_key(),
            recover_after=Seconds(START + DAY),
        )
        unsigned = draft(node, vault, [deposit(node, vault)])
        copies = [psbt.sign(unsigned, keys=token), psbt.sign(unsigned, keys=BORROWER)]
        raw = psbt.extract(psbt.finalize(psbt.combine(copies)))
        assert node.broadcast(raw) == unsigned.txid

    def test_a_token_that_signs_something_else(self, unsigned: Psbt):
        key = LENDER.vault_key().pubkey
        for answer in (ungrinded(unsigned._inner)[:-1], LENDER._child("48h/1h/0h/2h", 0).key[1:]):
            liar = PlainKey(bytes([7]) * 32, pubkey=key, answer=answer[:-1] + b"\x05")
            with pytest.raises(EscrowError, match=r"psbt/(bad-signature|format)") as caught:
                psbt.sign(unsigned, keys=liar)
            assert answer[:-1].hex() not in str(caught.value)

    def test_a_token_that_knows_no_key(self, unsigned: Psbt):
        with pytest.raises(Refused, match="psbt/no-key") as caught:
            psbt.sign(unsigned, keys=PlainKey(bytes([9]) * 32))
        assert caught.value.facts == {"signer": "token"}


@pytest.fixture(scope="module")
def liana() -> Vault:
    keys = {
        "borrower": BORROWER.vault_key(),
        "lender": LENDER.vault_key(),
        "custodian": CUSTODIAN.vault_key(),
        "recovery": BORROWER.recovery_key(),
    }
    moments = {Moment.RECOVERY: Seconds(START + 365 * DAY)}
    return compile_vault(load_policy("liana-style"), keys=keys, moments=moments)


class TestAsked:
    """Nobody signs what was not asked for: the script and the locks tell whose vote counts."""

    @pytest.mark.parametrize(
        ("path", "roles"),
        [
            ("close", {"borrower", "lender"}),
            ("arbiter", {"borrower", "lender", "custodian"}),
            ("recovery", {"recovery"}),
        ],
    )
    def test_by_path(self, liana: Vault, node: Node, path: str, roles: set[str]):
        coin = deposit(node, liana)
        bare = psbt.create(
            [coin.outpoint],
            outputs=[(P2WPKH, Sats(COIN - 400))],
            locktime=liana.locktime(path),
            sequence=liana.sequence(path),
        )
        unsigned = psbt.update(bare, owner=liana, prev_txs=prev_txs(node, [coin]), path=path)
        (asked,) = psbt.asked(unsigned)
        assert {liana.roles[key] for key in asked} == roles
        for keys, holder in ((BORROWER, "borrower"), (LENDER, "lender"), (CUSTODIAN, "custodian")):
            own = roles & ({"borrower", "recovery"} if holder == "borrower" else {holder})
            if not own:
                with pytest.raises(Refused, match=r"psbt/no-key.*locks"):
                    psbt.sign(unsigned, keys=keys)
                continue
            (spent,) = psbt.inspect(psbt.sign(unsigned, keys=keys)).inputs
            assert {liana.roles[key] for key in spent.signed_by} == own

    def test_the_quorum_may_take_its_time(self, world: tuple[Node, Psbt]):
        """A lock that the script's own way out does not meet: the quorum's exit, to be kept."""
        node, _ = world
        coins = node.coins(VAULT.script_pubkey)
        kept = draft(node, VAULT, coins, locktime=START + DAY)
        assert psbt.extract(psbt.finalize(psbt.sign(psbt.sign(kept, keys=LENDER), keys=BORROWER)))

    def test_no_such_path(self, world: tuple[Node, Psbt]):
        node, _ = world
        (coin,) = node.coins(VAULT.script_pubkey)
        bare = psbt.create([coin.outpoint], outputs=[(P2WPKH, Sats(1_000))])
        with pytest.raises(BadInput, match="psbt/path"):
            psbt.update(bare, owner=VAULT, prev_txs=prev_txs(node, [coin]), path="window")
        assert psbt.update(bare, owner=VAULT, prev_txs=prev_txs(node, [coin]), path="close")


class TestFinalize:
    def test_too_few(self, unsigned: Psbt):
        for incomplete in (unsigned, psbt.sign(unsigned, keys=LENDER)):
            with pytest.raises(Refused, match="psbt/incomplete"):
                psbt.finalize(incomplete)
            with pytest.raises(Refused, match="psbt/incomplete"):
                psbt.extract(incomplete)

    def test_twice_is_once(self, unsigned: Psbt):
        both = psbt.combine([psbt.sign(unsigned, keys=keys) for keys in (BORROWER, LENDER)])
        final = psbt.finalize(both)
        assert psbt.finalize(final) == final

    def test_a_final_psbt_travels(self, unsigned: Psbt):
        both = psbt.combine([psbt.sign(unsigned, keys=keys) for keys in (BORROWER, LENDER)])
        final = psbt.finalize(both)
        assert psbt.extract(Psbt.parse(str(final))) == psbt.extract(final)


class TestBdkAgrees:
    """rust-bitcoin reads our PSBTs and builds the same transaction from them."""

    def test_quorum(self, unsigned: Psbt):
        copies = [psbt.sign(unsigned, keys=keys) for keys in (CUSTODIAN, LENDER)]
        theirs = bdk.Psbt(str(copies[0])).combine(bdk.Psbt(str(copies[1]))).finalize()
        assert theirs.could_finalize
        ours = psbt.extract(psbt.finalize(psbt.combine(copies)))
        assert bytes(theirs.psbt.extract_tx().serialize()) == ours

    def test_recovery(self, world: tuple[Node, Psbt]):
        node, _ = world
        coins = node.coins(VAULT.script_pubkey)
        signed = psbt.sign(draft(node, VAULT, coins, locktime=VAULT.recover_after), keys=BORROWER)
        theirs = bdk.Psbt(str(signed)).finalize()
        assert theirs.could_finalize
        ours = psbt.extract(psbt.finalize(signed))
        assert bytes(theirs.psbt.extract_tx().serialize()) == ours

    def test_one_signature_is_not_enough_for_either(self, unsigned: Psbt):
        signed = psbt.sign(unsigned, keys=LENDER)
        assert not bdk.Psbt(str(signed)).finalize().could_finalize


class TestWallet:
    @pytest.fixture
    def node(self) -> Iterator[Node]:
        with ripe() as it:
            grow(it, 5)
            yield it

    def test_a_young_reward_is_not_balance(self, node: Node):
        wallet = Wallet(LENDER, node=node)
        grow(node, script=wallet.script_pubkey)
        grow(node, 98)
        assert wallet.balance() == 0
        grow(node)
        assert wallet.balance() == 50 * COIN

    def test_change_comes_back(self, node: Node):
        wallet = Wallet(LENDER, node=node)
        node.broadcast(pay(node, wallet.script_pubkey, sats=COIN))
        assert wallet.balance() == 0  # not confirmed
        grow(node)
        raw = wallet.pay([(P2WPKH, Sats(COIN // 4))], feerate=3)
        tx = Tx.parse(raw)
        fee = COIN - sum(each.value for each in tx.vout)
        assert (len(tx.vout), fee) == (2, 3 * tx.vsize)
        node.broadcast(raw)
        assert wallet.balance() == 0  # on its way out
        grow(node)
        assert wallet.balance() == COIN - COIN // 4 - fee

    def test_dust_goes_to_the_miner(self, node: Node):
        wallet = Wallet(LENDER, node=node)
        node.broadcast(pay(node, wallet.script_pubkey, sats=COIN))
        grow(node)
        raw = wallet.pay([(P2WPKH, Sats(COIN - 300))])
        assert len(Tx.parse(raw).vout) == 1
        node.broadcast(raw)

    def test_largest_coins_first(self, node: Node):
        wallet = Wallet(LENDER, node=node)
        for sats in (COIN, 3 * COIN, 2 * COIN):
            node.broadcast(pay(node, wallet.script_pubkey, sats=sats))
        grow(node)
        assert [coin.sats for coin in wallet.coins()] == [3 * COIN, 2 * COIN, COIN]
        assert len(Tx.parse(wallet.pay([(P2WPKH, Sats(2 * COIN))])).vin) == 1
        assert len(Tx.parse(wallet.pay([(P2WPKH, Sats(4 * COIN))])).vin) == 2
        raw = wallet.pay([(P2WPKH, Sats(6 * COIN - 500))])
        assert raw == wallet.pay([(P2WPKH, Sats(6 * COIN - 500))])
        node.broadcast(raw)

    def test_too_little(self, node: Node):
        wallet = Wallet(LENDER, node=node)
        with pytest.raises(Refused, match="bitcoin/funds"):
            wallet.pay([(P2WPKH, Sats(1_000))])
        node.broadcast(pay(node, wallet.script_pubkey, sats=COIN))
        grow(node)
        with pytest.raises(Refused, match="bitcoin/funds"):
            wallet.pay([(P2WPKH, Sats(COIN))])

    def test_its_name_is_its_address(self, node: Node):
        wallet = Wallet(LENDER, node=node)
        assert repr(wallet) == f"Wallet({wallet.address})"
        assert wallet.address.startswith("bcrt1q")
