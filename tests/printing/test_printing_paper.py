"""ESC/POS bytes against the preview: what the printer shows is what was promised."""

from collections.abc import Callable
from io import BytesIO

import pytest
import zxingcpp
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, features

from playpark.printing.document import (
    Align,
    Block,
    Columns,
    Cut,
    Document,
    Feed,
    KickDrawer,
    Paper,
    Qr,
    Rule,
    Text,
)
from playpark.printing.escpos import to_escpos
from playpark.printing.interpreter import interpret
from playpark.printing.layout import strips
from playpark.printing.raster import preview_png, render_pages

BLOCKS = [
    Text("Plain ASCII"),
    Text("Centred, bold", Align.CENTER, bold=True),
    Text("Right", Align.RIGHT, size=2),
    Text("Huge and long enough to wrap", size=3),
    Text("ตั๋วผู้ใหญ่ ฿500", Align.CENTER, size=2),
    Text("Drawn ASCII", drawn=True),
    Text("NOT FINAL", Align.CENTER, inverse=True),
    Columns("2 x Pass", "1,200.00"),
    Columns("ยอดรวม", "1,200.00", bold=True, size=2),
    Columns("บัตร", "1.00", lead="2 ×", indent=4),
    Rule(),
    Rule(heavy=True),
    Qr("HELLO", "caption"),
    Feed(3),
    KickDrawer(),
]


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.size == other.size and one.tobytes() == other.tobytes()


def trimmed(image: Image.Image) -> Image.Image:
    return image.crop(ImageChops.invert(image).getbbox())


def ink(image: Image.Image) -> int:
    return image.histogram()[0]


def only_page(*blocks: Block, paper: Paper = Paper.MM80) -> Image.Image:
    (page,) = interpret(to_escpos(Document(blocks, paper)), paper).pages
    return page


@pytest.mark.parametrize("paper", Paper)
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: type(block).__name__)
def test_every_block_prints_as_previewed(block: Block, paper: Paper) -> None:
    document = Document((Text("above"), block, Text("below"), Cut()), paper)
    printed = interpret(to_escpos(document), paper)
    (preview,) = render_pages(document)
    assert same(printed.pages[0], preview)
    assert printed.unknown == ()


def test_a_cut_ends_a_page_and_a_kick_opens_the_drawer() -> None:
    document = Document((KickDrawer(), Text("one"), Cut(), Text("two"), Cut()))
    printed = interpret(to_escpos(document))
    assert len(printed.pages) == len(render_pages(document)) == 2
    assert printed.drawer_kicks == 1
    assert not same(*printed.pages)


@pytest.mark.parametrize("paper", Paper)
@pytest.mark.parametrize("module_dots", [6, 8])
def test_a_printed_qr_code_reads_back_exactly(token: str, paper: Paper, module_dots: int) -> None:
    page = only_page(Text("above"), Qr(token, module_dots=module_dots), Text("below"), paper=paper)
    (found,) = zxingcpp.read_barcodes(page.convert("L"))
    assert found.bytes == token.encode()


def test_a_qr_code_keeps_four_modules_of_white_around_it(token: str) -> None:
    page = only_page(Qr(token, module_dots=6))
    left, top, right, bottom = ImageChops.invert(page).getbbox() or (0, 0, 0, 0)
    assert (right - left, bottom - top) == (29 * 6, 29 * 6)
    assert top == page.height - bottom == 4 * 6
    assert left == page.width - right


def test_ascii_travels_as_text_and_thai_as_an_image() -> None:
    assert b"Adult Day Pass\n" in to_escpos(Document((Text("Adult Day Pass"),)))
    thai = to_escpos(Document((Text("บัตรผู้ใหญ่ Adult"),)))
    assert b"Adult" not in thai
    assert b"?" not in thai[:20]
    assert b"\x1dv0" in thai


def test_an_image_is_not_shifted_by_the_alignment_of_the_text_before() -> None:
    data = to_escpos(Document((Text("centred", Align.CENTER), Text("ไทย"))))
    assert data.rindex(b"\x1ba\x00") > data.rindex(b"\x1ba\x01")
    assert data.rindex(b"\x1ba\x00") < data.index(b"\x1dv0")


@pytest.mark.parametrize(("one", "other"), [("ที่", "ที้"), ("ที", "ที่"), ("ปั๊ม", "ปั้ม"), ("ก", "กุ")])
def test_thai_marks_are_seen_on_paper(one: str, other: str) -> None:
    assert ink(only_page(Text(one, size=1))) > 20
    assert not same(only_page(Text(one)), only_page(Text(other)))


def test_marks_upon_marks_are_not_beheaded() -> None:
    for text in ("ปั๊ม", "ที่", "น้ำ"):
        page = only_page(Text(text, bold=True, size=2))
        _, top, _, bottom = ImageChops.invert(page).getbbox() or (0, 0, 0, 0)
        assert top > 0, text
        assert bottom < page.height, text


def test_the_baht_sign_is_in_the_font() -> None:
    missing = only_page(Text("\U0001f600"))
    assert not same(only_page(Text("฿")), missing)
    assert not same(only_page(Text("฿")), only_page(Text("ก")))


def test_money_stands_flush_right_on_text_and_image_lines() -> None:
    for label in ("Total", "ยอดรวม"):
        page = only_page(Columns(label, "1,234.50"))
        box = ImageChops.invert(page).getbbox()
        assert box is not None
        assert page.width - 4 <= box[2] <= page.width


@pytest.mark.parametrize("paper", Paper)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_drawn_figure_is_whole_beside_any_label(paper: Paper, size: int) -> None:
    figure = "฿1,234.56"
    expected = trimmed(only_page(Text(figure, Align.RIGHT, size=size), paper=paper))  # type: ignore[arg-type]
    block = Columns("บัตรเที่ยวทั้งวันสำหรับครอบครัวใหญ่ ปั๊ม", figure, size=size)  # type: ignore[arg-type]
    lines = [strip.image for strip in strips(Document((block,), paper))]  # type: ignore[union-attr]
    ends = [
        trimmed(line.crop((line.width - expected.width - 8 * size, 0, line.width, line.height)))
        for line in lines
    ]
    assert any(same(end, expected) for end in ends)


@settings(
    max_examples=settings.default.max_examples // 5,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
)
@given(st.text(max_size=30), st.text(max_size=10), st.sampled_from(Paper))
def test_no_text_can_smuggle_a_command(left: str, right: str, paper: Paper) -> None:
    document = Document((Text(left), Columns(left, right), Qr("X", left), Cut()), paper)
    printed = interpret(to_escpos(document), paper)
    assert printed.unknown == ()
    assert printed.drawer_kicks == printed.status_queries == 0
    (page,), (preview,) = printed.pages, render_pages(document)
    assert page.width == paper.dots
    assert same(page, preview)


def test_nothing_is_written_to_the_screen_of_the_till(capfd: pytest.CaptureFixture[str]) -> None:
    to_escpos(Document((Text("ไทย"), Qr("X"), Rule()), Paper.MM58))
    to_escpos(Document((Text("ไทย"), Qr("X"), Rule()), Paper.MM80))
    assert capfd.readouterr() == ("", "")


def test_without_raqm_thai_still_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    from playpark.printing import fonts

    monkeypatch.setattr(features, "check", lambda _name: False)
    fonts._face.cache_clear()
    try:
        assert ink(only_page(Text("ที่นี่ ฿500"))) > 100
    finally:
        fonts._face.cache_clear()


def test_the_preview_is_a_png_of_all_papers(letterhead: Callable[..., object]) -> None:
    pages = render_pages(Document((Text("one"), Cut(), Text("two"), Cut())))
    image = Image.open(BytesIO(preview_png(pages)))
    assert image.format == "PNG"
    assert image.width > Paper.MM80.dots
    assert image.height > sum(page.height for page in pages)
