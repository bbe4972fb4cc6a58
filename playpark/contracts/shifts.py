"""Shifts, which are the drawer sessions too (API.md: shifts, cash drawers; R26–R28)."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from playpark.clock import UtcDatetime
from playpark.contracts.approvals import Code, ReasonText
from playpark.contracts.audit import AuditMark
from playpark.contracts.base import IdStr, Request, View
from playpark.money import Satang, SatangSum

Pieces = Annotated[int, Field(strict=True, ge=0, le=100_000)]
Denomination = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,6}$")]


class ShiftOpenIn(Request):
    """`cash_open` is the float in the drawer, satang."""

    cash_open: Satang
    occurred_at: UtcDatetime | None = None


class ShiftStatus(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class ShiftView(View):
    """Never shows the expected cash: the cashier counts blind (R27)."""

    shift_id: str
    device_id: str
    opened_by: str | None
    opened_by_name: str | None
    open_at: UtcDatetime
    cash_open: Satang
    status: ShiftStatus
    close_at: UtcDatetime | None = None


class ShiftCloseIn(Request):
    """One of `counted` ({face value in satang: pieces}) and `cash_counted` (satang)."""

    counted: Annotated[dict[Denomination, Pieces], Field(max_length=30)] | None = None
    cash_counted: Satang | None = None
    reason_code: Code | None = None
    reason_text: ReasonText | None = None
    receipt_no: Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{2,6}-Z[0-9]{6,9}$")] | None = (
        Field(default=None, description="the Z number that the device took (R28)")
    )
    occurred_at: UtcDatetime | None = None

    @model_validator(mode="after")
    def _one_count(self) -> Self:
        if (self.counted is None) == (self.cash_counted is None):
            msg = "send either counted or cash_counted"
            raise ValueError(msg)
        return self

    @property
    def total(self) -> int:
        """What was counted, satang."""
        if self.counted is not None:
            return sum(int(face) * pieces for face, pieces in self.counted.items())
        return self.cash_counted or 0


class DrawerCloseIn(ShiftCloseIn):
    """The operation: `drawer_id` is the shift's id; without it the device's open shift. From an
    admin's device it finalises the shift of a till that is lost (R28)."""

    drawer_id: IdStr | None = None


# --- cash movements ---------------------------------------------------------------------


class MovementType(StrEnum):
    """Cash put in (change from the bank), taken out (a paid bill), dropped into the safe."""

    PAY_IN = "pay_in"
    PAY_OUT = "pay_out"
    DROP = "drop"


class MovementRequest(Request):
    """The body of `POST /cash_drawers/{id}/movements`; satang."""

    type: MovementType
    amount: Annotated[int, Field(strict=True, ge=1, le=10**12)]
    reason_code: Code | None = None
    reason_text: ReasonText | None = None
    occurred_at: UtcDatetime | None = None


class MovementIn(MovementRequest):
    """The operation: `drawer_id` is the shift's id; without it the device's open shift (R26)."""

    drawer_id: IdStr | None = None


class MovementView(View):
    movement_id: str
    drawer_id: str | None
    type: MovementType
    amount: Satang
    reason_code: str | None
    reason_text: str | None
    occurred_at: UtcDatetime
    employee_name: str | None
    flags: list[str] = []


# --- reports ----------------------------------------------------------------------------


class SalesTotals(View):
    """Count, amount (satang) and amount by payment method."""

    count: int
    amount: SatangSum
    by_method: dict[str, SatangSum]


class CountAndAmount(View):
    count: int
    amount: SatangSum


class ShiftTotals(View):
    """What happened in a shift, without the drawer. Voided sales are in `voids` and nowhere else;
    `sales` are net of discounts and include surcharges and cash rounding."""

    sales: SalesTotals
    refunds: SalesTotals
    voids: CountAndAmount
    reprints: int
    tickets_issued: int
    discounts: SatangSum
    tax: SatangSum
    surcharges: SatangSum
    cash_rounding: SatangSum


class DrawerView(View):
    """The cash of a shift, satang. `cash_sales` is tendered minus change (R27)."""

    cash_open: SatangSum
    cash_sales: SatangSum
    pay_ins: SatangSum
    pay_outs: SatangSum
    drops: SatangSum
    cash_refunds: SatangSum
    cash_expected: SatangSum


class XReport(View):
    """A look at an open shift: read-only, not final (R28). It tells the expected cash, so it
    needs `reports_view` or an approval."""

    shift: ShiftView
    at: UtcDatetime
    totals: ShiftTotals
    drawer: DrawerView


class ZKind(StrEnum):
    """`close` is the report of a shift; what comes later stands in the same chain."""

    CLOSE = "close"
    SUPPLEMENT = "supplement"
    ADJUSTMENT = "adjustment"


class ZReport(ShiftTotals):
    """A fixed link of the device's chain (R28): `number` is such as 12, or 12/1 for the first
    supplement of Z 12. `hash` covers all of it but itself, over `prev_hash`."""

    z_no: int
    supplement: int = 0
    number: str
    kind: ZKind = ZKind.CLOSE
    shift_id: str
    receipt_no: str | None = None
    drawer: DrawerView
    cash_counted: SatangSum | None = None
    """Null in a supplement; the new count in an adjustment."""
    because: str | None = None
    """What made a supplement or adjustment: its op_id, and the reason where there is one."""
    made_at: UtcDatetime
    grand_sales: SatangSum
    """Everything this device ever sold, satang; never resets."""
    grand_refunds: SatangSum
    grand_total: SatangSum
    """grand_sales − grand_refunds."""
    audit: AuditMark | None = None
    """The last row of the device's audit trail before this one (R45)."""
    prev_hash: str
    hash: str


class ShiftClosed(View):
    """`flags` has `variance_unapproved` where the difference waits for a supervisor (R27)."""

    shift_id: str
    cash_expected: SatangSum
    cash_counted: SatangSum
    cash_diff: SatangSum
    z: ZReport
    flags: list[str] = []


class AdjustmentType(StrEnum):
    """A new count, or a supervisor's yes to the difference there is."""

    RECOUNT = "recount"
    ACCEPT_VARIANCE = "accept_variance"


class AdjustmentRequest(Request):
    """The body of `POST /shifts/{id}/adjustments`: appended, approved, never an edit (R27)."""

    type: AdjustmentType
    cash_counted: Satang | None = None
    reason_code: Code
    reason_text: ReasonText | None = None
    occurred_at: UtcDatetime | None = None

    @model_validator(mode="after")
    def _counted(self) -> Self:
        if (self.cash_counted is not None) != (self.type is AdjustmentType.RECOUNT):
            msg = "a recount has cash_counted, and nothing else has"
            raise ValueError(msg)
        return self


class AdjustmentIn(AdjustmentRequest):
    shift_id: IdStr


class ShiftDetail(ShiftView):
    """One shift with all that is known of it; its figures only once it is counted, or for
    `reports_view` (R27)."""

    totals: ShiftTotals | None
    drawer: DrawerView | None
    movements: list[MovementView]
    cash_counted: SatangSum | None
    cash_diff: SatangSum | None
    reason_code: str | None
    flags: list[str]
    z: list[ZReport]
    """The Z report, then its supplements and adjustments."""


class DrawerSummary(View):
    """A shift seen as its drawer: `drawer` only once it is counted, or for `reports_view` (R27)."""

    drawer_id: str
    shift: ShiftView
    movements: list[MovementView]
    drawer: DrawerView | None
    cash_counted: SatangSum | None
    cash_diff: SatangSum | None


class ShiftSummary(ShiftView):
    """A shift in a list, for supervisors; the cash figures come with its close (R27)."""

    sales_count: int
    sales_amount: SatangSum
    refunds_amount: SatangSum = 0
    cash_expected: SatangSum | None
    cash_counted: SatangSum | None
    z_no: int | None
    flags: list[str] = []
