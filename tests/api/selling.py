"""What the tests of sales share: a park inside the test, its owner, tills and carts."""

from dataclasses import dataclass, field
from typing import Any

import httpx

from playpark.ids import new_ulid
from tests.api.drawers import SUPERVISOR, applied, op, send, tell
from tests.api.inside import Inside
from tests.outside import CASHIER, Outsider

OWNER = {"email": "owner@demo.playpark", "pin": "8888"}
ADULT, CHILD, CAROUSEL, FAMILY = 19_900, 14_900, 4_000, 59_000
NO_THAI = ("/catalog/taxes", "/catalog/price_lists")


@dataclass
class Park:
    """The demo park of one test file; its owner changes what it likes."""

    inside: Inside
    owner: Outsider
    ids: dict[str, str] = field(default_factory=dict)
    """Of the demo park's packages, payment types and discounts, by their English names."""

    @classmethod
    async def of(cls, inside: Inside) -> "Park":
        owner = await (await inside.device("ADMIN")).staff(**OWNER)
        park = cls(inside, owner)
        known = await park.catalog()
        for part, key in (
            ("packages", "package_id"),
            ("payment_types", "payment_type_id"),
            ("discounts", "discount_id"),
        ):
            park.ids |= {each["name"]: each[key] for each in known[part]}
        return park

    @property
    def db(self) -> Any:
        """The server's own database, to look behind the API."""
        return self.inside.platform.mongo.db

    async def catalog(self) -> dict[str, Any]:
        known: dict[str, Any] = await tell(self.owner, "GET", "/catalog/snapshot")
        return known

    async def till(self, *, shift: bool = True, **who: str) -> Outsider:
        pos = await (await self.inside.device("POS")).staff(**(who or CASHIER))
        if shift:
            await pos.open_shift()
        return pos

    async def supervised(self) -> Outsider:
        """A till with a supervisor at it."""
        return await self.till(**SUPERVISOR)

    async def settings(self, **sections: dict[str, Any]) -> None:
        await tell(self.owner, "PUT", "/settings", {"sections": sections})

    async def add(self, path: str, **fields: Any) -> Any:
        words = {"name": "Thing"} if path in NO_THAI else {"name": "Thing", "name_th": "ของ"}
        return await tell(self.owner, "POST", path, {**words, **fields})

    async def promo(self, **fields: Any) -> tuple[str, str]:
        """(code, rule id) of a new code for 10 % off."""
        code = f"P{new_ulid()}"
        rule = await self.add(
            "/pricing/rules",
            kind="promo_code",
            params={"code": code, "percent": 1_000},
            **fields,
        )
        return code, str(rule["rule_id"])

    async def customer(self, points: int = 0, **fields: Any) -> str:
        supervisor = await self.till(shift=False, **SUPERVISOR)
        made = await tell(supervisor, "POST", "/customers", {"name": "Anong", **fields})
        customer_id = str(made["customer_id"])
        if points:
            body = {"points": points, "reason_text": "welcome"}
            await tell(supervisor, "POST", f"/customers/{customer_id}/points", body)
        return customer_id

    async def points(self, customer_id: str) -> int:
        return int((await self.db["customers"].find_one({"_id": customer_id}))["points"])

    def lines(self, *wanted: tuple[str, int]) -> list[dict[str, Any]]:
        return [{"package_id": self.ids[name], "qty": qty} for name, qty in wanted]

    def pay(self, name: str, amount: int, **more: Any) -> dict[str, Any]:
        """A payment of one of the park's ways to pay."""
        method = {"Cash": "cash", "PromptPay QR": "qr", "Loyalty points": "other"}.get(name, "card")
        kind = {"method": method, "payment_type_id": self.ids[name]}
        return {**kind, "amount": amount, **more}

    def adult(self, qty: int = 1, **more: Any) -> dict[str, Any]:
        """The body of a sale of adult passes for cash."""
        cash = [{"method": "cash", "amount": ADULT * qty}]
        return {"lines": self.lines(("Adult day pass", qty)), "payments": cash, **more}

    async def committed(self, till: Outsider, body: dict[str, Any], **more: Any) -> dict[str, Any]:
        """The sale of an operation of the cashier at a till whose money is taken already."""
        (result,) = await applied(till, await self.op(till, body, **more))
        return dict(result["sale"])

    async def op(self, till: Outsider, body: dict[str, Any], **more: Any) -> dict[str, Any]:
        """A committed sale of the cashier at a till, by the park's clock."""
        employee_id = (await tell(till, "GET", "/employees/me"))["employee_id"]
        at = self.inside.clock.now().isoformat()
        return op("sale", body, **{"employee_id": employee_id, "occurred_at": at, **more})

    async def count(self, collection: str, **which: Any) -> int:
        return int(await self.db[collection].count_documents(which))


async def sell(till: Outsider, body: dict[str, Any], **more: Any) -> dict[str, Any]:
    sold: dict[str, Any] = await tell(till, "POST", "/sales", body, **more)
    return sold


async def refused(
    till: Outsider, body: dict[str, Any], path: str = "/sales", **more: Any
) -> tuple[int, str, dict[str, Any]]:
    """(status, code, details) of a sale that has to be refused."""
    response = await send(till, "POST", path, body, **more)
    error = _error(response)
    return response.status_code, error["code"], error.get("details") or {}


def _error(response: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] | None = response.json()["error"]
    assert error is not None, response.text
    return error


def rung(priced: dict[str, Any]) -> dict[str, Any]:
    """What a till shows of a price: header and slices."""
    header = (
        *("subtotal", "discount_total", "tax_total"),
        *("surcharge_total", "cash_rounding", "grand_total"),
    )
    lines = [
        {"unit_price": line["unit_price"], "slices": line["slices"]} for line in priced["lines"]
    ]
    return {**{name: priced[name] for name in header}, "lines": lines}
