"""A contract says no with a code; here are the numbers behind it.

A revert carries a code of the catalogue and nothing else: words would cost gas. So the loan is
rebuilt in the core's own words from what anyone can read off the contracts at that second, and the
core is asked the same. Where it refuses with the same code, its facts are the numbers; where it
knows no such rule (signatures, who is admitted, allowances), the contract's word stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Final

from escrow.adapters.evm.contracts import Contracts
from escrow.adapters.evm.typed import checksummed
from escrow.core.decide import Command, decide
from escrow.core.errors import Rejected
from escrow.core.regions import loan as ln
from escrow.core.regions.system import Pause as LastPause
from escrow.core.regions.system import Price, System, active_seconds, is_fresh, mode_at, new_system
from escrow.core.regions.token import Token
from escrow.core.regions.vault import Coin, Locked, Vault
from escrow.core.roles import Role
from escrow.core.rules import Debt
from escrow.core.state import Escrow, fold
from escrow.core.terms import NOBODY, Liquidation, Terms, check_terms
from escrow.core.units import MAX_CENTS, Bps, Cents, PriceE8, Sats, Seconds
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
from escrow.core.verbs.top_up import TopUp
from escrow.core.verbs.withdraw import Withdraw

ALL: Final = Cents(2**256 - 1)
"""What ``close`` pays: whatever is owed."""
_MAKE_ROOM: Final = ("expire_call", "take", "redo")
_OVER: Final = {
    5: ln.Outcome.RELEASED,
    6: ln.Outcome.SETTLED,
    7: ln.Outcome.CANCELLED,
    8: ln.Outcome.RECOVERED,
}


def role_of(address: bytes, terms: Terms, *, known: Mapping[bytes, Role]) -> Role:
    """Who an account is to a loan: what its terms say, else what is ``known``, else a stranger."""
    named = {terms.borrower: Role.BORROWER, terms.lender: Role.LENDER, terms.arbiter: Role.ARBITER}
    named.pop(NOBODY, None)
    return named.get(checksummed(address)) or known.get(address, Role.STRANGER)


class Refusals:
    """Finds the numbers behind the reverts of one deployment."""

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts

    @cached_property
    def _auction_cap(self) -> Cents:
        return Cents(self._contracts.book.call("auction_cap"))

    @cached_property
    def _heartbeat(self) -> Seconds:
        return Seconds(self._contracts.prices.call("heartbeat"))

    @cached_property
    def _jump(self) -> tuple[int, Bps]:
        prices = self._contracts.prices
        return prices.call("wide_quorum"), Bps(prices.call("deviation_bps"))

    def by_book(
        self,
        refusal: Rejected,
        function: str,
        *args: Any,
        loan: bytes,
        terms: Terms,
        by: Role,
        at: Seconds,
    ) -> Rejected:
        """The same no of EscrowBook, with the core's facts. ``args`` follow the terms, new terms as
        ``Terms``; ``at`` is the time of the block that it would have been in."""
        room = self._room() if function in _MAKE_ROOM else MAX_CENTS
        asked = _book_commands(function, args, terms=terms, by=by, at=at, room=room)
        told = self._loan(loan, terms, at=at)
        if function in ("open", "open_and_draw") and refusal.code.startswith("terms/"):
            return _told(refusal, lambda: check_terms(terms, at=terms.expires_at))
        if function == "open_and_draw" and by is not Role.BORROWER:
            # That one is asked first of all, and of a loan that the book does not know yet.
            asked, told = asked[2:], replace(told, loan=ln.Opened(terms, Debt()))
        return _told(refusal, lambda: _ask(told, asked))

    def by_prices(
        self, refusal: Rejected, function: str, *args: Any, by: Role, at: Seconds
    ) -> Rejected:
        """The same no of PriceRounds, with the core's facts."""
        prices = self._contracts.prices
        quorum, number = prices.call("quorum"), prices.call("last_round")
        system = self._system(at=at, quorum=quorum, number=number)
        if function in ("pause", "resume"):
            system = replace(system, pause=self._last_pause())
        told = Escrow(system)
        return _told(refusal, lambda: _ask(told, [_price_command(function, args, by=by, at=at)]))

    def by_pledge(
        self, refusal: Rejected, function: str, *args: Any, by: Role, at: Seconds
    ) -> Rejected:
        """The same no of PledgeToken to a mint or a burn, with the core's facts. What the quorum
        said of a coin is taken for what Bitcoin says of it."""
        if function == "mint":
            return _told(refusal, lambda: _ask(*self._mint(*args[0], at=at)))
        if function == "burn":
            return _told(refusal, lambda: _ask(*self._burn(*args, by=by, at=at)))
        return refusal

    # --- what the contracts say, in the core's words ---

    def _room(self) -> Cents:
        return Cents(self._auction_cap - self._contracts.book.call("auction_debt"))

    def _system(self, *, at: Seconds, quorum: int = 1, number: int = 1) -> System:
        price, priced_at, fresh, active = self._contracts.prices.call("latest")
        wide_quorum, deviation = self._jump
        made = new_system(
            # Before the first price it counts as if one had just outlived the heartbeat.
            origin=Seconds(priced_at + self._heartbeat),
            heartbeat=self._heartbeat,
            quorum=quorum,
            wide_quorum=wide_quorum,
            deviation=deviation,
        )
        last = Price(number, PriceE8(price), Seconds(priced_at)) if price else None
        system = replace(made, clock=at, price=last)
        if is_fresh(system, at=at) and not fresh:
            # Since when it is paused no view says; that it is for this second is enough.
            system = replace(system, pause=LastPause(at, Seconds(at + 1)))
        system = replace(system, lost=Seconds(active_seconds(system, at=at) - active))
        return replace(system, mode=mode_at(system, at=at))

    def _last_pause(self) -> LastPause | None:
        """From when on, the log tells."""
        prices = self._contracts.prices
        kinds = prices.artifact.events.items()
        topic = next(topic for topic, kind in kinds if kind.name == "Paused")
        logs = prices.chain.logs(address=prices.address, topics=(topic,))
        if not logs:
            return None
        receipt = prices.chain.receipt(logs[-1].tx_hash)
        assert receipt is not None
        return LastPause(Seconds(receipt.timestamp), Seconds(prices.call("paused_until")))

    def _loan(self, loan: bytes, terms: Terms, *, at: Seconds) -> Escrow:
        book, pledge = self._contracts.book, self._contracts.pledge
        phase, principal, interest_acc, accrued_to, deadline = book.call("loan", loan)
        debt = Debt(Cents(principal), interest_acc, Seconds(accrued_to))
        made: ln.Loan = ln.Accepted(terms)
        match phase:
            case 1:
                made = ln.Opened(terms, debt)
            case 2:
                made = ln.Active(terms, debt)
            case 3:
                heard, begun = book.call("dispute_of", loan)
                dispute = ln.Dispute(Seconds(begun), Seconds(0)) if begun else None
                made = ln.Called(terms, debt, Seconds(deadline), at, dispute, heard)
            case 4:
                made = ln.Liquidating(terms, debt, Seconds(deadline))
            case 5 | 6 | 7 | 8:
                made = ln.Ended(terms, debt, _OVER[phase])
        token = Token(
            minted=Sats(pledge.call("outstanding", loan)), held=Sats(pledge.call("held", loan))
        )
        return Escrow(self._system(at=at), made, token=token, agreed=terms)

    def _mint(
        self,
        loan: bytes,
        holder: bytes,  # noqa: ARG002 the members of an attestation, in its order
        txid: bytes,
        vout: int,
        sats: int,
        reserves: int,
        seen_at: int,
        bitcoin_block: bytes,  # noqa: ARG002
        *,
        at: Seconds,
    ) -> tuple[Escrow, list[Command]]:
        pledge, outpoint = self._contracts.pledge, f"{txid.hex()}:{vout}"
        seen = () if pledge.call("minted", txid, vout) == 0 else (outpoint,)
        token = Token(minted=Sats(pledge.call("outstanding", loan)), outpoints=seen)
        vault = Vault(coins=(Coin(outpoint, Sats(sats), Locked(0)),))
        told = Escrow(self._system(at=at), vault=vault, token=token)
        age = Seconds(at - seen_at)
        command = Mint(Role.ATTESTOR, at, outpoint, Sats(sats), reserves=Sats(reserves), age=age)
        return told, [command]

    def _burn(
        self, loan: bytes, sats: int, script: bytes, request: int, *, by: Role, at: Seconds
    ) -> tuple[Escrow, list[Command]]:
        pledge = self._contracts.pledge
        token = Token(
            minted=Sats(pledge.call("outstanding", loan)), held=Sats(pledge.call("held", loan))
        )
        told = Escrow(self._system(at=at), token=token)
        return told, [BurnTokens(by, at, request, Sats(sats), script.hex())]


def _book_commands(
    function: str, args: Sequence[Any], *, terms: Terms, by: Role, at: Seconds, room: Cents
) -> list[Command]:
    """What a call of EscrowBook asks of the core."""
    match function:
        case "open":
            return [Open(by, at)]
        case "open_and_draw":
            *_, sats, amount = args
            return [Open(by, at), TopUp(by, at, Sats(sats)), Draw(by, at, Cents(amount))]
        case "cancel":
            return [Cancel(by, at)]
        case "recovered":
            return [NoteRecovery(by, at)]
        case "refinance":
            return [Refinance(by, at, args[0])]
        case "top_up":
            return [TopUp(by, at, Sats(args[0]))]
        case "withdraw":
            return [Withdraw(by, at, Sats(args[0]))]
        case "draw":
            return [Draw(by, at, Cents(args[0]))]
        case "repay":
            return [Repay(by, at, Cents(args[0]))]
        case "close":
            return [Repay(by, at, ALL)]
        case "margin_call":
            return [MarginCall(by, at)]
        case "dispute":
            return [Dispute(by, at)]
        case "resolve":
            return [Resolve(by, at, bool(args[0]))]
        case "cure":
            return [Cure(by, at)]
        case "expire_call":
            return [ExpireCall(by, at, room=room)]
        case "take_over":
            return [Liquidate(by, at, Liquidation.TAKE_OVER)]
        case "liquidate":
            sale = (Liquidation.THIRD_PARTY, Liquidation.PARTIAL)
            kind = terms.liquidation if terms.liquidation in sale else Liquidation.THIRD_PARTY
            pay, least = args
            return [Liquidate(by, at, kind, pay=Cents(pay), least=Sats(least))]
        case "take":
            want, most = args
            return [Take(by, at, Sats(want), PriceE8(most), room=room)]
        case "redo":
            return [Redo(by, at, room=room)]
        case _:
            raise AssertionError(f"EscrowBook has no {function}")


def _price_command(function: str, args: Sequence[Any], *, by: Role, at: Seconds) -> Command:
    if function == "pause":
        return Pause(by, at, Seconds(args[0]))
    if function == "resume":
        return Resume(by, at)
    number, priced_at, reports = args
    prices = tuple(PriceE8(price) for price, _ in reports)
    return Mark(Role.ORACLE, at, number, prices, Seconds(priced_at))


def _ask(escrow: Escrow, commands: Iterable[Command]) -> None:
    """Raises what the first of them is refused with."""
    for command in commands:
        escrow = fold(escrow, decide(escrow, command))


def _told(refusal: Rejected, ask: Callable[[], None]) -> Rejected:
    """The core's no if it has the same code, else the contract's."""
    try:
        ask()
    except Rejected as told:
        if told.code == refusal.code:
            return told
    return refusal
