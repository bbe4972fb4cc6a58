"""The part of the story that is about people: somebody is hired, promoted, and leaves."""

from tests.api.story_teller import Story


async def tell(story: Story) -> None:
    """Call every route of people once."""
    before, story.client.token = story.client.token, story.owner
    helper = {"name": "Ride helper", "permissions": ["redeem"]}
    role_id = (await story.tell("POST", "/v1/roles", helper))["role_id"]
    await story.tell("GET", "/v1/roles")
    more = {"permissions": ["redeem", "reprint"]}
    await story.tell("PATCH", f"/v1/roles/{role_id}", more, name="/v1/roles/{role_id}")
    await story.tell("GET", "/v1/roles/matrix")

    people = (await story.tell("GET", "/v1/employees", q="nok"))["items"]
    store_id = people[0]["memberships"][0]["store_id"]
    place = {"store_id": store_id, "role_ids": [role_id], "active": True}
    dao = {"name": "Dao Suwan", "email": "dao@demo.playpark", "memberships": [place]}
    employee_id = (await story.tell("POST", "/v1/employees", dao))["employee_id"]
    one, name = f"/v1/employees/{employee_id}", "/v1/employees/{employee_id}"
    await story.tell("GET", one, name=name)
    cashier = people[0]["memberships"][0]["role_ids"]
    promoted = {"memberships": [{**place, "role_ids": [*cashier, role_id]}]}
    await story.tell("PUT", f"{one}/memberships", promoted, name=f"{name}/memberships")
    await story.tell("POST", f"{one}/reset_pin", {}, name=f"{name}/reset_pin")
    await story.tell("PATCH", one, {"status": "suspended"}, name=name)
    await story.tell("GET", "/v1/access_logs", limit=3)
    story.client.token = before
