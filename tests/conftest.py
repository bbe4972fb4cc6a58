"""One MongoDB a test run, one database and one API process a test worker: all of them real."""

import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import IO, Any

import httpx
import pytest
from hypothesis import settings
from pymongo import MongoClient

from api.platform.embedded import EmbeddedMongo
from tests.logs import plain_logs
from tests.outside import Outsider
from tests.processes import Playpark

plain_logs()
_context = cache(httpx.create_ssl_context)
# Each HTTP client reads all certificates of the machine, for nothing: everything here is http.
for module in (httpx._config, httpx._transports.default):
    vars(module)["create_ssl_context"] = _context

# The same examples every time in `make test`, many more and fresh ones in `make nightly`.
settings.register_profile("test", max_examples=100, derandomize=True, deadline=None, database=None)
settings.register_profile("nightly", max_examples=20_000, deadline=None)
settings.load_profile("nightly" if os.environ.get("PLAYPARK_FULL") else "test")

# Tests ask more in a second than a park in a day; those of the limits set their own.
UNLIMITED = {
    f"LIMIT_{name}": "1000000/second"
    for name in (
        *("DEVICE", "DEVICE_BURST", "EMPLOYEE", "GIVING_BACK", "PREVIEW"),
        *("DEVICE_LOGIN", "ADDRESS_LOGIN", "ENROLMENT"),
    )
}
# All tests come from one address, and many of them are wrong about a PIN.
UNLIMITED["PIN_FAILURES_PER_IP"] = "1000000"
# Hashes are as dear as they should be in tests/api/test_pin_lockout.py alone.
UNLIMITED["PIN_MEMORY_KIB"] = "64"
os.environ.update(UNLIMITED)

HISTORY = "minSnapshotHistoryWindowInSeconds"
MEMORY, ENOUGH = Path("/dev/shm"), 4 * 1024**3  # noqa: S108 - a folder of our own in it
"""Where commits need not wait for a disk: what is tested is not whether MongoDB keeps its journal
(tests/api/test_durability.py has servers of its own, on the disk)."""

_MONGO = pytest.StashKey[EmbeddedMongo]()
_FOLDER = pytest.StashKey["tempfile.TemporaryDirectory[str]"]()


def pytest_configure(config: pytest.Config) -> None:
    """The controller starts the server; the workers are told its address."""
    if hasattr(config, "workerinput"):
        return
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ENOUGH
    folder = tempfile.TemporaryDirectory(prefix="playpark-test-", dir=MEMORY if roomy else None)
    server = EmbeddedMongo(Path(folder.name))
    server.start()
    # MongoDB keeps the files of dropped collections for as long as somebody may read the past: at
    # five minutes a run needs more of them than a process may have open.
    with MongoClient[Any](server.uri) as client:
        client.admin.command({"setParameter": 1, HISTORY: 20})
    config.stash[_FOLDER], config.stash[_MONGO] = folder, server


def pytest_configure_node(node: object) -> None:
    """Called by pytest-xdist for each worker."""
    config: pytest.Config = node.config  # type: ignore[attr-defined]
    node.workerinput["mongo_uri"] = config.stash[_MONGO].uri  # type: ignore[attr-defined]


def pytest_collection_finish() -> None:
    """Everything is imported now: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_unconfigure(config: pytest.Config) -> None:
    if server := config.stash.get(_MONGO, None):
        server.stop()
        config.stash[_FOLDER].cleanup()


@pytest.fixture(scope="session")
def mongo_uri(pytestconfig: pytest.Config) -> str:
    """Address of the run's MongoDB replica set."""
    told: str | None = getattr(pytestconfig, "workerinput", {}).get("mongo_uri")
    return told or pytestconfig.stash[_MONGO].uri


@pytest.fixture(scope="session")
def database(pytestconfig: pytest.Config) -> str:
    """Name of this worker's database."""
    return f"test_{getattr(pytestconfig, 'workerinput', {}).get('workerid', 'main')}"


@pytest.fixture(scope="session")
def api_url(mongo_uri: str, database: str) -> Iterator[str]:
    """Address of a real API process with the demo park, one a worker."""
    with running_api(mongo_uri, f"{database}_live") as url:
        yield url


@pytest.fixture
async def outside(api_url: str) -> AsyncIterator[Outsider]:
    async with httpx.AsyncClient(base_url=api_url, timeout=30) as http:
        yield Outsider(http)


@pytest.fixture
async def till(api_url: str) -> AsyncIterator[Outsider]:
    """A paired POS with a cashier and an open shift."""
    async with httpx.AsyncClient(base_url=api_url, timeout=30) as http:
        pos = await Outsider(http).pair("POS")
        await pos.staff()
        await pos.open_shift()
        yield pos


@pytest.fixture
async def gate(api_url: str) -> AsyncIterator[Outsider]:
    """A paired GATE: it redeems by its device token alone."""
    async with httpx.AsyncClient(base_url=api_url, timeout=30) as http:
        yield await Outsider(http).pair("GATE")


class running_api:  # noqa: N801 - used like a function
    """A `playpark api` process on a free port. `pid` is there for tests that kill it."""

    def __init__(
        self,
        mongo_uri: str,
        database: str,
        *extra: str,
        port: int = 0,
        environment: Mapping[str, str] | None = None,
        log: IO[str] | None = None,
    ) -> None:
        variables = {
            **os.environ,
            "MONGODB_URI": mongo_uri,
            "MONGODB_DATABASE": database,
            "LOG_LEVEL": "WARNING",
            "ENVIRONMENT": "test",
            **(environment or {}),
        }
        arguments = ["api", "--demo", "--port", str(port), *extra]
        self._process = Playpark(arguments, env=variables, stderr=log)
        self.pid = self._process.pid

    def __enter__(self) -> str:
        greeting = self._process.stdout.readline()
        assert "http://" in greeting, f"the API did not start: {greeting!r}"
        return greeting.split("on ")[1].split()[0]

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(40)
        self._process.stdout.close()
