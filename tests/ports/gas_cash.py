"""What cash legs take: digital cash, two legs at once, hash locks; set as ``gas_meter`` is."""

from __future__ import annotations

from cash_lab import ENDLESS, CashLab
from contracts_lab import raw
from gas_meter import Notes, Observer

from escrow.adapters.evm.cash_orders import PAYMENT
from escrow.core.units import CENTS_SCALE, COIN, DAY


class CashMeter(Notes):
    """Both parties have wallets, and some of what they get already."""

    def __init__(self, observe: Observer | None = None) -> None:
        super().__init__(observe)
        lab = self.cash = CashLab()
        self.lab = lab
        created = [each.receipt for each in lab.chain.transactions()]
        for name, part in (
            ("Settlement", lab.settlement),
            ("DigitalCash", lab.roubles),
            ("HashLock", lab.locks),
        ):
            [receipt] = [each for each in created if each.contract_address == part.address]
            self.used[f"deploy {name}"] = receipt.gas_used
            self.addresses[part.address] = name
        self.addresses |= {
            lab.yuan.address: "DigitalCash, second",
            lab.cash.address: "CashToken",
            lab.pledge.address: "PledgeToken",
            lab.rates.address: "PriceRounds, rate",
            lab.prices.address: "PriceRounds",
        }
        lab.ready()
        for token in (lab.roubles, lab.yuan):
            for who in (lab.lender, lab.buyer):
                lab.give(token, who, 10**8)
        for who in (lab.lender, lab.buyer):
            lab.mint(b"\x05" * 32, 3 * COIN, holder=raw(who))
            lab.cash.send(lab.issuer, "mint", raw(who), 10**8)
            for token in (lab.cash, lab.roubles):
                token.send(who, "approve", lab.locks.address, ENDLESS)
        # Not the first of its kind: the contract has held something before.
        lab.lock(lab.leg(amount=1))
        # Both have paid in this period before.
        for giver, taker in ((lab.lender, lab.buyer), (lab.buyer, lab.lender)):
            for token in (lab.roubles, lab.yuan):
                lab.pay(token, giver, taker, 1)
        lab.wait(12)

    def wallets(self) -> None:
        lab = self.cash
        self.note("digital.set_limits", lab.roubles.send(lab.operator, "set_limits", 9, 1, 1, 1))
        self.note("digital.open_wallet", lab.wallet(lab.roubles, lab.guardian, 2))
        self.note("digital.transfer", lab.pay(lab.roubles, lab.lender, lab.buyer, 1))
        self.note("digital.redeem", lab.roubles.send(lab.buyer, "redeem", 1))

    def payments(self) -> None:
        lab = self.cash
        for nonce, name in enumerate(("completed", "declined")):
            payment = lab.payment(nonce=nonce, approver=raw(lab.guardian))
            self.note(f"digital.lock_payment, to be {name}", lab.lock_payment(payment))
            if name == "completed":
                approve = lab.roubles.send(lab.guardian, "approve_payment", PAYMENT.values(payment))
                self.note("digital.approve_payment", approve)
                self.note("digital.complete_payment", lab.complete(payment))
            else:
                self.note("digital.return_payment", lab.give_back(payment, lab.buyer))

    def settlements(self) -> None:
        lab = self.cash
        bitcoin = {
            "first_token": lab.pledge.address,
            "first_amount": COIN,
            "scale": CENTS_SCALE,
            "second_amount": 10_000_000,
        }
        lab.post_rate()
        lab.post()
        for name, order in (
            ("PvP", {}),
            ("PvP at a rate", {"feed": lab.rates.address, "tolerance_bps": 100}),
            ("DvP", bitcoin | {"second_token": lab.cash.address}),
            ("DvP, digital cash", bitcoin | {"second_token": lab.roubles.address}),
            (
                "DvP at a price",
                bitcoin | {"second_token": lab.cash.address, "feed": lab.prices.address},
            ),
        ):
            self.note(f"settlement.settle, {name}", lab.settle(lab.order(**order)))

    def hash_locks(self) -> None:
        lab = self.cash
        for name, token in (("cash", lab.cash), ("digital cash", lab.roubles)):
            claimed, refunded = (
                lab.leg(token=token.address, deadline=lab.now + days * DAY) for days in (1, 2)
            )
            self.note(f"hashlock.lock, {name}", lab.lock(claimed))
            self.note(f"hashlock.claim, {name}", lab.claim(claimed))
            lab.lock(refunded)
            lab.at(refunded["deadline"] + 1)
            self.note(f"hashlock.refund, {name}", lab.refund(refunded))

    def measure(self) -> dict[str, int]:
        for each in (self.wallets, self.payments, self.settlements, self.hash_locks):
            each()
        return self.used
