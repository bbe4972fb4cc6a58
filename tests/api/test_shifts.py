"""Opening, counting blind and closing a shift (R26–R28)."""

import asyncio
import re
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from playpark.ids import new_ulid
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
from tests.outside import Outsider

FLOAT = 1_234_567


@pytest.fixture
async def pos(outside: Outsider) -> Outsider:
    """A paired till with a cashier and no shift yet."""
    await outside.pair("POS")
    return await outside.staff()


async def close(till: Outsider, counted: int, **more: Any) -> Any:
    return await tell(till, "POST", "/shifts/close", {"cash_counted": counted}, **more)


async def test_R26_a_drawer_is_a_shift_and_opening_either_opens_both(pos: Outsider) -> None:
    opened = await tell(pos, "POST", "/cash_drawers/open", {"cash_open": FLOAT})
    assert await tell(pos, "GET", "/shifts/current") == opened
    assert await tell(pos, "GET", "/cash_drawers/current") == opened
    again = await refusal(pos, "POST", "/shifts/open", {"cash_open": 0})
    assert again == (409, "E_SHIFT_ALREADY_OPEN")
    path = f"/cash_drawers/{opened['shift_id']}/close"
    closed = await tell(pos, "POST", path, {"cash_counted": FLOAT})
    assert closed["cash_diff"] == 0
    for path in ("/shifts/current", "/cash_drawers/current"):
        assert await refusal(pos, "GET", path) == (409, "E_SHIFT_CLOSED")


async def test_R27_expected_is_float_plus_takings_plus_and_minus_what_was_moved(
    pos: Outsider,
) -> None:
    shift_id = await pos.open_shift(FLOAT)
    await tell(pos, "POST", "/sales", await carousel(pos, tendered=50_000))
    card = await carousel(pos)
    card["payments"] = [{"method": "card", "amount": CAROUSEL}]
    await tell(pos, "POST", "/sales", card)
    for kind, amount in (("pay_in", 30_000), ("pay_out", 7_000), ("drop", 500_000)):
        body = {"type": kind, "amount": amount}
        await tell(pos, "POST", f"/cash_drawers/{shift_id}/movements", body)
    expected = FLOAT + CAROUSEL + 30_000 - 7_000 - 500_000
    closed = await close(pos, expected + 1_500)
    assert (closed["cash_expected"], closed["cash_diff"]) == (expected, 1_500)
    assert closed["flags"] == []  # within the tolerance nobody has to look
    assert closed["z"]["drawer"] == {
        "cash_open": FLOAT,
        "cash_sales": CAROUSEL,
        "pay_ins": 30_000,
        "pay_outs": 7_000,
        "drops": 500_000,
        "cash_refunds": 0,
        "cash_expected": expected,
    }
    sales = closed["z"]["sales"]
    assert sales == {"count": 2, "amount": 8_000, "by_method": {"card": 4_000, "cash": 4_000}}
    assert closed["z"]["tax"] == 2 * 262  # 7 % inside 40 baht
    assert closed["z"]["tickets_issued"] == 2


async def test_R27_no_answer_tells_a_cashier_the_expected_cash_before_the_count(
    pos: Outsider, api_url: str
) -> None:
    shift_id = await pos.open_shift(FLOAT)
    answers = []
    # More than a credit ticket of the park holds: what is left on one is no figure of the drawer.
    for rides, change in ((2, 500), (4, 3_000), (7, 80_000)):
        body = await carousel(pos)
        body["lines"][0]["qty"], due = rides, rides * CAROUSEL
        body["payments"][0] |= {"amount": due, "tendered": due + change}
        answers.append(await send(pos, "POST", "/sales", body))
    moved = {"type": "drop", "amount": 777}
    answers.append(await send(pos, "POST", f"/cash_drawers/{shift_id}/movements", moved))
    for path in ("/shifts/close", f"/cash_drawers/{shift_id}/close"):
        far_off = {"cash_counted": 1, "reason_code": "counting_error"}
        answers.append(await send(pos, "POST", path, far_off))
    takings = 13 * CAROUSEL
    expected = FLOAT + takings - 777
    secrets = [expected, takings, takings - 777, FLOAT + takings, expected - 1]
    pattern = re.compile(rf"(?<!\d)-?({'|'.join(map(str, secrets))})(?!\d)")

    async def walk(who: Outsider) -> list[httpx.Response]:
        schema = (await who.http.get("/openapi.json")).json()
        gets = [path for path, methods in schema["paths"].items() if "get" in methods]
        return [await who.call("GET", re.sub(r"\{[^}]+\}", shift_id, path)) for path in gets]

    answers += await walk(pos)
    good = [answer for answer in answers if answer.status_code == 200]
    assert len(good) > 10
    for answer in answers:
        assert not pattern.search(answer.text), answer.request.url
    async with office(api_url) as boss:
        told = [answer for answer in await walk(boss) if pattern.search(answer.text)]
        paths = {str(answer.request.url.path).rsplit("/", 1)[-1] for answer in told}
        assert {shift_id, "x", "summary"} <= paths
    assert (await close(pos, expected))["cash_expected"] == expected


async def test_R27_a_refused_count_changes_nothing_and_names_no_figure(pos: Outsider) -> None:
    shift_id = await pos.open_shift(FLOAT)
    body = {"cash_counted": FLOAT - 2_001}
    without_reason = await send(pos, "POST", "/shifts/close", body)
    assert without_reason.json()["error"]["code"] == "E_VALIDATION"
    assert without_reason.json()["error"]["details"] is None
    unknown = body | {"reason_code": "no_such_reason"}
    assert (await refusal(pos, "POST", "/shifts/close", unknown))[1] == "E_VALIDATION"
    body |= {"reason_code": "counting_error"}
    asked = await send(pos, "POST", "/shifts/close", body)
    assert asked.status_code == 403
    assert asked.json()["error"]["details"] == {
        "reason": "approval_required",
        "action": "cash_variance",
    }
    assert (await tell(pos, "GET", f"/shifts/{shift_id}"))["status"] == "open"
    wrong = await approve(pos, "cash_variance", shift_id, amount=2_000)
    assert (await refusal(pos, "POST", "/shifts/close", body, approval=wrong))[0] == 403
    token = await approve(pos, "cash_variance", shift_id, amount=2_001)
    closed = await tell(pos, "POST", "/shifts/close", body, approval=token)
    assert (closed["cash_diff"], closed["flags"]) == (-2_001, [])


async def test_R27_the_tolerance_itself_needs_nobody(pos: Outsider) -> None:
    for counted in (FLOAT - 2_000, FLOAT + 2_000):
        await pos.open_shift(FLOAT)
        assert abs((await close(pos, counted))["cash_diff"]) == 2_000


async def test_R27_denominations_are_added_up(pos: Outsider) -> None:
    await pos.open_shift(123_450)
    body = {"counted": {"100000": 1, "2000": 11, "1000": 1, "100": 4, "25": 2}}
    closed = await tell(pos, "POST", "/shifts/close", body)
    assert (closed["cash_counted"], closed["cash_diff"]) == (123_450, 0)


async def test_R28_a_committed_difference_waits_for_a_supervisor(
    pos: Outsider, api_url: str
) -> None:
    shift_id = await pos.open_shift(FLOAT)
    body = {"cash_counted": FLOAT - 90_000}
    (closed,) = await applied(pos, op("shift_close", body, shift_id=shift_id))
    assert "variance_unapproved" in closed["flags"]
    path = f"/shifts/{shift_id}"
    assert "variance_unapproved" in (await tell(pos, "GET", path))["flags"]
    accept = {"type": "accept_variance", "reason_code": "counting_error"}
    assert await refusal(pos, "POST", f"{path}/adjustments", accept) == (403, "E_PERMISSION")
    token = await approve(pos, "cash_variance", shift_id, amount=90_000)
    key = new_ulid()
    added = await tell(pos, "POST", f"{path}/adjustments", accept, approval=token, key=key)
    assert (added["kind"], added["number"]) == ("adjustment", f"{closed['z']['z_no']}/1")
    assert added["because"].endswith(" counting_error")
    again = await send(pos, "POST", f"{path}/adjustments", accept, approval=token, key=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["data"] == added
    detail = await tell(pos, "GET", path)
    assert "variance_unapproved" not in detail["flags"]
    assert detail["z"] == [closed["z"], added]
    assert (detail["cash_counted"], detail["cash_diff"]) == (FLOAT - 90_000, -90_000)
    token = await approve(pos, "cash_variance", shift_id)
    twice = await refusal(pos, "POST", f"{path}/adjustments", accept, approval=token)
    assert twice == (409, "E_CONFLICT")
    assert chained(await z_of(pos, shift_id))


async def test_R27_a_recount_is_appended_and_the_close_stays_as_it_was(pos: Outsider) -> None:
    shift_id = await pos.open_shift(FLOAT)
    recount = {"type": "recount", "cash_counted": FLOAT, "reason_code": "counting_error"}
    path = f"/shifts/{shift_id}/adjustments"
    token = await approve(pos, "shift_adjustment", shift_id)
    early = await refusal(pos, "POST", path, recount, approval=token)
    assert early == (409, "E_CONFLICT")
    lost = op("shift_close", {"cash_counted": FLOAT - 50_000}, shift_id=shift_id)
    (closed,) = await applied(pos, lost)
    refund_token = await approve(pos, "refund", shift_id)
    wrong = await refusal(pos, "POST", path, recount, approval=refund_token)
    assert wrong == (403, "E_PERMISSION")
    added = await tell(pos, "POST", path, recount, approval=token)
    assert (added["cash_counted"], added["sales"]["count"]) == (FLOAT, 0)
    detail = await tell(pos, "GET", f"/shifts/{shift_id}")
    assert detail["z"] == [closed["z"], added]
    assert detail["cash_counted"] == FLOAT - 50_000
    assert "recounted" in detail["flags"]
    assert "variance_unapproved" not in detail["flags"]


async def test_R42_an_adjustment_by_sync_needs_its_approval_however_committed(
    pos: Outsider,
) -> None:
    shift_id = await pos.open_shift(FLOAT)
    await applied(pos, op("shift_close", {"cash_counted": 0}, shift_id=shift_id))
    body = {"shift_id": shift_id, "type": "accept_variance", "reason_code": "counting_error"}
    nobody = op("shift_adjustment", body)
    me = (await tell(pos, "GET", "/employees/me"))["employee_id"]
    cashier = op("shift_adjustment", body, employee_id=me)
    results = await sync(pos, nobody, cashier)
    assert [result["code"] for result in results] == ["E_UNAUTHENTICATED", "E_PERMISSION"]
    assert "variance_unapproved" in (await tell(pos, "GET", f"/shifts/{shift_id}"))["flags"]


async def test_closing_twice_closes_once_and_the_second_count_changes_nothing(
    pos: Outsider,
) -> None:
    shift_id = await pos.open_shift(FLOAT)
    counts = [{"cash_counted": FLOAT + n} for n in (0, 100, 200, 300)]
    answers = await asyncio.gather(
        *(send(pos, "POST", f"/cash_drawers/{shift_id}/close", body) for body in counts)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    (won,) = [answer.json()["data"] for answer in answers if answer.status_code == 200]
    late = await refusal(pos, "POST", f"/cash_drawers/{shift_id}/close", counts[3])
    assert late == (409, "E_SHIFT_CLOSED")
    detail = await tell(pos, "GET", f"/shifts/{shift_id}")
    assert detail["cash_counted"] == won["cash_counted"]
    assert detail["z"] == [won["z"]]


async def test_R15_opening_and_closing_answer_again_as_the_first_time(pos: Outsider) -> None:
    opening, closing = new_ulid(), new_ulid()
    opened = await tell(pos, "POST", "/shifts/open", {"cash_open": FLOAT}, key=opening)
    closed = await close(pos, FLOAT, key=closing)
    ride = op("sale", await carousel(pos), shift_id=opened["shift_id"])
    await applied(pos, ride)  # a supplement does not reach back into the answer
    assert await tell(pos, "POST", "/shifts/open", {"cash_open": FLOAT}, key=opening) == opened
    assert await close(pos, FLOAT, key=closing) == closed


async def test_R28_the_z_of_a_shift_that_closes_while_30_sales_arrive_is_their_sum(
    pos: Outsider,
) -> None:
    shift_id = await pos.open_shift(FLOAT)
    body = await carousel(pos)
    sales = [send(pos, "POST", "/sales", body) for _ in range(30)]
    closing = op("shift_close", {"cash_counted": FLOAT}, shift_id=shift_id)
    *sold, (closed,) = await asyncio.gather(*sales[:15], *sales[15:], applied(pos, closing))
    named = [
        answer.json()["data"]["sale"]["shift_id"] for answer in sold if answer.status_code == 200
    ]
    refused = [answer.json()["error"]["code"] for answer in sold if answer.status_code != 200]
    assert set(named) <= {shift_id}
    assert set(refused) <= {"E_SHIFT_CLOSED"}
    assert len(named) + len(refused) == 30
    z = closed["z"]
    assert (z["sales"]["count"], z["sales"]["amount"]) == (len(named), len(named) * CAROUSEL)
    assert closed["cash_expected"] == FLOAT + len(named) * CAROUSEL
    assert (await z_of(pos, shift_id)) == [z]


async def test_R28_z_numbers_are_gapless_and_the_grand_total_never_resets(pos: Outsider) -> None:
    reports = []
    for day in range(1, 4):
        shift_id = await pos.open_shift(0)
        await pos.sell(("Carousel ride", day))
        closed = await close(pos, day * CAROUSEL)
        reports += await z_of(pos, shift_id)
        assert closed["z"] == reports[-1]
    assert [report["z_no"] for report in reports] == [1, 2, 3]
    assert [report["number"] for report in reports] == ["1", "2", "3"]
    assert [report["grand_total"] // CAROUSEL for report in reports] == [1, 3, 6]
    assert chained(reports)


async def test_R28_the_till_takes_the_number_and_a_used_one_is_kept_and_flagged(
    pos: Outsider,
) -> None:
    code = pos.device["device_code"]
    numbers: list[tuple[int, list[str]]] = []
    taken = ("Z000007", None, "Z000008", "Z000009", "Z000005", None)
    for receipt_no in (number and f"{code}-{number}" for number in taken):
        await pos.open_shift(0)
        body = {"cash_counted": 0} | ({"receipt_no": receipt_no} if receipt_no else {})
        closed = await tell(pos, "POST", "/shifts/close", body)
        assert closed["z"]["receipt_no"] == receipt_no
        numbers.append((closed["z"]["z_no"], closed["flags"]))
    used = ["z_no_used"]
    assert numbers == [(7, []), (8, []), (8, used), (9, []), (5, used), (10, [])]
    await pos.open_shift(0)
    for receipt_no, refused in (
        (f"{code}-Z000009", "E_CONFLICT"),
        ("ZZ-Z000010", "E_VALIDATION"),
        (f"{code}-S000010", "E_VALIDATION"),
    ):
        body = {"cash_counted": 0, "receipt_no": receipt_no}
        assert (await refusal(pos, "POST", "/shifts/close", body))[1] == refused


async def test_another_devices_drawer_is_not_there_for_a_till(pos: Outsider, api_url: str) -> None:
    shift_id = await pos.open_shift(FLOAT)
    async with httpx.AsyncClient(base_url=api_url, timeout=30) as http:
        other = await (await Outsider(http).pair("POS")).staff()
        await other.open_shift(0)
        body = {"cash_counted": 0}
        path = f"/cash_drawers/{shift_id}"
        assert await refusal(other, "POST", f"{path}/close", body) == (404, "E_NOT_FOUND")
        moved = {"type": "drop", "amount": 1}
        assert await refusal(other, "POST", f"{path}/movements", moved) == (404, "E_NOT_FOUND")
        for view in (path + "/summary", f"/shifts/{shift_id}", f"/shifts/{shift_id}/z"):
            assert await refusal(other, "GET", view) == (403, "E_PERMISSION")
        results = await sync(other, op("shift_close", body, shift_id=shift_id))
        assert (results[0]["status"], results[0]["code"]) == ("rejected", "E_NOT_FOUND")
        stranger = await Outsider(http).pair("POS", "DEMO-OTHER-PARK")
        assert await refusal(stranger, "GET", f"/shifts/{shift_id}") == (404, "E_NOT_FOUND")
    assert (await tell(pos, "GET", "/shifts/current"))["shift_id"] == shift_id


async def test_R28_a_supervisor_finalises_the_shift_of_a_lost_till(
    pos: Outsider, api_url: str
) -> None:
    shift_id = await pos.open_shift(FLOAT)
    await pos.sell(("Carousel ride", 2))
    path, body = f"/cash_drawers/{shift_id}/close", {"cash_counted": 0}
    async with office(api_url, {"email": "cashier@demo.playpark", "pin": "1111"}) as clerk:
        assert await refusal(clerk, "POST", path, body) == (403, "E_PERMISSION")
    async with office(api_url) as boss:
        numbered = body | {"receipt_no": f"{boss.device['device_code']}-Z000001"}
        assert (await refusal(boss, "POST", path, numbered))[1] == "E_VALIDATION"
        unknown = f"/cash_drawers/{new_ulid()}/close"
        assert await refusal(boss, "POST", unknown, body) == (404, "E_NOT_FOUND")
        closed = await tell(boss, "POST", path, body)
        assert set(closed["flags"]) == {"finalised", "variance_unapproved"}
        assert closed["z"]["sales"]["amount"] == 2 * CAROUSEL
        assert (await tell(boss, "GET", f"/shifts/{shift_id}"))["status"] == "closed"
        assert await refusal(boss, "POST", path, body) == (409, "E_SHIFT_CLOSED")
    assert await refusal(pos, "GET", "/shifts/current") == (409, "E_SHIFT_CLOSED")
    # The till turns up again with its own count, still blind: it is added, the next Z follows.
    assert await z_of(pos, shift_id) == []
    found = op("shift_close", {"cash_counted": FLOAT + 2 * CAROUSEL}, shift_id=shift_id)
    (late,) = await applied(pos, found)
    assert (late["cash_diff"], late["z"]["kind"]) == (0, "adjustment")
    assert "already_closed" in late["flags"]
    await pos.open_shift(0)
    following = (await close(pos, 0))["z"]
    assert following["number"] == str(closed["z"]["z_no"] + 1)
    assert chained([*await z_of(pos, shift_id), following])


async def test_R28_an_x_report_tells_all_and_needs_reports_view_or_an_approval(
    pos: Outsider,
) -> None:
    shift_id = await pos.open_shift(FLOAT)
    await pos.sell(("Carousel ride", 1))
    path = f"/shifts/{shift_id}/x"
    assert await refusal(pos, "GET", path) == (403, "E_PERMISSION")
    token = await approve(pos, "x_report", shift_id)
    looked = await tell(pos, "GET", path, approval=token)
    assert looked["drawer"]["cash_expected"] == FLOAT + CAROUSEL
    assert looked["totals"]["sales"]["count"] == 1
    assert looked["shift"]["status"] == "open"
    assert await refusal(pos, "GET", path, approval=token) == (403, "E_PERMISSION")
    await pos.staff(**SUPERVISOR)
    assert (await tell(pos, "GET", path))["drawer"] == looked["drawer"]
    await close(pos, FLOAT + CAROUSEL)
    assert await refusal(pos, "GET", path) == (409, "E_SHIFT_CLOSED")


async def test_the_list_of_shifts_goes_by_opening_time_and_filters(
    pos: Outsider, api_url: str
) -> None:
    opened = []
    for _ in range(3):
        opened.append(await pos.open_shift(0))
        await close(pos, 0)
    opened.append(await pos.open_shift(0))
    mine = {"device_id": pos.device["device_id"]}
    assert await refusal(pos, "GET", "/shifts", **mine) == (403, "E_PERMISSION")
    async with office(api_url) as boss:

        async def ids(**query: Any) -> list[str]:
            page = await tell(boss, "GET", "/shifts", **mine, **query)
            return [shift["shift_id"] for shift in page["items"]]

        assert await ids() == opened[::-1]
        assert await ids(status="open") == opened[3:]
        assert await ids(**{"from": "2020-01-01", "to": "2020-01-02"}) == []
        assert await ids(**{"from": "2020-01-01"}) == opened[::-1]
        first = await tell(boss, "GET", "/shifts", **mine, limit=3)
        rest = await tell(boss, "GET", "/shifts", **mine, cursor=first["next_cursor"])
        assert [shift["shift_id"] for shift in rest["items"]] == opened[:1]
        assert rest["next_cursor"] is None
        assert (await refusal(boss, "GET", "/shifts", cursor="x"))[1] == "E_VALIDATION"
        table = await send(boss, "GET", "/shifts", format="csv", **mine)
        header, *rows = table.text.split("\r\n")
        assert header.startswith("shift_id,device_id,business_date,status")
        assert [row.split(",")[0] for row in rows if row] == opened[::-1]
        assert table.headers["content-type"].startswith("text/csv")


async def test_shifts_opened_in_the_same_instant_are_each_listed_once(
    pos: Outsider, api_url: str
) -> None:
    at = datetime.now(UTC).isoformat()
    opened = [op("shift_open", {"cash_open": 0}, occurred_at=at) for _ in range(4)]
    await applied(pos, *opened)  # each supersedes the one before
    async with office(api_url) as boss:
        listed: list[str] = []
        cursor: dict[str, str] = {}
        while len(listed) <= len(opened):
            query = {"device_id": pos.device["device_id"], "limit": 1, **cursor}
            page = await tell(boss, "GET", "/shifts", **query)
            listed += [shift["shift_id"] for shift in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
    assert listed == sorted((each["op_id"] for each in opened), reverse=True)
