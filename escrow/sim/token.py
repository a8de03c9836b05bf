"""A walk through custody with hardware tokens: ``escrow demo token``.

A bank's vault, two of three tokens, on a real chain: PINs, dual control, lock-out, the
administrator, a signing limit, a lost token and its replacement. SoftHSM2 stands in for the
tokens. Everything is the same in every run but the keys, which tokens make by chance, and so
addresses, transaction ids and signatures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from escrow.actors.replacement import check_replacement, draft_sweep
from escrow.actors.signers import Check, TokenSigner, describe
from escrow.adapters.bitcoin import psbt as bip174
from escrow.adapters.bitcoin.keys import Keys, VaultKey, derive_seed
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.psbt import Psbt
from escrow.adapters.bitcoin.psbt_combine import combine
from escrow.adapters.bitcoin.vault import Vault, compile_vault
from escrow.adapters.bitcoin.wallet import Wallet
from escrow.adapters.sign.audit import Entry
from escrow.adapters.sign.guard import Settings
from escrow.adapters.sign.pkcs11 import Token
from escrow.adapters.sign.softhsm import SoftHsm
from escrow.core.errors import EscrowError, Refused
from escrow.core.units import COIN, DAY, Sats
from escrow.custody.read import load_policy
from escrow.ports import Coin
from escrow.words import coins

POLICY: Final = "bank-token"
"""The custody policy that the walk is about."""
ROLES: Final = ("officer-1", "officer-2", "safe")
"""Its tokens."""
SETTINGS: Final = Settings(tries=3, admin_tries=3, signatures=3, period=DAY)
"""Stricter than usual, so that the walk meets every limit."""

_START: Final = 1_735_689_600  # 2025-01-01 00:00 UTC, block time
_BLOCK: Final = 600
_SEED: Final = b"escrow demo token, bitcoin seed."
_RIPE: Final = 101  # blocks until the first reward can be spent
_FUNDS: Final = Sats(COIN // 2)
_PAYMENT: Final = Sats(COIN // 20)
_FEERATE: Final = 2
_MAX_FEE: Final = Sats(2_000)
# Shown to whoever reads this, because they guard nothing: a PIN is never written anywhere else.
_ADMIN_PIN: Final = "admin-0000"
_NEW_PIN: Final = "9753"
_WRONG: Final = "0000"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried, and what came of it."""

    number: int
    """From 1."""
    title: str
    """What is tried."""
    words: tuple[str, ...]
    """What happened, line by line."""
    facts: Mapping[str, int | str] = field(default_factory=dict)
    """The same for a machine: transaction ids, codes of refusals, amounts in sats."""


@dataclass(frozen=True, slots=True)
class Walk:
    """All steps, and what the tokens wrote down meanwhile."""

    steps: tuple[Step, ...]
    """In order."""
    logs: Mapping[str, tuple[Entry, ...]]
    """Token → its audit log."""


def walk(*, library: str | Path | None = None) -> Walk:
    """Go through it once, on a chain and in a token store of its own.

    ``library`` is SoftHSM2's, if it is not where it usually is. Raises BadInput: "hsm/missing"
    with what to install, "extra/missing".
    """
    with SoftHsm(library=library) as hsm, Node() as node:
        return _Walker(hsm, node).walk()


class _Walker:
    def __init__(self, hsm: SoftHsm, node: Node) -> None:
        self._hsm = hsm
        self._node = node
        self._steps: list[Step] = []
        self._pins = {role: f"{number}357" for number, role in enumerate(ROLES, 1)}
        self._tokens: dict[str, Token] = {}

    def walk(self) -> Walk:
        vault = self._make_vault()
        self._fund(vault)
        self._pay(vault)
        self._refuse_a_stranger(vault)
        self._lock_out()
        self._unblock(vault)
        self._meet_the_limit(vault)
        self._go_on(self._replace(vault))
        self._show_log()
        logs = {name: token.log.entries for name, token in self._tokens.items()}
        return Walk(tuple(self._steps), logs)

    @property
    def _now(self) -> int:
        return max(_START, self._node.tip_time)

    def _make_vault(self) -> Vault:
        for role in ROLES:
            self._tokens[role] = self._make_token(role, pin=self._pins[role])
        self._tell(
            "Three tokens are taken into use",
            f"The administrator sets each: {SETTINGS.tries} wrong PINs lock it, "
            f"{SETTINGS.signatures} signatures a day at most.",
            "Each makes its key inside. It is sensitive and cannot be extracted, and a signer",
            "refuses to work with a key that could.",
            *(f"{role}: {token.pubkey.hex()}" for role, token in self._tokens.items()),
            **{role: token.pubkey.hex() for role, token in self._tokens.items()},
        )
        vault = self._vault(self._tokens)
        self._tell(
            "The vault: two of three tokens",
            f"{vault.policy.title}. A token signs ECDSA only, so the script is P2WSH.",
            f"Address {vault.address}",
            address=vault.address,
            descriptor=vault.descriptor,
        )
        return vault

    def _fund(self, vault: Vault) -> None:
        wallet = Wallet(Keys(derive_seed(_SEED, name="bank")), node=self._node)
        for _ in range(_RIPE):
            self._mine(script=wallet.script_pubkey)
        raw = wallet.pay([(vault.script_pubkey, _FUNDS)], feerate=_FEERATE)
        txid = self._node.broadcast(raw)
        self._mine()
        self._tell(
            "Coins go into the vault",
            f"{coins(_FUNDS)} confirmed in transaction {txid}",
            txid=txid,
            sats=_FUNDS,
        )

    def _pay(self, vault: Vault) -> None:
        draft = self._draft(vault, to=self._payee)
        check = self._order(vault)
        first = self._signer("officer-1").sign(draft, check=check, at=self._now)
        alone = self._refusal(lambda: bip174.finalize(first))
        self._tell(
            "One officer signs, and that is not enough",
            "What the first officer is shown before the PIN is asked:",
            *(f"  {line}" for line in describe(draft).splitlines()),
            "The bank's order agrees with it, so the token signs. To finish with this alone:",
            str(EscrowError(alone.code)),
            refused=alone.code,
            txid=draft.txid,
        )
        second = self._signer("safe").sign(draft, check=check, at=self._now)
        self._tell(
            "Dual control: the token in the safe signs too",
            *self._send([first, second]),
            txid=draft.txid,
        )

    def _refuse_a_stranger(self, vault: Vault) -> None:
        thief = Wallet(Keys(derive_seed(_SEED, name="thief")), node=self._node)
        draft = self._draft(vault, to=thief.script_pubkey)
        refused = self._refusal(
            lambda: self._signer("officer-2").sign(draft, check=self._order(vault), at=self._now)
        )
        self._tell(
            "A spend that nobody ordered",
            "The second officer is asked to sign a payment to somebody else.",
            str(refused),
            "No PIN was asked for and nothing was signed. It is in the audit log.",
            refused=refused.code,
            txid=draft.txid,
        )

    def _lock_out(self) -> None:
        token = self._tokens["officer-2"]
        tries = [
            self._refusal(lambda: token.sign(bytes(32), pin=_WRONG, at=self._now))
            for _ in range(SETTINGS.tries)
        ]
        pin = self._pins["officer-2"]
        right = self._refusal(lambda: token.sign(bytes(32), pin=pin, at=self._now))
        self._tell(
            "Somebody guesses the second officer's PIN",
            *map(str, tries),
            "Now the right one:",
            str(right),
            refused=right.code,
        )

    def _unblock(self, vault: Vault) -> None:
        token = self._tokens["officer-2"]
        wrong = self._refusal(lambda: token.unblock(_WRONG, new_pin=_NEW_PIN, at=self._now))
        token.unblock(_ADMIN_PIN, new_pin=_NEW_PIN, at=self._now)
        self._pins["officer-2"] = _NEW_PIN
        draft = self._draft(vault, to=self._payee)
        check = self._order(vault)
        signed = [
            self._signer(role).sign(draft, check=check, at=self._now)
            for role in ("officer-1", "officer-2")
        ]
        self._tell(
            "The administrator unblocks it",
            "With a wrong PIN of the administrator:",
            str(wrong),
            "With the right one the officer gets a new PIN. The key is the same, and signs:",
            *self._send(signed),
            refused=wrong.code,
            txid=draft.txid,
        )

    def _meet_the_limit(self, vault: Vault) -> None:
        pair, check = [self._signer("officer-1"), self._signer("safe")], self._order(vault)
        draft = self._draft(vault, to=self._payee)
        third = self._send([each.sign(draft, check=check, at=self._now) for each in pair])
        draft = self._draft(vault, to=self._payee)
        refused = self._refusal(lambda: pair[0].sign(draft, check=check, at=self._now))
        self._mine(time=(self._now // DAY + 1) * DAY)
        fourth = self._send([each.sign(draft, check=check, at=self._now) for each in pair])
        self._tell(
            "A token signs only so often",
            f"The first officer's token makes signature {SETTINGS.signatures} of the day.",
            *third,
            "Asked once more:",
            str(refused),
            "The next day it signs again.",
            *fourth,
            refused=refused.code,
            txid=draft.txid,
        )

    def _replace(self, old: Vault) -> Vault:
        lost = self._tokens["officer-2"]
        lost.report_lost(at=self._now)
        refused = self._refusal(
            lambda: lost.sign(bytes(32), pin=self._pins["officer-2"], at=self._now)
        )
        self._tell(
            "The second officer's token is lost",
            "Whoever finds it and knows the PIN:",
            str(refused),
            "The flag is ours, in the audit log. What really protects the coins is to move them.",
            refused=refused.code,
        )
        spare = self._make_token("officer-2-new", pin=_NEW_PIN)
        new = self._vault({**self._tokens, "officer-2": spare})
        found = self._coins(old)
        draft = draft_sweep(found, old=old, new=new, feerate=_FEERATE, prev_txs=self._prev(found))

        def check(psbt: Psbt) -> object:
            return check_replacement(psbt, old=old, new=new, role="officer-2", max_fee=_MAX_FEE)

        signed = [
            self._signer(role).sign(draft, check=check, at=self._now)
            for role in ("officer-1", "safe")
        ]
        sent = self._send(signed)
        left, moved = self._coins(old), self._coins(new)
        self._tell(
            "The other two replace it",
            "A new token, and a vault in which only the second officer's key is another one.",
            f"New address {new.address}",
            "The remaining two check that, and that every coin goes there, and sign:",
            *sent,
            f"In the old vault: {coins(sum(each.sats for each in left))}. "
            f"In the new one: {coins(sum(each.sats for each in moved))}.",
            txid=draft.txid,
            address=new.address,
            sats=sum(each.sats for each in moved),
        )
        self._tokens |= {"officer-2": spare, "officer-2, lost": lost}
        self._pins["officer-2"] = _NEW_PIN
        return new

    def _go_on(self, vault: Vault) -> None:
        draft = self._draft(vault, to=self._payee)
        signed = [
            self._signer(role).sign(draft, check=self._order(vault), at=self._now)
            for role in ("officer-2", "safe")
        ]
        self._tell(
            "The second officer signs with the new token", *self._send(signed), txid=draft.txid
        )

    def _show_log(self) -> None:
        log = self._tokens["officer-2, lost"].log
        self._tell(
            "The audit log of the lost token",
            "Each line is chained to the one before; a token whose log was changed is locked.",
            *(
                f"{number:>3}  {entry.what:<8} {entry.verdict:<24} {entry.txid[:16]}"
                for number, entry in enumerate(log.entries)
            ),
            entries=len(log.entries),
            head=log.head,
        )

    # --- in other words ---

    @property
    def _payee(self) -> bytes:
        return Keys(derive_seed(_SEED, name="borrower")).wallet_key().script_pubkey

    def _order(self, vault: Vault) -> Check:
        """The bank's order: so much to this borrower, the rest stays."""

        def check(psbt: Psbt) -> object:
            spend = bip174.inspect(psbt)
            allowed = {self._payee, vault.script_pubkey}
            for each in spend.outputs:
                if each.script_pubkey not in allowed:
                    raise Refused("cosigner/destination", script=each.script_pubkey.hex())
            paid = sum(e.sats for e in spend.outputs if e.script_pubkey == self._payee)
            if paid > _PAYMENT:
                raise Refused("cosigner/amount", paid=paid, ordered=_PAYMENT)
            if spend.fee > _MAX_FEE:
                raise Refused("cosigner/fee", fee=spend.fee, bound=_MAX_FEE)
            return spend

        return check

    def _draft(self, vault: Vault, *, to: bytes) -> Psbt:
        found = self._coins(vault)
        scripts = [to, vault.script_pubkey]
        fee = _FEERATE * vault.vsize(vault.policy.paths[0].name, len(found), scripts)
        change = Sats(sum(coin.sats for coin in found) - _PAYMENT - fee)
        return bip174.update(
            bip174.create(
                [coin.outpoint for coin in found],
                outputs=[(to, _PAYMENT), (vault.script_pubkey, change)],
            ),
            owner=vault,
            prev_txs=self._prev(found),
        )

    def _send(self, signed: Sequence[Psbt]) -> list[str]:
        txid = self._node.broadcast(bip174.extract(bip174.finalize(combine(signed))))
        self._mine()
        return [f"Bitcoin takes it: transaction {txid}, in block {self._node.height}"]

    def _signer(self, role: str) -> TokenSigner:
        return TokenSigner(self._tokens[role], ask_pin=lambda: self._pins[role])

    def _make_token(self, label: str, *, pin: str) -> Token:
        token = self._hsm.make(label, so_pin=_ADMIN_PIN, pin=pin, at=self._now, settings=SETTINGS)
        token.create_key(pin, at=self._now)
        return token

    def _vault(self, tokens: Mapping[str, Token]) -> Vault:
        keys = {role: VaultKey.single(token.pubkey) for role, token in tokens.items()}
        return compile_vault(load_policy(POLICY), keys=keys, moments={})

    def _coins(self, vault: Vault) -> list[Coin]:
        return list(self._node.coins(vault.script_pubkey))

    def _prev(self, found: Sequence[Coin]) -> list[bytes]:
        raws = [self._node.transaction(coin.outpoint.txid) for coin in found]
        return [raw for raw in raws if raw is not None]

    def _mine(self, *, time: int = 0, script: bytes | None = None) -> None:
        self._node.mine(time=max(self._now + _BLOCK, time), script_pubkey=script)

    def _refusal(self, act: Callable[[], object]) -> EscrowError:
        try:
            act()
        except EscrowError as refusal:
            return refusal
        raise AssertionError("it was not refused")

    def _tell(self, title: str, *words: str, **facts: int | str) -> None:
        self._steps.append(Step(len(self._steps) + 1, title, words, facts))
