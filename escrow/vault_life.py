"""What may happen to a vault's coins while its loan runs, as the world's verbs need it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from escrow.actors.generations import Agreement, rekey_message
from escrow.actors.vaults import Plan, payout_paths
from escrow.adapters.bitcoin.vault import Vault
from escrow.adapters.evm.typed import sign_rekey
from escrow.core.decide import decide
from escrow.core.errors import BadInput, Refused
from escrow.core.phases import agreed_terms, backing, is_inside
from escrow.core.roles import Role
from escrow.core.state import Escrow
from escrow.core.units import Seconds
from escrow.core.verbs.rekey import Rekey
from escrow.custody.policy import Older, Path, Policy
from escrow.ports import Coin, OutPoint
from escrow.wiring import Wires, take_up


@dataclass(frozen=True, slots=True)
class Refresh:
    """A coin that is to move before a path opens for which less is asked."""

    outpoint: str
    """``txid:vout``."""
    by: Seconds
    """World time from which somebody could take that path."""
    path: str
    """Which."""


def opens_by_waiting(policy: Policy) -> tuple[Path, ...]:
    """Paths that open to a coin because it rests, soonest first."""
    paths = [path for path in policy.paths if isinstance(path.lock, Older)]
    return tuple(sorted(paths, key=_rest))


def refreshes(wires: Wires, vault: Vault, escrow: Escrow, *, offset: int) -> tuple[Refresh, ...]:
    """Which coins of the vault must move by when, the most urgent first. ``offset`` is world time
    − block time. Empty if no path opens by waiting."""
    waiting = opens_by_waiting(vault.policy)
    found: list[Refresh] = []
    for coin in found_coins(wires, escrow) if waiting else ():
        born = wires.bitcoin.median_time_at(coin.height - 1)
        at = Seconds(born + _rest(waiting[0]) + offset)
        found.append(Refresh(str(coin.outpoint), at, waiting[0].name))
    return tuple(sorted(found, key=lambda each: (each.by, each.outpoint)))


def found_coins(wires: Wires, escrow: Escrow) -> list[Coin]:
    """Coins at the vault's newest address that tokens stand on and that nothing spends."""
    newest = len(escrow.vault.generations)
    places = [OutPoint.parse(c.outpoint) for c in backing(escrow) if c.generation == newest]
    return [coin for each in places if (coin := wires.bitcoin.coin(each)) is not None]


def vaults_of(wires: Wires, escrow: Escrow) -> tuple[Vault, ...]:
    """Every generation of a loan's vault, the oldest first: a role's key is as new as it was
    replaced often. Raises ``loan/unknown``."""
    plan, replaced = Plan.of(agreed_terms(escrow)), Counter[str]()
    found = [wires.vaults.vault(plan)]
    for generation in escrow.vault.generations:
        replaced[generation.role] += 1
        found.append(wires.vaults.vault(plan, generations=dict(replaced)))
    return tuple(found)


def agree_rekey(wires: Wires, loan: str, escrow: Escrow, *, lost: str, at: Seconds) -> Rekey:
    """Borrower and lender sign for a vault in which ``lost`` has a new key, and every cosigner and
    attestor takes it up; the command that tells the rules.

    Raises BadInput("bitcoin/key") if the policy has no such role; Refused: "rekey/quorum" if
    without its key, and those lost before, too few can move the coins that are there; Rejected
    as ``rekey``, "rekey/not-agreed" if borrower or lender does not answer.
    """
    terms, policy = agreed_terms(escrow), wires.vaults.policy
    if all(role.name != lost for role in policy.roles):
        raise BadInput("bitcoin/key", role=lost[:40], reason="no such role")
    _check_quorum(escrow, policy, lost=lost)
    roles = [each.role for each in escrow.vault.generations]
    replaced = Counter([*roles, lost])
    vault = wires.vaults.vault(Plan.of(terms), generations=dict(replaced))
    program, generation = "0x" + vault.witness_program.hex(), len(roles) + 1
    parties = wires.sides(terms)
    agreed = tuple(party.role for party in parties if wires.answers(party))
    command = Rekey(Role.OPERATOR, at, program, lost, generation, agreed)
    decide(escrow, command)
    message, domain = rekey_message(loan, program, generation), wires.evm.contracts.book.domain
    borrower, lender = (sign_rekey(p.account, rekey=message, domain=domain) for p in parties)
    take_up(wires, Agreement(loan, program, generation, borrower, lender))
    return command


def _check_quorum(escrow: Escrow, policy: Policy, *, lost: str) -> None:
    roles = [each.role for each in escrow.vault.generations]
    newest = len(roles)
    for number in sorted({newest, *(c.generation for c in escrow.vault.coins if is_inside(c))}):
        gone = {*roles[number:], lost}
        if not any(len(set(p.roles) - gone) >= p.threshold for p in payout_paths(policy)):
            raise Refused("rekey/quorum", lost=" ".join(sorted(gone)), generation=number)


def _rest(path: Path) -> Seconds:
    assert isinstance(path.lock, Older)
    return path.lock.seconds
