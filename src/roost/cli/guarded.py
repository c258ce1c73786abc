"""A command that may run only as long as something is held.

When it is lost the command and everything that it started is asked to end (TERM), and ended
(KILL) when it does not in time.  So that nothing escapes, what the command leaves behind becomes
our own child (prctl's PR_SET_CHILD_SUBREAPER); it stays in our process group and on our terminal.

Limit: whoever ends us with KILL leaves the command running, with nothing held (said to users in
docs/explanation/leases.md).  PR_SET_PDEATHSIG would not help: a direct child alone hears of
it, and what that has started goes on; and to set it means to run code of ours between fork and
exec, in a process with threads.
"""

import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_POLL_S = 0.02
_KILL_S_MAX = 5.0


class Guarded:
    """One command; `lose` may be called by any thread."""

    def __init__(self, command: tuple[str, ...], told: Mapping[str, str]) -> None:
        """`told` are environment variables for it."""
        self._command = command
        self._environment = {**os.environ, **told}
        self._changed = threading.Event()
        self._lost = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        # Signals that came before there was somebody to pass them on to.
        self._early: list[int] = []

    def lose(self) -> None:
        """It must not run any longer."""
        self._lost.set()
        self._changed.set()

    def run(self, grace_s: float) -> int | None:
        """Run it; return its exit code as a shell has it, or None when it had to be ended.

        TERM and HUP are passed on to it.  INT is not: who types it sends it to both.

        Raises:
            OSError: it cannot be started.

        """
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        before = {it: signal.signal(it, self._pass_on) for it in (signal.SIGTERM, signal.SIGHUP)}
        before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda _number, _frame: None)
        try:
            if self._lost.is_set():
                return None
            child = subprocess.Popen(self._command, env=self._environment)  # noqa: S603 - as asked
            self._child = child
            for number in self._early:
                child.send_signal(number)
            threading.Thread(target=self._reap, args=(child,), daemon=True).start()
            self._changed.wait()
            if self._lost.is_set():
                _end_all(grace_s)
                return None
            code = child.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return code if code >= 0 else 128 - code

    def _pass_on(self, number: int, _frame: object) -> None:
        if self._child is None:
            self._early.append(number)
        else:
            self._child.send_signal(number)

    def _reap(self, child: subprocess.Popen[bytes]) -> None:
        child.wait()
        self._changed.set()


def _end_all(grace_s: float) -> None:
    """End what we have started, and what that has started, and so on."""
    for pid in _offspring():
        _send(pid, signal.SIGTERM)
    started = time.monotonic()
    while left := _offspring():
        waited_s = time.monotonic() - started
        if waited_s > grace_s + _KILL_S_MAX:
            return  # a device holds it, and it does nothing
        if waited_s > grace_s:
            for pid in left:
                _send(pid, signal.SIGKILL)
        threading.Event().wait(_POLL_S)


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it has ended


def _offspring() -> list[int]:
    """Our children, theirs, and so on, but those that have ended."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # proc(5): the name is in parentheses, and may hold any; state and parent follow it.
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # it has ended
        if state not in ("Z", "X"):
            parents.setdefault(int(parent), []).append(int(entry.name))
    found = list(parents.get(os.getpid(), ()))
    for pid in found:
        found += parents.get(pid, ())
    return found
