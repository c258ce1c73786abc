"""Where rows are played: three members of one kind, what they are seen to be, and who looks on.

A `Lookout` asks the members for their term, again and again; memory is what the kernel says of the
leader's processes, and its peak what it says since it was told to forget.
"""

import json
import logging
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from roost.proto import rpc_pb2
from roost.sim.linearizability import Verdict
from roost.testing.cluster import ROOST, Cluster
from roost.testing.etcd import etcd_command
from roost.testing.patience import PATIENCE_S, wait_until
from roost.testing.pressure.target import Target
from roost.testing.processes import children_of

logger = logging.getLogger(__name__)
MEMBERS = 3
LOOK_S = 0.2
KINDS = ("roost", "etcd")
# Room for all that rows write and delete, in either.
_QUOTA_BYTES = 8 << 30
_HISTORY_MAX = 1_000_000
# How long a member may be held before nobody looks on any more.
_BUSY_S_MAX = 300.0
# What is short is seen by so many puts at least, since one of few says nothing of one in a hundred.
PUTS_MIN = 100


def arena(kind: str, root: Path) -> Cluster:
    """Members of a kind, not started."""
    command = ROOST if kind == "roost" else etcd_command()
    root.mkdir(parents=True)
    level = "info" if kind == "roost" else "error"  # ours says why a leader changed
    flags = [f"--quota-backend-bytes={_QUOTA_BYTES}", f"--log-level={level}"]
    return Cluster(root, MEMBERS, command=command, extra_flags=flags)


class Lookout:
    """Sees terms change, on a thread of its own."""

    def __init__(self, cluster: Cluster) -> None:
        """Look at once, and until `stop`."""
        self._channels = [grpc.insecure_channel(it) for it in cluster.endpoints]
        self._methods = [
            it.unary_unary(
                "/etcdserverpb.Maintenance/Status",
                request_serializer=rpc_pb2.StatusRequest.SerializeToString,
                response_deserializer=rpc_pb2.StatusResponse.FromString,
            )
            for it in self._channels
        ]
        # When a term was seen first.
        self.terms: dict[int, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)
        self._thread.start()

    def _look_on(self) -> None:
        while not self._over.wait(LOOK_S):
            self.look()

    def look(self) -> None:
        """Ask all that answer."""
        for it in self._methods:
            with suppress(grpc.RpcError):
                status = it(rpc_pb2.StatusRequest(), timeout=1)
                self.terms.setdefault(status.raftTerm, time.monotonic())

    def changes_since(self, began_s: float) -> int:
        """How many terms began after a moment."""
        return sum(at > began_s for at in self.terms.values())

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()
        for it in self._channels:
            it.close()


@dataclass(slots=True)
class Memory:
    """Memory of a member's processes, in bytes."""

    pids: list[int]
    resident: int = 0

    @classmethod
    def of(cls, pid: int) -> "Memory":
        """From now on; the peak begins anew."""
        held = cls([pid, *children_of(pid)])
        for it in held.pids:
            with suppress(OSError):
                Path(f"/proc/{it}/clear_refs").write_text("5")
        held.resident = held._sum("VmRSS:")
        return held

    @property
    def peak(self) -> int:
        """The most there was since then."""
        return self._sum("VmHWM:")

    def _sum(self, name: str) -> int:
        total = 0
        for it in self.pids:
            with suppress(OSError):
                for line in Path(f"/proc/{it}/status").read_text().splitlines():
                    if line.startswith(name):
                        total += int(line.split()[1]) << 10
        return total


@dataclass(slots=True)
class Seen:
    """What the other client saw: when each put began, and how long it took, in seconds."""

    began: "array[float]" = field(default_factory=lambda: array("d"))
    took: "array[float]" = field(default_factory=lambda: array("d"))
    errors: int = 0
    judged: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)

    def take(self, line: str) -> None:
        """Take a line of it; full, nothing more is kept, so campaigns must be shorter than that."""
        kind, *words = line.split()
        if kind == "put":
            if len(self.began) < _HISTORY_MAX:
                self.began.append(float(words[0]))
                self.took.append(float(words[1]))
            self.errors += int(words[2])
        else:
            self.judged += int(words[0])
            self.verdicts[words[1]] = self.verdicts.get(words[1], 0) + 1

    def between(self, began_s: float, ended_s: float) -> list[float]:
        """Sorted, how long those took that were under way in that time, and some after it."""
        pairs = zip(self.began, self.took, strict=False)  # one more of the first for a moment
        since = [(at, took) for at, took in pairs if at + took >= began_s]
        during = sum(at <= ended_s for at, _ in since)
        return sorted(took for _, took in since[: max(during, PUTS_MIN)])

    @property
    def verdict(self) -> str:
        """The worst there was."""
        for it in (Verdict.NOT_LINEARIZABLE, Verdict.UNKNOWN, Verdict.LINEARIZABLE):
            if it.name in self.verdicts:
                return str(it.value)
        return ""


@contextmanager
def bystander(target: Target, *, judges: bool) -> Iterator[Seen]:
    """Have another client put while the block runs; its last words are read in the end."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "roost.testing.pressure.bystander",
            *target.endpoints,
            *(["--judge"] if judges else []),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    seen = Seen()
    reader = threading.Thread(target=_take_lines, args=(process, seen))
    reader.start()
    assert process.stdin is not None, "it was asked for"
    try:
        wait_until(lambda: len(seen.took) > 0 or process.poll() is not None)
        yield seen
        # Whatever was held by the end of the row is seen to end, too.
        wanted = len(seen.took) + PUTS_MIN
        wait_until(lambda: len(seen.took) > wanted, _BUSY_S_MAX)
        process.stdin.close()
        process.wait(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
        reader.join()


def _take_lines(process: "subprocess.Popen[str]", seen: Seen) -> None:
    assert process.stdout is not None, "it was asked for"
    with process.stdout:
        for line in process.stdout:
            seen.take(line)


@dataclass(slots=True)
class Played:
    """What an act told of itself; moments in seconds of the machine's clock.

    There are facts, or an `error` that says why not.
    """

    row: str
    began_s: float = 0.0
    ended_s: float = 0.0
    times: int = 0
    error: str = "it has told nothing"
    facts: dict[str, float] = field(default_factory=dict)

    def take(self, ended_s: float, error: str, facts: dict[str, float]) -> None:
        """The act has ended once more; what has failed once has failed."""
        self.times += 1
        self.ended_s = ended_s
        self.began_s = self.began_s or ended_s
        said = error or ("" if facts else "it told no facts")
        self.error = said if self.times == 1 else self.error or said
        self.facts = facts


class Actor:
    """A process that plays a row."""

    def __init__(
        self,
        row: str,
        target: Target,
        *,
        for_s: float = 0.0,
        on_begin: Callable[[], None] = lambda: None,
    ) -> None:
        """Start it; `on_begin` is called, on a thread, when the act itself begins."""
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from roost.children import run; run()",
                "roost.testing.pressure.act",
                row,
                target.encoded(),
                *([str(for_s)] if for_s else []),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.played = Played(row)
        self._on_begin = on_begin
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None, "it was asked for"
        played = self.played
        with self._process.stdout:
            for line in self._process.stdout:
                told = json.loads(line)
                if "ended" in told:
                    played.take(told["ended"], told["error"], told["facts"])
                elif not played.times:
                    played.began_s = told["began"]
                    self._on_begin()

    def wait(self) -> Played:
        """What it did, once it has."""
        code = self._process.wait()
        self._reader.join()
        assert self._process.stdin is not None, "it was asked for"
        self._process.stdin.close()
        if not self.played.times:
            self.played.error = f"it ended with {code}, and told nothing"
            self.played.ended_s = time.monotonic()
            self.played.began_s = self.played.began_s or self.played.ended_s
        return self.played

    def end(self) -> None:
        """End it at once."""
        self._process.kill()
        self.wait()
