"""Calls the API and keeps what is told, under the documented names."""

from typing import Any

from playpark.ids import new_ulid
from tests.outside import Outsider

HIDDEN = {
    "device_token",
    "access_token",
    "refresh_token",
    "short_code_key",
    "approval_token",
    "generated_pin",
    "secret",
    "otpauth_uri",
}
SHOWN_ONCE = HIDDEN | {"site_key"}
"""In answers. The site key of a request is the demo park's, which everybody knows."""
SUPERVISOR = {"email": "supervisor@demo.playpark", "pin": "9999"}
OWNER = {"email": "owner@demo.playpark", "pin": "8888"}


def hide(value: Any, names: set[str] = HIDDEN) -> Any:
    if isinstance(value, dict):
        return {k: "…" if k in names and v else hide(v, names) for k, v in value.items()}
    return [hide(item, names) for item in value] if isinstance(value, list) else value


class Story:
    """Calls the API and keeps each request and answer under its documented name."""

    def __init__(self, client: Outsider) -> None:
        self.client = client
        self.told: dict[str, dict[str, Any]] = {}
        self.cashier = self.supervisor = self.owner = self.customer_id = ""
        self.lines: list[dict[str, Any]] = []

    async def tell(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        name: str | None = None,
        key: bool = False,
        approval: str | None = None,
        **query: Any,
    ) -> Any:
        """`path` in the documented form is `name`, where ids stand in it."""
        headers = {"Authorization": f"Bearer {self.client.token}"} if self.client.token else {}
        if key:
            headers["Idempotency-Key"] = new_ulid()
        if approval:
            headers["X-Approval"] = approval
        response = await self.client.http.request(
            method, path, json=body, headers=headers, params=query
        )
        assert response.status_code == 200, (method, path, response.text)
        example = {"response": hide(response.json(), SHOWN_ONCE)}
        if body is not None:
            example["request"] = hide(body)
        self.told[f"{method} {name or path}"] = example
        return response.json()["data"]

    async def approval(self, action: str, entity_id: str, amount: int | None = None) -> str:
        """The owner's yes, for whoever of the others is logged in."""
        body = {**OWNER, "action": action, "entity_id": entity_id}
        if amount is not None:
            body["amount"] = amount
        granted = await self.tell("POST", "/v1/approvals/verify_pin", body)
        return str(granted["approval_token"])
