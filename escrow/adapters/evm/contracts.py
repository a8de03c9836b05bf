"""Talking to our contracts: calldata, events, deployment, and what a revert means.

Nothing here holds a key. Whoever sends a transaction signs it with an account of its own; this
module builds it, hands it to the chain and turns the contract's answer into the catalogue's.
No web3: that is for users, and takes half a second to import.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol

import rlp  # type: ignore[import-untyped]
from eth_hash.auto import keccak

from escrow.adapters.evm.abi import artifact, decode, encode
from escrow.adapters.evm.revert import Reverted
from escrow.adapters.evm.typed import Domain
from escrow.core.errors import CODES, BadInput, Rejected
from escrow.ports import EvmPort, Log, Receipt

ZERO: Final = bytes(20)
"""The zero address: who asks when a call names nobody."""
CALL_GAS: Final = 1_000_000
"""Gas limit of a call: several times what the dearest one of ours takes (contracts/gas.json)."""
CREATE_GAS: Final = 8_000_000
"""Gas limit of a deployment: above twice what the largest of ours takes."""


class Account(Protocol):
    """Who signs transactions: ``eth_account``'s ``LocalAccount``, or a device like it."""

    @property
    def address(self) -> str:
        """Hexadecimal."""

    def sign_transaction(self, transaction: dict[str, Any], /) -> Any:
        """Answers an object whose ``raw_transaction`` is the signed bytes."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a contract of ours said happened."""

    contract: str
    """The contract's name, e.g. ``EscrowBook``."""
    name: str
    args: Mapping[str, Any]
    """By member name; addresses as 20 bytes."""
    log: Log
    """Where it stands."""


class Contract:
    """One deployed contract. Addresses go in as 20 bytes or hexadecimal, and come out as bytes."""

    def __init__(self, name: str, *, address: bytes, chain: EvmPort) -> None:
        self.artifact = artifact(name)
        self.name = name
        self.address = address
        self.chain = chain

    def __repr__(self) -> str:
        return f"<{self.name} 0x{self.address.hex()}>"

    @property
    def domain(self) -> Domain:
        """Where signatures for this contract count."""
        return Domain(name=self.name, chain_id=self.chain.chain_id, contract=self.address)

    def encode(self, function: str, *args: object) -> bytes:
        """Calldata. Raises ``BadInput("evm/word")`` for arguments that do not fit the types."""
        entry = self.artifact.functions[function]
        return entry.selector + encode(entry.inputs, args, name=function)

    def call(self, function: str, *args: object, sender: bytes = ZERO) -> Any:
        """Ask without a transaction: the value, or a tuple of several, None if there is none.

        Raises ``Rejected`` with the contract's code, ``Reverted`` for a revert without one.
        """
        data = self.encode(function, *args)
        try:
            answer = self.chain.call(to=self.address, data=data, sender=sender)
        except Reverted as error:
            raise _meaning(error, contract=self.name, function=function) from None
        values = decode(self.artifact.functions[function].outputs, answer)
        return values[0] if len(values) == 1 else (values or None)

    def send(self, account: Account, function: str, *args: object, gas: int = CALL_GAS) -> Receipt:
        """The account's own transaction. Raises as :meth:`call`, and then nothing was mined."""
        data = self.encode(function, *args)
        try:
            return self.chain.send(
                transaction(account, chain=self.chain, to=self.address, data=data, gas=gas)
            )
        except Reverted as error:
            raise _meaning(error, contract=self.name, function=function) from None

    def event(self, log: Log) -> Event | None:
        """The event in a log, or None if it is not one of this contract's."""
        if log.address != self.address or not log.topics:
            return None
        kind = self.artifact.events.get(log.topics[0])
        if kind is None:
            return None
        words = decode([entry for _, entry in kind.indexed], b"".join(log.topics[1:]))
        values = decode([entry for _, entry in kind.plain], log.data)
        names = [name for name, _ in (*kind.indexed, *kind.plain)]
        args = MappingProxyType(dict(zip(names, (*words, *values), strict=True)))
        return Event(contract=self.name, name=kind.name, args=args, log=log)


@dataclass(frozen=True, slots=True)
class Contracts:
    """The contracts of a deal, as deployed."""

    registry: Contract
    """``Registry``: who may take part."""
    cash: Contract
    """``CashToken``: the settlement currency."""
    prices: Contract
    """``PriceRounds``: the price and the active clock."""
    pledge: Contract
    """``PledgeToken``: claims on coins in vaults."""
    book: Contract
    """``EscrowBook``: the loans."""

    @property
    def parts(self) -> tuple[Contract, ...]:
        """All of them, in the order in which they are deployed."""
        return self.registry, self.cash, self.prices, self.pledge, self.book

    def events(self, logs: Iterable[Log]) -> tuple[Event, ...]:
        """Those of the logs that are events of these contracts, in their order."""
        by_address = {contract.address: contract for contract in self.parts}
        found = (by_address[log.address].event(log) for log in logs if log.address in by_address)
        return tuple(event for event in found if event is not None)


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the constructors need. Fixed for ever but the sets of signers, which rotate by their own
    quorum: no contract has an owner or a setter."""

    cash_name: str
    """At most 32 bytes."""
    cash_symbol: str
    """At most 8 bytes."""
    issuer: bytes
    """The only account that mints cash."""
    registrar: bytes
    """The only account that records who takes part, and sets the rules for them."""
    authority: bytes
    """The only account that freezes tokens and forces transfers of what is not pledged."""
    oracles: tuple[bytes, ...]
    """1 to 15 distinct addresses."""
    oracle_quorum: int
    """Oracles that report a price: odd."""
    wide_quorum: int
    """Oracles that report a jump: odd, from the quorum to their number."""
    heartbeat: int
    """Seconds after which a price is too old to decide anything."""
    deviation_bps: int
    """How far from the last price, in bps of it, a price is not a jump yet."""
    guardian: bytes
    """Who may pause; the zero address for nobody."""
    attestors: tuple[bytes, ...]
    """1 to 15 distinct addresses."""
    attestor_quorum: int
    rotation_delay: int
    """Seconds between the proposal of another set of signers and its rotation."""
    supply_cap: int
    """Sats: the most pledge tokens that may ever be at once."""
    auction_cap: int
    """Cents: the most principal that may be in auctions at once (Maker's ``Hole``)."""


CONTRACTS: Final = ("Registry", "CashToken", "PriceRounds", "PledgeToken", "EscrowBook")
"""In the order in which they are deployed, one nonce after the other."""
COMPANIONS: Final = ("AssetToken", "DigitalCash", "HashLock", "LendingMarket", "Settlement")
"""Shipped too; deployed by whoever wants them (``deploy_one``)."""


def deploy(plan: Deployment, *, account: Account, chain: EvmPort) -> Contracts:
    """Deploy them with one transaction each, all of one account.

    They name each other and none has a setter, so addresses are computed before anything is there;
    the book comes last, and its constructor refuses parts that do not name each other and it.
    Raises ``Rejected("token/signers")`` and the like, before anything is sent.
    """
    deployer = bytes.fromhex(account.address[2:])
    nonce = chain.nonce(deployer)
    made = contracts_at(deployer, nonce=nonce, chain=chain)
    registry, cash, prices, pledge, book = (part.address for part in made.parts)
    arguments: tuple[tuple[object, ...], ...] = (
        (plan.registrar, cash, pledge),
        (plan.cash_name, plan.cash_symbol, plan.issuer, plan.authority, registry, book),
        _prices(plan),
        (
            *(plan.attestors, plan.attestor_quorum, plan.rotation_delay),
            *(plan.authority, registry, book, plan.supply_cap),
        ),
        (cash, pledge, prices, registry, plan.auction_cap),
    )
    codes = [creation_code(name, *args) for name, args in zip(CONTRACTS, arguments, strict=True)]
    for name, code in zip(CONTRACTS[:-1], codes, strict=False):
        try:
            chain.call(to=None, data=code, sender=deployer)
        except Reverted as error:
            raise _meaning(error, contract=name, function="constructor") from None
    for code in codes:
        chain.send(transaction(account, chain=chain, to=None, data=code, gas=CREATE_GAS))
    return made


def deploy_one(name: str, *args: object, account: Account, chain: EvmPort) -> Contract:
    """Deploy one contract by the account's own transaction.

    Raises ``BadInput``: ``evm/contract`` if none is shipped under that name, ``evm/word``;
    ``Rejected`` with the constructor's code, and then nothing was sent.
    """
    deployer = bytes.fromhex(account.address[2:])
    address = create_address(deployer, nonce=chain.nonce(deployer))
    try:
        made = Contract(name, address=address, chain=chain)
    except KeyError:
        raise BadInput("evm/contract", name=name[:40]) from None
    code = creation_code(name, *args)
    try:
        chain.send(transaction(account, chain=chain, to=None, data=code, gas=CREATE_GAS))
    except Reverted as error:
        raise _meaning(error, contract=name, function="constructor") from None
    return made


def contracts_at(deployer: bytes, *, nonce: int, chain: EvmPort) -> Contracts:
    """Where ``deploy`` puts them, or has put them, with the account's nonces from ``nonce`` on."""
    return Contracts(
        *(
            Contract(name, address=create_address(deployer, nonce=nonce + i), chain=chain)
            for i, name in enumerate(CONTRACTS)
        )
    )


def _prices(plan: Deployment) -> tuple[object, ...]:
    return (
        plan.oracles,
        plan.oracle_quorum,
        plan.wide_quorum,
        plan.heartbeat,
        plan.deviation_bps,
        plan.guardian,
        plan.rotation_delay,
    )


def creation_code(name: str, *args: object) -> bytes:
    """What a creating transaction carries. Raises ``BadInput("evm/word")``."""
    compiled = artifact(name)
    return compiled.bytecode + encode(compiled.constructor, args, name=name)


def create_address(sender: bytes, *, nonce: int) -> bytes:
    """Where CREATE puts a contract: the last 20 bytes of keccak256(rlp(sender, nonce))."""
    return keccak(rlp.encode([sender, nonce]))[12:]


def transaction(
    account: Account, *, chain: EvmPort, to: bytes | None, data: bytes, gas: int
) -> bytes:
    """A signed type-2 transaction (EIP-1559) without tip, good for twice the present base fee."""
    fields: dict[str, Any] = {
        "type": 2,
        "chainId": chain.chain_id,
        "nonce": chain.nonce(bytes.fromhex(account.address[2:])),
        "maxFeePerGas": 2 * chain.next_base_fee,
        "maxPriorityFeePerGas": 0,
        "gas": gas,
        "value": 0,
        "data": data,
    }
    if to is not None:
        fields["to"] = to
    return bytes(account.sign_transaction(fields).raw_transaction)


def _meaning(error: Reverted, *, contract: str, function: str) -> Rejected | Reverted:
    # Our contracts revert with the catalogue's codes: that is the rules speaking, not the chain.
    if error.reason in CODES:
        return Rejected(error.reason, contract=contract, function=function)
    return error
