"""The two shipped faces and the drawing of one line of text in hard black and white.

Sarabun has Thai, Latin and ฿; JetBrains Mono stands in for a printer's own font A.
"""

from collections.abc import Sequence
from functools import cache
from math import ceil
from typing import Literal

from PIL import Image, ImageDraw, ImageFont, features

from playpark.printing.document import CELL_DOTS
from playpark.resources import config_path

Family = Literal["Sarabun", "JetBrainsMono"]
WHITE = 255
"""Blank paper in mode "1" too: Pillow takes 1 for a white of its own that no image equals."""
LINE_DOTS = 30
"""From one line of font A to the next: the 24 dots of the cell and 6 of air."""

_TEXT_PX = 26
_TEXT_ABOVE = 27
_TEXT_BELOW = 9
_MONO_PX = 20  # advances by exactly the 12 dots of a cell
_MONO_BASELINE = 19
_INK = 150
"""Grey values below this become a black dot: a little over half, as heat spreads on paper."""


@cache
def _face(family: Family, bold: bool, px: int) -> ImageFont.FreeTypeFont:
    path = config_path(f"fonts/{family}-{'Bold' if bold else 'Regular'}.ttf")
    # Without raqm Thai marks stand a little off, but they print.
    engine = ImageFont.Layout.RAQM if features.check("raqm") else ImageFont.Layout.BASIC
    return ImageFont.truetype(path, px, layout_engine=engine)


def text_width(text: str, *, bold: bool, size: int) -> int:
    """Dots that `text` takes when it is drawn as raster."""
    return round(_face("Sarabun", bold, _TEXT_PX * size).getlength(text))


def text_line(
    width: int, pieces: Sequence[tuple[int, str]], *, bold: bool, size: int
) -> Image.Image:
    """One raster line (mode "1", `width` dots) of texts, each at its left dot.

    The line grows where Thai marks stand on marks (ที่, ปั๊ม), so that none loses its head.
    """
    face = _face("Sarabun", bold, _TEXT_PX * size)
    above, below = _TEXT_ABOVE * size, _TEXT_BELOW * size
    for _, text in pieces:
        _, top, _, bottom = face.getbbox(text, anchor="ls")
        above, below = max(above, ceil(-top) + 1), max(below, ceil(bottom) + 1)
    limit = _TEXT_PX * size * 2
    above, below = min(above, limit), min(below, limit)
    canvas = Image.new("L", (width, above + below), 255)
    pen = ImageDraw.Draw(canvas)
    for x, text in pieces:
        pen.text((x, above), text, font=face, fill=0, anchor="ls")
    return _hard_edges(canvas)


def _hard_edges(canvas: Image.Image) -> Image.Image:
    """A grey canvas as the dots that a thermal head burns (mode "1")."""
    return canvas.point(lambda grey: 0 if grey < _INK else 255, mode="1")


@cache
def cell(char: str, *, bold: bool, across: int, down: int) -> Image.Image:
    """One character of font A, enlarged `across` and `down` times (mode "1")."""
    zoom = max(across, down)
    width, height = CELL_DOTS[0] * zoom, CELL_DOTS[1] * zoom
    canvas = Image.new("L", (width, height), 255)
    face = _face("JetBrainsMono", bold, _MONO_PX * zoom)
    baseline = (0, _MONO_BASELINE * zoom)
    ImageDraw.Draw(canvas).text(baseline, char, font=face, fill=0, anchor="ls")
    if across != down:
        canvas = canvas.resize((CELL_DOTS[0] * across, CELL_DOTS[1] * down))
    return _hard_edges(canvas)


def stack(images: Sequence[Image.Image], width: int) -> Image.Image:
    """Images below each other on white, mode "1", `width` dots wide."""
    page = Image.new("1", (width, sum(image.height for image in images)), WHITE)
    y = 0
    for image in images:
        page.paste(image, (0, y))
        y += image.height
    return page
