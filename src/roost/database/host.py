"""What a data model needs of the member in this process, besides trees: `Database.host`.

Operations of its own that it declares when it is opened, what the member knows of itself while one
of them runs, and a thread for work that would hold the loop up.  Whoever builds a replicated
machine, or another kind of object, builds it with these (`roost.objects`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from roost.database.embedded import Embedded
from roost.database.operations import Operation
from roost.figures import Family

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Origin:
    """A member at one moment; `at_s` is seconds since 1970, by its clock."""

    member: str
    term: int
    commit_index: int
    at_s: float


class Host:
    """The member in this process; see the module."""

    def __init__(self, embedded: Embedded, hold_s: float) -> None:
        """`hold_s` is how long something may take on the loop (`Limits.hold_s`)."""
        self._embedded = embedded
        self.hold_s = hold_s

    @property
    def data_dir(self) -> Path:
        """The member's directory; what is put there must not look like its own files."""
        return self._embedded.member.config.data_dir

    @property
    def is_leader(self) -> bool:
        """Whether this member leads, as far as it knows."""
        member = self._embedded.member
        return member.leader_id == member.member_id

    def clock_s(self) -> float:
        """Seconds of a clock that never goes back."""
        return self._embedded.world.clock_s()

    def origin(self) -> Origin:
        """Who this member is, now."""
        member = self._embedded.member
        now_s = self._embedded.world.wall_s()
        return Origin(member.config.name, member.term, member.core.commit_index, now_s)

    def check(self) -> None:
        """Refuse a call that could get no answer.

        Raises:
            Closed, Forked, WrongLoop, MemberEnded: see there.

        """
        self._embedded.check()

    def declare(self, operation: Operation[Any, Any]) -> None:
        """Have this member run an operation, too, when it leads; declared again it is the same.

        Raises:
            BadDeclaration: there is another one of that name.

        """
        self._embedded.runner.declare(operation)

    def show(self, collect: Callable[[], Sequence[Family]]) -> None:
        """Have `collect()` called whenever the figures of this member are shown."""
        self._embedded.shown.append(collect)

    async def aside(self, work: Callable[[], T]) -> T:
        """Run `work` on a thread, while the loop goes on; cancelled, it is waited for all the same.

        It must touch nothing that the loop changes meanwhile.
        """
        self._embedded.check()
        return await self._embedded.world.run_aside(work)
