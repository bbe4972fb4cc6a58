"""Redemptions that gates send in batches: what happened there, whatever was answered (R17, R50)."""

from pymongo import MongoClient

from playpark.ids import new_ulid
from tests.api.drawers import op, sync
from tests.outside import Outsider


async def test_R50_a_pass_that_let_nobody_in_is_given_back_once(
    till: Outsider, gate: Outsider, mongo_uri: str, database: str
) -> None:
    token = (await till.sell(("2-hour pass", 1)))["tickets"][0]["qr_token"]
    shown = op("redemption", {"qr_token": token}, committed=False)
    (passed,) = await sync(gate, shown)
    assert passed["result"]["result"] == "pass"
    with MongoClient(mongo_uri) as mongo:  # let an hour of its two pass
        tickets = mongo[f"{database}_live"]["tickets"]
        hour = [{"$set": {"ends_at": {"$subtract": ["$ends_at", 3_600_000]}}}]
        tickets.update_one({"ticket_id": passed["result"]["ticket_id"]}, hour)
    refused_there = shown | {"local": {"result": "fail", "reason": "answer_too_late"}}
    for _ in range(2):
        (replayed,) = await sync(gate, refused_there)
        assert (replayed["status"], replayed["result"]) == ("duplicate", passed["result"])
    (again,) = await sync(gate, op("redemption", {"qr_token": token}, committed=False))
    assert (again["result"]["result"], again["result"]["remaining"]) == ("pass", 120)
    single = (await till.sell(("Adult day pass", 1)))["tickets"][0]
    first = op("redemption", {"qr_token": single["qr_token"]}, committed=False)
    (late,) = await sync(gate, first | {"local": {"result": "fail"}})
    assert late["result"]["result"] == "pass"
    ticket = await till.data("GET", f"/v1/tickets/{single['ticket_id']}")
    assert ticket["used"] == 0


async def test_R17_a_showing_in_a_zone_that_is_gone_is_recorded_and_flagged(
    till: Outsider, gate: Outsider, mongo_uri: str, database: str
) -> None:
    token = (await till.sell(("Carousel ride", 1)))["tickets"][0]["qr_token"]
    shown = {"qr_token": token, "zone_id": new_ulid()}
    asked, done = await sync(
        gate, op("redemption", shown, committed=False), op("redemption", shown)
    )
    assert (asked["status"], asked["code"]) == ("rejected", "E_NOT_FOUND")
    assert done["status"] == "applied"
    with MongoClient(mongo_uri) as mongo:
        rows = mongo[f"{database}_live"].redemptions
        row = rows.find_one({"_id": done["result"]["redemption_id"]})
    assert row is not None
    assert (row["zone_id"], row["flags"]) == (shown["zone_id"], ["zone_unknown"])


async def test_R50_an_annulment_does_not_restart_a_clock_that_another_pass_relies_on(
    till: Outsider, gate: Outsider, mongo_uri: str, database: str
) -> None:
    token = (await till.sell(("2-hour pass", 1)))["tickets"][0]["qr_token"]
    shown = op("redemption", {"qr_token": token}, committed=False)
    (first,) = await sync(gate, shown)
    with MongoClient(mongo_uri) as mongo:  # let a minute pass
        tickets = mongo[f"{database}_live"]["tickets"]
        minute = {"$subtract": ["$ends_at", 60_000]}
        last = {"$subtract": ["$last_pass_at", 60_000]}
        which = {"ticket_id": first["result"]["ticket_id"]}
        tickets.update_one(which, [{"$set": {"ends_at": minute, "last_pass_at": last}}])
    (second,) = await sync(gate, op("redemption", {"qr_token": token}, committed=False))
    assert second["result"]["remaining"] in {118, 119}
    await sync(gate, shown | {"local": {"result": "fail"}})
    with MongoClient(mongo_uri) as mongo:
        ticket = mongo[f"{database}_live"]["tickets"].find_one(which)
    assert ticket is not None
    assert ticket["ends_at"] is not None
