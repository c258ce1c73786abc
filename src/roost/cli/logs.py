"""Structured logs, on standard error or elsewhere: one JSON object a line, or lines for people."""

import logging
import sys
from collections.abc import Sequence

import structlog
from structlog.typing import EventDict, Processor

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "panic": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}


def configure_logs(level: str, log_format: str, outputs: Sequence[str] = ("default",)) -> None:
    """Send every log record of the process through structlog to each of `outputs`.

    Raises:
        OSError: a file cannot be written.

    """
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.stdlib.ExtraAdder(),
        _without_what_others_made,
        structlog.processors.format_exc_info,
    ]
    renderer: Processor
    if log_format == "json":
        shared.append(structlog.processors.EventRenamer("msg"))
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=False)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handlers = [_handler(name) for name in dict.fromkeys(outputs)]
    for handler in handlers:
        handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = handlers
    root.setLevel(_LEVELS[level])


def _without_what_others_made(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Leave out what the formatter of another handler has put into the record: it is said twice."""
    event.pop("message", None)
    event.pop("asctime", None)
    return event


def _handler(output: str) -> logging.Handler:
    """Where --log-outputs says."""
    if output in ("default", "stderr"):
        return logging.StreamHandler(sys.stderr)
    if output == "stdout":
        return logging.StreamHandler(sys.stdout)
    return logging.FileHandler(output)
