"""Who may change whom, and that a park keeps somebody who may (R40, R44)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from playpark.ids import new_ulid
from tests.api.own_park import OWNER, OwnPark, own_park
from tests.api.staffing import (
    OTHER_PARK,
    OTHER_PIN,
    PIN,
    LogIn,
    Office,
    answer,
    fresh_email,
    login_of,
    may,
    neighbour,
    office,
    refusal,
    tills,
)
from tests.conftest import running_api


@pytest.fixture(scope="module")
def park(mongo_uri: str, database: str) -> Iterator[OwnPark]:
    with own_park(mongo_uri, f"{database}_reach") as park:
        yield park


@pytest.fixture
async def owner(park: OwnPark) -> AsyncIterator[Office]:
    async with office(park) as found:
        yield found


@pytest.fixture
async def devices(park: OwnPark) -> AsyncIterator[LogIn]:
    async with tills(park) as log_in:
        yield log_in


# --- who may change whom ----------------------------------------------------------------


@pytest.fixture
async def manager(owner: Office, park: OwnPark) -> AsyncIterator[Office]:
    """Somebody who manages people and may do less than the owner."""
    hired = await owner.hire("manager")
    async with office(park, **login_of(hired)) as found:
        yield found


async def test_R40_nobody_gives_roles_with_more_than_they_have(
    owner: Office, manager: Office
) -> None:
    dao = await manager.hire("cashier")
    refused = await manager.put(dao, manager.place("owner"))
    error = refusal(refused, 403, "E_PERMISSION")
    assert "webhook_manage" in error["details"]["permissions"]
    body = {
        "name": "Sly",
        "email": fresh_email(),
        "pin": PIN,
        "memberships": [owner.place("owner")],
    }
    refusal(await manager.desk.call("POST", "/v1/employees", body), 403, "E_PERMISSION")
    assert owner.park.mongo["employees"].find_one({"email": body["email"]}) is None
    resting = await manager.put(dao, manager.place("owner", active=False))
    refusal(resting, 403, "E_PERMISSION")
    unchanged = await owner.desk.data("GET", f"/v1/employees/{dao['employee_id']}")
    assert unchanged["memberships"] == dao["memberships"]
    assert (await manager.put(dao, manager.place("manager", "gate"))).status_code == 200


async def test_R40_nobody_takes_from_those_who_may_do_more(
    owner: Office, manager: Office, devices: LogIn
) -> None:
    boss = await owner.hire("owner")
    (till,) = await devices(login_of(boss))
    path = f"/v1/employees/{boss['employee_id']}"
    for change in ({"status": "suspended"}, {"name": "Mouse"}, {"email": fresh_email()}):
        refusal(await manager.patch(boss, **change), 403, "E_PERMISSION")
    for body in ({}, {"pin": OTHER_PIN}):
        refusal(await manager.desk.call("POST", f"{path}/reset_pin", body), 403, "E_PERMISSION")
    for places in ((), [manager.place("cashier")], [manager.place("owner", active=False)]):
        refusal(await manager.put(boss, *places), 403, "E_PERMISSION")
    assert "webhook_manage" in await may(till)
    await owner.patch(boss, status="suspended")
    refusal(await manager.patch(boss, status="active"), 403, "E_PERMISSION")
    assert (await manager.put(boss, manager.place("owner"))).status_code == 200  # as it was


async def test_R40_roles_at_rest_count_too_for_they_come_back_with_one_word(
    owner: Office, manager: Office
) -> None:
    dao = await owner.hire("cashier")
    await owner.put(dao, owner.place("owner", active=False))
    refusal(await manager.put(dao, manager.place("owner")), 403, "E_PERMISSION")
    refusal(await manager.put(dao, manager.place("cashier")), 403, "E_PERMISSION")


async def test_R44_a_manager_reaches_the_people_and_memberships_of_their_own_stores_only(
    owner: Office, manager: Office
) -> None:
    elsewhere = await owner.second_store()
    theirs = await owner.hire("cashier", store_id=elsewhere.store_id)
    unknown = {"employee_id": new_ulid()}
    for method, rest, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "Mouse"}),
        ("POST", "/reset_pin", {}),
        ("PUT", "/memberships", {"memberships": []}),
    ):
        answers = [
            await manager.desk.call(method, f"/v1/employees/{each['employee_id']}{rest}", body)
            for each in (theirs, unknown)
        ]
        assert [each.status_code for each in answers] == [404, 404]
        assert answers[0].json()["error"] == answers[1].json()["error"]
    listed = await manager.desk.data("GET", "/v1/employees", limit=200)
    assert theirs["employee_id"] not in str(listed)
    dao = await owner.hire("cashier")
    there = owner.place("cashier", store_id=elsewhere.store_id)
    nowhere = owner.place("cashier", store_id=new_ulid())
    answers = [await manager.put(dao, each) for each in (there, nowhere)]
    assert [each.status_code for each in answers] == [404, 404]
    assert answers[0].json()["error"] == answers[1].json()["error"]

    await owner.put(dao, owner.place("cashier"), there)
    seen = await manager.put(dao, manager.place("gate"))
    assert [each["store_id"] for each in seen.json()["data"]["memberships"]] == [manager.home]
    read = await owner.desk.data("GET", f"/v1/employees/{dao['employee_id']}")
    roles = {each["store_id"]: each["roles"] for each in read["memberships"]}
    assert roles == {owner.home: ["gate"], elsewhere.store_id: ["cashier"]}
    # A new PIN would open the other store as well.
    path = f"/v1/employees/{dao['employee_id']}/reset_pin"
    refusal(await manager.desk.call("POST", path, {}), 403, "E_PERMISSION")
    refusal(await manager.patch(dao, status="suspended"), 403, "E_PERMISSION")


async def test_R44_at_a_till_a_manager_reaches_that_store_only(
    owner: Office, devices: LogIn
) -> None:
    elsewhere = await owner.second_store()
    dao = await owner.hire("cashier")
    (till,) = await devices(OWNER)
    body = {"memberships": [owner.place("cashier", store_id=elsewhere.store_id)]}
    path = f"/v1/employees/{dao['employee_id']}/memberships"
    refusal(await till.call("PUT", path, body), 404, "E_NOT_FOUND")
    body = {"memberships": [owner.place("gate")]}
    assert (await till.call("PUT", path, body)).status_code == 200


async def test_R44_the_owner_of_one_park_cannot_touch_the_people_of_another(
    owner: Office,
) -> None:
    async with neighbour(owner.park) as theirs:
        stranger = await theirs.hire()
        their_role = await theirs.role("sell")
        store = theirs.home
    before = owner.park.mongo["employees"].find_one({"_id": stranger["employee_id"]})
    for method, rest, body in (
        ("GET", "", None),
        ("PATCH", "", {"status": "suspended"}),
        ("POST", "/reset_pin", {"pin": OTHER_PIN}),
        ("PUT", "/memberships", {"memberships": [owner.place("cashier")]}),
    ):
        answers = [
            await owner.desk.call(method, f"/v1/employees/{each}{rest}", body)
            for each in (stranger["employee_id"], new_ulid())
        ]
        assert [each.status_code for each in answers] == [404, 404]
        assert answers[0].json()["error"] == answers[1].json()["error"]
    dao = await owner.hire("cashier")
    for place in (
        {"store_id": owner.home, "role_ids": [their_role]},
        {"store_id": store, "role_ids": []},
    ):
        refusal(await owner.put(dao, place), 404, "E_NOT_FOUND")
    listed = await owner.desk.data("GET", "/v1/employees", limit=200)
    assert stranger["employee_id"] not in str(listed)
    assert owner.park.mongo["employees"].find_one({"_id": stranger["employee_id"]}) == before


async def test_R40_people_are_managed_with_employee_manage_only(
    owner: Office, devices: LogIn
) -> None:
    dao = await owner.hire("cashier")
    (supervisor,) = await devices({"email": "supervisor@demo.playpark", "pin": "9999"})
    one = f"/v1/employees/{dao['employee_id']}"
    for method, path, body in (
        ("GET", "/v1/employees", None),
        ("POST", "/v1/employees", {}),
        ("GET", one, None),
        ("PATCH", one, {}),
        ("POST", f"{one}/reset_pin", {}),
        ("PUT", f"{one}/memberships", {}),
    ):
        refused = await supervisor.call(method, path, body)
        refusal(refused, 403, "E_PERMISSION")


# --- nobody saws off the branch ---------------------------------------------------------


async def test_nobody_suspends_themselves(manager: Office) -> None:
    me = await manager.desk.data("GET", "/v1/employees/me")
    refused = await manager.patch(me, status="suspended")
    assert "yourself" in refusal(refused, 403, "E_PERMISSION")["message"]
    assert (await answer(manager.desk))[0] == 200


async def test_the_last_manager_of_people_cannot_be_lost(park: OwnPark) -> None:
    otto = lone_manager(park)
    async with neighbour(park) as theirs:
        gone = await theirs.put(otto)
        assert "employees" in refusal(gone, 409, "E_CONFLICT")["message"]
        refusal(await theirs.put(otto, theirs.place()), 409, "E_CONFLICT")
        resting = theirs.place("cashier", active=False)
        refusal(await theirs.put(otto, resting), 409, "E_CONFLICT")
        assert "employee_manage" in await may(theirs.desk)
        second = await theirs.hire("cashier")
        assert (await theirs.put(otto, theirs.place())).status_code == 200
        assert (await answer(theirs.desk))[0] == 200
        assert await may(theirs.desk) == set()
        assert managers(park, otto["tenant_id"]) == {second["employee_id"]}


@pytest.fixture(scope="module")
def next_door(park: OwnPark, mongo_uri: str, database: str) -> Iterator[OwnPark]:
    """A second API process on the same database: no lock of the first one reaches it."""
    with running_api(mongo_uri, f"{database}_reach") as url:
        yield OwnPark(url, park.mongo)


@pytest.mark.parametrize("how", ["given up", "suspended", "suspended beside a third"])
async def test_of_two_who_lose_the_right_at_once_one_keeps_it(
    park: OwnPark, next_door: OwnPark, how: str
) -> None:
    """Each sees the other, who still has it: only the order of the two tells that one is last, or
    that the one who asks has just lost it."""
    for _ in range(3):
        otto = lone_manager(park)
        third = how.endswith("third")
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(neighbour(park))
            second = await first.hire("cashier")
            if third:
                await first.hire("cashier")
            login = login_of(second)
            other = await stack.enter_async_context(office(next_door, "DEMO-OTHER-PARK", **login))
            if how == "given up":
                race = (first.put(otto, first.place()), other.put(second, other.place()))
            else:
                race = (
                    first.patch(second, status="suspended"),
                    other.patch(otto, status="suspended"),
                )
            answers = await asyncio.gather(*race)
        codes = sorted(each.status_code for each in answers)
        allowed = ([200, 403],) if third else ([200, 403], [200, 409])
        assert codes in allowed, [each.text for each in answers]
        assert len(managers(park, otto["tenant_id"])) == 1 + third


def lone_manager(park: OwnPark) -> dict[str, Any]:
    """The cashier of the other park, with nobody beside them."""
    otto: dict[str, Any] = park.mongo["employees"].find_one({"email": OTHER_PARK["email"]})
    others = {"tenant_id": otto["tenant_id"], "_id": {"$ne": otto["_id"]}}
    park.mongo["employees"].update_many(others, {"$set": {"status": "suspended"}})
    park.mongo["employees"].update_one({"_id": otto["_id"]}, {"$set": {"status": "active"}})
    role = park.mongo["roles"].find_one({"tenant_id": otto["tenant_id"], "name": "cashier"})
    works = {"$set": {"roles": [role["_id"]], "active": True}}
    park.mongo["memberships"].update_one({"employee_id": otto["_id"]}, works)
    return otto | {"employee_id": otto["_id"]}


def managers(park: OwnPark, tenant_id: str) -> set[str]:
    tenant = {"tenant_id": tenant_id}
    roles = park.mongo["roles"].distinct("_id", tenant | {"permissions": "employee_manage"})
    held = {"roles": {"$in": roles}, "active": True}
    people = park.mongo["memberships"].distinct("employee_id", tenant | held)
    active = {"_id": {"$in": people}, "status": "active"}
    return set(park.mongo["employees"].distinct("_id", tenant | active))
