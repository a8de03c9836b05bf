"""An operator that is silent keeps none of its duties, and anyone may keep them instead."""

from __future__ import annotations

from world_lab import sound

CALLED, CURED = "46000.00", "90000.00"  # at 72 % and at 37 %


def test_who_is_silent_does_not_call_and_anyone_else_may(kind):
    world = kind("third-party")
    [deal] = world.loans
    world.silence("operator")
    world.price(CALLED)
    assert (deal.phase, [each.id for each in deal.due]) == ("ACTIVE", ["call/2"])
    world.margin_call(deal, by="liquidator")
    assert deal.phase == "MARGIN_CALL"
    world.advance(seconds=deal.terms.cure + 1)
    assert deal.phase == "MARGIN_CALL"  # nobody has it expire
    world.price(CURED)
    assert deal.phase == "MARGIN_CALL"  # nor cured
    world.answer("operator")
    world.settle()
    assert deal.phase == "ACTIVE"
    sound(world)


def test_what_a_silent_operator_left_is_done_once_it_answers(kind):
    world = kind("third-party")
    [deal] = world.loans
    world.silence("operator")
    world.price(CALLED)
    world.answer("operator")
    world.settle()
    assert deal.phase == "MARGIN_CALL"
