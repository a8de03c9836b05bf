"""The PKCS#11 library: found, loaded, and lent to one caller at a time.

A library is one per process and so is what it is logged in to, so calls take turns. No session
outlives a call. SoftHSM reads where its tokens are only when it starts, so moving from one
store to another starts it anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Final

from escrow.adapters.sign.turns import held
from escrow.core.errors import BadInput, EscrowError, Refused

if TYPE_CHECKING:
    from pkcs11 import PKCS11Error
    from pkcs11._pkcs11 import lib as Library
    from pkcs11.types import Token as Device

VARIABLE: Final = "PKCS11_MODULE"
"""Environment variable that names the library; what is given in a call comes first."""
SOFTHSM: Final = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
    "C:\\SoftHSM2\\lib\\softhsm2-x64.dll",
)
"""Where distributions put SoftHSM2."""
INSTALL: Final = "install SoftHSM2 (Debian: apt install softhsm2), or name a PKCS#11 library"
"""What to do where there is no library."""

_CONF: Final = "SOFTHSM2_CONF"


class Module:
    """A PKCS#11 library, and for SoftHSM the store of tokens that it shall look at."""

    def __init__(self, path: str | Path | None = None, *, conf: Path | None = None) -> None:
        """Find the library: ``path``, else ``PKCS11_MODULE``, else SoftHSM2's known places.

        ``conf`` is SoftHSM's configuration; without it the environment's holds. Raises
        BadInput: "hsm/missing" if there is no such file, "extra/missing" without python-pkcs11.
        """
        _pkcs11_error()  # first: without it no library helps
        named = path or os.environ.get(VARIABLE, "")
        for each in (named,) if named else SOFTHSM:
            if Path(each).is_file():
                self.path = Path(each)
                break
        else:
            raise BadInput("hsm/missing", module=str(named)[:200], hint=INSTALL)
        self.conf = conf
        """SoftHSM's configuration file."""
        self._turn = _turn_of(str(self.path))

    def __repr__(self) -> str:
        return f"Module({self.path.name})"

    @contextmanager
    def use(self) -> Iterator[Library]:
        """The library, started, and nobody else's until the end of the block.

        Whatever PKCS#11 answers comes out as an error of ours; it never quotes what was sent.
        """
        pkcs11_error = _pkcs11_error()
        refusal: EscrowError | None = None
        with self._turn.lock, ExitStack() as turn:
            if self.conf is not None and self._turn.is_free:
                # SoftHSM reads a token's files while another process may be writing them.
                try:
                    turn.enter_context(held(self.conf.with_suffix(".lock")))
                except OSError as error:
                    raise Refused("hsm/failed", reason=type(error).__name__) from error
            try:
                with self._turn.taken(self.conf) as library:
                    yield library
            except pkcs11_error as error:
                refusal = refused(error)
        # Raised out here, so that no traceback leads to the library's own exception.
        if refusal is not None:
            raise refusal

    def device(self, library: Library, label: str) -> Device:
        """The token of this label. Raises BadInput("hsm/missing")."""
        found = [each for each in library.get_tokens() if each.label == label]
        if len(found) != 1:
            raise BadInput("hsm/missing", token=label, found=len(found))
        return found[0]

    def release(self) -> None:
        """Stop the library if it looks at this module's store, which is about to go."""
        with self._turn.lock:
            if self._turn.store == self._turn.key(self.conf):
                self._turn.stop()


class _Turn:
    """Who has the library of this process, and what it was started for."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = RLock()
        self.store: tuple[int, str] | None = None
        self._library: Library | None = None
        self._depth = 0

    @property
    def is_free(self) -> bool:
        """Does no caller have the library?"""
        return not self._depth

    @staticmethod
    def key(conf: Path | None) -> tuple[int, str]:
        # A forked child must start the library for itself (PKCS#11 v2.40 §6.6.1).
        return os.getpid(), str(conf) if conf else os.environ.get(_CONF, "")

    @contextmanager
    def taken(self, conf: Path | None) -> Iterator[Library]:
        wanted = self.key(conf)
        if wanted != self.store:
            if self._depth:
                raise Refused("hsm/failed", reason="a token of another store is open")
            self.stop()
            self._start(wanted)
        assert self._library is not None
        self._depth += 1
        whole = False
        try:
            yield self._library
            whole = True
        finally:
            self._depth -= 1
            if not whole:
                # A wrong PIN leaves its session open, and nobody holds a handle to it.
                self.stop()

    def stop(self) -> None:
        if self._library is not None and self._library.initialized and not self._depth:
            self._library.finalize()
            self.store = None

    def _start(self, wanted: tuple[int, str]) -> None:
        import pkcs11

        before = os.environ.get(_CONF)
        if wanted[1]:
            os.environ[_CONF] = wanted[1]
        try:
            self._library = pkcs11.lib(self.path)
        finally:
            if before is None:
                os.environ.pop(_CONF, None)
            else:
                os.environ[_CONF] = before
        self.store = wanted


@cache
def _turn_of(path: str) -> _Turn:
    # One for the process, because the library is.
    return _Turn(path)


def _pkcs11_error() -> type[PKCS11Error]:
    try:
        import pkcs11
    except ImportError:
        missing = True
    else:
        missing = False
    if missing:
        raise BadInput("extra/missing", extra="hsm", install="pip install 'escrow-sim[hsm]'")
    return pkcs11.PKCS11Error


def refused(error: Exception) -> EscrowError:
    """PKCS#11's return code as an error of ours. Its text is left out: it may quote a request."""
    import pkcs11

    match error:
        case pkcs11.PinLocked():
            return Refused("hsm/locked", by="device")
        case pkcs11.DeviceRemoved() | pkcs11.TokenNotPresent() | pkcs11.TokenNotRecognised():
            return BadInput("hsm/missing", reason=type(error).__name__)
        case _:
            return Refused("hsm/failed", reason=type(error).__name__)
