"""Secrets at rest: never in clear, and all of them under another key when it changes (001 §11)."""

import asyncio
import base64
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pyotp
import pytest
import typer
from bson import json_util
from click.testing import Result
from pydantic import SecretStr
from pymongo.errors import AutoReconnect
from typer.testing import CliRunner

from api.app import create_app, prepare
from api.cli import secrets as cli
from api.platform.logs import configure_logging
from api.platform.mongo import Mongo
from api.platform.settings import DEV_SECRET, Settings
from api.platform.vault import Vault
from api.secrets.resealing import SEALED_FIELDS, Resealed, reseal_all
from api.tickets import pending
from api.tickets.models import Ticket
from tests.api.drawers import op, sync, tell
from tests.api.inside import Inside, inside
from tests.api.offline import OfflineTill
from tests.api.selling import OWNER, Park
from tests.api.test_secrets import a_ticket, rotate, shown
from tests.logs import plain_logs
from tests.outside import Outsider

NEW = "a-newer-secret-of-more-than-32-bytes"


@pytest.fixture
def log_lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging("DEBUG")
    stream = io.StringIO()
    root.handlers[0].setStream(stream)  # type: ignore[attr-defined]
    yield stream
    root.handlers[:], root.level = handlers, level
    plain_logs()


async def test_attack_35_no_secret_stands_in_the_database_an_answer_or_a_log(
    mongo_uri: str,
    database: str,
    log_lines: io.StringIO,
) -> None:
    told: list[str] = []

    async def overhear(response: httpx.Response) -> None:
        await response.aread()
        told.append(response.text)

    async with inside(mongo_uri, f"{database}_whispers") as fresh:
        fresh.http.event_hooks["response"].append(overhear)
        park = await Park.of(fresh)
        till, gate = await park.till(), await fresh.device("GATE")
        await rotate(park.owner)
        ticket = await a_ticket(park, till)
        await rotate(park.owner)
        await shown(gate, ticket["qr_token"])
        await shown(gate, ticket["qr_token"][:-1] + "A")
        await tell(park.owner, "GET", "/secrets")
        await tell(park.owner, "GET", "/settings")
        scope = await fresh.scope(park.owner)
        keys = await fresh.platform.ticket_keys(scope)
        stored = await everything(fresh)
        hidden = [*_spellings(*keys.by_kid.values()), DEV_SECRET]
        codes = {json.loads(text)["data"]["short_code_key"] for text in told if "_code_key" in text}
        assert len(keys.by_kid) == 3
        assert "gAAAAA" in stored
        for secret in hidden:
            assert all(secret not in text for text in (stored, log_lines.getvalue(), *told))
        # Sealed values and tokens stay where they are; short code keys go to tills alone.
        assert all("gAAAAA" not in text for text in (log_lines.getvalue(), *told))
        for secret in (*filter(None, codes), ticket["qr_token"], park.owner.device["device_token"]):
            assert all(secret not in text for text in (stored, log_lines.getvalue()))
        assert "ticket_hmac" in stored
        assert "/secrets" in log_lines.getvalue()


def _spellings(*keys: bytes) -> list[str]:
    return [
        spelt
        for key in keys
        for spelt in (key.hex(), key.hex().upper(), base64.b64encode(key).decode())
    ]


async def everything(fresh: Inside) -> str:
    """The whole database as text."""
    db = fresh.platform.mongo.db
    parts = []
    for name in await db.list_collection_names():
        parts += [json_util.dumps(each) async for each in db[name].find({})]
    return "\n".join(parts)


async def test_sealed_values_stand_only_where_they_are_resealed(
    mongo_uri: str, database: str
) -> None:
    async with inside(mongo_uri, f"{database}_sealed") as fresh:
        park = await Park.of(fresh)
        await rotate(park.owner)
        await tell(park.owner, "POST", "/employees/me/totp")
        await printed_offline(park)
        await refused(await park.till())
        found = set()
        for name in await fresh.platform.mongo.db.list_collection_names():
            async for document in fresh.platform.mongo.db[name].find({}):
                found |= {(name, field) for field in _sealed(document)}
        assert found == {(each.collection, each.field) for each in SEALED_FIELDS}


async def refused(till: Outsider) -> None:
    """Something that had happened and cannot be booked: its body is kept (R35)."""
    (kept,) = await sync(till, op("sale", {}))
    assert kept["dead_letter_id"]


async def printed_offline(park: Park) -> str:
    """The token of a ticket that a till has signed and sold by itself (R22)."""
    offline = await OfflineTill.of(park)
    ticket = offline.ticket()
    await offline.arrives(ticket)
    return offline.token(ticket)


def _sealed(document: Any, path: str = "") -> list[str]:
    if isinstance(document, str):
        return [path] if document.startswith("gAAAAA") else []
    if isinstance(document, list):
        return [each for part in document for each in _sealed(part, path)]
    if isinstance(document, dict):
        parts = document.items()
        return [x for key, part in parts for x in _sealed(part, f"{path}.{key}".strip("."))]
    return []


# --- another key ------------------------------------------------------------------------


@dataclass
class Sealed:
    """A park with something in every field that is sealed, and what it was told."""

    uri: str
    park: Park
    till: Outsider
    gate: Outsider
    tokens: list[str]
    """Of tickets that were issued with the park's own key."""
    short_code_key: str
    totp_secret: str
    offline_token: str
    """Of a ticket that a till has signed."""
    servers: AsyncExitStack

    async def reseal(self, keys: str) -> dict[str, Resealed]:
        work = self.park.inside.platform.uow.reading()
        found = await reseal_all(work, Vault(keys.split(",")))
        return {each.where.collection: each for each in found}

    async def with_key(self, keys: str) -> Outsider:
        """A client of a server that was started anew, with these ENCRYPTION_KEYs."""
        mongo = Mongo(self.uri, self.park.db.name)
        platform = await prepare(Settings(encryption_key=SecretStr(keys)), mongo)
        self.servers.callback(platform.close)
        transport = httpx.ASGITransport(app=create_app(platform))
        client = httpx.AsyncClient(transport=transport, base_url="http://test")
        return Outsider(await self.servers.enter_async_context(client))

    async def stored(self) -> set[str]:
        db = self.park.db
        return {
            document[each.field]
            for each in SEALED_FIELDS
            async for document in db[each.collection].find({each.field: {"$type": "string"}})
        }


@pytest.fixture
async def sealed(mongo_uri: str, database: str) -> AsyncIterator[Sealed]:
    async with inside(mongo_uri, f"{database}_reseal") as fresh:
        park = await Park.of(fresh)
        till, gate = await park.till(), await fresh.device("GATE")
        await rotate(park.owner)
        tokens = [(await a_ticket(park, till))["qr_token"] for _ in range(4)]
        enrolled = await tell(park.owner, "POST", "/employees/me/totp")
        session = await login(till)
        secret = enrolled["secret"]
        code = pyotp.TOTP(secret).at(fresh.clock.now())
        await tell(park.owner, "POST", "/employees/me/totp/confirm", {"code": code})
        async with AsyncExitStack() as servers:
            known = (session["short_code_key"], secret, await printed_offline(park))
            await refused(till)
            yield Sealed(mongo_uri, park, till, gate, tokens, *known, servers)


async def login(till: Outsider) -> dict[str, Any]:
    body = {key: till.device[key] for key in ("device_id", "device_token")}
    session: dict[str, Any] = await till.data("POST", "/v1/auth/device/login", body)
    return session


async def works(sealed: Sealed, server: Outsider, token: str) -> None:
    """Everything that needs a stored secret, on another server."""
    till = Outsider(server.http, sealed.till.device)
    assert (await login(till))["short_code_key"] == sealed.short_code_key
    gate = Outsider(server.http, sealed.gate.device, sealed.gate.token)
    assert await shown(gate, token) == ("pass", None)
    till.token = sealed.till.token
    own = await a_ticket(sealed.park, till)
    assert own["qr_token"].split(".")[1] == "A0"
    assert await shown(gate, own["qr_token"]) == ("pass", None)


async def test_after_resealing_everything_works_with_the_new_key_alone(sealed: Sealed) -> None:
    before = await sealed.stored()
    both = f"{NEW},{DEV_SECRET}"
    await works(sealed, await sealed.with_key(both), sealed.tokens[0])
    found = await sealed.reseal(both)
    assert {name: (each.resealed, each.current) for name, each in found.items()} == {
        "secrets": (2, 0),
        "tenants": (2, 0),
        "authenticators": (1, 0),
        "tickets": (1, 0),
        "dead_letters": (1, 0),
    }
    assert not any(each.locked for each in found.values())
    assert not before & await sealed.stored()
    await works(sealed, await sealed.with_key(NEW), sealed.tokens[1])
    stored = await sealed.park.db["tickets"].find_one({"serial": {"$gt": 0}})
    assert pending.token(Ticket.model_validate_doc(stored), Vault([NEW])) == sealed.offline_token
    again = await sealed.reseal(NEW)
    assert {(each.resealed, len(each.locked)) for each in again.values()} == {(0, 0)}


async def test_R41_an_authenticator_goes_on_after_resealing(sealed: Sealed) -> None:
    await sealed.reseal(f"{NEW},{DEV_SECRET}")
    admin = Outsider((await sealed.with_key(NEW)).http, sealed.park.owner.device)
    admin.token = (await login(admin))["access_token"]
    later = pyotp.TOTP(sealed.totp_secret).now()
    wrong = "000000" if later != "000000" else "000001"
    refused = await admin.call("POST", "/v1/employees/login", OWNER | {"totp": wrong})
    assert refused.status_code == 401
    right = OWNER | {"totp": pyotp.TOTP(sealed.totp_secret).at(_next_step(sealed))}
    assert (await admin.call("POST", "/v1/employees/login", right)).status_code == 200


def _next_step(sealed: Sealed) -> int:
    """A moment of the code after the one that has confirmed the app: each works once."""
    return int(sealed.park.inside.clock.now().timestamp()) + 30


async def test_what_was_interrupted_is_finished_by_the_next_run(
    sealed: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = f"{NEW},{DEV_SECRET}"
    reseal, calls = Vault.reseal, 0

    def cut_off(self: Vault, value: str) -> str:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise AutoReconnect("away")
        return reseal(self, value)

    with monkeypatch.context() as patch:
        patch.setattr(Vault, "reseal", cut_off)
        with pytest.raises(AutoReconnect):
            await sealed.reseal(both)
    await works(sealed, await sealed.with_key(both), sealed.tokens[0])
    found = (await sealed.reseal(both)).values()
    assert sum(each.resealed for each in found) == 5
    assert sum(each.current for each in found) == 2
    await works(sealed, await sealed.with_key(NEW), sealed.tokens[1])


async def test_without_the_old_key_nothing_is_touched_and_each_value_is_named(
    sealed: Sealed,
) -> None:
    before = await sealed.stored()
    found = await sealed.reseal(NEW)
    assert {name: len(each.locked) for name, each in found.items()} == {
        "secrets": 2,
        "tenants": 2,
        "authenticators": 1,
        "tickets": 1,
        "dead_letters": 1,
    }
    assert await sealed.stored() == before


async def test_a_value_that_changes_meanwhile_is_left_to_the_next_run(
    sealed: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as an app that is enrolled while the command runs."""
    both, reseal = f"{NEW},{DEV_SECRET}", Vault.reseal
    fresh = Vault([DEV_SECRET]).seal("fresh")
    tenants = sealed.park.inside.platform.mongo.client.delegate[sealed.park.db.name]["tenants"]

    def meanwhile(self: Vault, value: str) -> str:
        tenants.update_one({"short_code_key": value}, {"$set": {"short_code_key": fresh}})
        return reseal(self, value)

    with monkeypatch.context() as patch:
        patch.setattr(Vault, "reseal", meanwhile)
        assert (await sealed.reseal(both))["tenants"].resealed == 0
    assert fresh in await sealed.stored()
    assert (await sealed.reseal(both))["tenants"].resealed == 2


async def test_R24_a_key_from_before_there_was_a_vault_is_read_and_then_sealed(
    sealed: Sealed,
) -> None:
    tenant = {"_id": (await sealed.park.inside.scope(sealed.till)).tenant_id}
    clear = {"$set": {"short_code_key": sealed.short_code_key}}
    await sealed.park.db["tenants"].update_one(tenant, clear)
    assert (await login(sealed.till))["short_code_key"] == sealed.short_code_key
    assert len((await a_ticket(sealed.park, sealed.till))["short_code"]) == 8
    assert (await sealed.reseal(DEV_SECRET))["tenants"].resealed == 1
    found = await sealed.park.db["tenants"].find_one(tenant)
    assert found["short_code_key"].startswith("gAAAAA")
    assert (await login(sealed.till))["short_code_key"] == sealed.short_code_key


# --- the command ------------------------------------------------------------------------


async def command(*arguments: str, database: str, uri: str, keys: str) -> Result:
    """`playpark secrets …` with an environment of its own."""
    app = typer.Typer()
    cli.register(app)
    environment = {"MONGODB_URI": uri, "MONGODB_DATABASE": database, "ENCRYPTION_KEY": keys}
    runner = CliRunner(env={**environment, "COLUMNS": "200"})
    return await asyncio.to_thread(runner.invoke, app, ["secrets", *arguments])


async def test_the_command_reseals_and_lists_names_and_versions_only(
    sealed: Sealed, mongo_uri: str, log_lines: io.StringIO
) -> None:
    del log_lines  # the command sets up logging for its whole process
    where = {"database": sealed.park.db.name, "uri": mongo_uri}
    told = await command("list", **where, keys=DEV_SECRET)
    assert told.exit_code == 0, told.output
    for word in ("Bangkok Play Park", "Other Park", "ticket_hmac", "A0", "01", "current"):
        assert word in told.stdout
    scope = await sealed.park.inside.scope(sealed.till)
    keys = await sealed.park.inside.platform.ticket_keys(scope)
    for secret in (*_spellings(*keys.by_kid.values()), *await sealed.stored()):
        assert secret not in told.output
    alone = await command("reseal", **where, keys=NEW)
    assert alone.exit_code == 1
    assert "short_code_key: 0 sealed anew, 0 were already, 2 cannot be opened" in alone.stdout
    assert "keep the old ENCRYPTION_KEY" in alone.stderr
    both = await command("reseal", **where, keys=f"{NEW},{DEV_SECRET}")
    assert both.exit_code == 0, both.output
    assert "secrets.sealed: 2 sealed anew, 0 were already" in both.stdout
    assert (await command("reseal", **where, keys=NEW)).exit_code == 0
