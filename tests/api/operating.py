"""The operator of all parks, as a client: logged in by email and password."""

from typing import Any

import httpx

from api.provider import operators
from playpark.clock import SystemClock
from tests.api.inside import Inside
from tests.outside import Outsider

EMAIL = "operator@demo.playpark"
PASSWORD = "demo-operator-password"
LOGIN = {"email": EMAIL, "password": PASSWORD}
NEW_PARK = {
    "name": "River Park",
    "legal_name": "River Park Co., Ltd.",
    "tz": "Asia/Bangkok",
    "store_name": "North Bank",
    "owner_name": "Ploy",
    "owner_email": "owner@river.example",
    "owner_pin": "739152",
}


async def operator(http: httpx.AsyncClient, **who: Any) -> Outsider:
    """A client with a provider token."""
    client = Outsider(http)
    session = await client.data("POST", "/v1/provider/login", {**LOGIN, **who})
    client.token = session["access_token"]
    return client


async def refusal(
    client: Outsider, method: str, path: str, body: Any = None, **more: Any
) -> tuple[int, str]:
    """Status and error code of a call that is refused."""
    response = await client.call(method, path, body, **more)
    return response.status_code, response.json()["error"]["code"]


async def begin_again(park: Inside) -> None:
    """The present time, and one operator who has not done anything yet."""
    now = SystemClock().now()
    park.clock.advance(now - park.clock.now())
    for name in (
        *("operators", "authenticators", "pin_attempts", "budgets", "audits", "audit_heads"),
        "audit_refusals",
        *("device_heartbeats", "provider_alerts", "job_leases"),
    ):
        await park.platform.mongo.db[name].delete_many({})
    await operators.create(park.platform, EMAIL, PASSWORD)
