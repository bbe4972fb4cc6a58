"""A line and a clock that fail as told: what QA does to a till or a gate (decision 0029).

The switches come from the server with a heartbeat, or from a key of a program that runs with
`--qa`. With nothing switched on, requests and times go through untouched.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import httpx

from playpark.clock import Clock
from playpark.contracts.provider import HeartbeatAnswer
from playpark.contracts.qa import QaSwitches

QUIET = QaSwitches()
PASSES = ("/provider/heartbeats", "/auth/device/login")
"""What goes past every switch: by this a device hears that they are off again."""


class Switches:
    """What is switched on now. Change it while the program runs; `listen` tells of it."""

    def __init__(self, now: QaSwitches = QUIET) -> None:
        self._now = now
        self._told = QUIET
        self._listeners: list[Callable[[QaSwitches], None]] = []

    @property
    def now(self) -> QaSwitches:
        return self._now

    def set(self, switches: QaSwitches) -> None:
        """Switch to exactly this, from the next request on."""
        if switches == self._now:
            return
        self._now = switches
        for changed in self._listeners:
            changed(switches)

    def toggle(self, change: QaSwitches) -> None:
        """Switch on what `change` sets, or off again where all of it is on already."""
        wanted: dict[str, Any] = change.model_dump(exclude_unset=True)
        on = all(getattr(self._now, name) == value for name, value in wanted.items())
        told = {name: getattr(QUIET, name) for name in wanted} if on else wanted
        self.set(self._now.model_copy(update=told))

    def heard(self, answer: HeartbeatAnswer) -> None:
        """Take what the server has for this device. Only a change counts: what was set by a key
        here holds until QA sets something else at the server."""
        told = answer.qa or QUIET
        if told != self._told:
            self._told = told
            self.set(told)

    def listen(self, changed: Callable[[QaSwitches], None]) -> None:
        """Call `changed` with what is switched on, each time that something else is."""
        self._listeners.append(changed)

    @property
    def words(self) -> str:
        """What is switched on, for the status bar; empty for nothing."""
        now = self._now
        told = [
            (now.offline, "offline"),
            (now.delay_ms, f"answers {now.delay_ms} ms late"),
            (now.lost_requests, f"{now.lost_requests} % of requests lost"),
            (now.lost_answers, f"{now.lost_answers} % of answers lost"),
            (now.duplicates, f"{now.duplicates} % sent twice"),
            (now.skew_s, f"clock {now.skew_s:+d} s"),
        ]
        return ", ".join(text for on, text in told if on)

    def banner(self, *, enabled: bool) -> str:
        """For the status bar; empty where nothing is simulated or, unless `enabled`, can be."""
        words = self.words
        return f"QA {words}" if words else "QA" if enabled else ""


class SkewedClock:
    """The clock of a device whose clock is as wrong as the switches say."""

    def __init__(self, right: Clock, switches: Switches) -> None:
        self._right = right
        self._switches = switches

    def now(self) -> datetime:
        return self._right.now() + timedelta(seconds=self._switches.now.skew_s)


class FaultyTransport(httpx.AsyncBaseTransport):
    """What `ApiClient(url, transport=…)` takes: the line `inner`, failing as the switches say.

    `chance` gives numbers in [0, 1): pass a seeded one to have the same faults again. It is
    asked once for each switch that is on. A lost request or answer is a line that is cut, not
    one that keeps silent; for that there is `delay_ms`, which ends in the client's own deadline.
    """

    def __init__(
        self,
        switches: Switches,
        inner: httpx.AsyncBaseTransport | None = None,
        *,
        chance: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._switches = switches
        self._inner = inner or _Line()
        self._chance = chance
        self._sleep = sleep

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises httpx.ConnectError, ReadError and ReadTimeout as a real line does."""
        now = self._switches.now
        if now.quiet or request.url.path.endswith(PASSES):
            return await self._inner.handle_async_request(request)
        if now.offline:
            raise httpx.ConnectError("QA: this device is offline", request=request)
        if self._happens(now.lost_requests):
            raise httpx.ReadError("QA: the request was lost", request=request)
        if self._happens(now.duplicates):
            await self._send(request)
        answer = await self._send(request)
        await self._hold(request, now.delay_ms / 1000)
        if self._happens(now.lost_answers) or self._switches.now.offline:
            raise httpx.ReadError("QA: the answer was lost", request=request)
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _send(self, request: httpx.Request) -> httpx.Response:
        """The whole answer: the server has done its work, whatever becomes of it here."""
        await request.aread()
        answer = await self._inner.handle_async_request(request)
        await answer.aread()
        return answer

    async def _hold(self, request: httpx.Request, seconds: float) -> None:
        """Let the client wait, and no longer than it would wait for a real line."""
        patience = request.extensions.get("timeout", {}).get("read")
        if patience is not None and seconds >= patience:
            await self._sleep(patience)
            raise httpx.ReadTimeout("QA: the answer is late", request=request)
        if seconds:
            await self._sleep(seconds)

    def _happens(self, percent: int) -> bool:
        return percent > 0 and self._chance() * 100 < percent


class _Line(httpx.AsyncBaseTransport):
    """The real line, through the environment's proxy where there is one: a client that is given
    a transport would pass it by. One that was closed opens again with the next request: a device
    may move to another server."""

    def __init__(self) -> None:
        self._http: httpx.AsyncClient | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._http is None:
            self._http = httpx.AsyncClient()
        return await self._http.send(request, stream=True)

    async def aclose(self) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()
