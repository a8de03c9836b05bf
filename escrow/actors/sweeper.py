"""Moves the coins of a vault without paying anybody: gathered, made young again, or to a new vault.

A sweep gives a vault exactly what it took, so no token loses what it stands on. Somebody pays the
miner with coins of its own and signs for those first; then the quorum reviews and signs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from escrow.actors.party import Party
from escrow.actors.payer import TARGET, Payer, paths_of
from escrow.adapters.bitcoin import psbt as bip174
from escrow.adapters.bitcoin.policy import SEQUENCE_REPLACEABLE
from escrow.adapters.bitcoin.psbt import Psbt
from escrow.adapters.bitcoin.vault import Vault, dust
from escrow.adapters.bitcoin.wallet import Wallet
from escrow.core.errors import EscrowError, Refused, Rejected
from escrow.core.terms import Terms
from escrow.core.units import Sats
from escrow.custody.policy import Path
from escrow.ports import BitcoinPort, Coin

_INPUT: Final = 69
"""Virtual bytes of a P2WPKH input at most, rounded up (BIP-141)."""


class Sweeper:
    """Drafts sweeps, has them paid for and signed, broadcasts."""

    def __init__(
        self, payer: Payer, *, bitcoin: BitcoinPort, wallet_of: Callable[[Party], Wallet]
    ) -> None:
        self._payer = payer
        self._bitcoin = bitcoin
        self._wallet_of = wallet_of

    def sweep(
        self,
        coins: Sequence[Coin],
        *,
        terms: Terms,
        old: Vault,
        new: Vault,
        funder: Party,
        without: Collection[str] = (),
    ) -> str:
        """Move ``coins`` of ``old`` into one of ``new``, by the cheapest path that is open and
        whose signers agree, of all roles but those ``without`` a key; the txid.

        Raises Refused: "bitcoin/funds" if the funder cannot pay the miner, "cosigner/…" why
        nobody would sign, "bitcoin/…"; Rejected("payout/fee") beyond the bound of the terms: what
        the funder pays is bounded as what a burner pays is.
        """
        refused: EscrowError = Refused("cosigner/absent", asked="sweep", open=0)
        for path in paths_of(old):
            if not all(self._payer.is_open(path, coin.outpoint) for coin in coins):
                continue
            try:
                draft = self._draft(coins, terms=terms, old=old, new=new, path=path, funder=funder)
                signed = self._payer.collect(
                    draft, path=path, terms=terms, script=old.script_pubkey, without=without
                )
            except EscrowError as refusal:
                refused = refusal
            else:
                return self._bitcoin.broadcast(bip174.extract(bip174.finalize(signed)))
        raise refused

    def _draft(
        self,
        coins: Sequence[Coin],
        *,
        terms: Terms,
        old: Vault,
        new: Vault,
        path: Path,
        funder: Party,
    ) -> Psbt:
        """The sweep, signed by who pays for it and described for the quorum."""
        total = Sats(sum(coin.sats for coin in coins))
        feerate = self._bitcoin.estimate_feerate(TARGET)
        wallet = self._wallet_of(funder)
        left = -feerate * old.vsize(path.name, len(coins), [new.script_pubkey, funder.script])
        brought: list[Coin] = []
        for coin in wallet.coins():
            if left >= 0:
                break
            brought.append(coin)
            left += coin.sats - feerate * _INPUT
        if left < 0:
            raise Refused("bitcoin/funds", wanted=wallet.balance() - left, balance=wallet.balance())
        outputs = [(new.script_pubkey, total)]
        if left >= dust(funder.script):
            outputs.append((funder.script, Sats(left)))
        fee = sum(coin.sats for coin in brought) - sum(sats for _, sats in outputs[1:])
        if fee > terms.max_fee:
            raise Rejected("payout/fee", fee=fee, bound=terms.max_fee)
        spent = [*coins, *brought]
        raws = [self._bitcoin.transaction(coin.outpoint.txid) for coin in spent]
        prev_txs = [raw for raw in raws if raw is not None]
        bare = bip174.create(
            [coin.outpoint for coin in spent],
            outputs=outputs,
            sequence=[old.sequence(path.name)] * len(coins) + [SEQUENCE_REPLACEABLE] * len(brought),
        )
        paid = wallet.sign(bare, prev_txs=prev_txs)
        return bip174.update(paid, owner=old, prev_txs=prev_txs, path=path.name)
