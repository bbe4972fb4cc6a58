"""What the tests of shifts share: calls with an approval, operations for the batch, people."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx

from playpark.cash import FIRST_HASH, chain_hash
from playpark.ids import new_ulid
from tests.outside import Outsider

SUPERVISOR = {"email": "supervisor@demo.playpark", "pin": "9999"}
CAROUSEL = 4_000
SEQS = count(1)
"""Places in the sequences of devices: none is taken twice (R38)."""


async def send(
    client: Outsider,
    method: str,
    path: str,
    body: Any = None,
    *,
    key: str | None = None,
    approval: str | None = None,
    **query: Any,
) -> httpx.Response:
    headers = {"Authorization": f"Bearer {client.token}"}
    if method == "POST":
        headers["Idempotency-Key"] = key or new_ulid()
    if approval:
        headers["X-Approval"] = approval
    return await client.http.request(method, f"/v1{path}", json=body, headers=headers, params=query)


async def tell(client: Outsider, method: str, path: str, body: Any = None, **more: Any) -> Any:
    """The data of an answer that has to be a good one."""
    response = await send(client, method, path, body, **more)
    assert response.status_code == 200, response.text
    return response.json()["data"]


async def refusal(
    client: Outsider, method: str, path: str, body: Any = None, **more: Any
) -> tuple[int, str]:
    """Status and code of an answer that has to be a refusal."""
    response = await send(client, method, path, body, **more)
    error = response.json()["error"]
    assert error is not None, response.text
    return response.status_code, error["code"]


def op(kind: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A committed operation of a till."""
    return {
        "op_id": new_ulid(),
        "kind": kind,
        "seq": next(SEQS),
        "schema_version": 1,
        "occurred_at": datetime.now(UTC).isoformat(),
        "body": body,
        "committed": True,
        **more,
    }


async def sync(device: Outsider, *ops: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await tell(device, "POST", "/sync/batch", {"epoch": 1, "ops": list(ops)})
    return list(answer["results"])


async def applied(device: Outsider, *ops: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers of operations that have to be applied."""
    results = await sync(device, *ops)
    assert [result["status"] for result in results] == ["applied"] * len(ops), results
    return [result["result"] for result in results]


async def carousel(till: Outsider, tendered: int = CAROUSEL, **more: Any) -> dict[str, Any]:
    """The body of a sale of one ride for cash."""
    package_id = (await till.packages())["Carousel ride"]["package_id"]
    payment = {"method": "cash", "amount": CAROUSEL, "tendered": tendered}
    return {"lines": [{"package_id": package_id, "qty": 1}], "payments": [payment], **more}


async def approve(till: Outsider, action: str, entity_id: str, **more: Any) -> str:
    """A supervisor's PIN on this till: the token."""
    body = {**SUPERVISOR, "action": action, "entity_id": entity_id, **more}
    return str((await tell(till, "POST", "/approvals/verify_pin", body))["approval_token"])


@asynccontextmanager
async def office(api_url: str, who: dict[str, str] = SUPERVISOR) -> AsyncIterator[Outsider]:
    """An admin's device with a supervisor at it."""
    async with httpx.AsyncClient(base_url=api_url, timeout=30) as http:
        admin = await Outsider(http).pair("ADMIN")
        yield await admin.staff(**who)


async def z_of(client: Outsider, shift_id: str) -> list[dict[str, Any]]:
    """The Z report of a shift and all that was added to it."""
    return list((await tell(client, "GET", f"/shifts/{shift_id}/z"))["items"])


def chained(reports: list[dict[str, Any]], prev_hash: str = FIRST_HASH) -> bool:
    """Whether each report is what its hash says, over the one before it (R28)."""
    for report in reports:
        content = {name: value for name, value in report.items() if name != "hash"}
        if report["prev_hash"] != prev_hash or report["hash"] != chain_hash(prev_hash, content):
            return False
        prev_hash = report["hash"]
    return bool(reports)
