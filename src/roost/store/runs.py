"""Rows of one tree as MessagePack gives them; `puts` has their format.

Apart from `puts`, which reads them, because that module is compiled and a Struct must not be.
"""

from typing import Annotated

import msgspec

from roost.store.rows import Values


class Run(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Rows of one tree as they are read; those that `decode_puts` gives have their values."""

    tree_id: Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
    keys: list[bytes]
    values: Values | None
    fills: bool = False
