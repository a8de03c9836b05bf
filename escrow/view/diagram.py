"""The state diagram, drawn by walking the rules: nobody has to keep it true."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from escrow.core.decide import Command, decide
from escrow.core.errors import Rejected
from escrow.core.phases import loan_phase, owed_burns
from escrow.core.regions.loan import Called, Seized
from escrow.core.regions.servicing import Instalment, ServicingPlan, Standing
from escrow.core.regions.system import System, new_system
from escrow.core.regions.token import free
from escrow.core.regions.vault import Locked, Payout, Recovered
from escrow.core.roles import Role
from escrow.core.servicing import unpaid_since
from escrow.core.state import Escrow, fold
from escrow.core.terms import Liquidation, Terms
from escrow.core.units import BPS, COIN, DAY, HOUR, Bps, Cents, PriceE8, Sats, Seconds, muldiv_down
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
from escrow.core.verbs.payout import SawPayout, SawPayoutDepth
from escrow.core.verbs.pledge import SawCoin
from escrow.core.verbs.recover import NoteRecovery, SawRecovery
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.retire import Retire
from escrow.core.verbs.top_up import TopUp

_T0: Final = Seconds(1_000_000_000)
_TERMS: Final = Terms(
    borrower="0xb",
    lender="0xl",
    vault="0x00",
    principal=Cents(5_000_000),
    rate_bps=Bps(1_000),
    initial_ltv=Bps(5_000),
    restore_ltv=Bps(6_000),
    call_ltv=Bps(7_000),
    liquidation_ltv=Bps(8_500),
    cure=DAY,
    expires_at=Seconds(_T0 + DAY),
    draw_by=Seconds(_T0 + 2 * DAY),
    maturity=Seconds(_T0 + 30 * DAY),
    grace=DAY,
    recover_at=Seconds(_T0 + 60 * DAY),
    confirmations=2,
    liquidation=Liquidation.TAKE_OVER,
    bonus_bps=Bps(500),
    max_fee=Sats(1_000),
    nonce=0,
)
_KINDS: Final = (
    replace(_TERMS, arbiter="0x" + "ab" * 20, dispute=DAY),
    replace(
        _TERMS,
        liquidation=Liquidation.PARTIAL,
        bonus_bps=Bps(0),
        target_ltv=Bps(6_000),
    ),
    replace(
        _TERMS,
        liquidation=Liquidation.AUCTION,
        bonus_bps=Bps(0),
        buf_bps=Bps(BPS),
        cut_bps=Bps(9_000),
        step=Seconds(3 * DAY),
        tail=Seconds(3 * DAY),
        cusp_bps=Bps(1),
    ),
)
"""Terms under which everything can happen that moves a loan from one phase to another."""
_PLAN: Final = ServicingPlan(
    notices=(Bps(5_500),),
    instalments=(Instalment(Seconds(_T0 + 10 * DAY), Cents(1_000_000)),),
    grace=DAY,
    delinquency=DAY,
)
_DEFAULT: Final = Seconds(_TERMS.maturity + _TERMS.grace)
"""The last second before the book's own time of default."""
_PRICES: Final = (110_000, 80_000, 68_000, 58_000, 40_000)
_SCRIPT: Final = "0014" + "00" * 20
_DEPTH: Final = 32
"""Commands in a row that the walk follows; a life takes fewer."""

_Move = Callable[[Escrow, Seconds], Command]
_Moves = Callable[[Escrow], Iterator[_Move]]


def _moves(escrow: Escrow) -> Iterator[_Move]:
    """A small alphabet: for every verb the ask that could work now, and prices of three kinds."""
    b, lender, op, eye = Role.BORROWER, Role.LENDER, Role.OPERATOR, Role.WATCHER
    yield lambda _, at: Offer(lender, at, _TERMS)
    yield lambda _, at: Accept(b, at)
    yield lambda _, at: Cancel(b, at)
    yield lambda _, at: Open(op, at)
    yield lambda _, at: SawCoin(eye, at, "aa:0", Sats(COIN), 0)
    yield lambda _, at: SawCoin(eye, at, "aa:0", Sats(COIN), 2, 101)
    yield lambda _, at: Mint(Role.ATTESTOR, at, "aa:0", Sats(COIN))
    yield lambda e, at: TopUp(b, at, free(e.token))
    yield lambda _, at: Draw(b, at, Cents(5_000_000))
    yield lambda _, at: Repay(b, at, Cents(1_000_000))
    yield lambda _, at: Repay(b, at, Cents(10**10))
    yield lambda _, at: MarginCall(op, at)
    yield lambda _, at: Cure(op, at)
    yield lambda _, at: ExpireCall(op, at)
    yield lambda _, at: Liquidate(lender, at, Liquidation.TAKE_OVER)
    yield lambda e, at: BurnTokens(b, at, len(e.token.burns) + 1, free(e.token), _SCRIPT)
    for burn in owed_burns(escrow)[:1]:
        change = Sats(sum(c.sats for c in escrow.vault.coins) - burn.sats)
        payout = Payout("bb", ("aa:0",), ((burn.id, Sats(burn.sats - 500)),), Sats(500), change)
        yield lambda _, at, payout=payout: SawPayout(eye, at, payout)  # type: ignore[misc]
    yield lambda _, at: SawPayoutDepth(eye, at, "bb", 2)
    yield lambda _, at: Lapse(eye, Seconds(max(at, _TERMS.expires_at + 1)))
    if any(isinstance(coin.status, Locked) for coin in escrow.vault.coins):
        late = Seconds(_TERMS.recover_at)
        yield lambda _, at: SawRecovery(eye, Seconds(max(at, late)), "cc", ("aa:0",))
    if any(isinstance(coin.status, Recovered) for coin in escrow.vault.coins):
        yield lambda _, at: Retire(Role.ATTESTOR, at, "aa:0", Sats(COIN))
        yield lambda _, at: NoteRecovery(op, Seconds(max(at, _TERMS.recover_at)))


def _sales(escrow: Escrow) -> Iterator[_Move]:
    """What may be asked of a drawn loan about calls, disputes and sales."""
    b, op, buyer = Role.BORROWER, Role.OPERATOR, Role.LIQUIDATOR
    yield lambda _, at: MarginCall(op, at)
    yield lambda _, at: Cure(op, at)
    yield lambda _, at: Dispute(b, at)
    yield lambda _, at: Resolve(Role.ARBITER, at, upheld=True)
    yield lambda _, at: ExpireCall(op, at)
    yield lambda _, at: Liquidate(buyer, at, Liquidation.PARTIAL)
    yield lambda _, at: Redo(op, at)
    for part in (10, 2, 1):
        want = Sats(muldiv_down(escrow.token.held, 1, part))
        yield lambda _, at, want=want: Take(buyer, at, want)  # type: ignore[misc]


def _servicing(escrow: Escrow) -> Iterator[_Move]:
    """What may be said of a loan that is serviced."""
    op, lender = Role.OPERATOR, Role.LENDER
    yield lambda _, at: Notice(op, at)
    yield lambda _, at: MarginCall(op, at)
    yield lambda _, at: Cure(op, at)
    yield lambda _, at: Impair(lender, at)
    yield lambda _, at: LiftImpairment(lender, at)
    yield lambda _, at: Repay(Role.BORROWER, at, Cents(10**10))
    yield lambda _, at: Repay(Role.BORROWER, at, _PLAN.instalments[0].amount)
    since = unpaid_since(escrow)
    for patience in (0, _PLAN.grace, _PLAN.grace + _PLAN.delinquency):
        then = Seconds(max(escrow.system.clock, (since or 0) + patience + 1))
        yield lambda _, at, then=then: Assess(op, max(at, then))  # type: ignore[misc]
        yield lambda _, at, then=then: DeclareDefault(lender, max(at, then))  # type: ignore[misc]
    yield lambda _, at: Assess(op, at)
    yield lambda _, at: Liquidate(lender, at, Liquidation.TAKE_OVER)


def _drawn(terms: Terms, system: System, plan: ServicingPlan | None = None) -> Escrow:
    """A loan of these terms with a coin pledged and all of it drawn."""
    b, eye, escrow = Role.BORROWER, Role.WATCHER, Escrow(system)
    for command in (
        Offer(Role.LENDER, _T0, terms, plan),
        Accept(b, _T0),
        Open(Role.OPERATOR, _T0),
        SawCoin(eye, _T0, "aa:0", Sats(COIN), 2, 101),
        Mint(Role.ATTESTOR, _T0, "aa:0", Sats(COIN)),
        TopUp(b, _T0, Sats(COIN)),
        Mark(Role.ORACLE, _T0, 1, (PriceE8(_PRICES[0] * 10**8),), _T0),
        Draw(b, _T0, terms.principal),
    ):
        escrow = fold(escrow, decide(escrow, command))
    return escrow


def _priced(escrow: Escrow, coin: int, at: Seconds) -> Escrow:
    """The same deal a while later, at another price."""
    last = escrow.system.price
    number = last.round + 1 if last else 1
    price = PriceE8(coin * 10**8)
    return fold(escrow, decide(escrow, Mark(Role.ORACLE, at, number, (price,), at)))


def edges() -> set[tuple[str, str, str]]:
    """Every (phase, command, phase) that a walk over the rules finds."""
    system = new_system(
        origin=_T0, heartbeat=Seconds(2 * DAY), quorum=1, wide_quorum=1, deviation=Bps(BPS)
    )
    found = _walk([Escrow(system)], _moves)
    # Calls, disputes and sales of the other kinds begin where money is lent, and so does servicing.
    found |= _walk([_drawn(terms, system) for terms in _KINDS], _sales)
    return found | _walk([_drawn(_TERMS, system, _PLAN)], _servicing)


def _walk(frontier: list[Escrow], moves: _Moves) -> set[tuple[str, str, str]]:
    found: set[tuple[str, str, str]] = set()
    seen: set[tuple[object, ...]] = set()
    for _ in range(_DEPTH):
        reached: list[Escrow] = []
        for escrow in frontier:
            for after, command in _next(escrow, moves):
                edge = (loan_phase(escrow), type(command).__name__, loan_phase(after))
                if edge[0] != edge[2]:
                    found.add(edge)
                if (key := _key(after)) not in seen:
                    seen.add(key)
                    reached.append(after)
        frontier = reached
    return found


def _next(escrow: Escrow, moves: _Moves) -> Iterator[tuple[Escrow, Command]]:
    now = escrow.system.clock
    # The price recovers, falls to the call level or to the liquidation level; a called loan is
    # also left alone for longer than its cure time.
    waits = [1, DAY + HOUR] if isinstance(escrow.loan, Called) else [1]
    if escrow.servicing.standing is Standing.DEFAULTED and now <= _DEFAULT:
        waits.append(_DEFAULT + 1 - now)
    worlds = [escrow] + [
        _priced(escrow, coin, Seconds(now + wait)) for wait in waits for coin in _PRICES
    ]
    for world in worlds:
        for move in moves(world):
            command = move(world, world.system.clock)
            try:
                events = decide(world, command)
            except Rejected:
                continue
            if events:
                yield fold(world, events), command


def _key(escrow: Escrow) -> tuple[object, ...]:
    """States that differ only in amounts and times lead to the same phases."""
    price = escrow.system.price
    return (
        type(escrow.loan).__name__,
        loan_phase(escrow),
        getattr(getattr(escrow.loan, "terms", None), "liquidation", None),
        isinstance(escrow.loan, Called) and escrow.loan.dispute is not None,
        isinstance(escrow.loan, Seized) and escrow.loan.split.bad_debt > 0,
        tuple(type(coin.status).__name__ for coin in escrow.vault.coins),
        tuple(payout.final for payout in escrow.vault.payouts),
        bool(escrow.token.held),
        bool(free(escrow.token)),
        len(escrow.token.burns),
        len(escrow.token.retired_outpoints),
        price.price if price else 0,
        escrow.servicing.impaired_at is not None,
        escrow.servicing.standing,
    )


def mermaid() -> str:
    """The loan's life as a Mermaid ``stateDiagram-v2``."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for source, command, target in sorted(edges()):
        grouped.setdefault((source, target), []).append(command)
    rows = [f"    {a} --> {b}: {' / '.join(c)}" for (a, b), c in sorted(grouped.items())]
    return "\n".join(["stateDiagram-v2", "    [*] --> DRAFT", *rows])
