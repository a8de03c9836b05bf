"""One loan added up by what the contracts said, as a cosigner does it for itself.

Tokens by what the token said, cash by what the cash token said, prices by the rules that were
agreed on, and all that follows by the rules of the core. Where the book says anything else, the
loan as it is here differs from the book's, and nobody signs for the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from escrow.adapters.evm.client import terms_of_words
from escrow.core.errors import Rejected
from escrow.core.regions.loan import Dispute, Reason
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
from escrow.core.rules import Debt, accrue, at_or_above, at_or_below, owed, pay
from escrow.core.sales import Split, auction_price, is_stale_auction, sell, sell_seen
from escrow.core.terms import Liquidation, Terms, check_terms
from escrow.core.units import BPS, DAY, MAX_CENTS, Bps, Cents, PriceE8, Sats, Seconds
from escrow.ports import EvmView, Said


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
class Reckoned:
    """One loan, added up to some moment."""

    loan: str
    """Its id."""
    terms: Terms
    """In force."""
    system: System
    """Price and active clock, as far as they are looked at."""
    debt: Debt = Debt()
    held: Sats = Sats(0)
    """Tokens pledged to it."""
    outstanding: Sats = Sats(0)
    """Tokens that exist."""
    deadline: Seconds | None = None
    """Of the margin call, active seconds; none unless one stands that was right when made."""
    dispute: Dispute | None = None
    """Open, if any."""
    expired: bool = False
    """A right call stood too long, or an auction was rightly begun."""
    auction: Seconds = Seconds(0)
    """Since when an auction's price falls, if it was marked; unix time."""
    unpaid: Cents = Cents(0)
    """What was owed when the book let the pledge go to the borrower: should be nothing."""
    seized: Said | None = None
    """The liquidation that no price allowed."""
    past: frozenset[Terms] = frozenset()
    """Terms that were in force before: nobody can bring them back."""


def begin(loan: str, terms: Terms, rules: PriceRules) -> Reckoned:
    # No price yet. The active clock is only read between moments at which there is one, so where
    # it starts does not matter.
    return Reckoned(
        loan,
        terms,
        new_system(
            origin=Seconds(0),
            heartbeat=rules.heartbeat,
            quorum=1,
            wide_quorum=rules.wide_quorum,
            deviation=rules.deviation,
        ),
    )


def rounds_for(said: Sequence[Said], *, evm: EvmView, heartbeat: Seconds) -> tuple[Said, ...]:
    """All rounds and pauses that sales, withdrawals and the margin calls before them can have
    relied on."""
    judged = ("Liquidated", "AuctionBegun", "Withdrawn")
    moments = [each.at for each in said if each.name in judged]
    if not moments:
        return ()
    first = min([each.at for each in said if each.name == "MarginCalled"] + moments)
    return evm.rounds(since=first - max(heartbeat, MAX_PAUSE), until=max(moments))


def _told(system: System, said: Said) -> SystemEvent | None:
    """What a round or a pause does to the platform; nothing, if no rule of prices allows it."""
    args = said.args
    if said.name == "Paused":
        return Paused(said.at, until=args["until"])
    if said.name == "Resumed":
        # Of a pause that began before what is looked at there is nothing to end.
        return Resumed(said.at, ended=args["until"]) if system.pause else None
    # That oracles of the set signed these, PriceRounds has checked; what follows from them, not it.
    reports = tuple(PriceE8(price) for price in args["prices"])
    if len(reports) % 2 == 0 or list(reports) != sorted(reports):
        return None
    price = median(reports)
    if len(reports) < system.wide_quorum and is_jump(system, price, at=said.at):
        return None
    return PriceMarked(said.at, Price(args["round"], price, Seconds(args["at"])), reports)


def add(state: Reckoned, said: Said) -> Reckoned:
    """Fold one event. Tokens by what the token said, the debt by what the book said and the cash
    that moved with it."""
    args, terms = said.args, state.terms
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
            grown = accrue(state.debt, rate_bps=terms.rate_bps, at=said.at)
            amount = min(args["amount"], _cash(said, to=terms.borrower))
            return replace(state, debt=replace(grown, principal=Cents(grown.principal + amount)))
        case "Repaid":
            grown = accrue(state.debt, rate_bps=terms.rate_bps, at=said.at)
            amount = min(args["interest"] + args["principal"], _cash(said, to=terms.lender))
            paid, _, _ = pay(grown, amount=Cents(amount))
            return replace(state, debt=paid)
        case "Withdrawn":
            # As a draw: what stays must carry the debt at the initial level.
            fewer = replace(state, held=Sats(state.held - args["sats"]))
            right = _is_within(fewer, at=said.at, level=terms.initial_ltv)
            debt = owed(state.debt, rate_bps=terms.rate_bps, at=said.at)
            return replace(fewer, unpaid=Cents(max(state.unpaid, 0 if right else debt)))
        case "Refinanced":
            return _refinanced(state, said)
        case "Closed" | "Cancelled":
            debt = owed(state.debt, rate_bps=terms.rate_bps, at=said.at)
            return replace(state, held=Sats(0), unpaid=debt)
        case "MarginCalled":
            right = _is_breach(state, at=said.at, level=terms.call_ltv)
            deadline = active_seconds(state.system, at=said.at) + terms.cure
            return replace(state, deadline=Seconds(deadline) if right else None)
        case "Cured":
            return replace(state, deadline=None, dispute=None)
        case "Disputed":
            active = active_seconds(state.system, at=said.at)
            return replace(state, dispute=Dispute(said.at, active))
        case "Resolved":
            return _resolved(state, said)
        case "AuctionBegun":
            right = state.expired or _reason(state, at=said.at) is not None
            return replace(state, expired=right, auction=said.at, deadline=None, dispute=None)
        case "CallExpired":
            over = (
                state.deadline is not None
                and active_seconds(state.system, at=said.at) > state.deadline
            )
            undisputed = state.dispute is None
            right = over and undisputed and _is_breach(state, at=said.at, level=terms.call_ltv)
            return replace(state, expired=right, auction=said.at)
        case "Liquidated":
            return _liquidated(state, said)
        case _:
            # Opened and Recovered move no token.
            return state


def _resolved(state: Reckoned, said: Said) -> Reckoned:
    """A call that stands gives back the active time that passed; one that was wrong is void. That
    it stands says the arbiter, or its silence: from anybody else it is no word."""
    if said.args["upheld"]:
        return replace(state, deadline=None, dispute=None)
    if state.deadline is None or state.dispute is None:
        return state
    late = said.at > state.dispute.at + state.terms.dispute
    if not late and said.args["by"] != bytes.fromhex(state.terms.arbiter[2:]):
        return state
    passed = active_seconds(state.system, at=said.at) - state.dispute.active
    return replace(state, deadline=Seconds(state.deadline + passed), dispute=None)


def _refinanced(state: Reckoned, said: Said) -> Reckoned:
    """What was owed is the principal of new terms, which borrower and lender signed for this loan.
    Others change nothing: the loan is judged by those it had."""
    old, new = state.terms, terms_of_words(said.args["terms"])
    kept = ("borrower", "vault", "recover_at", "confirmations", "max_fee")
    parties = {bytes.fromhex(party[2:]) for party in (new.borrower, new.lender)}
    try:
        check_terms(new, at=said.at)
    except Rejected:
        return state
    if (
        new.origin != state.loan
        or new in state.past
        or any(getattr(old, name) != getattr(new, name) for name in kept)
        or not parties <= set(said.signed)
    ):
        return state
    debt = owed(state.debt, rate_bps=old.rate_bps, at=said.at)
    if new.lender != old.lender and _cash(said, to=old.lender) < debt:
        return state
    fresh = Debt(principal=debt, accrued_to=said.at)
    return replace(state, terms=new, debt=fresh, past=state.past | {old})


def _is_breach(state: Reckoned, *, at: Seconds, level: Bps) -> bool:
    """Is the loan at this level or above it, at a price that is fresh?"""
    if state.system.price is None or not is_fresh(state.system, at=at):
        return False
    debt = owed(state.debt, rate_bps=state.terms.rate_bps, at=at)
    return at_or_above(debt, sats=state.held, price=state.system.price.price, level=level)


def _is_within(state: Reckoned, *, at: Seconds, level: Bps) -> bool:
    """Is the loan at this level or below it, at a price that is fresh?"""
    if state.system.price is None or not is_fresh(state.system, at=at):
        return False
    debt = owed(state.debt, rate_bps=state.terms.rate_bps, at=at)
    return at_or_below(debt, sats=state.held, price=state.system.price.price, level=level)


def _reason(state: Reckoned, *, at: Seconds) -> Reason | None:
    """Why the collateral may be realised, in the book's order."""
    terms = state.terms
    if state.system.price is None or not is_fresh(state.system, at=at):
        return None
    if state.expired:
        return Reason.CALL_EXPIRED
    if _is_breach(state, at=at, level=terms.liquidation_ltv):
        return Reason.LEVEL
    return Reason.DEFAULT if at > terms.maturity + terms.grace else None


def _liquidated(state: Reckoned, said: Said) -> Reckoned:
    """A sale, divided again by the rules: what differs was not allowed."""
    args, terms, at = said.args, state.terms, said.at
    split = Split(
        args["repaid"],
        args["seized"],
        args["surplus"],
        args["bad_debt"],
        args["fee"],
        args["left"],
    )
    allowed = _is_allowed(state, said, split)
    # What goes back to the borrower is the borrower's, unless the rest is not worth what is owed.
    rest = replace(state, held=Sats(state.held - split.surplus))
    if not allowed and split.surplus and not _is_within(rest, at=at, level=Bps(BPS)):
        unpaid = owed(state.debt, rate_bps=terms.rate_bps, at=at)
        state = replace(state, unpaid=Cents(max(state.unpaid, unpaid)))
    debt, _, _ = pay(accrue(state.debt, rate_bps=terms.rate_bps, at=at), amount=split.repaid)
    after = replace(
        state,
        debt=debt if split.left else Debt(),
        held=Sats(state.held - split.seized if split.left else 0),
        seized=state.seized or (None if allowed else said),
    )
    if not split.left:
        return after
    if terms.liquidation is Liquidation.PARTIAL or _is_within(
        after, at=at, level=terms.restore_ltv
    ):
        return replace(after, expired=False, deadline=None, dispute=None)
    if terms.liquidation is Liquidation.AUCTION and allowed:
        start = _auction_start(state, at=at)
        return replace(after, expired=True, auction=start, deadline=None, dispute=None)
    return after


def _is_allowed(state: Reckoned, said: Said, split: Split) -> bool:
    """May this sale be, and does it divide the pledge as the rules do?"""
    args, terms, at = said.args, state.terms, said.at
    reason, price = _reason(state, at=at), state.system.price
    debt = owed(state.debt, rate_bps=terms.rate_bps, at=at)
    if reason is None or price is None or not debt or args["kind"] != terms.liquidation:
        return False
    sold = terms.liquidation is not Liquidation.TAKE_OVER
    if sold and _cash(said, to=terms.lender) < split.repaid + split.fee:
        return False
    over = not split.left
    try:
        if terms.liquidation is Liquidation.AUCTION:
            elapsed = Seconds(at - _auction_start(state, at=at))
            if elapsed < 0 or is_stale_auction(terms, elapsed=elapsed):
                return False
            asked = auction_price(terms, price=price.price, elapsed=elapsed)
            right = sell_seen(
                terms, debt=debt, held=state.held, price=asked, seized=split.seized, over=over
            )
            return split == right
        right = sell(
            terms,
            debt=debt,
            held=state.held,
            price=price.price,
            pay=MAX_CENTS if over else Cents(split.repaid + split.fee),
            in_default=at > terms.maturity + terms.grace,
        )
    except Rejected:
        return False
    return split == right and (sold or args["by"] == bytes.fromhex(terms.lender[2:]))


def _cash(said: Said, *, to: str) -> Cents:
    """What this party got, by the word of the cash token and not of the book."""
    who, cents = said.paid or (b"", Cents(0))
    return cents if who == bytes.fromhex(to[2:]) else Cents(0)


def _auction_start(state: Reckoned, *, at: Seconds) -> Seconds:
    """Since when the price falls: as marked, else from the price that breached, or the default."""
    if state.expired:
        return state.auction
    assert state.system.price is not None
    if _is_breach(state, at=at, level=state.terms.liquidation_ltv):
        return state.system.price.at
    return Seconds(state.terms.maturity + state.terms.grace)
