"""A miner and the registry: free, obliged, registered, overdue, struck off, and back."""

from __future__ import annotations

from escrow.config import WorldConfig
from escrow.deal import Deal
from escrow.eligibility.days import Month, month_of
from escrow.eligibility.miners import (
    Ground,
    MinerClass,
    MinerRegister,
    due_of,
    registered_of,
    standing,
)
from escrow.parse import parse_btc, parse_cents
from escrow.sim.pilot import Pilot, Plan
from escrow.sim.pilot_parts import tell_terms
from escrow.sim.registrar import Registrar

_DENIED = "eligibility/denied"


def config(plan: Plan, *, seed: int) -> WorldConfig:
    """A world of the plan's day."""
    return WorldConfig(seed=seed, start=plan.start)


def play(pilot: Pilot) -> None:
    """Play it."""
    plan, world = pilot.plan, pilot.world
    inn, march = plan.text("inn"), month_of(world.now)
    january, february = Month(march - 2), Month(march - 1)
    mined, more = plan.read("mined", parse_btc), plan.text("top_up")
    registrar, register = Registrar(world, may_pay=True), MinerRegister()
    world.switch_profile("ru-2024")
    pilot.step("registrar", "switch-profile", "New offers are under the rules of 2024.")

    kwh = [plan.integer(f"kwh_{name}", 0, 10**6) for name in ("first", "second")]
    register.add(inn, MinerClass.INDIVIDUAL, since=january)
    register.read_meter(inn, january, kwh[0])
    free = not registrar.tell("borrower", register.miner(inn)).denied
    pilot.step(
        "miner", "read-meter", "January is at the threshold: no registration is needed.",
        kwh=kwh[0], standing=standing(register.miner(inn), at=world.now).value,
    )  # fmt: skip
    pilot.check("at exactly the threshold an individual is let in", free)

    register.read_meter(inn, february, kwh[0] + kwh[1])
    registrar.tell("borrower", register.miner(inn))
    pilot.step(
        "miner", "read-meter", "February is above it: the miner must be registered, and is not.",
        kwh=kwh[1], standing=standing(register.miner(inn), at=world.now).value,
    )  # fmt: skip
    with pilot.refused(_DENIED, "lender", "offer", "The bank offers nothing to who is obliged."):
        world.offer(world.terms(principal=plan.text("principal")))

    register.register(inn, at=world.now)
    registrar.tell("borrower", register.miner(inn))
    pilot.step("miner", "register", "The miner is entered, and its record on chain is good.")
    loan = world.open(
        btc=plan.text("collateral"),
        principal=plan.text("principal"),
        price=plan.text("price"),
    )
    tell_terms(pilot, loan)
    book = loan.state.book
    assert book is not None
    pilot.step(
        "lender", "lend", "Offered, pledged and drawn under these rules, which the loan keeps.",
        profile=book.profile, cents=plan.read("principal", parse_cents),
    )  # fmt: skip
    _to_vault(pilot, loan, more)
    _overdue(pilot, loan, registrar, register, month=march)

    filed = register.report(inn, march, at=world.now, sats=mined, addresses=("bcrt1-of-the-miner",))
    registrar.tell("borrower", register.miner(inn))
    pilot.step(
        "miner", "report", "The report of March is filed late, and the gate opens again.",
        sats=mined, late="yes" if filed.late else "no",
    )  # fmt: skip
    world.secure(loan)
    pilot.step("borrower", "top-up", "The tokens are pledged.", sats=parse_btc(more))

    register.delist(inn, Ground.FALSE_DATA, at=world.now)
    registrar.tell("borrower", register.miner(inn))
    pilot.step("tax service", "delist", "False data: struck off.", ground=Ground.FALSE_DATA.value)
    with pilot.refused(_DENIED, "borrower", "pledge", "No more coins are taken from it."):
        world.pledge(loan, btc=more)
    with pilot.refused(
        "token/cannot-send", "borrower", "transfer", "Round the bank, the token says no as well."
    ):
        pledge = world.evm.contracts.pledge
        other = world.party("stranger").address_bytes
        pledge.send(world.party("borrower").account, "transfer", other, 1)
    with pilot.refused(_DENIED, "lender", "offer", "And nothing new is offered."):
        world.offer(world.terms(principal=plan.text("principal")))
    _pays_and_leaves(pilot, loan, registrar, register)
    people = plan.integer("population", 1, 10**9)
    share = plan.integer("registered_share_bps", 0, 10_000)
    registered = registered_of(people, share_bps=share)
    pilot.result |= {
        "ending": loan.phase,
        "population": people,
        "registered_at_most": registered,
        "kept_out_at_least": people - registered,
    }
    _checks(pilot, loan)


def _to_vault(pilot: Pilot, loan: Deal, btc: str) -> None:
    """Coins to the vault, final and minted for, and not pledged yet."""
    pilot.world.pay("borrower", btc=btc, to=loan.vault.address)
    pilot.world.mine(loan.terms.confirmations)


def _overdue(
    pilot: Pilot, loan: Deal, registrar: Registrar, register: MinerRegister, *, month: Month
) -> None:
    """A report falls due unfiled: the evidence ends by time alone, then the registrar says why."""
    world, inn = pilot.world, pilot.plan.text("inn")
    world.silence("oracle-1", "oracle-2", "oracle-3", "oracle-4", "oracle-5")
    world.advance(seconds=due_of(month) - world.now)
    with world.fork() as fork:
        fork.secure(fork.loans[0])
        last = fork.loans[0].state.token.held
    pilot.check("in the last second of the 20th tokens are still taken", last > _held(loan))
    world.advance(seconds=1)
    with pilot.refused(
        _DENIED, "borrower", "top-up", "A second later the evidence is out of date."
    ):
        world.secure(loan)
    registrar.tell("borrower", register.miner(inn))
    stands = standing(register.miner(inn), at=world.now)
    pilot.step("registrar", "attest", "The report is overdue.", standing=stands.value)
    with pilot.refused(_DENIED, "borrower", "top-up", "Now the reason is the report."):
        world.secure(loan)


def _held(loan: Deal) -> int:
    return loan.state.token.held


def _pays_and_leaves(
    pilot: Pilot, loan: Deal, registrar: Registrar, register: MinerRegister
) -> None:
    """Who is struck off pays what it owes, and gets its coins back."""
    world, plan = pilot.world, pilot.plan
    world.answer("oracle-1", "oracle-2", "oracle-3", "oracle-4", "oracle-5")
    part = plan.text("part_paid")
    world.repay(loan, part)
    pilot.step(
        "borrower", "repay", "What is owed can be paid all the same.", cents=parse_cents(part)
    )
    register.register(plan.text("inn"), at=world.now)
    registrar.tell("borrower", register.miner(plan.text("inn")))
    pilot.step("tax service", "register", "Entered anew: its record is good again.")
    world.repay(loan)
    world.release(loan)
    pilot.step("borrower", "release", "Paid in full, and the coins come back.")


def _checks(pilot: Pilot, loan: Deal) -> None:
    denied = [each for each in pilot.steps if each.refused == _DENIED]
    pilot.check("every refusal names its rule", all("rule" in each.facts for each in denied))
    pilot.check("no incident was noted", not loan.state.incidents)
    pilot.check("the loan ended with its coins released", loan.phase == "RELEASED")
