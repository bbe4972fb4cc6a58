"""Files of earlier programs are taken over, those of later ones are left alone (R34, R37)."""

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from playpark.contracts.sync import OpKind
from playpark.device import DeviceStore, PrintState, Unsynced
from playpark.device.database import Database
from playpark.device.migrations import SCHEMA_VERSION, STEPS, Step, bring_up
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import ReceiptSeries
from tests.device.conftest import IDENTITY, NOW
from tests.device.old_files import old_file


def columns(path: Path) -> dict[str, list[tuple]]:
    look = sqlite3.connect(path)
    tables = [name for (name,) in look.execute("SELECT name FROM sqlite_master")]
    found = {name: look.execute(f"PRAGMA table_xinfo({name})").fetchall() for name in tables}
    look.close()
    return found


def copy_of(path: Path, version: int) -> Path:
    return path.with_name(f"{path.name}.v{version}")


@pytest.mark.parametrize("version", [1, 2])
def test_R34_a_file_of_an_earlier_program_goes_on_where_it_was(path, clock, version):
    _, doubtful, due = old_file(path, version)

    with DeviceStore.open(path, clock) as store:
        assert store.identity == IDENTITY
        assert [op.op_id for op in store.pending()] == [doubtful, due]
        assert store.unsynced_sales() == Unsynced(2, 500)
        assert [op.printing for op in store.unprinted()] == [PrintState.DOUBTFUL, PrintState.DUE]
        assert store.papers.of(due) == {}
        assert store.papers.of(doubtful)["receipt"] is PrintState.DOUBTFUL
        sold = store.append(
            OpKind.SALE,
            lambda allocator: {"receipt_no": allocator.receipt_no(ReceiptSeries.SALE)},
            occurred_at=NOW,
            memo={"note": 1},
        )
        assert (sold.receipt_no, sold.seq, sold.memo) == ("03-S000004", 4, {"note": 1})


def test_R23_each_paper_of_the_first_version_is_in_doubt_where_its_sale_was(path, clock):
    _, doubtful, _ = old_file(path, 1)

    with DeviceStore.open(path, clock) as store:
        [[ticket]] = store.op(doubtful).body["ticket_ids"]
        assert store.papers.of(doubtful) == dict.fromkeys(("receipt", ticket), PrintState.DOUBTFUL)


@pytest.mark.parametrize("version", [1, 2])
def test_R34_a_file_that_was_taken_over_is_like_a_new_one(path, clock, tmp_path, version):
    old_file(path, version)
    DeviceStore.open(path, clock).close()
    DeviceStore.open(tmp_path / "new.db", clock).close()

    assert columns(path) == columns(tmp_path / "new.db")


def test_R34_a_copy_of_the_old_file_is_kept_until_the_new_program_has_run(path, clock):
    op_ids = old_file(path, 2)

    DeviceStore.open(path, clock).close()
    kept = sqlite3.connect(copy_of(path, 2))
    assert kept.execute("SELECT version FROM schema_version").fetchone() == (2,)
    assert [op for (op,) in kept.execute("SELECT op_id FROM ops ORDER BY seq")] == op_ids
    kept.close()
    assert stat.S_IMODE(copy_of(path, 2).stat().st_mode) == 0o600

    DeviceStore.open(path, clock).close()
    assert not copy_of(path, 2).exists()


def test_R34_a_step_that_fails_leaves_the_file_as_it_was(path):
    op_ids = old_file(path, 2)

    def fails(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM ops")
        raise sqlite3.OperationalError("disk I/O error")

    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        bring_up(connection, path, [*STEPS, Step(SCHEMA_VERSION + 1, fails)])
    connection.close()

    with sqlite3.connect(path) as look:
        assert look.execute("SELECT version FROM schema_version").fetchone() == (SCHEMA_VERSION,)
        assert look.execute("SELECT count(*) FROM ops").fetchone() == (len(op_ids),)
    look.close()


def test_R34_without_room_for_the_copy_nothing_is_changed(path, clock, monkeypatch):
    old_file(path, 2)
    before = path.read_bytes()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", _only_for(".part", full))
        with pytest.raises(PlayParkError, match="No space left"):
            DeviceStore.open(path, clock)

    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.v2*"))
    with DeviceStore.open(path, clock) as store:
        assert store.queued_count() == 2


def _only_for(ending: str, instead):
    real = os.open

    def chosen(name, *more, **options):
        return (instead if str(name).endswith(ending) else real)(name, *more, **options)

    return chosen


def test_R34_a_file_of_a_newer_program_is_refused_and_left_alone(path, clock):
    with DeviceStore.open(path, clock) as store, store._database.transaction() as connection:
        connection.execute("UPDATE schema_version SET version = 99")

    with pytest.raises(PlayParkError, match=r"file version 99.*install the newer program"):
        DeviceStore.open(path, clock)

    look = sqlite3.connect(path)
    assert look.execute("SELECT version FROM schema_version").fetchone() == (99,)
    look.close()


def test_R37_a_step_that_cannot_carry_operations_waits_until_they_are_sent(path, clock):
    old_file(path, 2)
    steps = [*STEPS, Step(SCHEMA_VERSION + 1, lambda _: None, carries=False)]
    connection = sqlite3.connect(path, isolation_level=None)

    with pytest.raises(PlayParkError, match=r"holds 2 operations.*start the former") as refused:
        bring_up(connection, path, steps)

    assert refused.value.code is ErrorCode.CONFLICT
    assert connection.execute("SELECT version FROM schema_version").fetchone() == (2,)
    connection.execute("UPDATE ops SET state = 'applied'")
    bring_up(connection, path, steps)
    assert connection.execute("SELECT version FROM schema_version").fetchone() == (4,)
    connection.close()


def test_R34_an_unfinished_copy_is_no_copy(path, clock):
    """The program died while it copied: the copy is begun anew."""
    old_file(path, 2)
    path.with_name("till.db.v2.part").write_bytes(b"half a file")

    Database(path, clock.now()).close()

    assert not path.with_name("till.db.v2.part").exists()
    assert copy_of(path, 2).exists()
