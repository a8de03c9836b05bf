"""BIP-322: whoever can move a script's coins signs a message, and no coin is at stake.

What is signed spends a virtual coin: one that no chain has, made of the message and the script.
The roles are those of any spend (``psbt``), so every signer can take part that can sign for the
vault at all, hardware tokens too. Only the *simple* proof is made and taken: it has no lock time,
so nobody proves control by a path that opens later. A MuSig2 vault signs in ``musig``'s rounds.
"""

from __future__ import annotations

import re
from typing import Final

from btclib.b32 import witness_from_address
from btclib.exceptions import BTClibException, BTClibTypeError, BTClibValueError
from btclib_wallet import bip322
from btclib_wallet.descriptors import parse
from btclib_wallet.psbt import psbt as bip174
from ecc.exceptions import EccRuntimeError

from escrow.adapters.bitcoin.psbt import Owner, PathOwner, Psbt, finalize, update
from escrow.adapters.bitcoin.psbt_input import spent_output
from escrow.core.errors import BadInput, Refused

MAX_MESSAGE: Final = 1_000
"""Bytes of the longest message: one that a person can read on a device."""
MAX_PROOF: Final = 20_000
"""Characters of the longest proof: a witness of 3,600 bytes of script and 15 signatures fits."""

MAX_DESCRIPTOR: Final = 4_000
"""Characters of the longest descriptor; fifteen keys with their origins have about 2,300."""

_NETWORK: Final = "regtest"
_SECRET: Final = re.compile(
    r"prv|(?<![0-9A-Za-z])[59KLc][1-9A-HJ-NP-Za-km-z]{50,51}(?![0-9A-Za-z])"
)
"""An extended private key, or one in WIF."""
_INVALID: Final = (BTClibException, EccRuntimeError, ValueError, TypeError, IndexError)


def to_sign(message: str, *, owner: Owner, path: str = "") -> Psbt:
    """Creator and Updater: what the owner's signers sign, by ``path`` of a vault's policy: one
    that opens at once, by default its first.

    Sign, combine and finalise it as any PSBT; then ``proof_of``. Raises BadInput:
    "reserves/format" for a message too long, "psbt/path"; and what ``update`` raises.
    """
    raw = _checked(message)
    spend = bip322.to_spend(raw, owner.script_pubkey)
    inner = bip174.Psbt.from_tx(bip322.to_sign(spend))
    inner.signed_message = raw
    if not path and isinstance(owner, PathOwner):
        path = owner.policy.paths[0].name
    prev_txs = [spend.serialize(include_witness=True)]
    return update(Psbt(inner), owner=owner, prev_txs=prev_txs, path=path)


def is_proof(psbt: Psbt, *, message: str, script: bytes) -> bool:
    """Does this PSBT sign exactly this message for this script, and nothing else?

    A signer asks before it signs: an id fixes every input, output and lock, so a PSBT with the id
    of the virtual spend can move no coin, and whoever signs it has said no more than the message.
    """
    raw = _checked(message)
    expected = bip322.to_sign(bip322.to_spend(raw, script)).id.hex()
    named = psbt._inner.signed_message
    return psbt.txid == expected and named in (None, raw)


def message_of(psbt: Psbt) -> str | None:
    """The message that this PSBT signs, for a signer to show; None if it is a spend of coins, or
    anything but what it claims to sign."""
    raw = psbt._inner.signed_message
    try:
        message = raw.decode() if raw else ""
        if not is_proof(psbt, message=message, script=_challenge(psbt)):
            return None
    except (UnicodeError, BadInput):
        return None
    return message


def _challenge(psbt: Psbt) -> bytes:
    return spent_output(0, psbt._inner.inputs[0]).script_pub_key.script


def proof_of(psbt: Psbt) -> str:
    """The signature as it travels, of a finalised PSBT. Raises Refused("psbt/incomplete")."""
    done = finalize(psbt)
    (single,) = done._inner.inputs
    if single.final_script_witness is None or not single.final_script_witness.stack:
        raise Refused("psbt/incomplete", reason="not finalized")
    return bip322.Sig(single.final_script_witness).b64encode()


def check_proof(proof: str, *, message: str, address: str) -> None:
    """Did whoever can move this address's coins sign this message? Needs no chain.

    Raises BadInput("reserves/format") for an address, message or proof that cannot be read;
    Refused("reserves/signature") for one that does not hold, or is not of the simple kind.
    """
    raw = _checked(message)
    try:
        witness_from_address(address)
    except (BTClibValueError, BTClibTypeError, ValueError) as error:
        raise BadInput("reserves/format", address=address[:100]) from error
    if len(proof) > MAX_PROOF:
        raise BadInput("reserves/format", proof_size=len(proof))
    if not proof.startswith(bip322.SIMPLE):
        raise Refused("reserves/signature", address=address, reason="not a simple proof")
    try:
        sig = bip322.Sig.b64decode(proof)
    except _INVALID as error:
        raise BadInput("reserves/format", address=address, reason="proof") from error
    try:
        bip322.assert_as_valid(raw, address, sig, legacy=False)
    except _INVALID as error:
        raise Refused("reserves/signature", address=address) from error


def descriptor_script(descriptor: str) -> bytes:
    """The output script of a descriptor: one script, public keys, with its checksum (BIP-380).

    Raises BadInput("reserves/format"). What cannot be read is not repeated: it may hold a secret.
    """
    try:
        if len(descriptor) > MAX_DESCRIPTOR or descriptor.count("(") + descriptor.count("{") > 200:
            raise BTClibValueError("too long")
        if "#" not in descriptor or _SECRET.search(descriptor):
            raise BTClibValueError("no checksum, or a private key")
        parsed = parse(descriptor, network=_NETWORK)
        if parsed.is_ranged:
            raise BTClibValueError("ranged")
        return parsed.script_pub_key().script
    except (*_INVALID, RecursionError):
        raise BadInput("reserves/format", reason="descriptor") from None


def _checked(message: str) -> bytes:
    try:
        raw = message.encode()
    except UnicodeError as error:
        raise BadInput("reserves/format", reason="message") from error
    if not 0 < len(raw) <= MAX_MESSAGE:
        raise BadInput("reserves/format", message_size=len(raw))
    return raw
