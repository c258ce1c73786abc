"""What partners say to each other: links, pages that replace, joining, and who is not believed."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from roost.counters import messages, outgoing, reading, receiving, upkeep
from roost.counters.changing import delete, increment
from roost.counters.environment import MemoryTrees
from roost.counters.errors import MalformedCounters, OwnerForked
from roost.counters.exchange import Exchange, Letter
from roost.counters.joining import Phase
from roost.counters.messages import Head, Heard, Hello, Message, Page, Purpose, Refused, WantPage
from roost.counters.outgoing import COMPARE_S, RETRY_S_MAX, Outgoing, Stage
from roost.counters.rows import ROWS_MAX, PartRow
from roost.counters.store import Store
from tests.counters.stores import open_store


def make_exchange(seed: int, store: Store | None = None, *partners: int) -> Exchange:
    made = Exchange(store or open_store(seed), lambda: 0.5)
    for it in partners:
        made.link(it, 0.0)
    return made


def deliver_all(members: dict[int, Exchange], now_s: float = 0.0) -> int:
    """Deliver until nobody says anything more; how many messages there were."""
    count = 0
    is_quiet = False
    while not is_quiet:
        letters: list[tuple[int, Letter]] = []
        for number, member in members.items():
            member.store.perform()
            letters += [(number, it) for it in member.take_messages(now_s)]
        for source, letter in letters:
            if letter.partner in members:
                members[letter.partner].on_message(source, letter.data, now_s)
        count += len(letters)
        is_quiet = not letters
    return count


def is_level(exchange: Exchange) -> bool:
    return exchange.links[2].is_level


def test_an_idle_link_tells_the_next_change_at_once() -> None:
    one, two = make_exchange(1, None, 2), make_exchange(2)
    deliver_all({1: one, 2: two})
    assert is_level(one)
    increment(one.store, [("a", 1)])
    one.store.perform()
    assert not is_level(one)
    assert len(one.take_messages(0.0)) == 1
    assert one.take_messages(0.0) == []  # the next one waits for the answer


def test_an_answer_leaves_when_what_it_promises_is_durable() -> None:
    one, two = make_exchange(1, None, 2), make_exchange(2)
    deliver_all({1: one, 2: two})
    increment(one.store, [("a", 1)])
    one.store.perform()
    (letter,) = one.take_messages(0.0)
    two.on_message(1, letter.data, 0.0)
    assert two.take_messages(0.0) == []
    two.store.perform()
    (answer,) = two.take_messages(0.0)
    one.on_message(2, answer.data, 0.0)
    assert one.links[2].is_level


def link_of(store: Store, dice: Callable[[], float] = lambda: 0.5) -> Outgoing:
    return Outgoing(store, dice, 0.0)


def test_a_partner_that_does_not_answer_is_asked_later_and_later_but_never_too_late() -> None:
    link = link_of(open_store())
    now_s = 0.0
    pauses: list[float] = []
    while len(pauses) < 12:
        asked_s = now_s
        assert isinstance(link.next_message(now_s), Hello)
        now_s += outgoing.ANSWER_S
        while link.status(now_s).stage is not Stage.ASKING or link.next_message(now_s) is None:
            now_s += 0.01
        pauses.append(now_s - asked_s - outgoing.ANSWER_S)
        link.on_down(now_s, "gone")
        now_s += RETRY_S_MAX
    assert pauses[0] < 0.5
    assert max(pauses) <= RETRY_S_MAX + 0.1
    assert link.last_error == "gone"


def test_a_link_tries_at_once_when_its_partner_is_up() -> None:
    link = link_of(open_store())
    for _failure in range(20):
        link.on_down(0.0, "gone")
    assert link.next_message(1.0) is None
    link.on_up(1.0)
    assert isinstance(link.next_message(1.0), Hello)


def test_how_long_a_partner_has_been_behind_is_said() -> None:
    one, two = make_exchange(1, None, 2), make_exchange(2)
    deliver_all({1: one, 2: two}, 5.0)
    increment(one.store, [("a", 1)])
    one.store.perform()
    status = one.links[2].status(9.0)
    assert (status.position, status.behind_s) == (0, 4.0)


def test_a_partner_that_has_something_else_is_told_everything_again() -> None:
    one, two = make_exchange(1, None, 2), make_exchange(2)
    increment(one.store, [(f"n{it}", it) for it in range(3 * ROWS_MAX)])
    delete(one.store, ["n5"])
    deliver_all({1: one, 2: two})
    number = two.store.owners.number_of(one.store.epoch)
    for key, part in ((b"n1", None), (b"n7", two.store.layers.parts(b"n8")[number])):
        two.store.stage_part(key, number, part, two.store.layers.parts(key))
    two.store.stage_part(b"zzz", number, part, {})
    deliver_all({1: one, 2: two}, COMPARE_S - 1)
    assert reading.read(two.store, ["zzz"]) != [None]
    deliver_all({1: one, 2: two}, COMPARE_S)
    deliver_all({1: one, 2: two}, COMPARE_S + 1)
    assert two.differed_count == 1
    assert reading.read(two.store, ["n1", "n5", "zzz"]) == [1, None, None]
    assert two.store.digest(one.store.epoch) == one.store.digest(one.store.epoch)


def test_who_missed_what_was_purged_without_him_gets_it_replaced() -> None:
    """As after a forced purge: the delete came, was purged, and nothing of it is told any more."""
    one, two = make_exchange(1, None, 2), make_exchange(2)
    increment(one.store, [("a", 10), ("b", 1)])
    deliver_all({1: one, 2: two})
    delete(one.store, ["a"])
    for _round in range(2):
        upkeep.purge_slice(one.store, {one.store.epoch: one.store.version})
        one.store.perform()
    assert one.store.trees.count("parts") == 1
    assert one.store.trees.count("tombstones") == 0
    assert reading.read(two.store, ["a"]) == [10]
    deliver_all({1: one, 2: two})
    assert reading.read(two.store, ["a", "b"]) == [None, 1]


def page_of(store: Store, epoch: bytes, base: int, names: range) -> Page:
    """A page of all that an owner has: one of each name."""
    parts = [PartRow(b"n%05d" % it, 0, 1, it + 1, 0) for it in names]
    heads = [Head(epoch, base)]
    return Page(purpose=Purpose.REPLACE, epoch=epoch, after=b"", until=b"", heads=heads,
                epochs=[epoch], parts=parts)  # fmt: skip


@pytest.mark.parametrize("is_retried", [True, False])
def test_a_page_of_all_names_is_taken_over_turns(*, is_retried: bool) -> None:
    """One without a row was one of 200,000 names that were here: a step of 0.5 s."""
    count, epoch = 5 * receiving.STEP_NAMES, b"e" * 16
    two = make_exchange(2)
    for begin in range(0, count, 512):
        increment(two.store, [(f"n{it:05}", 1) for it in range(begin, begin + 512)])
    two.store.perform()
    two.on_message(3, messages.encode(Hello(epoch=epoch, version=9, opening=1, nonce=1)), 0.0)
    for kept in (range(3 * receiving.STEP_ROWS), range(0)):
        whole = page_of(two.store, epoch, 1 << 20, kept)
        rest: Page | None = whole
        rows_left, steps = [len(whole.parts)], 0
        while rest is not None:
            rest = two.take(3, rest, 0.0)
            steps += 1
            rows_left.append(0 if rest is None else len(rest.parts))
            if is_retried and steps == 2:
                rest = whole  # no answer has come for long
                rows_left.append(len(whole.parts))
        assert steps >= count // receiving.STEP_NAMES
        taken = [before - after for before, after in pairwise(rows_left)]
        assert max(taken) <= receiving.STEP_ROWS
        two.store.perform()
        told = [messages.decode(it.data) for it in two.take_messages(0.0)]
        assert [it.version for it in told if isinstance(it, Heard)][-1] == 1 << 20
        assert two.store.digest(epoch).count == len(kept)
        assert reading.read(two.store, ["n00000", "n01600"]) == [1 + bool(kept), 1]


def test_an_old_state_of_a_directory_says_so_itself() -> None:
    trees = MemoryTrees()
    one, two = make_exchange(1, open_store(1, trees), 2), make_exchange(2)
    old = trees.copy()
    increment(one.store, [("a", 1)])
    deliver_all({1: one, 2: two})
    back = make_exchange(1, open_store(3, old), 2)
    # It was opened once more than the one that went on, and was not as far then.
    again = make_exchange(1, open_store(4, old), 2)
    deliver_all({1: again, 2: two})
    assert again.links[2].stage is Stage.REFUSED
    assert "old state" in again.links[2].last_error
    # And where a partner takes it for the one that went on, it knows better itself.
    with pytest.raises(OwnerForked, match="old state"):
        again.links[2].on_heard(Heard(again.store.epoch, 1), 0.0)
    del back


def test_a_copy_of_a_directory_is_not_believed() -> None:
    trees = MemoryTrees()
    open_store(1, trees)
    copied = trees.copy()
    one, two = make_exchange(1, open_store(1, trees), 2), make_exchange(2)
    deliver_all({1: one, 2: two})
    other = make_exchange(3, open_store(5, copied), 2)
    deliver_all({3: other, 2: two})
    assert other.links[2].stage is Stage.REFUSED
    assert "copy" in other.links[2].last_error
    other.links[2].on_up(9.0)
    assert other.take_messages(9.0) == []
    hello = Hello(epoch=one.store.epoch, version=0, opening=1, nonce=2)
    with pytest.raises(OwnerForked, match="copied"):
        one.on_message(3, messages.encode(hello), 0.0)


def test_an_answer_to_an_earlier_opening_is_none() -> None:
    """Found by the simulator: the partner did not know of the later one, and was told changes."""
    store = open_store(1, MemoryTrees())
    increment(store, [("a", 1)])
    store.perform()
    link = link_of(store)
    assert isinstance(link.next_message(0.0), Hello)
    link.on_heard(Heard(store.epoch, 0, store.opening.nonce - 1), 0.0)
    assert link.status(0.0).stage is Stage.ASKING
    link.on_heard(Heard(store.epoch, 0, store.opening.nonce), 0.0)
    assert link.status(0.0).stage is Stage.SENDING


def test_what_was_said_of_an_earlier_opening_stops_nobody() -> None:
    """Found by the swarm: a question that was late, and was answered when a later one was known."""
    store = open_store(1, MemoryTrees())
    link = link_of(store)
    link.on_refused(Refused(epoch=store.epoch, text="opened before", opening=7, nonce=1))
    assert link.status(0.0).stage is Stage.ASKING
    number, nonce = store.opening.number, store.opening.nonce
    link.on_refused(Refused(epoch=store.epoch, text="a copy", opening=number, nonce=nonce))
    assert link.status(0.0).stage is Stage.REFUSED


def test_who_was_retired_is_refused_by_name() -> None:
    one, two = make_exchange(1, None, 2), make_exchange(2)
    two.retired.add(one.store.epoch)
    deliver_all({1: one, 2: two})
    assert one.links[2].stage is Stage.REFUSED
    assert one.store.epoch.hex() in one.links[2].last_error


def test_a_new_member_is_fed_and_silent_until_it_has_everything() -> None:
    old, gone, new = make_exchange(1, None, 2), make_exchange(9, None, 1), make_exchange(2)
    increment(gone.store, [("of the dead", 7)])
    increment(old.store, [(f"n{it:05}", it) for it in range(2 * ROWS_MAX)])
    deliver_all({1: old, 9: gone})
    new.joining.begin(is_silent=True)
    new.seed = 1
    assert new.joining.progress().phase is Phase.FEEDING
    members = {1: old, 2: new}
    phases = []
    for turn in range(60):
        for number, member in members.items():
            member.store.perform()
            for letter in member.take_messages(turn):
                if letter.partner in members:
                    members[letter.partner].on_message(number, letter.data, turn)
        new.joining.look([old.store.epoch])
        phases.append(new.joining.phase)
        progress = new.joining.progress()
        assert progress.phase is new.joining.phase
        assert (progress.share == 1.0) or progress.phase is Phase.FEEDING
    assert [it for at, it in enumerate(phases) if it not in phases[:at]][-1] is Phase.SILENT
    assert Phase.READY not in phases
    assert progress.rows_count >= 2 * ROWS_MAX
    new.joining.serve()
    assert new.joining.progress().phase is Phase.READY
    assert reading.read(new.store, ["of the dead", "n00007"]) == [7, 7]


def test_feeding_goes_on_where_it_was_after_a_crash_and_from_another_seed() -> None:
    trees = MemoryTrees()
    one, two = make_exchange(1, None, 2), make_exchange(2, None, 1)
    increment(one.store, [(f"n{it:05}", 1) for it in range(3 * ROWS_MAX)])
    deliver_all({1: one, 2: two})
    new = make_exchange(3, open_store(3, trees))
    new.joining.begin()
    pages = []
    for seed in (one, two):
        want = new.joining.pull.next_message(0.0)
        assert want is not None
        pages.append(want.after)
        seed.on_message(3, messages.encode(want), 0.0)
        (letter,) = [it for it in seed.take_messages(0.0) if it.partner == 3]
        new.on_message(1, letter.data, 0.0)
        new.on_message(1, letter.data, 0.0)  # twice is once
        new.store.perform()
        new = make_exchange(3, open_store(3, trees))
        assert new.joining.phase is Phase.FEEDING
    assert pages == [b"", b"n%05d" % (ROWS_MAX - 1)]
    assert new.joining.pull.after == b"n%05d" % (2 * ROWS_MAX - 1)


@pytest.mark.parametrize(
    "message",
    [
        WantPage(purpose=Purpose.REPLACE, epoch=b"x" * 16, after=b""),
        messages.Changes(epoch=b"x" * 16, first=2, last=2, epochs=[]),
    ],
)
def test_what_nobody_says_ends_the_connection(message: Message) -> None:
    with pytest.raises(MalformedCounters):
        make_exchange(1).on_message(2, messages.encode(message), 0.0)


def test_ones_own_changes_do_not_come_back() -> None:
    one = make_exchange(1)
    changes = messages.Changes(epoch=one.store.epoch, first=0, last=1, epochs=[])
    with pytest.raises(MalformedCounters):
        one.on_message(2, messages.encode(changes), 0.0)
