"""Merging what gates let through by themselves (R33, decision 0019).

Entries that were physically passed compete for a ticket's uses by (corrected time, op_id),
whatever the order in which they arrive; what happened at a gate is never rewritten.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from api.audit import service as audit
from api.catalog import service as catalog
from api.events import service as events
from api.platform.operations import Operation
from api.platform.scope import Scope
from api.platform.uow import Work
from api.tickets import occupancy
from api.tickets.models import Redemption, Ticket
from api.tickets.repository import RedemptionRepository, TicketRepository
from playpark.clock import business_date, business_day_start
from playpark.contracts.catalog import PackageKind
from playpark.contracts.tickets import Direction, FailReason, RedeemIn, RedemptionResult
from playpark.redemption import Scan, cost, decide, is_inside

MANY = 10_000
"""Entries of one ticket: a timepass of a year has a few hundred."""
OF_USES = (FailReason.DUPLICATE_USE, FailReason.EXHAUSTED)
"""What an entry is refused for because of other entries: this alone is judged anew."""


# --- the rule, pure -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody who went in. `cost`: uses, or satang of a credit."""

    redemption_id: str
    at: datetime
    op_id: str
    cost: int


@dataclass(frozen=True, slots=True)
class Uses:
    """What a ticket is worth to these entries: its kind and quota, and what others have taken of
    it before, by exchange. `ends_at`: the end of a clock that none of them has started."""

    kind: PackageKind
    quota: int
    taken: int = 0
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """What an entry is, in the light of all others."""

    redemption_id: str
    reason: FailReason | None
    remaining: int
    spend: int = 0
    shortfall: int = 0
    ends_at: datetime | None = None
    starts: bool = False

    @property
    def result(self) -> RedemptionResult:
        return RedemptionResult.FAIL if self.reason else RedemptionResult.PASS


def judge(uses: Uses, entries: Iterable[Entry]) -> list[Judged]:
    """Each entry in the order of (time, op_id): the first `quota` pass, later ones do not; credit
    is spent down to nothing; a timepass runs from the first (R33)."""
    in_order = sorted(entries, key=lambda each: (each.at, each.op_id))
    if uses.kind is PackageKind.TIMEPASS:
        return _by_the_clock(uses, in_order)
    left, found = max(0, uses.quota - uses.taken), []
    for each in in_order:
        if uses.kind is PackageKind.CREDIT:
            spend = min(left, each.cost)
            left -= spend
            found.append(Judged(each.redemption_id, None, left, spend, each.cost - spend))
        elif left:
            left -= 1
            found.append(Judged(each.redemption_id, None, left, 1))
        else:
            found.append(Judged(each.redemption_id, FailReason.DUPLICATE_USE, 0))
    return found


def _by_the_clock(uses: Uses, in_order: Sequence[Entry]) -> list[Judged]:
    end, found = uses.ends_at, []
    for each in in_order:
        starts = end is None
        end = end or each.at + timedelta(minutes=uses.quota)
        left = max(0, -((each.at - end) // timedelta(minutes=1)))
        reason = None if each.at < end else FailReason.EXHAUSTED
        until = None if reason else end
        found.append(Judged(each.redemption_id, reason, left, ends_at=until, starts=starts))
    return found


# --- one arrival ----------------------------------------------------------------------------


def let_in(op: Operation[RedeemIn]) -> bool:
    """Whether a gate has let this guest in by itself: there is nothing left to refuse (R17)."""
    passed = op.local is not None and op.local.result is RedemptionResult.PASS
    return passed and op.committed and op.body.direction is Direction.ENTRY


def settled(op: Operation[RedeemIn]) -> bool:
    """Whether a gate has decided this by itself: it goes to `record` instead of being decided."""
    return let_in(op) or _turned_away(op) is not None


def _turned_away(op: Operation[RedeemIn]) -> FailReason | None:
    """Why a gate has refused this guest by itself, in a word of R19: such a row takes nothing from
    the ticket, whatever the server would have said (R33)."""
    local = op.local
    if local is None or not op.committed or local.result is not RedemptionResult.FAIL:
        return None
    return FailReason(local.reason) if local.reason in set(FailReason) else None


@dataclass(frozen=True, slots=True)
class Conflict:
    """An entry whose guest is in, and which the server does not cover (any more); `settled` where
    it covers it again, all of it or more than before."""

    row: Redemption
    was: str | None = None
    """What it was answered as before, where it was something else."""
    settled: bool = False

    @property
    def event(self) -> str:
        return "ticket.conflict.settled" if self.settled else "ticket.conflict"

    @property
    def audited_as(self) -> str:
        return "redemption.conflict_settled" if self.settled else "redemption.conflict"


async def record(
    work: Work,
    scope: Scope,
    op: Operation[RedeemIn],
    row: Redemption,
    ticket: Ticket | None,
    scan: Scan,
) -> tuple[Redemption, list[Conflict]]:
    """Insert the `row` of what was settled at a gate; a guest who is in is judged with all other
    entries of the `ticket`. Without one it is refused for what it says already. The row as it
    stands then, and what to `tell` last in the transaction."""
    rows = RedemptionRepository.of(work, scope)
    if reason := _turned_away(op):
        row.gate_result = row.result = RedemptionResult.FAIL
        row.reason, row.spend, row.ends_at, row.started_clock = reason, 0, None, False
        await rows.insert(row)
        return row, []
    row.gate_result = RedemptionResult.PASS
    if ticket is not None:
        # Stands until all are judged together: it has taken nothing yet, and all is unpaid.
        row.result, row.spend = RedemptionResult.FAIL, 0
        row.ends_at, row.started_clock = None, False
        row.reason = _objection(ticket, scan) or FailReason.DUPLICATE_USE
        if ticket.kind is PackageKind.CREDIT and row.reason in OF_USES:
            row.credit_shortfall = cost(ticket.state, scan)
    await rows.insert(row)
    if ticket is None or row.reason not in OF_USES:
        return row, [Conflict(row)]
    changed, conflicts = await _judge_all(work, scope, ticket.ticket_id, fresh=row.id)
    return changed.get(row.id, row), conflicts


def _objection(ticket: Ticket, scan: Scan) -> FailReason | None:
    """What speaks against an entry besides other entries."""
    untouched = replace(ticket.state, used=0, last_pass_at=None, ends_at=None)
    reason = decide(untouched, replace(scan, full=False)).reason
    return None if reason in OF_USES else reason


async def after_annulment(
    work: Work, scope: Scope, ticket_id: str, annulled: Redemption
) -> list[Conflict]:
    """Somebody's use came back: whoever stood behind may have it now, and who came after the one
    that had started a clock starts it."""
    waiting = await RedemptionRepository.of(work, scope).find_one(
        ticket_id=ticket_id,
        direction=Direction.ENTRY.value,
        annulled_at=None,
        **{
            "$or": [
                {"gate_result": RedemptionResult.PASS.value, **_not_covered()},
                {"credit_shortfall": {"$gt": 0}},
            ]
        },
    )
    if waiting is None and not annulled.started_clock:
        return []
    _, conflicts = await _judge_all(work, scope, ticket_id)
    return conflicts


async def let_in_after_all(work: Work, scope: Scope, redemption_id: str) -> None:
    """A guest whom the server refused was let in: its answer had not arrived in time."""
    row = await RedemptionRepository.of(work, scope).change(
        {"$set": {"gate_result": RedemptionResult.PASS.value}},
        _id=redemption_id,
        direction=Direction.ENTRY.value,
        device_id=scope.device.device_id,
        gate_result=None,
        result=RedemptionResult.FAIL.value,
    )
    if row is None:
        return
    conflicts: list[Conflict] = []
    if row.ticket_id is not None:
        await _count_in(work, scope, row, row.ticket_id)
        if row.reason in OF_USES:
            await _unpaid(work, scope, row)
            changed, conflicts = await _judge_all(work, scope, row.ticket_id)
            row = changed.get(row.id, row)
    if row.result is RedemptionResult.FAIL or row.credit_shortfall:
        # Better than a refusal, and not paid for: nobody has been told of this entry before.
        conflicts = [each for each in conflicts if each.row.id != row.id]
        conflicts.append(Conflict(row))
    await tell(work, scope, conflicts)


async def _unpaid(work: Work, scope: Scope, row: Redemption) -> None:
    """A refusal has taken nothing of a credit: what its zone takes is unpaid until it is judged."""
    if row.kind is not PackageKind.CREDIT:
        return
    snapshot = await catalog.snapshot(work, scope)
    prices = {zone.zone_id: zone.credit_price for zone in snapshot.zones}
    unpaid = {"$set": {"credit_shortfall": prices.get(row.zone_id or "") or 0}}
    await RedemptionRepository.of(work, scope).update_one(unpaid, _id=row.id)


async def _count_in(work: Work, scope: Scope, row: Redemption, ticket_id: str) -> None:
    """The guest of `row` is in the zone: what the answer said of that stays as it was told."""
    tickets = TicketRepository.of(work, scope)
    seen = await tickets.look(_id=tickets.key(ticket_id))
    day_start = business_day_start(business_date(row.occurred_at, scope.zone), scope.zone)
    scan = Scan(at=row.occurred_at, zone_id=row.zone_id, day_start=day_start)
    day, _ = await occupancy.count(work, scope, row.zone_id, Direction.ENTRY, row.occurred_at)
    came_in = seen is not None and not is_inside(seen.state, scan)
    await tickets.enter(scan, ticket_id)
    counted = {"$set": {"counted_on": day, "came_in": came_in}}
    await RedemptionRepository.of(work, scope).update_one(counted, _id=row.id)


async def tell(work: Work, scope: Scope, conflicts: Sequence[Conflict]) -> None:
    """The events and, last of all statements, the audit rows."""
    told = [
        {
            "redemption_id": each.row.id,
            "ticket_id": each.row.ticket_id,
            "zone_id": each.row.zone_id,
            "reason": each.row.reason.value if each.row.reason else None,
            "credit_shortfall": each.row.credit_shortfall,
            "gate_result": RedemptionResult.PASS.value,
            "was": each.was,
        }
        for each in conflicts
    ]
    if told:
        named = [each.event for each in conflicts]
        await events.emit(work, scope, *zip(named, told, strict=True))
    for each, facts in zip(conflicts, told, strict=True):
        await audit.append(work, scope, each.audited_as, each.row.id, facts)


# --- all entries of a ticket ----------------------------------------------------------------


async def _judge_all(
    work: Work, scope: Scope, ticket_id: str, *, fresh: str | None = None
) -> tuple[dict[str, Redemption], list[Conflict]]:
    """Judge the entries of one ticket; those that have changed as they are now, by id, and
    conflicts. `fresh` has no answer yet that a replay would have to repeat."""
    tickets, rows = TicketRepository.of(work, scope), RedemptionRepository.of(work, scope)
    key = tickets.key(ticket_id)
    ticket = await tickets.find_one(_id=key)
    if ticket is None:
        return {}, []
    entries = await rows.find(
        sort="occurred_at",
        limit=MANY,
        ticket_id=ticket_id,
        direction=Direction.ENTRY.value,
        annulled_at=None,
        **_competing(),
    )
    by_id = {each.id: each for each in entries}
    judged = judge(_uses(ticket, entries), [_entry(each) for each in entries])
    changed, conflicts = {}, []
    for each in judged:
        row = by_id[each.redemption_id]
        changes = _changes(row, each, first=row.id == fresh)
        if changes:
            found = await rows.change({"$set": changes}, _id=row.id)
            changed[row.id] = found or row
        worse, better = _worse(row, each, first=row.id == fresh), _better(row, each)
        if worse or (better and row.id != fresh):
            was = None if row.id == fresh else row.result.value
            conflicts.append(Conflict(changed.get(row.id, row), was, settled=not worse))
    clock = next((each.ends_at for each in judged if each.ends_at), None)
    moments = [row.occurred_at for row in entries]
    moments += [ticket.last_pass_at] if ticket.last_pass_at else []
    after = {
        "used": ticket.used
        - sum(row.spend for row in entries if row.result is RedemptionResult.PASS)
        + sum(each.spend for each in judged),
        "ends_at": clock or ticket.ends_at,
        "last_pass_at": max(moments, default=None),
    }
    # Whoever else judges it, spends from it or takes it back at this moment collides here.
    await tickets.hold(after, _id=key)
    return changed, conflicts


def _not_covered() -> dict[str, Any]:
    return {
        "result": RedemptionResult.FAIL.value,
        "reason": {"$in": [reason.value for reason in OF_USES]},
    }


def _competing() -> dict[str, Any]:
    """Entries that went in, and which nothing but other entries speaks against."""
    passed = RedemptionResult.PASS.value
    return {"$or": [{"result": passed}, {"gate_result": passed, **_not_covered()}]}


def _uses(ticket: Ticket, entries: Sequence[Redemption]) -> Uses:
    """What is left for these entries once they are taken off the ticket."""
    passed = [row for row in entries if row.result is RedemptionResult.PASS]
    started = any(row.started_clock for row in passed)
    return Uses(
        kind=ticket.kind,
        quota=ticket.quota_or_minutes,
        taken=ticket.used - sum(row.spend for row in passed),
        ends_at=None if started else ticket.ends_at,
    )


def _entry(row: Redemption) -> Entry:
    return Entry(row.id, row.occurred_at, row.op_id, row.spend + row.credit_shortfall)


def _changes(row: Redemption, now: Judged, *, first: bool) -> dict[str, Any]:
    """What is written into a row that was judged; nothing where it is as it was."""
    told = {
        "result": now.result,
        "reason": now.reason,
        "remaining": now.remaining,
        "spend": now.spend,
        "credit_shortfall": now.shortfall,
        "ends_at": now.ends_at,
        "started_clock": now.starts,
    }
    changes: dict[str, Any] = {
        name: value for name, value in told.items() if getattr(row, name) != value
    }
    answered = {name: getattr(row, name) for name in ("result", "reason", "remaining")}
    if not first and row.answered is None and answered.keys() & changes.keys():
        changes["answered"] = answered
    if "result" in changes and row.gate_result is None:
        changes["gate_result"] = RedemptionResult.PASS
    return changes


def _worse(row: Redemption, now: Judged, *, first: bool) -> bool:
    """Whether the server stands behind less of this entry than before."""
    if first:
        return now.reason is not None or now.shortfall > 0
    lost = now.reason is not None and row.result is RedemptionResult.PASS
    return lost or now.shortfall > row.credit_shortfall


def _better(row: Redemption, now: Judged) -> bool:
    """Whether the server stands behind more of an entry that it did not cover."""
    regained = now.reason is None and row.result is RedemptionResult.FAIL
    return regained or now.shortfall < row.credit_shortfall
