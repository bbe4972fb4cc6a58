"""R45: whatever one row of the trail is tampered with in the database, it is the one that is named
(attack 42). Three chains of six rows, written through the real thing; each test puts back what it
has done."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from api.audit.models import AuditRow
from api.audit.trail import tenants
from playpark.cash import FIRST_HASH, chain_hash
from playpark.ids import new_ulid
from tests.api.trails import GATE, SERVER, TILL, Park, park, resealed

ROWS = 6
CHAINS = (TILL, GATE, SERVER)
FIELDS = ["_id" if name == "id" else name for name in AuditRow.model_fields]
PLACES = pytest.mark.parametrize("seq", [1, 3, ROWS], ids=["first", "middle", "last"])
OF_A_CHAIN = pytest.mark.parametrize("chain", CHAINS)


@pytest.fixture(scope="module")
async def trail(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    async with park(mongo_uri, f"{database}_tampering") as made:
        for _ in range(ROWS):
            for chain in CHAINS:
                await made.write(chain)
        yield made


def other(value: Any) -> Any:
    """Something else of the same kind."""
    if isinstance(value, dict):
        return {**value, "amount": 1}
    if isinstance(value, int):
        return value + 50
    if value is None or isinstance(value, str):
        return f"{value}x"
    return value + timedelta(milliseconds=1)


async def test_R45_a_sound_trail_is_whole_and_counted(trail: Park) -> None:
    found = await trail.verify()
    assert (found.whole, found.breaks) == (True, [])
    assert (found.chains, found.rows, found.removed, found.anchors) == (3, 18, 0, 0)
    own = await trail.verify("S1")
    assert (own.whole, own.chains, own.rows) == (True, 2, 12)


@PLACES
@pytest.mark.parametrize("field", FIELDS)
async def test_attack_42_an_edited_field_names_its_row(trail: Park, field: str, seq: int) -> None:
    with trail.tampered():
        row = trail.row(GATE, seq)
        trail.put(row | {field: other(row[field])}, instead_of=row)
        named = other(row["_id"]) if field == "_id" else row["_id"]
        assert await trail.broken() == [("edited", named)]


@PLACES
@pytest.mark.parametrize("field", FIELDS[1:])
async def test_R45_a_field_that_is_gone_names_its_row(trail: Park, field: str, seq: int) -> None:
    with trail.tampered():
        row = trail.row(GATE, seq)
        trail.db.audits.update_one({"_id": row["_id"]}, {"$unset": {field: ""}})
        assert await trail.broken() == [("edited", row["_id"])]


@PLACES
@pytest.mark.parametrize(
    "changes",
    [
        {"payload": {"amount": 100.0}},
        {"payload": {"lines": [{"qty": True}]}},
        {"payload": "text"},
        {"payload": None},
        {"ts": "2026-11-21"},
        {"seq": "3"},
        {"seq": None},
        {"seq": 3.5},
        {"chain": ["T:S1:gate"]},
        {"chain": {"$gt": ""}},
        {"hash": {"$gt": ""}},
        {"prev_hash": {"$ne": ""}},
        {"hash": None},
        {"added": "a field"},
        {"event_type": {"$regex": "(a+)+$"}},
    ],
    ids=repr,
)
async def test_R45_a_field_of_another_kind_names_its_row(
    trail: Park, changes: dict[str, Any], seq: int
) -> None:
    with trail.tampered():
        row = trail.row(GATE, seq)
        trail.put(row | changes, instead_of=row)
        assert await trail.broken() == [("edited", row["_id"])]


async def test_R45_a_number_of_the_same_value_in_another_kind_names_its_row(trail: Park) -> None:
    with trail.tampered():
        row = trail.row(TILL, 3)
        trail.put(row | {"seq": 3.0}, instead_of=row)
        assert await trail.broken() == [("edited", row["_id"])]


@pytest.mark.parametrize("seq", [1, 3, ROWS - 1])
async def test_R45_an_edited_row_with_a_fitting_hash_is_named_by_the_one_behind_it(
    trail: Park, seq: int
) -> None:
    with trail.tampered():
        row = trail.row(TILL, seq)
        trail.put(resealed(row, payload={"amount": 1}), instead_of=row)
        assert await trail.broken() == [("edited", row["_id"])]


async def test_R45_the_last_row_with_a_fitting_hash_contradicts_the_head(trail: Park) -> None:
    with trail.tampered():
        row = trail.row(TILL, ROWS)
        trail.put(resealed(row, payload={"amount": 1}), instead_of=row)
        (found,) = (await trail.verify()).breaks
        assert (found.kind.value, found.document_id, found.seq) == ("head_changed", TILL, ROWS)
        assert "the one or the other" in found.why


@OF_A_CHAIN
@pytest.mark.parametrize(
    ("seq", "kind"), [(1, "missing"), (3, "missing"), (ROWS, "truncated")], ids=str
)
async def test_attack_42_a_deleted_row_is_named(
    trail: Park, chain: str, seq: int, kind: str
) -> None:
    with trail.tampered():
        trail.db.audits.delete_one({"chain": chain, "seq": seq})
        assert await trail.broken() == [(kind, f"{chain}:{seq}")]


async def test_R45_several_deleted_rows_are_named_by_the_first(trail: Park) -> None:
    with trail.tampered():
        trail.db.audits.delete_many({"chain": TILL, "seq": {"$in": [2, 3, 5]}})
        (found,) = (await trail.verify()).breaks
        assert (found.kind.value, found.seq, found.why) == ("missing", 2, "Rows 2 to 3 are gone.")


async def test_R45_a_deleted_row_is_missed_though_the_others_were_renumbered(trail: Park) -> None:
    with trail.tampered():
        rows = [trail.row(TILL, seq) for seq in range(3, ROWS + 1)]
        trail.db.audits.delete_many({"chain": TILL, "seq": {"$gte": 3}})
        for row in rows[1:]:
            seq = row["seq"] - 1
            trail.put(row | {"seq": seq, "_id": f"{TILL}:{seq}"})
        trail.set("audit_heads", TILL, seq=ROWS - 1)
        assert await trail.broken() == [("missing", f"{TILL}:3")]


@PLACES
@pytest.mark.parametrize("forged", ["sealed", "copied", "nonsense"])
async def test_attack_42_an_inserted_row_is_named(trail: Park, seq: int, forged: str) -> None:
    with trail.tampered():
        trail.allow_duplicates()
        for own_id in (f"{TILL}:{seq}a", "0", new_ulid()):
            row = trail.row(TILL, seq)
            made = row | {"_id": own_id, "payload": {"amount": 1}}
            if forged == "sealed":
                made = resealed(made)
            elif forged == "copied":
                made = row | {"_id": own_id}
            else:
                made |= {"hash": "0" * 64, "prev_hash": "f" * 64}
            trail.put(made)
            assert await trail.broken() == [("inserted", own_id)]
            trail.db.audits.delete_one({"_id": own_id})


@pytest.mark.parametrize("seq", [0, -1, ROWS + 1, ROWS + 9])
async def test_R45_a_row_before_the_first_or_behind_the_last_is_named(
    trail: Park, seq: int
) -> None:
    with trail.tampered():
        last = trail.row(TILL, ROWS)
        ts = last["ts"] + timedelta(seconds=9)
        times = {"ts": ts, "created_at": ts, "updated_at": ts}
        changes = {**times, "_id": f"{TILL}:{seq}", "seq": seq}
        for made in (resealed(last, last["hash"], **changes), last | changes):
            trail.put(made)
            assert await trail.broken() == [("inserted", made["_id"])]
            trail.db.audits.delete_one({"_id": made["_id"]})


@pytest.mark.parametrize("seq", [2, 4])
async def test_R45_an_inserted_row_is_named_though_the_others_were_renumbered(
    trail: Park, seq: int
) -> None:
    with trail.tampered():
        rows = [trail.row(TILL, each) for each in range(seq, ROWS + 1)]
        trail.db.audits.delete_many({"chain": TILL, "seq": {"$gte": seq}})
        trail.put(resealed(rows[0], payload={"amount": 1}))
        for row in rows:
            behind = row["seq"] + 1
            trail.put(row | {"seq": behind, "_id": f"{TILL}:{behind}"})
        trail.set("audit_heads", TILL, seq=ROWS + 1)
        assert await trail.broken() == [("inserted", f"{TILL}:{seq}")]


@pytest.mark.parametrize(("one", "two"), [(1, 2), (3, 4), (2, 5), (1, ROWS), (5, ROWS)], ids=repr)
@pytest.mark.parametrize("how", ["ids", "numbers", "contents"])
async def test_attack_42_two_swapped_rows_are_out_of_order(
    trail: Park, one: int, two: int, how: str
) -> None:
    with trail.tampered():
        first, second = trail.row(TILL, one), trail.row(TILL, two)
        trail.db.audits.delete_many({"_id": {"$in": [first["_id"], second["_id"]]}})
        stay = {"ids": (), "numbers": ("_id",), "contents": ("_id", "seq")}[how]
        if how == "numbers":
            swapped = [first | {"seq": two}, second | {"seq": one}]
        else:
            swapped = [
                second | {name: first[name] for name in stay},
                first | {name: second[name] for name in stay},
            ]
        if how == "ids":
            swapped = [first | {"_id": second["_id"]}, second | {"_id": first["_id"]}]
        trail.db.audits.insert_many(swapped)
        (found,) = (await trail.verify()).breaks
        assert (found.kind.value, found.seq) == ("out_of_order", one)


async def test_R45_a_row_that_was_moved_to_another_chain_is_named_once(trail: Park) -> None:
    with trail.tampered():
        row = trail.row(TILL, 4)
        for elsewhere in ("T:S1:nobody", "T:S2:server", "X:S1:till", "nonsense", GATE):
            tenant_id, store_id = (*elsewhere.split(":"), "S1")[:2]
            trail.allow_duplicates()
            moved = {"chain": elsewhere, "tenant_id": tenant_id, "store_id": store_id}
            trail.put(row | moved, instead_of=row)
            assert await trail.broken() == [("edited", row["_id"])], elsewhere
            trail.put(row, instead_of=row)
            trail.db.audits.create_index(
                [(name, 1) for name in ("tenant_id", "store_id", "chain", "seq")], unique=True
            )


async def test_attack_42_rows_that_were_cut_off_are_named_where_the_head_stands(
    trail: Park,
) -> None:
    with trail.tampered():
        trail.truncate(TILL, 4, head=False)
        assert await trail.broken() == [("truncated", f"{TILL}:5")]


@pytest.mark.parametrize(
    "changes",
    [
        {"seq": ROWS + 1},
        {"seq": ROWS - 1},
        {"seq": 0},
        {"seq": "6"},
        {"hash": "f" * 64},
        {"seq": 99, "hash": None},
        {"updated_at": None},
        {"created_at": None},
        {"added": 1},
    ],
    ids=repr,
)
async def test_R45_a_head_that_was_changed_is_named(trail: Park, changes: dict[str, Any]) -> None:
    with trail.tampered():
        trail.set("audit_heads", GATE, **changes)
        (kind, document_id), *more = await trail.broken()
        if changes == {"seq": 99, "hash": None}:  # as if rows had been cut off
            assert (kind, document_id, more) == ("truncated", f"{GATE}:{ROWS + 1}", [])
        else:
            assert (kind, document_id, more) == ("head_changed", GATE, [])


async def test_R45_a_head_that_was_moved_back_is_named(trail: Park) -> None:
    with trail.tampered():
        row = trail.row(GATE, 4)
        trail.set("audit_heads", GATE, seq=4, hash=row["hash"])
        assert await trail.broken() == [("head_changed", GATE)]


@pytest.mark.parametrize("changes", [{"tenant_id": "X"}, {"store_id": "X"}, None], ids=repr)
async def test_R45_rows_without_a_head_are_told(
    trail: Park, changes: dict[str, Any] | None
) -> None:
    with trail.tampered():
        if changes is None:
            trail.db.audit_heads.delete_one({"_id": GATE})
        else:
            trail.set("audit_heads", GATE, **changes)
        found = await trail.broken()
        assert ("head_changed", GATE) in found
        assert len(found) == 1


async def test_R45_each_broken_chain_names_its_own_first_row(trail: Park) -> None:
    with trail.tampered():
        trail.db.audits.delete_one({"chain": TILL, "seq": 5})
        trail.set("audits", f"{TILL}:2", entity_id="other")
        trail.set("audits", f"{SERVER}:3", actor_id="somebody")
        trail.db.audits.delete_one({"chain": GATE, "seq": 6})
        assert await trail.broken() == [
            ("truncated", f"{GATE}:6"),
            ("edited", f"{TILL}:2"),
            ("edited", f"{SERVER}:3"),
        ]
        assert [each.seq for each in (await trail.verify("S2")).breaks] == [3]


async def test_R45_verifying_changes_nothing(trail: Park) -> None:
    before = {name: list(trail.db[name].find()) for name in trail.db.list_collection_names()}
    await trail.verify()
    after = {name: list(trail.db[name].find()) for name in trail.db.list_collection_names()}
    assert after == before


# --- all of a chain ---------------------------------------------------------------------


@pytest.mark.parametrize("keep", [2, 0])
async def test_R45_a_chain_that_a_z_report_vouches_for_cannot_vanish(
    mongo_uri: str, database: str, keep: int
) -> None:
    async with park(mongo_uri, f"{database}_vanished") as fresh:
        await fresh.write(TILL, ROWS)
        told = {"seq": ROWS, "hash": fresh.row(TILL, ROWS)["hash"]}
        report = {"number": "1", "prev_hash": FIRST_HASH, "audit": told}
        sealed = {**report, "hash": chain_hash(FIRST_HASH, report)}
        tenant_id, store_id, device_id = TILL.split(":")
        here = {"tenant_id": tenant_id, "store_id": store_id, "device_id": device_id}
        fresh.db.z_reports.insert_one({"_id": "z", **here, "chain_seq": 1, "report": sealed})
        assert (await fresh.verify()).whole
        if keep:
            fresh.truncate(TILL, keep, head=True)
        else:
            fresh.db.audits.delete_many({"chain": TILL})
            fresh.db.audit_heads.delete_many({"_id": TILL})
        assert [found.kind for found in (await fresh.verify()).breaks] == ["truncated"]
        assert tenant_id in await tenants(fresh.uow.reading())
