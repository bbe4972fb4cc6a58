"""Walks OpenAPI: tokens, unknown fields, the envelope. New routes are covered by themselves."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from api.platform.openapi import EITHER, PUBLIC
from playpark.errors import ErrorCode
from playpark.ids import new_ulid
from tests.api.own_park import OWNER
from tests.outside import Outsider


@pytest.fixture(scope="session")
def operations(api_url: str) -> list[tuple[str, str, dict[str, Any]]]:
    schema = httpx.get(f"{api_url}/openapi.json", timeout=60).json()
    return [
        (method, path, operation | {"components": schema["components"]})
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]


def in_envelope(response: httpx.Response) -> dict[str, Any]:
    answer = response.json()
    assert set(answer) == {"server_time", "request_id", "data", "error"}, answer
    assert answer["request_id"] == response.headers["X-Request-ID"]
    error: dict[str, Any] = answer["error"]
    assert answer["data"] is None
    assert error["code"] in set(ErrorCode)
    assert error["message"].rstrip().endswith((".", "]")), error["message"]
    return error


def concrete(path: str) -> str:
    return re.sub(r"\{[^}]+\}", new_ulid(), path)


async def test_every_route_needs_a_token_unless_listed(
    outside: Outsider, operations: list[tuple[str, str, dict[str, Any]]]
) -> None:
    assert len(operations) > 15
    for method, path, operation in operations:
        response = await outside.call(
            method.upper(), concrete(path), {} if method != "get" else None
        )
        if (method, path) in PUBLIC:
            optional = [{"bearer": []}, {}] if (method, path) in EITHER else []
            assert operation["security"] == optional
            assert response.status_code != 401 or path.endswith("login"), path
        else:
            assert operation["security"] == [{"bearer": []}], path
            assert response.status_code == 401, path
            assert in_envelope(response)["code"] == "E_UNAUTHENTICATED"


@pytest.fixture
async def owners(api_url: str) -> AsyncIterator[list[Outsider]]:
    """The owner at a till and in the office: one of them may use any route of a tenant."""
    async with httpx.AsyncClient(base_url=api_url, timeout=30) as http:
        yield [await (await Outsider(http).pair(kind)).staff(**OWNER) for kind in ("POS", "ADMIN")]


async def test_every_body_forbids_unknown_fields(
    owners: list[Outsider], operations: list[tuple[str, str, dict[str, Any]]]
) -> None:
    seen = 0
    for method, path, operation in operations:
        if "requestBody" not in operation or operation.get("x-permissions", {}).get("provider"):
            continue
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        model = operation["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        assert model["additionalProperties"] is False, path
        for owner in owners:
            response = await owner.call(
                method.upper(), concrete(path), {"canary_4711": "x"}, key=new_ulid()
            )
            if response.status_code != 403:
                break
        error = in_envelope(response)
        assert (response.status_code, error["code"]) == (422, "E_VALIDATION"), path
        assert any(problem["field"] == "body.canary_4711" for problem in error["details"]["errors"])
        seen += 1
    assert seen > 8


async def test_every_route_declares_its_error_envelope(
    operations: list[tuple[str, str, dict[str, Any]]],
) -> None:
    for _, path, operation in operations:
        schema = operation["responses"]["default"]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Error"}, path
        codes = operation["components"]["schemas"]["Error"]["properties"]["error"]
        assert set(codes["properties"]["code"]["enum"]) == {str(code) for code in ErrorCode}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "E_NOT_FOUND"),
        ("GET", "/v1/sales/../../etc/passwd", 404, "E_NOT_FOUND"),
        ("DELETE", "/v1/sales", 405, "E_NOT_FOUND"),
        ("POST", "/healthz", 405, "E_NOT_FOUND"),
    ],
)
async def test_what_is_not_there_answers_in_the_envelope(
    outside: Outsider, method: str, path: str, status: int, code: str
) -> None:
    response = await outside.call(method, path)
    assert response.status_code == status
    assert in_envelope(response)["code"] == code


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"cash_open": 1, "cash_open": 2}', 422),
        (b'{"cash_open": NaN}', 422),
        (b'{"cash_open": 1e400}', 422),
        (b'{"cash_open": 0.1}', 422),
        (b'{"cash_open": true}', 422),
        (b'{"cash_open": "5"}', 422),
        (b'{"cash_open": -1}', 422),
        (b'{"cash_open": 9007199254740993}', 422),
        (b'{"cash_open": ' + b"9" * 5000 + b"}", 422),
        (b"[" * 100_000, 422),
        (b'{"cash_open": {"$gt": ""}}', 422),
        (b"\xff\xfe", 422),
        (b"not json", 422),
        (b'{"cash_open": "' + b"x" * (1024 * 1024) + b'"}', 413),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else None,
)
async def test_hostile_bodies_are_refused_in_words(
    till: Outsider, body: bytes, status: int
) -> None:
    response = await till.http.post(
        "/v1/shifts/open",
        content=body,
        headers={
            "Authorization": f"Bearer {till.token}",
            "Content-Type": "application/json",
            "Idempotency-Key": new_ulid(),
        },
    )
    assert response.status_code == status
    in_envelope(response)


async def test_a_body_without_a_declared_length_is_cut_at_the_limit(till: Outsider) -> None:
    async def endless() -> Any:
        for _ in range(40):
            yield b" " * 65_536

    response = await till.http.post(
        "/v1/shifts/open",
        content=endless(),
        headers={"Authorization": f"Bearer {till.token}", "Content-Type": "application/json"},
    )
    assert response.status_code == 413
    assert in_envelope(response)["code"] == "E_BODY_TOO_LARGE"


async def test_a_stranger_is_turned_away_before_the_body_is_read(outside: Outsider) -> None:
    response = await outside.http.post("/v1/sync/batch", content=b"[" * 1_000_000)
    assert response.status_code == 401
    large = {"site_key": "x" * 100_000}
    assert (await outside.call("POST", "/v1/auth/device/register", large)).status_code == 413


async def test_headers_without_end_are_cut(api_url: str) -> None:
    host, port = api_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /v1/time HTTP/1.1\r\nhost: x\r\nx-long: ")
    with contextlib.suppress(ConnectionError):
        for _ in range(40):
            writer.write(b"x" * 65_536)
            await writer.drain()
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = await asyncio.wait_for(reader.read(64), 10)
    assert not answer or b" 431 " in answer
    writer.close()
    # The server goes on, and bodies larger than the headers' limit are still taken.
    async with httpx.AsyncClient(base_url=api_url) as http:
        assert (await http.get("/v1/time")).status_code == 200
        body = {"site_key": "x", "pad": "y" * 60_000}
        refused = await http.post("/v1/auth/device/register", json=body)
        assert refused.status_code == 422


async def test_a_wrong_method_says_which_are_allowed_and_no_redirect_leaves(
    outside: Outsider,
) -> None:
    wrong = await outside.call("DELETE", "/v1/time")
    assert wrong.headers["Allow"] == "GET"
    slash = await outside.http.get("/v1/shifts/", headers={"Host": "evil.example"})
    assert slash.status_code == 404


async def test_a_422_never_echoes_what_was_sent(till: Outsider) -> None:
    secret = "hunter2-very-secret"
    bodies: list[Any] = [
        {"email": secret, "pin": secret},
        {"employee_id": {"$ne": secret}, "pin": "1111"},
        {secret: secret, "pin": "1111"},
    ]
    for body in bodies[:2]:
        response = await till.call("POST", "/v1/employees/login", body)
        assert response.status_code == 422
        assert secret not in response.text


async def test_R15_money_routes_need_an_idempotency_key(till: Outsider) -> None:
    for path, body in (
        ("/v1/shifts/open", {"cash_open": 0}),
        ("/v1/shifts/close", {"cash_counted": 0}),
    ):
        missing = await till.call("POST", path, body)
        assert (missing.status_code, in_envelope(missing)["code"]) == (
            400,
            "E_IDEMPOTENCY_KEY_REQUIRED",
        )
        foreign = await till.call("POST", path, body, key="not-a-ulid")
        assert (foreign.status_code, in_envelope(foreign)["code"]) == (422, "E_VALIDATION")


async def test_a_harmless_request_id_is_echoed_and_a_hostile_one_replaced(
    outside: Outsider,
) -> None:
    kept = await outside.http.get("/v1/time", headers={"X-Request-ID": "abc-1.2_3"})
    assert kept.headers["X-Request-ID"] == "abc-1.2_3"
    for hostile in ("a b", "x" * 65, "<script>"):
        replaced = await outside.http.get("/v1/time", headers={"X-Request-ID": hostile})
        assert replaced.headers["X-Request-ID"] != hostile


async def test_the_documentation_pages_ask_no_other_host(outside: Outsider) -> None:
    for page in ("/docs", "/redoc"):
        response = await outside.http.get(page)
        assert response.status_code == 200
        sources = re.findall(r'(?:src|href)="([^"]+)"', response.text)
        assert sources
        assert all(source.startswith("/") for source in sources), sources
        for source in sources:
            assert (await outside.http.get(source)).status_code == 200
