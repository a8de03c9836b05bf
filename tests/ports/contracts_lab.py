"""The contracts on a real chain, people with keys, and short words for what they do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from escrow.adapters.evm import typed
from escrow.adapters.evm.chain import Chain
from escrow.adapters.evm.contracts import Contract, Contracts, Deployment, deploy
from escrow.core.errors import Rejected
from escrow.core.units import COIN, DAY, HOUR, MAX_MONEY
from escrow.ports import EvmPort

GENESIS = 1_740_000_000
"""2025-02-19, seconds."""
HEARTBEAT = HOUR
AUCTION_CAP = 10**10
BATCH_GAS = 4_000_000
DEVIATION = 2_000
"""Bps of the last price."""
DELAY = 2 * DAY
P2TR = bytes.fromhex("5120") + bytes(range(32))
P2WPKH = bytes.fromhex("0014") + bytes(range(20))
PRICE = 100_000 * COIN
"""100,000.00 a coin."""
KIND, JURISDICTION = 1, 643
"""Class and jurisdiction of everybody here that is admitted."""
HOLD_PLEDGE, HOLD_CASH, BORROW, LEND = 1, 2, 4, 8
ALL_RIGHTS = 15
FOR_EVER = 2**40 - 1
OPENED, ACTIVE, MARGIN_CALL, LIQUIDATING, REPAID, SEIZED, CANCELLED, RECOVERED = range(1, 9)


class Clock:
    def __init__(self, now: int) -> None:
        self.now = now

    def at_least(self, t: int, /) -> None:
        self.now = max(self.now, t)


AUCTION = {
    "liquidation": 3,
    "bonus_bps": 0,
    "buf_bps": 12_000,
    "cut_bps": 9_900,
    "step": 90,
    "tail": 7_200,
    "cusp_bps": 4_000,
}
"""Terms of an auction, as Maker's."""
PARTIAL = {"liquidation": 2, "target_ltv": 6_000}


def person(number: int) -> LocalAccount:
    return Account.from_key(number.to_bytes(32, "big"))


def raw(account: LocalAccount) -> bytes:
    return bytes.fromhex(account.address[2:])


class Lab:
    """Deployed once; ``save`` and ``back`` put it where it was."""

    def __init__(self, make: Callable[..., EvmPort] = Chain) -> None:
        """``make`` gives the chain; any backend will do."""
        self.borrower, self.lender, self.keeper, self.buyer, self.issuer, self.stranger = (
            person(number) for number in range(1, 7)
        )
        self.registrar, self.authority, self.guardian = (person(number) for number in (7, 8, 9))
        # Stands for the book where a test has none.
        self.hand = person(10)
        self.oracles = [person(number) for number in range(11, 16)]
        self.attestors = [person(number) for number in range(21, 26)]
        admitted = [self.borrower, self.lender, self.keeper, self.buyer, self.issuer]
        others = [self.stranger, self.registrar, self.authority, self.guardian, self.hand]
        self.clock = Clock(GENESIS)
        self.chain = make(
            chain_id=31337,
            genesis_time=GENESIS,
            alloc={raw(account): 10**21 for account in [*admitted, *others]},
            clock=self.clock,
        )
        self.clock.at_least(GENESIS + 1)
        self.plan = Deployment(
            cash_name="Test rouble",
            cash_symbol="TRUB",
            issuer=raw(self.issuer),
            registrar=raw(self.registrar),
            authority=raw(self.authority),
            guardian=raw(self.guardian),
            oracles=tuple(map(raw, self.oracles)),
            oracle_quorum=3,
            wide_quorum=5,
            heartbeat=HEARTBEAT,
            deviation_bps=DEVIATION,
            attestors=tuple(map(raw, self.attestors)),
            attestor_quorum=3,
            rotation_delay=DELAY,
            supply_cap=MAX_MONEY,
            auction_cap=AUCTION_CAP,
        )
        self.contracts: Contracts = deploy(self.plan, account=self.issuer, chain=self.chain)
        self.cash, self.prices = self.contracts.cash, self.contracts.prices
        self.pledge, self.book = self.contracts.pledge, self.contracts.book
        self.registry = self.contracts.registry
        self.rule(ALL_RIGHTS)
        self.admit(*map(raw, admitted))
        self.coins = 0
        self._saved = [(self.chain.snapshot(), self.clock.now, 0)]

    def save(self) -> None:
        """Remember this; ``back`` comes here until ``forget``."""
        self._saved.append((self.chain.snapshot(), self.clock.now, self.coins))

    def back(self) -> None:
        snapshot, now, self.coins = self._saved.pop()
        self.chain.revert(snapshot)
        self.clock.now = now
        self.save()

    def forget(self) -> None:
        self._saved.pop()

    @property
    def now(self) -> int:
        """Timestamp of the next transaction."""
        return self.chain.next_time

    def at(self, moment: int) -> None:
        """The next transaction happens exactly then."""
        self.clock.at_least(moment)
        assert self.chain.next_time == moment

    def wait(self, seconds: int) -> None:
        self.at(self.now + seconds)

    def terms(self, **changes: object) -> dict[str, object]:
        now = GENESIS
        return {
            "borrower": raw(self.borrower),
            "lender": raw(self.lender),
            "vault": b"\x07" * 32,
            "principal": 100_000_000,
            "rate_bps": 2_300,
            "initial_ltv": 5_000,
            "restore_ltv": 6_000,
            "call_ltv": 7_000,
            "liquidation_ltv": 8_500,
            "cure": DAY,
            "expires_at": now + 2 * DAY,
            "draw_by": now + 10 * DAY,
            "maturity": now + 365 * DAY,
            "grace": 10 * DAY,
            "recover_at": now + 400 * DAY,
            "confirmations": 6,
            "liquidation": 0,
            "bonus_bps": 500,
            "max_fee": 50_000,
            "nonce": 1,
            "target_ltv": 0,
            "fee_bps": 0,
            "min_left": 0,
            **dict.fromkeys(("buf_bps", "cut_bps", "step", "tail", "cusp_bps"), 0),
            "arbiter": bytes(20),
            "dispute": 0,
            "origin": bytes(32),
        } | changes

    # Signed things

    def sign_terms(self, terms: Mapping[str, object], *who: LocalAccount) -> list[typed.Sig]:
        signers = who or (self.borrower, self.lender)
        return [
            typed.sign_terms(signer, terms=terms, domain=self.book.domain) for signer in signers
        ]

    def reports(
        self,
        prices: Sequence[int],
        *,
        round: int | None = None,
        at: int | None = None,
        oracles: Sequence[LocalAccount] = (),
    ) -> tuple[int, int, list[tuple[int, typed.Sig]]]:
        """What ``post`` takes: one price an oracle, in the order given."""
        number = self.prices.call("last_round") + 1 if round is None else round
        moment = self.now if at is None else at
        who = oracles or self.oracles
        return (
            number,
            moment,
            [
                (price, self.sign_price(oracle, round=number, price=price, at=moment))
                for oracle, price in zip(who, prices, strict=False)
            ],
        )

    def sign_price(self, oracle: LocalAccount, **price: int) -> typed.Sig:
        return typed.sign_price(oracle, price=price, domain=self.prices.domain)

    def attestation(self, loan: bytes, sats: int, **changes: object) -> dict[str, object]:
        self.coins += 1
        return {
            "loan": loan,
            "holder": raw(self.borrower),
            "txid": self.coins.to_bytes(32, "big"),
            "vout": 0,
            "sats": sats,
            "reserves": MAX_MONEY,
            "seen_at": self.now,
            "bitcoin_block": b"\xb1" * 32,
            # Of a retirement; an attestation has neither.
            "pledgor": raw(self.borrower),
            "deadline": self.now + DAY,
        } | changes

    def sign_attestation(self, att: Mapping[str, object], count: int = 3) -> list[typed.Sig]:
        return [
            typed.sign_attestation(attestor, attestation=att, domain=self.pledge.domain)
            for attestor in self.attestors[:count]
        ]

    def sign_retirement(self, ret: Mapping[str, object], count: int = 3) -> list[typed.Sig]:
        return [
            typed.sign_retirement(attestor, retirement=ret, domain=self.pledge.domain)
            for attestor in self.attestors[:count]
        ]

    def permit(
        self,
        token: Contract,
        owner: LocalAccount,
        spender: bytes,
        amount: int,
        *,
        signer: LocalAccount | None = None,
        **changes: int,
    ) -> tuple[object, ...]:
        """A signed approval as ``permit`` takes it, good until the next second."""
        message = {
            "owner": raw(owner),
            "spender": spender,
            "value": amount,
            "nonce": token.call("nonces", raw(owner)),
            "deadline": self.now,
        } | changes
        sig = typed.sign_permit(signer or owner, permit=message, domain=token.domain)
        return (*(message[name] for name in ("owner", "spender", "value", "deadline")), *sig)

    # Who takes part

    def rule(self, rights: int, *, kind: int = KIND, jurisdiction: int = JURISDICTION) -> Any:
        return self.registry.send(self.registrar, "set_rule", kind, jurisdiction, rights)

    def admit(self, *accounts: bytes, kind: int = KIND, until: int = FOR_EVER) -> Any:
        entries = [(account, kind, JURISDICTION, until) for account in accounts]
        return self.registry.send(self.registrar, "admit", entries, gas=BATCH_GAS)

    def suspend(self, *accounts: bytes) -> Any:
        return self.registry.send(self.registrar, "suspend", accounts, gas=BATCH_GAS)

    def set_change(
        self, contract: Contract, members: Sequence[LocalAccount], **changes: object
    ) -> dict[str, object]:
        return {
            "number": contract.call("change_number"),
            "members": tuple(map(raw, members)),
            "quorum": 3,
        } | changes

    # Things done

    def propose(
        self,
        contract: Contract,
        change: Mapping[str, object],
        signers: Sequence[LocalAccount] = (),
    ) -> Any:
        """Another set for ``contract``, signed by three of its first set where nobody is named."""
        first = self.oracles if contract is self.prices else self.attestors
        sigs = [
            typed.sign_set_change(signer, change=change, domain=contract.domain)
            for signer in signers or first[:3]
        ]
        return contract.send(
            self.stranger, "propose_set", change["members"], change["quorum"], sigs
        )

    def post(self, *prices: int, **changes: Any) -> Any:
        """A round of these prices; of one price, by three oracles, by five where it is a jump."""
        if len(prices) < 2:
            price = prices[0] if prices else PRICE
            last = self.prices.call("latest")[0] or price
            prices = (price,) * (5 if abs(price - last) * 10_000 > DEVIATION * last else 3)
        return self.prices.send(self.keeper, "post", *self.reports(prices, **changes))

    def mint(self, loan: bytes, sats: int, **changes: object) -> dict[str, object]:
        att = self.attestation(loan, sats, **changes)
        self.pledge.send(
            self.keeper, "mint", typed.ATTESTATION.values(att), self.sign_attestation(att)
        )
        return att

    def burn(
        self, who: LocalAccount, loan: bytes, sats: int, script: bytes = P2TR, **changes: int
    ) -> Any:
        request = changes.get("request", self.pledge.call("burns_of", raw(who)))
        return self.pledge.send(who, "burn", loan, sats, script, request)

    def retire(self, ret: Mapping[str, object], **changes: object) -> Any:
        message = dict(ret) | changes
        return self.pledge.send(
            self.keeper, "retire", typed.RETIREMENT.values(message), self.sign_retirement(message)
        )

    def lose_last_coin(self, terms: Mapping[str, object], sats: int) -> None:
        """The coin minted last, of this loan, leaves the vault without a burn."""
        att = self.attestation(typed.loan_id(terms), sats)
        self.coins -= 1
        self.retire(att, txid=self.coins.to_bytes(32, "big"))

    def fund(self, account: LocalAccount, cents: int) -> None:
        """Cash for an account, and its approval of the book."""
        self.cash.send(self.issuer, "mint", raw(account), cents)
        self.cash.send(account, "approve", self.book.address, 2**256 - 1)

    def open(self, terms: Mapping[str, object], *who: LocalAccount) -> Any:
        values = typed.encode_terms(terms)
        return self.book.send(self.keeper, "open", values, *self.sign_terms(terms, *who))

    def do(self, who: LocalAccount, verb: str, terms: Mapping[str, object], *args: int) -> Any:
        return self.book.send(who, verb, typed.encode_terms(terms), *args)

    def opened(self, *, sats: int = 0, **changes: object) -> dict[str, object]:
        """A loan opened, with ``sats`` pledged, and a lender who can pay."""
        terms = self.terms(**changes)
        self.open(terms)
        self.fund(self.lender, 10**12)
        if sats:
            self.mint(typed.loan_id(terms), sats)
            self.do(self.borrower, "top_up", terms, sats)
        return terms

    def active(
        self, *, sats: int = 2 * COIN, cents: int = 5_000_000, price: int = PRICE, **changes: object
    ) -> dict[str, object]:
        """A loan drawn, at a price posted just before."""
        terms = self.opened(sats=sats, **changes)
        self.post(price)
        self.do(self.borrower, "draw", terms, cents)
        return terms

    def stay_fresh(self, until: int, price: int = PRICE) -> None:
        """Post often enough that the active clock never stops, the last time at ``until``."""
        while self.now < until:
            self.at(min(self.now + HEARTBEAT, until))
            self.post(price)

    # Looking

    def loan(self, terms: Mapping[str, object]) -> tuple[int, int, int, int, int]:
        found: tuple[int, int, int, int, int] = self.book.call("loan", typed.loan_id(terms))
        return found

    def phase(self, terms: Mapping[str, object]) -> int:
        return self.loan(terms)[0]

    def owed(self, terms: Mapping[str, object]) -> int:
        if not self.phase(terms):
            return 0
        return int(self.book.call("owed", typed.encode_terms(terms)))

    def held(self, terms: Mapping[str, object]) -> int:
        return int(self.pledge.call("held", typed.loan_id(terms)))

    def tokens(self, account: LocalAccount) -> int:
        """What it may spend."""
        return int(self.pledge.call("spendable", raw(account)))

    def money(self, account: LocalAccount) -> int:
        return int(self.cash.call("balanceOf", raw(account)))

    def said(self, receipt: Any) -> list[tuple[str, dict[str, Any]]]:
        """Events in a receipt: names and members."""
        return [(event.name, dict(event.args)) for event in self.contracts.events(receipt.logs)]


@contextmanager
def refuses(code: str) -> Iterator[None]:
    """The contract says no with exactly this code, and nothing is mined."""
    with pytest.raises(Rejected) as caught:
        yield
    assert caught.value.code == code
