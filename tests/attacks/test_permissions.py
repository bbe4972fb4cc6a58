"""Every route with every role, each device alone and one person for each permission (R40, R42).

What a route takes is read from OpenAPI, where its declaration stands; who may what is reckoned
here once more. Routes that are added are walked by themselves.
"""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from api.app import ROUTERS
from playpark.contracts.employees import Permission
from playpark.contracts.tenancy import DeviceType
from playpark.ids import new_ulid
from tests.api.drawers import op, sync
from tests.api.own_park import OWNER, OwnPark, own_park
from tests.attacks.described import Route, routes
from tests.outside import CASHIER, Outsider

SUPERVISOR = {"email": "supervisor@demo.playpark", "pin": "9999"}
SELLS = {"sell", "shift_open", "shift_close"}
BY_ITSELF = {"GATE": {"redeem"}, "KIOSK": {"sell"}}
CAN = {"POS": {"can_sell", "can_redeem"}, "GATE": {"can_redeem"}, "KIOSK": {"can_sell"}}
PEOPLE = {"cashier": CASHIER, "supervisor": SUPERVISOR, "owner": OWNER}
ONLY = "only-{}@demo.playpark"
# Who has `sell` may look a receipt up; the list takes `reports_view`, which a declaration cannot
# say: it depends on what is asked for.
NARROWED = {"GET /v1/sales": {"receipt_no": "01-S000001"}}


@pytest.fixture(scope="module")
def park(mongo_uri: str, database: str) -> Iterator[OwnPark]:
    with own_park(mongo_uri, f"{database}_permissions") as park:
        yield park


@pytest.fixture(scope="module")
def private(park: OwnPark) -> list[Route]:
    """Private routes, those that end a session last."""
    found = [route for route in routes(park.url) if route.private]
    return sorted(found, key=lambda route: route.path.endswith("/logout"))


# --- who may what, reckoned once more ---------------------------------------------------


@dataclass(frozen=True)
class Caller:
    """Who calls: a kind of device, and what the person on it may do; None for nobody."""

    device: str
    permissions: frozenset[str] | None = None
    paired: bool = True

    def device_can(self, permission: str) -> bool:
        caps = CAN.get(self.device, set())
        if permission in SELLS:
            return "can_sell" in caps
        return permission != "redeem" or "can_redeem" in caps

    def may(self, permission: str) -> bool:
        if not self.device_can(permission):
            return False
        return permission in BY_ITSELF.get(self.device, set()) | (self.permissions or set())

    def refusal(self, rights: dict[str, Any]) -> tuple[int, str | None] | None:
        """Status and reason of the refusal that a route owes this caller; None for a welcome."""
        if rights["device"] and not self.paired:
            return 403, "capability"
        if self.device == "ADMIN" and "on_admin_devices" in rights:
            rights = rights["on_admin_devices"]
        named = [*rights["any_of"][-1:], *rights["all_of"]]
        if rights["person"] and self.permissions is None:
            return (401, None) if all(map(self.device_can, named)) else (403, "capability")
        any_of = not rights["any_of"] or any(map(self.may, rights["any_of"]))
        if any_of and all(map(self.may, rights["all_of"])):
            return None
        missing = next(each for each in named if not self.may(each))
        return 403, "permission" if self.device_can(missing) else "capability"


def hire(park: OwnPark) -> None:
    """Somebody for each permission, who has that one alone and the cashier's PIN: straight in the
    database, for no route gives a role that the giver does not have."""
    employee = park.mongo.employees.find_one({"email": CASHIER["email"]})
    membership = park.mongo.memberships.find_one({"employee_id": employee["_id"]})
    role = park.mongo.roles.find_one({"_id": membership["roles"][0]})
    for permission in Permission:
        email, who, what = ONLY.format(permission.value), new_ulid(), new_ulid()
        park.mongo.roles.insert_one(
            {**role, "_id": what, "name": permission.value, "permissions": [permission.value]}
        )
        park.mongo.employees.insert_one({**employee, "_id": who, "name": email, "email": email})
        park.mongo.memberships.insert_one(
            {**membership, "_id": new_ulid(), "employee_id": who, "roles": [what]}
        )


async def knock(who: Outsider, route: Route) -> httpx.Response:
    """Call a route so that nothing comes of it: with ids that nobody has, and where its rights are
    judged before its body, with a body that is none."""
    body: Any = None
    if route.body is not None:
        body = route.example if route.is_operation else {"canary_4711": 1}
    key = new_ulid() if route.is_operation else None
    query = NARROWED.get(str(route), {})
    return await who.call(route.method, route.url(), body, key=key, **query)


def problem(route: Route, caller: Caller, response: httpx.Response) -> str | None:
    """What is wrong with an answer; None where it is as declared."""
    assert route.rights is not None
    error = response.json()["error"] or {}
    reason = (error.get("details") or {}).get("reason")
    told = response.status_code, reason if response.status_code == 403 else None
    owed = caller.refusal(route.rights)
    if owed is None and told[1] == "approval_required":
        asked = error["details"]["action"]
        return None if asked in route.rights["approval"] else f"{route}: wants {asked} untold"
    if owed is None:
        welcome = told[0] != 401 and told[1] is None
        return None if welcome else f"{route}: {told} where it is allowed"
    if told != owed:
        return f"{route}: {told} and not {owed}"
    code = {401: "E_UNAUTHENTICATED", 403: "E_PERMISSION"}[owed[0]]
    return None if error["code"] == code else f"{route}: {error['code']}"


async def walk(private: list[Route], who: Outsider, caller: Caller) -> str:
    """What is wrong, a line each; nothing where all is as declared."""
    found = [problem(route, caller, await knock(who, route)) for route in private]
    return "\n".join(each for each in found if each)


# --- the walks --------------------------------------------------------------------------


def test_R40_every_private_route_declares_what_it_takes(private: list[Route]) -> None:
    assert len(private) > 90
    assert [str(route) for route in private if route.rights is None] == []
    for route in private:
        known = {permission.value for permission in Permission}
        rights = route.rights or {}
        assert known.issuperset({*rights["any_of"], *rights["all_of"]}), route


def test_R40_what_a_route_takes_is_said_once() -> None:
    """The sentence is made from the declaration: one that is written too may come to lie."""
    for router in ROUTERS:
        for route in router.routes:
            words = inspect.getdoc(getattr(route, "endpoint", None)) or ""
            assert "Needs" not in words, route


@pytest.mark.parametrize("device", [each.value for each in DeviceType])
async def test_attack_6_a_device_alone_does_what_is_declared_and_no_more(
    park: OwnPark, private: list[Route], device: str
) -> None:
    async with park.connect(device) as alone:
        assert not await walk(private, alone, Caller(device))


@pytest.mark.parametrize("device", ["POS", "ADMIN", "GATE", "KIOSK"])
@pytest.mark.parametrize("role", list(PEOPLE))
async def test_attack_6_each_role_does_what_is_declared_and_no_more(
    park: OwnPark, private: list[Route], role: str, device: str
) -> None:
    async with park.connect(device, **PEOPLE[role]) as person:
        me = await person.data("GET", "/v1/employees/me")
        caller = Caller(device, frozenset(me["permissions"]))
        assert not await walk(private, person, caller)


async def test_attack_6_a_person_without_a_device_does_what_is_declared_and_no_more(
    park: OwnPark, private: list[Route]
) -> None:
    tenant_id = park.mongo.tenants.find_one({"name": "Bangkok Play Park"})["_id"]
    async with httpx.AsyncClient(base_url=park.url, timeout=30) as http:
        person = await Outsider(http).staff(**OWNER, tenant=tenant_id)
        me = await person.data("GET", "/v1/employees/me")
        caller = Caller("ADMIN", frozenset(me["permissions"]), paired=False)
        assert not await walk(private, person, caller)


async def test_attack_6_each_permission_opens_what_is_declared_and_no_more(
    park: OwnPark, private: list[Route]
) -> None:
    hire(park)
    for permission in Permission:
        who = {"email": ONLY.format(permission.value), "pin": CASHIER["pin"]}
        async with park.connect("POS", **who) as person:
            caller = Caller("POS", frozenset({permission.value}))
            assert not await walk(private, person, caller), permission


async def test_R42_what_takes_an_approval_declares_it(park: OwnPark, private: list[Route]) -> None:
    """Each of these is asked for without one: the refusal names an action of the declaration."""
    declared = {str(route): route.rights["approval"] for route in private if route.rights}
    because = {"reason_code": "customer_request"}
    async with park.connect("POS", **CASHIER) as till:
        shift_id = await till.open_shift(0)
        sold = await till.sell(("Carousel ride", 1))
        sale_id, ticket_id = sold["sale"]["sale_id"], sold["tickets"][0]["ticket_id"]
        package_id = (await till.packages())["Carousel ride"]["package_id"]
        line = {"package_id": package_id, "qty": 1, "manual_discount": 100}
        cart = {"name": "cheaper", "cart": {"lines": [line]}}
        parked = await till.data("POST", "/v1/open_tickets", cart)
        paid = {"payments": [{"method": "cash", "amount": parked["grand_total"]}]}
        short = {"cash_counted": 0, "reason_code": "counting_error"}
        asking: dict[str, tuple[str, str, Any]] = {
            "POST /v1/sales": ("sale_id", "", {"lines": [line], **paid}),
            "POST /v1/open_tickets/{open_ticket_id}/checkout": (
                "open_ticket_id",
                parked["open_ticket_id"],
                paid,
            ),
            "POST /v1/refunds": ("", "", {"sale_id": sale_id, **because}),
            "POST /v1/tickets/refund": ("", "", {"sale_id": sale_id, **because}),
            "POST /v1/reprints": ("", "", {"sale_id": sale_id, **because}),
            "POST /v1/tickets/reprint": ("", "", {"sale_id": sale_id, **because}),
            "POST /v1/tickets/exchange": ("", "", {"ticket_id": ticket_id, **because}),
            "POST /v1/tickets/cancel": ("", "", {"ticket_id": ticket_id, **because}),
            "POST /v1/sales/{sale_id}/void": ("sale_id", sale_id, because),
            "GET /v1/shifts/{shift_id}/x": ("shift_id", shift_id, None),
            "POST /v1/shifts/close": ("", "", short),
            "POST /v1/cash_drawers/{drawer_id}/close": ("drawer_id", shift_id, short),
        }
        for name, (key, value, body) in asking.items():
            await _asks(till, private, name, {key: value}, body)
        closed = {"cash_counted": 4_000}
        await till.data("POST", "/v1/shifts/close", closed, key=new_ulid())
        recount = {"type": "recount", **short}
        adjust = "POST /v1/shifts/{shift_id}/adjustments"
        await _asks(till, private, adjust, {"shift_id": shift_id}, recount)
    resolve = "POST /v1/sync/dead_letters/{dead_letter_id}/resolve"
    async with park.connect("POS", **OWNER) as boss:
        (kept,) = await sync(boss, op("sale", {}))
        settled = {"action": "dismiss", **because}
        await _asks(boss, private, resolve, {"dead_letter_id": kept["dead_letter_id"]}, settled)
    assert {*asking, adjust, resolve} == {name for name, actions in declared.items() if actions}


async def _asks(
    till: Outsider, private: list[Route], name: str, ids: dict[str, str], body: Any
) -> None:
    route = next(each for each in private if str(each) == name)
    key = new_ulid() if route.is_operation else None
    response = await till.call(route.method, route.url(ids), body, key=key)
    details = response.json()["error"]["details"]
    assert (response.status_code, details["reason"]) == (403, "approval_required"), name
    assert route.rights is not None
    assert details["action"] in route.rights["approval"], name


async def test_R42_who_lost_a_permission_since_still_gets_the_first_answer(park: OwnPark) -> None:
    async with park.connect("POS", **CASHIER) as till:
        await till.open_shift(0)
        key = new_ulid()
        first = await till.sell(("Carousel ride", 1), key=key)
        me = (await till.data("GET", "/v1/employees/me"))["employee_id"]
        park.mongo.sessions.update_one(
            {"_id": till.device["device_id"]}, {"$pull": {f"employees.{me}.permissions": "sell"}}
        )
        again = await till.sell(("Carousel ride", 1), key=key)
        assert again == first
        package_id = first["sale"]["lines"][0]["package_id"]
        body = {
            "lines": [{"package_id": package_id, "qty": 1}],
            "payments": [{"method": "cash", "amount": 4_000}],
        }
        refused = await till.call("POST", "/v1/sales", body, key=new_ulid())
        assert refused.status_code == 403
        assert refused.json()["error"]["details"]["permission"] == "sell"


async def test_attack_6_no_tenants_token_opens_a_providers_route(park: OwnPark) -> None:
    theirs = [route for route in routes(park.url) if (route.rights or {}).get("provider")]
    async with park.connect("ADMIN", **OWNER) as owner:
        for route in theirs:
            response = await owner.call(route.method, route.url(), {} if route.body else None)
            assert response.status_code == 401, route
