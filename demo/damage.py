"""Printed tickets in bad shape as a gate's camera sees them, and pictures without any ticket.

Worn thermal heads, dim gates, glare and hasty hands, drawn from readable to hopeless so that rates
of decoders can be compared. The same seed makes the same pictures.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import PIL.Image
import zxingcpp
from numpy.typing import NDArray

from playpark.printing.document import Align, Document, Qr, Text
from playpark.printing.raster import render_pages
from playpark.tokens import mint_pp1

SIZE = (1280, 720)
QUIET_DOTS = 40
"""Paper that is seen around the printed ticket, dots."""
MODULE_DOTS = 6
"""The smallest modules that our papers have (RULES R21, PLATFORM)."""
_KEY = {"D1": bytes(range(32))}

Picture = NDArray[np.uint8]
Print = NDArray[np.float32]
"""How dark paper is at 203 dots an inch: 0 black to 1 white."""


def token(number: int) -> str:
    """A ticket's real PP1 token, signed with a key that no park has."""
    return mint_pp1(_KEY, "D1", "damaged", f"01KA{number:022d}")


def printed(text: str) -> Print:
    """The part of a ticket with its QR code, dot by dot as the thermal head burns it."""
    words = (Text("PLAYPARK Adult day pass", Align.CENTER, bold=True), Qr(text, None, MODULE_DOTS))
    paper = _grey(render_pages(Document((*words, Text("ABCD 1234", Align.CENTER))))[0])
    middle = paper.shape[1] // 2
    code = paper[:, middle - 190 : middle + 190] if text.startswith("PP1") else paper
    edge = QUIET_DOTS
    return cv2.copyMakeBorder(code, edge, edge, 20, 20, cv2.BORDER_CONSTANT, value=(1.0,)).astype(
        np.float32
    )


def _grey(page: PIL.Image.Image) -> Print:
    return (np.asarray(page.convert("L")) / 255).astype(np.float32)


# --- kinds of damage --------------------------------------------------------------------


@dataclass(slots=True)
class Shot:
    """One picture while it is made. `harm` runs from 0 (as new) to 1 (hopeless)."""

    rng: np.random.Generator
    harm: float
    paper: Print
    tilt: float = 0.0003
    focus: float = 0.7
    light: float = 1.0
    noise: float = 4.0
    glare: float = 0.0


def blur(shot: Shot) -> None:
    """Out of focus: the ticket is held too near."""
    shot.focus = 0.8 + 2.6 * shot.harm


def tilt(shot: Shot) -> None:
    """Held at an angle."""
    shot.tilt = 0.0004 + 0.0028 * shot.harm


def low_light(shot: Shot) -> None:
    """A gate after sunset: little light, much noise."""
    shot.light = 0.45 * (1 - shot.harm) + 0.06
    shot.noise = 6 + 16 * shot.harm


def glare(shot: Shot) -> None:
    """A lamp mirrored in a laminate or a telephone."""
    shot.glare = 0.03 + 0.22 * shot.harm


def dropouts(shot: Shot) -> None:
    """Burnt out elements of the print head: white lines along the paper, one to three dots."""
    width = shot.paper.shape[1]
    for _ in range(1 + round(13 * shot.harm)):
        column = int(shot.rng.integers(20, width - 20))
        shot.paper[:, column : column + int(shot.rng.integers(1, 4))] = 1.0


def faded(shot: Shot) -> None:
    """A weak battery or an old roll: bands across the paper with hardly any black."""
    height = shot.paper.shape[0]
    for _ in range(1 + round(4 * shot.harm)):
        top, band = int(shot.rng.integers(0, height)), int(shot.rng.integers(12, 70))
        left = 0.75 * (1 - shot.harm) + 0.06  # of the black
        rows = shot.paper[top : top + band]
        shot.paper[top : top + band] = 1 - (1 - rows) * left


DAMAGES: dict[str, Callable[[Shot], None]] = {
    each.__name__: each for each in (blur, tilt, low_light, glare, dropouts, faded)
}


def damaged(kind: str, number: int, *, text: str | None = None) -> tuple[str, Picture]:
    """A ticket's token and a 720p picture of it, harmed in the way `kind` of DAMAGES names.

    The same (kind, number) is the same picture. `text`: another code than a PP1 ticket's.
    """
    rng = np.random.default_rng([sum(kind.encode()), number])
    code = text or token(number)
    shot = Shot(rng, float(rng.random()), printed(code))
    DAMAGES[kind](shot)
    return code, _photograph(shot)


def _photograph(shot: Shot) -> Picture:
    rng, paper = shot.rng, shot.paper
    scene = cv2.resize(
        rng.uniform(0.1, 0.6, (9, 16)).astype(np.float32), SIZE, interpolation=cv2.INTER_CUBIC
    )
    toned = 0.15 + paper * 0.75  # thermal black is no black, its paper no white
    matrix = _held(shot, paper.shape[1], paper.shape[0])
    # A camera gathers light over the area of its pixels: shrink smoothly, not by single points.
    ratio = math.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    if ratio < 0.9:
        toned = np.asarray(cv2.GaussianBlur(toned, (0, 0), 0.35 / ratio), dtype=np.float32)
    cv2.warpPerspective(
        toned, matrix, SIZE, scene, cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
    )
    seen = np.asarray(cv2.GaussianBlur(scene, (0, 0), shot.focus))
    if shot.glare:
        seen = seen + _lamp(shot, matrix, paper.shape)
    lit = seen * 255 * shot.light + rng.normal(0, shot.noise, seen.shape)
    return cv2.cvtColor(np.clip(lit, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR).astype(np.uint8)


def _held(shot: Shot, width: int, height: int) -> NDArray[np.float64]:
    """From dots to pixels: turned any way, near or far, inside the picture."""
    rng = shot.rng
    angle = rng.uniform(-math.pi, math.pi)
    scale = rng.uniform(0.42, 1.15)
    x = SIZE[0] / 2 + rng.uniform(-220, 220)
    y = SIZE[1] / 2 + rng.uniform(-110, 110)
    lean = rng.uniform(0, 2 * math.pi)
    leaning = [shot.tilt * math.cos(lean), shot.tilt * math.sin(lean), 1]
    centre = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]], dtype=np.float64)
    tilted = np.array([[1, 0, 0], [0, 1, 0], leaning])
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    placed = np.array([[cosine, -sine, x], [sine, cosine, y], [0, 0, 1]])
    matrix = np.asarray(placed @ tilted @ centre, dtype=np.float64)
    return np.asarray(matrix / matrix[2, 2], dtype=np.float64)


def _lamp(shot: Shot, matrix: NDArray[np.float64], shape: tuple[int, ...]) -> Print:
    """Light that is added, most of it beside the middle of the code."""
    rng = shot.rng
    spot = np.array([shape[1] * rng.uniform(0.2, 0.8), shape[0] * rng.uniform(0.2, 0.8), 1.0])
    x, y, depth = matrix @ spot
    reach = shot.glare * 300
    across, down = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    turned = rng.uniform(0, math.pi)
    dx, dy = across - x / depth, down - y / depth
    along = dx * math.cos(turned) + dy * math.sin(turned)
    beside = dy * math.cos(turned) - dx * math.sin(turned)
    far = (along / (2.2 * reach)) ** 2 + (beside / reach) ** 2
    return np.asarray(1.3 * np.exp(-far), dtype=np.float32)


# --- clutter ----------------------------------------------------------------------------


def clutter(count: int, *, seed: int = 0) -> Iterator[Picture]:
    """Pictures of 640x360 without a ticket: noise, textures, squares, stripes, text, broken codes
    and codes of other kinds."""
    rng = np.random.default_rng([seed, 77])
    kinds = (_noise, _checks, _stripes, _writing, _blocks, _finders, _texture, _other_codes)
    for number in range(count):
        picture: NDArray[Any] = kinds[number % len(kinds)](rng)
        if rng.random() < 0.5:
            picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 2.0))
        if rng.random() < 0.5:
            turn = cv2.getRotationMatrix2D((320, 180), rng.uniform(-180, 180), rng.uniform(0.7, 2))
            picture = cv2.warpAffine(picture, turn, CLUTTER_SIZE, borderMode=cv2.BORDER_REFLECT)
        yield np.asarray(picture, dtype=np.uint8)


CLUTTER_SIZE = (640, 360)
_OTHERS = ("DataMatrix", "Aztec", "PDF417", "Code128", "MaxiCode", "MicroPDF417")


def _noise(rng: np.random.Generator) -> Picture:
    return rng.integers(0, 256, CLUTTER_SIZE[::-1], dtype=np.uint8)


def _checks(rng: np.random.Generator) -> Picture:
    side = int(rng.integers(3, 40))
    across, down = np.meshgrid(np.arange(CLUTTER_SIZE[0]), np.arange(CLUTTER_SIZE[1]))
    return ((across // side + down // side) % 2 * 220 + 15).astype(np.uint8)


def _stripes(rng: np.random.Generator) -> Picture:
    """Bars like those of a barcode, here and there the same again."""
    unit = int(rng.integers(2, 7))
    bars = np.repeat(rng.integers(0, 2, CLUTTER_SIZE[0] // unit + 1), unit)[: CLUTTER_SIZE[0]]
    return np.tile((bars * 215 + 20).astype(np.uint8), (CLUTTER_SIZE[1], 1))


def _writing(rng: np.random.Generator) -> Picture:
    picture = np.full(CLUTTER_SIZE[::-1], 235, np.uint8)
    letters = "ABCDEFGHJKMNPQRSTVWXYZ0123456789 .-"
    for line in range(12):
        words = "".join(letters[n] for n in rng.integers(0, len(letters), 36))
        spot = (8, 28 + 28 * line)
        cv2.putText(picture, words, spot, cv2.FONT_HERSHEY_SIMPLEX, 0.7, 20, 2)
    return picture


def _blocks(rng: np.random.Generator) -> Picture:
    """Squares as a QR code has them, without its corners."""
    side = int(rng.integers(3, 9))
    cells = rng.integers(0, 2, (CLUTTER_SIZE[1] // side + 1, CLUTTER_SIZE[0] // side + 1))
    whole = np.kron(cells, np.ones((side, side), dtype=np.int64))
    return (whole[: CLUTTER_SIZE[1], : CLUTTER_SIZE[0]] * 215 + 20).astype(np.uint8)


def _finders(rng: np.random.Generator) -> Picture:
    """The three corners of a QR code with chance between them: all that a decoder looks for."""
    side, modules = int(rng.integers(3, 9)), 4 * int(rng.integers(1, 8)) + 17
    cells = rng.integers(0, 2, (modules, modules)).astype(np.uint8)
    corner = np.ones((8, 8), np.uint8)
    corner[:7, :7] = 0
    corner[1:6, 1:6] = 1
    corner[2:5, 2:5] = 0
    cells[:8, :8], cells[:8, -8:], cells[-8:, :8] = corner, corner[:, ::-1], corner[::-1]
    cells[6, 8:-8], cells[8:-8, 6] = (np.arange(modules - 16) % 2,) * 2
    whole = np.kron(cells, np.ones((side, side), np.uint8))
    picture = np.full(CLUTTER_SIZE[::-1], 235, np.uint8)
    height, width = (min(a, b - 20) for a, b in zip(whole.shape, picture.shape, strict=True))
    picture[10 : 10 + height, 10 : 10 + width] = whole[:height, :width] * 215 + 20
    return picture


def _texture(rng: np.random.Generator) -> Picture:
    """Something like cloth: noise of one size, hard and soft."""
    grain = cv2.GaussianBlur(rng.normal(0, 1, CLUTTER_SIZE[::-1]), (0, 0), rng.uniform(1, 6))
    scaled = cv2.normalize(grain, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    return np.asarray((scaled > 128) * 220 if rng.random() < 0.5 else scaled, dtype=np.uint8)


def _other_codes(rng: np.random.Generator) -> Picture:
    """A code of another kind: a ticket's token that no gate of ours can have printed so."""
    kind = _OTHERS[int(rng.integers(len(_OTHERS)))]
    made = zxingcpp.create_barcode(
        token(int(rng.integers(1_000_000))), zxingcpp.barcode_format_from_str(kind)
    )
    code = np.asarray(made.to_image(scale=int(rng.integers(2, 5))), dtype=np.uint8)
    picture = np.full(CLUTTER_SIZE[::-1], 235, np.uint8)
    height, width = (min(a, b - 20) for a, b in zip(code.shape, picture.shape, strict=True))
    picture[10 : 10 + height, 10 : 10 + width] = code[:height, :width]
    return picture
