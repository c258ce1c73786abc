"""A learner: does what a tutorial says, in terminals, and finds there what it promises.

    ```python    a file, whose name is the comment in its first line
    ```diff      lines of the Python that was shown in `bank.py`, and what to put in their places
    ```console   one$ COMMAND      typed to the shell in terminal one
                 one> LINE         typed to the program that runs there; nothing = only look there
                 one^D             the end of that program's input
                 anything else     what that terminal says next; `...` is anything, a number of four
                                   digits is any number, the same one wherever it stands in the page

A terminal may say more between the lines.  Commands are waited for, but for `RUNS_ON`.
"""

import os
import pty
import queue
import re
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from roost.testing.processes import children_of

BLOCK = re.compile(r"```(python|diff|console)\n(.*?)```", re.DOTALL)
TYPED = re.compile(r"(one|two|three|four)(\$|>|\^D) ?(.*)")
RUNS_ON = ("python member.py", "roost serve", "roost watch")
ENDED = "the learner's command has ended: "
WAIT_S = 600.0


class Terminal:
    """A shell on a terminal of its own, whose lines are read by a thread."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        modes = termios.tcgetattr(theirs)
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(theirs, termios.TCSANOW, modes)
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "--noediting", "-i"],
            cwd=directory,
            env={**environment, "PS1": "", "VIRTUAL_ENV_DISABLE_PROMPT": "1", "TERM": "dumb"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.said: list[str] = []
        self._is_awaited = False

    def _read(self) -> None:
        left = b""
        while True:
            try:
                found = os.read(self._ours, 65_536)
            except OSError:  # a terminal whose last process has ended says so in this way
                self._lines.put(None)
                return
            *lines, left = (left + found).split(b"\n")
            for line in lines:
                self._lines.put(line.decode(errors="replace").rstrip("\r"))

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._ours, text.encode())

    def command(self, command: str) -> None:
        """Have the shell do it; `wait_end` waits until it is done."""
        self.type(f'{command}; echo "{ENDED}$?"\n')
        self._is_awaited = True

    def wait_end(self) -> None:
        """Wait for the last command, if nobody has."""
        if self._is_awaited:
            self.find(rf"{ENDED}\d+")
            self._is_awaited = False

    def find(self, pattern: str) -> re.Match[str]:
        """The next line that is like that."""
        end_s = time.monotonic() + WAIT_S
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, end_s - time.monotonic()))
            except queue.Empty:
                line = None
            self.said.append("and no more" if line is None else line)
            if line is not None and (found := re.fullmatch(pattern, line)):
                return found
            if line is None or line.startswith(ENDED):
                raise AssertionError("\n".join([f"nothing is like {pattern!r} in:", *self.said]))

    def close(self) -> None:
        """Kill all that runs there."""
        for pid in (*children_of(self._process.pid), self._process.pid):
            os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        os.close(self._ours)


class Learner:
    """Four terminals in one directory, and somebody who reads."""

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str],
        *,
        change: Callable[[str], str],
        instead: Mapping[str, Callable[[], None]],
    ) -> None:
        """`change` is done to what is saved; `instead` says what is done in place of commands."""
        self._directory = directory
        self._change = change
        self._instead = instead
        self.numbers: dict[str, str] = {}
        self.terminals = {
            it: Terminal(directory, environment) for it in ("one", "two", "three", "four")
        }

    def follow(self, page: str) -> None:
        """Do all of it."""
        for kind, text in BLOCK.findall(page):
            match kind:
                case "python":
                    name = text.split("\n", 1)[0].removeprefix("# ")
                    (self._directory / name).write_text(self._change(text))
                case "diff":
                    self._correct(self._directory / "bank.py", text)
                case _:
                    self._work(text)

    def _correct(self, path: Path, text: str) -> None:
        held = path.read_text()
        lines = [(it[0], it[1:]) for it in text.splitlines()]
        for (old_mark, old), (new_mark, new) in zip(lines[::2], lines[1::2], strict=True):
            assert (old_mark, new_mark) == ("-", "+")
            assert held.count(f"{old}\n") == 1, old
            held = held.replace(f"{old}\n", f"{new}\n")
        path.write_text(held)

    def _work(self, text: str) -> None:
        terminal = self.terminals["one"]
        for line in text.splitlines():
            typed = TYPED.fullmatch(line)
            if typed is None:
                self._expect(terminal, line)
                continue
            terminal.wait_end()
            terminal = self.terminals[typed[1]]
            match typed[2], typed[3]:
                case "$", command if command in self._instead:
                    self._instead[command]()
                case "$", command if command.startswith(RUNS_ON):
                    terminal.type(f"{command}\n")
                case "$", command:
                    terminal.command(command)
                case "^D", _:
                    terminal.type("\x04")
                case _, "":
                    pass
                case _, words:
                    terminal.type(f"{words}\n")
        terminal.wait_end()

    def _expect(self, terminal: Terminal, line: str) -> None:
        parts = re.split(r"(\.\.\.|\b\d{4}\b)", line)
        pattern, named = "", {}
        for part in parts:
            if part == "...":
                pattern += ".*"
            elif re.fullmatch(r"\d{4}", part) and part in self.numbers:
                pattern += self.numbers[part]
            elif re.fullmatch(r"\d{4}", part) and part in named:
                pattern += f"(?P=n{part})"
            elif re.fullmatch(r"\d{4}", part):
                named[part] = f"n{part}"
                pattern += rf"(?P<n{part}>\d+)"
            else:
                pattern += re.escape(part)
        found = terminal.find(pattern)
        self.numbers |= {number: found[name] for number, name in named.items()}

    def close(self) -> None:
        """Kill all that runs."""
        for it in self.terminals.values():
            it.close()
