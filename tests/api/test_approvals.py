"""Approvals by PIN: who may grant them, and that each is good for one thing, once (R41, R42)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from api.approvals import service as approvals
from api.approvals.models import Approval
from api.audit import service as audit
from api.audit.models import AuditRow
from api.platform.operations import Kind, Operation, OpRecord, Outcome, perform
from api.platform.scope import Scope
from api.platform.uow import Work, unavailable
from playpark.contracts.approvals import ApprovalAction
from playpark.contracts.base import Request, View
from playpark.contracts.employees import Permission
from playpark.contracts.sync import OpKind
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid
from tests.api.inside import Inside, inside
from tests.outside import Outsider

SUPERVISOR = {"email": "supervisor@demo.playpark", "pin": "9999"}
CASHIER = {"email": "cashier2@demo.playpark", "pin": "2222"}
SALE = "01HZZZZZZZZZZZZZZZZZZZSALE"


def asking(action: str = "refund", entity_id: str = SALE, **more: Any) -> dict[str, Any]:
    return {**SUPERVISOR, "action": action, "entity_id": entity_id, **more}


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
    """The park of this file, its clock and its roles put back after each test."""
    clock, roles = own_park.clock, own_park.platform.mongo.db["roles"]
    began, before = clock.now(), await roles.find().to_list(None)
    yield own_park
    clock.advance(began - clock.now())
    for role in before:
        await roles.replace_one({"_id": role["_id"]}, role)


# --- granting ---------------------------------------------------------------------------


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


async def test_R42_nobody_approves_what_they_ask_for_themselves(till: Outsider) -> None:
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


async def let_everybody(park: Inside, permissions: list[str]) -> None:
    """Sets what every role of the database allows."""
    await park.platform.mongo.db["roles"].update_many({}, {"$set": {"permissions": permissions}})


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


# --- spending ---------------------------------------------------------------------------


class GiveBack(Request):
    sale_id: str = SALE
    amount: int = 100


class GivenBack(View):
    approved_by: str | None
    flags: list[str]


@dataclass
class Effect:
    """An operation that needs an approval: its audit row is what it leaves behind."""

    fault: Exception | None = None
    permissions: tuple[Permission, ...] = ()

    @property
    def kind(self) -> Kind[GiveBack, GivenBack]:
        return Kind(OpKind.REFUND, GiveBack, self._apply, self._again)

    async def _apply(
        self, work: Work, scope: Scope, op: Operation[GiveBack], _result_id: str
    ) -> GivenBack:
        who, flags = await approvals.require(
            work,
            scope,
            op,
            ApprovalAction.REFUND,
            entities={op.body.sale_id},
            amount=op.body.amount,
            permissions=self.permissions,
        )
        await audit.append(work, scope, "test.given_back", op.op_id, {"flags": flags})
        if self.fault is not None:
            raise self.fault
        return GivenBack(approved_by=who.name if who else None, flags=flags)

    async def _again(self, _work: Work, _scope: Scope, record: OpRecord) -> GivenBack:
        return GivenBack(approved_by="as the first time", flags=record.flags)


@dataclass
class Counter:
    """A till with a cashier whose operations need an approval."""

    park: Inside
    till: Outsider

    async def approve(self, **more: Any) -> str:
        body = {**asking(amount=100), **more}
        granted = await self.till.data("POST", "/v1/approvals/verify_pin", body)
        return str(granted["approval_token"])

    async def give_back(
        self,
        token: str | None,
        effect: Effect | None = None,
        *,
        op_id: str = "",
        committed: bool = False,
        **body: Any,
    ) -> Outcome[GivenBack]:
        op = Operation(
            op_id=op_id or new_ulid(),
            kind=OpKind.REFUND,
            raw=body,
            body=GiveBack(**body),
            occurred_at=self.park.clock.now(),
            committed=committed,
            approval=token,
        )
        scope = await self.park.scope(self.till)
        return await perform(self.park.platform, scope, op, (effect or Effect()).kind)

    async def refusal(self, token: str | None, effect: Effect | None = None, **more: Any) -> str:
        """The reason that a refused operation is told; nothing is left of it."""
        before = await self.effects()
        with pytest.raises(PlayParkError) as found:
            await self.give_back(token, effect, **more)
        assert await self.effects() == before
        assert found.value.code is ErrorCode.PERMISSION
        assert found.value.details is not None
        return str(found.value.details["reason"])

    async def effects(self) -> int:
        return await self._count(AuditRow, event_type="test.given_back")

    async def used(self) -> int:
        return await self._count(Approval, used_at={"$ne": None})

    async def _count(self, model: Any, **conditions: Any) -> int:
        stored = self.park.platform.mongo.db[model.__collection__]
        here = {"device_id": self.till.device["device_id"]}
        return int(await stored.count_documents(here | conditions))


@pytest.fixture
async def counter(park: Inside) -> Counter:
    till = await park.device()
    await till.staff()
    return Counter(park, till)


async def test_R42_an_approval_lets_one_operation_through_and_names_who_approved(
    counter: Counter,
) -> None:
    done = await counter.give_back(await counter.approve())
    assert done.answer == GivenBack(approved_by="Somchai", flags=[])
    assert (await counter.effects(), await counter.used()) == (1, 1)


async def test_R42_a_used_token_lets_nothing_else_through(counter: Counter) -> None:
    token = await counter.approve()
    await counter.give_back(token)
    assert await counter.refusal(token) == "approval_required"


async def test_R42_the_same_operation_again_is_answered_without_another_approval(
    counter: Counter,
) -> None:
    token, op_id = await counter.approve(), new_ulid()
    await counter.give_back(token, op_id=op_id)
    counter.park.clock.advance(timedelta(minutes=10))
    assert (await counter.give_back(token, op_id=op_id)).replayed
    assert (await counter.give_back(None, op_id=op_id)).replayed
    assert await counter.effects() == 1


@pytest.mark.parametrize(
    "granted_for",
    [
        {"action": "void"},
        {"entity_id": "01HZZZZZZZZZZZZZZZZZZ0THER"},
        {"amount": 101},
        {"amount": 99},
    ],
    ids=str,
)
async def test_R42_an_approval_of_something_else_does_not_count_and_stays_unspent(
    counter: Counter, granted_for: dict[str, Any]
) -> None:
    token = await counter.approve(**granted_for)
    assert await counter.refusal(token) == "approval_required"
    done = await counter.give_back(token, committed=True)
    assert done.answer == GivenBack(approved_by=None, flags=["unapproved"])
    assert await counter.used() == 0


async def test_R42_without_an_amount_the_entity_is_approved_whatever_it_costs(
    counter: Counter,
) -> None:
    token = await counter.approve(amount=None)
    assert (await counter.give_back(token, amount=55_500)).answer.approved_by == "Somchai"


async def test_R42_the_operation_to_come_can_be_approved_by_its_op_id(counter: Counter) -> None:
    op_id = new_ulid()
    token = await counter.approve(entity_id=op_id)
    assert await counter.refusal(token) == "approval_required"
    assert (await counter.give_back(token, op_id=op_id)).answer.approved_by == "Somchai"


async def test_R42_after_two_minutes_an_approval_is_over(counter: Counter) -> None:
    just_in_time, too_late = await counter.approve(), await counter.approve()
    counter.park.clock.advance(timedelta(seconds=119, milliseconds=999))
    await counter.give_back(just_in_time)
    counter.park.clock.advance(timedelta(milliseconds=1))
    assert await counter.refusal(too_late) == "approval_required"


@pytest.mark.parametrize("fault", [unavailable(), PlayParkError(ErrorCode.CONFLICT, "No.")])
async def test_R42_a_failed_operation_has_spent_nothing_and_may_come_again_later(
    counter: Counter, fault: PlayParkError
) -> None:
    token, op_id = await counter.approve(), new_ulid()
    with pytest.raises(PlayParkError):
        await counter.give_back(token, Effect(fault), op_id=op_id)
    assert (await counter.effects(), await counter.used()) == (0, 0)
    counter.park.clock.advance(timedelta(hours=1))
    assert await counter.refusal(token) == "approval_required"  # another operation is too late
    assert (await counter.give_back(token, op_id=op_id)).answer.approved_by == "Somchai"
    assert await counter.used() == 1


async def test_R42_a_refused_operation_may_be_made_anew_within_the_two_minutes(
    counter: Counter,
) -> None:
    token = await counter.approve()
    with pytest.raises(PlayParkError):
        await counter.give_back(token, Effect(PlayParkError(ErrorCode.REFUND_EXCEEDS, "No.")))
    assert (await counter.give_back(token)).answer.approved_by == "Somchai"


async def test_R42_who_approved_cannot_be_who_uses_it(counter: Counter) -> None:
    device_token = counter.till.token
    login = {key: counter.till.device[key] for key in ("device_id", "device_token")}
    session = await counter.till.data("POST", "/v1/auth/device/login", login)
    counter.till.token = session["access_token"]
    token = await counter.approve()  # asked for by the device: nobody is named
    await counter.till.staff(**SUPERVISOR)
    assert await counter.refusal(token) == "approval_required"
    counter.till.token = device_token
    assert (await counter.give_back(token)).answer.approved_by == "Somchai"


async def test_R42_more_than_the_actions_permission_can_be_asked_of_the_approver(
    counter: Counter,
) -> None:
    await let_everybody(counter.park, ["approve", "refund"])
    token = await counter.approve()
    used_too = Effect(permissions=(Permission.REFUND_USED,))
    assert await counter.refusal(token, used_too) == "approval_required"
    assert (await counter.give_back(token)).answer.approved_by == "Somchai"


@pytest.mark.parametrize("token", [None, "", "nonsense", "0" * 43])
async def test_R42_without_a_real_token_an_approval_is_required(
    counter: Counter, token: str | None
) -> None:
    assert await counter.refusal(token) == "approval_required"
    done = await counter.give_back(token, committed=True)
    assert done.answer.flags == ["unapproved"]


async def test_R42_twenty_parallel_uses_of_one_token_are_one(counter: Counter) -> None:
    token = await counter.approve()
    answers = await asyncio.gather(
        *(counter.give_back(token) for _ in range(20)), return_exceptions=True
    )
    done = [answer for answer in answers if isinstance(answer, Outcome)]
    refusals = [answer for answer in answers if isinstance(answer, PlayParkError)]
    assert (len(done), len(refusals)) == (1, 19)
    assert {refusal.code for refusal in refusals} == {ErrorCode.PERMISSION}
    assert (await counter.effects(), await counter.used()) == (1, 1)


async def test_R44_another_parks_token_is_no_approval_here(counter: Counter) -> None:
    stranger = await Outsider(counter.park.http).pair("POS", "DEMO-OTHER-PARK")
    await let_everybody(counter.park, ["approve", "refund"])
    theirs = {**asking(amount=100), "email": "cashier@other.playpark", "pin": "1111"}
    granted = await stranger.data("POST", "/v1/approvals/verify_pin", theirs)
    assert await counter.refusal(granted["approval_token"]) == "approval_required"
