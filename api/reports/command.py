"""`playpark reconcile`: the stores to check, and what the operator sees (R49)."""

import json
from collections.abc import Sequence
from datetime import date, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.platform.uow import UnitOfWork
from api.reports import service
from api.reports.repository import StoreRef, all_stores
from playpark.clock import business_date, park_zone
from playpark.contracts.reports import Discrepancy, Reconciliation
from playpark.errors import ErrorCode, PlayParkError
from playpark.money import format_satang


async def reconcile_all(
    uow: UnitOfWork, day: date | None, store_id: str | None
) -> list[Reconciliation]:
    """Check one day of all stores, or of one; without a day each store's last one.

    Raises E_NOT_FOUND for a store that is not there, E_VALIDATION for a day that has not begun.
    """
    work = uow.reading()
    stores = [each for each in await all_stores(work) if store_id in {None, each.store_id}]
    if store_id is not None and not stores:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no store with this id.")
    if day is not None and any(day > _today(store, work.now) for store in stores):
        message = "This trading day has not begun: choose an earlier date."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    return [
        await service.run(uow, store, day or service.last_day(store, work.now)) for store in stores
    ]


def _today(store: StoreRef, now: datetime) -> date:
    return business_date(now, park_zone(store.tz))


def as_json(results: Sequence[Reconciliation]) -> str:
    return json.dumps([each.model_dump(mode="json") for each in results], indent=2)


def show(results: Sequence[Reconciliation], console: Console) -> None:
    """The sums of each store, then what breaks its books. Names are text, never markup."""
    if not results:
        console.print("There is no store yet: nothing to reconcile.")
    for each in results:
        console.print(_sums(each))
        for found in each.breaks:
            _tell(found, console)
        console.print()


def _sums(of: Reconciliation) -> Table:
    verdict = "whole" if of.whole else f"BROKEN: {len(of.breaks)} checks failed"
    table = Table(
        title=Text(f"{of.store_name}, {of.business_date}: {verdict}"), title_justify="left"
    )
    table.add_column("baht", no_wrap=True)
    for name in ("documents", "payments", "tickets", "shifts", "Z reports"):
        table.add_column(name, justify="right")
    goods = of.tickets + of.surcharges + of.cash_rounding
    table.add_row(
        f"sales ({of.sales_count})",
        *map(format_satang, (of.sales, of.payments, goods, of.shifts, of.z_reports)),
    )
    table.add_row(
        f"refunds ({of.refunds_count})",
        format_satang(of.refunds), "", "",
        *map(format_satang, (of.refunds_in_shifts, of.refunds_in_z)),
    )  # fmt: skip
    for name, amount, place in (
        ("outside any shift", of.no_shift, 3),
        ("in shifts still open", of.open_shifts, 4),
        ("refunds outside any shift", of.refunds_no_shift, 3),
        ("refunds in shifts still open", of.refunds_open, 4),
        (f"voided ({of.voided_count})", of.voided, 0),
    ):
        if amount:
            cells = [""] * 5
            cells[place] = format_satang(amount)
            table.add_row(name, *cells)
    return table


def _tell(found: Discrepancy, console: Console) -> None:
    others = f" (and {found.others} more)" if found.others else ""
    where = f"{found.check.value}: {found.collection} {found.document_id}{others}"
    console.print(Text(where, style="bold red"), soft_wrap=True)
    console.print(Text(f"  {found.why}"), soft_wrap=True)
    console.print(Text(f"  expected {found.expected}, found {found.found}"), soft_wrap=True)
