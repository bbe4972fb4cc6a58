"""Who logged in or failed to, where, when: read from the audit trail (001 §2; R41, R44)."""

import csv
import io
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from playpark.clock import business_date, park_zone
from playpark.ids import new_ulid
from tests.api.own_park import OWNER, OwnPark, own_park
from tests.api.staffing import OTHER_PARK, PIN, Office, fresh_email, login_of, office
from tests.outside import CASHIER, Outsider

SUPERVISOR = {"email": "supervisor@demo.playpark", "pin": "9999"}
WRONG = "90817263"


@pytest.fixture(scope="module")
def park(mongo_uri: str, database: str) -> Iterator[OwnPark]:
    with own_park(mongo_uri, f"{database}_access") as park:
        yield park


@pytest.fixture
async def owner(park: OwnPark) -> AsyncIterator[Office]:
    async with office(park) as found:
        yield found


@pytest.fixture
async def till(park: OwnPark) -> AsyncIterator[Outsider]:
    """A device with nobody logged in."""
    async with park.connect("POS") as device:
        yield device


async def rows(who: Outsider, **query: Any) -> list[dict[str, Any]]:
    page = await who.data("GET", "/v1/access_logs", limit=200, **query)
    return list(page["items"])


async def test_R41_a_login_a_failure_and_a_logout_say_who_where_and_when(
    owner: Office, till: Outsider
) -> None:
    dao = await owner.hire("cashier")
    began = datetime.now(UTC) - timedelta(seconds=1)
    device_id, nobody = till.device["device_id"], fresh_email()
    for who in (login_of(dao, WRONG), {"email": nobody, "pin": WRONG}):
        refused = await till.call("POST", "/v1/employees/login", who)
        assert refused.status_code == 401
    await till.staff(**login_of(dao))
    await till.data("POST", "/v1/auth/logout")
    found = await rows(owner.desk, device_id=device_id)
    dao_id = dao["employee_id"]
    assert [(row["event"], row["subject"], row["employee_id"]) for row in found] == [
        ("employee.logout", dao_id, dao_id),
        ("employee.login", dao_id, dao_id),
        ("employee.login_failed", nobody, None),
        ("employee.login_failed", dao_id, dao_id),
    ]
    for row in found:
        assert row["device_id"] == device_id
        assert row["device_name"] == "test POS"
        assert row["store_id"] == owner.home
        assert row["ip"] == "127.0.0.1"
        assert row["fingerprint"]
        assert began <= datetime.fromisoformat(row["at"]) <= datetime.now(UTC)
    assert [row["employee_name"] for row in found] == ["Dao", "Dao", None, "Dao"]
    text = (await owner.desk.call("GET", "/v1/access_logs", device_id=device_id)).text
    assert WRONG not in text
    assert f'"{PIN}"' not in text


async def test_a_wrong_pin_for_an_approval_stands_there_too(owner: Office, till: Outsider) -> None:
    await till.staff(**CASHIER)
    body = {**SUPERVISOR, "pin": WRONG, "action": "refund", "entity_id": new_ulid()}
    assert (await till.call("POST", "/v1/approvals/verify_pin", body)).status_code == 401
    newest, _ = await rows(owner.desk, device_id=till.device["device_id"])
    assert (newest["event"], newest["employee_name"]) == ("approval.pin_failed", "Somchai")


async def test_the_list_is_narrowed_by_person_device_and_day_and_goes_on_by_pages(
    owner: Office, till: Outsider, park: OwnPark
) -> None:
    dao = await owner.hire("cashier")
    device_token = till.token
    for who in (login_of(dao), CASHIER, login_of(dao)):
        till.token = device_token
        await till.staff(**who)
    async with park.connect("GATE", **login_of(dao)) as gate:
        pass
    device_id = till.device["device_id"]
    assert len(await rows(owner.desk, device_id=device_id)) == 3
    mine = await rows(owner.desk, employee_id=dao["employee_id"])
    assert [row["device_id"] for row in mine] == [gate.device["device_id"], device_id, device_id]
    both = {"employee_id": dao["employee_id"], "device_id": device_id}
    assert len(await rows(owner.desk, **both)) == 2
    today = business_date(datetime.now(UTC), park_zone(None))
    around = {"from": (today - timedelta(days=1)).isoformat(), "to": today.isoformat()}
    assert len(await rows(owner.desk, **both, **around)) == 2
    tomorrow = (today + timedelta(days=1)).isoformat()
    assert await rows(owner.desk, **both, **{"from": tomorrow}) == []
    assert await rows(owner.desk, **both, to=(today - timedelta(days=2)).isoformat()) == []
    paged, cursor = [], None
    while True:
        query = {"cursor": cursor} if cursor else {}
        page = await owner.desk.data(
            "GET", "/v1/access_logs", limit=1, employee_id=dao["employee_id"], **query
        )
        paged += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert paged == mine


async def test_what_is_no_login_is_not_in_the_list(owner: Office, till: Outsider) -> None:
    await till.staff(**CASHIER)
    await till.open_shift()
    dao = await owner.hire("cashier")
    await owner.patch(dao, name="Dao Suwan")
    assert len(await rows(owner.desk, device_id=till.device["device_id"])) == 1
    assert await rows(owner.desk, employee_id=dao["employee_id"]) == []


async def test_R56_as_csv_it_is_whole_and_no_spreadsheet_runs_it(
    owner: Office, till: Outsider
) -> None:
    email = f"=cmd|{new_ulid().lower()}@demo.playpark"
    await till.call("POST", "/v1/employees/login", {"email": email, "pin": WRONG})
    await till.staff(**CASHIER)
    device_id = till.device["device_id"]
    answer = await owner.desk.call("GET", "/v1/access_logs", format="csv", device_id=device_id)
    assert answer.headers["content-type"].startswith("text/csv")
    login, failed = list(csv.DictReader(io.StringIO(answer.text)))
    assert failed["subject"] == f"'{email}"
    assert (failed["event"], failed["employee_id"], failed["ip"]) == (
        "employee.login_failed",
        "",
        "127.0.0.1",
    )
    assert login["employee_name"] == "Nok"


async def test_R40_the_list_takes_audit_view_or_employee_manage(
    owner: Office, park: OwnPark, till: Outsider
) -> None:
    auditor, manager = await owner.role("audit_view"), await owner.role("employee_manage")
    for role in (auditor, manager):
        person = await owner.hire(role)
        async with park.connect("ADMIN", **login_of(person)) as desk:
            assert (await desk.call("GET", "/v1/access_logs")).status_code == 200
    nobody = await till.call("GET", "/v1/access_logs")
    await till.staff(**CASHIER)
    for refused in (nobody, await till.call("GET", "/v1/access_logs")):
        assert refused.status_code == 403
        assert refused.json()["error"]["code"] == "E_PERMISSION"


async def test_R44_the_list_is_of_one_store_and_never_of_another_park(
    owner: Office, park: OwnPark
) -> None:
    elsewhere = await owner.second_store()
    dao = await owner.hire("cashier", store_id=elsewhere.store_id)
    async with park.connect("POS", elsewhere.site_key, **login_of(dao)) as there:
        pass
    async with park.connect("POS", "DEMO-OTHER-PARK", **OTHER_PARK) as theirs:
        stranger = (await theirs.data("GET", "/v1/employees/me"))["employee_id"]
    for device in (there, theirs):
        assert await rows(owner.desk, device_id=device.device["device_id"]) == []
    assert await rows(owner.desk, employee_id=stranger) == []
    assert stranger not in str(await rows(owner.desk))
    (row,) = await rows(owner.desk, employee_id=dao["employee_id"], store_id=elsewhere.store_id)
    assert (row["store_id"], row["employee_name"]) == (elsewhere.store_id, "Dao")


@pytest.mark.parametrize(
    "query",
    [
        {"employee_id": "$ne"},
        {"device_id": "a.b"},
        {"from": "yesterday"},
        {"to": "9999-12-31"},
        {"from": "1700000000"},
        {"cursor": "%%%"},
        {"cursor": "AAAA"},
        {"limit": "0"},
        {"limit": "201"},
        {"format": "xml"},
    ],
    ids=lambda query: "-".join(query.values()),
)
async def test_odd_questions_are_refused(owner: Office, query: dict[str, str]) -> None:
    answer = await owner.desk.call("GET", "/v1/access_logs", **query)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "E_VALIDATION")


async def test_R41_taking_the_list_out_of_the_house_needs_a_fresh_pin(
    owner: Office, park: OwnPark
) -> None:
    me = (await owner.desk.data("GET", "/v1/employees/me"))["employee_id"]
    long_ago = datetime.now(UTC) - timedelta(minutes=16)
    park.mongo["sessions"].update_one(
        {"_id": owner.desk.device["device_id"]},
        {"$set": {f"employees.{me}.proved_at": long_ago}},
    )
    assert (await owner.desk.call("GET", "/v1/access_logs")).status_code == 200
    answer = await owner.desk.call("GET", "/v1/access_logs", format="csv")
    assert answer.status_code == 403
    assert answer.json()["error"]["details"]["reason"] == "step_up"
    assert OWNER["email"] not in answer.text
