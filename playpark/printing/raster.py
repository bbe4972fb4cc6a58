"""Documents as pictures: what the paper will show, without a printer.

One page a cut, in dots of 1/203 inch; `preview_png` lays pages on a grey table to be looked at.
"""

from collections.abc import Iterable
from io import BytesIO

from PIL import Image

from playpark.printing.document import CELL_DOTS, Align, Cut, Document, Feed, KickDrawer
from playpark.printing.fonts import LINE_DOTS, WHITE, cell, stack
from playpark.printing.layout import NativeLine, Picture, strips

_MARGIN = 32
_TABLE = 0xC8
_GAP = 28


def render_pages(document: Document) -> list[Image.Image]:
    """One image (mode "1", as wide as the paper's dots) for each paper of the document.

    Raises DocumentError for a QR code that does not fit on the paper.
    """
    pages: list[list[Image.Image]] = [[]]
    for strip in strips(document):
        match strip:
            case NativeLine():
                pages[-1].append(_native(strip, document.paper.dots))
            case Picture():
                pages[-1].append(strip.image)
            case Feed():
                pages[-1].append(Image.new("1", (1, strip.lines * LINE_DOTS), WHITE))
            case Cut():
                pages.append([])
            case KickDrawer():
                pass
    return [stack(page, document.paper.dots) for page in pages if page]


def _native(line: NativeLine, dots: int) -> Image.Image:
    image = Image.new("1", (dots, line.pitch), WHITE)
    advance = CELL_DOTS[0] * line.size
    spare = dots - advance * len(line.text)
    x = {Align.LEFT: 0, Align.CENTER: spare // 2, Align.RIGHT: spare}[line.align]
    for char in line.text:
        image.paste(cell(char, bold=line.bold, across=line.size, down=line.size), (x, 0))
        x += advance
    return image


def preview_png(pages: Iterable[Image.Image]) -> bytes:
    """A PNG of the pages with the margins of their paper, one below the other."""
    papers = [_with_margins(page) for page in pages]
    width = max((paper.width for paper in papers), default=0) + 2 * _GAP
    height = sum(paper.height + _GAP for paper in papers) + _GAP
    table = Image.new("L", (width, height), _TABLE)
    y = _GAP
    for paper in papers:
        table.paste(paper, (_GAP, y))
        y += paper.height + _GAP
    buffer = BytesIO()
    table.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _with_margins(page: Image.Image) -> Image.Image:
    paper = Image.new("L", (page.width + 2 * _MARGIN, page.height + 2 * _MARGIN), 255)
    paper.paste(page, (_MARGIN, _MARGIN))
    return paper
