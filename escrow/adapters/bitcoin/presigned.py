"""Exits that are signed before the coins come in, as Firefish does it.

Each exit is one transaction, re-derivable from the terms: all coins of the set to one party, at a
feerate fixed here, not before the lock of its path. Some of the roles sign it up front, the others
at the exit. An ephemeral key is destroyed by this: where every path needs one, these transactions
are then the only way out for ever, and a new deposit needs a new vault with a key of its own.

Feerates rise, and these cannot. Each exit pays one party, in one output that this party can spend
at once at a feerate that carries both (CPFP), so it needs no anchor besides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from btclib_wallet.bip32 import BIP32KeyOrigin

from escrow.adapters.bitcoin import psbt
from escrow.adapters.bitcoin.agreed import AgreedExit, set_id
from escrow.adapters.bitcoin.ephemeral import EphemeralKey
from escrow.adapters.bitcoin.policy import MAX_FEERATE, MIN_FEERATE, read_transaction
from escrow.adapters.bitcoin.psbt import Psbt
from escrow.adapters.bitcoin.signatures import SigningKeys
from escrow.adapters.bitcoin.types import OutPoint
from escrow.adapters.bitcoin.vault import Vault, dust
from escrow.core.errors import BadInput, Refused
from escrow.core.scripts import is_standard_output
from escrow.core.units import Sats
from escrow.custody.policy import Form, Moment, Path, Policy
from escrow.ports import BitcoinView

MAX_COINS: Final = 100
"""Most coins of one set: every exit spends them all in one transaction that is relayed."""


@dataclass(frozen=True, slots=True)
class PresignedSet:
    """All exits of some coins of a vault. Holds no secret, and can pay nobody but the payees."""

    vault: Vault
    """Where the coins are."""
    coins: tuple[OutPoint, ...]
    """What every exit spends; once one of them is spent, the whole set is void."""
    prev_txs: tuple[bytes, ...]
    """The transactions that created them, for signers to read the amounts from."""
    payees: Mapping[str, bytes]
    """Party → the output script that exits to it pay."""
    feerate: int
    """Sat/vB of every exit."""
    exits: Mapping[str, Psbt]
    """Name → the exit with the signatures given up front, in the policy's order."""
    replaces: str = ""
    """Id of the set that this one came after; empty for the first."""

    @property
    def id(self) -> str:
        """Names this set, 64 hex digits: a hash over its transactions' ids."""
        return set_id([each.txid for each in self.exits.values()])


def presign(
    vault: Vault,
    *,
    coins: Sequence[OutPoint],
    prev_txs: Sequence[bytes],
    payees: Mapping[str, bytes],
    feerate: int,
    signers: Mapping[str, SigningKeys],
) -> PresignedSet:
    """Sign every exit with the roles that sign up front; destroy the ephemeral keys.

    The coins need not be on the chain yet, only their transactions must be known: sign first and
    pay then. ``signers`` maps roles to keys. Nothing is destroyed if anything is refused. Raises
    Refused: "psbt/incomplete" if a role that signs up front is absent, "psbt/no-key",
    "signer/destroyed", "bitcoin/missing-input", "cosigner/input" for a coin that is not of this
    vault, "bitcoin/fee", "bitcoin/dust"; BadInput: "policy/value" for a policy without such exits,
    "terms/time-order", "input/unknown-party", "bitcoin/address" for a payee no node relays to.
    """
    bare = PresignedSet(
        vault,
        tuple(sorted(coins)),
        tuple(sorted(prev_txs)),
        MappingProxyType(dict(payees)),
        feerate,
        MappingProxyType({}),
    )
    signed = {}
    for path, draft in _derive(bare).items():
        for role in signed_up_front(vault.policy, path.name):
            if role not in signers:
                raise Refused("psbt/incomplete", exit=path.name, missing=role)
            only = _OneKey(signers[role], vault.keys[role].pubkey)
            draft = psbt.sign(draft, keys=only)  # noqa: PLW2901  # each adds to the last
        signed[path.name] = draft
    for keys in signers.values():
        if isinstance(keys, EphemeralKey):
            keys.destroy()
    return replace(bare, exits=MappingProxyType(signed))


def cosign(presigned: PresignedSet, name: str, *, role: str, keys: SigningKeys) -> Psbt:
    """A copy of an exit, signed by a role that signs at the exit. Whether to is its own policy.

    Raises Refused: "psbt/path" if there is no such exit, "psbt/foreign-signature" if the role has
    no say in it, "psbt/altered" if it is not what the terms give, "psbt/no-key".
    """
    draft = _checked(presigned, name)
    if role not in presigned.vault.policy.path(name).roles:
        raise Refused("psbt/foreign-signature", exit=name, role=role)
    return psbt.sign(draft, keys=_OneKey(keys, presigned.vault.keys[role].pubkey))


def complete(presigned: PresignedSet, name: str, *, copies: Sequence[Psbt] = ()) -> bytes:
    """The transaction, ready to broadcast; the chain takes it once its lock has passed.

    ``copies`` are those that the remaining roles signed. Raises Refused: "psbt/path" if there is
    no such exit, "psbt/incomplete", and what ``psbt.combine`` raises about the copies.
    """
    draft = _checked(presigned, name)
    return psbt.extract(psbt.finalize(psbt.combine([draft, *copies])))


def check(presigned: PresignedSet) -> None:
    """Whether every exit is what the terms give, and whole but for those who sign at the exit.

    For whoever is handed a set: it needs to know the vault and the payees, and trusts nobody.
    Raises Refused: "psbt/altered", "psbt/stale", "psbt/incomplete", "psbt/bad-signature",
    "psbt/foreign-signature"; and what ``presign`` raises about coins and policy.
    """
    planned = [path.name for path in _exit_paths(presigned.vault.policy)]
    if list(presigned.exits) != planned:
        raise Refused("psbt/altered", exits=len(presigned.exits), expected=len(planned))
    for name in planned:
        _checked(presigned, name)


def exits(presigned: PresignedSet) -> tuple[AgreedExit, ...]:
    """Every exit of a set: who is paid, what it weighs, when it opens and who must still act."""
    found = []
    for path, draft in _derive(presigned).items():
        spend = psbt.inspect(draft)
        found.append(
            AgreedExit(
                name=path.name,
                to=(path.to,),
                outputs=tuple((each.script_pubkey, each.sats) for each in spend.outputs),
                txid=spend.txid,
                vsize=_vsize(presigned, path),
                fee=spend.fee,
                locktime=spend.locktime,
                signers=path.roles,
                held_by=path.held_by,
            )
        )
    return tuple(found)


def supersede(
    old: PresignedSet,
    *,
    vault: Vault,
    coins: Sequence[OutPoint],
    prev_txs: Sequence[bytes],
    payees: Mapping[str, bytes],
    feerate: int,
    signers: Mapping[str, SigningKeys],
) -> PresignedSet:
    """The set after a re-key, or for coins that came later.

    Nothing can be unsigned: an old exit is void only once one of its coins is spent. So the new
    set may share no coin with the old one; after a re-key its coin is that of the sweep. Raises
    Refused("psbt/stale"), and as ``presign``.
    """
    if shared := set(old.coins) & set(coins):
        raise Refused("psbt/stale", set=old.id[:16], coin=str(min(shared)))
    new = presign(
        vault, coins=coins, prev_txs=prev_txs, payees=payees, feerate=feerate, signers=signers
    )
    return replace(new, replaces=old.id)


def voided_by(presigned: PresignedSet, *, view: BitcoinView) -> str:
    """Id of the confirmed transaction that spent a coin of the set; empty while the set stands."""
    for coin in presigned.coins:
        txid = view.spender(coin)
        if txid and view.depth(txid):
            return txid
    return ""


def signed_up_front(policy: Policy, name: str) -> tuple[str, ...]:
    """Roles that sign an exit beforehand: those of its script path that do not sign at the exit.

    Raises BadInput("policy/value") unless all roles of the script path must sign it: else it
    would be open who does so when.
    """
    try:
        path = policy.path(name)
        via = policy.path(path.via)
    except KeyError as error:
        raise BadInput("policy/value", path=name[:40], missing=str(error)[:40]) from None
    every = via.threshold == len(via.roles) and path.threshold == len(path.roles)
    if not every or via.form is not Form.SCRIPT or not set(path.roles) <= set(via.roles):
        raise BadInput("policy/value", path=name, via=path.via, threshold=via.threshold)
    return tuple(role for role in via.roles if role not in path.roles)


def _exit_paths(policy: Policy) -> list[Path]:
    return [path for path in policy.paths if path.form is Form.PRESIGNED]


def _derive(presigned: PresignedSet) -> dict[Path, Psbt]:
    """The exits as the terms give them, unsigned."""
    vault, coins, moments = presigned.vault, presigned.coins, presigned.vault.moments
    if not _exit_paths(vault.policy):
        raise BadInput("policy/value", policy=vault.policy.name, reason="no pre-signed path")
    default, recovery = moments.get(Moment.DEFAULT), moments.get(Moment.RECOVERY)
    if default is not None and recovery is not None and default >= recovery:
        raise BadInput("terms/time-order", default=default, recovery=recovery)
    if not 1 <= len(coins) <= MAX_COINS or len(set(coins)) < len(coins):
        raise Refused("cosigner/input", coins=len(coins), distinct=len(set(coins)))
    if not MIN_FEERATE <= presigned.feerate <= MAX_FEERATE:
        raise Refused("bitcoin/fee", feerate=presigned.feerate)
    total = _total(presigned)
    found = {}
    for path in _exit_paths(vault.policy):
        signed_up_front(vault.policy, path.name)
        if path.to not in presigned.payees:
            raise BadInput("input/unknown-party", party=path.to)
        script = presigned.payees[path.to]
        if not is_standard_output(script.hex()):  # signed for good, and no node would relay it
            raise BadInput("bitcoin/address", party=path.to, script=script.hex()[:80])
        sats = Sats(total - presigned.feerate * _vsize(presigned, path))
        if sats < dust(script):
            raise Refused("bitcoin/dust", exit=path.name, sats=sats)
        bare = psbt.create(
            coins,
            outputs=[(script, sats)],
            locktime=vault.locktime(path.name),
            sequence=vault.sequence(path.name),
        )
        found[path] = psbt.update(bare, owner=vault, prev_txs=presigned.prev_txs, path=path.via)
    return found


def _total(presigned: PresignedSet) -> Sats:
    known = {tx.id.hex(): tx for tx in map(read_transaction, presigned.prev_txs)}
    total = 0
    for coin in presigned.coins:
        if (tx := known.get(coin.txid)) is None or coin.vout >= len(tx.vout):
            raise Refused("bitcoin/missing-input", outpoint=str(coin))
        if tx.vout[coin.vout].script_pub_key.script != presigned.vault.script_pubkey:
            raise Refused("cosigner/input", outpoint=str(coin))
        total += tx.vout[coin.vout].value
    return Sats(total)


def _vsize(presigned: PresignedSet, path: Path) -> int:
    outputs = [presigned.payees[path.to]]
    return presigned.vault.vsize(path.name, len(presigned.coins), outputs)


def _checked(presigned: PresignedSet, name: str) -> Psbt:
    """The signed exit, once it was found to be what the terms give."""
    if name not in presigned.exits:
        raise Refused("psbt/path", exit=name[:40])
    policy = presigned.vault.policy
    fresh = next(draft for path, draft in _derive(presigned).items() if path.name == name)
    whole = psbt.combine([fresh, presigned.exits[name]])
    keys = presigned.vault.keys
    # In a leaf keys are x-only.
    needed = {
        role: keys[role].pubkey[presigned.vault.taproot :] for role in signed_up_front(policy, name)
    }
    for number, each in enumerate(psbt.inspect(whole).inputs):
        for role, pubkey in needed.items():
            if pubkey not in each.signed_by:
                raise Refused("psbt/incomplete", exit=name, input=number, missing=role)
    return whole


@dataclass(frozen=True, slots=True)
class _OneKey:
    """One key of a holder: who holds the keys of two roles does not sign for both at once."""

    keys: SigningKeys
    """The holder's."""
    pubkey: bytes
    """The one that may sign, 33 bytes."""

    @property
    def name(self) -> str:
        return self.keys.name

    def owns(self, pubkey: bytes, origin: BIP32KeyOrigin | None) -> bool:
        return self._is_it(pubkey) and self.keys.owns(pubkey, origin)

    def ecdsa(
        self, pubkey: bytes, *, origin: BIP32KeyOrigin | None, digest: bytes, recovery: bool
    ) -> bytes | None:
        if not self._is_it(pubkey):
            return None
        return self.keys.ecdsa(pubkey, origin=origin, digest=digest, recovery=recovery)

    def schnorr(
        self,
        pubkey: bytes,
        *,
        origin: BIP32KeyOrigin | None,
        digest: bytes,
        recovery: bool,
        merkle_root: bytes | None,
    ) -> bytes | None:
        if not self._is_it(pubkey):
            return None
        return self.keys.schnorr(
            pubkey, origin=origin, digest=digest, recovery=recovery, merkle_root=merkle_root
        )

    def _is_it(self, pubkey: bytes) -> bool:
        return pubkey in (self.pubkey, self.pubkey[1:])
