"""What the tests of sync share: a device that keeps its own sequence, as its store does, and people
who decide on what was kept."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from playpark.cash import FIRST_HASH
from playpark.contracts.sync import OpKind
from playpark.device.records import link
from playpark.ids import new_ulid
from tests.api.drawers import approve, carousel
from tests.api.inside import Inside
from tests.outside import Outsider

OWNER = {"email": "owner@demo.playpark", "pin": "8888"}


@dataclass
class Store:
    """A device and its operations, each chained to the one before (R34)."""

    device: Outsider
    park: Inside | None = None
    epoch: int = 1
    seq: int = 0
    link: str = FIRST_HASH
    made: list[dict[str, Any]] = field(default_factory=list)

    @property
    def device_id(self) -> str:
        return str(self.device.device["device_id"])

    @property
    def code(self) -> str:
        return str(self.device.device["device_code"])

    def op(self, kind: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
        """The next operation of the store, committed."""
        self.seq += 1
        op_id = more.pop("op_id", None) or new_ulid()
        made = {
            "op_id": op_id,
            "kind": kind,
            "seq": self.seq,
            "prev_hash": self.link,
            "schema_version": 1,
            "occurred_at": more.pop("at", None) or self._now(),
            "committed": True,
            "body": body,
            **more,
        }
        self.link = link(op_id, OpKind(kind), self.seq, self.link, body)
        self.made.append(made)
        return made

    async def sale(self, number: int | None = None, **more: Any) -> dict[str, Any]:
        """A ride for cash, under a receipt number of the store's own."""
        numbered = {"receipt_no": f"{self.code}-S{number:06d}"} if number else {}
        return self.op("sale", await carousel(self.device, **numbered), **more)

    async def bad_sale(self, number: int | None = None, **more: Any) -> dict[str, Any]:
        """A sale of a package that nobody knows: it is refused even where it has happened (R17)."""
        made = await self.sale(number, **more)
        body = made["body"]
        body["lines"][0]["package_id"] = new_ulid()
        self.link = link(made["op_id"], OpKind.SALE, self.seq, made["prev_hash"], body)
        return made

    async def send(self, *ops: dict[str, Any], epoch: int | None = None) -> httpx.Response:
        batch = {"epoch": epoch or self.epoch, "ops": list(ops)}
        return await self.device.call("POST", "/v1/sync/batch", batch)

    async def sync(self, *ops: dict[str, Any], epoch: int | None = None) -> list[dict[str, Any]]:
        """The answers to a batch that has to be heard."""
        response = await self.send(*ops, epoch=epoch)
        assert response.status_code == 200, response.text
        return list(response.json()["data"]["results"])

    def new_epoch(self, epoch: int) -> None:
        self.epoch, self.seq, self.link = epoch, 0, FIRST_HASH

    def _now(self) -> str:
        if self.park is not None:
            return self.park.clock.now().isoformat()
        return datetime.now(UTC).isoformat()


def statuses(results: list[dict[str, Any]]) -> list[str]:
    return [result["status"] for result in results]


async def letters(office: Outsider, **query: str) -> list[dict[str, Any]]:
    """The letters of a store, newest first."""
    return list((await office.data("GET", "/v1/sync/dead_letters", **query))["items"])


async def resolve(
    office: Outsider,
    letter_id: str,
    action: str,
    *,
    approved: bool = True,
    **more: Any,
) -> httpx.Response:
    """Decide on a letter; somebody else's PIN approves it. `office` is not the supervisor's."""
    headers = {"Authorization": f"Bearer {office.token}"}
    if approved:
        headers["X-Approval"] = await approve(office, "dead_letter", letter_id)
    body = {"action": action, "reason_code": "customer_request", **more}
    path = f"/v1/sync/dead_letters/{letter_id}/resolve"
    return await office.http.post(path, json=body, headers=headers)


def answered(response: httpx.Response) -> tuple[int, str | None]:
    """Status and error code."""
    error = response.json()["error"]
    return response.status_code, error["code"] if error else None
