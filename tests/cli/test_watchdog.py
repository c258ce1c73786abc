"""Whoever supervises a member hears from its loop for as long as that turns."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from roost.cli.watchdog import REST_S, Watchdog, grant_rest, patience_us
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S

SERVE = [sys.executable, "-m", "roost.cli", "serve"]


@contextmanager
def supervisor(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What a member tells whoever started it; a datagram each."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(path))
        told.settimeout(PATIENCE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield told


def everything(told: socket.socket) -> list[str]:
    """All that was said until now."""
    told.setblocking(False)
    said: list[str] = []
    with suppress(BlockingIOError):
        while True:
            said += told.recv(1000).decode().splitlines()
    told.settimeout(PATIENCE_S)
    return said


@pytest.mark.parametrize(
    ("said", "whose", "expected"),
    [
        ("60000000", "", 60_000_000),
        ("60000000", "ours", 60_000_000),
        ("60000000", "1", 0),
        ("", "", 0),
        ("soon", "", 0),
        ("-5", "", 0),
    ],
)
def test_signs_are_given_to_whoever_asks_this_process_for_them(
    said: str, whose: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", said)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if whose == "ours" else whose)
    assert patience_us() == expected


def test_signs_come_several_times_in_the_time_until_we_are_given_up_and_then_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "40000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)

    async def give(told: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        told.setblocking(False)
        watchdog = Watchdog()
        watchdog.begin()
        assert await loop.sock_recv(told, 1000) == b"WATCHDOG_USEC=40000"
        begin_s = loop.time()
        for _ in range(9):
            assert await loop.sock_recv(told, 1000) == b"WATCHDOG=1"
        # The first is given at once; timers do not come early.
        assert loop.time() - begin_s > 7 * 0.010
        watchdog.end()
        everything(told)
        over = asyncio.Event()
        loop.call_later(0.050, over.set)
        await over.wait()
        assert everything(told) == []

    with supervisor(tmp_path / "notify", monkeypatch) as told:
        asyncio.run(give(told))


def test_a_process_that_is_about_to_replace_itself_asks_for_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with supervisor(tmp_path / "notify", monkeypatch) as told:
        monkeypatch.delenv("WATCHDOG_USEC", raising=False)
        grant_rest()
        assert everything(told) == []
        monkeypatch.setenv("WATCHDOG_USEC", "5000000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        grant_rest()
        assert everything(told) == [f"WATCHDOG_USEC={REST_S}000000", "WATCHDOG=1"]


@pytest.mark.slow
@pytest.mark.cluster
def test_a_member_gives_signs_while_it_serves_and_none_while_its_loop_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    with supervisor(tmp_path / "notify", monkeypatch) as told:
        cluster = Cluster(tmp_path, 1, command=SERVE)
        cluster.start(0)
        try:
            said: list[str] = []
            while said.count("WATCHDOG=1") < 4 or "READY=1" not in said:
                said += told.recv(1000).decode().splitlines()
            assert said[0] == "WATCHDOG_USEC=200000"
            cluster.process(0).send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, cluster.process(0).pid, os.WSTOPPED | os.WNOWAIT)
            everything(told)
            told.settimeout(0.3)
            with pytest.raises(TimeoutError):
                told.recv(1000)
            told.settimeout(PATIENCE_S)
            cluster.process(0).send_signal(signal.SIGCONT)
            assert told.recv(1000) == b"WATCHDOG=1"
            assert cluster.stop(0) == 0
        finally:
            cluster.stop_all()
        said = everything(told)
        assert said[-1] == "STOPPING=1"
