"""A cluster of real processes: started by etcd's flags, killed and restarted by their ids."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

import grpc

from roost.proto import rpc_pb2
from roost.testing.patience import PATIENCE_S, wait_until
from roost.testing.ports import free_ports
from roost.testing.processes import children_of, processes_about
from roost.testing.warden import Start, Ward, shared_warden

# A new interpreter for each member, for what has to do with the process itself.
ROOST = (sys.executable, "-m", "roost.cli", "serve")


class NotReadyError(Exception):
    """A member did not serve in time; the text has the end of its log."""


class Process(Protocol):
    """What is known of a member's process; a `subprocess.Popen` is one."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class Cluster:
    """`size` members on loopback, each with its data below `root`.

    Without a `command` they are forks of one process that has Roost loaded (`warden`): a member
    then costs a tenth of what a new interpreter does.  Such a fork may run another
    `program` than `roost`: a file that calls the same `main()` in the end.
    """

    def __init__(
        self,
        root: Path,
        size: int,
        *,
        command: Sequence[str] = (),
        extra_flags: Sequence[str] = (),
        has_own_groups: bool = False,
        program: Path | None = None,
    ) -> None:
        """Nothing runs before `start`; members may lead process groups of their own."""
        self.root = root
        self.size = size
        self._command = list(command)
        self._extra_flags = list(extra_flags)
        assert not (command and program), "a command is one"
        self._program = program
        self._has_own_groups = has_own_groups
        ports = free_ports(2 * size)
        self.client_ports, self.peer_ports = ports[:size], ports[size:]
        self._processes: dict[int, Process] = {}
        self._first_size = size

    def __enter__(self) -> Self:
        for position in range(self.size):
            self.start(position)
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop_all()

    @property
    def endpoints(self) -> list[str]:
        """Client addresses, by position."""
        return [f"127.0.0.1:{port}" for port in self.client_ports]

    @property
    def running(self) -> list[int]:
        """Positions of members whose process is alive."""
        return [it for it, process in self._processes.items() if process.poll() is None]

    def flags(self, position: int) -> list[str]:
        """The command line of one member, without the program."""
        names = [f"m{it}" for it in range(self.size)]
        peers = [f"http://127.0.0.1:{port}" for port in self.peer_ports]
        client = f"http://127.0.0.1:{self.client_ports[position]}"
        cluster = ",".join(f"{name}={url}" for name, url in zip(names, peers, strict=True))
        return [
            f"--name={names[position]}",
            f"--data-dir={self.root / names[position]}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peers[position]}",
            f"--initial-advertise-peer-urls={peers[position]}",
            f"--initial-cluster={cluster}",
            f"--initial-cluster-state={'new' if position < self._first_size else 'existing'}",
            *self._extra_flags,
        ]

    def grow(self) -> int:
        """Have one more member, to be added and then started; return its position."""
        client, peer = free_ports(2)
        self.client_ports.append(client)
        self.peer_ports.append(peer)
        self.size += 1
        return self.size - 1

    def peer_url(self, position: int) -> str:
        """Where a member's peers reach it."""
        return f"http://127.0.0.1:{self.peer_ports[position]}"

    def start(self, position: int, *more_flags: str) -> Process:
        """Start one member; it need not serve yet when this returns."""
        process = self._start([*self.flags(position), *more_flags], self.log_path(position))
        self._processes[position] = process
        return process

    def _start(self, flags: list[str], log_path: Path) -> Process:
        if not self._command:
            warden = shared_warden()
            asked = Start(
                ["serve", *flags],
                str(log_path),
                program=None if self._program is None else str(self._program),
                has_own_group=self._has_own_groups,
            )
            return Ward(warden, warden.start_as(asked))
        with log_path.open("ab") as log:
            return subprocess.Popen(
                [*self._command, *flags],
                stdout=log,
                stderr=log,
                process_group=0 if self._has_own_groups else None,
            )

    def log_path(self, position: int) -> Path:
        """Where a member's output goes."""
        return self.root / f"m{position}.log"

    def log_end(self, position: int) -> str:
        """The last lines a member wrote."""
        return self.log_path(position).read_text(errors="replace")[-3000:]

    def process(self, position: int) -> Process:
        """The process of a member."""
        return self._processes[position]

    def kill(self, *positions: int) -> None:
        """SIGKILL the members at `positions`, all at once, and wait for their end."""
        for position in positions:
            self._processes[position].send_signal(signal.SIGKILL)
        for position in positions:
            self._processes[position].wait()

    def stop(self, position: int) -> int:
        """Ask a member to stop; return its exit code."""
        self._processes[position].terminate()
        return self._processes[position].wait(timeout=PATIENCE_S)

    def stop_all(self) -> None:
        """End every process."""
        for process in self._processes.values():
            if process.poll() is None:
                # A tracer's death lets go of the member that it traces; the member's ends both.
                for pid in children_of(process.pid) if self._command else ():
                    os.kill(pid, signal.SIGKILL)
                process.kill()
        for process in self._processes.values():
            process.wait()

    def status(self, position: int) -> rpc_pb2.StatusResponse:
        """What a member says of itself, as soon as it answers.

        Raises:
            NotReadyError: it does not in time.

        """
        said: list[rpc_pb2.StatusResponse] = []

        def answers() -> bool:
            said.extend(filter(None, [self.status_now(position)]))
            return bool(said)

        try:
            wait_until(answers)
        except TimeoutError as error:
            text = f"m{position} says nothing\n{self.log_end(position)}"
            raise NotReadyError(text) from error
        return said[0]

    def keeper(self, position: int) -> int:
        """The process that writes the store of a running member."""
        member = self.process(position).pid
        found: set[int] = set()

        def is_there() -> bool:
            found.update(set(children_of(member)) & set(processes_about("-m roost.store ")))
            return bool(found)

        wait_until(is_there)
        (keeper,) = found
        return keeper

    def status_now(self, position: int) -> rpc_pb2.StatusResponse | None:
        """What a member says of itself; None when it does not answer within a second."""
        with grpc.insecure_channel(self.endpoints[position]) as channel:
            method = channel.unary_unary(
                "/etcdserverpb.Maintenance/Status",
                request_serializer=rpc_pb2.StatusRequest.SerializeToString,
                response_deserializer=rpc_pb2.StatusResponse.FromString,
            )
            try:
                answer = method(rpc_pb2.StatusRequest(), timeout=1)
            except grpc.RpcError:
                return None
            assert isinstance(answer, rpc_pb2.StatusResponse), "the deserializer made it"
            return answer

    def leader(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait until a running member leads; return its position.

        Raises:
            NotReadyError: none does in time.

        """
        found: list[int] = []

        def is_found() -> bool:
            found.extend(it for it in self.running if not found and self._leads(it))
            return bool(found)

        try:
            wait_until(is_found, timeout_s)
        except TimeoutError:
            logs = "\n".join(f"m{it}:\n{self.log_end(it)}" for it in range(self.size))
            raise NotReadyError(f"no leader within {timeout_s} s\n{logs}") from None
        return found[0]

    def _leads(self, position: int) -> bool:
        answer = self.status_now(position)
        return answer is not None and answer.leader == answer.header.member_id
