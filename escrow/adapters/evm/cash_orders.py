"""What the contracts of cash legs name: a payment that waits, an order of two legs, a hash lock.

Each struct is written once here and once in its interface (``contracts/interfaces``); a test holds
the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from escrow.adapters.evm.typed import Domain, Sig, Signer, Struct, sign

PAYMENT: Final = Struct(
    "Payment",
    (
        ("payer", "address"),
        ("payee", "address"),
        ("amount", "uint256"),
        ("not_before", "uint256"),
        ("deadline", "uint256"),
        ("payee_kind", "uint256"),
        ("digest", "bytes32"),
        ("approver", "address"),
        ("nonce", "uint256"),
    ),
)
"""A payment of ``DigitalCash`` that waits for conditions; its hash is its name. Nobody signs it:
the payer locks it by a transaction of its own."""
ORDER: Final = Struct(
    "Order",
    (
        ("first", "address"),
        ("second", "address"),
        ("first_token", "address"),
        ("first_amount", "uint256"),
        ("second_token", "address"),
        ("second_amount", "uint256"),
        ("feed", "address"),
        ("scale", "uint256"),
        ("tolerance_bps", "uint256"),
        ("nonce", "uint256"),
        ("expires_at", "uint256"),
    ),
)
"""Two parties exchange one token for another (``Settlement``). Units are in ``ISettlement.vyi``."""
LOCK: Final = Struct(
    "Lock",
    (
        ("token", "address"),
        ("payer", "address"),
        ("payee", "address"),
        ("amount", "uint256"),
        ("digest", "bytes32"),
        ("deadline", "uint256"),
    ),
)
"""One leg of an atomic swap (``HashLock``); its hash is its name."""


def sign_order(signer: Signer, *, order: Mapping[str, object], domain: Domain) -> Sig:
    """A party's signature over an order, for ``Settlement.settle``."""
    return sign(signer, struct=ORDER, message=order, domain=domain)
