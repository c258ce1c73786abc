"""A batch that takes a few turns: one entry, of one state, whatever happens between the turns."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roost.errors import CallerGone, ModelRefused
from roost.member.operation import Changing
from roost.member.pipeline.executor import Executor
from roost.member.pipeline.making import BATCH_COST_MAX, TURN_COST_MAX, Making
from roost.outcome import Outcome, ReadDone
from roost.store import HeldView, Long, Steps, Store, Txn
from tests.member.pipeline.test_executor import StubCore, ignore, make, old_and_new, store

__all__ = ["store"]
pytestmark = pytest.mark.pure("its core is a fake")

A_TURN = 4


class Log(StubCore):
    """Its entries stand behind what the store has applied already."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self.first_index = store.applied_index + 1
        self._asked: list[tuple[int, ReadDone]] = []

    def barrier(self, index: int, done: ReadDone) -> None:
        """Confirmed at once, and told when it is applied."""
        self._asked.append((index, done))

    def confirm(self) -> None:
        asked, self._asked = self._asked, []
        for index, done in asked:
            if index <= self._store.applied_index:
                done(None)
            else:
                self._asked.append((index, done))

    def propose(self, payload: bytes) -> int:
        self.proposed.append(payload)
        return self.first_index + len(self.proposed) - 1

    def apply(self, executor: Executor) -> None:
        while (place := self._store.applied_index + 1 - self.first_index) < len(self.proposed):
            self._store.apply(self._store.applied_index + 1, self.proposed[place], self.term)
            executor.on_applied(self._store.applied_index, self.term)
        self.confirm()


def costly(store: Store, ran: list[bytes]) -> Callable[[Txn, bytes], bytes]:
    """So many of these are a turn's work; each is told what the one before it wrote."""
    tree = store.tree("things").id

    def operation(txn: Txn, body: bytes) -> bytes:
        ran.append(body)
        before = txn.get(tree, b"last") or b""
        txn.put(tree, b"last", body)
        txn.cost += TURN_COST_MAX // A_TURN
        return before

    return operation


def begin(store: Store, count: int) -> tuple[Executor, Log, list[bytes], list[Outcome]]:
    """Have so many costly operations wait, and run one turn."""
    core, ran, heard = Log(store), list[bytes](), list[Outcome]()
    executor = make(store, core)
    executor.open()
    operation = costly(store, ran)
    for number in range(count):
        executor.submit("put", operation, b"%d" % number, heard.append)
    executor.run()
    return executor, core, ran, heard


def test_a_batch_takes_as_many_turns_as_it_has_work_and_is_one_entry(store: Store) -> None:
    turns = BATCH_COST_MAX // TURN_COST_MAX
    executor, core, ran, heard = begin(store, turns * A_TURN + 1)
    for turn in range(1, turns):
        assert (len(ran), core.proposed) == (turn * A_TURN, [])
        assert executor.queue_count == turns * A_TURN + 1, "nothing of it is on its way"
        executor.run()
    assert (len(ran), len(core.proposed)) == (turns * A_TURN, 1)
    executor.run()
    assert len(core.proposed) == 2, "the last one has the next batch"
    core.apply(executor)
    assert heard == [b"", *(b"%d" % it for it in range(turns * A_TURN))]
    assert executor.queue_count == 0


def test_where_nobody_else_waits_it_does_not_wait_for_anybody(store: Store) -> None:
    _, core, ran, _ = begin(store, A_TURN)
    assert (len(ran), len(core.proposed)) == (A_TURN, 1)


def test_who_loses_its_office_between_two_turns_hands_all_of_it_back(store: Store) -> None:
    executor, core, ran, heard = begin(store, A_TURN + 2)
    back = [it.body for it in executor.close()]
    assert back == [b"%d" % it for it in range(A_TURN + 2)]
    assert (heard, core.proposed, executor.queue_count) == ([], [], 0)
    assert store.begin().get(store.tree("things").id, b"last") is None
    executor.open()
    executor.run()
    assert len(ran) == A_TURN, "they are whose they were handed to"


def test_without_room_for_an_entry_it_waits(store: Store) -> None:
    executor, core, ran, _ = begin(store, A_TURN + 1)
    core.transfer_target = 7
    executor.run()
    assert (len(ran), core.proposed) == (A_TURN, [])
    core.transfer_target = 0
    executor.run()
    assert (len(ran), len(core.proposed)) == (A_TURN + 1, 1)


def test_what_runs_alone_has_it_proposed_first(store: Store) -> None:
    executor, core, ran, heard = begin(store, A_TURN + 1)
    tree, seen = store.tree("things").id, list[bytes | None]()

    def steps(txn: Txn) -> Steps:
        seen.append(txn.get(tree, b"last"))
        yield
        return b"long"

    executor._barrier = lambda _index, done: done(None)
    executor.submit("long", lambda _txn, _body: Long(steps), b"", heard.append)
    executor.submit("put", costly(store, ran), b"behind", ignore)
    executor.run()
    assert (len(core.proposed), seen) == (1, [])
    executor.go_on()
    assert seen == [b"%d" % A_TURN], "it sees all that ran before it"
    assert b"behind" not in ran


def test_a_change_of_members_has_it_proposed_first(store: Store) -> None:
    executor, core, _, _ = begin(store, A_TURN + 1)
    order = list[int]()

    def change(_txn: Txn, _body: bytes) -> tuple[list[object], bytes]:
        order.append(len(core.proposed))
        raise ModelRefused(9, "not now")

    changing = Changing(change)  # type: ignore[arg-type]  # it refuses whatever it is asked
    executor.submit("change", changing, b"", ignore)
    executor.run()
    executor.run()
    assert order == [1]


def test_parts_that_lie_about_are_removed_when_it_is_proposed(store: Store) -> None:
    """Between two turns of a batch nothing else is proposed: it would not see that."""
    executor, core, _, _ = begin(store, A_TURN + 1)
    executor._has_leftovers = True
    executor.run()
    assert len(core.proposed) == 1
    executor.run()
    assert len(core.proposed) == 2


@pytest.mark.parametrize("is_held", [False, True])
def test_it_sees_the_newest_whatever_goes_into_the_file_between_two_turns(
    store: Store,
    is_held: bool,  # noqa: FBT001 - pytest gives it
) -> None:
    """Of a flush the newer layer is emptied; an older one of few keys, or a held one, is not."""
    tree, read = store.tree("things").id, list[bytes | None]()

    def look(txn: Txn, _body: bytes) -> bytes:
        read.append(txn.get(tree, b"key"))
        txn.cost += TURN_COST_MAX
        return b""

    held = old_and_new(store, is_held=is_held)
    executor = make(store, StubCore())
    executor.open()
    for _ in range(2):
        executor.submit("look", look, b"", ignore)
    executor.run()
    store.flush()
    executor.run()
    held.close()
    assert read == [b"new", b"new"]


def test_whoever_is_gone_before_its_turn_does_not_run(store: Store) -> None:
    class Gone:
        is_over = False

    executor, core, ran, _ = begin(store, A_TURN + 1)
    gone, heard = Gone(), list[Outcome]()
    executor.submit("put", costly(store, ran), b"gone", heard.append, waiting=gone)
    gone.is_over = True
    executor.run()
    assert (len(ran), len(core.proposed)) == (A_TURN + 1, 1)
    assert [type(it) for it in heard] == [CallerGone]


def test_to_undo_much_ends_a_turn(store: Store) -> None:
    """Five hundred callers, half of them refused behind their writes, were a turn of 110 ms."""
    tree, ran = store.tree("things").id, list[int]()

    def operation(txn: Txn, _body: bytes) -> bytes:
        ran.append(len(ran))
        for number in range(2):
            txn.put(tree, b"%d %d" % (ran[-1], number), bytes(100))
        if ran[-1] % 2:
            raise ModelRefused(9, "not now")
        return b""

    core = Log(store)
    executor = make(store, core)
    executor.open()
    for _ in range(512):
        executor.submit("put", operation, b"", ignore)
    longest = before = 0
    while executor.queue_count:
        executor.run()
        longest, before = max(longest, len(ran) - before), len(ran)
    # Of n calls the i-th refused keeps 2 i writes, each of half a row: n * n / 8 rows.
    assert longest**2 / 8 <= TURN_COST_MAX * 1.1
    core.apply(executor)
    assert len(store.view.scan(tree, limit=1000)) == 512


@pytest.mark.parametrize(
    ("body_bytes", "cost", "is_bug", "a_turn"),
    [
        pytest.param(0, 158, False, 4, id="a little each"),
        pytest.param(10 << 20, 0, False, 1, id="much is sent"),
        pytest.param(1 << 20, 0, False, 5, id="less is sent"),
        pytest.param(0, 0, False, 320, id="nothing is done"),
        pytest.param(0, 0, True, 16, id="a traceback is logged"),
    ],
)
def test_what_is_refused_has_used_its_part_of_the_turn(
    store: Store,
    body_bytes: int,
    cost: int,
    is_bug: bool,  # noqa: FBT001 - pytest gives it
    a_turn: int,
) -> None:
    """Whatever it did is not kept, and was done: 92 transactions were one turn of 15 ms."""
    ran = list[int]()

    def operation(txn: Txn, _body: bytes) -> bytes:
        ran.append(1)
        txn.cost += cost
        if is_bug:
            raise ZeroDivisionError
        raise ModelRefused(9, "not now")

    executor = make(store, Log(store), queue_bytes_max=1 << 30, batch_bytes_max=1 << 30)
    executor.open()
    body = bytes(body_bytes)
    for _ in range(a_turn + 1):
        executor.submit("refused", operation, body, ignore)
    executor.run()
    assert len(ran) == a_turn
    executor.run()
    assert len(ran) == a_turn + 1


ASKED = st.tuples(st.integers(0, BATCH_COST_MAX), st.booleans())
STEPS = st.lists(
    st.one_of(ASKED, st.sampled_from(["run", "apply", "flush", "hold", "release"])), max_size=60
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_it_is_as_if_they_had_run_one_after_another(
    store: Store, steps: list[str | tuple[int, bool]]
) -> None:
    """Whatever they cost, whoever is refused behind a write, and whatever is applied meanwhile."""
    tree = store.tree("things").id
    clear = store.begin()
    clear.delete_range(tree, b"")
    store.apply(store.applied_index + 1, clear.encode())
    core, heard, held = Log(store), dict[int, str](), list[HeldView]()
    executor = make(store, core, batch_count_max=7)
    executor._barrier = core.barrier
    executor.open()
    model, expected = "", dict[int, str]()

    def asked(cost: int, *, is_refused: bool) -> Callable[[Txn, bytes], bytes]:
        def operation(txn: Txn, body: bytes) -> bytes:
            before = txn.get(tree, b"list") or b""
            txn.put(tree, b"list", before + body)
            txn.cost += cost
            if is_refused:
                raise ModelRefused(9, before.decode())
            return before

        return operation

    def hear(number: int) -> Callable[[Outcome], None]:
        def hear_it(outcome: Outcome) -> None:
            assert number not in heard, "each has one answer"
            heard[number] = outcome.decode() if isinstance(outcome, bytes) else str(outcome)

        return hear_it

    for number, step in enumerate(steps):
        if isinstance(step, tuple):
            cost, is_refused = step
            expected[number] = model
            body = f"{number},"
            model += "" if is_refused else body
            operation = asked(cost, is_refused=is_refused)
            executor.submit("add", operation, body.encode(), hear(number))
        elif step == "run":
            executor.run()
        elif step == "apply":
            core.apply(executor)
        elif step == "flush":
            store.flush()
        elif step == "hold" and not held:
            held.append(store.hold())
        elif step == "release" and held:
            held.pop().close()
    while executor.queue_count or executor.inflight_count:
        executor.run()
        core.apply(executor)
    core.confirm()
    for it in held:
        it.close()
    assert heard == expected
    assert (store.view.get(tree, b"list") or b"").decode() == model


def test_what_is_written_and_answered_has_a_bound(store: Store) -> None:
    making = Making(store.begin(), count_max=10, bytes_max=100)
    making.begin_turn()
    assert (making.has_room, making.goes_on) == (True, False)
    making.answer_bytes = 100
    assert (making.has_room, making.goes_on) == (False, False)
    making.answer_bytes = 0
    making.txn.cost += TURN_COST_MAX
    assert (making.has_room, making.goes_on) == (False, True)
    making.begin_turn()
    assert making.has_room
    making.txn.cost = BATCH_COST_MAX
    assert (making.has_room, making.goes_on) == (False, False)
