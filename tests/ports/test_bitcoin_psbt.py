"""BIP-174's roles: each may be played by another party, and each distrusts the one before."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from copy import deepcopy

import bdkpython as bdk
import pytest
from bitcoin_lab import (
    BORROWER,
    COIN,
    CUSTODIAN,
    LENDER,
    P2WPKH,
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
from btclib.tx import Tx, TxOut
from btclib_secp256k1 import dsa
from btclib_wallet.bip32 import BIP32KeyOrigin
from btclib_wallet.psbt import psbt as bip174
from hypothesis import given, settings
from hypothesis import strategies as st

from escrow.adapters.bitcoin import psbt
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.psbt import Psbt
from escrow.adapters.bitcoin.types import OutPoint
from escrow.adapters.bitcoin.wallet import Wallet
from escrow.core.errors import BadInput, EscrowError, Refused
from escrow.core.units import MAX_MONEY, Sats

VAULT = make_vault()


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Node, Psbt]]:
    """A chain with a coin in the vault, and the PSBT that would spend it."""
    with ripe() as node:
        coin = deposit(node, VAULT)
        yield node, draft(node, VAULT, [coin])


@pytest.fixture
def unsigned(world: tuple[Node, Psbt]) -> Psbt:
    return world[1]


def changed(original: Psbt, change: Callable[[bip174.Psbt], None]) -> Psbt:
    """What a liar would send: the same PSBT, changed by hand."""
    inner = deepcopy(original._inner)
    change(inner)
    return Psbt(inner)


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

    def test_version_two_is_not_spoken(self, unsigned: Psbt):
        with pytest.raises(BadInput, match="version 0"):
            Psbt.parse(unsigned._inner.to_v2().b64encode())

    @settings(max_examples=200, deadline=None)
    @given(at=st.integers(0, 10**6), byte=st.integers(1, 255))
    def test_a_flipped_byte_is_always_noticed(self, world, at: int, byte: int):
        _, unsigned = world
        raw = bytearray(psbt.sign(unsigned, keys=LENDER)._inner.serialize())
        raw[at % len(raw)] ^= byte
        text = b64encode(bytes(raw)).decode()
        with pytest.raises(EscrowError):
            psbt.combine([psbt.sign(unsigned, keys=BORROWER), Psbt.parse(text)])


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
            signature = STRANGER.sign_spend(
                key.pubkey, origin=key.origin, digest=digest, recovery=False
            )
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

        with pytest.raises(BadInput, match="psbt/format"):
            psbt.sign(changed(unsigned, lie), keys=LENDER)

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
        signature = STRANGER.sign_spend(
            key.pubkey, origin=key.origin, digest=digest, recovery=False
        )

        def lie(inner: bip174.Psbt) -> None:
            inner.inputs[0].partial_sigs = {key.pubkey: signature + b"\x01"}

        with pytest.raises(Refused, match="psbt/foreign-signature"):
            psbt.combine([unsigned, changed(unsigned, lie)])

    @pytest.mark.parametrize("how", ["moved", "high S", "sighash", "damaged"])
    def test_a_wrong_signature(self, unsigned: Psbt, how: str):
        signed = psbt.sign(unsigned, keys=LENDER)
        mine, other = LENDER.vault_key().pubkey, BORROWER.vault_key().pubkey

        def lie(inner: bip174.Psbt) -> None:
            (signature,) = inner.inputs[0].partial_sigs.values()
            damaged = signature[:10] + bytes([signature[10] ^ 1]) + signature[11:]
            inner.inputs[0].partial_sigs = {
                "moved": {other: signature},
                "high S": {mine: high_s(signature)},
                "sighash": {mine: signature[:-1] + b"\x02"},
                "damaged": {mine: damaged},
            }[how]

        with pytest.raises(Refused, match="psbt/bad-signature"):
            psbt.combine([unsigned, changed(signed, lie)])

    def test_a_token_that_does_not_grind_is_welcome(self, world: tuple[Node, Psbt]):
        """Hardware answers with any R: 72 bytes are as good as 71, and inside the size bound."""
        _, unsigned = world
        digest = bip174.ecdsa_sig_hash(unsigned._inner, 0)
        secret = LENDER._child("48h/1h/0h/2h", 0).key[1:]
        attempts = (dsa.sign(digest, secret, bytes([salt]) * 32) for salt in range(256))
        long = next(each for each in attempts if len(each) == 71)

        def add(inner: bip174.Psbt) -> None:
            inner.inputs[0].partial_sigs = {LENDER.vault_key().pubkey: long + b"\x01"}

        both = psbt.combine([changed(unsigned, add), psbt.sign(unsigned, keys=BORROWER)])
        assert psbt.extract(psbt.finalize(both))


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
