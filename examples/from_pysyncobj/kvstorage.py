"""PySyncObj's example `kvstorage`, with Roost: a dictionary that all members have.

    python examples/from_pysyncobj/kvstorage.py m1.data m1 m1=127.0.0.1:7001 m2=127.0.0.1:7002 ...
    (m2 and m3 the same, with their names)

Then lines: `set KEY VALUE`, `get KEY`, `pop KEY`.  What is answered is on the disks of a majority,
and `get` sees it on whichever member.  Nothing has to be declared for that: it is a replicated
dictionary.
"""

import sys

import roost
from roost.objects import Dict


def carry_out(held: Dict[str, str], words: list[str]) -> str:
    """What a line asks for."""
    match words:
        case ["set", key, value]:
            held[key] = value  # twice is the same as once, so asking again needs no key of its own
            return "it is set"
        case ["get", key]:
            return str(held.get(key))
        case ["pop", key]:
            return str(held.pop(key, None))
    return "set KEY VALUE | get KEY | pop KEY"


def main(path: str, name: str, *members: str) -> None:
    """Be a member, and do what the lines of standard input say."""
    with roost.open(path, name=name, members=dict(it.split("=", 1) for it in members)) as db:
        held = db.objects.dict("kv", key=str, value=str)
        for line in sys.stdin:
            try:
                print(carry_out(held, line.split()), flush=True)
            except roost.NotExecuted as error:
                print(f"nothing happened, ask again: {error}", flush=True)
            except roost.OutcomeUnknown as error:
                print(f"it may have happened: {error}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
