"""The lists of the stores that a process has at hand, compressed as they are sent.

A shelf holds one store's list in segments and nothing else: a segment is unpacked to change it. All
of it can be read again from the database, so any process answers any gate. Methods of `Shelf` take
their time and run in a thread, one at a time for each store.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from zlib import crc32

from api.gate.entries import Listed, ticket_id_of, told, valid_to_of
from api.gate.gzip_parts import Part, pack, unpack

MOST_BYTES = 64 * 1024 * 1024
"""Of all shelves of a process."""
PER_SEGMENT = 40
"""Tickets: more compress a little better, fewer are quicker to change."""
_FEWEST, _MOST = 64, 16_384
_COMMA = b",\n"
COMMA = pack(_COMMA)
_SUMS = 1 << 128


@dataclass(frozen=True, slots=True)
class Segment:
    """Some of the tickets: entries and ids of the denied, their sum, when the first one ends."""

    allow: Part | None = None
    deny: Part | None = None
    sum: int = 0
    ends_at: bytes | None = None

    @classmethod
    def of(cls, texts: Iterable[bytes]) -> "Segment":
        lines = sorted(texts)
        allow = [line for line in lines if line.startswith(b"{")]
        deny = [line for line in lines if not line.startswith(b"{")]
        ends_at = min(map(valid_to_of, allow), default=None)
        return cls(_packed(allow), _packed(deny), sum_of(lines), ends_at)

    def texts(self) -> dict[str, bytes]:
        """By ticket: its entry, or its id in quotes."""
        parts = [part for part in (self.allow, self.deny) if part is not None]
        lines = [line for part in parts for line in unpack(part).split(_COMMA)]
        return {ticket_id_of(line): line for line in lines}

    @property
    def size(self) -> int:
        return sum(len(part.data) for part in (self.allow, self.deny) if part is not None)


class Shelf:
    """The list of one store as of `as_of`, by the keys named in `keys`."""

    def __init__(self, as_of: datetime, keys: object, expected: int) -> None:
        self.as_of = as_of
        self.built_at = as_of
        self.keys = keys
        count = _FEWEST
        while count < _MOST and count * PER_SEGMENT < expected:
            count *= 2
        self._segments = [Segment()] * count
        self._later: dict[str, Listed] = {}
        """Tickets whose validity has not begun: they are few, and which are told is asked anew."""
        self._seen: Mapping[str, Listed | None] = {}
        """What was taken up last: changes of the overlap are told again and again."""
        self.size = 0

    def put(self, tickets: Mapping[str, Listed | None], now: datetime) -> None:
        """Take up changes, None for a ticket that is off the list, and let go of what is over."""
        changes: dict[int, dict[str, Listed | None]] = {}
        begun = {key: each for key, each in self._later.items() if each.valid_from <= now}
        fresh = {key: each for key, each in tickets.items() if self._is_new(key, each)}
        for ticket_id, each in {**begun, **fresh}.items():
            self._later.pop(ticket_id, None)
            stands = each if each is not None and each.valid_to > now else None
            if stands is not None and not stands.denied and stands.valid_from > now:
                self._later[ticket_id] = stands
                stands = None
            changes.setdefault(self._at(ticket_id), {})[ticket_id] = stands
        moment = told(now)
        for at, segment in enumerate(self._segments):
            over = segment.ends_at is not None and segment.ends_at <= moment
            if over or at in changes:
                self._segments[at] = _changed(segment, changes.get(at, {}), moment)
        self.as_of, self._seen = now, tickets
        self.size = sum(each.size for each in self._segments) + sum(
            len(each.text) for each in self._later.values()
        )

    def forget_seen(self) -> None:
        """After a list from beginning to end, which is too much to remember."""
        self._seen = {}

    def parts(self, until: datetime) -> tuple[list[Part], list[Part], int]:
        """(entries, ids of the denied, their sum), commas between them; with the tickets whose
        validity begins by `until`."""
        later = [each.text for each in self._later.values() if each.tells(self.as_of, until)]
        segments = [*self._segments, Segment.of(later)]
        allow = [each.allow for each in segments if each.allow is not None]
        deny = [each.deny for each in segments if each.deny is not None]
        total = sum(each.sum for each in segments) % _SUMS
        return listed_parts(allow), listed_parts(deny), total

    def _is_new(self, ticket_id: str, each: Listed | None) -> bool:
        return ticket_id not in self._seen or self._seen[ticket_id] != each

    def _at(self, ticket_id: str) -> int:
        return crc32(ticket_id.encode()) % len(self._segments)


class Shelves:
    """The shelves of a process: those that were asked for last, within a limit of bytes."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, Shelf] = OrderedDict()
        self.building = asyncio.Semaphore(2)
        """For lists that are read from beginning to end: so many of them at a time."""

    def get(self, place: str) -> Shelf | None:
        return self._kept.get(place)

    def keep(self, place: str, shelf: Shelf) -> None:
        """Keep it as the latest one, and let go of the oldest while there are too many bytes; one
        that is too large by itself is not kept."""
        self._kept[place] = shelf
        self._kept.move_to_end(place)
        while self._kept and self.size > self._most_bytes:
            self._kept.popitem(last=False)

    @property
    def size(self) -> int:
        """Bytes of all shelves."""
        return sum(shelf.size for shelf in self._kept.values())


def listed_parts(parts: Iterable[Part]) -> list[Part]:
    """Parts of a JSON array with their commas."""
    found: list[Part] = []
    for part in parts:
        found += [COMMA, part] if found else [part]
    return found


def sum_of(texts: Iterable[bytes]) -> int:
    """Stands for a set of entries in any order, however it is cut into segments."""
    hashes = (hashlib.blake2b(text, digest_size=16).digest() for text in texts)
    return sum(int.from_bytes(each, "big") for each in hashes) % _SUMS


def _packed(lines: list[bytes]) -> Part | None:
    return pack(_COMMA.join(lines)) if lines else None


def _changed(segment: Segment, changes: Mapping[str, Listed | None], now: bytes) -> Segment:
    """The segment with its changes and without what is over, itself where nothing is new."""
    had = segment.texts()
    has = {
        ticket_id: text
        for ticket_id, text in had.items()
        if not text.startswith(b"{") or valid_to_of(text) > now
    }
    for ticket_id, each in changes.items():
        if each is None:
            has.pop(ticket_id, None)
        else:
            has[ticket_id] = each.text
    return segment if has == had else Segment.of(has.values())
