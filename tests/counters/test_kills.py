"""Whatever call fails, and whenever a process is killed: what was acknowledged is there."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from roost.counters import reading, upkeep
from roost.counters.changing import delete, increment
from roost.counters.environment import Trees
from roost.counters.errors import CounterStoreError
from roost.counters.logged import LoggedTrees
from roost.counters.store import Store
from tests.counters.stores import FailingTrees, make_trees, open_store, request

State = dict[str, int]


def story() -> list[tuple[State, Callable[[Store], object]]]:
    """What is done, and what is there when it is durable."""

    def purge(store: Store) -> object:
        known = {store.epoch: store.version}
        return upkeep.purge_slice(store, known)

    return [
        ({"a": 1, "b": 2}, lambda it: increment(it, [("a", 1), ("b", 2)], request(b"1"))),
        ({"a": 1, "b": 2}, lambda it: increment(it, [("a", 1), ("b", 2)], request(b"1"))),
        ({"a": 6, "b": 2, "c": 3}, lambda it: increment(it, [("a", 5), ("c", 3)])),
        ({"b": 2, "c": 3}, lambda it: delete(it, ["a"], request(b"2"))),
        ({"b": 2, "c": 3}, purge),
        ({"b": 2, "c": 3}, purge),
        ({"a": 9, "b": 2, "c": 3}, lambda it: increment(it, [("a", 9)])),
    ]


def play(trees: Trees) -> tuple[State, State]:
    """What was acknowledged, and what that is with what was on its way when something failed."""
    sure: State = {}
    after: State = {}
    try:
        store = open_store(trees=trees)
        for after, act in story():
            act(store)
            store.perform()
            sure = after
    except CounterStoreError:
        pass  # it was to fail: what is there is what counts
    return sure, after


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("kind", ["memory", "logged"])
def test_after_any_failed_call_there_is_what_was_acknowledged(
    kind: str, tmp_path: Path, *, late: bool
) -> None:
    """Also where each step is cut: it fails before it is done, or when it is, and nobody hears."""
    fail_at = seen = 0
    while fail_at == seen:
        fail_at += 1
        directory = tmp_path / str(fail_at)
        inner: Trees = make_trees(kind, directory)
        trees = FailingTrees(inner, late=late)
        trees.fail_at = fail_at
        sure, after = play(trees)
        seen = min(trees.calls, fail_at)
        if kind == "logged":
            inner.close()
            inner = LoggedTrees(directory)
        store = open_store(trees=inner)
        store.invariants()
        assert dict(reading.search(store).rows) in (sure, after)
        # And it goes on: the whole story once more comes to what is durable, and its increments.
        increment(store, [("z", 1)])
        store.perform()
        assert reading.read(store, ["z"]) == [1]
        inner.close()
    assert fail_at > 30


@pytest.mark.slow
@pytest.mark.parametrize("lines", [1, 2, 9])
def test_a_killed_process_has_lost_nothing_that_it_acknowledged(tmp_path: Path, lines: int) -> None:
    command = [sys.executable, "-m", "tests.counters.killed_counter", str(tmp_path)]
    acknowledged = 0
    for _round in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            for _line in range(lines):
                acknowledged = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().splitlines()
        acknowledged = int(rest[-1]) if rest and rest[-1] else acknowledged
        store = open_store(trees=LoggedTrees(tmp_path))
        found = reading.read(store, ["a", "b"])
        assert found[0] in (acknowledged, acknowledged + 3)
        assert found[1] == 2 * (found[0] or 0)
        store.close()
