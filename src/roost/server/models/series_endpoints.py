"""What time series answer, as rows: theirs, InfluxDB's and Prometheus'.

They stand here and not with `roost.series`, which loads numpy: `/openapi.json` is asked of members
that nobody asks for series.  The tests hold both to each other.
"""

from typing import Literal

import msgspec

from roost.endpoint import (
    EVENTS_KIND,
    JSON_KIND,
    TEXT_KIND,
    Endpoint,
    Kind,
    Parameter,
    Protocol,
    in_path,
)

_CSV_KIND, _LINES_KIND = "text/csv", "application/x-ndjson"
_ARROW_KIND, _COLUMNS_KIND = "application/vnd.apache.arrow.stream", "application/vnd.roost.points"
_FORM_KIND, _PROTOBUF_KIND = "application/x-www-form-urlencoded", "application/x-protobuf"


class SeriesError(msgspec.Struct, frozen=True):
    """How a request is refused; `error` and `code` say the same."""

    error: str
    code: str
    message: str


class PrometheusError(msgspec.Struct, frozen=True, rename="camel"):
    """How Prometheus refuses a request."""

    status: str
    error_type: str
    error: str


class Tagging(msgspec.Struct, frozen=True):
    """Tags that a series gets, and those that it loses."""

    name: str
    add: list[str] = []
    remove: list[str] = []


class Deduplicating(msgspec.Struct, frozen=True):
    """`max`: the higher of two points of one time counts; `last`: the one written later."""

    series: str
    dedup: Literal["max", "last"]


class Noting(msgspec.Struct, frozen=True):
    """What is noted of a series or a tag; null = nothing any more."""

    note: str | None
    series: str = ""
    tag: str = ""


class Keeping(msgspec.Struct, frozen=True):
    """For how long points of a series or a tag are kept; null = the rule goes."""

    keep: str | None
    series: str = ""
    tag: str = ""
    sums: str = ""


SERIES = Protocol(
    name="Time series",
    text="Points, windows of them, tags and how long they stay.",
    page="reference/series.md",
    error=SeriesError,
)
INFLUX = Protocol(
    name="InfluxDB's line protocol",
    text="What InfluxDB's clients send.",
    page="reference/series.md",
    error=SeriesError,
)
PROMETHEUS = Protocol(
    name="Prometheus",
    text="Remote write and read, and the HTTP API that Grafana asks.",
    page="reference/prometheus.md",
    error=PrometheusError,
)
_NAME = Parameter("name", "A series, or all of a name without labels.", is_many=True)
_TAG = Parameter("tag", "Series that have this tag.", is_many=True)
_START = Parameter("start", "From this time on: RFC 3339, a number, `now-1h`.")
_END = Parameter("end", "Up to this time, without it.")
_UNIT = Parameter("precision", "What whole numbers of times count: `ns us ms s m h`.")
_ZONE = Parameter("tz", "A zone, as `Europe/Prague`; UTC unless it is said.")
_FORMAT = Parameter("format", "`json`, `csv` or `arrow`; or by `Accept`.")


def _series(method: str, path: str, text: str, *parameters: Parameter, **said: object) -> Endpoint:
    row = Endpoint(protocol=SERIES, method=method, path=path, text=text, parameters=parameters)
    return msgspec.structs.replace(row, **said)


_JOB = in_path("number", "The number of the job.")
_LIST = (
    _series(
        *("GET", "/series", "A page of the list of series, by their names."),
        *(_TAG, Parameter("prefix", "Only series whose names begin so.")),
        *(Parameter("after", "Begin behind this, of the page before."),),
        *(Parameter("limit", "So many at most, up to 10,000.", Kind.WHOLE),),
        Parameter("counts", "With how many points each has.", Kind.FLAG),
        *(Parameter("values", "With the value of the last point of each.", Kind.FLAG), _FORMAT),
    ),
    _series(
        *("GET", "/series/query", "Points, or windows of them, in pages of one state each."),
        *(_NAME, _TAG, _START, _END, _UNIT, _ZONE, _FORMAT),
        *(Parameter("window", "`15m`, `1d`, `1mo` or another length, or `auto`."),),
        *(Parameter("points", "So many windows at most, by which one is chosen.", Kind.WHOLE),),
        *(Parameter("agg", "`mean`, `max`, `p95` and others, with commas.", is_many=True),),
        *(Parameter("fill", "`none`, `null`, `previous` or `linear`."),),
        *(Parameter("group", "Merge series with one value of this tag."),),
        gives=(JSON_KIND, _CSV_KIND, _ARROW_KIND),
    ),
    _series(
        *("GET", "/series/last", "The last point of each series."),
        *(_NAME, _TAG, _UNIT, _ZONE, _FORMAT),
    ),
    _series(
        *("GET", "/series/tail", "Points as they come, as server-sent events or lines."),
        *(_NAME, _TAG, _UNIT, _ZONE, Parameter("format", "`events` or `lines`.")),
        gives=(EVENTS_KIND, _LINES_KIND),
    ),
    _series("GET", "/series/stats", "How far staging and sealing are."),
)
_CHANGES = (
    _series(
        *("POST", "/series/append", "One request for as many points as somebody has."),
        *(_UNIT, Parameter("ack", "`durable`, or `received`: flushes are answered at once.")),
        takes=(TEXT_KIND, _COLUMNS_KIND, _ARROW_KIND),
        gives=(_LINES_KIND,),
    ),
    _series(
        *("POST", "/series/tags", "Put tags on a series, and take them away."),
        takes=(JSON_KIND,),
        body=Tagging,
    ),
    _series(
        *("PUT", "/series/dedup", "Say which of two points of one time counts, for a series."),
        takes=(JSON_KIND,),
        body=Deduplicating,
    ),
    _series(
        *("DELETE", "/series/points", "Delete a range of series; of more than 500 by a job."),
        *(_NAME, _TAG, _UNIT, _ZONE),
        *(msgspec.structs.replace(it, is_needed=True) for it in (_START, _END)),
        *(Parameter("dry_run", "Only say how many points would go.", Kind.FLAG),),
        statuses=(200, 202),
    ),
    _series("GET", "/series/jobs", "Deletions of many series, the last 64."),
    _series("DELETE", "/series/jobs/{number}", "Delete no more by a job.", _JOB),
    _series(
        *("DELETE", "/series/{series}", "Delete a series with all that it has."),
        in_path("series", "Its name and labels, escaped."),
        is_deep=True,
    ),
    _series("GET", "/series/notes", "What people have noted of series and tags."),
    _series(
        *("PUT", "/series/notes", "Note something of a series or a tag, or remove it."),
        takes=(JSON_KIND,),
        body=Noting,
    ),
    _series("GET", "/series/retention", "For how long points are kept."),
    _series(
        *("PUT", "/series/retention", "Set a rule of that, or remove it."),
        takes=(JSON_KIND,),
        body=Keeping,
    ),
)
_LINE_WORDS = tuple(
    Parameter(it, "Taken, and says nothing: a member has one database.")
    for it in ("db", "bucket", "org", "orgID", "rp", "consistency", "u", "p")
)
_INFLUX = (
    *(
        Endpoint(
            protocol=INFLUX,
            method="POST",
            path=path,
            text="Points in the line protocol; the body may be gzip.",
            parameters=(_UNIT, *_LINE_WORDS),
            takes=(TEXT_KIND,),
            gives=(),
            statuses=(204,),
        )
        for path in ("/write", "/api/v2/write")
    ),
    Endpoint(
        protocol=INFLUX,
        method="GET",
        path="/ping",
        text="For clients that ask first.",
        gives=(),
        statuses=(204,),
    ),
)
_QUERY = Parameter("query", "In PromQL.", is_needed=True)
_STEP = Parameter("step", "A step: seconds, or `15s`.", is_needed=True)
_TIMEOUT = Parameter("timeout", "How long it may take, up to 30 s.")
_LOOKBACK = Parameter("lookback_delta", "How long a point is the newest one; 5m.")
_MATCH = Parameter("match[]", "A selector of series.", is_many=True)
_LIMIT = Parameter("limit", "So many at most; 0 = as many as there may be.", Kind.WHOLE)
_SPAN = (
    Parameter("start", "The first step.", is_needed=True),
    Parameter("end", "The last step is not behind it.", is_needed=True),
)
_IDLE_SPAN = tuple(Parameter(it, "Taken, and says nothing.") for it in ("start", "end"))
_PROMETHEUS = (
    *(
        Endpoint(
            protocol=PROMETHEUS,
            method=method,
            path=f"/api/v1/{path}",
            text=text,
            parameters=parameters,
            takes=(_FORM_KIND,) if method == "POST" else (),
        )
        for path, text, parameters in (
            (
                "query",
                "A query at one moment.",
                (_QUERY, Parameter("time", "When; now unless it is said."), _TIMEOUT, _LOOKBACK),
            ),
            (
                "query_range",
                "A query at each step of a range.",
                (_QUERY, *_SPAN, _STEP, _TIMEOUT, _LOOKBACK),
            ),
            ("labels", "Names of labels.", (_MATCH, *_IDLE_SPAN, _LIMIT)),
            (
                "label/{label}/values",
                "Values of a label.",
                (in_path("label", "Its name."), _MATCH, *_IDLE_SPAN, _LIMIT),
            ),
            (
                "series",
                "Series by their labels.",
                (msgspec.structs.replace(_MATCH, is_needed=True), *_IDLE_SPAN, _LIMIT),
            ),
            (
                "metadata",
                "Type, help and unit of metrics, as remote write said.",
                (Parameter("metric", "Only this one."), _LIMIT),
            ),
            ("status/buildinfo", "What a member says it is.", ()),
        )
        for method in ("GET", "POST")
    ),
    Endpoint(
        protocol=PROMETHEUS,
        method="POST",
        path="/api/v1/write",
        text="Samples, as remote write 1.0 sends them: in a block of Snappy.",
        takes=(_PROTOBUF_KIND,),
        gives=(),
        statuses=(204,),
    ),
    Endpoint(
        protocol=PROMETHEUS,
        method="POST",
        path="/api/v1/read",
        text="Samples by labels, as remote read asks for them: in a block of Snappy.",
        takes=(_PROTOBUF_KIND,),
        gives=(_PROTOBUF_KIND,),
    ),
)
ENDPOINTS = (*_LIST, *_CHANGES, *_INFLUX, *_PROMETHEUS)
