"""The JSON-RPC as clients meet it: forms, errors, web3 on top, and nothing to break it with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

import pytest
import rlp
from eth_account import Account
from eth_hash.auto import keccak
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web3 import Web3
from web3.exceptions import BlockNotFound, ContractCustomError, ContractLogicError

from escrow.adapters.evm.chain import Chain
from escrow.adapters.evm.provider import InProcessProvider
from escrow.adapters.evm.rpc import MAX_BATCH, MAX_REQUEST, METHODS, Rpc
from escrow.adapters.evm.wire import RpcError

GENESIS = 1_735_689_600
CHAIN_ID = 31_337
GWEI = 10**9
ALICE = Account.from_key(b"\1" * 32)
BOB = Account.from_key(b"\2" * 32)
WHO = bytes.fromhex(ALICE.address[2:])
SOURCE = """
# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on

event Kept:
    who: indexed(address)
    number: uint256

kept: public(uint256)

@external
def keep(number: uint256):
    assert number < 100, "too much"
    self.kept = number
    log Kept(who=msg.sender, number=number)

@external
@view
def refuse(number: uint256):
    raw_revert(concat(method_id("TooMuch(uint256)", output_type=bytes4), convert(number, bytes32)))

@external
@view
def clock() -> uint256:
    return block.timestamp

@external
@view
def silent():
    raise

@external
@view
def burst():
    x: uint256 = max_value(uint256)
    for i: uint256 in range(2**64):
        x = x ^ i
"""
ERROR = {"type": "error", "name": "TooMuch", "inputs": [{"name": "n", "type": "uint256"}]}


@dataclass
class Clock:
    """A world's clock, small."""

    now: int = GENESIS + 60

    def at_least(self, t: int, /) -> None:
        self.now = max(self.now, t)


@cache
def compiled() -> tuple[list[object], str]:
    from vyper import compile_code

    out = compile_code(SOURCE, output_formats=["abi", "bytecode"])
    return [*out["abi"], ERROR], out["bytecode"]


def make() -> Rpc:
    alloc = {WHO: 10**24, bytes.fromhex(BOB.address[2:]): 10**24}
    return Rpc(Chain(chain_id=CHAIN_ID, genesis_time=GENESIS, alloc=alloc, clock=Clock()))


def sign(nonce: int, to: str | None, data: str = "0x", **over: object) -> str:
    fields: dict[str, object] = {
        "type": 2,
        "chainId": CHAIN_ID,
        "nonce": nonce,
        "maxFeePerGas": 2 * GWEI,
        "maxPriorityFeePerGas": 5,
        "gas": 1_000_000,
        "value": 0,
        "data": data,
    }
    if to is not None:
        fields["to"] = Web3.to_checksum_address(to)
    if "gasPrice" in over:
        for name in ("type", "maxFeePerGas", "maxPriorityFeePerGas"):
            del fields[name]
    return "0x" + bytes(ALICE.sign_transaction(fields | over).raw_transaction).hex()


def deployed() -> tuple[Rpc, str]:
    rpc = make()
    _, code = compiled()
    receipt = mined(rpc, sign(0, None, code))
    return rpc, receipt["contractAddress"]


def mined(rpc: Rpc, raw: str) -> dict[str, object]:
    receipt = rpc.dispatch(
        "eth_getTransactionReceipt", [rpc.dispatch("eth_sendRawTransaction", [raw])]
    )
    assert isinstance(receipt, dict)
    return receipt


def selector(signature: str) -> str:
    return "0x" + keccak(signature.encode())[:4].hex()


def word(number: int) -> str:
    return f"{number:064x}"


def keep(number: int) -> str:
    return selector("keep(uint256)") + word(number)


def error(rpc: Rpc, method: str, *params: object) -> RpcError:
    with pytest.raises(RpcError) as caught:
        rpc.dispatch(method, list(params))
    return caught.value


class TestForms:
    def test_chain_and_accounts(self) -> None:
        rpc = make()
        plain = {
            "eth_chainId": "0x7a69",
            "net_version": "31337",
            "net_listening": True,
            "eth_syncing": False,
            "eth_accounts": [],
            "eth_blockNumber": "0x0",
            "web3_clientVersion": "escrow/py-evm/prague",
            "eth_maxPriorityFeePerGas": "0x0",
            "eth_gasPrice": hex(875_000_000),
        }
        for method, answer in plain.items():
            assert rpc.dispatch(method) == answer
        assert rpc.dispatch("web3_sha3", ["0x"]) == "0x" + keccak(b"").hex()

    def test_a_block(self) -> None:
        rpc, kit = deployed()
        block = rpc.dispatch("eth_getBlockByNumber", ["latest", False])
        assert isinstance(block, dict)
        assert block == rpc.dispatch("eth_getBlockByHash", [block["hash"], False])
        assert block["number"] == "0x1"
        assert block["difficulty"] == block["totalDifficulty"] == "0x0"
        assert len(block["logsBloom"]) == 514
        assert block["nonce"] == "0x0000000000000000"
        assert block["timestamp"] == hex(GENESIS + 60)
        assert block["baseFeePerGas"] == hex(875_000_000)
        assert block["requestsHash"] == (
            "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        )
        header = rpc.chain.head.header
        raws = [entry.raw for entry in rpc.chain.transactions(block=1)]
        assert block["size"] == hex(len(rlp.encode([rlp.decode(header), raws, [], []])))
        full = rpc.dispatch("eth_getBlockByNumber", ["0x1", True])
        assert isinstance(full, dict)
        (shown,) = full["transactions"]
        assert shown == rpc.dispatch("eth_getTransactionByHash", block["transactions"])
        for at in ("0x1", "latest", block["hash"]):
            kind = "Hash" if len(at) == 66 else "Number"
            pair = [at, "0x0"]
            assert rpc.dispatch(f"eth_getTransactionByBlock{kind}AndIndex", pair) == shown
            assert rpc.dispatch(f"eth_getBlockTransactionCountBy{kind}", [at]) == "0x1"
            assert len(rpc.dispatch("eth_getBlockReceipts", [at])) == 1  # type: ignore[arg-type]
        assert rpc.dispatch("eth_getTransactionByBlockNumberAndIndex", ["0x1", "0x1"]) is None
        assert kit

    def test_blocks_that_are_not_there(self) -> None:
        rpc = make()
        nothing = "0x" + "ab" * 32
        assert rpc.dispatch("eth_getBlockByNumber", ["0x9", False]) is None
        assert rpc.dispatch("eth_getBlockByHash", [nothing, False]) is None
        assert rpc.dispatch("eth_getTransactionByHash", [nothing]) is None
        assert rpc.dispatch("eth_getTransactionReceipt", [nothing]) is None
        assert rpc.dispatch("eth_getBlockReceipts", ["0x9"]) is None
        assert rpc.dispatch("eth_getBlockTransactionCountByHash", [nothing]) is None
        assert error(rpc, "eth_getBalance", ALICE.address, "0x9").message == "header not found"

    def test_a_receipt_of_a_creation(self) -> None:
        rpc = make()
        _, code = compiled()
        receipt = mined(rpc, sign(0, None, code))
        assert receipt["to"] is None
        assert receipt["from"] == ALICE.address.lower()
        assert receipt["status"] == "0x1"
        assert receipt["type"] == "0x2"
        assert receipt["logs"] == []
        assert receipt["logsBloom"] == "0x" + "00" * 256
        assert receipt["effectiveGasPrice"] == hex(875_000_005)
        assert receipt["cumulativeGasUsed"] == receipt["gasUsed"]
        shown = rpc.dispatch("eth_getTransactionByHash", [receipt["transactionHash"]])
        assert isinstance(shown, dict)
        assert shown["to"] is None
        assert rpc.dispatch("eth_getCode", [receipt["contractAddress"], "latest"]) != "0x"

    def test_a_call_has_a_receipt_with_logs(self) -> None:
        rpc, kit = deployed()
        receipt = mined(rpc, sign(1, kit, keep(7)))
        assert receipt["contractAddress"] is None
        (log,) = receipt["logs"]  # type: ignore[misc]
        assert log["removed"] is False
        assert log["logIndex"] == log["transactionIndex"] == "0x0"
        assert log["blockHash"] == receipt["blockHash"]
        assert log["data"] == "0x" + word(7)
        assert log["topics"][1] == "0x" + word(int(ALICE.address, 16))

    @pytest.mark.parametrize(
        ("over", "kind", "there", "absent"),
        [
            ({"gasPrice": 2 * GWEI}, "0x0", ["gasPrice"], ["maxFeePerGas", "accessList"]),
            (
                {"gasPrice": 2 * GWEI, "type": 1, "accessList": []},
                "0x1",
                ["accessList", "yParity"],
                ["maxFeePerGas"],
            ),
            ({}, "0x2", ["maxFeePerGas", "maxPriorityFeePerGas", "accessList", "yParity"], []),
        ],
    )
    def test_each_type_shows_its_own_fields(
        self, over: dict[str, object], kind: str, there: list[str], absent: list[str]
    ) -> None:
        rpc = make()
        raw = sign(0, BOB.address, **over)
        receipt = mined(rpc, raw)
        shown = rpc.dispatch("eth_getTransactionByHash", [receipt["transactionHash"]])
        assert isinstance(shown, dict)
        assert shown["type"] == receipt["type"] == kind
        assert shown["hash"] == "0x" + keccak(bytes.fromhex(raw[2:])).hex()
        assert set(there) <= set(shown)
        assert not set(absent) & set(shown)

    def test_tags_and_numbers(self) -> None:
        rpc, kit = deployed()
        mined(rpc, sign(1, kit, keep(7)))
        slot = [kit, "0x0"]
        assert rpc.dispatch("eth_getStorageAt", [*slot, "0x1"]) == "0x" + word(0)
        for tag in ("latest", "safe", "finalized", "pending", "0x2", None):
            assert rpc.dispatch("eth_getStorageAt", [*slot, tag]) == "0x" + word(7)
        assert rpc.dispatch("eth_getStorageAt", [kit, "0x" + word(0)]) == "0x" + word(7)
        head = "0x" + rpc.chain.head_hash.hex()
        first = {"blockHash": "0x" + rpc.chain.block(1).hash.hex()}  # type: ignore[union-attr]
        count = "eth_getTransactionCount"
        assert rpc.dispatch(count, [ALICE.address, {"blockHash": head}]) == "0x2"
        assert rpc.dispatch(count, [ALICE.address, first]) == "0x1"
        assert rpc.dispatch(count, [ALICE.address, {"blockNumber": "0x1"}]) == "0x1"
        assert rpc.dispatch(count, [ALICE.address, "earliest"]) == "0x0"
        assert rpc.dispatch("eth_getBalance", [ALICE.address, "earliest"]) == hex(10**24)
        assert error(rpc, count, ALICE.address, {"blockHash": "0x" + word(1)}).code == -32000

    def test_the_pending_block(self) -> None:
        rpc = make()
        raw = bytes.fromhex(sign(0, BOB.address, value=5)[2:])
        receipt = rpc.chain.send(raw)
        pending = rpc.dispatch("eth_getBlockByNumber", ["pending", True])
        assert isinstance(pending, dict)
        assert (pending["number"], pending["hash"], pending["nonce"]) == ("0x1", None, None)
        assert pending["gasUsed"] == hex(21_000)
        (shown,) = pending["transactions"]
        assert (shown["blockHash"], shown["blockNumber"]) == (None, None)
        tx_hash = "0x" + receipt.tx_hash.hex()
        assert rpc.dispatch("eth_getTransactionByHash", [tx_hash]) == shown
        assert rpc.dispatch("eth_getTransactionReceipt", [tx_hash]) is None
        count = "eth_getTransactionCount"
        assert rpc.dispatch(count, [ALICE.address, "pending"]) == "0x1"
        assert rpc.dispatch(count, [ALICE.address, "latest"]) == "0x0"

    def test_fee_history(self) -> None:
        rpc, kit = deployed()
        mined(rpc, sign(1, kit, keep(7)))
        shown = rpc.dispatch("eth_feeHistory", ["0x2", "latest", [0, 50.5, 100]])
        assert isinstance(shown, dict)
        assert shown["oldestBlock"] == "0x1"
        fees = [rpc.chain.block(n).base_fee for n in (1, 2)]  # type: ignore[union-attr]
        assert shown["baseFeePerGas"] == [*map(hex, fees), hex(rpc.chain.next_base_fee)]
        assert shown["reward"] == [["0x5"] * 3] * 2
        assert len(shown["gasUsedRatio"]) == 2
        assert error(rpc, "eth_feeHistory", "0x1", "latest", [9, 3]).code == -32602
        assert error(rpc, "eth_feeHistory", "0x1", "latest", [101]).code == -32602


class TestErrors:
    def test_codes(self) -> None:
        rpc, kit = deployed()
        assert error(rpc, "anvil_nodeInfo").code == -32601
        assert error(rpc, "eth_getBalance").code == -32602
        assert error(rpc, "eth_getBalance", "0x12").code == -32602
        assert error(rpc, "eth_getBalance", ALICE.address, "0x00").code == -32602
        assert error(rpc, "eth_getBalance", ALICE.address, "soon").code == -32602
        assert error(rpc, "eth_chainId", 1).code == -32602
        assert error(rpc, "eth_call", {"to": kit}, "latest", {kit: {}}).code == -32602
        assert error(rpc, "eth_call", {"to": kit, "chainId": "0x1"}).code == -32602
        both = {"to": kit, "data": "0x", "input": "0x00"}
        assert error(rpc, "eth_call", both).code == -32602
        for method in ("eth_sendTransaction", "personal_sign", "eth_signTypedData_v4"):
            refusal = error(rpc, method, {})
            assert (refusal.code, refusal.message) == (
                -32601,
                "no account is held here: sign with your own key and use eth_sendRawTransaction",
            )

    @pytest.mark.parametrize(
        ("nonce", "over", "words"),
        [
            (0, {}, "nonce too low"),
            (9, {}, "nonce too high"),
            (1, {"value": 10**24}, "insufficient funds"),
            (1, {"maxFeePerGas": 5}, "max fee per gas less than block base fee"),
            (1, {"gas": 20_000}, "intrinsic gas too low"),
            (1, {"chainId": 5}, "invalid transaction"),
        ],
    )
    def test_refusals_in_the_words_clients_know(
        self, nonce: int, over: dict[str, object], words: str
    ) -> None:
        rpc, kit = deployed()
        caught = error(rpc, "eth_sendRawTransaction", sign(nonce, kit, keep(1), **over))
        assert caught.code == -32000
        assert words in caught.message
        assert rpc.chain.block_number == 1

    def test_a_revert_carries_its_data(self) -> None:
        rpc, kit = deployed()
        for method in ("eth_call", "eth_estimateGas"):
            caught = error(rpc, method, {"to": kit, "data": keep(100)})
            assert (caught.code, caught.message) == (3, "execution reverted: too much")
            assert caught.data is not None
            assert caught.data.startswith("0x08c379a0")
            caught = error(rpc, method, {"to": kit, "input": selector("refuse(uint256)") + word(5)})
            assert caught.data == selector("TooMuch(uint256)") + word(5)
            caught = error(rpc, method, {"to": kit, "input": selector("silent()")})
            assert (caught.code, caught.data) == (3, "0x")
        spent = {"to": kit, "data": selector("burst()"), "gas": hex(200_000)}
        caught = error(rpc, "eth_call", spent)
        assert (caught.code, caught.message) == (-32000, "execution failed: OutOfGas")

    def test_a_sent_revert_is_mined(self) -> None:
        rpc, kit = deployed()
        receipt = mined(rpc, sign(1, kit, keep(100)))
        assert receipt["status"] == "0x0"
        assert rpc.chain.nonce(WHO) == 2

    def test_calls_as_clients_write_them(self) -> None:
        rpc, kit = deployed()
        asked = {
            "from": ALICE.address,
            "to": kit,
            "data": selector("clock()"),
            "input": selector("clock()"),
            "nonce": "0x5",
            "type": "0x2",
            "maxFeePerGas": "0x1",
            "value": "0x0",
            "chainId": hex(CHAIN_ID),
            "accessList": [{"address": kit, "storageKeys": ["0x" + word(0)]}],
        }
        rpc.chain.clock.at_least(GENESIS + 1_000)
        assert rpc.dispatch("eth_call", [asked, "latest"]) == "0x" + word(GENESIS + 60)
        assert rpc.dispatch("eth_call", [asked, "pending", {}]) == "0x" + word(GENESIS + 1_000)
        plain = rpc.dispatch("eth_estimateGas", [{"to": kit, "data": selector("clock()")}])
        listed = rpc.dispatch("eth_estimateGas", [asked])
        assert int(str(listed), 16) == int(str(plain), 16) + 2_400 + 1_900


class TestLogs:
    def test_by_filter(self) -> None:
        rpc, kit = deployed()
        for nonce in range(1, 6):
            mined(rpc, sign(nonce, kit, keep(nonce)))
        kept = "0x" + keccak(b"Kept(address,uint256)").hex()
        who = "0x" + word(int(ALICE.address, 16))

        def numbers(**criteria: object) -> list[int]:
            logs = rpc.dispatch("eth_getLogs", [criteria])
            assert isinstance(logs, list)
            return [int(log["data"], 16) for log in logs]

        assert numbers() == [5]
        assert numbers(fromBlock="earliest") == [1, 2, 3, 4, 5]
        assert numbers(fromBlock="0x2", toBlock="0x3") == [1, 2]
        assert numbers(fromBlock="0x0", toBlock="0x99", address=[kit], topics=[kept]) == [
            *range(1, 6)
        ]
        assert numbers(fromBlock="0x0", topics=[None, [who, kept]]) == [1, 2, 3, 4, 5]
        assert numbers(fromBlock="0x0", topics=[who]) == []
        assert numbers(fromBlock="0x0", address=ALICE.address) == []
        assert numbers(blockHash="0x" + rpc.chain.head_hash.hex()) == [5]
        assert error(rpc, "eth_getLogs", {"blockHash": "0x" + word(3)}).code == -32000
        assert error(rpc, "eth_getLogs", {"topics": [kept] * 5}).code == -32602

    def test_filters_report_once(self) -> None:
        rpc, kit = deployed()
        logs = rpc.dispatch("eth_newFilter", [{"address": kit}])
        early = rpc.dispatch("eth_newFilter", [{"fromBlock": "earliest", "toBlock": "0x2"}])
        blocks = rpc.dispatch("eth_newBlockFilter")
        changes = "eth_getFilterChanges"
        assert rpc.dispatch(changes, [logs]) == rpc.dispatch(changes, [blocks]) == []
        for nonce in (1, 2):
            mined(rpc, sign(nonce, kit, keep(nonce)))
        found = rpc.dispatch(changes, [logs])
        assert isinstance(found, list)
        assert [int(log["data"], 16) for log in found] == [1, 2]
        assert len(rpc.dispatch(changes, [early])) == 1  # type: ignore[arg-type]
        hashes = ["0x" + rpc.chain.block(n).hash.hex() for n in (2, 3)]  # type: ignore[union-attr]
        assert rpc.dispatch(changes, [blocks]) == hashes
        assert rpc.dispatch(changes, [logs]) == rpc.dispatch(changes, [blocks]) == []
        assert len(rpc.dispatch("eth_getFilterLogs", [early])) == 1  # type: ignore[arg-type]
        assert rpc.dispatch("eth_uninstallFilter", [logs]) is True
        assert rpc.dispatch("eth_uninstallFilter", [logs]) is False
        assert error(rpc, changes, logs).message == "filter not found"
        assert error(rpc, "eth_getFilterLogs", blocks).message == "filter not found"
        assert error(rpc, "eth_newFilter", {"blockHash": hashes[0]}).code == -32602
        assert error(rpc, "eth_newFilter", {"address": "0x1"}).code == -32602

    def test_filters_report_what_a_revert_replaced(self) -> None:
        rpc, kit = deployed()
        mark = rpc.dispatch("evm_snapshot")
        logs = rpc.dispatch("eth_newFilter", [{}])
        mined(rpc, sign(1, kit, keep(1)))
        rpc.dispatch("eth_getFilterChanges", [logs])
        rpc.dispatch("evm_revert", [mark])
        mined(rpc, sign(1, kit, keep(2)))
        found = rpc.dispatch("eth_getFilterChanges", [logs])
        assert isinstance(found, list)
        assert [int(log["data"], 16) for log in found] == [2]

    def test_filters_do_not_pile_up(self) -> None:
        rpc = make()
        first = rpc.dispatch("eth_newBlockFilter")
        for _ in range(256):
            last = rpc.dispatch("eth_newBlockFilter")
        assert rpc.dispatch("eth_getFilterChanges", [last]) == []
        assert error(rpc, "eth_getFilterChanges", first).message == "filter not found"


class TestClock:
    def test_time_is_the_worlds(self) -> None:
        rpc = make()
        start = rpc.chain.clock.now
        assert rpc.dispatch("evm_increaseTime", [100]) == "0x64"
        assert rpc.dispatch("evm_increaseTime", ["0x64"]) == "0xc8"
        assert rpc.chain.clock.now == start + 200
        assert rpc.dispatch("evm_mine") == "0x0"
        assert rpc.chain.head.timestamp == start + 200
        rpc.dispatch("evm_setNextBlockTimestamp", [start + 300])
        assert mined(rpc, sign(0, BOB.address))["blockNumber"] == "0x2"
        assert rpc.chain.head.timestamp == start + 300
        rpc.dispatch("evm_mine", [hex(start + 400)])
        assert rpc.chain.head.timestamp == rpc.chain.clock.now == start + 400

    def test_time_never_goes_back(self) -> None:
        rpc = make()
        rpc.dispatch("evm_mine")
        at, clock = rpc.chain.head_hash, rpc.chain.clock.now
        for method in ("evm_setNextBlockTimestamp", "evm_mine"):
            for bad in (clock, clock - 1, 0):
                assert error(rpc, method, bad).code == -32000
            for bad in (-1, 1.5, "x", True, None if method != "evm_mine" else "", 2**63, 2**70):
                assert error(rpc, method, bad).code == -32602
        rpc.chain.clock.at_least(clock + 100)
        assert error(rpc, "evm_setNextBlockTimestamp", clock + 50).code == -32000
        clock += 100
        assert error(rpc, "evm_increaseTime", -5).code == -32602
        assert error(rpc, "evm_increaseTime", 2**50).code == -32602
        assert (rpc.chain.head_hash, rpc.chain.clock.now) == (at, clock)

    def test_snapshots(self) -> None:
        rpc = make()
        mark = rpc.dispatch("evm_snapshot")
        before = rpc.chain.head_hash
        mined(rpc, sign(0, BOB.address))
        assert rpc.dispatch("evm_revert", [mark]) is True
        assert rpc.chain.head_hash == before
        assert rpc.dispatch("evm_revert", [mark]) is False

    def test_snapshots_of_others_are_not_to_be_had(self) -> None:
        rpc = make()
        inner = rpc.chain.snapshot()
        assert rpc.dispatch("evm_revert", [hex(inner)]) is False
        outer = rpc.dispatch("evm_snapshot")
        rpc.chain.revert(inner)
        assert rpc.dispatch("evm_revert", [outer]) is False

    def test_control_can_be_withheld(self) -> None:
        rpc = Rpc(make().chain, control=False)
        for method in sorted(METHODS):
            if method.startswith("evm_"):
                assert error(rpc, method).code == -32601
        assert rpc.dispatch("eth_chainId") == "0x7a69"


class TestHandle:
    def test_one(self) -> None:
        asked = {"jsonrpc": "2.0", "id": "a", "method": "eth_chainId"}
        answer = {"jsonrpc": "2.0", "id": "a", "result": "0x7a69"}
        assert json.loads(make().handle(json.dumps(asked))) == answer
        assert json.loads(make().handle(json.dumps(asked).encode())) == answer

    def test_a_batch_and_notifications(self) -> None:
        rpc = make()
        asked = [
            {"id": 1, "method": "eth_chainId"},
            {"method": "evm_mine"},
            {"id": 2, "method": "nothing"},
            7,
        ]
        chain_id, missing, bad = json.loads(rpc.handle(json.dumps(asked)))
        assert chain_id["result"] == "0x7a69"
        assert (missing["id"], missing["error"]["code"]) == (2, -32601)
        assert (bad["id"], bad["error"]["code"]) == (None, -32600)
        assert rpc.chain.block_number == 1
        assert rpc.handle('{"method": "evm_mine"}') == ""
        assert rpc.handle('[{"method": "evm_mine"}]') == ""

    @pytest.mark.parametrize(
        ("request_", "code"),
        [
            ("", -32700),
            (b"\xff\xfe\x00", -32700),
            ("[" * 100_000, -32600),
            ("9" * 5_000, -32700),
            ("[]", -32600),
            ("null", -32600),
            ('{"id": 1, "method": 1}', -32600),
            ('{"id": {}, "method": "eth_chainId"}', -32600),
            ('{"id": NaN, "method": "eth_chainId"}', -32600),
            ('{"id": 1, "method": "eth_call", "params": {"to": 1}}', -32602),
            ("[" + "0," * MAX_BATCH + "0]", -32600),
            (" " * (MAX_REQUEST + 1), -32600),
        ],
        ids=range(12),
    )
    def test_nonsense(self, request_: str | bytes, code: int) -> None:
        assert json.loads(make().handle(request_))["error"]["code"] == code

    def test_a_defect_stays_inside(self) -> None:
        rpc = make()
        rpc.queries = None  # type: ignore[assignment]
        asked = {"id": 1, "method": "eth_getBalance", "params": [ALICE.address]}
        shown = json.loads(rpc.handle(json.dumps(asked)))["error"]
        assert shown == {"code": -32603, "message": "internal error"}


KEYS = ["to", "from", "data", "input", "value", "gas", "chainId", "accessList", "storageKeys"]
KEYS += ["address", "topics", "fromBlock", "toBlock", "blockHash", "blockNumber"]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["latest", "pending", "earliest", "0x0", "0x1", "0x01", "0x", "0xff"])
    | st.sampled_from([ALICE.address, "0x" + "00" * 32, "0x" + "ee" * 20, "0x" + "f" * 64])
    | st.binary(max_size=70).map(lambda blob: "0x" + blob.hex()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS) | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
WRITES = {"evm_increaseTime", "evm_setNextBlockTimestamp", "evm_mine"}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(METHODS)) | st.text(max_size=12),
            st.lists(JSON, max_size=4) | JSON,
        ),
        min_size=1,
        max_size=12,
    )
)
@settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
def test_garbage_never_breaks_or_changes_anything(asked: list[tuple[str, object]]) -> None:
    rpc = fuzzed()
    for method, params in asked:
        before = (rpc.chain.head_hash, rpc.chain.export(), rpc.chain.clock.now)
        text = json.dumps({"id": 1, "method": method, "params": params})
        answer = json.loads(rpc.handle(text))
        assert answer.get("error", {}).get("code") != -32603, text
        if "error" in answer or method not in WRITES:
            assert (rpc.chain.head_hash, rpc.chain.export(), rpc.chain.clock.now) == before


@cache
def fuzzed() -> Rpc:
    rpc, kit = deployed()
    mined(rpc, sign(1, kit, keep(7)))
    return rpc


@given(st.text(max_size=60) | st.binary(max_size=60))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_noise_is_answered(noise: str | bytes) -> None:
    answer = json.loads(fuzzed().handle(noise))
    assert answer["error"]["code"] in (-32700, -32600)


class TestWeb3:
    @pytest.fixture
    def w3(self) -> Web3:
        return Web3(InProcessProvider(make()))

    def _send(self, w3: Web3, call: object, who: object = ALICE) -> object:
        fields = call.build_transaction(  # type: ignore[attr-defined]
            {
                "from": who.address,  # type: ignore[attr-defined]
                "nonce": w3.eth.get_transaction_count(who.address),  # type: ignore[attr-defined]
            }
        )
        signed = who.sign_transaction(fields)  # type: ignore[attr-defined]
        tx_hash = w3.eth.send_raw_transaction(signed.raw_transaction)
        return w3.eth.wait_for_transaction_receipt(tx_hash, timeout=1)

    def test_deploy_call_and_read_events(self, w3: Web3) -> None:
        abi, code = compiled()
        receipt = self._send(w3, w3.eth.contract(abi=abi, bytecode=code).constructor())
        kit = w3.eth.contract(address=receipt["contractAddress"], abi=abi)  # type: ignore[index]
        receipt = self._send(w3, kit.functions.keep(42))
        assert receipt["status"] == 1  # type: ignore[index]
        assert kit.functions.kept().call() == 42
        assert kit.functions.kept().call(block_identifier=1) == 0
        (event,) = kit.events.Kept().process_receipt(receipt)
        assert (event["args"]["who"], event["args"]["number"]) == (ALICE.address, 42)
        assert kit.events.Kept().get_logs(from_block=0) == [event]
        mine = {"who": BOB.address}
        assert kit.events.Kept().get_logs(from_block=0, argument_filters=mine) == []
        watch = kit.events.Kept.create_filter(from_block="latest")
        self._send(w3, kit.functions.keep(43), BOB)
        assert [one["args"]["number"] for one in watch.get_new_entries()] == [43]
        assert watch.get_new_entries() == []
        assert [one["args"]["number"] for one in watch.get_all_entries()] == [43]

    def test_reverts_are_told_apart(self, w3: Web3) -> None:
        abi, code = compiled()
        receipt = self._send(w3, w3.eth.contract(abi=abi, bytecode=code).constructor())
        kit = w3.eth.contract(address=receipt["contractAddress"], abi=abi)  # type: ignore[index]
        with pytest.raises(ContractLogicError, match="too much"):
            kit.functions.keep(100).call()
        with pytest.raises(ContractLogicError, match="too much"):
            self._send(w3, kit.functions.keep(100))
        with pytest.raises(ContractCustomError) as caught:
            kit.functions.refuse(9).call()
        assert caught.value.data == selector("TooMuch(uint256)") + word(9)
        with pytest.raises(ContractLogicError):
            kit.functions.silent().call()

    def test_the_rest_of_the_api(self, w3: Web3) -> None:
        assert w3.is_connected()
        assert w3.eth.chain_id == CHAIN_ID
        assert w3.eth.accounts == []
        assert w3.eth.get_block("latest")["number"] == 0
        assert w3.eth.get_block("pending")["number"] == 1
        assert w3.eth.fee_history(1, "latest", [50])["oldestBlock"] == 0
        assert w3.eth.get_balance(ALICE.address) == 10**24
        assert w3.eth.gas_price == 875_000_000
        with pytest.raises(BlockNotFound):
            w3.eth.get_block(99)
        with w3.batch_requests() as batch:
            batch.add(w3.eth.get_block(0))
            batch.add(w3.eth.get_balance(BOB.address))
            block, balance = batch.execute()
        assert (block["number"], balance) == (0, 10**24)

    def test_reprs_are_short(self, w3: Web3) -> None:
        shown = "<InProcessProvider <Rpc <Chain 31337 #0 pending=0>>>"
        assert repr(w3.provider) == shown
