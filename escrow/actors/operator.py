"""The operator: carries messages and keeps duties. Holds no key of any vault.

It performs what ``due`` says is owed by itself, the attestors and the quorum. Everything is
idempotent: performing twice is performing once, because the chains refuse the second time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from escrow.actors.attestor import Attestor
from escrow.actors.cosigner import Cosigner
from escrow.actors.party import Party
from escrow.adapters.bitcoin import psbt as bip174
from escrow.adapters.bitcoin.vault import Vault, dust, payout_vsize
from escrow.adapters.evm.client import EvmClient, terms_mapping
from escrow.adapters.evm.typed import Sig, sign_terms
from escrow.core.due import (
    AttestDeposit,
    AttestLoss,
    BuryPayout,
    CallMargin,
    CancelOnEvm,
    CureCall,
    Effect,
    ExpireCallOnEvm,
    NoteRecoveryOnEvm,
    OpenOnEvm,
    PayBurns,
)
from escrow.core.errors import EscrowError, Refused, Rejected
from escrow.core.payouts import plan_outputs
from escrow.core.phases import terms_of
from escrow.core.regions.token import Burn
from escrow.core.state import Escrow
from escrow.core.terms import Terms
from escrow.core.units import Sats, Seconds
from escrow.ports import BitcoinPort, OutPoint

FEERATE: Final = 2
"""Sats a virtual byte offered for a payout, within the bound of the terms."""
QUORUM: Final = 2
"""Cosigners a vault asks for."""


class Operator:
    """Hands of the engine."""

    def __init__(
        self,
        party: Party,
        *,
        parties: tuple[Party, Party],
        attestors: Sequence[Attestor],
        attestor_quorum: int,
        cosigners: Sequence[Cosigner],
        bitcoin: BitcoinPort,
        evm: EvmClient,
        vault_of: Callable[[str], Vault],
        answers: Callable[[Party], bool],
        now: Callable[[], Seconds],
    ) -> None:
        self.party = party
        self._parties = parties
        self._attestors = attestors
        self._attestor_quorum = attestor_quorum
        self._cosigners = cosigners
        self._bitcoin = bitcoin
        self._evm = evm
        self._vault_of = vault_of
        self._answers = answers
        self._now = now
        self.refusals: list[EscrowError] = []
        """Who said no, and why, since somebody last looked."""

    def perform(self, loan: str, escrow: Escrow, effect: Effect) -> bool:
        """Do what is owed. Says whether anything was done; what could not be stays owed."""
        terms = terms_of(escrow.loan)
        try:
            match effect:
                case OpenOnEvm():
                    self._evm.book(self.party.account, "open", terms, *self._signed(terms))
                case AttestDeposit(outpoint=outpoint):
                    self._mint(OutPoint.parse(outpoint), terms)
                case AttestLoss(outpoint=outpoint, sats=sats):
                    self._retire(OutPoint.parse(outpoint), terms, sats)
                case CancelOnEvm():
                    self._evm.book(self.party.account, "cancel", terms)
                case CallMargin():
                    self._evm.book(self.party.account, "margin_call", terms)
                case CureCall():
                    self._evm.book(self.party.account, "cure", terms)
                case ExpireCallOnEvm():
                    self._evm.book(self.party.account, "expire_call", terms)
                case NoteRecoveryOnEvm():
                    self._evm.book(self.party.account, "recovered", terms)
                case PayBurns(burns=burns, coins=coins):
                    self._pay(loan, terms, burns, [OutPoint.parse(c.outpoint) for c in coins])
                case BuryPayout(txid=txid):
                    return self._rebroadcast(loan, escrow, txid)
                case _:
                    return False
        except EscrowError as refusal:
            self.refusals.append(refusal)
            return False
        return True

    def _signed(self, terms: Terms) -> tuple[Sig, Sig]:
        borrower, lender = (
            sign_terms(
                party.account,
                terms=terms_mapping(terms),
                domain=self._evm.contracts.book.domain,
            )
            for party in self._parties
        )
        return borrower, lender

    def _mint(self, outpoint: OutPoint, terms: Terms) -> None:
        self._quorum_sends(
            "mint",
            lambda attestor: attestor.attest(outpoint, terms=terms, at=self._now()),
        )

    def _retire(self, outpoint: OutPoint, terms: Terms, sats: Sats) -> None:
        self._quorum_sends(
            "retire",
            lambda attestor: attestor.attest_loss(outpoint, terms=terms, sats=sats, at=self._now()),
        )

    def _quorum_sends(
        self, function: str, ask: Callable[[Attestor], tuple[dict[str, object], Sig]]
    ) -> None:
        signatures: list[Sig] = []
        message: dict[str, object] = {}
        refused: EscrowError = Refused("cosigner/absent", asked=function)
        for attestor in self._attestors:
            if len(signatures) == self._attestor_quorum or not self._answers(attestor.party):
                continue
            try:
                message, signature = ask(attestor)
            except EscrowError as refusal:
                refused = refusal
                continue
            signatures.append(signature)
        if len(signatures) < self._attestor_quorum:
            raise refused
        self._evm.contracts.pledge.send(
            self.party.account, function, tuple(message.values()), signatures
        )

    def _pay(
        self, loan: str, terms: Terms, burns: Sequence[Burn], coins: Sequence[OutPoint]
    ) -> None:
        """Pay these burns in one spend of few coins. Where somebody refuses that, take all coins,
        which conflicts with whatever was signed before and got lost; then pay the oldest burn that
        can be paid by itself: one that cannot must not hold up the others."""
        alone = [(burn,) for burn in burns] if len(burns) > 1 else []
        refused: list[EscrowError] = []
        for chosen in (burns, *alone):
            for taken in (self._choose(coins, burns=chosen), coins):
                try:
                    draft = self._draft(loan, terms, chosen, taken)
                    self._sign_and_send(loan, terms, draft)
                except EscrowError as refusal:
                    refused.append(refusal)
                else:
                    return
        raise refused[0]

    def _choose(self, coins: Sequence[OutPoint], *, burns: Sequence[Burn]) -> list[OutPoint]:
        """Largest coins first, as few as do: however many small ones somebody sends to the vault,
        the fee stays within the bound of the terms."""
        found = [coin for each in coins if (coin := self._bitcoin.coin(each)) is not None]
        found.sort(key=lambda coin: (-coin.sats, coin.height, coin.outpoint))
        left = -sum(burn.sats for burn in burns)
        chosen: list[OutPoint] = []
        for coin in found:
            chosen.append(coin.outpoint)
            left += coin.sats
            if left == 0 or left >= dust(coin.script_pubkey):
                break
        return chosen

    def _draft(
        self, loan: str, terms: Terms, burns: Sequence[Burn], coins: Sequence[OutPoint]
    ) -> bip174.Psbt:
        """The spend of ``coins`` that pays ``burns``, unsigned: Creator and Updater (BIP-174)."""
        vault = self._vault_of(loan)
        found = [coin for each in coins if (coin := self._bitcoin.coin(each)) is not None]
        spent = Sats(sum(coin.sats for coin in found))
        scripts = [bytes.fromhex(burn.script) for burn in burns]
        change = [vault.script_pubkey] if spent > sum(burn.sats for burn in burns) else []
        vsize = payout_vsize(len(found), outputs=[*scripts, *change])
        outputs = plan_outputs(
            burns,
            spent=spent,
            fee=Sats(min(FEERATE * vsize, terms.max_fee)),
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

    def _sign_and_send(self, loan: str, terms: Terms, draft: bip174.Psbt) -> None:
        """Signers, Combiner, Finalizer, Extractor (BIP-174); then broadcast."""
        script = self._vault_of(loan).script_pubkey
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
        self._bitcoin.broadcast(bip174.extract(bip174.finalize(bip174.combine(signed))))

    def _rebroadcast(self, loan: str, escrow: Escrow, txid: str) -> bool:
        """Send a payout again that a reorganisation threw out. Signatures are deterministic, so
        it is the same transaction; any other one must not be signed in its place."""
        if self._bitcoin.depth(txid) is not None:
            return False
        payout = next(p for p in escrow.vault.payouts if p.txid == txid)
        burns = {burn.id: burn for burn in escrow.token.burns}
        terms = terms_of(escrow.loan)
        draft = self._draft(
            loan,
            terms,
            [burns[burn_id] for burn_id, _ in payout.paid],
            [OutPoint.parse(each) for each in payout.inputs],
        )
        if draft.txid != txid:
            raise Rejected("payout/unknown", txid=draft.txid)
        self._sign_and_send(loan, terms, draft)
        return True
