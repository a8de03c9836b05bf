"""The vaults of a world: one custody policy, compiled for each loan with its parties' own keys.

A role is played by the party of its name, the borrower's by the borrower of the terms. The role
``recovery``, held by a party of the world, is that party's recovery account; every other role is a
party by itself, since a key that lives elsewhere is somebody else's to ask.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from escrow.actors.party import Party, borrower_at
from escrow.adapters.bitcoin.keys import VaultKey
from escrow.adapters.bitcoin.vault import Vault, compile_vault
from escrow.core.terms import Terms
from escrow.core.units import Seconds
from escrow.custody.policy import After, Moment, Path, Policy, Role

BORROWER: Final = "borrower"
"""Role that each loan's own borrower plays."""
RECOVERY: Final = "recovery"
"""Role whose key is on its holder's recovery account (``Keys.recovery_key``)."""
_FIRST: Final = ("lender", BORROWER)
_GENERATION_BITS: Final = 20


@dataclass(frozen=True, slots=True)
class Plan:
    """What of a loan's terms its vault is made of."""

    nonce: int
    """The terms' own: which key of each party."""
    default_at: Seconds
    """World time from which the loan is in default if unpaid."""
    recover_at: Seconds
    """World time of the recovery."""
    borrower: str
    """Whose keys the borrower's are: its EVM address."""

    @classmethod
    def of(cls, terms: Terms) -> Plan:
        """Read off the terms."""
        default_at = Seconds(terms.maturity + terms.grace)
        return cls(terms.nonce, default_at, terms.recover_at, terms.borrower)


def is_recovery(policy: Policy, role: Role) -> bool:
    """Is the role its holder's recovery account? That one signs only where there is a lock."""
    paths = [path for path in policy.paths if role.name in path.roles]
    return role.name == RECOVERY != role.holder and all(path.lock for path in paths)


def new_parties(policy: Policy) -> tuple[str, ...]:
    """Names of parties that the policy's roles need, in its order."""
    return tuple(role.name for role in policy.roles if not is_recovery(policy, role))


def payout_paths(policy: Policy) -> tuple[Path, ...]:
    """Paths by which a quorum pays burns: those that no moment of the loan opens."""
    return tuple(path for path in policy.paths if not isinstance(path.lock, After))


def cosigner_names(policy: Policy) -> tuple[str, ...]:
    """Who is asked for payouts, and in which order: the lender is paid or consents first."""
    names = dict.fromkeys(name for path in payout_paths(policy) for name in path.roles)
    return tuple(sorted(names, key=lambda n: _FIRST.index(n) if n in _FIRST else len(_FIRST)))


class Vaults:
    """Compiles vaults, each once: that takes milliseconds."""

    def __init__(self, policy: Policy, *, parties: Mapping[str, Party], offset: int) -> None:
        """``offset`` is world time − block time, seconds."""
        self.policy = policy
        """Whose vaults these are."""
        self._parties = parties
        self._offset = offset
        self._made: dict[tuple[Plan, tuple[tuple[str, int], ...]], Vault] = {}

    def vault(self, plan: Plan, *, generations: Mapping[str, int] = MappingProxyType({})) -> Vault:
        """The vault of a loan. Raises as ``compile_vault``.

        ``generations`` tell how often a role's key was replaced, where it was.
        """
        place = (plan, tuple(sorted(generations.items())))
        if place not in self._made:
            times = {Moment.DEFAULT: plan.default_at, Moment.RECOVERY: plan.recover_at}
            used = {p.lock.moment for p in self.policy.paths if isinstance(p.lock, After)}
            self._made[place] = compile_vault(
                self.policy,
                keys={
                    role.name: self._key(role, plan, generation=generations.get(role.name, 0))
                    for role in self.policy.roles
                },
                moments={
                    each: Seconds(times[each] - self._offset) for each in Moment if each in used
                },
            )
        return self._made[place]

    def successors(self, plan: Plan, *, replaced: Sequence[str]) -> Mapping[str, str]:
        """Every address that the vault may have next, as witness program in hex with 0x → the role
        whose key is new in it. ``replaced`` are the roles whose keys were replaced so far."""
        found: dict[str, str] = {}
        for role in self.policy.roles:
            vault = self.vault(plan, generations=Counter([*replaced, role.name]))
            found["0x" + vault.witness_program.hex()] = role.name
        return found

    def holder(self, role: str, *, borrower: str) -> Party:
        """The party that signs for a role of the vault of this borrower, an EVM address. Raises
        ``KeyError``."""
        found = self.policy.role(role)
        name = found.holder if is_recovery(self.policy, found) else role
        if name == BORROWER:
            return borrower_at(self._parties, borrower)
        return self._parties[name]

    def _key(self, role: Role, plan: Plan, *, generation: int) -> VaultKey:
        keys = self.holder(role.name, borrower=plan.borrower).keys
        index = plan.nonce + (generation << _GENERATION_BITS)
        return keys.recovery_key(index) if is_recovery(self.policy, role) else keys.vault_key(index)
