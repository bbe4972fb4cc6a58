"""Documents: text cleaned as it comes in, figures whole, nothing past the edge of the paper."""

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playpark.printing.document import (
    Align,
    Columns,
    Cut,
    Document,
    DocumentError,
    Feed,
    KickDrawer,
    Paper,
    Qr,
    Rule,
    Text,
)
from playpark.printing.fonts import text_width
from playpark.printing.layout import NativeLine, Picture, column_lines, fitting_size, strips
from playpark.printing.text import to_text
from playpark.printing.wording import clusters, display_width, wrap

THAI = st.text(st.sampled_from("กขญฐปพรสอ์่้๊ัิีึุูำะาเแโไๆฯ฿ 0a"), max_size=40)
ANY = st.one_of(st.text(max_size=40), THAI)
SIZES = st.sampled_from([1, 2, 3])


@pytest.mark.parametrize(
    "hostile",
    ["\x1b@", "\x10\x04\x01", "\x1dV\x00", "\x00", "\x7f", "\x9b31m", "\u202e", "\u2066", "\ufeff"],
)
def test_control_characters_never_reach_a_block(hostile: str) -> None:
    text = f"Som{hostile}chai"
    blocks = (Text(text), Columns(text, text, lead=hostile), Qr("DATA", caption=text))
    shown = to_text(Document(blocks))
    assert all(unicodedata.category(char) not in {"Cc", "Cf"} for char in shown if char != "\n")
    assert "Som" in blocks[0].text
    assert "chai" in blocks[0].text


def test_a_line_break_in_a_name_becomes_a_blank() -> None:
    assert Text("Som\r\nchai\u2028Park").text == "Som  chai Park"


def test_a_qr_code_refuses_data_that_cleaning_would_change() -> None:
    with pytest.raises(DocumentError, match="without control characters"):
        Qr("PP1\x1b@")


def test_a_qr_module_under_six_dots_is_refused() -> None:
    with pytest.raises(DocumentError, match="too small to scan: use 6 or more"):
        Qr("DATA", module_dots=5)
    assert Qr("DATA", module_dots=6).module_dots == 6


@pytest.mark.parametrize("module_dots", [11, 40])
def test_a_qr_code_wider_than_the_paper_is_refused(token: str, module_dots: int) -> None:
    document = Document((Qr(token, module_dots=module_dots),), Paper.MM58)
    with pytest.raises(DocumentError, match="does not fit on 58 mm paper"):
        list(strips(document))


def test_a_pp1_token_fits_narrow_paper_at_ten_dots_a_module(token: str) -> None:
    (picture,) = strips(Document((Qr(token, module_dots=10),), Paper.MM58))
    assert isinstance(picture, Picture)
    assert picture.image.size == (384, 370)  # version 3: 29 modules and twice 4 of quiet zone


def test_data_too_long_for_any_code_is_refused() -> None:
    with pytest.raises(DocumentError, match="too many for one QR code"):
        list(strips(Document((Qr("x" * 3000),))))


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Text("x", size=4), "size is 1, 2 or 3"),  # type: ignore[arg-type]
        (lambda: Qr("x", ecc="Z"), "level of error correction"),  # type: ignore[arg-type]
        (lambda: Feed(0), "1 to 255"),
        (lambda: Columns("x", indent=9), "indent"),
        (lambda: Document((), Paper.MM58) + Document((), Paper.MM80), "two widths"),
    ],
)
def test_impossible_blocks_say_what_is_wrong(make: object, problem: str) -> None:
    with pytest.raises(DocumentError, match=problem):
        make()  # type: ignore[operator]


@given(
    st.builds(
        Text, ANY, st.sampled_from(Align), size=SIZES, inverse=st.booleans(), drawn=st.booleans()
    ),
    st.sampled_from(Paper),
)
def test_no_text_is_wider_than_the_paper(block: Text, paper: Paper) -> None:
    size = block.size
    for strip in strips(Document((block,), paper)):
        if isinstance(strip, NativeLine):
            assert len(strip.text) * strip.size <= paper.columns
        else:
            assert isinstance(strip, Picture)
            assert strip.image.width <= paper.dots
    for line in wrap(block.text, lambda part: text_width(part, bold=False, size=size) <= 384):
        assert text_width(line, bold=False, size=size) <= 384


@given(ANY, ANY, st.text(max_size=8), SIZES, st.sampled_from(Paper))
def test_columns_keep_the_paper_and_every_character_of_the_figure(
    left: str, right: str, lead: str, size: int, paper: Paper
) -> None:
    block = Columns(left, right, size=size, lead=lead, indent=4)  # type: ignore[arg-type]
    for strip in strips(Document((block,), paper)):
        if isinstance(strip, NativeLine):
            assert len(strip.text) * strip.size <= paper.columns
    lines = to_text(Document((block,), paper)).splitlines()
    assert all(display_width(line) <= paper.columns for line in lines)
    whole = "".join("".join(lines).split())
    assert all(char in whole for char in block.right if char != " ")


@pytest.mark.parametrize("paper", Paper)
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("label", ["A very long label " * 4, "บัตรเที่ยวทั้งวัน" * 6])
def test_a_figure_is_never_cut(paper: Paper, size: int, label: str) -> None:
    block = Columns(label, "1,234.56", size=size)  # type: ignore[arg-type]
    assert "1,234.56" in to_text(Document((block,), paper))
    natives = [
        strip for strip in strips(Document((block,), paper)) if isinstance(strip, NativeLine)
    ]
    assert not natives or any(strip.text.endswith("1,234.56") for strip in natives)


def test_a_long_label_wraps_beside_its_figure_and_under_its_own_start() -> None:
    block = Columns("Family pass for five with lunch and lockers", "12.00", lead="2 x")
    assert to_text(Document((block,), Paper.MM58)).splitlines() == [
        "2 x Family pass for five   12.00",
        "    with lunch and lockers",
    ]


def test_a_figure_as_wide_as_the_paper_stands_on_its_own_line() -> None:
    block = Columns("Total", "9" * 30)
    assert to_text(Document((block,), Paper.MM58)).splitlines() == ["Total", "  " + "9" * 30]


def test_thai_marks_take_no_column() -> None:
    assert display_width("ที่นี่") == 2
    assert display_width("น้ำ") == 2
    assert display_width("日本") == 4


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("ที่นี่", ["ที่", "นี่"]),
        ("เที่ยว", ["เที่", "ย", "ว"]),
        ("พาร์ค", ["พาร์", "ค"]),
        ("น้ำ", ["น้ำ"]),
    ],
)
def test_a_line_never_breaks_between_a_consonant_and_its_marks(
    text: str, pieces: list[str]
) -> None:
    assert list(clusters(text)) == pieces


def test_a_thai_word_longer_than_a_line_breaks_before_a_consonant() -> None:
    lines = wrap("ที่นี่ที่นี่", lambda part: len(part) <= 4)
    assert lines == ["ที่", "นี่", "ที่", "นี่"]


@given(
    st.builds(Columns, ANY, ANY, size=SIZES, lead=st.text("W2 ×", max_size=8)),
    st.integers(0, 8),
    st.sampled_from(Paper),
)
def test_lead_label_and_figure_stand_side_by_side(
    block: Columns, indent: int, paper: Paper
) -> None:
    block = replace(block, indent=indent)

    def measure(text: str) -> int:
        return text_width(text, bold=False, size=block.size)

    for line in column_lines(block, paper.dots, measure, cell=12 * block.size):
        assert measure(line.lead) <= line.indent
        assert line.indent + measure(line.left) + measure(line.right) <= paper.dots


@given(ANY, st.integers(1, 20))
def test_wrapping_loses_no_character(text: str, width: int) -> None:
    lines = wrap(text, lambda part: display_width(part) <= width)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_a_name_that_would_be_torn_at_double_size_is_set_smaller() -> None:
    assert fitting_size("สวนสนุกเพลย์พาร์ค", Paper.MM80) == 2
    assert fitting_size("สวนสนุกเพลย์พาร์ค", Paper.MM58) == 1


def test_plain_text_shows_every_block() -> None:
    blocks = (
        Text("Hello", Align.RIGHT),
        Rule(),
        Rule(heavy=True),
        Qr("DATA", "caption"),
        Feed(),
        KickDrawer(),
        Cut(),
    )
    assert to_text(Document(blocks, Paper.MM58)).splitlines() == [
        "Hello".rjust(32),
        "-" * 32,
        "=" * 32,
        " " * 13 + "[DATA]",
        " " * 12 + "caption",
        "",
        "[drawer]",
        " -" * 16,
    ]
