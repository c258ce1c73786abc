"""What clients write over HTTP: points in three forms, tags, deletions, rules."""

import asyncio
import logging
import zlib
from collections.abc import AsyncIterator, Callable

import msgspec

from roost.errors import RoostError
from roost.exchange import Answer, BodyCut, Request, Streaming
from roost.series.asked import (
    BadRequest,
    DedupAsked,
    KeepAsked,
    NoteAsked,
    Parameters,
    TagsAsked,
    decoded,
    described,
    said,
)
from roost.series.deleting import SERIES_MAX as JOB_SERIES_MAX
from roost.series.deleting import counted
from roost.series.engine import Engine
from roost.series.extra import np
from roost.series.frames import (
    COLUMNS_TYPE,
    Aside,
    BadLine,
    ColumnFrames,
    Flush,
    Frames,
    Pause,
    TextFrames,
)
from roost.series.intake import Intake, Points
from roost.series.jobs import Job
from roost.series.line_protocol import Lines, Parser
from roost.series.names import TAGS_MAX, Info, tag
from roost.series.queries import PAGE_SERIES
from roost.series.retention import Policy, of_series, of_tag
from roost.series.selecting import select
from roost.series.spelling import Precision, parse_duration, parse_series, series_text, time_texts
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
# What a body may be when it is unpacked; what may come to more than a megabyte, since a byte may be
# a thousand, is unpacked on a thread.
BODY_BYTES_MAX, ASIDE_BYTES = 32 << 20, 1 << 10
# Of one body; each is copied behind the one before.
GZIP_MEMBERS_MAX = 64
NDJSON = ((b"content-type", b"application/x-ndjson"),)
FOR_EVER = "forever"
ARROW_TYPE = b"application/vnd.apache.arrow.stream"
# From so many series points are deleted at once, all or none; from more by a job.
AT_ONCE_SERIES = 500


class Writing:
    """Answers those who write."""

    def __init__(self, engine: Engine, intake: Intake) -> None:
        """Stand on both."""
        self._engine = engine
        self._intake = intake
        self._parser = Parser()

    async def lines(self, request: Request, asked: Parameters) -> Answer:
        """Points in the line protocol.

        204 when all were taken, durable on a majority; 400 when some lines are none: the others
        were taken, and the first of those that were not is told with its number.

        Raises:
            RoostError: none is known to be durable.

        """
        body = await self._unpacked(request)
        reading = self._parser.begin(body, asked.unit(), self._engine.now_ns())
        point_count, is_more = 0, True
        while is_more:
            is_more = reading.step()
            if reading.is_full or not is_more:
                series, points = reading.take()
                point_count += len(points.places)
                await self._intake.add(Points(series, points.places, points.times, points.values))
            await asyncio.sleep(0)
        return _told(reading.found, point_count)

    async def _unpacked(self, request: Request) -> bytes:
        coding = request.headers.get(b"content-encoding", b"identity").strip().lower()
        if coding in (b"identity", b""):
            return request.body
        if coding != b"gzip":
            raise BadRequest(f"content-encoding {coding.decode('latin-1')!r}: gzip, or nothing")
        if len(request.body) <= ASIDE_BYTES:
            return _gunzipped(request.body)
        return await self._engine.aside(lambda: _gunzipped(request.body))

    async def stream(
        self, request: Request, asked: Parameters, body: AsyncIterator[bytes]
    ) -> Streaming:
        """Points as they come, and answers to flushes; see `frames`.

        Raises:
            BadRequest, BadPoints: a parameter is none.
            PackageMissing: it is Arrow, and nothing here reads that.

        """
        ack = asked.text("ack", "durable")
        if ack not in ("durable", "received"):
            raise BadRequest(f"ack={ack!r}: durable or received")
        kind = request.headers.get(b"content-type", b"text/plain").split(b";")[0].strip().lower()
        unit = asked.unit()
        asked.check()
        if kind == COLUMNS_TYPE:
            frames: Frames = ColumnFrames()
        elif kind in (b"text/plain", b"application/x-www-form-urlencoded"):
            frames = TextFrames(unit, self._engine.now_ns())
        elif kind == ARROW_TYPE:
            frames = (await self._engine.aside(_arrow_frames))(unit)
        else:
            kinds = b", ".join((COLUMNS_TYPE, ARROW_TYPE)).decode()
            raise BadRequest(f"content-type {kind.decode('latin-1')!r}: text/plain, {kinds}")
        pieces = self._streamed(frames, body, is_early=ack == "received")
        return Streaming(NDJSON, pieces, lambda: None)

    async def _streamed(
        self, frames: Frames, body: AsyncIterator[bytes], *, is_early: bool
    ) -> AsyncIterator[bytes]:
        """Lines of answers: to flushes, and at the end.

        What came last is appended while what follows is read; one at a time, so in their order.
        """
        tasks, count = Tasks(_on_not_added), 0
        adding: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        adding.set_result(0)
        try:
            async for data in _with_end(body):
                for event in frames.end() if data is None else frames.feed(data):
                    if isinstance(event, Pause | Aside):
                        work = event.run if isinstance(event, Aside) else None
                        await (self._engine.aside(work) if work else asyncio.sleep(0))
                        continue
                    if isinstance(event, Flush):
                        index = adding.result() if adding.done() else 0
                        if not is_early:
                            index = await adding
                        yield _line({"flushed": event.number, "index": index})
                        continue
                    await adding
                    adding = tasks.start(self._intake.add(event))
                    count += len(event)
            index = await adding
            yield _line({"done": True, "points": count, "index": index})
        except BodyCut:
            raise  # nobody is there to be told
        except RoostError as error:
            found: dict[str, object] = {**described(error), "points": count}
            if isinstance(error, BadLine):
                found["line"] = error.line
            yield _line(found)
        finally:
            await tasks.close()

    async def tags(self, request: Request) -> Answer:
        """Put tags on a series, and take them away.

        Raises:
            RoostError: it was not done.

        """
        asked = decoded(request.body, TagsAsked)
        if len(asked.add) + len(asked.remove) > 2 * TAGS_MAX:
            raise BadRequest(
                f"{TAGS_MAX} tags to be put on and {TAGS_MAX} to be taken away at most"
            )
        key = parse_series(asked.name).key
        added, removed = ([tag(it) for it in texts] for texts in (asked.add, asked.remove))
        info = await self._engine.tag(key, added, removed)
        return said(200, described_series(info))

    async def dedup(self, request: Request) -> Answer:
        """Say which of two points of one time counts, of a series that may not be there yet.

        Raises:
            RoostError: it was not done.

        """
        asked = decoded(request.body, DedupAsked)
        info = parse_series(asked.series)
        wanted = msgspec.structs.replace(info, keeps_highest=asked.dedup == "max")
        return said(200, described_series(await self._engine.dedup(wanted)))

    async def delete_points(self, asked: Parameters) -> Answer:
        """Delete ranges of series; with `dry_run` only say how many points would go.

        Raises:
            RoostError: it was not done, or not for all series.

        """
        names, tags, is_dry = asked.texts("name"), asked.tags(), asked.flag("dry_run")
        start, stop = asked.start_stop(is_needed=True)
        asked.check()
        if not names and not tags:
            raise BadRequest("say which series: by name= or by tag=")
        async with self._engine.reading() as reading:
            chosen = select(reading, names, tags, most=JOB_SERIES_MAX)
            sids, count = [it async for it in chosen], 0
        for begin in range(0, len(sids), PAGE_SERIES):
            async with self._engine.reading() as reading:
                count += await counted(reading, sids[begin : begin + PAGE_SERIES], start, stop)
        if is_dry:
            return said(200, {"would_delete": count, "series": len(sids)})
        if len(sids) <= AT_ONCE_SERIES:
            if sids:
                await self._engine.delete_points(sids, start, stop)
            return said(200, {"deleted": count, "series": len(sids)})
        job = Job(
            number=0,
            names=names,
            tags=tags,
            start=start,
            stop=stop,
            begun_ns=self._engine.now_ns(),
            series_count=len(sids),
            point_count=count,
        )
        return said(202, described_job(await self._engine.begin_job(job)))

    async def cancel_job(self, text: str) -> Answer:
        """Delete no more by a job.

        Raises:
            BadRequest: that is no number of one.
            RoostError: it was not done.

        """
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise BadRequest(f"{text!r} is no number of a job")
        return said(200, described_job(await self._engine.cancel_job(int(text))))

    async def delete_series(self, text: str) -> Answer:
        """Delete a series with all that it has.

        Raises:
            RoostError: it was not done.

        """
        info = parse_series(text)
        await self._engine.delete_series(info.key)
        return said(200, {"deleted": series_text(info.name, info.labels)})

    async def note(self, request: Request) -> Answer:
        """Note something of a series or a tag, or remove what was noted.

        Raises:
            RoostError: it was not done.

        """
        asked = decoded(request.body, NoteAsked)
        await self._engine.note(_target(asked), asked.note or "")
        return said(200, msgspec.to_builtins(asked))

    async def keep(self, request: Request) -> Answer:
        """Set a rule of how long points are kept, or remove it.

        Raises:
            RoostError: it was not done.

        """
        asked = decoded(request.body, KeepAsked)
        target = _target(asked)
        if asked.keep is None and asked.sums:
            raise BadRequest("sums are kept for longer than points: say keep, too")
        policy = None if asked.keep is None else _policy(asked.keep, asked.sums)
        await self._engine.keep(target, policy)
        return said(200, msgspec.to_builtins(asked))


def _target(asked: KeepAsked | NoteAsked) -> bytes:
    """What a rule or a note is of."""
    if bool(asked.series) == bool(asked.tag):
        raise BadRequest("say series or tag, one of the two")
    return of_series(parse_series(asked.series).key) if asked.series else of_tag(tag(asked.tag))


def _arrow_frames() -> Callable[[Precision], Frames]:
    """Load what reads Arrow; on a thread."""
    from roost.series.arrow import ArrowFrames

    return ArrowFrames


def _policy(keep: str, sums: str) -> Policy:
    keep_ns = parse_duration(keep)
    if sums == FOR_EVER:
        return Policy(keep_ns, None)
    sums_ns = parse_duration(sums) if sums else 0
    if sums and sums_ns < keep_ns:
        raise BadRequest(f"sums={sums!r}: not shorter than keep={keep!r}")
    return Policy(keep_ns, sums_ns)


def described_series(info: Info) -> dict[str, object]:
    """A series, as answers name it."""
    found: dict[str, object] = {
        "name": series_text(info.name, info.labels),
        "labels": {it.key: it.value for it in info.labels},
        "tags": {it.key: it.value for it in info.tags},
    }
    return {**found, "dedup": "max"} if info.keeps_highest else found


def described_job(job: Job) -> dict[str, object]:
    """A job, as answers have it."""
    begun, start, stop = time_texts(np.array([job.begun_ns, job.start, job.stop]))
    return {
        "job": job.number,
        "kind": "delete",
        "state": job.state,
        "names": job.names,
        "tags": [it.text for it in job.tags],
        "start": start,
        "end": stop,
        "begun": begun,
        "series": job.series_count,
        "series_done": job.done_count,
        "points": job.point_count,
        "deleted": job.deleted_count,
    }


def _told(found: Lines, point_count: int) -> Answer:
    """What came of the lines of a body."""
    skipped = ((b"x-roost-text-fields-left-out", b"%d" % found.text_field_count),)
    headers = skipped if found.text_field_count else ()
    if not found.fault_count:
        return Answer(204, b"", headers)
    first = found.faults[0]
    text = (
        f"partial write: line {first.line}: {first.text}; {found.fault_count} of "
        f"{found.line_count} lines were not taken dropped={found.fault_count}"
    )
    return said(
        400,
        {
            "code": "invalid",
            "message": text,
            "error": text,
            "line": first.line,
            "written": point_count,
            "refused": found.fault_count,
            "faults": [{"line": it.line, "message": it.text} for it in found.faults],
        },
        headers,
    )


async def _with_end(body: AsyncIterator[bytes]) -> AsyncIterator[bytes | None]:
    """What comes, and then None."""
    async for data in body:
        yield data
    yield None


def _on_not_added(error: BaseException) -> None:
    """Who waits for it is told; and where its client is gone, nobody does."""
    if not isinstance(error, RoostError):
        logger.error("points of a stream were not added", exc_info=error)


def _line(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"


def _gunzipped(body: bytes) -> bytes:
    """What is packed in a body: one member of gzip, or several, one behind the other (RFC 1952)."""
    found: list[bytes] = []
    left = BODY_BYTES_MAX
    for _it in range(GZIP_MEMBERS_MAX):
        unpacking = zlib.decompressobj(wbits=31)
        try:
            piece = unpacking.decompress(body, left + 1)
        except zlib.error as error:
            raise BadRequest(f"the body is not gzip: {error}") from error
        left -= len(piece)
        if left < 0 or unpacking.unconsumed_tail:
            raise BadRequest(f"the body is longer than {BODY_BYTES_MAX} bytes")
        if not unpacking.eof:
            raise BadRequest("the body ends within its gzip")
        found.append(piece)
        body = unpacking.unused_data
        if not body:
            return b"".join(found)
    raise BadRequest(f"more than {GZIP_MEMBERS_MAX} members of gzip in one body")
