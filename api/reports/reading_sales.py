"""Reading a day's sales with all that hangs on them, page by page, and checking them (R49)."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import TypeVar

from api.receipts.models import LedgerEntry
from api.refunds.models import Refund, VoidedSale
from api.reports.day import TradingDay, grouped
from api.reports.findings import (
    NOTHING,
    PAYMENTS,
    REFUNDS,
    SALES,
    TICKETS,
    VOIDS,
    broken,
)
from api.reports.pending_checks import PENDING, read_pending
from api.reports.receipt_checks import receipt
from api.reports.refund_checks import REFUND_FIELDS, refunds
from api.reports.repository import IDS, Books, Row
from api.reports.sale_checks import (
    PAYMENT_FIELDS,
    SALE_FIELDS,
    TICKET_FIELDS,
    VOID_FIELDS,
    SaleBooks,
    belonging,
    check_sale,
)
from api.sales.models import Payment, Sale
from api.shifts.figures import SaleAmounts, of_sale
from api.tickets.models import Ticket
from playpark.contracts.reports import BookCheck

T = TypeVar("T")
LEDGER_FIELDS = ("receipt_no", "device_id", "op_id", "state")


async def read_sales(day: TradingDay) -> None:
    """Check every sale of the day, and book it on its shift."""
    async for page in day.books.pages(Sale, SALE_FIELDS, business_date=day.iso):
        await day.load_shifts(row["shift_id"] for row in page)
        for books in await with_all(day.books, page):
            with day.findings.reading(SALES, books.sale["_id"]):
                _check(day, books)
                _count(day, books)
        await asyncio.sleep(0)  # a sale at the till goes first


async def with_all(books: Books, sales: Sequence[Row]) -> list[SaleBooks]:
    """Sales with their payments, tickets, refunds, voids and ledger rows."""
    ids = [row["_id"] for row in sales]
    payments = grouped(
        await books.by(Payment, PAYMENT_FIELDS, "sale_id", ids, sort="position"), "sale_id"
    )
    standing = {"sort": "position", "replaced_by": None}
    tickets = grouped(await books.by(Ticket, TICKET_FIELDS, "sale_id", ids, **standing), "sale_id")
    given = grouped(await _refunds(books, ids), "sale_id")
    voids = grouped(await books.by(VoidedSale, VOID_FIELDS, "sale_id", ids), "sale_id")
    numbers = {row["receipt_no"] for row in sales}
    numbers |= {row["receipt_no"] for rows in payments.values() for row in rows}
    ledger = await ledger_rows(books, numbers)
    return [
        SaleBooks(
            sale=row,
            payments=payments.get(row["_id"], []),
            tickets=tickets.get(row["_id"], []),
            refunds=given.get(row["_id"], []),
            void=voids.get(row["_id"], [None])[0],
            ledger=ledger,
        )
        for row in sales
    ]


async def _refunds(books: Books, sale_ids: Sequence[str]) -> list[Row]:
    """The refunds of these sales; what they gave back of a ticket that was exchanged since stands
    on the one that was given for it (R25)."""
    given = await books.by(Refund, REFUND_FIELDS, "sale_id", sale_ids)
    if not given:
        return []
    fields, gone = ("ticket_id", "replaced_by"), {"$ne": None}
    whose = [row["sale_id"] for row in given]
    exchanged = await books.by(Ticket, fields, "sale_id", whose, replaced_by=gone)
    follower = {row["ticket_id"]: row["replaced_by"] for row in exchanged}
    for part in (part for row in given for part in row["tickets"]):
        while part["ticket_id"] in follower:
            part["ticket_id"] = follower[part["ticket_id"]]
    return given


async def ledger_rows(books: Books, numbers: Iterable[str]) -> dict[str, Row]:
    """The ledger's rows by their number."""
    keys = [books.key(number) for number in sorted(numbers)]
    rows = await books.by(LedgerEntry, LEDGER_FIELDS, "_id", keys)
    return {row["receipt_no"]: row for row in rows}


def _check(day: TradingDay, books: SaleBooks) -> None:
    sale = books.sale
    day.findings.extend(check_sale(books, day.zone))
    day.findings.extend(refunds(books))
    number = sale["receipt_no"]
    if found := receipt(sale, SALES, books.ledger.get(number), day.books.key(number)):
        day.findings.add(found)
    day.note(number)


def _count(day: TradingDay, books: SaleBooks) -> None:
    sale, totals = books.sale, day.totals
    shift = day.shifts.get(sale["shift_id"])
    amounts = amounts_of(sale, books.payments, len(books.tickets))
    if shift is not None:
        shift.book(SALES, sale, of_sale(amounts))
    if books.voided:
        day.voided[sale["_id"]] = amounts
        return
    totals["sales_count"] += 1
    totals["sales"] += sale["grand_total"]
    totals["tickets"] += sum(row["slice"]["payable"] for row in books.tickets)
    totals["surcharges"] += sale["surcharge_total"]
    totals["cash_rounding"] += sale["cash_rounding"]
    if shift is None:
        totals["no_shift"] += sale["grand_total"]


def amounts_of(sale: Row, payments: Sequence[Row], tickets: int) -> SaleAmounts:
    """What a sale added to its shift."""
    by_method: dict[str, int] = {}
    for row in payments:
        by_method[row["method"]] = by_method.get(row["method"], 0) + row["amount"]
    return SaleAmounts(
        amount=sum(by_method.values()),
        cash=by_method.get("cash", 0),
        by_method=by_method,
        tickets=tickets,
        discounts=sale["discount_total"],
        tax=sale["tax_total"],
        surcharges=sale["surcharge_total"],
        cash_rounding=sale["cash_rounding"],
    )


# --- what has no sale ---------------------------------------------------------------------


async def read_orphans(day: TradingDay) -> None:
    """Payments, tickets, refunds and voids of the day without their sale, or with another's."""
    books, elsewhere = day.books, set[str]()
    fields = ("sale_id", "amount", "status", "receipt_no")
    async for page in books.pages(Payment, fields, size=IDS, business_date=day.iso):
        day.totals["payments"] += sum(row["amount"] for row in page if row["status"] == "taken")
        elsewhere |= await _without_sale(day, PAYMENTS, page)
    await read_pending(day)
    async for rows in _tickets(day):
        elsewhere |= await _without_sale(day, TICKETS, rows)
    for model, collection in ((Refund, REFUNDS), (VoidedSale, VOIDS)):
        number = "sale_receipt_no" if model is Refund else "receipt_no"
        async for page in books.pages(model, ("sale_id", number), size=IDS, business_date=day.iso):
            await _without_sale(day, collection, page, number=number)
    for ids in chunks(sorted(elsewhere)):
        for each in await with_all(books, await books.by(Sale, SALE_FIELDS, "_id", ids)):
            with day.findings.reading(SALES, each.sale["_id"]):
                day.findings.extend(belonging(each, day.zone))


async def _tickets(day: TradingDay) -> AsyncIterator[list[Row]]:
    """One row for each sale id that a ticket of the day names; pending ones wait for theirs."""
    group = {"_id": "$sale_id", "ticket": {"$min": "$_id"}}
    valid = {"$gte": day.start, "$lt": day.end}
    sold = {"$ne": PENDING}
    rows = await day.books.grouped(Ticket, group, valid_from=valid, status=sold)
    for chunk in chunks(rows):
        yield [{"_id": row["ticket"], "sale_id": row["_id"]} for row in chunk]


async def _without_sale(
    day: TradingDay, collection: str, rows: Sequence[Row], *, number: str | None = None
) -> set[str]:
    """Name those whose sale is not there; `number` is the field that has to be its receipt number.
    Returns the sales that are there, but of another day."""
    ids = {row["sale_id"] for row in rows}
    sales = {
        row["_id"]: row
        for row in await day.books.by(Sale, ("receipt_no", "business_date"), "_id", ids)
    }
    for row in rows:
        sale = sales.get(row["sale_id"])
        if sale is None:
            why = f"The sale that this document of {collection} belongs to is not there."
            wanted = f"sale {row['sale_id']}"
            day.findings.add(
                broken(BookCheck.ORPHANS, collection, row["_id"], wanted, NOTHING, why)
            )
        elif number is not None and sale["receipt_no"] != row[number]:
            why = f"By its number this document of {collection} is of another sale."
            right = sale["receipt_no"]
            day.findings.add(
                broken(BookCheck.ORPHANS, collection, row["_id"], right, row[number], why)
            )
    return {row["_id"] for row in sales.values() if row["business_date"] != day.iso}


# --- refunds of the day --------------------------------------------------------------------


async def read_refunds(day: TradingDay) -> None:
    """Check the refunds of the day: of sales of other days with those sales, too."""
    books = day.books
    async for page in books.pages(Refund, REFUND_FIELDS, business_date=day.iso):
        await day.load_shifts(row["shift_id"] for row in page)
        ledger = await ledger_rows(books, [row["receipt_no"] for row in page])
        for row in page:
            with day.findings.reading(REFUNDS, row["_id"]):
                _refund(day, row, ledger)
        ids = {row["sale_id"] for row in page}
        other_days = {"$ne": day.iso}
        sales = await books.by(Sale, SALE_FIELDS, "_id", ids, business_date=other_days)
        for each in await with_all(books, sales):
            with day.findings.reading(SALES, each.sale["_id"]):
                day.findings.extend(refunds(each))
        await asyncio.sleep(0)


def _refund(day: TradingDay, row: Row, ledger: Mapping[str, Row]) -> None:
    number = row["receipt_no"]
    if found := receipt(row, REFUNDS, ledger.get(number), day.books.key(number)):
        day.findings.add(found)
    day.note(number)
    day.totals["refunds_count"] += 1
    day.totals["refunds"] += row["amount"]
    if row["shift_id"] not in day.shifts:
        day.totals["refunds_no_shift"] += row["amount"]


def chunks(items: Sequence[T]) -> Iterable[Sequence[T]]:
    return (items[start : start + IDS] for start in range(0, len(items), IDS))
