"""Two currencies with wallets and limits, a rate between them, and what exchanges them."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from contracts_lab import DELAY, DEVIATION, HEARTBEAT, Lab, raw
from eth_account.signers.local import LocalAccount

from escrow.adapters.evm.cash_orders import LOCK, ORDER, PAYMENT, sign_order
from escrow.adapters.evm.chain import Chain
from escrow.adapters.evm.contracts import ZERO, Contract, deploy_one
from escrow.core.units import COIN, DAY, HOUR
from escrow.ports import EvmPort

PERSON, FIRM, SYSTEM = 1, 2, 3
"""Classes of wallets."""
LIMITS = {PERSON: (30_000_000, 1_000_000, 2_500_000), FIRM: (10**15, 10**13, 10**14)}
"""Cents: the most in a wallet, in a payment, in a period. Made up for tests."""
MONTH = 30 * DAY
RATE = 9 * COIN // 100
"""1 rouble is 0.09 yuan, × 10⁸: a round number for tests."""
SECRET = bytes(range(32))
DIGEST = sha256(SECRET).digest()
ENDLESS = 2**256 - 1


class CashLab(Lab):
    """The borrower is a person, everybody else who has a wallet a firm."""

    def __init__(self, make: Callable[..., EvmPort] = Chain) -> None:
        super().__init__(make)
        self.operator = self.keeper
        self.settlement = self._deploy("Settlement")
        self.roubles = self._currency("Digital rouble", "RUBd")
        self.yuan = self._currency("Digital yuan", "CNYd")
        self.rates = self._deploy(
            *("PriceRounds", tuple(map(raw, self.oracles)), 3, 5, HEARTBEAT, DEVIATION),
            *(raw(self.guardian), DELAY),
        )
        self.locks = self._deploy("HashLock")
        for token in (self.roubles, self.yuan):
            for kind, limits in {**LIMITS, SYSTEM: (2**64 - 1,) * 3}.items():
                token.send(self.operator, "set_limits", kind, *limits)
            self.wallet(token, self.borrower, PERSON)
            for who in (self.lender, self.buyer, self.issuer):
                self.wallet(token, who, FIRM)
            token.send(self.operator, "open_wallet", self.locks.address, SYSTEM, 2**40 - 1)
        self.admit(self.locks.address)
        self.forget()
        self.save()

    def _deploy(self, name: str, *args: object) -> Contract:
        return deploy_one(name, *args, account=self.issuer, chain=self.chain)

    def _currency(self, name: str, symbol: str) -> Contract:
        people = map(raw, (self.issuer, self.operator, self.authority))
        return self._deploy("DigitalCash", name, symbol, *people, self.settlement.address, MONTH)

    def wallet(self, token: Contract, who: LocalAccount, kind: int, until: int = 2**40 - 1) -> Any:
        return token.send(self.operator, "open_wallet", raw(who), kind, until)

    def give(self, token: Contract, who: LocalAccount, amount: int) -> None:
        """New money."""
        token.send(self.issuer, "mint", raw(who), amount)

    def pay(self, token: Contract, giver: LocalAccount, taker: LocalAccount, amount: int) -> Any:
        return token.send(giver, "transfer", raw(taker), amount)

    def has(self, token: Contract, who: LocalAccount) -> int:
        return int(token.call("balanceOf", raw(who)))

    def word(self, token: Contract, who: LocalAccount) -> tuple[int, int, int]:
        """Balance, held, spendable."""
        asked = ("balanceOf", "balanceOnHold", "spendable")
        one, two, three = (token.call(name, raw(who)) for name in asked)
        return one, two, three

    # Payments that wait

    def payment(self, **changes: object) -> dict[str, object]:
        """The lender pays the buyer 1,000.00 within a day, for the preimage."""
        return {
            "payer": raw(self.lender),
            "payee": raw(self.buyer),
            "amount": 100_000,
            "not_before": 0,
            "deadline": self.now + DAY,
            "payee_kind": 0,
            "digest": DIGEST,
            "approver": ZERO,
            "nonce": 1,
        } | changes

    def lock_payment(self, payment: dict[str, object], who: LocalAccount | None = None) -> Any:
        return self.roubles.send(who or self.lender, "lock_payment", PAYMENT.values(payment))

    def complete(self, payment: dict[str, object], preimage: bytes = SECRET) -> Any:
        values = PAYMENT.values(payment)
        return self.roubles.send(self.stranger, "complete_payment", values, preimage)

    def give_back(self, payment: dict[str, object], who: LocalAccount | None = None) -> Any:
        return self.roubles.send(who or self.stranger, "return_payment", PAYMENT.values(payment))

    def status(self, payment: dict[str, object]) -> int:
        return int(self.roubles.call("payment_status", PAYMENT.hash(payment)))

    # Two legs at once

    def order(self, **changes: object) -> dict[str, object]:
        """The lender gives the buyer 1,000.00 roubles for 90.00 yuan."""
        return {
            "first": raw(self.lender),
            "second": raw(self.buyer),
            "first_token": self.roubles.address,
            "first_amount": 100_000,
            "second_token": self.yuan.address,
            "second_amount": 9_000,
            "feed": ZERO,
            "scale": COIN,
            "tolerance_bps": 0,
            "nonce": 1,
            "expires_at": self.now + HOUR,
        } | changes

    def sign(self, order: dict[str, object], who: LocalAccount) -> Any:
        return sign_order(who, order=order, domain=self.settlement.domain)

    def settle(self, order: dict[str, object], *who: LocalAccount) -> Any:
        signers = who or (self.lender, self.buyer)
        sigs = [self.sign(order, each) for each in signers]
        return self.settlement.send(self.stranger, "settle", ORDER.values(order), *sigs)

    def ready(self) -> None:
        """Both have what they give, and let the settlement take it."""
        self.give(self.roubles, self.lender, 10**6)
        self.give(self.yuan, self.buyer, 10**6)
        for token in (self.roubles, self.yuan, self.cash, self.pledge):
            for who in (self.lender, self.buyer):
                token.send(who, "approve", self.settlement.address, ENDLESS)

    def post_rate(self, rate: int = RATE) -> None:
        number, at = self.rates.call("last_round") + 1, self.now
        prices, self.prices = self.prices, self.rates
        try:
            reports = self.reports((rate,) * 3, round=number, at=at)
        finally:
            self.prices = prices
        self.rates.send(self.keeper, "post", *reports)

    # Hash locks

    def leg(self, **changes: object) -> dict[str, object]:
        """The lender locks 1,000.00 of the loans' cash for the buyer, for a day."""
        return {
            "token": self.cash.address,
            "payer": raw(self.lender),
            "payee": raw(self.buyer),
            "amount": 100_000,
            "digest": DIGEST,
            "deadline": self.now + DAY,
        } | changes

    def lock(self, leg: dict[str, object], who: LocalAccount | None = None) -> Any:
        return self.locks.send(who or self.lender, "lock", LOCK.values(leg))

    def claim(self, leg: dict[str, object], preimage: bytes = SECRET) -> Any:
        return self.locks.send(self.stranger, "claim", LOCK.values(leg), preimage)

    def refund(self, leg: dict[str, object]) -> Any:
        return self.locks.send(self.stranger, "refund", LOCK.values(leg))
