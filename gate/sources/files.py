"""Films and pictures from files: every frame, in order, at any speed."""

from collections.abc import Iterator
from pathlib import Path

import cv2

from gate.frames import Frame, Image, SourceError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
PICTURES_PER_SECOND = 2.0
"""How fast a folder is shown where a file's own rate is asked for."""


class Pictures:
    """One picture, or the pictures of a folder in the order of their names; `loop`: without
    end."""

    stills = True
    fps: float | None = PICTURES_PER_SECOND
    fault: str | None = None
    note: str | None = None

    def __init__(self, label: str, paths: list[Path], *, loop: bool = False) -> None:
        self.label = label
        self._paths = paths
        self._loop = loop
        self._closed = False
        _read_picture(paths[0])  # an unreadable one is refused at the start

    @classmethod
    def of_folder(cls, folder: Path, *, loop: bool = False) -> "Pictures":
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        if not paths:
            msg = f"{folder} holds no pictures (.png, .jpg, .webp …): choose another folder."
            raise SourceError(msg)
        return cls(folder.name, paths, loop=loop)

    def frames(self) -> Iterator[Frame]:
        number = 0
        while True:
            for path in self._paths:
                if self._closed:
                    return
                at = number / PICTURES_PER_SECOND
                yield Frame(number, at, _read_picture(path), self.label)
                number += 1
            if not self._loop:
                return

    def close(self) -> None:
        self._closed = True


class Video:
    """A film in a file, such as an .avi; `loop`: again and again on one time line."""

    stills = False
    fault: str | None = None
    note: str | None = None

    def __init__(self, path: Path, *, loop: bool = False) -> None:
        self.label = path.name
        self._path = path
        self._loop = loop
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
        number = 0
        while not self._closed:
            first = number
            for image in self._images():
                yield Frame(number, number / self._rate, image, self.label)
                number += 1
            if not self._loop:
                return
            if number == first and not self._closed:  # it has been emptied meanwhile
                raise self._unreadable()

    def close(self) -> None:
        self._closed = True

    def _images(self) -> Iterator[Image]:
        """The film once, from its beginning."""
        capture = self._open()
        count = 0
        try:
            while not self._closed:
                there, image = capture.read()
                if not there:
                    break
                yield _as_image(image)
                count += 1
        finally:
            capture.release()
        # Some formats only estimate their length, so a small difference is no damage.
        if not self._closed and count < self._expected * 0.9 - 2:
            msg = (
                f"{self._path} is damaged after picture {count} of {self._expected}: "
                "copy or record it again."
            )
            raise SourceError(msg)

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self._path))
        if not capture.isOpened():
            raise self._unreadable()
        return capture

    def _unreadable(self) -> SourceError:
        msg = f"{self._path} cannot be read as a video or picture: record it again, or convert it."
        return SourceError(msg)


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
