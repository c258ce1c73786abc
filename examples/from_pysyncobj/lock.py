"""PySyncObj's example `lock`, with Roost: locks by name, of which each has one holder.

    python examples/from_pysyncobj/lock.py m1.data m1 m1=127.0.0.1:7001 m2=127.0.0.1:7002 m3=...
    (m2 and m3 the same, with their names)

Then lines: `acquire NAME`, `check NAME`, `release NAME`.  A lock is a lease that is renewed in the
background: it is lost when its holder dies, stands still or is cut off for longer, and not before.
The number that is said with it grows from holder to holder: say it along where you write, and let
that side refuse smaller ones, since nobody can stop a holder that wakes up too late.
"""

import sys

import roost
from roost.objects import LeaseLost, Lock, NotHeld

LEASE_S = 10


def carry_out(lock: Lock, command: str) -> str:
    """What a line asks for."""
    match command:
        case "acquire":
            is_ours = lock.is_held or lock.acquire(wait_s=0)
            return f"acquired, token {lock.token}" if is_ours else "somebody else has it"
        case "check":
            try:
                lock.check()  # asks nobody
            except (NotHeld, LeaseLost) as error:
                return f"not ours: {error}"
            return f"ours, token {lock.token}"
        case "release":
            lock.release()
            return "released"
    return "acquire NAME | check NAME | release NAME"


def main(path: str, name: str, *members: str) -> None:
    """Be a member, and do what the lines of standard input say."""
    with roost.open(path, name=name, members=dict(it.split("=", 1) for it in members)) as db:
        locks: dict[str, Lock] = {}
        for line in sys.stdin:
            command, _, lock_name = line.strip().partition(" ")
            if lock_name not in locks:
                locks[lock_name] = db.objects.lock(lock_name, ttl_s=LEASE_S)
            try:
                print(carry_out(locks[lock_name], command), flush=True)
            except roost.RoostError as error:
                print(f"no: {error}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
