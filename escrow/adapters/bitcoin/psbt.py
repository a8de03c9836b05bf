"""The roles of BIP-174, one function each, so that parties can stand in different rooms.

create → update → sign (each signer apart) → combine → finalize → extract, on version 0 and on
version 2 (BIP-370), for P2WSH and for taproot (BIP-371); MuSig2's two rounds are in ``musig``.
Nothing here judges whether a spend is right: ``inspect`` shows a cosigner what it is asked to
sign, in verified facts, and the cosigner's policy decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from btclib.exceptions import BTClibTypeError, BTClibValueError
from btclib.tx import OutPoint as TxOutPoint
from btclib.tx import Tx, TxIn, TxOut
from btclib_wallet.psbt import psbt as bip174

from escrow.adapters.bitcoin.policy import (
    SEQUENCE_LOCKED,
    SEQUENCE_REPLACEABLE,
    read_transaction,
)
from escrow.adapters.bitcoin.psbt_asked import asked_keys, is_locked
from escrow.adapters.bitcoin.psbt_combine import accept, combine
from escrow.adapters.bitcoin.psbt_data import Psbt, as_version, unshared
from escrow.adapters.bitcoin.psbt_input import is_taproot, leaf_scripts, named_keys, spent_output
from escrow.adapters.bitcoin.psbt_inspect import (
    Spend,
    SpendInput,
    SpendOutput,
    asked,
    estimated_vsize,
    inspect,
)
from escrow.adapters.bitcoin.psbt_owner import Owner, PathOwner, describe
from escrow.adapters.bitcoin.psbt_solve import missing, solve
from escrow.adapters.bitcoin.signatures import (
    Signer,
    SigningKeys,
    check_sighashes,
    check_signatures,
    signed_before,
)
from escrow.adapters.bitcoin.types import OutPoint
from escrow.core.errors import BadInput, Refused
from escrow.core.units import Sats

__all__ = [
    "OutPoint",
    "Owner",
    "PathOwner",
    "Psbt",
    "SigningKeys",
    "Spend",
    "SpendInput",
    "SpendOutput",
    "accept",
    "as_version",
    "asked",
    "combine",
    "create",
    "estimated_vsize",
    "extract",
    "finalize",
    "inspect",
    "missing",
    "sign",
    "update",
]

_TX_VERSION: Final = 2


def create(
    inputs: Sequence[OutPoint],
    *,
    outputs: Sequence[tuple[bytes, Sats]],
    locktime: int = 0,
    sequence: int | Sequence[int] | None = None,
    version: int = 0,
) -> Psbt:
    """Creator: an unsigned transaction, in a PSBT of ``version`` 0 or 2.

    ``sequence`` is every input's nSequence, or each input's own: None for no relative lock,
    replaceable. Raises BadInput: "bitcoin/transaction", "psbt/version".
    """
    if sequence is None:
        sequence = SEQUENCE_LOCKED if locktime else SEQUENCE_REPLACEABLE
    if isinstance(sequence, int):
        sequence = [sequence] * len(inputs)
    try:
        tx = Tx(
            _TX_VERSION,
            locktime,
            [
                TxIn(TxOutPoint(each.txid, each.vout), b"", number)
                for each, number in zip(inputs, sequence, strict=True)
            ],
            [TxOut(sats, script) for script, sats in outputs],
        )
        psbt = Psbt(bip174.Psbt.from_tx(tx))
    except (BTClibValueError, BTClibTypeError, ValueError) as error:
        raise BadInput("bitcoin/transaction", reason=str(error)[:200]) from error
    return as_version(psbt, version)


def update(psbt: Psbt, *, owner: Owner, prev_txs: Iterable[bytes], path: str = "") -> Psbt:
    """Updater: tell signers what the inputs of one owner spend and which keys are asked for.

    ``prev_txs`` are the transactions that created the coins; signers hash them and so need trust
    nobody about amounts. ``path`` is the spending path of a vault's policy; empty: what the
    transaction's locks fit. Raises Refused("bitcoin/missing-input") if no input has this owner's
    script, or a coin of any input is in none of them and was not described before;
    BadInput("psbt/path").
    """
    inner = unshared(psbt._inner)
    known = {tx.id: tx for tx in map(read_transaction, prev_txs)}
    owned = []
    for number, each in enumerate(inner.inputs):
        if (tx := known.get(each.prev_out.tx_id)) and each.prev_out.vout < len(tx.vout):
            each.non_witness_utxo, each.witness_utxo = tx, tx.vout[each.prev_out.vout]
        if each.witness_utxo is None:
            raise Refused("bitcoin/missing-input", input=number)
        if each.witness_utxo.script_pub_key.script == owner.script_pubkey:
            owned.append(number)
    if not owned:
        raise Refused("bitcoin/missing-input", script=owner.script_pubkey.hex())
    describe(inner, owned, owner=owner, path=path)
    return Psbt(inner)


def sign(psbt: Psbt, *, keys: SigningKeys) -> Psbt:
    """Signer: add the signatures of one party, all of them to the whole transaction.

    What ``keys`` answers is verified. Raises Refused: "psbt/no-key" if no input names a key of
    this party, "psbt/sighash", and what ``combine`` raises about signatures; BadInput
    ("psbt/format") if the inputs are not described well enough to sign.
    """
    inner = psbt._inner
    check_sighashes(inner)
    try:
        asking = unshared(inner)
        for number, each in enumerate(asking.inputs):
            if each.hd_key_paths:
                each.hd_key_paths = asked_keys(inner, number)
        signer = Signer(keys, is_locked(inner), _leaves(inner))
        signed, inputs = bip174.sign(asking, signer)
    except (BTClibValueError, BTClibTypeError) as error:
        raise BadInput("psbt/format", reason=str(error)[:200]) from error
    if not inputs and not signed_before(inner, keys):
        raise Refused("psbt/no-key", signer=keys.name, **_why_not(inner, keys))
    for each, original in zip(signed.inputs, inner.inputs, strict=True):
        each.hd_key_paths = original.hd_key_paths
    check_signatures(signed)
    return Psbt(signed)


def finalize(psbt: Psbt) -> Psbt:
    """Finalizer: build the witnesses.

    Raises Refused("psbt/incomplete") if the signatures do not satisfy the scripts, or what
    ``combine`` raises about them.
    """
    check_signatures(psbt._inner)
    try:
        return Psbt(bip174.finalize(psbt._inner, solver=solve))
    except (BTClibValueError, BTClibTypeError) as error:
        raise Refused("psbt/incomplete", reason=str(error)[:200]) from error


def extract(psbt: Psbt) -> bytes:
    """Extractor: the transaction to broadcast. Raises Refused("psbt/incomplete").

    Scripts are not run again: the node that is offered the transaction does that.
    """
    if not all(each.final_script_witness for each in psbt._inner.inputs):
        raise Refused("psbt/incomplete", reason="not finalized")
    try:
        tx = bip174.extract_tx(psbt._inner, verify_scripts=False, max_fee_rate=None)
    except (BTClibValueError, BTClibTypeError) as error:
        raise BadInput("psbt/format", reason=str(error)[:200]) from error
    return tx.serialize(include_witness=True)


def _why_not(inner: bip174.Psbt, keys: SigningKeys) -> dict[str, str]:
    """Why a party whose key is named has nothing to sign; empty if none is."""
    for each in inner.inputs:
        for pubkey, origin in named_keys(each).items():
            if not keys.owns(pubkey, origin):
                continue
            if each.musig2_participant_pub_keys:
                return {"reason": "a MuSig2 key signs in two rounds"}
            return {"reason": "its key does not count under the transaction's locks"}
    return {}


def _leaves(inner: bip174.Psbt) -> dict[bytes, bytes]:
    """Leaf hash → script, of every leaf that the PSBT shows."""
    found: dict[bytes, bytes] = {}
    for number, each in enumerate(inner.inputs):
        if each.taproot_leaf_scripts:
            script = spent_output(number, each).script_pub_key.script
            if is_taproot(script):
                found |= leaf_scripts(each, output_key=script[2:])
    return found
