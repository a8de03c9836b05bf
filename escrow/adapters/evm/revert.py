"""Why a call failed: the revert data as the contract returned it, and what it says."""

from __future__ import annotations

from typing import Final

from escrow.core.errors import CODES, Refused

ERROR_SELECTOR: Final = bytes.fromhex("08c379a0")
"""``Error(string)``: Solidity's and Vyper's revert with a reason."""
PANIC_SELECTOR: Final = bytes.fromhex("4e487b71")
"""``Panic(uint256)``: a failed check of the compiler's own."""
SHOWN: Final = 200
"""Characters of a reason that an error message repeats."""


class Reverted(Refused):
    """A contract said no. Nothing was mined.

    ``code`` is the reason itself when it is a code of the catalogue, as our contracts revert
    with the engine's codes; otherwise ``evm/revert``.
    """

    def __init__(self, data: bytes, *, halt: str = "") -> None:
        self.data = data
        """Exactly what the contract returned; empty if it ran out of gas or hit a bad opcode."""
        self.reason = reason_of(data)
        """The text of ``Error(string)``, or None."""
        self.panic = panic_of(data)
        """The code of ``Panic(uint256)``, or None."""
        self.halt = halt
        """Why the machine stopped: ``Revert`` when the contract chose to, else what went wrong."""
        facts: dict[str, int | str] = {}
        if self.reason is not None:
            facts["reason"] = self.reason[:SHOWN]
        elif self.panic is not None:
            facts["panic"] = self.panic
        elif data:
            facts["data"] = "0x" + data.hex()[:SHOWN]
        else:
            facts["halt"] = halt or "empty"
        super().__init__(self.reason if self.reason in CODES else "evm/revert", **facts)


def reason_of(data: bytes) -> str | None:
    """The reason in ``Error(string)`` revert data, or None if the data is anything else."""
    if data[:4] != ERROR_SELECTOR or len(data) < 68 or int.from_bytes(data[4:36], "big") != 32:
        return None
    length = int.from_bytes(data[36:68], "big")
    if length > len(data) - 68:
        return None
    try:
        return data[68 : 68 + length].decode()
    except UnicodeDecodeError:
        return None


def panic_of(data: bytes) -> int | None:
    """The code in ``Panic(uint256)`` revert data, or None if the data is anything else."""
    if data[:4] != PANIC_SELECTOR or len(data) != 36:
        return None
    code = int.from_bytes(data[4:], "big")
    return code if code < 2**16 else None
