"""What every action takes, from receipts: the one meter of tests and of ``scripts/bench gas``.

The setting is that of a lending market in use: others have loans already, the borrower is new,
allowances are without end, balances are there, twelve seconds between transactions, quorum 3 of 5.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contracts_lab import (
    ALL_RIGHTS,
    AUCTION,
    DELAY,
    FOR_EVER,
    HOLD_CASH,
    HOLD_PLEDGE,
    PARTIAL,
    PRICE,
    Lab,
    raw,
)
from lending_lab import LLTV

from escrow.adapters.evm import typed
from escrow.adapters.evm.block import Receipt
from escrow.adapters.evm.contracts import (
    CONTRACTS,
    Contract,
    creation_code,
    deploy_one,
    transaction,
)
from escrow.core.units import COIN, DAY, HOUR

FILE = Path(__file__).resolve().parents[2] / "contracts" / "gas.json"
HALF, LOW = PRICE // 2, PRICE * 2 // 5
"""Prices at which a loan of 70,000.00 on two coins is called, and realised."""
OTHERS = [bytes([number]) * 20 for number in range(0x44, 0x4E)]
"""Registered accounts that have nothing."""
Attestation = dict[str, object]
Terms = dict[str, Any]
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
        created = [each.receipt for each in lab.chain.transactions()]
        for name, receipt in zip(CONTRACTS, created, strict=False):
            assert receipt.contract_address
            self.used[f"deploy {name}"] = receipt.gas_used
            self.addresses[receipt.contract_address] = name
        # Others use the market already, and one loan is in auction.
        lab.active(sats=3 * COIN, nonce=99)
        for who in (lab.borrower, lab.buyer):
            lab.fund(who, 10**12)
        for who in (lab.buyer, lab.lender, lab.borrower):
            lab.mint(b"\x05" * 32, COIN, holder=raw(who))
        lab.wait(12)

    def mint(self, name: str, loan: bytes, *, count: int = 3, **changes: object) -> Attestation:
        lab = self.lab
        att = lab.attestation(loan, 2 * COIN, **changes)
        values, sigs = typed.ATTESTATION.values(att), lab.sign_attestation(att, count=count)
        self.note(name, lab.pledge.send(lab.keeper, "mint", values, sigs))
        return att

    def do(self, name: str, who: Any, verb: str, terms: Terms, *args: int) -> None:
        self.note(name, self.lab.do(who, verb, terms, *args))

    def loan(self, **changes: object) -> Terms:
        """A loan of 70,000.00 on two coins, at PRICE."""
        lab = self.lab
        terms = lab.active(cents=7_000_000, nonce=len(self.used), **changes)
        lab.wait(12)
        return terms

    def registry(self) -> None:
        lab = self.lab
        self.note("registry.set_rule, new", lab.rule(ALL_RIGHTS, kind=2))
        self.note("registry.admit, one new account", lab.admit(OTHERS[0]))
        self.note("registry.admit, nine new accounts", lab.admit(*OTHERS[1:]))
        self.note("registry.suspend, one", lab.suspend(OTHERS[9]))

    def tokens(self) -> None:
        lab = self.lab
        loan, buyer = b"\x06" * 32, raw(lab.buyer)
        self.mint("pledge.mint 3 of 5, first of a loan, new holder", loan, holder=OTHERS[0])
        self.mint("pledge.mint 3 of 5, known loan, new holder", loan, holder=OTHERS[1])
        att = self.mint("pledge.mint 3 of 5, known loan and holder", loan)
        self.mint("pledge.mint 4 of 5, known loan and holder", loan, count=4)
        self.note("pledge.burn, part", lab.burn(lab.borrower, loan, COIN))
        self.note("pledge.retire 3 of 5, free tokens", lab.retire(att))
        for name, token in (("pledge", lab.pledge), ("cash", lab.cash)):
            self.note(f"{name}.transfer, to a holder", token.send(lab.lender, "transfer", buyer, 1))
            self.note(
                f"{name}.transfer, to a registered account that has none",
                token.send(lab.lender, "transfer", OTHERS[2], 1),
            )
            values = lab.permit(token, lab.lender, raw(lab.keeper), 10)
            self.note(f"{name}.permit, first", token.send(lab.keeper, "permit", *values))
            freeze = token.send(lab.authority, "setFrozenTokens", OTHERS[2], 1)
            self.note(f"{name}.setFrozenTokens", freeze)
            force = token.send(lab.authority, "forcedTransfer", OTHERS[2], buyer, 1)
            self.note(f"{name}.forcedTransfer, frozen", force)
        self.note("cash.mint, to a holder", lab.cash.send(lab.issuer, "mint", buyer, 1))

    def prices(self) -> None:
        lab = self.lab
        self.note("prices.post 3 of 5", lab.post(PRICE - COIN, PRICE, PRICE + COIN))
        self.note("prices.post 5 of 5, a jump", lab.post(*[PRICE * 2] * 5))
        lab.save()
        self.note("prices.pause", lab.prices.send(lab.guardian, "pause", DAY))
        self.note("prices.resume", lab.prices.send(lab.guardian, "resume"))
        change = lab.set_change(lab.prices, lab.attestors)
        self.note("prices.propose_set 3 of 5", lab.propose(lab.prices, change))
        lab.wait(DELAY)
        self.note("prices.rotate_set", lab.prices.send(lab.keeper, "rotate_set"))
        lab.back()
        lab.forget()

    def whole_loan(self) -> None:
        """Open with coins in and cash out, top up, repay part, close: as the peers' whole loan."""
        lab = self.lab
        terms = lab.terms()
        lab.post()
        lab.mint(typed.loan_id(terms), 3 * COIN)
        self.note("book.open_and_draw", self.open_and_draw(terms, 2 * COIN, 3_000_000))
        self.do("book.top_up", lab.borrower, "top_up", terms, COIN)
        self.do("book.draw", lab.borrower, "draw", terms, 1_000_000)
        self.do("book.repay, part", lab.borrower, "repay", terms, 1_000_000)
        self.do("book.withdraw, part", lab.borrower, "withdraw", terms, COIN)
        self.do("book.close", lab.borrower, "close", terms)
        parts = ("open_and_draw", "top_up", "repay, part", "close")
        self.sum("whole loan, 4 transactions", *(f"book.{name}" for name in parts))

    def open_and_draw(self, terms: Terms, sats: int, cents: int) -> Receipt:
        lab, values = self.lab, typed.encode_terms(terms)
        signed = lab.sign_terms(terms)
        return lab.book.send(lab.borrower, "open_and_draw", values, *signed, sats, cents)

    def step_by_step(self) -> None:
        lab = self.lab
        terms = lab.terms(nonce=2)
        self.note("book.open", lab.open(terms))
        lab.mint(typed.loan_id(terms), 2 * COIN)
        self.do("book.top_up, first", lab.borrower, "top_up", terms, 2 * COIN)
        lab.post()
        self.do("book.draw, first", lab.borrower, "draw", terms, 3_000_000)
        for name, nonce in (("refinance", 3), ("refinance, again", 4)):
            new = lab.terms(nonce=nonce, origin=typed.loan_id(terms), rate_bps=1_000 + nonce)
            values = typed.encode_terms(terms), typed.encode_terms(new), *lab.sign_terms(new)
            self.note(f"book.{name}", lab.book.send(lab.keeper, "refinance", *values))
            terms = new
        self.do("book.repay, part, refinanced", lab.borrower, "repay", terms, 1_000_000)

    def margin(self) -> None:
        lab = self.lab
        terms = self.loan(arbiter=raw(lab.issuer), dispute=DAY)
        lab.post(HALF)
        self.do("book.margin_call", lab.keeper, "margin_call", terms)
        lab.post(PRICE)
        self.do("book.cure", lab.keeper, "cure", terms)
        lab.post(HALF)
        lab.do(lab.keeper, "margin_call", terms)
        self.do("book.dispute", lab.borrower, "dispute", terms)
        self.do("book.resolve", lab.issuer, "resolve", terms, False)
        lab.stay_fresh(lab.now + DAY + HOUR, HALF)
        self.do("book.expire_call", lab.keeper, "expire_call", terms)
        self.do("book.take_over", lab.lender, "take_over", terms)

    def sales(self) -> None:
        """To a third party: part, then all; all at once; with bad debt; to a target."""
        lab = self.lab
        terms = self.loan(liquidation=1)
        lab.post(LOW)
        self.do("book.liquidate, part", lab.buyer, "liquidate", terms, 3_500_000, 0)
        for name, price, kind in (
            ("book.liquidate, all", LOW, {"liquidation": 1}),
            ("book.liquidate, bad debt", PRICE // 5, {"liquidation": 1}),
            ("book.liquidate, to a target", LOW, PARTIAL),
        ):
            terms = self.loan(**kind)
            lab.post(price)
            self.do(name, lab.buyer, "liquidate", terms, 2**63, 0)

    def auctions(self) -> None:
        """The first one ever, then such as find others under way."""
        lab = self.lab
        for name in ("first auction ever", "others under way"):
            terms = self.loan(**AUCTION)
            lab.post(LOW)
            self.do(f"book.take, part, {name}", lab.buyer, "take", terms, COIN // 4, 2**63)
        self.do("book.take, part, again", lab.buyer, "take", terms, COIN // 4, 2**63)
        self.do("book.take, rest", lab.buyer, "take", terms, 2 * COIN, 2**63)
        terms = self.loan(**AUCTION)
        lab.post(LOW)
        self.do("book.take, all", lab.buyer, "take", terms, 2 * COIN, 2**63)
        terms = self.loan(**AUCTION)
        lab.post(HALF)
        lab.do(lab.keeper, "margin_call", terms)
        lab.stay_fresh(lab.now + DAY + HOUR, HALF)
        self.do("book.expire_call, to an auction", lab.keeper, "expire_call", terms)
        lab.stay_fresh(lab.now + 3 * HOUR, HALF)
        self.do("book.redo, of a stale auction", lab.keeper, "redo", terms)
        self.do("book.close, in auction", lab.borrower, "close", terms)

    def endings(self) -> None:
        lab = self.lab
        terms = lab.opened(sats=COIN, nonce=5)
        self.do("book.cancel, with tokens pledged", lab.borrower, "cancel", terms)
        lab.save()
        terms = lab.opened(nonce=6)
        lab.at(terms["recover_at"])
        self.do("book.recovered", lab.keeper, "recovered", terms)
        lab.back()
        lab.forget()

    def lending_market(self) -> None:
        """The market that lends against tokens, as Morpho's figures are taken: others use it, the
        borrower is new, interest accrues in every action."""
        lab = self.lab
        parts = lab.registry.address, lab.prices.address
        code = creation_code("LendingMarket", *parts, LLTV, 200, 800)
        made = lab.chain.send(
            transaction(lab.issuer, chain=lab.chain, to=None, data=code, gas=8_000_000)
        )
        assert made.contract_address
        self.used["deploy LendingMarket"] = made.gas_used
        self.addresses[made.contract_address] = "LendingMarket"
        market = Contract("LendingMarket", address=made.contract_address, chain=lab.chain)
        lab.rule(HOLD_PLEDGE | HOLD_CASH, kind=3)
        lab.admit(market.address, kind=3)
        for who in (lab.lender, lab.borrower, lab.buyer):
            for token in (lab.cash, lab.pledge):
                token.send(who, "approve", market.address, 2**256 - 1)
        for who in (lab.buyer, lab.borrower):
            lab.mint(b"\x07" * 32, 10 * COIN, holder=raw(who))

        def do(name: str, who: Any, verb: str, *args: object) -> None:
            self.note(f"market.{name}", market.send(who, verb, *args))

        me = raw(lab.borrower)
        do("supply, first ever", lab.lender, "supply", 10**9)
        do("supply, again", lab.lender, "supply", 10**9)
        lab.post()
        do("supply_collateral, first ever", lab.buyer, "supply_collateral", COIN)
        do("borrow, first ever", lab.buyer, "borrow", 1_000_000)
        do("supply_collateral, new borrower", lab.borrower, "supply_collateral", 2 * COIN)
        do("borrow, new borrower", lab.borrower, "borrow", 3_000_000)
        do("supply_collateral, top up", lab.borrower, "supply_collateral", COIN)
        do("borrow, again", lab.borrower, "borrow", 1_000_000)
        do("repay, part", lab.borrower, "repay", me, 1_000_000)
        do("withdraw_collateral, part", lab.borrower, "withdraw_collateral", COIN)
        do("repay, all", lab.borrower, "repay", me, 2**256 - 1)
        do("withdraw_collateral, all", lab.borrower, "withdraw_collateral", 2 * COIN)
        do("withdraw, part", lab.lender, "withdraw", 10**6)
        opened = ("supply_collateral, new borrower", "borrow, new borrower")
        closed = ("repay, all", "withdraw_collateral, all")
        between = ("supply_collateral, top up", "repay, part")
        for name, verbs in (
            ("open, 2 transactions", opened),
            ("close, 2 transactions", closed),
            ("whole loan, 6 transactions", (*opened, *between, *closed)),
        ):
            self.sum(f"market.{name}", *(f"market.{verb}" for verb in verbs))
        for name, price, most in (
            ("part", HALF, 3_500_000),
            ("all", HALF, 2**64),
            ("bad debt", PRICE // 5, 2**64),
        ):
            lab.post()
            market.send(lab.borrower, "supply_collateral", 2 * COIN)
            market.send(lab.borrower, "borrow", 9_000_000)
            lab.wait(12)
            lab.post(price)
            do(f"liquidate, {name}", lab.buyer, "liquidate", me, most, 0)
            if market.call("owed", me):
                market.send(lab.buyer, "repay", me, 2**64)
            if left := market.call("position", me)[2]:
                market.send(lab.borrower, "withdraw_collateral", left)

    def assets(self) -> None:
        """A machine that is one, and a claim in units of which the lender has some too."""
        lab, machine, claim = self.lab, b"\xa1" * 32, b"\xa2" * 32
        offices = raw(lab.registrar), raw(lab.authority), raw(lab.registrar), raw(lab.hand)
        register = deploy_one("AssetToken", *offices, account=lab.issuer, chain=lab.chain)
        made = lab.chain.transactions()[-1].receipt
        self.used["deploy AssetToken"] = made.gas_used
        self.addresses[register.address] = "AssetToken"
        owner, lender, buyer = raw(lab.borrower), raw(lab.lender), raw(lab.buyer)
        lab.wait(12)
        for who in (owner, lender):
            register.send(lab.registrar, "admit", who, FOR_EVER)
        admit = register.send(lab.registrar, "admit", buyer, FOR_EVER)
        self.note("asset.admit, one new account", admit)
        lien = lender, DAY, lab.now + 365 * DAY
        for name, id, units in (("a machine", machine, 1), ("units", claim, 1_000)):
            issue = register.send(lab.registrar, "issue", id, owner, units, b"\xee" * 32)
            self.note(f"asset.issue, {name}", issue)
        move = register.send(lab.borrower, "transfer", claim, buyer, 100)
        self.note("asset.transfer, to an account that has none", move)
        move = register.send(lab.borrower, "transfer", claim, buyer, 100)
        self.note("asset.transfer, to a holder", move)
        for name, id, units in (("first", machine, 1), ("units", claim, 400)):
            held = register.send(lab.borrower, "hold", id, b"\x11" * 32, units, *lien)
            self.note(f"asset.hold, {name}", held)
        held = register.send(lab.borrower, "hold", claim, b"\x11" * 32, 100, *lien)
        self.note("asset.hold, more", held)
        freed = register.send(lab.lender, "release", claim, owner, 100)
        self.note("asset.release, part", freed)
        freed = register.send(lab.hand, "release", claim, owner, 400)
        self.note("asset.release, all", freed)
        self.note("asset.declare", register.send(lab.hand, "declare", machine, owner, True))
        lab.wait(DAY)
        taken = register.send(lab.lender, "execute", machine, owner, buyer, 1)
        self.note("asset.execute, all", taken)
        gone = register.send(lab.registrar, "retire", claim, owner, 400, b"\xef" * 32)
        self.note("asset.retire, part", gone)

    def measure(self) -> dict[str, int]:
        for each in (
            self.registry,
            self.tokens,
            self.prices,
            self.whole_loan,
            self.step_by_step,
            self.endings,
            self.margin,
            self.sales,
            self.auctions,
            self.lending_market,
            self.assets,
        ):
            each()
        return self.used


def written_down() -> dict[str, int]:
    """What contracts/gas.json says."""
    return dict(json.loads(FILE.read_text()))
