"""The last lines of this process's log, and how much each room of it says, changed while it runs.

Levels are those of Python's loggers below `roost`: a room says what its own level lets through, or
that of the nearest room above it that has one.  What is changed lasts until the process ends.

Full?  LINES_MAX lines of TEXT_CHARACTERS_MAX are kept, the last; older ones are where the log goes.
"""

import logging
from collections import deque
from collections.abc import Mapping, Sequence

import msgspec

from roost.errors import CallerFault

LINES_MAX, TEXT_CHARACTERS_MAX = 500, 4000
ROOT = "roost"
LEVELS = ("debug", "info", "warning", "error", "critical")


class BadLevel(CallerFault):
    """There is no such level, or no such room of the log."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One record; `at_s` is seconds since 1970."""

    number: int
    at_s: float
    level: str
    module: str
    text: str


class LogState(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of a log: new lines, rooms that say something, levels that were set."""

    lines: Sequence[Line]
    modules: Sequence[str]
    levels: Mapping[str, str]


class Log(logging.Handler):
    """Hears what is logged below `roost` in this process."""

    def __init__(self) -> None:
        """Nothing was heard."""
        super().__init__()
        self._kept: deque[Line] = deque(maxlen=LINES_MAX)
        self._count = 0
        self._before: dict[str, int] = {}

    def start(self) -> None:
        """Hear from now on."""
        logging.getLogger(ROOT).addHandler(self)

    def stop(self) -> None:
        """Hear no more; levels are as they were before somebody changed them."""
        logging.getLogger(ROOT).removeHandler(self)
        for module, level in self._before.items():
            logging.getLogger(module).setLevel(level)
        self._before.clear()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one; logging sees to it that there is one at a time."""
        try:
            text = self.format(record)[:TEXT_CHARACTERS_MAX]
        except Exception:  # noqa: BLE001 - as all handlers: what cannot be said must not end whoever says it
            self.handleError(record)
            return
        self._say_aloud(record)
        self._count += 1
        level = record.levelname.lower()
        self._kept.append(
            Line(
                number=self._count,
                at_s=record.created,
                level=level,
                module=record.name,
                text=text,
            )
        )

    def _say_aloud(self, record: logging.LogRecord) -> None:
        """Say what Python says on standard error where a program has set up no log.

        We count as one that hears, and Python would leave it out because of us.
        """
        last = logging.lastResort
        is_first = next(iter(logging.getLogger(ROOT).handlers), None) is self
        if last is None or not is_first or record.levelno < last.level:
            return
        if not _is_heard_by_others(logging.getLogger(record.name)):
            last.handle(record)

    def state(self, after: int) -> LogState:
        """Lines behind a number, and levels as they are."""
        names = sorted(
            name
            for name, it in logging.root.manager.loggerDict.items()
            if isinstance(it, logging.Logger) and (name == ROOT or name.startswith(f"{ROOT}."))
        )
        levels = {name: logging.getLogger(name).level for name in names}
        return LogState(
            lines=[it for it in tuple(self._kept) if it.number > after],
            modules=names,
            levels={
                name: logging.getLevelName(level).lower() for name, level in levels.items() if level
            },
        )

    def set_level(self, module: str, level: str) -> None:
        """Have a room, and those below it, say as much; "" = as much as the room above it.

        Raises:
            BadLevel: there is no such room, or no such level.

        """
        if level and level not in LEVELS:
            raise BadLevel(f"level {level!r}: one of {', '.join(LEVELS)}, or nothing")
        known = self.state(self._count).modules
        if module != ROOT and not any(it == module or it.startswith(f"{module}.") for it in known):
            raise BadLevel(f"there is no room {module!r} that logs")
        logger = logging.getLogger(module)
        self._before.setdefault(module, logger.level)
        logger.setLevel(level.upper() or logging.NOTSET)


def _is_heard_by_others(logger: logging.Logger) -> bool:
    """Whether a program has set up who hears of what is logged there."""
    found: logging.Logger | None = logger
    while found is not None:
        if any(not isinstance(it, Log) for it in found.handlers):
            return True
        found = found.parent if found.propagate else None
    return False
