"""Solidity by the compilers in .tools. What was compiled once is kept there, by its content."""

from __future__ import annotations

import json
import os
import re
import subprocess
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ROOT / ".tools"
MODULES = TOOLS / "node_modules"
HERE = Path(__file__).resolve().parent
IMPORT = re.compile(r'^\s*import\s+(?:[^"\';]*?from\s+)?["\']([^"\']+)["\']', re.MULTILINE)


def creation_codes(
    source: str, *, names: tuple[str, ...], compiler: str, settings: dict[str, object]
) -> dict[str, bytes]:
    """Creation code of the contracts ``names`` in a source, without arguments.

    ``source`` is a path in npm's folder or beside this file; ``compiler`` an npm package of solc.
    """
    output = {"outputSelection": {source: {name: ["evm.bytecode.object"] for name in names}}}
    task = json.dumps(
        {
            "language": "Solidity",
            "sources": {name: {"content": text} for name, text in sources_of(source).items()},
            "settings": settings | output,
        },
        sort_keys=True,
    )
    package = MODULES / compiler
    version = json.loads((package / "package.json").read_text())["version"]
    kept = TOOLS / "solc-cache" / f"{sha256(f'{version} {task}'.encode()).hexdigest()}.json"
    if not kept.exists():
        keep(kept, compiled(task, package=package, source=source))
    return {name: bytes.fromhex(code) for name, code in json.loads(kept.read_text()).items()}


def sources_of(source: str) -> dict[str, str]:
    """A source and all that it imports, by the names that the compiler looks for."""
    found: dict[str, str] = {}
    waiting = [source]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        path = HERE / name if "/" not in name else MODULES / name
        found[name] = path.read_text()
        for target in IMPORT.findall(found[name]):
            near = target.startswith(".")
            # Two paths that mean one file must have one name.
            full = (path.parent / target).resolve() if near else (MODULES / target).resolve()
            waiting.append(full.relative_to(MODULES.resolve()).as_posix())
    return dict(sorted(found.items()))


def compiled(task: str, *, package: Path, source: str) -> dict[str, str]:
    """Hexadecimal creation codes by contract. Half a minute for Morpho: solc runs in wasm."""
    command = ["node", str(HERE / "solc.js"), str(package)]
    done = subprocess.run(command, input=task, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    faults = [each for each in answer.get("errors", []) if each["severity"] == "error"]
    if faults:
        raise RuntimeError("\n".join(each["formattedMessage"] for each in faults))
    contracts = answer["contracts"][source]
    return {name: each["evm"]["bytecode"]["object"] for name, each in contracts.items()}


def keep(path: Path, content: dict[str, str]) -> None:
    """Whole or not at all: several processes may do it at once."""
    path.parent.mkdir(exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(content))
    draft.replace(path)
