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
from playpark.device.pairing import login
from playpark.device.store import DeviceStore
from playpark.device.sync import LONGEST_PAUSE_S
from playpark.errors import ErrorCode, PlayParkError

LOOK_S = 1.0
"""How often it looks whether the device is logged in."""
MEMORY = 10
"""Beats whose fastest round trip tells the clock's offset: five minutes."""
_AGAIN_AFTER_LOGIN = {ErrorCode.UNAUTHENTICATED, ErrorCode.TOKEN_EXPIRED}


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
        """What the device's clock lacks to the server's, by the fastest of the last round trips
        (R36); None before the first."""
        return min(self._trips)[1] if self._trips else None

    async def run_forever(self) -> None:
        """Beat until cancelled. The sync engine logs the device in; who is refused beats less and
        less often, so that its logins are left to the engine (R37)."""
        pause = self._every
        while True:
            if self._client.device_token is None:
                await asyncio.sleep(min(LOOK_S, self._every))
                continue
            try:
                await self.beat()
                pause = self._every
            except PlayParkError as failed:
                refused = failed.code is not ErrorCode.UNAVAILABLE
                pause = min(2 * pause, LONGEST_PAUSE_S) if refused else self._every
            except OSError:
                pause = self._every
            await asyncio.sleep(pause)

    async def beat(self) -> HeartbeatAnswer:
        """One heartbeat; the device logs in again where its token has run out.

        Raises PlayParkError: not reachable, suspended, revoked.
        """
        parts = {"printer": self._printer(), "camera": self._camera()}
        body = await asyncio.to_thread(self._body, parts)
        try:
            answer = await self._send(body)
        except PlayParkError as refused:
            if refused.code not in _AGAIN_AFTER_LOGIN:
                raise
            await self._relogin()
            answer = await self._send(body)
        self._heard(answer)
        return answer

    async def _send(self, body: HeartbeatIn) -> HeartbeatAnswer:
        at, began = self._clock.now(), self._monotonic()
        answer = await self._client.acting(None).heartbeat(body)
        took = self._monotonic() - began
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
