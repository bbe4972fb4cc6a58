"""Sales, payments, the receipt ledger and the server's own counters as stored (R29)."""

from datetime import date
from typing import Any

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.sales import PaymentStatus, SaleStatus
from playpark.contracts.settings import CashRounding

__all__ = ["Payment", "PaymentStatus", "Sale", "TrainingSale"]


class Sale(Model):
    """`lines` are frozen PricedLine contents, slices included (R6); amounts are satang.

    All but `status`, `refund_seq` and `refunded…` is fixed when it is sold.
    """

    model_config = ODMConfigDict(
        collection="sales",
        indexes=lambda: [
            ascending("tenant_id", "store_id", "receipt_no"),
            ascending("tenant_id", "store_id", "business_date", "_id"),
            ascending("tenant_id", "store_id", "shift_id"),
            # Only strings are greater than "": most sales have no customer.
            ascending(
                "tenant_id",
                "store_id",
                "customer_id",
                "_id",
                name="sales_of_a_customer",
                partialFilterExpression={"customer_id": {"$gt": ""}},
            ),
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
    priced_at: StoredTime | None = None
    """The moment whose price it has: the server's, or for money that was taken already its own."""
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
    surcharges: list[dict[str, Any]] = []
    """Contents of Surcharge: what payments cost on top, outside the slices (R7)."""
    cash_step: int = 1
    cash_rounding_mode: CashRounding = CashRounding.NEAREST
    """How cash was rounded when it was sold: a refund mirrors it (R31)."""
    promo_codes: list[str] = []
    counted_rules: list[str] = []
    """The rules of its price that it was counted on: a void gives these uses back, and not those
    of rules over their cap, which were never counted (R9)."""
    customer_id: str | None = None
    points_earned: int = 0
    points_burned: int = 0
    approved_by: str | None = None
    """Who approved its discounts, where somebody had to (R42)."""
    open_ticket_id: str | None = None
    catalog_version: int
    vat_mode: str
    trace: list[dict[str, Any]]
    flags: list[str] = []
    status: SaleStatus = SaleStatus.COMPLETED
    refund_seq: int = 0
    """Refunds so far: what a refund's conditional update is guarded by (R31)."""
    refunded: int = 0
    """What was paid out again, rounding and surcharges included."""
    refunded_goods: int = 0
    """What the slices gave back."""
    refunded_cash_goods: int = 0
    """What all cash refunds were for, before rounding."""
    refunded_cash: int = 0
    """What all cash refunds paid out."""
    refunded_surcharge: int = 0

    @property
    def day(self) -> date:
        return date.fromisoformat(self.business_date)


class Payment(Model):
    """One tender of a sale; `amount` holds its surcharge and rounding, satang."""

    model_config = ODMConfigDict(
        collection="payments",
        indexes=lambda: [
            ascending("tenant_id", "store_id", "sale_id", "position"),
            ascending("tenant_id", "store_id", "business_date", "_id"),
        ],
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
    surcharge: int = 0
    """What of `amount` is on top of the goods (R7)."""
    device_id: str
    shift_id: str | None
    receipt_no: str
    business_date: str
    status: PaymentStatus = PaymentStatus.TAKEN
    refunded: int = 0
    """What was given back by this payment's method (R31)."""
    occurred_at: StoredTime

    @property
    def day(self) -> date:
        return date.fromisoformat(self.business_date)


class TrainingSale(Model):
    """Practice: its whole answer, and nothing of it anywhere else (R32)."""

    model_config = ODMConfigDict(
        collection="training_sales", indexes=lambda: [ascending("tenant_id", "store_id")]
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    op_id: str
    device_id: str
    receipt_no: str
    answer: dict[str, Any]
