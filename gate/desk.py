"""What follows a scan and what the keys of the gate do: board, tones, slips, annuls (no Textual).

The screen draws what stands here; nothing here waits for a printer or a player.
"""

import asyncio
import time
from collections import deque
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from gate.answers import Answer, Level, Scan, mistyped
from gate.board import LAST, Board, idle
from gate.history import ANNUL_WITHIN, scan_of
from gate.slips import KEEP_S, Slips
from gate.sounds import Sounds, Tone
from gate.station import Station
from gate.tally import Tally
from gate.typed import Typed
from playpark.clock import business_date, business_day_start, park_zone
from playpark.contracts.catalog import SlipPolicy, ZoneView
from playpark.contracts.gate import GatePolicy
from playpark.contracts.tickets import Direction
from playpark.printing.admission_slip import Admission

ZONES_FOR_S = 1.0
DEFAULT_LIMIT = timedelta(hours=GatePolicy.model_fields["allow_list_hours"].default)


class Desk:
    """One gate as its staff meet it. `stopped` is why scanning has ended, where it has."""

    def __init__(self, station: Station, sounds: Sounds, slips: Slips) -> None:
        self.station = station
        self.sounds = sounds
        self.slips = slips
        self.stopped: str | None = None
        self.board = Board(Tally(self._day_of))
        self._zones: tuple[float, list[ZoneView]] = (float("-inf"), [])
        self._slipped: deque[str | None] = deque(maxlen=2 * LAST)
        self._no_in_group = -1

    # --- time and place -----------------------------------------------------------------

    @property
    def park_zone(self) -> ZoneInfo:
        identity = self.station.store.identity
        store = identity.store if identity else None
        return park_zone(store.tz if store else None)

    @property
    def now(self) -> datetime:
        """Park time (R30)."""
        return self.station.clock.now().astimezone(self.park_zone)

    @property
    def at(self) -> float:
        return self.station.monotonic()

    @property
    def zones(self) -> list[ZoneView]:
        """The store's zones; read once a second at most, for they stand on the disk."""
        read_at, zones = self._zones
        if (now := time.monotonic()) - read_at >= ZONES_FOR_S:
            zones = self.station.zones
            self._zones = (now, zones)
        return zones

    @property
    def zone(self) -> ZoneView | None:
        """The zone of this gate, None for the park as a whole or one that is gone."""
        zone_id = self.station.admission.zone_id
        return next((zone for zone in self.zones if zone.zone_id == zone_id), None)

    @property
    def placed(self) -> bool:
        """Whether the gate's zone is one of the store's."""
        return self.station.admission.zone_id is None or self.zone is not None

    @property
    def list_limit(self) -> timedelta:
        """How old the allow-list may be while the gate decides by it."""
        head = self.station.allow_list.head
        return head.longest if head else DEFAULT_LIMIT

    def _day_of(self, moment: datetime) -> date:
        return business_date(moment, self.park_zone)

    # --- scans --------------------------------------------------------------------------

    async def restore(self) -> None:
        """Read today's scans of earlier runs, and the last ones for the annul key."""
        now = self.now
        begin = business_day_start(self._day_of(now), self.park_zone)
        since = min(begin, now - ANNUL_WITHIN)
        self.board.restore(await asyncio.to_thread(self._scans_since, since), now)

    def _scans_since(self, moment: datetime) -> list[Scan]:
        found = self.station.store.gate.since(moment)
        return [scan_of(passage, -number) for number, passage in enumerate(found)]

    def take(self, scan: Scan) -> None:
        """A showing began or was answered: note it, let it be heard, print its slip."""
        self.board.take(scan, self.at)
        self._sound(scan)
        if self.slip_policy is SlipPolicy.ALWAYS:
            self._print(scan)

    def _sound(self, scan: Scan) -> None:
        """One tone for what the panel says: a family hears one NO, not a PASS behind it."""
        shown = self.board.answer(self.at)
        if shown is None or scan.answer.level not in {Level.PASS, Level.FAIL, Level.OFFLINE}:
            return
        if shown.level is Level.PASS:
            self.sounds.play(Tone.PASS)
        elif shown.level in {Level.FAIL, Level.OFFLINE} and self._no_in_group != scan.together:
            self._no_in_group = scan.together
            self.sounds.play(Tone.FAIL)

    def mistyped(self, typed: Typed) -> None:
        """A typed code cannot be right: the panel says why; nothing is sent (R24)."""
        self.board.say(mistyped(typed.english, typed.thai), self.at)
        self.sounds.play(Tone.FAIL)

    def panel(self) -> Answer:
        """What the panel says now."""
        sync = self.station.engine.state
        return self.board.answer(self.at) or idle(
            online=sync.online,
            alone=not sync.online and self.station.decides_alone,
            error=sync.last_error,
            fault=self.stopped or self.station.fault,
            camera=self.station.source is not None,
            placed=self.placed,
            going_out=self.station.admission.direction is Direction.EXIT,
        )

    @property
    def troubles(self) -> list[str]:
        """What is wrong with this gate's parts while it works on, each with what to do."""
        station = self.station
        notes = [self.stopped, self.slips.fault, self.sounds.fault, station.decoder.note]
        return [*station.troubles, *(note for note in notes if note)]

    # --- slips --------------------------------------------------------------------------

    @property
    def slip_policy(self) -> SlipPolicy:
        """The zone's, never without a printer or a zone."""
        zone = self.zone
        return zone.slip if zone is not None and self.slips.there else SlipPolicy.NEVER

    def slips_due(self) -> list[Scan]:
        """The entries of the last minute whose slip a key may print now, newest first."""
        if self.slip_policy is SlipPolicy.NEVER:
            return []
        since = self.now - timedelta(seconds=KEEP_S)
        return [
            scan
            for scan in self.board.rows()
            if scan.at >= since and scan.number > 0 and self._earns_slip(scan)
        ]

    def print_slips(self) -> int:
        """Print the slips of the last group that went in; how many they are."""
        due = self.slips_due()
        group = [scan for scan in due if scan.together == due[0].together]
        for scan in reversed(group):
            self._print(scan)
        return len(group)

    def _earns_slip(self, scan: Scan) -> bool:
        answer = scan.answer
        entry = answer.level is Level.PASS and not answer.going_out and not scan.annulled
        return entry and scan.op_id is not None and scan.op_id not in self._slipped

    def _print(self, scan: Scan) -> None:
        if not self._earns_slip(scan):
            return
        self._slipped.append(scan.op_id)
        zone, view = self.zone, scan.answer.redemption
        self.slips.print(
            Admission(
                at=scan.at,
                ticket_id=(view.ticket_id if view else None) or scan.code,
                zone=zone.name if zone else None,
                zone_th=zone.name_th if zone else None,
                package=view.package_name if view else None,
                package_th=view.package_name_th if view else None,
                kind=view.kind if view else None,
                remaining=scan.answer.remaining,
            )
        )

    # --- keys ---------------------------------------------------------------------------

    async def annul(self, scan: Scan) -> Answer:
        """Take an entry back; the panel says what came of it (R50)."""
        answer = await self.station.admission.annul(scan.op_id or "")
        if answer.level is Level.ANNULLED:
            self.board.annulled(scan, self.now)
        self.board.say(answer, self.at, of=scan)
        return answer

    async def close(self) -> None:
        await self.sounds.close()
        await self.slips.close()
