"""The experimental regime: who may pay whom in digital currency, and when that is over."""

from __future__ import annotations

from escrow.config import WorldConfig
from escrow.core.gates import ASSET
from escrow.core.regions.register import Purpose
from escrow.core.units import DAY, Seconds
from escrow.deal import Deal
from escrow.eligibility.elr import Regime, Trader
from escrow.parse import parse_btc, parse_cents, parse_time
from escrow.sim.pilot import Pilot, Plan
from escrow.sim.pilot_parts import free_tokens, pay_cash

_DENIED = "eligibility/denied"
TRADERS = {
    "borrower": Trader("importer", resident=True, listed=True),
    "lender": Trader("bank", resident=True, listed=True),
    "liquidator": Trader("shop", resident=True),
    "stranger": Trader("supplier", resident=False),
}
"""Parties and what they play."""


def config(plan: Plan, *, seed: int) -> WorldConfig:
    """A world of the plan's day."""
    return WorldConfig(seed=seed, start=plan.start)


def play(pilot: Pilot) -> None:
    """Play it."""
    plan, world = pilot.plan, pilot.world
    regime = Regime(world.switch_profile("ru-elr"))
    until = world.now + plan.integer("listed_days", 1, 10_000) * DAY
    for party, trader in TRADERS.items():
        regime.enter(trader)
        world.attest(party, trader.facts | {"mines": False}, until=until)
    pilot.step("registrar", "attest", "Who is resident, and who is listed by the regime.")
    loan = free_tokens(pilot, of="importer")

    btc = plan.text("paid")
    world.transfer(by="borrower", to="stranger", btc=btc, purpose=Purpose.PAYMENT)
    world.burn(loan, by="stranger", btc=btc)
    world.mine(loan.terms.confirmations)
    got = world.sats_of("stranger")
    pilot.step(
        "importer", "pay", "Across the border: the supplier is paid, and takes the coins.", sats=got
    )
    pilot.check("the supplier has coins on Bitcoin", 0 < got <= parse_btc(btc))
    with pilot.refused(_DENIED, "importer", "pay", "Two residents, both listed, and no border."):
        world.transfer(by="borrower", to="lender", btc=btc, purpose=Purpose.PAYMENT)
    with pilot.refused("elr/residents", "importer", "pay", "The regime calls it by its name."):
        _asked(regime, "importer", "bank", at=world.now)
    with pilot.refused("elr/not-listed", "shop", "pay", "A resident outside the regime."):
        _asked(regime, "shop", "supplier", at=world.now)

    _cash(pilot)
    last = plan.read("last_second", parse_time)
    _asked(regime, "importer", "supplier", at=last)
    pilot.step("importer", "ask", "In the regime's last second it would be let through.")
    with pilot.refused("elr/over", "importer", "ask", "A second later it would not."):
        _asked(regime, "importer", "supplier", at=Seconds(last + 1))
    _the_bill(pilot, loan)
    pilot.result |= {"ending": loan.phase, "supplier_sats": got}


def _asked(regime: Regime, payer: str, payee: str, *, at: Seconds) -> None:
    regime.check_payment(payer=payer, payee=payee, asset=ASSET, at=at)


def _cash(pilot: Pilot) -> None:
    """Between residents settlement cash moves, which is no digital currency."""
    world, cents = pilot.world, pilot.plan.read("cash", parse_cents)
    before = world.cash_of("lender")
    pay_cash(world, "borrower", "lender", cents)
    pilot.step("importer", "pay-cash", "The domestic leg is in settlement cash.", cents=cents)
    pilot.check("the bank was paid in cash", world.cash_of("lender") == before + cents)


def _the_bill(pilot: Pilot, loan: Deal) -> None:
    """Another profile for new offers; the loan keeps what it was offered under."""
    book = pilot.world.switch_profile("ru-draft-2026")
    pilot.step(
        "registrar", "switch-profile", "If the bill came: new offers only.", profile=book.profile
    )
    kept = loan.state.book
    pilot.check(
        "the loan keeps what it was offered under", kept is not None and kept.profile == "ru-elr"
    )
