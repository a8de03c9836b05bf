"""What a node relays: Bitcoin Core's policy for one transaction.

A block may carry more than this; the kernel judges blocks. The rules and their reason words are
Core's v31 (``policy.cpp``, ``validation.cpp``), the standardness part as ported by btclib.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from btclib.exceptions import BTClibTypeError, BTClibValueError, ScriptError
from btclib.policy import (
    DEFAULT_BYTES_PER_SIGOP,
    MAX_STANDARD_TX_SIGOPS_COST,
    MIN_STANDARD_TX_NONWITNESS_SIZE,
    are_inputs_standard,
    assert_standard_tx,
    dust_outputs,
    is_witness_standard,
    virtual_size,
)
from btclib.script.engine import sig_op_cost, verify_transaction
from btclib.script.engine.flags import ALL_FLAGS, ScriptFlag
from btclib.tx import Tx, TxOut

from escrow.adapters.bitcoin.kernel import verify_scripts
from escrow.adapters.bitcoin.types import COINBASE_MATURITY, Coin
from escrow.core.errors import BadInput, Refused
from escrow.core.units import MAX_MONEY, Sats

MIN_FEERATE: Final = 1
"""Lowest relay feerate, sat/vB (Core's ``-minrelaytxfee`` until v29)."""
MAX_FEERATE: Final = 10_000
"""Feerate that is taken for a mistake, sat/vB (Core's ``-maxfeerate``, 0.10 BTC/kvB)."""
INCREMENTAL_FEERATE: Final = 1
"""Sat/vB that a replacement pays above all that it pushes out (Core's ``-incrementalrelayfee``
until v29)."""
MAX_REPLACED: Final = 100
"""Most transactions that one may push out, heirs included (BIP-125 rule 5)."""
MAX_STANDARD_VERSION: Final = 2
"""Highest transaction version relayed. Version 3 (TRUC) has package rules that are absent here."""
LOCKTIME_THRESHOLD: Final = 500_000_000
"""nLockTime below this is a height, from it on a unix time (consensus)."""
SEQUENCE_FINAL: Final = 0xFFFFFFFF
"""nSequence that switches off nLockTime (consensus)."""
SEQUENCE_LOCKED: Final = 0xFFFFFFFE
"""Highest nSequence that lets nLockTime count."""
SEQUENCE_REPLACEABLE: Final = 0xFFFFFFFD
"""Highest nSequence of a spend that says it may be replaced (BIP-125). Locks nothing."""

_SEQUENCE_DISABLE: Final = 1 << 31
_SEQUENCE_TIME: Final = 1 << 22
_SEQUENCE_MASK: Final = 0xFFFF
_SEQUENCE_GRANULARITY: Final = 9  # relative times count 512 s (BIP68)
# Core's STANDARD_SCRIPT_VERIFY_FLAGS: everything but SIGPUSHONLY, which is a rule of its own.
_STANDARD_FLAGS: Final = ~ScriptFlag.SIGPUSHONLY


def read_transaction(raw: bytes) -> Tx:
    """Decode a transaction and check what needs no chain (Core's ``CheckTransaction``).

    Raises BadInput("bitcoin/transaction").
    """
    try:
        return Tx.parse(raw)
    except (BTClibValueError, BTClibTypeError, ValueError, OverflowError) as error:
        raise BadInput("bitcoin/transaction", reason=str(error)[:200]) from error


def check_standard(tx: Tx) -> None:
    """Refuse what is not standard whatever it spends.

    Raises Refused: "bitcoin/policy" with Core's word as ``reason``, or "bitcoin/dust".
    """
    if tx.is_coinbase:
        raise Refused("bitcoin/policy", reason="coinbase")
    if tx.version > MAX_STANDARD_VERSION:
        raise Refused("bitcoin/policy", reason="version")
    # Core lets one dust output pass if the transaction pays no fee and a child in the same
    # package spends it. Packages here carry no dust.
    if dust := dust_outputs(tx):
        raise Refused("bitcoin/dust", output=dust[0], sats=tx.vout[dust[0]].value)
    try:
        assert_standard_tx(tx)
    except BTClibValueError as error:
        raise Refused("bitcoin/policy", reason=str(error)) from error
    if len(tx.serialize(include_witness=False)) < MIN_STANDARD_TX_NONWITNESS_SIZE:
        raise Refused("bitcoin/policy", reason="tx-size-small")


def is_final(tx: Tx, *, height: int, median_time: int) -> bool:
    """Whether nLockTime lets the transaction into a block at ``height`` (BIP113 clock)."""
    if tx.lock_time == 0:
        return True
    clock = height if tx.lock_time < LOCKTIME_THRESHOLD else median_time
    return tx.lock_time < clock or all(each.sequence == SEQUENCE_FINAL for each in tx.vin)


def relative_lock(sequence: int) -> tuple[bool, int] | None:
    """A BIP68 sequence as (counts time, blocks or seconds); None if it locks nothing."""
    if sequence & _SEQUENCE_DISABLE:
        return None
    amount = sequence & _SEQUENCE_MASK
    if sequence & _SEQUENCE_TIME:
        return True, amount << _SEQUENCE_GRANULARITY
    return False, amount


def check_amounts(tx: Tx, coins: Sequence[Coin], *, height: int) -> Sats:
    """Fee of the transaction if a block at ``height`` may carry it (Core's ``CheckTxInputs``).

    Raises Refused: "bitcoin/immature", "bitcoin/amount".
    """
    for coin in coins:
        if coin.coinbase and height - coin.height < COINBASE_MATURITY:
            raise Refused(
                "bitcoin/immature", outpoint=str(coin.outpoint), depth=height - coin.height
            )
    taken, given = sum(coin.sats for coin in coins), sum(each.value for each in tx.vout)
    if taken > MAX_MONEY:
        raise Refused("bitcoin/amount", inputs=taken)
    if taken < given:
        raise Refused("bitcoin/amount", inputs=taken, outputs=given)
    return Sats(taken - given)


def check_inputs_standard(tx: Tx, coins: Sequence[Coin]) -> int:
    """Refuse unusual inputs; the signature-check cost of the rest.

    Raises Refused("bitcoin/policy").
    """
    prevouts = _prevouts(coins)
    if not are_inputs_standard(prevouts, tx):
        raise Refused("bitcoin/policy", reason="bad-txns-nonstandard-inputs")
    if not is_witness_standard(prevouts, tx):
        raise Refused("bitcoin/policy", reason="bad-witness-nonstandard")
    cost = sig_op_cost(prevouts, tx)
    if cost > MAX_STANDARD_TX_SIGOPS_COST:
        raise Refused("bitcoin/policy", reason="bad-txns-too-many-sigops")
    return cost


def check_fee(*, fee: Sats, vsize: int, floor: int) -> None:
    """Refuse a fee below the relay floor, in sat/vB, or above reason.

    Raises Refused("bitcoin/fee").
    """
    if fee < vsize * floor:
        raise Refused("bitcoin/fee", fee=fee, vsize=vsize, least=vsize * floor)
    if fee > vsize * MAX_FEERATE:
        raise Refused("bitcoin/fee", fee=fee, vsize=vsize, most=vsize * MAX_FEERATE)


def check_replacement(
    *,
    fee: Sats,
    vsize: int,
    rivals: Sequence[tuple[Sats, int]],
    pushed_out: Sequence[Sats],
    heir: bool,
    adds_unconfirmed: bool,
) -> None:
    """May a transaction push out its ``rivals`` (fee and size of each that spends a coin of it) and
    with their heirs all of ``pushed_out`` (a fee each)?

    BIP-125 as Core has it up to v29, in its words, except that nobody has to signal (full
    replacement, the default since v28); v31 compares feerate diagrams instead of rules 2 and 6.
    ``heir``: it spends from what it pushes out; ``adds_unconfirmed``: it spends an unconfirmed
    output that none of the rivals did. Raises Refused: "bitcoin/conflict" if it does not even pay
    more, which is a plain double spend; else "bitcoin/replace" with Core's reason.
    """
    most = sum(pushed_out)
    least = most + INCREMENTAL_FEERATE * vsize
    if fee <= most:  # rule 3
        raise Refused("bitcoin/conflict", fee=fee, least=least)
    reason = ""
    if heir:
        reason = "bad-txns-spends-conflicting-tx"
    elif len(pushed_out) > MAX_REPLACED:  # rule 5
        reason = "too many potential replacements"
    elif adds_unconfirmed:  # rule 2
        reason = "replacement-adds-unconfirmed"
    elif fee < least or any(fee * size <= paid * vsize for paid, size in rivals):  # rules 4 and 6
        reason = "insufficient fee"
    if reason:
        raise Refused("bitcoin/replace", reason=reason, fee=fee, least=least)


def policy_vsize(tx: Tx, *, sigops: int) -> int:
    """Virtual size as fees count it: signature checks weigh at least 20 bytes each."""
    return virtual_size(tx.weight, sig_op_cost=sigops, bytes_per_sigop=DEFAULT_BYTES_PER_SIGOP)


def check_scripts(tx: Tx, raw: bytes, coins: Sequence[Coin]) -> None:
    """Run every script: the kernel decides what is valid, btclib what is standard and why not.

    Raises Refused: "bitcoin/script" if no block may carry the spend, "bitcoin/policy" if a block
    may but a node does not relay it (a high-S signature, a key that did not have to sign).
    """
    failed = verify_scripts(raw, [(coin.script_pubkey, coin.sats) for coin in coins])
    if failed is not None:
        raise Refused("bitcoin/script", input=failed, reason=_script_error(tx, coins, ALL_FLAGS))
    reason = _script_error(tx, coins, _STANDARD_FLAGS)
    if reason:
        raise Refused("bitcoin/policy", reason=f"mempool-script-verify-flag-failed ({reason})")


def _script_error(tx: Tx, coins: Sequence[Coin], flags: ScriptFlag) -> str:
    try:
        verify_transaction(_prevouts(coins), tx, flags, check_amounts=False)
    except ScriptError as error:
        return error.code.description
    except (BTClibValueError, BTClibTypeError) as error:
        return str(error)[:200]
    return ""


def _prevouts(coins: Sequence[Coin]) -> list[TxOut]:
    return [TxOut(coin.sats, coin.script_pubkey) for coin in coins]
