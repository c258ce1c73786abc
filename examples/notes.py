"""Notes that are found by their words, and saved while one goes on writing.

    python examples/notes.py data

Then lines: `add WORDS...`, `change NUMBER WORDS...`, `remove NUMBER`, `find WORDS...` (which has
all of them, in any order), `save FILE`.  The index is a derived tree: nobody writes it, it is in no
backup, and a note and its words never differ.
"""

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

import roost

notes = roost.Operations("notes")


class Note(msgspec.Struct):
    """What somebody wrote, and when."""

    text: str
    at: datetime


@roost.derived("ix_notes_by_word", source="notes", version=1, rows_max=1000)
def by_word(number: int, note: Note) -> Iterator[tuple[tuple[str, int], bytes]]:
    """A row for each word."""
    for word in set(words_of(note.text)):
        yield (word, number), b""


@notes.operation
def add(txn: roost.Transaction, text: str) -> int:
    """Write a note; its number is the next one."""
    tree = txn.tree("notes", key=int, value=Note)
    last = tree.last()
    number = 1 if last is None else last[0] + 1
    tree[number] = Note(text, datetime.now(UTC))
    return number


@notes.operation
def change(txn: roost.Transaction, number: int, text: str) -> None:
    """Write a note anew."""
    tree = txn.tree("notes", key=int, value=Note)
    if number not in tree:
        raise roost.Refused(f"there is no note {number}", code="unknown")
    tree[number] = Note(text, tree[number].at)


def words_of(text: str) -> list[str]:
    """Words as they are looked for."""
    return re.findall(r"\w+", text.casefold())


def find(db: roost.Database, words: list[str]) -> str:
    """Notes that have all of these words."""
    found = None
    index = db.derived(by_word)
    for word in words:
        numbers = {number for _, number in index.keys(prefix=(word,))}
        found = numbers if found is None else found & numbers
    tree = db.tree("notes", key=int, value=Note)
    held = ((number, tree.get(number)) for number in sorted(found or ()))
    return "; ".join(f"{number}: {note.text}" for number, note in held if note) or "none"


def carry_out(db: roost.Database, line: str) -> str:
    """What one line asks for."""
    what, _, rest = line.strip().partition(" ")
    match what, rest.split():
        case "add", [_, *_]:
            return f"note {db.run(add, rest)}"
        case "change", [number, *words]:
            db.run(change, int(number), " ".join(words))
            return f"note {number}"
        case "remove", [number]:
            was_there = db.tree("notes", key=int, value=Note).delete(int(number))
            return "gone" if was_there else "none"
        case "find", [_, *_]:
            return find(db, words_of(rest))
        case "save", [path]:
            return f"saved {db.snapshot(path).index > 0}"
        case _:
            return "add WORDS | change NUMBER WORDS | remove NUMBER | find WORDS | save FILE"


def main(path: str) -> None:
    """Open the database, and do what lines say."""
    with roost.open(path, operations=[notes]) as db:
        db.derived(by_word).wait_built()
        for line in sys.stdin:
            try:
                print(carry_out(db, line), flush=True)
            except roost.Refused as refused:
                print(f"no: {refused}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
