"""R44: `playpark init` makes a server ready, so that a newcomer can sell; `playpark operator` looks
after those who serve all parks."""

import logging
import os
import pty
import re
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from pymongo import MongoClient
from typer.testing import CliRunner

from api.cli import init
from playpark.errors import PlayParkError
from playpark.ids import new_ulid
from tests.logs import plain_logs
from tests.outside import Outsider
from tests.platform.test_api_cli import playpark
from tests.processes import Playpark

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
        known = {"MONGODB_DATABASE": self.database}
        if self.uri:
            known["MONGODB_URI"] = self.uri
        return known | {"ENVIRONMENT": "test", "LOG_LEVEL": "WARNING"}

    def secret(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(f"{text}\n", encoding="utf-8")
        return str(path)

    def run(self, *arguments: str, **environment: str) -> str:
        """What a command prints; the sentence of its refusal where it refuses."""
        app = typer.Typer()
        init.register(app)
        known = self.environment | environment
        result = CliRunner().invoke(app, list(arguments), env=known)
        if isinstance(result.exception, PlayParkError):
            return f"playpark: {result.exception.message}"
        assert result.exit_code == 0, result.exception
        return result.stdout

    def options(self, **changes: str) -> list[str]:
        told = {
            **OPTIONS,
            "--operator-password-file": str(self.folder / "password"),
            "--owner-pin-file": str(self.folder / "pin"),
            **{f"--{name.replace('_', '-')}": value for name, value in changes.items()},
        }
        return [each for pair in told.items() for each in pair]

    def init(self, *more: str, **changes: str) -> str:
        return self.run("init", *self.options(**changes), *more)

    @contextmanager
    def api(self) -> Iterator[str]:
        """`playpark api` on this database, without the demo park."""
        environment = os.environ | self.environment
        with Playpark(["api", "--port", "0"], cwd=self.folder, env=environment) as process:
            yield process.stdout.readline().split("on ")[1].split()[0]
            process.terminate()
            process.wait(30)

    def count(self, collection: str) -> int:
        with MongoClient[Any](self.uri) as mongo:
            return mongo[self.database][collection].count_documents({})


@pytest.fixture
def server(mongo_uri: str, database: str, tmp_path: Path) -> Iterator[Server]:
    made = Server(mongo_uri, f"{database}_init_{new_ulid()[-6:].lower()}", tmp_path)
    yield made
    with MongoClient[Any](mongo_uri) as mongo:
        mongo.drop_database(made.database)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Commands send logs to stderr; here they run inside the tests' own process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    plain_logs()


def site_key(said: str) -> str:
    found = KEY.search(said)
    assert found, said
    return found[1]


async def test_R44_after_init_a_newcomer_pairs_employs_prices_and_sells(server: Server) -> None:
    made = playpark("init", *server.options(), cwd=server.folder, **server.environment)
    assert made.returncode == 0, made
    key = site_key(made.stdout)
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
    assert "--another-tenant" in server.init()
    assert (server.count("operators"), server.count("tenants")) == (1, 1)
    second = site_key(server.init("--another-tenant", tenant="Lake Park"))
    assert first != second
    assert (server.count("operators"), server.count("tenants")) == (1, 2)


def test_another_park_needs_an_operator_first(server: Server) -> None:
    told = server.init("--another-tenant")
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


# --- what is wrong: said before a database is looked for ----------------------------------


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """`playpark init` without a database: its sentence."""
    monkeypatch.chdir(tmp_path)
    for name in ("MONGODB_URI", "DB_URI"):
        monkeypatch.delenv(name, raising=False)
    return Server("", "none", tmp_path).init


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("operator_email", "nobody"),
        ("owner_email", "$ne@x"),
        ("tz", "Atlantis/Deep"),
        ("tenant", ""),
        ("owner_name", " "),
        ("store", "x" * 121),
    ],
    ids=lambda value: value[:20],
)
def test_what_is_wrong_is_named(command: Callable[..., str], option: str, text: str) -> None:
    assert command(**{option: text}).startswith(f"playpark: --{option.replace('_', '-')}: ")


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("operator_password_file", "short"),
        ("owner_pin_file", "12"),
        ("owner_pin_file", "1234"),
        ("owner_pin_file", "x739152"),
        ("owner_pin_file", ""),
    ],
)
def test_a_weak_secret_is_refused_without_being_told(
    command: Callable[..., str], tmp_path: Path, option: str, text: str
) -> None:
    (tmp_path / "weak").write_text(f"{text}\n", encoding="utf-8")
    told = command(**{option: str(tmp_path / "weak")})
    named = f"playpark: --{option.replace('_', '-')}: "
    assert told.startswith(named)
    assert not text or text not in told.removeprefix(named)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"], ids=["missing", "not text"])
def test_a_secret_s_file_that_cannot_be_read_is_named(
    command: Callable[..., str], tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    assert "cannot be read" in command(owner_pin_file=str(path))


def test_what_is_right_needs_a_database(command: Callable[..., str]) -> None:
    assert "set MONGODB_URI" in command()


def test_a_script_that_tells_too_little_is_not_asked(server: Server) -> None:
    told = server.run("init", "--operator-email", "root@operators.example")
    assert "Give --operator-password-file" in told


# --- at a terminal ------------------------------------------------------------------------


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
        os.execve(sys.executable, command, environment | server.environment)  # noqa: S606
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
    """What is said up to this prompt, or to the end. A hidden one hides from its last blank on."""
    said = ""
    while prompt is None or not (prompt in said and said.endswith(": ")):
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


def test_operators_are_added_suspended_resumed_and_reset(server: Server) -> None:
    site_key(server.init())
    who = ("--email", "second@operators.example")
    password = ("--password-file", str(server.folder / "password"))
    fresh = ("--password-file", server.secret("fresh", "another-long-password"))
    assert "can log in" in server.run("operator", "add", *who, *password)
    assert "already" in server.run("operator", "add", *who, *password)
    with server.api() as url, httpx.Client(base_url=url, timeout=30) as http:

        def login(text: str) -> int:
            body = {"email": who[1], "password": text}
            return http.post("/v1/provider/login", json=body).status_code

        assert login(PASSWORD) == 200
        assert "is suspended" in server.run("operator", "suspend", *who)
        assert login(PASSWORD) == 403
        assert "is active" in server.run("operator", "resume", *who)
        assert login(PASSWORD) == 200
        assert "new password" in server.run("operator", "reset", *who, *fresh)
        assert login(PASSWORD) == 401
        assert login("another-long-password") == 200
    unknown = server.run("operator", "suspend", "--email", "nobody@operators.example")
    assert "no operator with this email" in unknown
