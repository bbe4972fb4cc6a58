"""HTTP of timecards."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import Query, Response

from api.platform.csv import CSV, PAGE, Cell, WantsCsv, every, stream_csv
from api.platform.envelope import ok
from api.platform.http import Cursor, Door, Limit, private_router
from api.platform.jwt import unauthenticated
from api.platform.scope import Scope
from api.platform.services import App, Caller
from api.timecards import service
from api.timecards.models import Timecard
from api.timecards.repository import Chosen, TimecardRepository
from playpark.clock import BusinessDate
from playpark.contracts.base import Envelope, IdStr, Page
from playpark.contracts.employees import Permission
from playpark.contracts.timecards import HoursRow, TimecardEvent, TimecardRequest, TimecardView

private = private_router("timecards")
From = Annotated[
    BusinessDate | None, Query(alias="from", description="first business date, by clock-in")
]
To = Annotated[BusinessDate | None, Query(alias="to", description="last business date")]
COLUMNS = (
    "timecard_id",
    "employee_id",
    "employee_name",
    "device_id",
    "business_date",
    "clock_in_at",
    "clock_out_at",
    "breaks",
    "worked_minutes",
    "break_minutes",
    "flags",
)


@private.post("/timecards/clock_in")
async def clock_in(door: Door, body: TimecardRequest) -> Envelope[TimecardView]:
    """The employee who is logged in begins to work."""
    return await door.perform(service.TIMECARD, body, event=TimecardEvent.CLOCK_IN.value)


@private.post("/timecards/clock_out")
async def clock_out(door: Door, body: TimecardRequest) -> Envelope[TimecardView]:
    """The employee who is logged in goes home; a break that is open ends too."""
    return await door.perform(service.TIMECARD, body, event=TimecardEvent.CLOCK_OUT.value)


@private.post("/timecards/break_start")
async def break_start(door: Door, body: TimecardRequest) -> Envelope[TimecardView]:
    """The employee who is logged in takes a break."""
    return await door.perform(service.TIMECARD, body, event=TimecardEvent.BREAK_START.value)


@private.post("/timecards/break_end")
async def break_end(door: Door, body: TimecardRequest) -> Envelope[TimecardView]:
    """The employee who is logged in comes back from a break."""
    return await door.perform(service.TIMECARD, body, event=TimecardEvent.BREAK_END.value)


@private.get("/timecards", response_model=Envelope[Page[TimecardView]], responses=CSV)
async def list_timecards(
    platform: App,
    scope: Caller,
    wants_csv: WantsCsv,
    *,
    employee_id: IdStr | None = None,
    first: From = None,
    last: To = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Envelope[Page[TimecardView]] | Response:
    """Timecards of the store, newest first: one's own, or everybody's with `reports_view` or
    `employee_manage`."""
    work = platform.uow.reading()
    cards = TimecardRepository.of(work, scope)
    service.check_days(first, last)
    chosen = Chosen(_whose(scope, employee_id), first, last)
    if wants_csv:
        found = every(lambda after: cards.listed(PAGE, after, chosen))
        return await stream_csv(COLUMNS, _cells(found, work.now))
    page, more = await cards.listed(limit, cursor, chosen)
    return ok(Page(items=[service.view(card, work.now) for card in page], next_cursor=more))


def _whose(scope: Scope, employee_id: str | None) -> str | None:
    """Whose cards may be listed: the one's who asks, or as asked. Raises E_PERMISSION."""
    if scope.actor is None:
        raise unauthenticated()
    if scope.may(Permission.REPORTS_VIEW) or scope.may(Permission.EMPLOYEE_MANAGE):
        return employee_id
    if employee_id not in {None, scope.actor.employee_id}:
        scope.require(Permission.REPORTS_VIEW)
    return scope.actor.employee_id


async def _cells(cards: AsyncIterator[Timecard], now: datetime) -> AsyncIterator[list[Cell]]:
    async for card in cards:
        told = service.view(card, now)
        cells = {
            **{name: getattr(told, name, None) for name in COLUMNS},
            "business_date": card.business_date,
            "breaks": len(told.breaks),
            "flags": " ".join(told.flags),
        }
        yield list(cells.values())


@private.get("/timecards/hours")
async def hours(
    platform: App,
    scope: Caller,
    first: Annotated[BusinessDate, Query(alias="from", description="first business date")],
    last: Annotated[BusinessDate, Query(alias="to", description="last business date")],
) -> Envelope[Page[HoursRow]]:
    """Hours worked between two business dates, an employee a row. Needs `reports_view`."""
    scope.require(Permission.REPORTS_VIEW)
    rows = await service.hours(platform.uow.reading(), scope, first, last)
    return ok(Page(items=rows))
