"""A perfect world: what comes back once something that is owed was done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from escrow.core import due as owing
from escrow.core.decide import Command, in_order
from escrow.core.due import Effect
from escrow.core.phases import terms_of
from escrow.core.regions.vault import Coin, Payout, change_of
from escrow.core.roles import Role
from escrow.core.rules import fee_shares
from escrow.core.scripts import DUST_CHANGE
from escrow.core.state import Escrow
from escrow.core.terms import Liquidation
from escrow.core.units import Sats, Seconds
from escrow.core.verbs.auction import Redo, Take
from escrow.core.verbs.burn import BurnTokens
from escrow.core.verbs.cancel import Cancel
from escrow.core.verbs.cure import Cure
from escrow.core.verbs.dispute import Resolve
from escrow.core.verbs.expire_call import ExpireCall
from escrow.core.verbs.liquidate import Liquidate
from escrow.core.verbs.margin_call import MarginCall
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.open import Open
from escrow.core.verbs.payout import SawPayout, SawPayoutDepth
from escrow.core.verbs.pledge import SawCoin
from escrow.core.verbs.recover import NoteRecovery, SawRecovery
from escrow.core.verbs.retire import Retire

DESTINATION: Final = "0014" + "11" * 20
"""Where a borrower of a perfect world has its coins sent: a P2WPKH output."""
FEE: Final = 1_000
"""Sats that a perfect quorum pays the miner, if the terms allow as much."""
BURIED: Final = 100
"""Confirmations that no terms ask more of."""


def pay_burns(
    escrow: Escrow, *, txid: str, coins: Sequence[Coin], burns: Sequence[int], fee: Sats
) -> Payout:
    """A payout of ``burns`` out of ``coins``: fee shared as the rules say, the rest is change."""
    known = {burn.id: burn.sats for burn in escrow.token.burns}
    shares = fee_shares(fee, payees=len(burns)) if burns else ()
    paid = tuple((i, Sats(known[i] - share)) for i, share in zip(burns, shares, strict=True))
    change = sum(coin.sats for coin in coins) - sum(known[i] for i in burns)
    return Payout(txid, tuple(coin.outpoint for coin in coins), paid, fee, Sats(change))


def sweep_of(coins: Sequence[Coin], *, txid: str) -> Payout:
    """A sweep of ``coins``: one coin of the vault again, to the sat; others paid the miner."""
    whole = Sats(sum(coin.sats for coin in coins))
    return Payout(txid, tuple(coin.outpoint for coin in coins), (), Sats(0), whole)


def respond(escrow: Escrow, effect: Effect, *, at: Seconds) -> tuple[Command, ...]:
    """What a perfect world says back once ``effect`` was performed; empty if it must wait."""
    match effect:
        case owing.OpenOnEvm():
            return (Open(Role.OPERATOR, at),)
        case owing.AttestDeposit(outpoint=outpoint, sats=sats):
            return (Mint(Role.ATTESTOR, at, outpoint, sats),)
        case owing.AttestLoss(outpoint=outpoint, sats=sats):
            return (Retire(Role.ATTESTOR, at, outpoint, sats),)
        case owing.AwaitReburial(outpoint=outpoint):
            coin = next(c for c in escrow.vault.coins if c.outpoint == outpoint)
            return (SawCoin(Role.WATCHER, at, outpoint, coin.sats, BURIED, height=at),)
        case owing.CancelOnEvm():
            return (Cancel(Role.OPERATOR, at),)
        case owing.CallMargin():
            return (MarginCall(Role.OPERATOR, at),)
        case owing.CureCall():
            return (Cure(Role.OPERATOR, at),)
        case owing.ExpireCallOnEvm():
            return (ExpireCall(Role.OPERATOR, at),)
        case owing.EndDispute():
            return (Resolve(Role.OPERATOR, at, upheld=False),)
        case owing.RedoAuction():
            return (Redo(Role.OPERATOR, at),)
        case owing.RealiseCollateral(kind=Liquidation.AUCTION):
            return (Take(Role.LIQUIDATOR, at, escrow.token.held),)
        case owing.RealiseCollateral(kind=kind):
            return (Liquidate(owing.owed_by(effect), at, kind),)
        case owing.ClaimCoins(sats=sats):
            return (BurnTokens(Role.BORROWER, at, len(escrow.token.burns), sats, DESTINATION),)
        case owing.PayBurns():
            return _payout(escrow, effect, at=at)
        case owing.SweepVault(coins=coins):
            # No two sweeps have a name in common, though one of them was void in between.
            txid = f"moved-{at}-{coins[-1].outpoint}"
            return _seen(sweep_of(coins, txid=txid), at=at)
        case owing.BuryPayout(txid=txid):
            return (SawPayoutDepth(Role.WATCHER, at, txid, BURIED),)
        case owing.BumpPayout(txid=txid):
            return _bump(escrow, txid, at=at)
        case owing.PayByChild(txid=txid):
            return (SawPayoutDepth(Role.WATCHER, at, txid, 1),)
        case owing.RecoverCoins(coins=coins):
            spent = tuple(coin.outpoint for coin in coins)
            return (SawRecovery(Role.WATCHER, at, f"recovery-{at}-{len(spent)}", spent),)
        case owing.NoteRecoveryOnEvm():
            return (NoteRecovery(Role.OPERATOR, at),)
        case owing.GiveNotice() | owing.NoteStanding():
            ask = owing.ask_of(effect, at=at)
            assert ask is not None
            return (ask,)
        case owing.MakeGood():
            # Not even a perfect world brings lost coins back.
            return ()
        case _:
            raise AssertionError(f"nobody answers {effect}")


def _payout(escrow: Escrow, effect: owing.PayBurns, *, at: Seconds) -> tuple[Command, ...]:
    """The first coins that cover the burns and leave no dust; the change is buried with it."""
    asked = sum(burn.sats for burn in effect.burns)
    fee = Sats(min(FEE, terms_of(escrow.loan).max_fee))
    for n in range(1, len(effect.coins) + 1):
        left = sum(coin.sats for coin in effect.coins[:n]) - asked
        if left == 0 or left >= DUST_CHANGE:
            payout = pay_burns(
                escrow,
                txid=f"payout-{len(escrow.vault.payouts)}",
                coins=effect.coins[:n],
                burns=[burn.id for burn in effect.burns],
                fee=fee,
            )
            return _seen(payout, at=at)
    return ()


def _bump(escrow: Escrow, txid: str, *, at: Seconds) -> tuple[Command, ...]:
    """The same burns from the same coins, for a sat more."""
    old = next(payout for payout in escrow.vault.payouts if payout.txid == txid)
    new = pay_burns(
        escrow,
        txid=f"{txid}+",
        coins=[coin for coin in escrow.vault.coins if coin.outpoint in old.inputs],
        burns=[burn_id for burn_id, _ in old.paid],
        fee=Sats(old.fee + 1),
    )
    return _seen(new, at=at)


def _seen(payout: Payout, *, at: Seconds) -> tuple[Command, ...]:
    """The payout, and its change buried."""
    seen: Command = SawPayout(Role.WATCHER, at, payout)
    if not payout.change:
        return (seen,)
    change = SawCoin(Role.WATCHER, at, change_of(payout), payout.change, BURIED, height=at)
    return in_order((seen, change))
