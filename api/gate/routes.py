"""HTTP of what gates keep."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Annotated

from fastapi import Header, Query, Response
from starlette.responses import StreamingResponse

from api.gate import service
from api.platform.http import private_router
from api.platform.permissions import needs
from api.platform.services import App, Caller
from playpark.contracts.base import Envelope
from playpark.contracts.employees import Permission
from playpark.contracts.gate import GateBootstrap

private = private_router("gate")
LONGEST_WINDOW = 7 * 24 * 60


@private.get(
    "/gate/bootstrap",
    dependencies=needs(Permission.REDEEM, device=True),
    response_model=Envelope[GateBootstrap],
    responses={304: {"description": "The list named in If-None-Match is the present one."}},
)
async def bootstrap(
    platform: App,
    scope: Caller,
    window: Annotated[
        int,
        Query(ge=0, le=LONGEST_WINDOW, description="minutes ahead in which a validity may begin"),
    ] = 0,
    since: Annotated[
        int | None,
        Query(ge=0, le=2**53 - 1, description="`version` of the list at hand, of the same window"),
    ] = None,
    if_none_match: Annotated[str | None, Header(max_length=1_000)] = None,
    accept_encoding: Annotated[str, Header(max_length=1_000, include_in_schema=False)] = "",
) -> Response:
    """The tickets that may admit, by the hashes of their tokens, and all else that a gate needs to
    decide by itself; with `since` what has changed. The ETag leaves `version` and `server_time`
    out of account."""
    asked = service.Asked(timedelta(minutes=window), since)
    answer = await service.bootstrap(platform, scope, asked)
    headers = {"ETag": answer.etag, "Vary": "Accept-Encoding"}
    known = {each.strip() for each in (if_none_match or "").split(",")}
    if known & {answer.etag, answer.etag.removeprefix("W/"), "*"}:
        return Response(status_code=304, headers=headers)
    pieces = answer.pieces
    if _takes_gzip(accept_encoding):
        headers["Content-Encoding"] = "gzip"
    else:
        pieces = [await asyncio.to_thread(_unpacked, pieces)]
    headers["Content-Length"] = str(sum(map(len, pieces)))
    return StreamingResponse(_sent(pieces), media_type="application/json", headers=headers)


def _takes_gzip(accept_encoding: str) -> bool:
    for each in accept_encoding.lower().split(","):
        name, _, quality = each.partition(";")
        if name.strip() in {"gzip", "*"}:
            return quality.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _unpacked(pieces: Sequence[bytes]) -> bytes:
    return zlib.decompress(b"".join(pieces), wbits=16 + zlib.MAX_WBITS)


async def _sent(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for each in pieces:
        yield each
