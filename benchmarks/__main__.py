"""Run all benchmarks on an own MongoDB and print one table."""

import asyncio
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from api.platform.embedded import EmbeddedMongo
from benchmarks import backlog, bootstrap, gate, limits, pin_storm, pricing, redeem, server


def main() -> None:
    table = Table("Benchmark", "Result", title="One run on this machine", title_justify="left")
    for name, result in (*pricing.run(), *limits.run()):
        table.add_row(name, result)
    with tempfile.TemporaryDirectory() as folder, EmbeddedMongo(Path(folder)) as mongo:
        for part in (server, bootstrap, pin_storm, gate):
            for name, result in asyncio.run(part.run(mongo.uri)):
                table.add_row(name, result)
        for name, result in (*redeem.run(mongo.uri), *backlog.run(mongo.uri)):
            table.add_row(name, result)
    Console().print(table)


main()
