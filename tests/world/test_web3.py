"""web3 as users know it: they act on the EVM directly, and the world sees it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from web3.exceptions import ContractLogicError

from escrow import BadInput, Deal, World


@pytest.fixture
def world() -> Iterator[World]:
    with World(seed=11) as world:
        world.open(btc="1.5", principal="50000.00")
        yield world


def test_a_borrower_repays_through_web3_and_the_engine_sees_it(world: World) -> None:
    (deal,) = world.loans
    borrower, book = world.party("borrower").account, world.contract("EscrowBook")
    transaction = book.functions.repay(deal.terms_tuple, 1_000_000).build_transaction(
        {"from": borrower.address, "nonce": world.w3.eth.get_transaction_count(borrower.address)}
    )
    sent = world.w3.eth.send_raw_transaction(borrower.sign_transaction(transaction).raw_transaction)
    assert world.w3.eth.wait_for_transaction_receipt(sent).status == 1
    before = deal.debt
    world.settle()
    assert before - deal.debt == 1_000_000
    assert deal.debt == book.functions.owed(deal.terms_tuple).call()
    assert world.engine.broken == []
    assert deal.state.incidents == ()


def test_a_refusal_reads_as_the_same_code(world: World) -> None:
    (deal,) = world.loans
    book = world.contract("EscrowBook")
    with pytest.raises(ContractLogicError, match="call/healthy"):
        book.functions.margin_call(deal.terms_tuple).call()


def test_events_are_found_and_prices_read_as_from_chainlink(world: World) -> None:
    (deal,) = world.loans
    drawn = world.contract("EscrowBook").events.Drawn().get_logs(from_block=0)
    assert [(log.args.loan.hex(), log.args.amount) for log in drawn] == [(deal.id[2:], 5_000_000)]
    feed = world.contract("PriceRounds")
    round_id, answer, _, _, _ = feed.functions.latestRoundData().call()
    assert (round_id, answer) == (1, deal.state.system.price.price)
    assert feed.functions.decimals().call() == 8


def test_asking_does_not_disturb_the_world(world: World) -> None:
    before = world.state_hash
    world.w3.eth.get_block("latest")
    assert world.state_hash == before


def test_a_contract_that_is_not_there_is_refused(world: World) -> None:
    with pytest.raises(BadInput) as refusal:
        world.contract("Vault")
    assert refusal.value.code == "evm/contract"


def test_objects_print_themselves(world: World) -> None:
    (deal,) = world.loans
    assert repr(deal).startswith("<Deal 0x")
    assert "<td>ACTIVE</td>" in deal._repr_html_()
    assert deal._repr_html_() in world._repr_html_()
    assert isinstance(deal, Deal)
