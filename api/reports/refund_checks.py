"""What was given back of a sale against its refunds, its tickets and its payments (R31). Pure."""

from collections import Counter
from collections.abc import Iterator

from api.reports.findings import NOTHING, PAYMENTS, REFUNDS, SALES, TICKETS, baht, broken
from api.reports.repository import Row
from api.reports.sale_checks import SaleBooks
from playpark.contracts.reports import BookCheck, Discrepancy
from playpark.contracts.sales import SaleStatus

REFUND_FIELDS = (
    *("sale_id", "op_id", "device_id", "shift_id", "sale_receipt_no", "receipt_no", "amount"),
    *("business_date", "method", "parts", "tickets", "surcharge", "cash_rounding", "vat"),
    *("cash_goods", "flags"),
)
CHECK = BookCheck.REFUNDS


def refunds(books: SaleBooks) -> Iterator[Discrepancy]:
    """Each refund by itself, then their sums on the sale, its tickets and its payments."""
    for refund in books.refunds:
        if found := by_itself(refund, books.sale):
            yield found
            return
    given = [refund for refund in books.refunds if _booked(refund)]
    yield from _sums(books, given)


def by_itself(refund: Row, sale: Row) -> Discrepancy | None:
    """Whether a refund adds up: its tickets, surcharge and rounding are what its tenders paid."""
    number, row_id = refund["receipt_no"], refund["_id"]
    goods = sum(part["amount"] for part in refund["tickets"])
    whole = goods + refund["surcharge"] + refund["cash_rounding"]
    if refund["amount"] != whole:
        why = f"The tickets, surcharge and rounding of refund {number} come to {baht(whole)}."
        return broken(CHECK, REFUNDS, row_id, whole, refund["amount"], why)
    paid = sum(part["amount"] for part in refund["parts"])
    if refund["amount"] != paid:
        why = f"The tenders of refund {number} paid {baht(paid)} out."
        return broken(CHECK, REFUNDS, row_id, refund["amount"], paid, why)
    methods = [part["method"] for part in refund["parts"]]
    method = "split" if len(methods) > 1 else methods[0] if methods else refund["method"]
    if refund["method"] != method:
        why = f"Refund {number} was paid out by {method}, not by {refund['method']}."
        return broken(CHECK, REFUNDS, row_id, method, refund["method"], why)
    vat = sum(part["vat"] for part in refund["tickets"])
    vat += sum(each["vat"] for each in sale["surcharges"]) if refund["surcharge"] else 0
    if refund["vat"] != vat:
        why = f"The VAT of what refund {number} gives back is {baht(vat)}."
        return broken(CHECK, REFUNDS, row_id, vat, refund["vat"], why)
    return None


def _sums(books: SaleBooks, given: list[Row]) -> Iterator[Discrepancy]:
    sale = books.sale
    number, by_ticket = sale["receipt_no"], _by_ticket(given)
    yielded = _odd_refund(books, given, by_ticket)
    if yielded is not None:
        yield yielded
        return
    for name, expected in _on_sale(given).items():
        if sale[name] != expected:
            why = f"{name} of sale {number}: its {len(given)} refunds say {expected}."
            yield broken(CHECK, SALES, sale["_id"], expected, sale[name], why)
            return
    for row in books.tickets:
        expected = by_ticket[row["ticket_id"]]
        if row["refunded"] != expected:
            why = f"The refunds of sale {number} gave back {baht(expected)} of this ticket."
            yield broken(CHECK, TICKETS, row["_id"], expected, row["refunded"], why)
            return
        if row["refunded"] > row["slice"]["payable"]:
            why = f"More of this ticket of sale {number} was given back than was paid for it."
            limit = row["slice"]["payable"]
            yield broken(CHECK, TICKETS, row["_id"], f"at most {limit}", row["refunded"], why)
            return
    yield from _of_payments(books, given)
    if sale["refunded"] > sale["grand_total"]:
        why = f"More was given back of sale {number} than was paid for it."
        limit = f"at most {sale['grand_total']}"
        yield broken(CHECK, SALES, sale["_id"], limit, sale["refunded"], why)
        return
    expected_status = _status(books, given)
    if not books.voided and sale["status"] != expected_status:
        why = f"Sale {number} has {len(given)} refunds of {baht(sale['refunded'])} together."
        yield broken(CHECK, SALES, sale["_id"], expected_status, sale["status"], why)


def _booked(refund: Row) -> bool:
    """Not the record of money that was handed out though nothing was left of the sale (R17)."""
    return bool(refund["tickets"] or refund["amount"] or "over_refunded" not in refund["flags"])


def _by_ticket(given: list[Row]) -> Counter[str]:
    found: Counter[str] = Counter()
    for refund in given:
        for part in refund["tickets"]:
            found[part["ticket_id"]] += part["amount"]
    return found


def _on_sale(given: list[Row]) -> dict[str, int]:
    """The sums that a sale keeps of its refunds."""
    return {
        "refund_seq": len(given),
        "refunded": sum(refund["amount"] for refund in given),
        "refunded_goods": sum(_by_ticket(given).values()),
        "refunded_cash_goods": sum(refund["cash_goods"] for refund in given),
        "refunded_cash": sum(
            part["amount"]
            for refund in given
            for part in refund["parts"]
            if part["method"] == "cash"
        ),
        "refunded_surcharge": sum(refund["surcharge"] for refund in given),
    }


def _odd_refund(books: SaleBooks, given: list[Row], by_ticket: Counter[str]) -> Discrepancy | None:
    """Sale and tickets agree against the refunds: the refund that is too many, wrong, or gone."""
    sale, own = books.sale, {row["ticket_id"]: row["refunded"] for row in books.tickets}
    number, kept = sale["receipt_no"], sum(own.values())
    for refund in given:
        if stray := [
            part["ticket_id"] for part in refund["tickets"] if part["ticket_id"] not in own
        ]:
            why = f"This refund gives back a ticket that is not of sale {number}."
            return broken(CHECK, REFUNDS, refund["_id"], NOTHING, stray[0], why)
    if sale["refunded_goods"] != kept or kept == sum(by_ticket.values()):
        return None
    if sale["refund_seq"] > len(given):
        why = f"A refund of sale {number} is not there any more."
        seq = sale["refund_seq"]
        return broken(CHECK, SALES, sale["_id"], f"{seq} refunds", len(given), why)
    for refund in reversed(given):
        if any(
            by_ticket[part["ticket_id"]] != own[part["ticket_id"]] for part in refund["tickets"]
        ):
            why = f"Sale {number} and its tickets have {baht(kept)} given back in all."
            found = sum(by_ticket.values())
            return broken(CHECK, REFUNDS, refund["_id"], kept, found, why)
    return None


def _of_payments(books: SaleBooks, given: list[Row]) -> Iterator[Discrepancy]:
    rows, expected = books.payments, sum(refund["amount"] for refund in given)
    found = sum(row["refunded"] for row in rows)
    if found == expected or "needs_review" in books.sale["flags"]:
        return
    number = books.sale["receipt_no"]
    by_method: Counter[str] = Counter()
    for refund in given:
        for part in refund["parts"]:
            by_method[part["method"]] += part["amount"]
    for row in rows:
        by_method[row["method"]] -= row["refunded"]
    odd = [row for row in rows if row["refunded"] > row["amount"] or by_method[row["method"]]]
    if not odd:
        return
    row = odd[0]
    why = f"The refunds of sale {number} come to {baht(expected)}, its payments to {baht(found)}."
    right = row["refunded"] + expected - found
    yield broken(CHECK, PAYMENTS, row["_id"], right, row["refunded"], why)


def _status(books: SaleBooks, given: list[Row]) -> str:
    if not given:
        return SaleStatus.COMPLETED.value
    left = sum(row["slice"]["payable"] - row["refunded"] for row in books.tickets)
    return (SaleStatus.PARTLY_REFUNDED if left else SaleStatus.REFUNDED).value
