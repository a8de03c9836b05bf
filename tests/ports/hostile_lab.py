"""The contracts again, on the same chain, with cash that was written to do harm."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

from book_lab import ANY
from contracts_lab import ALL_RIGHTS, AUCTION_CAP, DELAY, DEVIATION, HEARTBEAT, Lab, raw
from eth_abi import decode, encode
from eth_account.signers.local import LocalAccount
from eth_hash.auto import keccak

from escrow.adapters.evm.contracts import contracts_at, creation_code, transaction
from escrow.core.units import MAX_MONEY

FOLDER = Path(__file__).parent / "hostile"
HONEST, CALLS, KEEPS, LIES, REFUSES = range(5)
"""What the cash does when it is to pay."""


@cache
def compiled(name: str) -> bytes:
    """Creation code of a source in ``hostile/``."""
    command = [str(Path(sys.executable).parent / "vyper"), "-f", "bytecode"]
    path = FOLDER / f"{name}.vy"
    result = subprocess.run([*command, str(path)], capture_output=True, text=True, check=True)
    return bytes.fromhex(result.stdout.strip()[2:])


class HostileLab(Lab):
    """A lab whose book was deployed with ``HostileCash``; everything else is as it ships."""

    def __init__(self) -> None:
        super().__init__()
        who, chain = self.stranger, self.chain
        made = contracts_at(raw(who), nonce=chain.nonce(raw(who)), chain=chain)
        registry, cash, _, pledge, book = (part.address for part in made.parts)
        attestors, oracles = (
            [raw(each) for each in people] for people in (self.attestors, self.oracles)
        )
        for code in (
            creation_code("Registry", raw(self.registrar), cash, pledge),
            compiled("HostileCash") + encode(["address", "address"], [book, registry]),
            creation_code(
                "PriceRounds", oracles, 3, 5, HEARTBEAT, DEVIATION, raw(self.guardian), DELAY
            ),
            creation_code(
                *("PledgeToken", attestors, 3, DELAY, raw(self.authority)),
                *(registry, book, MAX_MONEY),
            ),
            creation_code("EscrowBook", cash, pledge, made.prices.address, registry, AUCTION_CAP),
        ):
            raw_tx = transaction(who, chain=chain, to=None, data=code, gas=8_000_000)
            assert chain.send(raw_tx).status == 1
        self.contracts = made
        self.cash, self.prices = made.cash, made.prices
        self.pledge, self.book, self.registry = made.pledge, made.book, made.registry
        self.rule(ALL_RIGHTS)
        self.admit(*(raw(each) for each in (self.borrower, self.lender, self.keeper, self.buyer)))
        # So that it could pay a debt itself.
        self.cash.send(who, "mint", self.cash.address, 10**12)
        self._saved = [(chain.snapshot(), self.clock.now, self.coins)]

    def arm(self, mode: int, target: bytes = bytes(20), payload: bytes = b"") -> None:
        """From here on the cash does this."""
        self._tell("arm(uint256,address,bytes)", mode, target, payload)

    def asks(self, target: bytes, payload: bytes) -> None:
        """The cash makes a call when nothing else is going on."""
        self._tell("now(address,bytes)", target, payload)

    def _tell(self, signature: str, *args: object) -> None:
        kinds = signature[signature.index("(") + 1 : -1].split(",")
        data = keccak(signature.encode())[:4] + encode(kinds, args)
        assert self.chain.act(raw(self.stranger), to=self.cash.address, data=data).status == 1

    @property
    def last(self) -> tuple[int, bool, bytes]:
        """Of the cash's calls: how many since it was armed, and how the last one went."""
        kinds = {"calls()": "uint256", "went()": "bool", "answer()": "bytes"}
        said = [
            decode([kind], self.chain.call(to=self.cash.address, data=keccak(name.encode())[:4]))[0]
            for name, kind in kinds.items()
        ]
        return said[0], said[1], said[2]

    def fund(self, account: LocalAccount, cents: int) -> None:
        self.cash.send(account, "mint", raw(account), cents)
        self.cash.send(account, "approve", self.book.address, ANY)
