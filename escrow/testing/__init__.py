"""Property tests of whole deals: a Hypothesis state machine that plays every role, badly too.

Needs the extra ``[testing]``. The machine is small; what it does is plain functions that can
be used without it: ``play`` (one command, every law checked at every event), ``respond`` (do
what is owed, as a perfect world would), ``dump`` and ``load`` (commands as JSON, the format of
``tests/corpus``).
"""

from __future__ import annotations

from escrow.sim.respond import pay_burns, respond
from escrow.testing.draws import PAR, START, platform, price_at, some_terms
from escrow.testing.machine import EscrowMachine
from escrow.testing.play import LawBroken, dump, load, play

__all__ = [
    "PAR",
    "START",
    "EscrowMachine",
    "LawBroken",
    "dump",
    "load",
    "pay_burns",
    "platform",
    "play",
    "price_at",
    "respond",
    "some_terms",
]
