"""What an operation is: a named function that runs on the leader and writes.

An operation gets a transaction, which sees everything proposed before it, and the bytes it was
asked with.  It may use clocks and chance, because only its writes are replicated, not its run; it
raises `Refused` to say no, and nothing of it is kept then.

One that finds that it has more to do than a turn of the loop allows returns `Long`, before it has
written anything, and runs over many turns (`pipeline/long_run.py`).

One that writes nothing, and only says something of the leader's own memory, is `Light`: it waits
for nothing that writes (`pipeline/lights.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from roost.raft import Change
from roost.store import Long, Txn

Operation = Callable[[Txn, bytes], bytes | Long]
# Writes what goes with a change of the configuration; returns its steps and the answer.
ChangeOperation = Callable[[Txn, bytes], tuple[Sequence[Change], bytes]]


@dataclass(frozen=True, slots=True)
class Changing:
    """An operation that changes the configuration: it is an entry of its own."""

    run: ChangeOperation


@dataclass(frozen=True, slots=True)
class Light:
    """An operation that nearly always writes nothing, and then runs in the turn in which it comes.

    `now` may write nothing; it gives None when it would have to, or when what is on its way
    matters.  Then, and when too many have come at once, `later` runs in its place in the queue.
    """

    now: Callable[[Txn, bytes], bytes | None]
    later: Operation


AnyOperation = Operation | Changing | Light
