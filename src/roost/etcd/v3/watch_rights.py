"""Whether those who watch still may, asked whenever users or roles have changed.

A user may have a thousand roles of thousands of ranges, and there may be a hundred thousand
watchers.  So they are asked over turns of the loop, those first that were asked the longest ago,
and what the roles of a user permit is looked up once for all that it watches.  Whoever is about to
be told of an event is asked before that, while the turn has time for it; else it is told of the
event when it is known whether it may be.

Full?  Whoever is to be asked is a watcher, and it is asked once however often rights have changed
meanwhile.  What the roles of JUDGES_MAX users permit is kept as long as they are asked.
"""

from collections.abc import Callable, Iterator

from roost.errors import Refused
from roost.etcd.access.judge import Judge
from roost.etcd.access.tokens import Identity
from roost.etcd.border import Border
from roost.etcd.model.costs import SLICE_ROWS, Costs
from roost.etcd.v3.watchers import Watcher
from roost.slices import Slices

JUDGES_MAX = 16


class WatchRights:
    """Who may go on watching, on one member."""

    def __init__(
        self, border: Border, watchers: dict[Watcher, None], told: Callable[[Watcher], None]
    ) -> None:
        """All `watchers` may; `told(watcher)` hears when one was asked behind a change."""
        self._border = border
        self._watchers = watchers
        self._told = told
        # How often rights have changed: a watcher was asked for its own when it had that number.
        self._number = 0
        # Of those who are asked for in these turns; of a state in which that is their number.
        self._judges: dict[Identity, Judge] = {}
        # What a turn has time for yet, in rows, to ask whoever is about to be told of an event.
        self._left = SLICE_ROWS
        self._slices = Slices(1)

    def note(self, watcher: Watcher) -> None:
        """It begins, and was asked."""
        watcher.rights_number, watcher.is_denied = self._number, False

    def change(self) -> None:
        """Rights have changed: everybody is asked."""
        self._number += 1
        self._judges.clear()
        self._slices.run(self._asking(self._number))

    def is_known(self, watcher: Watcher) -> bool:
        """Whether it is known if one may go on, or this turn has time to find out."""
        if watcher.rights_number == self._number:
            return True
        steps = self._steps(watcher)
        try:
            while self._left > 0:
                self._left -= next(steps)
        except StopIteration:
            return True
        return False

    def _asking(self, number: int) -> Iterator[None]:
        """Ask everybody, a slice in each turn."""
        if number != self._number:
            return
        cost = 0
        for watcher in list(self._watchers):
            for step in self._guarded(watcher):
                cost += step
                if cost >= SLICE_ROWS:
                    cost, self._left = 0, SLICE_ROWS
                    yield
                    if number != self._number:
                        return  # rights have changed again, and everybody is asked anew
        self._judges.clear()
        self._left = SLICE_ROWS

    def _guarded(self, watcher: Watcher) -> Costs[None]:
        """Ask one and say so; what that raises ends its stream, and no other."""
        yield 1
        if watcher not in self._watchers or watcher.stream.is_over:
            return
        try:
            if watcher.rights_number != self._number:
                yield from self._steps(watcher)
            if watcher in self._watchers:
                # The next time those come first that were not asked.
                del self._watchers[watcher]
                self._watchers[watcher] = None
                self._told(watcher)
        except Exception as error:  # noqa: BLE001 - it is this stream's alone
            watcher.stream.fail(error)

    def _steps(self, watcher: Watcher) -> Costs[None]:
        """What it takes to ask one."""
        number = self._number
        is_denied = not (yield from self._may(watcher))
        if number == self._number:
            watcher.rights_number, watcher.is_denied = number, is_denied

    def _may(self, watcher: Watcher) -> Costs[bool]:
        border = self._border
        view = border.replica.view
        if not border.auth.is_enabled(view):
            return True
        identity = watcher.identity or Identity(watcher.stream.call.certificate_name)
        try:
            judge = self._judges.get(identity)
            if judge is None:
                judge = border.callers.judge(view, identity)
                yield judge.cost
                if len(self._judges) >= JUDGES_MAX:
                    del self._judges[next(iter(self._judges))]
                self._judges[identity] = judge
            yield from watcher.check(judge)
        except Refused:
            return False
        return True
