"""Lines of the log: each says once what it says."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from roost.cli.logs import configure_logs


@pytest.fixture(autouse=True)
def root() -> Iterator[None]:
    """The root logger as it was, when the test is over."""
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    yield
    for it in logger.handlers:
        if it not in handlers:
            it.close()
    logger.handlers, logger.level = handlers, level


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_what_another_handler_has_formatted_is_said_once(tmp_path: Path, log_format: str) -> None:
    """Each warning of a start stood in its line twice, as `msg` and as `message`."""
    file = tmp_path / "log"
    configure_logs("info", log_format, [str(file)])
    record = logging.LogRecord("roost", logging.WARNING, "", 1, "the disk is %s", ("slow",), None)
    record.disk = "sda"
    logging.Formatter("%(asctime)s %(message)s").format(record)
    logging.getLogger().handle(record)
    line = file.read_text()
    assert line.count("the disk is slow") == 1
    assert "sda" in line
    if log_format == "json":
        assert json.loads(line).keys() == {"level", "logger", "ts", "msg", "disk"}
