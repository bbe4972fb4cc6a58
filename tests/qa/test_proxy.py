"""The line that fails on purpose, before a real HTTP server: what is lost is lost exactly once, and
all else arrives."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn
from typer.testing import CliRunner

from playpark.cli import build_app
from qa.proxy import (
    BLACKHOLE,
    CLOSE_ANSWERS,
    DROP_ANSWERS,
    DROP_REQUESTS,
    DUPLICATES,
    FAULTS,
    HALF_OPEN,
    LOSSY,
    PASSING,
    REFUSED,
    RESET_ANSWERS,
    RESET_REQUESTS,
    Act,
    Fault,
    FaultProxy,
    Way,
)

IMPATIENT = 0.3
BIG = b"x" * 300_000


@dataclass
class Server:
    """It remembers the bodies that arrived whole, and answers with them."""

    url: str = ""
    got: list[bytes] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Somebody hung up while a request was read or answered."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                self.gone.set()
                return
            body += event.get("body", b"")
            more = event.get("more_body", False)
        self.got.append(body)
        empty = scope["path"] == "/empty"
        headers = [] if scope["path"] == "/chunked" else [(b"content-length", b"%d" % len(body))]
        status = 204 if empty else 200
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [] if empty else headers,
            }
        )
        await send({"type": "http.response.body", "body": b"" if empty else body})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    found = Server()
    config = uvicorn.Config(found, port=0, log_level="error", lifespan="off")
    running = uvicorn.Server(config)
    with contextlib.closing(config.bind_socket()) as listener:
        found.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        serving = asyncio.create_task(running.serve(sockets=[listener]))
        while not running.started:  # noqa: ASYNC110 - it has no event of its own
            await asyncio.sleep(0.005)
        yield found
        running.should_exit = running.force_exit = True
        await serving


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(server.url) as found:
        yield found


@pytest.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=proxy.url, timeout=20) as found:
        yield found


async def connections(proxy: FaultProxy, count: int) -> None:
    async with asyncio.timeout(10):
        while len(proxy._connections) != count:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def lost(send: Callable[[], Awaitable[Any]]) -> str:
    """How a call fails that gets no answer: `silence` or `cut`."""
    try:
        await send()
    except httpx.TimeoutException:
        return "silence"
    except httpx.TransportError:
        return "cut"
    pytest.fail("it was answered")


async def test_what_passes_is_as_without_it(
    server: Server, client: httpx.AsyncClient, proxy: FaultProxy
) -> None:
    for path in ("/plain", "/chunked"):
        for body in (b"", b"one", BIG):
            answer = await client.post(path, content=body)
            assert (answer.status_code, answer.content) == (200, body)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"in "
        yield b"pieces"

    assert (await client.post("/chunked", content=pieces())).content == b"in pieces"
    assert (await client.post("/empty", content=b"seen")).status_code == 204
    assert (await client.head("/plain")).status_code == 200
    assert (await client.get("/plain")).content == b""

    assert len(server.got) == 10
    assert len(proxy._connections) == 1, "the connection is kept"
    assert all(each.answered and each.fault == "pass" for each in proxy.seen)


async def test_a_dropped_request_never_arrives(
    server: Server, client: httpx.AsyncClient, proxy: FaultProxy
) -> None:
    await client.post("/", content=b"before")
    proxy.set(DROP_REQUESTS)

    how = await lost(lambda: client.post("/", content=b"lost", timeout=IMPATIENT))

    assert how == "silence"
    proxy.heal()
    await client.post("/", content=b"after")
    assert server.got == [b"before", b"after"]


async def test_a_dropped_answer_is_of_a_request_that_was_done(
    server: Server, client: httpx.AsyncClient, proxy: FaultProxy
) -> None:
    await client.post("/", content=b"before")
    proxy.once(DROP_ANSWERS)

    how = await lost(lambda: client.post("/", content=b"done", timeout=IMPATIENT))
    again = await client.post("/", content=b"done")

    assert (how, again.content) == ("silence", b"done")
    assert server.got == [b"before", b"done", b"done"]
    assert [(each.status, each.answered) for each in proxy.seen] == [
        *((200, True), (200, False), (200, True))
    ]


async def test_one_fault_meets_one_exchange_in_order(
    server: Server, client: httpx.AsyncClient, proxy: FaultProxy
) -> None:
    proxy.once(PASSING, CLOSE_ANSWERS, PASSING)

    assert (await client.post("/", content=b"1")).content == b"1"
    assert await lost(lambda: client.post("/", content=b"2")) == "cut"
    assert (await client.post("/", content=b"3")).content == b"3"
    assert server.got == [b"1", b"2", b"3"]


async def test_what_says_nothing_is_torn_when_the_line_is_whole_again(
    client: httpx.AsyncClient, proxy: FaultProxy
) -> None:
    proxy.set(BLACKHOLE)
    waiting = asyncio.create_task(lost(lambda: client.post("/", content=b"x")))
    async with asyncio.timeout(10):
        while not any(each.silent for each in proxy._connections):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert not waiting.done()

    proxy.heal()

    assert await waiting == "cut"
    assert (await client.post("/", content=b"y")).content == b"y"


@pytest.mark.parametrize("after", [0, 30, 200_000])
async def test_a_request_that_is_torn_half_way_is_not_done(
    server: Server, client: httpx.AsyncClient, proxy: FaultProxy, after: int
) -> None:
    proxy.once(Fault("torn", requests=Way(Act.RESET, after=after)))

    how = await lost(lambda: client.post("/", content=BIG))

    assert (how, server.got) == ("cut", [])
    assert (await client.post("/", content=b"next")).content == b"next"


async def test_an_answer_that_is_torn_half_way_is_of_a_request_that_was_done(
    server: Server, client: httpx.AsyncClient, proxy: FaultProxy
) -> None:
    for after in (0, 30, 200_000):
        proxy.once(Fault("torn", answers=Way(Act.RESET, after=after)))
        assert await lost(lambda: client.post("/", content=BIG)) == "cut"

    assert server.got == [BIG] * 3


async def test_exactly_so_many_bytes_of_an_answer_pass(proxy: FaultProxy) -> None:
    proxy.once(Fault("torn", answers=Way(Act.RESET, after=12)))
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    got = await reader.readexactly(12)
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)

    assert got == b"HTTP/1.1 200"


async def test_a_slow_answer_outlasts_the_impatient_and_reaches_the_patient(
    server: Server, client: httpx.AsyncClient, proxy: FaultProxy
) -> None:
    proxy.set(Fault("slow", answers=Way(delay=IMPATIENT * 2)))

    assert await lost(lambda: client.post("/", content=b"a", timeout=IMPATIENT)) == "silence"
    assert (await client.post("/", content=b"b")).content == b"b"
    assert server.got == [b"a", b"b"]


async def test_a_line_that_is_down_takes_no_connection_and_tears_those_there_are(
    server: Server, client: httpx.AsyncClient, proxy: FaultProxy
) -> None:
    await client.post("/", content=b"1")
    await connections(proxy, 1)
    proxy.set(REFUSED)

    assert await lost(lambda: client.post("/", content=b"2")) == "cut"
    assert await lost(lambda: client.post("/", content=b"3")) == "cut"
    proxy.heal()
    assert (await client.post("/", content=b"4")).content == b"4"
    assert server.got == [b"1", b"4"]


async def test_a_half_open_line_is_gone_for_the_server_alone(
    server: Server, client: httpx.AsyncClient, proxy: FaultProxy
) -> None:
    slow = Fault("never", answers=Way(delay=60))
    proxy.set(slow)
    waiting = asyncio.create_task(lost(lambda: client.post("/", content=b"1", timeout=IMPATIENT)))
    async with asyncio.timeout(10):
        while not server.got:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    proxy.set(HALF_OPEN)

    assert await waiting == "silence"
    assert await lost(lambda: client.post("/", content=b"2", timeout=IMPATIENT)) == "silence"
    assert server.got == [b"1"]


async def test_a_request_arrives_twice_and_is_answered_once(
    server: Server, client: httpx.AsyncClient, proxy: FaultProxy
) -> None:
    proxy.once(DUPLICATES)

    assert (await client.post("/chunked", content=BIG)).content == BIG

    async with asyncio.timeout(10):
        while len(server.got) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert server.got == [BIG, BIG]


async def test_of_a_hundred_exchanges_so_many_are_lost(server: Server) -> None:
    chances = iter([0.29, 0.3, 0.0, 0.99])
    async with (
        FaultProxy(server.url, chance=lambda: next(chances)) as proxy,
        httpx.AsyncClient(base_url=proxy.url) as client,
    ):
        proxy.set(LOSSY)
        for body in (b"1", b"2", b"3", b"4"):
            with contextlib.suppress(httpx.TransportError):
                await client.post("/", content=body)

        assert [each.answered for each in proxy.seen] == [False, True, False, True]
    assert server.got == [b"1", b"2", b"3", b"4"]


async def test_resets_by_name_are_mid_message(
    server: Server, client: httpx.AsyncClient, proxy: FaultProxy
) -> None:
    proxy.once(RESET_REQUESTS, RESET_ANSWERS)

    assert await lost(lambda: client.post("/", content=b"never")) == "cut"
    assert await lost(lambda: client.post("/", content=b"done")) == "cut"
    assert server.got == [b"done"]


def test_each_fault_has_a_name_of_its_own() -> None:
    assert all(name == fault.name for name, fault in FAULTS.items())
    assert len(set(FAULTS.values())) == len(FAULTS) == 13


def test_a_person_sets_faults_by_name() -> None:
    typed = "blackhole\nonce drop-answers\nstatus\nno-such\nheal\nquit\n"

    run = CliRunner().invoke(build_app("qa"), ["qa", "proxy", "--to", "http://[::1]:1"], typed)

    assert run.exit_code == 0, run.output
    lines = run.output.splitlines()
    assert lines[0].startswith("Listening on http://127.0.0.1:")
    assert "blackhole" in run.output
    assert "no fault no-such" in run.output.lower()
    assert lines[-1].startswith("pass;")
