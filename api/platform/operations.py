"""Operations: the one way in which money and tickets change (R14–R17).

Both doors, `POST /sync/batch` and the direct routes, build an `Operation` and call `perform`
with the domain's effect. The op record and the effect stand in one transaction, so the same
op_id has exactly one effect and every later call gets the first answer again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import structlog
from pydantic import BaseModel
from pymongo.errors import DuplicateKeyError, PyMongoError

from api.platform.documents import (
    UNSTAMPED,
    Field,
    Model,
    ODMConfigDict,
    StoredTime,
    ascending,
    scoped_id,
)
from api.platform.permissions import Rights
from api.platform.repository import Repository
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work, is_outage, unavailable
from playpark.canonical import operation_hash
from playpark.clock import business_date
from playpark.contracts.sync import LocalOutcome, OpKind
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid

B = TypeVar("B", bound=BaseModel)
R = TypeVar("R")
log = structlog.get_logger("playpark.operations")
OLDEST = timedelta(hours=72)
CLOCK_CLAMPED, NOT_PERMITTED = "clock_clamped", "not_permitted"


class OpRecord(Model):
    """That an op was applied: hash and ids, never bodies or tokens (R15). `id` is compound."""

    model_config = ODMConfigDict(
        collection="operations",
        indexes=lambda: [
            # A place in the sequence of a device is taken once (R38). What comes through a direct
            # route has none, and only numbers are at least 0.
            ascending(
                *("tenant_id", "store_id", "device_id", "epoch", "seq"),
                name="places",
                unique=True,
                partialFilterExpression={"seq": {"$gte": 0}},
            )
        ],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    device_id: str
    op_id: str
    kind: OpKind
    body_hash: str
    result_id: str
    """Id of the sale or redemption that the op made; shifts are found by op_id."""
    employee_id: str | None = None
    shift_id: str | None = None
    epoch: int | None = None
    seq: int | None = None
    prev_hash: str | None = None
    committed: bool = False
    local: dict[str, Any] | None = None
    occurred_at: StoredTime
    flags: list[str] = Field(default_factory=list)


class OpRepository(Repository[OpRecord]):
    model = OpRecord


@dataclass(frozen=True, slots=True)
class Operation(Generic[B]):
    """Envelope and body of one operation: `raw` is the JSON as received, `body` its reading."""

    op_id: str
    kind: OpKind
    raw: dict[str, Any]
    body: B
    occurred_at: datetime
    shift_id: str | None = None
    committed: bool = False
    epoch: int | None = None
    seq: int | None = None
    prev_hash: str | None = None
    local: LocalOutcome | None = None
    approval: str | None = None
    """The approval token that came with it (R42)."""
    flags: tuple[str, ...] = ()

    @property
    def body_hash(self) -> str:
        return operation_hash(self.kind, self.raw)

    def day(self, scope: Scope) -> str:
        """The trading day on which it happened, in the store's time (R30)."""
        return business_date(self.occurred_at, scope.zone).isoformat()


@dataclass(frozen=True, slots=True)
class Outcome(Generic[R]):
    """`record`: of the first time, where this is not the first."""

    answer: R
    replayed: bool
    record: OpRecord | None = None


@dataclass(frozen=True, slots=True)
class Kind(Generic[B, R]):
    """How a domain reads, applies and answers again one kind of operation."""

    name: OpKind
    model: type[B]
    apply: Callable[[Work, Scope, Operation[B], str], Awaitable[R]]
    """(work, scope, op, result_id): the effect, under the id `result_id`."""
    rebuild: Callable[[Work, Scope, OpRecord], Awaitable[R]]
    rights: Rights
    """What it takes, at both doors (R40)."""
    audited: bool = True
    """Writes an audit row: queue behind the device's chain (R45)."""
    apart: Callable[[Operation[B]], bool] | None = None
    """Whether an operation's effect waits for nothing but the database, and people wait for it or
    there are many: it has a thread to itself then. For kinds that are not audited. Where it turns
    out to need more, it raises `NotApartError` and is begun again like any other."""
    told: "Callable[[Work, Scope, OpRecord, Operation[B]], Awaitable[None]] | None" = None
    """(work, scope, record, op): what physically happened is told after the answer, for the first
    time (`op.local`); once, in the transaction that writes it into the record (R14)."""


class NotApartError(Exception):
    """An effect that was begun apart has to read what it writes, or writes to the audit trail."""


class _AlreadyAppliedError(Exception):
    """The op record exists: the transaction is given up and the first answer rebuilt."""


async def perform(
    platform: Platform, scope: Scope, op: Operation[B], kind: Kind[B, R]
) -> Outcome[R]:
    """Apply `op` once, or answer as the first time.

    Raises E_IDEMPOTENCY_MISMATCH for another body under the same op_id, E_OUTBOX_REWOUND for a
    place in the device's sequence where another op stands (R38), E_PERMISSION and
    E_UNAUTHENTICATED by the kind's rights, E_CONFLICT for an id that the tenant uses elsewhere
    (R16), E_UNAVAILABLE, and the domain's refusals; a refusal leaves nothing behind, so the same
    op may succeed later. Rights are judged after the look-up of the first answer (R42).
    """
    record = _record(scope, op)

    async def transaction(work: Work) -> R:
        try:
            await OpRepository.of(work, scope).insert_plain(record)
        except DuplicateKeyError:
            raise _AlreadyAppliedError from None
        permitted = replace(op, flags=(*op.flags, *permit(scope, op, kind.rights)))
        return await kind.apply(work, scope, permitted, record["result_id"])

    try:
        answer = await _carry_out(platform, scope, op, kind, transaction)
    except _AlreadyAppliedError:
        return await _first_answer(platform, scope, op, kind, record["id"])
    except DuplicateKeyError:
        message = "One of the ids is in use already: make fresh ones."
        raise PlayParkError(ErrorCode.CONFLICT, message) from None
    return Outcome(answer, replayed=False)


async def _carry_out(
    platform: Platform,
    scope: Scope,
    op: Operation[B],
    kind: Kind[B, R],
    transaction: Callable[[Work], Awaitable[R]],
) -> R:
    """The effect, in a thread of its own where it can be."""
    if kind.apart is not None and kind.apart(op):
        try:
            return await platform.uow.run_apart(transaction)
        except NotApartError:
            log.debug("begun again, not apart", op_id=op.op_id)
    queue = chain_key(scope) if kind.audited else None
    return await platform.uow.run(transaction, queue=queue)


async def _first_answer(
    platform: Platform, scope: Scope, op: Operation[B], kind: Kind[B, R], record_id: str
) -> Outcome[R]:
    work = platform.uow.reading()
    ops = OpRepository.of(work, scope)
    record = await ops.find_one(_id=record_id)
    if record is None:  # the op_id is new, so it was the place that is taken
        raise rewound()
    if record.body_hash != op.body_hash or record.kind is not op.kind:
        message = "This Idempotency-Key was used with another body: make a fresh key."
        raise PlayParkError(ErrorCode.IDEMPOTENCY_MISMATCH, message)
    if op.local is not None and record.local is None:
        await platform.uow.run(_hear(scope, op, kind, record), queue=chain_key(scope))
    return Outcome(await kind.rebuild(work, scope, record), replayed=True, record=record)


def _hear(
    scope: Scope, op: Operation[B], kind: Kind[B, R], record: OpRecord
) -> Callable[[Work], Awaitable[None]]:
    """What physically happened is recorded once, whenever it is told (R14)."""

    async def hear(work: Work) -> None:
        told = {"$set": {"local": _happened(op.local)}}
        first = await OpRepository.of(work, scope).update_one(told, _id=record.id, local=None)
        if first and kind.told is not None:
            await kind.told(work, scope, record, op)

    return hear


def _happened(local: LocalOutcome | None) -> dict[str, Any] | None:
    """What is kept of it: never the tokens that a till has printed (R15)."""
    return local.model_dump(mode="json", exclude={"tokens"}) if local else None


async def attempt(
    platform: Platform, scope: Scope, op: Operation[B], kind: Kind[B, R]
) -> Outcome[R] | PlayParkError:
    """`perform` for one of many: a refusal is returned, and so is a fault of ours, logged, so
    that one poisoned operation does not stop the others (R35)."""
    try:
        return await perform(platform, scope, op, kind)
    except PlayParkError as refusal:
        if refusal.code.status == 404:  # somebody tries ids, or is looking for another park's
            route = f"POST /sync/batch: {op.kind}"
            await platform.note_refusal(platform.uow, scope, refusal.code, route)
        return refusal
    except Exception as fault:
        if isinstance(fault, PyMongoError) and is_outage(fault):
            log.warning("database unavailable", op_id=op.op_id, error=type(fault).__name__)
            return unavailable()
        log.exception("operation failed", op_id=op.op_id, kind=op.kind)
        message = "Something went wrong with this operation and was logged: call support."
        return PlayParkError(ErrorCode.INTERNAL, message)


def rewound() -> PlayParkError:
    """The refusal of operations in places that others have (R38)."""
    message = (
        "This device's store was set back or copied: go on in a new epoch, above the counters in "
        "`details`."
    )
    return PlayParkError(ErrorCode.OUTBOX_REWOUND, message)


def _record(scope: Scope, op: Operation[Any]) -> dict[str, Any]:
    """The fields of an `OpRecord`."""
    return {
        "id": scoped_id(chain_key(scope), op.op_id),
        "device_id": scope.device.device_id,
        "op_id": op.op_id,
        "kind": op.kind.value,
        "body_hash": op.body_hash,
        "result_id": new_ulid(),
        "employee_id": scope.actor_id,
        "shift_id": op.shift_id,
        "epoch": op.epoch,
        "seq": op.seq,
        "prev_hash": op.prev_hash,
        "committed": op.committed,
        "local": _happened(op.local),
        "occurred_at": op.occurred_at,
        "flags": list(op.flags),
    }


def permit(scope: Scope, op: Operation[Any], rights: Rights) -> tuple[str, ...]:
    """Refuse who may not do this, or flag it where it has happened already (R17).

    Raises E_PERMISSION, for what is committed only where this device does no such things at all;
    where it takes a person, `committed` spares nobody.
    """
    rights = rights.on(scope)
    if rights.person or not op.committed:
        rights.require(scope)
    rights.require_device(scope)
    return () if rights.held_by(scope) else (NOT_PERMITTED,)


def chain_key(scope: Scope) -> str:
    """The audit chain that this scope's operations write to: one per device (R45)."""
    return scoped_id(scope.tenant_id, scope.store_id, scope.device.device_id)


def clamp(occurred_at: datetime | None, arrival: datetime) -> tuple[datetime, tuple[str, ...]]:
    """A device's time inside [arrival − 72 h, arrival], and the flag where it was moved (R36)."""
    if occurred_at is None:
        return arrival, ()
    clamped = min(max(occurred_at, arrival - OLDEST), arrival)
    return clamped, () if clamped == occurred_at else (CLOCK_CLAMPED,)
