"""MuSig2 over PSBTs: two rounds, one signature, and nonces that sign once and are gone."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from copy import deepcopy

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
    deposit,
    grow,
    prev_txs,
    ripe,
)
from btclib.tx import Tx
from btclib_wallet.psbt import musig2
from btclib_wallet.psbt import psbt as bip174
from btclib_wallet.psbt.psbt_in import PsbtIn
from psbt_lab import Single, changed

from escrow.adapters.bitcoin import psbt
from escrow.adapters.bitcoin.musig import MusigSigner, aggregate
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.psbt import Psbt
from escrow.adapters.bitcoin.vault import Vault, compile_vault
from escrow.core.errors import BadInput, EscrowError, Refused
from escrow.core.units import Sats, Seconds
from escrow.custody.policy import Moment
from escrow.custody.read import load_policy

PATHS = {
    "close": (BORROWER, LENDER),
    "release": (BORROWER, CUSTODIAN),
    "liquidate": (LENDER, CUSTODIAN),
}
VAULT: Vault = compile_vault(
    load_policy("musig"),
    keys={
        "borrower": BORROWER.vault_key(),
        "lender": LENDER.vault_key(),
        "custodian": CUSTODIAN.vault_key(),
        "recovery": BORROWER.recovery_key(),
    },
    moments={Moment.RECOVERY: Seconds(START + 365 * DAY)},
)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with ripe() as it:
        grow(it, 20)
        yield it


def spend(
    node: Node, *, path: str = "close", coins: int = 1, fee: int = 400, version: int = 0
) -> Psbt:
    found = node.coins(VAULT.script_pubkey)
    while len(found) < coins:
        deposit(node, VAULT)
        found = node.coins(VAULT.script_pubkey)
    found = found[:coins]
    paid = Sats(sum(coin.sats for coin in found) - fee)
    bare = psbt.create([coin.outpoint for coin in found], outputs=[(P2WPKH, paid)], version=version)
    return psbt.update(bare, owner=VAULT, prev_txs=prev_txs(node, found), path=path)


@pytest.fixture
def unsigned(node: Node) -> Psbt:
    return spend(node)


def pair(path: str = "close") -> list[MusigSigner]:
    return [MusigSigner(keys) for keys in PATHS[path]]


def round_one(unsigned: Psbt, *signers: MusigSigner) -> Psbt:
    return psbt.combine([each.nonces(unsigned) for each in signers])


class TestTwoRounds:
    @pytest.mark.parametrize("version", [0, 2])
    @pytest.mark.parametrize("path", PATHS)
    def test_accepted_by_the_chain(self, node: Node, path: str, version: int):
        unsigned = spend(node, path=path, version=version)
        signers = pair(path)
        nonces = Psbt.parse(str(round_one(unsigned, *signers)))
        partials = [Psbt.parse(str(each.partial(nonces))) for each in signers]
        whole = aggregate(psbt.combine(partials))
        (spent,) = psbt.inspect(whole).inputs
        assert spent.signed_by == {keys.vault_key().pubkey[1:] for keys in PATHS[path]}
        raw = psbt.extract(psbt.finalize(whole))
        assert Tx.parse(raw).vsize <= VAULT.vsize(path, 1, [P2WPKH])
        assert node.broadcast(raw) == unsigned.txid
        grow(node)

    def test_as_small_as_one_signature(self, unsigned: Psbt):
        signers = pair()
        nonces = round_one(unsigned, *signers)
        whole = aggregate(psbt.combine([each.partial(nonces) for each in signers]))
        assert Tx.parse(psbt.extract(psbt.finalize(whole))).vsize == 99

    def test_several_coins_at_once(self, node: Node):
        """One nonce each: a nonce in two places would be a nonce used twice."""
        unsigned = spend(node, coins=3)
        signers = pair()
        nonces = round_one(unsigned, *signers)
        public = [n for each in nonces._inner.inputs for n in each.musig2_pub_nonces.values()]
        assert len(set(public)) == len(public) == 6
        whole = aggregate(psbt.combine([each.partial(nonces) for each in signers]))
        assert node.broadcast(psbt.extract(psbt.finalize(whole))) == unsigned.txid
        grow(node)

    def test_one_after_the_other(self, unsigned: Psbt):
        """A file that goes round twice instead of copies that are combined."""
        first, second = pair()
        nonces = second.nonces(first.nonces(unsigned))
        whole = aggregate(second.partial(first.partial(nonces)))
        assert psbt.extract(psbt.finalize(whole))

    def test_progress_can_be_read(self, unsigned: Psbt):
        first, second = pair()
        nonces = round_one(unsigned, first, second)
        (asked,) = psbt.asked(nonces)
        assert set(asked) == {keys.vault_key().pubkey[1:] for keys in PATHS["close"]}
        assert not psbt.inspect(nonces).inputs[0].signed_by
        one = first.partial(nonces)
        (spent,) = psbt.inspect(one).inputs
        assert spent.signed_by == {BORROWER.vault_key().pubkey[1:]}
        both = second.partial(one)
        lacks = [psbt.missing(each) for each in (unsigned, nonces, one, both, aggregate(both))]
        assert lacks == [(2,), (2,), (1,), (0,), (0,)]

    @pytest.mark.parametrize("path", PATHS)
    def test_what_is_added_up_is_dropped(self, node: Node, path: str):
        """A nonce that stays in the file invites somebody to use it again."""
        unsigned, signers = spend(node, path=path), pair(path)
        nonces = round_one(unsigned, *signers)
        (each,) = aggregate(psbt.combine([it.partial(nonces) for it in signers]))._inner.inputs
        assert not each.musig2_pub_nonces
        assert not each.musig2_partial_sigs

    def test_nobody_signs_a_leaf_as_if_it_were_alone_in_it(self, node: Node):
        """A participant is named for the leaf, but the leaf holds the aggregate."""
        unsigned = spend(node, path="release")
        for keys in PATHS["release"]:
            with pytest.raises(Refused, match=r"psbt/no-key.*two rounds"):
                psbt.sign(unsigned, keys=keys)


class TestAnotherImplementation:
    """BIP-373's own roles in btclib, whose arithmetic is Python, sign with our libsecp256k1."""

    @pytest.mark.parametrize("path", ["close", "release"])
    def test_side_by_side(self, node: Node, path: str):
        unsigned = spend(node, path=path)
        ours, keys = pair(path)[0], PATHS[path][1]
        secret = keys._child("48h/1h/0h/2h", 0).key[1:]
        theirs = deepcopy(ours.nonces(unsigned)._inner)
        (group,) = theirs.inputs[0].musig2_participant_pub_keys
        leaf = b""
        if path != "close":
            key = keys.vault_key().pubkey[1:]
            ((leaf,), _) = theirs.inputs[0].taproot_hd_key_paths[key]
        nonce = musig2.nonce_gen(theirs, 0, secret, group, leaf_hash=leaf)
        mine = ours.partial(Psbt(theirs))
        theirs = deepcopy(mine._inner)
        musig2.partial_sign(theirs, 0, nonce, secret, group, leaf_hash=leaf)
        raw = psbt.extract(psbt.finalize(aggregate(Psbt(theirs))))
        musig2.partial_sigs_agg(theirs, 0, group, leaf_hash=leaf)
        assert psbt.extract(psbt.finalize(Psbt(theirs))) == raw
        assert node.broadcast(raw) == unsigned.txid
        grow(node)


class TestNonces:
    def test_used_once(self, unsigned: Psbt):
        first, second = pair()
        nonces = round_one(unsigned, first, second)
        assert first.partial(nonces)
        for again in (nonces, second.nonces(nonces)):
            with pytest.raises(Refused, match="musig/nonce"):
                first.partial(again)

    def test_not_for_another_message(self, node: Node, unsigned: Psbt):
        """The same public nonce in another transaction: whoever signs both gives its key away."""
        first, second = pair()
        nonces = round_one(unsigned, first, second)
        other = spend(node, fee=500)

        def carry(each: PsbtIn) -> None:
            each.musig2_pub_nonces = nonces._inner.inputs[0].musig2_pub_nonces

        with pytest.raises(Refused, match="musig/nonce"):
            first.partial(changed(other, carry))
        assert first.partial(nonces)  # and the honest round still goes on

    def test_not_for_a_nonce_that_somebody_swapped(self, unsigned: Psbt):
        first, second = pair()
        nonces = round_one(unsigned, first, second)

        def swap(each: PsbtIn) -> None:
            one, two = each.musig2_pub_nonces.items()
            each.musig2_pub_nonces = {one[0]: two[1], two[0]: one[1]}

        with pytest.raises(Refused, match="musig/nonce"):
            first.partial(changed(nonces, swap))
        assert first.partial(nonces)

    def test_before_everybody_has_one(self, unsigned: Psbt):
        first, second = pair()
        alone = first.nonces(unsigned)
        with pytest.raises(Refused, match="psbt/incomplete"):
            first.partial(alone)
        assert first.partial(second.nonces(alone))

    def test_a_round_that_starts_anew(self, unsigned: Psbt):
        first, second = pair()
        old = round_one(unsigned, first, second)
        new = first.nonces(old)
        with pytest.raises(Refused, match="musig/nonce"):
            first.partial(old)
        with pytest.raises(Refused, match="psbt/duplicate"):
            psbt.combine([old, new])
        assert first.partial(new)

    def test_a_session_is_taken_once(self, node: Node, unsigned: Psbt):
        first = MusigSigner(BORROWER)
        assert first.nonces(unsigned, session=bytes(32))
        for other in (unsigned, spend(node, fee=700)):
            with pytest.raises(Refused, match="musig/nonce"):
                first.nonces(other, session=bytes(32))
        assert first.nonces(unsigned, session=bytes(31) + b"\x01")
        for size in (0, 31, 33):
            with pytest.raises(BadInput, match="musig/nonce"):
                first.nonces(unsigned, session=bytes(size))

    def test_a_session_that_was_refused_is_not_taken(self, unsigned: Psbt):
        stranger = MusigSigner(STRANGER)
        for _ in range(2):
            with pytest.raises(Refused, match="psbt/no-key"):
                stranger.nonces(unsigned, session=bytes(32))

    def test_given_sessions_make_a_chain_that_is_the_same_each_time(self, unsigned: Psbt):
        found = set()
        for _ in range(2):
            signers = pair()
            nonces = psbt.combine(
                [s.nonces(unsigned, session=bytes([n]) * 32) for n, s in enumerate(signers)]
            )
            whole = aggregate(psbt.combine([each.partial(nonces) for each in signers]))
            found.add(psbt.extract(psbt.finalize(whole)))
        assert len(found) == 1

    def test_new_by_themselves(self, unsigned: Psbt):
        public = {
            nonce
            for _ in range(20)
            for nonce in MusigSigner(LENDER)
            .nonces(unsigned)
            ._inner.inputs[0]
            .musig2_pub_nonces.values()
        }
        assert len(public) == 20

    def test_close_wipes(self, unsigned: Psbt):
        first, second = pair()
        nonces = round_one(unsigned, first, second)
        first.close()
        with pytest.raises(Refused, match="musig/nonce"):
            first.partial(nonces)


class TestSecrets:
    def test_no_copies(self, unsigned: Psbt):
        signer = MusigSigner(LENDER)
        signer.nonces(unsigned)
        for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError):
                attempt(signer)
        assert not hasattr(signer, "__dict__")

    def test_it_shows_nothing(self, unsigned: Psbt):
        signer = MusigSigner(LENDER)
        signer.nonces(unsigned)
        (held,) = signer._held.values()
        assert repr(signer) == f"MusigSigner({LENDER.fingerprint.hex()})"
        assert "secret" not in repr(held)

    def test_a_psbt_carries_the_public_half_only(self, unsigned: Psbt):
        signer = MusigSigner(LENDER)
        given = signer.nonces(unsigned)
        (public,) = given._inner.inputs[0].musig2_pub_nonces.values()
        assert len(public) == 66
        bip174.assert_signatures_only(unsigned._inner, given._inner)


class TestWrong:
    def test_partial_signatures_name_their_signer(self, unsigned: Psbt):
        first, second = pair()
        nonces = round_one(unsigned, first, second)
        good, other = first.partial(nonces), second.partial(nonces)

        def bend(each: PsbtIn) -> None:
            ((field, it),) = each.musig2_partial_sigs.items()
            each.musig2_partial_sigs = {field: it[:-1] + bytes([it[-1] ^ 1])}

        def overflow(each: PsbtIn) -> None:
            (field,) = each.musig2_partial_sigs
            each.musig2_partial_sigs = {field: b"\xff" * 32}

        for change in (bend, overflow):
            bad = changed(other, change)
            for attempt in (
                lambda bad=bad: psbt.combine([good, bad]),
                lambda bad=bad: psbt.inspect(bad),
                lambda bad=bad: aggregate(bad),
            ):
                with pytest.raises(Refused, match="musig/partial") as caught:
                    attempt()
                assert caught.value.facts["key"] == LENDER.vault_key().pubkey.hex()
        assert aggregate(psbt.combine([good, other]))

    def test_a_nonce_that_is_no_point(self, unsigned: Psbt):
        first, second = pair()
        nonces = round_one(unsigned, first, second)
        theirs = LENDER.vault_key().pubkey

        def spoil(each: PsbtIn) -> None:
            each.musig2_pub_nonces = {
                field: b"\x07" + it[1:] if field.startswith(theirs) else it
                for field, it in each.musig2_pub_nonces.items()
            }

        with pytest.raises(Refused, match="musig/partial") as caught:
            first.partial(changed(nonces, spoil))
        assert caught.value.facts["key"] == theirs.hex()
        assert first.partial(nonces)

    def test_a_partial_signature_of_another_session(self, unsigned: Psbt):
        """Made with nonces that the others have given up since."""
        first, second = pair()
        old = round_one(unsigned, first, second)
        stale = second.partial(old)._inner.inputs[0].musig2_partial_sigs
        new = first.nonces(old)

        def add(each: PsbtIn) -> None:
            each.musig2_partial_sigs = stale

        with pytest.raises(Refused, match="musig/partial"):
            first.partial(changed(new, add))

    def test_one_is_missing(self, unsigned: Psbt):
        first, second = pair()
        nonces = round_one(unsigned, first, second)
        for incomplete in (unsigned, nonces, first.partial(nonces)):
            with pytest.raises(Refused, match="psbt/incomplete"):
                aggregate(incomplete)
            with pytest.raises(Refused, match="psbt/incomplete"):
                psbt.finalize(incomplete)

    def test_a_strangers_field(self, unsigned: Psbt):
        first, second = pair()
        nonces = round_one(unsigned, first, second)
        stranger = STRANGER.vault_key().pubkey

        def add(each: PsbtIn) -> None:
            field, nonce = next(iter(each.musig2_pub_nonces.items()))
            each.musig2_pub_nonces = each.musig2_pub_nonces | {stranger + field[33:]: nonce}

        with pytest.raises(Refused, match="psbt/foreign-signature"):
            psbt.combine([nonces, changed(nonces, add)])

    @pytest.mark.parametrize("path", ["close", "liquidate"])
    def test_other_participants(self, node: Node, path: str):
        """A list that does not make the coin's key: signing for it would serve nobody."""
        unsigned = spend(node, path=path)

        def lie(each: PsbtIn) -> None:
            ((group, members),) = each.musig2_participant_pub_keys.items()
            each.musig2_participant_pub_keys = {group: members[::-1] + members}

        with pytest.raises(BadInput, match="psbt/format"):
            MusigSigner(LENDER).nonces(changed(unsigned, lie))

    def test_another_tree(self, unsigned: Psbt):
        def lie(each: PsbtIn) -> None:
            each.taproot_merkle_root = bytes(32)

        with pytest.raises(BadInput, match="psbt/format"):
            MusigSigner(LENDER).nonces(changed(unsigned, lie))

    @pytest.mark.parametrize("hash_type", [1, 2, 0x83])
    def test_less_than_everything(self, unsigned: Psbt, hash_type: int):
        first, second = pair()
        nonces = round_one(unsigned, first, second)

        def ask(each: PsbtIn) -> None:
            each.sig_hash_type = hash_type

        with pytest.raises(Refused, match="psbt/sighash"):
            MusigSigner(LENDER).nonces(changed(unsigned, ask))
        with pytest.raises(Refused, match="psbt/sighash"):
            first.partial(changed(nonces, ask))

    def test_a_claim_about_our_key_is_not_enough(self, unsigned: Psbt):
        def lie(each: PsbtIn) -> None:
            key = LENDER.vault_key().pubkey[1:]
            leaves, _ = each.taproot_hd_key_paths[key]
            each.taproot_hd_key_paths = {key: (leaves, LENDER.vault_key(5).origin)}

        with pytest.raises(Refused, match="psbt/no-key"):
            MusigSigner(LENDER).nonces(changed(unsigned, lie))

    def test_no_group_at_all(self, node: Node):
        unsigned = spend(node)
        plain = changed(unsigned, lambda each: setattr(each, "musig2_participant_pub_keys", {}))
        for attempt in (MusigSigner(LENDER).nonces, MusigSigner(LENDER).partial, aggregate):
            with pytest.raises(EscrowError, match=r"psbt/(no-key|incomplete)"):
                attempt(plain)


def test_a_child_of_the_aggregate(node: Node):
    """BIP-328: the aggregate as an extended key, whose child is the internal key."""
    keys = [keys.vault_key().expression for keys in (BORROWER, LENDER)]
    owner = Single(f"tr(musig({','.join(keys)})/0/3)")
    coin = deposit(node, owner)
    bare = psbt.create([coin.outpoint], outputs=[(P2WPKH, Sats(COIN - 400))])
    unsigned = psbt.update(bare, owner=owner, prev_txs=prev_txs(node, [coin]))
    signers = pair()
    nonces = round_one(unsigned, *signers)
    whole = aggregate(psbt.combine([each.partial(nonces) for each in signers]))
    assert node.broadcast(psbt.extract(psbt.finalize(whole))) == unsigned.txid
