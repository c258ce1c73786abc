"""Clusters of real processes to measure: Roost and etcd, started by the same flags; PySyncObj."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roost.testing.etcd import etcd_command
from roost.testing.ports import free_ports

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 60.0
QUOTA_BYTES = 8 << 30
STAT_BLOCK_BYTES = 512
ROOST = [sys.executable, "-m", "roost.cli", "serve"]


def wait(holds: Callable[[], bool], text: str, *, look_s: float) -> None:
    """Until it holds; who does not serve yet is asked again.

    Raises:
        TimeoutError: it does not, with `text`.

    """
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        try:
            if holds():
                return
        except (OSError, RuntimeError):
            pass  # it is being started
        time.sleep(look_s)
    raise TimeoutError(text)


@dataclass(slots=True)
class Cluster:
    """`size` members of one kind, on loopback, with their data in a directory of its own.

    With `is_tls` both ports have certificates, which each member makes for itself. `flags` are
    said besides.
    """

    kind: str
    size: int
    is_tls: bool = False
    flags: Mapping[str, str] = field(default_factory=dict)
    root: Any = field(default_factory=tempfile.TemporaryDirectory)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    _commands: list[list[str]] = field(default_factory=list)

    def start(self) -> None:
        """Start all members."""
        ports = free_ports(2 * self.size)
        self.ports = ports[: self.size]
        scheme = "https" if self.is_tls else "http"
        peers = [f"{scheme}://127.0.0.1:{port}" for port in ports[self.size :]]
        self._commands = [self._command(position, scheme, peers) for position in range(self.size)]
        self.processes = [self._start(position) for position in range(self.size)]

    def _command(self, position: int, scheme: str, peers: Sequence[str]) -> list[str]:
        client = f"{scheme}://127.0.0.1:{self.ports[position]}"
        peer = peers[position]
        flags = {
            "name": f"m{position}",
            "data-dir": str(self._data_dir(position)),
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": ",".join(f"m{number}={url}" for number, url in enumerate(peers)),
            "log-level": "error",
            # A million keys and what was written before them, for either.
            "quota-backend-bytes": str(QUOTA_BYTES),
        }
        if self.is_tls:
            flags |= {"auto-tls": "true", "peer-auto-tls": "true"}
        flags |= self.flags
        command = etcd_command() if self.kind == "etcd" else ROOST
        return [*command, *(f"--{key}={value}" for key, value in flags.items())]

    def _data_dir(self, position: int) -> Path:
        return Path(self.root.name) / f"m{position}"

    def _start(self, position: int) -> subprocess.Popen[bytes]:
        with Path(f"{self._data_dir(position)}.log").open("ab") as log:
            return subprocess.Popen(self._commands[position], stdout=log, stderr=log)

    def end_member(self, position: int) -> None:
        """Ask one member to end, and wait until it has.

        Raises:
            subprocess.TimeoutExpired: it has not.

        """
        self.processes[position].terminate()
        self.processes[position].wait(END_TIMEOUT_S)

    def start_member(self, position: int) -> None:
        """Start a member again that was ended."""
        self.processes[position] = self._start(position)

    def disk_bytes(self) -> int:
        """What the files of all members take on the disk."""
        held = (it for it in Path(self.root.name).rglob("*") if it.is_file())
        return sum(it.stat().st_blocks for it in held) * STAT_BLOCK_BYTES

    def cpu_seconds(self) -> float:
        """Processor time of all members and their children so far."""
        return cpu_seconds(process.pid for process in self.processes)

    def rss_bytes(self) -> int:
        """Resident memory of all members and their children."""
        return rss_bytes(process.pid for process in self.processes)

    def stop(self) -> None:
        """End all members; their data goes with them."""
        _end(self.processes)
        self.root.cleanup()


class Told:
    """A process of this interpreter that is told what to do by lines, and answers each with one."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start a module with its arguments."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.pid = self._process.pid

    def ask(self, line: str) -> str:
        """Tell it a line; return its answer.

        Raises:
            RuntimeError: it has ended.

        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        print(line, file=process.stdin, flush=True)
        answer = process.stdout.readline().strip()
        if not answer:
            raise RuntimeError(f"a process ended with status {process.wait()}")
        return answer

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


@dataclass(slots=True)
class ToldCluster:
    """`size` members in processes of their own, each told what to do by lines."""

    size: int = 3
    root: Any = field(default_factory=tempfile.TemporaryDirectory)
    processes: list[Told] = field(default_factory=list)

    def command(self, address: str, peers: Sequence[str]) -> list[str]:
        """How a member is started."""
        raise NotImplementedError

    def start(self) -> None:
        """Start all members."""
        addresses = [f"127.0.0.1:{port}" for port in free_ports(self.size)]
        for address in addresses:
            command = self.command(address, [it for it in addresses if it != address])
            self.processes.append(Told(command))

    def find_leader(self) -> int:
        """The leader's position, once there is one."""
        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until:
            for position in range(self.size):
                if self.ask(position, "leads") == "yes":
                    return position
        raise RuntimeError("no member leads")

    def ask(self, position: int, line: str) -> str:
        """Tell one member a line; return its answer."""
        return self.processes[position].ask(line)

    def stop(self) -> None:
        """End all members; their data goes with them."""
        for it in self.processes:
            it.end()
        self.root.cleanup()

    def place(self, address: str) -> str:
        """Where a member keeps what it has."""
        return f"{self.root.name}/{address.rpartition(':')[2]}"


@dataclass(slots=True)
class PySyncObjCluster(ToldCluster):
    """Members of a PySyncObj replicated dictionary; `mode`: see `pysyncobj_member`."""

    mode: str = "batched"

    def command(self, address: str, peers: Sequence[str]) -> list[str]:
        """See `pysyncobj_member`."""
        return ["bench.pysyncobj_member", self.mode, self.place(address), address, *peers]


@dataclass(slots=True)
class ObjectsCluster(ToldCluster):
    """Members of ours whose program has a replicated dictionary."""

    def command(self, address: str, peers: Sequence[str]) -> list[str]:
        """See `objects_member`."""
        return ["bench.objects_member", self.place(address), address, *peers]


@dataclass(slots=True)
class OperationsCluster(ToldCluster):
    """Members of ours whose program runs operations; `how`: see `operations_process`."""

    how: str = "await"

    def command(self, address: str, peers: Sequence[str]) -> list[str]:
        """See `operations_process`."""
        return ["bench.operations_process", self.how, self.place(address), address, *peers]


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time of processes and their children so far."""
    total = 0
    for root in pids:
        for pid in (root, *_children(root)):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / CLOCK_TICKS


def rss_bytes(pids: Iterable[int], kind: str = "VmRSS") -> int:
    """Resident memory of processes and their children; of `kind`, as `/proc/PID/status` has it.

    What is mapped of files is in it for each that maps it; "RssAnon" is what is nobody else's.
    """
    total = 0
    for root in pids:
        for pid in (root, *_children(root)):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith(f"{kind}:"):
                    total += int(line.split()[1]) * 1024
    return total


def _end(processes: Sequence[subprocess.Popen[Any]]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()


def _children(pid: int) -> list[int]:
    """Those of all its threads: a member on a thread has its keeper there."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for it in lists for child in it.read_text().split()]
