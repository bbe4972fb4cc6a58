"""What the tests of refunds, voids and reprints share: a supervisor's yes, and asking with it."""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from pymongo import MongoClient

from playpark.ids import new_ulid
from tests.api.drawers import SEQS
from tests.outside import Outsider

SUPERVISOR = {"email": "supervisor@demo.playpark", "pin": "9999"}
Answer = tuple[int, Any]


async def approve(
    asking: Outsider, action: str, entity_id: str, *, amount: int | None = None, **who: str
) -> str:
    """The token of a supervisor's yes, given on the device that asks."""
    body: dict[str, Any] = {**(who or SUPERVISOR), "action": action, "entity_id": entity_id}
    if amount is not None:
        body["amount"] = amount
    granted = await asking.data("POST", "/v1/approvals/verify_pin", body)
    return str(granted["approval_token"])


async def ask(
    asking: Outsider,
    path: str,
    body: dict[str, Any],
    *,
    approval: str | None = None,
    key: str | None = None,
) -> httpx.Response:
    """POST with an Idempotency-Key and, if given, an approval."""
    headers = {
        "Authorization": f"Bearer {asking.token}",
        "Idempotency-Key": key or new_ulid(),
        **({"X-Approval": approval} if approval else {}),
    }
    return await asking.http.post(path, json=body, headers=headers)


def told(response: httpx.Response) -> Answer:
    """(status, error code or data) of an answer."""
    answer = response.json()
    return response.status_code, answer["error"]["code"] if answer["error"] else answer["data"]


async def refund(asking: Outsider, sale_id: str, **what: Any) -> Answer:
    """Refund with a fresh approval for the sale."""
    approval = await approve(asking, "refund", sale_id)
    return told(await ask(asking, "/v1/refunds", refund_of(sale_id, **what), approval=approval))


def refund_of(sale_id: str, **what: Any) -> dict[str, Any]:
    return {"sale_id": sale_id, "reason_code": "customer_request", **what}


@contextmanager
def behind(mongo_uri: str, name: str) -> Iterator[Any]:
    """The server's own database, to look behind the API."""
    with MongoClient(mongo_uri, tz_aware=True) as client:
        yield client[name]


def copies_of(db: Any, token: str, how_many: int, *, without: str | None = None) -> list[str]:
    """As many more approvals as this one, without the quarter of a second that each PIN takes;
    `without` is a permission that their approver does not have."""
    found = db.approvals.find_one({"token_hash": hashlib.sha256(token.encode()).hexdigest()})
    assert found is not None
    permissions = [each for each in found["permissions"] if each != without]
    tokens = [secrets.token_urlsafe(24) for _ in range(how_many)]
    db.approvals.insert_many(
        {
            **found,
            "_id": new_ulid(),
            "permissions": permissions,
            "token_hash": hashlib.sha256(each.encode()).hexdigest(),
        }
        for each in tokens
    )
    return tokens


async def books(asking: Outsider, sale_id: str) -> Any:
    """All that a refusal must leave as it was: the sale with its tickets, and the shift."""
    sale = await asking.data("GET", f"/v1/sales/{sale_id}")
    found = await asking.data("GET", "/v1/tickets", sale_id=sale_id)
    return sale, found, await asking.data("GET", "/v1/shifts/current")


async def close(till: Outsider, counted: int = 0) -> dict[str, Any]:
    """Close the shift; a difference needs a supervisor, so the close is committed."""
    op = {
        "op_id": new_ulid(),
        "kind": "shift_close",
        "seq": next(SEQS),
        "schema_version": 1,
        "employee_id": (await till.data("GET", "/v1/employees/me"))["employee_id"],
        "committed": True,
        "occurred_at": "2026-01-01T00:00:00Z",
        "body": {"cash_counted": counted, "reason_code": "counting_error"},
    }
    op["occurred_at"] = (await till.data("GET", "/v1/time"))["now"]
    batch = await till.data("POST", "/v1/sync/batch", {"epoch": 1, "ops": [op]})
    closed: dict[str, Any] = batch["results"][0]["result"]
    return closed
