"""Sell, admit, refuse: what an outside client that knows API.md sees."""

import asyncio
from typing import Any

import httpx

from playpark.ids import new_ulid
from tests.outside import Outsider


async def redeem(gate: Outsider, **body: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await gate.data("POST", "/v1/tickets/redeem", body, key=new_ulid())
    return answer


async def test_an_outside_client_sells_and_redeems(till: Outsider, gate: Outsider) -> None:
    sold = await till.sell(("Adult day pass", 2))
    sale, tickets = sold["sale"], sold["tickets"]
    assert sale["grand_total"] == 39_800
    assert sale["tax_total"] == 2_604  # 39 800 × 7 / 107, half-up
    assert sale["payment_method"] == "cash"
    assert len(tickets) == 2
    assert all(len(ticket["qr_token"]) == 60 for ticket in tickets)

    first = await redeem(gate, qr_token=tickets[0]["qr_token"])
    assert (first["result"], first["reason"]) == ("pass", None)
    again = await redeem(gate, qr_token=tickets[0]["qr_token"])
    assert (again["result"], again["reason"]) == ("fail", "duplicate_use")
    assert "already used" in again["message"]


async def test_R20_fifty_parallel_redeems_of_a_single_ticket_pass_once(
    till: Outsider, gate: Outsider
) -> None:
    sold = await till.sell(("Adult day pass", 1))
    token = sold["tickets"][0]["qr_token"]
    answers = await asyncio.gather(*(redeem(gate, qr_token=token) for _ in range(50)))
    assert [answer["result"] for answer in answers].count("pass") == 1
    assert {answer["reason"] for answer in answers} == {None, "duplicate_use"}


async def test_R15_the_same_sale_sent_again_is_answered_as_the_first_time(till: Outsider) -> None:
    packages = await till.packages()
    body = {
        "lines": [{"package_id": packages["Carousel ride"]["package_id"], "qty": 1}],
        "payments": [{"method": "cash", "amount": 4000, "tendered": 5000}],
    }
    key = new_ulid()
    first = await till.call("POST", "/v1/sales", body, key=key)
    second = await till.call("POST", "/v1/sales", body, key=key)
    assert first.json()["data"] == second.json()["data"]
    assert first.json()["data"]["sale"]["change"] == 1000
    assert second.headers["Idempotent-Replayed"] == "true"
    body["payments"][0]["tendered"] = 6000
    other = await till.call("POST", "/v1/sales", body, key=key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "E_IDEMPOTENCY_MISMATCH")


async def test_R15_twenty_parallel_sends_of_one_sale_have_one_effect(till: Outsider) -> None:
    key = new_ulid()
    answers = await asyncio.gather(*(till.sell(("Carousel ride", 1), key=key) for _ in range(20)))
    assert len({answer["sale"]["sale_id"] for answer in answers}) == 1
    closed = await till.data("POST", "/v1/shifts/close", {"cash_counted": 104_000}, key=new_ulid())
    assert closed["z"]["sales"]["count"] == 1
    assert closed["cash_diff"] == 0


async def test_a_multi_ticket_counts_down_and_refuses_a_hasty_second_showing(
    till: Outsider, gate: Outsider
) -> None:
    sold = await till.sell(("10 entries", 1))
    token = sold["tickets"][0]["qr_token"]
    first = await redeem(gate, qr_token=token)
    assert (first["result"], first["remaining"]) == ("pass", 9)
    hasty = await redeem(gate, qr_token=token)
    assert (hasty["result"], hasty["reason"]) == ("fail", "duplicate_use")


async def test_a_bundle_issues_its_components_and_their_money_sums(till: Outsider) -> None:
    sold = await till.sell(("Family bundle", 2))
    names = [ticket["package_name"] for ticket in sold["tickets"]]
    assert names == ["Adult day pass"] * 2 + ["Child day pass"] * 2 + names[4:]
    assert len(names) == 8
    assert sum(ticket["payable"] for ticket in sold["tickets"]) == sold["sale"]["grand_total"]


async def test_every_kind_of_ticket_admits(till: Outsider, gate: Outsider) -> None:
    zones = (await gate.data("GET", "/v1/catalog/snapshot"))["zones"]
    ball_pit = next(zone["zone_id"] for zone in zones if zone["name"] == "Ball Pit")
    left = {}
    for name in ("2-hour pass", "Play credit 500", "Carousel ride"):
        token = (await till.sell((name, 1)))["tickets"][0]["qr_token"]
        answer = await redeem(gate, qr_token=token, zone_id=ball_pit)
        assert answer["result"] == "pass", answer
        left[name] = answer["remaining"]
    assert left == {"2-hour pass": 120, "Play credit 500": 44_000, "Carousel ride": 0}


async def test_a_ticket_of_another_zone_is_refused_there(till: Outsider, gate: Outsider) -> None:
    zones = (await gate.data("GET", "/v1/catalog/snapshot"))["zones"]
    water = next(zone["zone_id"] for zone in zones if zone["name"] == "Water Park")
    token = (await till.sell(("Carousel ride", 1)))["tickets"][0]["qr_token"]
    answer = await redeem(gate, qr_token=token, zone_id=water)
    assert (answer["result"], answer["reason"]) == ("fail", "wrong_device")


async def test_a_short_code_admits_and_a_mistyped_one_does_not(
    till: Outsider, gate: Outsider
) -> None:
    code = (await till.sell(("Adult day pass", 1)))["tickets"][0]["short_code"]
    wrong = code[:-1] + ("0" if code[-1] != "0" else "1")
    assert (await redeem(gate, short_code=wrong))["reason"] == "unknown_ticket"
    assert (await redeem(gate, short_code=f"{code[:4]}-{code[4:].lower()}"))["result"] == "pass"


async def test_R52_a_simulation_writes_nothing(till: Outsider, gate: Outsider) -> None:
    token = (await till.sell(("Adult day pass", 1)))["tickets"][0]["qr_token"]
    for _ in range(2):
        answer = await redeem(gate, qr_token=token, simulate=True)
        assert (answer["result"], answer["redemption_id"]) == ("pass", None)
    assert (await redeem(gate, qr_token=token))["result"] == "pass"


async def test_R21_foreign_and_forged_tokens_are_invalid_and_still_written(
    till: Outsider, gate: Outsider, outside: Outsider
) -> None:
    token = (await till.sell(("Adult day pass", 1)))["tickets"][0]["qr_token"]
    forged = token[:-1] + ("A" if token[-1] != "A" else "B")
    for text in (forged, "https://example.org", token.replace("PP1", "PP9"), token[:59]):
        answer = await redeem(gate, qr_token=text)
        assert (answer["result"], answer["reason"]) == ("fail", "invalid_sig")
        assert answer["redemption_id"]
    stranger = await outside.pair("GATE", "DEMO-OTHER-PARK")
    answer = await redeem(stranger, qr_token=token)
    assert (answer["reason"], answer["ticket_id"]) == ("invalid_sig", None)


async def test_the_shift_closes_blind_and_its_z_adds_up(till: Outsider) -> None:
    current = await till.data("GET", "/v1/shifts/current")
    assert not any("expected" in key for key in current)
    await till.sell(("Adult day pass", 1))
    body = {"counted": {"100000": 1, "10000": 1, "5000": 1, "2000": 2, "500": 1}}
    closed = await till.data("POST", "/v1/shifts/close", body, key=new_ulid())
    assert closed["cash_expected"] == 119_900
    assert closed["cash_counted"] == 119_500
    assert closed["cash_diff"] == -400
    assert closed["z"]["z_no"] == 1
    assert closed["z"]["grand_total"] == 19_900
    refused = await till.call("POST", "/v1/sales", await _one_adult(till), key=new_ulid())
    assert refused.json()["error"]["code"] == "E_SHIFT_CLOSED"


async def test_the_alias_serves_the_same_routes(api_url: str) -> None:
    async with httpx.AsyncClient(base_url=api_url) as http:
        assert (await http.get("/v1/time")).status_code == 200
        assert (await http.get("/api/v1/time")).status_code == 200
        paths = (await http.get("/openapi.json")).json()["paths"]
    assert not any(path.startswith("/api/v1") for path in paths)


async def _one_adult(till: Outsider) -> dict[str, Any]:
    packages = await till.packages()
    return {
        "lines": [{"package_id": packages["Adult day pass"]["package_id"], "qty": 1}],
        "payments": [{"method": "cash", "amount": 19_900}],
    }
