"""The roles of BIP-174, one function each, so that parties can stand in different rooms.

create → update → sign (each signer apart) → combine → finalize → extract. Nothing here judges
whether a spend is right: ``inspect`` shows a cosigner what it is asked to sign, in verified
facts, and the cosigner's policy decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Final, Protocol, Self

from btclib.exceptions import BTClibTypeError, BTClibValueError
from btclib.tx import OutPoint as TxOutPoint
from btclib.tx import Tx, TxIn, TxOut
from btclib_wallet.bip32 import BIP32KeyOrigin
from btclib_wallet.descriptors import miniscript_solver
from btclib_wallet.psbt import psbt as bip174

from escrow.adapters.bitcoin.keys import Keys
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.adapters.bitcoin.signatures import (
    Signer,
    check_signatures,
    signed_before,
    spent_output,
)
from escrow.adapters.bitcoin.types import OutPoint
from escrow.core.errors import BadInput, Refused
from escrow.core.units import MAX_MONEY, Sats

_TX_VERSION: Final = 2
_SEQUENCE_PLAIN: Final = 0xFFFFFFFD  # no lock, replaceable (BIP-125)
_SEQUENCE_LOCKED: Final = 0xFFFFFFFE  # lets nLockTime count
_SIGHASH_ALL: Final = 1


class Owner(Protocol):
    """Whoever's script an input spends: a Vault or a WalletKey."""

    @property
    def script_pubkey(self) -> bytes:
        """The output script."""

    @property
    def witness_script(self) -> bytes:
        """The script behind its hash; empty for a single key."""

    @property
    def origins(self) -> Mapping[bytes, BIP32KeyOrigin]:
        """Public key → where its owner finds the private key."""


class Psbt:
    """A partially signed transaction, version 0. Immutable; its text is what travels."""

    __slots__ = ("_inner", "_text")

    def __init__(self, inner: bip174.Psbt) -> None:
        self._inner = inner
        self._text = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read base64. Raises BadInput("psbt/format")."""
        try:
            inner = bip174.Psbt.b64decode(text)
        except (BTClibValueError, BTClibTypeError, ValueError, OverflowError) as error:
            raise BadInput("psbt/format", reason=str(error)[:200]) from error
        if inner.version != 0 or not inner.inputs or not inner.outputs:
            raise BadInput("psbt/format", reason="not a version 0 PSBT with inputs and outputs")
        return cls(inner)

    def __str__(self) -> str:
        if not self._text:
            self._text = self._inner.b64encode()
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Psbt) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        signatures = sum(len(each.partial_sigs) for each in self._inner.inputs)
        return f"Psbt({self.txid[:8]}…, inputs={len(self._inner.inputs)}, signatures={signatures})"

    @property
    def txid(self) -> str:
        """Id of the transaction. Witnesses are not part of it, so signing does not change it."""
        return self._inner.tx.id.hex()


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
    """Public keys whose signatures are there; each was verified."""


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
    """nLockTime; 0 unless the spend is a recovery."""


def create(
    inputs: Sequence[OutPoint], *, outputs: Sequence[tuple[bytes, Sats]], locktime: int = 0
) -> Psbt:
    """Creator: an unsigned transaction. Raises BadInput("bitcoin/transaction")."""
    sequence = _SEQUENCE_LOCKED if locktime else _SEQUENCE_PLAIN
    try:
        tx = Tx(
            _TX_VERSION,
            locktime,
            [TxIn(TxOutPoint(each.txid, each.vout), b"", sequence) for each in inputs],
            [TxOut(sats, script) for script, sats in outputs],
        )
        return Psbt(bip174.Psbt.from_tx(tx))
    except (BTClibValueError, BTClibTypeError, ValueError) as error:
        raise BadInput("bitcoin/transaction", reason=str(error)[:200]) from error


def update(psbt: Psbt, *, owner: Owner, prev_txs: Iterable[bytes]) -> Psbt:
    """Updater: tell signers what the inputs of one owner spend and which keys are asked for.

    ``prev_txs`` are the transactions that created the coins; signers hash them and so need trust
    nobody about amounts. Raises Refused("bitcoin/missing-input") if no input has this owner's
    script, or a coin of any input is in none of them and was not described before.
    """
    inner = _copy(psbt._inner)
    known = {tx.id: tx for tx in map(read_transaction, prev_txs)}
    owned = False
    for number, each in enumerate(inner.inputs):
        if (tx := known.get(each.prev_out.tx_id)) and each.prev_out.vout < len(tx.vout):
            each.non_witness_utxo, each.witness_utxo = tx, tx.vout[each.prev_out.vout]
        if each.witness_utxo is None:
            raise Refused("bitcoin/missing-input", input=number)
        if each.witness_utxo.script_pub_key.script == owner.script_pubkey:
            owned = True
            each.witness_script = owner.witness_script
            each.hd_key_paths = dict(sorted(owner.origins.items()))
    if not owned:
        raise Refused("bitcoin/missing-input", script=owner.script_pubkey.hex())
    return Psbt(inner)


def sign(psbt: Psbt, *, keys: Keys) -> Psbt:
    """Signer: add the signatures of one party, all SIGHASH_ALL.

    A PSBT with a lock time is signed with the recovery account, one without with the quorum's.
    Raises Refused("psbt/no-key") if no input names a key of this party, BadInput("psbt/format")
    if the inputs are not described well enough to sign.
    """
    try:
        signed, inputs = bip174.sign(psbt._inner, Signer(keys, bool(psbt._inner.lock_time)))
    except (BTClibValueError, BTClibTypeError) as error:
        raise BadInput("psbt/format", reason=str(error)[:200]) from error
    if not inputs and not signed_before(psbt._inner, keys.fingerprint):
        raise Refused("psbt/no-key", signer=keys.fingerprint.hex())
    return Psbt(signed)


def combine(psbts: Sequence[Psbt]) -> Psbt:
    """Combiner: merge the signatures of several copies of one PSBT.

    Copies may differ in signatures and in nothing else. Raises Refused: "psbt/altered",
    "psbt/foreign-signature", "psbt/bad-signature"; BadInput("psbt/format") if there are none.
    """
    if not psbts:
        raise BadInput("psbt/format", reason="nothing to combine")
    bare = _without_signatures(psbts[0]._inner)
    merged = _copy(psbts[0]._inner)
    for number, psbt in enumerate(psbts):
        if _without_signatures(psbt._inner) != bare:
            raise Refused("psbt/altered", copy=number, txid=psbt.txid)
        for mine, theirs in zip(merged.inputs, psbt._inner.inputs, strict=True):
            mine.partial_sigs = dict(sorted((theirs.partial_sigs | mine.partial_sigs).items()))
    check_signatures(merged)
    return Psbt(merged)


def finalize(psbt: Psbt) -> Psbt:
    """Finalizer: build the witnesses.

    Raises Refused("psbt/incomplete") if the signatures do not satisfy the scripts, or what
    ``combine`` raises about them.
    """
    check_signatures(psbt._inner)
    try:
        return Psbt(bip174.finalize(psbt._inner, solver=miniscript_solver))
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
                frozenset(each.partial_sigs),
            )
            for tx_in, utxo, each in zip(tx.vin, spent, inner.inputs, strict=True)
        ),
        outputs=tuple(
            SpendOutput(each.script_pub_key.script, Sats(each.value)) for each in tx.vout
        ),
        fee=Sats(taken - given),
        locktime=tx.lock_time,
    )


def _copy(inner: bip174.Psbt) -> bip174.Psbt:
    # Fields are replaced and never changed in place, so the maps' own copies are enough; a deep
    # copy would clone every previous transaction.
    twin = copy(inner)
    twin.inputs = [copy(each) for each in inner.inputs]
    return twin


def _without_signatures(inner: bip174.Psbt) -> bip174.Psbt:
    bare = _copy(inner)
    for each in bare.inputs:
        each.partial_sigs = {}
    return bare
