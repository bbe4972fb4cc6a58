"""What the platform promises: unit of work, tenancy on the wire, settings, logs."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from pymongo import monitoring
from pymongo.errors import OperationFailure, PyMongoError

from api.app import DOCUMENTS, create_app, prepare
from api.platform.logs import configure_logging
from api.platform.mongo import Mongo
from api.platform.settings import DEV_SECRET, Settings, load_settings
from api.platform.uow import UnitOfWork, Work
from playpark.clock import SystemClock
from playpark.errors import ErrorCode, PlayParkError
from tests.logs import plain_logs
from tests.outside import Outsider

TENANT_FREE = {"tenants"}
"""Collections whose documents are found by their own id alone."""


@pytest.fixture
async def mongo(mongo_uri: str, database: str) -> AsyncIterator[Mongo]:
    connection = Mongo(mongo_uri, f"{database}_unit")
    yield connection
    await connection.client.drop_database(f"{database}_unit")
    connection.close()


# --- unit of work -----------------------------------------------------------------------


async def test_a_failed_effect_leaves_nothing_behind(mongo: Mongo) -> None:
    uow = UnitOfWork(mongo, SystemClock())
    await mongo.db["things"].insert_one({"_id": "seed"})

    async def effect(work: Work) -> None:
        await work.collection("things").insert_one({"_id": "half"}, session=work.session)
        raise PlayParkError(ErrorCode.CONFLICT, "no")

    with pytest.raises(PlayParkError):
        await uow.run(effect)
    assert await mongo.db["things"].count_documents({}) == 1


async def test_conflicting_transactions_are_tried_again_until_all_stand(mongo: Mongo) -> None:
    uow = UnitOfWork(mongo, SystemClock(), deadline=20)
    await mongo.db["things"].insert_one({"_id": "counter", "n": 0})

    async def count(work: Work) -> None:
        things = work.collection("things")
        found = await things.find_one({"_id": "counter"}, session=work.session)
        await asyncio.sleep(0.01)
        await things.update_one(
            {"_id": "counter"}, {"$set": {"n": found["n"] + 1}}, session=work.session
        )

    await asyncio.gather(*(uow.run(count) for _ in range(10)))
    assert (await mongo.db["things"].find_one({"_id": "counter"}))["n"] == 10


async def test_the_deadline_ends_in_503_with_retry_after(mongo: Mongo) -> None:
    uow = UnitOfWork(mongo, SystemClock(), deadline=0.2)

    async def always_in_conflict(_work: Work) -> None:
        raise OperationFailure("write conflict", code=112)

    with pytest.raises(PlayParkError) as refused:
        await uow.run(always_in_conflict)
    assert refused.value.code is ErrorCode.UNAVAILABLE
    assert refused.value.retry_after


async def test_an_unknown_commit_is_repeated_without_its_effect(
    mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    uow = UnitOfWork(mongo, SystemClock())
    runs = 0
    commits = 0
    real_start = mongo.client.start_session

    async def start_session(*args: Any, **kwargs: Any) -> Any:
        session = await real_start(*args, **kwargs)
        real_commit = session.commit_transaction

        async def commit() -> None:
            nonlocal commits
            commits += 1
            await real_commit()
            if commits == 1:  # it stands, but the answer is lost
                lost = PyMongoError("lost", error_labels=["UnknownTransactionCommitResult"])
                raise lost

        session.commit_transaction = commit
        return session

    monkeypatch.setattr(mongo.client, "start_session", start_session)

    async def effect(work: Work) -> None:
        nonlocal runs
        runs += 1
        await work.collection("things").insert_one({}, session=work.session)

    await uow.run(effect)
    assert (runs, commits) == (1, 2)
    assert await mongo.db["things"].count_documents({}) == 1


# --- tenancy on the wire ----------------------------------------------------------------


class Wire(monitoring.CommandListener):
    """Every filter that leaves for the database."""

    def __init__(self) -> None:
        self.filters: list[tuple[str, str, dict[str, Any]]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        command = event.command
        name = event.command_name
        collection = str(command.get(name, ""))
        if name in {"find", "findAndModify", "count", "distinct"}:
            self.filters.append((name, collection, command.get("filter", command.get("query", {}))))
        for key in ("updates", "deletes"):
            for statement in command.get(key, []):
                self.filters.append((name, collection, statement["q"]))
        for document in command.get("documents", []):
            self.filters.append((name, collection, document))
        if name == "aggregate":
            self.filters.append((name, collection, command["pipeline"][0].get("$match", {})))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...
    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


@pytest.fixture
async def wired(mongo_uri: str, database: str) -> AsyncIterator[tuple[Outsider, Wire]]:
    """The app in this process, with its database driver overheard."""
    name = f"{database}_wired"
    wire = Wire()
    monitoring.register(wire)  # only clients made from now on
    try:
        mongo = Mongo(mongo_uri, name)
    finally:
        monitoring._LISTENERS.command_listeners.remove(wire)
    settings = Settings()
    platform = await prepare(settings, mongo, demo=True)
    wire.filters.clear()
    transport = httpx.ASGITransport(app=create_app(platform))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield Outsider(http), wire
    await mongo.client.drop_database(name)
    platform.close()


async def test_R44_no_query_leaves_without_its_tenant_and_store(
    wired: tuple[Outsider, Wire],
) -> None:
    till, wire = wired
    await till.pair("POS")
    paired = len(wire.filters)
    await till.staff()
    await till.open_shift()
    sold = await till.sell(("Adult day pass", 1))
    await till.data("GET", f"/v1/sales/{sold['sale']['sale_id']}")
    await till.data("POST", "/v1/tickets/redeem", {"qr_token": sold["tickets"][0]["qr_token"]})
    await till.data("POST", "/v1/tickets/redeem", {"short_code": sold["tickets"][0]["short_code"]})
    await till.staff(email="supervisor@demo.playpark", pin="9999")
    for path in ("/v1/sales", "/v1/shifts", "/v1/redemptions", "/v1/devices"):
        await till.data("GET", path)
    by_name = {document.__collection__: document for document in DOCUMENTS}  # type: ignore[attr-defined]
    overheard = wire.filters[paired:]
    assert len(overheard) > 40
    for name, collection, query in overheard:
        model = by_name[collection]
        assert query.get("tenant_id"), (name, collection, query)
        if "store_id" in model.__odm_fields__:  # type: ignore[attr-defined]
            assert query.get("store_id"), (name, collection, query)
    # Before a tenant is known, two look-ups go by a secret's hash or a server-made id.
    free = {
        (name, collection)
        for name, collection, query in wire.filters[:paired]
        if "tenant_id" not in query
    }
    assert free == {("find", "site_keys"), ("find", "devices")}


def test_every_unique_index_starts_with_tenant_and_store() -> None:
    for document in DOCUMENTS:
        for index in document.__indexes__():  # type: ignore[attr-defined]
            if "expireAfterSeconds" in index.document:
                continue  # MongoDB lets an index that expires documents have one field only
            keys = list(index.document["key"])
            assert keys[0] == "tenant_id", document
            if "store_id" in document.__odm_fields__:  # type: ignore[attr-defined]
                assert keys[1] == "store_id", document


def test_every_document_carries_its_tenant_and_the_servers_times() -> None:
    for document in DOCUMENTS:
        fields = set(document.__odm_fields__)  # type: ignore[attr-defined]
        assert {"tenant_id", "created_at", "updated_at"} <= fields, document


# --- settings and logs ------------------------------------------------------------------


@pytest.fixture
def no_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_production_refuses_default_secrets(
    no_dotenv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.delenv("PIN_MEMORY_KIB")
    with pytest.raises(PlayParkError, match="SECRET_KEY must be a secret of your own"):
        load_settings()
    monkeypatch.setenv("SECRET_KEY", "s" * 40)
    with pytest.raises(PlayParkError, match="ENCRYPTION_KEY must be a secret of your own"):
        load_settings()
    monkeypatch.setenv("ENCRYPTION_KEY", "e" * 40)
    with pytest.raises(PlayParkError, match="HMAC_KEY_V1 must be a secret of your own"):
        load_settings()
    secret = no_dotenv / "hmac"
    secret.write_text("h" * 40 + "\n")
    monkeypatch.setenv("HMAC_KEY_V2_FILE", str(secret))
    settings = load_settings()
    assert {n: key.get_secret_value() for n, key in settings.hmac_keys.items()} == {2: "h" * 40}
    assert not settings.docs_enabled
    for name, listed in (("SECRET_KEY_PREVIOUS", "x"), ("ENCRYPTION_KEY", f"{'e' * 40},short")):
        monkeypatch.setenv(name, listed)
        with pytest.raises(PlayParkError, match=f"{name} must be a secret of your own"):
            load_settings()
        monkeypatch.setenv(name, "p" * 40)
    monkeypatch.setenv("PIN_MEMORY_KIB", "19455")
    with pytest.raises(PlayParkError, match="PIN_MEMORY_KIB must be 19456 or more"):
        load_settings()
    monkeypatch.setenv("PIN_MEMORY_KIB", "19456")
    monkeypatch.setenv("SECRET_KEY_PREVIOUS", DEV_SECRET)
    with pytest.raises(PlayParkError, match="SECRET_KEY_PREVIOUS"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("PORT", "http", "PORT"),
        ("ENVIRONMENT", "moon", "environment"),
        ("MONGODB_DATABASE", "a b", "MONGODB_DATABASE"),
        ("SECRET_KEY_FILE", "/nowhere/at/all", "SECRET_KEY_FILE names a file"),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence(
    no_dotenv: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(PlayParkError, match=told) as refused:
        load_settings()
    assert "\n" not in refused.value.message


def test_the_example_environment_names_every_setting(no_dotenv: Path) -> None:
    from playpark.resources import config_path

    example = config_path(".env.example").read_text()
    names = {line.split("=")[0].lstrip("# ") for line in example.splitlines() if "=" in line}
    for field, info in Settings.model_fields.items():
        alias = info.validation_alias
        expected = (
            getattr(alias, "choices", [alias or field.upper()])[0]
            if field != "hmac_keys"
            else "HMAC_KEY_V1"
        )
        assert expected in names, expected


@pytest.fixture
def log_lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging("INFO")
    stream = io.StringIO()
    root.handlers[0].setStream(stream)  # type: ignore[attr-defined]
    yield stream
    root.handlers[:], root.level = handlers, level
    plain_logs()


def test_logs_are_json_without_secrets(log_lines: io.StringIO) -> None:
    structlog.get_logger().info(
        "login",
        pin="1111",
        device_token="abc",
        note="got PP1.01.01HZZZZZZZZZZZZZZZZZZZZZZZ.ABCDEFGHIJKLMNOPQRSTUVWXYZ and Bearer abc.def",
        headers={"authorization": "Bearer x"},
        name="line\nbreak \x1b[31m",
    )
    (line,) = log_lines.getvalue().splitlines()
    event = json.loads(line)
    assert event["pin"] == event["device_token"] == "[redacted]"
    assert "PP1." not in line
    assert "Bearer" not in line
    assert "\x1b" not in line


async def test_a_request_is_one_log_line_with_its_context(
    wired: tuple[Outsider, Wire], log_lines: io.StringIO
) -> None:
    till, _ = wired
    await till.pair("POS")
    await till.call("GET", "/v1/shifts/current")
    events = [json.loads(line) for line in log_lines.getvalue().splitlines()]
    (last,) = [event for event in events if event.get("route") == "/shifts/current"]
    assert last["status"] == 409
    assert last["error_code"] == "E_SHIFT_CLOSED"
    assert last["device_id"] == till.device["device_id"]
    assert last["tenant_id"]
    assert last["request_id"]
