"""Clients that are slow, silent or many (ATTACKS 27). The server's times are shortened."""

import asyncio
import contextlib
import json
import socket
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import httpx
import pytest

from api.platform.docs import ASSETS, MOUNT
from tests.attacks.hasty import POST, Server, parsed

BODY = json.dumps({"site_key": "NO-SUCH-KEY-AT-ALL", "type": "POS", "name": "x"}).encode()


async def test_attack_27_headers_that_trickle_are_cut_off(server: Server) -> None:
    head = b"GET /v1/time HTTP/1.1\r\nhost: x\r\nx-slow: " + b"x" * 1000
    status, error = parsed(
        await server.exchange(*(head[i : i + 1] for i in range(1000)), pause=0.1)
    )
    assert (status, error["code"]) == (408, "E_UNAVAILABLE")


async def test_attack_27_empty_lines_are_no_headers(server: Server) -> None:
    status, _ = parsed(await server.exchange(*[b"\r\n"] * 1000, pause=0.1))
    assert status == 408


async def test_attack_27_a_body_without_progress_is_cut_off(server: Server) -> None:
    head = f"{POST}content-length: 1000\r\n\r\n".encode()
    status, error = parsed(await server.exchange(head, b'{"site'))
    assert (status, error["code"]) == (408, "E_UNAVAILABLE")


async def test_attack_27_a_body_of_a_byte_now_and_then_is_cut_off(server: Server) -> None:
    head = f"{POST}content-length: 1000\r\n\r\n".encode()
    status, _ = parsed(await server.exchange(head, *[b" "] * 1000, pause=0.3))
    assert status == 408
    head = f"{POST}transfer-encoding: chunked\r\n\r\n".encode()
    status, _ = parsed(await server.exchange(head, *[b"1\r\n \r\n"] * 1000, pause=0.3))
    assert status == 408


async def test_attack_27_a_body_that_nobody_reads_is_cut_off_too(server: Server) -> None:
    """The stranger has his 401 already."""
    head = b"POST /v1/sync/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
    answer = await server.exchange(head, *[b" "] * 1000, pause=0.3)
    assert parsed(answer)[0] == 401
    assert answer.count(b"HTTP/1.1") == 1


async def test_attack_27_an_answer_that_nobody_reads_is_dropped(server: Server) -> None:
    """Larger than the buffers of both sides; the client goes on only when it is too late."""
    script, times = "redoc.standalone.js", 10
    request = f"GET {MOUNT}/{script} HTTP/1.1\r\nhost: x\r\n\r\n".encode() * times
    address = urlsplit(server.url)
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        line.connect((address.hostname, address.port))
        line.sendall(request)
        for _ in range(600):
            if '"answer not read"' in server.log.read_text():
                break
            await asyncio.sleep(0.1)
        line.settimeout(20)
        received = 0
        with contextlib.suppress(ConnectionError):
            while chunk := line.recv(65_536):
                received += len(chunk)
    assert received < times * (ASSETS / script).stat().st_size


async def test_attack_27_an_honest_slow_upload_gets_through(server: Server) -> None:
    head = f"{POST}connection: close\r\ncontent-length: {len(BODY)}\r\n\r\n".encode()
    parts = [BODY[at : at + 16] for at in range(0, len(BODY), 16)]
    status, error = parsed(await server.exchange(head[:30], head[30:], *parts, pause=0.1))
    assert (status, error["code"]) == (401, "E_UNAUTHENTICATED")


async def test_attack_27_connections_are_bounded(server: Server) -> None:
    async with AsyncExitStack() as stack:

        async def occupy() -> None:
            _, writer = await server.connect()
            stack.callback(writer.close)

        async with httpx.AsyncClient(base_url=server.url, timeout=20) as http:
            for _ in range(25):
                await occupy()
            full = await http.get("/v1/time")
            assert (full.status_code, full.json()["error"]["code"]) == (503, "E_UNAVAILABLE")
            assert full.headers["Retry-After"] == "5"
            assert full.headers["Connection"] == "close"
            for _ in range(20):
                await occupy()
            with pytest.raises(httpx.TransportError):
                await http.get("/v1/time")
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as http:
        for _ in range(100):
            answer = await http.get("/v1/time")
            if answer.status_code == 200:
                break
        assert answer.status_code == 200


async def test_what_is_no_http_is_told_so_in_the_envelope(server: Server) -> None:
    status, error = parsed(await server.exchange(b"\x16\x03\x01 hello\r\n\r\n"))
    assert (status, error["code"]) == (400, "E_VALIDATION")
