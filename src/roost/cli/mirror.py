"""`roost mirror`: one cluster's keys, copied to another and kept up to date.

The keys are read in pages as of one revision, and followed from the next one on.  When the source
forgets that revision by a compaction, meanwhile or while we were cut off from it, the keys are
read again; what we have copied and is there no more is deleted then.  For that the keys that were
copied are remembered: memory grows with their number.

A target that does not answer is tried again, and so is a source that has answered once; the keys
are read again then: what the target took of the last write is not known.  What is alike there is
not written.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress

import click

from roost.cli.interrupts import interruptible, leave_done
from roost.cli.kv import range_of
from roost.cli.progress import counted, progress
from roost.cli.shared import bytes_of, client_options, connect, failed, say_json
from roost.client import Client, ClientError, Compacted, Get, Item, Page, is_lost

# As many as a transaction of etcd's may have, and some to spare.
PAGE_KEYS = 100
Note = Callable[[int, int], None]
_PATIENCE_S, _PAUSE_S = 300.0, 1.0


@click.command()
@click.argument("destination")
@click.option("--prefix", default="", help="Only keys that begin with this.")
@click.option("--dest-prefix", default="", help="What stands there instead of the prefix.")
@client_options
def mirror(
    destination: str,
    prefix: str,
    dest_prefix: str,
    endpoints: str,
    timeout_s: float,
    *,
    as_json: bool,
) -> None:
    r"""Copy all keys to the cluster at DESTINATION, then every change, until interrupted.

    \b
    Example:
        roost mirror 10.0.0.9:2379 --prefix config/
    """
    with (
        interruptible(leave_done),
        connect(endpoints, timeout_s) as source,
        Client(destination, timeout_s=timeout_s) as target,
    ):
        copy = Mirror(source, target, bytes_of(prefix), bytes_of(dest_prefix))
        away_since: float | None = None
        while True:
            try:
                with progress("copying", as_json=as_json, say=counted("keys")) as shown:
                    count = copy.copy_all(shown.note)
                away_since = None
                if as_json:
                    say_json({"copied": count})
                else:
                    click.echo(f"{count} keys copied; following")
                sys.stdout.flush()
                copy.follow()
            except Away as away:
                now = time.monotonic()
                away_since = away_since or now
                if now - away_since > _PATIENCE_S:
                    raise away.error from away
                text = failed(away.error).message
                click.echo(f"the {away.who} does not answer, trying on: {text}", err=True)
                threading.Event().wait(_PAUSE_S)
            else:
                click.echo("the source has forgotten where we were: copying again", err=True)


class Away(Exception):
    """One end does not answer; what the target took of the last write is not known."""

    def __init__(self, who: str, error: ClientError) -> None:
        """Keep which end it is, and what the client said."""
        super().__init__(str(error))
        self.who = who
        self.error = error


@contextmanager
def reaching(who: str) -> Iterator[None]:
    """Say which end it is that does not answer."""
    try:
        yield
    except ClientError as error:
        if is_lost(error):
            raise Away(who, error) from error
        raise


def _unseen(_done: int, _total: int) -> None:
    """Nobody wants to know."""


class Mirror:
    """The copy of a range of keys, and how far it is."""

    def __init__(self, source: Client, target: Client, prefix: bytes, dest_prefix: bytes) -> None:
        """Nothing is copied yet."""
        self._source = source
        self._target = target
        self._prefix = prefix
        self._dest_prefix = dest_prefix
        self._begin, self._end = range_of(prefix.decode(errors="surrogateescape"), "", prefix=True,
                                          from_key=False)  # fmt: skip
        self._known: set[bytes] = set()
        self._revision = 0

    def _there(self, key: bytes) -> bytes:
        if not self._dest_prefix:
            return key
        return self._dest_prefix + key[len(self._prefix) :]

    def copy_all(self, note: Note = _unseen) -> int:
        """Bring the target to one revision of the source; say how many keys that has.

        `note` is told how many keys are there, and how many there will be.

        Raises:
            Away: the target may have got a part of it.

        """
        while True:
            try:
                return self._copy_once(note)
            except Compacted:
                continue  # the source was compacted behind that revision meanwhile

    def _copy_once(self, note: Note) -> int:
        found: set[bytes] = set()
        revision = 0
        for page in self._pages():
            revision = page.revision
            note(len(found), len(found) + page.count)
            if page.items:
                self._copy_page(page.items)
            found.update(it.key for it in page.items)
        for key in self._known - found:
            self._delete(key)
        self._known = found
        self._revision = revision
        return len(found)

    def _pages(self) -> Iterator[Page]:
        # Before anything was read it may never have been there: that is said at once.
        with reaching("source") if self._revision else nullcontext():
            yield from self._source.pages(self._begin, self._end, page_keys=PAGE_KEYS)

    def _copy_page(self, items: Sequence[Item]) -> None:
        """Put what the target does not have alike."""
        with reaching("target"):
            said = self._target.txn(then=[Get(self._there(it.key)) for it in items])
        for position, it in enumerate(items):
            self._known.add(it.key)
            there = said.item(position)
            if there is None or there.value != it.value:
                self._put(it.key, it.value)

    def _put(self, key: bytes, value: bytes) -> None:
        self._known.add(key)
        with reaching("target"):
            self._target.put(self._there(key), value)

    def _delete(self, key: bytes) -> None:
        with reaching("target"):
            self._target.delete(self._there(key))
        self._known.discard(key)

    def follow(self) -> None:
        """Carry every change over; return when the source has forgotten where we are.

        Raises:
            Away: the target may have the last change or not.

        """
        begin = self._revision + 1
        with suppress(Compacted), reaching("source"):
            for change in self._source.watch(self._begin, self._end, since=begin):
                if change.is_delete:
                    self._delete(change.item.key)
                else:
                    self._put(change.item.key, change.item.value)
