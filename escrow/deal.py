"""A loan as its parties see it, and an act as it was done: windows, with no state of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from escrow.adapters.bitcoin.vault import Vault
from escrow.adapters.evm.client import terms_mapping
from escrow.core.due import Effect, due
from escrow.core.errors import EscrowError
from escrow.core.laws import Step
from escrow.core.phases import debt_now, loan_phase, terms_of, token_phase, vault_phase
from escrow.core.rules import ltv_up
from escrow.core.state import Escrow
from escrow.core.terms import Terms
from escrow.core.units import Bps, Cents, Seconds
from escrow.words import coins, money, percent


class _World(Protocol):
    @property
    def now(self) -> Seconds: ...
    def state_of(self, loan: str) -> Escrow: ...
    def vault_of(self, loan: str) -> Vault: ...


@dataclass(frozen=True, slots=True)
class Act:
    """One verb as it was done: for traces, never read by the rules."""

    n: int
    """From 1."""
    at: Seconds
    """When it began."""
    actor: str
    """Who acted."""
    verb: str
    """What was asked."""
    loan: str
    """Of which loan; empty for the platform."""
    asked: dict[str, str]
    """With which arguments."""
    steps: tuple[tuple[str, Step], ...]
    """Every event it led to, by loan, with the deal before and after."""
    evm: tuple[str, ...]
    """EVM transactions it led to."""
    refusals: tuple[EscrowError, ...]
    """Who said no on the way."""
    after: Mapping[str, Escrow]
    """The deals it concerned, when all was settled."""
    log: tuple[int, int]
    """Where its events stand in the log: the first, and the one after the last."""
    sent: tuple[int, int]
    """Where its transactions stand on the EVM, counted likewise."""


class Deal:
    """A loan as its parties see it: a window on the world, with no state of its own."""

    def __init__(self, world: _World, loan: str) -> None:
        self._world = world
        self.id = loan
        """EIP-712 hash of the terms: the loan's name on every chain."""

    @property
    def state(self) -> Escrow:
        """All four regions."""
        return self._world.state_of(self.id)

    @property
    def terms(self) -> Terms:
        """What both sides signed."""
        return terms_of(self.state.loan)

    @property
    def terms_tuple(self) -> tuple[int | bytes | str, ...]:
        """The terms as EscrowBook's functions take them from ``web3``."""
        return tuple(
            bytes.fromhex(value[2:]) if name == "vault" else value
            for name, value in terms_mapping(self.terms).items()
        )

    @property
    def phase(self) -> str:
        """Name of the loan's phase, e.g. ``ACTIVE``."""
        return loan_phase(self.state)

    @property
    def vault(self) -> Vault:
        """Descriptor, address and keys of the vault."""
        return self._world.vault_of(self.id)

    @property
    def debt(self) -> Cents:
        """Owed now, in cents, rounded up."""
        return debt_now(self.state, at=self._world.now)

    @property
    def ltv(self) -> Bps | None:
        """Loan-to-value at the last price, in bps, rounded up; ``None`` before a price."""
        price = self.state.system.price
        if price is None:
            return None
        return ltv_up(self.debt, sats=self.state.token.held, price=price.price)

    @property
    def due(self) -> tuple[Effect, ...]:
        """What is owed now, and by whom (``owed_by``)."""
        return due(self.state)

    def __repr__(self) -> str:
        rows = ", ".join(f"{name} {value}" for name, value in self._rows())
        return f"<Deal {self.id[:10]}… {rows}>"

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{n}</th><td>{v}</td></tr>" for n, v in self._rows())
        return f"<table><caption>Loan {self.id}</caption>{rows}</table>"

    def _rows(self) -> list[tuple[str, str]]:
        state, ltv = self.state, self.ltv
        return [
            ("loan", self.phase),
            ("vault", vault_phase(state)),
            ("token", token_phase(state)),
            ("owed", money(self.debt)),
            ("pledged", coins(state.token.held)),
            ("ltv", "–" if ltv is None else percent(ltv)),
        ]
