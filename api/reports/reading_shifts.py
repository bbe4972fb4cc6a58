"""Reading the shifts of a day with all that stands on them, and the Z chains (R27, R28, R49)."""

import asyncio
from datetime import date, timedelta

from api.audit.models import AuditRow
from api.refunds.models import Refund, Reprint, VoidedSale
from api.reports.day import TradingDay, grouped
from api.reports.findings import MOVEMENTS, REFUNDS, REPRINTS, SALES, SHIFTS, VOIDS, Z_REPORTS
from api.reports.reading_sales import amounts_of
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
from api.shifts.figures import Figures, RefundAmounts, of_movement, of_refund, of_sale, of_void
from api.shifts.models import CashMovement, Shift, ZCounter, ZLink
from playpark.contracts.reports import Discrepancy
from playpark.contracts.sales import SaleStatus
from playpark.contracts.shifts import MovementType, ShiftStatus, ZKind

LIGHT_SALE = (
    *("op_id", "shift_id", "status", "grand_total", "discount_total", "tax_total"),
    *("surcharge_total", "cash_rounding", "flags"),
)
MOVEMENT_FIELDS = ("op_id", "drawer_id", "type", "amount", "created_at", "flags")
REPRINT_FIELDS = ("op_id", "shift_id")
EARLIER = timedelta(days=4)
"""How far before its shift an operation may be dated: by a wrong clock, by its paper (R30, R36)."""


async def find_shifts(day: TradingDay) -> None:
    """The shifts that were opened on the day, and those that anything but a sale of it was
    booked on."""
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
    """Book on the day's shifts all that stands on them besides the day's own sales."""
    books, shifts = day.books, day.shifts
    if not shifts:
        return
    await _sales_of_other_days(day)
    recent = {"business_date": {"$gte": _earliest(day).isoformat()}}
    for row in await books.by(Refund, REFUND_FIELDS, "shift_id", shifts, **recent):
        with day.findings.reading(REFUNDS, row["_id"]):
            shift = shifts[row["shift_id"]]
            shift.book(REFUNDS, row, _refund(row))
            if row["business_date"] != day.iso:
                shift.elsewhere["refunds_amount"] += row["amount"]
    for row in await books.by(VoidedSale, VOID_FIELDS, "shift_id", shifts, **recent):
        with day.findings.reading(VOIDS, row["_id"]):
            if amounts := day.voided.get(row["sale_id"]):
                shifts[row["shift_id"]].book(VOIDS, row, of_void(amounts))
            if row["business_date"] == day.iso:
                day.totals["voided_count"] += 1
                day.totals["voided"] += row["amount"]
    for row in await books.by(CashMovement, MOVEMENT_FIELDS, "drawer_id", shifts):
        with day.findings.reading(MOVEMENTS, row["_id"]):
            shift = shifts[row["drawer_id"]]
            shift.book(MOVEMENTS, row, of_movement(MovementType(row["type"]), row["amount"]))
            shift.movements.append(row)
    for row in await books.by(Reprint, REPRINT_FIELDS, "shift_id", shifts, **recent):
        shifts[row["shift_id"]].book(REPRINTS, {**row, "flags": ()}, Figures(reprints=1))


async def _sales_of_other_days(day: TradingDay) -> None:
    books, shift_ids = day.books, {"$in": sorted(day.shifts)}
    other_days = {"$ne": day.iso}
    async for page in books.pages(Sale, LIGHT_SALE, business_date=other_days, shift_id=shift_ids):
        ids = [row["_id"] for row in page]
        payments = grouped(await books.by(Payment, PAYMENT_FIELDS, "sale_id", ids), "sale_id")
        tickets = await books.ticket_counts(ids)
        for row in page:
            key, shift = row["_id"], day.shifts[row["shift_id"]]
            with day.findings.reading(SALES, key):
                amounts = amounts_of(row, payments.get(key, []), tickets.get(key, 0))
                shift.book(SALES, row, of_sale(amounts))
                if row["status"] == SaleStatus.VOIDED:
                    day.voided[key] = amounts
                else:
                    shift.elsewhere["sales_amount"] += row["grand_total"]
        await asyncio.sleep(0)


def _earliest(day: TradingDay) -> date:
    opened = [shift.row["business_date"] for shift in day.shifts.values() if shift.row]
    return min((date.fromisoformat(each) for each in opened), default=day.date) - EARLIER


def _refund(row: Row) -> Figures:
    """What a refund added to its shift."""
    by_method = {part["method"]: part["amount"] for part in row["parts"]}
    cash = by_method.get("cash", 0)
    return of_refund(RefundAmounts(amount=row["amount"], cash=cash, by_method=by_method))


# --- checking -------------------------------------------------------------------------------


async def check_shifts(day: TradingDay) -> None:
    """Check each shift, and add its part of the day to the totals."""
    for shift in day.shifts.values():
        with day.findings.reading(SHIFTS, shift.key):
            audited: dict[str, int] = {}
            if shift.row and first_difference(of_row(shift.row), shift.booked):
                audited = await _audited(day, shift)
            day.findings.extend(check_shift(shift, audited))
            if shift.row is not None:
                _count(day, shift, shift.row)


async def _audited(day: TradingDay, shift: ShiftBooks) -> dict[str, int]:
    """What the audit trail says of a shift's movements, satang by id."""
    told: dict[str, int] = {}
    for movement in shift.movements:
        rows = await day.books.find(
            AuditRow,
            ["entity_id", "payload.amount"],
            ts=movement["created_at"],
            entity_id=movement["_id"],
        )
        told |= {row["entity_id"]: row["payload"]["amount"] for row in rows}
    return told


def _count(day: TradingDay, shift: ShiftBooks, row: Row) -> None:
    """A shift's sums less what is of other days: the totals and supplements of the shift, and
    those of its Z reports."""
    late, totals = shift.of_kind(ZKind.SUPPLEMENT), day.totals
    for name, kind in (("sales_amount", "sales"), ("refunds_amount", "refunds")):
        other_days = shift.elsewhere[name]
        supplements = sum(of_report(link["report"])[name] for link in late)
        booked = row[name] + supplements - other_days
        totals[f"{kind}_in_shifts"] += booked
        if row["status"] == ShiftStatus.OPEN or shift.close is None:
            totals[f"{kind}_open"] += booked
        else:
            sealed = of_report(shift.close["report"])[name]
            totals[f"{kind}_in_z"] += sealed + supplements - other_days


async def check_chains(day: TradingDay) -> None:
    """Follow the Z chain of every till of the day from its first link to its head."""
    devices = {shift.row["device_id"] for shift in day.shifts.values() if shift.row}
    for device_id in sorted(devices):
        found = await _broken_chain(day, device_id)
        if found is not None:
            day.findings.add(found)


async def _broken_chain(day: TradingDay, device_id: str) -> Discrepancy | None:
    books, chain = day.books, Chain()
    while True:
        beyond = {"$gt": chain.seq}
        page = await books.find(
            ZLink, LINK_FIELDS, sort="chain_seq", limit=IDS, device_id=device_id, chain_seq=beyond
        )
        for link in page:
            with day.findings.reading(Z_REPORTS, link["_id"]):
                if found := chain.follow(link):
                    return found
        if len(page) < IDS:
            break
        await asyncio.sleep(0)
    key = books.key(device_id)
    heads = await books.by(ZCounter, HEAD_FIELDS, "_id", [key])
    return chain.ends(key, heads[0] if heads else None)
