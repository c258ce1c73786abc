"""Compacts by itself (etcd: --auto-compaction-mode): the leader forgets revisions that are old.

*revision* keeps a number of revisions, looked at every five minutes.  *periodic* keeps a length
of time: the revision is noted at steps of a tenth of it, six minutes at most, and what was noted
that long ago is compacted.  Notes are in memory, so after a restart nothing is compacted before
the time has passed once.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from roost.errors import Refused
from roost.etcd.model.mvcc import Mvcc
from roost.etcd.ports import Replica
from roost.outcome import Done, Outcome
from roost.proto import rpc_pb2 as pb
from roost.ticker import Ticker

logger = logging.getLogger(__name__)
REVISION_LOOK_S = 300.0
_STEPS, _STEP_S_MAX = 10, 360.0
AUTO_COMPACT = "etcd.auto_compact"


class Keeping(Protocol):
    """How much is kept."""

    look_s: float

    def due(self, now_s: float, revision: int) -> int:
        """Up to which revision to compact; 0 = nothing."""


class KeepRevisions:
    """The newest `count` revisions are kept."""

    look_s = REVISION_LOOK_S

    def __init__(self, count: int) -> None:
        """Keep so many."""
        self._count = count

    def due(self, now_s: float, revision: int) -> int:
        """Everything older."""
        del now_s
        return max(0, revision - self._count)


class KeepTime:
    """Revisions of the last `seconds` are kept."""

    def __init__(self, seconds: float) -> None:
        """Nothing is noted yet."""
        self._seconds = seconds
        self.look_s = min(seconds / _STEPS, _STEP_S_MAX)
        self._notes: deque[tuple[float, int]] = deque()

    def due(self, now_s: float, revision: int) -> int:
        """What was the newest revision that long ago."""
        self._notes.append((now_s, revision))
        due = 0
        while self._notes and self._notes[0][0] <= now_s - self._seconds:
            due = self._notes.popleft()[1]
        return due


class Compactor:
    """Looks now and then, and compacts where this member leads."""

    def __init__(
        self, replica: Replica, mvcc: Mvcc, keeping: Keeping, *, clock_s: Callable[[], float]
    ) -> None:
        """Nothing runs before `start`."""
        self._replica = replica
        self._mvcc = mvcc
        self._keeping = keeping
        self._clock_s = clock_s
        self._ticker = Ticker(keeping.look_s, self.look)

    def start(self) -> None:
        """Look from now on."""
        self._ticker.start()

    def stop(self) -> None:
        """Look no more."""
        self._ticker.stop()

    def look(self) -> None:
        """Compact what is due."""
        replica = self._replica
        revision = self._mvcc.revision(replica.view)
        due = self._keeping.due(self._clock_s(), revision)
        leads = replica.leader_id == replica.member_id
        if leads and due > max(self._mvcc.compacted(replica.view), 0):
            body = pb.CompactionRequest(revision=due).SerializeToString()
            replica.transact_nowait(AUTO_COMPACT, body, _note(due))


def _note(revision: int) -> Done:
    def done(outcome: Outcome) -> None:
        if isinstance(outcome, bytes):
            logger.info("compacted up to revision %d", revision)
        elif not isinstance(outcome, Refused):
            logger.warning("compaction up to revision %d failed: %s", revision, outcome)

    return done
