"""A process that starts members for tests, and whose end is theirs.

A test run may end in any way: it is interrupted, or killed, with no time to say anything.  So
members are not its children but the warden's.  That one sees the run's end of their socket close,
or the run's process gone, whichever comes first; then it kills every member, also one that is
stopped, and ends.  It is in a session of its own: what a terminal sends to a test run reaches
neither it nor members.  Should it be killed itself, the kernel kills its children (Linux).

A member is a fork of it, in which everything that `roost serve` needs is imported already; so a
member serves in a small part of the time that a new interpreter takes.  Another warden may have
loaded what other commands need.

On the socket each line is a request, and its answer, as JSON:

    {"start": {...}}, the fields of `Start`         {"pid": 123}
    {"signal": {"pid": 123, "number": 9}}           {}
    {"code": 123}                                   {"code": null}, or the exit code when it ended
    what cannot be done                             {"error": "..."}

Full?  Past MEMBERS_MAX members that run a start is refused.
"""

import atexit
import ctypes
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from roost.testing.patience import PATIENCE_S, wait_until

MEMBERS_MAX = 64
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Of prctl, 2.
_SET_PARENT_DEATH_SIGNAL = 1
# A program that is run, and nothing that we are made of.
_PROGRAM = "roost.cli"
_LOADED = "roost.cli.serve"
_BOOT = "from roost.testing.warden import main; main()"


class WardenError(Exception):
    """The warden could not do what it was asked, or is gone."""


@dataclass(frozen=True, slots=True)
class Start:
    """A process that is wanted; files are named by their paths."""

    arguments: list[str]
    log: str
    # A file that is run in the place of `roost`.
    program: str | None = None
    # Whether it leads a process group.
    has_own_group: bool = False
    # Its standard error, if that is not in the log, and its standard input.
    errors: str | None = None
    typed: str | None = None
    # Of its own, in the place of the warden's.
    environment: dict[str, str] | None = None


class Warden:
    """The test run's end: starts the process, and asks it; safe from any thread."""

    def __init__(self, *loaded: str) -> None:
        """Start it, with these modules loaded, for members if none is named.

        It is not ready yet when this returns, and nobody need wait for that.
        """
        near, far = socket.socketpair()
        with far:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, str(far.fileno()), str(os.getpid()), *loaded],
                pass_fds=[far.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._socket = near
        self._lines = near.makefile("rb")
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def start(self, arguments: Sequence[str], log: Path) -> int:
        """Run `roost` with `arguments`, its output appended to `log`; its process.

        Raises:
            WardenError: it cannot be started.

        """
        return self.start_as(Start(list(arguments), str(log)))

    def start_as(self, asked: Start) -> int:
        """Run what is asked for; its process.

        Raises:
            WardenError: it cannot be started.

        """
        pid: int = self._ask({"start": asdict(asked)})["pid"]
        return pid

    def send_signal(self, pid: int, number: int) -> None:
        """Send a signal to a member; one that has ended gets none."""
        self._ask({"signal": {"pid": pid, "number": number}})

    def code(self, pid: int) -> int | None:
        """With what a member ended, negative for a signal; None while it runs."""
        code: int | None = self._ask({"code": pid})["code"]
        return code

    def end_of(self, pid: int, timeout_s: float = PATIENCE_S) -> int:
        """Wait for a member's end; its exit code.

        Raises:
            TimeoutError: it does not end in time.

        """
        wait_until(lambda: self.code(pid) is not None, timeout_s)
        code = self.code(pid)
        assert code is not None, "it has ended"
        return code

    def close(self) -> None:
        """Kill every member, and wait until all of them are gone; more than once does nothing."""
        self._lines.close()
        self._socket.close()
        self._process.wait()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            try:
                self._socket.sendall(json.dumps(request).encode() + b"\n")
                line = self._lines.readline()
            except (OSError, ValueError) as error:
                raise WardenError(f"the process that keeps members is gone: {error}") from error
        if not line:
            raise WardenError("the process that keeps members is gone")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WardenError(answer["error"])
        return answer


@cache
def shared_warden() -> Warden:
    """The warden of this process, as long as it lives."""
    warden = Warden()
    atexit.register(warden.close)
    return warden


class Ward:
    """One process of a warden, with the part of `subprocess.Popen`'s face that tests use."""

    def __init__(self, warden: Warden, pid: int) -> None:
        """`pid` was started by the warden."""
        self._warden = warden
        self.pid = pid
        # Once it is known the number may be another process's.
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        if self._code is None:
            self._code = self._warden.code(self.pid)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, when it has ended; without a timeout after PATIENCE_S at last.

        Raises:
            TimeoutExpired: it does not end in time.

        """
        timeout = PATIENCE_S if timeout is None else timeout
        try:
            wait_until(lambda: self.poll() is not None, timeout)
        except TimeoutError as error:
            raise subprocess.TimeoutExpired("roost", timeout) from error
        assert self._code is not None, "it has ended"
        return self._code

    def send_signal(self, sig: int) -> None:
        """Send it a signal; once it has ended, none."""
        if self.poll() is None:
            self._warden.send_signal(self.pid, sig)

    def terminate(self) -> None:
        """Ask it to stop."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class _Keeping:
    """The process's end."""

    def __init__(self, descriptor: int, owner: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._owner = owner
        self._codes: dict[int, int] = {}
        self._running: set[int] = set()

    def serve(self) -> None:
        """Answer until the owner is gone; then kill everybody."""
        ends = select.poll()
        ends.register(self._socket, select.POLLIN)
        with suppress(OSError):  # Linux before 5.3: the socket must do
            ends.register(os.pidfd_open(self._owner), select.POLLIN)
        held = b""
        try:
            while True:
                ready = [descriptor for descriptor, _ in ends.poll()]
                if ready != [self._socket.fileno()]:
                    return  # whoever has inherited the other end does not count
                data = self._socket.recv(65536)
                if not data:
                    return
                *lines, held = (held + data).split(b"\n")
                for line in lines:
                    self._socket.sendall(json.dumps(self._answer(json.loads(line))).encode())
                    self._socket.sendall(b"\n")
        except OSError:
            pass  # the owner is gone in the middle of a word
        finally:
            self._end_all()

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request:
            case {"start": asked}:
                try:
                    return {"pid": self._start(Start(**asked))}
                except OSError as error:
                    return {"error": f"a member cannot be started: {error}"}
            case {"signal": {"pid": pid, "number": number}}:
                self._reap()
                if pid in self._running:
                    os.kill(pid, number)
                return {}
            case {"code": pid}:
                self._reap()
                return {"code": self._codes.get(pid)}
        return {"error": f"the keeper of members does not know {request}"}

    def _start(self, asked: Start) -> int:
        self._reap()
        if len(self._running) >= MEMBERS_MAX:
            raise OSError(f"{MEMBERS_MAX} members run already")
        with ExitStack() as stack:
            streams = _streams_of(asked, stack)
            ourselves = os.getpid()
            pid = os.fork()
            if pid == 0:
                self._socket.close()
                _be_member(asked, streams, ourselves)
        if asked.has_own_group:
            with suppress(OSError):  # it was faster, or is gone
                os.setpgid(pid, pid)
        self._codes.pop(pid, None)  # of an earlier process with that number
        self._running.add(pid)
        return pid

    def _reap(self) -> None:
        """Look who has ended; while nobody does, a process id is nobody else's."""
        for pid in list(self._running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._running.discard(pid)
                self._codes[pid] = os.waitstatus_to_exitcode(status)

    def _end_all(self) -> None:
        self._reap()
        for pid in self._running:
            os.kill(pid, signal.SIGKILL)
        for pid in self._running:
            os.waitpid(pid, 0)


def _die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _streams_of(asked: Start, stack: ExitStack) -> dict[int, int]:
    """Open what a process has for its standard streams; by their numbers."""

    def open_(path: str, flags: int) -> int:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, descriptor)
        return descriptor

    append = os.O_CREAT | os.O_APPEND | os.O_WRONLY
    output = open_(asked.log, append)
    streams = {1: output, 2: open_(asked.errors, append) if asked.errors else output}
    return streams | ({0: open_(asked.typed, os.O_RDONLY)} if asked.typed else {})


def _be_member(asked: Start, streams: Mapping[int, int], warden: int) -> NoReturn:
    """Become the `roost` that is asked for, unless the warden has ended; never returns."""
    code = 1
    try:
        _die_with_parent()
        if os.getppid() != warden:
            os._exit(1)
        if asked.has_own_group:
            os.setpgid(0, 0)
        for number, descriptor in streams.items():
            os.dup2(descriptor, number)
        if asked.environment is not None:
            os.environ.clear()
            os.environ.update(asked.environment)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in _SIGNALS[1:]:
            signal.signal(number, signal.SIG_DFL)
        gc.unfreeze()
        gc.enable()
        sys.argv = [asked.program or _PROGRAM, *asked.arguments]
        # By which a member replaces itself when its store is damaged: the warden's would bring
        # another warden.
        program = [asked.program] if asked.program else ["-m", _PROGRAM]
        sys.orig_argv[:] = [sys.executable, *program, *asked.arguments]
        if asked.program:
            runpy.run_path(asked.program, run_name="__main__")
        else:
            runpy.run_module(_PROGRAM, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - it is told, and the exit code says so
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Be the warden; the arguments: a socket's descriptor, the owner's process, and modules."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    # A test run's own settings for members would be everybody's.
    for name in [it for it in os.environ if it.startswith(("ETCD_", "ROOST_"))]:
        del os.environ[name]
    gc.disable()
    descriptor, owner, *loaded = sys.argv[1:]
    for name in loaded or [_LOADED]:
        import_module(name)
    gc.freeze()
    _Keeping(int(descriptor), int(owner)).serve()
