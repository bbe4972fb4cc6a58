"""R36, R44: a device tells every 30 seconds how it is, and is never disturbed by it."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from playpark import __version__
from playpark.client import ApiClient
from playpark.clock import FixedClock
from playpark.contracts.provider import HeartbeatAnswer, PartState
from playpark.contracts.sync import OpKind
from playpark.device import DeviceStore, Heart
from playpark.device.park_clock import ParkClock
from playpark.errors import ErrorCode, PlayParkError
from tests.device.conftest import IDENTITY, NOW


class Server:
    """Hears heartbeats. `refuses` is (status, code) of its next answers; its clock is `ahead`, and
    each way of a request takes `way` seconds of the device's monotonic clock."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.heard: list[dict[str, Any]] = []
        self.asked = self.logins = 0
        self.token = "token-1"
        self.refuses: tuple[int, str] | None = None
        self.gone = False
        self.ahead = timedelta()
        self.way = 0.0
        self.monotonic = 100.0

    def client(self) -> ApiClient:
        return ApiClient("http://park", transport=httpx.MockTransport(self._handle))

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.gone:
            raise httpx.ConnectError("unplugged", request=request)
        if request.url.path.endswith("/auth/device/login"):
            self.logins += 1
            device = {**IDENTITY.device.model_dump(), "type": "GATE"}
            store = IDENTITY.store.model_dump()
            session = {"access_token": self.token, "expires_in": 900}
            return self._answer(200, {**session, "device": device, "store": store})
        if request.headers["Authorization"] != f"Bearer {self.token}":
            return self._answer(401, None, "E_TOKEN_EXPIRED")
        if self.refuses:
            return self._answer(self.refuses[0], None, self.refuses[1])
        assert request.url.path == "/v1/provider/heartbeats"
        self.heard.append(json.loads(request.content))
        self._pass(self.way)
        seen = self.clock.now() + self.ahead
        self._pass(self.way)
        answer = {"server_time": seen.isoformat(), "catalog_version": 9, "features": ["kiosk"]}
        return self._answer(200, {**answer, "caps": {}, "clock_skewed": False})

    def _pass(self, seconds: float) -> None:
        self.monotonic += seconds
        self.clock.advance(timedelta(seconds=seconds))

    def _answer(self, status: int, data: Any, code: str | None = None) -> httpx.Response:
        error = {"code": code, "message": "refused"} if code else None
        body = {"server_time": NOW.isoformat(), "request_id": "r", "data": data, "error": error}
        return httpx.Response(status, json=body)


@pytest.fixture
def server(clock: FixedClock) -> Server:
    return Server(clock)


def heart(server: Server, store: DeviceStore, **more: Any) -> Heart:
    """Of a device that is logged in."""
    client = server.client()
    client.device_token = server.token
    return Heart(store, client, server.clock, monotonic=lambda: server.monotonic, **more)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the heart has no event for it
            await asyncio.sleep(0.005)


async def test_a_beat_tells_how_the_device_is(server: Server, store: DeviceStore) -> None:
    store.append(OpKind.SHIFT_OPEN, lambda _: {"cash_open": 0}, occurred_at=NOW)
    parts = {"printer": lambda: PartState.FAILED, "camera": lambda: PartState.NONE}

    await heart(server, store, **parts).beat()

    (told,) = server.heard
    assert told.pop("free_disk") > 0
    assert told == {
        "app_version": __version__,
        "queued": 1,
        "oldest_queued_at": "2026-11-21T08:42:00.000Z",
        "printer": "failed",
        "camera": "none",
    }


async def test_a_device_with_nothing_to_tell_beats_too(server: Server, store: DeviceStore) -> None:
    await heart(server, store).beat()
    assert set(server.heard[0]) == {"app_version", "queued", "free_disk"}


async def test_R36_the_fastest_round_trip_tells_what_the_clock_lacks(
    server: Server, store: DeviceStore
) -> None:
    beating = heart(server, store)
    assert beating.clock_offset is None
    server.ahead, server.way = timedelta(seconds=300), 2.0
    await beating.beat()
    assert beating.clock_offset == timedelta(seconds=300)
    server.ahead, server.way = timedelta(seconds=301), 0.5
    await beating.beat()
    assert server.heard[1]["clock_offset_ms"] == 300_000
    server.ahead, server.way = timedelta(seconds=999), 5.0
    await beating.beat()
    assert beating.clock_offset == timedelta(seconds=301)
    assert server.heard[2]["clock_offset_ms"] == 301_000


async def test_the_clock_s_offset_forgets_what_is_long_ago(
    server: Server, store: DeviceStore
) -> None:
    beating = heart(server, store)
    await beating.beat()  # the fastest of all
    server.ahead, server.way = timedelta(hours=1), 1.0
    for _ in range(10):
        await beating.beat()
    assert beating.clock_offset == timedelta(hours=1)


async def test_R36_it_tells_how_wrong_the_machine_is_and_teaches_the_clock_that_is_right(
    server: Server, store: DeviceStore
) -> None:
    clock = ParkClock(server.clock, elapsed=lambda: server.monotonic)
    client = server.client()
    client.device_token = server.token
    beating = Heart(store, client, clock, monotonic=lambda: server.monotonic)
    server.ahead, server.way = timedelta(seconds=300), 0.5
    await beating.beat()
    await beating.beat()
    assert clock.now() == server.clock.now() + server.ahead
    assert beating.clock_offset == server.ahead
    assert [beat.get("clock_offset_ms") for beat in server.heard] == [None, 300_000]


async def test_it_logs_in_again_where_the_token_has_run_out(
    server: Server, store: DeviceStore
) -> None:
    beating = heart(server, store)
    await beating.beat()
    server.token = "token-2"
    await beating.beat()
    assert (server.logins, len(server.heard)) == (1, 2)


async def test_it_beats_with_the_device_s_token_whoever_is_logged_in(
    server: Server, store: DeviceStore
) -> None:
    async with server.client() as client:
        client.device_token, client.employee_token = server.token, "somebody"
        await Heart(store, client, server.clock).beat()
    assert len(server.heard) == 1


async def test_what_is_heard_reaches_the_program(server: Server, store: DeviceStore) -> None:
    answers: list[HeartbeatAnswer] = []
    await heart(server, store, heard=answers.append).beat()
    assert [each.catalog_version for each in answers] == [9]


async def test_a_refusal_is_told_to_who_asks_for_one_beat(
    server: Server, store: DeviceStore
) -> None:
    beating = heart(server, store)
    server.refuses = (403, "E_DEVICE_SUSPENDED")
    with pytest.raises(PlayParkError) as refused:
        await beating.beat()
    assert refused.value.code is ErrorCode.DEVICE_SUSPENDED


async def test_it_goes_on_through_outages_and_refusals(server: Server, store: DeviceStore) -> None:
    server.gone, asked = True, server.asked
    task = asyncio.create_task(heart(server, store, every=0.001).run_forever())
    await until(lambda: server.asked > asked + 2)
    server.gone, server.refuses, asked = False, (403, "E_DEVICE_SUSPENDED"), server.asked
    await until(lambda: server.asked > asked + 2)
    server.refuses = None
    await until(lambda: len(server.heard) > 2)
    assert not task.done()
    task.cancel()


async def test_a_full_or_vanished_disk_does_not_stop_it(
    server: Server, store: DeviceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = 0

    def vanished(_path: object) -> object:
        nonlocal failed
        failed += 1
        raise FileNotFoundError

    with monkeypatch.context() as broken:
        broken.setattr("playpark.device.heart.shutil.disk_usage", vanished)
        task = asyncio.create_task(heart(server, store, every=0.001).run_forever())
        await until(lambda: failed > 2)
    await until(lambda: server.heard)
    task.cancel()


async def test_the_login_at_the_start_is_left_to_the_engine(
    server: Server, store: DeviceStore
) -> None:
    async with server.client() as client:
        task = asyncio.create_task(Heart(store, client, server.clock, every=0.001).run_forever())
        await asyncio.sleep(0.02)
        assert server.asked == 0
        client.device_token = server.token
        await until(lambda: server.heard)
        task.cancel()
    assert server.logins == 0


async def test_R37_who_is_refused_asks_less_and_less_often(
    server: Server, store: DeviceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 6:
            server.refuses = None
        if len(pauses) == 7:
            raise asyncio.CancelledError

    server.refuses = (403, "E_DEVICE_SUSPENDED")
    beating = heart(server, store)
    monkeypatch.setattr("playpark.device.heart.asyncio.sleep", noted)
    with pytest.raises(asyncio.CancelledError):
        await beating.run_forever()
    assert pauses == [60, 120, 240, 300, 300, 300, 30]


async def test_an_outage_is_asked_about_every_30_seconds(
    server: Server, store: DeviceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise asyncio.CancelledError

    server.gone = True
    beating = heart(server, store)
    monkeypatch.setattr("playpark.device.heart.asyncio.sleep", noted)
    with pytest.raises(asyncio.CancelledError):
        await beating.run_forever()
    assert pauses == [30, 30, 30]
