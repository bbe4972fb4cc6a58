"""The slip of a guest who went in (R54, ATTACKS 36)."""

from collections.abc import Callable

import pytest

from playpark.contracts.catalog import PackageKind
from playpark.printing.admission_slip import Admission, admission_document, remaining_words
from playpark.printing.document import Cut, KickDrawer, Paper, Qr
from playpark.printing.escpos import to_escpos
from playpark.printing.interpreter import interpret
from playpark.printing.letterhead import Letterhead
from playpark.printing.raster import render_pages
from playpark.printing.text import to_text
from tests.printing.conftest import NOON

MakeHead = Callable[..., Letterhead]
TICKET = "01KA3Z8M4T6V7W9X0Y1Z2A3B4C"
ENTRY = Admission(
    at=NOON,
    ticket_id=TICKET,
    zone="Water Park",
    zone_th="สวนน้ำ",
    package="10 entries",
    package_th="บัตร 10 ครั้ง",
    kind=PackageKind.MULTI,
    remaining=9,
)


@pytest.mark.parametrize("paper", Paper, ids=str)
def test_R54_the_slip_says_where_when_and_what_is_left(letterhead: MakeHead, paper: Paper) -> None:
    text = to_text(admission_document(letterhead(paper), ENTRY, gate="Gate 2"))
    flowing = " ".join(text.split())

    for part in ("ADMITTED", "เข้าแล้ว", "Water Park", "สวนน้ำ", "10 entries", "Gate 2"):
        assert part in flowing
    assert "21 Nov 2026 15:42" in flowing  # park time
    assert "9 ครั้ง · 9 entries" in flowing


def test_R54_the_slip_admits_nobody(letterhead: MakeHead) -> None:
    document = admission_document(letterhead(), ENTRY, gate="Gate 2")

    assert not any(isinstance(block, Qr | KickDrawer) for block in document.blocks)
    assert isinstance(document.blocks[-1], Cut)
    assert TICKET not in to_text(document)
    assert "...1Z2A3B4C" in to_text(document)


def test_a_gate_of_the_park_as_a_whole_prints_that(letterhead: MakeHead) -> None:
    text = to_text(admission_document(letterhead(), Admission(NOON, TICKET), gate="Gate"))

    assert "Park entrance" in text
    assert "สวนสนุก" in text


@pytest.mark.parametrize(
    ("kind", "left", "words"),
    [
        (PackageKind.MULTI, 1, "1 ครั้ง · 1 entry"),
        (PackageKind.MULTI, 0, "0 ครั้ง · 0 entries"),
        (PackageKind.TIMEPASS, 95, "95 นาที · 95 min"),
        (PackageKind.CREDIT, 42_050, "฿420.50"),
        (PackageKind.SINGLE, 0, ""),
        (PackageKind.MULTI, None, ""),
        (None, 3, ""),
    ],
)
def test_R18_what_is_left_has_its_unit(
    kind: PackageKind | None, left: int | None, words: str
) -> None:
    assert remaining_words(kind, left) == words


@pytest.mark.parametrize("paper", Paper, ids=str)
def test_the_printer_prints_what_the_picture_shows(letterhead: MakeHead, paper: Paper) -> None:
    document = admission_document(letterhead(paper), ENTRY, gate="Gate 2")

    (drawn,) = render_pages(document)
    result = interpret(to_escpos(document), paper)

    assert drawn.width == paper.dots
    assert len(result.pages) == 1
    assert result.unknown == ()


def test_attack_36_no_name_carries_a_printer_command(letterhead: MakeHead) -> None:
    evil = "\x1b@\x1dV\x00\x10\x04\x01[/b]"
    entry = Admission(
        NOON, TICKET, zone=evil * 20, zone_th=evil, package="ที่ปั๊ม" * 40, package_th=evil
    )

    document = admission_document(letterhead(), entry, gate=evil)

    assert "\x1b" not in to_text(document)
    assert interpret(to_escpos(document)).unknown == ()
