"""Programs that end as programs do, and members that are killed: nothing is left, or lost."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import roost
from roost.testing.patience import wait_until
from roost.testing.ports import free_ports
from roost.testing.processes import children_of, is_there
from tests.database.said import said_by

OPENS = """
import os, signal, sys, roost
from roost.testing.processes import children_of
db = roost.open(sys.argv[1])
tree = db.tree("t")
tree[b"a"] = b"1"
print(*children_of(os.getpid()), flush=True)
"""
ENDINGS = {
    "falls off its end": ("", 0),
    "raises": ("raise SystemExit(7)", 7),
    "is in the middle of a block": (
        "txn = db.transaction().__enter__(); txn.tree('t')[b'b'] = b''",
        0,
    ),
    "is killed": ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", ENDINGS)
def test_nothing_runs_on_when_a_program_ends_without_a_close(how: str, tmp_path: Path) -> None:
    ending, code = ENDINGS[how]
    done = subprocess.run(
        [sys.executable, "-c", OPENS + ending, str(tmp_path / "data")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, said_by(done.stderr)) == (code, "")
    children = [int(it) for it in done.stdout.split()]
    assert children, "the keeper was there"
    wait_until(lambda: not any(map(is_there, children)))
    with roost.open(tmp_path / "data") as db:
        assert list(db.tree("t").items()) == [(b"a", b"1")]


class Program:
    """One program with a member in it."""

    def __init__(
        self,
        root: Path,
        name: str,
        members: dict[str, str],
        module: str = "tests.database.counting_member",
    ) -> None:
        given = {"path": str(root / name), "name": name, "members": members}
        self.members = members
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        print(line, file=self.process.stdin, flush=True)

    def ask(self, line: str) -> Any:
        assert self.process.stdout is not None
        self.tell(line)
        return json.loads(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def forget(self) -> None:
        """Kill it, and close what leads to it."""
        self.kill()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()

    def end(self) -> int:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        return self.process.wait(60)


@contextmanager
def three_programs(root: Path, *module: str) -> Iterator[dict[str, Program]]:
    """Programs that are a cluster together, by name; `module` is what they run, if not ours."""
    members = {f"m{it}": f"127.0.0.1:{port}" for it, port in enumerate(free_ports(3))}
    found = {name: Program(root, name, members, *module) for name in members}
    try:
        yield found
    finally:
        for it in found.values():
            it.forget()


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[dict[str, Program]]:
    with three_programs(tmp_path) as found:
        yield found


@pytest.mark.slow
@pytest.mark.cluster
def test_a_count_is_kept_by_three_programs_whoever_is_killed(
    programs: dict[str, Program], tmp_path: Path
) -> None:
    added = 0
    for name in ("m0", "m1", "m2"):
        added += 1
        assert programs[name].ask(f"add key{added}") == added
    members = programs["m0"].members
    for _ in range(2):
        leader = programs["m1"].ask("leader")
        programs[leader].kill()
        for name, it in programs.items():
            if name != leader:
                added += 1
                assert it.ask(f"add key{added}") == added
                assert it.ask(f"add key{added}") == added, "asked again, it is answered again"
        programs[leader].forget()
        programs[leader] = Program(tmp_path, leader, members)
        assert programs[leader].ask("read") == added
    children = [child for it in programs.values() for child in children_of(it.process.pid)]
    assert [it.end() for it in programs.values()] == [0, 0, 0]
    wait_until(lambda: not any(map(is_there, children)))


@pytest.mark.slow
def test_what_was_in_memory_is_gone_with_its_program(tmp_path: Path) -> None:
    asked = (
        "import roost; db = roost.open(None); db.tree('t')[b'a'] = b'1';"
        "print(db._inner._embedded.member.config.data_dir)"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, timeout=60, check=True
    )
    assert said_by(done.stderr) == ""
    directory = Path(done.stdout.strip())
    assert directory.name == "data"
    assert not directory.parent.exists()
