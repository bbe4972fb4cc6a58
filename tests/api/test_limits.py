"""Throughput limits: bursts, hours, Retry-After, and what happens where nobody counts."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from prometheus_client import Counter as Metric

from api.app import ROUTERS
from api.platform import limits
from api.platform.envelope import Client, client
from api.platform.jwt import Claims, TokenType
from api.platform.limits import GIVING_BACK, PREVIEW, Counters, Limits
from api.platform.scope import Actor, Scope, server_scope
from api.platform.settings import Settings
from api.platform.strict_json import PrivateRoute
from playpark.contracts.sync import OpKind
from playpark.contracts.tenancy import DeviceType
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid
from tests.api.limited import DEFAULTS, limited
from tests.outside import CASHIER

MINUTE_11 = "2026-11-21T08:11:30.250000+00:00"
Ask = Callable[[], Awaitable[None]]


def build(**told: Any) -> Limits:
    return Limits(Settings(**{**DEFAULTS, **told}))


def device(tenant_id: str = "t1", device_id: str = "d1") -> Claims:
    return Claims(TokenType.DEVICE, tenant_id, "s1", device_id, None, "1", "j")


def office(tenant_id: str = "t1", employee_id: str = "e1") -> Scope:
    """A person on an ADMIN device."""
    scope = server_scope(tenant_id, "s1", "Asia/Bangkok")
    return scope.acting_as(Actor(employee_id=employee_id, name="Somchai"))


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(MINUTE_11, tick=False) as traveller:
        yield traveller


async def passes(ask: Ask, most: int = 2000) -> int:
    """How often `ask` goes through before it is refused."""
    count = 0
    with contextlib.suppress(PlayParkError):
        while count < most:
            await ask()
            count += 1
    return count


async def wait_told(ask: Ask) -> int:
    with pytest.raises(PlayParkError) as refused:
        await ask()
    assert refused.value.code is ErrorCode.RATE_LIMITED
    assert refused.value.retry_after is not None
    return int(refused.value.retry_after)


def counted(metric: Metric) -> float:
    return sum(
        sample.value
        for family in metric.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    )


# --- devices ----------------------------------------------------------------------------


async def test_a_device_has_a_burst_of_200_and_then_20_a_second(
    clock: time_machine.Traveller,
) -> None:
    found = build()

    async def ask() -> None:
        await found.device(device())

    assert await passes(ask) == 200
    assert await wait_told(ask) == 1
    for _ in range(3):
        clock.shift(1)
        assert await passes(ask) == 20


async def test_an_even_20_a_second_is_never_refused(clock: time_machine.Traveller) -> None:
    found = build()
    for _ in range(300):
        for _ in range(20):
            await found.device(device())
        clock.shift(1)


async def test_the_burst_comes_back(clock: time_machine.Traveller) -> None:
    found = build()

    async def ask() -> None:
        await found.device(device())

    await passes(ask)
    clock.shift(timedelta(minutes=2))
    assert await passes(ask) == 200


async def test_devices_and_tenants_do_not_share_a_limit(clock: time_machine.Traveller) -> None:
    found = build()
    await passes(lambda: found.device(device()))
    await found.device(device(device_id="d2"))
    await found.device(device(tenant_id="t2"))


# --- people on ADMIN devices ------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "most"),
    [
        ("GET /sales", 1000),
        *((route, 50) for route in sorted(GIVING_BACK)),
        *((route, 100) for route in sorted(PREVIEW)),
    ],
)
async def test_a_person_on_an_admin_device_has_so_many_an_hour(
    clock: time_machine.Traveller, route: str, most: int
) -> None:
    found = build()
    assert await passes(lambda: found.employee(office(), route)) == most
    await found.employee(office(employee_id="e2"), route)
    await found.employee(office(tenant_id="t2"), route)


async def test_refunds_and_reprints_share_their_50(clock: time_machine.Traveller) -> None:
    found = build()
    for _ in range(25):
        await found.employee(office(), "POST /refunds")
    assert await passes(lambda: found.employee(office(), "POST /reprints")) == 25
    await found.employee(office(), "GET /sales")


async def test_a_cashier_on_a_till_is_not_counted_by_the_hour(
    clock: time_machine.Traveller,
) -> None:
    found = build()
    scope = office()
    till = replace(scope, device=replace(scope.device, type=DeviceType.POS))
    assert await passes(lambda: found.employee(till, "POST /pricing/preview")) == 2000


def test_every_limited_route_is_a_route() -> None:
    known = {
        f"{method} {route.path}"  # type: ignore[attr-defined]
        for router in ROUTERS
        for route in router.routes
        for method in route.methods  # type: ignore[attr-defined]
    }
    assert known >= GIVING_BACK | PREVIEW


# --- Retry-After ------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [0, 1, 29, 59])
@pytest.mark.parametrize("figure", ["50/hour", "7/minute", "1000/hour"])
async def test_retry_after_is_right_to_the_second(
    clock: time_machine.Traveller, figure: str, minutes: int
) -> None:
    """Used up at once or evenly, early or late in the window: one second before it is still too
    early, at its time it is not."""
    found = build(limit_device_login=figure)

    async def ask() -> None:
        await found.login_of_device("t1", "d1")

    clock.shift(timedelta(minutes=minutes, seconds=minutes % 7))
    for pause in (0, 17, 400):
        await passes(ask)
        wait = await wait_told(ask)
        clock.shift(wait - 1)
        if wait > 1:
            assert await wait_told(ask) == 1
        clock.shift(1)
        await ask()
        clock.shift(pause)


# --- addresses --------------------------------------------------------------------------


async def test_logins_from_an_address_are_counted_and_ipv6_by_its_network(
    clock: time_machine.Traveller,
) -> None:
    found = build()

    async def ask_from(ip: str) -> int:
        token = client.set(Client(ip=ip))
        try:
            return await passes(found.login_from_address)
        finally:
            client.reset(token)

    assert await ask_from("203.0.113.7") == 300
    assert await ask_from("203.0.113.8") == 300
    assert await ask_from("2001:db8:0:1::1") == 300
    assert await ask_from("2001:db8:0:1:ffff::9") == 0
    assert await ask_from("2001:db8:0:2::1") == 300


# --- memory -----------------------------------------------------------------------------


async def test_memory_stays_bounded_and_counters_that_are_over_go(
    clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_COUNTERS", 100)
    counters = Counters()
    for number in range(1000):
        await counters.incr(f"stranger{number}", 3600)
    assert len(counters) == 100
    assert len(counters.storage) == 100
    clock.shift(7200)
    await counters.incr("newcomer", 3600)
    assert len(counters) == len(counters.storage) == 1


# --- Redis ------------------------------------------------------------------------------


async def test_where_redis_is_away_everybody_passes_and_the_metric_tells() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken, and nobody listens
        found = build(redis_uri=f"redis://127.0.0.1:{nobody.getsockname()[1]}/0")
        for _ in range(500):
            await found.device(device())
    assert counted(found.uncounted) == 500
    assert counted(found.refused) == 0


def test_a_wrong_redis_uri_is_told_in_a_sentence() -> None:
    with pytest.raises(PlayParkError, match="REDIS_URI is not usable"):
        build(redis_uri="localhost:6379")


@pytest.fixture
def redis_uri(tmp_path: Path) -> Iterator[str]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server on this machine")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < until, "redis did not start"
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)


async def test_two_processes_count_together_in_redis(redis_uri: str) -> None:
    told = {"redis_uri": redis_uri, "limit_device_login": "10/hour"}
    one, other = build(**told), build(**told)
    for found in (one, other) * 5:
        await found.login_of_device("t1", "d1")
    for found in (one, other):
        assert await wait_told(lambda: found.login_of_device("t1", "d1")) > 1  # noqa: B023
    assert counted(one.uncounted) == 0


# --- over HTTP --------------------------------------------------------------------------


async def test_R37_dead_refresh_tokens_use_up_nothing(mongo_uri: str, database: str) -> None:
    async with limited(mongo_uri, f"{database}_dead", limit_device_login="5/hour") as park:
        till = await (await park.at()).pair("POS")
        session = await till.data("POST", "/v1/employees/login", CASHIER)
        spent = {"refresh_token": session["refresh_token"]}
        at_door, till.token = till.token, session["access_token"]
        await till.data("POST", "/v1/auth/logout")
        thief = await park.at("203.0.113.99")
        for _ in range(6):
            assert (await thief.call("POST", "/v1/auth/refresh", spent)).status_code == 401
        till.token = at_door
        login = {key: till.device[key] for key in ("device_id", "device_token")}
        assert (await till.call("POST", "/v1/auth/device/login", login)).status_code == 200


async def test_over_the_limit_is_429_in_the_envelope_with_words(
    mongo_uri: str, database: str
) -> None:
    async with limited(mongo_uri, f"{database}_limits", limit_device_burst="5/minute") as park:
        gate = await (await park.at()).pair("GATE")
        with time_machine.travel(park.clock.now(), tick=False) as clock:
            answers = [await gate.call("GET", "/v1/devices/me") for _ in range(26)]
            assert [each.status_code for each in answers] == [200] * 25 + [429]
            refused = answers[-1]
            assert refused.headers["Retry-After"] == "1"
            error = refused.json()["error"]
            assert (error["code"], error["details"]) == ("E_RATE_LIMITED", None)
            assert error["message"] == "That was too much at once: try again in 1 s."
            clock.shift(1)
            assert (await gate.call("GET", "/v1/devices/me")).status_code == 200
        metrics = (await gate.http.get("/metrics")).text
        assert 'playpark_rate_limited_total{limit="device"} 1.0' in metrics


async def test_a_device_over_its_limit_makes_the_server_read_no_body(
    mongo_uri: str, database: str
) -> None:
    figures = {"limit_device": "1/hour", "limit_device_burst": "1/hour"}
    async with limited(mongo_uri, f"{database}_limits", **figures) as park:
        gate = await (await park.at()).pair("GATE")
        for _ in range(2):
            await gate.data("GET", "/v1/devices/me")
        refused = await gate.http.post(
            "/v1/sync/batch",
            content=b"[" * 100_000,
            headers={"Authorization": f"Bearer {gate.token}", "Content-Type": "application/json"},
        )
        assert refused.status_code == 429


async def test_a_persons_hour_on_admin_devices_is_theirs_on_all_of_them(
    mongo_uri: str, database: str
) -> None:
    owner = {"email": "owner@demo.playpark", "pin": "8888"}
    told = {"limit_employee": "3/hour", "limit_device": "1000/second"}
    async with limited(mongo_uri, f"{database}_limits", **told) as park:
        with time_machine.travel(park.clock.now(), tick=False):
            one = await (await (await park.at()).pair("ADMIN")).staff(**owner)
            other = await (await (await park.at()).pair("ADMIN")).staff(**owner)
            for who in (one, other, one):
                await who.data("GET", "/v1/employees/me")
            refused = await other.call("GET", "/v1/employees/me")
            assert refused.status_code == 429
            assert int(refused.headers["Retry-After"]) > 1
            till = await (await (await park.at()).pair("POS")).staff()
            for _ in range(10):
                await till.data("GET", "/v1/employees/me")


async def test_giving_back_in_a_batch_counts_like_giving_back_by_a_route(
    mongo_uri: str, database: str
) -> None:
    body = {"sale_id": new_ulid(), "amount": 1, "reason_code": "customer_request"}
    async with limited(mongo_uri, f"{database}_limits", limit_giving_back="3/hour") as park:
        with time_machine.travel(park.clock.now(), tick=False):
            owner = await (await park.at()).pair("ADMIN")
            await owner.staff(email="owner@demo.playpark", pin="8888")
            me = (await owner.data("GET", "/v1/employees/me"))["employee_id"]

            async def batch(*kinds: str) -> list[tuple[str, str]]:
                ops = [
                    {
                        "op_id": new_ulid(),
                        "kind": kind,
                        "seq": n,
                        "schema_version": 1,
                        "employee_id": me,
                        "occurred_at": park.clock.now().isoformat(),
                        "body": body,
                    }
                    for n, kind in enumerate(kinds)
                ]
                told = await owner.data("POST", "/v1/sync/batch", {"epoch": 1, "ops": ops})
                return [(each["status"], each["code"]) for each in told["results"]]

            refused = await owner.call("POST", "/v1/refunds", body, key=new_ulid())
            assert refused.status_code != 429
            first, second, third, rest = await batch(*["refund"] * 4)
            assert {first, second} == {("rejected", first[1])}
            assert first[1] != "E_RATE_LIMITED"
            assert (third, rest) == (("retry", "E_RATE_LIMITED"), ("retry", None))
            refused = await owner.call("POST", "/v1/refunds", body, key=new_ulid())
            assert refused.status_code == 429


@pytest.mark.parametrize("kind", OpKind)
async def test_what_gives_back_is_counted_and_nothing_else(
    clock: time_machine.Traveller, kind: OpKind
) -> None:
    gives_back = kind in {"refund", "void", "reprint", "exchange", "ticket_cancel"}
    limits_ = build(limit_giving_back="1/hour")
    await limits_.operation(office(), kind)
    if gives_back:
        assert await wait_told(lambda: limits_.operation(office(), kind)) > 1
    else:
        await limits_.operation(office(), kind)
    till = replace(office(), device=replace(office().device, type=DeviceType.POS))
    for _ in range(3):
        await limits_.operation(till, kind)


async def test_a_device_logs_in_60_times_an_hour_and_nobody_else_can_use_that_up(
    mongo_uri: str, database: str
) -> None:
    async with limited(mongo_uri, f"{database}_limits") as park:
        with time_machine.travel(park.clock.now(), tick=False):
            till = await (await park.at()).pair("POS")
            stranger = await park.at("198.51.100.1")
            login = {key: till.device[key] for key in ("device_id", "device_token")}
            for _ in range(100):
                wrong = {**login, "device_token": "x" * 43}
                answer = await stranger.call("POST", "/v1/auth/device/login", wrong)
                assert answer.status_code == 401
            answers = [await till.call("POST", "/v1/auth/device/login", login) for _ in range(60)]
            assert [each.status_code for each in answers] == [200] * 59 + [429]
            assert answers[-1].json()["error"]["code"] == "E_RATE_LIMITED"


async def test_whatever_strangers_may_send_is_limited_by_their_address(
    mongo_uri: str, database: str
) -> None:
    """Before the body is read; a public route that is added is found here."""
    public = [
        route.path  # type: ignore[attr-defined]
        for router in ROUTERS
        for route in router.routes
        if not isinstance(route, PrivateRoute) and "POST" in route.methods  # type: ignore[attr-defined]
    ]
    assert {"/auth/device/register", "/auth/device/login", "/auth/refresh"} <= set(public)
    async with limited(mongo_uri, f"{database}_limits", limit_address_login="3/hour") as park:
        stranger, neighbour = await park.at(), await park.at("198.51.100.1")
        for _ in range(3):
            refused = await stranger.call("POST", "/v1/auth/refresh", {"refresh_token": "x"})
            assert refused.status_code == 401
        for path in public:
            answer = await stranger.http.post(f"/v1{path}", content=b"{" * 1000)
            assert answer.status_code == 429, path
            assert int(answer.headers["Retry-After"]) > 1
        await neighbour.pair("POS")


async def test_R41_ten_wrong_site_keys_an_hour_and_right_ones_do_not_count(
    mongo_uri: str, database: str
) -> None:
    wrong = {"site_key": "NO-SUCH-KEY-AT-ALL", "type": "POS", "name": "x"}
    async with limited(mongo_uri, f"{database}_limits") as park:
        guesser, other = await park.at(), await park.at("198.51.100.1")
        for _ in range(12):
            await guesser.pair("POS")
        for _ in range(10):
            answer = await guesser.call("POST", "/v1/auth/device/register", wrong)
            assert answer.status_code == 401
        refused = await guesser.call("POST", "/v1/auth/device/register", wrong)
        assert refused.status_code == 429
        right = {**wrong, "site_key": "DEMO-MAIN-GATE"}
        same = await guesser.call("POST", "/v1/auth/device/register", right)
        assert same.json()["error"] == refused.json()["error"]
        assert 3500 < int(refused.headers["Retry-After"]) <= 3600
        await other.pair("POS")
        park.clock.advance(timedelta(hours=1))
        await guesser.pair("POS")


async def test_a_busy_till_never_meets_its_limits(mongo_uri: str, database: str) -> None:
    """Thirty sales as fast as the server can, more than any queue of guests."""
    async with limited(mongo_uri, f"{database}_limits") as park:
        till = await (await (await park.at()).pair("POS")).staff()
        await till.open_shift()
        for _ in range(30):
            await till.sell(("Carousel ride", 1))
        assert counted(park.platform.limits.refused) == 0
