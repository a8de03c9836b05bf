"""What PKCS#11 says about a token's key and its sessions, read with suspicion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from escrow.core.errors import Refused

if TYPE_CHECKING:
    from pkcs11.types import Session

MIN_PIN: Final = 4
"""Shortest PIN, characters; SoftHSM2 takes no shorter one."""
MAX_PIN: Final = 64
"""Longest PIN, characters."""
SECP256K1: Final = bytes.fromhex("06052b8104000a")
"""CKA_EC_PARAMS of a Bitcoin key: OID 1.3.132.0.10 in DER."""

_PRIME: Final = 2**256 - 2**32 - 977  # of secp256k1's field (SEC 2)
# CKA_… → what it must be. A key that was made outside and brought in was known to somebody.
_KEPT: Final = {
    "SENSITIVE": True,
    "ALWAYS_SENSITIVE": True,
    "EXTRACTABLE": False,
    "NEVER_EXTRACTABLE": True,
    "LOCAL": True,
}


def is_pin(pin: str) -> bool:
    """Whether a token would take it: printable, so that it can be typed."""
    return MIN_PIN <= len(pin) <= MAX_PIN and pin.isprintable()


def open_session(device: Any, **pin: str) -> tuple[Session | None, str]:
    """A session, or the code of the refusal. A PIN that no token takes is a wrong PIN."""
    import pkcs11

    if not all(map(is_pin, pin.values())):
        return None, "hsm/pin"
    try:
        # Always R/W: a read-only session elsewhere would keep the administrator out.
        return device.open(rw=True, **pin), ""
    except pkcs11.PinLocked:
        return None, "hsm/locked"
    except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
        return None, "hsm/pin"


def check_kept(private: Any) -> None:
    """Refuse a key that the token would give out, or that came from outside."""
    import pkcs11

    wrong = ""
    for name, wanted in _KEPT.items():
        try:
            kept = private[pkcs11.Attribute[name]] is wanted
        except pkcs11.PKCS11Error:
            kept = False
        if not kept:
            wrong = name.lower()
            break
    if wrong:
        raise Refused("hsm/key", attribute=wrong)


def point_of(public: Any) -> bytes:
    """The compressed point of a secp256k1 key. Raises Refused("hsm/key")."""
    from pkcs11 import Attribute

    point = bytes(public[Attribute.EC_POINT])
    # A DER OCTET STRING by the standard (v2.40 §2.3.3); some tokens give the bare point.
    if point[:2] == b"\x04\x41":
        point = point[2:]
    if public[Attribute.EC_PARAMS] != SECP256K1 or len(point) != 65 or point[0] != 4:
        raise Refused("hsm/key", reason="not a secp256k1 point")
    x, y = int.from_bytes(point[1:33]), int.from_bytes(point[33:])
    if not (x < _PRIME and y < _PRIME and (y * y - x**3 - 7) % _PRIME == 0):
        raise Refused("hsm/key", reason="not on the curve")
    return bytes([2 + (y & 1)]) + point[1:33]
