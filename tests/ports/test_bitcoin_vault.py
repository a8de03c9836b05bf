"""The vault: what Bitcoin itself enforces, addresses, sizes, keys."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator
from hashlib import pbkdf2_hmac

import bdkpython as bdk
import pytest
from bitcoin_lab import (
    BORROWER,
    COIN,
    CUSTODIAN,
    LENDER,
    P2WPKH,
    P2WSH,
    START,
    STEP,
    STRANGER,
    close,
    deposit,
    draft,
    grow,
    high_s,
    make_vault,
    prev_txs,
    ripe,
    with_witness,
)
from btclib.hashes import hash160
from btclib.tx import Tx
from btclib_wallet.descriptors import parse
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from escrow.adapters.bitcoin import block as regtest
from escrow.adapters.bitcoin import psbt
from escrow.adapters.bitcoin.block import MINER_SCRIPT
from escrow.adapters.bitcoin.keys import Keys, VaultKey
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.vault import (
    MAX_RECOVER_AFTER,
    Vault,
    address_of,
    parse_address,
)
from escrow.core.errors import BadInput, Refused
from escrow.core.units import DAY, Sats, Seconds

PARTIES = {"borrower": BORROWER, "lender": LENDER, "custodian": CUSTODIAN}


@pytest.fixture
def node() -> Iterator[Node]:
    with ripe() as it:
        grow(it, 5)
        yield it


@pytest.fixture(scope="module")
def rich() -> Iterator[Node]:
    """Four coins in the vault."""
    with ripe() as it:
        grow(it, 5)
        for _ in range(4):
            deposit(it, make_vault())
        yield it


def mined(node: Node, raw: bytes) -> str:
    txid = node.broadcast(raw)
    grow(node)
    assert node.depth(txid) == 1
    return txid


def by_the_miner(node: Node, raw: bytes) -> str:
    """Skip the mempool: let only consensus judge."""
    tx = Tx.parse(raw)
    spent = sum(
        node.coin(psbt.OutPoint(i.prev_out.tx_id.hex(), i.prev_out.vout)).sats for i in tx.vin
    )
    block = regtest.build(
        node.tip_hash,
        height=node.height + 1,
        time=node.tip_time + STEP,
        transactions=[tx],
        fees=spent - sum(each.value for each in tx.vout),
        script_pubkey=MINER_SCRIPT,
        extra_nonce=b"miner",
    )
    return node.submit_block(block.raw)


class TestQuorum:
    @pytest.mark.parametrize("names", list(itertools.permutations(PARTIES, 2)), ids="-".join)
    def test_any_two_may_spend(self, node: Node, names: tuple[str, str]):
        vault = make_vault()
        coin = deposit(node, vault)
        raw = close(draft(node, vault, [coin]), *(PARTIES[name] for name in names))
        txid = mined(node, raw)
        assert node.spender(coin.outpoint) == txid
        assert [each.sats for each in node.coins(P2WPKH)] == [COIN - 400]

    def test_who_signs_first_makes_no_difference(self, node: Node):
        vault = make_vault()
        unsigned = draft(node, vault, [deposit(node, vault)])
        assert close(unsigned, LENDER, BORROWER) == close(unsigned, BORROWER, LENDER)

    def test_three_signatures_are_one_too_many_and_still_fine(self, node: Node):
        vault = make_vault()
        mined(node, close(draft(node, vault, [deposit(node, vault)]), *PARTIES.values()))

    def test_several_coins_at_once(self, node: Node):
        vault = make_vault()
        coins = [deposit(node, vault, sats=sats) for sats in (COIN, 2 * COIN, 3 * COIN)]
        mined(node, close(draft(node, vault, coins, fee=1_000), LENDER, CUSTODIAN))
        assert node.coins(vault.script_pubkey) == ()

    @pytest.mark.parametrize("name", PARTIES)
    def test_one_key_is_refused_by_consensus(self, node: Node, name: str):
        vault = make_vault()
        unsigned = draft(node, vault, [deposit(node, vault)])
        good = close(unsigned, *PARTIES.values())
        with pytest.raises(Refused, match="psbt/incomplete"):
            close(unsigned, PARTIES[name])
        (signature,) = (
            psbt.sign(unsigned, keys=PARTIES[name])._inner.inputs[0].partial_sigs.values()
        )
        for stack in (
            [b"", signature, signature, vault.witness_script],
            [b"", signature, b"", vault.witness_script],
            [signature, PARTIES[name].vault_key().pubkey, b"", b"", b"", vault.witness_script],
        ):
            alone = with_witness(good, 0, stack)
            with pytest.raises(Refused, match="bitcoin/script"):
                node.broadcast(alone)
            with pytest.raises(Refused, match="block-script-verify-flag-failed"):
                by_the_miner(node, alone)

    def test_a_stranger_cannot_help(self, node: Node):
        vault = make_vault()
        with pytest.raises(Refused, match="psbt/no-key"):
            psbt.sign(draft(node, vault, [deposit(node, vault)]), keys=STRANGER)

    def test_keys_of_another_loan_cannot_help(self, node: Node):
        vault, other = make_vault(0), make_vault(1)
        assert vault.script_pubkey != other.script_pubkey
        unsigned = draft(node, vault, [deposit(node, vault)])
        good = close(unsigned, BORROWER, LENDER)
        with pytest.raises(Refused, match="bitcoin/missing-input"):
            draft(node, other, [deposit(node, vault)])
        stack = list(Tx.parse(good).vin[0].script_witness.stack)
        stack[-1] = other.witness_script
        with pytest.raises(Refused, match="Witness program hash mismatch"):
            node.broadcast(with_witness(good, 0, stack))

    def test_high_s_is_not_relayed(self, node: Node):
        vault = make_vault()
        raw = close(draft(node, vault, [deposit(node, vault)]), BORROWER, LENDER)
        stack = list(Tx.parse(raw).vin[0].script_witness.stack)
        assert all(len(each) <= 71 for each in stack[1:3])  # low R and low S
        stack[1] = high_s(stack[1])
        with pytest.raises(Refused, match="S value is unnecessarily high"):
            node.broadcast(with_witness(raw, 0, stack))
        mined(node, raw)

    @settings(max_examples=25, deadline=None)
    @given(st.integers(1, 4), st.lists(st.sampled_from([P2WPKH, P2WSH]), min_size=1, max_size=4))
    def test_sizes_are_bounds_and_tight(self, rich: Node, inputs: int, outputs: list[bytes]):
        vault = make_vault()
        coins = rich.coins(vault.script_pubkey)[:inputs]
        bare = psbt.create(
            [coin.outpoint for coin in coins],
            outputs=[(script, Sats(10_000)) for script in outputs],
        )
        unsigned = psbt.update(bare, owner=vault, prev_txs=prev_txs(rich, coins))
        size = Tx.parse(close(unsigned, LENDER, CUSTODIAN)).vsize
        assert 0 <= vault.vsize("close", inputs, outputs) - size <= 1


class TestRecovery:
    def test_not_before_its_time(self, node: Node):
        vault = make_vault(recover_after=node.tip_time + 5 * STEP)
        coin = deposit(node, vault)
        raw = close(draft(node, vault, [coin], locktime=vault.recover_after), BORROWER)
        while node.median_time <= vault.recover_after:
            with pytest.raises(Refused, match="bitcoin/non-final"):
                node.broadcast(raw)
            with pytest.raises(Refused, match="bad-txns-nonfinal"):
                by_the_miner(node, raw)
            grow(node)
        mined(node, raw)
        assert Tx.parse(raw).vsize <= vault.vsize("recovery", 1, [P2WPKH])

    def test_a_lower_lock_time_does_not_satisfy_the_script(self, node: Node):
        vault = make_vault(recover_after=node.tip_time + 400 * DAY)
        unsigned = draft(node, vault, [deposit(node, vault)], locktime=vault.recover_after - 1)
        with pytest.raises(Refused, match="psbt/incomplete"):
            close(unsigned, BORROWER)

    def test_only_the_recovery_key(self, node: Node):
        vault = make_vault(recover_after=node.tip_time + STEP)
        unsigned = draft(node, vault, [deposit(node, vault)], locktime=vault.recover_after)
        signed = psbt.sign(unsigned, keys=BORROWER)
        assert [list(each.partial_sigs) for each in signed._inner.inputs] == [
            [BORROWER.recovery_key().pubkey]
        ]
        for keys in (LENDER, CUSTODIAN):
            with pytest.raises(Refused, match="psbt/no-key"):
                psbt.sign(unsigned, keys=keys)

    def test_the_recovery_key_has_no_vote(self, node: Node):
        vault = make_vault()
        signed = psbt.sign(draft(node, vault, [deposit(node, vault)]), keys=BORROWER)
        (signers,) = [each.signed_by for each in psbt.inspect(signed).inputs]
        assert signers == {BORROWER.vault_key().pubkey}

    def test_the_quorum_may_still_spend_afterwards(self, node: Node):
        vault = make_vault(recover_after=node.tip_time + STEP)
        coin = deposit(node, vault)
        grow(node, 20)
        mined(node, close(draft(node, vault, [coin]), LENDER, CUSTODIAN))


class TestVault:
    def test_the_descriptor_tells_everything(self):
        vault = make_vault(3, recover_after=START)
        parsed = parse(vault.descriptor, network="regtest")
        assert parsed.script_pub_key().script == vault.script_pubkey
        assert parsed.address() == vault.address == address_of(vault.script_pubkey)
        assert vault.script_pubkey == b"\x00\x20" + vault.witness_program
        assert len(vault.witness_script) == 139
        assert sorted(vault.roles.values()) == ["borrower", "custodian", "lender", "recovery"]
        assert vault.roles[LENDER.vault_key(3).pubkey] == "lender"

    def test_order_of_parties_does_not_matter(self):
        swapped = Vault.create(
            borrower=LENDER.vault_key(),
            lender=CUSTODIAN.vault_key(),
            custodian=BORROWER.vault_key(),
            recovery=BORROWER.recovery_key(),
            recover_after=Seconds(START),
        )
        assert swapped.script_pubkey == make_vault(recover_after=START).script_pubkey
        assert swapped.roles[LENDER.vault_key().pubkey] == "borrower"

    @pytest.mark.parametrize("when", [0, 499_999_999, MAX_RECOVER_AFTER + 1])
    def test_recovery_time_must_be_a_time(self, when: int):
        with pytest.raises(BadInput, match="input/time"):
            make_vault(recover_after=when)

    @pytest.mark.parametrize("when", [500_000_000, MAX_RECOVER_AFTER])
    def test_earliest_and_latest_recovery_time(self, when: int):
        assert len(make_vault(recover_after=when).witness_script) == 139

    def test_no_key_twice_however_it_is_written(self):
        key = BORROWER.vault_key()
        disguised = VaultKey.parse(f"[aabbccdd/0]{key.pubkey.hex()}")
        for lender in (key, disguised):
            with pytest.raises(BadInput, match="two parties share a key"):
                Vault.create(
                    borrower=key,
                    lender=lender,
                    custodian=CUSTODIAN.vault_key(),
                    recovery=BORROWER.recovery_key(),
                    recover_after=Seconds(START),
                )

    def test_bdk_agrees_about_addresses(self):
        for index in range(10):
            vault = make_vault(index)
            descriptor = bdk.Descriptor(vault.descriptor, bdk.NetworkKind.TEST)
            wallet = bdk.Wallet.create_single(
                descriptor, bdk.Network.REGTEST, bdk.Persister.new_in_memory()
            )
            shown = wallet.peek_address(bdk.KeychainKind.EXTERNAL, 0).address
            assert str(shown) == vault.address


def bech32(bare: str, *, constant: int) -> str:
    """Append the checksum of BIP-173, or with its own constant that of BIP-350."""
    letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    prefix, _, data = bare.rpartition("1")
    values = [ord(each) >> 5 for each in prefix] + [0] + [ord(each) & 31 for each in prefix]
    check = 1
    for value in values + [letters.index(each) for each in data] + [0] * 6:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= term if top >> bit & 1 else 0
    check ^= constant
    return bare + "".join(letters[check >> 5 * (5 - each) & 31] for each in range(6))


class TestAddress:
    @pytest.mark.parametrize("script", [P2WPKH, P2WSH, b"\x51\x20" + bytes(range(32))])
    def test_there_and_back(self, script: bytes):
        text = address_of(script)
        assert text.startswith("bcrt1")
        assert parse_address(text) == parse_address(text.upper()) == script

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "hello",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
            "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081",
            "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080x",
            "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
            "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
            "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
            "bcrt1" + "q" * 200,
            "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080é",
        ],
        ids=[
            "empty", "word", "mainnet", "testnet", "checksum", "long",
            "base58 of a test network", "mainnet key hash", "mainnet script hash",
            "very long", "not ascii",
        ],
    )  # fmt: skip
    def test_refused(self, text: str):
        with pytest.raises(BadInput, match="bitcoin/address"):
            parse_address(text)

    @pytest.mark.parametrize("script", [P2WPKH, P2WSH, b"\x51\x20" + bytes(range(32))])
    def test_each_version_has_its_own_checksum(self, script: bytes):
        # BIP-350: version 0 is bech32, all later ones bech32m, and neither is read as the other.
        text = address_of(script)
        assert bech32(text[:-6], constant=0x2BC830A3 if script[0] else 1) == text
        with pytest.raises(BadInput, match="bitcoin/address"):
            parse_address(bech32(text[:-6], constant=1 if script[0] else 0x2BC830A3))

    @pytest.mark.parametrize("script", [b"", b"\x00", b"\x76\xa9\x14" + bytes(20) + b"\x88\xac"])
    def test_scripts_without_an_address(self, script: bytes):
        with pytest.raises(BadInput, match="bitcoin/address"):
            address_of(script)


class TestKeys:
    def test_paths_of_the_field(self):
        # BIP-32 test vector 1's seed; the BIP-84 and BIP-48 keys were derived by bdk.
        keys = Keys(bytes.fromhex("000102030405060708090a0b0c0d0e0f"))
        assert keys.fingerprint.hex() == "3442193e"
        key = keys.vault_key(7)
        assert key.expression.startswith("[3442193e/48h/1h/0h/2h]tpub")
        assert key.expression.endswith("/0/7")
        assert keys.recovery_key(7).expression.startswith("[3442193e/48h/1h/1h/2h]tpub")
        descriptor = bdk.Descriptor(f"wpkh({key.expression})", bdk.NetworkKind.TEST)
        wallet = bdk.Wallet.create_single(
            descriptor, bdk.Network.REGTEST, bdk.Persister.new_in_memory()
        )
        shown = str(wallet.peek_address(bdk.KeychainKind.EXTERNAL, 0).address)
        assert parse_address(shown) == b"\x00\x14" + hash160(key.pubkey)

    def test_expressions_are_read_back(self):
        key = LENDER.vault_key(9)
        assert VaultKey.parse(key.expression) == key
        token = f"[{key.origin.master_fingerprint.hex()}/7]{key.pubkey.hex()}"
        assert VaultKey.parse(token).pubkey == key.pubkey

    def test_a_token_key_can_sit_in_a_vault(self):
        token = VaultKey.parse(f"[aabbccdd/0]{STRANGER.vault_key().pubkey.hex()}")
        vault = Vault.create(
            borrower=BORROWER.vault_key(),
            lender=LENDER.vault_key(),
            custodian=token,
            recovery=BORROWER.recovery_key(),
            recover_after=Seconds(START),
        )
        assert vault.roles[STRANGER.vault_key().pubkey] == "custodian"

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: text[:-2] + "/*",
            lambda text: text + "h",
            lambda text: text.partition("]")[2],
            lambda text: text[:40],
            lambda text: text.replace("tpub", "xpub"),
            lambda _: "",
            lambda text: text + "),pk(" + text,
            lambda text: text.partition("]")[0] + "]" + "05" * 33,
        ],
        ids=["ranged", "hardened", "no origin", "cut", "mainnet", "empty", "two", "no point"],
    )
    def test_bad_expressions(self, change):
        with pytest.raises(BadInput, match="bitcoin/key"):
            VaultKey.parse(change(LENDER.vault_key().expression))

    def test_private_expressions_are_refused_and_not_repeated(self):
        secret = LENDER._root.b58encode()
        for text in (f"[aabbccdd/0]{secret}/0/1", secret):
            with pytest.raises(BadInput) as caught:
                VaultKey.parse(text)
            assert secret not in str(caught.value)
            assert caught.value.__cause__ is None

    @pytest.mark.parametrize("size", [0, 15, 65])
    def test_seeds_have_bounds(self, size: int):
        with pytest.raises(BadInput, match="bitcoin/key"):
            Keys(bytes(size))

    @pytest.mark.parametrize("index", [-1, 2**31])
    def test_indexes_have_bounds(self, index: int):
        for derive in (
            LENDER.vault_key,
            LENDER.recovery_key,
            LENDER.wallet_key,
            LENDER.evm_private_key,
        ):
            with pytest.raises(BadInput, match="bitcoin/key"):
                derive(index)

    def test_evm_key_is_the_one_of_bip44(self):
        # The account that every Ethereum wallet shows first for this mnemonic (its BIP-39 seed).
        words = " ".join(["test"] * 11 + ["junk"])
        seed = pbkdf2_hmac("sha512", words.encode(), b"mnemonic", 2_048)
        address = Account.from_key(Keys(seed).evm_private_key()).address
        assert address == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"

    def test_secrets_stay_inside(self):
        keys = Keys(bytes(range(32)))
        keys.vault_key()
        for shown in (repr(keys), str(keys), f"{keys}"):
            assert shown == f"Keys({keys.fingerprint.hex()})"
        with pytest.raises(TypeError):
            pickle.dumps(keys)

    def test_signatures_are_deterministic_and_small(self):
        key = LENDER.vault_key()
        digests = [bytes([number]) * 32 for number in range(50)]
        signatures = [
            LENDER.ecdsa(key.pubkey, origin=key.origin, digest=each, recovery=False)
            for each in digests
        ]
        assert all(len(each) <= 70 for each in signatures)
        assert signatures[7] == LENDER.ecdsa(
            key.pubkey, origin=key.origin, digest=digests[7], recovery=False
        )

    def test_a_key_must_be_where_the_origin_says(self):
        key, other = LENDER.vault_key(0), LENDER.vault_key(1)
        for pubkey, origin in (
            (key.pubkey, other.origin),
            (key.pubkey, BORROWER.vault_key().origin),
        ):
            assert LENDER.ecdsa(pubkey, origin=origin, digest=bytes(32), recovery=False) is None
