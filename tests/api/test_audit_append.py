"""R45: what a row holds, and that a chain stays one, whoever writes to it at once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from pymongo import monitoring

from api.audit import service as audit
from api.platform.envelope import Client, client, request_id
from api.platform.mongo import Mongo
from api.platform.operations import chain_key
from api.platform.uow import Work
from tests.api.trails import TILL, Park, park, scope_of


@pytest.fixture
async def fresh(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    async with park(mongo_uri, f"{database}_append") as made:
        yield made


async def append(made: Park, number: int, chain: str = TILL) -> None:
    scope = scope_of(chain)

    async def effect(work: Work) -> None:
        await audit.append(work, scope, "sale.created", f"sale-{number}", {"n": number})

    await made.uow.run(effect, queue=chain_key(scope))


async def test_R45_a_row_says_who_what_when_and_where_from(fresh: Park) -> None:
    asking = client.set(Client("203.0.113.7", "abcd"))
    request = request_id.set("req-1")
    await append(fresh, 1)
    client.reset(asking)
    request_id.reset(request)
    await append(fresh, 2)
    first, second = fresh.row(TILL, 1), fresh.row(TILL, 2)
    told = {name: first[name] for name in ("ip", "fingerprint", "request_id", "actor_id")}
    assert told == {
        "ip": "203.0.113.7",
        "fingerprint": "abcd",
        "request_id": "req-1",
        "actor_id": "nok",
    }
    assert first["ts"] == first["created_at"] == first["updated_at"] == fresh.clock.now()
    assert (first["device_id"], first["chain"]) == ("till", TILL)
    assert [second[name] for name in ("ip", "fingerprint", "request_id")] == [None] * 3
    assert second["prev_hash"] == first["hash"]


async def test_R45_two_processes_that_write_at_once_make_one_chain(
    fresh: Park, mongo_uri: str
) -> None:
    other = Mongo(mongo_uri, fresh.db.name)
    second = replace(fresh, mongo=other)
    await asyncio.gather(*(append((fresh, second)[n % 2], n) for n in range(50)))
    other.close()
    seqs = sorted(row["seq"] for row in fresh.db.audits.find({"chain": TILL}))
    assert seqs == list(range(1, 51))
    assert {row["payload"]["n"] for row in fresh.db.audits.find()} == set(range(50))
    assert (await fresh.verify()).whole


class Commands(monitoring.CommandListener):
    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        name = event.command_name
        self.seen.append((name, str(event.command.get(name, ""))))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...
    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


async def test_R45_a_row_costs_one_read_one_insert_and_one_update(
    fresh: Park, mongo_uri: str
) -> None:
    commands = Commands()
    monitoring.register(commands)  # only clients made from now on
    try:
        mongo = Mongo(mongo_uri, fresh.db.name)
    finally:
        monitoring._LISTENERS.command_listeners.remove(commands)
    overheard: Any = replace(fresh, mongo=mongo)
    await append(overheard, 1)
    commands.seen.clear()
    await append(overheard, 2)
    seen = [each for each in commands.seen if each[0] != "commitTransaction"]
    mongo.close()
    assert seen == [
        ("find", "audit_heads"),
        ("insert", "audits"),
        ("update", "audit_heads"),
    ]
