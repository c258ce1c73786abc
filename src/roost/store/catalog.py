"""The catalogue of trees: tree 0 maps a name to the id that write sets call the tree by.

    0  the catalogue itself
    1  $metadata: storage version, GUID of the database, what was applied last
    2  $parts: of a long write that has not taken effect; see `long_write`
    3 … 65534  trees in the order they were made; ids are never used again
    65535  no tree: pieces of long keys; see `long_keys`

Names are 1 to 128 printable ASCII characters.  `$…` are ours, and never a program's (record 0023).
By convention `@…` holds many values under a key, and `ix_…` can be rebuilt from other trees (D3).
"""

from typing import NamedTuple

from roost.store.errors import BadTreeName, StoreForeign

CATALOG_ID = 0
METADATA_ID = 1
PARTS_ID = 2
FIRST_TREE_ID, LAST_TREE_ID = 3, 65534
METADATA_NAME, PARTS_NAME = "$metadata", "$parts"
# Raised with every change of what any room writes: `tests/etcd/test_layout.py`.
STORAGE_VERSION = 10
VERSION_KEY = b"storage_version"
GUID_KEY = b"guid"
_NAME_CHARACTERS_MAX = 128


class Tree(NamedTuple):
    """A tree's handle."""

    id: int
    name: str


def check_name(name: str) -> None:
    """Refuse names that break the rules.

    Raises:
        BadTreeName: it is empty, too long, or not printable ASCII.

    """
    is_printable = name.isascii() and name.isprintable() and " " not in name
    if not 0 < len(name) <= _NAME_CHARACTERS_MAX or not is_printable:
        raise BadTreeName(f"{name!r} is no tree name: 1 to 128 printable ASCII characters")


def check_version(held: bytes | None) -> None:
    """Refuse what another version has written; `held` is what VERSION_KEY has, None in a new store.

    Raises:
        StoreForeign: another version wrote it.

    """
    if held is not None and (written := int.from_bytes(held, "big")) != STORAGE_VERSION:
        raise StoreForeign(
            f"another version of Roost wrote this store, in format {written}; this one knows "
            f"{STORAGE_VERSION}: start that version, and copy with `roost mirror`"
        )
