"""What is answered at /dashboard, as rows; `interface` answers by them, and by nothing else."""

from collections.abc import Sequence

import msgspec

from roost.dashboard.configured import Setting
from roost.dashboard.log import LogState
from roost.dashboard.viewing import State
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

PREFIX = "/dashboard/"
# etcd 0.3's address of its own, and what people leave out.
OLD_PATHS = ("/mod/dashboard", "/mod/dashboard/", "/dashboard")


class DashboardError(msgspec.Struct, frozen=True):
    """How a request is refused; `code` is gRPC's."""

    error: str
    message: str
    code: int


class LevelWanted(msgspec.Struct, frozen=True):
    """How much a room of the log is to say; no level = as much as the room above it."""

    module: str
    level: str


DASHBOARD = Protocol(
    name="Dashboard",
    text="A page for people, and what it shows; its files are for everybody.",
    page="how-to/dashboard.md",
    error=DashboardError,
)
_AFTER = Parameter("after", "The number of the last line that was seen.", Kind.WHOLE)
_LAST_ID = Parameter(
    "Last-Event-ID", "The number of the last happening that was seen.", where=Where.HEADER
)

PAGE = Endpoint(
    protocol=DASHBOARD,
    method="GET",
    path=PREFIX,
    text="The page.",
    gives=("text/html",),
)
FILE = Endpoint(
    protocol=DASHBOARD,
    method="GET",
    path=PREFIX + "{file}",
    text="A file of the page.",
    parameters=(in_path("file", "As the page names it."),),
    gives=("text/javascript", "text/css", "image/svg+xml"),
    is_deep=True,
)
CLUSTER = Endpoint(
    protocol=DASHBOARD,
    method="GET",
    path=PREFIX + "cluster",
    text="The cluster as this member sees it, now; for whoever may ask for a member's status.",
    answer=State,
)
EVENTS = Endpoint(
    protocol=DASHBOARD,
    method="GET",
    path=PREFIX + "events",
    text="The same each second, and when something has happened, as server-sent events.",
    parameters=(_LAST_ID,),
    gives=(EVENTS_KIND,),
)
SETTINGS = Endpoint(
    protocol=DASHBOARD,
    method="GET",
    path=PREFIX + "settings",
    text="What this member was started with; for root.",
    answer=Sequence[Setting],
)
LOG = Endpoint(
    protocol=DASHBOARD,
    method="GET",
    path=PREFIX + "log",
    text="The last lines of this member's log; for root.",
    parameters=(_AFTER,),
    answer=LogState,
)
SET_LEVEL = Endpoint(
    protocol=DASHBOARD,
    method="POST",
    path=PREFIX + "log",
    text="Have a room of the log, and those below it, say more or less; for root.",
    parameters=(_AFTER,),
    takes=(JSON_KIND,),
    body=LevelWanted,
    answer=LogState,
)
OLD = tuple(
    Endpoint(
        protocol=DASHBOARD,
        method="GET",
        path=path,
        text=f"Leads to `{PREFIX}`.",
        gives=(),
        statuses=(301,),
    )
    for path in OLD_PATHS
)
ENDPOINTS = (PAGE, FILE, CLUSTER, EVENTS, SETTINGS, LOG, SET_LEVEL, *OLD)
