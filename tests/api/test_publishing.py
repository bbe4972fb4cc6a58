"""R12, R46: a change for the whole park makes every store's next version, in one go."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pymongo import monitoring

from api.identity import stores
from tests.api.back_office import BackOffice, back_office, refusal

PUT = ("PUT", "/v1/settings")


class Sent(monitoring.CommandListener):
    """How many commands of each name have left for the database."""

    def __init__(self) -> None:
        self.names: Counter[str] = Counter()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.names[event.command_name] += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...
    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


@pytest.fixture
def sent() -> Iterator[Sent]:
    listener = Sent()
    monitoring.register(listener)  # only clients made from now on
    yield listener
    monitoring._LISTENERS.command_listeners.remove(listener)


@pytest.fixture
async def office(sent: Sent, mongo_uri: str, database: str) -> AsyncIterator[BackOffice]:
    async with back_office(mongo_uri, f"{database}_publishing") as made:
        yield made


def hours(scope: str, value: int | None) -> dict[str, Any]:
    return {"scope": scope, "sections": {"sales": {"parked_hours": value}}}


async def sold(office: BackOffice, store_id: str) -> dict[str, Any]:
    """What the store sells now."""
    found = await office.owner.data("GET", "/v1/catalog/snapshot", store_id=store_id)
    return dict(found)


async def test_R46_a_change_for_the_whole_park_asks_as_often_as_for_two_stores(
    office: BackOffice, sent: Sent
) -> None:
    counted = []
    for opened in (1, 4):
        for n in range(opened):
            await office.store(f"Store {opened} {n}")
        sent.names.clear()
        await office.owner.data(*PUT, hours("tenant", opened))
        counted.append(Counter(sent.names))
    assert counted[0] == counted[1]
    assert counted[0]["find"] > 10


async def test_R12_each_store_gets_what_is_its_own_and_what_is_the_parks(
    office: BackOffice,
) -> None:
    (home,) = (await office.owner.data("GET", "/v1/stores"))["items"]
    here, there = str(home["store_id"]), await office.store()
    await office.owner.data(*PUT, hours("store", 7), store_id=there)
    before = {each: await sold(office, each) for each in (here, there)}
    levy = {"name": "Lake levy", "rate": 100, "mode": "exclusive"}
    tax = await office.owner.data("POST", "/v1/catalog/taxes", levy, store_id=there)
    flags = {"scope": "tenant", "features": {"kiosk": False}}
    await office.owner.data("PUT", "/v1/feature_flags", flags)
    await office.owner.data(*PUT, hours("tenant", 9))
    now = {each: await sold(office, each) for each in (here, there)}
    assert now[here]["catalog_version"] == before[here]["catalog_version"] + 2
    assert now[there]["catalog_version"] == before[there]["catalog_version"] + 3
    assert [now[each]["settings"]["sales"]["parked_hours"] for each in (here, there)] == [9, 7]
    assert not any(now[each]["features"]["kiosk"] for each in (here, there))
    for part in ("packages", "zones", "payment_types", "rules", "reason_codes", "taxes"):
        assert now[here][part] == before[here][part], part
    assert now[there]["packages"] == []
    assert [each["tax_id"] for each in now[there]["taxes"]][-1] == tax["tax_id"]
    assert now[there]["taxes"][:-1] == before[there]["taxes"]
    assert now[there]["reason_codes"] == before[there]["reason_codes"] != []
    for each, what in now.items():
        found = await office.db["sessions"].distinct("catalog_version", {"store_id": each})
        assert set(found) <= {what["catalog_version"]}


async def test_R46_more_stores_than_a_change_can_reach_are_told_what_to_do(
    office: BackOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.store()
    monkeypatch.setattr(stores, "AT_ONCE", 1)
    refused = await office.owner.call(*PUT, hours("tenant", 9))
    assert refusal(refused) == (409, "E_CONFLICT")
    assert "by store" in refused.json()["error"]["message"]
    await office.owner.data(*PUT, hours("store", 9))
