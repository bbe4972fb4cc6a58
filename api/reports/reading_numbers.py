"""Reading the operations of a day and its receipt numbers: whatever was done has left its
document, and every number has its row (R15, R29, R49)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ulid import ULID

from api.identity.models import Device
from api.platform.operations import OpRecord
from api.receipts.models import LedgerEntry, LedgerState
from api.refunds.models import Refund, Reprint, VoidedSale
from api.reports.day import TradingDay
from api.reports.findings import LEDGER, NOTHING, broken
from api.reports.reading_sales import LEDGER_FIELDS
from api.reports.repository import IDS, Row
from api.sales.models import Sale, TrainingSale
from api.shifts.models import CashMovement, Shift, ZLink
from api.tickets.models import Annulment, Cancellation
from playpark.contracts.reports import BookCheck
from playpark.contracts.sync import OpKind
from playpark.ids import ReceiptNumber, ReceiptSeries

OP_FIELDS = ("kind", "result_id", "op_id")
LEFT_BY: Mapping[str, tuple[Any, ...]] = {
    OpKind.SALE: (Sale, TrainingSale),
    OpKind.CHECKOUT: (Sale,),
    OpKind.REFUND: (Refund,),
    OpKind.VOID: (VoidedSale,),
    OpKind.REPRINT: (Reprint,),
    OpKind.EXCHANGE: (Reprint,),
    OpKind.TICKET_CANCEL: (Cancellation,),
    OpKind.ANNUL: (Annulment,),
    OpKind.CASH_MOVEMENT: (CashMovement,),
    OpKind.SHIFT_OPEN: (Shift,),
    OpKind.SHIFT_CLOSE: (ZLink,),
    OpKind.SHIFT_ADJUSTMENT: (ZLink,),
}
"""The document that an operation makes: where it may be, the first if it has to be."""


async def check_operations(day: TradingDay) -> None:
    """Every operation of the day has its document.

    The moment of an operation is read from its id, which is a ULID; of clients that make them
    otherwise, what is missing is found by what it leaves without its sale.
    """
    devices = await day.books.find(Device, [])
    for device in devices:
        prefix = day.books.key(device["_id"])
        span = {"$gte": f"{prefix}:{_first(day.start)}", "$lt": f"{prefix}:{_first(day.end)}"}
        async for page in day.books.pages(OpRecord, OP_FIELDS, size=IDS, _id=span):
            await _have_documents(day, page)


async def _have_documents(day: TradingDay, records: Sequence[Row]) -> None:
    for kind, models in LEFT_BY.items():
        of_kind = [row for row in records if row["kind"] == kind]
        ids = {_result(day, row): row for row in of_kind}
        missing = set(ids)
        for model in models:
            missing -= await day.books.existing(model, sorted(missing))
        for key in sorted(missing):
            collection = models[0].__collection__
            why = f"Operation {ids[key]['op_id']} ({kind}) was applied, and what it made has gone."
            check = BookCheck.OPERATIONS
            day.findings.add(broken(check, collection, key, f"the {kind}", NOTHING, why))


def _result(day: TradingDay, record: Row) -> str:
    if record["kind"] == OpKind.SHIFT_OPEN:
        return day.books.key(record["op_id"])
    return str(record["result_id"])


def _first(at: datetime) -> str:
    """The least ULID of a moment; none is older than 1970."""
    milliseconds = max(0, int(at.timestamp() * 1000))
    return str(ULID.from_bytes(milliseconds.to_bytes(6, "big") + bytes(10)))


# --- receipt numbers ------------------------------------------------------------------------


async def check_numbers(day: TradingDay) -> None:
    """The numbers of each device and series have no gap up to the day's last one, and what
    stands in the rows of the day was really done."""
    for shift in day.shifts.values():
        if shift.close is not None and (number := shift.close["report"]["receipt_no"]):
            day.note(number)
    for (code, series), used in sorted(day.numbers.items()):
        gap = await _gap(day, code, series, used.high)
        if gap is not None:
            number = str(ReceiptNumber(code, ReceiptSeries(series), gap))
            why = (
                f"There is no receipt {number}, though {used.high} numbers were given out: "
                "it was not sent yet, or it has vanished."
            )
            key = day.books.key(number)
            day.findings.add(broken(BookCheck.RECEIPTS, LEDGER, key, "a row", NOTHING, why))
        spans = _spans(day, code, series, used.low, used.high)
        applied = LedgerState.APPLIED.value
        rows = [await day.books.count(LedgerEntry, _id=span, state=applied) for span in spans]
        if sum(rows) != used.documents:
            await _rows(day, spans)


async def _gap(day: TradingDay, code: str, series: str, high: int) -> int | None:
    """The first number up to `high` that has no row. Halving finds it without reading the rows."""
    first, last = 1, high
    if await _count(day, code, series, first, last) == last:
        return None
    while first < last:
        middle = (first + last) // 2
        whole = await _count(day, code, series, first, middle) == middle - first + 1
        first, last = (middle + 1, last) if whole else (first, middle)
    return first


async def _count(day: TradingDay, code: str, series: str, first: int, last: int) -> int:
    spans = _spans(day, code, series, first, last)
    return sum([await day.books.count(LedgerEntry, _id=span) for span in spans])


def _spans(day: TradingDay, code: str, series: str, first: int, last: int) -> list[dict[str, Any]]:
    """Ranges of the ledger's ids. Numbers of more than six digits sort between the shorter ones,
    so each length is a range of its own."""
    spans = []
    for digits in range(6, 10):
        low, high = (0 if digits == 6 else 10 ** (digits - 1)), 10**digits - 1
        low, high = max(low, first), min(high, last)
        if low > high:
            continue
        prefix = day.books.key(f"{code}-{series}")
        length = len(prefix) + digits
        spans.append(
            {
                "$gte": f"{prefix}{low:0{digits}d}",
                "$lte": f"{prefix}{high:0{digits}d}",
                "$regex": f"^.{{{length}}}$",
            }
        )
    return spans


async def _rows(day: TradingDay, spans: Sequence[Mapping[str, Any]]) -> None:
    """What took each number: its operation and its document are there, if of another day."""
    for span in spans:
        pages = day.books.pages(LedgerEntry, LEDGER_FIELDS, size=IDS, _id=span)
        async for page in pages:
            taken = [row for row in page if row["state"] == LedgerState.APPLIED]
            keys = {row["_id"]: day.books.key(row["device_id"], row["op_id"]) for row in taken}
            records = {
                row["_id"]: row
                for row in await day.books.by(OpRecord, OP_FIELDS, "_id", keys.values())
            }
            for row in taken:
                if keys[row["_id"]] not in records:
                    why = f"No operation took receipt number {row['receipt_no']}."
                    check, op_id = BookCheck.RECEIPTS, row["op_id"]
                    day.findings.add(broken(check, LEDGER, row["_id"], NOTHING, op_id, why))
            await _have_documents(day, list(records.values()))
