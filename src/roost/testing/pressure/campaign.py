"""Rows one after another, on each kind of member in turn; or all of them at once, for minutes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from roost.testing.cluster import Cluster
from roost.testing.pressure.arena import Actor, Lookout, Memory, Played, Seen, arena, bystander
from roost.testing.pressure.figures import Figures, held_in
from roost.testing.pressure.ranges import KEYS
from roost.testing.pressure.rows import ROWS, Row
from roost.testing.pressure.sizes import Sizes
from roost.testing.pressure.target import Caller, Target, puts

TOGETHER = "together"
_MIB = 1 << 20


@dataclass(slots=True)
class Stage:
    """One cluster, and its lookout."""

    kind: str
    cluster: Cluster
    lookout: Lookout
    sizes: Sizes
    judges: bool

    def target(self) -> tuple[int, Target]:
        """Which member leads, and the target with it in front."""
        leader = self.cluster.leader()
        endpoints = self.cluster.endpoints
        return leader, Target(endpoints[leader:] + endpoints[:leader], self.sizes)

    def fill(self, say: Callable[[str], None]) -> None:
        """Put the keys that ranges read."""
        _, target = self.target()
        with Caller(target.leader) as caller:
            caller.fill(
                puts(KEYS, self.sizes.keys, b"v" * self.sizes.value_bytes),
                say=lambda done: say(f"{self.kind}: {done:,} of {self.sizes.keys:,} keys"),
            )

    def play(self, row: Row) -> Figures:
        """One row, once."""
        return self._play(row.name, [row], 0.0)

    def play_together(self, rows: Sequence[Row], for_s: float) -> Figures:
        """All rows at once, each again and again."""
        return self._play(TOGETHER, rows, for_s)

    def _play(self, name: str, rows: Sequence[Row], for_s: float) -> Figures:
        leader, target = self.target()
        pid = self.cluster.process(leader).pid
        memory = _Peak(pid)
        log = self.cluster.log_path(leader)
        log_bytes = log.stat().st_size
        with bystander(target, judges=self.judges) as seen:
            with _actors(rows, target, for_s, memory.begin) as actors:
                all_played = [it.wait() for it in actors]
            memory.end()
        self.lookout.look()
        figures = _figures(name, self.kind, all_played, seen)
        figures.leader_changes = self.lookout.changes_since(min(it.began_s for it in all_played))
        figures.resident_mib = round(memory.peak / _MIB, 1)
        figures.grown_mib = round((memory.peak - memory.before) / _MIB, 1)
        with log.open("rb") as file:
            file.seek(log_bytes)
            figures.held = held_in(file.read().decode(errors="replace"))
        return figures


@dataclass(slots=True)
class _Peak:
    """The most memory of a member from the moment an act begins."""

    pid: int
    before: int = 0
    peak: int = 0
    _memory: Memory | None = field(default=None)

    def begin(self) -> None:
        """The first act begins."""
        if self._memory is None:
            self._memory = Memory.of(self.pid)
            self.before = self._memory.resident

    def end(self) -> None:
        """The last has ended."""
        if self._memory is not None:
            self.peak = self._memory.peak


@contextmanager
def _actors(
    rows: Sequence[Row], target: Target, for_s: float, on_begin: Callable[[], None]
) -> Iterator[list[Actor]]:
    """Processes that play rows, ended with the block."""
    found: list[Actor] = []
    try:
        for it in rows:
            actor = Actor(it.name, target, for_s=for_s, on_begin=on_begin)
            found.append(actor)
        yield found
    finally:
        for actor in found:
            actor.end()


def _figures(name: str, kind: str, all_played: Sequence[Played], seen: Seen) -> Figures:
    began_s = min(it.began_s for it in all_played)
    ended_s = max(it.ended_s for it in all_played)
    figures = Figures(name, kind, took_s=round(ended_s - began_s, 3), errors=seen.errors)
    figures.times = sum(it.times for it in all_played)
    alone = len(all_played) == 1
    for it in all_played:
        prefix = "" if alone else f"{it.row}."
        figures.facts |= {prefix + fact: value for fact, value in it.facts.items()}
    said = [it.error if alone else f"{it.row}: {it.error}" for it in all_played if it.error]
    figures.error = "; ".join(said)
    figures.history = seen.verdict
    figures.note_puts(seen.between(began_s, ended_s))
    return figures


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done."""

    rows: Sequence[Row]
    kinds: Sequence[str]
    sizes: Sizes
    minutes: float = 0.0
    judges: bool = True


def run(
    plan: Plan,
    root: Path,
    say: Callable[[str], None],
    tell: Callable[[list[Figures]], None] = lambda _row: None,
) -> list[list[Figures]]:
    """Do it; for each row the figures of each kind.  `root` is an empty directory.

    `tell` gets each row as soon as it is there.

    Raises:
        FileNotFoundError: etcd is asked for, and not here.

    """
    found: list[list[Figures]] = []
    with ExitStack() as stack:
        stages = [_stage(stack, it, root, plan) for it in plan.kinds]
        if any(it.needs_keys for it in plan.rows):
            for stage in stages:
                stage.fill(say)
        for number, row in enumerate(plan.rows if not plan.minutes else (), 1):
            figures = []
            for stage in stages:
                say(f"{number}/{len(plan.rows)} {stage.kind}: {row.says}")
                figures.append(stage.play(row))
            found.append(figures)
            tell(figures)
        if plan.minutes:
            figures = []
            for stage in stages:
                say(f"{stage.kind}: {len(plan.rows)} rows at once, {plan.minutes:g} minutes")
                figures.append(stage.play_together(plan.rows, plan.minutes * 60))
            found.append(figures)
            tell(figures)
    return found


def _stage(stack: ExitStack, kind: str, root: Path, plan: Plan) -> Stage:
    cluster = stack.enter_context(arena(kind, root / kind))
    cluster.leader()
    lookout = Lookout(cluster)
    stack.callback(lookout.stop)
    return Stage(kind, cluster, lookout, plan.sizes, plan.judges)


def rows_named(names: str) -> list[Row]:
    """Rows by their names, with commas; all when there are none.

    Raises:
        KeyError: there is no such row.

    """
    return [ROWS[it] for it in names.split(",")] if names else list(ROWS.values())
