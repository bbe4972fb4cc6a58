"""Pairing, login, tokens, lock-out, and that one tenant cannot see the other (R40–R44)."""

import asyncio

from pymongo import MongoClient

from playpark.ids import new_ulid
from tests.outside import CASHIER, Outsider


async def test_a_wrong_site_key_pairs_nothing(outside: Outsider) -> None:
    body = {"site_key": "DEMO-WRONG", "type": "POS", "name": "x"}
    response = await outside.call("POST", "/v1/auth/device/register", body)
    assert response.status_code == 401
    assert "site key" in response.json()["error"]["message"]


async def test_R43_the_device_token_is_stored_as_a_hash_and_shown_once(
    outside: Outsider, mongo_uri: str, database: str
) -> None:
    await outside.pair("POS")
    with MongoClient(mongo_uri) as mongo:
        stored = mongo[f"{database}_live"]["devices"].find_one({"_id": outside.device["device_id"]})
    assert outside.device["device_token"] not in str(stored)
    assert "token" not in str(await outside.data("GET", "/v1/devices/me"))


async def test_attack_39_an_unknown_device_and_a_wrong_token_look_the_same(
    outside: Outsider,
) -> None:
    await outside.pair("POS")
    known = {"device_id": outside.device["device_id"], "device_token": "wrong"}
    unknown = {"device_id": new_ulid(), "device_token": "wrong"}
    answers = [
        await outside.call("POST", "/v1/auth/device/login", body) for body in (known, unknown)
    ]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].json()["error"] == answers[1].json()["error"]


async def test_unknown_people_and_wrong_pins_look_the_same(outside: Outsider) -> None:
    await outside.pair("POS")
    answers = [
        await outside.call("POST", "/v1/employees/login", {"email": email, "pin": "0000"})
        for email in ("cashier@demo.playpark", "nobody@demo.playpark", "cashier@other.playpark")
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({str(answer.json()["error"]) for answer in answers}) == 1


async def test_R41_fifty_parallel_guesses_are_not_fifty_tries(outside: Outsider) -> None:
    await outside.pair("POS")
    wrong = {"email": "cashier2@demo.playpark", "pin": "9999"}
    answers = await asyncio.gather(
        *(outside.call("POST", "/v1/employees/login", wrong) for _ in range(50))
    )
    codes = [answer.json()["error"]["code"] for answer in answers]
    assert codes.count("E_UNAUTHENTICATED") == 5
    assert codes.count("E_PIN_LOCKED") == 45
    locked = await outside.call(
        "POST", "/v1/employees/login", {"email": "cashier2@demo.playpark", "pin": "2222"}
    )
    assert (locked.status_code, locked.json()["error"]["code"]) == (429, "E_PIN_LOCKED")
    assert int(locked.headers["Retry-After"]) > 0


async def test_a_refresh_token_works_once(outside: Outsider) -> None:
    await outside.pair("POS")
    session = await outside.data("POST", "/v1/employees/login", CASHIER)
    body = {"refresh_token": session["refresh_token"]}
    renewed = await outside.data("POST", "/v1/auth/refresh", body)
    assert renewed["employee"]["name"] == "Nok"
    again = await outside.call("POST", "/v1/auth/refresh", body)
    assert again.status_code == 401
    fresh = {"refresh_token": renewed["refresh_token"]}
    race = await asyncio.gather(
        *(outside.call("POST", "/v1/auth/refresh", fresh) for _ in range(8))
    )
    assert sorted(answer.status_code for answer in race) == [200] + [401] * 7


async def test_a_logged_out_token_is_dead_at_once(till: Outsider) -> None:
    token, device_token = till.token, await _device_token(till)
    await till.data("POST", "/v1/auth/logout")
    assert (await till.call("GET", "/v1/shifts/current")).status_code == 401
    till.token = device_token
    await till.staff()
    till.token = token
    assert (await till.call("GET", "/v1/shifts/current")).status_code == 401


async def _device_token(till: Outsider) -> str:
    login = {key: till.device[key] for key in ("device_id", "device_token")}
    session = await till.data("POST", "/v1/auth/device/login", login)
    return str(session["access_token"])


async def test_R43_a_suspended_device_is_refused_on_the_very_next_request(
    till: Outsider, mongo_uri: str, database: str
) -> None:
    with MongoClient(mongo_uri) as mongo:
        mongo[f"{database}_live"]["sessions"].update_one(
            {"_id": till.device["device_id"]}, {"$set": {"device_status": "suspended"}}
        )
    response = await till.call("GET", "/v1/shifts/current")
    assert (response.status_code, response.json()["error"]["code"]) == (403, "E_DEVICE_SUSPENDED")


async def test_a_gate_cannot_sell_and_a_kiosk_cannot_redeem(
    gate: Outsider, outside: Outsider
) -> None:
    sale = {
        "lines": [{"package_id": new_ulid(), "qty": 1}],
        "payments": [{"method": "cash", "amount": 1}],
    }
    refused = await gate.call("POST", "/v1/sales", sale, key=new_ulid())
    assert refused.json()["error"]["details"]["reason"] == "capability"
    kiosk = await outside.pair("KIOSK")
    refused = await kiosk.call("POST", "/v1/tickets/redeem", {"qr_token": "x"})
    assert refused.json()["error"]["details"]["reason"] == "capability"


async def test_R44_another_tenants_ids_answer_exactly_like_unknown_ones(
    till: Outsider, outside: Outsider
) -> None:
    sold = await till.sell(("Adult day pass", 1))
    stranger = await outside.pair("POS", "DEMO-OTHER-PARK")
    await stranger.staff(email="cashier@other.playpark", pin="1111")
    for path in ("/v1/sales/", "/v1/tickets/"):
        own = sold["sale"]["sale_id"] if "sales" in path else sold["tickets"][0]["ticket_id"]
        theirs = await stranger.call("GET", path + own)
        unknown = await stranger.call("GET", path + new_ulid())
        assert theirs.status_code == unknown.status_code == 404
        assert theirs.json()["error"] == unknown.json()["error"]
    other_store = await stranger.call("GET", "/v1/catalog/packages", store_id=new_ulid())
    assert other_store.status_code == 404


async def test_another_tenants_package_cannot_be_sold(till: Outsider, outside: Outsider) -> None:
    stranger = await outside.pair("POS", "DEMO-OTHER-PARK")
    theirs = (await stranger.packages())["Other adult"]["package_id"]
    line = {"lines": [{"package_id": theirs, "qty": 1}]}
    refused = await till.call("POST", "/v1/pricing/preview", line)
    unknown = await till.call(
        "POST", "/v1/pricing/preview", {"lines": [{"package_id": new_ulid(), "qty": 1}]}
    )
    assert refused.status_code == unknown.status_code == 404
    assert refused.json()["error"] == unknown.json()["error"]
