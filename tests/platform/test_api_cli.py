"""What `playpark api` says when it cannot start: one sentence, exit code 1, no traceback."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from api.cli.serving import _listen
from tests import processes


def playpark(
    *arguments: str, cwd: Path, anew: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("MONGODB", "DB_"))
    }
    return processes.run(*arguments, cwd=cwd, env=inherited | environment, anew=anew)


def sentence(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 1, result
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("playpark: ")]
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_without_a_database_it_says_how_to_get_one(tmp_path: Path) -> None:
    told = sentence(playpark("api", "--port", "0", cwd=tmp_path, anew=True))
    assert "set MONGODB_URI, or start with --embedded" in told


@pytest.mark.parametrize("uri", ["http://nonsense", "mongodb://", "mongodb://a:b:c/"])
def test_a_wrong_database_address_is_named(tmp_path: Path, uri: str) -> None:
    told = sentence(playpark("api", "--port", "0", cwd=tmp_path, MONGODB_URI=uri))
    assert "MONGODB_URI is not a MongoDB address" in told


def test_a_database_that_does_not_answer_is_said(tmp_path: Path) -> None:
    uri = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=500&timeoutMS=800"
    told = sentence(playpark("api", "--port", "0", cwd=tmp_path, MONGODB_URI=uri))
    assert "MongoDB does not answer" in told


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = sentence(playpark("api", "--port", port, "--embedded", cwd=tmp_path))
    assert f"port {port}" in told
    assert "choose another --port" in told
    assert not (tmp_path / ".data").exists()


def test_answers_do_not_wait_for_delayed_acknowledgements() -> None:
    with _listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    told = sentence(playpark("api", cwd=tmp_path, LOG_LEVEL="loud"))
    assert "log_level" in told
    assert "config/.env.example" in told


def test_the_demo_park_is_refused_in_production(tmp_path: Path, mongo_uri: str) -> None:
    told = sentence(
        playpark(
            *("api", "--demo", "--port", "0"),
            cwd=tmp_path,
            MONGODB_URI=mongo_uri,
            MONGODB_DATABASE="test_production",
            ENVIRONMENT="production",
            PIN_MEMORY_KIB="19456",
            SECRET_KEY="s" * 40,
            HMAC_KEY_V1="h" * 40,
            ENCRYPTION_KEY="e" * 40,
        )
    )
    assert "public PINs" in told
