"""The evidence of a run on somebody else's EVM: anvil comes to the same to the last byte."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rlp
from eth_hash.auto import keccak
from node_lab import anvil
from trie import HexaryTrie

from escrow.adapters.evm.contracts import transaction
from escrow.adapters.evm.node_client import NodeClient
from escrow.adapters.evm.proof import check_account
from escrow.sim.scenes import play
from escrow.view.export import export
from escrow.world import World

Evidence = tuple[World, Path]


@pytest.fixture(scope="module", params=["liquidation", "release"])
def evidence(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Evidence]:
    folder = tmp_path_factory.mktemp("evidence")
    with play(request.param, seed=7) as world:
        # Scenes send nothing that reverts and make no empty blocks; others may.
        chain, cash = world.evm.chain, world.evm.contracts.cash
        chain.seal(empty=True)
        stranger = world.party("stranger").account
        data = cash.encode("transfer", bytes(19) + b"\1", 1)
        chain.send(
            transaction(stranger, chain=chain, to=cash.address, data=data, gas=100_000),
            strict=False,
        )
        export(world, folder)
        yield world, folder


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_status_gas_logs_and_state(evidence: Evidence, tool: Callable[[str], Path]) -> None:
    world, folder = evidence
    genesis = json.loads((folder / "evm_genesis.json").read_text())
    manifest = json.loads((folder / "manifest.json").read_text())
    rows, blocks = lines(folder / "evm_txs.jsonl"), lines(folder / "evm_blocks.jsonl")
    assert {row["status"] for row in rows} == {0, 1}
    assert 0 in {block["transactions"] for block in blocks}
    alloc = {bytes.fromhex(who[2:]): int(a["balance"], 16) for who, a in genesis["alloc"].items()}
    with anvil(
        tool("anvil"),
        *("--chain-id", str(genesis["config"]["chainId"]), "--no-mining", "--order", "fifo"),
        genesis_time=int(genesis["timestamp"], 16),
        alloc=alloc,
        # What it is given counts for its first block.
        base_fee=blocks[0]["baseFeePerGas"],
    ) as url:
        node = NodeClient(url)
        times = {block["number"]: block["timestamp"] for block in blocks}
        times |= {row["block"]: row["timestamp"] for row in rows}
        for number in sorted(times):
            node.call("evm_setNextBlockTimestamp", times[number])
            for row in rows:
                if row["block"] == number:
                    assert node.call("eth_sendRawTransaction", row["raw"]) == row["hash"]
            node.call("evm_mine")
        for row in rows:
            receipt: Any = node.call("eth_getTransactionReceipt", row["hash"])
            assert int(receipt["blockNumber"], 16) == row["block"]
            assert int(receipt["status"], 16) == row["status"]
            assert int(receipt["gasUsed"], 16) == row["gasUsed"]
            assert [
                {name: log[name] for name in ("address", "topics", "data")}
                for log in receipt["logs"]
            ] == row["logs"]
        for block in blocks:
            shown: Any = node.call("eth_getBlockByNumber", hex(block["number"]), False)
            for name in ("timestamp", "baseFeePerGas", "gasUsed"):
                assert int(shown[name], 16) == block[name]
            # Not the state's: anvil has one account more, the history contract of EIP-2935.
            for name in ("transactionsRoot", "receiptsRoot"):
                assert shown[name] == block[name]
        chain = world.evm.chain
        for who in alloc:
            address = "0x" + who.hex()
            assert node.call("eth_getBalance", address, "latest") == hex(chain.balance(who))
            assert node.call("eth_getTransactionCount", address, "latest") == hex(chain.nonce(who))
        chain.seal()
        accounts = dumped(node)
        for address in manifest["contracts"].values():
            who = bytes.fromhex(address[2:])
            (proof,) = chain.prove(who, (), block=chain.block_number)
            root = check_account(proof, state_root=chain.state_root, address=who)
            assert storage_root(accounts[address]["storage"]) == root
            assert node.call("eth_getCode", address, "latest") == "0x" + chain.code(who).hex()


def dumped(node: NodeClient) -> dict[str, Any]:
    """All accounts of an anvil, with every slot that was ever written."""
    state: Any = node.call("anvil_dumpState")
    accounts = json.loads(gzip.decompress(bytes.fromhex(state[2:])))["accounts"]
    return {address.lower(): account for address, account in accounts.items()}


def storage_root(slots: dict[str, str]) -> bytes:
    """The root over these slots. Anvil's own counts those that hold 0 again, so it is not asked."""
    trie = HexaryTrie({})
    for slot, word in slots.items():
        if number := int(word, 16):
            key = keccak(int(slot, 16).to_bytes(32, "big"))
            trie[key] = rlp.encode(number)
    return trie.root_hash
