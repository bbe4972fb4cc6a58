"""`playpark secrets`: which versions there are, and every one under the newest key (001 §11)."""

from datetime import datetime

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.cli.common import DEFAULT_DATA, Data, Embedded, on_platform
from api.secrets.resealing import Resealed, reseal_all
from api.secrets.service import ParkSecret, of_all_parks


def register(app: typer.Typer) -> None:
    """Add `playpark secrets list` and `playpark secrets reseal`."""
    group = typer.Typer(help="Keys of what is stored.", no_args_is_help=True)

    @group.command(name="list")
    def list_secrets(embedded: Embedded = False, data: Data = DEFAULT_DATA) -> None:
        """Show every park's secrets: names, versions and times, never values."""
        found = on_platform(of_all_parks, embedded=embedded, data=data)
        Console().print(_table(found))

    @group.command()
    def reseal(embedded: Embedded = False, data: Data = DEFAULT_DATA) -> None:
        """Encrypt every stored secret with the newest ENCRYPTION_KEY.

        Put the new key in front of the old one, restart the servers, run this, then drop the old
        key. An interrupted run is run again. Exit code 1: some value opens with no key.
        """
        results = on_platform(
            lambda platform: reseal_all(platform.uow.reading(), platform.vault),
            embedded=embedded,
            data=data,
        )
        for each in results:
            typer.echo(_sentence(each))
        if any(each.locked for each in results):
            typer.echo("playpark: keep the old ENCRYPTION_KEY: some values need it.", err=True)
            raise typer.Exit(1)

    app.add_typer(group, name="secrets")


def _table(found: list[ParkSecret]) -> Table:
    titles = ("Park", "Secret", "Version", "Status", "From", "Created", "Issues until")
    table = Table(*titles)
    for each in found:
        for version in each.secret.versions:
            times = (_moment(version.created_at), _moment(version.not_after))
            words = (each.park, each.secret.name, version.version, version.status, version.source)
            table.add_row(*(Text(word) for word in (*words, *times)))
    return table


def _moment(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"


def _sentence(of: Resealed) -> str:
    where = f"{of.where.collection}.{of.where.field}"
    told = f"{where}: {of.resealed} sealed anew, {of.current} were already"
    if of.locked:
        told += f", {len(of.locked)} cannot be opened: {', '.join(of.locked[:5])}"
    return told
