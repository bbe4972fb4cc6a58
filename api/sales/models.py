"""Sales, payments, the receipt ledger and the server's own counters as stored (R29)."""

from datetime import date
from typing import Any

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending
from playpark.contracts.pricing import PaymentMethod


class Sale(Model):
    """`lines` are frozen PricedLine contents, slices included (R6)."""

    model_config = ODMConfigDict(
        collection="sales",
        indexes=lambda: [
            ascending("tenant_id", "store_id", "occurred_at"),
            ascending("tenant_id", "store_id", "receipt_no"),
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    op_id: str
    device_id: str
    shift_id: str | None
    cashier_id: str | None
    cashier_name: str | None
    receipt_no: str
    business_date: str
    occurred_at: StoredTime
    lines: list[dict[str, Any]]
    subtotal: int
    discount_total: int
    tax_total: int
    surcharge_total: int
    cash_rounding: int
    grand_total: int
    amount_tendered: int
    change: int
    payment_method: str
    """Derived: the one method of its payments, or `split`."""
    customer_id: str | None = None
    catalog_version: int
    vat_mode: str
    trace: list[dict[str, Any]]
    flags: list[str] = []

    @property
    def day(self) -> date:
        return date.fromisoformat(self.business_date)


class Payment(Model):
    model_config = ODMConfigDict(
        collection="payments",
        indexes=lambda: [ascending("tenant_id", "store_id", "sale_id", "position")],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    sale_id: str
    position: int
    method: PaymentMethod
    payment_type_id: str | None
    amount: int
    tendered: int | None
    reference: str | None
    occurred_at: StoredTime
