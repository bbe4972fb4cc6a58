"""The part of the story that is about secrets."""

from tests.api.story_teller import Story


async def tell(story: Story) -> None:
    """Call every route of secrets once."""
    del story
