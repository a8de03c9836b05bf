"""Which spend of a vault pays which burns."""

import pytest
from deals import SCRIPT
from hypothesis import given
from hypothesis import strategies as st

from escrow.core.errors import Rejected
from escrow.core.payouts import Output, fee_bound, plan_outputs, recognise
from escrow.core.regions.token import Burn
from escrow.core.regions.vault import Payout
from escrow.core.units import Sats

VAULT = "0020" + "5a" * 32
OTHER = "5120" + "22" * 32
DUST = Sats(330)
FIRST, SECOND = Burn(0, Sats(50_000), SCRIPT), Burn(1, Sats(20_000), OTHER)


def plan(spent: int, fee: int = 1_001, burns: tuple[Burn, ...] = (FIRST, SECOND)):
    """Outputs that pay both burns."""
    return plan_outputs(burns, spent=Sats(spent), fee=Sats(fee), vault_script=VAULT, dust=DUST)


def read(outputs: list[tuple[str, int]], spent: int, owed: tuple[Burn, ...] = (FIRST, SECOND)):
    """What a spend of one coin means."""
    return recognise(
        [Output(script, Sats(sats)) for script, sats in outputs],
        txid="tt",
        inputs=("aa:0",),
        spent=Sats(spent),
        owed=owed,
        vault_script=VAULT,
    )


@pytest.mark.parametrize(
    ("spent", "change"), [(70_000, None), (70_330, 330), (70_331, 331), (100_000, 30_000)]
)
def test_burns_less_their_share_of_the_fee_and_the_rest_goes_back(spent, change) -> None:
    paid = [Output(SCRIPT, Sats(49_499)), Output(OTHER, Sats(19_500))]
    back = [] if change is None else [Output(VAULT, Sats(change))]
    assert list(plan(spent)) == paid + back


@pytest.mark.parametrize("spent", [0, 69_999, 70_001, 70_329])
def test_too_few_coins_or_dust_to_go_back_must_wait(spent: int) -> None:
    with pytest.raises(Rejected) as refusal:
        plan(spent)
    assert refusal.value.code == "payout/unbalanced"


def test_a_payout_is_read_back() -> None:
    payout = read([(SCRIPT, 49_499), (OTHER, 19_500), (VAULT, 30_000)], 100_000)
    assert payout == Payout(
        "tt", ("aa:0",), ((0, Sats(49_499)), (1, Sats(19_500))), Sats(1_001), Sats(30_000)
    )


def test_of_two_equal_burns_the_older_is_paid() -> None:
    twins = (Burn(7, Sats(20_000), SCRIPT), Burn(8, Sats(20_000), SCRIPT))
    assert read([(SCRIPT, 19_000)], 20_000, twins).paid == ((7, 19_000),)
    assert read([(SCRIPT, 19_000)] * 2, 40_000, twins).paid == ((7, 19_000), (8, 19_000))


@pytest.mark.parametrize(
    ("outputs", "spent", "code"),
    [
        ([(SCRIPT, 49_000)], 50_000, ""),
        ([(SCRIPT, 50_001)], 50_000, "payout/unbalanced"),
        ([(SCRIPT, 49_000), (VAULT, 1_001)], 50_000, "payout/unbalanced"),
        ([], 50_000, "payout/not-burned"),
        ([(VAULT, 50_000)], 50_000, "payout/not-burned"),
        ([(OTHER, 49_000)], 50_000, "payout/not-burned"),
        ([(SCRIPT, 48_999)], 50_000 - 2, "payout/not-burned"),
        ([(VAULT, 30_000), (SCRIPT, 49_000)], 80_000, "payout/not-burned"),
        ([(SCRIPT, 49_500), (SCRIPT, 49_500)], 100_000, "payout/not-burned"),
    ],
)
def test_every_output_is_a_burns_or_last_the_vaults_own(outputs, spent: int, code: str) -> None:
    refused = ""
    try:
        read(outputs, spent)
    except Rejected as refusal:
        refused = refusal.code
    assert refused == code


@given(
    st.lists(st.integers(10_000, 10**9), min_size=1, max_size=5),
    st.integers(0, 9_000),
    st.just(0) | st.integers(330, 10**9),
)
def test_what_is_planned_is_recognised(sats: list[int], fee: int, change: int) -> None:
    burns = tuple(Burn(i, Sats(s), SCRIPT) for i, s in enumerate(sats))
    outputs = plan(sum(sats) + change, fee, burns)
    payout = recognise(
        outputs,
        txid="tt",
        inputs=("aa:0",),
        spent=Sats(sum(sats) + change),
        owed=burns,
        vault_script=VAULT,
    )
    assert (payout.fee, payout.change) == (fee, change)
    assert sorted(burn for burn, _ in payout.paid) == list(range(len(sats)))


@pytest.mark.parametrize(
    ("sats", "max_fee", "bound"),
    [
        ((10_000,), 100_000, 5_000),
        ((10_000,), 4_999, 4_999),
        ((10_001,), 100_000, 5_000),
        ((10_000, 100_000_000), 10_000_000, 2 * 9_453),
        ((10_000, 10_000), 100_000, 10_000),
        ((600,), 100_000, 54),
        ((500,), 100_000, 0),
    ],
)
def test_a_fee_is_bounded_by_terms_value_and_dust(sats, max_fee: int, bound: int) -> None:
    burns = [Burn(i, Sats(each), SCRIPT) for i, each in enumerate(sats)]
    assert fee_bound(burns, max_fee=Sats(max_fee)) == bound


@given(st.lists(st.integers(10_000, 10**9), min_size=1, max_size=9), st.integers(1, 10_000_000))
def test_within_its_bound_a_fee_leaves_nobody_with_dust(sats: list[int], max_fee: int) -> None:
    burns = [Burn(i, Sats(each), SCRIPT) for i, each in enumerate(sats)]
    fee = fee_bound(burns, max_fee=Sats(max_fee))
    paid = [
        o.sats
        for o in plan_outputs(burns, spent=Sats(sum(sats)), fee=fee, vault_script=VAULT, dust=DUST)
    ]
    assert min(paid) >= 546
    assert fee <= min(max_fee, sum(paid))
