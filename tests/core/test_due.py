"""What the world is owed now; and that crashes and reorganisations lose nothing of it."""

from __future__ import annotations

import pytest
from deals import (
    AT_CALL,
    AT_INITIAL,
    AT_LIQUIDATION,
    AT_RESTORE,
    COIN_A,
    COIN_B,
    CONFIRMATIONS,
    NOW,
    ONE,
    OWED,
    SCRIPT,
    STAGES,
    TERMS,
    accepted,
    active,
    burned,
    called,
    cancelled,
    draft,
    final,
    kept_fresh,
    liquidating,
    minted,
    offered,
    opened,
    paid_out,
    play,
    posted,
    priced,
    recovered,
    released,
    repaid,
    secured,
    seized,
    stale,
    stuck,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from escrow.core.decide import Command, decide, witness
from escrow.core.due import (
    AttestDeposit,
    AttestLoss,
    AwaitReburial,
    BumpPayout,
    BuryPayout,
    CallMargin,
    CancelOnEvm,
    ClaimCoins,
    CureCall,
    Effect,
    ExpireCallOnEvm,
    MakeGood,
    NoteRecoveryOnEvm,
    OpenOnEvm,
    PayBurns,
    PayByChild,
    RealiseCollateral,
    RecoverCoins,
    SweepVault,
    due,
    owed_by,
    wakes,
)
from escrow.core.laws import Step, broken
from escrow.core.regions.system import active_seconds
from escrow.core.regions.token import Burn
from escrow.core.regions.vault import Payout
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event, evolve, fold
from escrow.core.terms import MIN_DEPOSIT, Liquidation
from escrow.core.units import DAY, HOUR, PriceE8, Sats, Seconds
from escrow.core.verbs.accept import Accept
from escrow.core.verbs.burn import BurnTokens
from escrow.core.verbs.dispute import Dispute
from escrow.core.verbs.draw import Draw
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.offer import Offer
from escrow.core.verbs.open import Open
from escrow.core.verbs.pause import Pause
from escrow.core.verbs.payout import SawPayout, SawPayoutDepth
from escrow.core.verbs.pledge import SawCoin, SawCoinGone
from escrow.core.verbs.recover import SawRecovery
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.retire import Retire
from escrow.core.verbs.tick import Tick
from escrow.core.verbs.top_up import TopUp

LATER = Seconds(NOW + 60)
HALF = ONE // 2
GONE = SawCoinGone(Role.WATCHER, NOW, COIN_A, "ff")
DUG_OUT = SawCoin(Role.WATCHER, NOW, COIN_A, ONE, 0)


def until(escrow: Escrow, at: int) -> Escrow:
    """The clock moves on, and nothing else."""
    return play(escrow, Tick(Role.WATCHER, Seconds(at)))


def expired(price: PriceE8 = AT_CALL) -> Escrow:
    """One second past the deadline of a call."""
    return kept_fresh(called(), until=Seconds(called().loan.deadline + 1), price=price)


def dear(fee: int) -> Escrow:
    """All is paid out, at this fee."""
    return paid_out(burned(repaid()), fee=fee, paid=((0, ONE - fee),))


def coins(escrow: Escrow):
    """All the coins of the vault."""
    return escrow.vault.coins


@pytest.mark.parametrize(
    ("build", "effects"),
    [
        (draft, []),
        (offered, []),
        (accepted, [OpenOnEvm()]),
        (lambda: until(accepted(), TERMS.expires_at), [OpenOnEvm()]),
        (lambda: until(accepted(), TERMS.expires_at + 1), []),
        (opened, []),
        (lambda: until(opened(), TERMS.draw_by), []),
        (lambda: until(opened(), TERMS.draw_by + 1), [CancelOnEvm()]),
        # Coins.
        (lambda: play(opened(), SawCoin(Role.WATCHER, NOW, COIN_A, ONE, 2, 9)), []),
        (lambda: play(opened(), final()), [AttestDeposit(COIN_A, ONE)]),
        (lambda: play(opened(), final(sats=MIN_DEPOSIT - 1)), []),
        (lambda: play(opened(), final(sats=MIN_DEPOSIT)), [AttestDeposit(COIN_A, MIN_DEPOSIT)]),
        (minted, []),
        (lambda: play(minted(), DUG_OUT), [AwaitReburial(COIN_A)]),
        (lambda: play(minted(), GONE), [AttestLoss(COIN_A, ONE)]),
        (lambda: play(opened(), final(), GONE), []),
        (lambda: play(minted(), GONE, Retire(Role.ATTESTOR, NOW, COIN_A, ONE)), []),
        # Margin.
        (active, []),
        (lambda: priced(active(), PriceE8(AT_CALL + 1), at=LATER), []),
        (lambda: priced(active(), AT_CALL, at=LATER), [CallMargin(2)]),
        (
            lambda: priced(active(), AT_LIQUIDATION, at=LATER),
            [CallMargin(2), RealiseCollateral(Liquidation.TAKE_OVER)],
        ),
        (lambda: stale(priced(active(), AT_LIQUIDATION, at=LATER)), []),
        (called, []),
        (lambda: priced(called(), AT_RESTORE, at=Seconds(LATER + 1)), [CureCall(3)]),
        (lambda: priced(called(), PriceE8(AT_RESTORE - 1), at=Seconds(LATER + 1)), []),
        (
            lambda: priced(called(), AT_LIQUIDATION, at=Seconds(LATER + 1)),
            [RealiseCollateral(Liquidation.TAKE_OVER)],
        ),
        (expired, [ExpireCallOnEvm(Seconds(LATER + TERMS.cure))]),
        (lambda: expired(PriceE8(AT_CALL + 1)), []),
        (lambda: kept_fresh(called(), until=called().loan.deadline), []),
        (liquidating, [RealiseCollateral(Liquidation.TAKE_OVER)]),
        (
            lambda: priced(active(), at=Seconds(TERMS.maturity + TERMS.grace + 1)),
            [RealiseCollateral(Liquidation.TAKE_OVER)],
        ),
        (
            lambda: priced(active(liquidation=Liquidation.THIRD_PARTY), AT_LIQUIDATION, at=LATER),
            [CallMargin(2), RealiseCollateral(Liquidation.THIRD_PARTY)],
        ),
        # The way out.
        (repaid, [ClaimCoins(ONE)]),
        (cancelled, [ClaimCoins(ONE)]),
        (seized, [ClaimCoins(ONE)]),
        (lambda: play(repaid(), GONE), [AttestLoss(COIN_A, ONE), ClaimCoins(ONE)]),
        (
            lambda: burned(repaid()),
            [PayBurns((Burn(0, ONE, SCRIPT),), coins(repaid()))],
        ),
        (lambda: play(burned(repaid()), DUG_OUT), [AwaitReburial(COIN_A)]),
        (lambda: paid_out(burned(repaid())), [BuryPayout("pp")]),
        (
            lambda: stuck(paid_out(burned(repaid()))),
            [BuryPayout("pp"), BumpPayout("pp"), PayByChild("pp")],
        ),
        (lambda: stuck(dear(4_999)), [BuryPayout("pp"), BumpPayout("pp"), PayByChild("pp")]),
        # The bound of the terms leaves no room: only a payee can help, or time.
        (lambda: stuck(dear(5_000)), [BuryPayout("pp"), PayByChild("pp")]),
        (released, []),
        (
            lambda: play(released(), SawPayoutDepth(Role.WATCHER, NOW, "pp", 0)),
            [BuryPayout("pp")],
        ),
    ],
)
def test_what_is_owed(build, effects: list[Effect]) -> None:
    assert list(due(build())) == effects


def test_burns_are_paid_from_coins_that_tokens_stand_for() -> None:
    """A second depositor's coin, not minted yet, is not offered to the quorum."""
    escrow = play(burned(repaid()), final(COIN_B))
    pay = next(effect for effect in due(escrow) if isinstance(effect, PayBurns))
    assert [coin.outpoint for coin in pay.coins] == [COIN_A]
    lost = play(escrow, DUG_OUT)
    assert not any(isinstance(effect, PayBurns) for effect in due(lost))


def test_after_the_recovery_time_the_borrower_may_leave_alone() -> None:
    early = until(active(), TERMS.recover_at - 1)
    assert due(early) == ()
    late = until(active(), TERMS.recover_at)
    assert due(late) == (RecoverCoins(late.vault.coins),)
    gone = play(late, SawRecovery(Role.WATCHER, TERMS.recover_at, "rr", (COIN_A,)))
    assert due(gone) == (AttestLoss(COIN_A, ONE),)
    retired = play(gone, Retire(Role.ATTESTOR, TERMS.recover_at, COIN_A, ONE))
    assert due(retired) == (NoteRecoveryOnEvm(),)
    assert due(recovered()) == ()


def test_without_coins_nobody_is_called() -> None:
    bare = play(active(), GONE, Retire(Role.ATTESTOR, NOW, COIN_A, ONE))
    assert due(bare) == ()


@pytest.mark.parametrize(
    ("effect", "role", "name"),
    [
        (OpenOnEvm(), Role.OPERATOR, "open"),
        (AttestDeposit(COIN_A, ONE), Role.ATTESTOR, "mint/aa:0"),
        (AttestLoss(COIN_A, ONE), Role.ATTESTOR, "retire/aa:0"),
        (AwaitReburial(COIN_A), Role.OPERATOR, "rebury/aa:0"),
        (CancelOnEvm(), Role.OPERATOR, "cancel"),
        (CallMargin(7), Role.OPERATOR, "call/7"),
        (CureCall(7), Role.OPERATOR, "cure/7"),
        (ExpireCallOnEvm(NOW), Role.OPERATOR, f"expire/{NOW}"),
        (RealiseCollateral(Liquidation.TAKE_OVER), Role.LENDER, "liquidate/TAKE_OVER"),
        (RealiseCollateral(Liquidation.THIRD_PARTY), Role.LIQUIDATOR, "liquidate/THIRD_PARTY"),
        (ClaimCoins(ONE), Role.BORROWER, f"burn/{ONE}"),
        (
            PayBurns((Burn(3, ONE, SCRIPT), Burn(4, ONE, SCRIPT)), ()),
            Role.CUSTODIAN,
            "pay/3+4",
        ),
        (MakeGood(ONE), Role.OPERATOR, f"make-good/{ONE}"),
        (BuryPayout("pp"), Role.OPERATOR, "bury/pp"),
        (BumpPayout("pp"), Role.CUSTODIAN, "bump/pp"),
        (PayByChild("pp"), Role.BORROWER, "child/pp"),
        (SweepVault(0, coins(minted())), Role.CUSTODIAN, "sweep/aa:0"),
        (RecoverCoins(coins(minted())), Role.BORROWER, "recover/aa:0"),
        (NoteRecoveryOnEvm(), Role.OPERATOR, "recovered"),
    ],
)
def test_whose_duty_it_is_and_its_name(effect: Effect, role: Role, name: str) -> None:
    assert owed_by(effect) is role
    assert effect.id == name


@pytest.mark.parametrize("stage", STAGES)
def test_ids_do_not_repeat(stage: str) -> None:
    ids = [effect.id for effect in due(STAGES[stage]())]
    assert len(set(ids)) == len(ids)


OFFER_ENDS, WINDOW_ENDS = TERMS.expires_at + 1, TERMS.draw_by + 1
DEFAULTS, RECOVERS = TERMS.maturity + TERMS.grace + 1, TERMS.recover_at


@pytest.mark.parametrize(
    ("build", "moments"),
    [
        (draft, []),
        (released, []),
        (offered, [OFFER_ENDS, WINDOW_ENDS, RECOVERS]),
        (lambda: until(opened(), OFFER_ENDS), [WINDOW_ENDS, RECOVERS]),
        (active, [OFFER_ENDS, WINDOW_ENDS, DEFAULTS, RECOVERS]),
        (
            called,
            # The price grows stale before the cure time is over: then time alone brings nothing.
            sorted([OFFER_ENDS, WINDOW_ENDS, DEFAULTS, RECOVERS]),
        ),
        (
            lambda: play(active(), Pause(Role.GUARDIAN, NOW, DAY)),
            sorted([NOW + DAY, OFFER_ENDS, WINDOW_ENDS, DEFAULTS, RECOVERS]),
        ),
        (
            lambda: play(opened(), Pause(Role.GUARDIAN, NOW, DAY)),
            [OFFER_ENDS, WINDOW_ENDS, RECOVERS],
        ),
        (lambda: until(active(), DEFAULTS), [RECOVERS]),
        (lambda: until(active(), RECOVERS), []),
    ],
)
def test_when_to_look_again(build, moments: list[int]) -> None:
    assert list(wakes(build())) == moments


def test_a_call_whose_time_is_over_is_looked_at_a_second_later() -> None:
    escrow = kept_fresh(called(), until=Seconds(called().loan.deadline))
    assert wakes(escrow)[0] == escrow.system.clock + 1


def test_a_call_in_a_pause_is_looked_at_when_the_rest_of_its_time_is_over() -> None:
    last = Seconds(LATER + TERMS.cure - 100)
    escrow = play(
        kept_fresh(called(), until=last), Pause(Role.GUARDIAN, Seconds(last + 10), Seconds(500))
    )
    over = last + 10 + 500 + 90 + 1
    others = (WINDOW_ENDS, DEFAULTS, RECOVERS)
    assert [moment for moment in wakes(escrow) if moment not in others] == [last + 510, over]
    assert not any(isinstance(e, ExpireCallOnEvm) for e in due(until(escrow, over - 1)))
    assert any(isinstance(e, ExpireCallOnEvm) for e in due(until(escrow, over)))


def test_at_each_wake_something_may_come_due_and_not_a_second_before() -> None:
    for build, moment, effect in (
        (opened, WINDOW_ENDS, CancelOnEvm),
        (active, RECOVERS, RecoverCoins),
    ):
        assert not any(isinstance(e, effect) for e in due(until(build(), moment - 1)))
        assert any(isinstance(e, effect) for e in due(until(build(), moment)))


class Chains:
    """Toy Bitcoin and toy EVM. Broadcasting or sending twice is doing it once."""

    def __init__(self) -> None:
        self.mempool: list[str] = ["deposit"]
        self.blocks: list[list[str]] = []
        self.payouts: dict[str, Payout] = {}
        self.sent: dict[str, Command] = {}
        """EVM transactions by effect: final at once, and told to the core until it knows."""

    def depth(self, tx: str) -> int:
        """Confirmations: 1 in the newest block, 0 in the mempool or lost."""
        return next((len(self.blocks) - i for i, block in enumerate(self.blocks) if tx in block), 0)

    def known(self, tx: str) -> bool:
        """In a block or in the mempool."""
        return tx in self.mempool or self.depth(tx) > 0

    def inputs(self, tx: str) -> tuple[str, ...]:
        """What a transaction spends; the deposit's own coins are nobody's business here."""
        return self.payouts[tx].inputs if tx in self.payouts else ()

    def is_valid(self, tx: str) -> bool:
        """Its coins exist, and nothing else that is known spends them."""
        parents = {"deposit" if coin == COIN_A else coin.split(":")[0] for coin in self.inputs(tx)}
        rivals = {
            spent
            for other in self.payouts
            if other != tx and self.known(other)
            for spent in self.inputs(other)
        }
        return all(map(self.known, parents)) and not rivals.intersection(self.inputs(tx))

    def broadcast(self, tx: str) -> None:
        """Idempotent. What is not valid is not taken."""
        if not self.known(tx) and self.is_valid(tx):
            self.mempool.append(tx)

    def mine(self) -> None:
        """Everything that waits and is valid gets in; a child whose parent was lost waits."""
        ready = [tx for tx in self.mempool if self.is_valid(tx)]
        self.blocks.append(ready)
        self.mempool = [tx for tx in self.mempool if tx not in ready]

    def reorg(self, depth: int, *, lossy: bool) -> None:
        """Undo blocks. What was in them waits again, or is lost as if never broadcast."""
        for block in self.blocks[-depth:]:
            self.mempool += [] if lossy else block
        del self.blocks[-depth:]

    def look(self, escrow: Escrow) -> list[Command]:
        """What the watcher sees: deposit and change first, then payouts, then known ones' depth."""
        at = escrow.system.clock
        seen: list[Command] = []
        outputs = [("deposit", COIN_A, ONE)]
        outputs += [
            (txid, f"{txid}:{len(payout.paid)}", payout.change)
            for txid, payout in self.payouts.items()
            if payout.change
        ]
        for tx, outpoint, sats in outputs:
            if self.known(tx):
                depth = self.depth(tx)
                height = len(self.blocks) - depth + 1
                seen.append(SawCoin(Role.WATCHER, at, outpoint, sats, depth, height))
        for txid, payout in self.payouts.items():
            if self.known(txid):
                seen.append(SawPayout(Role.WATCHER, at, payout))
        # A payout that lost to another before it was told of takes its change with it.
        told = {payout.txid for payout in escrow.vault.payouts}
        for coin in escrow.vault.coins:
            tx = coin.outpoint.split(":")[0]
            if tx in self.payouts.keys() - told and not self.known(tx):
                seen.append(SawCoinGone(Role.WATCHER, at, coin.outpoint, ""))
        for payout in escrow.vault.payouts:
            depth = self.depth(payout.txid)
            seen.append(SawPayoutDepth(Role.WATCHER, at, payout.txid, depth))
        return seen

    def perform(self, escrow: Escrow, effect: Effect, at: Seconds) -> None:
        """Do what is owed; a second time changes nothing."""
        match effect:
            case AttestDeposit(outpoint=outpoint, sats=sats):
                self.sent.setdefault(effect.id, Mint(Role.ATTESTOR, at, outpoint, sats))
            case ClaimCoins(sats=sats):
                # In two burns, so that one payout leaves change behind.
                number = len(escrow.token.burns)
                part = Sats(HALF if number == 0 else sats)
                self.sent.setdefault(
                    f"burn-{number}", BurnTokens(Role.BORROWER, at, number, part, SCRIPT)
                )
            case PayBurns(burns=burns, coins=available):
                txid = "+".join(f"payout-{burn.id}" for burn in burns)
                asked = sum(burn.sats for burn in burns)
                inputs = tuple(coin.outpoint for coin in available)
                change = Sats(sum(coin.sats for coin in available) - asked)
                paid = tuple((burn.id, burn.sats) for burn in burns)
                self.payouts.setdefault(txid, Payout(txid, inputs, paid, Sats(0), change))
                self.broadcast(txid)
            case BuryPayout(txid=txid):
                for sent in escrow.vault.payouts:
                    self.broadcast(sent.txid)
                    if sent.txid == txid:
                        break
            case AwaitReburial():
                self.broadcast("deposit")
            case _:
                raise AssertionError(f"nobody performs {effect}")


MOVES = st.one_of(
    st.sampled_from(["work", "mine", "crash"]), st.sampled_from([n for n in range(-6, 7) if n])
)


@settings(max_examples=200)
@given(st.lists(MOVES, max_size=40))
def test_converges_whatever_crashes_and_reorgs(moves: list[str | int]) -> None:
    """A repaid loan is released in the end, whatever happened on the way, and nothing is owed."""
    chains, start = Chains(), play(draft(), *_agreed())
    log: list[Event] = []
    state = start
    repaid_by = False

    def take_in(command: Command, *, fact: bool) -> None:
        nonlocal state
        for event in (witness if fact else decide)(state, command):
            step = Step(state, event, evolve(state, event))
            assert broken(step) == ()
            log.append(event)
            state = step.after

    for move in [*moves, *["work", "mine"] * (6 * CONFIRMATIONS), "work"]:
        if move == "crash":
            state = fold(start, tuple(log))
        elif move == "mine":
            chains.mine()
        elif isinstance(move, int):
            chains.reorg(min(abs(move), len(chains.blocks)), lossy=move < 0)
        else:
            # Its owner sends a deposit again that a reorganisation lost.
            chains.broadcast("deposit")
            for command in chains.look(state):
                take_in(command, fact=True)
            for effect in due(state):
                chains.perform(state, effect, state.system.clock)
            for command in chains.sent.values():
                # The EVM tells the same story again: a mint is known by its outpoint.
                if not isinstance(command, Mint) or not state.token.outpoints:
                    take_in(command, fact=False)
            if state.token.minted and not repaid_by:
                repaid_by = True
                for command in _borrowed_and_repaid(state.system.clock):
                    take_in(command, fact=False)
        assert fold(start, tuple(log)) == state
        assert due(fold(start, tuple(log))) == due(state)
    assert type(state.loan).__name__ == "Ended"
    assert state.loan.outcome.value == "RELEASED"
    assert due(state) == ()
    # Facts that came too early, and were taken in when they were told again: change before its
    # payout (BitcoinWatch tells it after), a payout while its coin was dug out.
    early = {"pledge/late", "payout/not-locked"}
    assert {incident.code for incident in state.incidents} <= early


def _agreed() -> tuple[Command, ...]:
    return (Offer(Role.LENDER, NOW, TERMS), Accept(Role.BORROWER, NOW), Open(Role.OPERATOR, NOW))


def _borrowed_and_repaid(at: Seconds) -> tuple[Command, ...]:
    return (
        TopUp(Role.BORROWER, at, ONE),
        posted(at, 1, AT_INITIAL),
        Draw(Role.BORROWER, at, OWED),
        Repay(Role.BORROWER, at, OWED),
    )


@pytest.mark.parametrize("build", [secured, active, called])
def test_an_idle_day_is_owed_nothing_new(build) -> None:
    """What is owed depends on state alone: asking again gives the same answer."""
    escrow = until(build(), NOW + DAY)
    assert due(escrow) == due(escrow)


def test_a_call_past_its_time_is_not_looked_at_each_second() -> None:
    """Between restore and call level it neither expires nor is cured, and time changes nothing."""
    between = PriceE8(36_000 * 10**8)
    late = kept_fresh(called(), until=Seconds(LATER + TERMS.cure + 2 * HOUR), price=between)
    assert late.loan.deadline < active_seconds(late.system, at=late.system.clock)
    assert due(late) == ()
    assert list(wakes(late)) == [DEFAULTS, RECOVERS]


def test_while_a_call_is_disputed_only_the_end_of_that_is_waited_for() -> None:
    escrow = called(arbiter="0x" + "a0" * 20, dispute=Seconds(3 * DAY))
    disputed = play(escrow, Dispute(Role.BORROWER, Seconds(escrow.system.clock)))
    end = disputed.loan.dispute.at + 3 * DAY + 1
    late = kept_fresh(disputed, until=Seconds(LATER + TERMS.cure + 2 * HOUR))
    assert [moment for moment in wakes(late) if moment not in (DEFAULTS, RECOVERS)] == [end]
