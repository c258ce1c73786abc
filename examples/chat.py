"""A room to talk in: every member shows what is said at any of them, in one order.

    python examples/chat.py m1.data m1 m1=127.0.0.1:7001 m2=127.0.0.1:7002 m3=127.0.0.1:7003
    (m2 and m3 the same, with their names)

Lines are what somebody says, by the name of the member.  Whoever joins sees the last LAST_SEEN
lines first, and what follows them without a gap or a repetition.
"""

import os
import sys
import threading
from contextlib import suppress

import msgspec

import roost

LAST_SEEN, KEPT = 5, 1000
room = roost.Operations("room")


class Line(msgspec.Struct):
    """What somebody said."""

    who: str
    text: str


@room.operation
def say(txn: roost.Transaction, who: str, text: str) -> int:
    """Say something; its number."""
    lines = txn.tree("lines", key=int, value=Line)
    last = lines.last()
    number = last[0] + 1 if last else 1
    lines[number] = Line(who, text)
    lines.discard(number - KEPT)
    return number


def say_surely(db: roost.Database, who: str, text: str) -> None:
    """Say it once, and do not give up before it is known."""
    key = os.urandom(8).hex()
    while True:
        try:
            db.run(say, who, text, once=key)
        except (roost.NotExecuted, roost.OutcomeUnknown):
            continue
        return


def show(db: roost.Database) -> None:
    """Print what was said, then what is said."""
    shown = 0

    def tell(number: int, line: Line) -> None:
        nonlocal shown
        if number > shown:
            shown = number
            print(f"{number} {line.who}: {line.text}", flush=True)

    with db.observe("lines", key=int, value=Line) as changes:
        held = db.local.tree("lines", key=int, value=Line)
        for number, line in reversed(list(held.items(reverse=True, limit=LAST_SEEN))):
            tell(number, line)
        for change in changes:
            if isinstance(change, roost.Overrun):
                for number, line in held.items(first=shown + 1):
                    tell(number, line)
            elif isinstance(change.value, Line):
                tell(change.key, change.value)


def show_all(db: roost.Database) -> None:
    """Show what is said until the database is closed."""
    with suppress(roost.Closed):
        show(db)


def main(path: str, name: str, *members: str) -> None:
    """Be a member: show what is said, and say what lines say."""
    cluster = dict(it.split("=", 1) for it in members) or None
    with roost.open(path, name=name, members=cluster, operations=[room]) as db:
        threading.Thread(target=show_all, args=(db,)).start()
        for line in sys.stdin:
            say_surely(db, name, line.strip())


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
