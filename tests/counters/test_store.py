"""One member's counters: what is durable when, what is refused, and what a retry is told."""

import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from roost.counters import messages, reading, receiving, sending
from roost.counters.algebra import VALUE_MAX
from roost.counters.changing import delete, increment
from roost.counters.environment import MemoryTrees, Trees
from roost.counters.errors import (
    BadChange,
    BadCounterName,
    CounterOverflow,
    CounterStoreError,
    CounterStoreForeign,
    KeyReused,
    OwnerForked,
)
from roost.counters.requests import CHANGES_MAX
from roost.counters.rows import ROWS_MAX
from roost.counters.standing import Opening
from roost.counters.store import OPENINGS_KEPT, Store
from tests.counters.stores import FailingTrees, entropy, limits, make_trees, open_store, request
from tests.steps import Steps


@pytest.fixture(params=["memory", "logged"])
def trees(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Trees]:
    made = make_trees(request.param, tmp_path / "counters.1")
    yield made
    made.close()


def test_what_was_counted_is_read_when_it_is_durable(trees: Trees) -> None:
    store = open_store(trees=trees)
    answer = increment(store, [("a", 5), ("b", -2), ("a", 1)])
    assert answer.values == [6, -2, 6]
    assert answer.step > store.durable_step
    assert reading.read(store, ["a", "b", "c"]) == [None, None, None]
    store.perform()
    assert answer.step == store.durable_step
    assert reading.read(store, ["a", "b", "c"]) == [6, -2, None]


def test_everything_that_comes_while_the_disk_is_busy_shares_one_step(trees: Trees) -> None:
    store = open_store(trees=trees)
    first = increment(store, [("a", 1)])
    step = store.take_step()
    assert step is not None
    answers = [increment(store, [("a", 1)]), increment(store, [("b", 1)])]
    assert [it.values for it in answers] == [[2], [1]]
    assert store.take_step() is None
    store.write(step)
    store.finish(step)
    assert store.durable_step == first.step
    assert reading.read(store, ["a", "b"]) == [1, None]
    assert {it.step for it in answers} == {first.step + 1}
    store.perform()
    assert reading.read(store, ["a", "b"]) == [2, 1]
    store.invariants()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ([("a", 1), ("b\n", 1)], BadCounterName),
        ([("a", 1), ("full", 1)], CounterOverflow),
        ([("a", 1), ("a", 1 << 70)], BadChange),
        ([("a", 1)] * (CHANGES_MAX + 1), BadChange),
    ],
)
def test_a_request_happens_as_a_whole_or_not_at_all(
    changes: list[tuple[str, int]], error: type[Exception]
) -> None:
    store = open_store()
    increment(store, [("full", VALUE_MAX)])
    store.perform()
    version = store.version
    with pytest.raises(error):
        increment(store, changes)
    assert store.take_step() is None
    assert store.version == version
    assert increment(store, [("a", 1)]).values == [1]


def test_a_retry_is_answered_as_the_first_time_and_changes_nothing(trees: Trees) -> None:
    store = open_store(trees=trees)
    assert increment(store, [("a", 5)], request()).values == [5]
    increment(store, [("a", 1)])
    assert increment(store, [("a", 5)], request()).values == [5]
    store.perform()
    assert increment(store, [("a", 5)], request()).values == [5]
    with pytest.raises(KeyReused):
        increment(store, [("a", 6)], request(fingerprint=2))
    again = open_store(trees=trees)
    assert increment(again, [("a", 5)], request()).values == [5]
    assert delete(again, ["a"], request(b"delete")).values == [6]
    assert delete(again, ["a"], request(b"delete")).values == [6]
    with pytest.raises(BadChange):
        increment(again, [("a", 1)], request(b""))


def test_an_answer_that_was_larger_than_64_bits_is_remembered() -> None:
    one, two = open_store(1), open_store(2)
    increment(two, [("a", VALUE_MAX)])
    hand_over(two, one)
    assert increment(one, [("a", VALUE_MAX)], request()).values == [2 * VALUE_MAX]
    one.perform()
    assert increment(one, [("a", VALUE_MAX)], request()).values == [2 * VALUE_MAX]


def test_keys_are_dropped_by_count_and_by_age(trees: Trees) -> None:
    store = Store.open(trees, entropy(), limits=limits(3))
    for number in range(5):
        increment(store, [("a", 1)], request(b"%d" % number, now_s=number))
        store.perform()
    assert store.requests.count == trees.count("requests") == trees.count("requested") == 3
    assert increment(store, [("a", 1)], request(b"4")).values == [5]
    assert increment(store, [("a", 1)], request(b"0", now_s=103.5)).values == [6]
    store.perform()
    assert store.requests.count == 2  # the new one, and what came less than 100 s before
    again = Store.open(trees, entropy(), limits=limits(3))
    assert again.requests.count == 2
    assert increment(again, [("a", 1)], request(b"4")).values == [5]


def test_a_counter_that_was_deleted_is_not_there_until_it_counts_again(trees: Trees) -> None:
    store = open_store(trees=trees)
    increment(store, [("a", 5), ("b", 1)])
    assert delete(store, ["a", "none"]).values == [5, None]
    assert increment(store, [("a", 2)]).values == [2]
    store.perform()
    delete(store, ["b"])
    store.perform()
    assert reading.read(store, ["a", "b"]) == [2, None]
    assert reading.read_raw(store, "a") == {store.epoch: 2}
    again = open_store(trees=trees)
    assert reading.search(again).rows == [("a", 2)]


def test_names_are_listed_by_prefix_in_pages(trees: Trees) -> None:
    store = open_store(trees=trees)
    increment(store, [(f"users/{it:02}", it) for it in range(20)] + [("aaa", 1), ("zzz", 1)])
    increment(store, [("users/Zäh", 7)])
    delete(store, [f"users/{it:02}" for it in range(5, 15)])
    store.perform()
    found: list[tuple[str, int]] = []
    after: str | None = ""
    while after is not None:
        page = reading.search(store, "users/", after, 4)
        assert len(page.rows) <= 4
        found += page.rows
        after = page.after
    wanted = [(f"users/{it:02}", it) for it in (*range(5), *range(15, 20))]
    assert found == [*wanted, ("users/Zäh", 7)]


def test_what_many_have_counted_is_read_in_steps(
    trees: Trees, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 14: each owner has a register in each counter, and a step looked at all of them."""
    monkeypatch.setattr(reading, "REGISTERS_A_STEP", 6)
    store = open_store(trees=trees)
    wanted = [f"n{it}" for it in range(7)]
    increment(store, [(it, 1) for it in wanted])
    store.perform()
    found: list[int | None] = []
    steps = 0
    while len(found) < len(wanted):
        some = reading.read_some(store, wanted[len(found) :])
        assert 1 <= len(some) <= 3, "a counter costs a look, and one for its register"
        found += some
        steps += 1
    assert (found, steps) == ([1] * 7, 3)
    page = reading.search(store)
    assert (page.rows, page.after) == ([(it, 1) for it in wanted[:3]], "n2")
    assert reading.search(store, after="n5").rows == [("n6", 1)]


def test_the_next_opening_has_everything_and_another_number(trees: Trees) -> None:
    store = open_store(1, trees)
    increment(store, [("a", 1)])
    store.perform()
    increment(store, [("a", 1)])  # never durable
    again = open_store(2, trees)
    assert (again.epoch, again.version) == (store.epoch, 1)
    assert again.opening.number == store.opening.number + 1
    assert again.opening.nonce != store.opening.nonce
    assert reading.read(again, ["a"]) == [1]


def test_another_format_is_refused(trees: Trees) -> None:
    open_store(trees=trees)
    trees.commit({"meta": {b"format": b"9"}})
    trees.refresh()
    with pytest.raises(CounterStoreForeign):
        open_store(trees=trees)


def hand_over(source: Store, target: Store) -> int:
    """Everything that the target lacks, message by message; how many there were."""
    source.perform()
    count = 0
    while True:
        number = target.owners.number_of(source.epoch)
        position = target.heard[number].version if number in target.heard else 0
        changes = sending.changes_after(source, position)
        if changes is None:
            return count
        message = messages.decode(messages.encode(changes))
        assert isinstance(message, messages.Changes)
        assert receiving.receive_changes(target, message).is_taken
        target.perform()
        count += 1


def test_a_partner_gets_each_counter_once_however_often_it_changed(trees: Trees) -> None:
    one, two = open_store(1, trees), open_store(2)
    for number in range(50):
        increment(one, [("a", 1), (f"n{number % 3}", 2)])
        one.perform()
    assert sending.backlog(one, 0).count == trees.count("changed") == 4
    assert hand_over(one, two) == 1
    assert reading.read(two, ["a", "n0", "n1", "n2"]) == [50, 34, 34, 32]
    assert sending.backlog(one, one.version) == sending.Backlog(0, is_more=False)
    assert sending.backlog(one, 0, 2) == sending.Backlog(2, is_more=True)
    assert two.digest(one.epoch) == one.digest(one.epoch)


def test_a_backlog_goes_in_messages_of_bounded_size_and_in_order(trees: Trees) -> None:
    one, two = open_store(1, trees), open_store(2)
    increment(one, [(f"n{it}", it) for it in range(3000)])
    delete(one, ["n7"])
    assert hand_over(one, two) == -(-3001 // ROWS_MAX)
    assert reading.search(two, limit=2).rows == [("n0", 0), ("n1", 1)]
    assert reading.read(two, ["n7", "n2999"]) == [None, 2999]
    assert two.digest(one.epoch) == one.digest(one.epoch)


def test_of_many_partners_that_are_behind_as_much_is_read_as_of_one(trees: Trees) -> None:
    """Of each up to a thousand rows were, in one step, whenever somebody asked for figures."""
    store = open_store(trees=trees)
    increment(store, [(f"n{it}", 1) for it in range(300)])
    store.perform()
    positions = [*range(0, 300, 5), 300]
    with Steps() as steps:
        found = sending.backlogs(store, positions, 200)
    assert steps.count < 2500 + 60 * len(positions)
    for it in positions:
        lacks = 300 - it
        assert found[it] == sending.Backlog(min(lacks, 200), is_more=lacks > 200)
        assert sending.backlog(store, it, 200) == found[it]


def test_what_comes_twice_late_or_out_of_order_changes_nothing() -> None:
    one, two = open_store(1), open_store(2)
    told = []
    for _round in range(3):
        increment(one, [("a", 1)])
        one.perform()
        told.append(sending.changes_after(one, one.version - 1))
    for number in (1, 0, 0, 2, 1, 1, 0, 2):
        message = told[number]
        assert message is not None
        receiving.receive_changes(two, message)
        two.perform()
    assert reading.read(two, ["a"]) == [3]
    hand_over(one, two)
    assert reading.read(two, ["a"]) == [3]


def test_only_what_is_durable_is_told() -> None:
    one = open_store(1)
    increment(one, [("a", 1)])
    assert sending.changes_after(one, 0) is None
    one.perform()
    assert sending.changes_after(one, 0) is not None


def test_an_old_state_of_a_directory_is_found_out_by_whoever_heard_a_later_one() -> None:
    trees = MemoryTrees()
    one, two = open_store(1, trees), open_store(2)
    increment(one, [("a", 1)])
    one.perform()
    old = trees.copy()
    increment(one, [("a", 1)])
    hand_over(one, two)
    back = open_store(3, old)
    with pytest.raises(OwnerForked, match="old state"):
        back.check_echo(two.heard[two.owners.number_of(one.epoch)].version)


def test_a_copied_directory_is_found_out_by_its_openings() -> None:
    trees = MemoryTrees()
    one = open_store(1, trees)
    copied = trees.copy()
    partner = open_store(2)
    partner.meet(one.epoch, one.opening)
    other = open_store(3, copied)
    partner.meet(other.epoch, other.opening)  # it may have been started again
    with pytest.raises(OwnerForked, match="copy"):
        partner.meet(one.epoch, one.opening)
    again = open_store(4, trees)
    assert again.opening.number == other.opening.number
    with pytest.raises(OwnerForked):
        partner.meet(again.epoch, again.opening)


def test_two_states_of_one_version_are_found_out() -> None:
    trees = MemoryTrees()
    open_store(1, trees)
    copied = trees.copy()
    one, other, partner = open_store(2, trees), open_store(3, copied), open_store(4)
    increment(one, [("a", 1)])
    hand_over(one, partner)
    increment(other, [("a", 2)])
    other.perform()
    told = sending.changes_after(other, 0)
    assert told is not None
    owner = partner.owners.number_of(other.epoch)
    partner.heard[owner].version = 0
    with pytest.raises(OwnerForked, match="two states"):
        receiving.receive_changes(partner, told)


def test_of_two_states_of_one_version_all_who_are_left_come_to_the_same() -> None:
    """The survivors of an owner that is gone, and was copied, all stopped when they had united."""
    trees = MemoryTrees()
    founder = open_store(1, trees)
    increment(founder, [("a", 1), ("gone", 5)])
    founder.perform()
    copied = trees.copy()
    one, other = open_store(2, trees), open_store(3, copied)
    stores = [open_store(4), open_store(5)]
    for source, partner, change in ((one, stores[0], 2), (other, stores[1], 7)):
        increment(source, [("a", change)])
        delete(source, ["gone"])
        hand_over(source, partner)
    increment(stores[1], [("b", 1)])
    stores[1].perform()
    told = [sending.page(it, messages.Purpose.UNION, b"", [], founder.epoch) for it in stores]
    for partner, page in zip(stores, reversed(told), strict=True):
        receiving.receive_page(partner, page)
        receiving.receive_page(partner, page)
        partner.perform()
    assert [reading.read(it, ["a", "gone"]) for it in stores] == [[8, None]] * 2
    assert stores[0].digest(founder.epoch) == stores[1].digest(founder.epoch)
    assert sending.page(stores[0], messages.Purpose.UNION, b"", [], founder.epoch).parts == (
        sending.page(stores[1], messages.Purpose.UNION, b"", [], founder.epoch).parts
    )


def test_what_is_restored_counts_under_an_epoch_of_its_own() -> None:
    trees = MemoryTrees()
    one = open_store(1, trees)
    increment(one, [("a", 5)])
    one.perform()
    back = open_store(2, trees.copy(), restored=True)
    assert back.epoch != one.epoch
    assert back.version == 0
    assert reading.read(back, ["a"]) == [5]
    increment(one, [("a", 1)])
    increment(back, [("a", 10)])
    hand_over(one, back)
    hand_over(back, one)
    assert reading.read(one, ["a"]) == reading.read(back, ["a"]) == [16]
    assert reading.read_raw(back, "a") == {one.epoch: 6, back.epoch: 10}


def test_after_a_failed_write_nothing_is_promised_any_more() -> None:
    trees = FailingTrees(MemoryTrees())
    store = open_store(trees=trees)
    increment(store, [("a", 1)])
    trees.fail_at = trees.calls + 1
    with pytest.raises(CounterStoreError):
        store.perform()
    with pytest.raises(CounterStoreError, match="earlier"):
        increment(store, [("a", 1)])
    with pytest.raises(CounterStoreError, match="earlier"):
        delete(store, ["a"])
    store.close()


def test_openings_that_are_known_are_met_again() -> None:
    store = open_store()
    store.meet(b"x" * 16, Opening(3, 7))
    store.meet(b"x" * 16, Opening(3, 7))
    with pytest.raises(OwnerForked):
        store.meet(b"x" * 16, Opening(3, 8))


def test_an_old_state_is_found_out_by_how_far_it_was_when_it_was_opened() -> None:
    """It may have counted more since than it had lost: its version says nothing then."""
    partner, epoch = open_store(1), b"x" * 16
    partner.meet(epoch, Opening(3, 7, (0, 2, 4)))
    heard = partner.heard_of(partner.owners.number_of(epoch))
    heard.version = heard.told = 9
    partner.meet(epoch, Opening(4, 8, (0, 2, 4, 9)))
    with pytest.raises(OwnerForked, match="opened there at version 6"):
        partner.meet(epoch, Opening(5, 9, (0, 2, 4, 9, 6)))
    with pytest.raises(OwnerForked, match="old state"):
        partner.meet(epoch, Opening(6, 9, (6, 11)))
    # Of so many openings ago it does not say how far it was.
    partner.meet(epoch, Opening(7, 9, (11, 12)))


def test_an_old_state_that_was_opened_often_before_anybody_heard_is_found_out() -> None:
    """At its last opening it was further than it had ever told: only who opened it was another."""
    trees = MemoryTrees()
    one, partner = open_store(1, trees), open_store(2)
    increment(one, [("a", 1)])
    one.perform()
    old = trees.copy()
    one = open_store(3, trees)
    increment(one, [("a", 1)])
    partner.meet(one.epoch, one.opening)
    hand_over(one, partner)
    back = open_store(4, old)
    for it in range(20):
        increment(back, [(f"n{it}", 1)])
        back.perform()
    back = open_store(5, old)
    with pytest.raises(OwnerForked, match=r"opening 2 of .* another one"):
        partner.meet(back.epoch, back.opening)
    again = open_store(6, trees)
    partner.meet(again.epoch, again.opening)
    # A directory of a version that kept no nonces is believed as far as it was.
    partner.meet(again.epoch, Opening(4, 9, (*again.opening.began, 2), (0, 0, 0, 9)))


def test_what_a_relay_has_told_of_later_openings_makes_no_old_state_of_them() -> None:
    """The way from the owner was cut; it was opened anew, and a relay went on telling."""
    partner, owner = open_store(1), open_store(2)
    increment(owner, [("a", 1)])
    owner.perform()
    partner.meet(owner.epoch, Opening(3, 7, (0, 2, 4)))
    changes = sending.changes_after(owner, 0)
    assert changes is not None
    relayed = msgspec.structs.replace(changes, last=9, is_relayed=True)
    assert receiving.receive_changes(partner, relayed).is_taken
    heard = partner.heard_of(partner.owners.number_of(owner.epoch))
    assert (heard.version, heard.told) == (9, 0)
    partner.meet(owner.epoch, Opening(4, 8, (0, 2, 4, 6)))
    told = msgspec.structs.replace(changes, first=9, last=10, parts=[])
    assert receiving.receive_changes(partner, told).is_taken
    with pytest.raises(OwnerForked, match="told more, up to 10"):
        partner.meet(owner.epoch, Opening(5, 9, (0, 2, 4, 6, 7)))


def test_a_store_keeps_how_far_it_was_when_it_was_opened() -> None:
    trees = MemoryTrees()
    for count in range(OPENINGS_KEPT + 3):
        store = Store.open(trees, random.Random(count).randbytes)
        assert store.opening.began[-1] == count
        increment(store, [("a", 1)])
        store.perform()
    assert len(store.opening.began) == OPENINGS_KEPT
    restored = Store.open(trees, random.Random(1).randbytes, is_restored=True)
    assert restored.opening.began == (0,)
