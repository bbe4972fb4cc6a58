"""Read from mongod's log why it ended."""

import json
from pathlib import Path

LINES = 3
TAIL_BYTES = 64 * 1024


def last_words(log: Path, offset: int, stderr: Path) -> str:
    """Return the last telling lines of this start as one phrase; `offset` is where it began."""
    lines = [_phrase(line) for line in _lines(log, offset)]
    # Errors tell why; the fatal line after them only says that it gives up.
    by_severity = [[text for severity, text in lines if severity == wanted] for wanted in "EF"]
    choices = (*by_severity, _lines(stderr, 0), [text for _, text in lines])
    told = next((texts for texts in choices if texts), ["it wrote nothing"])
    return " ".join("; ".join(dict.fromkeys(told[-LINES:])).split())


def _lines(path: Path, offset: int) -> list[str]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            # A rotated log is shorter than the offset: read it from its beginning.
            file.seek(max(offset if offset <= size else 0, size - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


def _phrase(line: str) -> tuple[str, str]:
    """Return the severity letter of a line, and its message with the error it carries."""
    try:
        entry = json.loads(line)
        message = str(entry["msg"])
    except (ValueError, KeyError, TypeError):
        return "", line
    attributes = entry.get("attr") or {}
    error = attributes.get("error", attributes.get("message", ""))
    detail = error.get("errmsg", "") if isinstance(error, dict) else str(error)
    return str(entry.get("s")), f"{message}: {detail}" if detail else message
