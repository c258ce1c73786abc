"""What clients ask over HTTP: points and windows, lists of series, last values, rules."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import tzinfo

import msgspec

from roost.exchange import JSON, Answer, Request, Streaming
from roost.series.asked import BadRequest, Parameters, said
from roost.series.engine import Engine
from roost.series.errors import BadWindow
from roost.series.extra import np
from roost.series.names import Info
from roost.series.parts import WRITERS, Writer
from roost.series.queries import (
    PAGE_SERIES,
    Fill,
    Part,
    Query,
    check,
    run,
)
from roost.series.reading import Reading
from roost.series.retention import target_of
from roost.series.selecting import select, tagged
from roost.series.spelling import (
    Precision,
    parse_series,
    parse_window,
    series_text,
    time_texts,
)
from roost.series.tables import TIME_MIN, TIME_STOP
from roost.series.tailing import as_events, as_lines, tail, titles_of
from roost.series.windows import auto_window
from roost.series.writing import ARROW_TYPE, described_job, described_series

EVENTS = (b"content-type", b"text/event-stream")
NDJSON = (b"content-type", b"application/x-ndjson")
UNCACHED = (b"cache-control", b"no-store")
LIST_MAX, LIST_DEFAULT = 10_000, 1000
POINTS_MAX = 100_000
_encode = msgspec.json.Encoder().encode


class Asking:
    """Answers those who ask."""

    def __init__(self, engine: Engine) -> None:
        """Ask `engine`."""
        self._engine = engine

    async def pages(self, asked: Parameters) -> AsyncIterator[list[Part]]:
        """As `query`, for whoever takes columns.

        Raises:
            RoostError: there is no answer.

        """
        query = await self._query(asked)
        asked.text("format")
        asked.unit()
        asked.check()
        return run(self._engine, check(query))

    async def query(self, request: Request, asked: Parameters) -> Streaming:
        """Points, or windows of them.

        Raises:
            RoostError: there is no answer.

        """
        form = _form(request, asked)
        query = await self._query(asked)
        unit = asked.unit() if asked.text("precision") else None
        asked.check()
        pages = run(self._engine, query)
        kind, writer = WRITERS[form] if form in WRITERS else await self._engine.aside(_arrow)
        pieces = await _begun(writer(pages, query.tz, unit))
        return Streaming(((b"content-type", kind),), pieces, lambda: None)

    async def _query(self, asked: Parameters) -> Query:
        names, tags = tuple(asked.texts("name")), tuple(asked.tags())
        start, stop = asked.start_stop()
        text, points = asked.text("window"), asked.number("points", 1000, POINTS_MAX)
        try:
            fill = Fill(asked.text("fill", "none"))
        except ValueError:
            raise BadRequest("fill is none, null, previous or linear") from None
        query = Query(
            names=names,
            tags=tags,
            start=start,
            stop=stop,
            tz=asked.tz,
            aggregates=tuple(asked.listed("agg")) or ("mean",),
            fill=fill,
            group=asked.text("group"),
        )
        if not text and not asked.text("points"):
            if asked.text("agg"):
                raise BadRequest("agg is of windows: say window=1d, window=auto or points=1000")
            return query
        if not asked.text("start") or not asked.text("end"):
            start, stop = await self._held(query)
            query = replace(query, start=start, stop=stop)
        window = auto_window(start, stop, points) if text in ("", "auto") else parse_window(text)
        return replace(query, window=window)

    async def _held(self, query: Query) -> tuple[int, int]:
        """The part of a range in which there can be something: windows need both ends."""
        first, last = TIME_STOP, TIME_MIN
        async with self._engine.reading() as reading:
            async for sid in select(reading, query.names, query.tags):
                content = await reading.content(sid)
                if content is not None:
                    first, last = min(first, content.span[0]), max(last, content.span[1])
        start, stop = max(query.start, first), min(query.stop, last + 1)
        if start < stop:
            return start, stop
        # Nothing is there, and no calendar goes back to the first of all times.
        begin = max(query.start, min(0, query.stop - 1))
        return begin, begin + 1

    async def series(self, request: Request, asked: Parameters) -> Answer:
        """A page of the list of series, by their names.

        Raises:
            RoostError: there is none.

        """
        form = _form(request, asked)
        tags, prefix, after = asked.tags(), asked.text("prefix"), asked.text("after")
        limit = asked.number("limit", LIST_DEFAULT, LIST_MAX)
        is_counted, has_values = asked.flag("counts"), asked.flag("values")
        asked.check()
        if form != "json":
            raise BadRequest("the list is JSON")
        async with self._engine.reading() as reading:
            wanted = await tagged(reading, tags) if tags else None
            rows, last_key = await _listed(reading, prefix, after, limit, wanted)
            shown = {"is_counted": is_counted, "has_values": has_values}
            listed = [_encode(await _row(reading, sid, info, **shown)) for sid, info in rows]
        return _said_rows(listed, {"after": last_key} if last_key else {})

    async def last(self, request: Request, asked: Parameters) -> Answer:
        """The last points of series.

        Raises:
            RoostError: there is no answer.

        """
        form = _form(request, asked)
        names, tags, tz = asked.texts("name"), asked.tags(), asked.tz
        unit = asked.unit() if asked.text("precision") else None
        asked.check()
        if not names and not tags:
            raise BadWindow("say which series: by name= or by tag=")
        if form != "json":
            raise BadRequest("last values are JSON")
        async with self._engine.reading() as reading:
            sids = [it async for it in select(reading, names, tags)]
        found = []
        for begin in range(0, len(sids), PAGE_SERIES):
            async with self._engine.reading() as reading:
                for sid in sids[begin : begin + PAGE_SERIES]:
                    row = await _last(reading, sid, tz, unit)
                    found += [_encode(row)] if row is not None else []
        return _said_rows(found)

    async def tail(self, asked: Parameters) -> Streaming:
        """Points as they come; see `tailing`.

        Raises:
            RoostError: nobody can be told.

        """
        names, tags, tz = asked.texts("name"), asked.tags(), asked.tz
        unit = asked.unit() if asked.text("precision") else None
        form = asked.text("format", "events")
        asked.check()
        if not names and not tags:
            raise BadWindow("say which series: by name= or by tag=")
        if form not in ("events", "lines"):
            raise BadRequest(f"format={form!r}: events or lines")
        titles = await titles_of(self._engine, names, tags)
        rows = tail(self._engine, titles, tz, unit)
        if form == "lines":
            return Streaming((NDJSON, UNCACHED), as_lines(rows), lambda: None)
        return Streaming((EVENTS, UNCACHED), as_events(rows), lambda: None)

    async def jobs(self) -> Answer:
        """Deletions that are under way, and those that were."""
        return said(200, {"jobs": [described_job(it) for it in await self._engine.jobs()]})

    async def notes(self) -> Answer:
        """All that is noted of series and tags."""
        rows = await self._engine.notes()
        found = [dict([target_of(key), ("note", text)]) for key, text in rows]
        return said(200, {"notes": found})

    async def rules(self) -> Answer:
        """All rules of retention."""
        found = []
        for key, policy in await self._engine.rules():
            kind, text = target_of(key)
            row: dict[str, object] = {kind: text, "keep_s": policy.keep_ns / 1e9}
            if policy.keeps_sums_longer:
                row["sums_s"] = None if policy.sums_ns is None else policy.sums_ns / 1e9
            found.append(row)
        return said(200, {"rules": found})


async def _begun(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pieces of which the first have been made: so a fault of the question is an answer."""
    first = await anext(pieces)
    second = await anext(pieces, b"")

    async def all_of_them() -> AsyncIterator[bytes]:
        yield first + second
        async for it in pieces:
            yield it

    return all_of_them()


def _said_rows(rows: list[bytes], more: Mapping[str, object] | None = None) -> Answer:
    """An answer of rows that are JSON already: ten thousand at once take longer than a turn has."""
    head, tail = b'{"series":[', b"]" + (b"," + _encode(more)[1:] if more else b"}") + b"\n"
    return Answer(200, b"%b%b%b" % (head, b",".join(rows), tail), (JSON,))


def _form(request: Request, asked: Parameters) -> str:
    """In which form the answer is wanted.

    Raises:
        BadRequest: there is no such form.

    """
    form = asked.text("format")
    if not form:
        accepted = request.headers.get(b"accept", b"").decode("latin-1")
        kinds = {"text/csv": "csv", ARROW_TYPE.decode(): "arrow"}
        form = next((form for kind, form in kinds.items() if kind in accepted), "json")
    if form not in (*WRITERS, "arrow"):
        raise BadRequest(f"format={form!r}: json, csv or arrow")
    return form


def _arrow() -> tuple[bytes, Writer]:
    """Load what writes Arrow; on a thread."""
    from roost.series.arrow import as_arrow

    return ARROW_TYPE, as_arrow


async def _listed(
    reading: Reading, prefix: str, after: str, limit: int, wanted: set[int] | None
) -> tuple[list[tuple[int, Info]], str]:
    """Series by their names, and the last one of them when there may be more."""
    first = prefix.encode()
    stop = first + b"\xff"
    if after:
        first = max(first, parse_series(after).key + b"\0")
    found: list[tuple[int, Info]] = []
    async for page in reading.trees.names.pages(first=first, stop=stop):
        for _, row in page:
            sid = int.from_bytes(row, "big")
            info = await reading.trees.read_info(sid) if wanted is None or sid in wanted else None
            if info is None:
                continue
            if len(found) == limit:
                last = found[-1][1]
                return found, series_text(last.name, last.labels)
            found.append((sid, info))
    return found, ""


async def _row(
    reading: Reading, sid: int, info: Info, *, is_counted: bool, has_values: bool
) -> dict[str, object]:
    content = await reading.content(sid)
    found = described_series(info)
    if content is None:
        return found
    first, last = content.span
    has_some = first <= last
    moments = time_texts(np.array([first, last])) if has_some else [None, None]
    found["first"], found["last"] = moments
    found["point_bytes"] = round(content.state.row_bytes, 2)
    if content.horizon > TIME_MIN:
        (found["thinned_to"],) = time_texts(np.array([content.horizon]))
    if is_counted:
        found["points"] = await content.count(first, last + 1) if has_some else 0
    if has_values and has_some:
        table = await content.last_point()
        found["value"] = float(table.values[0]) if len(table) else None
    return found


async def _last(
    reading: Reading, sid: int, tz: tzinfo, unit: Precision | None
) -> dict[str, object] | None:
    info, content = await reading.trees.read_info(sid), await reading.content(sid)
    if info is None or content is None:
        return None
    table = await content.last_point()
    found = described_series(info)
    found["time"] = time_texts(table.times, tz, unit)[0] if len(table) else None
    found["value"] = float(table.values[0]) if len(table) else None
    return found
