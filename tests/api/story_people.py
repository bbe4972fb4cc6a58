"""The part of the story that is about people."""

from tests.api.story_teller import Story


async def tell(story: Story) -> None:
    """Call every route of people once."""
    del story
