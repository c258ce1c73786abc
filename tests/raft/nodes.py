"""Cores in memory with a disk that can lose what was not reported durable, and a bad network."""

import random
from collections import deque
from dataclasses import dataclass, field

from roost.raft import (
    Configuration,
    Core,
    CoreConfig,
    Entry,
    HardState,
    ProposalDropped,
    Ready,
    Role,
    codec,
)


class SeededDice:
    """Chance from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, n: int) -> int:
        return self._random.randrange(n)


@dataclass
class MemoryStorage:
    """A log in memory, with a floor below which it was compacted."""

    log: list[Entry] = field(default_factory=list)
    floor_index: int = 0
    floor_term: int = 0

    @property
    def first_index(self) -> int:
        return self.floor_index + 1

    @property
    def last_index(self) -> int:
        return self.floor_index + len(self.log)

    def term_at(self, index: int) -> int | None:
        if index == self.floor_index:
            return self.floor_term
        position = index - self.floor_index - 1
        return self.log[position].term if 0 <= position < len(self.log) else None

    def entries(self, first: int, stop: int, bytes_max: int) -> tuple[Entry, ...]:
        begin = first - self.floor_index - 1
        found = self.log[begin : stop - self.floor_index - 1]
        size = 0
        kept: list[Entry] = []
        for entry in found:
            size += len(entry.payload)
            if kept and size > bytes_max:
                break
            kept.append(entry)
        return tuple(kept)

    def write(self, entries: list[Entry]) -> None:
        if entries:
            del self.log[entries[0].index - self.floor_index - 1 :]
            self.log += entries


class Node:
    """One node: its core, its disk, and Readys that wait for the disk."""

    def __init__(self, node_id: int, voters: tuple[int, ...], seed: int, **options: object) -> None:
        self.id = node_id
        self.voters = voters
        self.seed = seed
        self.options = options
        self.storage = MemoryStorage()
        self.hard_state = HardState()
        self.applied: list[Entry] = []
        self.reads: list[tuple[int, int]] = []
        self.reads_failed: list[int] = []
        self.restart()

    def restart(self) -> None:
        """Start from what is durable."""
        self.seed += 1000
        self.waiting: deque[Ready] = deque()
        self.core = Core(
            CoreConfig(id=self.id, **self.options),  # type: ignore[arg-type]  # a test's options
            dice=SeededDice(self.seed),
            storage=self.storage,
            hard_state=self.hard_state,
            configuration=Configuration(voters=self.voters),
            applied_index=len(self.applied),
        )

    def take(self) -> list[tuple[int, bytes]]:
        """Take everything the core asks; return messages that may leave at once."""
        out: list[tuple[int, bytes]] = []
        while (ready := self.core.take_ready()) is not None:
            out += [(to, b"".join(codec.encode(it))) for to, it in ready.messages]
            self.waiting.append(ready)
            if ready.committed:
                self.applied += ready.committed
                self.core.applied(ready.committed[-1].index)
            self.reads += [(it.token, it.index) for it in ready.reads]
            self.reads_failed += ready.reads_failed
        return out

    def persist_one(self) -> list[tuple[int, bytes]]:
        """The disk finishes the oldest Ready; return the messages that waited for it."""
        ready = self.waiting.popleft()
        if ready.hard_state is not None:
            self.hard_state = ready.hard_state
        self.storage.write(ready.entries)
        self.core.persisted(ready)
        return [(to, b"".join(codec.encode(it))) for to, it in ready.messages_after_persist]


class Network:
    """Nodes and messages in flight; `settle` delivers everything, other calls misbehave."""

    def __init__(self, size: int, seed: int = 0, **options: object) -> None:
        voters = tuple(range(1, size + 1))
        self.random = random.Random(seed)
        self.nodes = {it: Node(it, voters, seed * 31 + it, **options) for it in voters}
        self.flying: list[tuple[int, int, bytes]] = []  # (from, to, message)
        self.cut: set[tuple[int, int]] = set()
        self.down: set[int] = set()
        self.leaders: dict[int, int] = {}
        self.committed: dict[int, tuple[int, bytes]] = {}

    def collect(self, node: Node) -> None:
        self.flying += [(node.id, to, body) for to, body in node.take()]

    def persist(self, node: Node, *, all_of_it: bool = True) -> None:
        while node.waiting:
            self.flying += [(node.id, to, body) for to, body in node.persist_one()]
            self.collect(node)
            if not all_of_it:
                return

    def deliver(self, position: int) -> None:
        sender, to, body = self.flying.pop(position)
        if (sender, to) in self.cut or to in self.down or sender in self.down:
            return
        node = self.nodes[to]
        node.core.step(codec.decode(body))
        self.collect(node)

    def settle(self) -> None:
        """Deliver and persist until nothing moves."""
        for _ in range(100_000):
            for node in self.nodes.values():
                if node.id not in self.down:
                    self.collect(node)
                    self.persist(node)
            if not self.flying:
                return
            self.deliver(0)
        raise AssertionError("messages without end")

    def tick(self, node_id: int, count: int = 1) -> None:
        for _ in range(count):
            self.nodes[node_id].core.tick()
            self.collect(self.nodes[node_id])

    def elect(self, node_id: int) -> Core:
        core = self.nodes[node_id].core
        core.campaign()
        self.settle()
        assert core.role is Role.LEADER
        return core

    def propose(self, node_id: int, payload: bytes) -> int:
        index = self.nodes[node_id].core.propose(payload)
        self.collect(self.nodes[node_id])
        return index

    def check(self) -> None:
        """What must hold at every moment."""
        for node in self.nodes.values():
            core = node.core
            if node.id not in self.down and core.role is Role.LEADER:
                held = self.leaders.setdefault(core.term, node.id)
                assert held == node.id, f"two leaders in term {core.term}"
            for position, entry in enumerate(node.applied):
                index = position + 1
                assert entry.index == index, "applied in order, each once"
                known = self.committed.setdefault(index, (entry.term, entry.payload))
                assert known == (entry.term, entry.payload), f"entry {index} differs"
            assert core.commit_index <= core.last_index
            assert core.applied_index <= core.commit_index

    def step_randomly(self) -> None:
        """One thing happens: a tick, a message, the disk, a loss, a crash, a proposal."""
        dice = self.random
        alive = [it for it in self.nodes.values() if it.id not in self.down]
        what = dice.random()
        if self.flying and what < 0.60:
            position = dice.randrange(min(len(self.flying), 6))  # a little reordering
            if dice.random() < 0.05:
                self.flying.append(self.flying[position])  # a duplicate
            if dice.random() < 0.02:
                del self.flying[position]  # a loss
            else:
                self.deliver(position)
        elif what < 0.84:
            self.persist(dice.choice(alive), all_of_it=False)
        elif what < 0.92:
            self.tick(dice.choice(alive).id)
        elif what < 0.985:
            try:
                self.propose(dice.choice(alive).id, b"%d" % dice.randrange(10**9))
            except ProposalDropped:
                pass
        elif what < 0.990:
            node = dice.choice(alive)
            node.core.read_index(dice.randrange(10**9))
            self.collect(node)
        elif what < 0.995:
            self.crash_or_return()
        elif self.cut and dice.random() < 0.6:
            self.cut.clear()
        else:
            self.cut.add((dice.choice(list(self.nodes)), dice.choice(list(self.nodes))))

    def crash_or_return(self) -> None:
        node = self.random.choice(list(self.nodes.values()))
        if self.down and self.random.random() < 0.7:
            node = self.nodes[self.random.choice(sorted(self.down))]
        if node.id in self.down:
            self.down.discard(node.id)
            node.restart()
        elif len(self.down) < len(self.nodes) - 1:
            self.down.add(node.id)  # what was not durable is gone with `restart`
