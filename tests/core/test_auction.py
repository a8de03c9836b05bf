"""Coins are sold at a price that falls until somebody takes them."""

import pytest
from deals import (
    AT_CALL,
    AT_INITIAL,
    AT_LIQUIDATION,
    AUCTION,
    NOW,
    ONE,
    OWED,
    STAGES,
    TERMS,
    active,
    called,
    code_of,
    kept_fresh,
    liquidating,
    names,
    play,
    priced,
    refuses,
    stale,
)

from escrow.core.decide import decide
from escrow.core.due import RealiseCollateral, RedoAuction, due, owed_by, wakes
from escrow.core.phases import loan_phase
from escrow.core.regions.loan import Liquidating, Reason
from escrow.core.regions.token import TokensFreed
from escrow.core.roles import Role
from escrow.core.sales import auction_price
from escrow.core.terms import Liquidation
from escrow.core.units import HOUR, Bps, Cents, PriceE8, Sats, Seconds
from escrow.core.verbs.auction import Redo, Take
from escrow.core.verbs.expire_call import ExpireCall
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.tick import Tick

AT = Seconds(NOW + 60)
DEFAULT_AT = Seconds(TERMS.maturity + TERMS.grace)
TAIL = AUCTION["tail"]
TENTH = Sats(ONE // 10)


def breached(price: int = AT_LIQUIDATION, **terms: object):
    """At the liquidation level: nobody marked an auction, and it runs."""
    return priced(active(**AUCTION | terms), PriceE8(price), at=AT)


def foreclosed(**terms: object):
    """The call expired: the auction runs from then."""
    return liquidating(**AUCTION | terms)


def sooner(escrow, seconds: int):
    """So much later, at the same price, signed again where the old one would be stale."""
    price, end = escrow.system.price, Seconds(escrow.system.clock + seconds)
    assert price is not None
    return kept_fresh(escrow, until=end, price=price.price)


@pytest.mark.parametrize("by", Role)
def test_anyone_but_the_borrower_takes(by: Role) -> None:
    expected = "liquidate/self" if by is Role.BORROWER else ""
    assert code_of(breached(), Take(by, AT, TENTH)) == expected


@pytest.mark.parametrize("by", Role)
def test_anyone_begins_an_auction(by: Role) -> None:
    assert code_of(breached(), Redo(by, AT)) == ""


@pytest.mark.parametrize("ask", [Take(Role.LIQUIDATOR, AT, TENTH), Redo(Role.OPERATOR, AT)])
def test_only_where_the_terms_chose_it(ask) -> None:
    escrow = priced(active(), AT_LIQUIDATION, at=AT)
    refuses(escrow, ask, "liquidate/kind", asked="AUCTION", terms="TAKE_OVER")


@pytest.mark.parametrize("verb", [Take, Redo])
# The builders of these two choose another kind of liquidation.
@pytest.mark.parametrize("stage", sorted(STAGES.keys() - {"SEIZED", "RECOVERED"}))
def test_where_there_is_debt_and_a_breach(stage: str, verb) -> None:
    escrow = STAGES[stage](**({} if stage == "DRAFT" else AUCTION))
    escrow = priced(escrow, AT_LIQUIDATION, at=Seconds(escrow.system.clock + 1))
    at = escrow.system.clock
    ask = Take(Role.LIQUIDATOR, at, TENTH) if verb is Take else Redo(Role.OPERATOR, at)
    if stage in ("DRAFT", "OFFERED", "ACCEPTED"):
        expected = "loan/unknown"
    elif stage == "LIQUIDATING":
        expected = "" if verb is Take else "auction/running"
    elif stage in ("ACTIVE", "MARGIN_CALL"):
        expected = ""
    else:
        expected = "liquidate/not-live"
    assert code_of(escrow, ask) == expected


@pytest.mark.parametrize("verb", [Take(Role.LIQUIDATOR, AT, TENTH), Redo(Role.OPERATOR, AT)])
@pytest.mark.parametrize(("price", "code"), [(0, ""), (1, "liquidate/healthy")])
def test_the_level_is_exact(price: int, code: str, verb) -> None:
    assert code_of(breached(AT_LIQUIDATION + price), verb) == code


def test_not_on_a_stale_price() -> None:
    dark = stale(breached())
    at = dark.system.clock
    assert code_of(dark, Take(Role.LIQUIDATOR, at, TENTH)) == "price/stale"
    assert code_of(dark, Redo(Role.OPERATOR, at)) == "price/stale"


# --- since when the price falls


def taken(escrow, want: int = TENTH):
    """What a taker pays for 1 BTC at the clock, off what it paid for a tenth."""
    done, _ = decide(escrow, Take(Role.LIQUIDATOR, escrow.system.clock, Sats(want)))
    return done


def test_a_breach_starts_with_the_price_that_shows_it() -> None:
    escrow = play(breached(), Tick(Role.WATCHER, Seconds(AT + 90)))
    done = taken(escrow)
    assert done.since == AT
    assert done.reason is Reason.LEVEL
    asked = auction_price(escrow.loan.terms, price=AT_LIQUIDATION, elapsed=Seconds(90))
    assert asked == AT_LIQUIDATION * 12 // 10 * 99 // 100
    assert done.split.repaid == 356_400


def test_an_expired_call_starts_when_it_expired() -> None:
    escrow = foreclosed()
    begun = escrow.loan.since
    later = sooner(escrow, HOUR)
    done = taken(later)
    assert done.since == begun
    assert done.reason is Reason.CALL_EXPIRED


def test_a_default_starts_after_the_grace() -> None:
    at = Seconds(DEFAULT_AT + 1)
    escrow = priced(active(**AUCTION), AT_INITIAL, at=at)
    done = taken(escrow)
    assert (done.reason, done.restored) == (Reason.DEFAULT, True)
    asked = auction_price(escrow.loan.terms, price=AT_INITIAL, elapsed=Seconds(1))
    assert done.split.repaid == asked * TENTH // 10**14


@pytest.mark.parametrize(("late", "code"), [(TAIL, ""), (TAIL + 1, "auction/stale")])
def test_after_its_tail_it_is_over(late: int, code: str) -> None:
    escrow = sooner(play(breached(), Redo(Role.OPERATOR, AT)), late)
    assert code_of(escrow, Take(Role.LIQUIDATOR, Seconds(AT + late), TENTH)) == code


@pytest.mark.parametrize(("late", "code"), [(TAIL, "auction/running"), (TAIL + 1, "")])
def test_it_is_begun_anew_only_when_it_is_over(late: int, code: str) -> None:
    escrow = sooner(play(breached(), Redo(Role.OPERATOR, AT)), late)
    assert code_of(escrow, Redo(Role.OPERATOR, Seconds(AT + late))) == code


@pytest.mark.parametrize(("late", "code"), [(89, ""), (90, "auction/stale")])
def test_below_its_cusp_it_is_over(late: int, code: str) -> None:
    escrow = breached(cusp_bps=Bps(10_000))
    assert code_of(escrow, Take(Role.LIQUIDATOR, Seconds(AT + late), TENTH)) == code


def test_begun_anew_its_price_starts_from_the_top() -> None:
    over = sooner(play(breached(), Redo(Role.OPERATOR, AT)), TAIL + 1)
    again = play(over, Redo(Role.STRANGER, over.system.clock, "0xaa"))
    assert isinstance(again.loan, Liquidating)
    assert again.loan.since == over.system.clock
    assert taken(again).split.repaid == 360_000


# --- what is taken


def test_a_part_leaves_an_auction_that_goes_on() -> None:
    before = breached()
    ask = Take(Role.LIQUIDATOR, AT, TENTH, tx="0xaa")
    done, freed = decide(before, ask)
    assert names((done, freed)) == ["Liquidated", "TokensFreed"]
    assert freed == TokensFreed(AT, seized=TENTH, released=Sats(0))
    # 36,000 a coin at first: 3,600.00 for a tenth.
    assert (done.split.repaid, done.split.left) == (360_000, OWED - 360_000)
    after = play(before, ask)
    assert loan_phase(after) == "LIQUIDATING"
    assert (after.loan.since, after.loan.debt.principal) == (AT, OWED - 360_000)
    assert after.token.held == ONE - TENTH


def test_what_restores_the_loan_ends_the_auction() -> None:
    after = play(breached(), Take(Role.LIQUIDATOR, AT, Sats(6 * TENTH)))
    assert loan_phase(after) == "ACTIVE"
    assert after.loan.debt.principal == OWED - 6 * 360_000


def test_all_that_the_debt_needs_closes_the_loan() -> None:
    done, freed = decide(breached(), Take(Role.LIQUIDATOR, AT, ONE))
    # 24,000.00 at 36,000 a coin is two thirds of it.
    assert (done.split.seized, done.split.surplus) == (66_666_666, 33_333_334)
    assert freed.released == 33_333_334
    after = play(breached(), Take(Role.LIQUIDATOR, AT, ONE))
    assert after.loan.split.left == 0


def test_the_last_coin_leaves_bad_debt_by_name() -> None:
    escrow = breached(AT_LIQUIDATION // 2)
    done, _ = decide(escrow, Take(Role.LIQUIDATOR, AT, ONE))
    assert (done.split.repaid, done.split.bad_debt) == (1_800_000, 600_000)
    after = play(escrow, Take(Role.LIQUIDATOR, AT, ONE))
    assert after.loan.debt.bad_debt == 600_000


def test_only_full_repayment_stops_it() -> None:
    running = play(breached(), Redo(Role.OPERATOR, AT))
    part = play(running, Repay(Role.BORROWER, AT, Cents(1)))
    assert loan_phase(part) == "LIQUIDATING"
    assert loan_phase(play(part, Repay(Role.STRANGER, AT, OWED))) == "REPAID"


@pytest.mark.parametrize(("most", "code"), [(0, ""), (-1, "liquidate/slippage")])
def test_a_taker_says_what_it_pays_at_most(most: int, code: str) -> None:
    price = PriceE8(AT_LIQUIDATION * 12 // 10 + most)
    assert code_of(breached(), Take(Role.LIQUIDATOR, AT, TENTH, price)) == code


# --- how much may be in auctions


@pytest.mark.parametrize(("room", "code"), [(OWED, ""), (OWED - 1, "auction/cap")])
def test_no_more_debt_goes_to_auction_than_there_is_room(room: int, code: str) -> None:
    assert code_of(breached(), Redo(Role.OPERATOR, AT, room=Cents(room))) == code
    escrow = called(**AUCTION)
    late = Seconds(AT + TERMS.cure + 1)
    escrow = kept_fresh(escrow, until=late)
    assert code_of(escrow, ExpireCall(Role.OPERATOR, late, room=Cents(room))) == code


def test_other_kinds_of_sale_need_no_room() -> None:
    late = Seconds(AT + TERMS.cure + 1)
    escrow = kept_fresh(called(), until=late)
    assert code_of(escrow, ExpireCall(Role.OPERATOR, late, room=Cents(0))) == ""


@pytest.mark.parametrize(("room", "code"), [(OWED - 360_000, ""), (OWED - 360_001, "auction/cap")])
def test_a_part_taken_first_leaves_the_rest_in_auction(room: int, code: str) -> None:
    ask = Take(Role.LIQUIDATOR, AT, TENTH, room=Cents(room))
    assert code_of(breached(), ask) == code


def test_what_ends_at_once_needs_no_room() -> None:
    for want in (ONE, Sats(6 * TENTH)):
        assert code_of(breached(), Take(Role.LIQUIDATOR, AT, want, room=Cents(0))) == ""


def test_an_auction_that_runs_has_its_room() -> None:
    running = play(breached(), Redo(Role.OPERATOR, AT))
    assert code_of(running, Take(Role.LIQUIDATOR, AT, TENTH, room=Cents(0))) == ""
    over = sooner(running, TAIL + 1)
    assert code_of(over, Redo(Role.OPERATOR, over.system.clock, room=Cents(0))) == ""


# --- who owes what


def test_coins_are_to_be_taken_or_the_auction_begun_anew() -> None:
    running = play(breached(), Redo(Role.OPERATOR, AT))
    assert RealiseCollateral(Liquidation.AUCTION) in due(running)
    assert owed_by(RealiseCollateral(Liquidation.AUCTION)) is Role.LIQUIDATOR
    assert AT + TAIL + 1 in wakes(running)
    at_the_end = sooner(running, TAIL)
    assert RealiseCollateral(Liquidation.AUCTION) in due(at_the_end)
    over = sooner(running, TAIL + 1)
    anew = RedoAuction(AT)
    assert anew in due(over)
    assert owed_by(anew) is Role.OPERATOR
    assert anew.id == f"redo/{AT}"
    assert RealiseCollateral(Liquidation.AUCTION) not in due(over)


def test_a_call_price_needs_no_auction() -> None:
    escrow = priced(active(**AUCTION), AT_CALL, at=AT)
    assert AT + TAIL + 1 not in wakes(escrow)
    assert all(not isinstance(each, RealiseCollateral | RedoAuction) for each in due(escrow))


def test_a_take_that_was_seen_to_end_the_loan_does() -> None:
    """Of an event is known what was taken, not what was wanted: a sat less costs the same."""
    escrow = breached()
    whole = decide(escrow, Take(Role.LIQUIDATOR, AT, ONE))[0].split
    less = Sats(whole.seized - 1)
    seen = decide(escrow, Take(Role.LIQUIDATOR, AT, less, over=True))[0].split
    assert seen == decide(escrow, Take(Role.LIQUIDATOR, AT, less))[0].split
    assert (seen.repaid, seen.surplus) == (whole.repaid, whole.surplus + 1)


@pytest.mark.parametrize("stage", [breached, foreclosed], ids=["unmarked", "marked"])
def test_it_is_looked_at_when_it_is_stale(stage) -> None:
    """Also one that nobody marked: it runs from the price that breached the level."""
    escrow = stage(tail=Seconds(1_800), step=Seconds(90))
    since = AT if stage is breached else escrow.loan.since
    assert since + 1_801 in wakes(escrow)
    for moment, is_due in ((1_800, False), (1_801, True)):
        late = play(escrow, Tick(Role.WATCHER, Seconds(since + moment)))
        assert any(isinstance(each, RedoAuction) for each in due(late)) is is_due
