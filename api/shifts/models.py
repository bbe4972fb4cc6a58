"""Shifts and the counters of a device (R26–R29)."""

from typing import Any

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending


class Shift(Model):
    """A drawer session. `id` is tenant:store:shift_id, and shift_id the op_id that opened it."""

    model_config = ODMConfigDict(
        collection="shifts",
        indexes=lambda: [
            ascending(
                "tenant_id",
                "store_id",
                "device_id",
                unique=True,
                name="one_open_shift_per_device",
                partialFilterExpression={"status": "open"},
            ),
            ascending("tenant_id", "store_id", "open_at"),
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    shift_id: str
    device_id: str
    status: str = "open"
    opened_by: str | None
    opened_by_name: str | None
    open_at: StoredTime
    cash_open: int
    sales_count: int = 0
    sales_amount: int = 0
    cash_sales: int = 0
    tickets_issued: int = 0
    by_method: dict[str, int] = {}
    late_count: int = 0
    """Committed sales that arrived after the close: `late_amount` is in no Z yet (R28)."""
    late_amount: int = 0
    close_op_id: str | None = None
    closed_by: str | None = None
    close_at: StoredTime | None = None
    cash_expected: int | None = None
    cash_counted: int | None = None
    counted: dict[str, int] | None = None
    reason_code: str | None = None
    z: dict[str, Any] | None = None


class ZCounter(Model):
    """The Z series of a device: number, grand total, last hash (R28). `id` is compound."""

    model_config = ODMConfigDict(collection="z_counters")

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    z_no: int
    grand_total: int
    last_hash: str
