"""Managing people: what a change does to their logins, and who may change whom (R40–R44)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

import pytest

from playpark.ids import new_ulid
from tests.api.own_park import OWNER, OwnPark, own_park
from tests.api.staffing import (
    OTHER_PARK,
    OTHER_PIN,
    PIN,
    Office,
    answer,
    fresh_email,
    login_of,
    may,
    office,
)
from tests.conftest import running_api
from tests.outside import CASHIER, Outsider

CASHIER_MAY = {"sell", "redeem", "shift_open", "shift_close", "cash_movement"}


@pytest.fixture(scope="module")
def park(mongo_uri: str, database: str) -> Iterator[OwnPark]:
    with own_park(mongo_uri, f"{database}_employees") as park:
        yield park


@pytest.fixture
async def owner(park: OwnPark) -> AsyncIterator[Office]:
    async with office(park) as found:
        yield found


@pytest.fixture
async def devices(park: OwnPark) -> AsyncIterator[Any]:
    """devices(login, …): a till for each, with that person logged in."""
    async with AsyncExitStack() as stack:

        async def log_in(*logins: dict[str, str], kind: str = "POS") -> list[Outsider]:
            each = (stack.enter_async_context(park.connect(kind, **who)) for who in logins)
            return [await one for one in each]

        yield log_in


async def refusal(response: Any, status: int, code: str) -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    return error


# --- hiring and looking up --------------------------------------------------------------


async def test_R40_a_new_employee_logs_in_with_the_roles_that_they_were_given(
    owner: Office, devices: Any
) -> None:
    dao = await owner.hire("cashier", "gate")
    (till,) = await devices(login_of(dao))
    assert await may(till) == CASHIER_MAY
    (place,) = dao["memberships"]
    assert (place["store_id"], place["active"]) == (owner.home, True)
    assert sorted(place["roles"]) == ["cashier", "gate"]
    assert dao["generated_pin"] is None
    read = await owner.desk.data("GET", f"/v1/employees/{dao['employee_id']}")
    assert read["last_login_at"] is not None
    same = {"last_login_at", "generated_pin"}
    assert {k: v for k, v in read.items() if k not in same} == {
        k: v for k, v in dao.items() if k not in same
    }


async def test_a_pin_that_the_server_makes_up_is_shown_once_and_stored_nowhere(
    owner: Office, devices: Any
) -> None:
    dao = await owner.hire("cashier", pin=None)
    pin = dao["generated_pin"]
    assert len(pin) == 6
    (till,) = await devices(login_of(dao, pin))
    assert await may(till) == CASHIER_MAY
    again = await owner.desk.data("POST", f"/v1/employees/{dao['employee_id']}/reset_pin", {})
    assert again["generated_pin"] not in {None, pin}
    told = (await owner.desk.call("GET", f"/v1/employees/{dao['employee_id']}")).text
    stored = str([list(owner.park.mongo[name].find()) for name in ("employees", "audits")])
    for secret in (pin, again["generated_pin"]):
        assert secret not in told + stored


@pytest.mark.parametrize(
    "weak", ["0000", "1111", "1234", "4321", "0123", "7890", "1212", "1122", "2580", "123123"]
)
async def test_a_pin_that_a_thief_tries_first_is_refused(owner: Office, weak: str) -> None:
    body = {"name": "Dao", "email": fresh_email(), "pin": weak}
    hired = await owner.desk.call("POST", "/v1/employees", body)
    await refusal(hired, 422, "E_VALIDATION")
    assert weak not in hired.text.replace(hired.json()["request_id"], "")
    nok = owner.park.mongo["employees"].find_one({"email": CASHIER["email"]})
    path = f"/v1/employees/{nok['_id']}/reset_pin"
    await refusal(await owner.desk.call("POST", path, {"pin": weak}), 422, "E_VALIDATION")


async def test_a_list_is_filtered_by_the_beginning_of_the_name_status_and_store(
    owner: Office,
) -> None:
    mark = new_ulid()
    first = await owner.hire("cashier", name=f"{mark} Anong")
    second = await owner.hire("cashier", name=f"{mark} (Bo.b)")
    await owner.patch(second, status="suspended")
    elsewhere = await owner.second_store()
    third = await owner.hire("gate", name=f"{mark} Chai", store_id=elsewhere.store_id)

    async def names(**query: Any) -> list[str]:
        page = await owner.desk.data("GET", "/v1/employees", **query)
        return [each["employee_id"] for each in page["items"]]

    everybody = [each["employee_id"] for each in (third, second, first)]
    assert await names(q=mark) == everybody
    assert await names(q=mark.lower()) == everybody
    assert await names(q=f"{mark} (bo.B") == [second["employee_id"]]
    assert await names(q=f"{mark} .*") == await names(q="Anong") == await names(q=".*") == []
    assert await names(q=mark, status="suspended") == [second["employee_id"]]
    assert await names(q=mark, status="active") == [third["employee_id"], first["employee_id"]]
    assert await names(q=mark, store_id=elsewhere.store_id) == [third["employee_id"]]
    assert await names(q=mark, store_id=owner.home) == [
        second["employee_id"],
        first["employee_id"],
    ]
    page = await owner.desk.data("GET", "/v1/employees", q=mark, limit=2)
    rest = await owner.desk.data(
        "GET", "/v1/employees", q=mark, limit=2, cursor=page["next_cursor"]
    )
    assert [each["employee_id"] for each in (*page["items"], *rest["items"])] == everybody
    assert rest["next_cursor"] is None


@pytest.mark.parametrize("odd", ["a\x00b", "\n", "x" * 81])
async def test_a_search_with_what_no_name_has_is_refused(owner: Office, odd: str) -> None:
    refused = await owner.desk.call("GET", "/v1/employees", q=odd)
    await refusal(refused, 422, "E_VALIDATION")


@pytest.mark.parametrize("odd", ["(", "[a-", "(a+)+$", "\\", "$where", "*", "ก", "\udfff", "{$ne"])
async def test_a_search_is_never_a_pattern(owner: Office, odd: str) -> None:
    safe = odd.encode("utf-8", "replace").decode()
    page = await owner.desk.data("GET", "/v1/employees", q=safe)
    assert page["items"] == []


async def test_an_email_address_is_taken_once_in_a_park_and_free_in_another(
    owner: Office,
) -> None:
    email = fresh_email()
    bodies = [{"name": f"Dao {n}", "email": email.upper(), "pin": PIN} for n in range(10)]
    answers = await asyncio.gather(
        *(owner.desk.call("POST", "/v1/employees", body) for body in bodies)
    )
    assert sorted(each.status_code for each in answers) == [200] + [409] * 9
    other = await owner.hire("cashier")
    taken = await owner.patch(other, email=email)
    assert "e-mail" in (await refusal(taken, 409, "E_CONFLICT"))["message"]
    async with neighbour(owner.park) as theirs:
        hired = await theirs.hire(email=email)
    stored = list(owner.park.mongo["employees"].find({"email": email}))
    assert len({each["tenant_id"] for each in stored}) == len(stored) == 2
    assert hired["email"] == email


def neighbour(park: OwnPark) -> Any:
    """The other park, whose cashier is made a manager of people."""
    otto = park.mongo["employees"].find_one({"email": OTHER_PARK["email"]})
    held = park.mongo["memberships"].find_one({"employee_id": otto["_id"]})
    park.mongo["roles"].update_one(
        {"_id": held["roles"][0]}, {"$addToSet": {"permissions": "employee_manage"}}
    )
    return office(park, "DEMO-OTHER-PARK", **OTHER_PARK)


# --- on the very next request (R43) -----------------------------------------------------


async def test_R43_a_suspension_bites_on_two_devices_at_once_and_taking_back_asks_for_the_pin(
    owner: Office, devices: Any
) -> None:
    dao = await owner.hire("cashier")
    tills = await devices(login_of(dao), login_of(dao))
    (bystander,) = await devices(CASHIER)
    await owner.patch(dao, status="suspended")
    for till in tills:
        assert await answer(till) == (403, "E_EMPLOYEE_SUSPENDED")
        assert await answer(till, "/v1/shifts/current") == (403, "E_EMPLOYEE_SUSPENDED")
    assert (await answer(bystander))[0] == 200
    (fresh,) = await devices({**CASHIER})
    login = await fresh.call("POST", "/v1/employees/login", login_of(dao))
    await refusal(login, 403, "E_EMPLOYEE_SUSPENDED")
    await owner.patch(dao, status="active")
    for till in tills:
        assert (await answer(till))[0] == 401
    (again,) = await devices(login_of(dao))
    assert await may(again) == CASHIER_MAY


async def test_R43_a_new_pin_ends_every_login_and_forgets_what_was_tried(
    owner: Office, devices: Any
) -> None:
    dao = await owner.hire("cashier")
    first, second = await devices(login_of(dao), login_of(dao))
    (third,) = await devices(CASHIER)
    session = await third.data("POST", "/v1/employees/login", login_of(dao))
    for _ in range(5):
        await third.call("POST", "/v1/employees/login", login_of(dao, "0001"))
    locked = await third.call("POST", "/v1/employees/login", login_of(dao))
    await refusal(locked, 429, "E_PIN_LOCKED")
    path = f"/v1/employees/{dao['employee_id']}/reset_pin"
    assert await owner.desk.data("POST", path, {"pin": OTHER_PIN}) == {
        "employee_id": dao["employee_id"],
        "generated_pin": None,
    }
    for till in (first, second):
        assert (await answer(till))[0] == 401
    refreshed = {"refresh_token": session["refresh_token"]}
    assert (await third.call("POST", "/v1/auth/refresh", refreshed)).status_code == 401
    old = await third.call("POST", "/v1/employees/login", login_of(dao))
    await refusal(old, 401, "E_UNAUTHENTICATED")
    await third.data("POST", "/v1/employees/login", login_of(dao, OTHER_PIN))


async def test_R43_a_new_pin_of_somebody_suspended_does_not_let_them_in(
    owner: Office, devices: Any
) -> None:
    dao = await owner.hire("cashier")
    (till,) = await devices(login_of(dao))
    await owner.patch(dao, status="suspended")
    await owner.desk.data("POST", f"/v1/employees/{dao['employee_id']}/reset_pin", {})
    assert await answer(till) == (403, "E_EMPLOYEE_SUSPENDED")


async def test_R43_other_roles_act_in_place_on_two_devices_at_once(
    owner: Office, devices: Any
) -> None:
    dao = await owner.hire("cashier")
    tills = await devices(login_of(dao), login_of(dao))
    changed = await owner.put(dao, owner.place("supervisor"))
    assert changed.json()["data"]["memberships"][0]["roles"] == ["supervisor"]
    for till in tills:
        assert {"refund", "approve"} <= await may(till)
        assert (await till.data("GET", "/v1/employees/me"))["roles"] == ["supervisor"]
    await owner.put(dao, owner.place())
    for till in tills:
        assert await may(till) == set()
        refused = await till.call("POST", "/v1/shifts/open", {"cash_open": 0}, key=new_ulid())
        await refusal(refused, 403, "E_PERMISSION")


@pytest.mark.parametrize("how", ["left out", "at rest"])
async def test_R43_a_lost_membership_ends_the_logins_in_that_store(
    owner: Office, devices: Any, how: str
) -> None:
    dao = await owner.hire("cashier")
    tills = await devices(login_of(dao), login_of(dao))
    places = [] if how == "left out" else [owner.place("cashier", active=False)]
    await owner.put(dao, *places)
    for till in tills:
        assert (await answer(till))[0] == 401
    refused = await tills[0].call("POST", "/v1/employees/login", login_of(dao))
    assert refused.status_code == 401
    await owner.put(dao, owner.place("cashier"))
    (back,) = await devices(login_of(dao))
    assert await may(back) == CASHIER_MAY


async def test_R43_a_new_name_shows_in_every_login_and_ends_none(
    owner: Office, devices: Any
) -> None:
    dao = await owner.hire("cashier")
    tills = await devices(login_of(dao), login_of(dao))
    email = fresh_email()
    told = await owner.patch(dao, name="Dao Suwan", email=email)
    assert (told.json()["data"]["name"], told.json()["data"]["email"]) == ("Dao Suwan", email)
    for till in tills:
        assert (await till.data("GET", "/v1/employees/me"))["name"] == "Dao Suwan"
    (again,) = await devices({"email": email, "pin": PIN})
    assert await may(again) == CASHIER_MAY


async def test_R44_the_stores_of_a_login_on_an_admin_device_follow_at_once(
    owner: Office, devices: Any
) -> None:
    elsewhere = await owner.second_store()
    dao = await owner.hire("cashier")
    desks = await devices(login_of(dao), login_of(dao), kind="ADMIN")
    for desk in desks:
        lost = await desk.call("GET", "/v1/employees/me", store_id=elsewhere.store_id)
        await refusal(lost, 404, "E_NOT_FOUND")
    there = owner.place("supervisor", store_id=elsewhere.store_id)
    await owner.put(dao, owner.place("cashier"), there)
    for desk in desks:
        assert "refund" in await may(desk, store_id=elsewhere.store_id)
        assert await may(desk) == CASHIER_MAY
    await owner.put(dao, owner.place("cashier"), there | {"role_ids": [owner.roles["gate"]]})
    for desk in desks:
        assert await may(desk, store_id=elsewhere.store_id) == {"redeem"}
    await owner.put(dao, owner.place("cashier"))
    for desk in desks:
        lost = await desk.call("GET", "/v1/employees/me", store_id=elsewhere.store_id)
        await refusal(lost, 404, "E_NOT_FOUND")
        assert await may(desk) == CASHIER_MAY


async def test_R43_a_login_and_a_change_that_meet_leave_no_login_with_what_was_before(
    owner: Office, devices: Any
) -> None:
    """Whichever is first: the login that stands afterwards says what is true."""
    dao = await owner.hire("cashier")
    (till,) = await devices(CASHIER)
    device_token = till.token
    for round_ in range(4):
        role, permission = (("supervisor", "refund"), ("cashier", ""))[round_ % 2]
        till.token = device_token
        login, _ = await asyncio.gather(
            till.call("POST", "/v1/employees/login", login_of(dao)),
            owner.put(dao, owner.place(role)),
        )
        till.token = login.json()["data"]["access_token"]
        assert ("refund" in await may(till)) is (permission == "refund")


async def test_R43_a_login_and_a_new_pin_that_meet_leave_no_login_by_the_old_one(
    owner: Office, devices: Any
) -> None:
    dao = await owner.hire("cashier")
    tills = await devices(*[CASHIER] * 3)
    path, pins = f"/v1/employees/{dao['employee_id']}/reset_pin", (PIN, OTHER_PIN)
    for round_ in range(4):
        old, new = pins[round_ % 2], pins[(round_ + 1) % 2]
        *logins, _ = await asyncio.gather(
            *(till.call("POST", "/v1/employees/login", login_of(dao, old)) for till in tills),
            owner.desk.data("POST", path, {"pin": new}),
        )
        opened = [each.json()["data"] for each in logins if each.status_code == 200]
        for session in opened:
            meanwhile = Outsider(tills[0].http, token=session["access_token"])
            assert (await answer(meanwhile))[0] == 401


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
    error = await refusal(refused, 403, "E_PERMISSION")
    assert "webhook_manage" in error["details"]["permissions"]
    body = {
        "name": "Sly",
        "email": fresh_email(),
        "pin": PIN,
        "memberships": [owner.place("owner")],
    }
    await refusal(await manager.desk.call("POST", "/v1/employees", body), 403, "E_PERMISSION")
    assert owner.park.mongo["employees"].find_one({"email": body["email"]}) is None
    resting = await manager.put(dao, manager.place("owner", active=False))
    await refusal(resting, 403, "E_PERMISSION")
    unchanged = await owner.desk.data("GET", f"/v1/employees/{dao['employee_id']}")
    assert unchanged["memberships"] == dao["memberships"]
    assert (await manager.put(dao, manager.place("manager", "gate"))).status_code == 200


async def test_R40_nobody_takes_from_those_who_may_do_more(
    owner: Office, manager: Office, devices: Any
) -> None:
    boss = await owner.hire("owner")
    (till,) = await devices(login_of(boss))
    path = f"/v1/employees/{boss['employee_id']}"
    for change in ({"status": "suspended"}, {"name": "Mouse"}, {"email": fresh_email()}):
        await refusal(await manager.patch(boss, **change), 403, "E_PERMISSION")
    for body in ({}, {"pin": OTHER_PIN}):
        await refusal(
            await manager.desk.call("POST", f"{path}/reset_pin", body), 403, "E_PERMISSION"
        )
    for places in ((), [manager.place("cashier")], [manager.place("owner", active=False)]):
        await refusal(await manager.put(boss, *places), 403, "E_PERMISSION")
    assert "webhook_manage" in await may(till)
    await owner.patch(boss, status="suspended")
    await refusal(await manager.patch(boss, status="active"), 403, "E_PERMISSION")
    assert (await manager.put(boss, manager.place("owner"))).status_code == 200  # as it was


async def test_R40_roles_at_rest_count_too_for_they_come_back_with_one_word(
    owner: Office, manager: Office
) -> None:
    dao = await owner.hire("cashier")
    await owner.put(dao, owner.place("owner", active=False))
    await refusal(await manager.put(dao, manager.place("owner")), 403, "E_PERMISSION")
    await refusal(await manager.put(dao, manager.place("cashier")), 403, "E_PERMISSION")


async def test_R44_a_manager_reaches_the_people_and_memberships_of_their_own_stores_only(
    owner: Office, manager: Office, devices: Any
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
    await refusal(await manager.desk.call("POST", path, {}), 403, "E_PERMISSION")
    await refusal(await manager.patch(dao, status="suspended"), 403, "E_PERMISSION")


async def test_R44_at_a_till_a_manager_reaches_that_store_only(
    owner: Office, devices: Any, park: OwnPark
) -> None:
    elsewhere = await owner.second_store()
    dao = await owner.hire("cashier")
    (till,) = await devices(OWNER)
    body = {"memberships": [owner.place("cashier", store_id=elsewhere.store_id)]}
    path = f"/v1/employees/{dao['employee_id']}/memberships"
    await refusal(await till.call("PUT", path, body), 404, "E_NOT_FOUND")
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
        await refusal(await owner.put(dao, place), 404, "E_NOT_FOUND")
    listed = await owner.desk.data("GET", "/v1/employees", limit=200)
    assert stranger["employee_id"] not in str(listed)
    assert owner.park.mongo["employees"].find_one({"_id": stranger["employee_id"]}) == before


async def test_R40_people_are_managed_with_employee_manage_only(
    owner: Office, devices: Any
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
        await refusal(refused, 403, "E_PERMISSION")


# --- nobody saws off the branch ---------------------------------------------------------


async def test_nobody_suspends_themselves(owner: Office, manager: Office) -> None:
    me = await manager.desk.data("GET", "/v1/employees/me")
    refused = await manager.patch(me, status="suspended")
    assert "yourself" in (await refusal(refused, 403, "E_PERMISSION"))["message"]
    assert (await answer(manager.desk))[0] == 200


async def test_the_last_manager_of_people_cannot_be_lost(park: OwnPark) -> None:
    otto = lone_manager(park)
    async with neighbour(park) as theirs:
        gone = await theirs.put(otto)
        assert "employees" in (await refusal(gone, 409, "E_CONFLICT"))["message"]
        await refusal(await theirs.put(otto, theirs.place()), 409, "E_CONFLICT")
        resting = theirs.place("cashier", active=False)
        await refusal(await theirs.put(otto, resting), 409, "E_CONFLICT")
        assert "employee_manage" in await may(theirs.desk)
        second = await theirs.hire("cashier")
        assert (await theirs.put(otto, theirs.place())).status_code == 200
        assert (await answer(theirs.desk))[0] == 200
        assert await may(theirs.desk) == set()
        assert managers(park, otto["tenant_id"]) == {second["employee_id"]}


@pytest.fixture(scope="module")
def next_door(park: OwnPark, mongo_uri: str, database: str) -> Iterator[OwnPark]:
    """A second API process on the same database: no lock of the first one reaches it."""
    with running_api(mongo_uri, f"{database}_employees") as url:
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


# --- races, hostile bodies, the trail ---------------------------------------------------


async def test_twenty_parallel_changes_follow_each_other_and_lose_none(owner: Office) -> None:
    dao = await owner.hire("cashier")
    names = [f"Dao {n}" for n in range(20)]
    answers = await asyncio.gather(*(owner.patch(dao, name=name) for name in names))
    assert [each.status_code for each in answers] == [200] * 20
    rows = [
        row for row in owner.audits(dao["employee_id"]) if row["event_type"].endswith("changed")
    ]
    rows.sort(key=lambda row: row["seq"])
    changes = [row["payload"]["changes"][0] for row in rows]
    assert {each["new"] for each in changes} == set(names)
    assert changes[0]["old"] == "Dao"
    assert all(a["new"] == b["old"] for a, b in pairwise(changes))
    read = await owner.desk.data("GET", f"/v1/employees/{dao['employee_id']}")
    assert read["name"] == changes[-1]["new"]


async def test_parallel_changes_from_many_devices_leave_logins_and_store_in_agreement(
    owner: Office, park: OwnPark, devices: Any
) -> None:
    dao = await owner.hire("cashier")
    tills = await devices(login_of(dao), login_of(dao))
    async with park.owners(5) as desks:
        offices = [Office(park, desk, owner.roles) for desk in desks]
        for each in offices:
            each.desk.device["store_id"] = owner.home
        places = [[owner.place(role)] for role in ("cashier", "gate", "supervisor", "manager")]
        answers = await asyncio.gather(
            *(each.put(dao, *place) for each in offices for place in places)
        )
    assert {each.status_code for each in answers} == {200}
    read = await owner.desk.data("GET", f"/v1/employees/{dao['employee_id']}")
    for till in tills:
        assert (await till.data("GET", "/v1/employees/me"))["roles"] == read["memberships"][0][
            "roles"
        ]


@pytest.mark.parametrize(
    "extra",
    [
        {"employee_id": "01HZZZZZZZZZZZZZZZZZZZZZZZ"},
        {"tenant_id": "01HZZZZZZZZZZZZZZZZZZZZZZZ"},
        {"store_id": "01HZZZZZZZZZZZZZZZZZZZZZZZ"},
        {"pin_hash": "x"},
        {"ver": 1},
        {"turn": 1},
        {"permissions": ["sell"]},
        {"roles": ["owner"]},
        {"role_ids": []},
        {"created_at": "2026-01-01T00:00:00Z"},
        {"last_login_at": "2026-01-01T00:00:00Z"},
        {"name": {"$ne": ""}},
        {"email": {"$gt": ""}},
        {"email": "a$b@x.y"},
        {"name": ["x"]},
        {"name": ""},
        {"name": "x" * 121},
    ],
    ids="-".join,
)
async def test_nothing_but_the_contract_can_be_assigned(
    owner: Office, extra: dict[str, Any]
) -> None:
    dao = await owner.hire("cashier")
    before = owner.park.mongo["employees"].find_one({"_id": dao["employee_id"]})
    new = {"name": "Dao", "email": fresh_email(), "pin": PIN}
    one = f"/v1/employees/{dao['employee_id']}"
    place = owner.place("cashier")
    for method, path, body in (
        ("POST", "/v1/employees", {**new, **extra}),
        ("PATCH", one, extra),
        ("POST", f"{one}/reset_pin", extra),
        ("PUT", f"{one}/memberships", {"memberships": [], **extra}),
        ("PUT", f"{one}/memberships", {"memberships": [{**place, "x": 1, **extra}]}),
    ):
        await refusal(await owner.desk.call(method, path, body), 422, "E_VALIDATION")
    assert owner.park.mongo["employees"].find_one({"_id": dao["employee_id"]}) == before


@pytest.mark.parametrize(
    "memberships",
    [
        [{"store_id": {"$ne": ""}, "role_ids": []}],
        [{"store_id": "S", "role_ids": [{"$ne": ""}]}],
        [{"store_id": "S", "role_ids": "owner"}],
        [{"store_id": "S", "role_ids": [], "active": "yes"}],
        [{"store_id": "S", "role_ids": []}] * 2,
        [{"store_id": "S", "role_ids": ["R"] * 21}],
        [{"store_id": f"S{n}", "role_ids": []} for n in range(201)],
        {"store_id": "S"},
        None,
    ],
    ids=range(9),
)
async def test_memberships_that_are_none_are_refused(owner: Office, memberships: Any) -> None:
    dao = await owner.hire("cashier")
    path = f"/v1/employees/{dao['employee_id']}/memberships"
    refused = await owner.desk.call("PUT", path, {"memberships": memberships})
    await refusal(refused, 422, "E_VALIDATION")


async def test_every_change_stands_in_the_trail_with_old_and_new_and_without_pins(
    owner: Office,
) -> None:
    dao = await owner.hire("cashier")
    await owner.patch(dao, name="Dao Suwan")
    await owner.put(dao, owner.place("gate", "cashier"))
    await owner.desk.data(
        "POST", f"/v1/employees/{dao['employee_id']}/reset_pin", {"pin": OTHER_PIN}
    )
    await owner.patch(dao, status="suspended")
    await owner.patch(dao, status="suspended")  # as it is: no row
    await owner.patch(dao, status="active")
    await owner.put(dao, owner.place("cashier", "gate"))  # as it is
    await owner.put(dao)
    rows = sorted(owner.audits(dao["employee_id"]), key=lambda row: row["seq"])
    malee = (await owner.desk.data("GET", "/v1/employees/me"))["employee_id"]
    assert {row["actor_id"] for row in rows} == {malee}
    told = [(row["event_type"].removeprefix("employee."), row["payload"]) for row in rows]
    cashier, both = {"roles": ["cashier"], "active": True}, ["cashier", "gate"]
    gone, home = {"roles": [], "active": False}, {"store_id": owner.home}
    working = {"roles": both, "active": True}
    assert told == [
        (
            "created",
            {
                "name": "Dao",
                "email": dao["email"],
                "memberships": [home | {"old": gone, "new": cashier}],
            },
        ),
        ("changed", {"changes": [{"field": "name", "old": "Dao", "new": "Dao Suwan"}]}),
        ("memberships_changed", {"changes": [home | {"old": cashier, "new": working}]}),
        ("pin_reset", {"made_up": False}),
        ("suspended", {"changes": [{"field": "status", "old": "active", "new": "suspended"}]}),
        ("resumed", {"changes": [{"field": "status", "old": "suspended", "new": "active"}]}),
        ("memberships_changed", {"changes": [home | {"old": working, "new": gone}]}),
    ]
    assert not any(pin in str(rows) for pin in (f"'{PIN}'", f"'{OTHER_PIN}'", "argon2"))
