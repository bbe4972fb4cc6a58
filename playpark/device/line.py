"""Whether a guest may wait for the server: a state machine that time is passed to (R37).

It falls at once and comes back late: only when answers have come within the deadline and a hold is
over. The hold grows where the line flaps, so that no queue of guests pays for every change of it.
"""

from enum import StrEnum

HOLD_S, LONGEST_HOLD_S = 5.0, 60.0
STEADY_S = 60.0
"""A fall sooner than this after the last one doubles the hold; each such time without halves it."""


class LineMode(StrEnum):
    """`slow`: the server answers, but not within the deadline, so the device decides by itself."""

    CONNECTING = "connecting"
    ONLINE = "online"
    SLOW = "slow"
    OFFLINE = "offline"


class Line:
    """What is known of the line from what happened on it. `now` is in seconds of a clock that never
    goes back; `deadline` is what a guest of this device waits at most, in seconds."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self._mode = LineMode.CONNECTING
        self._since = 0.0
        """Of ONLINE: when it began."""
        self._hold = 0.0
        """How long the last hold was; 0 before the first."""
        self._held_until = 0.0
        self._in_time = False
        """The last answer of this fall came within the deadline."""

    def mode(self, now: float) -> LineMode:
        """How it stands. A hold that is over ends by itself where answers are good."""
        if self._mode is LineMode.SLOW and self._in_time and now >= self._held_until:
            self._mode, self._since = LineMode.ONLINE, now
        return self._mode

    def held(self, now: float) -> bool:
        """Nobody is to wait for an answer at all."""
        return self.back_in(now) is not None

    def back_in(self, now: float) -> float | None:
        """Seconds until the hold is over; None where none is on."""
        if self.mode(now) is not LineMode.SLOW or now >= self._held_until:
            return None
        return self._held_until - now

    # --- what happens on it -------------------------------------------------------------

    def answered(self, took: float | None, now: float) -> None:
        """An answer came after `took` seconds; None where that says nothing of the speed, such as
        of a long batch or a download."""
        mode = self.mode(now)
        late = took is not None and took > self.deadline
        if mode is LineMode.CONNECTING and not late:
            self._mode, self._since = LineMode.ONLINE, now
            return
        if mode is LineMode.ONLINE and not late:
            return
        if late or mode is LineMode.OFFLINE:
            self._slow_down(now)
        if took is not None:
            self._in_time = not late

    def missed(self, now: float) -> None:
        """A guest has waited for the whole deadline. A line that was not there before is not
        slow: it still is not there."""
        if self.mode(now) in {LineMode.ONLINE, LineMode.SLOW}:
            self._slow_down(now)

    def busy(self, now: float, retry_after: float | None = None) -> None:
        """The server is there and asks not to be asked for `retry_after` seconds."""
        self._slow_down(now, at_least=retry_after or 0.0)

    def lost(self, now: float) -> None:
        """Nothing is there."""
        if self.mode(now) is LineMode.ONLINE:
            self._hold = self._next_hold(now)
        self._mode, self._in_time = LineMode.OFFLINE, False

    def _slow_down(self, now: float, at_least: float = 0.0) -> None:
        if self.mode(now) is LineMode.ONLINE:
            self._hold = self._next_hold(now)
        self._hold = self._hold or HOLD_S
        self._mode, self._in_time = LineMode.SLOW, False
        hold = max(self._hold, min(at_least, LONGEST_HOLD_S))
        self._held_until = max(self._held_until, now + hold)

    def _next_hold(self, now: float) -> float:
        """How long the hold of a fall is that happens now."""
        steady = now - self._since
        if self._hold and steady < STEADY_S:
            return min(2 * self._hold, LONGEST_HOLD_S)
        halvings = min(int(steady // STEADY_S), 16)
        return max(self._hold / 2.0**halvings, HOLD_S)
