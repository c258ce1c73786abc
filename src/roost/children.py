"""Processes that a member starts, and their ends.

Each has one owner.  It gets a session of its own, so that a signal to the member's process group,
as a terminal and a shell send it, reaches the member alone, which then ends it.  Should the
member be killed, its children see an end of file and end by themselves: `run` is the other side
of `run_module` and of `Piped`, `start` is for those who bring a socket of their own for that.
"""

import errno
import importlib
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

logger = logging.getLogger(__name__)
# How long a process that was killed may take to be gone; one that waits for a device cannot end.
GONE_S = 1.0
# What `Piped` gives at a time.
PIECE_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: its exit code, negative for a signal, and what it printed."""

    code: int
    said: bytes


def _popen(module: str, arguments: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Start `run` of a module, which ends when its input does.

    Raises:
        OSError: it cannot be started, or not with these arguments.

    """
    try:
        return subprocess.Popen(
            [sys.executable, "-c", "from roost.children import run; run()", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
    except ValueError as error:  # a zero byte, or what is no text
        raise OSError(errno.EINVAL, f"no process can be given that: {error}") from error


async def run_module(
    module: str, *arguments: str, hear: Callable[[bytes], None] | None = None
) -> Ended:
    """Run `main()` of a module in a process of its own, until it ends or we are cancelled.

    A thread waits for it, and no event loop: that would take the signal of ended children from a
    program that we are a part of.  With `hear` it is told each line that the process prints, but
    the last: that is what was `said`.

    Raises:
        OSError: it cannot be started.

    """
    import asyncio  # the process that is run has no use for it

    process = _popen(module, arguments)
    loop = asyncio.get_running_loop()
    gone: asyncio.Future[Ended] = loop.create_future()

    def follow() -> None:
        assert process.stdout is not None, "it was asked for"
        with process:
            said = b""
            for line in process.stdout:
                if hear is None:
                    said += line
                    continue
                if said:
                    with suppress(RuntimeError):
                        loop.call_soon_threadsafe(hear, said)
                said = line
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


class Piped:
    """A process whose output is taken piece by piece, as fast as somebody takes it.

    A daemon thread reads: what waits for a device holds neither the loop nor the end of a program.
    Full?  The process waits in a pipe for whoever takes.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        """Start `main()` of a module.

        Raises:
            OSError: it cannot be started.

        """
        self._process = _popen(module, arguments)
        # Each is to be told a piece; None = nobody takes any more.
        self._asked: queue.SimpleQueue[Callable[[bytes], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="roost-pipe", daemon=True).start()

    async def take(self) -> bytes:
        """Take the next piece; b"" is the end."""
        import asyncio  # as above

        loop = asyncio.get_running_loop()
        taken: asyncio.Future[bytes] = loop.create_future()

        def give(piece: bytes) -> None:
            if not taken.done():
                taken.set_result(piece)

        def tell(piece: bytes) -> None:
            with suppress(RuntimeError):  # the loop has ended before
                loop.call_soon_threadsafe(give, piece)

        self._asked.put(tell)
        return await taken

    def close(self) -> None:
        """Take nothing more: the process ends, wherever it is."""
        self._process.kill()
        self._asked.put(None)

    def _read(self) -> None:
        process = self._process
        assert process.stdout is not None, "it was asked for"
        with process:
            while (tell := self._asked.get()) is not None:
                tell(os.read(process.stdout.fileno(), PIECE_BYTES))


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
