"""The park's time on a device whose own clock may be wrong (R36).

The server's time, as the best round trip told it, plus what has passed since by a clock that nobody
can set and that goes on while the machine sleeps. Before the first round trip of a start it is the
machine's clock and what that lacked the last time.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from playpark.clock import Clock, SystemClock, to_utc_ms
from playpark.device.records import ClockNote

WARN = timedelta(seconds=120)
BLOCK = timedelta(hours=24)
DRIFT = 1e-4
"""How far the clocks of cheap machines run apart, as a part of the time that has passed: by this an
old round trip grows worse than a fresh one."""
KEEP_FROM = timedelta(milliseconds=500)
"""A change of the offset that is worth a write to the disk."""


def since_boot() -> float:
    """Seconds, those in which the machine slept included; where the system does not count them,
    without."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


class ParkClock:
    """A `Clock`. `machine` is the clock to do without once the server has been heard; `elapsed`
    gives seconds of a clock that is never set. Its methods may be called from any thread."""

    def __init__(
        self, machine: Clock | None = None, *, elapsed: Callable[[], float] = since_boot
    ) -> None:
        self._machine = machine or SystemClock()
        self.elapsed = elapsed
        self._turn = threading.Lock()
        self._offset: timedelta | None = None
        """What the machine's clock lacks by what was kept, until the server is heard."""
        self._heard: tuple[datetime, float] | None = None
        """A time of the server's, and `elapsed` at that moment."""
        self._doubt = 0.0
        """By how many seconds that may have been wrong then: half a round trip."""
        self._kept: timedelta | None = None
        self._last: datetime | None = None

    def now(self) -> datetime:
        """The park's time. It stands still rather than go back: a receipt is never older than the
        one before. Only more than two minutes are taken back: the time before was wrong then."""
        with self._turn:
            found = self._reckoned()
            if self._last is not None and timedelta() < self._last - found <= WARN:
                found = self._last
            self._last = found
        return to_utc_ms(found)

    def recall(self, note: ClockNote | None) -> None:
        """Begin with what was kept of an earlier start.

        It is never earlier than it was then: where the machine's clock says so it was set since,
        and is right if that explains it, or has lost the time (an empty battery).
        """
        if note is None:
            return
        self._last = None  # what opening the file asked for has been told to nobody
        self._offset = self._kept = timedelta(milliseconds=note.offset_ms)
        machine = self._machine.now()
        if machine + self._offset < note.heard_at:
            self._offset = max(note.heard_at - machine, timedelta())

    def learn(self, server_time: datetime, took: float) -> None:
        """An answer that came this moment said this, after `took` seconds in all: the server looked
        at its clock half way, as far as anybody can tell. The best of all round trips counts."""
        with self._turn:
            at = self.elapsed() - took / 2
            if self._heard is not None:
                doubt = self._doubt + DRIFT * max(at - self._heard[1], 0.0)
                if took / 2 > doubt and not self._beyond_doubt(server_time, at, took / 2 + doubt):
                    return
            self._heard, self._doubt = (server_time, at), took / 2

    def note(self) -> ClockNote | None:
        """What is to be kept for the next start; None where nothing new is known."""
        skew = self.skew if self._heard is not None else None
        if skew is None or (self._kept is not None and abs(skew - self._kept) < KEEP_FROM):
            return None
        return ClockNote(offset_ms=skew // timedelta(milliseconds=1), heard_at=self.now())

    def kept(self, note: ClockNote) -> None:
        """This stands on the disk now."""
        self._kept = timedelta(milliseconds=note.offset_ms)

    # --- the machine's own clock ----------------------------------------------------------

    @property
    def skew(self) -> timedelta | None:
        """What the machine's clock lacks to the server's, by the last that is known; None where
        nothing is."""
        if self._heard is None:
            return self._offset
        with self._turn:
            return self._reckoned() - self._machine.now()

    @property
    def warns(self) -> bool:
        """The machine's clock should be set."""
        return abs(self.skew or timedelta()) > WARN

    @property
    def blocks_selling(self) -> bool:
        """It is so wrong that nothing is to be sold before it is set."""
        return abs(self.skew or timedelta()) > BLOCK

    @property
    def sentence(self) -> str | None:
        """What the person is to do about it; None where all is well."""
        if not self.warns:
            return None
        skew = self.skew or timedelta()
        behind = "behind" if skew > timedelta() else "ahead of"
        wrong = f"This machine's clock is {_words(abs(skew))} {behind} the park's"
        if self.blocks_selling:
            return f"{wrong}: set it and connect it once, then sell. Call the supervisor."
        return f"{wrong}: have it set. Times on paper are right."

    # --- inside -----------------------------------------------------------------------------

    def _reckoned(self) -> datetime:
        if self._heard is None:
            return self._machine.now() + (self._offset or timedelta())
        told, at = self._heard
        return told + timedelta(seconds=self.elapsed() - at)

    def _beyond_doubt(self, server_time: datetime, at: float, doubt: float) -> bool:
        """No slowness of the lines explains what is heard: the server's clock was set, or another
        server answers."""
        if self._heard is None:
            return True
        told, then = self._heard
        expected = told + timedelta(seconds=at - then)
        return abs(server_time - expected) > timedelta(seconds=doubt)


def _words(lacks: timedelta) -> str:
    minutes = int(lacks / timedelta(minutes=1))
    if minutes < 120:
        return f"{minutes} minutes"
    if minutes < 48 * 60:
        return f"{minutes // 60} hours"
    return f"{minutes // (24 * 60)} days"
