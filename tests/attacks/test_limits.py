"""Who is counted: the real address, one device, one tenant (ATTACKS 16, 37)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from playpark.errors import ErrorCode
from tests.api.limited import Limited, limited
from tests.api.own_park import OWNER
from tests.outside import Outsider

STRANGER = "203.0.113.7"
PROXY, OUTER = "10.0.0.5", "10.0.9.9"
WRONG = {"site_key": "NO-SUCH-KEY-AT-ALL", "type": "POS", "name": "x"}


async def guess(park: Limited, address: str, forwarded: str | None = None) -> int:
    """Status of a try with a wrong site key."""
    headers = {"X-Forwarded-For": forwarded} if forwarded is not None else {}
    client = await park.at(address, **headers)
    return (await client.call("POST", "/v1/auth/device/register", WRONG)).status_code


@pytest.fixture(scope="module")
async def exposed(mongo_uri: str, database: str) -> AsyncIterator[Limited]:
    """A park whose API stands in the open."""
    async with limited(mongo_uri, f"{database}_37a", limit_enrolment="2/hour") as park:
        yield park


@pytest.fixture(scope="module")
async def proxied(mongo_uri: str, database: str) -> AsyncIterator[Limited]:
    """A park behind proxies."""
    told = {"limit_enrolment": "1/hour", "trusted_proxies": "10.0.0.0/8, ::1"}
    async with limited(mongo_uri, f"{database}_37b", **told) as park:
        yield park


@pytest.mark.parametrize("address", [STRANGER, "127.0.0.1", "::1", PROXY])
async def test_attack_37_a_forwarded_address_is_nothing_without_a_configured_proxy(
    exposed: Limited, address: str
) -> None:
    answers = [await guess(exposed, address, f"198.51.100.{number}") for number in range(4)]
    assert answers == [401, 401, 429, 429]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((STRANGER, "198.51.100.1"), (STRANGER, "198.51.100.2")),
        ((PROXY, "198.51.100.1"), (PROXY, "1.2.3.4, 198.51.100.1")),
        ((PROXY, "198.51.100.1"), (PROXY, f"1.2.3.4, 198.51.100.1, {OUTER}")),
        ((PROXY, "198.51.100.1"), (OUTER, "198.51.100.1:5050")),
        ((PROXY, "198.51.100.1"), (PROXY, "::ffff:198.51.100.1")),
        ((PROXY, "198.51.100.1"), ("198.51.100.1", None)),
        ((PROXY, "2001:db8::1"), (PROXY, "[2001:db8::2]:443")),
        ((PROXY, "2001:db8::1"), (PROXY, "::1, 2001:db8:0:0:9::")),
        ((PROXY, "unknown"), (PROXY, "\x1b[2J, nobody")),
        ((PROXY, f"{PROXY}, {OUTER}"), (OUTER, f"{PROXY}")),
    ],
    ids=str,
)
async def test_attack_37_behind_a_proxy_the_address_that_it_saw_is_counted(
    proxied: Limited, first: tuple[str, str], second: tuple[str, str]
) -> None:
    """Whatever the client wrote in front of it, and however it is spelled."""
    proxied.clock.advance(timedelta(hours=2))
    assert await guess(proxied, *first) == 401
    assert await guess(proxied, *second) == 429
    assert await guess(proxied, PROXY, "192.0.2.99") == 401


async def test_attack_37_one_tenant_at_its_limit_does_not_touch_another(
    mongo_uri: str, database: str
) -> None:
    """Both from the same address, through the same proxy."""
    told = {"limit_device": "10/hour", "limit_device_burst": "1/hour", "limit_employee": "5/hour"}
    async with limited(mongo_uri, f"{database}_37", **told) as park:
        with time_machine.travel(park.clock.now(), tick=False):
            ours = await (await park.at()).pair("GATE")
            office = await (await park.at()).pair("ADMIN")
            await office.staff(email="owner@demo.playpark", pin="8888")
            theirs = await (await park.at()).pair("GATE", "DEMO-OTHER-PARK")
            their_office = await (await park.at()).pair("ADMIN", "DEMO-OTHER-PARK")
            await their_office.staff(email="cashier@other.playpark", pin="1111")
            for client in (ours, office):
                await exhaust(client)
            await theirs.data("GET", "/v1/devices/me")
            await their_office.data("GET", "/v1/employees/me")


async def exhaust(client: Outsider) -> None:
    error: dict[str, Any] | None = None
    for _ in range(30):
        response = await client.call("GET", "/v1/devices/me")
        if error := response.json()["error"]:
            assert (response.status_code, error["code"]) == (429, ErrorCode.RATE_LIMITED)
            assert int(response.headers["Retry-After"]) >= 1
            return
    pytest.fail("no limit was met")


async def test_attack_16_a_flood_of_site_keys_is_429_whatever_comes_at_once(
    mongo_uri: str, database: str
) -> None:
    """Fifty at the same time: ten are looked at, the right one among the rest is not."""
    async with limited(mongo_uri, f"{database}_16") as park:
        client, neighbour = await park.at(), await park.at("198.51.100.1")
        answers = await asyncio.gather(
            *(client.call("POST", "/v1/auth/device/register", WRONG) for _ in range(50))
        )
        statuses = Counter(answer.status_code for answer in answers)
        assert statuses == {401: 10, 429: 40}
        right = {**WRONG, "site_key": "DEMO-MAIN-GATE"}
        refused = await client.call("POST", "/v1/auth/device/register", right)
        assert refused.json()["error"]["code"] == "E_RATE_LIMITED"
        await neighbour.pair("POS")


async def test_attack_16_a_used_or_expired_key_is_401_and_a_pending_device_waits(
    mongo_uri: str, database: str
) -> None:
    async with limited(mongo_uri, f"{database}_16") as park:
        office = await (await (await park.at()).pair("ADMIN")).staff(**OWNER)
        soon = (park.clock.now() + timedelta(minutes=1)).isoformat()
        for told, wait in (({}, 0), ({"uses": None, "expires_at": soon}, 2)):
            key = await office.data("POST", "/v1/site_keys", told)
            body = {**WRONG, "site_key": key["site_key"]}
            paired = await office.data("POST", "/v1/auth/device/register", body)
            assert paired["status"] == "pending"
            login = {name: paired[name] for name in ("device_id", "device_token")}
            waits = await office.call("POST", "/v1/auth/device/login", login)
            assert (waits.status_code, waits.json()["error"]["code"]) == (403, "E_DEVICE_PENDING")
            park.clock.advance(timedelta(minutes=wait))
            replayed = await office.call("POST", "/v1/auth/device/register", body)
            assert replayed.status_code == 401
