"""Hiring people, looking them up, and what their changes leave in the trail (R40, R41)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

import pytest

from playpark.ids import new_ulid
from tests.api.own_park import OwnPark, own_park
from tests.api.staffing import (
    OTHER_PIN,
    PIN,
    LogIn,
    Office,
    fresh_email,
    login_of,
    may,
    neighbour,
    office,
    refusal,
    tills,
)
from tests.outside import CASHIER

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
async def devices(park: OwnPark) -> AsyncIterator[LogIn]:
    async with tills(park) as log_in:
        yield log_in


# --- hiring and looking up --------------------------------------------------------------


async def test_R40_a_new_employee_logs_in_with_the_roles_that_they_were_given(
    owner: Office, devices: LogIn
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
    owner: Office, devices: LogIn
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
    refusal(hired, 422, "E_VALIDATION")
    assert weak not in hired.text.replace(hired.json()["request_id"], "")
    nok = owner.park.mongo["employees"].find_one({"email": CASHIER["email"]})
    path = f"/v1/employees/{nok['_id']}/reset_pin"
    refusal(await owner.desk.call("POST", path, {"pin": weak}), 422, "E_VALIDATION")


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
    refusal(refused, 422, "E_VALIDATION")


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
    assert "e-mail" in refusal(taken, 409, "E_CONFLICT")["message"]
    async with neighbour(owner.park) as theirs:
        hired = await theirs.hire(email=email)
    stored = list(owner.park.mongo["employees"].find({"email": email}))
    assert len({each["tenant_id"] for each in stored}) == len(stored) == 2
    assert hired["email"] == email


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
    owner: Office, park: OwnPark, devices: LogIn
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
        refusal(await owner.desk.call(method, path, body), 422, "E_VALIDATION")
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
    refusal(refused, 422, "E_VALIDATION")


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
