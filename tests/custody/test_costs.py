"""Virtual bytes of every policy, measured on the chain, against escrow/custody/costs.json.

After a deliberate change rewrite the file: set ``ESCROW_REWRITE=1`` and run this test.
"""

from __future__ import annotations

import json
import os
from contextlib import redirect_stdout
from importlib import resources
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from escrow.cli import main
from escrow.custody.policy import Form
from escrow.custody.read import load_policy, shipped
from escrow.sim.vault_check import cost
from escrow.sim.vault_lab import Lab

FILE = Path(str(resources.files("escrow.custody").joinpath("costs.json")))


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """What ``escrow vault costs --json`` prints."""
    said = StringIO()
    with redirect_stdout(said), pytest.raises(SystemExit) as stop:
        main(["vault", "costs", "--json"])
    assert not stop.value.code
    found = json.loads(said.getvalue())
    assert isinstance(found, dict)
    return found


def test_costs_are_what_is_written_down(measured: dict[str, Any]):
    if os.environ.get("ESCROW_REWRITE"):
        FILE.write_text(json.dumps(measured, indent=1) + "\n")
    assert json.loads(FILE.read_text()) == measured


def test_the_json_has_the_promised_shape(measured: dict[str, Any]):
    assert list(measured) == ["limit", "policies"]
    assert list(measured["limit"]) == ["open", "close", "close_two"]
    assert [each["policy"] for each in measured["policies"]] == list(shipped())
    for each in measured["policies"]:
        assert list(each) == ["policy", "open", "close", "close_two", "paths"]
        policy = load_policy(each["policy"])
        assert list(each["paths"]) == [path.name for path in policy.paths]
        assert each["close"] == each["paths"][policy.paths[0].name]


def test_nothing_is_below_the_limit_and_musig_meets_it(measured: dict[str, Any]):
    limit = measured["limit"]
    assert limit == {"open": 154, "close": 99, "close_two": 130}
    by_name = {each["policy"]: each for each in measured["policies"]}
    for each in by_name.values():
        assert all(each[key] >= limit[key] for key in limit)
    assert {key: by_name["musig"][key] for key in limit} == limit


@pytest.mark.parametrize(
    ("name", "aim"), [("two-of-three", 146), ("two-of-three-recovery", 153), ("three-of-five", 181)]
)
def test_closes_are_within_a_byte_of_the_aim(measured: dict[str, Any], name: str, aim: int):
    (found,) = (each for each in measured["policies"] if each["policy"] == name)
    assert abs(found["close"] - aim) <= 1


def test_no_path_takes_more_than_the_vault_foretells(measured: dict[str, Any]):
    by_name = {each["policy"]: each["paths"] for each in measured["policies"]}
    with Lab() as lab:
        for name in shipped():
            policy = load_policy(name)
            vault = lab.compile(policy, moments=lab.moments(policy)).vault
            for path in policy.paths:
                # An adaptor's R cannot be ground: a byte more in each signature.
                slack = 1 if path.form is Form.ATTESTED else 0
                foretold = vault.vsize(path.name, 1, [lab.payee("taker")])
                assert foretold - 1 <= by_name[name][path.name] <= foretold + slack


def test_keys_make_no_difference(measured: dict[str, Any]):
    by_name = {each["policy"]: each for each in measured["policies"]}
    for seed in (2, 3):
        with Lab(seed=seed) as lab:
            for name in ("two-of-three", "liana-style", "musig"):
                found = cost(load_policy(name), lab=lab)
                assert (found.open, found.close, found.paths) == tuple(
                    by_name[name][key] for key in ("open", "close", "paths")
                )
