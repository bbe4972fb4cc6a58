"""Webcams: one fixed format, the shortest queue, and back by themselves after unplugging."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2

from gate.frames import Frame, Image, SourceError
from gate.sources.base import Backoff, at_start

# OpenCV's own complaints would tear the screen; a camera that hangs is given up after 2 s.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "2")

Device = int | str
"""A camera's number, or its path such as /dev/v4l/by-id/…, which stays when it is moved."""


@dataclass(frozen=True, slots=True)
class Format:
    """What a camera sends: pixels, its coding in four letters, pictures a second."""

    width: int
    height: int
    coding: str
    fps: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {self.coding} at {self.fps} a second"


WANTED = Format(1280, 720, "MJPG", 30)
SLOW = 20
"""Under so many pictures a second a ticket has to be held noticeably longer."""


class Capture(Protocol):
    """What a camera needs of cv2.VideoCapture."""

    def isOpened(self) -> bool: ...  # noqa: N802 - OpenCV's name
    def read(self) -> tuple[bool, object]: ...
    def get(self, propId: int, /) -> float: ...  # noqa: N803 - OpenCV's name
    def release(self) -> None: ...


def open_camera(device: Device) -> Capture:
    """A camera asked for WANTED and a queue of one picture: an older one shows the past."""
    # By its path it is V4L's; without the hint OpenCV takes a path for a film.
    capture = (
        cv2.VideoCapture(device)
        if isinstance(device, int)
        else cv2.VideoCapture(device, cv2.CAP_V4L2)
    )
    if capture.isOpened():
        coding = cv2.VideoWriter.fourcc(*WANTED.coding)
        capture.set(cv2.CAP_PROP_FOURCC, coding)
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, WANTED.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, WANTED.height)
        capture.set(cv2.CAP_PROP_FPS, WANTED.fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if capture.get(cv2.CAP_PROP_FOURCC) != coding:  # Windows forgets it with a new size
            capture.set(cv2.CAP_PROP_FOURCC, coding)
    return capture


class Camera:
    """A webcam. Unplugged, it is opened again and again with growing pauses until it is back.

    `note` says what the driver gives where that is less than what was asked for. Raises
    SourceError where it is not there, unless it is not `required` (others may be).
    """

    stills = False
    fps: float | None = None

    def __init__(
        self,
        device: Device,
        *,
        required: bool = True,
        opener: Callable[[Device], Capture] = open_camera,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.label = f"camera {device if isinstance(device, int) else Path(device).name}"
        self.fault: str | None = None
        self.note: str | None = None
        self._device = device
        self._opener = opener
        self._clock = clock
        self._closing = threading.Event()
        self._capture = self._open()
        if self._capture is None and required:
            raise SourceError(self._missing())

    def frames(self) -> Iterator[Frame]:
        number = 0
        backoff = Backoff(self._closing)
        while not self._closing.is_set():
            there, image = self._capture.read() if self._capture else (False, None)
            if there:
                self.fault = None
                backoff.reset()
                yield Frame(number, self._clock(), _as_image(image), self.label)
                number += 1
                continue
            self.fault = self._missing()
            self._release()
            if not backoff.wait():
                break
            self._capture = self._open()
        self._release()

    def close(self) -> None:
        self._closing.set()

    def _open(self) -> Capture | None:
        capture = self._opener(self._device)
        if not capture.isOpened():
            self.fault = self._missing()
            return None
        self.note = self._compare(given(capture))
        return capture

    def _compare(self, got: Format) -> str | None:
        small = (got.width, got.height) < (WANTED.width, WANTED.height)
        if not small and not 0 < got.fps < SLOW:  # some drivers do not know their rate: 0
            return None
        return (
            f"The {self.label} gives {got}, not {WANTED}: hold tickets closer and longer, "
            "or use another USB port or camera."
        )

    def _missing(self) -> str:
        name = at_start(self.label)
        path = Path(f"/dev/video{self._device}" if isinstance(self._device, int) else self._device)
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            return (
                f"{name} may not be used by this account: add it to the group video "
                "(sudo usermod -aG video NAME) and log in again."
            )
        return (
            f"{name} is not there: plug it in, close other programs that use it, "
            "or choose another with --source."
        )

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


def given(capture: Capture) -> Format:
    """What the driver really sends, asked back from it."""
    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    coding = code.to_bytes(4, "little").decode("ascii", "replace")
    return Format(
        int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
        int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        coding if coding.isprintable() and coding.strip() else "unknown",
        round(capture.get(cv2.CAP_PROP_FPS)),
    )


def _as_image(image: object) -> Image:
    return image  # type: ignore[return-value]  # OpenCV's stubs say any kind of number
