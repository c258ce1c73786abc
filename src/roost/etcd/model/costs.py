"""Steps that say what they have cost, taken all at once or a slice a turn of the loop (D14).

The unit is a row that is read, about four microseconds.  So what is asked for is written once, as
a generator, and whoever drives it decides by what it has cost how much of it a turn takes.  What
operations cost that are taken at once stands in `Txn.cost`: the executor ends its batch by it.
"""

from collections.abc import Callable, Generator
from typing import Final, TypeVar

from roost.database.model import Long, Txn
from roost.etcd import errors

# An operation that looks at more rows runs over many turns, so many rows a slice.
INLINE_ROWS_MAX, SLICE_ROWS = 250, 250
# So many keys take as long whose values are not read, and all of which are deleted alike.
SLICE_NAMES = 1000
# So many bytes that are read, or copied, take as long as a row: 2 to the power of that.
BYTES_A_ROW_LOG2: Final = 13
T = TypeVar("T")
Costs = Generator[int, None, T]


def at_once(steps: Costs[T], txn: Txn | None = None) -> T:
    """What steps come to that are few enough to be taken all at once; `txn` notes their cost."""
    while True:
        try:
            cost = next(steps)
            if txn is not None:
                txn.cost += cost
        except StopIteration as end:
            come_to: T = end.value
            return come_to


def within_a_turn(steps: Costs[T], txn: Txn | None = None, cost_max: int | None = None) -> T | None:
    """What steps come to; None if that costs more than a turn has time for; `txn` notes it.

    That is INLINE_ROWS_MAX, where nobody says `cost_max`.  What the steps raise is raised, and
    what they cost until then is noted as well.
    """
    cost, come_to = 0, None
    cost_max = INLINE_ROWS_MAX if cost_max is None else cost_max
    try:
        while cost <= cost_max:
            cost += next(steps)
    except StopIteration as end:
        come_to = end.value
    finally:
        if txn is not None:
            txn.cost += cost
    return come_to


def are_over(steps: Costs[None], txn: Txn) -> bool:
    """Whether that was all, or it costs more than a turn has time for; `txn` notes what was taken.

    What the steps raise is raised.
    """
    cost = 0
    try:
        while cost <= INLINE_ROWS_MAX:
            cost += next(steps)
    except StopIteration:
        return True
    finally:
        txn.cost += cost
    return False


def in_slices(steps: Costs[T], cost_max: int | None = None) -> Generator[None, None, T]:
    """The same steps, as many in a slice as a turn has time for.

    Raises:
        Refused: they have cost more than `cost_max`.

    """
    cost = total = 0
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            answer: T = end.value
            return answer
        cost, total = cost + step, total + step
        if cost_max is not None and total > cost_max:
            raise errors.too_much_to_look_at()
        if cost >= SLICE_ROWS:
            cost = 0
            yield


def now_or_long(txn: Txn, run: Callable[[Txn], Costs[bytes]]) -> bytes | Long:
    """What `run` comes to, or the operation that it is if that costs more than a turn has time for.

    What was written by then is taken back, and written again when it is its turn.
    """
    mark = txn.savepoint()
    answer = within_a_turn(run(txn), txn)
    if answer is not None:
        return answer
    txn.rollback(mark)
    return Long(lambda its: in_slices(run(its)))
