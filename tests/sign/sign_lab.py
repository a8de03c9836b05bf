"""Short words for tests of signers: a token in use, PINs, and what a refusal was about."""

from __future__ import annotations

from collections.abc import Callable

from escrow.adapters.sign.guard import Settings
from escrow.adapters.sign.pkcs11 import Token
from escrow.adapters.sign.softhsm import SoftHsm
from escrow.core.errors import EscrowError

PIN, WRONG, NEW, ADMIN = "2468-pin", "1357-pin", "8642-pin", "admin-pin-77"
AT = 1_735_689_600
"""2025-01-01 00:00 UTC."""
DIGEST = bytes(range(32))
FEW = Settings(tries=3, admin_tries=2, signatures=1_000)


def token(hsm: SoftHsm, label: str = "officer", *, settings: Settings = FEW) -> Token:
    """A token in use, with its key."""
    made = hsm.make(label, so_pin=ADMIN, pin=PIN, at=AT, settings=settings)
    made.create_key(PIN, at=AT)
    return made


def refusal(act: Callable[[], object]) -> EscrowError:
    """What it is refused with."""
    try:
        act()
    except EscrowError as error:
        return error
    raise AssertionError("nothing was refused")


def code(act: Callable[[], object]) -> str:
    """The code of what it is refused with."""
    return refusal(act).code


def guess(made: Token, pin: str = WRONG) -> EscrowError:
    """Try a PIN that is not the token's."""
    return refusal(lambda: made.sign(DIGEST, pin=pin, at=AT))
