"""Writing events to the outbox in the effect's transaction (R47)."""

from typing import Any

from api.events.repository import EventRepository
from api.platform.scope import Scope
from api.platform.uow import Work
from playpark.ids import new_ulid


async def emit(work: Work, scope: Scope, *events: tuple[str, dict[str, Any]]) -> None:
    """Add (type, data) events. Data holds ids and amounts, never tokens."""
    bodies = [
        {
            "id": new_ulid(),
            "type": event_type,
            "occurred_at": work.now,
            "data": data,
            "pos": None,
        }
        for event_type, data in events
    ]
    await EventRepository.of(work, scope).insert_plain(*bodies)
