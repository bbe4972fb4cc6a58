"""Ticket keys of a park's own: rotation, what verifies afterwards, and who learns what (R21, 001
§11)."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from api.platform.keyring import ROOTS, SecretRepository, StoredSecret
from api.platform.services import Platform
from api.secrets.service import LAST_KEY, _kid
from playpark.ids import new_ulid
from playpark.tokens import mint_pp1
from tests.api.drawers import applied, op, send, tell
from tests.api.inside import inside
from tests.api.selling import OWNER, Park, sell
from tests.conftest import running_api
from tests.outside import CASHIER, Outsider

ROTATE = "/secrets/ticket_hmac/rotate"
MINUTE, MS = timedelta(minutes=1), timedelta(milliseconds=1)


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    async with inside(mongo_uri, f"{database}_secrets") as park:
        yield await Park.of(park)


async def rotate(owner: Outsider, **body: int) -> dict[str, Any]:
    rotated: dict[str, Any] = await tell(owner, "POST", ROTATE, body)
    return rotated


async def a_ticket(park: Park, till: Outsider) -> dict[str, Any]:
    ticket: dict[str, Any] = (await sell(till, park.adult()))["tickets"][0]
    return ticket


async def shown(gate: Outsider, token: str, **more: Any) -> tuple[str, str | None]:
    answer = await tell(gate, "POST", "/redemptions", {"qr_token": token, **more})
    return answer["result"], answer["reason"]


def kid(token: str) -> str:
    return token.split(".")[1]


def version_of(secret: dict[str, Any], version: str) -> dict[str, Any]:
    (found,) = [each for each in secret["versions"] if each["version"] == version]
    return dict(found)


async def age(park: Park, ticket: dict[str, Any], issued_at: datetime) -> None:
    """As if the ticket had been issued at another time."""
    which = {"ticket_id": ticket["ticket_id"]}
    await park.db["tickets"].update_one(which, {"$set": {"created_at": issued_at}})


# --- rotation ---------------------------------------------------------------------------


async def test_attack_18_a_rotation_signs_new_tickets_and_old_ones_stay_valid(park: Park) -> None:
    till, gate = await park.till(), await park.inside.device("GATE")
    key, body = new_ulid(), park.adult()
    before = await sell(till, body, key=key)
    rotated = await rotate(park.owner)
    after = await a_ticket(park, till)
    assert kid(after["qr_token"]) == rotated["current"]
    assert await sell(till, body, key=key) == before  # the same tokens as the first time (R15)
    for ticket in (*before["tickets"], after):
        assert await shown(gate, ticket["qr_token"]) == ("pass", None)


async def test_R21_the_first_key_of_ones_own_comes_after_those_of_the_environment(
    mongo_uri: str, database: str
) -> None:
    async with inside(mongo_uri, f"{database}_first_key") as fresh:
        park = await Park.of(fresh)
        now = fresh.clock.now()
        (secret,) = (await tell(park.owner, "GET", "/secrets"))["items"]
        root = {"version": "01", "source": "environment", "created_at": None}
        assert secret == {
            "name": "ticket_hmac",
            "current": "01",
            "versions": [{**root, "status": "current", "not_after": None}],
        }
        rotated = await rotate(park.owner, grace_hours=2)
        assert [each["version"] for each in rotated["versions"]] == ["A0", "01"]
        assert rotated["current"] == "A0"
        own, old = rotated["versions"]
        assert (own["status"], own["source"], own["not_after"]) == ("current", "tenant", None)
        assert datetime.fromisoformat(own["created_at"]) == now
        assert old["status"] == "retiring"
        assert datetime.fromisoformat(old["not_after"]) == now + timedelta(hours=2)
        fresh.clock.advance(timedelta(hours=2) + MS)
        await park.owner.staff(**OWNER)
        again = await rotate(park.owner)
        assert [each["version"] for each in again["versions"]] == ["A1", "A0", "01"]
        assert [each["status"] for each in again["versions"]] == ["current", "retiring", "retired"]


def test_R21_names_of_own_keys_are_all_different_and_never_those_of_the_environment() -> None:
    names = [_kid(number) for number in range(1, LAST_KEY + 1)]
    assert (len(set(names)), names[0], names[-1]) == (936, "A0", "ZZ")
    assert all(re.fullmatch(r"[A-Z][0-9A-Z]", name) for name in names)


async def test_after_the_last_name_a_rotation_is_refused_and_changes_nothing(park: Park) -> None:
    scope = await park.inside.scope(park.owner)
    tenant = {"_id": scope.tenant_id}
    kept = await park.db["tenants"].find_one(tenant)
    await park.db["tenants"].update_one(tenant, {"$set": {"key_version": 936}})
    response = await send(park.owner, "POST", ROTATE, {})
    assert (response.status_code, response.json()["error"]["code"]) == (409, "E_CONFLICT")
    assert (await park.db["tenants"].find_one(tenant))["key_version"] == 936
    back = {"$set": {"key_version": kept["key_version"]}}
    await park.db["tenants"].update_one(tenant, back)


async def test_R43_rotations_at_once_make_one_key_each_and_every_session_knows_the_last(
    park: Park,
) -> None:
    owners = [await (await park.inside.device("ADMIN")).staff(**OWNER) for _ in range(5)]
    before = (await park.inside.scope(park.owner)).key_version
    pairing = (park.inside.device("GATE") for _ in range(5))
    made, gates = await asyncio.gather(
        asyncio.gather(*(rotate(owner) for owner in owners)), asyncio.gather(*pairing)
    )
    assert len({each["current"] for each in made}) == 5
    for who in (park.owner, *owners, *gates):
        assert (await park.inside.scope(who)).key_version == before + 5
    (secret,) = (await tell(park.owner, "GET", "/secrets"))["items"]
    assert [each["status"] for each in secret["versions"]].count("current") == 1
    ticket = await a_ticket(park, await park.till())
    assert kid(ticket["qr_token"]) == secret["current"]


async def test_a_rotation_is_audited_without_the_key(park: Park) -> None:
    former = (await rotate(park.owner))["current"]
    now = await rotate(park.owner)
    row = await park.db["audits"].find_one(
        {"event_type": "secret.rotated"}, sort=[("ts", -1), ("seq", -1)]
    )
    not_after = datetime.fromisoformat(version_of(now, former)["not_after"])
    assert row["actor_id"] == (await tell(park.owner, "GET", "/employees/me"))["employee_id"]
    assert row["payload"] == {
        "version": now["current"],
        "former": former,
        "not_after": not_after.isoformat(),
    }


# --- what verifies afterwards -----------------------------------------------------------


async def test_attack_18_what_is_issued_with_a_key_after_its_end_is_no_ticket(park: Park) -> None:
    till, gate = await park.till(), await park.inside.device("GATE")
    good, late = await a_ticket(park, till), await a_ticket(park, till)
    token = late["qr_token"]
    former = version_of(await rotate(park.owner), kid(token))
    not_after = datetime.fromisoformat(former["not_after"])
    await age(park, good, not_after)
    await age(park, late, not_after + MS)
    rows = await park.count("redemptions")
    for more in ({}, {"direction": "exit"}):
        assert await shown(gate, token, **more) == ("fail", "invalid_sig")
    assert await shown(gate, token, simulate=True) == ("fail", "invalid_sig")
    assert await park.count("redemptions") == rows + 2
    newest = await park.db["redemptions"].find_one(sort=[("_id", -1)])
    told = (newest["ticket_id"], newest["kind"], newest["remaining"], newest["package_name"])
    assert told == (None, None, None, None)  # nothing is revealed about the ticket
    assert (await tell(gate, "GET", "/tickets", qr=token))["items"] == []
    assert await shown(gate, good["qr_token"]) == ("pass", None)
    # The code that is printed under it carries no key.
    answer = await tell(gate, "POST", "/redemptions", {"short_code": late["short_code"]})
    assert answer["result"] == "pass"


async def test_R21_what_began_before_a_rotation_may_end_with_the_former_key(park: Park) -> None:
    """A process that has not heard of it yet, such as in the middle of a batch: nobody who paid
    is turned away."""
    till, gate = await park.till(), await park.inside.device("GATE")
    former = (await rotate(park.owner))["current"]
    await a_ticket(park, till)  # its key is known here
    unaware = await park.inside.scope(till)
    keys = await park.inside.platform.ticket_keys(unaware)
    await rotate(park.owner)
    assert keys.current == former

    async def issue() -> dict[str, Any]:
        async def stale(_: Any) -> Any:
            return keys

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Platform, "ticket_keys", lambda _, scope: stale(scope))
            return await a_ticket(park, till)

    park.inside.clock.advance(MINUTE)
    under_way = await issue()
    assert kid(under_way["qr_token"]) == former
    assert await shown(gate, under_way["qr_token"]) == ("pass", None)
    park.inside.clock.advance(MS)
    too_late = await issue()
    assert await shown(gate, too_late["qr_token"]) == ("fail", "invalid_sig")
    await park.owner.staff(**OWNER)


async def test_R21_with_a_grace_the_former_key_may_go_on_issuing(park: Park) -> None:
    till, gate = await park.till(), await park.inside.device("GATE")
    ticket = await a_ticket(park, till)
    now = park.inside.clock.now()
    former = version_of(await rotate(park.owner, grace_hours=72), kid(ticket["qr_token"]))
    assert datetime.fromisoformat(former["not_after"]) == now + timedelta(hours=72)
    await age(park, ticket, now + timedelta(hours=72))
    assert await shown(gate, ticket["qr_token"]) == ("pass", None)


@pytest.mark.parametrize("change", ["each byte", "truncated", "forged"])
async def test_attack_17_whatever_is_not_our_token_fails_and_leaves_a_row(
    park: Park, change: str
) -> None:
    till = await park.till()
    await rotate(park.owner)
    ticket = await a_ticket(park, till)
    token, ticket_id = ticket["qr_token"], ticket["ticket_id"]
    forgeries = {
        "each byte": [token[:i] + _other(token[i]) + token[i + 1 :] for i in range(len(token))],
        "truncated": [token[:length] for length in range(1, len(token))],
        "forged": await _forged(park, ticket_id, token),
    }[change]
    assert len(forgeries) == len(set(forgeries)) >= 10
    gates = [await park.inside.device("GATE") for _ in range(3)]
    rows = await park.count("redemptions", reason="invalid_sig")
    for number, forgery in enumerate(forgeries):
        assert forgery != token
        found = await shown(gates[number % 3], forgery)
        assert found == ("fail", "invalid_sig"), (number, forgery)
    assert await park.count("redemptions", reason="invalid_sig") == rows + len(forgeries)
    assert await shown(gates[0], token) == ("pass", None)


def _other(char: str) -> str:
    return "B" if char == "A" else "3" if char == "2" else "A"


async def _forged(park: Park, ticket_id: str, token: str) -> list[str]:
    """Tokens of other keys for the same ticket, and of other versions."""
    scope = await park.inside.scope(park.owner)
    keys = await park.inside.platform.ticket_keys(scope)
    mine, foreign = scope.tenant_id, new_ulid()
    stranger = await Outsider(park.inside.http).pair("POS", "DEMO-OTHER-PARK")
    other_scope = await park.inside.scope(stranger)
    theirs = await park.inside.platform.ticket_keys(other_scope)
    current, signature = keys.current, token.split(".")[3]
    secret = keys.by_kid[current]
    return [
        # Another of our keys, equally valid: the ticket remembers which one it is.
        mint_pp1(keys.by_kid, "01", mine, ticket_id),
        # The kid swapped, with the signature of before and with one of its own.
        f"PP1.01.{ticket_id}.{signature}",
        mint_pp1({"01": secret}, "01", mine, ticket_id),
        # Another tenant's key, for their ticket and for ours.
        mint_pp1(theirs.by_kid, "01", other_scope.tenant_id, ticket_id),
        mint_pp1(theirs.by_kid, "01", mine, ticket_id),
        mint_pp1({current: theirs.by_kid["01"]}, current, mine, ticket_id),
        mint_pp1({current: secret}, current, foreign, ticket_id),
        # Keys that we do not have, and what stands for all of the environment's.
        mint_pp1({"ZZ": secret}, "ZZ", mine, ticket_id),
        mint_pp1({"02": secret}, "02", mine, ticket_id),
        mint_pp1({current: b""}, current, mine, ticket_id),
        f"PP1.{ROOTS}.{ticket_id}.{signature}",
        # Another version or spelling.
        token.replace("PP1", "PP0"),
        token.replace("PP1", "PP2"),
        token.lower(),
        f"{token}A",
        f" {token}",
        f"{token}\n",
    ]


# --- every process, on the next request -------------------------------------------------


async def test_R21_a_rotation_in_one_process_is_used_by_the_other_on_the_very_next_request(
    mongo_uri: str, database: str
) -> None:
    name = f"{database}_two_keys"
    async with AsyncExitStack() as stack:
        urls = [stack.enter_context(running_api(mongo_uri, name)) for _ in range(2)]
        here, there = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30))
            for url in urls
        ]
        owner = await (await Outsider(here).pair("ADMIN")).staff(**OWNER)
        till = await (await Outsider(there).pair("POS")).staff(**CASHIER)
        gate = await Outsider(there).pair("GATE")
        await till.open_shift()
        sold = [await till.sell(("Carousel ride", 1))]
        for number in range(5):
            rotated = await owner.data("POST", f"/v1{ROTATE}", {})
            assert rotated["current"] == f"A{number}"
            sold.append(await till.sell(("Carousel ride", 1)))
            token = sold[-1]["tickets"][0]["qr_token"]
            assert kid(token) == rotated["current"]
            # In the process that made the key, and the earlier ones in that which did not.
            here_too = Outsider(here, token=gate.token)
            assert await shown(here_too, token) == ("pass", None)
            assert await shown(gate, sold[-2]["tickets"][0]["qr_token"]) == (
                ("pass", None) if number == 0 else ("fail", "duplicate_use")
            )


async def test_R21_nobody_who_pays_while_keys_change_is_turned_away(
    mongo_uri: str, database: str
) -> None:
    name = f"{database}_busy_keys"
    async with AsyncExitStack() as stack:
        urls = [stack.enter_context(running_api(mongo_uri, name)) for _ in range(2)]
        first, second = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30))
            for url in urls
        ]
        owner = await (await Outsider(first).pair("ADMIN")).staff(**OWNER)
        tills = [await (await Outsider(second).pair("POS")).staff(**CASHIER) for _ in range(3)]
        for till in tills:
            await till.open_shift()
        carousel = (await tills[0].packages())["Carousel ride"]["package_id"]
        me = (await tills[0].data("GET", "/v1/employees/me"))["employee_id"]

        async def sell_a_batch(till: Outsider) -> list[str]:
            """Ten sales in one request: its scope is read once, before the first."""
            body = {
                "lines": [{"package_id": carousel, "qty": 1}],
                "payments": [{"method": "cash", "amount": 4_000}],
            }
            ops = [op("sale", body, employee_id=me) for _ in range(10)]
            return [
                ticket["qr_token"]
                for result in await applied(till, *ops)
                for ticket in result["tickets"]
            ]

        async def change_keys() -> None:
            for _ in range(6):
                await owner.data("POST", f"/v1{ROTATE}", {})

        *batches, _ = await asyncio.gather(*(sell_a_batch(till) for till in tills), change_keys())
        tokens = [token for batch in batches for token in batch]
        gate = await Outsider(first).pair("GATE")
        assert len(tokens) == 30
        for token in tokens:
            assert await shown(gate, token) == ("pass", None)


async def test_R43_nothing_on_a_token_makes_the_server_read_keys(
    park: Park, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    read = SecretRepository.versions

    async def counted(self: SecretRepository, name: str) -> list[StoredSecret]:
        nonlocal reads
        reads += 1
        return await read(self, name)

    monkeypatch.setattr(SecretRepository, "versions", counted)
    till, gate = await park.till(), await park.inside.device("GATE")
    await rotate(park.owner)
    reads = 0
    token = (await a_ticket(park, till))["qr_token"]
    assert reads == 1  # the new version, once
    for forged in ("ZZ", "Q7", "99", "00"):
        assert await shown(gate, f"PP1.{forged}.{token[7:]}") == ("fail", "invalid_sig")
    assert await shown(gate, token) == ("pass", None)
    assert reads == 1


# --- who may, and who learns what -------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), [("GET", "/secrets"), ("POST", ROTATE)])
async def test_R40_secrets_are_for_who_may_write_settings_and_has_just_proved_it(
    park: Park, method: str, path: str
) -> None:
    body = {} if method == "POST" else None
    till = await park.till(shift=False)
    for who in (till, await park.inside.device("GATE")):
        answer = await send(who, method, path, body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "E_PERMISSION")
    owner = await (await park.inside.device("ADMIN")).staff(**OWNER)
    await tell(owner, "GET", "/secrets")
    park.inside.clock.advance(timedelta(minutes=16))
    answer = await send(owner, method, path, body)
    assert answer.json()["error"]["details"] == {"reason": "step_up"}
    await park.owner.staff(**OWNER)


@pytest.mark.parametrize(("method", "path"), [("GET", "/secrets"), ("POST", ROTATE)])
async def test_R44_keys_of_the_whole_tenant_are_for_who_may_in_every_store(
    park: Park, method: str, path: str
) -> None:
    scope = await park.inside.scope(park.owner)
    store = await park.db["stores"].find_one({"_id": scope.store_id})
    other = new_ulid()
    await park.db["stores"].insert_one({**store, "_id": other, "store_id": other})
    before = await park.count("secrets")
    answer = await send(park.owner, method, path, {} if method == "POST" else None)
    await park.db["stores"].delete_one({"_id": other})
    error = answer.json()["error"]
    assert (error["code"], error["details"]["everywhere"]) == ("E_PERMISSION", True)
    assert await park.count("secrets") == before


@pytest.mark.parametrize("body", [{"grace_hours": 73}, {"grace_hours": -1}, {"grace_hours": True}])
async def test_a_grace_is_hours_up_to_three_days(park: Park, body: Any) -> None:
    assert (await send(park.owner, "POST", ROTATE, body)).status_code == 422


@pytest.mark.parametrize("name", ["jwt", "TICKET_HMAC", ROOTS, "ticket_hmac:A0", "$ne"])
async def test_there_is_no_other_secret_to_rotate(park: Park, name: str) -> None:
    before = await park.count("secrets")
    response = await send(park.owner, "POST", f"/secrets/{name}/rotate", {})
    assert response.status_code in {404, 422}
    assert response.json()["error"]["code"] in {"E_NOT_FOUND", "E_VALIDATION"}
    assert await park.count("secrets") == before


async def test_R44_a_rotation_is_nothing_to_another_park(park: Park) -> None:
    stranger = await Outsider(park.inside.http).pair("POS", "DEMO-OTHER-PARK")
    before = await park.inside.scope(stranger)
    await rotate(park.owner)
    after = await park.inside.scope(stranger)
    assert (before.key_version, after.key_version) == (0, 0)
    assert (await park.inside.platform.ticket_keys(after)).current == "01"
