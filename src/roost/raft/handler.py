"""What takes a message, and how tables of such functions are written."""

from collections.abc import Callable
from typing import TypeVar, cast

from roost.raft.messages import Message
from roost.raft.state import State

M = TypeVar("M", bound=Message)
Handler = Callable[[State, Message], None]


def row(
    kind: type[M], *handlers: Callable[[State, M], None]
) -> tuple[type[Message], tuple[Handler, ...]]:
    """One row of a table: who takes a message of this kind, in this order.

    A table cannot say that each of its keys goes with functions of that very kind.  A row can:
    here the two are checked against each other, and only then is the kind forgotten.
    """
    return cast("type[Message]", kind), cast("tuple[Handler, ...]", handlers)
