"""Several transactions of which none is sent where one would be refused.

    send_all(chain, partial(cash.send, payer, "approve", spender, 5), partial(book.send, payer, …))

Each is written down once, and called twice: rehearsed, then sent. On a chain nothing takes back
an allowance whose use was refused, so nobody gives one before the rest is known to go through.
"""

from __future__ import annotations

from collections.abc import Callable

from escrow.adapters.evm.chain import Chain
from escrow.ports import Receipt

Sending = Callable[[], object]
"""Signs a transaction, as the chain then is, and sends it: a ``partial`` of ``Contract.send``."""


def rehearse(chain: Chain, *sendings: Sending) -> None:
    """Would they go through one after the other, now? Raises what the first that would not raises;
    either way nothing was sent."""
    with chain.rehearsal():
        for each in sendings:
            each()


def send_all(chain: Chain, *sendings: Callable[[], Receipt]) -> tuple[Receipt, ...]:
    """Send them one after the other, all or none. Raises as ``rehearse``."""
    rehearse(chain, *sendings)
    return tuple(each() for each in sendings)
