"""Queries on the event outbox."""

from api.events.models import Event
from api.platform.repository import Repository


class EventRepository(Repository[Event]):
    model = Event
