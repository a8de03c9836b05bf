"""Any order of any command where rules are asked, and rules and facts change: all laws hold, and
nothing passes a gate that a list of who is let in, kept beside, would not let through."""

from __future__ import annotations

from collections import Counter

from hypothesis import Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from escrow.core.decide import Command
from escrow.core.eligibility import Fact, Force, Gate, Op, Predicate, Rule, RuleBook, Status
from escrow.core.errors import Rejected
from escrow.core.laws import Step
from escrow.core.regions.loan import OfferMade
from escrow.core.regions.register import ProfileSwitched, Purpose, TransferCleared
from escrow.core.regions.token import TokensHeld
from escrow.core.roles import Role
from escrow.core.units import COIN, DAY, HOUR, Sats, Seconds
from escrow.core.verbs.attest import Attest
from escrow.core.verbs.switch_profile import SwitchProfile
from escrow.core.verbs.top_up import TopUp
from escrow.core.verbs.transfer import Transfer
from escrow.testing import EscrowMachine, dump, load
from escrow.testing.draws import BY, WAIT
from escrow.testing.machine import STARTS

BORROWER, LENDER, BUYER = "0x" + "b0" * 20, "0x" + "1e" * 20, "0x" + "bb" * 20
LET_IN = "let_in"


def book(version: int, *gates: Gate) -> RuleBook:
    """Each gate asks whether the one it judges is let in."""
    rules = tuple(
        Rule(
            id=f"test/{gate.value}",
            gates=(gate,),
            needs=Predicate(Op.IS, LET_IN, value=True),
            reason="not let in",
            status=Status.ASSUMED,
            source="of this test",
        )
        for gate in gates
    )
    return RuleBook("test", version, Force.IN_FORCE, rules)


OPEN, SHUT = book(1), book(2, *Gate)
HALF = book(3, Gate.TOP_UP, Gate.TRANSFER)
PARTIES = st.sampled_from((BORROWER, BORROWER, LENDER, BUYER))


class RuledMachine(EscrowMachine):
    """Most stories begin under a book that asks, with a borrower that is let in for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.let_in: dict[str, tuple[bool, int]] = {}
        """By address: what was attested last, and up to when."""
        self.seen: Counter[str] = Counter()

    @initialize(data=st.data(), stage=st.sampled_from(STARTS), under=st.sampled_from((SHUT, HALF)))
    def start(self, *, data: st.DataObject, stage: str, under: RuleBook) -> None:  # type: ignore[override]
        self.switch(wait=0, by=None, to=under)
        self.attest(wait=0, by=None, party=BORROWER, value=True, span=30 * DAY)
        super().start(data=data, stage=stage)

    @rule(
        wait=WAIT,
        by=BY,
        party=PARTIES,
        value=st.booleans(),
        span=st.sampled_from((30 * DAY, DAY, HOUR, 0, -1)),
    )
    def attest(self, *, wait: int, by: Role | None, party: str, value: bool, span: int) -> None:
        at = self._later(wait)
        facts, until = (Fact(LET_IN, value),), Seconds(at + span)
        if self.ask(Attest(by or Role.REGISTRAR, at, party, facts, until)) is None:
            self.let_in[party] = value, until

    @rule(wait=WAIT, by=BY, to=st.sampled_from((OPEN, SHUT, HALF)))
    def switch(self, *, wait: int, by: Role | None, to: RuleBook) -> None:
        self.ask(SwitchProfile(by or Role.REGISTRAR, self._later(wait), to))

    @rule(
        wait=WAIT,
        sender=PARTIES,
        receiver=PARTIES,
        sats=st.sampled_from((COIN, 1, 0)),
        purpose=st.sampled_from(Purpose),
    )
    def transfer(
        self, *, wait: int, sender: str, receiver: str, sats: int, purpose: Purpose
    ) -> None:
        at = self._later(wait)
        self.ask(Transfer(Role.STRANGER, at, sender, receiver, Sats(sats), purpose))

    def on_event(self, step: Step) -> None:
        register, event = step.before.register, step.event
        self.seen[type(event).__name__] += 1
        match event:
            case OfferMade():
                self._passes(register.book, Gate.OFFER, BORROWER, at=event.at)
            case TransferCleared():
                self._passes(register.book, Gate.TRANSFER, event.receiver, at=event.at)
            case TokensHeld() if isinstance(self.history[-1], TopUp):
                # At a top-up the loan's own book counts, whatever came after it.
                self._passes(step.before.book, Gate.TOP_UP, BORROWER, at=event.at, or_first=True)
            case ProfileSwitched():
                assert event.book != register.book

    def _passes(
        self, asked: RuleBook | None, gate: Gate, party: str, *, at: int, or_first: bool = False
    ) -> None:
        gates = {each for rule in asked.rules for each in rule.gates} if asked else set()
        value, until = self.let_in.get(party, (False, 0))
        shut = gate in gates and not (or_first and asked is HALF)
        assert not shut or (value and at <= until), f"{party} passed {gate.value}"

    def on_refusal(self, command: Command, refusal: Rejected) -> None:  # noqa: ARG002
        self.seen[refusal.code] += 1


def test_no_law_breaks_and_nobody_passes_a_gate_that_is_shut() -> None:
    run_state_machine_as_test(
        RuledMachine, settings=settings(max_examples=60, stateful_step_count=30)
    )


def test_the_machine_meets_its_gates() -> None:
    """Batches with seeds of their own, until everything was met."""
    total: Counter[str] = Counter()

    class Counted(RuledMachine):
        def teardown(self) -> None:
            total.update(self.seen)

    batch = settings(
        max_examples=30, stateful_step_count=30, database=None, phases=(Phase.generate,)
    )
    wanted = {"Attested", "ProfileSwitched", "TransferCleared", "OfferedUnder", "TokensHeld"}
    wanted |= {"eligibility/denied", "attest/not-registrar", "attest/until", "profile/unchanged"}
    for number in range(16):
        run_state_machine_as_test(seed(number)(Counted), settings=batch)
        if total.keys() >= wanted:
            break
    assert total.keys() >= wanted, f"never met: {sorted(wanted - total.keys())}"


def test_what_the_machine_asks_is_written_and_read_again() -> None:
    at = Seconds(1_700_000_000)
    story: tuple[Command, ...] = (
        SwitchProfile(Role.REGISTRAR, at, SHUT),
        Attest(
            Role.REGISTRAR,
            at,
            BORROWER,
            (Fact("let_in", True), Fact("kwh", 6_000), Fact("class", "individual")),
            at,
        ),
        Transfer(Role.STRANGER, at, BORROWER, LENDER, Sats(1), Purpose.PAYMENT),
    )
    assert load(dump(story)) == story
