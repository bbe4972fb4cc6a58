"""The part of the story that is about secrets and feature flags."""

from tests.api.story_teller import Story


async def tell(story: Story) -> None:
    """Call every route of secrets and feature flags once."""
    story.client.token = story.owner
    await story.tell("GET", "/v1/feature_flags")
    on = {"scope": "store", "features": {"webhooks": True}}
    await story.tell("PUT", "/v1/feature_flags", on)
    await story.tell("GET", "/v1/secrets")
    name = "/v1/secrets/{name}/rotate"
    await story.tell("POST", "/v1/secrets/ticket_hmac/rotate", {"grace_hours": 24}, name=name)
