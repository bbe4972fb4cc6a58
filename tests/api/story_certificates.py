"""The part of the story that is about tills which sign tickets by themselves (R22)."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from playpark.offline_tickets import public_key_text
from tests.api.story_teller import Story

# The same key in every telling: the examples stay the same.
TILL_KEY = Ed25519PrivateKey.from_private_bytes(b"a till of the story's own making")


async def tell(story: Story) -> None:
    before, story.client.token = story.client.token, story.cashier
    body = {"public_key": public_key_text(TILL_KEY)}
    await story.tell("POST", "/v1/devices/me/certificate", body)
    story.client.token = before
