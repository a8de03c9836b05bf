"""The terms of a discreet log contract, and the transactions that follow from them.

Borrower and lender both build them, so that each can sign the other's. What the funding output
holds is the collateral and the fee of whatever spends it: that feerate is frozen here. A payee in
a hurry spends its own output at a higher one, and miners take both (CPFP); the cooperative close
is signed when it happens, at any feerate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from btclib.exceptions import BTClibTypeError, BTClibValueError
from btclib.tx import Tx
from btclib_wallet import dlc as dlcspecs

from escrow.adapters.bitcoin import psbt
from escrow.adapters.bitcoin.dlc_oracle import Announcement
from escrow.adapters.bitcoin.keys import VaultKey, WalletKey
from escrow.adapters.bitcoin.policy import (
    LOCKTIME_THRESHOLD,
    MAX_FEERATE,
    MIN_FEERATE,
    SEQUENCE_REPLACEABLE,
    read_transaction,
)
from escrow.adapters.bitcoin.psbt import Psbt
from escrow.adapters.bitcoin.types import OutPoint
from escrow.core.errors import BadInput
from escrow.core.units import CENTS_SCALE, Cents, PriceE8, Sats, Seconds, muldiv_up

REPAID: Final = "repaid"
"""Outcome: nothing is owed, all to the borrower."""
LIQUIDATED: Final = "liquidated"
"""Outcome: all to the lender."""
REFUND: Final = "refund"
"""The exit that needs no oracle: all to the borrower, once the recovery time has come."""

_INPUT_WITNESS: Final = 1 + 1 + 71 + 1 + 33  # P2WPKH: count, low-R signature, key
_UNREADABLE: Final = (BTClibValueError, BTClibTypeError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One thing that the oracle may attest, and how the collateral is split then."""

    name: str
    """The oracle's word for it."""
    to_lender: Sats
    """The lender's part; the borrower has the rest. Less than 1,000 sats are not paid out
    (dlcspecs) and go to the miner."""


@dataclass(frozen=True, slots=True)
class Stake:
    """What one party brings to a contract, and where it wants its coins."""

    key: VaultKey
    """Its key of the two."""
    payout: bytes
    """Output script for its part of the collateral."""
    wallet: WalletKey
    """Owner of the coins it brings; their change goes back there."""
    coins: tuple[OutPoint, ...]
    """Coins it brings. The lender's pay for its share of the fees only."""
    prev_txs: tuple[bytes, ...]
    """The transactions that created them."""


@dataclass(frozen=True, slots=True)
class Contract:
    """Terms of a contract and every transaction that follows from them; nothing is signed yet."""

    borrower: Stake
    """Offers the contract, and brings all the collateral."""
    lender: Stake
    """Accepts it."""
    collateral: Sats
    """What is split, whatever the outcome."""
    outcomes: tuple[Outcome, ...]
    """What the oracle may say, in the order announced."""
    announcement: Announcement
    """Its promise to say one of them."""
    feerate: int
    """Sat/vB of the funding transaction and of every exit, frozen here."""
    refund_at: Seconds
    """Unix **block** time from which the refund may be sent."""
    terms: dlcspecs.Dlc = field(repr=False)
    """The same, as the library has them."""
    txs: dlcspecs.DlcTransactions = field(repr=False)
    """What follows from them, unsigned."""

    @classmethod
    def draft(
        cls,
        *,
        borrower: Stake,
        lender: Stake,
        collateral: Sats,
        outcomes: Sequence[Outcome],
        announcement: Announcement,
        feerate: int,
        refund_at: Seconds,
    ) -> Self:
        """Build the transactions: whoever starts from the same terms gets the same bytes.

        Raises BadInput("dlc/format") if they cannot be built, or the oracle would say other words
        than the outcomes.
        """
        named = tuple(outcomes)
        if announcement.outcomes != tuple(each.name for each in named):
            raise BadInput("dlc/format", reason="the oracle announced other outcomes")
        if REFUND in announcement.outcomes or borrower.payout == lender.payout:
            raise BadInput("dlc/format", reason="two exits or two payees could be confused")
        if not MIN_FEERATE <= feerate <= MAX_FEERATE:
            raise BadInput("dlc/format", feerate=feerate)
        try:
            terms = dlcspecs.Dlc(
                offer=_party(borrower, collateral=collateral, serial=0),
                accept=_party(lender, collateral=Sats(0), serial=1),
                fund_output_serial_id=0,
                fee_rate=feerate,
                offer_payouts=tuple(collateral - each.to_lender for each in named),
                # The oracle opens a CET. A time long past lets nothing else lock it.
                cet_locktime=LOCKTIME_THRESHOLD,
                refund_locktime=refund_at,
            )
            txs = dlcspecs.build_transactions(terms)
        except _UNREADABLE as error:
            raise BadInput("dlc/format", reason=str(error)[:200]) from error
        return cls(
            borrower, lender, collateral, named, announcement, feerate, refund_at, terms, txs
        )

    @property
    def coin(self) -> OutPoint:
        """The funding output."""
        return OutPoint(self.txs.funding_tx.id.hex(), self.txs.funding_vout)

    @property
    def sats(self) -> Sats:
        """What the funding output holds: the collateral, and the fee of whatever spends it."""
        return Sats(self.txs.funding_tx.vout[self.txs.funding_vout].value)

    @property
    def script_pubkey(self) -> bytes:
        """Of the funding output: P2WSH of both keys, sorted (BIP-67)."""
        return dlcspecs.funding_script_pub_key(self.borrower.key.pubkey, self.lender.key.pubkey)

    @property
    def cets(self) -> tuple[Tx, ...]:
        """One transaction an outcome, unsigned."""
        return self.txs.cets

    @property
    def refund_tx(self) -> Tx:
        """The refund, unsigned."""
        return self.txs.refund_tx

    def transactions(self) -> list[tuple[str, Tx]]:
        """Every exit by name, unsigned, the refund last."""
        names = [each.name for each in self.outcomes]
        return [*zip(names, self.cets, strict=True), (REFUND, self.refund_tx)]

    def funding(self) -> Psbt:
        """The funding transaction for both wallets to sign, once everything else is sealed."""
        tx = self.txs.funding_tx
        bare = psbt.create(
            [OutPoint(each.prev_out.tx_id.hex(), each.prev_out.vout) for each in tx.vin],
            outputs=[(each.script_pub_key.script, Sats(each.value)) for each in tx.vout],
        )
        assert bare.txid == self.coin.txid
        prev_txs = (*self.borrower.prev_txs, *self.lender.prev_txs)
        for stake in (self.borrower, self.lender):
            bare = psbt.update(bare, owner=stake.wallet, prev_txs=prev_txs)
        return bare


def ladder(collateral: Sats, *, debt: Cents, prices: Sequence[PriceE8]) -> tuple[Outcome, ...]:
    """Outcomes of a contract that settles at a price: repaid, one a rung, liquidated.

    At a rung the lender gets what the debt is worth there, rounded up, or all there is; it also
    gains what lies between two rungs, since a price counts as the rung below it. Raises
    BadInput("dlc/format") unless debt and prices are positive and the prices rise.
    """
    if debt <= 0 or not prices or [0, *prices] != sorted({0, *prices}):
        raise BadInput("dlc/format", reason="debt and prices must be positive, and prices rise")
    rungs = (
        Outcome(_rung(price), Sats(min(collateral, muldiv_up(debt, CENTS_SCALE, price))))
        for price in prices
    )
    return (Outcome(REPAID, Sats(0)), *rungs, Outcome(LIQUIDATED, collateral))


def outcome_at(price: PriceE8, *, prices: Sequence[PriceE8]) -> str:
    """What an oracle says of a price on a ladder: the highest rung not above it.

    Every price has one outcome: below the lowest rung it is ``liquidated``.
    """
    below = [each for each in prices if each <= price]
    return _rung(max(below)) if below else LIQUIDATED


def _party(stake: Stake, *, collateral: Sats, serial: int) -> dlcspecs.DlcParty:
    known = {tx.id.hex(): tx for tx in map(read_transaction, stake.prev_txs)}
    inputs = []
    for number, coin in enumerate(stake.coins):
        if (tx := known.get(coin.txid)) is None or coin.vout >= len(tx.vout):
            raise BadInput("dlc/format", reason="a coin's transaction is missing", coin=str(coin))
        if tx.vout[coin.vout].script_pub_key.script != stake.wallet.script_pubkey:
            raise BadInput("dlc/format", reason="not a coin of this wallet", coin=str(coin))
        inputs.append(
            dlcspecs.FundingInput(
                serial_id=(serial << 32) + number,
                prev_tx=tx,
                prev_vout=coin.vout,
                max_witness_len=_INPUT_WITNESS,
                sequence=SEQUENCE_REPLACEABLE,
            )
        )
    return dlcspecs.DlcParty(
        funding_pub_key=stake.key.pubkey,
        payout_spk=stake.payout,
        payout_serial_id=serial,
        change_spk=stake.wallet.script_pubkey,
        change_serial_id=1 + serial,
        collateral=collateral,
        inputs=tuple(inputs),
    )


def _rung(price: PriceE8) -> str:
    return f"price-{price}"
