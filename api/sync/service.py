"""Batches of operations: each its own transaction and its own answer (R14, R17, R35)."""

import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog
from pydantic import BaseModel, ValidationError
from pymongo.errors import PyMongoError

from api.customers import service as customers
from api.identity import history
from api.open_tickets.service import PARK
from api.platform.http import safe_errors
from api.platform.operations import Kind, Operation, Outcome, attempt
from api.platform.scope import Actor, Scope
from api.platform.services import Platform
from api.platform.uow import is_outage, unavailable
from api.receipts.service import ABANDON
from api.refunds.exchanging import Exchanging
from api.refunds.reprinting import Reprinting
from api.refunds.service import REFUND
from api.refunds.voiding import VOID
from api.sales.service import Selling
from api.shifts import service as shifts
from api.sync import keeping, reviewing, rewinding, sequence
from api.sync.clocks import Timeline
from api.sync.keeping import Arrived
from api.sync.models import DeadLetter
from api.sync.repository import DeadLetterRepository
from api.tickets.annulling import ANNUL
from api.tickets.cancelling import CANCEL
from api.tickets.redeeming import Redeeming
from api.timecards import service as timecards
from playpark.contracts.sync import (
    MAX_OPS,
    BatchIn,
    BatchOut,
    DeadLetterKind,
    DeadLetterStatus,
    OpIn,
    OpKind,
    OpResult,
    OpStatus,
)
from playpark.errors import ErrorCode, PlayParkError

BATCH_SECONDS = 20.0
RETRY_LATER = {ErrorCode.UNAVAILABLE, ErrorCode.RATE_LIMITED}
log = structlog.get_logger("playpark.sync")


def kinds_of(platform: Platform) -> dict[OpKind, Kind[Any, Any]]:
    """Every kind of operation and the one function that applies it."""
    selling, redeeming = Selling(platform), Redeeming(platform)
    found: tuple[Kind[Any, Any], ...] = (
        selling.kind,
        selling.checkout_kind,
        redeeming.kind,
        *shifts.KINDS,
        customers.POINTS,
        timecards.TIMECARD,
        ABANDON,
        PARK,
        *(REFUND, VOID, Reprinting(platform).kind),
        *(ANNUL, CANCEL, Exchanging(platform).kind),
    )
    known = {kind.name: kind for kind in found}
    return known | {OpKind.SHIFT_CLOSE: sequence.examined(known[OpKind.SHIFT_CLOSE])}


@dataclass(frozen=True, slots=True)
class SyncService:
    """`seconds`: how long a batch may take (R35)."""

    platform: Platform
    seconds: float = BATCH_SECONDS

    @property
    def kinds(self) -> dict[OpKind, Kind[Any, Any]]:
        return kinds_of(self.platform)

    async def apply(self, scope: Scope, batch: BatchIn, raw: dict[str, Any]) -> BatchOut:
        """Apply the operations in the order of their sequence and answer in that of the batch.
        `raw` is the batch as received: its bodies are hashed.

        After an operation that must be tried again, or when the batch has had its 20 seconds, the
        rest waits (R35); one that is refused holds up only those that name it in `depends_on`.
        What a revoked device sends is kept for a review (R38). Raises E_BATCH_TOO_LARGE, and
        E_OUTBOX_REWOUND where a place in the sequence is another operation's.
        """
        if len(batch.ops) > MAX_OPS:
            message = f"A batch holds at most {MAX_OPS} operations: send the rest in the next one."
            raise PlayParkError(ErrorCode.BATCH_TOO_LARGE, message)
        came = [
            Arrived(op, batch.epoch, raw_op["body"])
            for op, raw_op in zip(batch.ops, raw["ops"], strict=True)
        ]
        if scope.only_review:
            return BatchOut(results=await reviewing.keep_all(self.platform, scope, came))
        work = self.platform.uow.reading()
        if place := await rewinding.first_taken(work, scope, batch.epoch, batch.ops):
            raise await rewinding.refusal(self.platform, scope, place)
        kept: list[DeadLetter] = []
        if told := {each.op.op_id for each in came if _may_wait(each.op)}:
            letters = DeadLetterRepository.of(work, scope)
            kept = await letters.of_ops(scope.device.device_id, told)
        run = _Run(self.platform, scope, self.kinds, kept, time.monotonic() + self.seconds)
        results: dict[int, OpResult] = {}
        # The close of a shift comes after all that stands before it (R28).
        for index in sorted(range(len(came)), key=lambda each: came[each].op.seq):
            results[index] = await run.answer(came[index])
        return BatchOut(results=[results[index] for index in range(len(came))])


@dataclass(slots=True)
class _Run:
    """One batch as it goes on. `kept`: the letters of its operations."""

    platform: Platform
    scope: Scope
    kinds: dict[OpKind, Kind[Any, Any]]
    kept: list[DeadLetter]
    ends_at: float
    done: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    waiting: OpResult | None = None
    timeline: Timeline = field(init=False)

    def __post_init__(self) -> None:
        self.timeline = Timeline(self.platform.uow, self.scope)

    async def answer(self, came: Arrived) -> OpResult:
        """What is said to one operation; what it says of those that come after is noted."""
        op_id = came.op.op_id
        if self.waiting is not None or time.monotonic() > self.ends_at:
            after = self.waiting.retry_after if self.waiting else 0
            result = OpResult(op_id=op_id, status=OpStatus.RETRY, retry_after=after)
        elif blocked_on := await self._blocked_on(came.op):
            result = OpResult(op_id=op_id, status=OpStatus.BLOCKED, blocked_on=blocked_on)
            result = await self._traced(came, result)
        else:
            result = await self._apply(came)
        if result.status is OpStatus.RETRY:
            self.waiting = self.waiting or result
        elif result.status in {OpStatus.REJECTED, OpStatus.BLOCKED}:
            self.refused.add(op_id)
        else:
            self.done.add(op_id)
        return result

    async def _blocked_on(self, op: OpIn) -> str | None:
        """The operation of this device that has to be settled first: one that was refused in this
        batch, or waits for a person. An id that this device has not sent blocks nothing."""
        if blocked := self.refused.intersection(op.depends_on):
            return min(blocked)
        before = set(op.depends_on) - self.done
        if not before:
            return None
        letters = DeadLetterRepository.of(self.platform.uow.reading(), self.scope)
        waiting = await letters.open_of(self.scope.device.device_id, before)
        return min((letter.op_id for letter in waiting), default=None)

    async def _apply(self, came: Arrived) -> OpResult:
        op, kind = came.op, self.kinds[came.op.kind]
        body = body_of(kind, came.raw)
        acting = self.scope.acting_as(None)
        if isinstance(body, PlayParkError):
            return await self._refused(acting, came, body)
        if settled := self._settled_by_hand(came):
            return settled
        arrival = self.platform.clock.now()
        occurred_at, clock_flags = await self.timeline.corrected(
            came.place, op.occurred_at, arrival
        )
        acting, flags = await acting_for(self.platform, self.scope, op, occurred_at)
        try:
            await self.platform.limits.operation(acting, op.kind)
        except PlayParkError as refusal:
            return await self._refused(acting, came, refusal)
        operation = operation_of(came, body, occurred_at)
        operation = replace(operation, approval=op.approval, flags=(*flags, *clock_flags))
        letter = self._letter(came, DeadLetterStatus.OPEN)
        if letter is not None:
            kind = keeping.closing(kind, letter)
        outcome = await attempt(self.platform, acting, operation, kind)
        if isinstance(outcome, PlayParkError):
            return await self._refused(acting, came, outcome)
        result = _told(op, outcome)
        if not outcome.replayed:
            self.timeline.applied(came.place, occurred_at)
        elif outcome.record is not None and _elsewhere(came, outcome):
            result = await self._traced(came, result, code="moved")
        if letter is not None and outcome.replayed:
            await keeping.booked(self.platform, acting, letter, result.result)
        return result

    def _settled_by_hand(self, came: Arrived) -> OpResult | None:
        """What somebody has settled without booking it must not be booked on top."""
        letter = self._letter(came, DeadLetterStatus.DISMISSED)
        if letter is None:
            return None
        refusal = keeping.settled_by_hand()
        return OpResult(
            op_id=came.op.op_id,
            status=OpStatus.REJECTED,
            code=refusal.code,
            message=refusal.message,
            dead_letter_id=letter.id,
        )

    def _letter(self, came: Arrived, status: DeadLetterStatus) -> DeadLetter | None:
        """The letter of an operation, if that is how it stood when the batch began."""
        found = (each for each in self.kept if each.status is status and _is_of(each, came))
        return next(found, None)

    async def _refused(self, acting: Scope, came: Arrived, refusal: PlayParkError) -> OpResult:
        """The answer to a refusal. What had happened is kept first (R35): where that fails, the
        operation has to come again."""
        if refusal.code is ErrorCode.OUTBOX_REWOUND:
            raise await rewinding.refusal(self.platform, self.scope, came.place)
        result = OpResult(
            op_id=came.op.op_id,
            status=OpStatus.REJECTED,
            code=refusal.code,
            message=refusal.message,
        )
        if refusal.code in RETRY_LATER:
            again = {"status": OpStatus.RETRY, "retry_after": refusal.retry_after or 1}
            return result.model_copy(update=again)
        if not came.op.committed:
            return await self._traced(came, result)
        device, kind = self.scope.device, DeadLetterKind.REJECTED
        try:
            letter = await keeping.keep(self.platform, acting, device, came, kind, refusal=refusal)
        except (PlayParkError, PyMongoError) as fault:
            return _again(came, fault)
        result = result.model_copy(update={"dead_letter_id": letter.id})
        moved = (letter.epoch, letter.seq) != came.place
        return await self._traced(came, result) if moved else result

    async def _traced(
        self, came: Arrived, result: OpResult, *, code: str | None = None
    ) -> OpResult:
        """`result`, once its place has a mark."""
        try:
            known_by = code or result.code or result.status.value
            await keeping.mark(self.platform, self.scope, came, known_by)
        except PyMongoError as fault:
            return _again(came, fault)
        return result


def operation_of(came: Arrived, body: BaseModel, occurred_at: datetime) -> Operation[Any]:
    """The operation that arrived, with its body read and its moment corrected."""
    op = came.op
    return Operation(
        op_id=op.op_id,
        kind=op.kind,
        raw=came.raw,
        body=body,
        occurred_at=occurred_at,
        shift_id=op.shift_id,
        committed=op.committed,
        epoch=came.epoch,
        seq=op.seq,
        prev_hash=op.prev_hash,
        local=op.local,
    )


def body_of(kind: Kind[Any, Any], raw: dict[str, Any]) -> BaseModel | PlayParkError:
    """A body as its kind reads it; a refusal where that is not how the contract has it."""
    try:
        body: BaseModel = kind.model.model_validate(raw)
    except ValidationError as invalid:
        problems = "; ".join(
            f"{error['field']}: {error['problem']}" for error in safe_errors(invalid.errors())
        )
        message = f"The operation's body is not as the contract has it: {problems}"
        return PlayParkError(ErrorCode.VALIDATION, message)
    return body


def _told(op: OpIn, outcome: Outcome[Any]) -> OpResult:
    status = OpStatus.DUPLICATE if outcome.replayed else OpStatus.APPLIED
    return OpResult(op_id=op.op_id, status=status, result=outcome.answer.model_dump(mode="json"))


def _elsewhere(came: Arrived, outcome: Outcome[Any]) -> bool:
    """Whether it was booked under another place than the one it has now."""
    record = outcome.record
    return record is not None and (record.epoch, record.seq) != came.place


def _may_wait(op: OpIn) -> bool:
    """Whether it may have a letter: what has happened, and by an export all that was queued. A gate
    whose guest waits for the answer is spared the read."""
    return op.committed or op.kind is not OpKind.REDEMPTION


def _is_of(letter: DeadLetter, came: Arrived) -> bool:
    return letter.op_id == came.op.op_id and letter.body_hash == came.body_hash


def _again(came: Arrived, fault: Exception) -> OpResult:
    """What could not be written down has to come again. Raises a fault of ours."""
    if isinstance(fault, PyMongoError) and not is_outage(fault):
        raise fault
    log.warning("a refusal could not be written down", error=type(fault).__name__)
    later = unavailable()
    return OpResult(
        op_id=came.op.op_id,
        status=OpStatus.RETRY,
        code=later.code,
        message=later.message,
        retry_after=later.retry_after,
    )


async def acting_for(
    platform: Platform, scope: Scope, op: OpIn, occurred_at: datetime
) -> tuple[Scope, tuple[str, ...]]:
    """The scope of who acted, not of who syncs, and flags (R35).

    What is committed is judged by what that person was allowed when it happened, logged in here
    or not. What is not committed happens now: it takes somebody who is logged in, so that a
    device cannot act in a person's name, nor a person by a right that they had before.
    """
    if op.employee_id is None:
        return scope.acting_as(None), ()
    here = scope.colleagues.get(op.employee_id)
    if not op.committed or _had_it_already(scope, here, occurred_at):
        return scope.acting_as(here), ()
    async with platform.uow.at_one_moment() as work:
        actor, flags = await history.acting_at(work, scope, op.employee_id, occurred_at)
    return scope.acting_as(actor), flags


def _had_it_already(scope: Scope, here: Actor | None, moment: datetime) -> bool:
    """Whether somebody's login tells what they were allowed at that moment: it spares a read."""
    at_home = scope.store_id == scope.home_store_id
    return here is not None and here.since is not None and here.since <= moment and at_home
