"""The tests are the attacker. Each holds what its row of ``ATTACKS`` says, tries on both chains,
and ends with the sums on chain: what the owner of the coins has lost."""

from __future__ import annotations

import sys
from copy import copy
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest
from attack_lab import (
    ATTACKS,
    COSIGNERS,
    FEE,
    PAGE,
    PLEDGED,
    Sums,
    Thief,
    burned,
    by_recovery,
    complete,
    draft,
    home,
    on_bitcoin,
    on_evm,
    page,
    signed,
    stolen,
)
from world_lab import burn_on_evm

from escrow.actors.cosigner import Cosigner
from escrow.actors.reckoning import PriceRules
from escrow.adapters.bitcoin import psbt as bip174
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.adapters.bitcoin.vault import Vault, compile_vault
from escrow.adapters.evm import contracts as evm_contracts
from escrow.adapters.evm import typed
from escrow.adapters.evm.abi import artifact
from escrow.adapters.evm.client import terms_mapping
from escrow.adapters.evm.typed import encode_terms
from escrow.config import WorldConfig
from escrow.core.due import AttestLoss
from escrow.core.errors import Refused
from escrow.core.units import DAY, HOUR, PriceE8, Seconds
from escrow.custody.reach import colluders
from escrow.ports import OutPoint
from escrow.world import World

CONTRACTS = PAGE.parents[1] / "contracts"


def test_the_page_tells_what_is_tested():
    here = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {each.name for each in ATTACKS} <= here
    # The rest is of the contracts alone, and compared beside their tests.
    told, _, _ = PAGE.read_text().partition("\n# What was tried on the contracts alone\n")
    assert told == page()


@pytest.fixture
def thief(request, world):
    """The name of a test says which row it is."""
    return Thief(world, request.node.originalname.removeprefix("test_"))


# --- the operator lies ---


def test_a_spend_to_somebody_else(world, thief):
    deal = burned(world)
    for name in ("operator", "lender", "stranger"):
        thief.asks(deal, draft(world, deal, [(home(world, name), PLEDGED - FEE)]))
    parts = [(home(world), PLEDGED - 10_000_000), (home(world, "operator"), 10_000_000 - FEE)]
    thief.asks(deal, draft(world, deal, parts))
    assert set(thief.seen) == {"cosigner/destination"}
    thief.ends()


def test_coins_of_another_vault(world, thief):
    deal = world.loans[0]
    other = world.open(btc="1.5", principal="30000.00")
    thief.before = Sums.of(world)
    burned(world)
    [coin] = other.state.vault.coins
    outputs = [(home(world), PLEDGED - FEE)]
    thief.asks(deal, draft(world, other, outputs, coins=[coin.outpoint]))
    assert set(thief.seen) == {"cosigner/input"}
    thief.ends()


def test_terms_nobody_signed(world, thief):
    deal = burned(world)
    psbt = draft(world, deal, [(home(world), PLEDGED - FEE)])
    for change in ({"max_fee": 10_000_000}, {"confirmations": 1}, {"borrower": deal.terms.lender}):
        thief.asks(deal, psbt, terms=replace(deal.terms, **change))
    assert set(thief.seen) == {"cosigner/loan-state"}
    thief.ends()


def forged(world, deal) -> Vault:
    """The same policy and keys, but the custodian's is the operator's."""
    keys = {**deal.vault.keys, "custodian": world.party("operator").keys.vault_key(0)}
    return compile_vault(deal.vault.policy, keys=keys, moments=deal.vault.moments)


def test_a_forged_vault(world, thief):
    deal = burned(world)
    fake, outputs = forged(world, deal), [(home(world), PLEDGED - FEE)]
    # The coins are not locked in it, so no PSBT describes them by it.
    assert thief.fails(draft, world, deal, outputs, vault=fake) == thief.seen[0]
    # A script of one's own beside honest coins, and coins of one's own beside an honest script.
    thief.asks(deal, draft(world, deal, outputs), script=fake.script_pubkey)
    world.silence(*COSIGNERS)
    txid = world.pay("borrower", btc="1.5", to=fake.address)
    world.mine(6)
    world.answer(*COSIGNERS)
    outs = [out.script_pub_key.script for out in read_transaction(raw_of(world, txid)).vout]
    own = f"{txid}:{outs.index(fake.script_pubkey)}"
    thief.asks(deal, draft(world, deal, outputs, coins=[own], vault=fake))
    thief.before = Sums.of(world)
    thief.ends()


def test_an_output_changed_between_signatures(world, thief):
    deal = burned(world)
    right = draft(world, deal, [(home(world), PLEDGED - FEE)])
    wrong = draft(world, deal, [(home(world, "operator"), PLEDGED - FEE)])
    lender = world._wires.cosigners[0]
    honest = lender.sign(right, terms=deal.terms, script=deal.vault.script_pubkey)
    thief.fails(complete, [honest, bip174.sign(wrong, keys=world.party("custodian").keys)])
    thief.ends()


def test_an_output_changed_after_signing(world, thief):
    deal = burned(world)
    raw = signed(world, deal, draft(world, deal, [(home(world), PLEDGED - FEE)]), *COSIGNERS[::2])
    assert raw.count(home(world)) == 1
    thief.fails(world.bitcoin.broadcast, raw.replace(home(world), home(world, "operator")))
    thief.ends()


# --- entitled once, paid once ---


def two_coins(world):
    """Two coins of the same size; a burn of one of them waits."""
    deal = world.loans[0]
    world.top_up(deal, btc="1.5")
    burned(world, btc="1.5")
    return deal, *(coin.outpoint for coin in deal.state.vault.coins)


@pytest.mark.parametrize("blocks", [0, 1, 6])
def test_a_burn_paid_twice(world, thief, blocks):
    deal, first, second = two_coins(world)
    thief.before = Sums.of(world)
    outputs = [(home(world), PLEDGED - FEE)]
    raw = signed(world, deal, draft(world, deal, outputs, coins=[first]), *COSIGNERS[:2])
    world.bitcoin.broadcast(raw)
    world.silence(*COSIGNERS)
    for cosigner in world._wires.cosigners:
        cosigner.remember({})  # even one that has lost its memory
    world.mine(blocks)
    thief.asks(deal, draft(world, deal, outputs, coins=[second]))
    world.mine(6)
    thief.ends(paid={"borrower": PLEDGED - FEE}, fee=FEE)


def test_a_burn_paid_again_after_a_reorganisation(world, thief):
    deal, first, second = two_coins(world)
    thief.before = Sums.of(world)
    outputs = [(home(world), PLEDGED - FEE)]
    raw = signed(world, deal, draft(world, deal, outputs, coins=[first]), *COSIGNERS[:2])
    txid = world.bitcoin.broadcast(raw)
    world.mine(2)
    world.silence(*COSIGNERS)
    world.reorg(2, drop=[txid])
    assert world.bitcoin.depth(txid) is None
    world.mine(6)
    # On no chain is there a payout now; those who signed it know that it can come back.
    for cosigner in world._wires.cosigners[:2]:
        thief.asks(deal, draft(world, deal, outputs, coins=[second]), cosigners=[cosigner])
    world.bitcoin.broadcast(raw)
    world.mine(6)
    thief.ends(paid={"borrower": PLEDGED - FEE}, fee=FEE)


def test_a_signature_held_back(world, thief):
    deal, first, second = two_coins(world)
    thief.before = Sums.of(world)
    outputs = [(home(world), PLEDGED - FEE)]
    kept = signed(world, deal, draft(world, deal, outputs, coins=[first]), *COSIGNERS[:2])
    again = draft(world, deal, outputs, coins=[second])
    thief.asks(deal, again, cosigners=world._wires.cosigners[:2])
    # The third has signed nothing yet, and one signature is not enough.
    third = world._wires.cosigners[2]
    alone = third.sign(again, terms=deal.terms, script=deal.vault.script_pubkey)
    thief.fails(complete, [alone])
    world.bitcoin.broadcast(kept)
    world.mine(6)
    thief.ends(paid={"borrower": PLEDGED - FEE}, fee=FEE)


def test_a_burn_in_no_block(world, thief):
    deal = world.loans[0]
    world.repay(deal)
    burn_on_evm(world, "borrower", bytes.fromhex(deal.id[2:]), PLEDGED, home(world))
    psbt = draft(world, deal, [(home(world), PLEDGED - FEE)])
    thief.asks(deal, psbt)
    careful = [more_careful(each, blocks=2) for each in world._wires.cosigners]
    world.evm.chain.seal()
    thief.asks(deal, psbt, cosigners=careful)
    assert set(thief.seen) == {"cosigner/burn"}
    for each in world._wires.cosigners:
        each.review(psbt, terms=deal.terms, script=deal.vault.script_pubkey)
    world.evm.chain.seal(empty=True)
    for each in careful:
        each.review(psbt, terms=deal.terms, script=deal.vault.script_pubkey)
    thief.ends()


def more_careful(cosigner, *, blocks=1, **prices) -> Cosigner:
    """The same key with the same eyes, that asks for more."""
    twin = copy(cosigner)
    twin._blocks, twin._prices = blocks, PriceRules(**prices)
    return twin


# --- a platform that is not what was agreed on ---


@cache
def compiled(name: str, *changes: tuple[str, str]) -> bytes:
    """Creation code of a contract of ours with some lines changed."""
    from vyper import compile_code
    from vyper.compiler.input_bundle import FilesystemInputBundle

    source = (CONTRACTS / f"{name}.vy").read_text()
    for old, new in changes:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    bundle = FilesystemInputBundle([Path(each) for each in sys.path if each] + [CONTRACTS])
    return bytes.fromhex(
        compile_code(source, output_formats=["bytecode"], input_bundle=bundle)["bytecode"][2:]
    )


def dishonest(monkeypatch, new, name, *changes, **loan) -> World:
    """A world whose operator deployed a contract of its own, and a loan in it."""
    other = replace(artifact(name), bytecode=compiled(name, *changes))
    shipped = evm_contracts.artifact
    monkeypatch.setattr(
        evm_contracts, "artifact", lambda each: other if each == name else shipped(each)
    )
    # The laws would name what this platform does; here it is the cosigners who have to notice.
    world = new(config=WorldConfig(seed=1, check_laws=False))
    world.open(**loan)
    return world


def test_more_burned_than_was_free(new, monkeypatch):
    world = dishonest(
        monkeypatch,
        new,
        "PledgeToken",
        ('assert sats <= self._free(word), "burn/no-tokens"', "pass"),
        ('assert sats <= regulated._unheld(account), "burn/no-tokens"', "pass"),
        ('raise "token/frozen"\n    # THEN\n    supply', "pass\n    # THEN\n    supply"),
        ("account - sats + regulated.ONE_BURN", "account + regulated.ONE_BURN"),
    )
    thief, deal = Thief(world, "more_burned_than_was_free"), world.loans[0]
    loan, script = bytes.fromhex(deal.id[2:]), home(world, "stranger")
    burn_on_evm(world, "stranger", loan, PLEDGED, script)
    world.evm.chain.seal()
    thief.asks(deal, draft(world, deal, [(script, PLEDGED - FEE)]))
    assert set(thief.seen) == {"cosigner/loan-state"}
    thief.ends()


def burns(world, deal, *, by):
    """All its tokens, by its own transaction: the engine may not know that they are free."""
    sats = world.tokens_of(by)
    burn_on_evm(world, by, bytes.fromhex(deal.id[2:]), sats, home(world, by))
    world.evm.chain.seal()
    return world.evm.burns(deal.id)[-1]


def seized(world, deal, *, by="lender"):
    """The lender has the tokens and burns them; the quorum has not been asked yet."""
    world.silence(*COSIGNERS)
    terms = encode_terms(terms_mapping(deal.terms))
    world.evm.contracts.book.send(world.party(by).account, "take_over", terms)
    burn = burns(world, deal, by=by)
    outputs = [(home(world, by), burn.sats - FEE)]
    if burn.sats < PLEDGED:
        outputs.append((deal.vault.script_pubkey, PLEDGED - burn.sats))
    return draft(world, deal, outputs)


def test_a_book_that_seizes_healthy_loans(new, monkeypatch):
    world = dishonest(
        monkeypatch,
        new,
        "EscrowBook",
        ('        self._refuse("liquidate/healthy")\n    return', "        pass\n    return"),
    )
    thief, deal = Thief(world, "a_book_that_seizes_healthy_loans"), world.loans[0]
    psbt = seized(world, deal)
    assert world.evm.entry(deal.id).phase == 6
    thief.asks(deal, psbt)
    assert set(thief.seen) == {"cosigner/price"}
    # What the book gave back to the borrower stays the borrower's.
    back = burns(world, deal, by="borrower")
    outputs = [(home(world), back.sats - FEE), (deal.vault.script_pubkey, PLEDGED - back.sats)]
    for cosigner in world._wires.cosigners:
        mine = draft(world, deal, outputs)
        cosigner.review(mine, terms=deal.terms, script=deal.vault.script_pubkey)
    thief.ends()


@pytest.mark.parametrize(
    "change",
    [
        ('        self._refuse("expire/cure-time")\n', "        pass\n"),
        ("min(sight.active_seconds + terms.cure,", "min(sight.active_seconds,"),
    ],
    ids=["no deadline", "no cure time"],
)
def test_a_book_that_lets_calls_expire_early(new, monkeypatch, change):
    world = dishonest(monkeypatch, new, "EscrowBook", change)
    thief, deal = Thief(world, "a_book_that_lets_calls_expire_early"), world.loans[0]
    world.price("46000.00")  # at 72 %: called
    world.advance(hours=1)
    book, terms = world.evm.contracts.book, encode_terms(terms_mapping(deal.terms))
    if world.evm.entry(deal.id).phase == 3:
        book.send(world.party("lender").account, "expire_call", terms)
        world.settle()
    assert world.evm.entry(deal.id).phase == 4
    thief.asks(deal, seized(world, deal))
    assert set(thief.seen) == {"cosigner/price"}
    thief.ends()


@pytest.mark.parametrize(
    ("by", "change"),
    [
        ("lender", ("        seized = paid * full // (BPS * sight.price)\n", "")),
        ("stranger", ('        self._refuse("liquidate/not-lender")\n', "        pass\n")),
    ],
    ids=["all of it", "anybody"],
)
def test_a_book_that_takes_too_much(new, monkeypatch, by, change):
    world = dishonest(monkeypatch, new, "EscrowBook", change)
    thief, deal = Thief(world, "a_book_that_takes_too_much"), world.loans[0]
    world.silence("lender", "liquidator")
    world.price("36000.00")  # at 93 %: the loan may be liquidated, but not like this
    thief.asks(deal, seized(world, deal, by=by))
    assert set(thief.seen) == {"cosigner/price"}
    thief.ends()


def test_a_book_that_releases_unpaid_loans(new, monkeypatch):
    change = ('        self._refuse("cancel/too-late")\n', "        pass\n")
    world = dishonest(monkeypatch, new, "EscrowBook", change)
    thief, deal = Thief(world, "a_book_that_releases_unpaid_loans"), world.loans[0]
    world.silence(*COSIGNERS)
    terms = encode_terms(terms_mapping(deal.terms))
    world.evm.contracts.book.send(world.party("borrower").account, "cancel", terms)
    burns(world, deal, by="borrower")
    thief.asks(deal, draft(world, deal, [(home(world), PLEDGED - FEE)]))
    assert set(thief.seen) == {"cosigner/loan-state"}
    thief.ends()


def test_a_book_that_takes_no_cash(new, monkeypatch):
    change = ("    extcall ICash(cash).settle(msg.sender, lender, paid)\n", "")
    world = dishonest(monkeypatch, new, "EscrowBook", change)
    thief, deal = Thief(world, "a_book_that_takes_no_cash"), world.loans[0]
    world.silence(*COSIGNERS)
    before = world.cash_of("lender")
    world.repay(deal)
    assert (deal.phase, world.cash_of("lender")) == ("REPAID", before)
    burns(world, deal, by="borrower")
    thief.asks(deal, draft(world, deal, [(home(world), PLEDGED - FEE)]))
    assert set(thief.seen) == {"cosigner/loan-state"}
    thief.ends()


def test_a_book_that_lets_collateral_go(new, monkeypatch):
    change = ('        self._refuse("withdraw/above-initial-ltv")\n', "        pass\n")
    world = dishonest(monkeypatch, new, "EscrowBook", change)
    thief, deal = Thief(world, "a_book_that_lets_collateral_go"), world.loans[0]
    world.silence(*COSIGNERS)
    world.evm.book(world.party("borrower").account, "withdraw", deal.terms, PLEDGED)
    burns(world, deal, by="borrower")
    thief.asks(deal, draft(world, deal, [(home(world), PLEDGED - FEE)]))
    assert set(thief.seen) == {"cosigner/loan-state"}
    thief.ends()


@pytest.mark.parametrize("code", ["expire/disputed", "dispute/not-arbiter"])
def test_a_book_that_ignores_disputes(new, monkeypatch, code):
    change = (f'        self._refuse("{code}")\n', "        pass\n")
    world = dishonest(monkeypatch, new, "EscrowBook", change, arbiter="arbiter")
    thief, deal = Thief(world, "a_book_that_ignores_disputes"), world.loans[0]
    world.price("46000.00")
    world.advance(hours=1)
    world.dispute(deal)
    if code == "dispute/not-arbiter":
        world.evm.book(world.party("lender").account, "resolve", deal.terms, False)
    world.advance(seconds=deal.terms.cure)
    if world.evm.entry(deal.id).phase == 3:
        world.evm.book(world.party("lender").account, "expire_call", deal.terms)
    assert world.evm.entry(deal.id).phase == 4
    thief.asks(deal, seized(world, deal))
    assert set(thief.seen) == {"cosigner/price"}
    thief.ends()


def test_a_book_that_sells_too_cheap(new, monkeypatch):
    change = ("part, BPS * WAD)", "part, 2 * BPS * WAD)")
    world = dishonest(monkeypatch, new, "EscrowBook", change, liquidation="auction")
    thief, deal = Thief(world, "a_book_that_sells_too_cheap"), world.loans[0]
    world.silence(*COSIGNERS)
    world.price("36000.00")
    world.evm.book(world.party("liquidator").account, "take", deal.terms, PLEDGED, 2**255)
    burn = burns(world, deal, by="liquidator")
    thief.asks(deal, draft(world, deal, [(home(world, "liquidator"), burn.sats - FEE)]))
    assert set(thief.seen) == {"cosigner/price"}
    thief.ends()


def test_a_book_that_makes_up_terms(new, monkeypatch):
    change = ("typed_data._signer(digest, borrower_sig) != terms.borrower", "1 == 0")
    world = dishonest(monkeypatch, new, "EscrowBook", change)
    thief, deal = Thief(world, "a_book_that_makes_up_terms"), world.loans[0]
    terms, lender = deal.terms, world.party("lender").account
    levels = {"initial_ltv": 4_100, "restore_ltv": 4_110, "call_ltv": 4_120}
    worse = replace(terms, liquidation_ltv=4_130, origin=deal.id, nonce=9, **levels)
    domain = world.evm.contracts.book.domain
    signature = typed.sign_terms(lender, terms=terms_mapping(worse), domain=domain)
    world.evm.refinance(lender, terms, worse, signature, signature)
    world.settle()
    world.price("80000.00")  # at 42 %
    thief.asks(deal, seized(world, deal), terms=terms)
    assert set(thief.seen) == {"cosigner/price"}
    thief.ends()


@pytest.mark.parametrize(("age", "ok"), [(DAY, True), (DAY + 1, False), (2 * DAY, False)])
def test_a_platform_with_a_longer_heartbeat(new, age, ok):
    world = new(config=WorldConfig(seed=1, heartbeat=Seconds(2 * DAY)))
    deal = world.open()
    thief = Thief(world, "a_platform_with_a_longer_heartbeat")
    world.price("36000.00")  # at 93 %
    world.silence("oracle-1", "oracle-2", "oracle-3")
    posted = world.now
    world.advance(seconds=age)
    assert world.now - posted == age
    psbt = seized(world, deal)
    for deployed in world._wires.cosigners:
        # What the platform was deployed with, and what the three agreed on.
        deployed.review(psbt, terms=deal.terms, script=deal.vault.script_pubkey)
        agreed = more_careful(deployed, heartbeat=DAY)
        if ok:
            agreed.review(psbt, terms=deal.terms, script=deal.vault.script_pubkey)
        else:
            thief.asks(deal, psbt, cosigners=[agreed])
    if not ok:
        assert set(thief.seen) == {"cosigner/price"}
        thief.ends()


@pytest.mark.parametrize(("count", "ok"), [(5, True), (3, False)])
def test_a_platform_where_three_oracles_make_any_jump(new, count, ok):
    """What it was deployed with lets three move the price anywhere. Cosigners who agreed on five
    for a jump take such a round for none, and the loan is healthy at the price before."""
    world = new(config=WorldConfig(seed=1, oracle_wide_quorum=3))
    deal = world.open()
    low = {
        "round": world.engine.system.price.round + 1,
        "price": PriceE8(36_000 * 10**8),
        "at": Seconds(world.now + 1),
    }
    world.advance(seconds=1)
    world.post_price(oracles_sign(world, low)[:count], at=low["at"])
    psbt = seized(world, deal)
    for deployed in world._wires.cosigners:
        deployed.review(psbt, terms=deal.terms, script=deal.vault.script_pubkey)
        agreed = more_careful(deployed, wide_quorum=5)
        if ok:
            agreed.review(psbt, terms=deal.terms, script=deal.vault.script_pubkey)
        else:
            with pytest.raises(Refused, match="cosigner/price"):
                agreed.review(psbt, terms=deal.terms, script=deal.vault.script_pubkey)


def test_an_overdue_loan_is_not_seized_on_a_stale_price_either(new):
    """After maturity and grace no breach at the price is asked for, but a fresh one is: it says
    how much is taken. What counts is when the oracles saw it, not when it was posted."""
    world = new(config=WorldConfig(seed=1, heartbeat=Seconds(2 * DAY)))
    deal = world.open(term=14 * DAY, grace=DAY)
    world.advance(seconds=deal.terms.maturity + deal.terms.grace - world.now + 1)
    world.silence("oracle-1", "oracle-2", "oracle-3")
    seen = {
        "round": world.engine.system.price.round + 1,
        "price": PriceE8(80_000 * 10**8),
        "at": Seconds(world.now + 1),
    }
    world.advance(seconds=DAY + 2)
    world.post_price(oracles_sign(world, seen), at=seen["at"])
    psbt = seized(world, deal)
    for deployed in world._wires.cosigners:
        deployed.review(psbt, terms=deal.terms, script=deal.vault.script_pubkey)
        with pytest.raises(Refused, match="cosigner/price"):
            more_careful(deployed).review(psbt, terms=deal.terms, script=deal.vault.script_pubkey)


# --- the price ---


@pytest.mark.parametrize("late", [0, 1])
def test_a_seizure_on_a_stale_price(world, thief, late):
    deal = world.loans[0]
    world.silence("lender", "liquidator")
    world.price("36000.00")
    posted = world.now
    world.silence("oracle-1", "oracle-2", "oracle-3")
    world.advance(seconds=DAY + late)
    assert world.now - posted == DAY + late
    book, lender = world.evm.contracts.book, world.party("lender").account
    if late:
        thief.fails(book.send, lender, "take_over", encode_terms(terms_mapping(deal.terms)))
        assert thief.seen == ["price/stale"]
        world.mine(6)
        thief.ends()
    else:  # at exactly the heartbeat it is fresh, on the book and for every cosigner
        psbt = seized(world, deal)
        for each in world._wires.cosigners:
            each.review(psbt, terms=deal.terms, script=deal.vault.script_pubkey)


def oracles_sign(world, price):
    """All five, which a jump needs, the same price."""
    domain = world.evm.contracts.prices.domain
    oracles = [world.party(f"oracle-{number}").account for number in range(1, 6)]
    sigs = [typed.sign_price(each, price=price, domain=domain) for each in oracles]
    return [(price["price"], sig) for sig in sigs]


def post_args(price, reports):
    """What ``PriceRounds.post`` takes."""
    return price["round"], price["at"], reports


def test_a_round_that_was_kept(world, thief):
    deal, prices = world.loans[0], world.evm.contracts.prices
    number, at = world.engine.system.price.round + 1, Seconds(world.now + 1)
    world.advance(seconds=1)
    low = {"round": number, "price": PriceE8(20_000 * 10**8), "at": at}
    sigs = oracles_sign(world, low)
    lender = world.party("lender").account
    # The market recovers; the round was signed and never posted.
    world.advance(hours=1)
    world.price("80000.00")
    assert thief.fails(prices.send, lender, "post", *post_args(low, sigs)) == "price/round"
    # Its number cannot be changed without the oracles.
    other = post_args(low | {"round": number + 1}, sigs)
    assert thief.fails(prices.send, lender, "post", *other) == "price/stranger"
    # Not even an oracle that signs the old moment again makes it newer, or fresh.
    old = low | {"round": number + 1}
    sigs = oracles_sign(world, old)
    assert thief.fails(prices.send, lender, "post", *post_args(old, sigs)) == "price/not-newer"
    world.silence("oracle-1", "oracle-2", "oracle-3")
    fresh = old | {"at": Seconds(world.now)}
    world.advance(days=2)
    fresh["at"] = Seconds(fresh["at"] + 1)
    sigs = oracles_sign(world, fresh)
    assert thief.fails(prices.send, lender, "post", *post_args(fresh, sigs)) == "price/too-old"
    thief.fails(
        world.evm.contracts.book.send,
        lender,
        "take_over",
        encode_terms(terms_mapping(deal.terms)),
    )
    thief.ends()


def test_a_false_price_by_a_quorum(world, thief):
    deal, parts = world.loans[0], world.evm.contracts
    low = {
        "round": world.engine.system.price.round + 1,
        "price": PriceE8(20_000 * 10**8),
        "at": Seconds(world.now + 1),
    }
    world.advance(seconds=1)
    lender, loan = world.party("lender"), bytes.fromhex(deal.id[2:])
    sigs = oracles_sign(world, low)
    parts.prices.send(lender.account, "post", *post_args(low, sigs))
    parts.book.send(lender.account, "take_over", encode_terms(terms_mapping(deal.terms)))
    taken = world.tokens_of("lender")
    assert taken == PLEDGED
    burn_on_evm(world, "lender", loan, taken, home(world, "stranger"))
    world.settle()
    world.mine(6)
    [payout] = deal.state.vault.payouts
    thief.ends(lost=taken - payout.fee, to="stranger", fee=payout.fee)


# --- time ---


def test_a_locked_path_before_its_time(world, thief):
    deal = burned(world)
    outputs = [(home(world), PLEDGED - FEE)]
    for locktime in (deal.vault.recover_after, world.bitcoin.tip_time - 10_000):
        thief.asks(deal, draft(world, deal, outputs, locktime=locktime))
    # 2 units of 512 s by Bitcoin's clock, and blocks: the coin is 6 deep and an hour old.
    rested = world.bitcoin.median_time_at(world.bitcoin.height) - world.bitcoin.median_time_at(
        world.bitcoin.coin(spent(deal)).height - 1
    )
    depth = world.bitcoin.height - world.bitcoin.coin(spent(deal)).height + 1
    for last, seconds in ((rested // 512, True), (depth, False)):
        flag = 1 << 22 if seconds else 0
        passed = draft(world, deal, outputs, sequence=flag | last)
        for each in world._wires.cosigners:
            each.review(passed, terms=deal.terms, script=deal.vault.script_pubkey)
        thief.asks(deal, draft(world, deal, outputs, sequence=flag | (last + 1)))
    thief.ends()


def spent(deal):
    return OutPoint.parse(deal.state.vault.coins[0].outpoint)


# --- fees ---


def test_a_fee_above_the_bound(world, thief):
    deal = burned(world)
    over = PLEDGED - deal.terms.max_fee - 1
    thief.asks(deal, draft(world, deal, [(home(world), over)]))
    for cosigner in world._wires.cosigners:
        cosigner.review(
            draft(world, deal, [(home(world), over + 1)]),
            terms=deal.terms,
            script=deal.vault.script_pubkey,
        )
    # What should return to the vault goes to a friendly miner instead.
    world.silence(*COSIGNERS)
    txid = world.pay("borrower", btc="0.0001", to=deal.vault.address)
    world.mine(6)
    thief.before = Sums.of(world)
    outs = [out.script_pub_key.script for out in read_transaction(raw_of(world, txid)).vout]
    both = [deal.state.vault.coins[0].outpoint, f"{txid}:{outs.index(deal.vault.script_pubkey)}"]
    thief.asks(deal, draft(world, deal, [(home(world), PLEDGED - FEE)], coins=both))
    thief.ends()


def raw_of(world, txid):
    return world.bitcoin.transaction(txid)


def test_many_dear_spends(world, thief):
    deal = world.loans[0]
    most, each = deal.terms.max_fee, 30_000_000
    world.repay(deal)
    world.silence(*COSIGNERS)
    for _ in range(3):
        world.burn(deal, btc="0.3")
        world.advance(seconds=1)
    left, coin = PLEDGED, deal.state.vault.coins[0].outpoint
    vault = deal.vault.script_pubkey
    for _ in range(3):
        left -= each
        outputs = [(home(world), each - most), (vault, left)]
        psbt = draft(world, deal, outputs, coins=[coin])
        txid = world.bitcoin.broadcast(signed(world, deal, psbt, *COSIGNERS[::2]))
        world.mine(6)
        coin = f"{txid}:1"
    # Every burn is paid: not one more sat goes to the miner.
    for outputs in ([(vault, left - most)], [(home(world), each - most), (vault, left - each)]):
        thief.asks(deal, draft(world, deal, outputs, coins=[coin]))
    assert set(thief.seen) == {"cosigner/amount"}
    world.answer(*COSIGNERS)
    world.settle()
    thief.ends(fee=3 * most, paid={"borrower": 3 * (each - most)}, dear=True)


def test_a_sweep_that_keeps_a_sat(world, thief):
    deal, operator = world.loans[0], world.party("operator")
    world.pay("borrower", btc="0.01", to=world._wires.wallet(operator).address)
    world.mine(6)
    thief.before = Sums.of(world)
    [own] = world._wires.wallet(operator).coins()
    [coin] = deal.state.vault.coins
    raws = [
        world.bitcoin.transaction(own.outpoint.txid),
        world.bitcoin.transaction(coin.outpoint[:64]),
    ]
    for kept, swept in ((1, [spent(deal), own.outpoint]), (0, [own.outpoint, spent(deal)])):
        outputs = [(deal.vault.script_pubkey, PLEDGED - kept), (operator.script, 1_000_000 - FEE)]
        bare = bip174.create(swept, outputs=outputs)
        paid = bip174.update(bare, owner=operator.keys.wallet_key(), prev_txs=raws)
        paid = bip174.sign(paid, keys=operator.keys)
        psbt = bip174.update(paid, owner=deal.vault, prev_txs=raws)
        if kept:
            thief.asks(deal, psbt)
    assert set(thief.seen) == {"cosigner/input"}
    thief.ends()


# --- one stolen key ---


def test_the_borrowers_key(world, thief):
    deal = world.loans[0]
    on_evm(world, deal, thief, "borrower")
    on_bitcoin(world, deal, thief, "borrower")
    world.mine(6)
    thief.ends()


def test_the_borrowers_key_after_repayment(world, thief):
    deal = world.loans[0]
    world.repay(deal)
    loan = bytes.fromhex(deal.id[2:])
    burn_on_evm(world, "borrower", loan, PLEDGED, home(world, "stranger"))
    world.settle()
    world.mine(6)
    [payout] = deal.state.vault.payouts
    thief.ends(lost=PLEDGED - payout.fee, to="stranger", fee=payout.fee)


def test_the_lenders_key(world, thief):
    deal = world.loans[0]
    on_evm(world, deal, thief, "lender")
    on_bitcoin(world, deal, thief, "lender")
    world.mine(6)
    thief.ends()


def test_the_custodians_key(world, thief):
    deal = world.loans[0]
    on_evm(world, deal, thief, "custodian")
    on_bitcoin(world, deal, thief, "custodian")
    world.mine(6)
    thief.ends()


def brief(world, thief):
    """A second loan, which can be recovered after three weeks."""
    deal = world.open(btc="1.5", term=14 * DAY, grace=DAY, recover_in=6 * DAY)
    thief.before = Sums.of(world)
    return deal


def test_the_recovery_key_before_its_time(world, thief):
    deal = brief(world, thief)
    thief.fails(world.bitcoin.broadcast, by_recovery(world, deal))
    on_bitcoin(world, deal, thief)
    world.silence("lender", "liquidator")
    world.advance(seconds=deal.terms.recover_at - world.now - HOUR)
    thief.fails(world.bitcoin.broadcast, by_recovery(world, deal))
    thief.ends()


def test_the_recovery_key_in_its_time(world, thief):
    deal = brief(world, thief)
    world.silence("lender", "liquidator")
    world.advance(seconds=deal.terms.recover_at - world.now + HOUR)
    world.bitcoin.broadcast(by_recovery(world, deal))
    world.mine(6)
    assert coins_of(deal) == ["Recovered"]
    thief.ends(lost=PLEDGED - FEE, to="stranger", fee=FEE)


def coins_of(deal):
    return [type(coin.status).__name__ for coin in deal.state.vault.coins]


def test_an_oracles_key(world, thief):
    deal = world.loans[0]
    on_evm(world, deal, thief, "oracle-1")
    on_bitcoin(world, deal, thief, "oracle-1")
    world.mine(6)
    thief.ends()


def test_an_attestors_key(world, thief):
    deal = world.loans[0]
    on_evm(world, deal, thief, "attestor-1")
    on_bitcoin(world, deal, thief, "attestor-1")
    world.mine(6)
    thief.ends()


def test_the_operators_key(world, thief):
    deal = world.loans[0]
    on_evm(world, deal, thief, "operator")
    on_bitcoin(world, deal, thief, "operator")
    world.mine(6)
    thief.ends()


def test_the_issuers_key(world, thief):
    deal, parts = world.loans[0], world.evm.contracts
    on_evm(world, deal, thief, "issuer")
    on_bitcoin(world, deal, thief, "issuer")
    issuer, owed = world.party("issuer"), deal.debt
    before = world.cash_of("lender")
    parts.cash.send(issuer.account, "mint", issuer.address_bytes, 2 * owed)
    parts.cash.send(issuer.account, "approve", parts.book.address, 2 * owed)
    parts.book.send(issuer.account, "close", encode_terms(terms_mapping(deal.terms)))
    world.settle()
    assert world.cash_of("lender") - before == owed
    assert world.tokens_of("borrower") == PLEDGED
    world.mine(6)
    thief.ends()


def test_the_registrars_key(world, thief):
    deal, parts = world.loans[0], world.evm.contracts
    on_evm(world, deal, thief, "registrar")
    on_bitcoin(world, deal, thief, "registrar")
    account = world.party("registrar").account
    away = world.party("stranger").address_bytes
    thief.fails(parts.pledge.send, account, "admit", away, 2**40 - 1)
    parties = [world.party(name).address_bytes for name in ("borrower", "lender")]
    parts.registry.send(account, "suspend", parties)
    before, owed = world.cash_of("lender"), deal.debt
    world.repay(deal, by="liquidator")
    assert world.cash_of("lender") - before == owed
    assert world.tokens_of("borrower") == PLEDGED
    thief.fails(world.burn, deal)
    world.mine(6)
    thief.ends()


def test_the_authoritys_key(world, thief):
    deal, parts = world.loans[0], world.evm.contracts
    on_evm(world, deal, thief, "authority")
    on_bitcoin(world, deal, thief, "authority")
    account = world.party("authority").account
    parts.pledge.send(account, "setFrozenTokens", world.party("borrower").address_bytes, 2**64)
    world.repay(deal)
    assert world.state_of(deal.id).token.held == 0
    assert world.tokens_of("borrower") == 0
    world.mine(6)
    thief.ends()


def test_the_authoritys_key_after_repayment(world, thief):
    deal, parts = world.loans[0], world.evm.contracts
    world.repay(deal)
    borrower, stranger = (world.party(name) for name in ("borrower", "stranger"))
    people = borrower.address_bytes, stranger.address_bytes
    parts.pledge.send(world.party("authority").account, "forcedTransfer", *people, PLEDGED)
    burn_on_evm(world, "stranger", bytes.fromhex(deal.id[2:]), PLEDGED, stranger.script)
    world.settle()
    world.mine(6)
    [payout] = deal.state.vault.payouts
    thief.ends(lost=PLEDGED - payout.fee, to="stranger", fee=payout.fee)


# --- two together ---

ROLES = (
    "borrower",
    "lender",
    "custodian",
    "recovery",
    "oracle-1",
    "attestor-1",
    "operator",
    "issuer",
)
PAIRS = tuple(combinations(ROLES, 2))


def reach(world, pair):
    """Paths that the policy says these two can take together, and those of them that are open."""
    policy = world.loans[0].vault.policy
    found = colluders(policy, [name for name in pair if name in {r.name for r in policy.roles}])
    return {each.path for each in found}, {each.path for each in found if each.lock is None}


@pytest.mark.parametrize("pair", list(combinations(COSIGNERS, 2)))
def test_two_keys_of_the_vault(world, thief, pair):
    """No policy stands above two thieves of two of three. But the theft is seen, the tokens are
    retired, and the debt is owed as before."""
    deal = world.loans[0]
    assert reach(world, pair)[1] == {"close"}
    psbt = draft(world, deal, [(home(world, "stranger"), PLEDGED - FEE)])
    world.silence("attestor-1", "attestor-2")
    world.bitcoin.broadcast(stolen(world, psbt, *pair))
    world.mine(6)
    assert coins_of(deal) == ["Lost"]
    assert any('"CoinLost"' in line for line in world.log_lines())
    assert any(isinstance(each, AttestLoss) for each in deal.due)
    world.answer("attestor-1", "attestor-2")
    world.mine(1)
    assert deal.state.token.held == 0
    assert deal.debt > 5_000_000
    thief.ends(lost=PLEDGED - FEE, to="stranger", fee=FEE)


@pytest.mark.parametrize("name", COSIGNERS)
def test_a_key_of_the_vault_and_the_recovery_key(world, thief, name):
    deal = world.loans[0]
    assert reach(world, (name, "recovery")) == ({"recovery"}, set())
    on_bitcoin(world, deal, thief, name)
    thief.fails(world.bitcoin.broadcast, by_recovery(world, deal))
    thief.ends()


def test_any_other_two(world, thief):
    """All that two can sign together on Bitcoin, and together on the EVM."""
    deal = world.loans[0]
    others = [pair for pair in PAIRS if sum(name in COSIGNERS for name in pair) < 2]
    assert len(others) == 25
    for pair in others:
        paths, at_once = reach(world, pair)
        assert not at_once
        assert paths == ({"recovery"} if "recovery" in pair else set())
        on_bitcoin(world, deal, thief, *(name for name in pair if name != "recovery"))
        if "recovery" in pair:
            thief.fails(world.bitcoin.broadcast, by_recovery(world, deal))
    # No rule of the contracts asks for two of these: each message needs several of one set, or one
    # account, and what one account can do was tried above.
    price = {"round": 2, "price": 10**8, "at": world.now}
    prices = world.evm.contracts.prices
    reports = {
        name: (
            10**8,
            typed.sign_price(world.party(name).account, price=price, domain=prices.domain),
        )
        for name in ROLES
        if name != "recovery"
    }
    for pair in combinations(reports, 2):
        three = [reports[name] for name in (*pair, pair[0])]
        account = world.party(pair[0]).account
        thief.fails(prices.send, account, "post", *post_args(price, three))
    assert {"price/stranger", "psbt/incomplete"} <= set(thief.seen)
    world.mine(6)
    thief.ends()
