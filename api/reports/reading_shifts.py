"""Reading the shifts of a day with their documents of all days, and the Z chains (R27, R28, R49)."""

from datetime import date, timedelta

from api.audit.models import AuditRow
from api.refunds.models import Refund, Reprint, VoidedSale
from api.reports.day import TradingDay, grouped
from api.reports.findings import MOVEMENTS, REFUNDS, SALES, VOIDS
from api.reports.reading_sales import figures, refund_figures
from api.reports.refund_checks import REFUND_FIELDS
from api.reports.repository import IDS, Row
from api.reports.sale_checks import PAYMENT_FIELDS, VOID_FIELDS
from api.reports.shift_checks import (
    HEAD_FIELDS,
    LINK_FIELDS,
    Chain,
    ShiftBooks,
    check_shift,
    first_difference,
    of_report,
    of_row,
)
from api.sales.models import Payment, Sale
from api.shifts.figures import Figures, SaleAmounts, of_movement, of_void
from api.shifts.models import CashMovement, Shift, ZCounter, ZLink
from playpark.contracts.sales import SaleStatus
from playpark.contracts.shifts import MovementType, ShiftStatus, ZKind

REPRINTS = "reprints"
LIGHT_SALE = (
    *("op_id", "shift_id", "status", "grand_total", "discount_total", "tax_total"),
    *("surcharge_total", "cash_rounding", "flags"),
)
MOVEMENT_FIELDS = ("op_id", "drawer_id", "type", "amount", "created_at", "business_date", "flags")
REPRINT_FIELDS = ("op_id", "shift_id", "business_date")
LATEST = timedelta(days=4)
"""How far before the shift's own day an operation of it may be dated: offline, and its paper."""


async def find_shifts(day: TradingDay) -> None:
    """The shifts that were opened on the day, and those that anything else of it was booked on."""
    books, ids = day.books, set[str]()
    for model, name in (
        (Shift, "shift_id"),
        (VoidedSale, "shift_id"),
        (CashMovement, "drawer_id"),
        (Reprint, "shift_id"),
    ):
        rows = await books.find(model, [name], business_date=day.iso)
        ids |= {row[name] for row in rows if row[name]}
    await day.load_shifts(ids)


async def book_all(day: TradingDay) -> None:
    """Book on the day's shifts what stands on them besides the day's own sales."""
    voided = await _sales_of_other_days(day)
    since = _earliest(day)
    books, shifts = day.books, day.shifts
    for row in await books.by(Refund, REFUND_FIELDS, "shift_id", shifts, **since):
        shifts[row["shift_id"]].book(REFUNDS, row, refund_figures(row))
        if row["business_date"] != day.iso:
            shifts[row["shift_id"]].elsewhere["refunds_amount"] += row["amount"]
    for row in await books.by(VoidedSale, VOID_FIELDS, "shift_id", shifts, **since):
        if amounts := voided.get(row["sale_id"]):
            shifts[row["shift_id"]].book(VOIDS, row, of_void(amounts))
        if row["business_date"] == day.iso:
            day.totals["voided_count"] += 1
            day.totals["voided"] += row["amount"]
    for row in await books.by(CashMovement, MOVEMENT_FIELDS, "drawer_id", shifts):
        shift = shifts[row["drawer_id"]]
        shift.book(MOVEMENTS, row, of_movement(MovementType(row["type"]), row["amount"]))
        shift.movements.append(row)
    for row in await books.by(Reprint, REPRINT_FIELDS, "shift_id", shifts, **since):
        shifts[row["shift_id"]].book(REPRINTS, row | {"flags": ()}, Figures(reprints=1))


async def _sales_of_other_days(day: TradingDay) -> dict[str, SaleAmounts]:
    """Book the shifts' sales of other days; what each voided sale of the shifts had added."""
    books = day.books
    voided: dict[str, SaleAmounts] = {}
    await _light(day, voided, business_date=day.iso, status=SaleStatus.VOIDED.value)
    shift_ids = {"$in": sorted(day.shifts)}
    await _light(day, voided, business_date={"$ne": day.iso}, shift_id=shift_ids)
    del books
    return voided
