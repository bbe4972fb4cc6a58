"""What is printed, before any printer: a document is a tuple of blocks on a paper width.

Blocks clean their text as they are made, so no name of a guest or package can carry a printer
command (attack 36), and a QR code is never smaller than a gate can read.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Literal, Self, get_args

from playpark.printing.wording import clean_text, has_control

CELL_DOTS = (12, 24)
"""Width and height of a printer's font A, in dots of 1/203 inch."""
MIN_MODULE_DOTS = 6
"""The smallest QR module that cameras at a gate read reliably: 0.75 mm (PLATFORM: QR)."""
USUAL_MODULE_DOTS = 8

MAX_INDENT = 8
"""Columns that may stand before a label."""

Size = Literal[1, 2, 3]
Ecc = Literal["L", "M", "Q", "H"]


class DocumentError(ValueError):
    """A document that cannot be printed as asked; the message says what to change."""


class Align(StrEnum):
    LEFT = "left"
    CENTER = "center"
    RIGHT = "right"


class Paper(Enum):
    """A roll by its width: printable dots and columns of font A."""

    MM58 = 58
    MM80 = 80

    @property
    def dots(self) -> int:
        return 384 if self is Paper.MM58 else 576

    @property
    def columns(self) -> int:
        return self.dots // CELL_DOTS[0]


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; it wraps. `inverse` prints white on a black bar across the paper.

    `drawn` uses the shipped face even for ASCII, which else prints in the printer's own font.
    """

    text: str
    align: Align = Align.LEFT
    bold: bool = False
    size: Size = 1
    inverse: bool = False
    drawn: bool = False

    def __post_init__(self) -> None:
        _clean(self, "text")
        _check_size(self.size)


@dataclass(frozen=True, slots=True)
class Columns:
    """A label that wraps on the left and a figure on the right that is never cut.

    The label starts after `indent` columns, in which `lead` may stand (the quantity of a line).
    Raises DocumentError where indent or lead takes more than 8 columns.
    """

    left: str
    right: str = ""
    bold: bool = False
    size: Size = 1
    indent: int = 0
    lead: str = ""

    def __post_init__(self) -> None:
        _clean(self, "left", "right", "lead")
        _check_size(self.size)
        if not 0 <= self.indent <= MAX_INDENT or len(self.lead) > MAX_INDENT:
            msg = f"an indent or a lead takes 0 to {MAX_INDENT} columns"
            raise DocumentError(msg)


@dataclass(frozen=True, slots=True)
class Rule:
    """A line across the paper: thin, or `heavy` above a total."""

    heavy: bool = False


@dataclass(frozen=True, slots=True)
class Qr:
    """A QR code in the middle, its caption below.

    Raises DocumentError for modules under 6 dots and for data that is empty or has control
    characters: those would be data of another ticket once they were cleaned.
    """

    data: str
    caption: str | None = None
    module_dots: int = USUAL_MODULE_DOTS
    ecc: Ecc = "M"

    def __post_init__(self) -> None:
        if not self.data or has_control(self.data):
            raise DocumentError("a QR code needs data without control characters")
        if self.module_dots < MIN_MODULE_DOTS:
            msg = f"a QR module of {self.module_dots} dots is too small to scan: use 6 or more"
            raise DocumentError(msg)
        if self.ecc not in get_args(Ecc):
            msg = f"{self.ecc!r} is no level of error correction: use L, M, Q or H"
            raise DocumentError(msg)
        if self.caption is not None:
            _clean(self, "caption")


@dataclass(frozen=True, slots=True)
class Feed:
    """Blank lines of 30 dots (3.75 mm). Raises DocumentError outside 1 to 255."""

    lines: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.lines <= 255:
            raise DocumentError("a feed is 1 to 255 lines")


@dataclass(frozen=True, slots=True)
class Cut:
    """The end of one paper."""


@dataclass(frozen=True, slots=True)
class KickDrawer:
    """Opens the cash drawer that hangs on the printer."""


Block = Text | Columns | Rule | Qr | Feed | Cut | KickDrawer


@dataclass(frozen=True, slots=True)
class Document:
    """Blocks from top to bottom on one paper width; `a + b` prints b after a.

    Raises DocumentError when papers of two widths are joined.
    """

    blocks: tuple[Block, ...]
    paper: Paper = Paper.MM80

    def __add__(self, other: Self) -> Self:
        if other.paper is not self.paper:
            raise DocumentError("documents for papers of two widths cannot be joined")
        return type(self)((*self.blocks, *other.blocks), self.paper)


def _clean(block: Text | Columns | Qr, *names: str) -> None:
    for name in names:
        object.__setattr__(block, name, clean_text(getattr(block, name)))


def _check_size(size: int) -> None:
    if size not in get_args(Size):
        msg = f"a text size is 1, 2 or 3, not {size}"
        raise DocumentError(msg)
