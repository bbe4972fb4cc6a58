"""The part of the story that is about provider."""

import time

import pyotp

from tests.api.operating import EMAIL, LOGIN, NEW_PARK, PASSWORD
from tests.api.story_teller import Story


async def tell(story: Story) -> None:
    """Call every route of provider once."""
    client, device = story.client, story.client.token
    beat = {
        "app_version": "0.1.0",
        "queued": 2,
        "oldest_queued_at": "2026-11-21T08:41:30Z",
        "clock_offset_ms": 180_000,
        "printer": "ok",
        "camera": "none",
        "catalog_version": 1,
        "free_disk": 52_000_000_000,
    }
    await story.tell("POST", "/v1/provider/heartbeats", beat)
    client.token = story.owner
    await story.tell("GET", "/v1/usage/billing/usage")
    client.token = ""
    client.token = (await story.tell("POST", "/v1/provider/login", LOGIN))["access_token"]
    await _serve(story)
    await _keep_safe(story)
    client.token = device


async def _serve(story: Story) -> None:
    made = await story.tell("POST", "/v1/provider/tenants", NEW_PARK)
    await story.tell("GET", "/v1/provider/tenants")
    one, name = f"/v1/provider/tenants/{made['tenant_id']}", "/v1/provider/tenants/{tenant_id}"
    await story.tell("GET", one, name=name)
    await story.tell("PATCH", one, {"billing_plan": "season", "status": "suspended"}, name=name)
    await story.tell("GET", "/v1/provider/devices")
    alerts = await story.tell("GET", "/v1/provider/alerts", open="true")
    alert_id = alerts["items"][0]["alert_id"]
    name = "/v1/provider/alerts/{alert_id}/ack"
    await story.tell("POST", f"/v1/provider/alerts/{alert_id}/ack", name=name)
    for what in ("audits", "usage", "billing/usage"):
        await story.tell("GET", f"/v1/provider/{what}")


async def _keep_safe(story: Story) -> None:
    """The password stays what it is, so that the story can be told again."""
    client = story.client
    changed = {"password": PASSWORD, "new_password": PASSWORD}
    session = await story.tell("POST", "/v1/provider/password", changed)
    client.token = session["access_token"]
    assert session["operator"]["email"] == EMAIL
    app = await story.tell("POST", "/v1/provider/totp", {"password": PASSWORD})
    codes = pyotp.TOTP(app["secret"])
    await story.tell("POST", "/v1/provider/totp/confirm", {"code": codes.now()})
    # Begun anew and not confirmed: the login stays without codes.
    following = codes.at(int(time.time()), counter_offset=1)
    await client.data("POST", "/v1/provider/totp", {"password": PASSWORD, "totp": following})
    await story.tell("POST", "/v1/provider/logout")
