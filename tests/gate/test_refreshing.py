"""R33: a gate asks for its list at the start and again and again: for changes, where it can."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest

from gate.allowlist import AllowList
from gate.deciding import Judge
from gate.ledger import Ledger
from gate.refreshing import Refresher
from playpark.client import ApiClient
from playpark.contracts.gate import GatePolicy
from playpark.contracts.settings import Features
from playpark.contracts.sync import LocalOutcome, OpKind, OpResult, OpStatus
from playpark.contracts.tickets import RedemptionResult
from playpark.device import DeviceStore
from playpark.errors import PlayParkError
from tests.gate.lists import allowed, fill, told
from tests.gate.park import IDENTITY, NOW, URL, Park
from tests.gate.pictures import token

DAY = str(24 * 60)


@dataclass
class Keeping:
    park: Park
    store: DeviceStore
    own: AllowList
    judge: Judge
    client: ApiClient
    refresher: Refresher

    @property
    def version(self) -> int | None:
        return self.own.head.told.version if self.own.head else None


@pytest.fixture
async def keeping(park: Park, store: DeviceStore) -> AsyncIterator[Keeping]:
    own = AllowList(store.folder / "allowlist.db")
    judge = Judge(store, own, Ledger())
    async with ApiClient(URL, transport=park.transport) as client:
        client.device_token = "token"
        refresher = Refresher(
            store, client, park.clock, own, judge, every=0.01, jitter=lambda: 0.5,
            monotonic=lambda: 0,
        )  # fmt: skip
        yield Keeping(park, store, own, judge, client, refresher)
    own.close()


def entered(keeping: Keeping, number: int) -> str:
    """An entry of this gate that the server has not heard of; its op_id."""
    body = {"qr_token": token(number), "direction": "entry"}
    local = LocalOutcome(result=RedemptionResult.PASS, at=NOW)
    stored = keeping.store.append(
        OpKind.REDEMPTION, lambda _: body, occurred_at=NOW, committed=True, local=local
    )
    keeping.judge.ledger.note(stored)
    return stored.op_id


def answer(keeping: Keeping, op_id: str) -> None:
    op = keeping.store.op(op_id)
    assert op is not None
    result = OpResult(op_id=op_id, status=OpStatus.APPLIED, result={"result": "pass"})
    keeping.judge.ledger.note(keeping.store.record_result(op, result))


async def test_all_of_it_is_asked_for_once_and_then_what_has_changed(keeping: Keeping) -> None:
    keeping.park.allow_list = told(allowed(token(1)), version=7)
    await keeping.refresher.refresh()
    keeping.park.allow_list = told(allowed(token(2)), version=9, since=7)
    await keeping.refresher.refresh()
    with pytest.raises(OSError, match="another list"):
        await keeping.refresher.refresh()  # a delta, but not of version 9

    assert keeping.park.lists_asked == [
        {"window": DAY},
        {"window": DAY, "since": "7"},
        {"window": DAY, "since": "9"},
    ]
    assert keeping.version == 9


async def test_R33_the_window_is_as_long_as_the_list_may_be_used(keeping: Keeping) -> None:
    policy = GatePolicy(anti_passback_s=5, allow_list_hours=48, features=Features())
    for since in (None, None, 1):
        keeping.park.allow_list = told(version=1, since=since, policy=policy)
        await keeping.refresher.refresh()

    # A list of another window is no list to go on from.
    assert keeping.park.lists_asked == [
        {"window": DAY},
        {"window": str(48 * 60)},
        {"window": str(48 * 60), "since": "1"},
    ]


@pytest.mark.parametrize("lost", ["damaged", "another gate's"])
async def test_a_list_that_is_none_of_ours_is_loaded_anew(keeping: Keeping, lost: str) -> None:
    if lost == "damaged":
        fill(keeping.own, told(version=4))
        keeping.own.throw_away()
    else:
        fill(keeping.own, told(version=4), owner="gate9")
    keeping.park.allow_list = told(version=5)

    await keeping.refresher.refresh()

    assert keeping.park.lists_asked == [{"window": DAY}]
    assert keeping.own.head is not None
    assert keeping.own.head.owner == IDENTITY.device_id


@pytest.mark.parametrize(
    "fault",
    [
        {"away": True},
        {"error": (429, "E_RATE_LIMITED", "Too many.")},
        {"error": (503, "E_UNAVAILABLE", "Try again.")},
        {"error": (500, "E_INTERNAL", "Something went wrong.")},
    ],
    ids=["away", "too many", "busy", "broken"],
)
async def test_what_goes_wrong_leaves_the_list_as_it_is(
    keeping: Keeping, fault: dict[str, Any]
) -> None:
    keeping.park.allow_list = told(allowed(token(1)), version=7)
    await keeping.refresher.refresh()
    for name, value in fault.items():
        setattr(keeping.park, name, value)
    keeping.park.clock.advance(timedelta(minutes=3))

    with pytest.raises(PlayParkError):
        await keeping.refresher.refresh()

    assert keeping.version == 7
    assert keeping.own.age(keeping.park.clock.now()) == timedelta(minutes=3)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "E_DEVICE_SUSPENDED"),
        (403, "E_DEVICE_REVOKED"),
        (403, "E_TENANT_SUSPENDED"),
        (403, "E_PERMISSION"),
        (401, "E_UNAUTHENTICATED"),
    ],
)
async def test_R38_a_gate_that_the_server_does_not_take_has_no_list(
    keeping: Keeping, status: int, code: str
) -> None:
    keeping.park.allow_list = told(allowed(token(1)), version=7)
    await keeping.refresher.refresh()
    keeping.park.error = (status, code, "Not this device.")

    with pytest.raises(PlayParkError):
        await keeping.refresher.refresh()

    assert keeping.own.head is None
    assert keeping.own.by_id(allowed(token(1)).ticket_id) is None


async def test_it_goes_on_after_faults_and_logs_in_again(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside everything else: no fault of server, network or disk ends it."""
    park = keeping.park
    park.allow_list = told(allowed(token(1)), version=7)
    faults: list[Any] = [
        (401, "E_TOKEN_EXPIRED", "Log in."),
        None,
        (500, "E_INTERNAL", "Something went wrong."),
        "away",
        "disk",
    ]
    asked, apply = park._list, keeping.own.apply
    disk: list[bool] = []

    def unlucky(query: dict[str, str]) -> httpx.Response:
        fault = faults.pop(0) if faults else None
        disk.append(fault == "disk")
        if fault == "away":
            raise httpx.ConnectError("unplugged")
        if isinstance(fault, tuple):
            status, code, message = fault
            error = {"code": code, "message": message}
            return httpx.Response(
                status,
                json={
                    "server_time": NOW.isoformat(),
                    "request_id": "r",
                    "data": None,
                    "error": error,
                },
            )
        return asked(query)

    def full(*args: Any, **more: Any) -> None:
        if disk[-1]:
            raise OSError("The disk is full.")
        apply(*args, **more)

    monkeypatch.setattr(park, "_list", unlucky)
    monkeypatch.setattr(keeping.own, "apply", full)
    running = asyncio.create_task(keeping.refresher.run_forever())
    async with asyncio.timeout(10):
        while len(disk) < 8:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.005)
    assert not running.done()
    running.cancel()
    assert keeping.version == 7


async def test_nothing_is_asked_before_the_gate_is_logged_in(keeping: Keeping) -> None:
    keeping.client.device_token = None
    running = asyncio.create_task(keeping.refresher.run_forever())
    for _ in range(20):
        await asyncio.sleep(0)
    assert keeping.park.lists_asked == []
    running.cancel()


async def test_R33_what_the_server_had_heard_of_is_on_the_list_and_counted_once(
    keeping: Keeping,
) -> None:
    known, unknown = entered(keeping, 1), entered(keeping, 2)
    answer(keeping, known)
    keeping.park.allow_list = told(version=7)

    await keeping.refresher.refresh()

    assert keeping.own.contained() == {known}
    ledger = keeping.judge.ledger
    assert [len(ledger.of(allowed(token(number)).ticket_id)) for number in (1, 2)] == [0, 1]
    answer(keeping, unknown)
    keeping.park.allow_list = told(version=8, since=7)
    await keeping.refresher.refresh()
    assert keeping.own.contained() == {known, unknown}


async def test_R33_what_is_answered_while_the_list_is_on_its_way_is_not_on_it(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    op_id = entered(keeping, 1)
    keeping.park.allow_list = told(allowed(token(1)), version=7)
    asked = keeping.park._list

    def meanwhile(query: dict[str, str]) -> httpx.Response:
        response = asked(query)
        answer(keeping, op_id)
        return response

    monkeypatch.setattr(keeping.park, "_list", meanwhile)
    await keeping.refresher.refresh()

    assert keeping.own.contained() == set()
    assert len(keeping.judge.ledger.of(allowed(token(1)).ticket_id)) == 1
