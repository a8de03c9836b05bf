"""Signers behind one protocol: a wallet in software, a hardware token, somebody outside.

Whoever they are, the same happens first: the cosigner's own policy looks at the spend, and what
is asked is put into words for whoever holds the key. Only then is a key touched, and either way
it is in the audit log.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from escrow.adapters.bitcoin.bip322 import message_of
from escrow.adapters.bitcoin.keys import Keys
from escrow.adapters.bitcoin.policy import LOCKTIME_THRESHOLD, SEQUENCE_FINAL
from escrow.adapters.bitcoin.psbt import Psbt, inspect, sign
from escrow.adapters.bitcoin.psbt_combine import accept
from escrow.adapters.bitcoin.psbt_data import MAX_TEXT
from escrow.adapters.bitcoin.psbt_inspect import Spend, estimated_vsize
from escrow.adapters.bitcoin.vault import address_of
from escrow.adapters.sign.audit import AuditLog, Entry, refusals_noted
from escrow.adapters.sign.pkcs11 import OpenToken, Token
from escrow.core.errors import BadInput, Refused
from escrow.words import coins, moment

Check = Callable[[Psbt], object]
"""A cosigner's own review: raises if it would not sign, its answer is not looked at."""


class Signer(Protocol):
    """One key of a quorum, wherever it lives."""

    @property
    def name(self) -> str:
        """Who signs. No secret."""

    def describe(self, psbt: Psbt) -> str:
        """What it is asked to sign, in words. Raises as ``psbt.inspect``."""

    def sign(self, psbt: Psbt, *, check: Check, at: int) -> Psbt:
        """The PSBT with this signer's signatures, if ``check`` passes it.

        ``at`` is unix time on the world's clock. What ``check`` raises comes out; then nothing
        was signed, and the refusal is in the audit log.
        """


class SoftwareSigner:
    """A wallet's keys (BIP-32)."""

    def __init__(self, keys: Keys, *, name: str = "", log: AuditLog | None = None) -> None:
        """``log`` keeps what is asked; without it, it is kept in memory."""
        self.name = name or keys.name
        """Who signs."""
        self.log = log or AuditLog()
        """What was asked, and what was answered."""
        self._keys = keys

    def __repr__(self) -> str:
        return f"SoftwareSigner({self.name})"

    def describe(self, psbt: Psbt) -> str:
        """What it is asked to sign, in words."""
        return describe(psbt)

    def sign(self, psbt: Psbt, *, check: Check, at: int) -> Psbt:
        """Review and sign. Raises what ``check`` raises, and as ``psbt.sign``."""
        words = _reviewed(psbt, check=check, log=self.log, at=at)
        with refusals_noted(self.log, at=at, txid=psbt.txid, words=words):
            signed = sign(psbt, keys=self._keys)
        _note(self.log, Entry(at, "sign", "done", txid=psbt.txid, words=words))
        return signed


class TokenSigner:
    """A key in a PKCS#11 token. ECDSA only."""

    def __init__(self, token: Token, *, ask_pin: Callable[[], str]) -> None:
        """``ask_pin`` asks the holder, each time, after the review; the PIN is not kept."""
        self.name = token.label
        """Who signs."""
        self._token = token
        self._ask_pin = ask_pin

    def __repr__(self) -> str:
        return f"TokenSigner({self.name})"

    @property
    def log(self) -> AuditLog:
        """What was asked, and what was answered."""
        return self._token.log

    def describe(self, psbt: Psbt) -> str:
        """What it is asked to sign, in words: the token itself shows nothing."""
        return describe(psbt)

    def sign(self, psbt: Psbt, *, check: Check, at: int) -> Psbt:
        """Review, ask for the PIN, and sign each input that names the token's key.

        Raises what ``check`` raises, as ``psbt.sign``, ``Token.unlocked`` and ``OpenToken.sign``.
        Signatures made before the limit was met in between are dropped, and counted.
        """
        words = _reviewed(psbt, check=check, log=self.log, at=at)
        with self._token.unlocked(self._ask_pin(), at=at) as opened:
            return sign(psbt, keys=_TokenKeys(self.name, opened, txid=psbt.txid, words=words))


class FileSigner:
    """Somebody outside, who is handed a file and hands one back: any wallet that reads PSBTs."""

    def __init__(self, folder: Path, *, name: str = "outside", log: AuditLog | None = None) -> None:
        """``folder`` holds ``<txid>.psbt`` for the signer, and ``<txid>-signed.psbt`` from it.

        It is this signer's own.
        """
        self.name = name
        """Who signs."""
        self.log = log or AuditLog()
        """What was asked, and what was answered."""
        self._folder = folder

    def __repr__(self) -> str:
        return f"FileSigner({self.name})"

    def describe(self, psbt: Psbt) -> str:
        """What it is asked to sign, in words."""
        return describe(psbt)

    def sign(self, psbt: Psbt, *, check: Check, at: int) -> Psbt:
        """Review and hand out; take back what lies there signed.

        The first call writes the file and raises Refused("signer/file", waiting=…); call again
        once the signed file is there. It must be the same transaction with at least one
        signature more, else Refused("signer/file"), and no other difference: raises as
        ``psbt_combine.accept``.
        """
        words = _reviewed(psbt, check=check, log=self.log, at=at)
        with refusals_noted(self.log, at=at, txid=psbt.txid, words=words):
            self._hand_out(psbt)
            signed = self._take_back(psbt)
        _note(self.log, Entry(at, "sign", "done", txid=psbt.txid, words=words))
        return signed

    def _hand_out(self, psbt: Psbt) -> None:
        """Binary, as files carry it (BIP-174)."""
        target = self._folder / f"{psbt.txid}.psbt"
        spare = target.with_suffix(".new")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            spare.write_bytes(bytes(psbt))
            os.replace(spare, target)
        except OSError as error:
            raise Refused("psbt/write", reason=type(error).__name__) from error

    def _take_back(self, psbt: Psbt) -> Psbt:
        path = self._folder / f"{psbt.txid}-signed.psbt"
        if not path.is_file():
            raise Refused("signer/file", waiting=path.name)
        try:
            with path.open("rb") as file:
                raw = file.read(MAX_TEXT + 1)  # one more than is parsed
        except OSError as error:
            raise Refused("signer/file", reason=type(error).__name__) from error
        answer = Psbt.parse(raw)
        if answer.txid != psbt.txid:
            raise Refused("signer/file", txid=answer.txid, wanted=psbt.txid)
        signed = accept(psbt, answer=answer)
        if _signatures(signed) == _signatures(psbt):
            raise Refused("signer/file", reason="no new signature", txid=psbt.txid)
        return signed


class _TokenKeys:
    """An open token as the PSBT roles know keys. It lives no longer than the PIN's session."""

    def __init__(self, name: str, opened: OpenToken, *, txid: str, words: str) -> None:
        self.name = name
        self._opened = opened
        self._txid = txid
        self._words = words

    def owns(self, pubkey: bytes, origin: object) -> bool:  # noqa: ARG002  # the protocol's
        """By the key itself: a token's keys have no path."""
        return pubkey == self._opened.pubkey

    def ecdsa(
        self,
        pubkey: bytes,
        *,
        origin: object,
        digest: bytes,
        recovery: bool,  # noqa: ARG002  # the protocol's; a token has one key for every path
    ) -> bytes | None:
        """DER signature, or None for another key."""
        if not self.owns(pubkey, origin):
            return None
        return der(self._opened.sign(digest, txid=self._txid, words=self._words))

    def schnorr(
        self,
        pubkey: bytes,
        *,
        origin: object,
        digest: bytes,
        recovery: bool,
        merkle_root: bytes | None,
    ) -> None:
        """PKCS#11 has no BIP-340."""


def describe(psbt: Psbt) -> str:
    """What a PSBT does, for somebody who is to sign it.

    Amounts are from the transactions that created the coins, whose hashes were checked; an
    output to a script that the coins came from is change. Raises as ``psbt.inspect``.
    """
    spend = inspect(psbt)
    if (message := message_of(psbt)) is not None:
        who = place(spend.inputs[0].script_pubkey)
        return f"Message for {who}: {message}\nspends no coin (BIP-322)"
    own = {each.script_pubkey for each in spend.inputs}
    lines = [f"Transaction {spend.txid}"]
    lines += [
        f"spends {coins(each.sats)} of {place(each.script_pubkey)}, coin {each.outpoint}"
        for each in spend.inputs
    ]
    lines += [
        f"{'keeps' if each.script_pubkey in own else 'pays'} {coins(each.sats)} "
        f"{'as change at' if each.script_pubkey in own else 'to'} {place(each.script_pubkey)}"
        for each in spend.outputs
    ]
    lines.append(f"leaves {spend.fee:,} sats to the miner{_feerate(psbt, spend)}")
    if spend.locktime and any(each.sequence != SEQUENCE_FINAL for each in spend.inputs):
        is_time = spend.locktime >= LOCKTIME_THRESHOLD
        until = moment(spend.locktime) if is_time else f"block {spend.locktime}"
        lines.append(f"cannot be mined before {until} (block time)")
    signed = len(frozenset[bytes]().union(*(each.signed_by for each in spend.inputs)))
    lines.append(f"signed so far by {signed} {'key' if signed == 1 else 'keys'}")
    return "\n".join(lines)


def _feerate(psbt: Psbt, spend: Spend) -> str:
    vsize = estimated_vsize(psbt)
    if vsize is None:
        return ""
    tenths = 10 * spend.fee // vsize
    return f", about {tenths // 10:,}.{tenths % 10} sat/vB"


def place(script: bytes) -> str:
    """An output script as its address, or as itself if it has none."""
    with suppress(BadInput):
        return address_of(script)
    return f"script {script.hex()}"


def der(signature: bytes) -> bytes:
    """A signature of 64 bytes r‖s in DER, strict as BIP-66 asks."""
    parts = b""
    for number in (signature[:32], signature[32:]):
        body = number.lstrip(b"\x00") or b"\x00"
        body = b"\x00" + body if body[0] & 0x80 else body
        parts += b"\x02" + bytes([len(body)]) + body
    return b"\x30" + bytes([len(parts)]) + parts


def _reviewed(psbt: Psbt, *, check: Check, log: AuditLog, at: int) -> str:
    """The words, once the cosigner's own policy has passed the spend."""
    with refusals_noted(log, at=at, txid=psbt.txid, words=""):
        words = describe(psbt)
    with refusals_noted(log, at=at, txid=psbt.txid, words=words):
        check(psbt)
    return words


def _note(log: AuditLog, entry: Entry) -> None:
    with log.exclusive():
        log.append(entry)


def _signatures(psbt: Psbt) -> int:
    return sum(len(each.signed_by) for each in inspect(psbt).inputs)
