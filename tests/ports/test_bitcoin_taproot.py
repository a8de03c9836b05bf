"""BIP-371: taproot coins through the same roles, by key and by leaf."""

from __future__ import annotations

from collections.abc import Iterator

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
    STEP,
    STRANGER,
    close,
    deposit,
    grow,
    make_vault,
    prev_txs,
    ripe,
)
from btclib.script import taproot
from btclib.tx import Tx
from btclib_wallet.bip32 import BIP32KeyOrigin
from btclib_wallet.psbt import psbt as bip174
from btclib_wallet.psbt.psbt_in import PsbtIn
from psbt_lab import Single, changed

from escrow.adapters.bitcoin import psbt
from escrow.adapters.bitcoin.keys import Keys, VaultKey
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.psbt import Psbt
from escrow.adapters.bitcoin.psbt_owner import taproot_fields
from escrow.adapters.bitcoin.vault import Vault, compile_vault
from escrow.core.errors import BadInput, Refused
from escrow.core.units import Sats, Seconds
from escrow.custody.policy import Moment
from escrow.custody.read import load_policy

THREE = {"borrower": BORROWER, "lender": LENDER, "custodian": CUSTODIAN}


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with ripe() as it:
        grow(it, 30)
        yield it


def keys_of(index: int = 0) -> dict[str, VaultKey]:
    return {role: keys.vault_key(index) for role, keys in THREE.items()}


def musig_vault(node: Node) -> Vault:
    keys = keys_of() | {"recovery": BORROWER.recovery_key()}
    return compile_vault(
        load_policy("musig"), keys=keys, moments={Moment.RECOVERY: Seconds(node.tip_time + STEP)}
    )


def joint_vault() -> Vault:
    """A leaf that wants three signatures, under an internal key that nobody has."""
    roles = ("borrower-ephemeral", "price-oracle", "payment-oracle")
    keys = dict(zip(roles, keys_of().values(), strict=True))
    moments = {
        Moment.DEFAULT: Seconds(START + 200 * DAY),
        Moment.RECOVERY: Seconds(START + 365 * DAY),
    }
    return compile_vault(load_policy("presigned"), keys=keys, moments=moments)


def spend_of(node: Node, owner: Vault | Single, *, path: str = "", **locks: int) -> Psbt:
    coin = deposit(node, owner)
    bare = psbt.create([coin.outpoint], outputs=[(P2WPKH, Sats(COIN - 400))], **locks)
    return psbt.update(bare, owner=owner, prev_txs=prev_txs(node, [coin]), path=path)


class TestKeyPath:
    def test_one_key(self, node: Node):
        owner = Single(f"tr({LENDER.vault_key().expression})")
        unsigned = spend_of(node, owner)
        with pytest.raises(Refused, match="psbt/no-key"):
            psbt.sign(unsigned, keys=STRANGER)
        signed = psbt.sign(unsigned, keys=LENDER)
        (spent,) = psbt.inspect(signed).inputs
        assert spent.signed_by == {LENDER.vault_key().pubkey[1:]}
        assert psbt.sign(signed, keys=LENDER) == signed == psbt.sign(unsigned, keys=LENDER)
        raw = psbt.extract(psbt.finalize(signed))
        assert Tx.parse(raw).vsize == 99
        assert node.broadcast(raw) == unsigned.txid

    def test_a_tree_beneath_the_key(self, node: Node):
        """The key is tweaked with the leaves it hides."""
        leaf = f"pk({BORROWER.vault_key().expression})"
        owner = Single(f"tr({LENDER.vault_key().expression},{leaf})")
        unsigned = spend_of(node, owner)
        each = unsigned._inner.inputs[0]
        assert each.taproot_merkle_root
        assert not each.taproot_leaf_scripts
        with pytest.raises(Refused, match="psbt/no-key"):
            psbt.sign(unsigned, keys=BORROWER)
        assert node.broadcast(close(unsigned, LENDER)) == unsigned.txid

    def test_version_two(self, node: Node):
        unsigned = spend_of(node, Single(f"tr({LENDER.vault_key().expression})"), version=2)
        assert unsigned.version == 2
        assert close(unsigned, LENDER) == close(psbt.as_version(unsigned, 0), LENDER)


class TestLeaf:
    def test_the_internal_key_is_not_asked(self, node: Node):
        """Whoever holds it alone would take another path than the one that was chosen."""
        leaf = f"pk({BORROWER.vault_key().expression})"
        owner = Single(f"tr({LENDER.vault_key().expression},{leaf})", {"recovery": 0})
        unsigned = spend_of(node, owner, path="recovery")
        assert unsigned._inner.inputs[0].taproot_internal_key == b""
        with pytest.raises(Refused, match="psbt/no-key"):
            psbt.sign(unsigned, keys=LENDER)
        assert node.broadcast(close(unsigned, BORROWER)) == unsigned.txid

    def test_with_a_lock(self, node: Node):
        vault = musig_vault(node)
        lock = vault.locktime("recovery")
        unsigned = spend_of(node, vault, locktime=lock)
        (shown,) = unsigned._inner.inputs[0].taproot_leaf_scripts.values()
        assert shown == (vault.leaf("recovery"), 0xC0)
        for keys in (LENDER, CUSTODIAN):
            with pytest.raises(Refused, match="psbt/no-key"):
                psbt.sign(unsigned, keys=keys)
        raw = close(unsigned, BORROWER)
        with pytest.raises(Refused, match="bitcoin/non-final"):
            node.broadcast(raw)
        grow(node, 12)
        assert node.broadcast(raw) == unsigned.txid

    def test_a_lock_that_is_too_low(self, node: Node):
        vault = musig_vault(node)
        unsigned = spend_of(node, vault, locktime=vault.locktime("recovery") - 1)
        with pytest.raises(Refused, match="psbt/incomplete"):
            close(unsigned, BORROWER)

    def test_several_signatures(self, node: Node):
        vault = joint_vault()
        unsigned = spend_of(node, vault, path="repayment")
        copies = [psbt.sign(unsigned, keys=keys) for keys in THREE.values()]
        with pytest.raises(Refused, match="psbt/incomplete"):
            psbt.finalize(psbt.combine(copies[:2]))
        whole = psbt.combine(copies)
        (spent,) = psbt.inspect(whole).inputs
        assert spent.signed_by == {key.pubkey[1:] for key in keys_of().values()}
        raw = psbt.extract(psbt.finalize(whole))
        assert Tx.parse(raw).vsize <= vault.vsize("repayment", 1, [P2WPKH])
        assert node.broadcast(raw) == unsigned.txid

    def test_bdk_builds_the_same(self, node: Node):
        unsigned = spend_of(node, joint_vault(), path="joint")
        whole = psbt.combine([psbt.sign(unsigned, keys=keys) for keys in THREE.values()])
        theirs = bdk.Psbt(str(whole)).finalize()
        assert theirs.could_finalize
        ours = psbt.extract(psbt.finalize(whole))
        assert bytes(theirs.psbt.extract_tx().serialize()) == ours


class TestRefusals:
    def test_a_strangers_signature(self, node: Node):
        unsigned = spend_of(node, joint_vault(), path="joint")
        ((script, version),) = unsigned._inner.inputs[0].taproot_leaf_scripts.values()
        leaf = taproot.leaf_hash(version, script)
        digest = bip174.taproot_sig_hash(unsigned._inner, 0, leaf_hash=leaf)
        key = STRANGER.vault_key()

        def lie(each: PsbtIn, *, hashed: bytes = leaf) -> None:
            signature = STRANGER.schnorr(
                key.pubkey[1:], origin=key.origin, digest=digest, recovery=False, merkle_root=None
            )
            each.taproot_script_spend_signatures = {key.pubkey[1:] + hashed: signature}

        for change in (lie, lambda each: lie(each, hashed=bytes(32))):
            with pytest.raises(Refused, match="psbt/foreign-signature"):
                psbt.inspect(changed(unsigned, change))

    def test_a_leaf_that_the_coin_does_not_have(self, node: Node):
        """A stranger brings a leaf of its own, with its own good signature."""
        unsigned = spend_of(node, joint_vault(), path="joint")
        key = STRANGER.vault_key()
        script = b"\x20" + key.pubkey[1:] + b"\xac"
        leaf = taproot.leaf_hash(0xC0, script)
        digest = bip174.taproot_sig_hash(unsigned._inner, 0, leaf_hash=leaf)

        def lie(each: PsbtIn) -> None:
            (proof,) = each.taproot_leaf_scripts
            each.taproot_leaf_scripts = {proof: (script, 0xC0)}
            signature = STRANGER.schnorr(
                key.pubkey[1:], origin=key.origin, digest=digest, recovery=False, merkle_root=None
            )
            each.taproot_script_spend_signatures = {key.pubkey[1:] + leaf: signature}
            each.taproot_hd_key_paths = {key.pubkey[1:]: ([leaf], key.origin)}

        lied = changed(unsigned, lie)
        with pytest.raises(Refused, match="psbt/foreign-signature"):
            psbt.inspect(lied)
        with pytest.raises(BadInput, match="psbt/format"):
            psbt.sign(lied, keys=STRANGER)

    @pytest.mark.parametrize("where", ["key", "leaf"])
    def test_a_damaged_signature(self, node: Node, where: str):
        if where == "key":
            unsigned = spend_of(node, Single(f"tr({LENDER.vault_key().expression})"))
        else:
            unsigned = spend_of(node, joint_vault(), path="joint")
        signed = psbt.sign(unsigned, keys=LENDER)

        def damage(each: PsbtIn, *, tail: bytes = b"") -> None:
            if where == "key":
                each.taproot_key_spend_signature = _bent(each.taproot_key_spend_signature) + tail
                return
            ((key, it),) = each.taproot_script_spend_signatures.items()
            each.taproot_script_spend_signatures = {key: _bent(it) + tail}

        for copies in ([unsigned, changed(signed, damage)], [changed(signed, damage)]):
            with pytest.raises(Refused, match="psbt/bad-signature"):
                psbt.combine(copies)
        for copies in ([signed, changed(signed, damage)], [changed(signed, damage), signed]):
            with pytest.raises(Refused, match="psbt/bad-signature"):
                psbt.combine(copies)

    @pytest.mark.parametrize("hash_type", [1, 2, 3, 0x81])
    def test_a_signature_of_less_than_everything(self, node: Node, hash_type: int):
        """SIGHASH_ALL as well: it says the same in a byte more than was counted."""
        key = LENDER.vault_key()
        unsigned = spend_of(node, Single(f"tr({key.expression})"))
        digest = bip174.taproot_sig_hash(unsigned._inner, 0, hash_type=hash_type)
        signature = LENDER.schnorr(
            key.pubkey[1:], origin=key.origin, digest=digest, recovery=False, merkle_root=b""
        )

        def add(each: PsbtIn) -> None:
            each.taproot_key_spend_signature = signature + bytes([hash_type])

        def ask(each: PsbtIn) -> None:
            each.sig_hash_type = hash_type

        with pytest.raises(Refused, match="psbt/sighash"):
            psbt.inspect(changed(unsigned, add))
        with pytest.raises(Refused, match="psbt/sighash"):
            psbt.sign(changed(unsigned, ask), keys=LENDER)
        explicit = changed(unsigned, lambda each: setattr(each, "sig_hash_type", 0))
        assert psbt.inspect(psbt.sign(explicit, keys=LENDER)).inputs[0].signed_by

    def test_a_taproot_signature_for_another_coin(self, node: Node):
        signature = psbt.sign(
            spend_of(node, Single(f"tr({LENDER.vault_key().expression})")), keys=LENDER
        )
        other = spend_of(node, make_vault())

        def move(each: PsbtIn) -> None:
            (source,) = signature._inner.inputs
            each.taproot_key_spend_signature = source.taproot_key_spend_signature

        with pytest.raises(Refused, match="psbt/foreign-signature"):
            psbt.inspect(changed(other, move))

    def test_an_ecdsa_signature_for_a_taproot_coin(self, node: Node):
        key = LENDER.vault_key()
        unsigned = spend_of(node, Single(f"tr({key.expression})"))
        signature = LENDER.ecdsa(key.pubkey, origin=key.origin, digest=bytes(32), recovery=False)

        def add(each: PsbtIn) -> None:
            each.partial_sigs = {key.pubkey: signature + b"\x01"}

        with pytest.raises(Refused, match="psbt/foreign-signature"):
            psbt.inspect(changed(unsigned, add))

    def test_no_such_leaf(self):
        for descriptor in (f"tr({LENDER.vault_key().expression})", make_vault().descriptor):
            with pytest.raises(BadInput, match="psbt/path"):
                taproot_fields(descriptor, leaf=b"\x51")


class TestKeys:
    def test_signatures_are_deterministic(self):
        key = LENDER.vault_key()
        ask = {"origin": key.origin, "digest": bytes(32), "recovery": False}
        for root in (None, b"", bytes(32)):
            first = LENDER.schnorr(key.pubkey[1:], merkle_root=root, **ask)
            assert len(first) == 64
            assert first == LENDER.schnorr(key.pubkey[1:], merkle_root=root, **ask)
        assert BORROWER.schnorr(key.pubkey[1:], merkle_root=None, **ask) is None

    def test_the_recovery_account_waits(self):
        key = BORROWER.recovery_key()
        for keys, recovery, signs in (
            (BORROWER, True, True),
            (BORROWER, False, False),
            (LENDER, True, False),
        ):
            ask = {"origin": key.origin, "digest": bytes(32), "recovery": recovery}
            signed = keys.schnorr(key.pubkey[1:], merkle_root=None, **ask)
            assert (signed is not None) is signs
            assert (keys.ecdsa(key.pubkey, **ask) is not None) is signs
        assert BORROWER.owns(key.pubkey, key.origin)
        assert BORROWER.owns(key.pubkey[1:], key.origin)
        assert not LENDER.owns(key.pubkey, key.origin)
        assert not BORROWER.owns(key.pubkey, BIP32KeyOrigin(BORROWER.fingerprint, []))
        assert not BORROWER.owns(key.pubkey, None)

    def test_words(self):
        """The vector that every wallet knows: fingerprint and first address of BIP-84's test."""
        keys = Keys.from_mnemonic(" ".join(["abandon"] * 11 + ["about"]))
        assert keys.fingerprint.hex() == "73c5da0a"
        again = Keys.from_mnemonic(" ".join(["abandon"] * 11 + ["about"]), passphrase="TREZOR")
        assert again.fingerprint != keys.fingerprint
        with pytest.raises(BadInput, match="signer/mnemonic"):
            Keys.from_mnemonic(" ".join(["abandon"] * 11 + ["about"]), passphrase="x" * 2_000)

    @pytest.mark.parametrize(
        "words",
        ["", "abandon", "abandon " * 12, "unobtainium " * 12, "abandon " * 2_000, "\ud800"],
        ids=["none", "one", "checksum", "unknown", "long", "no text"],
    )
    def test_no_words(self, words: str):
        with pytest.raises(BadInput, match="signer/mnemonic") as caught:
            Keys.from_mnemonic(words)
        assert caught.value.__cause__ is None
        assert not {"abandon", "unobtainium"} & set(str(caught.value).split())


def _bent(signature: bytes) -> bytes:
    return signature[:5] + bytes([signature[5] ^ 1]) + signature[6:]
