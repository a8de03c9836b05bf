"""The quorum pays burns out of the vault, and the payout is buried."""

import pytest
from deals import (
    COIN_A,
    COIN_B,
    CONFIRMATIONS,
    NOW,
    ONE,
    SCRIPT,
    burned,
    code_of,
    final,
    minted,
    names,
    opened,
    paid_out,
    payout,
    play,
    refuses,
    repaid,
)

from escrow.core.decide import decide, in_order
from escrow.core.phases import loan_phase, owed_burns, vault_phase
from escrow.core.regions.vault import PayoutFinal, PayoutReorged, find
from escrow.core.roles import Role
from escrow.core.state import Escrow
from escrow.core.units import Sats
from escrow.core.verbs.burn import BurnTokens
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.payout import SawPayout, SawPayoutDepth
from escrow.core.verbs.pledge import SawCoin, SawCoinGone

HALF = ONE // 2


def sees(**changes: object) -> SawPayout:
    """The watcher sees the payout, with changes."""
    return SawPayout(Role.WATCHER, NOW, payout(**changes))


def half_burned() -> Escrow:
    """Two burns of a quarter each, of one coin."""
    quarter = ONE // 4
    return burned(burned(minted(), quarter), quarter, number=1)


@pytest.mark.parametrize("by", Role)
def test_only_what_the_watcher_sees_counts(by: Role) -> None:
    expected = "" if by is Role.WATCHER else "pledge/not-watcher"
    assert code_of(burned(repaid()), SawPayout(by, NOW, payout())) == expected
    depth = SawPayoutDepth(by, NOW, "pp", 1)
    assert code_of(paid_out(burned(repaid())), depth) == expected


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, ""),
        ({"inputs": ()}, "payout/unbalanced"),
        ({"inputs": ("ee:0",)}, "payout/not-locked"),
        ({"inputs": (COIN_A, COIN_A)}, "payout/not-locked"),
        ({"paid": ()}, "payout/unbalanced"),
        ({"paid": ((9, ONE - 1_000),)}, "payout/not-burned"),
        ({"paid": ((0, ONE - 999),)}, "payout/not-burned"),
        ({"paid": ((0, ONE - 1_001),)}, "payout/not-burned"),
        ({"change": 1}, "payout/unbalanced"),
        ({"fee": 0, "paid": ((0, ONE),)}, ""),
        ({"fee": -1, "paid": ((0, ONE + 1),)}, "payout/fee"),
        ({"fee": 5_000, "paid": ((0, ONE - 5_000),)}, ""),
        ({"fee": 5_001, "paid": ((0, ONE - 5_001),)}, "payout/fee"),
    ],
)
def test_a_payout_pays_what_was_burned_for_and_balances(changes, code: str) -> None:
    assert code_of(burned(repaid()), sees(**changes)) == code


@pytest.mark.parametrize(
    ("change", "code"), [(1, "bitcoin/dust"), (329, "bitcoin/dust"), (330, ""), (331, "")]
)
def test_change_is_not_dust(change: int, code: str) -> None:
    escrow = burned(minted(), ONE - change)
    paid = ((0, ONE - change - 1_000),)
    assert code_of(escrow, sees(paid=paid, change=change)) == code


@pytest.mark.parametrize(
    ("fee", "code"), [(9_454, ""), (9_455, "bitcoin/dust"), (9_999, "bitcoin/dust")]
)
def test_an_output_is_not_dust(fee: int, code: str) -> None:
    escrow = burned(minted(max_fee=Sats(10_000_000)), 10_000)
    command = sees(paid=((0, 10_000 - fee),), fee=fee, change=ONE - 10_000)
    assert code_of(escrow, command) == code


def test_the_fee_is_shared_and_the_first_bears_the_remainder() -> None:
    quarter = ONE // 4
    good = {"fee": 1_001, "change": HALF, "paid": ((0, quarter - 501), (1, quarter - 500))}
    assert code_of(half_burned(), sees(**good)) == ""
    for paid in (
        ((0, quarter - 500), (1, quarter - 501)),
        ((0, quarter - 501), (0, quarter - 500)),
        ((0, quarter - 1_001), (1, quarter)),
    ):
        assert code_of(half_burned(), sees(**{**good, "paid": paid})) == "payout/not-burned"


def test_a_burn_is_paid_once() -> None:
    once = paid_out(burned(minted(), HALF), paid=((0, HALF - 1_000),), change=HALF)
    once = play(once, final("pp:1", sats=HALF))
    assert owed_burns(once) == ()
    again = sees(txid="qq", inputs=("pp:1",), paid=((0, HALF - 1_000),), change=0)
    refuses(once, again, "payout/not-burned", burn=0)


def test_seen_again_is_no_event() -> None:
    assert decide(paid_out(burned(repaid())), sees()) == ()


@pytest.mark.parametrize(
    "unlock",
    [
        SawCoin(Role.WATCHER, NOW, COIN_A, ONE, 0),
        SawCoin(Role.WATCHER, NOW, COIN_A, ONE, CONFIRMATIONS - 1, 100),
        SawCoinGone(Role.WATCHER, NOW, COIN_A, "ff"),
    ],
)
def test_only_final_coins_are_spent(unlock) -> None:
    refuses(play(burned(repaid()), unlock), sees(), "payout/not-locked", outpoint=COIN_A)


def test_a_coin_without_tokens_is_its_depositors() -> None:
    """Paid out, it could never be minted for: the next depositor would pay for this burn."""
    two = play(burned(repaid()), final(COIN_B))
    refuses(two, sees(inputs=(COIN_B,)), "payout/not-locked", outpoint=COIN_B)
    with_tokens = play(two, Mint(Role.ATTESTOR, NOW, COIN_B, ONE))
    assert code_of(with_tokens, sees(inputs=(COIN_B,))) == ""


def test_the_change_is_the_vaults_and_awaited() -> None:
    escrow = paid_out(burned(minted(), HALF), paid=((0, HALF - 1_000),), change=HALF)
    change = find(escrow.vault, "pp:1")
    assert (change.sats, change.change) == (HALF, True)
    assert vault_phase(escrow) == "SPEND_BROADCAST"


def test_change_that_was_seen_first_is_counted_once() -> None:
    """At one instant the watcher tells of coins before it tells of payouts."""
    payout_seen = sees(paid=((0, HALF - 1_000),), change=HALF)
    change_seen = SawCoin(Role.WATCHER, NOW, "pp:1", Sats(HALF), 1, 105)
    assert in_order((payout_seen, change_seen)) == (change_seen, payout_seen)
    escrow = play(burned(minted(), HALF), change_seen, payout_seen)
    assert [coin.outpoint for coin in escrow.vault.coins] == [COIN_A, "pp:1"]
    change = find(escrow.vault, "pp:1")
    assert change.change
    assert change.status.height == 105


@pytest.mark.parametrize(
    ("depths", "events"),
    [
        ([0], []),
        ([CONFIRMATIONS - 1], []),
        ([CONFIRMATIONS], ["PayoutFinal"]),
        ([CONFIRMATIONS, CONFIRMATIONS + 1], []),
        ([CONFIRMATIONS, CONFIRMATIONS - 1], ["PayoutReorged"]),
        ([CONFIRMATIONS, 0], ["PayoutReorged"]),
        ([CONFIRMATIONS, 0, 0], []),
        ([CONFIRMATIONS, 0, CONFIRMATIONS], ["PayoutFinal"]),
    ],
)
def test_a_payout_is_buried_and_dug_out(depths: list[int], events: list[str]) -> None:
    # Half stays pledged to nobody, so the deal does not end and every depth shows alone.
    escrow = paid_out(burned(minted(), HALF), paid=((0, HALF - 1_000),), change=HALF)
    *before, last = [SawPayoutDepth(Role.WATCHER, NOW, "pp", depth) for depth in depths]
    assert names(decide(play(escrow, *before), last)) == events


def test_an_unheard_of_payout() -> None:
    refuses(opened(), SawPayoutDepth(Role.WATCHER, NOW, "pp", 1), "payout/unknown", txid="pp")


def test_the_last_payout_ends_the_deal() -> None:
    escrow = paid_out(burned(repaid()))
    assert loan_phase(escrow) == "RELEASING"
    deep = SawPayoutDepth(Role.WATCHER, NOW, "pp", CONFIRMATIONS)
    assert names(decide(escrow, deep)) == ["PayoutFinal", "LoanEnded"]
    assert decide(escrow, deep)[0] == PayoutFinal(NOW, "pp")


def test_a_payout_dug_out_after_the_end_is_owed_again() -> None:
    ended = play(paid_out(burned(repaid())), SawPayoutDepth(Role.WATCHER, NOW, "pp", CONFIRMATIONS))
    dug_out = SawPayoutDepth(Role.WATCHER, NOW, "pp", 0)
    assert decide(ended, dug_out) == (PayoutReorged(NOW, "pp"),)
    assert loan_phase(play(ended, dug_out)) == "RELEASED"


def test_tokens_in_other_hands_keep_the_deal_open() -> None:
    escrow = play(repaid(), BurnTokens(Role.BORROWER, NOW, 0, Sats(HALF), SCRIPT))
    escrow = paid_out(escrow, paid=((0, HALF - 1_000),), change=HALF)
    deep = SawPayoutDepth(Role.WATCHER, NOW, "pp", CONFIRMATIONS)
    assert names(decide(escrow, deep)) == ["PayoutFinal"]
