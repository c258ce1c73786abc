"""`python -m bench.core`: the consensus core alone, three of them in one loop, no disk, no network.

Messages are handed over as objects, so this is the cost of deciding: `step`, `take_ready`,
`persisted`, `propose`.  Figures are events (messages stepped) and proposals a second of one core
of the machine; the three cores share it.  PySyncObj's is measured the same way in the same run
(`core_peer`); it pickles its commands and calls the method they name, ours has neither.
"""

import json
import sys
import time
from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Protocol

from bench.core_peer import PySyncObjTrio
from bench.options import add_json, add_rounds, count, parser_of, start
from roost.raft import Configuration, Core, CoreConfig, Entry, HardState, Message, Role

PIPELINES = (1, 16, 256)


class Runner(Protocol):
    """Three of something, of which the first leads."""

    @property
    def stepped(self) -> int:
        """Messages delivered so far."""

    def propose(self, payload: bytes, pipeline: int) -> None:
        """Have `pipeline` entries on their way at once."""


class Storage:
    """A log that only grows."""

    def __init__(self) -> None:
        """Empty."""
        self.log: list[Entry] = []

    @property
    def first_index(self) -> int:
        """The oldest entry."""
        return 1

    @property
    def last_index(self) -> int:
        """The newest entry."""
        return len(self.log)

    def term_at(self, index: int) -> int | None:
        """The term of an entry."""
        if index == 0:
            return 0
        return self.log[index - 1].term if index <= len(self.log) else None

    def entries(self, first: int, stop: int, bytes_max: int) -> tuple[Entry, ...]:
        """Entries of a range."""
        del bytes_max  # the bench has small ones
        return tuple(self.log[first - 1 : stop - 1])

    @property
    def first_damaged(self) -> int:
        """None is."""
        return 0

    def changes_after(self, index: int) -> list[int]:
        """Nobody comes or goes."""
        del index
        return []


class NoDice:
    """Nobody needs chance when only one campaigns."""

    def below(self, n: int) -> int:
        """Always the lowest."""
        del n
        return 0


class Trio:
    """Three cores, and the messages between them."""

    def __init__(self) -> None:
        """Elect the first."""
        nodes = (1, 2, 3)
        self.storage = {it: Storage() for it in nodes}
        self.cores = {
            it: Core(
                CoreConfig(id=it, eager_commit=False),
                dice=NoDice(),
                storage=self.storage[it],
                hard_state=HardState(),
                configuration=Configuration(voters=nodes),
                applied_index=0,
            )
            for it in nodes
        }
        self.flying: deque[tuple[int, Message]] = deque()
        self.stepped = 0
        self.cores[1].campaign()
        self.settle()
        assert self.cores[1].role is Role.LEADER, "nobody else campaigns"

    def drive(self, node: int) -> None:
        """Carry out what one core asks; the disk is instant."""
        core, storage = self.cores[node], self.storage[node]
        while (ready := core.take_ready()) is not None:
            self.flying += ready.messages
            storage.log += ready.entries
            core.persisted(ready)
            self.flying += ready.messages_after_persist
            if ready.committed:
                core.applied(ready.committed[-1].index)

    def settle(self) -> None:
        """Deliver until nothing moves."""
        for node in self.cores:
            self.drive(node)
        while self.flying:
            to, message = self.flying.popleft()
            self.cores[to].step(message)
            self.stepped += 1
            self.drive(to)

    def propose(self, payload: bytes, pipeline: int) -> None:
        """Have `pipeline` entries on their way at once."""
        for _ in range(pipeline):
            self.cores[1].propose(payload)
        self.settle()


def measure(make: Callable[[], Runner], proposals: int, pipeline: int) -> tuple[float, float]:
    """Proposals and events a second of one run."""
    runner = make()
    stepped, begin = runner.stepped, time.perf_counter()
    windows = max(1, proposals // pipeline)
    for _ in range(windows):
        runner.propose(bytes(100), pipeline)
    took = time.perf_counter() - begin
    return windows * pipeline / took, (runner.stepped - stepped) / took


def main() -> None:
    """Measure turn and turn about, and print the medians."""
    parser = parser_of("bench.core", __doc__)
    add_rounds(parser, 5)
    text = "entries of a run (%(default)s)"
    parser.add_argument("--proposals", type=count, default=10_000, help=text)
    add_json(parser)
    options = parser.parse_args()
    makers: dict[str, Callable[[], Runner]] = {
        "roost": Trio,
        "single": PySyncObjTrio,
        "batched": lambda: PySyncObjTrio(batches=True),
    }
    rows = []
    for pipeline in PIPELINES:
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in makers}
        for _ in range(options.rounds):
            for name, make in makers.items():
                proposals = options.proposals // (10 if (name, pipeline) == ("batched", 1) else 1)
                runs[name].append(measure(make, proposals, pipeline))
        medians = {name: median(it[0] for it in found) for name, found in runs.items()}
        events = median(it[1] for it in runs["roost"])
        ratio = medians["roost"] / max(medians["single"], medians["batched"])
        rows.append({"pipeline": pipeline, "events": events, "ratio": ratio, **medians})
        print(f"{pipeline} on their way: {ratio:.2f}", file=sys.stderr)
    if options.json:
        print(json.dumps(rows))
        return
    print("| on their way | Roost/s | events/s | PySyncObj single/s | batched/s | ratio |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        figures = [row[it] for it in ("roost", "events", "single", "batched")]
        shown = " | ".join(f"{it:,.0f}" for it in figures)
        print(f"| {row['pipeline']} | {shown} | {row['ratio']:.2f} |")


if __name__ == "__main__":
    start(main)
