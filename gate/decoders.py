"""QR codes out of a frame: zxing-cpp first, then the same again on a treated picture, pyzbar last
(PLATFORM, QR; docs/decisions/0022).

A film's frames get two treatments each, in turn: one against noise or wear, one against small or
broken prints. A still picture, which has no next frame, gets all of them. Nothing is ever
sharpened: that makes codes of what is none. What is read proves nothing: prefix, length and
signature are checked by those who use it.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol

import cv2
import numpy as np
import zxingcpp

from gate.frames import Frame, Image

FRAME_BUDGET = 0.04
"""Seconds of a frame after which pyzbar is left out: 15 frames a second must fit."""
LAST_EVERY = 25
"""pyzbar takes ten times as long as zxing-cpp and reads a code in 500 more: of a film's frames
without a code it gets one in so many, about one a second."""
WIDE = 960
"""Pictures from this width on are enlarged in their centre only."""
LONG = 4000
"""Pictures are not made larger than this."""

_QR = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
_LOCAL, _GLOBAL = zxingcpp.Binarizer.LocalAverage, zxingcpp.Binarizer.GlobalHistogram
_DARKER = (255 * (np.arange(256) / 255) ** 3).astype(np.uint8)
_DOT = np.ones((3, 3), np.uint8)

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
        self._unread: dict[str, int] = {}
        """Frames without a code, by source: each of several cameras takes its own turns."""
        self._last, self.note = _last_reader(load_pyzbar)

    def read(self, frame: Frame) -> list[str]:
        """The texts of all codes in the frame, each once, in the order they were found.

        A code whose bytes are no UTF-8 is no ticket; it is spelled with escapes, so that it can
        be refused in words like any foreign code.
        """
        started = self._clock()
        grey = _grey(frame.image)
        found = _zxing(grey) or self._again(frame, grey, started)
        texts = (data.decode("utf-8", "backslashreplace") for data in found if data)
        return list(dict.fromkeys(texts))

    def _again(self, frame: Frame, grey: Image, started: float) -> list[bytes]:
        turn = self._unread[frame.source] = self._unread.get(frame.source, -1) + 1
        if self._stills:
            readers = (lambda _: _zxing(frame.image), *TURNS[0], *TURNS[1])
        else:
            readers = TURNS[turn % len(TURNS)]
        for read in readers:
            if found := read(grey):
                return found
        if not self._last or (not self._stills and turn % LAST_EVERY):
            return []
        return self._last(grey) if self._clock() - started < self._budget else []


def _last_reader(load_pyzbar: LoadPyzbar) -> tuple[Reader | None, str | None]:
    try:
        pyzbar = load_pyzbar()
    except (ImportError, OSError):  # the library itself, or one that it needs, is missing
        return None, "pyzbar is off (it needs libzbar0); zxing-cpp reads alone."
    symbols = [pyzbar.ZBarSymbol.QRCODE]
    return lambda image: [bytes(code.data) for code in pyzbar.decode(image, symbols=symbols)], None


def _zxing(image: Image, binarizer: zxingcpp.Binarizer = _LOCAL) -> list[bytes]:
    found = zxingcpp.read_barcodes(image, formats=_QR, binarizer=binarizer)
    return [bytes(code.bytes) for code in found]


def _grey(image: Image) -> Image:
    if image.ndim == 2:
        return image
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)  # type: ignore[return-value]


# --- treatments, by what they were measured to help --------------------------------------


def _smooth(grey: Image) -> list[bytes]:
    """Low light: a sensor's noise is smoothed away (σ 1)."""
    return _zxing(cv2.GaussianBlur(grey, (0, 0), 1.0))  # type: ignore[arg-type]


def _darker(grey: Image) -> list[bytes]:
    """Faded print and glare: what is only a little darker than white is spread over the range."""
    return _zxing(cv2.LUT(grey, _DARKER))  # type: ignore[arg-type]


def _twice(grey: Image) -> list[bytes]:
    """Small or tilted: the centre at twice its size."""
    height, width = grey.shape[:2]
    if width >= WIDE:
        grey = grey[height // 4 : height - height // 4, width // 4 : width - width // 4]
    if max(grey.shape) * 2 > LONG:
        return []
    return _zxing(cv2.resize(grey, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))  # type: ignore[arg-type]


def _mended(grey: Image) -> list[bytes]:
    """A print head with dead dots: thin white lines are closed, and one threshold for the whole
    picture keeps what is left of them from being taken for edges."""
    return _zxing(cv2.morphologyEx(grey, cv2.MORPH_OPEN, _DOT), _GLOBAL)  # type: ignore[arg-type]


TURNS: tuple[tuple[Reader, ...], ...] = ((_smooth, _darker), (_twice, _mended))
