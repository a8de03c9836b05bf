"""BDK (rust-bitcoin, rust-miniscript) reads every shipped policy's vault, and must agree with us.

Its keys come from the same words, by its own BIP-39 and BIP-32; its signatures, witnesses and
sizes by its own code. What it cannot do is named in ``BEYOND`` and seen to be beyond it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from hashlib import sha256
from itertools import combinations

import bdkpython as bdk
import pytest
from bitcoin_lab import P2WPKH, P2WSH, START, spend, txid_of
from btclib.script.taproot import leaf_hash
from btclib.tx import Tx
from btclib_secp256k1 import dsa, ssa
from btclib_wallet.psbt import psbt as bip174
from hypothesis import given
from hypothesis import strategies as st

from escrow.adapters.bitcoin import psbt
from escrow.adapters.bitcoin.compile import UNSPENDABLE
from escrow.adapters.bitcoin.ephemeral import EphemeralKey
from escrow.adapters.bitcoin.kernel import verify_scripts
from escrow.adapters.bitcoin.keys import Keys, VaultKey
from escrow.adapters.bitcoin.psbt import Psbt
from escrow.adapters.bitcoin.psbt_data import unshared
from escrow.adapters.bitcoin.signatures import SigningKeys
from escrow.adapters.bitcoin.types import OutPoint
from escrow.adapters.bitcoin.vault import Vault, compile_vault
from escrow.core.errors import BadInput, Refused
from escrow.core.units import COIN, DAY, Sats, Seconds
from escrow.custody.policy import (
    After,
    Form,
    KeyKind,
    Moment,
    Older,
    Path,
    Policy,
    Role,
    ScriptKind,
)
from escrow.custody.read import load_policy, shipped
from escrow.sim.vault_lab import Lab

MOMENTS = {Moment.DEFAULT: Seconds(START + DAY), Moment.RECOVERY: Seconds(START + 9 * DAY)}
UNIT = 512

NO_DESCRIPTOR = {"musig": "its descriptors have no musig() (BIP-390), so it tells no address"}
"""Policies whose vault BDK cannot read, and why."""
BEYOND = {
    ("musig", "close"): "it has no MuSig2 (BIP-327)",
    ("musig", "release"): "it has no MuSig2 (BIP-327)",
    ("musig", "liquidate"): "it has no MuSig2 (BIP-327)",
    ("dlc", "repaid"): "it has no adaptor signatures: it only puts the opened ones together",
    ("dlc", "liquidated"): "it has no adaptor signatures: it only puts the opened ones together",
}
"""Paths that BDK cannot sign, and why."""
EVERY = [(name, path.name) for name in shipped() for path in load_policy(name).paths]
CASES = [case for case in EVERY if case not in BEYOND]
READ = [name for name in shipped() if name not in NO_DESCRIPTOR]


# --- the same keys twice ---


def entropy(role: str) -> bytes:
    return sha256(b"words of " + role.encode()).digest()


@cache
def words(role: str) -> str:
    return str(bdk.Mnemonic.from_entropy(entropy(role)[:16]))


@cache
def our_keys(role: str) -> Keys:
    return Keys.from_mnemonic(words(role))


@cache
def root(role: str) -> bdk.DescriptorSecretKey:
    return bdk.DescriptorSecretKey(
        bdk.NetworkKind.TEST, bdk.Mnemonic.from_string(words(role)), None
    )


def signing_keys(role: Role) -> SigningKeys:
    if role.key is KeyKind.EPHEMERAL:
        return EphemeralKey(entropy(role.name))
    return our_keys(role.name)


def vault_key(role: Role, index: int) -> VaultKey:
    if role.key is KeyKind.EPHEMERAL:
        return EphemeralKey(entropy(role.name)).vault_key
    keys = our_keys(role.name)
    return keys.recovery_key(index) if role.name == "recovery" else keys.vault_key(index)


def their_private(role: Role, index: int) -> str:
    """The private key as BDK derives and writes it."""
    if role.key is KeyKind.EPHEMERAL:
        return wif(entropy(role.name))
    account = "m/48h/1h/1h/2h" if role.name == "recovery" else "m/48h/1h/0h/2h"
    derived = root(role.name).derive(bdk.DerivationPath(account))
    return f"{str(derived).removesuffix('/*')}/0/{index}"


def wif(secret: bytes) -> str:
    """A single private key of a test network, compressed."""
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    raw = b"\xef" + secret + b"\x01"
    raw += sha256(sha256(raw).digest()).digest()[:4]
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = alphabet[digit] + text
    return text


@cache
def vault_of(name: str, index: int = 0) -> Vault:
    return compiled(load_policy(name), index)


def compiled(policy: Policy, index: int, moments: Mapping[Moment, Seconds] = MOMENTS) -> Vault:
    scripted = {r for p in policy.paths if p.form in {Form.SCRIPT, Form.MUSIG} for r in p.roles}
    keys = {role.name: vault_key(role, index) for role in policy.roles if role.name in scripted}
    return compile_vault(policy, keys=keys, moments=moments)


# --- BDK ---


def wallet_of(descriptor: str) -> bdk.Wallet:
    return bdk.Wallet.create_single(
        bdk.Descriptor(descriptor, bdk.NetworkKind.TEST),
        bdk.Network.REGTEST,
        bdk.Persister.new_in_memory(),
    )


def their_address(vault: Vault) -> str:
    wallet = wallet_of(vault.descriptor)
    return str(wallet.peek_address(bdk.KeychainKind.EXTERNAL, 0).address)


@cache
def their_wallet(name: str) -> bdk.Wallet:
    """It watches the vault; one of any key where BDK cannot read the vault's descriptor."""
    if name in NO_DESCRIPTOR:
        return wallet_of(f"wpkh({our_keys('nobody').vault_key().expression})")
    return wallet_of(vault_of(name).descriptor)


@cache
def their_signer(name: str, role: str) -> bdk.SignersContainer:
    """The vault's descriptor with this role's key in private, and no other."""
    policy = load_policy(name)
    private = their_private(policy.role(role), 0)
    text = vault_of(name).descriptor.partition("#")[0]
    if name in NO_DESCRIPTOR:
        text = f"tr({UNSPENDABLE},pk({private}))"
    else:
        public = vault_of(name).keys[role].expression
        assert text.count(public) >= 1
        text = text.replace(public, private)
    return bdk.SignersContainer.from_descriptor(bdk.Descriptor(text, bdk.NetworkKind.TEST))


def signed_by_bdk(unsigned: Psbt, *, name: str, role: str) -> Psbt:
    theirs = bdk.Psbt(str(unsigned))
    options = bdk.SignOptions(
        trust_witness_utxo=False,
        assume_height=None,
        allow_all_sighashes=False,
        try_finalize=False,
        sign_with_tap_internal_key=True,
        allow_grinding=True,
    )
    their_wallet(name).sign_with_signers(theirs, [their_signer(name, role)], options)
    return Psbt.parse(theirs.serialize())


def finalized_by_bdk(whole: Psbt) -> bytes | None:
    done = bdk.Psbt(str(whole)).finalize()
    return bytes(done.psbt.extract_tx().serialize()) if done.could_finalize else None


# --- one path of one policy ---


@dataclass(frozen=True)
class Case:
    name: str
    path_name: str

    @cached_property
    def path(self) -> Path:
        return load_policy(self.name).path(self.path_name)

    @cached_property
    def script_path(self) -> Path:
        """Whose signatures they are."""
        return load_policy(self.name).path(self.path.via) if self.path.via else self.path

    @property
    def vault(self) -> Vault:
        return vault_of(self.name)

    @cached_property
    def funding(self) -> bytes:
        """Two coins of different worth, and one of somebody else's between them."""
        outputs = [(self.vault.script_pubkey, COIN), (P2WPKH, 7), (self.vault.script_pubkey, 5_000)]
        return spend([OutPoint("aa" * 32, 0)], outputs)

    @cached_property
    def spent(self) -> list[tuple[bytes, int]]:
        return [(self.vault.script_pubkey, COIN), (self.vault.script_pubkey, 5_000)]

    def draft(self, *, locked: bool = True, fee: int = 2_000) -> Psbt:
        """Unsigned: both coins, to two outputs."""
        txid = txid_of(self.funding)
        bare = psbt.create(
            [OutPoint(txid, 0), OutPoint(txid, 2)],
            outputs=[(P2WPKH, Sats(COIN - fee)), (P2WSH, Sats(4_000))],
            locktime=self.vault.locktime(self.path_name) if locked else 0,
            sequence=self.vault.sequence(self.path_name) if locked else None,
        )
        path = self.script_path.name
        return psbt.update(bare, owner=self.vault, prev_txs=[self.funding], path=path)

    def ours(self, role: str, unsigned: Psbt) -> Psbt:
        return psbt.sign(unsigned, keys=signing_keys(load_policy(self.name).role(role)))

    def theirs(self, role: str, unsigned: Psbt) -> Psbt:
        return signed_by_bdk(unsigned, name=self.name, role=role)

    def quorums(self) -> list[tuple[str, ...]]:
        return list(combinations(self.script_path.roles, self.script_path.threshold))


def signatures(signed: Psbt) -> list[dict[bytes, bytes]]:
    """Input by input; keys x-only in taproot, with the leaf's hash."""
    return [
        {**each.partial_sigs, **each.taproot_script_spend_signatures}
        for each in signed._inner.inputs
    ]


each_case = pytest.mark.parametrize(
    "case", [pytest.param(Case(*case), id="/".join(case)) for case in CASES]
)


class TestAddresses:
    @pytest.mark.parametrize("index", [0, 1, 7, 2**31 - 1])
    @pytest.mark.parametrize("name", READ)
    def test_the_same(self, name: str, index: int):
        vault = vault_of(name, index)
        assert their_address(vault) == vault.address
        others = {vault_of(name, other).address for other in (0, 1, 7, 2**31 - 1) if other != index}
        assert vault.address not in others

    @pytest.mark.parametrize("name", READ)
    def test_from_its_own_keys(self, name: str):
        """Every public key is put in by BDK, which has nothing from us but the words."""
        vault = vault_of(name)
        text = vault.descriptor.partition("#")[0]
        for role, key in vault.keys.items():
            private = their_private(load_policy(name).role(role), 0)
            public = bdk.Descriptor(f"wsh(pk({private}))", bdk.NetworkKind.TEST)
            shown = str(public).removeprefix("wsh(pk(").partition(")")[0]
            if load_policy(name).role(role).key is not KeyKind.EPHEMERAL:
                assert shown != key.expression  # it writes ' where we write h
            text = text.replace(key.expression, shown)
        wallet = wallet_of(text)
        assert str(wallet.peek_address(bdk.KeychainKind.EXTERNAL, 0).address) == vault.address


class TestSignatures:
    @each_case
    def test_the_same_bytes(self, case: Case):
        """RFC 6979 with low R by the same counter, BIP-340 without auxiliary randomness."""
        unsigned = case.draft()
        for role in case.script_path.roles:
            theirs = psbt.accept(unsigned, answer=case.theirs(role, unsigned))
            ours = case.ours(role, unsigned)
            assert signatures(theirs) == signatures(ours)
            assert psbt.combine([unsigned, theirs]) == ours
            assert [len(each) for each in signatures(ours)] == [1, 1]

    @each_case
    def test_theirs_is_of_our_sighash(self, case: Case):
        unsigned = case.draft()
        (role, *_) = case.script_path.roles
        for number, made in enumerate(signatures(case.theirs(role, unsigned))):
            ((key, signature),) = made.items()
            if case.vault.taproot:
                leaf = leaf_hash(0xC0, case.vault.leaf(case.path_name))
                assert key[32:] == leaf
                digest = bip174.taproot_sig_hash(
                    unsigned._inner, number, leaf_hash=leaf, hash_type=0
                )
                assert ssa.verify(digest, key[:32], signature)
            else:
                digest = bip174.ecdsa_sig_hash(unsigned._inner, number, hash_type=1)
                assert dsa.verify(digest, key, signature[:-1])

    @each_case
    def test_theirs_of_another_amount_is_refused(self, case: Case):
        unsigned = case.draft()
        (role, *_) = case.script_path.roles
        other = case.theirs(role, case.draft(fee=3_000))
        grafted = unshared(unsigned._inner)
        for mine, foreign in zip(grafted.inputs, other._inner.inputs, strict=True):
            mine.partial_sigs = foreign.partial_sigs
            mine.taproot_script_spend_signatures = foreign.taproot_script_spend_signatures
        with pytest.raises(Refused, match="psbt/bad-signature"):
            psbt.combine([Psbt(grafted)])

    def test_a_wallet_that_knows_the_descriptor_names_the_key_that_nobody_has(self):
        """As rust-miniscript describes inputs; its origin is made up. Nothing else may differ."""
        case = Case("presigned", "joint")
        unsigned = case.draft()
        theirs = case.theirs("price-oracle", unsigned)
        (named,) = {
            key
            for each in theirs._inner.inputs
            for key in each.taproot_hd_key_paths
            if key not in unsigned._inner.inputs[0].taproot_hd_key_paths
        }
        assert named.hex() == UNSPENDABLE
        answer = psbt.accept(unsigned, answer=theirs)
        assert signatures(answer) == signatures(case.ours("price-oracle", unsigned))
        for first in (unsigned, theirs):
            whole = psbt.combine([first, *(case.theirs(r, unsigned) for r in case.path.roles)])
            assert psbt.extract(psbt.finalize(whole)) == finalized_by_bdk(whole)
        inner = unshared(theirs._inner)
        for each in inner.inputs:
            each.taproot_hd_key_paths = {
                key if key != named else bytes(32): origin
                for key, origin in each.taproot_hd_key_paths.items()
            }
        with pytest.raises(Refused, match="psbt/altered"):
            psbt.accept(unsigned, answer=Psbt(inner))


class TestFinal:
    @each_case
    def test_the_same_transaction_by_every_quorum(self, case: Case):
        unsigned = case.draft()
        ours = {role: case.ours(role, unsigned) for role in case.script_path.roles}
        theirs = {role: case.theirs(role, unsigned) for role in case.script_path.roles}
        sizes = []
        for first, *rest in case.quorums():
            copies = [ours[first], *(ours[role] for role in rest)]
            mixed = [theirs[first], *(ours[role] for role in rest)]
            foreign = [theirs[first], *(theirs[role] for role in rest)]
            raw = psbt.extract(psbt.finalize(psbt.combine(copies)))
            assert psbt.extract(psbt.finalize(psbt.combine(mixed))) == raw
            assert psbt.extract(psbt.finalize(psbt.combine(foreign))) == raw
            assert finalized_by_bdk(psbt.combine(copies)) == raw
            assert finalized_by_bdk(psbt.combine(foreign)) == raw
            assert verify_scripts(raw, case.spent) is None
            their_tx, our_tx = bdk.Transaction(raw), Tx.parse(raw)
            assert their_tx.vsize() == our_tx.vsize
            assert their_tx.weight() == our_tx.weight
            assert str(their_tx.compute_txid()) == unsigned.txid
            sizes.append(their_tx.vsize())
        assert max(sizes) == self.most(case)

    def most(self, case: Case) -> int:
        """What the vault says such a spend takes, with all keys in wallets as they are here."""
        policy = load_policy(case.name)
        roles = tuple(
            replace(role, key=KeyKind.SOFTWARE) if role.key is KeyKind.TOKEN else role
            for role in policy.roles
        )
        soft = compiled(replace(policy, roles=roles), 0)
        assert soft.descriptor == case.vault.descriptor
        return soft.vsize(case.path_name, 2, [P2WPKH, P2WSH])

    @pytest.mark.parametrize("name", READ)
    def test_no_path_takes_more_than_they_think_the_dearest_can(self, name: str):
        descriptor = bdk.Descriptor(vault_of(name).descriptor, bdk.NetworkKind.TEST)
        most = max(each.weight for each in vault_of(name).exits.values())
        assert most <= descriptor.max_weight_to_satisfy() + 1  # the stack's own count


class TestBothRefuse:
    @each_case
    def test_a_signature_less(self, case: Case):
        unsigned = case.draft()
        for quorum in case.quorums():
            copies = [unsigned, *(case.ours(role, unsigned) for role in quorum[1:])]
            short = psbt.combine(copies)
            with pytest.raises(Refused, match="psbt/incomplete"):
                psbt.finalize(short)
            assert finalized_by_bdk(short) is None

    @pytest.mark.parametrize(
        "case",
        [
            pytest.param(Case(name, path.name), id=f"{name}/{path.name}")
            for name in shipped()
            for path in load_policy(name).paths
            if path.lock is not None and path.form is Form.SCRIPT
        ],
    )
    def test_a_lock_that_is_left_out(self, case: Case):
        """Signed all the same, by BDK's signer, which is not asked whether its key counts."""
        unsigned = case.draft(locked=False)
        (quorum, *_) = case.quorums()
        whole = psbt.combine([unsigned, *(case.theirs(role, unsigned) for role in quorum)])
        if case.name == "liana-style" and case.path_name == "arbiter":
            assert set(quorum) == {"borrower", "lender"}  # who close at once, by another path
            quorum = ("lender", "custodian")
            whole = psbt.combine([case.theirs(role, unsigned) for role in quorum])
        assert [len(each) for each in signatures(whole)] == [len(quorum)] * 2
        with pytest.raises(Refused, match="psbt/incomplete"):
            psbt.finalize(whole)
        assert finalized_by_bdk(whole) is None


class TestBeyond:
    def test_every_path_is_either_compared_or_named(self):
        assert set(BEYOND) <= set(EVERY)
        assert {name for name, _ in BEYOND} >= set(NO_DESCRIPTOR)
        assert sorted([*CASES, *BEYOND]) == sorted(EVERY)
        assert sorted([*READ, *NO_DESCRIPTOR]) == sorted(shipped())

    @pytest.mark.parametrize("name", NO_DESCRIPTOR)
    def test_it_cannot_read_the_descriptor(self, name: str):
        with pytest.raises(bdk.DescriptorError):
            bdk.Descriptor(vault_of(name).descriptor, bdk.NetworkKind.TEST)

    @pytest.mark.parametrize(("name", "path"), BEYOND)
    def test_it_has_no_such_signatures(self, name: str, path: str):
        form = load_policy(name).path(path).form
        word = {Form.MUSIG: "musig", Form.ATTESTED: "adaptor"}[form]
        assert not [each for each in dir(bdk) if word in each.lower()]

    @pytest.mark.parametrize("path", [path for name, path in BEYOND if name == "dlc"])
    def test_what_the_oracle_opened_it_puts_together_as_we_do(self, lab: Lab, path: str):
        opened = lab.open(load_policy("dlc"))
        (coin,) = lab.coins(opened)
        raw = opened.agreed[coin.outpoint].whole(path, keys={})
        assert verify_scripts(raw, [(opened.vault.script_pubkey, coin.sats)]) is None
        tx = Tx.parse(raw)
        bare = psbt.create(
            [coin.outpoint],
            outputs=[(out.script_pub_key.script, Sats(out.value)) for out in tx.vout],
            locktime=tx.lock_time,
            sequence=tx.vin[0].sequence,
        )
        funding = lab.node.transaction(coin.outpoint.txid)
        assert funding is not None
        inner = unshared(psbt.update(bare, owner=opened.vault, prev_txs=[funding])._inner)
        _, *found, script = tx.vin[0].script_witness.stack
        assert script == opened.vault.witness_script
        ordered = sorted(opened.vault.roles, key=script.index)
        inner.inputs[0].partial_sigs = dict(sorted(zip(ordered, found, strict=True)))
        assert finalized_by_bdk(Psbt(inner)) == raw
        assert psbt.extract(psbt.finalize(Psbt(inner))) == raw
        # The rest of an adaptor signature is a plain one, and opened by another word it is none.
        inner.inputs[0].partial_sigs = dict(sorted(zip(ordered, found[::-1], strict=True)))
        assert finalized_by_bdk(Psbt(inner)) is None

    @pytest.fixture
    def lab(self):
        with Lab() as it:
            yield it


# --- policies that nobody ships ---

NAMES = ("a", "b", "c", "d", "e")
LOCKS = st.sampled_from([None, After(Moment.DEFAULT), After(Moment.RECOVERY)]) | st.integers(
    1, 65_535
).map(lambda units: Older(Seconds(units * UNIT)))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    paths = []
    for number in range(draw(st.integers(1, 4))):
        roles = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
        threshold = draw(st.integers(1, len(roles)))
        paths.append(Path(f"p{number}", threshold, tuple(roles), draw(LOCKS)))
    script = draw(st.sampled_from(ScriptKind))
    roles = tuple(Role(name, name, KeyKind.SOFTWARE) for name in NAMES)
    return Policy("drawn", "t", "a", "s", script, roles, tuple(paths))


@given(policy=policies(), index=st.integers(0, 2**31 - 1), which=st.integers(0, 10**6))
def test_any_policy_that_compiles_is_read_and_spent_alike(policy: Policy, index: int, which: int):
    try:
        vault = compiled(policy, index)
    except BadInput:
        return
    assert their_address(vault) == vault.address
    path = policy.paths[which % len(policy.paths)]
    quorums = list(combinations(path.roles, path.threshold))
    quorum = quorums[which % len(quorums)]
    funding = spend([OutPoint("aa" * 32, 0)], [(vault.script_pubkey, COIN)])
    bare = psbt.create(
        [OutPoint(txid_of(funding), 0)],
        outputs=[(P2WPKH, Sats(COIN - 2_000))],
        locktime=vault.locktime(path.name),
        sequence=vault.sequence(path.name),
    )
    unsigned = psbt.update(bare, owner=vault, prev_txs=[funding], path=path.name)
    try:
        whole = psbt.combine([psbt.sign(unsigned, keys=our_keys(role)) for role in quorum])
    except Refused as refusal:
        # A lock for nothing: these can do the same at once, so the lock asks for others.
        if refusal.code != "psbt/no-key" or path.lock is None:
            raise
        assert any(
            each.lock is None and len(set(quorum) & set(each.roles)) >= each.threshold
            for each in policy.paths
        )
        return
    raw = psbt.extract(psbt.finalize(whole))
    assert finalized_by_bdk(whole) == raw
    assert verify_scripts(raw, [(vault.script_pubkey, COIN)]) is None
    assert bdk.Transaction(raw).vsize() <= vault.vsize(path.name, 1, [P2WPKH])
