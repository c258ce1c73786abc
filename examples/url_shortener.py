"""Short names for long addresses, and how often each was asked for.

    python examples/url_shortener.py data

Then lines: `add ADDRESS`, `name NAME ADDRESS`, `go NAME`, `top`.  An address that was added before
keeps its name, so adding it twice is the same as once; a name that is taken is refused.  How often
names were asked for stands in an index that each member makes by itself.
"""

import sys
from collections.abc import Iterator

import msgspec

import roost

LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
links = roost.Operations("links")


class Link(msgspec.Struct):
    """Where a name leads, and how often it was asked for."""

    address: str
    asked: int = 0


def written(number: int) -> str:
    """A number as a short name."""
    found = ""
    while number or not found:
        number, digit = divmod(number, len(LETTERS))
        found = LETTERS[digit] + found
    return found


@links.operation
def add(txn: roost.Transaction, address: str) -> str:
    """The name of an address, a new one if it has none."""
    names = txn.tree("names", key=str, value=str)
    held = names.get(address)
    if held is not None:
        return held
    tree, counters = txn.tree("links", key=str, value=Link), txn.tree("counters", key=str, value=int)
    number = counters.get("next", 0)
    while (name := written(number)) in tree:
        number += 1  # somebody chose it
    counters["next"] = number + 1
    tree[name] = Link(address)
    names[address] = name
    return name


@links.operation
def choose(txn: roost.Transaction, name: str, address: str) -> None:
    """Give an address a name of one's own."""
    tree = txn.tree("links", key=str, value=Link)
    if name in tree:
        raise roost.Refused(f"{name} is taken", code="taken")
    tree[name] = Link(address)


@links.operation
def follow(txn: roost.Transaction, name: str) -> str:
    """Where a name leads; it is counted."""
    tree = txn.tree("links", key=str, value=Link)
    link = tree.get(name)
    if link is None:
        raise roost.Refused(f"nothing is called {name}", code="unknown")
    tree[name] = Link(link.address, link.asked + 1)
    return link.address


@roost.derived("ix_links_by_asked", source="links", version=1)
def by_asked(name: str, link: Link) -> Iterator[tuple[tuple[int, str], str]]:
    """Those that were asked for most come last."""
    yield (link.asked, name), link.address


def carry_out(db: roost.Database, words: list[str]) -> str:
    """What one line asks for."""
    match words:
        case ["add", address]:
            return db.run(add, address)
        case ["name", name, address]:
            db.run(choose, name, address)
            return name
        case ["go", name]:
            return db.run(follow, name)
        case ["top"]:
            found = db.derived(by_asked)
            found.wait_built()
            rows = found.items(reverse=True, limit=3)
            return " ".join(f"{name}={asked}" for (asked, name), _ in rows)
        case _:
            return "add ADDRESS | name NAME ADDRESS | go NAME | top"


def main(path: str) -> None:
    """Open the database, and do what lines say."""
    with roost.open(path, operations=[links]) as db:
        for line in sys.stdin:
            try:
                print(carry_out(db, line.split()), flush=True)
            except roost.Refused as refused:
                print(f"no: {refused}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
