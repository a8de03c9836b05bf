"""A node over HTTP that is absent, hostile, old or nobody's to command."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from evm_lab import ALICE, ALLOC, BOB, CHAIN_ID, GENESIS, Clock, ask, bytecode, move, sign
from node_lab import serving

from escrow.adapters.evm import node as node_module
from escrow.adapters.evm import node_client
from escrow.adapters.evm.chain import Chain
from escrow.adapters.evm.node import RpcChain
from escrow.adapters.evm.node_client import NodeClient
from escrow.adapters.evm.revert import Reverted
from escrow.adapters.evm.rpc import Rpc
from escrow.core.errors import BadInput, Refused

DEEP = "[" * 5_000 + "]" * 5_000


@dataclass
class Liar:
    """Our dispatcher, but for the methods of ``lies``: each makes an answer of the true one."""

    rpc: Rpc
    lies: dict[str, Callable[[Any], object]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __call__(self, body: bytes) -> str:
        requests = json.loads(body)
        batch = isinstance(requests, list)
        answers = [self._answer(each) for each in (requests if batch else [requests])]
        return json.dumps(answers if batch else answers[0])

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request["method"])
        answer: dict[str, Any] = json.loads(self.rpc.handle(json.dumps(request)))
        lie = self.lies.get(request["method"])
        if lie is not None:
            said = lie(answer.get("result"))
            if isinstance(said, dict) and "error" in said:
                return {"jsonrpc": "2.0", "id": request["id"], **said}
            answer = {"jsonrpc": "2.0", "id": request["id"], "result": said}
        return answer


@contextmanager
def lying(*, control: bool = True, clock: Clock | None = None) -> Iterator[tuple[Liar, RpcChain]]:
    own = Chain(chain_id=CHAIN_ID, genesis_time=GENESIS, alloc=ALLOC, clock=Clock(GENESIS))
    liar = Liar(Rpc(own, control=control))
    with serving(liar) as url:
        yield liar, RpcChain(url, clock=clock)


def fails(code: int, message: str, **more: object) -> Callable[[Any], object]:
    return lambda _: {"error": {"code": code, "message": message, **more}}


class TestAddress:
    @pytest.mark.parametrize(
        "url",
        [
            "127.0.0.1:8545",
            "ftp://127.0.0.1",
            "http://",
            "http://example.org:8545",
            "http://10.0.0.1:8545",
            "http://127.0.0.1:99999",
            "http://user:secret@127.0.0.1:8545",
            "http://[::1",
            "",
        ],
    )
    def test_is_a_loopback_url(self, url: str) -> None:
        with pytest.raises(BadInput, match="http/address") as caught:
            RpcChain(url)
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        "url", ["http://localhost:1", "http://127.9.9.9:1/path?key=1", "https://[::1]:1"]
    )
    def test_may_be_any_of_this_machine(self, url: str) -> None:
        assert repr(NodeClient(url)) == f"NodeClient({url})"

    def test_nobody_listens_there(self) -> None:
        with serving(lambda body: body) as url:
            pass
        for scheme in ("http", "https"):
            with pytest.raises(Refused, match="rpc/unreachable"):
                RpcChain(url.replace("http", scheme))

    def test_somebody_else_listens_there(self) -> None:
        with serving(lambda body: body) as url, pytest.raises(Refused, match="rpc/unreachable"):
            RpcChain(url.replace("http", "https"))


class TestAnswers:
    @pytest.mark.parametrize(
        "said",
        [
            "",
            "hello",
            b"\xff\xfe",
            "null",
            "[]",
            "{}",
            "[1]",
            '{"id": 1, "result": "0x1"}',
            '[{"id": 0, "result": "0x1"}, {"id": 0, "result": "0x1"}]',
            '{"id": 0, "result": ' + "1" * 5_000 + "}",
            '{"id": 0, "result": ' + DEEP + "}",
        ],
    )
    def test_that_are_none(self, said: str | bytes) -> None:
        with serving(lambda _: said) as url, pytest.raises(Refused, match="rpc/unreachable"):
            RpcChain(url)

    def test_with_another_status(self) -> None:
        with serving(lambda _: '{"id": 0, "result": "0x1"}', status=503) as url:
            with pytest.raises(Refused, match="rpc/unreachable") as caught:
                RpcChain(url)
            assert caught.value.facts["status"] == 503

    def test_without_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(node_client, "_LARGEST_REPLY", 1_000)
        said = json.dumps({"id": 0, "result": "0x1"})
        with serving(lambda _: said + " " * (1_000 - len(said))) as url:
            assert RpcChain(url).chain_id == 1
        with serving(lambda _: said + " " * (1_001 - len(said))) as url:
            with pytest.raises(Refused, match="rpc/unreachable") as caught:
                RpcChain(url)
            assert caught.value.facts["reason"] == "the answer is too large"

    def test_that_do_not_come(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(node_client, "_TIMEOUT", 0.05)
        gone = threading.Event()

        def late(_: bytes) -> str:
            gone.wait(10)
            return "{}"

        with serving(late) as url:
            with pytest.raises(Refused, match="rpc/unreachable") as caught:
                RpcChain(url)
            gone.set()
        assert caught.value.facts["reason"] == "TimeoutError"

    @pytest.mark.parametrize(
        ("method", "said", "look"),
        [
            ("eth_getBalance", 5, lambda c: c.balance(ALICE)),
            ("eth_getBalance", "0x01", lambda c: c.balance(ALICE)),
            ("eth_getTransactionCount", None, lambda c: c.nonce(ALICE)),
            ("eth_getCode", "0x0", lambda c: c.code(ALICE)),
            ("eth_getStorageAt", "0x1", lambda c: c.storage(ALICE, 0)),
            ("eth_getBlockByNumber", None, lambda c: c.next_time),
            ("eth_feeHistory", {"baseFeePerGas": []}, lambda c: c.next_base_fee),
            ("eth_feeHistory", [], lambda c: c.next_base_fee),
            ("eth_getLogs", {}, lambda c: c.logs()),
            ("eth_getLogs", [{"address": "0x"}], lambda c: c.logs()),
            ("eth_getTransactionReceipt", {"blockNumber": "0x0"}, lambda c: c.receipt(bytes(32))),
            ("eth_getTransactionReceipt", "0x", lambda c: c.receipt(bytes(32))),
            ("eth_call", None, lambda c: c.call(to=ALICE)),
            ("eth_blockNumber", -1, lambda c: c.cursor),
        ],
    )
    def test_of_another_kind(
        self, method: str, said: object, look: Callable[[RpcChain], object]
    ) -> None:
        with lying() as (liar, chain):
            liar.lies[method] = lambda _: said
            with pytest.raises(Refused, match="rpc/refused"):
                look(chain)

    @pytest.mark.parametrize("error", [5, {}, {"code": "x"}, {"message": "no"}])
    def test_whose_error_is_none(self, error: object) -> None:
        with lying() as (liar, chain):
            liar.lies["eth_getBalance"] = lambda _: {"error": error}
            with pytest.raises(Refused, match="rpc/refused"):
                chain.balance(ALICE)

    def test_refused_in_a_batch(self) -> None:
        with lying() as (liar, chain):
            liar.lies["eth_getCode"] = fails(-32_000, "no code today")
            with pytest.raises(Refused, match="rpc/refused") as caught:
                chain.send(sign(0, BOB, value=1))
            assert caught.value.facts["reason"] == "no code today"


class TestWords:
    @pytest.mark.parametrize(
        ("words", "code"),
        [
            ("nonce too low: next nonce 5, tx nonce 4", "evm/nonce"),
            ("insufficient funds for gas * price + value", "evm/funds"),
            ("transaction underpriced: tip needed 1 for a fee", "evm/fee"),
            ("max fee per gas less than block base fee", "evm/fee"),
            ("exceeds block gas limit", "evm/gas"),
            ("already known", "evm/transaction"),
        ],
    )
    def test_for_what_a_node_does_not_take(self, words: str, code: str) -> None:
        with lying() as (liar, chain):
            liar.lies["eth_sendRawTransaction"] = fails(-32_000, words)
            with pytest.raises(Refused) as caught:
                chain.send(sign(0, BOB, value=1))
            assert (caught.value.code, caught.value.facts) == (code, {"reason": words})

    @pytest.mark.parametrize(
        ("error", "halt", "data"),
        [
            ({"code": 3, "message": "execution reverted", "data": "0xabcd"}, "Revert", b"\xab\xcd"),
            ({"code": 3, "message": "execution reverted"}, "Revert", b""),
            ({"code": -32_603, "message": "VM error", "data": "0x"}, "Revert", b""),
            ({"code": -32_603, "message": "EVM error OutOfGas"}, "OutOfGas", b""),
            ({"code": -32_603, "message": "EVM error ReentrancySentryOOG"}, "OutOfGas", b""),
            ({"code": -32_603, "message": "EVM error StackUnderflow"}, "StackUnderflow", b""),
            ({"code": -32_000, "message": "out of gas"}, "OutOfGas", b""),
            ({"code": -32_000, "message": "invalid jump destination"}, None, b""),
        ],
    )
    def test_for_why_a_run_stopped(
        self, error: dict[str, object], halt: str | None, data: bytes
    ) -> None:
        with lying() as (liar, chain):
            liar.lies["eth_call"] = lambda _: {"error": error}
            with pytest.raises(Reverted) as caught:
                chain.call(to=ALICE)
            assert caught.value.halt == (halt or error["message"])
            assert caught.value.data == data

    def test_for_something_else(self) -> None:
        with lying() as (liar, chain):
            liar.lies["eth_call"] = fails(-32_000, "header not found", data="not hex")
            with pytest.raises(Refused, match="rpc/refused"):
                chain.call(to=ALICE)


class TestWaiting:
    def test_for_a_block(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(node_module, "_PAUSE", 0.001)
        looks = iter((None, None))
        with lying() as (liar, chain):
            liar.lies["eth_getTransactionReceipt"] = lambda true: next(looks, true)
            assert chain.send(sign(0, BOB, value=1)).status == 1
            assert liar.asked.count("eth_getTransactionReceipt") == 3

    def test_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(node_module, "_PAUSE", 0.001)
        monkeypatch.setattr(node_module, "_LOOKS", 3)
        with lying() as (liar, chain):
            liar.lies["eth_getTransactionReceipt"] = lambda _: None
            with pytest.raises(Refused, match="rpc/unreachable"):
                chain.send(sign(0, BOB, value=1))


class TestTime:
    def test_without_a_clock_is_the_nodes(self) -> None:
        with lying(control=False) as (liar, chain):
            kit = chain.send(sign(0, None, bytecode(), gas=4_000_000)).contract_address
            assert kit is not None
            receipt = chain.send(sign(1, kit, move(5)))
            assert receipt.timestamp == GENESIS + 2
            with pytest.raises(Reverted, match="token/balance"):
                chain.send(sign(2, kit, move(10**30)))
            assert chain.next_time == GENESIS + 3
            assert int.from_bytes(chain.call(to=kit, data=ask("balance_of(address)", BOB))) == 5
            with pytest.raises(Refused, match="evm/time"):
                chain.move_to(GENESIS + 100)
            with pytest.raises(Refused, match="rpc/refused"):
                chain.snapshot()
            assert not any(method.startswith("evm_set") for method in liar.asked)

    def test_with_a_clock_needs_a_node_one_may_command(self) -> None:
        with lying(control=False, clock=Clock()) as (_, chain):
            with pytest.raises(Refused, match="rpc/refused") as caught:
                chain.send(sign(0, BOB, value=1))
            assert caught.value.facts["method"] == "evm_setNextBlockTimestamp"
            assert chain.nonce(ALICE) == 0

    def test_is_what_was_asked_or_an_error(self) -> None:
        with lying(clock=Clock()) as (liar, chain):
            liar.lies["eth_getBlockByNumber"] = lambda true: {
                **true,
                "timestamp": hex(int(true["timestamp"], 16) + 5),
            }
            with pytest.raises(Refused, match="rpc/refused"):
                chain.send(sign(0, BOB, value=1))

    def test_is_told_once(self) -> None:
        with lying(clock=Clock()) as (liar, chain):
            for _ in range(3):
                chain.call(to=ALICE)
            assert liar.asked.count("evm_setNextBlockTimestamp") == 1


class TestSnapshots:
    def test_that_the_node_has_lost(self) -> None:
        with lying(clock=Clock()) as (liar, chain):
            mark = chain.snapshot()
            liar.lies["evm_revert"] = lambda _: False
            with pytest.raises(Refused, match="evm/snapshot"):
                chain.revert(mark)
            with pytest.raises(Refused, match="evm/snapshot"):
                chain.revert(mark)
            assert liar.asked.count("evm_revert") == 1


def test_a_revert_that_the_trial_did_not_see_is_told_all_the_same() -> None:
    """Between the trial and the block somebody else may have been first."""
    with lying() as (liar, chain):
        kit = chain.send(sign(0, None, bytecode(), gas=4_000_000)).contract_address
        liar.lies["eth_call"] = lambda _: "0x"
        receipt = chain.send(sign(1, kit, move(10**30)), strict=False)
        assert (receipt.status, receipt.output) == (0, b"")
        with pytest.raises(Reverted) as caught:
            chain.send(sign(2, kit, move(10**30)))
        assert (caught.value.data, caught.value.halt) == (b"", "mined")
