"""Clocking in and out, breaks, and the hours that come of it (API.md: timecards)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from api.audit import service as audit
from api.platform.documents import scoped_id
from api.platform.operations import Kind, Operation, OpRecord
from api.platform.permissions import Rights
from api.platform.scope import Actor, Scope
from api.platform.uow import Work
from api.timecards.hours import Punch, Span, minutes, shape
from api.timecards.models import CardState, Entry, Timecard
from api.timecards.repository import Chosen, TimecardRepository
from playpark.clock import business_date
from playpark.contracts.sync import OpKind
from playpark.contracts.timecards import HoursRow, TimecardEvent, TimecardIn, TimecardView
from playpark.errors import ErrorCode, PlayParkError

OVERLAP = "overlap"
OPEN = (CardState.WORKING, CardState.ON_BREAK)
MAX_DAYS = 366
STEPS: dict[TimecardEvent, tuple[tuple[CardState, ...], CardState]] = {
    TimecardEvent.BREAK_START: ((CardState.WORKING,), CardState.ON_BREAK),
    TimecardEvent.BREAK_END: ((CardState.ON_BREAK,), CardState.WORKING),
    TimecardEvent.CLOCK_OUT: (OPEN, CardState.CLOSED),
}
"""What an event makes of an open card, and in which states it may happen."""


async def _apply(
    work: Work, scope: Scope, op: Operation[TimecardIn], result_id: str
) -> TimecardView:
    """Record an event of who is acting.

    What does not fit is E_TIMECARD_OVERLAP; what is committed is recorded all the same with the
    flag `overlap` (R17).
    """
    entry = Entry(
        op_key=_op_key(scope, op.op_id),
        event=op.body.event,
        at=op.occurred_at,
        flags=list(op.flags),
    )
    if entry.event is TimecardEvent.CLOCK_IN:
        card = await _clock_in(work, scope, scope.person, op, entry, result_id)
    else:
        card = await _step(work, scope, scope.person, op, entry, result_id)
    payload = {"employee_id": card.employee_id, "at": entry.at.isoformat(), "flags": entry.flags}
    await audit.append(work, scope, f"timecard.{entry.event.value}", card.id, payload)
    return _as_answered(card, entry.op_key)


async def _clock_in(
    work: Work,
    scope: Scope,
    actor: Actor,
    op: Operation[TimecardIn],
    entry: Entry,
    card_id: str,
) -> Timecard:
    """A new card; committed while one is open, a note on that one."""
    cards = TimecardRepository.of(work, scope)
    if (card := await cards.open_of(actor.employee_id)) is not None:
        _refuse(op, entry, "You are clocked in already: clock out first.")
        return await _note(cards, card, entry)
    if op.committed:
        if await cards.closed_at(actor.employee_id, entry.at):
            entry.flags.append(OVERLAP)
    elif await cards.ends_after(actor.employee_id, entry.at):
        _refuse(op, entry, "You have a card for that time already: clock in after its end.")
    return await cards.insert(_new(scope, actor, entry, card_id))


async def _step(
    work: Work,
    scope: Scope,
    actor: Actor,
    op: Operation[TimecardIn],
    entry: Entry,
    card_id: str,
) -> Timecard:
    """An event on the open card. Committed, one that no card is open for gets a card of no
    length; one in the wrong state is a note; one that is too early counts from the last entry."""
    cards = TimecardRepository.of(work, scope)
    allowed, state = STEPS[entry.event]
    card = await cards.open_of(actor.employee_id)
    if card is None:
        _refuse(op, entry, "You are not clocked in: clock in first.")
        entry.counted = False
        return await cards.insert(_new(scope, actor, entry, card_id))
    if card.state not in allowed:
        resting = card.state is CardState.ON_BREAK
        message = "You are on a break already: end it." if resting else "You are not on a break."
        _refuse(op, entry, message)
        return await _note(cards, card, entry)
    if entry.at < card.last_at:
        _refuse(op, entry, "That is before the last entry of your card: check the clock.")
        entry.at = card.last_at
    if (
        entry.event is TimecardEvent.CLOCK_OUT
        and OVERLAP not in entry.flags
        and await cards.touches_another(card, entry.at)
    ):
        entry.flags.append(OVERLAP)
    changed = await cards.step(actor.employee_id, entry, allowed, state)
    if changed is None:
        raise _overlap("Your card has changed meanwhile: try again.")
    return changed


async def _note(cards: TimecardRepository, card: Timecard, entry: Entry) -> Timecard:
    entry.counted = False
    return await cards.note(card.id, entry) or card


def _new(scope: Scope, actor: Actor, entry: Entry, card_id: str) -> Timecard:
    """A card that begins with this entry, and ends with it where that does not count."""
    return Timecard(
        id=card_id,
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        employee_id=actor.employee_id,
        employee_name=actor.name,
        device_id=scope.device.device_id,
        business_date=business_date(entry.at, scope.zone).isoformat(),
        state=CardState.WORKING if entry.counted else CardState.CLOSED,
        open=entry.counted,
        clock_in_at=entry.at,
        last_at=entry.at,
        entries=[entry],
    )


def _refuse(op: Operation[TimecardIn], entry: Entry, message: str) -> None:
    """Refuse what does not fit, or flag it where it has happened already (R17)."""
    if not op.committed:
        raise _overlap(message)
    entry.flags.append(OVERLAP)


def _overlap(message: str) -> PlayParkError:
    return PlayParkError(ErrorCode.TIMECARD_OVERLAP, message)


def _op_key(scope: Scope, op_id: str) -> str:
    return scoped_id(scope.device.device_id, op_id)


async def _first_answer(work: Work, scope: Scope, record: OpRecord) -> TimecardView:
    cards = TimecardRepository.of(work, scope)
    op_key = _op_key(scope, record.op_id)
    card = await cards.find_one(**{"entries.op_key": op_key})
    if card is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such timecard.")
    return _as_answered(card, op_key)


def _as_answered(card: Timecard, op_key: str) -> TimecardView:
    """The card as that operation left it, counted until its entry, whatever came later (R15)."""
    position = next(n for n, entry in enumerate(card.entries) if entry.op_key == op_key)
    return _view(card, card.entries[: position + 1], card.entries[position].at)


TIMECARD = Kind(OpKind.TIMECARD, TimecardIn, _apply, _first_answer, Rights(person=True))


# --- reading ----------------------------------------------------------------------------


def view(card: Timecard, now: datetime) -> TimecardView:
    """The card as it is; an open one counts until `now`."""
    return _view(card, card.entries, now)


def _view(card: Timecard, entries: Sequence[Entry], until: datetime) -> TimecardView:
    found = shape([Punch(entry.event, entry.at, counted=entry.counted) for entry in entries])
    flags = dict.fromkeys(flag for entry in entries for flag in entry.flags)
    return TimecardView(
        timecard_id=card.id,
        employee_id=card.employee_id,
        employee_name=card.employee_name,
        device_id=card.device_id,
        clock_in_at=found.began,
        clock_out_at=found.ended,
        breaks=found.breaks,
        worked_minutes=minutes(found.worked(until)),
        break_minutes=minutes(found.on_break(until)),
        flags=list(flags),
    )


@dataclass(slots=True)
class _Hours:
    name: str
    cards: int = 0
    worked: list[Span] = field(default_factory=list)
    on_break: list[Span] = field(default_factory=list)


def check_days(first: date | None, last: date | None) -> None:
    """Raises E_VALIDATION for days in the wrong order or more than a year."""
    if first is None or last is None:
        return
    if not 0 <= (last - first).days < MAX_DAYS:
        message = f"`to` is not before `from`, and at most {MAX_DAYS} days lie between them."
        raise PlayParkError(ErrorCode.VALIDATION, message)


async def hours(work: Work, scope: Scope, first: date, last: date) -> list[HoursRow]:
    """Each employee's hours on cards that began on these business dates, by name.

    A minute that lies in two cards of an employee counts once, and as worked where one of them
    says so. Raises E_VALIDATION.
    """
    check_days(first, last)
    cards = TimecardRepository.of(work, scope)
    people: dict[str, _Hours] = {}
    async for card in cards.punches(Chosen(None, first, last)):
        person = people.setdefault(card.employee_id, _Hours(card.employee_name))
        person.name = card.employee_name  # the latest one
        found = shape(card.entries)
        person.cards += 1
        person.worked += found.worked(work.now)
        person.on_break += found.on_break(work.now)
    rows = [_hours_row(employee_id, person) for employee_id, person in people.items()]
    return sorted(rows, key=lambda row: (row.employee_name, row.employee_id))


def _hours_row(employee_id: str, person: _Hours) -> HoursRow:
    worked = minutes(person.worked)
    return HoursRow(
        employee_id=employee_id,
        employee_name=person.name,
        cards=person.cards,
        worked_minutes=worked,
        break_minutes=minutes([*person.worked, *person.on_break]) - worked,
    )
