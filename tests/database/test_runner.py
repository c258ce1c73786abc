"""Where operations run: what one has cost, whatever comes of it."""

from hypothesis import given
from hypothesis import strategies as st

from roost.database import Limits, Operations, Refused, Transaction
from roost.database.answers import encode_asked
from roost.database.operations import Operation
from roost.database.runner import Runner
from tests.database.test_transaction import empty_txn

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
