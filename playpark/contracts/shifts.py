"""Shifts, which are the drawer sessions too (API.md: shifts; R26–R28)."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from playpark.clock import UtcDatetime
from playpark.contracts.base import IdStr, Request, View
from playpark.money import Satang, SatangSum

Pieces = Annotated[int, Field(strict=True, ge=0, le=100_000)]
Denomination = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,6}$")]


class ShiftOpenIn(Request):
    """`cash_open` is the float in the drawer, satang."""

    cash_open: Satang
    occurred_at: UtcDatetime | None = None


class ShiftView(View):
    """Never shows the expected cash: the cashier counts blind (R27)."""

    shift_id: str
    device_id: str
    opened_by: str | None
    opened_by_name: str | None
    open_at: UtcDatetime
    cash_open: Satang
    status: str
    close_at: UtcDatetime | None = None


class ShiftCloseIn(Request):
    """One of `counted` ({face value in satang: pieces}) and `cash_counted` (satang)."""

    counted: Annotated[dict[Denomination, Pieces], Field(max_length=30)] | None = None
    cash_counted: Satang | None = None
    reason_code: IdStr | None = None
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


class SalesTotals(View):
    count: int
    amount: SatangSum
    by_method: dict[str, SatangSum]


class ZReport(View):
    """The fixed summary of a closed shift (R28). `hash` chains over the device's Z reports."""

    z_no: int
    sales: SalesTotals
    tickets_issued: int
    cash_open: Satang
    cash_sales: SatangSum
    grand_total: SatangSum
    """Everything this device ever sold, satang; never resets."""
    prev_hash: str
    hash: str


class ShiftClosed(View):
    shift_id: str
    cash_expected: SatangSum
    cash_counted: SatangSum
    cash_diff: SatangSum
    z: ZReport


class ShiftSummary(ShiftView):
    """A shift in a list, for supervisors; the cash figures come with its close (R27)."""

    sales_count: int
    sales_amount: SatangSum
    cash_expected: SatangSum | None
    cash_counted: SatangSum | None
    z_no: int | None
