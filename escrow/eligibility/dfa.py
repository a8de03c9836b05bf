"""An operator of digital financial assets (DFA): issues, holders, limits, holds and court orders.

Sources (secondary): 259-FZ, in force 1 Jan 2021: assets exist as entries of an operator's system,
exchanged through exchange operators; who is not qualified buys for 600,000 RUB a year, which stands
in the rule ``ru/dfa-limit`` of profile ``ru-2024``, and only there. Digital currency is no such
asset. Not verified: that a pledge is an entry in the operator's system. Assumed: the year is the
calendar's, in UTC, and each operator counts for itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import Final

from escrow.core.eligibility import Denied, Gate, RuleBook, Value, check_book, refusal
from escrow.core.errors import Rejected
from escrow.core.regions.register import Purpose
from escrow.core.units import MAX_CENTS, Cents, Seconds
from escrow.eligibility.days import day_of
from escrow.eligibility.told import Told, granted

ASSET: Final = "dfa"
"""``asset`` of a purchase, as rules call it."""
MAX_UNITS: Final = 10**12
"""Most units of one issue."""
MAX_ISSUES: Final = 1_000
MAX_HOLDERS: Final = 10_000


class InvestorClass(Enum):
    """What a buyer is."""

    QUALIFIED = "qualified"
    NON_QUALIFIED = "non-qualified"


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision to issue: what is promised, by whom, in how many units, for how much."""

    id: str
    issuer: str
    claim: str
    """What a unit entitles to, in one line."""
    units: int
    price: Cents
    """Of a unit at issue, kopecks."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Units that are pledged: an entry that keeps them where they are."""

    id: int
    """From 1."""
    holder: str
    issue: str
    units: int
    creditor: str
    """For whose claim."""


@dataclass(frozen=True, slots=True)
class Order:
    """A court's order that a holder's assets stay."""

    holder: str
    court: str
    at: Seconds


class DfaOperator:
    """The system of one operator. What it refuses changes nothing."""

    @granted
    def __init__(self, book: RuleBook, *, exchanges: tuple[str, ...] = ()) -> None:
        """``book``: the rules that purchases are asked by; ``exchanges``: operators through which
        holders trade. Raises BadInput("profile/value")."""
        check_book(book)
        self.told: list[Told] = []
        """What it was told, see ``escrow.eligibility.told``."""
        self._book = book
        self._exchanges = exchanges
        self._issues: dict[str, Decision] = {}
        self._classes: dict[str, InvestorClass] = {}
        self._units: Counter[tuple[str, str]] = Counter()
        """Holder and issue → units, those that are held included."""
        self._bought: Counter[tuple[str, int]] = Counter()
        """Buyer and year → kopecks paid."""
        self._holds: dict[int, Hold] = {}
        self._orders: dict[str, Order] = {}
        self._next = 1

    @property
    def holds(self) -> tuple[Hold, ...]:
        """Every hold that stands, oldest first."""
        return tuple(self._holds.values())

    @property
    def orders(self) -> tuple[Order, ...]:
        """Every court order that stands."""
        return tuple(self._orders.values())

    def units_of(self, holder: str, issue: str) -> int:
        """What a holder has, held or not."""
        return self._units[holder, issue]

    def free_of(self, holder: str, issue: str) -> int:
        """What of it no hold keeps. A court's order keeps all, and is not counted here."""
        held = sum(h.units for h in self.holds if (h.holder, h.issue) == (holder, issue))
        return self._units[holder, issue] - held

    def bought_in(self, buyer: str, year: int) -> Cents:
        """What a buyer paid for assets in a calendar year, kopecks."""
        return Cents(self._bought[buyer, year])

    @granted
    def enter(self, investor: str, kind: InvestorClass) -> None:
        """An investor's class, or another class from now on; what it bought still counts. Raises
        ``Rejected``: ``dfa/name``, ``dfa/full``."""
        if not _is_name(investor):
            raise Rejected("dfa/name", name=investor[:40])
        if investor not in self._classes and len(self._classes) >= MAX_HOLDERS:
            raise Rejected("dfa/full", most=MAX_HOLDERS)
        self._classes[investor] = kind

    @granted
    def issue(self, decision: Decision) -> None:
        """The issuer decides; all units are its own, unsold. Raises ``Rejected``: ``dfa/issue`` for
        a decision that makes no sense, ``dfa/exists``, ``dfa/full``."""
        texts = (decision.id, decision.issuer, decision.claim)
        sized = 1 <= decision.units <= MAX_UNITS and 1 <= decision.price <= MAX_CENTS
        if not sized or not all(map(_is_name, texts)):
            raise Rejected("dfa/issue", issue=decision.id[:40])
        if decision.id in self._issues:
            raise Rejected("dfa/exists", issue=decision.id)
        if len(self._issues) >= MAX_ISSUES:
            raise Rejected("dfa/full", most=MAX_ISSUES)
        self._issues[decision.id] = decision
        self._units[decision.issuer, decision.id] = decision.units

    @granted
    def buy(self, buyer: str, issue: str, units: int, *, at: Seconds) -> Cents:
        """From the issuer at the price of the decision; what was paid, kopecks. Raises
        ``Rejected``: ``dfa/unknown``, ``dfa/units``, ``dfa/frozen``; ``dfa/limit`` where less in
        this year would do, ``dfa/denied`` where nothing would, with the rule and its reason."""
        decision = self._issue(issue)
        return self._pass(
            decision.issuer, buyer, decision, units, Cents(decision.price * units), at=at
        )

    @granted
    def exchange(
        self,
        seller: str,
        buyer: str,
        issue: str,
        units: int,
        *,
        price: Cents,
        through: str,
        at: Seconds,
    ) -> Cents:
        """Between holders, at ``price`` a unit, ``through`` an exchange operator. Raises as
        ``buy``, and ``dfa/exchange`` for an operator that is none."""
        if through not in self._exchanges:
            raise Rejected("dfa/exchange", through=through[:40])
        decision = self._issue(issue)
        if not 1 <= price <= MAX_CENTS:
            raise Rejected("dfa/units", price=price)
        return self._pass(seller, buyer, decision, units, Cents(price * units), at=at)

    @granted
    def pledge(self, holder: str, issue: str, units: int, *, creditor: str) -> Hold:
        """An entry keeps units for a creditor. Raises ``Rejected``: ``dfa/unknown``, ``dfa/units``,
        ``dfa/frozen``."""
        self._issue(issue)
        self._known(creditor)
        self._check_free(holder, issue, units)
        hold = Hold(self._next, holder, issue, units, creditor)
        self._holds[hold.id] = hold
        self._next += 1
        return hold

    @granted
    def release(self, hold: int, *, by: str) -> None:
        """The creditor lets go. Raises ``Rejected``: ``dfa/hold`` for none of its own."""
        self._held(hold, by)
        del self._holds[hold]

    @granted
    def realise(self, hold: int, *, by: str) -> Hold:
        """What is pledged passes to the creditor: a claim that is enforced is no purchase, so no
        limit is asked (assumed). Raises ``Rejected``: ``dfa/hold``, ``dfa/frozen``."""
        held = self._held(hold, by)
        self._check_not_frozen(held.holder)
        del self._holds[hold]
        self._units[held.holder, held.issue] -= held.units
        self._units[held.creditor, held.issue] += held.units
        return held

    @granted
    def freeze(self, holder: str, *, court: str, at: Seconds) -> Order:
        """A court orders that a holder's assets stay: nothing is bought, sold, pledged or realised.
        Raises ``Rejected``: ``dfa/unknown``, ``dfa/frozen``."""
        self._known(holder)
        self._check_not_frozen(holder)
        order = self._orders[holder] = Order(holder, court, at)
        return order

    @granted
    def unfreeze(self, holder: str, *, court: str) -> None:
        """The court that ordered it lifts it. Raises ``Rejected``: ``dfa/order``."""
        order = self._orders.get(holder)
        if order is None or order.court != court:
            raise Rejected("dfa/order", holder=holder[:40], court=court[:40])
        del self._orders[holder]

    def _pass(
        self, seller: str, buyer: str, decision: Decision, units: int, paid: Cents, *, at: Seconds
    ) -> Cents:
        kind = self._known(buyer)
        self._check_free(seller, decision.id, units)
        self._check_not_frozen(buyer)
        year = day_of(at).year
        bought = self._bought[buyer, year]
        denied = self._denied(kind, bought + paid, at=at)
        if denied is not None:
            why = {"rule": denied.rule, "reason": denied.reason}
            if self._denied(kind, 0, at=at) == denied:
                raise Rejected("dfa/denied", **why)
            raise Rejected("dfa/limit", **why, bought=bought, asked=paid)
        self._bought[buyer, year] += paid
        self._units[seller, decision.id] -= units
        self._units[buyer, decision.id] += units
        return paid

    def _denied(self, kind: InvestorClass, in_year: int, *, at: Seconds) -> Denied | None:
        """Why a buyer may not come to ``in_year`` kopecks of a year's purchases."""
        asked: dict[str, Value] = {
            "asset": ASSET,
            "purpose": Purpose.PURCHASE.value,
            "qualified": kind is InvestorClass.QUALIFIED,
            "dfa_year_kopecks": in_year,
        }
        return refusal(self._book, Gate.TRANSFER, asked, at=at)

    def _issue(self, issue: str) -> Decision:
        if issue not in self._issues:
            raise Rejected("dfa/unknown", issue=issue[:40])
        return self._issues[issue]

    def _known(self, investor: str) -> InvestorClass:
        if investor not in self._classes:
            raise Rejected("dfa/unknown", investor=investor[:40])
        return self._classes[investor]

    def _held(self, hold: int, by: str) -> Hold:
        found = self._holds.get(hold)
        if found is None or found.creditor != by:
            raise Rejected("dfa/hold", hold=hold, by=by[:40])
        return found

    def _check_free(self, holder: str, issue: str, units: int) -> None:
        free = self.free_of(holder, issue)
        if not 1 <= units <= free:
            raise Rejected("dfa/units", units=units, free=free)
        self._check_not_frozen(holder)

    def _check_not_frozen(self, holder: str) -> None:
        if holder in self._orders:
            raise Rejected("dfa/frozen", holder=holder, court=self._orders[holder].court)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 200 and text.isprintable()
