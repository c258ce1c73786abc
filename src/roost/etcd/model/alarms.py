"""Alarms: what is wrong with a member, kept in the replicated tree `alarms` (etcd api: Alarm).

    u64 member id, u8 type (etcd's AlarmType)  ->  b"" when a client has raised it, else b"m"

While NOSPACE is raised for any member, nothing that takes space is written; reads, deletes and
compaction go on.  While CORRUPT is raised nothing of the key space is read or written, and no
lease comes or goes.
LOST_ENTRIES stops nothing: its member is filled again by then, but its disk wants looking at.
Every member looks at what is applied, so an alarm counts wherever it was raised.

Full?  A client may raise ALARMS_MAX, whatever members it names; what members see themselves is
always raised.
"""

import struct
from collections.abc import Callable
from typing import Final

from roost.database.model import Store, Txn, View
from roost.etcd import errors
from roost.etcd.model.mvcc import ALARMS_TREE
from roost.proto import rpc_pb2 as pb

ALARM_OPERATION: Final = "etcd.alarm"
NOSPACE, CORRUPT, LOST_ENTRIES = pb.NOSPACE, pb.CORRUPT, pb.LOST_ENTRIES
KINDS = (NOSPACE, CORRUPT, LOST_ENTRIES)
# All of them are read again with each change of one, and listed with each status.
ALARMS_MAX = 128
_BY_CLIENT, _BY_MEMBER = b"", b"m"
_KEY: Final = struct.Struct(">QB")
Alarm = tuple[int, pb.AlarmType]
# What one write takes beside what the client sent: its revision, its history, their places.
WRITE_BYTES: Final = 256


class Alarms:
    """The alarms as applied here, and the operation that changes them."""

    def __init__(self, store: Store) -> None:
        """Look at what is applied."""
        self.tree = store.tree(ALARMS_TREE).id
        self._view = store.view
        # What may be written here before the quota is reached, by the last look; None = any.
        self.room_bytes: int | None = None
        # Whether something was refused for want of room since `room_bytes` was set.
        self.is_short = False
        # Looks now at what there is (`guard`): something was freed.
        self.look: Callable[[], None] = lambda: None
        self.read_again()

    def read_again(self) -> None:
        """A snapshot has replaced everything, or something was applied."""
        # (member id, type) of every alarm, in order.
        self.raised: list[Alarm] = []
        # Those that a member raised because it saw what is wrong, and may take back.
        self.raised_by_members: set[Alarm] = set()
        for key, by in self._view.iterate(self.tree):
            alarm: Alarm = _KEY.unpack(key)
            self.raised.append(alarm)
            if by == _BY_MEMBER:
                self.raised_by_members.add(alarm)
        self.has_no_space = any(kind == NOSPACE for _, kind in self.raised)
        self.is_corrupt = any(kind == CORRUPT for _, kind in self.raised)

    def change_by_hand(self, txn: Txn, body: bytes) -> bytes:
        """Operation: a client raises or disarms; the answer is what was raised or disarmed.

        Raises:
            Refused: as many are raised as may be.

        """
        return self._change(txn, body, _BY_CLIENT)

    def change_by_member(self, txn: Txn, body: bytes) -> bytes:
        """Operation: a member raises what it sees, or takes back what a member has raised."""
        return self._change(txn, body, _BY_MEMBER)

    def _change(self, txn: Txn, body: bytes, by: bytes) -> bytes:
        request = pb.AlarmRequest.FromString(body)
        if request.alarm not in KINDS:
            return b""  # as etcd: nothing is raised, and there is nothing to disarm
        key = _KEY.pack(request.memberID, request.alarm)
        held = txn.get(self.tree, key)
        if request.action == pb.AlarmRequest.ACTIVATE:
            # What a client has raised stays the client's.
            if held is None or by == _BY_CLIENT != held:
                if held is None and by == _BY_CLIENT:
                    self._check_room(txn)
                txn.put(self.tree, key, by)
        elif held is None or by == _BY_MEMBER != held:
            return b""
        else:
            txn.delete(self.tree, key)
        said = pb.AlarmMember(memberID=request.memberID, alarm=request.alarm)
        return pb.AlarmResponse(alarms=[said]).SerializeToString()

    def _check_room(self, view: View) -> None:
        if len(view.scan(self.tree, limit=ALARMS_MAX)) == ALARMS_MAX:
            raise errors.too_many("alarms", ALARMS_MAX)

    def take_space(self, cost_bytes: int) -> None:
        """Take room for a write of so many bytes in the store, before it is proposed.

        The quota is looked at again ten times a second (`guard`); between two looks what is
        written takes from the room that the last one found.

        Raises:
            Refused: etcd's ErrNoSpace; there is an alarm, or not that much room.

        """
        room = self.room_bytes
        if room is not None and not self.has_no_space:
            if cost_bytes <= room:
                self.room_bytes = room - cost_bytes
                return
            self.is_short = True
        elif not self.has_no_space:
            return
        raise errors.no_space()

    def check_sound(self) -> None:
        """Refuse to read or write keys while members differ.

        Raises:
            Refused: etcd's ErrCorrupt.

        """
        if self.is_corrupt:
            raise errors.corrupt()


def cost_of(body: bytes, write_count: int) -> int:
    """What a request takes in the store at the most; a value stands under its revision, too."""
    return 2 * len(body) + write_count * WRITE_BYTES
