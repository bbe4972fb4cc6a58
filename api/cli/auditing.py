"""`playpark audit`: is the trail whole? (R45)"""

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from api.audit.trail import tenants
from api.audit.verifying import verify
from api.cli.common import DEFAULT_DATA, Data, Embedded, on_mongo
from api.platform.mongo import Mongo
from api.platform.settings import Settings
from api.platform.uow import UnitOfWork
from playpark.clock import SystemClock
from playpark.contracts.audit import AuditBreak, AuditVerification
from playpark.errors import ErrorCode, PlayParkError


def register(app: typer.Typer) -> None:
    """Add `playpark audit`."""
    audit = typer.Typer(help="The audit trail.", no_args_is_help=True)
    app.add_typer(audit, name="audit")

    @audit.callback()
    def _group() -> None:
        """The audit trail."""

    @audit.command("verify")
    def verify_trail(
        tenant: Annotated[
            str | None, typer.Option(help="Id of one tenant; by default all.")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
        embedded: Embedded = False,
        data: Data = DEFAULT_DATA,
    ) -> None:
        """Prove that no row of the audit trail was changed, and name the first one that was.

        Exit code 0: whole; 1: somebody has tampered with it; 2: it could not be checked.
        """

        async def action(_settings: Settings, mongo: Mongo) -> list[AuditVerification]:
            await mongo.ping()
            return await verify_all(UnitOfWork(mongo, SystemClock()), tenant)

        try:
            results = on_mongo(action, embedded=embedded, data=data)
        except PlayParkError as refusal:
            typer.echo(f"playpark: {refusal.message}", err=True)
            raise typer.Exit(2) from None
        if as_json:
            typer.echo(json.dumps([each.model_dump(mode="json") for each in results], indent=2))
        else:
            show(results, Console())
        raise typer.Exit(0 if all(each.whole for each in results) else 1)


async def verify_all(uow: UnitOfWork, tenant_id: str | None) -> list[AuditVerification]:
    """Check all tenants, or one. Raises E_NOT_FOUND for one that has no trail."""
    known = await tenants(uow.reading())
    if tenant_id is not None and tenant_id not in known:
        message = "There is no audit trail of this tenant: see --json for their ids."
        raise PlayParkError(ErrorCode.NOT_FOUND, message)
    return [await verify(uow, each) for each in known if tenant_id in {None, each}]


def show(results: Sequence[AuditVerification], console: Console) -> None:
    """A line a tenant, then what is wrong. What the database says is text, never markup."""
    if not results:
        console.print("There is no audit trail yet: nothing to verify.")
    for each in results:
        verdict = "whole" if each.whole else f"BROKEN: {len(each.breaks)}"
        until = each.anchored_until
        anchored = f"{each.anchors} anchors{f' until {until:%Y-%m-%d %H:%M} UTC' if until else ''}"
        counts = f"{each.chains} chains, {each.rows} rows, {each.removed} removed, {anchored}"
        console.print(Text(f"{each.tenant_id}: {verdict} ({counts})"), soft_wrap=True)
        for found in each.breaks:
            _tell(found, console)


def _tell(found: AuditBreak, console: Console) -> None:
    kind = found.kind.value.replace("_", " ")
    number = "" if found.seq is None else f", number {found.seq}"
    where = f"{kind}: {found.collection} {found.document_id}{number}"
    console.print(Text(f"  {where}", style="bold red"), soft_wrap=True)
    if found.chain is not None:
        console.print(Text(f"    chain {found.chain}"), soft_wrap=True)
    console.print(Text(f"    {found.why}"), soft_wrap=True)
