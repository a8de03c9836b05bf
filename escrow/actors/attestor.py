"""Attestors: say, m of n, that a coin is final in a vault, or that it is gone.

Each looks at its own view of Bitcoin and of the escrow book, and signs for one contract on one
chain, for a while. Whoever says that a coin is final says with it what its vault holds in all, and
on which block it saw that: the token mints only within reserves that a quorum saw freshly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from escrow.actors.generations import Generations
from escrow.actors.party import Party
from escrow.actors.reserves import Reserves, reserves
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.adapters.evm.typed import Domain, Sig, sign_attestation, sign_retirement
from escrow.core.errors import Refused
from escrow.core.terms import Terms
from escrow.core.units import Seconds
from escrow.ports import BitcoinView, EvmView, OutPoint

RETIREMENT_LIFE: Final = Seconds(3_600)
"""How long a signed retirement may be used. An attestation lives for ``RESERVE_LIFE``."""


class Attestor:
    """One key of the attestor set, and its own look at the chains."""

    def __init__(
        self,
        party: Party,
        *,
        bitcoin: BitcoinView,
        evm: EvmView,
        domain: Domain,
        now: Callable[[], Seconds],
        generations: Generations,
    ) -> None:
        self.party = party
        self._bitcoin = bitcoin
        self._evm = evm
        self._domain = domain
        self._now = now
        self.generations = generations
        """Its own knowledge of the vaults' addresses."""

    def __repr__(self) -> str:
        return f"<Attestor {self.party.name}>"

    def attest(
        self, outpoint: OutPoint, *, terms: Terms, at: Seconds
    ) -> tuple[dict[str, object], Sig]:
        """Sign that the coin is final in this loan's vault, and what that vault holds at ``at``.

        Raises ``Refused``: ``attestor/time`` unless ``at`` is the present: a statement dated ahead
        could be held back and used once it is no longer true; ``attestor/not-vault``,
        ``attestor/not-final``, ``attestor/change`` for what a payout gave back,
        ``attestor/supply`` if tokens would outnumber coins.
        """
        self._check_time(at)
        coin = self._bitcoin.coin(outpoint)
        if coin is None:
            raise Refused("attestor/not-final", outpoint=str(outpoint), depth=0)
        known = self._evm.entry(self._evm.loan_id(terms)).phase != 0
        if not known or coin.script_pubkey not in self.generations.scripts(terms):
            raise Refused("attestor/not-vault", outpoint=str(outpoint))
        depth = self._bitcoin.height - coin.height + 1
        if depth < terms.confirmations:
            raise Refused("attestor/not-final", outpoint=str(outpoint), depth=depth)
        loan, seen = self._evm.loan_id(terms), self._reserves(terms)
        if outpoint in seen.change:
            raise Refused("attestor/change", outpoint=str(outpoint))
        # A coin that may still be reorganised away backs nothing yet.
        least = self._bitcoin.height - terms.confirmations + 1
        final = sum(
            each.sats for each in seen.coins if each.height <= least or each.outpoint in seen.change
        )
        unpaid = sum(burn.sats for burn in seen.unpaid)
        claims = self._evm.outstanding(loan) + unpaid
        if claims + coin.sats > final:
            raise Refused("attestor/supply", claims=claims, sats=coin.sats, coins=final)
        message = {
            "loan": bytes.fromhex(loan[2:]),
            "holder": terms.borrower,
            **_coin(outpoint, sats=coin.sats),
            "reserves": final - unpaid,
            "seen_at": at,
            "bitcoin_block": bytes.fromhex(self._bitcoin.tip_hash),
        }
        return message, sign_attestation(
            self.party.account, attestation=message, domain=self._domain
        )

    def attest_loss(
        self, outpoint: OutPoint, *, terms: Terms, sats: int, at: Seconds
    ) -> tuple[dict[str, object], Sig]:
        """Sign that a coin that tokens stand on is gone without a burn.

        A spend that waits in the mempool is not a loss yet, and a payout is none at all. Change
        whose payout is gone was never there: the coins behind it are unspent again.

        Raises ``Refused``: ``attestor/time``, ``attestor/not-lost``; ``attestor/amount`` unless it
        is what was lost, or the tokens that are left.
        """
        self._check_time(at)
        spender, seen = self._bitcoin.spender(outpoint), self._reserves(terms)
        final = spender is not None and (self._bitcoin.depth(spender) or 0) >= terms.confirmations
        gone = final and spender not in seen.payouts
        if self._evm.is_minted(str(outpoint)):
            gone = gone or (spender is None and self._bitcoin.depth(outpoint.txid) is None)
        elif outpoint not in seen.change:
            gone = False
        if not gone:
            raise Refused("attestor/not-lost", outpoint=str(outpoint))
        outstanding = self._evm.outstanding(self._evm.loan_id(terms))
        if not 0 < sats == min(outstanding, self._value(outpoint, otherwise=sats)):
            raise Refused("attestor/amount", sats=sats, outstanding=outstanding)
        message = {
            "loan": bytes.fromhex(self._evm.loan_id(terms)[2:]),
            "holder": terms.borrower,
            "pledgor": terms.borrower,
            **_coin(outpoint, sats=sats),
            "deadline": at + RETIREMENT_LIFE,
        }
        return message, sign_retirement(self.party.account, retirement=message, domain=self._domain)

    def _check_time(self, at: Seconds) -> None:
        if at != self._now():
            raise Refused("attestor/time", at=at, now=self._now())

    def _value(self, outpoint: OutPoint, *, otherwise: int) -> int:
        """What the coin was worth. One that vanished was minted for, and the token knows."""
        raw = self._bitcoin.transaction(outpoint.txid)
        return otherwise if raw is None else read_transaction(raw).vout[outpoint.vout].value

    def _reserves(self, terms: Terms) -> Reserves:
        burned = self._evm.burns(self._evm.loan_id(terms))
        scripts = self.generations.scripts(terms)
        return reserves(scripts, burned=burned, bitcoin=self._bitcoin)


def _coin(outpoint: OutPoint, *, sats: int) -> dict[str, object]:
    return {"txid": bytes.fromhex(outpoint.txid), "vout": outpoint.vout, "sats": sats}
