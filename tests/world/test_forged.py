"""A book that lies. What happened really is signed for; had the contracts said anything else of
it, every cosigner would refuse, each for itself: it adds the loan up again."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import pytest
from attack_lab import COSIGNERS, FEE, PLEDGED, draft, home
from world_lab import burn_on_evm

from escrow.adapters.evm.client import terms_mapping
from escrow.core.errors import Refused
from escrow.core.terms import Liquidation
from escrow.core.units import HOUR

CALLED, BREACHED = "46000.00", "36000.00"  # at 72 % and at 93 %


class Heard:
    """The EVM as it would read if the contracts had said something else."""

    def __init__(self, evm, change, told):
        self._evm = evm
        self._change = change
        self._told = told
        """What it does say, once it was read."""

    def __getattr__(self, name):
        return getattr(self._evm, name)

    def said(self, loan):
        return self._changed(("said", loan), lambda: self._evm.said(loan))

    def rounds(self, **span):
        return self._changed(tuple(span.values()), lambda: self._evm.rounds(**span))

    def _changed(self, key, read):
        if key not in self._told:
            self._told[key] = read()
        found = [self._change(each) for each in self._told[key]]
        many = [each if isinstance(each, tuple) else (each,) for each in found]
        return tuple(each for some in many for each in some if each is not None)


def says(name, *, at=0, signed=None, **args):
    """It said this instead: other members, ``at`` seconds later, or with other signatures."""

    def change(said):
        if said.name != name:
            return said
        other = replace(said, args={**said.args, **args}, at=said.at + at)
        return other if signed is None else replace(other, signed=signed)

    return change


def more(name, **args):
    """It said so much more."""
    return lambda said: (
        said
        if said.name != name
        else replace(said, args={**said.args, **{k: said.args[k] + v for k, v in args.items()}})
    )


def unpaid(name, cents=1):
    """It said this, and so many cents less moved."""
    return lambda said: (
        said if said.name != name else replace(said, paid=(said.paid[0], said.paid[1] - cents))
    )


def never(name):
    """It did not say that."""
    return lambda said: None if said.name == name else said


def burned(world, deal, by):
    """``by`` burns all its tokens; the spend that pays for them, which nobody has signed yet."""
    world.silence(*COSIGNERS)
    sats = world.tokens_of(by)
    burn_on_evm(world, by, bytes.fromhex(deal.id[2:]), sats, home(world, by))
    world.evm.chain.seal()
    outputs = [(home(world, by), sats - FEE)]
    if sats < PLEDGED:
        outputs.append((deal.vault.script_pubkey, PLEDGED - sats))
    return draft(world, deal, outputs)


def judge(world, deal, psbt, lies):
    """Every cosigner signs for what was said, and refuses each of the lies with its code."""
    terms, script, told = deal.state.agreed, deal.vault.script_pubkey, {}
    for honest in world._wires.cosigners:
        honest.review(psbt, terms=terms, script=script)
        for change, code in lies:
            cosigner = copy(honest)
            cosigner._evm = Heard(honest._evm, change, told)
            with pytest.raises(Refused) as refusal:
                cosigner.sign(psbt, terms=terms, script=script)
            assert refusal.value.code == code, (cosigner, lies.index((change, code)))
            assert not cosigner.memory


PRICE, STATE = "cosigner/price", "cosigner/loan-state"


def expire(world):
    [deal] = world.loans
    world.price(CALLED)
    world.advance(seconds=deal.terms.cure + 1)
    return deal


def test_a_part_sold_to_a_third_party(kind):
    world = kind("third-party")
    [deal] = world.loans
    world.price(BREACHED)
    world.liquidate(deal, pay="20000.00")
    psbt = burned(world, deal, "liquidator")
    lies = [
        (more("Liquidated", seized=1), PRICE),
        (more("Liquidated", seized=-1), PRICE),
        (more("Liquidated", repaid=-1), PRICE),
        (more("Liquidated", fee=1), PRICE),
        (says("Liquidated", left=0), PRICE),
        (says("Liquidated", kind=Liquidation.TAKE_OVER), PRICE),
        (says("Liquidated", at=25 * HOUR), PRICE),
        (unpaid("Liquidated"), PRICE),
        (never("PricesReported"), PRICE),
        (never("ToppedUp"), PRICE),
    ]
    judge(world, deal, psbt, lies)


def test_a_sale_back_to_the_target(kind):
    world = kind("partial")
    deal = expire(world)
    world.liquidate(deal)
    psbt = burned(world, deal, "liquidator")
    lies = [
        (more("Liquidated", seized=1), PRICE),
        (more("Liquidated", repaid=1, left=-1), PRICE),
        (never("CallExpired"), PRICE),
        (never("MarginCalled"), PRICE),
        (says("MarginCalled", at=2), PRICE),
        (more("Drawn", amount=-1), PRICE),
        (unpaid("Drawn"), PRICE),
    ]
    judge(world, deal, psbt, lies)


def test_a_part_and_the_rest_taken_in_an_auction(kind):
    world = kind("auction")
    deal = expire(world)
    world.advance(hours=2)
    world.advance(seconds=1)  # begun anew
    world.advance(minutes=40)
    world.take(deal, btc="0.2")
    world.advance(minutes=1)
    world.take(deal)
    psbt = burned(world, deal, "liquidator")
    lies = [
        (more("Liquidated", seized=1), PRICE),
        (more("Liquidated", seized=-40), PRICE),
        (more("Liquidated", repaid=-1), PRICE),
        (says("AuctionBegun", at=-30 * 60), PRICE),  # the price would be lower by now
        (never("AuctionBegun"), PRICE),  # the one before is stale
        (never("CallExpired"), PRICE),  # then the one begun anew had no reason either
        (unpaid("Liquidated"), PRICE),
        (never("PricesReported"), PRICE),
    ]
    judge(world, deal, psbt, lies)


def test_all_taken_with_a_loss(kind):
    world = kind("auction")
    [deal] = world.loans
    world.price("30000.00")
    world.advance(minutes=90)
    world.take(deal)
    psbt = burned(world, deal, "liquidator")
    lies = [
        (more("Liquidated", repaid=-1), PRICE),
        (more("Liquidated", bad_debt=-1), PRICE),
        (says("Liquidated", at=90), PRICE),
        (says("Liquidated", at=-90), PRICE),
    ]
    judge(world, deal, psbt, lies)


def test_a_sale_that_gives_the_borrower_what_nobody_paid_for(kind):
    """Operator and borrower: a sale that no price allowed, and that leaves too little."""
    world = kind("third-party")
    [deal] = world.loans
    world.price(BREACHED)
    world.liquidate(deal)
    world.price("45000.00")
    back = world.tokens_of("borrower")
    assert back > 0
    psbt = burned(world, deal, "borrower")
    sold = PLEDGED - back
    lies = [
        (more("Liquidated", seized=-sold, surplus=sold), STATE),
        (more("Liquidated", seized=-sold // 2, surplus=sold // 2), STATE),
        (never("PricesReported"), STATE),
    ]
    judge(world, deal, psbt, lies)


def test_a_withdrawal(kind):
    world = kind("take-over")
    [deal] = world.loans
    world.withdraw(deal, btc="0.29")
    psbt = burned(world, deal, "borrower")
    lies = [
        (says("Withdrawn", sats=31_000_000), STATE),
        (says("Withdrawn", sats=28_999_999), STATE),  # a sat less than was burned was free
        (says("Withdrawn", at=25 * HOUR), STATE),
        (never("PricesReported"), STATE),
    ]
    judge(world, deal, psbt, lies)


@pytest.mark.parametrize("silent", [False, True])
def test_a_seizure_after_a_dispute(kind, silent):
    world = kind("take-over")
    [deal] = world.loans
    world.price(CALLED)
    world.advance(hours=20)
    world.dispute(deal)
    if silent:
        world.advance(seconds=deal.terms.dispute + 1)
    else:
        world.advance(hours=30)
        world.resolve(deal, upheld=False)
    world.advance(hours=4)
    world.advance(seconds=1)
    world.liquidate(deal)
    psbt = burned(world, deal, "lender")
    operator = world.party("operator").address_bytes
    lies = [
        (never("Resolved"), PRICE),
        (says("Resolved", upheld=True), PRICE),
        (says("Disputed", at=-60), PRICE),  # more time would have to be given back
        (says("Resolved", by=operator, at=-HOUR), PRICE),
    ]
    judge(world, deal, psbt, lies)


def test_a_sale_under_new_terms(kind):
    world = kind("take-over")
    [deal] = world.loans
    world.advance(days=10)
    world.refinance(deal, rate_bps=2_000, liquidation=Liquidation.THIRD_PARTY, principal=6_000_000)
    world.advance(days=10)
    world.price(BREACHED)
    world.liquidate(deal, pay="20000.00")
    psbt = burned(world, deal, "liquidator")
    lender, borrower = (world.party(name).address_bytes for name in ("lender", "borrower"))

    def words(**changes):
        terms = terms_mapping(replace(deal.terms, **changes))
        return tuple(
            bytes.fromhex(v[2:]) if isinstance(v, str) and len(v) == 66 else v
            for v in terms.values()
        )

    lies = [
        (never("Refinanced"), PRICE),
        (says("Refinanced", signed=()), PRICE),
        (says("Refinanced", signed=(lender, lender)), PRICE),
        (says("Refinanced", signed=(borrower, borrower)), PRICE),
        # Signed, but not what the sale went by, or not possible.
        (says("Refinanced", terms=words(rate_bps=1_999)), PRICE),
        (says("Refinanced", terms=words(bonus_bps=499)), PRICE),
        (says("Refinanced", terms=words(origin="0x" + 64 * "1")), PRICE),
        (says("Refinanced", terms=words(max_fee=20_001)), PRICE),
        (says("Refinanced", terms=words(call_ltv=9_000)), PRICE),
    ]
    judge(world, deal, psbt, lies)


def test_a_loan_that_was_repaid_under_new_terms(kind):
    world = kind("take-over")
    [deal] = world.loans
    world.advance(days=10)
    world.refinance(deal, rate_bps=2_000, principal=6_000_000)
    world.advance(days=10)
    world.repay(deal)
    psbt = burned(world, deal, "borrower")
    lies = [
        (more("Repaid", interest=-1), STATE),
        (more("Repaid", principal=-1), STATE),
        (unpaid("Repaid"), STATE),
        (never("Repaid"), STATE),
        (says("Refinanced", at=-10), STATE),  # the dearer rate for longer
    ]
    judge(world, deal, psbt, lies)


def test_terms_that_were_replaced_do_not_come_back(kind):
    """Both signed them once, and they have not run out: still no book brings them back."""
    world = kind("take-over")
    [deal] = world.loans
    soon = world.now + HOUR
    world.refinance(deal, rate_bps=100, expires_at=soon, draw_by=soon)
    world.advance(seconds=1)
    world.refinance(deal, rate_bps=2_000)
    cheap, dear = [each for each in world.evm.said(deal.id) if each.name == "Refinanced"]
    assert cheap.signed == dear.signed != ()
    world.advance(days=10)
    world.repay(deal)
    psbt = burned(world, deal, "borrower")

    def again(said):
        """After the dear terms the cheap ones once more; so less interest was paid."""
        if said.name == "Refinanced" and said.place == dear.place:
            return said, replace(said, args=cheap.args, place=(*dear.place, 1))
        return more("Repaid", interest=-1)(said)

    judge(world, deal, psbt, [(again, STATE)])
