"""`playpark gate`: the scanner at a gate, on a screen or as lines of JSON."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from gate.answers import Level, Scan
from gate.app import GateApp
from gate.frames import SourceError
from gate.sources import FrameSource, open_source
from gate.station import Station
from playpark.client import DEFAULT_URL
from playpark.clock import SystemClock
from playpark.contracts.tickets import Direction
from playpark.device import DeviceStore
from playpark.errors import ErrorCode, PlayParkError

NO_CAMERA = "none"


def register(app: typer.Typer) -> None:
    """Add `gate` to the `playpark` command."""
    app.command("gate")(gate)


def gate(  # noqa: PLR0917 - typer makes an option of each
    source: Annotated[
        str,
        typer.Option(
            help="Camera number, video file, folder of pictures, one picture, or `none` for a "
            "hand scanner alone."
        ),
    ] = "0",
    api: Annotated[str | None, typer.Option(help=f"Address of the API ({DEFAULT_URL}).")] = None,
    data: Annotated[Path, typer.Option(help="Folder of this gate's own data.")] = Path(
        ".data/gate"
    ),
    zone: Annotated[str | None, typer.Option(help="Name or id of the gate's zone.")] = None,
    direction: Annotated[Direction, typer.Option(help="Which way people go.")] = Direction.ENTRY,
    site_key: Annotated[str | None, typer.Option(help="Pairs the gate on its first start.")] = None,
    name: Annotated[str, typer.Option(help="What this gate is called.")] = "Gate",
    headless: Annotated[
        bool, typer.Option("--headless", help="No screen: one JSON line for each scan.")
    ] = False,
) -> None:
    """Scan tickets and let people in."""
    frames = _open(source, headless=headless)
    clock = SystemClock()
    store = DeviceStore.open(data / "device.db", clock)
    known = store.identity.api_url if store.identity else DEFAULT_URL
    station = Station(store, clock, frames, api_url=api or known, zone=zone, direction=direction)
    if headless:
        asyncio.run(_print_scans(station, site_key, name))
        return
    app = GateApp(station, site_key=site_key, name=name)
    app.run()
    raise typer.Exit(app.return_code or 0)


def _open(source: str, *, headless: bool) -> FrameSource | None:
    if source == NO_CAMERA:
        if headless:
            message = "--headless needs pictures: give --source a file, a folder or a camera."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        return None
    try:
        return open_source(source)
    except SourceError as bad:
        raise PlayParkError(ErrorCode.VALIDATION, str(bad)) from bad


async def _print_scans(station: Station, site_key: str | None, name: str) -> None:
    async with station:
        if station.decoder.note:
            sys.stderr.write(f"playpark: {station.decoder.note}\n")
        await station.connect(site_key=site_key, name=name)
        try:
            async for scan in station.scans(live=False):
                if scan.answer.level is not Level.CHECKING:
                    sys.stdout.write(f"{json.dumps(_line(scan), ensure_ascii=False)}\n")
                    sys.stdout.flush()
        except SourceError as damaged:
            raise PlayParkError(ErrorCode.VALIDATION, str(damaged)) from damaged


def _line(scan: Scan) -> dict[str, object]:
    answer, redemption = scan.answer, scan.answer.redemption
    return {
        "number": scan.number,
        "at": scan.at.isoformat(timespec="milliseconds"),
        "code": scan.code,
        "result": answer.level.value,
        "word": answer.word,
        "headline": answer.headline,
        "reason": redemption.reason if redemption else None,
        "remaining": answer.remaining,
        "ticket_id": redemption.ticket_id if redemption else None,
        "redemption_id": redemption.redemption_id if redemption else None,
        "message": answer.detail_en,
        "message_th": answer.detail_th,
    }
