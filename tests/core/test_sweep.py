"""A sweep: coins leave the vault and come back to the sat, and nobody is paid."""

import pytest
from deals import (
    COIN_A,
    COIN_B,
    CONFIRMATIONS,
    NOW,
    ONE,
    SCRIPT,
    active,
    burned,
    cancelled,
    code_of,
    final,
    names,
    payout,
    play,
)

from escrow.core.decide import decide
from escrow.core.due import BuryPayout, PayByChild, due
from escrow.core.errors import Rejected
from escrow.core.laws import Step, broken
from escrow.core.payouts import Output, recognise
from escrow.core.phases import backing, vault_phase
from escrow.core.regions.loan import Outcome
from escrow.core.regions.token import Burn
from escrow.core.regions.vault import Payout, Spent, find
from escrow.core.roles import Role
from escrow.core.state import Escrow, evolve
from escrow.core.units import Sats
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.payout import SawPayout, SawPayoutDepth, SawPayoutStuck, SawPayoutVoid
from escrow.core.verbs.pledge import SawCoinGone
from escrow.core.verbs.retire import Retire

VAULT = "0020" + "5a" * 32


def swept(**changes: object) -> SawPayout:
    """All of the coin comes back."""
    facts = {"txid": "ss", "paid": (), "fee": Sats(0), "change": ONE, **changes}
    return SawPayout(Role.WATCHER, NOW, payout(**facts))


def lawful(escrow: Escrow, *commands: object) -> Escrow:
    for command in commands:
        for event in decide(escrow, command):
            after = evolve(escrow, event)
            assert broken(Step(escrow, event, after)) == ()
            escrow = after
    return escrow


def test_what_comes_back_backs_the_same_tokens() -> None:
    before = active()
    after = lawful(before, swept())
    assert after.token == before.token
    assert find(after.vault, COIN_A).status == Spent("ss", 100)
    assert vault_phase(after) == "SPEND_BROADCAST"
    assert due(after) == (BuryPayout("ss"),)
    after = lawful(after, final("ss:0"), SawPayoutDepth(Role.WATCHER, NOW, "ss", CONFIRMATIONS))
    assert [coin.outpoint for coin in backing(after)] == ["ss:0"]
    assert due(after) == ()


def test_many_become_one() -> None:
    two = play(active(), final(COIN_B), Mint(Role.ATTESTOR, NOW, COIN_B, ONE))
    after = lawful(two, swept(inputs=(COIN_A, COIN_B), change=Sats(2 * ONE)))
    assert [coin.sats for coin in after.vault.coins if coin.change] == [2 * ONE]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"change": Sats(ONE - 1), "fee": Sats(1)}, "payout/unbalanced"),
        ({"change": Sats(ONE + 1)}, "payout/unbalanced"),
        ({"fee": Sats(1)}, "payout/unbalanced"),
        ({"inputs": (), "change": Sats(0)}, "payout/unbalanced"),
        ({"inputs": (COIN_B,)}, "payout/not-locked"),
        ({"inputs": (COIN_A, COIN_A), "change": Sats(2 * ONE)}, "payout/not-locked"),
    ],
)
def test_it_must_come_back_to_the_sat(changes: dict[str, object], code: str) -> None:
    assert code_of(active(), swept(**changes)) == code


def test_a_coin_without_tokens_stays() -> None:
    assert code_of(play(active(), final(COIN_B)), swept(inputs=(COIN_B,))) == "payout/not-locked"


def test_a_stuck_sweep_is_nobodys_to_sign_again() -> None:
    waits = lawful(active(), swept(), SawPayoutStuck(Role.WATCHER, NOW, "ss", 6))
    assert due(waits) == (BuryPayout("ss"), PayByChild("ss"))


def test_void_it_never_was() -> None:
    before = active()
    after = lawful(before, swept(), SawPayoutVoid(Role.WATCHER, NOW, "ss", ""))
    assert after.vault == before.vault


def test_a_dearer_one_in_its_place_is_no_incident() -> None:
    after = decide(lawful(active(), swept()), swept(txid="tt"))
    assert names(after) == ["PayoutReplaced"]


def test_a_sweep_alone_refunds_nobody() -> None:
    """Cancelled, swept, then burned and paid: it was a refund only because of the payout."""
    moved = lawful(
        cancelled(),
        swept(),
        final("ss:0"),
        SawPayoutDepth(Role.WATCHER, NOW, "ss", CONFIRMATIONS),
    )
    paid = lawful(
        burned(moved),
        SawPayout(Role.WATCHER, NOW, payout(inputs=("ss:0",))),
        SawPayoutDepth(Role.WATCHER, NOW, "pp", CONFIRMATIONS),
    )
    assert paid.loan.outcome is Outcome.REFUNDED


def test_swept_and_then_lost_nobody_was_refunded() -> None:
    moved = lawful(
        cancelled(),
        swept(),
        final("ss:0"),
        SawPayoutDepth(Role.WATCHER, NOW, "ss", CONFIRMATIONS),
    )
    lost = lawful(
        moved,
        SawCoinGone(Role.WATCHER, NOW, "ss:0", "ff"),
        Retire(Role.ATTESTOR, NOW, "ss:0", ONE),
    )
    assert lost.loan.outcome is Outcome.CANCELLED


def read(outputs: list[tuple[str, int]], *, others: bool = False, owed: tuple[Burn, ...] = ()):
    return recognise(
        [Output(script, Sats(sats)) for script, sats in outputs],
        txid="ss",
        inputs=(COIN_A,),
        spent=Sats(70_000),
        owed=owed,
        vault_script=VAULT,
        others=others,
    )


@pytest.mark.parametrize("outputs", [[(VAULT, 70_000)], [(VAULT, 70_000), (SCRIPT, 1_000_000)]])
def test_read_as_a_sweep(outputs) -> None:
    assert read(outputs, others=True) == Payout("ss", (COIN_A,), (), Sats(0), Sats(70_000))


@pytest.mark.parametrize(
    "outputs",
    [
        [],
        [(VAULT, 69_999), (SCRIPT, 1_000)],
        [(VAULT, 70_001)],
        [(SCRIPT, 70_000), (VAULT, 70_000)],
        [(SCRIPT, 20_000), (VAULT, 50_000)],
    ],
)
def test_with_coins_of_others_nothing_else_will_do(outputs) -> None:
    owed = (Burn(0, Sats(20_000), SCRIPT),)
    with pytest.raises(Rejected, match="payout/not-burned"):
        read(outputs, others=True, owed=owed)


def test_a_burn_that_names_the_vault_is_paid_first() -> None:
    burn = Burn(0, Sats(70_000), VAULT)
    assert read([(VAULT, 70_000)], owed=(burn,)).paid == ((0, Sats(70_000)),)
