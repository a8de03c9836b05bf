"""Many products on one path: streamed, in order, whatever the blocks; and what people see of it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest
from products_lab import PRINCIPAL, REAL, T0, A, changed, units

from escrow.adapters.price.builtin import builtin_prices
from escrow.adapters.price.files import Quote, read_prices, stream_prices
from escrow.adapters.price.walk import MOST_HOURS, walk_prices
from escrow.core.errors import BadInput
from escrow.core.units import DAY, HOUR, Cents, PriceE8, Seconds
from escrow.products.ladder import Ladder
from escrow.products.outcome import Answer, End, Habit, Outcome
from escrow.products.read import load_product, read_product, shipped
from escrow.sim.compare import Comparison, compare, path_of
from escrow.view.compare import as_csv, as_dict, as_text, draw

ALL = [load_product(name) for name in shipped()]


@pytest.fixture(scope="module")
def found() -> Comparison:
    return compare(ALL, builtin_prices(), principal=PRINCIPAL)


def hourly(count: int) -> Iterator[Quote]:
    return (Quote(Seconds(T0 + HOUR * n), units(20_000 - n % 997)) for n in range(count))


def code(excinfo: pytest.ExceptionInfo[BadInput]) -> str:
    return excinfo.value.code


# --- the path ---


@pytest.mark.parametrize("count", [2, 511, 512, 513, 514, 1_025, 3_000])
def test_a_comparison_is_the_same_as_each_loan_price_by_price(count: int) -> None:
    quotes = list(hourly(count))
    whole = compare(ALL, iter(quotes), principal=PRINCIPAL)
    for product, outcome in zip(ALL, whole.outcomes, strict=True):
        ladder = Ladder(product, principal=PRINCIPAL, at=quotes[0].at, price=quotes[0].price)
        for quote in quotes[1:]:
            ladder.step(quote.at, quote.price)
        assert ladder.outcome() == outcome
    assert (whole.first, whole.last, whole.prices) == (quotes[0], quotes[-1], count)
    assert whole.lowest == min(quote.price for quote in quotes)


def test_a_gap_between_two_blocks_is_a_gap() -> None:
    # Above all that could happen, so that either block may be passed over.
    told = [20_000] + [21_000] * 612
    late = [0] * 513 + [10] * 100
    hours = [n + more for n, more in enumerate(late)]
    quotes = [Quote(Seconds(T0 + HOUR * h), units(p)) for h, p in zip(hours, told, strict=True)]
    strike = load_product("strike")
    outcome = compare([strike], quotes, principal=PRINCIPAL).outcomes[0]
    assert outcome.seconds_stopped == 10 * HOUR


def blocks(*second: int) -> list[Quote]:
    """A block of 512 prices that ends in a call, and a second one."""
    told = [20_000] * 512 + [14_000, *second]
    return [Quote(Seconds(T0 + HOUR * n), units(price)) for n, price in enumerate(told)]


def test_a_block_in_which_a_call_lapses_is_not_passed_over() -> None:
    strict = read_product(changed(lapse=f'{{ value = "unless-restored", {A} }}'))
    outcome = compare([strict], blocks(*[15_000] * 512), principal=PRINCIPAL).outcomes[0]
    assert outcome.liquidated_at == T0 + (512 + 24) * HOUR + 1


def test_nor_is_one_in_which_a_call_is_cured() -> None:
    warning = read_product(changed(cure=f'{{ value = "none", {A} }}'))
    cures = [15_000] * 300 + [17_000] + [15_000] * 211
    outcome = compare([warning], blocks(*cures), principal=PRINCIPAL).outcomes[0]
    assert outcome.cured_at == T0 + (512 + 301) * HOUR
    assert outcome.seconds_called == 301 * HOUR


def test_the_sketch_is_short_and_even() -> None:
    whole = compare([load_product("strike")], hourly(50_000), principal=PRINCIPAL)
    assert 1_000 <= len(whole.sketch) <= 2_001
    assert (whole.sketch[0], whole.sketch[-1]) == (whole.first, whole.last)
    gaps = {b.at - a.at for a, b in pairwise(whole.sketch[:-1])}
    assert len(gaps) == 1


def test_memory_does_not_grow_with_the_path() -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        compare(ALL[:3], hourly(count), principal=PRINCIPAL)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(100)
    # The sketch is full after two thousand prices.
    assert peak(40_000) < 1.2 * peak(10_000)


@pytest.mark.parametrize(
    ("products", "quotes", "principal", "want"),
    [
        (ALL[:1], [], 1, "prices/empty"),
        (ALL[:1], list(hourly(1)), 1, "prices/empty"),
        ([], list(hourly(2)), 1, "compare/loan"),
        (ALL[:2] + ALL[:1], list(hourly(2)), 1, "compare/twice"),
        (ALL[:1], list(hourly(2)), 0, "compare/loan"),
        (ALL[:1], list(hourly(2)), 2**63, "compare/loan"),
        # Against 20,000.00 a coin and at a half: a cent more than all coins that there will be.
        ([load_product("strike")], list(hourly(2)), 21_000_000_000_001, "compare/loan"),
        ([load_product("crvusd")], [Quote(T0, PriceE8(10**18))] * 2, 1, "compare/loan"),
    ],
)
def test_what_cannot_be_compared(products: list, quotes: list, principal: int, want: str) -> None:
    with pytest.raises(BadInput) as caught:
        compare(products, quotes, principal=Cents(principal))
    assert code(caught) == want


# --- prices drawn, and streamed ---


def test_a_walk_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    first, again, other = (list(walk_prices(seed, hours=300)) for seed in (1, 1, 2))
    assert first == again != other
    assert len(first) == 301
    assert {b.at - a.at for a, b in pairwise(first)} == {HOUR}
    longer = list(walk_prices(1, hours=301))
    assert longer[:-1] == first
    assert len({q.price for q in first}) > 250
    moves = [
        abs(b.price - a.price) * 10_000 // a.price for a, b in pairwise(walk_prices(1, hours=5_000))
    ]
    assert 90 < max(moves) <= 900
    assert sorted(moves)[-100] <= 90


@pytest.mark.parametrize(
    ("seed", "hours", "want"),
    [(-1, 1, "input/seed"), (2**64, 1, "input/seed"), (True, 1, "input/seed"),
     (1, 0, "input/amount"), (1, MOST_HOURS + 1, "input/amount")],
)  # fmt: skip
def test_walks_that_are_none(seed: int, hours: int, want: str) -> None:
    with pytest.raises(BadInput) as caught:
        next(walk_prices(seed, hours=hours))
    assert code(caught) == want


def test_a_walk_of_the_cheapest_price_never_reaches_zero() -> None:
    assert min(q.price for q in walk_prices(1, hours=500, price=PriceE8(1))) == 1


def test_paths_by_their_source(tmp_path: Path) -> None:
    assert list(path_of()) == list(builtin_prices())
    assert len(list(path_of(seed=3))) == 8_761
    drawn = list(path_of(seed=3, hours=100))
    cut = list(path_of(seed=3, hours=100, start=drawn[10].at, end=drawn[20].at))
    assert cut == drawn[10:21]
    with pytest.raises(BadInput, match="input/seed"):
        path_of(file=tmp_path / "x.csv", seed=1)


GOOD = "unix,open,high,low,close\n1,2,2,2,2\n2,3,3,3,3\n3,4,4,4,4\n"


@pytest.mark.parametrize("packed", [False, True])
def test_streamed_prices_are_those_that_are_read(tmp_path: Path, packed: bool) -> None:
    file = tmp_path / "prices.csv"
    file.write_bytes(gzip.compress(GOOD.encode()) if packed else GOOD.encode())
    assert tuple(stream_prices(file)) == read_prices(file)
    assert [q.at for q in stream_prices(file, start=Seconds(2), end=Seconds(2))] == [2]
    with pytest.raises(BadInput, match="input/time"):
        next(stream_prices(file, start=Seconds(3), end=Seconds(2)))


@pytest.mark.parametrize(
    ("text", "want", "line"),
    [
        ("a,b\n1,2\n", "prices/columns", 1),
        (GOOD.replace("2,3,3,3,3", "1,3,3,3,3"), "prices/order", 3),
        (GOOD.replace("3,4,4,4,4", "3,4,4,4,-4"), "prices/value", 4),
        (GOOD.replace("3,4,4,4,4", "3,4,4,4"), "prices/format", 4),
    ],
)
def test_a_bad_line_is_refused_though_prices_were_taken_before_it(
    tmp_path: Path, text: str, want: str, line: int
) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(text)
    with pytest.raises(BadInput) as caught:
        compare(ALL, path_of(file=file), principal=PRINCIPAL)
    assert (code(caught), caught.value.facts["line"]) == (want, line)


# --- what it looks like ---


def test_json_has_the_promised_keys_and_adds_up(found: Comparison) -> None:
    shown = as_dict(found)
    assert len(shown["products"]) == len(ALL)
    promised = [
        "product", "drawn_at", "sats_pledged", "first_notice_at", "margin_call_at", "cured",
        "liquidated_at", "liquidation_price", "sats_sold", "sats_to_lender", "sats_fees",
        "sats_returned", "sats_held", "recovered", "bad_debt", "worst_ltv_bps",
    ]  # fmt: skip
    for row in shown["products"]:
        assert list(row)[: len(promised)] == promised
        assert isinstance(row["assumed"], list)
        gone = row["sats_sold"] + row["sats_to_lender"] + row["sats_fees"] + row["sats_returned"]
        assert row["sats_pledged"] == gone + row["sats_held"]
        assert set(row) - {"assumed"} == {each.name for each in fields(Outcome)}
    json.dumps(shown)


def test_csv_is_a_row_a_product_with_nothing_where_nothing_happened(found: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert [row["product"] for row in rows] == list(shipped())
    by_name = {row["product"]: row for row in rows}
    assert by_name["coinbase_morpho"]["margin_call_at"] == ""
    assert by_name["strike"]["cured"] == "false"
    assert by_name["strike"]["end"] == "open"
    # What was not disclosed is in this report too, by the names of the terms.
    assumed = [" ".join(each.name for each in product.assumed) for product in ALL]
    assert [row["assumed"] for row in rows] == assumed


def test_the_text_names_the_path_the_products_and_what_is_assumed(found: Comparison) -> None:
    text = "\n".join(as_text(found, assumed=False))
    assert "480 prices, 2020-03-01 00:00:00 to 2020-03-20 23:00:00 UTC" in text
    assert all(product.id in text for product in ALL)
    assert "ASSUMED  strike: " in text
    assert "levels.lapse" in text
    why = "\n".join(as_text(found, assumed=True))
    assert "ASSUMED  strike levels.lapse: not said" in why
    assert why.count("ASSUMED") == sum(len(product.assumed) for product in ALL)
    assert "hodlhodl: makes no loan" not in text


def test_notes_say_what_a_table_cannot() -> None:
    gaps = [Quote(Seconds(T0 + DAY * n), units(20_000 - 2_300 * n)) for n in range(5)]
    sized = read_product(
        changed() + '[size]\nleast = { amount = "10000.01", status = "assumed", source = "x" }\n'
    )
    found = compare([load_product("crvusd"), sized], gaps, principal=PRINCIPAL)
    text = "\n".join(as_text(found, assumed=False))
    assert "plain: makes no loan of this size" in text
    assert "plain: its clock stood for 3 d 20 h" in text
    assert "crvusd: its bands first sold" in text


def test_the_five_ways_to_liquidate_on_the_same_path(found: Comparison) -> None:
    """Same coins, same debt, same crash: take-over, partial, third party, auction, bands."""
    names = ("sberbank_pilot_2025_12", "strike", "atomic_loans", "maker_wbtc", "crvusd")
    rows = {o.product: o for o in found.outcomes if o.product in names}
    assert len({row.sats_pledged for row in rows.values()}) == 1
    taken, part, bought, auctioned, soft = (rows[name] for name in names)
    assert taken.sats_to_lender > 0 == taken.sats_sold
    assert part.end is End.OPEN
    assert part.sats_held > 0
    assert bought.fees > taken.fees == 0
    assert auctioned.liquidated_at is not None
    assert bought.liquidated_at is not None
    # At a ratio of 150 % earlier than at 140.
    assert auctioned.liquidated_at < bought.liquidated_at
    # The bands sold on the way down and bought back on the way up: most coins are still there.
    assert soft.soft_from is not None
    assert soft.sats_held > soft.sats_pledged * 95 // 100
    assert all(row.bad_debt == 0 for row in rows.values())


def test_an_answering_borrower_keeps_what_an_idle_one_loses(found: Comparison) -> None:
    quotes = list(builtin_prices())
    maple = [load_product("maple_btc")]
    for answer in (Answer.TOP_UP, Answer.REPAY):
        kept = compare(maple, quotes, principal=PRINCIPAL, habit=Habit(answer, Seconds(60)))
        idle = next(o for o in found.outcomes if o.product == "maple_btc")
        assert kept.outcomes[0].cured is True
        assert idle.cured is False


# --- recorded prices ---


@pytest.mark.skipif(not REAL.exists(), reason=f"no recorded prices: {REAL}")
def test_recorded_prices_of_two_and_a_half_years() -> None:
    found = compare(ALL, path_of(file=REAL), principal=PRINCIPAL)
    assert found.prices == 23_082
    rows = {o.product: o for o in found.outcomes}
    for row in rows.values():
        gone = row.sats_sold + row.sats_to_lender + row.sats_fees + row.sats_returned
        assert row.sats_pledged == gone + row.sats_held
    # Drawn in May 2018 at 8,741 a coin: the fall of November reached them all.
    assert rows["ledn_standard"].end is End.LIQUIDATED
    assert rows["unchained_2025"].margin_call_at is not None
    assert sum(row.liquidated_at is not None for row in rows.values()) >= 19


@pytest.mark.skipif(not REAL.exists(), reason=f"no recorded prices: {REAL}")
def test_black_thursday_by_hand() -> None:
    """Drawn on 1 March 2020: Strike's loan is sold at the first price at which it is at 85 %."""
    start, end = Seconds(1_583_020_800), Seconds(1_584_662_400)
    quotes = list(stream_prices(REAL, start=start, end=end))
    row = compare([load_product("strike")], quotes, principal=PRINCIPAL).outcomes[0]
    held = row.sats_pledged
    for quote in quotes[1:]:
        seconds = quote.at - quotes[0].at
        owed = 1_000_000 + -(-1_000_000 * 1_200 * seconds // (10_000 * 365 * DAY))
        if owed * 10**14 * 100 >= 85 * held * quote.price:
            assert (row.liquidated_at, row.liquidation_price) == (quote.at, quote.price)
            break
    else:
        pytest.fail("never at 85 %")


# --- the chart ---


@pytest.mark.parametrize(
    ("name", "head"), [("c.png", b"\x89PNG"), ("c.svg", b"<?xml"), ("c.html", b"<!doctype html>")]
)
def test_a_chart_is_drawn_the_same_each_time(
    found: Comparison, tmp_path: Path, name: str, head: bytes
) -> None:
    pytest.importorskip("matplotlib")
    draw(found, tmp_path / name)
    first = (tmp_path / name).read_bytes()
    assert first.startswith(head)
    with pytest.raises(BadInput, match="compare/write"):
        draw(found, tmp_path / name)
    draw(found, tmp_path / name, force=True)
    if name == "c.svg":
        # Words are drawn as paths, with what they say beside them.
        words = f"strike, {len(load_product('strike').assumed)} terms assumed"
        assert words in (tmp_path / name).read_text(encoding="utf-8")
    assert (tmp_path / name).read_bytes() == first
    if name.endswith("html"):
        assert b"strike" in first
        assert b"http-equiv" not in first
        assert b"<script" not in first


def test_a_chart_of_another_kind_or_where_none_can_be(found: Comparison, tmp_path: Path) -> None:
    for file in (tmp_path / "c.pdf", tmp_path / "nowhere" / "c.png"):
        with pytest.raises(BadInput, match="compare/write"):
            draw(found, file)


def test_without_the_library_it_says_what_to_install(
    found: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(BadInput, match="extra/missing") as caught:
        draw(found, tmp_path / "c.png")
    assert caught.value.facts["install"] == "pip install 'escrow-sim[plot]'"
