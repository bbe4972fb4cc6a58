"""The server's side of a scan: what it decides, what it writes, and how little it asks for (R19,
R20, R52)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pymongo import monitoring

from api.app import create_app, prepare
from api.events.models import Event
from api.platform.mongo import Mongo
from api.platform.operations import OpRecord
from api.platform.settings import Settings
from api.tickets.models import Redemption
from playpark.contracts.tickets import FailReason
from playpark.ids import new_ulid
from tests.api.drawers import tell
from tests.api.selling import OWNER
from tests.api.ticket_lives import Life, life
from tests.outside import Outsider

Prepare = Callable[[Life, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Makes a ticket refusable, or the body that is refused."""
WRITTEN = ("tickets", "redemptions", "operations", "events", "occupancy", "audits")


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Life]:
    async with life(mongo_uri, f"{database}_redeem") as made:
        yield made


async def owner_of(park: Life) -> Outsider:
    return await (await park.inside.device("ADMIN")).staff(**OWNER)


async def zone_of(park: Life, **rules: Any) -> str:
    names = {"name": f"Zone {new_ulid()}", "name_th": "โซน", "credit_price": 1_000}
    made = await tell(await owner_of(park), "POST", "/catalog/zones", {**names, **rules})
    return str(made["zone_id"])


# --- every reason, asked and then meant (R52) -------------------------------------------------


def changed(**fields: Any) -> Prepare:
    async def prepare_it(park: Life, ticket: dict[str, Any]) -> dict[str, Any]:
        which = {"ticket_id": ticket["ticket_id"]}
        await park.db.tickets.update_one(which, {"$set": fields})
        return {"qr_token": ticket["qr_token"]}

    return prepare_it


async def forged(park: Life, ticket: dict[str, Any]) -> dict[str, Any]:
    del park
    token = ticket["qr_token"]
    return {"qr_token": token[:-1] + ("A" if token[-1] != "A" else "B")}


async def unheard_of(park: Life, ticket: dict[str, Any]) -> dict[str, Any]:
    which = {"ticket_id": ticket["ticket_id"]}
    await park.db.tickets.delete_one(which)
    return {"qr_token": ticket["qr_token"]}


async def of_training(park: Life, ticket: dict[str, Any]) -> dict[str, Any]:
    del park
    return {"qr_token": f"PPT.{ticket['ticket_id']}"}


async def not_yet(park: Life, ticket: dict[str, Any]) -> dict[str, Any]:
    tomorrow = park.inside.clock.now() + timedelta(days=1)
    return await changed(valid_from=tomorrow)(park, ticket)


async def no_longer(park: Life, ticket: dict[str, Any]) -> dict[str, Any]:
    return await changed(valid_to=park.inside.clock.now())(park, ticket)


async def in_a_full_zone(park: Life, ticket: dict[str, Any]) -> dict[str, Any]:
    zone = await zone_of(park, capacity=1)
    first = await park.ticket("Play credit 500")
    assert (await park.show(first, zone_id=zone))["result"] == "pass"
    return {"qr_token": ticket["qr_token"], "zone_id": zone}


REFUSED: dict[FailReason, Prepare] = {
    FailReason.INVALID_SIG: forged,
    FailReason.UNKNOWN_TICKET: unheard_of,
    FailReason.TRAINING: of_training,
    FailReason.NOT_STARTED: not_yet,
    FailReason.EXPIRED: no_longer,
    FailReason.CANCELLED: changed(status="cancelled"),
    FailReason.REFUNDED: changed(status="refunded"),
    FailReason.WRONG_DEVICE: changed(allowed_devices=["another"]),
    FailReason.DUPLICATE_USE: changed(kind="single", quota_or_minutes=1, used=1),
    FailReason.EXHAUSTED: changed(kind="multi", quota_or_minutes=1, used=1),
    FailReason.ZONE_FULL: in_a_full_zone,
}


@pytest.mark.parametrize("reason", list(FailReason))
async def test_R52_a_simulation_tells_every_reason_and_writes_nothing(
    park: Life, reason: FailReason
) -> None:
    ticket = await park.ticket("Play credit 500")
    zone = await zone_of(park)
    body = {"zone_id": zone, **await REFUSED[reason](park, ticket)}
    before = await everything(park)
    path = "/v1/tickets/redeem"
    simulated = await park.gate.data("POST", path, {**body, "simulate": True})
    assert await everything(park) == before
    assert (simulated["result"], simulated["reason"]) == ("fail", reason)
    assert simulated["redemption_id"] is None
    meant = await park.gate.data("POST", path, body, key=new_ulid())
    assert meant == {**simulated, "redemption_id": meant["redemption_id"]}
    row = await park.db.redemptions.find_one({"_id": meant["redemption_id"]})
    assert (row["result"], row["reason"]) == ("fail", reason)


async def test_R52_a_simulated_pass_writes_nothing(park: Life) -> None:
    ticket, zone = await park.ticket("Play credit 500"), await zone_of(park, capacity=1)
    before = await everything(park)
    body = {"qr_token": ticket["qr_token"], "zone_id": zone, "simulate": True}
    for _ in range(3):
        answer = await park.gate.data("POST", "/v1/tickets/redeem", body)
        assert (answer["result"], answer["remaining"]) == ("pass", 49_000)
    assert await everything(park) == before


async def everything(park: Life) -> dict[str, list[dict[str, Any]]]:
    """All documents that a redemption could write."""
    return {name: await park.db[name].find().sort("_id", 1).to_list(None) for name in WRITTEN}


# --- what is written ----------------------------------------------------------------------------


async def test_R18_a_package_for_some_gates_makes_tickets_for_these_gates(park: Life) -> None:
    left, right = park.gates
    owner = await owner_of(park)
    package = {
        "name": "Left side only",
        "name_th": "ทางซ้ายเท่านั้น",
        "kind": "multi",
        "price": 5_000,
        "quota_or_minutes": 2,
        "allowed_devices": [left.device["device_id"]],
    }
    await tell(owner, "POST", "/catalog/packages", package)
    ticket = await park.ticket("Left side only")
    assert (await park.show(ticket, right))["reason"] == "wrong_device"
    assert (await park.show(ticket, left))["result"] == "pass"


async def test_documents_put_together_by_hand_have_all_that_their_model_has(park: Life) -> None:
    ticket = await park.ticket("2-hour pass")
    passed = await park.show(ticket)
    row = await park.db.redemptions.find_one({"_id": passed["redemption_id"]})
    op = await park.db.operations.find_one({"result_id": passed["redemption_id"]})
    event = await park.db.events.find_one({"data.redemption_id": passed["redemption_id"]})
    for model, stored in ((Redemption, row), (OpRecord, op), (Event, event)):
        read = model.model_validate_doc(stored)
        assert read.model_dump_doc() == stored  # nothing is missing, and nothing is added


async def test_every_change_of_a_ticket_moves_its_updated_at(park: Life) -> None:
    """A gate asks for what has changed since it asked last."""
    ticket = await park.ticket("10 entries")
    seen = [(await park.state(ticket))["updated_at"]]
    passed = await park.show(ticket)
    seen.append((await park.state(ticket))["updated_at"])
    await park.show(ticket, direction="exit")
    seen.append((await park.state(ticket))["updated_at"])
    park.later()
    assert (await park.annul(passed["redemption_id"]))[0] == 200
    seen.append((await park.state(ticket))["updated_at"])
    assert seen == sorted(set(seen))


# --- how little is asked for ----------------------------------------------------------------------


class Wire(monitoring.CommandListener):
    """The commands that leave, in their order."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        name, command = event.command_name, event.command
        where = "" if name.endswith("Transaction") else f" {command.get(name)}"
        self.heard.append(f"{name}{where}")

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...
    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


async def test_R20_a_scan_reads_the_session_and_then_changes_the_ticket_first(
    mongo_uri: str, database: str
) -> None:
    name, wire = f"{database}_overheard", Wire()
    monitoring.register(wire)  # only clients made from now on
    try:
        mongo = Mongo(mongo_uri, name)
    finally:
        monitoring._LISTENERS.command_listeners.remove(wire)
    platform = await prepare(Settings(), mongo, demo=True)
    transport = httpx.ASGITransport(app=create_app(platform))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        till = await (await Outsider(http).pair("POS")).staff()
        await till.open_shift()
        sold = (await till.sell(("Carousel ride", 2)))["tickets"]
        zone = sold[0]["zones"][0]
        gate = await Outsider(http).pair("GATE")
        for number, ticket in enumerate(sold):
            wire.heard.clear()
            body = {"qr_token": ticket["qr_token"], "zone_id": zone}
            passed = await gate.data("POST", "/v1/tickets/redeem", body, key=new_ulid())
            assert passed["inside"] == number + 1
    await mongo.client.drop_database(name)
    platform.close()
    # The second scan: catalogue, keys and the other gates' counts are known by then.
    assert wire.heard[: wire.heard.index("commitTransaction") + 1] == [
        "find sessions",
        "insert operations",
        "findAndModify tickets",
        "findAndModify occupancy",
        "insert redemptions",
        "insert events",
        "commitTransaction",
    ]


async def test_R20_scans_of_one_ticket_at_once_admit_one_guest(park: Life) -> None:
    ticket = await park.ticket("Carousel ride")
    body = {"qr_token": ticket["qr_token"]}
    answers = await asyncio.gather(
        *(
            park.gates[number % 2].data("POST", "/v1/tickets/redeem", body, key=new_ulid())
            for number in range(30)
        )
    )
    assert sorted(each["result"] for each in answers) == ["fail"] * 29 + ["pass"]
    assert (await park.state(ticket))["used"] == 1
    assert len(await park.rows(ticket)) == 30
