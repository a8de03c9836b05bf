"""A register of assets on a chain, where an account with a key stands for the book."""

from __future__ import annotations

from typing import Any

from contracts_lab import FOR_EVER, GENESIS, Lab, raw
from eth_account.signers.local import LocalAccount

from escrow.adapters.evm.contracts import deploy_one
from escrow.core.units import DAY

MACHINE, CLAIM, THIRD = (bytes([number]) * 32 for number in (0xA1, 0xA2, 0xA3))
LOAN, OTHER = b"\x11" * 32, b"\x22" * 32
EVIDENCE, GONE = b"\xee" * 32, b"\xef" * 32
UNITS = 1_000
"""Of the claim; the machine is one."""
LAG, UNTIL = 60 * DAY, GENESIS + 365 * DAY
NOBODY = bytes(20)
NO_LIEN = (bytes(32), NOBODY, 0, 0, 0, 0)


class AssetLab(Lab):
    """The borrower has a machine and a claim; borrower, lender and buyer are admitted."""

    def __init__(self) -> None:
        super().__init__()
        self.register = deploy_one(
            "AssetToken",
            *(raw(self.registrar), raw(self.authority), raw(self.registrar), raw(self.hand)),
            account=self.issuer,
            chain=self.chain,
        )
        for who in (self.borrower, self.lender, self.buyer):
            self.let_in(who)
        self.issue(MACHINE, 1)
        self.issue(CLAIM, UNITS)
        self.forget()
        self.save()

    def let_in(self, who: LocalAccount, until: int = FOR_EVER) -> Any:
        return self.register.send(self.registrar, "admit", raw(who), until)

    def issue(self, id: bytes, units: int, **changes: Any) -> Any:
        by, owner = changes.get("by", self.registrar), changes.get("owner", self.borrower)
        evidence = changes.get("evidence", EVIDENCE)
        return self.register.send(by, "issue", id, raw(owner), units, evidence)

    def retire(self, id: bytes, units: int, **changes: Any) -> Any:
        by, owner = changes.get("by", self.registrar), changes.get("owner", self.borrower)
        return self.register.send(by, "retire", id, raw(owner), units, changes.get("gone", GONE))

    def hold(self, id: bytes, units: int, **changes: Any) -> Any:
        by, loan = changes.get("by", self.borrower), changes.get("loan", LOAN)
        lender = raw(changes.get("lender", self.lender))
        span = changes.get("lag", LAG), changes.get("until", UNTIL)
        return self.register.send(by, "hold", id, loan, units, lender, *span)

    def release(self, id: bytes, units: int, *, by: LocalAccount) -> Any:
        return self.register.send(by, "release", id, raw(self.borrower), units)

    def declare(self, id: bytes, *, defaulted: bool = True, by: LocalAccount | None = None) -> Any:
        return self.register.send(by or self.hand, "declare", id, raw(self.borrower), defaulted)

    def execute(
        self,
        id: bytes,
        units: int,
        *,
        by: LocalAccount | None = None,
        taker: LocalAccount | None = None,
    ) -> Any:
        people = raw(self.borrower), raw(taker or self.buyer)
        return self.register.send(by or self.lender, "execute", id, *people, units)

    def move(self, id: bytes, units: int, *, by: LocalAccount, to: LocalAccount) -> Any:
        return self.register.send(by, "transfer", id, raw(to), units)

    def has(self, who: LocalAccount, id: bytes) -> tuple[int, int]:
        """Balance, spendable."""
        one, two = (self.register.call(name, raw(who), id) for name in ("balanceOf", "spendable"))
        return one, two

    def lien(self, id: bytes, who: LocalAccount | None = None) -> tuple[object, ...]:
        return tuple(self.register.call("lien_of", raw(who or self.borrower), id))

    def told(self, receipt: Any) -> list[tuple[str, dict[str, Any]]]:
        """Events in a receipt, but for the id."""
        found = [self.register.event(log) for log in receipt.logs]
        return [
            (event.name, {name: arg for name, arg in event.args.items() if name != "id"})
            for event in found
            if event
        ]
