"""Make the started `mongod` a writable primary of its one-node replica set."""

import contextlib
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from pymongo import MongoClient, timeout
from pymongo.errors import OperationFailure, PyMongoError

from api.platform.embedded.errors import EmbeddedMongoError

HOST = "127.0.0.1"
REPLICA_SET = "rs0"
POLL_SECONDS = 0.02
NOT_YET_INITIALIZED = 94


def wait_until_primary(
    port: int, db_path: str, *, check_alive: Callable[[], None], deadline: float
) -> None:
    """Return when the `mongod` that serves `db_path` on `port` takes writes.

    `check_alive` raises when that process has ended; `deadline` is a `time.monotonic` value.
    """
    # The client is made only once somebody listens: its first failure would cost half a second.
    _poll(lambda: _listens(port), check_alive, deadline)
    with MongoClient[dict[str, Any]](
        HOST, port, directConnection=True, connectTimeoutMS=1000, timeoutMS=10_000
    ) as client:
        _poll(lambda: _step(client, port, db_path), check_alive, deadline)


def wait_until_up(
    port: int, db_path: str, *, check_alive: Callable[[], None], deadline: float
) -> None:
    """Return when the `mongod` that serves `db_path` on `port` answers, of a set or not."""
    _poll(lambda: _listens(port), check_alive, deadline)
    with _asking(port) as client:
        _poll(lambda: _serves(client, db_path), check_alive, deadline)


def initiate(ports: Sequence[int], *, election_timeout_ms: int, deadline: float) -> None:
    """Make one set of the empty nodes on these ports, and wait until one of them is primary.

    `election_timeout_ms` is how long the others wait for a primary that is silent.
    """
    members = [{"_id": number, "host": f"{HOST}:{port}"} for number, port in enumerate(ports)]
    settings = {"electionTimeoutMillis": election_timeout_ms, "heartbeatIntervalMillis": 500}
    config = {"_id": REPLICA_SET, "members": members, "settings": settings}
    with _asking(ports[0]) as client:
        client.admin.command("replSetInitiate", config)
    _poll(lambda: primary_of(ports) is not None, lambda: None, deadline)


def primary_of(ports: Sequence[int]) -> int | None:
    """The port of the node that takes writes now; None while there is none."""
    for port in ports:
        with contextlib.suppress(PyMongoError), timeout(1), _asking(port) as client:
            if client.admin.command("hello").get("isWritablePrimary"):
                return port
    return None


def _asking(port: int) -> "MongoClient[dict[str, Any]]":
    return MongoClient(
        HOST,
        port,
        directConnection=True,
        connectTimeoutMS=1000,
        serverSelectionTimeoutMS=1000,
        timeoutMS=10_000,
    )


def _poll(ready: Callable[[], bool], check_alive: Callable[[], None], deadline: float) -> None:
    """Ask again and again; a driver error is a "not yet", and the last one is told at the end."""
    why = "it does not answer"
    while True:
        check_alive()
        try:
            if ready():
                return
        except PyMongoError as error:
            why = str(error).partition(", full error")[0]
        if time.monotonic() > deadline:
            message = f"mongod did not become ready in time: {why}"
            raise EmbeddedMongoError(message)
        time.sleep(POLL_SECONDS)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1) as probe:
        # Where nobody listens, the system may choose this very port for our end: a call to oneself.
        return bool(probe.getsockname() != probe.getpeername())
    return False


def _serves(client: "MongoClient[dict[str, Any]]", db_path: str) -> bool:
    # A program that is no MongoDB may have won the port, and never answer.
    with timeout(1):
        options = client.admin.command("getCmdLineOpts")["parsed"]
    return bool(options.get("storage", {}).get("dbPath") == db_path)


def _step(client: "MongoClient[dict[str, Any]]", port: int, db_path: str) -> bool:
    """Do the next step towards a primary; return whether it is one."""
    admin = client.admin
    # Another mongod may have won the port a moment ago: it must not be initiated or reconfigured.
    if not _serves(client, db_path):
        return False
    address = f"{HOST}:{port}"
    hello = admin.command("hello")
    if hello.get("isWritablePrimary") and hello.get("me") == address:
        return True
    try:
        config = admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        if error.code != NOT_YET_INITIALIZED:
            raise
        member = {"_id": 0, "host": address}
        admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [member]})
        return False
    if config["members"][0]["host"] != address:
        _move(client, config, address)
    return False


def _move(client: "MongoClient[dict[str, Any]]", config: dict[str, Any], address: str) -> None:
    """Write the new port into the stored config, in which this node no longer finds itself.

    mongod first asks whoever listens on the old port whether that is itself: should a program there
    accept and never answer, the start takes the 30 s after which mongod gives up.
    """
    if len(config["members"]) != 1:
        message = (
            f"the data folder belongs to a replica set of {len(config['members'])} nodes: "
            "start those nodes and set MONGODB_URI, or choose another --data"
        )
        raise EmbeddedMongoError(message)
    config["members"][0]["host"] = address
    config["version"] += 1
    # Forced: a node outside its own config has no primary that could agree.
    client.admin.command("replSetReconfig", config, force=True)
