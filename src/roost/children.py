"""Processes that a member starts, and their ends.

Each has one owner.  It gets a session of its own, so that a signal to the member's process group,
as a terminal and a shell send it, reaches the member alone, which then ends it.  Should the
member be killed, its children see an end of file and end by themselves: `run` is the other side
of `run_module`, `start` is for those who bring a socket of their own for that.
"""

import importlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

logger = logging.getLogger(__name__)
# How long a process that was killed may take to be gone; one that waits for a device cannot end.
GONE_S = 1.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: its exit code, negative for a signal, and what it printed."""

    code: int
    said: bytes


async def run_module(module: str, *arguments: str) -> Ended:
    """Run `main()` of a module in a process of its own, until it ends or we are cancelled.

    A thread waits for it, and no event loop: that would take the signal of ended children from a
    program that we are a part of.

    Raises:
        OSError: it cannot be started.

    """
    import asyncio  # the process that is run has no use for it

    process = subprocess.Popen(  # noqa: ASYNC220 - as asyncio does itself; it is over with the exec
        [sys.executable, "-c", "from roost.children import run; run()", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    loop = asyncio.get_running_loop()
    gone: asyncio.Future[Ended] = loop.create_future()

    def follow() -> None:
        assert process.stdout is not None, "it was asked for"
        with process:
            said = process.stdout.read()
            ended = Ended(process.wait(), said)
        with suppress(RuntimeError):  # the loop has ended before, with whoever asked
            loop.call_soon_threadsafe(gone.set_result, ended)

    threading.Thread(target=follow, name="roost-child", daemon=True).start()
    try:
        return await asyncio.shield(gone)
    finally:
        if not gone.done():
            process.kill()  # one that is gone is left alone
            # Whoever is cancelled again does not wait, and the thread has somebody to tell.
            await asyncio.shield(gone)


def run() -> None:
    """Be such a process: `main()` of the module that is named first, with the other arguments."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # for our owner, who ends us
    threading.Thread(target=_end_with_owner, daemon=True).start()
    os.umask(0o077)
    del sys.argv[0]
    importlib.import_module(sys.argv[0]).main()


def _end_with_owner() -> None:
    while os.read(sys.stdin.fileno(), 64):
        pass
    os._exit(1)


def start(module: str, *arguments: str, pass_fds: Sequence[int]) -> "subprocess.Popen[bytes]":
    """Start a module, without a loop; it must end when a descriptor it was given is closed."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        pass_fds=pass_fds,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def end(process: "subprocess.Popen[bytes]") -> None:
    """End what `start` started, at once; what it had not finished is lost."""
    process.kill()
    try:
        process.wait(GONE_S)
    except subprocess.TimeoutExpired:
        logger.warning("process %d waits for a device, and ends when that answers", process.pid)
