"""A program with a machine in it, told what to do by lines: one of a cluster of processes."""

import json
import sys
from typing import BinaryIO

import msgspec

import roost


class Tally(roost.Machine):
    """Who was counted, in order."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    @roost.command
    def add(self, context: roost.Context, key: str) -> int:
        """Count one more."""
        self.keys.append(key)
        return len(self.keys)

    @roost.query
    def all_keys(self) -> list[str]:
        """Who was."""
        return self.keys

    def save(self, out: BinaryIO) -> None:
        """As MessagePack."""
        out.write(msgspec.msgpack.encode(self.keys))

    def load(self, source: BinaryIO) -> None:
        """As MessagePack."""
        self.keys = msgspec.msgpack.decode(source.read(), type=list[str])


OFTEN = roost.SnapshotPolicy(commands=25, tail=5)


def again(tally: roost.objects.MachineHandle[Tally], key: str) -> int:
    """Add one under a key, until it is known to be done."""
    while True:
        try:
            return tally.run(Tally.add, key, once=key)
        except (roost.NotExecuted, roost.OutcomeUnknown):
            continue


def read(tally: roost.objects.MachineHandle[Tally]) -> list[str]:
    """Who was counted, as soon as somebody can say so."""
    while True:
        try:
            return tally.ask(Tally.all_keys)
        except roost.NotExecuted:
            continue


def main() -> None:
    """Open, and do what the lines say."""
    given = json.loads(sys.argv[1])
    with roost.open(
        given["path"],
        name=given["name"],
        members=given["members"],
        heartbeat_interval=50,
        election_timeout=500,
    ) as db:
        tally = db.machine("tally", Tally, policy=OFTEN)
        for line in sys.stdin:
            match line.split():
                case ["add", *keys]:
                    said: object = [again(tally, key) for key in keys]
                case ["read"]:
                    said = read(tally)
                case ["leader"]:
                    while not (said := db.status().leader):
                        read(tally)  # which waits for one
                case ["status"]:
                    found = tally.status()
                    said = [found.snapshot_index, found.stopped]
                case _:
                    said = f"what is {line!r}?"
            sys.stdout.write(json.dumps(said) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
