"""What the world is owed *now*, and by whom.

A function of the state, asked again after every step, restart and reorganisation: nothing is
emitted once and lost. Each effect has a deterministic id, and adapters perform it
idempotently. Effects owed by the operator or a quorum are performed by the engine; those owed
by a party are that party's to do with its own key.
"""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.eligibility import Gate
from escrow.core.gates import denial
from escrow.core.payouts import fee_bound
from escrow.core.phases import (
    backing,
    breach,
    carries_tokens,
    missing,
    owed_burns,
    paid_burns,
    terms_of,
    unretired_loss,
)
from escrow.core.realise import auction_start
from escrow.core.regions.loan import (
    Accepted,
    Active,
    Called,
    Cancelled,
    Draft,
    Ended,
    Indebted,
    Liquidating,
    Live,
    Offered,
    Opened,
    Repaid,
    Seized,
)
from escrow.core.regions.servicing import Standing
from escrow.core.regions.system import Price, active_seconds, is_fresh
from escrow.core.regions.token import Burn, free, outstanding
from escrow.core.regions.vault import Coin, Locked, Lost, Recovered, Reorged
from escrow.core.roles import Role
from escrow.core.rules import at_or_above, at_or_below, owed
from escrow.core.sales import auction_life, partial_cover
from escrow.core.servicing import next_assessment, notices_earned, overdue_since, standing_at
from escrow.core.state import Escrow
from escrow.core.terms import MIN_DEPOSIT, Liquidation
from escrow.core.units import Cents, Sats, Seconds
from escrow.core.verbs.assess import Assess
from escrow.core.verbs.notice import Notice


@dataclass(frozen=True, slots=True)
class OpenOnEvm:
    """Carry both signatures to the escrow book."""

    @property
    def id(self) -> str:
        return "open"


@dataclass(frozen=True, slots=True)
class AttestDeposit:
    """A final coin has no tokens yet: a quorum of attestors signs, the operator mints."""

    outpoint: str
    sats: Sats

    @property
    def id(self) -> str:
        return f"mint/{self.outpoint}"


@dataclass(frozen=True, slots=True)
class AttestLoss:
    """A coin is gone and its tokens are not: a quorum signs, the operator retires them."""

    outpoint: str
    sats: Sats

    @property
    def id(self) -> str:
        return f"retire/{self.outpoint}"


@dataclass(frozen=True, slots=True)
class AwaitReburial:
    """A final coin was dug out by a deep reorganisation: nothing is minted until it is back."""

    outpoint: str

    @property
    def id(self) -> str:
        return f"rebury/{self.outpoint}"


@dataclass(frozen=True, slots=True)
class CancelOnEvm:
    """The draw window ended and nothing was drawn: give the collateral back."""

    @property
    def id(self) -> str:
        return "cancel"


@dataclass(frozen=True, slots=True)
class CallMargin:
    """The call level is reached."""

    round: int

    @property
    def id(self) -> str:
        return f"call/{self.round}"


@dataclass(frozen=True, slots=True)
class CureCall:
    """The restore level is reached."""

    round: int

    @property
    def id(self) -> str:
        return f"cure/{self.round}"


@dataclass(frozen=True, slots=True)
class ExpireCallOnEvm:
    """The cure time has passed."""

    deadline: Seconds

    @property
    def id(self) -> str:
        return f"expire/{self.deadline}"


@dataclass(frozen=True, slots=True)
class EndDispute:
    """The arbiter was silent for too long: the call stands."""

    since: Seconds

    @property
    def id(self) -> str:
        return f"resolve/{self.since}"


@dataclass(frozen=True, slots=True)
class RedoAuction:
    """The price of an auction has fallen as far as it may: it starts from the top."""

    since: Seconds

    @property
    def id(self) -> str:
        return f"redo/{self.since}"


@dataclass(frozen=True, slots=True)
class RealiseCollateral:
    """The lender may take over, or a third party may buy."""

    kind: Liquidation

    @property
    def id(self) -> str:
        return f"liquidate/{self.kind.name}"


@dataclass(frozen=True, slots=True)
class ClaimCoins:
    """Free tokens of a loan that is over: their holders burn them to get coins."""

    sats: Sats

    @property
    def id(self) -> str:
        return f"burn/{self.sats}"


@dataclass(frozen=True, slots=True)
class PayBurns:
    """Burns are unpaid: the quorum signs one spend of the vault that pays them."""

    burns: tuple[Burn, ...]
    coins: tuple[Coin, ...]

    @property
    def id(self) -> str:
        return "pay/" + "+".join(str(burn.id) for burn in self.burns)


@dataclass(frozen=True, slots=True)
class MakeGood:
    """Tokens were burned, and the coins they stood for are gone: somebody owes the burner.

    Nothing performs this: no key and no contract can bring the coins back. It stays due, so that
    the loss is never silent.
    """

    sats: Sats

    @property
    def id(self) -> str:
        return f"make-good/{self.sats}"


@dataclass(frozen=True, slots=True)
class BuryPayout:
    """A payout is not final: keep it broadcast until it is."""

    txid: str

    @property
    def id(self) -> str:
        return f"bury/{self.txid}"


@dataclass(frozen=True, slots=True)
class BumpPayout:
    """A payout is stuck, and the terms leave room for a higher fee: the quorum signs it again."""

    txid: str

    @property
    def id(self) -> str:
        return f"bump/{self.txid}"


@dataclass(frozen=True, slots=True)
class PayByChild:
    """A payout is stuck: whoever it pays may spend the output at a fee that pays for both (CPFP).

    The way out where the quorum or the bound of the terms leaves none; or the payee waits.
    """

    txid: str

    @property
    def id(self) -> str:
        return f"child/{self.txid}"


@dataclass(frozen=True, slots=True)
class SweepVault:
    """Coins lie at an older address of the vault: the quorum moves them to the newest."""

    generation: int
    """Whose address that is."""
    coins: tuple[Coin, ...]

    @property
    def id(self) -> str:
        return "sweep/" + "+".join(coin.outpoint for coin in self.coins)


@dataclass(frozen=True, slots=True)
class RecoverCoins:
    """The recovery time has come: the borrower alone may spend the vault."""

    coins: tuple[Coin, ...]

    @property
    def id(self) -> str:
        return "recover/" + "+".join(coin.outpoint for coin in self.coins)


@dataclass(frozen=True, slots=True)
class NoteRecoveryOnEvm:
    """The coins were recovered and the tokens retired: close the loan on the EVM."""

    @property
    def id(self) -> str:
        return "recovered"


@dataclass(frozen=True, slots=True)
class GiveNotice:
    """Notice levels were reached, or left."""

    noticed: int
    round: int

    @property
    def id(self) -> str:
        return f"notice/{self.noticed}/{self.round}"


@dataclass(frozen=True, slots=True)
class NoteStanding:
    """A due date passed, or arrears were paid, and it is not noted yet."""

    standing: Standing
    since: Seconds | None

    @property
    def id(self) -> str:
        return f"standing/{self.standing.value}/{self.since}"


Effect = (
    OpenOnEvm
    | AttestDeposit
    | AttestLoss
    | AwaitReburial
    | CancelOnEvm
    | CallMargin
    | CureCall
    | ExpireCallOnEvm
    | EndDispute
    | RedoAuction
    | RealiseCollateral
    | ClaimCoins
    | PayBurns
    | MakeGood
    | BuryPayout
    | BumpPayout
    | PayByChild
    | SweepVault
    | RecoverCoins
    | NoteRecoveryOnEvm
    | GiveNotice
    | NoteStanding
)


def owed_by(effect: Effect) -> Role:
    """Whose duty, or whose right, the effect is."""
    match effect:
        case RealiseCollateral(kind=Liquidation.TAKE_OVER):
            return Role.LENDER
        case RealiseCollateral():
            return Role.LIQUIDATOR
        case ClaimCoins() | RecoverCoins() | PayByChild():
            return Role.BORROWER
        case AttestDeposit() | AttestLoss():
            return Role.ATTESTOR
        case PayBurns() | BumpPayout() | SweepVault():
            return Role.CUSTODIAN
        case _:
            return Role.OPERATOR


def ask_of(effect: Effect, *, at: Seconds) -> Assess | Notice | None:
    """The ask that performs an effect which no chain needs to know of."""
    match effect:
        case GiveNotice():
            return Notice(Role.OPERATOR, at)
        case NoteStanding():
            return Assess(Role.OPERATOR, at)
        case _:
            return None


def due(escrow: Escrow) -> tuple[Effect, ...]:
    """Everything owed at the system's clock, in the order in which it should be done."""
    vault = _vault_due(escrow)
    # What was lost and no retirement will cover was burned for, and somebody owes it.
    retiring = sum(effect.sats for effect in vault if isinstance(effect, AttestLoss))
    short = min(missing(escrow), unretired_loss(escrow)) - retiring
    good = (MakeGood(Sats(short)),) if short > 0 else ()
    return (*vault, *_token_due(escrow), *good, *_loan_due(escrow))


def wakes(escrow: Escrow) -> tuple[Seconds, ...]:
    """Moments after the system's clock at which something may come due by time alone."""
    loan, now = escrow.loan, escrow.system.clock
    if isinstance(loan, Draft | Ended):
        return ()
    terms = loan.terms
    moments = [terms.expires_at + 1, terms.draw_by + 1, terms.recover_at]
    # While the guardian has paused, the active clock and all that needs a price wait for its end.
    pause = escrow.system.pause
    runs_from = max(now, pause.until) if pause else now
    if isinstance(loan, Indebted):
        moments += [terms.maturity + terms.grace + 1, runs_from]
        moments += next_assessment(escrow)
    if isinstance(loan, Called) and loan.dispute is not None:
        moments.append(Seconds(loan.dispute.at + terms.dispute + 1))
    elif isinstance(loan, Called):
        # Only if the active clock runs that far: once it stands, time alone brings nothing. Nor
        # does it when the deadline is past.
        left = loan.deadline - active_seconds(escrow.system, at=now)
        over = Seconds(runs_from + left + 1)
        if left >= 0 and is_fresh(escrow.system, at=over):
            moments.append(over)
    if isinstance(loan, Indebted) and terms.liquidation is Liquidation.AUCTION:
        reason = breach(escrow, at=now)
        if reason is not None and escrow.system.price is not None:
            since = auction_start(loan, escrow.system.price, reason)
            moments.append(Seconds(since + auction_life(terms) + 1))
    return tuple(sorted(Seconds(moment) for moment in moments if moment > now))


def _vault_due(escrow: Escrow) -> tuple[Effect, ...]:
    effects: list[Effect] = []
    minted = frozenset(escrow.token.outpoints)
    for coin in escrow.vault.coins:
        match coin.status:
            case Locked() if (
                coin.outpoint not in minted and not coin.change and coin.sats >= MIN_DEPOSIT
            ):
                effects.append(AttestDeposit(coin.outpoint, coin.sats))
            case Reorged():
                effects.append(AwaitReburial(coin.outpoint))
            case Lost() | Recovered() if carries_tokens(escrow, coin) and outstanding(escrow.token):
                # What was burned before the coin was lost is no token any more.
                gone = Sats(min(coin.sats, outstanding(escrow.token)))
                effects.append(AttestLoss(coin.outpoint, gone))
            case _:
                pass
    for payout in escrow.vault.payouts:
        if not payout.final:
            effects.append(BuryPayout(payout.txid))
        if payout.txid in escrow.vault.stuck:
            # A sweep has no fee of its own to raise: who paid for it may pay more.
            if payout.paid and payout.fee < fee_bound(
                paid_burns(escrow, payout), max_fee=terms_of(escrow.loan).max_fee
            ):
                effects.append(BumpPayout(payout.txid))
            effects.append(PayByChild(payout.txid))
    return tuple(effects)


def _token_due(escrow: Escrow) -> tuple[Effect, ...]:
    effects: list[Effect] = []
    burns = owed_burns(escrow)
    newest = len(escrow.vault.generations)
    for number in range(newest):
        old = tuple(coin for coin in backing(escrow) if coin.generation == number)
        if old:
            effects.append(SweepVault(number, old))
    coins = tuple(coin for coin in backing(escrow) if coin.generation == newest)
    if burns and sum(burn.sats for burn in burns) <= sum(coin.sats for coin in coins):
        effects.append(PayBurns(burns, coins))
    over = isinstance(escrow.loan, Repaid | Seized | Cancelled | Ended)
    if over and free(escrow.token) >= MIN_DEPOSIT:
        effects.append(ClaimCoins(free(escrow.token)))
    return tuple(effects)


def _loan_due(escrow: Escrow) -> tuple[Effect, ...]:
    loan, now = escrow.loan, escrow.system.clock
    effects: list[Effect] = []
    if isinstance(loan, Draft | Offered):
        return ()
    if isinstance(loan, Accepted):
        # Nobody is asked to do what the loan's own rules refuse.
        permitted = denial(escrow, Gate.OFFER, at=now) is None
        return (OpenOnEvm(),) if now <= loan.terms.expires_at and permitted else ()
    if isinstance(loan, Opened) and now > loan.terms.draw_by:
        effects.append(CancelOnEvm())
    # Needs no price: whether the call was right is not asked any more.
    dispute = loan.dispute if isinstance(loan, Called) else None
    if dispute is not None and now > dispute.at + loan.terms.dispute:
        effects.append(EndDispute(dispute.at))
    if isinstance(loan, Indebted):
        standing = standing_at(escrow, at=now)
        if standing is not escrow.servicing.standing:
            effects.append(NoteStanding(standing, overdue_since(escrow, at=now)))
    if isinstance(loan, Indebted) and is_fresh(escrow.system, at=now):
        assert escrow.system.price is not None
        effects.extend(_margin_due(escrow, loan, escrow.system.price))
    # Also when the loan is over: a coin too small to mint waits in its vault for this.
    if now >= loan.terms.recover_at:
        coins = tuple(c for c in escrow.vault.coins if isinstance(c.status, Locked))
        if coins:
            effects.append(RecoverCoins(coins))
    gone = any(isinstance(coin.status, Recovered) for coin in escrow.vault.coins)
    if isinstance(loan, Live) and gone and not escrow.token.held:
        effects.append(NoteRecoveryOnEvm())
    return tuple(effects)


def _margin_due(
    escrow: Escrow, loan: Active | Called | Liquidating, price: Price
) -> tuple[Effect, ...]:
    now, terms, held = escrow.system.clock, loan.terms, escrow.token.held
    if not held:
        # Nothing to call for and nothing to seize: the coins were lost or recovered.
        return ()
    debt: Cents = owed(loan.debt, rate_bps=terms.rate_bps, at=now)
    called = at_or_above(debt, sats=held, price=price.price, level=terms.call_ltv)
    effects: list[Effect] = []
    match loan:
        case Active() if called:
            effects.append(CallMargin(price.round))
        case Active() if (earned := notices_earned(escrow, price, at=now)) != (
            escrow.servicing.noticed
        ):
            effects.append(GiveNotice(earned, price.round))
        case Called() if at_or_below(debt, sats=held, price=price.price, level=terms.restore_ltv):
            effects.append(CureCall(price.round))
        case Called(deadline=deadline, dispute=None) if (
            called and active_seconds(escrow.system, at=now) > deadline
        ):
            effects.append(ExpireCallOnEvm(deadline))
        case _:
            pass
    reason = breach(escrow, at=now)
    if reason is None:
        return tuple(effects)
    if terms.liquidation is Liquidation.AUCTION:
        since = auction_start(loan, price, reason)
        if now - since > auction_life(terms):
            return (*effects, RedoAuction(since))
    late = now > terms.maturity + terms.grace
    partial = terms.liquidation is Liquidation.PARTIAL
    if partial and not partial_cover(
        terms, debt=debt, held=held, price=price.price, in_default=late
    ):
        return tuple(effects)
    return (*effects, RealiseCollateral(terms.liquidation))
