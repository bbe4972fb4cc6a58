"""Keeping the gate's own list young: at the start and every 30 seconds, beside the scans (R33).

What goes wrong here is tried again at the next turn; the list's age tells how long it has been.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from gate.allowlist import AllowList
from gate.deciding import Judge
from playpark.client import ApiClient
from playpark.clock import Clock
from playpark.device import DeviceStore, login
from playpark.device.pairing import logged_in
from playpark.device.park_clock import ParkClock
from playpark.device.sync import TURNED_AWAY
from playpark.device.turns import take_turns
from playpark.errors import PlayParkError

EVERY_S, JITTER_S = 30.0, 5.0
"""Gates that were started by the same switch do not stay in step."""
FIRST_WINDOW = 24 * 60
"""Minutes ahead, until the store's policy is known."""
PATIENCE_S = 30.0


class Refresher:
    """Asks for a gate's list. All methods run in one event loop."""

    def __init__(
        self,
        store: DeviceStore,
        client: ApiClient,
        clock: Clock,
        allow_list: AllowList,
        judge: Judge,
        *,
        relogin: Callable[[], Awaitable[object]] | None = None,
        every: float = EVERY_S,
        jitter: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._client = client
        self._clock = clock
        self._list = allow_list
        self._judge = judge
        self._relogin = relogin or (lambda: login(store, client))
        self._every = every
        self._jitter = jitter
        self._monotonic = monotonic

    async def run_forever(self) -> None:
        """Refresh until cancelled."""

        def spread(pause: float) -> float:
            return self._jitter() * min(JITTER_S, pause / 6)

        await take_turns(self._client, self.refresh, self._every, spread=spread)

    async def refresh(self) -> None:
        """Ask once for what has changed, or for all of it.

        Raises PlayParkError (not reachable, refused) and OSError (the disk does not take it); the
        list stays as it was. A gate that the server does not take (any more) has none (R38).
        """
        try:
            await logged_in(self._ask, self._relogin)
        except PlayParkError as refused:
            if refused.code in TURNED_AWAY:
                await asyncio.to_thread(self._judge.forget)
            raise

    async def _ask(self) -> None:
        owner = self._store.identity.device_id if self._store.identity else ""
        head = self._list.head
        window = FIRST_WINDOW
        if head is not None:
            window = head.longest // timedelta(minutes=1)
        ours = head is not None and (head.owner, head.window) == (owner, window)
        since = head.told.version if head is not None and ours else None
        answered = self._judge.ledger.answered()
        at, began = self._clock.now(), self._monotonic()
        told = await self._client.acting(None).gate_bootstrap(
            window=window, since=since, timeout=PATIENCE_S
        )
        # The server looked at its clock half way, as far as anybody can tell. An answer that was
        # begun at an earlier turn is older; a clock that has heard the server knows without it.
        now = at + timedelta(seconds=(self._monotonic() - began) / 2)
        if isinstance(self._clock, ParkClock) and self._clock.skew is not None:
            now = told.server_time
        await asyncio.to_thread(
            self._list.apply, told, owner=owner, window=window, now=now, contained=answered
        )
        self._judge.ledger.let_go(answered)
        self._judge.refreshed(now)
