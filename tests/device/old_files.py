"""Files as earlier programs wrote them: their schema texts, and a till at work in each."""

import json
import sqlite3
from pathlib import Path

from playpark.canonical import canonical_json
from playpark.contracts.sync import OpKind
from playpark.device.records import link
from tests.device.conftest import IDENTITY, NOW

VERSION_1 = """
CREATE TABLE schema_version (version INTEGER NOT NULL);
INSERT INTO schema_version VALUES (1);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE ops (
    op_id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    link TEXT NOT NULL,
    envelope TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL,
    printing TEXT NOT NULL,
    receipt_no TEXT,
    code TEXT,
    message TEXT,
    result TEXT,
    UNIQUE (epoch, seq)
);
CREATE INDEX ops_pending ON ops (epoch, seq) WHERE state = 'pending';
CREATE INDEX ops_unprinted ON ops (epoch, seq) WHERE printing IN ('due', 'printing', 'doubtful');
CREATE INDEX ops_by_kind ON ops (kind, epoch, seq);
CREATE TABLE receipts (
    receipt_no TEXT PRIMARY KEY,
    series TEXT NOT NULL,
    number INTEGER NOT NULL,
    op_id TEXT NOT NULL REFERENCES ops (op_id),
    state TEXT NOT NULL,
    UNIQUE (series, number)
) WITHOUT ROWID;
"""

VERSION_2 = """
CREATE TABLE schema_version (version INTEGER NOT NULL);
INSERT INTO schema_version VALUES (2);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE ops (
    op_id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    link TEXT NOT NULL,
    envelope TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL,
    printing TEXT NOT NULL,
    receipt_no TEXT,
    code TEXT,
    message TEXT,
    result TEXT,
    memo TEXT,
    UNIQUE (epoch, seq)
);
CREATE INDEX ops_pending ON ops (epoch, seq) WHERE state = 'pending';
CREATE INDEX ops_unprinted ON ops (epoch, seq) WHERE printing IN ('due', 'printing', 'doubtful');
CREATE INDEX ops_by_kind ON ops (kind, epoch, seq);
CREATE TABLE receipts (
    receipt_no TEXT PRIMARY KEY,
    series TEXT NOT NULL,
    number INTEGER NOT NULL,
    op_id TEXT NOT NULL REFERENCES ops (op_id),
    state TEXT NOT NULL,
    UNIQUE (series, number)
) WITHOUT ROWID;
CREATE TABLE papers (
    op_id TEXT NOT NULL REFERENCES ops (op_id),
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (op_id, name)
) WITHOUT ROWID;
"""
SCHEMAS = {1: VERSION_1, 2: VERSION_2}


def old_file(path: Path, version: int) -> list[str]:
    """A paired till's file of `version` with three sales: the first is booked, the papers of the
    second were under way. Returns their op_ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    old = sqlite3.connect(path)
    old.execute("PRAGMA journal_mode = WAL")
    old.executescript(SCHEMAS[version])
    old.execute("INSERT INTO facts VALUES ('identity', ?)", (IDENTITY.model_dump_json(),))
    old.executemany(
        "INSERT INTO counters VALUES (?, 3)", [("seq:1",), ("receipt:S",), ("short_code",)]
    )
    previous = "0" * 64
    op_ids = []
    for seq, (state, printing) in enumerate(
        [("applied", "printed"), ("pending", "printing"), ("pending", "due")], start=1
    ):
        op_id = f"01JD00000000000000000000{seq:02}"
        number = f"03-S{seq:06}"
        body = {
            "receipt_no": number,
            "ticket_ids": [[f"01JD00000000000000000001{seq:02}"]],
            "rung": {"grand_total": 100 * seq},
        }
        envelope = {
            "op_id": op_id,
            "kind": "sale",
            "committed": True,
            "occurred_at": NOW.isoformat(),
            "seq": seq,
            "prev_hash": previous,
            "schema_version": 1,
        }
        previous = link(op_id, OpKind.SALE, seq, previous, body)
        old.execute(
            "INSERT INTO ops (op_id, kind, epoch, seq, link, envelope, body, state, printing,"
            " receipt_no) VALUES (?, 'sale', 1, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(op_id, seq, previous, canonical_json(envelope).decode()),
                *(json.dumps(body), state, printing, number),
            ),
        )
        old.execute("INSERT INTO receipts VALUES (?, 'S', ?, ?, ?)", (number, seq, op_id, state))
        op_ids.append(op_id)
    if version > 1:
        old.execute("INSERT INTO papers VALUES (?, 'receipt', 'printing')", (op_ids[1],))
    old.commit()
    old.close()
    return op_ids
