"""A custody policy: named roles, and the paths on which they can move the coins."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from escrow.core.units import Seconds


class KeyKind(Enum):
    """Where a role's private key lives."""

    SOFTWARE = "software"
    """In a wallet (BIP-32)."""
    TOKEN = "token"  # noqa: S105 (no password)
    """In a PKCS#11 token that never gives it out. ECDSA only, so no taproot and no MuSig2."""
    EPHEMERAL = "ephemeral"
    """Destroyed once the exits are signed: nobody can use it afterwards (Firefish)."""


class ScriptKind(Enum):
    """What the coins are locked in."""

    WSH = "wsh"
    """P2WSH: the script is shown when spending (BIP-141)."""
    TR = "tr"
    """P2TR: a key, or one leaf of a tree (BIP-341)."""


class Moment(Enum):
    """A time that the loan's terms fix, for absolute locks (nLockTime, CLTV)."""

    DEFAULT = "default"
    """Maturity and grace have passed."""
    RECOVERY = "recovery"
    """``Terms.recover_at``: after everything the lender may do."""


@dataclass(frozen=True, slots=True)
class After:
    """Opens at a moment of the loan."""

    moment: Moment
    """Which."""


@dataclass(frozen=True, slots=True)
class Older:
    """Opens this long after the coin's own confirmation (CSV), so moving the coin starts anew."""

    seconds: Seconds
    """A multiple of 512 from 512 to 65,535 × 512, about 388 days (BIP-68)."""


Lock = After | Older


class Form(Enum):
    """How a path is taken."""

    SCRIPT = "script"
    """Signatures are given at the exit, for any destination."""
    MUSIG = "musig"
    """The same, all signing as one key (BIP-327): on chain it is a single signature."""
    PRESIGNED = "presigned"
    """One transaction, signed before the coins came in; only ``roles`` sign at the exit."""
    ATTESTED = "attested"
    """One transaction an outcome, signed up front with adaptors; the oracle's attestation of the
    outcome completes the signatures (dlcspecs)."""


@dataclass(frozen=True, slots=True)
class Role:
    """One key of the vault, or an oracle."""

    name: str
    """Unique in the policy, e.g. ``lender`` or ``officer-1``."""
    holder: str
    """The party that holds the key: a party that goes silent takes all its roles with it."""
    key: KeyKind
    """Where the key lives."""


@dataclass(frozen=True, slots=True)
class Path:
    """One way in which the coins can move."""

    name: str
    """Unique in the policy. The first path is the cooperative close."""
    threshold: int
    """How many of ``roles`` sign at the exit; 0 only if pre-signed in full."""
    roles: tuple[str, ...]
    """Who can sign at the exit."""
    lock: Lock | None = None
    """When it opens; ``None``: at once."""
    form: Form = Form.SCRIPT
    """How it is taken."""
    via: str = ""
    """Pre-signed and attested: the script path whose signatures they are."""
    to: str = ""
    """Pre-signed and attested: the party that is paid."""
    held_by: tuple[str, ...] = ()
    """Pre-signed and attested: parties that hold the transaction and can send it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Who can move the coins of a vault."""

    name: str
    """Unique, e.g. ``two-of-three``."""
    title: str
    """A short line."""
    about: str
    """A few sentences in plain words: whom it is for, and what it costs in trust."""
    source: str
    """Who does it this way."""
    script: ScriptKind
    """What the coins are locked in."""
    roles: tuple[Role, ...]
    """Every key."""
    paths: tuple[Path, ...]
    """Every way out, the cooperative close first."""
    assumed: tuple[str, ...] = ()
    """What a real product does not disclose and this policy fills in."""
    accepts: tuple[str, ...] = ()
    """Findings of the audit that whoever wrote the policy takes knowingly, by name."""

    def role(self, name: str) -> Role:
        """The role of this name. Raises ``KeyError``."""
        for role in self.roles:
            if role.name == name:
                return role
        raise KeyError(name)

    def path(self, name: str) -> Path:
        """The path of this name. Raises ``KeyError``."""
        for path in self.paths:
            if path.name == name:
                return path
        raise KeyError(name)
