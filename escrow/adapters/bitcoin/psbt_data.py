"""The PSBT itself: read, written, and carried from one version of the format to the other."""

from __future__ import annotations

from copy import copy
from typing import Final, Self

from btclib.exceptions import BTClibTypeError, BTClibValueError
from btclib_wallet.psbt import psbt as bip174

from escrow.adapters.bitcoin.psbt_input import signers
from escrow.core.errors import BadInput

VERSIONS: Final = (0, 2)
"""Versions that are spoken: BIP-174 and BIP-370."""
MAX_BYTES: Final = 3_000_000
"""Largest PSBT that is read. A transaction that is relayed has at most 100,000 vbytes."""
MAX_TEXT: Final = 4 * MAX_BYTES // 3
"""The same in base64."""

_MAGIC: Final = b"psbt\xff"


class Psbt:
    """A partially signed transaction, version 0 or 2. Immutable; its text is what travels."""

    __slots__ = ("_inner", "_text")

    def __init__(self, inner: bip174.Psbt) -> None:
        self._inner = inner
        self._text = ""

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """Read base64, or the binary form. Raises BadInput: "psbt/format", "psbt/too-large"."""
        if len(text) > (MAX_BYTES if isinstance(text, bytes) else MAX_TEXT):
            raise BadInput("psbt/too-large", size=len(text))
        try:
            if isinstance(text, bytes) and text.startswith(_MAGIC):
                inner = bip174.Psbt.parse(text)
            else:
                inner = bip174.Psbt.b64decode(text if isinstance(text, str) else text.decode())
        except (BTClibValueError, BTClibTypeError, ValueError, OverflowError) as error:
            raise BadInput("psbt/format", reason=str(error)[:200]) from error
        if not inner.inputs or not inner.outputs:
            raise BadInput("psbt/format", reason="no inputs or no outputs")
        if any(each.script_pub_key is None for each in inner.outputs):
            raise BadInput("psbt/format", reason="an output without a script")
        return cls(inner)

    def __str__(self) -> str:
        if not self._text:
            self._text = self._inner.b64encode()
        return self._text

    def __bytes__(self) -> bytes:
        return self._inner.serialize()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Psbt) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        signatures = sum(len(signers(each)) for each in self._inner.inputs)
        return f"Psbt({self.txid[:8]}…, inputs={len(self._inner.inputs)}, signatures={signatures})"

    @property
    def txid(self) -> str:
        """Id of the transaction. Witnesses are not part of it, so signing does not change it."""
        return self._inner.tx.id.hex()

    @property
    def version(self) -> int:
        """0 (BIP-174) or 2 (BIP-370)."""
        return self._inner.version


def as_version(psbt: Psbt, version: int) -> Psbt:
    """The same PSBT in version 0 or 2.

    What version 0 has no field for is lost: which input asked for which lock time, and whether
    inputs and outputs may still be added. Raises BadInput("psbt/version"), also for a silent
    payment, which version 0 cannot say at all.
    """
    if version not in VERSIONS:
        raise BadInput("psbt/version", version=version)
    if version == psbt.version:
        return psbt
    try:
        return Psbt(psbt._inner.to_v2() if version else psbt._inner.to_v0())
    except (BTClibValueError, BTClibTypeError) as error:
        raise BadInput("psbt/version", version=version, reason=str(error)[:200]) from error


def unshared(inner: bip174.Psbt) -> bip174.Psbt:
    """A copy whose inputs can be given other fields.

    Fields are replaced and never changed in place, so the maps' own copies are enough; a deep
    copy would clone every previous transaction.
    """
    twin = copy(inner)
    twin.inputs = [copy(each) for each in inner.inputs]
    return twin
