"""`playpark qa`: simulate outages, and prove that the books come out right."""

import typer


def register(app: typer.Typer) -> None:
    """Add `playpark qa`."""
    qa = typer.Typer(help="Simulate outages; for tests and training, never for a park at work.")
    app.add_typer(qa, name="qa")
