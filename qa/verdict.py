"""What a scenario did, what was expected, what was found: on the screen, as JSON, as Markdown."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

JSON_FILE, MARKDOWN_FILE = "report.json", "report.md"


@dataclass(frozen=True, slots=True)
class Finding:
    """One comparison. `found` is what the books or the device say."""

    what: str
    expected: str
    found: str
    passed: bool


@dataclass(slots=True)
class Verdict:
    """One scenario's. It passes where something was compared and all of it was as expected, and
    nothing went wrong on the way; `fault` says what did."""

    name: str
    what: str
    steps: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    fault: str | None = None
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return (
            self.fault is None
            and bool(self.findings)
            and all(each.passed for each in self.findings)
        )

    @property
    def failures(self) -> list[Finding]:
        return [each for each in self.findings if not each.passed]

    def did(self, sentence: str) -> None:
        """Note a step that was taken."""
        self.steps.append(sentence)

    def expect(self, what: str, found: object, expected: object) -> None:
        """Note what was found, and what it should have been."""
        same = found == expected
        self.findings.append(Finding(what, _text(expected), _text(found), same))


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run. `seed` plays it again with the same chances."""

    url: str
    seed: int
    verdicts: Sequence[Verdict]

    @property
    def passed(self) -> bool:
        return bool(self.verdicts) and all(each.passed for each in self.verdicts)

    @property
    def summary(self) -> str:
        good = sum(each.passed for each in self.verdicts)
        return f"{good} of {len(self.verdicts)} scenarios passed (seed {self.seed})."

    def show(self, console: Console) -> None:
        """The table, then what is not as it should be. Nothing in it is markup."""
        table = Table(title="Scenarios", title_justify="left")
        for column in ("scenario", "verdict", "checks", "seconds"):
            table.add_column(column, no_wrap=True)
        for each in self.verdicts:
            style = "green" if each.passed else "bold red"
            good = sum(finding.passed for finding in each.findings)
            table.add_row(
                Text(each.name),
                Text("passed" if each.passed else "FAILED", style=style),
                f"{good}/{len(each.findings)}",
                f"{each.seconds:.1f}",
            )
        console.print(table)
        for each in self.verdicts:
            if not each.passed:
                _tell(each, console)
        console.print(Text(self.summary))

    def save(self, folder: Path) -> None:
        """Write report.json and report.md. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        told = json.dumps(self.as_json(), indent=2, ensure_ascii=False)
        (folder / JSON_FILE).write_text(f"{told}\n", encoding="utf-8")
        (folder / MARKDOWN_FILE).write_text(self.as_markdown(), encoding="utf-8")

    def as_json(self) -> dict[str, Any]:
        return {
            "api": self.url,
            "seed": self.seed,
            "passed": self.passed,
            "scenarios": [
                {
                    "name": each.name,
                    "what": each.what,
                    "passed": each.passed,
                    "seconds": round(each.seconds, 3),
                    "fault": each.fault,
                    "steps": each.steps,
                    "findings": [
                        {
                            "what": finding.what,
                            "expected": finding.expected,
                            "found": finding.found,
                            "passed": finding.passed,
                        }
                        for finding in each.findings
                    ],
                }
                for each in self.verdicts
            ],
        }

    def as_markdown(self) -> str:
        lines = ["# Simulated outages", "", f"{self.summary} API: {self.url}", ""]
        for each in self.verdicts:
            lines += [f"## {each.name}: {'passed' if each.passed else 'FAILED'}", "", each.what, ""]
            lines += [f"{number}. {step}" for number, step in enumerate(each.steps, 1)]
            lines += ["", "| | what | expected | found |", "|---|---|---|---|"]
            lines += [
                f"| {'✓' if finding.passed else '**✗**'} | "
                + " | ".join(map(_cell, (finding.what, finding.expected, finding.found)))
                + " |"
                for finding in each.findings
            ]
            lines += ["", f"It could not go on: {_cell(each.fault)}"] if each.fault else []
            lines.append("")
        return "\n".join(lines)


def _tell(verdict: Verdict, console: Console) -> None:
    console.print(Text(f"{verdict.name}: {verdict.what}", style="bold"), soft_wrap=True)
    for number, step in enumerate(verdict.steps, 1):
        console.print(Text(f"  {number}. {step}"), soft_wrap=True)
    for each in verdict.failures:
        console.print(Text(f"  ✗ {each.what}", style="bold red"), soft_wrap=True)
        console.print(Text(f"      expected {each.expected}"), soft_wrap=True)
        console.print(Text(f"      found    {each.found}"), soft_wrap=True)
    if verdict.fault:
        fault = Text(f"  It could not go on: {verdict.fault}", style="bold red")
        console.print(fault, soft_wrap=True)
    if not verdict.findings and not verdict.fault:
        console.print(Text("  Nothing was compared.", style="bold red"))


def _text(value: object) -> str:
    """A value as people read it; what is equal reads the same."""
    match value:
        case Enum():
            return str(value.value)
        case bool():
            return "yes" if value else "no"
        case Mapping():
            pairs = sorted((_text(key), _text(count)) for key, count in value.items())
            return ", ".join(f"{key}: {count}" for key, count in pairs) or "none"
        case set() | frozenset():
            return ", ".join(sorted(map(_text, value))) or "none"
        case list():
            return ", ".join(map(_text, value)) or "none"
        case tuple():
            return f"({', '.join(map(_text, value))})"
        case None:
            return "-"
        case _:
            return str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
