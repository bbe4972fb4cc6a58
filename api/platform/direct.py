"""The blocking driver in the words of the awaited one, for a transaction with a thread of its own.

Each awaited statement is a hop to a thread and back. A transaction of six short ones spends as much
on hops as on statements, so the shortest run in one thread, where every await returns at once
(decision 0018).
"""

import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class DirectCursor:
    """A cursor of the blocking driver."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def sort(self, *key: Any) -> "DirectCursor":
        self._cursor.sort(*key)
        return self

    def limit(self, limit: int) -> "DirectCursor":
        self._cursor.limit(limit)
        return self

    async def to_list(self, length: int | None) -> list[Any]:
        found: list[Any] = self._cursor.to_list(length)
        return found

    async def __aiter__(self) -> AsyncIterator[Any]:
        for each in self._cursor:
            yield each


class DirectCollection:
    """A collection of the blocking driver: what it is asked, it has done when the call returns."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    def find(self, *args: Any, **options: Any) -> DirectCursor:
        return DirectCursor(self._collection.find(*args, **options))

    def aggregate(self, *args: Any, **options: Any) -> DirectCursor:
        return DirectCursor(self._collection.aggregate(*args, **options))

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._collection, name)

        async def done(*args: Any, **options: Any) -> Any:
            return method(*args, **options)

        return done


class DirectSession:
    """A session of the blocking driver; `delegate` is what its collections take."""

    def __init__(self, session: Any) -> None:
        self.delegate = session

    @property
    def in_transaction(self) -> bool:
        return bool(self.delegate.in_transaction)

    def start_transaction(self, **options: Any) -> None:
        self.delegate.start_transaction(**options)

    async def commit_transaction(self) -> None:
        self.delegate.commit_transaction()

    async def abort_transaction(self) -> None:
        self.delegate.abort_transaction()


@asynccontextmanager
async def direct_session(client: Any) -> AsyncIterator[DirectSession]:
    """A session of the blocking client, ended with the block."""
    with client.start_session() as session:
        yield DirectSession(session)


async def direct_sleep(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251 - the thread is ours alone


def drive(effect: Coroutine[Any, Any, T]) -> T:
    """Run what never waits to its end, without an event loop.

    Raises RuntimeError for an effect that waits for something else than the direct database.
    """
    try:
        effect.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    effect.close()
    msg = "an effect with a thread to itself may wait for the database only"
    raise RuntimeError(msg)
