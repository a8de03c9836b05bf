"""What lender and borrower write each other: exactly these messages, with these numbers.

50,000.00 is owed without interest against 1.5 BTC. The call level is 70 %, the restore level 60 %:
a coin counts with 60 % of its price. At 46,000 that is 41,400.00, and 8,600.00 are missing.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from messages_lab import heads, last_place, letters, one, told_in, told_of, values

from escrow.core.errors import BadInput, Rejected
from escrow.core.laws import Step
from escrow.core.regions.vault import CoinSeen
from escrow.core.state import Escrow
from escrow.messages.fold import messages
from escrow.messages.words import NOTICE
from escrow.testing import load, platform, play

CALL = ["L MarginCallIssuance", "L 003"]
PLEDGE = ["B 007", "L 008"]
ANSWER = ["B MarginCallResponse", "B 004"]
RECALL = ["B MarginCallIssuance", "B 003", "L MarginCallResponse", "L 004"]
REPORT = ["L 016"]


def summary(body):
    [report] = body["CollateralReport"]
    found = report["ReportSummary"]
    return (
        found["ExposedAmountPartyA"]["Amount"],
        found["TotalValueOfCollateral"]["Amount"],
        found["NetExcessDeficitIndicator"],
        found["NetExcessDeficit"]["Amount"],
    )


def agreed(found):
    response = one(found, "colr.004")
    [amount] = values(response, "AgreedAmount")
    return response["ResponseDetails"]["Description"], amount["Amount"]


@pytest.fixture
def called(lent):
    """The price fell to 46,000 and the operator called."""
    world = lent()
    world.price("46000")
    assert world.loans[0].phase == "MARGIN_CALL"
    return world


def test_a_loan_begins_with_what_may_be_pledged_and_a_report(lent):
    found = letters(lent())
    assert heads(found) == ["L EligibleCollateralSpecification", *PLEDGE, *REPORT]
    [haircut] = values(found[0].body, "haircutPercentage")
    assert haircut == "0.4"
    assert summary(found[3].body) == ("50000.00", "72000.00", "LONG", "22000.00")


def test_a_coin_that_came_before_any_price_is_proposed_without_a_value(lent):
    [piece] = one(letters(lent()), "colr.007")["TypeAndDetails"]["CollateralProposal"][
        "CollateralProposalDetails"
    ]["VariationMargin"]["MovementDirection"][0]["CollateralMovementDirection"]["Deliver"][
        "OtherCollateral"
    ]
    assert piece["OtherTypeOfCollateral"]["Quantity"] == {"Unit": "1.50000000"}
    assert "MarketValue" not in piece


def test_a_call_asks_for_exactly_what_is_missing(called):
    before = 4
    found = letters(called)[before:]
    assert heads(found) == CALL
    assert found[0].body["callAmountInBaseCurrency"]["value"] == "8600.00"
    assert (found[0].body["regMarginType"], found[0].body["regIMRole"]) == ("RegIM", "Secured")
    request = one(found, "colr.003")
    assert request["MarginCallResult"]["MarginCallResult"]["MarginCallAmount"]["DueToPartyA"] == {
        "Currency": "XTS",
        "Amount": "8600.00",
    }
    assert "RequirementDetailsDueToB" not in request
    [identifier] = values(found[0].body, "callIdentifier")
    named = identifier["assignedIdentifier"][0]["identifier"]["value"]
    assert named == request["TransactionIdentification"]


def test_call_and_top_up_in_full(called):
    """0.5 BTC more count 13,800.00 at 46,000."""
    place, call = last_place(called), one(letters(called), "colr.003")
    called.top_up(btc="0.5")
    found = letters(called, after=place)
    assert heads(found) == [*PLEDGE, *ANSWER, *REPORT]
    assert agreed(found) == ("AgreeinFull", "8600.00")
    assert summary(found[-1].body) == ("50000.00", "55200.00", "LONG", "5200.00")
    [request] = values(one(found, "colr.004"), "MarginCallRequestIdentification")
    assert request == call["TransactionIdentification"]
    [action] = one(found, "MarginCallResponse")["marginCallResponseAction"]
    assert action["marginCallAction"] == "Delivery"
    [quantity] = values(action, "quantity")
    assert quantity[0]["value"]["value"] == "0.50000000"
    proposal, response = found[0].body, found[1].body
    [answered] = values(response, "CollateralProposalIdentification")
    assert answered == proposal["TransactionIdentification"]
    [proposed] = values(proposal, "MarginCallRequestIdentification")
    assert proposed == call["TransactionIdentification"]
    [kind] = values(response, "ResponseType")
    assert kind == "PACK"


def test_call_and_repayment_in_full(called):
    place = last_place(called)
    called.repay(amount="8600.00")
    found = letters(called, after=place)
    assert heads(found) == [*ANSWER, *REPORT]
    assert agreed(found) == ("AgreeinFull", "8600.00")
    [cash] = values(one(found, "MarginCallResponse"), "cashBalance")
    assert cash["value"] == "8600.00"
    assert summary(found[-1].body) == ("41400.00", "41400.00", "LONG", "0.00")


def test_a_part_is_a_partial_answer_and_the_call_stays_open(called):
    place = last_place(called)
    called.repay(amount="8599.99")
    found = letters(called, after=place)
    assert heads(found) == ANSWER
    assert agreed(found) == ("PartiallyAgree", "8599.99")
    place = last_place(called)
    called.repay(amount="0.01")
    found = letters(called, after=place)
    assert agreed(found) == ("AgreeinFull", "0.01")
    assert heads(found) == [*ANSWER, *REPORT]


def test_a_call_that_is_answered_by_repaying_everything(called):
    place = last_place(called)
    called.repay()
    found = letters(called, after=place)
    assert heads(found) == [*ANSWER, *RECALL, *REPORT]
    first = next(each for each in found if each.definition == "colr.004").body
    [amount] = values(first, "AgreedAmount")
    assert amount["Amount"] == "8600.00"


@pytest.mark.parametrize("payer", ["lender", "liquidator"])
def test_what_somebody_else_pays_is_no_answer_of_the_borrower(called, payer):
    place = last_place(called)
    called.repay(amount="600.00", by=payer)
    found = letters(called, after=place)
    assert heads(found) == REPORT
    assert summary(found[0].body) == ("49400.00", "41400.00", "SHOR", "8000.00")
    # And the borrower answers for what is left.
    place = last_place(called)
    called.repay(amount="8000.00")
    assert agreed(letters(called, after=place)) == ("AgreeinFull", "8000.00")


def test_a_better_price_ends_a_call_without_an_answer(called):
    place = last_place(called)
    called.price("60000")
    found = letters(called, after=place)
    assert heads(found) == REPORT
    assert summary(found[0].body) == ("50000.00", "54000.00", "LONG", "4000.00")
    place = last_place(called)
    called.top_up(btc="0.1")
    assert heads(letters(called, after=place)) == [*PLEDGE, *REPORT], "no call is open"


def test_a_dispute_that_is_upheld(called):
    place, call = last_place(called), one(letters(called), "colr.003")
    called.dispute()
    found = letters(called, after=place)
    assert heads(found) == [*ANSWER, "L 009"]
    assert agreed(found) == ("Dispute", "0.00")
    assert "marginCallResponseAction" not in one(found, "MarginCallResponse")
    details = one(found, "colr.009")["DisputeNotification"]["DisputeNotificationDetails"]
    details = details["VariationMarginDispute"]["DisputeDetails"]
    assert details["DisputedAmount"]["Amount"] == "8600.00"
    assert details["MarginCallRequestIdentification"] == call["TransactionIdentification"]
    place = last_place(called)
    called.resolve(upheld=True)
    found = letters(called, after=place)
    # The level is still breached, so the operator calls anew at once.
    assert heads(found) == [*REPORT, *CALL]
    assert one(found, "colr.003")["TransactionIdentification"] != call["TransactionIdentification"]


def test_only_what_was_not_delivered_is_disputed(called):
    called.repay(amount="8000.00")
    place = last_place(called)
    called.dispute()
    [amount] = values(one(letters(called, after=place), "colr.009"), "DisputedAmount")
    assert amount["Amount"] == "600.00"


def test_a_call_that_stands_is_sent_again_and_then_answered(called):
    called.dispute()
    place = last_place(called)
    called.resolve(upheld=False)
    again = letters(called, after=place)
    assert heads(again) == CALL
    place = last_place(called)
    called.repay(amount="8600.00")
    found = letters(called, after=place)
    assert heads(found) == [*ANSWER, *REPORT]
    [request] = values(one(found, "colr.004"), "MarginCallRequestIdentification")
    assert request == one(again, "colr.003")["TransactionIdentification"]


def test_a_call_expires_and_the_lender_takes_over(called):
    """50,000.00 and the bonus at 46,000; the rest goes back."""
    place = last_place(called)
    called.advance(days=1, seconds=1)
    found = letters(called, after=place)
    assert heads(found) == REPORT
    assert summary(found[0].body) == ("50000.00", "41400.00", "SHOR", "8600.00")
    place = last_place(called)
    called.liquidate()
    found = letters(called, after=place)
    assert heads(found) == [*RECALL, *REPORT]
    assert summary(found[-1].body) == ("0.00", "0.00", "LONG", "0.00")
    request = one(found, "colr.003")
    assert "RequirementDetailsDueToA" not in request
    [action] = one(found, "MarginCallResponse")["marginCallResponseAction"]
    assert action["marginCallAction"] == "Return"
    assert one(found, "MarginCallIssuance")["regIMRole"] == "Pledgor"
    place = last_place(called)
    called.burn(by="lender")
    called.burn(by="borrower")
    called.mine(12)
    assert heads(letters(called, after=place)) == REPORT


def test_a_part_that_is_sold_leaves_a_report_and_no_open_call(lent):
    world = lent("partial")
    world.price("46000")
    world.advance(days=1, seconds=1)
    place = last_place(world)
    world.liquidate()
    assert heads(letters(world, after=place)) == REPORT
    place = last_place(world)
    world.repay(amount="100.00")
    assert heads(letters(world, after=place)) == REPORT


def test_an_auction_ends_in_a_return_of_what_is_left(lent):
    world = lent("auction")
    world.price("46000")
    world.advance(days=1, seconds=1)
    world.advance(minutes=30)
    place = last_place(world)
    world.take()
    assert heads(letters(world, after=place)) == [*RECALL, *REPORT]


def test_an_excess_is_recalled_and_returned(lent):
    world = lent()
    place = last_place(world)
    world.withdraw(btc="0.2")
    found = letters(world, after=place)
    assert heads(found) == [*RECALL, *REPORT]
    assert agreed(found) == ("AgreeinFull", "9600.00")


def test_a_release_returns_everything(lent):
    world = lent()
    place = last_place(world)
    world.repay()
    assert heads(letters(world, after=place)) == [*RECALL, *REPORT]
    place = last_place(world)
    world.release()
    found = letters(world, after=place)
    assert heads(found) == REPORT
    assert found[0].body["CollateralReport"][0]["CollateralValuation"] == []


def test_new_terms_are_told_and_a_new_lender_writes(lent):
    world = lent()
    old = letters(world)[-1]
    place = last_place(world)
    world.refinance(lender="liquidator", principal=6_000_000, restore_ltv=6_500)
    found = letters(world, after=place)
    assert heads(found) == ["L EligibleCollateralSpecification", *REPORT]
    [haircut] = values(found[0].body, "haircutPercentage")
    assert haircut == "0.35"
    assert found[1].pact.lender == world.party("liquidator").address != old.pact.lender
    assert found[1].pact.loan == old.pact.loan


def test_a_coin_that_comes_too_late_is_refused(lent):
    world = lent()
    world.repay()
    place = last_place(world)
    world.pay("borrower", btc="0.1", to=world.loans[0].vault.address)
    world.mine(7)
    found = letters(world, after=place)
    assert heads(found) == PLEDGE
    [kind] = values(found[1].body, "ResponseType")
    [reason] = values(found[1].body, "RejectionReason")
    [info] = values(found[1].body, "RejectionInformation")
    assert (kind, reason, info) == ("REJT", "OTHR", "pledge/late")


def test_a_coin_that_is_final_only_after_the_end_is_refused(lent):
    world = lent()
    world.pledge(btc="0.3", wait=False)
    world.repay()
    place = last_place(world)
    world.mine(7)
    found = letters(world, after=place)
    assert heads(found) == ["L 008"]
    [kind] = values(found[0].body, "ResponseType")
    assert kind == "REJT"


def test_a_coin_that_is_too_small_is_not_eligible(lent):
    world = lent()
    place = last_place(world)
    world.pay("borrower", btc="0.00009999", to=world.loans[0].vault.address)
    found = letters(world, after=place)
    assert heads(found) == PLEDGE
    [reason] = values(found[1].body, "RejectionReason")
    assert reason == "ELIG"


def test_a_coin_on_its_way_shows_in_reports_as_awaiting_settlement(lent):
    world = lent()
    world.pledge(btc="0.3", wait=False)
    place = last_place(world)
    world.repay(amount="1000.00")
    [report] = one(letters(world, after=place), "colr.016")["CollateralReport"]
    assert [each["SettlementStatus"] for each in report["CollateralValuation"]] == ["STLD", "ASTL"]
    assert [q["Unit"] for q in values(report, "Quantity")] == ["1.50000000", "0.30000000"]
    world.price("46000")
    [balance] = values(one(letters(world), "MarginCallIssuance"), "collateralBalance")
    statuses = [each["collateralBalanceStatus"] for each in balance]
    assert statuses == ["SettledAmount", "InTransitAmount", "FullAmount"]
    amounts = [each["amountBaseCurrency"]["value"] for each in balance]
    assert amounts == ["41400.00", "8280.00", "49680.00"]


def test_a_coin_that_a_reorganisation_digs_out_is_proposed_once(lent):
    world = lent()
    world.pledge(btc="0.3", wait=False)
    world.mine(2)
    world.reorg(2)
    world.mine(7)
    assert heads(letters(world)).count("B 007") == 2, "the first pledge and this one"


def test_what_a_payout_gives_back_is_nobodys_proposal(lent):
    world = lent()
    world.withdraw(btc="0.2")
    world.burn(btc="0.2")
    world.mine(7)
    assert any(coin.change for coin in world.loans[0].state.vault.coins)
    assert heads(letters(world)).count("B 007") == 1


def test_what_a_payout_gives_back_is_not_proposed_if_it_is_seen_before_the_payout():
    path = Path(__file__).parents[1] / "corpus" / "change_is_seen_before_its_payout.json"
    steps: list[Step] = []
    escrow = Escrow(platform())
    for command in load(path.read_text()):
        with suppress(Rejected):
            escrow = play(escrow, command, on_event=steps.append)
    changes = {coin.outpoint for coin in escrow.vault.coins if coin.change}
    seen = {step.event.outpoint for step in steps if isinstance(step.event, CoinSeen)}
    assert changes & seen
    found = [each.body for each in messages(told_in(steps, system=platform()))]
    proposed = {text for body in found for text in values(body, "Description")}
    assert seen - changes <= proposed
    assert not changes & proposed


def test_an_offer_that_is_withdrawn_leaves_one_letter(lent):
    world = lent()
    world.cancel(world.offer())
    assert heads(letters(world))[-1] == "L EligibleCollateralSpecification"


def test_two_loans_have_threads_of_their_own(lent):
    world = lent()
    world.open(btc="1.5", principal="40000.00")
    world.price("46000")
    world.advance(hours=1)
    world.price("37000")
    found = letters(world)
    calls = [each for each in found if each.definition == "colr.003"]
    assert [each.pact.loan for each in calls] == [deal.id for deal in world.loans]
    assert [each.log for each in found] == sorted(each.log for each in found)
    assert len({each.body["TransactionIdentification"] for each in calls}) == 2


def test_every_file_says_that_nothing_is_certified(called):
    for number, each in enumerate(letters(called), start=1):
        assert each.as_dict(number)["notice"] == NOTICE
    assert "no certified compliance" in NOTICE


@pytest.mark.parametrize("code", ["", "usd", "USDT", "US1"])
def test_a_currency_that_is_none_is_refused(called, code):
    with pytest.raises(BadInput) as refusal:
        list(messages(told_of(called), currency=code))
    assert refusal.value.code == "message/value"


def test_another_currency_is_in_every_amount(called):
    found = list(messages(told_of(called), currency="USD"))
    named = {code for each in found for code in values(each.body, "Currency")}
    assert named == {"USD"}


SWAP = ["B 010", "L 011", "L 012"]


def test_a_substitution_is_asked_for_answered_and_confirmed_when_the_new_coin_is_there(lent):
    world = lent()
    world.price("80000")
    place = last_place(world)
    world.substitute(btc="0.5")
    found = letters(world, after=place)
    assert heads(found) == [*PLEDGE, *REPORT, *SWAP, *REPORT]
    asked, answered, done = (one(found, f"colr.0{n}") for n in (10, 11, 12))
    [new] = asked["CollateralSubstitutionDeliver"]["OtherCollateral"]
    [old] = asked["CollateralSubstitutionReturn"]["OtherCollateral"]
    # Half a coin at 80,000 counts 60 % of it.
    assert new["CollateralValue"]["Amount"] == old["CollateralValue"]["Amount"] == "24000.00"
    assert answered["SubstitutionResponse"]["ResponseType"] == "PACK"
    confirmed = done["SubstitutionConfirmation"]
    assert confirmed["ConfirmationType"] == "CRET"
    assert (
        confirmed["CollateralSubstitutionRequestIdentification"]
        == asked["TransactionIdentification"]
    )


def test_an_excess_is_no_substitution(lent):
    """As much as came is one; more, less, or again as much, is not."""
    world = lent()
    world.price("200000")
    world.pledge(btc="0.5")
    world.top_up(btc="0.25")
    for btc, swap in (("0.4", False), ("0.5", True), ("0.5", False), ("0.25", True)):
        place = last_place(world)
        world.withdraw(btc=btc)
        assert heads(letters(world, after=place)) == [*(SWAP if swap else RECALL), *REPORT], btc


def test_what_answers_a_call_is_not_in_the_place_of_anything(called):
    world = called
    world.top_up(btc="0.5")
    world.price("90000")
    place = last_place(world)
    world.withdraw(btc="0.5")
    assert heads(letters(world, after=place)) == [*RECALL, *REPORT]
