"""Being interrupted while gRPC works.

An exception that a signal raises in the middle of gRPC (KeyboardInterrupt is one) can leave a lock
of its taken for ever: the next call, or closing the channel, never returns then.  So signals raise
nothing while a client is open.  A thread is told of them, and does what was said last.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from roost.cli.exits import DONE, EXIT_INTERRUPTED

Action = Callable[[int], None]
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# What is done, the last first; signals are the process's, so this is too.
_actions: list[Action] = []


def leave(number: int) -> None:
    """End at once, as whoever asks for it expects; the cluster notices that we are gone."""
    os._exit(EXIT_INTERRUPTED if number == signal.SIGINT else 128 + number)


def leave_done(number: int) -> None:
    """End at once what goes on until it is interrupted: it is done."""
    os._exit(DONE if number == signal.SIGINT else 128 + number)


@contextmanager
def interruptible(action: Action = leave) -> Iterator[None]:
    """Have a thread call `action` with each signal that asks us to end."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are not this thread's
        return
    _actions.append(action)
    try:
        if len(_actions) > 1:
            yield
            return
        with _told_by_a_thread():
            yield
    finally:
        _actions.pop()


def is_interruptible() -> bool:
    """Whether somebody has said what to do."""
    return bool(_actions)


@contextmanager
def _told_by_a_thread() -> Iterator[None]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    listening = threading.Thread(target=_listen, args=(ours,), daemon=True)
    listening.start()
    before_fd = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    before = {it: signal.signal(it, lambda _number, _frame: None) for it in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before_fd)
        theirs.close()
        listening.join()
        ours.close()


def _listen(ours: socket.socket) -> None:
    while told := ours.recv(1):
        if told[0] in _SIGNALS and _actions:
            _actions[-1](told[0])
