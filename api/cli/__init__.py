"""The API's subcommands of `playpark`."""

import typer

from api.cli import auditing, init, reconcile, secrets, serving


def register(app: typer.Typer) -> None:
    """Add `playpark api`, `init`, `reconcile`, `audit`, `secrets`."""
    for part in (serving, init, reconcile, auditing, secrets):
        part.register(app)
