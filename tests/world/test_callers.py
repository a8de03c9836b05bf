"""Who acts is whom the contract saw, not who sent the transaction: a contract in between, or an
account that lets another pay for its call (EIP-7702). The engine must follow either."""

from __future__ import annotations

from dataclasses import replace

import pytest
from world_lab import agrees, coins

from escrow.adapters.evm.client import terms_mapping
from escrow.adapters.evm.contracts import create_address, transaction
from escrow.adapters.evm.typed import encode_terms, sign_terms
from escrow.core.errors import Refused

MAX = 2**256 - 1
FORWARD = bytes.fromhex(
    # Calls the address in the first word with the rest of the data; answers what it answers.
    "602036038060205f375f5f825f5f5f355af13d5f5f3e601c573d5ffd5b3d5ff3"
)
CREATE = bytes.fromhex("6020600a5f3960205ff3") + FORWARD


@pytest.fixture
def forwarder(world):
    """A contract of the borrower's that calls whatever its caller says."""
    account = world.party("borrower").account
    nonce = world.evm.chain.nonce(world.party("borrower").address_bytes)
    world.evm.chain.send(
        transaction(account, chain=world.evm.chain, to=None, data=CREATE, gas=200_000)
    )
    address = create_address(world.party("borrower").address_bytes, nonce=nonce)
    assert world.evm.chain.code(address) == FORWARD
    # The register knows it: only who is admitted has tokens.
    registrar, entry = world.party("registrar").account, (address, 1, 643, 2**40 - 1)
    world.evm.contracts.registry.send(registrar, "admit", [entry])
    return address


def forward(world, by, through, contract, function, *args):
    """``by`` has ``through`` call a contract."""
    data = contract.address.rjust(32, b"\0") + contract.encode(function, *args)
    account = world.party(by).account
    world.evm.chain.send(
        transaction(account, chain=world.evm.chain, to=through, data=data, gas=1_000_000)
    )


def book_terms(deal):
    return encode_terms(terms_mapping(deal.terms))


def test_a_borrower_buys_its_own_collateral_through_a_contract(world, forwarder):
    """The contract cannot know whose it is, so the sale stands, and the engine must say so too."""
    deal = world.open(liquidation="third-party", principal="30000.00")
    parts = world.evm.contracts
    parts.cash.send(world.party("liquidator").account, "transfer", forwarder, 10**8)
    forward(world, "borrower", forwarder, parts.cash, "approve", parts.book.address, MAX)
    world.price("23000.00")
    forward(world, "borrower", forwarder, parts.book, "liquidate", book_terms(deal), MAX, 0)
    world.settle()
    assert deal.phase == "LIQUIDATING"
    assert deal.state.incidents == ()
    assert world.evm.entry(deal.id).phase == 6
    split = deal.state.loan.split
    assert parts.pledge.call("balanceOf", forwarder) == split.seized
    burn = (bytes.fromhex(deal.id[2:]), split.seized, world.party("stranger").script, 0)
    forward(world, "borrower", forwarder, parts.pledge, "burn", *burn)
    world.settle()
    world.mine(6)
    assert coins(world, "stranger") == split.seized - deal.state.vault.payouts[0].fee
    assert world.engine.broken == []


def test_anyone_repays_through_a_contract(world, forwarder):
    deal, parts = world.loans[0], world.evm.contracts
    parts.cash.send(world.party("liquidator").account, "transfer", forwarder, 10**8)
    forward(world, "stranger", forwarder, parts.cash, "approve", parts.book.address, MAX)
    forward(world, "stranger", forwarder, parts.book, "repay", book_terms(deal), 1_000_000)
    forward(world, "borrower", forwarder, parts.book, "close", book_terms(deal))
    world.settle()
    assert deal.phase == "REPAID"
    assert deal.state.incidents == ()
    assert world.engine.broken == []


def test_new_terms_are_carried_by_a_contract(world, forwarder):
    """Cosigners look for both signatures in all that the transaction brought."""
    deal, book = world.loans[0], world.evm.contracts.book
    new = replace(
        deal.terms, origin=deal.id, nonce=1, expires_at=world.now + 60, draw_by=world.now + 60
    )
    pair = [
        sign_terms(world.party(name).account, terms=terms_mapping(new), domain=book.domain)
        for name in ("borrower", "lender")
    ]
    terms = encode_terms(terms_mapping(new))
    forward(world, "stranger", forwarder, book, "refinance", book_terms(deal), terms, *pair)
    world.settle()
    assert deal.terms == new
    [said] = [each for each in world.evm.said(deal.id) if each.name == "Refinanced"]
    assert said.signed == tuple(world.party(name).address_bytes for name in ("borrower", "lender"))
    world.repay(deal)
    world.release(deal)
    assert deal.phase == "RELEASED"
    assert world.engine.broken == []


def test_a_contract_in_between_is_not_the_borrower(world, forwarder):
    deal, book = world.loans[0], world.evm.contracts.book
    with pytest.raises(Refused, match="draw/not-borrower"):
        forward(world, "borrower", forwarder, book, "draw", book_terms(deal), 1)


def test_another_pays_for_what_the_borrower_does(world, forwarder):
    """The borrower's account runs the forwarder's code; a stranger sends the transactions."""
    deal = world.accept(world.offer(world.terms(principal="30000.00")))
    world.pledge(deal, btc="1.5", wait=False)
    world.mine(6)
    borrower, stranger = world.party("borrower"), world.party("stranger")
    chain, book = world.evm.chain, world.evm.contracts.book
    authorization = borrower.account.sign_authorization(
        {
            "chainId": chain.chain_id,
            "address": "0x" + forwarder.hex(),
            "nonce": chain.nonce(borrower.address_bytes),
        }
    )
    signed = stranger.account.sign_transaction(
        {
            "type": 4,
            "chainId": chain.chain_id,
            "nonce": chain.nonce(stranger.address_bytes),
            "maxFeePerGas": 2 * chain.next_base_fee,
            "maxPriorityFeePerGas": 0,
            "gas": 200_000,
            "to": stranger.address,
            "value": 0,
            "data": b"",
            "authorizationList": [authorization],
        }
    )
    chain.send(bytes(signed.raw_transaction))
    through, terms = borrower.address_bytes, book_terms(deal)
    forward(world, "stranger", through, book, "top_up", terms, 150_000_000)
    forward(world, "stranger", through, book, "draw", terms, 1_000_000)
    world.settle()
    assert deal.state.token.held == 150_000_000
    assert deal.state.loan.debt.drawn == 1_000_000
    assert deal.state.incidents == ()
    other = world.accept(world.offer())
    forward(world, "stranger", through, book, "cancel", book_terms(other))
    world.settle()
    assert other.phase == "CANCELLED"
    assert other.state.incidents == ()
    agrees(world)
    assert world.engine.broken == []
