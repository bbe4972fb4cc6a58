"""The papers of money given back: the refund receipt and the void slip (R31, R32).

Thai and English side by side like the other papers; both leave a line for the guest to sign.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.refunds import RefundView, VoidView
from playpark.contracts.tickets import TicketView
from playpark.money import format_satang
from playpark.printing.document import (
    Align,
    Block,
    Columns,
    Cut,
    Document,
    Feed,
    KickDrawer,
    Paper,
    Rule,
    Text,
)
from playpark.printing.letterhead import (
    Letterhead,
    format_moment,
    format_signed,
    letterhead,
    marks,
)
from playpark.printing.methods import METHODS

_QTY_COLUMNS = 4
_DOTS = "." * 24


@dataclass(frozen=True, slots=True)
class SlipMarks:
    """`copy` marks a reprint; `training` puts the banner of R32 and never opens the drawer."""

    copy: bool = False
    training: bool = False
    kick_drawer: bool = False


def refund_document(
    head: Letterhead,
    refund: RefundView,
    tickets: Iterable[TicketView],
    *,
    till: str,
    reason: str | None = None,
    marked: SlipMarks | None = None,
) -> Document:
    """The receipt of a refund, ending in a cut. `tickets` are the sale's, for the names of what
    came back; `reason` is the label of the reason code. The drawer opens for cash only."""
    marked = marked or SlipMarks()
    cash = any(part.method is PaymentMethod.CASH and part.amount for part in refund.parts)
    blocks: list[Block] = [*_opening(head, marked, opens=cash)]
    blocks += [
        Text("ใบคืนเงิน", Align.CENTER, bold=True),
        Text("REFUND", Align.CENTER, bold=True, size=2, drawn=True),
        Rule(),
        Columns("เลขที่ No.", refund.receipt_no),
        Columns("อ้างถึงใบเสร็จ Of receipt", refund.sale_receipt_no),
        Columns("วันที่ Date", format_moment(refund.occurred_at, head.zone)),
        *_people(refund.employee_name, till),
        Rule(),
        *_given_back(refund, {ticket.ticket_id: ticket for ticket in tickets}),
    ]
    blocks += _beside(refund.surcharge, refund.cash_rounding)
    blocks += [Rule(heavy=True), *_total("คืน REFUND", refund.amount, head.paper)]
    blocks.append(Rule(heavy=True))
    for part in refund.parts:
        blocks.append(Columns(METHODS[part.method], format_satang(part.amount)))
    if refund.vat:
        blocks += [Rule(), Columns("ภาษีที่คืน VAT given back", format_satang(refund.vat))]
    blocks += _why(reason or refund.reason_code, refund.reason_text, refund.approved_by)
    return Document((*blocks, *_ending(marked)), head.paper)


def void_document(
    head: Letterhead,
    voided: VoidView,
    *,
    till: str,
    reason: str | None = None,
    marked: SlipMarks | None = None,
) -> Document:
    """The slip of a sale that was voided, ending in a cut; `reason` as for a refund."""
    marked = marked or SlipMarks()
    sale = voided.sale
    cash = any(paid.method is PaymentMethod.CASH and paid.amount for paid in sale.payments)
    blocks: list[Block] = [*_opening(head, marked, opens=cash)]
    blocks += [
        Text("ยกเลิกรายการขาย", Align.CENTER, bold=True),
        Text("VOID", Align.CENTER, bold=True, size=2, drawn=True),
        Rule(),
        Columns("ยกเลิกใบเสร็จ Voids receipt", sale.receipt_no),
        Columns("ขายเมื่อ Sold", format_moment(sale.occurred_at, head.zone)),
        Columns("ยกเลิกเมื่อ Voided", format_moment(voided.occurred_at, head.zone)),
        *_people(voided.employee_name, till),
        Rule(),
    ]
    for line in sale.lines:
        blocks += _item(line.qty, line.name, line.name_th, line.payable)
    blocks += _beside(sale.surcharge_total, sale.cash_rounding)
    blocks += [Rule(heavy=True), *_total("คืน VOID", sale.grand_total, head.paper)]
    blocks.append(Rule(heavy=True))
    for paid in sale.payments:
        blocks.append(Columns(METHODS[paid.method], format_satang(paid.amount)))
    blocks += _why(reason or voided.reason_code, voided.reason_text, voided.approved_by)
    return Document((*blocks, *_ending(marked)), head.paper)


def _opening(head: Letterhead, marked: SlipMarks, *, opens: bool) -> Iterator[Block]:
    if marked.kick_drawer and opens and not marked.training:
        yield KickDrawer()
    yield from marks(copy=marked.copy, training=marked.training)
    yield from letterhead(head)
    yield Rule()


def _people(employee: str | None, till: str) -> Iterator[Block]:
    if employee:
        yield Columns("พนักงาน Cashier", employee)
    yield Columns("เครื่อง Till", till)


def _given_back(refund: RefundView, tickets: dict[str, TicketView]) -> Iterator[Block]:
    """A row for each package, and below it the codes of its tickets."""
    by_package: dict[str, list[str]] = {}
    for part in refund.tickets:
        ticket = tickets.get(part.ticket_id)
        by_package.setdefault(ticket.package_id if ticket else "", []).append(part.ticket_id)
    amounts = {part.ticket_id: part.amount for part in refund.tickets}
    for package_id, ids in by_package.items():
        total = sum(amounts[each] for each in ids)
        if not package_id:
            yield from _item(len(ids), "Ticket", "ตั๋ว", total)
            continue
        these = [tickets[each] for each in ids]
        yield from _item(len(ids), these[0].package_name, these[0].package_name_th, total)
        if total < (worth := sum(each.payable for each in these)):
            yield Columns(f"บางส่วน Part of {format_satang(worth)}", indent=_QTY_COLUMNS)
        yield Columns(_codes(these), indent=_QTY_COLUMNS)


def _codes(tickets: Sequence[TicketView]) -> str:
    return ", ".join(f"{each.short_code[:4]}-{each.short_code[4:]}" for each in tickets)


def _item(qty: int, name: str, name_th: str, amount: int) -> Iterator[Block]:
    yield Columns(name, format_satang(amount), lead=f"{qty} ×", indent=_QTY_COLUMNS)
    if name_th != name:
        yield Columns(name_th, indent=_QTY_COLUMNS)


def _beside(surcharge: int, rounding: int) -> Iterator[Block]:
    """What stands between the slices and the money (R7)."""
    if surcharge:
        yield Columns("ค่าธรรมเนียม Surcharge", format_satang(surcharge))
    if rounding:
        yield Columns("ปัดเศษ Rounding", format_signed(rounding))


def _total(label: str, amount: int, paper: Paper) -> Iterator[Block]:
    figure = f"฿{format_satang(amount)}"
    if paper is Paper.MM80:
        yield Columns(label, figure, bold=True, size=2)
    else:
        yield Text(label, bold=True)
        yield Text(figure, Align.RIGHT, bold=True, size=2)


def _why(reason: str, words: str | None, approved_by: str | None) -> Iterator[Block]:
    yield Rule()
    yield Columns("เหตุผล Reason", reason)
    if words:
        yield Columns(words, indent=_QTY_COLUMNS)
    if approved_by:
        yield Columns("ผู้อนุมัติ Approved by", approved_by)


def _ending(marked: SlipMarks) -> Iterator[Block]:
    yield Feed(2)
    yield Columns("ลูกค้า Guest", _DOTS)
    yield Feed(2)
    yield Columns("พนักงาน Cashier", _DOTS)
    yield from marks(copy=marked.copy, training=marked.training)
    yield Feed()
    yield Cut()
