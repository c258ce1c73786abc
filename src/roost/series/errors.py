"""What whoever uses time series can be told, besides what a database says.

An operation that refuses says `roost.database.Refused` with one of the codes below, because a
refusal travels from the member that ran it by its code.
"""

from roost.errors import CallerFault, DeviceFault

# A series was deleted since its number was looked up: look it up again.
STALE = "stale"
# Points come faster than they are put into blocks: wait, and append again.
STAGING_FULL = "staging_full"
# What was made of rows that have changed meanwhile: make it anew.
OVERTAKEN = "overtaken"
# A record of points is not what it must be.
BAD_RECORD = "bad_record"
# A name or a tag is none.
BAD_SERIES = "bad_series"
# A rule of how long points are kept is none.
BAD_POLICY = "bad_policy"
# A note of a series or a tag is none.
BAD_NOTE = "bad_note"
# There is no job of that number.
NO_JOB = "no_job"
# There is no series of that number or name.
NO_SERIES = "no_series"


class SeriesUnavailable(CallerFault, ImportError):
    """Time series need packages that are not installed; the text says which, and how."""


class BadSeries(CallerFault):
    """A name, a tag or an option of a series is not what it can be."""


class BadPoints(CallerFault):
    """Times and values are not what points can be."""


class BadWindow(CallerFault):
    """A range of time, a window or a time zone is none."""


class SeriesDamaged(DeviceFault):
    """Bytes in a tree of time series are not what was written there."""
