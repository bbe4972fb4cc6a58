"""The examples of the API pages are what the server really answers.

The story below runs on the demo park; its requests and answers are the examples. With
PLAYPARK_RECORD=1 it writes them, otherwise it compares their shapes.
"""

import json
import os
from pathlib import Path
from typing import Any

from playpark.ids import new_ulid
from playpark.resources import config_path
from tests.outside import CASHIER, Outsider

FILE = "openapi-examples.json"
HIDDEN = {"device_token", "access_token", "refresh_token", "short_code_key"}


class Story:
    """Calls the API and keeps each request and answer under its documented name."""

    def __init__(self, client: Outsider) -> None:
        self.client = client
        self.told: dict[str, dict[str, Any]] = {}

    async def tell(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        name: str | None = None,
        key: bool = False,
    ) -> Any:
        response = await self.client.call(method, path, body, key=new_ulid() if key else None)
        assert response.status_code == 200, response.text
        example = {"response": hide(response.json())}
        if body is not None:
            example["request"] = hide(body)
        self.told[f"{method} {name or path}"] = example
        return response.json()["data"]


def hide(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: "…" if k in HIDDEN and v else hide(v) for k, v in value.items()}
    return [hide(item) for item in value] if isinstance(value, list) else value


def shape(value: Any) -> Any:
    """Keys and kinds of a JSON value; the length of lists and what is null do not count."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "text" if isinstance(value, str) else type(value).__name__


async def tell_all(client: Outsider) -> dict[str, dict[str, Any]]:
    story = Story(client)
    for path in ("/health", "/healthz", "/readyz", "/v1/time"):
        await story.tell("GET", path)
    device = await story.tell(
        "POST",
        "/v1/auth/device/register",
        {"site_key": "DEMO-MAIN-GATE", "type": "POS", "name": "Till 1"},
    )
    login = {"device_id": device["device_id"], "device_token": device["device_token"]}
    session = await story.tell("POST", "/v1/auth/device/login", login)
    client.token = session["access_token"]
    supervisor = {"email": "supervisor@demo.playpark", "pin": "9999"}
    await story.tell("POST", "/v1/employees/login", CASHIER)
    person = await client.data("POST", "/v1/employees/login", supervisor)
    renew = {"refresh_token": person["refresh_token"]}
    renewed = await story.tell("POST", "/v1/auth/refresh", renew)
    client.token = renewed["access_token"]
    await story.tell("GET", "/v1/employees/me")
    await story.tell("GET", "/v1/devices/me")
    await story.tell("GET", "/v1/catalog/snapshot")
    packages = (await story.tell("GET", "/v1/catalog/packages"))["items"]
    lines = [{"package_id": packages[0]["package_id"], "qty": 2}]
    preview = await story.tell("POST", "/v1/pricing/preview", {"lines": lines})
    await story.tell("POST", "/v1/shifts/open", {"cash_open": 100_000}, key=True)
    await story.tell("GET", "/v1/shifts/current")
    total = preview["grand_total"]
    payments = [{"method": "cash", "amount": total, "tendered": 40_000}]
    body = {"lines": lines, "payments": payments, "expected_total": total}
    sold = await story.tell("POST", "/v1/sales", body, key=True)
    sale_id, tickets = sold["sale"]["sale_id"], sold["tickets"]
    await story.tell("GET", f"/v1/sales/{sale_id}", name="/v1/sales/{sale_id}")
    ticket_id = tickets[0]["ticket_id"]
    await story.tell("GET", f"/v1/tickets/{ticket_id}", name="/v1/tickets/{ticket_id}")
    for path, ticket in (("/v1/tickets/redeem", tickets[0]), ("/v1/redemptions", tickets[1])):
        await story.tell("POST", path, {"qr_token": ticket["qr_token"]}, key=True)
    op = {
        "op_id": new_ulid(),
        "kind": "sale",
        "seq": 1,
        "schema_version": 1,
        "employee_id": renewed["employee"]["employee_id"],
        "committed": True,
        "occurred_at": sold["sale"]["occurred_at"],
        "body": {"lines": lines, "payments": payments},
    }
    await story.tell("POST", "/v1/sync/batch", {"epoch": 1, "ops": [op]})
    counted = {"counted": {"100000": 1, "10000": 7, "5000": 1, "2000": 2, "100": 6}}
    await story.tell("POST", "/v1/shifts/close", counted, key=True)
    for path in ("/v1/sales", "/v1/shifts", "/v1/redemptions", "/v1/devices"):
        await story.tell("GET", path)
    await story.tell("POST", "/v1/auth/logout")
    return story.told


async def test_every_route_has_an_example_that_the_server_still_answers(
    outside: Outsider,
) -> None:
    told = await tell_all(outside)
    schema = (await outside.http.get("/openapi.json")).json()
    documented = {
        f"{method.upper()} {path}"
        for path, methods in schema["paths"].items()
        for method in methods
    }
    assert set(told) == documented
    if os.environ.get("PLAYPARK_RECORD"):
        text = json.dumps(told, indent=1, ensure_ascii=False, sort_keys=True)
        Path(f"config/{FILE}").write_text(text + "\n")
    examples = json.loads(config_path(FILE).read_text())
    assert set(examples) == documented
    for name, example in told.items():
        assert shape(example.get("request")) == shape(examples[name].get("request")), name
        assert shape(example["response"]) == shape(examples[name]["response"]), name
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            example = examples[f"{method.upper()} {path}"]
            answer = operation["responses"]["200"]["content"]["application/json"]
            assert answer["example"] == example["response"]
            if "requestBody" in operation:
                asked = operation["requestBody"]["content"]["application/json"]
                assert asked["example"] == example["request"]
