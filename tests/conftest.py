"""Hypothesis profiles. ``dev`` is for the desk, ``ci`` tells the same story every time, ``night``
looks far. Choose with ``HYPOTHESIS_PROFILE``."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)

settings.register_profile(
    "dev", max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=SLOW
)
settings.register_profile(
    "ci", settings.get_profile("dev"), max_examples=200, derandomize=True, database=None
)
settings.register_profile("night", settings.get_profile("dev"), max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

TOOLS = Path(__file__).resolve().parent.parent / ".tools"
"""Where ``scripts/tools`` puts other people's programs."""
PLACES = {
    "anvil": "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil",
    "cast": "node_modules/@foundry-rs/cast-linux-amd64/bin/cast",
    "forge": "node_modules/@foundry-rs/forge-linux-amd64/bin/forge",
    "halmos": "halmos/bin/halmos",
    "ethers": "node_modules/ethers/package.json",
    "viem": "node_modules/viem/package.json",
    "solc": "node_modules/solc/package.json",
    "morpho": "node_modules/@morpho-org/morpho-blue/package.json",
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How often each transition was taken; the bugs that were planted into the contracts, and what
    caught them."""
    passed = terminalreporter.getreports("passed")
    counts = [v for each in passed for name, v in each.user_properties if name == "transitions"]
    if counts:
        terminalreporter.section("transitions taken in stories and scenes")
        total: Counter[str] = Counter()
        for each in counts:
            total.update(each)
        names = sorted(total, key=lambda name: int(name[1:]))
        terminalreporter.write_line("  ".join(f"{name} {total[name]:,}" for name in names))
    found = [v for each in passed for name, v in each.user_properties if name == "mutant"]
    if not found:
        return
    terminalreporter.section("planted bugs, and what caught them after how many steps")
    for contract, name, check, steps, story in sorted(found):
        terminalreporter.write_line(f"{contract:12} {name:44} {check:8} {steps:3}  {story}")


@pytest.fixture(scope="session")
def tool() -> Callable[[str], Path]:
    """Path of a tool that ``scripts/tools`` brings; skips where it is not, but never in CI."""

    def found(name: str) -> Path:
        path = TOOLS / PLACES[name]
        if not path.exists():
            missing = f"{name} is not there: run scripts/tools"
            if os.environ.get("CI"):
                pytest.fail(missing)
            pytest.skip(missing)
        return path

    return found
