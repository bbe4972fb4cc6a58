"""What the tests of approvals share: what is asked for, and a park that is put back after each."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.api.drawers import SUPERVISOR
from tests.api.inside import Inside

SALE = "01HZZZZZZZZZZZZZZZZZZZSALE"


def asking(action: str = "refund", entity_id: str = SALE, **more: Any) -> dict[str, Any]:
    return {**SUPERVISOR, "action": action, "entity_id": entity_id, **more}


async def let_everybody(park: Inside, permissions: list[str]) -> None:
    """Give all roles these permissions."""
    await park.platform.mongo.db["roles"].update_many({}, {"$set": {"permissions": permissions}})


@asynccontextmanager
async def put_back(park: Inside) -> AsyncIterator[Inside]:
    """The park, its clock and its roles as they were put back afterwards."""
    clock, roles = park.clock, park.platform.mongo.db["roles"]
    began, before = clock.now(), await roles.find().to_list(None)
    yield park
    clock.advance(began - clock.now())
    for role in before:
        await roles.replace_one({"_id": role["_id"]}, role)
