"""R45: `playpark audit verify`: exit code 0 whole, 1 tampered with, 2 not checked."""

import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.trails import GATE, TENANT, TILL, Park, park
from tests.processes import run as playpark


@pytest.fixture(scope="module")
async def trail(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    async with park(mongo_uri, f"{database}_command", audit_raw_days=2) as made:
        await made.days(4)
        await made.write(TILL, 2)
        await made.write("U:S1:till", 2)
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def run(
    folder: Path, mongo_uri: str, name: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MONGODB")}
    environment |= {"MONGODB_URI": mongo_uri, "MONGODB_DATABASE": name, "COLUMNS": "80"}
    return playpark("audit", "verify", *arguments, cwd=folder, env=environment)


async def test_R45_a_whole_trail_is_exit_code_0(trail: Park, folder: Path, mongo_uri: str) -> None:
    done = run(folder, mongo_uri, trail.db.name)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{TENANT}: whole (3 chains, 14 rows, 12 removed, 4 anchors until ")
    assert lines[1] == "U: whole (1 chains, 2 rows, 0 removed, 0 anchors)"


async def test_R45_the_first_broken_row_of_each_chain_is_named_with_exit_code_1(
    trail: Park, folder: Path, mongo_uri: str
) -> None:
    with trail.tampered():
        trail.set("audits", f"{TILL}:6", payload={"[red]": "[/red]"})
        trail.db.audits.delete_one({"_id": f"{GATE}:8"})
        trail.set("audit_anchors", "T:00000004", removes=0)
        done = run(folder, mongo_uri, trail.db.name, "--tenant", TENANT)
        assert done.returncode == 1
        told = [line.strip() for line in done.stdout.splitlines()]
        assert told[0].startswith(f"{TENANT}: BROKEN: 3 (")
        assert f"truncated: audits {GATE}:8, number 8" in told
        assert f"edited: audits {TILL}:6, number 6" in told
        assert "anchor changed: audit_anchors T:00000004, number 4" in told
        assert not any(line.startswith("U:") for line in told)
        whole = run(folder, mongo_uri, trail.db.name, "--tenant", "U")
        assert whole.returncode == 0


async def test_R45_json_has_the_same_for_programs(
    trail: Park, folder: Path, mongo_uri: str
) -> None:
    with trail.tampered():
        trail.allow_duplicates()
        row = trail.row(TILL, 6)
        trail.put(row | {"_id": "forged"})  # no index can be built over this one
        done = run(folder, mongo_uri, trail.db.name, "--json")
        assert (done.returncode, done.stderr) == (1, "")
        first, second = json.loads(done.stdout)
        assert (first["tenant_id"], first["whole"], second["whole"]) == (TENANT, False, True)
        (found,) = first["breaks"]
        assert found["kind"] == "inserted"
        assert (found["collection"], found["document_id"], found["seq"]) == ("audits", "forged", 6)


async def test_R45_what_could_not_be_checked_is_exit_code_2(
    trail: Park, folder: Path, mongo_uri: str
) -> None:
    unknown = run(folder, mongo_uri, trail.db.name, "--tenant", "nobody")
    nowhere = run(folder, "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300&timeoutMS=500", "x")
    without = run(folder, "", "x")
    for done, words in (
        (unknown, "There is no audit trail of this tenant"),
        (nowhere, "MongoDB does not answer"),
        (without, "set MONGODB_URI, or start with --embedded"),
    ):
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
        assert "Traceback" not in done.stderr


async def test_R45_an_empty_trail_is_said(folder: Path, mongo_uri: str) -> None:
    done = run(folder, mongo_uri, "nothing_here")
    assert (done.returncode, done.stdout.strip()) == (
        0,
        "There is no audit trail yet: nothing to verify.",
    )
