"""What a PSBT does, in verified facts, for whoever is asked to sign it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from btclib.exceptions import BTClibTypeError, BTClibValueError
from btclib_wallet.descriptors.descriptors import satisfaction_sizer
from btclib_wallet.psbt import psbt as bip174

from escrow.adapters.bitcoin.psbt_asked import asked_keys
from escrow.adapters.bitcoin.psbt_data import Psbt
from escrow.adapters.bitcoin.psbt_input import signers, spent_output
from escrow.adapters.bitcoin.signatures import check_signatures
from escrow.adapters.bitcoin.types import OutPoint
from escrow.core.errors import Refused
from escrow.core.units import MAX_MONEY, Sats


@dataclass(frozen=True, slots=True)
class SpendInput:
    """A coin that a PSBT spends."""

    outpoint: OutPoint
    """Which coin."""
    sats: Sats
    """Its amount, read from the transaction that created it, whose hash was checked."""
    script_pubkey: bytes
    """Its script, from the same."""
    sequence: int
    """nSequence."""
    signed_by: frozenset[bytes]
    """Public keys whose signatures are there; each was verified. 33 bytes, or in taproot 32."""
    final: bool = False
    """Its witness is built. Signatures are no longer told apart then, nor verified here."""


@dataclass(frozen=True, slots=True)
class SpendOutput:
    """An output that a PSBT pays."""

    script_pubkey: bytes
    """Who gets it."""
    sats: Sats
    """How much."""


@dataclass(frozen=True, slots=True)
class Spend:
    """What a PSBT does, for a cosigner to judge."""

    txid: str
    """Id the transaction will have."""
    inputs: tuple[SpendInput, ...]
    """Coins spent."""
    outputs: tuple[SpendOutput, ...]
    """Payments, change included."""
    fee: Sats
    """What is left to the miner."""
    locktime: int
    """nLockTime; 0 unless the spend waits for a time."""


def inspect(psbt: Psbt) -> Spend:
    """What the PSBT does.

    Amounts come from the previous transactions, signatures are verified. Raises
    BadInput("psbt/format") if an input is not described, Refused for a signature that is foreign
    or wrong, Refused("bitcoin/amount") if outputs exceed inputs.
    """
    inner = psbt._inner
    spent = [spent_output(number, each) for number, each in enumerate(inner.inputs)]
    check_signatures(inner)
    tx = inner.tx
    taken, given = sum(each.value for each in spent), sum(each.value for each in tx.vout)
    if not given <= taken <= MAX_MONEY:
        raise Refused("bitcoin/amount", inputs=taken, outputs=given)
    return Spend(
        txid=tx.id.hex(),
        inputs=tuple(
            SpendInput(
                OutPoint(tx_in.prev_out.tx_id.hex(), tx_in.prev_out.vout),
                Sats(utxo.value),
                utxo.script_pub_key.script,
                tx_in.sequence,
                signed_by=signers(each),
                final=bool(each.final_script_sig or each.final_script_witness),
            )
            for tx_in, utxo, each in zip(tx.vin, spent, inner.inputs, strict=True)
        ),
        outputs=tuple(
            SpendOutput(each.script_pub_key.script, Sats(each.value)) for each in tx.vout
        ),
        fee=Sats(taken - given),
        locktime=tx.lock_time,
    )


def asked(psbt: Psbt) -> tuple[Mapping[bytes, str], ...]:
    """Input by input, the keys that are asked to sign; a quorum of them may be enough.

    Public key (in taproot x-only) → where its owner finds it: ``aabbccdd/48h/1h/0h/2h/0/7``.
    """
    inner = psbt._inner
    return tuple(
        {key: origin.description for key, origin in asked_keys(inner, number).items()}
        for number in range(len(inner.inputs))
    )


def estimated_vsize(psbt: Psbt) -> int | None:
    """Virtual bytes once everybody has signed who is asked; None if its scripts do not tell."""
    inner = psbt._inner
    try:
        if all(each.final_script_witness for each in inner.inputs):
            return bip174.extract_tx(inner, verify_scripts=False, max_fee_rate=None).vsize
        keys = {key for each in inner.inputs for key in each.hd_key_paths}
        return inner.vsize_estimate(satisfaction_sizer(keys))
    except (BTClibValueError, BTClibTypeError):
        return None
