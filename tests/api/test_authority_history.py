"""What somebody did is judged by what they were allowed when they did it (R17, R35); and changes of
that meet logins (R43)."""

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from api.demo_park import demo_id
from api.identity import changes, history
from api.identity.proving import Told, prove
from api.identity.repository import EmployeeRepository, MembershipRepository
from api.identity.sessions import open_session
from api.platform.uow import Work
from playpark.contracts.employees import Permission
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid
from tests.api.inside import Inside, inside
from tests.api.own_park import OWNER
from tests.api.staffing import PIN, fresh_email, login_of
from tests.outside import CASHIER, Outsider

MINUTE = timedelta(minutes=1)
NOK, PLOY = demo_id("employee", "nok"), demo_id("employee", "ploy")
OTTO = demo_id("employee", "other-cashier")
PUNCHES = ("clock_in", "break_start", "break_end", "clock_out")


@dataclass
class Day:
    """A day in the park that can be moved on: the owner's desk, a till, and its batches."""

    park: Inside
    owner: Outsider
    till: Outsider
    store_id: str
    device_token: str
    roles: dict[str, str] = field(default_factory=dict)
    seq: int = 0

    def now(self) -> datetime:
        """A moment a minute from now; another minute passes after it."""
        self.park.clock.advance(MINUTE)
        moment = self.park.clock.now()
        self.park.clock.advance(MINUTE)
        return moment

    async def hire(self, *roles: str) -> dict[str, Any]:
        body = {
            "name": "Dao",
            "email": fresh_email(),
            "pin": PIN,
            "memberships": [self.place(*roles)],
        }
        hired: dict[str, Any] = await self.owner.data("POST", "/v1/employees", body)
        return hired

    def place(self, *roles: str, active: bool = True) -> dict[str, Any]:
        ids = [self.roles[name] for name in roles]
        return {"store_id": self.store_id, "role_ids": ids, "active": active}

    async def put(self, employee_id: str, *places: dict[str, Any]) -> None:
        path = f"/v1/employees/{employee_id}/memberships"
        await self.owner.data("PUT", path, {"memberships": list(places)})

    async def patch(self, employee_id: str, **fields: Any) -> None:
        await self.owner.data("PATCH", f"/v1/employees/{employee_id}", fields)

    async def log_in(self, **who: str) -> str:
        """Somebody logs in on the till; the device goes on by its own token."""
        self.till.token = self.device_token
        await self.till.staff(**who)
        token, self.till.token = self.till.token, self.device_token
        return token

    async def another_till(self) -> None:
        """What happens on one device is bounded by its neighbours (R36): a look at an earlier time
        takes a device that has done nothing since."""
        self.till = await self.park.device()
        self.device_token = self.till.token

    async def sync(
        self, kind: str, body: dict[str, Any], at: datetime, who: str, **more: Any
    ) -> dict[str, Any]:
        """What became of one operation that happened then."""
        self.seq += 1
        op = {
            "op_id": new_ulid(),
            "kind": kind,
            "seq": self.seq,
            "schema_version": 1,
            "committed": True,
            "occurred_at": at.isoformat(),
            "employee_id": who,
            "body": body,
            **more,
        }
        batch = {"epoch": 1, "ops": [op]}
        (result,) = (await self.till.data("POST", "/v1/sync/batch", batch))["results"]
        return dict(result)

    async def sale(self, at: datetime, who: str, **more: Any) -> dict[str, Any]:
        package = (await self.till.packages())["Carousel ride"]["package_id"]
        body = {
            "lines": [{"package_id": package, "qty": 1}],
            "payments": [{"method": "cash", "amount": 4_000, "tendered": 4_000}],
        }
        return await self.sync("sale", body, at, who, **more)

    async def flags(self, at: datetime, who: str) -> set[str]:
        """What a sale of theirs then is flagged with, besides having no shift."""
        result = await self.sale(at, who)
        assert result["status"] == "applied", result
        sale = result["result"]["sale"]
        assert sale["cashier_id"] == who
        return set(sale["flags"]) - {"no_shift"}


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_history") as park:
        yield park


@pytest.fixture
async def day(park: Inside) -> Day:
    """Time only goes on; everybody but Nok and Ploy is new."""
    owner = await (await park.device("ADMIN")).staff(**OWNER)
    till = await park.device()
    stores = (await owner.data("GET", "/v1/stores"))["items"]
    roles = (await owner.data("GET", "/v1/roles"))["items"]
    named = {each["name"]: each["role_id"] for each in roles}
    day = Day(park, owner, till, stores[0]["store_id"], till.token, named)
    day.now()
    return day


async def test_R35_the_punches_of_somebody_who_was_suspended_since_are_kept(day: Day) -> None:
    dao = (await day.hire("cashier"))["employee_id"]
    day.now()
    before = day.now()
    await day.patch(dao, status="suspended")
    day.now()
    after = day.now()
    results = [
        await day.sync("timecard", {"event": event}, at, dao)
        for event, at in zip(PUNCHES, (before, before + MINUTE / 2, after, after), strict=True)
    ]
    assert [each["status"] for each in results] == ["applied"] * 4, results
    flags = [set(each["result"]["flags"]) for each in results]
    assert flags == [set(), set(), {"employee_suspended"}, {"employee_suspended"}]
    assert {each["result"]["employee_id"] for each in results} == {dao}
    await day.another_till()
    assert await day.flags(before, dao) == set()
    assert await day.flags(after, dao) == {"employee_suspended", "not_permitted"}


async def test_R35_a_right_that_was_lost_since_is_not_held_against_anybody(day: Day) -> None:
    dao = await day.hire("cashier")
    who = dao["employee_id"]
    await day.log_in(**login_of(dao))
    before = day.now()
    await day.put(who, day.place("gate"))
    day.now()
    for here in (True, False):
        await day.another_till()
        day.till.token = await day.log_in(**login_of(dao))
        if not here:
            await day.till.data("POST", "/v1/auth/logout")
        day.till.token = day.device_token
        assert await day.flags(before, who) == set()
        assert await day.flags(day.now(), who) == {"not_permitted"}


async def test_R35_a_right_that_came_later_allows_nothing_that_was_before(day: Day) -> None:
    dao = await day.hire("gate")
    who = dao["employee_id"]
    before = day.now()
    await day.put(who, day.place("cashier"))
    day.now()
    assert await day.flags(before, who) == {"not_permitted"}
    await day.log_in(**login_of(dao))
    assert await day.flags(before, who) == {"not_permitted"}
    assert await day.flags(day.now(), who) == set()


async def test_R35_a_login_that_a_change_has_met_is_judged_by_its_history(day: Day) -> None:
    """The change is written into the login in place, with the moment from which it holds."""
    dao = await day.hire("gate")
    who = dao["employee_id"]
    await day.log_in(**login_of(dao))
    before = day.now()
    role = await day.owner.data("POST", "/v1/roles", {"name": "Seller", "permissions": ["sell"]})
    day.roles["Seller"] = role["role_id"]
    await day.put(who, day.place("Seller"))
    selling = day.now()
    await day.owner.data("PATCH", f"/v1/roles/{role['role_id']}", {"permissions": ["redeem"]})
    after = day.now()
    await day.owner.data("PATCH", f"/v1/roles/{role['role_id']}", {"name": "Gatekeeper"})
    renamed = day.now()
    assert await day.flags(before, who) == {"not_permitted"}
    assert await day.flags(selling, who) == set()
    assert await day.flags(after, who) == {"not_permitted"}
    assert await day.flags(renamed, who) == {"not_permitted"}


async def test_R35_who_was_no_member_yet_or_any_more_is_unknown_and_still_who_acted(
    day: Day,
) -> None:
    before = day.now()
    who = (await day.hire("cashier"))["employee_id"]
    working = day.now()
    await day.put(who)
    gone = day.now()
    await day.put(who, day.place("cashier"))
    back = day.now()
    unknown = {"unknown_employee", "not_permitted"}
    assert await day.flags(before, who) == unknown
    assert await day.flags(working, who) == set()
    assert await day.flags(gone, who) == unknown
    assert await day.flags(back, who) == set()
    await day.another_till()
    kept = await day.sync("timecard", {"event": "clock_in"}, gone, who)
    assert (kept["status"], kept["result"]["flags"]) == ("applied", ["unknown_employee"])
    assert kept["result"]["employee_id"] == who


@pytest.mark.parametrize("stranger", [OTTO, "01HZZZZZZZZZZZZZZZZZZZZZZZ"], ids=["theirs", "nobody"])
async def test_R35_somebody_of_another_park_is_nobody(day: Day, stranger: str) -> None:
    result = await day.sale(day.now(), stranger)
    sale = result["result"]["sale"]
    assert sale["cashier_id"] is None
    assert set(sale["flags"]) == {"unknown_employee", "not_permitted", "no_shift"}


async def test_R35_who_has_no_history_counts_as_having_always_had_what_they_have(
    day: Day,
) -> None:
    rows = day.park.platform.mongo.collection("authority_history")
    long_ago = day.now() - timedelta(hours=71)
    assert await day.flags(long_ago, NOK) == set()
    assert await rows.count_documents({"employee_id": NOK}) == 0
    await day.patch(NOK, status="suspended")
    suspended = day.now()
    await day.patch(NOK, status="active", name="Nok Jai")
    day.now()
    stored = await rows.find({"employee_id": NOK}).sort("at", 1).to_list(None)
    assert [row["status"] for row in stored] == ["active", "suspended", "active"]
    assert {tuple(row["roles"]) for row in stored} == {("cashier",)}
    assert stored[0]["at"] == history.ALWAYS
    await day.another_till()
    assert await day.flags(long_ago, NOK) == set()
    assert await day.flags(suspended, NOK) == {"employee_suspended", "not_permitted"}
    await day.another_till()
    await day.log_in(**CASHIER)
    assert await day.flags(long_ago, NOK) == set()
    assert await day.flags(suspended, NOK) == {"employee_suspended", "not_permitted"}
    assert await day.flags(day.now(), NOK) == set()


async def test_R17_what_is_not_committed_is_judged_by_the_present_whatever_time_it_tells(
    day: Day,
) -> None:
    """Its time is the client's to choose: a right that is gone must not come back with it."""
    dao = await day.hire("supervisor")
    who = dao["employee_id"]
    await day.log_in(**login_of(dao))
    before = day.now()
    await day.put(who, day.place("gate"))
    day.now()
    refused = await day.sale(before, who, committed=False)
    assert (refused["status"], refused["code"]) == ("rejected", "E_PERMISSION")
    granted = await day.sale(before, who)
    assert granted["status"] == "applied"
    await day.patch(who, status="suspended")
    refused = await day.sale(before, who, committed=False)
    assert (refused["status"], refused["code"]) == ("rejected", "E_PERMISSION")


async def test_R35_a_row_stands_for_each_change_and_for_nothing_else(day: Day) -> None:
    dao = await day.hire("cashier")
    who = dao["employee_id"]
    await day.patch(who, name="Dao Suwan", email=fresh_email())
    await day.put(who, day.place("cashier"))
    await day.owner.data("POST", f"/v1/employees/{who}/reset_pin", {})
    await day.owner.data("PATCH", f"/v1/roles/{day.roles['gate']}", {"permissions": ["redeem"]})
    rows = day.park.platform.mongo.collection("authority_history")
    (first,) = await rows.find({"employee_id": who}).to_list(None)
    assert (first["status"], first["roles"], first["store_id"]) == (
        "active",
        ["cashier"],
        day.store_id,
    )
    refused = await day.owner.call(
        "PUT",
        f"/v1/employees/{who}/memberships",
        {"memberships": [day.place("gate"), {"store_id": new_ulid(), "role_ids": []}]},
    )
    assert refused.status_code == 404
    assert await rows.find({"employee_id": who}).to_list(None) == [first]


async def test_R35_changes_of_one_moment_keep_their_order(day: Day) -> None:
    """The clock stands still: a row's moment is later than that of the one before all the same."""
    who = (await day.hire("cashier"))["employee_id"]
    for name in ("gate", "supervisor", "gate", "cashier"):
        await day.put(who, day.place(name))
    rows = day.park.platform.mongo.collection("authority_history")
    stored = await rows.find({"employee_id": who}).sort("at", 1).to_list(None)
    assert [row["roles"] for row in stored] == [
        [name] for name in ("cashier", "gate", "supervisor", "gate", "cashier")
    ]
    assert [row["turn"] for row in stored] == sorted({row["turn"] for row in stored})
    assert len({row["at"] for row in stored}) == 5


async def test_R35_at_every_moment_of_a_long_day_history_says_what_was_true(day: Day) -> None:
    """Forty changes in any order, then each moment between them is asked for again."""
    dice = random.Random(4711)
    role = await day.owner.data("POST", "/v1/roles", {"name": "Odd jobs", "permissions": ["sell"]})
    day.roles["Odd jobs"] = role["role_id"]
    people = [(await day.hire("Odd jobs"))["employee_id"] for _ in range(2)] + [PLOY]
    path = f"/v1/roles/{role['role_id']}"

    async def change() -> None:
        who = dice.choice(people)
        what = dice.randrange(4)
        if what == 0:
            permissions = dice.sample(["sell", "redeem", "refund"], dice.randrange(4))
            await day.owner.data("PATCH", path, {"permissions": permissions})
        elif what == 1:
            await day.patch(who, status=dice.choice(["active", "suspended"]))
        elif what == 2:
            roles = dice.sample(["Odd jobs", "gate", "cashier"], dice.randrange(3))
            await day.put(who, day.place(*roles, active=dice.random() < 0.8))
        else:
            await day.put(who)

    seen = []
    for number in range(40):
        if number % 5 == 0:
            await day.owner.data("POST", "/v1/auth/step_up", {"pin": OWNER["pin"]})
        await change()
        moment = day.now()
        seen += [(moment, who, await authority(day, who, moment, now=True)) for who in people]
    for moment, who, then in seen:
        assert await authority(day, who, moment) == then
    assert len({str(then) for *_, then in seen}) > 5


# --- a login and a change that meet (R43) ------------------------------------------------


async def test_R43_a_login_that_began_before_a_change_says_what_is_true_after_it(day: Day) -> None:
    """The change is committed between the login's first read and its writing: it starts again."""
    dao = await day.hire("supervisor")
    who, platform = dao["employee_id"], day.park.platform
    scope = (await day.park.scope(day.till)).acting_as(None)
    told = Told(who, None, PIN)
    proof = await prove(platform, scope, told, failure="employee.login_failed")
    tries = 0

    async def meanwhile(work: Work) -> None:
        nonlocal tries
        tries += 1
        await EmployeeRepository.of(work, scope).find_one(_id=who)
        if tries == 1:
            await day.put(who, day.place("gate"))

    session = await open_session(platform, scope, proof, also=meanwhile)
    assert session.employee.permissions == [Permission.REDEEM]
    day.till.token = session.access_token
    assert (await day.till.data("GET", "/v1/employees/me"))["roles"] == ["gate"]
    assert tries == 2


async def test_R43_a_change_that_began_before_a_login_reaches_it_too(day: Day) -> None:
    dao = await day.hire("supervisor")
    who, platform = dao["employee_id"], day.park.platform
    scope = await day.park.scope(day.owner)
    opened: list[str] = []

    async def effect(work: Work) -> None:
        change = await changes.begin(work, scope, (who,))
        members = MembershipRepository.of(work, scope)
        roles = {"$set": {"roles": [day.roles["gate"]]}}
        await members.update_one(roles, employee_id=who)
        if not opened:
            opened.append(await day.log_in(**login_of(dao)))
        await change.settle()

    await changes.in_turn(platform, scope, effect)
    day.till.token = opened[0]
    assert (await day.till.data("GET", "/v1/employees/me"))["roles"] == ["gate"]


async def test_R43_a_pin_that_is_replaced_while_it_is_checked_opens_nothing(day: Day) -> None:
    dao = await day.hire("cashier")
    scope = (await day.park.scope(day.till)).acting_as(None)
    platform, told = day.park.platform, Told(dao["employee_id"], None, PIN)
    proof = await prove(platform, scope, told, failure="employee.login_failed")
    await day.owner.data("POST", f"/v1/employees/{dao['employee_id']}/reset_pin", {})
    with pytest.raises(PlayParkError) as refused:
        await open_session(platform, scope, proof)
    assert refused.value.code is ErrorCode.TOKEN_EXPIRED


# --- what was true ----------------------------------------------------------------------


async def authority(
    day: Day, who: str, moment: datetime, *, now: bool = False
) -> tuple[set[str], tuple[str, ...]]:
    """What somebody may do and the flags, from history; with `now` from what is stored."""
    if now:
        db = day.park.platform.mongo.collection
        person = await db("employees").find_one({"_id": who})
        member = await db("memberships").find_one({"employee_id": who, "active": True})
        if member is None:
            return set(), ("unknown_employee",)
        if person["status"] != "active":
            return set(), ("employee_suspended",)
        roles = await db("roles").find({"_id": {"$in": member["roles"]}}).to_list(None)
        return {each for role in roles for each in role["permissions"]}, ()
    scope = await day.park.scope(day.till)
    work = day.park.platform.uow.reading()
    actor, flags = await history.acting_at(work, scope, who, moment)
    assert actor is not None
    assert actor.employee_id == who
    return {each.value for each in actor.permissions}, flags
