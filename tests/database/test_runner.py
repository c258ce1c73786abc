"""Where operations run: what one has cost, whatever comes of it."""

from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.database import Limits, Operations, Refused, Transaction
from roost.database.answers import decode_answer, encode_asked
from roost.database.operations import LongOperation, Operation
from roost.database.rows import TxnRows
from roost.database.runner import Runner
from roost.store import NothingKept
from tests.database.test_transaction import empty_txn
from tests.objects.layouts.steps import all_of

asked = Operations("asked")


def work(txn: Transaction, written: int, read: int) -> None:
    tree = txn.tree("rows", key=int, value=int)
    for number in range(written):
        tree[number] = number
    for number in range(read):
        tree.get(number)


@asked.operation
def kept(txn: Transaction, written: int, read: int) -> None:
    work(txn, written, read)


@asked.operation
def refused(txn: Transaction, written: int, read: int) -> None:
    work(txn, written, read)
    raise Refused("not now")


@asked.operation
def failed(txn: Transaction, written: int, read: int) -> None:
    work(txn, written, read)
    raise ZeroDivisionError


@asked.operation
def taken_back(txn: Transaction, written: int, read: int) -> None:
    before = txn.savepoint()
    work(txn, written, read)
    before.rollback()


def cost_of(operation: Operation[[int, int], None], written: int, read: int) -> int:
    known = {it.name: it for it in asked}
    runner = Runner(known, Limits(), clock_s=lambda: 0.0, wall_s=lambda: 0.0, clock_number=1)
    txn = empty_txn()
    body = encode_asked(operation.name, operation.encode((written, read), {}), None)
    assert isinstance(runner.run(txn, body), bytes)
    return txn.cost


@given(st.sampled_from([refused, failed, taken_back]), st.integers(0, 1000), st.integers(0, 1000))
def test_what_is_not_kept_costs_no_less_than_what_is(
    operation: Operation[[int, int], None], written: int, read: int
) -> None:
    """Issue 14: 320 that read a thousand rows and were refused were one turn of 375 ms."""
    assert cost_of(operation, written, read) >= cost_of(kept, written, read)
    assert cost_of(operation, written, read) >= written // 3 + read


def test_to_say_no_costs_something_and_to_fail_costs_more() -> None:
    assert cost_of(kept, 0, 0) < cost_of(refused, 0, 0) < cost_of(failed, 0, 0)


def grown(txn: Transaction, count: int, says_no: bool) -> Generator[None, None, int]:  # noqa: FBT001 - arguments of operations have positions
    tree = txn.tree("rows", key=int, value=int)
    for number in range(count):
        tree[number] = number
        if number % 3 == 2:
            yield
    if says_no:
        raise Refused("not now")
    return count


GROWN = LongOperation("asked.grown", grown, mostly_short=True)


@given(st.integers(0, 9), st.booleans(), st.booleans())
def test_what_is_mostly_short_takes_turns_of_its_own_only_when_it_is_not(
    count: int,
    says_no: bool,  # noqa: FBT001 - hypothesis gives it
    has_key: bool,  # noqa: FBT001 - as above
) -> None:
    runner = Runner(
        {GROWN.name: GROWN}, Limits(), clock_s=lambda: 0.0, wall_s=lambda: 0.0, clock_number=1
    )
    txn, once = empty_txn(), b"key" if has_key else None
    mark = txn.savepoint()
    outcome = runner.run(txn, encode_asked(GROWN.name, GROWN.encode((count, says_no), {}), once))
    assert isinstance(outcome, bytes) == (count < 3)
    if not isinstance(outcome, bytes):
        assert txn.savepoint() == mark, "what was begun is taken back"
        try:
            outcome = all_of(outcome.run(txn))
        except NothingKept as nothing:
            outcome = nothing.answer
    if says_no:
        with pytest.raises(Refused, match="not now"):
            decode_answer(outcome)
    else:
        assert GROWN.result(decode_answer(outcome)) == count
        rows = TxnRows(txn, Limits())
        assert len(rows.scan("rows", b"", None, reverse=False, limit=99)) == count
