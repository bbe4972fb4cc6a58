"""R49: whatever one document is tampered with in the database, it is the first that is named.

The afternoon happens once through the real API. Each test changes, deletes or adds one document,
reconciles the day, looks who is named, and puts everything back.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from api.reports.reconciling import reconcile
from api.reports.repository import all_stores
from api.reports.shift_checks import NAMES
from api.shifts.chain import report_hash
from playpark.contracts.reports import Discrepancy, Reconciliation
from playpark.ids import new_ulid
from tests.api import afternoon
from tests.api.afternoon import STORE, Afternoon, today
from tests.api.inside import Inside, inside

Doc = dict[str, Any]
Find = Callable[[Any, Afternoon], Doc]
ANOTHER = "01BX5ZZKBKACTAV9WEVGEMMVRZ"
"""The id of nothing; the same in every process that collects these tests."""


@dataclass
class Books:
    park: Inside
    db: Any
    day: Afternoon

    async def reconcile(self) -> Reconciliation:
        uow = self.park.platform.uow
        stores = {store.store_id: store for store in await all_stores(uow.reading())}
        return await reconcile(uow, stores[STORE], today(self.park.clock.now()))


@pytest.fixture(scope="module")
async def books(mongo_uri: str, database: str) -> AsyncIterator[Books]:
    name = f"{database}_reconcile"
    async with inside(mongo_uri, name) as park:
        day = await afternoon.live(park.http)
        with MongoClient[Doc](mongo_uri, tz_aware=True) as client:
            yield Books(park, client[name], day)


# --- finding documents --------------------------------------------------------------------


def sale(name: str) -> Find:
    return lambda db, day: db.sales.find_one({"_id": day.sale_id(name)})


def payment(name: str, position: int = 0) -> Find:
    return lambda db, day: db.payments.find_one(
        {"sale_id": day.sale_id(name), "position": position}
    )


def ticket(name: str, position: int = 0) -> Find:
    return lambda db, day: db.tickets.find_one({"sale_id": day.sale_id(name), "position": position})


def refund(name: str) -> Find:
    return lambda db, day: db.refunds.find_one({"_id": day.refunds[name]["refund_id"]})


def void() -> Find:
    return lambda db, day: db.voids.find_one({"sale_id": day.sale_id("voided")})


def row(series: str, number: int) -> Find:
    return lambda db, day: db.receipt_ledger.find_one(
        {"receipt_no": f"{day.code}-{series}{number:06d}"}
    )


def row_of(name: str) -> Find:
    return lambda db, day: db.receipt_ledger.find_one({"receipt_no": day.receipt_no(name)})


def closed() -> Find:
    return lambda db, day: db.shifts.find_one({"shift_id": day.closed_shift})


def still_open() -> Find:
    return lambda db, day: db.shifts.find_one({"shift_id": day.open_shift})


def movement(amount: int) -> Find:
    return lambda db, _day: db.cash_movements.find_one({"amount": amount})


def reprint() -> Find:
    return lambda db, _day: db.reprints.find_one({})


def z(kind: str) -> Find:
    return lambda db, day: db.z_reports.find_one({"shift_id": day.closed_shift, "kind": kind})


def head() -> Find:
    return lambda db, day: db.z_counters.find_one({"_id": closed_key(db, day)})


def closed_key(db: Any, day: Afternoon) -> str:
    shift = closed()(db, day)
    return f"{shift['tenant_id']}:{shift['store_id']}:{shift['device_id']}"


# --- tampering ----------------------------------------------------------------------------

COLLECTIONS = {
    "sale": "sales",
    "payment": "payments",
    "ticket": "tickets",
    "refund": "refunds",
    "void": "voids",
    "row": "receipt_ledger",
    "row_of": "receipt_ledger",
    "closed": "shifts",
    "still_open": "shifts",
    "movement": "cash_movements",
    "reprint": "reprints",
    "z": "z_reports",
    "head": "z_counters",
}


def collection_of(find: Find) -> str:
    return COLLECTIONS[find.__qualname__.partition(".")[0]]


@contextmanager
def changed(books: Books, find: Find, path: str, value: Any) -> Iterator[tuple[str, str]]:
    """One document with another value at `path`: 1 stands for one satang (or one) more, a
    callable makes it of the old value."""
    collection, original = books.db[collection_of(find)], find(books.db, books.day)
    old = original
    for step in path.split("."):
        old = old[int(step) if step.isdecimal() else step]
    new = value(old) if callable(value) else old + 1 if value == 1 else value
    assert new != old, "the tampering changes nothing"
    collection.update_one({"_id": original["_id"]}, {"$set": {path: new}})
    try:
        yield collection.name, original["_id"]
    finally:
        collection.replace_one({"_id": original["_id"]}, original)


@contextmanager
def deleted(books: Books, find: Find) -> Iterator[tuple[str, str]]:
    collection, original = books.db[collection_of(find)], find(books.db, books.day)
    collection.delete_one({"_id": original["_id"]})
    try:
        yield collection.name, original["_id"]
    finally:
        collection.insert_one(original)


@contextmanager
def added(books: Books, find: Find, **other: Any) -> Iterator[tuple[str, str]]:
    """A copy of a document under a new id, with other values."""
    collection, original = books.db[collection_of(find)], find(books.db, books.day)
    copy = {**original, "_id": new_ulid(), **other}
    collection.insert_one(copy)
    try:
        yield collection.name, copy["_id"]
    finally:
        collection.delete_one({"_id": copy["_id"]})


async def first(books: Books) -> Discrepancy:
    result = await books.reconcile()
    assert not result.whole
    return result.breaks[0]


def named(found: Discrepancy) -> tuple[str, str]:
    return found.collection, found.document_id


# --- whole --------------------------------------------------------------------------------


async def test_R49_a_real_afternoon_is_whole_and_all_sums_agree(books: Books) -> None:
    result = await books.reconcile()
    assert result.breaks == []
    assert (result.sales_count, result.refunds_count, result.voided_count) == (6, 3, 1)
    assert result.voided == 29_800
    taken = [sold["sale"]["grand_total"] for name, sold in books.day.sales.items()]
    assert result.sales == sum(taken) - 29_800 == result.payments == result.shifts
    assert result.sales == result.tickets + result.surcharges + result.cash_rounding
    assert result.surcharges == 583
    assert result.cash_rounding != 0
    assert result.shifts == result.z_reports + result.open_shifts
    assert result.open_shifts > 0
    assert result.z_reports > 0
    assert result.refunds == sum(each["amount"] for each in books.day.refunds.values())
    assert result.refunds == result.refunds_in_z + result.refunds_open
    assert result.refunds_open == books.day.refunds["whole"]["amount"]


# --- changed ------------------------------------------------------------------------------

CHANGED: list[tuple[str, Find, str, Any]] = [
    # what cannot be read at all
    ("readable", sale("plain"), "lines.0.slices", None),
    ("readable", sale("split"), "grand_total", "89500"),
    ("readable", payment("plain"), "amount", None),
    ("readable", refund("ticket"), "parts", 7),
    ("readable", movement(5_000), "type", "gift"),
    ("readable", closed(), "sales_by_method", None),
    ("readable", z("supplement"), "report.drawer", None),
    # sales: slices, lines and header
    *(
        ("sales", sale("split"), name, 1)
        for name in (
            *("subtotal", "discount_total", "tax_total", "surcharge_total", "cash_rounding"),
            *("grand_total", "lines.0.gross", "lines.0.line_discount", "lines.1.cart_discount"),
            *("lines.0.payable", "lines.1.vat", "lines.0.qty", "lines.1.slices.1.gross"),
            *("lines.1.slices.1.line_discount", "lines.0.slices.0.cart_discount"),
            *("lines.1.slices.0.payable", "lines.1.slices.0.vat", "surcharges.0.amount"),
        )
    ),
    ("sales", sale("partly"), "grand_total", 1),
    ("sales", sale("voided"), "tax_total", 1),
    ("sales", sale("late"), "subtotal", 1),
    # what belongs together
    ("belonging", sale("plain"), "shift_id", ANOTHER),
    ("belonging", sale("plain"), "device_id", ANOTHER),
    ("belonging", sale("split"), "business_date", "2020-01-01"),
    ("belonging", payment("split", 1), "shift_id", ANOTHER),
    ("belonging", payment("plain"), "business_date", "2020-01-01"),
    ("belonging", payment("plain"), "receipt_no", "03-S999999"),
    ("belonging", sale("plain"), "receipt_no", "03-S999999"),
    ("belonging", ticket("split", 2), "shift_id", ANOTHER),
    ("belonging", ticket("plain"), "device_id", ANOTHER),
    ("belonging", ticket("plain"), "valid_from", lambda old: old + timedelta(days=1)),
    # payments
    ("payments", payment("plain"), "amount", 1),
    ("payments", payment("split", 0), "amount", 1),
    ("payments", payment("split", 1), "amount", 1),
    ("payments", payment("split", 0), "surcharge", 1),
    ("payments", payment("late"), "amount", 1),
    ("payments", payment("by_qr"), "method", "cash"),
    ("change", payment("plain"), "tendered", 1),
    ("change", payment("split", 1), "tendered", 1),
    ("change", sale("plain"), "change", 1),
    ("change", sale("plain"), "amount_tendered", 1),
    # tickets
    *(("tickets", ticket("partly", 1), f"slice.{name}", 1) for name in ("gross", "payable", "vat")),
    *(
        ("tickets", ticket("split", 2), f"slice.{name}", 1)
        for name in ("gross", "line_discount", "cart_discount", "payable", "vat", "vat_rate")
    ),
    ("tickets", ticket("plain"), "unit", "0:7"),
    ("tickets", ticket("partly", 0), "unit", "0:1"),
    # voids
    ("voids", sale("voided"), "status", "completed"),
    ("voids", sale("plain"), "status", "voided"),
    ("voids", payment("voided"), "status", "taken"),
    ("voids", payment("plain"), "status", "voided"),
    ("voids", ticket("voided", 1), "status", "active"),
    ("voids", void(), "amount", 1),
    ("voids", void(), "shift_id", ANOTHER),
    ("orphans", void(), "receipt_no", "03-S999999"),
    # refunds
    *(
        ("refunds", refund("ticket"), name, 1)
        for name in ("amount", "parts.0.amount", "tickets.0.amount", "tickets.0.vat", "vat")
    ),
    ("refunds", refund("ticket"), "cash_rounding", 1),
    ("refunds", refund("amount"), "parts.0.method", "qr"),
    ("refunds", refund("amount"), "tickets.0.ticket_id", ANOTHER),
    *(
        ("refunds", sale("partly"), name, 1)
        for name in (
            *("refunded", "refunded_goods", "refunded_cash_goods", "refunded_cash"),
            *("refunded_surcharge", "refund_seq"),
        )
    ),
    ("refunds", sale("partly"), "status", "completed"),
    ("refunds", sale("partly"), "status", "refunded"),
    ("refunds", sale("plain"), "status", "partly_refunded"),
    ("refunds", ticket("partly", 0), "refunded", 1),
    ("refunds", ticket("plain"), "refunded", 1),
    ("refunds", payment("partly"), "refunded", 1),
    ("orphans", refund("whole"), "sale_receipt_no", "03-S999999"),
    # receipts
    ("receipts", row("S", 2), "op_id", ANOTHER),
    ("receipts", row("S", 3), "state", "abandoned"),
    ("receipts", row("R", 1), "device_id", ANOTHER),
    ("receipts", row_of("by_qr"), "op_id", ANOTHER),
    # shifts
    *(("shifts", closed(), name, 1) for name in NAMES if not name.endswith("_by_method")),
    *(("shifts", still_open(), name, 1) for name in ("sales_count", "cash_sales", "pay_outs")),
    ("shifts", closed(), "sales_by_method.cash", 1),
    ("shifts", closed(), "refunds_by_method.cash", 1),
    ("shifts", still_open(), "sales_by_method.qr", 1),
    ("shifts", movement(5_000), "amount", 1),
    ("shifts", movement(7_000), "amount", 1),
    ("shifts", movement(1_250), "amount", 1),
    # Z reports
    *(("z_reports", closed(), name, 1) for name in ("cash_open", "cash_expected", "z_no")),
    ("z_reports", closed(), "cash_counted", 1),
    ("z_reports", closed(), "counted", {"100": 2}),
    ("z_reports", closed(), "status", "open"),
    *(
        ("z_reports", z("close"), f"report.{name}", 1)
        for name in (
            *("sales.amount", "sales.count", "sales.by_method.cash", "refunds.amount"),
            *("voids.amount", "reprints", "tickets_issued", "discounts", "tax", "surcharges"),
            *("cash_rounding", "drawer.cash_sales", "drawer.drops", "drawer.cash_expected"),
            "drawer.cash_refunds",
        )
    ),
    ("z_reports", z("close"), "cash_expected", 1),
    ("z_reports", z("supplement"), "report.sales.amount", 1),
    ("z_reports", z("supplement"), "report.drawer.cash_sales", 1),
    ("z_reports", z("supplement"), "cash_expected", 1),
    ("z_reports", z("adjustment"), "report.sales.count", 1),
    ("z_reports", z("adjustment"), "cash_expected", 1),
    # the chain
    ("z_chain", z("close"), "report.hash", "0" * 64),
    ("z_chain", z("close"), "report.grand_sales", 1),
    ("z_chain", z("close"), "report.made_at", "2020-01-01T00:00:00.000Z"),
    ("z_chain", z("supplement"), "report.because", "nobody"),
    ("z_chain", z("supplement"), "report.prev_hash", "0" * 64),
    ("z_chain", z("supplement"), "z_no", 1),
    ("z_chain", z("adjustment"), "report.cash_counted", 1),
    ("z_chain", z("adjustment"), "chain_seq", 1),
    *(
        ("z_chain", head(), name, 1)
        for name in ("chain_seq", "z_no", "grand_sales", "grand_refunds")
    ),
    ("z_chain", head(), "last_hash", "0" * 64),
]


def _label(value: Any) -> str | None:
    if callable(value) and hasattr(value, "__qualname__"):
        cells = [str(cell.cell_contents) for cell in value.__closure__ or ()]
        return "-".join([value.__qualname__.partition(".")[0], *cells])
    return value if isinstance(value, str) and len(value) < 24 else None


@pytest.mark.parametrize(("check", "find", "path", "value"), CHANGED, ids=_label)
async def test_R49_one_changed_value_names_its_document_first(
    books: Books, check: str, find: Find, path: str, value: Any
) -> None:
    with changed(books, find, path, value) as document:
        found = await first(books)
    assert (found.check, *named(found)) == (check, *document), found


# --- deleted ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "find",
    [
        *(sale(name) for name in ("plain", "split", "voided", "partly", "late", "by_qr")),
        *(refund(name) for name in ("ticket", "amount", "whole")),
        void(),
        reprint(),
        movement(20_000),
        closed(),
        still_open(),
        z("close"),
        z("adjustment"),
    ],
    ids=_label,
)
async def test_R49_what_an_operation_made_is_named_by_its_id_when_it_has_gone(
    books: Books, find: Find
) -> None:
    with deleted(books, find) as document:
        found = await first(books)
    assert (found.check, *named(found), found.found) == ("operations", *document, "nothing")


@pytest.mark.parametrize(
    "find", [row("S", 1), row("S", 4), row("R", 2), row("Z", 1), row_of("two_ways")], ids=_label
)
async def test_R29_a_number_without_its_row_is_named(books: Books, find: Find) -> None:
    with deleted(books, find) as document:
        found = await first(books)
    assert (found.check, *named(found), found.found) == ("receipts", *document, "nothing")


async def test_R29_a_gap_below_the_days_numbers_is_found_however_old_it_is(books: Books) -> None:
    """As many numbers as a till gives out in two years."""
    rows = books.db.receipt_ledger
    original = row("S", 5)(books.db, books.day)
    prefix, high = original["_id"].removesuffix("000005"), 3_000
    others = [
        {**original, "_id": f"{prefix}{n:06d}", "receipt_no": f"{books.day.code}-S{n:06d}",
         "state": "abandoned"}
        for n in range(6, high) if n != 1_234
    ]  # fmt: skip
    rows.insert_many(others)
    sold, number = books.day.sale_id("late"), f"{books.day.code}-S{high:06d}"
    books.db.sales.update_one({"_id": sold}, {"$set": {"receipt_no": number}})
    books.db.payments.update_one({"sale_id": sold}, {"$set": {"receipt_no": number}})
    rows.insert_one({**original, "_id": f"{prefix}{high:06d}", "receipt_no": number})
    try:
        found = await first(books)
    finally:
        rows.delete_many({"_id": {"$gt": original["_id"], "$lte": f"{prefix}{high:06d}"}})
        books.db.sales.update_one({"_id": sold}, {"$set": {"receipt_no": original["receipt_no"]}})
        books.db.payments.update_one(
            {"sale_id": sold}, {"$set": {"receipt_no": original["receipt_no"]}}
        )
    assert (found.check, *named(found)) == ("receipts", "receipt_ledger", f"{prefix}001234")


@pytest.mark.parametrize(
    ("find", "name", "check"),
    [
        (payment("plain"), "plain", "payments"),
        (payment("split", 0), "split", "payments"),
        (payment("split", 1), "split", "payments"),
        (ticket("plain"), "plain", "tickets"),
        (ticket("split", 0), "split", "tickets"),
        (ticket("split", 5), "split", "tickets"),
        (ticket("voided", 1), "voided", "tickets"),
    ],
    ids=_label,
)
async def test_R49_a_payment_or_ticket_that_has_gone_is_told_at_its_sale(
    books: Books, find: Find, name: str, check: str
) -> None:
    with deleted(books, find):
        found = await first(books)
    assert (found.check, *named(found)) == (check, "sales", books.day.sale_id(name)), found


async def test_R49_where_nothing_tells_two_payments_apart_their_sale_is_named(
    books: Books,
) -> None:
    with changed(books, payment("two_ways", 1), "amount", 1):
        found = await first(books)
    assert (found.check, *named(found)) == ("payments", "sales", books.day.sale_id("two_ways"))
    assert found.why.startswith("The 2 payments of sale")


async def test_R28_a_late_sale_whose_supplement_has_gone_is_named(books: Books) -> None:
    with deleted(books, z("supplement")):
        found = await first(books)
    assert (found.check, *named(found)) == ("z_reports", "sales", books.day.sale_id("late"))
    assert "supplement" in found.why


async def test_R28_a_chain_that_was_cut_off_at_its_end_is_told(books: Books) -> None:
    with deleted(books, z("adjustment")) as document:
        result = await books.reconcile()
    assert [each.check for each in result.breaks] == ["operations", "z_chain"]
    assert named(result.breaks[0]) == document
    assert result.breaks[1].why == "The last 1 Z reports of this device are missing."


async def test_R49_a_document_without_one_of_its_fields_is_named(books: Books) -> None:
    for find, name in ((sale("plain"), "tax_total"), (ticket("plain"), "slice")):
        collection, original = books.db[collection_of(find)], find(books.db, books.day)
        collection.update_one({"_id": original["_id"]}, {"$unset": {name: ""}})
        found = await first(books)
        collection.replace_one({"_id": original["_id"]}, original)
        assert (found.check, *named(found)) == ("readable", collection.name, original["_id"])
        assert name in found.why


# --- added --------------------------------------------------------------------------------


async def test_R49_a_payment_too_many_is_named(books: Books) -> None:
    with added(books, payment("plain"), amount=0, position=0) as document:
        found = await first(books)
    assert (found.check, *named(found)) == ("payments", *document)


async def test_R49_a_ticket_too_many_is_named(books: Books) -> None:
    codes = {"short_code": "00000000", "token_hash": "copied", "ticket_id": new_ulid()}
    with added(books, ticket("split", 3), **codes) as document:
        found = await first(books)
    assert (found.check, *named(found)) == ("tickets", *document)
    with added(books, ticket("plain"), **codes, position=1) as document:
        found = await first(books)
    assert (found.check, *named(found)) == ("tickets", *document)


async def test_R49_tickets_and_payments_without_a_sale_are_named(books: Books) -> None:
    codes = {"short_code": "00000000", "token_hash": "minted", "ticket_id": new_ulid()}
    with added(books, ticket("plain"), **codes, sale_id=new_ulid()) as document:
        found = await first(books)
    assert (found.check, *named(found)) == ("orphans", *document)
    with added(books, payment("plain"), sale_id=new_ulid()) as document:
        found = await first(books)
    assert (found.check, *named(found)) == ("orphans", *document)


async def test_R49_a_refund_too_many_is_named(books: Books) -> None:
    with added(books, refund("ticket")) as document:
        found = await first(books)
    assert (found.check, *named(found)) == ("refunds", *document)


async def test_R29_a_number_that_nobody_took_is_named(books: Books) -> None:
    original = row("S", 5)(books.db, books.day)
    prefix = original["_id"].removesuffix("000005")
    number = f"{books.day.code}-S000006"
    books.db.sales.update_one({"_id": books.day.sale_id("late")}, {"$set": {"receipt_no": number}})
    books.db.payments.update_one(
        {"sale_id": books.day.sale_id("late")}, {"$set": {"receipt_no": number}}
    )
    books.db.receipt_ledger.insert_one({**original, "_id": f"{prefix}000006", "receipt_no": number})
    stranger = {"$set": {"op_id": new_ulid()}}
    books.db.receipt_ledger.update_one({"_id": original["_id"]}, stranger)
    try:
        found = await first(books)
    finally:
        books.db.receipt_ledger.delete_one({"_id": f"{prefix}000006"})
        books.db.receipt_ledger.replace_one({"_id": original["_id"]}, original)
        back = {"$set": {"receipt_no": original["receipt_no"]}}
        books.db.sales.update_one({"_id": books.day.sale_id("late")}, back)
        books.db.payments.update_one({"sale_id": books.day.sale_id("late")}, back)
    assert (found.check, *named(found)) == ("receipts", "receipt_ledger", original["_id"])
    assert "No operation took" in found.why


# --- cunning ------------------------------------------------------------------------------


async def test_R28_an_edited_z_report_with_a_fresh_hash_is_named(books: Books) -> None:
    original = z("close")(books.db, books.day)
    report = {**original["report"], "sales": {**original["report"]["sales"], "amount": 1}}
    report["hash"] = report_hash(report)
    with changed(books, z("close"), "report", report) as document:
        result = await books.reconcile()
    assert (result.breaks[0].check, *named(result.breaks[0])) == ("z_reports", *document)
    assert "z_chain" in {each.check for each in result.breaks}


async def test_R49_a_sale_that_was_made_to_agree_with_itself_is_named_by_its_others(
    books: Books,
) -> None:
    """Header, line and slice of one sale are a satang more: payments and tickets disagree."""
    original = sale("plain")(books.db, books.day)
    more = {"gross", "payable", "subtotal", "grand_total"}

    def raised(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: v + 1 if k in more else raised(v) for k, v in value.items()}
        return [raised(each) for each in value] if isinstance(value, list) else value

    books.db.sales.replace_one({"_id": original["_id"]}, raised(original))
    try:
        found = await first(books)
    finally:
        books.db.sales.replace_one({"_id": original["_id"]}, original)
    assert (found.check, *named(found)) == ("payments", "sales", original["_id"])


async def test_R49_a_break_tells_how_many_more_there_are(books: Books) -> None:
    with (
        changed(books, sale("plain"), "tax_total", 1),
        changed(books, sale("partly"), "tax_total", 1),
    ):
        result = await books.reconcile()
    (found,) = [each for each in result.breaks if each.check == "sales"]
    assert (found.others, found.document_id) == (1, books.day.sale_id("plain"))


async def test_R49_everything_was_put_back(books: Books) -> None:
    assert (await books.reconcile()).breaks == []
