"""A directory of counters that was copied, or is an old state of one, made another owner's.

What it holds of the owner that it was stays that owner's, and is given to the others when that one
is retired (`retiring`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from roost.counters import standing
from roost.counters.environment import Trees
from roost.counters.errors import CounterStoreError
from roost.counters.joining import Joining
from roost.counters.logged import LoggedTrees
from roost.counters.store import Store


@dataclass(frozen=True, slots=True)
class Renewed:
    """Whose it was, and whose it is: epochs."""

    before: bytes
    now: bytes


def renew_directory(directory: Path, entropy: Callable[[int], bytes]) -> Renewed:
    """Make it so; `entropy` gives so many bytes of chance.  No member may have it open.

    Raises:
        CounterStoreError: there is none, or it cannot be read or written.

    """
    if not directory.is_dir():
        raise CounterStoreError(f"nobody has counted here: there is no {directory}")
    trees = LoggedTrees(directory)
    try:
        return renew(trees, entropy)
    finally:
        trees.close()


def renew(trees: Trees, entropy: Callable[[int], bytes]) -> Renewed:
    """Make what is in these trees another owner's, which is fed by the others before it serves.

    Raises:
        CounterStoreError: nobody has counted there, or it cannot be read or written.

    """
    row = trees.get("meta", b"state")
    if row is None:
        raise CounterStoreError("nobody has counted there")
    before = standing.read_state(row).epoch
    store = Store.open(trees, entropy, is_restored=True)
    Joining(store).begin()
    store.perform()
    return Renewed(before, store.epoch)
