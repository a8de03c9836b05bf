"""A key in a PKCS#11 token: it signs, and never leaves.

PKCS#11 signs a bare hash and shows its holder nothing, so whoever calls ``sign`` has checked
what is signed. It knows ECDSA and not BIP-340, so a token can be in P2WSH vaults only. Half of
a token's signatures come out with a high S, which nodes do not relay (BIP-146), and half with
a high R, a byte longer than wallets count on: the first is mirrored, the second asked for again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from escrow.adapters.sign.audit import AuditLog
from escrow.adapters.sign.device import (
    MAX_PIN,
    MIN_PIN,
    SECP256K1,
    check_kept,
    is_pin,
    open_session,
    point_of,
)
from escrow.adapters.sign.guard import Counts, Guard, Settings
from escrow.adapters.sign.module import Module
from escrow.core.errors import BadInput, Refused

if TYPE_CHECKING:
    from pkcs11.types import Session

ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
"""Order of secp256k1's group (SEC 2)."""

_LOW_R: Final = 2**255
_MAX_ASKS: Final = 128  # half of the answers will do, so this never runs out by chance


class OpenToken:
    """A token whose PIN was right, until the end of the block that opened it."""

    def __init__(self, key: Any, guard: Guard, *, pubkey: bytes, at: int) -> None:
        self._key = key
        self._guard = guard
        self._at = at
        self.pubkey = pubkey
        """The key that signs, 33 bytes."""

    def __repr__(self) -> str:
        return f"OpenToken({self.pubkey.hex()})"

    def sign(self, digest: bytes, *, txid: str = "", words: str = "") -> bytes:
        """64 bytes r‖s over a 32-byte hash, with low S and low R.

        It is counted and written to the audit log before it is made. Raises Refused:
        "hsm/limit", "hsm/failed", "signer/audit".
        """
        from pkcs11 import Mechanism

        if len(digest) != 32:
            raise BadInput("hsm/failed", digest_bytes=len(digest))
        counts = self._guard.ready().at(self._at)
        note: dict[str, Any] = {"at": self._at, "digest": digest, "txid": txid, "words": words}
        if counts.signed >= counts.max_signatures:
            self._guard.note("sign", "hsm/limit", counts=counts, **note)
            raise Refused("hsm/limit", signed=counts.signed, period=counts.period)
        counts = counts.but(signed=counts.signed + 1)
        self._guard.note("sign", "done", counts=counts, **note)
        for _ in range(_MAX_ASKS):
            answer = bytes(self._key.sign(digest, mechanism=Mechanism.ECDSA))
            r, s = int.from_bytes(answer[:32]), int.from_bytes(answer[32:])
            if len(answer) != 64 or not (0 < r < ORDER and 0 < s < ORDER):
                break
            if r < _LOW_R:
                return answer[:32] + min(s, ORDER - s).to_bytes(32)
        raise Refused("hsm/failed", reason="not a usable signature")


class Token:
    """One token and its one vault key. Holds no PIN: each call is given it."""

    def __init__(
        self,
        label: str,
        *,
        home: Path,
        module: Module,
        key: str = "vault",
        durable: bool = True,
    ) -> None:
        """The token ``label`` of ``module``.

        ``home`` is a folder for its audit log, ``key`` the label of the key in the token;
        ``durable`` makes each entry outlast a power cut, which takes the disk some milliseconds.
        Raises BadInput: "hsm/missing" if there is no such token, "extra/missing".
        """
        self.label = label
        """What the token is called."""
        self._module = module
        self._key = key
        with module.use() as library:
            serial = module.device(library, label).serial.decode("ascii", "replace")
        name = "".join(each for each in f"{label}-{serial}" if each.isalnum() or each in "-_")
        self._guard = Guard(home / f"{name}.jsonl", durable=durable)

    def __repr__(self) -> str:
        return f"Token({self.label})"

    @property
    def log(self) -> AuditLog:
        """What was asked of it, and what it answered."""
        return self._guard.log

    @property
    def counts(self) -> Counts | None:
        """Tries left, signatures made; None if its audit log is missing or was changed."""
        with self._guard.turn():
            return self._guard.counts

    @property
    def pubkey(self) -> bytes:
        """The public key, 33 bytes. Needs no PIN. Raises Refused("hsm/key") if there is none."""
        from pkcs11 import ObjectClass

        with self._module.use() as library:
            session = self._module.device(library, self.label).open()
            try:
                return point_of(self._find(session, ObjectClass.PUBLIC_KEY))
            finally:
                session.close()

    def enrol(self, so_pin: str, *, at: int, settings: Settings | None = None) -> None:
        """Take the token into use, or change its settings: by the administrator only.

        Also the remedy for an audit log that is gone or was changed: what is left of it is kept
        aside. Raises as ``unblock``.
        """
        with self._admin(so_pin, at=at):
            self._guard.enrol(settings or Settings(), at=at)

    def create_key(self, pin: str, *, at: int) -> bytes:
        """Make the key inside the token; the public one, 33 bytes.

        Raises Refused: "hsm/key" if there is one already, or as ``unlocked`` does.
        """
        from pkcs11 import Attribute, KeyType, MechanismFlag

        with self._user(pin, at=at) as session:
            if list(session.get_objects({Attribute.LABEL: self._key})):
                self._guard.note("key", "hsm/key", at=at, counts=self._guard.settled())
                raise Refused("hsm/key", reason="there is one already", key=self._key)
            curve = {Attribute.EC_PARAMS: SECP256K1}
            public, private = session.create_domain_parameters(
                KeyType.EC, curve, local=True
            ).generate_keypair(
                store=True,
                label=self._key,
                capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
                private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
            )
            check_kept(private)
            pubkey = point_of(public)
            self._guard.note("key", "done", at=at, words=pubkey.hex(), counts=self._guard.ready())
            return pubkey

    @contextmanager
    def unlocked(self, pin: str, *, at: int) -> Iterator[OpenToken]:
        """Log in, to sign once or several times.

        Raises Refused: "hsm/pin" with the tries left, "hsm/locked", "hsm/lost", "hsm/key" if the
        key could leave the token; BadInput("hsm/missing") if the token is not there.
        """
        from pkcs11 import ObjectClass

        with self._user(pin, at=at) as session:
            private = self._find(session, ObjectClass.PRIVATE_KEY)
            public = self._find(session, ObjectClass.PUBLIC_KEY)
            check_kept(private)
            pubkey = point_of(public)
            yield OpenToken(private, self._guard, pubkey=pubkey, at=at)

    def sign(self, digest: bytes, *, pin: str, at: int, txid: str = "", words: str = "") -> bytes:
        """One signature. Raises as ``unlocked`` and ``OpenToken.sign``."""
        with self.unlocked(pin, at=at) as opened:
            return opened.sign(digest, txid=txid, words=words)

    def unblock(self, so_pin: str, *, new_pin: str, at: int) -> None:
        """The administrator gives a locked token a new PIN; the key stays.

        Raises Refused: "hsm/unblock" if the administrator's PIN is wrong (with the tries left) or
        the token is not locked, "hsm/locked" if there are no such tries left, "hsm/lost";
        BadInput("hsm/pin") for a PIN that no token takes.
        """
        if not is_pin(new_pin):
            raise BadInput("hsm/pin", least=MIN_PIN, most=MAX_PIN)
        with self._admin(so_pin, at=at, locked=True) as session:
            session.init_pin(new_pin)
            counts = self._guard.settled().but(tries=self._guard.settled().max_tries)
            self._guard.note("unblock", "done", at=at, counts=counts)

    def report_lost(self, *, at: int) -> None:
        """From now on it is asked for nothing: whoever finds it must not be believed.

        The key cannot be brought back, so the coins move to a vault with another one.
        """
        with self._guard.turn():
            counts = self._guard.counts or Counts.fresh(Settings())
            self._guard.log.set_aside()
            self._guard.note("lost", "done", at=at, counts=counts.but(lost=1))

    @contextmanager
    def _user(self, pin: str, *, at: int) -> Iterator[Session]:
        """A session of the holder. The try is written down before the PIN is tried."""
        with self._module.use() as library, self._guard.turn():
            device = self._module.device(library, self.label)
            try:
                counts = self._guard.ready()
            except Refused as refusal:
                if self._guard.counts is not None:
                    self._guard.note("pin", refusal.code, at=at, counts=self._guard.settled())
                raise
            counts = counts.but(tries=counts.tries - 1)
            self._guard.note("pin", "asked", at=at, counts=counts)
            session, answer = open_session(device, user_pin=pin)
            if session is None:
                counts = counts.but(tries=0) if answer == "hsm/locked" else counts
                self._guard.note("pin", answer, at=at, counts=counts)
                raise Refused(answer, tries_left=counts.tries)
            try:
                counts = counts.but(tries=counts.max_tries)
                self._guard.note("pin", "done", at=at, counts=counts)
                yield session
            finally:
                session.close()

    @contextmanager
    def _admin(self, so_pin: str, *, at: int, locked: bool = False) -> Iterator[Session]:
        """A session of the administrator, whose tries are counted like the holder's."""
        with self._module.use() as library, self._guard.turn():
            device = self._module.device(library, self.label)
            counts = self._guard.counts
            if locked:
                self._guard.settled()
            if counts is not None:
                if (refusal := _admin_refused(counts, locked=locked)) is not None:
                    self._guard.note("admin", refusal.code, at=at, counts=counts)
                    raise refusal
                counts = counts.but(admin_tries=counts.admin_tries - 1)
                self._guard.note("admin", "asked", at=at, counts=counts)
            session, answer = open_session(device, so_pin=so_pin)
            if session is None:
                left = counts.admin_tries if counts is not None else "uncounted"
                if counts is not None:
                    self._guard.note("admin", "hsm/unblock", at=at, counts=counts)
                raise Refused("hsm/unblock", device=answer, admin_tries_left=left)
            try:
                if counts is not None:
                    counts = counts.but(admin_tries=counts.max_admin_tries)
                    self._guard.note("admin", "done", at=at, counts=counts)
                yield session
            finally:
                session.close()

    def _find(self, session: Session, kind: Any) -> Any:
        from pkcs11 import Attribute

        wanted = {Attribute.LABEL: self._key, Attribute.CLASS: kind}
        found = list(session.get_objects(wanted))
        if len(found) != 1:
            raise Refused("hsm/key", key=self._key, found=len(found))
        return found[0]


def _admin_refused(counts: Counts, *, locked: bool) -> Refused | None:
    if counts.lost:
        return Refused("hsm/lost")
    if not counts.admin_tries:
        return Refused("hsm/locked", reason="for good", admin_tries_left=0)
    if locked and counts.tries:
        return Refused("hsm/unblock", reason="not locked", tries_left=counts.tries)
    return None
