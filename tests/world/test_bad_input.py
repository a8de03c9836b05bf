"""What makes no sense is refused: a typed exception with its code, and nothing has changed — not
the state's hash, nor a chain's tip, nor anyone's balance, nor the time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from world_lab import WALLETS, burn_on_evm, coins, fingerprint, sound

from escrow.adapters.evm import typed
from escrow.adapters.evm.client import terms_mapping
from escrow.config import WorldConfig
from escrow.core.errors import CODES, BadInput, EscrowError, Refused, Rejected
from escrow.core.units import COIN, DAY, MAX_MONEY
from escrow.world import World


def refuses(world, kind, code, ask):
    """``ask`` raises exactly this, and the world is what it was."""
    before = fingerprint(world)
    with pytest.raises(EscrowError) as refusal:
        ask()
    assert (type(refusal.value), refusal.value.code) == (kind, code)
    assert code in CODES
    assert fingerprint(world) == before


# --- amounts ---


@pytest.mark.parametrize(
    "btc",
    ["0.00000545", "0", "21000000.00000001", "21000001", "-1", "1e3", "nan", "0.123456789", "", 0],
)
def test_an_amount_of_coins_below_dust_above_21_million_or_unreadable(world, btc):
    for ask in (
        lambda: world.pledge(btc=btc),
        lambda: world.top_up(btc=btc),
        lambda: world.burn(btc=btc),
        lambda: world.pay("borrower", btc=btc, to=world.loans[0].vault.address),
    ):
        refuses(world, BadInput, "input/amount", ask)


@pytest.mark.parametrize("btc", [0.5, True, None, b"1"])
def test_an_amount_that_is_no_text_or_integer(world, btc):
    refuses(world, BadInput, "input/amount", lambda: world.pledge(btc=btc))


def test_amounts_at_the_bounds_are_readable(world):
    refuses(world, Rejected, "mint/amount", lambda: world.pledge(btc="0.00000546"))
    refuses(world, Rejected, "mint/amount", lambda: world.pledge(btc="0.00009999"))
    refuses(world, Refused, "bitcoin/funds", lambda: world.pledge(btc=MAX_MONEY // COIN))
    world.pledge(btc="0.0001")
    sound(world)


@pytest.mark.parametrize("cents", ["0", "0.001", "-5", "1e6", "", 0, 10**30])
def test_an_amount_of_cash(world, cents):
    for ask in (lambda: world.draw(None, cents), lambda: world.repay(None, cents)):
        refuses(world, BadInput, "input/amount", ask)
    refuses(world, BadInput, "input/amount", lambda: world.terms(principal=cents))


def test_more_cash_than_agreed_or_owned(world):
    deal = world.loans[0]
    refuses(world, Rejected, "draw/above-principal", lambda: world.draw(deal, "0.01"))
    world.cash_of("stranger")
    refuses(world, Rejected, "token/allowance", lambda: world.repay(deal, "1", by="stranger"))


@pytest.mark.parametrize("price", ["0", "-1", "nan", "", "10000000001", "1.123456789", 0, 1.5])
def test_an_absurd_price(world, price):
    refuses(world, BadInput, "input/amount", lambda: world.price(price))


# --- addresses and parties ---


@pytest.mark.parametrize(
    "address",
    [
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",  # mainnet
        "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",  # testnet
        "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",  # base58: testnet or regtest, nobody can tell
        "bcrt1qnonsense",
        "",
        "0x0000000000000000000000000000000000000000",
    ],
)
def test_an_address_of_another_network(world, address):
    world.repay()
    refuses(world, BadInput, "bitcoin/address", lambda: world.burn(to=address))
    refuses(world, BadInput, "bitcoin/address", lambda: world.pay("borrower", btc="1", to=address))


def test_a_party_that_does_not_exist(world):
    for ask in (
        lambda: world.draw(by="nobody"),
        lambda: world.burn(by="nobody"),
        lambda: world.offer(by="nobody"),
        lambda: world.silence("lender", "nobody"),
        lambda: world.answer("nobody"),
        lambda: world.sats_of("nobody"),
    ):
        refuses(world, BadInput, "input/unknown-party", ask)
    assert world.silent == set()


def test_the_wrong_party(world):
    deal = world.accept(world.offer())
    for by in ("lender", "stranger", "operator", "custodian"):
        refuses(world, Rejected, "draw/not-borrower", lambda by=by: world.draw(deal, by=by))
        refuses(world, Rejected, "top-up/not-borrower", lambda by=by: world.secure(deal, by=by))
    first = world.loans[0]
    for by in ("borrower", "liquidator", "stranger"):
        refuses(
            world,
            Rejected,
            "liquidate/not-lender",
            lambda by=by: world.liquidate(first, by=by),
        )
    refuses(world, Rejected, "offer/not-lender", lambda: world.offer(by="borrower"))
    refuses(world, Rejected, "cancel/not-party", lambda: world.cancel(deal, by="stranger"))
    refuses(world, Rejected, "cancel/draw-window", lambda: world.cancel(deal, by="lender"))
    offered = world.offer()
    refuses(world, Rejected, "accept/not-borrower", lambda: world.accept(offered, by="lender"))


def test_the_wrong_moment(world):
    deal = world.loans[0]
    refuses(world, Rejected, "liquidate/healthy", lambda: world.liquidate(deal))
    refuses(world, Rejected, "call/healthy", lambda: world.margin_call(deal))
    refuses(world, Rejected, "cure/not-called", lambda: world.cure(deal))
    refuses(world, Rejected, "expire/not-called", lambda: world.expire_call(deal))
    refuses(world, Rejected, "cancel/too-late", lambda: world.cancel(deal))
    refuses(world, Rejected, "accept/not-offered", lambda: world.accept(deal))
    refuses(world, Rejected, "offer/already-offered", lambda: world.offer(deal.terms))
    refuses(world, Rejected, "burn/dust", lambda: world.burn(deal))
    refuses(world, Rejected, "burn/no-tokens", lambda: world.burn(deal, btc="1"))
    refuses(world, Refused, "bitcoin/non-final", lambda: world.recover(deal))
    refuses(world, Rejected, "clock/backwards", lambda: world.advance(seconds=-1))
    refuses(world, BadInput, "input/time", lambda: world.advance(hours=0.5))
    refuses(world, Refused, "bitcoin/reorg", lambda: world.reorg(10_000))
    refuses(world, Refused, "bitcoin/reorg", lambda: world.reorg(0))
    refuses(world, Refused, "bitcoin/reorg", lambda: world.reorg(1, drop=["00" * 32]))
    world.repay(deal)
    refuses(world, Rejected, "repay/no-debt", lambda: world.repay(deal))
    refuses(world, Rejected, "draw/not-open", lambda: world.draw(deal))
    refuses(world, Rejected, "liquidate/not-live", lambda: world.liquidate(deal))
    refuses(world, Rejected, "pledge/late", lambda: world.pledge(deal, btc="1"))


def test_a_world_without_a_loan(new):
    world = new(seed=1)
    for ask in (world.draw, world.repay, world.burn, world.liquidate, world.accept, world.cancel):
        refuses(world, Rejected, "loan/unknown", ask)


# --- deposits ---


def test_a_deposit_of_the_wrong_amount_does_not_carry_the_draw(new):
    world = new(seed=1)
    deal = world.pledge(world.accept(world.offer()), btc="0.5")
    world.price("83333.00")
    refuses(world, Rejected, "draw/above-initial-ltv", lambda: world.draw(deal))
    world.draw(deal, "20833.00")
    sound(world)


def test_a_deposit_is_neither_counted_early_nor_twice(new):
    world = new(seed=1)
    deal = world.accept(world.offer())
    world.pledge(deal, btc="1", wait=False)
    refuses(world, Rejected, "loan/amount", lambda: world.secure(deal))
    world.mine(5)
    assert deal.state.token.minted == 0
    world.mine(1)
    assert deal.state.token.minted == COIN
    world.mine(6)
    assert deal.state.token.minted == COIN
    world.secure(deal)
    refuses(world, Rejected, "loan/amount", lambda: world.secure(deal))
    sound(world)


def test_a_late_deposit_is_noted_and_goes_back(world):
    deal = world.loans[0]
    world.repay(deal)
    world.release(deal)
    before = coins(world, "borrower")
    world.pay("borrower", btc="0.1", to=deal.vault.address)
    world.mine(6)
    assert [each.code for each in deal.state.incidents] == ["pledge/late"]
    world.burn(deal)
    world.mine(6)
    assert before - 2_000 < coins(world, "borrower") < before
    sound(world, "pledge/late")


def test_a_deposit_to_a_loan_that_was_never_opened_is_not_lost(world):
    """Nobody can mint for it, so it waits for the borrower's own key."""
    deal = world.offer(world.terms(draw_in=DAY, term=2 * DAY, grace=0, recover_in=DAY))
    world.cancel(deal, by="lender")
    world.pay("borrower", btc="1", to=deal.vault.address)
    world.mine(6)
    assert deal.state.token.minted == 0
    world.advance(days=4, hours=2)
    world.recover(deal)
    world.mine(6)
    assert world.engine.broken == []


# --- terms ---


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"initial_ltv": 7_000}, "terms/ltv-order"),
        ({"call_ltv": 8_500}, "terms/ltv-order"),
        ({"liquidation_ltv": 10_000}, "terms/ltv-order"),
        ({"initial_ltv": 0}, "terms/ltv-order"),
        ({"draw_in": 3_600}, "terms/time-order"),
        ({"term": 6 * DAY}, "terms/time-order"),
        ({"recover_in": 0}, "terms/time-order"),
        ({"expires_in": -1}, "offer/expired"),
        ({"confirmations": 0}, "terms/size"),
        ({"confirmations": 101}, "terms/size"),
        ({"cure": 0}, "terms/size"),
        ({"max_fee": 0}, "terms/size"),
        ({"bonus_bps": 5_001}, "terms/size"),
        ({"rate_bps": 100_001}, "terms/rate"),
    ],
)
def test_terms_that_contradict_themselves(world, changes, code):
    refuses(world, Rejected, code, lambda: world.offer(world.terms(**changes)))
    refuses(world, Rejected, code, lambda: world.open(**changes))


def test_terms_that_are_no_terms(world):
    terms = world.terms()
    refuses(world, BadInput, "scenario/unknown-key", lambda: world.terms(colour=3))
    refuses(world, BadInput, "scenario/value", lambda: world.terms(liquidation="barter"))
    refuses(world, BadInput, "input/unknown-party", lambda: world.terms(arbiter="nobody"))
    for name in ("borrower", "lender"):
        refuses(
            world,
            Rejected,
            "terms/arbiter",
            lambda name=name: world.offer(world.terms(arbiter=name)),
        )
    for liquidation, change, code in (
        ("take-over", {"target_ltv": 5_000}, "terms/target"),
        ("partial", {"target_ltv": 6_001}, "terms/target"),
        ("third-party", {"step": 90}, "terms/auction"),
        ("auction", {"bonus_bps": 500}, "terms/auction"),
        ("auction", {"tail": 89}, "terms/auction"),
    ):
        wrong = replace(world.terms(liquidation=liquidation), **change)
        refuses(world, Rejected, code, lambda wrong=wrong: world.offer(wrong))
    same = replace(terms, lender=terms.borrower)
    refuses(world, Rejected, "terms/parties", lambda: world.offer(same))
    for wrong in (
        {"rate_bps": -1},
        {"rate_bps": 0.5},
        {"principal": 2**256},
        {"nonce": -1},
        {"lender": "0x12"},
    ):
        with pytest.raises(BadInput):
            world.offer(replace(terms, **wrong))


def test_terms_that_name_another_vault(world):
    terms = world.terms()
    used = world.loans[0].terms
    for wrong in (
        {"vault": "0x" + "11" * 32},
        {"vault": used.vault},
        {"nonce": terms.nonce + 1},
        {"recover_at": terms.recover_at + 1},
    ):
        made = replace(terms, **wrong)
        refuses(world, BadInput, "terms/vault", lambda made=made: world.offer(made))
    # The right vault, but another loan has it.
    twin = replace(used, principal=used.principal - 1)
    refuses(world, BadInput, "terms/vault", lambda: world.offer(twin))


@pytest.mark.parametrize(
    "options",
    [
        {"seed": -1},
        {"seed": 2**64},
        {"seed": "1"},
        {"seed": True},
        {"start": 0},
        {"oracle_quorum": 4},
        {"oracle_quorum": 7},
        {"oracle_wide_quorum": 4},
        {"oracle_wide_quorum": 7},
        {"oracle_wide_quorum": 1},
        {"deviation_bps": 0},
        {"rotation_delay": 0},
        {"attestors": 0},
        {"heartbeat": 1},
    ],
)
def test_a_world_that_makes_no_sense(options):
    with pytest.raises(BadInput) as refusal:
        World(config=WorldConfig(**options))
    assert refusal.value.code in ("input/seed", "input/time", "input/amount")


# --- signatures ---


def test_a_signature_by_a_stranger_opens_no_loan(world):
    terms = terms_mapping(world.terms())
    book = world.evm.contracts.book
    good = {
        name: typed.sign_terms(world.party(name).account, terms=terms, domain=book.domain)
        for name in ("borrower", "lender", "stranger")
    }
    for sigs in (
        (good["stranger"], good["lender"]),
        (good["borrower"], good["stranger"]),
        (good["lender"], good["borrower"]),
    ):
        refuses(
            world,
            Rejected,
            "open/bad-signature",
            lambda sigs=sigs: book.send(
                world.party("stranger").account, "open", typed.encode_terms(terms), *sigs
            ),
        )


def attested(world, name, point, deal, **changes):
    """An attestation by ``name``, of whatever it is told."""
    coin = deal.state.vault.coins[0]
    message = {
        "loan": bytes.fromhex(deal.id[2:]),
        "holder": world.party("borrower").address_bytes,
        "txid": bytes.fromhex(point.split(":")[0]),
        "vout": int(point.split(":")[1]),
        "sats": coin.sats,
        "reserves": MAX_MONEY,
        "seen_at": world.now,
        "bitcoin_block": bytes.fromhex(world.bitcoin.tip_hash),
    } | changes
    domain = world.evm.contracts.pledge.domain
    sig = typed.sign_attestation(world.party(name).account, attestation=message, domain=domain)
    return tuple(message.values()), sig


def test_attestations_that_are_replayed_too_few_or_a_strangers(world):
    deal = world.loans[0]
    pledge, anyone = world.evm.contracts.pledge, world.party("stranger").account
    minted = deal.state.vault.coins[0].outpoint
    fresh = "ab" * 32 + ":0"

    def mint(point, *names, **changes):
        signed = [attested(world, name, point, deal, **changes) for name in names]
        return lambda: pledge.send(anyone, "mint", signed[0][0], [sig for _, sig in signed])

    both = ("attestor-1", "attestor-2")
    refuses(world, Rejected, "mint/replayed", mint(minted, *both))
    refuses(world, Rejected, "mint/too-few-signers", mint(fresh, "attestor-1"))
    refuses(world, Rejected, "mint/duplicate-signer", mint(fresh, "attestor-1", "attestor-1"))
    refuses(world, Rejected, "mint/stranger", mint(fresh, "attestor-1", "stranger"))
    refuses(world, Rejected, "mint/stranger", mint(fresh, "attestor-1", "oracle-1"))
    refuses(world, Rejected, "mint/expired", mint(fresh, *both, seen_at=world.now - 3_601))
    refuses(world, Rejected, "mint/from-future", mint(fresh, *both, seen_at=world.now + 2))
    refuses(world, Rejected, "mint/reserves", mint(fresh, *both, reserves=299_999_999))
    refuses(world, Rejected, "mint/amount", mint(fresh, *both, sats=9_999))
    refuses(world, Rejected, "mint/amount", mint(fresh, *both, sats=MAX_MONEY + 1))
    refuses(world, Rejected, "token/cannot-receive", mint(fresh, *both, holder=bytes(20)))


def test_tokens_that_no_coin_backs_are_an_incident_and_buy_nothing(world):
    """A quorum of attestors that lies can mint; the engine and the cosigners do not follow."""
    deal = world.loans[0]
    fresh = "ab" * 32 + ":0"
    signed = [attested(world, name, fresh, deal) for name in ("attestor-1", "attestor-2")]
    world.evm.contracts.pledge.send(
        world.party("stranger").account, "mint", signed[0][0], [sig for _, sig in signed]
    )
    world.settle()
    assert [each.code for each in deal.state.incidents] == ["pledge/unknown-coin"]
    script = world.party("stranger").script
    burn_on_evm(world, "borrower", bytes.fromhex(deal.id[2:]), 150_000_000, script)
    world.settle()
    world.mine(6)
    assert coins(world, "stranger") == 0
    assert deal.state.vault.payouts == ()


# --- prices ---


def test_prices_by_too_few_strangers_from_the_future_or_stale(world):
    prices = world.evm.contracts.prices
    number = prices.call("last_round") + 1
    value = 40_000 * 10**8

    def post(*names, at=world.now, price=value, round=number, signed_at=None):
        message = {"round": round, "price": price, "at": at if signed_at is None else signed_at}
        accounts = [world.party(name).account for name in names]
        reports = [
            (price, typed.sign_price(each, price=message, domain=prices.domain))
            for each in accounts
        ]
        return lambda: world.post_price(reports, at=at)

    world.advance(hours=2)
    now, both = world.now, tuple(f"oracle-{number}" for number in range(1, 6))
    refuses(world, Rejected, "price/too-few-signers", post(*both[:2], at=now))
    refuses(world, Rejected, "price/even", post(*both[:4], at=now))
    refuses(world, Rejected, "price/duplicate-signer", post(*both[:2], "oracle-1", at=now))
    refuses(world, Rejected, "price/stranger", post(*both[:2], "stranger", at=now))
    refuses(world, Rejected, "price/stranger", post(*both[:2], "attestor-1", at=now))
    refuses(world, Rejected, "price/stranger", post(*both, at=now, signed_at=now - 1))
    refuses(world, Rejected, "price/from-future", post(*both, at=now + 3_600))
    refuses(world, Rejected, "price/range", post(*both, at=now, price=10**18 + 1))
    refuses(world, Rejected, "price/range", post(*both, at=now, price=0))
    last = world.engine.system.price.at
    refuses(world, Rejected, "price/not-newer", post(*both, at=last))
    refuses(world, Rejected, "price/stranger", post(*both, at=now, round=number + 1))
    post(*both, at=now)()
    assert world.engine.system.price.price == value
    refuses(world, Rejected, "price/stranger", post(*both, at=now))  # the same round again


def test_a_round_that_is_older_than_the_heartbeat(world):
    prices = world.evm.contracts.prices
    last = world.engine.system.price
    world.silence("oracle-1", "oracle-2", "oracle-3")
    world.advance(days=2)
    message = {"round": last.round + 1, "price": 10**12, "at": last.at + 1}
    reports = [
        (10**12, typed.sign_price(world.party(name).account, price=message, domain=prices.domain))
        for name in ("oracle-1", "oracle-2", "oracle-3")
    ]
    refuses(
        world,
        Rejected,
        "price/too-old",
        lambda: world.post_price(reports, at=last.at + 1),
    )
    refuses(world, Rejected, "price/too-few-signers", lambda: world.price("40000"))
    refuses(world, Rejected, "price/stale", world.liquidate)
    refuses(world, Rejected, "price/stale", world.margin_call)


def test_a_silent_quorum_of_oracles_posts_nothing(world):
    world.silence("oracle-1", "oracle-3", "oracle-5")
    refuses(world, Rejected, "price/too-few-signers", lambda: world.price("40000"))


def test_nobody_lost_anything_by_all_this(world):
    assert [name for name in WALLETS if world.sats_of(name)] == ["borrower"]
    sound(world)
