"""`playpark pos`: the cashier's register in a terminal."""

import re
from pathlib import Path
from typing import Annotated

import typer

from playpark.client import DEFAULT_URL, ApiClient
from playpark.clock import SystemClock
from playpark.device import DeviceStore
from playpark.device.faults import FaultyTransport, SkewedClock, Switches
from playpark.device.park_clock import ParkClock
from playpark.errors import ErrorCode, PlayParkError
from playpark.printing.transport import PrinterTarget
from playpark.tui import PairingDetails
from terminal.app import PosApp
from terminal.printer import PaperPrinter
from terminal.qa_keys import QaKeys
from terminal.till import Till

FILE_NAME = "till.db"
_ADDRESS = re.compile(r"https?://([\w.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?/?")


def register(app: typer.Typer) -> None:
    """Add `playpark pos`."""

    @app.command()
    def pos(
        api: Annotated[
            str | None, typer.Option(help=f"Address of the API; {DEFAULT_URL} at first.")
        ] = None,
        data: Annotated[Path, typer.Option(help="Folder of this till's data.")] = Path(
            ".data/till"
        ),
        printer: Annotated[
            str, typer.Option(help="tcp://host:9100, file:/path/to/file or none.")
        ] = "none",
        site_key: Annotated[str, typer.Option(help="Pair with this key at the first start.")] = "",
        name: Annotated[str, typer.Option(help="What this till is called.")] = "Till",
        qa: Annotated[
            bool,
            typer.Option(
                "--qa", envvar="PLAYPARK_QA", help="Outages by key: for tests and training only."
            ),
        ] = False,
    ) -> None:
        """Sell tickets."""
        try:
            target = PrinterTarget.parse(printer)
        except ValueError as wrong:
            raise PlayParkError(ErrorCode.VALIDATION, str(wrong)) from wrong
        switches = Switches()
        clock = ParkClock(SkewedClock(SystemClock(), switches))
        with DeviceStore.open(data / FILE_NAME, clock) as store:
            clock.recall(store.clock())
            paper = PaperPrinter(target, store)

            def make_till(url: str) -> Till:
                line = FaultyTransport(switches)
                return Till(store, ApiClient(url, transport=line), clock, paper)

            paired_with = store.identity.api_url if store.identity else DEFAULT_URL
            address = _address(api) if api else paired_with
            known = PairingDetails(address, site_key, name)
            program = PosApp(make_till, clock, known, QaKeys(switches, enabled=qa))
            program.run()
        if program.return_code:
            raise typer.Exit(program.return_code)


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        message = f"{text[:80]!r} is not an address: write one such as {DEFAULT_URL}."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    return text
