"""Whether somebody may, asked at this member of what is applied here, over turns of the loop.

What a turn has time for is shared by all who ask.  Most are told at once.  Where it takes longer
to know, it is looked at in turns to come, a slice for one user after the other.  What one user asks
is answered in its order: of watches that were asked for, clients know the answers by that.

What is applied changes meanwhile, and an answer is true of one state: where users and roles have
changed since a question was begun, it is begun again.

Full?  What waits are requests, which whoever serves them bounds; one that nobody waits for any more
is dropped.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from roost.errors import CallerGone, Refused, RoostError
from roost.etcd.access.callers import Callers
from roost.etcd.access.judge import Checking, Judge
from roost.etcd.access.tokens import Identity
from roost.etcd.access.users import Auth
from roost.etcd.model.costs import SLICE_ROWS, Costs
from roost.etcd.ports import Replica
from roost.outcome import Waiting, tell_failure

# What a turn has time for, in rows that are read, and how much of it one takes at a time.
TURN_ROWS, ONES_ROWS = SLICE_ROWS, SLICE_ROWS // 4


class _Question:
    """What is asked, and whom to tell."""

    __slots__ = ("allowed", "refused", "steps", "waiting")

    def __init__(
        self,
        steps: Costs[None],
        allowed: Callable[[], None],
        refused: Callable[[RoostError], None],
        waiting: Waiting | None,
    ) -> None:
        """`steps` come to nothing, or raise the refusal."""
        self.steps = steps
        self.allowed = allowed
        self.refused = refused
        self.waiting = waiting


class Questions:
    """Those of one member."""

    def __init__(self, replica: Replica, auth: Auth, callers: Callers) -> None:
        """Nobody asks."""
        self._replica = replica
        self._auth = auth
        self._callers = callers
        self._left = TURN_ROWS
        # What each user has asked, in order; those first who wait the longest for a slice.
        self._waiting: dict[str, deque[_Question]] = {}
        self._count = 0
        self._is_turn_due = False

    def __len__(self) -> int:
        """How many wait; zero when idle."""
        return self._count

    def ask(
        self,
        identity: Identity,
        check: Callable[[Judge], Checking],
        allowed: Callable[[], None],
        refused: Callable[[RoostError], None],
        waiting: Waiting | None = None,
    ) -> None:
        """Call `allowed` when somebody may do what `check` asks, else `refused`."""
        question = _Question(self._steps(identity, check), allowed, refused, waiting)
        line = self._waiting.get(identity.user)
        if line is not None:
            line.append(question)
            self._count += 1
        elif not self._look_on(question):
            self._waiting[identity.user] = deque((question,))
            self._count += 1
        self._plan()

    def _steps(self, identity: Identity, check: Callable[[Judge], Checking]) -> Costs[None]:
        """What it takes to know; they raise the refusal."""
        auth, view = self._auth, self._replica.view
        while auth.is_enabled(view):
            number, refusal = auth.number, None
            try:
                judge = self._callers.judge(view, identity)
                yield judge.cost
                steps = check(judge)
                if steps is not None:
                    yield from steps
            except Refused as error:
                refusal = error
            if number == auth.number:
                if refusal is not None:
                    raise refusal
                return

    def _look_on(self, question: _Question) -> bool:
        """Take a part of what is left of this turn; whether somebody was told."""
        if question.waiting is not None and question.waiting.is_over:
            question.refused(CallerGone("nobody waits for it any more"))
            return True
        steps, left = question.steps, min(self._left, ONES_ROWS)
        self._left -= left
        try:
            while left > 0:
                left -= next(steps)
        except StopIteration:
            self._left += left
            question.allowed()
            return True
        except Refused as refusal:
            self._left += left
            question.refused(refusal)
            return True
        self._left += left  # less than nothing where a step took more
        return False

    def _plan(self) -> None:
        is_short = self._left * 2 < TURN_ROWS
        if (self._waiting or is_short) and not self._is_turn_due:
            self._is_turn_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Look at what waits, each user's in its turn."""
        self._is_turn_due = False
        self._left = TURN_ROWS
        try:
            while self._waiting and self._left > 0:
                user = next(iter(self._waiting))
                line = self._waiting.pop(user)
                # While it is looked at, whatever else the user asks is behind it.
                self._waiting[user] = line
                if self._is_over(line[0]):
                    line.popleft()
                    self._count -= 1
                    if not line:
                        del self._waiting[user]
        finally:
            self._plan()

    def _is_over(self, question: _Question) -> bool:
        """Take a part of what is left of this turn; what fails is that question's alone."""
        try:
            return self._look_on(question)
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is this request's
            tell_failure(question.refused, failure)
            return True
