"""/v2/stats: what a member has counted (etcd: api/v2http/client.go, v2store/stats.go).

Times of followers are those of heartbeats, as far as this member has led; of messages between
members nothing is counted.  Reads are counted by the member that answered, changes by the one that
led.
"""

from collections.abc import Callable

import msgspec

from roost.database.model import PeerTimes
from roost.etcd.ports import Replica
from roost.etcd.v2.changes import TreeOperations
from roost.etcd.v2.faults import Fault
from roost.etcd.v2.json_text import date_text, duration_text
from roost.etcd.v2.keys import ReadCounts
from roost.etcd.v2.leading import Leading
from roost.etcd.v2.values import Kind
from roost.etcd.v2.watch_hub import WatchHub
from roost.exchange import JSON, Answer, Request, not_allowed, not_found

PREFIX = b"/v2/stats"
_MS = 1000


class StatsPages:
    """Answers what is asked of one member's figures."""

    def __init__(
        self,
        replica: Replica,
        leading: Leading,
        operations: TreeOperations,
        reads: ReadCounts,
        hub: WatchHub,
        now_ns: Callable[[], int],
    ) -> None:
        """Time counts from now on."""
        self._replica = replica
        self._leading = leading
        self._operations = operations
        self._reads = reads
        self._hub = hub
        self._now_ns = now_ns
        self._began_ns = now_ns()
        self._leader_id = 0
        self._led_since_ns = self._began_ns

    def look(self) -> None:
        """See who leads, and since when."""
        if self._replica.leader_id != self._leader_id:
            self._leader_id = self._replica.leader_id
            self._led_since_ns = self._now_ns()

    def answer(self, request: Request, name: bytes) -> Answer:
        """Answer a request to /v2/stats/`name`."""
        pages = {b"self": self._self, b"store": self._store, b"leader": self._leader}
        page = pages.get(name)
        if page is None:
            return not_found()
        if request.method != "GET":
            return not_allowed("GET")
        return page(request)

    def _self(self, _request: Request) -> Answer:
        self.look()
        replica = self._replica
        own = next((it.name for it in replica.members() if it.id == replica.member_id), "")
        is_leader = replica.leader_id == replica.member_id
        uptime_ns = self._now_ns() - self._led_since_ns
        return _json(
            {
                "name": own,
                "id": f"{replica.member_id:x}",
                "state": "StateLeader" if is_leader else "StateFollower",
                "startTime": date_text(self._began_ns).decode(),
                "leaderInfo": {
                    "leader": f"{self._leader_id:x}",
                    "uptime": duration_text(uptime_ns),
                    "startTime": date_text(self._led_since_ns).decode(),
                },
            }
        )

    def _leader(self, request: Request) -> Answer:
        try:
            elsewhere = self._leading.elsewhere(request)
        except Fault as fault:
            return Answer(fault.status, fault.body, (JSON,))
        if elsewhere is not None:
            return elsewhere
        if not self._leading.is_here:
            return Answer(403, b'{"message":"not current leader"}', (JSON,))
        replica = self._replica
        known = replica.peer_times()
        others = [it.id for it in replica.members() if it.id != replica.member_id]
        followers = {f"{it:x}": _follower(known[it]) for it in others if it in known}
        return _json({"leader": f"{replica.member_id:x}", "followers": followers})

    def _store(self, _request: Request) -> Answer:
        done, failed = self._operations.succeeded, self._operations.failed
        return _json(
            {
                "getsSuccess": self._reads.succeeded,
                "getsFail": self._reads.failed,
                "setsSuccess": done[Kind.SET],
                "setsFail": failed[Kind.SET],
                "deleteSuccess": done[Kind.DELETE],
                "deleteFail": failed[Kind.DELETE],
                "updateSuccess": done[Kind.UPDATE],
                "updateFail": failed[Kind.UPDATE],
                "createSuccess": done[Kind.CREATE] + done[Kind.POST] + done[Kind.JOIN],
                "createFail": failed[Kind.CREATE] + failed[Kind.POST] + failed[Kind.JOIN],
                "compareAndSwapSuccess": done[Kind.SWAP],
                "compareAndSwapFail": failed[Kind.SWAP],
                "compareAndDeleteSuccess": done[Kind.COMPARE_DELETE],
                "compareAndDeleteFail": failed[Kind.COMPARE_DELETE],
                "expireCount": self._operations.expired_count,
                "watchers": self._hub.count,
            }
        )


def _follower(times: PeerTimes) -> dict[str, dict[str, float]]:
    """What is said of one follower; times are in milliseconds."""
    latency = {
        "current": times.last_s,
        "average": times.mean_s,
        "standardDeviation": times.deviation_s,
        "minimum": times.least_s,
        "maximum": times.most_s,
    }
    return {
        "latency": {name: round(seconds * _MS, 6) for name, seconds in latency.items()},
        "counts": {"fail": times.lost_count, "success": times.count},
    }


def _json(value: object) -> Answer:
    return Answer(200, msgspec.json.encode(value), (JSON,))
