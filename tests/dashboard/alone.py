"""A member of three, as the dashboard sees one, without a cluster; and those who may look at it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from roost.call import Caller, Code
from roost.dashboard import Facts, Gathering, Happenings, Hub, Raised
from roost.database.model import (
    Changes,
    Light,
    MemberRecord,
    Operation,
    Store,
    View,
)
from roost.errors import ModelRefused, RoostError
from roost.flow import OWN, Flow
from roost.outcome import Done, ReadDone, Waiting

NAMES = {1: "m1", 2: "m2", 3: "m3"}


class Sent(NamedTuple):
    """A frame that was sent."""

    member_id: int
    kind: int
    body: bytes


@dataclass
class Alone:
    """The first of three members; what it sends is kept, and what comes is said by a test."""

    member_id: int = 1
    cluster_id: int = 0xC
    term: int = 7
    leader_id: int = 2
    is_learner: bool = False
    now_s: float = 100.0
    sent: list[Sent] = field(default_factory=list)
    handlers: dict[int, Callable[[int, bytes], None]] = field(default_factory=dict)
    ids: list[int] = field(default_factory=lambda: list(NAMES))

    def members(self) -> Sequence[MemberRecord]:
        return [
            MemberRecord(id=it, name=NAMES[it], peer_urls=(f"http://10.0.0.{it}:2380",))
            for it in self.ids
        ]

    def register_frame(self, kind: int, handler: Callable[[int, bytes], None]) -> None:
        self.handlers[kind] = handler

    def send_frame(self, member_id: int, kind: int, buffers: Sequence[bytes]) -> bool:
        self.sent.append(Sent(member_id, kind, b"".join(buffers)))
        return True

    def clock_s(self) -> float:
        return self.now_s

    # What the dashboard has no use for.

    @property
    def view(self) -> View:
        raise NotImplementedError

    @property
    def store(self) -> Store:
        raise NotImplementedError

    def register(self, name: str, operation: Operation | Light) -> None:
        raise NotImplementedError

    def transact_nowait(
        self,
        name: str,
        body: bytes,
        done: Done,
        flow: Flow = OWN,
        waiting: Waiting | None = None,
    ) -> None:
        raise NotImplementedError

    def read_nowait(self, done: ReadDone, flow: Flow = OWN) -> None:
        raise NotImplementedError

    def observe(
        self, callback: Callable[[int, Changes], None], trees: Iterable[int] | None = None
    ) -> None:
        raise NotImplementedError

    def observe_switch(self, prepare: Callable[[], Callable[[], None]]) -> None:
        raise NotImplementedError


class Rights:
    """Everybody may look, or nobody for a reason."""

    def __init__(self) -> None:
        self.refusal: RoostError | None = None
        self.wants_root = False

    def refuse(self, code: Code, text: str) -> None:
        self.refusal = ModelRefused(code, text)

    def admit(
        self,
        caller: Caller,
        allowed: Callable[[], None],
        refused: Callable[[RoostError], None],
        *,
        is_root: bool = False,
    ) -> None:
        self.wants_root = is_root
        if self.refusal is None:
            allowed()
        else:
            refused(self.refusal)


def facts(**changes: object) -> Facts:
    held: dict[str, object] = {"role": "follower", "commit_index": 10, "applied_index": 10}
    return Facts(**(held | changes))  # type: ignore[arg-type]  # fields of it


def hub_of(alone: Alone, alarms: Sequence[Raised] = ()) -> tuple[Hub, Happenings]:
    """What is seen of it."""
    happenings = Happenings(lambda: 1.5)
    gathering = Gathering(alone, facts, alone.clock_s)
    return (
        Hub(alone, gathering, happenings, alarms=lambda: alarms, wall_s=lambda: 1000.0),
        happenings,
    )
