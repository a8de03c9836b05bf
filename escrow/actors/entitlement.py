"""What a burn rests on: tokens that were rightly free.

A burn is worth coins only if its tokens were minted and never pledged, released by a debt that was
paid, or seized in a liquidation that the price of that moment allowed. The book checks all this
too. Whoever signs for coins does not have to believe that the book which stands on the EVM is the
one that was agreed on, nor that the prices there kept the rules that were.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from escrow.actors.reckoning import PriceRules, Reckoned, add, begin, rounds_for
from escrow.adapters.bitcoin.policy import relative_lock
from escrow.adapters.bitcoin.psbt import SpendInput
from escrow.core.errors import Refused
from escrow.core.terms import Terms
from escrow.ports import BitcoinView, EvmView, Said


def judge_burns(
    ids: Collection[int],
    *,
    loan: str,
    terms: Terms,
    evm: EvmView,
    prices: PriceRules,
    blocks: int = 1,
) -> None:
    """Are these burns worth coins? Each stands in a sealed block with ``blocks`` − 1 on top.

    ``prices`` are the rules that were agreed on. Raises ``Refused``: ``cosigner/burn``
    for a burn that is not there or not deep enough; ``cosigner/loan-state`` if its tokens were not
    free, or were released by a debt that was not paid; ``cosigner/price`` if somebody else than the
    borrower has them from a liquidation without a fresh price and a breach at it.
    """
    said = evm.said(loan)
    burns = {each.args["burn_id"]: each for each in said if each.name == "Burned"}
    for burn_id in ids:
        deep = burns[burn_id].blocks if burn_id in burns else 0
        if deep < blocks:
            raise Refused("cosigner/burn", burn=burn_id, blocks=deep, least=blocks)
    borrower, state = bytes.fromhex(terms.borrower[2:]), begin(loan, terms, prices)
    rounds = rounds_for(said, evm=evm, heartbeat=prices.heartbeat)
    for each in sorted((*said, *rounds), key=lambda found: found.place):
        if each.name == "Burned" and each.args["burn_id"] in ids:
            free = state.outstanding - state.held
            if state.seized is not None and each.args["holder"] != borrower:
                raise _without_price(each, state)
            if each.args["sats"] > free or state.unpaid:
                raise Refused(
                    "cosigner/loan-state",
                    burn=each.args["burn_id"],
                    free=free,
                    unpaid=state.unpaid,
                )
        state = add(state, each)


def check_rested(inputs: Sequence[SpendInput], *, bitcoin: BitcoinView) -> None:
    """Has every coin rested for as long as its input says (BIP-68), at the tip as it is?

    Raises Refused("cosigner/early"): what is signed early can be kept and sent at any time.
    """
    for each in inputs:
        if (lock := relative_lock(each.sequence)) is None:
            continue
        by_time, wanted = lock
        coin = bitcoin.coin(each.outpoint)
        height = coin.height if coin is not None else 0
        rested = bitcoin.height - height + 1
        if by_time:
            since = bitcoin.median_time_at(max(0, height - 1))
            rested = bitcoin.median_time_at(bitcoin.height) - since
        if not height or rested < wanted:
            raise Refused("cosigner/early", outpoint=str(each.outpoint), wanted=wanted)


def _without_price(burn: Said, state: Reckoned) -> Refused:
    assert state.seized is not None
    price, at = state.system.price, state.seized.at
    return Refused(
        "cosigner/price",
        burn=burn.args["burn_id"],
        round=price.round if price else 0,
        age=at - price.at if price else -1,
        heartbeat=state.system.heartbeat,
    )
