"""Cash legs of a settlement across borders: currencies with wallets, a rate, what exchanges them.

    settlement = settlement_of(world)
    roubles = open_currency(world, name="Digital rouble", symbol="RUBd")
    open_wallets(world, roubles, kind=1, limits=Limits(...), accounts=["borrower", "lender"])
    settle_cross_border(world, first=Give("lender", roubles, 100_000), second=Give(...), rate=...)

The currencies are modelled on what is public of digital currencies of central banks in general;
nothing here speaks to any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from escrow.actors.oracle import Oracle
from escrow.adapters.evm.bundle import rehearse, send_all
from escrow.adapters.evm.cash_orders import ORDER, PAYMENT, sign_order
from escrow.adapters.evm.contracts import ZERO, Contract
from escrow.core.errors import Rejected
from escrow.core.gates import check_transfer
from escrow.core.regions.register import Purpose
from escrow.core.roles import Role
from escrow.core.units import CENTS_SCALE, COIN, DAY, HOUR, MAX_TIME, Bps, Cents, PriceE8, Seconds
from escrow.wiring import KIND, RUSSIA
from escrow.world import World

SETTLEMENT: Final = "Settlement"
LOCKS: Final = "HashLock"
RATES: Final = "Exchange rate"
"""Labels of the contracts of which a world has one."""
PERIOD: Final = Seconds(30 * DAY)
"""One period of a currency's limits, counted from the unix epoch: no calendar month."""
RATE_SCALE: Final = COIN
"""Scale of a rate between two currencies of two decimals: the second's for one of the first,
× 10⁸."""
BTC_SCALE: Final = CENTS_SCALE
"""Scale of a price of bitcoin: from sats to cents."""

_ORDER: Final = "settle-order"
_AT_ONCE: Final = Seconds(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a wallet of one class may do."""

    balance: Cents
    """The most it may have."""
    payment: Cents
    """The most it may pay at once."""
    period: Cents
    """The most it may pay in one period."""


@dataclass(frozen=True, slots=True)
class Give:
    """One leg of an order."""

    party: str
    """Who gives."""
    token: Contract
    amount: int
    """In the token's own units: sats or cents."""


@dataclass(frozen=True, slots=True)
class Rate:
    """The check of an order against a feed."""

    feed: Contract
    """A ``PriceRounds``."""
    scale: int
    """``BTC_SCALE`` or ``RATE_SCALE``."""
    tolerance: Bps
    """By how much the second amount may differ from the feed's."""


def settlement_of(world: World) -> Contract:
    """The contract that exchanges two legs: deployed once."""
    return world.extras.get(SETTLEMENT) or world.deploy(SETTLEMENT)


def hash_lock(world: World) -> Contract:
    """The contract that holds the cash of swaps: deployed once, and admitted by the registrar to
    the cash of the loans, as any account is."""
    if LOCKS not in world.extras:
        locks = world.deploy(LOCKS)
        with world.act("registrar", "admit", account=f"0x{locks.address.hex()}"):
            entry = (locks.address, KIND, RUSSIA, MAX_TIME)
            registry = world.evm.contracts.registry
            registry.send(world.party("registrar").account, "admit", [entry])
    return world.extras[LOCKS]


def open_currency(
    world: World, *, name: str, symbol: str, operator: str = "operator", period: Seconds = PERIOD
) -> Contract:
    """A ``DigitalCash``, labelled by its name, whose allowances to the settlement need not be
    counted. ``operator`` is the party that keeps its wallets. Raises ``BadInput``:
    ``evm/contract``, ``evm/word``; ``Rejected("wallet/limits")``."""
    people = (world.party(each).address_bytes for each in ("issuer", operator, "authority"))
    settlement = settlement_of(world).address
    return world.deploy("DigitalCash", name, symbol, *people, settlement, period, label=name)


def open_wallets(
    world: World,
    token: Contract,
    *,
    kind: int,
    limits: Limits,
    accounts: Iterable[str | bytes],
    operator: str = "operator",
) -> None:
    """Set the limits of a class and open wallets of it, for parties or contracts' addresses: all
    or none. Raises ``BadInput("input/unknown-party")``; ``Rejected``: ``wallet/…``,
    ``token/receiver``."""
    account = world.party(operator).account
    owners = [
        world.party(each).address_bytes if isinstance(each, str) else each for each in accounts
    ]
    with world.act(operator, "open-wallets", token=token.call("symbol"), kind=kind):
        values = limits.balance, limits.payment, limits.period
        sendings = []
        if token.call("limits_of", kind) != values:
            sendings.append(partial(token.send, account, "set_limits", kind, *values))
        sendings += [
            partial(token.send, account, "open_wallet", owner, kind, MAX_TIME) for owner in owners
        ]
        send_all(world.evm.chain, *sendings)


def issue(world: World, token: Contract, *, to: str, cents: Cents) -> None:
    """The issuer mints into an open wallet. Raises ``Rejected``: ``token/…``, ``limit/balance``,
    ``platform/offline``."""
    with world.act("issuer", "issue", token=token.call("symbol"), to=to, cents=cents):
        token.send(world.party("issuer").account, "mint", world.party(to).address_bytes, cents)


# --- the rate ---


def open_rates(world: World) -> Contract:
    """A second ``PriceRounds``, posted by the world's oracles: one currency in another. Its
    Chainlink description still speaks of bitcoin, and nothing here reads that."""
    if RATES in world.extras:
        return world.extras[RATES]
    config = world.config
    oracles = [p.address_bytes for p in world.parties.values() if p.role is Role.ORACLE]
    return world.deploy(
        "PriceRounds",
        *(oracles, config.oracle_quorum, config.oracle_wide_quorum),
        *(config.heartbeat, config.deviation_bps),
        *(world.party("guardian").address_bytes, config.rotation_delay),
        label=RATES,
    )


def post_rate(world: World, rates: Contract, rate: PriceE8, *, by: str = "operator") -> None:
    """The oracles that answer sign what one of the first currency costs in the second, × 10⁸.

    A rate is heard at a moment of its own: the second after the last. Raises ``Rejected``:
    ``price/…``."""
    names = [p.name for p in world.parties.values() if p.role is Role.ORACLE]
    asked = [world.party(name) for name in names if name not in world.silent]
    asked = asked[: world.config.oracle_quorum]
    number, now = rates.call("last_round") + 1, world.now
    reports = [
        Oracle(party, domain=rates.domain).report(round=number, market=rate, at=now, now=now)
        for party in asked
    ]
    with world.act(by, "post-rate", rate=f"{rate}e-8"):
        rates.send(world.party(by).account, "post", number, now, reports)


# --- two legs at once ---


def settle_cross_border(
    world: World,
    *,
    first: Give,
    second: Give,
    rate: Rate | None = None,
    expires_in: Seconds = HOUR,
    purpose: Purpose = Purpose.PURCHASE,
    by: str = "operator",
) -> str:
    """Two parties sign one order, each approves its leg, and ``by`` carries it: both legs move in
    one transaction, or neither, and then no leg is approved. The order's name.

    Delivery versus payment where one leg is the pledge token, payment versus payment between two
    currencies. Pledge tokens pass by the rules of today, for ``purpose``, as ``World.transfer``
    asks them. Raises ``Rejected``: ``eligibility/denied``, ``settle/…``, ``token/…``, ``limit/…``,
    ``platform/offline``, ``price/stale``.
    """
    for give, taker in ((first, second.party), (second, first.party)):
        if give.token.address == world.evm.contracts.pledge.address:
            check_transfer(
                world.engine.register,
                sender=world.party(give.party).address,
                receiver=world.party(taker).address,
                purpose=purpose,
                at=world.now,
            )
    settlement = settlement_of(world)
    order: dict[str, object] = {
        "first": world.party(first.party).address_bytes,
        "second": world.party(second.party).address_bytes,
        "first_token": first.token.address,
        "first_amount": first.amount,
        "second_token": second.token.address,
        "second_amount": second.amount,
        "feed": rate.feed.address if rate else ZERO,
        "scale": rate.scale if rate else 0,
        "tolerance_bps": rate.tolerance if rate else 0,
        "nonce": sum(act.verb == _ORDER for act in world.acts),
        "expires_at": world.now + expires_in,
    }
    name = f"0x{ORDER.hash(order).hex()}"
    for give in (first, second):
        if give.party in world.silent:
            raise Rejected("settle/not-agreed", party=give.party)
    with world.act(first.party, _ORDER, order=name, other=second.party):
        parties = [world.party(give.party) for give in (first, second)]
        signed = [
            sign_order(party.account, order=order, domain=settlement.domain) for party in parties
        ]
        approve = [
            partial(give.token.send, party.account, "approve", settlement.address, give.amount)
            for give, party in zip((first, second), parties, strict=True)
        ]
        settle = partial(
            settlement.send, world.party(by).account, "settle", ORDER.values(order), *signed
        )
        rehearse(world.evm.chain, *approve, settle)
        for each in approve:
            each()
    with world.act(by, "settle", order=name):
        settle()
    return name


# --- payments that wait ---


def lock_payment(
    world: World,
    token: Contract,
    *,
    payer: str,
    payee: str,
    cents: Cents,
    deadline: Seconds,
    not_before: Seconds = _AT_ONCE,
    payee_kind: int = 0,
    digest: bytes = bytes(32),
    approver: str = "",
) -> Mapping[str, object]:
    """The payer locks a payment until its conditions hold; the payment, for the calls below.
    Raises ``Rejected``: ``pay/…``, ``limit/…``, ``token/…``, ``platform/offline``."""
    payment: dict[str, object] = {
        "payer": world.party(payer).address_bytes,
        "payee": world.party(payee).address_bytes,
        "amount": cents,
        "not_before": not_before,
        "deadline": deadline,
        "payee_kind": payee_kind,
        "digest": digest,
        "approver": world.party(approver).address_bytes if approver else ZERO,
        "nonce": sum(act.verb == "pay-lock" for act in world.acts),
    }
    with world.act(payer, "pay-lock", payment=_name(payment), to=payee, cents=cents):
        token.send(world.party(payer).account, "lock_payment", PAYMENT.values(payment))
    return payment


def approve_payment(
    world: World, token: Contract, payment: Mapping[str, object], *, by: str
) -> None:
    """The approver confirms. Raises ``Rejected``: ``pay/…``."""
    with world.act(by, "pay-approve", payment=_name(payment)):
        token.send(world.party(by).account, "approve_payment", PAYMENT.values(payment))


def complete_payment(
    world: World,
    token: Contract,
    payment: Mapping[str, object],
    *,
    by: str,
    preimage: bytes = bytes(32),
) -> None:
    """Anyone completes it while every condition holds. Raises ``Rejected``: ``pay/…``, ``limit/…``,
    ``token/…``, ``platform/offline``."""
    with world.act(by, "pay-complete", payment=_name(payment)):
        values = PAYMENT.values(payment)
        token.send(world.party(by).account, "complete_payment", values, preimage)


def return_payment(
    world: World, token: Contract, payment: Mapping[str, object], *, by: str
) -> None:
    """Anyone after the deadline, or the payee. Raises ``Rejected``: ``pay/…``,
    ``platform/offline``."""
    with world.act(by, "pay-return", payment=_name(payment)):
        token.send(world.party(by).account, "return_payment", PAYMENT.values(payment))


def _name(payment: Mapping[str, object]) -> str:
    return f"0x{PAYMENT.hash(payment).hex()}"
