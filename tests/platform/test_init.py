"""R44: `playpark init` makes a server ready, so that a newcomer can sell; `playpark operator` looks
after those who serve all parks."""

import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from playpark.ids import new_ulid
from tests.outside import Outsider
from tests.platform.test_api_cli import playpark, sentence

PASSWORD, PIN = "a-long-enough-password", "739152"
KEY = re.compile(r"Site key, shown this once: (\S+)")
OPTIONS = {
    "--operator-email": "root@operators.example",
    "--tenant": "River Park",
    "--store": "North Bank",
    "--owner-name": "Ploy",
    "--owner-email": "ploy@river.example",
}


class Server:
    """A database of its own, and the command line on it. `folder` holds the secrets' files."""

    def __init__(self, uri: str, database: str, folder: Path) -> None:
        self.uri, self.database, self.folder = uri, database, folder
        self.secret("password", PASSWORD)
        self.secret("pin", PIN)

    @property
    def environment(self) -> dict[str, str]:
        known = {"MONGODB_URI": self.uri, "MONGODB_DATABASE": self.database}
        return known | {"ENVIRONMENT": "test", "LOG_LEVEL": "WARNING"}

    def secret(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(f"{text}\n", encoding="utf-8")
        return str(path)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return playpark(*arguments, cwd=self.folder, **self.environment, **environment)

    def init(self, *more: str, **changes: str) -> subprocess.CompletedProcess[str]:
        told = {
            **OPTIONS,
            "--operator-password-file": str(self.folder / "password"),
            "--owner-pin-file": str(self.folder / "pin"),
            **{f"--{name.replace('_', '-')}": value for name, value in changes.items()},
        }
        return self.run("init", *(each for pair in told.items() for each in pair), *more)

    @contextmanager
    def api(self) -> Iterator[str]:
        """`playpark api` on this database, without the demo park."""
        process = subprocess.Popen(
            [sys.executable, "-m", "playpark.cli", "api", "--port", "0"],
            cwd=self.folder,
            env=os.environ | self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split("on ")[1].split()[0]
        finally:
            process.terminate()
            process.wait(30)
            process.stdout.close()

    def count(self, collection: str) -> int:
        with MongoClient[Any](self.uri) as mongo:
            return mongo[self.database][collection].count_documents({})


@pytest.fixture
def server(mongo_uri: str, database: str, tmp_path: Path) -> Iterator[Server]:
    made = Server(mongo_uri, f"{database}_init_{new_ulid()[-6:].lower()}", tmp_path)
    yield made
    with MongoClient[Any](mongo_uri) as mongo:
        mongo.drop_database(made.database)


def site_key(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result
    found = KEY.search(result.stdout)
    assert found, result.stdout
    return found[1]


async def test_R44_after_init_a_newcomer_pairs_employs_prices_and_sells(server: Server) -> None:
    made = server.init()
    key = site_key(made)
    assert "playpark api" in made.stdout
    assert PASSWORD not in made.stdout + made.stderr
    assert PIN not in made.stdout + made.stderr
    with server.api() as url:
        async with httpx.AsyncClient(base_url=url, timeout=30) as http:
            office = await Outsider(http).pair("ADMIN", key)
            owner = await office.staff(email=OPTIONS["--owner-email"], pin=PIN)
            await _employ_and_price(owner)
            till = await Outsider(http).pair("POS", key)
            await till.staff(email="nok@river.example", pin="482915")
            await till.open_shift()
            sold = await till.sell(("Boat ride", 2))
            assert sold["sale"]["grand_total"] == 20_000
            assert sold["sale"]["tax_total"] == 1_308  # 7 % inside
            gate = await Outsider(http).pair("GATE", key)
            token = {"qr_token": sold["tickets"][0]["qr_token"]}
            entry = await gate.data("POST", "/v1/tickets/redeem", token)
            assert entry["result"] == "pass"
            await _look_as_the_operator(http)


async def _employ_and_price(owner: Outsider) -> None:
    taxes = (await owner.data("GET", "/v1/catalog/taxes"))["items"]
    package = {
        "name": "Boat ride",
        "name_th": "ล่องเรือ",
        "kind": "single",
        "price": 10_000,
        "tax_id": taxes[0]["tax_id"],
        "visible_on": ["POS"],
    }
    await owner.data("POST", "/v1/catalog/packages", package)
    roles = {
        each["name"]: each["role_id"] for each in (await owner.data("GET", "/v1/roles"))["items"]
    }
    store_id = (await owner.data("GET", "/v1/stores"))["items"][0]["store_id"]
    nok = {
        "name": "Nok",
        "email": "nok@river.example",
        "pin": "482915",
        "memberships": [{"store_id": store_id, "role_ids": [roles["cashier"]]}],
    }
    await owner.data("POST", "/v1/employees", nok)


async def _look_as_the_operator(http: httpx.AsyncClient) -> None:
    serving = Outsider(http)
    login = {"email": OPTIONS["--operator-email"], "password": PASSWORD}
    session = await serving.data("POST", "/v1/provider/login", login)
    serving.token = session["access_token"]
    (tenant,) = (await serving.data("GET", "/v1/provider/tenants"))["items"]
    assert tenant["name"] == "River Park"


def test_init_runs_once_and_adds_parks_when_told_so(server: Server) -> None:
    first = site_key(server.init())
    assert "--another-tenant" in sentence(server.init())
    assert (server.count("operators"), server.count("tenants")) == (1, 1)
    second = site_key(server.init("--another-tenant", tenant="Lake Park"))
    assert first != second
    assert (server.count("operators"), server.count("tenants")) == (1, 2)


def test_another_park_needs_an_operator_first(server: Server) -> None:
    told = sentence(server.init("--another-tenant"))
    assert "without --another-tenant first" in told
    assert (server.count("operators"), server.count("tenants")) == (0, 0)


def test_init_can_be_told_everything_by_the_environment(server: Server) -> None:
    made = server.run(
        "init",
        PLAYPARK_OPERATOR_EMAIL="root@operators.example",
        PLAYPARK_OPERATOR_PASSWORD_FILE=str(server.folder / "password"),
        PLAYPARK_TENANT="River Park",
        PLAYPARK_STORE="North Bank",
        PLAYPARK_OWNER_NAME="Ploy",
        PLAYPARK_OWNER_EMAIL="ploy@river.example",
        PLAYPARK_OWNER_PIN_FILE=str(server.folder / "pin"),
        PLAYPARK_TZ="Europe/Lisbon",
    )
    site_key(made)
    with MongoClient[Any](server.uri) as mongo:
        tenant = mongo[server.database]["tenants"].find_one({})
    assert tenant is not None
    assert tenant["tz"] == "Europe/Lisbon"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"operator_email": "nobody"}, "--operator-email"),
        ({"owner_email": "$ne@x"}, "--owner-email"),
        ({"tz": "Atlantis/Deep"}, "--tz"),
        ({"tenant": ""}, "--tenant"),
        ({"store": "x" * 121}, "--store"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-",
)
def test_what_is_wrong_is_named_and_nothing_is_written(
    server: Server, changes: dict[str, str], named: str
) -> None:
    told = sentence(server.init(**changes))
    assert told.startswith(f"playpark: {named}: ")
    assert (server.count("operators"), server.count("tenants")) == (0, 0)


@pytest.mark.parametrize(
    ("option", "text", "named"),
    [
        ("operator_password_file", "short", "--operator-password-file"),
        ("owner_pin_file", "12", "--owner-pin-file"),
        ("owner_pin_file", "1234", "--owner-pin-file"),
        ("owner_pin_file", "", "--owner-pin-file"),
    ],
)
def test_a_weak_secret_is_refused_without_being_told(
    server: Server, option: str, text: str, named: str
) -> None:
    result = server.init(**{option: server.secret("weak", text)})
    assert sentence(result).startswith(f"playpark: {named}: ")
    if text:
        assert text not in result.stderr.replace(named, "")
    assert (server.count("operators"), server.count("tenants")) == (0, 0)


def test_a_secret_s_file_that_is_not_there_is_named(server: Server) -> None:
    told = sentence(server.init(owner_pin_file=str(server.folder / "nowhere")))
    assert "cannot be read" in told


def test_a_script_that_tells_too_little_is_not_asked(server: Server) -> None:
    told = sentence(server.run("init", "--operator-email", "root@operators.example"))
    assert "Give --operator-password-file" in told


def test_somebody_at_a_terminal_is_asked_until_it_is_right(server: Server) -> None:
    answers = [
        ("Operator's email", "nobody"),
        ("Operator's email", "root@operators.example"),
        ("Operator's password", "short"),
        ("Repeat", "short"),
        ("Operator's password", PASSWORD),
        ("Repeat", PASSWORD),
        ("Name of the park", "River Park"),
        ("Name of its first store", "North Bank"),
        ("Name of its owner", "Ploy"),
        ("Owner's email", "ploy@river.example"),
        ("Owner's PIN", PIN),
        ("Repeat", PIN),
    ]
    said = at_a_terminal(server, ["init"], answers)
    assert KEY.search(said), said
    assert PASSWORD not in said
    assert PIN not in said


def at_a_terminal(server: Server, arguments: list[str], answers: list[tuple[str, str]]) -> str:
    """Run a command on a terminal of its own, typing an answer at each prompt; what it said."""
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover - becomes the command
        os.chdir(server.folder)
        environment = {name: value for name, value in os.environ.items() if name != "MONGODB_URI"}
        command = [sys.executable, "-m", "playpark.cli", *arguments]
        os.execve(sys.executable, command, environment | server.environment)
    said = ""
    try:
        for prompt, answer in answers:
            fresh = _read_until(terminal, prompt)
            said += fresh
            os.write(terminal, f"{answer}\n".encode())
        said += _read_until(terminal, None)
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
    return said


def _read_until(terminal: int, prompt: str | None) -> str:
    """What is said up to this prompt, or to the end."""
    said = ""
    while prompt is None or prompt not in said:
        ready, _, _ = select.select([terminal], [], [], 60)
        assert ready, f"{prompt!r} is not asked for: {said}"
        try:
            fresh = os.read(terminal, 4096)
        except OSError:  # the end, as Linux tells it
            fresh = b""
        if not fresh:
            assert prompt is None, said
            return said
        said += fresh.decode()
    return said


# --- operators ----------------------------------------------------------------------------


async def test_operators_are_added_suspended_resumed_and_reset(server: Server) -> None:
    site_key(server.init())
    who = ("--email", "second@operators.example")
    password = ("--password-file", str(server.folder / "password"))
    assert server.run("operator", "add", *who, *password).returncode == 0
    assert "already" in sentence(server.run("operator", "add", *who, *password))
    with server.api() as url:
        async with httpx.AsyncClient(base_url=url, timeout=30) as http:

            async def login(text: str) -> int:
                body = {"email": who[1], "password": text}
                return (await Outsider(http).call("POST", "/v1/provider/login", body)).status_code

            assert await login(PASSWORD) == 200
            assert server.run("operator", "suspend", *who).returncode == 0
            assert await login(PASSWORD) == 403
            assert server.run("operator", "resume", *who).returncode == 0
            assert await login(PASSWORD) == 200
            fresh = ("--password-file", server.secret("fresh", "another-long-password"))
            assert server.run("operator", "reset", *who, *fresh).returncode == 0
            assert await login(PASSWORD) == 401
            assert await login("another-long-password") == 200


def test_an_operator_who_is_not_there_is_told_so(server: Server) -> None:
    told = sentence(server.run("operator", "suspend", "--email", "nobody@operators.example"))
    assert "no operator with this email" in told
