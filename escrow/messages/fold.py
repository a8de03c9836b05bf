"""From the events of a log to messages: what lender and borrower would have written each other.

Where the contract decides at once (a release, an excess withdrawn), request and answer carry the
same moment. Which event makes which message stands beside each case below.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from escrow.core.laws import Step
from escrow.core.phases import takes_collateral
from escrow.core.regions import loan as ln
from escrow.core.regions import token as tk
from escrow.core.regions import vault as vt
from escrow.core.regions.system import active_seconds
from escrow.core.roles import Role
from escrow.core.rules import ltv_up
from escrow.core.state import Incident
from escrow.core.terms import Terms
from escrow.core.units import Cents, Sats, Seconds
from escrow.messages import cdm, iso
from escrow.messages.iso_substitution import (
    Substitution,
    substitution_confirmation,
    substitution_request,
    substitution_response,
)
from escrow.messages.margin import Margin, Pact, margin_of
from escrow.messages.story import SHARED, Told
from escrow.messages.words import (
    FORMAT,
    NOTICE,
    TESTING,
    VERSION,
    Action,
    Answer,
    Body,
    Side,
    coins,
    identification,
    moment,
)
from escrow.words import percent, price

CDM: Final = "cdm"
"""What stands for a number of definition in the names of CDM's files."""
_REFUSED: Final = ("pledge/late", "pledge/below-minimum")
"""Incidents by which a coin does not become collateral."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, before it has a number."""

    definition: str
    """``colr.003`` and so on, or ``cdm``."""
    name: str
    """What the catalogue calls it."""
    sender: Side
    """Who writes."""
    at: Seconds
    """When."""
    log: int
    """Place in the log of the event that made it."""
    pact: Pact
    """Between whom."""
    body: Body
    """The message itself."""

    def file_name(self, number: int) -> str:
        """``0001-colr.003-MarginCallRequest.json``."""
        return f"{number:04d}-{self.definition}-{self.name}.json"

    def as_dict(self, number: int) -> Body:
        """The file: who wrote to whom about which loan, and the message."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "notice": NOTICE,
            "number": number,
            "definition": self.definition,
            "name": self.name,
            "at": moment(self.at),
            "loan": self.pact.loan,
            "log": self.log,
            "from": self.sender.value,
            "to": self.sender.other.value,
            "parties": {"lender": self.pact.lender, "borrower": self.pact.borrower},
            "body": self.body,
        }


def messages(told: Iterable[Told], *, currency: str = TESTING) -> Iterator[Message]:
    """Every message of every loan, in the order of the log.

    ``currency`` is what cents are told in. Raises BadInput("message/value") for no such code.
    """
    told = tuple(told)
    threads: dict[str, _Thread] = {}
    for each in told:
        event = each.step.event
        if each.loan == SHARED:
            continue
        if isinstance(event, ln.OfferMade):
            pact = _pact(each.loan, event.terms, at=event.at, currency=currency)
            threads[each.loan] = _Thread(pact, changes=_changes(told, each.loan))
        if each.loan in threads:
            yield from threads[each.loan].hear(each)


@dataclass(slots=True)
class _Thread:
    """The correspondence about one loan: what is open, so that later messages can refer to it."""

    pact: Pact
    changes: frozenset[str]
    """Outpoints that payouts of the vault gave back to it: nobody proposes those."""
    call: str = ""
    """Identification of the open margin call; empty if none is."""
    proposals: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Outpoint → identifications of its proposal and of the piece, until it is answered."""
    brought: dict[str, Sats] = field(default_factory=dict)
    """Coins that came while nothing was called, until tokens of that amount are pledged."""
    spare: dict[str, Sats] = field(default_factory=dict)
    """The same afterwards: in whose place as much may be taken back."""
    replaced: str = ""
    """The one that a withdrawal under way is for; empty if none is."""

    def hear(self, told: Told) -> Iterator[Message]:
        """What an event has somebody write; then, whether a call is still open."""
        yield from self._said(told)
        if not isinstance(told.step.after.loan, ln.Called):
            self.call = ""

    def _said(self, told: Told) -> Iterator[Message]:
        step, event = told.step, told.step.event
        match event:
            # T1: what may be pledged, at which haircut.
            case ln.OfferMade(terms=terms):
                yield self._eligible(told, terms)
            case ln.OfferAccepted(at=at):
                self.pact = replace(self.pact, agreed_at=at)
            # T33: under new terms, perhaps of another lender.
            case ln.Refinanced(at=at, terms=terms):
                self.pact = _pact(self.pact.loan, terms, at=at, currency=self.pact.currency)
                yield self._eligible(told, terms)
                yield from self._report(told)
            # T5, T11: a coin on its way is proposed, once; attested it is accepted, or refused.
            case vt.CoinSeen(outpoint=outpoint):
                if vt.find(step.before.vault, outpoint) is None and outpoint not in self.changes:
                    yield self._propose(told, outpoint, event.sats)
            case tk.Minted(outpoint=outpoint):
                late = not takes_collateral(step.after.loan)
                if isinstance(step.after.loan, ln.Active):
                    self.brought[outpoint] = event.sats
                yield from self._answer(told, outpoint, refused=_REFUSED[0] if late else None)
            case Incident(code=code, facts=facts) if code in _REFUSED:
                yield from self._answer(told, str(dict(facts).get("outpoint", "")), refused=code)
            # T34: as much as a coin brought since; it is there, so the old one may go.
            case ln.Withdrawn(sats=sats):
                self.replaced = next((o for o, s in self.spare.items() if s == sats), "")
                if self.replaced:
                    yield from self._substitute(told, sats)
            # T14: the call; T15: what answers it, and its end.
            case ln.MarginCalled(deadline=deadline):
                yield from self._call(told, deadline)
            case tk.TokensHeld(sats=sats) if isinstance(step.before.loan, ln.Active):
                self._note_spare(sats)
                yield from self._report(told)
            case tk.TokensHeld(sats=sats) if self.call:
                yield from self._deliver(told, sats, in_cash=False)
            # What somebody else pays is no answer of the borrower's: it shows in the report.
            case ln.Repayment(by=Role.BORROWER.value) if self.call:
                paid = Cents(event.interest + event.principal)
                yield from self._deliver(told, paid, in_cash=True)
            case ln.Repayment() if isinstance(step.after.loan, ln.Repaid) and step.after.token.held:
                # The release follows at once, and with it the report.
                return
            # T35: the rest of the call is disputed; it stands and is sent again, or is void.
            case ln.Disputed():
                yield from self._dispute(told)
            case ln.Resolved(upheld=False, deadline=deadline):
                yield from self._call(told, deadline)
            # T12, T24 to T27: what is released goes back; what is seized shows in the report.
            case tk.TokensFreed(released=released):
                if released and not self.replaced:
                    yield from self._return(told, released)
                self.replaced = ""
                yield from self._report(told)
            case (
                ln.Drawn()
                | ln.Repayment()
                | ln.CallCured()
                | ln.CallExpired()
                | ln.Resolved()
                | tk.TokensHeld()
                | tk.Retired()
                | ln.LoanRecovered()
                | ln.LoanEnded()
            ):
                yield from self._report(told)
            case _:
                # Signatures, blocks, payouts and the clock are the chains' and the audit log's.
                return

    def _message(self, told: Told, definition: str, name: str, sender: Side, body: Body) -> Message:
        at = told.step.event.at
        return Message(definition, name, sender, at, told.log, self.pact, body)

    def _colr(self, told: Told, definition: str, sender: Side, body: Body) -> Message:
        return self._message(told, definition, iso.NAMES[definition], sender, body)

    def _id(self, told: Told, definition: str) -> str:
        return identification(self.pact.loan, log=told.log, definition=definition)

    def _eligible(self, told: Told, terms: Terms) -> Message:
        body = cdm.eligible_collateral(self.pact, terms)
        return self._message(told, CDM, "EligibleCollateralSpecification", Side.LENDER, body)

    def _propose(self, told: Told, outpoint: str, sats: Sats) -> Message:
        margin, id = _after(told), self._id(told, "colr.007")
        piece = iso.piece_of(outpoint, sats=sats, margin=margin)
        self.proposals[outpoint] = (id, piece.id)
        body = iso.collateral_proposal(
            self.pact,
            margin,
            id=id,
            request=self.call or None,
            agreed=Cents(min(margin.call, piece.counted or 0)) if self.call else Cents(0),
            piece=piece,
        )
        return self._colr(told, "colr.007", Side.BORROWER, body)

    def _answer(self, told: Told, outpoint: str, *, refused: str | None) -> Iterator[Message]:
        if outpoint not in self.proposals:
            return
        proposal, piece = self.proposals.pop(outpoint)
        body = iso.collateral_proposal_response(
            self.pact,
            at=told.step.event.at,
            id=self._id(told, "colr.008"),
            proposal=proposal,
            piece=piece,
            refused=refused,
        )
        yield self._colr(told, "colr.008", Side.LENDER, body)

    def _call(self, told: Told, deadline: Seconds) -> Iterator[Message]:
        margin, at = _after(told), told.step.event.at
        self.call = self._id(told, "colr.003")
        left = deadline - active_seconds(told.step.after.system, at=at)
        yield from self._ask(
            told,
            margin,
            due=margin.call,
            back=False,
            until=Seconds(at + left),
            info=f"{_state(told.step, margin)}; {left} active seconds to cure",
            id=self.call,
        )

    def _ask(
        self,
        told: Told,
        margin: Margin,
        *,
        due: Cents,
        back: bool,
        until: Seconds,
        info: str,
        id: str,
    ) -> Iterator[Message]:
        sender = Side.BORROWER if back else Side.LENDER
        issued = cdm.margin_call_issuance(self.pact, margin, call=id, due=due, sender=sender)
        yield self._message(told, CDM, "MarginCallIssuance", sender, issued)
        body = iso.margin_call_request(
            self.pact, margin, id=id, due=due, back=back, until=until, info=info
        )
        yield self._colr(told, "colr.003", sender, body)

    def _respond(
        self,
        told: Told,
        margin: Margin,
        *,
        request: str,
        agreed: Cents,
        answer: Answer,
        back: bool,
        moved: Sats | Cents,
        in_cash: bool,
        info: str,
    ) -> Iterator[Message]:
        sender = Side.LENDER if back else Side.BORROWER
        said = cdm.margin_call_response(
            self.pact,
            margin,
            call=request,
            agreed=agreed,
            answer=answer,
            action=Action.RETURN if back else Action.DELIVERY,
            moved=moved,
            in_cash=in_cash,
            sender=sender,
        )
        yield self._message(told, CDM, "MarginCallResponse", sender, said)
        body = iso.margin_call_response(
            self.pact,
            margin,
            id=self._id(told, "colr.004"),
            request=request,
            agreed=agreed,
            answer=answer,
            back=back,
            info=info,
        )
        yield self._colr(told, "colr.004", sender, body)

    def _deliver(self, told: Told, moved: Sats | Cents, *, in_cash: bool) -> Iterator[Message]:
        """Collateral or money in answer to the call: in full if nothing is missing afterwards."""
        before, after = _before(told), _after(told)
        value = Cents(moved) if in_cash else Cents(after.collateral - before.collateral)
        yield from self._respond(
            told,
            after,
            request=self.call,
            agreed=Cents(min(before.call, value)),
            answer=Answer.PART if after.call else Answer.FULL,
            back=False,
            moved=moved,
            in_cash=in_cash,
            info="repaid" if in_cash else f"{coins(moved)} BTC pledged",
        )

    def _dispute(self, told: Told) -> Iterator[Message]:
        margin = _after(told)
        yield from self._respond(
            told,
            margin,
            request=self.call,
            agreed=Cents(0),
            answer=Answer.DISPUTE,
            back=False,
            moved=Sats(0),
            in_cash=False,
            info="the rest of the call is disputed",
        )
        body = iso.dispute_notification(
            self.pact,
            at=margin.at,
            id=self._id(told, "colr.009"),
            request=self.call,
            disputed=margin.call,
        )
        yield self._colr(told, "colr.009", Side.LENDER, body)

    def _return(self, told: Told, released: Sats) -> Iterator[Message]:
        margin, id = _after(told), self._id(told, "colr.003")
        value = margin.counted(released)
        info = f"{coins(released)} BTC released"
        yield from self._ask(told, margin, due=value, back=True, until=margin.at, info=info, id=id)
        yield from self._respond(
            told,
            margin,
            request=id,
            agreed=value,
            answer=Answer.FULL,
            back=True,
            moved=released,
            in_cash=False,
            info=info,
        )

    def _note_spare(self, sats: Sats) -> None:
        outpoint = next((o for o, s in self.brought.items() if s == sats), "")
        if outpoint:
            self.spare[outpoint] = self.brought.pop(outpoint)

    def _substitute(self, told: Told, sats: Sats) -> Iterator[Message]:
        """The withdrawal is the request, and the contract's answer: the new piece is there, so the
        old one is released at once."""
        margin, at = _before(told), told.step.event.at
        new = iso.piece_of(self.replaced, sats=self.spare.pop(self.replaced), margin=margin)
        change = Substitution(
            self.pact,
            at,
            self._id(told, "colr.010"),
            returned=(iso.piece_of_vault(self.pact, sats=sats, margin=margin),),
            delivered=(new,),
            required=margin.counted(sats),
            haircut=margin.haircut,
        )
        yield self._colr(told, "colr.010", Side.BORROWER, substitution_request(change))
        change, answer = replace(change, accepted=True, received=True), self._id(told, "colr.011")
        said = substitution_response(change, id=answer)
        yield self._colr(told, "colr.011", Side.LENDER, said)
        said = substitution_confirmation(
            change, id=self._id(told, "colr.012"), response=answer, returned=True
        )
        yield self._colr(told, "colr.012", Side.LENDER, said)

    def _report(self, told: Told) -> Iterator[Message]:
        """None before the first price: there is no value to report."""
        margin = _after(told)
        if margin.price is not None:
            body = iso.collateral_report(self.pact, margin, id=self._id(told, "colr.016"))
            yield self._colr(told, "colr.016", Side.LENDER, body)


def _pact(loan: str, terms: Terms, *, at: Seconds, currency: str) -> Pact:
    return Pact(loan, terms.lender, terms.borrower, terms.vault, at, currency)


def _changes(told: tuple[Told, ...], loan: str) -> frozenset[str]:
    """What payouts gave back to the vault. The watcher may see such a coin before the payout."""
    return frozenset(
        vt.change_of(each.step.event.payout)
        for each in told
        if each.loan == loan and isinstance(each.step.event, vt.PayoutSent | vt.PayoutReplaced)
    )


def _before(told: Told) -> Margin:
    return margin_of(told.step.before, at=told.step.event.at)


def _after(told: Told) -> Margin:
    return margin_of(told.step.after, at=told.step.event.at)


def _state(step: Step, margin: Margin) -> str:
    """What the call was decided on, for people."""
    assert margin.price is not None, "a call needs a price"
    terms = step.after.loan
    ratio = percent(ltv_up(margin.exposure, sats=margin.held, price=margin.price.price))
    level = percent(terms.terms.call_ltv) if isinstance(terms, ln.Called) else "-"
    return (
        f"loan-to-value {ratio}, call level {level}, price {price(margin.price.price)} "
        f"of round {margin.price.round}"
    )
