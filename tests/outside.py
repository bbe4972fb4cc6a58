"""A client from outside: devices and people of the demo park, over HTTP."""

from dataclasses import dataclass, field
from typing import Any

import httpx

from playpark.ids import new_ulid

CASHIER = {"email": "cashier@demo.playpark", "pin": "1111"}


@dataclass
class Outsider:
    """A client that knows API.md and nothing else: plain HTTP, plain JSON."""

    http: httpx.AsyncClient
    device: dict[str, Any] = field(default_factory=dict)
    token: str = ""

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **query: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if key:
            headers["Idempotency-Key"] = key
        return await self.http.request(method, path, json=body, headers=headers, params=query)

    async def data(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        response = await self.call(method, path, body, **more)
        answer = response.json()
        assert answer["error"] is None, answer
        assert response.status_code == 200
        return answer["data"]

    async def pair(self, kind: str, site_key: str = "DEMO-MAIN-GATE") -> "Outsider":
        body = {"site_key": site_key, "type": kind, "name": f"test {kind}"}
        self.device = await self.data("POST", "/v1/auth/device/register", body)
        login = {key: self.device[key] for key in ("device_id", "device_token")}
        self.token = (await self.data("POST", "/v1/auth/device/login", login))["access_token"]
        return self

    async def staff(self, **who: str) -> "Outsider":
        session = await self.data("POST", "/v1/employees/login", who or CASHIER)
        self.token = session["access_token"]
        return self

    async def packages(self) -> dict[str, dict[str, Any]]:
        page = await self.data("GET", "/v1/catalog/packages", visible_on="POS")
        return {package["name"]: package for package in page["items"]}

    async def open_shift(self, cash_open: int = 100_000) -> str:
        answer = await self.data(
            "POST", "/v1/shifts/open", {"cash_open": cash_open}, key=new_ulid()
        )
        return str(answer["shift_id"])

    async def sell(self, *lines: tuple[str, int], key: str | None = None) -> dict[str, Any]:
        """Sell (package name, quantity) lines for cash."""
        packages = await self.packages()
        cart = [{"package_id": packages[name]["package_id"], "qty": qty} for name, qty in lines]
        total = (await self.data("POST", "/v1/pricing/preview", {"lines": cart}))["grand_total"]
        payments = [{"method": "cash", "amount": total, "tendered": total}]
        body = {"lines": cart, "payments": payments}
        sale: dict[str, Any] = await self.data("POST", "/v1/sales", body, key=key or new_ulid())
        return sale
