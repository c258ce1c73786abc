"""What is answered at /dashboard, as rows; `interface` answers by them, and by nothing else."""

from collections.abc import Sequence

import msgspec

from roost.dashboard.built import Built
from roost.dashboard.configured import Setting
from roost.dashboard.log import LogState
from roost.dashboard.pages import DATA_GUARDS
from roost.dashboard.storing import (
    BackupNamed,
    BackupState,
    Counts,
    Job,
    RowPage,
    RowsWanted,
    StorageState,
    TreePage,
)
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
from roost.exchange import JSON, Answer

PREFIX = "/dashboard/"
BINARY_KIND = "application/octet-stream"
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
BUILT = Endpoint(
    protocol=DASHBOARD,
    method="GET",
    path=PREFIX + "built",
    text="What this member is made of: versions of Roost, Python and packages; for root.",
    answer=Built,
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
_LIMIT = Parameter("limit", "As many at most, if it has no other reason to end.", Kind.WHOLE)
STORAGE = Endpoint(
    protocol=DASHBOARD,
    method="GET",
    path=PREFIX + "storage",
    text="What this member says of its store: digest, last scrub, what it derives; for root.",
    answer=StorageState,
)
TREES = Endpoint(
    protocol=DASHBOARD,
    method="GET",
    path=PREFIX + "trees",
    text="The trees of the store by name, with their types and purposes; for root.",
    parameters=(Parameter("after", "The last name that was seen."), _LIMIT),
    answer=TreePage,
)
TREE_ROWS = Endpoint(
    protocol=DASHBOARD,
    method="GET",
    path=PREFIX + "trees/rows",
    text="Keys and values of a tree as text, in pages; for root.",
    parameters=(
        Parameter("tree", "Its name.", is_needed=True),
        Parameter("from", "The key to begin with, in hexadecimal digits; none = the first."),
        _LIMIT,
    ),
    answer=RowPage,
)
TREE_ROWS_FROM = Endpoint(
    protocol=DASHBOARD,
    method="POST",
    path=PREFIX + "trees/rows",
    text="The same, where the key to begin with is too long for an address; for root.",
    takes=(JSON_KIND,),
    body=RowsWanted,
    answer=RowPage,
)
TREE_COUNTS = Endpoint(
    protocol=DASHBOARD,
    method="GET",
    path=PREFIX + "trees/counts",
    text="Keys and bytes of all trees, counted by a process that reads the file; for root.",
    answer=Counts,
)
BACKUPS = Endpoint(
    protocol=DASHBOARD,
    method="GET",
    path=PREFIX + "backups",
    text="The backups in this member's directory for them (`--backup-dir`); for root.",
    answer=BackupState,
)
SAVE_BACKUP = Endpoint(
    protocol=DASHBOARD,
    method="POST",
    path=PREFIX + "backups",
    text="Begin to save a backup there, as it is done by the clock; for root.",
    takes=(JSON_KIND,),
    answer=Job,
)
BACKUP_JOB = Endpoint(
    protocol=DASHBOARD,
    method="GET",
    path=PREFIX + "backups/job",
    text="How far the saving or verifying of a backup is, or what came of the last; for root.",
    answer=Job,
)
VERIFY_BACKUP = Endpoint(
    protocol=DASHBOARD,
    method="POST",
    path=PREFIX + "backups/verify",
    text="Begin to read all of a backup, and compare its digest; for root.",
    takes=(JSON_KIND,),
    body=BackupNamed,
    answer=Job,
)
BACKUP_FILE = Endpoint(
    protocol=DASHBOARD,
    method="GET",
    path=PREFIX + "backups/file",
    text="A backup that is there, as a file for `roost snapshot restore`; for root.",
    parameters=(Parameter("name", "Its name.", is_needed=True),),
    gives=(BINARY_KIND,),
)
BACKUP_NOW = Endpoint(
    protocol=DASHBOARD,
    method="GET",
    path=PREFIX + "backups/now",
    text="A backup of now, which is kept nowhere: what `roost snapshot save` saves; for root.",
    gives=(BINARY_KIND,),
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
ENDPOINTS = (
    *(PAGE, FILE, CLUSTER, EVENTS, SETTINGS, BUILT, LOG, SET_LEVEL),
    *(STORAGE, TREES, TREE_ROWS, TREE_ROWS_FROM, TREE_COUNTS),
    *(BACKUPS, SAVE_BACKUP, BACKUP_JOB, VERIFY_BACKUP, BACKUP_FILE, BACKUP_NOW),
    *OLD,
)


def said(value: object) -> Answer:
    """An answer of what a row here says."""
    return Answer(200, msgspec.json.encode(value), (JSON, *DATA_GUARDS))
