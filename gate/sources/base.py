"""What every source of pictures is, and how long to wait before a lost one is tried again."""

import threading
from collections.abc import Iterator
from typing import Protocol

from gate.frames import Frame

REOPEN_FIRST = 0.5
REOPEN_LONGEST = 5.0


class FrameSource(Protocol):
    """`stills`: each frame is the only chance to read what it shows. `fps` is None for a camera,
    which delivers at its own pace."""

    @property
    def label(self) -> str:
        """What it is called where people read it; no two of a gate's sources share one."""

    @property
    def stills(self) -> bool: ...
    @property
    def fps(self) -> float | None: ...
    @property
    def fault(self) -> str | None:
        """Why no frame comes right now, or None."""

    @property
    def note(self) -> str | None:
        """What is not as it was asked for though frames come, or None."""

    def frames(self) -> Iterator[Frame]:
        """Every frame in order. Raises SourceError where a file cannot be read on."""

    def close(self) -> None:
        """Let go of the device or file; a running `frames()` ends."""


class Backoff:
    """Growing pauses before something unplugged is opened again; `closing` ends them."""

    def __init__(self, closing: threading.Event) -> None:
        self._closing = closing
        self._pause = REOPEN_FIRST

    def reset(self) -> None:
        self._pause = REOPEN_FIRST

    def wait(self) -> bool:
        """Wait once, blocking this thread. False where it was closed meanwhile."""
        if self._closing.wait(self._pause):
            return False
        self._pause = min(self._pause * 2, REOPEN_LONGEST)
        return True


def at_start(label: str) -> str:
    """A source's label at the start of a sentence; names of devices keep their letters."""
    return label[:1].upper() + label[1:]
