"""Sorting a range by a field: as sorting all of it would, in steps, within its room."""

from collections.abc import Callable
from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.errors import Overloaded
from roost.etcd.model import sorting
from roost.etcd.model.sorting import BEST_COUNT_MAX, SORT_KEYS, Found, Sorting
from roost.etcd.model.wire import KeyValue
from roost.proto import rpc_pb2 as pb

FIELDS: dict[int, Callable[[KeyValue], object]] = {
    pb.RangeRequest.KEY: attrgetter("key"),
    pb.RangeRequest.VERSION: attrgetter("version"),
    pb.RangeRequest.CREATE: attrgetter("create_revision"),
    pb.RangeRequest.MOD: attrgetter("mod_revision"),
    pb.RangeRequest.VALUE: attrgetter("value"),
}
SMALL = st.integers(0, 3)
PART = 5


class Room:
    """So much memory."""

    def __init__(self, left: int = 1 << 30) -> None:
        self.left = self.whole = left

    def take(self, count: int) -> bool:
        if count > self.left:
            return False
        self.left -= count
        return True

    def give_back(self, count: int) -> None:
        self.left += count
        assert self.left <= self.whole, "given back what was never taken"


def row(number: int, *fields: int) -> KeyValue:
    version, create, mod, value = fields or (1, 1, 1, 1)
    return KeyValue(
        key=b"k%04d" % number,
        create_revision=create,
        mod_revision=mod,
        version=version,
        value=b"v%d" % value,
        lease=0,
    )


def sort(request: pb.RangeRequest, rows: list[KeyValue], room: Room) -> Sorting:
    made = Sorting(request, room, len)
    named = [Found(kv, b"name-%d" % number, bytes(number + 1)) for number, kv in enumerate(rows)]
    for at in range(0, len(named), PART):
        made.add(named[at : at + PART])
    for _ in made.finish():
        pass
    return made


@given(
    st.lists(st.tuples(SMALL, SMALL, SMALL, SMALL), max_size=40),
    st.sampled_from(sorted(SORT_KEYS)),
    st.sampled_from([pb.RangeRequest.ASCEND, pb.RangeRequest.DESCEND]),
    st.integers(0, 50),
    st.sampled_from([1, 3, 2048]),
)
def test_the_order_is_that_of_sorting_all_and_the_equal_stay_by_key(
    fields: list[tuple[int, int, int, int]], target: int, order: int, limit: int, run: int
) -> None:
    request = pb.RangeRequest(limit=limit)
    request.sort_target = target  # type: ignore[assignment]  # one that there is
    request.sort_order = order  # type: ignore[assignment]  # one that there is
    rows = [row(number, *it) for number, it in enumerate(fields)]
    room = Room()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorting, "RUN_COUNT_MAX", run)
        made = sort(request, rows, room)
    by = FIELDS[target]
    is_descending = order == pb.RangeRequest.DESCEND
    numbers = sorted(range(len(rows)), key=lambda it: by(rows[it]), reverse=is_descending)  # type: ignore[arg-type, return-value]  # all of one sorting
    wanted = numbers[:limit] if limit else numbers
    assert made.names == [b"name-%d" % it for it in wanted]
    assert made.size == sum(it + 1 for it in wanted)
    assert made.count == len(rows), "what is left out is counted, too (etcd: RangeResponse.count)"
    made.close()
    assert room.left == room.whole


def test_of_few_that_are_wanted_only_the_best_are_kept() -> None:
    room = Room()
    request = pb.RangeRequest(sort_target=pb.RangeRequest.MOD, limit=2)
    made = Sorting(request, room, len)
    kept = []
    for number in range(3 * sorting.RUN_COUNT_MAX):
        made.add([Found(row(number), b"name", b"1")])
        kept.append(room.whole - room.left)
    one = kept[0]
    assert max(kept) <= (sorting.RUN_COUNT_MAX + 2) * one
    assert kept[-1] == 2 * one


def test_beyond_that_all_are_kept_and_a_range_that_is_too_large_is_refused() -> None:
    request = pb.RangeRequest(sort_target=pb.RangeRequest.MOD, limit=BEST_COUNT_MAX + 1)
    room = Room(100_000)
    made = Sorting(request, room, len)
    for number in range(100_000 // 250):
        made.add([Found(row(number), b"name", b"1")])
    while room.left >= 250:
        made.add([Found(row(0), b"name", b"1")])
    with pytest.raises(Overloaded):
        made.add([Found(row(0), b"a name that no room is left for" * 10, b"1")])
    made.close()
    assert room.left == room.whole, "what was refused keeps nothing"


def test_a_long_value_that_is_sorted_by_counts_for_what_it_takes() -> None:
    kept = []
    for target in (pb.RangeRequest.MOD, pb.RangeRequest.VALUE):
        room = Room()
        request = pb.RangeRequest(sort_target=target)
        made = Sorting(request, room, len)
        kv = KeyValue(b"k", 1, 1, 1, bytes(10_000), 0)
        made.add([Found(kv, b"name", b"1")])
        kept.append(room.whole - room.left)
    assert kept[1] - kept[0] == 10_000


def test_no_step_of_the_merging_is_long() -> None:
    request = pb.RangeRequest(sort_target=pb.RangeRequest.MOD)
    made = Sorting(request, Room(), len)
    for number in range(5000):
        made.add([Found(row(number), b"%d" % number, b"1")])
    lengths = [len(made.names) for _ in made.finish()]
    steps = [after - before for before, after in zip([0, *lengths], lengths, strict=False)]
    assert len(steps) >= 5000 // 512
    assert max(steps) <= 512
