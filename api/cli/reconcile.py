"""`playpark reconcile`: the proof of the books (R49)."""

from datetime import date
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from api.cli.common import DEFAULT_DATA, Data, Embedded, on_platform
from api.reports import command
from playpark.clock import BusinessDate
from playpark.errors import ErrorCode, PlayParkError


def register(app: typer.Typer) -> None:
    """Add `playpark reconcile`."""

    @app.command()
    def reconcile(
        day: Annotated[
            str | None,
            typer.Option("--date", help="Trading day, such as 2026-11-21; by default yesterday's."),
        ] = None,
        store: Annotated[str | None, typer.Option(help="Id of one store; by default all.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
        embedded: Embedded = False,
        data: Data = DEFAULT_DATA,
    ) -> None:
        """Prove that sales, payments, shifts, tickets and Z reports of a day agree.

        Exit code 0: whole; 1: a document breaks the books; 2: nothing could be checked.
        """
        try:
            asked = _day(day)
            results = on_platform(
                lambda platform: command.reconcile_all(platform.uow, asked, store),
                embedded=embedded,
                data=data,
            )
        except PlayParkError as refusal:
            typer.echo(f"playpark: {refusal.message}", err=True)
            raise typer.Exit(2) from None
        if as_json:
            typer.echo(command.as_json(results))
        else:
            command.show(results, Console())
        raise typer.Exit(0 if all(each.whole for each in results) else 1)


def _day(text: str | None) -> date | None:
    try:
        return TypeAdapter(BusinessDate | None).validate_python(text)
    except ValidationError:
        message = "--date is a trading day, such as 2026-11-21."
        raise PlayParkError(ErrorCode.VALIDATION, message) from None
