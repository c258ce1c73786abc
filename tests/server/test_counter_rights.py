"""Counters ask etcd's rights: keys `counters/<name>`, without waiting for anybody else."""

from collections.abc import Callable
from typing import Any

import pytest

from roost.counters import rights
from roost.counters.rights import Needed
from roost.errors import ModelRefused, RoostError
from roost.etcd.access.judge import Checking, First
from roost.etcd.model.costs import Costs, at_once
from roost.server.counter_rights import CounterRights

pytestmark = pytest.mark.pure("its border is a fake")


class Judge:
    """Somebody with the right to keys that begin with counters/a, to read and to write."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def need_root(self) -> None:
        self.asked.append("root")
        raise ModelRefused(7, "denied")

    def need_read(self, key: bytes, range_end: bytes = b"") -> Costs[None]:
        yield 1
        self.asked.append("read")
        if not (key.startswith(b"counters/a") and range_end <= b"counters/b"):
            raise ModelRefused(7, "denied")

    def need_read_all(self, first: First) -> Costs[None]:
        self.asked.append("read all")
        return self._need(first)

    def need_write_all(self, first: First) -> Costs[None]:
        self.asked.append("write all")
        return self._need(first)

    def _need(self, first: First) -> Costs[None]:
        lowest = yield from first(b"")
        behind = yield from first(b"counters/b")
        if (lowest is not None and lowest < b"counters/a") or behind is not None:
            raise ModelRefused(7, "denied")


class Border:
    """Lets the judge say, at once."""

    def __init__(self) -> None:
        self.judge = Judge()

    def admit(
        self,
        caller: object,
        check: Callable[[Any], Checking],
        allowed: Callable[[], None],
        refused: Callable[[RoostError], None],
        *,
        is_local: bool,
    ) -> None:
        assert caller is None
        assert is_local, "a member that is cut off answers"
        try:
            steps = check(self.judge)
            if steps is not None:
                at_once(steps)
        except ModelRefused as refusal:
            refused(refusal)
        else:
            allowed()


@pytest.mark.parametrize(
    ("needed", "asked", "may"),
    [
        (rights.of_names(["a", "a/b", "ab"]), "read all", True),
        (rights.of_names(["a", "b"]), "read all", False),
        (rights.of_names(["0"], is_write=True), "write all", False),
        (rights.of_names(["a"], is_write=True), "write all", True),
        (rights.of_prefix("a"), "read", True),
        (rights.of_prefix("a/x"), "read", True),
        (rights.of_prefix(""), "read", False),
        (rights.of_prefix("b"), "read", False),
        (rights.OF_ROOT, "root", False),
    ],
)
def test_what_is_needed_is_asked_of_the_judge(needed: Needed, asked: str, *, may: bool) -> None:
    border = Border()
    told: list[bool] = []
    CounterRights(border).admit(  # type: ignore[arg-type]  # it has what is used
        None,  # type: ignore[arg-type]  # nobody looks at it
        needed,
        lambda: told.append(True),
        lambda _error: told.append(False),
    )
    assert told == [may]
    assert border.judge.asked == [asked]
