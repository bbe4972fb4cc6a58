"""What the camera sees, small: two pixels in a cell (SCREENS). For aiming, not for reading."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from rich.color import Color
from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from gate.frames import Image

SHOWN_FROM = (120, 40)
"""Columns and rows of a terminal that has room for it."""


def half_blocks(image: Image, columns: int, rows: int) -> Text:
    """The picture in `columns` x `rows` cells: every cell shows two of its pixels."""
    picture = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
    down = np.linspace(0, picture.shape[0] - 1, rows * 2).astype(int)
    across = np.linspace(0, picture.shape[1] - 1, columns).astype(int)
    # Sixteen steps of a colour are enough to aim by, and styles of equal cells are shared.
    pixels = picture[down][:, across][:, :, :3] & 0xF0
    text = Text(no_wrap=True)
    for row in range(rows):
        for column in range(columns):
            upper, lower = pixels[2 * row, column], pixels[2 * row + 1, column]
            text.append("▀", style=_style(*map(int, upper), *map(int, lower)))
        text.append("\n")
    text.rstrip()
    return text


@lru_cache(maxsize=4096)
def _style(*bgr: int) -> Style:
    upper, lower = bgr[2::-1], bgr[:2:-1]
    return Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower))


class Preview(Widget):
    """Draws the picture that `newest` gives; off until it is asked for."""

    def __init__(self, newest: Callable[[], Image | None]) -> None:
        super().__init__(id="preview")
        self._newest = newest

    def render(self) -> Text:
        image = self._newest()
        if image is None or not self.size.area:
            return Text("no picture")
        return half_blocks(image, *self.size)
