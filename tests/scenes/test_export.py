"""The evidence of a run, replayed by a stranger: blocks, transactions and log come to the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from escrow.adapters.bitcoin.node import Node
from escrow.adapters.evm.chain import BlockRecord, Chain
from escrow.adapters.store.codec import decode, state_hash
from escrow.clock import Clock
from escrow.core.errors import BadInput
from escrow.core.regions.system import new_system
from escrow.core.state import Escrow, evolve
from escrow.core.units import Bps, Seconds
from escrow.sim.scenes import play
from escrow.view.export import export


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evidence")
    with play("liquidation", seed=7) as world:
        export(world, out)
    return out


@pytest.fixture(scope="module")
def manifest(folder: Path) -> dict[str, object]:
    return json.loads((folder / "manifest.json").read_text())  # type: ignore[no-any-return]


def test_the_manifest_lists_every_file_with_its_hash(folder: Path, manifest) -> None:
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert set(manifest["files"]) | {"manifest.json"} == there
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert {"seed", "versions", "terms_hash", "tip_hash", "height", "state_hash"} <= set(manifest)


def test_a_fresh_kernel_comes_to_the_same_tip(folder: Path, manifest) -> None:
    with Node() as node:
        for line in (folder / "bitcoin_blocks.hex").read_text().splitlines():
            node.submit_block(bytes.fromhex(line))
        assert (node.height, node.tip_hash) == (manifest["height"], manifest["tip_hash"])


def test_a_fresh_evm_comes_to_the_same_head_gas_and_logs(folder: Path, manifest) -> None:
    genesis = json.loads((folder / "evm_genesis.json").read_text())
    rows = [json.loads(line) for line in (folder / "evm_txs.jsonl").read_text().splitlines()]
    start = int(genesis["timestamp"], 16)
    chain = Chain(
        chain_id=genesis["config"]["chainId"],
        genesis_time=start,
        alloc={bytes.fromhex(a[2:]): int(v["balance"], 16) for a, v in genesis["alloc"].items()},
        clock=Clock(Seconds(start)),
    )
    numbers = sorted({row["block"] for row in rows})
    assert numbers == list(range(1, len(numbers) + 1))
    blocks = [
        BlockRecord(
            timestamp=next(r["timestamp"] for r in rows if r["block"] == n),
            transactions=tuple(bytes.fromhex(r["raw"][2:]) for r in rows if r["block"] == n),
            sealed=n <= manifest["evm_block"],
        )
        for n in numbers
    ]
    chain.restore(blocks)
    assert "0x" + chain.head_hash.hex() == manifest["evm_head_hash"]
    for row, again in zip(rows, chain.transactions(), strict=True):
        receipt = again.receipt
        assert (receipt.status, receipt.gas_used) == (row["status"], row["gasUsed"])
        assert ["0x" + log.data.hex() for log in receipt.logs] == [x["data"] for x in row["logs"]]


def test_the_log_folds_to_the_state_hash(folder: Path, manifest) -> None:
    system = new_system(
        origin=Seconds(manifest["system"]["origin"]),
        heartbeat=Seconds(manifest["system"]["heartbeat"]),
        quorum=manifest["system"]["quorum"],
        wide_quorum=manifest["system"]["wide_quorum"],
        deviation=Bps(manifest["system"]["deviation"]),
    )
    deals: dict[str, Escrow] = {}
    for line in (folder / "log.jsonl").read_text().splitlines():
        row = json.loads(line)
        event = decode(json.dumps(row["event"], separators=(",", ":"), ensure_ascii=False).encode())
        if row["stream"] == "":
            system = evolve(Escrow(system), event).system
        else:
            before = deals.get(row["stream"], Escrow(system))
            deals[row["stream"]] = evolve(before, event)
    regions = {name: (d.loan, d.vault, d.token, d.incidents) for name, d in deals.items()}
    assert state_hash(system, regions) == manifest["state_hash"]


def test_a_folder_that_holds_something_is_left_alone(folder: Path) -> None:
    before = sorted(p.name for p in folder.iterdir())
    with play("release", seed=1) as world, pytest.raises(BadInput) as refusal:
        export(world, folder)
    assert refusal.value.code == "export/exists"
    assert sorted(p.name for p in folder.iterdir()) == before


def test_no_key_is_in_the_evidence(folder: Path) -> None:
    with play("liquidation", seed=7) as world:
        secrets = [party.keys.evm_private_key().hex() for party in world.parties.values()]
    text = "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
    assert not any(secret in text for secret in secrets)
