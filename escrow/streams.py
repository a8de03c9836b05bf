"""Random streams: keyed by name, counted by draw, so that they can be written down.

A stream's n-th draw depends on the world's seed, the stream's name and n, and on nothing else:
adding an agent never changes what another draws, and a saved world goes on where it stood.
"""

from __future__ import annotations

from hashlib import sha256

from escrow.core.errors import BadInput


class Streams:
    """All random streams of a world."""

    def __init__(self, seed: bytes, *, counters: dict[str, int] | None = None) -> None:
        self._seed = seed
        self.counters = dict(counters or {})
        """Draws made so far, by stream."""

    def __repr__(self) -> str:
        return f"<Streams {sorted(self.counters)}>"

    def fresh(self, name: str) -> bytes:
        """32 bytes of stream ``name``, which it gives only once.

        Worlds that part ways, as forks do, draw the same ones: in a simulation, whose every key
        follows from its seed, that gives nothing away. Outside take the operating system's.
        """
        return b"".join(self.below(name, 2**128).to_bytes(16, "big") for _ in range(2))

    def below(self, name: str, bound: int) -> int:
        """The next draw of stream ``name``: a whole number from 0 to ``bound`` − 1, all alike.

        Raises ``BadInput("input/amount")`` for a bound below 1 or above 2**128.
        """
        if not 1 <= bound <= 2**128:
            raise BadInput("input/amount", bound=bound)
        # Draw again above the largest multiple of the bound: otherwise small results would win.
        limit = 2**256 - 2**256 % bound
        while True:
            count = self.counters.get(name, 0)
            self.counters[name] = count + 1
            material = len(name).to_bytes(4, "big") + name.encode() + count.to_bytes(8, "big")
            draw = int.from_bytes(sha256(self._seed + material).digest(), "big")
            if draw < limit:
                return draw % bound
