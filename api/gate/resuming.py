"""Going on with a list whose download was cut: the very bytes that were begun, from where they
broke off (RFC 9110, 14; R37, decision 0028)."""

import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

KEPT_FOR = timedelta(minutes=5)
MOST_KEPT = 2_000
"""Answers in one process. Their tickets are the parts of the shelf itself, so each costs little
more than its head."""
_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of an answer, from `first` to before `end`; of `whole` of them."""

    first: int
    end: int
    whole: int

    @property
    def content_range(self) -> str:
        """As the header has it."""
        if self.first >= self.end:
            return f"bytes */{self.whole}"
        return f"bytes {self.first}-{self.end - 1}/{self.whole}"

    def of(self, pieces: Sequence[bytes]) -> Iterator[bytes]:
        """The bytes out of the pieces of the whole answer, which stay as they are."""
        at = 0
        for piece in pieces:
            first, end = max(self.first - at, 0), min(self.end - at, len(piece))
            at += len(piece)
            if first < end:
                yield piece[first:end]


def span(header: str, whole: int) -> Span | None:
    """What a Range header asks for of `whole` bytes; empty where there is nothing of that (416),
    None for what is none or asks for several parts: then all is sent."""
    found = _RANGE.fullmatch(header.strip())
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:  # the last so many bytes
        return Span(max(whole - int(last), 0), whole, whole) if int(last) else Span(0, 0, whole)
    if last and int(last) < int(first):
        return None
    end = min(int(last) + 1, whole) if last else whole
    return Span(int(first), max(end, 0), whole) if int(first) < whole else Span(0, 0, whole)


class Kept:
    """The latest answers as they were begun, by who may ask for them again."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._answers: OrderedDict[str, tuple[datetime, Sequence[bytes]]] = OrderedDict()

    def put(self, key: str, pieces: Sequence[bytes], now: datetime) -> None:
        self._answers[key] = (now, pieces)
        while self._answers:
            at, _ = next(iter(self._answers.values()))
            if len(self._answers) <= self._most and now - at <= KEPT_FOR:
                return
            self._answers.popitem(last=False)

    def get(self, key: str, now: datetime) -> Sequence[bytes] | None:
        """The pieces of an answer that is not too long ago."""
        found = self._answers.get(key)
        return found[1] if found is not None and now - found[0] <= KEPT_FOR else None
