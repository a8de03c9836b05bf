"""Product files: what is taken, and what is refused, by name and with its line."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from products_lab import PLAIN, A, D, changed, line_of, product

from escrow.core.errors import BadInput
from escrow.core.units import DAY, HOUR
from escrow.page import lines_of
from escrow.products.level import Level
from escrow.products.model import (
    Basis,
    Call,
    CureBy,
    DutchAuction,
    Lapse,
    MarketSale,
    PartialSale,
    Pays,
    PriceRule,
    Repayment,
    SoftBands,
    TakeOver,
    ThirdParty,
)
from escrow.products.read import load_product, read_product, shipped
from escrow.provenance import Parameter, Status
from escrow.tables import MAX_FILE


def refusal(text: str | bytes) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read_product(text)
    return caught.value


def test_every_term_of_a_product_is_read() -> None:
    found = product()
    assert (found.id, found.title, found.in_words) == (
        "plain",
        "A plain loan",
        "Nothing of it is real.",
    )
    assert (found.basis, found.initial, found.restore) == (
        Basis.DEBT,
        Fraction(1, 2),
        Fraction(3, 5),
    )
    assert (found.cure_by, found.lapse) == (CureBy.BOTH, Lapse.WHILE_REACHED)
    assert found.notices == (Level(Fraction(13, 20)),)
    assert found.calls == (Call(Level(Fraction(7, 10)), DAY, 0),)
    assert found.immediate == Level(Fraction(17, 20))
    assert found.liquidation == MarketSale(0)
    assert found.price == PriceRule(3, 2, HOUR, 150, 2)
    assert found.repayment == Repayment(Pays.AT_END, 0, 0, 365 * DAY, None, 10 * DAY)
    assert (found.confirmations, found.least, found.most) == (2, None, None)


def test_provenance_of_every_term_is_kept_with_its_line() -> None:
    found = product(
        immediate='{ bps = 8500, comparator = "above", comparator_status = "assumed", '
        f'comparator_source = "not said", {D} }}'
    )
    text = changed()
    # 23 terms, the comparator that has a provenance of its own, and what is assumed unsaid.
    assert len(found.parameters) == 25
    restore = line_of(text, "restore =")
    assert (
        Parameter("levels.restore", "6000 bps", Status.DISCLOSED, "the test", restore)
        in found.parameters
    )
    assert {each.name for each in found.assumed} == {
        "levels.cure_by",
        "levels.lapse",
        "levels.immediate.comparator",
        "repayment.late",
    }


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (f'kind = {{ value = "take-over", {D} }}\nbonus = {{ bps = 500, {D} }}', TakeOver(500)),
        (
            f'kind = {{ value = "partial", {D} }}\ntarget = {{ ctp_percent = 200, {D} }}\n'
            f'fee = {{ bps = 99, {D} }}\nfull_below = {{ amount = "10000.00", {D} }}',
            PartialSale(5_000, 99, 1_000_000),
        ),
        (
            f'kind = {{ value = "third-party", {D} }}\nbonus = {{ bps = 500, {D} }}\n'
            f"close = {{ bps = 5000, {D} }}\n"
            f'full_at = {{ health_factor = "0.95", threshold_bps = 7600, {D} }}\n'
            f'full_below = {{ amount = "2000", {D} }}\nmin_left = {{ amount = "1000.00", {D} }}',
            ThirdParty(500, 5_000, Fraction(4, 5), 200_000, 100_000),
        ),
        (
            f'kind = {{ value = "auction", {D} }}\nbuf = {{ bps = 12000, {D} }}\n'
            f"cut = {{ bps = 9900, {D} }}\nstep = {{ seconds = 90, {D} }}\n"
            f"tail = {{ hours = 2, {D} }}\ncusp = {{ bps = 4000, {D} }}\nfee = {{ bps = 0, {D} }}",
            DutchAuction(12_000, 9_900, 90, 7_200, 4_000, 0),
        ),
    ],
)
def test_every_way_to_liquidate_is_read(lines: str, kind: object) -> None:
    text = changed(liquidation__kind=None, liquidation__fee=None)
    text = text.replace("[liquidation]", f"[liquidation]\n{lines}")
    assert read_product(text).liquidation == kind


BANDS = f"""kind = {{ value = "bands", {D} }}
count = {{ count = 10, {D} }}
steepness = {{ count = 100, {D} }}
fee = {{ bps = 60, {D} }}
stride = {{ bps = 25, {D} }}
loan_discount = {{ bps = 900, {D} }}
liquidation_discount = {{ bps = 600, {D} }}"""


def banded(*, pays: str = "open", initial: int = 5_000, keep_levels: bool = False) -> str:
    text = changed(
        liquidation__kind=None,
        liquidation__fee=None,
        pays=f'{{ value = "{pays}", {D} }}',
        initial=f"{{ bps = {initial}, {D} }}",
        **({"term": None} if pays == "open" else {}),
    )
    text = text.replace("[liquidation]", f"[liquidation]\n{BANDS}")
    if keep_levels:
        return text
    kept = [
        line for line in text.split("\n") if not line.startswith(("immediate", "restore", "cure"))
    ]
    kept = [line for line in kept if not line.startswith("lapse")]
    text = "\n".join(kept)
    start, end = text.index("[[notice]]"), text.index("[liquidation]")
    return text[:start] + text[end:]


def test_bands_are_read_and_go_with_neither_levels_nor_a_term() -> None:
    assert read_product(banded()).liquidation == SoftBands(10, 100, 60, 25, 900, 600)
    assert refusal(banded(pays="at-end")).code == "product/liquidation"
    assert refusal(banded(keep_levels=True)).code == "product/ladder"
    # Ten bands with this discount come to 86.6 %.
    assert read_product(banded(initial=8_657)).initial == Fraction(8_657, 10_000)
    assert refusal(banded(initial=8_658)).facts["at"] == "levels.initial"


def test_a_call_may_have_no_deadline_and_says_so() -> None:
    assert product(cure=f'{{ value = "none", {A} }}').calls[0].cure is None
    error = refusal(changed(cure=f'{{ value = "never", {A} }}'))
    assert (error.code, error.facts["at"]) == ("product/value", "call[1].cure")


def test_a_rate_below_zero_only_where_the_product_allows_it() -> None:
    error = refusal(changed(rate=f"{{ bps = -1, {D} }}"))
    assert error.code == "product/rate"
    assert error.facts == {
        "at": "repayment.rate",
        "line": line_of(changed(), "rate ="),
        "rate_bps": -1,
    }
    allowed = changed(rate=f"{{ bps = -50, {D} }}\nnegative = {{ value = true, {D} }}")
    assert read_product(allowed).repayment.rate_bps == -50
    denied = changed(rate=f"{{ bps = -50, {D} }}\nnegative = {{ value = false, {D} }}")
    assert refusal(denied).code == "product/rate"
    odd = changed(rate=f"{{ bps = 0, {D} }}\nnegative = {{ value = 1, {D} }}")
    assert refusal(odd).facts["at"] == "repayment.negative"


def below_zero(bps: int, pays: str = "at-end") -> str:
    rate = f"{{ bps = {bps}, {D} }}\nnegative = {{ value = true, {D} }}"
    return changed(rate=rate, pays=f'{{ value = "{pays}", {D} }}')


@pytest.mark.parametrize("pays", ["at-end", "full-term"])
def test_a_rate_below_zero_leaves_something_of_the_principal(pays: str) -> None:
    read_product(below_zero(-9_999, pays))
    error = refusal(below_zero(-10_000, pays))
    assert (error.code, error.facts["at"]) == ("product/rate", "repayment.rate")
    # Of what is paid each day, a day's interest is all.
    daily = f'{{ value = "every", {D} }}\nevery = {{ days = 1, {D} }}'
    read_product(below_zero(-10_000).replace(f'{{ value = "at-end", {D} }}', daily))


def test_schedules_that_never_end() -> None:
    assert refusal(changed(term=None)).code == "product/endless"
    every = changed(pays=f'{{ value = "every", {D} }}\nevery = {{ days = 0, {D} }}')
    error = refusal(every)
    assert (error.code, error.facts["at"]) == ("product/endless", "repayment.every")
    monthly = changed(pays=f'{{ value = "every", {D} }}\nevery = {{ days = 30, {D} }}')
    assert read_product(monthly).repayment.every == 30 * DAY
    # As many payments as a plan of the calendar may have: 1,200 in a year of 365 days.
    many = monthly.replace("days = 30", f"seconds = {365 * DAY // 1_200}")
    assert read_product(many).repayment.every == 26_280
    error = refusal(monthly.replace("days = 30", "seconds = 26279"))
    assert (error.code, error.facts["at"]) == ("product/endless", "repayment.every")
    assert refusal(changed(pays=f'{{ value = "open", {D} }}')).code == "product/unknown-key"


CALL = f"""
[[call]]
level = {{ bps = LEVEL, comparator = "at-or-above", {D} }}
cure = {{ hours = HOURS, {D} }}
"""


def twice(level: int, hours: int) -> str:
    second = CALL.replace("LEVEL", str(level)).replace("HOURS", str(hours))
    return changed().replace("\n[liquidation]", f"{second}\n[liquidation]")


LADDERS = [
    (changed(initial=f"{{ bps = 7000, {D} }}"), "call[1].level"),
    (changed(restore=f"{{ bps = 7000, {D} }}"), "call[1].level"),
    (changed(immediate=f'{{ bps = 7000, comparator = "above", {D} }}'), "levels.immediate"),
    (changed(notice__level=f'{{ bps = 5000, comparator = "above", {D} }}'), "notice[1].level"),
    (changed(notice__level=f'{{ bps = 8500, comparator = "above", {D} }}'), "notice[1].level"),
    (changed(initial=f"{{ bps = 10001, {D} }}"), "levels.initial"),
    (twice(7_000, 4), "call[2].level"),
    (twice(8_500, 4), "levels.immediate"),
    (twice(7_500, 25), "call[2].cure"),
    (twice(7_500, 1).replace("hours = 24", "hours = 0"), "call[2].cure"),
]


@pytest.mark.parametrize(("text", "at"), LADDERS)
def test_contradictory_ladders(text: str, at: str) -> None:
    error = refusal(text)
    assert (error.code, error.facts["at"]) == ("product/ladder", at)
    key = at.rpartition(".")[2]
    assert text.split("\n")[int(error.facts["line"]) - 1].startswith(key)


@pytest.mark.parametrize(
    "text",
    [
        changed(initial=f"{{ bps = 6000, {D} }}"),
        changed(restore=f"{{ bps = 6999, {D} }}"),
        changed(immediate=f'{{ bps = 7001, comparator = "above", {D} }}'),
        changed(notice__level=f'{{ bps = 8499, comparator = "above", {D} }}'),
        twice(7_001, 24),
    ],
)
def test_ladders_that_just_do_not_contradict_themselves(text: str) -> None:
    read_product(text)


def test_without_a_term_something_must_lead_to_a_sale() -> None:
    """A loan that ends neither by time nor by price would say how it is liquidated for nothing."""
    text = changed(pays=f'{{ value = "open", {D} }}', term=None)
    called = "\n".join(each for each in text.split("\n") if not each.startswith("immediate"))
    read_product(text)
    read_product(called)
    warned = called.replace(f"cure = {{ hours = 24, {D} }}", f'cure = {{ value = "none", {D} }}')
    error = refusal(warned)
    assert (error.code, error.facts["at"]) == ("product/ladder", "liquidation.kind")


def sale(*lines: str) -> str:
    text = changed(liquidation__kind=None, liquidation__fee=None)
    return text.replace("[liquidation]", "[liquidation]\n" + "\n".join(lines))


def partial(target: int, fee: int) -> str:
    kind, bps = f'kind = {{ value = "partial", {D} }}', f"target = {{ bps = {target}, {D} }}"
    return sale(kind, bps, f"fee = {{ bps = {fee}, {D} }}")


def auction(tail: int, cusp: int) -> str:
    return sale(
        f'kind = {{ value = "auction", {D} }}',
        f"buf = {{ bps = 12000, {D} }}",
        f"cut = {{ bps = 9900, {D} }}",
        f"step = {{ seconds = 90, {D} }}",
        f"tail = {{ seconds = {tail}, {D} }}",
        f"cusp = {{ bps = {cusp}, {D} }}",
        f"fee = {{ bps = 0, {D} }}",
    )


def third_party(close: int) -> str:
    kind = f'kind = {{ value = "third-party", {D} }}'
    return sale(kind, f"bonus = {{ bps = 500, {D} }}", f"close = {{ bps = {close}, {D} }}")


def test_a_close_factor_of_percent_is_none_of_bps() -> None:
    read_product(third_party(101))
    error = refusal(third_party(50))
    assert (error.code, error.facts["at"]) == ("product/unit", "liquidation.close")
    assert error.facts["reason"] == "percent for bps"


def test_sales_that_cannot_reach_their_end() -> None:
    read_product(partial(6_999, 99))
    assert refusal(partial(7_000, 99)).code == "product/liquidation"
    read_product(partial(6_000, 3_999))
    assert refusal(partial(6_000, 4_000)).code == "product/liquidation"
    # The price is back at the market's after 19 steps, at 0.826 of the first.
    read_product(auction(19 * 90, 4_000))
    assert refusal(auction(19 * 90 - 1, 4_000)).facts["steps"] == 19
    read_product(auction(7_200, 8_261))
    assert refusal(auction(7_200, 8_263)).code == "product/liquidation"


def term(body: str) -> str:
    return f"{{ {body}, {D} }}"


ABOVE = 'comparator = "above"'
RESTORES = [
    (term("percent = 60"), "product/unit"),
    (term("bps = 60"), "product/unit"),
    (term("bps = 60.0"), "product/value"),
    (term("bps = true"), "product/value"),
    (term("bps = -6000"), "product/value"),
    (term("bps = 6000, ctp_percent = 150"), "product/unit"),
    (f"{{ {D} }}", "product/unit"),
    (term("ctp_percent = 150.0"), "product/value"),
    (term("ctp_percent = 0"), "product/value"),
    (term('ctp_percent = "1e2"'), "product/value"),
    (term("health_factor = 1"), "product/unit"),
    (term("bps = 6000, threshold_bps = 8000"), "product/unit"),
    (term(f"bps = 6000, {ABOVE}"), "product/unknown-key"),
    ('{ bps = 6000, stauts = "assumed", source = "x" }', "product/unknown-key"),
    ('{ bps = 6000, status = "reported", source = "x" }', "product/provenance"),
    ("6000", "product/provenance"),
    ("{ bps = 6000 }", "product/provenance"),
    ('{ bps = 6000, status = "known", source = "x" }', "product/provenance"),
    ('{ bps = 6000, status = "assumed" }', "product/provenance"),
    ('{ bps = 6000, status = "assumed", source = " " }', "product/provenance"),
    ('{ bps = 6000, status = "assumed", source = "a\\u001b[31m" }', "product/provenance"),
    (None, "product/missing-key"),
]
IMMEDIATES = [
    (term("bps = 8500"), "product/value"),
    (term('bps = 8500, comparator = "below"'), "product/value"),
    (term('bps = 8500, comparator = ["above"]'), "product/value"),
    (term(f'bps = 8500, {ABOVE}, comparator_status = "assumed"'), "product/provenance"),
]
BARE, HALVES = "amount = 100", 'amount = "1.5"'
TWO, LESS = 'amount = "2.00"', 'amount = "1.99"'
OTHERS = [
    (changed(rate=term("percent = 12")), "product/unit", "repayment.rate"),
    (changed(rate=term("bps = 12.5")), "product/value", "repayment.rate"),
    (changed(cure=term("count = 24")), "product/unit", "call[1].cure"),
    (changed(cure=term("days = 31")), "product/value", "call[1].cure"),
    (changed(cure=None), "product/missing-key", "call[1].cure"),
    (changed(basis=term('value = "all"')), "product/value", "levels.basis"),
    (changed(initial=None), "product/missing-key", "levels.initial"),
    (changed(id='"Plain"'), "product/value", "product.id"),
    (changed(title="7"), "product/value", "product.title"),
    (changed(price__quorum=term("count = 1")), "product/value", "price.quorum"),
    (changed(price__quorum=term("count = 4")), "product/value", "price.quorum"),
    (changed(price__to_call=term("count = 3")), "product/value", "price.quorum"),
    (changed() + f"[size]\nleast = {term(BARE)}", "product/value", "size.least"),
    (changed() + f"[size]\nleast = {term(HALVES)}", "product/value", "size.least"),
    (
        changed() + f"[size]\nleast = {term(TWO)}\nmost = {term(LESS)}",
        "product/value",
        "size.least",
    ),
    (changed() + "[custodian]\nname = 1", "product/unknown-key", "custodian"),
    (changed(term=term("days = 365") + "\nyears = 1"), "product/unknown-key", "repayment.years"),
]
BAD = [
    *((changed(restore=value), code, "levels.restore") for value, code in RESTORES),
    *((changed(immediate=value), code, "levels.immediate") for value, code in IMMEDIATES),
    *OTHERS,
]


@pytest.mark.parametrize(("text", "code", "at"), BAD)
def test_bad_terms_are_refused_by_name_and_line(text: str, code: str, at: str) -> None:
    error = refusal(text)
    assert (error.code, str(error.facts["at"])[: len(at)]) == (code, at)
    line = text.split("\n")[int(error.facts["line"]) - 1]
    key = at.rpartition(".")[2]
    # A key that is not there is told by the line of its table.
    assert line.startswith((key, "[")), line


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"\xff", "not UTF-8"),
        ("[product", "Expected"),
        ("a = 2020-13-01", ""),
        ("x" * (MAX_FILE + 1), "too large"),
        ("[" * 2_001, "too many brackets"),
        ("a" + ".a" * 201 + " = 1", "too many dots in a line"),
    ],
)
def test_what_is_no_toml(text: str | bytes, reason: str) -> None:
    error = refusal(text)
    assert error.code == "product/format"
    assert reason in str(error.facts["reason"])


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("product = 1", "product"),
        ("[call]\nlevel = 1", "call"),
        ("call = [1]", "call"),
        ("[[notice]]\n" * 9, "notice[9]"),
    ],
)
def test_tables_where_tables_must_be(text: str, at: str) -> None:
    error = refusal(text)
    assert error.code in ("product/value", "product/missing-key")


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(changed(), encoding="utf-8")
    assert load_product(str(file)) == product()
    file.write_text(changed(restore="1"), encoding="utf-8")
    with pytest.raises(BadInput, match="product/provenance") as caught:
        load_product(str(file))
    assert caught.value.facts["file"] == "mine.toml"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("nobody", "product/unknown"),
        ("nowhere.toml", "product/missing-file"),
        ("a\0b", "product/missing-file"),
        (".", "product/missing-file"),
    ],
)
def test_a_product_that_is_not_there(name: str, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        load_product(name)
    assert caught.value.code == code
    assert caught.value.facts.get("known", "strike").count("strike") == 1


def test_lines_are_found_past_strings_of_several_lines() -> None:
    text = 'a = """\nb = 1\n[c]\n"""\n[d]\ne = 1\n[[f]]\ng = 1\n[[f]]\n  g = 2\n'
    assert lines_of(text) == {
        "a": 1, "d": 5, "d.e": 6, "f": 7, "f[1]": 7, "f[1].g": 8, "f[2]": 9, "f[2].g": 10,
    }  # fmt: skip


def test_lines_are_found_however_toml_writes_a_key() -> None:
    text = "a.b = 1\n[c . 'd']\n\"e\" = 1\n[[f]]\n[f.g]\nh = 1\n[[f]]\n[f.g]\n"
    assert lines_of(text) == {
        "a": 1, "a.b": 1, "c.d": 2, "c.d.e": 3, "f": 4, "f[1]": 4, "f[1].g": 5, "f[1].g.h": 6,
        "f[2]": 7, "f[2].g": 8,
    }  # fmt: skip


@pytest.mark.parametrize(
    "lines",
    [
        f'"initial" = {{ bps = 50, {D} }}',
        "initial.bps = 50\ninitial.status = 'assumed'\ninitial.source = 'x'",
        "[levels.initial]\nbps = 50\nstatus = 'assumed'\nsource = 'x'",
    ],
)
def test_the_line_of_a_key_that_is_written_otherwise(lines: str) -> None:
    text = changed(initial=None)
    # A table of its own comes after the other keys of the one that it is in.
    table, after = ("\n[[notice]]", True) if lines.startswith("[") else ("\n[levels]", False)
    text = text.replace(table, f"\n{lines}{table}" if after else f"{table}\n{lines}", 1)
    error = refusal(text)
    assert (error.code, error.facts["at"]) == ("product/unit", "levels.initial")
    assert error.facts["line"] == line_of(text, lines.split("\n", maxsplit=1)[0])


def test_a_refusal_shows_no_control_characters() -> None:
    error = refusal(changed() + '"\\u001b[31mx\\ny" = 1\n')
    assert "at=custody.?[31mx?y, line=" in str(error)


@given(st.data())
def test_no_line_may_be_lost_or_doubled(data: st.DataObject) -> None:
    """Whatever line of a product is taken out or written twice, what is read is refused, or has
    fewer terms; nothing else is raised."""
    lines = PLAIN.split("\n")
    place = data.draw(st.integers(0, len(lines) - 1))
    double = data.draw(st.booleans())
    text = "\n".join([*lines[:place], *([lines[place]] * 2 if double else []), *lines[place + 1 :]])
    try:
        found = read_product(text)
    except BadInput:
        return
    assert (
        lines[place].startswith(("[[notice]]", "immediate", "dwell", "level")) or not lines[place]
    )
    assert found.id == "plain"


def test_there_is_a_product_by_each_name() -> None:
    for name in shipped():
        assert load_product(name).id == name
