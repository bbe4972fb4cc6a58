"""Roles of a park: the same in all its stores, at once, never more than the giver has (R40)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

import pytest

from playpark.contracts.employees import Permission
from playpark.ids import new_ulid
from tests.api.own_park import OwnPark, own_park
from tests.api.staffing import OTHER_PARK, Office, answer, login_of, may, office, refusal
from tests.conftest import running_api


@pytest.fixture(scope="module")
def park(mongo_uri: str, database: str) -> Iterator[OwnPark]:
    with own_park(mongo_uri, f"{database}_roles") as park:
        yield park


@pytest.fixture
async def owner(park: OwnPark) -> AsyncIterator[Office]:
    async with office(park) as found:
        yield found


def a_name() -> str:
    return f"role {new_ulid()}"


async def test_R40_a_role_is_made_listed_and_changed(owner: Office) -> None:
    body = {"name": a_name(), "permissions": ["sell", "redeem", "sell"]}
    made = await owner.desk.data("POST", "/v1/roles", body)
    assert made["permissions"] == ["redeem", "sell"]
    role_id, name = made["role_id"], a_name()
    change = {"name": name, "permissions": ["refund"]}
    changed = await owner.desk.data("PATCH", f"/v1/roles/{role_id}", change)
    assert changed == {"role_id": role_id, "name": name, "permissions": ["refund"]}
    listed = await owner.desk.data("GET", "/v1/roles", limit=200)
    assert changed in listed["items"]
    rows = sorted(owner.audits(role_id), key=lambda row: row["seq"])
    assert [(row["event_type"], row["payload"]) for row in rows] == [
        ("role.created", {"name": body["name"], "permissions": ["redeem", "sell"]}),
        (
            "role.changed",
            {
                "changes": [
                    {"field": "name", "old": body["name"], "new": name},
                    {"field": "permissions", "old": ["redeem", "sell"], "new": ["refund"]},
                ],
                "people": 0,
            },
        ),
    ]


async def test_R43_a_changed_role_acts_in_place_on_two_devices_at_once(
    owner: Office, park: OwnPark
) -> None:
    role_id = await owner.role("sell", "redeem")
    dao, somebody = await owner.hire(role_id), await owner.hire("cashier")
    async with AsyncExitStack() as stack:
        tills = [
            await stack.enter_async_context(park.connect(kind, **login_of(dao)))
            for kind in ("POS", "ADMIN")
        ]
        other = await stack.enter_async_context(park.connect("POS", **login_of(somebody)))
        before = await may(other)
        for permissions in (["sell", "refund"], [], ["redeem"]):
            body = {"permissions": permissions}
            await owner.desk.data("PATCH", f"/v1/roles/{role_id}", body)
            for till in tills:
                assert await may(till) == set(permissions)
        # A new name is no other authority, and stands in every login too.
        name = a_name()
        await owner.desk.data("PATCH", f"/v1/roles/{role_id}", {"name": name})
        for till in tills:
            assert (await till.data("GET", "/v1/employees/me"))["roles"] == [name]
        assert await may(other) == before


async def test_R40_of_several_roles_one_that_shrinks_leaves_what_the_others_allow(
    owner: Office, park: OwnPark
) -> None:
    first, second = await owner.role("sell", "refund"), await owner.role("sell", "redeem")
    dao = await owner.hire(first, second)
    async with park.connect("POS", **login_of(dao)) as till:
        assert await may(till) == {"sell", "refund", "redeem"}
        await owner.desk.data("PATCH", f"/v1/roles/{first}", {"permissions": []})
        assert await may(till) == {"sell", "redeem"}


async def test_R40_nobody_makes_or_changes_a_role_with_more_than_they_have(
    owner: Office, park: OwnPark
) -> None:
    more = await owner.role("sell", "webhook_manage")
    less = await owner.role("sell")
    hired = await owner.hire("manager")
    async with office(park, **login_of(hired)) as manager:
        for method, path, body in (
            ("POST", "/v1/roles", {"name": a_name(), "permissions": ["webhook_manage"]}),
            ("PATCH", f"/v1/roles/{less}", {"permissions": ["sell", "webhook_manage"]}),
            ("PATCH", f"/v1/roles/{more}", {"permissions": ["sell"]}),
            ("PATCH", f"/v1/roles/{more}", {"permissions": []}),
            ("PATCH", f"/v1/roles/{more}", {"name": a_name()}),
        ):
            error = refusal(await manager.desk.call(method, path, body), 403, "E_PERMISSION")
            assert error["details"]["permissions"] == ["webhook_manage"]
        await manager.desk.data("PATCH", f"/v1/roles/{less}", {"permissions": ["refund"]})
    kept = await owner.desk.data("GET", "/v1/roles", limit=200)
    permissions = {each["role_id"]: each["permissions"] for each in kept["items"]}
    assert permissions[more] == ["sell", "webhook_manage"]
    assert permissions[less] == ["refund"]


async def test_R40_a_role_reaches_every_store_so_it_takes_the_right_in_every_store(
    owner: Office, park: OwnPark
) -> None:
    role_id = await owner.role("sell")
    hired = await owner.hire("manager")
    async with office(park, **login_of(hired)) as manager:
        body = {"name": a_name(), "permissions": ["sell"]}
        assert (await manager.desk.call("POST", "/v1/roles", body)).status_code == 200
        elsewhere = await owner.second_store()
        for method, path in (("POST", "/v1/roles"), ("PATCH", f"/v1/roles/{role_id}")):
            change = {"name": a_name(), "permissions": ["sell", "refund"]}
            refusal(await manager.desk.call(method, path, change), 403, "E_PERMISSION")
        nothing = {"name": a_name(), "permissions": []}
        refusal(await manager.desk.call("POST", "/v1/roles", nothing), 403, "E_PERMISSION")
        # With the right there, but less of the rest than the role has.
        there = await owner.role("employee_manage", "sell")
        both = [owner.place("manager"), owner.place(there, store_id=elsewhere.store_id)]
        assert (await owner.put(hired, *both)).status_code == 200
        change = {"permissions": ["sell", "refund"]}
        refused = await manager.desk.call("PATCH", f"/v1/roles/{role_id}", change)
        error = refusal(refused, 403, "E_PERMISSION")
        assert error["details"]["permissions"] == ["refund"]
        change = {"permissions": []}
        kept = await manager.desk.call("PATCH", f"/v1/roles/{role_id}", change)
        assert kept.status_code == 200
    await owner.desk.data("PATCH", f"/v1/stores/{elsewhere.store_id}", {"active": False})


async def test_a_role_that_the_last_manager_needs_keeps_the_right(park: OwnPark) -> None:
    otto = park.mongo["employees"].find_one({"email": OTHER_PARK["email"]})
    tenant = {"tenant_id": otto["tenant_id"]}
    park.mongo["roles"].update_one(
        tenant | {"name": "cashier"}, {"$addToSet": {"permissions": "employee_manage"}}
    )
    async with office(park, "DEMO-OTHER-PARK", **OTHER_PARK) as theirs:
        path = f"/v1/roles/{theirs.roles['cashier']}"
        for permissions in (["sell"], []):
            refused = await theirs.desk.call("PATCH", path, {"permissions": permissions})
            assert "employees" in refusal(refused, 409, "E_CONFLICT")["message"]
        assert "employee_manage" in await may(theirs.desk)
        change = {"permissions": ["employee_manage"]}
        assert (await theirs.desk.call("PATCH", path, change)).status_code == 200
        assert await may(theirs.desk) == {"employee_manage"}


async def test_R44_a_role_of_another_park_is_unknown(owner: Office, park: OwnPark) -> None:
    theirs = park.mongo["roles"].find_one(
        {
            "tenant_id": {
                "$ne": park.mongo["roles"].find_one({"_id": owner.roles["owner"]})["tenant_id"]
            }
        }
    )
    answers = [
        await owner.desk.call("PATCH", f"/v1/roles/{each}", {"permissions": []})
        for each in (theirs["_id"], new_ulid())
    ]
    assert [each.status_code for each in answers] == [404, 404]
    assert answers[0].json()["error"] == answers[1].json()["error"]
    listed = await owner.desk.call("GET", "/v1/roles", limit=200)
    assert (
        theirs["_id"] not in listed.text + (await owner.desk.call("GET", "/v1/roles/matrix")).text
    )
    assert park.mongo["roles"].find_one({"_id": theirs["_id"]}) == theirs


async def test_a_name_is_one_roles_only_even_when_ten_ask_at_once(owner: Office) -> None:
    body = {"name": a_name(), "permissions": ["sell"]}
    answers = await asyncio.gather(*(owner.desk.call("POST", "/v1/roles", body) for _ in range(10)))
    assert sorted(each.status_code for each in answers) == [200] + [409] * 9
    other = await owner.role("sell")
    renamed = await owner.desk.call("PATCH", f"/v1/roles/{other}", {"name": body["name"]})
    refusal(renamed, 409, "E_CONFLICT")


async def test_twenty_parallel_changes_of_a_role_follow_each_other(
    owner: Office, park: OwnPark
) -> None:
    role_id = await owner.role("sell")
    dao = await owner.hire(role_id)
    sets = [["sell", each.value] for each in list(Permission)[1:11]] * 2
    async with park.connect("POS", **login_of(dao)) as till:
        answers = await asyncio.gather(
            *(
                owner.desk.call("PATCH", f"/v1/roles/{role_id}", {"permissions": each})
                for each in sets
            )
        )
        assert {each.status_code for each in answers} == {200}
        stored = park.mongo["roles"].find_one({"_id": role_id})
        assert await may(till) == set(stored["permissions"])
    rows = sorted(owner.audits(role_id), key=lambda row: row["seq"])[1:]
    changes = [row["payload"]["changes"][0] for row in rows]
    assert all(a["new"] == b["old"] for a, b in pairwise(changes))
    history = list(
        park.mongo["authority_history"].find({"employee_id": dao["employee_id"]}).sort("at", 1)
    )
    assert len(history) == len(rows) + 1
    assert [set(row["permissions"]) for row in history[1:]] == [set(c["new"]) for c in changes]


async def test_R43_a_role_and_a_membership_that_change_at_once_end_in_agreement(
    owner: Office, park: OwnPark, mongo_uri: str, database: str
) -> None:
    """Each alone would leave the login with what the other has just changed. Two API processes:
    only the database keeps the changes apart."""
    role_id = await owner.role("sell")
    dao = await owner.hire("gate")
    async with AsyncExitStack() as stack:
        url = stack.enter_context(running_api(mongo_uri, f"{database}_roles"))
        second = await stack.enter_async_context(office(OwnPark(url, park.mongo)))
        till = await stack.enter_async_context(park.connect("POS", **login_of(dao)))
        for round_ in range(6):
            permissions = [["sell", "refund"], ["sell"]][round_ % 2]
            path = f"/v1/roles/{role_id}"
            await asyncio.gather(
                owner.desk.data("PATCH", path, {"permissions": permissions}),
                second.put(dao, owner.place(role_id)),
            )
            assert await may(till) == set(permissions)
            await owner.put(dao, owner.place("gate"))


@pytest.mark.parametrize(
    "extra",
    [
        {"role_id": "R"},
        {"tenant_id": "T"},
        {"store_id": "S"},
        {"permissions": ["everything"]},
        {"permissions": "sell"},
        {"permissions": ["sell"] * 40},
        {"permissions": [{"$ne": ""}]},
        {"name": {"$ne": ""}},
        {"name": ""},
        {"name": "x" * 121},
    ],
    ids=range(10),
)
async def test_nothing_but_the_contract_can_be_assigned_to_a_role(
    owner: Office, extra: dict[str, Any]
) -> None:
    role_id = await owner.role("sell")
    body = {"name": a_name(), "permissions": ["sell"], **extra}
    refusal(await owner.desk.call("POST", "/v1/roles", body), 422, "E_VALIDATION")
    refusal(await owner.desk.call("PATCH", f"/v1/roles/{role_id}", extra), 422, "E_VALIDATION")


async def test_R40_the_matrix_says_who_has_what_and_what_it_opens(owner: Office) -> None:
    role_id = await owner.role("refund")
    matrix = await owner.desk.data("GET", "/v1/roles/matrix")
    assert {each["role_id"] for each in matrix["roles"]} >= {*owner.roles.values()}
    rows = {row["permission"]: row for row in matrix["rows"]}
    assert list(rows) == [permission.value for permission in Permission]
    assert role_id in rows["refund"]["role_ids"]
    assert role_id not in rows["sell"]["role_ids"]
    schema = (await owner.desk.call("GET", "/openapi.json")).json()
    told: dict[str, set[str]] = {}
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            rights = operation.get("x-permissions", {})
            for each in (rights, rights.get("on_admin_devices", {})):
                for permission in (*each.get("any_of", ()), *each.get("all_of", ())):
                    told.setdefault(permission, set()).add(f"{method.upper()} {path}")
    assert "PATCH /v1/roles/{role_id}" in told["employee_manage"]
    for permission, row in rows.items():
        assert set(row["routes"]) == told.get(permission, set()), permission


async def test_R40_roles_take_employee_manage(owner: Office, park: OwnPark) -> None:
    role_id = await owner.role("sell")
    async with park.connect("ADMIN", email="supervisor@demo.playpark", pin="9999") as supervisor:
        for method, path, body in (
            ("GET", "/v1/roles", None),
            ("GET", "/v1/roles/matrix", None),
            ("POST", "/v1/roles", {}),
            ("PATCH", f"/v1/roles/{role_id}", {}),
        ):
            refusal(await supervisor.call(method, path, body), 403, "E_PERMISSION")
        assert (await answer(supervisor))[0] == 200
