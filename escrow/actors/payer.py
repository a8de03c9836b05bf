"""The operator's hand in payouts: which coins, what fee, asked of whom; sent, sent again, bumped.

It holds no key. It drafts, a quorum signs or does not, and what it signed is broadcast. Which
quorum: that of the cheapest path of the vault that is open and whose roles sign.
A draft that takes the place of one that somebody has signed makes those signatures void: whose
they were is said aloud, and they are never merged with the new ones (BIP-174 combines copies of
one transaction).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import product
from typing import Final

from escrow.actors.cosigner import Cosigner
from escrow.actors.party import Party
from escrow.actors.vaults import payout_paths
from escrow.adapters.bitcoin import psbt as bip174
from escrow.adapters.bitcoin.musig import aggregate
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.adapters.bitcoin.taken import path_taken
from escrow.adapters.bitcoin.vault import Vault, dust
from escrow.core.errors import EscrowError, Refused, Rejected
from escrow.core.payouts import fee_bound, plan_outputs
from escrow.core.phases import agreed_terms, paid_burns
from escrow.core.regions.token import Burn
from escrow.core.regions.vault import Payout
from escrow.core.state import Escrow
from escrow.core.terms import Terms
from escrow.core.units import Sats
from escrow.custody.policy import Form, Older, Path
from escrow.ports import BitcoinPort, Coin, OutPoint

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
        holder: Callable[[str, Terms], Party],
        tell: Callable[[EscrowError], None],
        clock_at: Callable[[int], int],
    ) -> None:
        """``holder`` says who signs for a role of these terms' vault; ``clock_at`` is Bitcoin's own
        clock at a height (BIP-113): it opens relative locks."""
        self._cosigners = cosigners
        self._bitcoin = bitcoin
        self._vault_of = vault_of
        self._answers = answers
        self._holder = holder
        self._tell = tell
        self._clock_at = clock_at
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
        for chosen, path in product((burns, *alone), paths_of(self._vault_of(loan))):
            usable = [each for each in coins if self.is_open(path, each)]
            for taken in (self._choose(usable, burns=chosen), usable) if usable else ():
                try:
                    draft = self._draft(loan, terms, chosen, taken, path=path)
                    tried.append(draft.txid)
                    self._sign_and_send(loan, terms, draft, chosen, path=path)
                except EscrowError as refusal:
                    refused.append(refusal)
                else:
                    self.held.pop(loan, None)
                    return
        held = self.held.get(loan, {})
        self.held[loan] = {txid: held[txid] for txid in tried if txid in held}
        raise refused[0] if refused else Refused("cosigner/absent", asked="payout", open=0)

    def send_again(self, loan: str, escrow: Escrow, txid: str) -> bool:
        """Send a payout again that a reorganisation threw out. Signatures are deterministic, so
        it is the same transaction. Where its fee is not enough any more, it is bumped."""
        payout, terms = _payout(escrow, txid), agreed_terms(escrow)
        if self._bitcoin.depth(txid) is not None or not payout.paid:
            return False
        burns = paid_burns(escrow, payout)
        refused: EscrowError = Rejected("payout/unknown", txid=txid)
        for path in self._paths(loan, payout):
            draft = self._draft(loan, terms, burns, _inputs(payout), path=path, fee=payout.fee)
            if draft.txid != txid:
                continue
            try:
                self._sign_and_send(loan, terms, draft, burns, path=path)
            except Refused as refusal:
                if refusal.code == "bitcoin/fee":
                    return bool(self.bump(loan, escrow, txid))
                refused = refusal
            else:
                return True
        raise refused

    def bump(self, loan: str, escrow: Escrow, txid: str, *, feerate: int | None = None) -> str:
        """Replace a payout by one that pays the same burns from the same coins at ``feerate``
        sat/vB, by default what the next block asks; its txid. Empty, and nothing is done, if it
        pays that already.

        Raises Rejected("payout/fee") beyond the bound, and then nobody was asked to sign; what the
        cosigners and the node refuse leaves the old one standing.
        """
        payout, terms = _payout(escrow, txid), agreed_terms(escrow)
        burns, found = paid_burns(escrow, payout), self._found(_inputs(payout))
        if not burns:
            raise Rejected("payout/unknown", txid=txid, burns=0)
        bound = fee_bound(burns, max_fee=terms.max_fee)
        refused: EscrowError = Rejected("payout/unknown", txid=txid)
        for path in self._paths(loan, payout):
            vsize = self._vsize(loan, burns, found, path=path)
            wanted = vsize * (feerate or self._bitcoin.estimate_feerate(TARGET))
            if wanted <= payout.fee:
                return ""
            fee = max(wanted, payout.fee + _RELAY * vsize)
            if fee > bound:
                refused = Rejected("payout/fee", fee=fee, bound=bound, txid=txid)
                continue
            draft = self._draft(loan, terms, burns, _inputs(payout), path=path, fee=Sats(fee))
            try:
                self._sign_and_send(loan, terms, draft, burns, path=path)
            except EscrowError as refusal:
                refused = refusal
            else:
                return draft.txid
        raise refused

    def _paths(self, loan: str, payout: Payout) -> list[Path]:
        """Paths open to all coins of a payout: the one it takes if that can be told, then the
        cheapest."""
        vault, coins = self._vault_of(loan), _inputs(payout)
        raw, taken = self._bitcoin.transaction(payout.txid), ""
        if raw is not None and (found := self._found(coins[:1])):
            taken = path_taken(vault, read_transaction(raw), 0, sats=found[0].sats)
        paths = [p for p in paths_of(vault) if all(self.is_open(p, coin) for coin in coins)]
        return sorted(paths, key=lambda path: path.name != taken)

    def is_open(self, path: Path, outpoint: OutPoint) -> bool:
        """Has the coin rested for as long as the path asks, by Bitcoin's own clock (BIP-68)?"""
        if not isinstance(path.lock, Older):
            return True
        coin = self._bitcoin.coin(outpoint)
        if coin is None or not coin.height:
            return False
        rested = self._clock_at(self._bitcoin.height) - self._clock_at(coin.height - 1)
        return rested >= path.lock.seconds

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

    def _vsize(self, loan: str, burns: Sequence[Burn], found: Sequence[Coin], *, path: Path) -> int:
        """Most virtual bytes the payout can take, with what it gives back."""
        scripts = [bytes.fromhex(burn.script) for burn in burns]
        if sum(coin.sats for coin in found) > sum(burn.sats for burn in burns):
            scripts.append(self._vault_of(loan).script_pubkey)
        return self._vault_of(loan).vsize(path.name, len(found), scripts)

    def _draft(
        self,
        loan: str,
        terms: Terms,
        burns: Sequence[Burn],
        coins: Sequence[OutPoint],
        *,
        path: Path,
        fee: Sats | None = None,
    ) -> bip174.Psbt:
        """The spend of ``coins`` that pays ``burns``, unsigned: Creator and Updater (BIP-174).

        Without a ``fee`` it offers what the next block asks, within the bound.
        """
        vault, found = self._vault_of(loan), self._found(coins)
        if fee is None:
            vsize = self._vsize(loan, burns, found, path=path)
            asked = self._bitcoin.estimate_feerate(TARGET) * vsize
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
                sequence=vault.sequence(path.name),
            ),
            owner=vault,
            prev_txs=[raw for c in found if (raw := self._bitcoin.transaction(c.outpoint.txid))],
            path=path.name,
        )

    def _sign_and_send(
        self,
        loan: str,
        terms: Terms,
        draft: bip174.Psbt,
        burns: Sequence[Burn],
        *,
        path: Path,
    ) -> None:
        """Signers, Combiner, Finalizer, Extractor (BIP-174); then broadcast."""
        held = self.held.setdefault(loan, {})
        if (ready := held.get(draft.txid)) is not None:
            self._bitcoin.broadcast(ready)
            return
        void = self._signed_otherwise(draft, burns)
        script = self._vault_of(loan).script_pubkey
        signed = self.collect(draft, path=path, terms=terms, script=script)
        raw = bip174.extract(bip174.finalize(signed))
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

    def collect(
        self,
        draft: bip174.Psbt,
        *,
        path: Path,
        terms: Terms,
        script: bytes,
        without: Collection[str] = (),
    ) -> bip174.Psbt:
        """The draft with as many signatures as the path asks for, each after its signer's own
        review; roles ``without`` a key are not asked. Raises Refused("cosigner/absent") if too
        few answer, else why the last refused."""
        names = {self._holder(role, terms).name for role in path.roles if role not in set(without)}
        asked = [each for each in self._cosigners if each.party.name in names]
        answering = [each for each in asked if self._answers(each.party)]
        # Nobody signs what too few could complete.
        if len(answering) < path.threshold:
            raise Refused("cosigner/absent", asked="payout", answer=len(answering))
        if path.form is Form.MUSIG:
            first = [each.nonces(draft, terms=terms, script=script) for each in answering]
            nonces = bip174.combine(first)
            second = [each.partial(nonces, terms=terms, script=script) for each in answering]
            return aggregate(bip174.combine(second))
        signed: list[bip174.Psbt] = []
        refused: list[EscrowError] = []
        for cosigner in answering:
            if len(signed) == path.threshold:
                break
            try:
                signed.append(cosigner.sign(draft, terms=terms, script=script))
            except EscrowError as refusal:
                refused.append(refusal)
        if len(signed) < path.threshold:
            raise refused[-1]
        return bip174.combine(signed)

    def _signed_otherwise(self, draft: bip174.Psbt, burns: Sequence[Burn]) -> dict[str, list[str]]:
        """Who has signed which other spend for these burns last, by their own word."""
        found: dict[str, list[str]] = {}
        for cosigner in self._cosigners:
            last = {spends[-1][0] for burn in burns if (spends := cosigner.memory.get(burn.id, ()))}
            for txid in sorted(last - {draft.txid}):
                found.setdefault(txid, []).append(cosigner.party.name)
        return found


def paths_of(vault: Vault) -> list[Path]:
    """Paths by which a quorum moves coins of this vault, the cheapest first."""
    back = [vault.script_pubkey]
    return sorted(payout_paths(vault.policy), key=lambda path: vault.vsize(path.name, 1, back))


def _payout(escrow: Escrow, txid: str) -> Payout:
    payout = next((each for each in escrow.vault.payouts if each.txid == txid), None)
    if payout is None:
        raise Rejected("payout/unknown", txid=txid)
    return payout


def _inputs(payout: Payout) -> list[OutPoint]:
    return [OutPoint.parse(each) for each in payout.inputs]
