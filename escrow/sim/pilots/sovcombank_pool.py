"""Many small loans to many miners: a sample on both chains, the whole pool by the rules alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from escrow.adapters.price.walk import walk_prices
from escrow.config import WorldConfig
from escrow.core.regions.loan import Called
from escrow.core.rules import Debt, accrue, at_or_above, interest_due
from escrow.core.units import BPS, DAY, HOUR, Bps, Cents, PriceE8, Sats, Seconds, muldiv_down
from escrow.deal import Deal
from escrow.parse import parse_cents, parse_price
from escrow.sim.outcomes import Outcomes, outcomes
from escrow.sim.pilot import Pilot, Plan
from escrow.sim.pool import (
    GATES,
    MONTH,
    Applicant,
    Crowd,
    Kind,
    Offer,
    Pool,
    Rules,
    admit,
    gather,
)
from escrow.sim.portfolio import Member, Portfolio
from escrow.streams import Streams
from escrow.words import coins, exact, money, percent

_BITCOIN: Final = "bitcoin"
_DFA: Final = "DFA claim"
_GOOD: Final = Applicant(
    name="miner",
    company=True,
    months=36,
    registered=True,
    tax_debt=False,
    proof=True,
    term_months=12,
)
"""Whom every gate lets in."""
_KEPT_OUT: Final = {
    "sovcombank/legal-entity": replace(_GOOD, company=False),
    "ru/mining-registry": replace(_GOOD, registered=False),
    "sovcombank/age": replace(_GOOD, months=3),
    "sovcombank/tax-debt": replace(_GOOD, tax_debt=True),
    "sovcombank/ownership": replace(_GOOD, proof=False),
    "sovcombank/term": replace(_GOOD, term_months=36),
}
"""The same, but for one thing each."""


def config(plan: Plan, *, seed: int) -> WorldConfig:
    """The world in which it is played: a borrower for each loan of the sample."""
    chosen = _sample(plan, _pool(plan, seed=seed))
    most = sum(member.draw for member in chosen)
    return WorldConfig(
        seed=seed,
        start=plan.start,
        cash=Cents(max(WorldConfig().cash, 2 * most)),
        extra=tuple(f"{member.name}:borrower" for member in chosen),
    )


def play(pilot: Pilot) -> None:
    """Play it."""
    plan, seed = pilot.plan, pilot.world.config.seed
    pool = _pool(plan, seed=seed)
    _gates(pilot, pool)
    _interest(pilot)
    deals = _fund(pilot, _sample(plan, pool))
    _mark(pilot, deals)
    _answer(pilot, deals)
    _float(pilot, deals)
    _close(pilot, deals)
    _whole(pilot, pool)


def _offer(plan: Plan) -> Offer:
    bps = {name: Bps(plan.integer(name, 0, BPS)) for name in plan.terms if name.endswith("_bps")}

    def kind(name: str, discount: Bps) -> Kind:
        initial = BPS - discount
        return Kind(
            name=name,
            initial=Bps(initial),
            restore=Bps(initial + bps["restore_bps"]),
            call=Bps(initial + bps["call_bps"]),
            liquidation=Bps(initial + bps["liquidation_bps"]),
        )

    return Offer(
        at=plan.start,
        price=plan.read("price", parse_price),
        rules=Rules(
            least_age=plan.integer("least_age_months", 0, 1_200),
            longest=plan.integer("longest_months", 1, 120),
        ),
        kinds=(kind(_BITCOIN, bps["discount_bps"]), kind(_DFA, bps["dfa_discount_bps"])),
        other=bps["dfa_bps"],
        rate=Bps(bps["key_rate_bps"] + bps["margin_bps"]),
        least=plan.read("least_loan", parse_cents),
        most=plan.read("most_loan", parse_cents),
        least_months=plan.integer("least_months", 1, 120),
        used=bps["used_bps"],
        cure=Seconds(plan.integer("cure_hours", 1, 720) * HOUR),
        grace=Seconds(plan.integer("grace_days", 0, 365) * DAY),
        recover_in=Seconds(plan.integer("recover_days", 1, 365) * DAY),
        confirmations=plan.integer("confirmations", 1, 100),
        max_fee=Sats(plan.integer("max_fee", 1, 10**7)),
        habit=(bps["answers_bps"], bps["pays_bps"], bps["repays_bps"]),
        reserve=bps["reserve_bps"],
    )


def _pool(plan: Plan, *, seed: int) -> Pool:
    crowd = Crowd(
        company=Bps(plan.integer("company_bps", 0, BPS)),
        registered=Bps(plan.integer("registered_bps", 0, BPS)),
        tax_debt=Bps(plan.integer("tax_debt_bps", 0, BPS)),
        proof=Bps(plan.integer("proof_bps", 0, BPS)),
        too_long=Bps(plan.integer("too_long_bps", 0, BPS)),
        oldest=plan.integer("oldest_months", 1, 1_200),
    )
    return gather(
        crowd,
        _offer(plan),
        loans=plan.integer("loans", 1, 10_000),
        population=plan.integer("population", 1, 10**6),
        streams=Streams(b"pool" + seed.to_bytes(8, "big")),
    )


def _sample(plan: Plan, pool: Pool) -> list[Member]:
    """The first of those who pledge bitcoin."""
    size = plan.integer("sample", 2, 100)
    return [each for each in pool.members if pool.kinds[each.name] == _BITCOIN][:size]


def _gates(pilot: Pilot, pool: Pool) -> None:
    rules = _offer(pilot.plan).rules
    for gate in GATES:
        words = f"A miner asks: {gate.reason}."
        with pilot.refused("eligibility/denied", "lender", "admit", words):
            admit(_KEPT_OUT[gate.rule], rules)
    kinds = sum(kind == _BITCOIN for kind in pool.kinds.values())
    pilot.step(
        "lender",
        "admit",
        f"Of {pool.asked:,} miners that ask {len(pool.members):,} are let in: {kinds:,} pledge "
        f"bitcoin, the others DFA claims. "
        + "; ".join(f"{rule} keeps out {count:,}" for rule, count in sorted(pool.denied.items()))
        + ".",
        asked=pool.asked,
        admitted=len(pool.members),
        bitcoin=kinds,
    )
    pilot.result |= {"asked": pool.asked, "admitted": len(pool.members)}
    pilot.result |= {f"denied_{rule}": count for rule, count in sorted(pool.denied.items())}


def _interest(pilot: Pilot) -> None:
    rate = _offer(pilot.plan).rate
    debt = accrue(Debt(principal=Cents(100_000_000)), rate_bps=rate, at=Seconds(31 * DAY))
    cents = interest_due(debt)
    pilot.step(
        "lender",
        "reckon",
        f"A million for 31 days at {percent(rate)}, actual/365, costs {money(cents)}.",
        interest_cents=cents,
        rate_bps=rate,
    )
    if rate == 2_300:
        pilot.check("a million for 31 days at 23 % costs 19,534.25", cents == 1_953_425)


def _fund(pilot: Pilot, members: list[Member]) -> list[Deal]:
    """All in one block of each chain."""
    world, deals = pilot.world, list[Deal]()
    for each in members:
        terms = world.terms(
            borrower=each.name,
            rate_bps=each.terms.rate_bps,
            initial_ltv=each.terms.initial_ltv,
            restore_ltv=each.terms.restore_ltv,
            call_ltv=each.terms.call_ltv,
            liquidation_ltv=each.terms.liquidation_ltv,
            cure=each.terms.cure,
            term=each.terms.maturity - pilot.plan.start,
            grace=each.terms.grace,
            recover_in=each.terms.recover_at - each.terms.maturity - each.terms.grace,
            confirmations=each.terms.confirmations,
            bonus_bps=each.terms.bonus_bps,
            max_fee=each.terms.max_fee,
        )
        deals.append(world.accept(world.offer(replace(terms, principal=each.draw))))
    pledged = Sats(sum(each.pledged for each in members))
    world.pledge_many([(d, exact(m.pledged)) for d, m in zip(deals, members, strict=True)])
    pilot.step(
        "borrowers",
        "pledge",
        f"{len(deals)} miners pledge {coins(pledged)} into {len(deals)} vaults, each in a "
        "transaction of its own, all in one Bitcoin block.",
        sats=pledged,
    )
    world.price(pilot.plan.text("price"))
    for deal in deals:
        world.draw(deal)
    lent = sum(deal.terms.principal for deal in deals)
    pilot.step("lender", "lend", f"The bank lends {money(lent)} in one EVM block.", cents=lent)
    heights = {c.height for d in deals for c in world.bitcoin.coins(d.vault.script_pubkey)}
    pilot.check("all vaults of the sample are funded in one Bitcoin block", len(heights) == 1)
    pilot.check("all loans of the sample are drawn in one EVM block", len(_blocks(pilot)) == 1)
    pilot.result |= {"sample_loans": len(deals), "sample_lent_cents": lent}
    return deals


def _blocks(pilot: Pilot) -> set[int]:
    """EVM blocks that hold what the last step did, but for prices of before."""
    first, after = pilot.steps[-1].acts
    chain = pilot.world.evm.chain
    receipts = [
        chain.receipt(bytes.fromhex(tx[2:]))
        for act in pilot.world.acts[first - 1 : after - 1]
        for tx in act.evm
    ]
    return {each.block_number for each in receipts if each is not None}


def _mark(pilot: Pilot, deals: list[Deal]) -> None:
    """One price for all."""
    plan, world = pilot.plan, pilot.world
    start = plan.read("price", parse_price)
    low = PriceE8(muldiv_down(start, BPS - plan.integer("fall_bps", 1, BPS - 1), BPS))
    world.price(exact(low))
    called = [deal for deal in deals if isinstance(deal.state.loan, Called)]
    pilot.step(
        "oracles",
        "mark",
        f"One price for all: {exact(low)}. {len(called)} of {len(deals)} loans reach their level "
        "and are called in its block.",
        called=len(called),
    )
    reached = [deal for deal in deals if _is_at(deal, deal.terms.call_ltv, price=low)]
    pilot.check("called are those at their level, and no other", called == reached)
    pilot.check("the price and all its calls are in one EVM block", len(_blocks(pilot)) == 1)
    pilot.result["sample_called"] = len(called)


def _answer(pilot: Pilot, deals: list[Deal]) -> None:
    """Every second one called sends coins; the others are silent, and the bank takes over."""
    world = pilot.world
    called = [deal for deal in deals if isinstance(deal.state.loan, Called)]
    careful, silent = called[::2], called[1::2]
    more = [(deal, exact(deal.state.token.held)) for deal in careful]
    if more:
        world.pledge_many(more)
    pilot.step(
        "borrowers",
        "top-up",
        f"{len(careful)} of those called pledge as much again, in one Bitcoin block; the operator "
        "has their calls cured.",
        cured=len(careful),
    )
    world.advance(hours=pilot.plan.integer("cure_hours", 1, 720) + 1)
    for deal in silent:
        world.liquidate(deal)
    sold = sum(deal.phase == "LIQUIDATING" for deal in silent)
    pilot.step(
        "lender",
        "take-over",
        f"{len(silent)} are silent: their time passes, and the bank takes their coins.",
        taken=sold,
    )
    pilot.check("who answered is not touched", all(deal.phase == "ACTIVE" for deal in careful))
    pilot.check("who was silent is realised", sold == len(silent))
    pilot.result |= {"sample_cured": len(careful), "sample_taken": len(silent)}


def _is_at(deal: Deal, level: Bps, *, price: PriceE8) -> bool:
    return at_or_above(deal.debt, sats=deal.state.token.held, price=price, level=level)


def _float(pilot: Pilot, deals: list[Deal]) -> None:
    """The key rate changes: new terms where the coins carry the debt at the restore level."""
    plan, world = pilot.plan, pilot.world
    rate = plan.integer("later_key_rate_bps", 0, BPS) + plan.integer("margin_bps", 0, BPS)
    live = sorted((deal for deal in deals if deal.phase == "ACTIVE"), key=lambda d: d.ltv or 0)

    def renew(deal: Deal) -> None:
        restore = deal.terms.restore_ltv
        world.refinance(deal, rate_bps=rate, principal=deal.debt, initial_ltv=restore)

    if (live[-1].ltv or 0) > live[-1].terms.restore_ltv:
        words = f"The key rate changes; one loan cannot go on at {percent(Bps(rate))} yet."
        with pilot.refused("draw/above-initial-ltv", "operator", "refinance", words):
            renew(live[-1])
    renew(live[0])
    pilot.step(
        "operator",
        "refinance",
        f"One goes on at {percent(Bps(rate))} by terms that both sides sign anew; the interest "
        "until now is principal from now on.",
        rate_bps=rate,
    )
    pilot.check("a loan whose coins carry it has the new rate", live[0].terms.rate_bps == rate)


def _close(pilot: Pilot, deals: list[Deal]) -> None:
    """Some repay early."""
    world = pilot.world
    first = next(deal for deal in deals if deal.phase == "ACTIVE")
    world.repay(first)
    world.release(first)
    pilot.step(
        "borrower",
        "repay",
        "One repays before its time and has its coins back; nobody else's loan is touched.",
        repaid=1,
    )
    pilot.check("who repaid has its coins back", first.phase == "RELEASED")


def _whole(pilot: Pilot, pool: Pool) -> None:
    """The whole pool by the rules alone, to its end."""
    plan, world = pilot.plan, pilot.world
    offer = _offer(plan)
    every = plan.integer("price_every_hours", 1, 24)
    days = offer.rules.longest * MONTH + offer.grace + 3 * DAY
    hours = muldiv_down(days, 1, HOUR)
    path = walk_prices(world.config.seed, hours=hours, start=plan.start, price=offer.price)
    quotes = [quote for number, quote in enumerate(path) if number % every == 0]
    later = Bps(plan.integer("later_key_rate_bps", 0, BPS) + plan.integer("margin_bps", 0, BPS))
    floats = Seconds(plan.start + plan.integer("later_days", 1, 3_650) * DAY)
    portfolio = Portfolio(
        pool.members, first=quotes[0], seed=world.config.seed, rates=((floats, later),)
    )
    half = 1 + (len(quotes) >> 1)
    portfolio.run(quotes[1:half])
    middle = outcomes(portfolio)
    portfolio.run(quotes[half:])
    end = outcomes(portfolio)
    _tell(pilot, portfolio, middle, "half of the time", "halfway")
    _tell(pilot, portfolio, end, "the end", "end")
    laws, book = len(portfolio.book.broken), portfolio.book
    pilot.check(f"no law broken in {book.checked:,} checks without chains", laws == 0)
    pilot.check("every loan of the pool is over", end.total("outstanding") == 0)
    lent = end.total("lent")
    pilot.check(
        "what was lent was repaid, recovered or lost",
        end.total("repaid") + end.total("recovered") + end.total("loss") >= lent,
    )


def _tell(pilot: Pilot, portfolio: Portfolio, found: Outcomes, when: str, key: str) -> None:
    rows = found.as_dict()
    pilot.step(
        "lender",
        "report",
        f"By {when}, without chains: {money(found.total('outstanding'))} outstanding, "
        f"{found.total('calls'):,} calls, {found.total('cured'):,} cured, "
        f"{coins(found.total('sold'))} taken for {money(found.total('recovered'))}, "
        f"{money(found.total('loss'))} lost; the largest borrower has {percent(found.largest)} of "
        f"what was lent; the highest loan-to-value was {percent(found.worst)}.",
        **rows,
        resets_refused=portfolio.refused.total(),
    )
    pilot.result |= {f"{key}_{name}": each for name, each in rows.items()}
