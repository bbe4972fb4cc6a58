"""What belongs to others does not exist: their ids answer like ids that nobody has, no list tells
of them, and nothing of theirs changes (R44; ATTACKS 1–4).

The walks go over OpenAPI. A route with an id of a new kind fails them until its world has one.
"""

import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from playpark.ids import new_ulid
from tests.api.drawers import op, sync, tell
from tests.api.own_park import OwnPark, own_park
from tests.attacks.bodies import BODIES
from tests.attacks.described import Route, routes
from tests.attacks.worlds import OF_THE_PARK, OTHER, PRICE, World, books, collections, worlds
from tests.outside import Outsider

Worlds = tuple[World, World, World]
Ids = dict[str, str]
Books = dict[str, list[Any]]
ID = re.compile(r"(_ids?|^zones|^prices|^allowed_devices)$")
ULID = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{26}\b", re.IGNORECASE)
NOT_WALKED = {
    *("op_id", "entity_id", "ticket_ids of POST /v1/sales"),  # names of what is to come
    *("employee_id of POST /v1/sync/batch", "shift_id of POST /v1/sync/batch"),  # walked by kind
    # Kept as they are told, and judged when somebody applies them:
    *("employee_id of POST /v1/sync/bundles", "shift_id of POST /v1/sync/bundles"),
    "package_id of PATCH /v1/pricing/rules/{rule_id}",  # a bundle's, walked where one is made
}
NOT_AN_ID = {"name"}
"""`/secrets/{name}`: the same names in every park."""
KINDS = {
    "POST /v1/sales": "sale",
    "POST /v1/open_tickets": "park",
    "POST /v1/open_tickets/{open_ticket_id}/checkout": "checkout",
    "POST /v1/refunds": "refund",
    "POST /v1/reprints": "reprint",
    "POST /v1/sales/{sale_id}/void": "void",
    "POST /v1/redemptions": "redemption",
    "POST /v1/customers/{customer_id}/points": "points",
    "POST /v1/cash_drawers/{drawer_id}/movements": "cash_movement",
    "POST /v1/cash_drawers/{drawer_id}/close": "shift_close",
    "POST /v1/shifts/{shift_id}/adjustments": "shift_adjustment",
}
"""The kinds of operations that name things, by one of their routes."""
BY_ORDER = {
    *("over_refunded", "open_ticket_gone", "sale_voided", "reprint_limit"),
    "ticket_not_valid",
}
"""Flags of a second operation on the same thing, whatever else it names."""
QUERIES: dict[str, dict[str, str]] = {}
EMPTY = {
    *("operators", "provider_audits"),  # the operator's, of no park
    *("audit_anchors", "audit_anchor_heads", "audit_checkpoints", "audit_summaries"),
    *("audit_refusals", "reconciliations", "job_leases"),  # made by jobs, or by refusals
}


@pytest.fixture(scope="module")
def park(mongo_uri: str, database: str) -> Iterator[OwnPark]:
    with own_park(mongo_uri, f"{database}_isolation") as park:
        yield park


@pytest.fixture(scope="module")
async def world(park: OwnPark) -> AsyncIterator[Worlds]:
    async with worlds(park) as filled:
        yield filled


@pytest.fixture(scope="module")
def private(park: OwnPark) -> list[Route]:
    return [route for route in routes(park.url) if route.private]


def changed(before: list[Books], after: list[Books]) -> list[Any]:
    """What has become different in the books."""
    return [
        (name, document)
        for was, now in zip(before, after, strict=True)
        for name in was
        for document in (*was[name], *now[name])
        if document not in was[name] or document not in now[name]
    ]


# --- ids in paths and bodies --------------------------------------------------------------


def unknown(name: str) -> str:
    """An id of this name that nobody has."""
    return {"code": "nobody_has_it", "short_code": "00000000"}.get(name, new_ulid())


def good(route: Route) -> list[Callable[[Ids], Any]]:
    """Bodies of a route, of the ids that stand in them."""
    return BODIES.get(str(route), [lambda _: {} if route.body is not None else None])


def named_in(body: Any, ids: Ids) -> set[str]:
    """Which of these ids a body names."""
    text = json.dumps(body)
    return {name for name, value in ids.items() if f'"{value}"' in text}


async def answer(who: Outsider, route: Route, ids: Ids, body: Any) -> tuple[int, Any]:
    """Status and answer without what differs from call to call; ids stand as their names."""
    key = new_ulid() if route.is_operation else None
    response = await who.call(route.method, route.url(ids), body, key=key)
    text = response.text
    for name, value in ids.items():
        text = text.replace(value, f"<{name}>")
    told = json.loads(ULID.sub("<fresh>", text))
    return response.status_code, (told["data"], told["error"])


def test_R44_every_id_that_a_body_can_name_is_walked(private: list[Route]) -> None:
    ids = defaultdict(lambda: "x")
    for route in private:
        if route.body is None:
            continue
        known = {key for body in good(route) for key in keys(body(ids))}
        asked = {name for name in properties(route, route.body) if ID.search(name)}
        left = {name for name in asked - known if f"{name} of {route}" not in NOT_WALKED}
        assert not left - NOT_WALKED, f"{route}: name {left} in tests/attacks/bodies.py"


def properties(route: Route, schema: Any, seen: tuple[str, ...] = ()) -> Iterator[str]:
    """The names of all fields of a schema and of what stands in it."""
    if "$ref" in schema:
        if schema["$ref"] not in seen:
            yield from properties(route, route.resolved(schema), (*seen, schema["$ref"]))
        return
    fields = schema.get("properties", {})
    parts = [schema.get("items"), schema.get("additionalProperties")]
    yield from fields
    for each in (*schema.get("anyOf", ()), *fields.values(), *parts):
        if isinstance(each, dict):
            yield from properties(route, each, seen)


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, dict | list):
            yield from keys(each)


async def test_attack_4_ids_of_others_in_a_query_find_what_unknown_ones_find(
    world: Worlds, private: list[Route]
) -> None:
    own, other, theirs = world
    walked = 0
    for route in private:
        asked = {name for name in route.queries if name.endswith("_id")} - {"store_id"}
        for name in sorted(asked):
            kind = {"actor_id": "employee_id", "entity_id": "sale_id"}.get(name, name)
            for stranger in (other, theirs):
                there = {name: stranger.ids[kind]}
                found = await own.office.call(route.method, route.url(own.ids), **there)
                nowhere = await own.office.call(
                    route.method, route.url(own.ids), **{name: new_ulid()}
                )
                told = found.json()["data"], found.json()["error"]
                assert told == (nowhere.json()["data"], nowhere.json()["error"]), (route, name)
                walked += 1
    assert walked > 20


# --- lists ------------------------------------------------------------------------------


async def test_attack_4_nothing_that_is_read_tells_of_others(
    world: Worlds, private: list[Route]
) -> None:
    own, other, theirs = world
    reading = [route for route in private if route.method == "GET"]
    assert len(reading) > 50
    marks = {other.canary, theirs.canary, *marks_of(own, other), *marks_of(own, theirs)}
    assert len(marks) > 60
    lists = 0
    for route in reading:
        query = QUERIES.get(route.path, {})
        for who in (own.till, own.office, own.gate):
            for shape in ({}, {"format": "csv"}) if route.has_csv else ({},):
                response = await who.call("GET", route.url(own.ids), **query, **shape)
                found = [mark for mark in marks if mark.lower() in response.text.lower()]
                assert found == [], (route, shape)
                lists += response.status_code == 200
    assert lists > 60


def marks_of(own: World, stranger: World) -> set[str]:
    """Ids that stand in the books of a stranger and not in one's own."""
    shared = {stranger.ids[name] for name in OF_THE_PARK} if stranger.canary == OTHER else set()
    return ids_in(books(stranger)) - ids_in(books(own)) - shared


def ids_in(found: Any) -> set[str]:
    return set(ULID.findall(json.dumps(found, default=str)))


async def test_attack_4_a_search_for_what_others_have_finds_nothing(world: Worlds) -> None:
    own, other, theirs = world
    for q in (theirs.canary, theirs.canary[:6]):
        page = await tell(own.office, "GET", "/customers", q=q)
        assert page["items"] == []
    for name in (theirs.canary, other.canary):
        assert (await tell(own.office, "GET", "/employees", q=name))["items"] == []


def test_attack_4_every_collection_holds_something_of_the_others(
    world: Worlds, park: OwnPark
) -> None:
    """What is not there cannot leak: a new collection is to be filled in worlds.py."""
    theirs = books(world[2])
    empty = {name for name in collections(park.mongo) if not theirs[name]}
    left = sorted(empty - EMPTY)
    assert not left, str(left)


# --- one's own ticket in another park ----------------------------------------------------


async def test_attack_2_a_ticket_of_another_park_is_no_ticket_here(world: Worlds) -> None:
    own, _, theirs = world
    before = books(theirs)
    ticket = theirs.sold["tickets"][0]
    for shown, reason in (
        ({"qr_token": ticket["qr_token"]}, "invalid_sig"),
        ({"short_code": ticket["short_code"]}, "unknown_ticket"),
    ):
        told = await tell(own.gate, "POST", "/tickets/redeem", shown)
        assert (told["result"], told["reason"], told["ticket_id"]) == ("fail", reason, None)
        row = own.park.mongo.redemptions.find_one({"_id": told["redemption_id"]})
        assert (row["store_id"], row["result"]) == (own.store_id, "fail")
    assert changed([before], [books(theirs)]) == []


async def test_attack_2_whoever_tries_ids_of_others_stands_in_the_audit_trail(
    world: Worlds, private: list[Route]
) -> None:
    own, _, theirs = world
    before = books(theirs)
    async with own.park.connect("POS", **own.keeper) as till:
        me = (await tell(till, "GET", "/employees/me"))["employee_id"]
        tried = set()
        for path in ("/refunds", "/reprints", "/sales/{sale_id}/void"):
            route = next(each for each in private if each.path == f"/v1{path}")
            (body, *_) = good(route)
            status, _ = await answer(till, route, theirs.ids, body(theirs.ids))
            assert status == 404
            kind = KINDS[str(route)]
            asked = body(theirs.ids) | {name: theirs.ids[name] for name in route.ids}
            (result,) = await sync(till, op(kind, asked, employee_id=me, committed=False))
            assert result["code"] == "E_NOT_FOUND"
            tried |= {f"POST {path}", f"POST /sync/batch: {kind}"}
        which = {"device_id": till.device["device_id"], "event_type": "request.refused"}
        rows = list(own.park.mongo.audits.find(which))
        assert {row["payload"]["route"] for row in rows} == tried
        assert {row["actor_id"] for row in rows} == {me}
        assert not [mark for mark in theirs.ids.values() if mark in str(rows)]
    assert changed([before], [books(theirs)]) == []


async def test_R44_a_kiosk_by_itself_reads_what_it_sold_and_nothing_else(world: Worlds) -> None:
    own, _, _ = world
    async with own.park.connect("KIOSK") as kiosk:
        line = {"package_id": own.ids["package_id"], "qty": 1}
        body = {"lines": [line], "payments": [{"method": "card", "amount": PRICE}]}
        settings = {"scope": "store", "sections": {"sales": {"without_shift": True}}}
        await tell(own.office, "PUT", "/settings", settings)
        sold = await tell(kiosk, "POST", "/sales", body)
        mine, others = sold["sale"], own.sold["sale"]
        assert (await tell(kiosk, "GET", f"/sales/{mine['sale_id']}"))["sale"] == mine
        by_receipt = await tell(kiosk, "GET", "/sales", receipt_no=mine["receipt_no"])
        assert [each["sale_id"] for each in by_receipt["items"]] == [mine["sale_id"]]
        (ticket,) = sold["tickets"]
        found = await tell(kiosk, "GET", "/tickets", short_code=ticket["short_code"])
        assert [each["ticket_id"] for each in found["items"]] == [ticket["ticket_id"]]

        ticket_id = own.ids["ticket_id"]
        for path, nowhere in (
            (f"/v1/sales/{others['sale_id']}", f"/v1/sales/{new_ulid()}"),
            (f"/v1/tickets/{ticket_id}", f"/v1/tickets/{new_ulid()}"),
        ):
            theirs, unknown_one = await kiosk.call("GET", path), await kiosk.call("GET", nowhere)
            assert (theirs.status_code, unknown_one.status_code) == (404, 404)
            assert theirs.json()["error"] == unknown_one.json()["error"]
        assert (await tell(kiosk, "GET", "/sales", receipt_no=others["receipt_no"]))["items"] == []
        for query in (
            {"sale_id": others["sale_id"]},
            {"receipt_no": others["receipt_no"]},
            {"short_code": own.sold["tickets"][0]["short_code"]},
            {"qr": own.sold["tickets"][0]["qr_token"]},
        ):
            assert (await tell(kiosk, "GET", "/tickets", **query))["items"] == []


# --- the walk that changes what is one's own ----------------------------------------------


async def test_attack_1_2_3_ids_of_others_answer_like_unknown_ones(
    world: Worlds, private: list[Route]
) -> None:
    own, other, theirs = world
    before = [books(other), books(theirs)]
    problems: list[str] = []
    walked = 0
    for route in private:
        in_path = set(route.ids) - NOT_AN_ID
        missing = in_path - own.ids.keys()
        assert not missing, f"{route}: let tests/attacks/worlds.py make one of {missing}"
        for body in good(route):
            for name in sorted(in_path | named_in(body(own.ids), own.ids)):
                strangers = [theirs] if name in OF_THE_PARK else [theirs, other]
                problems += await compare(route, body, name, own, strangers)
                walked += 1
    assert walked > 100
    assert not problems, "\n".join(problems)
    assert changed(before, [books(other), books(theirs)]) == []


async def compare(
    route: Route, body: Callable[[Ids], Any], name: str, own: World, strangers: list[World]
) -> list[str]:
    """What is wrong where one id of a good call is a stranger's; then the good call itself, so
    that it is this id and nothing else for which the others were refused."""
    problems, told, seen, nowhere = [], [], False, False
    for who in (own.till, own.office, own.gate):
        ids = own.ids | {name: unknown(name)}
        nobodys = await answer(who, route, ids, body(ids))
        nowhere = nowhere or nobodys[0] == 404
        for stranger in strangers:
            ids = own.ids | {name: stranger.ids[name]}
            foreign = await answer(who, route, ids, body(ids))
            if foreign != nobodys:
                what = f"{name} of {stranger.canary}"
                problems.append(f"{route}: {what}: {foreign} and not {nobodys}")
        mine = await answer(who, route, own.ids, body(own.ids))
        waits = "approval_required" in json.dumps(mine)  # what else it names is judged later
        seen = seen or waits or mine != nobodys
        told.append(mine)
    if not seen:
        problems.append(f"{route}: one's own {name} is like an unknown one: {told}")
    if name in route.ids and not nowhere:
        problems.append(f"{route}: an unknown {name} is not 404: {nobodys}")
    return problems


# --- both doors -------------------------------------------------------------------------


@pytest.mark.parametrize("committed", [False, True])
async def test_attack_2_the_sync_door_knows_no_ids_of_others_either(
    world: Worlds, private: list[Route], *, committed: bool
) -> None:
    own, other, theirs = world
    before = [books(other), books(theirs)]
    me = (await tell(own.till, "GET", "/employees/me"))["employee_id"]
    by_name = {str(route): route for route in private}
    for name, kind in KINDS.items():
        route = by_name[name]
        for body in good(route):
            for id_name in sorted(set(route.ids) | named_in(body(own.ids), own.ids)):
                outcomes = []
                for ids in (None, theirs.ids, *([] if id_name in OF_THE_PARK else [other.ids])):
                    swapped = own.ids | {id_name: ids[id_name] if ids else unknown(id_name)}
                    in_path = {each: swapped[each] for each in route.ids}
                    asked = op(kind, body(swapped) | in_path, employee_id=me, committed=committed)
                    (result,) = await sync(own.till, asked)
                    told = sorted(set(flags(result)) - BY_ORDER)
                    outcomes.append((result["status"], result["code"], *told))
                assert len(set(outcomes)) == 1, (name, id_name, outcomes)
    assert changed(before, [books(other), books(theirs)]) == []


def flags(result: dict[str, Any]) -> tuple[str, ...]:
    told = result["result"] or {}
    return tuple((told.get("sale") or told).get("flags", ()))
