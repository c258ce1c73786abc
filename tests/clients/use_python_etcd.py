"""python-etcd (v2): ordinary use, its locks and elections, and the calls that PyTorch makes.

Run with a port; each line it prints works.  The calls under "rendezvous" are those of PyTorch's
`etcd-v2` rendezvous, by three workers that find each other.
"""

import json
import sys
import threading

import etcd

READ_TIMEOUT_S = 60


def connect(port: int) -> etcd.Client:
    return etcd.Client(
        host="127.0.0.1",
        port=port,
        protocol="http",
        allow_reconnect=True,
        read_timeout=READ_TIMEOUT_S,
    )


def raises(kind: type[Exception], call: object, *args: object, **named: object) -> None:
    try:
        call(*args, **named)
    except kind:
        return
    raise AssertionError(f"{kind} was not raised")


def keys(client: etcd.Client) -> None:
    client.write("/a/b", "1")
    assert client.read("/a/b").value == "1"
    assert client.get("/a").dir
    raises(etcd.EtcdAlreadyExist, client.write, "/a/b", "2", prevExist=False)
    raises(etcd.EtcdKeyNotFound, client.read, "/nothing")
    raises(etcd.EtcdCompareFailed, client.test_and_set, "/a/b", "2", "0")
    client.test_and_set("/a/b", "2", "1")
    held = client.read("/a/b")
    held.value = "3"
    client.update(held)
    for _ in range(3):
        client.write("/q", "x", append=True)
    places = [it.key for it in client.read("/q", sorted=True).children]
    assert len(places) == 3
    assert places == sorted(places)
    client.write("/t", "gone soon", ttl=1)
    client.write("/t2", "stays", ttl=1)
    client.refresh("/t2", ttl=600)
    assert client.read("/t2").ttl > 1
    client.delete("/a", recursive=True)
    raises(etcd.EtcdKeyNotFound, client.read, "/a/b")
    while True:
        try:
            client.read("/t")
        except etcd.EtcdKeyNotFound:
            break


def members(client: etcd.Client) -> None:
    assert client.machines
    assert client.leader["clientURLs"]
    assert len(client.members) == 1
    assert client.stats["state"] == "StateLeader"
    assert client.store_stats["setsSuccess"] >= 1


def watches(client: etcd.Client, port: int) -> None:
    client.write("/w", "0")
    index = client.read("/w").etcd_index + 1
    client.write("/w", "1")
    assert client.watch("/w", index=index).value == "1"
    raises(etcd.EtcdWatchTimedOut, client.watch, "/w", timeout=0.2)
    heard = []

    def hear() -> None:
        for event in connect(port).eternal_watch("/w", index=index, recursive=True):
            heard.append(event.value)
            if event.value == "5":
                return

    hearing = threading.Thread(target=hear)
    hearing.start()
    for value in range(2, 6):
        client.write("/w", str(value))
    hearing.join()
    assert heard == ["1", "2", "3", "4", "5"]


def locks(client: etcd.Client, port: int) -> None:
    lock = etcd.Lock(client, "fought over")
    assert lock.acquire(blocking=True, lock_ttl=60)
    other = etcd.Lock(connect(port), "fought over")
    assert not other.acquire(blocking=False, lock_ttl=60)
    lock.release()
    assert other.acquire(blocking=True, lock_ttl=60)
    other.release()


class Worker(threading.Thread):
    """One of those who find each other, as PyTorch's rendezvous does it."""

    PREFIX = "/torchelastic/p2p/run_1"
    COUNT = 3

    def __init__(self, port: int) -> None:
        super().__init__()
        self.client = connect(port)
        self.rank = -1
        self.seen: list[str] = []

    def path(self, name: str) -> str:
        return f"{self.PREFIX}/{name}"

    def make(self, name: str, ttl: int | None = None) -> None:
        try:
            self.client.write(key=self.path(name), value=None, dir=True, prevExist=False, ttl=ttl)
        except etcd.EtcdAlreadyExist:
            pass  # another one has made it

    def run(self) -> None:
        self.make("rdzv")
        try:
            self.client.write(key=self.path("rdzv/version_counter"), value="0", prevExist=False)
        except etcd.EtcdAlreadyExist:
            pass  # another one has made it
        self.begin()
        self.join_in()
        self.wait_final()
        self.share()

    def begin(self) -> None:
        """Make the state of this round, unless another one has."""
        state = {"status": "joinable", "version": "1", "participants": []}
        try:
            self.client.write(
                key=self.path("rdzv/active_version"),
                value=json.dumps(state),
                prevExist=False,
                ttl=120,
            )
        except etcd.EtcdAlreadyExist:
            return
        counter = self.client.get(self.path("rdzv/version_counter"))
        counter.value = str(int(counter.value) + 1)
        self.client.update(counter)
        self.make("rdzv/v_1", ttl=300)

    def join_in(self) -> None:
        while self.rank < 0:
            held = self.client.get(self.path("rdzv/active_version"))
            state = json.loads(held.value)
            rank = len(state["participants"])
            state["participants"].append(rank)
            if len(state["participants"]) == self.COUNT:
                state |= {"status": "frozen", "keep_alives": []}
            try:
                self.client.test_and_set(
                    key=self.path("rdzv/active_version"),
                    value=json.dumps(state),
                    prev_value=held.value,
                    ttl=120,
                )
            except etcd.EtcdCompareFailed:
                continue
            self.rank = rank
        self.client.set(self.path(f"rdzv/v_1/rank_{self.rank}"), value=None, ttl=10)

    def wait_final(self) -> None:
        """Confirm, and wait until everybody has."""
        while True:
            held = self.client.get(self.path("rdzv/active_version"))
            state = json.loads(held.value)
            if state["status"] == "final":
                return
            if state["status"] == "frozen" and self.rank not in state["keep_alives"]:
                state["keep_alives"].append(self.rank)
                if len(state["keep_alives"]) == self.COUNT:
                    state["status"] = "final"
                try:
                    self.client.test_and_set(
                        key=self.path("rdzv/active_version"),
                        value=json.dumps(state),
                        prev_value=held.value,
                        ttl=120,
                    )
                except etcd.EtcdCompareFailed:
                    pass  # another one was faster: look again
                continue
            try:
                self.client.watch(
                    self.path("rdzv/active_version"), index=held.etcd_index + 1, timeout=10
                )
            except (etcd.EtcdEventIndexCleared, etcd.EtcdWatchTimedOut):
                pass  # look again

    def share(self) -> None:
        """Tell the others something, and stay alive meanwhile (the store of that round)."""
        self.client.refresh(self.path(f"rdzv/v_1/rank_{self.rank}"), ttl=600)
        self.client.set(key=self.path(f"store/{self.rank}"), value=f"of {self.rank}")
        while len(self.seen) < self.COUNT:
            found = self.client.get(key=self.path("store"))
            self.seen = sorted(it.value for it in found.children if it.value)
            if len(self.seen) < self.COUNT:
                try:
                    self.client.watch(
                        key=self.path("store"),
                        recursive=True,
                        timeout=10,
                        index=found.etcd_index + 1,
                    )
                except etcd.EtcdWatchTimedOut:
                    pass  # look again


def rendezvous(client: etcd.Client, port: int) -> None:
    workers = [Worker(port) for _ in range(Worker.COUNT)]
    for it in workers:
        it.start()
    for it in workers:
        it.join()
    assert sorted(it.rank for it in workers) == list(range(Worker.COUNT))
    assert all(it.seen == ["of 0", "of 1", "of 2"] for it in workers)
    path = f"{Worker.PREFIX}/rdzv/active_version"
    raises(etcd.EtcdCompareFailed, client.delete, path, prevValue="another")
    client.delete(path, prevValue=client.get(path).value)


def main(port: int) -> None:
    client = connect(port)
    keys(client)
    print("keys")
    members(client)
    print("members")
    watches(client, port)
    print("watches")
    locks(client, port)
    print("locks")
    rendezvous(client, port)
    print("rendezvous")


main(int(sys.argv[1]))
