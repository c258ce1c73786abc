"""A queue in which flows take turns: what one has waiting delays no other by more than a turn.

It is a deficit round robin in two stages (Shreedhar and Varghese, 1995), among owners and then
among the connections of one.  Whoever has the turn is served until what it was granted is used
up; a large request may use more, and is paid for with the turns that follow.  What one connection
has asked for stays in its order.  Whatever the number of flows, to queue and to take costs the
same: an item is moved past at most once for each QUANTUM that it costs.

Full?  Who may queue one more is decided by dynamic thresholds (Choudhury and Hahne, 1998): a
connection may have as many waiting as there is room left for, an owner OWNER_SHARES times as many.
So the heaviest is refused first, and long before there is no room for somebody else; nobody is
ever thrown out who was let in.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from roost.flow import Flow

# What is granted in one turn, and what an item costs beside its bytes.
QUANTUM: Final = 16 << 10
ITEM_COST: Final = 512
OWNER_SHARES: Final = 4

Item = TypeVar("Item")


class _Lane(Generic[Item]):
    """What one connection has waiting."""

    __slots__ = ("balance", "bytes", "flow", "group", "items", "sizes")

    def __init__(self, flow: Flow, group: "_Group[Item]") -> None:
        self.flow = flow
        self.group = group
        # The bytes of each item, beside it.  Lists: most lines are short, begin anew with each
        # batch, and are taken whole.
        self.items: list[Item] = []
        self.sizes: list[int] = []
        self.bytes = 0
        self.balance = QUANTUM


class _Group(Generic[Item]):
    """The lanes of one owner that take turns."""

    __slots__ = ("balance", "bytes", "count", "lanes", "owner")

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.lanes: deque[_Lane[Item]] = deque()
        self.count = self.bytes = 0
        self.balance = QUANTUM


class FairQueue(Generic[Item]):
    """Items of flows that wait; `count` of them, and their `bytes`."""

    def __init__(self, *, count_max: int, bytes_max: int) -> None:
        """Nobody waits."""
        self.count = self.bytes = 0
        self.refused_count = 0
        self._count_max = count_max
        self.bytes_max = bytes_max
        # When all together have no more than that, nobody has too much.
        self._roomy_count, self._roomy_bytes = count_max / 2, bytes_max / 2
        # Whose turn it is stands first in either; who owes for what it was given stays in line.
        self._groups: deque[_Group[Item]] = deque()
        self._by_owner: dict[str, _Group[Item]] = {}
        self._by_flow: dict[Flow, _Lane[Item]] = {}

    def __len__(self) -> int:
        """How many wait."""
        return self.count

    @property
    def flow_count(self) -> int:
        """How many connections have something waiting, or owe for what they had; none when idle."""
        return len(self._by_flow)

    def submit(self, flow: Flow, item: Item, size: int) -> bool:
        """Queue an item of so many bytes; False when its flow has too much waiting.

        Raises:
            MemoryError: there was none for it; who waits is as it was.

        """
        if (
            self.count >= self._roomy_count or self.bytes + size > self._roomy_bytes
        ) and not self._may_add(flow, size):
            self.refused_count += 1
            return False
        lane = self._by_flow.get(flow) or self._lane(flow)
        group = lane.group
        # Sums first: an integer may be what there is no memory for, and all is or nothing.
        lane_bytes, group_bytes, total_bytes = (
            lane.bytes + size,
            group.bytes + size,
            self.bytes + size,
        )
        group_count, total_count = group.count + 1, self.count + 1
        lane.sizes.append(size)
        try:
            lane.items.append(item)
        except MemoryError:
            lane.sizes.pop()
            raise
        lane.bytes, group.bytes, self.bytes = lane_bytes, group_bytes, total_bytes
        group.count, self.count = group_count, total_count
        return True

    def _may_add(self, flow: Flow, size: int) -> bool:
        """Whether a flow may queue one more where many wait."""
        room, room_bytes = self._count_max - self.count, self.bytes_max - self.bytes
        lane, group = self._by_flow.get(flow), self._by_owner.get(flow.owner)
        return (
            room > 0
            and size <= room_bytes
            and (lane is None or len(lane.items) < room)
            and (group is None or group.count < room * OWNER_SHARES)
            and (group is None or group.bytes < room_bytes * OWNER_SHARES)
        )

    def _lane(self, flow: Flow) -> _Lane[Item]:
        """A new one, which has its turn after those that there are.

        Where there is no memory for it nothing of it is left but an owner with nothing waiting.
        """
        group = self._by_owner.get(flow.owner)
        if group is None:
            group = _Group(flow.owner)
            self._groups.append(group)
            try:
                self._by_owner[flow.owner] = group
            except MemoryError:
                self._groups.pop()
                raise
        lane = _Lane(flow, group)
        group.lanes.append(lane)
        try:
            self._by_flow[flow] = lane
        except MemoryError:
            group.lanes.pop()
            raise
        return lane

    def take(self) -> Item:
        """The next item, by whose turn it is; there must be one."""
        return self.take_batch(1, 1)[0]

    def take_batch(self, count_max: int, bytes_max: int) -> list[Item]:
        """The next items, as `take` gives one after another: so many, or so many bytes, or all.

        The last of them may go beyond `bytes_max`.
        """
        taken: list[Item] = []
        if self.count <= count_max and self.bytes < bytes_max and self._is_one_turn():
            for group in self._groups:
                for lane in group.lanes:
                    taken += lane.items
            self.count = self.bytes = 0
        while self.count and len(taken) < count_max and bytes_max > 0:
            group = self._groups[0]
            if not group.count or group.balance <= 0:
                group = self._next_group()
            lane = group.lanes[0]
            if not lane.items or lane.balance <= 0:
                lane = self._next_lane(group)
            bytes_max -= self._take_from(lane, taken, count_max - len(taken), bytes_max)
        if not self.count:
            self._reset()  # whoever owes something owes it to nobody
        return taken

    def _is_one_turn(self) -> bool:
        """Whether everybody's turn is long enough for all that it has waiting."""
        is_alone = len(self._groups) == 1
        for group in self._groups:
            if not is_alone and ITEM_COST * group.count + group.bytes > group.balance:
                return False
            for lane in group.lanes:
                if ITEM_COST * len(lane.items) + lane.bytes > lane.balance:
                    return False
        return True

    def _take_from(
        self, lane: _Lane[Item], taken: list[Item], count_max: int, bytes_max: int
    ) -> int:
        """Take of what one whose turn it is has waiting, until the turn is over; say how much."""
        items, sizes, group = lane.items, lane.sizes, lane.group
        count, size = len(items), lane.bytes
        is_alone = len(self._groups) == 1
        granted = lane.balance if is_alone else min(lane.balance, group.balance)
        if count <= count_max and size < bytes_max and ITEM_COST * count + size <= granted:
            taken += items
            items.clear()
            sizes.clear()
        else:
            count_max = min(count, count_max)
            count = size = 0
            while count < count_max and size < bytes_max and granted > 0:
                granted -= ITEM_COST + sizes[count]
                size += sizes[count]
                count += 1
            taken += items[:count]
            del items[:count], sizes[:count]
        cost = ITEM_COST * count + size
        lane.balance -= cost
        group.balance -= cost
        if is_alone and group.balance <= 0:
            # As many turns as it took, since nobody else had one.
            group.balance += QUANTUM * (1 + -group.balance // QUANTUM)
        group.count -= count
        self.count -= count
        lane.bytes -= size
        group.bytes -= size
        self.bytes -= size
        return size

    def _next_group(self) -> _Group[Item]:
        """Move on to an owner that has something waiting, and owes nothing."""
        groups = self._groups
        assert self.count, "something waits"
        while True:
            group = groups[0]
            if group.balance <= 0:
                group.balance += QUANTUM
                groups.rotate(-1)
            elif group.count:
                return group
            else:
                groups.popleft()
                del self._by_owner[group.owner]
                for lane in group.lanes:
                    del self._by_flow[lane.flow]
                group.lanes.clear()

    def _next_lane(self, group: _Group[Item]) -> _Lane[Item]:
        """Move on to a connection of an owner that has something waiting, and owes nothing."""
        lanes = group.lanes
        assert group.count, "something of it waits"
        while True:
            lane = lanes[0]
            if lane.balance <= 0:
                lane.balance += QUANTUM
                lanes.rotate(-1)
            elif lane.items:
                return lane
            else:
                lanes.popleft()
                del self._by_flow[lane.flow]

    def take_all(self) -> Iterator[Item]:
        """Everything, by turns."""
        while self.count:
            yield self.take()

    def _reset(self) -> None:
        for group in self._groups:
            group.lanes.clear()  # they know it: what was in them would be the collector's to free
        self._groups.clear()
        self._by_owner.clear()
        self._by_flow.clear()
