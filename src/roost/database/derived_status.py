"""What a derived tree says of itself."""

from dataclasses import dataclass

from roost.database.deriving_tree import DerivingTree


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedStatus:
    """One derived tree of this member.

    `share` is how much of its source was looked at while it is made anew, else 1.  It shows what
    was applied up to `index`; `waiting_count` keys of its source, and `range_count` ranges, are to
    be looked at.  `oversized_count` is how often the function made more than `rows_max` rows of
    one, `built_count` how often all of it was made since it was opened.  `error` says why it has
    ended, and is empty when it has not.
    """

    name: str
    source: str
    version: int
    share: float
    index: int
    waiting_count: int
    range_count: int
    oversized_count: int
    built_count: int
    error: str


def derived_status(tree: DerivingTree) -> DerivedStatus:
    """A snapshot."""
    derivation = tree.derivation
    return DerivedStatus(
        name=tree.name,
        source=derivation.source.name,
        version=derivation.version,
        share=tree.share,
        index=tree.done_index if tree.is_built else 0,
        waiting_count=tree.dirty.key_count,
        range_count=len(tree.dirty.ranges),
        oversized_count=tree.oversized_count,
        built_count=tree.built_count,
        error="" if tree.error is None else str(tree.error),
    )
