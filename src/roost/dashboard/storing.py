"""What a member keeps, as the page shows it: its trees and their rows, its state, its backups.

All of it is root's: whoever sees it has all data.  Trees and rows come in pages; keys and bytes are
counted by a process of its own, when somebody asks for it.  Of what takes long, saving a backup and
verifying one, there is one at a time, whose `Job` says how far it is.
"""

from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple, Protocol
from urllib.parse import parse_qsl

import msgspec

from roost.errors import CallerFault
from roost.exchange import Request

# Of a page that says nothing of how much it wants.
LIMIT = 100


class BadQuestion(CallerFault):
    """What stands behind the question mark is not what is asked for there."""


class Scrub(msgspec.Struct, frozen=True, kw_only=True):
    """What was found when all of the store was read last, up to the entry at `index`."""

    record_count: int
    index: int
    took_s: float
    fault: str


class Derived(msgspec.Struct, frozen=True, kw_only=True):
    """A tree that this member derives; `share` of its source was looked at, 1 = all."""

    name: str
    source: str
    version: int
    share: float
    waiting_count: int
    error: str


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What takes long and is being done: how far it is, in units of its own, and since when.

    `kind` is defragmentation or compaction; `share` is from 0 to 1.
    """

    kind: str
    phase: str
    share: float
    done_count: int
    unit: str
    seconds: float


class StorageState(msgspec.Struct, frozen=True, kw_only=True):
    """What a member says of its store.

    `digest` is that of what is durable, in hexadecimal; `corrupt` are ids of members whose state
    was found to differ; `scrub` is null as long as nothing was read over.
    """

    applied_index: int
    digest: str
    corrupt: Sequence[str]
    scrub: Scrub | None
    derived: Sequence[Derived]
    works: Sequence[Work]


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """What a tree is said to hold; without types it is the database's own, or a data model's."""

    name: str
    keys: str
    values: str
    purpose: str


class TreePage(msgspec.Struct, frozen=True, kw_only=True):
    """Trees by name; there are more behind `after`, if that is not empty."""

    trees: Sequence[Tree]
    after: str


class TreeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row as text, cut where it is long; `key_bytes` and `value_bytes` are its own lengths."""

    key: str
    value: str
    key_bytes: int
    value_bytes: int


class RowPage(msgspec.Struct, frozen=True, kw_only=True):
    """Rows in the order of their keys; there are more from `rest` on, if that is not empty."""

    tree: str
    rows: Sequence[TreeRow]
    rest: str


class RowsWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a tree, from a key on, which is said in hexadecimal digits; none = the first."""

    tree: str
    first: str = msgspec.field(default="", name="from")
    limit: Annotated[int, msgspec.Meta(ge=1)] = LIMIT


class TreeCount(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a tree: keys, bytes of keys and values, and pages that they fill in order."""

    name: str
    key_count: int
    content_bytes: int
    page_count: int
    purpose: str


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """All trees of the file, which holds everything up to the entry at `index`."""

    index: int
    trees: Sequence[TreeCount]


class KeptBackup(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that is there."""

    name: str
    size_bytes: int
    at_s: float


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is being done for backups, or was done last; `seconds` is for how long.

    `kind` is empty, save or verify; of one that is over `fault` says why it failed, else `said`
    what came of it.
    """

    kind: str = ""
    name: str = ""
    phase: str = ""
    done_bytes: int = 0
    total_bytes: int = 0
    seconds: float = 0.0
    is_over: bool = True
    said: str = ""
    fault: str = ""


class BackupState(msgspec.Struct, frozen=True, kw_only=True):
    """Where this member keeps backups, how often it saves one, and what is there, newest first.

    `place` is empty when --backup-dir is not set: then none are saved, and none can be.
    `full_interval_s` is how often one is full, 0 = always; `keep_count` is of full ones.
    """

    place: str
    interval_s: float
    full_interval_s: float
    keep_count: int
    backups: Sequence[KeptBackup]
    is_cut: bool
    job: Job

    @classmethod
    def of_none(cls, job: Job) -> "BackupState":
        """Where none are kept."""
        return cls(
            place="",
            interval_s=0,
            full_interval_s=0,
            keep_count=0,
            backups=(),
            is_cut=False,
            job=job,
        )


class BackupNamed(msgspec.Struct, frozen=True):
    """A backup of those that are there."""

    name: str


class File(NamedTuple):
    """A file that is sent: how it is to be called, its size, and its pieces."""

    name: str
    size_bytes: int
    pieces: AsyncIterable[bytes]
    close: Callable[[], None]


class Storage(Protocol):
    """A member's store, as it is asked."""

    def state(self) -> StorageState:
        """What it says of itself now."""

    def trees(self, after: str, limit: int) -> TreePage:
        """Trees by name, behind a name."""

    def rows(self, tree: str, first: bytes, limit: int) -> RowPage:
        """A page of a tree, from a key on; what it has no room for comes on the next.

        Raises:
            CallerFault: there is no such tree.

        """

    async def count(self) -> Counts:
        """Walk over everything.

        Raises:
            Overloaded: somebody has it counted already.
            RoostError: it could not be read.

        """


class Backups(Protocol):
    """A member's backups, as they are asked for."""

    async def look(self) -> BackupState:
        """What is there.

        Raises:
            RoostError: the directory cannot be read.

        """

    def job(self) -> Job:
        """What is being done, or was done last."""

    def begin_save(self) -> Job:
        """Begin to save one.

        Raises:
            Overloaded: something is being done.
            CallerFault: there is no place for it.

        """

    def begin_verify(self, name: str) -> Job:
        """Begin to read all of one, and compare its digest; raises as `begin_save`."""

    async def kept(self, name: str) -> File:
        """A backup that is there.

        Raises:
            RoostError: it is not, or as many are being sent as can be.

        """

    async def whole(self) -> File:
        """A backup of now, which is kept nowhere; raises as `kept`."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What stands behind the question mark of a request."""

    given: Mapping[str, str]

    def text(self, name: str) -> str:
        """A text; empty = it is not there."""
        return self.given.get(name, "")

    def count(self, name: str, otherwise: int) -> int:
        """A positive number.

        Raises:
            BadQuestion: it is none.

        """
        said = self.given.get(name, "")
        if not said:
            return otherwise
        if not (said.isascii() and said.isdigit() and len(said) < 10 and int(said)):
            raise BadQuestion(f"{name} is to be a number from 1 on, and is {said[:40]!r}")
        return int(said)

    def key(self, name: str) -> bytes:
        """Bytes, said in hexadecimal digits.

        Raises:
            BadQuestion: it is none.

        """
        return key_of(name, self.given.get(name, ""))


def key_of(name: str, said: str) -> bytes:
    """Bytes, said in hexadecimal digits.

    Raises:
        BadQuestion: it is none.

    """
    try:
        return bytes.fromhex(said)
    except ValueError as error:
        raise BadQuestion(f"{name} is to be hexadecimal digits: {error}") from error


def asked(request: Request) -> Asked:
    """What a request says behind its question mark; of what is said twice, the last.

    Raises:
        BadQuestion: it is no query.

    """
    try:
        pairs = parse_qsl(
            request.query.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=16,
            errors="strict",
        )
    except ValueError as error:
        raise BadQuestion(f"what is asked cannot be read: {error}") from error
    return Asked(dict(pairs))
