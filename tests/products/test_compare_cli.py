"""``escrow products`` and ``escrow compare`` as a user meets them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from products_lab import changed

from escrow.cli import main
from escrow.products.read import shipped


def escrow(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(argv))
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def test_products_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = escrow(capsys, "products")
    assert (status, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == list(shipped())
    assert "20 of 20 terms assumed" not in out
    rows = json.loads(escrow(capsys, "products", "--json")[1])["products"]
    assert {row["product"] for row in rows} == set(shipped())
    pilot = next(row for row in rows if row["product"].startswith("sberbank"))
    assert pilot["assumed"] == pilot["terms"]


def test_a_product_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = escrow(capsys, "products", "strike")
    assert status == 0
    assert "Calls at or above 70.00 %" in out
    assert "with 1 d to answer (a fall of ≈28.57 %)" in out
    assert "ASSUMED  levels.lapse" in out
    shown = json.loads(escrow(capsys, "products", "strike", "--json")[1])
    assert shown["product"] == "strike"
    assert {"name", "status", "source", "line"} == set(shown["parameters"][0])


def test_a_product_of_ones_own_is_explained_and_compared(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(changed(), encoding="utf-8")
    assert "A plain loan (plain)" in escrow(capsys, "products", str(file))[1]
    status, out, _ = escrow(capsys, "compare", "strike", str(file), "--json")
    assert status == 0
    assert [row["product"] for row in json.loads(out)["products"]] == ["strike", "plain"]


def test_compare_prints_all_products_on_the_built_in_prices(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, err = escrow(capsys, "compare")
    assert (status, err) == (0, "")
    assert "Pledged = sold + to lender + fees in coins + returned + held." in out
    assert all(name in out for name in shipped())


def test_all_of_them_by_name_or_not_at_their_own_levels(
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = ("--seed", "7", "--hours", "48", "--json")
    plain = escrow(capsys, "compare", *few)
    assert escrow(capsys, "compare", "--all", "--ltv", "product", *few) == plain
    status, _, err = escrow(capsys, "compare", "strike", "--all", *few)
    assert (status, "compare/twice" in err) == (2, True)


def test_at_one_level_for_all(capsys: pytest.CaptureFixture[str]) -> None:
    few = ("compare", "strike", "nexo", "--seed", "7", "--hours", "1", "--json")
    own = json.loads(escrow(capsys, *few)[1])["products"]
    half = json.loads(escrow(capsys, *few, "--ltv", "25")[1])["products"]
    for one, two in zip(own, half, strict=True):
        # Both lend half of the value at most; at a quarter twice the coins are pledged.
        assert abs(two["sats_pledged"] - 2 * one["sats_pledged"]) <= 1
    assert json.loads(escrow(capsys, *few, "--ltv", "50.00")[1])["products"] == own


@pytest.mark.parametrize(
    ("ltv", "code"),
    [
        ("50.01", "compare/ltv"),
        ("0", "input/amount"),
        ("-5", "input/amount"),
        ("x", "input/amount"),
    ],
)
def test_a_level_that_no_product_lends_at(
    ltv: str, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = escrow(
        capsys, "compare", "strike", "--ltv", ltv, "--seed", "7", "--hours", "1"
    )
    assert (status, code in err) == (2, True)


def test_compare_as_json_and_csv_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("compare", "strike", "crvusd", "--seed", "7", "--hours", "900", "--principal", "500")
    shown = json.loads(escrow(capsys, *asked, "--json")[1])
    rows = list(csv.DictReader(io.StringIO(escrow(capsys, *asked, "--csv")[1])))
    assert shown["prices"] == 901
    assert shown["principal"] == 50_000
    for left, right in zip(shown["products"], rows, strict=True):
        assert str(left["sats_pledged"]) == right["sats_pledged"]
        assert left["product"] == right["product"]


def test_borrowers_who_answer_and_who_do_not(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("compare", "maple_btc", "--after", "60", "--json")
    cured = {}
    for borrower in ("none", "top-up", "repay", "absent"):
        out = escrow(capsys, *asked, "--borrower", borrower)[1]
        cured[borrower] = json.loads(out)["products"][0]["cured"]
    assert cured == {"none": False, "top-up": True, "repay": True, "absent": False}


def test_on_chain_agrees_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("compare", "strike", "nexo", "--from", "2020-03-12", "--to", "2020-03-12")
    status, out, _ = escrow(capsys, *asked, "--on-chain", "strike")
    assert status == 0
    assert "strike on both chains, compared: principal, margin_call_at" in out
    assert "CONTRACT  call, cure time: 1 d" in out
    assert "POLICY  call" not in out
    assert "No difference." in out
    assert "Laws broken: none." in out
    shown = json.loads(escrow(capsys, *asked, "--on-chain", "nexo", "--json")[1])["on_chain"]
    assert shown["product"] == "nexo"
    assert shown["differences"] == []
    assert shown["stated"]
    assert shown["refusals"] == []
    [sale] = [each for each in shown["rules"] if each["rule"] == "sale"]
    assert sale["enforced_by"] == "contract"
    [call] = [each for each in shown["rules"] if each["rule"] == "call"]
    assert call["enforced_by"] == "lender's policy"


def test_on_chain_that_differs_ends_with_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    # 90.9105 %: above 90.909, where Liquity liquidates, and below 90.92, where the contract does.
    rows = "1600000000,20000,20000,20000,20000\n1600003600,{0},{0},{0},{0}\n".format("19997.80")
    (tmp_path / "p.csv").write_text(f"unix,open,high,low,close\n{rows}", encoding="utf-8")
    asked = ("compare", "liquity_v2_weth", "--prices", str(tmp_path / "p.csv"))
    status, out, _ = escrow(capsys, *asked, "--on-chain", "liquity_v2_weth")
    assert status == 1
    assert "DIFFERS  liquidated_at: 1600003600 in the core, None on the chains" in out
    refusal = "the contract refused what the product does, liquidate/healthy"
    assert f"REFUSED  2020-09-13 13:26: {refusal}" in out


def test_a_chart_is_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "chart.svg"
    assert escrow(capsys, "compare", "strike", "--plot", str(file))[0] == 0
    assert file.read_bytes().startswith(b"<?xml")
    assert escrow(capsys, "compare", "strike", "--plot", str(file), "--force")[0] == 0


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("products", "nobody"), "product/unknown"),
        (("products", "no/where.toml"), "product/missing-file"),
        (("compare", "nobody"), "product/unknown"),
        (("compare", "strike", "strike"), "compare/twice"),
        (("compare", "--principal", "0"), "input/amount"),
        (("compare", "--principal", "1e3"), "input/amount"),
        (("compare", "--prices", "nowhere.csv"), "prices/missing-file"),
        (("compare", "--prices", "x.csv", "--seed", "1"), "input/seed"),
        (("compare", "--seed", "-1"), "input/seed"),
        (("compare", "--hours", "5"), "input/seed"),
        (("compare", "--seed", "1", "--hours", "0"), "input/amount"),
        (("compare", "--from", "yesterday"), "input/time"),
        (("compare", "--from", "2021-01-01"), "prices/empty"),
        (("compare", "--borrower", "lazy"), "scenario/value"),
        (("compare", "--after", "-1"), "input/time"),
        (("compare", "--json", "--csv"), "compare/write"),
        (("compare", "--plot", "x.pdf"), "compare/write"),
        (("compare", "strike", "--on-chain", "nexo"), "product/unknown"),
        (("compare", "crvusd", "--on-chain", "crvusd"), "compare/on-chain"),
        (("compare", "strike", "--on-chain", "strike", "--borrower", "repay"), "compare/on-chain"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], code: str
) -> None:
    status, out, err = escrow(capsys, *argv)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {code}: ")
    assert err.count("\n") == 1
