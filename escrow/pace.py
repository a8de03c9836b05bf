"""How time passes: the one clock moves, blocks are found, prices are signed again before they age.

Every moment at which something may come due by time alone is stopped at, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from escrow.actors.oracle import Oracle, Report
from escrow.actors.party import Party
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.evm.client import EvmClient
from escrow.clock import Clock
from escrow.config import BLOCK_INTERVAL, WorldConfig, block_time_offset
from escrow.core.due import wakes
from escrow.core.errors import BadInput, EscrowError, Rejected
from escrow.core.regions.system import Tips, is_jump, median
from escrow.core.roles import Role
from escrow.core.units import PriceE8, Seconds
from escrow.core.verbs.tick import Tick
from escrow.engine import Engine

_MTP_BLOCKS: Final = 11
"""Blocks whose median is Bitcoin's own clock (BIP-113)."""


class Pace:
    """Moves clock, chains and engine together."""

    def __init__(
        self,
        config: WorldConfig,
        *,
        clock: Clock,
        bitcoin: Node,
        evm: EvmClient,
        engine: Engine,
        oracles: Sequence[Oracle],
        operator: Party,
        answers: Callable[[Party], bool],
        refusals: list[EscrowError],
        market: PriceE8 | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._bitcoin = bitcoin
        self._evm = evm
        self._engine = engine
        self._oracles = oracles
        self._operator = operator
        self._answers = answers
        self._refusals = refusals
        self.market = market
        """What the oracles sign again when a price grows old; ``None`` before the first."""

    def sync(self) -> None:
        """Take in what was done on the chains directly, at its own time, then tell the time."""
        self._engine.look()
        if self._clock.now > self._engine.system.clock:
            self.tell()
            self._engine.look()

    def tell(self) -> None:
        """Tell the engine the time, and where both chains stand."""
        tips = Tips(
            height=self._bitcoin.height,
            bitcoin=self._bitcoin.tip_hash,
            block=self._evm.chain.block_number,
            evm="0x" + self._evm.chain.head_hash.hex(),
        )
        self._engine.tick(Tick(Role.WATCHER, self._clock.now, tips))

    def advance_to(self, end: Seconds) -> None:
        """Let time pass up to ``end``, stopping wherever something may come due."""
        while self._clock.now < end:
            stop = self._next_stop(end)
            self._find_blocks(stop, last=stop == end)
            self._move(stop)

    def mine(self, blocks: int, *, script: bytes | None = None) -> None:
        """Find Bitcoin blocks one by one, ten minutes apart; their rewards go to ``script``."""
        for _ in range(blocks):
            now = Seconds(self._clock.now + BLOCK_INTERVAL)
            self._mine_block(now, script=script)
            self._move(now)

    def reorg(self, depth: int, *, drop: Sequence[str]) -> None:
        """Replace the last blocks. Raises ``Refused("bitcoin/reorg")``."""
        self._bitcoin.reorg(depth, time=self._block_time(self._clock.now), drop=drop)

    def price(self, value: PriceE8) -> None:
        """A new round, a second later if there was one at this very instant.

        Raises ``Rejected``: ``price/too-few-signers``, ``price/range``, ``price/deviation``.
        """
        last = self._engine.system.price
        at = self._clock.now if last is None else Seconds(max(self._clock.now, last.at + 1))
        reports = self._reports(self._answering(), value, at=at)
        if at > self._clock.now:
            self._clock.move_to(at)
            self._evm.chain.seal()
            self.sync()
        self.post(reports, at=at)
        self.market = value

    def lie(self, name: str, price: PriceE8 | None) -> None:
        """This oracle says that price, whatever the market says; ``None``: it is honest again.
        Raises ``BadInput("input/unknown-party")``."""
        liar = next((each for each in self._oracles if each.party.name == name), None)
        if liar is None:
            raise BadInput("input/unknown-party", name=name[:40])
        liar.lie = price

    @property
    def lies(self) -> dict[str, int]:
        """Who lies, and what it says."""
        return {each.party.name: each.lie for each in self._oracles if each.lie is not None}

    def post(self, reports: Sequence[Report], *, at: Seconds) -> None:
        """The operator posts a round. Raises ``Rejected``: ``price/…``."""
        self._evm.contracts.prices.send(
            self._operator.account, "post", self._round(), at, list(reports)
        )

    def _reports(
        self, answering: Sequence[Oracle], market: PriceE8, *, at: Seconds
    ) -> list[Report]:
        """What the oracles say, ascending: a quorum of those that answer, or where that makes a
        jump, all of them but the last of an even number."""
        system = self._engine.system
        if len(answering) < system.quorum:
            raise Rejected("price/too-few-signers", signers=len(answering), quorum=system.quorum)
        reports = self._asked(answering[: system.quorum], market, at)
        if not is_jump(system, median(tuple(price for price, _ in reports)), at=at):
            return reports
        asked = len(answering) - 1 + len(answering) % 2
        if asked < system.wide_quorum:
            raise Rejected("price/deviation", signers=asked, quorum=system.wide_quorum)
        return self._asked(answering[:asked], market, at)

    def _asked(self, oracles: Sequence[Oracle], market: PriceE8, at: Seconds) -> list[Report]:
        number = self._round()
        return sorted(each.report(round=number, market=market, at=at, now=at) for each in oracles)

    def _answering(self) -> list[Oracle]:
        """Oracles of the set that counts now, in its order, as far as they answer."""
        known = {oracle.party.address_bytes: oracle for oracle in self._oracles}
        members = self._evm.contracts.prices.call("signers")
        found = (known[member] for member in members if member in known)
        return [oracle for oracle in found if self._answers(oracle.party)]

    def _round(self) -> int:
        last = self._engine.system.price
        return last.round + 1 if last else 1

    def _move(self, to: Seconds) -> None:
        self._clock.move_to(to)
        self._evm.chain.seal()
        self.sync()
        self._heartbeat()
        self._engine.settle()

    def _next_stop(self, end: Seconds) -> Seconds:
        stops = [end]
        price = self._engine.system.price
        if price is not None and len(self._answering()) >= self._engine.system.quorum:
            # And a second later: what is a jump from a fresh price is none from a stale one.
            old = price.at + self._config.heartbeat
            stops += [Seconds(old), Seconds(old + 1)]
        for loan in self._engine.deals:
            stops.extend(wakes(self._engine.deal(loan))[:1])
        return min(stop for stop in stops if stop > self._clock.now)

    def _heartbeat(self) -> None:
        price = self._engine.system.price
        old = price is not None and self._clock.now >= price.at + self._config.heartbeat
        if not old or self.market is None:
            return
        answering, now = self._answering(), self._clock.now
        if len(answering) < self._engine.system.quorum:
            return
        try:
            self.post(self._reports(answering, self.market, at=now), at=now)
        except Rejected as refusal:
            self._refusals.append(refusal)

    def _find_blocks(self, to: Seconds, *, last: bool) -> None:
        """Blocks found on the way to ``to``: one in ten minutes, of which a long hop keeps one,
        and the last hop the eleven that make Bitcoin's own clock."""
        since = self._bitcoin.tip_time + block_time_offset(self._config)
        found = max(0, (to - since) // BLOCK_INTERVAL)
        count = min(found, _MTP_BLOCKS if last else 1)
        for i in range(count):
            self._mine_block(Seconds(to - (count - 1 - i) * BLOCK_INTERVAL))

    def _mine_block(self, at: Seconds, *, script: bytes | None = None) -> None:
        time = max(self._block_time(at), self._bitcoin.median_time + 1)
        self._bitcoin.mine(time=time, script_pubkey=script)

    def _block_time(self, at: Seconds) -> int:
        return at - block_time_offset(self._config)
