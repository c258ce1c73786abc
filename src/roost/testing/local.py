"""Members on this machine for tests of other people's programs: `LocalMember`, `LocalCluster`.

They are real processes of `roost serve`, which a warden starts and ends (`warden`), on ports of
127.0.0.1 that were free.  Members of a cluster reach each other through doors that can be shut
(`switch`).  Data lies below a directory of the caller's; a killed member has what was on the disk,
as after any kill.  Clients are served in the clear, and so do members talk.

A member is asked by HTTP, so that whoever only uses this loads no gRPC.
"""

import http.client
import json
import signal
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roost.member.cluster.roster import member_id_of
from roost.testing.patience import PATIENCE_S, wait_until
from roost.testing.ports import free_ports
from roost.testing.switch import Door, Switch
from roost.testing.warden import Warden, WardenError

if TYPE_CHECKING:
    from roost.client import Client

# As short as a busy machine allows, so that a test need not wait long for a new leader.
_MANNERS = ("--heartbeat-interval=50", "--election-timeout=500", "--snapshot-count=1000")
_TOKEN = "etcd-cluster"  # noqa: S105 - a name
_ASK_S = 1.0
_LOG_CHARACTERS = 3000


def _doors(ports: Sequence[int]) -> list[Door]:
    half = len(ports) // 2
    return [Door(said, true) for said, true in zip(ports[:half], ports[half:], strict=True)]


class NotReady(Exception):
    """A member does not serve, or nobody leads; the text has the end of the logs."""


class Being(Enum):
    """What a member's process does."""

    ENDED = "ended"
    RUNNING = "running"
    PAUSED = "paused"


class LocalMember:
    """One member, in a process of its own."""

    def __init__(
        self,
        warden: Warden,
        directory: Path,
        name: str,
        *,
        client_port: int,
        door: Door,
        initial_cluster: str,
        flags: Sequence[str] = (),
    ) -> None:
        """Nothing runs before `start`; peers are told of the door."""
        self._warden = warden
        self.name = name
        self.data_dir = directory / name
        self.log_path = directory / f"{name}.log"
        self.endpoint = f"127.0.0.1:{client_port}"
        self.url = f"http://{self.endpoint}"
        self._flags = [
            "serve",
            f"--name={name}",
            f"--data-dir={self.data_dir}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls=http://127.0.0.1:{door.true_port}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{door.said_port}",
            f"--initial-cluster={initial_cluster}",
            *_MANNERS,
            *flags,
        ]
        self._pid = 0
        self._is_paused = False

    @property
    def being(self) -> Being:
        """Whether its process runs."""
        if not self._pid or self._warden.code(self._pid) is not None:
            return Being.ENDED
        return Being.PAUSED if self._is_paused else Being.RUNNING

    @property
    def pid(self) -> int:
        """Its process; 0 before the first start."""
        return self._pid

    def start(self) -> None:
        """Start its process; it need not serve yet when this returns.

        Raises:
            WardenError: it runs already, or cannot be started.

        """
        if self.being is not Being.ENDED:
            raise WardenError(f"{self.name} runs already")
        self._is_paused = False
        self._pid = self._warden.start(self._flags, self.log_path)

    def kill(self) -> None:
        """End it at once, with SIGKILL; what it acknowledged is on its disk."""
        if self.being is not Being.ENDED:
            self._warden.send_signal(self._pid, signal.SIGKILL)
            self._warden.end_of(self._pid)

    def stop(self) -> int:
        """Ask it to end in order; its exit code.

        Raises:
            TimeoutError: it does not end.

        """
        self.resume()
        if self.being is Being.RUNNING:
            self._warden.send_signal(self._pid, signal.SIGTERM)
        return self._warden.end_of(self._pid)

    def pause(self) -> None:
        """Stop its process as a debugger or a hypervisor would; its connections stay."""
        if self.being is Being.RUNNING:
            self._warden.send_signal(self._pid, signal.SIGSTOP)
            self._is_paused = True

    def resume(self) -> None:
        """Let a paused process go on."""
        if self.being is Being.PAUSED:
            self._warden.send_signal(self._pid, signal.SIGCONT)
            self._is_paused = False

    def restart(self) -> None:
        """End it in order if it runs, start it, and wait until it serves."""
        if self.being is not Being.ENDED:
            self.stop()
        self.start()
        self.wait_ready()

    def wait_ready(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait until it serves clients, and knows a leader.

        Raises:
            NotReady: it does not in time, or has ended.

        """

        def knows_a_leader() -> bool:
            if self.being is Being.ENDED:
                raise NotReady(f"{self.name} has ended\n{self.log_end()}")
            status = self.status()
            return status is not None and int(status.get("leader", 0)) != 0

        try:
            wait_until(knows_a_leader, timeout_s)
        except TimeoutError as error:
            text = f"{self.name} knows no leader within {timeout_s} s\n{self.log_end()}"
            raise NotReady(text) from error

    def status(self) -> dict[str, Any] | None:
        """What the gateway says of its `Maintenance.Status`; None when it does not answer."""
        connection = http.client.HTTPConnection(self.endpoint, timeout=_ASK_S)
        try:
            connection.request("POST", "/v3/maintenance/status", b"{}")
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        if answer.status != http.client.OK:
            return None
        said: dict[str, Any] = json.loads(body)
        return said

    def client(self, **options: Any) -> "Client":
        """A client of this member alone; whoever gets it closes it, as by `with`."""
        from roost.client import Client

        return Client(self.endpoint, **options)

    def log_end(self) -> str:
        """The last lines that it wrote."""
        if not self.log_path.exists():
            return ""
        return self.log_path.read_text(errors="replace")[-_LOG_CHARACTERS:]


class LocalCluster(Sequence[LocalMember]):
    """Members that are each other's peers; use it as a context manager, or close it.

    Members are named by their positions, from 0; each is there as `cluster[position]`, too.
    """

    def __init__(
        self, warden: Warden, directory: Path, size: int, *, flags: Sequence[str] = ()
    ) -> None:
        """Start `size` members below `directory`; they need not serve yet.

        Raises:
            WardenError, OSError: one cannot be started, or there are no ports.

        """
        directory.mkdir(parents=True, exist_ok=True)
        ports = free_ports(3 * size)
        clients, doors = ports[:size], _doors(ports[size:])
        urls = [f"http://127.0.0.1:{it.said_port}" for it in doors]
        ids = {member_id_of((url,), _TOKEN): position for position, url in enumerate(urls)}
        self._switch = Switch(doors, ids)
        cluster = ",".join(f"m{position}={url}" for position, url in enumerate(urls))
        self._members = [
            LocalMember(
                warden,
                directory,
                f"m{position}",
                client_port=client,
                door=door,
                initial_cluster=cluster,
                flags=[f"--initial-cluster-token={_TOKEN}", *flags],
            )
            for position, (client, door) in enumerate(zip(clients, doors, strict=True))
        ]
        try:
            for member in self._members:
                member.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "LocalCluster":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, position: int) -> LocalMember:  # type: ignore[override] # nobody slices
        return self._members[position]

    def __iter__(self) -> Iterator[LocalMember]:
        return iter(self._members)

    @property
    def endpoints(self) -> list[str]:
        """Where clients are served, by position."""
        return [it.endpoint for it in self._members]

    def client(self, **options: Any) -> "Client":
        """A client of all members; whoever gets it closes it, as by `with`."""
        from roost.client import Client

        return Client(self.endpoints, **options)

    @property
    def leader(self) -> int:
        """The position of the member that leads, as soon as one does.

        Raises:
            NotReady: none does in time.

        """
        found: list[int] = []

        def is_found() -> bool:
            found.extend(self._leading())
            return bool(found)

        try:
            wait_until(is_found)
        except TimeoutError as error:
            raise NotReady(f"nobody leads\n{self._logs()}") from error
        return found[0]

    def _leading(self) -> list[int]:
        """Who says that it leads, in the highest term: one that was cut off may still say so."""
        terms: dict[int, int] = {}
        for position, member in enumerate(self._members):
            if member.being is Being.RUNNING and (said := member.status()) is not None:
                header = said["header"]
                if said.get("leader", "0") == header["member_id"]:
                    terms[position] = int(said["raftTerm"])
        highest = max(terms.values(), default=0)
        return [it for it, term in terms.items() if term == highest]

    def wait_ready(self) -> None:
        """Wait until each running member serves, and knows a leader.

        Raises:
            NotReady: one does not in time.

        """
        for member in self._members:
            if member.being is Being.RUNNING:
                member.wait_ready()

    def kill(self, *positions: int) -> None:
        """End members at once, with SIGKILL."""
        for position in positions:
            self._members[position].kill()

    def pause(self, position: int) -> None:
        """Stop a member's process; `resume`, `restart` and `heal` let it go on."""
        self._members[position].pause()

    def resume(self, position: int) -> None:
        """Let a paused member go on."""
        self._members[position].resume()

    def restart(self, position: int) -> None:
        """Start a member again, in order if it runs, and wait until it serves and knows a leader.

        Raises:
            NotReady: it does not in time; without a majority nobody does.

        """
        self._members[position].restart()

    def cut(self, a: int, b: int) -> None:
        """Let nothing pass between two members; clients still reach both.

        Raises:
            IndexError: there are no such two.

        """
        if a == b or not all(0 <= it < len(self) for it in (a, b)):
            raise IndexError(f"members {a} and {b} of {len(self)}: two of them can be cut")
        self._switch.cut(a, b)

    def isolate(self, position: int) -> None:
        """Cut a member from all others."""
        for other in range(len(self)):
            if other != position:
                self.cut(position, other)

    def heal(self) -> None:
        """Undo every cut, and let paused members go on."""
        self._switch.heal()
        for member in self._members:
            member.resume()

    def close(self) -> None:
        """End every member and every link."""
        self.kill(*range(len(self)))
        self._switch.close()

    def _logs(self) -> str:
        return "\n".join(f"{it.name}:\n{it.log_end()}" for it in self._members)
