"""Which Bitcoin output scripts a burn may name, and the least an output may carry.

Shapes only: no keys, no hashing.
"""

from __future__ import annotations

from typing import Final

from escrow.core.units import Sats

DUST: Final = Sats(546)
"""Least output that nodes relay to any destination (Bitcoin Core ``GetDustThreshold``, P2PKH at
3,000 sat/kvB: the largest)."""
DUST_CHANGE: Final = Sats(330)
"""Least output back to a vault (the same for P2WSH)."""
_SHAPES: Final[tuple[tuple[str, str, int], ...]] = (
    ("0014", "", 44),
    ("0020", "", 68),
    ("5120", "", 68),
    ("76a914", "88ac", 50),
    ("a914", "87", 46),
)
"""Prefix, suffix and hex length of P2WPKH, P2WSH, P2TR, P2PKH and P2SH (BIP-141, BIP-341)."""


def is_standard_output(script: str) -> bool:
    """Is ``script`` (lower-case hex) a payment to a key or a script hash of a known kind?"""
    if not all(c in "0123456789abcdef" for c in script):
        return False
    return any(
        len(script) == length and script.startswith(head) and script.endswith(tail)
        for head, tail, length in _SHAPES
    )
