"""The story of tickets that are lost, taken back and cancelled."""

from playpark.ids import new_ulid
from tests.api.story_teller import Story

WHY = {"reason_code": "customer_request"}


async def tell(story: Story) -> None:
    """At a till whose shift is open for it alone."""
    client = story.client
    before, client.token = client.token, story.cashier
    await client.open_shift(0)
    sold = await client.sell(("Carousel ride", 3))
    taken_back, lost, cancelled = sold["tickets"]
    body = {"qr_token": taken_back["qr_token"]}
    passed = await client.data("POST", "/v1/tickets/redeem", body)
    path = f"/v1/redemptions/{passed['redemption_id']}/annul"
    name = "/v1/redemptions/{redemption_id}/annul"
    await story.tell("POST", path, {"reason_text": "turnstile jammed"}, name=name, key=True)
    for route, action, ticket in (
        ("exchange", "exchange", lost),
        ("cancel", "ticket_cancel", cancelled),
    ):
        yes = await story.approval(action, ticket["ticket_id"])
        asked = {"ticket_id": ticket["ticket_id"], **WHY}
        await story.tell("POST", f"/v1/tickets/{route}", asked, key=True, approval=yes)
    await client.data("POST", "/v1/shifts/close", {"cash_counted": 12_000}, key=new_ulid())
    client.token = before
