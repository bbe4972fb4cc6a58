"""R21, R22, R33, R44: what a gate gets to decide by itself, the whole of it or what has changed."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from api.app import create_app, prepare
from api.gate import service
from api.platform.mongo import Mongo
from api.platform.settings import Settings
from playpark.contracts.base import Envelope
from playpark.contracts.gate import GateBootstrap
from playpark.ids import new_ulid
from playpark.tokens import token_hash
from tests.api.drawers import tell
from tests.api.inside import Inside, inside
from tests.api.own_park import OWNER, refused
from tests.outside import Outsider

PATH = "/v1/gate/bootstrap"


@pytest.fixture(scope="module")
async def opened(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_bootstrap") as park:
        yield park


@pytest.fixture
async def park(opened: Inside) -> Inside:
    """Ten in the morning, and no ticket was ever sold."""
    now = opened.clock.now().astimezone(ZoneInfo("Asia/Bangkok"))
    morning = now.replace(hour=10, minute=0, second=0, microsecond=0) + timedelta(days=1)
    opened.clock.advance(morning - now)
    for collection in ("tickets", "occupancy"):
        await opened.platform.mongo.db[collection].delete_many({})
    service._shelves.pop(opened.platform.mongo, None)
    return opened


@pytest.fixture
async def till(park: Inside) -> Outsider:
    pos = await (await park.device("POS")).staff()
    await pos.open_shift()
    return pos


@pytest.fixture
async def gate(park: Inside) -> Outsider:
    return await park.device("GATE")


async def asked(gate: Outsider, **query: Any) -> GateBootstrap:
    """The list, read as the gate's own client reads it."""
    return GateBootstrap.model_validate(await gate.data("GET", PATH, **query))


def ids(told: GateBootstrap) -> set[str]:
    return {each.ticket_id for each in told.allow}


async def redeem(gate: Outsider, ticket: dict[str, Any]) -> str:
    body = {"qr_token": ticket["qr_token"]}
    answer = await gate.data("POST", "/v1/tickets/redeem", body, key=new_ulid())
    return str(answer["result"])


async def rework(park: Inside, ticket: dict[str, Any], **changes: Any) -> None:
    """Change a stored ticket as the server does: with the moment of the change."""
    changes["updated_at"] = park.clock.now()
    found = await park.platform.mongo.db.tickets.update_one(
        {"ticket_id": ticket["ticket_id"]}, {"$set": changes}
    )
    assert found.matched_count == 1


@asynccontextmanager
async def second_process(park: Inside) -> AsyncIterator[httpx.AsyncClient]:
    """The same database behind another platform, which knows nothing of the first."""
    uri, name = park.platform.mongo.client.address, park.platform.mongo.db.name
    platform = await prepare(
        Settings(), Mongo(f"mongodb://{uri[0]}:{uri[1]}", name), clock=park.clock
    )
    transport = httpx.ASGITransport(app=create_app(platform))
    async with httpx.AsyncClient(transport=transport, base_url="http://other") as http:
        yield http
    platform.close()


async def test_R21_the_list_has_hashes_and_never_a_token(
    park: Inside, till: Outsider, gate: Outsider
) -> None:
    sold = (await till.sell(("Adult day pass", 2), ("10 entries", 1)))["tickets"]

    response = await gate.call("GET", PATH, window=60)
    told = await asked(gate, window=60)

    by_id = {each.ticket_id: each for each in told.allow}
    assert by_id.keys() == {ticket["ticket_id"] for ticket in sold}
    for ticket in sold:
        entry = by_id[ticket["ticket_id"]]
        assert entry.hash == token_hash(ticket["qr_token"])
        assert entry.remaining == ticket["quota_or_minutes"]
        assert ticket["qr_token"] not in response.text
        assert ticket["qr_token"].rsplit(".", 1)[1] not in response.text
    assert {zone.name for zone in told.zones} >= {"Ball Pit", "Water Park"}
    assert (told.since, told.deny, told.policy.anti_passback_s) == (None, [], 5)
    assert told.policy.allow_list_hours == 24


async def test_the_answer_is_one_gzip_stream_in_the_envelope(
    till: Outsider, gate: Outsider
) -> None:
    await till.sell(("Adult day pass", 3))
    headers = {"Authorization": f"Bearer {gate.token}", "Accept-Encoding": "gzip"}

    async with gate.http.stream("GET", PATH, headers=headers) as packed:
        raw = b"".join([piece async for piece in packed.aiter_raw()])
    plain = await gate.http.get(PATH, headers=headers | {"Accept-Encoding": "gzip;q=0"})

    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) == len(raw)
    assert "Content-Encoding" not in plain.headers
    for response, text in ((packed, gzip.decompress(raw)), (plain, plain.content)):
        answer = json.loads(text)
        assert list(answer) == ["server_time", "request_id", "data", "error"]
        assert answer["request_id"] == response.headers["X-Request-ID"]
        assert len(Envelope[GateBootstrap].model_validate(answer).data.allow) == 3  # type: ignore[union-attr]


async def test_what_has_changed_since_a_version_is_told(
    park: Inside, till: Outsider, gate: Outsider
) -> None:
    used, kept = (await till.sell(("Adult day pass", 2)))["tickets"]
    park.clock.advance(timedelta(minutes=5))
    whole = await asked(gate)
    park.clock.advance(timedelta(minutes=5))
    (fresh,) = (await till.sell(("10 entries", 1)))["tickets"]
    assert await redeem(gate, used) == "pass"
    assert await redeem(gate, fresh) == "pass"

    delta = await asked(gate, since=whole.version)

    assert delta.since == whole.version
    assert delta.version > whole.version
    assert (ids(delta), delta.deny) == ({fresh["ticket_id"]}, [used["ticket_id"]])
    assert delta.allow[0].remaining == fresh["quota_or_minutes"] - 1
    assert delta.allow[0].last_pass_at == park.clock.now()
    whole = await asked(gate)
    assert (ids(whole), whole.deny) == (
        {fresh["ticket_id"], kept["ticket_id"]},
        [used["ticket_id"]],
    )


@pytest.mark.parametrize("whole", [False, True], ids=["delta", "whole list"])
async def test_a_transaction_that_commits_late_is_not_missed(
    park: Inside, till: Outsider, gate: Outsider, *, whole: bool
) -> None:
    """It stamps its documents when it begins, and is seen a minute later."""
    (ticket,) = (await till.sell(("Adult day pass", 1)))["tickets"]
    park.clock.advance(timedelta(minutes=5))
    await asked(gate)
    async with await park.platform.mongo.client.start_session() as session:
        session.start_transaction()
        changes = {"used": 1, "updated_at": park.clock.now()}
        await park.platform.mongo.db.tickets.update_one(
            {"ticket_id": ticket["ticket_id"]}, {"$set": changes}, session=session
        )
        park.clock.advance(timedelta(seconds=59))
        before = await asked(gate)
        assert ids(before) == {ticket["ticket_id"]}
        await session.commit_transaction()
    park.clock.advance(timedelta(seconds=1))

    told = await asked(gate, **({} if whole else {"since": before.version}))

    assert (ids(told), told.deny) == (set(), [ticket["ticket_id"]])


@pytest.mark.parametrize(
    "changes",
    [
        {"used": 1},
        {"status": "cancelled"},
        {"status": "refunded"},
        {"kind": "bundle"},
    ],
    ids=["used", "cancelled", "refunded", "bundle"],
)
async def test_R19_what_admits_no_more_is_denied(
    park: Inside, till: Outsider, gate: Outsider, changes: dict[str, Any]
) -> None:
    first, other = (await till.sell(("Adult day pass", 2)))["tickets"]
    before = await asked(gate)

    await rework(park, first, **changes)

    for told in (await asked(gate), await asked(gate, since=before.version)):
        assert (ids(told), told.deny) == ({other["ticket_id"]}, [first["ticket_id"]])


async def test_a_ticket_that_gets_its_use_back_is_on_the_list_again(
    park: Inside, till: Outsider, gate: Outsider
) -> None:
    (ticket,) = (await till.sell(("Adult day pass", 1)))["tickets"]
    await rework(park, ticket, used=1)
    denied = await asked(gate)
    await rework(park, ticket, used=0)

    for told in (await asked(gate), await asked(gate, since=denied.version)):
        assert (ids(told), told.deny) == ({ticket["ticket_id"]}, [])


async def test_what_is_over_is_not_listed_and_what_begins_soon_is(
    park: Inside, till: Outsider, gate: Outsider
) -> None:
    over, soon, later = (await till.sell(("Adult day pass", 3)))["tickets"]
    now = park.clock.now()
    await rework(park, over, valid_to=now + timedelta(minutes=30))
    await rework(park, soon, valid_from=now + timedelta(minutes=60))
    await rework(park, later, valid_from=now + timedelta(minutes=61))

    async def found(**query: int) -> list[bool]:
        told = ids(await asked(gate, **query))
        return [ticket["ticket_id"] in told for ticket in (over, soon, later)]

    assert await found() == [True, False, False]
    assert await found(window=60) == [True, True, False]
    before = await asked(gate, window=60)
    park.clock.advance(timedelta(minutes=30))
    assert await found(window=30, since=before.version) == [False, True, False]
    assert await found() == [False, False, False]
    assert await found(window=30) == [False, True, False]
    park.clock.advance(timedelta(minutes=30))
    assert await found() == [False, True, False]
    before = await asked(gate, window=0)
    park.clock.advance(timedelta(minutes=1))
    # Nobody has touched it: time alone has brought it into the window.
    assert (await found(since=before.version))[2]
    assert await found() == [False, True, True]


async def test_R21_a_ticket_that_its_key_could_not_have_signed_is_not_listed(
    park: Inside, till: Outsider, gate: Outsider
) -> None:
    before, after = (await till.sell(("Adult day pass", 2)))["tickets"]
    owner = await (await park.device("ADMIN")).staff(**OWNER)
    park.clock.advance(timedelta(minutes=5))
    old = await asked(gate)
    park.clock.advance(timedelta(minutes=5))
    await tell(owner, "POST", "/secrets/ticket_hmac/rotate", {})
    late = {"created_at": park.clock.now() + timedelta(minutes=5)}
    await park.platform.mongo.db.tickets.update_one(
        {"ticket_id": after["ticket_id"]}, {"$set": late}
    )

    told = await asked(gate, since=old.version)

    # Which keys sign has changed: that touches tickets which nobody has touched.
    assert told.since is None
    assert ids(told) == {before["ticket_id"]}
    (new,) = (await till.sell(("Adult day pass", 1)))["tickets"]
    assert ids(await asked(gate)) == {before["ticket_id"], new["ticket_id"]}


async def test_an_unchanged_list_is_not_sent_twice(
    park: Inside, till: Outsider, gate: Outsider
) -> None:
    (ticket,) = (await till.sell(("10 entries", 1)))["tickets"]
    etag = (await gate.call("GET", PATH)).headers["ETag"]

    async def again(known: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {gate.token}", "If-None-Match": known}
        return await gate.http.get(PATH, headers=headers)

    park.clock.advance(timedelta(seconds=30))
    for known in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        response = await again(known)
        assert (response.status_code, response.content) == (304, b"")
        # The list is the same; behind the dot stand the very bytes, which tell the time.
        assert response.headers["ETag"].partition(".")[0] == etag.partition(".")[0]
    assert (await again('"other"')).status_code == 200
    await rework(park, ticket, used=1)
    response = await again(etag)
    assert (response.status_code, response.headers["ETag"] != etag) == (200, True)


async def test_another_process_says_the_same_and_continues_its_versions(
    park: Inside, till: Outsider, gate: Outsider
) -> None:
    """Its list is cut into other segments: it was built when there were more tickets."""
    (first,) = (await till.sell(("Adult day pass", 1)))["tickets"]
    before = await asked(gate)
    await till.sell(*[("Adult day pass", 100)] * 5)
    async with second_process(park) as other:
        there = Outsider(other, gate.device, gate.token)
        here, elsewhere = [await each.call("GET", PATH) for each in (gate, there)]
        lists = [each.headers["ETag"].partition(".") for each in (here, elsewhere)]
        assert lists[0][0] == lists[1][0]
        assert lists[0][2] != lists[1][2]  # other segments: nobody goes on with the other's
        told = [response.json()["data"]["allow"] for response in (here, elsewhere)]
        assert len(told[0]) == 501
        by_id = [sorted(each, key=lambda entry: entry["ticket_id"]) for each in told]
        assert by_id[0] == by_id[1]
        await rework(park, first, used=1)
        delta = await asked(there, since=before.version)
        assert delta.since == before.version
        assert first["ticket_id"] in delta.deny
        assert len(delta.allow) == 500


@pytest.mark.parametrize("since", [0, 1, 2**53 - 1])
async def test_a_version_that_is_of_no_use_gets_the_whole_list(
    till: Outsider, gate: Outsider, since: int
) -> None:
    await till.sell(("Adult day pass", 2))

    told = await asked(gate, since=since)

    assert (told.since, len(told.allow)) == (None, 2)


async def test_a_version_of_long_ago_gets_the_whole_list(
    park: Inside, till: Outsider, gate: Outsider
) -> None:
    old = await asked(gate)
    park.clock.advance(timedelta(days=2, seconds=1))

    assert (await asked(gate, since=old.version)).since is None


async def test_more_changes_than_a_delta_holds_get_the_whole_list(
    till: Outsider, gate: Outsider, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await asked(gate)
    await till.sell(("Adult day pass", 3))
    monkeypatch.setattr("api.gate.repository.MOST_CHANGES", 2)

    told = await asked(gate, since=before.version)

    assert (told.since, len(told.allow)) == (None, 3)


async def test_R44_no_other_park_or_store_is_ever_on_the_list(
    park: Inside, till: Outsider, gate: Outsider
) -> None:
    (ours,) = (await till.sell(("Adult day pass", 1)))["tickets"]
    owner = await (await park.device("ADMIN")).staff(**OWNER)
    branch = await tell(owner, "POST", "/stores", {"name": f"Branch {new_ulid()}"})
    there = {"store_id": branch["store_id"]}
    key = await owner.data("POST", "/v1/site_keys", {"auto_approve": True}, **there)
    second = await Outsider(park.http).pair("GATE", key["site_key"])
    other = await Outsider(park.http).pair("GATE", "DEMO-OTHER-PARK")
    row = await park.platform.mongo.db.tickets.find_one({"ticket_id": ours["ticket_id"]})
    theirs = {**row, **there, "_id": new_ulid(), "ticket_id": new_ulid(), "short_code": "x"}
    await park.platform.mongo.db.tickets.insert_one(theirs)
    expected = (
        (gate, {ours["ticket_id"]}),
        (second, {theirs["ticket_id"]}),
        (other, set[str]()),
    )

    for _ in range(2):  # from the database, and from what the process keeps
        for who, found in expected:
            whole = await asked(who)
            assert ids(whole) == found
            assert ids(await asked(who, since=whole.version)) == found
    assert {zone.name for zone in (await asked(other)).zones}.isdisjoint({"Ball Pit"})


async def test_R40_it_takes_a_device_that_redeems(park: Inside, till: Outsider) -> None:
    kiosk = await park.device("KIOSK")

    status, error = await refused(kiosk, "GET", PATH, None)

    assert (status, error["code"]) == (403, "E_PERMISSION")


@pytest.mark.parametrize(
    "query",
    [
        {"window": -1},
        {"window": 10_081},
        {"window": "1e3"},
        {"window": "9" * 5000},
        {"since": -1},
        {"since": 2**53},
        {"since": '{"$gt": 0}'},
        {"store": "x"},
        {"window": [1, 2]},
    ],
    ids=lambda query: next(iter(query)),
)
async def test_odd_wishes_are_refused(gate: Outsider, query: dict[str, Any]) -> None:
    response = await gate.call("GET", PATH, **query)

    assert (response.status_code, response.json()["error"]["code"]) == (422, "E_VALIDATION")


async def test_many_gates_at_once_get_the_same_list(till: Outsider, gate: Outsider) -> None:
    await till.sell(("Adult day pass", 50))

    told = await asyncio.gather(*(asked(gate, window=each % 3) for each in range(30)))

    assert {len(ids(each)) for each in told} == {50}


async def test_what_a_process_keeps_is_bounded(
    park: Inside, till: Outsider, gate: Outsider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without room for a list it is read anew, and right all the same."""
    await till.sell(("Adult day pass", 2))
    kept = service._shelves.setdefault(park.platform.mongo, service.Shelves())
    monkeypatch.setattr(kept, "_most_bytes", 100)

    for _ in range(2):
        assert len((await asked(gate)).allow) == 2
        assert kept.size == 0
    monkeypatch.setattr(kept, "_most_bytes", 100_000)
    assert len((await asked(gate)).allow) == 2
    assert 0 < kept.size <= 100_000


async def test_R51_a_list_says_how_many_are_inside(till: Outsider, gate: Outsider) -> None:
    (ticket,) = (await till.sell(("Adult day pass", 1)))["tickets"]
    zones = {zone.zone_id: zone.name for zone in (await asked(gate)).zones}
    ball_pit = next(zone_id for zone_id, name in zones.items() if name == "Ball Pit")
    body = {"qr_token": ticket["qr_token"], "zone_id": ball_pit}
    await gate.data("POST", "/v1/tickets/redeem", body, key=new_ulid())

    inside = {each.zone_id: each.inside for each in (await asked(gate)).occupancy}

    assert inside == {**dict.fromkeys(zones, 0), None: 0, ball_pit: 1}
