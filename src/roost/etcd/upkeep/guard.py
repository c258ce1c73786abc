"""Raises and takes back the alarms of one member: space, and states that differ (etcd api: Alarm).

Each member looks after itself: NOSPACE when its store has grown to the quota, or its file system
is down to the reserve, or when a request was refused because it would have passed the quota and
little is left.  It is raised while there is still room to delete, compact and recover,
and taken back when there is room again; what a client has raised stays until a client disarms it.
CORRUPT is raised for members whose state digest was found to differ, LOST_ENTRIES for those that
came back with less than they had acknowledged; an operator takes these back.
"""

import logging

from roost.database.model import Space
from roost.errors import RoostError
from roost.etcd.model.alarms import ALARM_OPERATION, CORRUPT, LOST_ENTRIES, NOSPACE, Alarms
from roost.etcd.ports import Replica
from roost.outcome import Outcome
from roost.proto import rpc_pb2 as pb
from roost.runbook import place_of
from roost.ticker import Ticker

logger = logging.getLogger(__name__)
LOOK_S = 0.1
QUOTA_BYTES = 2 << 30
# An alarm is taken back when usage has fallen below this part of what raised it.
_CALM_PART = 0.9


class Guard:
    """Looks at one member now and then; `quota_bytes` 0 is no quota."""

    def __init__(self, replica: Replica, alarms: Alarms, *, quota_bytes: int) -> None:
        """Nothing runs before `start`."""
        self._replica = replica
        self._alarms = alarms
        self._quota_bytes = quota_bytes
        self._is_asking = False
        # Alarms about members that were raised once: an operator may take them back.
        self._told: set[tuple[int, pb.AlarmType]] = set()
        self._ticker = Ticker(LOOK_S, self._look)
        alarms.look = self._look

    def start(self) -> None:
        """Look from now on."""
        self._ticker.start()

    def stop(self) -> None:
        """Look no more."""
        self._ticker.stop()

    def _look(self) -> None:
        if not self._is_asking and self._replica.leader_id:
            self.check(self._replica.space())

    def check(self, space: Space) -> None:
        """Raise or take back what is due, one alarm at a time."""
        alarms = self._alarms
        own_id, raised = self._replica.member_id, alarms.raised
        part = _CALM_PART if alarms.is_short else 1.0
        if self._quota_bytes:
            alarms.room_bytes = max(0, self._quota_bytes - space.store_bytes)
            alarms.is_short = False
        is_raised = (own_id, NOSPACE) in raised
        is_ours = (own_id, NOSPACE) in alarms.raised_by_members
        if not is_raised and self._is_full(space, part):
            text = "no space is left: %d bytes in the store of %s, %d free on its disk (%s)"
            quota = f"{self._quota_bytes} (--quota-backend-bytes)" if self._quota_bytes else "any"
            where = place_of(_name_of(NOSPACE))
            logger.error(text, space.store_bytes, quota, space.disk_free_bytes, where)
            self._ask(pb.AlarmRequest.ACTIVATE, own_id, NOSPACE)
        elif is_ours and not self._is_full(space, _CALM_PART):
            logger.warning("there is space again")
            self._ask(pb.AlarmRequest.DEACTIVATE, own_id, NOSPACE)
        suspects = [(it, CORRUPT) for it in sorted(space.corrupt_members)]
        suspects += [(it, LOST_ENTRIES) for it in sorted(space.forgetful_members)]
        for member_id, kind in suspects:
            if (member_id, kind) not in self._told and not self._is_asking:
                self._told.add((member_id, kind))
                name = _name_of(kind)
                text = "alarm %s is raised for member %x (%s)"
                logger.error(text, name, member_id, place_of(name))
                self._ask(pb.AlarmRequest.ACTIVATE, member_id, kind)

    def _is_full(self, space: Space, part: float) -> bool:
        is_over = bool(self._quota_bytes) and space.store_bytes >= part * self._quota_bytes
        return is_over or part * space.disk_free_bytes < space.disk_reserve_bytes

    def _ask(self, action: pb.AlarmRequest.AlarmAction, member_id: int, kind: pb.AlarmType) -> None:
        self._is_asking = True
        request = pb.AlarmRequest(action=action, memberID=member_id, alarm=kind)

        def done(outcome: Outcome) -> None:
            self._is_asking = False
            if isinstance(outcome, RoostError):
                self._told.discard((member_id, kind))
                logger.info("an alarm could not be changed yet: %s", outcome)

        self._replica.transact_nowait(ALARM_OPERATION, request.SerializeToString(), done)


def _name_of(kind: pb.AlarmType) -> str:
    return pb.AlarmType.Name(kind)
