"""How a device stands with its server: the line, whether it is taken, what to show (R37, R38)."""

import time
from collections.abc import Callable
from datetime import datetime

from playpark.client import NoAnswerError
from playpark.clock import Clock
from playpark.device.line import Line, LineMode
from playpark.errors import ErrorCode, PlayParkError

LONGEST_PAUSE_S = 300.0
"""No answer, however wrong, keeps a till from its server for longer."""
SLOW = "The server takes too long to answer: it is tried again."

TURNED_AWAY = {
    *(ErrorCode.UNAUTHENTICATED, ErrorCode.PERMISSION, ErrorCode.TENANT_SUSPENDED),
    *(ErrorCode.DEVICE_SUSPENDED, ErrorCode.DEVICE_REVOKED, ErrorCode.DEVICE_PENDING),
}
"""The server is there and does not take this device: it may do nothing alone either (R38)."""
OF_THE_DEVICE = TURNED_AWAY - {ErrorCode.UNAUTHENTICATED, ErrorCode.PERMISSION}
"""Of those, what a person who is logged in here is told for the device's sake."""
_BUSY = {ErrorCode.UNAVAILABLE, ErrorCode.RATE_LIMITED}


class Standing:
    """What all that was heard of the server comes to. `monotonic` is in seconds."""

    def __init__(
        self, clock: Clock, deadline: float, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._line = Line(deadline)
        self._not_before = 0.0
        self._online = False
        self._since = clock.now()
        self.turned_away = False
        self.last_error: str | None = None

    # --- how it is ------------------------------------------------------------------------

    @property
    def mode(self) -> LineMode:
        return self._line.mode(self._monotonic())

    @property
    def deadline(self) -> float:
        return self._line.deadline

    @property
    def held(self) -> bool:
        """Nobody is to wait for an answer at all."""
        return self._line.held(self._monotonic())

    @property
    def back_in(self) -> float | None:
        """Seconds until the hold is over; None where none is on."""
        return self._line.back_in(self._monotonic())

    @property
    def paused(self) -> float:
        """For how many seconds the server does not want to be asked."""
        return max(self._not_before - self._monotonic(), 0.0)

    def since(self, *, online: bool) -> datetime:
        """Since when it is `online`, or not."""
        if online is not self._online:
            self._online, self._since = online, self._clock.now()
        return self._since

    # --- what is heard --------------------------------------------------------------------

    def note(self, fault: PlayParkError | None, took: float | None = None) -> None:
        """How a call went that was made as this device, or by who is logged in here; `took`
        seconds where that says something of the speed."""
        now = self._monotonic()
        self.last_error = fault.message if fault else None
        if fault is None:
            self.turned_away = False
            self._answered(took, now)
        elif isinstance(fault, NoAnswerError):
            self._line.lost(now)
        elif fault.code in _BUSY:
            self._line.busy(now, fault.retry_after)
        else:
            # A refusal in words is an answer: the line works, this device may not.
            self.turned_away = fault.code in TURNED_AWAY
            self._line.answered(None, now)
        self.pause(fault.retry_after if fault else None)

    def probed(self, took: float) -> None:
        """The server told its time, as it does to anybody: that says nothing of this device."""
        if not self.turned_away:
            self.last_error = None
        self._answered(took, self._monotonic())

    def missed(self) -> None:
        """A guest has waited for an answer, for as long as guests wait."""
        self._line.missed(self._monotonic())
        self.last_error = SLOW

    def pause(self, retry_after: float | None) -> None:
        """The server asks not to be asked for so many seconds."""
        if retry_after is not None:
            self._not_before = self._monotonic() + min(retry_after, LONGEST_PAUSE_S)

    def _answered(self, took: float | None, now: float) -> None:
        self._line.answered(took, now)
        if took is not None and took > self.deadline:
            self.last_error = SLOW
