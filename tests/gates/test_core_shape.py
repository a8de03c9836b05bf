"""The shape of the core, kept by machine: beats, units, imports, and words under every field."""

import ast
import sys
from pathlib import Path

import pytest

import escrow.core

CORE = Path(escrow.core.__path__[0])
MODULES = sorted(CORE.rglob("*.py"))
VERBS = sorted((CORE / "verbs").glob("[!_]*.py"))
BEATS = ("# WHO", "# WHEN", "# THEN")


def name_of(path: Path) -> str:
    return str(path.relative_to(CORE))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def handlers(path: Path) -> list[ast.FunctionDef]:
    """Functions of the module that take a deal and a command."""
    return [
        node
        for node in tree_of(path).body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and [argument.arg for argument in node.args.args] == ["escrow", "command"]
    ]


def beats_of(source: str) -> list[str]:
    """The beats of a piece of source, in order; one comment may name two."""
    found = []
    for line in source.splitlines():
        comment = line.strip()
        if comment.startswith("# W") or comment.startswith("# THEN"):
            words = comment.removeprefix("# ").split(":")[0].replace(",", " ").split()
            found += [f"# {word}" for word in words if f"# {word}" in BEATS]
    return found


def in_order(found: list[str]) -> bool:
    """WHO, WHEN, THEN; branches of a handler may each begin again."""
    while found:
        length = next((n for n in (3, 2) if tuple(found[:n]) == BEATS[:n]), 0)
        if not length:
            return False
        found = found[length:]
    return True


def test_the_core_is_found() -> None:
    assert len(MODULES) > 30
    assert len(VERBS) > 15


@pytest.mark.parametrize("path", VERBS, ids=name_of)
def test_every_handler_has_its_beats_in_order(path: Path) -> None:
    source = path.read_text()
    assert handlers(path), "a verb has a handler"
    for handler in handlers(path):
        found = beats_of(ast.get_source_segment(source, handler) or "")
        assert set(found) == set(BEATS), f"{handler.name}: {found}"
        assert in_order(found), f"{handler.name}: {found}"


@pytest.mark.parametrize(
    ("source", "ok"),
    [
        ("# WHO\n# WHEN\n# THEN", True),
        ("# WHO: anyone.\n# WHEN: always.\n# THEN", True),
        ("# WHO\n# WHEN, THEN", True),
        ("# WHO\n# WHEN\n# THEN\n# WHO\n# WHEN\n# THEN", True),
        ("# WHEN\n# WHO\n# THEN", False),
        ("# WHO\n# THEN", False),
        ("# WHO\n# THEN\n# WHEN", False),
    ],
)
def test_this_gate_tells_beats_apart(source: str, ok: bool) -> None:
    assert (in_order(beats_of(source)) and set(beats_of(source)) == set(BEATS)) is ok


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_division_and_floats_live_in_units_alone(path: Path) -> None:
    if name_of(path) == "units.py":
        return
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.BinOp | ast.AugAssign):
            divides = isinstance(node.op, ast.Div | ast.FloorDiv)
            assert not divides, f"line {node.lineno} divides: use muldiv_down or muldiv_up"
        if isinstance(node, ast.Constant):
            assert not isinstance(node.value, float), f"line {node.lineno} has a float"
        if isinstance(node, ast.Name):
            assert node.id not in ("float", "complex", "divmod"), f"line {node.lineno}: {node.id}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_core_imports_the_standard_library_and_itself(path: Path) -> None:
    allowed = sys.stdlib_module_names - {"random", "time", "datetime", "os", "socket", "pickle"}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: a relative import"
            modules = [node.module or ""]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            continue
        for module in modules:
            mine = module == "escrow.core" or module.startswith("escrow.core.")
            assert mine or module.split(".")[0] in allowed, f"line {node.lineno}: {module}"


DESCRIBED = {
    "terms.py": {"Terms"},
    "rules.py": {"Debt"},
    "sales.py": {"Split"},
    "regions/system.py": {"Price", "Tips", "Degraded", "System"},
    "regions/token.py": {"Burn", "Token"},
    "regions/vault.py": {"Coin", "Payout", "Vault", "Confirming", "Locked", "Lost", "Spent"},
    "laws.py": {"Law"},
    "eligibility.py": {"Predicate", "Rule", "RuleBook", "Denied"},
    "regions/register.py": {"Known", "Register"},
    "payouts.py": {"Output"},
    "roles.py": {"Role"},
}
"""Records that are read as documentation: a docstring under each of their fields."""


@pytest.mark.parametrize(
    ("module", "record"), [(m, r) for m, records in DESCRIBED.items() for r in sorted(records)]
)
def test_every_field_has_words_under_it(module: str, record: str) -> None:
    body = next(
        node.body
        for node in tree_of(CORE / module).body
        if isinstance(node, ast.ClassDef) and node.name == record
    )
    assert isinstance(body[0], ast.Expr), f"{record} has no docstring"
    bare = [
        getattr(node, "target", None) or node.targets[0]
        for node, below in zip(body, [*body[1:], None], strict=True)
        if isinstance(node, ast.AnnAssign | ast.Assign) and not is_words(below)
    ]
    assert [name.id for name in bare] == []


def is_words(node: ast.stmt | None) -> bool:
    """Is this a docstring?"""
    return isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_everything_public_says_what_it_is(path: Path) -> None:
    tree = tree_of(path)
    if not tree.body:
        return
    assert ast.get_docstring(tree), "the module has no docstring"
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            assert ast.get_docstring(node), f"{node.name} has no docstring"


@pytest.mark.parametrize("path", VERBS, ids=name_of)
def test_every_verb_has_its_test(path: Path) -> None:
    tests = Path(__file__).parents[1] / "core"
    assert (tests / f"test_{path.stem}.py").exists()
