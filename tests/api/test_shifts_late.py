"""What comes after the close: supplements in the Z chain, shifts that were never closed (R28)."""

from typing import Any

import pytest
from pymongo import MongoClient

from api.platform.mongo import Mongo
from api.platform.uow import Work
from api.shifts.chain import first_broken_link
from playpark.clock import SystemClock
from playpark.contracts.employees import Permission
from playpark.ids import new_ulid
from tests.api.approving import let_everybody
from tests.api.drawers import (
    CAROUSEL,
    SUPERVISOR,
    applied,
    approve,
    carousel,
    chained,
    office,
    op,
    refusal,
    send,
    sync,
    tell,
    z_of,
)
from tests.api.inside import inside
from tests.outside import Outsider


@pytest.fixture
async def pos(outside: Outsider) -> Outsider:
    await outside.pair("POS")
    return await outside.staff()


async def closed_shift(till: Outsider, rides: int = 1) -> str:
    """A shift with some sales, closed as counted; its Z is the first of the till."""
    shift_id = await till.open_shift(10_000)
    await till.sell(("Carousel ride", rides))
    body = {"cash_counted": 10_000 + rides * CAROUSEL}
    await tell(till, "POST", "/shifts/close", body)
    return shift_id


def own_figures(report: dict[str, Any]) -> tuple[int, int, int]:
    sales = report["sales"]
    return sales["count"], sales["amount"], report["drawer"]["cash_expected"]


async def test_R28_late_sales_are_supplements_and_the_chain_can_be_reckoned_again(
    pos: Outsider,
) -> None:
    shift_id = await closed_shift(pos, rides=2)
    late = [op("sale", await carousel(pos), shift_id=shift_id) for _ in range(2)]
    for answer in await applied(pos, *late):
        assert answer["sale"]["shift_id"] == shift_id
        assert "after_close" in answer["sale"]["flags"]
    await sync(pos, *late)  # a second sending adds no second supplement
    reports = await z_of(pos, shift_id)
    assert [report["number"] for report in reports] == ["1", "1/1", "1/2"]
    assert [report["kind"] for report in reports] == ["close", "supplement", "supplement"]
    assert [report["because"] for report in reports[1:]] == [each["op_id"] for each in late]
    one_ride = (1, CAROUSEL, CAROUSEL)
    assert [own_figures(report) for report in reports[1:]] == [one_ride, one_ride]
    assert own_figures(reports[0])[:2] == (1, 2 * CAROUSEL)
    assert [report["grand_total"] // CAROUSEL for report in reports] == [2, 3, 4]
    await pos.open_shift(0)
    following = await tell(pos, "POST", "/shifts/close", {"cash_counted": 0})
    assert following["z"]["number"] == "2"
    assert chained([*reports, following["z"]])
    edited = [dict(report) for report in reports]
    edited[1] = edited[1] | {"tickets_issued": 0}
    assert not chained(edited)
    assert not chained([reports[0], reports[2]])


async def test_R28_a_late_sale_leaves_the_open_shift_and_the_closed_one_alone(
    pos: Outsider,
) -> None:
    first = await closed_shift(pos)
    before = await tell(pos, "GET", f"/shifts/{first}")
    second = await pos.open_shift(0)
    await applied(pos, op("sale", await carousel(pos), shift_id=first))
    after = await tell(pos, "GET", f"/shifts/{first}")
    assert after | {"z": before["z"]} == before
    closed = await tell(pos, "POST", "/shifts/close", {"cash_counted": 0})
    assert (closed["shift_id"], closed["cash_diff"]) == (second, 0)


async def test_R26_an_uncommitted_sale_for_a_closed_shift_is_refused(pos: Outsider) -> None:
    shift_id = await closed_shift(pos)
    me = (await tell(pos, "GET", "/employees/me"))["employee_id"]
    asked = {"shift_id": shift_id, "employee_id": me, "committed": False}
    (late,) = await sync(pos, op("sale", await carousel(pos), **asked))
    assert (late["status"], late["code"]) == ("rejected", "E_SHIFT_CLOSED")
    assert len(await z_of(pos, shift_id)) == 1


async def test_R28_late_movements_and_sales_of_other_methods_add_up_with_their_z(
    pos: Outsider,
) -> None:
    shift_id = await closed_shift(pos)
    card = await carousel(pos)
    card["payments"] = [{"method": "card", "amount": CAROUSEL}]
    moved, sold = await applied(
        pos,
        op("cash_movement", {"type": "drop", "amount": 3_000}, shift_id=shift_id),
        op("sale", card, shift_id=shift_id),
    )
    assert moved["drawer_id"] == shift_id
    assert "after_close" in moved["flags"]
    assert sold["sale"]["shift_id"] == shift_id
    reports = await z_of(pos, shift_id)
    assert [report["drawer"]["drops"] for report in reports] == [0, 3_000, 0]
    assert [report["drawer"]["cash_expected"] for report in reports] == [14_000, -3_000, 0]
    assert reports[2]["sales"]["by_method"] == {"card": CAROUSEL}
    assert [report["cash_counted"] for report in reports] == [14_000, None, None]
    assert chained(reports)


async def test_R28_a_committed_count_of_a_closed_shift_is_kept_as_a_link(pos: Outsider) -> None:
    shift_id = await closed_shift(pos)
    await applied(pos, op("sale", await carousel(pos), shift_id=shift_id))
    recount = op("shift_close", {"cash_counted": 50_000}, shift_id=shift_id)
    (answer,) = await applied(pos, recount)
    # Against all that is known of the shift by now, supplements too.
    assert answer["cash_expected"] == 10_000 + 2 * CAROUSEL
    assert answer["cash_diff"] == 50_000 - answer["cash_expected"]
    assert {"already_closed", "variance_unapproved"} <= set(answer["flags"])
    (again,) = await sync(pos, recount)
    assert (again["status"], again["result"]) == ("duplicate", answer)
    detail = await tell(pos, "GET", f"/shifts/{shift_id}")
    assert [report["number"] for report in detail["z"]] == ["1", "1/1", "1/2"]
    assert detail["z"][2] == answer["z"]
    assert detail["cash_counted"] == 14_000
    assert {"recounted", "variance_unapproved"} <= set(detail["flags"])
    assert chained(detail["z"])
    # What is accepted is the difference of this count, not the one of the close.
    path = f"/shifts/{shift_id}/adjustments"
    accept = {"type": "accept_variance", "reason_code": "counting_error"}
    for amount, code in ((0, "E_PERMISSION"), (answer["cash_diff"], None)):
        token = await approve(pos, "cash_variance", shift_id, amount=amount)
        answered = await send(pos, "POST", path, accept, approval=token)
        assert (answered.json()["error"] or {}).get("code") == code


async def test_R17_a_committed_opening_closes_the_shift_that_nobody_closed(
    pos: Outsider,
) -> None:
    forgotten = await pos.open_shift(10_000)
    await pos.sell(("Carousel ride", 1))
    assert await refusal(pos, "POST", "/shifts/open", {"cash_open": 0}) == (
        409,
        "E_SHIFT_ALREADY_OPEN",
    )
    opening = op("shift_open", {"cash_open": 500})
    (opened,) = await applied(pos, opening)
    assert (await tell(pos, "GET", "/shifts/current")) == opened
    detail = await tell(pos, "GET", f"/shifts/{forgotten}")
    assert (detail["status"], detail["flags"]) == ("closed", ["superseded"])
    # Its count comes after all, and the new shift is not touched by it.
    count = op("shift_close", {"cash_counted": 14_000}, shift_id=forgotten)
    (late,) = await applied(pos, count)
    assert (late["shift_id"], late["cash_diff"]) == (forgotten, 0)
    assert "variance_unapproved" not in late["flags"]
    assert (await tell(pos, "GET", "/shifts/current")) == opened
    (again,) = await sync(pos, opening)
    assert (again["status"], again["result"]) == ("duplicate", opened)


async def test_R27_a_shift_that_was_closed_without_a_count_is_counted_blind_too(
    pos: Outsider, api_url: str
) -> None:
    forgotten = await pos.open_shift(10_000)
    await pos.sell(("Carousel ride", 1))
    await applied(pos, op("shift_open", {"cash_open": 500}))

    async def seen(by: Outsider) -> tuple[Any, ...]:
        detail = await tell(by, "GET", f"/shifts/{forgotten}")
        summary = await tell(by, "GET", f"/cash_drawers/{forgotten}/summary")
        listed = [report["drawer"] for report in await z_of(by, forgotten)]
        assert [report["drawer"] for report in detail["z"]] == listed
        return detail["totals"] is None, detail["drawer"], summary["drawer"], listed

    assert await seen(pos) == (True, None, None, [])
    async with office(api_url) as boss:
        hidden, *drawers, listed = await seen(boss)
    assert not hidden
    assert [drawer["cash_expected"] for drawer in [*drawers, *listed]] == [14_000] * 3
    count = op("shift_close", {"cash_counted": 13_500}, shift_id=forgotten)
    assert (await applied(pos, count))[0]["cash_diff"] == -500
    hidden, *drawers, listed = await seen(pos)
    assert not hidden
    assert [drawer["cash_expected"] for drawer in [*drawers, *listed]] == [14_000] * 3 + [0]


async def test_R28_finalising_needs_both_permissions_and_a_shift_that_is_open(
    mongo_uri: str, database: str
) -> None:
    async with inside(mongo_uri, f"{database}_finalise") as park:
        shift_id = await (await (await park.device()).staff()).open_shift(10_000)
        path, body = f"/cash_drawers/{shift_id}/close", {"cash_counted": 10_000}

        async def boss(*missing: Permission) -> tuple[Outsider, dict[str, Any]]:
            await let_everybody(park, [each for each in Permission if each not in missing])
            who = await (await park.device("ADMIN")).staff(**SUPERVISOR)
            me = (await tell(who, "GET", "/employees/me"))["employee_id"]
            return who, op("shift_close", body | {"drawer_id": shift_id}, employee_id=me)

        for missing in (Permission.APPROVE, Permission.DEVICE_MANAGE):
            who, committed = await boss(missing)
            assert await refusal(who, "POST", path, body) == (403, "E_PERMISSION")
            assert (await sync(who, committed))[0]["code"] == "E_PERMISSION"
        who, committed = await boss()
        assert (await tell(who, "POST", path, body))["flags"] == ["finalised"]
        assert (await sync(who, committed))[0]["code"] == "E_SHIFT_CLOSED"


async def test_R16_a_sale_that_names_another_tills_shift_is_booked_on_none(
    pos: Outsider, till: Outsider
) -> None:
    theirs = await closed_shift(pos)
    mine = op("sale", await carousel(till), shift_id=theirs)
    (sold,) = await applied(till, mine)
    assert sold["sale"]["shift_id"] is None
    assert "no_shift" in sold["sale"]["flags"]
    assert len(await z_of(pos, theirs)) == 1


async def test_a_count_without_any_shift_is_refused_even_if_committed(pos: Outsider) -> None:
    body = {"cash_counted": 1}
    results = await sync(pos, op("shift_close", body), op("shift_close", body, shift_id=new_ulid()))
    assert [result["code"] for result in results] == ["E_SHIFT_CLOSED", "E_NOT_FOUND"]


async def test_a_long_list_of_supplements_comes_in_pages(pos: Outsider) -> None:
    shift_id = await closed_shift(pos)
    await applied(
        pos,
        *[
            op("cash_movement", {"type": "pay_in", "amount": 100 + n}, shift_id=shift_id)
            for n in range(4)
        ],
    )
    path, numbers, cursor = f"/shifts/{shift_id}/z", [], None
    for _ in range(3):
        more = {"cursor": cursor} if cursor else {}
        page = await tell(pos, "GET", path, limit=2, **more)
        numbers += [report["number"] for report in page["items"]]
        cursor = page["next_cursor"]
    assert (numbers, cursor) == (["1", "1/1", "1/2", "1/3", "1/4"], None)
    assert (await refusal(pos, "GET", path, cursor="abc"))[1] == "E_VALIDATION"


async def test_R28_an_edited_a_removed_and_a_cut_off_link_are_named(
    pos: Outsider, mongo_uri: str, database: str
) -> None:
    shift_id = await closed_shift(pos)
    moves = [op("cash_movement", {"type": "pay_in", "amount": 1}, shift_id=shift_id)]
    await applied(pos, *moves)
    await pos.open_shift(0)
    await tell(pos, "POST", "/shifts/close", {"cash_counted": 0})
    device_id = pos.device["device_id"]
    mongo = Mongo(mongo_uri, f"{database}_live")
    with MongoClient(mongo_uri) as client:
        links = client[f"{database}_live"]["z_reports"]
        rows = list(links.find({"device_id": device_id}).sort("chain_seq"))
        area = rows[0]["tenant_id"], rows[0]["store_id"]

        async def broken() -> str | None:
            work = Work(mongo, SystemClock().now())
            return await first_broken_link(work, *area, device_id)

        assert [row["report"]["number"] for row in rows] == ["1", "1/1", "2"]
        assert await broken() is None
        for row, named in zip(rows, ("1", "1/1", "2"), strict=True):
            edit = {"$set": {"report.drawer.cash_open": 1}}
            links.update_one({"_id": row["_id"]}, edit)
            assert await broken() == named
            links.replace_one({"_id": row["_id"]}, row)
        for row, named in zip(rows, ("1/1", "2", "1/1"), strict=True):
            links.delete_one({"_id": row["_id"]})
            assert await broken() == named
            links.insert_one(row)
        assert await broken() is None
    mongo.close()


async def test_R29_a_late_link_never_takes_a_number_of_the_z_series(pos: Outsider) -> None:
    shift_id = await closed_shift(pos)
    await applied(pos, op("sale", await carousel(pos), shift_id=shift_id))
    await pos.open_shift(0)
    closed = (await send(pos, "POST", "/shifts/close", {"cash_counted": 0})).json()["data"]
    assert closed["z"]["z_no"] == 2
