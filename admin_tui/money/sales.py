"""Sales: what was sold, how it was paid, which tickets came out."""

from admin_tui.listing import Column, Detail, ListPage, Section
from admin_tui.office import Office
from admin_tui.park import Park
from playpark.contracts.sales import PaymentView, SaleAnswer, SaleSummary, SaleView
from playpark.contracts.tickets import TicketView
from playpark.money import format_satang
from playpark.tui.theme import GOOD, WARN


async def _detail(office: Office, row: SaleSummary) -> Detail:
    answer = await office.sale(row.sale_id)
    return sale_detail(answer, office.park)


def sale_detail(answer: SaleAnswer, park: Park) -> Detail:
    """Everything about a sale that a supervisor asks for."""
    sale = answer.sale
    return Detail(
        f"Sale {sale.receipt_no}",
        (
            Section("", _head(sale, park)),
            Section("Lines", tuple(_line(sale))),
            Section("Total", _totals(sale)),
            Section("Payments", tuple(row for paid in sale.payments for row in _payment(paid))),
            Section(
                f"Tickets ({len(answer.tickets)}), valid until",
                tuple(_ticket(ticket, park) for ticket in answer.tickets),
            ),
        ),
    )


def _head(sale: SaleView, park: Park) -> tuple[tuple[str, str], ...]:
    rows = [
        ("Sold", park.time(sale.occurred_at)),
        ("Business date", sale.business_date.isoformat()),
        ("Sold on", park.device(sale.device_id)),
        ("Cashier", sale.cashier_name or "nobody: a kiosk"),
    ]
    if sale.flags:
        rows.append(("Marked", _flags(sale.flags)))
    return tuple(rows)


def _line(sale: SaleView) -> list[tuple[str, str]]:
    rows = []
    for line in sale.lines:
        each = f"at {format_satang(line.unit_price)}" if line.qty > 1 else ""
        rows.append((f"{line.qty} × {line.name}", format_satang(line.gross)))
        if line.name_th or each:
            rows.append((f"    {line.name_th}", each))
        if off := line.line_discount + line.cart_discount:
            rows.append(("    discounts", format_satang(-off)))
    return rows


def _totals(sale: SaleView) -> tuple[tuple[str, str], ...]:
    amounts = (
        ("Subtotal", sale.subtotal),
        ("Discounts", -sale.discount_total),
        ("Surcharge", sale.surcharge_total),
        ("Cash rounding", sale.cash_rounding),
    )
    rows = [(label, format_satang(amount)) for label, amount in amounts if amount]
    rows += [("TOTAL", format_satang(sale.grand_total)), ("VAT", format_satang(sale.tax_total))]
    return tuple(rows)


def _payment(paid: PaymentView) -> list[tuple[str, str]]:
    reference = f" · {paid.reference}" if paid.reference else ""
    rows = [(f"{paid.method.capitalize()}{reference}", format_satang(paid.amount))]
    if paid.tendered is not None:
        rows.append(("    tendered", format_satang(paid.tendered)))
        rows.append(("    change", format_satang(paid.tendered - paid.amount)))
    return rows


def _ticket(ticket: TicketView, park: Park) -> tuple[str, str]:
    code = f"{ticket.short_code[:4]}-{ticket.short_code[4:]}"
    return (f"{code}  {ticket.package_name}", park.time(ticket.valid_to))


def _flags(flags: list[str]) -> str:
    return ", ".join(flag.replace("_", " ") for flag in flags)


SALES = ListPage(
    name="sales",
    title="Sales",
    group="Money",
    path="/sales",
    model=SaleSummary,
    columns=(
        Column("Sold", 12, lambda sale, park: park.time(sale.occurred_at)),
        Column("Receipt", 13, lambda sale, _: sale.receipt_no),
        Column("Cashier", 8, lambda sale, _: sale.cashier_name or "kiosk", grows=True),
        Column("Till", 16, lambda sale, park: park.device(sale.device_id), wide=True),
        Column("Paid by", 7, lambda sale, _: sale.payment_method),
        Column(
            "Amount",
            11,
            lambda sale, _: format_satang(sale.grand_total),
            lambda _: GOOD,
            right=True,
        ),
        Column("Marked", 16, lambda sale, _: _flags(sale.flags), lambda _: WARN, wide=True),
    ),
    detail=_detail,
    empty="No sales yet. Open a shift on a till (playpark pos) and sell something there.",
    readers="people who may view reports",
    device_of=lambda sale: sale.device_id,
)
