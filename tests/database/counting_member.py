"""A program with a member in it, told what to do by lines: one of a cluster of processes."""

import json
import sys

import roost

counting = roost.Operations("counting")


@counting.operation
def add(txn: roost.Transaction, name: str, number: int) -> int:
    """Add to a count."""
    counts = txn.tree("counts", key=str, value=int)
    counts[name] = counts.get(name, 0) + number
    return counts[name]


def again(db: roost.Database, key: str) -> int:
    """Add one under a key, until it is known to be done."""
    while True:
        try:
            return db.run(add, "n", 1, once=key)
        except (roost.NotExecuted, roost.OutcomeUnknown):
            continue


def main() -> None:
    """Open, and do what the lines say."""
    given = json.loads(sys.argv[1])
    with roost.open(
        given["path"],
        name=given["name"],
        members=given["members"],
        operations=[counting],
        heartbeat_interval=50,
        election_timeout=500,
    ) as db:
        for line in sys.stdin:
            match line.split():
                case ["add", key]:
                    said: object = again(db, key)
                case ["read"]:
                    said = db.tree("counts", key=str, value=int).get("n")
                case ["leader"]:
                    said = db.status().leader
                case _:
                    said = f"what is {line!r}?"
            sys.stdout.write(json.dumps(said) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
