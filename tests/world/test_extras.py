"""Verbs and contracts of one's own in a world."""

from __future__ import annotations

from pathlib import Path

import pytest

from escrow.core.errors import BadInput, Refused, Rejected
from escrow.world import World


def second_cash(world: World) -> None:
    issuer, authority = world.party("issuer").address_bytes, world.party("authority").address_bytes
    parts = world.evm.contracts
    world.deploy(
        *("CashToken", "Second currency", "CNYd", issuer, authority),
        *(parts.registry.address, parts.book.address),
        label="Second cash",
    )


def test_a_contract_deployed_later_is_called_and_kept(tmp_path: Path) -> None:
    with World() as world:
        second_cash(world)
        issuer, owner = world.party("issuer"), world.party("stranger").address_bytes
        assert world.acts[-1].verb == "deploy"
        assert world.acts[-1].asked == {"contract": "Second cash"}
        assert world.extras["Second cash"].call("symbol") == "CNYd"
        with pytest.raises(Rejected):
            world.extras["Second cash"].send(issuer.account, "mint", bytes(20), 1)
        assert world.contract("Second cash").functions.symbol().call() == "CNYd"
        world.save(tmp_path / "world")
        with World.load(tmp_path / "world") as again:
            assert again.extras["Second cash"].address == world.extras["Second cash"].address
            assert again.extras["Second cash"].call("balanceOf", owner) == 0
            assert [act.verb for act in again.acts] == [act.verb for act in world.acts]


@pytest.mark.parametrize("label", ["EscrowBook", "Second cash", "", "a\nb", "x" * 41])
def test_a_label_is_free_and_short(label: str) -> None:
    with World() as world:
        second_cash(world)
        with pytest.raises(BadInput, match="evm/contract"):
            world.deploy("EscrowBook", label=label)


def test_what_is_not_shipped_or_does_not_fit_is_not_deployed() -> None:
    with World() as world:
        before = len(world.evm.chain.transactions())
        with pytest.raises(BadInput, match="evm/contract"):
            world.deploy("Nothing")
        with pytest.raises(BadInput, match="evm/word"):
            world.deploy("Registry", 1, label="Other register")
        with pytest.raises(Rejected, match="registry/not-registrar"):
            world.deploy("Registry", bytes(20), bytes(20), bytes(20), label="Other register")
        assert not world.extras
        assert len(world.evm.chain.transactions()) == before


def test_an_act_of_ones_own_is_written_down() -> None:
    with World() as world:
        with world.act("miner", "measure", wh=12):
            pass
        act = world.acts[-1]
        assert (act.actor, act.verb, act.asked, act.loan) == ("miner", "measure", {"wh": "12"}, "")
        with pytest.raises(ZeroDivisionError), world.act("miner", "measure"):
            _ = 1 // 0
        assert world.acts[-1] is act
    with pytest.raises(Refused, match="world/closed"), world.act("miner", "measure"):
        pass


def test_a_file_that_names_no_contract_is_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    from escrow.adapters.store.world_file import read_world, write_world

    with World() as world:
        second_cash(world)
        world.save(tmp_path / "world")
        at = world.extras["Second cash"].address.hex()
    data = read_world(tmp_path / "world")
    for extras, code in (
        ('{"Second cash": ["CashToken", "' + "11" * 20 + '"]}', "world/tampered"),
        ('{"EscrowBook": ["CashToken", "' + at + '"]}', "world/format"),
        ('{"Second cash": ["Nothing", "' + at + '"]}', "world/format"),
        ('{"Second cash": ["CashToken", "11"]}', "world/format"),
        ('{"Second cash": 1}', "world/format"),
    ):
        write_world(tmp_path / "other", replace(data, meta={**data.meta, "extras": extras}))
        with pytest.raises(BadInput, match=code):
            World.load(tmp_path / "other")


def test_an_act_within_an_act_is_part_of_it(tmp_path: Path) -> None:
    with World() as world:
        with world.act("miner", "begin"):
            world.price("80000")
            loan = world.offer()
        assert [act.verb for act in world.acts] == ["begin"]
        kinds = [type(step.event).__name__ for _, step in world.acts[-1].steps]
        assert {"PriceMarked", "OfferMade"} <= set(kinds)
        assert loan.id in world.acts[-1].after
        world.save(tmp_path / "world")
        with World.load(tmp_path / "world") as again:
            assert [act.steps for act in again.acts] == [act.steps for act in world.acts]
