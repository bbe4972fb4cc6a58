"""Everything that one gate consists of, put together once for the screen and for `--headless`."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from types import TracebackType
from typing import Self

import httpx

from gate.admission import DEADLINE, Admission, Code
from gate.answers import Scan
from gate.decoders import Decoder
from gate.frames import Frame
from gate.pipeline import every_frame, newest_frames, run
from gate.presentation import Presentations
from gate.sources import FrameSource, Newest
from playpark.client import ApiClient
from playpark.clock import Clock
from playpark.contracts.catalog import ZoneView
from playpark.contracts.provider import PartState
from playpark.contracts.tenancy import DeviceType
from playpark.contracts.tickets import Direction
from playpark.device import DeviceStore, Heart, SyncEngine, login, pair
from playpark.errors import ErrorCode, PlayParkError


class Station:
    """A gate: its disk, its line to the server, its camera, its place.

    `connect` first; `scans` then runs until its frames end. `source` None: hand scanner only.
    `deadline`: seconds a guest waits for the server.
    """

    def __init__(
        self,
        store: DeviceStore,
        clock: Clock,
        source: FrameSource | None,
        *,
        api_url: str,
        zone: str | None = None,
        direction: Direction = Direction.ENTRY,
        deadline: float = DEADLINE,
        monotonic: Callable[[], float] = time.monotonic,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.store = store
        self.clock = clock
        self.source = source
        self.monotonic = monotonic
        self.decoder = Decoder(stills=source is not None and source.stills)
        self.keyed: asyncio.Queue[Code] = asyncio.Queue()
        self._wanted_zone = zone
        self._direction = direction
        self._deadline = deadline
        self._transport = transport
        self._newest: Newest | None = None
        self._beside: list[asyncio.Task[None]] = []
        """What runs beside the scans: the outbox and the heartbeat."""
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
        await self.client.close()
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
        with contextlib.suppress(PlayParkError):
            snapshot = await self.client.catalog()
            await asyncio.to_thread(self.store.save_catalog, snapshot)
        self.admission.zone_id = self._zone_id(self._wanted_zone)

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
        found = (z.name for z in self.zones if z.zone_id == self.admission.zone_id)
        return next(found, "every zone")

    @property
    def fault(self) -> str | None:
        """Why there is no picture, or None."""
        if self._newest is None:
            return None
        if self._newest.ended and self._newest.fault is None:
            return f"{self._newest.source.label} is at its end."
        return self._newest.fault

    # --- scanning -----------------------------------------------------------------------

    async def scans(self, *, live: bool) -> AsyncGenerator[Scan]:
        """The gate at work. `live`: newest frames and keys, without end; else every frame of a
        file, to its end. Raises SourceError where a file cannot be read on."""
        heart = Heart(self.store, self.client, self.clock, camera=self._camera)
        beside = (self.engine.run_forever(), heart.run_forever())
        self._beside = [asyncio.create_task(each) for each in beside]
        parts = (self.decoder, Presentations(), self.admission)
        if not live and self.source is not None and self.source.fps is not None:
            scans = run(every_frame(self.source), *parts)
        else:
            if self.source is not None:
                self._newest = Newest(self.source, clock=self.monotonic)
            frames = newest_frames(self._newest) if self._newest else _no_frames()
            scans = run(frames, *parts, keyed=self.keyed, clock=self.monotonic)
        async with contextlib.aclosing(scans):
            async for scan in scans:
                yield scan

    # --- parts --------------------------------------------------------------------------

    def _camera(self) -> PartState:
        if self.source is None:
            return PartState.NONE
        return PartState.FAILED if self.fault else PartState.OK

    def _line(self, api_url: str) -> None:
        self.client = ApiClient(api_url, transport=self._transport)
        self.engine = SyncEngine(self.store, self.client, self.clock)
        self.admission = Admission(
            self.store,
            self.engine,
            self.clock,
            direction=self._direction,
            deadline=self._deadline,
        )

    def _zone_id(self, wanted: str | None) -> str | None:
        if wanted is None:
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
