"""The vault: a custody policy, compiled with the parties' keys to an output of the chain.

Bitcoin itself enforces who can move the coins and when, and nothing else about a loan: who signs
for what is each cosigner's own policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from btclib.b32 import address_from_witness, witness_from_address
from btclib.exceptions import BTClibTypeError, BTClibValueError
from btclib.fee import dust_threshold
from btclib_wallet.bip32 import BIP32KeyOrigin
from btclib_wallet.descriptors import TrDescriptor, WshDescriptor, add_checksum, parse

from escrow.adapters.bitcoin.compile import Written, script_paths, write
from escrow.adapters.bitcoin.exits import (
    Exit,
    exits_of,
    locks_of,
    locktime_of,
    sequence_of,
    vsize_of,
)
from escrow.adapters.bitcoin.keys import VaultKey
from escrow.adapters.bitcoin.policy import LOCKTIME_THRESHOLD
from escrow.core.errors import BadInput
from escrow.core.units import Sats, Seconds
from escrow.custody.policy import After, Moment, Path, Policy, ScriptKind
from escrow.custody.read import load_policy

MAX_RECOVER_AFTER: Final = 2**31 - 1
"""Latest time a lock may name: script numbers are signed, so ``after()`` ends here (BIP-379)."""

_NETWORK: Final = "regtest"


@dataclass(frozen=True, slots=True)
class Vault:
    """One loan's vault, computed once from the parties' key expressions."""

    policy: Policy
    """Who can move the coins."""
    descriptor: str
    """Output descriptor with checksum: all that a watching wallet needs (BIP-380)."""
    address: str
    """Where to pay: ``bcrt1q…`` for P2WSH, ``bcrt1p…`` for taproot."""
    script_pubkey: bytes
    """The output script, 34 bytes."""
    witness_script: bytes
    """P2WSH: the script behind its hash, shown when spending. Empty for taproot."""
    internal_key: bytes
    """Taproot: the x-only key under the output key, 32 bytes. Empty for P2WSH."""
    moments: Mapping[Moment, Seconds]
    """Unix **block** times that the locks name."""
    keys: Mapping[str, VaultKey]
    """Role → its key, for the roles in the script. An oracle that only attests is not in it."""
    roles: Mapping[bytes, str]
    """Public key → role."""
    origins: Mapping[bytes, BIP32KeyOrigin]
    """Public key → where its owner finds the private key."""
    exits: Mapping[str, Exit]
    """Script path → what the witness of a spend by it holds."""

    @classmethod
    def create(
        cls,
        *,
        borrower: VaultKey,
        lender: VaultKey,
        custodian: VaultKey,
        recovery: VaultKey,
        recover_after: Seconds,
    ) -> Vault:
        """The vault of ``two-of-three-recovery``. Raises what ``compile_vault`` does.

        Any two of three, or the borrower's recovery key alone from ``recover_after`` on:
        ``wsh(or_d(multi(2,K1,K2,K3),and_v(v:pkh(R),after(T))))``.
        """
        voters = {"borrower": borrower, "lender": lender, "custodian": custodian}
        return compile_vault(
            load_policy("two-of-three-recovery"),
            keys={**voters, "recovery": recovery},
            moments={Moment.RECOVERY: recover_after},
        )

    @property
    def recover_after(self) -> Seconds:
        """Block time of the recovery; 0 if no such moment was given."""
        return self.moments.get(Moment.RECOVERY, Seconds(0))

    @property
    def witness_program(self) -> bytes:
        """What the output commits to, 32 bytes: how the EVM names this vault."""
        return self.script_pubkey[2:]

    @property
    def taproot(self) -> bool:
        """Whether the coins are locked in P2TR, else in P2WSH."""
        return self.policy.script is ScriptKind.TR

    def leaf(self, path: str) -> bytes:
        """The script that a spend by this path runs. Raises BadInput("psbt/path").

        P2WSH: the witness script. Taproot: the tapleaf; empty for the key path.
        """
        return self._exit(path).script

    def control_block(self, path: str) -> bytes:
        """The tapleaf's proof (BIP-341), empty if there is none. Raises BadInput("psbt/path")."""
        return self._exit(path).control_block

    def locktime(self, path: str) -> int:
        """nLockTime of a spend by this path, 0 if none. Raises BadInput("psbt/path")."""
        return locktime_of(locks_of(self.policy, self._path(path)), self.moments)

    def sequence(self, path: str) -> int:
        """nSequence of the inputs of a spend by this path. Raises BadInput("psbt/path")."""
        return sequence_of(locks_of(self.policy, self._path(path)))

    def vsize(self, path: str, inputs: int, outputs: Sequence[bytes]) -> int:
        """Most virtual bytes that a spend of vault coins by this path takes, whoever signs.

        ``outputs`` are scripts. An ECDSA signature counts 72 bytes if a hardware token makes it,
        71 by a wallet; a Schnorr signature 64. Raises BadInput("psbt/path").
        """
        return vsize_of(inputs, outputs=outputs, witness=self._exit(path).weight)

    def _path(self, name: str) -> Path:
        try:
            return self.policy.path(name)
        except KeyError:
            raise BadInput("psbt/path", path=name[:100], policy=self.policy.name) from None

    def _exit(self, name: str) -> Exit:
        path = self._path(name)
        return self.exits[path.via or path.name]


def compile_vault(
    policy: Policy, *, keys: Mapping[str, VaultKey], moments: Mapping[Moment, Seconds]
) -> Vault:
    """The vault of a policy: the sane script whose first path takes least, then the second, ….

    ``keys`` by role; those of roles that no script path names may be left out. ``moments`` in
    block time. Audit and reachability are ``escrow.custody``'s matter and not asked here.
    Raises BadInput: "bitcoin/key" if a role has no key or two have the same, "input/time" if a
    lock's moment is missing or not a time that a lock can carry (below 500,000,000 it would be
    read as a block height), "policy/keyless", "policy/value", "policy/key-kind", "policy/script".
    """
    paths = script_paths(policy)
    held = _checked_keys(policy, paths, keys)
    _check_moments(policy, moments)
    vaults: list[Vault] = []
    reason = ""
    for written in write(policy, keys=held, moments=moments):
        try:
            vaults.append(_vault(policy, paths, written, keys=held, moments=moments))
        except (BTClibValueError, BTClibTypeError) as error:
            # Only the verdict: the rest of the message quotes what was given, keys and all.
            reason = str(error).partition(" is not ")[2].partition("(")[0][:100]
    if not vaults:
        raise BadInput("policy/script", reason=f"not {reason or 'a descriptor'}")
    return min(vaults, key=lambda vault: [vault.exits[path.name].weight for path in paths])


def parse_address(text: str) -> bytes:
    """The output script of a regtest address, bech32 or bech32m.

    Raises BadInput("bitcoin/address") if it is malformed or of another network. Base58 addresses
    are refused too: regtest and testnet write them alike, so nobody can tell which was meant.
    """
    try:
        version, program, network = witness_from_address(text)
    except (BTClibValueError, BTClibTypeError, ValueError) as error:
        raise BadInput("bitcoin/address", address=text[:100]) from error
    if network != _NETWORK:
        raise BadInput("bitcoin/address", address=text[:100], network=network)
    return bytes([version + 0x50 if version else 0, len(program)]) + program


def address_of(script_pubkey: bytes) -> str:
    """The regtest address of a segwit output script. Raises BadInput("bitcoin/address")."""
    try:
        version = max(0, script_pubkey[0] - 0x50)
        address = address_from_witness(version, script_pubkey[2:], _NETWORK)
    except (BTClibValueError, IndexError) as error:
        raise BadInput("bitcoin/address", script=script_pubkey.hex()[:100]) from error
    if parse_address(address) != script_pubkey:
        raise BadInput("bitcoin/address", script=script_pubkey.hex()[:100])
    return address


def dust(script_pubkey: bytes) -> Sats:
    """Least amount that an output to this script may carry (Core's relay policy, 3 sat/vB)."""
    return Sats(dust_threshold(script_pubkey))


def _checked_keys(
    policy: Policy, paths: Sequence[Path], keys: Mapping[str, VaultKey]
) -> dict[str, VaultKey]:
    """The keys of the script's roles, in the policy's order."""
    if unknown := keys.keys() - {role.name for role in policy.roles}:
        raise BadInput("bitcoin/key", role=min(unknown)[:100], reason="no such role")
    needed = {name for path in paths for name in path.roles}
    if missing := needed - keys.keys():
        raise BadInput("bitcoin/key", role=min(missing), reason="this role has no key")
    held = {role.name: keys[role.name] for role in policy.roles if role.name in needed}
    # By x alone: a negated key has the same secret, and in taproot it is the same key.
    if len({key.pubkey[1:] for key in held.values()}) < len(held):
        raise BadInput("bitcoin/key", reason="two parties share a key")
    return held


def _check_moments(policy: Policy, moments: Mapping[Moment, Seconds]) -> None:
    for path in policy.paths:
        if isinstance(path.lock, After) and path.lock.moment not in moments:
            raise BadInput("input/time", path=path.name, moment=path.lock.moment.value)
    for moment, time in moments.items():
        if not LOCKTIME_THRESHOLD <= time <= MAX_RECOVER_AFTER:
            raise BadInput("input/time", moment=moment.value, time=time)


def _vault(
    policy: Policy,
    paths: Sequence[Path],
    written: Written,
    *,
    keys: Mapping[str, VaultKey],
    moments: Mapping[Moment, Seconds],
) -> Vault:
    parsed = parse(written.text, network=_NETWORK)
    script_pubkey = parsed.script_pub_key().script
    witness_script = internal_key = b""
    if isinstance(parsed, WshDescriptor):
        witness_script = parsed.inner.script_pub_key().script
    elif isinstance(parsed, TrDescriptor):
        internal_key = parsed.internal_key.sec(0, _NETWORK)[1:]
    return Vault(
        policy=policy,
        descriptor=add_checksum(written.text),
        address=address_of(script_pubkey),
        script_pubkey=script_pubkey,
        witness_script=witness_script,
        internal_key=internal_key,
        moments=MappingProxyType(dict(moments)),
        keys=MappingProxyType(dict(keys)),
        roles=MappingProxyType({key.pubkey: role for role, key in keys.items()}),
        origins=MappingProxyType({key.pubkey: key.origin for key in keys.values()}),
        exits=MappingProxyType(
            exits_of(parsed, policy, paths, leaves=written.leaves, keys=keys, moments=moments)
        ),
    )
