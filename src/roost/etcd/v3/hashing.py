"""The hash of keys: equal on all members that hold the same, however far a removal has come."""

import asyncio
from collections.abc import Callable

from crc32c import crc32c

from roost.call import Call
from roost.etcd.model.mvcc import KV_TREE, Mvcc, main_of
from roost.etcd.model.wire import decode_key_value
from roost.etcd.v3.requests import guarded
from roost.store import View

_SLICE_ROWS = 2000


class KeyHash:
    """A CRC-32C over keys, a bounded piece in each turn of the loop.

    It covers what can still be seen: of the revisions up to the compacted one the living keys,
    then every revision up to the one asked for.  How far the removal of older ones has come makes
    no difference.
    """

    def __init__(self, call: Call, mvcc: Mvcc, view: View, compacted: int, revision: int) -> None:
        """Nothing is read yet; what goes wrong ends `call`."""
        self._next_step = guarded(call, self._step)
        self._mvcc = mvcc
        self._view = view
        self._compacted = compacted
        self._revision = revision
        # Never nothing: a hash of no keys is one too.
        self._crc = crc32c(KV_TREE.encode())

    def run(self, done: Callable[[int], None]) -> None:
        """Read in slices, then call `done(hash)`."""
        self._done = done
        self._old_from: bytes | None = b"" if self._compacted else None
        self._new_from = (self._compacted + 1).to_bytes(8, "big")
        self._step()

    def _step(self) -> None:
        if self._old_from is not None:
            self._hash_old()
        elif not self._hash_new():
            self._done(self._crc)
            return
        asyncio.get_running_loop().call_soon(self._next_step)

    def _hash_old(self) -> None:
        """The living keys as of the compacted revision, from `_old_from` on."""
        assert self._old_from is not None, "there is more"
        first = self._old_from
        rows = self._mvcc.range_at(self._view, first, None, self._compacted)
        self._old_from = None
        for count, encoded in enumerate(rows):
            if count == _SLICE_ROWS:
                self._old_from = decode_key_value(encoded).key
                return
            self._crc = crc32c(encoded, self._crc)

    def _hash_new(self) -> bool:
        """Revisions behind the compacted one; say whether there are more."""
        stop = (self._revision + 1).to_bytes(8, "big")
        rows = self._view.scan(self._mvcc.revisions, self._new_from, stop, limit=_SLICE_ROWS)
        for name, encoded in rows:
            self._crc = crc32c(encoded, crc32c(name, self._crc))
        if len(rows) < _SLICE_ROWS:
            return False
        last = rows[-1][0]
        assert main_of(last) <= self._revision, "only what was asked for"
        self._new_from = last + b"\0"
        return True
