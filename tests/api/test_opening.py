"""Opening a park: everything that it takes to sell the first ticket, in one transaction (R44)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from api.audit import service as audit_service
from api.platform.uow import Work
from api.tenancy.opening import defaults, open_tenant
from playpark.contracts.employees import Permission
from playpark.contracts.tenancy import NewTenant, OpenedTenant
from tests.api.back_office import BackOffice, back_office, refusal
from tests.outside import Outsider

PIN = "740259"


@pytest.fixture(scope="module")
async def office(mongo_uri: str, database: str) -> AsyncIterator[BackOffice]:
    async with back_office(mongo_uri, f"{database}_opening") as office:
        yield office


def new_park(**other: Any) -> NewTenant:
    told = {
        "name": "Seaside Park",
        "legal_name": "Seaside Park Co., Ltd.",
        "tz": "Asia/Tokyo",
        "currency": "JPY",
        "store_name": "Harbour",
        "owner_name": "Aiko",
        "owner_email": "Aiko@seaside.example",
        "owner_pin": PIN,
    }
    return NewTenant(**(told | other))


async def owner_of(office: BackOffice, opened: OpenedTenant, kind: str = "ADMIN") -> Outsider:
    device = await office.stranger().pair(kind, opened.site_key)
    return await device.staff(email="aiko@seaside.example", pin=PIN)


async def test_an_opened_park_sells_its_first_ticket(office: BackOffice) -> None:
    opened = await open_tenant(office.inside.platform, new_park())
    owner = await owner_of(office, opened)
    tenant = await owner.data("GET", "/v1/tenants/me")
    assert tenant == {
        "tenant_id": opened.tenant_id,
        "name": "Seaside Park",
        "legal_name": "Seaside Park Co., Ltd.",
        "tz": "Asia/Tokyo",
        "currency": "JPY",
        "status": "active",
    }
    (store,) = (await owner.data("GET", "/v1/stores"))["items"]
    assert (store["store_id"], store["name"], store["tz"]) == (
        opened.store_id,
        "Harbour",
        "Asia/Tokyo",
    )
    ride = {"name": "Ferry", "name_th": "เรือ", "kind": "single", "price": 10_700}
    await owner.data("POST", "/v1/catalog/packages", ride)
    till = await owner_of(office, opened, "POS")
    await till.open_shift()
    sold = await till.sell(("Ferry", 1))
    assert sold["sale"]["tax_total"] == 700, "VAT 7 %, inclusive"
    gate = await office.stranger().pair("GATE", opened.site_key)
    passed = await gate.data(
        "POST", "/v1/tickets/redeem", {"qr_token": sold["tickets"][0]["qr_token"]}
    )
    assert passed["result"] == "pass"


async def test_its_owner_may_everything(office: BackOffice) -> None:
    opened = await open_tenant(office.inside.platform, new_park())
    owner = await owner_of(office, opened)
    me = await owner.data("GET", "/v1/employees/me")
    assert me["employee_id"] == opened.owner_id
    assert set(me["permissions"]) == set(Permission)
    assert me["roles"] == ["owner"]


def test_the_roles_a_park_starts_with_grow_from_one_to_the_next() -> None:
    roles = {name: set(permissions) for name, permissions in defaults().roles.items()}
    assert list(roles) == ["cashier", "gate", "supervisor", "manager", "owner"]
    assert roles["gate"] == {Permission.REDEEM}
    assert roles["cashier"] < roles["supervisor"] < roles["manager"] < roles["owner"]
    assert Permission.APPROVE not in roles["cashier"]
    assert Permission.EMPLOYEE_MANAGE not in roles["supervisor"]


async def test_every_kind_of_reason_is_there_from_the_first_day(office: BackOffice) -> None:
    opened = await open_tenant(office.inside.platform, new_park())
    owner = await owner_of(office, opened)
    reasons = (await owner.data("GET", "/v1/reason_codes"))["items"]
    kinds = {"any", "refund", "void", "reprint", "discount", "cash_movement", "cash_variance"}
    assert {reason["kind"] for reason in reasons} == kinds
    assert "customer_request" in {reason["code"] for reason in reasons}


async def test_R44_its_key_pairs_ten_devices_within_a_week(office: BackOffice) -> None:
    opened = await open_tenant(office.inside.platform, new_park())
    answers = await asyncio.gather(*(office.register(opened.site_key) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] * 10 + [401] * 2
    late = await open_tenant(office.inside.platform, new_park())
    office.inside.clock.advance(timedelta(days=7))
    assert refusal(await office.register(late.site_key))[0] == 401


async def test_neither_pin_nor_key_is_stored(office: BackOffice) -> None:
    opened = await open_tenant(office.inside.platform, new_park())
    for name in await office.db.list_collection_names():
        written = str(await office.db[name].find({"tenant_id": opened.tenant_id}).to_list(None))
        assert opened.site_key not in written, name
        assert PIN not in written, name
    assert PIN not in repr(new_park())
    assert opened.site_key not in repr(opened)


async def test_R45_the_first_row_of_its_trail_says_that_it_was_opened(office: BackOffice) -> None:
    opened = await open_tenant(office.inside.platform, new_park())
    (row,) = await office.audited(opened.tenant_id)
    assert (row["event_type"], row["seq"]) == ("tenant.opened", 1)
    assert row["payload"]["owner_id"] == opened.owner_id


async def test_a_park_is_opened_whole_or_not_at_all(
    office: BackOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = await office.db.list_collection_names()
    before = {name: await office.db[name].count_documents({}) for name in names}
    reached: list[str] = []

    async def fail(work: Work, *_: Any) -> None:
        reached.append(
            str(await work.collection("tenants").count_documents({}, session=work.session))
        )
        raise RuntimeError("the power is gone")

    monkeypatch.setattr(audit_service, "append", fail)
    with pytest.raises(RuntimeError, match="power"):
        await open_tenant(office.inside.platform, new_park())
    assert reached == [str(before["tenants"] + 1)], "it failed at the very end"
    assert {name: await office.db[name].count_documents({}) for name in names} == before


async def test_two_parks_of_the_same_name_do_not_meet(office: BackOffice) -> None:
    first, second = [await open_tenant(office.inside.platform, new_park()) for _ in range(2)]
    assert first.tenant_id != second.tenant_id
    owners = [await owner_of(office, each) for each in (first, second)]
    devices = [await owner.data("GET", "/v1/devices") for owner in owners]
    assert [len(page["items"]) for page in devices] == [1, 1]
    theirs = devices[1]["items"][0]["device_id"]
    assert (await owners[0].call("GET", f"/v1/devices/{theirs}")).status_code == 404
    assert (await owners[0].call("GET", "/v1/devices", store_id=second.store_id)).status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"tz": "Nowhere/Land"},
        {"currency": "baht"},
        {"owner_email": "not an address"},
        {"owner_pin": "1234"},
        {"owner_pin": "12"},
        {"owner_pin": 740_259},
        {"tenant_id": "chosen"},
    ],
    ids=str,
)
def test_a_park_that_makes_no_sense_is_not_opened(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        new_park(**wrong)
