"""A paired store on a real file, and a server that loses answers on purpose."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from playpark.canonical import loads_strict, operation_hash
from playpark.client import ApiClient
from playpark.clock import FixedClock
from playpark.contracts.tenancy import DeviceCaps, DeviceStatus, DeviceType, DeviceView, StoreView
from playpark.device import DeviceStore, Identity

NOW = datetime(2026, 11, 21, 8, 42, tzinfo=UTC)
IDENTITY = Identity(
    api_url="http://park",
    device_id="dev1",
    device_token="secret-of-the-device",
    device_code="03",
    short_code_key="ab" * 32,
    device=DeviceView(
        device_id="dev1",
        device_code="03",
        device_number=3,
        type=DeviceType.POS,
        name="till 03",
        status=DeviceStatus.ACTIVE,
        caps=DeviceCaps(can_sell=True),
    ),
    store=StoreView(
        store_id="st1",
        tenant_id="t1",
        tenant_name="Bangkok Play Park",
        name="Main Gate",
        tz="Asia/Bangkok",
    ),
)


class FaultyServer:
    """Applies each op once, like the real one; `faults` says what happens to the next requests.

    `drop` loses the request, `lose` applies it and loses the answer, a number answers with that
    status. An op whose body says `poison` makes its whole batch a 422, `refuse` is rejected,
    `later` is answered retry, `fault` meets a fault of the server's own.
    """

    def __init__(self) -> None:
        self.faults: list[str | int] = []
        self.applied: dict[str, str] = {}
        self.order: list[tuple[int, int]] = []
        self.batches: list[dict[str, Any]] = []
        self.logins = 0
        self.valid_token = "token-1"

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.handle)

    def client(self) -> ApiClient:
        return ApiClient("http://park", transport=self.transport)

    def handle(self, request: httpx.Request) -> httpx.Response:
        fault = self.faults.pop(0) if self.faults else None
        if fault == "drop":
            raise httpx.ConnectError("unplugged", request=request)
        if isinstance(fault, int):
            code = {401: "E_TOKEN_EXPIRED", 503: "E_UNAVAILABLE", 429: "E_RATE_LIMITED"}[fault]
            return _answer(fault, None, {"code": code, "message": "refused"}, retry="7")
        response = self._respond(request)
        if fault == "lose":
            raise httpx.ReadError("cut", request=request)
        return response

    def _respond(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/auth/device/login"):
            self.logins += 1
            data = {
                "access_token": self.valid_token,
                "expires_in": 900,
                "device": {**IDENTITY.device.model_dump(), "type": "GATE"},
                "store": IDENTITY.store.model_dump(),
            }
            return _answer(200, data)
        if request.headers.get("Authorization") != f"Bearer {self.valid_token}":
            return _answer(401, None, {"code": "E_TOKEN_EXPIRED", "message": "log in again"})
        if request.url.path.endswith("/time"):
            return _answer(200, {"now": NOW.isoformat()})
        batch = loads_strict(request.content)
        self.batches.append(batch)
        if len(batch["ops"]) > 50 or any(op["body"].get("poison") for op in batch["ops"]):
            return _answer(422, None, {"code": "E_VALIDATION", "message": "this body is wrong"})
        results = [self._apply(batch["epoch"], op) for op in batch["ops"]]
        return _answer(200, {"results": results})

    def _apply(self, epoch: int, op: dict[str, Any]) -> dict[str, Any]:
        found = {"op_id": op["op_id"]}
        if op["body"].get("later"):
            return {**found, "status": "retry", "retry_after": 3}
        if op["body"].get("fault"):
            fault = {"status": "rejected", "code": "E_INTERNAL", "message": "our fault"}
            return {"op_id": op["op_id"], **fault}
        if op["body"].get("refuse"):
            return {**found, "status": "rejected", "code": "E_CONFLICT", "message": "not this"}
        digest = operation_hash(op["kind"], op["body"])
        result = {"echo": op["body"], "qr_token": f"PP1.{op['op_id']}"}
        if op["op_id"] in self.applied:
            assert self.applied[op["op_id"]] == digest, "an op came twice with another body"
            return {**found, "status": "duplicate", "result": result}
        self.applied[op["op_id"]] = digest
        self.order.append((epoch, op["seq"]))
        return {**found, "status": "applied", "result": result}


def _answer(status: int, data: Any, error: Any = None, retry: str | None = None) -> httpx.Response:
    body = {"server_time": NOW.isoformat(), "request_id": "r", "data": data, "error": error}
    headers = {"Retry-After": retry} if retry else {}
    return httpx.Response(status, content=json.dumps(body), headers=headers)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "till" / "till.db"


@pytest.fixture
def store(path: Path, clock: FixedClock) -> Iterator[DeviceStore]:
    with DeviceStore.open(path, clock) as opened:
        opened.save_identity(IDENTITY)
        yield opened


@pytest.fixture
def server() -> FaultyServer:
    return FaultyServer()
