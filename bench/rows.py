"""What was measured: rows of Roost and etcd side by side, by round, and the file that keeps them.

A file of raw results has runs and rows.  A run says when, of which sources, on what and beside
what load it was taken; a row says of which run it is.  Rows that are measured again take the place
of what was there, so that a long campaign can be taken in pieces, while a machine is quiet.
"""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RATE, KIB, SECONDS = "/s", "KiB", "s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One workload, by rounds: in each, Roost and etcd one right after the other."""

    row: str  # as `--rows` names it
    what: str
    members: int
    load: str
    unit: str
    roost: tuple[float, ...]
    etcd: tuple[float, ...]
    # Processor time of all members and their children, microseconds a request.
    roost_cpu_us: float | None = None
    etcd_cpu_us: float | None = None
    run: str = ""

    @property
    def ratio(self) -> float:
        """How many times as good as etcd: above 1 Roost is ahead, whatever the unit."""
        pairs = zip(self.roost, self.etcd, strict=True)
        if self.unit == RATE:
            return statistics.median(ours / theirs for ours, theirs in pairs)
        return statistics.median(theirs / ours for ours, theirs in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How rows came about."""

    id: str
    date: str
    commit: str
    command: str
    machine: str
    cores: int
    python: str
    tree: str
    etcd: str
    rounds: int
    scale: float
    # How many processes wanted a processor when it began, on average over a minute.
    load: float

    @property
    def is_trial(self) -> bool:
        """Whether it only shows that it can be measured: few requests, or a busy machine."""
        return self.scale < 1 or self.rounds < ROUNDS_MIN or self.load > 0.5 * self.cores


ROUNDS_MIN = 5


@dataclass(frozen=True, slots=True)
class Results:
    """What a file has."""

    runs: tuple[Run, ...] = ()
    rows: tuple[Row, ...] = ()

    def with_rows(self, run: Run, rows: Sequence[Row]) -> "Results":
        """The same with newer rows in the place of older ones of their names and members.

        Whole names: at another scale a row of `grow` says another number of keys.
        """
        replaced = {(it.row, it.members) for it in rows}
        kept = [it for it in self.rows if (it.row, it.members) not in replaced]
        runs = [it for it in self.runs if any(row.run == it.id for row in kept)]
        return Results((*runs, run), (*kept, *rows))

    def run_of(self, row: Row) -> Run:
        """How it came about."""
        return next(it for it in self.runs if it.id == row.run)


def load_results(path: Path) -> Results:
    """Read a file of raw results; one that is not there has none."""
    if not path.exists():
        return Results()
    held: dict[str, list[dict[str, Any]]] = json.loads(path.read_text())
    return Results(
        tuple(Run(**it) for it in held["runs"]),
        tuple(
            Row(**(it | {"roost": tuple(it["roost"]), "etcd": tuple(it["etcd"])}))
            for it in held["rows"]
        ),
    )


def save_results(path: Path, results: Results) -> None:
    """Write a file of raw results: a line a run, and a line a row."""
    parts = []
    for name in ("runs", "rows"):
        lines = ",\n  ".join(json.dumps(asdict(it)) for it in getattr(results, name))
        parts.append(f' "{name}": [\n  {lines}\n ]')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")
