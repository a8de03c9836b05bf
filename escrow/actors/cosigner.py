"""Cosigners: each looks at both chains itself before it signs a spend of a vault.

A signature is the product's real power. A cosigner trusts neither the operator nor another
cosigner: what it signs must be entitled, output by output, by burns that it reads on the EVM
itself, out of coins that it sees on Bitcoin itself.
"""

from __future__ import annotations

from btclib.tx import OutPoint as TxOutPoint

from escrow.actors.party import Party
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.adapters.bitcoin.psbt import Psbt, Spend, inspect, sign
from escrow.core.errors import Refused, Rejected
from escrow.core.payouts import Output, recognise
from escrow.core.regions.token import Burn
from escrow.core.terms import Terms
from escrow.core.units import Sats
from escrow.ports import BitcoinView, EvmView


class Cosigner:
    """One key of the quorum, and the policy that guards it."""

    def __init__(self, party: Party, *, bitcoin: BitcoinView, evm: EvmView) -> None:
        self.party = party
        self._bitcoin = bitcoin
        self._evm = evm

    def __repr__(self) -> str:
        return f"<Cosigner {self.party.name}>"

    def sign(self, psbt: Psbt, *, terms: Terms, script: bytes) -> Psbt:
        """Review, then sign. Raises as ``review``."""
        self.review(psbt, terms=terms, script=script)
        return sign(psbt, keys=self.party.keys)

    def review(self, psbt: Psbt, *, terms: Terms, script: bytes) -> Spend:
        """Is every output of this spend entitled? ``script`` is the vault's, from its descriptor.

        Raises ``Refused``: ``cosigner/loan-state`` if the escrow book does not know these terms or
        they name another vault; ``cosigner/input`` for coins that are not this vault's, not final
        or spent; ``cosigner/destination``, ``cosigner/amount``, ``cosigner/fee``;
        ``cosigner/change`` if what stays does not cover the tokens outstanding.
        """
        loan = self._evm.loan_id(terms)
        if self._evm.entry(loan).phase == 0 or script.hex() != "0020" + terms.vault[2:]:
            raise Refused("cosigner/loan-state", loan=loan)
        spend = inspect(psbt)
        spent = 0
        for each in spend.inputs:
            coin = self._bitcoin.coin(each.outpoint)
            depth = self._bitcoin.height - coin.height + 1 if coin else 0
            if (
                coin is None
                or each.script_pubkey != script
                or depth < terms.confirmations
                or self._bitcoin.spender(each.outpoint) not in (None, spend.txid)
            ):
                raise Refused("cosigner/input", outpoint=str(each.outpoint), depth=depth)
            spent += coin.sats
        if not 0 <= spend.fee <= terms.max_fee:
            raise Refused("cosigner/fee", fee=spend.fee, bound=terms.max_fee)
        if spend.locktime:
            raise Refused("cosigner/loan-state", locktime=spend.locktime)
        self._judge_outputs(spend, loan=loan, script=script)
        return spend

    def _judge_outputs(self, spend: Spend, *, loan: str, script: bytes) -> None:
        burned = self._evm.burns(loan)
        owed, paid_before = self._unpaid(burned, script=script, but=spend.txid)
        for each in spend.outputs:
            named = each.script_pubkey.hex()
            if each.script_pubkey != script and all(burn.script != named for burn in burned):
                raise Refused("cosigner/destination", script=named)
        try:
            payout = recognise(
                [Output(o.script_pubkey.hex(), o.sats) for o in spend.outputs],
                txid=spend.txid,
                inputs=[str(i.outpoint) for i in spend.inputs],
                spent=Sats(sum(i.sats for i in spend.inputs)),
                owed=owed,
                vault_script=script.hex(),
            )
        except Rejected as refusal:
            raise Refused("cosigner/amount", paid_before=paid_before) from refusal
        # A second look at the whole, that needs no matching: what stays in the vault must cover
        # every token outstanding and every burn still unpaid.
        gone = {i.outpoint for i in spend.inputs}
        stays = payout.change + sum(
            coin.sats for coin in self._bitcoin.coins(script) if coin.outpoint not in gone
        )
        after = {burn_id for burn_id, _ in payout.paid}
        unpaid = sum(burn.sats for burn in owed if burn.id not in after)
        outstanding = self._evm.outstanding(loan)
        if stays < outstanding + unpaid:
            raise Refused("cosigner/change", stays=stays, outstanding=outstanding, unpaid=unpaid)

    def _unpaid(
        self, burned: tuple[Burn, ...], *, script: bytes, but: str
    ) -> tuple[tuple[Burn, ...], int]:
        """Burns that no earlier spend of this vault has paid, read off Bitcoin alone.

        Follows every spend of every coin that ever paid the vault, in chain or mempool, except
        the one under review, and strikes out what it paid. Also how many sats that was.
        """
        owed = list(burned)
        for txid in self._spends(script):
            raw = self._bitcoin.transaction(txid)
            if txid == but or raw is None:
                continue
            tx = read_transaction(raw)
            try:
                payout = recognise(
                    [Output(o.script_pub_key.script.hex(), Sats(o.value)) for o in tx.vout],
                    txid=txid,
                    inputs=[],
                    spent=Sats(sum(self._value(vin.prev_out) for vin in tx.vin)),
                    owed=owed,
                    vault_script=script.hex(),
                )
            except Rejected:
                # A recovery, or a spend by two others that this policy never saw: pays no burn.
                continue
            done = {burn_id for burn_id, _ in payout.paid}
            owed = [burn for burn in owed if burn.id not in done]
        return tuple(owed), sum(b.sats for b in burned) - sum(b.sats for b in owed)

    def _value(self, spent: TxOutPoint) -> int:
        raw = self._bitcoin.transaction(spent.tx_id.hex())
        return read_transaction(raw).vout[spent.vout].value if raw is not None else 0

    def _spends(self, script: bytes) -> tuple[str, ...]:
        spenders = (self._bitcoin.spender(each) for each in self._bitcoin.history(script))
        return tuple(dict.fromkeys(txid for txid in spenders if txid is not None))
