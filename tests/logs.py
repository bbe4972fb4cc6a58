"""How the tests' own process logs, where no test says otherwise."""

import structlog


def plain_logs() -> None:
    """Put structlog's defaults back, with tracebacks that cost nothing: a pretty one of a running
    API takes half a minute."""
    structlog.reset_defaults()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ]
    )
