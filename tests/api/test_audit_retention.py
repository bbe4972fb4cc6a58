"""R45: raw rows go after their time and leave a checkpoint; the chain stays verifiable, and every
tampering is still named. Raw rows live three days here, summaries six."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.audit import keeping
from api.audit.repository import CheckpointRepository
from api.platform.settings import Settings
from tests.api.trails import BEGIN, GATE, SERVER, TENANT, TILL, Doc, Park, park, resealed

DAYS = {"audit_raw_days": 3, "audit_summary_days": 6}


@pytest.fixture
async def fresh(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    async with park(mongo_uri, f"{database}_retention", **DAYS) as made:
        yield made


@pytest.fixture(scope="module")
async def trail(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    """Five days of two rows a chain; the gate fell silent after the second, so that nothing of it
    is left but head and checkpoint. Rows 1 to 4 are gone, 5 to 11 are there."""
    async with park(mongo_uri, f"{database}_retained", **DAYS) as made:
        await made.days(2)
        for _ in range(3):
            await made.write(TILL, 2)
            await made.write(SERVER, 2)
            await made.night()
        await made.write(TILL)
        await made.write(SERVER)
        yield made


def checkpoint(made: Park, chain: str) -> Doc:
    found: Doc | None = made.db.audit_checkpoints.find_one({"_id": chain})
    assert found is not None
    return found


def numbers(made: Park, chain: str) -> list[int]:
    return [row["seq"] for row in made.db.audits.find({"chain": chain}).sort("seq", 1)]


# --- what goes, and when --------------------------------------------------------------------


async def test_R45_ninety_days_and_a_year_are_the_rule() -> None:
    assert (Settings().audit_raw_days, Settings().audit_summary_days) == (90, 365)


async def test_R45_a_days_rows_go_when_so_many_days_behind_it_are_anchored(fresh: Park) -> None:
    await fresh.days(3)
    assert numbers(fresh, TILL) == [1, 2, 3, 4, 5, 6]
    assert fresh.db.audit_checkpoints.count_documents({}) == 0
    second = fresh.row(TILL, 2)
    await fresh.days(1)
    assert numbers(fresh, TILL) == [3, 4, 5, 6, 7, 8]
    told = checkpoint(fresh, TILL)
    assert (told["seq"], told["hash"], told["count"]) == (2, second["hash"], 2)
    assert told["until"] == datetime(2026, 11, 21, 21, 0, tzinfo=UTC)
    found = await fresh.verify()
    assert (found.whole, found.rows, found.removed) == (True, 18, 6)


async def test_R45_no_row_goes_before_its_time(fresh: Park) -> None:
    await fresh.days(8)
    left = fresh.db.audits.find_one(sort=[("ts", 1)])
    assert left is not None
    assert fresh.clock.now() - left["ts"] >= timedelta(days=3)
    assert numbers(fresh, TILL)[0] == left["seq"] == 11


async def test_R45_a_trail_stays_whole_for_weeks(fresh: Park) -> None:
    for _ in range(15):
        await fresh.days(1, rows=1)
        found = await fresh.verify()
        assert found.whole, found.breaks
    assert (found.rows, found.removed, found.anchors) == (9, 36, 15)


async def test_R45_an_outage_of_weeks_is_made_up_in_one_night(fresh: Park) -> None:
    await fresh.days(2)
    for _ in range(20):
        await fresh.write(TILL)
        fresh.clock.advance(timedelta(days=1))
    assert await fresh.job() == 20
    assert numbers(fresh, TILL) == [22, 23, 24]
    assert numbers(fresh, GATE) == []
    assert (await fresh.verify()).whole


async def test_R45_a_silent_device_leaves_head_and_checkpoint(trail: Park) -> None:
    assert numbers(trail, GATE) == []
    assert checkpoint(trail, GATE)["seq"] == 4
    found = await trail.verify()
    assert (found.whole, found.rows, found.removed) == (True, 14, 12)
    await_rows = numbers(trail, TILL)
    assert await_rows == [5, 6, 7, 8, 9, 10, 11]


async def test_R45_a_device_that_wakes_up_goes_on_behind_its_checkpoint(trail: Park) -> None:
    with trail.tampered():
        await trail.write(GATE, 2)
        assert numbers(trail, GATE) == [5, 6]
        assert (await trail.verify()).whole


@pytest.mark.parametrize("changed", [1, 2, 10, 400])
async def test_R45_another_figure_accuses_nobody(fresh: Park, changed: int) -> None:
    await fresh.days(5)
    fresh.settings = Settings(audit_raw_days=changed, audit_summary_days=6)
    for _ in range(4):
        assert (await fresh.verify()).whole
        await fresh.days(1)
    assert (await fresh.verify()).whole
    kept = {1: 2, 2: 4, 10: 14, 400: 14}
    assert len(numbers(fresh, TILL)) == kept[changed]


async def test_R45_summaries_are_kept_longer_than_rows_and_then_go(fresh: Park) -> None:
    await fresh.days(6)
    assert len(fresh.db.audit_summaries.distinct("day")) == 6
    assert sum(row["count"] for row in fresh.db.audit_summaries.find()) == 36
    await fresh.days(3)
    days = sorted(fresh.db.audit_summaries.distinct("day"))
    assert (days[0], days[-1], len(days)) == ("2026-11-24", "2026-11-29", 6)


# --- killed at work -------------------------------------------------------------------------


async def test_R45_killed_between_two_pieces_the_next_one_goes_on(
    fresh: Park, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fresh.days(3, rows=5)
    keep = fresh.settings
    fresh.settings = Settings(audit_raw_days=100)
    await fresh.days(3, rows=5)
    fresh.settings = keep
    monkeypatch.setattr(keeping, "PIECE", 2)
    fresh.clock.advance(timedelta(days=1))
    left = []
    for budget in range(1, 60):
        asked = 0

        async def going(budget: int = budget) -> bool:
            nonlocal asked
            asked += 1
            return asked <= budget

        from api.audit import anchoring

        await anchoring.anchor_due(fresh.uow, TENANT, 3, going)
        await keeping.remove_due(fresh.uow, TENANT, going)
        found = await fresh.verify()
        assert found.whole, (budget, found.breaks)
        assert found.rows + found.removed == 90
        left.append(found.rows)
        if found.rows == 30:
            break
    assert left[0] == 90
    assert left[-1] == 30
    assert len(set(left)) > 5


async def test_R45_killed_between_deleting_and_the_checkpoint_nothing_is_gone(
    fresh: Park, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fresh.days(3)

    async def killed(*_: Any) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(CheckpointRepository, "move", killed)
        await fresh.days(1)
    assert numbers(fresh, TILL) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (await fresh.verify()).whole
    assert await fresh.job() == 0
    assert numbers(fresh, TILL) == [3, 4, 5, 6, 7, 8]
    assert (await fresh.verify()).whole


async def test_R45_a_broken_chain_is_kept_as_evidence_and_the_others_go(fresh: Park) -> None:
    await fresh.days(3)
    fresh.set("audits", f"{TILL}:2", actor_id="somebody")
    await fresh.days(3)
    assert numbers(fresh, TILL)[0] == 1
    assert numbers(fresh, SERVER)[0] == 7
    assert await fresh.broken() == [("edited", f"{TILL}:2")]
    fresh.set("audits", f"{TILL}:2", actor_id="nok")
    await fresh.night()
    assert numbers(fresh, TILL)[0] == 9
    assert (await fresh.verify()).whole


async def test_R45_a_chain_that_does_not_lead_to_its_anchor_is_kept(fresh: Park) -> None:
    await fresh.days(3)
    prev = None
    for seq in range(1, 7):
        row = resealed(fresh.row(TILL, seq), prev, actor_id="somebody")
        fresh.put(row, instead_of=row)
        prev = row["hash"]
    fresh.move_head(TILL, 6)
    await fresh.days(1)
    assert numbers(fresh, TILL)[0] == 1


# --- tampering afterwards -------------------------------------------------------------------


async def test_R45_whatever_is_left_is_still_watched(trail: Park) -> None:
    for chain in (TILL, SERVER):
        for seq in (5, 8, 11):
            with trail.tampered():
                trail.set("audits", f"{chain}:{seq}", payload={})
                assert await trail.broken() == [("edited", f"{chain}:{seq}")]
            with trail.tampered():
                trail.db.audits.delete_one({"chain": chain, "seq": seq})
                kind = "truncated" if seq == 11 else "missing"
                assert await trail.broken() == [(kind, f"{chain}:{seq}")]
        with trail.tampered():
            trail.truncate(chain, 7, head=True)
            assert await trail.broken() == [("truncated", f"{chain}:8")]
        with trail.tampered():
            trail.db.audits.delete_many({"chain": chain})
            assert await trail.broken() == [("truncated", f"{chain}:5")]
        with trail.tampered():
            trail.set("audit_heads", chain, hash="0" * 64)
            assert await trail.broken() == [("head_changed", chain)]


@pytest.mark.parametrize("chain", [TILL, GATE])
@pytest.mark.parametrize(
    "changes",
    [
        {"seq": 3},
        {"seq": 5},
        {"seq": 6},
        {"seq": 0},
        {"seq": -4},
        {"seq": "4"},
        {"seq": None},
        {"count": 5},
        {"count": 3},
        {"hash": "0" * 64},
        {"hash": None},
        {"until": BEGIN},
        {"until": None},
        {"seq": 3, "count": 3},
        {"seq": 3, "count": 3, "until": BEGIN},
        {"seq": 5, "count": 5},
        {"added": 1},
        {"store_id": "X"},
        {"tenant_id": "X"},
    ],
    ids=repr,
)
async def test_R45_a_forged_checkpoint_is_named(trail: Park, chain: str, changes: Doc) -> None:
    with trail.tampered():
        trail.set("audit_checkpoints", chain, **changes)
        assert await trail.broken() == [("checkpoint_changed", chain)]


@pytest.mark.parametrize("chain", [TILL, GATE, SERVER])
async def test_R45_a_checkpoint_that_is_gone_is_missed(trail: Park, chain: str) -> None:
    with trail.tampered():
        trail.db.audit_checkpoints.delete_one({"_id": chain})
        assert await trail.broken() == [("checkpoint_changed", chain)]


@pytest.mark.parametrize("seq", [5, 6, 8, 10])
async def test_R45_rows_that_no_anchor_let_go_cannot_be_hidden_behind_a_checkpoint(
    trail: Park, seq: int
) -> None:
    """The attack that a checkpoint invites: rows deleted too early, and a fitting checkpoint."""
    with trail.tampered():
        row = trail.row(TILL, seq)
        trail.db.audits.delete_many({"chain": TILL, "seq": {"$lte": seq}})
        covers = trail.db.audit_anchors.find_one(
            {"heads": {"$elemMatch": {"chain": TILL, "seq": {"$gte": seq}}}}, sort=[("number", 1)]
        )
        told = {"seq": seq, "count": seq, "hash": row["hash"], "until": covers["ends_at"]}
        trail.set("audit_checkpoints", TILL, **told)
        assert await trail.broken() == [("checkpoint_changed", TILL)]


async def test_R45_a_checkpoint_for_a_chain_that_has_all_its_rows_is_named(fresh: Park) -> None:
    await fresh.days(2)
    row = fresh.row(TILL, 2)
    made = {"_id": TILL, "tenant_id": TENANT, "store_id": "S1", "seq": 2, "count": 2}
    times = dict.fromkeys(("created_at", "updated_at", "until"), BEGIN)
    with fresh.tampered():
        fresh.db.audit_checkpoints.insert_one({**made, **times, "hash": row["hash"]})
        assert await fresh.broken() == [("checkpoint_changed", TILL)]


@pytest.mark.parametrize("seq", [1, 4])
async def test_R45_a_row_that_comes_back_is_named(trail: Park, seq: int) -> None:
    with trail.tampered():
        row = trail.row(TILL, 5)
        trail.put(resealed(row, _id=f"{TILL}:{seq}", seq=seq))
        assert await trail.broken() == [("inserted", f"{TILL}:{seq}")]


async def test_R45_a_checkpoint_without_any_anchor_is_not_believed(trail: Park) -> None:
    with trail.tampered():
        trail.db.audit_anchors.delete_many({})
        trail.db.audit_anchor_heads.delete_many({})
        found = await trail.broken()
        assert ("checkpoint_changed", TILL) in found
        assert ("checkpoint_changed", GATE) in found


async def test_R45_a_damaged_anchor_accuses_no_checkpoint(trail: Park) -> None:
    for number in range(1, 6):
        with trail.tampered():
            trail.db.audit_anchors.delete_one({"number": number})
            assert await trail.broken() == [("anchor_changed", f"T:{number:08d}")]
