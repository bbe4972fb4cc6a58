"""Writing events to the outbox in the effect's transaction (R47)."""

from typing import Any

from api.events.models import Event
from api.events.repository import EventRepository
from api.platform.scope import Scope
from api.platform.uow import Work
from playpark.ids import new_ulid


async def emit(work: Work, scope: Scope, *events: tuple[str, dict[str, Any]]) -> None:
    """Add (type, data) events. Data holds ids and amounts, never tokens."""
    documents = [
        Event(
            id=new_ulid(),
            tenant_id=scope.tenant_id,
            store_id=scope.store_id,
            type=event_type,
            occurred_at=work.now,
            data=data,
        )
        for event_type, data in events
    ]
    await EventRepository.of(work, scope).insert_many(documents)
