"""A rate limiter for many processes: a user has so many requests, whichever process is asked.

    python examples/rate_limiter.py m1.data m1 m1=127.0.0.1:7001 m2=127.0.0.1:7002 m3=127.0.0.1:7003
    (m2 and m3 the same, with their names)

Then lines, each the name of a user who wants something: `yes`, or how long to wait.  Each user has
a bucket of `BURST` tokens, which fills up by `PER_S`.  The clock is that of the member that leads:
an operation runs once, so it may look at one.  Who is refused costs the log nothing.
"""

import os
import sys
import time

import msgspec

import roost

BURST, PER_S = 3, 0.1
limits = roost.Operations("limits")


class Bucket(msgspec.Struct):
    """How many tokens there were at some time, in seconds."""

    tokens: float
    at_s: float


@limits.operation
def take(txn: roost.Transaction, user: str) -> float:
    """Take a token; how many are left."""
    buckets = txn.tree("buckets", key=str, value=Bucket)
    now_s = time.time()
    held = buckets.get(user, Bucket(BURST, now_s))
    # Another leader's clock may be behind: then nothing has come since.
    came = max(0.0, now_s - held.at_s) * PER_S
    tokens = min(float(BURST), held.tokens + came)
    if tokens < 1:
        raise roost.Refused(f"wait {(1 - tokens) / PER_S:.0f} s", code="limited")
    buckets[user] = Bucket(tokens - 1, now_s)
    return tokens - 1


def take_surely(db: roost.Database, user: str) -> float:
    """Take one token, and not two when an answer is lost."""
    key = os.urandom(8).hex()
    while True:
        try:
            return db.run(take, user, once=key)
        except (roost.NotExecuted, roost.OutcomeUnknown) as error:
            print(f"asking again: {error}", file=sys.stderr)


def main(path: str, name: str, *members: str) -> None:
    """Be a member, and say who may."""
    cluster = dict(it.split("=", 1) for it in members)
    with roost.open(path, name=name, members=cluster, operations=[limits]) as db:
        for line in sys.stdin:
            try:
                print(f"yes, {take_surely(db, line.strip()):.0f} left", flush=True)
            except roost.Refused as refused:
                print(f"no: {refused}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
