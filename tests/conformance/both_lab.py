"""One deal told twice: to the contracts on a real EVM, and to the core. Every ask goes to both."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from unittest.mock import patch

import coincurve
from eth_account import Account
from exact import Exact
from hypothesis import settings
from words import Words, calldata

from escrow.adapters.evm import contracts, typed
from escrow.adapters.evm.abi import Artifact
from escrow.adapters.evm.chain import Chain
from escrow.adapters.evm.client import EvmClient, EvmWatch, terms_mapping
from escrow.adapters.evm.contracts import Contract, Deployment, deploy
from escrow.adapters.evm.refusal import ALL, role_of
from escrow.adapters.evm.revert import Reverted
from escrow.clock import Clock
from escrow.core.decide import Command, decide
from escrow.core.errors import Rejected
from escrow.core.laws import Step, broken
from escrow.core.regions import loan as ln
from escrow.core.regions.system import new_system
from escrow.core.regions.token import Burned, Minted, Retired, TokensFreed, TokensHeld, outstanding
from escrow.core.roles import Role
from escrow.core.rules import Debt
from escrow.core.state import Escrow, Event, Incident, evolve, fold
from escrow.core.terms import Liquidation, Terms
from escrow.core.units import DAY, HOUR, MAX_MONEY, Bps, Cents, PriceE8, Sats, Seconds
from escrow.core.verbs.accept import Accept
from escrow.core.verbs.auction import Redo, Take
from escrow.core.verbs.burn import BurnTokens
from escrow.core.verbs.cancel import Cancel
from escrow.core.verbs.cure import Cure
from escrow.core.verbs.dispute import Dispute, Resolve
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
from escrow.core.verbs.refinance import Refinance
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.retire import Retire
from escrow.core.verbs.tick import Tick
from escrow.core.verbs.top_up import TopUp
from escrow.core.verbs.withdraw import Withdraw
from escrow.ports import EvmPort

FAST = importlib.util.find_spec("pyrevm") is not None
PROFILE = settings.get_current_profile_name()
START = Seconds(1_764_547_200)
HEARTBEAT = HOUR
QUORUM, WIDE, DEVIATION = 1, 3, Bps(2_000)
AUCTION_CAP = Cents(5_000_000)
"""Just what the plain terms lend: a cent more is refused."""
MAX = 2**256 - 1
CASH = 10**18
ALL_RIGHTS = 15
FOR_EVER = 2**40 - 1
SCRIPT = bytes.fromhex("0014" + "11" * 20)
PEOPLE = ("borrower", "lender", "buyer", "operator", "arbiter", "stranger", "other lender")
"""Everybody who asks. The other lender is a stranger, until it refinances the loan."""
KNOWN = {"buyer": Role.LIQUIDATOR, "operator": Role.OPERATOR}
AUCTION = {
    "liquidation": Liquidation.AUCTION,
    "bonus_bps": 0,
    "buf_bps": 12_000,
    "cut_bps": 9_900,
    "step": 90,
    "tail": 7_200,
    "cusp_bps": 4_000,
}
PARTIAL = {"liquidation": Liquidation.PARTIAL, "target_ltv": 6_000}


def stories(dev: int, ci: int, night: int) -> int:
    """Examples by Hypothesis profile; a twelfth where only the slow machine is installed."""
    count = {"dev": dev, "ci": ci, "night": night}[PROFILE]
    return count if FAST else max(2, count // 12)


class Difference(AssertionError):
    """Core and contracts do not say the same."""

    def __init__(self, check: str, words: str) -> None:
        self.check = check
        """Which comparison found it: verdict, numbers, watch, words or views."""
        super().__init__(f"{check}: {words}")


@contextmanager
def differs(check: str) -> Iterator[None]:
    """Say which check it was that failed."""
    try:
        yield
    except (AssertionError, Rejected) as error:
        raise Difference(check, str(error)) from error


def person(number: int):
    return Account.from_key(number.to_bytes(32, "big"))


def raw(account) -> bytes:
    return bytes.fromhex(account.address[2:])


@lru_cache(maxsize=20_000)
def signed(key: bytes, digest: bytes) -> typed.Sig:
    """As ``typed.sign`` signs, in a twentieth of the time: a test holds the two together."""
    made = coincurve.PrivateKey(key).sign_recoverable(digest, hasher=None)
    return typed.Sig(v=27 + made[64], r=made[:32], s=made[32:64])


def sign(account, *, struct: typed.Struct, message, domain: typed.Domain) -> typed.Sig:
    return signed(bytes(account.key), typed.digest(struct, message, domain=domain))


class Lab:
    """The contracts, deployed once; ``Both`` starts a story on them."""

    def __init__(
        self,
        make: Callable[..., EvmPort] = Chain,
        *,
        by_hand: bool = False,
        instead: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        """``by_hand``: every transaction is its sender's own, signed, in a block that is sealed
        when the next second comes; and every view is asked at every step. ``instead``: other
        bytecode for contracts of these names."""
        self.by_hand, self.told = by_hand, 0
        self.people = {name: person(n) for n, name in enumerate(PEOPLE, start=1)}
        self.guardian, self.platform = person(8), person(9)
        self.oracles = [person(n) for n in (11, 12, 13)]
        self.attestors = [person(n) for n in (21, 22, 23)]
        self.clock = Clock(START)
        everyone = [*self.people.values(), self.guardian, self.platform]
        self.chain = make(
            chain_id=31_337,
            genesis_time=START - 1,
            alloc={raw(account): 10**24 for account in everyone},
            clock=self.clock,
        )
        known_artifact = contracts.artifact

        def made(name: str) -> Artifact:
            artifact = known_artifact(name)
            return replace(artifact, bytecode=instead.get(name, artifact.bytecode))

        with patch.object(contracts, "artifact", made):
            self.contracts = deploy(self._plan(), account=self.platform, chain=self.chain)
        self._admit()
        known = {raw(self.people[name]): role for name, role in KNOWN.items()}
        self.client = EvmClient(self.contracts, chain=self.chain, roles=known)
        self.words = Words(self.contracts, chain=self.chain)
        self.known = known
        self._clean = self.chain.snapshot()

    def _plan(self) -> Deployment:
        platform = raw(self.platform)
        return Deployment(
            cash_name="Cash",
            cash_symbol="C",
            issuer=platform,
            registrar=platform,
            authority=platform,
            guardian=raw(self.guardian),
            oracles=tuple(map(raw, self.oracles)),
            oracle_quorum=QUORUM,
            wide_quorum=WIDE,
            heartbeat=HEARTBEAT,
            deviation_bps=DEVIATION,
            attestors=tuple(map(raw, self.attestors)),
            attestor_quorum=2,
            rotation_delay=DAY,
            supply_cap=MAX_MONEY,
            auction_cap=AUCTION_CAP,
        )

    def _admit(self) -> None:
        registry, cash = self.contracts.registry, self.contracts.cash
        registry.send(self.platform, "set_rule", 1, 643, ALL_RIGHTS)
        entries = [(raw(account), 1, 643, FOR_EVER) for account in self.people.values()]
        registry.send(self.platform, "admit", entries, gas=4_000_000)
        for account in self.people.values():
            cash.send(self.platform, "mint", raw(account), CASH)
            cash.send(account, "approve", self.contracts.book.address, MAX)

    def fresh(self) -> None:
        """Forget every story so far, and the time that passed."""
        self.chain.revert(self._clean)
        self._clean = self.chain.snapshot()
        self.clock._now = START

    def send(self, account, contract: Contract, function: str, *args: object) -> None:
        """Raises ``Rejected`` with the code alone, ``Reverted`` if the contract gave none."""
        if self.by_hand:
            contract.send(account, function, *args)
            return
        try:
            self.chain.act(
                raw(account), to=contract.address, data=calldata(contract, function, args)
            )
        except Reverted as error:
            if error.code == "evm/revert":
                raise
            raise Rejected(error.code) from None


class Both:
    """One loan on both sides, and a third book of it in exact fractions."""

    def __init__(self, lab: Lab, **changes: object) -> None:
        lab.fresh()
        lab.both, self.lab = self, lab
        system = new_system(
            origin=START, heartbeat=HEARTBEAT, quorum=QUORUM, wide_quorum=WIDE, deviation=DEVIATION
        )
        self.state = Escrow(system)
        self.terms = terms(lab, **changes)
        self.loan = typed.loan_id(terms_mapping(self.terms))
        self.cash = dict.fromkeys(PEOPLE, CASH)
        self.tokens = dict.fromkeys(PEOPLE, 0)
        """What each may spend: what is pledged is not among it."""
        self.coins: list[str] = []
        self.actor = ""
        self.steps = self.done = 0
        self.refused: set[tuple[str, str]] = set()
        self.exact = Exact()
        self._roles: dict[bytes, Role] = {}
        self._name_roles()
        self.watch = EvmWatch(lab.client, roles=self._roles, cursor=lab.chain.cursor)
        self._tell([Offer(Role.LENDER, self.now, self.terms), Accept(Role.BORROWER, self.now)])

    @property
    def now(self) -> Seconds:
        return Seconds(self.lab.chain.next_time)

    @property
    def room(self) -> Cents:
        return Cents(AUCTION_CAP - self.in_auction)

    @property
    def in_auction(self) -> Cents:
        """Principal that this loan, the only one of its book, has in auction."""
        loan = self.state.loan
        if isinstance(loan, ln.Liquidating) and loan.terms.liquidation is Liquidation.AUCTION:
            return loan.debt.principal
        return Cents(0)

    def role(self, name: str) -> Role:
        return self._roles[raw(self.lab.people[name])]

    def _name_roles(self) -> None:
        for account in self.lab.people.values():
            self._roles[raw(account)] = role_of(raw(account), self.terms, known=self.lab.known)

    # --- to ask both ---

    def both(
        self, who: str, commands: Sequence[Command], contract: str, function: str, *args: object
    ) -> str:
        """The same ask to contracts and core: the same verdict, code, numbers and balances.
        Answers the code, empty if it was done."""
        self.steps += 1
        self.actor = who
        account = self.lab.guardian if who == "guardian" else self.lab.people[who]
        theirs, told = "", None
        try:
            if self.lab.by_hand and contract == "book":
                self.lab.client.book(account, function, self.terms, *args[1:])
            else:
                self.lab.send(account, getattr(self.lab.contracts, contract), function, *args)
        except Rejected as refusal:
            theirs, told = refusal.code, refusal
        before, ours = self.state, None
        try:
            self._tell(commands)
        except Rejected as refusal:
            ours = refusal
        said = ours.code if ours else ""
        if said != theirs:
            raise Difference(
                "verdict", f"{commands[-1]}: core {said or 'yes'}, contract {theirs or 'yes'}"
            )
        if ours:
            assert self.state is before
            # Where many stories are told, once for each way to say no.
            if self.lab.by_hand or (function, said) not in self.refused:
                self._same_numbers(ours, told, contract, function, args)
            self.refused.add((function, said))
            return said
        self.done += 1
        self._watched(before)
        self.compare()
        return ""

    def _tell(self, commands: Sequence[Command]) -> None:
        """All of them to the core, or none. Its laws hold, and the fractions agree."""
        events: list[Event] = []
        told = self.state
        for command in commands:
            try:
                made = decide(told, command)
            except Rejected as refusal:
                self.exact.hear(command, refusal)
                raise
            events += made
            told = fold(told, made)
        for event in events:
            assert not isinstance(event, Incident) or event.verb == "SawCoin", event
            step = Step(self.state, event, evolve(self.state, event))
            assert broken(step) == (), (broken(step), event)
            self._settle(event)
            self.exact.see(event)
            self.state = step.after
        self.exact.agree(self.state, at=self.now)

    def _same_numbers(self, ours: Rejected, told: Rejected, contract, function, args) -> None:
        """The adapter makes of the contract's code the very refusal of the core."""
        refusals, bare = self.lab.client.refusals, Rejected(ours.code)
        guardian = self.actor == "guardian"
        by = Role.GUARDIAN if guardian else self.role(self.actor)
        if contract == "book" and self.lab.by_hand:
            pass
        elif contract == "book":
            sender = raw(self.lab.people[self.actor])
            told = self.lab.client.explained(
                bare, function, *args[1:], terms=self.terms, sender=sender
            )
        elif contract == "prices":
            told = refusals.by_prices(bare, function, *args, by=by, at=self.now)
        else:
            told = refusals.by_pledge(bare, function, *args, by=by, at=self.now)
        if function != "retire" and told.facts != ours.facts:
            raise Difference("numbers", f"{ours.code}: core {ours.facts}, adapter {told.facts}")

    def _watched(self, before: Escrow) -> None:
        """What the engine reads off the logs leads to the very same state."""
        found = self.watch.look({"0x" + self.loan.hex(): self.state}, at=self.now)
        told = before
        with differs("watch"):
            for _, command in found:
                bare = replace(command, tx="") if hasattr(command, "tx") else command
                told = fold(told, decide(told, bare))
        if told != self.state:
            raise Difference("watch", f"the watch tells {found}")

    def _settle(self, event: Event) -> None:
        """What an event does to everyone's cash and tokens."""
        lender = next(n for n in PEOPLE if self.lab.people[n].address == self.terms.lender)
        match event:
            case ln.Drawn(amount=amount):
                self._pay(lender, "borrower", amount)
            case ln.Repayment(interest=interest, principal=principal):
                self._pay(self.actor, lender, interest + principal)
            case ln.Liquidated(kind=kind, split=split) if kind is not Liquidation.TAKE_OVER:
                self._pay(self.actor, lender, split.repaid + split.fee)
            case ln.Refinanced(terms=new, settled=settled):
                self.terms = new
                self._name_roles()
                other = next(n for n in PEOPLE if self.lab.people[n].address == new.lender)
                self._pay(other, lender, settled)
            case TokensFreed(seized=seized, released=released):
                self.tokens[self.actor] += seized
                self.tokens["borrower"] += released
            case TokensHeld(sats=sats):
                self.tokens["borrower"] -= sats
            case Minted(sats=sats):
                self.tokens["borrower"] += sats
            case Retired(sats=sats):
                self.tokens[self.holder] -= max(0, sats - self.state.token.held)
            case Burned(burn=burn):
                self.tokens[self.actor] -= burn.sats
            case _:
                pass

    def _pay(self, payer: str, payee: str, cents: int) -> None:
        self.cash[payer] -= cents
        self.cash[payee] += cents

    def compare(self) -> None:
        """Phase, debt, deadline, dispute, price, clocks, what is in auction and every balance."""
        with differs("words"):
            self.lab.words.compare(self)
        if self.lab.by_hand:
            self.ask_views()

    def ask_views(self) -> None:
        """The same by what anyone may ask the contracts."""
        with differs("views"):
            self.lab.words.ask_views(self)

    # --- time and prices ---

    def wait(self, seconds: int) -> None:
        self.steps += 1
        self.lab.clock.move_to(self.lab.clock.now + seconds)
        self._tell([Tick(Role.WATCHER, self.now)])
        self.compare()

    def until(self, moment: int) -> None:
        """So that the next transaction happens exactly then, unless that is over."""
        self.wait(max(0, moment - self.now))

    def price(
        self,
        price: int,
        *,
        signers: int = 0,
        spread: int = 0,
        outlier: int | None = None,
        back: int = 0,
        skip: int = 0,
        twisted: bool = False,
    ) -> str:
        """A round. As many oracles as it needs unless ``signers`` says; all but the one in the
        middle are ``spread`` away from it, or the last one says ``outlier``."""
        last = self.state.system.price
        if last and not back and last.at >= self.now:
            self.wait(last.at + 1 - self.now)
        number, at = (last.round if last else 0) + 1 + skip, Seconds(self.now - back)
        far = last is not None and abs(price - last.price) * 10_000 > DEVIATION * last.price
        count = signers or (WIDE if far else QUORUM)
        middle = count // 2
        prices = [
            max(0, price - spread) if n < middle else price + spread if n > middle else price
            for n in range(count)
        ]
        if outlier is not None:
            prices[-1] = outlier
        if twisted:
            prices.reverse()
        domain = self.lab.contracts.prices.domain
        reports = [
            (each, sign(oracle, struct=typed.PRICE, message=message, domain=domain))
            for oracle, each in zip(self.lab.oracles, prices, strict=False)
            for message in ({"round": number, "price": each, "at": at},)
        ]
        command = Mark(Role.ORACLE, self.now, number, tuple(map(PriceE8, prices)), at)
        return self.both("stranger", [command], "prices", "post", number, at, reports)

    def pause(self, seconds: int, who: str = "guardian") -> str:
        by = Role.GUARDIAN if who == "guardian" else self.role(who)
        command = Pause(by, self.now, Seconds(seconds))
        return self.both(who, [command], "prices", "pause", seconds)

    def resume(self, who: str = "guardian") -> str:
        by = Role.GUARDIAN if who == "guardian" else self.role(who)
        return self.both(who, [Resume(by, self.now)], "prices", "resume")

    # --- coins and tokens ---

    def deposit(self, sats: int, **look: int) -> str:
        """A final coin in the vault, attested and minted. ``look`` as for ``mint``."""
        point = f"{len(self.coins) + 1:064x}:0"
        self.coins.append(point)
        self._tell([SawCoin(Role.WATCHER, self.now, point, Sats(sats), 100, 1)])
        return self.mint(point, sats, **look)

    def mint(
        self, point: str, sats: int, *, spare: int = 0, back: int = 0, signers: int = 2
    ) -> str:
        """``spare`` is how much more the quorum saw in the vault than the tokens will be, ``back``
        how many seconds ago."""
        reserves = Sats(max(0, outstanding(self.state.token) + sats + spare))
        args = self._attested(
            typed.ATTESTATION,
            point,
            sats,
            holder=raw(self.lab.people["borrower"]),
            reserves=reserves,
            seen_at=self.now - back,
            bitcoin_block=b"\xb1" * 32,
            signers=signers,
        )
        age = Seconds(back)
        command = Mint(Role.ATTESTOR, self.now, point, Sats(sats), reserves=reserves, age=age)
        return self.both("stranger", [command], "pledge", "mint", *args)

    def lose(self, which: int) -> str:
        """A coin is double-spent; its tokens are retired: pledged ones first, then those of
        whoever has most. If nobody has enough, they stay."""
        if not self.coins:
            return ""
        point = self.coins[which % len(self.coins)]
        coin = next(c for c in self.state.vault.coins if c.outpoint == point)
        self._tell([SawCoinGone(Role.WATCHER, self.now, point, "theft")])
        sats = min(coin.sats, outstanding(self.state.token))
        self.holder = max(PEOPLE, key=lambda name: self.tokens[name])
        if sats - self.state.token.held > self.tokens[self.holder]:
            return ""
        args = self._attested(
            typed.RETIREMENT,
            point,
            sats,
            holder=raw(self.lab.people[self.holder]),
            pledgor=raw(self.lab.people["borrower"]),
            deadline=self.now,
        )
        command = Retire(Role.ATTESTOR, self.now, point, Sats(sats))
        return self.both("stranger", [command], "pledge", "retire", *args)

    def _attested(
        self, struct: typed.Struct, point: str, sats: int, *, signers: int = 2, **rest: object
    ):
        message = {
            "loan": self.loan,
            "txid": bytes.fromhex(point[:64]),
            "vout": int(point[65:]),
            "sats": sats,
            **rest,
        }
        domain = self.lab.contracts.pledge.domain
        sigs = [
            sign(who, struct=struct, message=message, domain=domain)
            for who in self.lab.attestors[:signers]
        ]
        return struct.values(message), sigs

    def burn(self, who: str, sats: int, script: bytes = SCRIPT) -> str:
        # The core counts a loan's free tokens; whose they are, only the contract knows.
        if self.tokens[who] < sats <= sum(self.tokens.values()):
            sats = self.tokens[who]
        number = len(self.state.token.burns)
        request = self.lab.words.burns_of(raw(self.lab.people[who]))
        command = BurnTokens(self.role(who), self.now, number, Sats(sats), script.hex())
        return self.both(who, [command], "pledge", "burn", self.loan, sats, script, request)

    # --- the book ---

    @property
    def book_terms(self):
        return typed.encode_terms(terms_mapping(self.terms))

    def _book(self, who: str, command: Command, function: str, *args: object) -> str:
        return self.both(who, [command], "book", function, self.book_terms, *args)

    def signed_terms(self, made: Terms, *names: str) -> list[typed.Sig]:
        mapping, domain = terms_mapping(made), self.lab.contracts.book.domain
        signers = names or ("borrower", self._lender(made))
        return [
            sign(self.lab.people[name], struct=typed.TERMS, message=mapping, domain=domain)
            for name in signers
        ]

    def _lender(self, made: Terms) -> str:
        return next(n for n in PEOPLE if self.lab.people[n].address == made.lender)

    def open(self, who: str = "operator") -> str:
        command = Open(self.role(who), self.now)
        return self._book(who, command, "open", *self.signed_terms(self.terms))

    def open_and_draw(self, who: str, sats: int, cents: int) -> str:
        by, now, before = self.role(who), self.now, self.state
        commands: list[Command] = [
            Open(by, now),
            TopUp(by, now, Sats(sats)),
            Draw(by, now, Cents(cents)),
        ]
        if by is not Role.BORROWER:
            # That is asked first of all, also of a loan that the book does not know yet.
            commands = commands[2:]
            if isinstance(before.loan, ln.Accepted):
                self.state = replace(before, loan=ln.Opened(self.terms, Debt()))
        sigs = self.signed_terms(self.terms)
        try:
            return self.both(
                who, commands, "book", "open_and_draw", self.book_terms, *sigs, sats, cents
            )
        finally:
            if by is not Role.BORROWER:
                self.state = before

    def top_up(self, who: str, sats: int) -> str:
        # As of a burn.
        if self.tokens["borrower"] < sats <= sum(self.tokens.values()):
            sats = self.tokens["borrower"]
        return self._book(who, TopUp(self.role(who), self.now, Sats(sats)), "top_up", sats)

    def withdraw(self, who: str, sats: int) -> str:
        return self._book(who, Withdraw(self.role(who), self.now, Sats(sats)), "withdraw", sats)

    def draw(self, who: str, cents: int) -> str:
        return self._book(who, Draw(self.role(who), self.now, Cents(cents)), "draw", cents)

    def repay(self, who: str, cents: int) -> str:
        return self._book(who, Repay(self.role(who), self.now, Cents(cents)), "repay", cents)

    def close(self, who: str) -> str:
        return self._book(who, Repay(self.role(who), self.now, ALL), "close")

    def cancel(self, who: str) -> str:
        return self._book(who, Cancel(self.role(who), self.now), "cancel")

    def recovered(self, who: str) -> str:
        return self._book(who, NoteRecovery(self.role(who), self.now), "recovered")

    def refinance(self, who: str, **changes: object) -> str:
        """New terms, signed by the borrower and whoever they name as lender."""
        new = replace(
            self.terms,
            origin="0x" + self.loan.hex(),
            nonce=self.terms.nonce + 1,
            expires_at=Seconds(self.now + HOUR),
            draw_by=Seconds(self.now + DAY),
            maturity=Seconds(max(self.terms.maturity, self.now + DAY + 1)),
        )
        new = replace(new, **changes)
        words = typed.encode_terms(terms_mapping(new))
        command = Refinance(self.role(who), self.now, new)
        return self._book(who, command, "refinance", words, *self.signed_terms(new))

    def margin_call(self, who: str) -> str:
        return self._book(who, MarginCall(self.role(who), self.now), "margin_call")

    def dispute(self, who: str) -> str:
        return self._book(who, Dispute(self.role(who), self.now), "dispute")

    def resolve(self, who: str, upheld: bool) -> str:
        return self._book(who, Resolve(self.role(who), self.now, upheld), "resolve", upheld)

    def cure(self, who: str) -> str:
        return self._book(who, Cure(self.role(who), self.now), "cure")

    def expire_call(self, who: str) -> str:
        command = ExpireCall(self.role(who), self.now, room=self.room)
        return self._book(who, command, "expire_call")

    def take_over(self, who: str) -> str:
        command = Liquidate(self.role(who), self.now, Liquidation.TAKE_OVER)
        return self._book(who, command, "take_over")

    def liquidate(self, who: str, pay: int = MAX, least: int = 0) -> str:
        kind = self.terms.liquidation
        if kind not in (Liquidation.THIRD_PARTY, Liquidation.PARTIAL):
            kind = Liquidation.THIRD_PARTY
        command = Liquidate(self.role(who), self.now, kind, pay=Cents(pay), least=Sats(least))
        return self._book(who, command, "liquidate", pay, least)

    def take(self, who: str, want: int = MAX, most: int = MAX) -> str:
        command = Take(self.role(who), self.now, Sats(want), PriceE8(most), room=self.room)
        return self._book(who, command, "take", want, most)

    def redo(self, who: str) -> str:
        return self._book(who, Redo(self.role(who), self.now, room=self.room), "redo")


def terms(lab: Lab, **changes: object) -> Terms:
    base = Terms(
        borrower=lab.people["borrower"].address,
        lender=lab.people["lender"].address,
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
    if changes.pop("heard", False):
        changes = {"arbiter": lab.people["arbiter"].address, "dispute": DAY} | changes
    made = replace(base, **changes)
    return replace(made, liquidation=Liquidation(made.liquidation))
