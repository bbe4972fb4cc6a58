"""Approvals by PIN: who may grant them (R41, R42)."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from api.approvals import service as approvals
from playpark.clock import business_date, park_zone
from playpark.contracts.employees import Permission
from playpark.ids import new_ulid
from tests.api.approving import SALE, asking, let_everybody, put_back
from tests.api.drawers import SUPERVISOR
from tests.api.inside import Inside, inside
from tests.outside import Outsider

CASHIER = {"email": "cashier2@demo.playpark", "pin": "2222"}


async def refused(who: Outsider, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    response = await who.call("POST", "/v1/approvals/verify_pin", body)
    error: dict[str, Any] = response.json()["error"]
    return response.status_code, error


@pytest.fixture(scope="module")
async def own_park(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_approvals") as found:
        yield found


@pytest.fixture
async def park(own_park: Inside) -> AsyncIterator[Inside]:
    async with put_back(own_park) as found:
        yield found


async def test_R42_a_supervisor_approves_with_their_pin_on_the_cashiers_till(
    till: Outsider,
) -> None:
    granted = await till.data("POST", "/v1/approvals/verify_pin", asking(amount=19_900))
    assert len(granted["approval_token"]) >= 43  # 256 bits
    assert granted["expires_in"] == 120
    assert set(granted["approved_by"]) == {"employee_id", "name"}


async def test_R42_the_devices_own_token_may_ask_too(outside: Outsider) -> None:
    await outside.pair("POS")
    assert (await outside.data("POST", "/v1/approvals/verify_pin", asking()))["approval_token"]


async def test_R42_neither_token_nor_pin_is_stored_anywhere(
    till: Outsider, mongo_uri: str, database: str
) -> None:
    entity = new_ulid()
    granted = await till.data("POST", "/v1/approvals/verify_pin", asking(entity_id=entity))
    with MongoClient(mongo_uri) as mongo:
        stored = mongo[f"{database}_live"]
        approval = stored["approvals"].find_one({"entity_id": entity})
        (row,) = stored["audits"].find({"entity_id": entity})
        everything = str([list(stored[name].find()) for name in stored.list_collection_names()])
    assert approval is not None
    assert approval["token_hash"] == approvals.token_hash(granted["approval_token"])
    assert row["event_type"] == "approval.granted"
    assert row["payload"]["approver_id"] == granted["approved_by"]["employee_id"]
    assert granted["approval_token"] not in everything
    assert "'9999'" not in everything


async def test_attack_12_nobody_approves_what_they_ask_for_themselves(till: Outsider) -> None:
    await till.staff(**SUPERVISOR)
    status, error = await refused(till, asking())
    assert (status, error["code"]) == (403, "E_PERMISSION")
    assert "another supervisor" in error["message"]


async def test_R42_who_may_not_approve_is_told_so_after_the_right_pin(till: Outsider) -> None:
    status, error = await refused(till, {**asking(), **CASHIER})
    assert (status, error["code"]) == (403, "E_PERMISSION")
    assert error["details"] == {"reason": "permission", "permission": "approve"}


@pytest.mark.parametrize(
    ("action", "needed"),
    [
        ("refund", "refund"),
        ("void", "refund"),
        ("reprint", "reprint"),
        ("exchange", "reprint"),
        ("manual_discount", "manual_discount"),
        ("price_override", "manual_discount"),
        ("x_report", "reports_view"),
        ("cash_variance", None),
        ("shift_adjustment", None),
    ],
)
async def test_R42_the_approver_needs_the_actions_own_permission(
    park: Inside, action: str, needed: str | None
) -> None:
    everything = [permission.value for permission in Permission]
    await let_everybody(park, everything)
    till = await park.device()
    assert (await till.data("POST", "/v1/approvals/verify_pin", asking(action)))["approval_token"]
    await let_everybody(park, ["approve"])
    response = await till.call("POST", "/v1/approvals/verify_pin", asking(action))
    if needed is None:
        assert response.status_code == 200
    else:
        assert response.json()["error"]["details"]["permission"] == needed
    await let_everybody(park, [each for each in everything if each != "approve"])
    response = await till.call("POST", "/v1/approvals/verify_pin", asking(action))
    assert response.json()["error"]["details"]["permission"] == "approve"


async def test_R41_wrong_pins_look_like_unknown_people_and_like_the_login(till: Outsider) -> None:
    wrong = {**asking(), "pin": "0000"}
    unknown = {**asking(), "email": "nobody@demo.playpark"}
    foreign = {**asking(), "email": "cashier@other.playpark", "pin": "1111"}
    answers = [await refused(till, body) for body in (wrong, unknown, foreign)]
    login = await till.call("POST", "/v1/employees/login", {**SUPERVISOR, "pin": "0000"})
    assert [status for status, _ in answers] == [401, 401, 401]
    assert all(error == login.json()["error"] for _, error in answers)
    assert answers[0][1]["code"] == "E_UNAUTHENTICATED"


async def test_R41_guesses_here_and_at_the_login_are_one_budget(outside: Outsider) -> None:
    await outside.pair("POS")
    wrong = {**SUPERVISOR, "pin": "0000"}
    for _ in range(2):
        assert (await outside.call("POST", "/v1/employees/login", wrong)).status_code == 401
    codes = [(await refused(outside, {**asking(), "pin": "0000"}))[1]["code"] for _ in range(4)]
    assert codes == ["E_UNAUTHENTICATED"] * 3 + ["E_PIN_LOCKED"]
    locked = await outside.call("POST", "/v1/approvals/verify_pin", asking())
    assert (locked.status_code, locked.json()["error"]["code"]) == (429, "E_PIN_LOCKED")
    assert int(locked.headers["Retry-After"]) > 0
    assert (await outside.call("POST", "/v1/employees/login", SUPERVISOR)).status_code == 429


async def test_R41_right_pins_are_not_counted_as_guesses(till: Outsider) -> None:
    for _ in range(7):
        await till.data("POST", "/v1/approvals/verify_pin", asking())
    # A refusal with the right PIN is no guess either.
    for _ in range(7):
        assert (await refused(till, {**asking(), **CASHIER}))[0] == 403


async def test_R41_a_wrong_pin_is_audited_with_who_asked(park: Inside) -> None:
    till = await park.device()
    await till.staff()
    await refused(till, {**asking(), "pin": "0000"})
    failed = {"event_type": "approval.pin_failed", "device_id": till.device["device_id"]}
    found = await park.platform.mongo.db["audits"].find_one(failed)
    scope = await park.scope(till)
    assert scope.actor is not None
    assert found["actor_id"] == scope.actor.employee_id
    assert found["payload"] == {}


@pytest.mark.parametrize(
    "body",
    [
        {"pin": "9999", "action": "refund", "entity_id": SALE},
        {**SUPERVISOR, "employee_id": SALE, "action": "refund", "entity_id": SALE},
        {**SUPERVISOR, "action": "everything", "entity_id": SALE},
        {**SUPERVISOR, "action": "refund", "entity_id": {"$ne": ""}},
        {**SUPERVISOR, "action": "refund", "entity_id": SALE, "amount": -1},
    ],
)
async def test_what_is_no_request_for_an_approval_is_refused(
    till: Outsider, body: dict[str, Any]
) -> None:
    assert (await refused(till, body))[0] == 422


async def test_the_list_of_approvals_is_for_supervisors_and_newest_first(park: Inside) -> None:
    till = await park.device()
    await till.staff()
    for amount in (1, 2, 3):
        await till.data("POST", "/v1/approvals/verify_pin", asking(amount=amount))
    assert (await till.call("GET", "/v1/approvals")).status_code == 403
    await till.staff(**SUPERVISOR)
    first = await till.data("GET", "/v1/approvals", limit=2)
    rest = await till.data("GET", "/v1/approvals", limit=2, cursor=first["next_cursor"])
    assert [each["amount"] for each in [*first["items"], *rest["items"]][:3]] == [3, 2, 1]
    assert first["items"][0]["requested_by"]["name"] == "Nok"
    assert first["items"][0]["used_at"] is None
    assert "token" not in str(first)


async def test_the_list_of_approvals_is_narrowed_by_action_day_and_use(park: Inside) -> None:
    till = await park.device()
    await till.staff()
    await till.open_shift()
    today = business_date(park.clock.now(), park_zone("Asia/Bangkok"))
    sold = (await till.sell(("Carousel ride", 1)))["sale"]["sale_id"]
    used = await till.data("POST", "/v1/approvals/verify_pin", asking("refund", sold, amount=4_000))
    headers = {
        "Authorization": f"Bearer {till.token}",
        "Idempotency-Key": new_ulid(),
        "X-Approval": used["approval_token"],
    }
    body = {"sale_id": sold, "reason_code": "customer_request"}
    assert (await till.http.post("/v1/refunds", json=body, headers=headers)).status_code == 200
    await till.data("POST", "/v1/approvals/verify_pin", asking("reprint", sold))
    await till.staff(**SUPERVISOR)

    async def listed(**query: Any) -> list[str]:
        found = (await till.data("GET", "/v1/approvals", **query))["items"]
        return [each["action"] for each in found if each["entity_id"] == sold]

    assert await listed() == ["reprint", "refund"]
    assert await listed(action="refund") == ["refund"]
    assert await listed(used="true") == ["refund"]
    assert await listed(used="false") == ["reprint"]
    assert await listed(**{"from": str(today), "to": str(today)}) == ["reprint", "refund"]
    assert await listed(**{"from": str(today + timedelta(days=1))}) == []
    assert await listed(to=str(today - timedelta(days=1))) == []
    odd: tuple[dict[str, Any], ...] = ({"action": "x"}, {"used": "maybe"}, {"from": "today"})
    for each in odd:
        assert (await till.call("GET", "/v1/approvals", **each)).status_code == 422
