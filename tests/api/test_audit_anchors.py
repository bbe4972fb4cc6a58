"""R45: daily anchors of a tenant: what they say, who makes them when, and what they give away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.audit import nightly
from api.audit.anchoring import AFTER_THE_DAY
from api.audit.links import anchor_hash
from api.platform.background import LeaseRepository
from api.platform.mongo import Mongo
from api.platform.settings import Settings
from playpark.cash import FIRST_HASH
from tests.api.trails import BEGIN, GATE, SERVER, TENANT, TILL, Doc, Park, park, resealed

OVER = datetime(2026, 11, 21, 21, 0, tzinfo=UTC) + AFTER_THE_DAY
"""Twenty past four in the morning in Bangkok."""


@pytest.fixture
async def fresh(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    async with park(mongo_uri, f"{database}_anchors") as made:
        yield made


@pytest.fixture(scope="module")
async def trail(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    """Three anchored days, and rows of a fourth."""
    async with park(mongo_uri, f"{database}_anchored") as made:
        await made.days(3)
        for chain in (TILL, GATE, SERVER):
            await made.write(chain, 2)
        yield made


def anchor(made: Park, number: int) -> Doc:
    found: Doc | None = made.db.audit_anchors.find_one({"number": number})
    assert found is not None
    return found


def sealed(made: Doc, **changes: Any) -> Doc:
    row = {**made, **changes}
    return {**row, "hash": anchor_hash(row["prev_hash"], row)}


# --- making them --------------------------------------------------------------------------


async def test_R45_a_day_is_anchored_when_it_is_over_in_the_tenants_time(fresh: Park) -> None:
    await fresh.write(TILL, 3)
    await fresh.write(SERVER, 1)
    fresh.clock.advance(OVER - fresh.clock.now() - timedelta(milliseconds=1))
    assert await fresh.job() == 0
    fresh.clock.advance(timedelta(milliseconds=1))
    assert await fresh.job() == 1
    assert await fresh.job() == 0
    made = anchor(fresh, 1)
    assert (made["day"], made["ends_at"]) == ("2026-11-21", OVER - AFTER_THE_DAY)
    assert (made["prev_hash"], made["removes"], made["_id"]) == (FIRST_HASH, 0, "T:00000001")
    till, server = fresh.row(TILL, 3), fresh.row(SERVER, 1)
    assert made["heads"] == [
        {"chain": TILL, "seq": 3, "hash": till["hash"]},
        {"chain": SERVER, "seq": 1, "hash": server["hash"]},
    ]


async def test_R45_a_tenant_whose_night_is_elsewhere_has_its_own_days(fresh: Park) -> None:
    fresh.db.tenants.insert_one({"_id": TENANT, "tenant_id": TENANT, "tz": "America/New_York"})
    await fresh.write(TILL)  # 21 November 3:00 UTC: ten in the evening of the 20th there
    fresh.clock.advance(timedelta(hours=6))
    assert await fresh.job() == 0
    fresh.clock.advance(timedelta(minutes=20))
    assert await fresh.job() == 1
    assert anchor(fresh, 1)["day"] == "2026-11-20"


async def test_R45_without_rows_there_is_nothing_to_anchor(fresh: Park) -> None:
    assert await fresh.night(5) == 0
    assert list(fresh.db.audit_anchors.find()) == []


async def test_R45_quiet_days_are_anchored_too_and_all_days_follow_each_other(
    fresh: Park,
) -> None:
    await fresh.write(TILL)
    assert await fresh.night(4) == 4
    rows = list(fresh.db.audit_anchors.find().sort("number", 1))
    assert [row["day"][-2:] for row in rows] == ["21", "22", "23", "24"]
    assert [row["prev_hash"] for row in rows[1:]] == [row["hash"] for row in rows[:-1]]
    assert len({str(row["heads"]) for row in rows}) == 1
    assert (await fresh.verify()).anchors == 4


async def test_R45_days_that_are_caught_up_have_the_anchors_that_they_would_have_had(
    fresh: Park,
) -> None:
    for _ in range(3):
        await fresh.write(TILL, 2)
        await fresh.write(GATE, 1)
        fresh.clock.advance(timedelta(days=1))
    assert await fresh.job() == 3
    heads = [anchor(fresh, number)["heads"] for number in (1, 2, 3)]
    assert [[head["seq"] for head in each] for each in heads] == [[1, 2], [2, 4], [3, 6]]
    assert heads[1][1] == {"chain": TILL, "seq": 4, "hash": fresh.row(TILL, 4)["hash"]}
    assert (await fresh.verify()).whole


@asynccontextmanager
async def another_process(made: Park, mongo_uri: str) -> AsyncIterator[Park]:
    mongo = Mongo(mongo_uri, made.db.name)
    yield replace(made, mongo=mongo)
    mongo.close()


async def test_R45_of_three_processes_one_anchors_each_day(fresh: Park, mongo_uri: str) -> None:
    await fresh.write(TILL, 2)
    fresh.clock.advance(timedelta(days=20))
    async with (
        another_process(fresh, mongo_uri) as second,
        another_process(fresh, mongo_uri) as third,
    ):
        done = await asyncio.gather(fresh.job("one"), second.job("two"), third.job("three"))
    assert sum(done) == 20
    assert fresh.db.audit_anchors.count_documents({}) == 20
    assert (await fresh.verify()).whole


async def test_R45_without_a_lease_two_processes_still_make_one_chain(
    fresh: Park, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def yes(*_: Any) -> bool:
        return True

    monkeypatch.setattr(LeaseRepository, "take", yes)
    await fresh.write(TILL, 2)
    fresh.clock.advance(timedelta(days=10))
    await asyncio.gather(fresh.job("one"), fresh.job("two"), fresh.job("three"))
    assert fresh.db.audit_anchors.count_documents({}) == 10
    assert (await fresh.verify()).whole


async def test_R45_a_process_that_died_is_waited_for_and_then_replaced(fresh: Park) -> None:
    await fresh.write(TILL)
    fresh.clock.advance(timedelta(days=1))
    lease = LeaseRepository(fresh.uow.reading(), TENANT, None)
    assert await lease.take(nightly.JOB, "dead", nightly.LEASE)
    assert await fresh.job("alive") == 0
    fresh.clock.advance(nightly.LEASE)
    assert await fresh.job("alive") == 1


async def test_R45_a_tenant_that_cannot_be_done_does_not_keep_the_others_waiting(
    fresh: Park,
) -> None:
    await fresh.write("A:S:till")
    await fresh.write(TILL)
    await fresh.night()
    fresh.db.audit_anchor_heads.update_one({"_id": "A"}, {"$set": {"hash": "0" * 64}})
    assert await fresh.night() == 1
    assert fresh.db.audit_anchors.count_documents({"tenant_id": "A"}) == 1


async def test_R45_the_job_runs_in_the_background(fresh: Park) -> None:
    class Platform:
        uow, settings = fresh.uow, Settings()

    await fresh.write(TILL)
    fresh.clock.advance(timedelta(days=2))
    soon, never = timedelta(0), timedelta(days=1)
    async with nightly.running(Platform(), first=soon, every=never):  # type: ignore[arg-type]
        async with asyncio.timeout(20):
            while fresh.db.audit_anchors.count_documents({}) < 2:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
    assert [task for task in asyncio.all_tasks() if task.get_name() == nightly.JOB] == []


async def test_R45_a_day_is_summed_up_by_who_did_what(fresh: Park) -> None:
    await fresh.write(TILL, 3)
    await fresh.write(GATE, 2)
    await fresh.write(GATE, 1, event="shift.opened")
    await fresh.write(SERVER, 1)
    await fresh.night()
    await fresh.write(TILL, 1)
    await fresh.night()

    def told() -> list[tuple[str, str, str, str, int]]:
        names = ("store_id", "day", "event_type", "actor_id", "count")
        return sorted(tuple(row[name] for name in names) for row in fresh.db.audit_summaries.find())

    once = told()
    assert once == [
        ("S1", "2026-11-21", "sale.created", "nok", 5),
        ("S1", "2026-11-21", "shift.opened", "nok", 1),
        ("S1", "2026-11-22", "sale.created", "nok", 1),
        ("S2", "2026-11-21", "sale.created", "nok", 1),
    ]
    # Killed between the sums and the anchor, the next one counts nothing twice.
    for name in ("audit_anchors", "audit_anchor_heads"):
        fresh.db[name].delete_many({})
    assert await fresh.job("after the kill") == 2
    assert told() == once


# --- what they give away --------------------------------------------------------------------


@pytest.mark.parametrize("beyond", [0, 1, 5])
@pytest.mark.parametrize("chain", [TILL, SERVER])
async def test_R45_rows_cut_off_with_the_head_moved_back_are_known_to_an_anchor(
    trail: Park, chain: str, beyond: int
) -> None:
    with trail.tampered():
        if beyond:
            trail.truncate(chain, beyond, head=True)
        else:  # the whole chain, head and all
            trail.db.audits.delete_many({"chain": chain})
            trail.db.audit_heads.delete_one({"_id": chain})
        (found,) = (await trail.verify()).breaks
        assert (found.kind.value, found.document_id) == ("truncated", f"{chain}:{beyond + 1}")
        assert "The anchor of 2026-11-23 knows number 6" in found.why


async def test_R45_a_chain_that_was_written_anew_is_known_to_an_anchor(trail: Park) -> None:
    with trail.tampered():
        prev = trail.row(TILL, 2)["hash"]
        for seq in range(3, 9):
            row = resealed(trail.row(TILL, seq), prev, actor_id="somebody else")
            trail.put(row, instead_of=row)
            prev = row["hash"]
        trail.move_head(TILL, 8)
        (found,) = (await trail.verify()).breaks
        assert (found.kind.value, found.document_id) == ("edited", f"{TILL}:4")
        assert found.why.startswith("The anchor of 2026-11-22 has another hash")


async def test_R45_what_no_anchor_has_seen_yet_is_known_to_nobody_but_a_z_report(
    trail: Park,
) -> None:
    """The limit of it, and why the head stands on Z: rows of today, cut off with their head."""
    with trail.tampered():
        row = trail.row(TILL, 8)
        trail.truncate(TILL, 6, head=True)
        assert (await trail.verify()).whole
        report = {"number": "12", "prev_hash": FIRST_HASH, "audit": {"seq": 8, "hash": row["hash"]}}
        z = {"_id": "z", "tenant_id": TENANT, "store_id": "S1", "device_id": "till"}
        z |= {"chain_seq": 1, "report": {**report, "hash": z_hash(report)}}
        trail.db.z_reports.insert_one(z)
        (found,) = (await trail.verify()).breaks
        assert (found.kind.value, found.document_id) == ("truncated", f"{TILL}:7")
        assert "Z report 12 knows number 8" in found.why
        forged = {**z["report"], "audit": {"seq": 9, "hash": "0" * 64}}
        trail.db.z_reports.update_one({"_id": "z"}, {"$set": {"report": forged}})
        assert (await trail.verify()).whole  # a Z report that is not sealed proves nothing
        trail.db.z_reports.drop()


def z_hash(report: Doc) -> str:
    from playpark.cash import chain_hash

    return chain_hash(report["prev_hash"], report)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize(
    "changes",
    [
        {"day": "2026-11-01"},
        {"ends_at": BEGIN},
        {"made_at": BEGIN},
        {"removes": 1},
        {"heads": []},
        {"heads": "none"},
        {"prev_hash": "f" * 64},
        {"hash": "f" * 64},
        {"hash": {"$gt": ""}},
        {"created_at": BEGIN},
        {"updated_at": BEGIN},
        {"added": 1},
        {"day": None},
    ],
    ids=repr,
)
async def test_R45_an_edited_anchor_is_named_and_accuses_no_row(
    trail: Park, number: int, changes: Doc
) -> None:
    with trail.tampered():
        made = anchor(trail, number)
        trail.set("audit_anchors", made["_id"], **changes)
        assert await trail.broken() == [("anchor_changed", made["_id"])]


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_R45_an_edited_anchor_with_a_fitting_hash_is_named(trail: Park, number: int) -> None:
    with trail.tampered():
        made = anchor(trail, number)
        heads = [{**head, "hash": "e" * 64} for head in made["heads"]]
        trail.set("audit_anchors", made["_id"], **sealed(made, heads=heads))
        assert await trail.broken() == [("anchor_changed", made["_id"])]


async def test_R45_an_anchor_that_goes_back_is_named(trail: Park) -> None:
    with trail.tampered():
        made = anchor(trail, 3)
        heads = anchor(trail, 1)["heads"]
        forged = sealed(made, heads=heads)
        trail.set("audit_anchors", made["_id"], **forged)
        trail.set("audit_anchor_heads", TENANT, hash=forged["hash"])
        assert await trail.broken() == [("anchor_changed", made["_id"])]


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_R45_a_deleted_anchor_is_named(trail: Park, number: int) -> None:
    with trail.tampered():
        trail.db.audit_anchors.delete_one({"number": number})
        assert await trail.broken() == [("anchor_changed", f"T:{number:08d}")]


async def test_R45_all_anchors_gone_are_missed(trail: Park) -> None:
    with trail.tampered():
        trail.db.audit_anchors.delete_many({})
        assert await trail.broken() == [("anchor_changed", "T:00000001")]
    with trail.tampered():
        trail.db.audit_anchor_heads.delete_many({})
        assert await trail.broken() == [("anchor_changed", TENANT)]


@pytest.mark.parametrize("changes", [{"number": 2}, {"number": 5}, {"hash": "0" * 64}], ids=repr)
async def test_R45_a_changed_head_of_the_anchors_is_told(trail: Park, changes: Doc) -> None:
    with trail.tampered():
        trail.set("audit_anchor_heads", TENANT, **changes)
        ((kind, _),) = await trail.broken()
        assert kind == "anchor_changed"


async def test_R45_an_inserted_anchor_is_named_and_accuses_no_row(trail: Park) -> None:
    last = anchor(trail, 3)
    heads = [{**head, "seq": head["seq"] + 50} for head in last["heads"]]
    made = {**last, "_id": "T:00000004", "number": 4, "day": "2026-11-24", "heads": heads}
    with trail.tampered():
        trail.db.audit_anchors.insert_one(sealed({**made, "prev_hash": last["hash"]}))
        assert await trail.broken() == [("anchor_changed", "T:00000004")]
    with trail.tampered():
        trail.db.audit_anchors.drop_index("tenant_id_1_number_1")
        trail.db.audit_anchors.insert_one({**anchor(trail, 2), "_id": "T:00000002x"})
        assert await trail.broken() == [("anchor_changed", "T:00000002x")]


@pytest.mark.parametrize(
    "changes",
    [
        {"heads": [{"chain": "x", "seq": 1, "hash": ""}]},
        {"heads": [{"chain": "U:S1:till", "seq": 1, "hash": ""}]},
        {"heads": [{"chain": 7, "seq": 1, "hash": ""}]},
        {"heads": "none"},
        {"heads": None},
        {"ends_at": "never"},
        {"removes": "all"},
        {"removes": 3},
        {"day": "2026-11-24"},
        {"day": 23},
    ],
    ids=repr,
)
async def test_R45_a_sealed_anchor_that_no_job_would_write_is_named(
    trail: Park, changes: Doc
) -> None:
    with trail.tampered():
        forged = sealed(anchor(trail, 3), **changes)
        trail.set("audit_anchors", forged["_id"], **forged)
        trail.set("audit_anchor_heads", TENANT, hash=forged["hash"])
        assert await trail.broken() == [("anchor_changed", forged["_id"])]


async def test_R45_the_loss_of_yesterday_is_not_sealed_tonight(trail: Park) -> None:
    with trail.tampered():
        now = trail.clock.now()
        trail.truncate(TILL, 3, head=True)
        trail.db.audits.delete_many({"chain": GATE})
        trail.db.audit_heads.delete_one({"_id": GATE})
        assert await trail.night() == 1
        broken = [("truncated", f"{GATE}:1"), ("truncated", f"{TILL}:4")]
        assert await trail.broken() == broken
        await trail.write(TILL, 9)
        assert (f"{TILL}:4") in {document_id for _, document_id in await trail.broken()}
        trail.clock.advance(now - trail.clock.now())


async def test_R45_a_tampered_anchor_is_not_built_upon(trail: Park) -> None:
    with trail.tampered():
        trail.set("audit_anchors", "T:00000003", removes=2)
        now = trail.clock.now()
        assert await trail.night() == 0
        assert trail.db.audits.count_documents({}) == 24
        assert trail.db.audit_anchors.count_documents({}) == 3
        trail.clock.advance(now - trail.clock.now())
