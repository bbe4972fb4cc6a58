"""`playpark api`: the server."""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Iterator
from typing import Annotated

import typer
import uvicorn
from uvicorn.loops.auto import auto_loop_factory

from api import jobs
from api.app import create_app, prepare
from api.cli.common import DEFAULT_DATA, Data, database
from api.platform.http_protocol import within
from api.platform.logs import configure_logging
from api.platform.mongo import Mongo
from api.platform.settings import Environment, Settings, load_settings
from playpark.errors import ErrorCode, PlayParkError

SOME = 20_000
"""New objects between two collections: some dozens of requests."""


def register(app: typer.Typer) -> None:
    """Add `playpark api`."""

    @app.command()
    def api(
        embedded: Annotated[
            bool, typer.Option("--embedded", help="Start a MongoDB for this server alone.")
        ] = False,
        demo: Annotated[bool, typer.Option("--demo", help="Load the demo park.")] = False,
        host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
        port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
        data: Data = DEFAULT_DATA,
        nightly: Annotated[
            bool | None,
            typer.Option(
                "--nightly/--no-nightly",
                help="Reconcile the last days and keep the audit trail, in the background.",
                show_default="on; off with ENVIRONMENT=test",
            ),
        ] = None,
    ) -> None:
        """Serve the API."""
        settings = load_settings()
        configure_logging(settings.log_level)
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(_listen(host, settings.port if port is None else port))
            uri = stack.enter_context(database(settings, embedded=embedded, data=data))
            if nightly is None:
                nightly = settings.environment is not Environment.TEST
            serve(settings, uri, listener, demo=demo, nightly=nightly)


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


@contextlib.contextmanager
def _signals_end_the_server_only() -> Iterator[None]:
    """uvicorn raises the signal that ended it once more, which would end the process before the
    jobs have written what they hold."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _collect_the_young_only() -> None:
    """What stands after the start stays for ever: the garbage collector need not walk through it
    with every few hundred objects of a request."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(SOME, 20, 20)


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
            proxy_headers=False,  # the app believes its own TRUSTED_PROXIES alone
            ws="none",
            timeout_keep_alive=30,
            timeout_graceful_shutdown=settings.shutdown_seconds,
            http=within(
                header_seconds=settings.header_seconds,
                body_seconds=settings.body_seconds,
                stall_seconds=settings.stall_seconds,
                max_connections=settings.max_connections,
            ),
        )
        _collect_the_young_only()
        server = uvicorn.Server(config)
        address, port = listener.getsockname()[:2]
        typer.echo(f"PlayPark API on http://{address}:{port}  (pages: /docs, health: /health)")
        try:
            async with jobs.running(platform, nightly=nightly):
                with _signals_end_the_server_only():
                    await server.serve(sockets=[listener])
        finally:
            platform.close()
        if not server.started:
            raise PlayParkError(ErrorCode.UNAVAILABLE, "The API could not start: see the log.")

    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(run())
