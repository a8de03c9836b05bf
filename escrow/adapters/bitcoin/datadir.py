"""The directory of a chain: one owner at a time, and a mark that tells how it was left."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from escrow.core.errors import Refused

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_MARK: Final = "escrow-chain"
_OPEN: Final = b"open\n"
_CLOSED: Final = b"done\n"


class Datadir:
    """A directory held for one chain, from here until ``leave`` or ``abandon``.

    The lock is the operating system's, so a killed process lets go of it, and the mark it left
    ("open") tells the next owner that the databases lack what was written last.
    """

    def __init__(self, path: Path | None) -> None:
        """Take ``path``, or a new private directory. Raises Refused("bitcoin/datadir")."""
        self.private = path is None
        """Nobody else knows it; it is deleted when left."""
        self.unclean = False
        """The last owner did not close it."""
        self._created = path is None or not path.exists()
        self._lock = -1
        if path is None:
            self.path = Path(tempfile.mkdtemp(prefix="escrow-"))
            return
        self.path = path.absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            foreign = any(self.path.iterdir()) and not (self.path / _MARK).is_file()
        except OSError as error:
            raise Refused("bitcoin/datadir", reason="not-a-directory") from error
        if foreign:
            raise Refused("bitcoin/datadir", reason="not-a-chain")
        self._lock = os.open(self.path / _MARK, os.O_RDWR | os.O_CREAT, 0o644)
        if not _try_lock(self._lock):
            os.close(self._lock)
            raise Refused("bitcoin/datadir", reason="in-use")
        self.unclean = os.read(self._lock, len(_OPEN)) == _OPEN
        self._mark(_OPEN)

    def leave(self) -> None:
        """The chain was closed cleanly."""
        if self.private:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self._mark(_CLOSED)
            os.close(self._lock)

    def abandon(self) -> None:
        """The chain could not be opened: a directory made for it goes, another stays unclean."""
        if not self.private:
            os.close(self._lock)
        if self._created:
            shutil.rmtree(self.path, ignore_errors=True)

    def _mark(self, state: bytes) -> None:
        os.lseek(self._lock, 0, os.SEEK_SET)
        os.write(self._lock, state)


def _try_lock(file: int) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
