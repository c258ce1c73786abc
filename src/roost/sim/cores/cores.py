"""Bare consensus cores in one loop: a disk that finishes when told to, messages that wait to fly.

Storms (`storm`) and scenarios (`scenario`) drive the same cluster.  Nothing here is random but
what the cores draw from their dice.
"""

import random
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from roost.raft import (
    Configuration,
    Core,
    CoreConfig,
    Dice,
    Entry,
    EntryKind,
    HardState,
    Ready,
    Role,
    Snapshot,
    codec,
)
from roost.raft.messages import AppendAccepted, AppendHeld, Message, VoteReply
from roost.sim.cores.storage import MemoryStorage


class SeededDice:
    """Chance from a seed."""

    def __init__(self, seed: int) -> None:
        """Begin the seed's sequence."""
        self._random = random.Random(seed)  # noqa: S311 - a simulation is no secret

    def below(self, n: int) -> int:
        """A number from 0 to n - 1."""
        return self._random.randrange(n)


TICK_S = 0.1
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
        dice: Callable[[int], Dice] = SeededDice,
        has_lives: bool = False,
        **options: Any,  # CoreConfig's own
    ) -> None:
        """Start with an empty disk; with `has_lives` it tells leaders that it has restarted."""
        self.id = node_id
        self.lives = (1 << 40) + (node_id << 32) if has_lives else None
        self.is_fenced = False
        self.lost_before = 0  # lives (and what is not one) that ended when the disk lost entries
        self.seed = seed
        self.make_dice = dice
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
        self.unapplied: deque[Entry] = deque()  # handed out, while applying is held
        self.is_held = False
        self.now_s = 0.0
        self.checked_count = 0  # how much of `applied` the cluster's checks have seen
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
        self.unapplied.clear()
        del self.applied[self.durable_applied :]
        self.checked_count = min(self.checked_count, len(self.applied))
        while self.configuration.version > self.durable_applied:
            self.configurations.pop()
        self.core = Core(
            CoreConfig(id=self.id, life=self.lives or 0, **self.options),
            dice=self.make_dice(self.seed),
            storage=self.storage,
            hard_state=self.hard_state,
            configuration=self.configuration,
            applied_index=self.durable_applied,
            is_fenced=self.is_fenced,
        )
        self.core.is_checked = True
        if self.lives is not None:
            self.lives += 1

    def take(self) -> list[tuple[int, bytes]]:
        """Take everything the core asks; return messages that may leave at once."""
        out: list[tuple[int, bytes]] = []
        is_over = False
        while (ready := self.core.take_ready()) is not None:
            assert not is_over, "nothing follows from what is said only"
            out += [(to, b"".join(codec.encode(it))) for to, it in ready.messages]
            self.waiting.append(ready)
            self.unapplied += ready.committed
            is_over = ready.is_said_only and not self.unapplied
            if self.unapplied and not self.is_held:
                self.apply()
            self.reads += [(it.token, it.index) for it in ready.reads]
            self.reads_failed += ready.reads_failed
            if ready.snapshot is not None:
                self.fetching = ready.snapshot
            for peer in ready.snapshots_wanted:
                self.core.offer_snapshot(peer, self.snapshot())
        return out

    def apply(self) -> None:
        """Apply what was handed out."""
        while self.unapplied:
            entry = self.unapplied.popleft()
            if entry.kind is EntryKind.CONFIGURATION:
                self.configurations.append(self.core.apply_change(entry)[0])
            self.applied.append(entry)
        self.core.applied(len(self.applied))

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
        self.checked_count = 0
        self.unapplied.clear()
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
        self.is_fenced = self.core.is_fenced
        return [(to, b"".join(codec.encode(it))) for to, it in ready.messages_after_persist]


class Flying(NamedTuple):
    """A message on its way, as bytes."""

    sender: int
    to: int
    body: bytes


class CoreCluster:
    """Nodes and messages in flight; `settle` delivers everything, other calls misbehave."""

    def __init__(
        self,
        size: int,
        seed: int = 0,
        *,
        joiners: int = 0,
        is_seeded: bool = False,
        dice: Callable[[int], Dice] = SeededDice,
        has_lives: bool = False,
        **options: Any,  # CoreConfig's own
    ) -> None:
        """`size` voters; `joiners` more nodes know nothing yet and may be added."""
        voters = tuple(range(1, size + 1))
        self.nodes = {
            it: Node(
                it,
                voters if it <= size else (),
                seed * 31 + it,
                is_seeded=is_seeded or joiners > 0,
                dice=dice,
                has_lives=has_lives,
                **options,
            )
            for it in range(1, size + joiners + 1)
        }
        self.flying: list[Flying] = []
        self.cut: set[tuple[int, int]] = set()
        self.down: set[int] = set()
        self.stalled: set[int] = set()  # disks that finish nothing
        self.leaders: dict[int, int] = {}
        self.committed: dict[int, tuple[int, bytes]] = {}
        self.votes: dict[tuple[int, int], int] = {}  # (voter, term): candidate

    def collect(self, node: Node) -> None:
        """Take what a node has to say; its messages fly."""
        self.flying += [Flying(node.id, to, body) for to, body in node.take()]

    def persist(self, node: Node, *, all_of_it: bool = True) -> None:
        """A node's disk finishes everything, or the oldest write."""
        while node.waiting and node.id not in self.stalled:
            self.flying += [Flying(node.id, to, body) for to, body in node.persist_one()]
            self.collect(node)
            if not all_of_it:
                return

    def deliver(self, position: int) -> None:
        """A message arrives, unless its way is cut or an end is down."""
        sender, to, body = self.flying.pop(position)
        if (sender, to) in self.cut or to in self.down:
            return
        message = codec.decode(body)
        self._check_promise(sender, to, message)
        node = self.nodes[to]
        node.core.step(message)
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

    def settle(self, among: Collection[int] | None = None) -> None:
        """Deliver, persist and fetch until nothing moves; only `among` some nodes, if told."""
        waiting: list[Flying] = []
        for _ in range(100_000):
            for node in self.nodes.values():
                if node.id not in self.down and (among is None or node.id in among):
                    self.collect(node)
                    self.persist(node)
                    if node.fetching is not None and not node.waiting:
                        self.fetch(node)
                        self.persist(node)
            if not self.flying:
                self.flying = waiting
                return
            if among is None or {self.flying[0].sender, self.flying[0].to} <= set(among):
                self.deliver(0)
            else:
                waiting.append(self.flying.pop(0))
        raise AssertionError("messages without end")

    def tick(self, node_id: int, count: int = 1) -> None:
        """Time passes for one node."""
        node = self.nodes[node_id]
        for _ in range(count):
            node.now_s += TICK_S
            node.core.tick(node.now_s)
            self.collect(node)

    def crash(self, node_id: int) -> None:
        """A node dies; what was not durable is gone."""
        self.down.add(node_id)

    def restart(self, node_id: int) -> None:
        """A dead node starts from what is durable."""
        self.down.discard(node_id)
        self.nodes[node_id].restart()

    def elect(self, node_id: int) -> Core:
        """Let a node campaign and win."""
        core = self.nodes[node_id].core
        core.campaign()
        self.settle()
        assert core.role is Role.LEADER
        return core

    def propose(self, node_id: int, payload: bytes) -> int:
        """Propose at a node; return the index."""
        index = self.nodes[node_id].core.propose(payload)
        self.collect(self.nodes[node_id])
        return index

    def check(self) -> None:
        """What must hold at every moment; raises an AssertionError that says what does not."""
        for node in self.nodes.values():
            core, log = node.core, node.core.log
            if node.id not in self.down and core.role is Role.LEADER:
                self._check_leader(node)
            for position in range(node.checked_count, len(node.applied)):
                entry, index = node.applied[position], position + 1
                assert entry.index == index, "applied in order, each once"
                known = self.committed.setdefault(index, (entry.term, entry.payload))
                assert known == (entry.term, entry.payload), f"entry {index} has two contents"
            node.checked_count = len(node.applied)
            assert log.applied_index <= log.applying_index <= log.commit_index <= log.last_index
            assert core.term >= node.hard_state.term, "terms never decrease"

    def _check_leader(self, node: Node) -> None:
        core = node.core
        for progress in core.peers.values():
            assert progress.match_index < progress.next_index, "match is below next"
        held = self.leaders.get(core.term)
        if held is None:
            is_newest = core.term > max(self.leaders, default=0)
            self.leaders[core.term] = node.id
            if not is_newest:
                return  # it learns of its election after a later one: it decides nothing
            for index in range(max(1, core.log.first_index), len(self.committed) + 1):
                term = core.log.term_at(index)
                known = self.committed[index][0]
                assert term == known, f"the leader of term {core.term} lacks committed {index}"
        else:
            assert held == node.id, f"two leaders in term {core.term}"

    def _check_promise(self, sender: int, to: int, message: Message) -> None:
        """What a message promises is durable where it comes from (J11), and one vote a term."""
        disk = self.nodes[sender]
        is_vote = isinstance(message, VoteReply) and message.is_granted
        if is_vote:
            held = self.votes.setdefault((sender, message.term), to)
            assert held == to, f"node {sender} votes twice in term {message.term}"
        if is_vote or isinstance(message, AppendAccepted | AppendHeld):
            durable = disk.hard_state.term
            assert durable >= message.term, f"node {sender} promises in a term it could forget"
            if durable > message.term:
                return  # it has moved on since
            if isinstance(message, AppendAccepted | AppendHeld):
                last_index = disk.storage.last_index
                # What was promised before the disk lost it was true then.
                if message.session < disk.lost_before:
                    return
                assert last_index >= message.match_index, f"node {sender} could forget entries"
            else:
                assert disk.hard_state.vote == to, f"node {sender} could forget its vote"
