"""`playpark admin`: the back office in a terminal."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from admin_tui.app import AdminApp
from admin_tui.office import Office
from playpark.clock import SystemClock
from playpark.device import DeviceStore
from playpark.tui import PairingDetails


def register(app: typer.Typer) -> None:
    """Add `playpark admin`."""

    @app.command()
    def admin(
        api: Annotated[
            str | None, typer.Option(help="Address of the server; else the one paired with.")
        ] = None,
        data: Annotated[Path, typer.Option(help="Folder of this back office's data.")] = Path(
            ".data/admin"
        ),
        site_key: Annotated[str, typer.Option(help="Site key, for pairing.")] = "",
        name: Annotated[str, typer.Option(help="Name of this device, for pairing.")] = (
            "back office"
        ),
    ) -> None:
        """Watch over the park: sales, shifts, redemptions, devices."""
        with DeviceStore.open(data / "device.db", SystemClock()) as store:
            asyncio.run(_run(store, api, site_key, name))


async def _run(store: DeviceStore, api: str | None, site_key: str, name: str) -> None:
    office = Office(store, SystemClock(), api_url=api)
    known = PairingDetails(office.client.base_url, site_key, name)
    await AdminApp(office, known).run_async()
