"""A discreet log contract: two of two, and for each outcome a transaction that an oracle completes.

Before a coin moves, both parties build the same transactions from the same terms and sign all of
them for each other: the refund outright, and each outcome's transaction (CET) with an adaptor
signature that only the oracle's attestation of that outcome decrypts (dlcspecs). From then on
nobody's help is needed: the oracle speaks to the world, and either party can settle.

offer (``Contract.draft``, ``promise``) → accept (the same) → ``seal`` → sign and send the funding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from btclib.exceptions import BTClibTypeError, BTClibValueError
from btclib.tx import Tx
from btclib_secp256k1 import dsa
from btclib_wallet import dlc as dlcspecs
from btclib_wallet.bip32 import BIP32KeyOrigin
from ecc.ecc import ecdsa_adaptor

from escrow.adapters.bitcoin.agreed import AgreedExit, set_id
from escrow.adapters.bitcoin.dlc_oracle import Attestation
from escrow.adapters.bitcoin.dlc_terms import REFUND, Contract
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.core.errors import Refused
from escrow.core.units import Sats

ORACLE: Final = "oracle"
"""The role that completes an outcome."""

_PARTIES: Final = ("borrower", "lender")
_SIGNATURE: Final = 72  # DER, low S, sighash byte; an adaptor's R cannot be ground
_SIGHASH_ALL: Final = b"\x01"
_UNREADABLE: Final = (BTClibValueError, BTClibTypeError, ValueError, OverflowError)


class FundingKeys(Protocol):
    """One party's private keys, as far as a contract needs them."""

    def ecdsa(
        self, pubkey: bytes, *, origin: BIP32KeyOrigin | None, digest: bytes, recovery: bool
    ) -> bytes | None:
        """DER signature, no sighash byte; None if the key is not this party's."""

    def adaptor(
        self,
        pubkey: bytes,
        *,
        origin: BIP32KeyOrigin | None,
        digest: bytes,
        point: tuple[int, int],
    ) -> bytes | None:
        """The same encrypted under ``point``, 162 bytes, or None."""


@dataclass(frozen=True, slots=True)
class Promise:
    """One party's signatures over every exit, for the other to keep. Made before funding."""

    party: str
    """``borrower`` or ``lender``."""
    adaptors: tuple[bytes, ...]
    """One adaptor signature an outcome, 162 bytes."""
    refund: bytes
    """Signature of the refund, DER and sighash byte."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A contract with both parties' promises, each checked: it may be funded now."""

    contract: Contract
    """The terms."""
    promises: tuple[Promise, Promise]
    """The borrower's and the lender's."""

    @property
    def id(self) -> str:
        """Names this set of exits, 64 hex digits."""
        return set_id([tx.id.hex() for _, tx in self.contract.transactions()])


def promise(contract: Contract, *, keys: FundingKeys) -> Promise:
    """Sign every exit for the other party. Raises Refused("psbt/no-key") if no key is ours."""
    terms, refund = contract.terms, contract.refund_tx
    for party, stake in zip(_PARTIES, (contract.borrower, contract.lender), strict=True):
        key, origin = stake.key.pubkey, stake.key.origin
        # Not by a recovery key: what the lock opens is still the two keys' script.
        signed = keys.ecdsa(
            key, origin=origin, digest=dlcspecs.sig_hash(terms, refund), recovery=False
        )
        if signed is None:
            continue
        adaptors = [
            keys.adaptor(
                key,
                origin=origin,
                digest=dlcspecs.sig_hash(terms, cet),
                point=contract.announcement.point(outcome.name),
            )
            for outcome, cet in zip(contract.outcomes, contract.cets, strict=True)
        ]
        return Promise(party, tuple(each for each in adaptors if each), signed + _SIGHASH_ALL)
    raise Refused("psbt/no-key", coin=str(contract.coin))


def seal(contract: Contract, *, promises: Sequence[Promise]) -> Sealed:
    """Check both parties' promises; only then is funding safe.

    Raises Refused("dlc/signature") with the ``party`` and the ``exit`` whose signature is missing
    or does not verify.
    """
    given = {each.party: each for each in promises}
    for party, stake in zip(_PARTIES, (contract.borrower, contract.lender), strict=True):
        if party not in given:
            raise Refused("dlc/signature", party=party, exit="all")
        _check(contract, given[party], stake.key.pubkey)
    return Sealed(contract, (given["borrower"], given["lender"]))


def complete(sealed: Sealed, outcome: str, *, attestation: Attestation) -> bytes:
    """The transaction of an attested outcome, ready to broadcast. Needs nobody's key.

    Both adaptor signatures open with the oracle's word, so a party whose key is lost since can
    settle too. Raises Refused: "dlc/outcome" if there is none of that name or another one was
    attested, "dlc/signature" if the attestation is not the announced oracle's.
    """
    contract = sealed.contract
    names = [each.name for each in contract.outcomes]
    attestation.check(contract.announcement)
    if outcome not in names or outcome != attestation.outcome:
        raise Refused("dlc/outcome", outcome=outcome[:100], attested=attestation.outcome)
    number = names.index(outcome)
    secret = int.from_bytes(attestation.signature[32:], "big")
    return _spend(
        contract,
        contract.cets[number],
        [
            ecdsa_adaptor.decrypt(each.adaptors[number], secret).serialize() + _SIGHASH_ALL
            for each in sealed.promises
        ],
    )


def refund(sealed: Sealed) -> bytes:
    """The refund, ready to broadcast; the chain takes it from ``refund_at`` on."""
    contract = sealed.contract
    return _spend(contract, contract.refund_tx, [each.refund for each in sealed.promises])


def exits(sealed: Sealed) -> tuple[AgreedExit, ...]:
    """Every exit that was signed up front, the refund last."""
    contract = sealed.contract
    scripts = {contract.borrower.payout: "borrower", contract.lender.payout: "lender"}
    blank = [bytes(_SIGNATURE)] * len(_PARTIES)
    found = []
    for name, tx in contract.transactions():
        outputs = tuple((out.script_pub_key.script, Sats(out.value)) for out in tx.vout)
        last = name == REFUND
        whole = refund(sealed) if last else _spend(contract, tx, blank)
        found.append(
            AgreedExit(
                name=name,
                to=tuple(scripts[script] for script, _ in outputs),
                outputs=outputs,
                txid=tx.id.hex(),
                vsize=read_transaction(whole).vsize,
                fee=Sats(contract.sats - sum(sats for _, sats in outputs)),
                locktime=tx.lock_time if last else 0,
                signers=() if last else (ORACLE,),
                held_by=_PARTIES,
            )
        )
    return tuple(found)


def _check(contract: Contract, given: Promise, pubkey: bytes) -> None:
    terms, refund_tx = contract.terms, contract.refund_tx
    if len(given.adaptors) != len(contract.outcomes):
        raise Refused("dlc/signature", party=given.party, exit="all", adaptors=len(given.adaptors))
    for outcome, cet, adaptor in zip(contract.outcomes, contract.cets, given.adaptors, strict=True):
        point = contract.announcement.point(outcome.name)
        try:
            valid = dlcspecs.verify_adaptor(terms, cet, adaptor, pubkey, point)
        except _UNREADABLE:
            valid = False
        if not valid:
            raise Refused("dlc/signature", party=given.party, exit=outcome.name)
    digest = dlcspecs.sig_hash(terms, refund_tx)
    if not _verifies(digest, pubkey, given.refund):
        raise Refused("dlc/signature", party=given.party, exit=REFUND)


def _verifies(digest: bytes, pubkey: bytes, signature: bytes) -> bool:
    try:
        valid = dsa.verify(digest, pubkey, signature[:-1])  # libsecp256k1 takes low S only
    except ValueError:
        return False
    return valid and signature[-1:] == _SIGHASH_ALL


def _spend(contract: Contract, tx: Tx, signatures: Sequence[bytes]) -> bytes:
    keys = (contract.borrower.key.pubkey, contract.lender.key.pubkey)
    full = dlcspecs.complete_spend(tx, dict(zip(keys, signatures, strict=True)))
    return full.serialize(include_witness=True)
