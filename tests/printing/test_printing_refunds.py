"""The papers of money given back: refund receipt and void slip (R7, R31, R32)."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.refunds import (
    RefundedTicket,
    RefundPart,
    RefundStatus,
    RefundView,
    VoidView,
)
from playpark.contracts.sales import SaleView
from playpark.contracts.tickets import TicketView
from playpark.printing.document import Cut, Document, KickDrawer, Paper
from playpark.printing.escpos import to_escpos
from playpark.printing.interpreter import interpret
from playpark.printing.letterhead import Letterhead
from playpark.printing.raster import render_pages
from playpark.printing.refund_slip import SlipMarks, refund_document, void_document
from playpark.printing.text import to_text

MakeHead = Callable[..., Letterhead]
MakeTicket = Callable[..., TicketView]
MakeSale = Callable[..., SaleView]


def a_refund(sale: SaleView, **changes: Any) -> RefundView:
    fields: dict[str, Any] = {
        "refund_id": "r1",
        "sale_id": sale.sale_id,
        "sale_receipt_no": sale.receipt_no,
        "receipt_no": "03-R000007",
        "amount": 165_000,
        "method": "split",
        "parts": [
            RefundPart(method=PaymentMethod.CARD, amount=100_000),
            RefundPart(method=PaymentMethod.CASH, amount=65_000),
        ],
        "tickets": [
            RefundedTicket(ticket_id="t1", amount=80_100, vat=5_240),
            RefundedTicket(ticket_id="t2", amount=80_100, vat=5_240),
        ],
        "surcharge": 4_825,
        "cash_rounding": -25,
        "vat": 10_796,
        "status": RefundStatus.COMPLETED,
        "reason_code": "ride_closed",
        "reason_text": "Roller coaster stood still",
        "business_date": date(2026, 11, 21),
        "occurred_at": sale.occurred_at,
        "device_id": "d1",
        "shift_id": "sh1",
        "employee_id": "e1",
        "employee_name": "Nok (นก)",
        "approved_by": "Somchai",
    }
    return RefundView(**{**fields, **changes})


@pytest.fixture
def slip(letterhead: MakeHead, sale: MakeSale, ticket: MakeTicket) -> Callable[..., Document]:
    def make(
        paper: Paper = Paper.MM80, marked: SlipMarks | None = None, **changes: Any
    ) -> Document:
        tickets = [ticket(ticket_id="t1"), ticket(ticket_id="t2", short_code="00000001")]
        refund = a_refund(sale(), **changes)
        return refund_document(
            letterhead(paper),
            refund,
            tickets,
            till="03 Main Gate",
            reason="Ride closed",
            marked=marked,
        )

    return make


@pytest.fixture
def voided(sale: MakeSale) -> VoidView:
    return VoidView(
        sale=sale(),
        reason_code="wrong_package",
        reason_text=None,
        occurred_at=sale().occurred_at,
        employee_name="Nok (นก)",
        approved_by="Somchai",
    )


def row(text: str, label: str) -> str:
    """The figure beside the label that contains `label`."""
    (line,) = [line for line in text.splitlines() if label in line]
    return line.split()[-1]


def test_R31_a_refund_receipt_says_what_comes_back_how_and_why(
    slip: Callable[..., Document],
) -> None:
    text = to_text(slip())
    assert row(text, "No.") == "03-R000007"
    assert row(text, "Of receipt") == "03-S000128"
    assert "21 Nov 2026 15:42" in text
    assert row(text, "2 × Adult Day Pass") == "1,602.00"
    assert "บัตรเที่ยวทั้งวัน ผู้ใหญ่" in text
    assert "7K2M-9QXA, 0000-0001" in text
    assert row(text, "Surcharge") == "48.25"
    assert row(text, "Rounding") == "-0.25"
    assert row(text, "คืน REFUND") == "฿1,650.00"
    assert row(text, "Card") == "1,000.00"
    assert row(text, "เงินสด Cash ") == "650.00"
    assert row(text, "VAT given back") == "107.96"
    assert row(text, "Reason") == "closed"
    assert "Roller coaster stood still" in text
    assert row(text, "Approved by") == "Somchai"
    assert row(text, "Guest").endswith("....")
    assert "Part of" not in text


def test_a_refund_of_an_amount_shows_that_the_tickets_are_not_given_back_whole(
    slip: Callable[..., Document],
) -> None:
    part = [RefundedTicket(ticket_id="t1", amount=5_000, vat=327)]
    text = to_text(slip(tickets=part, amount=5_000, surcharge=0, cash_rounding=0))
    assert row(text, "1 × Adult Day Pass") == "50.00"
    assert row(text, "Part of") == "801.00"


def test_a_ticket_whose_name_is_not_known_stands_on_the_paper_all_the_same(
    slip: Callable[..., Document],
) -> None:
    strange = [RefundedTicket(ticket_id="gone", amount=5_000, vat=327)]
    assert row(to_text(slip(tickets=strange)), "1 × Ticket") == "50.00"


def test_what_is_nothing_is_not_printed_on_a_refund(slip: Callable[..., Document]) -> None:
    nothing = {"surcharge": 0, "cash_rounding": 0, "vat": 0, "reason_text": None}
    text = to_text(slip(**nothing, approved_by=None, employee_name=None))
    for label in ("Surcharge", "Rounding", "VAT", "Approved", "Nok"):
        assert label not in text


def test_R32_a_void_slip_names_the_receipt_and_all_that_was_paid(
    letterhead: MakeHead, voided: VoidView
) -> None:
    text = to_text(void_document(letterhead(), voided, till="03 Main Gate"))
    assert row(text, "Voids receipt") == "03-S000128"
    assert row(text, "2 × Adult Day Pass") == "1,602.00"
    assert row(text, "Rounding") == "-0.25"
    assert row(text, "คืน VOID") == "฿2,692.00"
    assert row(text, "Card") == "1,000.00"
    assert row(text, "เงินสด Cash ") == "1,692.00"
    assert row(text, "Reason") == "wrong_package"
    assert row(text, "Approved by") == "Somchai"


def test_the_drawer_opens_for_cash_alone_and_never_in_training(
    slip: Callable[..., Document], letterhead: MakeHead, voided: VoidView
) -> None:
    kick = SlipMarks(kick_drawer=True)
    card = [RefundPart(method=PaymentMethod.CARD, amount=165_000)]
    assert KickDrawer() in slip(marked=kick).blocks
    assert KickDrawer() not in slip(marked=kick, parts=card).blocks
    assert KickDrawer() not in slip().blocks
    assert KickDrawer() not in slip(marked=SlipMarks(kick_drawer=True, training=True)).blocks
    assert KickDrawer() in void_document(letterhead(), voided, till="03", marked=kick).blocks


def test_copies_and_training_say_so_at_head_and_foot(slip: Callable[..., Document]) -> None:
    assert "COPY" not in to_text(slip())
    assert to_text(slip(marked=SlipMarks(copy=True))).count("COPY · สำเนา") == 2
    assert to_text(slip(marked=SlipMarks(training=True))).count("TRAINING") == 2


@pytest.mark.parametrize("paper", Paper)
def test_both_papers_print_on_both_rolls(
    slip: Callable[..., Document], letterhead: MakeHead, voided: VoidView, paper: Paper
) -> None:
    document = slip(paper) + void_document(letterhead(paper), voided, till="03")
    printed = interpret(to_escpos(document), paper)
    assert printed.unknown == ()
    assert len(printed.pages) == document.blocks.count(Cut()) == 2
    assert [page.tobytes() for page in printed.pages] == [
        page.tobytes() for page in render_pages(document)
    ]
