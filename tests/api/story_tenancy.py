"""The part of the story that is about stores, site keys and devices: a branch opens at the lake."""

from tests.api.story_teller import OWNER, Story
from tests.outside import Outsider


async def tell(story: Story) -> None:
    """Call every route of tenancy once."""
    before = story.client.token
    office = await (await Outsider(story.client.http).pair("ADMIN")).staff(**OWNER)
    story.client.token = office.token
    await story.tell("GET", "/v1/tenants/me")
    lake = {
        "name": "Lakeside",
        "address": "1 Lake Road, Bangkok 10110",
        "receipt_header": ["สวนสนุกริมน้ำ"],
        "receipt_footer": ["Thank you! / ขอบคุณค่ะ"],
        "paper_width_mm": 58,
    }
    store_id = (await story.tell("POST", "/v1/stores", lake))["store_id"]
    await story.tell("GET", "/v1/stores", limit=2)
    store = f"/v1/stores/{store_id}"
    await story.tell("PATCH", store, {"logo_ref": "lake.png"}, name="/v1/stores/{store_id}")
    await _pair_and_look_after(story, store_id)
    await office.data("PATCH", store, {"active": False})
    story.client.token = before


async def _pair_and_look_after(story: Story, store_id: str) -> None:
    there = {"store_id": store_id}
    twice = {"uses": 2, "expires_at": "2100-01-01T09:00:00+07:00"}
    key = await story.tell("POST", "/v1/site_keys", twice, **there)
    await story.tell("GET", "/v1/site_keys", **there)
    gate = {"site_key": key["site_key"], "type": "GATE", "name": "Pier gate"}
    paired = await story.client.data("POST", "/v1/auth/device/register", gate)
    name = "/v1/site_keys/{site_key_id}/withdraw"
    await story.tell("POST", name.format(**key), name=name, **there)
    name = "/v1/devices/{device_id}"
    one = name.format(**paired)
    await story.tell("GET", one, name=name, **there)
    caps = {"notes": "Cable under the mat", "caps": {"offline_cap": {"sales": 50}}}
    await story.tell("PATCH", one, caps, name=name, **there)
    outage = {"delay_ms": 3000, "lost_answers": 20}
    await story.tell("PUT", f"{one}/qa", outage, name=f"{name}/qa", **there)
    await story.tell("GET", f"{one}/qa", name=f"{name}/qa", **there)
    for step in ("approve", "suspend", "resume", "rotate", "revoke"):
        await story.tell("POST", f"{one}/{step}", name=f"{name}/{step}", **there)
