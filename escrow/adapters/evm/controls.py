"""The ``evm_`` methods of development nodes: a host's clock, blocks and snapshots."""

from __future__ import annotations

from escrow.adapters.evm.filters import Filters
from escrow.adapters.evm.host import Host
from escrow.adapters.evm.wire import (
    SERVER_ERROR,
    Params,
    RpcError,
    invalid,
    quantity,
    to_int,
    to_number,
)
from escrow.core.errors import Refused
from escrow.core.units import MAX_TIME


class Controls:
    """Asks in JSON form that move a host."""

    def __init__(self, filters: Filters, host: Host) -> None:
        self._filters = filters
        self._chain = filters.chain
        self._host = host
        self._snapshots: set[int] = set()
        self._pushed = 0

    def increase_time(self, params: Params) -> object:
        """Seconds pushed by this method so far, as other development nodes answer."""
        seconds = params.read(0, to_number)
        _check_time(self._chain.clock.now + seconds)
        self._host.pass_time(seconds)
        self._pushed += seconds
        return quantity(self._pushed)

    def set_time(self, params: Params) -> object:
        """The next block's timestamp. Time never goes back: see the error."""
        t = params.read(0, to_number)
        if t <= self._chain.head.timestamp or t < self._chain.clock.now:
            raise RpcError(SERVER_ERROR, "timestamp is not after the last block and the clock")
        _check_time(t)
        self._host.move_to(t)
        return quantity(t)

    def mine(self, params: Params) -> object:
        """Seal the pending block, or an empty one, at a time if one is given."""
        if params.get(0) is not None:
            self.set_time(params)
        self._host.mine()
        return "0x0"

    def snapshot(self, _: Params) -> object:
        taken = self._host.snapshot()
        self._snapshots.add(taken)
        return quantity(taken)

    def revert(self, params: Params) -> object:
        """True, or False if there is no such snapshot. The clock stays where it is."""
        wanted = params.read(0, to_int)
        # Snapshots that others took of the chain in process are not for a client to use up.
        if wanted not in self._snapshots:
            return False
        self._snapshots = {taken for taken in self._snapshots if taken < wanted}
        try:
            self._host.revert(wanted)
        except Refused:  # a revert in process has used it up
            return False
        self._filters.rewind()
        return True


def _check_time(t: int) -> None:
    if t >= MAX_TIME:
        raise invalid("time out of range")
