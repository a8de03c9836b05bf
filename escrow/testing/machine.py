"""The state machine: small rules that build one command each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from escrow.core.decide import Command
from escrow.core.due import Effect, PayBurns, SweepVault, due
from escrow.core.errors import CODES, Rejected
from escrow.core.laws import Step
from escrow.core.payouts import STUCK_AFTER
from escrow.core.phases import backing, debt_now, loan_phase
from escrow.core.regions.loan import (
    Accepted,
    Called,
    Draft,
    Ended,
    Indebted,
    Offered,
    Refinanced,
)
from escrow.core.regions.servicing import ServicingPlan
from escrow.core.regions.system import MAX_PAUSE, active_seconds, is_jump, stale_from
from escrow.core.regions.token import free
from escrow.core.regions.vault import Coin, Payout, change_of, find, locked
from escrow.core.roles import Role
from escrow.core.rules import interest_due
from escrow.core.servicing import default_from, unpaid_since
from escrow.core.state import Escrow
from escrow.core.terms import MIN_DEPOSIT, Liquidation, Terms
from escrow.core.units import (
    BPS,
    CENTS_SCALE,
    COIN,
    HOUR,
    MAX_CENTS,
    MAX_PRICE,
    Bps,
    Cents,
    PriceE8,
    Sats,
    Seconds,
    muldiv_down,
    muldiv_up,
)
from escrow.core.verbs.accept import Accept
from escrow.core.verbs.assess import Assess
from escrow.core.verbs.auction import Redo, Take
from escrow.core.verbs.burn import BurnTokens
from escrow.core.verbs.cancel import Cancel
from escrow.core.verbs.cure import Cure
from escrow.core.verbs.declare_default import DeclareDefault
from escrow.core.verbs.dispute import Dispute, Resolve
from escrow.core.verbs.draw import Draw
from escrow.core.verbs.expire_call import ExpireCall
from escrow.core.verbs.impair import Impair, LiftImpairment
from escrow.core.verbs.lapse import Lapse
from escrow.core.verbs.liquidate import Liquidate
from escrow.core.verbs.margin_call import MarginCall
from escrow.core.verbs.mark import Mark
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.notice import Notice
from escrow.core.verbs.offer import Offer
from escrow.core.verbs.open import Open
from escrow.core.verbs.pause import Pause, Resume
from escrow.core.verbs.payout import SawPayout, SawPayoutDepth, SawPayoutStuck, SawPayoutVoid
from escrow.core.verbs.pledge import SawCoin, SawCoinGone
from escrow.core.verbs.recover import NoteRecovery, SawRecovery
from escrow.core.verbs.refinance import Refinance
from escrow.core.verbs.rekey import Rekey, SawGeneration
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.retire import Retire
from escrow.core.verbs.tick import Tick
from escrow.core.verbs.top_up import TopUp
from escrow.core.verbs.withdraw import Withdraw
from escrow.sim.respond import BURIED, pay_burns, respond, sweep_of
from escrow.testing.draws import (
    AGREED,
    BY,
    DEPTH,
    NEAR,
    PAR,
    PICK,
    SCRIPTS,
    SEES,
    START,
    UNSOUND,
    WAIT,
    platform,
    price_at,
    some_plans,
    some_terms,
)
from escrow.testing.play import dump, play

STAGES: Final = {
    phase: place
    for place, phase in enumerate(
        (
            "DRAFT",
            "OFFERED",
            "ACCEPTED",
            "AWAITING_COLLATERAL",
            "COLLATERAL_CONFIRMING",
            "SECURED",
            "ACTIVE",
            "MARGIN_CALL",
        )
    )
}
"""Where a phase stands on the way to money."""
STARTS: Final = (
    "ACTIVE",
    "MARGIN_CALL",
    "ACTIVE",
    "SECURED",
    "RELEASING",
    "REKEYED",
    "OUTLASTED",
    "RECOVERABLE",
    "OVERDUE",
    "SOLD",
    "OFFERED",
    "AWAITING_COLLATERAL",
    "DRAFT",
)
"""Where stories start: most of them with money lent, one with a payout under way, one with coins
at an address whose keys were replaced, one with a call whose time is up, one at the recovery
time, one with a payment missed if any was to be made, one with collateral sold at the level at
which it may be."""


class EscrowMachine(RuleBasedStateMachine):
    """Any order of any command by anyone, on a world that reorganises; every law, every event.

    A refusal must leave the state as it was and carry a code of the catalogue. What ``due``
    says is owed, a perfect world must be able to do (rules ``perform`` and ``settle``)::

        from escrow.testing import EscrowMachine

        class MyMachine(EscrowMachine):
            def on_event(self, step):  # after every accepted event
                self.note_in_my_ledger(step.event)

            @invariant()
            def my_ledger_agrees(self):
                assert self.my_ledger.debt == debt_now(self.escrow, at=self.now)

        TestMine = MyMachine.TestCase

    Hooks: ``terms`` (which terms are offered), ``on_event``, ``on_refusal``. ``history`` holds the
    commands so far; a failure carries them as JSON.
    """

    def __init__(self) -> None:
        super().__init__()
        self.escrow = Escrow(platform())
        self.now = START
        self.plan: ServicingPlan | None = None
        self.offered: Terms
        self.history: list[Command] = []
        self.transitions: Counter[tuple[str, str, str]] = Counter()
        """(phase before, event, phase after) → how often it was accepted."""
        self.refusals: Counter[str] = Counter()
        """Code → how often it was given."""

    def terms(self) -> st.SearchStrategy[Terms]:
        """Hook: the terms that lenders offer. They must be sound on the clock of ``platform``."""
        return some_terms()

    def plans(self, terms: Terms) -> st.SearchStrategy[ServicingPlan | None]:
        """Hook: what is agreed beside the terms, if anything. It must be sound beside them."""
        plans = some_plans(terms)
        return plans | plans | st.none()

    def on_event(self, step: Step) -> None:
        """Hook: called after every accepted event, when all laws were found to hold."""

    def on_refusal(self, command: Command, refusal: Rejected) -> None:
        """Hook: called after every refusal, when the state was found unchanged."""

    def ask(self, command: Command, *, fact: bool = False) -> Rejected | None:
        """Play one command. Answers the refusal, if the rules refused."""
        self.history.append(command)
        self.now = max(self.now, command.at)
        before, mark = self.escrow, hash(self.escrow)
        refusal = None
        try:
            self.escrow = play(before, command, fact=fact, on_event=self._count)
        except Rejected as error:
            refusal = error
        except BaseException as error:
            error.add_note(dump(self.history))
            raise
        if refusal is not None:
            assert refusal.code in CODES, f"{refusal.code} is not in the catalogue"
            assert self.escrow is before, "a refusal changed the state"
            assert hash(before) == mark, "a refusal changed the state"
            self.refusals[refusal.code] += 1
            self.on_refusal(command, refusal)
        return refusal

    def _count(self, step: Step) -> None:
        phases = loan_phase(step.before), loan_phase(step.after)
        self.transitions[phases[0], type(step.event).__name__, phases[1]] += 1
        if isinstance(step.event, Refinanced):
            self.offered = step.event.terms
        self.on_event(step)

    def _later(self, wait: int) -> Seconds:
        return Seconds(self.now + wait)

    def _coin(self, pick: int) -> Coin | None:
        coins = self.escrow.vault.coins
        return coins[-1 - pick % len(coins)] if coins else None

    @initialize(data=st.data(), stage=st.sampled_from(STARTS))
    def start(self, data: st.DataObject, stage: str) -> None:
        """Terms are drawn; the deal is led to where the story starts."""
        self.offered = data.draw(self.terms())
        self.plan = data.draw(self.plans(self.offered))
        for _ in STAGES:
            goal = min(STAGES.get(stage, len(STAGES)), STAGES["ACTIVE"])
            if STAGES.get(loan_phase(self.escrow), 0) < goal:
                self.go_on()
        if stage == "RELEASING":
            self.repay(wait=0, by=None, what="all", near=0)
            self.burn(wait=0, by=None, sats="half", near=0, script=SCRIPTS[0])
            for effect in due(self.escrow):
                if isinstance(effect, PayBurns):
                    self._do(effect)
        if stage in ("MARGIN_CALL", "OUTLASTED"):
            self.squeeze(level="call_ltv", near=0, then=False)
        if stage == "OUTLASTED":
            self.outlast(level="call_ltv", near=1, then=False)
        if stage == "OVERDUE":
            self.miss()
        if stage == "SOLD":
            self.squeeze(level="liquidation_ltv", near=0, then=False)
            self.liquidate(wait=0, by=None, kind=None, part=None, near=0)
        if stage == "RECOVERABLE":
            self.wait_until(moment="recover_at", near=0)
        if stage == "REKEYED":
            self.another_coin(wait=0, sats=COIN, near=0)
            self._rekey(self.now, by=Role.OPERATOR)

    @rule()
    def go_on(self) -> None:
        """The parties take the next step on the way to money, if there is one."""
        at, escrow = self.now, self.escrow
        match loan_phase(escrow):
            case "DRAFT":
                self.ask(Offer(Role.LENDER, at, self.offered, self.plan))
            case "OFFERED":
                self.ask(Accept(Role.BORROWER, at))
            case "ACCEPTED":
                self.ask(Open(Role.OPERATOR, at))
            case "AWAITING_COLLATERAL" | "COLLATERAL_CONFIRMING":
                outpoint = f"coin-{len(self.history)}:0"
                self.ask(SawCoin(Role.WATCHER, at, outpoint, Sats(COIN), BURIED, height=1))
                self.ask(Mint(Role.ATTESTOR, at, outpoint, Sats(COIN)))
                self.ask(TopUp(Role.BORROWER, at, Sats(COIN)))
            case "SECURED":
                self._mark(self._later(1), "par", 0)
                self.ask(Draw(Role.BORROWER, self.now, self._most_drawn()))
            case _:
                pass

    def _most_drawn(self) -> Cents:
        """What the initial level still allows at the last price, within the principal."""
        price = self.escrow.system.price
        worth = self.escrow.token.held * (price.price if price else 0)
        allowed = muldiv_down(worth, self.offered.initial_ltv, CENTS_SCALE * BPS)
        debt = debt_now(self.escrow, at=self.now)
        return Cents(min(allowed - debt, self.offered.principal - debt))

    # Time and chains.

    @rule(wait=WAIT, by=BY)
    def tick(self, *, wait: int, by: Role | None) -> None:
        self.ask(Tick(by or Role.WATCHER, self._later(wait)))

    @rule(
        moment=st.sampled_from(
            (
                "stale",
                "resumed",
                "deadline",
                "expires_at",
                "draw_by",
                "maturity",
                "default",
                "recover_at",
            )
        ),
        near=NEAR,
    )
    def wait_until(self, *, moment: str, near: int) -> None:
        """Go to just before, at, or just after a moment that some rule names."""
        system, loan = self.escrow.system, self.escrow.loan
        if moment == "stale":
            then = int(stale_from(system))
        elif moment == "resumed":
            then = system.pause.until if system.pause else self.now
        elif moment == "deadline":
            missing = (
                loan.deadline - active_seconds(system, at=self.now)
                if isinstance(loan, Called)
                else 0
            )
            then = self.now + missing
        elif moment == "default":
            then = self.offered.maturity + self.offered.grace
        else:
            then = getattr(self.offered, moment)
        self.ask(Tick(Role.WATCHER, Seconds(max(self.now, then + near))))

    @rule(
        wait=WAIT,
        by=SEES,
        sats=st.sampled_from((COIN, MIN_DEPOSIT, COIN // 3)),
        near=NEAR,
        depth=DEPTH,
    )
    def deposit(self, *, wait: int, by: Role | None, sats: int, near: int, depth: int) -> None:
        outpoint = f"coin-{len(self.history)}:0"
        at = self._later(wait)
        seen = SawCoin(by or Role.WATCHER, at, outpoint, Sats(sats + near), depth, height=1)
        self.ask(seen, fact=by is None)

    @rule(wait=WAIT, pick=PICK, depth=DEPTH, height=st.integers(1, 2))
    def bury(self, *, wait: int, pick: int, depth: int, height: int) -> None:
        """A block on top of a coin, or a reorganisation under it."""
        if coin := self._coin(pick):
            at = self._later(wait)
            self.ask(SawCoin(Role.WATCHER, at, coin.outpoint, coin.sats, depth, height), fact=True)

    @rule(wait=WAIT, by=SEES, pick=PICK)
    def lose(self, *, wait: int, by: Role | None, pick: int) -> None:
        """A double spend below a coin."""
        if coin := self._coin(pick):
            gone = SawCoinGone(by or Role.WATCHER, self._later(wait), coin.outpoint, "theft")
            self.ask(gone, fact=by is None)

    @rule(
        wait=WAIT,
        sats=st.sampled_from((COIN, 2 * MIN_DEPOSIT)),
        near=st.sampled_from((0, 0, 1, -1)),
    )
    def another_coin(self, *, wait: int, sats: int, near: int) -> None:
        """One more coin, final and minted for, or nearly; its tokens stay free."""
        at, outpoint = self._later(wait), f"coin-{len(self.history)}:0"
        self.ask(SawCoin(Role.WATCHER, at, outpoint, Sats(sats), BURIED, height=1))
        self.ask(Mint(Role.ATTESTOR, at, outpoint, Sats(sats + near)))

    @rule(
        wait=WAIT,
        by=SEES,
        coins=st.integers(1, 7),
        burns=st.sampled_from(((0,), (0,), (0, 1), (1,), (0, 0))),
        fee=st.sampled_from((0, 0, 0, 1, -1)),
        most=st.sampled_from((False, False, False, True)),
        near=st.sampled_from((0, 0, 0, 0, 1, -1)),
    )
    def spend(
        self,
        *,
        wait: int,
        by: Role | None,
        coins: int,
        burns: tuple[int, ...],
        fee: int,
        most: bool,
        near: int,
    ) -> None:
        """Some spend of some coins for some burns: right, or a lie in one place."""
        escrow = self.escrow
        inputs = [c for i, c in enumerate(reversed(escrow.vault.coins)) if coins >> i & 1]
        newest = [burn.id for burn in reversed(escrow.token.burns)]
        payout = pay_burns(
            escrow,
            txid=f"spend-{len(self.history)}",
            coins=inputs,
            burns=[newest[i] for i in burns if i < len(newest)],
            fee=Sats(fee + self.offered.max_fee * most),
        )
        payout = replace(payout, change=Sats(payout.change + near))
        self.ask(SawPayout(by or Role.WATCHER, self._later(wait), payout), fact=by is None)

    @rule(
        wait=WAIT,
        by=SEES,
        pick=PICK,
        depth=DEPTH,
        fate=st.sampled_from(("deep", "deep", "stuck", "stuck", "void")),
    )
    def bury_payout(self, *, wait: int, by: Role | None, pick: int, depth: int, fate: str) -> None:
        """Blocks on a payout, a reorganisation under it, blocks beside it, or a double spend."""
        who, at, txid = by or Role.WATCHER, self._later(wait), self._sent(pick)
        seen: Command
        match fate:
            case "stuck":
                waits = [p.txid for p in self.escrow.vault.payouts if not p.final]
                txid = waits[-1] if waits else txid
                seen = SawPayoutStuck(who, at, txid, STUCK_AFTER - 1 + depth)
            case "void":
                seen = SawPayoutVoid(who, at, txid, "theft")
            case _:
                seen = SawPayoutDepth(who, at, txid, depth)
        self.ask(seen, fact=by is None)

    @rule(
        wait=WAIT,
        by=SEES,
        pick=PICK,
        more=st.sampled_from((1, 1, 2_000, 0, -1)),
        fewer=st.sampled_from((0, 0, 0, 1)),
        near=st.sampled_from((0, 0, 0, 0, 1, -1)),
        blocks=st.sampled_from((0, STUCK_AFTER)),
    )
    def bump(
        self,
        *,
        wait: int,
        by: Role | None,
        pick: int,
        more: int,
        fewer: int,
        near: int,
        blocks: int,
    ) -> None:
        """Another payout takes the coins of one, stuck or not: dearer, or not; perhaps without its
        last payee."""
        escrow = self.escrow
        old = next((p for p in escrow.vault.payouts if p.txid == self._sent(pick)), None)
        if old is not None:
            self.ask(SawPayoutStuck(Role.WATCHER, self.now, old.txid, blocks), fact=True)
            new = pay_burns(
                escrow,
                txid=f"bump-{len(self.history)}",
                coins=[coin for coin in escrow.vault.coins if coin.outpoint in old.inputs],
                burns=[burn_id for burn_id, _ in old.paid[: len(old.paid) - fewer]],
                fee=Sats(old.fee + more),
            )
            new = replace(new, change=Sats(new.change + near))
            self.ask(SawPayout(by or Role.WATCHER, self._later(wait), new), fact=by is None)

    def _sent(self, pick: int) -> str:
        sent = self.escrow.vault.payouts
        return sent[-1 - pick % len(sent)].txid if sent else "unheard-of"

    # Coins that move within the vault, and a vault whose keys are replaced.

    def _move(
        self, coins: Sequence[Coin], *, at: Seconds, by: Role | None = None, keeps: int = 0
    ) -> Payout:
        """These coins become one, less what somebody ``keeps``; it is buried where told."""
        payout = sweep_of(coins, txid=f"sweep-{len(self.history)}")
        payout = replace(payout, change=Sats(payout.change - keeps))
        self.ask(SawPayout(by or Role.WATCHER, at, payout), fact=by is None)
        return payout

    def _bury(self, payout: Payout, depth: int) -> None:
        """Both the payout, if the rules know it, and what it gives back, or nothing at all."""
        if any(known.txid == payout.txid for known in self.escrow.vault.payouts):
            at, back = self.now, change_of(payout)
            self.ask(SawCoin(Role.WATCHER, at, back, payout.change, depth, height=1), fact=True)
            self.ask(SawPayoutDepth(Role.WATCHER, at, payout.txid, depth), fact=True)

    @rule(
        wait=WAIT,
        by=SEES,
        what=st.sampled_from(("backing", "backing", "locked", "any")),
        coins=st.integers(1, 7),
        keeps=st.sampled_from((0, 0, 0, 0, 0, 1, -1)),
        fee=st.sampled_from((0, 0, 0, 0, 0, 0, 1)),
        depth=DEPTH,
    )
    def consolidate(
        self, *, wait: int, by: Role | None, what: str, coins: int, keeps: int, fee: int, depth: int
    ) -> None:
        """Coins are gathered into one and nobody is paid: right, or a sat goes elsewhere."""
        vault = self.escrow.vault
        able = {"backing": backing(self.escrow), "locked": locked(vault), "any": vault.coins}[what]
        inputs = [coin for i, coin in enumerate(reversed(able)) if coins >> i & 1]
        payout = sweep_of(inputs, txid=f"sweep-{len(self.history)}")
        payout = replace(payout, fee=Sats(fee), change=Sats(payout.change - fee - keeps))
        self.ask(SawPayout(by or Role.WATCHER, self._later(wait), payout), fact=by is None)
        self._bury(payout, depth)

    @rule(
        wait=WAIT,
        by=SEES,
        pick=PICK,
        more=st.integers(0, 3),
        fewer=st.integers(0, 1),
        keeps=st.sampled_from((0, 0, 0, 0, 1)),
        depth=DEPTH,
    )
    def gather_instead(
        self,
        *,
        wait: int,
        by: Role | None,
        pick: int,
        more: int,
        fewer: int,
        keeps: int,
        depth: int,
    ) -> None:
        """A sweep takes coins of what was sent, payout or sweep; perhaps others too, or not all."""
        escrow, txid = self.escrow, self._sent(pick)
        old = next((p for p in escrow.vault.payouts if p.txid == txid), None)
        if old is not None:
            others = [c for i, c in enumerate(reversed(backing(escrow))) if more >> i & 1]
            taken = [c for c in escrow.vault.coins if c.outpoint in old.inputs[fewer:]]
            payout = self._move([*taken, *others], at=self._later(wait), by=by, keeps=keeps)
            self._bury(payout, depth)

    @rule(
        wait=WAIT,
        by=SEES,
        pick=PICK,
        burns=st.integers(1, 2),
        fee=st.sampled_from((0, 1, 2_000)),
        depth=DEPTH,
    )
    def pay_instead(
        self, *, wait: int, by: Role | None, pick: int, burns: int, fee: int, depth: int
    ) -> None:
        """A payout takes the coins of a sweep that nothing is built on."""
        escrow = self.escrow
        sweeps = [p for p in escrow.vault.payouts if not p.paid]
        ids = [burn.id for burn in escrow.token.burns][-burns:]
        if sweeps and ids:
            old = sweeps[-1 - pick % len(sweeps)]
            inputs = [coin for coin in escrow.vault.coins if coin.outpoint in old.inputs]
            txid = f"instead-{len(self.history)}"
            payout = pay_burns(escrow, txid=txid, coins=inputs, burns=ids, fee=Sats(fee))
            self.ask(SawPayout(by or Role.WATCHER, self._later(wait), payout), fact=by is None)
            if payout.change > 0:
                self._bury(payout, depth)

    @rule(wait=WAIT, dig=st.sampled_from((0, 1)), thief=st.booleans(), again=st.booleans())
    def undo_sweep(self, *, wait: int, dig: int, thief: bool, again: bool) -> None:
        """A reorganisation takes the newest sweep and what it gave back; it is void, or returns."""
        sweeps = [p for p in self.escrow.vault.payouts if not p.paid]
        if sweeps:
            at, old = self._later(wait), sweeps[-1]
            back = change_of(old)
            self.ask(SawCoin(Role.WATCHER, at, back, old.change, dig, height=2), fact=True)
            self.ask(SawPayoutDepth(Role.WATCHER, at, old.txid, dig), fact=True)
            spender = "theft" if thief else ""
            if again:
                self._bury(old, BURIED)
                return
            self.ask(SawPayoutVoid(Role.WATCHER, at, old.txid, spender), fact=True)
            if thief and (coin := find(self.escrow.vault, old.inputs[0])):
                gone = SawCoinGone(Role.WATCHER, at, coin.outpoint, spender)
                self.ask(gone, fact=True)

    @rule(
        wait=WAIT,
        by=BY,
        agreed=AGREED,
        vault=st.sampled_from(("new",) * 6 + ("terms", "newest")),
        skip=st.sampled_from((0, 0, 0, 0, 0, 1, -1)),
        then=st.sampled_from(("wait", "sweep", "sweep", "settle")),
        depth=DEPTH,
    )
    def rekey(
        self,
        *,
        wait: int,
        by: Role | None,
        agreed: tuple[Role, ...],
        vault: str,
        skip: int,
        then: str,
        depth: int,
    ) -> None:
        """A key is replaced, with or without leave; then the coins may move, some or all."""
        at = self._later(wait)
        self._rekey(at, by=by or Role.OPERATOR, agreed=agreed, vault=vault, skip=skip)
        if then == "settle":
            self.settle()
        old = [c for c in backing(self.escrow) if c.generation < self._newest]
        if then == "sweep" and old:
            self._bury(self._move(old, at=self.now), depth)

    @property
    def _newest(self) -> int:
        return len(self.escrow.vault.generations)

    def _rekey(
        self,
        at: Seconds,
        *,
        by: Role,
        agreed: tuple[Role, ...] = (Role.BORROWER, Role.LENDER),
        vault: str = "new",
        skip: int = 0,
    ) -> None:
        known = [each.program for each in self.escrow.vault.generations]
        program = {
            "new": f"0x{len(self.history) + 1:064x}",
            "terms": self.offered.vault,
            "newest": known[-1] if known else self.offered.vault,
        }[vault]
        role = ("custodian", "lender", "borrower")[len(known) % 3]
        before = self.escrow
        if self.ask(Rekey(by, at, program, role, self._newest + 1 + skip, agreed)) is None:
            assert {Role.BORROWER, Role.LENDER} <= set(agreed), "a party did not agree"
            assert (vault, skip) == ("new", 0), "one after the other, and none twice"
            assert all(p.final for p in before.vault.payouts), "a payout was under way"
            assert not isinstance(before.loan, Draft | Offered | Accepted | Ended), "not live"
            after = self.escrow
            assert (after.loan, after.token) == (before.loan, before.token)
            assert after.vault.coins == before.vault.coins

    @rule(
        wait=WAIT,
        by=SEES,
        back=st.sampled_from((1, 1, 2, 0, -1)),
        sats=st.sampled_from((COIN, MIN_DEPOSIT, COIN // 3)),
        near=st.sampled_from((0, 0, 1, -1)),
        depth=DEPTH,
        minted=st.booleans(),
    )
    def deposit_to_older(
        self,
        *,
        wait: int,
        by: Role | None,
        back: int,
        sats: int,
        near: int,
        depth: int,
        minted: bool,
    ) -> None:
        """A coin comes to an address that was given up, and perhaps is minted for."""
        at, outpoint = self._later(wait), f"coin-{len(self.history)}:0"
        worth, place = Sats(sats + near), self._newest - back
        self.ask(SawCoin(Role.WATCHER, at, outpoint, worth, depth, height=1), fact=True)
        self.ask(SawGeneration(by or Role.WATCHER, at, outpoint, place), fact=by is None)
        if minted:
            self.ask(Mint(Role.ATTESTOR, at, outpoint, worth))

    @rule(wait=WAIT, by=SEES, pick=PICK, back=st.sampled_from((0, 0, 1, 1, 2, -1)))
    def place(self, *, wait: int, by: Role | None, pick: int, back: int) -> None:
        """A coin is found at another address of the vault than was supposed; or none is there."""
        coin, at = self._coin(pick), self._later(wait)
        outpoint = coin.outpoint if coin else "unheard-of:0"
        seen = SawGeneration(by or Role.WATCHER, at, outpoint, self._newest - back)
        self.ask(seen, fact=by is None)
        places = {each.generation for each in self.escrow.vault.coins}
        assert places <= set(range(self._newest + 1)), "a coin lies where no address is"

    @rule(wait=WAIT, by=SEES, pick=PICK)
    def recover(self, *, wait: int, by: Role | None, pick: int) -> None:
        if coin := self._coin(pick):
            txid = f"recovery-{len(self.history)}"
            seen = SawRecovery(by or Role.WATCHER, self._later(wait), txid, (coin.outpoint,))
            self.ask(seen, fact=by is None)

    # The oracle.

    @rule(
        wait=WAIT,
        by=BY,
        level=st.sampled_from(
            ("par", "initial_ltv", "restore_ltv", "call_ltv", "liquidation_ltv", "crash", "absurd")
        ),
        near=NEAR,
        lag=st.sampled_from((0, 0, 0, HOUR, HOUR + 1, -1)),
        signers=st.sampled_from((0, 0, 0, 1, 3, 4, 5)),
        outlier=st.sampled_from((0, 0, 1, -1)),
        skip=st.sampled_from((0, 0, 0, 1)),
    )
    def mark(
        self,
        *,
        wait: int,
        by: Role | None,
        level: str,
        near: int,
        lag: int,
        signers: int,
        outlier: int,
        skip: int,
    ) -> None:
        """A price at a boundary of the terms, or beside it; dated now, or badly; of as many oracles
        as it needs, or of too few; one of them may be out of its mind."""
        self._mark(
            self._later(wait),
            level,
            near,
            by=by or Role.ORACLE,
            lag=lag,
            signers=signers,
            outlier=outlier,
            skip=skip,
        )

    def _mark(
        self,
        at: Seconds,
        level: str,
        near: int,
        *,
        by: Role = Role.ORACLE,
        lag: int = 0,
        signers: int = 0,
        outlier: int = 0,
        skip: int = 0,
    ) -> None:
        system = self.escrow.system
        last = system.price
        number = (last.round if last else 0) + 1 + skip
        match level:
            case "par":
                price = PAR
            case "crash":
                price = PriceE8(max(1, muldiv_down(last.price if last else PAR, 1, 3)))
            case "absurd":
                price = MAX_PRICE
            case _:
                price = price_at(
                    debt_now(self.escrow, at=at),
                    sats=self.escrow.token.held,
                    level=getattr(self.offered, level),
                )
        price = PriceE8(price + near)
        needed = system.wide_quorum if is_jump(system, price, at=at) else system.quorum
        prices = [price] * (signers or needed)
        if outlier:
            prices[min(0, -outlier)] = PriceE8(2 * MAX_PRICE if outlier > 0 else 0)
        self.ask(Mark(by, at, number, tuple(prices), Seconds(at - lag)))

    @rule(wait=WAIT, by=BY, seconds=st.sampled_from((60, HOUR, MAX_PAUSE, MAX_PAUSE + 1, 0)))
    def pause(self, *, wait: int, by: Role | None, seconds: int) -> None:
        self.ask(Pause(by or Role.GUARDIAN, self._later(wait), Seconds(seconds)))

    @rule(wait=WAIT, by=BY)
    def resume(self, *, wait: int, by: Role | None) -> None:
        self.ask(Resume(by or Role.GUARDIAN, self._later(wait)))

    @rule(
        level=st.sampled_from(("par", "restore_ltv", "call_ltv", "liquidation_ltv")),
        near=NEAR,
        then=st.booleans(),
    )
    def refresh(self, *, level: str, near: int, then: bool) -> None:
        """A good price, one second later; then what is due may be done."""
        self._mark(self._later(1), level, near)
        if then:
            self.settle()

    @rule(level=st.sampled_from(("call_ltv", "liquidation_ltv")), near=NEAR, then=st.booleans())
    def squeeze(self, *, level: str, near: int, then: bool) -> None:
        """The price falls to a level, and the loan is called; then what is due may be done."""
        at = self._later(1)
        self._mark(at, level, near)
        self.ask(MarginCall(Role.OPERATOR, at))
        if then:
            self.settle()

    @rule(level=st.sampled_from(("call_ltv", "restore_ltv", "par")), near=NEAR, then=st.booleans())
    def outlast(self, *, level: str, near: int, then: bool) -> None:
        """Fresh prices, hour after hour, up to a cure time that is not too long."""
        for _ in range(3):
            loan = self.escrow.loan
            if isinstance(loan, Called):
                left = loan.deadline - active_seconds(self.escrow.system, at=self.now) + near
                self._mark(self._later(max(0, min(left, HOUR))), level, near)
        self.ask(ExpireCall(Role.OPERATOR, self.now))
        if then:
            self.settle()

    @rule(how=st.sampled_from(("price", "cash", "coins")), near=NEAR)
    def answer_the_call(self, *, how: str, near: int) -> None:
        """The borrower brings the loan-to-value down, or nearly, and asks to be cured."""
        at = self._later(1)
        if how == "price":
            self._mark(at, "restore_ltv", 1 + near)
        elif how == "cash":
            owed_now = debt_now(self.escrow, at=at)
            self.ask(Repay(Role.BORROWER, at, Cents(muldiv_up(owed_now, 1, 2) + near)))
        else:
            self.another_coin(wait=1, sats=COIN, near=0)
            self.ask(TopUp(Role.BORROWER, self.now, free(self.escrow.token)))
        self.ask(Cure(Role.BORROWER, self.now))

    # The deal.

    @rule(wait=WAIT, by=BY, unsound=st.sampled_from(UNSOUND))
    def offer(self, *, wait: int, by: Role | None, unsound: dict[str, Any]) -> None:
        terms = replace(self.offered, **unsound)
        self.ask(Offer(by or Role.LENDER, self._later(wait), terms, self.plan))

    @rule(wait=WAIT, by=BY)
    def accept(self, *, wait: int, by: Role | None) -> None:
        self.ask(Accept(by or Role.BORROWER, self._later(wait)))

    @rule(wait=WAIT, by=BY)
    def open_on_evm(self, *, wait: int, by: Role | None) -> None:
        self.ask(Open(by or Role.OPERATOR, self._later(wait)))

    @rule(wait=WAIT, by=BY)
    def cancel(self, *, wait: int, by: Role | None) -> None:
        self.ask(Cancel(by or Role.LENDER, self._later(wait)))

    @rule(wait=WAIT, by=BY)
    def lapse(self, *, wait: int, by: Role | None) -> None:
        self.ask(Lapse(by or Role.WATCHER, self._later(wait)))

    @rule(wait=WAIT, by=BY, pick=PICK, near=st.sampled_from((0, 0, 1, -1)))
    def mint(self, *, wait: int, by: Role | None, pick: int, near: int) -> None:
        if coin := self._coin(pick):
            sats = Sats(coin.sats + near)
            self.ask(Mint(by or Role.ATTESTOR, self._later(wait), coin.outpoint, sats))

    @rule(wait=WAIT, by=BY, part=st.sampled_from((1, 2, 3)), near=NEAR)
    def top_up(self, *, wait: int, by: Role | None, part: int, near: int) -> None:
        sats = Sats(muldiv_down(free(self.escrow.token), 1, part) + near)
        self.ask(TopUp(by or Role.BORROWER, self._later(wait), sats))

    @rule(wait=WAIT, by=BY, part=st.sampled_from((1, 2, 3)), near=NEAR)
    def draw(self, *, wait: int, by: Role | None, part: int, near: int) -> None:
        amount = Cents(muldiv_down(max(0, self._most_drawn()), 1, part) + near)
        self.ask(Draw(by or Role.BORROWER, self._later(wait), amount))

    @rule(
        wait=WAIT, by=BY, what=st.sampled_from(("all", "interest", "third", "nothing")), near=NEAR
    )
    def repay(self, *, wait: int, by: Role | None, what: str, near: int) -> None:
        at = self._later(wait)
        owed_now = debt_now(self.escrow, at=at)
        debt = getattr(self.escrow.loan, "debt", None)
        amount = {
            "all": owed_now,
            "interest": interest_due(debt) if debt else 0,
            "third": muldiv_up(owed_now, 1, 3),
            "nothing": 0,
        }[what]
        self.ask(Repay(by or Role.STRANGER, at, Cents(amount + near)))

    @rule(wait=WAIT, by=BY)
    def call(self, *, wait: int, by: Role | None) -> None:
        self.ask(MarginCall(by or Role.OPERATOR, self._later(wait)))

    @rule(wait=WAIT, by=BY)
    def cure(self, *, wait: int, by: Role | None) -> None:
        self.ask(Cure(by or Role.OPERATOR, self._later(wait)))

    @rule(wait=WAIT, by=BY)
    def expire(self, *, wait: int, by: Role | None) -> None:
        self.ask(ExpireCall(by or Role.OPERATOR, self._later(wait)))

    @rule(wait=WAIT, by=BY)
    def dispute(self, *, wait: int, by: Role | None) -> None:
        self.ask(Dispute(by or Role.BORROWER, self._later(wait)))

    @rule(wait=WAIT, by=BY, upheld=st.booleans())
    def resolve(self, *, wait: int, by: Role | None, upheld: bool) -> None:
        self.ask(Resolve(by or Role.ARBITER, self._later(wait), upheld))

    @rule(wait=WAIT, by=BY, part=st.sampled_from((1, 1, 2, 3)), near=NEAR)
    def withdraw(self, *, wait: int, by: Role | None, part: int, near: int) -> None:
        """What the initial level does not need, or a part of it."""
        at, price = self._later(wait), self.escrow.system.price
        needed = muldiv_up(
            debt_now(self.escrow, at=at) * CENTS_SCALE,
            BPS,
            self.offered.initial_ltv * (price.price if price else 1),
        )
        spare = max(0, self.escrow.token.held - needed)
        sats = Sats(muldiv_down(spare, 1, part) + near)
        self.ask(Withdraw(by or Role.BORROWER, at, sats))

    @rule(
        wait=WAIT,
        changes=st.sampled_from(
            (
                {},
                {"rate_bps": Bps(100)},
                {"principal": Cents(4_800_000)},
                {"max_fee": Sats(2)},
                {"grace": Seconds(0)},
            )
        ),
    )
    def refinance(self, *, wait: int, changes: dict[str, Any]) -> None:
        at = self._later(wait)
        times = {"expires_at": at, "draw_by": max(at, self.offered.draw_by)}
        terms = replace(self.offered, **(times | changes))
        self.ask(Refinance(Role.OPERATOR, at, terms))

    @rule(
        wait=WAIT,
        by=BY,
        kind=st.sampled_from((None, None, *Liquidation)),
        part=st.sampled_from((None, None, 1, 2, 3)),
        near=NEAR,
    )
    def liquidate(
        self, *, wait: int, by: Role | None, kind: Liquidation | None, part: int | None, near: int
    ) -> None:
        at, right = self._later(wait), self.offered.liquidation
        entitled = Role.LENDER if right is Liquidation.TAKE_OVER else Role.LIQUIDATOR
        pay = MAX_CENTS
        if part is not None:
            debt = debt_now(self.escrow, at=at)
            pay = Cents(max(0, muldiv_down(debt, 1, part) + near))
        asked = right if kind is None else kind
        self.ask(Liquidate(by or entitled, at, asked, pay=pay))

    @rule(wait=WAIT, by=BY)
    def redo(self, *, wait: int, by: Role | None) -> None:
        self.ask(Redo(by or Role.OPERATOR, self._later(wait)))

    @rule(wait=WAIT, by=BY, part=st.sampled_from((1, 2, 10)), near=NEAR)
    def take(self, *, wait: int, by: Role | None, part: int, near: int) -> None:
        want = Sats(max(0, muldiv_down(self.escrow.token.held, 1, part) + near))
        self.ask(Take(by or Role.LIQUIDATOR, self._later(wait), want))

    @rule(
        wait=WAIT,
        by=BY,
        sats=st.sampled_from(("all", "least", "half")),
        near=st.sampled_from((0, 0, 0, 0, 1, -1)),
        script=st.sampled_from(SCRIPTS[:2] * 3 + SCRIPTS),
    )
    def burn(self, *, wait: int, by: Role | None, sats: str, near: int, script: str) -> None:
        able = free(self.escrow.token)
        asked = {"all": able, "least": MIN_DEPOSIT, "half": muldiv_down(able, 1, 2)}[sats]
        number = len(self.escrow.token.burns)
        at = self._later(wait)
        self.ask(BurnTokens(by or Role.BORROWER, at, number, Sats(asked + near), script))

    @rule(wait=WAIT, by=BY, pick=PICK, near=st.sampled_from((0, 0, 0, -1)))
    def retire(self, *, wait: int, by: Role | None, pick: int, near: int) -> None:
        if coin := self._coin(pick):
            sats = Sats(coin.sats + near)
            self.ask(Retire(by or Role.ATTESTOR, self._later(wait), coin.outpoint, sats))

    @rule(wait=WAIT, by=BY)
    def note_recovery(self, *, wait: int, by: Role | None) -> None:
        self.ask(NoteRecovery(by or Role.OPERATOR, self._later(wait)))

    @rule(near=NEAR)
    def substitute(self, *, near: int) -> None:
        """A new coin is pledged, and half as much of the old collateral taken back."""
        self.another_coin(wait=1, sats=COIN, near=0)
        self.ask(TopUp(Role.BORROWER, self.now, free(self.escrow.token)))
        self.ask(Withdraw(Role.BORROWER, self.now, Sats(COIN // 2 + near)))

    # How it is serviced.

    @rule(wait=WAIT, by=BY)
    def notice(self, *, wait: int, by: Role | None) -> None:
        self.ask(Notice(by or Role.OPERATOR, self._later(wait)))

    @rule(near=NEAR, back=st.booleans())
    def ring(self, *, near: int, back: bool) -> None:
        """The price comes near a notice level, and goes back."""
        for level in ("restore_ltv", "par") if back else ("restore_ltv",):
            self._mark(self._later(1), level, near)
            self.ask(Notice(Role.OPERATOR, self.now))

    @rule(wait=WAIT, by=BY)
    def assess(self, *, wait: int, by: Role | None) -> None:
        self.ask(Assess(by or Role.OPERATOR, self._later(wait)))

    @rule()
    def miss(self) -> None:
        """The next due date passes."""
        if (since := unpaid_since(self.escrow)) is not None:
            at = Seconds(max(self.now, since + 1))
            self.ask(Tick(Role.WATCHER, at))
            self.ask(Assess(Role.OPERATOR, at))

    @rule(near=NEAR)
    def catch_up(self, *, near: int) -> None:
        """The borrower pays all that the plan asks for up to now, or nearly, and it is noted."""
        loan, plan = self.escrow.loan, self.escrow.servicing.plan
        if plan is not None and isinstance(loan, Indebted):
            due_now = sum(each.amount for each in plan.instalments if each.due_at < self.now)
            paid = loan.debt.paid_principal + loan.debt.paid_interest
            self.ask(Repay(Role.BORROWER, self.now, Cents(due_now - paid + near)))
            self.ask(Assess(Role.OPERATOR, self.now))

    @rule(wait=WAIT, by=BY, kinds=st.sampled_from(((0,), (1,), (0, 1))))
    def impair(self, *, wait: int, by: Role | None, kinds: tuple[int, ...]) -> None:
        for kind in kinds:
            ask = (Impair, LiftImpairment)[kind]
            self.ask(ask(by or Role.LENDER, self._later(wait)))

    @rule(by=BY, near=NEAR, wait=st.booleans())
    def declare_default(self, *, by: Role | None, near: int, wait: bool) -> None:
        """Now, or around the moment from which the lender may."""
        since, at = unpaid_since(self.escrow), int(self.now)
        if wait and since is not None:
            at = max(at, default_from(self.escrow, since=since) + 1 + near)
        self.ask(DeclareDefault(by or Role.LENDER, Seconds(at)))

    # The world answers, repeats itself, and is late.

    @rule(pick=PICK, wait=st.sampled_from((0, 0, 60)))
    def perform(self, *, pick: int, wait: int) -> None:
        """One thing that is owed is done."""
        self.ask(Tick(Role.WATCHER, self._later(wait)))
        if effects := due(self.escrow):
            self._do(effects[pick % len(effects)])

    @rule()
    def settle(self) -> None:
        """Everything that is owed is done, until nothing is."""
        self.ask(Tick(Role.WATCHER, self.now))
        done: set[str] = set()
        while effect := next((e for e in due(self.escrow) if e.id not in done), None):
            done.add(effect.id)
            self._do(effect)

    def _do(self, effect: Effect) -> None:
        for command in respond(self.escrow, effect, at=self.now):
            refusal = self.ask(command)
            # A loss that falls on tokens burned before it leaves fewer than the coin backed.
            if refusal is not None and refusal.code != "retire/insufficient":
                raise AssertionError(f"{effect} is due, but {refusal}")
        if isinstance(effect, SweepVault):
            left = [e for e in due(self.escrow) if isinstance(e, SweepVault)]
            assert effect.generation not in {e.generation for e in left}, f"{effect} did not help"

    @rule(pick=PICK)
    def say_again(self, *, pick: int) -> None:
        """A command is delivered a second time."""
        if self.history:
            command = self.history[-1 - pick % len(self.history)]
            self.ask(replace(command, at=max(command.at, self.escrow.system.clock)))

    @rule(pick=PICK, early=st.sampled_from((1, 60, HOUR)))
    def say_late(self, *, pick: int, early: int) -> None:
        """A command arrives that is dated before others that were taken in."""
        if self.history:
            command = self.history[-1 - pick % len(self.history)]
            self.ask(replace(command, at=Seconds(self.now - early)))
