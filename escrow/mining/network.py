"""Bitcoin's proof of work in integers: targets, their compact form, retargets, subsidies.

Main network. Source of each rule: Bitcoin Core, ``pow.cpp`` (CalculateNextWorkRequired),
``arith_uint256.cpp`` (SetCompact, GetCompact), ``validation.cpp`` (GetBlockSubsidy),
``kernel/chainparams.cpp``.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from escrow.core.errors import BadInput
from escrow.core.units import COIN, Sats, Seconds, muldiv_down

RETARGET_BLOCKS: Final = 2_016
"""Blocks of one target."""
BLOCK_SPACING: Final = Seconds(600)
"""What retargets aim at."""
RETARGET_SPAN: Final = Seconds(RETARGET_BLOCKS * BLOCK_SPACING)
"""Two weeks."""
HALVING_BLOCKS: Final = 210_000
"""Blocks of one subsidy."""
FIRST_SUBSIDY: Final = Sats(50 * COIN)
MAX_TARGET: Final = 0xFFFF << 208
"""Target of difficulty 1, as its compact form ``0x1d00ffff`` has it."""
POW_LIMIT: Final = (1 << 224) - 1
"""Easiest target that consensus allows."""
MAX_HEIGHT: Final = 33 * HALVING_BLOCKS
"""From here on there is no subsidy: 33 halvings leave less than a sat."""

_CLAMP: Final = 4
_SIGN: Final = 0x00800000
_WORD: Final = 0x007FFFFF


def target_of(bits: int) -> int:
    """The target that a header's compact form stands for.

    Raises BadInput("network/bits") if it is zero, negative or easier than consensus allows.
    """
    if type(bits) is not int or not 0 < bits < 1 << 32 or bits & _SIGN:
        raise BadInput("network/bits", bits=str(bits)[:40])
    size, word = bits >> 24, bits & _WORD
    target = word >> 8 * (3 - size) if size <= 3 else word << 8 * (size - 3)
    if not 0 < target <= POW_LIMIT:
        raise BadInput("network/bits", bits=hex(bits))
    return target


def bits_of(target: int) -> int:
    """The compact form of a target: its first 23 bits or fewer, so rounded down.

    Raises BadInput("network/bits") outside 1 to ``POW_LIMIT``.
    """
    if not 0 < target <= POW_LIMIT:
        raise BadInput("network/bits", target=hex(target)[:80])
    size = (target.bit_length() + 7) >> 3
    word = target << 8 * (3 - size) if size <= 3 else target >> 8 * (size - 3)
    if word & _SIGN:  # the highest bit would be read as a sign
        word, size = word >> 8, size + 1
    return size << 24 | word


def bits_of_difficulty(difficulty: Fraction | int) -> int:
    """The easiest compact form that is at least this difficult, from 1 up. Raises
    BadInput("network/bits")."""
    if difficulty < 1:
        raise BadInput("network/bits", difficulty=str(difficulty)[:40])
    return bits_of(int(MAX_TARGET / Fraction(difficulty)))


def difficulty_of(bits: int) -> Fraction:
    """How much harder than difficulty 1, exact. Raises BadInput("network/bits")."""
    return Fraction(MAX_TARGET, target_of(bits))


def hashes_per_block(bits: int) -> Fraction:
    """Hashes that a block takes on average, exact: 2²⁵⁶ ÷ (target + 1).

    The usual 2³² × difficulty is 15 millionths less, since difficulty 1 is 0xffff and not 2¹⁶.
    Raises BadInput("network/bits").
    """
    return Fraction(1 << 256, target_of(bits) + 1)


def next_bits(bits: int, *, span: Seconds) -> int:
    """The compact target after a period of ``bits`` that lasted ``span``.

    ``span`` is from the time of the period's first block to that of its last, which are 2,015
    spacings (Bitcoin's own off-by-one). It counts as a quarter of two weeks at least and as four
    times that at most. Raises BadInput("network/bits").
    """
    shortest, longest = muldiv_down(RETARGET_SPAN, 1, _CLAMP), RETARGET_SPAN * _CLAMP
    counted = min(max(span, shortest), longest)
    target = muldiv_down(target_of(bits), counted, RETARGET_SPAN)
    return bits_of(min(max(target, 1), POW_LIMIT))


def subsidy(height: int) -> Sats:
    """New sats of the block at ``height``: 50 BTC, halved every 210,000 blocks, rounded down.

    Raises BadInput("network/height") below 0.
    """
    if type(height) is not int or height < 0:
        raise BadInput("network/height", height=str(height)[:40])
    return Sats(FIRST_SUBSIDY >> muldiv_down(height, 1, HALVING_BLOCKS))
