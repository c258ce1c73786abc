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


def check_revisions(mvcc: Mvcc, view: View, operations: Iterable[pb.RequestOp]) -> None:
    """Refuse ranges at revisions that are gone, or not there before the transaction.

    Raises:
        Refused: OUT_OF_RANGE with etcd's text.

    """
    asked = [it.request_range.revision for it in operations if it.request_range.revision]
    if not asked:
        return  # as nearly all: the two look-ups are spared
    current, compacted = mvcc.revision(view), mvcc.compacted(view)
    for revision in asked:
        if revision > current:
            raise errors.future_revision()
        if revision < compacted:
            raise errors.compacted()
