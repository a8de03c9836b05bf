"""Deals at every stage of their life, each led there by commands that the rules allow.

The numbers are round: no interest, one coin, 24,000.00 owed. Prices at the four levels are then
48,000 (50 %), 40,000 (60 %), 32,000 (75 %) and 30,000 (80 %) a coin, exactly.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from escrow.core.decide import Command, decide
from escrow.core.errors import Rejected
from escrow.core.regions.servicing import Instalment, ServicingPlan
from escrow.core.regions.system import System, new_system
from escrow.core.regions.vault import Payout
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event, fold
from escrow.core.terms import Liquidation, Terms
from escrow.core.units import COIN, DAY, HOUR, Bps, Cents, PriceE8, Sats, Seconds
from escrow.core.verbs.accept import Accept
from escrow.core.verbs.burn import BurnTokens
from escrow.core.verbs.cancel import Cancel
from escrow.core.verbs.draw import Draw
from escrow.core.verbs.expire_call import ExpireCall
from escrow.core.verbs.liquidate import Liquidate
from escrow.core.verbs.margin_call import MarginCall
from escrow.core.verbs.mark import Mark
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.offer import Offer
from escrow.core.verbs.open import Open
from escrow.core.verbs.payout import SawPayout, SawPayoutDepth, SawPayoutStuck
from escrow.core.verbs.pledge import SawCoin
from escrow.core.verbs.recover import NoteRecovery, SawRecovery
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.retire import Retire
from escrow.core.verbs.tick import Tick
from escrow.core.verbs.top_up import TopUp

NOW = Seconds(1_700_000_000)
"""When every deal is struck, opened, secured, priced and drawn."""
OWED = Cents(2_400_000)
"""24,000.00, all that the terms lend."""
ONE = Sats(COIN)
"""The collateral."""
AT_INITIAL, AT_RESTORE, AT_CALL, AT_LIQUIDATION = (
    PriceE8(whole * 10**8) for whole in (48_000, 40_000, 32_000, 30_000)
)
"""Prices at which 24,000.00 against one coin stands exactly at a level of the terms."""
COIN_A, COIN_B = "aa:0", "bb:1"
"""Outpoints."""
SCRIPT = "0014" + "11" * 20
"""P2WPKH."""
CONFIRMATIONS = 3
PLAN = ServicingPlan(
    notices=(Bps(5_500), Bps(6_500)),
    instalments=(
        Instalment(Seconds(NOW + 30 * DAY), Cents(400_000)),
        Instalment(Seconds(NOW + 60 * DAY), Cents(600_000)),
    ),
    grace=Seconds(2 * DAY),
    delinquency=Seconds(5 * DAY),
)
"""Notices at 55 and 65 %; 4,000.00 in a month and 6,000.00 in the next."""
TERMS = Terms(
    borrower="0x" + "b0" * 20,
    lender="0x" + "1e" * 20,
    vault="0x" + "5a" * 32,
    principal=OWED,
    rate_bps=Bps(0),
    initial_ltv=Bps(5_000),
    restore_ltv=Bps(6_000),
    call_ltv=Bps(7_500),
    liquidation_ltv=Bps(8_000),
    cure=Seconds(DAY),
    expires_at=Seconds(NOW + HOUR),
    draw_by=Seconds(NOW + DAY),
    maturity=Seconds(NOW + 90 * DAY),
    grace=Seconds(3 * DAY),
    recover_at=Seconds(NOW + 120 * DAY),
    confirmations=CONFIRMATIONS,
    liquidation=Liquidation.TAKE_OVER,
    bonus_bps=Bps(500),
    max_fee=Sats(5_000),
    nonce=7,
)
AUCTION: dict[str, Any] = {
    "liquidation": Liquidation.AUCTION,
    "bonus_bps": Bps(0),
    "buf_bps": Bps(12_000),
    "cut_bps": Bps(9_900),
    "step": Seconds(90),
    "tail": Seconds(7_200),
    "cusp_bps": Bps(4_000),
}
"""Terms of an auction like Maker's: 1.2 of the price at first, a hundredth less each 90 seconds."""


def platform() -> System:
    """Three oracles make a price and five a jump of more than a fifth; an hour of heartbeat, no
    price yet."""
    return new_system(origin=NOW, heartbeat=HOUR, quorum=3, wide_quorum=5, deviation=Bps(2_000))


def posted(at: Seconds, number: int, price: PriceE8) -> Mark:
    """Five oracles see the same price."""
    return Mark(Role.ORACLE, at, number, (price,) * 5, at)


def play(escrow: Escrow, *commands: Command) -> Escrow:
    """Decide and fold; every command must be allowed."""
    for command in commands:
        escrow = fold(escrow, decide(escrow, command))
    return escrow


def code_of(escrow: Escrow, command: Command) -> str:
    """The code with which ``command`` is refused; "" if it is allowed."""
    try:
        decide(escrow, command)
    except Rejected as refusal:
        return refusal.code
    return ""


def refuses(escrow: Escrow, command: Command, code: str, **facts: int | str) -> None:
    """Assert that ``command`` is refused with exactly ``code``, and with these facts among all."""
    with pytest.raises(Rejected) as refusal:
        decide(escrow, command)
    assert refusal.value.code == code
    assert facts.items() <= refusal.value.facts.items()


def names(events: tuple[Event, ...]) -> list[str]:
    """Names of events, to compare shapes."""
    return [type(event).__name__ for event in events]


def draft() -> Escrow:
    """Nothing was offered."""
    return Escrow(platform())


def offered(**terms: Any) -> Escrow:
    """The lender is bound."""
    return play(draft(), Offer(Role.LENDER, NOW, replace(TERMS, **terms)))


def accepted(**terms: Any) -> Escrow:
    """Both signed."""
    return play(offered(**terms), Accept(Role.BORROWER, NOW))


def opened(**terms: Any) -> Escrow:
    """On the EVM, without collateral."""
    return play(accepted(**terms), Open(Role.OPERATOR, NOW))


def final(outpoint: str = COIN_A, *, sats: int = COIN, at: Seconds = NOW) -> SawCoin:
    """The watcher sees a coin as deep as the terms ask."""
    return SawCoin(Role.WATCHER, at, outpoint, Sats(sats), CONFIRMATIONS, height=100)


def minted(*, sats: int = COIN, **terms: Any) -> Escrow:
    """A coin is final and its tokens are the borrower's, free."""
    return play(opened(**terms), final(sats=sats), Mint(Role.ATTESTOR, NOW, COIN_A, Sats(sats)))


def secured(*, sats: int = COIN, **terms: Any) -> Escrow:
    """The tokens are pledged."""
    return play(minted(sats=sats, **terms), TopUp(Role.BORROWER, NOW, Sats(sats)))


def priced(escrow: Escrow, price: PriceE8 = AT_INITIAL, *, at: Seconds = NOW) -> Escrow:
    """Two oracles sign ``price`` at ``at``."""
    last = escrow.system.price
    number = last.round + 1 if last else 1
    return play(escrow, posted(at, number, price))


def active(*, amount: int = OWED, **terms: Any) -> Escrow:
    """24,000.00 drawn at the initial level."""
    return play(priced(secured(**terms)), Draw(Role.BORROWER, NOW, Cents(amount)))


def serviced(**plan: Any) -> Escrow:
    """24,000.00 drawn, with a plan."""
    escrow = play(
        draft(),
        Offer(Role.LENDER, NOW, TERMS, replace(PLAN, **plan)),
        Accept(Role.BORROWER, NOW),
        Open(Role.OPERATOR, NOW),
        final(),
        Mint(Role.ATTESTOR, NOW, COIN_A, ONE),
        TopUp(Role.BORROWER, NOW, ONE),
    )
    return play(priced(escrow), Draw(Role.BORROWER, NOW, OWED))


def called(price: PriceE8 = AT_CALL, **terms: Any) -> Escrow:
    """The price fell to the call level a minute later, and the loan was called."""
    at = Seconds(NOW + 60)
    return play(priced(active(**terms), price, at=at), MarginCall(Role.OPERATOR, at))


def kept_fresh(escrow: Escrow, *, until: Seconds, price: PriceE8 = AT_CALL) -> Escrow:
    """A new price every hour up to ``until``, so that the active clock never stands."""
    at = escrow.system.clock
    while at < until:
        at = min(Seconds(at + HOUR), until)
        escrow = priced(escrow, price, at=at)
    return escrow


def liquidating(**terms: Any) -> Escrow:
    """The cure time passed."""
    escrow = called(**terms)
    late = Seconds(NOW + 60 + escrow.loan.terms.cure + 1)
    return play(kept_fresh(escrow, until=late), ExpireCall(Role.OPERATOR, late))


def repaid(**terms: Any) -> Escrow:
    """All was paid; the tokens are free."""
    return play(active(**terms), Repay(Role.BORROWER, NOW, OWED))


def seized(price: PriceE8 = AT_LIQUIDATION, **terms: Any) -> Escrow:
    """The lender took the collateral over at the liquidation level."""
    at = Seconds(NOW + 60)
    escrow = priced(active(**terms), price, at=at)
    kind = escrow.loan.terms.liquidation
    taker = Role.LENDER if kind is Liquidation.TAKE_OVER else Role.LIQUIDATOR
    return play(escrow, Liquidate(taker, at, kind))


def cancelled(**terms: Any) -> Escrow:
    """Ended undrawn, with the tokens free again."""
    return play(secured(**terms), Cancel(Role.BORROWER, NOW))


def burned(escrow: Escrow, sats: int = COIN, *, number: int = 0, at: Seconds = NOW) -> Escrow:
    """Free tokens are burned for coins."""
    return play(escrow, BurnTokens(Role.BORROWER, at, number, Sats(sats), SCRIPT))


def payout(**changes: Any) -> Payout:
    """Pays burn 0 of one coin, from that coin, for a fee of 1,000 sats."""
    plain = Payout("pp", (COIN_A,), ((0, Sats(COIN - 1_000)),), Sats(1_000), Sats(0))
    return replace(plain, **changes)


def paid_out(escrow: Escrow, **changes: Any) -> Escrow:
    """The payout is on Bitcoin, in the mempool."""
    return play(escrow, SawPayout(Role.WATCHER, escrow.system.clock, payout(**changes)))


def stuck(escrow: Escrow, *, txid: str = "pp") -> Escrow:
    """Six blocks passed the payout by."""
    return play(escrow, SawPayoutStuck(Role.WATCHER, escrow.system.clock, txid, 6))


def released(**terms: Any) -> Escrow:
    """Repaid, burned, paid out and buried: ended."""
    at = NOW
    escrow = paid_out(burned(repaid(**terms)))
    return play(escrow, SawPayoutDepth(Role.WATCHER, at, "pp", CONFIRMATIONS))


def recovered() -> Escrow:
    """The borrower took the coin through the timelock with the debt unpaid."""
    at = TERMS.recover_at
    return play(
        active(),
        Tick(Role.WATCHER, at),
        SawRecovery(Role.WATCHER, at, "rr", (COIN_A,)),
        Retire(Role.ATTESTOR, at, COIN_A, ONE),
        NoteRecovery(Role.BORROWER, at),
    )


def stale(escrow: Escrow) -> Escrow:
    """One second past the heartbeat of the last price."""
    last = escrow.system.price
    then = last.at + HOUR + 1 if last else escrow.system.clock
    return play(escrow, Tick(Role.WATCHER, Seconds(then)))


STAGES = {
    "DRAFT": draft,
    "OFFERED": offered,
    "ACCEPTED": accepted,
    "AWAITING_COLLATERAL": opened,
    "SECURED": secured,
    "ACTIVE": active,
    "MARGIN_CALL": called,
    "LIQUIDATING": liquidating,
    "REPAID": repaid,
    "SEIZED": seized,
    "CANCELLED": cancelled,
    "RELEASED": released,
    "RECOVERED": recovered,
}
"""A builder for every stage of the loan."""
