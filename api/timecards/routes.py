"""HTTP of timecards."""

from typing import Annotated

from fastapi import Query
from fastapi.responses import StreamingResponse

from api.platform.csv import CSV, Cell, Listing
from api.platform.envelope import ok
from api.platform.http import Door, private_router
from api.platform.permissions import needs, performs
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
PUNCH = performs(service.TIMECARD.rights)
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


@private.post("/timecards/clock_in", dependencies=PUNCH)
async def clock_in(door: Door, body: TimecardRequest) -> Envelope[TimecardView]:
    """The employee who is logged in begins to work."""
    return await door.perform(service.TIMECARD, body, event=TimecardEvent.CLOCK_IN.value)


@private.post("/timecards/clock_out", dependencies=PUNCH)
async def clock_out(door: Door, body: TimecardRequest) -> Envelope[TimecardView]:
    """The employee who is logged in goes home; a break that is open ends too."""
    return await door.perform(service.TIMECARD, body, event=TimecardEvent.CLOCK_OUT.value)


@private.post("/timecards/break_start", dependencies=PUNCH)
async def break_start(door: Door, body: TimecardRequest) -> Envelope[TimecardView]:
    """The employee who is logged in takes a break."""
    return await door.perform(service.TIMECARD, body, event=TimecardEvent.BREAK_START.value)


@private.post("/timecards/break_end", dependencies=PUNCH)
async def break_end(door: Door, body: TimecardRequest) -> Envelope[TimecardView]:
    """The employee who is logged in comes back from a break."""
    return await door.perform(service.TIMECARD, body, event=TimecardEvent.BREAK_END.value)


@private.get(
    "/timecards",
    response_model=Envelope[Page[TimecardView]],
    responses=CSV,
    dependencies=needs(person=True),
)
async def list_timecards(
    platform: App,
    scope: Caller,
    listing: Listing,
    *,
    employee_id: IdStr | None = None,
    first: From = None,
    last: To = None,
) -> Envelope[Page[TimecardView]] | StreamingResponse:
    """Timecards of the store, newest first: one's own, or everybody's with `reports_view` or
    `employee_manage`."""
    work = platform.uow.reading()
    cards = TimecardRepository.of(work, scope)
    service.check_days(first, last)
    chosen = Chosen(_whose(scope, employee_id), first, last)
    return await listing.answer(
        lambda limit, after: cards.listed(limit, after, chosen),
        lambda card: service.view(card, work.now),
        COLUMNS,
        _in_csv,
    )


def _whose(scope: Scope, employee_id: str | None) -> str | None:
    """Whose cards may be listed: the one's who asks, or as asked. Raises E_PERMISSION."""
    if scope.may(Permission.REPORTS_VIEW) or scope.may(Permission.EMPLOYEE_MANAGE):
        return employee_id
    if employee_id not in {None, scope.actor_id}:
        scope.require(Permission.REPORTS_VIEW)
    return scope.actor_id


def _in_csv(card: Timecard, told: TimecardView) -> dict[str, Cell]:
    return {"business_date": card.business_date, "breaks": len(told.breaks)}


@private.get("/timecards/hours", dependencies=needs(Permission.REPORTS_VIEW))
async def hours(
    platform: App,
    scope: Caller,
    first: Annotated[BusinessDate, Query(alias="from", description="first business date")],
    last: Annotated[BusinessDate, Query(alias="to", description="last business date")],
) -> Envelope[Page[HoursRow]]:
    """Hours worked between two business dates, an employee a row."""
    rows = await service.hours(platform.uow.reading(), scope, first, last)
    return ok(Page(items=rows))
