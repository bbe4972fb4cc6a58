"""The time of a park, as its API process and its devices have it: the machine's, and what a test
has let pass beyond."""

import mmap
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from playpark.clock import to_utc_ms
from playpark.device.park_clock import ParkClock, since_boot

OPENS = 13
"""The hour of the park's clocks at which a world begins: until the night there is time to pass."""
PARK = ZoneInfo("Asia/Bangkok")


class ParkTime:
    """A clock that several processes share through a small file; it never goes back."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 8)
        self.path = path

    @property
    def _ahead(self) -> int:
        """Milliseconds."""
        (ahead,) = struct.unpack("q", self._shared[:8])
        return int(ahead)

    def now(self) -> datetime:
        return to_utc_ms(datetime.now(UTC)) + timedelta(milliseconds=self._ahead)

    def elapsed(self) -> float:
        """Seconds of a clock that nobody sets."""
        return since_boot() + self._ahead / 1_000

    def advance(self, seconds: float) -> None:
        """Let this time pass, for everybody at once."""
        self._shared[:8] = struct.pack("q", self._ahead + int(seconds * 1_000))

    def begin(self) -> None:
        """On to the next early afternoon of the park."""
        here = self.now().astimezone(PARK)
        opens = here.replace(hour=OPENS, minute=0, second=0, microsecond=0)
        if here >= opens:
            opens += timedelta(days=1)
        self.advance((opens - here).total_seconds())


@dataclass(frozen=True)
class Wrong:
    """The clock of a machine that is `ahead` of the park's by so many seconds, always."""

    time: ParkTime
    ahead: float

    def now(self) -> datetime:
        return self.time.now() + timedelta(seconds=self.ahead)

    def corrected(self) -> ParkClock:
        """What a program makes of it."""
        return ParkClock(self, elapsed=self.time.elapsed)
