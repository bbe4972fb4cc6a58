"""One sale against itself, its payments and its tickets (R6, R7, R12, R32). Pure.

Where two sides do not agree, a third witness says which of them is wrong: what most documents say
is taken for true, and the odd one is named.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from api.reports import ticket_checks
from api.reports.findings import NOTHING, PAYMENTS, SALES, TICKETS, VOIDS, baht, broken
from api.reports.repository import Row
from api.reports.rows import MONEY, net, nonsense, out_of_turn, skipped
from playpark.clock import business_date
from playpark.contracts.reports import BookCheck, Discrepancy
from playpark.contracts.sales import SaleStatus

SALE_FIELDS = (
    *("op_id", "device_id", "shift_id", "receipt_no", "business_date", "status", "flags"),
    *("subtotal", "discount_total", "tax_total", "surcharge_total", "cash_rounding"),
    *("grand_total", "amount_tendered", "change", "surcharges", "payment_method"),
    *("lines.qty", "lines.gross", "lines.line_discount", "lines.cart_discount", "lines.payable"),
    *("lines.vat", "lines.slices"),
    *("refund_seq", "refunded", "refunded_goods", "refunded_cash_goods", "refunded_cash"),
    "refunded_surcharge",
)
PAYMENT_FIELDS = (
    *("sale_id", "position", "method", "amount", "tendered", "surcharge", "status", "refunded"),
    *("device_id", "shift_id", "receipt_no", "business_date"),
)
TICKET_FIELDS = (
    *("ticket_id", "sale_id", "position", "unit", "slice", "status", "refunded"),
    *("device_id", "shift_id", "valid_from"),
)
VOID_FIELDS = ("sale_id", "op_id", "receipt_no", "amount", "shift_id", "business_date", "flags")
HEADER = ("subtotal", "discount_total", "tax_total", "surcharge_total", "grand_total")


@dataclass(frozen=True, slots=True)
class SaleBooks:
    """A sale and all that hangs on it, rows of the fields above. Payments and tickets come in
    their positions; `ledger` has the rows of the numbers that any of them names."""

    sale: Row
    payments: list[Row]
    tickets: list[Row]
    refunds: list[Row] = field(default_factory=list)
    void: Row | None = None
    ledger: dict[str, Row] = field(default_factory=dict)

    @property
    def voided(self) -> bool:
        return bool(self.sale["status"] == SaleStatus.VOIDED)

    @property
    def goods(self) -> int:
        """What the sale's slices are worth, satang."""
        return sum(part["payable"] for line in self.sale["lines"] for part in line["slices"])


def check_sale(books: SaleBooks, zone: ZoneInfo) -> Iterator[Discrepancy]:
    """All checks of one sale but its refunds and its receipt number."""
    yield from sums(books)
    yield from belonging(books, zone)
    unpaid = list(payments(books))
    yield from unpaid or change(books)
    yield from ticket_checks.tickets(books.sale, books.tickets)
    yield from void(books)


# --- the sale itself ----------------------------------------------------------------------


def sums(books: SaleBooks) -> Iterator[Discrepancy]:
    """Slices = lines = header, and no slice that makes no sense by itself."""
    sale = books.sale

    def wrong(what: str, expected: int, found: int) -> Discrepancy:
        why = f"{what} of sale {sale['receipt_no']}: its slices say {expected}, it says {found}"
        return broken(BookCheck.SALES, SALES, sale["_id"], expected, found, f"{why}.{_note(sale)}")

    for number, line in enumerate(sale["lines"], start=1):
        if len(line["slices"]) != line["qty"]:
            yield wrong(f"The quantity on line {number}", len(line["slices"]), line["qty"])
            return
        for name in MONEY:
            expected = sum(part[name] for part in line["slices"])
            if line[name] != expected:
                yield wrong(f"{name} on line {number}", expected, line[name])
                return
        for part in line["slices"]:
            if problem := nonsense(part):
                yield wrong(f"A unit on line {number}: {problem}", net(part), part["payable"])
                return
    expected = _header(books)
    for name in HEADER:
        if sale[name] != expected[name]:
            yield wrong(name, expected[name], sale[name])
            return


def _header(books: SaleBooks) -> dict[str, int]:
    sale, lines = books.sale, books.sale["lines"]
    on_top = sale["surcharge_total"]
    if sale["surcharges"] or not _note(sale):
        on_top = sum(each["amount"] for each in sale["surcharges"])
    return {
        "subtotal": sum(line["gross"] for line in lines),
        "discount_total": sum(line["line_discount"] + line["cart_discount"] for line in lines),
        "tax_total": sum(line["vat"] for line in lines),
        "surcharge_total": on_top,
        "grand_total": books.goods + on_top + sale["cash_rounding"],
    }


def _note(sale: Row) -> str:
    """Rung sums that were wrong when they came are booked and flagged (R12, R17)."""
    told = [flag for flag in ("needs_review", "price_variance") if flag in sale["flags"]]
    return f" It was booked as it was rung and flagged {told[0]}." if told else ""


# --- what belongs together ----------------------------------------------------------------


def belonging(books: SaleBooks, zone: ZoneInfo) -> Iterator[Discrepancy]:
    """Payments and tickets name the shift, device, day and number of their sale."""
    sale = books.sale
    for name in ("shift_id", "device_id", "business_date"):
        told = [(PAYMENTS, row, row[name]) for row in books.payments]
        if name == "business_date":
            told += [
                (TICKETS, row, business_date(row["valid_from"], zone).isoformat())
                for row in books.tickets
            ]
        else:
            told += [(TICKETS, row, row[name]) for row in books.tickets]
        if found := _odd_one(sale, name, told):
            yield found
            return
    own = books.ledger.get(sale["receipt_no"])
    for row in books.payments:
        if row["receipt_no"] == sale["receipt_no"]:
            continue
        theirs = books.ledger.get(row["receipt_no"])
        if (not own or own["op_id"] != sale["op_id"]) and theirs:
            yield _differs(sale, "receipt_no", SALES, sale, row["receipt_no"], sale["receipt_no"])
        else:
            yield _differs(sale, "receipt_no", PAYMENTS, row, sale["receipt_no"], row["receipt_no"])
        return


def _odd_one(sale: Row, name: str, told: list[tuple[str, Row, Any]]) -> Discrepancy | None:
    """Who says something else: the sale, if all others agree against it."""
    wrong = [each for each in told if each[2] != sale[name]]
    if not wrong:
        return None
    collection, row, value = wrong[0]
    if len(wrong) == len(told) > 1 and len({each[2] for each in wrong}) == 1:
        return _differs(sale, name, SALES, sale, value, sale[name])
    return _differs(sale, name, collection, row, sale[name], value)


def _differs(
    sale: Row, name: str, collection: str, row: Row, expected: Any, found: Any
) -> Discrepancy:
    why = (
        f"All other documents of sale {sale['receipt_no']} have {name} {expected}, "
        f"this one in {collection} has {found}."
    )
    return broken(BookCheck.BELONGING, collection, row["_id"], expected, found, why)


# --- money ---------------------------------------------------------------------------------


def payments(books: SaleBooks) -> Iterator[Discrepancy]:
    """The payments are as many as they were, and together the sale's total."""
    sale, rows, check = books.sale, books.payments, BookCheck.PAYMENTS
    number = sale["receipt_no"]
    if extra := out_of_turn(rows):
        why = f"Sale {number} has another payment in this place already: it has one too many."
        yield broken(check, PAYMENTS, extra["_id"], NOTHING, extra["amount"], why)
        return
    missing = skipped(rows)
    methods = {row["method"] for row in rows}
    if sale["payment_method"] == "split" and len(methods) < 2:
        missing = len(rows) if missing is None else missing
    paid = sum(row["amount"] for row in rows)
    if missing is not None or (not rows and sale["grand_total"]):
        why = f"Payment {(missing or 0) + 1} of sale {number} is not there any more."
        yield broken(check, SALES, sale["_id"], sale["grand_total"], paid, why)
        return
    if rows and sale["payment_method"] not in {"split", *methods}:
        why = f"Sale {number} was paid by {sale['payment_method']}."
        right, found = sale["payment_method"], rows[0]["method"]
        yield broken(check, PAYMENTS, rows[0]["_id"], right, found, why)
        return
    on_top = {each["payment"]: each["amount"] for each in sale["surcharges"]}
    for row in rows:
        expected = on_top.get(row["position"], 0)
        if row["surcharge"] != expected:
            why = f"Sale {number} has a surcharge of {baht(expected)} for this payment."
            yield broken(check, PAYMENTS, row["_id"], expected, row["surcharge"], why)
            return
    if paid != sale["grand_total"]:
        yield _unpaid(books, paid)


def _unpaid(books: SaleBooks, paid: int) -> Discrepancy:
    """Which document makes the payments another sum than the total."""
    sale, check = books.sale, BookCheck.PAYMENTS
    number, total = sale["receipt_no"], sale["grand_total"]
    tickets = sum(row["slice"]["payable"] for row in books.tickets)
    if tickets != books.goods and paid == tickets + sale["surcharge_total"] + sale["cash_rounding"]:
        why = (
            f"Payments and tickets of sale {number} come to {baht(paid)}, the sale itself does not."
        )
        return broken(check, SALES, sale["_id"], paid, total, why)
    suspects = books.payments
    if len(suspects) > 1:
        # Cash that was handed over is kept twice: what is still right there is not the fault.
        as_told = sum(_given(row) for row in suspects) == sale["amount_tendered"]
        suspects = [row for row in suspects if (row["tendered"] is not None) == as_told]
    if len(suspects) == 1:
        row = suspects[0]
        expected = row["amount"] + total - paid
        why = f"The payments of sale {number} have to be {baht(total)} and come to {baht(paid)}."
        return broken(check, PAYMENTS, row["_id"], expected, row["amount"], f"{why}{_note(sale)}")
    why = f"The {len(books.payments)} payments of sale {number} come to {baht(paid)}."
    return broken(check, SALES, sale["_id"], total, paid, f"{why}{_note(sale)}")


def change(books: SaleBooks) -> Iterator[Discrepancy]:
    """What was handed over less what was due is what was given back."""
    sale = books.sale
    handed = sum(_given(row) for row in books.payments)
    back = sum(
        row["tendered"] - row["amount"]
        for row in books.payments
        if row["tendered"] is not None and row["method"] == "cash"
    )
    if (handed, back) == (sale["amount_tendered"], sale["change"]):
        return
    cash = [row for row in books.payments if row["tendered"] is not None]
    number, check = sale["receipt_no"], BookCheck.CHANGE
    both = handed != sale["amount_tendered"] and back != sale["change"]
    if both and len(cash) == 1:
        expected = cash[0]["tendered"] + sale["amount_tendered"] - handed
        why = (
            f"Sale {number} has {baht(sale['change'])} of change, which does not fit this payment."
        )
        yield broken(check, PAYMENTS, cash[0]["_id"], expected, cash[0]["tendered"], why)
        return
    why = f"{baht(handed)} were handed over for sale {number} and {baht(back)} given back."
    found = f"{sale['amount_tendered']} − {sale['change']}"
    yield broken(check, SALES, sale["_id"], f"{handed} − {back}", found, why)


def _given(row: Row) -> int:
    return int(row["amount"] if row["tendered"] is None else row["tendered"])


# --- voids ---------------------------------------------------------------------------------


def void(books: SaleBooks) -> Iterator[Discrepancy]:
    """A voided sale is voided in all its parts, and no other is in any."""
    sale, check = books.sale, BookCheck.VOIDS
    number = sale["receipt_no"]
    if books.void is not None and books.void["receipt_no"] != number:
        why = f"This void is of sale {number} by its sale_id, and of another by its number."
        yield broken(check, VOIDS, books.void["_id"], number, books.void["receipt_no"], why)
        return
    if books.voided != (books.void is not None):
        expected = "voided" if books.void else "not voided"
        why = (
            f"Sale {number} was voided, but its status is {sale['status']}."
            if books.void
            else f"The status of sale {number} is voided, but nobody voided it."
        )
        yield broken(check, SALES, sale["_id"], expected, sale["status"], why)
        return
    if books.void is not None:
        for name, expected in (
            ("amount", sale["grand_total"]),
            ("shift_id", sale["shift_id"]),
        ):
            if books.void[name] != expected:
                why = f"{name} of this void is not that of sale {number}."
                yield broken(check, VOIDS, books.void["_id"], expected, books.void[name], why)
                return
    expected = "voided" if books.voided else "taken"
    for row in books.payments:
        if row["status"] != expected:
            why = f"Sale {number} is {sale['status']}: its payments have to be {expected}."
            yield broken(check, PAYMENTS, row["_id"], expected, row["status"], why)
            return
    for row in books.tickets if books.voided else ():
        if row["status"] != "cancelled":
            why = f"Sale {number} was voided: none of its tickets may admit anybody."
            yield broken(check, TICKETS, row["_id"], "cancelled", row["status"], why)
            return
