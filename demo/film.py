"""A film of printed tickets as a hand holds them before a gate's camera.

It stands in for a webcam and paper: each ticket is carried in, held, carried out, with the
blur, noise, glare and clutter of the real thing. The same seed makes the same film.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

SIZE = (1280, 720)
FPS = 15
GAP_SECONDS = 0.5
"""Pictures without a ticket before, between and after the tickets."""
LARGEST = 1.1
"""A ticket is not enlarged further than this: a camera sees no more than was printed."""

Picture = NDArray[np.uint8]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Showing:
    """Ticket number `ticket` is in the pictures `first` to `last`, both included."""

    ticket: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class FilmPlan:
    """What was filmed, so that a test knows what has to be read, and when."""

    path: Path
    fps: int
    frames: int
    showings: tuple[Showing, ...]


def film(
    tickets: Sequence[PIL.Image.Image],
    path: Path,
    *,
    seed: int,
    seconds_per_ticket: float = 1.2,
) -> FilmPlan:
    """Film the printed tickets one after another into an .avi (MJPG, 1280x720, 15 a second).

    Raises OSError where the file cannot be written, ValueError for no tickets.
    """
    if not tickets:
        msg = "there is no ticket to film: sell one first"
        raise ValueError(msg)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, SIZE)
    if not writer.isOpened():
        msg = f"{path} cannot be written: choose a folder that exists and is not full"
        raise OSError(msg)
    stage = _Stage(np.random.default_rng(seed))
    gap, shown = round(GAP_SECONDS * FPS), max(6, round(seconds_per_ticket * FPS))
    showings = []
    count = 0
    try:
        for index, ticket in enumerate(tickets):
            for picture in stage.empty(gap):
                writer.write(picture)
            count += gap
            for picture in stage.show(_paper(ticket), shown):
                writer.write(picture)
            showings.append(Showing(index, count, count + shown - 1))
            count += shown
        for picture in stage.empty(gap):
            writer.write(picture)
        count += gap
    finally:
        writer.release()
    return FilmPlan(path, FPS, count, tuple(showings))


class _Stage:
    """The counter before the camera, and the hand that shows tickets on it."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._clutter = _clutter(rng)
        self._noise = [_grain(rng) for _ in range(2)]

    def empty(self, frames: int) -> Iterator[Picture]:
        for _ in range(frames):
            yield self._expose(self._clutter.copy(), 1.0)

    def show(self, paper: Picture, frames: int) -> Iterator[Picture]:
        """Carry the paper in, hold it, carry it out."""
        rng = self._rng
        moves = _Hand(rng, paper.shape[1], paper.shape[0])
        light = rng.uniform(0.75, 1.15)
        flicker, phase = rng.uniform(0.03, 0.12), rng.uniform(0, 2 * math.pi)
        for number in range(frames):
            at = number / (frames - 1)
            haste = abs(2 * at - 1)  # 1 on the way in and out, 0 in the middle
            image = self._lay(paper, moves.at(at))
            image = _blur(image, haste, moves.heading)
            yield self._expose(image, light + flicker * math.sin(phase + 9 * at))

    def _lay(self, paper: Picture, matrix: Matrix) -> Picture:
        image = self._clutter.copy()
        cv2.warpPerspective(
            paper,
            matrix,
            SIZE,
            dst=image,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_TRANSPARENT,
        )
        return image

    def _expose(self, image: Picture, light: float) -> Picture:
        """Brightness and the sensor's noise."""
        noise = self._noise[int(self._rng.integers(len(self._noise)))]
        x, y = (int(n) for n in self._rng.integers(0, 64, 2))
        grain = noise[y : y + SIZE[1], x : x + SIZE[0]]
        lit = cv2.convertScaleAbs(image, alpha=light, beta=0).astype(np.int16)
        lit += grain[:, :, None]
        return np.clip(lit, 0, 255).astype(np.uint8)


class _Hand:
    """One way of a ticket through the picture: place, turn, distance and tilt over time 0–1."""

    def __init__(self, rng: np.random.Generator, width: int, height: int) -> None:
        self._width, self._height = width, height
        tall = height > width * 1.25  # a long slip is held across the picture
        along = (height, width) if tall else (width, height)
        self._scale = min(LARGEST, 0.86 * SIZE[0] / along[0], 0.9 * SIZE[1] / along[1])
        self._turn = rng.uniform(-14, 14) + (90 * rng.choice([-1, 1]) if tall else 0)
        self.heading = rng.uniform(0, 2 * math.pi)
        self._swing = rng.uniform(-6, 6)
        self._nearing = rng.uniform(0.9, 1.0)
        self._tilt = rng.uniform(-0.00012, 0.00012, 2)
        self._shake = rng.uniform(0, 2 * math.pi, 2)

    def at(self, moment: float) -> Matrix:
        """From the paper's pixels to the picture's. The hand is slow in the middle of its way."""
        way = (2 * moment - 1) ** 3
        angle = math.radians(self._turn + self._swing * way)
        scale = self._scale * (1 - (1 - self._nearing) * abs(way))
        cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
        x = SIZE[0] / 2 + 430 * way * math.cos(self.heading)
        y = SIZE[1] / 2 + 260 * way * math.sin(self.heading)
        x += 3 * math.sin(self._shake[0] + 40 * moment)
        y += 3 * math.sin(self._shake[1] + 33 * moment)
        centre = np.array(
            [[1, 0, -self._width / 2], [0, 1, -self._height / 2], [0, 0, 1]], dtype=np.float64
        )
        tilt = np.array([[1, 0, 0], [0, 1, 0], [self._tilt[0], self._tilt[1], 1]])
        place = np.array([[cosine, -sine, x], [sine, cosine, y], [0, 0, 1]])
        return np.asarray(place @ tilt @ centre, dtype=np.float64)


def _blur(image: Picture, haste: float, heading: float) -> Picture:
    """Smeared along the motion where the hand is quick, a little out of focus elsewhere."""
    length = round(13 * haste)
    if length >= 3:
        kernel = np.zeros((length, length), np.float32)
        middle = (length - 1) / 2
        reach = (math.cos(heading) * middle, math.sin(heading) * middle)
        start = (round(middle - reach[0]), round(middle - reach[1]))
        end = (round(middle + reach[0]), round(middle + reach[1]))
        cv2.line(kernel, start, end, 1.0)
        return cv2.filter2D(image, -1, kernel / kernel.sum()).astype(np.uint8, copy=False)
    return cv2.GaussianBlur(image, (3, 3), 0).astype(np.uint8, copy=False)


def _paper(ticket: PIL.Image.Image) -> Picture:
    """The print on paper with a margin, in the off-white and soft black of a thermal printer."""
    grey = np.asarray(ticket.convert("L"), dtype=np.float32)
    toned = 40 + grey * (232 - 40) / 255
    paper = np.dstack([toned * 0.97, toned, toned]).astype(np.uint8)
    return np.asarray(
        cv2.copyMakeBorder(paper, 24, 24, 24, 24, cv2.BORDER_CONSTANT, value=(225, 232, 232)),
        dtype=np.uint8,
    )


def _grain(rng: np.random.Generator) -> NDArray[np.int16]:
    """A sensor's noise, a little larger than the picture so that it can be moved about."""
    rough = rng.normal(0, 14, (SIZE[1] + 64, SIZE[0] + 64)).astype(np.float32)
    return cv2.GaussianBlur(rough, (0, 0), 0.8).astype(np.int16)


def _clutter(rng: np.random.Generator) -> Picture:
    """A counter full of things, among them stripes and squares that are no QR code."""
    image = np.full((SIZE[1], SIZE[0], 3), rng.integers(50, 90, 3), np.uint8)
    for _ in range(40):
        x, y = (int(n) for n in rng.integers(0, SIZE[0], 2))
        y %= SIZE[1]
        colour = tuple(int(n) for n in rng.integers(20, 200, 3))
        if rng.random() < 0.5:
            cv2.circle(image, (x, y), int(rng.integers(10, 90)), colour, -1)
        else:
            end = (x + int(rng.integers(20, 200)), y + int(rng.integers(10, 120)))
            cv2.rectangle(image, (x, y), end, colour, -1)
    for _ in range(4):
        _stripes(image, rng)
        _squares(image, rng)
    return np.asarray(cv2.GaussianBlur(image, (5, 5), 0), dtype=np.uint8)


def _stripes(image: Picture, rng: np.random.Generator) -> None:
    """Something like a barcode on a drink."""
    left, top = int(rng.integers(0, SIZE[0] - 160)), int(rng.integers(0, SIZE[1] - 70))
    image[top : top + 70, left : left + 160] = 230
    bars = np.repeat(rng.integers(0, 2, 40), 4)[:160]
    image[top + 8 : top + 62, left : left + 160][:, bars == 1] = 25


def _squares(image: Picture, rng: np.random.Generator) -> None:
    """A lone finder pattern, as in logos: it looks like the corner of a QR code."""
    left, top = int(rng.integers(0, SIZE[0] - 80)), int(rng.integers(0, SIZE[1] - 80))
    for inset, shade in ((0, 230), (6, 25), (16, 230), (26, 25)):
        side = 76 - inset
        image[top + inset : top + side, left + inset : left + side] = shade
