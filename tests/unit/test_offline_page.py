"""docs/offline.md is a specification: its example is reckoned again, and what it names exists."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from api.app import ROUTERS
from api.platform.middleware import MAX_SYNC_BODY
from api.sync.repository import Trace
from api.sync.reviewing import MOST_HANDED_IN
from api.sync.sequence import link_of
from api.sync.service import BATCH_SECONDS
from gate.admission import DEADLINE
from playpark.canonical import canonical_json, loads_strict, operation_hash
from playpark.contracts.gate import AllowedTicket
from playpark.contracts.provider import HeartbeatIn
from playpark.contracts.qa import QaSwitches
from playpark.contracts.sync import MAX_OPS, LocalOutcome, OpIn, OpKind, OpStatus
from playpark.device.records import link
from playpark.device.sync import DEADLINE_S
from playpark.errors import ErrorCode
from playpark.offline_tickets import PP2_LENGTH, SIGNED_FIELDS
from playpark.tokens import TOKEN_LENGTH

PAGE = (Path(__file__).parents[2] / "docs" / "offline.md").read_text(encoding="utf-8")
FLAT = " ".join(PAGE.split())
Row = tuple[str, ...]


def table(*head: str) -> list[Row]:
    """The rows of the table whose first columns are called so."""
    for block in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE):
        first, _, *rows = (
            tuple(cell.strip() for cell in line.strip().strip("|").split("|"))
            for line in block.splitlines()
        )
        if first[: len(head)] == head:
            return rows
    pytest.fail(f"no table begins with {head}")


def named(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", text))


def firsts(rows: list[Row]) -> set[str]:
    return set().union(*(named(row[0]) for row in rows))


def example() -> list[dict[str, str]]:
    """The operations of the worked example."""
    blocks = re.findall(r"^  op_id .*?(?=^\s*$|^  ```)", PAGE, re.MULTILINE | re.DOTALL)
    return [
        dict(re.split(r"\s{2,}|(?<=\)) ", line.strip(), maxsplit=1) for line in block.splitlines())
        for block in blocks
    ]


def test_the_worked_example_is_what_tills_and_server_reckon() -> None:
    before, found = "0" * 64, example()
    assert [each["kind, seq"] for each in found] == ["timecard 1", "cash_movement 2"]
    for each in found:
        name, seq = each["kind, seq"].split()
        kind, body = OpKind(name), loads_strict(each["canonical(body)"].encode())
        assert canonical_json(body).decode() == each["canonical(body)"]
        assert each["prev_hash"] == before
        assert each["hash(op)"] == operation_hash(kind, body)
        told = {name: each[name] for name in ("op_id", "prev_hash")}
        op = {"kind": name, "seq": int(seq), "schema_version": 1, "body": body, **told}
        OpIn.model_validate(op | {"occurred_at": "2026-11-21T08:42:10.120Z"})
        before = link(each["op_id"], kind, int(seq), each["prev_hash"], body)
        assert each["link(op)"] == before
        trace = Trace((1, int(seq)), each["op_id"], each["hash(op)"], each["prev_hash"])
        assert link_of(trace) == before


def test_the_worked_example_follows_from_the_page_alone() -> None:
    """As somebody who has nothing but the page would write it."""
    for each in example():
        kind, seq = each["kind, seq"].split()
        hashed = hashlib.sha256(f"{kind}\n{each['canonical(body)']}".encode()).hexdigest()
        place = f'{{"hash":"{hashed}","op_id":"{each["op_id"]}","seq":{seq}}}'
        linked = hashlib.sha256(f"{each['prev_hash']}\n{place}".encode()).hexdigest()
        assert (hashed, linked) == (each["hash(op)"], each["link(op)"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"ก": 1, "a": {"c": None, "B": []}}, '{"a":{"B":[],"c":null},"ก":1}'),
        ('"\\/\x7f', '"\\"\\\\/\x7f"'),
        ("\b\f\n\r\t\x00\x1f", r'"\b\f\n\r\t\u0000\u001f"'),
        ({"\U0001f3a2": 1, "\uff5e": 2}, '{"\uff5e":2,"\U0001f3a2":1}'),
    ],
    ids=["keys", "escapes", "controls", "code points, not UTF-16"],
)
def test_canonical_json_is_as_the_page_says(value: object, text: str) -> None:
    assert canonical_json(value).decode() == text
    assert loads_strict(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("head", "model"),
    [
        (("field", "type"), OpIn),
        (("field of a ticket",), AllowedTicket),
        (("switch", "what is done to each request but heartbeat and device login"), QaSwitches),
    ],
    ids=["envelope", "list", "switches"],
)
def test_every_field_stands_in_its_table_and_no_other(head: Row, model: type[BaseModel]) -> None:
    assert firsts(table(*head)) == set(model.model_fields)


def test_what_happened_and_heartbeats_have_their_fields_named() -> None:
    (local,) = (row for row in table("field", "type") if row[0] == "`local`")
    assert set(LocalOutcome.model_fields) <= named(local[2])
    told = FLAT.partition("`POST /provider/heartbeats` says")[2].partition("and hears")[0]
    assert named(told) == set(HeartbeatIn.model_fields)
    bounds = FLAT.partition("A ticket holds within its")[2].partition("canonical JSON of all")[0]
    assert {"key_id", "packages", "not_before", "not_after", "max_tickets", "max_valid_to"} <= (
        named(bounds) & SIGNED_FIELDS
    )


def test_every_status_is_in_the_table() -> None:
    assert firsts(table("status")) == set(OpStatus)


def test_every_error_code_exists_with_its_http_status() -> None:
    codes = {each.value: each for each in ErrorCode}
    assert set(re.findall(r"E_[A-Z_]+", PAGE)) <= set(codes)
    rows = [(row[0], named(row[1])) for row in table("HTTP", "code") if row[0].isdigit()]
    assert len(rows) > 8
    for status, names in rows:
        assert {codes[name].status for name in names} == {int(status)}, names


def test_every_route_exists() -> None:
    known = {
        f"{method} {route.path}"  # type: ignore[attr-defined]
        for router in ROUTERS
        for route in router.routes
        for method in route.methods  # type: ignore[attr-defined]
    }
    found = set(re.findall(r"\b(?:GET|POST|PUT) /[\w/{}]+", FLAT))
    assert len(found) > 9
    assert found - known == set()


def test_limits_are_those_of_the_code() -> None:
    for sentence in (
        f"at most {MAX_OPS} operations and {MAX_SYNC_BODY // 2**20} MiB",
        f"{MOST_HANDED_IN} operations and {MAX_SYNC_BODY // 2**20} MiB at most",
        f"{BATCH_SECONDS:.0f} seconds after its start a batch answers the rest",
        f"{DEADLINE_S} s at a till and {DEADLINE} s at a gate",
        f"26 Base32 characters: {TOKEN_LENGTH} characters",
        f"of signature: {PP2_LENGTH} characters",
        f"while more than {MAX_OPS} operations wait",
    ):
        assert sentence in FLAT
