"""How many rows and bytes each tree of a member's directory has, for people.

All of it is walked over.  `main` is a process of its own, given DATA_DIR, so that a member which is
asked goes on meanwhile; it reads the files, where the last seconds of a running member are missing.
"""

import os
import sys
from pathlib import Path

import msgspec

from roost.database.catalogue import TreeFacts, derived_of, trees_of
from roost.database.environment import open_derived_file
from roost.errors import RoostError
from roost.member import open_store_file


class CountedTrees(msgspec.Struct, frozen=True, kw_only=True):
    """All trees as of the entry at `index`, those that the member derives behind the others.

    `fault` says why there are none.
    """

    index: int = 0
    trees: list[TreeFacts] = []
    fault: str = ""


def count_in(data_dir: Path) -> CountedTrees:
    """Count the trees in the directory of a member, whether it runs or not.

    Raises:
        RoostError: it cannot be read.

    """
    with open_store_file(data_dir) as file:
        found = list(trees_of(file.view))
        index = file.index
    with open_derived_file(data_dir) as derived:
        found += [] if derived is None else derived_of(derived)
    return CountedTrees(index=index, trees=found)


def main() -> None:
    """Entry point of the process."""
    os.nice(19)
    _, data_dir = sys.argv
    try:
        counted = count_in(Path(data_dir))
    except (RoostError, OSError) as error:
        counted = CountedTrees(fault=str(error))
    sys.stdout.write(msgspec.json.encode(counted).decode() + "\n")
