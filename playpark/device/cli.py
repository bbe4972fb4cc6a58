"""`playpark device`: what a till or gate keeps, looked at and carried away (R34, R35, R37)."""

import typer


def register(app: typer.Typer) -> None:
    """Add `playpark device`."""
    device = typer.Typer(help="Look at a device's data, export what the server has not seen.")
    app.add_typer(device, name="device")
