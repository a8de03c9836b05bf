"""Blocks, transactions and scripts in the JSON of Blockstream's Esplora (``esplora/API.md``).

Amounts are sats; hashes and ids are in display order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

from btclib.block import Block
from btclib.block.partial_merkle_tree import PartialMerkleTree
from btclib.exceptions import BTClibTypeError, BTClibValueError
from btclib.p2p.merkleblock import MerkleBlock
from btclib.script.script import OP_CODE_NAME_FROM_INT
from btclib.script.script_pub_key import ScriptPubKey
from btclib.script.script_pub_key import address as btclib_address
from btclib.tx import Tx, TxIn, TxOut

from escrow.core.errors import BadInput

Json = dict[str, object]
"""A JSON object under construction."""

_NETWORK: Final = "regtest"
_TESTS: Final = ("regtest", "testnet")
"""Networks whose Base58 addresses look alike (Bitcoin Core, chainparams.cpp)."""
_LONGEST_ADDRESS: Final = 90
"""Characters of the longest bech32 text (BIP-173)."""
_PUSHDATA: Final = {0x4C: 1, 0x4D: 2, 0x4E: 4}
"""Opcode → bytes of the length that follows it."""
_CHECKSIG: Final = b"\xac"
# Esplora's words for opcodes are rust-bitcoin's, which differ from Core's for these.
_NAMES: Final = {
    **OP_CODE_NAME_FROM_INT,
    0x4F: "OP_PUSHNUM_NEG1",
    **{0x50 + number: f"OP_PUSHNUM_{number}" for number in range(1, 17)},
    0xB1: "OP_CLTV",
    0xB2: "OP_CSV",
    0xFF: "OP_INVALIDOPCODE",
}


def script_of(address: str) -> bytes:
    """The output script of an address. Raises BadInput("bitcoin/address").

    Base58 is welcome here, unlike in what is to be paid: a wallet only asks for its history.
    """
    try:
        if len(address) > _LONGEST_ADDRESS:
            raise BTClibValueError("too long")
        found = ScriptPubKey.from_address(address)
    except (BTClibValueError, BTClibTypeError, ValueError) as error:
        raise BadInput("bitcoin/address", address=address[:100]) from error
    if found.network not in _TESTS or address.lower().startswith("tb1"):
        raise BadInput("bitcoin/address", address=address[:100], network=found.network)
    return found.script


def script_type(script: bytes) -> str:
    """Esplora's word for the kind of an output script."""
    size = len(script)
    if not script:
        return "empty"
    if script[:1] == b"\x6a":
        return "op_return"
    if script[-1:] == _CHECKSIG and (size, script[0]) in ((35, 33), (67, 65)):
        return "p2pk"
    if size == 25 and script[:3] == b"\x76\xa9\x14" and script[-2:] == b"\x88\xac":
        return "p2pkh"
    if size == 23 and script[:2] == b"\xa9\x14" and script[-1:] == b"\x87":
        return "p2sh"
    known = {b"\x00\x14": "v0_p2wpkh", b"\x00\x20": "v0_p2wsh", b"\x51\x20": "v1_p2tr"}
    return known.get(script[:2], "unknown") if size > 2 and size == 2 + script[1] else "unknown"


def script_asm(script: bytes) -> str:
    """A script in rust-bitcoin's words, as Esplora shows it."""
    words: list[str] = []
    at = 0
    while at < len(script):
        code = script[at]
        at += 1
        if not 1 <= code <= 0x4E:
            words.append(_NAMES.get(code, f"OP_RETURN_{code}"))
            continue
        size = code
        if code in _PUSHDATA:
            width = _PUSHDATA[code]
            if at + width > len(script):
                words.append("<unexpected end>")
                break
            size = int.from_bytes(script[at : at + width], "little")
            at += width
        words.append(_NAMES[code] if code in _PUSHDATA else f"OP_PUSHBYTES_{code}")
        if at + size > len(script):
            words.append("<push past end>")
            break
        words.append(script[at : at + size].hex())
        at += size
    return " ".join(words)


def output_json(output: TxOut) -> Json:
    """An output; ``scriptpubkey_address`` only where the script has one."""
    script = output.script_pub_key.script
    shown: Json = {
        "scriptpubkey": script.hex(),
        "scriptpubkey_asm": script_asm(script),
        "scriptpubkey_type": script_type(script),
    }
    if address := btclib_address(script, _NETWORK):
        shown["scriptpubkey_address"] = address
    return shown | {"value": output.value}


def transaction_json(tx: Tx, *, txid: str, spends: Sequence[TxOut | None], status: Json) -> Json:
    """A transaction; ``spends`` are the outputs it takes, in order, none for a coinbase.

    Where one of them is not known, the fee is not either and shown as 0.
    """
    known = [each for each in spends if each is not None]
    taken = sum(each.value for each in known)
    complete = bool(spends) and len(known) == len(tx.vin)
    prevouts = spends or [None] * len(tx.vin)
    return {
        "txid": txid,
        "version": tx.version,
        "locktime": tx.lock_time,
        "vin": [_input_json(each, prev) for each, prev in zip(tx.vin, prevouts, strict=True)],
        "vout": [output_json(each) for each in tx.vout],
        "size": tx.size,
        "weight": tx.weight,
        "fee": taken - sum(each.value for each in tx.vout) if complete else 0,
        "status": status,
    }


def block_json(block: Block, *, height: int, median_time: int) -> Json:
    """A block without its transactions."""
    header = block.header
    return {
        "id": header.hash.hex(),
        "height": height,
        "version": header.version,
        "timestamp": int(header.time.timestamp()),
        "tx_count": len(block.transactions),
        "size": block.size,
        "weight": block.weight,
        "merkle_root": header.merkle_root.hex(),
        "previousblockhash": header.previous_block_hash.hex() if height else None,
        "mediantime": median_time,
        "nonce": header.nonce,
        "bits": int.from_bytes(header.bits, "big"),
        "difficulty": header.difficulty,
    }


def merkle_branch(txids: Sequence[str], position: int) -> list[str]:
    """The hashes beside a transaction on the way up to the block's Merkle root."""
    level = [bytes.fromhex(each)[::-1] for each in txids]
    branch: list[str] = []
    while len(level) > 1:
        level += level[-1:] * (len(level) % 2)
        branch.append(level[position ^ 1][::-1].hex())
        pairs = [level[i] + level[i + 1] for i in range(0, len(level), 2)]
        level = [sha256(sha256(pair).digest()).digest() for pair in pairs]
        position //= 2
    return branch


def merkleblock(block: Block, *, txid: str) -> bytes:
    """A ``merkleblock`` message that proves one transaction (BIP-37)."""
    txids = [tx.id.hex() for tx in block.transactions]
    tree = PartialMerkleTree.from_txids(txids, [each == txid for each in txids])
    proof = MerkleBlock(block.header, tree, check_validity=False)
    return proof.serialize(check_validity=False)


def histogram(entries: Sequence[Mapping[str, int]], *, width: int = 50_000) -> list[list[int]]:
    """``[feerate, vbytes]`` pairs, dearest first; each at least ``width`` but the last.

    Feerates are whole sat/vB, rounded down.
    """
    bins: list[list[int]] = []
    size = rate = 0
    for entry in sorted(entries, key=lambda each: -(each["fee"] * 10**8 // each["vsize"])):
        if size > width and entry["fee"] // entry["vsize"] != rate:
            bins.append([rate, size])
            size = 0
        rate = entry["fee"] // entry["vsize"]
        size += entry["vsize"]
    return [*bins, [rate, size]] if size else bins


def _input_json(tx_in: TxIn, prevout: TxOut | None) -> Json:
    sig = tx_in.script_sig
    stack = tx_in.script_witness.stack
    shown: Json = {
        "txid": tx_in.prev_out.tx_id.hex(),
        "vout": tx_in.prev_out.vout,
        "prevout": None if prevout is None else output_json(prevout),
        "scriptsig": sig.hex(),
        "scriptsig_asm": script_asm(sig),
    }
    if stack:
        shown["witness"] = [bytes(each).hex() for each in stack]
    shown |= {"is_coinbase": tx_in.is_coinbase, "sequence": tx_in.sequence}
    if prevout is None:
        return shown
    script = prevout.script_pub_key.script
    redeem = _last_push(sig) if script_type(script) == "p2sh" else b""
    if redeem:
        shown["inner_redeemscript_asm"] = script_asm(redeem)
    if stack and "v0_p2wsh" in (script_type(script), script_type(redeem)):
        shown["inner_witnessscript_asm"] = script_asm(bytes(stack[-1]))
    return shown


def _last_push(script: bytes) -> bytes:
    words = script_asm(script).split(" ")
    try:
        return bytes.fromhex(words[-1])
    except ValueError:
        return b""
