"""The part of the story at the gates: who is inside."""

from tests.api.story_teller import Story


async def tell(story: Story) -> None:
    before, story.client.token = story.client.token, story.supervisor
    await story.tell("GET", "/v1/gate/occupancy")
    story.client.token = before
