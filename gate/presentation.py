"""One presentation per showing of a code (PLATFORM, QR).

A ticket that is held before the camera is read many times a second and must redeem once. It
may redeem again when it was out of sight for two seconds: unseen, not since it was first seen.
"""

from collections.abc import Iterable

REARM_AFTER = 2.0
"""Seconds out of sight after which a code counts as shown anew."""


class Presentations:
    """What is being shown. Times are seconds of one monotonic time line, passed in."""

    def __init__(self, rearm_after: float = REARM_AFTER) -> None:
        self._rearm_after = rearm_after
        self._last_seen: dict[str, float] = {}

    def seen(self, codes: Iterable[str], at: float) -> list[str]:
        """The codes of this moment that begin a showing, each once, in the given order."""
        self._forget(at)
        begun = []
        for code in codes:
            if code not in self._last_seen:
                begun.append(code)
            self._last_seen[code] = at
        return begun

    def shown(self, code: str, at: float) -> bool:
        """Whether the code's showing goes on at this moment."""
        last = self._last_seen.get(code)
        return last is not None and at - last < self._rearm_after

    def _forget(self, at: float) -> None:
        self._last_seen = {
            code: last for code, last in self._last_seen.items() if at - last < self._rearm_after
        }
