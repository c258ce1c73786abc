"""Books, found by the words of their titles: an index that each member derives for itself.

    python examples/derived_index.py data                              alone
    python examples/derived_index.py m1.data m1 MEMBERS                one of three, as m2 and m3

MEMBERS are `m1=127.0.0.1:7001 m2=127.0.0.1:7002 m3=127.0.0.1:7003`.  Then lines: `add NUMBER
TITLE...`, `lend NUMBER WHO`, `drop NUMBER`, `find WORD`, `due`.  What is found was looked up, not
searched for; it is right on every member, whoever wrote it, and after any crash.
"""

import re
import sys
from collections.abc import Iterator

import msgspec

import roost


class Book(msgspec.Struct):
    """A book, and who has it; nobody when that is empty."""

    title: str
    lent_to: str = ""


library = roost.Operations("library")


@library.operation
def lend(txn: roost.Transaction, number: int, who: str) -> None:
    """Give a book to somebody, or with an empty name take it back."""
    books = txn.tree("books", key=int, value=Book)
    book = books.get(number)
    if book is None:
        raise roost.Refused(f"there is no book {number}")
    if who and book.lent_to:
        raise roost.Refused(f"{book.lent_to} has it")
    books[number] = Book(book.title, who)


@roost.derived("ix_books_by_word", source="books", version=1)
def by_word(number: int, book: Book) -> Iterator[tuple[tuple[str, int], str]]:
    """Each word of a title, and the number behind it, since many books have it."""
    for word in re.findall(r"\w+", book.title.lower()):
        yield (word, number), book.title


@roost.derived("ix_books_lent", source="books", version=1)
def by_reader(number: int, book: Book) -> Iterator[tuple[tuple[str, int], str]]:
    """Books that somebody has; the others are not in it."""
    if book.lent_to:
        yield (book.lent_to, number), book.title


class Library:
    """The trees of one member."""

    def __init__(self, db: roost.Database) -> None:
        self.db = db
        self.books = db.tree("books", key=int, value=Book)
        self.words = db.derived(by_word)
        self.lent = db.derived(by_reader)
        for it in (self.words, self.lent):
            it.wait_built()  # at once, when it is there already

    def carry_out(self, words: list[str]) -> str:
        """What one line asks for."""
        match words:
            case ["add", number, *title]:
                self.books[int(number)] = Book(" ".join(title))
                return f"{number} is there"
            case ["lend", number, *who]:
                self.db.run(lend, int(number), " ".join(who))
                return f"{number} is lent" if who else f"{number} is back"
            case ["drop", number]:
                del self.books[int(number)]
                return f"{number} is gone"
            case ["find", word]:
                found = self.words.items(prefix=(word.lower(),))
                return "\n".join(f"{number} {title}" for (_, number), title in found) or "nothing"
            case ["due"]:
                found = self.lent.items()
                return "\n".join(f"{who}: {title}" for (who, _), title in found) or "nothing"
            case _:
                return "add NUMBER TITLE... | lend NUMBER [WHO] | drop NUMBER | find WORD | due"


def main(path: str, name: str = "default", *members: str) -> None:
    """Open the member, and do what the lines of standard input say."""
    cluster = dict(it.split("=", 1) for it in members) or None
    with roost.open(path, name=name, members=cluster, operations=[library]) as db:
        here = Library(db)
        for line in sys.stdin:
            try:
                print(here.carry_out(line.split()), flush=True)
            except (roost.Refused, KeyError, ValueError) as error:
                print(f"no: {error}", flush=True)
            except (roost.NotExecuted, roost.OutcomeUnknown) as error:
                print(f"not now: {error}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
