"""Who is told of an event: the tree of watchers says what the rule says."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from roost.etcd.v2.history import pieces_of
from roost.etcd.v2.nodes import ROOT_NODE
from roost.etcd.v2.values import Action, Event, Flags
from roost.etcd.v2.watchers import TEXT_BYTES_MAX, Told, Watcher, Watchers, wants

NAMES = st.sampled_from([b"a", b"b", b"_h"])
PATHS = st.lists(NAMES, max_size=3).map(lambda it: b"/" + b"/".join(it))
WATCHES = st.lists(st.tuples(PATHS, st.booleans()), max_size=12)


def event(path: bytes, flags: Flags = Flags.NONE, index: int = 1) -> Event:
    return Event(index, Action.SET, flags, path, 0, ROOT_NODE)


def watcher(path: bytes, *, is_recursive: bool = False) -> Watcher:
    return Watcher(path, 1, is_recursive=is_recursive, is_stream=True)


@given(WATCHES, PATHS, st.sampled_from(list(Flags)), st.data())
def test_those_who_want_an_event_are_found(
    watches: list[tuple[bytes, bool]], path: bytes, flags: Flags, data: st.DataObject
) -> None:
    watchers = Watchers()
    made = [watcher(it, is_recursive=is_recursive) for it, is_recursive in watches]
    for it in made:
        watchers.add(it)
    gone = data.draw(st.sets(st.sampled_from(made)) if made else st.just(set()))
    for it in gone:
        watchers.remove(it)
        watchers.remove(it)  # it is gone already
    told = event(path, flags)
    found = list(watchers.wanting(told))
    expected = [
        it for it in made if it not in gone and wants(it.path, told, is_recursive=it.is_recursive)
    ]
    assert len(found) == len(expected)
    assert set(found) == set(expected)
    assert set(watchers.all()) == set(made) - set(gone)
    assert watchers.count == len(made) - len(gone)


def test_an_event_is_made_json_once_for_all_unless_it_is_long() -> None:
    def taken(told: Told) -> list[list[bytes]]:
        """What each of two takes."""
        both = [watcher(b"/a"), watcher(b"/a")]
        for it in both:
            it.tell(told)
        return [list(it.take_pieces()) for it in both]

    [[one], [other]] = taken(Told(event(b"/a")))
    assert one is other
    assert one == b"".join(pieces_of(event(b"/a")))
    value = b"v" * (TEXT_BYTES_MAX + 1)
    long = replace(event(b"/a"), node=replace(ROOT_NODE, is_dir=False, value=value))
    one_pieces, other_pieces = taken(Told(long))
    assert b"".join(one_pieces) == b"".join(other_pieces) == b"".join(pieces_of(long))
    assert len(one_pieces) > 1


def test_nothing_is_left_of_those_who_went() -> None:
    watchers = Watchers()
    made = [watcher(b"/a/b/c"), watcher(b"/a/b"), watcher(b"/")]
    for it in made:
        watchers.add(it)
    for it in made:
        watchers.remove(it)
    assert watchers._root.is_empty


def test_who_watches_is_told_what_happens_there_and_what_ends_it() -> None:
    assert wants(b"/a", event(b"/a"), is_recursive=False)
    assert not wants(b"/a", event(b"/a/b"), is_recursive=False)
    assert wants(b"/a", event(b"/a/b"), is_recursive=True)
    assert not wants(b"/a", event(b"/ab"), is_recursive=True)
    assert not wants(b"/a", event(b"/a/_b"), is_recursive=True)
    assert wants(b"/a/_b", event(b"/a/_b"), is_recursive=False)
    assert wants(b"/a/b", event(b"/a", Flags.DIRECTORY_GONE), is_recursive=False)
    assert wants(b"/a/_b", event(b"/a", Flags.DIRECTORY_GONE), is_recursive=False)
    assert not wants(b"/ab", event(b"/a", Flags.DIRECTORY_GONE), is_recursive=False)
    assert not wants(b"/a/b", event(b"/a"), is_recursive=True)
    assert not wants(b"/a", event(b"/a", Flags.REFRESH), is_recursive=True)
