"""Logs: one line per request and per thing worth knowing, JSON or for a terminal, constant events with fields.

Text from outside is stripped of what cannot be seen, so that nobody can forge a line or paint a terminal.
"""

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MAX_TEXT = 2000
_TRUSTED = {"exception", "stack"}
"""Tracebacks are ours, and are unreadable on one line."""


def plain(text: str) -> str:
    """With a sign in place of every character that cannot be seen but the blank, and of a bounded length: controls,
    marks that format or reorder, what is no character, and other separators (Unicode, categories C and Z)."""
    return "".join(one if one.isprintable() else "�" for one in text[:MAX_TEXT])


def _strip(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if isinstance(value, str) and key not in _TRUSTED:
            event[key] = plain(value)
    return event


_FIRST = ("timestamp", "level", "event")


def _for_people(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """What stands for nothing is left out, and a status comes before the name, which may be long."""
    event = {key: value for key, value in event.items() if value is not None}
    return {**{key: event[key] for key in ("status", "method") if key in event}, **event}


def _in_order(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """When, how bad, what; then the rest."""
    return {**{key: event[key] for key in _FIRST if key in event}, **event}


def configure(style: str, level: str, handler: logging.Handler | None = None) -> None:
    """``style`` is ``json``, ``console`` or ``auto`` (console on a terminal). Everything goes to standard error, by
    ``handler`` where one is given."""
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%SZ" if console else "iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    ending: list[Processor] = (
        [
            _strip,
            _for_people,
            structlog.dev.ConsoleRenderer(pad_event_to=0, colors=sys.stderr.isatty(), sort_keys=False),
        ]
        if console
        else [structlog.processors.format_exc_info, _strip, _in_order, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = handler or logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.getLogger("asyncio").setLevel(max(logging.WARNING, root.level))


def bind_request(request_id: str) -> None:
    """Everything logged on the way of this request carries its id."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id)


def logger(name: str) -> Any:
    return structlog.get_logger(name)


def stamp(seconds: float) -> str:
    """A time as the lines' own is written."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
