"""A sale that the server has answered while its till printed tickets of its own: what is on the
paper is the ticket, in whatever order the server hears of it (R22, R23, decision 0028)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from playpark.offline_tickets import OfflineTicket
from playpark.tokens import mint_pp1, token_hash
from tests.api.drawers import applied, approve, sync, tell
from tests.api.inside import inside
from tests.api.offline import OfflineTill, row_of, scan, shown
from tests.api.selling import ADULT, Park, sell
from tests.outside import Outsider

PASSED, DUPLICATE = ("pass", None), ("fail", "duplicate_use")
INVALID = ("fail", "invalid_sig")
SALE, TOLD, ONLINE, OFFLINE = "sale", "told", "shown online", "let in offline"
ORDERS = [
    order
    for heard in ({SALE, TOLD, ONLINE}, {SALE, TOLD, OFFLINE}, {TOLD, ONLINE}, {TOLD, OFFLINE})
    for order in permutations(sorted(heard))
]
"""Every order in which the server may hear of it: the sale as it was first sent, without a word of
the paper, perhaps never; the same sale with what was printed; and the paper at a gate."""


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    async with inside(mongo_uri, f"{database}_printed") as park:
        yield await Park.of(park)


@pytest.fixture(scope="module")
async def offline(park: Park) -> OfflineTill:
    return await OfflineTill.of(park)


@pytest.fixture(scope="module")
async def gate(park: Park) -> Outsider:
    return await park.inside.device("GATE")


@dataclass
class Lost:
    """A sale that the till has sent and that was never answered, and what it printed then."""

    till: OfflineTill
    tickets: list[OfflineTicket]
    sent: dict[str, Any]

    @classmethod
    async def of(cls, till: OfflineTill, *tickets: OfflineTicket, **body: Any) -> "Lost":
        sold = list(tickets) or [till.ticket()]
        return cls(till, sold, await till.op(*sold, tokens=None, **body))

    @property
    def ticket(self) -> OfflineTicket:
        return self.tickets[0]

    @property
    def token(self) -> str:
        return self.till.token(self.ticket)

    def told(self, *tokens: str) -> dict[str, Any]:
        """The operation with what the till has printed of it."""
        printed = list(tokens) or [self.till.token(each) for each in self.tickets]
        return self.sent | {"local": {"printed": True, "tokens": [printed]}}

    async def arrives(self) -> dict[str, Any]:
        """The server books it; nobody hears the answer but the test."""
        (answer,) = await applied(self.till.till, self.sent)
        return answer

    async def tells(self, *tokens: str) -> dict[str, Any]:
        (result,) = await sync(self.till.till, self.told(*tokens))
        return result


async def state(park: Park, ticket: OfflineTicket) -> dict[str, Any]:
    found = await row_of(park, ticket)
    assert found is not None
    return found


async def server_token(park: Park, ticket: OfflineTicket) -> str:
    """The PP1 that the lost answer had of it."""
    scope = await park.inside.scope(park.owner)
    keys = await park.inside.platform.ticket_keys(scope)
    return mint_pp1(keys.by_kid, keys.current, scope.tenant_id, ticket.ticket_id)


# --- every order ------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS, ids=", ".join)
async def test_R23_whatever_is_heard_first_the_paper_is_the_ticket(
    park: Park, offline: OfflineTill, gate: Outsider, order: tuple[str, ...]
) -> None:
    lost = await Lost.of(offline)
    for heard in order:
        if heard == ONLINE:
            assert await shown(gate, lost.token) == PASSED
        elif heard == OFFLINE:
            (answer,) = await applied(gate, scan(lost.token, offline.now))
            assert answer["result"] == "pass"
        else:
            (result,) = await sync(offline.till, lost.sent if heard == SALE else lost.told())
            assert result["status"] in {"applied", "duplicate"}
    row = await state(park, lost.ticket)
    assert (row["status"], row["used"], row["sale_id"] != "") == ("active", 1, True)
    assert (row["kid"], row["token_hash"]) == (lost.ticket.key_id, token_hash(lost.token))
    assert (row["serial"], row["issued_at"]) == (lost.ticket.serial, lost.ticket.issued_at)
    assert row["slice"]["payable"] == ADULT
    (redemption,) = await park.db.redemptions.find({"ticket_id": row["ticket_id"]}).to_list(9)
    assert (redemption["result"], redemption["flags"]) == ("pass", [])
    assert await park.count("sales", op_id=lost.sent["op_id"]) == 1
    assert await park.count("events", **{"data.redemption_id": redemption["_id"]}) == 1
    assert await shown(gate, lost.token) == DUPLICATE
    assert await shown(gate, await server_token(park, lost.ticket)) == INVALID
    for again in (lost.told(), lost.sent):
        (result,) = await sync(offline.till, again)
        (ticket,) = result["result"]["tickets"]
        assert (result["status"], ticket["used"]) == ("duplicate", 0)
        assert ticket["qr_token"] == lost.token
    approval = await approve(offline.till, "reprint", row["sale_id"])
    body = {"sale_id": row["sale_id"], "reason_code": "paper_jam"}
    reprint = await tell(offline.till, "POST", "/reprints", body, approval=approval)
    assert [each["qr_token"] for each in reprint["tickets"]] == [lost.token]


async def test_R23_all_of_a_sale_at_once_at_gates_and_from_the_till_ends_in_one_ticket(
    park: Park, offline: OfflineTill
) -> None:
    gates = [await park.inside.device("GATE") for _ in range(4)]
    for _ in range(5):
        lost = await Lost.of(offline)
        await lost.arrives()
        (told, *answers) = await asyncio.gather(
            lost.tells(), *(shown(gate, lost.token) for gate in gates)
        )
        assert told["status"] == "duplicate"
        assert sorted(answers) == [DUPLICATE] * 3 + [PASSED]
        row = await state(park, lost.ticket)
        assert (row["kid"], row["used"]) == (lost.ticket.key_id, 1)


# --- what the till tells after the answer -----------------------------------------------


async def test_R15_the_first_answer_had_tokens_that_nobody_has_printed(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    lost = await Lost.of(offline, offline.ticket(), offline.ticket())
    first = await lost.arrives()
    assert all(each["qr_token"].startswith("PP1.") for each in first["tickets"])
    (same,) = await sync(offline.till, lost.sent)
    assert same["result"] == first
    told = await lost.tells()
    assert (told["status"], told["result"]["sale"]) == ("duplicate", first["sale"])
    printed = [offline.token(each) for each in lost.tickets]
    assert [each["qr_token"] for each in told["result"]["tickets"]] == printed
    for ticket in lost.tickets:
        assert await shown(gate, await server_token(park, ticket)) == INVALID
        assert await shown(gate, offline.token(ticket)) == PASSED
    record = await park.db.operations.find_one({"op_id": lost.sent["op_id"]})
    assert record["local"]["printed"] is True
    assert "PP2." not in str(record)
    (row,) = await park.db.audits.find(
        {"event_type": "sale.tickets_printed", "entity_id": first["sale"]["sale_id"]}
    ).to_list(9)
    said = {"receipt_no": first["sale"]["receipt_no"], "tickets": 2, "flags": []}
    assert row["payload"] == said


async def test_R14_what_was_printed_is_told_once(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    lost = await Lost.of(offline)
    await lost.arrives()
    await lost.tells()
    other = replace(lost.ticket, serial=offline.ticket().serial)
    assert (await lost.tells(offline.token(other)))["status"] == "duplicate"
    assert (await state(park, lost.ticket))["serial"] == lost.ticket.serial
    assert await shown(gate, lost.token) == PASSED
    assert await shown(gate, offline.token(other)) == DUPLICATE


async def test_R23_the_paper_stands_whatever_has_become_of_the_ticket(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    """Somebody at another till had the guest's ticket printed again, used and cancelled."""
    used, cancelled = await Lost.of(offline), await Lost.of(offline)
    for lost in (used, cancelled):
        await lost.arrives()
    pp1 = await server_token(park, used.ticket)
    assert await shown(gate, pp1) == PASSED
    approval = await approve(offline.till, "ticket_cancel", cancelled.ticket.ticket_id)
    body = {"ticket_id": cancelled.ticket.ticket_id, "reason_code": "customer_request"}
    await tell(offline.till, "POST", "/tickets/cancel", body, approval=approval)
    for lost in (used, cancelled):
        await lost.tells()
    assert await shown(gate, used.token) == DUPLICATE
    assert await shown(gate, pp1) == INVALID
    assert await shown(gate, cancelled.token) == ("fail", "cancelled")


async def test_R17_what_does_not_hold_is_flagged_and_the_other_tickets_are_switched(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    other = await OfflineTill.of(park)
    spent = offline.ticket()
    await offline.arrives(spent)
    good = offline.ticket()
    bad = {
        "forged": replace(offline, key=other.key).token,
        "nonsense": lambda _: "PP2.NONSENSE",
        "another ticket's": lambda _: offline.token(offline.ticket()),
        "another till's": lambda each: other.token(replace(each, key_id=other.certificate.key_id)),
        "serial taken": lambda each: offline.token(replace(each, serial=spent.serial)),
    }
    for name, make in bad.items():
        ticket, good = offline.ticket(), offline.ticket()
        lost = await Lost.of(offline, good, ticket)
        sold = await lost.arrives()
        told = await lost.tells(offline.token(good), make(ticket))
        assert told["status"] == "duplicate", name
        (row,) = await park.db.audits.find(
            {"event_type": "sale.tickets_printed", "entity_id": sold["sale"]["sale_id"]}
        ).to_list(9)
        assert (row["payload"]["tickets"], row["payload"]["flags"]) == (
            1,
            ["offline_token_invalid"],
        ), name
        tokens = [each["qr_token"] for each in told["result"]["tickets"]]
        assert tokens == [offline.token(good), sold["tickets"][1]["qr_token"]], name
        assert await shown(gate, offline.token(good)) == PASSED, name
        assert await shown(gate, tokens[1]) == PASSED, name


async def test_R30_a_paper_that_says_something_else_stands_and_is_flagged(
    park: Park, offline: OfflineTill
) -> None:
    for seen_at_a_gate in (False, True):
        ticket = offline.ticket(valid_to=offline.ticket().valid_to + timedelta(days=1))
        lost = await Lost.of(offline, ticket)
        if seen_at_a_gate:
            assert await shown(await park.inside.device("GATE"), lost.token) == PASSED
            answer = await lost.arrives()
            assert answer["sale"]["flags"] == ["offline_claims_differ"]
        else:
            sold = await lost.arrives()
            await lost.tells()
            (row,) = await park.db.audits.find(
                {"event_type": "sale.tickets_printed", "entity_id": sold["sale"]["sale_id"]}
            ).to_list(9)
            assert row["payload"]["flags"] == ["offline_claims_differ"]
        assert (await state(park, ticket))["valid_to"] == ticket.valid_to


async def test_R17_only_a_sale_that_has_happened_has_printed_anything(
    park: Park, offline: OfflineTill
) -> None:
    lost = await Lost.of(offline)
    lost.sent["committed"] = False
    await lost.arrives()
    told = await lost.tells()
    assert (told["status"], told["code"]) == ("rejected", "E_VALIDATION")
    assert (await state(park, lost.ticket))["serial"] is None
    (told,) = await sync(offline.till, lost.told() | {"committed": True})
    assert told["status"] == "duplicate"
    assert (await state(park, lost.ticket))["serial"] == lost.ticket.serial


@pytest.mark.parametrize("tokens", [["A"], ["A", "B", "C"], ["A", "A"]], ids=len)
async def test_R17_another_number_of_tokens_is_told_again_before_it_counts(
    park: Park, offline: OfflineTill, tokens: list[str]
) -> None:
    lost = await Lost.of(offline, offline.ticket(), offline.ticket())
    await lost.arrives()
    told = await lost.tells(*tokens)
    assert (told["status"], told["code"]) == ("rejected", "E_VALIDATION")
    assert (await lost.tells())["status"] == "duplicate"
    for ticket in lost.tickets:
        assert (await state(park, ticket))["kid"] == ticket.key_id


async def test_R32_a_practice_sale_is_told_of_nothing(park: Park, offline: OfflineTill) -> None:
    lost = await Lost.of(offline, training=True)
    first = await lost.arrives()
    told = await lost.tells()
    assert (told["status"], told["result"]) == ("duplicate", first)
    assert await row_of(park, lost.ticket) is None


# --- the paper at a gate before the till has told ---------------------------------------


async def test_R22_a_pending_ticket_is_upgraded_by_a_sale_that_tells_no_tokens(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    """The till was too slow to tell: the sale was on its way, and its guest was faster."""
    lost = await Lost.of(offline, offline.ticket(), offline.ticket())
    assert await shown(gate, lost.token) == PASSED
    answer = await lost.arrives()
    assert answer["sale"]["flags"] == []
    first, second = answer["tickets"]
    assert (first["qr_token"], second["qr_token"][:4]) == (lost.token, "PP1.")
    row = await state(park, lost.ticket)
    assert (row["status"], row["used"], row["kid"]) == ("active", 1, lost.ticket.key_id)
    assert await shown(gate, offline.token(lost.tickets[1])) == PASSED


async def test_R16_another_tills_pending_ticket_is_a_conflict_with_or_without_tokens(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    lost, other = await Lost.of(offline), await OfflineTill.of(park)
    assert await shown(gate, lost.token) == PASSED
    for tokens in (None, [[lost.token]]):
        (result,) = await sync(other.till, await other.op(lost.ticket, tokens=tokens))
        assert (result["status"], result["code"]) == ("rejected", "E_CONFLICT")
    assert (await lost.tells())["status"] == "applied"


async def test_R52_who_only_asks_is_told_what_the_gate_would_say_and_changes_nothing(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    lost = await Lost.of(offline)
    await lost.arrives()
    before = await state(park, lost.ticket)
    body = {"qr_token": lost.token, "simulate": True}
    assert (await tell(gate, "POST", "/redemptions", body))["result"] == "pass"
    (found,) = (await tell(gate, "GET", "/tickets", qr=lost.token))["items"]
    assert found["ticket_id"] == lost.ticket.ticket_id
    assert await state(park, lost.ticket) == before
    assert await shown(gate, lost.token) == PASSED


async def test_R23_where_the_sale_has_told_another_paper_the_window_is_shut(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    """Told that it printed what the server had answered, or a token that does not hold."""
    for local in ({"printed": True}, {"printed": True, "tokens": [["PP2.NONSENSE"]]}):
        before, after = await Lost.of(offline), await Lost.of(offline)
        await applied(offline.till, before.sent | {"local": local})
        await after.arrives()
        await sync(offline.till, after.sent | {"local": local})
        for lost in (before, after):
            kept = await state(park, lost.ticket)
            assert await shown(gate, lost.token) == INVALID
            assert await state(park, lost.ticket) == kept


async def test_R21_no_offline_token_is_valid_for_what_was_sold_at_the_direct_route(
    park: Park, offline: OfflineTill, gate: Outsider
) -> None:
    ticket = offline.ticket()
    sold = await sell(offline.till, park.adult(ticket_ids=[[ticket.ticket_id]]))
    assert await shown(gate, offline.token(ticket)) == INVALID
    assert await shown(gate, sold["tickets"][0]["qr_token"]) == PASSED
