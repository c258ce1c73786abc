"""Rows of one tree, as a transaction gathers them; `puts` says how they travel."""

Values = list[bytes | None]


class Puts:
    """Rows of one tree: each key is set to the value in its place; None = it goes away."""

    __slots__ = ("is_shared", "keys", "tree_id", "values")

    def __init__(
        self, tree_id: int, keys: list[bytes], values: Values, *, is_shared: bool = False
    ) -> None:
        """As many keys as values."""
        self.tree_id = tree_id
        self.keys = keys
        self.values = values
        # Whether some values are those of the rows before, too: then it pays to look.
        self.is_shared = is_shared
