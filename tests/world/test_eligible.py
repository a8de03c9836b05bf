"""The rules of a place on both chains: the core says why, and the contracts say no as well."""

from __future__ import annotations

from pathlib import Path

import pytest
from world_lab import agrees, refuses, sound

from escrow.config import WorldConfig
from escrow.core.errors import BadInput, EscrowError, Rejected
from escrow.core.regions.register import Purpose, TransferCleared
from escrow.core.units import COIN, DAY, Sats, Seconds
from escrow.eligibility.days import first_second, parse_day, parse_month
from escrow.eligibility.miners import Ground, MinerClass, MinerRegister, due_of
from escrow.eligibility.read import load_profile
from escrow.sim.registrar import Registrar, Right
from escrow.world import World

INN = "7707083893"
START = first_second(parse_day("2025-03-01"))
FEBRUARY, MARCH = parse_month("2025-02"), parse_month("2025-03")


def miners() -> MinerRegister:
    """A company, registered in February, whose report of that month is due on 20 March."""
    register = MinerRegister()
    register.add(INN, MinerClass.LEGAL_ENTITY, since=FEBRUARY)
    register.read_meter(INN, FEBRUARY, 90_000)
    register.register(INN, at=first_second(parse_day("2025-02-10")))
    return register


@pytest.fixture(scope="module")
def _ruled():
    with World(config=WorldConfig(seed=5, start=START)) as world:
        world.switch_profile("ru-2024")
        Registrar(world).tell("borrower", miners().miner(INN))
        yield world


@pytest.fixture
def ruled(_ruled: World):
    """A world under ``ru-2024`` whose borrower is a registered miner."""
    with _ruled.fork() as fork:
        yield fork


def delisted(world: World) -> Registrar:
    """The borrower is struck off, and the registrar knows."""
    register = miners()
    register.delist(INN, Ground.BANKRUPTCY, at=world.now)
    registrar = Registrar(world)
    registrar.tell("borrower", register.miner(INN))
    return registrar


def code_on_chain(world: World, function: str, *args: object) -> str:
    """The contract's own answer to the borrower, whatever the engine thinks."""
    deal = world.loans[-1]
    with pytest.raises(EscrowError) as refused:
        world.evm.book(world.party("borrower").account, function, deal.terms, *args)
    return refused.value.code


def denied(call, rule: str, **arguments: object) -> None:
    """The core's own answer: a rule of that name, and its reason."""
    with pytest.raises(Rejected) as refused:
        call(**arguments)
    assert refused.value.code == "eligibility/denied"
    assert refused.value.facts["rule"] == rule
    assert refused.value.facts["reason"]


def test_a_registered_miner_borrows_and_its_record_ends_with_its_evidence(ruled: World) -> None:
    deal = ruled.open()
    assert deal.phase == "ACTIVE"
    assert deal.state.book == load_profile("ru-2024").book
    record = Registrar(ruled).record("borrower")
    assert record.until == due_of(FEBRUARY)
    assert record.rights == Right.BORROW | Right.HOLD_CASH | Right.HOLD_PLEDGE
    assert not record.suspended
    sound(ruled)


def test_what_is_so_already_is_not_sent(ruled: World) -> None:
    before = len(ruled.evm.chain.transactions())
    Registrar(ruled).sync("borrower")
    assert len(ruled.evm.chain.transactions()) == before


def test_a_delisted_miner_is_offered_nothing(ruled: World) -> None:
    registrar = delisted(ruled)
    assert registrar.record("borrower").suspended
    denied(ruled.offer, "ru/mining-registry")
    assert ruled.loans == ()


def test_who_is_delisted_after_the_offer_opens_nothing_on_either_chain(ruled: World) -> None:
    deal = ruled.offer()
    delisted(ruled)
    denied(ruled.accept, "ru/mining-registry")
    assert deal.phase == "OFFERED"
    # Whoever carries both signatures to the book itself is refused there.
    parties = (ruled.party("borrower"), ruled.party("lender"))
    signatures = ruled._wires.operator.signed(deal.terms, *parties)
    assert code_on_chain(ruled, "open", *signatures) == "open/not-eligible"


def test_a_delisted_borrower_adds_no_collateral_on_either_chain(ruled: World) -> None:
    deal = ruled.open()
    ruled.pay("borrower", btc="0.5", to=deal.vault.address)
    ruled.mine(deal.terms.confirmations)
    delisted(ruled)
    denied(ruled.pledge, "ru/mining-registry", btc="0.5")
    denied(ruled.secure, "ru/mining-registry")
    denied(ruled.pledge_many, "ru/mining-registry", deposits=[(deal, "0.5")])
    assert code_on_chain(ruled, "top_up", Sats(COIN // 2)) == "token/cannot-send"
    assert deal.state.token.held == Sats(3 * COIN // 2)
    sound(ruled)


def test_new_terms_ask_the_rules_of_their_day(ruled: World) -> None:
    deal = ruled.open()
    delisted(ruled)
    denied(ruled.refinance, "ru/mining-registry", rate_bps=deal.terms.rate_bps + 1)


def test_tokens_do_not_pass_to_who_is_not_let_in(ruled: World) -> None:
    """The stranger buys under the regime of highly qualified investors, or not at all."""
    deal = ruled.open()
    ruled.pay("borrower", btc="0.5", to=deal.vault.address)
    ruled.mine(deal.terms.confirmations)
    ruled.switch_profile("ru-elr")
    ruled.advance(seconds=first_second(parse_day("2025-03-12")) - ruled.now)
    registrar = Registrar(ruled)
    registrar.sync("stranger")
    assert registrar.record("stranger").suspended
    denied(ruled.transfer, "elr/highly-qualified", by="borrower", to="stranger", btc="0.1")
    pledge, sender = ruled.evm.contracts.pledge, ruled.party("borrower").account
    with pytest.raises(Rejected) as refused:
        pledge.send(sender, "transfer", ruled.party("stranger").address_bytes, 10_000_000)
    assert refused.value.code == "token/cannot-receive"
    rich = {"securities_deposits_kopecks": 10_000_000_001, "income_kopecks": 0}
    ruled.attest("stranger", rich, until=ruled.now + DAY)
    found = registrar.sync("stranger")
    assert (found.rights & Right.HOLD_PLEDGE, found.until) == (Right.HOLD_PLEDGE, ruled.now + DAY)
    ruled.transfer(by="borrower", to="stranger", btc="0.1")
    assert ruled.tokens_of("stranger") == 10_000_000
    # Evidence runs out: no more is bought, and what is held stays.
    ruled.advance(days=1, seconds=1)
    denied(ruled.transfer, "elr/highly-qualified", by="borrower", to="stranger", btc="0.1")
    assert ruled.tokens_of("stranger") == 10_000_000


def test_a_reinstated_miner_borrows_again(ruled: World) -> None:
    delisted(ruled)
    register = miners()
    register.delist(INN, Ground.AML, at=ruled.now)
    register.register(INN, at=ruled.now)
    registrar = Registrar(ruled)
    registrar.tell("borrower", register.miner(INN))
    assert not registrar.record("borrower").suspended
    assert registrar.record("borrower").until == due_of(MARCH)
    assert ruled.open().phase == "ACTIVE"


def test_a_record_runs_out_with_the_evidence_by_time_alone(ruled: World) -> None:
    deal = ruled.open()
    ruled.pay("borrower", btc="0.5", to=deal.vault.address)
    ruled.mine(deal.terms.confirmations)
    ruled.advance(seconds=due_of(FEBRUARY) - ruled.now)
    assert ruled.now == due_of(FEBRUARY)
    with ruled.fork() as fork:
        fork.secure()
        assert fork.loans[0].state.token.held == 2 * COIN
    ruled.advance(seconds=1)
    denied(ruled.secure, "ru/mining-registry")
    assert code_on_chain(ruled, "top_up", Sats(1)) == "token/cannot-send"


def test_a_suspended_borrower_is_paid_for_by_others_or_may_hold_cash(ruled: World) -> None:
    deal = ruled.open()
    registrar = delisted(ruled)
    with pytest.raises(Rejected) as refused:
        ruled.repay(deal, "100.00")
    assert refused.value.code == "token/cannot-send"
    with ruled.fork() as fork:
        fork.repay(fork.loans[0], "100.00", by="liquidator")
    Registrar(ruled, may_pay=True).sync("borrower")
    assert registrar.record("borrower").rights == Right.HOLD_CASH | Right(0)
    assert code_on_chain(ruled, "top_up", Sats(1)) == "token/cannot-send"


def test_what_the_contract_let_pass_is_noted_with_the_rule(ruled: World) -> None:
    """The registrar attests and forgets the registry: the contract takes what the rules refuse."""
    deal = ruled.open()
    ruled.pay("borrower", btc="0.5", to=deal.vault.address)
    ruled.mine(deal.terms.confirmations)
    ruled.attest("borrower", {"registered": False}, until=ruled.now + DAY)
    ruled.evm.book(ruled.party("borrower").account, "top_up", deal.terms, COIN // 2)
    ruled.settle()
    told = [each for each in deal.state.incidents if each.code == "eligibility/denied"]
    assert [(each.verb, dict(each.facts)["rule"]) for each in told] == [
        ("TopUp", "ru/mining-registry")
    ]
    assert deal.state.token.held == 2 * COIN
    agrees(ruled)
    assert not ruled.engine.broken


def test_a_coin_from_who_is_not_let_in_is_an_incident(ruled: World) -> None:
    deal = ruled.open()
    ruled.attest("borrower", {"registered": False}, until=ruled.now + DAY)
    ruled.pay("borrower", btc="0.5", to=deal.vault.address)
    assert [each.verb for each in deal.state.incidents] == ["SawCoin"]
    assert deal.state.incidents[0].code == "eligibility/denied"


def test_a_loan_keeps_its_book_and_new_offers_get_the_new_one(ruled: World) -> None:
    old = ruled.open()
    ruled.switch_profile("us-generic")
    assert old.state.book == load_profile("ru-2024").book
    denied(ruled.offer, "us/lender-licence")
    ruled.attest("lender", {"state_licence": True}, until=ruled.now + DAY)
    new = ruled.offer()
    assert new.state.book == load_profile("us-generic").book
    ruled.top_up(old, btc="0.5")
    assert old.state.token.held == 2 * COIN
    # On chain too: the record of a borrower with a loan follows that loan's own book.
    found = Registrar(ruled).verdict("borrower")
    assert found.rights & Right.HOLD_PLEDGE


def test_what_is_not_in_force_is_refused_outside_what_if(new) -> None:
    world = new(seed=6)
    with pytest.raises(Rejected) as refused:
        world.switch_profile("ua-va-2022")
    assert refused.value.code == "eligibility/not-in-force"
    assert world.engine.register.book is None
    world.switch_profile("ua-va-2022", what_if=True)
    assert world.engine.register.what_if
    denied(world.offer, "ua/secured-or-unsecured")


def test_only_the_registrar_attests_and_switches(ruled: World) -> None:
    for by in ("lender", "operator", "guardian", "borrower"):
        with pytest.raises(Rejected) as refused:
            ruled.attest("borrower", {"registered": True}, until=ruled.now, by=by)
        assert refused.value.code == "attest/not-registrar"
        with pytest.raises(Rejected) as refused:
            ruled.switch_profile("us-generic", by=by)
        assert refused.value.code == "profile/not-registrar"
        with pytest.raises(Rejected) as refused:
            Registrar(ruled, by=by).tell("borrower", miners().miner(INN))
        assert refused.value.code == "attest/not-registrar"
    with pytest.raises(BadInput):
        ruled.attest("nobody", {"a": True}, until=ruled.now)


def test_rules_survive_saving_loading_and_forking(ruled: World, tmp_path: Path) -> None:
    ruled.open()
    file = tmp_path / "ruled.world"
    ruled.save(file)
    with World.load(file) as loaded:
        assert loaded.engine.register == ruled.engine.register
        assert loaded.loans[0].state.book == ruled.loans[0].state.book
        assert loaded.state_hash == ruled.state_hash
        assert [act.verb for act in loaded.acts] == [act.verb for act in ruled.acts]
        assert loaded.acts[-1].after == ruled.acts[-1].after
        delisted(loaded)
        denied(loaded.secure, "ru/mining-registry")


def test_the_hash_tells_of_rules_and_of_nothing_else(new) -> None:
    plain, ruled = new(seed=8), new(seed=8)
    assert plain.state_hash == ruled.state_hash
    ruled.switch_profile("us-generic")
    assert plain.state_hash != ruled.state_hash


def test_a_transfer_asks_for_its_purpose(ruled: World) -> None:
    ruled.switch_profile("ru-draft-2026")
    ruled.open()
    ruled.advance(seconds=1)
    for purpose in Purpose:
        with pytest.raises(Rejected) as refused:
            ruled.transfer(by="borrower", to="stranger", btc="0.1", purpose=purpose)
        # The bill has not come; what is pledged does not move.
        assert refused.value.code == "token/held"
    assert Seconds(ruled.now) < load_profile("ru-draft-2026").book.rules[-1].since


def test_what_the_token_refuses_was_never_cleared(ruled: World) -> None:
    """What is pledged, what is not there, who may not receive: nothing of it stands in the log."""
    ruled.open()
    with refuses(ruled, "token/held"):
        ruled.transfer(by="borrower", to="lender", btc="0.1")
    with refuses(ruled, "token/balance"):
        ruled.transfer(by="lender", to="borrower", btc="0.1")
    with ruled.act("registrar", "suspend"):
        ruled.evm.contracts.registry.send(
            ruled.party("registrar").account, "suspend", [ruled.party("lender").address_bytes]
        )
    with refuses(ruled, "token/cannot-receive"):
        ruled.transfer(by="borrower", to="lender", btc="0.1")
    assert not [event for _, event in ruled.events() if isinstance(event, TransferCleared)]


def test_who_is_shut_out_leaves_within_a_second(ruled: World) -> None:
    deal = ruled.open()
    ruled.pay("borrower", btc="0.5", to=deal.vault.address)
    ruled.mine(deal.terms.confirmations)
    registrar = delisted(ruled)
    with pytest.raises(Rejected) as refused:
        ruled.burn(deal)
    assert refused.value.code == "token/cannot-send"
    registrar.let_out("borrower")
    assert registrar.record("borrower").until == ruled.now
    ruled.burn(deal)
    ruled.advance(seconds=1)
    assert code_on_chain(ruled, "top_up", Sats(1)) == "token/cannot-send"
    # What was shut stays shut: the registrar suspends again.
    registrar.sync("borrower")
    assert registrar.record("borrower").suspended


def test_who_leaves_does_so_also_where_this_second_has_its_block(ruled: World) -> None:
    """The transactions of the registrar come in the next second, and that one is open."""
    deal = ruled.open()
    ruled.pay("borrower", btc="0.5", to=deal.vault.address)
    ruled.mine(deal.terms.confirmations)
    registrar = delisted(ruled)
    ruled.evm.chain.seal()
    registrar.let_out("borrower")
    assert registrar.record("borrower").until == ruled.now
    ruled.burn(deal)


def test_a_record_is_written_whole_or_not_at_all(ruled: World) -> None:
    """The evidence ends in this second, which has its block: no rule is set for a record that
    comes too late."""
    registrar, end = Registrar(ruled), ruled.now
    ruled.switch_profile("kz-aifc")
    licensed = {"mines": True, "mining_licence": True, "accredited_pool": True}
    ruled.attest("borrower", licensed, until=end)
    ruled.evm.contracts.cash.send(ruled.party("lender").account, "approve", bytes(19) + b"1", 0)
    ruled.evm.chain.seal()
    assert (ruled.now, ruled.evm.chain.next_time) == (end, end + 1)
    with refuses(ruled, "registry/until"):
        registrar.sync("borrower")


def test_rights_follow_gates_one_by_one(ruled: World) -> None:
    """A book that shuts the offer gate alone leaves the tokens."""
    ruled.switch_profile("kz-aifc")
    licensed = {"mines": True, "mining_licence": True, "accredited_pool": True}
    ruled.attest("borrower", licensed, until=ruled.now + DAY)
    found = Registrar(ruled).sync("borrower")
    assert found.rights == Right.HOLD_PLEDGE | Right.HOLD_CASH
    assert [each.rule for each in found.denied] == ["kz/through-aifc"]
    assert code_on_chain_open(ruled) == "open/not-eligible"
    ruled.attest("lender", {"aifc_participant": True}, until=ruled.now + DAY)
    assert Registrar(ruled).sync("borrower").rights & Right.BORROW
    assert Registrar(ruled).sync("lender").rights & Right.LEND
    assert ruled.open().phase == "ACTIVE"


def code_on_chain_open(world: World) -> str:
    """Both sign terms that nobody offered, and carry them to the book."""
    terms = world.terms()
    signatures = world._wires.operator.signed(terms, world.party("borrower"), world.party("lender"))
    with pytest.raises(EscrowError) as refused:
        world.evm.book(world.party("operator").account, "open", terms, *signatures)
    return refused.value.code


def test_only_the_registrar_keeps_records(ruled: World) -> None:
    ruled.switch_profile("kz-aifc")
    with pytest.raises(Rejected) as refused:
        Registrar(ruled, by="operator").sync("borrower")
    assert refused.value.code == "registry/not-registrar"


def test_a_record_ends_when_a_rule_begins(ruled: World) -> None:
    """A rule that shuts a gate later ends the record the second before."""
    ruled.switch_profile("ru-elr")
    assert Registrar(ruled).verdict("stranger").until == first_second(parse_day("2025-03-12")) - 1
