"""What the paper shows: ESC/POS bytes read back into pictures, for demos and tests.

A command that is not understood is never dropped silently: it is reported with its offset.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import qrcode
from PIL import Image, ImageChops, ImageDraw
from qrcode.constants import ERROR_CORRECT_H, ERROR_CORRECT_L, ERROR_CORRECT_M, ERROR_CORRECT_Q

from playpark.printing.document import Paper
from playpark.printing.fonts import LINE_DOTS, WHITE, cell, stack

ESC, GS, DLE_EOT = b"\x1b", b"\x1d", b"\x10\x04"
_QR_LEVELS = {
    48: ERROR_CORRECT_L,
    49: ERROR_CORRECT_M,
    50: ERROR_CORRECT_Q,
    51: ERROR_CORRECT_H,
}
_FONT_B = (9, 17)
_COLUMN_MODES = {0: (1, 2, 1), 1: (1, 1, 1), 32: (3, 2, 1), 33: (3, 1, 1)}
"""ESC * mode: bytes a column, dots across and down for each dot of the image."""
_ARGUMENTS_OF_UNKNOWN = {b"\x1b{": 1, b"\x1bR": 1, b"\x1b ": 1, b"\x1bG": 1, b"\x1bc": 2} | {
    GS + bytes([letter]): 1 for letter in b"hwfHab"
}


@dataclass(frozen=True, slots=True)
class Unknown:
    """A command that no rule here reads, from its byte `offset` on."""

    offset: int
    command: bytes


@dataclass(frozen=True, slots=True)
class Printed:
    """The papers (mode "1", as wide as the paper's dots), and what happened besides."""

    pages: tuple[Image.Image, ...]
    unknown: tuple[Unknown, ...]
    drawer_kicks: int
    status_queries: int


def interpret(data: bytes, paper: Paper = Paper.MM80) -> Printed:
    """Print `data` on paper that is cut into pages. Never raises for any bytes."""
    return _Printer(data, paper).run()


class _TruncatedError(Exception):
    """The bytes end inside a command."""


class _UnknownError(Exception):
    """A command that is not understood; it has been read to its end."""


@dataclass(slots=True)
class _Style:
    """What ESC @ resets."""

    align: int = 0
    bold: bool = False
    underline: int = 0
    reverse: bool = False
    across: int = 1
    down: int = 1
    small: bool = False
    code_page: int = 0
    spacing: int = LINE_DOTS


@dataclass(slots=True)
class _Code:
    """The native QR code that GS ( k is building."""

    module: int = 3
    level: int = 48
    data: bytes = b""


@dataclass
class _Printer:
    data: bytes
    paper: Paper
    at: int = 0
    style: _Style = field(default_factory=_Style)
    code: _Code = field(default_factory=_Code)
    graphic: Image.Image | None = None
    line: list[Image.Image] = field(default_factory=list)
    page: list[Image.Image] = field(default_factory=list)
    pages: list[Image.Image] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    kicks: int = 0
    queries: int = 0

    def run(self) -> Printed:
        while self.at < len(self.data):
            start = self.at
            try:
                self._command()
            except _UnknownError:
                self.unknown.append(Unknown(start, self.data[start : self.at]))
            except _TruncatedError:
                self.at = len(self.data)
                self.unknown.append(Unknown(start, self.data[start:]))
        self._cut()
        return Printed(tuple(self.pages), tuple(self.unknown), self.kicks, self.queries)

    # --- reading ------------------------------------------------------------------------

    def _take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise _TruncatedError
        self.at += count
        return self.data[self.at - count : self.at]

    def _byte(self) -> int:
        return self._take(1)[0]

    def _word(self) -> int:
        return int.from_bytes(self._take(2), "little")

    def _command(self) -> None:
        lead = self._take(1)
        if lead == b"\n":
            self._line_feed()
        elif lead in {ESC, GS, b"\x10"}:
            name = lead + self._take(1)
            handler = self._HANDLERS.get(name)
            if handler is None:
                self._take(_ARGUMENTS_OF_UNKNOWN.get(name, 0))
                raise _UnknownError
            handler(self)
        else:
            self._character(lead)

    # --- text ---------------------------------------------------------------------------

    def _character(self, byte: bytes) -> None:
        if byte < b" " or byte == b"\x7f" or (byte >= b"\x80" and self.style.code_page):
            raise _UnknownError
        style = self.style
        image = cell(byte.decode("cp437"), bold=style.bold, across=style.across, down=style.down)
        if style.small:
            image = image.resize((_FONT_B[0] * style.across, _FONT_B[1] * style.down))
        if style.underline:
            image = image.copy()
            top = image.height - style.underline
            ImageDraw.Draw(image).rectangle((0, top, image.width, image.height), fill=0)
        self._put(ImageChops.invert(image) if style.reverse else image)

    def _put(self, image: Image.Image) -> None:
        """Add to the line; a printer starts a new one where the paper ends."""
        if self.line and sum(part.width for part in self.line) + image.width > self.paper.dots:
            self._line_feed()
        self.line.append(image)

    def _line_feed(self) -> None:
        tallest = max((part.height for part in self.line), default=0)
        line = Image.new("1", (self.paper.dots, max(tallest, self.style.spacing)), WHITE)
        x = self._left(sum(part.width for part in self.line))
        for part in self.line:
            line.paste(part, (x, tallest - part.height))
            x += part.width
        self.line.clear()
        self.page.append(line)

    def _left(self, width: int) -> int:
        return max(self.paper.dots - width, 0) * self.style.align // 2

    def _feed(self, dots: int) -> None:
        if dots:
            self.page.append(Image.new("1", (1, dots), WHITE))

    def _flush(self) -> None:
        if self.line:
            self._line_feed()

    def _picture(self, image: Image.Image) -> None:
        self._flush()
        canvas = Image.new("1", (self.paper.dots, image.height), WHITE)
        canvas.paste(image, (self._left(image.width), 0))
        self.page.append(canvas)

    def _cut(self) -> None:
        self._flush()
        if self.page:
            self.pages.append(stack(self.page, self.paper.dots))
        self.page = []

    # --- commands -----------------------------------------------------------------------

    def _initialise(self) -> None:
        self.line.clear()
        self.style = _Style()

    def _print_mode(self) -> None:
        mode = self._byte()
        self.style.small = bool(mode & 1)
        self.style.bold = bool(mode & 8)
        self.style.down = 2 if mode & 16 else 1
        self.style.across = 2 if mode & 32 else 1
        self.style.underline = 1 if mode & 128 else 0

    def _size(self) -> None:
        size = self._byte()
        self.style.across, self.style.down = (size >> 4 & 7) + 1, (size & 7) + 1

    def _align(self) -> None:
        self.style.align = self._one_of(3)

    def _bold(self) -> None:
        self.style.bold = bool(self._byte() & 1)

    def _underline(self) -> None:
        self.style.underline = self._one_of(3)

    def _font(self) -> None:
        self.style.small = bool(self._one_of(2))

    def _reverse(self) -> None:
        self.style.reverse = bool(self._byte() & 1)

    def _one_of(self, count: int) -> int:
        """A small number, also written as its ASCII digit."""
        value = self._byte()
        value -= 48 if value >= 48 else 0
        if value >= count:
            raise _UnknownError
        return value

    def _code_page(self) -> None:
        self.style.code_page = self._byte()

    def _default_spacing(self) -> None:
        self.style.spacing = LINE_DOTS

    def _spacing(self) -> None:
        self.style.spacing = self._byte()

    def _feed_lines(self) -> None:
        lines = self._byte()
        self._flush()
        self._feed(lines * self.style.spacing)

    def _feed_dots(self) -> None:
        dots = self._byte()
        self._flush()
        self._feed(dots)

    def _kick(self) -> None:
        self._take(3)
        self.kicks += 1

    def _status(self) -> None:
        if not 1 <= self._byte() <= 4:
            raise _UnknownError
        self.queries += 1

    def _knife(self) -> None:
        mode = self._byte()
        if mode in {65, 66}:
            dots = self._byte()
            self._flush()
            self._feed(dots)
        elif mode not in {0, 1, 48, 49}:
            raise _UnknownError
        self._cut()

    def _column_image(self) -> None:
        mode, width = self._byte(), self._word()
        if mode not in _COLUMN_MODES:
            raise _UnknownError
        deep, across, down = _COLUMN_MODES[mode]
        columns = self._take(width * deep)
        if not width:
            return
        # Each column runs downwards: turned by a quarter, it is a row of an ordinary image.
        turned = _dots(columns, deep, width)
        image = turned.transpose(Image.Transpose.TRANSPOSE)
        self._put(image.resize((image.width * across, image.height * (24 // (8 * deep)) * down)))

    def _raster(self) -> None:
        if self._byte() != ord("0"):
            raise _UnknownError
        mode = self._byte()
        width, height = self._word(), self._word()
        image = _dots(self._take(width * height), width, height)
        self._picture(image.resize((image.width << (mode & 1), image.height << (mode >> 1 & 1))))

    def _extended(self) -> None:
        """GS ( x pL pH: only QR codes (k) and graphics (L) are drawn."""
        kind = self._take(1)
        body = self._take(self._word())
        drawn = (kind == b"k" and self._qr(body)) or (kind == b"L" and self._graphics(body))
        if not drawn:
            raise _UnknownError

    def _qr(self, body: bytes) -> bool:
        match body[:2], body[2:]:
            case b"1A", _:
                pass
            case b"1C", rest if rest and 1 <= rest[0] <= 16:
                self.code.module = rest[0]
            case b"1E", rest if rest and rest[0] in _QR_LEVELS:
                self.code.level = rest[0]
            case b"1P", rest:
                self.code.data = rest[1:]
            case b"1Q", _:
                return self._draw_qr()
            case _:
                return False
        return True

    def _draw_qr(self) -> bool:
        code = qrcode.QRCode(
            error_correction=_QR_LEVELS[self.code.level], box_size=self.code.module, border=0
        )
        code.add_data(self.code.data)
        try:
            code.make(fit=True)
        except (qrcode.exceptions.DataOverflowError, ValueError):
            return False
        self._picture(code.make_image().get_image().convert("1"))
        return True

    def _graphics(self, body: bytes) -> bool:
        if body[:2] == b"0p" and len(body) >= 10:
            across, down, rows = body[3], body[4], body[10:]
            width = int.from_bytes(body[6:8], "little")
            height = int.from_bytes(body[8:10], "little")
            if not {across, down} <= {1, 2} or len(rows) != (width + 7) // 8 * height:
                return False
            image = _dots(rows, (width + 7) // 8, height).crop((0, 0, width, height))
            self.graphic = image.resize((width * across, height * down))
            return True
        if body in {b"02", b"0\x02"} and self.graphic is not None:
            self._picture(self.graphic)
            self.graphic = None
            return True
        return False

    def _barcode(self) -> None:
        """GS k is read to its end and reported: our papers carry none."""
        kind = self._byte()
        if kind >= 65:
            self._take(self._byte())
        else:
            while self._byte():
                pass
        raise _UnknownError

    _HANDLERS: ClassVar[dict[bytes, Callable[["_Printer"], None]]] = {
        b"\x1b@": _initialise,
        b"\x1b!": _print_mode,
        b"\x1ba": _align,
        b"\x1bE": _bold,
        b"\x1b-": _underline,
        b"\x1bM": _font,
        b"\x1bt": _code_page,
        b"\x1b2": _default_spacing,
        b"\x1b3": _spacing,
        b"\x1bd": _feed_lines,
        b"\x1bJ": _feed_dots,
        b"\x1b*": _column_image,
        b"\x1bp": _kick,
        b"\x1d!": _size,
        b"\x1dB": _reverse,
        b"\x1dV": _knife,
        b"\x1dv": _raster,
        b"\x1d(": _extended,
        b"\x1dk": _barcode,
        DLE_EOT: _status,
    }


def _dots(data: bytes, width_bytes: int, height: int) -> Image.Image:
    """Rows of bits, 1 black, as an image of mode "1"."""
    if not width_bytes or not height:
        return Image.new("1", (max(width_bytes * 8, 1), max(height, 1)), WHITE)
    return ImageChops.invert(Image.frombytes("1", (width_bytes * 8, height), data))
