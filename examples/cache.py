"""A cache of settings that is kept right by an observer, on every member of a cluster.

    python examples/cache.py data                                      alone
    python examples/cache.py m1.data m1 m1=127.0.0.1:7001 m2=127.0.0.1:7002 m3=127.0.0.1:7003
    python examples/cache.py m2.data m2 m1=127.0.0.1:7001 m2=127.0.0.1:7002 m3=127.0.0.1:7003
    python examples/cache.py m3.data m3 m1=127.0.0.1:7001 m2=127.0.0.1:7002 m3=127.0.0.1:7003

Then lines: `set NAME VALUE`, `drop NAME`, `get NAME`, `log`.  A `get` is answered from a dictionary
that asks nobody and is as new as what this member has applied; `log` says who changed what.
"""

import sys
import threading

import roost

WHO = 300  # the kind of annotation that says who did it
config = roost.Operations("config")


@config.operation
def change(txn: roost.Transaction, who: str, name: str, value: str | None) -> None:
    """Set a value, or with None remove it."""
    held = txn.tree("config", key=str, value=str)
    if value is None:
        held.discard(name)
    else:
        held[name] = value
    txn.annotate(WHO, who.encode())


class Cache:
    """A tree in memory.

    It observes first and reads then, so nothing falls between; what the state that was read had in
    it already comes again, and is told by its index.  Whatever it has missed, it reads anew.
    """

    def __init__(self, db: roost.Database) -> None:
        self.rows: dict[str, str] = {}
        self.log: list[str] = []
        self.index = 0
        self._db = db
        self._changed = threading.Condition()
        self._changes = db.observe("config", key=str, value=str)
        self._changes.__enter__()
        self._read()
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def _read(self) -> None:
        with self._db.view() as view:
            rows = dict(view.tree("config", key=str, value=str).items())
            with self._changed:
                self.rows, self.index = rows, view.index
                self._changed.notify_all()

    def _follow(self) -> None:
        for it in self._changes:
            if isinstance(it, roost.Overrun):
                self._read()
            elif it.index > self.index:
                self._take(it)

    def _take(self, it: roost.Change[str, str]) -> None:
        who = ", ".join(note.data.decode() for note in it.annotations if note.kind == WHO)
        with self._changed:
            self.log.append(f"{who}: {it.key} was {it.before}, is {it.value}")
            if it.value is None:
                self.rows.pop(it.key, None)
            else:
                self.rows[it.key] = it.value
            self._changed.notify_all()

    def wait_for(self, name: str, value: str | None) -> None:
        """Wait until the cache has what this program wrote itself."""
        with self._changed:
            self._changed.wait_for(lambda: self.rows.get(name) == value, timeout=60)

    def close(self) -> None:
        """Follow no more."""
        self._changes.__exit__()
        self._thread.join()


def carry_out(db: roost.Database, cache: Cache, words: list[str]) -> str:
    """What one line asks for."""
    match words:
        case ["set", name, value]:
            db.run(change, db.name, name, value)
            cache.wait_for(name, value)
            return f"{name} is {value}"
        case ["drop", name]:
            db.run(change, db.name, name, None)
            cache.wait_for(name, None)
            return f"{name} is gone"
        case ["get", name]:
            return cache.rows.get(name, "there is none")
        case ["log"]:
            return "\n".join(cache.log)
        case _:
            return "set NAME VALUE | drop NAME | get NAME | log"


def main(path: str, name: str = "default", *members: str) -> None:
    """Open the member, and do what the lines of standard input say."""
    cluster = dict(it.split("=", 1) for it in members) or None
    with roost.open(path, name=name, members=cluster, operations=[config]) as db:
        cache = Cache(db)
        try:
            for line in sys.stdin:
                try:
                    print(carry_out(db, cache, line.split()), flush=True)
                except (roost.NotExecuted, roost.OutcomeUnknown) as error:
                    print(f"no: {error}", flush=True)
        finally:
            cache.close()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
