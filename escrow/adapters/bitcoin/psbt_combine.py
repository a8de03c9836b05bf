"""The Combiner, and what must hold before another's copy is believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from btclib_wallet.psbt import psbt as bip174
from btclib_wallet.psbt.psbt_in import PsbtIn

from escrow.adapters.bitcoin.compile import UNSPENDABLE
from escrow.adapters.bitcoin.psbt_data import Psbt, as_version, unshared
from escrow.adapters.bitcoin.psbt_input import signers
from escrow.adapters.bitcoin.signatures import check_signatures
from escrow.core.errors import BadInput, EscrowError, Refused

_MAPS: Final = (
    "partial_sigs",
    "taproot_script_spend_signatures",
    "musig2_pub_nonces",
    "musig2_partial_sigs",
)
_UNSPENDABLE: Final = bytes.fromhex(UNSPENDABLE)


def combine(psbts: Sequence[Psbt]) -> Psbt:
    """Combiner: merge the signatures of several copies of one PSBT, in the first one's version.

    Copies may differ in signatures and version, in whether they name the key that nobody has, and
    in nothing else. Raises Refused:
    "psbt/stale" for a copy that was signed in another round: its own signatures are good, it
    spends some of the same coins to the same scripts, and only amounts, coins or locks differ;
    "psbt/altered" for any other difference; "psbt/duplicate" for two signatures by one key, both
    good; what ``check_signatures`` raises. BadInput("psbt/format") if there are none.
    """
    if not psbts:
        raise BadInput("psbt/format", reason="nothing to combine")
    first, bare = psbts[0], _bare(psbts[0])
    merged = unshared(first._inner)
    for number, psbt in enumerate(psbts):
        copy = _same(first, psbt, bare=bare, number=number)
        for at, (mine, theirs) in enumerate(zip(merged.inputs, copy.inputs, strict=True)):
            twice = _merge(mine, theirs)
            if twice is not None:
                for each in (copy, merged):
                    check_signatures(each)  # a bad one is called bad, not a duplicate
                raise Refused("psbt/duplicate", copy=number, input=at, key=twice.hex())
        merged.tx_modifiable = _modifiable(merged, copy)
    check_signatures(merged)
    return Psbt(merged)


def accept(request: Psbt, *, answer: Psbt) -> Psbt:
    """What a signer gave back for ``request``, in its version, if it only added signatures.

    A combiner forgives a copy that lost signatures; here nothing may be missing either. Raises
    as ``combine``.
    """
    copy = _same(request, answer, bare=_bare(request), number=0)
    for mine, theirs in zip(request._inner.inputs, copy.inputs, strict=True):
        kept = all(getattr(mine, name).items() <= getattr(theirs, name).items() for name in _MAPS)
        before, now = mine.taproot_key_spend_signature, theirs.taproot_key_spend_signature
        if not kept or (before and now != before):
            raise Refused("psbt/altered", txid=request.txid, reason="a signature was taken away")
    check_signatures(copy)
    return Psbt(copy)


def _same(first: Psbt, other: Psbt, *, bare: bip174.Psbt, number: int) -> bip174.Psbt:
    """``other`` in the version of ``first``, if it is the same but for signatures."""
    if other is not first and _bare(other) != bare:
        code = "psbt/stale" if _is_of_another_round(first._inner, other._inner) else "psbt/altered"
        raise Refused(code, copy=number, txid=other.txid)
    return as_version(other, first.version)._inner


def _bare(psbt: Psbt) -> bip174.Psbt:
    # In version 0, which is silent about what may be added: signers change that as they sign.
    bare = unshared(as_version(psbt, 0)._inner)
    for each in bare.inputs:
        for name in _MAPS:
            setattr(each, name, {})
        each.taproot_key_spend_signature = b""
        # Wallets that know the descriptor name this key too, with an origin of their own making.
        named = each.taproot_hd_key_paths
        if _UNSPENDABLE in named:
            each.taproot_hd_key_paths = {key: named[key] for key in named if key != _UNSPENDABLE}
    return bare


def _is_of_another_round(first: bip174.Psbt, copy: bip174.Psbt) -> bool:
    """Whether ``copy`` is honestly signed, for another draft of the same payment."""
    if copy.tx.id == first.tx.id or not any(map(signers, copy.inputs)):
        return False
    coins = [{(each.previous_tx_id, each.output_index) for each in i.inputs} for i in (first, copy)]
    paid = [{each.script_pub_key.script for each in i.tx.vout} for i in (first, copy)]
    if not coins[0] & coins[1] or paid[0] != paid[1]:
        return False
    try:
        check_signatures(copy)
    except EscrowError:
        return False
    return True


def _merge(mine: PsbtIn, theirs: PsbtIn) -> bytes | None:
    """Add their signatures to mine; the key that signed twice, if one did."""
    for name in _MAPS:
        have, more = getattr(mine, name), getattr(theirs, name)
        for key, value in more.items():
            if have.get(key, value) != value:
                return bytes(key)
        setattr(mine, name, dict(sorted((have | more).items())))
    ours, other = mine.taproot_key_spend_signature, theirs.taproot_key_spend_signature
    if ours and other and ours != other:
        return mine.taproot_internal_key
    mine.taproot_key_spend_signature = ours or other
    return None


def _modifiable(mine: bip174.Psbt, theirs: bip174.Psbt) -> int | None:
    """Neither copy's permissions are widened: one that has none allows nothing."""
    if mine.tx_modifiable is None or theirs.tx_modifiable is None:
        return None
    allowed = bip174.INPUTS_MODIFIABLE | bip174.OUTPUTS_MODIFIABLE
    both = mine.tx_modifiable & theirs.tx_modifiable & allowed
    return both | ((mine.tx_modifiable | theirs.tx_modifiable) & ~allowed)
