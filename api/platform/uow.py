"""The unit of work: the only writer of the database (DESIGN: principles).

Retries transient transaction errors with a fresh session and full jitter, retries an unknown
commit by commit alone, always ends the session, and gives up at its deadline with 503.
"""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import pymongo
from pymongo import InsertOne, UpdateOne
from pymongo.errors import (
    ConnectionFailure,
    DuplicateKeyError,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from api.platform.crew import Crew
from api.platform.direct import direct_sleep, drive
from api.platform.mongo import Mongo
from playpark.clock import Clock
from playpark.errors import ErrorCode, PlayParkError

T = TypeVar("T")
BASE_DELAY, MAX_DELAY = 0.005, 0.25
TRANSIENT = "TransientTransactionError"
UNKNOWN_COMMIT = "UnknownTransactionCommitResult"
Later = dict[str, list[InsertOne[dict[str, Any]] | UpdateOne]]
"""Writes whose result nobody waits for, by collection."""
_here = threading.local()
"""`_here.apart` is set in the threads of `run_apart`."""


@dataclass(slots=True)
class Work:
    """What repositories write and read through: a database, and a session inside a transaction.
    `apart`: in a thread of its own, where calls of the driver may block. `later`: what is written
    before the commit, with what others write in the same transaction."""

    mongo: Mongo
    now: datetime
    session: Any = None
    apart: bool = False
    later: Later | None = None

    def collection(self, name: str) -> Any:
        return self.mongo.direct(name) if self.apart else self.mongo.collection(name)


@dataclass(slots=True)
class UnitOfWork:
    mongo: Mongo
    clock: Clock
    deadline: float = 5.0
    """Seconds for all tries of one transaction (R35)."""
    _locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    _crew: Crew = field(init=False)

    def __post_init__(self) -> None:
        self._crew = Crew(self._alone, self._together)

    def reading(self) -> Work:
        """For queries, and single-document writes that stand alone, outside a transaction."""
        return Work(self.mongo, self.clock.now(), apart=getattr(_here, "apart", False))

    def close(self) -> None:
        """Let go of the threads of `run_apart`."""
        self._crew.close()

    @asynccontextmanager
    async def at_one_moment(self) -> AsyncIterator[Work]:
        """For reads that all see the database as it is at one moment: what is booked meanwhile is
        seen with all its parts or not at all. MongoDB keeps a moment for five minutes."""
        async with await self.mongo.client.start_session(snapshot=True) as session:
            yield Work(self.mongo, self.clock.now(), session)

    @asynccontextmanager
    async def one_at_a_time(self, key: str) -> AsyncIterator[None]:
        """Queue behind the others of this process that use the same key (R45).

        Raises E_UNAVAILABLE where the queue does not move within the deadline.
        """
        if (lock := self._locks.get(key)) is None:
            lock = self._locks[key] = asyncio.Lock()
        try:
            async with asyncio.timeout(self.deadline):
                await lock.acquire()
        except TimeoutError:
            raise unavailable() from None
        try:
            yield
        finally:
            lock.release()

    async def run(self, effect: Callable[[Work], Awaitable[T]], *, queue: str | None = None) -> T:
        """Run `effect` in one transaction and return what it returned after the commit.

        Writers of one hash chain name it as their `queue`, so that they do not collide in the
        database; other processes are kept apart by the head's condition. `effect` may run several
        times and must touch nothing but the database. Raises what it raises (nothing is written
        then), DuplicateKeyError, or E_UNAVAILABLE at the deadline.
        """
        if queue is None:
            return await self._run(effect, time.monotonic() + self.deadline)
        async with self.one_at_a_time(queue):
            return await self._run(effect, time.monotonic() + self.deadline)

    async def run_apart(self, effect: Callable[[Work], Awaitable[T]]) -> T:
        """`run` in one thread from the first statement to the commit, together with others that
        wait for the same: for what a queue of people waits for.

        The `effect` may wait for nothing but the database, and has no turn in an audit chain; what
        it inserts with `insert_plain` it does not read again. Raises what `run` raises.
        """
        result: T = await self._crew.do(effect, time.monotonic() + self.deadline)
        return result

    def _alone(self, effect: Callable[[Work], Awaitable[Any]], ends_at: float) -> Any:
        _here.apart = True
        return drive(self._run(effect, ends_at, apart=True))

    def _together(
        self, effects: Sequence[Callable[[Work], Awaitable[Any]]], ends_at: float
    ) -> Sequence[Any]:
        """One try of all of them in one transaction."""
        _here.apart = True

        async def all_of_them(work: Work) -> list[Any]:
            later: Later = {}
            results = [await effect(replace(work, later=later)) for effect in effects]
            for name, writes in later.items():
                await work.collection(name).bulk_write(writes, session=work.session)
            return results

        with pymongo.timeout(max(0.05, ends_at - time.monotonic())):
            return drive(self._attempt(all_of_them, ends_at, apart=True))

    async def _run(
        self, effect: Callable[[Work], Awaitable[T]], ends_at: float, *, apart: bool = False
    ) -> T:
        sleep = direct_sleep if apart else asyncio.sleep
        for attempt in range(1_000):
            if apart and time.monotonic() > ends_at:
                break  # it has waited for its thread all the time
            try:
                # The driver gives up with the deadline too, even where a server hangs.
                with pymongo.timeout(max(0.05, ends_at - time.monotonic())):
                    return await self._attempt(effect, ends_at, apart=apart)
            except PyMongoError as error:
                if not _is_transient(error):
                    raise
                delay = random.uniform(0, min(MAX_DELAY, BASE_DELAY * 2 ** min(attempt, 10)))
                if time.monotonic() + delay > ends_at:
                    raise unavailable() from error
                await sleep(delay)
        raise unavailable()

    @asynccontextmanager
    async def _session(self, *, apart: bool) -> AsyncIterator[tuple[Any, Any]]:
        """A session, and the same as collections take it."""
        if apart:
            async with self.mongo.direct_session() as direct:
                yield direct, direct.delegate
        else:
            async with await self.mongo.client.start_session() as session:
                yield session, session

    async def _attempt(
        self, effect: Callable[[Work], Awaitable[T]], ends_at: float, *, apart: bool
    ) -> T:
        async with self._session(apart=apart) as (session, inner):
            session.start_transaction(
                read_concern=ReadConcern("snapshot"),
                write_concern=WriteConcern("majority", j=True),
            )
            try:
                result = await effect(Work(self.mongo, self.clock.now(), inner, apart))
            except BaseException:
                await _abort(session)
                raise
            await self._commit(session, ends_at, direct_sleep if apart else asyncio.sleep)
            return result

    async def _commit(
        self, session: Any, ends_at: float, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        while True:
            try:
                await session.commit_transaction()
            except PyMongoError as error:
                # Only the commit is repeated: the effect may already stand.
                if not error.has_error_label(UNKNOWN_COMMIT):
                    raise
                if time.monotonic() > ends_at:
                    raise unavailable() from error
                await sleep(random.uniform(0, MAX_DELAY))
            else:
                return


async def _abort(session: Any) -> None:
    if session.in_transaction:
        try:
            await session.abort_transaction()
        except PyMongoError:
            return  # the server ends it by itself when the session is gone


def _is_transient(error: PyMongoError) -> bool:
    if isinstance(error, DuplicateKeyError):
        return False
    if error.has_error_label(TRANSIENT):
        return True
    # Losing the primary between two statements carries no label in every driver version.
    lost = isinstance(error, ConnectionFailure | NetworkTimeout)
    return lost or (isinstance(error, OperationFailure) and error.code in {112, 251})


def is_outage(error: PyMongoError) -> bool:
    """The database is away or too slow: the same request may succeed later. Any other error is a
    fault of ours."""
    return error.timeout or isinstance(error, ConnectionFailure)


def unavailable() -> PlayParkError:
    """503: nothing is known to be written; the same op_id may be sent again."""
    message = "The server is busy or without its database: send the same request again."
    return PlayParkError(ErrorCode.UNAVAILABLE, message, retry_after=2)
