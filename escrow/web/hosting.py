"""A world behind its EVM chain: what follows a transaction there, and what time does.

Whoever sends a transaction, the engine sees it before the answer goes out. Time is the world's one
clock, so Bitcoin's blocks come with it; a chain of two does not go back on its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Final

from escrow.adapters.bitcoin.vault import address_of
from escrow.core.errors import BadInput, Refused
from escrow.core.units import DAY
from escrow.deal import Deal
from escrow.words import money
from escrow.world import World

MOST_SECONDS: Final = 400 * DAY
"""Seconds that one request lets pass: all prices and deadlines on the way are lived through."""


class WorldHost:
    """The host of a world's EVM chain. ``tell`` hears when a loan comes to another phase."""

    def __init__(self, world: World, *, tell: Callable[[str], object] = lambda _: None) -> None:
        self._world = world
        self._tell = tell
        self._known: dict[str, str] = {}
        world.evm.chain.seal()
        self._phases()

    def sent(self) -> None:
        self._world.evm.chain.seal()
        self._settle()

    def pass_time(self, seconds: int) -> None:
        if seconds > MOST_SECONDS:
            raise BadInput("input/time", seconds=seconds, most=MOST_SECONDS)
        self._world.advance(seconds=seconds)
        self._announce()

    def move_to(self, t: int) -> None:
        self.pass_time(t - self._world.now)

    def mine(self) -> None:
        self._world.evm.chain.seal(empty=True)
        self._settle()

    def snapshot(self) -> int:
        raise Refused("evm/world")

    def revert(self, snapshot: int) -> None:
        raise Refused("evm/world", snapshot=snapshot)

    def _settle(self) -> None:
        self._world.settle()
        # Who asks next wants the latest block to hold what the engine did.
        self._world.evm.chain.seal()
        self._announce()

    def _announce(self) -> None:
        before = self._known
        for loan, phase in self._phases().items():
            if before.get(loan) != phase:
                self._tell(f"loan {loan} {phase}")

    def _phases(self) -> dict[str, str]:
        self._known = {deal.id: deal.phase for deal in self._world.loans}
        return self._known


def about(world: World) -> dict[str, object]:
    """What a party needs to take part, in JSON: numbers as text, bytes in hex."""
    parts = world.evm.contracts
    contracts = [getattr(parts, each.name) for each in fields(parts)]
    return {
        "chainId": world.evm.chain.chain_id,
        "now": str(world.now),
        "contracts": {
            part.name: {"address": "0x" + part.address.hex(), "abi": list(part.artifact.abi)}
            for part in contracts
        },
        "parties": {
            name: {
                "address": party.address,
                "bitcoin": address_of(party.script),
                "script": "0x" + party.script.hex(),
            }
            for name, party in world.parties.items()
        },
        "loans": [_loan(deal) for deal in world.loans],
    }


def shell_lines(world: World, *, url: str) -> Iterator[str]:
    """What a shell needs to take part in the newest loan: it may read these lines as they are."""
    parts, borrower = world.evm.contracts, world.party("borrower")
    yield f"# {len(world.loans)} loan(s); Bitcoin's side is at {url}/esplora"
    yield f"export ETH_RPC_URL={url}"
    yield f"CHAIN_ID={world.evm.chain.chain_id}"
    for each in fields(parts):
        yield f"{each.name.upper()}=0x{getattr(parts, each.name).address.hex()}"
    yield f"BORROWER={borrower.address}"
    yield f"ADDRESS={address_of(borrower.script)}"
    yield f"SCRIPT=0x{borrower.script.hex()}"
    if world.loans:
        deal = world.loans[-1]
        yield f"# {deal.phase}, owed {money(deal.debt)}, vault {deal.vault.address}"
        yield f"LOAN={deal.id}"
        yield f"TYPE='{terms_type(world)}'"
        yield f"TERMS='({','.join(words(deal))})'"


def terms_type(world: World) -> str:
    """The terms' type, as a signature writes it: ``(address,…)``."""
    abi = world.evm.contracts.book.artifact.abi
    (asked,) = next(each["inputs"] for each in abi if each.get("name") == "loan_id")
    return f"({','.join(part['type'] for part in asked['components'])})"


def _loan(deal: Deal) -> dict[str, object]:
    return {
        "id": deal.id,
        "phase": deal.phase,
        "owed": str(deal.debt),
        "pledged": str(deal.state.token.held),
        "vault": deal.vault.address,
        "terms": words(deal),
    }


def words(deal: Deal) -> list[str]:
    """The terms as a call takes them, each in text."""
    return [
        "0x" + value.hex() if isinstance(value, bytes) else str(value) for value in deal.terms_tuple
    ]
