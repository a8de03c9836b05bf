"""Short words for PSBT tests: a taproot output of any descriptor, and liars."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field

from btclib_wallet.bip32 import BIP32KeyOrigin
from btclib_wallet.descriptors import parse
from btclib_wallet.psbt.psbt_in import PsbtIn

from escrow.adapters.bitcoin.psbt import Psbt
from escrow.custody.policy import Policy
from escrow.custody.read import load_policy


@dataclass(frozen=True)
class Single:
    """A taproot output of a descriptor: a Vault of a policy that nobody ships."""

    descriptor: str
    leaves: dict[str, int] = field(default_factory=dict)
    witness_script: bytes = b""

    @property
    def policy(self) -> Policy:
        return load_policy("musig")  # only its paths' names are looked at

    @property
    def script_pubkey(self) -> bytes:
        return parse(self.descriptor, network="regtest").script_pub_key().script

    @property
    def origins(self) -> dict[bytes, BIP32KeyOrigin]:
        return {}

    def leaf(self, path: str) -> bytes:
        if path not in self.leaves:
            return b""
        scripts = parse(self.descriptor, network="regtest").taproot_leaf_scripts()
        return list(scripts.values())[self.leaves[path]][0]


def changed(original: Psbt, change: Callable[[PsbtIn], None]) -> Psbt:
    """What a liar would send: the same PSBT, its first input changed by hand."""
    inner = deepcopy(original._inner)
    change(inner.inputs[0])
    return Psbt(inner)
