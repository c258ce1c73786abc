"""Plans: what a transaction is going to do, decided before it does anything.

Which branches are taken is decided by the state before the transaction, at every depth (etcd:
compareToPath), so a nested comparison never sees this transaction's own writes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from roost.database.model import View
from roost.etcd import errors
from roost.etcd.model.compares import compares_hold
from roost.etcd.model.costs import Costs
from roost.etcd.model.mvcc import Mvcc
from roost.proto import rpc_pb2 as pb

# To look at so many steps of a plan costs as a row that is read.
STEPS_A_ROW = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """The taken branch of one transaction; a nested transaction stands in it as its own plan."""

    succeeded: bool
    steps: list["pb.RequestOp | Plan"]


def plan_of(mvcc: Mvcc, view: View, request: pb.TxnRequest) -> Costs[Plan]:
    """Choose the branches of a transaction by what `view` holds; yields what a step has cost."""
    succeeded = yield from compares_hold(mvcc, view, request.compare)
    steps: list[pb.RequestOp | Plan] = []
    for number, step in enumerate(request.success if succeeded else request.failure, 1):
        if not number % STEPS_A_ROW:
            yield 1
        if step.HasField("request_txn"):
            yield 1
            steps.append((yield from plan_of(mvcc, view, step.request_txn)))
        else:
            steps.append(step)
    return Plan(succeeded, steps)


def operations_of(plan: Plan) -> Iterator[pb.RequestOp]:
    """All that will be done, at any depth, in order."""
    # Not by recursion, which would hand on each from as many generators as it is deep.
    levels = [iter(plan.steps)]
    while levels:
        for step in levels[-1]:
            if isinstance(step, Plan):
                levels.append(iter(step.steps))
                break
            yield step
        else:
            levels.pop()


def check_revisions(mvcc: Mvcc, view: View, operations: Iterable[pb.RequestOp]) -> Costs[None]:
    """Refuse ranges at revisions that are gone, or not there before the transaction; in steps.

    Raises:
        Refused: OUT_OF_RANGE with etcd's text.

    """
    current = compacted = -1
    for number, it in enumerate(operations, 1):
        if not number % STEPS_A_ROW:
            yield 1
        revision = it.request_range.revision
        if not revision:
            continue  # as nearly all: the two look-ups are spared
        if current < 0:
            current, compacted = mvcc.revision(view), mvcc.compacted(view)
        if revision > current:
            raise errors.future_revision()
        if revision < compacted:
            raise errors.compacted()


def left_of(request: pb.TxnRequest, left: int) -> int:
    """How many of so many operations and comparisons are left beside those of a transaction.

    At any depth; it is less than nothing as soon as there are more.
    """
    left -= len(request.compare) + len(request.success) + len(request.failure)
    if left >= 0:
        for it in (*request.success, *request.failure):
            if it.HasField("request_txn"):
                left = left_of(it.request_txn, left)
                if left < 0:
                    break
    return left


def has_put(request: pb.TxnRequest) -> bool:
    """Whether any branch puts anything, at any depth (etcd: Quota.Cost)."""
    return any(
        it.HasField("request_put") or (it.HasField("request_txn") and has_put(it.request_txn))
        for it in (*request.success, *request.failure)
    )


def puts_anything(request: pb.TxnRequest) -> Costs[bool]:
    """Whether any branch puts anything, at any depth (etcd: Quota.Cost), in steps."""
    for number, it in enumerate((*request.success, *request.failure), 1):
        if it.HasField("request_put"):
            return True
        if it.HasField("request_txn"):
            yield 1
            if (yield from puts_anything(it.request_txn)):
                return True
        elif not number % STEPS_A_ROW:
            yield 1
    return False
