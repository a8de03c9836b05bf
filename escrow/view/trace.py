"""A run as steps: who acted, what was asked, what was decided and why, what the chains now hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from escrow.core.laws import LAWS, Step
from escrow.core.phases import loan_phase, token_phase, vault_phase
from escrow.core.regions import vault as vt
from escrow.core.regions.system import ClockTicked, PriceMarked
from escrow.core.state import Event
from escrow.deal import Act
from escrow.view.why import why
from escrow.words import moment
from escrow.world import World


@dataclass(frozen=True, slots=True)
class Line:
    """One step of a run."""

    n: int
    at: int
    actor: str
    verb: str
    decision: str
    why: str
    loan: str
    vault: str
    token: str
    bitcoin: tuple[str, ...]
    evm: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """The step as the JSON of a run has it."""
        return {name: getattr(self, name) for name in self.__slots__}


def lines(world: World) -> Iterator[Line]:
    """Every act of the world, in order, with the phases of the loan last touched."""
    phases = ("DRAFT", "UNFUNDED", "NONE")
    for act in world.acts:
        if act.after:
            latest = list(act.after.values())[-1]
            phases = (loan_phase(latest), vault_phase(latest), token_phase(latest))
        yield _line(act, phases)


def _line(act: Act, phases: tuple[str, str, str]) -> Line:
    events = list(told(act))
    decision = ", ".join(dict.fromkeys(type(step.event).__name__ for step in events))
    reasons = dict.fromkeys(reason for step in events if (reason := why(step)))
    refused = dict.fromkeys(
        f"{'no longer' if refusal.code == 'psbt/stale' else 'not yet'}: {refusal}"
        for refusal in act.refusals
    )
    return Line(
        n=act.n,
        at=act.at,
        actor=act.actor,
        verb=act.verb,
        decision=decision or "nothing changed",
        why="; ".join([*reasons, *refused]),
        loan=phases[0],
        vault=phases[1],
        token=phases[2],
        bitcoin=tuple(dict.fromkeys(t for step in events for t in _txids(step.event))),
        evm=act.evm,
    )


def told(act: Act) -> Iterator[Step]:
    """What is worth telling: not the clock, and of the same price signed again only the last."""
    steps = [step for _, step in act.steps if not isinstance(step.event, ClockTicked)]
    for step, following in zip_longest(steps, steps[1:]):
        same = (
            isinstance(step.event, PriceMarked)
            and following is not None
            and isinstance(following.event, PriceMarked)
            and following.event.price.price == step.event.price.price
        )
        if not same:
            yield step


def _txids(event: Event) -> tuple[str, ...]:
    match event:
        case vt.CoinSeen(outpoint=outpoint):
            return (outpoint.split(":")[0],)
        case vt.PayoutSent(payout=payout) | vt.PayoutReplaced(payout=payout):
            return (payout.txid,)
        case vt.CoinsRecovered(txid=txid):
            return (txid,)
        case _:
            return ()


def balances(world: World) -> dict[str, dict[str, int]]:
    """Sats, free pledge tokens and cash of the parties that hold any."""
    return {
        name: {
            "sats": world.sats_of(name),
            "pledge_tokens": world.tokens_of(name),
            "cash": world.cash_of(name),
        }
        for name in ("borrower", "lender", "custodian", "liquidator")
    }


def run_as_dict(world: World, *, scene: str) -> dict[str, object]:
    """The JSON of a run: steps, final state and laws."""
    loan, vault, token = "DRAFT", "UNFUNDED", "NONE"
    if world.loans:
        last = world.loans[-1].state
        loan, vault, token = loan_phase(last), vault_phase(last), token_phase(last)
    return {
        "scene": scene,
        "seed": world.config.seed,
        "state_hash": world.state_hash,
        "steps": [line.as_dict() for line in lines(world)],
        "final": {"loan": loan, "vault": vault, "token": token, "balances": balances(world)},
        "laws": {
            "checked": world.engine.checked * len(LAWS),
            "broken": [
                {"law": law.id, "loan": name, "event": type(event).__name__}
                for law, name, event in world.engine.broken
            ],
        },
    }


def heading(line: Line) -> str:
    """``3. 2025-12-01 00:00:00  borrower: pledge``."""
    return f"{line.n:>3}. {moment(line.at)}  {line.actor}: {line.verb}"
