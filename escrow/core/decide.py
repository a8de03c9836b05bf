"""From a command to what was decided: one match, and the order of what happens at one instant.

A **Command** is an ask or a sighting; it says who and when. The answer is events, or
``Rejected``. ``witness`` is for sightings of what a chain has already done: a fact cannot be
refused, so what the rules would have refused is noted as an incident.
"""

from __future__ import annotations

from typing import Final, assert_never

from escrow.core.eligibility import DENIED
from escrow.core.errors import Rejected
from escrow.core.gates import unruled
from escrow.core.phases import ended
from escrow.core.state import Escrow, Event, Incident, fold
from escrow.core.verbs.accept import Accept, accept
from escrow.core.verbs.assess import Assess, assess
from escrow.core.verbs.attest import Attest, attest
from escrow.core.verbs.auction import Redo, Take, redo, take
from escrow.core.verbs.burn import BurnTokens, burn
from escrow.core.verbs.cancel import Cancel, cancel
from escrow.core.verbs.cure import Cure, cure
from escrow.core.verbs.declare_default import DeclareDefault, declare_default
from escrow.core.verbs.dispute import Dispute, Resolve, dispute, resolve
from escrow.core.verbs.draw import Draw, draw
from escrow.core.verbs.expire_call import ExpireCall, expire_call
from escrow.core.verbs.impair import Impair, LiftImpairment, impair, lift_impairment
from escrow.core.verbs.lapse import Lapse, lapse
from escrow.core.verbs.liquidate import Liquidate, liquidate
from escrow.core.verbs.margin_call import MarginCall, margin_call
from escrow.core.verbs.mark import Mark, mark
from escrow.core.verbs.mint import Mint, mint
from escrow.core.verbs.notice import Notice, notice
from escrow.core.verbs.offer import Offer, offer
from escrow.core.verbs.open import Open, open_loan
from escrow.core.verbs.pause import Pause, Resume, pause, resume
from escrow.core.verbs.payout import (
    SawPayout,
    SawPayoutDepth,
    SawPayoutStuck,
    SawPayoutVoid,
    saw_payout,
    saw_payout_depth,
    saw_payout_stuck,
    saw_payout_void,
)
from escrow.core.verbs.pledge import SawCoin, SawCoinGone, saw_coin, saw_coin_gone
from escrow.core.verbs.recover import NoteRecovery, SawRecovery, note_recovery, saw_recovery
from escrow.core.verbs.refinance import Refinance, refinance
from escrow.core.verbs.rekey import Rekey, SawGeneration, rekey, saw_generation
from escrow.core.verbs.repay import Repay, repay
from escrow.core.verbs.retire import Retire, retire
from escrow.core.verbs.rotate import SawRotation, saw_rotation
from escrow.core.verbs.switch_profile import SwitchProfile, switch_profile
from escrow.core.verbs.tick import Tick, tick
from escrow.core.verbs.top_up import TopUp, top_up
from escrow.core.verbs.transfer import Transfer, transfer
from escrow.core.verbs.withdraw import Withdraw, withdraw

Command = (
    Tick
    | SawCoin
    | SawCoinGone
    | SawPayout
    | SawPayoutDepth
    | SawPayoutVoid
    | SawPayoutStuck
    | SawRecovery
    | SawGeneration
    | SawRotation
    | Mark
    | Pause
    | Resume
    | SwitchProfile
    | Attest
    | Transfer
    | Offer
    | Accept
    | Open
    | Mint
    | TopUp
    | Draw
    | Repay
    | Cancel
    | Lapse
    | Assess
    | Impair
    | LiftImpairment
    | DeclareDefault
    | Cure
    | MarginCall
    | ExpireCall
    | Dispute
    | Resolve
    | Withdraw
    | Refinance
    | Redo
    | Take
    | Liquidate
    | BurnTokens
    | Retire
    | NoteRecovery
    | Rekey
    | Notice
)

RANK: Final[dict[type[Command], int]] = {
    # 1 chain: the clock, then what Bitcoin says
    Tick: 10,
    SawCoinGone: 11,
    SawCoin: 12,
    SawRecovery: 13,
    SawPayout: 14,
    SawPayoutDepth: 15,
    SawPayoutVoid: 16,
    SawPayoutStuck: 17,
    SawGeneration: 18,
    # 2 oracle: what the guardian stops, it stops after the price and before all that needs one
    SawRotation: 20,
    Mark: 21,
    Pause: 22,
    Resume: 23,
    # the register: what is known and which rules count is settled before anybody asks
    SwitchProfile: 25,
    Attest: 26,
    Transfer: 27,
    # 3 agreement, collateral and money
    Offer: 30,
    Accept: 31,
    Open: 32,
    Mint: 33,
    TopUp: 34,
    Repay: 35,
    Draw: 36,
    Cancel: 37,
    Refinance: 38,
    Withdraw: 39,
    # 4, 5 what has run out and what fell due
    Lapse: 50,
    Assess: 51,
    Impair: 52,
    LiftImpairment: 53,
    DeclareDefault: 54,
    # 6 margin
    Cure: 60,
    MarginCall: 61,
    Dispute: 62,
    Resolve: 63,
    ExpireCall: 64,
    Notice: 65,
    # 7 liquidation
    Redo: 70,
    Take: 71,
    Liquidate: 72,
    # 8 release
    BurnTokens: 80,
    Retire: 81,
    NoteRecovery: 82,
    # 9 custody: once all that the old keys signed is told
    Rekey: 90,
}
"""The order of what happens at one instant (``domain`` §2.3). A payment at the deadline is on
time; a top-up at the same instant cures; a price that brings the margin call cannot also expire
it."""


def in_order(commands: tuple[Command, ...]) -> tuple[Command, ...]:
    """Sort by instant, then by rank, then by content: any permutation gives the same order."""
    return tuple(sorted(commands, key=lambda c: (c.at, RANK[type(c)], repr(c))))


_MAY_END: Final = (
    Repay,
    Cancel,
    Liquidate,
    Take,
    Retire,
    SawCoinGone,
    SawPayoutDepth,
    SawRecovery,
)
"""Commands after which a deal may be over on both chains."""


def decide(escrow: Escrow, command: Command) -> tuple[Event, ...]:
    """What follows from ``command`` in this state. Pure. Raises ``Rejected``."""
    if command.at < escrow.system.clock:
        raise Rejected("clock/backwards", now=escrow.system.clock, at=command.at)
    events = _decide(escrow, command)
    if not isinstance(command, _MAY_END):
        return events
    return (*events, *ended(fold(escrow, events), at=command.at))


def _decide(escrow: Escrow, command: Command) -> tuple[Event, ...]:
    match command:
        case Tick():
            return tick(escrow, command)
        case SawCoin():
            return saw_coin(escrow, command)
        case SawCoinGone():
            return saw_coin_gone(escrow, command)
        case SawPayout():
            return saw_payout(escrow, command)
        case SawPayoutDepth():
            return saw_payout_depth(escrow, command)
        case SawPayoutVoid():
            return saw_payout_void(escrow, command)
        case SawPayoutStuck():
            return saw_payout_stuck(escrow, command)
        case SawRecovery():
            return saw_recovery(escrow, command)
        case SawGeneration():
            return saw_generation(escrow, command)
        case SawRotation():
            return saw_rotation(escrow, command)
        case Mark():
            return mark(escrow, command)
        case Pause():
            return pause(escrow, command)
        case Resume():
            return resume(escrow, command)
        case SwitchProfile():
            return switch_profile(escrow, command)
        case Attest():
            return attest(escrow, command)
        case Transfer():
            return transfer(escrow, command)
        case Offer():
            return offer(escrow, command)
        case Accept():
            return accept(escrow, command)
        case Open():
            return open_loan(escrow, command)
        case Mint():
            return mint(escrow, command)
        case TopUp():
            return top_up(escrow, command)
        case Draw():
            return draw(escrow, command)
        case Repay():
            return repay(escrow, command)
        case Cancel():
            return cancel(escrow, command)
        case Lapse():
            return lapse(escrow, command)
        case Assess():
            return assess(escrow, command)
        case Impair():
            return impair(escrow, command)
        case LiftImpairment():
            return lift_impairment(escrow, command)
        case DeclareDefault():
            return declare_default(escrow, command)
        case Notice():
            return notice(escrow, command)
        case Cure():
            return cure(escrow, command)
        case MarginCall():
            return margin_call(escrow, command)
        case ExpireCall():
            return expire_call(escrow, command)
        case Dispute():
            return dispute(escrow, command)
        case Resolve():
            return resolve(escrow, command)
        case Withdraw():
            return withdraw(escrow, command)
        case Refinance():
            return refinance(escrow, command)
        case Redo():
            return redo(escrow, command)
        case Take():
            return take(escrow, command)
        case Liquidate():
            return liquidate(escrow, command)
        case BurnTokens():
            return burn(escrow, command)
        case Retire():
            return retire(escrow, command)
        case NoteRecovery():
            return note_recovery(escrow, command)
        case Rekey():
            return rekey(escrow, command)
        case _:
            assert_never(command)


def witness(escrow: Escrow, command: Command) -> tuple[Event, ...]:
    """``decide`` for a fact: what the rules would have refused becomes an incident, noted once.

    What a chain did with somebody who is not eligible has happened all the same: it is noted first,
    and then taken in as where there are no rules.
    """
    try:
        return decide(escrow, command)
    except Rejected as refusal:
        verb = type(command).__name__
        facts = tuple(sorted((name, fact) for name, fact in refusal.facts.items() if name != "now"))
        noted = any(
            (known.verb, known.code, known.facts) == (verb, refusal.code, facts)
            for known in escrow.incidents
        )
        note = () if noted else (Incident(command.at, verb, refusal.code, facts),)
        if refusal.code != DENIED:
            return note
        return (*note, *witness(unruled(escrow), command))
