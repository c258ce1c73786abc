"""Keys: put, read, delete, transactions, watches (etcd api: KV, Watch)."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from roost.client.aio import keys as aio
from roost.client.blocking.stm import Stm
from roost.client.errors import Compacted
from roost.client.shapes import ATTEMPTS_MAX, PAGE_KEYS, Change, Data, Item, Page
from roost.client.transactions import Comparison, Operation, TxnAnswer
from roost.faces import Face
from roost.proto import rpc_pb2

Result = TypeVar("Result")


class Keys(Face):
    """The keys of a cluster, or of a part of it; keys and values are bytes, or text as UTF-8.

    What changes something is sent once, and tried again only when it certainly has not happened;
    with `is_repeatable` it is sent again when no answer came, so it may happen twice.

    """

    _inner: aio.Keys

    def put(
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
        return self._loop.call(
            self._inner.put(
                key,
                value,
                lease=lease,
                keeps_value=keeps_value,
                keeps_lease=keeps_lease,
                is_repeatable=is_repeatable,
            )
        )

    def replace(self, key: Data, value: Data, *, lease: int = 0) -> Item | None:
        """Set a key; return what was there before, None when nothing was.  Raises as `put`."""
        return self._loop.call(self._inner.replace(key, value, lease=lease))

    def get(self, key: Data, *, revision: int = 0, serializable: bool = False) -> Item | None:
        """A key, linearizably, or as of a revision; None when there is none.

        With `serializable` the member that is asked says what it has, which may be old.

        """
        return self._loop.call(self._inner.get(key, revision=revision, serializable=serializable))

    def range(
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
        return self._loop.call(
            self._inner.range(
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
        )

    def ask_range(
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
        return self._loop.call(
            self._inner.ask_range(
                key,
                range_end,
                prefix=prefix,
                limit=limit,
                revision=revision,
                serializable=serializable,
                keys_only=keys_only,
                count_only=count_only,
                sort_by=sort_by,
                descending=descending,
            )
        )

    def pages(
        self,
        key: Data = b"",
        range_end: Data = b"",
        *,
        prefix: bool = False,
        revision: int = 0,
        keys_only: bool = False,
        page_keys: int = PAGE_KEYS,
    ) -> Generator[Page, None, None]:
        """A range of any size, in pages that are all of one revision, in the order of the keys.

        Raises:
            Compacted: the revision was forgotten while we were on our way.
            Unreachable: no endpoint has answered.

        """
        return self._loop.iterate(
            self._inner.pages(
                key,
                range_end,
                prefix=prefix,
                revision=revision,
                keys_only=keys_only,
                page_keys=page_keys,
            )
        )

    def items(
        self,
        key: Data = b"",
        range_end: Data = b"",
        *,
        prefix: bool = False,
        revision: int = 0,
        keys_only: bool = False,
        page_keys: int = PAGE_KEYS,
    ) -> Generator[Item, None, None]:
        """The keys of a range of any size, one after the other, as of one revision; see `pages`."""
        return self._loop.iterate(
            self._inner.items(
                key,
                range_end,
                prefix=prefix,
                revision=revision,
                keys_only=keys_only,
                page_keys=page_keys,
            )
        )

    def count(self, key: Data, range_end: Data = b"", *, prefix: bool = False) -> int:
        """How many keys are in a range."""
        return self._loop.call(self._inner.count(key, range_end, prefix=prefix))

    def delete(
        self, key: Data, range_end: Data = b"", *, prefix: bool = False, is_repeatable: bool = False
    ) -> int:
        """Delete a key or range; return how many were there.  Raises as `put`."""
        return self._loop.call(
            self._inner.delete(key, range_end, prefix=prefix, is_repeatable=is_repeatable)
        )

    def remove(self, key: Data, range_end: Data = b"", *, prefix: bool = False) -> list[Item]:
        """Delete a key or range; return what was there.  Raises as `put`."""
        return self._loop.call(self._inner.remove(key, range_end, prefix=prefix))

    def txn(
        self,
        *,
        when: Sequence[Comparison] = (),
        then: Sequence[Operation] = (),
        otherwise: Sequence[Operation] = (),
        is_repeatable: bool = False,
    ) -> TxnAnswer:
        """Do `then` at one moment if all of `when` holds, else `otherwise`.  Raises as `put`."""
        return self._loop.call(
            self._inner.txn(when=when, then=then, otherwise=otherwise, is_repeatable=is_repeatable)
        )

    def ask_txn(
        self, request: rpc_pb2.TxnRequest, *, is_repeatable: bool = False
    ) -> rpc_pb2.TxnResponse:
        """Run a transaction in etcd's own form.  Raises as `put`."""
        return self._loop.call(self._inner.ask_txn(request, is_repeatable=is_repeatable))

    def compact(self, revision: int) -> None:
        """Forget the history before a revision.

        Raises:
            Compacted: it was forgotten before.
            RequestRefused: there is no such revision yet.

        """
        self._loop.call(self._inner.compact(revision))

    def stm(self, change: Callable[[Stm], Result], *, attempts_max: int = ATTEMPTS_MAX) -> Result:
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
                result = change(transaction)
            except Compacted:
                transaction.again()
                continue
            if transaction.commit():
                return result
            transaction.again()

    def begin(self, *, attempts_max: int = ATTEMPTS_MAX) -> Stm:
        """A transaction to be committed by hand; `stm` does it, and tries again."""
        return Stm._of(self._inner.begin(attempts_max=attempts_max), self._loop)

    def watch(
        self,
        key: Data = b"",
        range_end: Data = b"",
        *,
        prefix: bool = False,
        since: int = 0,
        before: bool = False,
    ) -> Generator[Change, None, None]:
        """Yield every change of a key or range, of everything without a key, for ever.

        It begins at the revision `since`, which is still said; 0 is from now on.  It goes on at
        another endpoint when its own is gone, without a gap or a duplicate.  With `before` each
        change says what was there.

        Raises:
            Compacted: the revisions asked for, or missed meanwhile, are forgotten.
            ClientError: it was refused, or no endpoint has answered for `patience_s`.

        """
        return self._loop.iterate(
            self._inner.watch(key, range_end, prefix=prefix, since=since, before=before)
        )

    def watch_revisions(
        self,
        key: Data = b"",
        range_end: Data = b"",
        *,
        prefix: bool = False,
        since: int = 0,
        before: bool = False,
    ) -> Generator[list[Change], None, None]:
        """As `watch`, in lists that hold whole revisions: what changed at one is in one of them."""
        return self._loop.iterate(
            self._inner.watch_revisions(key, range_end, prefix=prefix, since=since, before=before)
        )

    def follow(
        self, key: Data = b"", range_end: Data = b"", *, prefix: bool = False
    ) -> Generator[Change, None, None]:
        """Yield what is in a range, as if it were put now, and then every change of it, for ever.

        Where `watch` would end because what it missed is compacted, this reads the range again,
        and yields what differs from what it has yielded: some changes may be left out then, and
        the last state of each key never is.  It remembers the revision of each key that is there.

        Raises:
            ClientError: it was refused, or no endpoint has answered for `patience_s`.

        """
        return self._loop.iterate(self._inner.follow(key, range_end, prefix=prefix))
