"""Certificates: what the server lets a till sign while it is offline (R22, decision 0020)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.certificates import service as certificates
from api.certificates.service import CLOCK_SLACK, MOST_AT_ONCE, GateCertificates
from playpark.clock import business_date, business_day_start
from playpark.contracts.gate import CertificateView
from playpark.ids import new_ulid
from playpark.offline_tickets import public_key_text, verify_certificate
from tests.api.drawers import refusal, tell
from tests.api.inside import inside
from tests.api.offline import CERTIFICATE, ZONE, OfflineTill, asked
from tests.api.selling import OWNER, Park
from tests.outside import Outsider

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
ROTATE = "/secrets/certificate_ed25519/rotate"


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    async with inside(mongo_uri, f"{database}_certificates") as park:
        yield await Park.of(park)


@pytest.fixture
async def fresh(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    """A park whose clock may be moved."""
    async with inside(mongo_uri, f"{database}_certificate_times") as park:
        yield await Park.of(park)


def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


async def served(park: Park, who: Outsider | None = None) -> GateCertificates:
    """What the gates of a store are given."""
    scope = await park.inside.scope(who or park.owner)
    platform = park.inside.platform
    return await certificates.certificates_for(platform, platform.uow.reading(), scope)


async def served_ids(park: Park) -> set[str]:
    return {each.key_id for each in (await served(park)).certificates}


async def renewed(park: Park, till: Outsider) -> None:
    """Log the device in again: the clock was moved."""
    login = {name: till.device[name] for name in ("device_id", "device_token")}
    session = await till.data("POST", "/v1/auth/device/login", login)
    till.token = session["access_token"]


# --- asking -----------------------------------------------------------------------------


async def test_R22_a_till_gets_a_certificate_with_bounds_that_the_server_has_signed(
    park: Park,
) -> None:
    till, own = await park.till(), key()
    found = await asked(till, own)
    now = park.inside.clock.now()
    catalog = await park.catalog()
    tickets = {each["package_id"]: each for each in catalog["packages"] if each["kind"] != "bundle"}
    assert found.public_key == public_key_text(own)
    assert found.device_id == till.device["device_id"]
    assert found.store_id == catalog["store_id"]
    assert set(found.packages) == set(tickets)
    assert found.not_before == now.replace(microsecond=0) - CLOCK_SLACK
    assert found.not_after - found.not_before == timedelta(hours=72)
    assert found.max_tickets == 5_000
    longest = max(each["valid_days"] for each in tickets.values())
    last = business_date(found.not_after, ZONE) + timedelta(days=longest)
    assert found.max_valid_to == business_day_start(last, ZONE)
    gates = await served(park)
    assert gates.key is not None
    assert verify_certificate(found, gates.key)
    assert found in gates.certificates


async def test_R22_the_key_of_the_pairing_serves_where_none_is_sent(park: Park) -> None:
    own = key()
    till = Outsider(park.inside.http)
    body = {
        "site_key": "DEMO-MAIN-GATE",
        "type": "POS",
        "name": "with a key",
        "public_key": public_key_text(own),
    }
    till.device = await till.data("POST", "/v1/auth/device/register", body)
    await renewed(park, till)
    # The device asks by itself: nobody needs to be logged in.
    found = CertificateView.model_validate(await tell(till, "POST", CERTIFICATE, {}))
    assert found.public_key == public_key_text(own)


async def test_R22_without_any_key_there_is_no_certificate(park: Park) -> None:
    assert await refusal(await park.till(), "POST", CERTIFICATE, {}) == (422, "E_VALIDATION")


@pytest.mark.parametrize(
    "wrong",
    ["", "AAAA", "x" * 44, "A" * 43 + "=" + "\n", {"$ne": ""}, 5, "ก" * 44],
    ids=repr,
)
async def test_R22_what_is_no_public_key_is_refused(park: Park, wrong: Any) -> None:
    till = await park.till()
    assert await refusal(till, "POST", CERTIFICATE, {"public_key": wrong}) == (422, "E_VALIDATION")


async def test_attack_5_nobody_chooses_their_own_bounds(park: Park) -> None:
    till = await park.till()
    good = {"public_key": public_key_text(key())}
    bounds: dict[str, Any] = {
        "max_tickets": 10**6,
        "device_id": new_ulid(),
        "packages": [],
        "store_id": new_ulid(),
        "not_after": "2036-01-01T00:00:00Z",
        "serials_taken": -1,
    }
    for more in ({name: value} for name, value in bounds.items()):
        status, code = await refusal(till, "POST", CERTIFICATE, {**good, **more})
        assert (status, code) == (422, "E_VALIDATION"), more


@pytest.mark.parametrize("kind", ["GATE", "KIOSK", "ADMIN"])
async def test_R22_only_tills_sign_tickets(park: Park, kind: str) -> None:
    device = await park.inside.device(kind)
    if kind == "ADMIN":
        await device.staff(**OWNER)
    body = {"public_key": public_key_text(key())}
    assert await refusal(device, "POST", CERTIFICATE, body) == (403, "E_PERMISSION")


@pytest.mark.parametrize(
    "caps",
    [
        {"can_sell": False},
        {"offline_cap": {"sales": 0, "satang": None}},
        {"offline_cap": {"sales": None, "satang": 0}},
    ],
    ids=str,
)
async def test_R39_a_till_that_may_sell_nothing_offline_signs_nothing(
    park: Park, caps: dict[str, Any]
) -> None:
    till = await park.till(shift=False)
    await tell(park.owner, "PATCH", f"/devices/{till.device['device_id']}", {"caps": caps})
    body = {"public_key": public_key_text(key())}
    assert await refusal(till, "POST", CERTIFICATE, body) == (403, "E_PERMISSION")


async def test_R39_a_cap_that_leaves_something_to_sell_is_no_hindrance(park: Park) -> None:
    till = await park.till(shift=False)
    caps = {"offline_cap": {"sales": 1, "satang": None}}
    await tell(park.owner, "PATCH", f"/devices/{till.device['device_id']}", {"caps": caps})
    assert (await asked(till, key())).device_id == till.device["device_id"]


# --- renewing ---------------------------------------------------------------------------


async def test_R22_the_same_certificate_comes_back_until_half_of_it_is_over(fresh: Park) -> None:
    till, own = await fresh.till(shift=False), key()
    first = await asked(till, own)
    assert await asked(till, own) == first
    fresh.inside.clock.advance(36 * HOUR - CLOCK_SLACK - SECOND)
    await renewed(fresh, till)
    assert await asked(till, own) == first
    fresh.inside.clock.advance(2 * SECOND)
    second = await asked(till, own)
    assert second.key_id != first.key_id
    assert second.not_after - first.not_after > 35 * HOUR
    assert await fresh.count("certificates", device_id=till.device["device_id"]) == 2


async def test_R22_another_key_more_serials_or_a_new_package_make_another_certificate(
    park: Park,
) -> None:
    till, own = await park.till(shift=False), key()
    found = [await asked(till, own), await asked(till, key()), await asked(till, own)]
    found.append(await asked(till, own, serials_taken=2_500))
    package = await park.add("/catalog/packages", kind="single", price=100)
    found.append(await asked(till, own))
    assert len({each.key_id for each in found}) == 5
    assert package["package_id"] in found[-1].packages
    assert package["package_id"] not in found[-2].packages
    assert await asked(till, own, serials_taken=2_499) == found[-1]


async def test_R38_a_till_that_counts_fewer_serials_than_arrived_takes_none_of_them_again(
    park: Park,
) -> None:
    till = await OfflineTill.of(park)
    first = till.certificate
    await till.arrives(replace(till.ticket(), serial=7))
    assert await asked(till.till, till.key, serials_taken=7) == first
    behind = await asked(till.till, till.key, serials_taken=6)
    assert behind.key_id != first.key_id
    assert await asked(till.till, till.key, serials_taken=0) == behind
    assert await asked(till.till, till.key) == behind


async def test_R46_the_store_says_how_long_and_for_how_many_tickets(fresh: Park) -> None:
    till, own = await fresh.till(shift=False), key()
    first = await asked(till, own)
    await fresh.settings(offline={"certificate_hours": 8, "max_tickets": 10})
    second = await asked(till, own)
    assert second.key_id != first.key_id
    assert (second.not_after - second.not_before, second.max_tickets) == (8 * HOUR, 10)
    for wrong in ({"certificate_hours": 73}, {"certificate_hours": 0}, {"max_tickets": 0}):
        body = {"sections": {"offline": wrong}}
        assert await refusal(fresh.owner, "PUT", "/settings", body) == (422, "E_VALIDATION")


async def test_R22_a_till_has_only_so_many_certificates_in_force(park: Park) -> None:
    till = await park.till(shift=False)
    first = await asked(till, key())
    stored = await park.db["certificates"].find_one({"key_id": first.key_id})
    copies = [
        {**stored, "_id": f"{stored['_id']}-{number}", "key_id": f"copy{number}"}
        for number in range(MOST_AT_ONCE - 1)
    ]
    await park.db["certificates"].insert_many(copies)
    body = {"public_key": public_key_text(key())}
    try:
        assert await refusal(till, "POST", CERTIFICATE, body) == (409, "E_CONFLICT")
    finally:
        await park.db["certificates"].delete_many({"key_id": {"$regex": "^copy"}})
    assert (await asked(till, key())).key_id != first.key_id


async def test_R22_tills_that_ask_at_once_get_certificates_of_their_own(fresh: Park) -> None:
    """The server's key is made once, whoever comes first."""
    tills = [await fresh.till(shift=False) for _ in range(6)]
    found = await asyncio.gather(*(asked(till, key()) for till in tills for _ in range(3)))
    assert len({each.key_id for each in found}) == 18
    assert await fresh.count("secrets", name="certificate_ed25519") == 1
    gates = await served(fresh)
    assert gates.key is not None
    assert all(verify_certificate(each, gates.key) for each in found)


async def test_R45_what_a_till_may_sign_is_in_the_audit_trail(park: Park) -> None:
    till = await park.till(shift=False)
    found = await asked(till, key())
    await asked(till, key())
    rows = await park.db["audits"].find({"entity_id": found.key_id}).to_list(10)
    (row,) = [each for each in rows if each["event_type"] == "certificate.issued"]
    assert row["payload"]["device_id"] == till.device["device_id"]
    assert row["payload"]["max_tickets"] == 5_000
    assert row["payload"]["new_key"] is True
    assert found.public_key not in str(row)


# --- what gates get ---------------------------------------------------------------------


async def test_R22_gates_get_a_certificate_until_its_tickets_admit_no_more_without_their_sale(
    fresh: Park,
) -> None:
    till = await fresh.till(shift=False)
    found = await asked(till, key())
    start = fresh.inside.clock.now()
    scope = await fresh.inside.scope(fresh.owner)
    for hours, there in ((71, True), (73, True), (143, True), (145, False)):
        fresh.inside.clock.advance(start + hours * HOUR - fresh.inside.clock.now())
        platform = fresh.inside.platform
        given = await certificates.certificates_for(platform, platform.uow.reading(), scope)
        assert (found.key_id in {each.key_id for each in given.certificates}) is there, hours


async def test_R22_a_park_without_offline_tills_has_no_key_to_check_with(fresh: Park) -> None:
    assert await served(fresh) == GateCertificates(None, [])


async def test_R44_gates_get_the_certificates_of_their_own_store_only(park: Park) -> None:
    found = await asked(await park.till(shift=False), key())
    other = await Outsider(park.inside.http).pair("GATE", "DEMO-OTHER-PARK")
    assert found.key_id in await served_ids(park)
    assert await served(park, other) == GateCertificates(None, [])


# --- revoking ---------------------------------------------------------------------------


async def test_R22_a_revoked_till_s_certificates_end_at_that_moment(park: Park) -> None:
    offline = await OfflineTill.of(park)
    other = await OfflineTill.of(park)
    before = await served(park)
    park.inside.clock.advance(timedelta(minutes=1))
    device_id = offline.till.device["device_id"]
    await tell(park.owner, "POST", f"/devices/{device_id}/revoke", {})
    after = {each.key_id: each for each in (await served(park)).certificates}
    ended = after[offline.certificate.key_id]
    assert ended.not_after == park.inside.clock.now()
    assert after[other.certificate.key_id].not_after == other.certificate.not_after
    # Signed anew as it is now; the old one is no longer handed out.
    assert before.key is not None
    assert verify_certificate(ended, before.key)
    body = {"public_key": offline.certificate.public_key}
    assert await refusal(offline.till, "POST", CERTIFICATE, body) == (403, "E_DEVICE_REVOKED")


async def test_R22_a_renewal_and_a_revocation_at_once_leave_nothing_in_force(park: Park) -> None:
    for _ in range(5):
        till = await park.till(shift=False)
        device_id = till.device["device_id"]
        asking = [
            till.call("POST", f"/v1{CERTIFICATE}", {"public_key": public_key_text(key())})
            for _ in range(3)
        ]
        revoke = park.owner.call("POST", f"/v1/devices/{device_id}/revoke", {})
        *answers, revoked = await asyncio.gather(*asking, revoke)
        assert revoked.status_code == 200
        assert {each.status_code for each in answers} <= {200, 403}
        stored = await park.db["certificates"].find({"device_id": device_id}).to_list(None)
        now = park.inside.clock.now()
        assert all(each["not_after"] <= now for each in stored)


async def test_R43_a_suspended_till_gets_nothing_new(park: Park) -> None:
    till = await park.till(shift=False)
    await tell(park.owner, "POST", f"/devices/{till.device['device_id']}/suspend", {})
    body = {"public_key": public_key_text(key())}
    assert await refusal(till, "POST", CERTIFICATE, body) == (403, "E_DEVICE_SUSPENDED")


# --- the server's key -------------------------------------------------------------------


async def test_the_servers_key_is_sealed_and_listed_by_its_versions(park: Park) -> None:
    await asked(await park.till(shift=False), key())
    stored = await park.db["secrets"].find_one({"name": "certificate_ed25519"})
    assert stored["sealed"].startswith("gAAAAA")
    items = (await tell(park.owner, "GET", "/secrets"))["items"]
    assert [each["name"] for each in items] == ["ticket_hmac", "certificate_ed25519"]
    assert items[1]["versions"][-1]["version"] == "C1"


async def test_after_a_rotation_everything_is_signed_with_the_new_key(fresh: Park) -> None:
    till = await fresh.till(shift=False)
    assert await refusal(fresh.owner, "POST", ROTATE, {}) == (404, "E_NOT_FOUND")
    found = await asked(till, key())
    before = await served(fresh)
    rotated = await tell(fresh.owner, "POST", ROTATE, {})
    assert rotated["current"] == "C2"
    fresh.inside.clock.advance(SECOND)
    _, listed = (await tell(fresh.owner, "GET", "/secrets"))["items"]
    assert [each["status"] for each in listed["versions"]] == ["current", "retired"]
    after = await served(fresh)
    assert before.key is not None
    assert after.key is not None
    assert after.key != before.key
    (again,) = after.certificates
    assert again.model_copy(update={"signature": found.signature}) == found
    assert verify_certificate(again, after.key)
    assert not verify_certificate(found, after.key)
    trail = await fresh.db["audits"].find_one({"entity_id": "certificate_ed25519"})
    assert trail["payload"] == {"version": "C2", "former": "C1"}


async def test_two_rotations_at_once_make_two_versions(fresh: Park) -> None:
    await asked(await fresh.till(shift=False), key())
    other = await (await fresh.inside.device("ADMIN")).staff(**OWNER)
    rotated = await asyncio.gather(*(tell(who, "POST", ROTATE, {}) for who in (fresh.owner, other)))
    assert {each["current"] for each in rotated} == {"C2", "C3"}
    gates = await served(fresh)
    assert gates.key is not None
    assert all(verify_certificate(each, gates.key) for each in gates.certificates)
