"""Timecards: one open card an employee, breaks inside it, and hours that add up (R15, R17, R30)."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from api.timecards.models import CardState, Entry, Timecard
from api.timecards.repository import TimecardRepository
from playpark.clock import business_date, park_zone
from playpark.contracts.timecards import TimecardEvent
from playpark.ids import new_ulid
from tests.api.drawers import SEQS
from tests.api.inside import Inside, inside
from tests.outside import CASHIER, Outsider

SUPERVISOR = {"email": "supervisor@demo.playpark", "pin": "9999"}
ZONE = park_zone(None)


@dataclass
class Clerk:
    """Somebody who works: events at times of a day some days ago, park time."""

    till: Outsider
    who: dict[str, str] = field(default_factory=lambda: CASHIER)
    days_ago: int = 2

    @property
    def day(self) -> date:
        return business_date(datetime.now(UTC), ZONE) - timedelta(days=self.days_ago)

    def at(self, clock: str) -> datetime:
        """`09:30` of that day in the park; `26:00` is two hours into the next."""
        hour, minute = clock.split(":")[:2]
        midnight = datetime.combine(self.day, datetime.min.time(), tzinfo=ZONE)
        seconds = int(clock.split(":")[2]) if clock.count(":") == 2 else 0
        return midnight + timedelta(hours=int(hour), minutes=int(minute), seconds=seconds)

    async def punch(
        self, event: str, clock: str | None = None, *, key: str | None = None
    ) -> httpx.Response:
        body = {"occurred_at": self.at(clock).isoformat()} if clock else {}
        return await self.till.call("POST", f"/v1/timecards/{event}", body, key=key or new_ulid())

    async def work(self, *events: tuple[str, str]) -> dict[str, Any]:
        """Punches all of them; the last answer."""
        card: dict[str, Any] = {}
        for event, clock in events:
            response = await self.punch(event, clock)
            assert response.status_code == 200, response.text
            card = response.json()["data"]
        return card

    async def refused(self, event: str, clock: str | None = None) -> str:
        """What a punch that does not fit is told."""
        response = await self.punch(event, clock)
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (409, "E_TIMECARD_OVERLAP"), error
        return str(error["message"])

    async def synced(self, event: str, clock: str, **more: Any) -> dict[str, Any]:
        """A punch that was made during an outage."""
        op = {
            "op_id": new_ulid(),
            "kind": "timecard",
            "seq": next(SEQS),
            "schema_version": 1,
            "employee_id": await self.me(),
            "committed": True,
            "occurred_at": self.at(clock).isoformat(),
            "body": {"event": event},
            **more,
        }
        batch = await self.till.data("POST", "/v1/sync/batch", {"epoch": 1, "ops": [op]})
        result: dict[str, Any] = batch["results"][0]
        return result

    async def me(self) -> str:
        return str((await self.till.data("GET", "/v1/employees/me"))["employee_id"])

    async def cards(self, **query: Any) -> list[dict[str, Any]]:
        page = await self.till.data("GET", "/v1/timecards", **query)
        items: list[dict[str, Any]] = page["items"]
        return items


async def hours(boss: Outsider, first: date, last: date) -> dict[str, tuple[int, int, int]]:
    query = {"from": first.isoformat(), "to": last.isoformat()}
    page = await boss.data("GET", "/v1/timecards/hours", **query)
    return {
        row["employee_name"]: (row["cards"], row["worked_minutes"], row["break_minutes"])
        for row in page["items"]
    }


@pytest.fixture
def no_cards(api_url: str, mongo_uri: str, database: str) -> None:
    with MongoClient(mongo_uri) as mongo:
        mongo[f"{database}_live"]["timecards"].delete_many({})


@pytest.fixture
def nok(till: Outsider, no_cards: None) -> Clerk:
    return Clerk(till)


@pytest.fixture
async def boss(outside: Outsider) -> Outsider:
    await outside.pair("POS")
    return await outside.staff(**SUPERVISOR)


# --- a day ------------------------------------------------------------------------------


async def test_a_day_with_a_break_is_one_card(nok: Clerk, boss: Outsider) -> None:
    card = await nok.work(
        ("clock_in", "09:00"),
        ("break_start", "12:00"),
        ("break_end", "12:45"),
        ("clock_out", "18:30"),
    )
    assert card["employee_name"] == "Nok"
    assert card["device_id"] == nok.till.device["device_id"]
    assert (card["worked_minutes"], card["break_minutes"]) == (525, 45)
    assert [set(each) for each in card["breaks"]] == [{"start_at", "end_at"}]
    assert card["flags"] == []
    assert datetime.fromisoformat(card["clock_in_at"]) == nok.at("09:00")
    assert datetime.fromisoformat(card["clock_out_at"]) == nok.at("18:30")
    assert await nok.cards() == [card]
    assert await hours(boss, nok.day, nok.day) == {"Nok": (1, 525, 45)}


async def test_going_home_ends_a_break_that_is_open(nok: Clerk) -> None:
    card = await nok.work(("clock_in", "09:00"), ("break_start", "12:00"), ("clock_out", "13:00"))
    assert (card["worked_minutes"], card["break_minutes"]) == (180, 60)
    assert card["breaks"][0]["end_at"] == card["clock_out_at"]


async def test_what_does_not_fit_is_refused_in_words_and_changes_nothing(nok: Clerk) -> None:
    for event in ("clock_out", "break_start", "break_end"):
        assert await nok.refused(event) == "You are not clocked in: clock in first."
    await nok.work(("clock_in", "09:00"))
    assert "clock out first" in await nok.refused("clock_in", "10:00")
    assert "not on a break" in await nok.refused("break_end", "10:00")
    assert "before the last entry" in await nok.refused("clock_out", "08:59")
    await nok.work(("break_start", "12:00"))
    assert "on a break already" in await nok.refused("break_start", "12:10")
    assert "before the last entry" in await nok.refused("break_end", "11:59")
    assert "clock out first" in await nok.refused("clock_in", "12:10")
    card = await nok.work(("clock_out", "13:00"))
    assert (card["worked_minutes"], card["break_minutes"], card["flags"]) == (180, 60, [])
    for inside_or_before in ("09:00", "12:59", "08:00"):
        assert "after its end" in await nok.refused("clock_in", inside_or_before)
    await nok.work(("clock_in", "13:00"), ("clock_out", "14:00"))
    assert len(await nok.cards()) == 2


async def test_two_employees_of_one_device_have_a_card_each(nok: Clerk) -> None:
    await nok.work(("clock_in", "09:00"))
    token = nok.till.token
    await nok.till.staff(email="cashier2@demo.playpark", pin="2222")
    card = await nok.work(("clock_in", "09:05"), ("clock_out", "10:00"))
    assert card["employee_name"] != "Nok"
    nok.till.token = token
    assert (await nok.work(("clock_out", "11:00")))["worked_minutes"] == 120


async def test_parallel_clock_ins_are_one_card(nok: Clerk, outside: Outsider) -> None:
    other = Clerk(await (await outside.pair("GATE")).staff())
    answers = await asyncio.gather(
        *(clerk.punch("clock_in") for clerk in (nok, other) for _ in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 15
    codes = {a.json()["error"]["code"] for a in answers if a.status_code == 409}
    assert codes == {"E_TIMECARD_OVERLAP"}
    assert len(await nok.cards()) == 1


async def test_parallel_clock_outs_end_the_card_once(nok: Clerk) -> None:
    await nok.work(("clock_in", "09:00"))
    answers = await asyncio.gather(*(nok.punch("clock_out", "17:00") for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7


async def test_a_card_is_somebodys(outside: Outsider, no_cards: None) -> None:
    clerk = Clerk(await outside.pair("POS"))
    response = await clerk.punch("clock_in")
    assert (response.status_code, response.json()["error"]["code"]) == (401, "E_UNAUTHENTICATED")
    assert (await outside.call("GET", "/v1/timecards")).status_code == 401


# --- once and for all -------------------------------------------------------------------


async def test_R15_a_repeated_punch_answers_as_the_first_time_whatever_came_later(
    nok: Clerk,
) -> None:
    events = ("clock_in", "break_start", "break_end", "clock_out")
    clocks = ("09:00", "12:00", "12:30", "17:00")
    keys = [new_ulid() for _ in events]
    punches = list(zip(events, clocks, keys, strict=True))
    first = [await nok.punch(event, clock, key=key) for event, clock, key in punches]
    again = [await nok.punch(event, clock, key=key) for event, clock, key in punches]
    assert [answer.json()["data"] for answer in again] == [a.json()["data"] for a in first]
    assert {answer.headers["Idempotent-Replayed"] for answer in again} == {"true"}
    assert [answer.json()["data"]["worked_minutes"] for answer in again] == [0, 180, 180, 450]
    other = await nok.punch("break_start", "12:00", key=keys[0])
    assert other.json()["error"]["code"] == "E_IDEMPOTENCY_MISMATCH"
    assert len(await nok.cards()) == 1


async def test_R15_both_doors_are_one_operation(nok: Clerk) -> None:
    key = new_ulid()
    direct = (await nok.punch("clock_in", "09:00", key=key)).json()["data"]
    body = {"event": "clock_in", "occurred_at": nok.at("09:00").isoformat()}
    result = await nok.synced("clock_in", "09:00", op_id=key, body=body)
    assert (result["status"], result["result"]) == ("duplicate", direct)


# --- outages ----------------------------------------------------------------------------


async def test_R17_a_committed_punch_that_does_not_fit_is_a_flag(nok: Clerk) -> None:
    await nok.work(("clock_in", "09:00"))
    early, then = next(SEQS), next(SEQS)  # made before, and late to arrive (R36)
    second = await nok.synced("clock_in", "10:00")
    assert second["status"] == "applied"
    assert second["result"]["flags"] == ["overlap"]
    assert datetime.fromisoformat(second["result"]["clock_in_at"]) == nok.at("09:00")
    not_on_break = await nok.synced("break_end", "11:00")
    assert not_on_break["result"]["breaks"] == []
    too_early = await nok.synced("break_start", "08:00", seq=early)
    assert datetime.fromisoformat(too_early["result"]["breaks"][0]["start_at"]) == nok.at("09:00")
    await nok.synced("break_end", "09:30", seq=then)
    card = (await nok.synced("clock_out", "17:00"))["result"]
    assert (card["worked_minutes"], card["break_minutes"]) == (450, 30)
    assert card["flags"] == ["overlap"]
    assert await nok.cards() == [card]


async def test_R17_a_committed_clock_out_without_a_card_is_kept_as_one_of_no_length(
    nok: Clerk, boss: Outsider
) -> None:
    stray = await nok.synced("clock_out", "17:00")
    assert stray["status"] == "applied"
    card = stray["result"]
    assert card["clock_in_at"] == card["clock_out_at"]
    assert (card["worked_minutes"], card["flags"]) == (0, ["overlap"])
    assert await hours(boss, nok.day, nok.day) == {"Nok": (1, 0, 0)}
    # It blocks nobody.
    assert (await nok.work(("clock_in", "18:00"), ("clock_out", "19:00")))["flags"] == []


async def test_R17_hours_of_overlapping_cards_count_once(nok: Clerk, boss: Outsider) -> None:
    await nok.work(("clock_in", "09:00"), ("break_start", "10:00"), ("break_end", "11:00"))
    await nok.work(("clock_out", "12:00"))
    second = await nok.synced("clock_in", "10:30")
    assert second["result"]["flags"] == ["overlap"]
    card = (await nok.synced("clock_out", "13:00"))["result"]
    assert (card["worked_minutes"], card["flags"]) == (150, ["overlap"])
    # 09:00-13:00 are 240 minutes, of which 10:00-10:30 were a break on every card.
    assert await hours(boss, nok.day, nok.day) == {"Nok": (2, 210, 30)}


async def test_R17_a_late_clock_in_is_flagged_once_its_card_reaches_over_another(
    nok: Clerk, boss: Outsider
) -> None:
    await nok.work(("clock_in", "10:00"), ("clock_out", "12:00"))
    late = await nok.synced("clock_in", "09:00")  # from a till that was offline
    assert late["result"]["flags"] == []
    card = await nok.work(("clock_out", "11:00"))
    assert (card["worked_minutes"], card["flags"]) == (120, ["overlap"])
    assert await hours(boss, nok.day, nok.day) == {"Nok": (2, 180, 0)}


async def test_hours_are_told_under_the_latest_name(
    nok: Clerk, boss: Outsider, mongo_uri: str, database: str
) -> None:
    card = await nok.work(("clock_in", "10:00"), ("clock_out", "12:00"))
    with MongoClient(mongo_uri) as mongo:
        cards = mongo[f"{database}_live"]["timecards"]
        stored = cards.find_one({"_id": card["timecard_id"]})
        for name, days in (("Ploy", -2), ("Noknoi", -1)):
            day = (nok.day + timedelta(days=days)).isoformat()
            older = {"_id": new_ulid(), "employee_name": name, "business_date": day}
            cards.insert_one({**(stored or {}), **older})
    assert await hours(boss, nok.day - timedelta(days=2), nok.day) == {"Nok": (3, 120, 0)}


async def test_cards_that_only_touch_do_not_overlap(nok: Clerk) -> None:
    await nok.work(("clock_in", "10:00"), ("clock_out", "12:00"))
    assert (await nok.synced("clock_in", "09:00"))["result"]["flags"] == []
    assert (await nok.work(("clock_out", "10:00")))["flags"] == []


async def test_R36_a_moved_clock_is_flagged_on_the_card(nok: Clerk) -> None:
    future = (datetime.now(UTC) + timedelta(hours=5)).isoformat()
    path, body = "/v1/timecards/clock_in", {"occurred_at": future}
    card = await nok.till.data("POST", path, body, key=new_ulid())
    assert card["flags"] == ["clock_clamped"]
    assert card["clock_in_at"] < future


async def test_R35_a_punch_of_nobody_known_is_rejected(nok: Clerk) -> None:
    result = await nok.synced("clock_in", "09:00", employee_id=new_ulid())
    assert (result["status"], result["code"]) == ("rejected", "E_UNAUTHENTICATED")
    assert await nok.cards() == []


async def test_R45_each_punch_is_audited(nok: Clerk, mongo_uri: str, database: str) -> None:
    card = await nok.work(("clock_in", "09:00"), ("clock_out", "10:00"))
    with MongoClient(mongo_uri) as mongo:
        rows = mongo[f"{database}_live"]["audits"].find({"entity_id": card["timecard_id"]})
        told = [row["event_type"] for row in rows.sort("seq", 1)]
    assert told == ["timecard.clock_in", "timecard.clock_out"]


# --- lists and hours --------------------------------------------------------------------


async def test_R30_a_night_belongs_to_the_business_date_on_which_it_began(
    nok: Clerk, boss: Outsider
) -> None:
    await nok.work(("clock_in", "20:00"), ("clock_out", "26:30"))  # until 02:30
    await nok.work(("clock_in", "27:00"), ("clock_out", "29:00"))  # 03:00, before the cutoff
    await nok.work(("clock_in", "29:30"), ("clock_out", "30:00"))  # 05:30, the next day
    following = nok.day + timedelta(days=1)
    assert await hours(boss, nok.day, nok.day) == {"Nok": (2, 510, 0)}
    assert await hours(boss, following, following) == {"Nok": (1, 30, 0)}
    assert await hours(boss, nok.day, following) == {"Nok": (3, 540, 0)}
    before = nok.day - timedelta(days=1)
    assert await hours(boss, before, before) == {}
    days = {"from": nok.day.isoformat(), "to": nok.day.isoformat()}
    assert [card["worked_minutes"] for card in await nok.cards(**days)] == [120, 390]
    assert len(await nok.cards(**{"from": following.isoformat()})) == 1


async def test_people_see_their_own_cards_and_supervisors_all(nok: Clerk, boss: Outsider) -> None:
    own = await nok.work(("clock_in", "09:00"), ("clock_out", "10:00"))
    theirs = await Clerk(boss, SUPERVISOR).work(("clock_in", "09:00"), ("clock_out", "11:00"))
    assert await nok.cards() == [own]
    assert await nok.cards(employee_id=own["employee_id"]) == [own]
    other = await nok.till.call("GET", "/v1/timecards", employee_id=theirs["employee_id"])
    assert (other.status_code, other.json()["error"]["code"]) == (403, "E_PERMISSION")
    assert await Clerk(boss).cards() == [theirs, own]
    assert await Clerk(boss).cards(employee_id=own["employee_id"]) == [own]
    days = {"from": "2026-01-01", "to": "2026-01-02"}
    assert (await nok.till.call("GET", "/v1/timecards/hours", **days)).status_code == 403


async def test_cards_stream_as_csv(nok: Clerk, boss: Outsider) -> None:
    await nok.work(("clock_in", "09:00"), ("break_start", "10:00"), ("clock_out", "10:30"))
    await Clerk(boss, SUPERVISOR).work(("clock_in", "09:00"), ("clock_out", "11:00"))
    for who, names in ((nok.till, ["Nok"]), (boss, ["Somchai", "Nok"])):
        response = await who.call("GET", "/v1/timecards", format="csv")
        rows = list(csv.DictReader(io.StringIO(response.text)))
        assert [row["employee_name"] for row in rows] == names
        assert rows[-1]["business_date"] == nok.day.isoformat()
        assert (rows[-1]["worked_minutes"], rows[-1]["break_minutes"]) == ("60", "30")
        assert rows[-1]["breaks"] == "1"


@pytest.mark.parametrize(
    "days",
    [
        {},
        {"from": "2026-02-01"},
        {"from": "2026-02-01", "to": "2026-01-31"},
        {"from": "2025-01-01", "to": "2026-01-02"},
        {"from": "0001-01-01", "to": "9999-12-31"},
        {"from": "yesterday", "to": "today"},
    ],
    ids=str,
)
async def test_R56_hours_are_of_two_days_at_most_a_year_apart(
    boss: Outsider, days: dict[str, str]
) -> None:
    response = await boss.call("GET", "/v1/timecards/hours", **days)
    assert (response.status_code, response.json()["error"]["code"]) == (422, "E_VALIDATION")


# --- the clock goes on ------------------------------------------------------------------


@pytest.fixture
async def park(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_timecards") as found:
        yield found


async def test_an_open_card_counts_until_now(park: Inside) -> None:
    clerk = Clerk(await (await park.device()).staff())
    await clerk.punch("clock_in")
    park.clock.advance(timedelta(minutes=50))
    assert [card["worked_minutes"] for card in await clerk.cards()] == [50]
    await clerk.punch("break_start")
    park.clock.advance(timedelta(minutes=9))
    (card,) = await clerk.cards()
    assert (card["worked_minutes"], card["break_minutes"]) == (50, 9)
    assert card["clock_out_at"] is None


async def test_a_card_steps_only_from_the_right_state_and_forward_in_time(park: Inside) -> None:
    clerk = Clerk(await (await park.device()).staff(email="cashier2@demo.playpark", pin="2222"))
    await clerk.punch("clock_in")
    cards = TimecardRepository.of(park.platform.uow.reading(), await park.scope(clerk.till))

    async def step(minutes_on: int, allowed: CardState) -> Timecard | None:
        at = park.clock.now() + timedelta(minutes=minutes_on)
        pause = Entry(op_key="till:op", event=TimecardEvent.BREAK_START, at=at)
        return await cards.step(await clerk.me(), pause, [allowed], CardState.ON_BREAK)

    assert await step(1, CardState.ON_BREAK) is None
    assert await step(-1, CardState.WORKING) is None
    assert await step(1, CardState.WORKING) is not None
