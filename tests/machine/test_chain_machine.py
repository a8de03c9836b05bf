"""Any order of any verb by anyone, on the two real chains: no law is ever broken, engine and
contracts say the same after every step, and no sat comes or goes but by fees. In some worlds the
rules of a place are asked, and change."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from escrow.adapters.bitcoin.block import parse
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.adapters.evm.client import terms_mapping
from escrow.adapters.evm.typed import encode_terms
from escrow.config import POLICY, WorldConfig
from escrow.core.errors import CODES, EscrowError
from escrow.core.phases import debt_now
from escrow.core.regions import loan as ln
from escrow.core.regions.register import Purpose, TransferCleared
from escrow.core.regions.token import outstanding
from escrow.core.units import BPS, CENTS_SCALE, COIN, DAY, HOUR
from escrow.deal import Deal
from escrow.sim.registrar import Registrar
from escrow.words import exact
from escrow.world import World

EXAMPLES = int(os.environ.get("CHAIN_EXAMPLES", "12"))
STEPS = int(os.environ.get("CHAIN_STEPS", "25"))
LOANS = 2
"""More loans make each step dearer and tell nothing new."""
PHASES = {
    ln.Opened: 1,
    ln.Active: 2,
    ln.Called: 3,
    ln.Liquidating: 4,
    ln.Repaid: 5,
    ln.Seized: 6,
    ln.Cancelled: 7,
}
SHORT = {"draw_in": DAY, "term": 3 * DAY, "grace": HOUR, "recover_in": HOUR}
PARTIES = ("borrower", "lender", "liquidator", "stranger", "operator")
WALLETS = ("borrower", "lender", "liquidator", "stranger")

BY = st.sampled_from(PARTIES)
WHICH = st.integers(0, LOANS - 1)
BTC = st.sampled_from(("1", "0.0001", "0.5"))
POLICIES = st.sampled_from((POLICY, POLICY, POLICY, "liana-style", "musig"))
"""Whose coins move: most worlds are as worlds are; in one a path opens to coins that rest, and in
one a key is made of all keys."""
PROFILE = "ru-2024"
"""Asks of the borrower at every gate of a loan whether it mines, and as what."""
PROFILES = st.sampled_from((PROFILE, "us-generic", "ru-elr"))
"""The second asks something of the lender, at the offer; the third of who buys tokens."""
FACTS = st.sampled_from(
    (
        ("borrower", {"mines": False}),
        ("borrower", {"mines": True}),
        ("lender", {"state_licence": True}),
        ("stranger", {"securities_deposits_kopecks": 10**11, "income_kopecks": 0}),
    )
)
SELDOM = st.sampled_from((None, None, "consolidate", "consolidate", "refresh"))
"""Sweeps, and as often none."""


class ChainMachine(RuleBasedStateMachine):
    """See the module. A refusal must carry a code of the catalogue and change nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(seed=7)
        self.refusals: list[str] = []
        self.mined = sum(self._coins(name) for name in WALLETS)

    def teardown(self) -> None:
        self.world.close()

    def _coins(self, name: str) -> int:
        script = self.world.party(name).script
        return sum(coin.sats for coin in self.world.bitcoin.coins(script))

    def _deal(self, which: int) -> Deal:
        return self.world.loans[which % len(self.world.loans)]

    def _vaults(self, deal: Deal):
        """Every generation of the vault, oldest first."""
        return self.world._vaults_of(deal.id)

    def _try(self, ask, *args, **named) -> None:
        """Do it; if it is refused, nothing may have changed."""
        before, refusal = self._print(), None
        try:
            ask(*args, **named)
        except EscrowError as error:
            refusal = error
        if refusal is not None:
            assert refusal.code in CODES
            assert self._print() == before, f"{refusal} left something behind"
            self.refusals.append(refusal.code)

    def _print(self):
        world = self.world
        return (
            world.state_hash,
            world.now,
            world.bitcoin.tip_hash,
            world.bitcoin.mempool(),
            world.evm.chain.next_time,
            len(world.evm.chain.transactions()),
            world._wires.log.length,
            len(world.acts),
        )

    # --- beginnings ---

    @initialize(
        stage=st.sampled_from(("active", "active", "opened", "none")),
        kind=st.sampled_from(("take-over", "third-party")),
        confirmations=st.sampled_from((2, 1, 6)),
        policy=POLICIES,
        moved=st.sampled_from((None, None, None, "consolidate", "rekey")),
    )
    def start(self, stage, kind, confirmations, policy, moved):
        """Some stories begin with two coins, and with a sweep of them in the mempool."""
        if policy != POLICY:
            self.world.close()
            self.world = World(config=WorldConfig(seed=7, policy=policy))
            self.mined = sum(self._coins(name) for name in WALLETS)
        self.begin()
        terms = {**SHORT, "liquidation": kind, "confirmations": confirmations}
        if stage == "active":
            deal = self.world.open(**terms)
            if moved:
                self.world.top_up(deal, btc="0.2")
            if moved == "consolidate":
                self.world.consolidate(deal)
            elif moved == "rekey":
                self._try(self.world.rekey, deal, lost=deal.vault.policy.roles[-1].name)
        elif stage == "opened":
            self.world.accept(self.world.offer(self.world.terms(**terms)))

    def begin(self):
        """What is so before anybody offers anything."""

    @precondition(lambda self: len(self.world.loans) < LOANS)
    @rule(kind=st.sampled_from(("take-over", "third-party")), accepted=st.booleans())
    def offer(self, kind, accepted):
        known = len(self.world.loans)
        self._try(self.world.offer, self.world.terms(liquidation=kind, confirmations=2, **SHORT))
        if accepted and len(self.world.loans) > known:
            self.world.accept(self.world.loans[-1])

    # --- coins ---

    @precondition(lambda self: self.world.loans)
    @rule(which=WHICH, btc=BTC, wait=st.booleans())
    def pledge(self, which, btc, wait):
        deal = self._deal(which)
        self._try(self.world.pledge, deal, btc=btc, wait=False)
        if wait:
            self.world.mine(deal.terms.confirmations)
            self._try(self.world.secure, deal)

    @precondition(lambda self: self.world.loans)
    @rule(which=WHICH, btc=st.sampled_from(("0.00000546", "0.00009999", "0.0001", "0.2")))
    def send(self, which, btc):
        """Coins that nobody asked for: too small, or too late."""
        self._try(self.world.pay, "borrower", btc=btc, to=self._deal(which).vault.address)

    @precondition(lambda self: self.world.loans)
    @rule(which=WHICH, by=BY)
    def secure(self, which, by):
        self._try(self.world.secure, self._deal(which), by=by)

    @precondition(lambda self: self.world.loans)
    @rule(which=WHICH, by=BY, btc=st.sampled_from((None, None, "0.3", "0.0001")))
    def burn(self, which, by, btc):
        self._try(self.world.burn, self._deal(which), by=by, btc=btc)

    @precondition(lambda self: self.world.loans)
    @rule(which=WHICH)
    def recover(self, which):
        self._try(self.world.recover, self._deal(which))

    @precondition(lambda self: self.world.loans)
    @rule(
        by=st.sampled_from(WALLETS),
        to=st.sampled_from(WALLETS),
        btc=st.sampled_from((None, None, "0.1")),
        purpose=st.sampled_from(Purpose),
    )
    def transfer(self, by, to, btc, purpose):
        """Tokens pass on, by default all that are free, if anybody has some; what is cleared has
        moved, to the sat."""
        world, done = self.world, len(self.world.acts)
        if not world.tokens_of(by):
            by = next((name for name in WALLETS if world.tokens_of(name)), by)
        before = {name: world.tokens_of(name) for name in (by, to)}
        btc = btc or exact(before[by] or COIN)
        self._try(world.transfer, by=by, to=to, btc=btc, purpose=purpose)
        cleared = [
            step.event
            for act in world.acts[done:]
            for _, step in act.steps
            if isinstance(step.event, TransferCleared)
        ]
        for sats in (event.sats for event in cleared if by != to):
            before[by] -= sats
            before[to] += sats
        assert {name: world.tokens_of(name) for name in (by, to)} == before

    # --- custody ---

    @precondition(lambda self: self.world.loans)
    @rule(which=WHICH, by=st.sampled_from(WALLETS), verb=SELDOM)
    def gather(self, which, by, verb):
        """Coins of the vault move within it. Seldom: a sweep makes a step of a story dear."""
        if verb:
            self._try(getattr(self.world, verb), self._deal(which), by=by)

    @precondition(lambda self: self.world.loans)
    @rule(which=WHICH, lost=st.sampled_from((None, None, None, 0, 1, 2, 3, "oracle")))
    def rekey(self, which, lost):
        """A role's key is lost, whichever the policy has; or that of nobody's."""
        deal = self._deal(which)
        if isinstance(lost, int):
            roles = deal.vault.policy.roles
            lost = roles[lost % len(roles)].name
        if lost:
            self._try(self.world.rekey, deal, lost=lost)

    @precondition(lambda self: any(deal.state.vault.generations for deal in self.world.loans))
    @rule(which=WHICH, back=st.integers(0, 2), btc=st.sampled_from(("0.0001", "0.2")))
    def send_to_older(self, which, back, btc):
        """Somebody still has an address from before."""
        vaults = self._vaults(self._deal(which))
        older = vaults[max(0, len(vaults) - 1 - back)]
        self._try(self.world.pay, "borrower", btc=btc, to=older.address)

    # --- money ---

    @precondition(lambda self: self.world.loans)
    @rule(which=WHICH, by=BY, amount=st.sampled_from((None, "100.00", "20000.00")))
    def draw(self, which, by, amount):
        self._try(self.world.draw, self._deal(which), amount, by=by)

    @precondition(lambda self: self.world.loans)
    @rule(which=WHICH, by=BY, amount=st.sampled_from((None, "0.01", "15000.00")))
    def repay(self, which, by, amount):
        self._try(self.world.repay, self._deal(which), amount, by=by)

    @precondition(lambda self: self.world.loans)
    @rule(which=WHICH, by=BY)
    def cancel(self, which, by):
        self._try(self.world.cancel, self._deal(which), by=by)

    @precondition(lambda self: self.world.loans)
    @rule(which=WHICH, by=st.sampled_from((None, None, *PARTIES)))
    def liquidate(self, which, by):
        self._try(self.world.liquidate, self._deal(which), by=by)

    @precondition(lambda self: self.world.loans)
    @rule(which=WHICH, verb=st.sampled_from(("margin_call", "cure", "expire_call")), by=BY)
    def keep(self, which, verb, by):
        self._try(getattr(self.world, verb), self._deal(which), by=by)

    # --- price, time, chains ---

    @precondition(lambda self: self.world.loans)
    @rule(
        which=WHICH,
        level=st.sampled_from(("initial_ltv", "restore_ltv", "call_ltv", "liquidation_ltv")),
        near=st.integers(-1, 1),
    )
    def price(self, which, level, near):
        """The loan comes to stand at a level, or a unit of price beside it."""
        deal = self._deal(which)
        held = deal.state.token.held or 10**8
        debt = deal.debt or deal.terms.principal
        e8 = max(1, debt * CENTS_SCALE * BPS // (getattr(deal.terms, level) * held) + near)
        self._try(self.world.price, f"{e8 // 10**8}.{e8 % 10**8:08d}")

    @rule(price=st.sampled_from(("90000", "20000")))
    def jump(self, price):
        self._try(self.world.price, price)

    @rule(seconds=st.sampled_from((1, HOUR, 7 * HOUR, DAY + 1)))
    def advance(self, seconds):
        self.world.advance(seconds=seconds)

    @rule(blocks=st.sampled_from((1, 2, 6)))
    def mine(self, blocks):
        self.world.mine(blocks)

    @rule(feerate=st.sampled_from((1, 1, 50, 5_000)))
    def fee_market(self, feerate):
        self.world.fee_market(feerate)

    @precondition(lambda self: self.world.loans)
    @rule(which=WHICH, by=BY, feerate=st.sampled_from((None, 3, 60, 400)))
    def bump(self, which, by, feerate):
        self._try(self.world.bump, self._deal(which), by=by, feerate=feerate)

    @rule(depth=st.sampled_from((1, 2, 3, 7)), lose=st.sampled_from((None, None, 0, 1, 2)))
    def reorg(self, depth, lose):
        """Some transaction of the old blocks that touches a vault may be gone for good."""
        world = self.world
        tip = world.bitcoin.height
        old = [
            txid
            for height in range(max(1, tip - depth + 1), tip + 1)
            for txid in parse(world.bitcoin.block(height)).txids[1:]
        ]
        drop = [old[lose % len(old)]] if lose is not None and old else []
        self._try(world.reorg, depth, drop=drop)

    @rule(
        names=st.sampled_from(
            (
                ("lender",),
                ("lender", "custodian"),
                ("oracle-1",),
                ("oracle-1", "oracle-2", "oracle-3"),
                ("attestor-1", "attestor-2"),
            )
        )
    )
    def silence(self, names):
        self.world.silence(*names)

    @rule()
    def answer(self):
        self.world.answer(*self.world.silent)
        self.world.settle()

    @rule()
    def fork(self):
        """A fork takes over: it must be as good as the first."""
        fork = self.world.fork()
        assert fork.state_hash == self.world.state_hash
        self.world.close()
        self.world = fork

    # --- what always holds ---

    @invariant()
    def no_law_is_broken(self):
        assert self.world.engine.broken == []

    @invariant()
    def engine_and_contracts_agree(self):
        world = self.world
        for deal in world.loans:
            state, entry = deal.state, world.evm.entry(deal.id)
            if type(state.loan) in PHASES:
                assert entry.phase == PHASES[type(state.loan)]
            if isinstance(state.loan, ln.Indebted):
                terms = encode_terms(terms_mapping(deal.terms))
                owed = world.evm.contracts.book.call("owed", terms)
                assert owed == debt_now(state, at=world.evm.chain.next_time)
            if isinstance(state.loan, ln.Called):
                assert entry.deadline == state.loan.deadline
            assert world.evm.held(deal.id) == state.token.held
            assert world.evm.outstanding(deal.id) == outstanding(state.token)
            assert world.evm.burns(deal.id) == state.token.burns

    @invariant()
    def coins_are_conserved(self):
        world = self.world
        now = sum(self._coins(name) for name in WALLETS)
        for deal in world.loans:
            for vault in self._vaults(deal):
                now += sum(coin.sats for coin in world.bitcoin.coins(vault.script_pubkey))
        assert now + self._fees() == self.mined

    def _fees(self) -> int:
        total, bitcoin = 0, self.world.bitcoin
        for raw in bitcoin.blocks()[100:]:
            for tx in parse(raw).transactions[1:]:
                total -= sum(out.value for out in tx.vout)
                for each in tx.vin:
                    funding = bitcoin.transaction(each.prev_out.tx_id.hex())
                    assert funding is not None
                    total += read_transaction(funding).vout[each.prev_out.vout].value
        return total


class RuledChains(ChainMachine):
    """A profile asks that the borrower does not mine, and it does not; that may change, and the
    profile too. Tokens of a first coin are free."""

    def begin(self):
        self.world.switch_profile(PROFILE)
        self.world.attest("borrower", {"mines": False}, until=self.world.now + 2 * DAY)
        deal = self.world.accept(self.world.offer(self.world.terms(confirmations=1, **SHORT)))
        self.world.pledge(deal, btc="1", wait=False)
        self.world.mine(1)

    @rule(what=FACTS, until=st.sampled_from((0, HOUR, 2 * DAY)), told=st.booleans())
    def attest(self, what, until, told):
        """The registrar learns something, and may write what follows into the registry."""
        party, facts = what
        self._try(self.world.attest, party, facts, until=self.world.now + until)
        if told:
            self._try(Registrar(self.world).sync, party)

    @rule(profile=PROFILES, by=st.sampled_from(("registrar", "registrar", "operator")))
    def switch_profile(self, profile, by):
        self._try(self.world.switch_profile, profile, by=by)


SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
TestChains = ChainMachine.TestCase
TestChains.settings = SETTINGS
TestRuledChains = RuledChains.TestCase
TestRuledChains.settings = settings(SETTINGS, max_examples=max(1, EXAMPLES // 4))
