"""PySyncObj's example `counter`, with Roost: an object of yours whose changes all members make.

    python examples/from_pysyncobj/counter.py m1.data m1 m1=127.0.0.1:7001 m2=127.0.0.1:7002 m3=...
    (m2 and m3 the same, with their names)

Each member adds ten, twenty times, says what came of it, and then what the counter is, a line for
each of its input.  An addition has a key of its own, the member's name and its number: a member
that was killed in the middle, and is started again, makes those that are missing.
"""

import sys
from typing import BinaryIO

import roost
from roost.objects import MachineHandle


class Counter(roost.Machine):
    """A number in memory, the same on every member."""

    def __init__(self) -> None:
        self.value = 0

    @roost.command
    def add(self, context: roost.Context, amount: int) -> int:
        """Add to it; what it is then."""
        self.value += amount
        return self.value

    @roost.query
    def get(self) -> int:
        """What it is."""
        return self.value

    def save(self, out: BinaryIO) -> None:
        """Write it to a snapshot."""
        out.write(b"%d" % self.value)

    def load(self, source: BinaryIO) -> None:
        """Read it from a snapshot."""
        self.value = int(source.read())


def add_surely(counter: MachineHandle[Counter], amount: int, key: str) -> int:
    """Add once, and do not give up before it is known what it came to."""
    while True:
        try:
            return counter.run(Counter.add, amount, once=key)
        except (roost.NotExecuted, roost.OutcomeUnknown) as error:
            print(f"asking again: {error}", file=sys.stderr)


def main(path: str, name: str, *members: str) -> None:
    """Be a member, and count."""
    with roost.open(path, name=name, members=dict(it.split("=", 1) for it in members)) as db:
        counter = db.machine("counter", Counter)
        for number in range(20):
            value = add_surely(counter, 10, f"{name} {number}")
            print(f"addition {number} came to {value}", flush=True)
        for _ in sys.stdin:
            print(counter.ask(Counter.get), flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
