"""Tickets that a till has signed: at the gate before their sale has come, and when it comes (R22,
R23, decision 0020)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from api.reports.reconciling import reconcile
from api.reports.repository import all_stores
from playpark.contracts.reports import BookCheck
from playpark.ids import new_ulid
from playpark.tokens import mint_pp1, token_hash
from tests.api.drawers import applied, approve, refusal, send, sync, tell
from tests.api.inside import inside
from tests.api.offline import OfflineTill, day_of, row_of, scan, shown
from tests.api.selling import ADULT, Park, sell
from tests.outside import Outsider

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
PASSED = ("pass", None)


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    async with inside(mongo_uri, f"{database}_offline") as park:
        yield await Park.of(park)


@pytest.fixture(scope="module")
async def offline(park: Park) -> OfflineTill:
    return await OfflineTill.of(park)


@pytest.fixture(scope="module")
async def gate(park: Park) -> Outsider:
    return await park.inside.device("GATE")


async def package(park: Park, **fields: Any) -> str:
    made = await park.add("/catalog/packages", **{"price": ADULT, **fields})
    park.ids[made["package_id"]] = made["package_id"]
    return str(made["package_id"])


async def another(park: Park) -> OfflineTill:
    """A till whose certificate knows the packages of now."""
    return await OfflineTill.of(park)


# --- before the sale --------------------------------------------------------------------


async def test_R22_a_ticket_that_the_server_has_never_seen_admits_and_gets_its_row(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    ticket = offline.ticket()
    token = offline.token(ticket)
    assert await shown(gate, token) == PASSED
    row = await row_of(park, ticket)
    assert row is not None
    assert (row["status"], row["used"], row["kid"]) == ("pending", 1, ticket.key_id)
    assert row["device_id"] == offline.till.device["device_id"]
    assert (row["issued_at"], row["serial"]) == (ticket.issued_at, ticket.serial)
    assert (row["valid_from"], row["valid_to"]) == (ticket.valid_from, ticket.valid_to)
    assert row["token_hash"] == token_hash(token)
    assert (row["sale_id"], row["slice"]["payable"]) == ("", 0)


async def test_R20_it_is_spent_like_any_other(park: Park, offline: OfflineTill) -> None:
    gates = [await park.inside.device("GATE") for _ in range(2)]
    token = offline.token(offline.ticket())
    assert await shown(gates[0], token) == PASSED
    assert await shown(gates[1], token) == ("fail", "duplicate_use")
    ten = offline.ticket("10 entries")
    answer = await tell(gates[0], "POST", "/redemptions", {"qr_token": offline.token(ten)})
    assert (answer["result"], answer["remaining"], answer["kind"]) == ("pass", 9, "multi")


async def test_R20_shown_at_many_gates_at_once_it_admits_once(
    park: Park, offline: OfflineTill
) -> None:
    gates = [await park.inside.device("GATE") for _ in range(8)]
    for _ in range(3):
        ticket = offline.ticket()
        token = offline.token(ticket)
        answers = await asyncio.gather(*(shown(gate, token) for gate in gates for _ in range(3)))
        assert answers.count(PASSED) == 1
        assert set(answers) <= {PASSED, ("fail", "duplicate_use")}
        assert await park.count("tickets", ticket_id=ticket.ticket_id) == 1
        assert await park.count("redemptions", ticket_id=ticket.ticket_id) == 24


async def test_R52_who_only_asks_leaves_nothing_behind(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    ticket = offline.ticket("10 entries")
    body = {"qr_token": offline.token(ticket), "simulate": True}
    answer = await tell(gate, "POST", "/redemptions", body)
    assert (answer["result"], answer["remaining"]) == ("pass", 9)
    assert await row_of(park, ticket) is None
    now = offline.now.replace(microsecond=0)
    late = replace(ticket, valid_from=now + HOUR, valid_to=now + 2 * HOUR)
    body = {"qr_token": offline.token(late), "simulate": True}
    assert (await tell(gate, "POST", "/redemptions", body))["reason"] == "not_started"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"valid_from": HOUR, "valid_to": 2 * HOUR}, "not_started"),
        ({"valid_from": -2 * HOUR, "valid_to": -HOUR}, "expired"),
    ],
    ids=["early", "late"],
)
async def test_R19_its_validity_is_what_was_signed(
    offline: OfflineTill, gate: Outsider, claims: dict[str, timedelta], reason: str
) -> None:
    now = offline.now.replace(microsecond=0)
    times: dict[str, Any] = {name: now + by for name, by in claims.items()}
    ticket = offline.ticket(**times)
    assert await shown(gate, offline.token(ticket)) == ("fail", reason)


async def test_R22_where_the_zone_refuses_them_they_wait_for_their_sale(park: Park) -> None:
    careful = await park.add("/catalog/zones", pending="refuse")
    trusting = await park.add("/catalog/zones")
    anywhere = await package(park, kind="single")
    offline, gate = await another(park), await park.inside.device("GATE")
    ticket = offline.ticket(anywhere)
    token = offline.token(ticket)
    here, there = careful["zone_id"], trusting["zone_id"]
    assert await shown(gate, token, zone_id=here) == ("fail", "unknown_ticket")
    answer = await tell(gate, "POST", "/redemptions", {"qr_token": token, "zone_id": here})
    assert "sale of this ticket has not arrived" in answer["message"]
    await offline.arrives(ticket, lines=[{"package_id": anywhere, "qty": 1}])
    assert await shown(gate, token, zone_id=here) == PASSED
    assert await shown(gate, offline.token(offline.ticket(anywhere)), zone_id=there) == PASSED


async def test_R22_72_hours_after_it_was_issued_the_sale_must_have_come(
    mongo_uri: str, database: str
) -> None:
    async with inside(mongo_uri, f"{database}_offline_late") as fresh:
        park = await Park.of(fresh)
        season = await package(park, kind="multi", quota_or_minutes=99, valid_days=30)
        park.ids[season] = season
        offline = await another(park)
        last = offline.now.replace(microsecond=0) + timedelta(days=30)
        known = offline.ticket(season, valid_to=last)
        unknown = offline.ticket(season, valid_to=last)
        gate = await fresh.device("GATE")
        assert await shown(gate, offline.token(known)) == PASSED
        fresh.clock.advance(known.issued_at + 72 * HOUR - SECOND - fresh.clock.now())
        gate = await fresh.device("GATE")
        assert await shown(gate, offline.token(known)) == PASSED
        fresh.clock.advance(2 * SECOND)
        assert await shown(gate, offline.token(known)) == ("fail", "unknown_ticket")
        assert await shown(gate, offline.token(unknown)) == ("fail", "unknown_ticket")


async def test_R49_a_day_is_whole_with_a_pending_ticket_until_its_sale_is_overdue(
    mongo_uri: str, database: str
) -> None:
    async with inside(mongo_uri, f"{database}_offline_books") as fresh:
        park = await Park.of(fresh)
        offline, gate = await another(park), await fresh.device("GATE")
        arrived, missing = offline.ticket(), offline.ticket()
        day = day_of(offline.now)
        await offline.arrives(arrived)
        for ticket in (arrived, missing):
            assert await shown(gate, offline.token(ticket)) == PASSED
        uow = fresh.platform.uow
        (store,) = [each for each in await all_stores(uow.reading()) if each.name == "Main Gate"]
        assert (await reconcile(uow, store, day)).breaks == []
        fresh.clock.advance(72 * HOUR + SECOND)
        (found,) = (await reconcile(uow, store, day)).breaks
        assert (found.check, found.collection) == (BookCheck.ORPHANS, "tickets")
        assert found.document_id.endswith(missing.ticket_id)
        assert offline.till.device["device_id"] in found.why


async def test_R44_it_is_nothing_in_another_park_or_store(park: Park, offline: OfflineTill) -> None:
    other = await Outsider(park.inside.http).pair("GATE", "DEMO-OTHER-PARK")
    ticket = offline.ticket()
    assert await shown(other, offline.token(ticket)) == ("fail", "invalid_sig")
    assert await row_of(park, ticket) is None


async def test_R33_what_a_gate_let_in_by_itself_gets_its_row_too(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    ticket = offline.ticket()
    (answer,) = await applied(gate, scan(offline.token(ticket), offline.now))
    assert (answer["result"], answer["ticket_id"]) == ("pass", ticket.ticket_id)
    row = await row_of(park, ticket)
    assert row is not None
    assert (row["status"], row["used"]) == ("pending", 1)


async def test_R21_without_a_certificate_no_ticket_is_read(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    """A forged token of a ticket that exists learns nothing of it."""
    ticket = offline.ticket()
    await shown(gate, offline.token(ticket))
    forger = replace(offline, key=(await another(park)).key)
    answer = await tell(gate, "POST", "/redemptions", {"qr_token": forger.token(ticket)})
    assert (answer["reason"], answer["ticket_id"], answer["kind"]) == ("invalid_sig", None, None)


# --- the sale comes ---------------------------------------------------------------------


async def test_R22_the_sale_upgrades_what_gates_have_made_and_keeps_what_was_used(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    used, unused = offline.ticket(), offline.ticket()
    tokens = [offline.token(used), offline.token(unused)]
    assert await shown(gate, tokens[0]) == PASSED
    before = await row_of(park, used)
    answer = await offline.arrives(used, unused)
    assert before is not None
    assert answer["sale"]["flags"] == []
    row = await row_of(park, used)
    assert row is not None
    kept = (
        "used",
        "last_pass_at",
        "inside",
        "ends_at",
        "kid",
        "token_hash",
        "serial",
        "created_at",
    )
    assert {name: row[name] for name in kept} == {name: before[name] for name in kept}
    assert row["status"] == "active"
    assert row["sale_id"] == answer["sale"]["sale_id"]
    assert row["slice"]["payable"] == ADULT
    assert row["short_code"] == answer["tickets"][0]["short_code"] != before["short_code"]
    assert await shown(gate, tokens[0]) == ("fail", "duplicate_use")
    assert await shown(gate, tokens[1]) == PASSED
    found = (await tell(gate, "GET", "/tickets", qr=tokens[0]))["items"]
    assert [each["ticket_id"] for each in found] == [used.ticket_id]


async def test_R22_a_timepass_goes_on_by_the_clock_that_it_started(
    park: Park, gate: Outsider
) -> None:
    hour = await package(park, kind="timepass", quota_or_minutes=60)
    offline = await another(park)
    ticket = offline.ticket(hour)
    assert await shown(gate, offline.token(ticket)) == PASSED
    before = await row_of(park, ticket)
    body = {"lines": [{"package_id": hour, "qty": 1}]}
    await offline.arrives(ticket, **body)
    row = await row_of(park, ticket)
    assert before is not None
    assert row is not None
    assert row["ends_at"] == before["ends_at"] == before["last_pass_at"] + HOUR
    assert (row["status"], row["kind"]) == ("active", "timepass")


async def test_R15_the_answer_is_the_same_again_whatever_has_been_used(
    offline: OfflineTill, gate: Outsider
) -> None:
    ticket = offline.ticket()
    await shown(gate, offline.token(ticket))
    operation = await offline.op(ticket)
    (first,) = await sync(offline.till, operation)
    (again,) = await sync(offline.till, operation)
    assert (first["status"], again["status"]) == ("applied", "duplicate")
    assert first["result"] == again["result"]
    assert first["result"]["tickets"][0]["used"] == 0
    assert first["result"]["tickets"][0]["status"] == "active"


async def test_R23_no_other_token_is_handed_out_or_valid_for_what_is_printed(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    ticket = offline.ticket()
    answer = await offline.arrives(ticket)
    assert answer["tickets"][0]["qr_token"] == offline.token(ticket)
    scope = await park.inside.scope(park.owner)
    keys = await park.inside.platform.ticket_keys(scope)
    pp1 = mint_pp1(keys.by_kid, keys.current, scope.tenant_id, ticket.ticket_id)
    assert await shown(gate, pp1) == ("fail", "invalid_sig")
    assert await shown(gate, offline.token(ticket)) == PASSED


async def test_R21_and_no_offline_token_is_valid_for_what_was_sold_online(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    ticket = offline.ticket()
    body = park.adult(ticket_ids=[[ticket.ticket_id]])
    sold = await sell(offline.till, body)
    assert await shown(gate, offline.token(ticket)) == ("fail", "invalid_sig")
    assert await shown(gate, sold["tickets"][0]["qr_token"]) == PASSED


async def test_R25_a_reprint_gives_the_same_token_again(park: Park, gate: Outsider) -> None:
    offline = await another(park)
    used, unused = offline.ticket(), offline.ticket()
    await shown(gate, offline.token(used))
    sale_id = (await offline.arrives(used, unused))["sale"]["sale_id"]
    body = {"sale_id": sale_id, "reason_code": "paper_jam"}
    approval = await approve(offline.till, "reprint", sale_id)
    reprint = await tell(offline.till, "POST", "/reprints", body, approval=approval)
    tokens = [each["qr_token"] for each in reprint["tickets"]]
    assert tokens == [offline.token(used), offline.token(unused)]


async def test_R22_what_is_stored_of_a_token_is_sealed(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    tickets = [offline.ticket(), offline.ticket()]
    await shown(gate, offline.token(tickets[0]))
    await offline.arrives(*tickets)
    for ticket in tickets:
        row = await row_of(park, ticket)
        assert row is not None
        assert row["sealed_signature"].startswith("gAAAAA")
        assert offline.token(ticket) not in str(row)


async def test_R16_another_till_s_pending_ticket_is_a_conflict_and_stays_as_it_is(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    ticket = offline.ticket()
    await shown(gate, offline.token(ticket))
    before = await row_of(park, ticket)
    thief = await another(park)
    for tokens in ([[offline.token(ticket)]], [[thief.token(ticket)]], None):
        operation = await thief.op(ticket, tokens=tokens)
        (result,) = await sync(thief.till, operation)
        assert (result["status"], result["code"]) == ("rejected", "E_CONFLICT")
    assert await row_of(park, ticket) == before
    assert await park.count("sales", device_id=thief.till.device["device_id"]) == 0
    await offline.arrives(ticket)


async def test_R16_a_ticket_of_another_sale_is_not_taken_over(
    park: Park, offline: OfflineTill
) -> None:
    ticket = offline.ticket()
    await offline.arrives(ticket)
    (result,) = await sync(offline.till, await offline.op(ticket))
    assert (result["status"], result["code"]) == ("rejected", "E_CONFLICT")


# --- tokens that do not hold ------------------------------------------------------------


async def test_R17_money_that_was_taken_is_booked_and_a_bad_token_is_flagged(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    other = await another(park)
    tickets = [offline.ticket() for _ in range(6)]
    bad = {
        "forged": other.token(tickets[0]),
        "nonsense": "PP2.NONSENSE",
        "an online one": "PP1." + "0" * 56,
        "another till's": other.token(other.ticket(ticket_id=tickets[3].ticket_id)),
        "another package": offline.token(replace(tickets[4], package_id=new_ulid())),
        "beyond its grant": offline.token(replace(tickets[5], serial=99_999)),
    }
    for ticket, (name, token) in zip(tickets, bad.items(), strict=True):
        answer = await offline.arrives(ticket, tokens=[[token]])
        assert answer["sale"]["flags"] == ["offline_token_invalid"], name
        # The guest gets another paper: the server's own key has signed the ticket.
        assert answer["tickets"][0]["qr_token"].startswith("PP1."), name
        assert await shown(gate, token) != PASSED, name
        assert await shown(gate, answer["tickets"][0]["qr_token"]) == PASSED, name


async def test_R22_a_serial_stands_once_under_its_certificate(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    first = offline.ticket()
    second = replace(first, ticket_id=new_ulid())
    third = replace(first, ticket_id=new_ulid())
    assert await shown(gate, offline.token(first)) == PASSED
    assert await shown(gate, offline.token(second)) == ("fail", "invalid_sig")
    assert await row_of(park, second) is None
    answer = await offline.arrives(second)
    assert answer["sale"]["flags"] == ["offline_token_invalid"]
    fresh = offline.ticket()
    twice = [fresh, replace(fresh, ticket_id=new_ulid())]
    answer = await offline.arrives(*twice)
    assert answer["sale"]["flags"] == ["offline_token_invalid"]
    tokens = [each["qr_token"] for each in answer["tickets"]]
    assert sorted(token[:3] for token in tokens) == ["PP1", "PP2"]
    assert await row_of(park, third) is None


async def test_R22_serials_shown_at_once_admit_one_ticket(park: Park, offline: OfflineTill) -> None:
    gates = [await park.inside.device("GATE") for _ in range(6)]
    ticket = offline.ticket()
    copies = [replace(ticket, ticket_id=new_ulid()) for _ in gates]
    answers = await asyncio.gather(
        *(shown(gate, offline.token(copy)) for gate, copy in zip(gates, copies, strict=True))
    )
    assert answers.count(PASSED) == 1
    assert answers.count(("fail", "invalid_sig")) == 5


async def test_R30_a_paper_that_says_something_else_than_the_sale_stands_and_is_flagged(
    park: Park, offline: OfflineTill
) -> None:
    longer = offline.ticket(valid_to=offline.ticket().valid_to + 24 * HOUR)
    answer = await offline.arrives(longer)
    assert answer["sale"]["flags"] == ["offline_claims_differ"]
    row = await row_of(park, longer)
    assert row is not None
    assert row["valid_to"] == longer.valid_to
    assert answer["tickets"][0]["valid_to"].startswith(f"{longer.valid_to:%Y-%m-%dT%H}")


async def test_R22_a_sale_in_the_middle_of_a_scan_leaves_one_row_used_once(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    for _ in range(6):
        ticket = offline.ticket()
        operation = await offline.op(ticket)
        token = offline.token(ticket)
        (result,), answer = await asyncio.gather(sync(offline.till, operation), shown(gate, token))
        assert (result["status"], answer) == ("applied", PASSED)
        row = await row_of(park, ticket)
        assert row is not None
        assert (row["status"], row["used"]) == ("active", 1)


async def test_R17_only_a_sale_that_has_happened_has_printed_tickets(
    offline: OfflineTill,
) -> None:
    ticket = offline.ticket()
    operation = await offline.op(ticket) | {"committed": False}
    (result,) = await sync(offline.till, operation)
    assert (result["status"], result["code"]) == ("rejected", "E_VALIDATION")


@pytest.mark.parametrize(
    "tokens",
    [[], [[]], [["PP2.A", "PP2.B"]], [[""]], [["A" * 201]], [[5]], "PP2.", [[{"$ne": ""}]]],
    ids=repr,
)
async def test_R17_tokens_of_another_shape_than_the_tickets_are_no_sale(
    offline: OfflineTill, tokens: Any
) -> None:
    operation = await offline.op(offline.ticket(), tokens=tokens)
    answer = await send(offline.till, "POST", "/sync/batch", {"epoch": 1, "ops": [operation]})
    if answer.status_code == 200:
        (result,) = answer.json()["data"]["results"]
        assert (result["status"], result["code"]) == ("rejected", "E_VALIDATION")
    else:
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "E_VALIDATION")


async def test_R32_a_practice_sale_prints_no_tickets_of_its_own(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    ticket = offline.ticket()
    answer = await offline.arrives(ticket, training=True)
    assert answer["tickets"][0]["qr_token"].startswith("PPT.")
    assert await row_of(park, ticket) is None


# --- what others may do with a pending ticket -------------------------------------------


async def test_R22_nothing_but_a_gate_acts_on_a_ticket_whose_sale_has_not_come(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    ticket = offline.ticket()
    await shown(gate, offline.token(ticket))
    view = await tell(gate, "GET", f"/tickets/{ticket.ticket_id}")
    assert (view["status"], view["used"], view["payable"]) == ("pending", 1, 0)
    assert (await tell(gate, "GET", "/tickets", short_code=ticket.ticket_id[:20]))["items"] == []
    asked_for = (
        ("reprint", "/reprints", {"ticket_ids": [ticket.ticket_id]}, (404, "E_NOT_FOUND")),
        ("exchange", "/tickets/exchange", {"ticket_id": ticket.ticket_id}, (409, "E_CONFLICT")),
        ("ticket_cancel", "/tickets/cancel", {"ticket_id": ticket.ticket_id}, (409, "E_CONFLICT")),
    )
    for action, path, what, expected in asked_for:
        approval = await approve(offline.till, action, ticket.ticket_id)
        body = {**what, "reason_code": "customer_request"}
        answer = await refusal(offline.till, "POST", path, body, approval=approval)
        assert answer == expected, path
    row = await row_of(park, ticket)
    assert row is not None
    assert row["status"] == "pending"
