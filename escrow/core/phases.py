"""Questions that many verbs ask of a deal, answered once; and the names of its phases.

Names are ``domain`` §2.1's: a phase is read off the regions, never stored beside them.
"""

from __future__ import annotations

from typing import assert_never

from escrow.core.errors import Rejected
from escrow.core.regions import vault as v
from escrow.core.regions.loan import (
    Accepted,
    Active,
    Called,
    Cancelled,
    Draft,
    Ended,
    Indebted,
    Liquidating,
    Loan,
    LoanEnded,
    Offered,
    OnEvm,
    Opened,
    Outcome,
    Reason,
    Repaid,
    Seized,
)
from escrow.core.regions.servicing import Standing
from escrow.core.regions.system import Price, Running, System, is_fresh
from escrow.core.regions.token import Burn, free, outstanding
from escrow.core.rules import at_or_above, owed
from escrow.core.state import Escrow, fold
from escrow.core.terms import MIN_DEPOSIT, Terms
from escrow.core.units import Cents, Sats, Seconds


def terms_of(loan: Loan) -> Terms:
    """The terms of a loan that was offered. Raises ``loan/unknown``."""
    if isinstance(loan, Draft):
        raise Rejected("loan/unknown")
    return loan.terms


def agreed_terms(escrow: Escrow) -> Terms:
    """The terms that the vault was built on. Raises ``loan/unknown``."""
    return escrow.agreed or terms_of(escrow.loan)


def on_evm(loan: Loan) -> OnEvm:
    """The loan, if the escrow book knows it. Raises ``loan/unknown``."""
    if isinstance(loan, Draft | Offered | Accepted):
        raise Rejected("loan/unknown")
    return loan


def takes_collateral(loan: Loan) -> bool:
    """May tokens still be pledged? Not once the seizure is on its way or the loan is over."""
    return isinstance(loan, Opened | Active | Called)


def fresh_price(system: System, *, at: Seconds) -> Price:
    """The last price, if rules may use it. Raises ``price/stale``."""
    if system.price is None or not is_fresh(system, at=at):
        raise Rejected("price/stale", now=at, priced_at=system.price.at if system.price else 0)
    return system.price


def debt_now(escrow: Escrow, *, at: Seconds) -> Cents:
    """What is owed at ``at``, in cents, rounded up; 0 where there is no debt."""
    if not isinstance(escrow.loan, Indebted):
        return Cents(0)
    return owed(escrow.loan.debt, rate_bps=escrow.loan.terms.rate_bps, at=at)


def breach(escrow: Escrow, *, at: Seconds) -> Reason | None:
    """Why the collateral may be realised at ``at`` at the last price; ``None``: it may not."""
    loan, price = escrow.loan, escrow.system.price
    if not isinstance(loan, Indebted) or price is None:
        return None
    if isinstance(loan, Liquidating):
        return Reason.CALL_EXPIRED
    debt = owed(loan.debt, rate_bps=loan.terms.rate_bps, at=at)
    level = loan.terms.liquidation_ltv
    if at_or_above(debt, sats=escrow.token.held, price=price.price, level=level):
        return Reason.LEVEL
    if at > loan.terms.maturity + loan.terms.grace:
        return Reason.DEFAULT
    return None


def owed_burns(escrow: Escrow) -> tuple[Burn, ...]:
    """Burns that no payout has paid yet, oldest first."""
    paid = {burn_id for payout in escrow.vault.payouts for burn_id, _ in payout.paid}
    return tuple(burn for burn in escrow.token.burns if burn.id not in paid)


def paid_burns(escrow: Escrow, payout: v.Payout) -> tuple[Burn, ...]:
    """The burns that a payout pays, in the order of its outputs."""
    burns = {burn.id: burn for burn in escrow.token.burns}
    return tuple(burns[burn_id] for burn_id, _ in payout.paid)


def displaced(escrow: Escrow, inputs: tuple[str, ...]) -> tuple[v.Payout, ...]:
    """Payouts that cannot confirm once these coins are spent otherwise: those that spend one of
    them, and what spends from those. Youngest first."""
    direct = tuple(p for p in escrow.vault.payouts if not set(inputs).isdisjoint(p.inputs))
    return v.with_heirs(escrow.vault, direct)


def without(escrow: Escrow, payouts: tuple[v.Payout, ...]) -> Escrow:
    """The deal as if these payouts, youngest first, had never been sent."""
    at = escrow.system.clock
    return fold(escrow, tuple(v.PayoutVoid(at, payout.txid, "") for payout in payouts))


def carries_tokens(escrow: Escrow, coin: v.Coin) -> bool:
    """Do tokens stand on this coin? It was minted for, or is what a payout gave back; and they
    were not retired since. A coin without tokens is its depositor's: paid out, it could never
    be minted for."""
    token = escrow.token
    if coin.outpoint in token.retired_outpoints:
        return False
    return coin.change or coin.outpoint in token.outpoints


def is_inside(coin: v.Coin) -> bool:
    """Is the coin in the vault, or on its way there?"""
    return isinstance(coin.status, v.Seen | v.Confirming | v.Locked | v.Reorged)


def backing(escrow: Escrow) -> tuple[v.Coin, ...]:
    """Final, unspent coins that tokens stand on: what burns may be paid from."""
    return tuple(coin for coin in v.locked(escrow.vault) if carries_tokens(escrow, coin))


def missing(escrow: Escrow) -> Sats:
    """Sats that tokens and unpaid burns claim, and that are not in the vault: 0 at rest."""
    there = sum(
        coin.sats for coin in escrow.vault.coins if is_inside(coin) and carries_tokens(escrow, coin)
    )
    claimed = outstanding(escrow.token) + sum(burn.sats for burn in owed_burns(escrow))
    return Sats(claimed - there)


def unretired_loss(escrow: Escrow) -> Sats:
    """Sats of coins that tokens stood on and that are gone, less the tokens retired for them."""
    token = escrow.token
    gone = sum(
        coin.sats
        for coin in escrow.vault.coins
        if coin.outpoint in token.retired_outpoints
        or (isinstance(coin.status, v.Lost | v.Recovered) and carries_tokens(escrow, coin))
    )
    return Sats(gone - token.retired)


def ended(escrow: Escrow, *, at: Seconds) -> tuple[LoanEnded, ...]:
    """The end of a loan that is settled on the EVM, once no claim, no payout and no coin is open.

    Tokens too few to burn and coins too small to mint do not keep it open: they wait for the
    recovery path. After a recovery a burn that was not paid does not either; it stays due.
    """
    if not isinstance(escrow.loan, Repaid | Seized | Cancelled):
        return ()
    if outstanding(escrow.token) >= MIN_DEPOSIT:
        return ()
    if not all(payout.final for payout in escrow.vault.payouts):
        return ()
    if any(is_inside(coin) and coin.sats >= MIN_DEPOSIT for coin in escrow.vault.coins):
        return ()
    if owed_burns(escrow) and not _was_recovered(escrow):
        return ()
    return (LoanEnded(at, _outcome(escrow)),)


def _was_recovered(escrow: Escrow) -> bool:
    return any(isinstance(coin.status, v.Recovered) for coin in escrow.vault.coins)


def _outcome(escrow: Escrow) -> Outcome:
    if _was_recovered(escrow):
        return Outcome.RECOVERED
    match escrow.loan:
        case Seized(split=split):
            return Outcome.WRITTEN_OFF if split.bad_debt else Outcome.SETTLED
        case Repaid():
            return Outcome.RELEASED
        case _:
            paid = any(payout.paid for payout in escrow.vault.payouts)
            return Outcome.REFUNDED if paid else Outcome.CANCELLED


def loan_phase(escrow: Escrow) -> str:
    """Name of the loan's phase."""
    match escrow.loan:
        case Draft():
            return "DRAFT"
        case Offered():
            return "OFFERED"
        case Accepted():
            return "ACCEPTED"
        case Opened():
            if escrow.token.held:
                return "SECURED"
            return "COLLATERAL_CONFIRMING" if escrow.vault.coins else "AWAITING_COLLATERAL"
        case Active():
            return _standing(escrow)
        case Called():
            return "MARGIN_CALL"
        case Liquidating() | Seized():
            return "LIQUIDATING"
        case Repaid():
            return "RELEASING" if escrow.token.burns else "REPAID"
        case Cancelled():
            return "RELEASING"
        case Ended(outcome=outcome):
            return outcome.value
        case _:
            assert_never(escrow.loan)


def _standing(escrow: Escrow) -> str:
    """Name of a drawn loan's phase: what its payments say comes before what its price says."""
    servicing = escrow.servicing
    match servicing.standing:
        case Standing.DEFAULTED | Standing.DELINQUENT:
            return servicing.standing.name
        case _ if servicing.impaired_at is not None:
            return "IMPAIRED"
        case Standing.PAYMENT_GRACE:
            return "PAYMENT_GRACE"
        case _:
            return "MARGIN_NOTICE" if servicing.noticed else "ACTIVE"


def coin_phase(status: v.CoinStatus) -> str:
    """Name of one coin's phase."""
    match status:
        case v.Seen():
            return "SEEN"
        case v.Confirming():
            return "CONFIRMING"
        case v.Locked():
            return "LOCKED"
        case v.Reorged():
            return "REORGED"
        case v.Lost():
            return "LOST"
        case v.Spent():
            return "SPENT"
        case v.Recovered():
            return "RECOVERED"
        case _:
            assert_never(status)


def vault_phase(escrow: Escrow) -> str:
    """Name of the vault's phase: of its coin that wants most attention."""
    vault = escrow.vault
    if any(not payout.final for payout in vault.payouts):
        return "SPEND_STUCK" if vault.stuck else "SPEND_BROADCAST"
    names = {coin_phase(coin.status) for coin in vault.coins}
    order = ("REORGED", "SEEN", "CONFIRMING", "LOCKED", "LOST", "RECOVERED", "SPENT")
    return next((name for name in order if name in names), "UNFUNDED")


def token_phase(escrow: Escrow) -> str:
    """Name of the token's phase."""
    token = escrow.token
    if token.held:
        return "HELD"
    if free(token):
        return "SEIZED" if isinstance(escrow.loan, Seized) else "MINTED"
    return "BURNED" if token.minted else "NONE"


def system_phase(system: System) -> str:
    """Name of the platform's phase."""
    if isinstance(system.mode, Running):
        return "RUNNING"
    return f"DEGRADED({system.mode.reason})"
