"""v2 over one replica, put together: the tree and its operations, watches, and the pages."""

import time
from collections.abc import Callable

from roost.database.model import Changes, Store
from roost.etcd.access.passwords import Passwords
from roost.etcd.border import Border
from roost.etcd.model.alarms import Alarms
from roost.etcd.v2 import changes, nodes, user_changes
from roost.etcd.v2.asking import TreeAccess
from roost.etcd.v2.changes import CHANGE, TreeOperations
from roost.etcd.v2.dates import SET_CLOCK, Dates
from roost.etcd.v2.expiry import EXPIRE, LOOK_S, Expiry
from roost.etcd.v2.faults import Fault, Reason
from roost.etcd.v2.gate import Gate, asked_key
from roost.etcd.v2.interface import PREFIXES, Interface
from roost.etcd.v2.keys import Keys
from roost.etcd.v2.leading import Leading
from roost.etcd.v2.members import MemberPages
from roost.etcd.v2.modules import Modules
from roost.etcd.v2.nodes import Trees
from roost.etcd.v2.queues import Queues
from roost.etcd.v2.reads import Reads
from roost.etcd.v2.registry import Registry
from roost.etcd.v2.statistics import StatsPages
from roost.etcd.v2.user_changes import CHANGE_USERS, UserOperations
from roost.etcd.v2.user_pages import UserPages
from roost.etcd.v2.users import Users, Wanted
from roost.etcd.v2.values import decode
from roost.etcd.v2.watch_hub import WatchHub
from roost.exchange import Reply, Request
from roost.memory import Memory
from roost.ticker import Ticker

__all__ = ["PREFIXES", "V2"]


class V2:
    """The v2 interface of one member.

    Operations and expiry are there on every member, whether it answers requests or not: whoever
    leads does what any member was asked for.
    """

    def __init__(
        self,
        border: Border,
        store: Store,
        alarms: Alarms,
        memory: Memory,
        passwords: Passwords,
        *,
        password_chars_min: int,
        clock_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """`clock_s` never goes back, `wall_s` is the date, in seconds since 1970."""
        replica, limits = border.replica, border.limits
        trees = nodes.trees_of(store)
        dates = Dates(trees, wall_s=wall_s, clock_s=clock_s)
        now_ns = dates.now_ns
        self.operations = TreeOperations(trees, alarms, now_ns)
        self.users = Users(trees, replica.view)
        gate = self._gate_to(border, trees, alarms, passwords)
        replica.register(EXPIRE, self.operations.expire)
        replica.register(SET_CLOCK, dates.set_clock)
        self._expiry = Expiry(replica, trees, dates)
        self.reads = Reads(store, memory)
        self.hub = WatchHub(replica, trees, watchers_max=limits.watchers_max)
        leading = Leading(replica, redirects=limits.v2_redirects)
        self._keys = keys = Keys(
            border,
            gate,
            leading,
            trees,
            self.reads,
            self.hub,
            now_ns,
            request_s=limits.v2_request_s,
            heartbeat_s=limits.v2_heartbeat_s,
        )
        self.counts = keys.counts
        members = MemberPages(border, gate, request_s=limits.v2_request_s)
        self._statistics = StatsPages(
            replica, leading, self.operations, self.counts, self.hub, now_ns
        )
        access = TreeAccess(border, gate, trees, self.reads, request_s=limits.v2_request_s)
        modules = Modules(Queues(access, self.hub))
        self._interface = Interface(
            gate,
            keys=keys,
            members=members,
            statistics=self._statistics,
            modules=modules,
            registry=Registry(replica, access),
            users=UserPages(
                border,
                gate,
                trees,
                self.users,
                self.reads,
                passwords,
                password_chars_min=password_chars_min,
            ),
        )
        self._ticker = Ticker(LOOK_S, self.look)
        replica.observe(self._on_applied, trees=(trees.meta,))

    def _gate_to(self, border: Border, trees: Trees, alarms: Alarms, passwords: Passwords) -> Gate:
        """The way to the operations."""
        gate = Gate(border, self.users, passwords)
        gate.register(CHANGE, self.operations.change, _wanted, denied=changes.NOT_ALLOWED)
        gate.register(
            CHANGE_USERS,
            UserOperations(trees, self.users, alarms).change,
            None,
            denied=user_changes.encode_told(user_changes.NOT_ALLOWED),
        )
        return gate

    def start(self) -> None:
        """Look from now on what has run out."""
        self._expiry.start()
        self._ticker.start()

    def stop(self) -> None:
        """Look no more."""
        self._expiry.stop()
        self._ticker.stop()
        self._keys.stop()

    def look(self) -> None:
        """See who leads, for those who ask since when."""
        self._statistics.look()

    def begin(self, request: Request, reply: Reply) -> None:
        """Answer a request whose path begins with one of PREFIXES, now or later."""
        self._interface.begin(request, reply)

    async def close(self) -> None:
        """End what still answers."""
        await self._interface.close()
        await self._keys.close()

    def _on_applied(self, _index: int, _changes: Changes) -> None:
        self._look_at_users()

    def _look_at_users(self) -> None:
        """When they are others, whoever watches has to hear."""
        was_on = self.users.is_on
        if self.users.look() and (was_on or self.users.is_on):
            self._end_watches()

    def on_rights_changed(self) -> None:
        """Those of v3's users have, who are asked for while there are none of v2's."""
        if not self.users.is_on:
            self._end_watches()

    def _end_watches(self) -> None:
        """Whoever watches comes again, and is asked who it is."""
        if self.hub.count:
            fault = Fault(Reason.UNAUTHORIZED, "users or roles have changed: watch again")
            self.hub.end_all(fault)

    def on_switched(self) -> None:
        """A snapshot has replaced everything."""
        self._look_at_users()
        self._expiry.on_switched()
        self.hub.on_changed()


def _wanted(body: bytes, is_slashed: bool) -> Wanted:  # noqa: FBT001 - as all are asked
    """What a change of the tree needs."""
    asked = decode(body)
    key = asked_key(asked.path, is_slashed=is_slashed)
    return Wanted(key, writes=True, is_recursive=asked.is_recursive)
