"""Queries on timecards."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from api.platform.csv import PAGE
from api.platform.repository import Repository
from api.timecards.hours import Punch
from api.timecards.models import CardState, Entry, Timecard
from playpark.contracts.timecards import TimecardEvent


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which cards: whose, and of which business dates, both included."""

    employee_id: str | None
    first: date | None
    last: date | None

    def conditions(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.employee_id is not None:
            found["employee_id"] = self.employee_id
        days = {"$gte": self.first, "$lte": self.last}
        if limits := {name: day.isoformat() for name, day in days.items() if day is not None}:
            found["business_date"] = limits
        return found


@dataclass(frozen=True, slots=True)
class Punches:
    """Of a card what hours are reckoned from."""

    employee_id: str
    employee_name: str
    entries: list[Punch]


class TimecardRepository(Repository[Timecard]):
    model = Timecard

    async def open_of(self, employee_id: str) -> Timecard | None:
        return await self.find_one(employee_id=employee_id, open=True)

    async def step(
        self, employee_id: str, entry: Entry, allowed: Collection[CardState], state: CardState
    ) -> Timecard | None:
        """Add an entry that changes the state of the employee's open card; None where it is in
        another state, or has a later entry."""
        changes = {"state": state, "open": state is not CardState.CLOSED, "last_at": entry.at}
        return await self.change(
            {"$set": changes, "$push": {"entries": entry.model_dump()}},
            employee_id=employee_id,
            open=True,
            state={"$in": sorted(allowed)},
            last_at={"$lte": entry.at},
        )

    async def note(self, card_id: str, entry: Entry) -> Timecard | None:
        """Add an entry that changes nothing else."""
        return await self.change({"$push": {"entries": entry.model_dump()}}, _id=card_id)

    async def ends_after(self, employee_id: str, moment: datetime) -> bool:
        """Whether a closed card of theirs reaches beyond this moment."""
        later = {"last_at": {"$gt": moment}}
        return await self.find_one(employee_id=employee_id, open=False, **later) is not None

    async def closed_at(self, employee_id: str, moment: datetime) -> bool:
        """Whether a closed card of theirs holds this moment."""
        begun, later = {"$lte": moment}, {"$gt": moment}
        found = await self.find_one(
            employee_id=employee_id, open=False, clock_in_at=begun, last_at=later
        )
        return found is not None

    async def touches_another(self, card: Timecard, until: datetime) -> bool:
        """Whether the card, ended then, has a moment in common with a closed one."""
        found = await self.find_one(
            employee_id=card.employee_id,
            open=False,
            clock_in_at={"$lt": until},
            last_at={"$gt": card.clock_in_at},
        )
        return found is not None

    async def listed(
        self, limit: int, cursor: str | None, chosen: Chosen
    ) -> tuple[list[Timecard], str | None]:
        """A page of the chosen cards, newest first."""
        return await self.page(limit, cursor, **chosen.conditions())

    async def punches(self, chosen: Chosen) -> AsyncIterator[Punches]:
        """The chosen cards by business date. A year of a large park has tens of thousands, so
        they are read in the order of their index and never become documents."""
        fields = ("employee_id", "employee_name", "entries.event", "entries.at", "entries.counted")
        found = self._collection.find(
            self.where(**chosen.conditions()), fields, session=self.work.session
        ).sort("business_date", 1)
        while cards := await found.to_list(PAGE):
            for card in cards:
                entries = [
                    Punch(TimecardEvent(each["event"]), each["at"], counted=each["counted"])
                    for each in card["entries"]
                ]
                yield Punches(card["employee_id"], card["employee_name"], entries)
