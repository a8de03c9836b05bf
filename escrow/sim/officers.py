"""Officers of a bank who approve with hardware tokens before their keys sign.

The vault's keys come from the world's seed, so that a run can be played again to the last hash; a
token makes its key by chance and cannot (``escrow demo token`` has vaults of such keys). Here an
officer answers only after it has signed what it approves in its token, with its PIN.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from escrow.core.errors import BadInput
from escrow.world import World

if TYPE_CHECKING:
    from escrow.adapters.sign.pkcs11 import Token
    from escrow.adapters.sign.softhsm import SoftHsm

_ABSENT: Final = ("hsm/missing", "extra/missing")
# For demonstrations: these guard nothing.
_ADMIN_PIN: Final = "admin-0000"


class Officers:
    """Parties of a world that stay silent until they have approved. A context manager."""

    def __init__(self, world: World, pins: dict[str, str]) -> None:
        """``pins``: an officer's name and PIN. Without SoftHSM2 and python-pkcs11 there are no
        tokens, and ``has_tokens`` says so. Raises ``BadInput("input/unknown-party")``."""
        self._stack = ExitStack()
        self._tokens: dict[str, Token] = {}
        self._names = tuple(pins)
        world.silence(*pins)
        store = self._store()
        if store is None:
            return
        for name, pin in pins.items():
            token = store.make(name, so_pin=_ADMIN_PIN, pin=pin, at=world.now)
            token.create_key(pin, at=world.now)
            self._tokens[name] = token

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def has_tokens(self) -> bool:
        """Are there tokens here, or are approvals only said?"""
        return bool(self._tokens)

    def approve(self, world: World, name: str, words: str, *, pin: str) -> None:
        """An officer signs ``words`` in its token and answers from now on.

        Raises ``Refused``: ``hsm/pin`` with the tries left, ``hsm/locked``, ``hsm/limit``; then it
        stays silent.
        """
        if self._tokens:
            digest = hashlib.sha256(words.encode()).digest()
            self._tokens[name].sign(digest, pin=pin, at=world.now, words=words)
        world.answer(name)

    def rest(self, world: World) -> None:
        """What was approved is done: they answer nobody until they approve again."""
        world.silence(*self._names)

    def entries(self) -> Iterable[tuple[str, str, str]]:
        """The tokens' audit logs: officer, what was asked, what was answered."""
        for name, token in self._tokens.items():
            for each in token.log.entries:
                yield name, each.what, each.verdict

    def _store(self) -> SoftHsm | None:
        from escrow.adapters.sign.softhsm import SoftHsm

        try:
            return self._stack.enter_context(SoftHsm())
        except BadInput as error:
            if error.code not in _ABSENT:
                raise
            return None
