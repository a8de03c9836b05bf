"""A chain alone behind HTTP: what browsers, libraries and vandals send, and what comes back."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import rlp
from eth_hash.auto import keccak
from hexbytes import HexBytes
from serve_lab import JS, Evm, node
from test_evm_rpc import ALICE, BOB, compiled, keep, make, mined, sign
from trie import HexaryTrie
from web3 import HTTPProvider, Web3
from web3.exceptions import ContractLogicError

from escrow.adapters.evm import rpc as rpc_module
from escrow.adapters.evm.rpc import MAX_BATCH, MAX_REQUEST, METHODS, Rpc
from escrow.web.ethereum import EthereumSite
from escrow.web.server import Served, serve_in_thread

EXTENSION = "chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn"
PORTS = "http://localhost:5173", "https://127.0.0.1", "http://[::1]:8080"
STRANGERS = (
    "http://evil.example",
    "null",
    "http://localhost.evil.example",
    "https://1.2.3.4",
    "http://[",
)


class Lab(Evm):
    def __init__(self, rpc: Rpc, served: Served) -> None:
        super().__init__(served.url)
        self.rpc, self.served = rpc, served

    @property
    def mark(self) -> tuple[object, ...]:
        """All that a request could change."""
        with self.served.lock:
            chain = self.rpc.chain
            return chain.head_hash, chain.export(), chain.clock.now

    def raw(self, text: bytes) -> object:
        answer = self.http(body=text)
        return json.loads(answer.body) if answer.body else None


@pytest.fixture
def lab() -> Iterator[Lab]:
    rpc = make()
    with serve_in_thread(EthereumSite(rpc)) as served:
        yield Lab(rpc, served)


class TestForms:
    def test_one_many_and_none(self, lab: Lab) -> None:
        assert lab.ask("eth_chainId") == {"jsonrpc": "2.0", "id": 7, "result": "0x7a69"}
        asked = [{"id": n, "method": "eth_chainId"} for n in range(MAX_BATCH)]
        assert [one["id"] for one in lab.raw(json.dumps(asked).encode())] == list(range(MAX_BATCH))
        answer = lab.http(body=b'{"method": "evm_mine"}')
        assert (answer.status, answer.body) == (204, b"")
        assert lab.result("eth_blockNumber") == "0x1"

    def test_every_method_is_there(self, lab: Lab) -> None:
        for method in METHODS:
            answer = lab.ask(method)
            assert answer.get("error", {}).get("code") in (None, -32602, -32000, -32601), answer
            if "error" in answer and answer["error"]["code"] == -32601:
                assert "eth_sendRawTransaction" in answer["error"]["message"]
        for method in ("eth_subscribe", "anvil_nodeInfo", "eth_fillTransaction", "debug_x"):
            assert lab.code(method) == -32601

    @pytest.mark.parametrize(
        ("path", "method", "status", "code"),
        [
            ("/", "GET", 405, "http/method"),
            ("/", "PUT", 405, "http/method"),
            ("/", "DELETE", 405, "http/method"),
            ("/rpc", "POST", 404, "http/path"),
            ("/world", "GET", 404, "http/path"),
            ("/esplora/blocks/tip/height", "GET", 404, "http/path"),
            ("/%2e%2e/etc/passwd", "GET", 404, "http/path"),
        ],
    )
    def test_another_path_or_method(self, lab, path, method, status, code) -> None:
        answer = lab.http(path, body=b"" if method == "POST" else None, method=method)
        assert answer.status == status
        assert answer.json["error"]["message"].startswith(f"{code}: ")
        assert answer.json["error"]["code"] == -32600


class TestHistory:
    def test_reads_by_number_tag_and_hash(self, lab: Lab) -> None:
        abi, code = compiled()
        kit = mined(lab.rpc, sign(0, None, code))["contractAddress"]
        for number in range(1, 4):
            lab.result("eth_sendRawTransaction", sign(number, kit, keep(number)))
        hashes = [lab.result("eth_getBlockByNumber", hex(n), False)["hash"] for n in range(5)]
        for n, block in enumerate(hashes[1:], 1):
            for at in (hex(n), {"blockNumber": hex(n)}, {"blockHash": block}):
                word = lab.result("eth_getStorageAt", kit, "0x0", at)
                assert int(word, 16) == n - 1
                asked = {"to": kit, "data": Web3.keccak(text="kept()")[:4].to_0x_hex()}
                assert int(lab.result("eth_call", asked, at), 16) == n - 1
                assert lab.result("eth_getTransactionCount", ALICE.address, at) == hex(n)
        balances = [int(lab.result("eth_getBalance", ALICE.address, hex(n)), 16) for n in range(5)]
        assert balances == sorted(balances, reverse=True)
        assert len(set(balances)) == 5
        for tag, n in (("earliest", 0), ("latest", 4), ("finalized", 4), ("safe", 4)):
            assert lab.result("eth_getBalance", ALICE.address, tag) == hex(balances[n])
        assert abi


def trie_root(values: list[bytes]) -> bytes:
    trie = HexaryTrie({})
    for number, value in enumerate(values):
        trie[rlp.encode(number)] = value
    return trie.root_hash


class TestRoots:
    def test_blocks_verify_from_what_is_served(self, lab: Lab) -> None:
        _, code = compiled()
        kit = mined(lab.rpc, sign(0, None, code))["contractAddress"]
        with lab.served.lock:  # several in one block, and one that fails
            for n, number in enumerate((1, 2, 100, 3), 1):
                raw = sign(n, kit, keep(number), gasPrice=2 * 10**9, **{"gas": 90_000})
                lab.rpc.chain.send(bytes.fromhex(raw[2:]), strict=False)
            lab.rpc.chain.seal()
        for number in range(1, 3):
            block = lab.result("eth_getBlockByNumber", hex(number), False)
            hashes = block["transactions"]
            sent = [lab.result("eth_getRawTransactionByHash", each) for each in hashes]
            raws = [bytes.fromhex(each[2:]) for each in sent]
            assert ["0x" + keccak(raw).hex() for raw in raws] == hashes
            assert "0x" + trie_root(raws).hex() == block["transactionsRoot"]
            receipts = lab.result("eth_getBlockReceipts", hex(number))
            assert [r["transactionHash"] for r in receipts] == hashes
            encoded = [receipt_bytes(receipt) for receipt in receipts]
            assert "0x" + trie_root(encoded).hex() == block["receiptsRoot"]
            bloom = 0
            for receipt in receipts:
                bloom |= int(receipt["logsBloom"], 16)
            assert int(block["logsBloom"], 16) == bloom
            assert int(block["gasUsed"], 16) == sum(int(r["gasUsed"], 16) for r in receipts)
            assert header_hash(block) == block["hash"]
        assert len(hashes) == 4


def receipt_bytes(receipt: dict) -> bytes:
    """EIP-2718, from the JSON alone."""
    logs = [
        [blob(log["address"]), [blob(topic) for topic in log["topics"]], blob(log["data"])]
        for log in receipt["logs"]
    ]
    body = [receipt["status"], receipt["cumulativeGasUsed"]]
    encoded = rlp.encode([*map(number, body), blob(receipt["logsBloom"]), logs])
    kind = number(receipt["type"])
    return kind + encoded


def header_hash(block: dict) -> str:
    """Prague's header, from the JSON alone."""
    fields = [
        *(
            blob(block[name])
            for name in ("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot")
        ),
        *(blob(block[name]) for name in ("receiptsRoot", "logsBloom")),
        *(number(block[n]) for n in ("difficulty", "number", "gasLimit", "gasUsed", "timestamp")),
        *(blob(block[name]) for name in ("extraData", "mixHash", "nonce")),
        number(block["baseFeePerGas"]),
        blob(block["withdrawalsRoot"]),
        *(number(block[name]) for name in ("blobGasUsed", "excessBlobGas")),
        *(blob(block[name]) for name in ("parentBeaconBlockRoot", "requestsHash")),
    ]
    return "0x" + keccak(rlp.encode(fields)).hex()


def blob(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def number(text: str) -> bytes:
    value = int(text, 16)
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


class TestBounds:
    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"", -32700),
            (b"nonsense", -32700),
            (b"\xff\xfe", -32700),
            (b"9" * 5_000, -32700),
            (b'{"id": 1, "method": "eth_chainId"', -32700),
            (b"[]", -32600),
            (b"null", -32600),
            (b"[" * 100_000, -32600),
            (b'{"a":' * 1_000 + b"1" + b"}" * 1_000, -32600),
            (b'{"id": {}, "method": "eth_chainId"}', -32600),
            (b'{"id": 1, "method": "eth_getBalance", "params": {"a": 1}}', -32602),
            (b"[" + b"{}," * MAX_BATCH + b"{}]", -32600),
        ],
        ids=range(12),
    )
    def test_garbage_is_named_and_changes_nothing(self, lab: Lab, body: bytes, code: int) -> None:
        before = lab.mark
        assert lab.raw(body)["error"]["code"] == code
        assert lab.mark == before
        assert lab.result("eth_chainId") == "0x7a69"

    @pytest.mark.parametrize("size", [MAX_REQUEST + 1, 5 * MAX_REQUEST])
    def test_a_body_too_large_is_not_read_to_its_end(self, lab: Lab, size: int) -> None:
        host, port = lab.url.removeprefix("http://").split(":")
        head = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        with socket.create_connection((host, int(port)), timeout=20) as line:
            line.sendall(head.encode() + b" " * (MAX_REQUEST + 1))
            assert line.recv(12) == b"HTTP/1.1 413"
        assert lab.result("eth_chainId") == "0x7a69"

    @pytest.mark.parametrize("raw", [b"\x16\x03\x01\x02\x00\x01", b"nonsense\r\n\r\n", b""])
    def test_what_is_no_request_does_not_end_the_server(self, lab: Lab, raw: bytes) -> None:
        host, port = lab.url.removeprefix("http://").split(":")
        place = (host, int(port))
        with socket.create_connection(place, timeout=20) as line, suppress(ConnectionError):
            line.sendall(raw)
            line.shutdown(socket.SHUT_WR)
            assert b" 200 " not in line.recv(100)[:20]
        assert lab.result("eth_chainId") == "0x7a69"

    def test_a_batch_of_endless_loops_ends(self, lab: Lab, monkeypatch) -> None:
        monkeypatch.setattr(rpc_module, "MAX_WORK", 800_000)
        _, code = compiled()
        kit = mined(lab.rpc, sign(0, None, code))["contractAddress"]
        asked = {"to": kit, "data": Web3.keccak(text="burst()")[:4].to_0x_hex()}
        gas = hex(100_000)
        batch = [
            {"id": n, "method": "eth_call", "params": [asked | {"gas": gas}]}
            for n in range(MAX_BATCH)
        ]
        before = lab.mark
        answers = lab.raw(json.dumps(batch).encode())
        assert "OutOfGas" in answers[0]["error"]["message"]
        codes = [answer["error"]["code"] for answer in answers]
        assert codes == [-32000] * 9 + [-32005] * (MAX_BATCH - 9)
        assert [answer["id"] for answer in answers] == list(range(MAX_BATCH))
        assert lab.mark == before
        assert lab.result("eth_chainId") == "0x7a69"

    def test_a_batch_of_long_answers_ends(self, lab: Lab, monkeypatch) -> None:
        monkeypatch.setattr(rpc_module, "MAX_ANSWER", 5_000)
        batch = [
            {"id": n, "method": "eth_getBlockByNumber", "params": ["0x0", False]}
            for n in range(MAX_BATCH)
        ]
        batch.append({"method": "eth_chainId"})
        answers = lab.raw(json.dumps(batch[1:]).encode())
        assert [answer.get("error", {}).get("code") for answer in answers][:3] == [None] * 3
        assert answers[-1]["error"]["code"] == -32003
        assert len(answers) == MAX_BATCH - 1

    def test_logs_are_bounded_by_name(self, lab: Lab) -> None:
        _, code = compiled()
        kit = mined(lab.rpc, sign(0, None, code))["contractAddress"]
        mined(lab.rpc, sign(1, kit, keep(1)))
        whole = {"fromBlock": "0x0", "toBlock": hex(2**255)}
        assert len(lab.result("eth_getLogs", whole)) == 1
        many = {"address": [f"0x{n:040x}" for n in range(1_001)]}
        assert lab.code("eth_getLogs", many) == -32602
        assert lab.code("eth_getLogs", {"topics": [["0x" + "00" * 32] * 1_001]}) == -32602
        assert lab.code("eth_getLogs", {"topics": [None] * 5}) == -32602
        with lab.served.lock:
            log = lab.rpc.chain._ledger.history.logs
            places = lab.rpc.chain._ledger.history.by_address[bytes.fromhex(kit[2:])]
            log += log * 10_000
            places += range(len(places), len(log))
        refusal = lab.ask("eth_getLogs", whole | {"address": kit})["error"]
        assert refusal["code"] == -32000
        assert "query returns too many results" in refusal["message"]
        assert "evm/logs" in refusal["message"]

    def test_a_filter_that_is_polled_outlives_those_that_are_not(self, lab: Lab) -> None:
        kept, left = lab.result("eth_newBlockFilter"), lab.result("eth_newBlockFilter")
        batch = [{"id": n, "method": "eth_newBlockFilter"} for n in range(85)]
        for _ in range(3):
            lab.raw(json.dumps(batch).encode())
            assert lab.result("eth_getFilterChanges", kept) == []
        assert lab.code("eth_getFilterChanges", left) == -32000

    def test_transactions_are_reported_as_they_are_sealed(self, lab: Lab) -> None:
        number = lab.result("eth_newPendingTransactionFilter")
        sent = lab.result("eth_sendRawTransaction", sign(0, BOB.address))
        assert lab.result("eth_getFilterChanges", number) == [sent]
        assert lab.result("eth_getFilterChanges", number) == []


class TestWhoMayAsk:
    @pytest.mark.parametrize("origin", [*PORTS, EXTENSION])
    def test_a_page_of_this_machine_and_a_wallet_may(self, lab: Lab, origin: str) -> None:
        ahead = lab.http(
            method="OPTIONS", origin=origin, access_control_request_method="POST",
            access_control_request_headers="content-type",
        )  # fmt: skip
        assert ahead.status == 204
        assert ahead.headers["access-control-allow-origin"] == origin
        assert "POST" in ahead.headers["access-control-allow-methods"]
        assert ahead.headers["access-control-allow-headers"] == "content-type"
        answer = lab.http(body=b'{"id": 1, "method": "eth_chainId"}', origin=origin)
        assert answer.json["result"] == "0x7a69"
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["vary"] == "origin"

    @pytest.mark.parametrize("origin", STRANGERS)
    def test_another_sites_page_may_not(self, lab: Lab, origin: str) -> None:
        before = lab.mark
        for method, body in (("OPTIONS", None), ("POST", b'{"id": 1, "method": "evm_mine"}')):
            answer = lab.http(body=body, method=method, origin=origin)
            assert answer.status == 403
            assert answer.json["error"]["message"].startswith("http/host: ")
            assert "access-control-allow-origin" not in answer.headers
        assert lab.mark == before

    @pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", ""])
    def test_another_name_for_this_machine_is_refused(self, lab: Lab, host: str) -> None:
        before = lab.mark
        answer = lab.http(body=b'{"id": 1, "method": "evm_mine"}', host=host)
        assert (answer.status, answer.json["error"]["code"]) == (403, -32600)
        assert lab.mark == before


class TestLibraries:
    def test_web3_over_http(self, lab: Lab) -> None:
        w3 = Web3(HTTPProvider(lab.url))
        abi, code = compiled()

        def send(call, **fields):
            nonce = w3.eth.get_transaction_count(ALICE.address)
            built = call.build_transaction({"from": ALICE.address, "nonce": nonce} | fields)
            sent = w3.eth.send_raw_transaction(ALICE.sign_transaction(built).raw_transaction)
            return w3.eth.wait_for_transaction_receipt(sent, timeout=10)

        made = send(w3.eth.contract(abi=abi, bytecode=code).constructor())
        kit = w3.eth.contract(address=made["contractAddress"], abi=abi)
        receipt = send(kit.functions.keep(42))
        (event,) = kit.events.Kept().process_receipt(receipt)
        assert event["args"]["number"] == kit.functions.kept().call() == 42
        assert kit.functions.kept().call(block_identifier=receipt["blockNumber"] - 1) == 0
        with pytest.raises(ContractLogicError, match="too much"):
            kit.functions.keep(100).call()
        assert send(kit.functions.keep(100), gas=90_000)["status"] == 0
        trace = w3.manager.request_blocking("debug_traceTransaction", [receipt["transactionHash"]])
        assert trace["gas"] == receipt["gasUsed"]
        assert w3.eth.get_proof(kit.address, [0])["storageProof"][0]["value"] == HexBytes(42)

    def test_cast_unmodified(self, lab: Lab, tool: Callable[[str], Path], tmp_path: Path) -> None:
        _, code = compiled()
        key, path = "0x" + "01" * 32, tool("cast")

        def cast(*args: str) -> str:
            done = subprocess.run(
                [path, *args],
                capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
                env={"HOME": str(tmp_path), "ETH_RPC_URL": lab.url},
            )  # fmt: skip
            assert done.returncode == 0, (args, done.stderr)
            return done.stdout.strip()

        def send(*args: str) -> dict:
            return json.loads(cast("send", "--private-key", key, "--json", *args))

        made = send("--create", code)
        kit = made["contractAddress"]
        receipt = send(kit, "keep(uint256)", "42")
        sent = receipt["transactionHash"]
        assert cast("call", kit, "kept()(uint256)") == "42"
        assert cast("call", kit, "kept()(uint256)", "--block", "1") == "0"
        assert int(cast("storage", kit, "0"), 16) == 42
        assert int(cast("estimate", kit, "keep(uint256)", "41")) > 21_000
        assert cast("code", kit).startswith("0x")
        assert cast("nonce", ALICE.address) == "2"
        assert json.loads(cast("logs", "--json", "--from-block", "0", "--address", kit))
        assert json.loads(cast("block", "latest", "--json"))["number"] == "0x2"
        assert json.loads(cast("tx", sent, "--json"))["hash"] == sent
        assert json.loads(cast("receipt", sent, "--json"))["status"] == "0x1"
        assert json.loads(cast("proof", kit, "0x0"))["storageProof"][0]["value"] == "0x2a"
        assert "gas used" in cast("access-list", kit, "keep(uint256)", "7")
        assert f"Gas used: {int(receipt['gasUsed'], 16)}" in cast("run", sent)
        assert cast("gas-price").isdigit()
        assert cast("rpc", "evm_mine") == '"0x0"'

    @pytest.mark.parametrize(("name", "checks"), [("ethers", 35), ("viem", 13)])
    def test_javascript_unmodified(
        self, lab: Lab, tool: Callable[[str], Path], tmp_path: Path, name: str, checks: int
    ) -> None:
        package = tool(name)
        abi, code = compiled()
        told = {"abi": abi, "bytecode": code, "key": "0x" + "01" * 32, "other": BOB.address}
        (tmp_path / "kit.json").write_text(json.dumps(told))
        script = JS / f"{name}_checks.mjs"
        out = node(script, lab.url, str(tmp_path / "kit.json"), package=package, folder=tmp_path)
        assert len(out.splitlines()) == checks
