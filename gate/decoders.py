"""QR codes out of a frame: zxing-cpp first, one retry policy, pyzbar last (PLATFORM, QR).

Where zxing-cpp finds nothing, a film's frames are tried again alternately: one smoothed (σ 1),
the next at twice the size of its centre; a still picture, which has no next frame, gets both.
What is read proves nothing: prefix, length and signature are checked by those who use it.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol

import cv2
import zxingcpp

from gate.frames import Frame, Image

FRAME_BUDGET = 0.04
"""Seconds of a frame after which pyzbar is left out: 15 frames a second must fit."""
WIDE = 960
"""Pictures from this width on are enlarged in their centre only."""

_QR = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)

Reader = Callable[[Image], list[bytes]]


class LoadPyzbar(Protocol):
    def __call__(self) -> Any: ...


def _import_pyzbar() -> Any:
    from pyzbar import pyzbar  # noqa: PLC0415 - raises where its system library is missing

    return pyzbar


class Decoder:
    """Reads frames; not shared between threads. `note` says what is off, in one line."""

    def __init__(
        self,
        *,
        stills: bool = False,
        budget: float = FRAME_BUDGET,
        load_pyzbar: LoadPyzbar = _import_pyzbar,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._stills = stills
        self._budget = budget
        self._clock = clock
        self._turn = False
        self._last, self.note = _last_reader(load_pyzbar)

    def read(self, frame: Frame) -> list[str]:
        """The texts of all codes in the frame, each once, in the order they were found.

        A code whose bytes are no UTF-8 is no ticket; it is spelled with escapes, so that it can
        be refused in words like any foreign code.
        """
        started = self._clock()
        grey = _grey(frame.image)
        found = _zxing(grey) or self._retry(grey)
        if not found and self._last and self._clock() - started < self._budget:
            found = self._last(grey)
        texts = (data.decode("utf-8", "backslashreplace") for data in found if data)
        return list(dict.fromkeys(texts))

    def _retry(self, grey: Image) -> list[bytes]:
        if self._stills:
            return _zxing(_smooth(grey)) or _zxing(_twice(grey))
        self._turn = not self._turn
        return _zxing(_smooth(grey) if self._turn else _twice(grey))


def _last_reader(load_pyzbar: LoadPyzbar) -> tuple[Reader | None, str | None]:
    try:
        pyzbar = load_pyzbar()
    except (ImportError, OSError):  # the library itself, or one that it needs, is missing
        return None, "pyzbar is off (it needs libzbar0); zxing-cpp reads alone."
    symbols = [pyzbar.ZBarSymbol.QRCODE]
    return lambda image: [bytes(code.data) for code in pyzbar.decode(image, symbols=symbols)], None


def _zxing(image: Image) -> list[bytes]:
    found = zxingcpp.read_barcodes(image, formats=_QR)
    return [bytes(code.bytes) for code in found]


def _grey(image: Image) -> Image:
    if image.ndim == 2:
        return image
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)  # type: ignore[return-value]


def _smooth(grey: Image) -> Image:
    return cv2.GaussianBlur(grey, (0, 0), 1.0)  # type: ignore[return-value]


def _twice(grey: Image) -> Image:
    height, width = grey.shape[:2]
    if width >= WIDE:
        grey = grey[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return cv2.resize(grey, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]
