"""Tokens in software, for tests and demonstrations: SoftHSM2 with a private store.

They behave as PKCS#11 asks and protect nothing from whoever can read the disk. Their key
material comes from OpenSSL's generator, so no two runs have the same keys.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from escrow.adapters.sign.device import is_pin
from escrow.adapters.sign.guard import Settings
from escrow.adapters.sign.module import Module
from escrow.adapters.sign.pkcs11 import Token
from escrow.core.errors import BadInput, Refused

_LABEL: Final = 32  # CK_TOKEN_INFO.label, padded with blanks


class SoftHsm:
    """A folder of tokens. Used as a context manager, or closed."""

    def __init__(self, home: Path | None = None, *, library: str | Path | None = None) -> None:
        """Open the tokens in ``home``, or begin a private store that vanishes at ``close``.

        Raises BadInput: "hsm/missing" without SoftHSM2, "extra/missing" without python-pkcs11;
        Refused("hsm/failed") if the folder cannot be made.
        """
        Module(library)  # before anything is made: there may be no SoftHSM2
        self._private = home is None
        try:
            self.home = home.absolute() if home else Path(tempfile.mkdtemp(prefix="escrow-hsm-"))
            tokens = self.home / "tokens"
            tokens.mkdir(mode=0o700, parents=True, exist_ok=True)
            conf = self.home / "softhsm2.conf"
            _write_once(
                conf,
                f"directories.tokendir = {tokens}\n"
                "objectstore.backend = file\n"
                "log.level = ERROR\n"
                "slots.removable = false\n",
            )
        except OSError as error:
            raise Refused("hsm/failed", reason=type(error).__name__) from error
        self.module = Module(library, conf=conf)
        """The library, looking at this store."""

    def __repr__(self) -> str:
        return f"SoftHsm({self.home.name})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the store; delete a private one. Safe to call twice."""
        self.module.release()
        if self._private:
            shutil.rmtree(self.home, ignore_errors=True)

    def token(self, label: str, *, key: str = "vault") -> Token:
        """A token of this store. Raises BadInput("hsm/missing")."""
        # A private store does not outlast a power cut anyway.
        return Token(label, home=self.home, module=self.module, key=key, durable=not self._private)

    def make(
        self, label: str, *, so_pin: str, pin: str, at: int, settings: Settings | None = None
    ) -> Token:
        """A new token in use, with the administrator's PIN and the holder's, and no key yet.

        Raises BadInput: "hsm/missing" if the label is taken, "hsm/pin" for a PIN that no token
        takes; Refused("hsm/failed").
        """
        if not (is_pin(so_pin) and is_pin(pin)):
            raise BadInput("hsm/pin", reason="4 to 64 characters")
        self._init(label, so_pin)
        token = self.token(label)
        with self.module.use() as library:
            session = self.module.device(library, label).open(rw=True, so_pin=so_pin)
            try:
                session.init_pin(pin)
            finally:
                session.close()
        token.enrol(so_pin, at=at, settings=settings)
        return token

    def _init(self, label: str, so_pin: str) -> None:
        """C_InitToken in a free slot: python-pkcs11 lacks it, and ``softhsm2-util`` would show
        the PINs in the list of processes."""
        from pkcs11 import TokenFlag

        name, secret = label.encode("utf-8"), so_pin.encode("utf-8")
        if not 0 < len(name) <= _LABEL or not label.isprintable():
            raise BadInput("hsm/missing", label=label[:40])
        with self.module.use() as library:
            tokens = [slot.get_token() for slot in library.get_slots()]
            if any(each.label == label for each in tokens):
                raise BadInput("hsm/missing", token=label, reason="this label is taken")
            free = next(t.slot for t in tokens if not t.flags & TokenFlag.TOKEN_INITIALIZED)
            # The same file is the same library: the call reaches the one that is running.
            answer = ctypes.CDLL(str(self.module.path)).C_InitToken(
                ctypes.c_ulong(free.slot_id),
                secret,
                ctypes.c_ulong(len(secret)),
                name.ljust(_LABEL),
            )
        if answer:
            raise Refused("hsm/failed", reason=f"C_InitToken {answer:#x}")


def _write_once(path: Path, text: str) -> None:
    """Another process that starts its library meanwhile never reads half a file: one without the
    folder would mean the machine's own tokens."""
    if path.exists() and path.read_text("utf-8") == text:
        return
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(text, "utf-8")
    os.replace(draft, path)
