"""R12, R37, R43: pairing and login over a line that breaks go on where they stopped."""

import json
from typing import Any

import httpx
import pytest

from playpark.client import ApiClient, NoAnswerError
from playpark.clock import FixedClock
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.contracts.tenancy import DeviceType
from playpark.device import DeviceStore, SyncEngine, login, pair
from playpark.device.pairing import complete
from tests.device.conftest import IDENTITY, NOW


def snapshot(version: int) -> CatalogSnapshot:
    return CatalogSnapshot(
        catalog_version=version,
        hash=f"hash-{version}",
        store_id="st1",
        packages=[],
        zones=[],
        taxes=[],
    )


class Server:
    """A park's server; the paths in `cut` are done, and their answers lost."""

    def __init__(self) -> None:
        self.cut: set[str] = set()
        self.catalog = snapshot(1)
        self.status = "active"
        self.asked: list[tuple[str, int]] = []

    def client(self) -> ApiClient:
        return ApiClient("http://park", transport=httpx.MockTransport(self._handle))

    def _handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1")
        answer = self._answer(path, request)
        self.asked.append((path, answer.status_code))
        if path in self.cut:
            raise httpx.ReadError("cut", request=request)
        return answer

    def _answer(self, path: str, request: httpx.Request) -> httpx.Response:
        assert IDENTITY.device is not None
        assert IDENTITY.store is not None
        device = IDENTITY.device.model_dump(mode="json")
        data: Any = {"now": NOW.isoformat()}
        if path == "/auth/device/register":
            data = {**device, "device_token": "secret", "status": "active"}
        if path == "/auth/device/login":
            session = {"access_token": "token", "expires_in": 900, "short_code_key": "ab" * 32}
            store = IDENTITY.store.model_dump()
            data = {**session, "device": {**device, "status": self.status}, "store": store}
        if path == "/catalog/snapshot":
            tag = f'"{self.catalog.catalog_version}-{self.catalog.hash}"'
            if request.headers.get("If-None-Match") == tag:
                return httpx.Response(304, headers={"ETag": tag})
            data = self.catalog.model_dump(mode="json")
        body = {"server_time": NOW.isoformat(), "request_id": "r", "data": data, "error": None}
        return httpx.Response(200, content=json.dumps(body))


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def fresh(tmp_path: Any, clock: FixedClock) -> Any:
    with DeviceStore.open(tmp_path / "new" / "till.db", clock) as opened:
        yield opened


@pytest.mark.parametrize("cut", ["/auth/device/login", "/catalog/snapshot"])
async def test_R43_a_till_that_is_cut_while_it_pairs_is_paired_and_goes_on(
    fresh: DeviceStore, server: Server, clock: FixedClock, cut: str
) -> None:
    server.cut = {cut}
    async with server.client() as client:
        with pytest.raises(NoAnswerError):
            await pair(fresh, client, "PARK-2026", DeviceType.POS, "Till")
        assert fresh.identity is not None
        assert fresh.catalog() is None
        server.cut.clear()

        assert await SyncEngine(fresh, client, clock)._knock() is None

    assert fresh.catalog() == server.catalog
    assert fresh.identity.device is not None
    paths = [path for path, _ in server.asked]
    assert paths.count("/auth/device/register") == 1
    assert paths.count("/auth/device/login") == (2 if "login" in cut else 1)


async def test_R12_the_catalogue_at_hand_is_not_sent_again(
    store: DeviceStore, server: Server
) -> None:
    async with server.client() as client:
        await login(store, client)
        await login(store, client)
        assert [status for path, status in server.asked if "catalog" in path] == [200, 304]
        server.catalog = snapshot(2)
        await login(store, client)
        assert (await client.catalog(snapshot(1))).catalog_version == 2
    assert store.catalog() == snapshot(2)


async def test_a_login_stands_where_only_the_newer_catalogue_is_cut_off(
    store: DeviceStore, server: Server
) -> None:
    store.save_catalog(snapshot(1))
    server.catalog, server.cut = snapshot(2), {"/catalog/snapshot"}
    async with server.client() as client:
        await login(store, client)
        assert client.device_token == "token"
    assert store.catalog() == snapshot(1)


async def test_what_is_there_is_not_asked_for(store: DeviceStore, server: Server) -> None:
    async with server.client() as client:
        await complete(store, client)
        await complete(store, client)
    assert server.asked == [("/catalog/snapshot", 200)]


async def test_R38_a_revoked_device_has_no_use_for_prices(
    store: DeviceStore, server: Server
) -> None:
    server.status = "revoked"
    async with server.client() as client:
        await login(store, client)
        assert client.review
    assert [path for path, _ in server.asked] == ["/auth/device/login"]
