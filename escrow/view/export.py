"""Evidence: a run as files that a stranger can feed into nodes of their own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Final

from escrow.core.errors import BadInput, Refused
from escrow.core.regions.system import System, new_system
from escrow.messages.audit import GENESIS, audit_lines
from escrow.messages.fold import messages
from escrow.messages.story import retold
from escrow.ports import Receipt
from escrow.words import jsonable
from escrow.world import World

_PARTS: Final = ("escrow-sim", "py-bitcoinkernel", "btclib-wallet", "py-evm", "eth-account")
"""Distributions whose versions decide what the files say."""


def export(
    world: World, folder: Path, *, also: Mapping[str, dict[str, object]] = MappingProxyType({})
) -> dict[str, object]:
    """Write the world's evidence into ``folder``, which must be new or empty; the manifest.

    ``bitcoin_blocks.hex``: raw blocks from height 1, one a line. ``evm_genesis.json``: a geth
    genesis. ``evm_txs.jsonl``: one object a transaction. ``evm_blocks.jsonl``: one object a sealed
    block, empty ones too: time, fee, gas and roots. ``log.jsonl``: the hash-chained log.
    ``messages/``: margin calls and collateral, a file a message, with the names of ISO 20022
    ``colr`` and ISDA CDM; no compliance is certified or claimed (``escrow.messages``).
    ``audit.jsonl``: who did what to which loan, a hash-chained line an event. ``acts.jsonl``: one
    object an act as it was asked, with its EVM transactions, also of what stands beside the loans
    and leaves no event (registers, markets, funds, swaps). ``manifest.json``: what it all must come
    to. ``also``: further JSON files by name. No key and no seed but the world's number.

    Raises ``BadInput("export/exists")`` if the folder holds anything, ``Refused("export/write")``
    if the disk refuses.
    """
    files = {
        "bitcoin_blocks.hex": _lines(block.hex() for block in world.bitcoin.blocks()),
        "evm_genesis.json": _json(_genesis(world)),
        "evm_blocks.jsonl": _lines(json.dumps(row, sort_keys=True) for row in _blocks(world)),
        "evm_txs.jsonl": _lines(json.dumps(row, sort_keys=True) for row in _transactions(world)),
        "log.jsonl": _lines(world.log_lines()),
    }
    told = tuple(retold(world.events(), system=_set_up(world)))
    letters = {
        f"messages/{each.file_name(number)}": _json(each.as_dict(number))
        for number, each in enumerate(messages(told), start=1)
    }
    audit = list(audit_lines(told, actors=_senders(world)))
    files |= letters | {"audit.jsonl": _lines(iter(audit))}
    files["acts.jsonl"] = _lines(json.dumps(row, sort_keys=True) for row in _acts(world))
    files |= {name: _json(content) for name, content in also.items()}
    manifest: dict[str, object] = {
        "seed": world.config.seed,
        "versions": {name: version(name) for name in _PARTS},
        "terms_hash": world.loans[-1].id if world.loans else None,
        "loans": [deal.id for deal in world.loans],
        "tip_hash": world.bitcoin.tip_hash,
        "height": world.bitcoin.height,
        "block_time_offset": world.block_time_offset,
        "evm_head_hash": "0x" + world.evm.chain.head_hash.hex(),
        "evm_block": world.evm.chain.block_number,
        "system": {
            "origin": world.config.deployed_at,
            "heartbeat": world.config.heartbeat,
            "quorum": world.config.oracle_quorum,
            "wide_quorum": world.config.oracle_wide_quorum,
            "deviation": world.config.deviation_bps,
        },
        "chain_id": world.evm.chain.chain_id,
        "contracts": _contracts(world),
        "vaults": {deal.id: deal.vault.descriptor for deal in world.loans},
        "state_hash": world.state_hash,
        "messages": len(letters),
        "audit_lines": len(audit),
        "audit_head": _head(audit),
        "files": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()},
    }
    files["manifest.json"] = _json(manifest)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BadInput("export/exists", folder=folder.name)
        (folder / "messages").mkdir()
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise Refused("export/write", reason=type(error).__name__) from error
    return manifest


def audit_head(world: World) -> tuple[int, str]:
    """Lines of the world's audit log, and the hash of the last: what ``audit.jsonl`` ends with."""
    told = retold(world.events(), system=_set_up(world))
    audit = list(audit_lines(tuple(told), actors=_senders(world)))
    return len(audit), _head(audit)


def _head(audit: Sequence[str]) -> str:
    return json.loads(audit[-1])["hash"] if audit else GENESIS


def _set_up(world: World) -> System:
    """The platform before its first event."""
    config = world.config
    return new_system(
        origin=config.deployed_at,
        heartbeat=config.heartbeat,
        quorum=config.oracle_quorum,
        wide_quorum=config.oracle_wide_quorum,
        deviation=config.deviation_bps,
    )


def _senders(world: World) -> dict[str, str]:
    """Who sent each EVM transaction: a party's name, or the address of somebody else."""
    names = {party.address_bytes: name for name, party in world.parties.items()}
    return {
        "0x" + each.receipt.tx_hash.hex(): names.get(
            each.receipt.sender, "0x" + each.receipt.sender.hex()
        )
        for each in world.evm.chain.transactions()
    }


def _lines(rows: Iterator[str]) -> str:
    return "".join(f"{row}\n" for row in rows)


def _json(value: dict[str, object]) -> str:
    return json.dumps(jsonable(value), indent=2, sort_keys=True) + "\n"


def _contracts(world: World) -> dict[str, object]:
    parts = {part.name: part for part in world.evm.contracts.parts} | dict(world.extras)
    return {label: "0x" + part.address.hex() for label, part in parts.items()}


def _genesis(world: World) -> dict[str, object]:
    """A genesis that geth and anvil (``--init``) read: Prague rules from the first block."""
    chain = world.evm.chain
    first = chain.block(0)
    assert first is not None
    forks = (
        "homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople",
        "petersburg", "istanbul", "berlin", "london",
    )  # fmt: skip
    times = ("shanghaiTime", "cancunTime", "pragueTime")
    return {
        "config": {
            "chainId": chain.chain_id,
            **{f"{name}Block": 0 for name in forks},
            **dict.fromkeys(times, 0),
            "terminalTotalDifficulty": 0,
        },
        "timestamp": hex(first.timestamp),
        "gasLimit": hex(300_000_000),
        "baseFeePerGas": hex(first.base_fee),
        "difficulty": "0x0",
        "extraData": "0x",
        "alloc": {
            party.address: {"balance": hex(chain.balance(party.address_bytes, block=0))}
            for party in world.parties.values()
        },
    }


def _blocks(world: World) -> Iterator[dict[str, object]]:
    chain = world.evm.chain
    for number in range(1, chain.block_number + 1):
        block = chain.block(number)
        assert block is not None
        yield {
            "number": number,
            "hash": "0x" + block.hash.hex(),
            "timestamp": block.timestamp,
            "baseFeePerGas": block.base_fee,
            "gasUsed": block.gas_used,
            "transactions": len(block.transactions),
            "transactionsRoot": "0x" + block.transactions_root.hex(),
            "receiptsRoot": "0x" + block.receipts_root.hex(),
            "stateRoot": "0x" + block.state_root.hex(),
        }


def _acts(world: World) -> Iterator[dict[str, object]]:
    for act in world.acts:
        first, after = act.log
        yield {
            "n": act.n,
            "at": act.at,
            "actor": act.actor,
            "verb": act.verb,
            "loan": act.loan,
            "asked": act.asked,
            "events": {"first": first, "after": after},
            "evm": list(act.evm),
            "refusals": [refusal.code for refusal in act.refusals],
        }


def _transactions(world: World) -> Iterator[dict[str, object]]:
    for each in world.evm.chain.transactions():
        receipt: Receipt = each.receipt
        yield {
            "raw": "0x" + each.raw.hex(),
            "hash": "0x" + receipt.tx_hash.hex(),
            "block": receipt.block_number,
            "timestamp": receipt.timestamp,
            "status": receipt.status,
            "gasUsed": receipt.gas_used,
            "logs": [
                {
                    "address": "0x" + log.address.hex(),
                    "topics": ["0x" + topic.hex() for topic in log.topics],
                    "data": "0x" + log.data.hex(),
                }
                for log in receipt.logs
            ],
        }
