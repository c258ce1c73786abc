"""How much of the journal stays that the store holds durably already: for members that lag.

A member that was away for a moment is sent the entries that it missed; one that was away for longer
gets a snapshot, and what follows it.  Entries are cheaper to send while they are fewer than the
data, so they stay by number, `trailing_entries`, and never take more than a part of what the data
takes: ten thousand values of a megabyte would be ten gigabytes of log for a store of one.
"""

from typing import Final

from roost.journal import Journal

# Of the bytes that the store has in use.
PART: Final = 4
# As much may always stay: a small store is quick to send, but that takes more than a few entries.
BYTES_MIN: Final = 64 << 20


def trim(
    journal: Journal, index: int, *, entries: int, in_use_bytes: int, bytes_min: int = BYTES_MIN
) -> bool:
    """Drop what is older than wanted, in whole segments; whether anything was.

    `index` is the newest entry that may go.  Of those up to it `entries` stay, or as many as the
    newest segments hold that take a quarter of `in_use_bytes`, and at least `bytes_min`; whichever
    is less.

    Raises:
        JournalBroken: the device failed.

    """
    before = journal.first_index
    bytes_max = max(bytes_min, in_use_bytes // PART)
    wanted = max(index - entries, min(index, journal.first_within(bytes_max) - 1))
    if wanted > before:
        journal.compact(wanted)
    return journal.first_index > before
