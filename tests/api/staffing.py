"""A park of its own whose owner hires people, and the devices on which those log in."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

from playpark.ids import new_ulid
from tests.api.own_park import OWNER, OwnPark
from tests.outside import Outsider

PIN, OTHER_PIN = "8462", "7351"
OTHER_PARK = {"email": "cashier@other.playpark", "pin": "1111"}


class LogIn(Protocol):
    """Devices of a kind, each with one of these people logged in."""

    async def __call__(self, *people: dict[str, str], kind: str = "POS") -> list[Outsider]: ...


@dataclass
class Store:
    """A store, with a key that pairs any number of devices at once."""

    store_id: str
    site_key: str


@dataclass
class Office:
    """Somebody at an ADMIN device who manages employees; the owner unless said otherwise."""

    park: OwnPark
    desk: Outsider
    roles: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> str:
        return str(self.desk.device["store_id"])

    async def hire(self, *roles: str, store_id: str | None = None, **more: Any) -> dict[str, Any]:
        """Somebody new with these roles in a store, and the PIN 8462."""
        ids = [self.roles[name] for name in roles]
        place = {"store_id": store_id or self.home, "role_ids": ids}
        body = {"name": "Dao", "email": fresh_email(), "pin": PIN, "memberships": [place], **more}
        hired: dict[str, Any] = await self.desk.data("POST", "/v1/employees", body)
        return hired

    async def put(self, person: dict[str, Any], *places: dict[str, Any]) -> Any:
        path = f"/v1/employees/{person['employee_id']}/memberships"
        return await self.desk.call("PUT", path, {"memberships": list(places)})

    async def patch(self, person: dict[str, Any], **fields: Any) -> Any:
        return await self.desk.call("PATCH", f"/v1/employees/{person['employee_id']}", fields)

    async def role(self, *permissions: str) -> str:
        """A new role; it is known by its id as its name too."""
        body = {"name": f"role {new_ulid()}", "permissions": list(permissions)}
        made = await self.desk.data("POST", "/v1/roles", body)
        self.roles[made["role_id"]] = made["role_id"]
        return str(made["role_id"])

    async def second_store(self) -> Store:
        made = await self.desk.data("POST", "/v1/stores", {"name": f"Store {new_ulid()}"})
        body = {"uses": None, "auto_approve": True}
        key = await self.desk.data("POST", "/v1/site_keys", body, store_id=made["store_id"])
        return Store(made["store_id"], key["site_key"])

    def place(
        self, *roles: str, store_id: str | None = None, active: bool = True
    ) -> dict[str, Any]:
        ids = [self.roles[name] for name in roles]
        return {"store_id": store_id or self.home, "role_ids": ids, "active": active}

    def audits(self, entity_id: str) -> list[dict[str, Any]]:
        """What the trail says about somebody, oldest first."""
        return list(self.park.mongo["audits"].find({"entity_id": entity_id}).sort("ts", 1))


@asynccontextmanager
async def office(
    park: OwnPark, site_key: str = "DEMO-MAIN-GATE", **who: str
) -> AsyncIterator[Office]:
    async with park.connect("ADMIN", site_key, **(who or OWNER)) as desk:
        yield await open_office(park, desk)


async def open_office(park: OwnPark, desk: Outsider) -> Office:
    stored = park.mongo["devices"].find_one({"_id": desk.device["device_id"]})
    desk.device["store_id"] = stored["store_id"]
    stored_roles = park.mongo["roles"].find({"tenant_id": stored["tenant_id"]})
    return Office(park, desk, {role["name"]: role["_id"] for role in stored_roles})


def fresh_email() -> str:
    return f"{new_ulid().lower()}@demo.playpark"


def login_of(person: dict[str, Any], pin: str = PIN) -> dict[str, str]:
    return {"email": person["email"], "pin": pin}


async def may(who: Outsider, **query: str) -> set[str]:
    """What a login may do, as the server sees it at this request."""
    return set((await who.data("GET", "/v1/employees/me", **query))["permissions"])


async def answer(who: Outsider, path: str = "/v1/employees/me") -> tuple[int, str]:
    """Status and error of a request with the token that there is."""
    response = await who.call("GET", path)
    error = response.json()["error"]
    return response.status_code, error["code"] if error else ""


def refusal(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The error of a call that is refused with these."""
    error: dict[str, Any] = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    return error


@asynccontextmanager
async def tills(park: OwnPark) -> AsyncIterator[LogIn]:
    """log_in(person, …): a device for each, with that person logged in."""
    async with AsyncExitStack() as stack:

        async def log_in(*people: dict[str, str], kind: str = "POS") -> list[Outsider]:
            each = (stack.enter_async_context(park.connect(kind, **who)) for who in people)
            return [await one for one in each]

        yield log_in


def neighbour(park: OwnPark) -> AbstractAsyncContextManager[Office]:
    """The other park, whose cashier is made a manager of people."""
    otto = park.mongo["employees"].find_one({"email": OTHER_PARK["email"]})
    held = park.mongo["memberships"].find_one({"employee_id": otto["_id"]})
    park.mongo["roles"].update_one(
        {"_id": held["roles"][0]}, {"$addToSet": {"permissions": "employee_manage"}}
    )
    return office(park, "DEMO-OTHER-PARK", **OTHER_PARK)
