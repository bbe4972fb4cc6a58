"""R37: what the client does when an answer drips, is cut, or comes from somebody else."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from playpark.client import ApiClient, NoAnswerError
from playpark.contracts.catalog import PackageKind
from playpark.contracts.gate import AllowedTicket
from playpark.errors import ErrorCode
from tests.device.conftest import NOW
from tests.gate.lists import told

Answer = Callable[["Line", dict[str, str]], Awaitable[None]]


@dataclass
class Line:
    """One connection, on the server's side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    gone: bool = False

    async def send(self, status: str, body: bytes, *, cut: int | None = None, **more: str) -> None:
        """Only the first `cut` bytes of the body, and then the line is cut."""
        headers = {"Content-Length": str(len(body)), "Content-Type": "application/json", **more}
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        head = "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""])
        self.writer.write(head.encode() + body[:cut])
        await self.writer.drain()
        if cut is not None:
            self.writer.close()


@dataclass
class Server:
    """Answers the requests of all connections in turn as `script` says."""

    script: list[Answer] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(reader, writer)
        self.lines.append(line)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                pairs = (each.partition(": ") for each in head[1:] if each)
                headers = {name.lower(): value for name, _, value in pairs}
                self.asked.append(headers)
                await self.script.pop(0)(line, headers)
        line.gone = True
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    yield made
    listening.close()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[ApiClient]:
    async with ApiClient(f"http://127.0.0.1:{server.port}") as made:  # type: ignore[attr-defined]
        yield made


def envelope(data: object) -> bytes:
    body = {"server_time": NOW.isoformat(), "request_id": "r", "data": data, "error": None}
    return json.dumps(body).encode()


TIME = envelope({"now": NOW.isoformat()})


async def tell_time(line: Line, _headers: dict[str, str]) -> None:
    await line.send("200 OK", TIME)


async def drip(line: Line, _headers: dict[str, str]) -> None:
    """Never silent for long, and never done."""
    line.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not line.writer.is_closing():
        line.writer.write(b" ")
        await line.writer.drain()
        await asyncio.sleep(0.01)


async def test_a_line_that_drips_is_late(server: Server, client: ApiClient) -> None:
    server.script = [drip, tell_time]
    async with asyncio.timeout(10):
        with pytest.raises(NoAnswerError) as lost:
            await client.time(timeout=0.2)
    assert lost.value.code is ErrorCode.UNAVAILABLE
    assert "does not answer" in lost.value.message

    # The rest of that answer must not be read as the next one.
    assert await client.time() == NOW
    assert len(server.lines) == 2


async def test_a_connection_with_a_half_read_answer_is_not_used_again(
    server: Server, client: ApiClient
) -> None:
    async def half(line: Line, _headers: dict[str, str]) -> None:
        await line.send("200 OK", TIME, cut=20)

    server.script = [tell_time, half, tell_time]
    assert await client.time() == NOW
    with pytest.raises(NoAnswerError):
        await client.time()
    assert await client.time() == NOW
    assert len(server.lines) == 2


async def test_who_gives_up_leaves_no_connection_behind(server: Server, client: ApiClient) -> None:
    asked = asyncio.Event()

    async def silence(line: Line, _headers: dict[str, str]) -> None:
        asked.set()
        await line.reader.read()

    server.script = [tell_time, silence, tell_time]
    await client.time()
    call = asyncio.create_task(client.time())
    await asked.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await client.time() == NOW
    assert len(server.lines) == 2
    async with asyncio.timeout(5):
        while not server.lines[0].writer.is_closing():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.005)


async def test_a_foreign_answer_is_no_answer_and_its_wish_is_heard(
    server: Server, client: ApiClient
) -> None:
    async def proxy(line: Line, _headers: dict[str, str]) -> None:
        await line.send("503 Busy", b"<html>", Retry_After="12")

    server.script = [proxy]
    with pytest.raises(NoAnswerError) as lost:
        await client.time()
    assert lost.value.retry_after == 12


# --- the gate's list ------------------------------------------------------------------------------

TICKET = AllowedTicket(
    ticket_id="01J00000000000000000000000",
    hash="ab" * 32,
    kind=PackageKind.SINGLE,
    remaining=1,
    valid_from=NOW,
    valid_to=NOW,
)
LIST = told(*(TICKET.model_copy(update={"hash": f"{n:064x}"}) for n in range(300)), version=7)
PACKED = gzip.compress(envelope(LIST.model_dump(mode="json")), mtime=0)
TAG = '"abc"'


def of_list(*, tag: str = TAG, cut: int | None = None, packed: bytes = PACKED) -> Answer:
    """Answers as a server does that serves ranges; the line is cut after so many bytes."""

    async def answer(line: Line, headers: dict[str, str]) -> None:
        more = {"ETag": tag, "Content_Encoding": "gzip"}
        begins = 0
        if headers.get("if-range") == tag and "range" in headers:
            begins = int(headers["range"].removeprefix("bytes=").removesuffix("-"))
            more["Content_Range"] = f"bytes {begins}-{len(packed) - 1}/{len(packed)}"
        status = "206 Partial Content" if begins else "200 OK"
        await line.send(status, packed[begins:], cut=cut, **more)

    return answer


async def test_R37_a_list_that_breaks_off_goes_on_where_it_broke(
    server: Server, client: ApiClient
) -> None:
    third = len(PACKED) // 3
    server.script = [of_list(cut=third), of_list(cut=third), of_list()]
    for _ in range(2):
        with pytest.raises(NoAnswerError):
            await client.gate_bootstrap(window=60)

    found = await client.gate_bootstrap(window=60)

    assert found == LIST
    ranges = [headers.get("range") for headers in server.asked]
    assert ranges == [None, f"bytes={third}-", f"bytes={2 * third}-"]
    server.script = [of_list()]
    assert await client.gate_bootstrap(window=60) == LIST
    assert "range" not in server.asked[-1]


async def test_R37_a_list_that_has_changed_meanwhile_is_loaded_anew(
    server: Server, client: ApiClient
) -> None:
    other = told(TICKET, version=8)
    packed = gzip.compress(envelope(other.model_dump(mode="json")))
    server.script = [of_list(cut=100), of_list(tag='"other"', packed=packed)]
    with pytest.raises(NoAnswerError):
        await client.gate_bootstrap(window=60)
    assert await client.gate_bootstrap(window=60) == other
    assert server.asked[1]["if-range"] == TAG


async def test_a_weak_tag_does_not_stand_for_bytes(server: Server, client: ApiClient) -> None:
    server.script = [of_list(tag='W/"abc"', cut=100), of_list(tag='W/"abc"')]
    with pytest.raises(NoAnswerError):
        await client.gate_bootstrap(window=60)
    assert await client.gate_bootstrap(window=60) == LIST
    assert "range" not in server.asked[1]


async def test_another_question_does_not_go_on_with_this_answer(
    server: Server, client: ApiClient
) -> None:
    server.script = [of_list(cut=100), of_list()]
    with pytest.raises(NoAnswerError):
        await client.gate_bootstrap(window=60)
    assert await client.gate_bootstrap(window=60, since=3) == LIST
    assert "range" not in server.asked[1]


async def test_a_refusal_in_between_loses_nothing(server: Server, client: ApiClient) -> None:
    async def refuse(line: Line, _headers: dict[str, str]) -> None:
        error = {"code": "E_TOKEN_EXPIRED", "message": "log in again"}
        body = {"server_time": NOW.isoformat(), "request_id": "r", "data": None, "error": error}
        await line.send("401 No", json.dumps(body).encode())

    server.script = [of_list(cut=100), refuse, of_list()]
    with pytest.raises(NoAnswerError):
        await client.gate_bootstrap(window=60)
    with pytest.raises(Exception, match="log in again"):
        await client.gate_bootstrap(window=60)
    assert await client.gate_bootstrap(window=60) == LIST
    assert server.asked[2]["range"] == "bytes=100-"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Range": f"bytes 0-9/{len(PACKED)}", "ETag": TAG},
        {"Content_Range": f"bytes 100-109/{len(PACKED)}", "ETag": '"other"'},
        {"ETag": TAG},
    ],
    ids=["another place", "another list", "no place"],
)
async def test_a_part_that_does_not_fit_is_not_put_to_the_rest(
    server: Server, client: ApiClient, headers: dict[str, str]
) -> None:
    async def part(line: Line, _headers: dict[str, str]) -> None:
        await line.send("206 Partial Content", PACKED[100:], **headers)

    server.script = [of_list(cut=100), part, of_list()]
    for _ in range(2):
        with pytest.raises(NoAnswerError):
            await client.gate_bootstrap(window=60)
    assert await client.gate_bootstrap(window=60) == LIST
    assert "range" not in server.asked[2]


@pytest.mark.parametrize("broken", [b"\x1f\x8b not gzip", PACKED[:-8]], ids=["no gzip", "cut off"])
async def test_a_list_that_is_broken_is_no_answer_and_is_not_gone_on_with(
    server: Server, client: ApiClient, broken: bytes
) -> None:
    server.script = [of_list(packed=broken), of_list()]
    with pytest.raises(NoAnswerError):
        await client.gate_bootstrap(window=60)
    assert await client.gate_bootstrap(window=60) == LIST
    assert "range" not in server.asked[1]
