"""ISO 20022 ``colr.010`` to ``012``: one piece of collateral in the place of another.

The taker releases the old piece only after it has received the new one (colr.012; ``domain`` T34).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from escrow.core.errors import BadInput
from escrow.core.units import Bps, Cents, Seconds
from escrow.messages.iso import Piece, agreement, amount, obligation, other_collateral
from escrow.messages.margin import Pact
from escrow.messages.words import Body, checked, clipped

MAX_PIECES: Final = 100
"""Pieces that one message names."""


@dataclass(frozen=True, slots=True)
class Substitution:
    """What the parties say of a substitution while it goes on."""

    pact: Pact
    """Whose."""
    at: Seconds
    """When this is said."""
    request: str
    """Identification of the request, at most 35 characters."""
    returned: tuple[Piece, ...]
    """What goes back to the giver."""
    delivered: tuple[Piece, ...]
    """What comes in its place."""
    required: Cents
    """What the new pieces must count, in cents, after the haircut."""
    haircut: Bps
    """Of the collateral."""
    accepted: bool = False
    """The taker agreed."""
    received: bool = False
    """The new pieces are final in the vault, and their tokens are pledged."""

    def __post_init__(self) -> None:
        checked(self.request)
        for name, pieces in (("returned", self.returned), ("delivered", self.delivered)):
            if not 1 <= len(pieces) <= MAX_PIECES:
                raise BadInput("message/value", at=name, pieces=len(pieces), most=MAX_PIECES)
        if self.received and not self.accepted:
            raise BadInput("message/order", at="received", reason="not accepted")


def substitution_request(change: Substitution) -> Body:
    """colr.010: the giver asks for a piece, and offers another."""
    return {
        "TransactionIdentification": change.request,
        **_head(change),
        "CollateralSubstitutionReturn": _part(change, change.returned),
        "CollateralSubstitutionDeliver": _part(change, change.delivered),
    }


def substitution_response(change: Substitution, *, id: str, reason: str = "") -> Body:
    """colr.011: the taker accepts, or rejects for a ``reason``.

    Raises BadInput("message/value") for a rejection without a reason.
    """
    value = amount(sum(piece.counted or 0 for piece in change.delivered), pact=change.pact)
    if change.accepted:
        answer: Body = {
            "ResponseType": "PACK",
            "CollateralSubstitutionAcceptanceDetails": {
                "CollateralSubstitutionRequestIdentification": change.request,
                "AcceptedAmount": value,
            },
        }
    else:
        if not reason:
            raise BadInput("message/value", at="RejectionReasonInformation")
        answer = {
            "ResponseType": "REJT",
            "CollateralSubstitutionRejectionDetails": {
                "CollateralSubstitutionRequestIdentification": change.request,
                "RejectedAmount": value,
                "RejectionReason": "OTHR",
                "RejectionReasonInformation": clipped(reason, 140),
            },
        }
    return {
        "TransactionIdentification": checked(id),
        **_head(change),
        "SubstitutionResponse": answer,
    }


def substitution_confirmation(
    change: Substitution, *, id: str, response: str, returned: bool
) -> Body:
    """colr.012: the giver has released the new pieces, or (``returned``) the taker the old ones.

    Raises BadInput("message/order") before the taker agreed, and for a return before the new pieces
    were received.
    """
    if not change.accepted or (returned and not change.received):
        reason = "not received" if change.accepted else "not accepted"
        raise BadInput("message/order", at="ConfirmationType", reason=reason)
    return {
        "TransactionIdentification": checked(id),
        **_head(change),
        "SubstitutionConfirmation": {
            "CollateralSubstitutionRequestIdentification": change.request,
            "CollateralSubstitutionResponseIdentification": checked(response),
            "ConfirmationType": "CRET" if returned else "CREL",
        },
    }


def _head(change: Substitution) -> Body:
    return {
        "Obligation": obligation(change.pact, at=change.at),
        "Agreement": agreement(change.pact),
    }


def _part(change: Substitution, pieces: tuple[Piece, ...]) -> Body:
    return {
        "CollateralSubstitutionSequence": "INIT",
        "SubstitutionRequirement": amount(change.required, pact=change.pact),
        "CollateralSubstitutionType": "AVMG",
        "OtherCollateral": [
            other_collateral(piece, pact=change.pact, haircut=change.haircut) for piece in pieces
        ],
    }
