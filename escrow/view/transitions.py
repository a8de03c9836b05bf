"""The transitions of a loan's life, T1 to T35: what guards each, what it does, who tests it, and
whether a step took it.

The numbers are the domain catalogue's. ``docs/transitions.md`` is this table, and a run of the
tests prints how often each was taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from escrow.core.laws import Step
from escrow.core.regions import loan as ln
from escrow.core.regions import servicing as sv
from escrow.core.regions import system as sy
from escrow.core.regions import token as tk
from escrow.core.regions import vault as vt

_Taken = Callable[[Step], bool]


@dataclass(frozen=True, slots=True)
class Transition:
    """One row."""

    id: str
    move: str
    """From where to where, by what."""
    guard: str
    """What must hold."""
    vault: str
    """Effect on Bitcoin."""
    token: str
    """Effect on the EVM's tokens."""
    ledger: str
    """Effect on the loan."""
    allows: str
    """A test in which it is allowed: file and function."""
    refuses: str
    """A test in which it is refused."""
    taken: _Taken
    """Did this step take it?"""


def _event(*kinds: type) -> _Taken:
    return lambda step: isinstance(step.event, kinds)


def _held(loan: type) -> _Taken:
    return lambda step: isinstance(step.event, tk.TokensHeld) and isinstance(step.before.loan, loan)


def _noted(*standings: sv.Standing) -> _Taken:
    return lambda step: (
        isinstance(step.event, sv.StandingNoted) and step.event.standing in standings
    )


def _first_draw(step: Step) -> bool:
    return isinstance(step.event, ln.Drawn) and isinstance(step.before.loan, ln.Opened)


def _part_paid(step: Step) -> bool:
    return isinstance(step.event, ln.Repayment) and not isinstance(step.after.loan, ln.Repaid)


def _all_paid(step: Step) -> bool:
    return isinstance(step.event, ln.Repayment) and isinstance(step.after.loan, ln.Repaid)


def _realised(reason: ln.Reason) -> _Taken:
    return lambda step: (
        isinstance(step.event, ln.Liquidated | ln.AuctionBegun) and step.event.reason is reason
    )


def _restored(step: Step) -> bool:
    return isinstance(step.event, ln.Liquidated) and step.event.restored


def _settled(step: Step) -> bool:
    if not isinstance(step.event, ln.Liquidated):
        return False
    return isinstance(step.after.loan, ln.Seized) and not step.event.split.bad_debt


def _written_off(step: Step) -> bool:
    return isinstance(step.event, ln.Liquidated) and step.event.split.bad_debt > 0


def _ended(outcome: ln.Outcome) -> _Taken:
    return lambda step: isinstance(step.event, ln.LoanEnded) and step.event.outcome is outcome


def _resumed(step: Step) -> bool:
    before, after = step.before.system.mode, step.after.system.mode
    return isinstance(before, sy.Degraded) and isinstance(after, sy.Running)


def _degraded(step: Step) -> bool:
    before, after = step.before.system.mode, step.after.system.mode
    return isinstance(before, sy.Running) and isinstance(after, sy.Degraded)


def _substituted(step: Step) -> bool:
    """Of collateral that came in more than one coin, some is taken back."""
    return isinstance(step.event, ln.Withdrawn) and len(step.before.token.outpoints) > 1


def _never(_: Step) -> bool:
    """Not a step of a loan's log: the parties sign before there is a loan."""
    return False


def _row(number: int, words: str, tests: str, taken: _Taken) -> Transition:
    """``words``: move | guard | vault | token | ledger; ``tests``: allows | refuses, in tests/."""
    move, guard, vault, token, ledger = (each.strip() for each in words.split("|"))
    allows, refuses = (each.strip() for each in tests.split("|"))
    return Transition(f"T{number}", move, guard, vault, token, ledger, allows, refuses, taken)


TRANSITIONS: Final = tuple(
    _row(number, words, tests, taken)
    for number, (words, tests, taken) in enumerate(
        (
            (
                "DRAFT → OFFERED: offer"
                "| terms and plan do not contradict themselves"
                "| – | – | terms hashed and signed by the lender",
                "core/test_offer.py::test_an_offer_binds_to_exactly_these_terms"
                "| core/test_offer.py::test_unsound_terms_are_refused",
                _event(ln.OfferMade),
            ),
            (
                "OFFERED → ACCEPTED: accept"
                "| the borrower, until the offer expires; who is not eligible cannot open"
                "| descriptor of the vault | – | signed by both",
                "core/test_accept.py::test_the_last_moment_is_in_time"
                "| core/test_accept.py::test_a_late_borrower_is_told_when_it_was",
                _event(ln.OfferAccepted),
            ),
            (
                "OFFERED, ACCEPTED → CANCELLED: cancel, or time"
                "| a party, or the offer expired; nothing was opened | – | – | over",
                "core/test_cancel.py::test_either_party_steps_back_before_the_book_knows"
                "| core/test_lapse.py::test_it_lapses_after_the_last_moment",
                _event(ln.OfferEnded),
            ),
            (
                "ACCEPTED → AWAITING_COLLATERAL: exits signed in advance"
                "| each exit follows from the terms, lock times in order; policies that sign ahead"
                "| transactions kept by the parties | – | –",
                "custody/test_policy_audit.py::test_a_transaction_signed_in_full_carries_its_signatures"
                "| custody/test_policy_audit.py::test_a_destroyed_key_is_for_signing_up_front",
                _never,
            ),
            (
                "AWAITING_COLLATERAL → COLLATERAL_CONFIRMING: a coin is seen"
                "| it pays the vault's script | SEEN, CONFIRMING | – | –",
                "core/test_pledge.py::test_the_life_of_a_coin"
                "| core/test_pledge.py::test_only_what_the_watcher_sees_counts",
                _event(vt.CoinSeen),
            ),
            (
                "COLLATERAL_CONFIRMING → AWAITING_COLLATERAL: a reorganisation or a double spend"
                "| what Bitcoin says | REORGED, or LOST | not minted | –",
                "core/test_pledge.py::test_the_life_of_a_coin"
                "| core/test_pledge.py::test_only_what_was_in_the_vault_is_lost",
                _event(vt.CoinReorged, vt.CoinLost),
            ),
            (
                "COLLATERAL_CONFIRMING → SECURED: final, minted, pledged"
                "| depth of the terms; a quorum of attestors saw the coin and the reserves"
                "| LOCKED | minted, then held for the loan | –",
                "core/test_mint.py::test_the_tokens_are_free"
                "| core/test_mint.py::test_only_a_final_coin_is_minted",
                _held(ln.Opened),
            ),
            (
                "SECURED → ACTIVE: draw"
                "| the borrower, in the draw window, fresh price, at or below the initial level"
                "| – | cash from lender to borrower | principal",
                "core/test_draw.py::test_the_initial_level_is_exact"
                "| core/test_draw.py::test_the_draw_window",
                _first_draw,
            ),
            (
                "SECURED → REFUNDED: never drawn"
                "| the borrower; once the window is over anyone | paid back | released, burned | –",
                "core/test_cancel.py::test_the_collateral_goes_back"
                "| core/test_cancel.py::test_what_was_drawn_or_is_over_is_not_cancelled",
                _event(ln.LoanCancelled),
            ),
            (
                "ACTIVE → ACTIVE: interest and part payments"
                "| anyone, whatever the oracle or the lender do"
                "| – | cash to the lender | interest, then principal",
                "core/test_repay.py::test_a_part_paid_keeps_the_phase"
                "| core/test_repay.py::test_at_least_one_cent",
                _part_paid,
            ),
            (
                "ACTIVE → ACTIVE: top-up"
                "| the borrower's free tokens of this vault; needs no price"
                "| another coin | minted, held | –",
                "core/test_top_up.py::test_a_top_up_needs_no_price"
                "| core/test_top_up.py::test_at_least_one_sat_and_at_most_what_is_free",
                lambda step: _held(ln.Active)(step) or _held(ln.Called)(step),
            ),
            (
                "ACTIVE → ACTIVE: withdraw excess"
                "| the borrower, before maturity, no call, fresh price, at the initial level after"
                "| paid out, change to the vault | freed, then burned | –",
                "core/test_withdraw.py::test_the_level_is_exact"
                "| core/test_withdraw.py::test_not_when_the_loan_is_due",
                _event(ln.Withdrawn),
            ),
            (
                "ACTIVE → MARGIN_NOTICE: notice"
                "| fresh price at or above a notice level of the plan | – | – | told",
                "core/test_notice.py::test_a_level_is_reached_exactly"
                "| core/test_notice.py::test_it_needs_a_fresh_price",
                _event(sv.MarginNoticed),
            ),
            (
                "ACTIVE, MARGIN_NOTICE → MARGIN_CALL: margin call"
                "| fresh price at or above the call level | – | – | deadline on the active clock",
                "core/test_margin_call.py::test_the_call_level_is_exact"
                "| core/test_margin_call.py::test_a_stale_price_calls_nobody",
                _event(ln.MarginCalled),
            ),
            (
                "MARGIN_CALL → ACTIVE: cure, by top-up or payment"
                "| fresh price at or below the restore level | – | – | call closed",
                "core/test_cure.py::test_a_repayment_cures_to_the_cent"
                "| core/test_cure.py::test_the_restore_level_is_exact",
                _event(ln.CallCured),
            ),
            (
                "MARGIN_CALL → LIQUIDATING: expiry"
                "| past the deadline on the active clock, fresh price, still at the call level"
                "| – | may be seized | –",
                "core/test_expire_call.py::test_it_is_on_its_way_out"
                "| core/test_expire_call.py::test_the_deadline_itself_is_on_time",
                _event(ln.CallExpired),
            ),
            (
                "ACTIVE, MARGIN_CALL → LIQUIDATING: immediate level"
                "| fresh price at or above the liquidation level | – | seized or sold | covered",
                "core/test_liquidate.py::test_the_liquidation_level_is_exact_call_or_no_call"
                "| core/test_liquidate.py::test_a_stale_price_seizes_nothing",
                _realised(ln.Reason.LEVEL),
            ),
            (
                "ACTIVE → PAYMENT_GRACE: a due date passes unpaid"
                "| after the second at which it was due | – | – | DL",
                "core/test_assess.py::test_what_is_overdue_and_since_when"
                "| core/test_assess.py::test_without_a_plan_nothing_is_overdue",
                _noted(sv.Standing.PAYMENT_GRACE),
            ),
            (
                "PAYMENT_GRACE, DELINQUENT → ACTIVE: arrears are paid"
                "| all that fell due was paid | – | – | PF",
                "core/test_assess.py::test_paying_the_arrears_ends_it"
                "| core/test_assess.py::test_what_is_overdue_and_since_when",
                _noted(sv.Standing.PERFORMING),
            ),
            (
                "PAYMENT_GRACE → DELINQUENT → DEFAULTED: time, then the lender's word"
                "| grace over; delinquency over and the lender declares | – | – | DQ, DF",
                "core/test_declare_default.py::test_when"
                "| core/test_declare_default.py::test_only_the_lender_has_the_right",
                lambda step: (
                    _noted(sv.Standing.DELINQUENT)(step)
                    or isinstance(step.event, sv.DefaultDeclared)
                ),
            ),
            (
                "ACTIVE → IMPAIRED: impair"
                "| the lender, of a serviced loan | – | – | all of it is due",
                "core/test_impair.py::test_all_of_the_debt_is_due_at_once"
                "| core/test_impair.py::test_only_the_lender_judges",
                _event(sv.Impaired),
            ),
            (
                "IMPAIRED → ACTIVE: the lender takes it back"
                "| the lender, before a default is declared | – | – | the plan counts again",
                "core/test_impair.py::test_lifted_the_plan_counts_again"
                "| core/test_impair.py::test_a_declared_default_is_not_taken_back_by_words",
                _event(sv.ImpairmentLifted),
            ),
            (
                "DEFAULTED, IMPAIRED → LIQUIDATING: default"
                "| after maturity and grace, on the book's clock; fresh price"
                "| – | seized or sold | covered",
                "core/test_liquidate.py::test_default_begins_after_maturity_and_grace"
                "| core/test_declare_default.py::test_the_coins_wait_for_the_books_own_time",
                _realised(ln.Reason.DEFAULT),
            ),
            (
                "LIQUIDATING → ACTIVE: a part is sold"
                "| what stays is at the target or the restore level, and above the least left"
                "| – | part seized | part covered",
                "core/test_liquidate.py::test_a_sale_to_a_target_leaves_an_active_loan"
                "| core/test_liquidate.py::test_in_default_all_of_it_is_sold_whatever_the_target",
                _restored,
            ),
            (
                "LIQUIDATING → SETTLED: sold, all covered"
                "| debt, fee and bonus are covered; the surplus is the borrower's"
                "| paid out | seized and released | closed",
                "core/test_liquidate.py::test_the_numbers_of_a_seizure_at_the_level"
                "| core/test_auction.py::test_after_its_tail_it_is_over",
                _settled,
            ),
            (
                "LIQUIDATING → WRITTEN_OFF: nothing is left and debt is"
                "| the last coin was sold | paid out | seized | bad debt by name",
                "core/test_liquidate.py::test_a_crash_leaves_bad_debt_by_name"
                "| core/test_liquidate.py::test_without_coins_a_debt_is_not_wiped_out",
                _written_off,
            ),
            (
                "ACTIVE → REPAID: the last cent| nothing is owed | – | released | closed",
                "core/test_repay.py::test_the_last_cent_frees_the_tokens"
                "| core/test_repay.py::test_where_there_is_debt_it_may_be_paid",
                _all_paid,
            ),
            (
                "REPAID → RELEASING → RELEASED: coins for burned tokens"
                "| burned before the payout is sent; fee within its bound; final"
                "| SPENT | burned | over",
                "core/test_payout.py::test_the_last_payout_ends_the_deal"
                "| core/test_payout.py::test_a_payout_pays_what_was_burned_for_and_balances",
                _ended(ln.Outcome.RELEASED),
            ),
            (
                "any → RECOVERED: the timelock opens"
                "| from the recovery time on, the borrower's key alone"
                "| spent by the borrower | retired | owed unsecured",
                "core/test_recover.py::test_anyone_closes_the_books"
                "| core/test_recover.py::test_nobody_recovers_before_the_time",
                _event(vt.CoinsRecovered),
            ),
            (
                "RUNNING → DEGRADED: stale price, or paused"
                "| the heartbeat is over, or the guardian pauses"
                "| – | – | active clocks stand; repay, top up, recover",
                "core/test_tick.py::test_going_stale_is_dated_at_the_heartbeat_and_said_once"
                "| core/test_pause.py::test_only_the_guardian_pauses_and_resumes",
                _degraded,
            ),
            (
                "DEGRADED → RUNNING: a new price, or the pause ends"
                "| a quorum's fresh price and no pause: one that is ended lasts four hours more "
                "| – | – | active clocks go on",
                "core/test_tick.py::test_a_new_price_ends_the_outage"
                "| core/test_pause.py::test_a_pause_that_is_ended_leaves_grace",
                _resumed,
            ),
            (
                "any → any: a key is replaced"
                "| borrower and lender sign; the remaining keys are a quorum"
                "| coins swept to the new vault | unchanged | –",
                "core/test_rekey.py::test_both_agree_and_the_coins_are_due_to_move"
                "| core/test_rekey.py::test_one_of_them_does_not_do",
                _event(vt.Rekeyed),
            ),
            (
                "ACTIVE → ACTIVE: refinance"
                "| both sign new terms for the same vault; at the initial level"
                "| – | cash from the new lender to the old | old debt settled, new principal",
                "core/test_refinance.py::test_what_was_owed_becomes_the_principal"
                "| core/test_refinance.py::test_not_on_a_stale_price",
                _event(ln.Refinanced),
            ),
            (
                "ACTIVE → ACTIVE: substitute collateral"
                "| the new coin is final, minted and pledged before the old is released"
                "| two coins, then one paid out | minted and held, then freed and burned | –",
                "world/test_substitute.py::test_the_new_coin_counts_before_the_old_one_goes"
                "| world/test_substitute.py::test_what_may_not_be_withdrawn_is_not_substituted",
                _substituted,
            ),
            (
                "MARGIN_CALL: dispute"
                "| the borrower, once a call, where the terms name an arbiter"
                "| – | – | the call does not expire; what passed is given back",
                "core/test_dispute.py::test_a_disputed_call_does_not_expire"
                "| core/test_dispute.py::test_once_a_call",
                _event(ln.Disputed),
            ),
        ),
        start=1,
    )
)
"""All of them, in order."""


_HEAD: Final = """\
# Transitions of a loan's life

Generated from `escrow/view/transitions.py`. Phases are those of `escrow diagram`; tests are under
`tests/`. `./scripts/test` ends with how often each transition was taken in stories and scenes.

What a loan is told of beside the contract's terms (T13, T18 to T22) is kept by the engine: it moves
no coin, no token and no debt. A default that is declared gives the lender nothing that the escrow
book does not: collateral is realised at a level, after a call, or after maturity and grace (T23).
"""


def taken(step: Step) -> tuple[str, ...]:
    """Which transitions a step took."""
    return tuple(each.id for each in TRANSITIONS if each.taken(step))


def transition_page() -> str:
    """``docs/transitions.md``."""
    return f"{_HEAD}\n{_table()}\n"


def _table() -> str:
    head = (
        "| | from → to: by | guard | Bitcoin | tokens | loan | allowed in | refused in |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
    rows = (
        (t.id, t.move, t.guard, t.vault, t.token, t.ledger, f"`{t.allows}`", f"`{t.refuses}`")
        for t in TRANSITIONS
    )
    return head + "\n".join(f"| {' | '.join(row)} |" for row in rows)
