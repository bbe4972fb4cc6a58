"""`playpark qa`: simulate outages, and prove that the books come out right."""

import asyncio
import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from playpark.client import DEFAULT_URL
from playpark.clock import SystemClock, business_date, park_zone
from playpark.contracts.qa import MAX_DELAY_MS, MAX_SKEW_S, QaSwitches
from playpark.errors import ErrorCode, PlayParkError
from qa import proxy_cli
from qa.devices import let_tills_sign
from qa.office import Office
from qa.scenarios import ALL
from qa.server import park_at, reconciled
from qa.stage import OWNER, Park, Scenario, play
from qa.verdict import JSON_FILE, MARKDOWN_FILE, Report, Verdict

PIN_VARIABLE = "PLAYPARK_QA_PIN"  # the name of a variable


def register(app: typer.Typer) -> None:
    """Add `playpark qa`."""
    qa = typer.Typer(
        help="Simulate outages; for tests and training, never for a park at work.",
        no_args_is_help=True,
    )
    app.add_typer(qa, name="qa")
    proxy_cli.register(qa)
    qa.command("list")(list_scenarios)
    qa.command("run")(run_scenarios)
    qa.command("set")(set_switches)


def list_scenarios() -> None:
    """The scenarios that `playpark qa run` plays."""
    table = Table(show_header=False, box=None)
    for each in ALL:
        table.add_row(Text(each.name, style="bold"), Text(each.what))
    Console().print(table)


def run_scenarios(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which ones; all if left out.", show_default=False)
    ] = None,
    api: Annotated[
        str | None, typer.Option(help="A park that is no production; else one of its own.")
    ] = None,
    site_key: Annotated[
        str | None, typer.Option(help="Pairs the devices; the demo park's if left out.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help=f"Folder for {JSON_FILE} and {MARKDOWN_FILE}.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Play an earlier run's chances again.", min=0)
    ] = None,
) -> None:
    """Play outages on real tills and gates, and compare the books with what the guests paid.

    Exit code 0: every scenario passed; 1: one did not; 2: nothing could be played. It needs the
    demo park's people.
    """
    console = Console()
    try:
        chosen = _chosen(names or [])
        found = _run(chosen, api, site_key, secrets.randbelow(10**6) if seed is None else seed)
        if report is not None:
            found.save(report)
    except PlayParkError as refused:
        typer.echo(f"playpark: {refused.message}", err=True)
        raise typer.Exit(2) from None
    except OSError as refused:
        typer.echo(f"playpark: the report cannot be written ({refused.strerror}).", err=True)
        raise typer.Exit(2) from None
    found.show(console)
    raise typer.Exit(0 if found.passed else 1)


def _chosen(names: Sequence[str]) -> list[Scenario]:
    known = {each.name: each for each in ALL}
    if strange := [name for name in names if name not in known]:
        message = f"There is no scenario {strange[0]!r}: `playpark qa list` names them."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    return [known[name] for name in names] or list(ALL)


def _run(chosen: Sequence[Scenario], api: str | None, site_key: str | None, seed: int) -> Report:
    let_tills_sign()
    with tempfile.TemporaryDirectory(prefix="playpark-qa-") as name:
        folder = Path(name)
        began = _trading_day()
        with park_at(api, site_key, folder / "park") as (url, key):
            verdicts = asyncio.run(_play(chosen, url, key, folder, seed))
        if api is None:
            verdicts.append(reconciled(folder / "park", {began, _trading_day()}))
    return Report("its own" if api is None else api, seed, verdicts)


def _trading_day() -> date:
    return business_date(SystemClock().now(), park_zone(None))


async def _play(
    chosen: Sequence[Scenario], url: str, site_key: str, folder: Path, seed: int
) -> list[Verdict]:
    async with Office(url) as office:
        await office.log_in(*OWNER, site_key=site_key)
        park = Park(url, site_key, office)
        found = []
        for each in chosen:
            verdict = await play(each, park, folder / "devices", seed)
            typer.echo(f"{'passed' if verdict.passed else 'FAILED'}  {each.name}", err=True)
            found.append(verdict)
        return found


def set_switches(  # noqa: PLR0917 - typer makes an option of each
    device: Annotated[str, typer.Argument(help="Id of the device.")],
    email: Annotated[str, typer.Option(help="Who may manage devices.")],
    tenant: Annotated[str, typer.Option(help="Id of the park's tenant.")],
    api: Annotated[str, typer.Option(help="Address of the API.")] = DEFAULT_URL,
    offline: Annotated[bool, typer.Option("--offline", help="No request leaves.")] = False,
    delay_ms: Annotated[
        int, typer.Option(min=0, max=MAX_DELAY_MS, help="Hold each answer back.")
    ] = 0,
    lost_requests: Annotated[int, typer.Option(min=0, max=100, help="Percent.")] = 0,
    lost_answers: Annotated[int, typer.Option(min=0, max=100, help="Percent.")] = 0,
    duplicates: Annotated[int, typer.Option(min=0, max=100, help="Percent that is doubled.")] = 0,
    skew_s: Annotated[
        int, typer.Option(min=-MAX_SKEW_S, max=MAX_SKEW_S, help="Seconds its clock is ahead.")
    ] = 0,
    off: Annotated[bool, typer.Option("--off", help="End the simulation.")] = False,
) -> None:
    """Simulate an outage on a device, from its next heartbeat on: exactly what is named here."""
    switches = QaSwitches(
        offline=offline,
        delay_ms=delay_ms,
        lost_requests=lost_requests,
        lost_answers=lost_answers,
        duplicates=duplicates,
        skew_s=skew_s,
    )
    if off is not switches.quiet:
        message = "Name what shall fail, or --off to end it; not both."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    pin = os.environ.get(PIN_VARIABLE) or typer.prompt("PIN", hide_input=True)
    asyncio.run(_set(api, device, switches, email=email, pin=pin, tenant=tenant))


async def _set(
    api: str, device: str, switches: QaSwitches, *, email: str, pin: str, tenant: str
) -> None:
    async with Office(api) as office:
        with _said_plainly():
            await office.log_in(email, pin, tenant=tenant)
        told = await office.switch(device, switches)
    done = "nothing is simulated" if told.switches.quiet else "set"
    typer.echo(f"{device}: {done}; it hears of it with its next heartbeat.")


@contextlib.contextmanager
def _said_plainly() -> Iterator[None]:
    """What was typed is checked before it is sent."""
    try:
        yield
    except ValidationError:
        message = "Type an email address, such as nok@park.example, and a PIN of 4 to 8 digits."
        raise PlayParkError(ErrorCode.VALIDATION, message) from None
