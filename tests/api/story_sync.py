"""The part of the story that is about what could not be booked, and who decides about it (R35)."""

from playpark.ids import new_ulid
from tests.api.story_teller import Story

LETTERS = "/v1/sync/dead_letters"


async def tell(story: Story) -> None:
    before, story.client.token = story.client.token, story.supervisor
    unknown = {"lines": [{"package_id": new_ulid(), "qty": 1}]}
    paid = {"payments": [{"method": "cash", "amount": 39_800}]}
    op = {
        "op_id": new_ulid(),
        "kind": "sale",
        "seq": 100,
        "schema_version": 1,
        "committed": True,
        "occurred_at": (await story.client.data("GET", "/v1/time"))["now"],
        "body": unknown | paid,
    }
    batch = {"epoch": 1, "ops": [op]}
    (kept,) = (await story.client.data("POST", "/v1/sync/batch", batch))["results"]
    await story.tell("GET", LETTERS, status="open")
    letter_id = kept["dead_letter_id"]
    path = f"{LETTERS}/{letter_id}"
    await story.tell("GET", path, name=LETTERS + "/{dead_letter_id}")
    body = {"action": "dismiss", "reason_code": "customer_request"}
    approval = await story.approval("dead_letter", letter_id)
    name = LETTERS + "/{dead_letter_id}/resolve"
    await story.tell("POST", f"{path}/resolve", body, name=name, approval=approval)
    device_id = (await story.client.data("GET", "/v1/devices/me"))["device_id"]
    bundle = {"device_id": device_id, "epoch": 1, "ops": [{**op, "op_id": new_ulid(), "seq": 101}]}
    await story.tell("POST", "/v1/sync/bundles", bundle)
    story.client.token = before
