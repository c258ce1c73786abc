"""One member of a PySyncObj replicated dictionary, as a process that is told by lines what to do.

    python -m bench.pysyncobj_member batched|single JOURNAL SELF PEER...

`leads` prints `yes` or `no`; `put CLIENTS COUNT` keeps CLIENTS puts of 100-byte values on their
way until COUNT were answered and prints puts a second.  The callers live in the member: PySyncObj
has no client protocol, so its figures leave out what a socket to the client costs.  It writes its
journal file and never syncs it.  `batched` is its default: entries leave ten times a second.
"""

import sys
import threading
import time

from pysyncobj import SyncObj, SyncObjConf
from pysyncobj.batteries import ReplDict

PUT_TIMEOUT_S = 120.0


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
    settings = SyncObjConf(journalFile=journal, appendEntriesUseBatch=mode == "batched")
    things = ReplDict()
    cluster = SyncObj(own, peers, settings, consumers=[things])
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
