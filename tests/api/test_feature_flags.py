"""Feature flags: where each comes from, who hears of a change, what each one does (R40, R46)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from playpark.contracts.catalog import SalesChannel
from playpark.contracts.pricing import Cart
from playpark.contracts.settings import Features
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.contracts.tenancy import Feature
from playpark.ids import new_ulid
from playpark.pricing import Context, price
from tests.api.drawers import applied, send, tell
from tests.api.inside import inside
from tests.api.selling import ADULT, CAROUSEL, Park, refused, rung, sell
from tests.outside import Outsider

PATH = "/feature_flags"
ALL_ON = {feature.value: True for feature in Feature}


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    async with inside(mongo_uri, f"{database}_features") as park:
        yield await Park.of(park)


@pytest.fixture(autouse=True)
async def nothing_switched(park: Park) -> AsyncIterator[None]:
    """Each test finds the defaults, and leaves them."""
    yield
    for scope in ("store", "tenant"):
        await switch(park, scope, **dict.fromkeys(ALL_ON))


async def switch(park: Park, scope: str = "store", **features: bool | None) -> dict[str, Any]:
    body = {"scope": scope, "features": features}
    changed: dict[str, Any] = await tell(park.owner, "PUT", PATH, body)
    return changed


async def flags(client: Outsider) -> dict[str, tuple[bool, str]]:
    found = (await tell(client, "GET", PATH))["features"]
    return {name: (flag["value"], flag["source"]) for name, flag in found.items()}


async def error_of(response: httpx.Response) -> tuple[int, str, Any]:
    error = response.json()["error"]
    return response.status_code, error["code"], error.get("details")


# --- the switches -----------------------------------------------------------------------


async def test_R46_everything_is_on_until_somebody_switches_it_off(park: Park) -> None:
    assert await flags(park.owner) == dict.fromkeys(ALL_ON, (True, "default"))
    assert Features().model_dump() == ALL_ON


async def test_R46_the_store_beats_the_tenant_and_the_tenant_the_default(park: Park) -> None:
    till = await park.till(shift=False)
    version = (await tell(till, "GET", PATH))["version"]
    for scope, value, expected in (
        ("tenant", False, (False, "tenant")),
        ("store", True, (True, "store")),
        ("tenant", True, (True, "store")),
        ("tenant", False, (True, "store")),
        ("store", None, (False, "tenant")),
        ("tenant", None, (True, "default")),
    ):
        changed = await switch(park, scope, webhooks=value)
        assert (await flags(till))["webhooks"] == expected
        version += 1
        assert (changed["version"], changed["stale"]) == (version, False)


async def test_the_settings_show_the_features_too(park: Park) -> None:
    await switch(park, webhooks=False)
    section = (await tell(park.owner, "GET", "/settings"))["sections"]["features"]
    assert section["webhooks"] == {"value": False, "source": "store"}
    assert section["kiosk"] == {"value": True, "source": "default"}


async def test_a_change_is_audited_with_old_and_new_values(park: Park) -> None:
    await switch(park, webhooks=False)
    await switch(park, webhooks=True, kiosk=None)
    row = await park.db["audits"].find_one(
        {"event_type": "feature_flags.changed"}, sort=[("ts", -1), ("seq", -1)]
    )
    me = await tell(park.owner, "GET", "/employees/me")
    assert row["actor_id"] == me["employee_id"]
    assert row["payload"] == {
        "scope": "store",
        "changes": [
            {"feature": "webhooks", "old": False, "new": True},
            {"feature": "kiosk", "old": None, "new": None},
        ],
    }


@pytest.mark.parametrize(
    "body",
    [
        {"features": {}},
        {"features": {"magic": True}},
        {"features": {"$set": True}},
        {"features": {"kiosk.x": True}},
        {"features": {"kiosk": 1}},
        {"features": {"kiosk": "false"}},
        {"features": {"kiosk": {"$gt": 0}}},
        {"features": [], "scope": "store"},
        {"features": {"kiosk": False}, "scope": "park"},
        {"features": {"kiosk": False}, "store_id": 7},
        {},
    ],
)
async def test_what_is_no_switch_is_refused_and_changes_nothing(park: Park, body: Any) -> None:
    before = await tell(park.owner, "GET", PATH)
    response = await send(park.owner, "PUT", PATH, body)
    assert (response.status_code, response.json()["error"]["code"]) == (422, "E_VALIDATION")
    assert await tell(park.owner, "GET", PATH) == before


async def test_R40_only_who_may_write_settings_switches(park: Park) -> None:
    till = await park.till(shift=False)
    for scope in ("store", "tenant"):
        body = {"scope": scope, "features": {"kiosk": False}}
        found = await error_of(await send(till, "PUT", PATH, body))
        needed = {"reason": "permission", "permission": "settings_write"}
        assert found == (403, "E_PERMISSION", needed)
    assert (await flags(till))["kiosk"] == (True, "default")


async def test_R44_the_whole_tenant_is_switched_by_who_may_in_every_store(park: Park) -> None:
    """A role in one store does not reach into the others."""
    store = await park.db["stores"].find_one(
        {"_id": (await park.inside.scope(park.owner)).store_id}
    )
    other = new_ulid()
    await park.db["stores"].insert_one({**store, "_id": other, "store_id": other})
    body = {"scope": "tenant", "features": {"kiosk": False}}
    status, code, details = await error_of(await send(park.owner, "PUT", PATH, body))
    assert (status, code, details["everywhere"]) == (403, "E_PERMISSION", True)
    await switch(park, kiosk=False)
    found = await park.db["stores"].find_one({"_id": other})
    assert found["features"] == {}
    await park.db["stores"].delete_one({"_id": other})


# --- who hears of it --------------------------------------------------------------------


async def test_R40_a_switch_is_the_next_catalogue_version_of_that_store_only(park: Park) -> None:
    stranger = await Outsider(park.inside.http).pair("POS", "DEMO-OTHER-PARK")
    before, theirs = await park.catalog(), await tell(stranger, "GET", "/catalog/snapshot")
    assert before["features"] == ALL_ON
    await switch(park, multi_price=False)
    after = await park.catalog()
    assert after["features"] == ALL_ON | {"multi_price": False}
    assert after["catalog_version"] == before["catalog_version"] + 1
    assert after["hash"] != before["hash"]
    assert await tell(stranger, "GET", "/catalog/snapshot") == theirs


async def test_R43_sessions_know_it_with_the_change_and_new_devices_from_the_start(
    park: Park,
) -> None:
    early = await park.inside.device("GATE")
    await switch(park, "tenant", gate_binding=False)
    await switch(park, multi_price=False)
    late = await park.inside.device("GATE")
    for gate in (early, late):
        scope = await park.inside.scope(gate)
        assert scope.features == {Feature.KIOSK, Feature.WEBHOOKS}


async def test_R43_a_device_that_is_paired_meanwhile_does_not_miss_a_change(park: Park) -> None:
    for value in (False, True, False):
        changing = switch(park, webhooks=value)
        gates = await asyncio.gather(changing, *(park.inside.device("GATE") for _ in range(6)))
        for gate in gates[1:]:
            scope = await park.inside.scope(gate)
            assert (Feature.WEBHOOKS in scope.features) is value


# --- kiosk ------------------------------------------------------------------------------


async def test_R40_a_kiosk_that_is_switched_off_sells_nothing_from_the_next_request_on(
    park: Park,
) -> None:
    kiosk = await park.inside.device("KIOSK")
    card = {
        "lines": park.lines(("Adult day pass", 1)),
        "payments": [{"method": "card", "amount": ADULT}],
    }
    await park.settings(sales={"without_shift": True})
    await sell(kiosk, card)
    await switch(park, kiosk=False)
    response = await send(kiosk, "POST", "/sales", card)
    assert await error_of(response) == (403, "E_PERMISSION", {"reason": "capability"})
    assert "switched off" in response.json()["error"]["message"]
    assert (await send(await park.till(), "POST", "/sales", card)).status_code == 200
    await switch(park, kiosk=True)
    await sell(kiosk, card)


async def test_R17_what_a_kiosk_has_sold_before_it_heard_of_it_is_booked_and_flagged(
    park: Park,
) -> None:
    kiosk = await park.inside.device("KIOSK")
    await switch(park, kiosk=False)
    card = {
        "lines": park.lines(("Adult day pass", 1)),
        "payments": [{"method": "card", "amount": ADULT}],
    }
    op = {
        "op_id": new_ulid(),
        "kind": "sale",
        "seq": 1,
        "schema_version": 1,
        "committed": True,
        "occurred_at": park.inside.clock.now().isoformat(),
        "body": card,
    }
    (result,) = await applied(kiosk, op)
    assert "not_permitted" in result["sale"]["flags"]
    assert len(result["tickets"]) == 1


async def test_R40_no_kiosk_is_paired_while_kiosks_are_off_and_the_key_is_not_spent(
    park: Park,
) -> None:
    made = await tell(park.owner, "POST", "/site_keys", {"uses": 1, "auto_approve": True})
    await switch(park, "tenant", kiosk=False)
    body = {"site_key": made["site_key"], "type": "KIOSK", "name": "Kiosk 1"}
    outsider = Outsider(park.inside.http)
    response = await outsider.call("POST", "/v1/auth/device/register", body)
    assert await error_of(response) == (403, "E_PERMISSION", {"reason": "capability"})
    assert "Kiosks are switched off" in response.json()["error"]["message"]
    await switch(park, "tenant", kiosk=True)
    paired = await outsider.call("POST", "/v1/auth/device/register", body)
    assert paired.status_code == 200, paired.text


async def test_R44_another_park_goes_on_with_its_kiosks(park: Park) -> None:
    kiosk = await Outsider(park.inside.http).pair("KIOSK", "DEMO-OTHER-PARK")
    await switch(park, "tenant", kiosk=False)
    assert (await flags(kiosk))["kiosk"] == (True, "default")
    assert not (await park.inside.scope(kiosk)).switched_off


# --- gate_binding -----------------------------------------------------------------------


async def scan(gate: Outsider, ticket: dict[str, Any], **more: Any) -> tuple[str, str | None]:
    answer = await tell(gate, "POST", "/redemptions", {"qr_token": ticket["qr_token"], **more})
    return answer["result"], answer["reason"]


async def test_R40_without_gate_binding_a_ticket_opens_every_zone(park: Park) -> None:
    till, gate = await park.till(), await park.inside.device("GATE")
    zones = {each["name"]: each["zone_id"] for each in (await park.catalog())["zones"]}
    rides = {
        "lines": park.lines(("Carousel ride", 2)),
        "payments": [{"method": "cash", "amount": 2 * CAROUSEL}],
    }
    first, second = (await sell(till, rides))["tickets"]
    elsewhere = {"zone_id": zones["Water Park"]}
    assert await scan(gate, first, **elsewhere) == ("fail", "wrong_device")
    await switch(park, gate_binding=False)
    assert await scan(gate, first, simulate=True, **elsewhere) == ("pass", None)
    assert await scan(gate, first, **elsewhere) == ("pass", None)
    await switch(park, gate_binding=True)
    assert await scan(gate, second, simulate=True, **elsewhere) == ("fail", "wrong_device")
    assert await scan(gate, second, **elsewhere) == ("fail", "wrong_device")
    assert await scan(gate, second, zone_id=zones["Ball Pit"]) == ("pass", None)


async def test_R40_without_gate_binding_a_ticket_opens_every_device(park: Park) -> None:
    till, gate = await park.till(), await park.inside.device("GATE")
    (ticket,) = (await sell(till, park.adult()))["tickets"]
    which = {"ticket_id": ticket["ticket_id"]}
    await park.db["tickets"].update_one(which, {"$set": {"allowed_devices": [new_ulid()]}})
    assert await scan(gate, ticket) == ("fail", "wrong_device")
    await switch(park, gate_binding=False)
    assert await scan(gate, ticket) == ("pass", None)


async def test_R18_credit_is_spent_by_zone_with_and_without_gate_binding(park: Park) -> None:
    till, gate = await park.till(), await park.inside.device("GATE")
    zones = {each["name"]: each for each in (await park.catalog())["zones"]}
    credit = {
        "lines": park.lines(("Play credit 500", 1)),
        "payments": [{"method": "cash", "amount": 50_000}],
    }
    (ticket,) = (await sell(till, credit))["tickets"]
    await switch(park, gate_binding=False)
    body = {"qr_token": ticket["qr_token"], "zone_id": zones["Water Park"]["zone_id"]}
    answer = await tell(gate, "POST", "/redemptions", body)
    price_there = zones["Water Park"]["credit_price"]
    assert (answer["result"], answer["remaining"]) == ("pass", 50_000 - price_there)
    # A place without a price takes no credit: there is nothing that it could spend.
    assert await scan(gate, ticket) == ("fail", "wrong_device")


# --- multi_price ------------------------------------------------------------------------


async def test_R40_without_multi_price_preview_till_and_sale_know_no_price_lists(
    park: Park,
) -> None:
    till = await park.till()
    child = park.ids["Child day pass"]
    await park.add("/catalog/price_lists", prices={child: 9_900})
    cart = {"lines": [{"package_id": child, "qty": 2}]}

    async def agree() -> int:
        """The price of the preview, which the till and the sale must find too."""
        preview = await tell(till, "POST", "/pricing/preview", cart)
        known = CatalogSnapshot.model_validate(await park.catalog())
        told = Cart.model_validate(cart)
        where = Context(channel=SalesChannel.POS)
        shown = price(told, known, at=park.inside.clock.now(), context=where)
        assert shown.model_dump(mode="json") == preview
        cash = [{"method": "cash", "amount": preview["grand_total"]}]
        sold = await sell(till, cart | {"payments": cash, "rung": rung(preview)})
        return int(sold["sale"]["grand_total"])

    assert await agree() == 2 * 9_900
    await switch(park, multi_price=False)
    assert await agree() == 2 * 14_900
    await switch(park, multi_price=True)
    assert await agree() == 2 * 9_900


async def test_R12_a_sale_is_judged_by_the_switches_it_was_rung_with(park: Park) -> None:
    """What a till sold offline at a list price stands, though price lists are off since."""
    till = await park.till()
    adult = park.ids["Adult day pass"]
    await park.add("/catalog/price_lists", prices={adult: 9_900}, priority=1)
    before = await park.catalog()
    cart = {"lines": [{"package_id": adult, "qty": 1}]}
    shown = await tell(till, "POST", "/pricing/preview", cart)
    await switch(park, multi_price=False)
    body = cart | {
        "payments": [{"method": "cash", "amount": shown["grand_total"]}],
        "rung": rung(shown),
        "catalog_version": before["catalog_version"],
    }
    sale = await park.committed(till, body)
    assert (sale["grand_total"], sale["flags"]) == (9_900, [])
    assert (await refused(till, body))[:2] == (409, "E_PRICE_CHANGED")
