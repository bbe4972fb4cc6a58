"""A server that decides like the real one in small, and fails in every way a network can."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import httpx

from playpark.clock import FixedClock
from playpark.contracts.auth import DeviceSession
from playpark.contracts.catalog import ZoneView
from playpark.contracts.gate import GateBootstrap
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.contracts.tenancy import DeviceCaps, DeviceStatus, DeviceType, DeviceView, StoreView
from playpark.device import Identity

NOW = datetime(2026, 11, 21, 8, 42, tzinfo=UTC)
URL = "http://park"
DEVICE = DeviceView(
    device_id="gate1",
    device_code="07",
    device_number=7,
    type=DeviceType.GATE,
    name="Gate",
    status=DeviceStatus.ACTIVE,
    caps=DeviceCaps(can_redeem=True),
)
STORE = StoreView(
    store_id="st1",
    tenant_id="t1",
    tenant_name="Bangkok Play Park",
    name="Main Gate",
    tz="Asia/Bangkok",
)
IDENTITY = Identity(
    api_url=URL,
    device_id="gate1",
    device_token="secret-of-the-gate",
    device_code="07",
    device=DEVICE,
    store=STORE,
)
SNAPSHOT = CatalogSnapshot(
    catalog_version=1,
    hash="0" * 64,
    store_id="st1",
    packages=[],
    zones=[
        ZoneView(zone_id="z-ball", name="Ball Pit", name_th="บ่อบอล"),
        ZoneView(zone_id="z-water", name="Water Park", name_th="สวนน้ำ"),
    ],
    taxes=[],
)


class Park:
    """`away`: nobody answers. `lose`: applies, but the answer is lost. `slow`: answers wait for
    it. `error`: (status, code, message) of every answer. `rejects`: ops are refused for good."""

    def __init__(self) -> None:
        self.clock = FixedClock(NOW)
        self.away = False
        self.lose = False
        self.slow: asyncio.Event | None = None
        self.error: tuple[int, str, str] | None = None
        self.rejects: str | None = None
        self.message = "Welcome!"
        self.remaining = 0
        self.ops: list[dict[str, Any]] = []
        self.answers: dict[str, dict[str, Any]] = {}
        self.spent: set[str] = set()
        self.beats: list[dict[str, Any]] = []
        self.not_admitted: list[str] = []
        self.annulled = asyncio.Event()
        self.paired_with: list[str] = []
        self.allow_list: GateBootstrap | None = None
        self.lists_asked: list[dict[str, str]] = []

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._handle)

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("unplugged", request=request)
        body = json.loads(request.content) if request.content else {}
        if self.slow is not None and request.url.path.endswith("/sync/batch"):
            await self.slow.wait()
        if self.error is not None:
            status, code, message = self.error
            return envelope(None, status, {"code": code, "message": message})
        if request.url.path.endswith("/gate/bootstrap"):
            return self._list(dict(request.url.params))
        answer = self._answer(request.url.path, body)
        if self.lose and request.url.path.endswith("/sync/batch"):
            raise httpx.ReadError("cut", request=request)
        return answer

    def _answer(self, path: str, body: dict[str, Any]) -> httpx.Response:
        if path.endswith("/auth/device/register"):
            self.paired_with.append(body["site_key"])
            if body["site_key"] != "DEMO-MAIN-GATE":
                error = {"code": "E_UNAUTHENTICATED", "message": "This site key is not known."}
                return envelope(None, 401, error)
            return envelope(
                {
                    "device_id": "gate1",
                    "device_token": "secret-of-the-gate",
                    "device_code": "07",
                    "status": "active",
                }
            )
        if path.endswith("/auth/device/login"):
            session = DeviceSession(
                access_token="token", expires_in=900, device=DEVICE, store=STORE
            )
            return envelope(session.model_dump(mode="json"))
        if path.endswith("/catalog/snapshot"):
            return envelope(SNAPSHOT.model_dump(mode="json"))
        if path.endswith("/provider/heartbeats"):
            self.beats.append(body)
            return envelope(
                {
                    "server_time": NOW.isoformat(),
                    "catalog_version": 1,
                    "features": [],
                    "caps": {},
                    "clock_skewed": False,
                }
            )
        if path.endswith("/time"):
            return envelope({"now": NOW.isoformat()})
        return envelope({"results": [self._apply(op) for op in body["ops"]]})

    def _list(self, query: dict[str, str]) -> httpx.Response:
        """A park without a list answers as a server that is older than its gates."""
        self.lists_asked.append(query)
        if self.allow_list is None:
            return envelope(None, 404, {"code": "E_NOT_FOUND", "message": "There is no list."})
        return envelope(self.allow_list.model_dump(mode="json", exclude_defaults=True))

    def _apply(self, op: dict[str, Any]) -> dict[str, Any]:
        self.ops.append(op)
        if self.rejects is not None:
            return {
                "op_id": op["op_id"],
                "status": "rejected",
                "code": "E_NOT_FOUND",
                "message": self.rejects,
            }
        if op["kind"] == "annul":
            return {"op_id": op["op_id"], "status": "applied", "result": self._annul(op["body"])}
        known = op["op_id"] in self.answers
        if (op.get("local") or {}).get("result") == "fail":
            self.not_admitted.append(op["op_id"])
            self.annulled.set()
        if not known:
            self.answers[op["op_id"]] = self._decide(op["op_id"], op["body"])
        status = "duplicate" if known else "applied"
        return {"op_id": op["op_id"], "status": status, "result": self.answers[op["op_id"]]}

    def _annul(self, body: dict[str, Any]) -> dict[str, Any]:
        shown = next(op["body"] for op in self.ops if op["op_id"] == body["op_id"])
        self.spent.discard(shown.get("qr_token") or shown["short_code"])
        return {
            "redemption_id": f"r-{body['op_id']}",
            "ticket_id": "01K9ZZZZZZZZZZZZZZZZZZ0001",
            "annulled_at": NOW.isoformat(),
            "remaining": 1,
        }

    def _decide(self, op_id: str, body: dict[str, Any]) -> dict[str, Any]:
        code = body.get("qr_token") or body["short_code"]
        answer = {
            "redemption_id": f"r-{op_id}",
            "result": "pass",
            "reason": None,
            "remaining": self.remaining,
            "kind": "multi" if self.remaining else "single",
            "ticket_id": "01K9ZZZZZZZZZZZZZZZZZZ0001",
            "message": self.message,
            "message_th": "ยินดีต้อนรับ",
            "package_name": "Adult day pass",
            "package_name_th": "ตั๋วผู้ใหญ่",
        }
        if body.get("qr_token") and not code.startswith("PP1."):
            said = {"message": "This is not a ticket of this park.", "message_th": "ไม่ใช่ตั๋ว"}
            return answer | {"result": "fail", "reason": "invalid_sig", "ticket_id": None} | said
        if code in self.spent:
            said = {
                "message": "Ticket already used at 15:42. Ask the supervisor if the guest did not "
                "enter.",
                "message_th": "ตั๋วถูกใช้แล้วเมื่อ 15:42 น. หากยังไม่ได้เข้า กรุณาแจ้งหัวหน้างาน",
            }
            return answer | {"result": "fail", "reason": "duplicate_use"} | said
        self.spent.add(code)
        return answer


def envelope(
    data: object, status: int = 200, error: dict[str, str] | None = None
) -> httpx.Response:
    body = {"server_time": NOW.isoformat(), "request_id": "r1", "data": data, "error": error}
    return httpx.Response(status, json=body)
