"""A holder destroys free tokens and names where the coins shall go."""

import pytest
from deals import NOW, ONE, SCRIPT, active, code_of, minted, play, refuses, repaid, seized

from escrow.core.decide import decide
from escrow.core.regions.token import Burn, Burned
from escrow.core.roles import Role
from escrow.core.scripts import is_standard_output
from escrow.core.terms import MIN_DEPOSIT
from escrow.core.units import Sats
from escrow.core.verbs.burn import BurnTokens


def burning(sats: int = ONE, *, number: int = 0, script: str = SCRIPT, by: Role = Role.BORROWER):
    """The command."""
    return BurnTokens(by, NOW, number, Sats(sats), script, "0xbb")


@pytest.mark.parametrize("by", Role)
def test_any_holder_burns(by: Role) -> None:
    assert code_of(repaid(), burning(by=by)) == ""


@pytest.mark.parametrize(
    ("sats", "code"),
    [
        (-1, "burn/dust"),
        (0, "burn/dust"),
        (MIN_DEPOSIT - 1, "burn/dust"),
        (MIN_DEPOSIT, ""),
        (ONE, ""),
        (ONE + 1, "burn/no-tokens"),
    ],
)
def test_the_amount(sats: int, code: str) -> None:
    assert code_of(minted(), burning(sats)) == code


def test_pledged_tokens_are_not_burned() -> None:
    refuses(active(), burning(MIN_DEPOSIT), "burn/no-tokens", sats=MIN_DEPOSIT, free=0)


def test_seized_and_released_tokens_are() -> None:
    assert seized().token.held == 0
    escrow = seized()
    command = BurnTokens(Role.LENDER, escrow.system.clock, 0, Sats(84_000_000), SCRIPT)
    assert code_of(escrow, command) == ""


def test_a_burn_is_counted_once() -> None:
    once = play(minted(), burning(MIN_DEPOSIT))
    assert once.token.burns == (Burn(0, MIN_DEPOSIT, SCRIPT),)
    assert decide(once, burning(MIN_DEPOSIT)) == ()
    twice = play(once, burning(MIN_DEPOSIT, number=1))
    assert twice.token.burned == 2 * MIN_DEPOSIT


def test_what_is_burned_is_on_record() -> None:
    assert decide(repaid(), burning()) == (Burned(NOW, Burn(0, ONE, SCRIPT), "0xbb"),)


@pytest.mark.parametrize(
    ("script", "standard"),
    [
        ("0014" + "11" * 20, True),
        ("0020" + "11" * 32, True),
        ("5120" + "11" * 32, True),
        ("76a914" + "11" * 20 + "88ac", True),
        ("a914" + "11" * 20 + "87", True),
        ("", False),
        ("0014" + "11" * 19, False),
        ("0014" + "11" * 21, False),
        ("0020" + "11" * 20, False),
        ("5114" + "11" * 20, False),
        ("76a914" + "11" * 20 + "88ad", False),
        ("a914" + "11" * 20 + "88", False),
        ("6a04deadbeef", False),
        ("0014" + "AA" * 20, False),
        ("0014" + "zz" * 20, False),
    ],
)
def test_only_standard_outputs_are_destinations(script: str, standard: bool) -> None:
    assert is_standard_output(script) is standard
    assert code_of(repaid(), burning(script=script)) == ("" if standard else "burn/destination")
