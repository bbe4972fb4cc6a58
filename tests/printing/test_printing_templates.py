"""The papers of a park: what must stand on a receipt and a ticket."""

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
import zxingcpp

from playpark.contracts.catalog import PackageKind
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.receipts import ReceiptTemplateView
from playpark.contracts.sales import PaymentView, SaleView
from playpark.contracts.tenancy import StoreView
from playpark.contracts.tickets import TicketView
from playpark.printing.document import Cut, DocumentError, KickDrawer, Paper
from playpark.printing.escpos import to_escpos
from playpark.printing.interpreter import interpret
from playpark.printing.letterhead import Letterhead, format_percent, format_signed
from playpark.printing.raster import render_pages
from playpark.printing.templates import (
    format_short_code,
    kind_words,
    receipt_document,
    ticket_document,
    tickets_document,
)
from playpark.printing.text import to_text

Make = Callable[..., SaleView]
MakeTicket = Callable[..., TicketView]
MakeHead = Callable[..., Letterhead]


@pytest.fixture
def paper_text(letterhead: MakeHead, sale: Make) -> Callable[..., str]:
    def print_it(**changes: object) -> str:
        flags = {name: changes.pop(name) for name in ("copy", "training") if name in changes}
        document = receipt_document(letterhead(), sale(**changes), till="03 Main Gate", **flags)  # type: ignore[arg-type]
        return to_text(document)

    return print_it


def row(text: str, label: str) -> str:
    """The figure beside the label that contains `label`."""
    (line,) = [line for line in text.splitlines() if label in line]
    return line.split()[-1]


def test_a_receipt_says_who_sold_what_when(paper_text: Callable[..., str]) -> None:
    text = paper_text()
    assert "สวนสนุกเพลย์พาร์ค" in text
    assert "TAX ID 0105551234567" in text
    assert "ใบเสร็จรับเงิน / ใบกำกับภาษีอย่างย่อ" in text
    assert "RECEIPT / TAX INVOICE (ABB)" in text
    assert row(text, "No.") == "03-S000128"
    assert "21 Nov 2026 15:42" in text  # 08:42 UTC in Bangkok
    assert "Nok (นก)" in text
    assert "03 Main Gate" in text
    assert "Thank you!" in text


def test_a_receipt_shows_every_line_and_how_the_total_comes_about(
    paper_text: Callable[..., str],
) -> None:
    text = paper_text()
    assert row(text, "2 × Adult Day Pass") == "1,780.00"
    assert "บัตรเที่ยวทั้งวัน ผู้ใหญ่ @890.00" in text
    assert row(text, "Subtotal") == "2,870.25"
    assert row(text, "All discounts") == "-178.00"
    assert row(text, "Rounding") == "-0.25"
    assert row(text, "TOTAL") == "฿2,692.00"
    assert row(text, "Card") == "1,000.00"
    assert row(text, "Ref.") == "4821"
    assert row(text, "เงินสด Cash") == "1,692.00"
    assert row(text, "Tendered") == "2,000.00"
    assert row(text, "Change") == "308.00"
    assert row(text, "VAT 7% (รวมแล้ว incl.)") == "176.13"


def test_inclusive_vat_stands_below_the_total_and_exclusive_vat_adds_up_above_it(
    paper_text: Callable[..., str], sale: Make
) -> None:
    inclusive = paper_text()
    assert inclusive.index("TOTAL") < inclusive.index("VAT")
    base = sale()
    exclusive = paper_text(grand_total=base.grand_total + base.tax_total)
    assert exclusive.index("VAT 7%") < exclusive.index("TOTAL")
    assert "incl." not in exclusive


def test_vat_of_a_surcharge_is_not_laid_on_the_lines(paper_text: Callable[..., str]) -> None:
    assert row(paper_text(tax_total=20_000), "VAT (") == "200.00"


def test_what_is_nothing_is_not_printed(paper_text: Callable[..., str]) -> None:
    exact = [PaymentView(payment_id="p", method=PaymentMethod.CASH, amount=5, tendered=5)]
    text = paper_text(
        payments=exact, change=0, discount_total=0, cash_rounding=0, cashier_name=None
    )
    for label in ("Tendered", "Change", "discounts", "Rounding", "Surcharge", "Cashier"):
        assert label not in text


def test_the_business_day_is_printed_where_it_is_not_the_calendar_day(
    paper_text: Callable[..., str],
) -> None:
    assert "Business day" not in paper_text()
    after_midnight = datetime(2026, 11, 21, 18, 30, tzinfo=UTC)
    text = paper_text(occurred_at=after_midnight, business_date=date(2026, 11, 21))
    assert "22 Nov 2026 01:30" in text
    assert "Business day" in text


def test_a_copy_and_a_training_paper_say_so_at_head_and_foot(
    paper_text: Callable[..., str],
) -> None:
    assert "COPY" not in paper_text()
    assert paper_text(copy=True).count("COPY · สำเนา") == 2
    assert paper_text(training=True).count("TRAINING") == 2


def test_the_drawer_opens_for_cash_but_never_in_training(letterhead: MakeHead, sale: Make) -> None:
    def kicks(*, training: bool) -> bool:
        document = receipt_document(
            letterhead(), sale(), till="03", kick_drawer=True, training=training
        )
        return KickDrawer() in document.blocks

    assert kicks(training=False)
    assert not kicks(training=True)


@pytest.mark.parametrize("paper", Paper)
def test_receipt_and_tickets_print_on_both_rolls(
    letterhead: MakeHead, sale: Make, ticket: MakeTicket, token: str, paper: Paper
) -> None:
    head = letterhead(paper)
    tickets = [ticket(), ticket(short_code="00000001")]
    document = receipt_document(head, sale(), till="03") + tickets_document(head, tickets)
    printed = interpret(to_escpos(document), paper)
    assert printed.unknown == ()
    assert [page.tobytes() for page in printed.pages] == [
        page.tobytes() for page in render_pages(document)
    ]
    receipt, *papers = printed.pages
    assert zxingcpp.read_barcodes(receipt.convert("L")) == []
    for page in papers:
        (found,) = zxingcpp.read_barcodes(page.convert("L"))
        assert found.bytes == token.encode()


def test_a_ticket_says_what_it_is_good_for_and_until_when(
    letterhead: MakeHead, ticket: MakeTicket, token: str
) -> None:
    text = to_text(ticket_document(letterhead(), ticket()))
    assert "Adult Day Pass" in text
    assert "บัตรเที่ยวทั้งวัน ผู้ใหญ่" in text
    assert "1 entry" in text
    assert f"[{token}]" in text
    assert "7K2M-9QXA" in text
    assert "22 Nov 2026 04:00" in text
    assert ticket_document(letterhead(), ticket()).blocks[-1] == Cut()


@pytest.mark.parametrize(
    ("kind", "quota", "words"),
    [
        (PackageKind.SINGLE, 1, ("เข้าได้ 1 ครั้ง", "1 entry")),
        (PackageKind.MULTI, 10, ("เข้าได้ 10 ครั้ง", "10 entries")),
        (PackageKind.TIMEPASS, 120, ("120 นาที", "120 minutes")),
        (PackageKind.CREDIT, 50_000, ("วงเงิน ฿500.00", "฿500.00 credit")),
    ],
)
def test_kinds_in_words(kind: PackageKind, quota: int, words: tuple[str, str]) -> None:
    assert kind_words(kind, quota) == words


def test_a_ticket_without_its_token_is_not_printed(
    letterhead: MakeHead, ticket: MakeTicket
) -> None:
    with pytest.raises(DocumentError, match="reprint it where it was sold"):
        ticket_document(letterhead(), ticket(qr_token=None))


def test_short_codes_stand_in_two_groups() -> None:
    assert format_short_code("ABCDEFGH") == "ABCD-EFGH"


def test_a_hostile_package_name_prints_as_plain_words(
    letterhead: MakeHead, ticket: MakeTicket
) -> None:
    name = "Pass\x1dV\x00\x1bp\x00\x10\x04\x01\u202e[QR]\n\n"
    document = ticket_document(letterhead(), ticket(package_name=name, package_name_th=name))
    printed = interpret(to_escpos(document))
    assert (printed.unknown, printed.drawer_kicks, printed.status_queries) == ((), 0, 0)
    assert len(printed.pages) == 1


def test_a_letterhead_comes_from_the_store() -> None:
    store = StoreView(
        store_id="s",
        tenant_id="t",
        tenant_name="Park",
        name="Gate",
        tz="Asia/Tokyo",
        receipt_footer=["Bye"],
        paper_width_mm=58,
    )
    head = Letterhead.of(store)
    assert (head.park, head.store, head.zone.key) == ("Park", "Gate", "Asia/Tokyo")
    assert (head.footer, head.paper) == (("Bye",), Paper.MM58)
    template = ReceiptTemplateView(
        receipt_template_id="r",
        name="New Year",
        header=["สวัสดีปีใหม่"],
        footer=["See you"],
        tax_registration=False,
        paper_width_mm=80,
    )
    registered = store.model_copy(update={"tax_registration": "0105561234567"})
    assert Letterhead.of(registered).tax_registration == "0105561234567"
    head = Letterhead.of(registered, template)
    assert (head.header, head.footer) == (("สวัสดีปีใหม่",), ("See you",))
    assert (head.tax_registration, head.paper) == (None, Paper.MM80)


@pytest.mark.parametrize(
    ("rate", "shown"), [(700, "7%"), (750, "7.5%"), (1000, "10%"), (725, "7.25%")]
)
def test_rates_in_words(rate: int, shown: str) -> None:
    assert format_percent(rate) == shown


def test_differences_keep_their_sign() -> None:
    assert [format_signed(25), format_signed(-25), format_signed(0)] == ["+0.25", "-0.25", "0.00"]
