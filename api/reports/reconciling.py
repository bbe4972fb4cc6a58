"""Proving a store's trading day: sales = payments = shifts = tickets = Z, with supplements (R49).

Everything is read at one moment. Each check is a pure function over rows (`*_checks.py`); the
`reading_*.py` read the rows, some pages at a time, so that a day of 20,000 sales takes seconds
and no more memory than a small one.
"""

from collections.abc import Iterator
from datetime import date

import pymongo

from api.platform.uow import UnitOfWork, Work
from api.reports.day import TradingDay
from api.reports.findings import broken
from api.reports.reading_numbers import check_numbers, check_operations
from api.reports.reading_sales import read_orphans, read_refunds, read_sales
from api.reports.reading_shifts import book_all, check_chains, check_shifts, find_shifts
from api.reports.repository import Books, StoreRef
from api.sync.models import DeadLetter
from playpark.contracts.reports import BookCheck, Discrepancy, Reconciliation
from playpark.contracts.sync import DeadLetterStatus

MOST_SECONDS = 240
"""A moment is kept for five minutes."""


async def reconcile(uow: UnitOfWork, store: StoreRef, day: date) -> Reconciliation:
    """Check one trading day of one store. Raises what the driver raises where the database is
    away, or where the day cannot be read within four minutes."""
    with pymongo.timeout(MOST_SECONDS):
        async with uow.at_one_moment() as work:
            return await _reconcile(work, store, day)


async def _reconcile(work: Work, store: StoreRef, date_: date) -> Reconciliation:
    day = TradingDay(Books(work, store.tenant_id, store.store_id), store, date_)
    await find_shifts(day)
    await read_sales(day)
    await read_refunds(day)
    await read_orphans(day)
    await book_all(day)
    await check_shifts(day)
    await check_chains(day)
    await check_operations(day)
    await check_numbers(day)
    waiting = DeadLetterStatus.OPEN.value
    day.totals["dead_letters"] = await day.books.count(DeadLetter, status=waiting)
    for (collection, row_id), problem in day.books.unreadable.items():
        day.findings.unreadable(collection, row_id, problem)
    result = _result(day, [])
    day.findings.extend(_sums(result))
    return _result(day, day.findings.told())


def _result(day: TradingDay, breaks: list[Discrepancy]) -> Reconciliation:
    totals = day.totals
    return Reconciliation(
        store_id=day.store.store_id,
        store_name=day.store.name,
        business_date=day.date,
        checked_at=day.books.work.now,
        sales_count=totals["sales_count"],
        sales=totals["sales"],
        payments=totals["payments"],
        tickets=totals["tickets"],
        surcharges=totals["surcharges"],
        cash_rounding=totals["cash_rounding"],
        shifts=totals["sales_in_shifts"],
        no_shift=totals["no_shift"],
        z_reports=totals["sales_in_z"],
        open_shifts=totals["sales_open"],
        voided_count=totals["voided_count"],
        voided=totals["voided"],
        refunds_count=totals["refunds_count"],
        refunds=totals["refunds"],
        refunds_in_shifts=totals["refunds_in_shifts"],
        refunds_no_shift=totals["refunds_no_shift"],
        refunds_in_z=totals["refunds_in_z"],
        refunds_open=totals["refunds_open"],
        documents=day.books.documents,
        dead_letters=totals["dead_letters"],
        breaks=breaks,
    )


def _sums(of: Reconciliation) -> Iterator[Discrepancy]:
    """The day as a whole: names what does not come to the sales, or to the refunds."""
    goods = of.tickets + of.surcharges + of.cash_rounding
    for name, expected, found in (
        ("payments", of.sales, of.payments),
        ("tickets", of.sales, goods),
        ("shifts", of.sales, of.shifts + of.no_shift),
        ("z_reports", of.shifts, of.z_reports + of.open_shifts),
        ("refunds_in_shifts", of.refunds, of.refunds_in_shifts + of.refunds_no_shift),
        ("refunds_in_z", of.refunds_in_shifts, of.refunds_in_z + of.refunds_open),
    ):
        if expected != found:
            why = f"{name} of the whole day do not come to what they have to be."
            yield broken(BookCheck.SUMS, name, f"{of.business_date}", expected, found, why)
