"""`roost mirror`: one cluster's keys, copied to another and kept up to date.

The keys are read in pages as of one revision, and followed from the next one on.  When the source
forgets that revision by a compaction, meanwhile or while we were cut off from it, the keys are
read again; what we have copied and is there no more is deleted then.  For that the keys that were
copied are remembered: memory grows with their number.
"""

import sys

import click

from roost.cli.kv import range_of
from roost.cli.shared import bytes_of, client_options, connect, say_json, until_interrupted
from roost.client import Client, Compacted

PAGE_KEYS = 1000


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
        until_interrupted(),
        connect(endpoints, timeout_s) as source,
        Client(destination, timeout_s=timeout_s) as target,
    ):
        copy = Mirror(source, target, bytes_of(prefix), bytes_of(dest_prefix))
        while True:
            count = copy.copy_all()
            if as_json:
                say_json({"copied": count})
            else:
                click.echo(f"{count} keys copied; following")
            sys.stdout.flush()
            copy.follow()
            click.echo("the source has forgotten where we were: copying again", err=True)


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

    def copy_all(self) -> int:
        """Bring the target to one revision of the source; say how many keys that has."""
        while True:
            try:
                return self._copy_once()
            except Compacted:
                continue  # the source was compacted behind that revision meanwhile

    def _copy_once(self) -> int:
        found: set[bytes] = set()
        begin, revision = self._begin, 0
        while True:
            page = self._source.ask_range(begin, self._end, limit=PAGE_KEYS, revision=revision)
            revision = revision or page.header.revision
            for kv in page.kvs:
                self._target.put(self._there(kv.key), kv.value)
                found.add(kv.key)
                self._known.add(kv.key)
            if not page.more:
                break
            begin = page.kvs[-1].key + b"\0"
        for key in self._known - found:
            self._target.delete(self._there(key))
        self._known = found
        self._revision = revision
        return len(found)

    def follow(self) -> None:
        """Carry every change over; return when the source has forgotten where we are."""
        begin = self._revision + 1
        try:
            for change in self._source.watch(self._begin, self._end, start_revision=begin):
                key = change.item.key
                if change.is_delete:
                    self._target.delete(self._there(key))
                    self._known.discard(key)
                else:
                    self._target.put(self._there(key), change.item.value)
                    self._known.add(key)
        except Compacted:
            return
