"""How operations reach the server: one batch in flight, in order, never lost (R14, R35, R37).

An operation counts as sent when its answer is on the disk; until then it is sent again, and the
server answers a repeated one as the first time. So lost and doubled answers harm nobody.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from playpark.client import ApiClient
from playpark.clock import Clock
from playpark.contracts.sync import MAX_OPS, OpResult
from playpark.device.line import LineMode
from playpark.device.pairing import complete, login
from playpark.device.park_clock import ParkClock
from playpark.device.records import REFUSED, OpState, StoredOp
from playpark.device.sending import DrainReport, Progress, Sender, backoff
from playpark.device.standing import LONGEST_PAUSE_S, TURNED_AWAY, Standing
from playpark.device.store import DeviceStore
from playpark.errors import ErrorCode, PlayParkError

__all__ = [
    "LONGEST_PAUSE_S",
    "TURNED_AWAY",
    "DrainReport",
    "LineMode",
    "Progress",
    "SyncEngine",
    "SyncState",
]

DEADLINE_S = 1.5
"""What a guest at a till waits for the server."""
OFFLINE_GRACE_S = 0.3
"""How long a guest waits for a server that did not answer the last time."""
PROBE_S = 3.0
"""How long the server has to tell its time."""
REVIEW = "This device is revoked: what it has not sent goes to the office for a review."


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


class SyncEngine:
    """Sends a store's operations. All methods run in one event loop.

    `deadline`: what a guest of this device waits at most, in seconds. `relogin` is called on 401,
    before the first batch of a device without a token, and by one that was turned away. A
    `ParkClock` learns the time from the answers.
    """

    def __init__(
        self,
        store: DeviceStore,
        client: ApiClient,
        clock: Clock,
        *,
        deadline: float = DEADLINE_S,
        relogin: Callable[[], Awaitable[object]] | None = None,
        idle: float = 5.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._client = client
        self._clock = clock
        self._relogin = relogin or (lambda: login(store, client))
        self._idle = idle
        self._jitter = jitter
        self._standing = Standing(clock, deadline)
        self._sender = Sender(
            store, client, self._standing, self._relogin, settled=self._settled, jitter=jitter
        )
        self._complete = False
        self._wake = asyncio.Event()
        self._next_try: float | None = None
        self._waiters: dict[str, set[asyncio.Future[OpResult]]] = {}
        self._listeners: list[Callable[[StoredOp, OpResult], None]] = []
        self._attempts: set[asyncio.Task[None]] = set()
        self._attempting = asyncio.Lock()
        self._waiting: asyncio.Task[None] | None = None
        """An attempt that has not begun: it is for all who ask until it does."""

    # --- how it stands --------------------------------------------------------------------

    @property
    def state(self) -> SyncState:
        mode, standing = self.mode, self._standing
        online = mode is LineMode.ONLINE
        reachable = mode in {LineMode.ONLINE, LineMode.SLOW}
        return SyncState(
            online=online,
            queued=self._store.queued_count(),
            since=standing.since(online=online),
            last_error=REVIEW if self._client.review else standing.last_error,
            mode=mode,
            back_in=self._back_in(mode),
            progress=self._sender.progress if reachable else None,
            quarantined=self._store.quarantined_count(),
        )

    @property
    def mode(self) -> LineMode:
        """How the line stands. While a long queue is on its way it is slow: a fresh sale stands at
        its end, and no guest waits for all that is before it."""
        mode = self._standing.mode
        return LineMode.SLOW if mode is LineMode.ONLINE and self._catching_up else mode

    @property
    def online(self) -> bool:
        """The server decides: a guest may wait for its answer."""
        return self.mode is LineMode.ONLINE

    @property
    def reachable(self) -> bool:
        """Online, or only slow. What needs the server is worth a try then."""
        return self.mode in {LineMode.ONLINE, LineMode.SLOW}

    @property
    def turned_away(self) -> bool:
        """The server did not take this device the last time that it answered, or takes its queue
        only, for a review (R38)."""
        return self._standing.turned_away or self._client.review

    @property
    def queued(self) -> int:
        return self._store.queued_count()

    @property
    def _catching_up(self) -> bool:
        return self._store.queued_count() - len(self._sender.put_off) > MAX_OPS

    def _back_in(self, mode: LineMode) -> float | None:
        if mode in {LineMode.ONLINE, LineMode.CONNECTING}:
            return None
        held = self._standing.back_in
        if held is not None or self._next_try is None:
            return held
        return max(self._next_try - time.monotonic(), 0.0)

    def note(self, fault: PlayParkError | None) -> None:
        """How a call beside the queue went: it tells as well whether the server is there."""
        self._standing.note(fault)

    def missed(self) -> None:
        """A guest has waited for the server in vain, beside the queue."""
        self._standing.missed()

    def listen(self, heard: Callable[[StoredOp, OpResult], None]) -> None:
        """Call `heard` in the event loop with every answer that stands, late ones included.
        The answer to a sale holds its tickets' tokens: they live in memory only."""
        self._listeners.append(heard)

    # --- sending --------------------------------------------------------------------------

    async def submit(
        self, op_id: str, deadline: float, *, patient: bool = False
    ) -> OpResult | None:
        """The server's answer to an operation, if it comes within `deadline` seconds.

        None: not reachable or not answered in time; the operation stays queued and goes on by
        itself. While the line is not online nobody waits so long, but who is `patient`, because
        nothing else can be done: such as for a refund. One that is applied already is asked again
        and answered as the first time.
        Raises E_NOT_FOUND for an operation that this store does not hold.
        """
        stored = await asyncio.to_thread(self._store.op, op_id)
        if stored is None:
            raise PlayParkError(ErrorCode.NOT_FOUND, "This device made no such operation.")
        if stored.state in REFUSED:
            return stored.refusal()
        seconds = self._seconds(deadline, patient=patient)
        waiter: asyncio.Future[OpResult] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(op_id, set()).add(waiter)
        attempt = self._start(stored if stored.state is OpState.APPLIED else None)
        both: set[asyncio.Future[Any]] = {waiter, attempt}
        try:
            await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if waiter.done():
                return waiter.result()
            if attempt.done():
                attempt.result()  # a fault of the program is not kept quiet
            elif seconds == deadline:
                self._standing.missed()
            return None
        finally:
            waiting = self._waiters.get(op_id, set())
            waiting.discard(waiter)
            if not waiting:
                self._waiters.pop(op_id, None)

    async def drain(self) -> DrainReport:
        """Send what is queued, batch after batch, until nothing more can be answered now."""
        return await self._sender.drain()

    async def run_forever(self) -> None:
        """Keep the queue empty and `state` true until cancelled; backs off by R37."""
        attempt = 0
        while True:
            report = await self._round()
            if report.error is None and report.retry_after is None:
                attempt, pause = 0, self._idle_pause()
            else:
                attempt = 1 if report.applied else attempt + 1
                pause = backoff(attempt, report.retry_after, self._jitter)
                if self._standing.turned_away:  # logins are few in an hour
                    pause = max(pause, backoff(attempt, None, lambda: 1.0))
            await self._rest(pause)

    def wake(self) -> None:
        """Try again now: somebody did something that needs the server."""
        self._wake.set()

    def _seconds(self, deadline: float, *, patient: bool) -> float:
        """How long who asks now may wait."""
        mode = self.mode
        if mode is LineMode.ONLINE or (patient and mode is LineMode.SLOW):
            return deadline
        if mode is LineMode.SLOW and (self._standing.held or self._catching_up):
            return 0.0
        return min(deadline, OFFLINE_GRACE_S)

    def _start(self, again: StoredOp | None) -> asyncio.Task[None]:
        # A task of its own: the batch goes on when the one who waits has given up.
        if again is None and self._waiting is not None:
            return self._waiting
        task = asyncio.create_task(self._attempt() if again is None else self._ask_again(again))
        if again is None:
            self._waiting = task
        self._attempts.add(task)
        task.add_done_callback(self._attempts.discard)
        return task

    async def _attempt(self) -> None:
        async with self._attempting:
            self._waiting = None
            if self._standing.paused:
                return  # the server asked for it
            if self._standing.mode is LineMode.OFFLINE and await self._knock():
                return
            await self._sender.drain()

    async def _ask_again(self, op: StoredOp) -> None:
        await self._sender.ask_again(op)

    async def _round(self) -> DrainReport:
        """One turn of the loop. A server that was not there is asked for its time first, which is
        cheap to wait for; one that does not take this device is asked for a login, which may give a
        revoked one the right to hand its queue over."""
        apart = self._standing.mode is LineMode.OFFLINE or self._standing.turned_away
        if apart and (fault := await self._knock()):
            return DrainReport(error=fault, retry_after=fault.retry_after)
        report = await self._sender.drain()
        if report.error is None and not (report.applied or report.rejected or report.waiting):
            report.error = await self._knock()
        return report

    def _idle_pause(self) -> float:
        """Until the next look: no longer than until a hold is over, or something is due again."""
        pauses = (self._idle, self._standing.back_in, self._sender.put_off.next_in)
        return max(min(each for each in pauses if each is not None), min(self._idle, 0.05))

    async def _rest(self, pause: float) -> None:
        self._next_try = time.monotonic() + max(pause, self._standing.paused)
        # `wait_for` of Python 3.11 would lose a cancellation that comes with the waking.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._wake.wait()
        self._wake.clear()
        if left := self._standing.paused:  # nobody's hurry shortens what the server asked for
            await asyncio.sleep(left)
        self._next_try = None

    def _settled(self, stored: StoredOp, result: OpResult) -> None:
        for waiter in self._waiters.get(stored.op_id, ()):
            if not waiter.done():
                waiter.set_result(result)
        for heard in self._listeners:
            heard(stored, result)

    # --- is it there? ---------------------------------------------------------------------

    async def _knock(self) -> PlayParkError | None:
        """See whether the server is there, and takes this device; what it should have had and has
        not, such as its prices, is loaded then."""
        try:
            if self._client.device_token is None or self._standing.turned_away:
                await self._relogin()
                self._standing.note(None)
            began = time.monotonic()
            told = await self._client.time(timeout=PROBE_S)
            took = time.monotonic() - began
            self._standing.probed(took)
            if not self._complete:
                await complete(self._store, self._client)
                self._complete = True
        except PlayParkError as fault:
            self._standing.note(fault)
            return fault
        if isinstance(self._clock, ParkClock):
            self._clock.learn(told, took)
            await self._keep_time(self._clock)
        return None

    async def _keep_time(self, clock: ParkClock) -> None:
        note = clock.note()
        if note is None:
            return
        with contextlib.suppress(PlayParkError):  # a full disk stops no clock
            await asyncio.to_thread(self._store.save_clock, note.offset_ms, note.heard_at)
            clock.kept(note)
