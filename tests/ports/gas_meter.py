"""What every action takes, from receipts: the one meter of tests and of ``scripts/bench gas``.

The setting is that of a lending market in use: others have loans already, the borrower is new,
allowances are without end, balances are there, twelve seconds between transactions, quorum 3 of 5.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from contracts_lab import P2TR, PRICE, Lab, raw

from escrow.adapters.evm import typed
from escrow.adapters.evm.block import Receipt
from escrow.core.units import COIN, DAY

FILE = Path(__file__).resolve().parents[2] / "contracts" / "gas.json"
HALF = PRICE // 2
Observer = Callable[[str, Receipt], None]
"""Is told each figure's name and receipt, right after the transaction."""


class Notes:
    """Keeps the gas of receipts by name."""

    def __init__(self, observe: Observer | None = None) -> None:
        self.lab = Lab()
        self.used: dict[str, int] = {}
        self.addresses: dict[bytes, str] = {}
        self.sums: dict[str, tuple[str, ...]] = {}
        """Which figures some figures are the sums of."""
        self.observe = observe

    def note(self, name: str, receipt: Receipt) -> None:
        self.used[name] = receipt.gas_used
        if self.observe:
            self.observe(name, receipt)
        self.lab.wait(12)

    def sum(self, name: str, *parts: str) -> None:
        self.used[name] = sum(self.used[part] for part in parts)
        self.sums[name] = parts

    def measure(self) -> dict[str, int]:
        """Gas by name."""
        raise NotImplementedError


class Meter(Notes):
    """Our contracts."""

    def __init__(self, observe: Observer | None = None) -> None:
        super().__init__(observe)
        lab = self.lab
        names = ("CashToken", "PriceRounds", "PledgeToken", "EscrowBook")
        made = [entry.receipt for entry in lab.chain.transactions()]
        for name, each in zip(names, made, strict=True):
            self.used[f"deploy {name}"] = each.gas_used
            self.addresses[each.contract_address or b""] = name
        # Others use the market already: the book holds tokens, the vault has outstanding ones.
        self.other = lab.active(sats=3 * COIN, nonce=99, draw_by=lab.terms()["draw_by"] + 100 * DAY)
        for who in (lab.borrower, lab.buyer):
            lab.fund(who, 10**12)
        lab.mint(b"\x05" * 32, COIN, holder=raw(lab.buyer))
        lab.mint(b"\x05" * 32, COIN, holder=raw(lab.lender))
        lab.mint(b"\x05" * 32, COIN)
        lab.wait(12)

    def mint(self, name: str, loan: bytes, *, count: int = 3, **changes: object):
        lab = self.lab
        att = lab.attestation(loan, 2 * COIN, **changes)
        values, sigs = typed.ATTESTATION.values(att), lab.sign_attestation(att, count=count)
        self.note(name, lab.pledge.send(lab.keeper, "mint", values, sigs))
        return att

    def post(self, name: str, price: int = PRICE, *, count: int = 3) -> None:
        lab = self.lab
        message = lab.price(price)
        values, sigs = typed.PRICE.values(message), lab.sign_price(message, count=count)
        self.note(name, lab.prices.send(lab.keeper, "post", *values, sigs))

    def do(self, name: str, who, verb: str, terms, *args: int) -> None:
        self.note(name, self.lab.do(who, verb, terms, *args))

    def loan(self, **changes: object) -> tuple[dict[str, object], bytes]:
        """A loan of 70,000.00 on two coins, at PRICE."""
        lab = self.lab
        terms = lab.active(cents=7_000_000, **changes)
        lab.wait(12)
        return terms, typed.loan_id(terms)

    def tokens(self) -> None:
        lab = self.lab
        loan = b"\x06" * 32
        self.mint("pledge.mint 3 of 5, first of a loan, new holder", loan, holder=b"\x44" * 20)
        self.mint("pledge.mint 3 of 5, known loan, new holder", loan, holder=b"\x45" * 20)
        att = self.mint("pledge.mint 3 of 5, known loan and holder", loan)
        self.mint("pledge.mint 4 of 5, known loan and holder", loan, count=4)
        self.note("pledge.burn, part", lab.pledge.send(lab.borrower, "burn", loan, COIN, P2TR))
        self.note("pledge.retire 3 of 5, free tokens", lab.retire(att))
        self.note(
            "pledge.transfer, to a holder",
            lab.pledge.send(lab.borrower, "transfer", raw(lab.buyer), 1),
        )
        self.note(
            "cash.transfer, to a holder", lab.cash.send(lab.lender, "transfer", raw(lab.buyer), 1)
        )
        self.note("cash.mint, to a holder", lab.cash.send(lab.issuer, "mint", raw(lab.buyer), 1))

    def prices(self) -> None:
        self.post("prices.post 3 of 5")
        self.post("prices.post 4 of 5", count=4)

    def whole_loan(self) -> None:
        """open, top up, draw, top up, repay part, close: as the peers' whole loan."""
        lab = self.lab
        terms = lab.terms()
        loan = typed.loan_id(terms)
        self.note("book.open", lab.open(terms))
        lab.mint(loan, 2 * COIN)
        self.do("book.top_up, first", lab.borrower, "top_up", terms, COIN)
        lab.post()
        self.do("book.draw, first", lab.borrower, "draw", terms, 3_000_000)
        self.do("book.top_up, again", lab.borrower, "top_up", terms, COIN // 2)
        self.do("book.draw, again", lab.borrower, "draw", terms, 1_000_000)
        self.do("book.repay, part", lab.borrower, "repay", terms, 1_000_000)
        self.do("book.close", lab.borrower, "close", terms)
        names = ("open", "top_up, first", "draw, first", "top_up, again", "repay, part", "close")
        self.sum("whole loan, 6 transactions", *(f"book.{name}" for name in names))

    def margin(self) -> None:
        lab = self.lab
        terms, _ = self.loan(nonce=2)
        lab.post(HALF)
        self.do("book.margin_call", lab.keeper, "margin_call", terms)
        lab.post(PRICE)
        self.do("book.cure", lab.keeper, "cure", terms)
        lab.post(HALF)
        lab.do(lab.keeper, "margin_call", terms)
        lab.stay_fresh(lab.now + DAY + 1, HALF)
        self.do("book.expire_call", lab.keeper, "expire_call", terms)
        self.do("book.take_over", lab.lender, "take_over", terms)

    def sale(self) -> None:
        lab = self.lab
        for number, (name, price) in enumerate(
            (("book.liquidate", PRICE * 2 // 5), ("book.liquidate, with bad debt", PRICE // 5))
        ):
            lab.wait(12)
            terms, _ = self.loan(nonce=3 + number, liquidation=1)
            lab.post(price)
            self.do(name, lab.buyer, "liquidate", terms, 2**63)

    def endings(self) -> None:
        lab = self.lab
        terms = lab.opened(sats=COIN, nonce=5)
        self.do("book.cancel, with tokens pledged", lab.borrower, "cancel", terms)
        terms = lab.opened(nonce=6)
        lab.at(terms["recover_at"])
        self.do("book.recovered", lab.keeper, "recovered", terms)

    def measure(self) -> dict[str, int]:
        self.tokens()
        self.prices()
        self.whole_loan()
        self.margin()
        self.sale()
        self.endings()
        return self.used


def written_down() -> dict[str, int]:
    """What contracts/gas.json says."""
    return dict(json.loads(FILE.read_text()))
