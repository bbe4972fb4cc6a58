"""The part of the story that is about tenancy."""

from tests.api.story_teller import Story


async def tell(story: Story) -> None:
    """Call every route of tenancy once."""
    del story
