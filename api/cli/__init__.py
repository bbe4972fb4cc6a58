"""The API's subcommands of `playpark`."""

import typer

from api.cli import auditing, init, people, reconcile, secrets, serving


def register(app: typer.Typer) -> None:
    """Add `playpark api`, `init`, `operator`, `employee`, `reconcile`, `audit`, `secrets`."""
    for part in (serving, init, people, reconcile, auditing, secrets):
        part.register(app)
