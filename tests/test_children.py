"""Processes of a member: what they say while they work, and what is taken from them in pieces.

How they end with their owner is in `integration/test_stops`.
"""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from roost.children import PIECE_BYTES, Piped, run_module

LINES = """
import sys
def main():
    sys.stdout.write("one\\ntwo\\n" + sys.argv[1])
"""
FLOOD = """
import os, sys
def main():
    os.write(1, b"head\\n")
    for _ in range(int(sys.argv[1])):
        os.write(1, bytes(1 << 16))
"""

SILENCE = """
import os, threading
def main():
    os.write(1, b"head")
    threading.Event().wait()
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where modules of processes are found."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    return tmp_path


def test_lines_are_heard_while_it_runs_and_the_last_is_what_it_said(module: Path) -> None:
    (module / "lines_of_it.py").write_text(LINES)
    heard: list[bytes] = []

    async def main() -> None:
        ended = await run_module("lines_of_it", "three", hear=heard.append)
        assert (ended.code, ended.said) == (0, b"three")
        ended = await run_module("lines_of_it", "three")
        assert ended.said == b"one\ntwo\nthree"

    asyncio.run(main())
    assert heard == [b"one\n", b"two\n"]


def test_pieces_are_taken_to_the_end(module: Path) -> None:
    (module / "flood_of_it.py").write_text(FLOOD)

    async def main() -> int:
        piped = Piped("flood_of_it", "20")
        size = 0
        while piece := await piped.take():
            assert len(piece) <= PIECE_BYTES
            size += len(piece)
        assert await piped.take() == b""
        piped.close()
        return size

    assert asyncio.run(main()) == len(b"head\n") + (20 << 16)


def test_a_process_that_nobody_takes_from_any_more_ends(module: Path) -> None:
    (module / "silence_of_it.py").write_text(SILENCE)

    async def main() -> None:
        piped = Piped("silence_of_it")
        assert await piped.take() == b"head"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await piped.take()
        piped.close()
        piped._process.wait()
        assert piped._process.returncode is not None

    asyncio.run(main())


@pytest.mark.parametrize("argument", ["a\0b", "\ud800", "x" * (4 << 20)])
def test_what_no_process_can_be_given_is_an_error_as_any_other(module: Path, argument: str) -> None:
    """It was one that nobody expected, and ended whoever was to wait for it."""
    with pytest.raises(OSError, match=r"no process can be given that|Argument list too long"):
        asyncio.run(run_module(module.stem, argument))
    with pytest.raises(OSError, match=r"no process can be given that|Argument list too long"):
        Piped(module.stem, argument)
