"""Scenarios: what bare cores do, told in text that people read and this module runs.

A file is blocks with an empty line between them.  A block is prose (`#` lines), commands, one a
line, then `----` and what the commands print; `ok` is nothing.  `record` runs the commands and
puts what they print in place, so a new scenario is written without its answers, and a changed
answer shows in the diff.  The first prose says what is told, and names the points of
docs/reference/consensus.md as `Checklist 75, 76.`

Nodes are n1, n2, …; an entry is index:term, or index:term:payload; a list stands in parentheses.
Timeouts are not random here: everybody's election timeout is the shortest, and a tick is 0.1 s.
Nothing moves but by command: `settle` delivers, persists and fetches until all is quiet.

    cluster nodes=3 joiners=1 NAME=VALUE ...   a new cluster; CoreConfig's settings by name
    disk n1 term=2 vote=n2 log=(1:1 2:1:a) applied=1 floor=0:0   what n1 starts again from
    campaign n1 | elect n1 | tick n1 10 | tick all 10 | forget n1 | unreachable n1 peer=n2
    propose n1 a b c size=100 | read n1 7 | lease n1 | transfer n1 to=n2
    change n1 add=n4 learner=(n5 n6) remove=n1 transition=joint if_version=3 | leave n1
    settle | settle among=(n1 n2) | persist n1 1 | stall n1 | unstall n1 | hold n1 | apply n1
    deliver FILTER | drop FILTER | repeat FILTER | messages FILTER
            FILTER: from=n1 to=(n2 n3) kind=append count=1
    step n2 append from=n1 term=2 prev=1:1 commit=1 entries=(2:2:a)    a message made by hand
    cut n1 n2 | cut from=n1 to=n2 | heal | crash n1 | restart n1 | compact n1 to=5
    fetch n2 | fetch n2 fails=yes
    status | status n1 n2 | progress n1 | log n1 | durable n1 | configuration n1 | reads n1
    counters n1
"""

from collections.abc import Callable, Iterator
from typing import Any

from roost.raft import (
    BadCoreConfig,
    Change,
    ChangeKind,
    ChangeRefused,
    Contradiction,
    CorruptState,
    Entry,
    EntryKind,
    HardState,
    LogLost,
    ProposalDropped,
    Role,
    TransferRefused,
    Transition,
    codec,
)
from roost.sim.cores.cores import CoreCluster, Flying, Node
from roost.sim.cores.notation import (
    ScenarioError,
    kind_of,
    make_message,
    node_id,
    position,
    read_entry,
    show_entry,
    show_message,
    show_nodes,
)
from roost.sim.cores.script import END_OF_COMMANDS, Words, parse, words_of

_TRANSITIONS = {
    "auto": Transition.AUTO,
    "joint": Transition.JOINT,
    "explicit": Transition.JOINT_EXPLICIT,
}
_CHANGES = {
    "add": ChangeKind.ADD_VOTER,
    "learner": ChangeKind.ADD_LEARNER,
    "remove": ChangeKind.REMOVE,
}


class FixedDice:
    """No chance: timeouts are the shortest."""

    def __init__(self, seed: int) -> None:
        """Whatever the seed."""
        del seed

    def below(self, n: int) -> int:
        """Always 0."""
        del n
        return 0


def record(text: str) -> str:
    """The scenario with what its commands print now.

    Raises:
        ScenarioError: a command makes no sense.

    """
    scenario, parts = Scenario(), []
    for block in parse(text):
        lines = [*block.prose, *block.commands]
        if block.commands:
            said = [line for command in block.commands for line in scenario.run(command)]
            lines += [END_OF_COMMANDS, *(said or ["ok"])]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


class Scenario:
    """A cluster, and the commands that move it."""

    def __init__(self) -> None:
        """Nothing is there before `cluster`."""
        self._cluster: CoreCluster | None = None

    @property
    def cluster(self) -> CoreCluster:
        """The cluster that `cluster` made."""
        if self._cluster is None:
            raise ScenarioError("a scenario begins with `cluster`")
        return self._cluster

    def run(self, command: str) -> list[str]:
        """Run one command; what it prints.

        Raises:
            ScenarioError: it makes no sense.

        """
        name, words = words_of(command)
        method: Callable[[Words], Iterator[str]] | None = getattr(self, f"do_{name}", None)
        if method is None:
            raise ScenarioError(f"there is no command {name!r}")
        try:
            said = list(method(words))
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise ScenarioError(f"{command!r}: {error!r}") from error
        if left := [*words.plain, *words.named]:
            raise ScenarioError(f"{command!r}: nobody knows {', '.join(left)}")
        if self._cluster is not None:
            self._cluster.check()
        return said

    def _node(self, words: Words) -> Node:
        return self.cluster.nodes[node_id(words.plain.pop(0))]

    def _ask(self, node: Node, request: Callable[[], object]) -> Iterator[str]:
        """Ask a core for something that it may refuse."""
        try:
            request()
        except (ProposalDropped, ChangeRefused, TransferRefused) as error:
            yield f"n{node.id} refuses: {error}"
        self.cluster.collect(node)

    def do_cluster(self, words: Words) -> Iterator[str]:
        """Make it."""
        size, joiners = int(words.take("nodes")), int(words.take("joiners", "0"))
        options: dict[str, Any] = {}
        for name in list(words.named):
            value = words.take(name)
            on_off = {"on": True, "off": False}
            options[name] = (
                on_off[value] if value in on_off else float(value) if "." in value else int(value)
            )
        try:
            self._cluster = CoreCluster(size, joiners=joiners, dice=FixedDice, **options)
        except BadCoreConfig as error:
            yield f"refused: {error}"

    def do_disk(self, words: Words) -> Iterator[str]:
        """What a node starts again from."""
        node = self._node(words)
        vote = words.take("vote", "n0")
        node.hard_state = HardState(int(words.take("term", "0")), node_id(vote))
        floor_index, floor_term = position(words.take("floor", "0:0"))
        node.storage.begin_behind(floor_index, floor_term)
        log = [read_entry(it) for it in words.take_list("log")]
        node.storage.write(log)
        node.durable_applied = int(words.take("applied", str(floor_index)))
        below = [Entry(it, floor_term, EntryKind.EMPTY, b"") for it in range(1, floor_index + 1)]
        node.applied = [*below, *log][: node.durable_applied]
        yield from self._start(node)

    def _start(self, node: Node) -> Iterator[str]:
        try:
            self.cluster.restart(node.id)
        except CorruptState as error:
            yield f"n{node.id} does not start: {error}"
            self.cluster.crash(node.id)
        else:
            self.cluster.collect(node)

    def do_campaign(self, words: Words) -> Iterator[str]:
        """Somebody asks a node to try to lead."""
        node = self._node(words)
        yield from self._ask(node, node.core.campaign)

    def do_elect(self, words: Words) -> Iterator[str]:
        """A node campaigns, and everything settles."""
        node = self._node(words)
        yield from self._ask(node, node.core.campaign)
        self.cluster.settle()
        if node.core.role is not Role.LEADER:
            yield f"n{node.id} does not lead"

    def do_tick(self, words: Words) -> Iterator[str]:
        """Time passes for one, or in turn for all."""
        word = words.plain.pop(0)
        count = int(words.plain.pop(0)) if words.plain else 1
        nodes = list(self.cluster.nodes) if word == "all" else [node_id(word)]
        for _ in range(count):
            for node in nodes:
                if node not in self.cluster.down:
                    self.cluster.tick(node)
        yield from ()

    def do_forget(self, words: Words) -> Iterator[str]:
        """The known leader is gone for all a node can see."""
        node = self._node(words)
        yield from self._ask(node, node.core.forget_leader)

    def do_unreachable(self, words: Words) -> Iterator[str]:
        """A connection is lost."""
        node, peer = self._node(words), node_id(words.take("peer"))
        yield from self._ask(node, lambda: node.core.report_unreachable(peer))

    def do_propose(self, words: Words) -> Iterator[str]:
        """Propose payloads, one after another."""
        node, size = self._node(words), int(words.take("size", "0"))
        for payload in words.rest():
            data = payload.encode().ljust(size, b"-")
            yield from self._ask(node, lambda data=data: node.core.propose(data))  # type: ignore[misc]  # mypy infers no default

    def do_read(self, words: Words) -> Iterator[str]:
        """Start a linearizable read."""
        node = self._node(words)
        for token in words.rest():
            node.core.read_index(int(token))
        self.cluster.collect(node)
        yield from ()

    def do_ask_all(self, words: Words) -> Iterator[str]:
        """Rounds of reads that wait for the nearest alone are asked of all."""
        node = self._node(words)
        node.core.ask_all()
        self.cluster.collect(node)
        yield from ()

    def do_near(self, words: Words) -> Iterator[str]:
        """The oldest round of reads that waits for the nearest alone."""
        node = self._node(words)
        token = node.core.near_read
        yield f"n{node.id} waits for {f'the nearest: round {token}' if token else 'none'}"

    def do_lease(self, words: Words) -> Iterator[str]:
        """What a lease lets a node read now."""
        node = self._node(words)
        index = node.core.read_lease(node.now_s)
        yield f"n{node.id} reads {index}" if index is not None else f"n{node.id} must ask"

    def do_transfer(self, words: Words) -> Iterator[str]:
        """Hand leadership over."""
        node, target = self._node(words), node_id(words.take("to"))
        yield from self._ask(node, lambda: node.core.transfer_leadership(target))

    def do_change(self, words: Words) -> Iterator[str]:
        """Change the configuration."""
        node = self._node(words)
        changes = [
            Change(_CHANGES[name], it)
            for name in list(words.named)
            if name in _CHANGES
            for it in words.take_nodes(name)
        ]
        how, version = _TRANSITIONS[words.take("transition", "auto")], words.take("if_version")
        yield from self._ask(
            node,
            lambda: node.core.propose_change(
                changes, transition=how, if_version=int(version) if version else None
            ),
        )

    def do_leave(self, words: Words) -> Iterator[str]:
        """Leave a joint configuration."""
        node = self._node(words)
        yield from self._ask(node, node.core.propose_leave)

    def do_settle(self, words: Words) -> Iterator[str]:
        """Deliver, persist and fetch until all is quiet; among some, others' messages wait."""
        self.cluster.settle(words.take_nodes("among") or None)
        yield from ()

    def do_persist(self, words: Words) -> Iterator[str]:
        """A disk finishes its oldest writes, or all."""
        node = self._node(words)
        if not words.plain:
            self.cluster.persist(node)
        for _ in range(int(words.plain.pop(0)) if words.plain else 0):
            self.cluster.persist(node, all_of_it=False)
        yield from ()

    def do_stall(self, words: Words) -> Iterator[str]:
        """A disk finishes nothing any more."""
        self.cluster.stalled.add(self._node(words).id)
        yield from ()

    def do_unstall(self, words: Words) -> Iterator[str]:
        """A disk works again."""
        self.cluster.stalled.discard(self._node(words).id)
        yield from ()

    def do_hold(self, words: Words) -> Iterator[str]:
        """A state machine applies nothing any more."""
        self._node(words).is_held = True
        yield from ()

    def do_apply(self, words: Words) -> Iterator[str]:
        """A state machine applies everything it was handed, and goes on."""
        node = self._node(words)
        node.is_held = False
        if node.unapplied:
            node.apply()
        self.cluster.collect(node)
        yield from ()

    def _chosen(self, words: Words) -> list[Flying]:
        """The messages a filter means, oldest first."""
        senders, receivers = words.take_nodes("from"), words.take_nodes("to")
        kinds, count = words.take_list("kind"), int(words.take("count", "1000000"))
        chosen = [
            it
            for it in self.cluster.flying
            if (not senders or it.sender in senders)
            and (not receivers or it.to in receivers)
            and (not kinds or kind_of(codec.decode(it.body)) in kinds)
        ]
        return chosen[:count]

    def do_deliver(self, words: Words) -> Iterator[str]:
        """Messages arrive; what they cause stays on its way."""
        for message in self._chosen(words):
            self.cluster.deliver(self.cluster.flying.index(message))
        yield from ()

    def do_drop(self, words: Words) -> Iterator[str]:
        """Messages are lost."""
        for message in self._chosen(words):
            self.cluster.flying.remove(message)
        yield from ()

    def do_repeat(self, words: Words) -> Iterator[str]:
        """Messages will arrive once more."""
        self.cluster.flying += self._chosen(words)
        yield from ()

    def do_messages(self, words: Words) -> Iterator[str]:
        """What is on its way."""
        for sender, to, body in self._chosen(words):
            yield f"n{sender} -> n{to} {show_message(codec.decode(body))}"

    def do_step(self, words: Words) -> Iterator[str]:
        """A message made by hand arrives."""
        node, kind = self._node(words), words.plain.pop(0)
        message = make_message(kind, words.rest(), words.named)
        words.named = {}
        try:
            node.core.step(message)
        except Contradiction as error:
            yield f"n{node.id} takes no such message: {error}"
        except LogLost as error:
            yield f"n{node.id} has lost its log: {error}"
        except AssertionError as error:
            yield f"n{node.id} ends itself: {error}"
        self.cluster.collect(node)

    def do_cut(self, words: Words) -> Iterator[str]:
        """Nothing gets through between two, or from one to another."""
        for a in words.take_nodes("from"):
            self.cluster.cut |= {(a, b) for b in words.take_nodes("to")}
        nodes = [node_id(it) for it in words.rest()]
        self.cluster.cut |= {(a, b) for a in nodes for b in nodes if a != b}
        yield from ()

    def do_heal(self, words: Words) -> Iterator[str]:
        """Every direction is open."""
        del words
        self.cluster.cut.clear()
        yield from ()

    def do_crash(self, words: Words) -> Iterator[str]:
        """A node dies."""
        self.cluster.crash(self._node(words).id)
        yield from ()

    def do_restart(self, words: Words) -> Iterator[str]:
        """A node starts from what is durable."""
        yield from self._start(self._node(words))

    def do_compact(self, words: Words) -> Iterator[str]:
        """What was applied is durable; the log up to a position is dropped."""
        node = self._node(words)
        node.compact(int(words.take("to")))
        yield from ()

    def do_fetch(self, words: Words) -> Iterator[str]:
        """The snapshot a node fetches has come, or cannot be had."""
        node = self._node(words)
        self.cluster.fetch(node, fails=words.take("fails") == "yes")
        yield from ()

    def _down(self, node: Node) -> str:
        return f"n{node.id} down" if node.id in self.cluster.down else ""

    def do_status(self, words: Words) -> Iterator[str]:
        """Role, term and log of some, or all."""
        chosen = [node_id(it) for it in words.rest()] or list(self.cluster.nodes)
        for node in (self.cluster.nodes[it] for it in chosen):
            core = node.core
            yield self._down(node) or (
                f"n{node.id} {core.role.value} term={core.term} vote=n{core.vote} "
                f"leader=n{core.leader_id} last={core.log.last_index}:{core.log.last_term} "
                f"commit={core.commit_index} applied={core.applied_index}"
            )

    def do_progress(self, words: Words) -> Iterator[str]:
        """What a leader believes of its peers."""
        node = self._node(words)
        core = node.core
        yield f"n{node.id} {core.role.value} term={core.term} commit={core.commit_index}"
        for peer, it in core.peers.items():
            marks = [
                word
                for word, is_so in (
                    ("silent", not it.is_active),
                    ("paused", it.is_probe_sent),
                    (f"window={len(it.inflights)}:{it.inflight_bytes}", bool(it.inflights)),
                    (f"offer={it.offer.index if it.offer else 0}", it.offer is not None),
                )
                if is_so
            ]
            row = f"  n{peer} {it.state.value} match={it.match_index} next={it.next_index}"
            yield " ".join([row, *marks])

    def do_log(self, words: Words) -> Iterator[str]:
        """A node's log, durable or not."""
        node = self._node(words)
        log = node.core.log
        entries = [log.slice(it, 1)[0] for it in range(max(1, log.first_index), log.last_index + 1)]
        behind = f"behind {log.first_index - 1}: " if log.first_index > 1 else ""
        yield f"n{node.id} {behind}{' '.join(map(show_entry, entries))}"

    def do_durable(self, words: Words) -> Iterator[str]:
        """What a node would start again from."""
        node = self._node(words)
        hard, entries = node.hard_state, node.storage.log
        change = f" change={hard.change_index}:{hard.change_term}" if hard.change_index else ""
        yield (
            f"n{node.id} term={hard.term} vote=n{hard.vote}{change} "
            f"log=({' '.join(map(show_entry, entries))})"
        )

    def do_configuration(self, words: Words) -> Iterator[str]:
        """Who takes part, as a node has it."""
        node = self._node(words)
        it = node.core.configuration
        parts = [f"n{node.id} version={it.version} voters={show_nodes(it.voters)}"]
        for name in ("outgoing", "learners", "learners_next"):
            nodes = getattr(it, name)
            parts += [f"{name}={show_nodes(nodes)}"] if nodes else []
        yield " ".join([*parts, *(["auto_leave"] if it.auto_leave else [])])

    def do_reads(self, words: Words) -> Iterator[str]:
        """Reads answered since the last look."""
        node = self._node(words)
        for token, index in node.reads:
            yield f"n{node.id} read {token} sees {index}"
        for token in node.reads_failed:
            yield f"n{node.id} read {token} must be asked again"
        node.reads.clear()
        node.reads_failed.clear()

    def do_counters(self, words: Words) -> Iterator[str]:
        """What is on its way in a core; all zero when it is idle."""
        node = self._node(words)
        core = node.core
        leading = core.state.leading
        rounds = leading.rounds.count if leading is not None else 0
        yield (
            f"n{node.id} uncommitted={core.uncommitted_bytes} unapplied={core.unapplied_bytes} "
            f"inflight={sum(len(it.inflights) for it in core.peers.values())} "
            f"reads={rounds + len(core.state.reads.asked)}"
        )
