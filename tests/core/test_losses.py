"""Coins that are gone while somebody has a claim on them: the loss has a name and a remedy."""

from deals import (
    COIN_A,
    CONFIRMATIONS,
    NOW,
    ONE,
    TERMS,
    burned,
    code_of,
    final,
    minted,
    paid_out,
    play,
    released,
    repaid,
)

from escrow.core.decide import decide
from escrow.core.due import AttestLoss, ClaimCoins, MakeGood, RecoverCoins, due
from escrow.core.laws import Step, broken
from escrow.core.phases import loan_phase, owed_burns
from escrow.core.roles import Role
from escrow.core.state import Escrow, evolve
from escrow.core.terms import MIN_DEPOSIT
from escrow.core.units import Sats
from escrow.core.verbs.burn import BurnTokens
from escrow.core.verbs.payout import SawPayoutDepth
from escrow.core.verbs.pledge import SawCoin, SawCoinGone
from escrow.core.verbs.recover import SawRecovery
from escrow.core.verbs.retire import Retire
from escrow.core.verbs.tick import Tick

HALF = ONE // 2
LOST_A = SawCoinGone(Role.WATCHER, NOW, COIN_A, "ff")


def with_change() -> Escrow:
    """Half was burned and paid out; the other half of the tokens stands on the change."""
    escrow = paid_out(burned(minted(), HALF), paid=((0, HALF - 1_000),), change=HALF)
    deep = SawPayoutDepth(Role.WATCHER, NOW, "pp", CONFIRMATIONS)
    return play(escrow, deep, final("pp:1", sats=HALF))


def test_change_that_is_lost_takes_its_tokens_with_it() -> None:
    before = with_change()
    (lost,) = decide(before, SawCoinGone(Role.WATCHER, NOW, "pp:1", "ff"))
    after = evolve(before, lost)
    assert due(after) == (AttestLoss("pp:1", Sats(HALF)),)
    assert broken(Step(before, lost, after)) == ()
    mended = play(after, Retire(Role.ATTESTOR, NOW, "pp:1", Sats(HALF)))
    assert due(mended) == ()


def test_change_that_is_recovered_has_a_remedy() -> None:
    at = TERMS.recover_at
    escrow = play(with_change(), Tick(Role.WATCHER, at))
    after = play(escrow, SawRecovery(Role.WATCHER, at, "rr", ("pp:1",)))
    assert AttestLoss("pp:1", Sats(HALF)) in due(after)


def test_a_loss_after_a_part_was_burned_retires_the_rest_and_names_the_shortfall() -> None:
    escrow = play(burned(minted(), HALF), LOST_A)
    assert due(escrow) == (AttestLoss(COIN_A, Sats(HALF)), MakeGood(Sats(HALF)))
    mended = play(escrow, Retire(Role.ATTESTOR, NOW, COIN_A, Sats(HALF)))
    assert due(mended) == (MakeGood(Sats(HALF)),)


def test_a_deal_does_not_end_as_released_with_a_burn_unpaid() -> None:
    after = play(burned(repaid()), LOST_A)
    assert owed_burns(after)
    assert loan_phase(after) == "RELEASING"
    assert due(after) == (MakeGood(Sats(ONE)),)


def test_a_deal_whose_coins_the_borrower_recovered_ends_so_though_its_burn_is_unpaid() -> None:
    at = TERMS.recover_at
    escrow = play(burned(repaid()), Tick(Role.WATCHER, at))
    after = play(escrow, SawRecovery(Role.WATCHER, at, "rr", (COIN_A,)))
    assert loan_phase(after) == "RECOVERED"
    assert MakeGood(Sats(ONE)) in due(after)


def test_tokens_too_few_to_burn_do_not_keep_a_deal_open() -> None:
    few = Sats(MIN_DEPOSIT - 1)
    escrow = burned(repaid(), ONE - few)
    last = BurnTokens(Role.BORROWER, NOW, 1, few, "0014" + "11" * 20)
    assert code_of(escrow, last) == "burn/dust"
    assert not any(isinstance(effect, ClaimCoins) for effect in due(escrow))
    paid = paid_out(escrow, paid=((0, ONE - few - 1_000),), change=few)
    after = play(paid, SawPayoutDepth(Role.WATCHER, NOW, "pp", CONFIRMATIONS))
    assert loan_phase(after) == "RELEASED"


def test_a_small_coin_of_a_deal_that_ended_may_be_recovered() -> None:
    small = SawCoin(Role.WATCHER, NOW, "cc:0", Sats(MIN_DEPOSIT - 1), CONFIRMATIONS, 100)
    escrow = play(released(), small)
    assert not any(isinstance(effect, RecoverCoins) for effect in due(escrow))
    escrow = play(escrow, Tick(Role.WATCHER, TERMS.recover_at))
    assert any(isinstance(effect, RecoverCoins) for effect in due(escrow))
