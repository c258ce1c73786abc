"""A queue of jobs: each is done by one worker, and by another when that one dies.

    python examples/job_queue.py 127.0.0.1:2379 add "resize cat.png"
    python examples/job_queue.py 127.0.0.1:2379 work

A job is a key under `todo/`, named so that the order of the keys is the order of the jobs.  Who
takes one puts a key under `taken/` that lives as long as a lease of its own: when the worker dies
the key goes, and the job is free again.  To take, and to be done, are transactions: two workers
never hold one job, and who has lost it can not be done with it.

A job may so be begun more than once, and is finished once: what it does elsewhere must bear that.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from roost import Client
from roost.client import Compacted, Delete, Key, LeaseLost, Put

LEASE_S = 10


@dataclass(frozen=True)
class Job:
    """A job that is ours; `token` is the revision at which it became so."""

    name: bytes
    text: str
    token: int


class Queue:
    """Jobs in a part of a cluster's keys."""

    def __init__(self, client: Client, name: str) -> None:
        self._keys = client.prefixed(f"queue/{name}/")
        self._seen = 0  # the revision at which nothing was free

    def add(self, text: str) -> bytes:
        """Put a job at the end."""
        while True:
            # The revision orders those that come at different times, the clock names them.
            name = b"%020d" % time.time_ns()
            added = self._keys.txn(
                when=[Key(b"todo/" + name).version == 0], then=[Put(b"todo/" + name, text)]
            )
            if added.succeeded:
                return name

    def take(self, lease: int) -> Job | None:
        """Take the first job that nobody has, for as long as the lease lasts."""
        for page in self._keys.pages("todo/", prefix=True, page_keys=100):
            self._seen = page.revision
            for item in page.items:
                name = item.key.removeprefix(b"todo/")
                taken = self._keys.txn(
                    when=[Key(item.key).version != 0, Key(b"taken/" + name).version == 0],
                    then=[Put(b"taken/" + name, b"", lease=lease)],
                )
                if taken.succeeded:
                    return Job(name, item.text, taken.revision)
        return None

    def finish(self, job: Job, result: str) -> bool:
        """The job is done; False when it is ours no more, and its result is not wanted."""
        return self._keys.txn(
            when=[Key(b"taken/" + job.name).create_revision == job.token],
            then=[
                Delete(b"todo/" + job.name),
                Delete(b"taken/" + job.name),
                Put(b"done/" + job.name, result),
            ],
        ).succeeded

    def results(self) -> list[str]:
        """What came of the jobs, in the order in which they were added."""
        return [item.text for item in self._keys.items("done/", prefix=True)]

    def wait(self) -> None:
        """Wait until a job may be there to be taken."""
        try:
            for change in self._keys.watch(since=self._seen + 1):
                if change.key.startswith(b"todo/") != change.is_delete:
                    return  # one was added, or one that was taken is free again
        except Compacted:
            return  # nobody can say what happened: look


def work(client: Client, queue: Queue, do: Callable[[str], str], jobs: int | None = None) -> int:
    """Do jobs, for ever or until so many are done; return how many were."""
    done = 0
    with client.leases.session(LEASE_S) as session:
        while jobs is None or done < jobs:
            job = queue.take(session.lease_id)
            if job is None:
                queue.wait()
                continue
            result = do(job.text)
            session.check()  # do not even ask when another may have it
            done += queue.finish(job, result)
    return done


def main() -> None:
    """Add a job, or work."""
    endpoints, command, *words = sys.argv[1:]
    with Client(endpoints) as client:
        queue = Queue(client, "images")
        if command == "add":
            print(queue.add(" ".join(words)).decode())
        else:
            try:
                work(client, queue, lambda text: f"{text}: done")
            except LeaseLost as lost:
                sys.exit(f"cut off: {lost}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main()
