"""The heartbeat of a device: it tells every 30 seconds how it is, whoever is logged in (R36).

It runs beside everything else and disturbs nothing: what goes wrong here is tried again with the
next beat, and the sync engine alone tells whether the server is there.
"""

import asyncio
import shutil
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import timedelta

from playpark import __version__
from playpark.client import ApiClient
from playpark.clock import Clock
from playpark.contracts.provider import (
    HEARTBEAT_EVERY_S,
    HeartbeatAnswer,
    HeartbeatIn,
    PartState,
)
from playpark.device.pairing import logged_in, login
from playpark.device.park_clock import ParkClock
from playpark.device.store import DeviceStore
from playpark.device.turns import take_turns

MEMORY = 10
"""Beats whose fastest round trip tells the clock's offset: five minutes."""


class Heart:
    """Beats for a device. `printer` and `camera` are asked for their state with each beat;
    `heard` gets every answer, in the event loop."""

    def __init__(
        self,
        store: DeviceStore,
        client: ApiClient,
        clock: Clock,
        *,
        printer: Callable[[], PartState | None] = lambda: None,
        camera: Callable[[], PartState | None] = lambda: None,
        heard: Callable[[HeartbeatAnswer], None] = lambda _answer: None,
        relogin: Callable[[], Awaitable[object]] | None = None,
        every: float = HEARTBEAT_EVERY_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._client = client
        self._clock = clock
        self._printer = printer
        self._camera = camera
        self._heard = heard
        self._relogin = relogin or (lambda: login(store, client))
        self._every = every
        self._monotonic = monotonic
        self._trips: deque[tuple[float, timedelta]] = deque(maxlen=MEMORY)

    @property
    def clock_offset(self) -> timedelta | None:
        """What the machine's clock lacks to the server's, by the fastest of the last round trips
        (R36); None before the first. A `ParkClock` is right all the same, and knows it."""
        if isinstance(self._clock, ParkClock):
            return self._clock.skew
        return min(self._trips)[1] if self._trips else None

    async def run_forever(self) -> None:
        """Beat until cancelled."""
        await take_turns(self._client, self.beat, self._every)

    async def beat(self) -> HeartbeatAnswer:
        """One heartbeat; the device logs in again where its token has run out.

        Raises PlayParkError: not reachable, suspended, revoked.
        """
        parts = {"printer": self._printer(), "camera": self._camera()}
        body = await asyncio.to_thread(self._body, parts)
        answer = await logged_in(lambda: self._send(body), self._relogin)
        self._heard(answer)
        return answer

    async def _send(self, body: HeartbeatIn) -> HeartbeatAnswer:
        at, began = self._clock.now(), self._monotonic()
        answer = await self._client.acting(None).heartbeat(body)
        took = self._monotonic() - began
        if isinstance(self._clock, ParkClock):
            self._clock.learn(answer.server_time, took)
            return answer
        # The server looked at its clock half way, as far as anybody can tell.
        self._trips.append((took, answer.server_time - at - timedelta(seconds=took / 2)))
        return answer

    def _body(self, parts: dict[str, PartState | None]) -> HeartbeatIn:
        """What is known of this device now; blocks on the disk."""
        catalog, offset = self._store.catalog(), self.clock_offset
        told = {
            **parts,
            "app_version": __version__,
            "queued": self._store.queued_count(),
            "oldest_queued_at": self._store.oldest_pending_at(),
            "clock_offset_ms": None if offset is None else offset // timedelta(milliseconds=1),
            "catalog_version": catalog.catalog_version if catalog else None,
            "free_disk": shutil.disk_usage(self._store.folder).free,
        }
        known = {name: value for name, value in told.items() if value is not None}
        return HeartbeatIn.model_validate(known)
