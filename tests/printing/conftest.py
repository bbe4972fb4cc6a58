"""A park, a sale and its tickets, to be printed: each fixture is a function that makes one."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from playpark.contracts.catalog import PackageKind
from playpark.contracts.pricing import PaymentMethod, PricedLine, Slice
from playpark.contracts.sales import PaymentView, SaleView
from playpark.contracts.shifts import SalesTotals
from playpark.contracts.tickets import TicketView
from playpark.printing.document import Paper
from playpark.printing.letterhead import Letterhead
from playpark.printing.shift_report import ShiftReport

TOKEN = "PP1.K1.01KA3Z8M4T6V7W9X0Y1Z2A3B4C.ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NOON = datetime(2026, 11, 21, 8, 42, tzinfo=UTC)


def make_letterhead(paper: Paper = Paper.MM80) -> Letterhead:
    return Letterhead(
        park="สวนสนุกเพลย์พาร์ค",
        store="PlayPark Bang Saen – Main Gate",
        zone=ZoneInfo("Asia/Bangkok"),
        header=("88/9 ถ.ลงหาดบางแสน ต.แสนสุข อ.เมือง ชลบุรี 20130", "Tel. 038 123 456"),
        footer=("ขอบคุณที่มาเที่ยวกับเรา · Thank you!", "www.playpark.example"),
        tax_registration="0105551234567",
        paper=paper,
    )


def make_line(name: str, name_th: str, qty: int, unit_price: int, discount: int = 0) -> PricedLine:
    gross = qty * unit_price
    payable = gross - discount
    vat = round(payable * 7 / 107)
    money = {
        "gross": gross,
        "line_discount": discount,
        "cart_discount": 0,
        "payable": payable,
        "vat": vat,
        "vat_rate": 700,
    }
    return PricedLine(
        package_id="pk1",
        name=name,
        name_th=name_th,
        qty=qty,
        unit_price=unit_price,
        slices=[Slice(**money)],
        **money,
    )


def make_sale(**changes: Any) -> SaleView:
    lines = [
        make_line("Adult Day Pass", "บัตรเที่ยวทั้งวัน ผู้ใหญ่", 2, 89_000, 17_800),
        make_line("Child Day Pass (90–130 cm)", "บัตรเที่ยวทั้งวัน เด็ก", 1, 59_000),
        make_line("Fast Lane 10 rides, all big roller coasters", "ช่องด่วน 10 เครื่องเล่น", 1, 50_025),
    ]
    total = sum(one.payable for one in lines)
    fields: dict[str, Any] = {
        "sale_id": "s1",
        "receipt_no": "03-S000128",
        "business_date": date(2026, 11, 21),
        "occurred_at": NOON,
        "device_id": "d1",
        "shift_id": "sh1",
        "cashier_id": "e1",
        "cashier_name": "Nok (นก)",
        "lines": lines,
        "subtotal": sum(one.gross for one in lines),
        "discount_total": 17_800,
        "tax_total": sum(one.vat for one in lines),
        "surcharge_total": 0,
        "cash_rounding": -25,
        "grand_total": total - 25,
        "payments": [
            PaymentView(
                payment_id="p1", method=PaymentMethod.CARD, amount=100_000, reference="4821"
            ),
            PaymentView(
                payment_id="p2",
                method=PaymentMethod.CASH,
                amount=total - 25 - 100_000,
                tendered=200_000,
            ),
        ],
        "change": 200_000 - (total - 25 - 100_000),
        "payment_method": "split",
        "catalog_version": 1,
    }
    return SaleView(**{**fields, **changes})


def make_ticket(**changes: Any) -> TicketView:
    fields: dict[str, Any] = {
        "ticket_id": "01KA3Z8M4T6V7W9X0Y1Z2A3B4C",
        "short_code": "7K2M9QXA",
        "qr_token": TOKEN,
        "kind": PackageKind.SINGLE,
        "package_id": "pk1",
        "package_name": "Adult Day Pass",
        "package_name_th": "บัตรเที่ยวทั้งวัน ผู้ใหญ่",
        "quota_or_minutes": 1,
        "valid_from": datetime(2026, 11, 20, 21, 0, tzinfo=UTC),
        "valid_to": datetime(2026, 11, 21, 21, 0, tzinfo=UTC),
        "payable": 80_100,
    }
    return TicketView(**{**fields, **changes})


def make_shift_report(**changes: Any) -> ShiftReport:
    fields: dict[str, Any] = {
        "till": "03 Main Gate",
        "cashier": "Nok (นก)",
        "opened_at": datetime(2026, 11, 21, 2, 0, tzinfo=UTC),
        "printed_at": NOON,
        "sales": SalesTotals(
            count=128, amount=24_512_050, by_method={"cash": 9_512_050, "qr": 15_000_000}
        ),
        "cash_open": 500_000,
    }
    return ShiftReport(**{**fields, **changes})


@pytest.fixture
def token() -> str:
    return TOKEN


@pytest.fixture
def letterhead() -> Callable[..., Letterhead]:
    return make_letterhead


@pytest.fixture
def sale() -> Callable[..., SaleView]:
    return make_sale


@pytest.fixture
def ticket() -> Callable[..., TicketView]:
    return make_ticket


@pytest.fixture
def shift_report() -> Callable[..., ShiftReport]:
    return make_shift_report
