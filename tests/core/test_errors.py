"""An error is a promise: a code of the catalogue, and the facts."""

import ast
import re
from pathlib import Path

import pytest

import escrow.core
from escrow.core.errors import CODES, BadInput, EscrowError, Refused, Rejected
from escrow.core.state import Incident

CORE = Path(escrow.core.__path__[0])
TESTS = Path(__file__).parent
NAMES = {"Rejected", "Refused", "BadInput", "Incident"}


def spoken(path: Path) -> set[str]:
    """Every code that a module may say: the code argument, and any string of its shape."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in NAMES:
            found |= {
                each.value
                for argument in node.args
                for each in ast.walk(argument)
                if isinstance(each, ast.Constant) and isinstance(each.value, str)
                if "/" in each.value
            }
    return found


MODULES = sorted(CORE.rglob("*.py"))
SPOKEN = {path: spoken(path) for path in MODULES}


def test_the_core_is_found() -> None:
    assert sum(map(len, SPOKEN.values())) > 60


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(CORE)))
def test_every_code_is_in_the_catalogue(path: Path) -> None:
    assert SPOKEN[path] <= CODES.keys()


def test_every_code_of_the_core_is_shown_by_a_test() -> None:
    tests = "".join(path.read_text() for path in TESTS.glob("test_*.py"))
    assert {
        code for codes in SPOKEN.values() for code in codes if f'"{code}"' not in tests
    } == set()


@pytest.mark.parametrize("path", sorted((CORE / "verbs").glob("[!_]*.py")), ids=lambda p: p.stem)
def test_a_verb_says_what_it_raises(path: Path) -> None:
    """Each code stands in the docstring of its function, alone or after its area's ``area/…``."""
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef) and not function.name.startswith("_"):
            words = ast.get_docstring(function) or ""
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Rejected":
                    code = getattr(node.args[0], "value", None)
                    area, _, reason = (code or "").partition("/")
                    assert (
                        code is None or code in words or (f"{area}/…" in words and reason in words)
                    ), f"{function.name} does not say {code}"


@pytest.mark.parametrize("code", CODES)
def test_a_code_is_area_and_reason_with_one_phrase(code: str) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*/[a-z0-9]+(-[a-z0-9]+)*", code)
    assert CODES[code]
    assert not CODES[code].endswith(".")


@pytest.mark.parametrize("kind", [Rejected, Refused, BadInput])
def test_an_error_carries_code_and_facts(kind: type[EscrowError]) -> None:
    error = kind("loan/amount", amount=-1)
    assert (error.code, error.facts) == ("loan/amount", {"amount": -1})
    assert str(error) == "loan/amount: the amount is zero or too large (amount=-1)"
    assert str(kind("loan/unknown")) == "loan/unknown: no such loan"


def test_an_error_is_one_line_whatever_its_facts_hold() -> None:
    error = BadInput("product/unknown-key", at="\x1b[31mx\ny\ud800", line=1)
    assert str(error).endswith("(at=?[31mx?y?, line=1)")
    assert error.facts["at"] == "\x1b[31mx\ny\ud800"


def test_a_code_outside_the_catalogue_cannot_be_raised() -> None:
    with pytest.raises(AssertionError, match="not in the catalogue"):
        Rejected("loan/bribe")


def test_an_incident_has_no_facts_of_its_own() -> None:
    assert Incident(0, "Repay", "repay/no-debt").facts == ()
