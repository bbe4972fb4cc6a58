"""What the tests of a ticket's life share: gates and a till inside the test, showing and asking."""

import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from playpark.ids import new_ulid
from tests.api.drawers import op
from tests.api.giving_back import SUPERVISOR, Answer, approve, ask, told
from tests.api.inside import Inside, inside
from tests.outside import Outsider

WHY = {"reason_code": "customer_request"}
ACTIONS = {"cancel": "ticket_cancel"}
"""By the last word of a route; others are called as their action."""


@dataclass
class Life:
    """A park with a till, two gates and a supervisor in the office; its clock is moved by hand."""

    inside: Inside
    till: Outsider
    gates: list[Outsider]
    office: Outsider
    since: datetime
    """When everybody logged in."""

    @property
    def gate(self) -> Outsider:
        return self.gates[0]

    @property
    def db(self) -> Any:
        """The server's own database, to look behind the API."""
        return self.inside.platform.mongo.db

    def later(self, seconds: float = 60) -> None:
        self.inside.clock.advance(timedelta(seconds=seconds))

    def now(self, seconds: float = 0) -> str:
        return (self.inside.clock.now() + timedelta(seconds=seconds)).isoformat()

    async def by_day(self) -> None:
        """On to the next morning where it is night: what is sold then is good for all that a test
        does with the clock. Logins run out meanwhile."""
        now = self.inside.clock.now()
        local = now.astimezone(ZoneInfo("Asia/Bangkok"))
        if not 5 <= local.hour < 18:
            self.later((29 - local.hour) % 24 * 3_600)
        if self.inside.clock.now() - self.since > timedelta(hours=3):
            await self.log_in()

    async def log_in(self) -> None:
        for device in (self.till, self.office, *self.gates):
            told_ = {name: device.device[name] for name in ("device_id", "device_token")}
            session = await device.data("POST", "/v1/auth/device/login", told_)
            device.token = session["access_token"]
        await self.till.staff()
        await self.office.staff(**SUPERVISOR)
        self.since = self.inside.clock.now()

    async def ticket(self, package: str = "Adult day pass") -> dict[str, Any]:
        await self.by_day()
        sold = await self.till.sell((package, 1))
        ticket: dict[str, Any] = sold["tickets"][0]
        return {**ticket, "sale_id": sold["sale"]["sale_id"]}

    async def state(self, ticket: dict[str, Any]) -> dict[str, Any]:
        """The ticket as it is stored."""
        found: dict[str, Any] = await self.db.tickets.find_one({"ticket_id": ticket["ticket_id"]})
        return found

    async def rows(self, ticket: dict[str, Any]) -> list[dict[str, Any]]:
        """Its redemptions in the order of time."""
        cursor = self.db.redemptions.find({"ticket_id": ticket["ticket_id"]})
        rows: list[dict[str, Any]] = await cursor.sort([("occurred_at", 1), ("op_id", 1)]).to_list(
            None
        )
        return rows

    async def show(
        self, ticket: dict[str, Any], gate: Outsider | None = None, **more: Any
    ) -> dict[str, Any]:
        """A scan at a gate, six seconds after what was before."""
        self.later(6)
        answer: dict[str, Any] = await (gate or self.gate).data(
            "POST",
            "/v1/tickets/redeem",
            {"qr_token": ticket["qr_token"], **more},
            key=new_ulid(),
        )
        return answer

    def shown(
        self, ticket: dict[str, Any], at: float = 0, *, local: str | None = "pass", **more: Any
    ) -> dict[str, Any]:
        """The operation of a gate that has decided by itself, `at` seconds from now."""
        told_there = {"local": {"result": local, "at": self.now(at)}} if local else {}
        body = {"qr_token": ticket["qr_token"], **more}
        return op("redemption", body, occurred_at=self.now(at), **told_there)

    def asked(self, ticket: dict[str, Any], **more: Any) -> dict[str, Any]:
        """The operation of a gate that asks the server now."""
        return self.shown(ticket, local=None, **more) | {"committed": False}

    async def annul(
        self,
        redemption_id: str,
        gate: Outsider | None = None,
        *,
        key: str | None = None,
        **body: Any,
    ) -> Answer:
        path = f"/v1/redemptions/{redemption_id}/annul"
        return told(await ask(gate or self.gate, path, body, key=key))

    async def change(
        self, what: str, ticket: dict[str, Any], *, key: str | None = None, **more: Any
    ) -> Answer:
        """Exchange or cancel a ticket at the till, with a supervisor's yes."""
        action = ACTIONS.get(what, what)
        yes = await approve(self.till, action, ticket["ticket_id"])
        body = {"ticket_id": ticket["ticket_id"], **WHY, **more}
        return told(await ask(self.till, f"/v1/tickets/{what}", body, approval=yes, key=key))

    async def approvals(self, token: str, how_many: int, **changed: Any) -> list[str]:
        """As many approvals like this one, without the quarter of a second that a PIN takes; the
        others with what has `changed`."""
        found = await self.db.approvals.find_one({"token_hash": _hash(token)})
        tokens = [token, *(secrets.token_urlsafe(24) for _ in range(how_many - 1))]
        await self.db.approvals.insert_many(
            [
                {**found, **changed, "_id": new_ulid(), "token_hash": _hash(each)}
                for each in tokens[1:]
            ]
        )
        return tokens


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@asynccontextmanager
async def life(mongo_uri: str, database: str, gates: int = 2) -> AsyncIterator[Life]:
    async with inside(mongo_uri, database) as made:
        till, office = await made.device("POS"), await made.device("ADMIN")
        counted = [await made.device("GATE") for _ in range(gates)]
        park = Life(made, till, counted, office, made.clock.now())
        await park.log_in()
        await till.open_shift()
        yield park
