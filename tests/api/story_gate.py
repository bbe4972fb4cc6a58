"""The part of the story that is about what gates keep: a gate fetches its list."""

from tests.api.story_teller import Story
from tests.outside import Outsider


async def tell(story: Story) -> None:
    """Call every route for gates once."""
    before = story.client.token
    gate = await Outsider(story.client.http).pair("GATE")
    story.client.token = gate.token
    await story.tell("GET", "/v1/gate/bootstrap", window=60)
    story.client.token = before
