"""Who wants to know what is applied, by tree.

Most write sets concern few of those who observe: a put of a key is nothing to whoever keeps users,
leases or the roster.  So an observer names its trees and is called for them only.  What is to be
looked up for a write set are its trees, a handful, not its records.

Full?  Observers are added when a member is put together, and never go.  For KNOWN_COUNT_MAX sets of
trees it is kept who is concerned; after that it is found out anew.
"""

from collections.abc import Callable, Iterable

from roost.store.write_set import Changes

Observer = Callable[[int, Changes], None]
# An application's write sets write few sets of trees, and etcd's a dozen.
KNOWN_COUNT_MAX = 256


class Observers:
    """Those who are called after each applied write set, by the trees they named."""

    def __init__(self) -> None:
        """Nobody observes."""
        self._observers: list[Observer] = []
        # Positions in `_observers`: of those who want everything, and of each tree's.
        self._of_all: list[int] = []
        self._of_tree: dict[int, list[int]] = {}
        # Those concerned by a write set that writes just these trees, in their order.
        self._known: dict[frozenset[int], tuple[Observer, ...]] = {}

    def add(self, observer: Observer, trees: Iterable[int] | None) -> None:
        """Call `observer` for write sets that write one of `trees`; None = for all."""
        position = len(self._observers)
        self._observers.append(observer)
        self._known.clear()
        if trees is None:
            self._of_all.append(position)
            return
        for tree_id in trees:
            self._of_tree.setdefault(tree_id, []).append(position)

    def tell(self, index: int, changes: Changes) -> None:
        """Call each of those concerned once, in the order in which they were added."""
        trees = changes.trees
        concerned = self._known.get(trees)
        if concerned is None:
            concerned = self._find(trees)
        for observer in concerned:
            observer(index, changes)

    def _find(self, trees: frozenset[int]) -> tuple[Observer, ...]:
        positions = set(self._of_all)
        for tree_id in trees:
            positions.update(self._of_tree.get(tree_id, ()))
        if len(self._known) >= KNOWN_COUNT_MAX:
            self._known.clear()
        # The order of a set is nobody's business: every member calls in the same order.
        found = tuple([self._observers[position] for position in sorted(positions)])
        self._known[trees] = found
        return found
