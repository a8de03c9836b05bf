"""The same operations on every EVM that is installed come to the same, gas too where it is exact.

The contracts' lab signs for the time and nonce that it finds on the chain, and the signed bytes are
compared as well: so all were asked the same.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import pytest
from contracts_lab import PRICE, Lab, raw
from evm_backends import BACKENDS, EXACT, Tool, backend
from evm_lab import GWEI

from escrow.adapters.evm.contracts import transaction
from escrow.adapters.evm.revert import Reverted
from escrow.core.errors import EscrowError
from escrow.core.units import DAY
from escrow.ports import Clock, EvmPort, Receipt

SLOTS = range(12)
"""Slots of each contract that are compared word by word."""


@dataclass
class Recorder:
    """A chain that writes down what comes of every transaction, each at an instant of its own."""

    chain: EvmPort
    clock: Clock
    rows: list[dict[str, object]] = field(default_factory=list)

    @property
    def next_base_fee(self) -> int:
        """The same for all, so that all sign the same bytes; more than any of them asks."""
        return GWEI

    def __getattr__(self, name: str) -> Any:
        return getattr(self.chain, name)

    def send(self, raw: bytes, *, strict: bool = True) -> Receipt:
        try:
            receipt = self.chain.send(raw, strict=strict)
        except Reverted as error:
            self.rows.append({"reverted": error.data, "halt": error.halt, "raw": raw})
            raise
        self.rows.append(
            {
                "raw": raw,
                "status": receipt.status,
                "output": receipt.output,
                "at": receipt.timestamp,
                "created": receipt.contract_address,
                "logs": [(log.address, log.topics, log.data) for log in receipt.logs],
                "gas": receipt.gas_used,
            }
        )
        self.clock.at_least(receipt.timestamp + 1)
        return receipt

    def look(self, lab: Lab) -> None:
        """Write down what state can be read."""
        parts = (lab.cash, lab.prices, lab.pledge, lab.book)
        self.rows.append(
            {
                "storage": [[self.chain.storage(p.address, n) for n in SLOTS] for p in parts],
                "code": [self.chain.code(part.address) for part in parts],
                "nonces": [self.chain.nonce(raw(who)) for who in (lab.issuer, lab.borrower)],
                "tokens": [lab.tokens(lab.borrower), lab.money(lab.lender)],
            }
        )


Story = Callable[[Lab], None]


def refused(work: Callable[[], object]) -> None:
    """Tried, and refused; the recorder has written down with what data."""
    with pytest.raises(EscrowError):
        work()


def a_loan(lab: Lab) -> None:
    """Opened, drawn, too much asked for, partly repaid, called, cured by price, repaid."""
    terms = lab.active()
    refused(lambda: lab.do(lab.borrower, "draw", terms, 10**12))
    refused(lambda: lab.cash.send(lab.stranger, "transfer", raw(lab.buyer), 1))
    refused(lambda: lab.post(PRICE, at=lab.now + DAY))
    lab.fund(lab.borrower, 10**9)
    lab.do(lab.borrower, "repay", terms, 1_000_000)
    lab.stay_fresh(lab.now + 3 * 3_600)
    lab.do(lab.borrower, "repay", terms, 10**9)
    lab.pledge.send(lab.borrower, "transfer", raw(lab.buyer), 12_345)


def refusals_that_are_mined(lab: Lab) -> None:
    """A transfer without money, no function of that name, and gas that ends on the way."""
    transfer = lab.cash.encode("transfer", raw(lab.buyer), 5)
    for data, gas in ((transfer, 200_000), (b"\xde\xad\xbe\xef", 200_000), (transfer, 23_000)):
        call = transaction(lab.stranger, chain=lab.chain, to=lab.cash.address, data=data, gas=gas)
        assert lab.chain.send(call, strict=False).status == 0


def tell(name: str, story: Story, tool: Tool) -> list[dict[str, object]]:
    """What one machine makes of a story."""
    with ExitStack() as stack:

        def make(*, clock: Clock, **plan: Any) -> Recorder:
            chain = stack.enter_context(backend(name, tool, clock=clock, **plan))
            return Recorder(chain, clock)

        lab = Lab(make)
        story(lab)
        lab.chain.look(lab)
        logs = lab.chain.logs(limit=10**6)
        rows: list[dict[str, object]] = lab.chain.rows
        rows.append({"logs": [(log.address, log.topics, log.data) for log in logs]})
        return rows


@pytest.fixture(scope="module")
def ours(tool: Tool) -> Callable[[Story], list[dict[str, object]]]:
    return cache(partial(tell, "py-evm", tool=tool))


def same(rows: list[dict[str, object]], *, gas: bool) -> list[dict[str, object]]:
    """What is compared."""
    return rows if gas else [{k: v for k, v in row.items() if k != "gas"} for row in rows]


@pytest.mark.parametrize("name", BACKENDS[1:])
@pytest.mark.parametrize("story", [a_loan, refusals_that_are_mined])
def test_a_story_is_the_same_on_every_machine(
    name: str, story: Story, tool: Tool, ours: Callable[[Story], list[dict[str, object]]]
) -> None:
    gas = name in EXACT
    theirs = tell(name, story, tool)
    assert len(theirs) > 5
    for mine, other in zip(same(ours(story), gas=gas), same(theirs, gas=gas), strict=True):
        assert other == mine
