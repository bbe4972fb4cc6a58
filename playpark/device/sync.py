"""How operations reach the server: one batch in flight, in order, never lost (R14, R35, R37).

An operation counts as sent when its answer is on the disk; until then it is sent again, and the
server answers a repeated one as the first time. So lost and doubled answers harm nobody.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from playpark.client import ApiClient
from playpark.clock import Clock
from playpark.contracts.sync import BatchIn, OpResult, OpStatus
from playpark.device.pairing import logged_in, login
from playpark.device.records import OpState, StoredOp
from playpark.device.store import DeviceStore
from playpark.errors import ErrorCode, PlayParkError

BACKOFF_BASE_S, BACKOFF_CAP_S = 1.0, 60.0
LONGEST_PAUSE_S = 300.0
"""No answer, however wrong, keeps a till from its server for longer."""
OFFLINE_GRACE_S = 0.3
"""How long a guest waits for a server that did not answer the last time."""

_BAD_BATCH = {ErrorCode.VALIDATION, ErrorCode.BATCH_TOO_LARGE, ErrorCode.BODY_TOO_LARGE}
TURNED_AWAY = {
    *(ErrorCode.UNAUTHENTICATED, ErrorCode.PERMISSION, ErrorCode.TENANT_SUSPENDED),
    *(ErrorCode.DEVICE_SUSPENDED, ErrorCode.DEVICE_REVOKED, ErrorCode.DEVICE_PENDING),
}
"""The server is there and does not take this device: it may do nothing alone either (R38)."""
_FINAL = {OpStatus.APPLIED, OpStatus.DUPLICATE, OpStatus.REJECTED}


class LineMode(StrEnum):
    """`slow`: the server answers, but not within the deadline, so the device decides by itself."""

    CONNECTING = "connecting"
    ONLINE = "online"
    SLOW = "slow"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class Progress:
    """A queue that is being sent: `done` of `total` operations have their answer."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class SyncState:
    """`online` since `since`, or not; `last_error` is the sentence to show.

    `back_in`: seconds until the device asks the server again, or counts as online again, where it
    does not now. `quarantined`: operations that the server has refused for good although they had
    happened, and that nobody has seen to.
    """

    online: bool
    queued: int
    since: datetime
    last_error: str | None = None
    mode: LineMode = LineMode.CONNECTING
    back_in: float | None = None
    progress: Progress | None = None
    quarantined: int = 0


@dataclass(slots=True)
class DrainReport:
    """What one drain did: how many operations got an answer that stands, how many wait on."""

    applied: int = 0
    rejected: int = 0
    waiting: int = 0
    retry_after: float | None = None
    error: PlayParkError | None = None


def backoff(attempt: int, retry_after: float | None, jitter: Callable[[], float]) -> float:
    """Seconds before attempt number `attempt` (from 1): full jitter, but never less than the
    server asked for (R37)."""
    ceiling = min(BACKOFF_CAP_S, BACKOFF_BASE_S * (1 << min(attempt - 1, 16)))
    return max(jitter() * ceiling, min(retry_after or 0.0, LONGEST_PAUSE_S))


class SyncEngine:
    """Sends a store's operations. All methods run in one event loop.

    `relogin` is called on 401, and before the first batch of a device without a token.
    """

    def __init__(
        self,
        store: DeviceStore,
        client: ApiClient,
        clock: Clock,
        *,
        relogin: Callable[[], Awaitable[object]] | None = None,
        batch_timeout: float = 10.0,
        idle: float = 5.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._client = client
        self._clock = clock
        self._relogin = relogin or (lambda: login(store, client))
        self._batch_timeout = batch_timeout
        self._idle = idle
        self._jitter = jitter
        self._in_flight = asyncio.Lock()
        self._wake = asyncio.Event()
        self._waiters: dict[str, asyncio.Future[OpResult]] = {}
        self._listeners: list[Callable[[StoredOp, OpResult], None]] = []
        self._drains: set[asyncio.Task[DrainReport]] = set()
        self._not_before = 0.0
        self._slow = False
        self._turned_away = False
        self._state = SyncState(online=False, queued=0, since=clock.now())

    @property
    def state(self) -> SyncState:
        return replace(self._state, queued=self._store.queued_count())

    @property
    def online(self) -> bool:
        return self._state.online

    @property
    def reachable(self) -> bool:
        """Online, or only slow: a batch is under way that was not answered in time. What needs
        the server is worth a try then."""
        return self.online or self._slow

    @property
    def turned_away(self) -> bool:
        """The server did not take this device the last time that it answered."""
        return self._turned_away

    @property
    def queued(self) -> int:
        return self._store.queued_count()

    def note(self, fault: PlayParkError | None) -> None:
        """How a call beside the queue went: it tells as well whether the server is there."""
        if fault is None:
            self._reached(None)
        elif fault.code is ErrorCode.UNAVAILABLE:
            self._lost(fault.message)
        else:
            # A refusal in words is an answer: the line works, this device may not.
            self._reached(fault.message, turned_away=fault.code in TURNED_AWAY)

    def listen(self, heard: Callable[[StoredOp, OpResult], None]) -> None:
        """Call `heard` in the event loop with every answer that stands, late ones included.
        The answer to a sale holds its tickets' tokens: they live in memory only."""
        self._listeners.append(heard)

    async def submit(self, op_id: str, deadline: float) -> OpResult | None:
        """The server's answer to an operation, if it comes within `deadline` seconds.

        None: not reachable or not answered in time; the operation stays queued and goes on by
        itself. One that is applied already is asked again and answered as the first time.
        Raises E_NOT_FOUND for an operation that this store does not hold.
        """
        stored = await asyncio.to_thread(self._store.op, op_id)
        if stored is None:
            raise PlayParkError(ErrorCode.NOT_FOUND, "This device made no such operation.")
        if stored.state is OpState.REJECTED:
            return stored.refusal()
        if not self.online:
            deadline = min(deadline, OFFLINE_GRACE_S)
        loop = asyncio.get_running_loop()
        waiter = self._waiters.setdefault(op_id, loop.create_future())
        attempt = self._start(stored if stored.state is OpState.APPLIED else None)
        both: set[asyncio.Future[Any]] = {waiter, attempt}
        try:
            await asyncio.wait(both, timeout=deadline, return_when=asyncio.FIRST_COMPLETED)
            if waiter.done():
                return waiter.result()
            if attempt.done():
                attempt.result()  # a fault of the program is not kept quiet
            else:
                self._lost("The server takes too long to answer: it is tried again.", slow=True)
            return None
        finally:
            if self._waiters.get(op_id) is waiter:
                del self._waiters[op_id]

    async def drain(self) -> DrainReport:
        """Send what is queued, batch after batch, until nothing more can be answered now."""
        report = DrainReport()
        async with self._in_flight:
            position = (0, 0)
            while report.error is None and report.retry_after is None:
                batch = await asyncio.to_thread(self._store.pending, after=position)
                if not batch:
                    break
                await self._exchange(batch, report)
                position = (batch[-1].epoch, batch[-1].seq)
        return report

    async def run_forever(self) -> None:
        """Keep the queue empty and `state` true until cancelled; backs off by R37."""
        attempt = 0
        while True:
            report = await self.drain()
            if report.error is None and not report.applied and not report.waiting:
                report.error = await self._knock()
            if report.error is None and not report.waiting:
                attempt, pause = 0, self._idle
            else:
                attempt += 1
                pause = backoff(attempt, report.retry_after, self._jitter)
            self._wake.clear()
            # `wait_for` of Python 3.11 would lose a cancellation that comes with the waking.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    def wake(self) -> None:
        """Try again now: somebody did something that needs the server."""
        self._wake.set()

    # --- one batch ----------------------------------------------------------------------

    def _start(self, again: StoredOp | None) -> asyncio.Task[DrainReport]:
        # A task of its own: the batch goes on when the one who waits has given up.
        task = asyncio.create_task(self._ask_again(again) if again else self._prompt_drain())
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)
        return task

    async def _prompt_drain(self) -> DrainReport:
        if asyncio.get_running_loop().time() < self._not_before:
            return DrainReport(waiting=self.queued)  # the server asked for a pause
        return await self.drain()

    async def _ask_again(self, op: StoredOp) -> DrainReport:
        report = DrainReport()
        async with self._in_flight:
            await self._exchange([op], report)
        return report

    async def _exchange(self, batch: list[StoredOp], report: DrainReport) -> None:
        """Send one batch and note its answers in `report`; no exception leaves for faults of
        the network, the server or the disk."""
        try:
            results = await self._answers(batch)
            for op in batch:
                await self._settle(op, results.get(op.op_id), report)
        except PlayParkError as fault:
            report.error = fault
            report.retry_after = fault.retry_after
            self._pause(fault.retry_after)
            self.note(fault)

    async def _answers(self, batch: list[StoredOp]) -> dict[str, OpResult]:
        """The answer to each operation. A batch that is refused whole is sent one by one, so
        that one poisoned operation holds nobody up (R35). That one has no answer and stays
        queued, with the reason on the screen: only the server may say that it is rejected."""
        try:
            return await self._send(batch)
        except PlayParkError as fault:
            if fault.code not in _BAD_BATCH:
                raise
            if len(batch) == 1:
                self._reached(fault.message)
                return {}
        found: dict[str, OpResult] = {}
        for op in batch:
            found |= await self._answers([op])
        return found

    async def _send(self, batch: list[StoredOp]) -> dict[str, OpResult]:
        body = BatchIn(epoch=batch[0].epoch, ops=[op.to_op_in() for op in batch])
        if self._client.device_token is None:
            await self._relogin()
        answer = await logged_in(
            lambda: self._client.sync(body, timeout=self._batch_timeout), self._relogin
        )
        self._reached(None)
        return {result.op_id: result for result in answer.results}

    async def _settle(self, op: StoredOp, result: OpResult | None, report: DrainReport) -> None:
        if result is not None and result.code == ErrorCode.INTERNAL:
            # A fault of the server is no verdict on what was sold: it is asked again (R17).
            self._reached(result.message)
            result = None
        if result is None or result.status not in _FINAL:
            report.waiting += 1
            if result is not None and result.retry_after is not None:
                report.retry_after = max(report.retry_after or 0.0, result.retry_after)
                self._pause(report.retry_after)
            return
        stored = await asyncio.to_thread(self._store.record_result, op, result)
        report.rejected += result.status is OpStatus.REJECTED
        report.applied += result.status is not OpStatus.REJECTED
        if (waiter := self._waiters.get(op.op_id)) and not waiter.done():
            waiter.set_result(result)
        for heard in self._listeners:
            heard(stored, result)

    async def _knock(self) -> PlayParkError | None:
        """With nothing to send, see whether the server is there."""
        try:
            if self._client.device_token is None:
                await self._relogin()
            await self._client.time()
        except PlayParkError as fault:
            self.note(fault)
            return fault
        self.note(None)
        return None

    # --- state --------------------------------------------------------------------------

    def _pause(self, retry_after: float | None) -> None:
        if retry_after is not None:
            pause = min(retry_after, LONGEST_PAUSE_S)
            self._not_before = asyncio.get_running_loop().time() + pause

    def _reached(self, error: str | None, *, turned_away: bool = False) -> None:
        self._slow, self._turned_away = False, turned_away
        self._turn(online=True, error=error)

    def _lost(self, error: str, *, slow: bool = False) -> None:
        """`slow`: given up waiting for it, which an outage is only where it was one before."""
        self._slow = slow and self.reachable
        self._turn(online=False, error=error)

    def _turn(self, *, online: bool, error: str | None) -> None:
        since = self._state.since if self._state.online is online else self._clock.now()
        self._state = replace(self._state, online=online, last_error=error, since=since)
