"""The papers of a drawer: X and Z report, what is added to a Z later, cash movements (R26–R28).

Thai and English side by side like the other papers; amounts in baht with two decimals.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from playpark.contracts.shifts import (
    CountAndAmount,
    DrawerView,
    MovementType,
    MovementView,
    SalesTotals,
    ShiftClosed,
    ShiftTotals,
    ShiftView,
    XReport,
    ZKind,
    ZReport,
)
from playpark.money import format_satang
from playpark.printing.document import (
    Align,
    Block,
    Columns,
    Cut,
    Document,
    Feed,
    Paper,
    Rule,
    Text,
)
from playpark.printing.letterhead import Letterhead, format_moment, format_signed, letterhead
from playpark.printing.methods import METHODS

_INDENT = 4
_DOTS = "." * 24
_MOVED: dict[MovementType, tuple[str, str]] = {
    MovementType.PAY_IN: ("เงินเข้าลิ้นชัก", "PAY-IN"),
    MovementType.PAY_OUT: ("จ่ายเงินออก", "PAY-OUT"),
    MovementType.DROP: ("นำเงินเข้าเซฟ", "DROP"),
}
_ADDED = {
    ZKind.SUPPLEMENT: ("รายการหลังปิดกะ", "SUPPLEMENT"),
    ZKind.ADJUSTMENT: ("ปรับปรุงหลังปิดกะ", "ADJUSTMENT"),
    ZKind.CLOSE: ("รายงานปิดกะ", "Z REPORT"),
}


@dataclass(frozen=True, slots=True)
class ShiftReport:
    """The figures of an X or Z report (R28), in satang; what is None is not printed.

    Without `z_no` it is an X report: a look at an open shift. A `provisional` Z has what the
    till knows by itself: neither the expected cash (R27) nor the grand totals nor the hash.
    """

    till: str
    cashier: str | None
    opened_at: datetime
    printed_at: datetime
    sales: SalesTotals
    cash_open: int
    z_no: int | None = None
    receipt_no: str | None = None
    closed_at: datetime | None = None
    refunds: SalesTotals | None = None
    voids: CountAndAmount | None = None
    tickets_issued: int | None = None
    reprints: int | None = None
    discounts: int | None = None
    tax: int | None = None
    surcharges: int | None = None
    cash_rounding: int | None = None
    drawer: DrawerView | None = None
    movements: Sequence[MovementView] = ()
    cash_expected: int | None = None
    cash_counted: int | None = None
    unapproved: bool = False
    """The difference still waits for a supervisor (R27)."""
    grand_sales: int | None = None
    grand_refunds: int | None = None
    grand_total: int | None = None
    hash: str | None = None
    provisional: bool = False
    added: ZReport | None = None
    """The link behind the Z that a count became, where somebody else had closed the shift: its
    figures are its own, so the paper is its slip and no second Z."""

    @classmethod
    def of_closed(
        cls,
        shift: ShiftView,
        closed: ShiftClosed,
        *,
        till: str,
        printed_at: datetime,
        movements: Sequence[MovementView] = (),
    ) -> "ShiftReport":
        """The final Z report, as the server computed it, or what was added to it."""
        z = closed.z
        return cls(
            till=till,
            cashier=shift.opened_by_name,
            opened_at=shift.open_at,
            printed_at=printed_at,
            cash_open=z.drawer.cash_open,
            z_no=z.z_no,
            receipt_no=z.receipt_no,
            closed_at=shift.close_at,
            drawer=z.drawer,
            movements=movements,
            cash_expected=closed.cash_expected,
            cash_counted=closed.cash_counted,
            unapproved="variance_unapproved" in closed.flags,
            grand_sales=z.grand_sales,
            grand_refunds=z.grand_refunds,
            grand_total=z.grand_total,
            hash=z.hash,
            added=None if z.kind is ZKind.CLOSE else z,
            **_figures(z),
        )

    @classmethod
    def of_x(
        cls, report: XReport, *, till: str, movements: Sequence[MovementView] = ()
    ) -> "ShiftReport":
        """A look at an open shift, for eyes that may see the expected cash."""
        return cls(
            till=till,
            cashier=report.shift.opened_by_name,
            opened_at=report.shift.open_at,
            printed_at=report.at,
            cash_open=report.drawer.cash_open,
            drawer=report.drawer,
            movements=movements,
            cash_expected=report.drawer.cash_expected,
            **_figures(report.totals),
        )


def _figures(totals: ShiftTotals) -> dict[str, Any]:
    return {name: getattr(totals, name) for name in ShiftTotals.model_fields}


def shift_report_document(head: Letterhead, report: ShiftReport) -> Document:
    """An X report (marked not final) or a Z report (PROVISIONAL where made offline); of a shift
    that was closed already, the slip of what was added."""
    if report.added is not None:
        return added_document(head, report.added, till=report.till)
    final = report.z_no is not None
    title = f"Z REPORT {report.z_no:04d}" if report.z_no is not None else "X REPORT"
    blocks: list[Block] = [*letterhead(head), Rule()]
    blocks.append(Text("รายงานปิดกะ" if final else "รายงานระหว่างกะ", Align.CENTER, bold=True))
    blocks.append(Text(title, Align.CENTER, bold=True, size=2, drawn=True))
    if not final:
        blocks.append(_banner("NOT FINAL · ยังไม่ใช่ยอดปิด"))
    if report.provisional:
        blocks.append(_banner("PROVISIONAL · ชั่วคราว"))
    blocks += [Rule(), *_facts(head, report), Rule(), *_sold(report)]
    blocks += [Rule(), *_cash(report)]
    if report.movements:
        blocks += [Rule(), *_movements(head, report.movements)]
    if report.grand_total is not None:
        blocks += [Rule(heavy=True), *_grand(report)]
    if report.hash:
        blocks.append(Text(f"# {report.hash}"))
    if final:
        blocks += _signed("พนักงาน Cashier", "ผู้ตรวจ Supervisor")
    return Document((*blocks, Feed(), Cut()), head.paper)


def added_document(head: Letterhead, added: ZReport, *, till: str) -> Document:
    """The slip of a supplement or an adjustment: only its own figures, and its place in the
    chain (R28)."""
    thai, english = _ADDED[added.kind]
    blocks: list[Block] = [
        *letterhead(head),
        Rule(),
        Text(thai, Align.CENTER, bold=True),
        Text(f"{english} {added.number}", Align.CENTER, bold=True, size=2, drawn=True),
        Rule(),
        Columns("เครื่อง Till", till),
        Columns("ของ Z Belongs to Z", f"{added.z_no:04d}"),
        Columns("บันทึก Recorded", format_moment(added.made_at, head.zone)),
    ]
    if added.because:
        blocks.append(Text(f"เหตุ Because: {added.because}"))
    blocks.append(Rule())
    if added.kind is ZKind.SUPPLEMENT:
        blocks += _changes(added)
    if added.cash_counted is not None:
        blocks.append(Columns("นับได้ Counted", format_satang(added.cash_counted), bold=True))
    blocks += [
        Rule(heavy=True),
        Columns("ยอดสะสม Grand total", format_satang(added.grand_total), bold=True),
        Text(f"# {added.hash}"),
        *_signed("ผู้ตรวจ Supervisor"),
    ]
    return Document((*blocks, Feed(), Cut()), head.paper)


def movement_document(
    head: Letterhead, movement: MovementView, *, till: str, reason: str | None = None
) -> Document:
    """The slip of a pay-in, pay-out or drop, to sign and lay into the drawer; `reason` is the
    label of the reason code."""
    thai, english = _MOVED[movement.type]
    blocks: list[Block] = [
        *letterhead(head),
        Rule(),
        Text(thai, Align.CENTER, bold=True),
        Text(english, Align.CENTER, bold=True, size=2, drawn=True),
        Rule(),
        Columns("เครื่อง Till", till),
        Columns("เวลา Time", format_moment(movement.occurred_at, head.zone)),
    ]
    if movement.employee_name:
        blocks.append(Columns("พนักงาน Cashier", movement.employee_name))
    if why := reason or movement.reason_code:
        blocks.append(Columns("เหตุผล Reason", why))
    if movement.reason_text:
        blocks.append(Columns(movement.reason_text, indent=_INDENT))
    blocks += [Rule(heavy=True), *_amount(movement.amount, head.paper), Rule(heavy=True)]
    blocks += _signed("พนักงาน Cashier", "ผู้รับ/ผู้ส่ง Handed to/by")
    return Document((*blocks, Feed(), Cut()), head.paper)


def _banner(text: str) -> Block:
    return Text(text, Align.CENTER, bold=True, inverse=True)


def _signed(*who: str) -> Iterator[Block]:
    for person in who:
        yield Feed(2)
        yield Columns(person, _DOTS)


def _amount(amount: int, paper: Paper) -> Iterator[Block]:
    label, figure = "จำนวน AMOUNT", f"฿{format_satang(amount)}"
    if paper is Paper.MM80:
        yield Columns(label, figure, bold=True, size=2)
    else:
        yield Text(label, bold=True)
        yield Text(figure, Align.RIGHT, bold=True, size=2)


def _facts(head: Letterhead, report: ShiftReport) -> Iterator[Block]:
    if report.receipt_no:
        yield Columns("เลขที่ No.", report.receipt_no)
    yield Columns("เครื่อง Till", report.till)
    if report.cashier:
        yield Columns("พนักงาน Cashier", report.cashier)
    yield Columns("เปิดกะ Opened", format_moment(report.opened_at, head.zone))
    if report.closed_at:
        yield Columns("ปิดกะ Closed", format_moment(report.closed_at, head.zone))
    yield Columns("พิมพ์ Printed", format_moment(report.printed_at, head.zone))


def _sold(report: ShiftReport) -> Iterator[Block]:
    yield from _totals("ยอดขาย Sales", report.sales)
    if report.refunds:
        yield from _totals("คืนเงิน Refunds", report.refunds)
    if report.voids:
        label = f"ยกเลิก Voids ({report.voids.count:,})"
        yield Columns(label, format_satang(report.voids.amount))
    yield from _beside(report)
    if report.tickets_issued is not None:
        yield Columns("ตั๋วที่ออก Tickets issued", f"{report.tickets_issued:,}")
    if report.reprints is not None:
        yield Columns("พิมพ์ซ้ำ Reprints", f"{report.reprints:,}")


def _totals(label: str, totals: SalesTotals) -> Iterator[Block]:
    yield Columns(f"{label} ({totals.count:,})", format_satang(totals.amount), bold=True)
    for method, amount in totals.by_method.items():
        yield Columns(METHODS.get(method, method), format_satang(amount), indent=_INDENT)


def _beside(figures: ShiftReport | ZReport) -> Iterator[Block]:
    """What the sales contain or went without, where it is anything."""
    if figures.discounts:
        yield Columns("ส่วนลด Discounts", format_satang(-figures.discounts))
    if figures.tax:
        yield Columns("ภาษี VAT", format_satang(figures.tax))
    if figures.surcharges:
        yield Columns("ค่าธรรมเนียม Surcharges", format_satang(figures.surcharges))
    if figures.cash_rounding:
        yield Columns("ปัดเศษ Rounding", format_signed(figures.cash_rounding))


def _cash(report: ShiftReport) -> Iterator[Block]:
    yield Columns("เงินทอนตั้งต้น Float", format_satang(report.cash_open))
    if report.drawer:
        yield from _moved(report.drawer)
    if report.cash_expected is not None:
        yield Columns("เงินสดที่ควรมี Expected", format_satang(report.cash_expected), bold=True)
    if report.cash_counted is not None:
        yield Columns("นับได้ Counted", format_satang(report.cash_counted))
    if report.cash_expected is not None and report.cash_counted is not None:
        difference = report.cash_counted - report.cash_expected
        yield Columns("ขาด/เกิน Over/short", format_signed(difference), bold=True)
    if report.unapproved:
        yield _banner("NOT APPROVED · ส่วนต่างรออนุมัติ")


def _moved(drawer: DrawerView) -> Iterator[Block]:
    """The cash between the float and what is expected, each with its sign."""
    rows = (
        ("ขายเงินสด Cash sales", drawer.cash_sales),
        ("เงินเข้า Pay-ins", drawer.pay_ins),
        ("จ่ายออก Pay-outs", -drawer.pay_outs),
        ("เข้าเซฟ Drops", -drawer.drops),
        ("คืนเงินสด Cash refunds", -drawer.cash_refunds),
    )
    for label, amount in rows:
        if amount:
            yield Columns(label, format_signed(amount))


def _movements(head: Letterhead, movements: Sequence[MovementView]) -> Iterator[Block]:
    yield Text("รายการเงินเข้าออก Cash movements", bold=True)
    for movement in movements:
        thai, english = _MOVED[movement.type]
        sign = 1 if movement.type is MovementType.PAY_IN else -1
        at = f"{movement.occurred_at.astimezone(head.zone):%H:%M}"
        figure = format_signed(sign * movement.amount)
        yield Columns(f"{thai} {english}", figure, lead=at, indent=6)


def _changes(added: ZReport) -> Iterator[Block]:
    """What a supplement adds to its Z; what is nothing is not printed."""
    for label, totals in (("ยอดขาย Sales", added.sales), ("คืนเงิน Refunds", added.refunds)):
        if totals.count or totals.amount:
            yield from _totals(label, totals)
    if added.voids.count:
        label = f"ยกเลิก Voids ({added.voids.count:,})"
        yield Columns(label, format_satang(added.voids.amount))
    yield from _beside(added)
    if added.tickets_issued:
        yield Columns("ตั๋วที่ออก Tickets issued", f"{added.tickets_issued:,}")
    if added.reprints:
        yield Columns("พิมพ์ซ้ำ Reprints", f"{added.reprints:,}")
    yield from _moved(added.drawer)
    label = "เงินสดเปลี่ยน Change in cash"
    yield Columns(label, format_signed(added.drawer.cash_expected), bold=True)


def _grand(report: ShiftReport) -> Iterator[Block]:
    if report.grand_sales is not None:
        yield Columns("ขายสะสม Grand sales", format_satang(report.grand_sales))
    if report.grand_refunds is not None:
        yield Columns("คืนสะสม Grand refunds", format_satang(report.grand_refunds))
    if report.grand_total is not None:
        yield Columns("ยอดสะสม Grand total", format_satang(report.grand_total), bold=True)
