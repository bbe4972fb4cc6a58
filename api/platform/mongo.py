"""The connection to MongoDB: one client a process, majority writes, always a deadline."""

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from odmantic import AIOEngine, Model
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from api.platform.direct import DirectCollection, DirectSession, direct_session
from playpark.errors import ErrorCode, PlayParkError

TIMEOUTS = {"timeoutMS": 10_000, "serverSelectionTimeoutMS": 10_000}
"""A hung primary blocks a client for ever without them."""


class Mongo:
    """The client, its database and the ODM engine, shared by the whole process."""

    def __init__(self, uri: str, database: str) -> None:
        try:
            told = parse_uri(uri)["options"]
        except (PyMongoError, ValueError) as bad:
            message = f"MONGODB_URI is not a MongoDB address: {bad}"
            raise PlayParkError(ErrorCode.VALIDATION, message) from None
        # What the address says about time-outs wins; how writes are acknowledged is ours.
        patience: dict[str, Any] = {
            name: ms for name, ms in TIMEOUTS.items() if name.lower() not in told
        }
        self.client: Any = AsyncIOMotorClient(
            uri,
            w="majority",
            journal=True,
            retryWrites=True,
            tz_aware=True,
            appname="playpark-api",
            **patience,
        )
        self.db: AsyncIOMotorDatabase[Any] = self.client[database]
        self.engine = AIOEngine(client=self.client, database=database)
        self._collections: dict[str, Any] = {}
        self._direct: dict[str, DirectCollection] = {}

    def collection(self, name: str) -> Any:
        """A collection of the database. Kept: the driver builds two objects for each asking."""
        if (found := self._collections.get(name)) is None:
            found = self._collections[name] = self.db[name]
        return found

    def direct(self, name: str) -> DirectCollection:
        """The same collection for a thread of its own: its calls block."""
        if (found := self._direct.get(name)) is None:
            found = self._direct[name] = DirectCollection(self.db.delegate[name])
        return found

    def direct_session(self) -> AbstractAsyncContextManager[DirectSession]:
        """A session for the collections of `direct`."""
        return direct_session(self.client.delegate)

    async def ping(self) -> None:
        """Raises PlayParkError E_UNAVAILABLE where no writable replica-set member answers."""
        try:
            hello = await self.client.admin.command("hello")
        except PyMongoError as lost:
            message = "MongoDB does not answer: check MONGODB_URI and that the server runs."
            raise PlayParkError(ErrorCode.UNAVAILABLE, message) from lost
        if "setName" not in hello and hello.get("msg") != "isdbgrid":
            message = "MongoDB must run as a replica set (transactions): start it with --replSet."
            raise PlayParkError(ErrorCode.UNAVAILABLE, message)

    async def create_indexes(self, models: Iterable[type[Model]]) -> None:
        """Create collections and indexes; harmless where they exist."""
        await self.engine.configure_database(list(models))

    def close(self) -> None:
        self.client.close()
