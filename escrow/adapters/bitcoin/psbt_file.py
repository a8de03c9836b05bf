"""PSBTs in files, base64 or binary: read whole, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

from escrow.adapters.bitcoin.psbt_data import MAX_TEXT, Psbt
from escrow.core.errors import BadInput, Refused

_SLACK: Final = 1_024  # bytes: line ends around the text


def read_psbt(path: Path) -> tuple[Psbt, bool]:
    """The PSBT in a file, and whether it is in binary form.

    Raises BadInput: "psbt/missing-file", "psbt/too-large", "psbt/format".
    """
    raw = read_bounded(path, most=MAX_TEXT + _SLACK)
    binary = raw.startswith(b"psbt\xff")
    return Psbt.parse(raw if binary else _text(raw)), binary


def read_bounded(path: Path, *, most: int) -> bytes:
    """The bytes of a file. Raises BadInput: "psbt/missing-file", "psbt/too-large"."""
    try:
        with path.open("rb") as file:
            raw = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise BadInput("psbt/missing-file", file=path.name, reason=type(error).__name__) from None
    if len(raw) > most:
        raise BadInput("psbt/too-large", file=path.name, most=most)
    return raw


def write_new(path: Path, data: bytes, *, force: bool = False) -> None:
    """Write ``data`` to a file that is not there yet; with ``force``, in its place.

    The new file is complete before it takes the name. Raises Refused("psbt/write").
    """
    if path.exists() and not force:
        raise Refused("psbt/write", file=path.name, reason="the file is there")
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=".psbt-", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise Refused("psbt/write", file=path.name, reason=type(error).__name__) from None
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def as_file(psbt: Psbt, *, binary: bool) -> bytes:
    """What a file holds: the binary form, or a line of base64."""
    return bytes(psbt) if binary else f"{psbt}\n".encode()


def _text(raw: bytes) -> str:
    try:
        return raw.decode("ascii").strip()
    except UnicodeDecodeError:
        raise BadInput("psbt/format", reason="neither base64 nor a binary PSBT") from None
