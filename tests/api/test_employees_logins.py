"""What a change of a person does to their logins, with the very next request (R43, R44)."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from playpark.ids import new_ulid
from tests.api.own_park import OwnPark, own_park
from tests.api.staffing import (
    OTHER_PIN,
    PIN,
    LogIn,
    Office,
    answer,
    fresh_email,
    login_of,
    may,
    office,
    refusal,
    tills,
)
from tests.outside import CASHIER, Outsider

CASHIER_MAY = {"sell", "redeem", "shift_open", "shift_close", "cash_movement"}


@pytest.fixture(scope="module")
def park(mongo_uri: str, database: str) -> Iterator[OwnPark]:
    with own_park(mongo_uri, f"{database}_people_logins") as park:
        yield park


@pytest.fixture
async def owner(park: OwnPark) -> AsyncIterator[Office]:
    async with office(park) as found:
        yield found


@pytest.fixture
async def devices(park: OwnPark) -> AsyncIterator[LogIn]:
    async with tills(park) as log_in:
        yield log_in


async def test_R43_a_suspension_bites_on_two_devices_at_once_and_taking_back_asks_for_the_pin(
    owner: Office, devices: LogIn
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
    refusal(login, 403, "E_EMPLOYEE_SUSPENDED")
    await owner.patch(dao, status="active")
    for till in tills:
        assert (await answer(till))[0] == 401
    (again,) = await devices(login_of(dao))
    assert await may(again) == CASHIER_MAY


async def test_R43_a_new_pin_ends_every_login_and_forgets_what_was_tried(
    owner: Office, devices: LogIn
) -> None:
    dao = await owner.hire("cashier")
    first, second = await devices(login_of(dao), login_of(dao))
    (third,) = await devices(CASHIER)
    session = await third.data("POST", "/v1/employees/login", login_of(dao))
    for _ in range(5):
        await third.call("POST", "/v1/employees/login", login_of(dao, "0001"))
    locked = await third.call("POST", "/v1/employees/login", login_of(dao))
    refusal(locked, 429, "E_PIN_LOCKED")
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
    refusal(old, 401, "E_UNAUTHENTICATED")
    await third.data("POST", "/v1/employees/login", login_of(dao, OTHER_PIN))


async def test_R43_a_new_pin_of_somebody_suspended_does_not_let_them_in(
    owner: Office, devices: LogIn
) -> None:
    dao = await owner.hire("cashier")
    (till,) = await devices(login_of(dao))
    await owner.patch(dao, status="suspended")
    await owner.desk.data("POST", f"/v1/employees/{dao['employee_id']}/reset_pin", {})
    assert await answer(till) == (403, "E_EMPLOYEE_SUSPENDED")


async def test_R43_other_roles_act_in_place_on_two_devices_at_once(
    owner: Office, devices: LogIn
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
        refusal(refused, 403, "E_PERMISSION")


@pytest.mark.parametrize("how", ["left out", "at rest"])
async def test_R43_a_lost_membership_ends_the_logins_in_that_store(
    owner: Office, devices: LogIn, how: str
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
    owner: Office, devices: LogIn
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
    owner: Office, devices: LogIn
) -> None:
    elsewhere = await owner.second_store()
    dao = await owner.hire("cashier")
    desks = await devices(login_of(dao), login_of(dao), kind="ADMIN")
    for desk in desks:
        lost = await desk.call("GET", "/v1/employees/me", store_id=elsewhere.store_id)
        refusal(lost, 404, "E_NOT_FOUND")
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
        refusal(lost, 404, "E_NOT_FOUND")
        assert await may(desk) == CASHIER_MAY


async def test_R43_a_login_and_a_change_that_meet_leave_no_login_with_what_was_before(
    owner: Office, devices: LogIn
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
    owner: Office, devices: LogIn
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
