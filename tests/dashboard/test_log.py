"""The last lines of a log, no more than are kept, whatever is logged; levels by room."""

import logging
from collections.abc import Iterator

import pytest

from roost.dashboard.log import LINES_MAX, TEXT_CHARACTERS_MAX, BadLevel, Log

LOGGER = logging.getLogger("roost.test_log.room")


@pytest.fixture
def log() -> Iterator[Log]:
    held = Log()
    held.start()
    yield held
    held.stop()


def texts(log: Log, after: int = 0) -> list[str]:
    return [it.text for it in log.state(after).lines]


def test_lines_come_in_order_and_the_last_are_kept(log: Log) -> None:
    for number in range(LINES_MAX + 3):
        LOGGER.error("line %d", number)
    assert texts(log)[0] == "line 3"
    assert texts(log, LINES_MAX + 2) == [f"line {LINES_MAX + 2}"]


def test_a_line_has_its_traceback_and_an_end(log: Log) -> None:
    try:
        raise ValueError("of a test")
    except ValueError:
        LOGGER.exception("it failed")
    LOGGER.error("x" * (2 * TEXT_CHARACTERS_MAX))
    first, second = texts(log)
    assert first.startswith("it failed\nTraceback")
    assert len(second) == TEXT_CHARACTERS_MAX


def test_what_cannot_be_said_ends_nobody(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    LOGGER.propagate = True
    log.emit(logging.LogRecord("roost.x", logging.ERROR, "", 1, "%d", ("no number",), None))
    assert texts(log) == []


def test_who_has_stopped_hears_nothing_and_leaves_levels_as_they_were(log: Log) -> None:
    log.set_level("roost.test_log", "debug")
    assert LOGGER.isEnabledFor(logging.DEBUG)
    log.set_level("roost.test_log", "error")
    assert log.state(0).levels["roost.test_log"] == "error"
    log.stop()
    LOGGER.error("unheard")
    assert texts(log) == []
    assert logging.getLogger("roost.test_log").level == logging.NOTSET


def test_nothing_is_as_much_as_the_room_above_says(log: Log) -> None:
    log.set_level("roost.test_log.room", "debug")
    log.set_level("roost.test_log.room", "")
    assert "roost.test_log.room" not in log.state(0).levels
    assert "roost.test_log.room" in log.state(0).modules


class Heard(logging.Handler):
    """What Python says where nobody has set up a log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def test_a_program_without_a_log_hears_warnings_as_it_would_without_us(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, second = Heard(), Log()
    second.start()  # of another member in this process
    monkeypatch.setattr(logging, "lastResort", heard)
    LOGGER.warning("pytest hears this")
    monkeypatch.setattr(logging.root, "handlers", [])
    LOGGER.warning("one")
    LOGGER.info("too little")
    assert heard.texts == ["one"]
    monkeypatch.setattr(LOGGER, "handlers", [logging.NullHandler()])
    LOGGER.warning("the program's own")
    assert heard.texts == ["one"]
    assert texts(log)[-1] == texts(second)[-1] == "the program's own"
    second.stop()


@pytest.mark.parametrize(("module", "level"), [("roost.nobody", "info"), ("roost", "loud")])
def test_what_is_not_there_is_refused(log: Log, module: str, level: str) -> None:
    with pytest.raises(BadLevel):
        log.set_level(module, level)
