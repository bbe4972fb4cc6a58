"""Refunds, voids and reprints as stored (R31, R32, R42): written once, never changed."""

from datetime import date
from typing import Any

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending
from playpark.contracts.refunds import RefundStatus
from playpark.contracts.sales import SaleStatus


class Refund(Model):
    """Money given back, satang. `parts` hold {method, amount}, `tickets` {ticket_id, amount,
    vat}."""

    model_config = ODMConfigDict(
        collection="refunds",
        indexes=lambda: [
            ascending("tenant_id", "store_id", "sale_id"),
            ascending("tenant_id", "store_id", "business_date"),
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    op_id: str
    sale_id: str
    sale_receipt_no: str
    receipt_no: str
    amount: int
    method: str
    parts: list[dict[str, Any]]
    tickets: list[dict[str, Any]]
    surcharge: int
    cash_rounding: int
    vat: int
    cash_goods: int
    """What the cash part is for, before rounding."""
    points_taken: int = 0
    """Points that the sale had earned and that are gone with it."""
    points_returned: int = 0
    """Points that it was paid with and that are back."""
    status: RefundStatus = RefundStatus.COMPLETED
    reason_code: str
    reason_text: str | None
    business_date: str
    occurred_at: StoredTime
    device_id: str
    shift_id: str | None
    employee_id: str | None
    employee_name: str | None
    approver_id: str | None
    approved_by: str | None
    flags: list[str] = []

    @property
    def day(self) -> date:
        return date.fromisoformat(self.business_date)


class VoidedSale(Model):
    """Why and by whom a sale was taken back as a whole (R32)."""

    model_config = ODMConfigDict(
        collection="voids",
        indexes=lambda: [
            ascending("tenant_id", "store_id", "sale_id", unique=True),
            ascending("tenant_id", "store_id", "business_date"),
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    op_id: str
    sale_id: str
    receipt_no: str
    amount: int
    reason_code: str
    reason_text: str | None
    business_date: str
    occurred_at: StoredTime
    device_id: str
    shift_id: str | None
    employee_id: str | None
    employee_name: str | None
    approver_id: str | None
    approved_by: str | None
    flags: list[str] = []


class Reprint(Model):
    """Papers printed again: the receipt too where `whole`. `tickets` ({ticket_id, used, status})
    and sale stand as they did then, so that a second sending gets the same papers (R15). An
    exchange is one that `replaces` a lost ticket (R25)."""

    model_config = ODMConfigDict(
        collection="reprints",
        indexes=lambda: [
            ascending("tenant_id", "store_id", "sale_id"),
            ascending("tenant_id", "store_id", "business_date"),
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    op_id: str
    sale_id: str
    receipt_no: str
    whole: bool
    replaces: str | None = None
    tickets: list[dict[str, Any]]
    copies: int
    sale_status: SaleStatus
    sale_refunded: int
    reason_code: str
    reason_text: str | None
    business_date: str
    occurred_at: StoredTime
    device_id: str
    shift_id: str | None = None
    employee_id: str | None
    employee_name: str | None
    approver_id: str | None = None
    approved_by: str | None = None
    flags: list[str] = []
