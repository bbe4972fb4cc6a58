"""The part of the story that is about proving who one is: an authenticator app comes and goes."""

from datetime import UTC, datetime, timedelta

import pyotp

from tests.api.story_teller import OWNER, Story


async def tell(story: Story) -> None:
    """Call every route of step-ups and codes once."""
    before, story.client.token = story.client.token, story.owner
    room = "/v1/employees/me/totp"
    app = pyotp.TOTP((await story.tell("POST", room))["secret"])
    await story.tell("POST", f"{room}/confirm", {"code": app.at(datetime.now(UTC))})
    soon = app.at(datetime.now(UTC) + timedelta(seconds=30))  # each code works once
    proof = {"pin": OWNER["pin"], "totp": soon}
    await story.tell("POST", "/v1/auth/step_up", proof)
    await story.tell("DELETE", room)
    people = (await story.client.data("GET", "/v1/employees", q="somchai"))["items"]
    who, name = people[0]["employee_id"], "/v1/employees/{employee_id}/reset_totp"
    await story.tell("POST", f"/v1/employees/{who}/reset_totp", name=name)
    story.client.token = before
