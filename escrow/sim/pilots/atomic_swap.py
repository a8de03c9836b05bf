"""A miner sells bitcoin to a bank for digital roubles; neither has to trust the other."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.adapters.evm.contracts import Contract
from escrow.config import WorldConfig
from escrow.core.units import HOUR, MAX_CENTS, Bps, Cents, Seconds
from escrow.parse import parse_btc, parse_cents, parse_price
from escrow.sim import cash_legs
from escrow.sim.cash_legs import RATE_SCALE, Give, Limits, Rate, settle_cross_border
from escrow.sim.pilot import Pilot, Plan
from escrow.sim.swap import Swap, propose
from escrow.sim.swap_terms import Leg, LegState
from escrow.words import coins, money

MINER, BANK, DEALER = "borrower", "lender", "liquidator"
"""Who sells bitcoin, who buys it, and who changes roubles into yuan."""
_FIRM, _CONTRACT = 1, 2
"""Classes of wallets."""
_NO_LIMITS = Limits(balance=MAX_CENTS, payment=MAX_CENTS, period=MAX_CENTS)


def config(plan: Plan, *, seed: int) -> WorldConfig:
    """The world in which it is played."""
    return WorldConfig(seed=seed, start=plan.start)


def play(pilot: Pilot) -> None:
    """Play it."""
    story = _Story(pilot, *_platforms(pilot))
    story.swapped()
    story.given_up()
    story.changed()
    supply = story.roubles.call("totalSupply")
    held = sum(
        story.roubles.call("balanceOf", address)
        for address in (
            *(each.address_bytes for each in pilot.world.parties.values()),
            cash_legs.hash_lock(pilot.world).address,
        )
    )
    pilot.check("every digital rouble is in a wallet", held == supply)


def _platforms(pilot: Pilot) -> tuple[Contract, Contract]:
    """Two currencies, wallets in both, and roubles for the bank."""
    world, plan = pilot.world, pilot.plan
    limits = Limits(
        balance=plan.read("wallet_balance", parse_cents),
        payment=plan.read("wallet_payment", parse_cents),
        period=plan.read("wallet_period", parse_cents),
    )
    firms, locks = (MINER, BANK, DEALER), cash_legs.hash_lock(world).address
    made = []
    for name, symbol in (("Digital rouble", "RUBd"), ("Digital yuan", "CNYd")):
        token = cash_legs.open_currency(world, name=name, symbol=symbol)
        cash_legs.open_wallets(world, token, kind=_FIRM, limits=limits, accounts=firms)
        cash_legs.open_wallets(world, token, kind=_CONTRACT, limits=_NO_LIMITS, accounts=[locks])
        made.append(token)
    roubles, yuan = made
    cents = Cents(2 * plan.read("roubles", parse_cents))
    cash_legs.issue(world, roubles, to=BANK, cents=cents)
    cash_legs.issue(world, yuan, to=DEALER, cents=cents)
    text = "Two platforms open wallets for three firms, within limits, and issue money."
    pilot.step("operator", "open wallets", text, payment_cents=limits.payment)
    return roubles, yuan


@dataclass(frozen=True, slots=True)
class _Story:
    pilot: Pilot
    roubles: Contract
    yuan: Contract

    def swapped(self) -> None:
        """To the end, past what would hurt."""
        pilot, world = self.pilot, self.pilot.world
        text = "The miner's leg would not outlast the bank's: nobody agrees to that."
        with pilot.refused("swap/margin", MINER, "propose a swap", text):
            self._proposed(longer="others_hours")
        swap = self._proposed()
        sats, cents = swap.terms.sats, swap.terms.cents
        text = f"The miner draws a secret; {coins(sats)} against {money(cents)} of digital roubles."
        pilot.step(MINER, "propose a swap", text, sats=sats, cents=cents)
        swap.lock_bitcoin()
        text = "The coins wait in a script: for the bank with the secret, or for the miner later."
        pilot.step(MINER, "lock bitcoin", text, sats=sats)
        text = "The bank waits until the coins cannot be undone."
        with pilot.refused("swap/order", BANK, "lock cash", text):
            swap.lock_cash()
        world.mine(swap.terms.confirmations)
        swap.lock_cash()
        text = "The coins are final, so the bank locks its roubles on the same digest."
        pilot.step(BANK, "lock cash", text, cents=cents)
        text = "Another secret opens nothing."
        with pilot.refused("hashlock/preimage", MINER, "claim cash", text):
            swap.claim_cash(secret=bytes(32))
        self._offline(swap)
        swap.claim_cash()
        text = "The miner takes the roubles, and all can read the secret."
        pilot.step(MINER, "claim cash", text, cents=cents)
        before = world.sats_of(BANK)
        swap.claim_bitcoin()
        world.mine()
        text = "The bank reads it off the EVM and takes the coins."
        pilot.step(BANK, "claim bitcoin", text, sats=world.sats_of(BANK) - before)
        ends = {swap.state(leg) for leg in Leg}
        pilot.check("both legs were claimed", ends == {LegState.CLAIMED})
        pilot.result["sats_to_bank"] = world.sats_of(BANK) - before
        pilot.result["cents_to_miner"] = cents
        pilot.result["address"] = swap.coins.address

    def given_up(self) -> None:
        """The bank falls silent: the miner has its coins again, and nobody learns the secret."""
        pilot, world = self.pilot, self.pilot.world
        swap = self._proposed()
        swap.lock_bitcoin()
        text = "Once more; but the bank does not answer any more."
        pilot.step(MINER, "lock bitcoin", text, sats=swap.terms.sats)
        text = "The script keeps the coins for the bank until the time has come."
        with pilot.refused("bitcoin/non-final", MINER, "take bitcoin back", text):
            swap.refund_bitcoin()
        world.advance(seconds=swap.terms.bitcoin_until - world.now + swap.terms.room)
        swap.refund_bitcoin()
        world.mine()
        text = "Bitcoin's own clock has passed the deadline: the miner has its coins again."
        pilot.step(MINER, "take bitcoin back", text, sats=swap.terms.sats)
        pilot.check("the coins went back", swap.state(Leg.BITCOIN) is LegState.REFUNDED)
        pilot.check("the secret of the second swap stayed one", swap.shown() is None)

    def changed(self) -> None:
        """Roubles for yuan in one transaction, at a rate that both bound themselves to."""
        pilot, world, plan = self.pilot, self.pilot.world, self.pilot.plan
        rates = cash_legs.open_rates(world)
        rate = plan.read("yuan_per_rouble", parse_price)
        cash_legs.post_rate(world, rates, rate)
        pilot.step("oracles", "post a rate", "What a rouble costs in yuan.", rate_e8=rate)
        terms = Rate(rates, RATE_SCALE, Bps(plan.integer("tolerance_bps", 0, 1_000)))
        roubles = Give(MINER, self.roubles, plan.read("roubles_changed", parse_cents))
        text = "The dealer asks for a price that both have ruled out."
        with pilot.refused("settle/rate", DEALER, "change roubles", text):
            asked = Give(DEALER, self.yuan, plan.read("yuan_asked", parse_cents))
            settle_cross_border(world, first=roubles, second=asked, rate=terms)
        agreed = Give(DEALER, self.yuan, plan.read("yuan_agreed", parse_cents))
        settle_cross_border(world, first=roubles, second=agreed, rate=terms)
        text = "Both legs moved in one transaction."
        pilot.step(DEALER, "change roubles", text, roubles=roubles.amount, yuan=agreed.amount)
        has = self.yuan.call("balanceOf", world.party(MINER).address_bytes)
        pilot.check("the miner has the yuan", has == agreed.amount)
        pilot.result["yuan_cents_to_miner"] = has

    def _offline(self, swap: Swap) -> None:
        """Hours in which nobody is paid; the margin is longer."""
        pilot, world = self.pilot, self.pilot.world
        seconds = pilot.plan.integer("offline_hours", 1, 24) * HOUR
        with world.act("operator", "go-offline", seconds=seconds):
            self.roubles.send(world.party("operator").account, "go_offline", seconds)
        text = "The rouble's platform is offline. What would fail is not sent: no secret is shown."
        with pilot.refused("platform/offline", MINER, "claim cash", text):
            swap.claim_cash()
        world.advance(seconds=seconds)
        in_time = world.now <= swap.terms.cash_until
        pilot.check("the platform was back before the roubles' deadline", in_time)

    def _proposed(self, *, longer: str = "initiators_hours") -> Swap:
        plan = self.pilot.plan
        hours = {
            name: Seconds(plan.integer(name, 1, 1_000) * HOUR)
            for name in ("initiators_hours", "others_hours", "margin_hours")
        }
        return propose(
            self.pilot.world,
            seller=MINER,
            buyer=BANK,
            sats=plan.read("btc", parse_btc),
            cents=plan.read("roubles", parse_cents),
            longer=hours[longer],
            shorter=hours["others_hours"],
            margin=hours["margin_hours"],
            confirmations=plan.integer("confirmations", 1, 100),
            token=self.roubles,
        )
