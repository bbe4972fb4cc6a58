"""`playpark secrets`: keys of what is stored (001 §11)."""

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
    del app
