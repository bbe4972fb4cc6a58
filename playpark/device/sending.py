"""One batch at a time: what is sent, and what becomes of each answer (R35, R37, R38)."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from playpark.client import ApiClient, NoAnswerError
from playpark.contracts.sync import MAX_OPS, BatchIn, Counters, OpResult, OpStatus
from playpark.device.pairing import AGAIN_AFTER_LOGIN
from playpark.device.records import StoredOp
from playpark.device.standing import LONGEST_PAUSE_S, Standing
from playpark.device.store import DeviceStore
from playpark.errors import ErrorCode, PlayParkError

BACKOFF_BASE_S, BACKOFF_CAP_S = 1.0, 60.0
OP_S, BATCH_S, LINE_S = 5.0, 20.0, 5.0
"""What the server may take for an operation and for a batch (R35), and what the line may."""

_BAD_BODY = {ErrorCode.VALIDATION, ErrorCode.BATCH_TOO_LARGE, ErrorCode.BODY_TOO_LARGE}
_FINAL = {OpStatus.APPLIED, OpStatus.DUPLICATE, OpStatus.REJECTED}
COPIED = (
    "This device's data is older than what the server has from it, or another device works with a "
    "copy of it: call support."
)


@dataclass(slots=True)
class DrainReport:
    """What one drain did: how many operations got an answer that stands, how many wait on."""

    applied: int = 0
    rejected: int = 0
    waiting: int = 0
    retry_after: float | None = None
    error: PlayParkError | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """A queue that is being sent: `done` of `total` operations have their answer."""

    done: int
    total: int


def backoff(attempt: int, retry_after: float | None, jitter: Callable[[], float]) -> float:
    """Seconds before attempt number `attempt` (from 1): full jitter, but never less than the
    server asked for (R37)."""
    ceiling = min(BACKOFF_CAP_S, BACKOFF_BASE_S * (1 << min(attempt - 1, 16)))
    return max(jitter() * ceiling, min(retry_after or 0.0, LONGEST_PAUSE_S))


class PutOff:
    """Operations that the server could not decide by a fault of its own, or that wait for another:
    each is asked about again after a pause that grows, and the others go on."""

    def __init__(
        self, jitter: Callable[[], float], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._jitter = jitter
        self._monotonic = monotonic
        self._until: dict[str, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._until)

    def __contains__(self, op_id: str) -> bool:
        return op_id in self._until

    def put(self, op_id: str) -> None:
        """Half of the pause at least: several of them do not wake the loop all the time."""
        attempt = self._until.get(op_id, (0, 0.0))[0] + 1
        pause = backoff(attempt, None, lambda: (1 + self._jitter()) / 2)
        self._until[op_id] = (attempt, self._monotonic() + pause)

    def waits(self, op_id: str) -> bool:
        return op_id in self._until and self._until[op_id][1] > self._monotonic()

    def settled(self, op_id: str) -> None:
        self._until.pop(op_id, None)

    def keep(self, op_ids: set[str]) -> None:
        """Forget all others: they do not wait any more."""
        self._until = {each: until for each, until in self._until.items() if each in op_ids}

    @property
    def next_in(self) -> float | None:
        """Seconds until one of them is due; None where none waits."""
        if not self._until:
            return None
        return max(min(until for _, until in self._until.values()) - self._monotonic(), 0.0)


class _BodyRefusedError(Exception):
    """The server takes no such batch, whatever its operations are worth."""

    def __init__(self, fault: PlayParkError) -> None:
        super().__init__(fault.message)
        self.fault = fault


class Sender:
    """Sends a store's operations in their order. `settled` is called with each answer that stands;
    one drain at a time."""

    def __init__(
        self,
        store: DeviceStore,
        client: ApiClient,
        standing: Standing,
        login: Callable[[], Awaitable[object]],
        *,
        settled: Callable[[StoredOp, OpResult], None],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._client = client
        self._standing = standing
        self._login = login
        self._settled = settled
        self._turn = asyncio.Lock()
        self._size = MAX_OPS
        """Operations of the next batch: fewer while the line does not carry so many."""
        self._rewound: Counters | None = None
        self.put_off = PutOff(jitter)
        self.progress: Progress | None = None

    async def drain(self) -> DrainReport:
        """Send what is queued, page after page, until nothing more can be answered now. No
        exception leaves for faults of the network, the server or the disk."""
        report = DrainReport()
        async with self._turn:
            queued = self._store.queued_count()
            self.progress = Progress(0, queued) if queued > MAX_OPS else None
            try:
                await self._pages(report)
            except PlayParkError as disk:
                report.error, self._standing.last_error = disk, disk.message
            finally:
                self.progress = None
        return report

    async def ask_again(self, op: StoredOp) -> DrainReport:
        """Send an operation that is answered already: the server answers as the first time."""
        report = DrainReport()
        async with self._turn:
            try:
                report.error = await self._exchange([op], report)
            except PlayParkError as disk:
                report.error, self._standing.last_error = disk, disk.message
        return report

    async def _pages(self, report: DrainReport) -> None:
        position, reopened, seen = (0, 0), False, set[str]()
        while report.retry_after is None:
            page = await asyncio.to_thread(self._store.pending, after=position, limit=self._size)
            if not page:
                self.put_off.keep(seen)
                return
            position = (page[-1].epoch, page[-1].seq)
            ready = [op for op in page if not self.put_off.waits(op.op_id)]
            report.waiting += len(page) - len(ready)
            fault = await self._exchange(ready, report) if ready else None
            seen |= {op.op_id for op in page if op.op_id in self.put_off}
            if fault is None:
                continue
            if reopened or not await self._reopen(fault):
                report.error, report.retry_after = fault, fault.retry_after
                return
            # All that waits has another place now; a second time in one drain is a fault.
            position, reopened = (0, 0), True
            seen.clear()

    async def _exchange(
        self, batch: Sequence[StoredOp], report: DrainReport
    ) -> PlayParkError | None:
        """Send one batch and note its answers in `report`; what kept them from coming is returned.
        Raises for faults of the disk."""
        try:
            results = await self._answers(batch)
        except PlayParkError as fault:
            self._standing.note(fault)
            if fault.code is ErrorCode.INTERNAL and len(batch) == 1:
                self.put_off.put(batch[0].op_id)
            elif fault.code is ErrorCode.INTERNAL or isinstance(fault, NoAnswerError):
                self._size = max(len(batch) // 2, 1)
            return fault
        self._size = min(2 * self._size, MAX_OPS)
        self._rewound = None
        stands: list[tuple[StoredOp, OpResult]] = []
        for op in batch:
            result = results.get(op.op_id)
            if result is None or not _stands(result):
                self._waits(op, result, report)
            else:
                stands.append((op, result))
        if stands:
            await self._settle(stands, report)
        return None

    async def _answers(self, batch: Sequence[StoredOp]) -> dict[str, OpResult]:
        """The answer to each operation. A batch that is refused whole is sent in halves, so that
        one poisoned operation holds nobody up: alone it goes to the quarantine (R35)."""
        try:
            return await self._send(batch)
        except _BodyRefusedError as refused:
            if len(batch) == 1:
                fault, op_id = refused.fault, batch[0].op_id
                self._standing.note(None)
                self._standing.last_error = fault.message
                status = OpStatus.REJECTED
                told = OpResult(op_id=op_id, status=status, code=fault.code, message=fault.message)
                return {op_id: told}
        middle = len(batch) // 2
        first = await self._answers(batch[:middle])
        return first | await self._answers(batch[middle:])

    async def _send(self, batch: Sequence[StoredOp]) -> dict[str, OpResult]:
        if self._client.device_token is None:
            await self._login()
        try:
            return await self._post(batch)
        except PlayParkError as refused:
            if refused.code not in AGAIN_AFTER_LOGIN:
                raise
        await self._login()
        return await self._post(batch)

    async def _post(self, batch: Sequence[StoredOp]) -> dict[str, OpResult]:
        body = BatchIn(epoch=batch[0].epoch, ops=[op.to_op_in() for op in batch])
        began = time.monotonic()
        try:
            answer = await self._client.sync(body, timeout=patience(len(batch)))
        except PlayParkError as fault:
            if fault.code in _BAD_BODY:
                raise _BodyRefusedError(fault) from fault
            raise
        took = time.monotonic() - began
        # A long batch may take its time; in time it is a good sign all the same.
        telling = len(batch) == 1 or took <= self._standing.deadline
        self._standing.note(None, took if telling else None)
        return {result.op_id: result for result in answer.results}

    def _waits(self, op: StoredOp, result: OpResult | None, report: DrainReport) -> None:
        """An operation that is asked about again: at once after the server's pause, or put off."""
        report.waiting += 1
        if result is not None and result.status is OpStatus.RETRY:
            if result.retry_after is not None:
                report.retry_after = max(report.retry_after or 0.0, result.retry_after)
                self._standing.pause(report.retry_after)
            return
        self.put_off.put(op.op_id)
        if result is not None and result.message:
            self._standing.last_error = result.message

    async def _settle(
        self, answers: Sequence[tuple[StoredOp, OpResult]], report: DrainReport
    ) -> None:
        """Write down the answers that stand, then tell them. Raises for faults of the disk: then
        none is noted, and all are asked for again."""
        stored = await asyncio.to_thread(self._store.record_results, answers)
        for op, (_, result) in zip(stored, answers, strict=True):
            self.put_off.settled(op.op_id)
            report.rejected += result.status is OpStatus.REJECTED
            report.applied += result.status is not OpStatus.REJECTED
            if self.progress is not None:
                done = min(self.progress.done + 1, self.progress.total)
                self.progress = Progress(done, self.progress.total)
            self._settled(op, result)

    async def _reopen(self, fault: PlayParkError) -> bool:
        """Whether the store has gone on in a new epoch, above what the server knows (R38). The same
        counters twice in a row would be a loop: then a person has to look."""
        if fault.code is not ErrorCode.OUTBOX_REWOUND:
            return False
        try:
            counters = Counters.model_validate(fault.details)
        except ValidationError:
            return False
        if counters == self._rewound:
            self._standing.last_error = COPIED
            return False
        self._rewound = counters
        await asyncio.to_thread(self._store.open_epoch, counters)
        return True


def _stands(result: OpResult) -> bool:
    """Whether an answer is the last word. A fault of the server is no verdict on what was sold: it
    is asked again (R17)."""
    return result.status in _FINAL and result.code != ErrorCode.INTERNAL


def patience(ops: int) -> float:
    """Seconds that the whole answer to a batch of so many may take."""
    return min(OP_S * ops, BATCH_S) + LINE_S
