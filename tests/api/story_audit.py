"""The part of the story that is about the audit trail, and about one ticket's story in it."""

from tests.api.story_teller import Story


async def tell(story: Story) -> None:
    """Call every route of the trail once."""
    before, story.client.token = story.client.token, story.owner
    await story.tell("GET", "/v1/audits", event_type="sale", limit=2)
    await story.tell("GET", "/v1/audits/verify")
    await story.tell("GET", "/v1/audits/anchors")
    sales = await story.client.data("GET", "/v1/sales", limit=200)
    refunded = next(each for each in sales["items"] if each["refunded"])
    tickets = await story.client.data("GET", "/v1/tickets", sale_id=refunded["sale_id"])
    name = "/v1/tickets/{ticket_id}/timeline"
    ticket_id = tickets["items"][0]["ticket_id"]
    await story.tell("GET", f"/v1/tickets/{ticket_id}/timeline", name=name)
    story.client.token = before
