"""The `playpark` command. Each program registers each of its subcommands as an entry point, so this
module knows none of them; a program that is named by its entry point is loaded alone."""

import sys
from collections.abc import Callable
from importlib.metadata import entry_points

import typer

from playpark import __version__
from playpark.errors import PlayParkError

ENTRY_POINT_GROUP = "playpark.commands"


def build_app(wanted: str = "") -> typer.Typer:
    """The command with every program that is installed, or with the one whose entry point is
    `wanted` alone: a gate need not load the server. One that lacks its packages is left out with a
    line on how to install it."""
    app = typer.Typer(
        name="playpark",
        help=f"PlayPark {__version__}: sell, print, scan, admit.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_no_program)
    found = entry_points(group=ENTRY_POINT_GROUP)
    # A program with several commands has an entry point for each, all of one value.
    programs = {point.value: point for point in found.select(name=wanted) or found}
    for point in sorted(programs.values(), key=lambda point: point.value):
        try:
            register: Callable[[typer.Typer], None] = point.load()
        except ModuleNotFoundError as missing:
            _register_missing(app, point.name, missing.name or "a package")
        else:
            register(app)
    return app


def _no_program() -> None:
    """Nothing is common to the programs; with this, one alone stays a subcommand."""


def _register_missing(app: typer.Typer, name: str, module: str) -> None:
    @app.command(name, help=f"Not installed: needs {module}.")
    def explain() -> None:
        typer.echo(f"playpark {name} needs {module}: install its extra of this package.", err=True)
        raise typer.Exit(1)


def main() -> None:
    """Run the command; a refusal is one sentence on stderr and exit code 1."""
    try:
        build_app(sys.argv[1] if len(sys.argv) > 1 else "")()
    except PlayParkError as refusal:
        sys.stderr.write(f"playpark: {refusal.message}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
