"""The present of a source, or of several: a queue of old frames would show the past."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from gate.frames import Frame, SourceError
from gate.sources.base import FrameSource
from gate.sources.several import Several

STALE_AFTER = 2.0
"""A camera that is silent for so long counts as not there, seconds."""


class Newest:
    """Reads each source in a thread of its own and keeps its newest frame only, so that a slow
    reader sees the present and not a queue. A file is played at its own rate.

    Frames are stamped with `clock`, because here several sources of codes share one time line.
    """

    def __init__(self, source: FrameSource, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.source = source
        self.shown: Frame | None = None
        """The last frame of any source, whoever took it: for a preview."""
        self._clock = clock
        self._news = threading.Condition()
        self._closing = threading.Event()
        self._waiting: OrderedDict[str, Frame] = OrderedDict()
        parts = source.sources if isinstance(source, Several) else (source,)
        self._readers = [_Reader(part, clock, self._closing, self._put) for part in parts]
        for reader in self._readers:
            reader.start()

    @property
    def ended(self) -> bool:
        return all(reader.ended for reader in self._readers)

    @property
    def faults(self) -> list[str]:
        """Which sources give no picture, each with what to do."""
        return [fault for reader in self._readers if (fault := reader.fault)]

    @property
    def fault(self) -> str | None:
        """Why there is no picture at all, or None: one that works is enough."""
        faults = self.faults
        return " ".join(faults) if len(faults) == len(self._readers) else None

    def latest(self, timeout: float) -> Frame | None:
        """The newest frame of the source that has waited longest; None where none comes within
        `timeout` seconds. Blocks its thread."""
        with self._news:
            self._news.wait_for(lambda: self._waiting or self.ended, timeout)
            return self._waiting.popitem(last=False)[1] if self._waiting else None

    def close(self) -> None:
        self._closing.set()
        self.source.close()
        for reader in self._readers:
            reader.join(timeout=3)

    def _put(self, frame: Frame | None) -> None:
        """A frame, or None where a source has ended."""
        with self._news:
            if frame is not None:
                self.shown = frame
                self._waiting[frame.source] = frame  # keeps its turn, shows the present
            self._news.notify_all()


class _Reader(threading.Thread):
    """Reads one source."""

    def __init__(
        self,
        source: FrameSource,
        clock: Callable[[], float],
        closing: threading.Event,
        put: Callable[[Frame | None], None],
    ) -> None:
        super().__init__(name=f"gate-frames {source.label}", daemon=True)
        self.ended = False
        self._source = source
        self._clock = clock
        self._closing = closing
        self._put = put
        self._last_at = clock()
        self._error: str | None = None

    @property
    def fault(self) -> str | None:
        """Why there is no picture, or None. A camera that hangs is one that is not there."""
        if self._error or self._source.fault:
            return self._error or self._source.fault
        silent = self._source.fps is None and self._clock() - self._last_at > STALE_AFTER
        return (
            f"The {self._source.label} sends no picture: unplug it, plug it in." if silent else None
        )

    def run(self) -> None:
        start = self._clock()
        try:
            for frame in self._source.frames():
                wait = start + frame.at - self._clock() if self._source.fps else 0.0
                if self._closing.wait(max(0.0, wait)):
                    break
                self._last_at = self._clock()
                self._put(self._stamped(frame))
        except SourceError as damaged:
            self._error = str(damaged)
        finally:
            self.ended = True
            self._put(None)

    def _stamped(self, frame: Frame) -> Frame:
        # A film's picture was read ahead of its time: what counts is when it is shown.
        taken = time.monotonic() if self._source.fps else frame.taken
        return replace(frame, at=self._last_at, taken=taken, source=self._source.label)
