"""Looking tickets up by what a guest holds (R21, R53)."""

from typing import Any

import pytest

from playpark.ids import new_ulid
from tests.outside import Outsider


async def found(client: Outsider, **key: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await client.data("GET", "/v1/tickets", **key))["items"]
    return items


async def test_R53_a_ticket_is_found_by_its_code_its_token_its_sale_and_its_receipt(
    till: Outsider, gate: Outsider
) -> None:
    sold = await till.sell(("Adult day pass", 2), ("Carousel ride", 1))
    sale, first = sold["sale"], sold["tickets"][0]
    ids = [ticket["ticket_id"] for ticket in sold["tickets"]]
    typed = f"{first['short_code'][:4]}-{first['short_code'][4:]}".lower()
    for client in (till, gate):
        (by_code,) = await found(client, short_code=typed)
        (by_token,) = await found(client, qr=first["qr_token"])
        assert by_code == by_token
        assert by_code["ticket_id"] == ids[0]
        assert (by_code["sale_id"], by_code["refunded"]) == (sale["sale_id"], 0)
        assert (by_code["printed_count"], by_code["qr_token"]) == (0, None)
        for key in ({"sale_id": sale["sale_id"]}, {"receipt_no": sale["receipt_no"]}):
            assert [ticket["ticket_id"] for ticket in await found(client, **key)] == ids


async def test_R40_a_till_without_anybody_at_it_sees_no_ticket(
    till: Outsider, outside: Outsider, gate: Outsider
) -> None:
    sold = await till.sell(("Carousel ride", 1))
    path = f"/v1/tickets/{sold['tickets'][0]['ticket_id']}"
    alone = await outside.pair("POS")
    for where, query in ((path, {}), ("/v1/tickets", {"sale_id": sold["sale"]["sale_id"]})):
        response = await alone.call("GET", where, **query)
        assert (response.status_code, response.json()["error"]["code"]) == (403, "E_PERMISSION")
    for client in (till, gate):
        assert (await client.data("GET", path))["qr_token"] is None


async def test_R21_what_is_not_there_is_an_empty_list_whatever_it_is(
    till: Outsider, outside: Outsider
) -> None:
    sold = await till.sell(("Carousel ride", 1))
    token = sold["tickets"][0]["qr_token"]
    forged = token[:-1] + ("A" if token[-1] != "A" else "B")
    for nothing in (
        {"short_code": "00000000"},
        {"short_code": "nonsense"},
        {"qr": forged},
        {"qr": "PPT." + token[4:]},
        {"qr": "https://example.org"},
        {"sale_id": new_ulid()},
        {"receipt_no": "ZZ-S000001"},
    ):
        assert await found(till, **nothing) == []
    other = await outside.pair("POS", "DEMO-OTHER-PARK")
    await other.staff(email="cashier@other.playpark", pin="1111")
    for theirs in (
        {"short_code": sold["tickets"][0]["short_code"]},
        {"qr": token},
        {"sale_id": sold["sale"]["sale_id"]},
        {"receipt_no": sold["sale"]["receipt_no"]},
    ):
        assert await found(other, **theirs) == []


async def test_a_lookup_needs_exactly_one_key_and_somebody_who_sells_or_redeems(
    till: Outsider, outside: Outsider
) -> None:
    for keys in ({}, {"short_code": "00000000", "sale_id": new_ulid()}):
        response = await till.call("GET", "/v1/tickets", **keys)
        assert (response.status_code, response.json()["error"]["code"]) == (422, "E_VALIDATION")
    nobody = await outside.pair("POS")
    response = await nobody.call("GET", "/v1/tickets", short_code="00000000")
    assert (response.status_code, response.json()["error"]["code"]) == (403, "E_PERMISSION")


@pytest.mark.parametrize("key", ["short_code", "qr", "sale_id", "receipt_no"])
async def test_hostile_text_in_a_lookup_never_reaches_the_database(
    till: Outsider, key: str
) -> None:
    for text in ('{"$ne": ""}', "$where", "a\x00b", "x" * 600):
        response = await till.call("GET", "/v1/tickets", **{key: text})
        assert response.status_code in {200, 422}
        if response.status_code == 200:
            assert response.json()["data"]["items"] == []
