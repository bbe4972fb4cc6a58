"""R21, R33: the gate's list on its disk: all of an answer or nothing, thrown away where damaged."""

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gate.allowlist import AllowList
from playpark.contracts.gate import CertificateView
from playpark.tokens import token_hash
from tests.gate.lists import allowed, fill, told
from tests.gate.park import NOW
from tests.gate.pictures import token

FIRST, SECOND = token(1), token(2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "allowlist.db"


@pytest.fixture
def own(path: Path) -> Iterator[AllowList]:
    opened = AllowList(path)
    yield opened
    opened.close()


def test_a_new_gate_has_no_list_and_no_age(own: AllowList) -> None:
    assert own.head is None
    assert own.age(NOW) is None
    assert own.by_hash(token_hash(FIRST)) is None


def test_R21_a_ticket_is_found_by_the_hash_of_its_token_and_by_its_id(own: AllowList) -> None:
    ticket = allowed(FIRST, zones=["z-ball"], last_pass_at=NOW)
    fill(own, told(ticket))

    assert own.by_hash(token_hash(FIRST)) == own.by_id(ticket.ticket_id) == ticket
    assert own.by_hash(token_hash(SECOND)) is None


def test_R21_no_token_is_on_the_disk(own: AllowList, path: Path) -> None:
    fill(own, told(allowed(FIRST)))
    own.close()

    assert all(FIRST.encode() not in part.read_bytes() for part in path.parent.iterdir())
    own = AllowList(path)


def test_a_delta_adds_changes_and_denies(own: AllowList) -> None:
    first, second = allowed(FIRST, kind="multi", remaining=5), allowed(SECOND)
    fill(own, told(first))
    fill(own, told(second, first.model_copy(update={"remaining": 4}), version=2, since=1))
    assert own.by_id(first.ticket_id) == first.model_copy(update={"remaining": 4})
    assert own.by_id(second.ticket_id) == second

    fill(own, told(version=3, since=2, deny=[first.ticket_id]))
    assert own.by_id(first.ticket_id) is None
    assert own.denies(first.ticket_id)
    assert own.by_id(second.ticket_id) == second

    fill(own, told(first, version=4, since=3))
    assert own.by_id(first.ticket_id) == first
    assert not own.denies(first.ticket_id)


def test_a_whole_list_takes_the_place_of_the_old_one(own: AllowList) -> None:
    first, second = allowed(FIRST), allowed(SECOND)
    fill(own, told(first, deny=["01K9ZZZZZZZZZZZZZZZZZZ0009"]), contained=["op1"])

    fill(own, told(second, version=2))

    assert own.by_id(first.ticket_id) is None
    assert not own.denies("01K9ZZZZZZZZZZZZZZZZZZ0009")
    assert own.contained() == set()
    assert own.by_id(second.ticket_id) == second


def test_changes_of_another_list_are_not_taken_up(own: AllowList) -> None:
    with pytest.raises(OSError, match="loaded again"):
        fill(own, told(allowed(FIRST), version=2, since=1))
    fill(own, told(allowed(FIRST), version=5))
    with pytest.raises(OSError, match="loaded again"):
        fill(own, told(allowed(SECOND), version=7, since=6))

    assert own.head is not None
    assert own.head.told.version == 5
    assert own.by_hash(token_hash(SECOND)) is None


def test_it_is_there_again_after_a_restart(own: AllowList, path: Path) -> None:
    fill(own, told(allowed(FIRST)), contained=["op1", "op2"])
    before = own.head
    own.close()

    again = AllowList(path)

    assert again.head == before
    assert again.by_hash(token_hash(FIRST)) == allowed(FIRST)
    assert again.contained() == {"op1", "op2"}
    again.close()


@pytest.mark.parametrize("damage", ["zeros", "text", "half", "empty", "version", "head"])
def test_a_damaged_file_is_thrown_away(own: AllowList, path: Path, damage: str) -> None:
    fill(own, told(*[allowed(token(number)) for number in range(300)]))
    own.close()
    raw = path.read_bytes()
    if damage == "version":
        with sqlite3.connect(path) as other:
            other.execute("PRAGMA user_version = 99")
    elif damage == "head":
        with sqlite3.connect(path) as other:
            other.execute("UPDATE head SET body = '{\"owner\": 5}'")
    else:
        path.write_bytes(
            {
                "zeros": raw[:4096] + bytes(len(raw) - 4096),
                "text": b"no database at all" * 500,
                "half": raw[: len(raw) // 2],
                "empty": b"",
            }[damage]
        )

    again = AllowList(path)

    assert again.head is None
    assert again.by_hash(token_hash(FIRST)) is None
    fill(again, told(allowed(FIRST)))
    assert again.by_hash(token_hash(FIRST)) == allowed(FIRST)
    again.close()


def test_damage_while_it_is_open_leaves_no_list_and_a_new_one_is_loaded(
    own: AllowList, path: Path
) -> None:
    fill(own, told(*[allowed(token(number)) for number in range(3_000)]))
    own._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    for number in range(3_000):
        own.by_hash(token_hash(token(number)))

    assert own.head is None
    fill(own, told(allowed(FIRST)))
    assert own.by_hash(token_hash(FIRST)) == allowed(FIRST)


def test_an_answer_is_taken_up_whole_or_not_at_all(
    own: AllowList, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(own, told(allowed(FIRST)))

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("gate.allowlist._forget", full)
    with pytest.raises(OSError, match="disk"):
        fill(own, told(allowed(SECOND), version=2), contained=["op1"])

    assert own.head is not None
    assert own.head.told.version == 1
    assert own.by_hash(token_hash(FIRST)) == allowed(FIRST)
    assert own.by_hash(token_hash(SECOND)) is None
    assert own.contained() == set()


def test_what_is_asked_after_the_gate_was_switched_off_harms_nothing(
    own: AllowList, path: Path
) -> None:
    """A scan or a refresh may be under way in a thread."""
    fill(own, told(allowed(FIRST)))
    own.close()

    assert own.by_hash(token_hash(FIRST)) is None
    with pytest.raises(OSError, match="switched off"):
        fill(own, told(allowed(SECOND), version=2))
    again = AllowList(path)
    assert again.by_hash(token_hash(FIRST)) == allowed(FIRST)
    again.close()


def test_the_age_is_by_the_servers_clock(own: AllowList) -> None:
    ahead = NOW + timedelta(hours=3)  # this gate's clock is wrong
    fill(own, told(), now=ahead)

    assert own.age(ahead + timedelta(minutes=7)) == timedelta(minutes=7)
    assert own.age(ahead) == timedelta()
    assert own.age(ahead - timedelta(minutes=1)) == timedelta()
    assert own.age(ahead - timedelta(minutes=3)) is None  # the clock was put back


def test_what_is_over_is_forgotten_after_a_day_and_the_denied_after_four(own: AllowList) -> None:
    over = allowed(FIRST, valid_to=NOW + timedelta(hours=1))
    fill(own, told(over, deny=["01K9ZZZZZZZZZZZZZZZZZZ0009"]), contained=["op1"])

    def later(version: int, **after: float) -> None:
        fill(own, told(version=version, since=version - 1, server_time=NOW + timedelta(**after)))

    later(2, hours=24)
    assert own.by_id(over.ticket_id) == over
    later(3, hours=26)
    assert own.by_id(over.ticket_id) is None
    later(4, days=4)
    assert (own.denies("01K9ZZZZZZZZZZZZZZZZZZ0009"), own.contained()) == (True, {"op1"})
    later(5, days=4, seconds=1)
    assert (own.denies("01K9ZZZZZZZZZZZZZZZZZZ0009"), own.contained()) == (False, set())


def test_R22_a_certificate_that_the_server_did_not_sign_is_left_out(own: AllowList) -> None:
    forged = CertificateView(
        key_id="00000001",
        public_key="AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        device_id="till1",
        store_id="st1",
        packages=["p1"],
        not_before=NOW,
        not_after=NOW + timedelta(hours=1),
        max_tickets=1,
        max_valid_to=NOW + timedelta(hours=1),
        signature="",
    )
    fill(own, told(certificates=[forged]))

    assert own.head is not None
    assert own.head.certificate("00000001") is None
