"""What strangers write never ends up as a line or an escape of the log (ATTACKS 36)."""

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
import structlog

from api.platform.logs import configure_logging
from tests.attacks.hasty import Server
from tests.logs import plain_logs

POST = "POST /v1/auth/device/register HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
ESCAPES = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
POISON = 'x\r\n{"event": "forged"}\n\x1b[2J\x9b31m\x85\u2028\u2029\u202e\x07end'
VALUES = (POISON.encode(), b"x\x1b[2J", "x\x9b31m\x85\u2028\u202ey".encode(), b"\xff\x9b")


@pytest.fixture
def log_lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging("INFO")
    stream = io.StringIO()
    root.handlers[0].setStream(stream)  # type: ignore[attr-defined]
    yield stream
    root.handlers[:], root.level = handlers, level
    plain_logs()


def test_attack_36_no_text_makes_a_second_line_or_an_escape(log_lines: io.StringIO) -> None:
    structlog.get_logger().warning(POISON, name=POISON, nested={POISON: [POISON]})
    logging.getLogger("somewhere.else").warning("said %s", POISON)
    told = log_lines.getvalue()
    assert told.endswith("\n")
    lines = told.split("\n")[:-1]
    assert len(lines) == len(told.splitlines()) == 2
    assert not ESCAPES.search(told)
    assert json.loads(lines[0])["name"] == POISON


async def test_attack_36_requests_leave_whole_lines_whatever_they_say(server: Server) -> None:
    began = server.log.stat().st_size
    body = json.dumps({"site_key": "NO-SUCH-KEY-AT-ALL", "type": "POS", "name": POISON}).encode()
    head = f"{POST}connection: close\r\ncontent-length: {len(body)}\r\n".encode()
    taken = 0
    for name in (
        b"user-agent",
        b"x-request-id",
        b"x-forwarded-for",
        b"referer",
        b"idempotency-key",
    ):
        for value in (
            POISON.encode(),
            b"x\x1b[2J",
            "x\x9b31m\x85\u2028\u202ey".encode(),
            b"\xff\x9b",
        ):
            answer = await server.exchange(head + name + b": " + value + b"\r\n\r\n" + body)
            taken += answer.split()[1] == b"401"
            assert answer.split()[1] in {b"400", b"401"}
            assert not ESCAPES.search(answer.decode().replace("\r\n", ""))
    for path in (b"/v1/%0d%0a%1b%5b2Jforged", b"/v1/sales?q=%0aforged%1b%5b2J", b"/\x1b[2J"):
        request = b"GET " + path + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        assert (await server.exchange(request)).split()[1] in {b"400", b"401", b"404"}
    told = server.log.read_bytes()[began:].decode()
    assert taken >= 8
    assert told.count('"event": "request"') >= taken
    assert not ESCAPES.search(told)
    for line in told.split("\n")[:-1]:
        assert json.loads(line)["event"] != "forged"
