"""Keys: put, read, delete, transactions, watches (etcd api: KV, Watch)."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

from roost.client.aio.stm import Stm
from roost.client.connections import Caller
from roost.client.errors import Compacted
from roost.client.shapes import ATTEMPTS_MAX, PAGE_KEYS, Change, Data, Item, Page, Span, bytes_of
from roost.client.transactions import Comparison, Operation, Txn, TxnAnswer
from roost.client.watches import Watched, watch
from roost.faces import translated
from roost.proto import rpc_pb2

_KV = "/etcdserverpb.KV/"
_NONE, _DESCEND = rpc_pb2.RangeRequest.NONE, rpc_pb2.RangeRequest.DESCEND
Result = TypeVar("Result")


class Keys:
    """The keys of a cluster, or of a part of it; keys and values are bytes, or text as UTF-8.

    What changes something is sent once, and tried again only when it certainly has not happened;
    with `is_repeatable` it is sent again when no answer came, so it may happen twice.
    """

    _caller: Caller
    _patience_s: float

    async def put(
        self,
        key: Data,
        value: Data,
        *,
        lease: int = 0,
        keeps_value: bool = False,
        keeps_lease: bool = False,
        is_repeatable: bool = False,
    ) -> int:
        """Set a key; return the revision.

        With `keeps_value` or `keeps_lease` the key must be there, and keeps what it has.

        Raises:
            OutcomeUnknown: no answer came; it may have happened.
            Unreachable, Busy: it has not happened.
            RequestRefused: the cluster said no.

        """
        request = rpc_pb2.PutRequest(
            key=bytes_of(key),
            value=bytes_of(value),
            lease=lease,
            ignore_value=keeps_value,
            ignore_lease=keeps_lease,
        )
        said = await self._caller.call(
            _KV + "Put", request, rpc_pb2.PutResponse, is_repeatable=is_repeatable
        )
        return said.header.revision

    async def replace(self, key: Data, value: Data, *, lease: int = 0) -> Item | None:
        """Set a key; return what was there before, None when nothing was.  Raises as `put`."""
        request = rpc_pb2.PutRequest(
            key=bytes_of(key), value=bytes_of(value), lease=lease, prev_kv=True
        )
        said = await self._caller.call(_KV + "Put", request, rpc_pb2.PutResponse)
        return Item.of(said.prev_kv) if said.HasField("prev_kv") else None

    async def get(self, key: Data, *, revision: int = 0, serializable: bool = False) -> Item | None:
        """A key, linearizably, or as of a revision; None when there is none.

        With `serializable` the member that is asked says what it has, which may be old.
        """
        found = await self.range(key, revision=revision, serializable=serializable)
        return found[0] if found else None

    async def range(
        self,
        key: Data,
        range_end: Data = b"",
        *,
        prefix: bool = False,
        limit: int = 0,
        revision: int = 0,
        serializable: bool = False,
        keys_only: bool = False,
        sort_by: str = "key",
        descending: bool = False,
    ) -> list[Item]:
        """The keys of a range in one answer; `sort_by` is key, version, create, mod or value.

        Raises:
            Compacted: the revision is forgotten.
            Unreachable: no endpoint has answered.

        """
        answer = await self.ask_range(
            key,
            range_end,
            prefix=prefix,
            limit=limit,
            revision=revision,
            serializable=serializable,
            keys_only=keys_only,
            sort_by=sort_by,
            descending=descending,
        )
        return [Item.of(kv) for kv in answer.kvs]

    async def ask_range(
        self,
        key: Data,
        range_end: Data = b"",
        *,
        prefix: bool = False,
        limit: int = 0,
        revision: int = 0,
        serializable: bool = False,
        keys_only: bool = False,
        count_only: bool = False,
        sort_by: str = "key",
        descending: bool = False,
    ) -> rpc_pb2.RangeResponse:
        """The keys of a range in etcd's own form; raises as `range`."""
        span = Span.of(key, range_end, prefix=prefix)
        request = rpc_pb2.RangeRequest(
            key=span.key,
            range_end=span.range_end,
            limit=limit,
            revision=revision,
            serializable=serializable,
            keys_only=keys_only,
            count_only=count_only,
            sort_target=sort_by.upper(),
            sort_order=_DESCEND if descending else _NONE,
        )
        return await self._caller.call(_KV + "Range", request, rpc_pb2.RangeResponse)

    async def pages(
        self,
        key: Data = b"",
        range_end: Data = b"",
        *,
        prefix: bool = False,
        revision: int = 0,
        keys_only: bool = False,
        page_keys: int = PAGE_KEYS,
    ) -> AsyncGenerator[Page, None]:
        """A range of any size, in pages that are all of one revision, in the order of the keys.

        Raises:
            Compacted: the revision was forgotten while we were on our way.
            Unreachable: no endpoint has answered.

        """
        span = Span.of(key, range_end, prefix=prefix or not key)
        first = span.key
        while True:
            answer = await self.ask_range(
                first, span.range_end, limit=page_keys, revision=revision, keys_only=keys_only
            )
            page = Page.of(answer, revision)
            revision = page.revision
            yield page
            if not page.has_more:
                return
            first = page.items[-1].key + b"\0"

    async def items(
        self,
        key: Data = b"",
        range_end: Data = b"",
        *,
        prefix: bool = False,
        revision: int = 0,
        keys_only: bool = False,
        page_keys: int = PAGE_KEYS,
    ) -> AsyncGenerator[Item, None]:
        """The keys of a range of any size, one after the other, as of one revision; see `pages`."""
        pages = self.pages(
            key,
            range_end,
            prefix=prefix,
            revision=revision,
            keys_only=keys_only,
            page_keys=page_keys,
        )
        async with aclosing(pages):
            async for page in pages:
                for item in page.items:
                    yield item

    async def count(self, key: Data, range_end: Data = b"", *, prefix: bool = False) -> int:
        """How many keys are in a range."""
        answer = await self.ask_range(key, range_end, prefix=prefix, count_only=True)
        return answer.count

    async def delete(
        self,
        key: Data,
        range_end: Data = b"",
        *,
        prefix: bool = False,
        is_repeatable: bool = False,
    ) -> int:
        """Delete a key or range; return how many were there.  Raises as `put`."""
        span = Span.of(key, range_end, prefix=prefix)
        request = rpc_pb2.DeleteRangeRequest(key=span.key, range_end=span.range_end)
        said = await self._caller.call(
            _KV + "DeleteRange", request, rpc_pb2.DeleteRangeResponse, is_repeatable=is_repeatable
        )
        return said.deleted

    async def remove(self, key: Data, range_end: Data = b"", *, prefix: bool = False) -> list[Item]:
        """Delete a key or range; return what was there.  Raises as `put`."""
        span = Span.of(key, range_end, prefix=prefix)
        request = rpc_pb2.DeleteRangeRequest(key=span.key, range_end=span.range_end, prev_kv=True)
        said = await self._caller.call(_KV + "DeleteRange", request, rpc_pb2.DeleteRangeResponse)
        return [Item.of(it) for it in said.prev_kvs]

    async def txn(
        self,
        *,
        when: Sequence[Comparison] = (),
        then: Sequence[Operation] = (),
        otherwise: Sequence[Operation] = (),
        is_repeatable: bool = False,
    ) -> TxnAnswer:
        """Do `then` at one moment if all of `when` holds, else `otherwise`.  Raises as `put`."""
        request = Txn(when, then, otherwise).request()
        return TxnAnswer.of(await self.ask_txn(request, is_repeatable=is_repeatable))

    async def ask_txn(
        self, request: rpc_pb2.TxnRequest, *, is_repeatable: bool = False
    ) -> rpc_pb2.TxnResponse:
        """Run a transaction in etcd's own form.  Raises as `put`."""
        return await self._caller.call(
            _KV + "Txn", request, rpc_pb2.TxnResponse, is_repeatable=is_repeatable
        )

    async def compact(self, revision: int) -> None:
        """Forget the history before a revision.

        Raises:
            Compacted: it was forgotten before.
            RequestRefused: there is no such revision yet.

        """
        request = rpc_pb2.CompactionRequest(revision=revision)
        await self._caller.call(_KV + "Compact", request, rpc_pb2.CompactionResponse)

    @translated
    async def stm(
        self,
        change: Callable[[Stm], Awaitable[Result]],
        *,
        attempts_max: int = ATTEMPTS_MAX,
    ) -> Result:
        """Run `change` until what it read has not changed when what it wrote is committed.

        It reads and writes by the `Stm` it is given, and by nothing else that counts: it may run
        many times.  Returned is what its last run returned; what it raises ends the transaction,
        and nothing is written.

        Raises:
            Contended: others were faster, `attempts_max` times.
            OutcomeUnknown: no answer came to the commit; it may have happened.
            ClientError: it was refused, or could not be read or sent.

        """
        transaction = self.begin(attempts_max=attempts_max)
        while True:
            try:
                result = await change(transaction)
            except Compacted:
                await transaction.again()
                continue
            if await transaction.commit():
                return result
            await transaction.again()

    def begin(self, *, attempts_max: int = ATTEMPTS_MAX) -> Stm:
        """A transaction to be committed by hand; `stm` does it, and tries again."""
        return Stm(self._caller, attempts_max)

    async def watch(
        self,
        key: Data = b"",
        range_end: Data = b"",
        *,
        prefix: bool = False,
        since: int = 0,
        before: bool = False,
    ) -> AsyncGenerator[Change, None]:
        """Yield every change of a key or range, of everything without a key, for ever.

        It begins at the revision `since`, which is still said; 0 is from now on.  It goes on at
        another endpoint when its own is gone, without a gap or a duplicate.  With `before` each
        change says what was there.

        Raises:
            Compacted: the revisions asked for, or missed meanwhile, are forgotten.
            ClientError: it was refused, or no endpoint has answered for `patience_s`.

        """
        answers = self.watch_revisions(key, range_end, prefix=prefix, since=since, before=before)
        async with aclosing(answers):
            async for changes in answers:
                for change in changes:
                    yield change

    async def watch_revisions(
        self,
        key: Data = b"",
        range_end: Data = b"",
        *,
        prefix: bool = False,
        since: int = 0,
        before: bool = False,
    ) -> AsyncGenerator[list[Change], None]:
        """As `watch`, in lists that hold whole revisions: what changed at one is in one of them."""
        span = Span.of(key, range_end, prefix=prefix or not key)
        watched = Watched(span=span, since=since, before=before)
        answers = watch(self._caller, watched, self._patience_s)
        async with aclosing(answers):
            async for events in answers:
                yield [Change.of(event) for event in events]

    async def follow(
        self, key: Data = b"", range_end: Data = b"", *, prefix: bool = False
    ) -> AsyncGenerator[Change, None]:
        """Yield what is in a range, as if it were put now, and then every change of it, for ever.

        Where `watch` would end because what it missed is compacted, this reads the range again,
        and yields what differs from what it has yielded: some changes may be left out then, and
        the last state of each key never is.  It remembers the revision of each key that is there.

        Raises:
            ClientError: it was refused, or no endpoint has answered for `patience_s`.

        """
        span = Span.of(key, range_end, prefix=prefix or not key)
        known: dict[bytes, int] = {}
        while True:
            try:
                changes = self._changes_since(span, known)
                async with aclosing(changes):
                    async for change in changes:
                        if change.is_delete:
                            known.pop(change.key, None)
                        else:
                            known[change.key] = change.revision
                        yield change
            except Compacted:
                continue  # what was missed is seen by reading

    async def _changes_since(
        self, span: Span, known: dict[bytes, int]
    ) -> AsyncGenerator[Change, None]:
        """What differs from what is known, and every change from then on."""
        found: set[bytes] = set()
        revision = 0
        async for page in self.pages(span.key, span.range_end):
            revision = page.revision
            for item in page.items:
                found.add(item.key)
                if known.get(item.key) != item.mod_revision:
                    yield Change(is_delete=False, item=item)
        for gone in sorted(known.keys() - found):
            yield Change(is_delete=True, item=Item(gone, b"", 0, revision, 0, 0))
        watched = Watched(span=span, since=revision + 1, insists=True)
        answers = watch(self._caller, watched, self._patience_s)
        async with aclosing(answers):
            async for events in answers:
                for event in events:
                    yield Change.of(event)
