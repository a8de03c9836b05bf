"""One deal told twice: to the contracts on a real EVM, and to the core. Every ask goes to both."""

from __future__ import annotations

from dataclasses import dataclass, replace

from eth_account import Account

from escrow.adapters.evm import typed
from escrow.adapters.evm.chain import Chain
from escrow.adapters.evm.client import EvmClient, EvmWatch, terms_mapping
from escrow.adapters.evm.contracts import Deployment, deploy
from escrow.clock import Clock
from escrow.core.decide import decide
from escrow.core.errors import Rejected
from escrow.core.laws import Step, broken
from escrow.core.phases import debt_now
from escrow.core.regions import loan as ln
from escrow.core.regions.loan import Drawn, Liquidated, Outcome, Repayment
from escrow.core.regions.system import (
    Degraded,
    active_seconds,
    is_fresh,
    is_jump,
    mode_at,
    new_system,
)
from escrow.core.regions.token import Burned, Minted, Retired, TokensFreed, TokensHeld, outstanding
from escrow.core.roles import Role
from escrow.core.state import Escrow, Incident, evolve
from escrow.core.terms import Liquidation, Terms
from escrow.core.units import DAY, HOUR, MAX_MONEY, Bps, Cents, PriceE8, Sats, Seconds
from escrow.core.verbs.accept import Accept
from escrow.core.verbs.burn import BurnTokens
from escrow.core.verbs.cancel import Cancel
from escrow.core.verbs.cure import Cure
from escrow.core.verbs.draw import Draw
from escrow.core.verbs.expire_call import ExpireCall
from escrow.core.verbs.liquidate import Liquidate
from escrow.core.verbs.margin_call import MarginCall
from escrow.core.verbs.mark import Mark
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.offer import Offer
from escrow.core.verbs.open import Open
from escrow.core.verbs.pause import Pause, Resume
from escrow.core.verbs.pledge import SawCoin, SawCoinGone
from escrow.core.verbs.recover import NoteRecovery
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.retire import Retire
from escrow.core.verbs.tick import Tick
from escrow.core.verbs.top_up import TopUp

START = Seconds(1_764_547_200)
HEARTBEAT = HOUR
AUCTION_CAP = 10**18
MAX = 2**256 - 1
CASH = 10**18
ALL_RIGHTS = 15
FOR_EVER = 2**40 - 1
SCRIPT = bytes.fromhex("0014" + "11" * 20)
CALLERS = (
    Role.BORROWER,
    Role.LENDER,
    Role.LIQUIDATOR,
    Role.OPERATOR,
    Role.GUARDIAN,
    Role.STRANGER,
)
QUORUM, WIDE, DEVIATION = 3, 5, Bps(2_000)
PHASES = {
    ln.Offered: {0},
    ln.Accepted: {0},
    ln.Opened: {1},
    ln.Active: {2},
    ln.Called: {3},
    ln.Liquidating: {4},
    ln.Repaid: {5},
    ln.Seized: {6},
    ln.Cancelled: {7},
}
ENDS = {
    Outcome.RELEASED: {5},
    Outcome.SETTLED: {6},
    Outcome.WRITTEN_OFF: {6},
    Outcome.REFUNDED: {7},
    Outcome.CANCELLED: {7},
    Outcome.RECOVERED: {5, 6, 7, 8},
}
STATUS = {"RUNNING": 0, "ORACLE_STALE": 1, "PAUSED": 2}
COMMON = frozenset({"token/balance", "token/allowance"})
"""Codes of ERC-20 itself, of which the core knows nothing: never expected here."""


def person(number: int):
    return Account.from_key(number.to_bytes(32, "big"))


def raw(account) -> bytes:
    return bytes.fromhex(account.address[2:])


class Lab:
    """The contracts, deployed once; ``deal`` starts a story on them."""

    def __init__(self) -> None:
        self.people = {role: person(n) for n, role in enumerate(CALLERS, start=1)}
        self.oracles = [person(n) for n in range(11, 16)]
        self.attestors = [person(n) for n in (21, 22, 23)]
        self.clock = Clock(START)
        everyone = {raw(account): 10**24 for account in self.people.values()}
        self.chain = Chain(
            chain_id=31_337, genesis_time=START - 1, alloc=everyone, clock=self.clock
        )
        operator = self.people[Role.OPERATOR]
        self.contracts = deploy(
            Deployment(
                cash_name="Cash",
                cash_symbol="C",
                issuer=raw(operator),
                registrar=raw(operator),
                authority=raw(operator),
                oracles=tuple(map(raw, self.oracles)),
                oracle_quorum=QUORUM,
                wide_quorum=WIDE,
                heartbeat=HEARTBEAT,
                deviation_bps=DEVIATION,
                guardian=raw(self.people[Role.GUARDIAN]),
                attestors=tuple(map(raw, self.attestors)),
                attestor_quorum=2,
                supply_cap=MAX_MONEY,
                auction_cap=AUCTION_CAP,
                rotation_delay=DAY,
            ),
            account=operator,
            chain=self.chain,
        )
        registry = self.contracts.registry
        registry.send(operator, "set_rule", 1, 643, ALL_RIGHTS)
        entries = [(raw(account), 1, 643, FOR_EVER) for account in self.people.values()]
        registry.send(operator, "admit", entries)
        for account in self.people.values():
            self.contracts.cash.send(operator, "mint", raw(account), CASH)
            self.contracts.cash.send(account, "approve", self.contracts.book.address, MAX)
        self.client = EvmClient(self.contracts, chain=self.chain)
        self.clean = self.chain.snapshot()

    def fresh(self) -> None:
        """Forget every story so far, and the time that passed."""
        self.chain.revert(self.clean)
        self.clean = self.chain.snapshot()
        self.clock._now = START


@dataclass(frozen=True)
class Answer:
    """What came of an ask."""

    code: str
    """Empty if it was done."""


class Both:
    """One loan on both sides."""

    def __init__(self, lab: Lab, **changes: object) -> None:
        lab.fresh()
        self.lab = lab
        self.state = Escrow(
            new_system(
                origin=START,
                heartbeat=HEARTBEAT,
                quorum=QUORUM,
                wide_quorum=WIDE,
                deviation=DEVIATION,
            )
        )
        self.terms = terms(lab, **changes)
        self.loan = bytes.fromhex(lab.client.loan_id(self.terms)[2:])
        self.cash = dict.fromkeys(CALLERS, CASH)
        self.tokens = dict.fromkeys(CALLERS, 0)
        self.coins: list[str] = []
        self.steps = 0
        roles = {raw(account): role for role, account in lab.people.items()}
        self.watch = EvmWatch(lab.client, roles=roles, cursor=lab.chain.cursor)
        self._ask(Offer(Role.LENDER, self.now, self.terms))
        self._ask(Accept(Role.BORROWER, self.now))

    @property
    def now(self) -> Seconds:
        return Seconds(self.lab.chain.next_time)

    # --- to ask both ---

    def both(self, role: Role, command, contract: str, function: str, *args: object) -> Answer:
        """The same ask to contract and core: the same verdict, code and balances."""
        account = self.lab.people[role]
        made = getattr(self.lab.contracts, contract)
        theirs = ""
        try:
            made.send(account, function, *args)
        except Rejected as refusal:
            theirs = refusal.code
        before = self.state
        ours = ""
        try:
            self._ask(command)
        except Rejected as refusal:
            ours = refusal.code
            assert self.state is before
        assert theirs not in COMMON, theirs
        assert ours == theirs, f"{command}: core says {ours or 'yes'}, contract {theirs or 'yes'}"
        self._watched(before)
        self.compare()
        return Answer(ours)

    def _ask(self, command) -> None:
        for event in decide(self.state, command):
            assert not isinstance(event, Incident) or event.verb == "SawCoin", event
            step = Step(self.state, event, evolve(self.state, event))
            assert broken(step) == (), (broken(step), event)
            self._book(event)
            self.state = step.after
        self.steps += 1

    def _watched(self, before: Escrow) -> None:
        """What the engine reads off the logs leads to the very same state."""
        found = self.watch.look({self.lab.client.loan_id(self.terms): self.state}, at=self.now)
        told = before
        for _, command in found:
            for event in decide(
                told, replace(command, tx="") if hasattr(command, "tx") else command
            ):
                told = evolve(told, event)
        assert told == self.state, f"the watch tells {found}"

    def _book(self, event) -> None:
        """What an event does to everyone's cash and tokens."""
        lender, borrower = Role.LENDER, Role.BORROWER
        match event:
            case Drawn(amount=amount):
                self.cash[lender] -= amount
                self.cash[borrower] += amount
            case Repayment(by=by, interest=interest, principal=principal):
                self.cash[Role(by)] -= interest + principal
                self.cash[lender] += interest + principal
            case Liquidated(by=by, kind=kind, split=split):
                self.taker = Role(by)
                if kind is Liquidation.THIRD_PARTY:
                    self.cash[Role(by)] -= split.repaid
                    self.cash[lender] += split.repaid
            case TokensFreed(seized=seized, released=released):
                if seized:
                    self.tokens[self.taker] += seized
                self.tokens[borrower] += released
            case TokensHeld(sats=sats):
                self.tokens[borrower] -= sats
            case Minted(sats=sats):
                self.tokens[borrower] += sats
            case Retired(sats=sats):
                self.tokens[borrower] -= max(0, sats - self.state.token.held)
            case Burned(burn=burn):
                self.tokens[self.burner] -= burn.sats
            case _:
                pass

    def compare(self) -> None:
        """Phase, debt, deadline, price, active clock and every balance, to the last unit."""
        client, loan = self.lab.client, self.state.loan
        entry = client.entry("0x" + self.loan.hex())
        expected = ENDS[loan.outcome] if isinstance(loan, ln.Ended) else PHASES[type(loan)]
        assert entry.phase in expected, (entry, loan)
        if isinstance(loan, ln.Indebted):
            assert entry.principal == loan.debt.principal
            owed = client.contracts.book.call("owed", self.book_terms)
            assert owed == debt_now(self.state, at=self.now)
        if isinstance(loan, ln.Called):
            assert entry.deadline == loan.deadline
        assert client.held("0x" + self.loan.hex()) == self.state.token.held
        assert client.outstanding("0x" + self.loan.hex()) == outstanding(self.state.token)
        assert client.burns("0x" + self.loan.hex()) == self.state.token.burns
        price, _, fresh, active = client.contracts.prices.call("latest")
        assert price == (self.state.system.price.price if self.state.system.price else 0)
        assert fresh == is_fresh(self.state.system, at=self.now)
        assert active == active_seconds(self.state.system, at=self.now)
        mode = mode_at(self.state.system, at=self.now)
        reason = mode.reason if isinstance(mode, Degraded) else "RUNNING"
        assert client.contracts.prices.call("status") == STATUS[reason]
        for role, account in self.lab.people.items():
            assert client.contracts.cash.call("balanceOf", raw(account)) == self.cash[role], role
            assert client.contracts.pledge.call("spendable", raw(account)) == self.tokens[role]

    # --- the verbs ---

    @property
    def book_terms(self):
        return typed.encode_terms(terms_mapping(self.terms))

    def _to_book(self, role: Role, command, function: str, *args: object) -> Answer:
        return self.both(role, command, "book", function, self.book_terms, *args)

    def open(self, by: Role = Role.OPERATOR) -> Answer:
        mapping, domain = terms_mapping(self.terms), self.lab.contracts.book.domain
        sigs = [
            typed.sign_terms(self.lab.people[role], terms=mapping, domain=domain)
            for role in (Role.BORROWER, Role.LENDER)
        ]
        return self._to_book(by, Open(by, self.now), "open", *sigs)

    def wait(self, seconds: int) -> None:
        self.lab.clock.move_to(self.lab.clock.now + seconds)
        self._ask(Tick(Role.WATCHER, self.now))
        self.compare()

    def until(self, moment: int) -> None:
        """So that the next transaction happens exactly then, unless that is over."""
        self.wait(max(0, moment - self.now))

    def price(
        self,
        price: int,
        *,
        signers: int | None = None,
        outlier: int | None = None,
        back: int = 0,
        skip: int = 0,
        by: Role = Role.STRANGER,
    ) -> Answer:
        """Of as many oracles as it needs, unless ``signers`` says how many. The last of them says
        ``outlier`` instead; a low one is then out of order."""
        if (
            self.state.system.price
            and self.state.system.price.at >= self.now - back > 0
            and not back
        ):
            self.wait(self.state.system.price.at + 1 - self.now)
        last = self.state.system.price
        number = (last.round if last else 0) + 1 + skip
        at = Seconds(self.now - back)
        system = self.state.system
        needed = WIDE if is_jump(system, PriceE8(price), at=self.now) else QUORUM
        prices = [PriceE8(price)] * (needed if signers is None else signers)
        if outlier is not None and prices:
            prices[-1] = PriceE8(outlier)
        domain = self.lab.contracts.prices.domain
        reports = [
            (
                each,
                typed.sign_price(
                    oracle, price={"round": number, "price": each, "at": at}, domain=domain
                ),
            )
            for oracle, each in zip(self.lab.oracles, prices, strict=False)
        ]
        command = Mark(Role.ORACLE, self.now, number, tuple(prices), at)
        return self.both(by, command, "prices", "post", number, at, reports)

    def pause(self, seconds: int, by: Role = Role.GUARDIAN) -> Answer:
        command = Pause(by, self.now, Seconds(seconds))
        return self.both(by, command, "prices", "pause", seconds)

    def resume(self, by: Role = Role.GUARDIAN) -> Answer:
        return self.both(by, Resume(by, self.now), "prices", "resume")

    def deposit(self, sats: int, **look: int) -> Answer:
        """A final coin in the vault, attested and minted. ``look`` as for ``mint``."""
        point = f"{len(self.coins) + 1:064x}:0"
        self.coins.append(point)
        self._ask(SawCoin(Role.WATCHER, self.now, point, Sats(sats), 100, 1))
        return self.mint(point, sats, **look)

    def mint(self, point: str, sats: int, *, spare: int = 0, back: int = 0) -> Answer:
        """``spare`` is how much more the quorum saw in the vault than the tokens will be, ``back``
        how many seconds ago."""
        reserves = Sats(max(0, outstanding(self.state.token) + sats + spare))
        args = self._attested(
            typed.ATTESTATION,
            point,
            sats,
            reserves=reserves,
            seen_at=self.now - back,
            bitcoin_block=b"\xb1" * 32,
        )
        command = Mint(
            Role.ATTESTOR, self.now, point, Sats(sats), reserves=reserves, age=Seconds(back)
        )
        return self.both(Role.STRANGER, command, "pledge", "mint", *args)

    def lose(self, which: int) -> Answer | None:
        """A coin is double-spent; its tokens are retired."""
        if not self.coins:
            return None
        point = self.coins[which % len(self.coins)]
        coin = next(c for c in self.state.vault.coins if c.outpoint == point)
        self._ask(SawCoinGone(Role.WATCHER, self.now, point, "theft"))
        args = self._attested(typed.RETIREMENT, point, coin.sats, deadline=self.now + HOUR)
        command = Retire(Role.ATTESTOR, self.now, point, coin.sats)
        return self.both(Role.STRANGER, command, "pledge", "retire", *args)

    def _attested(self, struct: typed.Struct, point: str, sats: int, **rest: object):
        borrower = raw(self.lab.people[Role.BORROWER])
        message = {
            "loan": self.loan,
            "holder": borrower,
            "pledgor": borrower,
            "txid": bytes.fromhex(point[:64]),
            "vout": int(point[65:]),
            "sats": sats,
            **rest,
        }
        domain = self.lab.contracts.pledge.domain
        sigs = [
            typed.sign(who, struct=struct, message=message, domain=domain)
            for who in self.lab.attestors[:2]
        ]
        return struct.values(message), sigs

    def top_up(self, by: Role, sats: int) -> Answer:
        return self._to_book(by, TopUp(by, self.now, Sats(sats)), "top_up", sats)

    def draw(self, by: Role, cents: int) -> Answer:
        return self._to_book(by, Draw(by, self.now, Cents(cents)), "draw", cents)

    def repay(self, by: Role, cents: int) -> Answer:
        return self._to_book(by, Repay(by, self.now, Cents(cents)), "repay", cents)

    def close(self, by: Role) -> Answer:
        return self._to_book(by, Repay(by, self.now, Cents(MAX)), "close")

    def cancel(self, by: Role) -> Answer:
        return self._to_book(by, Cancel(by, self.now), "cancel")

    def margin_call(self, by: Role) -> Answer:
        return self._to_book(by, MarginCall(by, self.now), "margin_call")

    def cure(self, by: Role) -> Answer:
        return self._to_book(by, Cure(by, self.now), "cure")

    def expire_call(self, by: Role) -> Answer:
        return self._to_book(by, ExpireCall(by, self.now), "expire_call")

    def take_over(self, by: Role) -> Answer:
        command = Liquidate(by, self.now, Liquidation.TAKE_OVER)
        return self._to_book(by, command, "take_over")

    def liquidate(self, by: Role) -> Answer:
        command = Liquidate(by, self.now, Liquidation.THIRD_PARTY)
        return self._to_book(by, command, "liquidate", MAX, 0)

    def recovered(self, by: Role) -> Answer:
        return self._to_book(by, NoteRecovery(by, self.now), "recovered")

    def burn(self, by: Role, sats: int, script: bytes = SCRIPT) -> Answer:
        # The core counts a loan's free tokens; whose they are, only the contract knows.
        if self.tokens[by] < sats and sats <= sum(self.tokens.values()):
            sats = self.tokens[by]
        self.burner = by
        number = self.lab.contracts.pledge.call("burn_count")
        request = self.lab.contracts.pledge.call("burns_of", raw(self.lab.people[by]))
        command = BurnTokens(by, self.now, number, Sats(sats), script.hex())
        return self.both(by, command, "pledge", "burn", self.loan, sats, script, request)


def terms(lab: Lab, **changes: object) -> Terms:
    base = Terms(
        borrower=lab.people[Role.BORROWER].address,
        lender=lab.people[Role.LENDER].address,
        vault="0x" + "07" * 32,
        principal=Cents(5_000_000),
        rate_bps=Bps(1_200),
        initial_ltv=Bps(5_000),
        restore_ltv=Bps(6_000),
        call_ltv=Bps(7_000),
        liquidation_ltv=Bps(8_500),
        cure=Seconds(2 * HOUR),
        expires_at=Seconds(START + DAY),
        draw_by=Seconds(START + 3 * DAY),
        maturity=Seconds(START + 10 * DAY),
        grace=DAY,
        recover_at=Seconds(START + 20 * DAY),
        confirmations=6,
        liquidation=Liquidation.TAKE_OVER,
        bonus_bps=Bps(500),
        max_fee=Sats(20_000),
        nonce=0,
    )
    return replace(base, **changes)
