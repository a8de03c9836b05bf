"""What a thief sends: a whole witness, a stranger's signatures where the right ones are missing.

Wallets stop at an incomplete PSBT, so the chain is never asked. To hear what Bitcoin itself says
of too few keys, or of a lock that was left out, something must be sent that looks complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from btclib.alias import Octets
from btclib.hashes import hash160
from btclib.script.taproot import leaf_hash
from btclib.script.witness import Witness
from btclib_wallet.descriptors import SpendContext, WshDescriptor, miniscript, parse
from btclib_wallet.psbt import psbt as bip174

from escrow.adapters.bitcoin.keys import Keys
from escrow.adapters.bitcoin.psbt import extract
from escrow.adapters.bitcoin.psbt_data import Psbt, unshared
from escrow.adapters.bitcoin.signatures import SigningKeys
from escrow.adapters.bitcoin.vault import Vault
from escrow.custody.policy import Form

_LEAF: Final = 0xC0  # tapscript's leaf version (BIP-342)
_SIGHASH_ALL: Final = 1


def forge(
    draft: Psbt, *, vault: Vault, path: str, keys: Mapping[str, SigningKeys], stranger: Keys
) -> bytes:
    """The draft as a transaction that shows as many signatures as the path asks for.

    ``keys`` by role sign as they would; no more of them than are needed. Nothing is checked: that
    is for the chain. Raises BadInput("psbt/path").
    """
    inner = unshared(draft._inner)
    for number in range(len(inner.inputs)):
        witness = _taproot if vault.taproot else _wsh
        inner.inputs[number].final_script_witness = witness(
            inner, number, vault=vault, path=path, keys=keys, stranger=stranger
        )
    return extract(Psbt(inner))


def _wsh(
    inner: bip174.Psbt,
    number: int,
    *,
    vault: Vault,
    path: str,
    keys: Mapping[str, SigningKeys],
    stranger: Keys,
) -> Witness:
    digest = bip174.ecdsa_sig_hash(inner, number, hash_type=_SIGHASH_ALL)
    other = stranger.vault_key()
    signatures: dict[Octets, Octets] = {}
    for role in _signers(vault, path, keys):
        key = vault.keys[role]
        made = role in keys and keys[role].ecdsa(
            key.pubkey, origin=key.origin, digest=digest, recovery=True
        )
        made = made or stranger.ecdsa(
            other.pubkey, origin=other.origin, digest=digest, recovery=False
        )
        assert made
        signatures[key.pubkey] = made + bytes([_SIGHASH_ALL])
    parsed = parse(vault.descriptor, network="regtest")
    assert isinstance(parsed, WshDescriptor)
    return parsed.satisfy(signatures, spend=_as_locked(vault, path))[1]


def _taproot(
    inner: bip174.Psbt,
    number: int,
    *,
    vault: Vault,
    path: str,
    keys: Mapping[str, SigningKeys],
    stranger: Keys,
) -> Witness:
    leaf = vault.leaf(path)
    digest = bip174.taproot_sig_hash(
        inner, number, leaf_hash=leaf_hash(_LEAF, leaf) if leaf else b"", hash_type=0
    )
    other = stranger.vault_key()
    strange = stranger.schnorr(
        other.pubkey[1:], origin=other.origin, digest=digest, recovery=False, merkle_root=None
    )
    assert strange
    if not leaf:
        return Witness([strange])
    xonly = [key.pubkey[1:] for key in vault.keys.values()]
    hashes: dict[Octets, Octets] = {hash160(key): key for key in xonly}
    node = miniscript.from_script(leaf, miniscript.TAPSCRIPT, hashes)
    signatures: dict[Octets, Octets] = {}
    if vault.policy.path(path).form is Form.MUSIG:
        # One key for all of them, which none has: the first thing that the leaf pushes.
        signatures[leaf[1:33]] = strange
    else:
        for role in _signers(vault, path, keys):
            key = vault.keys[role]
            made = role in keys and keys[role].schnorr(
                key.pubkey[1:], origin=key.origin, digest=digest, recovery=True, merkle_root=None
            )
            signatures[key.pubkey[1:]] = made or strange
    stack = node.satisfy(signatures, _as_locked(vault, path))
    return Witness([*stack, leaf, vault.control_block(path)])


def _signers(vault: Vault, path: str, keys: Mapping[str, SigningKeys]) -> list[str]:
    """As many roles as the path asks for, those first who do sign."""
    asked = vault.policy.path(path)
    return sorted(asked.roles, key=lambda role: role not in keys)[: asked.threshold]


def _as_locked(vault: Vault, path: str) -> SpendContext:
    # The witness is made as if the locks were kept, so that the script itself meets the lie.
    return SpendContext(locktime=vault.locktime(path), sequence=vault.sequence(path))
