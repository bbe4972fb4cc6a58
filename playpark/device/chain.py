"""Where an operation stands in the sequence of its device, and what it follows (R34, R38)."""

from sqlite3 import Connection
from typing import Any

from playpark.canonical import canonical_json
from playpark.cash import FIRST_HASH
from playpark.device.numbers import advance
from playpark.device.records import StoredOp, link


def next_link(connection: Connection, epoch: int) -> tuple[int, str]:
    """The next place of an epoch, and the hash that leads to it."""
    seq = advance(connection, f"seq:{epoch}")
    previous = connection.execute(
        "SELECT link FROM ops WHERE epoch = ? AND seq = ?", (epoch, seq - 1)
    ).fetchone()
    return seq, previous["link"] if previous else FIRST_HASH


def chain_again(connection: Connection, op: StoredOp, epoch: int) -> None:
    """Move an operation to the end of an epoch: its id, its body and what happened stay."""
    seq, prev_hash = next_link(connection, epoch)
    connection.execute(
        "UPDATE ops SET epoch = ?, seq = ?, link = ?, envelope = ? WHERE op_id = ?",
        (
            epoch,
            seq,
            link(op.op_id, op.kind, seq, prev_hash, op.body),
            as_json(op.envelope | {"seq": seq, "prev_hash": prev_hash}),
            op.op_id,
        ),
    )


def as_json(value: Any) -> str:
    """A text that says the same for the same values: envelopes and bodies as they are kept."""
    return canonical_json(value).decode()
