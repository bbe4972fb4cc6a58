"""Documents as plain text, for logs and tests: the columns of the paper, QR data in brackets."""

from collections.abc import Iterator

from playpark.printing.document import (
    Align,
    Block,
    Columns,
    Cut,
    Document,
    Feed,
    KickDrawer,
    Qr,
    Rule,
    Text,
)
from playpark.printing.layout import column_lines
from playpark.printing.wording import display_width, wrap

_RULE = {False: "-", True: "="}


def to_text(document: Document) -> str:
    """Lines of at most the paper's columns (a long QR code excepted), each ending in LF.

    Width is counted as a terminal shows it: Thai marks take no column.
    """
    lines = (line for block in document.blocks for line in _lines(block, document.paper.columns))
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _lines(block: Block, columns: int) -> Iterator[str]:
    match block:
        case Text():
            yield from _paragraph(block.text, block.align, columns)
        case Columns():
            yield from _columns(block, columns)
        case Rule():
            yield _RULE[block.heavy] * columns
        case Qr():
            yield _placed(f"[{block.data}]", Align.CENTER, columns)
            yield from _paragraph(block.caption or "", Align.CENTER, columns)
        case Feed():
            yield from [""] * block.lines
        case Cut():
            yield " -" * (columns // 2)
        case KickDrawer():
            yield "[drawer]"


def _columns(block: Columns, columns: int) -> Iterator[str]:
    for line in column_lines(block, columns, display_width, cell=1):
        left = line.lead + " " * (line.indent - display_width(line.lead)) + line.left
        yield left + " " * (columns - display_width(left + line.right)) + line.right


def _paragraph(text: str, align: Align, columns: int) -> Iterator[str]:
    for line in wrap(text, lambda part: display_width(part) <= columns):
        yield _placed(line, align, columns)


def _placed(line: str, align: Align, columns: int) -> str:
    spare = max(columns - display_width(line), 0)
    return " " * {Align.LEFT: 0, Align.CENTER: spare // 2, Align.RIGHT: spare}[align] + line
