"""A key that is gone is replaced by moving the coins: a script on a chain cannot be changed.

The remaining quorum signs one transaction from the old vault to a new one, in which one role
has a new key and everything else is as it was. That is what each of them checks by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from escrow.adapters.bitcoin import psbt as bip174
from escrow.adapters.bitcoin.psbt import Psbt, Spend
from escrow.adapters.bitcoin.vault import Vault
from escrow.core.errors import BadInput, Refused
from escrow.core.units import Sats
from escrow.ports import Coin


def draft_sweep(
    coins: Sequence[Coin], *, old: Vault, new: Vault, feerate: int, prev_txs: Iterable[bytes]
) -> Psbt:
    """All ``coins`` of the old vault into one of the new, by the first path; unsigned.

    ``feerate`` is sat/vB. Raises Refused("bitcoin/funds") if the fee takes it all, and as
    ``psbt.update``.
    """
    path = old.policy.paths[0].name
    fee = feerate * old.vsize(path, len(coins), [new.script_pubkey])
    left = sum(coin.sats for coin in coins) - fee
    if left <= 0:
        raise Refused("bitcoin/funds", wanted=fee, balance=left + fee)
    draft = bip174.create(
        [coin.outpoint for coin in coins], outputs=[(new.script_pubkey, Sats(left))]
    )
    return bip174.update(draft, owner=old, prev_txs=prev_txs)


def check_replacement(psbt: Psbt, *, old: Vault, new: Vault, role: str, max_fee: Sats) -> Spend:
    """Review of a sweep that gives ``role`` a new key. The spend, if it is that and no more.

    Raises BadInput("policy/value") if the vaults differ in anything but that role's key;
    Refused: "cosigner/input" for coins that are not the old vault's, "cosigner/destination" for
    an output elsewhere, "cosigner/fee", and as ``psbt.inspect``.
    """
    changed = {name for name, key in old.keys.items() if new.keys.get(name) != key}
    if (
        changed != {role}
        or old.keys.keys() != new.keys.keys()
        or (old.policy, old.moments) != (new.policy, new.moments)
    ):
        raise BadInput("policy/value", role=role, changed=", ".join(sorted(changed)))
    spend = bip174.inspect(psbt)
    for coin in spend.inputs:
        if coin.script_pubkey != old.script_pubkey:
            raise Refused("cosigner/input", outpoint=str(coin.outpoint))
    for output in spend.outputs:
        if output.script_pubkey != new.script_pubkey:
            raise Refused("cosigner/destination", script=output.script_pubkey.hex())
    if spend.fee > max_fee:
        raise Refused("cosigner/fee", fee=spend.fee, bound=max_fee)
    return spend
