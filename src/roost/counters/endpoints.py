"""What is answered at /counters, as rows; `interface` answers by them, and by nothing else."""

import msgspec

from roost.endpoint import (
    EVENTS_KIND,
    JSON_KIND,
    Endpoint,
    Kind,
    Parameter,
    Protocol,
    Where,
    in_path,
)

_BYTES_KIND = "application/octet-stream"


class CounterError(msgspec.Struct, frozen=True):
    """How a request is refused; what `code` names is in the reference of errors."""

    code: str
    message: str
    position: int | None = None
    phase: str | None = None
    share: float | None = None


class Listed(msgspec.Struct, frozen=True):
    """A page of counters; `after` begins the next one, null = this was the last."""

    counters: dict[str, int]
    after: str | None


class Deleted(msgspec.Struct, frozen=True):
    """How much was taken away; null = it was not there."""

    name: str
    value: int | None


COUNTERS = Protocol(
    name="Counters",
    text="Signed numbers that every member may change alone, also while the cluster is split.",
    page="how-to/counters.md",
    error=CounterError,
)
_KEY = Parameter(
    "Idempotency-Key",
    "Asked again at this member with the same key and the same request, it counts once.",
    where=Where.HEADER,
)
_PREFIX = Parameter("prefix", "Only counters whose names begin so.")
_URL = Parameter("url", "A client URL of a member of the other cluster.", is_needed=True)
_FROM = Parameter("from", "Which member of this cluster tells it; empty = whoever is asked.")

LIST = Endpoint(
    protocol=COUNTERS,
    method="GET",
    path="/counters",
    text="A page of names and values, in the order of names; as CSV or lines all at once.",
    parameters=(
        _PREFIX,
        Parameter("after", "Begin behind this name."),
        Parameter("limit", "So many at most, up to 10,000; 1,000 unless it is said.", Kind.WHOLE),
    ),
    gives=(JSON_KIND, "application/x-ndjson", "text/csv"),
    answer=Listed,
)
READ = Endpoint(
    protocol=COUNTERS,
    method="GET",
    path="/counters/read",
    text="Values by name; those that are not there are 0, and named in `X-Roost-Missing`.",
    parameters=(
        Parameter("id", "A counter.", is_needed=True, is_many=True),
        Parameter("raw", "What each member has counted, in place of sums.", Kind.FLAG),
        Parameter("missing", "`null`: answer null for those that are not there."),
    ),
    answer=dict[str, int | dict[str, int] | None],
)
INCREMENT = Endpoint(
    protocol=COUNTERS,
    method="POST",
    path="/counters/increment",
    text='Count all of a list of `["name", number]` or `{"name": "name", "change": number}`.',
    parameters=(_KEY,),
    takes=(JSON_KIND,),
    answer=dict[str, int],
)
DELETE = Endpoint(
    protocol=COUNTERS,
    method="DELETE",
    path="/counters/{name}",
    text="Take away what this member has heard of a counter.",
    parameters=(in_path("name", "The counter."), _KEY),
    answer=Deleted,
    statuses=(200, 404),
    is_deep=True,
)
WATCH = Endpoint(
    protocol=COUNTERS,
    method="GET",
    path="/counters/watch",
    text="Each total that changes, as server-sent events; null = it was deleted.",
    parameters=(
        _PREFIX,
        Parameter(
            "Last-Event-ID", "Whoever comes back hears all totals first.", where=Where.HEADER
        ),
    ),
    gives=(EVENTS_KIND,),
)
STATS = Endpoint(
    protocol=COUNTERS,
    method="GET",
    path="/counters/stats",
    text="What this member has, and what it is doing.",
)
TOPOLOGY = Endpoint(
    protocol=COUNTERS,
    method="GET",
    path="/counters/topology",
    text="Who counts, and where clients find them.",
)
LINKS = Endpoint(
    protocol=COUNTERS,
    method="GET",
    path="/counters/links",
    text="How far each other member is with what this one tells it.",
)
READY = Endpoint(
    protocol=COUNTERS,
    method="POST",
    path="/counters/ready",
    text="Have a member that was to stay silent serve; for root.",
)
PURGE = Endpoint(
    protocol=COUNTERS,
    method="POST",
    path="/counters/purge",
    text="Remove what is left of deleted counters; for root.",
    parameters=(
        Parameter("force", "Leave out members that do not answer.", Kind.FLAG),
        Parameter("dry_run", "Say only what it would prove.", Kind.FLAG),
    ),
)
RETIRE = Endpoint(
    protocol=COUNTERS,
    method="POST",
    path="/counters/retire",
    text="Say that a member is away for good; asked again, how far that is; for root.",
    parameters=(Parameter("name", "Under which it counted.", is_needed=True),),
)
LINK = Endpoint(
    protocol=COUNTERS,
    method="POST",
    path="/counters/link",
    text="Tell a member of another cluster what is counted here; for root.",
    parameters=(
        _URL,
        _FROM,
        Parameter("relay", "Tell it also what other clusters have told.", Kind.FLAG),
    ),
)
UNLINK = Endpoint(
    protocol=COUNTERS,
    method="POST",
    path="/counters/unlink",
    text="Tell a member of another cluster no more; for root.",
    parameters=(_URL, _FROM, Parameter("relay", "Is taken, and says nothing here.", Kind.FLAG)),
)
EXCHANGE = Endpoint(
    protocol=COUNTERS,
    method="POST",
    path="/counters/exchange",
    text="What a member of another cluster tells this one, in a form of its own.",
    takes=(_BYTES_KIND,),
    gives=(_BYTES_KIND,),
    statuses=(200, 204),
)
ENDPOINTS = (
    *(LIST, READ, INCREMENT, DELETE, WATCH, STATS, TOPOLOGY, LINKS),
    *(READY, PURGE, RETIRE, LINK, UNLINK, EXCHANGE),
)
