"""The EVM chain: blocks that a full node accepts, gas to the unit, nothing half-done."""

from __future__ import annotations

import gc
import resource
import sys
import weakref
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

import pytest
import rlp
from eth.chains.base import MiningChain
from eth.db.atomic import AtomicDB
from eth.vm.forks.london.headers import calculate_expected_base_fee_per_gas
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.blocks import PragueBlock, PragueBlockHeader
from eth_abi import encode
from eth_hash.auto import keccak
from evm_lab import (
    ACCOUNTS,
    ALICE,
    ALLOC,
    BOB,
    CAROL,
    CHAIN_ID,
    GENESIS,
    GWEI,
    KEYS,
    Clock,
    ask,
    bytecode,
    move,
    sign,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from escrow.adapters.evm.block import GAS_LIMIT, encode_receipt, next_base_fee
from escrow.adapters.evm.chain import BlockRecord, Chain, Reverted
from escrow.core.errors import BadInput, Refused


def make(*, clock: Clock | None = None, chain_id: int = CHAIN_ID) -> Chain:
    clock = clock or Clock()
    return Chain(chain_id=chain_id, genesis_time=GENESIS, alloc=ALLOC, clock=clock)


def deployed() -> tuple[Chain, bytes]:
    chain = make()
    kit = chain.send(sign(0, None, bytecode(), gas=4_000_000)).contract_address
    assert kit is not None
    return chain, kit


def fingerprint(chain: Chain) -> tuple[object, ...]:
    """All that a caller can see."""
    return (
        chain.head_hash,
        tuple(chain.nonce(who) for who in (ALICE, BOB, CAROL)),
        tuple(chain.balance(who) for who in (ALICE, BOB, CAROL, bytes(20))),
        chain.export(),
        chain.logs_since(),
        chain.next_time,
        chain.next_base_fee,
        chain.transactions(),
        chain.clock.now,
    )


class TestBlocks:
    def test_one_instant_is_one_block(self) -> None:
        chain, kit = deployed()
        first = chain.send(sign(1, kit, move(1)))
        second = chain.send(sign(2, kit, move(2)))
        assert (first.block_number, first.tx_index) == (1, 1)
        assert (second.block_number, second.tx_index) == (1, 2)
        assert second.timestamp == chain.clock.now
        assert [log.index for log in (*first.logs, *second.logs)] == [0, 1]
        assert chain.block_number == 0
        assert chain.block_of(first) is None

    def test_a_block_is_sealed_once_the_clock_has_moved_on(self) -> None:
        chain, kit = deployed()
        first = chain.send(sign(1, kit, move(1)))
        chain.clock.at_least(chain.clock.now + 10)
        sealed = chain.block_of(first)
        assert sealed is not None
        assert sealed.number == chain.block_number == 1
        second = chain.send(sign(2, kit, move(2)))
        assert second.block_number == 2
        assert second.timestamp == first.timestamp + 10

    def test_looking_when_does_not_change_hashes(self) -> None:
        looked, kit = deployed()
        unseen, _ = deployed()
        for nonce in range(1, 4):
            for chain in (looked, unseen):
                chain.clock.at_least(chain.clock.now + 5)
                if chain is looked:
                    _ = chain.head, chain.balance(ALICE), chain.logs()
                    chain.call(to=kit, data=ask("world()"))
                    chain.estimate(to=kit, data=move(1), sender=ALICE)
                    chain.snapshot()
                chain.send(sign(nonce, kit, move(nonce)))
        assert looked.seal() == unseen.seal()

    def test_a_second_block_at_one_instant_takes_the_next_second_and_pushes_the_clock(self) -> None:
        chain, kit = deployed()
        at = chain.clock.now
        assert chain.seal() is not None
        receipt = chain.send(sign(1, kit, move(1)))
        assert receipt.timestamp == at + 1
        assert chain.clock.now == at + 1

    def test_a_refused_transaction_does_not_push_the_clock(self) -> None:
        chain, kit = deployed()
        chain.seal()
        at = chain.clock.now
        with pytest.raises(Refused):
            chain.send(sign(9, kit, move(1)))
        with pytest.raises(Reverted):
            chain.send(sign(1, kit, move(10**30)))
        assert chain.clock.now == at

    def test_empty_blocks_only_when_asked(self) -> None:
        chain = make()
        assert chain.seal() is None
        assert chain.block_number == 0
        block = chain.seal(empty=True)
        assert block is not None
        assert (block.number, block.timestamp, block.transactions) == (1, GENESIS + 60, ())
        assert chain.seal(empty=True).timestamp == GENESIS + 61  # type: ignore[union-attr]
        assert chain.clock.now == GENESIS + 61

    def test_a_clock_before_the_genesis_is_pushed(self) -> None:
        chain = make(clock=Clock(now=GENESIS - 1_000))
        receipt = chain.send(sign(0, BOB, value=1))
        assert receipt.timestamp == chain.clock.now == GENESIS + 1

    def test_a_full_block_rolls_over_to_the_next_second(self) -> None:
        chain = make()
        first = chain.send(sign(0, BOB, gas=200_000_000))
        again = chain.send(sign(1, BOB, gas=299_999_999))
        assert (first.block_number, again.block_number) == (1, 2)
        assert again.timestamp == first.timestamp + 1 == chain.clock.now
        before = fingerprint(chain)
        with pytest.raises(Reverted):
            chain.send(sign(2, None, b"\xfe", gas=299_999_999))
        assert fingerprint(chain) == before

    def test_a_full_node_accepts_every_block(self) -> None:
        chain, kit = deployed()
        nonce = 1
        for step in range(6):
            for data in (move(step), ask("fill(uint256,uint256,uint256)", 0, step, step % 2)):
                chain.send(sign(nonce, kit, data, maxPriorityFeePerGas=step * 1_000))
                nonce += 1
            chain.send(sign(nonce, kit, ask("fail_with(bytes)", b"no")), strict=False)
            nonce += 1
            if step == 3:
                chain.seal()
                chain.seal(empty=True)
            chain.clock.at_least(chain.clock.now + step)
        legacy = {"gasPrice": 3 * GWEI, "value": 5}
        chain.send(sign(nonce, CAROL, **legacy))
        chain.send(sign(nonce + 1, CAROL, type=1, accessList=[], **legacy))
        chain.seal()

        node = _node(chain)
        assert node.get_canonical_head().hash == chain.block(0).hash  # type: ignore[union-attr]
        builder = PragueBlock.get_transaction_builder()
        for number in range(1, chain.block_number + 1):
            block = chain.block(number)
            assert block is not None
            header = rlp.decode(block.header, sedes=PragueBlockHeader)
            raws = [entry.raw for entry in chain.transactions(block=number)]
            given_block = PragueBlock(header, [builder.decode(raw) for raw in raws], [], [])
            assert node.import_block(given_block).imported_block.hash == block.hash

    def test_roots_and_bloom_are_what_they_say(self) -> None:
        chain, kit = deployed()
        receipts = [chain.send(sign(nonce, kit, move(nonce))) for nonce in range(1, 140)]
        block = chain.seal()
        assert block is not None
        entries = chain.transactions(block=1)
        for root, items in (
            (block.transactions_root, [entry.raw for entry in entries]),
            (block.receipts_root, [encode_receipt(entry.receipt) for entry in entries]),
        ):
            trie = HexaryTrie({})
            for index, item in enumerate(items):
                trie[rlp.encode(index)] = item
            assert trie.root_hash == root
        assert keccak(block.header) == block.hash
        assert block.gas_used == sum(entry.receipt.gas_used for entry in entries)
        for item in (kit, keccak(b"Moved(address,address,uint256)")):
            digest = keccak(item)
            for i in (0, 2, 4):
                assert block.bloom >> (int.from_bytes(digest[i : i + 2], "big") & 2047) & 1
        assert receipts[-1].cumulative_gas_used == block.gas_used

    def test_base_fee_follows_the_parent(self) -> None:
        chain = make()
        assert chain.next_base_fee == GWEI - GWEI // 8
        chain.seal(empty=True)
        chain.seal(empty=True)
        fees = [chain.block(n).base_fee for n in range(3)]  # type: ignore[union-attr]
        assert fees == [GWEI, 875_000_000, 765_625_000]

    @given(st.integers(0, 20) | st.integers(0, 10**12), st.integers(0, GAS_LIMIT))
    @settings(max_examples=200, deadline=None, derandomize=True)
    def test_base_fee_is_py_evms(self, base_fee: int, gas_used: int) -> None:
        parent = SimpleNamespace(base_fee_per_gas=base_fee, gas_used=gas_used, gas_limit=GAS_LIMIT)
        theirs = calculate_expected_base_fee_per_gas(parent)
        assert next_base_fee(base_fee, gas_used=gas_used) == theirs


def _node(chain: Chain) -> MiningChain:
    kind = MiningChain.configure(
        __name__="Node", vm_configuration=((0, PragueVM),), chain_id=chain.chain_id
    )
    genesis = {
        "coinbase": bytes(20),
        "difficulty": 0,
        "extra_data": b"",
        "gas_limit": 300_000_000,
        "mix_hash": bytes(32),
        "nonce": bytes(8),
        "timestamp": GENESIS,
        "parent_beacon_block_root": bytes(32),
    }
    state = {
        address: {"balance": wei, "nonce": 0, "code": b"", "storage": {}}
        for address, wei in ALLOC.items()
    }
    return kind.from_genesis(AtomicDB(), genesis, state)


class TestGas:
    def test_equals_eth_tester_to_the_unit(self) -> None:
        from eth_tester import EthereumTester, PyEVMBackend

        chain_id = 131_277_322_940_537  # eth-tester's, which cannot be chosen
        params = PyEVMBackend.generate_genesis_params({"gas_limit": 300_000_000})
        state = {
            who: {"balance": wei, "nonce": 0, "code": b"", "storage": {}}
            for who, wei in ALLOC.items()
        }
        peer = EthereumTester(PyEVMBackend(genesis_parameters=params, genesis_state=state))
        chain = make(chain_id=chain_id)
        fill = "fill(uint256,uint256,uint256)"
        created = sign(0, None, bytecode(), gas=4_000_000, chainId=chain_id)
        kit = chain.send(created).contract_address
        chain.seal()
        script = [
            move(5),
            move(5),
            move(10**18 - 10, CAROL),  # clears Alice's balance: a refund
            ask(fill, 0, 20, 7),
            ask(fill, 0, 20, 0),  # the refund is capped at a fifth
            ask(fill, 0, 3, 0),
            ask(fill, 0, 10, 9),
            ask(fill, 0, 10, 8),
            ask(fill, 0, 1, 0) + b"\1" * 3_000,  # the calldata floor binds
            ask("fail_with(bytes)", b"x"),
            ask("peek()"),
            ask("dive(uint256)", 5),
        ]
        lent = ACCOUNTS[1].sign_authorization({"chainId": chain_id, "address": kit, "nonce": 0})
        raws = [created]
        for nonce, data in enumerate(script, 1):
            raws.append(sign(nonce, kit, data, chainId=chain_id))
            chain.send(raws[-1], strict=False)
            chain.seal()
        hot = [{"address": "0x" + kit.hex(), "storageKeys": ["0x" + "00" * 32]}]
        for more in (
            sign(len(raws), BOB, value=10**18, chainId=chain_id),
            sign(len(raws) + 1, kit, move(0), accessList=hot, chainId=chain_id),
            sign(len(raws) + 2, kit, move(0), gasPrice=3 * GWEI, chainId=chain_id),
            sign(len(raws) + 3, kit, move(0), maxPriorityFeePerGas=77, chainId=chain_id),
            sign(
                len(raws) + 4,
                BOB,
                ask("peek()"),
                type=4,
                authorizationList=[lent],
                chainId=chain_id,
            ),
            sign(len(raws) + 5, BOB, ask("peek()"), chainId=chain_id),
        ):
            raws.append(more)
            chain.send(more)
            chain.seal()
        for raw, entry in zip(raws, chain.transactions(), strict=True):
            theirs = peer.get_transaction_receipt(peer.send_raw_transaction("0x" + raw.hex()))
            assert theirs["transaction_hash"] == "0x" + entry.receipt.tx_hash.hex()
            assert theirs["gas_used"] == entry.receipt.gas_used
            assert theirs["status"] == entry.receipt.status
        head = peer.get_block_by_number("latest")
        assert head["state_root"] == "0x" + chain.state_root.hex()

    def test_is_the_same_within_a_block_as_across_blocks(self) -> None:
        """Warm sets and original values start afresh with each transaction."""
        apart, kit = deployed()
        together, _ = deployed()
        fill = "fill(uint256,uint256,uint256)"
        script = [ask(fill, 0, 9, n % 3) for n in range(8)] + [move(1), move(1)]
        for nonce, data in enumerate(script, 1):
            apart.seal()
            assert (
                apart.send(sign(nonce, kit, data)).gas_used
                == together.send(sign(nonce, kit, data)).gas_used
            )

    def test_fees_are_paid_burnt_and_tipped(self) -> None:
        chain = make()
        receipt = chain.send(sign(0, BOB, value=7, maxPriorityFeePerGas=3))
        base = 875_000_000
        assert receipt.gas_used == 21_000
        assert receipt.effective_gas_price == base + 3
        assert chain.balance(ALICE) == ALLOC[ALICE] - 7 - 21_000 * (base + 3)
        assert chain.balance(BOB) == ALLOC[BOB] + 7
        assert chain.balance(bytes(20)) == 21_000 * 3

    def test_the_estimate_is_enough_and_one_less_is_not(self) -> None:
        chain, kit = deployed()
        fill = "fill(uint256,uint256,uint256)"
        for data in (move(5), ask(fill, 0, 5, 5), ask(fill, 0, 5, 0), ask("peek()")):
            need = chain.estimate(to=kit, data=data, sender=ALICE)
            nonce = chain.nonce(ALICE)
            with pytest.raises(Refused):
                chain.send(sign(nonce, kit, data, gas=need - 1))
            assert chain.send(sign(nonce, kit, data, gas=need)).status == 1

    def test_the_estimate_covers_what_inner_calls_keep_back(self) -> None:
        chain, kit = deployed()
        data = ask("careful(uint256)", 30)
        need = chain.estimate(to=kit, data=data, sender=ALICE)
        used = chain.send(sign(1, kit, data, gas=need)).gas_used
        assert used < need < used * 2
        with pytest.raises(Reverted):
            chain.send(sign(2, kit, data, gas=need * 95 // 100))

    def test_the_estimate_of_what_reverts_is_the_revert(self) -> None:
        chain, kit = deployed()
        with pytest.raises(Reverted) as caught:
            chain.estimate(to=kit, data=move(1), sender=BOB)
        assert caught.value.reason == "token/balance"

    def test_the_deepest_calls_fit_pythons_stack(self) -> None:
        """1,024 levels: ``PUSH0 ×5 ADDRESS GAS CALL STOP`` calls itself until it may not."""
        chain = make()
        loop = bytes.fromhex("5f5f5f5f5f305af100")
        init = b"\x68" + loop + bytes.fromhex("5f5260096017f3")
        deep = chain.send(sign(0, None, init)).contract_address
        before = chain.transactions()
        try:
            receipt = chain.send(sign(1, deep, gas=299_000_000))
        except Refused as refusal:
            # Python 3.12 alone has a fixed limit for C calls; then nothing may be half-done.
            assert sys.version_info[:2] == (3, 12)
            assert (refusal.code, chain.transactions()) == ("evm/depth", before)  # noqa: PT017
        else:
            assert (receipt.status, receipt.gas_used) == (1, 98_029)


class TestRefusals:
    @pytest.mark.parametrize(
        ("code", "nonce", "over"),
        [
            ("evm/nonce", 0, {}),
            ("evm/nonce", 2, {}),
            ("evm/funds", 1, {"value": 10**24}),
            ("evm/fee", 1, {"maxFeePerGas": 1}),
            ("evm/fee", 1, {"maxPriorityFeePerGas": 3 * GWEI}),
            ("evm/gas", 1, {"gas": 20_999}),
            ("evm/gas", 1, {"gas": 300_000_001}),
            ("evm/gas", 1, {"gas": 24_999, "data": b"\1" * 100}),  # below the calldata floor
            ("evm/transaction", 1, {"chainId": 1}),
        ],
    )
    def test_by_code_and_without_trace(
        self, code: str, nonce: int, over: dict[str, object]
    ) -> None:
        chain = make()
        chain.send(sign(0, BOB))
        before = fingerprint(chain)
        with pytest.raises(Refused) as caught:
            chain.send(sign(nonce, BOB, **over))
        assert caught.value.code == code
        assert fingerprint(chain) == before
        assert chain.send(sign(1, BOB)).status == 1

    def test_the_floor_itself_is_taken(self) -> None:
        chain = make()
        data = b"\1" * 100
        assert chain.send(sign(0, BOB, data, gas=25_000)).gas_used == 21_000 + 4_000

    def test_no_money_at_all(self) -> None:
        chain = make()
        with pytest.raises(Refused, match="evm/funds"):
            chain.send(sign(0, BOB, who=2, gas=1_000_000, maxFeePerGas=2 * GWEI))

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"\0",
            b"\x02",
            b"\x03\xc0",
            b"\x7f" * 40,
            b"\xc0",
            b"\xf8",
            b"\xc1" * 60_000 + b"\xc0",
            b"\2" * 200_000,
        ],
        ids=range(9),
    )
    def test_garbage(self, raw: bytes) -> None:
        chain = make()
        before = fingerprint(chain)
        with pytest.raises(Refused) as caught:
            chain.send(raw)
        assert caught.value.code == "evm/transaction"
        assert fingerprint(chain) == before

    @given(st.data())
    @settings(max_examples=60, deadline=None, derandomize=True)
    def test_a_flipped_byte_never_moves_the_signers_money(self, data: st.DataObject) -> None:
        chain = make()
        raw = bytearray(sign(0, BOB, value=5))
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] ^= data.draw(st.integers(1, 255))
        with pytest.raises(Refused):
            chain.send(bytes(raw))
        assert chain.nonce(ALICE) == 0

    def test_a_malleable_signature(self) -> None:
        order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
        fields = rlp.decode(sign(0, BOB, value=5)[1:])
        fields[9] = b"" if fields[9] else b"\1"
        fields[11] = (order - int.from_bytes(fields[11], "big")).to_bytes(32, "big")
        with pytest.raises(Refused) as caught:
            make().send(b"\2" + rlp.encode(fields))
        assert caught.value.facts["reason"] == "signature"

    def test_a_transaction_without_a_chain_id(self) -> None:
        from eth_keys import keys

        body = [b"", (2 * GWEI).to_bytes(4, "big"), b"\x52\x08", BOB, b"", b""]
        signature = keys.PrivateKey(KEYS[0]).sign_msg(rlp.encode(body))
        raw = rlp.encode([*body, 27 + signature.v, signature.r, signature.s])
        with pytest.raises(Refused) as caught:
            make().send(raw)
        assert caught.value.facts["reason"] == "chain id"

    def test_two_encodings_of_one_number(self) -> None:
        from eth_keys import keys

        def raw(nonce: bytes) -> bytes:
            fee = (2 * GWEI).to_bytes(4, "big")
            gas = (21_000).to_bytes(2, "big")
            body = [CHAIN_ID.to_bytes(2, "big"), nonce, b"", fee, gas, BOB, b"", b"", []]
            signature = keys.PrivateKey(KEYS[0]).sign_msg(b"\2" + rlp.encode(body))
            return b"\2" + rlp.encode([*body, signature.v, signature.r, signature.s])

        chain = make()
        with pytest.raises(Refused) as caught:
            chain.send(raw(b"\0"))
        assert caught.value.facts["reason"] == "integer"
        assert chain.send(raw(b"")).status == 1

    def test_init_code_is_part_of_the_least_gas(self) -> None:
        chain = make()
        least = 21_000 + 32_000 + 4 * 64 + 2 * 2
        with pytest.raises(Refused) as caught:
            chain.send(sign(0, None, bytes(64), gas=least - 1))
        assert caught.value.code == "evm/gas"
        assert chain.send(sign(0, None, bytes(64), gas=least)).gas_used == least

    def test_init_code_above_the_limit(self) -> None:
        chain = make()
        assert chain.send(sign(0, None, bytes(49_152), gas=4_000_000)).status == 1
        with pytest.raises(Refused, match="init code"):
            chain.send(sign(1, None, bytes(49_153), gas=4_000_000))
        with pytest.raises(Refused, match="init code"):
            chain.call(to=None, data=bytes(49_153))

    @pytest.mark.parametrize(
        ("over", "code"),
        [
            ({"chain_id": 0}, "evm/chain-id"),
            ({"genesis_time": -1}, "input/time"),
            ({"alloc": {b"short": 1}}, "evm/address"),
            ({"alloc": {ALICE: -1}}, "input/amount"),
        ],
    )
    def test_a_chain_of_nonsense(self, over: dict[str, object], code: str) -> None:
        fields = {"chain_id": 1, "genesis_time": 1, "alloc": {}, "clock": Clock()} | over
        with pytest.raises(BadInput) as caught:
            Chain(**fields)  # type: ignore[arg-type]
        assert caught.value.code == code

    def test_reads_of_nonsense(self) -> None:
        chain = make()
        with pytest.raises(BadInput, match="evm/address"):
            chain.balance(b"short")
        with pytest.raises(BadInput, match="evm/block"):
            chain.balance(ALICE, block=1)
        with pytest.raises(BadInput, match="evm/block"):
            chain.call(to=BOB, block=-1)
        with pytest.raises(BadInput, match="evm/word"):
            chain.storage(ALICE, 2**256)


class TestReverts:
    def test_a_strict_revert_leaves_nothing(self) -> None:
        chain, kit = deployed()
        before = fingerprint(chain)
        with pytest.raises(Reverted):
            chain.send(sign(1, kit, move(10**30)))
        assert fingerprint(chain) == before
        assert chain.send(sign(1, kit, move(1))).tx_index == 1

    def test_a_strict_revert_leaves_hashes_alone(self) -> None:
        calm, kit = deployed()
        tried, _ = deployed()
        for nonce in range(1, 5):
            with pytest.raises(Reverted):
                tried.send(sign(nonce, kit, ask("fail_with(bytes)", b"x"), value=3))
            for chain in (calm, tried):
                chain.send(sign(nonce, kit, move(nonce)))
        assert calm.seal() == tried.seal()

    def test_otherwise_it_is_mined_and_paid(self) -> None:
        chain, kit = deployed()
        before = chain.balance(ALICE)
        blob = b"\xde\xad\xbe\xef" + bytes(range(40))
        receipt = chain.send(sign(1, kit, ask("fail_with(bytes)", blob), value=9), strict=False)
        assert receipt.status == 0
        assert receipt.output == blob
        assert receipt.logs == ()
        assert chain.balance(ALICE) == before - receipt.gas_used * receipt.effective_gas_price
        assert chain.nonce(ALICE) == 2
        assert chain.balance(kit) == 0

    @pytest.mark.parametrize(
        ("blob", "code", "reason", "panic"),
        [
            (b"", "evm/revert", None, None),
            (b"\xde\xad\xbe\xef" * 9, "evm/revert", None, None),
            (ask("Error(string)", "repay/no-debt"), "repay/no-debt", "repay/no-debt", None),
            (ask("Error(string)", "just no"), "evm/revert", "just no", None),
            (ask("Error(string)", "x" * 300), "evm/revert", "x" * 300, None),
            (ask("Error(string)", "x" * 300)[:-100], "evm/revert", None, None),
            (ask("Error(bytes)", b"\xff\xfe"), "evm/revert", None, None),
            (ask("Panic(uint256)", 0x11), "evm/revert", None, 0x11),
            (ask("Panic(uint256)", 2**255), "evm/revert", None, None),
        ],
        ids=["empty", "custom", "code", "text", "long", "cut", "bytes", "panic", "wide-panic"],
    )
    def test_data_is_exact_and_decoded(
        self, blob: bytes, code: str, reason: str | None, panic: int | None
    ) -> None:
        chain, kit = deployed()
        data = ask("fail_with(bytes)", blob)
        for run in (
            lambda: chain.send(sign(1, kit, data)),
            lambda: chain.call(to=kit, data=data),
        ):
            with pytest.raises(Reverted) as caught:
                run()
            error = caught.value
            assert (error.data, error.code, error.reason) == (blob, code, reason)
            assert error.panic == panic
            assert error.halt == "Revert"
            assert len(str(error)) < 300

    def test_running_out_of_gas(self) -> None:
        chain, kit = deployed()
        with pytest.raises(Reverted) as caught:
            chain.send(sign(1, kit, ask("spin()"), gas=200_000))
        assert (caught.value.data, caught.value.halt) == (b"", "OutOfGas")
        receipt = chain.send(sign(1, kit, ask("spin()"), gas=200_000), strict=False)
        assert (receipt.status, receipt.gas_used) == (0, 200_000)

    def test_a_failed_creation(self) -> None:
        chain = make()
        receipt = chain.send(sign(0, None, b"\xfe"), strict=False)
        assert receipt.status == 0
        assert receipt.contract_address is not None
        assert chain.code(receipt.contract_address) == b""


class TestCalls:
    def test_see_the_pending_state_and_the_clock(self) -> None:
        chain, kit = deployed()
        chain.send(sign(1, kit, move(5)))
        assert int.from_bytes(chain.call(to=kit, data=ask("balance_of(address)", BOB))) == 5
        number, time, parent, fee, sender, coinbase = self._world(chain, kit)
        assert (number, time, fee) == (1, chain.clock.now, 0)
        assert parent == chain.head_hash
        assert sender == coinbase == bytes(20)
        chain.clock.at_least(chain.clock.now + 500)
        number, time, parent, *_ = self._world(chain, kit)
        assert (number, time, parent) == (2, chain.clock.now, chain.head_hash)

    def test_of_the_past_see_the_past(self) -> None:
        chain, kit = deployed()
        first = chain.seal()
        chain.send(sign(1, kit, move(5)))
        chain.clock.at_least(chain.clock.now + 500)
        chain.send(sign(2, kit, move(5)))
        assert first is not None
        at = {n: self._balance(chain, kit, block=n) for n in (1, 2)}
        assert at == {1: 0, 2: 5}
        assert self._balance(chain, kit) == 10
        number, time, parent, *_ = self._world(chain, kit, block=1)
        assert (number, time, parent) == (1, first.timestamp, first.parent_hash)
        assert chain.nonce(ALICE, block=0) == 0
        assert chain.nonce(ALICE, block=2) == 2
        assert chain.nonce(ALICE) == 3
        assert chain.balance(ALICE, block=0) == ALLOC[ALICE]
        assert chain.code(kit, block=0) == b""
        assert chain.code(kit, block=1) == chain.code(kit)

    def test_leave_no_trace(self) -> None:
        chain, kit = deployed()
        before = fingerprint(chain)
        chain.call(to=kit, data=move(5), sender=ALICE)
        chain.call(to=None, data=bytecode(), sender=ALICE)
        chain.estimate(to=kit, data=move(5), sender=ALICE)
        assert fingerprint(chain) == before

    def test_value_must_be_there(self) -> None:
        chain = make()
        assert chain.call(to=BOB, sender=CAROL, value=10**15) == b""
        with pytest.raises(Refused, match="evm/funds"):
            chain.call(to=BOB, sender=CAROL, value=10**15 + 1)

    def test_end_even_if_the_contract_does_not(self) -> None:
        chain, kit = deployed()
        with pytest.raises(Reverted) as caught:
            chain.call(to=kit, data=ask("spin()"), gas=300_000)
        assert caught.value.halt == "OutOfGas"

    def test_have_a_cap_on_gas(self) -> None:
        left = bytes.fromhex("5a5f5260205ff3")  # GAS PUSH0 MSTORE PUSH1 32 PUSH0 RETURN
        assert 49_900_000 < int.from_bytes(make().call(to=None, data=left, gas=10**12)) < 5 * 10**7

    def test_storage_is_read_by_slot(self) -> None:
        chain, kit = deployed()
        chain.send(sign(1, kit, ask("fill(uint256,uint256,uint256)", 3, 1, 99)))
        at = keccak(encode(["uint256", "uint256"], [1, 3]))
        assert chain.storage(kit, int.from_bytes(at)) == 99
        assert int.from_bytes(chain.call(to=kit, data=ask("slot(uint256)", 3))) == 99

    def _balance(self, chain: Chain, kit: bytes, *, block: int | None = None) -> int:
        data = ask("balance_of(address)", BOB)
        return int.from_bytes(chain.call(to=kit, data=data, block=block))

    def _world(self, chain: Chain, kit: bytes, *, block: int | None = None) -> list[object]:
        out = chain.call(to=kit, data=ask("world()"), block=block)
        words = [out[i : i + 32] for i in range(0, 192, 32)]
        number, time, parent, fee, sender, coinbase = words
        return [
            int.from_bytes(number),
            int.from_bytes(time),
            parent,
            int.from_bytes(fee),
            sender[12:],
            coinbase[12:],
        ]


class TestLogs:
    MOVED = keccak(b"Moved(address,address,uint256)")

    @pytest.fixture
    def chain(self) -> Chain:
        chain, kit = deployed()
        for nonce in range(1, 13):
            chain.send(sign(nonce, kit, move(nonce, (BOB, CAROL)[nonce % 2])))
            if nonce % 4 == 0:
                chain.clock.at_least(chain.clock.now + 1)
        other = chain.send(sign(13, None, bytecode(), gas=4_000_000)).contract_address
        chain.send(sign(14, other, move(99)))
        return chain

    def _amounts(self, chain: Chain, **query: object) -> list[int]:
        return [int.from_bytes(log.data) for log in chain.logs(**query)]  # type: ignore[arg-type]

    def test_by_block_address_and_topics(self, chain: Chain) -> None:
        kit = chain.transactions()[0].receipt.contract_address
        bob, carol = bytes(12) + BOB, bytes(12) + CAROL
        everything = [*range(1, 13), 99]
        assert self._amounts(chain) == everything
        assert self._amounts(chain, address=kit) == everything[:-1]
        assert self._amounts(chain, address=[kit, BOB]) == everything[:-1]
        assert self._amounts(chain, address=[]) == []
        assert self._amounts(chain, from_block=2, to_block=2) == [5, 6, 7, 8]
        assert self._amounts(chain, address=kit, from_block=2, to_block=2) == [5, 6, 7, 8]
        assert self._amounts(chain, topics=[self.MOVED], from_block=4) == [99]
        assert self._amounts(chain, topics=[None, None, carol]) == list(range(1, 13, 2))
        assert self._amounts(chain, topics=[self.MOVED, None, [bob, carol]]) == everything
        assert self._amounts(chain, topics=[[bob]]) == []
        assert self._amounts(chain, topics=[None, None, None, None]) == []
        assert self._amounts(chain, from_block=99) == []

    def test_are_bounded(self, chain: Chain) -> None:
        assert len(chain.logs(limit=13)) == 13
        with pytest.raises(Refused, match="evm/logs"):
            chain.logs(limit=12)

    def test_since_a_cursor(self, chain: Chain) -> None:
        logs, cursor = chain.logs_since()
        assert [int.from_bytes(log.data) for log in logs] == [*range(1, 13), 99]
        assert chain.logs_since(cursor) == ((), cursor)
        assert cursor == chain.cursor
        kit = chain.transactions()[0].receipt.contract_address
        chain.send(sign(15, kit, move(50)))
        (log,), after = chain.logs_since(cursor)
        assert (int.from_bytes(log.data), after) == (50, cursor + 1)
        for bad in (-1, after + 1):
            with pytest.raises(BadInput, match="evm/cursor"):
                chain.logs_since(bad)

    def test_stay_quick(self) -> None:
        """Looking at one address does not walk over the others' logs."""
        chain, kit = deployed()
        for nonce in range(1, 200):
            chain.send(sign(nonce, kit, move(1)))
        history = chain._ledger.history
        seen: list[object] = []
        original = history.logs

        class Counted(list):  # type: ignore[type-arg]
            def __getitem__(self, at: object) -> object:
                seen.append(at)
                return original[at]  # type: ignore[index]

        history.logs = Counted(original)
        assert chain.logs(address=BOB) == ()
        assert len(seen) < 40


class TestSnapshots:
    def test_bring_everything_back_but_the_clock(self) -> None:
        chain, kit = deployed()
        before = fingerprint(chain)
        mark = chain.snapshot()
        chain.send(sign(1, kit, move(5)))
        chain.seal()
        chain.send(sign(2, kit, move(5)))
        assert chain.clock.now == GENESIS + 61
        chain.revert(mark)
        chain.clock.now = GENESIS + 60
        assert fingerprint(chain) == before
        assert chain.send(sign(1, kit, move(5))).tx_index == 1

    def test_are_used_up(self) -> None:
        chain = make()
        first, second = chain.snapshot(), chain.snapshot()
        chain.revert(first)
        for gone in (first, second, 77):
            with pytest.raises(Refused) as caught:
                chain.revert(gone)
            assert caught.value.code == "evm/snapshot"
        assert chain.snapshot() > second

    def test_cut_off_what_was_reverted(self) -> None:
        chain, kit = deployed()
        mark = chain.snapshot()
        receipt = chain.send(sign(1, kit, move(5)))
        block = chain.seal()
        chain.revert(mark)
        assert chain.receipt(receipt.tx_hash) is None
        assert chain.block_of(receipt) is None
        assert block is not None
        assert chain.block(block.hash) is None
        assert chain.logs() == ()
        with pytest.raises(BadInput, match="evm/cursor"):
            chain.logs_since(1)
        again = chain.send(sign(1, kit, move(6)))
        other = chain.seal()
        assert other is not None
        assert (other.number, again.block_number) == (block.number, receipt.block_number)
        assert chain.block(block.hash) is None
        assert chain.block_of(receipt) is None
        assert chain.logs(address=kit) == chain.logs(topics=[TestLogs.MOVED]) == again.logs


STEP = st.one_of(
    st.tuples(st.just("move"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("fill"), st.integers(0, 4), st.integers(0, 2)),
    st.tuples(st.just("fail"), st.booleans()),
    st.tuples(st.just("wait"), st.integers(1, 3)),
    st.tuples(st.just("seal"), st.booleans()),
    st.tuples(st.just("save")),
    st.tuples(st.just("load")),
    st.tuples(st.just("look")),
    st.tuples(st.just("rehearse"), st.sampled_from(("pass", "fail", "seal"))),
)


@given(st.lists(STEP, max_size=25))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_history_equals_a_fresh_run_of_what_is_left(steps: list[tuple[object, ...]]) -> None:
    """Snapshots, reverts, refusals and looks leave no mark: the bytes alone decide."""
    chain, kit = deployed()
    saved: list[tuple[int, int, tuple[object, ...]]] = []
    for name, *args in steps:
        nonce = chain.nonce(ALICE)
        match name:
            case "move":
                chain.send(sign(nonce, kit, move(args[0], BOB if args[1] else CAROL)))
            case "fill":
                data = ask("fill(uint256,uint256,uint256)", args[0], 3, args[1])
                chain.send(sign(nonce, kit, data))
            case "fail" if args[0]:
                with pytest.raises(Reverted):
                    chain.send(sign(nonce, kit, move(10**30)))
            case "fail":
                chain.send(sign(nonce, kit, move(10**30)), strict=False)
            case "wait":
                chain.clock.at_least(chain.clock.now + args[0])
            case "seal":
                chain.seal(empty=args[0])
            case "save":
                now = chain.clock.now
                seen = fingerprint(chain)
                saved.append((chain.snapshot(), now, seen))
            case "load" if saved:
                mark, now, seen = saved.pop()
                chain.revert(mark)
                chain.clock.now = now
                assert fingerprint(chain) == seen
            case "look":
                chain.call(to=kit, data=move(3), sender=ALICE)
                chain.estimate(to=kit, data=ask("fill(uint256,uint256,uint256)", 0, 3, 0))
            case "rehearse":
                now, seen = chain.clock.now, fingerprint(chain)
                with suppress(Reverted), chain.rehearsal():
                    chain.send(sign(nonce, kit, move(1)))
                    if args[0] == "seal":
                        chain.seal()
                    chain.send(sign(nonce + 1, kit, move(10**30 if args[0] == "fail" else 2)))
                    assert chain.nonce(ALICE) == nonce + 2
                assert (chain.clock.now, fingerprint(chain)) == (now, seen)
    fresh = make(clock=Clock(now=GENESIS))
    fresh.restore(chain.export(), head=chain.head_hash)
    fresh.clock.at_least(chain.clock.now)
    assert fingerprint(fresh) == fingerprint(chain)
    assert fresh.seal() == chain.seal()


class TestRestore:
    @pytest.fixture
    def saved(self) -> tuple[BlockRecord, ...]:
        chain, kit = deployed()
        chain.seal()
        chain.send(sign(1, kit, move(5)))
        chain.send(sign(2, kit, move(10**30)), strict=False)
        return chain.export()

    def test_gives_the_same_chain(self, saved: tuple[BlockRecord, ...]) -> None:
        chain = make(clock=Clock(now=0))
        chain.restore(saved)
        assert chain.export() == saved
        assert chain.clock.now == saved[-1].timestamp
        assert [record.sealed for record in saved] == [True, False]

    def test_refuses_a_chain_in_use(self, saved: tuple[BlockRecord, ...]) -> None:
        chain, _ = deployed()
        with pytest.raises(BadInput) as caught:
            chain.restore(saved)
        assert caught.value.code == "world/format"

    @pytest.mark.parametrize("kind", ["head", "byte", "order", "dropped", "time", "empty", "gas"])
    def test_refuses_what_was_altered(self, saved: tuple[BlockRecord, ...], kind: str) -> None:
        first, last = saved
        raw = last.transactions[0]
        altered = {
            "head": saved,
            "byte": (first, replace(last, transactions=(raw[:-1] + bytes([raw[-1] ^ 1]),))),
            "order": (last, first),
            "dropped": (replace(first, transactions=()), last),
            "time": (first, replace(last, timestamp=first.timestamp)),
            "empty": (replace(first, transactions=(), sealed=False), first),
            "gas": (
                replace(first, transactions=tuple(sign(n, BOB, gas=299_990_000) for n in (0, 1))),
            ),
        }[kind]
        chain = make(clock=Clock(now=0))
        before = fingerprint(chain)
        with pytest.raises(BadInput) as caught:
            chain.restore(altered, head=bytes(32) if kind == "head" else None)
        assert caught.value.code == "world/tampered"
        assert fingerprint(chain) == before
        chain.restore(saved)


class TestDelegation:
    def test_an_account_lends_itself_a_contracts_code(self) -> None:
        """EIP-7702, so that wallets that need it can be tried."""
        chain, kit = deployed()
        signed = ACCOUNTS[1].sign_authorization({"chainId": CHAIN_ID, "address": kit, "nonce": 0})
        raw = sign(1, BOB, ask("peek()"), type=4, authorizationList=[signed])
        receipt = chain.send(raw)
        assert (receipt.status, receipt.type_id) == (1, 4)
        assert chain.code(BOB) == b"\xef\x01\x00" + kit
        assert chain.nonce(BOB) == 1
        assert chain.send(sign(1, ALICE, who=1)).status == 1
        assert chain.seal() is not None

    def test_an_empty_list_is_refused(self) -> None:
        fields = [b"\x7a\x69", b"", b"", b"\1", b"\1", BOB, b"", b"", [], [], b"", b"\1", b"\1"]
        with pytest.raises(Refused, match="evm/transaction"):
            make().send(b"\4" + rlp.encode(fields))


def test_chains_are_let_go() -> None:
    """Worlds are made and dropped by the thousand in one process."""

    def some(count: int) -> list[weakref.ref[object]]:
        stores: list[weakref.ref[object]] = []
        for _ in range(count):
            chain = make()
            chain.send(sign(0, BOB, value=1))
            chain.seal()
            stores.append(weakref.ref(chain._ledger._db))
        gc.collect()
        return stores

    assert [store() for store in some(3)] == [None] * 3
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    some(150)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used < 5_000  # KiB


def test_reprs_are_short() -> None:
    chain, _ = deployed()
    assert repr(chain) == "<Chain 31337 #0 pending=1>"
