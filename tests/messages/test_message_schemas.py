"""The schemas: sound, closed, bounded, up to date; each scene's export is valid, garbage is not."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from jsonschema import Draft202012Validator
from messages_lab import SCHEMAS, VALIDATORS, check, faults, told_in

from escrow.core.errors import BadInput, Rejected
from escrow.core.laws import Step
from escrow.core.state import Escrow
from escrow.messages import cdm, iso
from escrow.messages.audit import audit_lines
from escrow.messages.audit_file import verify
from escrow.messages.fold import messages
from escrow.messages.words import NOTICE
from escrow.sim.scenes import SCENES, play
from escrow.testing import EscrowMachine, load, platform
from escrow.testing import play as play_one
from escrow.view.export import export

ROOT = Path(__file__).parents[2]
CORPUS = sorted((ROOT / "tests" / "corpus").glob("*.json"))


def parts(schema: object, place: str = "") -> Iterator[tuple[str, dict]]:
    """Every schema within a schema."""
    if isinstance(schema, dict):
        yield place, schema
        for key, value in schema.items():
            if key == "properties":
                for name, inner in value.items():
                    yield from parts(inner, f"{place}.{name}")
            elif key in ("items", "additionalProperties", "propertyNames", "not"):
                yield from parts(value, f"{place}[{key}]")
            elif key == "oneOf":
                for inner in value:
                    yield from parts(inner, place)


def test_there_is_one_for_each_definition_and_one_for_a_line() -> None:
    assert set(SCHEMAS) == {
        *(f"{number}-{name}" for number, name in iso.NAMES.items()),
        *(f"cdm-{name}" for name in cdm.NAMES),
        "audit",
    }
    assert {number[-3:] for number in iso.NAMES} == {
        "003", "004", "007", "008", "009", "010", "011", "012", "016",
    }  # fmt: skip


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_sound_closed_and_bounded(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["description"] == NOTICE
    for place, schema in parts(SCHEMAS[name]):
        kind = schema.get("type")
        assert "$ref" not in schema
        assert kind != "number", f"{place} would be a float"
        if kind == "object":
            table = "maxProperties" in schema and "propertyNames" in schema
            assert table or schema["additionalProperties"] is False, place
        if kind == "array":
            assert schema["maxItems"] <= 100, place
        if kind == "string":
            assert schema["maxLength"] <= 210, place
        if kind == "integer":
            assert schema["maximum"] <= 2**53, place


def test_the_schemas_are_what_the_script_writes() -> None:
    script = ROOT / "scripts" / "build-schemas"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("scene", SCENES)
def test_the_export_of_a_scene_is_valid(scene: str, tmp_path: Path) -> None:
    with play(scene, seed=3) as world:
        manifest = export(world, tmp_path)
    files = sorted((tmp_path / "messages").iterdir())
    assert len(files) == manifest["messages"] > 4
    moments = []
    for number, path in enumerate(files, start=1):
        found = json.loads(path.read_text())
        assert path.name == f"{number:04d}-{found['definition']}-{found['name']}.json"
        assert found["number"] == number
        assert faults(path.stem[5:], found) == []
        moments.append((found["at"], found["log"]))
    assert moments == sorted(moments)
    lines = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert len(lines) == manifest["audit_lines"]
    for line in lines:
        assert faults("audit", json.loads(line)) == []


def every(steps: list[Step]) -> None:
    """All messages and lines of a story hold."""
    told = told_in(steps, system=platform())
    for number, message in enumerate(messages(told), start=1):
        check(message, number)
    lines = list(audit_lines(told, actors={}))
    for line in lines:
        assert faults("audit", json.loads(line)) == []
    moments = [json.loads(line)["at"] for line in lines]
    raw = [f"{line}\n".encode() for line in lines]
    if moments == sorted(moments):
        assert verify(raw).lines == len(lines)
        return
    # The rules alone keep time only by the clock; the engine's log is in order throughout.
    with pytest.raises(BadInput) as refusal:
        verify(raw)
    assert refusal.value.code == "audit/order"


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_the_stories_of_the_corpus_are_valid(path: Path) -> None:
    steps: list[Step] = []
    escrow = Escrow(platform())
    for command in load(path.read_text()):
        try:
            escrow = play_one(escrow, command, on_event=steps.append)
        except Rejected:
            continue
    assert steps
    every(steps)


class Letters(EscrowMachine):
    """Any story whatever."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []

    def on_event(self, step: Step) -> None:
        self.steps.append(step)

    def teardown(self) -> None:
        every(self.steps)


def test_whatever_happens_the_letters_are_valid() -> None:
    few = settings(max_examples=settings.default.max_examples // 5, stateful_step_count=40)
    run_state_machine_as_test(Letters, settings=few)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """One file of each definition that a margin call makes."""
    folder = tmp_path_factory.mktemp("good")
    with play("margin-call", seed=1) as world:
        export(world, folder)
    found = {
        path.stem[5:]: json.loads(path.read_text()) for path in (folder / "messages").iterdir()
    }
    found["audit"] = json.loads((folder / "audit.jsonl").read_text().splitlines()[-1])
    return found


def places(found: object) -> Iterator[tuple[dict, str]]:
    """Every key of every object."""
    if isinstance(found, dict):
        for key in found:
            yield found, key
            yield from places(found[key])
    elif isinstance(found, list):
        for each in found:
            yield from places(each)


def test_an_unknown_key_is_refused_anywhere(good: dict[str, dict]) -> None:
    for name, found in good.items():
        tables = {"cents", "sats", "facts"} if name == "audit" else set()
        count = len({id(holder) for holder, _ in places(found)})
        for n in range(count):
            bad = copy.deepcopy(found)
            holders = list({id(holder): holder for holder, _ in places(bad)}.values())
            if any(holders[n] is bad.get(table) for table in tables):
                continue
            holders[n]["Surprise"] = "x"
            assert faults(name, bad), (name, n)


def test_no_key_of_a_message_is_idle(good: dict[str, dict]) -> None:
    """What a message has can be left out only where the catalogue lets it."""
    optional = {
        "MarketValue", "CollateralValue", "MarginCallRequestIdentification",
        "AdditionalInformation", "cents", "sats", "facts",
    }  # fmt: skip
    for name, found in good.items():
        for n, (_, key) in enumerate(list(places(found))):
            bad = copy.deepcopy(found)
            holder, _ = list(places(bad))[n]
            if key in optional or holder in (bad.get("cents"), bad.get("sats"), bad.get("facts")):
                continue
            del holder[key]
            assert faults(name, bad), (name, key)


@pytest.mark.parametrize(
    "value", [1.5, 8600, "8600", "8600.0", "8600.001", "-1.00", "01.00", "1e3", "1,000.00", None]
)
def test_an_amount_is_text_with_two_decimals(good: dict[str, dict], value: object) -> None:
    bad = copy.deepcopy(good["colr.003-MarginCallRequest"])
    bad["body"]["MarginDetailsDueToA"]["ExposedAmountPartyA"]["Amount"] = value
    assert faults("colr.003-MarginCallRequest", bad)
    bad = copy.deepcopy(good["cdm-MarginCallIssuance"])
    bad["body"]["callAmountInBaseCurrency"]["value"] = value
    assert faults("cdm-MarginCallIssuance", bad)


@pytest.mark.parametrize(
    "value", ["1", "1.0", "0.40", "0.", "00.4", "-0.4", 0.4, "0.00001", "40 %"]
)
def test_a_haircut_is_below_one_and_has_one_spelling(good: dict[str, dict], value: object) -> None:
    bad = copy.deepcopy(good["cdm-EligibleCollateralSpecification"])
    treatment = bad["body"]["criteria"][0]["treatment"]["valuationTreatment"]
    for fine in ("0", "0.4", "0.9999"):
        treatment["haircutPercentage"] = fine
        assert not faults("cdm-EligibleCollateralSpecification", bad)
    treatment["haircutPercentage"] = value
    assert faults("cdm-EligibleCollateralSpecification", bad)


def test_an_identification_has_at_most_35_characters(good: dict[str, dict]) -> None:
    name = "colr.004-MarginCallResponse"
    bad = copy.deepcopy(good[name])
    bad["body"]["TransactionIdentification"] = "x" * 35
    assert not faults(name, bad)
    bad["body"]["TransactionIdentification"] = "x" * 36
    assert faults(name, bad)


def test_a_request_is_due_to_one_side(good: dict[str, dict]) -> None:
    name = "colr.003-MarginCallRequest"
    bad = copy.deepcopy(good[name])
    body = bad["body"]
    side = "A" if "RequirementDetailsDueToA" in body else "B"
    other = "B" if side == "A" else "A"
    for key in ("RequirementDetailsDueTo", "ExpectedCollateralDueTo"):
        body[key + other] = body[key + side]
    assert faults(name, bad)


def test_who_disputes_moves_nothing_and_who_agrees_says_what(good: dict[str, dict]) -> None:
    name = "cdm-MarginCallResponse"
    bad = copy.deepcopy(good[name])
    bad["body"]["marginResponseType"] = "Dispute"
    assert faults(name, bad)
    actions = bad["body"].pop("marginCallResponseAction")
    assert not faults(name, bad)
    bad["body"]["marginResponseType"] = "AgreeInFull"
    assert faults(name, bad)
    bad["body"] |= {"marginResponseType": "PartiallyAgree", "marginCallResponseAction": actions}
    assert not faults(name, bad)


def test_a_notice_cannot_be_left_out_or_changed(good: dict[str, dict]) -> None:
    for name, found in good.items():
        if name != "audit":
            assert faults(name, {**found, "notice": "ISO 20022 certified"})
            assert VALIDATORS[name].is_valid(found)
