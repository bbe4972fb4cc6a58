"""The part of the story that is about audit."""

from tests.api.story_teller import Story


async def tell(story: Story) -> None:
    """Call every route of audit once."""
    del story
