"""One member of a PySyncObj replicated dictionary, as a process that is told by lines what to do.

    python -m bench.pysyncobj_member MODE JOURNAL SELF PEER...

`leads` prints `yes` or `no`; `put CLIENTS COUNT` keeps CLIENTS puts of 100-byte values on their
way until COUNT were answered and prints puts a second.  The callers live in the member: PySyncObj
has no client protocol, so its figures leave out what a socket to the client costs.

MODE is `batched`, its default, in which entries leave ten times a second, or `single`, in which
each leaves at once.  It writes its journal file and never syncs it.  With `-synced` behind either
it does: what was written is synced once, by its journal's own `flush`, before the next message
leaves that may speak of it.
"""

import sys
import threading
import time
from typing import Any

from pysyncobj import SyncObj, SyncObjConf, syncobj
from pysyncobj.batteries import ReplDict
from pysyncobj.journal import FileJournal
from pysyncobj.node import Node
from pysyncobj.transport import TCPTransport

PUT_TIMEOUT_S = 120.0
SYNCED = "-synced"


class SyncedJournal(FileJournal):  # type: ignore[misc]  # PySyncObj tells no types
    """Its journal, which knows whether something was written that was not synced."""

    opened: "list[SyncedJournal]" = []  # noqa: RUF012 - the one of this process, once there is one

    def __init__(self, path: str) -> None:
        """Open it."""
        super().__init__(path)
        self.is_dirty = False
        self.opened.append(self)

    def add(self, command: bytes, idx: int, term: int) -> None:
        """Write an entry."""
        super().add(command, idx, term)
        self.is_dirty = True

    def sync(self) -> None:
        """Have on the disk what was written."""
        if self.is_dirty:
            self.is_dirty = False
            self.flush()


class SyncedTransport(TCPTransport):  # type: ignore[misc]  # the same
    """Its transport, that sends nothing before what it may speak of is on the disk."""

    def send(self, node: Node, message: dict[str, Any]) -> bool:
        """Send a message."""
        for it in SyncedJournal.opened:
            it.sync()
        sent: bool = super().send(node, message)
        return sent


def put(things: ReplDict, clients: int, count: int) -> float:
    """Puts a second, by `clients` callers that wait for their answers."""
    lock, finished, failures = threading.Lock(), threading.Event(), []
    started = answered = 0
    value = b"v" * 100

    def go() -> None:
        things.set(b"key", value, callback=on_answer)

    def on_answer(_result: object, error: int) -> None:
        nonlocal started, answered
        with lock:
            answered += 1
            if error:
                failures.append(error)
            may_go = started < count
            started += may_go
            if answered == count:
                finished.set()
        if may_go:
            go()

    begin = time.perf_counter()
    started = min(clients, count)
    for _ in range(started):
        go()
    if not finished.wait(PUT_TIMEOUT_S) or failures:
        raise RuntimeError(f"{len(failures)} of {answered} puts failed, {count} were asked for")
    return count / (time.perf_counter() - begin)


def main() -> None:
    """Serve until standard input ends."""
    mode, journal, own, *peers = sys.argv[1:]
    settings = SyncObjConf(
        journalFile=journal, appendEntriesUseBatch=mode.removesuffix(SYNCED) == "batched"
    )
    things = ReplDict()
    transport = TCPTransport
    if mode.endswith(SYNCED):
        syncobj.createJournal, transport = SyncedJournal, SyncedTransport
    cluster = SyncObj(own, peers, settings, consumers=[things], transportClass=transport)
    for line in sys.stdin:
        match line.split():
            case ["leads"]:
                answer = "yes" if cluster.isReady() and cluster._isLeader() else "no"  # noqa: SLF001 - there is no public name for it
            case ["put", clients, count]:
                answer = str(put(things, int(clients), int(count)))
            case _:
                raise ValueError(f"unknown command {line!r}")
        print(answer, flush=True)
    cluster.destroy()


if __name__ == "__main__":
    main()
