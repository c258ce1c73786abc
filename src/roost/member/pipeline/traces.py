"""Requests with an id (`roost.tracing`) at one member: where they are on their way.

The leader's steps are those of the batch that a request was run in: `durable` is its own disk,
`committed` a majority's.  Its followers write the same entry, which carries no ids.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from roost.errors import Refused, RoostError
from roost.flow import Flow
from roost.member.operation import AnyOperation, Changing, Light
from roost.outcome import Done, Outcome, ReadDone
from roost.store import Long, Txn
from roost.tracing import Traced, Way


@dataclass(slots=True)
class _Entry:
    """The requests of one entry, and what was noted of it."""

    index: int
    ways: dict[Way, None]
    is_durable: bool = False
    is_committed: bool = False


@dataclass(slots=True)
class Traces:
    """Those at one member; nothing is here, and nothing asked, while no request has an id.

    Each is found at once, however many there are: an ordered set is a dict here.
    """

    place: str = ""
    # Run in the batch that is being made.
    fresh: dict[Way, None] = field(default_factory=dict)
    # By the index of their entry, and the entry of each: a leader that was none meanwhile may
    # propose an index again before whoever waited for the first entry has been answered.
    live: dict[int, _Entry] = field(default_factory=dict)
    _entry_of: dict[Way, _Entry] = field(default_factory=dict)

    def lead(
        self, flow: Flow, name: str, operation: AnyOperation, done: Done
    ) -> tuple[AnyOperation, Done]:
        """Note what becomes of a request that this member runs, as leader."""
        if not isinstance(flow, Traced):
            return operation, done
        way = Way(flow.trace, name, self.place)
        way.note("queued")

        def answered(outcome: Outcome) -> None:
            self._forget(way)
            if not isinstance(outcome, RoostError):
                way.note("applied")
            way.end("answered", outcome=_told(outcome))
            done(outcome)

        if isinstance(operation, Changing | Light):
            return operation, answered
        run = operation

        def traced(txn: Txn, body: bytes) -> bytes | Long:
            outcome = run(txn, body)
            way.note("run", writes="in parts" if isinstance(outcome, Long) else txn.size_bytes)
            self.fresh[way] = None
            return outcome

        return traced, answered

    def forward(self, flow: Flow, name: str, leader: int, done: Done) -> Done:
        """Note what becomes of a request that this member hands to the leader."""
        if not isinstance(flow, Traced):
            return done
        way = Way(flow.trace, name, self.place)
        way.note("forwarded", leader=f"{leader:x}")

        def answered(outcome: Outcome) -> None:
            way.end("answered", outcome=_told(outcome))
            done(outcome)

        return answered

    def read(self, flow: Flow, done: ReadDone) -> ReadDone:
        """Note when a read has seen all that was acknowledged before."""
        if not isinstance(flow, Traced):
            return done
        way = Way(flow.trace, "read", self.place)
        way.note("waits for a round")

        def answered(error: RoostError | None) -> None:
            way.end("answered", outcome="done" if error is None else _told(error))
            done(error)

        return answered

    def on_proposed(self, index: int, term: int, count: int) -> None:
        """What was run last is in an entry, with others."""
        ways, self.fresh = self.fresh, {}
        entry = self.live[index] = _Entry(index, ways)
        for it in ways:
            self._entry_of[it] = entry
            it.note("proposed", entry=f"{term}:{index}", requests=count)

    def on_nothing_written(self) -> None:
        """What was run last is in no entry: it is answered when all it saw is committed."""
        ways, self.fresh = self.fresh, {}
        for it in ways:
            it.note("wrote nothing")

    def on_durable(self, index: int) -> None:
        """Our own disk has all up to an entry."""
        for entry_index, entry in self.live.items():
            if entry_index <= index and not entry.is_durable:
                entry.is_durable = True
                for it in entry.ways:
                    it.note("durable")

    def on_committed(self, index: int, matches: Mapping[int, int]) -> None:
        """A majority has all up to an entry; `matches` says how far each other member is known."""
        for entry_index, entry in self.live.items():
            if entry_index <= index and not entry.is_committed:
                entry.is_committed = True
                there = [f"{node:x}" for node, match in matches.items() if match >= entry_index]
                for it in entry.ways:
                    it.note("committed", others=",".join(there) or "none")

    def _forget(self, way: Way) -> None:
        self.fresh.pop(way, None)
        entry = self._entry_of.pop(way, None)
        if entry is not None:
            del entry.ways[way]
            if not entry.ways and self.live.get(entry.index) is entry:
                del self.live[entry.index]


def _told(outcome: Outcome) -> str:
    """What a caller is told, in a word or two."""
    match outcome:
        case Refused():
            return f"refused: {outcome}"
        case RoostError():
            return f"{type(outcome).__name__}: {outcome}"
        case _:
            return "done"
