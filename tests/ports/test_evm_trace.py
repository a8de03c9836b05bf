"""Traces: a transaction run again shows what its receipt says, as another client shows it."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_evm_rpc import ALICE, error, make, mined, selector, sign, word

from escrow.adapters.evm import tracing
from escrow.adapters.evm.proof import check_account, check_storage
from escrow.adapters.evm.rpc import Rpc

SOURCE = """
# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy off

event Seen:
    number: indexed(uint256)

interface Me:
    def keep(number: uint256): nonpayable
    def look() -> uint256: view
    def refuse(): nonpayable

kept: public(uint256)
others: public(HashMap[address, uint256])

@external
@payable
def keep(number: uint256):
    self.kept = number
    self.others[msg.sender] += number
    log Seen(number=number)

@external
@view
def look() -> uint256:
    return self.kept

@external
def refuse():
    log Seen(number=99)
    raise "not so"

@external
@payable
def tour(number: uint256):
    # Every kind of call: plain, static, delegated, one that fails, a precompile, a creation,
    # ether to an account without code, and a failure for want of ether.
    extcall Me(self).keep(number)
    assert staticcall Me(self).look() == number
    raw_call(self, abi_encode(number, method_id=method_id("keep(uint256)")), is_delegate_call=True)
    done: bool = raw_call(self, method_id("refuse()"), revert_on_failure=False)
    assert not done
    assert sha256(convert(number, bytes32)) != empty(bytes32)
    copy: address = create_minimal_proxy_to(self)
    extcall Me(copy).keep(1)
    send(convert(convert(3237998080, uint160), address), msg.value)
    log Seen(number=number)

@external
def fail(number: uint256):
    self.kept = number
    extcall Me(self).refuse()

@external
def spin(number: uint256):
    x: uint256 = number
    for i: uint256 in range(2**64):
        x = x ^ i
"""
CALLS = {
    "keep": lambda kit: (kit, selector("keep(uint256)") + word(7)),
    "tour": lambda kit: (kit, selector("tour(uint256)") + word(7)),
    "fail": lambda kit: (kit, selector("fail(uint256)") + word(7)),
    "spin": lambda kit: (kit, selector("spin(uint256)") + word(7)),
    "no such function": lambda kit: (kit, "0x12345678"),
    "transfer": lambda _: ("0x" + "77" * 20, "0x"),
    "creation": lambda _: (None, compiled()),
    "creation that fails": lambda _: (None, "0x60006000fd"),
    "return of fresh memory": lambda _: (None, "0x60406000f3"),
    "bad opcode": lambda _: (None, "0xfe"),
    "bad jump": lambda _: (None, "0x600356"),
    "stack underflow": lambda _: (None, "0x50"),
}


@cache
def compiled() -> str:
    from vyper import compile_code

    return compile_code(SOURCE, output_formats=["bytecode"])["bytecode"]


def raws() -> dict[str, str]:
    """A deployment, then each call, signed; the same on every chain that starts empty."""
    kit = mined(make(), sign(0, None, compiled(), gas=3_000_000))["contractAddress"]
    found = {"deployment": sign(0, None, compiled(), gas=3_000_000)}
    for name, call in CALLS.items():
        to, data = call(kit)
        gas = 60_000 if name == "spin" else 3_000_000
        value = 5 if name == "tour" else 0
        found[name] = sign(len(found), to, data, gas=gas, value=value)
    return found


@cache
def played() -> tuple[Rpc, dict[str, str]]:
    """A chain on which all of them were sent, and their hashes."""
    rpc = make()
    return rpc, {n: rpc.dispatch("eth_sendRawTransaction", [raw]) for n, raw in raws().items()}


def trace(name: str, **options: object) -> dict:
    rpc, hashes = played()
    return rpc.dispatch("debug_traceTransaction", [hashes[name], options])


def calls(name: str, **config: bool) -> dict:
    return trace(name, tracer="callTracer", tracerConfig=config)


NAMES = ["deployment", *CALLS]


@pytest.mark.parametrize("name", NAMES)
def test_a_trace_agrees_with_its_receipt(name: str) -> None:
    rpc, hashes = played()
    receipt = rpc.dispatch("eth_getTransactionReceipt", [hashes[name]])
    before = (rpc.chain.head_hash, rpc.chain.export())
    found, frame = trace(name), calls(name)
    used = int(receipt["gasUsed"], 16)
    assert (found["gas"], int(frame["gasUsed"], 16)) == (used, used)
    assert found["failed"] is (receipt["status"] == "0x0") is ("error" in frame)
    assert frame["from"] == receipt["from"]
    assert frame["to"] == receipt["to"] or frame["to"] == receipt["contractAddress"]
    assert (rpc.chain.head_hash, rpc.chain.export()) == before


def test_steps_account_for_all_gas_of_the_code() -> None:
    steps = trace("keep")["structLogs"]
    for step, after in pairwise(steps):
        assert step["gas"] - step["gasCost"] == after["gas"]
    start = 21_000 + sum(16 if byte else 4 for byte in bytes.fromhex(CALLS["keep"]("")[1][2:]))
    assert steps[0]["gas"] == 3_000_000 - start
    assert trace("keep")["gas"] == start + sum(step["gasCost"] for step in steps)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("spin", "out of gas"),
        ("bad opcode", "invalid opcode"),
        ("bad jump", "invalid jump destination"),
        ("stack underflow", "stack underflow"),
        ("creation that fails", None),
        ("keep", None),
    ],
)
def test_the_step_that_failed_says_why(name: str, error: str | None) -> None:
    steps = trace(name)["structLogs"]
    assert steps[-1].get("error") == error
    assert all("error" not in step for step in steps[:-1])


def test_options_choose_what_is_shown() -> None:
    full = trace("tour", enableMemory=True, enableReturnData=True)["structLogs"]
    bare = trace("tour", disableStack=True, disableStorage=True)["structLogs"]
    assert len(full) == len(bare) > 500
    assert all({"stack", "memory"} <= step.keys() for step in full)
    assert {step["op"] for step in full if "storage" in step} == {"SLOAD", "SSTORE"}
    assert any("returnData" in step for step in full)
    assert {key for step in bare for key in step} == {"pc", "op", "gas", "gasCost", "depth"}
    assert trace("tour", limit=10)["structLogs"] == trace("tour")["structLogs"][:10]
    assert trace("tour", limit=10)["gas"] == trace("tour")["gas"]


def test_calls_are_a_tree() -> None:
    frame = calls("tour", withLog=True)
    kinds = [call["type"] for call in frame["calls"]]
    assert kinds == ["CALL", "STATICCALL", "DELEGATECALL", "CALL", "STATICCALL", "CREATE"] + (
        ["CALL"] * 2
    )
    failed = frame["calls"][3]
    assert (failed["error"], failed["revertReason"]) == ("execution reverted", "not so")
    assert "logs" not in failed
    proxy = frame["calls"][6]
    assert proxy["calls"][0]["type"] == "DELEGATECALL"
    assert proxy["calls"][0]["from"] == proxy["to"] == frame["calls"][5]["to"]
    assert frame["calls"][7]["value"] == "0x5"
    rpc, hashes = played()
    receipt = rpc.dispatch("eth_getTransactionReceipt", [hashes["tour"]])

    def logs(one: dict) -> int:
        return len(one.get("logs", [])) + sum(map(logs, one.get("calls", [])))

    assert logs(frame) == len(receipt["logs"]) == 4
    assert "calls" not in calls("tour", onlyTopCall=True)


def test_what_failed_inside_a_failure_logged_nothing() -> None:
    frame = calls("fail", withLog=True)
    assert frame["revertReason"] == "not so"
    assert "logs" not in frame["calls"][0]


def test_a_transaction_is_traced_after_those_before_it_in_its_block() -> None:
    rpc = make()
    kit = mined(rpc, sign(0, None, compiled(), gas=3_000_000))["contractAddress"]
    chain = rpc.chain
    data = [selector("keep(uint256)") + word(n) for n in (5, 5, 6)]
    receipts = [chain.send(bytes.fromhex(sign(n, kit, d)[2:])) for n, d in enumerate(data, 1)]
    assert len({receipt.block_number for receipt in receipts}) == 1
    for sealed in (False, True):
        if sealed:
            chain.seal()
        for receipt in receipts:
            hashed = "0x" + receipt.tx_hash.hex()
            found = rpc.dispatch("debug_traceTransaction", [hashed])
            assert found["gas"] == receipt.gas_used
    assert len({receipt.gas_used for receipt in receipts}) == 3


def test_a_call_is_traced_on_any_block() -> None:
    rpc, _ = played()
    kit = rpc.dispatch("eth_getTransactionReceipt", [played()[1]["deployment"]])["contractAddress"]
    asked = {"to": kit, "data": selector("look()")}
    for at, kept in (("0x1", 0), ("latest", 7), ("pending", 7)):
        found = rpc.dispatch("debug_traceCall", [asked, at])
        assert (found["returnValue"], found["failed"]) == ("0x" + word(kept), False)
    bad = {"to": kit, "data": selector("refuse()")}
    found = rpc.dispatch("debug_traceCall", [bad, "latest", {"tracer": "callTracer"}])
    assert found["revertReason"] == "not so"


def test_what_cannot_be_traced_is_refused() -> None:
    rpc, hashes = played()
    name, some = "debug_traceTransaction", hashes["keep"]
    assert error(rpc, name, "0x" + "ab" * 32).message == "transaction not found"
    for options in ({"tracer": "prestateTracer"}, {"limit": -1}, {"enableMemory": 1}, 7):
        assert error(rpc, name, some, options).code == -32602
    for method in ("evm_snapshot", "eth_call"):
        assert method in str(error(rpc, method + "_").message)


@pytest.mark.parametrize("bound", ["MAX_STEPS", "MAX_WORDS"])
def test_a_trace_too_long_is_refused_and_can_be_asked_shorter(monkeypatch, bound: str) -> None:
    monkeypatch.setattr(tracing, bound, 50)
    rpc, hashes = played()
    refusal = error(rpc, "debug_traceTransaction", hashes["spin"])
    assert (refusal.code, "evm/trace" in refusal.message) == (-32000, True)
    assert len(trace("spin", limit=5)["structLogs"]) == 5


class TestAccessLists:
    def test_it_names_what_is_touched_and_makes_it_cheaper(self) -> None:
        rpc, hashes = played()
        kit = rpc.dispatch("eth_getTransactionReceipt", [hashes["deployment"]])["contractAddress"]
        asked = {"from": ALICE.address, "to": kit, "data": selector("tour(uint256)") + word(9)}
        found = rpc.dispatch("eth_createAccessList", [asked, "latest"])
        named = {entry["address"]: entry["storageKeys"] for entry in found["accessList"]}
        assert "0x" + word(0) in named[kit]
        assert "0x00000000000000000000000000000000c0ffee00" in named
        assert "0x" + "00" * 19 + "02" not in named
        assert ALICE.address.lower() not in named
        listed = rpc.dispatch("eth_estimateGas", [asked | {"accessList": found["accessList"]}])
        assert int(found["gasUsed"], 16) <= int(listed, 16)

    def test_a_call_that_fails_says_so(self) -> None:
        rpc, hashes = played()
        kit = rpc.dispatch("eth_getTransactionReceipt", [hashes["deployment"]])["contractAddress"]
        found = rpc.dispatch("eth_createAccessList", [{"to": kit, "data": "0x12345678"}])
        assert (found["accessList"], found["error"]) == ([], "Revert")


class TestProofs:
    def test_a_proof_leads_from_the_header_to_the_word(self) -> None:
        rpc, hashes = played()
        kit = rpc.dispatch("eth_getTransactionReceipt", [hashes["deployment"]])["contractAddress"]
        for at, kept in (("0x1", 0), ("latest", 7)):
            root = rpc.dispatch("eth_getBlockByNumber", [at, False])["stateRoot"]
            found = rpc.dispatch("eth_getProof", [kit, ["0x0", "0x" + word(5)], at])
            nodes = [bytes.fromhex(node[2:]) for node in found["accountProof"]]
            storage = check_account(
                nodes, state_root=bytes.fromhex(root[2:]), address=bytes.fromhex(kit[2:])
            )
            assert found["storageHash"] == "0x" + storage.hex()
            for slot, entry in zip((0, 5), found["storageProof"], strict=True):
                path = [bytes.fromhex(node[2:]) for node in entry["proof"]]
                word_there = check_storage(path, storage_root=storage, slot=slot)
                assert entry["value"] == hex(word_there) == hex(0 if slot else kept)
            assert found["nonce"] == rpc.dispatch("eth_getTransactionCount", [kit, at])

    def test_nobody_is_proven_absent(self) -> None:
        rpc, _ = played()
        found = rpc.dispatch("eth_getProof", ["0x" + "99" * 20, ["0x0"], "latest"])
        assert (found["balance"], found["nonce"]) == ("0x0", "0x0")
        assert found["storageProof"] == [{"key": "0x0", "value": "0x0", "proof": []}]
        assert found["accountProof"]

    def test_slots_are_bounded(self) -> None:
        rpc, _ = played()
        assert error(rpc, "eth_getProof", ALICE.address, ["0x0"] * 1_025).code == -32602


@given(code=st.binary(max_size=60), gas=st.integers(60_000, 200_000))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_code_spends_under_watch_what_it_spent(code: bytes, gas: int) -> None:
    rpc = make()
    hashed = rpc.dispatch("eth_sendRawTransaction", [sign(0, None, "0x" + code.hex(), gas=gas)])
    used = int(rpc.dispatch("eth_getTransactionReceipt", [hashed])["gasUsed"], 16)
    assert rpc.dispatch("debug_traceTransaction", [hashed])["gas"] == used


@contextmanager
def anvil(path: Path) -> Iterator[Callable[..., object]]:
    """Another client's chain, empty but for Alice, and how to ask it."""
    process = subprocess.Popen(
        [path, "--port", "0", "--hardfork", "prague", "--steps-tracing", "--accounts", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = next(line for line in process.stdout if line.startswith("Listening on "))
        url = f"http://{line.split()[-1]}"

        def ask(method: str, *params: object) -> object:
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
            headers = {"content-type": "application/json"}
            asked = urllib.request.Request(url, body.encode(), headers)
            with urllib.request.urlopen(asked, timeout=60) as reply:
                answer = json.load(reply)
            assert "error" not in answer, answer
            return answer["result"]

        ask("anvil_setBalance", ALICE.address, hex(10**24))
        yield ask
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_another_client_traces_the_same(tool: Callable[[str], Path]) -> None:
    _, hashes = played()
    kept = ("pc", "op", "gas", "gasCost", "depth", "stack", "memory", "storage")
    with anvil(tool("anvil")) as ask:
        for name, raw in raws().items():
            assert ask("eth_sendRawTransaction", raw) == hashes[name]
            # It mines beside answering.
            assert any(ask("eth_getTransactionReceipt", hashes[name]) for _ in range(2_000))
            theirs = ask("debug_traceTransaction", hashes[name], {"enableMemory": True})
            found = trace(name, enableMemory=True)
            assert {k: found[k] for k in ("gas", "failed")} == {
                k: theirs[k] for k in ("gas", "failed")
            }, name
            assert len(found["structLogs"]) == len(theirs["structLogs"]), name
            for one, other in zip(found["structLogs"], theirs["structLogs"], strict=True):
                if "error" in one:  # what it took, which is not what it would have taken
                    other["gasCost"] = one["gasCost"]
                assert {k: one.get(k) for k in kept} == {k: other.get(k) for k in kept}, name
            tree = ask("debug_traceTransaction", hashes[name], {"tracer": "callTracer"})
            del tree["gas"]  # it leaves out what the transaction costs before its code
            assert shape(calls(name) | {"gas": "0x"}) == shape(tree), name


def shape(frame: dict) -> tuple[object, ...]:
    told = ["type", "from", "to", "gas", "gasUsed", "input", "output"]
    if "error" in frame and frame["type"].startswith("CREATE"):
        told.remove("to")  # one names the contract that did not come to be, the other does not
    inner = tuple(shape(call) for call in frame.get("calls", ()))
    return (*(frame.get(key, "0x") for key in told), "error" in frame, inner)
