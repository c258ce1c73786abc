"""Three processes of an example that are members together, told by lines, and killed."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from roost.testing.patience import wait_until
from roost.testing.ports import free_ports
from roost.testing.processes import children_of, is_there

T = TypeVar("T")


def asked_until(ask: Callable[[], T], is_good: Callable[[T], bool]) -> T:
    """The first answer that is good; it is asked for again and again."""
    answers: list[T] = []

    def is_there() -> bool:
        answers.append(ask())
        return is_good(answers[-1])

    wait_until(is_there)
    return answers[-1]


class Told:
    """One process of an example; its errors are in NAME.log."""

    def __init__(self, example: Path, root: Path, name: str, before: list[str], members: list[str]):
        self._log = root / f"{name}.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(example), *before, f"{name}.data", name, *members],
                cwd=root,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)

    def hear(self) -> str:
        """The next line that it says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._log.read_text()
        return line.rstrip("\n")

    def ask(self, line: str) -> str:
        self.tell(line)
        return self.hear()

    def ask_surely(self, line: str, again: tuple[str, ...] = ("no: ",)) -> str:
        """Again while nobody leads, which answers that begin with `again` say."""
        return asked_until(lambda: self.ask(line), lambda it: not it.startswith(again))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def end(self) -> int:
        """Let it end with its input; its exit code, when nothing of it runs any more."""
        assert self._process.stdin is not None
        children = children_of(self._process.pid)
        self._process.stdin.close()
        code = self._process.wait(120)
        wait_until(lambda: not any(map(is_there, children)))
        return code

    def forget(self) -> None:
        """Kill it, and close what leads to it."""
        self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()


class ThreeTold:
    """By their names, `m1`, `m2` and `m3`; `before` is what an example is given before its data."""

    def __init__(self, example: Path, root: Path, before: dict[str, list[str]]) -> None:
        self._example, self._root, self._before = example, root, before
        ports = zip(("m1", "m2", "m3"), free_ports(3), strict=True)
        self._members = [f"{name}=127.0.0.1:{port}" for name, port in ports]
        self._told = {it: self._start(it) for it in ("m1", "m2", "m3")}

    def __getitem__(self, name: str) -> Told:
        return self._told[name]

    def _start(self, name: str) -> Told:
        before = self._before.get(name, [])
        return Told(self._example, self._root, name, before, self._members)

    def restart(self, name: str) -> Told:
        """Have it run again after a kill."""
        self._told[name].forget()
        self._told[name] = self._start(name)
        return self._told[name]

    def others(self, name: str) -> list[Told]:
        return [it for key, it in self._told.items() if key != name]

    def forget(self) -> None:
        for it in self._told.values():
            it.forget()


@contextmanager
def three_told(
    example: Path, root: Path, before: dict[str, list[str]] | None = None
) -> Iterator[ThreeTold]:
    """Three processes, killed at the end."""
    found = ThreeTold(example, root, before or {})
    try:
        yield found
    finally:
        found.forget()
