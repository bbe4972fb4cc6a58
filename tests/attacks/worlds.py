"""Three stores to keep apart: one's own, another one of the same park, and one of another park.

Each is filled with one of everything that can be made through the API, all of it under a name that
must not turn up anywhere else.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from playpark.ids import new_ulid
from playpark.offline_tickets import public_key_text
from tests.api.drawers import approve, op, sync, tell
from tests.api.giving_back import ask
from tests.api.own_park import OWNER, OwnPark
from tests.outside import Outsider

PIN = "8462"
OWN, OTHER, THEIRS = "CANARYOWN", "CANARYTWO", "CANARYBBB"
PRICE = 10_000
CART_DISCOUNT = {"level": "cart", "amount": 100}
OTHER_PARK = {"email": "cashier@other.playpark", "pin": "1111"}
OF_THE_PARK = {"customer_id", "role_id"}
"""What all stores of a park share."""


@dataclass
class World:
    """A store with its people, devices and books. `ids` are by the name that they have in paths
    and bodies; `canary` stands in every text of it."""

    park: OwnPark
    canary: str
    store_id: str
    keeper: dict[str, str]
    """Who may do everything here, and so may `helper`, who approves."""
    helper: dict[str, str]
    office: Outsider
    till: Outsider
    gate: Outsider
    spare: dict[str, Any]
    """A device that may be suspended, revoked and rotated."""
    words: str
    """Stands in every text; the canary by default."""
    ids: dict[str, str] = field(default_factory=dict)
    sold: dict[str, Any] = field(default_factory=dict)

    @property
    def shared(self) -> str:
        """A name for what all stores of a park share."""
        return "everybody's" if self.canary in {OWN, OTHER} else self.words

    def named(self, **fields: Any) -> dict[str, Any]:
        return {"name": self.words, "name_th": f"ไทย {self.words}", **fields}

    async def add(self, path: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = await tell(self.office, "POST", path, body)
        self.ids[key] = made[key]
        return made

    async def approved(self, action: str, entity_id: str) -> str:
        return await approve(self.till, action, entity_id, **self.helper)

    async def sale(self, qty: int = 1, **more: Any) -> dict[str, Any]:
        line = {"package_id": self.ids["package_id"], "qty": qty}
        paid = {"method": "cash", "amount": PRICE * qty, "reference": self.words}
        body = {"lines": [line], "payments": [paid], **more}
        sold: dict[str, Any] = await tell(self.till, "POST", "/sales", body)
        return sold


@asynccontextmanager
async def worlds(park: OwnPark) -> AsyncIterator[tuple[World, World, World]]:
    """One's own store, the other store of the park, the store of the other park; all filled.

    Whoever keeps the first has nothing to do with the second.
    """
    async with park.connect("ADMIN", **OWNER) as owner:
        other_id = await _another_store(park, owner)
        key = await owner.data(
            "POST", "/v1/site_keys", {"uses": None, "auto_approve": True}, store_id=other_id
        )
    park.mongo.memberships.delete_many({"store_id": other_id})
    first = park.mongo.stores.find_one({"name": "Main Gate"})
    foreign = park.mongo.stores.find_one({"name": "Other Gate"})
    async with (
        open_world(park, OWN, first["_id"], "DEMO-MAIN-GATE") as own,
        open_world(park, OTHER, other_id, key["site_key"]) as other,
        open_world(park, THEIRS, foreign["_id"], "DEMO-OTHER-PARK") as theirs,
    ):
        for world in (own, other, theirs):
            await fill(world)
        yield own, other, theirs


async def _another_store(park: OwnPark, owner: Outsider) -> str:
    """Named in its own books only: the others' tell that it was opened."""
    store_id = (await owner.data("POST", "/v1/stores", {"name": "Back Gate"}))["store_id"]
    await owner.staff(**OWNER)
    named = {"name": OTHER, "receipt_header": [OTHER]}
    await owner.data("PATCH", f"/v1/stores/{store_id}", named)
    return str(store_id)


@asynccontextmanager
async def open_world(
    park: OwnPark, canary: str, store_id: str, site_key: str, words: str | None = None
) -> AsyncIterator[World]:
    """A store with two people who may do everything, and a device of three kinds."""
    words = words or canary
    emails = (f"{canary}-{n}@demo.playpark".lower() for n in (1, 2))
    keeper, helper = (_hire(park, store_id, email, words) for email in emails)
    async with (
        park.connect("ADMIN", site_key, **keeper) as office,
        park.connect("POS", site_key, **keeper) as till,
        park.connect("GATE", site_key) as gate,
        park.connect("POS", site_key) as spare,
    ):
        people, devices = (keeper, helper), (office, till, gate, spare.device)
        yield World(park, canary, store_id, *people, *devices, words)


def _hire(park: OwnPark, store_id: str, email: str, words: str) -> dict[str, str]:
    """Straight in the database: the other park has nobody who could hire. The PIN is that of the
    demo park's owner."""
    db = park.mongo
    store = db.stores.find_one({"_id": store_id})
    template = db.employees.find_one({"email": OWNER["email"]})
    role = db.roles.find_one({"tenant_id": store["tenant_id"], "name": "owner"})
    membership = db.memberships.find_one({"employee_id": template["_id"]})
    who = {"_id": new_ulid(), "tenant_id": store["tenant_id"]}
    db.employees.insert_one({**template, **who, "email": email, "name": f"{words} {email[-20:]}"})
    place = {"tenant_id": store["tenant_id"], "store_id": store_id, "employee_id": who["_id"]}
    db.memberships.insert_one(
        {
            **membership,
            **place,
            "_id": f"{store['tenant_id']}:{store_id}:{who['_id']}",
            "roles": [role["_id"]],
        }
    )
    return {"email": email, "pin": OWNER["pin"]}


async def fill(world: World) -> None:
    """One of everything."""
    await _furnish(world)
    await _employ(world)
    await _trade(world)
    await _give_back(world)
    await _take_out_of_use(world)
    await _leave_open(world)


async def _furnish(world: World) -> None:
    """What is sold, and at which price. Rules are off: prices stay simple."""
    add, ids = world.add, world.ids
    tax = {"name": world.words, "rate": 700, "mode": "inclusive"}
    await add("/catalog/taxes", "tax_id", tax)
    await add("/catalog/zones", "zone_id", world.named(credit_price=100))
    entry = {"kind": "single", "price": PRICE, "zones": [ids["zone_id"]], "tax_id": ids["tax_id"]}
    await add("/catalog/packages", "package_id", world.named(**entry))
    prices = {"prices": {ids["package_id"]: PRICE}}
    await add("/catalog/price_lists", "price_list_id", {"name": world.words, **prices})
    off = {"level": "line", "amount": 100, "package_ids": [ids["package_id"]]}
    on_top = await tell(world.office, "POST", "/catalog/discounts", world.named(**CART_DISCOUNT))
    ids["cart_discount_id"] = on_top["discount_id"]
    await add("/catalog/discounts", "discount_id", world.named(**off))
    await add("/catalog/payment_types", "payment_type_id", world.named(method="cash"))
    rule = {"kind": "line_percent", "params": {"percent": 100}, "active": False}
    await add("/pricing/rules", "rule_id", world.named(**rule))
    paper = {"name": world.words, "header": [world.words]}
    await add("/receipt_templates", "receipt_template_id", paper)
    words = {"label": world.words, "label_th": world.words}
    await add("/reason_codes", "code", {"code": world.canary.lower(), "kind": "any", **words})


def _role(world: World) -> str:
    """Straight in the database: roles are for all stores, so it takes somebody of all."""
    db = world.park.mongo
    tenant_id = db.stores.find_one({"_id": world.store_id})["tenant_id"]
    role = db.roles.find_one({"tenant_id": tenant_id, "name": "cashier"})
    name = f"{world.shared} {db.roles.count_documents({})}"
    told = {"_id": new_ulid(), "name": name, "permissions": ["sell"]}
    db.roles.insert_one({**role, **told})
    return str(told["_id"])


async def _employ(world: World) -> None:
    """People, devices, keys."""
    add, ids = world.add, world.ids
    ids["role_id"] = _role(world)
    place = {"store_id": world.store_id, "role_ids": [ids["role_id"]]}
    email = f"{world.canary}-3@demo.playpark".lower()
    person = {"name": world.words, "email": email, "pin": PIN, "memberships": [place]}
    await add("/employees", "employee_id", person)
    await add("/site_keys", "site_key_id", {"uses": 3})
    ids["gate_id"], ids["device_id"] = world.gate.device["device_id"], world.spare["device_id"]
    told = {"name": world.words, "notes": world.words}
    await tell(world.office, "PATCH", f"/devices/{ids['device_id']}", told)
    late = {"app_version": "1.2.3", "clock_offset_ms": 180_000}
    await tell(world.till, "POST", "/provider/heartbeats", late)
    ids["store_id"] = world.store_id
    db = world.park.mongo
    ids["helper_id"] = db.employees.find_one({"email": world.helper["email"]})["_id"]


async def _trade(world: World) -> None:
    """A shift that is closed, and one that is open; guests, sales, admissions."""
    till, ids = world.till, world.ids
    guest = {"name": world.shared, "email": "guest@example.com", "note": world.shared}
    ids["customer_id"] = (await tell(till, "POST", "/customers", guest))["customer_id"]
    points = {"points": 5, "reason_text": world.shared}
    await tell(till, "POST", f"/customers/{ids['customer_id']}/points", points)
    await tell(till, "POST", "/timecards/clock_in", {})
    closed = await tell(till, "POST", "/shifts/open", {"cash_open": 0})
    await world.sale()
    await tell(till, "POST", "/shifts/close", {"cash_counted": PRICE})
    ids["shift_id"] = closed["shift_id"]
    ids["drawer_id"] = (await tell(till, "POST", "/shifts/open", {"cash_open": 0}))["shift_id"]
    cash = {
        "type": "pay_in",
        "amount": 100,
        "reason_code": ids["code"],
        "reason_text": world.words,
    }
    await tell(till, "POST", f"/cash_drawers/{ids['drawer_id']}/movements", cash)
    world.sold = await world.sale(1, customer_id=ids["customer_id"])
    (ticket,) = world.sold["tickets"]
    ids["sale_id"], ids["ticket_id"] = world.sold["sale"]["sale_id"], ticket["ticket_id"]
    (ticket,) = (await world.sale())["tickets"]
    ids["short_code"] = ticket["short_code"]
    await world.sale(training=True)


async def _give_back(world: World) -> None:
    sold = await world.sale(2)
    sale_id, (used, last) = sold["sale"]["sale_id"], sold["tickets"]
    shown = {"short_code": used["short_code"], "zone_id": world.ids["zone_id"]}
    admitted = await tell(world.gate, "POST", "/redemptions", shown)
    world.ids["redemption_id"] = admitted["redemption_id"]
    because = {"reason_code": world.ids["code"], "reason_text": world.words}
    last = {"sale_id": sale_id, "ticket_ids": [last["ticket_id"]], **because}
    token = await world.approved("refund", sale_id)
    assert (await ask(world.till, "/v1/refunds", last, approval=token)).status_code == 200
    token = await world.approved("reprint", sale_id)
    again = {"sale_id": sale_id, **because}
    assert (await ask(world.till, "/v1/reprints", again, approval=token)).status_code == 200
    voided = (await world.sale())["sale"]["sale_id"]
    token = await world.approved("void", voided)
    path = f"/v1/sales/{voided}/void"
    assert (await ask(world.till, path, because, approval=token)).status_code == 200


async def _take_out_of_use(world: World) -> None:
    """A ticket that was lost, one that was cancelled, an entry that did not happen, and what lets
    the till sign more of them by itself."""
    because = {"reason_code": world.ids["code"], "reason_text": world.words}
    lost, cancelled, jammed = (await world.sale(3))["tickets"]
    for route, action, ticket in (
        ("exchange", "exchange", lost),
        ("cancel", "ticket_cancel", cancelled),
    ):
        token = await world.approved(action, ticket["ticket_id"])
        body = {"ticket_id": ticket["ticket_id"], **because}
        path = f"/v1/tickets/{route}"
        assert (await ask(world.till, path, body, approval=token)).status_code == 200
    shown = {"short_code": jammed["short_code"]}
    passed = await tell(world.gate, "POST", "/redemptions", shown)
    path = f"/redemptions/{passed['redemption_id']}/annul"
    await tell(world.gate, "POST", path, {"reason_text": world.words})
    key = public_key_text(Ed25519PrivateKey.generate())
    await tell(world.till, "POST", "/devices/me/certificate", {"public_key": key})


async def _leave_open(world: World) -> None:
    line = {"package_id": world.ids["package_id"], "qty": 1}
    cart = {"name": world.words, "cart": {"lines": [line]}}
    parked = await tell(world.till, "POST", "/open_tickets", cart)
    world.ids["open_ticket_id"] = parked["open_ticket_id"]
    settings = {"scope": "store", "sections": {"sales": {"parked_hours": 47}}}
    await tell(world.office, "PUT", "/settings", settings)
    unreadable = {"note": world.words}
    done, asked = await sync(
        world.till, op("sale", unreadable), op("sale", unreadable, committed=False)
    )
    assert asked["status"] == "rejected"
    world.ids["dead_letter_id"] = done["dead_letter_id"]
    if world.canary == THEIRS:  # those of a park are changed by somebody of all its stores
        await tell(world.office, "POST", "/secrets/ticket_hmac/rotate", {"grace_hours": 1})


def books(world: World) -> dict[str, list[Any]]:
    """All that is stored of a world's tenant and store, by collection; of the own park's other
    store, what is that store's alone."""
    db = world.park.mongo
    tenant_id = db.stores.find_one({"_id": world.store_id})["tenant_id"]
    which = {"tenant_id": tenant_id, "store_id": world.store_id}
    if world.canary == THEIRS:
        which = {"tenant_id": tenant_id}
    return {name: list(db[name].find(which).sort("_id", 1)) for name in collections(db)}


def collections(db: Any) -> list[str]:
    """All of them but the counters of requests, which are written when there is time."""
    names = {name for name in db.list_collection_names() if not name.startswith("system.")}
    return sorted(names - {"usage_counters"})
