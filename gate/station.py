"""Everything that one gate consists of, put together once for the screen and for `--headless`."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

import httpx

from gate.admission import DEADLINE, Admission, Code
from gate.allowlist import AllowList
from gate.answers import Scan
from gate.deciding import Judge
from gate.decoders import Decoder
from gate.frames import Frame, Image
from gate.ledger import Ledger
from gate.outages import Outages
from gate.pipeline import every_frame, listener, newest_frames, run
from gate.presentation import Presentations
from gate.refreshing import Refresher
from gate.relay import Relay
from gate.sources import FrameSource, Newest
from gate.sources.serial_line import SerialScanner
from playpark.client import ApiClient
from playpark.clock import Clock
from playpark.contracts.catalog import ZoneView
from playpark.contracts.provider import HeartbeatAnswer, PartState
from playpark.contracts.tenancy import DeviceType
from playpark.contracts.tickets import Direction
from playpark.device import DeviceStore, Heart, SyncEngine, login, pair
from playpark.device.faults import FaultyTransport
from playpark.device.gate_record import Place
from playpark.errors import ErrorCode, PlayParkError

ALLOW_LIST = "allowlist.db"
EVERY_ZONE = "every zone"
"""How a gate of the park as a whole is called, on the screen and for `--zone`."""


class Station:
    """A gate: its disk, its line to the server, its camera, its place.

    `connect` first; `scans` then runs until its frames end. `source` None: hand scanner only.
    `scanners` are serial ones; `relay` opens the turnstile.
    `zone`, `direction` None: where the gate stood when it was last told. `printer` tells its state.
    `deadline`: seconds a guest waits for the server. `outages`: what QA does to the line.
    """

    def __init__(
        self,
        store: DeviceStore,
        clock: Clock,
        source: FrameSource | None,
        *,
        api_url: str,
        scanners: Sequence[SerialScanner] = (),
        relay: Relay | None = None,
        zone: str | None = None,
        direction: Direction | None = None,
        deadline: float = DEADLINE,
        monotonic: Callable[[], float] = time.monotonic,
        transport: httpx.AsyncBaseTransport | None = None,
        outages: Outages | None = None,
    ) -> None:
        self.store = store
        self.clock = clock
        self.source = source
        self.scanners = scanners
        self.relay = relay
        self.monotonic = monotonic
        self.decoder = Decoder(stills=source is not None and source.stills)
        self.keyed: asyncio.Queue[Code] = asyncio.Queue()
        self.printer: Callable[[], PartState | None] = lambda: None
        self._wanted_zone = zone
        self._direction = direction
        self._deadline = deadline
        self.outages = outages or Outages()
        self._transport = FaultyTransport(self.outages.switches, transport)
        self._newest: Newest | None = None
        self._beside: list[asyncio.Task[None]] = []
        """What runs beside the scans: the outbox, the heartbeat, the list, the catalogue."""
        self._catalog_due = asyncio.Event()
        self.allow_list = AllowList(store.folder / ALLOW_LIST)
        self._judge = Judge(store, self.allow_list, Ledger())
        self._line(api_url)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of camera, line and disk; what is queued stays on the disk."""
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
        if self._newest is not None:
            await asyncio.to_thread(self._newest.close)
        elif self.source is not None:
            self.source.close()
        for scanner in self.scanners:
            await asyncio.to_thread(scanner.close)
        await self.client.close()
        await asyncio.to_thread(self.allow_list.close)
        self.store.close()

    # --- identity and place -------------------------------------------------------------

    async def connect(self, *, site_key: str | None, name: str) -> None:
        """Pair on the first start, log in, learn the zones.

        A gate that was paired before starts whatever the server says, and shows it. Raises
        PlayParkError: not paired and no (or a wrong) site key, server not reachable on the first
        start, no such zone.
        """
        if self.store.identity is None:
            if not site_key:
                message = "This gate is not paired yet: give the store's site key (--site-key)."
                raise PlayParkError(ErrorCode.CONFLICT, message)
            await pair(self.store, self.client, site_key, DeviceType.GATE, name)
        else:
            with contextlib.suppress(PlayParkError):  # the engine goes on trying, and says why
                await login(self.store, self.client)
        await self._renew_catalog()
        await asyncio.to_thread(self._judge.load, self.clock.now())
        kept = await asyncio.to_thread(self.store.gate.place) or Place()
        zone_id = kept.zone_id if self._wanted_zone is None else self._zone_id(self._wanted_zone)
        await self.stand_at(zone_id, self._direction or kept.direction)

    async def stand_at(self, zone_id: str | None, direction: Direction) -> None:
        """Let people into this zone (None: the park as a whole), or out of it, from now on; kept
        over a restart."""
        self.admission.zone_id, self.admission.direction = zone_id, direction
        with contextlib.suppress(PlayParkError):  # a full disk stops no gate
            place = Place(zone_id=zone_id, direction=direction)
            await asyncio.to_thread(self.store.gate.keep_place, place)

    async def move(self, api_url: str) -> None:
        """Speak with another server from now on (before the first pairing)."""
        if api_url.rstrip("/") != self.client.base_url:
            await self.client.close()
            self._line(api_url)

    @property
    def zones(self) -> list[ZoneView]:
        """The store's zones, as of the last time the server was reached."""
        snapshot = self.store.catalog()
        return snapshot.zones if snapshot else []

    @property
    def zone_name(self) -> str:
        if self.admission.zone_id is None:
            return EVERY_ZONE
        found = (z.name for z in self.zones if z.zone_id == self.admission.zone_id)
        return next(found, "zone gone")

    @property
    def decides_alone(self) -> bool:
        """Whether guests are let in while the server does not answer: by a list that is young
        enough, and out by anybody."""
        if self.engine.turned_away:
            return False
        going_out = self.admission.direction is Direction.EXIT
        return going_out or self._judge.ready(self.clock.now())

    @property
    def allow_list_age(self) -> timedelta | None:
        """How old the list is by which this gate decides alone; None where it has none."""
        return self.allow_list.age(self.clock.now())

    @property
    def occupancy(self) -> int | None:
        """How many guests are in this gate's zone, as far as is known here (R51)."""
        return self._judge.inside(self.admission.zone_id, self.clock.now())

    @property
    def fault(self) -> str | None:
        """Why there is no picture, or None."""
        if self._newest is None:
            return None
        if self._newest.ended and self._newest.fault is None:
            return f"{self._newest.source.label} is at its end."
        return self._newest.fault

    @property
    def troubles(self) -> list[str]:
        """What is wrong with its parts while it works on: each names its part and what to do."""
        parts: list[FrameSource | SerialScanner] = [*self.scanners]
        if self.source is not None:
            parts.insert(0, self.source)
        faults = self._newest.faults if self._newest else []
        faults += [scanner.fault for scanner in self.scanners if scanner.fault]
        faults += [self.relay.fault] if self.relay and self.relay.fault else []
        return faults + [part.note for part in parts if part.note]

    @property
    def picture(self) -> Image | None:
        """What a camera sees now, for a preview; None where there is none."""
        shown = self._newest.shown if self._newest else None
        return shown.image if shown else None

    # --- scanning -----------------------------------------------------------------------

    async def scans(self, *, live: bool) -> AsyncGenerator[Scan]:
        """The gate at work. `live`: newest frames and keys, without end; else every frame of a
        file, to its end. Raises SourceError where a file cannot be read on."""
        heart = Heart(
            self.store,
            self.client,
            self.clock,
            camera=self._camera,
            printer=self.printer,
            heard=self._heard,
        )
        refresher = Refresher(self.store, self.client, self.clock, self.allow_list, self._judge)
        beside = (
            self.engine.run_forever(),
            heart.run_forever(),
            refresher.run_forever(),
            self._keep_catalog(),
        )
        self._beside = [asyncio.create_task(each) for each in beside]
        if self.relay is not None:
            self._beside.append(asyncio.create_task(self.relay.run_forever()))
        for scanner in self.scanners:
            scanner.start(listener(scanner, self.keyed))
        parts = (self.decoder, Presentations(), self.admission)
        ends = self.source is not None and self.source.fps is not None and not self.scanners
        if not live and ends and self.source is not None:
            scans = run(every_frame(self.source), *parts)
        else:
            if self.source is not None:
                self._newest = Newest(self.source, clock=self.monotonic)
            frames = newest_frames(self._newest) if self._newest else _no_frames()
            scans = run(frames, *parts, keyed=self.keyed, clock=self.monotonic)
        async with contextlib.aclosing(scans):
            async for scan in scans:
                if self.relay is not None:
                    at = self.admission
                    self.relay.open(scan, zone_id=at.zone_id, direction=at.direction)
                yield scan
        if self.relay is not None:
            await self.relay.settle()

    # --- parts --------------------------------------------------------------------------

    def _camera(self) -> PartState:
        if self.source is None:
            return PartState.NONE
        failing = self.fault or (self._newest is not None and self._newest.faults)
        return PartState.FAILED if failing else PartState.OK

    def _line(self, api_url: str) -> None:
        self.client = ApiClient(api_url, transport=self._transport)
        self.engine = SyncEngine(self.store, self.client, self.clock, deadline=self._deadline)
        self.admission = Admission(
            self.store,
            self.engine,
            self.clock,
            direction=self._direction or Direction.ENTRY,
            deadline=self._deadline,
            judge=self._judge,
        )

    def _heard(self, answer: HeartbeatAnswer) -> None:
        self.outages.switches.heard(answer)
        catalog = self.store.catalog()
        if catalog is None or catalog.catalog_version != answer.catalog_version:
            self._catalog_due.set()

    async def _keep_catalog(self) -> None:
        """Zones and packages as they are: a gate that decides by itself needs them (R22)."""
        while True:
            await self._catalog_due.wait()
            self._catalog_due.clear()
            await self._renew_catalog()

    async def _renew_catalog(self) -> None:
        with contextlib.suppress(PlayParkError):  # the next heartbeat asks again
            known = await asyncio.to_thread(self.store.catalog)
            snapshot = await self.client.catalog(known)
            # The server is there: the first guest may wait for it as long as any other.
            self.engine.note(None)
            if snapshot is not known:
                await asyncio.to_thread(self.store.save_catalog, snapshot)

    def _zone_id(self, wanted: str | None) -> str | None:
        if wanted is None or wanted.casefold() == EVERY_ZONE:
            return None
        for zone in self.zones:
            if wanted.casefold() in {zone.zone_id.casefold(), zone.name.casefold(), zone.name_th}:
                return zone.zone_id
        known = ", ".join(zone.name for zone in self.zones) or "none known yet"
        message = f"There is no zone {wanted!r} in this store: choose one of {known}."
        raise PlayParkError(ErrorCode.VALIDATION, message)


async def _no_frames() -> AsyncIterator[Frame]:
    nothing: tuple[Frame, ...] = ()
    for frame in nothing:
        yield frame
