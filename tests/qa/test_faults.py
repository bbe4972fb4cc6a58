"""The line and the clock that fail as told (decision 0029)."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from playpark.client import ApiClient
from playpark.clock import FixedClock
from playpark.contracts.provider import HeartbeatAnswer, HeartbeatIn
from playpark.contracts.qa import QaSwitches
from playpark.contracts.tenancy import DeviceCaps
from playpark.device.faults import FaultyTransport, SkewedClock, Switches
from playpark.errors import ErrorCode, PlayParkError

NOW = datetime(2026, 11, 21, 8, 42, tzinfo=UTC)


class Line:
    """The real line: counts what arrives, and what was waited for."""

    def __init__(self, **switched: int) -> None:
        self.switches = Switches(QaSwitches.model_validate(switched))
        self.arrived: list[tuple[str, bytes]] = []
        self.waited: list[float] = []
        self.asleep: Callable[[], None] = lambda: None

    def transport(self, seed: int = 1) -> FaultyTransport:
        inner = httpx.MockTransport(self._server)
        chance = random.Random(seed).random
        return FaultyTransport(self.switches, inner, chance=chance, sleep=self._sleep)

    def http(self, seed: int = 1) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url="http://park/v1", transport=self.transport(seed), timeout=10
        )

    def _server(self, request: httpx.Request) -> httpx.Response:
        self.arrived.append((request.url.path, request.content))
        return httpx.Response(200, json={"answer": len(self.arrived)})

    async def _sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.asleep()


async def fates(line: Line, count: int, seed: int = 1) -> list[bool]:
    """Of each request, whether it was answered."""
    answered = []
    async with line.http(seed) as http:
        for _ in range(count):
            try:
                await http.post("/sync/batch", content=b"ops")
                answered.append(True)
            except httpx.HTTPError:
                answered.append(False)
    return answered


async def test_with_nothing_switched_on_a_request_goes_through_untouched() -> None:
    line = Line()
    async with line.http() as http:
        answer = await http.post("/sync/batch", content=b"ops")
    assert answer.json() == {"answer": 1}
    assert (line.arrived, line.waited) == ([("/v1/sync/batch", b"ops")], [])


async def test_offline_no_request_leaves() -> None:
    line = Line(offline=True)
    async with line.http() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("/time")
    assert line.arrived == []


async def test_a_program_is_told_in_a_sentence_as_in_any_outage() -> None:
    line = Line(offline=True)
    async with ApiClient("http://park", transport=line.transport()) as client:
        with pytest.raises(PlayParkError) as away:
            await client.time()
    assert away.value.code is ErrorCode.UNAVAILABLE


async def test_a_lost_request_never_arrives() -> None:
    line = Line(lost_requests=100)
    assert await fates(line, 3) == [False] * 3
    assert line.arrived == []


async def test_a_lost_answer_is_lost_after_the_server_has_done_its_work() -> None:
    line = Line(lost_answers=100)
    assert await fates(line, 3) == [False] * 3
    assert line.arrived == [("/v1/sync/batch", b"ops")] * 3


async def test_a_doubled_request_arrives_twice_and_the_second_answer_is_given() -> None:
    line = Line(duplicates=100)
    async with line.http() as http:
        answer = await http.post("/sync/batch", content=b"ops")
    assert answer.json() == {"answer": 2}
    assert line.arrived == [("/v1/sync/batch", b"ops")] * 2


async def test_an_answer_is_held_back_for_as_long_as_told() -> None:
    line = Line(delay_ms=2500)
    assert await fates(line, 1) == [True]
    assert line.waited == [2.5]


@pytest.mark.parametrize("delay_ms", [10_000, 120_000])
async def test_nobody_waits_for_longer_than_for_a_real_line(delay_ms: int) -> None:
    line = Line(delay_ms=delay_ms)
    async with line.http() as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.post("/sync/batch")
    assert line.waited == [10.0]
    assert len(line.arrived) == 1


async def test_an_answer_on_its_way_is_lost_when_the_line_is_cut() -> None:
    line = Line(delay_ms=100)
    line.asleep = lambda: line.switches.set(QaSwitches(offline=True))
    assert await fates(line, 1) == [False]
    assert len(line.arrived) == 1


async def test_about_as_many_are_lost_as_told_and_the_same_with_the_same_seed() -> None:
    first, again, other = [await fates(Line(lost_requests=30), 400, seed) for seed in (7, 7, 8)]
    assert first == again != other
    assert 80 < first.count(False) < 160


async def test_switches_count_from_the_next_request_on() -> None:
    line = Line(offline=True)
    async with line.http() as http:
        line.switches.set(QaSwitches())
        await http.get("/time")
    assert len(line.arrived) == 1


@pytest.mark.parametrize(
    "switched",
    [{"offline": True}, {"lost_requests": 100}, {"lost_answers": 100}, {"delay_ms": 120_000}],
    ids=lambda switched: next(iter(switched)),
)
@pytest.mark.parametrize("path", ["/provider/heartbeats", "/auth/device/login"])
async def test_heartbeats_and_what_they_need_go_past_every_switch(
    switched: dict[str, int], path: str
) -> None:
    line = Line(**switched)
    async with line.http() as http:
        answer = await http.post(path, content=b"beat")
    assert answer.status_code == 200
    assert (len(line.arrived), line.waited) == (1, [])


async def test_the_clock_is_as_wrong_as_told_and_right_again() -> None:
    switches = Switches()
    clock = SkewedClock(FixedClock(NOW), switches)
    assert clock.now() == NOW
    switches.set(QaSwitches(skew_s=-7200))
    assert clock.now() == NOW - timedelta(hours=2)
    switches.set(QaSwitches(skew_s=90))
    assert clock.now() == NOW + timedelta(seconds=90)
    switches.set(QaSwitches())
    assert clock.now() == NOW


def heard(qa: QaSwitches | None) -> HeartbeatAnswer:
    return HeartbeatAnswer(
        server_time=NOW,
        catalog_version=1,
        features=[],
        caps=DeviceCaps(),
        clock_skewed=False,
        qa=qa,
    )


def test_a_heartbeat_switches_on_and_off_and_listeners_hear_each_change_once() -> None:
    told: list[QaSwitches] = []
    switches = Switches()
    switches.listen(told.append)
    for qa in (None, QaSwitches(offline=True), QaSwitches(offline=True), None, None):
        switches.heard(heard(qa))
    assert told == [QaSwitches(offline=True), QaSwitches()]


def test_what_a_key_has_set_holds_until_qa_sets_something_else_at_the_server() -> None:
    switches = Switches()
    switches.set(QaSwitches(offline=True))
    switches.heard(heard(None))
    assert switches.now.offline
    switches.heard(heard(QaSwitches(delay_ms=500)))
    assert switches.now == QaSwitches(delay_ms=500)
    switches.set(QaSwitches())
    switches.heard(heard(QaSwitches(delay_ms=500)))
    assert switches.now.quiet


def test_the_status_bar_says_all_that_is_on() -> None:
    switches = Switches()
    assert not switches.words
    switches.set(
        QaSwitches(
            offline=True, delay_ms=800, lost_requests=1, lost_answers=2, duplicates=3, skew_s=-60
        )
    )
    assert switches.words == (
        "offline, answers 800 ms late, 1 % of requests lost, 2 % of answers lost, "
        "3 % sent twice, clock -60 s"
    )


async def test_a_heartbeat_is_heard_over_a_line_that_is_cut(api_url: str) -> None:
    switches = Switches(QaSwitches(offline=True))
    async with ApiClient(api_url, transport=FaultyTransport(switches)) as client:
        with pytest.raises(PlayParkError) as away:
            await client.time()
        assert away.value.code is ErrorCode.UNAVAILABLE
        with pytest.raises(PlayParkError) as answered:
            await client.heartbeat(HeartbeatIn())
        assert answered.value.code is ErrorCode.UNAUTHENTICATED
        switches.set(QaSwitches(delay_ms=1))
        assert await client.time()


async def test_a_device_that_moves_to_another_server_takes_its_line_along(api_url: str) -> None:
    line = FaultyTransport(Switches())
    for _ in range(2):
        async with ApiClient(api_url, transport=line) as client:
            assert await client.time()


async def test_the_environment_s_proxy_is_used_as_without_switches(
    api_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", api_url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with ApiClient("http://park.invalid", transport=FaultyTransport(Switches())) as client:
        assert await client.time()
