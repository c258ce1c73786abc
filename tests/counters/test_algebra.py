"""The laws of counters, before anything is built on them."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.counters import algebra
from roost.counters.algebra import VALUE_MAX, VALUE_MIN, Counter, Part, Seen, Tombstone
from roost.counters.errors import BadChange, CounterOverflow
from tests.counters.worlds import FOLD, World, fold_parts

COUNT = 3
members = st.integers(0, COUNT - 1)
increments = st.tuples(st.just("increment"), members, st.integers(-9, 9))
deletes = st.tuples(st.just("delete"), members, st.just(0))
sends = st.tuples(st.just("send"), members, members)
replays = st.tuples(st.just("replay"), members, st.integers(0, 50))
stories = st.lists(st.one_of(increments, deletes, sends, replays), max_size=30)


def play(world: World, story: list[tuple[str, int, int]]) -> None:
    for kind, number, other in story:
        match kind:
            case "increment":
                world.increment(number, other)
            case "delete":
                world.delete(number)
            case "level":
                world.exchange()
            case "send":
                world.deliver(world.send(number), other)
            case _:
                if world.sent:
                    world.deliver(world.sent[other % len(world.sent)], number)
        world.check()


@st.composite
def states(draw: Callable[..., object]) -> list[Counter]:
    """States of one counter that members have been in, of one and the same history."""
    world = World(COUNT)
    found = []
    story = draw(stories)
    assert isinstance(story, list)
    for step in story:
        play(world, [step])
        found += [it.counter.copy() for it in world.members]
    return found or [Counter()]


@given(st.data())
def test_merging_is_commutative_associative_and_idempotent(data: st.DataObject) -> None:
    found = data.draw(states())
    one, two, three = (data.draw(st.sampled_from(found)) for _ in range(3))
    assert algebra.merged(one, two) == algebra.merged(two, one)
    left = algebra.merged(algebra.merged(one, two), three)
    assert left == algebra.merged(one, algebra.merged(two, three))
    assert algebra.merged(one, one) == one
    assert algebra.merged(algebra.merged(one, two), two) == algebra.merged(one, two)


@given(stories)
def test_every_order_and_repetition_of_arrival_reads_the_same(
    story: list[tuple[str, int, int]],
) -> None:
    world = World(COUNT)
    play(world, story)
    world.exchange()
    world.check_all()
    first = world.members[0].counter
    assert all(it.counter == first for it in world.members)


def test_a_delete_takes_exactly_what_it_saw_and_an_increment_that_it_did_not_see_survives() -> None:
    world = World(2)
    world.increment(0, 5)
    world.increment(1, 7)
    world.deliver(world.send(1), 0)
    world.delete(0)
    world.increment(1, 3)
    world.exchange()
    world.check_all()
    assert [algebra.reading(it.counter) for it in world.members] == [3, 3]


def test_two_deletes_are_one() -> None:
    world = World(2)
    world.increment(0, 5)
    world.exchange()
    world.delete(0)
    world.delete(1)
    world.exchange()
    assert algebra.reading(world.members[1].counter) is None
    world.increment(1, 4)
    world.exchange()
    assert [algebra.reading(it.counter) for it in world.members] == [4, 4]


def test_who_hears_of_a_delete_knows_of_those_that_its_deleter_knew_of() -> None:
    world = World(3)
    world.increment(2, 5)
    for number in (0, 1):
        world.deliver(world.send(2), number)
    world.delete(2)
    world.deliver(world.send(2), 0)
    world.increment(0, 7)
    world.delete(0)
    world.deliver(world.send(0), 1)
    assert algebra.reading(world.members[1].counter) is None


def test_a_counter_that_was_deleted_does_not_exist_and_one_of_zero_does() -> None:
    world = World(1)
    world.increment(0, 0)
    assert algebra.reading(world.members[0].counter) == 0
    world.delete(0)
    assert algebra.reading(world.members[0].counter) is None
    assert algebra.deleted(world.members[0].counter, 0, 9) is None


@pytest.mark.parametrize(("held", "change"), [(VALUE_MAX, 1), (VALUE_MIN, -1), (1, VALUE_MAX)])
def test_a_part_never_leaves_its_range(held: int, change: int) -> None:
    with pytest.raises(CounterOverflow):
        algebra.incremented(Part(held, 1), change, 2)


@pytest.mark.parametrize("change", [VALUE_MAX + 1, VALUE_MIN - 1])
def test_a_change_is_a_number_of_64_bits(change: int) -> None:
    with pytest.raises(BadChange):
        algebra.incremented(None, change, 1)


def test_a_part_reaches_both_ends_of_its_range_and_a_sum_goes_beyond() -> None:
    assert algebra.incremented(Part(VALUE_MAX - 1, 1), 1, 2).value == VALUE_MAX
    assert algebra.incremented(Part(VALUE_MIN + 1, 1), -1, 2).value == VALUE_MIN
    counter = Counter({it: Part(VALUE_MAX, 1) for it in range(5)})
    assert algebra.reading(counter) == 5 * VALUE_MAX


purges = st.tuples(st.just("purge"), st.sets(members), st.just(0))
later = st.tuples(st.just("late"), members, st.just(0))
levels = st.tuples(st.just("level"), st.just(0), st.just(0))


@settings(max_examples=200)
@given(st.lists(st.one_of(increments, deletes, sends, levels, purges, later), max_size=40))
def test_what_a_purge_removes_was_of_no_use_to_anybody(
    story: list[tuple[str, object, int]],
) -> None:
    """Whoever sweeps first reads the same as whoever sweeps last, or never."""
    world = World(COUNT)
    proofs: list[dict[int, int]] = []
    for kind, who, other in story:
        if kind == "purge":
            assert isinstance(who, set)
            proofs.append(world.known())
            for number in sorted(who):
                world.bury(number, proofs[-1])
                world.sweep(number, proofs[-1])
        elif kind == "late" and proofs:
            assert isinstance(who, int)
            for proof in proofs:  # somebody who was away carries out all of them
                world.bury(who, proof)
                world.sweep(who, proof)
        elif kind != "late":
            assert isinstance(who, int)
            play(world, [(kind, who, other)])
        world.check()
    world.exchange()
    world.check_all()


def test_two_rounds_leave_nothing_of_what_was_deleted() -> None:
    world = World(COUNT)
    for number in range(COUNT):
        world.increment(number, 5)
    world.exchange()
    world.delete(0)
    world.delete(2)
    for _round in range(2):
        world.exchange()
        known = world.known()
        for number in range(COUNT):
            world.bury(number, known)
            world.sweep(number, known)
    assert all(it.counter.is_empty for it in world.members)
    world.increment(1, 2)
    world.exchange()
    assert [algebra.reading(it.counter) for it in world.members] == [2, 2, 2]


def test_a_tombstone_that_was_on_its_way_takes_nothing_of_a_later_life() -> None:
    world = World(2)
    world.increment(1, 10)
    world.exchange()
    world.delete(0)
    late = world.send(0)
    world.delete(1)
    world.exchange()
    for _round in range(2):
        for number in (0, 1):
            world.bury(number, world.known())
        world.exchange()
        world.sweep(1, world.known())
    world.increment(1, 3)
    world.members[1].counter = algebra.merged(world.members[1].counter, late.counter)
    assert algebra.reading(world.members[1].counter) == 3


def test_what_is_not_known_everywhere_is_not_removed() -> None:
    counter = Counter({0: Part(5, 4)}, {1: Tombstone(7, {0: Seen(5, 4)})})
    for known in ({0: 3, 1: 7}, {0: 4, 1: 6}, {}):
        assert algebra.buried(counter, 0, 9, known) is None
        assert algebra.swept(counter, known) == counter
    assert algebra.buried(counter, 0, 9, {0: 4, 1: 7}) == Part(0, 9, 9)
    gone = Counter({0: Part(0, 9, 9)}, counter.tombstones)
    assert algebra.reading(gone) is None
    assert algebra.swept(gone, {0: 8, 1: 7}) == gone
    assert algebra.swept(gone, {0: 9, 1: 6}) == Counter({}, counter.tombstones)
    assert algebra.swept(gone, {0: 9, 1: 7}).is_empty
    assert algebra.buried(Counter({0: Part(5, 5)}, counter.tombstones), 0, 9, {0: 9, 1: 9}) is None


begins = st.tuples(st.just("begin"), members, st.just(0))


@settings(max_examples=200)
@given(
    st.lists(st.one_of(increments, deletes, sends), max_size=25),
    st.lists(st.one_of(increments, deletes, sends, replays, begins), max_size=25),
    st.lists(st.one_of(increments, deletes, sends, replays, begins), max_size=25),
    st.lists(st.one_of(increments, deletes, sends, begins), max_size=15),
    st.integers(1, 2),
)
def test_a_fold_means_the_same_before_and_after_whatever_deletes_are_on_their_way(
    before: list[tuple[str, int, int]],
    begun: list[tuple[str, int, int]],
    ended: list[tuple[str, int, int]],
    later: list[tuple[str, int, int]],
    dead_count: int,
) -> None:
    world = World(COUNT)
    play(world, before)
    dead = list(range(COUNT - dead_count, COUNT))
    alive = [it for it in range(COUNT) if it not in dead]
    # Survivors have the same parts of the dead before the fold begins; not the same tombstones.
    for number in dead:
        last = world.send(number)
        for other in range(COUNT):
            world.deliver(last, other)
    begun_at = {}
    for kind, number, other in begun:
        if kind == "begin" and number in alive and number not in begun_at:
            world.begin_fold(number, dead)
            begun_at[number] = world.members[number].version
        elif number in alive and kind != "begin":
            play(world, [(kind, number, other)])
    for number in alive:
        if number not in begun_at:
            world.begin_fold(number, dead)
            begun_at[number] = world.members[number].version
    # It ends when all have heard of all deletes from before it began at their deleter.
    world.exchange(alive)
    world.members = world.members[: len(alive)]
    world.count = len(alive)
    for kind, number, other in ended:
        if number in alive and kind == "begin":
            world.end_fold(number)
        elif number in alive and (kind != "send" or other in alive):
            play(world, [(kind, number, other)])
    for number in alive:
        world.end_fold(number)
        world.check()
    for kind, number, other in later:
        if number in alive and kind == "begin":
            world.forget_fold(number)
            world.sweep(
                number, {it: min(who.heard.get(it, 0) for who in world.members) for it in alive}
            )
            world.check()
        elif number in alive and (kind != "send" or other in alive):
            play(world, [(kind, number, other)])
    world.exchange()
    upto = {**world.members[0].upto}
    for member in world.members:
        assert algebra.reading(member.counter) == world.expected(member)
        assert member.upto == upto
        assert not member.counter.parts.keys() & set(dead)
    values = {it.value for it in fold_parts(world) if it is not None}
    assert len(values) <= 1


def test_a_delete_from_before_a_fold_ended_deletes_its_part() -> None:
    world = World(3)
    world.increment(2, 10)
    world.exchange()
    for number in (0, 1):
        world.begin_fold(number, [2])
    world.delete(0)
    late = world.send(0)
    world.end_fold(1)
    assert world.members[1].counter.parts == {FOLD: Part(10, 1)}
    world.deliver(late, 1)
    world.end_fold(0)
    assert [algebra.reading(it.counter) for it in world.members[:2]] == [None, None]


def test_a_tombstone_from_behind_a_fold_replaces_none_that_one_before_it_needs() -> None:
    """Found by the swarm: seed 57 of 2026-11-26."""
    world = World(3)
    world.increment(2, 10)
    world.exchange()
    world.delete(0)
    world.exchange()
    for number in (0, 1):
        world.begin_fold(number, [2])
    world.end_fold(0)
    world.increment(0, 5)
    world.delete(0)
    world.deliver(world.send(0), 1)
    world.end_fold(1)
    assert [algebra.reading(it.counter) for it in world.members[:2]] == [None, None]


def test_the_part_of_a_fold_may_be_larger_than_64_bits() -> None:
    counter = Counter({0: Part(VALUE_MAX, 3), 1: Part(VALUE_MAX, 8), 2: Part(1, 1)})
    found = algebra.folded(counter, FOLD, {0: FOLD, 1: FOLD})
    assert found.parts == {2: Part(1, 1), FOLD: Part(2 * VALUE_MAX, 1)}


def test_a_delete_after_a_sweep_brings_no_part_of_a_fold_back() -> None:
    """Found by the swarm: seed 192 of 2026-11-26."""
    world = World(3)
    world.increment(2, 10)
    world.exchange()
    for number in (0, 1):
        world.begin_fold(number, [2])
    world.end_fold(1)
    world.delete(0)
    world.end_fold(0)
    world.exchange([0, 1])
    known = {it: world.members[it].version for it in (0, 1)}
    world.forget_fold(0)
    world.sweep(0, known)
    world.increment(0, 5)
    world.delete(0)
    world.deliver(world.send(0), 1)
    assert world.members[1].counter.parts[FOLD] == Part(10, 1)
    assert [algebra.reading(it.counter) for it in world.members[:2]] == [None, None]
