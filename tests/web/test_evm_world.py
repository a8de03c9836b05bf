"""A world behind its EVM: a wallet acts, the engine follows, and both chains keep one clock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from serve_lab import Evm, serving

from escrow.adapters.evm.rpc import Rpc
from escrow.commands.serve import app
from escrow.core.errors import EscrowError
from escrow.core.units import DAY
from escrow.deal import Deal
from escrow.web.ethereum import EthereumSite
from escrow.web.hosting import MOST_SECONDS, WorldHost, about, shell_lines
from escrow.web.site import Asked
from escrow.world import World


@pytest.fixture(scope="module")
def opened() -> Iterator[World]:
    with World(seed=5) as world:
        world.open(btc="1.5", principal="50000.00")
        yield world


class Wallet:
    """A borrower outside, with its key and nothing else of the world."""

    def __init__(self, world: World) -> None:
        self.told: list[str] = []
        self.rpc = Rpc(world.evm.chain, host=WorldHost(world, tell=self.told.append))
        self.site = EthereumSite(self.rpc, about=lambda: about(world))
        self.account = world.party("borrower").account
        self.world = world

    @property
    def deal(self) -> Deal:
        return self.world.loans[-1]

    def answer(self, method: str, *params: object) -> dict[str, object]:
        body = json.dumps({"id": 1, "method": method, "params": params}).encode()
        return json.loads(self.site.handle(Asked("POST", "/", body=body)).body)

    def ask(self, method: str, *params: object):
        answer = self.answer(method, *params)
        assert "error" not in answer, answer
        return answer["result"]

    def act(self, contract: str, function: str, *args: object) -> dict[str, object]:
        """Sign by the ABI alone, send, and find the receipt."""
        call = self.world.contract(contract).functions[function](*args)
        nonce = int(self.ask("eth_getTransactionCount", self.account.address, "latest"), 16)
        fields = {"from": self.account.address, "nonce": nonce, "gas": 400_000}
        fees = {"maxFeePerGas": 2 * 10**9, "maxPriorityFeePerGas": 0, "chainId": 31_337}
        signed = self.account.sign_transaction(call.build_transaction(fields | fees))
        sent = self.ask("eth_sendRawTransaction", signed.raw_transaction.to_0x_hex())
        return self.ask("eth_getTransactionReceipt", sent)

    @property
    def mark(self) -> tuple[object, ...]:
        world = self.world
        return world.state_hash, world.now, world.bitcoin.tip_hash, world.evm.chain.export()


@pytest.fixture
def wallet(opened: World) -> Iterator[Wallet]:
    with opened.fork() as world:
        yield Wallet(world)


class TestAWalletActs:
    def test_part_then_all_is_repaid_and_the_coins_are_released(self, wallet: Wallet) -> None:
        world, deal = wallet.world, wallet.deal
        before = world.sats_of("borrower")
        debt = deal.debt
        assert wallet.act("EscrowBook", "repay", deal.terms_tuple, 1_000_000)["status"] == "0x1"
        assert deal.phase == "ACTIVE"
        assert 0 <= deal.debt - (debt - 1_000_000) <= 1  # a second's interest, rounded up
        receipt = wallet.act("EscrowBook", "close", deal.terms_tuple)
        assert (receipt["status"], deal.phase) == ("0x1", "REPAID")
        sats = world.contract("PledgeToken").functions.free(bytes.fromhex(deal.id[2:])).call()
        script = world.party("borrower").script
        loan = bytes.fromhex(deal.id[2:])
        assert wallet.act("PledgeToken", "burn", loan, sats, script, 0)["status"] == "0x1"
        assert deal.phase == "RELEASING"
        assert wallet.ask("evm_increaseTime", 7_200) == "0x1c20"
        assert deal.phase == "RELEASED"
        paid = world.sats_of("borrower") - before
        assert 0 < sats - paid <= deal.terms.max_fee
        assert wallet.told == [f"loan {deal.id} {x}" for x in ("REPAID", "RELEASING", "RELEASED")]
        assert world.engine.broken == []
        assert wallet.ask("eth_getBlockByNumber", "latest", False)

    def test_what_the_contract_refuses_is_mined_and_changes_no_loan(self, wallet: Wallet) -> None:
        deal = wallet.deal
        loan, script = bytes.fromhex(deal.id[2:]), wallet.world.party("borrower").script
        assert wallet.act("PledgeToken", "burn", loan, 10_000, script, 0)["status"] == "0x0"
        assert (deal.phase, wallet.told) == ("ACTIVE", [])

    def test_the_answer_to_a_call_carries_our_code(self, wallet: Wallet) -> None:
        book = wallet.world.contract("EscrowBook")
        asked = {"to": book.address, "data": book.encode_abi("cure", [wallet.deal.terms_tuple])}
        error = wallet.answer("eth_call", asked, "latest")["error"]
        assert error["code"] == 3
        assert "cure/not-called" in error["message"]

    def test_what_the_engine_does_is_in_the_latest_block(self, wallet: Wallet) -> None:
        world = wallet.world
        price = world.engine.system.price
        assert price is not None
        wallet.ask("evm_increaseTime", DAY)
        wallet.ask("evm_mine")
        latest = wallet.world.contract("PriceRounds").functions.latest()
        to, data = latest.address, latest._encode_transaction_data()
        at = wallet.ask("eth_call", {"to": to, "data": data}, "latest")
        assert int(at[2:][64:128], 16) > price.at


class TestOneClock:
    def test_time_moves_both_chains(self, wallet: Wallet) -> None:
        world = wallet.world
        now, height = world.now, world.bitcoin.height
        assert wallet.ask("evm_increaseTime", hex(3_600)) == "0xe10"
        assert (world.now, world.bitcoin.height) == (now + 3_600, height + 6)
        wallet.ask("evm_setNextBlockTimestamp", now + 4_000)
        assert wallet.act("CashToken", "approve", world.party("lender").address, 1)
        block = wallet.ask("eth_getBlockByNumber", "latest", False)
        assert int(block["timestamp"], 16) == now + 4_000
        wallet.ask("evm_mine", now + 5_000)
        block = wallet.ask("eth_getBlockByNumber", "latest", False)
        assert int(block["timestamp"], 16) == now + 5_000 == world.now

    @pytest.mark.parametrize(
        ("method", "params", "code"),
        [
            ("evm_snapshot", [], "evm/world"),
            ("evm_increaseTime", [MOST_SECONDS + 1], "input/time"),
            ("evm_setNextBlockTimestamp", [1], "timestamp is not after"),
            ("evm_mine", [1], "timestamp is not after"),
            ("evm_increaseTime", [-1], "out of range"),
            ("evm_increaseTime", ["0x" + "f" * 20], "out of range"),
            ("eth_sendRawTransaction", ["0x02c0"], "evm/transaction"),
            ("eth_sendTransaction", [{}], "sign with your own key"),
        ],
    )
    def test_what_is_refused_is_named_and_changes_nothing(
        self, wallet: Wallet, method: str, params: list[object], code: str
    ) -> None:
        before = wallet.mark
        assert code in wallet.answer(method, *params)["error"]["message"]
        assert wallet.mark == before

    def test_nor_is_there_in_process(self, wallet: Wallet) -> None:
        before = wallet.mark
        answer = wallet.world.w3.provider.make_request("evm_snapshot", [])
        assert "evm/world" in answer["error"]["message"]
        assert wallet.mark == before

    def test_there_is_no_way_back_on_one_chain_alone(self, wallet: Wallet) -> None:
        inner = wallet.world.evm.chain.snapshot()
        before = wallet.mark
        assert wallet.ask("evm_revert", hex(inner)) is False
        assert wallet.mark == before


class TestTheCommand:
    def test_a_shell_can_read_what_is_printed_and_no_secret_is_in_it(self, opened: World) -> None:
        text = "\n".join([*shell_lines(opened, url="http://x"), json.dumps(about(opened))])
        for party in opened.parties.values():
            assert bytes(party.account.key).hex() not in text
        assert opened.config.seed == 5
        names = dict(x.removeprefix("export ").split("=", 1) for x in text.split("\n") if "=" in x)
        assert {"BOOK", "CASH", "PLEDGE", "LOAN", "TERMS", "TYPE", "BORROWER"} <= names.keys()
        assert "KEY" not in names

    def test_a_saved_world_is_served_and_its_file_left_as_it_was(
        self, opened: World, tmp_path: Path
    ) -> None:
        file, told = tmp_path / "loan.world", []
        opened.save(file)
        before, deal = file.read_bytes(), opened.loans[-1]
        key = bytes(opened.party("lender").account.key).hex()
        with serving("--world", str(file), "--show-key", "lender", told=told) as served:
            assert served.named["LOAN"] == served.loan["id"] == deal.id
            assert served.named["KEY"] == f"0x{key}"
            assert key not in served.http("/world").body.decode()
            assert served.result("eth_chainId") == hex(int(served.named["CHAIN_ID"]))
            tip = served.http("/esplora/blocks/tip/height").body
            assert served.result("evm_increaseTime", 40 * DAY)
            assert int(served.http("/esplora/blocks/tip/height").body) > int(tip)
            assert served.http("/esplora/tx", body=b"00").status == 405
            assert served.ask("evm_snapshot")["error"]["message"].startswith("evm/world")
            for body in (b"junk", b"[" * 99_999, b"[" + b"0," * 200 + b"0]"):
                assert served.http(body=body).json["error"]["code"] in (-32700, -32600)
            assert served.loan["phase"] == "ACTIVE"
        assert told == []
        assert file.read_bytes() == before

    def test_a_scene_is_served_to_all_who_reach_it_without_its_clock(self) -> None:
        with serving("--scene", "release", "--host", "0.0.0.0", "--seed", "2") as served:
            local = Evm(served.url.replace("0.0.0.0", "127.0.0.1"))
            assert local.loan["phase"] == "RELEASED"
            for method in ("evm_mine", "evm_increaseTime", "evm_snapshot"):
                assert local.code(method) == -32601

    @pytest.mark.parametrize(
        ("options", "code"),
        [
            (["--scene", "picnic"], "scene/unknown"),
            (["--world", "nowhere.world"], "world/format"),
            (["--scene", "release", "--world", "x"], "http/value"),
            (["--show-key", "nobody"], "input/unknown-party"),
            (["--seed", "-1"], "input/seed"),
            (["--host", "nonsense"], "http/address"),
            (["--port", "65536"], "http/address"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, options: list[str], code: str) -> None:
        with pytest.raises(EscrowError) as refusal:
            app(["evm", "--port", "0", *options], standalone_mode=False)
        assert refusal.value.code == code
