"""R45, 001 §6: the trail over HTTP: filters, pages, CSV, anchors, verification; own store only."""

import csv
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from api.audit import nightly
from api.audit import service as audit
from api.platform.scope import Scope, server_scope
from api.platform.uow import Work
from playpark.ids import new_ulid
from tests.api.inside import Inside, inside
from tests.outside import Outsider

OWNER = {"email": "owner@demo.playpark", "pin": "8888"}
EVIL = '=HYPERLINK("http://evil")'


@dataclass
class Office:
    park: Inside
    owner: Outsider
    till: Outsider

    @property
    def audits(self) -> Any:
        return self.park.platform.mongo.db["audits"]

    async def rows(self, **query: Any) -> list[dict[str, Any]]:
        page = await self.owner.data("GET", "/v1/audits", **query)
        found: list[dict[str, Any]] = page["items"]
        return found

    async def csv(self, **query: Any) -> list[dict[str, str]]:
        response = await self.owner.call("GET", "/v1/audits", format="csv", **query)
        assert response.headers["content-type"].startswith("text/csv")
        return list(csv.DictReader(io.StringIO(response.text, newline="")))


@pytest.fixture(scope="module")
async def office(mongo_uri: str, database: str) -> AsyncIterator[Office]:
    """An afternoon on one till, and its owner in the back office."""
    async with inside(mongo_uri, f"{database}_audits") as park:
        till = await (await park.device("POS")).staff()
        await till.open_shift()
        for _ in range(3):
            park.clock.advance(timedelta(seconds=1))
            await till.sell(("Carousel ride", 1))
        owner = await (await park.device("ADMIN")).staff(**OWNER)
        park.clock.advance(timedelta(seconds=1))
        guest = {"name": EVIL, "phone": "0812345678"}
        await till.data("POST", "/v1/customers", guest)
        await another_store(park, await park.scope(till))
        yield Office(park, owner, till)


async def another_store(park: Inside, scope: Scope) -> None:
    """A row in a store of the same park, which is none of ours."""
    there = server_scope(scope.tenant_id, "ELSEWHERE", scope.tz)

    async def effect(work: Work) -> None:
        await audit.append(work, there, "store.opened", "ELSEWHERE", {})

    await park.platform.uow.run(effect)


async def test_R45_the_newest_row_comes_first_with_all_that_its_hash_covers(
    office: Office,
) -> None:
    rows = await office.rows()
    newest = rows[0]
    stored = await office.audits.find_one({"_id": newest["audit_id"]})
    assert newest["event_type"] == "customer.created"
    told = {name: newest[name] for name in ("seq", "chain", "hash", "prev_hash", "payload", "ip")}
    assert told == {name: stored[name] for name in told}
    assert newest["ip"] == "127.0.0.1"
    assert len(newest["fingerprint"]) == 16
    assert [row["ts"] for row in rows] == sorted((row["ts"] for row in rows), reverse=True)


async def test_R45_pages_go_through_all_rows_once(office: Office) -> None:
    everything = [row["audit_id"] for row in await office.rows(limit=200)]
    for limit in (1, 3, 7):
        found, cursor = [], None
        while True:
            more = {"cursor": cursor} if cursor else {}
            page = await office.owner.data("GET", "/v1/audits", limit=limit, **more)
            found += [row["audit_id"] for row in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert found == everything


async def test_R45_rows_are_filtered_by_what_who_where_about_what_and_when(
    office: Office,
) -> None:
    rows = await office.rows(limit=200)
    device, cashier = office.till.device["device_id"], None
    for name in ("event_type", "actor_id", "device_id", "entity_id"):
        for value in {row[name] for row in rows if row[name]}:
            found = await office.rows(**{name: value}, limit=200)
            assert [row for row in rows if row[name] == value] == found
    sold = await office.rows(event_type="sale")
    assert {row["event_type"] for row in sold} == {"sale.created"}
    assert len(sold) == 3
    cashier = sold[0]["actor_id"]
    both = await office.rows(event_type="sale", actor_id=cashier, device_id=device)
    assert both == sold
    assert await office.rows(event_type="sal") == []
    assert await office.rows(event_type="sale.created.more") == []
    today = (await office.owner.data("GET", "/v1/sales"))["items"][0]["business_date"]
    assert await office.rows(**{"from": today, "to": today, "limit": 200}) == rows
    assert await office.rows(to="2026-01-01") == []
    assert await office.rows(**{"from": "2199-12-31"}) == []


async def test_R45_pages_keep_their_filters(office: Office) -> None:
    first = await office.owner.data("GET", "/v1/audits", event_type="sale", limit=2)
    rest = await office.owner.data(
        "GET", "/v1/audits", event_type="sale", limit=2, cursor=first["next_cursor"]
    )
    assert [len(first["items"]), len(rest["items"]), rest["next_cursor"]] == [2, 1, None]


@pytest.mark.parametrize(
    "query",
    [
        {"event_type": "sale."},
        {"event_type": "(a+)+$"},
        {"event_type": "sale.*"},
        {"event_type": ""},
        {"event_type": "a" * 61},
        {"event_type[$ne]": "x", "event_type": "$ne"},
        {"actor_id": '{"$ne": ""}'},
        {"device_id": "a.b"},
        {"entity_id": "x" * 201},
        {"entity_id": "a b"},
        {"from": "yesterday"},
        {"to": "9999-12-31"},
        {"limit": 201},
        {"limit": 0},
        {"cursor": "!!"},
        {"cursor": "AAAA"},
        {"cursor": "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5Ljg"},
        {"cursor": "x" * 201},
    ],
    ids=repr,
)
async def test_R45_odd_queries_are_refused_in_words(office: Office, query: Any) -> None:
    response = await office.owner.call("GET", "/v1/audits", **query)
    assert response.status_code == 422
    assert response.json()["error"]["code"] == "E_VALIDATION"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, None),
        ({"event_type": {"$in": ["a", "c"]}}, "event_type"),
        ({"actor_id": "a"}, "actor_id"),
        ({"device_id": "a"}, "device_id"),
        ({"entity_id": "a"}, "entity_id"),
    ],
    ids=repr,
)
async def test_001_14_each_filter_has_its_index_in_the_order_of_time(
    office: Office, query: dict[str, Any], field: str | None
) -> None:
    own = {"tenant_id": "T", "store_id": "S"}
    names = ("event_type", "actor_id", "device_id", "entity_id")
    await office.audits.insert_many(
        {**own, "_id": f"{n:04d}", "chain": "c", "seq": n, "ts": office.park.clock.now()}
        | dict.fromkeys(names, "a" if n % 50 == 0 else "b")
        for n in range(1_000)
    )
    found = office.audits.find({**own, **query}).sort([("ts", -1), ("_id", -1)]).limit(51)
    explained = await found.explain()
    await office.audits.delete_many(own)
    plan = json.dumps(explained["queryPlanner"]["winningPlan"], default=str)
    fields = ["tenant_id", "store_id", *([field] if field else []), "ts", "_id"]
    name = "_".join(f"{each}_{-1 if each in {'ts', '_id'} else 1}" for each in fields)
    assert f'"indexName": "{name}"' in plan
    assert '"stage": "SORT"' not in plan
    assert '"stage": "COLLSCAN"' not in plan


async def test_R45_csv_has_every_row_and_no_formula(office: Office) -> None:
    rows = await office.rows(limit=200)
    told = await office.csv()
    assert [row["audit_id"] for row in told] == [row["audit_id"] for row in rows]
    assert json.loads(told[0]["payload"]) == rows[0]["payload"]
    made = {"event_type": EVIL, "entity_id": "+1", "actor_id": "@x"}
    row = await office.audits.find_one({"event_type": "sale.created"})
    await office.audits.update_one({"_id": row["_id"]}, {"$set": made})
    (evil,) = await office.csv(actor_id=row["actor_id"], entity_id="nothing") or [None]
    assert evil is None
    tampered = next(each for each in await office.csv() if each["audit_id"] == row["_id"])
    assert (tampered["event_type"], tampered["entity_id"]) == (f"'{EVIL}", "'+1")
    await office.audits.replace_one({"_id": row["_id"]}, row)


async def test_R45_csv_needs_a_fresh_pin(office: Office) -> None:
    office.park.clock.advance(timedelta(minutes=16))
    response = await office.owner.call("GET", "/v1/audits", format="csv")
    assert response.status_code == 403
    assert response.json()["error"]["details"] == {"reason": "step_up"}
    assert (await office.owner.call("GET", "/v1/audits")).status_code == 200
    office.park.clock.advance(-timedelta(minutes=16))


@pytest.mark.parametrize("path", ["/v1/audits", "/v1/audits/verify", "/v1/audits/anchors"])
async def test_R40_the_trail_needs_audit_view(office: Office, path: str) -> None:
    response = await office.till.call("GET", path)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "E_PERMISSION")


async def test_R44_another_park_sees_its_own_trail_only(office: Office) -> None:
    tenants = await office.park.platform.mongo.db["tenants"].find().to_list(None)
    other = next(each for each in tenants if each["name"] == "Other Park")
    stranger = await Outsider(office.park.http).pair("POS", "DEMO-OTHER-PARK")
    await stranger.staff(email="cashier@other.playpark", pin="1111")
    roles = office.park.platform.mongo.db["sessions"]
    field = {"$each": ["audit_view"]}
    who = (await stranger.data("GET", "/v1/employees/me"))["employee_id"]
    await roles.update_one(
        {"_id": stranger.device["device_id"]},
        {"$push": {f"employees.{who}.permissions": field}},
    )
    page = await stranger.data("GET", "/v1/audits", limit=200)
    assert page["items"]
    assert {row["chain"].split(":")[0] for row in page["items"]} == {other["_id"]}
    mine = (await office.rows(limit=1))[0]
    theirs = await stranger.data("GET", "/v1/audits", entity_id=mine["entity_id"])
    assert theirs["items"] == []
    found = await stranger.data("GET", "/v1/audits/verify")
    assert (found["tenant_id"], found["whole"]) == (other["_id"], True)


async def test_R45_verify_names_the_row_and_a_list_survives_what_was_made_of_it(
    office: Office,
) -> None:
    sound = await office.owner.data("GET", "/v1/audits/verify")
    assert (sound["whole"], sound["breaks"]) == (True, [])
    assert sound["rows"] == await office.audits.count_documents({"store_id": sound["store_id"]})
    row = await office.audits.find_one({"event_type": "sale.created"})
    odd = {"payload": "gone", "actor_id": 7, "hash": None, "seq": "x"}
    await office.audits.update_one({"_id": row["_id"]}, {"$set": odd})
    broken = await office.owner.data("GET", "/v1/audits/verify")
    (found,) = broken["breaks"]
    assert broken["whole"] is False
    told = (found["kind"], found["collection"], found["document_id"], found["chain"])
    assert told == ("edited", "audits", row["_id"], row["chain"])
    listed = {each["audit_id"]: each for each in await office.rows(limit=200)}
    assert listed[row["_id"]]["event_type"] == "unreadable"
    assert row["_id"] in {each["audit_id"] for each in await office.csv()}
    await office.audits.replace_one({"_id": row["_id"]}, row)


async def test_R45_anchors_show_the_heads_of_the_own_store(office: Office) -> None:
    platform, db = office.park.platform, office.park.platform.mongo.db
    office.park.clock.advance(timedelta(days=3))
    assert await nightly.run_due(platform.uow, platform.settings, "night") > 0
    office.park.clock.advance(-timedelta(days=3))
    page = await office.owner.data("GET", "/v1/audits/anchors", limit=2)
    numbers = [each["number"] for each in page["items"]]
    assert numbers == sorted(numbers, reverse=True)
    newest = page["items"][0]
    stored = await db["audit_anchors"].find_one({"hash": newest["hash"]})
    store = (await office.rows(limit=1))[0]["chain"].split(":")[1]
    own = [head for head in stored["heads"] if head["chain"].split(":")[1] == store]
    assert 0 < len(own) < len(stored["heads"])
    assert newest["chains"] == len(stored["heads"])
    assert [(head["device_id"], head["seq"], head["hash"]) for head in newest["heads"]] == [
        (head["chain"].split(":")[2], head["seq"], head["hash"]) for head in own
    ]
    rest = await office.owner.data("GET", "/v1/audits/anchors", cursor=page["next_cursor"])
    assert [each["number"] for each in rest["items"]] == list(range(numbers[-1] - 1, 0, -1))
    await db["audit_anchors"].update_one({"_id": stored["_id"]}, {"$set": {"heads": "none"}})
    left = await office.owner.data("GET", "/v1/audits/anchors")
    assert newest["number"] not in {each["number"] for each in left["items"]}
    broken = await office.owner.data("GET", "/v1/audits/verify")
    assert [each["kind"] for each in broken["breaks"]] == ["anchor_changed"]
    await db["audit_anchors"].replace_one({"_id": stored["_id"]}, stored)
    assert (await office.owner.data("GET", "/v1/audits/verify"))["whole"]


async def test_R45_a_z_report_holds_the_head_of_its_devices_trail(office: Office) -> None:
    till = await (await office.park.device("POS")).staff()
    await till.open_shift(cash_open=0)
    before = await office.audits.find_one(
        {"device_id": till.device["device_id"]}, sort=[("seq", -1)]
    )
    closed = await till.data("POST", "/v1/shifts/close", {"cash_counted": 0}, key=new_ulid())
    mark = closed["z"]["audit"]
    assert mark == {"seq": before["seq"], "hash": before["hash"]}
    again = await till.data("GET", f"/v1/shifts/{closed['shift_id']}/z")
    assert again["items"][0]["audit"] == mark
    rows = office.audits
    kept = await rows.find({"chain": before["chain"]}).to_list(None)
    db = office.park.platform.mongo.db
    head = await db["audit_heads"].find_one({"_id": before["chain"]})
    # All that the till did is cut off, so thoroughly that nothing but its Z knows of it.
    await rows.delete_many({"chain": before["chain"], "seq": {"$gt": 1}})
    first = await rows.find_one({"chain": before["chain"]})
    told = {"seq": 1, "hash": first["hash"], "updated_at": first["ts"]}
    await db["audit_heads"].update_one({"_id": before["chain"]}, {"$set": told})
    (found,) = (await office.owner.data("GET", "/v1/audits/verify"))["breaks"]
    assert (found["kind"], found["document_id"]) == ("truncated", f"{before['chain']}:2")
    assert f"Z report {closed['z']['number']}" in found["why"]
    await rows.delete_many({"chain": before["chain"]})
    await rows.insert_many(kept)
    await db["audit_heads"].replace_one({"_id": before["chain"]}, head)
    assert (await office.owner.data("GET", "/v1/audits/verify"))["whole"]
