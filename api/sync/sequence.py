"""Whether a shift's operations have all arrived (R28, R34).

Each carries the hash of the one before it. At the close of a shift the server looks whether all
that was made since the last one has a fate: a record, a dead letter or a mark. What has none was
deleted before it could be sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from api.audit import service as audit
from api.events import service as events
from api.platform.operations import Kind, Operation
from api.platform.scope import Scope
from api.platform.uow import Work
from api.shifts.repository import ShiftRepository
from api.sync.repository import (
    MOST_TRACES,
    DeadLetterRepository,
    MarkRepository,
    Place,
    PlaceRepository,
    Trace,
)
from playpark.cash import FIRST_HASH, chain_hash
from playpark.contracts.shifts import ShiftClosed

SEQUENCE_GAP, SEQUENCE_BROKEN = "sequence_gap", "sequence_broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """`missing` places have no trace, the first of them at `gap`; what stands at `broken` does not
    follow from what stands before it."""

    missing: int = 0
    gap: Place | None = None
    broken: Place | None = None

    @property
    def flags(self) -> list[str]:
        return [
            *([SEQUENCE_GAP] if self.missing else []),
            *([SEQUENCE_BROKEN] if self.broken else []),
        ]


def link_of(trace: Trace) -> str:
    """The hash that the next operation of the epoch carries as its `prev_hash` (R34)."""
    content = {"op_id": trace.op_id, "seq": trace.place[1], "hash": trace.body_hash}
    return chain_hash(trace.prev_hash or FIRST_HASH, content)


def judge(traces: Sequence[Trace], *, from_start: bool) -> Finding:
    """What is wrong with a sequence, its traces in the order of their places. `from_start`: it is
    all that there is of its first epoch, which began at 1. Several may claim a place: any of them
    may be the one that the next follows. An operation without `prev_hash` claims nothing."""
    by_place: dict[Place, list[Trace]] = {}
    for trace in traces:
        by_place.setdefault(trace.place, []).append(trace)
    places = sorted(by_place)
    begin: list[Place] = [(places[0][0], 0)] if places and from_start else []
    missing, gap, broken = 0, None, None
    for last, now in pairwise([*begin, *places]):
        before = last if last[0] == now[0] else (now[0], 0)
        claims = {trace.prev_hash for trace in by_place[now] if trace.prev_hash is not None}
        lost = now[1] - before[1] - 1
        if not claims and before[1] == 0:
            continue  # of a client that chains nothing: it may begin anywhere
        if lost > 0:
            missing, gap = missing + lost, gap or (now[0], before[1] + 1)
        elif claims and not claims & _links(by_place.get(before, [])):
            broken = broken or now
    return Finding(missing, gap, broken)


def _links(before: Sequence[Trace]) -> set[str]:
    """What may come next: an epoch begins with the first hash."""
    return {link_of(trace) for trace in before} or {FIRST_HASH}


def examined(close: Kind[Any, ShiftClosed]) -> Kind[Any, ShiftClosed]:
    """The close of a shift, and in its transaction a look at the sequence that led to it. What is
    found is flagged on the shift and told; the close is accepted all the same (R28)."""

    async def apply(work: Work, scope: Scope, op: Operation[Any], result_id: str) -> ShiftClosed:
        answer = await close.apply(work, scope, op, result_id)
        if op.seq is None or op.epoch is None or scope.device.is_office:
            return answer  # no sequence, or not that of the till whose shift it was
        found = await _examine(work, scope, op, (op.epoch, op.seq))
        if found.flags:
            await _tell(work, scope, answer.shift_id, found)
        return answer

    return replace(close, apply=apply)


async def _examine(work: Work, scope: Scope, op: Operation[Any], here: Place) -> Finding:
    """The sequence from the last close up to this one."""
    device_id = scope.device.device_id
    places = PlaceRepository.of(work, scope)
    start = await places.last_close(device_id, here)
    recent = await places.traces(device_id, here, first=start)
    if len(recent) == MOST_TRACES:
        start = recent[-1].place
    recent += await DeadLetterRepository.of(work, scope).traces(device_id, here, first=start)
    recent += await MarkRepository.of(work, scope).traces(device_id, here, first=start)
    recent.append(Trace(here, op.op_id, op.body_hash, op.prev_hash))
    return judge(recent, from_start=start is None)


async def _tell(work: Work, scope: Scope, shift_id: str, found: Finding) -> None:
    shifts = ShiftRepository.of(work, scope)
    flags = {"$addToSet": {"flags": {"$each": found.flags}}}
    await shifts.update_one(flags, _id=shifts.key(shift_id))
    facts = {
        "device_id": scope.device.device_id,
        "missing": found.missing,
        "gap": _named(found.gap),
        "broken": _named(found.broken),
    }
    await events.emit(work, scope, ("shift.sequence_broken", {"shift_id": shift_id, **facts}))
    await audit.append(work, scope, "shift.sequence_broken", shift_id, facts)


def _named(place: Place | None) -> dict[str, int] | None:
    return {"epoch": place[0], "seq": place[1]} if place else None
