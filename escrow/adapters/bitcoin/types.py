"""What the Bitcoin adapter speaks in."""

from __future__ import annotations

from typing import Final

from escrow.ports import Coin, OutPoint

COINBASE_MATURITY: Final = 100
"""Confirmations a coinbase output needs before it may be spent (consensus)."""

__all__ = ["COINBASE_MATURITY", "Coin", "OutPoint"]
