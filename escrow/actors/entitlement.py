"""What a burn rests on: a cosigner adds up the loan by itself from what the contracts said.

A burn is worth coins only if its tokens were rightly free: minted and never pledged, released
by a debt that was paid, or seized in a liquidation that the price of that moment allowed. The book
checks all this too. Whoever signs for coins does not have to believe that the book which stands
on the EVM is the one that was agreed on, nor that the prices there kept the rules that were.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from escrow.adapters.bitcoin.policy import relative_lock
from escrow.adapters.bitcoin.psbt import SpendInput
from escrow.core.errors import Refused
from escrow.core.regions.system import (
    MAX_PAUSE,
    Paused,
    Price,
    PriceMarked,
    Resumed,
    System,
    SystemEvent,
    active_seconds,
    evolve_system,
    is_fresh,
    is_jump,
    median,
    new_system,
)
from escrow.core.rules import (
    Debt,
    Split,
    accrue,
    at_or_above,
    liquidation_split,
    owed,
    pay,
)
from escrow.core.terms import Liquidation, Terms
from escrow.core.units import DAY, Bps, Cents, PriceE8, Sats, Seconds
from escrow.ports import BitcoinView, EvmView, Said


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRules:
    """What was agreed on for prices. Whoever signs for coins checks it again."""

    heartbeat: Seconds = DAY
    """Age at which a price is too old."""
    wide_quorum: int = 5
    """Oracles that must report a jump."""
    deviation: Bps = Bps(2_000)
    """A price further than this from the last one is a jump."""


@dataclass(frozen=True, slots=True)
class _Loan:
    """One loan, added up to some moment."""

    system: System
    """Price and active clock, as far as they are looked at."""
    debt: Debt = Debt()
    held: Sats = Sats(0)
    """Tokens pledged to it."""
    outstanding: Sats = Sats(0)
    """Tokens that exist."""
    deadline: Seconds | None = None
    """Of the margin call, active seconds; none unless one stands that was right when made."""
    expired: bool = False
    """A right call stood too long."""
    unpaid: Cents = Cents(0)
    """What was owed when the book let the pledge go to the borrower: should be nothing."""
    seized: Said | None = None
    """The liquidation that no price allowed."""


def judge_burns(
    ids: Collection[int],
    *,
    loan: str,
    terms: Terms,
    evm: EvmView,
    prices: PriceRules,
    blocks: int = 1,
) -> None:
    """Are these burns worth coins? Each stands in a sealed block with ``blocks`` − 1 on top.

    ``prices`` are the rules that were agreed on. Raises ``Refused``: ``cosigner/burn``
    for a burn that is not there or not deep enough; ``cosigner/loan-state`` if its tokens were not
    free, or were released by a debt that was not paid; ``cosigner/price`` if somebody else than the
    borrower has them from a liquidation without a fresh price and a breach at it.
    """
    said = evm.said(loan)
    burns = {each.args["burn_id"]: each for each in said if each.name == "Burned"}
    for burn_id in ids:
        deep = burns[burn_id].blocks if burn_id in burns else 0
        if deep < blocks:
            raise Refused("cosigner/burn", burn=burn_id, blocks=deep, least=blocks)
    borrower, state = bytes.fromhex(terms.borrower[2:]), _begin(prices)
    rounds = _rounds(said, evm=evm, heartbeat=prices.heartbeat)
    for each in sorted((*said, *rounds), key=lambda found: found.place):
        if each.name == "Burned" and each.args["burn_id"] in ids:
            free = state.outstanding - state.held
            if each.args["sats"] > free or state.unpaid:
                raise Refused(
                    "cosigner/loan-state",
                    burn=each.args["burn_id"],
                    free=free,
                    unpaid=state.unpaid,
                )
            if state.seized is not None and each.args["holder"] != borrower:
                raise _without_price(each, state)
        state = _add(state, each, terms)


def check_rested(inputs: Sequence[SpendInput], *, bitcoin: BitcoinView) -> None:
    """Has every coin rested for as long as its input says (BIP-68), at the tip as it is?

    Raises Refused("cosigner/early"): what is signed early can be kept and sent at any time.
    """
    for each in inputs:
        if (lock := relative_lock(each.sequence)) is None:
            continue
        by_time, wanted = lock
        coin = bitcoin.coin(each.outpoint)
        height = coin.height if coin is not None else 0
        rested = bitcoin.height - height + 1
        if by_time:
            since = bitcoin.median_time_at(max(0, height - 1))
            rested = bitcoin.median_time_at(bitcoin.height) - since
        if not height or rested < wanted:
            raise Refused("cosigner/early", outpoint=str(each.outpoint), wanted=wanted)


def _begin(rules: PriceRules) -> _Loan:
    # No price yet. The active clock is only read between moments at which there is one, so where
    # it starts does not matter.
    return _Loan(
        new_system(
            origin=Seconds(0),
            heartbeat=rules.heartbeat,
            quorum=1,
            wide_quorum=rules.wide_quorum,
            deviation=rules.deviation,
        )
    )


def _rounds(said: Sequence[Said], *, evm: EvmView, heartbeat: Seconds) -> tuple[Said, ...]:
    """All rounds and pauses that the liquidation, and the margin call before it, can have relied
    on."""
    taken = next((each for each in said if each.name == "Liquidated"), None)
    if taken is None:
        return ()
    calls = [each.at for each in said if each.name == "MarginCalled" and each.place < taken.place]
    first = calls[-1] if calls else taken.at
    return evm.rounds(since=first - max(heartbeat, MAX_PAUSE), until=taken.at)


def _told(system: System, said: Said) -> SystemEvent | None:
    """What a round or a pause does to the platform; nothing, if no rule of prices allows it."""
    args = said.args
    if said.name == "Paused":
        return Paused(said.at, until=args["until"])
    if said.name == "Resumed":
        # Of a pause that began before what is looked at there is nothing to end.
        return Resumed(said.at, ended=said.at) if system.pause else None
    # That oracles of the set signed these, PriceRounds has checked; what follows from them, not it.
    reports = tuple(PriceE8(price) for price in args["prices"])
    if len(reports) % 2 == 0 or list(reports) != sorted(reports):
        return None
    price = median(reports)
    if len(reports) < system.wide_quorum and is_jump(system, price, at=said.at):
        return None
    return PriceMarked(said.at, Price(args["round"], price, Seconds(args["at"])), reports)


def _add(state: _Loan, said: Said, terms: Terms) -> _Loan:
    """Fold one event. Tokens by what the token said, the debt by what the book said."""
    args = said.args
    match said.name:
        case "PricesReported" | "Paused" | "Resumed":
            event = _told(state.system, said)
            return replace(state, system=evolve_system(state.system, event)) if event else state
        case "Minted":
            return replace(state, outstanding=Sats(state.outstanding + args["sats"]))
        case "Burned":
            return replace(state, outstanding=Sats(state.outstanding - args["sats"]))
        case "Retired":
            sats = args["sats"]
            return replace(
                state,
                outstanding=Sats(state.outstanding - sats),
                held=Sats(state.held - min(state.held, sats)),
            )
        case "ToppedUp":
            return replace(state, held=Sats(state.held + args["sats"]))
        case "Drawn":
            debt = accrue(state.debt, rate_bps=terms.rate_bps, at=said.at)
            return replace(
                state, debt=replace(debt, principal=Cents(debt.principal + args["amount"]))
            )
        case "Repaid":
            debt = accrue(state.debt, rate_bps=terms.rate_bps, at=said.at)
            paid, _, _ = pay(debt, amount=Cents(args["interest"] + args["principal"]))
            return replace(state, debt=paid)
        case "Closed" | "Cancelled":
            left = owed(state.debt, rate_bps=terms.rate_bps, at=said.at)
            return replace(state, held=Sats(0), unpaid=Cents(max(state.unpaid, left)))
        case "MarginCalled":
            right = _is_breach(state, terms, at=said.at, level=terms.call_ltv)
            deadline = active_seconds(state.system, at=said.at) + terms.cure
            return replace(state, deadline=Seconds(deadline) if right else None)
        case "Cured":
            return replace(state, deadline=None)
        case "CallExpired":
            over = (
                state.deadline is not None
                and active_seconds(state.system, at=said.at) > state.deadline
            )
            right = over and _is_breach(state, terms, at=said.at, level=terms.call_ltv)
            return replace(state, expired=right)
        case "Liquidated":
            allowed = _is_allowed(state, said, terms)
            return replace(state, held=Sats(0), seized=state.seized or (None if allowed else said))
        case _:
            # Opened and Recovered move no token.
            return state


def _is_breach(state: _Loan, terms: Terms, *, at: Seconds, level: Bps) -> bool:
    """Is the loan at this level or above it, at a price that is fresh?"""
    if state.system.price is None or not is_fresh(state.system, at=at):
        return False
    debt = owed(state.debt, rate_bps=terms.rate_bps, at=at)
    return at_or_above(debt, sats=state.held, price=state.system.price.price, level=level)


def _is_allowed(state: _Loan, said: Said, terms: Terms) -> bool:
    """May this liquidation be, and does it divide the pledge as the rules do?"""
    args, price = said.args, state.system.price
    if price is None or not is_fresh(state.system, at=said.at):
        return False
    in_breach = (
        state.expired
        or said.at > terms.maturity + terms.grace
        or _is_breach(state, terms, at=said.at, level=terms.liquidation_ltv)
    )
    debt = owed(state.debt, rate_bps=terms.rate_bps, at=said.at)
    right = liquidation_split(debt=debt, held=state.held, price=price.price, bonus=terms.bonus_bps)
    split = Split(args["repaid"], args["seized"], args["surplus"], args["bad_debt"])
    lender = bytes.fromhex(terms.lender[2:])
    taker = terms.liquidation is not Liquidation.TAKE_OVER or args["by"] == lender
    return in_breach and debt > 0 and split == right and taker and args["kind"] == terms.liquidation


def _without_price(burn: Said, state: _Loan) -> Refused:
    assert state.seized is not None
    price, at = state.system.price, state.seized.at
    return Refused(
        "cosigner/price",
        burn=burn.args["burn_id"],
        round=price.round if price else 0,
        age=at - price.at if price else -1,
        heartbeat=state.system.heartbeat,
    )
