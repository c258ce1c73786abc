"""A process that counts until it is killed: it prints each sum that was acknowledged.

python -m tests.counters.killed_counter DIRECTORY
"""

import os
import sys
from pathlib import Path

from roost.counters.changing import increment
from roost.counters.logged import LoggedTrees
from roost.counters.store import Store


def main() -> None:
    store = Store.open(LoggedTrees(Path(sys.argv[1])), os.urandom)
    print("open", flush=True)  # noqa: T201 - who started it reads this
    while True:
        answers = [increment(store, [("a", 1), ("b", 2)]) for _it in range(3)]
        store.perform()
        print(answers[-1].values[0], flush=True)  # noqa: T201 - likewise


if __name__ == "__main__":
    main()
