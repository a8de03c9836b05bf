"""What a server carries: a request and a reply, without the HTTP between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from escrow.core.errors import EscrowError

_TEXT: Final = "text/plain; charset=utf-8"
_STATUS: Final = {
    "http/path": 404,
    "http/unknown": 404,
    "http/method": 405,
    "http/too-large": 413,
    "http/host": 403,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What came in."""

    method: str
    path: str
    """Decoded, with its first slash, without the query."""
    query: str = ""
    """As it travels, without the question mark."""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back."""

    status: int
    """HTTP status."""
    content_type: str
    """MIME type of the body."""
    body: bytes
    """As it travels."""


class Site(Protocol):
    """What answers. Not for several threads at once."""

    @property
    def most(self) -> int:
        """Bytes of the largest body that is read."""

    def handle(self, asked: Asked) -> Reply:
        """Answer. Raises ``EscrowError`` where ``refuse`` is to find the words."""

    def refuse(self, error: EscrowError) -> Reply:
        """A refusal in this site's form."""

    def shares_with(self, origin: str) -> bool:
        """Whether pages of another origin may ask and read (CORS)."""


def status_of(error: EscrowError) -> int:
    """The HTTP status of a refusal."""
    return _STATUS.get(error.code, 400)


def refusal(error: EscrowError) -> Reply:
    """An error as it is shown: its code, its words and its facts, as plain text."""
    return Reply(status_of(error), _TEXT, str(error).encode(errors="backslashreplace"))
