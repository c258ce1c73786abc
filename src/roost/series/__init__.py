"""Time series on replicated trees; without the extra `roost[series]` importing it says so."""

from roost.series.content import Content, Work
from roost.series.effects import Deletion, Thinning
from roost.series.engine import Engine
from roost.series.errors import (
    BAD_NOTE,
    BAD_POLICY,
    BAD_RECORD,
    BAD_SERIES,
    NO_SERIES,
    OVERTAKEN,
    STAGING_FULL,
    STALE,
    BadPoints,
    BadSeries,
    BadWindow,
    SeriesDamaged,
    SeriesUnavailable,
)
from roost.series.names import Info, Tag, check_name, labels, name_key, tag
from roost.series.operations import OPERATIONS
from roost.series.reading import Reading
from roost.series.records import Batch, batch, encode_batch
from roost.series.registry import DECLARED_MAX, Declared
from roost.series.retention import Policy, of_series, of_tag
from roost.series.summaries import (
    COUNT,
    FIRST,
    LAST,
    LEAST,
    MOST,
    SQUARES,
    SUM,
    deviations,
    means,
)
from roost.series.tables import TIME_MIN, TIME_STOP, Ranges, Table
from roost.series.windows import Calendar, Fixed, Unit, Window, edges, zone

__all__ = [
    "BAD_NOTE",
    "BAD_POLICY",
    "BAD_RECORD",
    "BAD_SERIES",
    "COUNT",
    "DECLARED_MAX",
    "FIRST",
    "LAST",
    "LEAST",
    "MOST",
    "NO_SERIES",
    "OPERATIONS",
    "OVERTAKEN",
    "SQUARES",
    "STAGING_FULL",
    "STALE",
    "SUM",
    "TIME_MIN",
    "TIME_STOP",
    "BadPoints",
    "BadSeries",
    "BadWindow",
    "Batch",
    "Calendar",
    "Content",
    "Declared",
    "Deletion",
    "Engine",
    "Fixed",
    "Info",
    "Policy",
    "Ranges",
    "Reading",
    "SeriesDamaged",
    "SeriesUnavailable",
    "Table",
    "Tag",
    "Thinning",
    "Unit",
    "Window",
    "Work",
    "batch",
    "check_name",
    "deviations",
    "edges",
    "encode_batch",
    "labels",
    "means",
    "name_key",
    "of_series",
    "of_tag",
    "tag",
    "zone",
]
