"""Patroni's etcd back end (v2): two nodes of a cluster agree who leads, without a PostgreSQL.

Run with a port; each line it prints works.
"""

import sys
import threading
from typing import Any

from patroni.dcs import get_dcs

TTL_S = 30
WAIT_S = 60


def node(port: int, name: str) -> Any:
    return get_dcs(
        {
            "scope": "batman",
            "name": name,
            "ttl": TTL_S,
            "loop_wait": 10,
            "retry_timeout": 10,
            "etcd": {"host": f"127.0.0.1:{port}"},
        }
    )


def bootstrap(one: Any, two: Any) -> None:
    assert one.get_cluster().is_unlocked()
    assert one.initialize(create_new=True, sysid="4711")
    assert not two.initialize(create_new=True, sysid="4712")
    for it in (one, two):
        assert it.touch_member({"conn_url": f"postgres://{it._name}", "state": "running"})
    assert one.set_config_value('{"ttl":30}')
    cluster = two.get_cluster()
    assert cluster.initialize == "4711"
    assert sorted(it.name for it in cluster.members) == ["one", "two"]
    assert cluster.config.data == {"ttl": 30}


def leaders(one: Any, two: Any) -> None:
    assert one.attempt_to_acquire_leader()
    assert not two.attempt_to_acquire_leader()
    cluster = two.get_cluster()
    assert cluster.leader.name == "one"
    assert one.update_leader(cluster, 42)
    assert two.get_cluster().status.last_lsn == 42
    assert one.manual_failover("one", "two")
    failover = two.get_cluster().failover
    assert (failover.leader, failover.candidate) == ("one", "two")
    assert two.manual_failover("", "", version=failover.version)
    assert not two.set_failover_value("{}", version=failover.version), "somebody has written since"


def watches(one: Any, two: Any) -> None:
    leader = two.get_cluster().leader
    heard: list[bool] = []
    waiting = threading.Thread(target=lambda: heard.append(two.watch(leader.version, WAIT_S)))
    waiting.start()
    assert one.delete_leader(one.get_cluster().leader)
    waiting.join(WAIT_S)
    assert heard == [True]
    assert two.attempt_to_acquire_leader()
    assert one.get_cluster().leader.name == "two"


def sync(one: Any, two: Any) -> None:
    state = two.write_sync_state("two", ["one"], 0)
    assert state is not None
    assert one.get_cluster().sync.leader == "two"
    assert one.delete_sync_state(version=one.get_cluster().sync.version)
    assert two.set_history_value("[]")
    assert two.delete_cluster()
    assert one.get_cluster().is_unlocked()


def main() -> None:
    port = int(sys.argv[1])
    one, two = node(port, "one"), node(port, "two")
    for it in (bootstrap, leaders, watches, sync):
        it(one, two)
        print(it.__name__)


main()
