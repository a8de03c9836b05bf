"""Making a statement of reserves: anyone writes down what both chains show, and those who can move
the coins sign it, each after a look of its own.

A re-keyed loan may have coins at several addresses: each has its own quorum, and the key that was
lost is asked for none. Whoever signs takes a path that opens at once, since BIP-322's simple proof
has no locks; keys that sign as one do so in MuSig2's two rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from escrow.actors.observer import View, observe
from escrow.actors.signers import Signer
from escrow.actors.statement import Statement
from escrow.adapters.bitcoin import bip322
from escrow.adapters.bitcoin import psbt as bip174
from escrow.adapters.bitcoin.musig import MusigSigner, aggregate
from escrow.adapters.bitcoin.psbt import Psbt
from escrow.adapters.bitcoin.vault import Vault
from escrow.core.errors import EscrowError, Refused
from escrow.custody.policy import Form, Path


class Voucher:
    """One who can move coins of a vault, asked to sign that they are there."""

    def __init__(
        self,
        signer: Signer,
        *,
        role: str,
        view: View,
        musig: MusigSigner | None = None,
        session: Callable[[], bytes] | None = None,
    ) -> None:
        """``role`` is whose key this is, as policies name it. ``musig`` is the same key's side of
        MuSig2: without it, it takes no part in that. ``session`` gives 32 bytes that were never
        used before, for its nonces: by default the operating system does."""
        self.role = role
        self._signer = signer
        self._view = view
        self._musig = musig
        self._session = session

    def __repr__(self) -> str:
        return f"<Voucher {self._signer.name}>"

    def review(self, statement: Statement) -> None:
        """Is all of it what this party sees for itself, on both chains, at this moment?

        Raises Refused: "reserves/stale" if it is dated otherwise, "reserves/block" if it is about
        other blocks than this party's tips, "reserves/altered" for anything else.
        """
        if statement.at != self._view.now():
            raise Refused("reserves/stale", at=statement.at, now=self._view.now())
        mine = observe(self._view, at=statement.at)
        for theirs, ours in (
            (statement.bitcoin.hash, mine.bitcoin.hash),
            (statement.evm.hash.hex(), mine.evm.hash.hex()),
        ):
            if theirs != ours:
                raise Refused("reserves/block", stated=theirs, seen=ours)
        if statement.message != mine.message:
            raise Refused("reserves/altered", stated=statement.message, seen=mine.message)

    def sign(self, psbts: Sequence[Psbt], statement: Statement) -> tuple[Psbt, ...]:
        """Review once, then sign the statement's message for each vault, and nothing but that.

        Raises as ``review``; Refused("reserves/signature") for a PSBT that is not the proof of
        this message for one of these vaults, and then none is signed; what the signer refuses.
        """
        check = self._reviewed(psbts, statement)
        return tuple(self._signer.sign(psbt, check=check, at=statement.at) for psbt in psbts)

    def nonces(self, psbts: Sequence[Psbt], statement: Statement) -> tuple[Psbt, ...]:
        """MuSig2's first round (BIP-327): review, then give nonces for exactly these proofs.

        Raises as ``sign``, and as ``MusigSigner.nonces``.
        """
        self._reviewed(psbts, statement)
        musig, session = self._of_group(), self._session
        return tuple(musig.nonces(psbt, session=session and session()) for psbt in psbts)

    def partial(self, psbts: Sequence[Psbt], statement: Statement) -> tuple[Psbt, ...]:
        """MuSig2's second round: review again, since the chains may have moved on; then sign with
        the nonces, which are gone then. Raises as ``sign``, and as ``MusigSigner.partial``."""
        self._reviewed(psbts, statement)
        return tuple(self._of_group().partial(psbt) for psbt in psbts)

    def close(self) -> None:
        """Wipe nonces that were not used."""
        if self._musig is not None:
            self._musig.close()

    def _of_group(self) -> MusigSigner:
        if self._musig is None:
            raise Refused("psbt/no-key", signer=self._signer.name, reason="no part in MuSig2")
        return self._musig

    def _reviewed(self, psbts: Sequence[Psbt], statement: Statement) -> Callable[[Psbt], None]:
        self.review(statement)
        scripts = [vault.script_pubkey for vault, _ in self._view.vaults(statement)]

        def check(psbt: Psbt) -> None:
            if not any(
                bip322.is_proof(psbt, message=statement.message, script=script)
                for script in scripts
            ):
                raise Refused("reserves/signature", txid=psbt.txid, reason="not this statement")

        for psbt in psbts:
            check(psbt)
        return check


@dataclass(slots=True, eq=False)
class _Quorum:
    """Those who can move the coins of one generation of a vault."""

    vault: Vault
    lost: frozenset[str]
    """Roles that have another key in the newest generation."""
    proof: str = ""
    """Once it is made."""

    @property
    def paths(self) -> list[Path]:
        """Those by which it can prove control, the usual one first."""
        forms = (Form.SCRIPT, Form.MUSIG)
        return [p for p in self.vault.policy.paths if p.lock is None and p.form in forms]


@dataclass(slots=True, eq=False)
class _Attempt:
    """One path of a quorum, tried."""

    quorum: _Quorum
    path: Path
    psbt: Psbt
    """Unsigned; between MuSig2's rounds, with everybody's nonces."""
    copies: list[Psbt] = field(default_factory=list)
    """What was signed of it."""

    @property
    def roles(self) -> set[str]:
        """Who is asked."""
        return set(self.path.roles) - self.quorum.lost


def prove(view: View, *, vouchers: Sequence[Voucher]) -> Statement:
    """State the reserves as of now and have each vault's quorums sign. ``vouchers`` are those that
    answer, one for each key, asked in this order. Seals the pending EVM block.

    Raises BadInput("reserves/format") if there is nothing to prove; Refused("cosigner/absent") if
    too few answer for a vault, or what the last of them said.
    """
    view.evm.chain.seal()
    statement = observe(view, at=view.now())
    quorums = [
        _Quorum(vault, frozenset(r for r in vault.keys if vault.keys[r] != newest.keys.get(r)))
        for vault, newest in view.vaults(statement)
    ]
    refused: EscrowError = Refused("cosigner/absent", asked="reserves")
    try:
        for turn in range(max(len(each.paths) for each in quorums)):
            left = [each for each in quorums if not each.proof and turn < len(each.paths)]
            refused = _attempt(left, turn, vouchers, statement) or refused
    finally:
        for voucher in vouchers:
            voucher.close()
    if not all(each.proof for each in quorums):
        raise refused
    return _signed(statement, [each.proof for each in quorums])


def _signed(statement: Statement, proofs: Sequence[str]) -> Statement:
    left = iter(proofs)
    return replace(
        statement,
        vaults=tuple(
            replace(
                vault,
                generations=tuple(replace(g, proof=next(left)) for g in vault.generations),
            )
            for vault in statement.vaults
        ),
    )


def _attempt(
    quorums: Sequence[_Quorum], turn: int, vouchers: Sequence[Voucher], statement: Statement
) -> EscrowError | None:
    """Let each quorum try the path whose turn it is; what was refused last."""
    alone: list[_Attempt] = []
    together: list[_Attempt] = []
    present = {voucher.role for voucher in vouchers}
    for quorum in quorums:
        path = quorum.paths[turn]
        draft = bip322.to_sign(statement.message, owner=quorum.vault, path=path.name)
        attempt = _Attempt(quorum, path, draft)
        # Nobody signs what too few could complete.
        if len(attempt.roles & present) >= path.threshold:
            (together if path.form is Form.MUSIG else alone).append(attempt)
    first = _sign_alone(alone, vouchers, statement)
    second = _sign_together(together, vouchers, statement)
    return second or first


def _sign_alone(
    attempts: Sequence[_Attempt], vouchers: Sequence[Voucher], statement: Statement
) -> EscrowError | None:
    """A signature each, until there are enough."""
    refused: EscrowError | None = None
    for voucher in vouchers:
        asked = [a for a in attempts if not a.quorum.proof and voucher.role in a.roles]
        if not asked:
            continue
        try:
            signed = voucher.sign([each.psbt for each in asked], statement)
        except EscrowError as refusal:
            # The others may still make a quorum.
            refused = refusal
            continue
        for attempt, psbt in zip(asked, signed, strict=True):
            attempt.copies.append(psbt)
            attempt.quorum.proof = _proof(attempt.copies)
    return refused


def _sign_together(
    attempts: Sequence[_Attempt], vouchers: Sequence[Voucher], statement: Statement
) -> EscrowError | None:
    """One signature of all, in two rounds: whoever refuses in either leaves it unmade."""
    going: list[_Attempt] = list(attempts)
    refused: EscrowError | None = None
    for is_first in (True, False):
        for voucher in vouchers:
            asked = [each for each in going if voucher.role in each.roles]
            if not asked:
                continue
            ask = voucher.nonces if is_first else voucher.partial
            try:
                answers = ask([each.psbt for each in asked], statement)
            except EscrowError as refusal:
                refused = refusal
                going = [each for each in going if each not in asked]
                continue
            for attempt, psbt in zip(asked, answers, strict=True):
                attempt.copies.append(psbt)
        for attempt in tuple(going):
            try:
                attempt.psbt = bip174.combine(attempt.copies)
                attempt.copies.clear()
            except EscrowError as refusal:
                # One of them gave what is no nonce, or no signature: others may do without.
                refused = refusal
                going.remove(attempt)
    for attempt in going:
        attempt.quorum.proof = bip322.proof_of(aggregate(attempt.psbt))
    return refused


def _proof(copies: Sequence[Psbt]) -> str:
    """The proof, or nothing while signatures are missing."""
    try:
        return bip322.proof_of(bip174.combine(copies))
    except Refused as refusal:
        if refusal.code != "psbt/incomplete":
            raise
        return ""
