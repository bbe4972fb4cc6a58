"""The parts of which a gate's list is made: one gzip stream, and segments that change (R21)."""

import gzip
import json
import random
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.gate.entries import Listed, listed
from api.gate.gzip_parts import pack, stream, unpack
from api.gate.shelf import Shelf, Shelves
from api.platform.keyring import TicketKeys
from playpark.contracts.gate import AllowedTicket
from playpark.ids import new_ulid

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)
KEYS = TicketKeys({"01": b"k" * 32, "A0": b"l" * 32}, "A0", {"01": NOW - timedelta(hours=1)})


@given(st.lists(st.binary(max_size=3_000), max_size=8))
def test_parts_in_any_order_are_one_gzip_stream_of_one_member(texts: list[bytes]) -> None:
    parts = [pack(text) for text in texts]
    joined = b"".join(stream(reversed(parts)))

    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)  # stops after the first member
    assert unpacker.decompress(joined) == b"".join(reversed(texts))
    assert (unpacker.eof, unpacker.unused_data) == (True, b"")
    assert [unpack(part) for part in parts] == texts


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 1_000_003, 5_000_000])
def test_the_checksum_holds_for_long_parts(size: int) -> None:
    text = random.Random(size).randbytes(size)

    assert gzip.decompress(b"".join(stream([pack(b"{"), pack(text), pack(b"}")]))) == (
        b"{" + text + b"}"
    )


def stored(**changes: Any) -> dict[str, Any]:
    """A ticket as the database has it."""
    return {
        "ticket_id": new_ulid(),
        "token_hash": "0" * 64,
        "kind": "multi",
        "quota_or_minutes": 10,
        "used": 3,
        "status": "active",
        "kid": "A0",
        "valid_from": NOW - timedelta(hours=1),
        "valid_to": NOW + timedelta(hours=1),
        "zones": ["z1"],
        "created_at": NOW,
        "updated_at": NOW,
    } | changes


def entry(**changes: Any) -> AllowedTicket | None:
    """How a ticket stands on the list; None where it admits no more."""
    found = listed(stored(**changes), KEYS)
    assert found is not None
    return None if found.denied else AllowedTicket.model_validate_json(found.text)


def test_an_entry_is_what_the_contract_has() -> None:
    found = entry(last_pass_at=NOW, inside=["", "z1"], allowed_devices=["d1"])

    assert found is not None
    assert (found.remaining, found.zones, found.inside) == (7, ["z1"], ["", "z1"])
    assert (found.last_pass_at, found.ends_at, found.allowed_devices) == (NOW, None, ["d1"])
    assert found.valid_to == NOW + timedelta(hours=1)


def test_R18_what_is_left_is_told_by_kind() -> None:
    clock = entry(kind="timepass", quota_or_minutes=120, used=0, ends_at=NOW)
    credit = entry(kind="credit", quota_or_minutes=500, used=500)

    assert clock is not None
    assert credit is not None
    assert (clock.remaining, clock.ends_at) == (120, NOW)
    assert credit.remaining == 0  # it still opens a zone that takes nothing
    assert entry(kind="single", quota_or_minutes=1, used=1) is None
    assert entry(used=10) is None


def test_R22_a_pending_ticket_says_when_it_was_issued() -> None:
    issued_at = NOW - timedelta(hours=5)
    found = entry(status="pending", issued_at=issued_at, kid="ABCDEFGH")

    assert found is not None
    assert (found.status, found.issued_at) == ("pending", issued_at)


@pytest.mark.parametrize(
    ("kid", "age", "stands"),
    [
        ("A0", 0, True),
        ("01", 60, True),
        ("01", 59, False),
        ("ZZ", 0, False),
        ("ABCDEFGH", 0, True),
    ],
    ids=["present key", "in time", "too late", "unknown key", "a till's certificate"],
)
def test_R21_only_what_its_key_could_sign_is_listed(kid: str, age: int, *, stands: bool) -> None:
    found = stored(kid=kid, created_at=NOW - timedelta(minutes=age))

    assert (listed(found, KEYS) is not None) is stands


# --- the shelf against a plain dictionary -----------------------------------------------------


def ticket(chance: random.Random, number: int) -> Listed:
    """A ticket in a state that it may come into."""
    found = stored(
        ticket_id=f"01K9ZZZZZZZZZZZZZZZZZZ{number:04d}",
        used=chance.choice([0, 1, 9, 10]),
        valid_from=NOW + timedelta(minutes=chance.choice([-60, -60, 5, 30])),
        valid_to=NOW + timedelta(minutes=chance.choice([10, 45, 600])),
    )
    made = listed(found, KEYS)
    assert made is not None
    return made


def read(shelf: Shelf, until: datetime) -> tuple[dict[str, Any], set[str], int]:
    allow, deny, total = shelf.parts(until)
    text = b"".join(stream([pack(b"["), *allow, pack(b"]")]))
    entries = json.loads(gzip.decompress(text))
    denied = json.loads(gzip.decompress(b"".join(stream([pack(b"["), *deny, pack(b"]")]))))
    by_id = {each["ticket_id"]: each for each in entries}
    assert (len(by_id), len(set(denied))) == (len(entries), len(denied))
    return by_id, set(denied), total


@pytest.mark.parametrize("seed", range(8))
def test_a_shelf_that_changed_says_what_a_new_one_says(seed: int) -> None:
    chance = random.Random(seed)
    now, model = NOW, {}
    shelf = Shelf(now, "keys", chance.choice([0, 10_000]))
    for _ in range(40):
        now += timedelta(seconds=chance.choice([0, 0, 60, 700]))
        changes: dict[str, Listed | None] = {}
        for number in chance.sample(range(120), chance.choice([0, 1, 30])):
            made = ticket(chance, number)
            changes[made.ticket_id] = chance.choice([made, made, made, None])
        model |= changes
        for _ in range(chance.choice([1, 1, 2])):  # the overlap tells them again
            shelf.put(changes, now)
        until = now + timedelta(minutes=chance.choice([0, 20]))
        stands = [each for each in model.values() if each is not None]
        expected = {
            each.ticket_id: json.loads(each.text)
            for each in stands
            if not each.denied and each.tells(now, until)
        }

        by_id, denied, total = read(shelf, until)

        assert by_id == expected
        # Who is denied is named on, after the validity too: it harms nobody.
        assert denied >= {each.ticket_id for each in stands if each.denied and each.valid_to > now}
        assert denied.isdisjoint(by_id)
        fresh = Shelf(now, "keys", 40_000)
        valid = now + timedelta(hours=1)
        told = [each for each in stands if each.ticket_id in by_id.keys() | denied]
        named = [replace(each, valid_to=valid) if each.denied else each for each in told]
        fresh.put({each.ticket_id: each for each in named}, now)
        assert read(fresh, until)[2] == total


def test_shelves_are_bounded_and_the_latest_stay() -> None:
    shelves = Shelves(most_bytes=3_000)
    for number in range(10):
        shelf = Shelf(NOW, "keys", 0)
        made = [ticket(random.Random(each), each) for each in range(10)]
        shelf.put({each.ticket_id: each for each in made}, NOW)
        shelves.keep(str(number), shelf)
        assert 0 < shelves.size <= 3_000
        assert shelves.get(str(number)) is shelf
    assert shelves.get("0") is None
