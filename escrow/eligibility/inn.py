"""The tax number of a Russian taxpayer (INN) and its control digits.

Source: the control-number rule that the tax service publishes for INN: 10 digits for a legal
entity, the last a control digit; 12 for a person, the last two (general knowledge, not re-checked).
"""

from __future__ import annotations

import re
from typing import Final

from escrow.core.errors import BadInput

ENTITY: Final = 10
"""Digits of a legal entity's number."""
PERSON: Final = 12
"""Digits of a person's number, entrepreneur or not."""

_DIGITS: Final = re.compile(r"[0-9]+", re.ASCII)
_WEIGHTS: Final = (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)
"""A control digit after n digits weighs them by the last n of these."""


def parse_inn(text: str) -> str:
    """A number whose control digits fit. Raises BadInput("miner/inn")."""
    if len(text) not in (ENTITY, PERSON) or not _DIGITS.fullmatch(text):
        raise BadInput("miner/inn", inn=text[:20], reason="not 10 or 12 digits")
    controls = 1 if len(text) == ENTITY else 2
    for place in range(len(text) - controls, len(text)):
        if int(text[place]) != control(text[:place]):
            raise BadInput("miner/inn", inn=text, reason=f"control digit {place + 1} is wrong")
    return text


def control(digits: str) -> int:
    """The control digit that follows 9, 10 or 11 digits."""
    weighed = zip(_WEIGHTS[-len(digits) :], digits, strict=True)
    return sum(weight * int(digit) for weight, digit in weighed) % 11 % 10
