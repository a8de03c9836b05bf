"""Further parties of a world: several borrowers, each with its own keys, coins, cash and loans."""

from collections.abc import Callable

import pytest
from world_lab import coins, sound

from escrow.config import WorldConfig
from escrow.core.errors import BadInput, Refused, Rejected
from escrow.core.phases import loan_phase
from escrow.core.regions.loan import Called, Ended, Outcome
from escrow.core.roles import Role
from escrow.world import World

EXTRA = ("miner-7:borrower", "miner-8:borrower", "fund:liquidator", "pool:stranger")
COIN = 10**8


@pytest.fixture
def many(new: Callable[..., World]) -> World:
    return new(config=WorldConfig(extra=EXTRA))


def test_further_parties_stand_beside_those_that_were_there(
    many: World, new: Callable[..., World]
) -> None:
    alone = new(seed=1)
    assert list(many.parties) == [*alone.parties, "miner-7", "miner-8", "fund", "pool"]
    for name, party in alone.parties.items():
        assert many.party(name).address == party.address
        assert coins(many, name) == coins(alone, name)
        assert many.cash_of(name) == alone.cash_of(name)


def test_each_has_what_its_role_needs(many: World) -> None:
    config = many.config
    assert [many.party(n).role for n in ("miner-7", "fund", "pool")] == [
        Role.BORROWER,
        Role.LIQUIDATOR,
        Role.STRANGER,
    ]
    assert many.sats_of("miner-7") == many.sats_of("miner-8") == 50 * COIN
    assert many.cash_of("miner-7") == config.borrower_cash
    assert many.cash_of("fund") == config.cash
    assert many.cash_of("pool") == many.sats_of("pool") == many.sats_of("fund") == 0
    registry = many.evm.contracts.registry
    assert all(registry.call("may", p.address_bytes, 15) for p in many.parties.values())


def test_each_borrower_has_its_own_deal(many: World) -> None:
    """The same verbs act for whoever the terms name, and nobody else's coins or cash move."""
    mine = many.open(borrower="miner-7", btc="1.5")
    other = many.open(borrower="miner-8", btc="2")
    first = many.open()
    for deal, name in ((mine, "miner-7"), (other, "miner-8"), (first, "borrower")):
        assert deal.terms.borrower == many.party(name).address
        assert many.cash_of(name) == many.config.borrower_cash + deal.terms.principal
        keys, nonce = many.party(name).keys, deal.terms.nonce
        assert deal.vault.keys["borrower"] == keys.vault_key(nonce)
        assert deal.vault.keys["recovery"] == keys.recovery_key(nonce)
    assert len({deal.vault.address for deal in many.loans}) == 3
    many.repay(mine)
    many.release(mine)
    assert loan_phase(mine.state) == "RELEASED"
    assert many.sats_of("miner-7") > 49 * COIN > many.sats_of("miner-8")
    assert [loan_phase(deal.state) for deal in (other, first)] == ["ACTIVE", "ACTIVE"]
    sound(many)


@pytest.mark.parametrize("policy", ["three-of-five", "musig", "two-of-three"])
def test_the_borrower_of_the_terms_plays_the_borrower_of_the_vault(
    new: Callable[..., World], policy: str
) -> None:
    """Cosigning, as well as receiving: with the lender or the custodian silent it is asked."""
    world = new(config=WorldConfig(extra=EXTRA, policy=policy))
    deal = world.open(borrower="miner-7")
    assert deal.vault.witness_program != world.vault_of(world.open().id).witness_program
    world.repay(deal)
    world.silence("borrower", *(() if policy == "musig" else ("custodian",)))
    world.release(deal)
    assert loan_phase(deal.state) == "RELEASED"
    sound(world)


def test_it_recovers_alone(many: World) -> None:
    deal = many.open(borrower="miner-7")
    before = many.sats_of("miner-7")
    many.silence("lender", "custodian")
    many.advance(seconds=deal.terms.recover_at - many.now)
    many.mine(11)  # Bitcoin's own clock is the median of eleven blocks
    many.recover(deal)
    many.mine(deal.terms.confirmations)
    assert many.sats_of("miner-7") > before
    assert isinstance(deal.state.loan, Ended)
    assert deal.state.loan.outcome is Outcome.RECOVERED


def test_it_agrees_to_a_new_key(many: World) -> None:
    """And pays the miner for the sweep."""
    deal = many.open(borrower="miner-7")
    before, others = many.sats_of("miner-7"), many.sats_of("borrower")
    old = deal.vault.address
    many.rekey(deal, lost="borrower")
    many.mine(deal.terms.confirmations)
    assert deal.vault.address != old
    assert many.sats_of("miner-7") < before
    assert many.sats_of("borrower") == others
    sound(many)


def test_to_another_loan_a_borrower_is_anyone(many: World) -> None:
    """It may not accept, draw, withdraw or cancel; it may pay, and buy what is sold."""
    offered = many.offer(many.terms(borrower="miner-7"))
    with pytest.raises(Rejected, match="accept/not-borrower"):
        many.accept(offered, by="miner-8")
    with pytest.raises(Rejected, match="accept/not-borrower"):
        many.accept(offered, by="borrower")
    with pytest.raises(Rejected, match="cancel/not-party"):
        many.cancel(offered, by="miner-8")
    many.accept(offered)
    many.pledge(offered, btc="1.5")
    many.price("83000")
    with pytest.raises(Rejected, match="draw/not-borrower"):
        many.draw(offered, by="miner-8")
    many.draw(offered)
    with pytest.raises(Rejected, match="withdraw/not-borrower"):
        many.withdraw(offered, btc="0.1", by="miner-8")
    with pytest.raises(Rejected, match="burn/no-tokens"):
        many.burn(offered, by="miner-8", btc="0.1")
    many.repay(offered, "100.00", by="miner-8")
    sound(many)


def test_a_borrower_buys_what_another_pledged(many: World) -> None:
    """``liquidate/self`` is about the borrower of this loan."""
    deal = many.open(borrower="miner-7", liquidation="third-party")
    many.price("36000")
    assert isinstance(deal.state.loan, Called)
    with pytest.raises(Rejected, match="liquidate/self"):
        many.liquidate(deal, by="miner-7", pay="100.00")
    many.liquidate(deal, by="miner-8", pay="100.00")
    many.liquidate(deal, by="fund")
    assert many.tokens_of("fund") > many.tokens_of("miner-8") > 0
    sound(many)


def test_many_vaults_are_funded_in_one_block(many: World) -> None:
    """One transaction a borrower; none at all if one of them cannot pay."""
    names = ("miner-7", "miner-8", "miner-7", "borrower")
    deals = [many.accept(many.offer(many.terms(borrower=name))) for name in names]
    with pytest.raises(Refused, match="bitcoin/funds"):
        many.pledge_many([(deals[0], "1"), (deals[1], "51")])
    assert many.bitcoin.mempool() == ()
    many.pledge_many([(deal, "1.5") for deal in deals])
    heights = {c.height for d in deals for c in many.bitcoin.coins(d.vault.script_pubkey)}
    txids = {c.outpoint.txid for d in deals for c in many.bitcoin.coins(d.vault.script_pubkey)}
    assert (len(heights), len(txids)) == (1, 3)
    assert all(deal.state.token.held == 150_000_000 for deal in deals)
    sound(many)


def test_only_a_borrower_borrows(many: World) -> None:
    for name in ("fund", "lender", "nobody"):
        with pytest.raises(BadInput, match="input/unknown-party"):
            many.terms(borrower=name)


def test_a_saved_world_has_them_all(many: World, tmp_path: object) -> None:
    deal = many.open(borrower="miner-7", liquidation="third-party")
    path = f"{tmp_path}/world.sqlite"
    many.save(path)
    with World.load(path) as again:
        assert again.config == many.config
        assert again.state_hash == many.state_hash
        assert list(again.parties) == list(many.parties)
        again.repay(again.loans[0])
        again.release()
        assert loan_phase(again.loans[0].state) == "RELEASED"
        sound(again)
    assert loan_phase(deal.state) == "ACTIVE"


@pytest.mark.parametrize(
    "extra",
    [
        ["miner-7:borrower"],
        ("miner-7",),
        ("miner-7:lender",),
        ("miner-7:oracle",),
        ("Miner:borrower",),
        ("miner_7:borrower",),
        ("-miner:borrower",),
        (":borrower",),
        (f"{'m' * 33}:borrower",),
        ("miner-7:borrower", "miner-7:stranger"),
        (7,),
        tuple(f"m-{i}:stranger" for i in range(201)),
    ],
    ids=str,
)
def test_what_is_no_further_party(extra: object) -> None:
    with pytest.raises(BadInput, match="input/party"):
        WorldConfig(extra=extra)  # type: ignore[arg-type]


def test_a_name_that_the_world_has_is_taken() -> None:
    for name in ("lender", "oracle-3", "custodian"):
        with pytest.raises(BadInput, match="input/party"):
            World(config=WorldConfig(extra=(f"{name}:borrower",)))
