"""A key is replaced: borrower and lender agree, and the coins move to a new vault."""

from dataclasses import replace

import pytest
from deals import (
    COIN_A,
    COIN_B,
    CONFIRMATIONS,
    NOW,
    ONE,
    STAGES,
    TERMS,
    active,
    burned,
    code_of,
    draft,
    final,
    paid_out,
    payout,
    play,
    refuses,
    repaid,
)

from escrow.core.decide import decide
from escrow.core.due import PayBurns, SweepVault, due
from escrow.core.laws import Step, broken
from escrow.core.regions.loan import Draft, Ended, Offered
from escrow.core.regions.vault import CoinPlaced, Generation, Rekeyed, find
from escrow.core.roles import Role
from escrow.core.state import Escrow, evolve
from escrow.core.units import Sats
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.payout import SawPayout, SawPayoutDepth
from escrow.core.verbs.pledge import SawCoin
from escrow.core.verbs.rekey import Rekey, SawGeneration

NEW, NEWER = "0x" + "5b" * 32, "0x" + "5c" * 32
BOTH = (Role.BORROWER, Role.LENDER)


def rekey(program: str = NEW, *, generation: int = 1, role: str = "lender", agreed=BOTH) -> Rekey:
    return Rekey(Role.OPERATOR, NOW, program, role, generation, agreed)


def placed(generation: int, outpoint: str = COIN_A, *, by: Role = Role.WATCHER) -> SawGeneration:
    return SawGeneration(by, NOW, outpoint, generation)


def lawful(escrow: Escrow, *commands: object) -> Escrow:
    for command in commands:
        for event in decide(escrow, command):
            after = evolve(escrow, event)
            assert broken(Step(escrow, event, after)) == ()
            escrow = after
    return escrow


def swept(escrow: Escrow, *inputs: str, txid: str = "ss") -> Escrow:
    """These coins are final at the newest address."""
    whole = Sats(sum(find(escrow.vault, each).sats for each in inputs))
    moved = payout(txid=txid, inputs=inputs, paid=(), fee=Sats(0), change=whole)
    return lawful(
        escrow,
        SawPayout(Role.WATCHER, NOW, moved),
        final(f"{txid}:0", sats=whole),
        SawPayoutDepth(Role.WATCHER, NOW, txid, CONFIRMATIONS),
    )


def test_both_agree_and_the_coins_are_due_to_move() -> None:
    before = active()
    assert decide(before, rekey()) == (Rekeyed(NOW, Generation(NEW, "lender")),)
    after = lawful(before, rekey())
    assert (after.token, after.loan) == (before.token, before.loan)
    assert due(after) == (SweepVault(0, before.vault.coins),)
    moved = swept(after, COIN_A)
    assert due(moved) == ()
    assert moved.token == before.token
    assert [coin.generation for coin in moved.vault.coins] == [0, 1]


@pytest.mark.parametrize(
    "agreed", [(), (Role.BORROWER,), (Role.LENDER,), (Role.BORROWER, Role.CUSTODIAN)]
)
def test_one_of_them_does_not_do(agreed: tuple[Role, ...]) -> None:
    refuses(active(), rekey(agreed=agreed), "rekey/not-agreed")


@pytest.mark.parametrize("stage", STAGES)
def test_when(stage: str) -> None:
    escrow = STAGES[stage]()
    code = code_of(escrow, replace(rekey(), at=escrow.system.clock))
    if stage in {"DRAFT", "OFFERED", "ACCEPTED"} or isinstance(escrow.loan, Draft | Offered):
        assert code == "loan/unknown"
    elif isinstance(escrow.loan, Ended):
        assert code == "rekey/not-live"
    elif any(not payout.final for payout in escrow.vault.payouts):
        assert code == "rekey/payout"
    else:
        assert code == ""


@pytest.mark.parametrize(
    ("program", "generation"), [(NEW, 0), (NEW, 2), (TERMS.vault, 1), (NEW, -1)]
)
def test_one_after_the_other_and_none_twice(program: str, generation: int) -> None:
    refuses(active(), rekey(program, generation=generation), "rekey/generation")


def test_a_second_time() -> None:
    once = lawful(active(), rekey())
    for program, generation in ((NEWER, 1), (NEW, 2), (TERMS.vault, 2)):
        refuses(once, rekey(program, generation=generation), "rekey/generation")
    twice = lawful(once, rekey(NEWER, generation=2, role="custodian"))
    assert [each.role for each in twice.vault.generations] == ["lender", "custodian"]
    assert [effect.generation for effect in due(twice)] == [0]


def test_a_payout_on_its_way_goes_first() -> None:
    waiting = paid_out(burned(repaid(), ONE // 2), paid=((0, ONE // 2 - 1_000),), change=ONE // 2)
    refuses(waiting, rekey(), "rekey/payout", txid="pp")
    buried = play(waiting, SawPayoutDepth(Role.WATCHER, NOW, "pp", CONFIRMATIONS))
    assert code_of(buried, rekey()) == ""


def test_burns_are_paid_from_the_new_vault() -> None:
    """The old keys' quorum signs once for each coin: to move it."""
    after = lawful(burned(repaid()), rekey())
    assert [type(effect) for effect in due(after)] == [SweepVault]
    moved = swept(after, COIN_A)
    [pay] = due(moved)
    assert isinstance(pay, PayBurns)
    assert [coin.outpoint for coin in pay.coins] == ["ss:0"]


def test_a_deposit_to_the_old_address_is_minted_and_then_moved() -> None:
    after = swept(lawful(active(), rekey()), COIN_A)
    late = lawful(after, SawCoin(Role.WATCHER, NOW, COIN_B, ONE, 0))
    assert find(late.vault, COIN_B).generation == 1
    late = lawful(late, placed(0, COIN_B), final(COIN_B))
    assert not any(isinstance(effect, SweepVault) for effect in due(late))
    minted = lawful(late, Mint(Role.ATTESTOR, NOW, COIN_B, ONE))
    [sweep] = (effect for effect in due(minted) if isinstance(effect, SweepVault))
    assert [coin.outpoint for coin in sweep.coins] == [COIN_B]
    assert sweep.id == f"sweep/{COIN_B}"


def test_where_a_coin_lies_is_noted_once() -> None:
    escrow = lawful(active(), rekey())
    assert decide(escrow, placed(0)) == ()
    assert decide(escrow, placed(1)) == (CoinPlaced(NOW, COIN_A, 1),)
    assert due(lawful(escrow, placed(1))) == ()


@pytest.mark.parametrize("by", Role)
def test_only_the_watcher_sees_where(by: Role) -> None:
    expected = "" if by is Role.WATCHER else "pledge/not-watcher"
    assert code_of(active(), placed(0, by=by)) == expected


@pytest.mark.parametrize(
    ("generation", "outpoint", "code"),
    [
        (1, COIN_A, "rekey/generation"),
        (-1, COIN_A, "rekey/generation"),
        (0, COIN_B, "payout/not-locked"),
    ],
)
def test_nowhere_else(generation: int, outpoint: str, code: str) -> None:
    refuses(active(), placed(generation, outpoint), code)


def test_nobody_knows_a_draft() -> None:
    refuses(draft(), rekey(), "loan/unknown")
