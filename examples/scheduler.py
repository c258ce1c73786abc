"""A scheduler: of three processes one runs what is due, and the result of each job stands once.

    python examples/scheduler.py m1.data m1 m1=127.0.0.1:7001 m2=127.0.0.1:7002 m3=127.0.0.1:7003
    (m2 and m3 the same, with their names)

Then lines: `in SECONDS TEXT`, `done`, `who`.  Who leads (`db.objects.leader`) runs the jobs that
are due; when it dies, another does, some seconds later.  A job may so be begun twice, and its
result is written once: the operation that writes it looks whether the job is there still, and
refuses whoever led before, by the token.  What a job does elsewhere must bear to be done twice, or
be told the token, too.
"""

import os
import sys
import threading
from datetime import UTC, datetime, timedelta

import roost
from roost.objects import Leader

LEASE_S = 3.0
cron = roost.Operations("cron")


@cron.operation
def add(txn: roost.Transaction, delay_s: float, text: str) -> int:
    """Add a job; its number."""
    numbers = txn.tree("cron/numbers", key=str, value=int)
    number = numbers["jobs"] = numbers.get("jobs", 0) + 1
    due = datetime.now(UTC) + timedelta(seconds=delay_s)
    txn.tree("cron/due", key=tuple[datetime, int], value=str)[due, number] = text
    return number


@cron.operation
def finish(txn: roost.Transaction, due: datetime, number: int, result: str, token: int) -> None:
    """Write down what came of a job, if it is there still and nobody has led since."""
    numbers = txn.tree("cron/numbers", key=str, value=int)
    if token < numbers.get("token", 0):
        raise roost.Refused("somebody else leads by now", code="deposed")
    numbers["token"] = token
    jobs = txn.tree("cron/due", key=tuple[datetime, int], value=str)
    if jobs.pop((due, number), None) is None:
        raise roost.Refused("it was done already", code="done")
    txn.tree("cron/done", key=int, value=str)[number] = result


def add_surely(db: roost.Database, delay_s: float, text: str) -> int:
    """Add a job once, and do not give up before it is known."""
    key = os.urandom(8).hex()
    while True:
        try:
            return db.run(add, delay_s, text, once=key)
        except (roost.NotExecuted, roost.OutcomeUnknown) as error:
            print(f"asking again: {error}", file=sys.stderr)


def run_due(db: roost.Database, name: str, leading: Leader, is_over: threading.Event) -> None:
    """Run what is due, for as long as we lead."""
    jobs = db.tree("cron/due", key=tuple[datetime, int], value=str)
    while not is_over.wait(0.1):
        leading.check()  # raises when somebody else may lead
        for (due, number), text in list(jobs.items(stop=(datetime.now(UTC), 0), limit=100)):
            result = f"{text}, by {name}"  # here it would do something
            try:
                db.run(finish, due, number, result, leading.token)
            except roost.Refused as refused:
                print(f"job {number}: {refused}", file=sys.stderr)


def stand_for_election(db: roost.Database, name: str, is_over: threading.Event) -> None:
    """Lead whenever we can, until it is over; on a thread of its own."""
    while not is_over.is_set():
        try:
            with db.objects.leader("cron", value=name, ttl_s=LEASE_S) as leading:
                run_due(db, name, leading, is_over)
        except roost.Closed:
            return
        except roost.RoostError as error:
            print(f"leads no more, or not yet: {error}", file=sys.stderr)


def carry_out(db: roost.Database, words: list[str]) -> str:
    """What a line asks for."""
    match words:
        case ["in", seconds, text]:
            return f"job {add_surely(db, float(seconds), text)}"
        case ["done"]:
            done = db.tree("cron/done", key=int, value=str)
            return "; ".join(f"{number}: {result}" for number, result in done.items())
        case ["who"]:
            leading = db.objects.leader("cron", ttl_s=LEASE_S).current()
            return "nobody" if leading is None else leading.value
    return "in SECONDS TEXT | done | who"


def main(path: str, name: str, *members: str) -> None:
    """Be a member, and do what the lines of standard input say."""
    cluster = dict(it.split("=", 1) for it in members)
    is_over = threading.Event()
    with roost.open(path, name=name, members=cluster, operations=[cron]) as db:
        threading.Thread(target=stand_for_election, args=(db, name, is_over), daemon=True).start()
        for line in sys.stdin:
            try:
                print(carry_out(db, line.strip().split(maxsplit=2)), flush=True)
            except (roost.RoostError, ValueError) as error:
                print(f"no: {error}", flush=True)
        is_over.set()


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
