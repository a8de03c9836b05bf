"""The operator: carries messages and keeps duties. Holds no key of any vault.

It performs what ``due`` says is owed by itself, the attestors and the quorum. Everything is
idempotent: performing twice is performing once, because the chains refuse the second time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from escrow.actors.attestor import Attestor
from escrow.actors.cosigner import Cosigner
from escrow.actors.party import Party
from escrow.actors.payer import Payer
from escrow.actors.sweeper import Sweeper
from escrow.adapters.bitcoin.vault import Vault
from escrow.adapters.bitcoin.wallet import Wallet
from escrow.adapters.evm.client import EvmClient, terms_mapping
from escrow.adapters.evm.typed import Sig, sign_terms
from escrow.core.due import (
    AttestDeposit,
    AttestLoss,
    BumpPayout,
    BuryPayout,
    CallMargin,
    CancelOnEvm,
    CureCall,
    Effect,
    EndDispute,
    ExpireCallOnEvm,
    NoteRecoveryOnEvm,
    OpenOnEvm,
    PayBurns,
    RedoAuction,
    SweepVault,
)
from escrow.core.errors import EscrowError, Refused
from escrow.core.phases import agreed_terms, terms_of
from escrow.core.state import Escrow
from escrow.core.terms import Terms
from escrow.core.units import Sats, Seconds
from escrow.ports import BitcoinPort, OutPoint


class Operator:
    """Hands of the engine."""

    def __init__(
        self,
        party: Party,
        *,
        sides: Callable[[Terms], tuple[Party, Party]],
        holder: Callable[[str, Terms], Party],
        attestors: Sequence[Attestor],
        attestor_quorum: int,
        cosigners: Sequence[Cosigner],
        bitcoin: BitcoinPort,
        evm: EvmClient,
        vault_of: Callable[[str], Vault],
        answers: Callable[[Party], bool],
        now: Callable[[], Seconds],
        clock_at: Callable[[int], int],
        vaults_of: Callable[[str], Sequence[Vault]],
        wallet_of: Callable[[Party], Wallet],
    ) -> None:
        """``sides`` are borrower and lender of terms, ``holder`` who signs for a role of their
        vault. The first side that can pays for sweeps that a re-key makes due: whoever agrees to
        that agrees to this."""
        self.party = party
        self._sides = sides
        self._attestors = attestors
        self._attestor_quorum = attestor_quorum
        self._bitcoin = bitcoin
        self._evm = evm
        self._answers = answers
        self._now = now
        self.refusals: list[EscrowError] = []
        """Who said no, and why, and whose signatures became void, since somebody last looked."""
        self.payer = Payer(
            cosigners=cosigners,
            bitcoin=bitcoin,
            vault_of=vault_of,
            answers=answers,
            holder=holder,
            tell=self.refusals.append,
            clock_at=clock_at,
        )
        """Its hand in payouts."""
        self.sweeper = Sweeper(self.payer, bitcoin=bitcoin, wallet_of=wallet_of)
        """Its hand in sweeps."""
        self._vaults_of = vaults_of

    def perform(self, loan: str, escrow: Escrow, effect: Effect) -> bool:
        """Do what is owed. Says whether anything was done; what could not be stays owed. One that
        is silent keeps no duty: anyone may do them instead."""
        if not self._answers(self.party):
            return False
        terms, agreed = terms_of(escrow.loan), agreed_terms(escrow)
        try:
            match effect:
                case OpenOnEvm():
                    signatures = self.signed(terms, *self._sides(terms))
                    self._evm.book(self.party.account, "open", terms, *signatures)
                case AttestDeposit(outpoint=outpoint):
                    self._mint(OutPoint.parse(outpoint), agreed)
                case AttestLoss(outpoint=outpoint, sats=sats):
                    self._retire(OutPoint.parse(outpoint), agreed, sats)
                case CancelOnEvm():
                    self._evm.book(self.party.account, "cancel", terms)
                case CallMargin():
                    self._evm.book(self.party.account, "margin_call", terms)
                case CureCall():
                    self._evm.book(self.party.account, "cure", terms)
                case ExpireCallOnEvm():
                    self._evm.book(self.party.account, "expire_call", terms)
                case EndDispute():
                    self._evm.book(self.party.account, "resolve", terms, False)
                case RedoAuction():
                    self._evm.book(self.party.account, "redo", terms)
                case NoteRecoveryOnEvm():
                    self._evm.book(self.party.account, "recovered", terms)
                case PayBurns(burns=burns, coins=coins):
                    self._wait_for_block(loan)
                    outpoints = [OutPoint.parse(coin.outpoint) for coin in coins]
                    self.payer.pay(loan, agreed, burns, outpoints)
                case SweepVault(generation=number, coins=coins):
                    self._sweep(loan, escrow, number, [OutPoint.parse(c.outpoint) for c in coins])
                case BuryPayout(txid=txid):
                    return self.payer.send_again(loan, escrow, txid)
                case BumpPayout(txid=txid):
                    waits = self._bitcoin.depth(txid) == 0
                    return waits and bool(self.payer.bump(loan, escrow, txid))
                case _:
                    return False
        except EscrowError as refusal:
            self.refusals.append(refusal)
            return False
        return True

    def _sweep(self, loan: str, escrow: Escrow, number: int, places: Sequence[OutPoint]) -> None:
        """Coins of an older generation into the newest, signed without the keys that were lost."""
        vaults = self._vaults_of(loan)
        lost = [each.role for each in escrow.vault.generations[number:]]
        coins = [coin for each in places if (coin := self._bitcoin.coin(each)) is not None]
        terms, refused = agreed_terms(escrow), list[EscrowError]()
        for funder in self._sides(terms):
            if not self._answers(funder):
                continue
            try:
                self.sweeper.sweep(
                    coins,
                    terms=terms,
                    old=vaults[number],
                    new=vaults[-1],
                    funder=funder,
                    without=lost,
                )
            except EscrowError as refusal:
                refused.append(refusal)
            else:
                return
        raise refused[0] if refused else Refused("cosigner/absent", asked="sweep")

    def _wait_for_block(self, loan: str) -> None:
        """No cosigner pays for a burn whose block is under way: ask once it is sealed."""
        if any(not each.blocks for each in self._evm.said(loan)):
            self._evm.chain.seal()

    def signed(self, terms: Terms, borrower: Party, lender: Party) -> tuple[Sig, Sig]:
        """Terms as borrower and lender sign them, each with its own key."""
        domain, message = self._evm.contracts.book.domain, terms_mapping(terms)
        return (
            sign_terms(borrower.account, terms=message, domain=domain),
            sign_terms(lender.account, terms=message, domain=domain),
        )

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
        # Attestors who see another tip say another thing: only equal words make a quorum.
        agreed: dict[tuple[object, ...], list[Sig]] = {}
        refused: EscrowError = Refused("cosigner/absent", asked=function)
        for attestor in self._attestors:
            if not self._answers(attestor.party):
                continue
            try:
                message, signature = ask(attestor)
            except EscrowError as refusal:
                refused = refusal
                continue
            said = tuple(message.values())
            signatures = agreed.setdefault(said, [])
            signatures.append(signature)
            if len(signatures) == self._attestor_quorum:
                self._evm.contracts.pledge.send(self.party.account, function, said, signatures)
                return
        raise refused
