"""Points of frames of pandas, polars or Arrow, whose names of things differ a little.

A frame is wide, a column of times and each other one a series; or long, a row a point, where a
column says of which series.  What a frame itself calls missing (null, and pandas' NaN) is no point.
Times without a zone are UTC's.  Frames come with numpy, so it is used here.
"""

from typing import Any, NamedTuple

from roost.client.series.errors import BadPoint

# Names of points' columns in a long frame.
VALUE = "value"


class Points(NamedTuple):
    """Of one series; times and values are arrays of numpy, and of one length."""

    series: str
    times: Any
    values: Any


def points_of(frame: Any, time: str, series: str) -> list[Points]:
    """By series its times and values; of a long frame where `series` names a column.

    Raises:
        BadPoint: it has no such columns, or they hold something else.

    """
    import numpy as np

    names = getattr(frame, "column_names", None)
    names = getattr(frame, "columns", None) if names is None else names
    if names is None:
        raise BadPoint(f"{type(frame).__name__} is no frame: pandas, polars or Arrow")
    listed = [str(it) for it in names]
    wanted = [time, series, VALUE] if series else [time]
    for name in wanted:
        if listed.count(name) != 1:
            raise BadPoint(f"one column {name!r} is needed; there are {', '.join(listed)}")
    times = _times(np, frame[time])
    if series:
        return _long(np, times, frame[series], frame[VALUE])
    found = []
    for name in listed:
        if name != time:
            is_held, values = _values(np, name, frame[name])
            found.append(Points(name, times[is_held], values))
    return found


def _long(np: Any, times: Any, series: Any, column: Any) -> list[Points]:
    """Rows by the series that they are of, those of each in their order."""
    is_held, values = _values(np, VALUE, column)
    if hasattr(getattr(series, "type", None), "index_type"):
        series = series.cast("string")  # Arrow's dictionaries are of numbers elsewhere
    numbers: dict[Any, int] = {}
    names = np.asarray(series, dtype=object)[is_held].tolist()
    places = np.array([numbers.setdefault(it, len(numbers)) for it in names], np.int64)
    if not all(isinstance(it, str) for it in numbers):
        raise BadPoint("names of series are text")
    order = np.argsort(places, kind="stable")
    begins = np.searchsorted(places[order], np.arange(len(numbers) + 1))
    times = times[is_held]
    parts = [order[begins[it] : begins[it + 1]] for it in range(len(numbers))]
    return [
        Points(name, times[part], values[part]) for name, part in zip(numbers, parts, strict=True)
    ]


def _times(np: Any, column: Any) -> Any:
    """Times as numpy has them, of UTC."""
    if getattr(getattr(column, "dtype", None), "tz", None) is not None and hasattr(column, "dt"):
        column = column.dt.tz_convert(None)  # pandas
    found = np.asarray(column)
    if found.dtype.kind not in "Miu":
        raise BadPoint(f"times of {found.dtype}: timestamps, or whole numbers of nanoseconds")
    return found


def _values(np: Any, name: str, column: Any) -> tuple[Any, Any]:
    """Which rows have a value, and those."""
    is_missing = np.zeros(len(column), bool)
    for look, drop in (("isna", "dropna"), ("is_null", "drop_null"), ("is_null", "drop_nulls")):
        if hasattr(column, look) and hasattr(column, drop):
            is_missing = np.asarray(getattr(column, look)(), dtype=bool)
            column = getattr(column, drop)()
            break
    try:
        values = np.asarray(column).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise BadPoint(f"values of the column {name!r} are no numbers: {error}") from error
    return ~is_missing, values
