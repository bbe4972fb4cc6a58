"""What the tests of devices, site keys and stores share: a park, its owner in the back office."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from playpark.ids import new_ulid
from tests.api.inside import Inside, inside
from tests.outside import Outsider

OWNER = {"email": "owner@demo.playpark", "pin": "8888"}
SUPERVISOR = {"email": "supervisor@demo.playpark", "pin": "9999"}
DEVICES, KEYS, STORES = "/v1/devices", "/v1/site_keys", "/v1/stores"


@dataclass
class BackOffice:
    """The demo park with its owner on an ADMIN device."""

    inside: Inside
    owner: Outsider

    @property
    def db(self) -> Any:
        """The server's own database, to look behind the API."""
        return self.inside.platform.mongo.db

    def stranger(self) -> Outsider:
        """A client that nobody knows."""
        return Outsider(self.inside.http)

    async def key(self, **fields: Any) -> dict[str, Any]:
        """A new site key, as it is shown once."""
        made: dict[str, Any] = await self.owner.data("POST", KEYS, fields)
        return made

    async def store(self, name: str = "Lakeside", **fields: Any) -> str:
        """The id of a new store of the owner's."""
        made = await self.owner.data("POST", STORES, {"name": name, **fields})
        return str(made["store_id"])

    async def register(self, site_key: str, kind: str = "POS", **more: Any) -> httpx.Response:
        body = {"site_key": site_key, "type": kind, "name": f"test {kind}", **more}
        return await self.stranger().call("POST", "/v1/auth/device/register", body)

    async def device(self, kind: str = "POS", **who: str) -> Outsider:
        """A paired and approved device, with `who` logged in on it."""
        paired = await self.inside.device(kind)
        return await paired.staff(**who) if who else paired

    async def pending(self) -> Outsider:
        """A device that waits for approval."""
        key = await self.key()
        answer = await self.register(key["site_key"])
        device = self.stranger()
        device.device = answer.json()["data"]
        assert device.device["status"] == "pending"
        return device

    async def step(self, device: Outsider, step: str) -> httpx.Response:
        """The owner takes a device one step on."""
        return await self.owner.call("POST", f"{DEVICES}/{device.device['device_id']}/{step}")

    async def audited(self, entity_id: str) -> list[dict[str, Any]]:
        """The audit rows about something, in the order in which they were written: they may
        stand in several chains, and the clock stands still."""
        rows = self.db["audits"].find({"entity_id": entity_id}).sort([("$natural", 1)])
        return [row async for row in rows]

    async def member(
        self, permissions: dict[str, list[str]], pin: str = "740259", **device: str
    ) -> Outsider:
        """A new person with these permissions {store_id: […]}, on an ADMIN device of a store."""
        email = f"{new_ulid().lower()}@demo.playpark"
        memberships = []
        for store_id, allowed in permissions.items():
            role = {"name": f"role {new_ulid()}", "permissions": allowed}
            made = await self.owner.data("POST", "/v1/roles", role)
            memberships.append({"store_id": store_id, "role_ids": [made["role_id"]]})
        body = {"name": "Noi", "email": email, "pin": pin, "memberships": memberships}
        await self.owner.data("POST", "/v1/employees", body)
        kind = device.get("kind", "ADMIN")
        key = await self.owner.data(
            "POST", KEYS, {"auto_approve": True}, store_id=next(iter(permissions))
        )
        paired = await self.stranger().pair(kind, key["site_key"])
        return await paired.staff(email=email, pin=pin)


@asynccontextmanager
async def back_office(mongo_uri: str, database: str) -> AsyncIterator[BackOffice]:
    """A park of one test file, inside the test's own process."""
    async with inside(mongo_uri, database) as park:
        owner = await (await park.device("ADMIN")).staff(**OWNER)
        yield BackOffice(park, owner)


async def told(response: httpx.Response) -> dict[str, Any]:
    """The data of an answer that has to be a good one."""
    answer = response.json()
    assert response.status_code == 200, answer
    data: dict[str, Any] = answer["data"]
    return data


def refusal(response: httpx.Response) -> tuple[int, str]:
    """Status and code of an answer that has to be a refusal."""
    error = response.json()["error"]
    assert error is not None, response.text
    return response.status_code, error["code"]
