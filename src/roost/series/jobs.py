"""Deletions of many series: rows that say how far each is, so that any leader can go on with it.

    tree "series.jobs"     u64 number of the job    -> MessagePack array of a `Job`

A deletion of one range of a series is one staged record and seen at once, however many points go.
What is long is that of thousands of series: each has to be found and counted.  So a job is begun,
and whoever leads makes step after step (`deleting`), each one operation: the deletion of some
series, staged, and the row that says so.  Either both are there or neither, so a step is done once,
whoever leads.  Series are taken in the order of their numbers.
"""

from struct import Struct

import msgspec

from roost.database import Refused, Transaction, WritableTree
from roost.series.errors import NO_JOB, OVERTAKEN
from roost.series.names import Tag
from roost.series.registry import delete_points

JOBS_TREE = "series.jobs"
JOB_KEY = Struct(">Q")
# Jobs whose rows are kept, of which so many are not over; beyond, the oldest that is over goes.
JOBS_MAX, RUNNING_MAX = 64, 8
RUNNING, DONE, CANCELLED = "running", "done", "cancelled"


class Job(msgspec.Struct, frozen=True, array_like=True):
    """One deletion: what of which series, how much that was when it began, and how far it is.

    `cursor` is the last series that was done.  `point_count` and `deleted_count` were counted
    just before: what came in between is gone, too, and in neither.
    """

    number: int
    names: list[str]
    tags: list[Tag]
    start: int
    stop: int
    begun_ns: int
    series_count: int
    point_count: int
    state: str = RUNNING
    cursor: int = 0
    done_count: int = 0
    deleted_count: int = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing more is deleted by it."""
        return self.state != RUNNING


_decoder = msgspec.msgpack.Decoder(Job)


def decode_job(row: bytes) -> Job:
    """The job in a row."""
    return _decoder.decode(row)


def begin_job(txn: Transaction, job: Job) -> Job:
    """Begin a job; it gets its number.

    Raises:
        Refused: RUNNING_MAX of them are not over.

    """
    tree = txn.tree(JOBS_TREE)
    held = [decode_job(row) for _, row in tree.items()]
    if sum(not it.is_over for it in held) >= RUNNING_MAX:
        raise Refused(f"{RUNNING_MAX} deletions are under way: wait for one, or cancel one")
    over = [it for it in held if it.is_over]
    for it in over[: max(0, len(held) + 1 - JOBS_MAX)]:
        tree.discard(JOB_KEY.pack(it.number))
    number = held[-1].number + 1 if held else 1
    return _put(tree, msgspec.structs.replace(job, number=number))


def step_job(txn: Transaction, number: int, cursor: int, sids: list[int], point_count: int) -> Job:
    """Delete from some series behind `cursor`, in their order; without any the job is done.

    Raises:
        Refused: OVERTAKEN, it is somewhere else, or over; NO_JOB; STAGING_FULL.

    """
    job = _job(txn, number)
    if job.is_over or job.cursor != cursor:
        raise Refused("somebody else has gone on with this, or it is over", code=OVERTAKEN)
    if not sids:
        return _put(txn.tree(JOBS_TREE), msgspec.structs.replace(job, state=DONE))
    delete_points(txn, sids, job.start, job.stop)
    return _put(
        txn.tree(JOBS_TREE),
        msgspec.structs.replace(
            job,
            cursor=sids[-1],
            done_count=job.done_count + len(sids),
            deleted_count=job.deleted_count + point_count,
        ),
    )


def cancel_job(txn: Transaction, number: int) -> Job:
    """Delete no more by a job; what is gone stays gone.  One that is over stays as it is.

    Raises:
        Refused: NO_JOB.

    """
    job = _job(txn, number)
    if job.is_over:
        return job
    return _put(txn.tree(JOBS_TREE), msgspec.structs.replace(job, state=CANCELLED))


def _job(txn: Transaction, number: int) -> Job:
    row = txn.tree(JOBS_TREE).get(JOB_KEY.pack(number))
    if row is None:
        raise Refused(f"there is no job {number}", code=NO_JOB)
    return decode_job(row)


def _put(tree: WritableTree[bytes, bytes], job: Job) -> Job:
    tree[JOB_KEY.pack(job.number)] = msgspec.msgpack.encode(job)
    return job
