"""The interpreter: the commands of other drivers too, and no byte dropped in silence."""

import pytest
import zxingcpp
from escpos.printer import Dummy
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from playpark.printing.interpreter import Unknown, interpret


def page_of(data: bytes) -> Image.Image:
    printed = interpret(data)
    assert printed.unknown == ()
    (page,) = printed.pages
    return page


def box(image: Image.Image) -> tuple[int, int, int, int]:
    found = ImageChops.invert(image).getbbox()
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("command", "length"),
    [
        (b"\x1b{\x01", 3),
        (b"\x1bZ", 2),
        (b"\x1dk\x04ABC\x00", 7),
        (b"\x1dk\x49\x03ABC", 7),
        (b"\x1d(A\x02\x00\x00\x02", 7),
        (b"\x1d(k\x03\x001P0", 0),
        (b"\x10\x14\x01\x00\x01", 2),
        (b"\x1dV\x09", 3),
        (b"\x1bt\x15", 0),
        (b"\r", 1),
        (b"\x1d(L\x0b\x000p0\xff\xff1\x08\x00\x01\x00A", 16),
        (b"\x1d(k\x03\x001C\xff", 8),
        (b"\x1c", 1),
    ],
)
def test_an_unknown_command_is_reported_with_its_offset(command: bytes, length: int) -> None:
    printed = interpret(b"abc\n" + command)
    if length:
        assert printed.unknown[0] == Unknown(4, command[:length])
    else:
        assert printed.unknown == ()


def test_letters_of_a_code_page_that_nobody_knows_are_reported() -> None:
    assert interpret(b"\x1bt\x15\xa1\n").unknown == (Unknown(3, b"\xa1"),)
    assert interpret(b"\x1bt\x00\x82\n").unknown == ()


@pytest.mark.parametrize("data", [b"\x1b", b"\x1dv0\x00\x10\x00\x10\x00abc", b"\x1d(k\xff\xff1"])
def test_a_command_that_breaks_off_is_reported(data: bytes) -> None:
    assert interpret(b"x" + data).unknown == (Unknown(1, data),)


@given(st.binary(max_size=200))
def test_no_bytes_can_break_it(data: bytes) -> None:
    interpret(data)


@given(st.lists(st.sampled_from([b"\x1b", b"\x1d", b"(k", b"(L", b"0p", b"v0", b"*", b"\x01\x00"])))
def test_no_half_commands_can_break_it(parts: list[bytes]) -> None:
    interpret(b"".join(parts))


def test_a_native_qr_code_is_drawn_and_reads_back() -> None:
    printer = Dummy()
    printer.qr("PLAYPARK-NATIVE", native=True, size=6)
    page = page_of(printer.output)
    framed = Image.new("L", (page.width, page.height + 80), 255)
    framed.paste(page, (0, 40))
    (found,) = zxingcpp.read_barcodes(framed)
    assert found.text == "PLAYPARK-NATIVE"


@pytest.mark.parametrize("impl", ["bitImageRaster", "graphics", "bitImageColumn"])
def test_an_image_looks_the_same_by_all_three_commands(impl: str) -> None:
    picture = Image.new("1", (48, 48), 255)
    picture.paste(0, (8, 16, 40, 30))
    picture.paste(0, (0, 40, 6, 48))
    printer = Dummy(profile="TM-T20II")
    printer.image(picture, impl=impl)
    page = page_of(printer.output)
    shown = page.crop((0, 0, 48, 48))
    assert ImageChops.difference(shown, picture).getbbox() is None


def test_alignment_size_and_weight_change_the_picture() -> None:
    assert box(page_of(b"\x1ba\x01WW\n"))[0] > 270
    assert box(page_of(b"\x1ba2WW\n"))[2] > 570
    left, top, right, bottom = box(page_of(b"\x1d!\x11W\n"))
    assert right - left > 18
    assert bottom - top > 28
    plain, bold = page_of(b"W\n"), page_of(b"\x1bE\x01W\n")
    assert bold.histogram()[0] > plain.histogram()[0]
    assert page_of(b"\x1dB\x01W\n").histogram()[0] > 100
    assert page_of(b"\x1b-\x02W\n").histogram()[0] >= plain.histogram()[0] + 20


def test_print_mode_and_font_b() -> None:
    assert box(page_of(b"\x1b!\x38WW\n"))[2] > 40
    assert box(page_of(b"\x1bM\x01WWWW\n"))[2] <= 36
    assert box(page_of(b"\x1b!\x81WW\n"))[3] == 17


def test_initialise_forgets_style() -> None:
    data = b"\x1d!\x22\x1bE\x01\x1ba\x02\x1b@W\n"
    assert ImageChops.difference(page_of(data), page_of(b"W\n")).getbbox() is None


def test_feeds_and_spacing_are_counted_in_dots() -> None:
    assert page_of(b"W\n").height == 30
    assert page_of(b"\x1b3\x3cW\n").height == 60
    assert page_of(b"\x1b3\x3c\x1b2W\n").height == 30
    assert page_of(b"W\n\x1bd\x02").height == 90
    assert page_of(b"W\n\x1bJ\x05").height == 35
    assert page_of(b"W\x1dVB\x0a").height == 40


def test_a_line_too_long_goes_on_below_as_on_a_printer() -> None:
    assert page_of(b"W" * 48 + b"\n").height == 30
    assert page_of(b"W" * 49 + b"\n").height == 60


def test_status_queries_and_kicks_are_counted() -> None:
    printed = interpret(b"\x10\x04\x01\x10\x04\x04\x1bp\x00\x32\x32")
    assert (printed.status_queries, printed.drawer_kicks, printed.pages) == (2, 1, ())
