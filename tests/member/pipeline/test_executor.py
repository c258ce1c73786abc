"""The executor alone: when it runs, what it shows, and what it takes back."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from roost.errors import CallerGone, ModelRefused, Overloaded, ShortOfMemory
from roost.flow import Flow
from roost.member import MemberConfig
from roost.member.errors import ChangeNotTaken, LeadershipLost, RequestTooLarge
from roost.member.operation import Changing
from roost.member.pipeline import executor as executor_module
from roost.member.pipeline.executor import SHORT_QUEUE_BYTES_MAX, Executor
from roost.member.pipeline.making import TURN_COST_MAX
from roost.member.pipeline.pacing import Pacing
from roost.memory import Memory
from roost.memory_limit import Limit, Taken
from roost.outcome import Outcome
from roost.raft import DropReason, ProposalDropped
from roost.slices import Slices
from roost.store import HeldView, InlineKeeper, Long, Steps, Store, StoreConfig, Txn
from roost.store.stack import FREED_COUNT

pytestmark = pytest.mark.pure("its core is a fake")


class StubCore:
    """Takes every proposal."""

    term = 2
    transfer_target = 0
    is_leader_ready = True

    last_index = 1

    def __init__(self) -> None:
        self.proposed: list[bytes] = []

    def propose(self, payload: bytes) -> int:
        self.proposed.append(payload)
        return 1 + len(self.proposed)


def make_tree(txn: Txn) -> None:
    txn.tree("things")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(config=StoreConfig(), keeper=InlineKeeper(tmp_path, is_synced=False))
    made.bootstrap(make_tree, guid=UUID(int=1))
    yield made
    made.close()


def make(
    store: Store,
    core: StubCore,
    memory: Memory | None = None,
    slices: Slices | None = None,
    **options: Any,
) -> Executor:
    url = ("http://127.0.0.1:1",)
    config = MemberConfig(
        name="m", data_dir=Path(), initial_cluster={"m": url}, advertise_peer_urls=url,
        listen_peer_urls=url, **options,
    )  # fmt: skip
    any_core: Any = core  # the stub has what the executor asks
    return Executor(
        config,
        any_core,
        store,
        propose_done=lambda: None,
        barrier=lambda _index, _done: None,
        run_again=lambda _delay: None,
        pacing=Pacing(lambda: 0.0),
        slices=Slices(100, lambda: None) if slices is None else slices,
        memory=memory,
    )


def put(store: Store) -> Callable[[Txn, bytes], bytes]:
    tree = store.tree("things").id

    def operation(txn: Txn, body: bytes) -> bytes:
        txn.put(tree, b"key", body)
        return b"done"

    return operation


def ignore(_outcome: Outcome) -> None:
    """Nobody waits."""


def test_nothing_runs_before_an_entry_of_the_leaders_own_term_is_applied(store: Store) -> None:
    """etcd #7331, Redpanda #5025: its state may miss what is committed."""
    core = StubCore()
    executor = make(store, core)
    executor.submit("put", put(store), b"v", ignore)
    executor.run()
    assert core.proposed == []
    executor.open()
    executor.run()
    assert len(core.proposed) == 1


def test_what_was_proposed_is_seen_by_the_next_and_by_nobody_once_leadership_is_lost(
    store: Store,
) -> None:
    core = StubCore()
    executor = make(store, core)
    tree = store.tree("things").id
    executor.open()
    executor.submit("put", put(store), b"v", ignore)
    executor.run()
    assert store.begin().get(tree, b"key") == b"v"
    assert store.view.get(tree, b"key") is None
    executor.close()
    assert store.begin().get(tree, b"key") is None


def test_another_leaders_entry_at_our_position_counts_and_ours_does_not(store: Store) -> None:
    tree = store.tree("things").id
    ours, theirs = store.begin(), store.begin()
    ours.put(tree, b"key", b"ours")
    theirs.put(tree, b"key", b"theirs")
    store.speculate(2, ours, ours.encode())
    store.apply(2, theirs.encode(), 3)
    assert store.view.get(tree, b"key") == b"theirs"
    assert store.begin().get(tree, b"key") == b"theirs"


@pytest.mark.parametrize("is_rewritten", [False, True])
def test_what_writes_more_than_an_entry_holds_is_refused_however_it_is_written(
    store: Store, monkeypatch: pytest.MonkeyPatch, *, is_rewritten: bool
) -> None:
    """The journal could not take it, and a journal that refuses is a member that ends."""
    monkeypatch.setattr(executor_module, "WRITES_BYTES_MAX", 1 << 20)
    tree = store.tree("things").id

    def operation(txn: Txn, body: bytes) -> bytes:
        write = txn.put_latest if is_rewritten else txn.put
        write(tree, b"key", body)
        return b"done"

    core, said = StubCore(), list[Outcome]()
    executor = make(store, core)
    executor.open()
    body = bytes(executor._config.batch_bytes_max)
    executor.submit("large", operation, body, said.append)
    executor.submit("put", put(store), b"v", ignore)
    executor.run()
    [payload] = core.proposed
    assert len(payload) < 1000
    store.apply(2, payload)
    executor.on_applied(2, core.term)
    assert [type(it) for it in said] == [RequestTooLarge]


BUSY, LIGHT = Flow("10.0.0.1", 1), Flow("10.0.0.2", 1)


def appending(store: Store, order: list[bytes]) -> Callable[[Txn, bytes], bytes]:
    """An operation that remembers that it ran."""
    tree = store.tree("things").id

    def operation(txn: Txn, body: bytes) -> bytes:
        order.append(body[:10])
        txn.put(tree, body[:10], body)
        return b"done"

    return operation


def test_three_thousand_requests_of_one_client_add_no_batch_to_anothers_wait(store: Store) -> None:
    core, order = StubCore(), list[bytes]()
    executor = make(store, core)
    executor.open()
    operation = appending(store, order)
    bodies = [b"%08d--" % it + bytes(200) for it in range(3000)]
    for body in bodies[:2999]:
        assert executor.submit("put", operation, body, ignore, BUSY)
    told: list[Outcome] = []
    executor.submit("put", operation, b"light-----", told.append, LIGHT)
    assert executor.submit("put", operation, bodies[2999], ignore, BUSY)
    executor._run_batch()
    assert b"light-----" in order, "it is in the first batch that runs"
    assert len(order) <= executor._config.batch_count_max, "which is not all there is"
    while executor.queue_count:
        executor._run_batch()
    order.remove(b"light-----")
    assert order == [it[:10] for it in bodies], "what is of one client runs in its order"


def test_a_client_with_too_much_is_refused_and_another_is_not(store: Store) -> None:
    executor = make(store, StubCore(), queue_count_max=10)
    told: list[Outcome] = []
    taken = [executor.submit("put", put(store), b"v", told.append, BUSY) for _ in range(20)]
    assert (sum(taken), [type(it) for it in told]) == (5, [Overloaded] * 15)
    assert executor.submit("put", put(store), b"v", ignore, LIGHT)
    assert (executor.queue_count, executor.flow_count, executor.refused_count) == (6, 2, 15)


def test_what_is_larger_than_the_queue_is_refused_for_good(store: Store) -> None:
    executor = make(store, StubCore(), queue_bytes_max=100)
    told: list[Outcome] = []
    assert not executor.submit("put", put(store), bytes(101), told.append, BUSY)
    assert executor.submit("put", put(store), bytes(100), told.append, BUSY)
    assert not executor.submit("put", put(store), bytes(100), told.append, BUSY)
    assert [type(it) for it in told] == [RequestTooLarge, Overloaded]


def test_a_change_runs_alone_when_its_turn_comes_and_what_was_before_it_first(store: Store) -> None:
    core, order = StubCore(), list[bytes]()
    executor = make(store, core)
    executor.open()
    operation = appending(store, order)

    def refused(_txn: Txn, _body: bytes) -> Any:
        order.append(b"change")
        raise ChangeNotTaken("no")

    executor.submit("put", operation, b"before", ignore)
    executor.submit("change", Changing(refused), b"", ignore)
    executor.submit("put", operation, b"behind", ignore)
    executor._run_batch()
    assert (order, executor.queue_count) == ([b"before"], 2)
    executor._run_batch()
    assert (order, executor.queue_count) == ([b"before", b"change"], 1)
    executor._run_batch()
    assert (order, executor.queue_count) == ([b"before", b"change", b"behind"], 0)


def test_what_never_ran_is_handed_back_with_its_flow_a_change_too(store: Store) -> None:
    executor = make(store, StubCore())
    executor.open()

    def never(_txn: Txn, _body: bytes) -> Any:
        raise AssertionError("it does not run")

    executor.submit("change", Changing(never), b"", ignore, BUSY)
    executor._run_batch()  # it is its turn, and it is alone
    executor.submit("put", put(store), b"1", ignore, LIGHT)
    executor.submit("put", put(store), b"2", ignore, LIGHT)
    handed = [(it.flow, it.body) for it in executor.close()]
    assert handed == [(BUSY, b""), (LIGHT, b"1"), (LIGHT, b"2")]
    assert executor.queue_count == executor.queue_bytes == executor.flow_count == 0


def test_when_leadership_is_lost_so_many_are_told_or_handed_back_as_a_turn_has_room_for(
    store: Store,
) -> None:
    """Issue 14: thousands were told, and twenty thousand taken from the queue, in one step."""
    slices, heard = Slices(10, lambda: None), list[Outcome]()
    executor = make(store, StubCore(), slices=slices, batch_count_max=12)
    executor.open()
    for _ in range(40):
        executor.submit("put", put(store), b"v", heard.append)
    for _ in range(2):
        executor._run_batch()
    handed = executor.close()
    assert len(heard) == 10
    assert executor.queue_count == executor.inflight_count == 0
    executor.submit("put", put(store), b"new", heard.append)
    assert sum(1 for _ in handed) == 16, "what came later waits for the next time we lead"
    assert executor.queue_count == 1
    slices.begin_turn()
    assert len(heard) == 20
    slices.begin_turn()
    assert [type(it) for it in heard] == [LeadershipLost] * 24
    assert len(slices) == 0


def test_while_memory_is_short_what_is_small_goes_on_and_what_is_large_is_refused(
    store: Store,
) -> None:
    """What a member asks of itself, the end of a lease or an alarm, must still get through."""
    taken = 0
    limit = Limit(600 << 20, "a test", lambda it: it.anonymous_bytes)
    memory = Memory([limit], lambda: Taken(anonymous_bytes=taken))
    heard: list[Outcome] = []
    executor = make(store, StubCore(), memory=memory)
    taken = 590 << 20
    memory.look()
    large = bytes(SHORT_QUEUE_BYTES_MAX)
    assert executor.submit("put", put(store), b"small", ignore)
    assert not executor.submit("put", put(store), large, heard.append)
    assert [type(it) for it in heard] == [ShortOfMemory]
    taken = 0
    memory.look()
    assert executor.submit("put", put(store), large, ignore)
    assert executor.queue_bytes == len(large) + 5


def test_an_operation_that_is_given_no_memory_is_refused_alone(store: Store) -> None:
    def starve(txn: Txn, body: bytes) -> bytes:
        txn.put(store.tree("things").id, b"key", b"half of it")
        raise MemoryError

    heard: list[Outcome] = []
    core = StubCore()
    executor = make(store, core)
    executor.open()
    executor.submit("put", put(store), b"v", ignore)
    executor.submit("starve", starve, b"", heard.append)
    executor.run()
    assert len(core.proposed) == 1
    assert store.begin().get(store.tree("things").id, b"key") == b"v"
    payload = core.proposed[0]
    store.apply(2, payload)
    executor.on_applied(2, core.term)
    assert [type(it) for it in heard] == [ShortOfMemory]


def test_a_batch_for_whose_entry_there_is_no_memory_did_not_run(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended the member: what encodes a batch of 4 MiB asks for 4 MiB more."""

    def starve(_txn: Txn) -> bytes:
        raise MemoryError

    heard: list[Outcome] = []
    core = StubCore()
    executor = make(store, core)
    executor.open()
    executor.submit("put", put(store), b"v", heard.append)
    monkeypatch.setattr(Txn, "encode", starve)
    executor.run()
    assert core.proposed == []
    assert [type(it) for it in heard] == [ShortOfMemory]
    assert store.begin().get(store.tree("things").id, b"key") is None


def test_a_turn_runs_one_batch_and_asks_for_another(store: Store) -> None:
    core, again, order = StubCore(), list[float](), list[bytes]()
    executor = make(store, core, batch_count_max=10)
    executor._run_again = again.append
    executor.open()
    operation = appending(store, order)
    for number in range(25):
        executor.submit("put", operation, b"%010d" % number, ignore)
    executor.run()
    assert (len(order), again) == (10, [0])
    # What did not get into a full one is not held.
    executor.run()
    assert (len(order), again) == (20, [0, 0])
    executor.run()
    assert (len(order), again) == (25, [0, 0]), "nothing is left"


@pytest.mark.parametrize("what", ["cost", "answers"])
def test_what_reads_or_answers_much_ends_a_turn(store: Store, what: str) -> None:
    """Six hundred transactions with a range of 200 rows each were one turn of ten seconds."""
    answer = bytes(1 << 20) if what == "answers" else b""

    def read(txn: Txn, _body: bytes) -> bytes:
        ran.append(txn)
        txn.cost += 0 if answer else TURN_COST_MAX // 4
        return answer

    core, again, ran = StubCore(), list[float](), list[Txn]()
    executor = make(store, core)
    executor._run_again = again.append
    executor.open()
    for _ in range(12):
        executor.submit("read", read, b"", ignore)
    executor.run()
    assert len(ran) == 4
    assert again == [0], "the others have the turns that follow"
    executor.run()
    assert len(ran) == 8


class FullCore(StubCore):
    """Takes no proposal while `is_full`."""

    is_full = True

    def propose(self, payload: bytes) -> int:
        if self.is_full:
            raise ProposalDropped(DropReason.LOG_FULL)
        return super().propose(payload)


def test_a_long_operation_behind_what_was_not_proposed_is_asked_again(store: Store) -> None:
    """It was permitted by the state that a batch would have made, and ran in another."""
    tree = store.tree("things").id

    def long_if_there(txn: Txn, _body: bytes) -> bytes | Long:
        if txn.get(tree, b"key") is None:
            raise ModelRefused(7, "not permitted")
        return Long(steps)

    def steps(txn: Txn) -> Steps:
        yield
        txn.put(tree, b"long", b"")
        return b"long"

    core, heard = FullCore(), list[Outcome]()
    executor = make(store, core)
    executor._barrier = lambda _index, done: done(None)
    executor.open()
    executor.submit("put", put(store), b"permission", heard.append)
    executor.submit("long", long_if_there, b"", heard.append)
    executor.run()
    assert [type(it) for it in heard] == [Overloaded]
    core.is_full = False
    for _ in range(5):
        executor.run()
        executor.go_on()
    assert [str(it) for it in heard[1:]] == ["not permitted"]
    assert core.proposed == []
    assert executor.queue_count == 0


def old_and_new(store: Store, *, is_held: bool) -> HeldView:
    """A key has an old value and, beside so many others that a flush frees them, a new one."""
    tree = store.tree("things").id

    def write(value: bytes, count: int) -> None:
        txn = store.begin()
        txn.put(tree, b"key", value)
        for number in range(count):
            txn.put(tree, b"other %d" % number, b"")
        store.apply(store.applied_index + 1, txn.encode())

    write(b"old", 0)
    held = store.hold()
    if not is_held:
        held.close()
    write(b"new", 2 * FREED_COUNT)
    return held


@pytest.mark.parametrize("is_held", [False, True])
def test_a_long_operation_reads_the_newest_whatever_goes_into_the_file_meanwhile(
    store: Store,
    is_held: bool,  # noqa: FBT001 - pytest gives it
) -> None:
    """Of a flush the newer layer was emptied; an older one of few keys, or a held one, was not."""
    tree, read = store.tree("things").id, list[bytes | None]()

    def steps(txn: Txn) -> Steps:
        for _ in range(2):
            read.append(txn.get(tree, b"key"))
            yield
        return b"long"

    held = old_and_new(store, is_held=is_held)
    executor = make(store, StubCore())
    executor.open()
    executor.submit("long", lambda _txn, _body: Long(steps), b"", ignore)
    executor.run()
    executor.go_on()
    store.flush()
    executor.go_on()
    held.close()
    assert read == [b"new", b"new"]


@pytest.mark.parametrize("where", ["take_part", "encode"])
def test_a_long_operation_that_is_given_no_memory_for_its_parts_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """It ended the member."""

    def starve(*_: object, **__: object) -> bytes:
        raise MemoryError

    def steps(txn: Txn) -> Steps:
        txn.put(store.tree("things").id, b"key", b"")
        yield
        return b"long"

    core, heard = StubCore(), list[Outcome]()
    executor = make(store, core)
    executor._barrier = lambda _index, done: done(None)
    executor.open()
    executor.submit("long", lambda _txn, _body: Long(steps), b"", heard.append)
    executor.run()
    with monkeypatch.context() as patch:
        patch.setattr(Txn, where, starve)
        for _ in range(3):
            executor.go_on()
    executor.go_on()
    assert [type(it) for it in heard] == [ShortOfMemory]
    assert core.proposed == []
    assert executor.queue_count == 0


class Client:
    """Somebody who waits, until it is over."""

    is_over = False


def test_what_nobody_waits_for_any_more_when_its_turn_comes_is_dropped(store: Store) -> None:
    core, order, heard = StubCore(), list[bytes](), list[Outcome]()
    executor = make(store, core)
    executor.open()
    operation = appending(store, order)
    gone, there = Client(), Client()
    executor.submit("put", operation, b"gone------", heard.append, BUSY, gone)
    executor.submit("put", operation, b"there-----", heard.append, BUSY, there)
    executor.submit("put", operation, b"ours------", heard.append)
    gone.is_over = True
    executor.run()
    assert (sorted(order), len(core.proposed)) == ([b"ours------", b"there-----"], 1)
    assert [type(it) for it in heard] == [CallerGone]
    there.is_over = True
    store.apply(2, core.proposed[0])
    executor.on_applied(2, core.term)
    assert heard[1:] == [b"done", b"done"], "what is proposed is done, whoever is gone"
    assert executor.queue_count == 0


def test_to_drop_very_many_takes_turns_and_proposes_nothing(store: Store) -> None:
    """A connection with a thousand requests is closed: no more are told so in a turn than run."""
    core, order, heard, again = StubCore(), list[bytes](), list[Outcome](), list[float]()
    executor = make(store, core, batch_count_max=10)
    executor._run_again = again.append
    executor.open()
    gone = Client()

    def changing(_txn: Txn, _body: bytes) -> Any:
        raise AssertionError("it does not run")

    for number in range(24):
        executor.submit("put", appending(store, order), b"%010d" % number, heard.append, BUSY, gone)
    executor.submit("change", Changing(changing), b"", heard.append, BUSY, gone)
    gone.is_over = True
    counts = []
    for _ in range(3):
        executor.run()
        counts.append(len(heard))
    assert counts == [10, 20, 25]
    assert (core.proposed, order, again) == ([], [], [0, 0])
    assert {type(it) for it in heard} == {CallerGone}
    assert (executor.queue_count, executor.inflight_count) == (0, 0)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_long_operation_that_nobody_waits_for_any_more_ends_and_nothing_of_it_is_kept(
    store: Store, after: int
) -> None:
    """One may keep all others from writing for a minute."""
    tree, ran = store.tree("things").id, list[int]()

    def steps(txn: Txn) -> Steps:
        for number in range(100):
            txn.put(tree, b"%d" % number, b"")
            ran.append(number)
            yield
        return b"long"

    core, heard, client = StubCore(), list[Outcome](), Client()
    executor = make(store, core)
    executor._barrier = lambda _index, done: done(None)
    executor.open()
    executor.submit("long", lambda _txn, _body: Long(steps), b"", heard.append, BUSY, client)
    executor.submit("put", put(store), b"v", heard.append)
    executor.run()
    for _ in range(after):
        executor.go_on()
    client.is_over = True
    executor.go_on()
    executor.run()
    assert len(ran) == after
    assert [type(it) for it in heard] == [CallerGone]
    assert len(core.proposed) == 1, "others go on"
    assert store.begin().scan(tree) == [(b"key", b"v")]
