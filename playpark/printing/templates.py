"""What stands on the papers of a guest: receipt and ticket (R21, R29, R30, R32).

Thai and English side by side, money with two decimals, times in park time. The builders take
values and return documents; they know no printer.
"""

from collections.abc import Iterable, Iterator

from playpark.contracts.catalog import PackageKind
from playpark.contracts.pricing import PricedLine
from playpark.contracts.sales import PaymentView, SaleView
from playpark.contracts.tickets import TicketView
from playpark.money import format_satang
from playpark.printing.document import (
    Align,
    Block,
    Columns,
    Cut,
    Document,
    DocumentError,
    Feed,
    KickDrawer,
    Paper,
    Qr,
    Rule,
    Text,
)
from playpark.printing.layout import fitting_modules, fitting_size
from playpark.printing.letterhead import (
    Letterhead,
    format_day,
    format_moment,
    format_percent,
    format_signed,
    letterhead,
    marks,
)
from playpark.printing.methods import METHODS
from playpark.printing.receipt_notes import OtherPrice, ReceiptNotes, Reduction

_QTY_COLUMNS = 4

# --- receipt ----------------------------------------------------------------------------


def receipt_document(
    head: Letterhead,
    sale: SaleView,
    *,
    till: str,
    notes: ReceiptNotes | None = None,
    copy: bool = False,
    training: bool = False,
    kick_drawer: bool = False,
) -> Document:
    """The receipt of a sale, ending in a cut.

    `notes` name the discounts; without them the sums stand alone. `copy` marks a reprint.
    `training` (or a training sale) puts the banner of R32 and never opens the drawer.
    """
    training = training or sale.training
    notes = notes or ReceiptNotes()
    if not _tells_all(notes, sale):
        notes = notes.model_copy(update={"reductions": (), "prices": ()})
    blocks: list[Block] = [KickDrawer()] if kick_drawer and not training else []
    blocks += marks(copy=copy, training=training)
    blocks += letterhead(head)
    blocks += [
        Rule(),
        Text("ใบเสร็จรับเงิน / ใบกำกับภาษีอย่างย่อ", Align.CENTER, bold=True),
        Text("RECEIPT / TAX INVOICE (ABB)", Align.CENTER, bold=True, drawn=True),
        Rule(),
        Columns("เลขที่ No.", sale.receipt_no),
        Columns("วันที่ Date", format_moment(sale.occurred_at, head.zone)),
    ]
    if sale.business_date != sale.occurred_at.astimezone(head.zone).date():
        # After midnight the sale still belongs to the trading day before.
        blocks.append(Columns("วันทำการ Business day", format_day(sale.business_date)))
    if sale.cashier_name:
        blocks.append(Columns("พนักงาน Cashier", sale.cashier_name))
    blocks += [Columns("เครื่อง Till", till), Rule()]
    for index, line in enumerate(sale.lines):
        blocks += _sold(line, index, notes)
    blocks += [Rule(), *_sums(sale, notes), Rule(heavy=True)]
    blocks += [*_total(sale.grand_total, head.paper), Rule(heavy=True)]
    for payment in sale.payments:
        blocks += _paid(payment)
    if sale.change:
        blocks.append(Columns("เงินทอน Change", format_satang(sale.change), bold=True))
    if inside := _vat_inside(sale):
        blocks += [Rule(), *inside]
    blocks += [*_guest(sale, notes), Feed()]
    blocks += [*(Text(line, Align.CENTER, drawn=True) for line in head.footer)]
    blocks += [*marks(copy=copy, training=training), Feed(), Cut()]
    return Document(tuple(blocks), head.paper)


def _tells_all(notes: ReceiptNotes, sale: SaleView) -> bool:
    """Whether the named discounts are the whole of the sale's: a paper never half explains."""
    lines = [each.line for each in notes.reductions if each.line is not None]
    lines += [each.line for each in notes.prices]
    known = all(line < len(sale.lines) for line in lines)
    return known and sum(each.amount for each in notes.reductions) == -sale.discount_total


def _sold(line: PricedLine, index: int, notes: ReceiptNotes) -> Iterator[Block]:
    yield Columns(line.name, format_satang(line.gross), lead=f"{line.qty} ×", indent=_QTY_COLUMNS)
    detail = [line.name_th] if line.name_th != line.name else []
    if line.qty > 1:
        detail.append(f"@{format_satang(line.unit_price)}")
    if detail:
        yield Columns("  ".join(detail), indent=_QTY_COLUMNS)
    for other in notes.prices:
        if other.line == index:
            before = f"(ปกติ List {format_satang(other.list_price)})"
            yield Columns(f"{_named(other)} {before}", indent=_QTY_COLUMNS)
    for reduction in notes.reductions:
        if reduction.line == index:
            yield Columns(_named(reduction), format_satang(reduction.amount), indent=_QTY_COLUMNS)
    if line.line_discount and not notes.reductions:
        yield Columns("ส่วนลด Discount", format_satang(-line.line_discount), indent=_QTY_COLUMNS)


def _named(what: Reduction | OtherPrice) -> str:
    return " ".join(dict.fromkeys((what.name_th, what.name)))


def _sums(sale: SaleView, notes: ReceiptNotes) -> Iterator[Block]:
    """The rows that add up to the total: VAT is among them only where it comes on top."""
    yield Columns("รวม Subtotal", format_satang(sale.subtotal))
    for reduction in notes.reductions:
        if reduction.line is None:
            yield Columns(_named(reduction), format_satang(reduction.amount))
    if sale.discount_total:
        yield Columns("ส่วนลดรวม All discounts", format_satang(-sale.discount_total))
    if _vat_on_top(sale):
        yield from _vat(_vat_of_lines(sale), sale.tax_total, "")
    for surcharge in sale.surcharges:
        if surcharge.amount:
            label = " ".join(dict.fromkeys((surcharge.name_th, surcharge.name)))
            yield Columns(f"ค่าธรรมเนียม {label}", format_satang(surcharge.amount))
    if sale.surcharge_total and not sale.surcharges:
        yield Columns("ค่าธรรมเนียม Surcharge", format_satang(sale.surcharge_total))
    if sale.cash_rounding:
        yield Columns("ปัดเศษ Rounding", format_signed(sale.cash_rounding))


def _vat_on_top(sale: SaleView) -> int:
    """What grand_total has beyond the other rows, satang: exclusive VAT, 0 where inside."""
    rows = sale.subtotal - sale.discount_total + sale.surcharge_total + sale.cash_rounding
    return sale.grand_total - rows


def _vat_of_lines(sale: SaleView) -> dict[int, int]:
    by_rate: dict[int, int] = {}
    for line in sale.lines:
        if line.vat:
            by_rate[line.vat_rate] = by_rate.get(line.vat_rate, 0) + line.vat
    return by_rate


def _vat_inside(sale: SaleView) -> list[Block]:
    """VAT that the total contains, a surcharge's own in the row of its rate (R4, R7)."""
    on_top = bool(_vat_on_top(sale))
    by_rate = {} if on_top else _vat_of_lines(sale)
    total = 0 if on_top else sale.tax_total
    for surcharge in sale.surcharges:
        if surcharge.vat:
            by_rate[surcharge.vat_rate] = by_rate.get(surcharge.vat_rate, 0) + surcharge.vat
            total += surcharge.vat
    if on_top and not total:
        return []
    return list(_vat(by_rate, total, " (รวมแล้ว incl.)"))


def _vat(by_rate: dict[int, int], total: int, how: str) -> Iterator[Block]:
    """One row a rate; one for all where the lines do not tell the whole."""
    if sum(by_rate.values()) != total:
        yield Columns(f"VAT{how}", format_satang(total))
        return
    for rate, vat in sorted(by_rate.items()):
        yield Columns(f"VAT {format_percent(rate)}{how}", format_satang(vat))


def _guest(sale: SaleView, notes: ReceiptNotes) -> Iterator[Block]:
    """Who the guest is, and what became of their points."""
    if not (notes.guest or sale.points_earned or sale.points_burned):
        return
    yield Rule()
    if notes.guest:
        yield Columns("สมาชิก Member", notes.guest)
    if sale.points_burned:
        yield Columns("ใช้คะแนน Points used", f"-{sale.points_burned:,}")
    if sale.points_earned:
        yield Columns("คะแนนที่ได้ Points earned", f"+{sale.points_earned:,}")
    if notes.points_balance is not None:
        balance = notes.points_balance - sale.points_burned + sale.points_earned
        yield Columns("คะแนนคงเหลือ Points balance", f"{balance:,}")


def _total(amount: int, paper: Paper) -> Iterator[Block]:
    label, figure = "สุทธิ TOTAL", f"฿{format_satang(amount)}"
    if paper is Paper.MM80:
        yield Columns(label, figure, bold=True, size=2)
    else:
        yield Text(label, bold=True)
        yield Text(figure, Align.RIGHT, bold=True, size=2)


def _paid(payment: PaymentView) -> Iterator[Block]:
    yield Columns(METHODS[payment.method], format_satang(payment.amount))
    if payment.tendered is not None and payment.tendered != payment.amount:
        yield Columns("รับเงิน Tendered", format_satang(payment.tendered))
    if payment.reference:
        yield Columns("อ้างอิง Ref.", payment.reference, indent=_QTY_COLUMNS)


# --- ticket -----------------------------------------------------------------------------


def ticket_document(
    head: Letterhead,
    ticket: TicketView,
    *,
    copy: bool = False,
    training: bool = False,
) -> Document:
    """One ticket with its QR code, ending in a cut.

    Raises DocumentError where the ticket has no token: only the till that sold it has one.
    """
    if not ticket.qr_token:
        msg = f"ticket {ticket.short_code} has no token on this till: reprint it where it was sold"
        raise DocumentError(msg)
    blocks = [
        *marks(copy=copy, training=training),
        Text(head.park, Align.CENTER, bold=True, drawn=True),
        *([Text(head.store, Align.CENTER, drawn=True)] if head.store != head.park else []),
        Rule(heavy=True),
        *_package(ticket, head.paper),
        Qr(ticket.qr_token, module_dots=fitting_modules(ticket.qr_token, head.paper)),
        Text(format_short_code(ticket.short_code), Align.CENTER, bold=True, size=2),
        Feed(),
        Columns("เริ่มใช้ From", format_moment(ticket.valid_from, head.zone)),
        Columns("ใช้ได้ถึง Until", format_moment(ticket.valid_to, head.zone), bold=True),
        *marks(copy=copy, training=training),
        Feed(),
        Cut(),
    ]
    return Document(tuple(blocks), head.paper)


def tickets_document(
    head: Letterhead,
    tickets: Iterable[TicketView],
    *,
    copy: bool = False,
    training: bool = False,
) -> Document:
    """All tickets of a sale, one a cut. Raises DocumentError as `ticket_document` does."""
    papers = [ticket_document(head, one, copy=copy, training=training) for one in tickets]
    return Document(tuple(block for paper in papers for block in paper.blocks), head.paper)


def format_short_code(code: str) -> str:
    """`ABCD-EFGH`: two groups are read aloud and typed with fewer mistakes."""
    return f"{code[:4]}-{code[4:]}"


def kind_words(kind: PackageKind, quota_or_minutes: int) -> tuple[str, str]:
    """What a ticket is good for, in Thai and in English; a credit's quota is in satang."""
    match kind:
        case PackageKind.MULTI:
            words = "entry" if quota_or_minutes == 1 else "entries"
            return f"เข้าได้ {quota_or_minutes:,} ครั้ง", f"{quota_or_minutes:,} {words}"
        case PackageKind.TIMEPASS:
            words = "minute" if quota_or_minutes == 1 else "minutes"
            return f"{quota_or_minutes:,} นาที", f"{quota_or_minutes:,} {words}"
        case PackageKind.CREDIT:
            amount = f"฿{format_satang(quota_or_minutes)}"
            return f"วงเงิน {amount}", f"{amount} credit"
        case PackageKind.SINGLE | PackageKind.BUNDLE:
            return "เข้าได้ 1 ครั้ง", "1 entry"


def _package(ticket: TicketView, paper: Paper) -> Iterator[Block]:
    for name in dict.fromkeys((ticket.package_name_th, ticket.package_name)):
        size = fitting_size(name, paper)
        yield Text(name, Align.CENTER, bold=True, size=size, drawn=True)
    words = " · ".join(kind_words(ticket.kind, ticket.quota_or_minutes))
    yield Text(words, Align.CENTER, bold=True, inverse=True)
