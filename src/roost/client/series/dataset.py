"""Points that are no longer written, as a data set of Parquet that other engines read.

    room=1/month=2024-03/points.parquet     columns series (text), time (ns, UTC), value
    manifest.jsonl                          what was asked, and then a line for each file

A file is a month or a day of UTC, of all series with one value of a tag, where one is named by
`by`; rows are by series, and those of a series by time.  Folders are named as Hive does, which
DuckDB, Polars and Spark take for columns.

**Again.**  What was exported is told by its sums (`_Summary`), so an export that is repeated writes
what is new or has changed meanwhile: late points, corrections.  A change that leaves count, sum,
least, most, first and last number as they were is not seen.  One that was stopped goes on at the
file where it was: a file is there as a whole, and its line follows it.

**Less.**  A data set is to outlive what the store keeps, so a file that would have fewer rows than
it has stays, unless `mirrors`: then deletions are followed, and files whose points are gone go.

Limits: a window in which a series has no number (only NaN) is not seen.  One export at a time
writes into a folder.
"""

import fcntl
import hashlib
import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol
from urllib.parse import quote

import msgspec

from roost.client.series.errors import BadPoint
from roost.client.series.questions import Asked, changed

if TYPE_CHECKING:
    from roost.client.series.answers import Answer

MANIFEST = "manifest.jsonl"
FORMAT = "roost.series.dataset/1"
FILE = "points.parquet"
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
# Rows of a row group: what is held before it is written.
GROUP_ROWS = 1 << 17
# Of how many names one question is.
NAMES_PAGE = 50
_SUMS = ("count", "sum", "min", "max", "first", "last")


class Span(NamedTuple):
    """The time of a file: what its folder is called, its window, how its beginning is written."""

    folder: str
    window: str
    form: str


class Every(Enum):
    """How much time is in a file."""

    DAY = Span("day", "1d", "%Y-%m-%d")
    MONTH = Span("month", "1mo", "%Y-%m")


class State(Enum):
    """What came of one file."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """One file: what came of it, and which of how many it is."""

    path: str
    state: State
    rows: int
    place: int
    total: int


class Asking(Protocol):
    """What an export needs of a connection: `blocking.Connection`."""

    def fetch(self, asked: Asked) -> "Answer": ...

    def batches(self, asked: Asked) -> Generator[Any, None, None]: ...

    def listed(self, *, tag: str = "") -> list[dict[str, Any]]: ...


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a manifest: another question does not go into the same folder."""

    format: str
    names: list[str]
    tags: list[str]
    by: str
    every: str


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    """What a file has; a later line of a path counts, and one without rows says it is gone."""

    path: str
    by: str
    start: int
    stop: int
    rows: int
    series: int
    bytes: int
    summary: str
    written: str


@dataclass(slots=True)
class _Part:
    """What belongs into one file."""

    value: str
    start: int
    names: set[str] = field(default_factory=set)
    sums: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """What its numbers come to, as far as sums tell; the same in each order of adding."""
        return hashlib.sha256("\n".join(sorted(self.sums)).encode()).hexdigest()


def export(
    connection: Asking,
    root: str | Path,
    *names: str,
    tags: Iterable[str] = (),
    by: str = "",
    every: Every = Every.MONTH,
    until_ns: int,
    mirrors: bool = False,
) -> Iterator[Exported]:
    """Write what ends before `until_ns`; each file as it is done.

    Raises:
        BadPoint: the folder has an export of something else, or somebody writes to it.
        PackageMissing: pyarrow is not installed.
        ClientError: as `Question.fetch`.
        OSError: a file cannot be written.

    """
    head = _Head(format=FORMAT, names=[*names], tags=[*tags], by=by, every=every.value.folder)
    with _manifest(Path(root), head) as manifest:
        work = _Work(connection, Path(root), head, every, manifest)
        parts = work.parts(until_ns)
        total = len(parts) + (len(work.gone(parts)) if mirrors else 0)
        for place, part in enumerate(parts, 1):
            yield work.written(part, place, total, mirrors=mirrors)
        if mirrors:
            for place, path in enumerate(work.gone(parts), len(parts) + 1):
                yield work.removed(path, place, total)


class _Manifest:
    """Lines of files; locked as long as it is open."""

    def __init__(self, file: BinaryIO, rows: dict[str, _Row]) -> None:
        self._file = file
        self.rows = rows

    def add(self, row: _Row) -> None:
        """One more line, durable."""
        self._file.write(msgspec.json.encode(row) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.rows[row.path] = row


@contextmanager
def _manifest(root: Path, head: _Head) -> Iterator[_Manifest]:
    """The manifest of a folder, made when there is none."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / MANIFEST).open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BadPoint(f"{root}: another export writes there") from error
        file.seek(0)
        data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            file.truncate(len(whole))  # a line that was cut short: its file is written again
        lines = whole.splitlines()
        try:
            if lines and msgspec.json.decode(lines[0], type=_Head) != head:
                raise BadPoint(
                    f"{root} has an export of {lines[0].decode()}: say the same, or another folder"
                )
            rows = [msgspec.json.decode(it, type=_Row) for it in lines[1:]]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadPoint(f"{root / MANIFEST} is no manifest: {error}") from error
        if not lines:
            file.write(msgspec.json.encode(head) + b"\n")
        yield _Manifest(file, {it.path: it for it in rows})


class _Work:
    """One export."""

    def __init__(
        self, connection: Asking, root: Path, head: _Head, every: Every, manifest: _Manifest
    ) -> None:
        self._connection = connection
        self._root = root
        self._head = head
        self._every = every
        self._manifest = manifest

    def parts(self, until_ns: int) -> list[_Part]:
        """What belongs into files, by value and time."""
        found: dict[tuple[str, int], _Part] = {}
        listed = [] if self._is_asked and not self._head.by else self._listed()
        values = {it["name"]: _value(it, self._head.by) for it in listed}
        asked = {"width": self._every.value.window, "aggregates": _SUMS, "stop": str(until_ns)}
        for question in self._questions(self._head.tags, values):
            for table in self._connection.fetch(changed(question, asked)).tables:
                value = values.get(table.name, "")
                for start, *sums in zip(table.times, *table.columns.values(), strict=True):
                    if _stop(self._every, start) <= until_ns:
                        part = found.setdefault((value, start), _Part(value, start))
                        part.names.add(table.name)
                        part.sums.append(_text(table.name, sums))
        return [found[it] for it in sorted(found)]

    @property
    def _is_asked(self) -> bool:
        return bool(self._head.names or self._head.tags)

    def _listed(self) -> list[dict[str, Any]]:
        tag = self._head.tags[0] if self._head.tags else ""
        return self._connection.listed(tag=tag)

    def _questions(self, tags: Sequence[str], names: Iterable[str]) -> Iterator[Asked]:
        """Questions that have all that is exported, and no series twice."""
        if self._is_asked:
            yield Asked(names=tuple(self._head.names), tags=tuple(tags))
            return
        # A name without labels is all series of that name.
        plain = sorted({it.partition("{")[0] for it in names})
        for begin in range(0, len(plain), NAMES_PAGE):
            yield Asked(names=tuple(plain[begin : begin + NAMES_PAGE]), tags=tuple(tags))

    def written(self, part: _Part, place: int, total: int, *, mirrors: bool) -> Exported:
        """Write one file, if it is not there as it would be."""
        path = self._path(part)
        held = self._manifest.rows.get(path)
        is_there = held is not None and (self._root / path).exists()
        done = partial(Exported, path=path, place=place, total=total)
        if held is not None and held.summary == part.summary and (is_there or not held.rows):
            return done(state=State.UNCHANGED, rows=held.rows)
        target = self._root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        begun = target.with_suffix(".part")
        rows = self._write(part, begun)
        if rows < (held.rows if is_there and held is not None and not mirrors else 1):
            begun.unlink()
            kept = held.rows if held is not None and is_there else 0
            self._manifest.add(self._row(part, path, kept))
            return done(state=State.KEPT, rows=kept)
        begun.replace(target)
        _sync_folder(target.parent)
        self._manifest.add(self._row(part, path, rows))
        return done(state=State.WRITTEN, rows=rows)

    def _row(self, part: _Part, path: str, rows: int) -> _Row:
        return _Row(
            path=path,
            by=part.value,
            start=part.start,
            stop=_stop(self._every, part.start),
            rows=rows,
            series=len(part.names),
            bytes=(self._root / path).stat().st_size if rows else 0,
            summary=part.summary,
            written=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _path(self, part: _Part) -> str:
        span = self._every.value
        time = datetime.fromtimestamp(part.start // 10**9, UTC).strftime(span.form)
        path = f"{span.folder}={time}/{FILE}"
        if not self._head.by:
            return path
        return f"{quote(self._head.by, safe='')}={quote(part.value, safe='') or NO_VALUE}/{path}"

    def _write(self, part: _Part, begun: Path) -> int:
        """Write all points of a part; how many there are."""
        from roost.client.series.arrow import ParquetFile

        tags = [*self._head.tags]
        if part.value:
            tags.append(f"{self._head.by}={part.value}")
        span = {"start": str(part.start), "stop": str(_stop(self._every, part.start))}
        with ParquetFile(begun, GROUP_ROWS) as file:
            for question in self._questions(tags, part.names):
                with closing(self._connection.batches(changed(question, span))) as batches:
                    for rows in batches:
                        file.add(rows, part.names)
        return file.row_count

    def gone(self, parts: Iterable[_Part]) -> list[str]:
        """Files of which the store has no numbers any more."""
        held = {self._path(it) for it in parts}
        return [path for path, row in self._manifest.rows.items() if row.rows and path not in held]

    def removed(self, path: str, place: int, total: int) -> Exported:
        """Remove one file."""
        row = self._manifest.rows[path]
        (self._root / path).unlink(missing_ok=True)
        _sync_folder((self._root / path).parent)
        self._manifest.add(msgspec.structs.replace(row, rows=0, bytes=0, summary=""))
        return Exported(path=path, state=State.REMOVED, rows=0, place=place, total=total)


def _value(listed: Mapping[str, Any], by: str) -> str:
    """The value of a label, or of a tag, of a series that was listed."""
    return str({**listed["tags"], **listed["labels"]}.get(by, "")) if by else ""


def _text(name: str, sums: Sequence[float | None]) -> str:
    """What a series has in a window; a sum has digits that depend on how it was added up."""
    count, total, *rest = sums
    shown = "nan" if total is None else f"{total:.9g}"
    return f"{name}\t{count}\t{shown}\t{rest!r}"


def _stop(every: Every, start: int) -> int:
    """Where a window of UTC that begins then ends."""
    begin = datetime.fromtimestamp(start // 10**9, UTC)
    if every is Every.DAY:
        end = begin + timedelta(days=1)
    else:
        end = (begin.replace(day=1) + timedelta(days=32)).replace(day=1)
    return int(end.timestamp()) * 10**9


def _sync_folder(path: Path) -> None:
    """Make a name durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
