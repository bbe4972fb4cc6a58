"""How many guests are in a zone, counted where they enter and leave (R51).

Every gate counts on a document of its own, so that gates do not wait for each other; where a zone
has a capacity, entries follow each other at the zone's mark.
"""

import time
from dataclasses import dataclass, field
from datetime import datetime
from weakref import WeakKeyDictionary

from api.catalog import service as catalog
from api.platform.mongo import Mongo
from api.platform.scope import Scope
from api.platform.uow import Work
from api.tickets.models import Redemption
from api.tickets.repository import OccupancyRepository
from playpark.clock import business_date
from playpark.contracts.catalog import ZoneView
from playpark.contracts.tickets import Direction, OccupancyView
from playpark.redemption import NO_ZONE

PARK_NAME = "Park"
_FRESH_SECONDS = 1.0
_CACHE_SIZE = 1_000
Counts = dict[str, tuple[int, int]]
"""(entries, exits) by device."""


@dataclass(slots=True)
class _Known:
    """What this process has last read of a zone, and counted there itself since."""

    read_at: float
    counts: Counts = field(default_factory=dict)


_known: WeakKeyDictionary[Mongo, dict[tuple[str, ...], _Known]] = WeakKeyDictionary()


async def room(
    work: Work, scope: Scope, zone: ZoneView, at: datetime
) -> tuple[bool, Counts | None]:
    """Whether one more guest would be too many for the zone, and the counts that say so: None
    where it has no capacity. Where there is room, the entry has the zone's turn: no other one can
    stand beside it, so that two gates cannot both give the last place away.
    """
    if zone.capacity is None:
        return False, None
    day = _day(scope, at)
    found = OccupancyRepository.of(work, scope)
    counts = await found.by_device(day, zone.zone_id)
    full = _inside(counts) >= zone.capacity
    if not full and work.session is not None:
        await found.take_turn(day, zone.zone_id)
    return full, counts


async def count(
    work: Work,
    scope: Scope,
    zone_id: str | None,
    direction: Direction,
    at: datetime,
    counts: Counts | None = None,
) -> tuple[str, int]:
    """Count one entry or exit of the scope's device; (the trading day that has it, how many are
    inside now). `counts` are the zone's, where `room` has read them just now: else what other
    processes have counted within the last second may be missing from the number.
    """
    day, place, device_id = _day(scope, at), zone_id or NO_ZONE, scope.device.device_id
    by = {"exits": 1} if direction is Direction.EXIT else {"entries": 1}
    # Who holds a zone's turn counts at once: the next in the same transaction has to see it.
    at_once = counts is not None
    found = OccupancyRepository.of(work, scope)
    own = await found.count(day, place, device_id, at_once=at_once, **by)
    known = counts if counts is not None else await _counts(work, scope, day, place)
    known[device_id] = own or _plus(known.get(device_id, (0, 0)), **by)
    return day, _inside(known)


async def give_back(work: Work, scope: Scope, row: Redemption) -> None:
    """Take the entry `row` out of the count, of the device and day that have it (R50)."""
    if row.counted_on is None:
        return
    place = row.zone_id or NO_ZONE
    found = OccupancyRepository.of(work, scope)
    left = await found.count(row.counted_on, place, row.device_id, entries=-1)
    if left is not None:
        (await _counts(work, scope, row.counted_on, place))[row.device_id] = left


async def today(work: Work, scope: Scope) -> list[OccupancyView]:
    """The zones of the catalogue and the park as a whole, as they are now."""
    counted = await OccupancyRepository.of(work, scope).by_zone(_day(scope, work.now))
    snapshot = await catalog.snapshot(work, scope)
    places = [(zone.zone_id, zone.name, zone.capacity) for zone in snapshot.zones]
    return [
        OccupancyView(
            zone_id=zone_id or None,
            name=name,
            inside=max(0, entries - exits),
            capacity=capacity,
            entries=entries,
            exits=exits,
        )
        for zone_id, name, capacity in [*places, (NO_ZONE, PARK_NAME, None)]
        for entries, exits in [counted.get(zone_id, (0, 0))]
    ]


async def _counts(work: Work, scope: Scope, day: str, place: str) -> Counts:
    """The zone's counts, read at most once a second: it is a number on a screen, and a read for
    each guest would cost more than it tells."""
    kept = _known.setdefault(work.mongo, {})
    key = (scope.tenant_id, scope.store_id, day, place)
    now = time.monotonic()
    known = kept.get(key)
    if known is not None and now - known.read_at < _FRESH_SECONDS:
        return known.counts
    counts = await OccupancyRepository.of(work, scope).by_device(day, place)
    if len(kept) >= _CACHE_SIZE:
        kept.clear()
    kept[key] = _Known(now, counts)
    return counts


def _plus(counted: tuple[int, int], entries: int = 0, exits: int = 0) -> tuple[int, int]:
    return counted[0] + entries, counted[1] + exits


def _day(scope: Scope, at: datetime) -> str:
    return business_date(at, scope.zone).isoformat()


def _inside(counts: Counts) -> int:
    # A copy: another thread may count a new gate meanwhile.
    return max(0, sum(entries - exits for entries, exits in list(counts.values())))
