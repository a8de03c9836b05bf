"""``escrow why`` as a user meets it: a saved world or a scene, a step or what comes next."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from escrow.adapters.store.world_file import read_world, write_world
from escrow.cli import main
from escrow.core.errors import BadInput
from escrow.recall import acts_as_words, recalled
from escrow.view.answer import act_of, step_as_dict
from escrow.view.trace import lines
from escrow.words import jsonable
from escrow.world import World


def escrow(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(argv))
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The margin call, up to the moment at which it is still open."""
    path = tmp_path_factory.mktemp("why") / "called.world"
    with World(seed=1) as world:
        loan = world.open(btc="1.5", principal="50000.00", price="80000")
        world.advance(days=10)
        world.price("47000")
        world.advance(hours=6)
        assert loan.phase == "MARGIN_CALL"
        world.save(path)
    return path


@pytest.fixture(scope="module")
def loaded(saved: Path) -> Iterator[World]:
    """The same, loaded once. Nobody acts in it."""
    with World.load(saved) as world:
        yield world


def test_a_step_of_a_saved_world(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = escrow(capsys, "why", str(saved), "9")
    assert (status, err) == (0, "")
    assert out.startswith("  9. 2025-12-11 01:00:00  oracles: price")
    assert "MarginCalled    LTV 71.16 %; calls at 70.00 %; 814.40 away from no call" in out
    assert "at 47,775.60952381 a coin or more (775.60952381 away): no call" in out
    assert "[signed terms: call_ltv (EIP-712)]" in out
    # And what might have come next then.
    assert "restore         LTV 71.16 %; cured at 60.00 %; 7,864.39 away" in out


def test_why_nothing_happened(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = escrow(capsys, "why", str(saved))
    assert (status, err) == (0, "")
    assert out.startswith("2025-12-11 07:00:01, after 10 steps")
    assert "LTV 71.17 %; sells at 85.00 %; 9,756.50 away" in out
    assert "18 h of cure time left on the active clock" in out


def test_json(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = escrow(capsys, "why", str(saved), "9", "--json")
    told = json.loads(out)
    assert status == 0
    assert list(told) == [
        "step", "at", "actor", "verb", "asked", "explanations", "refusals", "then",
    ]  # fmt: skip
    call = told["explanations"][-1]
    assert list(call) == [
        "what", "at", "code", "rule", "inputs", "rounding", "verdict", "distances",
    ]  # fmt: skip
    assert (call["what"], call["distances"][0]["away"]) == ("MarginCalled", 81_440)
    status, out, _ = escrow(capsys, "why", str(saved), "--json")
    now = json.loads(out)
    assert [loan["phase"] for loan in now["loans"]] == ["MARGIN_CALL"]
    assert now["steps"] == 10


def test_a_scene_is_played(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = escrow(capsys, "why", "liquidation", "11", "--seed", "2")
    assert (status, err) == (0, "")
    assert "Liquidated      for sale since 0 s" in out
    assert "owed 50,180.83, covered 50,180.83" in out
    status, out, _ = escrow(capsys, "why", "release")
    assert "no loan is open: nothing can happen" in out


def test_demo_saves_what_why_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "played"
    status, shown, err = escrow(capsys, "demo", "release", "--save", str(path))
    assert (status, err) == (0, "")
    steps = {each[:3].strip(): each for each in shown.splitlines() if each[3:5] == ". "}
    for n in ("1", "7", str(len(steps))):
        status, out, _ = escrow(capsys, "why", str(path), n)
        assert status == 0
        assert out.splitlines()[0].startswith(steps[n])


@pytest.mark.parametrize("step", ["0", "-1", "11", "9" * 30, "1.5", "one", "", "٣"])
def test_no_such_step(step: str, saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = escrow(capsys, "why", str(saved), step)
    assert (status, out) == (2, "")
    assert err.startswith("error: step/unknown: ")
    assert err.count("\n") == 1


def test_what_is_no_world(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "junk").write_bytes(b"\x00garbage" * 99)
    (tmp_path / "cut").write_bytes(saved.read_bytes()[:5_000])
    for name in ("junk", "cut", "nowhere", "."):
        status, out, err = escrow(capsys, "why", str(tmp_path / name), "1")
        assert (status, out) == (2, "")
        assert err.startswith("error: world/")
        assert err.count("\n") == 1


def test_a_file_has_its_own_seed(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = escrow(capsys, "why", str(saved), "1", "--seed", "3")
    assert (status, err[:30]) == (2, "error: scenario/unknown-key: a")


def test_saving_replaces_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "kept"
    kept.write_text("mine")
    for argv in (("demo", "release"), ("run", "black-thursday")):
        status, out, err = escrow(capsys, *argv, "--save", str(kept))
        assert (status, out) == (2, "")
        assert err.startswith("error: world/exists: ")
    assert kept.read_text() == "mine"
    status, _, err = escrow(capsys, "demo", "token", "--save", str(tmp_path / "new"))
    assert (status, err.split(":")[1].strip()) == (2, "scenario/unknown-key")


# --- acts in a world's file ---


def plain(world: World) -> list[str]:
    """Acts with their refusals as words: an error equals only itself."""
    told = [replace(act, refusals=tuple(map(repr, act.refusals))) for act in world.acts]
    return [str(each) for each in told]


def test_acts_survive_saving_loading_and_forking(tmp_path: Path) -> None:
    with World(seed=1) as world:
        loan = world.open(btc="1.5", principal="50000.00", price="80000")
        world.silence("lender", "custodian")
        world.repay(loan)
        world.burn(loan)
        assert world.acts[-1].refusals
        world.save(tmp_path / "a")
        with World.load(tmp_path / "a") as again, world.fork() as fork:
            assert plain(again) == plain(fork) == plain(world)
            assert [*lines(again)] == [*lines(world)]
            again.save(tmp_path / "b")
            assert read_world(tmp_path / "b") == read_world(tmp_path / "a")
            n = len(world.acts)
            told = step_as_dict(again, n)
            assert jsonable(told) == jsonable(step_as_dict(world, n))
            assert [each["code"] for each in told["refusals"]] == ["cosigner/absent"]
            assert again.states_after(n) == {loan.id: loan.state}
            # Counting goes on where it stood.
            again.advance(seconds=1)
            assert again.acts[-1].n == n + 1


@pytest.mark.parametrize(
    "changes",
    [
        {"acts": "0"},
        {"acts": "-1"},
        {"acts": "9999999999"},
        {"acts": "x"},
        {"acts/0": "[" * 100_000},
        {"acts/0": "{}"},
        {"acts/0": "[[]]"},
        {"acts/0": '[[1,"a","b","",{},0,9999999,0,0,[],[]]]'},
        {"acts/0": '[[1,"a","b","",{},5,4,0,0,[],[]]]'},
        {"acts/0": '[[1,"a","b","",{},0,1,0,99999,[],[]]]'},
        {"acts/0": '[[1,"a","b","",{},0,1,0,0,[],[["Rejected","no/such",{}]]]]'},
        {"acts/0": '[[1,"a","b","",{},0,1,0,0,[],[["World","loan/unknown",{}]]]]'},
        {"acts/0": '[[1,"a","b","",{},0,1,0,0,[],[["Rejected","loan/unknown",{"a":[]}]]]]'},
        {"acts/0": '[[true,"a","b","",{},0,1,0,0,[],[]]]'},
        {"acts/0": '[[1,2,"b","",{},0,1,0,0,[],[]]]'},
        {"acts/0": '[[1,"a","b","",[],0,1,0,0,[],[]]]'},
        {"acts/0": '[[99999999999999999999,"a","b","",{},0,1,0,0,[],[]]]'},
    ],
    ids=str,
)
def test_forged_acts_are_refused(changes: dict[str, str], loaded: World, tmp_path: Path) -> None:
    meta = {**loaded._data().meta, **changes}
    with pytest.raises(BadInput) as refusal:
        recalled(meta, loaded._wires.tale(), txs=loaded._wires.evm_hashes(0))
    assert refusal.value.code == "world/format"


def test_a_file_with_forged_acts_does_not_load(saved: Path, tmp_path: Path) -> None:
    data = read_world(saved)
    write_world(tmp_path / "forged", replace(data, meta={**data.meta, "acts/0": "[[]]"}))
    with pytest.raises(BadInput) as refusal:
        World.load(tmp_path / "forged")
    assert refusal.value.code == "world/format"


def test_many_acts_take_more_than_one_piece(loaded: World) -> None:
    """A cell of the file has a largest size, and a long life none."""
    wordy = replace(loaded.acts[0], asked={"note": "x" * 1_500_000})
    words = acts_as_words([wordy, *loaded.acts[1:]])
    assert words["acts"] == "2"
    told = recalled(words, loaded._wires.tale(), txs=loaded._wires.evm_hashes(0))
    assert [str(act) for act in told] == [str(wordy), *map(str, loaded.acts[1:])]


@pytest.mark.parametrize("n", [0, -1, 11])
def test_an_act_that_is_not_there(n: int, loaded: World) -> None:
    for ask in (lambda: act_of(loaded, n), lambda: loaded.states_after(n)):
        with pytest.raises(BadInput) as refusal:
            ask()
        assert refusal.value.code == "step/unknown"
