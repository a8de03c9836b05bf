"""One suite for every EVM: what a port promises, kept by all that are installed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from contracts_lab import Lab
from eth_abi import encode
from eth_hash.auto import keccak
from evm_backends import BACKENDS, IN_PROCESS, Tool, backend
from evm_lab import (
    ACCOUNTS,
    ALICE,
    ALLOC,
    BOB,
    CAROL,
    CHAIN_ID,
    GENESIS,
    GWEI,
    Clock,
    ask,
    bytecode,
    move,
    sign,
)

from escrow.adapters.evm import chain, runs
from escrow.adapters.evm.contracts import create_address
from escrow.adapters.evm.revert import Reverted
from escrow.core.errors import BadInput, Refused
from escrow.ports import EvmLab, EvmPort, Log

MOVED = keccak(b"Moved(address,address,uint256)")
NOBODY = b"\x77" * 20


@dataclass
class Rig:
    """A chain with the kit on it, Alice's next nonce 1."""

    name: str
    chain: EvmPort
    clock: Clock
    kit: bytes

    def fingerprint(self) -> tuple[object, ...]:
        """What must not change where nothing happened. Not the base fee: anvil goes on from that of
        the block which a revert has thrown away."""
        chain = self.chain
        return (
            *(chain.nonce(who) for who in (ALICE, BOB, CAROL)),
            *(chain.balance(who) for who in (ALICE, BOB, CAROL)),
            chain.logs(),
            chain.cursor,
            self.tokens(ALICE),
        )

    def tokens(self, who: bytes) -> int:
        return int.from_bytes(self.chain.call(to=self.kit, data=ask("balance_of(address)", who)))

    def world(self) -> list[int]:
        """Number, time, parent's hash, base fee, sender and coinbase, as a contract sees them."""
        out = self.chain.call(to=self.kit, data=ask("world()"), sender=ALICE)
        return [int.from_bytes(out[at : at + 32]) for at in range(0, 192, 32)]


@pytest.fixture(params=BACKENDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def rig(name: str, tool: Tool) -> Iterator[Rig]:
    clock = Clock()
    with backend(
        name, tool, chain_id=CHAIN_ID, genesis_time=GENESIS, alloc=ALLOC, clock=clock
    ) as chain:
        kit = chain.send(sign(0, None, bytecode(), gas=4_000_000)).contract_address
        assert kit is not None
        yield Rig(name, chain, clock, kit)


class TestTransactions:
    def test_do_what_their_receipt_says(self, rig: Rig) -> None:
        receipt = rig.chain.send(sign(1, rig.kit, move(5)))
        assert (receipt.status, receipt.sender, receipt.to) == (1, ALICE, rig.kit)
        assert (receipt.contract_address, receipt.type_id) == (None, 2)
        assert receipt.timestamp == rig.clock.now
        assert 21_000 < receipt.gas_used < 60_000
        assert receipt.gas_used <= receipt.cumulative_gas_used
        (log,) = receipt.logs
        assert (log.address, log.tx_hash) == (rig.kit, receipt.tx_hash)
        assert log.topics == (MOVED, bytes(12) + ALICE, bytes(12) + BOB)
        assert int.from_bytes(log.data) == 5
        assert receipt.bloom
        assert rig.chain.receipt(receipt.tx_hash) == receipt
        assert (rig.tokens(ALICE), rig.tokens(BOB)) == (10**18 - 5, 5)
        assert rig.chain.nonce(ALICE) == 2

    def test_are_known_by_the_hash_of_their_bytes(self, rig: Rig) -> None:
        raw = sign(1, rig.kit, move(5))
        assert rig.chain.receipt(keccak(raw)) is None
        assert rig.chain.send(raw).tx_hash == keccak(raw)

    def test_create_contracts_where_sender_and_nonce_say(self, rig: Rig) -> None:
        assert rig.kit == create_address(ALICE, nonce=0)
        assert rig.chain.code(rig.kit)
        rig.chain.send(sign(1, rig.kit, move(5)))
        receipt = rig.chain.send(sign(2, None, bytecode(), gas=4_000_000))
        made = receipt.contract_address
        assert (made, receipt.to) == (create_address(ALICE, nonce=2), None)
        assert receipt.output == b""
        assert rig.chain.code(made or b"") == rig.chain.code(rig.kit)
        assert rig.chain.nonce(made or b"") == 1

    def test_move_wei(self, rig: Rig) -> None:
        before = rig.chain.balance(BOB)
        assert rig.chain.send(sign(1, BOB, value=7)).status == 1
        assert rig.chain.balance(BOB) == before + 7

    def test_to_where_no_contract_is_do_nothing(self, rig: Rig) -> None:
        assert rig.chain.call(to=NOBODY, data=b"what?") == b""
        receipt = rig.chain.send(sign(1, NOBODY, b"what?"))
        assert (receipt.status, receipt.logs) == (1, ())
        assert rig.chain.code(NOBODY) == b""
        assert rig.chain.storage(NOBODY, 0) == 0
        assert rig.chain.nonce(NOBODY) == rig.chain.balance(NOBODY) == 0

    def test_of_every_kind_that_pools_take(self, rig: Rig) -> None:
        slot = keccak(encode(["address", "uint256"], [ALICE, 0]))
        access = [{"address": "0x" + rig.kit.hex(), "storageKeys": ["0x" + slot.hex()]}]
        kinds: list[dict[str, object]] = [
            {"gasPrice": 2 * GWEI},
            {"gasPrice": 2 * GWEI, "type": 1, "accessList": access},
            {"accessList": access, "maxPriorityFeePerGas": 5},
        ]
        for kind, over in enumerate(kinds):
            receipt = rig.chain.send(sign(1 + kind, rig.kit, move(1), **over))
            assert (receipt.type_id, receipt.status) == (kind, 1)
        assert rig.tokens(BOB) == 3

    def test_lend_an_account_a_contracts_code(self, rig: Rig) -> None:
        """EIP-7702, but on revm before Prague."""
        signed = ACCOUNTS[1].sign_authorization(
            {"chainId": CHAIN_ID, "address": rig.kit, "nonce": 0}
        )
        raw = sign(1, BOB, ask("peek()"), type=4, authorizationList=[signed])
        if rig.name == "pyrevm":
            with pytest.raises(Refused, match="evm/transaction"):
                rig.chain.send(raw)
            return
        assert (rig.chain.send(raw).type_id, rig.chain.nonce(BOB)) == (4, 1)
        assert rig.chain.code(BOB) == b"\xef\x01\x00" + rig.kit
        assert int.from_bytes(rig.chain.call(to=BOB, data=ask("peek()"))) == 1

    def test_forget_what_is_transient(self, rig: Rig) -> None:
        # SSTORE(0, TLOAD(0)), TSTORE(0, 1)
        code = bytes.fromhex("5f5c5f5560015f5d00")
        init = bytes.fromhex(f"60{len(code):02x}600a5f3960{len(code):02x}5ff3") + code
        made = rig.chain.send(sign(1, None, init)).contract_address
        assert made is not None
        for nonce in (2, 3):
            assert rig.chain.send(sign(nonce, made)).status == 1
            assert rig.chain.storage(made, 0) == 0


class TestReverts:
    def test_leave_no_trace_where_asked_to_be_strict(self, rig: Rig) -> None:
        before, at = rig.fingerprint(), rig.chain.next_time
        with pytest.raises(Reverted) as caught:
            rig.chain.send(sign(1, rig.kit, move(10**30)))
        assert caught.value.code == "token/balance"
        assert (caught.value.reason, caught.value.halt) == ("token/balance", "Revert")
        assert rig.fingerprint() == before
        assert rig.chain.next_time == at

    def test_are_mined_with_status_0_otherwise(self, rig: Rig) -> None:
        receipt = rig.chain.send(sign(1, rig.kit, move(10**30)), strict=False)
        assert (receipt.status, receipt.logs) == (0, ())
        assert Reverted(receipt.output).reason == "token/balance"
        assert rig.chain.nonce(ALICE) == 2
        assert rig.tokens(ALICE) == 10**18
        assert rig.chain.send(sign(2, rig.kit, move(1))).status == 1

    @pytest.mark.parametrize("said", [b"", b"abc", bytes(range(256))])
    def test_carry_their_data_byte_by_byte(self, rig: Rig, said: bytes) -> None:
        data = ask("fail_with(bytes)", said)
        for run in (
            lambda: rig.chain.call(to=rig.kit, data=data),
            lambda: rig.chain.send(sign(1, rig.kit, data)),
        ):
            with pytest.raises(Reverted) as caught:
                run()
            assert (caught.value.data, caught.value.halt) == (said, "Revert")
        assert rig.chain.send(sign(1, rig.kit, data), strict=False).output == said

    def test_undo_wei_sent_along(self, rig: Rig) -> None:
        rig.chain.send(sign(1, rig.kit, ask("fail_with(bytes)", b"x"), value=5), strict=False)
        assert rig.chain.balance(rig.kit) == 0

    def test_of_creations(self, rig: Rig) -> None:
        failing = bytes.fromhex("60aa5f5260205ffd")
        with pytest.raises(Reverted) as caught:
            rig.chain.send(sign(1, None, failing))
        assert caught.value.data == bytes(31) + b"\xaa"
        assert rig.chain.nonce(ALICE) == 1
        receipt = rig.chain.send(sign(1, None, failing), strict=False)
        assert (receipt.status, receipt.output) == (0, bytes(31) + b"\xaa")
        made = rig.chain.send(sign(2, None, bytecode(), gas=4_000_000)).contract_address
        assert made == create_address(ALICE, nonce=2)

    def test_of_a_first_transaction_count_for_nothing(self, rig: Rig) -> None:
        for _ in range(2):
            with pytest.raises(Reverted):
                rig.chain.send(sign(0, None, b"\xfe", who=1))
            assert rig.chain.nonce(BOB) == 0

    def test_out_of_gas_is_told_from_a_contracts_no(self, rig: Rig) -> None:
        raw = sign(1, rig.kit, ask("spin()"), gas=300_000)
        with pytest.raises(Reverted) as caught:
            rig.chain.send(raw)
        assert (caught.value.code, caught.value.halt) == ("evm/revert", "OutOfGas")
        assert caught.value.data == b""
        receipt = rig.chain.send(raw, strict=False)
        assert (receipt.status, receipt.gas_used, receipt.output) == (0, 300_000, b"")

    @pytest.mark.parametrize("code", ["fe", "0c", "600056", "01"])
    def test_of_the_machine_itself(self, rig: Rig, code: str) -> None:
        with pytest.raises(Reverted) as caught:
            rig.chain.call(to=None, data=bytes.fromhex(code))
        assert caught.value.halt not in ("", "Revert", "OutOfGas")
        assert caught.value.data == b""


class TestRefusals:
    @pytest.mark.parametrize(
        ("code", "nonce", "over"),
        [
            ("evm/nonce", 0, {}),
            ("evm/nonce", 2, {}),
            ("evm/fee", 1, {"maxFeePerGas": GWEI // 2}),
            ("evm/fee", 1, {"maxPriorityFeePerGas": 3 * GWEI}),
            ("evm/gas", 1, {"gas": 21_100}),
            ("evm/gas", 1, {"gas": 300_000_001}),
            ("evm/funds", 1, {"value": 10**24}),
            ("evm/transaction", 1, {"chainId": CHAIN_ID + 1}),
        ],
    )
    def test_are_the_same_everywhere(
        self, rig: Rig, code: str, nonce: int, over: dict[str, int]
    ) -> None:
        before = rig.fingerprint()
        with pytest.raises(Refused) as caught:
            rig.chain.send(sign(nonce, rig.kit, move(1), **over))
        assert caught.value.code == code
        assert rig.fingerprint() == before
        assert rig.chain.send(sign(1, rig.kit, move(1))).status == 1

    @pytest.mark.parametrize("raw", [b"", b"\x02", b"\x03\xc0", b"\xff" * 40, b"\x02" + bytes(99)])
    def test_of_what_is_no_transaction(self, rig: Rig, raw: bytes) -> None:
        with pytest.raises(Refused, match="evm/transaction"):
            rig.chain.send(raw)

    def test_of_a_signature_over_other_bytes(self, rig: Rig) -> None:
        raw = sign(1, rig.kit, move(5))
        altered = raw.replace(move(5), move(6))
        assert altered != raw
        # It is somebody's, but not Alice's: an account without wei.
        with pytest.raises(Refused):
            rig.chain.send(altered)

    def test_of_what_is_no_address_or_word(self, rig: Rig) -> None:
        chain = rig.chain
        for look in (chain.nonce, chain.balance, chain.code):
            for bad in (b"", b"\1" * 19, b"\1" * 21, "0x" + "11" * 20):
                with pytest.raises(BadInput, match="evm/address"):
                    look(bad)
        for slot in (-1, 2**256):
            with pytest.raises(BadInput, match="evm/word"):
                chain.storage(rig.kit, slot)
        with pytest.raises(BadInput, match="evm/address"):
            chain.call(to=b"\1" * 19)
        with pytest.raises(BadInput, match="evm/address"):
            chain.call(to=rig.kit, sender=b"\1" * 19)


class TestTime:
    def test_is_the_clocks(self, rig: Rig) -> None:
        at = rig.chain.next_time + 1_000
        rig.chain.move_to(at)
        assert rig.clock.now == rig.chain.next_time == at
        assert rig.world()[1] == at
        receipt = rig.chain.send(sign(1, rig.kit, move(1)))
        assert receipt.timestamp == rig.clock.now == at
        again = rig.chain.receipt(receipt.tx_hash)
        assert again is not None
        assert again.timestamp == at

    def test_is_seen_by_the_contract_that_runs(self, rig: Rig) -> None:
        # SSTORE(0, TIMESTAMP)
        init = bytes.fromhex("6004600a5f3960045ff3425f5500")
        made = rig.chain.send(sign(1, None, init)).contract_address
        assert made is not None
        at = rig.chain.next_time + 77
        rig.chain.move_to(at)
        rig.chain.send(sign(2, made))
        assert rig.chain.storage(made, 0) == at

    def test_may_be_what_it_is(self, rig: Rig) -> None:
        at = rig.chain.next_time
        rig.chain.move_to(at)
        assert rig.chain.next_time == at

    def test_does_not_go_back(self, rig: Rig) -> None:
        at = rig.chain.next_time
        for earlier in (at - 1, GENESIS, 0):
            with pytest.raises(Refused, match="evm/time"):
                rig.chain.move_to(earlier)
        for never in (-1, 2**63):
            with pytest.raises(BadInput, match="input/time"):
                rig.chain.move_to(never)
        assert rig.chain.next_time == at

    def test_never_repeats_in_another_block(self, rig: Rig) -> None:
        seen: dict[int, int] = {}
        for nonce in range(1, 5):
            receipt = rig.chain.send(sign(nonce, rig.kit, move(1)))
            assert seen.setdefault(receipt.block_number, receipt.timestamp) == receipt.timestamp
            rig.clock.at_least(rig.clock.now + nonce % 2)
        assert list(seen.values()) == sorted(set(seen.values()))


class TestCalls:
    def test_leave_no_trace(self, rig: Rig) -> None:
        before = rig.fingerprint()
        rig.chain.call(to=rig.kit, data=move(5), sender=ALICE)
        rig.chain.call(to=None, data=bytecode(), sender=ALICE)
        rig.chain.call(to=None, data=bytecode(), sender=CAROL)
        assert rig.fingerprint() == before
        made = rig.chain.send(sign(1, None, bytecode(), gas=4_000_000)).contract_address
        assert made == create_address(ALICE, nonce=1)

    def test_have_a_sender_and_by_default_nobody(self, rig: Rig) -> None:
        assert rig.world()[4] == int.from_bytes(ALICE)
        out = rig.chain.call(to=rig.kit, data=ask("world()"))
        assert out[128:160] == bytes(32)

    def test_return_the_code_of_what_they_create(self, rig: Rig) -> None:
        assert rig.chain.call(to=None, data=bytes.fromhex("60aa5f5260015ff3")) == b"\0"

    def test_end_even_if_the_contract_does_not(self, rig: Rig) -> None:
        left = bytes.fromhex("5a5f5260205ff3")  # GAS PUSH0 MSTORE PUSH1 32 PUSH0 RETURN
        most = runs.MOST_GAS if rig.name == "dispatcher" else chain.CALL_GAS
        found = int.from_bytes(rig.chain.call(to=None, data=left))
        assert most - 100_000 < found < most

    def test_storage_is_read_by_slot(self, rig: Rig) -> None:
        rig.chain.send(sign(1, rig.kit, ask("fill(uint256,uint256,uint256)", 3, 1, 99)))
        at = int.from_bytes(keccak(encode(["uint256", "uint256"], [1, 3])))
        assert rig.chain.storage(rig.kit, at) == 99
        assert int.from_bytes(rig.chain.call(to=rig.kit, data=ask("slot(uint256)", 3))) == 99


class TestLogs:
    @pytest.fixture
    def said(self, rig: Rig) -> list[Log]:
        found: list[Log] = []
        for nonce in range(1, 6):
            found += rig.chain.send(sign(nonce, rig.kit, move(nonce, (BOB, CAROL)[nonce % 2]))).logs
            rig.clock.at_least(rig.clock.now + 1)
        other = rig.chain.send(sign(6, None, bytecode(), gas=4_000_000)).contract_address
        found += rig.chain.send(sign(7, other, move(99))).logs
        return found

    def _amounts(self, rig: Rig, **query: object) -> list[int]:
        return [int.from_bytes(log.data) for log in rig.chain.logs(**query)]  # type: ignore[arg-type]

    def test_are_those_of_the_receipts(self, rig: Rig, said: list[Log]) -> None:
        assert list(rig.chain.logs()) == said

    def test_by_address_topic_and_block(self, rig: Rig, said: list[Log]) -> None:
        carol = bytes(12) + CAROL
        assert self._amounts(rig, address=rig.kit) == [1, 2, 3, 4, 5]
        assert self._amounts(rig, address=(rig.kit, BOB)) == [1, 2, 3, 4, 5]
        assert self._amounts(rig, topics=(None, None, carol)) == [1, 3, 5]
        assert self._amounts(rig, topics=((MOVED, carol), None, (carol,))) == [1, 3, 5]
        assert self._amounts(rig, topics=(carol,)) == []
        third = said[2].block_number
        assert self._amounts(rig, from_block=third, to_block=third) == [3]
        assert self._amounts(rig, address=rig.kit, from_block=third) == [3, 4, 5]
        assert self._amounts(rig, from_block=999) == []
        assert self._amounts(rig, from_block=third, to_block=third - 1) == []

    def test_no_alternatives_match_nothing(self, rig: Rig, said: list[Log]) -> None:
        assert len(said) == 6
        for none in (((), ()), ([], ()), (None, ((),)), (None, (MOVED, []))):
            assert rig.chain.logs(address=none[0], topics=none[1]) == ()

    def test_are_bounded(self, rig: Rig, said: list[Log]) -> None:
        assert len(rig.chain.logs(limit=len(said))) == len(said)
        with pytest.raises(Refused, match="evm/logs"):
            rig.chain.logs(limit=len(said) - 1)

    def test_since_a_cursor(self, rig: Rig, said: list[Log]) -> None:
        logs, cursor = rig.chain.logs_since()
        assert list(logs) == said
        assert rig.chain.logs_since(cursor) == ((), cursor)
        assert cursor == rig.chain.cursor
        receipt = rig.chain.send(sign(8, rig.kit, move(50)))
        new, after = rig.chain.logs_since(cursor)
        assert new == receipt.logs
        for bad in (-1, after + 1):
            with pytest.raises(BadInput, match="evm/cursor"):
                rig.chain.logs_since(bad)


class TestSnapshots:
    def test_bring_everything_back_but_the_clock(self, rig: Rig) -> None:
        before, now, next_time = rig.fingerprint(), rig.clock.now, rig.chain.next_time
        mark = rig.chain.snapshot()
        receipt = rig.chain.send(sign(1, rig.kit, move(5)))
        made = rig.chain.send(sign(2, None, bytecode(), gas=4_000_000)).contract_address
        rig.chain.move_to(rig.chain.next_time + 500)
        later = rig.clock.now
        rig.chain.revert(mark)
        assert rig.clock.now == later
        # A world's clock never goes back, so what is served of a world does not either.
        if rig.name != "dispatcher":
            rig.clock.now = now
            assert rig.chain.next_time == next_time
        assert rig.fingerprint() == before
        assert rig.chain.receipt(receipt.tx_hash) is None
        assert rig.chain.code(made or b"") == b""

    def test_from_where_another_story_goes_on(self, rig: Rig) -> None:
        mark = rig.chain.snapshot()
        rig.chain.send(sign(1, rig.kit, move(5)))
        rig.chain.revert(mark)
        at = rig.chain.next_time + 10
        rig.chain.move_to(at)
        receipt = rig.chain.send(sign(1, rig.kit, move(6, CAROL)))
        assert receipt.timestamp == at
        assert (rig.tokens(BOB), rig.tokens(CAROL)) == (0, 6)
        assert rig.chain.logs() == receipt.logs

    def test_leave_the_next_block_where_the_clock_is(self, rig: Rig) -> None:
        mark = rig.chain.snapshot()
        at = rig.chain.next_time + 10
        rig.chain.move_to(at)
        assert rig.world()[1] == at
        rig.chain.revert(mark)
        assert rig.world()[1] == rig.chain.next_time == at

    def test_are_used_up(self, rig: Rig) -> None:
        first = rig.chain.snapshot()
        rig.chain.send(sign(1, rig.kit, move(5)))
        second = rig.chain.snapshot()
        rig.chain.send(sign(2, rig.kit, move(5)))
        third = rig.chain.snapshot()
        rig.chain.revert(second)
        assert rig.tokens(BOB) == 5
        for gone in (second, third, 77):
            with pytest.raises(Refused, match="evm/snapshot"):
                rig.chain.revert(gone)
        rig.chain.revert(first)
        assert rig.tokens(BOB) == 0
        assert rig.chain.snapshot() > third

    def test_a_hundred_times(self, rig: Rig) -> None:
        """As property runs do: nothing piles up from one example to the next."""
        for _ in range(100):
            mark = rig.chain.snapshot()
            rig.chain.send(sign(1, rig.kit, move(5)))
            rig.chain.revert(mark)
        assert (rig.tokens(BOB), rig.chain.nonce(ALICE)) == (0, 1)


class TestPlayingAnybody:
    """The unsigned entry of those that run in this process."""

    @pytest.fixture(params=IN_PROCESS)
    def name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def lab(self, rig: Rig) -> EvmLab:
        return rig.chain  # type: ignore[return-value]

    def test_does_what_a_signed_transaction_does(self, rig: Rig, lab: EvmLab) -> None:
        mark = lab.snapshot()
        signed = lab.send(sign(1, rig.kit, move(5)))
        lab.revert(mark)
        acted = lab.act(ALICE, to=rig.kit, data=move(5))
        assert (acted.sender, acted.to, acted.status) == (ALICE, rig.kit, 1)
        assert [log.data for log in acted.logs] == [log.data for log in signed.logs]
        assert rig.tokens(BOB) == 5
        assert lab.nonce(ALICE) == 2
        assert lab.receipt(acted.tx_hash) == acted
        assert lab.logs() == acted.logs
        if rig.name == "py-evm":
            assert acted.gas_used == signed.gas_used

    def test_has_a_hash_of_its_own(self, lab: EvmLab) -> None:
        hashes = {lab.act(who, to=NOBODY).tx_hash for who in (ALICE, BOB)}
        hashes |= {lab.act(BOB, to=NOBODY).tx_hash}
        assert len(hashes) == 3

    def test_reverts_and_creates(self, rig: Rig, lab: EvmLab) -> None:
        before = rig.fingerprint()
        with pytest.raises(Reverted, match="token/balance"):
            lab.act(BOB, to=rig.kit, data=move(5))
        assert rig.fingerprint() == before
        assert lab.act(BOB, to=rig.kit, data=move(5), strict=False).status == 0
        assert lab.act(BOB, to=None, data=bytecode()).contract_address == create_address(
            BOB, nonce=1
        )

    def test_takes_turns_with_signed_ones(self, rig: Rig, lab: EvmLab) -> None:
        lab.act(ALICE, to=rig.kit, data=move(5))
        assert lab.send(sign(2, rig.kit, move(5))).status == 1
        assert rig.tokens(BOB) == 10

    def test_wants_addresses(self, rig: Rig, lab: EvmLab) -> None:
        for sender, to in ((b"\1" * 19, rig.kit), (ALICE, b"\1" * 19)):
            with pytest.raises(BadInput, match="evm/address"):
                lab.act(sender, to=to)


@pytest.mark.parametrize("name", IN_PROCESS)
def test_the_contracts_lab_takes_any_of_them(name: str, tool: Tool) -> None:
    """A whole world of contracts on another machine, by the same words."""
    with backend(
        name, tool, chain_id=31337, genesis_time=GENESIS, alloc={}, clock=Clock()
    ) as chain:
        lab = Lab(type(chain))
        assert lab.phase(lab.active()) == 2
