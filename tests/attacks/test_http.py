"""Bodies, pages and headers of the HTTP surface (ATTACKS 26, 40)."""

import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pymongo.errors import OperationFailure

from api.platform.pins import ENOUGH_MEMORY_KIB
from playpark.errors import ErrorCode
from playpark.ids import new_ulid
from tests.api.limited import Limited, limited
from tests.attacks.hasty import Server, parsed
from tests.outside import Outsider

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Of every answer that is no page."""

# --- 26: bodies -------------------------------------------------------------------------


@pytest.fixture
async def till(server: Server) -> AsyncIterator[Outsider]:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        yield await (await Outsider(http).pair("POS")).staff()


async def send(
    client: Outsider, content: Any, media: str | None = "application/json", **headers: str
) -> httpx.Response:
    sent = {"Authorization": f"Bearer {client.token}", "Idempotency-Key": new_ulid(), **headers}
    if media is not None:
        sent["Content-Type"] = media
    return await client.http.post("/v1/shifts/open", content=content, headers=sent)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"[" * 100_000, 422),
        (b'{"cash_open": ' + b'{"a":' * 100_000, 422),
        (b'{"cash_open": ' + b"9" * 5000 + b"}", 422),
        (b'{"cash_open": -' + b"9" * 5000 + b"}", 422),
        (b'{"cash_open": NaN}', 422),
        (b'{"cash_open": Infinity}', 422),
        (b'{"cash_open": 1e400}', 422),
        (b'{"cash_open": 1, "cash_open": 2}', 422),
        (b'{"cash_open": 1}\x00', 422),
        ('{"cash_open": 1}'.encode("utf-16"), 422),
        (b"\xff\xfe\xfd", 422),
        (b"null", 422),
        (b'"cash_open"', 422),
        (b"", 422),
    ],
    ids=[
        *("deep arrays", "deep objects", "5000 digits", "minus 5000 digits", "NaN", "Infinity"),
        *("1e400", "duplicate keys", "NUL after", "UTF-16", "no UTF-8", "null", "a string"),
        "nothing",
    ],
)
async def test_attack_26_a_hostile_body_is_refused_in_the_envelope(
    till: Outsider, content: bytes, status: int
) -> None:
    response = await send(till, content)
    assert (response.status_code, response.json()["error"]["code"]) == (status, "E_VALIDATION")


@pytest.mark.parametrize(
    ("media", "packed"),
    [
        (None, None),
        ("text/plain", None),
        ("application/x-www-form-urlencoded", None),
        ("multipart/form-data; boundary=x", None),
        ("application/xml", None),
        ("application/jsonp", None),
        ("application/json", "gzip"),
        ("application/json", "br"),
        ("application/json", "identity, gzip"),
    ],
)
async def test_attack_26_another_media_type_or_a_packed_body_is_415(
    till: Outsider, media: str | None, packed: str | None
) -> None:
    more = {"Content-Encoding": packed} if packed else {}
    bomb = gzip.compress(b" " * 10_000_000)
    response = await send(till, bomb if packed else b'{"cash_open": 1}', media, **more)
    assert (response.status_code, response.json()["error"]["code"]) == (415, "E_VALIDATION")
    assert "application/json" in response.json()["error"]["message"]
    assert (await till.call("GET", "/v1/shifts/current")).status_code == 409


async def test_attack_26_json_may_name_its_charset(till: Outsider) -> None:
    response = await send(till, b"{}", "Application/JSON; charset=utf-8")
    assert response.status_code == 422


async def test_attack_26_sixty_megabytes_are_413_and_never_in_memory(
    server: Server, till: Outsider
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(60):
            yield b" " * 1024 * 1024

    await send(till, b"{}")
    before = server.peak_kib()
    for content in (endless(), b" " * 60 * 1024 * 1024):
        response = await send(till, content)
        assert (response.status_code, response.json()["error"]["code"]) == (413, "E_BODY_TOO_LARGE")
    stranger = await till.http.post("/v1/sync/batch", content=endless())
    assert stranger.status_code == 401
    assert server.peak_kib() - before < 20 * 1024


@pytest.mark.parametrize(
    "trailer",
    [b"x: y\r\n", b"x", b"x: " + b"y" * 50_000 + b"\r\n"],
    ids=["many", "one", "long ones"],
)
async def test_attack_26_trailers_and_chunks_without_end_are_cut(
    server: Server, trailer: bytes
) -> None:
    """They are no part of a body, and would be kept."""
    before = server.peak_kib()
    head = b"POST /v1/auth/refresh HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"
    many = trailer * (1_000_000 // len(trailer))
    answer = await server.exchange(head, *[many] * 60)
    # Nothing, where the connection was reset before the answer was read.
    assert answer == b"" or parsed(answer)[0] in {408, 415, 431}
    assert server.peak_kib() - before < 20 * 1024


async def test_attack_26_chunks_of_a_byte_are_cut(server: Server) -> None:
    head = b"POST /v1/auth/refresh HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    chunks = b"1;what=ever\r\n \r\n" * 60_000
    answer = await server.exchange(head + b"transfer-encoding: chunked\r\n\r\n", chunks)
    assert answer == b"" or parsed(answer)[0] == 431


# --- 40: pages and headers --------------------------------------------------------------

SECRETS = {"secret_key": "s" * 40, "encryption_key": "e" * 40, "hmac_keys": {1: "h" * 40}}
PRODUCTION: dict[str, Any] = {
    **SECRETS,
    "environment": "production",
    "pin_memory_kib": ENOUGH_MEMORY_KIB,
}
PAGES = ("/docs", "/redoc", "/openapi.json", "/docs-assets/swagger-ui.css")


@pytest.fixture(scope="module")
async def production(mongo_uri: str, database: str) -> AsyncIterator[Limited]:
    async with limited(mongo_uri, f"{database}_40", **PRODUCTION) as park:
        yield park


async def test_attack_40_production_shows_no_pages_and_no_metrics(production: Limited) -> None:
    nobody = await production.at("127.0.0.1")
    for path in (*PAGES, "/metrics"):
        response = await nobody.call("GET", path)
        assert (response.status_code, response.json()["error"]["code"]) == (404, "E_NOT_FOUND")


async def test_attack_40_docs_can_be_switched_on_and_run_their_own_scripts_only(
    production: Limited,
) -> None:
    client = await production.told(**PRODUCTION, docs=True).at()
    for path in PAGES:
        response = await client.call("GET", path)
        assert response.status_code == 200
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    for path in PAGES[:2]:
        policy = (await client.call("GET", path)).headers["Content-Security-Policy"]
        script = policy.split("script-src")[1].split(";")[0]
        assert "unsafe" not in script
        assert "*" not in policy
        assert "http" not in policy


@pytest.mark.parametrize("environment", ["production", "development"])
async def test_attack_40_metrics_are_for_who_has_the_token(
    production: Limited, environment: str
) -> None:
    told = {**PRODUCTION, "environment": environment, "metrics_token": "m" * 20}
    client = await production.told(**told).at()
    for wrong in ("", "Bearer", "Bearer wrong", "Basic " + "m" * 20, "Bearer é"):
        sent = {"Authorization": wrong.encode()} if wrong else {}
        assert (await client.http.get("/metrics", headers=sent)).status_code == 404
    client.token = "m" * 20
    response = await client.call("GET", "/metrics")
    assert response.status_code == 200
    assert "playpark_requests_total" in response.text


async def test_attack_40_every_answer_has_the_headers_and_tells_no_server(
    production: Limited, server: Server
) -> None:
    nobody = await production.at()
    async with httpx.AsyncClient(base_url=server.url) as http:
        for client in (nobody.http, http):
            for method, path, status in (
                ("GET", "/v1/time", 200),
                ("GET", "/healthz", 200),
                ("GET", "/v1/sales", 401),
                ("GET", "/nowhere", 404),
                ("DELETE", "/v1/time", 405),
                ("TRACE", "/v1/time", 405),
                ("OPTIONS", "/v1/sales", 405),
                ("POST", "/v1/auth/device/register", 422),
            ):
                response = await client.request(method, path)
                assert response.status_code == status, path
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["Referrer-Policy"] == "no-referrer"
                assert response.headers["Cache-Control"] == "no-store"
                assert "default-src 'none'" in response.headers["Content-Security-Policy"]
                assert "Server" not in response.headers
                if status >= 400:
                    assert response.json()["error"]["code"] in set(ErrorCode)


async def test_attack_40_no_other_origin_may_ask_unless_it_is_named(
    production: Limited,
) -> None:
    def preflight(origin: str) -> dict[str, str]:
        return {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,idempotency-key",
        }

    nobody = await production.at()
    for method, path in (("GET", "/v1/time"), ("OPTIONS", "/v1/sales"), ("GET", "/v1/sales")):
        headers = preflight("https://office.example")
        response = await nobody.http.request(method, path, headers=headers)
        assert not [name for name in response.headers if name.startswith("access-control")]
    client = await production.told(**PRODUCTION, cors_origins="https://office.example").at()
    for origin, allowed in (("https://office.example", True), ("https://evil.example", False)):
        asked = await client.http.options("/v1/sales", headers=preflight(origin))
        assert ("access-control-allow-origin" in asked.headers) is allowed
        assert asked.headers.get("access-control-allow-credentials") is None
        answer = await client.http.get("/v1/time", headers={"Origin": origin})
        assert ("access-control-allow-origin" in answer.headers) is allowed


@pytest.mark.parametrize("fault", [RuntimeError, OperationFailure])
async def test_attack_40_a_fault_of_ours_tells_nothing_of_itself(
    production: Limited, fault: type[Exception]
) -> None:
    async def broken() -> None:
        raise fault("the cellar key is under the mat")

    production.app.add_api_route(f"/v1/{fault.__name__}", broken)
    stranger = await production.at(**{"X-Request-ID": "mine"})
    response = await stranger.http.get(f"/v1/{fault.__name__}")
    assert response.headers["X-Request-ID"] == response.json()["request_id"] == "mine"
    assert HEADERS.items() <= dict(response.headers).items()
    assert (response.status_code, response.json()["error"]["code"]) == (500, "E_INTERNAL")
    for word in ("cellar", "Traceback", "RuntimeError", ".py"):
        assert word not in response.text
