"""The API as its own process, on the park's clock: `-m tests.offline.park_server FILE api …`.

All else is `playpark api`: the same program, the same port, the same MongoDB.
"""

import sys
from pathlib import Path

from playpark.cli import main
from playpark.clock import SystemClock
from tests.offline.park_time import ParkTime


def run() -> None:
    """Serve with the clock of the file that the first argument names."""
    time = ParkTime(Path(sys.argv.pop(1)))
    SystemClock.now = lambda _: time.now()  # type: ignore[method-assign]
    main()


if __name__ == "__main__":
    run()
