"""`playpark init`: the first operator, tenant, owner and site key (R44)."""

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
    del app
