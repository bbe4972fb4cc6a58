"""A document broken into strips: what stands on each line of the paper, dot by dot.

ESC/POS bytes and the PNG preview are both made from the same strips, so they cannot differ.
ASCII goes to the printer's own font; a block with any other character becomes an image,
because code pages for Thai differ from maker to maker.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import qrcode
from PIL import Image, ImageChops, ImageDraw
from qrcode.constants import ERROR_CORRECT_H, ERROR_CORRECT_L, ERROR_CORRECT_M, ERROR_CORRECT_Q

from playpark.printing.document import (
    CELL_DOTS,
    MIN_MODULE_DOTS,
    USUAL_MODULE_DOTS,
    Align,
    Block,
    Columns,
    Cut,
    Document,
    DocumentError,
    Ecc,
    Feed,
    KickDrawer,
    Paper,
    Qr,
    Rule,
    Size,
    Text,
)
from playpark.printing.fonts import LINE_DOTS, WHITE, text_line, text_width
from playpark.printing.wording import wrap

QUIET_MODULES = 4
_ECC_LEVELS = {
    "L": ERROR_CORRECT_L,
    "M": ERROR_CORRECT_M,
    "Q": ERROR_CORRECT_Q,
    "H": ERROR_CORRECT_H,
}
_RULE_HEIGHT = 14
_INVERSE_PAD = 5


@dataclass(frozen=True, slots=True)
class NativeLine:
    """ASCII in the printer's font A; never longer than the columns of the paper."""

    text: str
    align: Align
    bold: bool
    size: Size

    @property
    def pitch(self) -> int:
        """Dots to the next line."""
        return CELL_DOTS[1] * (self.size - 1) + LINE_DOTS


@dataclass(frozen=True, slots=True)
class Picture:
    """Dots, mode "1", placed from the left edge, never wider than the paper."""

    image: Image.Image


Strip = NativeLine | Picture | Feed | Cut | KickDrawer


def strips(document: Document) -> Iterator[Strip]:
    """The strips of a document from top to bottom.

    Raises DocumentError for a QR code that is wider than the paper.
    """
    for block in document.blocks:
        yield from _strips_of(block, document.paper)


def _strips_of(block: Block, paper: Paper) -> Iterator[Strip]:
    match block:
        case Text():
            yield from _text(block, paper)
        case Columns():
            yield from _columns(block, paper)
        case Rule():
            yield Picture(_rule(block, paper))
        case Qr():
            yield Picture(_centred(qr_image(block, paper), paper))
            if block.caption:
                yield from _text(Text(block.caption, Align.CENTER), paper)
        case Feed() | Cut() | KickDrawer():
            yield block


# --- text -------------------------------------------------------------------------------


def _text(block: Text, paper: Paper) -> Iterator[Strip]:
    if block.text.isascii() and not (block.inverse or block.drawn):
        columns = paper.columns // block.size
        for line in wrap(block.text, lambda text: len(text) <= columns):
            yield NativeLine(line, block.align, block.bold, block.size)
        return
    fits = _fits(paper.dots - 2 * _INVERSE_PAD * block.inverse, block)
    lines = wrap(block.text, fits)
    for number, line in enumerate(lines):
        x = _start(block.align, paper.dots, text_width(line, bold=block.bold, size=block.size))
        image = text_line(paper.dots, [(x, line)], bold=block.bold, size=block.size)
        yield Picture(_bar(image, number, len(lines)) if block.inverse else image)


def _bar(line: Image.Image, number: int, of: int) -> Image.Image:
    """White on black; the first and the last line of a bar get a rim and some air."""
    above, below = _INVERSE_PAD * (number == 0), _INVERSE_PAD * (number == of - 1)
    bar = Image.new("1", (line.width, above + line.height + below), 0)
    bar.paste(ImageChops.invert(line), (0, above))
    canvas = Image.new("1", (bar.width, bar.height + above + below), WHITE)
    canvas.paste(bar, (0, above))
    return canvas


def fitting_size(text: str, paper: Paper, *, bold: bool = True) -> Size:
    """2 where each word of `text`, drawn, fits on a line of its own at that size, else 1."""
    widest = max((text_width(word, bold=bold, size=2) for word in text.split()), default=0)
    return 2 if widest <= paper.dots else 1


def fitting_modules(data: str, paper: Paper, *, ecc: Ecc = "M") -> int:
    """Dots a module of the largest QR code of `data` that fits on the paper: 8, or 7 or 6 for a
    long one on a narrow roll (R22). 6 also where not even that fits."""
    modules: int = _code(data, ecc).modules_count + 2 * QUIET_MODULES
    return max(MIN_MODULE_DOTS, min(USUAL_MODULE_DOTS, paper.dots // modules))


def _columns(block: Columns, paper: Paper) -> Iterator[Strip]:
    if (block.lead + block.left + block.right).isascii():
        columns = paper.columns // block.size
        for line in column_lines(block, columns, len, cell=1):
            text = line.lead.ljust(line.indent) + line.left
            text += line.right.rjust(columns - len(text))
            yield NativeLine(text, Align.LEFT, block.bold, block.size)
        return
    measure = partial(text_width, bold=block.bold, size=block.size)
    for line in column_lines(block, paper.dots, measure, cell=CELL_DOTS[0] * block.size):
        end = paper.dots - measure(line.right)
        pieces = [(0, line.lead), (line.indent, line.left), (end, line.right)]
        yield Picture(text_line(paper.dots, pieces, bold=block.bold, size=block.size))


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """One line of a `Columns` block; `indent` is where `left` starts."""

    lead: str
    indent: int
    left: str
    right: str


def column_lines(
    block: Columns, width: int, measure: Callable[[str], int], *, cell: int
) -> list[ColumnLine]:
    """The lines of a block within `width` units of `measure`, of which a column takes `cell`.

    The figure stands whole beside the first line of the label; where it would leave the label
    less than a third of the paper, it goes below on lines of its own.
    """
    lead, label = block.lead, block.left
    if measure(lead) > width // 4:
        lead, label = "", f"{lead} {label}"
    indent = block.indent * cell
    if lead:
        indent = max(indent, measure(lead) + cell)
    width_left = width - indent
    room = width_left - measure(block.right) - cell if block.right else width_left
    beside = room >= width // 3
    left = wrap(label, lambda text: measure(text) <= (room if beside else width_left))
    lines = [ColumnLine("", indent, text, "") for text in left]
    lines[0] = replace(lines[0], lead=lead, right=block.right if beside else "")
    if beside:
        return lines
    figures = wrap(block.right, lambda text: measure(text) <= width)
    below = [ColumnLine("", 0, "", text) for text in figures]
    return lines + below if label or lead else below


def _fits(room: int, block: Text) -> Callable[[str], bool]:
    return lambda text: text_width(text, bold=block.bold, size=block.size) <= room


def _start(align: Align, room: int, width: int) -> int:
    spare = max(room - width, 0)
    return {Align.LEFT: 0, Align.CENTER: spare // 2, Align.RIGHT: spare}[align]


# --- pictures ---------------------------------------------------------------------------


def _rule(block: Rule, paper: Paper) -> Image.Image:
    image = Image.new("1", (paper.dots, _RULE_HEIGHT), WHITE)
    top = _RULE_HEIGHT // 2 - 1
    ImageDraw.Draw(image).rectangle((0, top, paper.dots, top + (3 if block.heavy else 1)), fill=0)
    return image


def _centred(image: Image.Image, paper: Paper) -> Image.Image:
    canvas = Image.new("1", (paper.dots, image.height), WHITE)
    canvas.paste(image, ((paper.dots - image.width) // 2, 0))
    return canvas


def qr_image(block: Qr, paper: Paper) -> Image.Image:
    """The code with its quiet zone of four modules, mode "1".

    Raises DocumentError where it is wider than the paper or the data is too long for any code.
    """
    code = _code(block.data, block.ecc, block.module_dots)
    width = (code.modules_count + 2 * QUIET_MODULES) * block.module_dots
    if width > paper.dots:
        msg = (
            f"a QR code of {width} dots does not fit on {paper.value} mm paper "
            f"({paper.dots} dots): use smaller modules, shorter data or wider paper"
        )
        raise DocumentError(msg)
    image: Image.Image = code.make_image().get_image()
    return image.convert("1")


def _code(data: str, ecc: Ecc, module_dots: int = USUAL_MODULE_DOTS) -> Any:
    """The code with as many modules as it takes. Raises DocumentError where the data is too long
    for any code."""
    code = qrcode.QRCode(
        error_correction=_ECC_LEVELS[ecc], box_size=module_dots, border=QUIET_MODULES
    )
    code.add_data(data)
    try:
        code.make(fit=True)
    except (qrcode.exceptions.DataOverflowError, ValueError) as exc:
        msg = f"{len(data)} characters are too many for one QR code at level {ecc}"
        raise DocumentError(msg) from exc
    return code
