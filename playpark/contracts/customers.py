"""Customers and their loyalty points (API.md: customers)."""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, StrictBool, StringConstraints

from playpark.clock import UtcDatetime
from playpark.contracts.approvals import ReasonText
from playpark.contracts.base import IdStr, Name, Request, View
from playpark.contracts.employees import Email
from playpark.contracts.sales import SaleSummary
from playpark.money import SatangSum


def phone_digits(text: str) -> str | None:
    """A telephone number, or the beginning of one, as it is stored; None for anything else."""
    digits = re.sub(r"[\s().-]", "", text)
    if digits.startswith("+66"):
        digits = "0" + digits[3:]
    digits = digits.removeprefix("+")
    return digits if digits.isascii() and digits.isdecimal() else None


def normalise_phone(text: str) -> str:
    """Digits only, Thai numbers without the country code: `+66 81-234 5678` is `0812345678`.

    Raises ValueError where it is no telephone number.
    """
    digits = phone_digits(text)
    if digits is None or not 8 <= len(digits) <= 15:
        msg = "a telephone number has 8 to 15 digits, such as 0812345678"
        raise ValueError(msg)
    return digits


Phone = Annotated[str, StringConstraints(max_length=40), AfterValidator(normalise_phone)]
MEMBER = "member"


class CustomerIn(Request):
    name: Name
    phone: Phone | None = None
    email: Email | None = None
    group: IdStr = MEMBER
    note: ReasonText | None = None


class CustomerPatch(Request):
    name: Name | None = None
    phone: Phone | None = None
    email: Email | None = None
    group: IdStr | None = None
    note: ReasonText | None = None
    active: StrictBool | None = None


class CustomerView(View):
    """`group` is what member prices target; `points` the loyalty balance."""

    customer_id: str
    name: str
    phone: str | None
    email: str | None
    group: str
    note: str | None
    points: int
    active: bool
    created_at: UtcDatetime


class PointsReason(StrEnum):
    EARNED = "earned"
    BURNED = "burned"
    REFUNDED = "refunded"
    VOIDED = "voided"
    ADJUSTED = "adjusted"


class PointsRequest(Request):
    """The body of `POST /customers/{id}/points`: points to add, or to take (negative)."""

    points: Annotated[int, Field(strict=True, ge=-(10**9), le=10**9)]
    reason_text: Annotated[ReasonText, Field(min_length=1)]
    occurred_at: UtcDatetime | None = None


class PointsIn(PointsRequest):
    customer_id: IdStr


class PointsRow(View):
    """One row of the points ledger, never changed."""

    points_id: str
    customer_id: str
    points: int
    balance: int
    reason: PointsReason
    reason_text: str | None
    sale_id: str | None
    at: UtcDatetime
    employee_name: str | None


class CustomerHistory(View):
    """The latest sales and the latest rows of the points ledger."""

    customer: CustomerView
    sales: list[SaleSummary]
    spent: SatangSum
    points: list[PointsRow]
