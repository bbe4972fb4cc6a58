"""Keys from a hand scanner or from a person, told apart by their rhythm (PLATFORM, QR).

A scanner in keyboard-wedge mode types a burst: 35 ms between keys on average, never over 100 ms,
Enter within 150 ms. A text whose shape is a ticket's is a scan at any speed (a slow terminal
stretches the burst).
"""

from dataclasses import dataclass

from playpark.offline_tickets import named_ticket

BURST_AVERAGE = 0.035
BURST_GAP = 0.100
BURST_ENTER = 0.150
BURST_LENGTH = 6
"""Fewer keys than this are nobody's burst."""
LONGEST_ENTRY = 500


@dataclass(frozen=True, slots=True)
class Keyed:
    """What Enter ended: `scanned` by a hand scanner, or typed by a person."""

    text: str
    scanned: bool


class Wedge:
    """Collects keys until Enter. Times are monotonic seconds, passed in."""

    def __init__(self) -> None:
        self._keys: list[tuple[str, float]] = []

    @property
    def text(self) -> str:
        """What stands on the entry line."""
        return "".join(char for char, _ in self._keys)

    def key(self, char: str, at: float) -> None:
        if len(self._keys) < LONGEST_ENTRY:
            self._keys.append((char, at))

    def paste(self, text: str, at: float) -> None:
        """A whole text at once: as a terminal's paste delivers it."""
        for char in text:
            self.key(char, at)

    def backspace(self) -> None:
        if self._keys:
            self._keys.pop()

    def clear(self) -> None:
        self._keys.clear()

    def put_back(self, text: str, at: float) -> None:
        """A text that was typed by a person and is to be mended: it never looks like a burst."""
        self._keys = [(char, at - len(text) + place) for place, char in enumerate(text)]

    def enter(self, at: float) -> Keyed | None:
        """End the entry; None where nothing was typed.

        What a person typed before a scanner's burst is dropped with it: the scan is what counts.
        """
        keys, self._keys = self._keys, []
        text = "".join(char for char, _ in keys).strip()
        if not text:
            return None
        burst = _burst(keys, at)
        if burst is not None:
            return Keyed(_ticket(burst) or burst, scanned=True)
        if token := _ticket(text):
            return Keyed(token, scanned=True)
        return Keyed(text, scanned=False)


def _burst(keys: list[tuple[str, float]], enter_at: float) -> str | None:
    """The last run of keys without a pause, where its rhythm is a scanner's."""
    start = len(keys) - 1
    while start > 0 and keys[start][1] - keys[start - 1][1] <= BURST_GAP:
        start -= 1
    run = keys[start:]
    if len(run) < BURST_LENGTH or enter_at - run[-1][1] > BURST_ENTER:
        return None
    if (run[-1][1] - run[0][1]) / (len(run) - 1) > BURST_AVERAGE:
        return None
    return "".join(char for char, _ in run).strip() or None


def _ticket(text: str) -> str | None:
    """The token in `text`; a scanner under Caps Lock types it in lower case."""
    return next((each for each in (text, text.upper()) if named_ticket(each)), None)
