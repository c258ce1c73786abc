"""What requests may not say, in etcd's words (etcd: server/etcdserver/api/v3rpc/key.go)."""

from collections.abc import Callable, Sequence
from functools import partial

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.call import Unary
from roost.errors import Refused
from roost.etcd.errors import status_of
from roost.etcd.model.costs import in_slices
from roost.etcd.v3 import checks
from roost.proto import auth_pb2
from roost.proto import rpc_pb2 as pb
from roost.sim.members.loop import run_virtually, until_idle
from tests.etcd.guarded import World
from tests.etcd.replica import Answer
from tests.samples import SAMPLES
from tests.steps import slices_of, steps_of

EMPTY_KEY = "etcdserver: key is not provided"
SORT = "etcdserver: invalid sort option"
VALUE = "etcdserver: value is provided"
LEASE = "etcdserver: lease is provided"
TOO_MANY = "etcdserver: too many operations in txn request"
DUPLICATE = "etcdserver: duplicate key given in txn request"
NO_OPERATION = "etcdserver: key not found"
OPERATIONS_MAX = 4


def get(key: bytes = b"k", *, serializable: bool = False) -> pb.RequestOp:
    return pb.RequestOp(request_range=pb.RangeRequest(key=key, serializable=serializable))


def put(key: bytes = b"k") -> pb.RequestOp:
    return pb.RequestOp(request_put=pb.PutRequest(key=key))


def delete(key: bytes = b"k", end: bytes = b"") -> pb.RequestOp:
    return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key, range_end=end))


def txn(
    success: list[pb.RequestOp] | None = None, failure: list[pb.RequestOp] | None = None
) -> pb.RequestOp:
    return pb.RequestOp(request_txn=pb.TxnRequest(success=success or [], failure=failure or []))


def refusal(check: Callable[[], object]) -> str:
    """With what words it is refused; every such refusal is the client's fault by its code, too."""
    try:
        check()
    except Refused as error:
        status = status_of(error)
        assert status.code == 3, "INVALID_ARGUMENT"
        return status.text
    return ""


def refusal_of(*branch: pb.RequestOp, operations_max: int = OPERATIONS_MAX) -> str:
    """What is said of a transaction: the same of both its branches, and of one within it."""
    asked = pb.TxnRequest(success=branch), pb.TxnRequest(failure=branch)
    said = {refusal(partial(checks.check_txn, it, operations_max)) for it in asked}
    inner = pb.TxnRequest(success=[txn(list(branch))])
    said.add(refusal(lambda: checks.check_txn(inner, operations_max + 1)))
    [text] = said
    return text


SINGLE: list[tuple[Message, str]] = [
    (pb.RangeRequest(key=b"k", range_end=b"\0", limit=-1, revision=-1), ""),
    (pb.RangeRequest(), EMPTY_KEY),
    (pb.RangeRequest(range_end=b"\0"), EMPTY_KEY),
    *[(pb.RangeRequest(key=b"k", sort_order=order), "") for order in (0, 1, 2)],  # type: ignore[arg-type]  # a number
    *[(pb.RangeRequest(key=b"k", sort_target=it), "") for it in range(5)],  # type: ignore[arg-type]  # a number
    (pb.RangeRequest(key=b"k", sort_order=3), SORT),  # type: ignore[arg-type]  # a number
    (pb.RangeRequest(key=b"k", sort_target=5), SORT),  # type: ignore[arg-type]  # a number
    (pb.RangeRequest(key=b"k", sort_order=-1), SORT),  # type: ignore[arg-type]  # a number
    (pb.PutRequest(key=b"k"), ""),
    (pb.PutRequest(value=b"v"), EMPTY_KEY),
    (pb.PutRequest(key=b"k", ignore_value=True), ""),
    (pb.PutRequest(key=b"k", value=b"v", ignore_value=True), VALUE),
    (pb.PutRequest(key=b"k", lease=1, ignore_value=True), ""),
    (pb.PutRequest(key=b"k", ignore_lease=True), ""),
    (pb.PutRequest(key=b"k", lease=1, ignore_lease=True), LEASE),
    (pb.DeleteRangeRequest(key=b"k", range_end=b"a"), ""),
    (pb.DeleteRangeRequest(range_end=b"a"), EMPTY_KEY),
]


@pytest.mark.parametrize(("request_", "text"), SINGLE)
def test_a_request_is_refused_alone_as_it_is_in_a_transaction(request_: Message, text: str) -> None:
    match request_:
        case pb.RangeRequest():
            alone = refusal(lambda: checks.check_range(request_))
            operation = pb.RequestOp(request_range=request_)
        case pb.PutRequest():
            alone = refusal(lambda: checks.check_put(request_))
            operation = pb.RequestOp(request_put=request_)
        case pb.DeleteRangeRequest():
            alone = refusal(lambda: checks.check_delete(request_))
            operation = pb.RequestOp(request_delete_range=request_)
        case _:
            raise AssertionError(request_)
    assert alone == refusal_of(operation) == text


def test_what_is_no_operation_is_refused() -> None:
    assert refusal_of(pb.RequestOp()) == NO_OPERATION
    assert refusal_of(get(), pb.RequestOp()) == NO_OPERATION


def test_a_compare_has_a_key() -> None:
    request = pb.TxnRequest(compare=[pb.Compare(key=b"k"), pb.Compare(range_end=b"\0")])
    assert refusal(lambda: checks.check_txn(request)) == EMPTY_KEY


def test_compares_and_either_branch_have_so_many_and_no_more() -> None:
    for count, text in ((OPERATIONS_MAX, ""), (OPERATIONS_MAX + 1, TOO_MANY)):
        for request in (
            pb.TxnRequest(compare=[pb.Compare(key=b"k")] * count),
            pb.TxnRequest(success=[get()] * count),
            pb.TxnRequest(failure=[get()] * count),
            pb.TxnRequest(
                compare=[pb.Compare(key=b"k")] * count, success=[get()] * 4, failure=[get()] * 4
            ),
        ):
            assert refusal(partial(checks.check_txn, request, OPERATIONS_MAX)) == text


def test_a_transaction_in_another_has_what_the_outer_one_left() -> None:
    """etcd: checkTxnRequest gives `maxTxnOps-opc` down, so depth is bounded, too."""
    for outer, inner, text in ((1, 3, ""), (1, 4, TOO_MANY), (3, 1, ""), (3, 2, TOO_MANY)):
        request = pb.TxnRequest(success=[*[get()] * (outer - 1), txn(failure=[get()] * inner)])
        assert refusal(partial(checks.check_txn, request, OPERATIONS_MAX)) == text
    deep = get()
    for depth in range(1, OPERATIONS_MAX + 2):
        request, deep = pb.TxnRequest(success=[deep]), txn([deep])
        text = "" if depth <= OPERATIONS_MAX else TOO_MANY
        assert refusal(partial(checks.check_txn, request, OPERATIONS_MAX)) == text


def test_ten_thousand_operations_are_looked_at_in_steps() -> None:
    """Issue 14: 155 KB of nested transactions held the member for 150 ms before they were run."""

    def leaf(number: int) -> pb.RequestOp:
        name = b"%06d" % number
        return txn(
            [
                delete(b"a" + name, b"a~" + name),
                delete(b"b" + name, b"b" + name + b"~"),
                put(b"z" + name),
                get(b"c"),
            ]
        )

    def request(last: bytes) -> pb.TxnRequest:
        inner = [txn([leaf(30 * it + number) for number in range(30)]) for it in range(60)]
        return pb.TxnRequest(success=[*inner, put(last)])

    counts, kind = slices_of(in_slices(checks.txn_checked(request(b"y"), 128)))
    assert kind == checks.TxnKind(is_read_only=False, is_serializable=False)
    assert (len(counts) > 20, max(counts) < 30_000) == (True, True)
    for last in (b"z000007", b"b001234"):
        assert refusal(partial(checks.check_txn, request(last), 128)) == DUPLICATE
    kind = checks.check_txn(pb.TxnRequest(success=[get()], failure=[txn([get()])]))
    assert kind == checks.TxnKind(is_read_only=True, is_serializable=False)
    local = pb.RequestOp(request_range=pb.RangeRequest(key=b"k", serializable=True))
    assert checks.check_txn(pb.TxnRequest(failure=[local])).is_serializable


def nested_reads(*last: pb.RequestOp) -> bytes:
    inner = [txn([get(b"%06d" % it)] * 60) for it in range(60)]
    return pb.TxnRequest(success=[*inner, *last]).SerializeToString()


def test_a_large_transaction_is_run_when_all_of_it_was_looked_at(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    route = world.routes[b"/etcdserverpb.KV/Txn"]
    assert isinstance(route, Unary)
    handle, token = route.handle, world.tokens["root"]

    def fails(_operations: object) -> None:
        raise ZeroDivisionError

    def ask(body: bytes) -> Answer:
        answer = Answer(token)
        handle(answer, body)
        return answer

    async def main() -> None:
        large = ask(nested_reads())
        writes = ask(nested_reads(put(b"a")))
        wrong = ask(nested_reads(put(b"a"), put(b"a")))
        assert (large.message, writes.message, wrong.error) == (None, None, None)
        small = ask(pb.TxnRequest(success=[get(), put(b"b")]).SerializeToString())
        assert small.message is not None
        await until_idle()
        assert wrong.error == (3, DUPLICATE)
        for answer, count in ((large, 60), (writes, 61)):
            assert answer.message is not None
            assert len(pb.TxnResponse.FromString(answer.message).responses) == count
        # What goes wrong with one is its own.
        monkeypatch.setattr(checks, "_written_by", fails)
        failed = ask(nested_reads())
        await until_idle()
        assert failed.error is not None

    run_virtually(main())
    world.replica.close()
    assert "a transaction could not be looked at" in caplog.text


BEGINS = st.sampled_from([b"a", b"ab", b"b", b"ba", b"c"])
DELETES = st.lists(st.tuples(BEGINS, st.one_of(BEGINS, st.just(b""))), max_size=8)


@given(st.lists(DELETES, min_size=1, max_size=4), BEGINS)
def test_a_put_is_held_against_all_ranges_that_are_deleted_before_it(
    levels: list[list[tuple[bytes, bytes]]], key: bytes
) -> None:
    """Ranges that overlap are made one, at each depth; it is as if each were looked at."""
    operations: list[pb.RequestOp] = []
    for level in levels:
        operations = [*(delete(*it) for it in level), *([txn(operations)] if operations else [])]
    held = any(
        first == key if not end else first <= key < end for lv in levels for first, end in lv
    )
    said = refusal(partial(checks.check_txn, pb.TxnRequest(success=[*operations, put(key)]), 128))
    assert said == (DUPLICATE if held else "")


def test_too_many_is_said_before_anything_else_is_looked_at() -> None:
    request = pb.TxnRequest(success=[pb.RequestOp()] * (OPERATIONS_MAX + 1))
    assert refusal(lambda: checks.check_txn(request, OPERATIONS_MAX)) == TOO_MANY


OVERLAPS: list[tuple[list[pb.RequestOp], str]] = [
    ([put(b"a"), put(b"b"), get(b"a"), delete(b"c")], ""),
    ([delete(b"a"), delete(b"a"), delete(b"a", b"c")], ""),
    ([put(b"a"), put(b"a")], DUPLICATE),
    ([delete(b"a", b"c"), put(b"b")], DUPLICATE),
    ([put(b"b"), delete(b"a", b"c")], DUPLICATE),
    ([put(b"c"), delete(b"a", b"c")], ""),
    # Branches of one transaction exclude each other, and are like one to what is around it.
    ([txn([put(b"a")], [put(b"a")])], ""),
    ([txn([put(b"a")], [delete(b"a")])], ""),
    ([put(b"a"), txn([put(b"a")])], DUPLICATE),
    ([put(b"a"), txn([], [put(b"a")])], DUPLICATE),
    ([put(b"a"), txn([], [delete(b"a")])], DUPLICATE),
    ([delete(b"a"), txn([], [put(b"a")])], DUPLICATE),
    ([txn([put(b"a")]), txn([put(b"a")])], DUPLICATE),
    ([txn([put(b"a")]), txn([put(b"b")])], ""),
    ([txn([txn([put(b"a")])]), put(b"a")], DUPLICATE),
    ([txn([delete(b"a")]), txn([put(b"a")])], DUPLICATE),
    # etcd looks at children in their order: what a later one deletes may have been put before.
    ([txn([put(b"a")]), txn([delete(b"a")])], ""),
    # And its intervals know no end of all keys that is written as a zero byte.
    ([put(b"b"), delete(b"a", b"\0")], ""),
]


@pytest.mark.parametrize(("branch", "text"), OVERLAPS)
def test_no_key_is_put_twice_or_put_and_deleted(branch: list[pb.RequestOp], text: str) -> None:
    assert refusal_of(*branch, operations_max=5) == text


KEYS = st.sampled_from([b"a", b"b", b"bb", b"c", b"d"])
RANGES = st.tuples(KEYS, KEYS).map(lambda it: delete(*it))
OPERATIONS = st.one_of(KEYS.map(put), KEYS.map(delete), RANGES, KEYS.map(get))


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(OPERATIONS, max_size=4))
def test_a_branch_is_refused_when_a_set_of_its_keys_says_so(branch: list[pb.RequestOp]) -> None:
    puts = [it.request_put.key for it in branch if it.HasField("request_put")]
    deletes = [it.request_delete_range for it in branch if it.HasField("request_delete_range")]
    doomed = {
        key
        for key in puts
        for it in deletes
        if (it.key <= key < it.range_end if it.range_end else key == it.key)
    }
    is_bad = len(puts) != len(set(puts)) or bool(doomed)
    request = pb.TxnRequest(success=branch)
    assert refusal(lambda: checks.check_txn(request)) == (DUPLICATE if is_bad else "")


NESTED = st.recursive(
    OPERATIONS,
    lambda inner: st.builds(txn, st.lists(inner, max_size=3), st.lists(inner, max_size=2)),
    max_leaves=12,
)


def model_of(branch: Sequence[pb.RequestOp]) -> tuple[set[bytes], list[tuple[bytes, bytes]]]:
    """What a branch puts and deletes, each key held against each deletion; raises on a conflict."""
    puts: set[bytes] = set()
    deletes = [
        (it.request_delete_range.key, it.request_delete_range.range_end)
        for it in branch
        if it.HasField("request_delete_range")
    ]

    def add(key: bytes) -> None:
        if key in puts or any(a <= key < b if b else a == key for a, b in deletes):
            raise ValueError(key)

    for it in branch:
        if it.HasField("request_txn"):
            then_puts, then_deletes = model_of(it.request_txn.success)
            else_puts, else_deletes = model_of(it.request_txn.failure)
            for key in then_puts | else_puts:
                add(key)
            puts |= then_puts | else_puts
            deletes += then_deletes + else_deletes
    for it in branch:
        if it.HasField("request_put"):
            add(it.request_put.key)
            puts.add(it.request_put.key)
    return puts, deletes


@pytest.mark.slow
@settings(max_examples=100 * SAMPLES)
@given(st.lists(NESTED, max_size=4))
def test_so_it_is_at_any_depth(branch: list[pb.RequestOp]) -> None:
    try:
        model_of(branch)
        wanted = ""
    except ValueError:
        wanted = DUPLICATE
    assert refusal(lambda: checks.check_txn(pb.TxnRequest(success=branch))) == wanted


def deep(operations: list[pb.RequestOp]) -> pb.RequestOp:
    """All of them in one, no more than twenty in any transaction."""
    while len(operations) > 20:
        operations = [txn(operations[it : it + 20]) for it in range(0, len(operations), 20)]
    return txn(operations)


def test_all_depths_together_have_so_many_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request of a megabyte had room for a hundred thousand: a fifth of a second in one step."""
    monkeypatch.setattr(checks, "NESTED_OPERATIONS_MAX", 32)
    compare = pb.Compare(key=b"k")
    inner = pb.TxnRequest(compare=[compare] * 2, success=[get()] * 3, failure=[get()] * 4)
    three = txn([pb.RequestOp(request_txn=inner)] * 3)
    assert refusal_of(three, operations_max=9) == ""
    assert refusal_of(three, get(), get(), operations_max=9) == TOO_MANY
    assert refusal_of(three, get(), get(), operations_max=11) == ""


@pytest.mark.parametrize("end", [b"", b"d1"])
def test_many_keys_are_not_held_against_many_deletions_one_by_one(end: bytes) -> None:
    """A request of 200 KB, from anybody, once held the loop for three seconds."""
    deletes = deep([delete(b"d0%04d" % it, end) for it in range(2000)])
    puts = deep([put(b"p%05d" % it) for it in range(2000)])
    request = pb.TxnRequest(success=[deletes, puts])
    assert steps_of(lambda: checks.check_txn(request)) < 150_000


@pytest.mark.parametrize(
    ("branch", "reads_only", "is_local"),
    [
        ([], True, True),
        ([get(serializable=True)], True, True),
        ([get()], True, False),
        ([get(serializable=True), get()], True, False),
        ([put()], False, False),
        ([delete()], False, False),
        ([get(serializable=True), put()], False, False),
        # etcd's isTxnSerializable takes no transaction within another for one.
        ([txn([get(serializable=True)])], True, False),
        ([txn([], [txn([get()])])], True, False),
        ([txn([get()], [put()])], False, False),
    ],
)
def test_a_transaction_reads_only_when_no_branch_could_write(
    branch: list[pb.RequestOp], *, reads_only: bool, is_local: bool
) -> None:
    for request in (pb.TxnRequest(success=branch), pb.TxnRequest(failure=branch)):
        assert checks.check_txn(request) == checks.TxnKind(reads_only, is_local)


@pytest.mark.parametrize(
    ("action", "alarm", "text"),
    [
        (0, 0, ""),
        (0, 9, ""),  # whoever asks for alarms that there are not gets none
        (1, 1, ""),
        (2, 9, ""),  # what cannot be raised can be taken back
        (1, 9, "alarm type 9 is unknown"),
        (3, 1, "alarm action 3 is unknown"),
        (-1, 9, "alarm action -1 is unknown"),
    ],
)
def test_no_alarm_is_raised_that_is_none(action: int, alarm: int, text: str) -> None:
    request = pb.AlarmRequest(action=action, alarm=alarm)  # type: ignore[arg-type]  # numbers
    assert refusal(lambda: checks.check_alarm(request)) == text


@pytest.mark.parametrize(
    ("kind", "is_known"), [(0, True), (1, True), (2, True), (3, False), (-1, False)]
)
def test_no_permission_is_granted_that_is_none(kind: int, *, is_known: bool) -> None:
    permission = auth_pb2.Permission(permType=kind, key=b"k")  # type: ignore[arg-type]  # a number
    request = pb.AuthRoleGrantPermissionRequest(name="r", perm=permission)
    text = "" if is_known else f"etcdserver: permission type {kind} is unknown"
    assert refusal(lambda: checks.check_permission(request)) == text
