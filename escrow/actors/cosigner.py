"""Cosigners: each looks at both chains itself before it signs a spend of a vault.

A signature is the product's real power. A cosigner trusts neither the operator nor another
cosigner: what it signs must be entitled, output by output, by burns that it reads on the EVM
itself, out of coins that it sees on Bitcoin itself. And it remembers what it signed: a spend
that was signed and held back appears on no chain, yet can be sent at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from escrow.actors.entitlement import check_rested, judge_burns
from escrow.actors.generations import Generations
from escrow.actors.party import Party
from escrow.actors.reckoning import PriceRules
from escrow.actors.reserves import fee_of, reserves
from escrow.adapters.bitcoin.musig import MusigSigner
from escrow.adapters.bitcoin.policy import SEQUENCE_REPLACEABLE
from escrow.adapters.bitcoin.psbt import Psbt, Spend, SpendInput, asked, inspect, sign
from escrow.core.errors import Refused, Rejected
from escrow.core.payouts import Output, recognise
from escrow.core.regions.token import Burn
from escrow.core.regions.vault import Payout
from escrow.core.terms import Terms
from escrow.core.units import Sats
from escrow.ports import BitcoinView, EvmView, OutPoint

_WALLET: Final = b"\x00\x14"  # P2WPKH (BIP-141)

Memory = Mapping[int, Sequence[Sequence[str]]]
"""Burn id → each spend that was signed to pay it: its txid, then the coins it takes."""


class Cosigner:
    """One key of the quorum, and the policy that guards it."""

    def __init__(
        self,
        party: Party,
        *,
        bitcoin: BitcoinView,
        evm: EvmView,
        generations: Generations,
        session: Callable[[], bytes] | None = None,
        prices: PriceRules | None = None,
        blocks: int = 1,
    ) -> None:
        """``prices`` are the rules that were agreed on for prices; ``blocks`` is how many sealed
        blocks a burn must have, its own included.

        ``session`` gives 32 bytes that were never used before, for MuSig2's nonces: by default the
        operating system does."""
        self.party = party
        self._bitcoin = bitcoin
        self._evm = evm
        self.generations = generations
        """Its own knowledge of the vaults' addresses."""
        self._session = session
        self._prices = prices or PriceRules()
        self._blocks = blocks
        self._musig = MusigSigner(party.keys)
        self._signed: dict[int, list[tuple[str, ...]]] = {}

    def __repr__(self) -> str:
        return f"<Cosigner {self.party.name}>"

    @property
    def memory(self) -> Memory:
        """What it signed, to be kept: a cosigner that forgets can be asked twice."""
        return {burn: tuple(spends) for burn, spends in self._signed.items()}

    def remember(self, memory: Memory) -> None:
        """Take up what ``memory`` kept."""
        self._signed = {burn: [tuple(i) for i in spends] for burn, spends in memory.items()}

    def sign(self, psbt: Psbt, *, terms: Terms, script: bytes) -> Psbt:
        """Review, then sign and remember. Raises as ``review``."""
        spend, payout = self._review(psbt, terms=terms, script=script)
        signed = sign(psbt, keys=self.party.keys)
        self._note(spend, payout)
        return signed

    def nonces(self, psbt: Psbt, *, terms: Terms, script: bytes) -> Psbt:
        """MuSig2's first round (BIP-327): review, then give a nonce for exactly this spend.

        Raises as ``review`` and ``MusigSigner.nonces``.
        """
        self._review(psbt, terms=terms, script=script)
        return self._musig.nonces(psbt, session=self._session and self._session())

    def partial(self, psbt: Psbt, *, terms: Terms, script: bytes) -> Psbt:
        """MuSig2's second round: review again, since much may have happened meanwhile; sign with
        the nonce, which is gone then, and remember. Raises as ``review`` and
        ``MusigSigner.partial``.
        """
        spend, payout = self._review(psbt, terms=terms, script=script)
        signed = self._musig.partial(psbt)
        self._note(spend, payout)
        return signed

    def _note(self, spend: Spend, payout: Payout) -> None:
        for burn_id, _ in payout.paid:
            spends = self._signed.setdefault(burn_id, [])
            if (spend.txid, *payout.inputs) not in spends:
                spends.append((spend.txid, *payout.inputs))

    def review(self, psbt: Psbt, *, terms: Terms, script: bytes) -> Spend:
        """Is every output of this spend entitled? ``script`` is the vault's, from its descriptor.

        Raises ``Refused``: ``cosigner/loan-state`` if the escrow book does not know these terms or
        they name another vault; ``cosigner/input`` for coins that are not this vault's, not final
        or spent; ``cosigner/sequence`` if it could not be bumped; ``cosigner/destination``,
        ``cosigner/fee``; ``cosigner/amount``, also if another spend for the same burn was signed
        before and both could confirm; ``cosigner/change`` if what stays does not cover the tokens
        outstanding; ``cosigner/early`` for a relative lock that has not passed; and for the burns
        that it pays as ``judge_burns``.

        A payout that waits in the mempool may be replaced, by one that pays the same burns and
        more to the miner. A sweep, which gives all that it takes back to the vault in its first
        output, may take coins that tokens stand on and nobody waits for; who pays the miner has
        signed for the coins it brings before anybody of the quorum does.
        """
        return self._review(psbt, terms=terms, script=script)[0]

    def _review(self, psbt: Psbt, *, terms: Terms, script: bytes) -> tuple[Spend, Payout]:
        loan = self._evm.loan_id(terms)
        scripts = self.generations.scripts(terms)
        if self._evm.entry(loan).phase == 0 or script not in scripts:
            raise Refused("cosigner/loan-state", loan=loan)
        spend = inspect(psbt)
        rivals: list[str] = []
        ours = tuple(each for each in spend.inputs if each.script_pubkey == script)
        swept = self._is_sweep(psbt, spend, ours, scripts[-1])
        for each in ours if swept else spend.inputs:
            coin = self._bitcoin.coin(each.outpoint)
            depth = self._bitcoin.height - coin.height + 1 if coin else 0
            # What is spent in a block is no coin any more; what spends it waits.
            if coin is None or each.script_pubkey != script or depth < terms.confirmations:
                raise Refused("cosigner/input", outpoint=str(each.outpoint), depth=depth)
            rival = self._bitcoin.spender(each.outpoint)
            if rival not in (None, spend.txid, *rivals):
                rivals.append(rival or "")
        if script != scripts[-1] and not swept:
            raise Refused("cosigner/input", outpoint=str(spend.inputs[0].outpoint), reason="old")
        if not 0 <= spend.fee <= terms.max_fee:
            raise Refused("cosigner/fee", fee=spend.fee, bound=terms.max_fee)
        if spend.locktime:
            raise Refused("cosigner/loan-state", locktime=spend.locktime)
        if any(each.sequence > SEQUENCE_REPLACEABLE for each in spend.inputs):
            raise Refused("cosigner/sequence", highest=SEQUENCE_REPLACEABLE)
        check_rested(spend.inputs, bitcoin=self._bitcoin)
        if swept:
            return spend, self._judge_sweep(spend, ours, rivals, loan=loan, scripts=scripts)
        payout = self._judge_outputs(spend, rivals, loan=loan, scripts=scripts)
        self._judge_memory(payout, confirmations=terms.confirmations)
        ids = {burn_id for burn_id, _ in payout.paid}
        evm, prices, blocks = self._evm, self._prices, self._blocks
        judge_burns(ids, loan=loan, terms=terms, evm=evm, prices=prices, blocks=blocks)
        return spend, payout

    def _is_sweep(
        self, psbt: Psbt, spend: Spend, ours: Sequence[SpendInput], script: bytes
    ) -> bool:
        """Does the vault get back what it gives, beside coins that are signed for already?

        Somebody else's coins must be of a single key's wallet, never of a vault, and all who are
        asked for them have signed: so nobody is made to sign away coins of its own here.
        """
        if not ours or len(ours) == len(spend.inputs) or not spend.outputs:
            return False
        first, given = spend.outputs[0], sum(each.sats for each in ours)
        keys = asked(psbt)
        return (first.script_pubkey, first.sats) == (script, given) and all(
            each in ours
            or (each.script_pubkey[:2] == _WALLET and keys[number].keys() <= each.signed_by)
            for number, each in enumerate(spend.inputs)
        )

    def _judge_sweep(
        self,
        spend: Spend,
        ours: Sequence[SpendInput],
        rivals: Sequence[str],
        *,
        loan: str,
        scripts: Sequence[bytes],
    ) -> Payout:
        """Tokens must stand on every coin: one that was never minted for could never be again."""
        seen = reserves(scripts, burned=self._evm.burns(loan), bitcoin=self._bitcoin)
        for each in ours:
            counts = each.outpoint in seen.change or self._evm.is_minted(str(each.outpoint))
            if rivals or not counts:
                raise Refused("cosigner/input", outpoint=str(each.outpoint), rivals=len(rivals))
        inputs = tuple(str(each.outpoint) for each in ours)
        return Payout(spend.txid, inputs, (), Sats(0), spend.outputs[0].sats)

    def _judge_outputs(
        self, spend: Spend, rivals: Sequence[str], *, loan: str, scripts: Sequence[bytes]
    ) -> Payout:
        script = scripts[-1]
        burned = self._evm.burns(loan)
        but = (spend.txid, *rivals)
        seen = reserves(scripts, burned=burned, bitcoin=self._bitcoin, but=but)
        for each in spend.outputs:
            named = each.script_pubkey.hex()
            if each.script_pubkey != script and all(burn.script != named for burn in burned):
                raise Refused("cosigner/destination", script=named)
        spent = Sats(sum(i.sats for i in spend.inputs))
        try:
            payout = recognise(
                [Output(o.script_pubkey.hex(), o.sats) for o in spend.outputs],
                txid=spend.txid,
                inputs=[str(i.outpoint) for i in spend.inputs],
                spent=spent,
                owed=seen.unpaid,
                vault_script=script.hex(),
            )
        except Rejected as refusal:
            raise Refused("cosigner/amount", unpaid=len(seen.unpaid)) from refusal
        if rivals:
            self._judge_replacement(payout, rivals, burned=burned, scripts=scripts)
        # A second look at the whole, that needs no matching: what stays in the vault must cover
        # every token outstanding and every burn still unpaid.
        stays = seen.sats - spent + payout.change
        after = {burn_id for burn_id, _ in payout.paid}
        unpaid = sum(burn.sats for burn in seen.unpaid if burn.id not in after)
        outstanding = self._evm.outstanding(loan)
        if stays < outstanding + unpaid:
            raise Refused("cosigner/change", stays=stays, outstanding=outstanding, unpaid=unpaid)
        return payout

    def _judge_replacement(
        self,
        payout: Payout,
        rivals: Sequence[str],
        *,
        burned: Sequence[Burn],
        scripts: Sequence[bytes],
    ) -> None:
        """What it pushes out must be payouts; whoever they pay, it pays; and it costs more."""
        now = reserves(scripts, burned=burned, bitcoin=self._bitcoin, but=(payout.txid,))
        if not now.payouts.issuperset(rivals):
            raise Refused("cosigner/input", rivals=len(rivals), txid=rivals[0])
        still = {burn.id for burn in now.unpaid} | {burn_id for burn_id, _ in payout.paid}
        then = reserves(scripts, burned=burned, bitcoin=self._bitcoin, but=(payout.txid, *rivals))
        if any(burn.id not in still for burn in then.unpaid):
            raise Refused("cosigner/amount", rivals=len(rivals), paid=len(payout.paid))
        most = max(fee_of(txid, bitcoin=self._bitcoin) for txid in rivals)
        if payout.fee <= most:
            raise Refused("cosigner/fee", fee=payout.fee, least=most + 1)

    def _judge_memory(self, payout: Payout, *, confirmations: int) -> None:
        """Two spends for one burn must share a coin, so that only one of them can confirm."""
        for burn_id, _ in payout.paid:
            for txid, *inputs in self._signed.get(burn_id, ()):
                dead = any(self._is_taken(each, confirmations, but=txid) for each in inputs)
                if not dead and not set(inputs) & set(payout.inputs):
                    raise Refused("cosigner/amount", burn=burn_id, signed_before=txid)

    def _is_taken(self, outpoint: str, confirmations: int, *, but: str) -> bool:
        """Did another transaction than ``but`` take this coin for good?"""
        txid = self._bitcoin.spender(OutPoint.parse(outpoint))
        return txid not in (None, but) and (self._bitcoin.depth(txid or "") or 0) >= confirmations
