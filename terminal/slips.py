"""The papers beside a sale's own: slips of refunds, voids, cash, copies, X, Z (R27, R28, R31)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from playpark.contracts.refunds import ExchangeView, RefundView, ReprintView, VoidView
from playpark.contracts.sales import SaleAnswer
from playpark.contracts.shifts import (
    MovementIn,
    MovementView,
    SalesTotals,
    ShiftClosed,
    ShiftStatus,
    ShiftView,
    XReport,
    ZReport,
)
from playpark.contracts.sync import OpKind
from playpark.contracts.tickets import TicketView
from playpark.device import StoredOp
from playpark.printing.document import Document
from playpark.printing.letterhead import Letterhead, marks
from playpark.printing.receipt_notes import ReceiptNotes
from playpark.printing.refund_slip import SlipMarks, refund_document, void_document
from playpark.printing.shift_report import (
    ShiftReport,
    added_document,
    movement_document,
    shift_report_document,
)
from terminal import sale as sales
from terminal.counter import Counter
from terminal.printer import Paper

TICKETS = TypeAdapter(list[TicketView])


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


def adjustment(counter: Counter) -> Callable[[StoredOp, dict[str, Any]], list[Paper]]:
    """The slip of a new count, or of an accepted difference: a link behind the Z."""

    def papers(_op: StoredOp, result: dict[str, Any]) -> list[Paper]:
        added = ZReport.model_validate(result)

        def draw(head: Letterhead, copy: bool) -> Document:
            return _marked(added_document(head, added, till=counter.device_code), copy)

        return [Paper("adjustment", added, draw)]

    return papers


def provisional_z(counter: Counter, opened: StoredOp, closing: StoredOp) -> Paper:
    """What the till knows by itself while the server does not answer: its own sales and the
    count, never what was expected (R27, R28)."""
    shift = ShiftView.model_validate((closing.memo or {})["shift"])
    number = int((closing.receipt_no or "0").partition("-Z")[2] or 0)
    sales = _own_sales(counter, opened.op_id)
    counted = counted_in(closing)

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
            receipt_no=closing.receipt_no,
            cash_counted=counted,
            provisional=True,
        )
        return _marked(shift_report_document(head, report), copy)

    return Paper("provisional", shift, draw)


def x_paper(counter: Counter, report: XReport) -> Paper:
    """The X report on paper."""

    def draw(head: Letterhead, copy: bool) -> Document:
        shown = ShiftReport.of_x(report, till=counter.device_code)
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
            reason = memo.get("reason")
            slip = movement_document(head, view, till=counter.device_code, reason=reason)
            return _marked(slip, copy)

        return [Paper("movement", view, draw, kick=True)]

    return papers


def refund(op: StoredOp, result: dict[str, Any]) -> list[Paper]:
    view, memo = RefundView.model_validate(result), op.memo or {}
    tickets = TICKETS.validate_python(memo.get("tickets", []))
    till, reason = view.receipt_no.partition("-")[0], memo.get("reason")

    def draw(head: Letterhead, copy: bool) -> Document:
        marked = SlipMarks(copy=copy, kick_drawer=not copy)
        return refund_document(head, view, tickets, till=till, reason=reason, marked=marked)

    return [Paper("refund", view, draw)]


def void(op: StoredOp, result: dict[str, Any]) -> list[Paper]:
    voided, memo = VoidView.model_validate(result), op.memo or {}
    till, reason = voided.sale.receipt_no.partition("-")[0], memo.get("reason")

    def draw(head: Letterhead, copy: bool) -> Document:
        training = voided.sale.training
        marked = SlipMarks(copy=copy, training=training, kick_drawer=not copy)
        return void_document(head, voided, till=till, reason=reason, marked=marked)

    return [Paper("void", voided, draw)]


def copies(op: StoredOp, result: dict[str, Any]) -> list[Paper]:
    view, memo = ReprintView.model_validate(result), op.memo or {}
    notes = ReceiptNotes.model_validate(memo["notes"]) if "notes" in memo else None
    if view.sale is not None:
        answer = SaleAnswer(sale=view.sale, tickets=view.tickets)
        return sales.papers_of(answer, notes, always_copy=True)
    papers = [sales.ticket_paper(ticket) for ticket in view.tickets]
    return [replace(each, always_copy=True) for each in papers]


def exchanged(_op: StoredOp, result: dict[str, Any]) -> list[Paper]:
    """The ticket that a guest gets for a lost one: no copy, for it is another ticket (R25)."""
    return [sales.ticket_paper(ExchangeView.model_validate(result).ticket)]


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


def counted_in(closing: StoredOp) -> int:
    """What was counted when a shift was closed, satang."""
    counted = closing.body.get("counted")
    if counted is None:
        return int(closing.body["cash_counted"])
    return sum(int(face) * pieces for face, pieces in counted.items())


def _marked(document: Document, copy: bool) -> Document:
    """The same paper, marked COPY at its head where it is one."""
    return Document((*marks(copy=copy, training=False), *document.blocks), document.paper)
