"""A Foundry project around our own bytecode, and what halmos and forge say of its properties.

Properties are functions ``test_*`` of the contracts in ``properties/``, each with its sentence in
``@notice``. halmos proves one for all arguments or finds some that break it; forge tries many
arguments at random. Both create the very bytecode that we ship, or one with a bug planted in it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
SOURCES = ROOT / "contracts"
ARTIFACTS = ROOT / "escrow" / "adapters" / "evm" / "artifacts"
TEMPLATE = """\
[profile.default]
src = "properties"
test = "properties"
libs = []
solc = "{solc}"
offline = true
ast = true
extra_output = ["metadata", "userdoc"]
evm_version = "cancun"
optimizer = false
fs_permissions = [{{ access = "read", path = "./code" }}]
ignored_warnings_from = ["properties"]

[fuzz]
seed = "0x1"
max_test_rejects = 100_000_000
"""
COMPILER = """\
#!/usr/bin/env node
// forge speaks to solc's command line; npm brings solc as a library.
if (process.argv.includes("--version")) {{
  console.log("Version: " + require("{solc}/package.json").version + "+commit.0.Linux.g++");
}} else {{
  const solc = require("{solc}");
  let asked = "";
  process.stdin.on("data", (part) => (asked += part));
  process.stdin.on("end", () => process.stdout.write(solc.compile(asked)));
}}
"""
VERDICTS = {0: "proved", 1: "refuted", 2: "no verdict in time"}


@dataclass(frozen=True)
class Verdict:
    """What halmos says of one property."""

    said: str
    """"proved", "refuted", or else what went wrong."""
    seconds: float
    paths: int
    """Of which each had to be excluded or shown to keep the property."""
    cases: int
    """Paths that ran to their end: none would be a property of nothing."""
    model: tuple[str, ...]
    """What breaks it: names of arguments and their values."""

    @property
    def proved(self) -> bool:
        return self.said == "proved" and self.cases > 0


@dataclass(frozen=True)
class Patch:
    """A change of a source, to plant a bug."""

    file: str
    before: str
    after: str

    def apply(self, folder: Path) -> None:
        path = folder / self.file
        text = path.read_text()
        found = text.count(self.before)
        assert found == 1, f"{self.file} has {found} times: {self.before}"
        path.write_text(text.replace(self.before, self.after))


class Project:
    """The properties, built once; ``variant`` runs them on other bytecode."""

    def __init__(self, folder: Path, tool: Callable[[str], Path]) -> None:
        self.folder = folder
        self.forge, self.halmos = tool("forge"), tool("halmos")
        compiler = folder / "solc.js"
        compiler.write_text(COMPILER.format(solc=tool("solc").parent))
        compiler.chmod(0o755)
        (folder / "foundry.toml").write_text(TEMPLATE.format(solc=compiler))
        shutil.copytree(HERE / "properties", folder / "properties")
        abis = {
            path.stem: json.loads(path.read_text()) for path in sorted(ARTIFACTS.glob("*.json"))
        }
        (folder / "properties" / "Ours.sol").write_text(solidity(abis))
        put_codes(folder / "code", {name: each["bytecode"] for name, each in abis.items()})
        # halmos asks forge to build first; it is built.
        (folder / "bin").mkdir()
        (folder / "bin" / "forge").symlink_to("/bin/true")
        run([str(self.forge), "build"], folder)
        self.sentences = dict(self._sentences())

    def _sentences(self) -> Iterable[tuple[str, str]]:
        for path in (self.folder / "out").glob("*.sol/*.json"):
            methods = json.loads(path.read_text())["metadata"]["output"]["userdoc"]["methods"]
            for signature, said in methods.items():
                if signature.startswith("test_"):
                    yield signature.partition("(")[0], said["notice"]

    def variant(self, folder: Path, *patches: Patch) -> Project:
        """The same properties of what the sources compile to once they are patched."""
        other = object.__new__(Project)
        other.__dict__.update(self.__dict__, folder=folder)
        folder.mkdir()
        sources = folder / "contracts"
        shutil.copytree(SOURCES, sources)
        for patch in patches:
            patch.apply(sources)
        codes = {
            path.stem: json.loads(path.read_text())["bytecode"] for path in ARTIFACTS.glob("*.json")
        }
        changed = {patch.file for patch in patches}
        codes |= {
            name: compiled(sources, name) for name in codes if reaches(sources, name, changed)
        }
        put_codes(folder / "code", codes)
        for each in ("out", "bin", "foundry.toml"):
            (folder / each).symlink_to(self.folder / each)
        return other

    def prove(self, *properties: str, seconds: int = 60, first: bool = False) -> dict[str, Verdict]:
        """By name, what halmos says; of all properties if none is named.

        seconds: how long the solver may think about one path. first: one counterexample will do.
        """
        answers = self.folder / "answers.json"
        answers.unlink(missing_ok=True)
        solver = (self.halmos.with_name("python"), "-I", HERE / "solver.py")
        command = [
            *(str(self.halmos), "--root", str(self.folder)),
            *("--match-test", f"^({'|'.join(properties) or 'test_'})"),
            *("--storage-layout", "generic", "--no-status", "--panic-error-codes", "0x01,0x11"),
            *("--solver-command", " ".join(map(str, solver))),
            *("--solver-timeout-assertion", f"{seconds}s", "--loop", "16"),
            *("--json-output", str(answers)),
            *(("--early-exit",) if first else ()),
        ]
        said = run(command, self.folder, check=False)
        assert answers.exists(), said[-4000:]
        found = json.loads(answers.read_text())["test_results"]
        return {
            each["name"].partition("(")[0]: verdict(each)
            for results in found.values()
            for each in results
        }

    def fuzz(self, runs: int) -> dict[str, str]:
        """By name: "Success", or the arguments that break it."""
        said = run(
            [str(self.forge), "test", "--json"],
            self.folder,
            check=False,
            FOUNDRY_FUZZ_RUNS=str(runs),
        )
        found = json.loads(said.splitlines()[-1])
        return {
            name.partition("(")[0]: each["status"] + " " + (each["reason"] or "")
            for suite in found.values()
            for name, each in suite["test_results"].items()
        }


def verdict(result: Mapping[str, object]) -> Verdict:
    code = result["exitcode"]
    paths, cases, stuck = result["num_paths"]
    return Verdict(
        said=VERDICTS.get(code, f"halmos stopped with {code}, {stuck} paths stuck"),
        seconds=result["time"][0],
        paths=paths,
        cases=cases,
        model=tuple(str(each["model"]) for each in result["models"]),
    )


def run(command: list[str], folder: Path, *, check: bool = True, **more: str) -> str:
    """What it prints. Its home is the project, so nothing of the user's own is read or written."""
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ
        | {"HOME": str(folder), "TMPDIR": str(folder), "PATH": path, "COLUMNS": "200"}
        | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert not check or done.returncode == 0, done.stdout
    return done.stdout


# Our side of the project, from the artifacts


def put_codes(folder: Path, codes: Mapping[str, str]) -> None:
    """Where vm.getCode finds them."""
    folder.mkdir()
    for name, code in codes.items():
        (folder / f"{name}.json").write_text(json.dumps({"bytecode": {"object": code}}))


def compiled(sources: Path, name: str) -> str:
    vyper = Path(sys.executable).parent / "vyper"
    command = [str(vyper), "--no-bytecode-metadata", "-p", str(sources), "-f", "bytecode"]
    return run([*command, str(sources / f"{name}.vy")], sources).strip().splitlines()[-1]


def reaches(sources: Path, name: str, changed: set[str]) -> bool:
    """Whether a contract imports one of these files."""
    waiting, seen = [f"{name}.vy"], set()
    while waiting:
        file = waiting.pop()
        if file in seen or not (sources / file).exists():
            continue
        seen.add(file)
        imports = re.findall(r"^import (\w+)$", (sources / file).read_text(), re.MULTILINE)
        waiting += [f"{each}.vy" for each in imports]
    return bool(seen & changed)


def solidity(artifacts: Mapping[str, Mapping[str, object]]) -> str:
    """Interfaces of our contracts, the structs they take, and where their storage is."""
    structs: dict[str, str] = {}
    interfaces, slots = [], []
    for contract, artifact in artifacts.items():
        functions = [
            function(entry, structs) for entry in artifact["abi"] if entry["type"] == "function"
        ]
        interfaces.append(f"interface {contract} {{\n" + "\n".join(functions) + "\n}\n")
        slots += [
            f"    uint256 constant {contract}_{name} = {slot};"
            for name, slot in places(artifact["storage"])
        ]
    library = "library Slot {\n" + "\n".join(slots) + "\n}\n"
    head = "// SPDX-License-Identifier: Apache-2.0\npragma solidity ^0.8.26;\n"
    return "\n".join([head, *structs.values(), library, *interfaces])


def function(entry: Mapping[str, object], structs: dict[str, str]) -> str:
    inputs = ", ".join(kind(each, structs, " memory") for each in entry["inputs"])
    outputs = ", ".join(kind(each, structs, " memory") for each in entry["outputs"])
    view = " view" if entry["stateMutability"] in ("view", "pure") else ""
    answer = f" returns ({outputs})" if outputs else ""
    return f"    function {entry['name']}({inputs}) external{view}{answer};"


def kind(entry: Mapping[str, object], structs: dict[str, str], place: str) -> str:
    name = str(entry["type"])
    if not name.startswith("tuple"):
        return name + (place if name in ("bytes", "string") or name.endswith("]") else "")
    # Vyper's ABI does not say how a struct is called; its first argument does.
    members = " ".join(
        kind(each, structs, "") + f" {each['name']};" for each in entry["components"]
    )
    title = str(entry["name"]).rpartition("_")[2].capitalize()
    for known, text in structs.items():
        if members in text:
            title = known
    structs.setdefault(title, f"struct {title} {{ {members} }}\n")
    return title + name.removeprefix("tuple") + place


def places(layout: Mapping[str, object]) -> Iterable[tuple[str, int]]:
    for name, entry in layout.items():
        if "slot" in entry:
            yield name, entry["slot"]
        else:
            yield from places(entry)
