"""What people note of a series, or of all that have a tag: text, for whoever comes later.

    tree "series.notes"   what it is of, a key as those of rules (`retention`)   -> text in UTF-8

It changes nothing in what points mean, and stays when they go.

Full?  NOTES_MAX notes of NOTE_BYTES_MAX each, so all of them are one answer.
"""

from roost.database import Refused, Transaction
from roost.series.draft import Bytes
from roost.series.errors import BAD_NOTE

NOTES_TREE = "series.notes"
NOTES_MAX, NOTE_BYTES_MAX = 1000, 2048


def note(txn: Transaction, target: bytes, text: str) -> None:
    """Note something of `retention.of_series` or `of_tag`; an empty text removes what was noted.

    Raises:
        Refused: BAD_NOTE, it is of nothing, or too long, or there are too many.

    """
    tree = txn.tree(NOTES_TREE)
    if not text:
        tree.discard(target)
        return
    row = text.encode()
    if len(row) > NOTE_BYTES_MAX or target[:1] not in (b"s", b"t"):
        raise Refused(
            f"a note is of a series or of a tag, and {NOTE_BYTES_MAX} bytes at most", code=BAD_NOTE
        )
    if target not in tree and tree.count() >= NOTES_MAX:
        raise Refused(f"{NOTES_MAX} notes are the most: remove some", code=BAD_NOTE)
    tree[target] = row


async def notes_of(tree: Bytes) -> list[tuple[bytes, str]]:
    """All notes, by what they are of."""
    pages = tree.pages(limit=NOTES_MAX)
    return [(key, row.decode()) async for page in pages for key, row in page]
