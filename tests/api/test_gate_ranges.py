"""R37: a gate's download that was cut goes on where it broke off, and never with other bytes."""

import gzip
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.app import create_app
from api.gate import service
from api.gate.resuming import KEPT_FOR, Kept, Span, span
from playpark.client import ApiClient
from playpark.contracts.gate import GateBootstrap
from playpark.errors import PlayParkError
from tests.api.inside import Inside, inside
from tests.outside import Outsider

PATH = "/v1/gate/bootstrap"


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_ranges") as park:
        yield park


@pytest.fixture(scope="module")
async def till(park: Inside) -> Outsider:
    pos = await (await park.device("POS")).staff()
    await pos.open_shift()
    await pos.sell(("Adult day pass", 60))
    return pos


@pytest.fixture
async def gate(park: Inside, till: Outsider) -> Outsider:
    return await park.device("GATE")


async def load(
    gate: Outsider, *, gzipped: bool = True, **more: Any
) -> tuple[httpx.Response, bytes]:
    """The answer and its bytes as they were on the line."""
    headers = {
        "Authorization": f"Bearer {gate.token}",
        "Accept-Encoding": "gzip" if gzipped else "identity",
        **more.pop("headers", {}),
    }
    request = gate.http.build_request("GET", PATH, headers=headers, params=more)
    response = await gate.http.send(request, stream=True)
    content = b"".join([piece async for piece in response.aiter_raw()])
    await response.aclose()
    return response, content


async def rest(
    gate: Outsider, etag: str, wanted: str, **more: Any
) -> tuple[int, bytes, httpx.Headers]:
    headers = {"Range": wanted, "If-Range": etag}
    response, content = await load(gate, headers=headers, **more)
    return response.status_code, content, response.headers


@pytest.mark.parametrize("gzipped", [True, False], ids=["gzip", "plain"])
async def test_R37_the_rest_of_an_answer_is_the_rest_of_its_bytes(
    park: Inside, till: Outsider, gate: Outsider, gzipped: bool
) -> None:
    response, content = await load(gate, gzipped=gzipped)
    etag, whole = response.headers["ETag"], len(content)
    assert etag.startswith('"')
    assert response.headers["Accept-Ranges"] == "bytes"
    park.clock.advance(timedelta(seconds=30))
    await till.sell(("Adult day pass", 3))  # what was begun stays what it was
    for first in (0, 1, whole // 2, whole - 1):
        status, tail, headers = await rest(gate, etag, f"bytes={first}-", gzipped=gzipped)
        assert (status, tail) == (206, content[first:])
        assert headers["Content-Range"] == f"bytes {first}-{whole - 1}/{whole}"
        assert (headers["ETag"], headers["Content-Length"]) == (etag, str(len(tail)))
    for wanted, part in (
        ("bytes=5-9", content[5:10]),
        ("bytes=-7", content[-7:]),
        (f"bytes=3-{whole + 99}", content[3:]),
    ):
        assert (await rest(gate, etag, wanted, gzipped=gzipped))[:2] == (206, part)
    status, tail, headers = await rest(gate, etag, f"bytes={whole}-", gzipped=gzipped)
    assert (status, tail, headers["Content-Range"]) == (416, b"", f"bytes */{whole}")
    text = gzip.decompress(content) if gzipped else content
    assert len(GateBootstrap.model_validate(json.loads(text)["data"]).allow) >= 60


async def test_R37_a_delta_goes_on_too_and_is_asked_for_as_it_was(
    till: Outsider, gate: Outsider
) -> None:
    version = (await gate.data("GET", PATH))["version"]
    await till.sell(("Adult day pass", 2))
    response, content = await load(gate, since=version)
    etag = response.headers["ETag"]
    assert (await rest(gate, etag, "bytes=10-", since=version))[:2] == (206, content[10:])
    assert (await rest(gate, etag, "bytes=10-"))[0] == 200
    assert (await rest(gate, etag, "bytes=10-", since=version, window=5))[0] == 200


@pytest.mark.parametrize("wanted", ["bytes=1-2,5-6", "bytes=", "bytes=-", "lines=1-", "bytes=9-3"])
async def test_R37_what_is_no_range_gets_all_of_it(gate: Outsider, wanted: str) -> None:
    response, content = await load(gate)
    status, again, _ = await rest(gate, response.headers["ETag"], wanted)
    assert (status, again) == (200, content)


async def test_R37_where_the_bytes_are_not_at_hand_it_begins_anew(
    park: Inside, gate: Outsider
) -> None:
    etag = (await load(gate))[0].headers["ETag"]
    for other in (etag.replace(".", ".0"), f"W/{etag}", '"x"', etag[:-1] + '-plain"'):
        status, again, headers = await rest(gate, other, "bytes=10-")
        assert (status, headers["ETag"] != etag) == (200, True)
        assert gzip.decompress(again)
    # Packed bytes are no part of unpacked ones.
    assert (await rest(gate, etag, "bytes=10-", gzipped=False))[0] == 200
    headers = {"Range": "bytes=10-"}
    assert (await load(gate, headers=headers))[0].status_code == 200
    park.clock.advance(KEPT_FOR + timedelta(seconds=1))
    assert (await rest(gate, etag, "bytes=10-"))[0] == 200
    service._begun.clear()
    assert (await rest(gate, etag, "bytes=10-"))[0] == 200


async def test_R44_another_parks_gate_goes_on_with_nothing(park: Inside, gate: Outsider) -> None:
    response, content = await load(gate)
    other = await Outsider(park.http).pair("GATE", "DEMO-OTHER-PARK")
    status, theirs, _ = await rest(other, response.headers["ETag"], "bytes=0-")
    assert status == 200
    assert theirs != content


class Cut(httpx.AsyncBaseTransport):
    """A line that breaks after so many bytes of a list."""

    def __init__(self, inner: httpx.AsyncBaseTransport, after: list[int]) -> None:
        self._inner = inner
        self._after = after
        self.asked: list[httpx.Headers] = []
        self.got: list[int] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inner.handle_async_request(request)
        self.asked.append(request.headers)
        self.got.append(answer.status_code)
        after = self._after.pop(0) if self._after else None
        content = b"".join([piece async for piece in answer.aiter_raw()])
        stream = _Broken(content, len(content) if after is None else after)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=stream)


class _Broken(httpx.AsyncByteStream):
    def __init__(self, content: bytes, after: int) -> None:
        self._content, self._after = content, after

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content[: self._after]
        if self._after < len(self._content):
            raise httpx.ReadError("cut")


async def test_R37_the_gates_own_download_goes_on_over_a_line_that_breaks_twice(
    park: Inside, till: Outsider, gate: Outsider
) -> None:
    line = Cut(httpx.ASGITransport(app=create_app(park.platform)), [700, 900])
    async with ApiClient("http://park", transport=line) as client:
        client.device_token = gate.token
        for _ in range(2):
            with pytest.raises(PlayParkError):
                await client.gate_bootstrap(window=0)
        told = await client.gate_bootstrap(window=0)
    assert line.got == [200, 206, 206]
    assert [headers.get("Range") for headers in line.asked] == [None, "bytes=700-", "bytes=1600-"]
    assert len(told.allow) >= 60


@given(
    pieces=st.lists(st.binary(max_size=9), max_size=9),
    first=st.integers(0, 90),
    last=st.integers(0, 90),
)
def test_R37_a_span_of_pieces_is_the_span_of_the_whole(
    pieces: list[bytes], first: int, last: int
) -> None:
    whole = b"".join(pieces)
    found = span(f"bytes={first}-{last}", len(whole))
    if last < first:
        assert found is None
    else:
        assert found is not None
        assert b"".join(found.of(pieces)) == whole[first : last + 1]
        assert (found.first >= found.end) == (not whole[first : last + 1])


def test_no_more_answers_are_kept_than_there_is_room_for(park: Inside) -> None:
    kept, now = Kept(most=2), park.clock.now()
    for name in "abc":
        kept.put(name, [name.encode()], now)
    assert [kept.get(name, now) for name in "abc"] == [None, [b"b"], [b"c"]]
    kept.put("d", [b"d"], now + KEPT_FOR + timedelta(seconds=1))
    assert [kept.get(name, now) for name in "bcd"] == [None, None, [b"d"]]
    assert Span(2, 5, 9).content_range == "bytes 2-4/9"
