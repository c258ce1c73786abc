"""A retry counts once: at the same member, and at a partner that has heard of what was counted."""

import pytest

from roost.counters.changing import delete, increment
from roost.counters.environment import MemoryTrees
from roost.counters.errors import KeyReused, MalformedCounters
from roost.counters.messages import KEYS_TAKEN_MAX, Changes, decode, encode
from roost.counters.receiving import receive_changes
from roost.counters.requests import NEWEST_MAX
from roost.counters.rows import KEYS_MAX, VALUES_MAX, KeyRow
from roost.counters.sending import changes_after
from roost.counters.store import Store
from tests.counters.stores import open_store, request


def tell(source: Store, partner: Store) -> None:
    """Have a partner hear all that is durable here."""
    position = partner.heard_of(partner.owners.number_of(source.epoch)).version
    while (changes := changes_after(source, position)) is not None:
        position = receive_changes(partner, decode_changes(encode(changes))).position
    partner.perform()


def decode_changes(data: bytes) -> Changes:
    message = decode(data)
    assert isinstance(message, Changes)
    return message


def test_a_partner_that_has_heard_answers_a_retry_and_counts_nothing() -> None:
    one, two = open_store(1), open_store(2)
    increment(two, [("a", 40)])
    assert increment(one, [("a", 2), ("b", 1)], request(b"k")).values == [2, 1]
    one.perform()
    tell(one, two)
    # As it reads there: the partner knows more than who has counted.
    assert increment(two, [("a", 2), ("b", 1)], request(b"k")).values == [42, 1]
    two.perform()
    assert increment(two, [("a", 1)]).values == [43]


def test_a_partner_that_has_not_heard_counts_a_retry() -> None:
    one, two = open_store(1), open_store(2)
    increment(one, [("a", 2)], request(b"k"))
    assert increment(two, [("a", 2)], request(b"k")).values == [2]
    two.perform()
    one.perform()
    tell(one, two)
    assert increment(two, [("a", 2)], request(b"k")).values == [2], "its own answer stays"


def test_a_delete_is_answered_with_what_it_took() -> None:
    one, two = open_store(1), open_store(2)
    increment(one, [("a", 1 << 62)])
    assert delete(one, ["a", "none"], request(b"k")).values == [1 << 62, None]
    one.perform()
    tell(one, two)
    increment(two, [("a", 5)])
    assert delete(two, ["a", "none"], request(b"k")).values == [1 << 62, None]
    assert increment(two, [("a", 1)]).values == [6], "nothing was deleted again"


def test_another_request_with_the_key_of_a_partners_is_refused() -> None:
    one, two = open_store(1), open_store(2)
    increment(one, [("a", 1)], request(b"k", fingerprint=1))
    one.perform()
    tell(one, two)
    with pytest.raises(KeyReused):
        increment(two, [("b", 1)], request(b"k", fingerprint=2))


def test_the_newest_keys_of_a_message_go_with_it() -> None:
    one = open_store(1)
    for it in range(3 * KEYS_MAX):
        increment(one, [("a", 1)], request(b"%d" % it))
    one.perform()
    changes = changes_after(one, 0)
    assert changes is not None
    assert [it.key for it in changes.keys] == [
        b"%d" % it for it in range(3 * KEYS_MAX - 1, 2 * KEYS_MAX - 1, -1)
    ]
    # And of what comes behind only what is new.
    increment(one, [("a", 1)], request(b"next"))
    one.perform()
    more = changes_after(one, changes.last)
    assert more is not None
    assert [it.key for it in more.keys] == [b"next"]


def test_keys_go_to_partners_after_a_restart_too() -> None:
    trees = MemoryTrees()
    one, two = open_store(1, trees), open_store(2)
    for it in range(3):
        increment(one, [("a", 1)], request(b"%d" % it))
    one.perform()
    again = open_store(3, trees)
    tell(again, two)
    increment(two, [("a", 1)], request(b"2"))
    assert increment(two, [("a", 1)]).values == [4]


def test_a_partners_keys_are_dropped_by_count_as_others_and_are_nobody_elses_news() -> None:
    one, two, three = open_store(1), open_store(2), open_store(3)
    increment(one, [("a", 1)], request(b"k", now_s=10.0**12))  # by a clock that is far ahead
    one.perform()
    tell(one, two)
    assert two.requests.count == 1
    increment(two, [("b", 1)], request(b"own"))
    two.perform()
    tell(two, three)
    assert [three.layers.get("requests", it) is None for it in (b"own", b"k")] == [False, True]
    increment(three, [("c", 1)], request(b"c", now_s=1.0))
    assert three.requests.count == 2, "nothing is too old by another one's clock"


def test_a_delete_of_too_many_is_not_told() -> None:
    one = open_store(1)
    names = [f"n{it}" for it in range(VALUES_MAX + 1)]
    increment(one, [(it, 1) for it in names])
    delete(one, names, request(b"many"))
    delete(one, names[:1], request(b"few"))
    one.perform()
    changes = changes_after(one, 0)
    assert changes is not None
    assert b"many" not in [it.key for it in changes.keys]
    assert NEWEST_MAX > KEYS_MAX


def test_keys_have_bounds_where_they_are_decoded() -> None:
    one = open_store(1)
    increment(one, [("a", 1)])
    one.perform()
    changes = changes_after(one, 0)
    assert changes is not None
    good = KeyRow(b"k", 1, 1, changes.last)
    for bad in (
        [good] * (KEYS_TAKEN_MAX + 1),
        [KeyRow(b"", 1, 1, changes.last)],
        [KeyRow(b"k" * 129, 1, 1, changes.last)],
        [KeyRow(b"k", -1, 1, changes.last)],
        [KeyRow(b"k", 1, 1, changes.last + 1)],
        [KeyRow(b"k", 1, 1, changes.last, ["many"])],
        [KeyRow(b"k", 1, 1, changes.last, [None] * (VALUES_MAX + 1))],
    ):
        said = Changes(
            epoch=changes.epoch,
            first=changes.first,
            last=changes.last,
            epochs=changes.epochs,
            parts=changes.parts,
            keys=bad,
        )
        with pytest.raises(MalformedCounters):
            decode(encode(said))
