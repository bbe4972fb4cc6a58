"""The part of the story that is about provider."""

from tests.api.story_teller import Story


async def tell(story: Story) -> None:
    """Call every route of provider once."""
    del story
