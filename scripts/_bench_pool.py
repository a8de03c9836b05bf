"""What ``scripts/bench pool`` plays: the same ten loans once, ten times, a hundred times over."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256

from escrow import World, WorldConfig
from escrow.adapters.price.files import Quote
from escrow.core.units import BPS, Bps, Sats
from escrow.sim.pilot import load_plan
from escrow.sim.pilots.sovcombank_pool import _pool
from escrow.sim.portfolio import Member, Portfolio


def spent(work: Callable[[], object]) -> float:
    """Seconds of the processor: other programs of the machine do not count."""
    start = time.process_time()
    work()
    return time.process_time() - start


def members(count: int) -> list[Member]:
    """Ten loans of the bank's pool, over and over under other names; nothing is left to chance."""
    ten = _pool(load_plan("sovcombank-pool"), seed=1).members[:10]
    found = []
    for number in range(count):
        base = ten[number % 10]
        answers = Bps(BPS if number % 10 < 7 else 0)
        habit = replace(
            base.habit, answers=answers, pays=Bps(0), repays=Bps(BPS), reserve=Sats(base.pledged)
        )
        name = f"loan-{number}"
        terms = replace(base.terms, borrower="0x" + sha256(name.encode()).hexdigest()[:40])
        found.append(replace(base, name=name, terms=terms, habit=habit))
    return found


def along(count: int, quotes: Sequence[Quote], *, skipping: bool = True) -> Portfolio:
    """Such a portfolio, to the end of the prices."""
    portfolio = Portfolio(members(count), first=quotes[0], seed=1, skipping=skipping)
    portfolio.run(quotes[1:])
    return portfolio


def marked(count: int) -> tuple[World, float]:
    """A world of so many drawn loans, and the seconds that one price takes which calls them all."""
    names = [f"miner-{number}" for number in range(count)]
    world = World(config=WorldConfig(extra=tuple(f"{name}:borrower" for name in names)))
    deals = [world.accept(world.offer(world.terms(borrower=name))) for name in names]
    world.pledge_many([(deal, "1.2") for deal in deals])
    world.price("100000")
    for deal in deals:
        world.draw(deal)
    taken = spent(lambda: world.price("55000"))
    assert all(deal.phase == "MARGIN_CALL" for deal in deals)
    return world, taken
