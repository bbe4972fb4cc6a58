"""The drawer's papers: movement slips, X, Z final and provisional (R27, R28)."""

from collections.abc import Callable
from typing import Any

from playpark.contracts.shifts import (
    MovementIn,
    MovementView,
    SalesTotals,
    ShiftClosed,
    ShiftStatus,
    ShiftView,
    XReport,
)
from playpark.contracts.sync import OpKind
from playpark.device import StoredOp
from playpark.money import format_satang
from playpark.printing.document import Align, Columns, Cut, Document, Feed, Rule, Text
from playpark.printing.letterhead import Letterhead, format_moment, letterhead, marks
from playpark.printing.templates import ShiftReport, shift_report_document
from terminal.counter import Counter
from terminal.printer import Paper


def memo_of(opened: StoredOp, counter: Counter) -> dict[str, Any]:
    """What the Z says beyond the server's answer: the shift as it was opened here."""
    shift = ShiftView(
        shift_id=opened.op_id,
        device_id=counter.store.identity.device_id if counter.store.identity else "",
        opened_by=opened.employee_id,
        opened_by_name=(opened.memo or {}).get("opened_by"),
        open_at=opened.occurred_at,
        cash_open=opened.body["cash_open"],
        status=ShiftStatus.OPEN,
    )
    return {"shift": shift.model_dump(mode="json")}


def final_z(counter: Counter) -> Callable[[StoredOp, dict[str, Any]], list[Paper]]:
    """The Z report as the server computed it."""

    def papers(op: StoredOp, result: dict[str, Any]) -> list[Paper]:
        closed = ShiftClosed.model_validate(result)
        shift = ShiftView.model_validate((op.memo or {})["shift"]).model_copy(
            update={"status": ShiftStatus.CLOSED, "close_at": op.occurred_at}
        )

        def draw(head: Letterhead, copy: bool) -> Document:
            report = ShiftReport.of_closed(
                shift, closed, till=counter.device_code, printed_at=counter.clock.now()
            )
            return _marked(shift_report_document(head, report), copy)

        return [Paper("z", closed, draw)]

    return papers


def provisional_z(counter: Counter, opened: StoredOp, closing: StoredOp) -> Paper:
    """What the till knows by itself while the server does not answer: its own sales and the
    count, never what was expected (R27, R28)."""
    shift = ShiftView.model_validate((closing.memo or {})["shift"])
    number = int((closing.receipt_no or "0").partition("-Z")[2] or 0)
    sales = _own_sales(counter, opened.op_id)
    counted = _counted(closing)

    def draw(head: Letterhead, copy: bool) -> Document:
        report = ShiftReport(
            till=counter.device_code,
            cashier=shift.opened_by_name,
            opened_at=shift.open_at,
            closed_at=closing.occurred_at,
            printed_at=counter.clock.now(),
            sales=sales,
            cash_open=shift.cash_open,
            z_no=number,
            cash_counted=counted,
            provisional=True,
        )
        return _marked(shift_report_document(head, report), copy)

    return Paper("provisional", shift, draw)


def x_paper(counter: Counter, report: XReport) -> Paper:
    """The X report on paper."""

    def draw(head: Letterhead, copy: bool) -> Document:
        shown = ShiftReport(
            till=counter.device_code,
            cashier=report.shift.opened_by_name,
            opened_at=report.shift.open_at,
            printed_at=report.at,
            sales=report.totals.sales,
            refunds=report.totals.refunds,
            reprints=report.totals.reprints,
            tickets_issued=report.totals.tickets_issued,
            cash_open=report.drawer.cash_open,
            cash_expected=report.drawer.cash_expected,
        )
        return _marked(shift_report_document(head, shown), copy)

    return Paper("x", report, draw)


def movement(counter: Counter) -> Callable[[StoredOp], list[Paper]]:
    """The slip of a cash movement, from the operation itself: it needs no answer."""

    def papers(op: StoredOp) -> list[Paper]:
        body, memo = MovementIn.model_validate(op.body), op.memo or {}
        view = MovementView(
            movement_id=op.op_id,
            drawer_id=body.drawer_id,
            type=body.type,
            amount=body.amount,
            reason_code=body.reason_code,
            reason_text=body.reason_text,
            occurred_at=op.occurred_at,
            employee_name=memo.get("employee_name"),
        )

        def draw(head: Letterhead, copy: bool) -> Document:
            return _marked(_movement(head, view, counter.device_code, memo.get("reason")), copy)

        return [Paper("movement", view, draw, kick=True)]

    return papers


def _own_sales(counter: Counter, shift_id: str) -> SalesTotals:
    """The sales of a shift as this till made them; what the server refused is not among them."""
    amount, by_method, count = 0, dict[str, int](), 0
    for op in counter.store.of_shift(OpKind.SALE, shift_id):
        if op.body.get("training"):
            continue
        count += 1
        amount += op.body["rung"]["grand_total"]
        for payment in op.body["payments"]:
            method = payment["method"]
            by_method[method] = by_method.get(method, 0) + payment["amount"]
    return SalesTotals(count=count, amount=amount, by_method=by_method)


def _counted(closing: StoredOp) -> int:
    counted = closing.body.get("counted")
    if counted is None:
        return int(closing.body["cash_counted"])
    return sum(int(face) * pieces for face, pieces in counted.items())


_MOVED = {
    "pay_in": ("เงินเข้าลิ้นชัก", "PAY-IN"),
    "pay_out": ("จ่ายเงินออก", "PAY-OUT"),
    "drop": ("นำเงินเข้าเซฟ", "DROP"),
}


def _movement(head: Letterhead, view: MovementView, till: str, reason: str | None) -> Document:
    thai, english = _MOVED[view.type]
    facts = [
        Columns("เครื่อง Till", till),
        Columns("เวลา Time", format_moment(view.occurred_at, head.zone)),
    ]
    if view.employee_name:
        facts.append(Columns("พนักงาน Cashier", view.employee_name))
    if reason:
        facts.append(Columns("เหตุผล Reason", reason))
    if view.reason_text:
        facts.append(Columns("", view.reason_text))
    blocks = (
        *letterhead(head),
        Rule(),
        Text(thai, Align.CENTER, bold=True),
        Text(english, Align.CENTER, bold=True, size=2, drawn=True),
        Rule(),
        *facts,
        Rule(heavy=True),
        Columns("จำนวน AMOUNT", f"฿{format_satang(view.amount)}", bold=True, size=2),
        Rule(heavy=True),
        Feed(2),
        Columns("ลงชื่อ Signature", "." * 24),
        Feed(),
        Cut(),
    )
    return Document(blocks, head.paper)


def _marked(document: Document, copy: bool) -> Document:
    """The same paper, marked COPY at its head where it is one."""
    return Document((*marks(copy=copy, training=False), *document.blocks), document.paper)
