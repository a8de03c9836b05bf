"""Custody policies on the chain: every path of every policy, by everyone who can take it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import combinations

import bdkpython as bdk
import pytest
from bitcoin_lab import P2WPKH, START, STEP, deposit, grow, party, ripe
from btclib.exceptions import BTClibValueError
from btclib.script.sig_hash import segwit_v0, taproot
from btclib.script.taproot import leaf_hash, output_prvkey_from_merkle_root
from btclib.script.witness import Witness
from btclib.tx import OutPoint, Tx, TxIn, TxOut
from btclib_secp256k1 import dsa, ssa
from btclib_wallet.descriptors import SpendContext, TrDescriptor, parse
from ecc.curves import secp256k1
from ecc.curves.sec_point import bytes_from_point
from ecc.ecc import musig2
from ecc.hashes import tagged_hash
from hypothesis import given
from hypothesis import strategies as st

from escrow.adapters.bitcoin.compile import UNSPENDABLE
from escrow.adapters.bitcoin.keys import VaultKey
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.types import Coin
from escrow.adapters.bitcoin.vault import MAX_RECOVER_AFTER, Vault, compile_vault
from escrow.core.errors import BadInput, Refused
from escrow.core.units import DAY, Seconds
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

UNIT = 512
MOMENTS = {Moment.DEFAULT: Seconds(START + DAY), Moment.RECOVERY: Seconds(START + 2 * DAY)}
"""Soon after the chain's start: what they lock is open unless a test says otherwise."""
WSH, TR = ScriptKind.WSH, ScriptKind.TR
WEEK = Older(Seconds(1_182 * UNIT))
MONTH = Older(Seconds(5_063 * UNIT))
RECOVERY, DEFAULT = After(Moment.RECOVERY), After(Moment.DEFAULT)


def path(name: str, threshold: int, roles: str, lock=None, form: Form = Form.SCRIPT) -> Path:
    return Path(name, threshold, tuple(roles.split()), lock, form)


def policy(name: str, script: ScriptKind, *paths: Path, tokens: str = "") -> Policy:
    names = dict.fromkeys(role for each in paths for role in each.roles)
    roles = (
        Role(role, role, KeyKind.TOKEN if role in tokens.split() else KeyKind.SOFTWARE)
        for role in names
    )
    return Policy(name, "t", "a", "s", script, tuple(roles), paths)


OWN = (
    policy("one-key", WSH, path("close", 1, "a")),
    policy("tokens", WSH, path("close", 2, "a b c"), tokens="a b"),
    policy("both-or-one-late", WSH, path("close", 2, "a b"), path("late", 1, "c", MONTH)),
    policy("all-locked", WSH, path("close", 2, "a b c", RECOVERY)),
    policy(
        "four-ways", WSH,
        path("close", 1, "a"),
        path("two", 2, "b c", WEEK),
        path("some", 2, "d e f", MONTH),
        path("end", 1, "g", RECOVERY),
    ),
    policy("first-one-waits", WSH, path("close", 1, "a", DEFAULT), path("now", 2, "b c")),
    policy(
        "fewer-with-time", WSH,
        path("close", 3, "a b c"),
        path("two", 2, "a b c", WEEK),
        path("one", 1, "a b c d", MONTH),
        path("end", 1, "e", RECOVERY),
    ),
    policy("moments", WSH, path("close", 2, "a b"), path("default", 2, "a b c", DEFAULT),
           path("end", 1, "a b c", RECOVERY)),
    policy("leaves", TR, path("close", 2, "a b c"), path("end", 1, "d", RECOVERY)),
    policy(
        "shared", TR,
        path("close", 1, "a"),
        path("two", 2, "a b", WEEK),
        path("some", 2, "a b c", MONTH),
        path("end", 1, "a", RECOVERY),
    ),
    policy("alone-but-later", TR, path("close", 1, "a", DEFAULT), path("now", 2, "b c")),
    policy(
        "late-together", TR,
        path("close", 3, "a b c", form=Form.MUSIG),
        path("two", 2, "a b", WEEK, Form.MUSIG),
    ),
)  # fmt: skip
POLICIES = {**{name: load_policy(name) for name in shipped()}, **{own.name: own for own in OWN}}

SIZES = {
    # policy: virtual bytes of a spend of one coin to one P2WPKH output, path by path
    "bank-token": {"close": 146},
    "bank-token-single": {"close": 120},
    "dlc": {"close": 137, "repaid": 137, "liquidated": 137, "refund": 137},
    "liana-style": {"close": 156, "arbiter": 165, "recovery": 147},
    "musig": {"close": 99, "release": 125, "liquidate": 133, "recovery": 134},
    "presigned": {
        "repayment": 166, "default": 166, "liquidation": 166, "recover": 166, "joint": 166,
    },
    "three-of-five": {"close": 181},
    "three-of-four": {"close": 172},
    "two-of-three": {"close": 146},
    "two-of-three-recovery": {"close": 154, "recovery": 145},
}  # fmt: skip
SHAPES = {
    # policy: its descriptor, every key written as its role
    "bank-token": "wsh(sortedmulti(2,K,K,K))",
    "bank-token-single": "wsh(sortedmulti(1,K,K))",
    "dlc": "wsh(sortedmulti(2,K,K))",
    "liana-style": "wsh(or_d(thresh(2,pk(K),s:pk(K),anj:and_v(v:pkh(K),older(4209492))),"
    "and_v(v:pkh(K),after(R))))",
    "musig": "tr(musig(K,K),{pk(musig(K,K)),{pk(musig(K,K)),and_v(v:pk(K),after(R))}})",
    "presigned": f"tr({UNSPENDABLE},and_v(v:pk(K),and_v(v:pk(K),pk(K))))",
    "three-of-five": "wsh(sortedmulti(3,K,K,K,K,K))",
    "three-of-four": "wsh(sortedmulti(3,K,K,K,K))",
    "two-of-three": "wsh(sortedmulti(2,K,K,K))",
    "two-of-three-recovery": "wsh(or_d(multi(2,K,K,K),and_v(v:pkh(K),after(R))))",
    "one-key": "wsh(pk(K))",
    "tokens": "wsh(sortedmulti(2,K,K,K))",
    "both-or-one-late": "wsh(or_i(and_v(v:pkh(K),older(4199367)),and_v(v:pk(K),pk(K))))",
    "all-locked": "wsh(and_v(v:multi(2,K,K,K),after(R)))",
    "four-ways": "wsh(or_d(pk(K),or_i(and_v(v:pkh(K),and_v(v:pkh(K),older(4195486))),"
    "or_i(and_v(v:multi(2,K,K,K),older(4199367)),and_v(v:pkh(K),after(R))))))",
    "first-one-waits": "wsh(or_i(and_v(v:pkh(K),pkh(K)),and_v(v:pk(K),after(D))))",
    "fewer-with-time": "wsh(or_i(and_v(v:pkh(K),after(R)),thresh(3,pk(K),s:pk(K),s:pk(K),"
    "sln:older(4195486),anj:and_v(v:pkh(K),older(4199367)),sln:older(4199367))))",
    "moments": "wsh(thresh(2,pk(K),s:pk(K),anj:and_v(v:pkh(K),after(D)),sln:after(R)))",
    "leaves": f"tr({UNSPENDABLE},{{multi_a(2,K,K,K),and_v(v:pk(K),after(R))}})",
    "shared": "tr(K,{and_v(v:pk(K),and_v(v:pk(K),older(4195486))),"
    "{and_v(v:multi_a(2,K,K,K),older(4199367)),and_v(v:pk(K),after(R))}})",
    "alone-but-later": f"tr({UNSPENDABLE},{{and_v(v:pk(K),after(D)),and_v(v:pk(K),pk(K))}})",
    "late-together": "tr(musig(K,K,K),and_v(v:pk(musig(K,K)),older(4195486)))",
}


def secret(role: str) -> bytes:
    return sha256(b"secret of " + role.encode()).digest()


def pubkey(prv: bytes) -> bytes:
    return musig2.individual_pub_key(int.from_bytes(prv, "big"))


def plain(role: str) -> VaultKey:
    """A key outside any wallet, whose secret the test knows."""
    return VaultKey.parse(f"[aabbccdd/0]{pubkey(secret(role)).hex()}")


def vault_of(
    policy: Policy, moments: Mapping[Moment, Seconds] = MOMENTS, **keys: VaultKey
) -> Vault:
    given = {role.name: plain(role.name) for role in policy.roles}
    return compile_vault(policy, keys={**given, **keys}, moments=moments)


def script_paths(policy: Policy) -> list[Path]:
    return [each for each in policy.paths if each.form in {Form.SCRIPT, Form.MUSIG}]


@dataclass(frozen=True)
class Way:
    """One way of taking a path."""

    vault: Vault
    path: Path
    signers: tuple[str, ...]

    def spend(
        self, coins: Sequence[Coin], *, forger: str = "", locktime: int = -1, sequence: int = -1
    ) -> bytes:
        """A signed transaction, by hand and no PSBT. ``forger`` signs in the first one's place."""
        vault, name = self.vault, self.path.name
        locktime = vault.locktime(name) if locktime < 0 else locktime
        sequence = vault.sequence(name) if sequence < 0 else sequence
        points = [OutPoint(coin.outpoint.txid, coin.outpoint.vout) for coin in coins]
        sats = sum(coin.sats for coin in coins) - 1_000
        tx = Tx(2, locktime, [TxIn(p, b"", sequence) for p in points], [TxOut(sats, P2WPKH)])
        secrets = {role: secret(role) for role in self.signers}
        if forger:
            secrets[self.signers[0]] = secret(forger)
        spent = [TxOut(coin.sats, vault.script_pubkey) for coin in coins]
        for number, coin in enumerate(coins):
            if vault.taproot:
                witness = self._taproot(tx, number, spent, secrets)
            else:
                digest = segwit_v0(vault.witness_script, tx, number, 1, coin.sats)
                signatures = {
                    vault.keys[role].pubkey: dsa.sign(digest, prv, grind=True) + b"\x01"
                    for role, prv in secrets.items()
                }
                # what the vault says the locks are, so that a wrong lock meets the script
                context = SpendContext(locktime=vault.locktime(name), sequence=vault.sequence(name))
                witness = parse(vault.descriptor, network="regtest").satisfy(
                    signatures, spend=context
                )[1]
            tx.vin[number].script_witness = witness
        return tx.serialize(include_witness=True)

    def _taproot(
        self, tx: Tx, number: int, spent: list[TxOut], secrets: Mapping[str, bytes]
    ) -> Witness:
        vault, name = self.vault, self.path.name
        script, extension = vault.leaf(name), b""
        if script:
            extension = leaf_hash(0xC0, script) + b"\x00" + b"\xff" * 4
        digest = taproot(tx, number, spent, 0, int(bool(script)), b"", extension)
        tail = [script, vault.control_block(name)] if script else []
        tweak = b"" if script else tagged_hash(b"TapTweak", vault.internal_key + root_of(vault))
        if self.path.form is Form.MUSIG:
            keys = musig2.key_sort([vault.keys[role].pubkey for role in self.path.roles])
            return Witness([together(digest, keys, list(secrets.values()), tweak), *tail])
        if not script:
            (prv,) = secrets.values()
            return Witness([ssa.sign(digest, output_prvkey_from_merkle_root(prv, root_of(vault)))])
        ordered = sorted(self.path.roles, key=lambda role: vault.keys[role].pubkey, reverse=True)
        items = [ssa.sign(digest, secrets[r]) if r in secrets else b"" for r in ordered]
        return Witness([*items, *tail])


def root_of(vault: Vault) -> bytes:
    parsed = parse(vault.descriptor, network="regtest")
    assert isinstance(parsed, TrDescriptor)
    return parsed.taproot_merkle_root()


def together(digest: bytes, keys: list[bytes], secrets: list[bytes], tweak: bytes) -> bytes:
    """BIP-327, all in one room: nonces, partial signatures, their sum."""
    nonces = {}
    for prv in secrets:
        seed = sha256(digest + prv).digest()
        nonces[prv] = musig2.nonce_gen_(seed, int.from_bytes(prv, "big"), pubkey(prv))
    agg = musig2.nonce_agg_var([public for _, public in nonces.values()])
    tweaks = [tweak] if tweak else []
    session = musig2.SessionContext(agg, keys, tweaks, [True] * len(tweaks), digest)
    parts = []
    for prv, (hidden, _) in nonces.items():
        if pubkey(prv) in keys:
            parts.append(musig2.sign(hidden, int.from_bytes(prv, "big"), session))
        else:
            parts.append(sha256(prv).digest())  # a stranger's part is no part of it
    return musig2.partial_sig_agg(parts, session).serialize()


def ways(name: str) -> list[Way]:
    """Every way of taking every script path of a policy, by as many as it asks for."""
    vault = vault_of(POLICIES[name])
    return [
        Way(vault, each, signers)
        for each in script_paths(vault.policy)
        for signers in combinations(each.roles, each.threshold)
    ]


def wait(node: Node, seconds: int) -> None:
    """Let the chain's clock, the median of eleven blocks, pass this much."""
    target = node.median_time + seconds
    node.mine(time=target + 1)
    while node.median_time <= target:
        node.mine(time=node.tip_time + 1)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A chain on which every lock has opened."""
    with ripe() as it:
        grow(it, 60)
        wait(it, 3 * DAY)
        yield it


@pytest.fixture
def young() -> Iterator[Node]:
    with ripe() as it:
        grow(it, 5)
        yield it


class TestOnChain:
    @pytest.mark.parametrize("name", POLICIES)
    def test_whoever_the_policy_names_may_spend_and_no_stranger_in_their_place(
        self, node: Node, name: str
    ):
        every = ways(name)
        coins = [deposit(node, way.vault) for way in every]
        locks = [each.lock for each in script_paths(POLICIES[name])]
        wait(node, max((lock.seconds for lock in locks if isinstance(lock, Older)), default=0))
        for way, coin in zip(every, coins, strict=True):
            with pytest.raises(Refused, match="bitcoin/script"):
                node.broadcast(way.spend([coin], forger="stranger"))
            raw = way.spend([coin])
            assert node.spender(coin.outpoint) is None
            assert node.broadcast(raw) == node.spender(coin.outpoint)
            bound = way.vault.vsize(way.path.name, 1, [P2WPKH])
            assert 0 <= bound - Tx.parse(raw).vsize <= slack(way), way
        grow(node)
        assert all(node.coin(coin.outpoint) is None for coin in coins)

    @pytest.mark.parametrize("name", POLICIES)
    def test_the_bound_holds_for_many_coins(self, node: Node, name: str):
        for way in ways(name)[:1]:
            coins = [deposit(node, way.vault) for _ in range(3)]
            raw = way.spend(coins)
            node.broadcast(raw)
            size = Tx.parse(raw).vsize
            assert 0 <= way.vault.vsize(way.path.name, 3, [P2WPKH]) - size <= 3 * slack(way)
            grow(node)

    def test_one_musig_signature_is_one_signature(self, node: Node):
        (single,) = ways("shared")[:1]
        (both,) = ways("musig")[:1]
        assert both.signers == ("borrower", "lender")
        sizes = [Tx.parse(way.spend([deposit(node, way.vault)])).vsize for way in (single, both)]
        assert sizes == [99, 99]  # the least that a taproot spend can be


def slack(way: Way) -> int:
    """A token that happens on low R saves a byte; who shows no hashed key saves more."""
    shown = {
        (way.vault.keys[role].pubkey in way.vault.leaf(way.path.name)) for role in way.path.roles
    }
    return 9 if len(shown) > 1 else 1


class TestLocks:
    @pytest.mark.parametrize("name", [n for n, p in POLICIES.items() if any(
        isinstance(each.lock, After) for each in script_paths(p))])  # fmt: skip
    def test_a_moment_is_waited_for(self, young: Node, name: str):
        moments = {
            Moment.DEFAULT: Seconds(young.tip_time + 5 * STEP),
            Moment.RECOVERY: Seconds(young.tip_time + 10 * STEP),
        }
        vault = vault_of(POLICIES[name], moments)
        late = [each for each in script_paths(vault.policy) if isinstance(each.lock, After)]
        for each in late:
            way = Way(vault, each, each.roles[-each.threshold :])
            coin = deposit(young, vault)
            assert vault.locktime(each.name) == moments[each.lock.moment]
            with pytest.raises(Refused, match="bitcoin/non-final"):
                young.broadcast(way.spend([coin]))
            with pytest.raises(Refused, match="Locktime requirement not satisfied"):
                young.broadcast(way.spend([coin], locktime=0))
            while young.median_time <= moments[each.lock.moment]:
                grow(young)
            young.broadcast(way.spend([coin]))
            grow(young)

    @pytest.mark.parametrize("name", [n for n, p in POLICIES.items() if any(
        isinstance(each.lock, Older) for each in script_paths(p))])  # fmt: skip
    def test_a_coin_must_rest(self, young: Node, name: str):
        vault = vault_of(POLICIES[name])
        late = [each for each in script_paths(vault.policy) if isinstance(each.lock, Older)]
        for each in late:
            way = Way(vault, each, each.roles[-each.threshold :])
            coin = deposit(young, vault)
            assert vault.sequence(each.name) == (1 << 22) + each.lock.seconds // UNIT
            with pytest.raises(Refused, match="bitcoin/non-final"):
                young.broadcast(way.spend([coin]))
            with pytest.raises(Refused, match="Locktime requirement not satisfied"):
                young.broadcast(way.spend([coin], sequence=1 << 22))
            wait(young, each.lock.seconds - 3 * STEP)
            with pytest.raises(Refused, match="bitcoin/non-final"):
                young.broadcast(way.spend([coin]))
            wait(young, 4 * STEP)
            young.broadcast(way.spend([coin]))
            grow(young)

    def test_what_is_signed_up_front_carries_its_own_lock(self):
        vault = vault_of(POLICIES["presigned"])
        table = {
            each.name: (vault.locktime(each.name), vault.sequence(each.name))
            for each in vault.policy.paths
        }
        assert table == {
            "repayment": (0, 0xFFFFFFFD),
            "default": (MOMENTS[Moment.DEFAULT], 0xFFFFFFFE),
            "liquidation": (0, 0xFFFFFFFD),
            "recover": (MOMENTS[Moment.RECOVERY], 0xFFFFFFFE),
            "joint": (0, 0xFFFFFFFD),
        }
        assert vault.leaf("recover") == vault.leaf("joint") != b""
        assert vault.control_block("recover") == vault.control_block("joint") != b""


class TestCompiled:
    @pytest.mark.parametrize("name", POLICIES)
    def test_shapes(self, name: str):
        vault = vault_of(POLICIES[name])
        shape = re.sub(r"\[\w+/0\]\w{66}", "K", vault.descriptor.partition("#")[0])
        for letter, moment in (("R", Moment.RECOVERY), ("D", Moment.DEFAULT)):
            shape = shape.replace(f"after({MOMENTS[moment]})", f"after({letter})")
        assert shape == SHAPES[name]

    @pytest.mark.parametrize("name", shipped())
    def test_sizes(self, name: str):
        vault = vault_of(POLICIES[name])
        found = {each.name: vault.vsize(each.name, 1, [P2WPKH]) for each in vault.policy.paths}
        assert found == SIZES[name]

    def test_a_token_may_take_a_byte_more_for_a_signature(self):
        tokens = vault_of(POLICIES["tokens"])
        wallets = vault_of(policy("wallets", WSH, path("close", 2, "a b c")))
        assert tokens.script_pubkey == wallets.script_pubkey
        sizes = [each.vsize("close", 10, [P2WPKH]) for each in (tokens, wallets)]
        assert sizes[0] - sizes[1] == 10 * 2 / 4  # two signatures a coin, a quarter each

    @pytest.mark.parametrize("name", POLICIES)
    def test_the_descriptor_tells_everything(self, name: str):
        vault = vault_of(POLICIES[name])
        parsed = parse(vault.descriptor, network="regtest")
        assert parsed.script_pub_key().script == vault.script_pubkey
        assert parsed.address() == vault.address
        assert vault.address.startswith("bcrt1p" if vault.taproot else "bcrt1q")
        assert vault.script_pubkey[2:] == vault.witness_program
        named = {role for each in script_paths(vault.policy) for role in each.roles}
        assert set(vault.keys) == set(vault.roles.values()) == named
        assert set(vault.origins) == set(vault.roles)
        if vault.taproot:
            assert (vault.witness_script, len(vault.internal_key)) == (b"", 32)
        else:
            assert vault.internal_key == b""
            assert vault.script_pubkey[2:] == sha256(vault.witness_script).digest()
            assert len(vault.witness_script) <= 3_600
            assert {vault.leaf(each.name) for each in vault.policy.paths} == {vault.witness_script}

    @pytest.mark.parametrize("name", POLICIES)
    def test_who_is_named_first_makes_no_difference(self, name: str):
        given = POLICIES[name]
        turned = replace(
            given,
            roles=given.roles[::-1],
            paths=tuple(replace(each, roles=each.roles[::-1]) for each in given.paths),
        )
        assert vault_of(turned).descriptor == vault_of(given).descriptor

    @pytest.mark.parametrize("name", [n for n in POLICIES if n not in {"musig", "late-together"}])
    @pytest.mark.parametrize("index", [0, 7])
    def test_bdk_agrees_about_addresses(self, name: str, index: int):
        # bdk does not know musig()
        roles = POLICIES[name].roles
        vault = vault_of(
            POLICIES[name], **{role.name: party(role.name).vault_key(index) for role in roles}
        )
        wallet = bdk.Wallet.create_single(
            bdk.Descriptor(vault.descriptor, bdk.NetworkKind.TEST),
            bdk.Network.REGTEST,
            bdk.Persister.new_in_memory(),
        )
        shown = wallet.peek_address(bdk.KeychainKind.EXTERNAL, 0).address
        assert str(shown) == vault.address

    def test_musig_key_is_that_of_bip327(self):
        vault = vault_of(POLICIES["musig"])
        keys = musig2.key_sort([vault.keys[role].pubkey for role in ("borrower", "lender")])
        point = musig2.key_agg_var(keys).Q
        assert vault.internal_key == bytes_from_point(point, secp256k1)[1:]

    def test_create_is_the_usual_policy(self):
        policy = POLICIES["two-of-three-recovery"]
        keys = {role.name: plain(role.name) for role in policy.roles}
        vault = Vault.create(**keys, recover_after=MOMENTS[Moment.RECOVERY])
        assert vault == compile_vault(
            policy, keys=keys, moments={Moment.RECOVERY: MOMENTS[Moment.RECOVERY]}
        )
        assert vault.recover_after == MOMENTS[Moment.RECOVERY]

    def test_an_oracle_needs_no_key(self):
        policy = POLICIES["dlc"]
        keys = {name: plain(name) for name in ("borrower", "lender")}
        assert compile_vault(policy, keys=keys, moments=MOMENTS) == vault_of(policy)


class TestRefused:
    def test_a_token_in_taproot(self):
        for script, code in ((WSH, ""), (TR, "policy/key-kind")):
            each = policy("p", script, path("close", 2, "a b c"), tokens="b")
            if not code:
                vault_of(each)
                continue
            with pytest.raises(BadInput, match=code) as caught:
                vault_of(each)
            assert caught.value.facts["role"] == "b"

    def test_a_key_twice_or_turned_around(self):
        key = plain("borrower")
        turned = bytes([key.pubkey[0] ^ 1]) + key.pubkey[1:]  # the same secret, negated
        for name in ("two-of-three", "musig"):
            for twin in (key, VaultKey.parse(f"[00000000/1]{turned.hex()}")):
                with pytest.raises(BadInput, match="two parties share a key"):
                    vault_of(POLICIES[name], lender=twin)

    def test_a_role_without_a_key(self):
        keys = {name: plain(name) for name in ("borrower", "lender", "custodian")}
        compile_vault(POLICIES["two-of-three"], keys=keys, moments=MOMENTS)
        with pytest.raises(BadInput, match="this role has no key"):
            compile_vault(POLICIES["two-of-three-recovery"], keys=keys, moments=MOMENTS)

    def test_a_key_without_a_role(self):
        with pytest.raises(BadInput, match="no such role"):
            vault_of(POLICIES["two-of-three"], recovery=plain("recovery"))

    def test_a_moment_that_is_missing(self):
        some = {Moment.RECOVERY: MOMENTS[Moment.RECOVERY]}
        vault_of(POLICIES["two-of-three-recovery"], some)
        with pytest.raises(BadInput, match="input/time"):
            vault_of(POLICIES["presigned"], some)  # its "default" path is not in the script

    @pytest.mark.parametrize("time", [0, 499_999_999, MAX_RECOVER_AFTER + 1])
    def test_a_moment_that_no_lock_can_carry(self, time: int):
        for name in ("musig", "dlc"):
            with pytest.raises(BadInput, match="input/time"):
                vault_of(POLICIES[name], {**MOMENTS, Moment.RECOVERY: Seconds(time)})

    @pytest.mark.parametrize("time", [500_000_000, MAX_RECOVER_AFTER])
    def test_earliest_and_latest_moment(self, time: int):
        vault = vault_of(POLICIES["musig"], {Moment.RECOVERY: Seconds(time)})
        assert vault.locktime("recovery") == vault.recover_after == time

    @pytest.mark.parametrize(
        "paths",
        [
            (path("close", 2, "a b"), path("other", 2, "b c")),
            (path("close", 2, "a b"), path("other", 2, "b c", WEEK)),
            (path("close", 2, "a b"), path("one", 1, "a", RECOVERY)),
            (path("close", 2, "a b", WEEK), path("other", 2, "a b c", MONTH)),
            (path("close", 2, "a b"), path("x", 2, "a b c", MONTH), path("y", 1, "a b c", WEEK)),
            (path("close", 2, "a b"), path("x", 2, "a b c", WEEK), path("y", 1, "a b c", RECOVERY)),
            (path("close", 1, "a b"), path("more", 2, "a b", WEEK)),
        ],
        ids=[
            "both at once", "other keys later", "one later", "first waits", "the wrong way round",
            "two clocks", "more with time",
        ],
    )  # fmt: skip
    def test_a_role_in_two_paths_that_one_threshold_cannot_hold(self, paths: tuple[Path, ...]):
        with pytest.raises(BadInput, match=r"policy/script.*share a role"):
            vault_of(policy("p", WSH, *paths))
        vault_of(policy("p", TR, *paths))

    def test_moments_that_fall_together_do_not_decay(self):
        given = POLICIES["moments"]
        vault_of(given)
        with pytest.raises(BadInput, match="policy/script"):
            vault_of(given, {**MOMENTS, Moment.DEFAULT: MOMENTS[Moment.RECOVERY]})

    def test_the_same_path_twice_in_a_tree(self):
        two = (path("close", 2, "a b c"), path("again", 2, "a b c"))
        with pytest.raises(BadInput, match="policy/script"):
            vault_of(policy("p", TR, *two))

    def test_a_path_without_signers(self):
        with pytest.raises(BadInput, match="policy/keyless"):
            vault_of(policy("p", WSH, path("close", 1, "a b"), path("free", 0, "a", WEEK)))

    @pytest.mark.parametrize(
        "wrong",
        [
            policy("p", WSH, path("close", 2, "a b", form=Form.MUSIG)),
            policy("p", TR, path("close", 1, "a b", form=Form.MUSIG)),
            policy("p", WSH, path("close", 3, "a b")),
            policy("p", WSH, path("close", 1, "a", Older(Seconds(513)))),
            policy("p", WSH, path("close", 1, "a"), path("close", 1, "b")),
            replace(policy("p", WSH, path("close", 1, "a")), roles=()),
        ],
        ids=["musig in wsh", "some of musig", "too many", "older", "names", "roles"],
    )
    def test_a_policy_that_makes_no_sense(self, wrong: Policy):
        with pytest.raises(BadInput, match="policy/value"):
            vault_of(wrong)

    def test_a_key_that_is_none_is_refused_and_not_repeated(self):
        private = (
            "tprv8ZgxMBicQKsPd7Uf69XL1XwhmjHopUGep8GuEiJDZmbQz6o58LninorQAfcKZWARbtRtfnLcJ5MQ2"
        )
        for text in ("garbage", f"[aabbccdd]{private}"):
            key = replace(plain("lender"), expression=text)
            for name in ("two-of-three-recovery", "musig"):
                with pytest.raises(BadInput, match="policy/script") as caught:
                    vault_of(POLICIES[name], lender=key)
                assert text not in str(caught.value)

    def test_an_expression_of_another_key_is_refused_and_not_repeated(self):
        borrower = plain("borrower")
        with pytest.raises(BadInput, match="not sane: it repeats a public key") as caught:
            vault_of(
                POLICIES["two-of-three-recovery"],
                lender=replace(plain("lender"), expression=borrower.expression),
            )
        assert borrower.expression not in str(caught.value)

    def test_a_path_that_is_none(self):
        vault = vault_of(POLICIES["musig"])
        for ask in (vault.leaf, vault.control_block, vault.locktime, vault.sequence):
            with pytest.raises(BadInput, match="psbt/path"):
                ask("nowhere")
        with pytest.raises(BadInput, match="psbt/path"):
            vault.vsize("nowhere", 1, [P2WPKH])


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Policies of script paths; in P2WSH roles overlap only where votes decay."""
    names = "abcdefgh"
    script = draw(st.sampled_from([WSH, TR]))
    paths: list[Path] = []
    while names and len(paths) < 5 and (not paths or draw(st.booleans())):
        count = draw(st.integers(1, min(4, len(names))))
        mine, names = names[:count], names[count:]
        threshold = draw(st.integers(1, count))
        locks = draw(st.sampled_from([(None, WEEK, MONTH), (None, DEFAULT, RECOVERY)]))
        if draw(st.booleans()):
            one = draw(st.sampled_from([None, WEEK, MONTH, DEFAULT, RECOVERY]))
            paths.append(path(f"p{len(paths)}", threshold, " ".join(mine), one))
            continue
        for lock in locks[: draw(st.integers(1, 3))]:
            paths.append(path(f"p{len(paths)}", threshold, " ".join(mine), lock))
            added = draw(st.integers(0, min(2, len(names))))
            mine, names = mine + names[:added], names[added:]
            threshold = draw(st.integers(1, threshold))
    return policy("p", script, *paths)


def reached(lock, *, rested: int, now: int) -> bool:
    match lock:
        case None:
            return True
        case Older(seconds):
            return rested >= seconds
        case After(moment):
            return now >= MOMENTS[moment]


class TestMeaning:
    @given(policies(), st.sets(st.sampled_from("abcdefgh")), st.sampled_from([0, WEEK, MONTH]),
           st.sampled_from([0, Moment.DEFAULT, Moment.RECOVERY]))  # fmt: skip
    def test_the_script_allows_what_the_policy_says_and_nothing_else(
        self, given: Policy, signers: set[str], rested: Older | int, moment: Moment | int
    ):
        vault = vault_of(given)
        sequence = (1 << 22) + rested.seconds // UNIT if rested else 0xFFFFFFFD
        now = MOMENTS[moment] if moment else 0
        allowed = any(
            len(signers & set(each.roles)) >= each.threshold
            and reached(each.lock, rested=rested.seconds if rested else 0, now=now)
            for each in given.paths
        )
        size = 64 if vault.taproot else 71
        signatures = {
            vault.keys[role].pubkey: bytes(size) for role in signers if role in vault.keys
        }
        parsed = parse(vault.descriptor, network="regtest")
        context = SpendContext(locktime=now, sequence=sequence)
        try:
            parsed.satisfy(signatures, spend=context)
        except BTClibValueError:
            assert not allowed
        else:
            assert allowed
