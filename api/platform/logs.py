"""Structured logs: one JSON line an event, with the request's context and without secrets."""

import json
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET_KEY = re.compile(
    r"(pin|token|secret|password|authorization|cookie|api_?key|site_key|hmac)", re.IGNORECASE
)
_SECRET_VALUE = re.compile(
    r"PP[12T]\.[0-9A-Z.$%*+/:-]{20,}|eyJ[\w-]+\.[\w-]+\.[\w-]+|Bearer\s+\S+|(mongodb(\+srv)?|rediss?)://[^@\s]+@"
)
REDACTED = "[redacted]"
_ACTIVE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What JSON lets through, but ends a line, starts an escape or turns the writing around."""


def redact(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """structlog processor: secrets by the name of their key and by the look of their value."""
    for key, value in event.items():
        if _SECRET_KEY.search(key):
            event[key] = REDACTED
        elif isinstance(value, str):
            event[key] = _SECRET_VALUE.sub(REDACTED, value)
        elif isinstance(value, dict):
            event[key] = dict(redact(None, "", dict(value)))
    return event


def _one_line(event: MutableMapping[str, Any], **options: Any) -> str:
    """One line is one event, whatever a name or a header holds."""
    return _ACTIVE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(event, **options))


def configure_logging(level: str) -> None:
    """Send structlog and the standard library's loggers to stderr as JSON lines."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(_one_line, ensure_ascii=False),
            ],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("uvicorn.access", "pymongo", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
