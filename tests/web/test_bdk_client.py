"""An unmodified outside wallet (BDK, on rust-bitcoin) finds the vault over HTTP and spends it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

import bdkpython as bdk
import pytest
from bitcoin_lab import BORROWER, LENDER, P2WPKH, grow, make_vault, pay, ripe, txid_of

from escrow.adapters.bitcoin import psbt
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.vault import address_of
from escrow.core.units import COIN
from escrow.web.bitcoin import BitcoinSite
from escrow.web.server import Served, serve_in_thread

WORDS = {
    "borrower": "legal winner thank year wave sausage worth useful legal winner thank yellow",
    "lender": "letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
    "custodian": "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong",
}
"""BIP-39's own test vectors."""
GAP = 3
EXTERNAL, CHANGE = bdk.KeychainKind.EXTERNAL, bdk.KeychainKind.INTERNAL
UNFINISHED = bdk.SignOptions(
    trust_witness_utxo=False,
    assume_height=None,
    allow_all_sighashes=False,
    try_finalize=False,
    sign_with_tap_internal_key=True,
    allow_grinding=True,
)


@dataclass(frozen=True)
class Chain:
    """A node, and an outside client of the server before it."""

    node: Node
    served: Served
    client: bdk.EsploraClient

    def mine(self, blocks: int = 1) -> None:
        with self.served.lock:
            grow(self.node, blocks)

    def pay(self, script: bytes, *, sats: int = COIN) -> str:
        with self.served.lock:
            return self.node.broadcast(pay(self.node, script, sats=sats))

    def scan(self, wallet: bdk.Wallet) -> bdk.Wallet:
        request = wallet.start_full_scan().build()
        wallet.apply_update(self.client.full_scan(request, GAP, 2))
        return wallet

    def sync(self, wallet: bdk.Wallet) -> bdk.Wallet:
        request = wallet.start_sync_with_revealed_spks().build()
        wallet.apply_update(self.client.sync(request, 2))
        return wallet


@pytest.fixture
def chain() -> Iterator[Chain]:
    with ripe() as node:
        grow(node, 5)
        with serve_in_thread(BitcoinSite(node)) as served:
            yield Chain(node, served, bdk.EsploraClient(served.url))


def account(name: str, *, private: bool) -> str:
    words = bdk.Mnemonic.from_string(WORDS[name])
    root = bdk.DescriptorSecretKey(bdk.NetworkKind.TEST, words, None)
    key = root.derive(bdk.DerivationPath("m/48h/1h/0h/2h"))
    return str(key if private else key.as_public()).removesuffix("/*")


def quorum(*signers: str) -> bdk.Wallet:
    """A 2-of-3 that holds the private keys of ``signers``."""
    keys = [account(name, private=name in signers) for name in WORDS]
    external, change = (
        bdk.Descriptor(
            f"wsh(sortedmulti(2,{','.join(f'{key}/{branch}/*' for key in keys)}))",
            bdk.NetworkKind.TEST,
        )
        for branch in (0, 1)
    )
    memory = bdk.Persister.new_in_memory()
    return bdk.Wallet(external, change, bdk.Network.REGTEST, memory, GAP)


def watching_vault() -> bdk.Wallet:
    descriptor = bdk.Descriptor(make_vault().descriptor, bdk.NetworkKind.TEST)
    return bdk.Wallet.create_single(
        descriptor, bdk.Network.REGTEST, bdk.Persister.new_in_memory(), 1
    )


def script_of(wallet: bdk.Wallet, index: int = 0) -> bytes:
    return wallet.peek_address(EXTERNAL, index).address.script_pubkey().to_bytes()


def total(wallet: bdk.Wallet) -> int:
    return wallet.balance().total.to_sat()


def confirmed(wallet: bdk.Wallet) -> int:
    return wallet.balance().confirmed.to_sat()


def seen(wallet: bdk.Wallet) -> set[str]:
    return {str(each.transaction.compute_txid()) for each in wallet.transactions()}


def spend(wallet: bdk.Wallet, *, sats: int) -> bdk.Psbt:
    builder = bdk.TxBuilder().add_recipient(bdk.Script(P2WPKH), bdk.Amount.from_sat(sats))
    return builder.fee_rate(bdk.FeeRate.from_sat_per_vb(2)).finish(wallet)


def test_a_full_scan_finds_coins_balance_and_history(chain: Chain) -> None:
    wallet = quorum()
    old = [chain.pay(script_of(wallet, index), sats=COIN + index) for index in (0, 2)]
    chain.mine()
    new = chain.pay(script_of(wallet, 1), sats=7_000)
    chain.scan(wallet)
    assert (confirmed(wallet), total(wallet)) == (2 * COIN + 2, 2 * COIN + 7_002)
    assert seen(wallet) == {*old, new}
    assert wallet.latest_checkpoint().height == chain.node.height
    assert str(wallet.latest_checkpoint().hash) == chain.node.tip_hash


def test_a_history_longer_than_a_page_arrives_whole(chain: Chain) -> None:
    wallet = quorum()
    grow(chain.node, 60, script=script_of(wallet))
    chain.scan(wallet)
    assert len(wallet.transactions()) == 60
    assert total(wallet) == sum(each.sats for each in chain.node.coins(script_of(wallet)))


def test_what_pays_another_script_is_not_seen(chain: Chain) -> None:
    chain.pay(P2WPKH)
    chain.mine()
    wallet = chain.scan(quorum())
    assert (total(wallet), seen(wallet)) == (0, set())


def test_two_of_three_sign_and_the_client_broadcasts(chain: Chain) -> None:
    lender, custodian = quorum("lender"), quorum("custodian")
    chain.pay(script_of(lender))
    chain.mine()
    draft = spend(chain.scan(lender), sats=60_000_000)
    copies = [bdk.Psbt(draft.serialize()) for _ in range(2)]
    for each, signer in zip(copies, (lender, custodian), strict=True):
        signer.sign(each, UNFINISHED)
        assert not bdk.Psbt(each.serialize()).finalize().could_finalize
    final = copies[0].combine(copies[1]).finalize()
    assert final.could_finalize
    transaction = final.psbt.extract_tx()
    chain.client.broadcast(transaction)
    txid = str(transaction.compute_txid())
    assert chain.node.depth(txid) == 0

    fee = draft.fee()
    chain.sync(lender)
    assert (total(lender), confirmed(lender)) == (COIN - 60_000_000 - fee, 0)
    chain.mine()
    assert confirmed(chain.sync(lender)) == COIN - 60_000_000 - fee
    # Another holder who starts from nothing but the descriptor sees the same.
    assert confirmed(chain.scan(custodian)) == COIN - 60_000_000 - fee
    assert len(seen(custodian)) == 2


def test_a_reorganisation_with_a_double_spend_is_followed(chain: Chain) -> None:
    wallet = quorum()
    kept = chain.pay(script_of(wallet, 0))
    with chain.served.lock:
        first, rival = (pay(chain.node, script_of(wallet, 1), sats=sats) for sats in (7_000, 5_000))
        lost = chain.node.broadcast(first)
    chain.mine(2)
    assert confirmed(chain.scan(wallet)) == COIN + 7_000
    with chain.served.lock:
        chain.node.reorg(2, time=chain.node.tip_time + 600, drop=[lost])
    chain.sync(wallet)
    assert str(wallet.latest_checkpoint().hash) == chain.node.tip_hash
    assert confirmed(wallet) == 0
    with chain.served.lock:
        won = chain.node.broadcast(rival)
    chain.mine()
    assert confirmed(chain.sync(wallet)) == total(wallet) == COIN + 5_000
    assert seen(wallet) == {kept, won}


def test_the_vault_of_a_loan_is_watched_spent_and_seen_empty(chain: Chain) -> None:
    vault, watcher = make_vault(), watching_vault()
    chain.pay(vault.script_pubkey, sats=3 * COIN)
    chain.mine()
    chain.scan(watcher)
    assert confirmed(watcher) == 3 * COIN
    assert (
        watcher.peek_address(EXTERNAL, 0).address.script_pubkey().to_bytes() == vault.script_pubkey
    )

    quorum_path = {watcher.policies(EXTERNAL).id(): [0]}
    builder = bdk.TxBuilder().drain_wallet().drain_to(bdk.Script(P2WPKH))
    builder = builder.policy_path(quorum_path, EXTERNAL).policy_path(quorum_path, CHANGE)
    # Our cosigners take a lock time for a recovery, and BDK sets one against fee sniping.
    builder = builder.nlocktime(bdk.LockTime.BLOCKS(0))
    draft = builder.fee_rate(bdk.FeeRate.from_sat_per_vb(2)).finish(watcher)
    signed = [
        psbt.sign(psbt.Psbt.parse(draft.serialize()), keys=keys) for keys in (BORROWER, LENDER)
    ]
    theirs = bdk.Psbt(str(signed[0])).combine(bdk.Psbt(str(signed[1]))).finalize()
    assert theirs.could_finalize
    chain.client.broadcast(theirs.psbt.extract_tx())
    chain.mine()
    chain.sync(watcher)
    assert (total(watcher), len(seen(watcher))) == (0, 2)


def test_a_broadcast_that_is_refused_names_the_rule(chain: Chain) -> None:
    with chain.served.lock:
        first, rival = pay(chain.node, sats=COIN), pay(chain.node, sats=2 * COIN)
    chain.client.broadcast(bdk.Transaction(first))
    with pytest.raises(bdk.EsploraError.HttpResponse) as refusal:
        chain.client.broadcast(bdk.Transaction(rival))
    assert refusal.value.status == 400
    assert refusal.value.error_message.startswith("bitcoin/")
    assert chain.node.depth(txid_of(rival)) is None


def test_every_answer_that_the_client_can_ask_for_is_understood(chain: Chain) -> None:
    client, node = chain.client, chain.node
    txid = chain.pay(P2WPKH)
    asked = bdk.Txid.from_string(txid)
    assert not client.get_tx_status(asked).confirmed
    chain.mine(3)
    confirmed_at = node.height - 2

    assert client.get_height() == node.height
    assert str(client.get_tip_hash()) == node.tip_hash
    block = client.get_block_hash(confirmed_at)
    assert client.get_header_by_hash(block).time == node.index.times[confirmed_at]
    assert client.get_block_by_hash(block) is not None
    assert str(client.get_txid_at_block_index(block, 1)) == txid
    assert client.get_tx(asked).serialize() == node.transaction(txid)
    status = client.get_tx_status(asked)
    assert (status.confirmed, status.block_height) == (True, confirmed_at)
    info = client.get_tx_info(asked)
    assert (info.fee, info.version, info.locktime) == (1_000, 2, 0)
    proof = client.get_merkle_proof(asked)
    assert (proof.block_height, proof.pos, len(proof.merkle)) == (confirmed_at, 1, 1)
    assert not client.get_output_status(asked, 0).spent
    address = bdk.Address(address_of(P2WPKH), bdk.Network.REGTEST)
    assert [str(each.txid) for each in client.get_address_txs(address, None)] == [txid]
    assert client.get_fee_estimates()[6] >= 1
    assert client.get_tx(bdk.Txid.from_string(sha256(b"none").hexdigest())) is None
