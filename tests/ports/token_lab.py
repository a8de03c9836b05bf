"""Both tokens and their registry, where an account with a key stands for the escrow book."""

from __future__ import annotations

from typing import Any

from contracts_lab import Lab, raw
from eth_account.signers.local import LocalAccount

from escrow.adapters.evm.contracts import (
    Contract,
    Contracts,
    create_address,
    creation_code,
    transaction,
)
from escrow.core.units import COIN, DAY, MAX_MONEY

CENTS = 1_000
LOAN, OTHER = b"\x11" * 32, b"\x22" * 32
DUST = 10_000


class TokenLab(Lab):
    """A lab whose tokens obey ``hand`` where they would obey the book."""

    def __init__(self, *, cap: int = MAX_MONEY) -> None:
        super().__init__()
        deployer, chain = raw(self.issuer), self.chain
        nonce = chain.nonce(deployer)
        registry, cash, pledge = (create_address(deployer, nonce=nonce + i) for i in range(3))
        rest = raw(self.authority), registry, raw(self.hand)
        attestors = tuple(map(raw, self.attestors)), 3
        for name, args in (
            ("Registry", (raw(self.registrar), cash, pledge)),
            ("CashToken", ("Test rouble", "TRUB", deployer, *rest)),
            ("PledgeToken", (*attestors, DAY, *rest, cap)),
        ):
            code = creation_code(name, *args)
            chain.send(transaction(self.issuer, chain=chain, to=None, data=code, gas=8_000_000))
        self.contracts = Contracts(
            registry=Contract("Registry", address=registry, chain=chain),
            cash=Contract("CashToken", address=cash, chain=chain),
            prices=self.prices,
            pledge=Contract("PledgeToken", address=pledge, chain=chain),
            book=self.book,
        )
        self.registry = self.contracts.registry
        self.cash, self.pledge = self.contracts.cash, self.contracts.pledge
        self.rule(15)
        people = (self.borrower, self.lender, self.keeper, self.buyer, self.issuer)
        self.admit(*map(raw, people))
        self.forget()
        self.save()

    def give(self, token: Contract, account: LocalAccount, amount: int) -> None:
        """New tokens of either kind."""
        if token is self.cash:
            token.send(self.issuer, "mint", raw(account), amount)
        else:
            self.mint(LOAN, amount, holder=raw(account))

    def by_book(self, function: str, *args: object) -> Any:
        """What only the book may ask of the pledge token."""
        return self.pledge.send(self.hand, function, *args)

    def word(self, token: Contract, account: LocalAccount) -> tuple[int, int, int, int]:
        """Balance, frozen, held, spendable."""
        asked = ("balanceOf", "getFrozenTokens", "balanceOnHold", "spendable")
        one, two, three, four = (token.call(name, raw(account)) for name in asked)
        return one, two, three, four


AMOUNT = {"cash": CENTS, "pledge": COIN}
"""A round sum of either token, in its own units."""
