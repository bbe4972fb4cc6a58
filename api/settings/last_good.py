"""The last good copy of what could be read, for as long as the database does not answer (R46)."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from pymongo.errors import PyMongoError

from api.platform.health import Metrics
from api.platform.mongo import Mongo
from api.platform.uow import is_outage
from playpark.contracts.settings import FeatureFlagsView, SettingsView

V = TypeVar("V", SettingsView, FeatureFlagsView)
_CACHE_SIZE = 1_000


class LastGood(Generic[V]):
    """What this process has read or written, by its place. `what` names it in the metrics."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._kept: WeakKeyDictionary[Mongo, dict[str, V]] = WeakKeyDictionary()

    async def read(
        self, mongo: Mongo, metrics: Metrics, place: str, read: Callable[[], Awaitable[V]]
    ) -> V:
        """What `read` gives, or in an outage what it gave last, marked as stale. Raises what `read`
        raises where there is no copy."""
        try:
            return self.keep(mongo, place, await read())
        except PyMongoError as lost:
            copy = self._kept.get(mongo, {}).get(place)
            if copy is None or not is_outage(lost):
                raise
            metrics.stale(self._what)
            return copy.model_copy(update={"stale": True})

    def keep(self, mongo: Mongo, place: str, view: V) -> V:
        """Remember what was just read or written."""
        kept = self._kept.setdefault(mongo, {})
        kept.pop(place, None)
        while len(kept) >= _CACHE_SIZE:
            kept.pop(next(iter(kept)))
        kept[place] = view
        return view
