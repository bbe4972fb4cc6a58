"""Giving money back and printing again: refunds, voids, reprints (API.md: sales; R31, R32, R42)."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from playpark.clock import BusinessDate, UtcDatetime
from playpark.contracts.approvals import Code, ReasonText
from playpark.contracts.base import IdStr, Request, View
from playpark.contracts.pricing import MAX_TICKETS, PaymentMethod
from playpark.contracts.sales import ReceiptNo, SaleView
from playpark.contracts.tickets import TicketView
from playpark.ids import UlidStr
from playpark.money import Satang, SatangSum


class Reasoned(Request):
    """`reason_code` is one of the store's reason codes; some of them ask for words too."""

    reason_code: Code
    reason_text: ReasonText | None = None
    occurred_at: UtcDatetime | None = None


class RefundIn(Reasoned):
    """Of a sale: these tickets, or an amount (satang) where the store allows it, or, without
    either, all that is left. `method` is the tender to give back; without it the original ones."""

    sale_id: IdStr
    ticket_ids: Annotated[list[UlidStr], Field(min_length=1, max_length=MAX_TICKETS)] | None = None
    amount: Annotated[int, Field(strict=True, ge=1, le=10**12)] | None = None
    method: PaymentMethod | None = None
    receipt_no: ReceiptNo | None = None

    @model_validator(mode="after")
    def _tickets_or_amount(self) -> Self:
        if self.ticket_ids is not None and self.amount is not None:
            msg = "send ticket_ids or amount, not both"
            raise ValueError(msg)
        if self.ticket_ids is not None and len(set(self.ticket_ids)) < len(self.ticket_ids):
            msg = "a ticket stands twice in ticket_ids"
            raise ValueError(msg)
        return self


class RefundStatus(StrEnum):
    COMPLETED = "completed"
    PENDING = "pending"
    FAILED = "failed"


class RefundPart(View):
    """What goes back by one tender, satang."""

    method: PaymentMethod
    amount: SatangSum


class RefundedTicket(View):
    """What one ticket's slice gave back, satang."""

    ticket_id: str
    amount: Satang
    vat: Satang


class RefundView(View):
    """`amount` is the money that is paid out: slices, rounding mirrored, and with the last refund
    of a sale its surcharges (R7, R31). `method` is the one tender, or `split`. `vat` is all VAT
    that is given back, a surcharge's own included."""

    refund_id: str
    sale_id: str
    sale_receipt_no: str
    receipt_no: str
    amount: SatangSum
    method: str
    parts: list[RefundPart]
    tickets: list[RefundedTicket]
    surcharge: Satang
    cash_rounding: SatangSum
    vat: SatangSum = 0
    status: RefundStatus
    reason_code: str
    reason_text: str | None
    business_date: BusinessDate
    occurred_at: UtcDatetime
    device_id: str
    shift_id: str | None
    employee_id: str | None
    employee_name: str | None
    approved_by: str | None
    flags: list[str] = []


class VoidRequest(Reasoned):
    """The body of `POST /sales/{id}/void`."""


class VoidIn(VoidRequest):
    """The operation: the route's body and its sale."""

    sale_id: IdStr


class VoidView(View):
    """The sale as it stands now; it keeps its receipt number (R32)."""

    sale: SaleView
    reason_code: str
    reason_text: str | None
    occurred_at: UtcDatetime
    employee_name: str | None
    approved_by: str | None
    flags: list[str] = []


class ReprintIn(Reasoned):
    """A sale's receipt and all its tickets (`sale_id`), or some tickets of one sale."""

    sale_id: IdStr | None = None
    ticket_ids: Annotated[list[UlidStr], Field(min_length=1, max_length=MAX_TICKETS)] | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if (self.sale_id is None) == (self.ticket_ids is None):
            msg = "send either sale_id or ticket_ids"
            raise ValueError(msg)
        return self


class ReprintView(View):
    """Marked COPY on paper. `sale` where the receipt is asked for too; tickets come with tokens.
    `copies` says how often the paper that was printed most has been printed again, this time
    included."""

    reprint_id: str
    sale_id: str
    sale: SaleView | None
    tickets: list[TicketView]
    copies: int
    reason_code: str
    occurred_at: UtcDatetime
    device_id: str
    employee_name: str | None
    approved_by: str | None


class ReprintSummary(View):
    """A reprint in a list. `replaces`: the lost ticket, where the print was an exchange (R25)."""

    reprint_id: str
    sale_id: str
    receipt_no: str
    ticket_ids: list[str]
    replaces: str | None = None
    reason_code: str
    reason_text: str | None
    occurred_at: UtcDatetime
    device_id: str
    employee_name: str | None
    approved_by: str | None


class ExchangeIn(Reasoned):
    """A lost ticket, for which the guest gets a new one (R25)."""

    ticket_id: UlidStr


class ExchangeView(View):
    """The new ticket comes with its token; it has the validity, the uses that are left and the
    money of the lost one, which admits nobody any more."""

    exchange_id: str
    sale_id: str
    replaces: str
    ticket: TicketView
    reason_code: str
    reason_text: str | None
    occurred_at: UtcDatetime
    device_id: str
    employee_name: str | None
    approved_by: str | None
    flags: list[str] = []


class TicketCancelIn(Reasoned):
    """A ticket that nobody has used, taken out of use. No money moves: that is a refund."""

    ticket_id: UlidStr


class TicketCancelView(View):
    cancellation_id: str
    ticket: TicketView
    reason_code: str
    reason_text: str | None
    occurred_at: UtcDatetime
    device_id: str
    employee_name: str | None
    approved_by: str | None
    flags: list[str] = []


class AbandonIn(Request):
    """Closes the receipt number of an operation that was refused for good (R29)."""

    op_id: UlidStr
    receipt_no: ReceiptNo


class Abandoned(View):
    receipt_no: str
