"""`playpark api`: the server. `playpark reconcile`: the proof of its books."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from pydantic import TypeAdapter, ValidationError
from pymongo.errors import PyMongoError
from rich.console import Console
from uvicorn.loops.auto import auto_loop_factory

from api.app import create_app, prepare
from api.platform.embedded import EmbeddedMongo, EmbeddedMongoError
from api.platform.http_protocol import BoundedHttpProtocol
from api.platform.logs import configure_logging
from api.platform.mongo import Mongo
from api.platform.settings import Environment, Settings, load_settings
from api.platform.uow import UnitOfWork
from api.reports import command
from api.reports import nightly as jobs
from playpark.clock import BusinessDate, SystemClock
from playpark.contracts.reports import Reconciliation
from playpark.errors import ErrorCode, PlayParkError


def register(app: typer.Typer) -> None:
    """Add `playpark api` and `playpark reconcile`."""

    @app.command()
    def api(
        embedded: Annotated[
            bool, typer.Option("--embedded", help="Start a MongoDB for this server alone.")
        ] = False,
        demo: Annotated[bool, typer.Option("--demo", help="Load the demo park.")] = False,
        host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
        port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
        data: Annotated[Path, typer.Option(help="Folder of the embedded MongoDB's data.")] = Path(
            ".data/mongo"
        ),
        nightly: Annotated[
            bool | None,
            typer.Option(
                "--nightly/--no-nightly",
                help="Reconcile each store's last days in the background.",
                show_default="on; off with ENVIRONMENT=test",
            ),
        ] = None,
    ) -> None:
        """Serve the API."""
        settings = load_settings()
        configure_logging(settings.log_level)
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(_listen(host, settings.port if port is None else port))
            uri = stack.enter_context(_database(settings, embedded=embedded, data=data))
            if nightly is None:
                nightly = settings.environment is not Environment.TEST
            serve(settings, uri, listener, demo=demo, nightly=nightly)

    @app.command()
    def reconcile(
        day: Annotated[
            str | None,
            typer.Option("--date", help="Trading day, such as 2026-11-21; by default yesterday's."),
        ] = None,
        store: Annotated[str | None, typer.Option(help="Id of one store; by default all.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
        embedded: Annotated[
            bool, typer.Option("--embedded", help="The books are in the API's own MongoDB.")
        ] = False,
        data: Annotated[Path, typer.Option(help="Folder of the embedded MongoDB's data.")] = Path(
            ".data/mongo"
        ),
    ) -> None:
        """Prove that sales, payments, shifts, tickets and Z reports of a day agree.

        Exit code 0: whole; 1: a document breaks the books; 2: nothing could be checked.
        """
        try:
            results = _reconcile(_day(day), store, embedded=embedded, data=data)
        except PlayParkError as refusal:
            typer.echo(f"playpark: {refusal.message}", err=True)
            raise typer.Exit(2) from None
        if as_json:
            typer.echo(command.as_json(results))
        else:
            command.show(results, Console())
        raise typer.Exit(0 if all(each.whole for each in results) else 1)


def _day(text: str | None) -> date | None:
    try:
        return TypeAdapter(BusinessDate | None).validate_python(text)
    except ValidationError:
        message = "--date is a trading day, such as 2026-11-21."
        raise PlayParkError(ErrorCode.VALIDATION, message) from None


def _reconcile(
    day: date | None, store_id: str | None, *, embedded: bool, data: Path
) -> list[Reconciliation]:
    """Raises PlayParkError for what cannot be checked."""
    settings = load_settings()
    configure_logging(settings.log_level)

    async def run(uri: str) -> list[Reconciliation]:
        mongo = Mongo(uri, settings.database)
        try:
            await mongo.ping()
            uow = UnitOfWork(mongo, SystemClock())
            return await command.reconcile_all(uow, day, store_id)
        except PyMongoError as lost:
            message = "MongoDB does not answer any more: run the command again."
            raise PlayParkError(ErrorCode.UNAVAILABLE, message) from lost
        finally:
            mongo.close()

    with _database(settings, embedded=embedded, data=data) as uri:
        return asyncio.run(run(uri))


@contextlib.contextmanager
def _database(settings: Settings, *, embedded: bool, data: Path) -> Iterator[str]:
    """The configured server, or an embedded one for as long as the API runs."""
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


def _listen(host: str, port: int) -> socket.socket:
    """Bind before anything is started, so that a port in use is one sentence and no half start."""
    try:
        listener = socket.create_server((host, port), reuse_port=False)
        # Head and body of an answer are two writes; without this each waits 40 ms for the other
        # side's delayed acknowledgement. Connections inherit it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as taken:
        message = (
            f"Cannot listen on {host} port {port} ({taken.strerror}): "
            "stop what uses it or choose another --port."
        )
        raise PlayParkError(ErrorCode.UNAVAILABLE, message) from taken
    return listener


def serve(
    settings: Settings, uri: str, listener: socket.socket, *, demo: bool, nightly: bool = False
) -> None:
    """Run until SIGINT or SIGTERM. Raises PlayParkError where the database is not usable."""

    async def run() -> None:
        mongo = Mongo(uri, settings.database)
        platform = await prepare(settings, mongo, demo=demo)
        config = uvicorn.Config(
            create_app(platform),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=30,
            http=BoundedHttpProtocol,
        )
        server = uvicorn.Server(config)
        address, port = listener.getsockname()[:2]
        typer.echo(f"PlayPark API on http://{address}:{port}  (pages: /docs, health: /health)")
        try:
            async with jobs.running(platform) if nightly else contextlib.nullcontext():
                await server.serve(sockets=[listener])
        finally:
            platform.close()
        if not server.started:
            raise PlayParkError(ErrorCode.UNAVAILABLE, "The API could not start: see the log.")

    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(run())
