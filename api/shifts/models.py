"""Shifts, what was put in and taken out of their drawers, and the Z chain (R26–R28)."""

from typing import Any

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending
from playpark.contracts.shifts import MovementType, ZKind


class Shift(Model):
    """A drawer session. `id` is tenant:store:shift_id, and shift_id the op_id that opened it.

    The running totals change by `$inc` while `status` is open and never again: what comes later
    is a link of the Z chain (decision 0009). Amounts are satang.
    """

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
            ascending("tenant_id", "store_id", "open_at", "shift_id"),
            ascending("tenant_id", "store_id", "business_date"),
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
    business_date: str
    """The trading day on which it was opened, `2026-11-21` (R30)."""
    opened_by: str | None
    opened_by_name: str | None
    open_at: StoredTime
    cash_open: int
    sales_count: int = 0
    sales_amount: int = 0
    sales_by_method: dict[str, int] = {}
    refunds_count: int = 0
    refunds_amount: int = 0
    refunds_by_method: dict[str, int] = {}
    voids_count: int = 0
    voids_amount: int = 0
    reprints: int = 0
    tickets_issued: int = 0
    discounts: int = 0
    tax: int = 0
    surcharges: int = 0
    cash_rounding: int = 0
    cash_sales: int = 0
    cash_refunds: int = 0
    pay_ins: int = 0
    pay_outs: int = 0
    drops: int = 0
    closed_by: str | None = None
    close_at: StoredTime | None = None
    cash_expected: int | None = None
    cash_counted: int | None = None
    counted: dict[str, int] | None = None
    reason_code: str | None = None
    reason_text: str | None = None
    approved_by: str | None = None
    """Who approved a difference over the tolerance as the shift was closed (R27)."""
    z_no: int | None = None
    flags: list[str] = []


class CashMovement(Model):
    """Cash put into or taken out of a drawer (R27). `drawer_id` is the shift, None where a
    committed movement came without one."""

    model_config = ODMConfigDict(
        collection="cash_movements",
        indexes=lambda: [
            ascending("tenant_id", "store_id", "drawer_id", "occurred_at"),
            ascending("tenant_id", "store_id", "business_date"),
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    op_id: str
    device_id: str
    drawer_id: str | None
    type: MovementType
    amount: int
    reason_code: str | None = None
    reason_text: str | None = None
    occurred_at: StoredTime
    business_date: str
    employee_id: str | None
    employee_name: str | None
    flags: list[str] = []
    over_drawer: bool = False
    """More was taken out than the drawer could hold. Told to supervisors only (R27)."""


class ZLink(Model):
    """One link of a device's Z chain, never changed: `report` is the ZReport, hash and all (R28).

    `device_id` is the till whose chain it is, also where a supervisor made it elsewhere.
    """

    model_config = ODMConfigDict(
        collection="z_reports",
        indexes=lambda: [
            ascending("tenant_id", "store_id", "device_id", "chain_seq", unique=True),
            ascending("tenant_id", "store_id", "shift_id", "chain_seq"),
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    device_id: str
    chain_seq: int
    shift_id: str
    kind: ZKind
    z_no: int
    supplement: int
    op_id: str
    report: dict[str, Any]
    cash_expected: int
    """What the drawer ought to hold by this link and those before it of its shift, satang."""
    flags: list[str] = []


class ZCounter(Model):
    """The head of a device's Z chain: last number, link, hash and the grand totals, satang,
    which never reset (R28). `id` is tenant:store:device."""

    model_config = ODMConfigDict(collection="z_counters")

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    chain_seq: int = 0
    z_no: int = 0
    grand_sales: int = 0
    grand_refunds: int = 0
    last_hash: str
