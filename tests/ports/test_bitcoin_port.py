"""One contract for every Bitcoin that a world's parties may look at: ``BitcoinPort``.

It runs against ``Node``, against ``RpcNode`` over HTTP before a real chain, and against the user's
own ``bitcoind -regtest`` where there is one: on PATH, or running at ``ESCROW_BITCOIND_URL``.
"""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import pytest
from bitcoin_core_rpc import BitcoinCoreRpcClient
from bitcoin_lab import COIN, P2WPKH, SUBSIDY, grow, pay, spend, txid_of
from btclib.tx import Tx
from rpc_lab import PASSWORD, USER, CoreRpc, serving

from escrow.adapters.bitcoin import block as regtest
from escrow.adapters.bitcoin.block import MINER_SCRIPT
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.rpc_node import RpcNode
from escrow.core.errors import BadInput, EscrowError, Refused
from escrow.ports import BitcoinPort, Coin, OutPoint

NO_BITCOIND = (
    "no bitcoind on PATH and ESCROW_BITCOIND_URL is not set: expected in CI, where no package "
    "source has one; the same contract runs over HTTP before our own chain"
)
FEE = 1_000


class Miner(Protocol):
    """What is behind the port, as the tests move it."""

    def mine(self, blocks: int, script: bytes) -> None: ...
    def mine_nothing(self, blocks: int) -> None: ...
    def replace_tip(self) -> None: ...


@dataclass(frozen=True)
class Lab:
    port: BitcoinPort
    miner: Miner
    salt: bytes

    def script(self, name: str) -> bytes:
        """A P2WSH of OP_TRUE that no other test has paid: a user's chain may be old."""
        return b"\x00\x20" + sha256(self.inner(name)).digest()

    def inner(self, name: str) -> bytes:
        # <tag> DROP 1, and before it an opcode kept for soft forks, which nodes do not relay
        rest = b"\x75\xb3\x51" if name == "discouraged" else b"\x75\x51"
        return b"\x20" + sha256(self.salt + name.encode()).digest() + rest

    def mine(self, blocks: int = 1) -> None:
        self.miner.mine(blocks, MINER_SCRIPT)

    def funded(self, name: str = "funds") -> Coin:
        """A confirmed coin that ``name`` may spend, out of a miner's mature reward."""
        last = self.port.height - 99
        reward = next(
            coin
            for coin in self.port.coins(MINER_SCRIPT)
            if coin.height <= last and self.port.spender(coin.outpoint) is None
        )
        paid = [(self.script(name), reward.sats - FEE)]
        self.port.broadcast(spend([reward.outpoint], paid))
        self.mine()
        (coin,) = self.port.coins(self.script(name))
        return coin

    def spend(
        self, coin: Coin, *outputs: tuple[bytes, int], name: str = "funds", **options: int
    ) -> bytes:
        return spend([coin.outpoint], outputs, witness=[self.inner(name)], **options)

    def moved(self, to: str, *, sats: int = COIN) -> tuple[Coin, str]:
        """A confirmed payment of ``sats`` to the script ``to``; the coin it took, and its id."""
        coin = self.funded()
        left = coin.sats - sats - FEE
        raw = self.spend(coin, (self.script(to), sats), (self.script("change"), left))
        return coin, self.port.broadcast(raw)


class KernelMiner:
    def __init__(self, node: Node) -> None:
        self.node = node

    def mine(self, blocks: int, script: bytes) -> None:
        grow(self.node, blocks, script=script)

    def mine_nothing(self, blocks: int) -> None:
        floor = self.node.floor
        self.node.set_floor(1_000)
        grow(self.node, blocks)
        self.node.set_floor(floor)

    def replace_tip(self) -> None:
        self.node.reorg(1, time=self.node.tip_time + 600)


class CoreMiner:
    """A real bitcoind, moved by its own regtest calls."""

    def __init__(self, client: BitcoinCoreRpcClient) -> None:
        self.client = client

    def mine(self, blocks: int, script: bytes) -> None:
        self.client.call("generatetodescriptor", [blocks, self.target(script)])

    def mine_nothing(self, blocks: int) -> None:
        for _ in range(blocks):
            self.client.call("generateblock", [self.target(MINER_SCRIPT), []])

    def replace_tip(self) -> None:
        self.client.call("invalidateblock", [self.client.call("getbestblockhash")])
        self.mine_nothing(2)  # what was in the old block waits again

    def target(self, script: bytes) -> str:
        return self.client.call("getdescriptorinfo", [f"raw({script.hex()})"])["descriptor"]


@pytest.fixture(scope="module", params=["node", "rpc", "bitcoind"])
def chain(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[BitcoinPort, Miner]]:
    """A chain with mature rewards that anyone may spend; tests keep apart by their scripts."""
    if request.param == "bitcoind":
        with own_bitcoind(tmp_path_factory.mktemp("bitcoind")) as (port, miner):
            miner.mine(130, MINER_SCRIPT)
            yield port, miner
        return
    with Node() as node:
        grow(node, 130)
        miner = KernelMiner(node)
        if request.param == "node":
            yield node, miner
            return
        with serving(CoreRpc(node)) as url:
            yield RpcNode(url, user=USER, password=PASSWORD), miner


@pytest.fixture
def lab(chain: tuple[BitcoinPort, Miner], request: pytest.FixtureRequest) -> Lab:
    port, miner = chain
    return Lab(port, miner, request.node.name.encode() + port.tip_hash.encode())


@contextmanager
def own_bitcoind(home: Path) -> Iterator[tuple[BitcoinPort, Miner]]:
    """The user's own node: the one that runs at ESCROW_BITCOIND_URL, or one started here."""
    if "ESCROW_BITCOIND_URL" in os.environ:
        client = BitcoinCoreRpcClient(
            os.environ["ESCROW_BITCOIND_URL"],
            user=os.environ.get("ESCROW_BITCOIND_USER"),
            password=os.environ.get("ESCROW_BITCOIND_PASSWORD"),
            cookie_path=os.environ.get("ESCROW_BITCOIND_COOKIE"),
        )
        yield RpcNode.from_environment(os.environ), CoreMiner(client)
        return
    if (program := shutil.which("bitcoind")) is None:
        pytest.skip(NO_BITCOIND)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    ready = home / "ready"
    os.mkfifo(ready)
    process = subprocess.Popen(
        [
            program, "-regtest", f"-datadir={home}", f"-rpcport={number}", "-listen=0",
            "-server=1", "-printtoconsole=0", f"-startupnotify=echo up > {ready}",
        ]
    )  # fmt: skip
    try:
        line = os.open(ready, os.O_RDONLY | os.O_NONBLOCK)
        said, _, _ = select.select([line], [], [], 60)
        os.close(line)
        assert said, "bitcoind did not start"
        url, cookie = f"http://127.0.0.1:{number}", home / "regtest" / ".cookie"
        client = BitcoinCoreRpcClient(url, cookie_path=cookie)
        yield RpcNode(url, cookie=cookie), CoreMiner(client)
    finally:
        process.terminate()
        process.wait(timeout=60)


class TestTheChain:
    def test_the_tip_follows_each_block(self, lab):
        before, old = lab.port.height, lab.port.tip_hash
        lab.mine(2)
        assert lab.port.height == before + 2
        assert len(lab.port.tip_hash) == 64
        assert lab.port.tip_hash != old

    def test_a_reward_is_a_coin_with_its_height(self, lab):
        lab.miner.mine(1, lab.script("miner"))
        (coin,) = lab.port.coins(lab.script("miner"))
        assert lab.port.coin(coin.outpoint) == coin
        assert (coin.height, coin.coinbase) == (lab.port.height, True)
        assert 0 < coin.sats <= SUBSIDY
        assert lab.port.depth(coin.outpoint.txid) == 1

    def test_what_never_was_is_unknown(self, lab):
        nowhere = OutPoint("ab" * 32, 0)
        assert lab.port.coin(nowhere) is None
        assert lab.port.spender(nowhere) is None
        assert lab.port.depth(nowhere.txid) is None
        assert lab.port.transaction(nowhere.txid) is None
        assert lab.port.coins(lab.script("nobody")) == ()
        assert lab.port.history(lab.script("nobody")) == ()

    def test_coins_come_oldest_first(self, lab):
        for _ in range(3):
            lab.miner.mine(1, lab.script("miner"))
        heights = [coin.height for coin in lab.port.coins(lab.script("miner"))]
        assert heights == sorted(heights)
        assert len(heights) == 3


class TestAPayment:
    def test_it_waits_and_then_is_confirmed(self, lab):
        coin, txid = lab.moved("payee")
        assert lab.port.depth(txid) == 0
        assert lab.port.coins(lab.script("payee")) == ()
        (waiting,) = lab.port.pending(lab.script("payee"))
        assert waiting == Coin(OutPoint(txid, 0), COIN, lab.script("payee"), 0, False)
        assert lab.port.coin(waiting.outpoint) is None

        lab.mine(3)
        assert lab.port.depth(txid) == 3
        assert lab.port.pending(lab.script("payee")) == ()
        (paid,) = lab.port.coins(lab.script("payee"))
        assert (paid.outpoint, paid.sats, paid.coinbase) == (waiting.outpoint, COIN, False)
        assert paid.height == lab.port.height - 2
        assert lab.port.coin(coin.outpoint) is None

    def test_its_input_names_it_waiting_and_confirmed(self, lab):
        coin, txid = lab.moved("payee")
        assert lab.port.spender(coin.outpoint) == txid
        assert lab.port.coin(coin.outpoint) == coin  # spent only in the mempool
        lab.mine()
        assert lab.port.spender(coin.outpoint) == txid

    def test_it_is_handed_back_as_it_was_sent(self, lab):
        coin = lab.funded()
        raw = lab.spend(coin, (lab.script("payee"), coin.sats - FEE))
        txid = lab.port.broadcast(raw)
        assert txid == txid_of(raw)
        assert lab.port.transaction(txid) == raw
        lab.mine()
        assert lab.port.transaction(txid) == raw

    def test_sending_it_again_changes_nothing(self, lab):
        coin = lab.funded()
        raw = lab.spend(coin, (lab.script("payee"), coin.sats - FEE))
        assert lab.port.broadcast(raw) == lab.port.broadcast(raw)
        lab.mine()
        assert lab.port.broadcast(raw) == txid_of(raw)
        (paid,) = lab.port.coins(lab.script("payee"))
        lab.port.broadcast(lab.spend(paid, (lab.script("heir"), paid.sats - FEE), name="payee"))
        lab.mine()
        assert lab.port.broadcast(raw) == txid_of(raw)

    def test_history_keeps_what_was_spent_and_adds_what_waits(self, lab):
        _, first = lab.moved("payee")
        lab.mine()
        (paid,) = lab.port.coins(lab.script("payee"))
        second = lab.port.broadcast(
            lab.spend(paid, (lab.script("payee"), COIN - FEE), name="payee")
        )
        both = (OutPoint(first, 0), OutPoint(second, 0))
        assert lab.port.history(lab.script("payee")) == both
        assert [coin.outpoint for coin in lab.port.pending(lab.script("payee"))] == [both[1]]
        lab.mine()
        assert lab.port.history(lab.script("payee")) == both
        assert [coin.outpoint for coin in lab.port.coins(lab.script("payee"))] == [both[1]]

    def test_a_child_of_one_that_waits_is_seen_and_its_coin_spent(self, lab):
        _, parent = lab.moved("payee")
        (waiting,) = lab.port.pending(lab.script("payee"))
        child = lab.port.broadcast(
            lab.spend(waiting, (lab.script("heir"), COIN - FEE), name="payee")
        )
        assert lab.port.spender(waiting.outpoint) == child
        assert lab.port.pending(lab.script("payee")) == ()
        (heir,) = lab.port.pending(lab.script("heir"))
        assert heir.outpoint == OutPoint(child, 0)
        assert lab.port.depth(parent) == lab.port.depth(child) == 0

    def test_blocks_that_leave_it_out_are_counted(self, lab):
        _, txid = lab.moved("payee")
        assert lab.port.waited(txid) == 0
        lab.miner.mine_nothing(3)
        assert (lab.port.waited(txid), lab.port.depth(txid)) == (3, 0)
        lab.mine()
        assert (lab.port.waited(txid), lab.port.depth(txid)) == (None, 1)
        assert lab.port.waited("ab" * 32) is None

    def test_one_that_pays_enough_more_pushes_it_out(self, lab):
        coin, old = lab.moved("payee")
        better = lab.spend(coin, (lab.script("rival"), coin.sats - 5 * FEE))
        new = lab.port.broadcast(better)
        assert (lab.port.depth(old), lab.port.depth(new)) == (None, 0)
        assert lab.port.spender(coin.outpoint) == new
        assert lab.port.pending(lab.script("payee")) == ()

    def test_a_reorganisation_takes_its_block_away(self, lab):
        coin, txid = lab.moved("payee")
        lab.mine()
        assert lab.port.depth(txid) == 1
        height, old = lab.port.height, lab.port.tip_hash
        lab.miner.replace_tip()
        assert lab.port.height == height + 1
        assert lab.port.tip_hash != old
        assert lab.port.depth(txid) == 0
        assert lab.port.coin(coin.outpoint) == coin
        assert lab.port.coins(lab.script("payee")) == ()
        assert lab.port.history(lab.script("payee")) == (OutPoint(txid, 0),)
        lab.mine()
        assert lab.port.depth(txid) == 1


class TestAnEstimate:
    def test_it_is_above_the_floor(self, lab):
        for blocks in (1, 6, 1_008):
            feerate = lab.port.estimate_feerate(blocks)
            assert type(feerate) is int
            assert feerate >= 2

    @pytest.mark.parametrize("blocks", [0, -1, 1_009, 10**9])
    def test_a_target_that_makes_no_sense(self, lab, blocks):
        with pytest.raises(BadInput) as refusal:
            lab.port.estimate_feerate(blocks)
        assert refusal.value.code == "input/amount"


class TestABroadcastRefused:
    def refused(self, lab: Lab, raw: bytes, code: str) -> EscrowError:
        known = lab.port.height, lab.port.pending(lab.script("payee"))
        with pytest.raises(EscrowError) as refusal:
            lab.port.broadcast(raw)
        assert refusal.value.code == code
        assert (lab.port.height, lab.port.pending(lab.script("payee"))) == known
        return refusal.value

    @pytest.mark.parametrize("raw", [b"", b"\x00", b"\xff" * 100, bytes(60)])
    def test_bytes_that_are_no_transaction(self, lab, raw):
        assert isinstance(self.refused(lab, raw, "bitcoin/transaction"), BadInput)

    def test_an_input_that_is_not_there(self, lab):
        raw = spend([OutPoint("ab" * 32, 0)], [(lab.script("payee"), COIN)])
        self.refused(lab, raw, "bitcoin/missing-input")

    def test_a_coin_that_waits_to_be_spent_otherwise(self, lab):
        coin, txid = lab.moved("payee")
        rival = lab.spend(coin, (lab.script("rival"), coin.sats - FEE))
        self.refused(lab, rival, "bitcoin/conflict")
        assert lab.port.spender(coin.outpoint) == txid

    def test_one_that_pays_more_and_still_too_little_to_replace_it(self, lab):
        coin, txid = lab.moved("payee")
        rival = lab.spend(coin, (lab.script("rival"), coin.sats - FEE - 1))
        self.refused(lab, rival, "bitcoin/replace")
        assert lab.port.spender(coin.outpoint) == txid

    def test_one_that_pays_less_than_what_it_would_push_out_with_its_heir(self, lab):
        coin, txid = lab.moved("payee")
        (waiting,) = lab.port.pending(lab.script("payee"))
        heir = lab.spend(waiting, (lab.script("payee"), COIN - 3 * FEE), name="payee")
        lab.port.broadcast(heir)
        rival = lab.spend(coin, (lab.script("rival"), coin.sats - 4 * FEE))
        self.refused(lab, rival, "bitcoin/conflict")
        assert lab.port.spender(coin.outpoint) == txid

    def test_a_reward_that_is_not_mature(self, lab):
        lab.miner.mine(1, lab.script("funds"))
        (coin,) = lab.port.coins(lab.script("funds"))
        raw = lab.spend(coin, (lab.script("payee"), coin.sats - FEE))
        self.refused(lab, raw, "bitcoin/immature")

    def test_more_out_than_in(self, lab):
        coin = lab.funded()
        self.refused(lab, lab.spend(coin, (lab.script("payee"), coin.sats + 1)), "bitcoin/amount")

    def test_no_fee(self, lab):
        coin = lab.funded()
        self.refused(lab, lab.spend(coin, (lab.script("payee"), coin.sats)), "bitcoin/fee")

    def test_dust(self, lab):
        coin = lab.funded()
        raw = lab.spend(coin, (lab.script("payee"), coin.sats - FEE - 100), (P2WPKH, 100))
        self.refused(lab, raw, "bitcoin/dust")

    def test_a_time_lock_that_has_not_passed(self, lab):
        coin = lab.funded()
        outputs = (lab.script("payee"), coin.sats - FEE)
        raw = lab.spend(coin, outputs, locktime=lab.port.height + 50, sequence=0)
        self.refused(lab, raw, "bitcoin/non-final")

    def test_a_witness_that_does_not_open_the_script(self, lab):
        coin = lab.funded()
        raw = lab.spend(coin, (lab.script("payee"), coin.sats - FEE), name="stranger")
        self.refused(lab, raw, "bitcoin/script")

    def test_a_script_that_blocks_may_carry_and_nodes_do_not_relay(self, lab):
        coin = lab.funded("discouraged")
        outputs = (lab.script("payee"), coin.sats - FEE)
        self.refused(lab, lab.spend(coin, outputs, name="discouraged"), "bitcoin/policy")

    def test_an_output_that_is_not_standard(self, lab):
        coin = lab.funded()
        raw = lab.spend(coin, (b"\x6a" * 90, 0), (lab.script("payee"), coin.sats - FEE))
        self.refused(lab, raw, "bitcoin/policy")


@pytest.fixture
def core() -> Iterator[tuple[CoreRpc, str]]:
    with Node() as node:
        grow(node, 3)
        core = CoreRpc(node)
        with serving(core) as url:
            yield core, url


@pytest.fixture
def port(core: tuple[CoreRpc, str]) -> RpcNode:
    return RpcNode(core[1], user=USER, password=PASSWORD)


class TestANodeThatIsNotAsItShouldBe:
    def test_nobody_listens(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound and not listening: refused at once
            with pytest.raises(Refused) as refusal:
                RpcNode(f"http://127.0.0.1:{taken.getsockname()[1]}", user="a", password="b")
        assert refusal.value.code == "rpc/unreachable"

    def test_a_cookie_that_is_not_there(self, core, tmp_path):
        with pytest.raises(Refused) as refusal:
            RpcNode(core[1], cookie=tmp_path / ".cookie")
        assert refusal.value.code == "rpc/unreachable"
        assert refusal.value.facts["reason"] == "no cookie file"

    def test_a_cookie_opens_it(self, core, tmp_path):
        cookie = tmp_path / ".cookie"
        cookie.write_text(f"{USER}:{PASSWORD}")
        environment = {"ESCROW_BITCOIND_URL": core[1], "ESCROW_BITCOIND_COOKIE": str(cookie)}
        found = RpcNode.from_environment(environment)
        assert found.height == 3

    def test_a_wrong_password_is_refused_and_not_repeated(self, core):
        with pytest.raises(Refused) as refusal:
            RpcNode(core[1], user=USER, password="hunter2")
        assert refusal.value.code == "rpc/refused"
        assert "hunter2" not in str(refusal.value)
        assert refusal.value.__cause__ is None

    @pytest.mark.parametrize(
        "url", ["", "ftp://127.0.0.1", "http://a:hunter2@127.0.0.1:1", "x" * 99]
    )
    def test_a_url_that_is_none(self, url):
        with pytest.raises(BadInput) as refusal:
            RpcNode(url, user="a", password="b")
        assert refusal.value.code == "http/address"
        assert "hunter2" not in str(refusal.value)

    @pytest.mark.parametrize(
        "about", [{"chain": "main"}, {"chain": "regtest", "pruned": True}, {}, [], None, "regtest"]
    )
    def test_another_network_or_a_pruned_node(self, core, about):
        core[0].lies["getblockchaininfo"] = about
        with pytest.raises(Refused) as refusal:
            RpcNode(core[1], user=USER, password=PASSWORD)
        assert refusal.value.code == "rpc/refused"

    @pytest.mark.parametrize(
        ("method", "lie"),
        [
            ("getbestblockhash", "ab" * 32),
            ("getbestblockhash", 7),
            ("getblockcount", "many"),
            ("getblockcount", 10**9),
            ("getblockhash", None),
            ("getblock", "zz"),
            ("getblock", ""),
            ("getblock", "00" * 200),
            ("getrawmempool", []),
            ("getrawmempool", {"ab" * 32: 1}),
            ("getrawmempool", {"ab" * 32: {"time": 1}}),
        ],
    )
    def test_what_it_says_makes_no_sense(self, core, port, method, lie):
        core[0].lies[method] = lie
        if method == "getrawmempool" and lie == {"ab" * 32: {"time": 1}}:
            assert port.height == 3  # one that left between two calls
            return
        with pytest.raises(Refused) as refusal:
            _ = port.height
        assert refusal.value.code == "rpc/refused"
        core[0].lies.clear()
        assert port.height == 3

    def test_a_block_that_is_not_the_one_asked_for(self, core, port):
        node = core[0].node
        core[0].lies["getblock"] = node.block(3).hex()
        with pytest.raises(Refused) as refusal:
            _ = port.tip_hash
        assert (refusal.value.code, refusal.value.facts["reason"]) == (
            "rpc/refused",
            "another block",
        )
        core[0].lies.clear()
        assert port.tip_hash == node.tip_hash

    def test_a_block_that_spends_what_never_was_leaves_no_trace(self, core, port):
        node, phantom = core[0].node, b"\x00\x14" + b"\x07" * 20
        forged = regtest.build(
            node.tip_hash,
            height=4,
            time=node.tip_time + 600,
            transactions=[Tx.parse(spend([OutPoint("ab" * 32, 0)], [(P2WPKH, COIN)]))],
            fees=0,
            script_pubkey=phantom,
            extra_nonce=b"",
        )
        core[0].lies |= {
            "getbestblockhash": forged.hash,
            "getblockcount": 4,
            "getblockhash": lambda at: forged.hash if at == 4 else node.index.hashes[at],
            "getblock": lambda each, _: (
                forged.raw if each == forged.hash else node.block_of(each)
            ).hex(),
        }
        for _ in range(2):
            with pytest.raises(Refused) as refusal:
                port.coins(phantom)
            assert refusal.value.code == "rpc/refused"
        core[0].lies.clear()
        assert (port.height, port.coins(phantom), port.coins(P2WPKH)) == (3, (), ())

    @pytest.mark.parametrize(
        "lie", ["zz", "00", 7, spend([OutPoint("ab" * 32, 0)], [(P2WPKH, COIN)]).hex()]
    )
    def test_a_waiting_transaction_that_is_not_the_one_asked_for(self, core, port, lie):
        node = core[0].node
        grow(node, 100)
        txid = node.broadcast(pay(node))
        core[0].lies["getrawtransaction"] = lie
        with pytest.raises(Refused) as refusal:
            port.depth(txid)
        assert refusal.value.code == "rpc/refused"
        core[0].lies.clear()
        assert port.depth(txid) == 0

    @pytest.mark.parametrize(
        ("method", "said", "estimate"),
        [
            ("estimatesmartfee", {"feerate": 0.00012345, "blocks": 2}, 13),
            ("estimatesmartfee", {"feerate": 0.00000100}, 2),
            ("getmempoolinfo", {"mempoolminfee": 0.00000100, "minrelaytxfee": 0.00000100}, 2),
            ("getmempoolinfo", {"mempoolminfee": 0.00005001, "minrelaytxfee": 0.00001}, 7),
        ],
    )
    def test_core_counts_in_bitcoin_a_thousand_bytes(self, core, port, method, said, estimate):
        core[0].lies[method] = said
        assert port.estimate_feerate(2) == estimate

    @pytest.mark.parametrize("rate", [-1, "1", 10**9, []])
    def test_a_feerate_that_is_none(self, core, port, rate):
        core[0].lies["estimatesmartfee"] = {"feerate": rate}
        with pytest.raises(Refused) as refusal:
            port.estimate_feerate(2)
        assert refusal.value.code == "rpc/refused"

    def test_blocks_are_asked_for_once(self, core, port):
        assert port.height == 3
        asked = core[0].asked.count("getblock")
        assert (port.height, port.coins(P2WPKH)) == (3, ())
        assert core[0].asked.count("getblock") == asked == 3

    def test_the_node_dies_in_between(self, core, port):
        assert port.height == 3
        core[0].lies["getbestblockhash"] = {"not": "a hash"}
        with pytest.raises(Refused):
            _ = port.height

    def test_it_shows_its_url_and_no_password(self, port, core):
        assert repr(port) == f"RpcNode({core[1]})"
