"""Optimistic transactions: what was read is remembered, and must not have changed at the commit.

All reads are of one revision, that of the first, so they are of one state.  Writes are kept until
the commit, and seen by later reads.  The commit is one transaction of the cluster: every key that
was read has the revision that was seen, no key of a range that was read is younger, and then all
is written.  So what is committed happened at one moment, as if nobody else had been there
(serializable, and what was read is still so when it is written).

A transaction that wrote nothing has seen one state, and is not compared with what is now.
"""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from roost.client.aio import stm as aio
from roost.client.shapes import Data
from roost.faces import Face


class Stm(Face):
    """One transaction; `commit` says whether it happened, and `again` begins anew."""

    _inner: aio.Stm

    def get(self, key: Data) -> bytes | None:
        """The value of a key, as this transaction has left it; None when there is none.

        Raises:
            Compacted: the state that the first read saw is forgotten; `Client.stm` begins anew.
            ClientError: it cannot be read.

        """
        return self._loop.call(self._inner.get(key))

    def range(
        self, key: Data, range_end: Data = b"", *, prefix: bool = False
    ) -> dict[bytes, bytes]:
        """Keys and values of a range, in the order of the keys, as this transaction has left them.

        A key that another writer puts into the range meanwhile counts as a change of it.

        """
        return self._loop.call(self._inner.range(key, range_end, prefix=prefix))

    def put(self, key: Data, value: Data, *, lease: int = 0) -> None:
        """Set a key, when it is committed."""
        self._inner.put(key, value, lease=lease)

    def delete(self, key: Data) -> None:
        """Delete a key, when it is committed; one that is not there stays so."""
        self._inner.delete(key)

    def commit(self) -> bool:
        """Write, if all that was read is still so; say whether it was.

        Raises:
            OutcomeUnknown: no answer came; it may have happened.
            TooLarge: it read or wrote more than members take in one transaction.
            ClientError: it was refused.

        """
        return self._loop.call(self._inner.commit())

    def again(self) -> None:
        """Forget what was read and written, and begin anew after a pause of random length.

        Raises:
            Contended: it was tried as often as it may be.

        """
        self._loop.call(self._inner.again())
