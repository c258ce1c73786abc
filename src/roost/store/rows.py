"""Rows of one tree, as a transaction gathers them; `puts` says how they travel."""

from dataclasses import dataclass, field

Values = list[bytes | None]


@dataclass(slots=True, eq=False)
class Puts:
    """Rows of one tree: each key is set to the value in its place; None = it goes away."""

    tree_id: int
    keys: list[bytes] = field(default_factory=list)
    values: Values = field(default_factory=list)
    # Whether some values are those of the rows before, too: then it pays to look.
    is_shared: bool = False
