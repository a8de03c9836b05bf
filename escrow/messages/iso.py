"""ISO 20022 ``colr`` messages about margin calls and collateral, as JSON with full element names.

Party A is the lender, who takes collateral; party B the borrower, who gives it. Amounts are
``{"Currency", "Amount"}`` with text for the number, where the catalogue's XML has an attribute.
Where a choice has one branch that fits (variation margin), that one is written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from escrow.core.units import Cents, Sats, Seconds
from escrow.messages.margin import Margin, Pact
from escrow.messages.words import (
    Answer,
    Body,
    cash,
    checked,
    clipped,
    coins,
    day,
    moment,
    share,
)

EXPOSURE: Final = "SLOA"
"""``ExposureType11Code``: in support of a secured loan."""
OTHER: Final = "OTHR"
"""``CollateralType1Code``: neither cash nor securities nor a letter of credit."""
NAMES: Final = {
    "colr.003": "MarginCallRequest",
    "colr.004": "MarginCallResponse",
    "colr.007": "CollateralProposal",
    "colr.008": "CollateralProposalResponse",
    "colr.009": "MarginCallDisputeNotification",
    "colr.010": "CollateralSubstitutionRequest",
    "colr.011": "CollateralSubstitutionResponse",
    "colr.012": "CollateralSubstitutionConfirmation",
    "colr.016": "CollateralAndExposureReport",
}
"""Every message definition that is written, and what the catalogue calls it."""
_ANSWERS: Final = {Answer.FULL: "FULL", Answer.PART: "PART", Answer.DISPUTE: "DISP"}
"""Proprietary codes: the catalogue tells an answer by its amount."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Collateral that is proposed, delivered or returned."""

    id: str
    """At most 35 characters."""
    words: str
    """Where it is: an outpoint, or the tokens of a vault."""
    sats: Sats
    """How much."""
    market: Cents | None
    """At the last price; ``None`` before the first."""
    counted: Cents | None
    """The same after the haircut."""


def piece_of(outpoint: str, *, sats: Sats, margin: Margin) -> Piece:
    """A coin of the vault, valued at the last price."""
    priced = margin.price is not None
    txid, _, place = outpoint.partition(":")
    return Piece(
        id=checked(f"{txid[:24]}:{place}"),
        words=outpoint,
        sats=sats,
        market=margin.worth(sats) if priced else None,
        counted=margin.counted(sats) if priced else None,
    )


def piece_of_vault(pact: Pact, *, sats: Sats, margin: Margin) -> Piece:
    """Part of what is pledged: which coin pays it is not known before it is paid."""
    return replace(
        piece_of(pact.vault, sats=sats, margin=margin),
        id=checked(pact.vault[:34]),
        words=f"tokens of vault {pact.vault}",
    )


def amount(cents: Cents | int, *, pact: Pact) -> Body:
    """``ActiveCurrencyAndAmount``."""
    return {"Currency": pact.currency, "Amount": cash(cents)}


def obligation(pact: Pact, *, at: Seconds) -> Body:
    """``Obligation9``: who, where the collateral is kept, when it was valued."""
    return {
        "PartyA": _party(pact.lender),
        "PartyB": _party(pact.borrower),
        "CollateralAccountIdentification": _account(pact),
        "BlockChainAddressOrWallet": {"Identification": pact.vault},
        "ExposureType": EXPOSURE,
        "ValuationDate": {"DateTime": moment(at)},
    }


def agreement(pact: Pact) -> Body:
    """``Agreement4``: the loan's terms, by their hash."""
    return {
        "AgreementDetails": "Terms of a loan against bitcoin, signed by both parties (EIP-712)",
        "AgreementIdentification": pact.loan,
        "AgreementDate": day(pact.agreed_at),
        "BaseCurrency": pact.currency,
    }


def margin_call_request(
    pact: Pact, margin: Margin, *, id: str, due: Cents, back: bool, until: Seconds, info: str
) -> Body:
    """colr.003: the taker asks for collateral, or (``back``) the giver for its return.

    ``until``: the day by which it is to move, if the world's clock runs on without a stop.
    """
    to = "B" if back else "A"
    requirement = "ReturnMarginAmount" if back else "DeliverMarginAmount"
    movement = {"CollateralType": OTHER, "Date": day(until)}
    return {
        "TransactionIdentification": checked(id),
        "Obligation": obligation(pact, at=margin.at),
        "Agreement": agreement(pact),
        "MarginCallResult": {
            "MarginCallResult": {
                "MarginCallAmount": {
                    f"DueToParty{to}": amount(due, pact=pact),
                    "AdditionalInformation": clipped(info),
                }
            }
        },
        "MarginDetailsDueToA": _details(pact, margin),
        f"RequirementDetailsDueTo{to}": {
            "MarginRequirement": {
                "VariationMarginRequirement": {requirement: amount(due, pact=pact)}
            }
        },
        f"ExpectedCollateralDueTo{to}": {
            "ExpectedCollateralDetails": {
                "VariationMargin": {"Return" if back else "Delivery": [movement]}
            }
        },
    }


def margin_call_response(
    pact: Pact,
    margin: Margin,
    *,
    id: str,
    request: str,
    agreed: Cents,
    answer: Answer,
    back: bool,
    info: str,
) -> Body:
    """colr.004: how much of a call, or of a recall (``back``), is agreed."""
    return {
        "TransactionIdentification": checked(id),
        "Obligation": obligation(pact, at=margin.at),
        "Agreement": agreement(pact),
        "MarginDetailsDueToA": _details(pact, margin),
        f"AgreedAmountDueTo{'B' if back else 'A'}": {
            "AgreedAmountDetails": {
                "VariationMarginAmount": {
                    "AgreedAmount": amount(agreed, pact=pact),
                    "MarginCallRequestIdentification": checked(request),
                    "AdditionalInformation": clipped(info),
                }
            }
        },
        "ResponseDetails": {
            "ResponseTypeDetails": [
                {
                    "Proprietary": {
                        "Identification": _ANSWERS[answer],
                        "Issuer": "escrow",
                        "SchemeName": "MarginCallResponseTypeEnum",
                    }
                }
            ],
            "Description": answer.value,
        },
    }


def collateral_proposal(
    pact: Pact, margin: Margin, *, id: str, request: str | None, agreed: Cents, piece: Piece
) -> Body:
    """colr.007: a coin is on its way to the vault; ``request`` names the open call, if any."""
    deliver: Body = {
        **({} if request is None else {"MarginCallRequestIdentification": checked(request)}),
        "OtherCollateral": [other_collateral(piece, pact=pact, haircut=margin.haircut)],
    }
    return {
        "TransactionIdentification": checked(id),
        "Obligation": obligation(pact, at=margin.at),
        "Agreement": agreement(pact),
        "TypeAndDetails": {
            "CollateralProposalType": "INIT",
            "CollateralProposal": {
                "CollateralProposalDetails": {
                    "VariationMargin": {
                        "AgreedAmount": amount(agreed, pact=pact),
                        "MovementDirection": [
                            {"CollateralMovementDirection": {"Deliver": deliver}}
                        ],
                    }
                }
            },
        },
    }


def collateral_proposal_response(
    pact: Pact, *, at: Seconds, id: str, proposal: str, piece: str, refused: str | None
) -> Body:
    """colr.008: the coin is final and its tokens exist, or ``refused`` says why it does not count.

    A reason is a code of the catalogue of errors: below the least deposit is not eligible.
    """
    response: Body = {"ResponseType": "PACK", "AssetNumber": checked(piece)}
    if refused is not None:
        reason = "ELIG" if refused == "pledge/below-minimum" else "OTHR"
        response = {
            "ResponseType": "REJT",
            "AssetNumber": checked(piece),
            "RejectionReason": reason,
            "RejectionInformation": clipped(refused, 35),
        }
    return {
        "TransactionIdentification": checked(id),
        "Obligation": obligation(pact, at=at),
        "ProposalResponse": {
            "CollateralProposal": {
                "VariationMargin": {
                    "CollateralProposalIdentification": checked(proposal),
                    "Type": "INPR",
                    "Response": {"OtherCollateralResponse": [response]},
                }
            }
        },
    }


def dispute_notification(
    pact: Pact, *, at: Seconds, id: str, request: str, disputed: Cents
) -> Body:
    """colr.009: the taker acknowledges that the rest of a call is disputed."""
    return {
        "TransactionIdentification": checked(id),
        "Obligation": obligation(pact, at=at),
        "DisputeNotification": {
            "DisputeNotificationDetails": {
                "VariationMarginDispute": {
                    "DisputeDetails": {
                        "MarginCallRequestIdentification": checked(request),
                        "DisputedAmount": amount(disputed, pact=pact),
                        "DisputeDate": day(at),
                    }
                }
            }
        },
    }


def collateral_report(pact: Pact, margin: Margin, *, id: str) -> Body:
    """colr.016: exposure, collateral after the haircut, and by how much one exceeds the other."""
    short = margin.exposure > margin.collateral
    held = Piece(
        id="tokens",
        words=f"pledged tokens of vault {pact.vault}",
        sats=margin.held,
        market=margin.market,
        counted=margin.collateral,
    )
    pieces = [_valued(held, pact=pact, margin=margin, status="STLD")] if margin.held else []
    if margin.transit:
        coming = Piece(
            id="transit",
            words=f"coins on their way into vault {pact.vault}",
            sats=margin.transit,
            market=margin.worth(margin.transit),
            counted=margin.counted(margin.transit),
        )
        pieces.append(_valued(coming, pact=pact, margin=margin, status="ASTL"))
    return {
        "ReportParameters": {
            "ReportIdentification": checked(id),
            "ReportDateAndTime": {"DateTime": moment(margin.at)},
            "Frequency": "ADHO",
            "ReportCurrency": pact.currency,
        },
        "Obligation": obligation(pact, at=margin.at),
        "Agreement": agreement(pact),
        "CollateralReport": [
            {
                "CollateralAccountIdentification": _account(pact),
                "ReportSummary": {
                    "ExposedAmountPartyA": amount(margin.exposure, pact=pact),
                    "ExposureType": EXPOSURE,
                    "TotalValueOfCollateral": amount(margin.collateral, pact=pact),
                    "NetExcessDeficit": amount(margin.call if short else margin.excess, pact=pact),
                    "NetExcessDeficitIndicator": "SHOR" if short else "LONG",
                    "ValuationDateTime": moment(margin.at),
                },
                "CollateralValuation": pieces,
            }
        ],
    }


def other_collateral(piece: Piece, *, pact: Pact, haircut: int) -> Body:
    """``OtherCollateral``: bitcoin, by quantity; values only where there was a price."""
    body: Body = {
        "AssetNumber": checked(piece.id),
        "OtherTypeOfCollateral": {
            "Description": clipped(piece.words, 140),
            "Quantity": {"Unit": coins(piece.sats)},
        },
        "Haircut": share(haircut),
    }
    if piece.market is not None:
        body["MarketValue"] = amount(piece.market, pact=pact)
    if piece.counted is not None:
        body["CollateralValue"] = amount(piece.counted, pact=pact)
    return body


def _valued(piece: Piece, *, pact: Pact, margin: Margin, status: str) -> Body:
    return {
        "CollateralType": OTHER,
        "SettlementStatus": status,
        "OtherCollateral": other_collateral(piece, pact=pact, haircut=margin.haircut),
    }


def _details(pact: Pact, margin: Margin) -> Body:
    """``MarginCall``: no threshold, a cent at least, up to the cent."""
    cent = amount(1, pact=pact)
    return {
        "ExposedAmountPartyA": amount(margin.exposure, pact=pact),
        "MarginTerms": {
            "MarginDetails": {
                "VariationMargin": {
                    "ThresholdAmount": amount(0, pact=pact),
                    "MinimumTransferAmount": cent,
                    "RoundingAmount": cent,
                    "RoundingMethod": "DRUP",
                }
            }
        },
        "CollateralBalance": {"TotalCollateral": amount(margin.collateral, pact=pact)},
    }


def _party(address: str) -> Body:
    """An EVM address has 40 digits and an identification 35: the file's head has it in full."""
    digits = address.removeprefix("0x")[:35]
    return {
        "ProprietaryIdentification": {
            "Identification": checked(digits),
            "Issuer": "eip155",
            "SchemeName": "EVM address, first digits",
        }
    }


def _account(pact: Pact) -> Body:
    return {"Identification": checked(pact.vault.removeprefix("0x")[:35]), "Name": "vault"}
