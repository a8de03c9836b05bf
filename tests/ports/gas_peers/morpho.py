"""Morpho Blue on our own chain: what a loan takes there, action by action.

The setting is that of our own figures, see ``gas_meter``: a market that others use already, a
wallet that borrows there for the first time, allowances without end, balances everywhere, twelve
seconds between transactions. Tokens are OpenZeppelin's, the oracle is one slot, there is no rate
model: the cheapest that Morpho can be.
"""

from __future__ import annotations

from typing import Any

from contracts_lab import PRICE, Lab, raw
from eth_abi.abi import encode
from eth_abi.grammar import parse
from eth_hash.auto import keccak
from gas_meter import Notes, Observer

from escrow.adapters.evm.block import Receipt
from escrow.adapters.evm.contracts import CREATE_GAS, transaction
from escrow.core.units import COIN
from gas_peers.solidity import creation_codes

MORPHO = "@morpho-org/morpho-blue/src/Morpho.sol"
MORPHO_SETTINGS: dict[str, object] = {  # As Morpho's own foundry.toml.
    "viaIR": True,
    "optimizer": {"enabled": True, "runs": 999_999},
    "evmVersion": "paris",
    "metadata": {"bytecodeHash": "none"},
}
MOCK_SETTINGS: dict[str, object] = {
    "optimizer": {"enabled": True, "runs": 200},
    "evmVersion": "cancun",
}
MARKET = "(address,address,address,address,uint256)"
ONCE = 10**18
"""Morpho's 1: levels are fractions of it."""
LLTV = 86 * ONCE // 100
SCALE = 10**36 // 10**14
"""From our price of a coin to Morpho's of a sat in cents."""
FOREVER = 2**256 - 1
ZERO = bytes(20)


class Peer:
    """A contract of others, by the signatures of its functions."""

    def __init__(self, lab: Lab, code: bytes) -> None:
        self.lab = lab
        receipt = self._run(lab.issuer, None, code, CREATE_GAS)
        assert receipt.contract_address
        self.address = receipt.contract_address

    def send(self, who: Any, signature: str, *args: object) -> Receipt:
        types = [each.to_type_str() for each in parse(signature[signature.index("(") :]).components]
        data = keccak(signature.encode())[:4] + encode(types, args)
        return self._run(who, self.address, data, 1_000_000)

    def _run(self, who: Any, to: bytes | None, data: bytes, gas: int) -> Receipt:
        chain = self.lab.chain
        return chain.send(transaction(who, chain=chain, to=to, data=data, gas=gas))


class MorphoMeter(Notes):
    """Morpho Blue, and the tokens that it is measured with."""

    def __init__(self, observe: Observer | None = None) -> None:
        super().__init__(observe)
        lab = self.lab
        code = creation_codes(
            MORPHO, names=("Morpho",), compiler="solc-0.8.19", settings=MORPHO_SETTINGS
        )
        mocks = creation_codes(
            "Mocks.sol", names=("Token", "Oracle"), compiler="solc", settings=MOCK_SETTINGS
        )
        owner = encode(["address"], [raw(lab.issuer)])
        self.coin, self.cash = Peer(lab, mocks["Token"]), Peer(lab, mocks["Token"])
        self.oracle = Peer(lab, mocks["Oracle"])
        self.morpho = Peer(lab, code["Morpho"] + owner)
        self.addresses = {
            self.morpho.address: "Morpho",
            self.coin.address: "collateral token",
            self.cash.address: "loan token",
            self.oracle.address: "oracle",
        }
        self.market = (self.cash.address, self.coin.address, self.oracle.address, ZERO, LLTV)
        self.someone_is_there()

    def someone_is_there(self) -> None:
        """Cash supplied, a borrower, wallets that hold something, a token that all have touched."""
        lab = self.lab
        self.price(PRICE)
        self.morpho.send(lab.issuer, "enableIrm(address)", ZERO)
        self.morpho.send(lab.issuer, "enableLltv(uint256)", LLTV)
        self.morpho.send(lab.issuer, f"createMarket({MARKET})", self.market)
        for who in (lab.borrower, lab.lender, lab.buyer, lab.keeper, lab.stranger):
            for token, amount in ((self.coin, 100 * COIN), (self.cash, 10**12)):
                token.send(lab.issuer, "mint(address,uint256)", raw(who), amount)
                token.send(who, "approve(address,uint256)", self.morpho.address, FOREVER)
        supply = f"supply({MARKET},uint256,uint256,address,bytes)"
        self.morpho.send(lab.lender, supply, self.market, 10**11, 0, raw(lab.lender), b"")
        self.add(lab.stranger, 3 * COIN)
        self.borrow(lab.stranger, 5_000_000)
        lab.wait(12)

    def price(self, price: int) -> None:
        self.oracle.send(self.lab.issuer, "set(uint256)", price * SCALE)

    # What one does there

    def add(self, who: Any, sats: int) -> Receipt:
        verb = f"supplyCollateral({MARKET},uint256,address,bytes)"
        return self.morpho.send(who, verb, self.market, sats, raw(who), b"")

    def borrow(self, who: Any, cents: int) -> Receipt:
        verb = f"borrow({MARKET},uint256,uint256,address,address)"
        return self.morpho.send(who, verb, self.market, cents, 0, raw(who), raw(who))

    def repay(self, who: Any, *, cents: int = 0, shares: int = 0) -> Receipt:
        verb = f"repay({MARKET},uint256,uint256,address,bytes)"
        return self.morpho.send(who, verb, self.market, cents, shares, raw(who), b"")

    def withdraw(self, who: Any, sats: int) -> Receipt:
        verb = f"withdrawCollateral({MARKET},uint256,address,address)"
        return self.morpho.send(who, verb, self.market, sats, raw(who), raw(who))

    def liquidate(self, whom: Any, *, sats: int = 0, shares: int = 0) -> Receipt:
        verb = f"liquidate({MARKET},address,uint256,uint256,bytes)"
        return self.morpho.send(self.lab.buyer, verb, self.market, raw(whom), sats, shares, b"")

    def shares(self, cents: int) -> int:
        """Of the debt. Without interest a cent is always a million."""
        return cents * 10**6

    # The figures

    def loan(self) -> None:
        who = self.lab.borrower
        self.note("add collateral, new borrower", self.add(who, 2 * COIN))
        self.note("borrow, new borrower", self.borrow(who, 3_000_000))
        self.note("top up", self.add(who, COIN))
        self.note("borrow again", self.borrow(who, 1_000_000))
        self.note("repay part", self.repay(who, cents=1_000_000))
        self.note("withdraw part", self.withdraw(who, COIN))
        self.note("repay all", self.repay(who, shares=self.shares(3_000_000)))
        self.note("withdraw all", self.withdraw(who, 2 * COIN))
        opened = ("add collateral, new borrower", "borrow, new borrower")
        closed = ("repay all", "withdraw all")
        self.sum("open, 2 transactions", *opened)
        self.sum("close, 2 transactions", *closed)
        self.sum("whole loan, 6 transactions", *opened, "top up", "repay part", *closed)

    def liquidations(self) -> None:
        debt = 7_000_000
        for name, price, sold in (
            ("liquidate part", PRICE * 2 // 5, {"shares": self.shares(debt // 2)}),
            ("liquidate all", PRICE * 2 // 5, {"shares": self.shares(debt)}),
            ("liquidate with bad debt", PRICE // 5, {"sats": 2 * COIN}),
        ):
            snapshot, now = self.lab.chain.snapshot(), self.lab.clock.now
            self.add(self.lab.borrower, 2 * COIN)
            self.borrow(self.lab.borrower, debt)
            self.price(price)
            self.lab.wait(12)
            self.note(name, self.liquidate(self.lab.borrower, **sold))
            self.lab.chain.revert(snapshot)
            self.lab.clock.now = now

    def tokens(self) -> None:
        transfer = self.coin.send(
            self.lab.borrower, "transfer(address,uint256)", raw(self.lab.buyer), 1
        )
        self.note("token transfer, to a holder", transfer)

    def measure(self) -> dict[str, int]:
        self.loan()
        self.liquidations()
        self.tokens()
        return self.used
