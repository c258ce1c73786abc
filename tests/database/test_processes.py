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
    "is told to stop, and has not said what then": (
        "os.kill(os.getpid(), signal.SIGTERM)",
        -signal.SIGTERM,
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


WAITS = """
import signal, sys, roost
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
with roost.open(sys.argv[1]) as db:
    db.tree("t")[b"a"] = b"1"
    with db.observe("t", since=0) as changes:
        for change in changes:
            if isinstance(change, roost.Change):
                print("waits", flush=True)
"""
WAITS_ON_A_LOOP = """
import asyncio, signal, sys, roost, roost.aio
async def main():
    stop = asyncio.current_task().cancel
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    async with roost.aio.open(sys.argv[1]) as db:
        await db.tree("t").put(b"a", b"1")
        async with db.observe("t", since=0) as changes:
            async for change in changes:
                if isinstance(change, roost.Change):
                    print("waits", flush=True)
try:
    asyncio.run(main())
except asyncio.CancelledError:
    pass
"""
SAYS_WHAT_IS_CLOSED = """
from roost.member import Member
stop = Member.stop
async def told(member):
    await stop(member)
    print("stopped", flush=True)
Member.stop = told
"""


@pytest.mark.slow
@pytest.mark.parametrize("text", [WAITS, WAITS_ON_A_LOOP], ids=["thread", "loop"])
def test_a_program_that_says_so_leaves_its_block_when_it_is_told_to_stop(
    text: str, tmp_path: Path
) -> None:
    """As the page on embedding has it: wherever it waits, in a loop over changes as well."""
    command = [sys.executable, "-c", SAYS_WHAT_IS_CLOSED + text, str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"waits\n"
        process.send_signal(signal.SIGTERM)
        try:
            said, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, said, said_by(errors.decode())) == (0, b"stopped\n", "")
    with roost.open(tmp_path / "data") as db:
        assert db.tree("t")[b"a"] == b"1"


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
