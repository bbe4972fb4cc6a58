"""`playpark audit`: is the trail whole? (R45)"""

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
    del app
