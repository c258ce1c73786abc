"""Light operations wait for nothing that is written, and see all that is proposed."""

import pytest

from roost.errors import CallerGone, Refused
from roost.member.errors import OperationFailed
from roost.member.operation import Light
from roost.member.pipeline.lights import BODY_BYTES_MAX, COUNT_MAX, TURN_COST_MAX, TURN_COUNT_MAX
from roost.outcome import Outcome
from roost.store import Long, Steps, Store, Txn
from tests.member.pipeline.test_executor import StubCore, ignore, make, put, store

__all__ = ["store"]
pytestmark = pytest.mark.pure("its core is a fake")


class Gone:
    """Somebody who waits no more."""

    is_over = True


def looking(store: Store, found: list[bytes | None]) -> Light:
    """It looks at a key, now or in its place; b"later" is said in the queue only."""
    tree = store.tree("things").id

    def now(txn: Txn, body: bytes) -> bytes | None:
        if body == b"later":
            return None
        found.append(txn.get(tree, b"key"))
        return b"now"

    def later(txn: Txn, _body: bytes) -> bytes:
        found.append(txn.get(tree, b"key"))
        return b"later"

    return Light(now, later)


def test_it_runs_while_there_is_no_room_for_entries_and_sees_what_is_proposed(
    store: Store,
) -> None:
    core, found = StubCore(), list[bytes | None]()
    executor = make(store, core, batch_inflight_max=1)
    executor.open()
    executor.submit("put", put(store), b"v", ignore)
    executor.run()
    executor.submit("put", put(store), b"w", ignore)
    executor.submit("look", looking(store, found), b"", ignore)
    executor.run()
    assert (len(core.proposed), executor.queue_count) == (1, 1), "there is one on its way"
    assert found == [b"v"]
    assert len(executor._unconfirmed) == 1, "it is answered when what it saw is committed"


def test_before_an_entry_of_the_leaders_own_term_it_waits_too(store: Store) -> None:
    found = list[bytes | None]()
    executor = make(store, StubCore())
    executor.submit("look", looking(store, found), b"", ignore)
    executor.run()
    assert (found, executor.queue_count) == ([], 1)
    executor.open()
    executor.run()
    assert (found, executor.queue_count) == ([None], 0)


def test_what_is_to_write_after_all_has_its_place_in_the_queue(store: Store) -> None:
    found = list[bytes | None]()
    executor = make(store, StubCore(), batch_inflight_max=1)
    executor.open()
    for value in (b"v", b"w"):
        executor.submit("put", put(store), value, ignore)
        executor.submit("look", looking(store, found), b"later", ignore)
        executor.run()
    assert found == [b"v"], "that of the second waits for room"
    assert executor.queue_count == 2


def test_when_too_many_come_they_go_into_the_queue(store: Store) -> None:
    found = list[bytes | None]()
    executor = make(store, StubCore())
    executor.open()
    light = looking(store, found)
    for _ in range(COUNT_MAX + 1):
        assert executor.submit("look", light, b"", ignore)
    executor.run()
    assert len(found) == TURN_COUNT_MAX + 1, "a part in a turn, and the one in the queue"
    while executor.queue_count:
        executor.run()
    assert len(found) == COUNT_MAX + 1


def test_what_reads_much_leaves_the_rest_to_other_turns(store: Store) -> None:
    """Issue 14: whoever renews a lease is asked whether he may, and that may be much to look at."""
    executor, turns = make(store, StubCore()), list[int]()
    executor.open()

    def now(txn: Txn, _body: bytes) -> bytes:
        turns[-1] += 1
        txn.cost += TURN_COST_MAX // 3
        return b"now"

    light = Light(now, lambda _txn, _body: b"later")
    for _ in range(10):
        assert executor.submit("look", light, b"", ignore)
    while sum(turns) < 10:
        turns.append(0)
        executor.run()
    assert turns == [4, 4, 2]


def test_what_is_large_goes_into_the_queue_which_counts_bytes(store: Store) -> None:
    executor = make(store, StubCore())
    light = looking(store, [])
    for size, queued in ((BODY_BYTES_MAX, 0), (BODY_BYTES_MAX + 1, BODY_BYTES_MAX + 1)):
        assert executor.submit("look", light, bytes(size), ignore)
        assert executor.queue_bytes == queued


def test_refusals_bugs_and_who_waits_no_more_are_told_as_of_others(store: Store) -> None:
    told = list[Outcome]()

    def fails(_txn: Txn, body: bytes) -> bytes | None:
        if body == b"refused":
            raise Refused("no")
        raise ZeroDivisionError

    executor = make(store, StubCore())
    executor.open()
    light = Light(fails, put(store))
    executor.submit("fail", light, b"", told.append, waiting=Gone())
    executor.submit("fail", light, b"refused", told.append)
    executor.submit("fail", light, b"bug", told.append)
    executor.run()
    assert [type(it) for it in told] == [CallerGone]
    handed = list(executor.close())
    assert [type(it.outcome) for it in handed] == [Refused, OperationFailed]


def test_what_waits_is_handed_back_when_leadership_is_lost(store: Store) -> None:
    executor = make(store, StubCore())
    executor.submit("look", looking(store, []), b"1", ignore)
    executor.submit("put", put(store), b"2", ignore)
    assert sorted(it.body for it in executor.close()) == [b"1", b"2"]
    assert executor.queue_count == 0


def test_an_operation_over_many_turns_holds_none_up(store: Store) -> None:
    found = list[bytes | None]()

    def endless(_txn: Txn) -> Steps:
        while True:
            yield

    executor = make(store, StubCore())
    executor.open()
    executor.submit("long", lambda _txn, _body: Long(endless), b"", ignore)
    executor.run()
    executor.submit("put", put(store), b"v", ignore)
    executor.submit("look", looking(store, found), b"", ignore)
    executor.run()
    assert (found, executor.queue_count) == ([None], 2), "the put waits for its end"
