"""What users import: these names exist, say what they do, and importing them loads no chain."""

import inspect
import subprocess
import sys

import pytest

import escrow
import escrow.testing
from escrow import World

VERBS = (
    "accept",
    "advance",
    "burn",
    "cancel",
    "close",
    "cure",
    "draw",
    "expire_call",
    "fork",
    "liquidate",
    "load",
    "margin_call",
    "mine",
    "offer",
    "open",
    "pledge",
    "price",
    "recover",
    "release",
    "reorg",
    "repay",
    "save",
    "settle",
    "top_up",
)


@pytest.mark.parametrize("name", escrow.__all__)
def test_a_public_name_exists_and_is_explained(name: str) -> None:
    assert inspect.getdoc(getattr(escrow, name))


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_of_the_world_is_explained(verb: str) -> None:
    assert inspect.getdoc(getattr(World, verb))


@pytest.mark.parametrize("name", [n for n in dir(World) if n[0] != "_" and n not in VERBS])
def test_whatever_else_the_world_shows_is_explained_too(name: str) -> None:
    assert inspect.getdoc(getattr(World, name))


def test_a_name_that_is_not_there_is_missing_as_usual() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Wolrd'"):
        _ = escrow.Wolrd


def test_every_name_of_the_property_tests_exists() -> None:
    assert all(getattr(escrow.testing, name) for name in escrow.testing.__all__)


@pytest.mark.parametrize("statement", ["import escrow", "from escrow import BadInput, Terms"])
def test_importing_loads_nothing_but_the_standard_library_and_the_rules(statement: str) -> None:
    probe = f"""
import sys
before = set(sys.modules)
{statement}
ours = {{name.split(".")[0] for name in set(sys.modules) - before}}
assert not ours - set(sys.stdlib_module_names) - {{"escrow"}}, ours
"""
    subprocess.run([sys.executable, "-I", "-W", "error", "-c", probe], check=True)
