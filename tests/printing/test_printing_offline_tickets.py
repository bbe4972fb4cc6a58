"""The size of an offline ticket's code: readable on every roll (R22)."""

import pytest
import zxingcpp
from PIL import Image

from playpark.contracts.catalog import PackageKind
from playpark.contracts.tickets import TicketView
from playpark.offline_tickets import mint_pp2
from playpark.printing.document import MIN_MODULE_DOTS, Paper, Qr
from playpark.printing.escpos import to_escpos
from playpark.printing.interpreter import interpret
from playpark.printing.layout import fitting_modules
from playpark.printing.letterhead import Letterhead
from playpark.printing.templates import ticket_document
from tests.terminal.park import STORE
from tests.unit.test_offline_tickets import KEY, TICKET

PP1 = "PP1.01.01HZZZZZZZZZZZZZZZZZZZZZZZ.ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PP2 = mint_pp2(KEY, TICKET)


def a_ticket(token: str) -> TicketView:
    return TicketView(
        ticket_id=TICKET.ticket_id,
        short_code="ABCD1234",
        qr_token=token,
        kind=PackageKind.SINGLE,
        package_id=TICKET.package_id,
        package_name="Adult day pass",
        package_name_th="ตั๋วผู้ใหญ่",
        quota_or_minutes=1,
        valid_from=TICKET.valid_from,
        valid_to=TICKET.valid_to,
        payable=19_900,
    )


@pytest.mark.parametrize(
    ("token", "paper", "dots"),
    [(PP1, Paper.MM58, 8), (PP1, Paper.MM80, 8), (PP2, Paper.MM58, 7), (PP2, Paper.MM80, 8)],
    ids=["PP1-58", "PP1-80", "PP2-58", "PP2-80"],
)
def test_R22_a_ticket_s_code_is_as_large_as_the_paper_allows(
    token: str, paper: Paper, dots: int
) -> None:
    assert fitting_modules(token, paper) == dots >= MIN_MODULE_DOTS
    width = {Paper.MM58: 58, Paper.MM80: 80}[paper]
    head = Letterhead.of(STORE.model_copy(update={"paper_width_mm": width}))
    document = ticket_document(head, a_ticket(token))
    (code,) = [block for block in document.blocks if isinstance(block, Qr)]
    assert (code.module_dots, code.ecc) == (dots, "M")
    (page,) = interpret(to_escpos(document), paper).pages
    assert read(page) == [token]


def test_R22_what_fits_on_no_paper_is_told_and_not_made_unreadable() -> None:
    assert fitting_modules("A" * 400, Paper.MM58) == MIN_MODULE_DOTS


def read(page: Image.Image) -> list[str]:
    return [found.text for found in zxingcpp.read_barcodes(page.convert("L"))]
