"""Reading a contract's terms: every name is known, every value is checked, none is guessed.

Values come as JSON text or numbers, with or without spaces around them; null and empty text are
the same as a term that is not there. Codes: ``read_terms``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, Final, TypeVar

from escrow.actus.moments import Moment, parse_moment
from escrow.actus.terms import (
    SIGNS,
    Base,
    ContractType,
    Exposure,
    FeeBasis,
    Penalty,
    Performance,
    Prepay,
    Reference,
    Terms,
)
from escrow.core.errors import BadInput
from escrow.schedules.calendars import Calendar, Convention, parse_convention
from escrow.schedules.cycle import Cycle, Period, parse_cycle, parse_period
from escrow.schedules.daycount import DayCount, parse_day_count

_E = TypeVar("_E", bound=Enum)

_DIGITS: Final = r"(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})"
_NUMBER: Final = re.compile(rf"[+-]?{_DIGITS}(?:[eE][+-]?[0-9]{{1,2}})?", re.ASCII)
_COVERS: Final = ("COM", "CSH", "STK")
"""Contract types that are read only as what covers: they have a price, and no schedule here."""
_INERT: Final = (
    "clearingHouse",
    "contractDealDate",
    "counterpartyID",
    "counterpartyId",
    "creatorID",
    "creatorId",
    "deliverySettlement",
    "fixingDays",
    "fixingPeriod",
    "marketValueObserved",
    "nonPerformingDate",
    "prepaymentPeriod",
    "quantity",
    "seniority",
    "unit",
)
"""Terms that move no cash here. A fixing period is a note of when the observed value was fixed:
the value itself is observed at the reset (§5, O(RRMO, t))."""
_OLD_DAY_COUNTS: Final = {
    "A/AISDA": "AA",
    "A/360": "A360",
    "A/365": "A365",
    "30E/360ISDA": "30E360ISDA",
}
"""Values of earlier versions of the dictionary, and those of this one."""
_DEFAULTS: Final = {"cyclePointOfInterestPayment": "E", "cyclePointOfRateReset": "B"}
"""Terms of which only the dictionary's default is carried out."""
_UNSUPPORTED: Final = re.compile(
    r"(array|boundary|option|maintenanceMargin|cycle(AnchorDate)?Of(Dividend|Margining|Option))\w+"
    r"|currency2|exDividendDate|futuresPrice|initialMargin|maximumPenaltyFreeDisbursement"
    r"|nextDividendPaymentAmount|nominalInterestRate2|notionalPrincipal2|variationMargin",
    re.ASCII,
)


def read_terms(data: Any, *, at: str) -> Terms:
    """The terms of one contract of a JSON object; ``at`` says where it stands.

    Raises BadInput: ``actus/format`` for what is no object, ``actus/type``, ``actus/term``,
    ``actus/missing-term``, ``actus/unknown-term`` (a misspelling), ``actus/unsupported-term``, and
    ``schedule/cycle``, ``schedule/day-count``, ``schedule/convention``.
    """
    if not isinstance(data, dict):
        raise BadInput("actus/format", at=at, reason="not an object")
    for key, value in data.items():
        default = _DEFAULTS.get(key)
        if _UNSUPPORTED.fullmatch(key) or (default is not None and value != default):
            raise BadInput("actus/unsupported-term", at=f"{at}.{key}"[:80])
        if key not in _FIELDS and key not in _INERT and default is None:
            raise BadInput("actus/unknown-term", at=f"{at}.{key}"[:80])
    found: dict[str, Any] = {}
    for key, (field, read) in _FIELDS.items():
        value = data.get(key)
        if is_blank(value):
            continue
        parsed = read(value, f"{at}.{key}")
        found.update(parsed if isinstance(parsed, dict) else {field: parsed})
    for key in ("contractType", "contractID", "statusDate", "contractRole", "currency"):
        if _FIELDS[key][0] not in found:
            raise BadInput("actus/missing-term", at=f"{at}.{key}")
    return Terms(**found)


def is_blank(value: Any) -> bool:
    """Does it say nothing?"""
    return value is None or (isinstance(value, str) and not value.strip())


def number(value: Any, at: str) -> Decimal:
    """A number, written as text or as a number. Raises BadInput("actus/term")."""
    if isinstance(value, (Decimal, int)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not _NUMBER.fullmatch(value.strip()):
        raise BadInput("actus/term", at=at, value=str(value)[:40], reason="not a number")
    return Decimal(value.strip())


def text(value: Any, at: str) -> str:
    """One word or name, without the spaces around it. Raises BadInput("actus/term")."""
    if not isinstance(value, str) or not value.strip().isprintable() or len(value) > 200:
        raise BadInput("actus/term", at=at, value=str(value)[:40], reason="not a line of text")
    return value.strip()


def moment(value: Any, at: str) -> Moment:
    """A date and time. Raises BadInput("actus/term")."""
    return parse_moment(text(value, at), at=at)


def member(kind: type[_E], value: str, at: str) -> _E:
    """A member of an enum, by value. Raises BadInput("actus/term")."""
    for each in kind:
        if each.value == value:
            return each
    known = " ".join(str(each.value) for each in kind)
    raise BadInput("actus/term", at=at, value=value[:40], known=known)


def performance(value: Any, at: str) -> Performance:
    """A contract performance. Raises BadInput("actus/term")."""
    return member(Performance, text(value, at), at)


def _positive(value: Any, at: str) -> Decimal:
    found = number(value, at)
    if found < 0:
        raise BadInput("actus/term", at=at, value=str(found), reason="negative")
    return found


def _share(value: Any, at: str) -> Decimal:
    found = number(value, at)
    if not 0 < found <= 1:
        raise BadInput("actus/term", at=at, value=str(found), reason="not above 0 and up to 1")
    return found


def _type(value: Any, at: str) -> ContractType:
    name = text(value, at)
    for each in ContractType:
        if each.value == name:
            return each
    known = " ".join(each.value for each in ContractType)
    raise BadInput("actus/type", at=at, value=name[:40], known=known)


def _sign(value: Any, at: str) -> int:
    name = text(value, at)
    if name not in SIGNS:
        raise BadInput("actus/term", at=at, value=name[:40], known=" ".join(SIGNS))
    return SIGNS[name]


def _calendar(value: Any, at: str) -> Calendar:
    name = text(value, at)
    names = {"NoCalendar": "NC", "NoHoliday": "NC", "noCalendar": "NC", "MondayToFriday": "MF"}
    return member(Calendar, names.get(name, name), at)


def _convention(value: Any, at: str) -> Convention:
    name = text(value, at)
    return parse_convention("NOS" if name in ("NULL", "nos") else name)


def _month_end(value: Any, at: str) -> bool:
    name = text(value, at)
    if name not in ("SD", "EOM"):
        raise BadInput("actus/term", at=at, value=name[:40], known="SD EOM")
    return name == "EOM"


def _cycle(value: Any, at: str) -> Cycle:
    return parse_cycle(text(value, at))


def _period(value: Any, at: str) -> Period:
    return parse_period(text(value, at))


def _day_count(value: Any, at: str) -> DayCount:
    name = text(value, at)
    return parse_day_count(_OLD_DAY_COUNTS.get(name, name))


def _scaling(value: Any, at: str) -> dict[str, bool]:
    # Some files write the letter O where the dictionary has the digit.
    name = text(value, at).replace("O", "0")
    if name not in ("000", "I00", "0N0", "IN0"):
        raise BadInput("actus/term", at=at, value=name[:40], known="000 I00 0N0 IN0")
    return {"scales_interest": name[0] == "I", "scales_notional": name[1] == "N"}


def _covered_events(value: Any, at: str) -> tuple[Performance, ...]:
    names = re.split(r"[,;\s]+", text(value, at)) if isinstance(value, str) else value
    if not isinstance(names, list) or not names:
        raise BadInput("actus/term", at=at, value=str(value)[:40], reason="no credit events")
    return tuple(performance(each, at) for each in names)


def _penalty(value: Any, at: str) -> Penalty:
    # The specification writes O where the dictionary has N.
    name = text(value, at)
    return member(Penalty, "N" if name == "O" else name, at)


def _enum(kind: type[_E]) -> Callable[[Any, str], _E]:
    return lambda value, at: member(kind, text(value, at), at)


def _structure(value: Any, at: str) -> tuple[Reference, ...]:
    if not isinstance(value, list):
        raise BadInput("actus/term", at=at, reason="not a list of contracts")
    return tuple(_reference(each, f"{at}[{n}]") for n, each in enumerate(value))


def _reference(entry: Any, at: str) -> Reference:
    """One contract that covers or is covered."""
    if not isinstance(entry, dict) or not isinstance(entry.get("object"), dict):
        raise BadInput("actus/term", at=at, reason="not a reference to a contract")
    role, kind = text(entry.get("referenceRole"), at), text(entry.get("referenceType"), at)
    if role not in ("COVE", "COVI"):
        raise BadInput("actus/term", at=f"{at}.referenceRole", value=role[:40], known="COVE COVI")
    inner: Mapping[str, Any] = entry["object"]
    if kind == "CID":
        return Reference(role, text(inner.get("contractIdentifier"), f"{at}.object"), None)
    if kind != "CNT":
        raise BadInput("actus/term", at=f"{at}.referenceType", value=kind[:40], known="CID CNT")
    at = f"{at}.object"
    if inner.get("contractType") not in _COVERS:
        terms = read_terms(inner, at=at)
        return Reference(role, terms.contract_id, terms, terms.market_code)
    amount = inner.get("notionalPrincipal" if inner["contractType"] == "CSH" else "quantity", 1)
    code = inner.get("marketObjectCode")
    if code is None and inner["contractType"] != "CSH":
        raise BadInput("actus/missing-term", at=f"{at}.marketObjectCode")
    return Reference(
        role,
        text(inner.get("contractID"), f"{at}.contractID"),
        None,
        "" if code is None else text(code, f"{at}.marketObjectCode"),
        _positive(amount, at),
    )


_FIELDS: Final[dict[str, tuple[str, Callable[[Any, str], Any]]]] = {
    "contractType": ("contract_type", _type),
    "contractID": ("contract_id", text),
    "statusDate": ("status_date", moment),
    "contractRole": ("sign", _sign),
    "currency": ("currency", text),
    "settlementCurrency": ("settlement_currency", text),
    "calendar": ("calendar", _calendar),
    "businessDayConvention": ("convention", _convention),
    "endOfMonthConvention": ("end_of_month", _month_end),
    "initialExchangeDate": ("initial_exchange", moment),
    "maturityDate": ("maturity", moment),
    "amortizationDate": ("amortization", moment),
    "notionalPrincipal": ("notional", _positive),
    "premiumDiscountAtIED": ("premium", number),
    "nominalInterestRate": ("rate", number),
    "dayCountConvention": ("day_count", _day_count),
    "accruedInterest": ("accrued", number),
    "cycleAnchorDateOfInterestPayment": ("interest_anchor", moment),
    "cycleOfInterestPayment": ("interest_cycle", _cycle),
    "capitalizationEndDate": ("capitalization_end", moment),
    "interestCalculationBase": ("base", _enum(Base)),
    "interestCalculationBaseAmount": ("base_amount", _positive),
    "cycleAnchorDateOfInterestCalculationBase": ("base_anchor", moment),
    "cycleOfInterestCalculationBase": ("base_cycle", _cycle),
    "cycleAnchorDateOfPrincipalRedemption": ("redemption_anchor", moment),
    "cycleOfPrincipalRedemption": ("redemption_cycle", _cycle),
    "nextPrincipalRedemptionPayment": ("redemption", _positive),
    "cycleAnchorDateOfRateReset": ("reset_anchor", moment),
    "cycleOfRateReset": ("reset_cycle", _cycle),
    "marketObjectCodeOfRateReset": ("reset_code", text),
    "rateSpread": ("reset_spread", number),
    "rateMultiplier": ("reset_multiplier", number),
    "nextResetRate": ("next_reset", number),
    "periodCap": ("period_cap", _positive),
    # A floor on the change is written with or without its sign: it can only lower.
    "periodFloor": ("period_floor", lambda value, at: -abs(number(value, at))),
    "lifeCap": ("life_cap", number),
    "lifeFloor": ("life_floor", number),
    "scalingEffect": ("scaling", _scaling),
    "cycleAnchorDateOfScalingIndex": ("scaling_anchor", moment),
    "cycleOfScalingIndex": ("scaling_cycle", _cycle),
    "marketObjectCodeOfScalingIndex": ("scaling_code", text),
    "scalingIndexAtContractDealDate": ("scaling_index", number),
    "interestScalingMultiplier": ("interest_scale", number),
    "notionalScalingMultiplier": ("notional_scale", number),
    "feeRate": ("fee_rate", number),
    "feeBasis": ("fee_basis", _enum(FeeBasis)),
    "cycleAnchorDateOfFee": ("fee_anchor", moment),
    "cycleOfFee": ("fee_cycle", _cycle),
    "feeAccrued": ("fee_accrued", number),
    "purchaseDate": ("purchase", moment),
    "priceAtPurchaseDate": ("purchase_price", number),
    "terminationDate": ("termination", moment),
    "priceAtTerminationDate": ("termination_price", number),
    "prepaymentEffect": ("prepayment", _enum(Prepay)),
    "penaltyType": ("penalty", _penalty),
    "penaltyRate": ("penalty_rate", _positive),
    "contractPerformance": ("performance", performance),
    "gracePeriod": ("grace", _period),
    "delinquencyPeriod": ("delinquency", _period),
    "delinquencyRate": ("delinquency_rate", _positive),
    "creditLineAmount": ("credit_line", _positive),
    "xDayNotice": ("notice", _period),
    "creditEventTypeCovered": ("covered_events", _covered_events),
    "coverageOfCreditEnhancement": ("coverage", _share),
    "guaranteedExposure": ("exposure", _enum(Exposure)),
    "settlementPeriod": ("settlement", _period),
    "exerciseDate": ("exercised", moment),
    "exerciseAmount": ("exercise_amount", number),
    "marketObjectCode": ("market_code", text),
    "contractStructure": ("structure", _structure),
}
"""Name in the file → field of ``Terms``, and how it is read."""
