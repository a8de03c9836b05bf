"""What ``scripts/bench compare`` holds the comparison against: the same ladders as state machines.

Each loan is an object driven by a ``transitions`` machine, an event a price; its conditions are
the product's levels, its numbers those of ``escrow.products``. It decides at prices alone, so a
call lapses at the first price after its last second.
"""

from __future__ import annotations

from collections.abc import Sequence

from transitions import Machine

from escrow.adapters.price.files import Quote
from escrow.core.units import Cents
from escrow.products.debt import debt_of
from escrow.products.level import restored, sats_for
from escrow.products.model import Basis, Product
from escrow.products.sale import sell

STATES = ["active", "called", "ended"]
TRANSITIONS = [
    {"trigger": "price", "source": ["active", "called"], "dest": "ended", "conditions": "paid_off"},
    {"trigger": "price", "source": "called", "dest": "active", "conditions": "is_restored"},
    {
        "trigger": "price",
        "source": ["active", "called"],
        "dest": "ended",
        "conditions": "is_sold",
        "before": "realise",
        "after": "go_on",
    },
    {"trigger": "price", "source": "active", "dest": "called", "conditions": "is_called"},
    {"trigger": "price", "source": ["active", "called"], "dest": None},
    {"trigger": "resume", "source": "ended", "dest": "active"},
]


class Loan:
    """What the machine's conditions and callbacks ask."""

    def __init__(self, product: Product, *, principal: Cents, first: Quote) -> None:
        self.product = product
        self.owing = debt_of(product.repayment, principal=principal, at=first.at)
        self.quote, self.deadline, self.left = first, None, 0
        self.since: dict[int, int] = {}
        self.called_at = self.sold_at = None
        self.held = sats_for(product.initial, self.exposure(), price=first.price)
        self.machine = Machine(
            model=self,
            states=STATES,
            transitions=TRANSITIONS,
            initial="active",
            auto_transitions=False,
        )

    def see(self, quote: Quote) -> None:
        self.quote = quote
        due = self.owing.due_at
        if due is not None and due <= quote.at:
            self.owing.meet()
        self.price()

    def exposure(self) -> Cents:
        if self.product.basis is Basis.PRINCIPAL:
            return self.owing.principal
        return self.owing.owed(self.quote.at)

    def reached(self, level) -> bool:
        return level.reached(self.exposure(), held=self.held, price=self.quote.price)

    def paid_off(self) -> bool:
        return not self.owing.principal

    def is_restored(self) -> bool:
        return restored(
            self.product.restore, self.exposure(), held=self.held, price=self.quote.price
        )

    def is_called(self) -> bool:
        made = False
        for n, call in enumerate(self.product.calls):
            if not self.reached(call.level):
                self.since.pop(n, None)
                continue
            since = self.since.setdefault(n, self.quote.at)
            if self.quote.at - since >= call.dwell:
                made = True
                if call.cure is not None:
                    late = self.quote.at + call.cure
                    self.deadline = late if self.deadline is None else min(self.deadline, late)
        if made and self.called_at is None:
            self.called_at = self.quote.at
        return made

    def is_sold(self) -> bool:
        level = self.product.immediate
        if level is not None and self.reached(level):
            return True
        late = self.deadline is not None and self.quote.at > self.deadline
        return late and any(self.reached(call.level) for call in self.product.calls)

    def realise(self) -> None:
        sale = sell(
            self.product.liquidation,
            debt=self.owing.owed(self.quote.at),
            principal=self.owing.principal,
            held=self.held,
            price=self.quote.price,
            at=self.quote.at,
            in_default=False,
        )
        self.sold_at = self.sold_at or self.quote.at
        self.deadline, self.since = None, {}
        self.owing.pay(sale.recovered, at=self.quote.at)
        self.held -= sale.sold + sale.to_lender + sale.fee_sats + sale.returned
        self.left = sale.left

    def go_on(self) -> None:
        if self.left:
            self.resume()


def drive(products: Sequence[Product], quotes: Sequence[Quote], *, principal: Cents) -> list[Loan]:
    """All loans along the path, each until it ends."""
    loans = [Loan(each, principal=principal, first=quotes[0]) for each in products]
    for quote in quotes[1:]:
        for loan in loans:
            if loan.state != "ended":
                loan.see(quote)
    return loans
