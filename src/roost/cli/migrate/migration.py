"""A migration: the target becomes what the source is, and stays it until clients go there.

There are two ways, and both ends are compared to choose between them:

* The target was made of the source, by `roost import` of a snapshot: at its revision it has what
  the source had at that one, to the byte.  Then each revision of the source is one transaction
  there, and revisions, versions and leases stay the same: watches and caches may go on with them.
* Else values and leases of keys are made alike, and what differs is written.  Revisions are the
  target's own then, and it may have no other keys unless they are to be deleted.

A write is repeated when it is not known whether it happened: that changes nothing where values are
made alike, and where revisions are kept the target's own revision says whether it did.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from queue import Empty, Queue
from typing import TypeVar

from roost.cli.migrate.contents import ALL, Comparing, Difference, Digest, digest_of
from roost.cli.migrate.leases import Leases
from roost.cli.shared import text_of
from roost.client import (
    Change,
    Client,
    ClientError,
    Delete,
    OutcomeUnknown,
    Put,
    RequestRefused,
)
from roost.errors import CallerFault
from roost.faces import Closed

# What a transaction of etcd's, and of ours, may hold by default; requests are 1.5 MiB at most.
OPERATIONS_MAX, BYTES_MAX = 128, 1 << 20
_Item = TypeVar("_Item")
# Answers of the watch that are read ahead.
_AHEAD_MAX = 64
_Group = list[Change]
_Write = Put | Delete


class NotOurs(CallerFault):
    """The target has keys that the source does not have."""


class NotAlike(CallerFault):
    """What was compared in the end differs: somebody else writes to the target."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far it is: everything up to `source_revision` of `source_now` is at the target."""

    source_revision: int
    source_now: int
    target_revision: int
    keeps_revisions: bool
    written_count: int
    lease_count: int

    @property
    def is_caught_up(self) -> bool:
        """Whether nothing was left when the source was asked."""
        return self.source_revision >= self.source_now


class Migration:
    """One migration; one thread carries it out."""

    def __init__(self, source: Client, target: Client, *, deletes_others: bool = False) -> None:
        """Nothing is read or written yet."""
        self._source, self._target = source, target
        self._deletes_others = deletes_others
        self.leases = Leases(source, target)
        self.source_revision = 0
        self.target_revision = 0
        self.keeps_revisions = False
        self.written_count = 0
        self._watch: _Watch | None = None
        # What was told by the source and is not written yet, whole revisions.
        self._pending: deque[_Group] = deque()

    def standing(self) -> Standing:
        """How far it is, asking the source where that is now.

        Raises:
            ClientError: no endpoint answered.

        """
        return Standing(
            source_revision=self.source_revision,
            source_now=_revision_of(self._source),
            target_revision=self.target_revision,
            keeps_revisions=self.keeps_revisions,
            written_count=self.written_count,
            lease_count=self.leases.count,
        )

    def target_now(self) -> int:
        """The revision of the target, whoever wrote it.

        Raises:
            ClientError: no endpoint answered.

        """
        return _revision_of(self._target)

    def resume(self, source_revision: int, target_revision: int, *, keeps_revisions: bool) -> None:
        """Go on where a migration was: that is known."""
        self.source_revision, self.target_revision = source_revision, target_revision
        self.keeps_revisions = keeps_revisions

    def is_made_of_source(self) -> bool:
        """Look whether the target has what the source had at the target's revision; then go on so.

        Raises:
            ClientError: no endpoint answered.

        """
        revision = self.target_now()
        try:
            ours = digest_of(self._source, revision, has_revisions=True)
        except RequestRefused:
            return False  # the source has forgotten that revision, or has not come to it
        if not ours.key_count:
            return False
        theirs = digest_of(self._target, 0, has_revisions=True)
        if theirs.digest != ours.digest or theirs.revision != revision:
            return False
        self.resume(revision, revision, keeps_revisions=True)
        return True

    def make_alike(self) -> int:
        """Write what differs, key by key; say how many keys the source has.

        Raises:
            NotOurs: the target has other keys, and they are not to be deleted.
            Compacted: the source has forgotten what it was read at; begin anew.
            ClientError: no endpoint answered.

        """
        self.keeps_revisions = False
        comparing = Comparing(self._source, self._target)
        for batch in _split(comparing.differences(), _bytes_of_difference):
            operations: list[_Write] = []
            for it in batch:
                if it.wanted is not None:
                    lease = self.leases.wanted(it.wanted.lease)
                    operations.append(Put(it.key, it.wanted.value, lease))
                elif self._deletes_others or self.source_revision:
                    operations.append(Delete(it.key))
                else:
                    raise NotOurs(
                        f"the target has keys that the source does not have, as {text_of(it.key)}: "
                        "choose an empty one, say --delete-others, or go on with the --state of "
                        "the migration that was"
                    )
            self._write(operations)
        self.source_revision = comparing.revision
        return comparing.key_count

    def follow(self, wait_s: float) -> bool:
        """Carry over what comes within `wait_s`; whether something came.

        Raises:
            Compacted: the source has forgotten where we are.
            ClientError: an endpoint does not answer.

        """
        if not self._pending:
            if self._watch is None:
                self._watch = _Watch(self._source, self.source_revision + 1)
            try:
                changes = self._watch.take(wait_s)
            except ClientError:
                self._watch = None  # its thread has ended
                raise
            self._pending.extend(list(it) for _, it in groupby(changes, key=attrgetter("revision")))
        has_come = bool(self._pending)
        while self._pending:
            if self.keeps_revisions:
                self._carry_one(self._pending[0])
                count = 1
            else:
                count = _fitting(self._pending)
                groups = [self._pending[it] for it in range(count)]
                for part in _split(self._operations(groups), _bytes_of_write):
                    self._write(part)
            for _ in range(count):
                # What was not written for certain stays, and is written again.
                self.source_revision = self._pending.popleft()[-1].revision
        return has_come

    def begin_again(self) -> None:
        """Forget what was read ahead: both ends are to be compared."""
        self._watch = None
        self._pending.clear()

    def _carry_one(self, group: _Group) -> None:
        """One revision of the source as one of the target's."""
        revision = group[-1].revision
        if self.target_revision < revision:
            operations = self._operations([group])
            if len(operations) > OPERATIONS_MAX:
                operations = self._as_range(group) or operations
            for first in range(0, len(operations), OPERATIONS_MAX):
                self._write(operations[first : first + OPERATIONS_MAX])
        self.keeps_revisions = self.target_revision == revision

    def _as_range(self, group: _Group) -> list[_Write]:
        """Many deletions as one of a range, where that has no other keys; else nothing."""
        if not all(it.is_delete for it in group):
            return []
        keys = sorted(it.key for it in group)
        stop = keys[-1] + b"\0"
        is_all = self._target.count(keys[0], stop) == len(keys)
        return [Delete(keys[0], stop)] if is_all else []

    def _operations(self, groups: list[_Group]) -> list[_Write]:
        """What makes the target what the source is behind these; each key is written once."""
        last = {change.key: change for group in groups for change in group}
        return [
            Delete(it.key)
            if it.is_delete
            else Put(it.key, it.value, self.leases.wanted(it.item.lease))
            for it in last.values()
        ]

    def _write(self, operations: Sequence[_Write]) -> None:
        """Write, once for certain.

        Raises:
            ClientError: it is not known whether it was written.

        """
        if not operations:
            return
        try:
            said = self._target.txn(then=operations)
        except OutcomeUnknown:
            now = self.target_now()
            if not self.keeps_revisions or now != self.target_revision + 1:
                raise
            self.target_revision = now
        else:
            self.target_revision = said.revision
        self.written_count += len(operations)

    def verify(self) -> tuple[Digest, Digest]:
        """Hash both ends as of what was carried over: the source's, and the target's.

        Raises:
            Compacted: the source has forgotten it; carry on, and verify again.
            NotAlike: they differ.
            ClientError: no endpoint answered.

        """
        has_revisions = self.keeps_revisions
        ours = digest_of(
            self._source,
            self.source_revision,
            has_revisions=has_revisions,
            lease_of=(lambda it: it) if has_revisions else self.leases.wanted,
        )
        theirs = digest_of(self._target, self.target_revision, has_revisions=has_revisions)
        if ours.digest != theirs.digest:
            raise NotAlike(
                f"the source has {ours.key_count} keys at revision {ours.revision}, sha256 "
                f"{ours.digest}, the target {theirs.key_count}, sha256 {theirs.digest}: does "
                "somebody write to the target?  Run it again without --state to compare key by key"
            )
        return ours, theirs


class _Watch:
    """Reads the source's watch ahead, on a thread that ends with the watch or with the process."""

    def __init__(self, source: Client, since: int) -> None:
        self._queue: Queue[list[Change] | ClientError] = Queue(_AHEAD_MAX)
        self._source, self._since = source, since
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            for changes in self._source.watch_revisions(ALL, ALL, since=self._since):
                self._queue.put(changes)
        except ClientError as error:
            self._queue.put(error)
        except Closed:
            return  # nobody follows any more

    def take(self, wait_s: float) -> list[Change]:
        """What has come, in whole revisions; nothing when nothing does in time."""
        found: list[Change] = []
        while len(found) < OPERATIONS_MAX:
            try:
                said = self._queue.get(timeout=wait_s if not found else 0.001)
            except Empty:
                break
            if isinstance(said, ClientError):
                if found:
                    self._queue.put(said)
                    break
                raise said
            found += said
        return found


def _revision_of(client: Client) -> int:
    return client.ask_range(ALL, count_only=True).header.revision


def _fitting(groups: Iterable[_Group]) -> int:
    """How many revisions go into one transaction: one at least."""
    count = size = changes = 0
    for group in groups:
        changes += len(group)
        size += sum(len(it.key) + len(it.value) for it in group)
        if count and (changes > OPERATIONS_MAX or size > BYTES_MAX):
            break
        count += 1
    return count


def _split(items: Iterable[_Item], bytes_of: Callable[[_Item], int]) -> Iterator[list[_Item]]:
    """What fits into one transaction, part after part."""
    part: list[_Item] = []
    size = 0
    for it in items:
        added = bytes_of(it)
        if part and (len(part) == OPERATIONS_MAX or size + added > BYTES_MAX):
            yield part
            part, size = [], 0
        part.append(it)
        size += added
    if part:
        yield part


def _bytes_of_difference(it: Difference) -> int:
    return len(it.key) + (0 if it.wanted is None else len(it.wanted.value))


def _bytes_of_write(it: _Write) -> int:
    return len(it.key) + (len(it.value) if isinstance(it, Put) else 0)
