"""Optimistic transactions: what was read is remembered, and must not have changed at the commit.

All reads are of one revision, that of the first, so they are of one state.  Writes are kept until
the commit, and seen by later reads.  The commit is one transaction of the cluster: every key that
was read has the revision that was seen, no key of a range that was read is younger, and then all
is written.  So what is committed happened at one moment, as if nobody else had been there
(serializable, and what was read is still so when it is written).

A transaction that wrote nothing has seen one state, and is not compared with what is now.
"""

import asyncio
from collections.abc import Sequence

from roost.client.backoff import Backoff
from roost.client.connections import Caller
from roost.client.errors import Contended
from roost.client.shapes import Data, Item, Span, bytes_of
from roost.proto import rpc_pb2

_RANGE, _TXN = "/etcdserverpb.KV/Range", "/etcdserverpb.KV/Txn"


class Stm:
    """One transaction; `commit` says whether it happened, and `again` begins anew."""

    def __init__(self, caller: Caller, attempts_max: int) -> None:
        self._caller = caller
        self._attempts_max = attempts_max
        self._attempts_count = 0
        self._backoff = Backoff(0.002, 0.25)
        self._revision = 0
        self._seen: dict[bytes, Item | None] = {}
        self._ranges: list[Span] = []
        self._writes: dict[bytes, rpc_pb2.RequestOp] = {}
        self._values: dict[bytes, bytes | None] = {}

    async def get(self, key: Data) -> bytes | None:
        """The value of a key, as this transaction has left it; None when there is none.

        Raises:
            Compacted: the state that the first read saw is forgotten; `Client.stm` begins anew.
            ClientError: it cannot be read.

        """
        name = bytes_of(key)
        if name in self._values:
            return self._values[name]
        if name not in self._seen:
            await self._read(Span(name, b""))
            self._seen.setdefault(name, None)
        seen = self._seen[name]
        return None if seen is None else seen.value

    async def range(
        self, key: Data, range_end: Data = b"", *, prefix: bool = False
    ) -> dict[bytes, bytes]:
        """Keys and values of a range, in the order of the keys, as this transaction has left them.

        A key that another writer puts into the range meanwhile counts as a change of it.
        """
        span = Span.of(key, range_end, prefix=prefix)
        found = {it.key: it.value for it in await self._read(span)}
        self._ranges.append(span)
        for name, value in self._values.items():
            if _holds(span, name):
                if value is None:
                    found.pop(name, None)
                else:
                    found[name] = value
        return dict(sorted(found.items()))

    async def _read(self, span: Span) -> Sequence[Item]:
        request = rpc_pb2.RangeRequest(
            key=span.key, range_end=span.range_end, revision=self._revision
        )
        said = await self._caller.call(_RANGE, request, rpc_pb2.RangeResponse)
        self._revision = self._revision or said.header.revision
        items = [Item.of(it) for it in said.kvs]
        self._seen.update((it.key, it) for it in items)
        return items

    def put(self, key: Data, value: Data, *, lease: int = 0) -> None:
        """Set a key, when it is committed."""
        name, data = bytes_of(key), bytes_of(value)
        put = rpc_pb2.PutRequest(key=name, value=data, lease=lease)
        self._writes[name] = rpc_pb2.RequestOp(request_put=put)
        self._values[name] = data

    def delete(self, key: Data) -> None:
        """Delete a key, when it is committed; one that is not there stays so."""
        name = bytes_of(key)
        delete = rpc_pb2.DeleteRangeRequest(key=name)
        self._writes[name] = rpc_pb2.RequestOp(request_delete_range=delete)
        self._values[name] = None

    async def commit(self) -> bool:
        """Write, if all that was read is still so; say whether it was.

        Raises:
            OutcomeUnknown: no answer came; it may have happened.
            TooLarge: it read or wrote more than members take in one transaction.
            ClientError: it was refused.

        """
        if not self._writes:
            return True
        request = rpc_pb2.TxnRequest(
            compare=[*self._unchanged(), *self._unjoined()], success=list(self._writes.values())
        )
        return (await self._caller.call(_TXN, request, rpc_pb2.TxnResponse)).succeeded

    def _unchanged(self) -> list[rpc_pb2.Compare]:
        """Each key that was read is as it was."""
        return [
            rpc_pb2.Compare(
                key=name,
                target=rpc_pb2.Compare.MOD,
                mod_revision=0 if item is None else item.mod_revision,
            )
            for name, item in self._seen.items()
        ]

    def _unjoined(self) -> list[rpc_pb2.Compare]:
        """No key of a range is younger than the state that was seen."""
        return [
            rpc_pb2.Compare(
                key=span.key,
                range_end=span.range_end,
                target=rpc_pb2.Compare.MOD,
                result=rpc_pb2.Compare.LESS,
                mod_revision=self._revision + 1,
            )
            for span in self._ranges
        ]

    async def again(self) -> None:
        """Forget what was read and written, and begin anew after a pause of random length.

        Raises:
            Contended: it was tried as often as it may be.

        """
        self._attempts_count += 1
        if self._attempts_count >= self._attempts_max:
            raise Contended(self._attempts_count)
        await asyncio.sleep(self._backoff.next_s())
        self._revision = 0
        for held in (self._seen, self._ranges, self._writes, self._values):
            held.clear()


def _holds(span: Span, name: bytes) -> bool:
    if not span.range_end:
        return name == span.key
    return span.key <= name and (span.range_end == b"\0" or name < span.range_end)
