"""What the commands share: where the database is, and a platform to work on."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pymongo.errors import PyMongoError

from api.app import prepare
from api.platform.embedded import EmbeddedMongo, EmbeddedMongoError
from api.platform.logs import configure_logging
from api.platform.mongo import Mongo
from api.platform.services import Platform
from api.platform.settings import Settings, load_settings
from playpark.errors import ErrorCode, PlayParkError

T = TypeVar("T")
DEFAULT_DATA = Path(".data/mongo")
Embedded = Annotated[
    bool, typer.Option("--embedded", help="The database is the API's own MongoDB.")
]
Data = Annotated[Path, typer.Option(help="Folder of the embedded MongoDB's data.")]


@contextlib.contextmanager
def database(settings: Settings, *, embedded: bool, data: Path) -> Iterator[str]:
    """The configured server, or an embedded one for as long as the block lasts."""
    if settings.mongodb_uri:
        yield settings.mongodb_uri
    elif embedded:
        try:
            with EmbeddedMongo(data) as server:
                yield server.uri
        except EmbeddedMongoError as failed:
            raise PlayParkError(ErrorCode.UNAVAILABLE, str(failed)) from failed
    else:
        message = "No database: set MONGODB_URI, or start with --embedded for a MongoDB of its own."
        raise PlayParkError(ErrorCode.VALIDATION, message)


def on_platform(action: Callable[[Platform], Awaitable[T]], *, embedded: bool, data: Path) -> T:
    """Run one action on the database of the environment, with its indexes made.

    Raises PlayParkError for what the action refuses, and where the database is not there.
    """

    async def prepared(settings: Settings, mongo: Mongo) -> T:
        platform = await prepare(settings, mongo)
        try:
            return await action(platform)
        finally:
            platform.close()

    return on_mongo(prepared, embedded=embedded, data=data)


def on_mongo(action: Callable[[Settings, Mongo], Awaitable[T]], *, embedded: bool, data: Path) -> T:
    """The same for an action that takes the database as it is and changes nothing in it."""
    settings = load_settings()
    configure_logging(settings.log_level)

    async def run(uri: str) -> T:
        mongo = Mongo(uri, settings.database)
        try:
            return await action(settings, mongo)
        except PyMongoError as lost:
            message = "MongoDB does not answer any more: run the command again."
            raise PlayParkError(ErrorCode.UNAVAILABLE, message) from lost
        finally:
            mongo.close()

    with database(settings, embedded=embedded, data=data) as uri:
        return asyncio.run(run(uri))
