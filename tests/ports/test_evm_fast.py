"""What is true of one machine in process only: what revm leaves out, and what unsigned means."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from evm_backends import need_pyrevm
from evm_lab import ACCOUNTS, ALICE, ALLOC, BOB, CHAIN_ID, GENESIS, Clock, ask, bytecode, move, sign
from hypothesis import given, settings
from hypothesis import strategies as st

from escrow.adapters.evm.chain import Chain
from escrow.adapters.evm.contracts import create_address
from escrow.adapters.evm.fast import MAX_SNAPSHOTS, FastChain
from escrow.adapters.evm.revert import Reverted
from escrow.core.errors import BadInput, Refused
from escrow.ports import EvmLab


def chains() -> tuple[Chain, FastChain]:
    """Both, with the kit at the same address."""
    need_pyrevm()
    plan = {"chain_id": CHAIN_ID, "genesis_time": GENESIS, "alloc": ALLOC}
    both = Chain(**plan, clock=Clock()), FastChain(**plan, clock=Clock())
    for chain in both:
        made = chain.act(ALICE, to=None, data=bytecode()).contract_address
        assert made == create_address(ALICE, nonce=0)
    return both


KIT = create_address(ALICE, nonce=0)


def test_without_pyrevm_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyrevm", None)
    with pytest.raises(BadInput, match="extra/missing") as caught:
        FastChain(chain_id=CHAIN_ID, genesis_time=GENESIS, alloc={}, clock=Clock())
    assert caught.value.facts["install"] == "pip install 'escrow-sim[fast]'"


class TestRevmLeavesOut:
    def test_gas_to_the_unit(self) -> None:
        ours, fast = chains()
        exact = [ours.act(ALICE, to=KIT, data=move(1)).gas_used for _ in range(2)]
        other = [fast.act(ALICE, to=KIT, data=move(1)).gas_used for _ in range(2)]
        assert exact[0] > exact[1] > other[1]

    def test_fees(self) -> None:
        ours, fast = chains()
        assert ours.balance(ALICE) < ALLOC[ALICE]
        assert fast.balance(ALICE) == ALLOC[ALICE]
        assert (fast.next_base_fee, fast.next_base_fee) == (10**9, 10**9)
        # Nobody needs wei to be played.
        assert fast.act(b"\x55" * 20, to=KIT, data=ask("peek()")).status == 1
        with pytest.raises(Refused, match="evm/funds"):
            ours.act(b"\x55" * 20, to=KIT, data=ask("peek()"))

    def test_delegation(self) -> None:
        _, fast = chains()
        signed = ACCOUNTS[1].sign_authorization({"chainId": CHAIN_ID, "address": KIT, "nonce": 0})
        raw = sign(1, BOB, ask("peek()"), type=4, authorizationList=[signed])
        with pytest.raises(Refused, match="evm/transaction"):
            fast.send(raw)
        assert fast.nonce(ALICE) == 1

    def test_snapshots_without_end(self) -> None:
        _, fast = chains()
        first = fast.snapshot()
        for _ in range(MAX_SNAPSHOTS - 1):
            fast.snapshot()
        with pytest.raises(Refused, match="evm/snapshot"):
            fast.snapshot()
        # As deep as it goes, contracts may still call each other.
        assert int.from_bytes(fast.call(to=KIT, data=ask("dive(uint256)", 15))) == 15
        fast.revert(first)
        assert fast.snapshot() > first

    def test_what_never_began(self) -> None:
        _, fast = chains()
        with pytest.raises(Refused, match="evm/transaction"):
            fast.act(BOB, to=None, data=bytes(50_000))
        assert fast.nonce(BOB) == 0


def test_reprs_are_short() -> None:
    _, fast = chains()
    assert repr(fast) == "<FastChain 31337 #1>"


class TestUnsigned:
    def test_costs_what_a_signed_one_costs(self) -> None:
        plan = {"chain_id": CHAIN_ID, "genesis_time": GENESIS, "alloc": ALLOC}
        signed, acted = Chain(**plan, clock=Clock()), Chain(**plan, clock=Clock())
        calls = (bytecode(), move(5), ask("fill(uint256,uint256,uint256)", 0, 9, 1))
        for nonce, data in enumerate(calls):
            to = KIT if nonce else None
            fee = signed.next_base_fee
            one = signed.send(sign(nonce, to, data, gas=10_000_000, maxFeePerGas=fee))
            two = acted.act(ALICE, to=to, data=data)
            assert (one.gas_used, one.effective_gas_price) == (
                two.gas_used,
                two.effective_gas_price,
            )
        for chain in (signed, acted):
            chain.seal()
        assert acted.state_root == signed.state_root
        assert acted.head.receipts_root == signed.head.receipts_root
        assert acted.head_hash != signed.head_hash

    def test_is_taken_by_no_node(self) -> None:
        ours, _ = chains()
        ours.seal()
        (record,) = ours.export()
        with pytest.raises(Refused, match="evm/transaction"):
            ours.send(record.transactions[0])
        fresh = Chain(chain_id=CHAIN_ID, genesis_time=GENESIS, alloc=ALLOC, clock=Clock(0))
        with pytest.raises(BadInput, match="world/tampered"):
            fresh.restore([replace(record, sealed=True)])

    def test_may_carry_wei_and_its_own_gas(self) -> None:
        ours, _ = chains()
        ours.act(ALICE, to=BOB, value=5)
        assert ours.balance(BOB) == ALLOC[BOB] + 5
        with pytest.raises(Refused, match="evm/gas"):
            ours.act(ALICE, to=BOB, gas=20_000)


STEP = st.one_of(
    st.tuples(st.just("move"), st.sampled_from((ALICE, BOB)), st.integers(0, 3)),
    st.tuples(st.just("move"), st.just(ALICE), st.just(10**30)),
    st.tuples(st.just("fill"), st.integers(0, 4), st.integers(0, 2)),
    st.tuples(st.just("create")),
    st.tuples(st.just("wait"), st.integers(1, 3)),
    st.tuples(st.just("save")),
    st.tuples(st.just("load")),
)


def play(chain: EvmLab, steps: list[tuple[object, ...]]) -> list[object]:
    """What comes of the steps, but gas."""
    seen: list[object] = []
    saved: list[int] = []

    def act(sender: bytes, to: bytes | None, data: bytes) -> None:
        done = chain.act(sender, to=to, data=data, strict=False)
        seen.append((done.status, done.output, done.contract_address, done.timestamp))
        seen.append((done.tx_index, done.block_number, done.sender, done.to))

    for name, *args in steps:
        match name:
            case "move":
                act(args[0], KIT, move(args[1]))
            case "fill":
                act(BOB, KIT, ask("fill(uint256,uint256,uint256)", args[0], 3, args[1]))
            case "create":
                act(ALICE, None, bytecode())
            case "wait":
                chain.move_to(chain.next_time + args[0])
            case "save":
                saved.append(chain.snapshot())
            case "load" if saved:
                chain.revert(saved.pop())
    seen += [chain.nonce(who) for who in (ALICE, BOB, KIT)]
    seen += [chain.storage(KIT, slot) for slot in range(3)]
    seen += [chain.call(to=KIT, data=ask("slot(uint256)", at)) for at in range(7)]
    seen += [chain.call(to=KIT, data=ask("balance_of(address)", who)) for who in (ALICE, BOB)]
    seen += [(log.address, log.topics, log.data, log.index) for log in chain.logs()]
    return seen


@given(st.lists(STEP, max_size=25))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_run_is_the_same_on_both(steps: list[tuple[object, ...]]) -> None:
    ours, fast = chains()
    assert play(fast, steps) == play(ours, steps)


def test_a_run_that_is_refused_leaves_the_next_one_alone() -> None:
    for chain in chains():
        mark = chain.snapshot()
        with pytest.raises(Reverted):
            chain.act(ALICE, to=KIT, data=move(10**30))
        chain.revert(mark)
        assert chain.act(ALICE, to=KIT, data=move(1)).status == 1
