"""Clients that wait for nothing (ATTACKS 27): no connection outlives its client's interest. The
protocol runs in a thread, on the server's own kind of loop and with small buffers."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from motor.motor_asyncio import AsyncIOMotorClient
from starlette.types import Receive, Scope, Send

from api.platform.http_protocol import within
from tests.attacks.hasty import POST
from tests.conftest import running_api
from tests.outside import Outsider

ANSWER = b"x" * 40_000
"""More than the socket's buffers hold, less than makes the server stop writing."""
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
SOON = 10.0
"""Seconds in which all of it happens, though the server's times are 1 s."""


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers at once, whatever the request's body does; `/broken` fails in the middle."""
    size = str(len(ANSWER)).encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", size)]}
    )
    if scope["path"] == "/broken":
        await send({"type": "http.response.body", "body": ANSWER[1:], "more_body": True})
        raise RuntimeError("half an answer")
    await send({"type": "http.response.body", "body": ANSWER})


class Waiting:
    """A server of this process with small buffers and a second for everything."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        bounds = within(header_seconds=1, body_seconds=1, stall_seconds=1, max_connections=9)
        config = uvicorn.Config(
            _answer, http=bounds, ws="none", lifespan="off", log_config=None, timeout_keep_alive=1
        )
        self.server = uvicorn.Server(config)
        run: Callable[[], Any] = lambda: self.server.run(sockets=[self.listener])  # noqa: E731
        self.thread = threading.Thread(target=run, daemon=True)

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    def connect(self) -> socket.socket:
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        line.settimeout(SOON)
        line.connect(self.listener.getsockname())
        return line


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    made = Waiting()
    made.thread.start()
    assert _comes_true(lambda: made.server.started)
    yield made
    made.server.force_exit = made.server.should_exit = True
    made.thread.join(SOON)


def _comes_true(what: Callable[[], bool]) -> bool:
    until = time.monotonic() + SOON
    while not (true := what()) and time.monotonic() < until:
        time.sleep(0.02)
    return true


def _unread(server: Waiting, request: bytes) -> socket.socket:
    """A client whose answer has begun to come, and who does not read on."""
    line = server.connect()
    line.sendall(request)
    assert line.recv(15) == b"HTTP/1.1 200 OK"
    assert server.connections == 1
    return line


def test_attack_27_a_body_after_its_answer_holds_no_connection(waiting: Waiting) -> None:
    with waiting.connect() as line:
        line.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n")
        received = 0
        while received < len(ANSWER):
            received += len(line.recv(65_536))
        line.sendall(b"0123456789")
        while line.recv(65_536):  # until the server closes
            continue
        assert _comes_true(lambda: not waiting.connections)


@pytest.mark.parametrize(
    ("request_", "more"),
    [
        (GET, b""),
        (GET.replace(b"x\r\n", b"x\r\nconnection: close\r\n"), b""),
        (GET, b"\x16\x03\x01\r\n\r\n"),
        (GET.replace(b"/ ", b"/broken ", 1), b""),
    ],
    ids=["kept alive", "last one", "then refused", "broken"],
)
def test_attack_27_a_small_answer_that_nobody_reads_is_dropped_too(
    waiting: Waiting, request_: bytes, more: bytes
) -> None:
    with _unread(waiting, request_) as line:
        line.sendall(more)
        assert _comes_true(lambda: not waiting.connections)


def test_attack_27_a_server_ends_with_an_answer_that_nobody_reads(waiting: Waiting) -> None:
    with _unread(waiting, GET):
        waiting.server.should_exit = True
        waiting.thread.join(SOON)
        assert not waiting.thread.is_alive()


async def test_attack_27_a_server_ends_in_time_and_writes_what_it_has_counted(
    mongo_uri: str, database: str, tmp_path: Path
) -> None:
    """Somebody is in the middle of a body, for which there would be a minute."""
    patient = {"BODY_SECONDS": "60", "STALL_SECONDS": "60", "SHUTDOWN_SECONDS": "1"}
    name = f"{database}_ending"
    mongo: Any = AsyncIOMotorClient(mongo_uri)
    with (tmp_path / "log").open("w") as log, contextlib.ExitStack() as stack:
        with running_api(mongo_uri, name, environment=patient, log=log) as url:
            address = urlsplit(url)
            line = stack.enter_context(
                socket.create_connection((address.hostname or "", address.port or 0))
            )
            line.sendall(f"{POST}content-length: 1000\r\n\r\n{{".encode())
            async with httpx.AsyncClient(base_url=url, timeout=30) as http:
                gate = await Outsider(http).pair("GATE")
                await gate.data("GET", "/v1/devices/me")
            began = time.monotonic()
        assert time.monotonic() - began < SOON
    counted = await mongo[name]["usage_counters"].find_one({"name": "GET /devices/me"})
    assert counted["requests"] == 1
    await mongo.drop_database(name)
    mongo.close()
