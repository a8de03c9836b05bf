"""The operator's hand in payouts: which coins, what fee, asked of whom; sent, sent again, bumped.

It holds no key. It drafts, the quorum signs or does not, and what two have signed is broadcast.
A draft that takes the place of one that somebody has signed makes those signatures void: whose
they were is said aloud, and they are never merged with the new ones (BIP-174 combines copies of
one transaction).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from escrow.actors.cosigner import Cosigner
from escrow.actors.party import Party
from escrow.adapters.bitcoin import psbt as bip174
from escrow.adapters.bitcoin.vault import Vault, dust, payout_vsize
from escrow.core.errors import EscrowError, Refused, Rejected
from escrow.core.payouts import fee_bound, plan_outputs
from escrow.core.phases import paid_burns, terms_of
from escrow.core.regions.token import Burn
from escrow.core.regions.vault import Payout
from escrow.core.state import Escrow
from escrow.core.terms import Terms
from escrow.core.units import Sats
from escrow.ports import BitcoinPort, Coin, OutPoint

QUORUM: Final = 2
"""Cosigners a vault asks for."""
TARGET: Final = 1
"""Blocks within which a payout should be mined."""
_RELAY: Final = 1
"""Sat/vB that a replacement pays beside the fee of what it replaces (BIP-125 rule 4)."""


class Payer:
    """Drafts payouts, asks the quorum, broadcasts."""

    def __init__(
        self,
        *,
        cosigners: Sequence[Cosigner],
        bitcoin: BitcoinPort,
        vault_of: Callable[[str], Vault],
        answers: Callable[[Party], bool],
        tell: Callable[[EscrowError], None],
    ) -> None:
        self._cosigners = cosigners
        self._bitcoin = bitcoin
        self._vault_of = vault_of
        self._answers = answers
        self._tell = tell
        self.held: dict[str, dict[str, bytes]] = {}
        """Loan → payouts by txid that are signed and that no node relays for their fee: who is paid
        may send one together with a child that pays for both."""

    def pay(
        self, loan: str, terms: Terms, burns: Sequence[Burn], coins: Sequence[OutPoint]
    ) -> None:
        """Pay these burns in one spend of few coins. Where somebody refuses that, take all coins,
        which conflicts with whatever was signed before and got lost; then pay the oldest burn that
        can be paid by itself: one that cannot must not hold up the others."""
        alone = [(burn,) for burn in burns] if len(burns) > 1 else []
        refused: list[EscrowError] = []
        tried: list[str] = []
        for chosen in (burns, *alone):
            for taken in (self._choose(coins, burns=chosen), coins):
                try:
                    draft = self._draft(loan, terms, chosen, taken)
                    tried.append(draft.txid)
                    self._sign_and_send(loan, terms, draft, chosen)
                except EscrowError as refusal:
                    refused.append(refusal)
                else:
                    self.held.pop(loan, None)
                    return
        held = self.held.get(loan, {})
        self.held[loan] = {txid: held[txid] for txid in tried if txid in held}
        raise refused[0]

    def send_again(self, loan: str, escrow: Escrow, txid: str) -> bool:
        """Send a payout again that a reorganisation threw out. Signatures are deterministic, so
        it is the same transaction. Where its fee is not enough any more, it is bumped."""
        if self._bitcoin.depth(txid) is not None:
            return False
        payout, terms = _payout(escrow, txid), terms_of(escrow.loan)
        burns = paid_burns(escrow, payout)
        draft = self._draft(loan, terms, burns, _inputs(payout), fee=payout.fee)
        if draft.txid != txid:
            raise Rejected("payout/unknown", txid=draft.txid)
        try:
            self._sign_and_send(loan, terms, draft, burns)
        except Refused as refusal:
            if refusal.code != "bitcoin/fee":
                raise
            return bool(self.bump(loan, escrow, txid))
        return True

    def bump(self, loan: str, escrow: Escrow, txid: str, *, feerate: int | None = None) -> str:
        """Replace a payout by one that pays the same burns from the same coins at ``feerate``
        sat/vB, by default what the next block asks; its txid. Empty, and nothing is done, if it
        pays that already.

        Raises Rejected("payout/fee") beyond the bound, and then nobody was asked to sign; what the
        cosigners and the node refuse leaves the old one standing.
        """
        payout, terms = _payout(escrow, txid), terms_of(escrow.loan)
        burns, found = paid_burns(escrow, payout), self._found(_inputs(payout))
        vsize = self._vsize(loan, burns, found)
        wanted = vsize * (feerate or self._bitcoin.estimate_feerate(TARGET))
        if wanted <= payout.fee:
            return ""
        fee, bound = (
            max(wanted, payout.fee + _RELAY * vsize),
            fee_bound(burns, max_fee=terms.max_fee),
        )
        if fee > bound:
            raise Rejected("payout/fee", fee=fee, bound=bound, txid=txid)
        draft = self._draft(loan, terms, burns, _inputs(payout), fee=Sats(fee))
        self._sign_and_send(loan, terms, draft, burns)
        return draft.txid

    def _choose(self, coins: Sequence[OutPoint], *, burns: Sequence[Burn]) -> list[OutPoint]:
        """Largest coins first, as few as do: however many small ones somebody sends to the vault,
        the fee stays within the bound of the terms."""
        found = self._found(coins)
        found.sort(key=lambda coin: (-coin.sats, coin.height, coin.outpoint))
        left = -sum(burn.sats for burn in burns)
        chosen: list[OutPoint] = []
        for coin in found:
            chosen.append(coin.outpoint)
            left += coin.sats
            if left == 0 or left >= dust(coin.script_pubkey):
                break
        return chosen

    def _found(self, coins: Sequence[OutPoint]) -> list[Coin]:
        return [coin for each in coins if (coin := self._bitcoin.coin(each)) is not None]

    def _vsize(self, loan: str, burns: Sequence[Burn], found: Sequence[Coin]) -> int:
        """Most virtual bytes the payout can take, with what it gives back."""
        scripts = [bytes.fromhex(burn.script) for burn in burns]
        if sum(coin.sats for coin in found) > sum(burn.sats for burn in burns):
            scripts.append(self._vault_of(loan).script_pubkey)
        return payout_vsize(len(found), outputs=scripts)

    def _draft(
        self,
        loan: str,
        terms: Terms,
        burns: Sequence[Burn],
        coins: Sequence[OutPoint],
        *,
        fee: Sats | None = None,
    ) -> bip174.Psbt:
        """The spend of ``coins`` that pays ``burns``, unsigned: Creator and Updater (BIP-174).

        Without a ``fee`` it offers what the next block asks, within the bound.
        """
        vault, found = self._vault_of(loan), self._found(coins)
        if fee is None:
            asked = self._bitcoin.estimate_feerate(TARGET) * self._vsize(loan, burns, found)
            fee = Sats(min(asked, fee_bound(burns, max_fee=terms.max_fee)))
        outputs = plan_outputs(
            burns,
            spent=Sats(sum(coin.sats for coin in found)),
            fee=fee,
            vault_script=vault.script_pubkey.hex(),
            dust=dust(vault.script_pubkey),
        )
        return bip174.update(
            bip174.create(
                [coin.outpoint for coin in found],
                outputs=[(bytes.fromhex(o.script), o.sats) for o in outputs],
            ),
            owner=vault,
            prev_txs=[raw for c in found if (raw := self._bitcoin.transaction(c.outpoint.txid))],
        )

    def _sign_and_send(
        self, loan: str, terms: Terms, draft: bip174.Psbt, burns: Sequence[Burn]
    ) -> None:
        """Signers, Combiner, Finalizer, Extractor (BIP-174); then broadcast."""
        held = self.held.setdefault(loan, {})
        if (ready := held.get(draft.txid)) is not None:
            self._bitcoin.broadcast(ready)
            return
        script = self._vault_of(loan).script_pubkey
        void = self._signed_otherwise(draft, burns)
        signed: list[bip174.Psbt] = []
        answering = [each for each in self._cosigners if self._answers(each.party)]
        refused: EscrowError = Refused("cosigner/absent", asked="payout", answer=len(answering))
        # Nobody signs what too few could complete.
        for cosigner in answering if len(answering) >= QUORUM else ():
            if len(signed) == QUORUM:
                break
            try:
                signed.append(cosigner.sign(draft, terms=terms, script=script))
            except EscrowError as refusal:
                refused = refusal
        if len(signed) < QUORUM:
            raise refused
        raw = bip174.extract(bip174.finalize(bip174.combine(signed)))
        try:
            self._bitcoin.broadcast(raw)
        except Refused as refusal:
            if refusal.code == "bitcoin/fee":
                held[draft.txid] = raw
            raise
        for txid, names in void.items():
            self._tell(
                Refused("psbt/stale", txid=txid, instead=draft.txid, signers=" ".join(names))
            )

    def _signed_otherwise(self, draft: bip174.Psbt, burns: Sequence[Burn]) -> dict[str, list[str]]:
        """Who has signed which other spend for these burns last, by their own word."""
        found: dict[str, list[str]] = {}
        for cosigner in self._cosigners:
            last = {spends[-1][0] for burn in burns if (spends := cosigner.memory.get(burn.id, ()))}
            for txid in sorted(last - {draft.txid}):
                found.setdefault(txid, []).append(cosigner.party.name)
        return found


def _payout(escrow: Escrow, txid: str) -> Payout:
    payout = next((each for each in escrow.vault.payouts if each.txid == txid), None)
    if payout is None:
        raise Rejected("payout/unknown", txid=txid)
    return payout


def _inputs(payout: Payout) -> list[OutPoint]:
    return [OutPoint.parse(each) for each in payout.inputs]
