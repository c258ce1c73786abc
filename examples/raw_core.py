"""The consensus core driven by hand: three nodes with logs and a network in memory.

    python examples/raw_core.py

What leaves at once, what waits for the disk, what is applied: `roost.member` does it for you, here
it is small.  The contract is in docs/reference/raft.md.
"""

import random
from collections import deque
from collections.abc import Sequence

from roost.raft import Configuration, Core, CoreConfig, Entry, EntryKind, HardState, Message, codec

NODES = Configuration(voters=(1, 2, 3))


class Dice:
    """The only chance there is."""

    def below(self, n: int) -> int:
        """A number from 0 to n - 1."""
        return random.randrange(n)


class Disk:
    """What outlives a crash: the hard state and the log; see `roost.raft.Storage`."""

    first_index, first_damaged = 1, 0  # nothing is compacted, and nothing rots

    def __init__(self) -> None:
        """Begin with nothing."""
        self.hard_state = HardState()
        self.log: list[Entry] = []

    @property
    def last_index(self) -> int:
        """The newest entry."""
        return len(self.log)

    def term_at(self, index: int) -> int | None:
        """The term of an entry; None beyond the end."""
        return 0 if index == 0 else self.log[index - 1].term if index <= len(self.log) else None

    def entries(self, first: int, stop: int, bytes_max: int) -> tuple[Entry, ...]:
        """Entries of a range: as many as have `bytes_max` together, one at least."""
        found = self.log[first - 1 : stop - 1]
        while sum(len(it.payload) for it in found[1:]) > bytes_max:
            found.pop()
        return tuple(found)

    def changes_after(self, index: int) -> list[int]:
        """Where changes of the configuration stand."""
        return [it.index for it in self.log[index:] if it.kind is EntryKind.CONFIGURATION]

    def persist(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """Make both durable, in this order; entries replace what stood there and behind."""
        self.hard_state = hard_state or self.hard_state
        if entries:
            self.log[entries[0].index - 1 :] = entries


class Node:
    """One core, its disk, and a state machine: a dictionary."""

    def __init__(self, number: int, disk: Disk, network: "Network") -> None:
        """Start, or start again: the dictionary is made anew of the log."""
        self.disk, self.network, self.table = disk, network, dict[str, str]()
        self.core = Core(
            CoreConfig(id=number),
            dice=Dice(),
            storage=disk,
            hard_state=disk.hard_state,
            configuration=NODES,
            applied_index=0,
        )

    def drive(self) -> None:
        """Do what the core asks, until it asks nothing: after every tick, message and proposal."""
        while (ready := self.core.take_ready()) is not None:
            self.network.send(ready.messages)  # no promise is in them
            self.disk.persist(ready.hard_state, ready.entries)
            self.core.persisted(ready)
            self.network.send(ready.messages_after_persist)  # votes and acceptances
            for entry in ready.committed:
                self.apply(entry)
            # Nobody reads by `read_index`, and no log is compacted: the other fields stay empty.

    def apply(self, entry: Entry) -> None:
        """One committed entry."""
        if entry.kind is EntryKind.CONFIGURATION:
            self.core.apply_change(entry)
        elif entry.payload:  # a new leader begins with an empty one
            key, _, value = entry.payload.decode().partition("=")
            self.table[key] = value
        self.core.applied(entry.index)


class Network:
    """Messages as bytes, in order, to nodes that run."""

    def __init__(self) -> None:
        """Nobody runs."""
        self.nodes: dict[int, Node] = {}
        self.waiting: deque[tuple[int, bytes]] = deque()

    def send(self, messages: Sequence[tuple[int, Message]]) -> None:
        """Each message, to whom; to encode it is to own it."""
        self.waiting += [(to, b"".join(codec.encode(it))) for to, it in messages]

    def turn(self) -> None:
        """One unit of time passes, and everything that was sent arrives."""
        for node in self.nodes.values():
            node.core.tick()
            node.drive()
        while self.waiting:
            to, body = self.waiting.popleft()
            if to in self.nodes:
                self.nodes[to].core.step(codec.decode(body))
                self.nodes[to].drive()

    def leader(self) -> Node:
        """Whoever leads, as soon as somebody does."""
        while not (found := [it for it in self.nodes.values() if it.core.is_leader_ready]):
            self.turn()
        return max(found, key=lambda it: it.core.term)


def main() -> None:
    """Elect, write, lose the leader, write, get it back."""
    network, disks = Network(), {number: Disk() for number in NODES.voters}
    network.nodes = {number: Node(number, disk, network) for number, disk in disks.items()}
    first = network.leader()
    for text in ("ada=1815", "grace=1906"):
        first.core.propose(text.encode())
    first.drive()
    del network.nodes[first.core.id]  # it is gone, but its disk is not
    second = network.leader()
    second.core.propose(b"alan=1912")
    second.drive()
    network.nodes[first.core.id] = Node(first.core.id, disks[first.core.id], network)
    while any(it.table != second.table or len(it.table) < 3 for it in network.nodes.values()):
        network.turn()
    for number, node in sorted(network.nodes.items()):
        print(number, node.table)


if __name__ == "__main__":
    main()
