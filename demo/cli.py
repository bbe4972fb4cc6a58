"""`playpark demo`: the whole way of a ticket in one command, on real parts."""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from demo.server import DemoServer
from demo.story import Step, Story, total_seconds
from playpark.errors import ErrorCode, PlayParkError

NEXT = """\
[bold]What to do next[/bold]
  make api DATA={folder}/mongo
               the server with all that the demo left; leave it running, and beside it:
  make pos     the register: site key DEMO-MAIN-GATE
               cashier@demo.playpark, PIN 1111
  make gate    the gate with camera 0, or with the film, whose tickets are used by now:
               make gate GATE_SOURCE={folder}/film.avi
  make admin   the back office: supervisor@demo.playpark, PIN 9999
"""


def register(app: typer.Typer) -> None:
    """Add `playpark demo`."""

    @app.command()
    def demo(
        out: Annotated[
            Path, typer.Option(help="Folder for papers, film and logs; made anew.")
        ] = Path("demo-output"),
    ) -> None:
        """Sell, print, scan, admit: the park's main job from end to end."""
        console = Console()
        folder = _fresh(out)
        steps: list[Step] = []

        def tell(step: Step) -> None:
            steps.append(step)
            console.print(f"[green]✓[/green] {step.name}: {step.outcome}", highlight=False)

        console.print("[bold]PlayPark[/bold]: a real server, a till, a printer, a camera's film")
        began = time.perf_counter()
        with DemoServer(folder / "mongo", folder / "api.log") as server:
            seconds = time.perf_counter() - began
            tell(Step("Start MongoDB and the API, load the demo park", server.url, seconds))
            asyncio.run(Story(server.url, folder, tell).run())
        console.print(_table(steps))
        shown = _shown(folder)
        console.print(f"The papers are in [bold]{shown}/papers[/bold], the film beside them.\n")
        console.print(NEXT.format(folder=shown), highlight=False, soft_wrap=True)


def _fresh(out: Path) -> Path:
    """An empty output folder. Raises PlayParkError where it holds something else than a demo."""
    marker = out / ".playpark-demo"
    if out.exists() and not marker.exists() and any(out.iterdir()):
        message = f"{out} is not empty and not a demo's folder: choose another --out."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    try:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        marker.touch()
    except OSError as failed:
        message = f"{out} cannot be written ({failed.strerror}): choose another --out."
        raise PlayParkError(ErrorCode.UNAVAILABLE, message) from failed
    return out.resolve()


def _shown(folder: Path) -> Path:
    """The folder as one would type it here."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _table(steps: list[Step]) -> Table:
    table = Table(title="One ticket's way", title_justify="left")
    table.add_column("Step")
    table.add_column("Outcome")
    table.add_column("Seconds", justify="right")
    for step in steps:
        table.add_row(step.name, step.outcome, f"{step.seconds:.2f}")
    table.add_section()
    table.add_row("Together", "", f"{total_seconds(steps):.2f}")
    return table
