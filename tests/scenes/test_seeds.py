"""The table of systems: complete, and what pilots say of themselves."""

from __future__ import annotations

import json

import pytest

from escrow.cli import main
from escrow.provenance import Status
from escrow.sim.pilot import PILOTS, load_plan
from escrow.sim.seeds import played, seeds


def test_every_system_has_a_row() -> None:
    assert [each.id for each in seeds()] == [f"S{n}" for n in range(1, 25)]


def test_rows_and_pilots_name_each_other() -> None:
    """Those of a row's pilots that stand for it say so, and no pilot is left out."""
    for name, systems in played().items():
        rows = {each.id for each in seeds() if name in each.pilots}
        assert rows == set(systems), name
    assert set(played()) == set(PILOTS)


def test_what_is_assumed_is_said_in_every_row() -> None:
    for each in seeds():
        assert each.assumed, each.id
        assert each.not_claimed, each.id
        assert bool(each.pilots) == any(c.startswith("escrow demo ") for c in each.commands)


def asked(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(list(args))
    assert stop.value.code == 0
    return capsys.readouterr().out


def test_the_command_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    text = asked(capsys, "seeds")
    assert "S24" in text
    assert "escrow demo sber-pilot" in text
    rows = json.loads(asked(capsys, "seeds", "--json"))["seeds"]
    assert rows[0]["id"] == "S1"
    assert "principal" in rows[0]["assumed"][0]


@pytest.mark.parametrize(
    ("plan", "name"),
    [("registry-delisting", "registered_share_bps"), ("sovcombank-pool", "registered_bps")],
)
def test_how_many_miners_are_registered_is_nowhere_a_fact(plan: str, name: str) -> None:
    assert load_plan(plan).terms[name].status is Status.ASSUMED
