"""Customers: finding them, changing them, and points that add up (API.md: customers)."""

import asyncio
import csv
import io
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from playpark.ids import new_ulid
from tests.api.inside import inside
from tests.outside import Outsider

SUPERVISOR = {"email": "supervisor@demo.playpark", "pin": "9999"}


def fresh_phone() -> str:
    """Ten digits that no other test has."""
    return "0" + str(int.from_bytes(new_ulid()[-8:].encode()) % 10**9).zfill(9)


async def add(who: Outsider, name: str, **more: Any) -> dict[str, Any]:
    customer: dict[str, Any] = await who.data("POST", "/v1/customers", {"name": name, **more})
    return customer


async def ids(who: Outsider, **query: Any) -> list[str]:
    page = await who.data("GET", "/v1/customers", **query)
    return [customer["customer_id"] for customer in page["items"]]


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


# --- finding ----------------------------------------------------------------------------


async def test_a_customer_is_added_and_read_back(till: Outsider) -> None:
    phone = fresh_phone()
    pretty = f"+66 {phone[1:3]}-{phone[3:6]} {phone[6:]}"
    made = await add(till, "Suda Jai-dee", phone=pretty, email="Suda@Example.COM", note="VIP guest")
    assert made["phone"] == phone
    assert made["email"] == "suda@example.com"
    assert (made["group"], made["points"], made["active"]) == ("member", 0, True)
    assert datetime.fromisoformat(made["created_at"]).date() == datetime.now(UTC).date()
    assert await till.data("GET", f"/v1/customers/{made['customer_id']}") == made


async def test_a_name_is_found_by_the_beginning_of_any_of_its_words_in_any_case(
    till: Outsider,
) -> None:
    tag = new_ulid()
    found = (await add(till, f"Ägnes {tag} O'Neill-Smith"))["customer_id"]
    thai = (await add(till, f"สมหญิง {tag} ใจดี"))["customer_id"]
    for q in (f"{tag} äg", f"ÄGNES {tag.lower()}", f"{tag[:12]} o'nEi", f"  {tag}  ägnes "):
        assert found in await ids(till, q=q), q
    assert await ids(till, q=f"{tag} ใจ") == [thai]
    assert await ids(till, q=f"{tag} neill") == []  # not the beginning of a word
    assert await ids(till, q=f"{tag} gnes") == []
    assert await ids(till, q=tag) == [thai, found]  # newest first


@pytest.mark.parametrize("q", [".*", "^", "(a+)+$", "[a-z]", "$ne", "\\", "a\x00b", "%", "x" * 80])
async def test_what_is_searched_is_text_and_never_an_expression(till: Outsider, q: str) -> None:
    tag = new_ulid()
    await add(till, f"Anna {tag}")
    assert await ids(till, q=f"{tag[:20]} {q}"[:80]) == []
    assert (await till.call("GET", "/v1/customers", q=q + "x" * 100)).status_code == 422


async def test_a_number_is_found_by_itself_or_its_first_four_digits(till: Outsider) -> None:
    phone = fresh_phone()
    made = (await add(till, "Lek", phone=phone))["customer_id"]
    for text in (phone, f"+66{phone[1:]}", phone[:4], f"{phone[:3]}-{phone[3:6]}"):
        assert made in await ids(till, phone=text), text
    assert await ids(till, phone=phone) == [made]
    assert made not in await ids(till, phone=phone[1:])
    for text in ("081", "abcd", "0812.*", "1" * 16):
        assert code(await till.call("GET", "/v1/customers", phone=text)) == (422, "E_VALIDATION")


async def test_the_list_is_paged_newest_first(till: Outsider) -> None:
    tag = new_ulid()
    made = [(await add(till, f"P {tag} {n}"))["customer_id"] for n in range(3)]
    first = await till.data("GET", "/v1/customers", q=tag, limit=2)
    rest = await till.data("GET", "/v1/customers", q=tag, limit=2, cursor=first["next_cursor"])
    assert [each["customer_id"] for each in first["items"] + rest["items"]] == made[::-1]
    assert rest["next_cursor"] is None


async def test_a_search_goes_by_its_own_index_however_common_the_word(
    mongo_uri: str, database: str
) -> None:
    async with inside(mongo_uri, f"{database}_search") as park:
        till = await park.device()
        await till.staff()
        first = await add(till, "Somchai Index", phone="0855550000")
        # So many newer ones that reading the newest of all would look like the shorter way.
        stored, path = park.platform.mongo.db["customers"], "/v1/customers"
        copy = dict(await stored.find_one({"_id": first["customer_id"]}) or {}) | {"phone": None}
        await stored.insert_many([copy | {"_id": new_ulid()} for _ in range(300)])
        await stored.database.command("profile", 2)
        for query in ({"q": "som ind"}, {"phone": "08555"}):
            await till.data("GET", path, **query)
        await stored.database.command("profile", 0)
        searches = stored.database["system.profile"].find(
            {"ns": f"{stored.database.name}.customers"}
        )
        plans = [each["planSummary"] async for each in searches]
        assert plans == ["IXSCAN { tenant_id: 1, words: 1 }", "IXSCAN { tenant_id: 1, phone: 1 }"]


# --- who may ----------------------------------------------------------------------------


async def test_a_device_alone_does_not_look_people_up(till: Outsider, outside: Outsider) -> None:
    made = await add(till, "Private Person")
    kiosk = await outside.pair("KIOSK")  # it sells by itself, in front of a guest
    for method, path, body in (
        ("GET", "/v1/customers", None),
        ("GET", f"/v1/customers/{made['customer_id']}", None),
        ("POST", "/v1/customers", {"name": "x"}),
        ("PATCH", f"/v1/customers/{made['customer_id']}", {"name": "x"}),
    ):
        assert code(await kiosk.call(method, path, body)) == (401, "E_UNAUTHENTICATED")


async def test_a_group_that_sets_prices_is_not_the_cashiers_to_give(till: Outsider) -> None:
    made = await add(till, "Cousin")
    path = f"/v1/customers/{made['customer_id']}"
    vip = {"name": "Friend", "group": "vip"}
    for call in (("POST", "/v1/customers", vip), ("PATCH", path, {"group": "vip"})):
        assert code(await till.call(*call)) == (403, "E_PERMISSION")
    await till.staff(**SUPERVISOR)
    assert (await till.data("PATCH", path, {"group": "vip"}))["group"] == "vip"
    assert (await add(till, "Friend", group="vip"))["group"] == "vip"


async def test_R44_another_parks_customers_are_unknown(till: Outsider, outside: Outsider) -> None:
    tag = new_ulid()
    made = await add(till, f"Canary {tag}", phone=fresh_phone())
    stranger = await outside.pair("POS", "DEMO-OTHER-PARK")
    await stranger.staff(email="cashier@other.playpark", pin="1111")
    path = "/v1/customers/"
    theirs = await stranger.call("GET", path + made["customer_id"])
    unknown = await stranger.call("GET", path + new_ulid())
    assert code(theirs) == code(unknown) == (404, "E_NOT_FOUND")
    assert theirs.json()["error"] == unknown.json()["error"]
    changed = await stranger.call("PATCH", path + made["customer_id"], {"name": "x"})
    assert changed.status_code == 404
    assert await ids(stranger, q=tag) == await ids(stranger, phone=made["phone"]) == []
    # The same number is another person there.
    assert (await add(stranger, "Theirs", phone=made["phone"]))["phone"] == made["phone"]


# --- changing ---------------------------------------------------------------------------


async def test_a_change_leaves_alone_what_was_not_sent_and_null_takes_away(till: Outsider) -> None:
    tag = new_ulid()
    made = await add(till, "Old Name", phone=fresh_phone(), email="a@b.co", note="x")
    path = f"/v1/customers/{made['customer_id']}"
    changed = await till.data("PATCH", path, {"name": f"New {tag}", "phone": None, "note": None})
    assert changed == {**made, "name": f"New {tag}", "phone": None, "note": None}
    assert await ids(till, q=tag) == [made["customer_id"]]
    assert await till.data("PATCH", path, {"name": None}) == changed
    # The number is free again, and two customers may have none.
    await add(till, "Somebody else", phone=made["phone"])
    await add(till, "Nobody's number")


async def test_a_number_belongs_to_one_customer(till: Outsider) -> None:
    phone = fresh_phone()
    await add(till, "First", phone=phone)
    spelled = {"name": "Second", "phone": f"{phone[:3]} {phone[3:]}"}
    assert code(await till.call("POST", "/v1/customers", spelled)) == (409, "E_CONFLICT")
    other = await add(till, "Third", phone=fresh_phone())
    path = f"/v1/customers/{other['customer_id']}"
    assert code(await till.call("PATCH", path, {"phone": phone})) == (409, "E_CONFLICT")
    race = {"name": "Twin", "phone": fresh_phone()}
    answers = await asyncio.gather(*(till.call("POST", "/v1/customers", race) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7


async def test_R45_the_audit_names_fields_and_no_person(
    till: Outsider, mongo_uri: str, database: str
) -> None:
    secret, phone = f"Canary{new_ulid()}", fresh_phone()
    made = await add(till, secret, phone=phone, email="canary@example.com", note="canary note")
    path = f"/v1/customers/{made['customer_id']}"
    await till.data("PATCH", path, {"name": secret + "2", "phone": None})
    with MongoClient(mongo_uri) as mongo:
        rows = list(
            mongo[f"{database}_live"]["audits"]
            .find({"entity_id": made["customer_id"]})
            .sort("seq", 1)
        )
    assert [row["event_type"] for row in rows] == ["customer.created", "customer.changed"]
    assert rows[0]["payload"] == {"fields": ["email", "group", "name", "note", "phone"]}
    assert rows[1]["payload"] == {"fields": ["name", "phone"]}
    assert secret not in str(rows)


# --- CSV --------------------------------------------------------------------------------


async def test_the_list_streams_as_csv_for_who_may_see_reports(till: Outsider) -> None:
    tag = new_ulid()
    nasty = ["=cmd|' /C calc'!A0", "+1", "-2", "@x", 'He said "hi", twice', "ใจดี"]
    for name in nasty:
        await add(till, f"{name} {tag}")
    note = "line one\r\nline two"
    await add(till, f"Plain {tag}", note=note, phone=fresh_phone())
    query = {"q": tag, "format": "csv"}
    assert code(await till.call("GET", "/v1/customers", **query)) == (403, "E_PERMISSION")
    await till.staff(**SUPERVISOR)
    response = await till.call("GET", "/v1/customers", **query)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(response.text, newline="")))
    names = [row["name"].removesuffix(f" {tag}") for row in rows]
    guarded = ["'" + name if name[0] in "=+-@" else name for name in nasty]
    assert names == ["Plain", *guarded[::-1]]
    assert rows[0]["note"] == note
    assert (rows[0]["points"], rows[0]["active"]) == ("0", "true")
    by_header = await till.http.get(
        "/v1/customers",
        params={"q": tag},
        headers={"Authorization": f"Bearer {till.token}", "Accept": "text/csv"},
    )
    assert by_header.text == response.text


async def test_R56_csv_holds_more_than_one_keyset_page(
    till: Outsider, mongo_uri: str, database: str
) -> None:
    tag = new_ulid().lower()
    model = await add(till, f"x {tag}")
    with MongoClient(mongo_uri) as mongo:
        stored = mongo[f"{database}_live"]["customers"]
        first = stored.find_one({"_id": model["customer_id"]})
        assert first is not None
        stored.insert_many([{**first, "_id": new_ulid(), "points": n} for n in range(2_004)])
    await till.staff(**SUPERVISOR)
    response = await till.call("GET", "/v1/customers", q=tag, format="csv")
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert len({row["customer_id"] for row in rows}) == len(rows) == 2_005
