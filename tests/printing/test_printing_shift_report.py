"""The papers of a drawer: X, Z, what comes later, and the slips of cash movements (R26–R28)."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from playpark.contracts.shifts import (
    DrawerView,
    MovementView,
    SalesTotals,
    ShiftClosed,
    ShiftView,
    XReport,
    ZReport,
)
from playpark.printing.document import Document, Paper
from playpark.printing.escpos import to_escpos
from playpark.printing.interpreter import interpret
from playpark.printing.letterhead import Letterhead
from playpark.printing.raster import render_pages
from playpark.printing.shift_report import (
    ShiftReport,
    added_document,
    movement_document,
    shift_report_document,
)
from playpark.printing.text import to_text

MakeHead = Callable[..., Letterhead]
OPENED = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
CLOSED = datetime(2026, 11, 21, 11, 0, tzinfo=UTC)
DRAWER = DrawerView(
    cash_open=100_000,
    cash_sales=62_525,
    pay_ins=20_000,
    pay_outs=7_050,
    drops=50_000,
    cash_refunds=1_500,
    cash_expected=123_975,
)
NOTHING = SalesTotals(count=0, amount=0, by_method={})


def make_z(**changes: Any) -> ZReport:
    fields: dict[str, Any] = {
        "z_no": 12,
        "number": "12",
        "shift_id": "s",
        "receipt_no": "03-Z000012",
        "sales": SalesTotals(count=42, amount=162_550, by_method={"cash": 62_525, "qr": 100_025}),
        "refunds": SalesTotals(count=2, amount=4_500, by_method={"cash": 1_500, "card": 3_000}),
        "voids": {"count": 3, "amount": 29_700},
        "reprints": 5,
        "tickets_issued": 61,
        "discounts": 12_345,
        "tax": 10_634,
        "surcharges": 333,
        "cash_rounding": -25,
        "drawer": DRAWER,
        "cash_counted": 123_950,
        "made_at": CLOSED,
        "grand_sales": 9_900_000,
        "grand_refunds": 40_000,
        "grand_total": 9_860_000,
        "prev_hash": "0" * 64,
        "hash": "ab" * 32,
    }
    return ZReport(**{**fields, **changes})


def make_movement(**changes: Any) -> MovementView:
    fields: dict[str, Any] = {
        "movement_id": "m",
        "drawer_id": "s",
        "type": "pay_out",
        "amount": 7_050,
        "reason_code": "change_money",
        "reason_text": "Ice for the stall",
        "occurred_at": datetime(2026, 11, 21, 6, 5, tzinfo=UTC),
        "employee_name": "Nok",
    }
    return MovementView(**{**fields, **changes})


SHIFT = ShiftView(
    shift_id="s",
    device_id="d",
    opened_by="e",
    opened_by_name="Nok (นก)",
    open_at=OPENED,
    cash_open=100_000,
    status="closed",
    close_at=CLOSED,
)


def closed_report(z: ZReport, **changes: Any) -> ShiftReport:
    counted = z.cash_counted or 0
    closed = ShiftClosed(
        shift_id="s",
        cash_expected=z.drawer.cash_expected,
        cash_counted=counted,
        cash_diff=counted - z.drawer.cash_expected,
        z=z,
        flags=changes.pop("flags", []),
    )
    return ShiftReport.of_closed(SHIFT, closed, till="03", printed_at=CLOSED, **changes)


def printed_text(document: Document) -> str:
    """The words of a document, once the printer has shown exactly its preview."""
    printed = interpret(to_escpos(document), document.paper)
    assert printed.unknown == ()
    previews = [page.tobytes() for page in render_pages(document)]
    assert [page.tobytes() for page in printed.pages] == previews
    assert len(previews) == 1
    return to_text(document)


def row(text: str, label: str) -> str:
    """The figure beside the label that contains `label`."""
    (line,) = [line for line in text.splitlines() if label in line]
    return line.split()[-1]


@pytest.mark.parametrize("paper", Paper)
def test_R28_a_final_z_report_carries_all_figures_of_the_server(
    letterhead: MakeHead, paper: Paper
) -> None:
    text = printed_text(shift_report_document(letterhead(paper), closed_report(make_z())))
    assert "Z REPORT 0012" in text
    figures = {
        "No.": "03-Z000012",
        "Sales (42)": "1,625.50",
        "พร้อมเพย์ QR": "1,000.25",
        "Refunds (2)": "45.00",
        "บัตร Card": "30.00",
        "Voids (3)": "297.00",
        "Discounts": "-123.45",
        "VAT": "106.34",
        "Surcharges": "3.33",
        "Rounding": "-0.25",
        "Tickets issued": "61",
        "Reprints": "5",
        "Float": "1,000.00",
        "Cash sales": "+625.25",
        "Pay-ins": "+200.00",
        "Pay-outs": "-70.50",
        "Drops": "-500.00",
        "Cash refunds": "-15.00",
        "Expected": "1,239.75",
        "Counted": "1,239.50",
        "Over/short": "-0.25",
        "Grand sales": "99,000.00",
        "Grand refunds": "400.00",
        "Grand total": "98,600.00",
    }
    assert {label: row(text, label) for label in figures} == figures
    assert [line.split()[-1] for line in text.splitlines() if "เงินสด Cash" in line][:2] == [
        "625.25",
        "15.00",
    ]
    assert ("ab" * 32) in "".join(text.split())
    assert "21 Nov 2026 09:00" in text
    assert "21 Nov 2026 18:00" in text
    assert "Cashier ...." in " ".join(text.split())
    assert "Supervisor ...." in " ".join(text.split())
    for unwanted in ("PROVISIONAL", "NOT FINAL", "NOT APPROVED"):
        assert unwanted not in text


def test_R27_the_rows_of_the_drawer_add_up_to_what_is_expected(letterhead: MakeHead) -> None:
    text = to_text(shift_report_document(letterhead(), closed_report(make_z())))
    labels = ("Float", "Cash sales", "Pay-ins", "Pay-outs", "Drops", "Cash refunds")
    satang = [int(row(text, label).replace(",", "").replace(".", "")) for label in labels]
    assert sum(satang) == DRAWER.cash_expected


def test_R27_a_difference_that_nobody_approved_is_said_on_the_paper(
    letterhead: MakeHead,
) -> None:
    report = closed_report(make_z(), flags=["variance_unapproved"])
    assert "NOT APPROVED" in printed_text(shift_report_document(letterhead(), report))


def test_a_z_lists_the_movements_it_is_given_with_time_and_sign(letterhead: MakeHead) -> None:
    movements = [make_movement(), make_movement(type="pay_in", amount=20_000)]
    report = closed_report(make_z(), movements=movements)
    text = printed_text(shift_report_document(letterhead(), report))
    assert row(text, "PAY-OUT") == "-70.50"
    assert row(text, "PAY-IN") == "+200.00"
    assert "13:05" in text


def test_what_is_nothing_is_not_printed_on_a_z(letterhead: MakeHead) -> None:
    drawer = DrawerView(**dict.fromkeys(DrawerView.model_fields, 0))
    quiet = make_z(discounts=0, surcharges=0, cash_rounding=0, tax=0, drawer=drawer)
    text = printed_text(shift_report_document(letterhead(), closed_report(quiet)))
    for label in ("Discounts", "Surcharges", "Rounding", "VAT", "Pay-ins", "Drops"):
        assert label not in text
    assert row(text, "Expected") == "0.00"


def test_R28_an_x_report_is_not_final_and_is_signed_by_nobody(letterhead: MakeHead) -> None:
    z = make_z()
    totals = {name: getattr(z, name) for name in ("sales", "refunds", "voids")}
    beside = ("reprints", "tickets_issued", "discounts", "tax", "surcharges", "cash_rounding")
    totals |= {name: getattr(z, name) for name in beside}
    looked = XReport(
        shift=SHIFT.model_copy(update={"status": "open", "close_at": None}),
        at=CLOSED,
        totals=totals,
        drawer=DRAWER,
    )
    text = printed_text(shift_report_document(letterhead(), ShiftReport.of_x(looked, till="03")))
    assert "X REPORT" in text
    assert "NOT FINAL" in text
    assert row(text, "Expected") == "1,239.75"
    assert row(text, "Sales (42)") == "1,625.50"
    for unwanted in ("Counted", "Grand", "Supervisor", "#", "Closed"):
        assert unwanted not in text


def test_R27_what_the_till_knows_by_itself_says_nothing_of_the_expected_cash(
    letterhead: MakeHead, shift_report: Callable[..., ShiftReport]
) -> None:
    alone = shift_report(z_no=12, provisional=True, cash_counted=595_050, closed_at=CLOSED)
    text = printed_text(shift_report_document(letterhead(), alone))
    assert "Z REPORT 0012" in text
    assert "PROVISIONAL" in text
    assert "NOT FINAL" not in text
    assert row(text, "Sales (128)") == "245,120.50"
    assert row(text, "เงินสด Cash") == "95,120.50"
    assert row(text, "Counted") == "5,950.50"
    for unknown in ("Expected", "Over/short", "Grand", "#"):
        assert unknown not in text


@pytest.mark.parametrize("paper", Paper)
def test_R28_a_supplement_has_only_its_own_figures_and_its_place_in_the_chain(
    letterhead: MakeHead, paper: Paper
) -> None:
    drawer = DrawerView(**{**dict.fromkeys(DrawerView.model_fields, 0), "cash_sales": 4_000})
    added = make_z(
        kind="supplement",
        supplement=1,
        number="12/1",
        sales=SalesTotals(count=1, amount=4_000, by_method={"cash": 4_000}),
        refunds=NOTHING,
        voids={"count": 0, "amount": 0},
        reprints=0,
        tickets_issued=1,
        discounts=0,
        surcharges=0,
        cash_rounding=0,
        tax=262,
        drawer=drawer.model_copy(update={"cash_expected": 4_000}),
        cash_counted=None,
        because="01KA3Z8M4T6V7W9X0Y1Z2A3B4C",
    )
    text = printed_text(added_document(letterhead(paper), added, till="03"))
    assert "SUPPLEMENT 12/1" in text
    assert row(text, "Belongs to Z") == "0012"
    assert row(text, "Sales (1)") == "40.00"
    assert row(text, "Change in cash") == "+40.00"
    assert row(text, "Grand total") == "98,600.00"
    assert "01KA3Z8M4T6V7W9X0Y1Z2A3B4C" in text
    assert ("ab" * 32) in "".join(text.split())
    for unwanted in ("Refunds (", "Voids", "Counted", "Reprints"):
        assert unwanted not in text


def test_R27_an_adjustment_shows_the_new_count_and_why(letterhead: MakeHead) -> None:
    added = make_z(
        kind="adjustment",
        supplement=2,
        number="12/2",
        cash_counted=123_975,
        because="01KA3Z8M4T6V7W9X0Y1Z2A3B4C counting_error: a roll of coins",
    )
    text = printed_text(added_document(letterhead(), added, till="03"))
    assert "ADJUSTMENT 12/2" in text
    assert row(text, "Counted") == "1,239.75"
    assert "a roll of coins" in text
    assert "Supervisor ...." in " ".join(text.split())
    assert "Sales (" not in text
    # The answer to a count of a shift that was closed meanwhile prints no second Z.
    assert printed_text(shift_report_document(letterhead(), closed_report(added))) == text


@pytest.mark.parametrize("paper", Paper)
@pytest.mark.parametrize(
    ("kind", "title"), [("pay_in", "PAY-IN"), ("pay_out", "PAY-OUT"), ("drop", "DROP")]
)
def test_R27_a_movement_slip_says_how_much_why_and_is_signed(
    letterhead: MakeHead, paper: Paper, kind: str, title: str
) -> None:
    slip = movement_document(
        letterhead(paper), make_movement(type=kind), till="03", reason="เงินทอน Change money"
    )
    text = printed_text(slip)
    assert title in text
    assert "฿70.50" in text
    assert "21 Nov 2026 13:05" in text
    assert "Change money" in text
    assert "Ice for the stall" in text
    assert "Cashier ...." in " ".join(text.split())
    assert "change_money" not in text
