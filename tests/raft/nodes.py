"""Cores in memory with a disk that can lose what was not reported durable, and a bad network."""

import random
from collections import deque
from dataclasses import dataclass, field

from roost.raft import (
    Change,
    ChangeKind,
    ChangeRefused,
    Configuration,
    Core,
    CoreConfig,
    Entry,
    EntryKind,
    HardState,
    ProposalDropped,
    Ready,
    Role,
    Snapshot,
    TransferRefused,
    Transition,
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

    def drop_to(self, index: int) -> None:
        """Compact everything up to `index`."""
        term = self.term_at(index)
        assert term is not None
        del self.log[: index - self.floor_index]
        self.floor_index, self.floor_term = index, term

    def begin_behind(self, index: int, term: int) -> None:
        """Forget everything; the next entry follows `index`."""
        self.log.clear()
        self.floor_index, self.floor_term = index, term

    def write(self, entries: list[Entry]) -> None:
        if entries:
            del self.log[entries[0].index - self.floor_index - 1 :]
            self.log += entries


BOOTSTRAP = Entry(1, 1, EntryKind.EMPTY, b"bootstrap")


class Node:
    """One node: its core, its disk, and Readys that wait for the disk.

    Its state machine is the list of entries it applied, of which `durable_applied` survive a
    crash.  With `is_seeded` it starts behind the entry that bootstrapped the cluster; without
    voters it is new and waits to be added.
    """

    def __init__(
        self,
        node_id: int,
        voters: tuple[int, ...],
        seed: int,
        *,
        is_seeded: bool = False,
        **options: object,
    ) -> None:
        self.id = node_id
        self.seed = seed
        self.options = options
        self.storage = MemoryStorage()
        self.hard_state = HardState()
        self.applied: list[Entry] = []
        self.durable_applied = 0
        self.configurations = [Configuration(voters=voters)]
        if is_seeded and voters:
            self.storage.begin_behind(1, 1)
            self.hard_state = HardState(1, 0)
            self.applied = [BOOTSTRAP]
            self.durable_applied = 1
            self.configurations = [Configuration(voters=voters, version=1)]
        self.reads: list[tuple[int, int]] = []
        self.reads_failed: list[int] = []
        self.fetching: Snapshot | None = None
        self.restart()

    @property
    def configuration(self) -> Configuration:
        """The one in force at what was applied last."""
        return self.configurations[-1]

    def restart(self) -> None:
        """Start from what is durable."""
        self.seed += 1000
        self.waiting: deque[Ready] = deque()
        self.fetching = None
        del self.applied[self.durable_applied :]
        while self.configuration.version > self.durable_applied:
            self.configurations.pop()
        self.core = Core(
            CoreConfig(id=self.id, **self.options),  # type: ignore[arg-type]  # a test's options
            dice=SeededDice(self.seed),
            storage=self.storage,
            hard_state=self.hard_state,
            configuration=self.configuration,
            applied_index=self.durable_applied,
        )

    def take(self) -> list[tuple[int, bytes]]:
        """Take everything the core asks; return messages that may leave at once."""
        out: list[tuple[int, bytes]] = []
        while (ready := self.core.take_ready()) is not None:
            out += [(to, b"".join(codec.encode(it))) for to, it in ready.messages]
            self.waiting.append(ready)
            for entry in ready.committed:
                if entry.kind is EntryKind.CONFIGURATION:
                    self.configurations.append(self.core.apply_change(entry)[0])
                self.applied.append(entry)
            if ready.committed:
                self.core.applied(ready.committed[-1].index)
            self.reads += [(it.token, it.index) for it in ready.reads]
            self.reads_failed += ready.reads_failed
            if ready.snapshot is not None:
                self.fetching = ready.snapshot
            for peer in ready.snapshots_wanted:
                self.core.offer_snapshot(peer, self.snapshot())
        return out

    def snapshot(self) -> Snapshot:
        """What was applied, as something to offer."""
        return Snapshot(
            index=len(self.applied),
            term=self.applied[-1].term,
            sender=self.id,
            configuration=self.configuration,
        )

    def install(self, content: list[Entry], configurations: list[Configuration]) -> None:
        """The snapshot we fetched has come; everything before it is on the disk."""
        snapshot, self.fetching = self.fetching, None
        assert snapshot is not None
        assert not self.waiting
        if not self.core.may_restore(snapshot):
            self.core.snapshot_failed(snapshot)
            return
        self.storage.begin_behind(snapshot.index, snapshot.term)
        self.applied, self.durable_applied = content, snapshot.index
        self.configurations = [*configurations, snapshot.configuration]
        self.core.restore(snapshot)

    def compact(self, index: int) -> None:
        """Make what was applied durable, and drop the log up to `index`."""
        self.durable_applied = len(self.applied)
        if self.storage.first_index <= index <= min(self.durable_applied, self.storage.last_index):
            self.storage.drop_to(index)

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

    def __init__(
        self,
        size: int,
        seed: int = 0,
        *,
        joiners: int = 0,
        is_seeded: bool = False,
        **options: object,
    ) -> None:
        """`size` voters; `joiners` more nodes know nothing yet and may be added."""
        voters = tuple(range(1, size + 1))
        self.random = random.Random(seed)
        self.nodes = {
            it: Node(
                it,
                voters if it <= size else (),
                seed * 31 + it,
                is_seeded=is_seeded or joiners > 0,
                **options,
            )
            for it in range(1, size + joiners + 1)
        }
        self.has_changes = joiners > 0
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

    def fetch(self, node: Node, *, fails: bool = False) -> None:
        """The snapshot a node fetches has come, or cannot be had."""
        snapshot = node.fetching
        assert snapshot is not None
        sender = self.nodes[snapshot.sender]
        if fails or sender.id in self.down or len(sender.applied) < snapshot.index:
            node.fetching = None
            node.core.snapshot_failed(snapshot)
        else:
            self.persist(node)
            if node.fetching == snapshot:
                older = [it for it in sender.configurations if it.version <= snapshot.index]
                node.install(sender.applied[: snapshot.index], older)
        self.collect(node)

    def settle(self) -> None:
        """Deliver, persist and fetch until nothing moves."""
        for _ in range(100_000):
            for node in self.nodes.values():
                if node.id not in self.down:
                    self.collect(node)
                    self.persist(node)
                    if node.fetching is not None:
                        self.fetch(node)
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
            for progress in core.progress().values():
                assert progress.match_index < progress.next_index
            assert core.commit_index <= core.last_index
            assert core.applied_index <= core.commit_index

    def step_randomly(self) -> None:
        """One thing happens: a tick, a message, the disk, a loss, a crash, a proposal."""
        dice = self.random
        alive = [it for it in self.nodes.values() if it.id not in self.down]
        what = dice.random()
        if self.has_changes and dice.random() < 0.04:
            self.change_randomly(dice.choice(alive))
            return
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

    def change_randomly(self, node: Node) -> None:
        """Somebody joins or goes, leadership moves, a log is compacted, a snapshot comes."""
        dice = self.random
        fetching = [it for it in self.nodes.values() if it.fetching and it.id not in self.down]
        what = dice.random()
        if fetching and what < 0.4:
            self.fetch(dice.choice(fetching), fails=dice.random() < 0.3)
        elif what < 0.55:
            node.compact(len(node.applied) - dice.randrange(8))
        elif what < 0.65:
            try:
                node.core.transfer_leadership(dice.choice(list(self.nodes)))
            except TransferRefused:
                pass
        elif what < 0.95:
            count = min(dice.choice((1, 1, 1, 2, 3)), len(self.nodes))
            nodes = dice.sample(sorted(self.nodes), count)
            kinds = (ChangeKind.ADD_VOTER, ChangeKind.ADD_VOTER, *ChangeKind)
            changes = [Change(dice.choice(kinds), it) for it in nodes]
            how = dice.choice(list(Transition))
            try:
                node.core.propose_change(changes, transition=how)
            except (ProposalDropped, ChangeRefused):
                pass
        else:
            try:
                node.core.propose_leave()
            except (ProposalDropped, ChangeRefused):
                pass
        self.collect(node)

    def crash_or_return(self) -> None:
        node = self.random.choice(list(self.nodes.values()))
        if self.down and self.random.random() < 0.7:
            node = self.nodes[self.random.choice(sorted(self.down))]
        if node.id in self.down:
            self.down.discard(node.id)
            node.restart()
        elif len(self.down) < len(self.nodes) - 1:
            self.down.add(node.id)  # what was not durable is gone with `restart`
