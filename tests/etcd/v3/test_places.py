"""Where watchers stand that are behind: whoever came with a crowd is there at once."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from roost.etcd.v3.places import Party, Places
from roost.etcd.v3.watchers import Watcher, WatcherIndex
from roost.proto import rpc_pb2 as pb
from tests.etcd.v3.test_watch import FakeStream
from tests.steps import steps_of

WHAT = st.sampled_from(["note", "rest", "crowd", "crowd", "step", "step", "forget", "move"])
RANGES = ((b"k", b""), (b"k", b"l"), (b"k1", b"k3"))


def watcher(number: int) -> Watcher:
    first, stop = RANGES[number % len(RANGES)]
    return Watcher(FakeStream(), pb.WatchCreateRequest(key=first, range_end=stop))  # type: ignore[arg-type]  # it is told nothing


@given(st.lists(st.tuples(WHAT, st.integers(0, 9)), max_size=40))
def test_each_stands_where_it_was_put_last(actions: list[tuple[str, int]]) -> None:
    places, parties = Places(), [Party(it) for it in range(3)]
    stands: dict[Watcher, Party | None] = {}
    steps: list[Iterator[None]] = []
    for what, number in actions:
        party = parties[number % len(parties)]
        if what in ("note", "rest"):
            one = watcher(number)
            stands[one] = party if what == "note" else None
            places.note(one, stands[one])
            if what == "note":
                party.members.add(one)
        elif what == "crowd":
            crowd = Party(9, WatcherIndex())
            for it in range(number):
                one = watcher(it)
                crowd.members.add(one)
                stands[one] = crowd
            parties.append(crowd)
            steps.append(places.note_crowd(crowd))
        elif what == "step" and steps:
            next(steps[number % len(steps)], None)
        elif stands and what in ("forget", "move"):
            one = list(stands)[number % len(stands)]
            before = stands.pop(one)
            if what == "forget":
                assert places.forget(one) is before
            else:
                places.note(one, party)
                stands[one] = party
            if before is not None:
                before.members.discard(one)
            if what == "move":
                party.members.add(one)
        assert len(places) == len(stands)
        for one, where in stands.items():
            assert one in places
            assert places.party_of(one) is where
        assert watcher(number) not in places


def test_a_crowd_of_very_many_is_there_at_once_and_noted_a_step_each() -> None:
    crowd, places = Party(1), Places()
    for number in range(5000):
        crowd.members.add(watcher(number))
    noting: list[Iterator[None]] = []
    assert steps_of(lambda: noting.append(places.note_crowd(crowd))) < 50
    assert len(places) == 5000
    assert all(it in places for it in crowd.members)
    assert steps_of(lambda: next(noting[0])) < 50
    assert sum(1 for _ in noting[0]) == 4999
    assert all(places.party_of(it) is crowd for it in crowd.members)
