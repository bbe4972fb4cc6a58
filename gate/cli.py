"""`playpark gate`: the scanner at a gate, on a screen or as lines of JSON."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from gate.app import GateApp
from gate.frames import SourceError
from gate.headless import complain, print_scans
from gate.outages import Outages
from gate.relay import Relay
from gate.slips import open_printer
from gate.sounds import SoundMode
from gate.sources import Inputs, open_inputs
from gate.station import Station
from playpark.client import DEFAULT_URL
from playpark.clock import SystemClock
from playpark.contracts.tickets import Direction
from playpark.device import DeviceStore
from playpark.device.faults import SkewedClock
from playpark.device.park_clock import ParkClock
from playpark.errors import ErrorCode, PlayParkError
from playpark.printing.transport import PrinterTarget

NO_CAMERA = "none"


def register(app: typer.Typer) -> None:
    """Add `gate` to the `playpark` command."""
    app.command("gate")(gate)


def gate(  # noqa: PLR0917 - typer makes an option of each
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="Camera number or path, video file, folder of pictures, one picture, "
            "`serial:/dev/ttyACM0` (`?baud=9600`) for a serial hand scanner, or `none` for a "
            "hand scanner that types. Several times for several at once. Camera 0 if left out."
        ),
    ] = None,
    loop: Annotated[
        bool, typer.Option("--loop", help="Show a video file or folder again and again.")
    ] = False,
    api: Annotated[str | None, typer.Option(help=f"Address of the API ({DEFAULT_URL}).")] = None,
    data: Annotated[Path, typer.Option(help="Folder of this gate's own data.")] = Path(
        ".data/gate"
    ),
    zone: Annotated[str | None, typer.Option(help="Name or id of the gate's zone.")] = None,
    direction: Annotated[
        Direction | None,
        typer.Option(help="Which way people go; as last time if left out."),
    ] = None,
    site_key: Annotated[str | None, typer.Option(help="Pairs the gate on its first start.")] = None,
    name: Annotated[str, typer.Option(help="What this gate is called.")] = "Gate",
    headless: Annotated[
        bool, typer.Option("--headless", help="No screen: one JSON line for each scan.")
    ] = False,
    relay: Annotated[
        str | None,
        typer.Option(help="Program and its words, run on each PASS to open a turnstile."),
    ] = None,
    sound: Annotated[
        SoundMode, typer.Option(help="Tones of PASS and NO: terminal bell, audio player or none.")
    ] = SoundMode.BELL,
    printer: Annotated[
        str, typer.Option(help="Prints admission slips: host:9100, file:PATH or `none`.")
    ] = "none",
    qa: Annotated[
        bool,
        typer.Option(
            "--qa", envvar="PLAYPARK_QA", help="Outages by key: for tests and training only."
        ),
    ] = False,
) -> None:
    """Scan tickets and let people in."""
    opening = Relay(relay) if relay is not None else None
    target = _printer(printer)
    inputs = _open(source or ["0"], loop=loop, headless=headless)
    outages = Outages(enabled=qa)
    clock = ParkClock(SkewedClock(SystemClock(), outages.switches))
    store = DeviceStore.open(data / "device.db", clock)
    clock.recall(store.clock())
    known = store.identity.api_url if store.identity else DEFAULT_URL
    station = Station(
        store,
        clock,
        inputs.frames,
        api_url=api or known,
        scanners=inputs.scanners,
        relay=opening,
        zone=zone,
        direction=direction,
        outages=outages,
    )
    if headless:
        if opening is not None:
            opening.tell = complain
        asyncio.run(print_scans(station, site_key=site_key, name=name))
        return
    app = GateApp(station, site_key=site_key, name=name, sound=sound, printer=target)
    app.run()
    raise typer.Exit(app.return_code or 0)


def _printer(text: str) -> PrinterTarget:
    try:
        return open_printer(text)
    except ValueError as bad:
        raise PlayParkError(ErrorCode.VALIDATION, f"{bad}.") from bad


def _open(specs: list[str], *, loop: bool, headless: bool) -> Inputs:
    wanted = [spec for spec in specs if spec != NO_CAMERA]
    if not wanted:
        if headless:
            message = (
                "--headless needs pictures or a serial scanner: give --source a camera, a file, "
                "a folder or serial:PORT."
            )
            raise PlayParkError(ErrorCode.VALIDATION, message)
        return Inputs(None)
    try:
        return open_inputs(wanted, loop=loop)
    except SourceError as bad:
        raise PlayParkError(ErrorCode.VALIDATION, str(bad)) from bad
