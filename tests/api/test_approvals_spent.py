"""Spending approvals: each is good for one thing, once, in time (R42)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from api.approvals import service as approvals
from api.approvals.models import Approval
from api.audit import service as audit
from api.audit.models import AuditRow
from api.platform.operations import Kind, Operation, OpRecord, Outcome, perform
from api.platform.permissions import Rights
from api.platform.scope import Scope
from api.platform.uow import Work, unavailable
from playpark.contracts.approvals import ApprovalAction
from playpark.contracts.base import Request, View
from playpark.contracts.employees import Permission
from playpark.contracts.sync import OpKind
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid
from tests.api.approving import SALE, asking, let_everybody, put_back
from tests.api.drawers import SUPERVISOR
from tests.api.inside import Inside, inside
from tests.outside import Outsider


@pytest.fixture(scope="module")
async def own_park(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_spent") as found:
        yield found


@pytest.fixture
async def park(own_park: Inside) -> AsyncIterator[Inside]:
    async with put_back(own_park) as found:
        yield found


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
        return Kind(OpKind.REFUND, GiveBack, self._apply, self._again, Rights())

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


async def test_attack_11_a_used_token_lets_nothing_else_through(counter: Counter) -> None:
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
async def test_attack_11_an_approval_of_something_else_does_not_count_and_stays_unspent(
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


async def test_attack_11_after_two_minutes_an_approval_is_over(counter: Counter) -> None:
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


async def test_R42_an_approval_is_spent_on_the_device_it_was_given_on(counter: Counter) -> None:
    token = await counter.approve()
    elsewhere = Counter(counter.park, await counter.park.device())
    await elsewhere.till.staff()
    assert await elsewhere.refusal(token) == "approval_required"
    done = await elsewhere.give_back(token, committed=True)
    assert done.answer == GivenBack(approved_by=None, flags=["unapproved"])
    assert (await counter.give_back(token)).answer.approved_by == "Somchai"


async def test_attack_12_where_nobody_asks_there_is_nobody_else_to_approve(
    counter: Counter,
) -> None:
    """A client that leaves out who acts would make every approver another person."""
    at_the_till = counter.till.token
    login = {key: counter.till.device[key] for key in ("device_id", "device_token")}
    session = await counter.till.data("POST", "/v1/auth/device/login", login)
    counter.till.token = session["access_token"]
    token = await counter.approve()
    assert await counter.refusal(token) == "approval_required"
    done = await counter.give_back(token, committed=True)
    assert done.answer == GivenBack(approved_by=None, flags=["unapproved"])
    assert await counter.used() == 0
    counter.till.token = at_the_till
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
