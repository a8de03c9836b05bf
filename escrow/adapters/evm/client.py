"""Our contracts in the core's words: what they store, and what their events say."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, cast

from escrow.adapters.evm.abi import decode
from escrow.adapters.evm.chain import Chain
from escrow.adapters.evm.contracts import Account, Contract, Contracts, Event
from escrow.adapters.evm.history import Topics
from escrow.adapters.evm.refusal import Refusals, role_of
from escrow.adapters.evm.typed import (
    TERMS,
    Sig,
    checksummed,
    encode_terms,
    loan_id,
    terms_signer,
)
from escrow.core.decide import Command
from escrow.core.errors import BadInput, Rejected
from escrow.core.phases import terms_of
from escrow.core.regions.loan import Draft
from escrow.core.regions.token import Burn
from escrow.core.roles import Role
from escrow.core.state import Escrow
from escrow.core.terms import Liquidation, Terms
from escrow.core.units import MAX_CENTS, Cents, PriceE8, Sats, Seconds
from escrow.core.verbs.auction import Redo, Take
from escrow.core.verbs.burn import BurnTokens
from escrow.core.verbs.cancel import Cancel
from escrow.core.verbs.cure import Cure
from escrow.core.verbs.dispute import Dispute, Resolve
from escrow.core.verbs.draw import Draw
from escrow.core.verbs.expire_call import ExpireCall
from escrow.core.verbs.liquidate import Liquidate
from escrow.core.verbs.margin_call import MarginCall
from escrow.core.verbs.mark import Mark
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.open import Open
from escrow.core.verbs.pause import Pause, Resume
from escrow.core.verbs.recover import NoteRecovery
from escrow.core.verbs.refinance import Refinance
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.retire import Retire
from escrow.core.verbs.rotate import SawRotation
from escrow.core.verbs.top_up import TopUp
from escrow.core.verbs.withdraw import Withdraw
from escrow.ports import BookEntry, OutPoint, Receipt, Said

PLATFORM: Final = ""
"""Stream of what all loans share."""
_OF_CASH: Final = ("Drawn", "Repaid", "Liquidated", "Refinanced")
"""Events of the book after which cash moves."""
_ALL: Final = 2**63
"""No limit of logs: whoever judges a loan must see all of them."""


def terms_mapping(terms: Terms) -> dict[str, Any]:
    """The terms by field name, as EIP-712 hashes them."""
    return {name: getattr(terms, name) for name, _ in TERMS.fields}


def terms_of_words(words: Sequence[Any]) -> Terms:
    """The terms as EscrowBook takes them, and as an event of it carries them."""
    fields: dict[str, Any] = {}
    for (name, kind), word in zip(TERMS.fields, words, strict=True):
        if kind == "address":
            raw = word if isinstance(word, bytes) else bytes.fromhex(word[2:])
            fields[name] = checksummed(raw)
        else:
            fields[name] = _hex(word) if kind == "bytes32" else word
    return Terms(**{**fields, "liquidation": Liquidation(fields["liquidation"])})


def _liquidated(who: Mapping[str, Any], args: Mapping[str, Any]) -> Command:
    """What was asked for, read off what came of it: the core divides as the book does."""
    kind, over = Liquidation(args["kind"]), not args["left"]
    if kind is Liquidation.AUCTION:
        return Take(**who, want=Sats(args["seized"]), over=over)
    pay = MAX_CENTS if over else Cents(args["repaid"] + args["fee"])
    return Liquidate(**who, kind=kind, pay=pay)


def _hex(word: bytes) -> str:
    return "0x" + word.hex()


def _topic(contract: Contract, name: str) -> bytes:
    kinds = contract.artifact.events.items()
    return next(topic for topic, kind in kinds if kind.name == name)


class EvmClient:
    """Reads and writes for one deployment. Whoever writes signs with an account of its own."""

    def __init__(
        self,
        contracts: Contracts,
        *,
        chain: Chain,
        roles: Mapping[bytes, Role] = MappingProxyType({}),
    ) -> None:
        """``roles``: who an account is that the terms of a loan do not name."""
        self.contracts = contracts
        self.chain = chain
        self._roles = roles
        self.refusals = Refusals(contracts)

    def __repr__(self) -> str:
        return f"<EvmClient book=0x{self.contracts.book.address.hex()}>"

    def loan_id(self, terms: Terms) -> str:
        """The EIP-712 hash of the terms, hex with 0x."""
        return _hex(loan_id(terms_mapping(terms)))

    def entry(self, loan: str) -> BookEntry:
        """What EscrowBook stores of a loan."""
        return BookEntry(*self.contracts.book.call("loan", bytes.fromhex(loan[2:])))

    def held(self, loan: str) -> Sats:
        """Tokens pledged to a loan."""
        return Sats(self.contracts.pledge.call("held", bytes.fromhex(loan[2:])))

    def outstanding(self, loan: str) -> Sats:
        """Tokens minted for a loan's vault and not destroyed."""
        return Sats(self.contracts.pledge.call("outstanding", bytes.fromhex(loan[2:])))

    def burns(self, loan: str) -> tuple[Burn, ...]:
        """Every burn that named this loan's vault, oldest first."""
        logs = self.chain.logs(
            address=self.contracts.pledge.address,
            topics=(_topic(self.contracts.pledge, "Burned"), None, bytes.fromhex(loan[2:])),
        )
        return tuple(
            Burn(e.args["burn_id"], Sats(e.args["sats"]), e.args["destination"].hex())
            for e in self.contracts.events(logs)
        )

    def is_minted(self, outpoint: str) -> bool:
        """Was this coin minted for?"""
        point = OutPoint.parse(outpoint)
        return bool(self.contracts.pledge.call("minted", bytes.fromhex(point.txid), point.vout))

    def said(self, loan: str) -> tuple[Said, ...]:
        """All that book and token said of a loan, oldest first."""
        parts, word = self.contracts, bytes.fromhex(loan[2:])
        found = [
            *self._said((parts.book, parts.pledge), (None, word)),
            *self._said((parts.pledge,), (_topic(parts.pledge, "Burned"), None, word)),
        ]
        return tuple(sorted(found, key=lambda each: each.place))

    def rounds(self, *, since: int, until: int) -> tuple[Said, ...]:
        """Rounds of the price and pauses from ``since`` to ``until``, unix times, both included;
        oldest first."""
        prices, last = self.contracts.prices, self.chain.block_number
        first = bisect_left(range(last + 1), since, key=self._time_of)
        end = bisect_right(range(last + 1), until, key=self._time_of)
        # What is under way is later than every sealed block.
        to_block = None if end > last else end - 1
        topics = [_topic(prices, name) for name in ("PricesReported", "Paused", "Resumed")]
        found = self._said((prices,), (topics,), from_block=first, to_block=to_block)
        return tuple(each for each in found if since <= each.at <= until)

    def _said(
        self,
        contracts: Collection[Contract],
        topics: Topics,
        *,
        from_block: int = 0,
        to_block: int | None = None,
    ) -> Iterator[Said]:
        head = self.chain.block_number
        logs = self.chain.logs(
            address=tuple(each.address for each in contracts),
            topics=topics,
            from_block=from_block,
            to_block=to_block,
            limit=_ALL,
        )
        for event in self.contracts.events(logs):
            receipt = self.chain.receipt(event.log.tx_hash)
            assert receipt is not None
            block = event.log.block_number
            yield Said(
                name=event.name,
                args=event.args,
                at=Seconds(receipt.timestamp),
                place=(block, event.log.index),
                blocks=max(0, head - block + 1),
                paid=self._paid(event, receipt) if event.name in _OF_CASH else None,
                signed=self._signed(event) if event.name == "Refinanced" else (),
            )

    def _paid(self, event: Event, receipt: Receipt) -> tuple[bytes, Cents] | None:
        """The transfer that belongs to an event of the book: the next one, before its next event
        of cash."""
        for after in self.contracts.events(receipt.logs):
            if after.log.index <= event.log.index:
                continue
            if after.contract == event.contract and after.name in _OF_CASH:
                return None
            if (after.contract, after.name) == ("CashToken", "Transfer"):
                return after.args["receiver"], Cents(after.args["value"])
        return None

    def _signed(self, event: Event) -> tuple[bytes, ...]:
        """Who signed the new terms, by the call of the book that the transaction brought, be it
        through other contracts."""
        found, book = self.chain.included(event.log.tx_hash), self.contracts.book
        assert found is not None
        function, data = book.artifact.functions["refinance"], found.transaction.data
        for at in range(len(data)):
            if not data.startswith(function.selector, at):
                continue
            try:
                _, words, *signatures = decode(function.inputs, data[at + 4 :])
            except BadInput:
                continue
            if words == tuple(event.args["terms"]):
                terms = terms_mapping(terms_of_words(words))
                signed = (terms_signer(terms, Sig(*s), domain=book.domain) for s in signatures)
                return tuple(signed)
        return ()

    def _time_of(self, number: int) -> int:
        block = self.chain.block(number)
        assert block is not None
        return block.timestamp

    def book(self, account: Account, function: str, terms: Terms, *args: object) -> str:
        """A call of EscrowBook by the account's own transaction; its hash.

        Raises ``Rejected`` with the contract's code and the numbers that the core would give."""
        words = encode_terms(terms_mapping(terms))
        try:
            receipt = self.contracts.book.send(account, function, words, *args)
        except Rejected as refusal:
            raise self.explained(
                refusal, function, *args, terms=terms, sender=bytes.fromhex(account.address[2:])
            ) from None
        return _hex(receipt.tx_hash)

    def refinance(
        self, account: Account, old: Terms, new: Terms, borrower: Sig, lender: Sig
    ) -> str:
        """Carries new terms and both signatures to EscrowBook; its hash. As ``book``."""
        return self.book(
            account, "refinance", old, encode_terms(terms_mapping(new)), borrower, lender
        )

    def explained(
        self, refusal: Rejected, function: str, *args: object, terms: Terms, sender: bytes
    ) -> Rejected:
        """What EscrowBook refused, with the numbers of this second."""
        if function == "refinance":
            args = (terms_of_words(cast("Sequence[Any]", args[0])), *args[1:])
        return self.refusals.by_book(
            refusal,
            function,
            *args,
            loan=loan_id(terms_mapping(terms)),
            terms=terms,
            by=role_of(sender, terms, known=self._roles),
            at=Seconds(self.chain.next_time),
        )


class EvmWatch:
    """Turns logs into commands, from a cursor on."""

    def __init__(self, client: EvmClient, *, roles: Mapping[bytes, Role], cursor: int = 0) -> None:
        self._client = client
        self._roles = roles
        self.cursor = cursor

    def look(
        self,
        deals: Mapping[str, Escrow],
        *,
        at: int,  # noqa: ARG002 each log carries its block's time
    ) -> Sequence[tuple[str, Command]]:
        """What happened on the EVM since the last look, in order. Other people's loans are not
        ours to follow."""
        logs, self.cursor = self._client.chain.logs_since(self.cursor)
        found: list[tuple[str, Command]] = []
        terms = {
            loan: terms_of(deal.loan)
            for loan, deal in deals.items()
            if not isinstance(deal.loan, Draft)
        }
        for event in self._client.contracts.events(logs):
            loan = _hex(event.args["loan"]) if "loan" in event.args else PLATFORM
            if loan != PLATFORM and loan not in deals:
                continue
            command = self._command(event, terms.get(loan))
            if isinstance(command, Refinance):
                terms[loan] = command.terms
            if command is not None:
                found.append((loan, command))
        return found

    def _role(self, address: bytes, terms: Terms | None) -> Role:
        """What somebody is to a loan: its terms say who its parties are, and they may change."""
        parties = (
            ()
            if terms is None
            else (
                (terms.borrower, Role.BORROWER),
                (terms.lender, Role.LENDER),
                (terms.arbiter, Role.ARBITER),
            )
        )
        for party, role in parties:
            if address == bytes.fromhex(party[2:]):
                return role
        found = self._roles.get(address, Role.STRANGER)
        return Role.STRANGER if found in {role for _, role in parties} else found

    def _command(self, event: Event, terms: Terms | None) -> Command | None:
        receipt = self._client.chain.receipt(event.log.tx_hash)
        assert receipt is not None
        who: dict[str, Any] = {
            "by": self._role(receipt.sender, terms),
            "at": Seconds(receipt.timestamp),
            "tx": _hex(receipt.tx_hash),
        }
        args = event.args
        # Who called the book is not always who sent the transaction (a contract in between, a
        # delegated account), so where the contract says or implies who it was, that counts.
        if "by" in args:
            who["by"] = self._role(args["by"], terms)
        borrower = {**who, "by": Role.BORROWER}
        match event.contract, event.name:
            case "PriceRounds", "PricesReported":
                # The contract took the round, so as many oracles of the set signed these.
                prices = tuple(map(PriceE8, args["prices"]))
                return Mark(Role.ORACLE, who["at"], args["round"], prices, Seconds(args["at"]))
            case "PriceRounds", "Paused":
                # And it let nobody but the guardian do this.
                seconds = Seconds(args["until"] - who["at"])
                return Pause(**{**who, "by": Role.GUARDIAN}, seconds=seconds)
            case "PriceRounds", "Resumed":
                return Resume(**{**who, "by": Role.GUARDIAN})
            case "PriceRounds", "SetRotated":
                return SawRotation(Role.WATCHER, who["at"], args["quorum"])
            case "EscrowBook", "Opened":
                return Open(**who)
            case "EscrowBook", "Cancelled":
                # Anyone may once the draw window has ended; before, it was the borrower.
                return Cancel(**borrower)
            case "EscrowBook", "ToppedUp":
                return TopUp(**borrower, sats=Sats(args["sats"]))
            case "EscrowBook", "Drawn":
                return Draw(**borrower, amount=Cents(args["amount"]))
            case "EscrowBook", "Repaid":
                return Repay(**who, amount=Cents(args["interest"] + args["principal"]))
            case "EscrowBook", "MarginCalled":
                return MarginCall(**who)
            case "EscrowBook", "Cured":
                return Cure(**who)
            case "EscrowBook", "CallExpired":
                return ExpireCall(**who)
            case "EscrowBook", "Withdrawn":
                return Withdraw(**borrower, sats=Sats(args["sats"]))
            case "EscrowBook", "Refinanced":
                return Refinance(**who, terms=terms_of_words(args["terms"]))
            case "EscrowBook", "Disputed":
                return Dispute(**borrower)
            case "EscrowBook", "Resolved":
                # Only the arbiter upholds one; when it was silent for too long anyone ends it.
                return Resolve(**{**who, "by": Role.ARBITER}, upheld=args["upheld"])
            case "EscrowBook", "AuctionBegun":
                return Redo(**who)
            case "EscrowBook", "Liquidated":
                return _liquidated(who, args)
            case "EscrowBook", "Recovered":
                return NoteRecovery(**who)
            case "PledgeToken", "Minted":
                return Mint(
                    **{**who, "by": Role.ATTESTOR},
                    outpoint=f"{args['txid'].hex()}:{args['vout']}",
                    sats=Sats(args["sats"]),
                    reserves=Sats(args["reserves"]),
                    age=Seconds(receipt.timestamp - args["seen_at"]),
                )
            case "PledgeToken", "Retired":
                return Retire(
                    **{**who, "by": Role.ATTESTOR},
                    outpoint=f"{args['txid'].hex()}:{args['vout']}",
                    sats=Sats(args["sats"]),
                )
            case "PledgeToken", "Burned":
                return BurnTokens(
                    **who,
                    id=args["burn_id"],
                    sats=Sats(args["sats"]),
                    script=args["destination"].hex(),
                )
            case _:
                return None
