"""What was measured of a row, and whether it holds."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from roost.sim.linearizability import Verdict
from roost.testing.pressure.rows import LONGEST_MS_MAX, P99_MS_MAX, Row

_HELD = re.compile(r"the loop was held for (\d+) ms by ([\w.<>]+)")


@dataclass(slots=True)
class Figures:
    """One row, of one kind of member; `held` names who held the loop, if a member says so."""

    row: str
    kind: str
    took_s: float = 0.0
    times: int = 0
    puts: int = 0
    errors: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    longest_ms: float = 0.0
    leader_changes: int = 0
    resident_mib: float = 0.0
    grown_mib: float = 0.0
    history: str = ""
    error: str = ""
    facts: dict[str, float] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)

    def note_puts(self, took_s: Sequence[float]) -> None:
        """Fill in what another client saw, of durations in order."""
        self.puts = len(took_s)
        if took_s:
            self.p50_ms = round(took_s[len(took_s) // 2] * 1000, 1)
            self.p99_ms = round(took_s[min(len(took_s) - 1, int(len(took_s) * 0.99))] * 1000, 1)
            self.longest_ms = round(took_s[-1] * 1000, 1)

    def value(self, name: str) -> float | None:
        """A figure or a fact; None when the act did not come to it."""
        found = self.facts.get(name, getattr(self, name, None))
        return None if found is None else float(found)


def held_in(log: str) -> list[str]:
    """Who held the loop, the longest first, each with the longest time."""
    longest: Counter[str] = Counter()
    for found in _HELD.finditer(log):
        longest[found[2]] = max(longest[found[2]], int(found[1]))
    return [f"{name} {ms} ms" for name, ms in longest.most_common(5)]


def faults(row: Row, ours: Figures, theirs: Figures | None) -> list[str]:
    """What does not hold of a row; etcd's figures, where there are some, excuse what is as slow."""
    found = common_faults(ours, theirs)
    if ours.facts.get("missing"):
        found.append(f"missing: {ours.facts['missing']:,.0f}")
    failed, theirs_failed = (
        0 if it is None else it.facts.get("failed", 0) for it in (ours, theirs)
    )
    if failed > theirs_failed:
        found.append(f"failed: {failed:,.0f}, at most {theirs_failed:,.0f}")
    for name, bound in row.most:
        has, other = ours.value(name), None if theirs is None else theirs.value(name)
        limit = max(bound, other or 0.0)
        if has is not None and limit and has > limit:
            found.append(f"{name} {has:g}, at most {limit:g}")
    for name in row.least:
        has, other = ours.value(name), None if theirs is None else theirs.value(name)
        if other is not None and (has is None or has < other):
            found.append(f"{name} {has or 0:g}, at least {other:g}")
    return found


def common_faults(ours: Figures, theirs: Figures | None) -> list[str]:
    """What must hold whatever the row is about."""
    found = []
    if ours.error:
        found.append(ours.error)
    if ours.leader_changes:
        found.append(f"leader changed {ours.leader_changes} times")
    bounds = (("p99_ms", P99_MS_MAX), ("longest_ms", LONGEST_MS_MAX))
    for name, bound in bounds:
        limit = max(bound, 0.0 if theirs is None else getattr(theirs, name))
        if getattr(ours, name) > limit:
            found.append(f"{name} {getattr(ours, name):g}, at most {limit:g}")
    if ours.history not in ("", Verdict.LINEARIZABLE.value):
        found.append(f"the history is {ours.history}")
    return found
