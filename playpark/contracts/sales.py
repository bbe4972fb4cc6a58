"""Sales: what was sold, how it was paid, which tickets came out (API.md: sales; R6, R12, R23)."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, StrictBool, StringConstraints

from playpark.clock import BusinessDate, UtcDatetime
from playpark.contracts.base import IdStr, View
from playpark.contracts.pricing import (
    MAX_LINES,
    MAX_PAYMENTS,
    MAX_TICKETS,
    Cart,
    PaymentIn,
    PaymentMethod,
    PricedLine,
    Rung,
    Surcharge,
    Totals,
    TraceEntry,
)
from playpark.contracts.tickets import TicketView
from playpark.ids import UlidStr
from playpark.money import Satang, SatangSum


def _counted_from_one(receipt_no: str) -> str:
    if not receipt_no.endswith("000000") or receipt_no[-7].isdigit():
        return receipt_no
    msg = "receipt numbers are counted from 000001"
    raise ValueError(msg)


ReceiptNo = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9A-Z]{2,6}-[SRTZW](?:[0-9]{6}|[1-9][0-9]{6,8})$"),
    AfterValidator(_counted_from_one),
]
"""`03-S000128`: one way to write each number, so that none is given out twice (R29)."""
ShortCode = Annotated[str, StringConstraints(pattern=r"^[0-9A-HJKMNP-TV-Z]{8}$")]
PerLine = Field(min_length=1, max_length=MAX_LINES)
PerUnit = Field(max_length=MAX_TICKETS)


class SaleIn(Cart):
    """The body of a sale. Σ payments.amount = grand_total.

    A till chooses receipt_no, ticket_ids and short_codes itself (one list per line, unit-major,
    a bundle's components in their order) and sends what it rang; outside clients leave all of
    that out and the server prices and numbers the sale. The tokens of a till that printed by
    itself stand in the operation's envelope, for they may come after the body was sent.
    """

    payments: Annotated[list[PaymentIn], Field(max_length=MAX_PAYMENTS)]
    receipt_no: ReceiptNo | None = None
    ticket_ids: Annotated[list[Annotated[list[UlidStr], PerUnit]], PerLine] | None = None
    short_codes: Annotated[list[Annotated[list[ShortCode], PerUnit]], PerLine] | None = None
    catalog_version: Annotated[int, Field(strict=True, ge=1)] | None = None
    business_date: BusinessDate | None = None
    rung: Rung | None = None
    expected_total: Satang | None = None
    occurred_at: UtcDatetime | None = None
    open_ticket_id: IdStr | None = Field(
        default=None, description="the parked cart that this sale settles"
    )
    training: StrictBool = Field(
        default=False, description="practice: own books and series, tickets admit nobody (R32)"
    )


class SaleStatus(StrEnum):
    COMPLETED = "completed"
    PARTLY_REFUNDED = "partly_refunded"
    REFUNDED = "refunded"
    VOIDED = "voided"


class PaymentView(View):
    payment_id: str
    method: PaymentMethod
    payment_type_id: str | None = None
    amount: Satang
    tendered: Satang | None = None
    reference: str | None = None


class PaymentStatus(StrEnum):
    TAKEN = "taken"
    VOIDED = "voided"


class PaymentSummary(PaymentView):
    """A payment in a list; `surcharge` is the part of `amount` that stands outside the goods,
    `refunded` what was given back of it so far, satang."""

    sale_id: str
    receipt_no: str
    business_date: BusinessDate
    occurred_at: UtcDatetime
    device_id: str
    shift_id: str | None
    surcharge: Satang
    status: PaymentStatus
    refunded: SatangSum


class SaleView(Totals):
    sale_id: str
    receipt_no: str
    business_date: BusinessDate
    occurred_at: UtcDatetime
    device_id: str
    shift_id: str | None
    cashier_id: str | None
    cashier_name: str | None
    lines: list[PricedLine]
    payments: list[PaymentView]
    change: SatangSum
    payment_method: str
    """The one method of its payments, `split`, or `other` where nothing had to be paid."""
    surcharges: list[Surcharge] = []
    promo_codes: list[str] = []
    customer_id: str | None = None
    points_earned: int = 0
    points_burned: int = 0
    status: SaleStatus = SaleStatus.COMPLETED
    refunded: SatangSum = 0
    """What was given back of it so far, satang."""
    training: bool = False
    catalog_version: int
    flags: list[str] = []


class SaleAnswer(View):
    """`trace` comes with `GET /sales/{id}` only: why the price is what it is (R11)."""

    sale: SaleView
    tickets: list[TicketView]
    trace: list[TraceEntry] | None = None


class SaleSummary(View):
    """A sale in a list."""

    sale_id: str
    receipt_no: str
    business_date: BusinessDate
    occurred_at: UtcDatetime
    device_id: str
    shift_id: str | None
    cashier_name: str | None
    grand_total: SatangSum
    payment_method: str
    status: SaleStatus = SaleStatus.COMPLETED
    refunded: SatangSum = 0
    flags: list[str]
