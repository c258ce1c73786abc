"""PySyncObj's core as `bench.core` has ours: three in one loop, messages handed over in memory.

PySyncObj takes a transport of the caller's and lets the caller tick, so its sockets can be left
out.  Its commands are pickled and its messages are dictionaries, handed over as they are; the
journal is its default, a list in memory.
"""

import time
from collections import deque
from typing import Any

from pysyncobj import SyncObj, SyncObjConf, replicated
from pysyncobj.node import Node
from pysyncobj.transport import Transport


class Wires:
    """What is on its way between the nodes of one process."""

    def __init__(self) -> None:
        """Nothing is."""
        self.flying: deque[tuple[Node, Node, dict[str, Any]]] = deque()
        self.ends: dict[str, MemoryTransport] = {}
        self.delivered = 0

    def deliver(self) -> bool:
        """Deliver everything that is on its way now; say whether there was anything."""
        count = len(self.flying)
        for _ in range(count):
            sender, to, message = self.flying.popleft()
            self.ends[to.id].receive(sender, message)
            self.delivered += 1
        return count > 0


class MemoryTransport(Transport):  # type: ignore[misc]  # PySyncObj tells no types
    """One end of the wires."""

    def __init__(self, wires: Wires, own: Node) -> None:
        """Nobody is connected before `connect`."""
        super().__init__(None, own, [])
        self._wires, self._own = wires, own
        wires.ends[own.id] = self

    @property
    def ready(self) -> bool:
        """It always is."""
        return True

    def connect(self, others: list[Node]) -> None:
        """Tell the owner that the others are there."""
        for node in others:
            self._onNodeConnected(node)

    def send(self, node: Node, message: dict[str, Any]) -> bool:
        """Put a message on its way."""
        self._wires.flying.append((self._own, node, message))
        return True

    def receive(self, sender: Node, message: dict[str, Any]) -> None:
        """A message has come."""
        self._onMessageReceived(sender, message)

    def destroy(self) -> None:
        """Nothing to close."""


class Register(SyncObj):  # type: ignore[misc]  # PySyncObj has no types
    """A replicated object with one command."""

    def __init__(self, own: Node, others: list[Node], wires: Wires, *, batches: bool) -> None:
        """One of three."""
        self.value = b""
        transport = MemoryTransport(wires, own)
        conf = SyncObjConf(
            autoTick=False,
            appendEntriesUseBatch=batches,
            appendEntriesPeriod=0.001,
            raftMinTimeout=1.0,
            raftMaxTimeout=2.0,
        )
        super().__init__(own, others, conf, transport=transport)
        transport.connect(others)

    @replicated  # type: ignore[untyped-decorator]  # PySyncObj has no types
    def put(self, value: bytes) -> None:
        """The command."""
        self.value = value


class PySyncObjTrio:
    """Three of them, the first elected."""

    def __init__(self, *, batches: bool = False) -> None:
        """Elect one."""
        self.wires = Wires()
        names = [Node(f"n{number}") for number in range(3)]
        self.nodes = [
            Register(own, [it for it in names if it is not own], self.wires, batches=batches)
            for own in names
        ]
        deadline = time.monotonic() + 30
        while not self._leading() or not self._is_ready():
            self._turn()
            assert time.monotonic() < deadline, "somebody is elected"
        self.leader = self._leading()[0]
        self._done = 0

    def _leading(self) -> list[Register]:
        return [it for it in self.nodes if it.getStatus()["leader"] == it.selfNode]

    @property
    def stepped(self) -> int:
        """Messages delivered."""
        return self.wires.delivered

    def _is_ready(self) -> bool:
        return all(it.isReady() for it in self.nodes)

    def _turn(self) -> None:
        for node in self.nodes:
            node.doTick(0.0)
        self.wires.deliver()

    def propose(self, payload: bytes, pipeline: int) -> None:
        """Have `pipeline` commands on their way at once, and wait until they are applied."""
        wanted = self._done + pipeline
        for _ in range(pipeline):
            self.leader.put(payload, callback=self._on_done)
        while self._done < wanted:
            self._turn()

    def _on_done(self, _result: object, error: int) -> None:
        assert error == 0, f"PySyncObj failed a command: {error}"
        self._done += 1
