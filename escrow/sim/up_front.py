"""Exits that are agreed before the coins come in, behind one face: pre-signed, or by an oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from escrow.adapters.bitcoin import dlc, presigned, psbt
from escrow.adapters.bitcoin.dlc_oracle import Oracle
from escrow.adapters.bitcoin.dlc_terms import REFUND, Contract, Outcome, Stake
from escrow.adapters.bitcoin.ephemeral import EphemeralKey
from escrow.adapters.bitcoin.keys import Keys
from escrow.adapters.bitcoin.presigned import PresignedSet
from escrow.adapters.bitcoin.psbt import Psbt, SigningKeys
from escrow.adapters.bitcoin.types import OutPoint
from escrow.adapters.bitcoin.vault import Vault
from escrow.core.errors import BadInput
from escrow.core.units import Sats, Seconds
from escrow.custody.policy import After, Form, KeyKind, Moment, Policy, ScriptKind

_PARTIES: Final = ("borrower", "lender")


class UpFront(Protocol):
    """What was agreed about one coin."""

    def draft(self, name: str) -> Psbt:
        """The exit without the signatures of those who act at the exit."""

    def whole(self, name: str, *, keys: Mapping[str, SigningKeys]) -> bytes:
        """The exit, completed by the roles that act at the exit. Raises Refused."""


@dataclass(frozen=True, slots=True)
class Presigned:
    """Every exit is a transaction that lacks at most the signatures given at the exit."""

    found: PresignedSet
    """The exits."""

    def draft(self, name: str) -> Psbt:
        """The exit as it was signed up front."""
        return self.found.exits[name]

    def whole(self, name: str, *, keys: Mapping[str, SigningKeys]) -> bytes:
        """The exit with the signatures of those who sign at the exit."""
        roles = self.found.vault.policy.path(name).roles
        copies = [presigned.cosign(self.found, name, role=role, keys=keys[role]) for role in roles]
        return presigned.complete(self.found, name, copies=copies)


@dataclass(frozen=True, slots=True)
class Contracted:
    """Every exit is an outcome that an oracle may attest; one is a refund."""

    sealed: dlc.Sealed
    """The contract, signed by both."""
    vault: Vault
    """Where its coin is: the policy's own vault, which is the contract's."""
    funding: bytes
    """The transaction that brings the coin."""
    oracle_seed: bytes = field(repr=False)
    """Whoever has the oracle's key has this: a thief remembers nothing that the oracle said."""

    def draft(self, name: str) -> Psbt:
        """The exit, unsigned: up front there were adaptor signatures, which are no signatures."""
        tx = dict(self.sealed.contract.transactions())[name]
        bare = psbt.create(
            [self.sealed.contract.coin],
            outputs=[(each.script_pub_key.script, Sats(each.value)) for each in tx.vout],
            locktime=tx.lock_time,
            sequence=tx.vin[0].sequence,
        )
        via = self.vault.policy.path(name).via
        return psbt.update(bare, owner=self.vault, prev_txs=[self.funding], path=via)

    def whole(self, name: str, *, keys: Mapping[str, SigningKeys]) -> bytes:
        """The exit. The oracle attests in its own way, so ``keys`` are not asked."""
        del keys
        if name == REFUND:
            return dlc.refund(self.sealed)
        oracle = Oracle(self.oracle_seed)
        word = oracle.attest(self.sealed.contract.announcement, outcome=name)
        return dlc.complete(self.sealed, name, attestation=word)


def is_contract(policy: Policy) -> bool:
    """Does an oracle's word complete one of its exits?"""
    return any(path.form is Form.ATTESTED for path in policy.paths)


def check_carried_out(policy: Policy) -> None:
    """Raises BadInput("policy/value") for exits that no code here can agree up front.

    Pre-signed: the path whose signatures they are takes all its roles; a key that is destroyed
    then signs in taproot only. Attested: P2WSH, two of
    two of borrower and lender, one oracle, and one refund to the borrower at the recovery time.
    """
    once = [role.name for role in policy.roles if role.key is KeyKind.EPHEMERAL]
    if once and policy.script is not ScriptKind.TR:
        raise BadInput(
            "policy/value", role=once[0], reason="a key that is destroyed signs in taproot only"
        )
    for path in policy.paths:
        if path.form is Form.PRESIGNED:
            presigned.signed_up_front(policy, path.name)
    if not is_contract(policy):
        return
    attested = [path for path in policy.paths if path.form is Form.ATTESTED]
    refunds = [path for path in policy.paths if path.form is Form.PRESIGNED]
    oracles = {path.roles for path in attested}
    via = {path.via for path in (*attested, *refunds)}
    fits = (
        policy.script is ScriptKind.WSH
        and len(oracles) == 1
        and all(path.threshold == len(path.roles) == 1 and not path.lock for path in attested)
        and [(path.name, path.to, path.threshold) for path in refunds] == [(REFUND, "borrower", 0)]
        and refunds[0].lock == After(Moment.RECOVERY)
        and len(via) == 1
        and all(
            sorted(policy.path(name).roles) == list(_PARTIES) and policy.path(name).threshold == 2
            for name in via
        )
    )
    if not fits:
        raise BadInput(
            "policy/value",
            policy=policy.name,
            reason="only a two of two of borrower and lender with one oracle and a refund "
            "can be carried out",
        )


def presign(
    vault: Vault,
    *,
    coins: Sequence[OutPoint],
    funding: bytes,
    keys: Mapping[str, SigningKeys | EphemeralKey],
    payees: Mapping[str, bytes],
    feerate: int,
) -> Presigned:
    """Sign every exit of these coins. Raises as ``presigned.presign``."""
    return Presigned(
        presigned.presign(
            vault,
            coins=coins,
            prev_txs=[funding],
            payees=payees,
            feerate=feerate,
            signers=keys,
        )
    )


def contract(
    policy: Policy,
    *,
    keys: Mapping[str, Keys],
    index: int,
    event: str,
    stakes: Mapping[str, tuple[OutPoint, bytes]],
    payees: Mapping[str, bytes],
    oracle_seed: bytes,
    collateral: Sats,
    feerate: int,
    refund_at: Seconds,
) -> tuple[dlc.Sealed, bytes]:
    """A sealed contract and its funding transaction, signed by both wallets.

    ``stakes`` are the coins that borrower and lender bring, each with its transaction.
    """
    made = {}
    for party in _PARTIES:
        coin, raw = stakes[party]
        wallet = keys[party].wallet_key(index)
        made[party] = Stake(keys[party].vault_key(index), payees[party], wallet, (coin,), (raw,))
    outcomes = [
        Outcome(path.name, Sats(0 if path.to == "borrower" else collateral))
        for path in policy.paths
        if path.form is Form.ATTESTED
    ]
    announced = Oracle(oracle_seed).announce(
        event, outcomes=[each.name for each in outcomes], matures=refund_at
    )
    drafted = Contract.draft(
        borrower=made["borrower"],
        lender=made["lender"],
        collateral=collateral,
        outcomes=outcomes,
        announcement=announced,
        feerate=feerate,
        refund_at=refund_at,
    )
    both = [keys[party] for party in _PARTIES]
    sealed = dlc.seal(drafted, promises=[dlc.promise(drafted, keys=each) for each in both])
    copies = [psbt.sign(drafted.funding(), keys=each) for each in both]
    return sealed, psbt.extract(psbt.finalize(psbt.combine(copies)))
