"""Where frames come from: a camera, a video file, a folder of pictures, one picture.

A source delivers every frame in order through `frames()`, so that nothing is dropped where
each frame counts (tests, `--headless`). In front of a live screen `Newest` reads the source in a
thread, plays a file at its own rate and keeps only the newest frame.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import cv2

from gate.frames import Frame, Image, SourceError

# OpenCV's own complaints would tear the screen; a camera that hangs is given up after 2 s.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "2")

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
CAMERA_SIZE = (1280, 720)
CAMERA_FPS = 30
PICTURES_PER_SECOND = 2.0
"""How fast a folder is shown where a file's own rate is asked for."""
REOPEN_FIRST = 0.5
REOPEN_LONGEST = 5.0
STALE_AFTER = 2.0
"""A camera that is silent for so long counts as not there, seconds."""


class FrameSource(Protocol):
    """`stills`: each frame is the only chance to read what it shows. `fps` is None for a camera,
    which delivers at its own pace."""

    @property
    def label(self) -> str: ...
    @property
    def stills(self) -> bool: ...
    @property
    def fps(self) -> float | None: ...
    @property
    def fault(self) -> str | None:
        """Why no frame comes right now, or None."""

    def frames(self) -> Iterator[Frame]:
        """Every frame in order. Raises SourceError where a file cannot be read on."""

    def close(self) -> None:
        """Let go of the device or file; a running `frames()` ends."""


def open_source(spec: str) -> FrameSource:
    """The source that `spec` names: a camera's number, a video file, a folder or a picture.

    Raises SourceError where nothing can be read from it.
    """
    if spec.isdecimal():
        return Camera(int(spec))
    path = Path(spec)
    if path.is_dir():
        return Pictures.of_folder(path)
    if not path.is_file():
        msg = (
            f"{spec} is not there: give --source a camera number such as 0, a video file, "
            "a folder of pictures or one picture."
        )
        raise SourceError(msg)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return Pictures(path.name, [path])
    return Video(path)


class Pictures:
    """One picture, or the pictures of a folder in the order of their names."""

    stills = True
    fps: float | None = PICTURES_PER_SECOND
    fault: str | None = None

    def __init__(self, label: str, paths: list[Path]) -> None:
        self.label = label
        self._paths = paths
        self._closed = False
        _read_picture(paths[0])  # an unreadable one is refused at the start

    @classmethod
    def of_folder(cls, folder: Path) -> "Pictures":
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        if not paths:
            msg = f"{folder} holds no pictures (.png, .jpg, .webp …): choose another folder."
            raise SourceError(msg)
        return cls(folder.name, paths)

    def frames(self) -> Iterator[Frame]:
        for number, path in enumerate(self._paths):
            if self._closed:
                return
            yield Frame(number, number / PICTURES_PER_SECOND, _read_picture(path))

    def close(self) -> None:
        self._closed = True


class Video:
    """A film in a file, such as an .avi."""

    stills = False
    fault: str | None = None

    def __init__(self, path: Path) -> None:
        self.label = path.name
        self._path = path
        self._closed = False
        capture = self._open()
        try:
            if not capture.read()[0]:
                raise self._unreadable()
            rate = capture.get(cv2.CAP_PROP_FPS)
            self._expected = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        finally:
            capture.release()
        self._rate = rate if 1 <= rate <= 240 else 25.0
        self.fps: float | None = self._rate

    def frames(self) -> Iterator[Frame]:
        capture = self._open()
        number = 0
        try:
            while not self._closed:
                there, image = capture.read()
                if not there:
                    break
                yield Frame(number, number / self._rate, _as_image(image))
                number += 1
        finally:
            capture.release()
        # Some formats only estimate their length, so a small difference is no damage.
        if not self._closed and number < self._expected * 0.9 - 2:
            msg = (
                f"{self._path} is damaged after picture {number} of {self._expected}: "
                "copy or record it again."
            )
            raise SourceError(msg)

    def close(self) -> None:
        self._closed = True

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self._path))
        if not capture.isOpened():
            raise self._unreadable()
        return capture

    def _unreadable(self) -> SourceError:
        msg = f"{self._path} cannot be read as a video or picture: record it again, or convert it."
        return SourceError(msg)


class Capture(Protocol):
    """What a camera needs of cv2.VideoCapture."""

    def isOpened(self) -> bool: ...  # noqa: N802 - OpenCV's name
    def read(self) -> tuple[bool, object]: ...
    def release(self) -> None: ...


def open_camera(index: int) -> Capture:
    """A camera with a fixed format and the shortest queue that its driver allows."""
    capture = cv2.VideoCapture(index)
    if capture.isOpened():
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, CAMERA_SIZE[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, CAMERA_SIZE[1])
        capture.set(cv2.CAP_PROP_FPS, CAMERA_FPS)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


class Camera:
    """A webcam. Unplugged, it is opened again and again with growing pauses until it is back."""

    stills = False
    fps: float | None = None

    def __init__(
        self,
        index: int,
        *,
        opener: Callable[[int], Capture] = open_camera,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.label = f"camera {index}"
        self.fault: str | None = None
        self._index = index
        self._opener = opener
        self._clock = clock
        self._closing = threading.Event()
        self._missing = (
            f"Camera {index} is not there: plug it in, close other programs that use it, "
            "or choose another with --source."
        )
        self._capture: Capture | None = opener(index)
        if not self._capture.isOpened():
            raise SourceError(self._missing)

    def frames(self) -> Iterator[Frame]:
        number = 0
        pause = REOPEN_FIRST
        while not self._closing.is_set():
            there, image = self._capture.read() if self._capture else (False, None)
            if there:
                self.fault = None
                pause = REOPEN_FIRST
                yield Frame(number, self._clock(), _as_image(image))
                number += 1
                continue
            self.fault = self._missing
            self._release()
            if self._closing.wait(pause):
                break
            pause = min(pause * 2, REOPEN_LONGEST)
            self._capture = self._opener(self._index)
        self._release()

    def close(self) -> None:
        self._closing.set()

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


class Newest:
    """Reads a source in a thread and keeps the newest frame only, so that a slow reader sees
    the present and not a queue. A file is played at its own rate.

    Frames are stamped with `clock`, because here several sources of codes share one time line.
    """

    def __init__(self, source: FrameSource, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.source = source
        self.ended = False
        self._clock = clock
        self._last_at = clock()
        self._frame: Frame | None = None
        self._error: str | None = None
        self._news = threading.Condition()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gate-frames", daemon=True)
        self._thread.start()

    @property
    def fault(self) -> str | None:
        """Why there is no picture, or None. A camera that hangs is one that is not there."""
        if self._error or self.source.fault:
            return self._error or self.source.fault
        silent = self.source.fps is None and self._clock() - self._last_at > STALE_AFTER
        return (
            f"The {self.source.label} sends no picture: unplug it, plug it in." if silent else None
        )

    def latest(self, timeout: float) -> Frame | None:
        """The newest frame that was not taken yet; None where none comes within `timeout`
        seconds. Blocks its thread."""
        with self._news:
            self._news.wait_for(lambda: self._frame is not None or self.ended, timeout)
            frame, self._frame = self._frame, None
            return frame

    def close(self) -> None:
        self._closing.set()
        self.source.close()
        self._thread.join(timeout=3)

    def _run(self) -> None:
        start = self._clock()
        try:
            for frame in self.source.frames():
                wait = start + frame.at - self._clock() if self.source.fps else 0.0
                if self._closing.wait(max(0.0, wait)):
                    break
                with self._news:
                    self._last_at = self._clock()
                    self._frame = Frame(frame.number, self._last_at, frame.image)
                    self._news.notify_all()
        except SourceError as damaged:
            self._error = str(damaged)
        finally:
            with self._news:
                self.ended = True
                self._news.notify_all()


def _read_picture(path: Path) -> Image:
    try:
        image = cv2.imread(str(path))
    except cv2.error:  # too large, or damaged in a way that the codec reports
        image = None
    if image is None:
        msg = f"{path} cannot be read as a picture: save it again as .png or .jpg."
        raise SourceError(msg)
    return _as_image(image)


def _as_image(image: object) -> Image:
    return image  # type: ignore[return-value]  # OpenCV's stubs say any kind of number
