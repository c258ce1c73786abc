"""Ranges are found by the keys in them: as a look at each would find them."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from roost.etcd.v3.range_index import RangeIndex
from tests.steps import steps_of

KEYS = st.binary(max_size=2)


@dataclass(frozen=True, eq=False)
class Range:
    first: bytes
    stop: bytes | None


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), KEYS, st.one_of(st.none(), KEYS)),
            st.tuples(st.just("discard"), st.binary(max_size=1), st.none()),
            st.tuples(st.just("find"), KEYS, st.none()),
        ),
        max_size=120,
    )
)
def test_ranges_are_found_as_a_look_at_each_finds_them(
    actions: list[tuple[str, bytes, bytes | None]],
) -> None:
    index: RangeIndex[Range] = RangeIndex()
    held: list[Range] = []
    for what, key, stop in actions:
        if what == "add":
            held.append(Range(key, stop))
            index.add(held[-1])
        elif what == "discard" and held:
            index.discard(held.pop(sum(key) % len(held)))
        else:
            found = list(index.at(key))
            assert len(found) == len(set(found))
            wanted = {it for it in held if it.first <= key and (it.stop is None or key < it.stop)}
            assert set(found) == wanted
        assert len(index) == len(held)
    assert set(index) == set(held)


def test_a_key_in_few_of_many_ranges_costs_little() -> None:
    index: RangeIndex[Range] = RangeIndex()
    for number in range(4000):
        index.add(Range(b"%06d" % (10 * number), b"%06d" % (10 * number + 5)))
    assert [it.first for it in index.at(b"020003")] == [b"020000"]
    assert steps_of(lambda: list(index.at(b"030003"))) < 300
