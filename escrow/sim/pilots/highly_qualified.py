"""An investor's status: what proves it, what its loss stops, and what it does not."""

from __future__ import annotations

from escrow.config import WorldConfig
from escrow.core.gates import ASSET
from escrow.core.units import Cents, Seconds
from escrow.eligibility.days import day_of, first_second, parse_day
from escrow.eligibility.dfa import Decision, DfaOperator, InvestorClass
from escrow.eligibility.qualified import Evidence, Investor, stands
from escrow.eligibility.read import load_profile
from escrow.parse import parse_btc, parse_cents
from escrow.sim.pilot import Pilot, Plan
from escrow.sim.pilot_parts import free_tokens, pay_cash
from escrow.sim.registrar import Registrar

_DENIED = "eligibility/denied"
_INVESTOR, _FUND = "stranger", "liquidator"
"""Parties that play the investor, and a fund that is qualified all along."""


def config(plan: Plan, *, seed: int) -> WorldConfig:
    """A world of the plan's day."""
    return WorldConfig(seed=seed, start=plan.start)


def play(pilot: Pilot) -> None:
    """Play it."""
    plan, world = pilot.plan, pilot.world
    registrar, bought = Registrar(world), plan.text("bought")
    dated = first_second(plan.read("evidence_dated", parse_day))
    loan = free_tokens(pilot, of="miner")
    world.switch_profile("ru-elr")
    pilot.step("registrar", "switch-profile", "Tokens pass under the experimental regime.")

    edge = Evidence(plan.read("edge", parse_cents), Cents(0), Cents(0), dated)
    world.attest(_INVESTOR, edge.facts, until=edge.until)
    registrar.sync(_INVESTOR)
    with pilot.refused(_DENIED, "investor", "buy", "At the threshold is not above it."):
        world.transfer(by="borrower", to=_INVESTOR, btc=bought)

    proof = Evidence(plan.read("enough", parse_cents), Cents(0), Cents(0), dated)
    world.attest(_INVESTOR, proof.facts, until=proof.until)
    _admit_the_fund(pilot, registrar)
    registrar.sync(_INVESTOR)
    pay_cash(world, _INVESTOR, "borrower", plan.read("paid", parse_cents))
    world.transfer(by="borrower", to=_INVESTOR, btc=bought)
    pilot.step(
        "investor", "buy", "A kopeck more is: tokens for settlement cash.",
        sats=parse_btc(bought), cents=plan.read("paid", parse_cents),
        status=_stands(proof, at=world.now).value,
    )  # fmt: skip

    world.advance(seconds=proof.until - world.now + 1)
    pilot.step(
        "world", "advance", "The evidence is a second older than it may be.",
        status=_stands(proof, at=world.now).value,
    )  # fmt: skip
    with pilot.refused(_DENIED, "investor", "buy", "Nothing more is bought."):
        world.transfer(by="borrower", to=_INVESTOR, btc=bought)
    with pilot.refused("token/cannot-receive", "investor", "receive", "Nor round the gate."):
        pledge, sender = world.evm.contracts.pledge, world.party("borrower").account
        pledge.send(sender, "transfer", world.party(_INVESTOR).address_bytes, 1)
    held = world.tokens_of(_INVESTOR)
    pilot.check("nothing was taken from who lost the status", held == parse_btc(bought))
    registrar.let_out(_INVESTOR)
    world.transfer(by=_INVESTOR, to=_FUND, btc=bought)
    pilot.step("investor", "sell", "It sells to who is qualified, in its own time.", sats=held)
    pilot.check("what was held is sold", world.tokens_of(_INVESTOR) == 0)
    _assets(pilot)
    pilot.result |= {"ending": loan.phase, "fund_sats": world.tokens_of(_FUND)}


def _admit_the_fund(pilot: Pilot, registrar: Registrar) -> None:
    world = pilot.world
    proof = Evidence(pilot.plan.read("enough", parse_cents), Cents(0), Cents(0), world.now)
    world.attest(_FUND, proof.facts, until=proof.until)
    registrar.sync(_FUND)
    pilot.step("registrar", "attest", "The investor and a fund prove their status.")


def _stands(evidence: Evidence, *, at: Seconds) -> Investor:
    return stands(evidence, load_profile("ru-elr").book, at=at, asset=ASSET)


def _assets(pilot: Pilot) -> None:
    """The same day at an operator of digital financial assets."""
    plan, now = pilot.plan, pilot.world.now
    operator = DfaOperator(load_profile("ru-2024").book, exchanges=("exchange",))
    units, price = plan.integer("units", 1, 10**6), plan.read("unit_price", parse_cents)
    for name, kind in (
        ("person", InvestorClass.NON_QUALIFIED),
        ("fund", InvestorClass.QUALIFIED),
        ("bank", InvestorClass.QUALIFIED),
    ):
        operator.enter(name, kind)
    operator.issue(Decision("mining-2025", "miner", "a claim in roubles", 10 * units, price))
    paid = operator.buy("person", "mining-2025", units, at=now)
    pilot.step("person", "buy", "Digital financial assets up to the year's limit.", cents=paid)
    limit = plan.read("year_limit", parse_cents)
    pilot.check("the limit itself is allowed", paid == limit)
    with pilot.refused("dfa/limit", "person", "buy", "One unit more is over it."):
        operator.buy("person", "mining-2025", 1, at=now)
    year = day_of(now).year
    same = (operator.units_of("person", "mining-2025"), operator.bought_in("person", year))
    pilot.check("what was refused changed nothing", same == (units, limit))
    hold = operator.pledge("person", "mining-2025", units, creditor="bank")
    with pilot.refused("dfa/units", "person", "sell", "What is pledged stays."):
        operator.exchange(
            "person", "fund", "mining-2025", 1, price=price, through="exchange", at=now
        )
    operator.release(hold.id, by="bank")
    operator.freeze("person", court="court", at=now)
    with pilot.refused("dfa/frozen", "person", "sell", "What a court froze stays too."):
        operator.exchange(
            "person", "fund", "mining-2025", 1, price=price, through="exchange", at=now
        )
    operator.unfreeze("person", court="court")
    operator.exchange("person", "fund", "mining-2025", 1, price=price, through="exchange", at=now)
    pilot.step("person", "sell", "Let go, a unit passes through the exchange operator.", units=1)
