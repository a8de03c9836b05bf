"""ISDA CDM: margin call issuance and response, eligible collateral, as JSON with CDM's names.

Names and enumerations are those of CDM 5 and 6 (``cdm.event.common``, ``cdm.product.collateral``).
A CDM number is a JSON number; here it is text, so that no reader rounds it.
"""

from __future__ import annotations

from typing import Final

from escrow.core.terms import Terms
from escrow.core.units import Cents, Sats
from escrow.messages.margin import Margin, Pact, haircut_of
from escrow.messages.words import (
    Action,
    Answer,
    Body,
    Side,
    cash,
    checked,
    coins,
    moment,
    share,
)

NAMES: Final = ("EligibleCollateralSpecification", "MarginCallIssuance", "MarginCallResponse")
"""Every root type that is written."""
_ROLES: Final = {Side.LENDER: "Secured", Side.BORROWER: "Pledgor"}
"""``RegIMRoleEnum`` of the sender."""


def eligible_collateral(pact: Pact, terms: Terms) -> Body:
    """What may be pledged: bitcoin, at a haircut; no limit of concentration."""
    return {
        "identifier": [_identifier(pact.loan)],
        "party": _parties(pact),
        "criteria": [
            {
                "asset": [
                    {
                        "collateralAssetType": [
                            {"assetType": "Other", "otherAssetType": ["Bitcoin"]}
                        ],
                        "denominatedCurrency": [{"value": "BTC"}],
                    }
                ],
                "treatment": _treatment(haircut_of(terms)),
            }
        ],
    }


def margin_call_issuance(
    pact: Pact, margin: Margin, *, call: str, due: Cents, sender: Side
) -> Body:
    """The secured party calls for collateral, or the pledgor for its return."""
    return {
        **_base(pact, margin, call=call, sender=sender),
        "callAmountInBaseCurrency": _money(due, pact=pact),
    }


def margin_call_response(
    pact: Pact,
    margin: Margin,
    *,
    call: str,
    agreed: Cents,
    answer: Answer,
    action: Action,
    moved: Sats | Cents,
    in_cash: bool,
    sender: Side,
) -> Body:
    """How much of a call is agreed, and what moves: ``moved`` sats, or cents if ``in_cash``."""
    body: Body = {
        **_base(pact, margin, call=call, sender=sender),
        "marginResponseType": answer.value,
        "agreedAmountBaseCurrency": _money(agreed, pact=pact),
    }
    if answer is not Answer.DISPUTE:
        position = (
            {"cashBalance": _money(moved, pact=pact)}
            if in_cash
            else {
                "priceQuantity": [{"quantity": [{"value": _bitcoin(moved)}]}],
                "treatment": _treatment(margin.haircut),
            }
        )
        body["marginCallResponseAction"] = [
            {
                "collateralPositionComponent": [
                    {**position, "collateralPositionStatus": "SettledAmount"}
                ],
                "marginCallAction": action.value,
            }
        ]
    return body


def _base(pact: Pact, margin: Margin, *, call: str, sender: Side) -> Body:
    """``MarginCallBase``. CDM knows pledgor and secured party under ``RegIM`` alone (its condition
    ``RegIMRoleIMOnly``), so that is the type here; no rule on initial margin is meant to apply."""
    cent = _money(1, pact=pact)
    balances = [_balance(pact, "SettledAmount", margin.collateral)]
    if margin.transit:
        coming = margin.counted(margin.transit)
        balances += [
            _balance(pact, "InTransitAmount", coming),
            _balance(pact, "FullAmount", Cents(margin.collateral + coming)),
        ]
    return {
        "instructionType": {"callType": "MarginCall", "visibilityIndicator": True},
        "party": _parties(pact),
        "callIdentifier": _identifier(checked(call)),
        "callAgreementType": {"agreementType": "SecurityAgreement"},
        "agreementMinimumTransferAmount": cent,
        "agreementThreshold": _money(0, pact=pact),
        "agreementRounding": cent,
        "regMarginType": "RegIM",
        "regIMRole": _ROLES[sender],
        "baseCurrencyExposure": {
            "overallExposure": {
                "aggregateValue": _money(margin.exposure, pact=pact),
                "valuationDateTime": moment(margin.at),
            }
        },
        "collateralPortfolio": {"value": {"collateralBalance": balances}},
    }


def _balance(pact: Pact, status: str, cents: Cents) -> Body:
    return {
        "collateralBalanceStatus": status,
        "haircutIndicator": "PostHaircut",
        "amountBaseCurrency": _money(cents, pact=pact),
        "payerReceiver": {
            "payerPartyReference": {"externalReference": Side.BORROWER.value},
            "receiverPartyReference": {"externalReference": Side.LENDER.value},
        },
    }


def _parties(pact: Pact) -> list[Body]:
    pairs = ((Side.LENDER, pact.lender), (Side.BORROWER, pact.borrower))
    return [
        {
            "meta": {"externalKey": side.value},
            "partyId": [{"identifier": {"value": address}}],
            "name": {"value": side.value},
        }
        for side, address in pairs
    ]


def _identifier(value: str) -> Body:
    return {"assignedIdentifier": [{"identifier": {"value": value}}]}


def _treatment(haircut: int) -> Body:
    return {
        "valuationTreatment": {"haircutPercentage": share(haircut)},
        "isIncluded": True,
    }


def _money(cents: int, *, pact: Pact) -> Body:
    return {"value": cash(cents), "unit": {"currency": {"value": pact.currency}}}


def _bitcoin(sats: int) -> Body:
    return {"value": coins(sats), "unit": {"currency": {"value": "BTC"}}}
