"""Why coins, payouts and tokens changed: what Bitcoin showed, and what PledgeToken allowed."""

from __future__ import annotations

from typing import assert_never

from escrow.core.errors import CODES
from escrow.core.payouts import STUCK_AFTER
from escrow.core.phases import terms_of
from escrow.core.regions import token as tk
from escrow.core.regions import vault as vt
from escrow.core.state import Escrow, Incident
from escrow.core.terms import MIN_DEPOSIT
from escrow.core.units import Seconds
from escrow.view.explain import platform
from escrow.view.explain import rulebook as rb
from escrow.view.explain.measure import (
    ASKED,
    BITCOIN,
    FREE,
    amount,
    bound,
    constant,
    from_time,
    number,
    signed,
)
from escrow.view.explain.parts import (
    SHOWN,
    Distance,
    Explanation,
    Finding,
    Input,
    Rule,
    Subject,
    explained,
)
from escrow.words import coins, short


def of_vault(event: vt.VaultEvent, before: Escrow) -> Explanation:
    """Why the vault changed."""
    what, at = type(event).__name__, event.at

    def said(rule: Rule, verdict: str, *inputs: Input) -> Explanation:
        return explained(what, at, rule, Finding(verdict, inputs))

    match event:
        case vt.CoinSeen(outpoint=outpoint, sats=sats):
            worth = number("value", sats, unit="sats", source=BITCOIN)
            return said(
                rb.SIGHTING, f"{coins(sats)} to the vault, unconfirmed", _id(outpoint), worth
            )
        case vt.CoinMined(outpoint=outpoint, height=height):
            needed = terms_of(before.loan).confirmations
            last = height + needed - 1
            return said(
                rb.FINAL,
                f"in block {height}; final with block {last}, {SHOWN['blocks'](needed - 1)} on top",
                _id(outpoint),
                number("height", height, unit="", source=BITCOIN),
                signed(terms_of(before.loan), "confirmations", unit="blocks"),
            )
        case vt.CoinLocked(outpoint=outpoint, height=height):
            terms = terms_of(before.loan)
            found = platform.depth_left(terms, terms.confirmations, what="the coin")
            place = number("height", height, unit="", source=BITCOIN)
            return explained(what, at, rb.FINAL, found, Finding("", (_id(outpoint), place)))
        case vt.CoinReorged(outpoint=outpoint):
            return said(rb.FINAL, "a reorganisation dug the coin out", _id(outpoint))
        case vt.CoinLost(outpoint=outpoint, by=by):
            taker = f", spent by {short(by)}" if by else ""
            return said(rb.FACT, f"the coin is gone{taker}", _id(outpoint))
        case vt.PayoutSent(payout=payout) | vt.PayoutReplaced(payout=payout):
            return _payout(what, at, payout, before, bumped=isinstance(event, vt.PayoutReplaced))
        case vt.PayoutFinal(txid=txid):
            terms = terms_of(before.loan)
            found = platform.depth_left(terms, terms.confirmations, what="the payout")
            return explained(what, at, rb.FINAL, found, Finding("", (_id(txid),)))
        case vt.PayoutReorged(txid=txid):
            return said(
                rb.FINAL, "a reorganisation dug the payout out: it is sent again", _id(txid)
            )
        case vt.PayoutStuck(txid=txid, blocks=blocks):
            far = bound(
                Subject.BLOCKS, blocks, STUCK_AFTER, most=False, unit="blocks", code="",
                other="it is not stuck yet",
            )  # fmt: skip
            limit = constant("stuck after", STUCK_AFTER, unit="blocks", where="the engine")
            verdict = f"{SHOWN['blocks'](blocks)} passed it by"
            return explained(what, at, rb.STUCK, Finding(verdict, (_id(txid), limit), (), far))
        case vt.PayoutMined(txid=txid):
            return said(rb.FACT, "the payout that was stuck is in a block", _id(txid))
        case vt.PayoutVoid(txid=txid, by=by):
            taker = f": {short(by)} took a coin of it" if by else ""
            return said(
                rb.FACT, f"it can confirm no more, its burns are owed again{taker}", _id(txid)
            )
        case vt.CoinsRecovered(outpoints=outpoints):
            terms = terms_of(before.loan)
            taken = Input("coins", " ".join(outpoints), "", f"{len(outpoints)}", BITCOIN)
            source = (signed(terms, "recover_at", unit="moment"), taken)
            found = from_time(
                at, terms.recover_at, what="open to the borrower alone", source=source,
                code="recover/too-early",
            )  # fmt: skip
            return explained(what, at, rb.RECOVER, found)
        case vt.Rekeyed(generation=generation):
            role = Input("new key of", generation.role, "", generation.role, "custody policy")
            return said(rb.REKEY, "borrower and lender both signed for the new vault", role)
        case vt.CoinPlaced(outpoint=outpoint, generation=generation):
            place = number("generation", generation, unit="", source=BITCOIN)
            return said(rb.FACT, "the coin pays this generation's address", _id(outpoint), place)
        case _:
            assert_never(event)


def _payout(
    what: str, at: Seconds, payout: vt.Payout, before: Escrow, *, bumped: bool
) -> Explanation:
    if not payout.paid:
        back = number("back to the vault", payout.change, unit="sats", source=BITCOIN)
        return explained(what, at, rb.SWEEP, Finding(f"{coins(payout.change)} moved", (back,)))
    total = sum(sats for _, sats in payout.paid)
    fee = platform.fee_room(terms_of(before.loan), payout.fee, paid=total if bumped else None)
    burns = " ".join(str(burn) for burn, _ in payout.paid)
    inputs = (
        Input("burns paid", burns, "", burns, "PledgeToken"),
        number("paid out", total, unit="sats", source=BITCOIN),
        number("back to the vault", payout.change, unit="sats", source=BITCOIN),
        Input("signed by", "quorum", "", "its quorum", "custody policy of the vault"),
    )
    verdict = f"{coins(total)} to {len(payout.paid)} burned destination(s)"
    return explained(what, at, rb.BUMP if bumped else rb.PAYOUT, Finding(verdict, inputs), fee)


def of_token(event: tk.TokenEvent, before: Escrow) -> Explanation:
    """Why the claim changed."""
    what, at, free = type(event).__name__, event.at, tk.free(before.token)
    smallest = constant("smallest", MIN_DEPOSIT, unit="sats", where="PledgeToken: MIN_DEPOSIT")
    unpledged = number("free tokens", free, unit="sats", source=FREE)
    match event:
        case tk.Minted(outpoint=outpoint, sats=sats):
            far = Distance(
                Subject.AMOUNT, "mint/amount", sats, sats + 1, "sats", "refused, mint/amount"
            )
            minted = number("coin", sats, unit="sats", source=BITCOIN)
            verdict = f"{coins(sats)} in tokens for a final coin of exactly that"
            found = Finding(verdict, (_id(outpoint), minted, smallest), (), (far,))
            return explained(what, at, rb.MINT, found)
        case tk.TokensHeld(sats=sats):
            found = amount(
                sats, free, most=True, unit="sats", what="the pledge", source=(unpledged,),
                code="top-up/no-tokens",
            )  # fmt: skip
            return explained(what, at, rb.TOP_UP, found)
        case tk.TokensFreed(seized=seized, released=released):
            said = f"{coins(seized)} seized, {coins(released)} released"
            return explained(what, at, rb.CONSEQUENCE, Finding(said))
        case tk.Burned(burn=burn):
            most = amount(
                burn.sats, free, most=True, unit="sats", what="the burn", source=(unpledged,),
                code="burn/no-tokens",
            )  # fmt: skip
            least = bound(
                Subject.AMOUNT, burn.sats, MIN_DEPOSIT, most=False, unit="sats", code="burn/dust"
            )
            script = Input("destination", burn.script, "", short(burn.script), ASKED)
            return explained(what, at, rb.BURN, most, Finding("", (smallest, script), (), least))
        case tk.Retired(outpoint=outpoint, sats=sats):
            gone = number("tokens", sats, unit="sats", source="PledgeToken")
            said = f"{coins(sats)} in tokens stood on a coin that is gone"
            return explained(what, at, rb.RETIRE, Finding(said, (_id(outpoint), gone)))
        case _:
            assert_never(event)


def of_incident(event: Incident) -> Explanation:
    """What would have been refused, had it been an ask."""
    inputs = tuple(Input(name, fact, "", str(fact), BITCOIN) for name, fact in event.facts)
    verdict = f"{event.verb} noted, not refused: {event.code}, {CODES[event.code]}"
    return explained("Incident", event.at, rb.INCIDENT, Finding(verdict, inputs))


def _id(place: str) -> Input:
    """A transaction, or an output of one."""
    return Input("output" if ":" in place else "transaction", place, "", short(place), BITCOIN)
