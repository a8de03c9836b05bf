"""A payout that waits: stuck, replaced by a dearer one, or void. What it paid is paid once, or owed
again."""

import pytest
from deals import (
    COIN_A,
    COIN_B,
    CONFIRMATIONS,
    NOW,
    ONE,
    TERMS,
    burned,
    code_of,
    final,
    minted,
    names,
    paid_out,
    payout,
    play,
    refuses,
    released,
    repaid,
    stuck,
)

from escrow.core.decide import decide
from escrow.core.due import AttestLoss, BuryPayout, MakeGood, PayBurns, due
from escrow.core.laws import Step, broken
from escrow.core.phases import loan_phase, owed_burns, vault_phase
from escrow.core.regions.vault import (
    Locked,
    PayoutMined,
    PayoutReplaced,
    PayoutStuck,
    PayoutVoid,
    Spent,
    find,
)
from escrow.core.roles import Role
from escrow.core.state import Escrow, evolve
from escrow.core.units import Sats
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.payout import SawPayout, SawPayoutDepth, SawPayoutStuck, SawPayoutVoid
from escrow.core.verbs.pledge import SawCoin, SawCoinGone
from escrow.core.verbs.recover import SawRecovery
from escrow.core.verbs.retire import Retire
from escrow.core.verbs.tick import Tick

HALF, QUARTER = ONE // 2, ONE // 4


def lawful(escrow: Escrow, *commands: object) -> Escrow:
    """Play; every law must hold at every event."""
    for command in commands:
        for event in decide(escrow, command):
            after = evolve(escrow, event)
            assert broken(Step(escrow, event, after)) == ()
            escrow = after
    return escrow


def waiting() -> Escrow:
    """All was burned, and its payout waits at 1,000 sats."""
    return paid_out(burned(repaid()))


def dearer(fee: int = 2_000, **changes: object) -> SawPayout:
    """The same coins and the same burn at another fee."""
    facts = {"txid": "qq", "fee": Sats(fee), "paid": ((0, Sats(ONE - fee)),), **changes}
    return SawPayout(Role.WATCHER, NOW, payout(**facts))


def void(txid: str = "pp", spender: str = "ff") -> SawPayoutVoid:
    """A coin of the payout is gone for good."""
    return SawPayoutVoid(Role.WATCHER, NOW, txid, spender)


def waits(blocks: int, txid: str = "pp") -> SawPayoutStuck:
    """So many blocks passed by."""
    return SawPayoutStuck(Role.WATCHER, NOW, txid, blocks)


def chain() -> Escrow:
    """Two quarters were burned: ``pp`` pays the first out of the coin, ``qq`` the second out of
    what ``pp`` gave back."""
    escrow = burned(burned(minted(), QUARTER), QUARTER, number=1)
    back = 3 * QUARTER
    escrow = paid_out(escrow, paid=((0, QUARTER - 1_000),), change=Sats(back))
    escrow = play(escrow, final("pp:1", sats=back))
    return paid_out(
        escrow,
        txid="qq",
        inputs=("pp:1",),
        paid=((1, QUARTER - 1_000),),
        change=Sats(HALF),
    )


@pytest.mark.parametrize("by", Role)
def test_only_what_the_watcher_sees_counts(by: Role) -> None:
    expected = "" if by is Role.WATCHER else "pledge/not-watcher"
    for command in (
        SawPayoutVoid(by, NOW, "pp", "ff"),
        SawPayoutStuck(by, NOW, "pp", 6),
        SawPayout(by, NOW, dearer().payout),
    ):
        assert code_of(waiting(), command) == expected


@pytest.mark.parametrize("command", [void("xx"), waits(6, "xx")])
def test_an_unheard_of_payout(command) -> None:
    refuses(waiting(), command, "payout/unknown", txid="xx")


# --- stuck ---


@pytest.mark.parametrize(("blocks", "events"), [(0, 0), (5, 0), (6, 1), (600, 1)])
def test_six_blocks_make_a_payout_stuck(blocks: int, events: int) -> None:
    found = decide(waiting(), waits(blocks))
    assert found == (PayoutStuck(NOW, "pp", blocks),) * events


def test_stuck_is_said_once_and_never_of_what_is_final() -> None:
    assert decide(stuck(waiting()), waits(7)) == ()
    assert decide(released(), waits(7)) == ()


@pytest.mark.parametrize(
    ("depth", "phase"),
    [(0, "SPEND_STUCK"), (1, "SPEND_BROADCAST"), (CONFIRMATIONS, "SPENT")],
)
def test_a_block_sets_a_stuck_payout_free(depth: int, phase: str) -> None:
    after = lawful(stuck(waiting()), SawPayoutDepth(Role.WATCHER, NOW, "pp", depth))
    assert vault_phase(after) == phase
    assert bool(after.vault.stuck) is (depth == 0)


def test_a_payout_that_moves_is_not_told_of() -> None:
    seen = SawPayoutDepth(Role.WATCHER, NOW, "pp", 1)
    assert decide(waiting(), seen) == ()
    assert decide(stuck(waiting()), seen) == (PayoutMined(NOW, "pp"),)


# --- replaced ---


def test_a_dearer_payout_stands_in_its_place() -> None:
    before = stuck(waiting())
    assert decide(before, dearer()) == (PayoutReplaced(NOW, "pp", dearer().payout),)
    after = lawful(before, dearer())
    assert after.vault.payouts == (dearer().payout,)
    assert (owed_burns(after), after.vault.stuck) == ((), ())
    assert find(after.vault, COIN_A).status == Spent("qq", 100)
    assert due(after) == (BuryPayout("qq"),)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (dearer(TERMS.max_fee), ""),
        (dearer(TERMS.max_fee + 1), "payout/fee"),
        (dearer(-1), "payout/fee"),
        (dearer(paid=((0, ONE - 2_001),)), "payout/not-burned"),
        (dearer(inputs=(COIN_A, COIN_B)), "payout/not-locked"),
        (dearer(change=Sats(1)), "payout/unbalanced"),
    ],
)
def test_a_bump_keeps_the_rules_of_payouts(command, code: str) -> None:
    assert code_of(waiting(), command) == code


@pytest.mark.parametrize(("fee", "code"), [(5_000, ""), (5_001, "payout/fee")])
def test_a_bump_never_costs_more_than_it_pays(fee: int, code: str) -> None:
    small = burned(minted(max_fee=Sats(10_000_000)), 10_000)
    back = {"change": Sats(ONE - 10_000)}
    escrow = paid_out(small, paid=((0, 9_000),), **back)
    assert code_of(escrow, dearer(fee, paid=((0, 10_000 - fee),), **back)) == code
    # The first payout of a burn may, down to dust: nobody was asked for more.
    first = dearer(5_001, paid=((0, 4_999),), **back)
    assert code_of(small, first) == ""


@pytest.mark.parametrize(("fee", "noted"), [(1_001, 0), (1_000, 1), (999, 1)])
def test_one_that_pays_no_more_stands_and_is_noted(fee: int, noted: int) -> None:
    """Miners chose: a fact is not refused."""
    after = lawful(waiting(), dearer(fee))
    assert [each.txid for each in after.vault.payouts] == ["qq"]
    assert [each.code for each in after.incidents] == ["payout/replacement"] * noted


def test_one_that_leaves_a_burn_out_is_noted_and_the_burn_is_owed_again() -> None:
    two = burned(burned(minted(), QUARTER), QUARTER, number=1)
    paid = ((0, Sats(QUARTER - 500)), (1, Sats(QUARTER - 500)))
    both = paid_out(two, paid=paid, change=Sats(HALF))
    only = dearer(paid=((1, QUARTER - 2_000),), change=Sats(3 * QUARTER))
    after = lawful(both, only)
    assert [burn.id for burn in owed_burns(after)] == [0]
    assert [each.code for each in after.incidents] == ["payout/replacement"]
    # More burns than before are welcome.
    (replaced,) = decide(lawful(both, only), SawPayout(Role.WATCHER, NOW, both.vault.payouts[0]))[
        :1
    ]
    assert replaced == PayoutReplaced(NOW, "qq", both.vault.payouts[0])


def test_the_change_of_the_old_one_never_was() -> None:
    half = burned(minted(), HALF)
    old = paid_out(half, paid=((0, HALF - 1_000),), change=Sats(HALF))
    after = lawful(old, dearer(paid=((0, HALF - 2_000),), change=Sats(HALF)))
    assert [coin.outpoint for coin in after.vault.coins] == [COIN_A, "qq:1"]
    assert find(after.vault, "qq:1").change


def test_a_coin_that_the_new_one_leaves_stands_where_it_stood() -> None:
    two = play(burned(repaid()), final(COIN_B), Mint(Role.ATTESTOR, NOW, COIN_B, ONE))
    old = paid_out(two, inputs=(COIN_A, COIN_B), change=ONE)
    after = lawful(old, dearer())
    assert find(after.vault, COIN_B).status == Locked(100)


def test_the_old_one_may_still_win() -> None:
    """Signed twice, mined once: a miner that never saw the bump mines the old one."""
    after = lawful(waiting(), dearer(), SawPayout(Role.WATCHER, NOW, payout()))
    assert after.vault.payouts == (payout(),)
    assert owed_burns(after) == ()


def test_one_that_takes_coins_of_two_stands_for_both() -> None:
    two = play(burned(repaid(), HALF), final(COIN_B), Mint(Role.ATTESTOR, NOW, COIN_B, ONE))
    two = burned(two, HALF, number=1)
    back = Sats(HALF)
    two = paid_out(two, paid=((0, HALF - 1_000),), change=back)
    two = paid_out(two, txid="rr", inputs=(COIN_B,), paid=((1, HALF - 1_000),), change=back)
    one = dearer(
        inputs=(COIN_A, COIN_B),
        paid=((0, Sats(HALF - 1_000)), (1, Sats(HALF - 1_000))),
        change=ONE,
    )
    assert names(decide(two, one)) == ["PayoutVoid", "PayoutReplaced"]
    after = lawful(two, one)
    assert [each.txid for each in after.vault.payouts] == ["qq"]
    assert owed_burns(after) == ()


def test_what_spends_the_change_of_the_old_one_is_void() -> None:
    new = dearer(txid="rr", paid=((0, QUARTER - 2_000),), change=Sats(3 * QUARTER))
    assert names(decide(chain(), new)) == ["PayoutVoid", "PayoutReplaced", "Incident"]
    after = lawful(chain(), new)
    assert [each.txid for each in after.vault.payouts] == ["rr"]
    assert [each.code for each in after.incidents] == ["payout/replacement"]  # a burn is left out
    assert [burn.id for burn in owed_burns(after)] == [1]
    assert [coin.outpoint for coin in after.vault.coins] == [COIN_A, "rr:1"]


# --- void ---


def test_a_void_payout_is_owed_again() -> None:
    before = stuck(waiting())
    assert decide(before, void()) == (PayoutVoid(NOW, "pp", "ff"),)
    after = lawful(before, void())
    assert (after.vault.payouts, after.vault.stuck) == ((), ())
    assert vault_phase(after) == "LOCKED"
    assert isinstance(due(after)[0], PayBurns)
    again = lawful(after, SawPayout(Role.WATCHER, NOW, payout(txid="rr")))
    assert owed_burns(again) == ()


def test_a_void_payout_whose_coin_is_gone_is_made_good() -> None:
    after = lawful(waiting(), void(spender=""), SawCoinGone(Role.WATCHER, NOW, COIN_A, ""))
    assert vault_phase(after) == "LOST"
    assert due(after) == (MakeGood(ONE),)


def test_a_void_payout_whose_coin_the_borrower_recovered() -> None:
    at = TERMS.recover_at
    gone = SawPayoutVoid(Role.WATCHER, at, "pp", "rr")
    taken = SawRecovery(Role.WATCHER, at, "rr", (COIN_A,))
    after = lawful(waiting(), Tick(Role.WATCHER, at), gone, taken)
    assert loan_phase(after) == "RECOVERED"
    assert due(after) == (MakeGood(ONE),)


def test_a_final_payout_may_become_void() -> None:
    after = lawful(released(), void())
    assert loan_phase(after) == "RELEASED"
    assert [burn.id for burn in owed_burns(after)] == [0]


def test_the_change_of_a_void_payout_and_all_that_spends_it_never_was() -> None:
    assert decide(chain(), void()) == (PayoutVoid(NOW, "qq", "ff"), PayoutVoid(NOW, "pp", "ff"))
    after = lawful(chain(), void())
    assert [coin.outpoint for coin in after.vault.coins] == [COIN_A]
    assert [burn.id for burn in owed_burns(after)] == [0, 1]
    assert [each.txid for each in lawful(chain(), void("qq")).vault.payouts] == ["pp"]


def test_change_that_was_lost_is_no_loss_once_it_never_was() -> None:
    half = paid_out(burned(minted(), HALF), paid=((0, HALF - 1_000),), change=Sats(HALF))
    lost = play(half, final("pp:1", sats=HALF), SawCoinGone(Role.WATCHER, NOW, "pp:1", "ee"))
    assert AttestLoss("pp:1", Sats(HALF)) in due(lost)
    after = lawful(lost, void())
    assert [type(effect) for effect in due(after)] == [PayBurns]


def test_a_payout_with_tokens_settled_on_its_change_is_not_undone() -> None:
    """Tokens were retired for change that a thief took: no reorganisation calls them back."""
    half = paid_out(burned(minted(), HALF), paid=((0, HALF - 1_000),), change=Sats(HALF))
    settled = play(
        half,
        final("pp:1", sats=HALF),
        SawCoinGone(Role.WATCHER, NOW, "pp:1", "ee"),
        Retire(Role.ATTESTOR, NOW, "pp:1", Sats(HALF)),
    )
    refuses(settled, void(), "payout/settled", txid="pp")
    new = dearer(paid=((0, HALF - 2_000),), change=Sats(HALF))
    refuses(settled, new, "payout/settled", txid="pp")


def test_a_coin_seen_elsewhere_after_a_void_is_told_so() -> None:
    """The block that holds it is another one now."""
    after = lawful(waiting(), void(), SawCoin(Role.WATCHER, NOW, COIN_A, ONE, CONFIRMATIONS, 101))
    assert find(after.vault, COIN_A).status == Locked(101)
